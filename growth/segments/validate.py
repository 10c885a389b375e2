"""Rules read from data, with everything wrong with them said at once, by path."""

from __future__ import annotations

import json
import os
import re
import tomllib
from datetime import date, datetime
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from growth.engine.days import zone
from growth.engine.where import Where, parse_where
from growth.errors import Fault, ParameterError, suggest
from growth.result import Notice
from growth.segments.asking import yuan
from growth.segments.ops import (
    ABSENT,
    MAX_VALUES,
    NAME,
    OPS,
    POPULATIONS,
    TIMES,
    Kind,
    column_kind,
    kind_of,
)
from growth.segments.regions import OTHER, overlaps, unreachable
from growth.segments.rules import (
    COMBINE,
    TESTS,
    Metric,
    Rules,
    Tag,
    Value,
    When,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["load_rules", "parse_rules", "rules_of"]

Extra = "Mapping[str, Mapping[str, str]] | None"
DEEPEST: Final = 40
TAG_KEYS: Final = (
    *("title", "population", "tz", "default", "default_title", "disjoint"),
    *("metric", "value"),
)
ORDERED: Final = ("lt", "le", "gt", "ge", "between")
CHOICES: Final = {
    "anchor": ("last", "first", "any"),
    "cuts": ("recompute", "frozen"),
    "part": ("segment", "code", "r", "f", "m", "fm"),
    "period": ("day", "week", "month"),
}
# lowest and highest of each whole-number setting, and the code of a fault
WHOLE: Final = {
    "last": (1, 36_525, "bad_window"),
    "within": (1, 36_525, "bad_window"),
    "horizon": (1, 36_525, "bad_window"),
    "bins": (2, 100, "bad_bins"),
    "p": (1, 99, "bad_percentile"),
    "max_per_week": (1, 1_000, "bad_window"),
}
TYPED: Final = {
    "number": "a number",
    "text": "text",
    "bool": "true or false, by is, eq or ne",
    "date": "a date",
    "time": "a datetime with its zone",
}


def load_rules(
    source: str | os.PathLike[str],
    *,
    columns: Mapping[str, Mapping[str, str]] | None = None,
) -> Rules:
    """Read rules from a TOML or JSON file, or from their text.

    Parameters
    ----------
    source : path or str
        A file that ends in ``.toml`` or ``.json``, or the text of one.
    columns : mapping of str to mapping of str to str, optional
        Columns beyond the canonical ones, by table, with what they hold:
        ``{"members": {"income": "text"}}`` (text, int, float, bool, date, time).

    Returns
    -------
    Rules
        Every check passed.

    Raises
    ------
    ParameterError
        With every fault (code ``rule_invalid``), or if the text is neither TOML
        nor JSON (``not_toml``).
    """
    text = os.fspath(source)
    if text.endswith((".toml", ".json")) and "\n" not in text:
        path = Path(text)
        if not path.is_file():
            msg = f"rules are {text}; it must be a file that is there; check the path."
            raise ParameterError(msg, code="rules_not_found")
        text = path.read_text("utf-8")
    try:
        data = json.loads(text) if text.lstrip()[:1] == "{" else tomllib.loads(text)
    except ValueError as error:
        msg = f"the rules are no TOML: {error}; correct them there, or pass a path"
        raise ParameterError(f"{msg} that ends in .toml.", code="not_toml") from error
    return parse_rules(data, columns=columns)


def rules_of(
    *tags: Tag | Rules, columns: Mapping[str, Mapping[str, str]] | None = None
) -> Rules:
    """Check tags written in Python, or join rules.

    Parameters
    ----------
    *tags : Tag or Rules
        One or more; a tag may refer to any other of them.
    columns : mapping, optional
        As in `load_rules`.

    Returns
    -------
    Rules
        Every check passed.

    Raises
    ------
    ParameterError
        With every fault (code ``rule_invalid``).

    Examples
    --------
    >>> from growth.segments import Tag, Value, count
    >>> often = count("orders", last=90) >= 4
    >>> rules_of(Tag("frequency", [Value("frequent", often)], default="other")).names
    ('frequency',)
    """
    listed = [
        tag for item in tags for tag in (item if isinstance(item, Rules) else [item])
    ]
    names = [tag.name for tag in listed]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        faults = [Fault("duplicate_tag", "tag", repr(n), "named once") for n in twice]
        raise _invalid(faults)
    data = {"schema": 1, "tag": {tag.name: tag.to_data() for tag in listed}}
    return parse_rules(data, columns=columns)


def parse_rules(
    data: object, *, columns: Mapping[str, Mapping[str, str]] | None = None
) -> Rules:
    """Read rules from their written form, as ``tomllib`` and ``json`` give it.

    Parameters
    ----------
    data : mapping
        ``{"schema": 1, "tag": {name: ...}}``.
    columns : mapping, optional
        As in `load_rules`.

    Returns
    -------
    Rules
        In an order in which each tag stands after those it refers to.

    Raises
    ------
    ParameterError
        With every fault, by path (code ``rule_invalid``). Codes of the faults:
        ``cycle unreachable_value overlap unknown_metric unknown_column unknown_tag
        unknown_value type_mismatch money_without_unit bad_window bad_timezone
        missing_default duplicate_value too_many_values bad_name unknown_key
        missing_key bad_value bad_shape unknown_op unknown_table``, and those of
        `growth.engine.parse_where`.
    """
    reader = _Reader(columns)
    rules = reader.rules(data)
    if reader.faults:
        raise _invalid(reader.faults)
    return rules


def _invalid(faults: list[Fault]) -> ParameterError:
    error = ParameterError.of("the rules", faults)
    error.code = "rule_invalid"
    return error


class _Reader:
    """Reads one set of rules; what is wrong is noted and reading goes on."""

    def __init__(self, extra: Mapping[str, Mapping[str, str]] | None) -> None:
        self.extra = extra
        self.faults: list[Fault] = []
        self.names: tuple[str, ...] = ()
        self.parsed: set[str] = set()

    def fault(
        self, code: str, path: str, seen: object, expected: str, hint: str = ""
    ) -> None:
        told = seen if isinstance(seen, str) else repr(seen)
        self.faults.append(Fault(code, path, told, expected, hint))

    def keys(self, data: Mapping[str, Any], known: tuple[str, ...], path: str) -> None:
        for key in data:
            if key not in known:
                self.fault(
                    "unknown_key",
                    f"{path}.{key}",
                    "unknown",
                    f"one of {', '.join(known)}",
                    suggest(str(key), known).strip(),
                )

    def rules(self, data: object) -> Rules:
        tags = data.get("tag") if isinstance(data, dict) else None
        if not isinstance(data, dict) or not isinstance(tags, dict) or not tags:
            hint = "Write [tag.<name>] tables."
            self.fault("bad_shape", "tag", "missing", "one tag or more", hint)
            return Rules(())
        self.keys(data, ("schema", "tag"), "rules")
        if data.get("schema", 1) != 1:
            self.fault("bad_value", "schema", data["schema"], "1")
        self.names = tuple(map(str, tags))
        found = [self.tag(str(name), item) for name, item in tags.items()]
        ready = tuple(tag for tag in found if tag is not None)
        by_name = {tag.name: tag for tag in ready}
        self.references(by_name)
        order = self.order(by_name)
        notices = self.reach(by_name, order) if not self.faults else []
        return Rules(ready, order, tuple(notices))

    def tag(self, name: str, data: object) -> Tag | None:
        path = f"tag.{name}"
        if not re.fullmatch(NAME, name) or name == "user_id":
            hint = "It becomes a column; put other words into title."
            expected = "lower-case letters, digits and underscores, a letter first"
            self.fault("bad_name", path, name, expected, hint)
        if not isinstance(data, dict):
            self.fault("bad_shape", path, data, "a table")
            return None
        self.keys(data, TAG_KEYS, path)
        metrics = self.metrics(data.get("metric", {}), f"{path}.metric")
        values = self.values(data.get("value", []), metrics, f"{path}.value")
        default = data.get("default")
        if default is None:
            hint = 'Everybody else must be called something: default = "none".'
            self.fault("missing_default", f"{path}.default", "missing", "a name", hint)
        else:
            self.name(default, f"{path}.default")
        tz = data.get("tz", "Asia/Shanghai")
        try:
            zone(tz)
        except ParameterError as error:
            self.fault("bad_timezone", f"{path}.tz", tz, "an IANA name", str(error))
        return Tag(
            name,
            values,
            default="none" if default is None else str(default),
            population=self.choice(data, "population", POPULATIONS, path, "seen"),
            tz=str(tz),
            disjoint=self.flag(data, "disjoint", path),
            title=self.title(data, path),
            default_title=self.title(data, path, "default_title"),
            metrics=tuple((n, m) for n, m in metrics.items() if m is not None),
        )

    def name(self, name: object, path: str) -> str:
        if not isinstance(name, str) or not re.fullmatch(NAME, name):
            expected = "lower-case letters, digits and underscores, a letter first"
            hint = "Other words go into title."
            self.fault("bad_name", path, name, expected, hint)
        elif name == ABSENT:
            hint = "In movements it means not of the population."
            self.fault("bad_name", path, name, "another word", hint)
        return str(name)

    def title(
        self, data: Mapping[str, Any], path: str, key: str = "title"
    ) -> tuple[tuple[str, str], ...]:
        title = data.get(key, {})
        if not isinstance(title, dict) or not all(
            isinstance(words, str) for words in title.values()
        ):
            self.fault("bad_value", f"{path}.{key}", title, 'as {en = "...", zh = ""}')
            return ()
        return tuple(title.items())

    def flag(self, data: Mapping[str, Any], key: str, path: str) -> bool:
        value = data.get(key, False)
        if not isinstance(value, bool):
            self.fault("bad_value", f"{path}.{key}", value, "true or false")
        return bool(value)

    def choice(
        self,
        data: Mapping[str, Any],
        key: str,
        known: tuple[str, ...],
        path: str,
        default: str,
    ) -> str:
        value = data.get(key, default)
        if value not in known:
            hint = suggest(str(value), known).strip()
            expected = f"one of {', '.join(known)}"
            self.fault("bad_value", f"{path}.{key}", value, expected, hint)
        return str(value)

    # values and conditions

    def values(
        self, data: object, metrics: dict[str, Metric | None], path: str
    ) -> list[Value]:
        if not isinstance(data, list) or not data:
            self.fault("bad_shape", path, data, "a list of values, 1 or more")
            return []
        if len(data) > MAX_VALUES:
            self.fault("too_many_values", path, f"{len(data)} long", f"{MAX_VALUES} at"
                       " most", "Read the column itself instead.")  # fmt: skip
            return []
        found: list[Value] = []
        for i, item in enumerate(data):
            at = f"{path}[{i}]"
            if not isinstance(item, dict):
                self.fault("bad_shape", at, item, "a table with name and when")
                continue
            self.keys(item, ("name", "title", "when"), at)
            name = self.name(item.get("name"), f"{at}.name")
            if name in {value.name for value in found}:
                hint = "Join the conditions by any."
                self.fault("duplicate_value", f"{at}.name", name, "new", hint)
            if "when" not in item:
                self.fault("missing_key", f"{at}.when", "missing", "a condition")
                continue
            when = self.when(item["when"], metrics, f"{at}.when", 0)
            found.append(Value(name, when, self.title(item, at)))
        return found

    def when(
        self, data: object, metrics: dict[str, Metric | None], path: str, depth: int
    ) -> When:
        nothing = When("all")
        if depth > DEEPEST:
            self.fault("bad_shape", path, f"over {DEEPEST} levels deep", "flatter")
            return nothing
        if not isinstance(data, dict):
            expected = "a condition such as {metric = 'x', ge = 1}"
            self.fault("bad_shape", path, data, expected)
            return nothing
        combined = [key for key in COMBINE if key in data]
        if not combined:
            return self.test(data, metrics, path)
        op = combined[0]
        self.keys(data, (op,), path)
        inner = data[op]
        if op == "not":
            return When(
                op, parts=(self.when(inner, metrics, f"{path}.not", depth + 1),)
            )
        if not isinstance(inner, list) or (op == "any" and not inner):
            self.fault("bad_shape", f"{path}.{op}", inner, "a list of conditions")
            return nothing
        parts = (
            self.when(item, metrics, f"{path}.{op}[{i}]", depth + 1)
            for i, item in enumerate(inner)
        )
        return When(op, parts=tuple(parts))

    def test(
        self, data: dict[str, Any], metrics: dict[str, Metric | None], path: str
    ) -> When:
        self.keys(data, ("metric", "tag", *TESTS), path)
        asked = [key for key in TESTS if key in data]
        if not asked:
            self.fault("missing_key", path, "without a comparison", f"one of {TESTS}")
            return When("all")
        if "tag" in data:
            parts = [self.tag_test(op, data, path) for op in asked]
        else:
            metric = self.named(data, metrics, path)
            if metric is None:
                return When("all")
            name = data["metric"] if isinstance(data["metric"], str) else ""
            parts = [
                self.metric_test(op, data[op], metric, name, f"{path}.{op}")
                for op in asked
            ]
        return parts[0] if len(parts) == 1 else When("all", parts=tuple(parts))

    def named(
        self, data: dict[str, Any], metrics: dict[str, Metric | None], path: str
    ) -> Metric | None:
        """Return the metric a condition names or writes out."""
        asked = data.get("metric")
        if isinstance(asked, dict):
            return self.metric(asked, f"{path}.metric", metrics)
        if not isinstance(asked, str):
            expected = "the name of a metric (or tag = ...)"
            self.fault("missing_key", f"{path}.metric", asked, expected)
            return None
        if asked not in metrics:
            expected = f"one of {sorted(metrics)}"
            hint = suggest(asked, metrics).strip()
            self.fault("unknown_metric", f"{path}.metric", asked, expected, hint)
            return None
        return metrics[asked]

    def tag_test(self, op: str, data: dict[str, Any], path: str) -> When:
        tag, value = data["tag"], data[op]
        if tag not in self.names:
            expected = f"one of {list(self.names)}"
            hint = suggest(str(tag), self.names).strip()
            self.fault("unknown_tag", f"{path}.tag", tag, expected, hint)
        if op not in ("eq", "ne", "in"):
            self.fault("type_mismatch", f"{path}.{op}", op, "eq, ne or in, for a tag")
            return When("all")
        listed = value if isinstance(value, list) else [value]
        if not listed or not all(isinstance(item, str) for item in listed):
            self.fault("type_mismatch", f"{path}.{op}", value, "a value of the tag")
            return When("all")
        ready = tuple(listed) if op == "in" else listed[0]
        return When(op, tag=str(tag), value=ready)

    def metric_test(
        self, op: str, value: object, metric: Metric, name: str, path: str
    ) -> When:
        kind = kind_of(metric, self.extra)
        if op in ("is", "known"):
            if op == "is" and kind.name != "bool":
                hint = "Compare it with a value."
                self.fault("type_mismatch", path, f"a {kind.name}", "a truth", hint)
            if not isinstance(value, bool):
                self.fault("bad_value", path, value, "true or false")
            return When(op, metric, value=bool(value))
        if op in ORDERED and kind.family in ("text", "bool"):
            hint = "Name the values: in = [...]."
            seen = f"a threshold on {kind.family}"
            self.fault("type_mismatch", path, seen, "eq, ne, in or known", hint)
            return When("all")
        listed = value if isinstance(value, list | tuple) else [value]
        several = op in ("in", "between")
        if several is not isinstance(value, list | tuple) or (
            not listed if op == "in" else op == "between" and len(listed) != 2
        ):
            wanted = {"in": "a list", "between": "two values, [low, high]"}
            self.fault("bad_value", path, value, wanted.get(op, "one value"))
            return When("all")
        ready = tuple(self.scalar(item, kind, name, path) for item in listed)
        self.within_closed(ready, kind, path)
        return When(op, metric, value=ready if several else ready[0])

    def within_closed(self, ready: tuple[Any, ...], kind: Kind, path: str) -> None:
        for value in ready:
            if kind.values and isinstance(value, str) and value not in kind.values:
                hint = suggest(value, kind.values).strip()
                expected = f"one of {', '.join(kind.values)}"
                self.fault("unknown_value", path, value, expected, hint)

    def scalar(  # noqa: PLR0911  (one return a kind)
        self, value: object, kind: Kind, name: str, path: str
    ) -> Any:  # noqa: ANN401
        match value:
            case {"yuan": text, **rest} if not rest and kind.money:
                try:
                    return yuan(text)
                except ParameterError as error:
                    self.fault("bad_value", path, text, "decimal text", str(error))
                    return 0
            case bool() if kind.family == "bool":
                return value
            case bool():
                pass
            case int() | float() if kind.family == "number" and isfinite(value):
                if kind.money and (name and not name.endswith("_fen")):
                    hint = "Name the metric <name>_fen, or write {yuan = '199.00'}."
                    expected = "an amount with its unit"
                    self.fault("money_without_unit", path, value, expected, hint)
                elif kind.money and isinstance(value, float):
                    expected = "whole fen, or {yuan = '199.00'}"
                    self.fault("money_without_unit", path, value, expected)
                return int(value) if value == int(value) else value
            case str() if kind.family == "text":
                return value
            case str() if kind.family in ("date", "time"):
                return self.moment(value, kind, path)
            case datetime() if kind.family == "time" and value.utcoffset() is not None:
                return value
            case date() if kind.family == "date" and not isinstance(value, datetime):
                return value
        self.fault("type_mismatch", path, value, TYPED[kind.family])
        return {"number": 0, "bool": False}.get(kind.family, "")

    def moment(self, text: str, kind: Kind, path: str) -> Any:  # noqa: ANN401
        read = date if kind.family == "date" else datetime
        try:
            return read.fromisoformat(text)
        except ValueError:
            self.fault("type_mismatch", path, text, TYPED[kind.family])
        return ""

    # metrics

    def metrics(self, data: object, path: str) -> dict[str, Metric | None]:
        if not isinstance(data, dict):
            self.fault("bad_shape", path, data, "a table of metrics")
            return {}
        found: dict[str, Metric | None] = {}
        # those that rank another one come after it
        ranked = sorted(data, key=lambda n: isinstance(data[n], dict)
                        and data[n].get("op") == "quantile")  # fmt: skip
        for name in ranked:
            found[name] = self.metric(data[name], f"{path}.{name}", found)
            if not re.fullmatch(NAME, str(name)):
                expected = "lower-case letters, digits and underscores"
                self.fault("bad_name", f"{path}.{name}", name, expected)
        return {name: found[name] for name in data}

    def metric(
        self, data: object, path: str, named: Mapping[str, Metric | None]
    ) -> Metric | None:
        if not isinstance(data, dict):
            self.fault("bad_shape", path, data, "a table such as {op = 'count', ...}")
            return None
        op = str(data.get("op"))
        if op not in OPS:
            hint = suggest(str(op), OPS).strip()
            self.fault("unknown_op", f"{path}.op", op, f"one of {', '.join(OPS)}", hint)
            return None
        spec = OPS[op]
        self.keys(data, ("op", *spec.takes), path)
        for key in spec.needs:
            if key not in data:
                self.fault("missing_key", f"{path}.{key}", "missing", f"set for {op}")
        if any(key not in data for key in spec.needs):
            return None
        if op == "quantile":
            return self.ranked(data, path, named)
        of = data.get("of", self.table_of(op))
        if of not in TIMES:
            hint = suggest(str(of), TIMES).strip()
            expected = f"one of {', '.join(TIMES)}"
            self.fault("unknown_table", f"{path}.of", of, expected, hint)
            return None
        settings: dict[str, Any] = {"of": of}
        settings |= self.numbers(data, path)
        settings |= self.words(op, data, path)
        settings["where"] = self.where(data, of, path)
        settings["net"] = self.flag(data, "net", path)
        settings |= self.steps(data, of, path)
        if "col" in spec.takes:
            default = "paid_fen" if "col" not in spec.needs else ""
            settings["col"] = self.column(op, of, data.get("col", default), path)
            self.net(settings, path)
        return Metric(op, **settings)

    @staticmethod
    def table_of(op: str) -> str:
        return {"reach": "messages", "lifecycle": "events"}.get(
            op, "events" if op in ("sequence", "without") else "orders"
        )

    def ranked(
        self, data: dict[str, Any], path: str, named: Mapping[str, Metric | None]
    ) -> Metric | None:
        asked = data["metric"]
        inner = (
            self.metric(asked, f"{path}.metric", named)
            if isinstance(asked, dict)
            else named.get(asked)
        )
        if inner is None:
            if not isinstance(asked, dict) and asked not in named:
                hint = suggest(str(asked), named).strip()
                expected = f"one of {sorted(named)}"
                self.fault("unknown_metric", f"{path}.metric", asked, expected, hint)
            return None
        kind = kind_of(inner, self.extra)
        if kind.name != "int" or inner.op in ("quantile", "rfm", "clv_fen"):
            hint = "Rank a count, a sum or another whole number of the user's own."
            seen = f"a {kind.name} of op {inner.op}"
            self.fault("type_mismatch", f"{path}.metric", seen, "whole numbers", hint)
        settings: dict[str, Any] = {**self.numbers(data, path)}
        settings |= self.words("quantile", data, path)
        return Metric("quantile", inner.of, metric=inner, **settings)

    def numbers(self, data: dict[str, Any], path: str) -> dict[str, int]:
        found = {}
        for key, (low, high, code) in WHOLE.items():
            if key not in data:
                continue
            value = data[key]
            fits = isinstance(value, int) and not isinstance(value, bool)
            if not fits or not low <= value <= high:
                self.fault(code, f"{path}.{key}", value, f"in {low}..{high}")
                value = low
            found[key] = int(value)
        return found

    def words(self, op: str, data: dict[str, Any], path: str) -> dict[str, str]:
        found = {}
        usual = {"rfm": ("part", "segment"), "lifecycle": ("period", "month")}
        for key, known in CHOICES.items():
            default = dict([usual[op]]).get(key) if op in usual else None
            if key in data or default is not None:
                found[key] = self.choice(data, key, known, path, str(default))
        if found.get("anchor") == ("any" if op == "sequence" else "last"):
            found["anchor"] = ""
        if found.get("part") == "code" and data.get("bins", 5) not in range(2, 10):
            hint = "A code has one digit a score."
            self.fault("bad_bins", f"{path}.bins", data["bins"], "2..9", hint)
        if found.get("part") == "segment" and data.get("bins", 5) != 5:
            hint = "The names are made for 5 bins; take part = 'code' with others."
            self.fault("bad_bins", f"{path}.bins", data["bins"], "5", hint)
        return found

    def steps(self, data: dict[str, Any], of: str, path: str) -> dict[str, Any]:
        if "then" not in data:
            return {}
        then = data["then"] if isinstance(data["then"], list) else [data["then"]]
        steps = (data.get("first"), *then)
        most = 2 if data["op"] == "without" else 3
        if not all(isinstance(s, str) and s for s in steps) or not (
            2 <= len(steps) <= most
        ):
            expected = f"names of events, {most - 1} at most after the first"
            self.fault("bad_value", f"{path}.then", data["then"], expected)
            steps = ("a", "b")
        hold = data.get("hold", [])
        if not isinstance(hold, list):
            self.fault("bad_value", f"{path}.hold", hold, "a list of columns")
            hold = []
        for name in hold:
            self.known_column(of, name, f"{path}.hold")
        return {"steps": steps, "hold": tuple(map(str, hold))}

    def column(self, op: str, of: str, name: object, path: str) -> str:
        kind = self.known_column(of, name, f"{path}.col")
        whole = op in ("sum", "mean", "rfm", "clv_fen")
        if kind is not None and whole and kind != "int":
            hint = "Sums are of whole numbers, so that they are exact; money is fen."
            self.fault("type_mismatch", f"{path}.col", f"{name!r}, a {kind}",
                       "a column of whole numbers", hint)  # fmt: skip
        return str(name)

    def known_column(self, of: str, name: object, path: str) -> str | None:
        kind = column_kind(of, str(name), self.extra)
        if kind is None:
            from growth.dataset.schema import SCHEMA

            known = [*SCHEMA[of].by_name, *((self.extra or {}).get(of, ()))]
            hint = suggest(str(name), known).strip()
            hint = hint or "Declare a further column by columns=."
            self.fault("unknown_column", path, name, f"a column of {of}", hint)
        return kind

    def net(self, settings: dict[str, Any], path: str) -> None:
        if settings["net"] and (settings["of"], settings["col"]) != (
            "orders",
            "paid_fen",
        ):
            seen = f"on {settings['of']}.{settings['col']}"
            self.fault("bad_value", f"{path}.net", seen, "on orders.paid_fen")

    def where(self, data: dict[str, Any], of: str, path: str) -> Where | None:
        if "where" not in data:
            return None
        from growth.dataset.schema import SCHEMA

        known = {*SCHEMA[of].by_name, *((self.extra or {}).get(of, ()))}
        try:
            found = parse_where(data["where"], columns=known, path=f"{path}.where")
        except ParameterError as error:
            self.faults.extend(error.faults)
            return None
        for leaf in _leaves(found):
            self.typed(leaf, of, f"{path}.where")
        return found

    def typed(self, leaf: Where, of: str, path: str) -> None:
        kind = column_kind(of, leaf.column, self.extra)
        if leaf.op == "known" or kind is None:
            return
        family = "number" if kind in ("int", "float") else kind
        listed = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
        seen = f"{family}, compared by {leaf.op!r} with {leaf.value!r}"
        at = f"{path}.{leaf.column}"
        ordered = leaf.op in ORDERED and family == "bool"
        if ordered or not all(_fits(value, family) for value in listed):
            self.fault("type_mismatch", at, seen, f"compared with {TYPED[family]}")

    # tags among each other

    def references(self, tags: Mapping[str, Tag]) -> None:
        for tag in tags.values():
            for i, value in enumerate(tag.values):
                for leaf in value.when.leaves():  # type: ignore[union-attr]
                    if leaf.tag in tags:
                        self.values_of(leaf, tags[leaf.tag], f"tag.{tag.name}", i)

    def values_of(self, leaf: When, other: Tag, path: str, i: int) -> None:
        listed = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
        for name in listed:
            if name not in other.names:
                hint = suggest(str(name), other.names).strip()
                expected = f"one of {', '.join(other.names)}"
                at = f"{path}.value[{i}].when.tag"
                self.fault("unknown_value", at, f"{other.name}: {name}", expected, hint)

    def order(self, tags: Mapping[str, Tag]) -> tuple[str, ...]:
        """Return names, each after those it refers to; note each cycle once."""
        done: dict[str, None] = {}
        cycles: set[frozenset[str]] = set()

        def visit(name: str, trail: tuple[str, ...]) -> None:
            if name in trail:
                loop = trail[trail.index(name) :]
                if frozenset(loop) not in cycles:
                    cycles.add(frozenset(loop))
                    told = " -> ".join([*loop, name])
                    hint = "Take one of these references out."
                    self.fault("cycle", f"tag.{name}", told, "free of circles", hint)
                return
            if name in done:
                return
            for other in tags[name].refers():
                if other in tags:
                    visit(other, (*trail, name))
            done[name] = None

        for name in tags:
            visit(name, ())
        return tuple(done)

    def reach(self, tags: Mapping[str, Tag], order: tuple[str, ...]) -> list[Notice]:
        def kind(subject: Metric | str) -> Kind:
            if isinstance(subject, Metric):
                return kind_of(subject, self.extra)
            return Kind("text", values=tags[subject].names)

        notices = []
        for name in order:
            tag = tags[name]
            for i, own in unreachable(tag, kind):
                path = f"tag.{name}.value[{i}]"
                seen = f"{tag.values[i].name}, which nobody can have"
                why = "its condition contradicts itself" if own else "earlier ones win"
                hint = f"Here {why}: reorder or drop it."
                self.fault("unreachable_value", path, seen, "reachable", hint)
            for clash in overlaps(tag, kind):
                shown = "another word" if clash.example == OTHER else clash.example
                if tag.disjoint:
                    seen = f"{clash.earlier} and {clash.value} at {shown}"
                    self.fault("overlap", f"tag.{name}", seen, "disjoint")
                args = (("tag", name), ("earlier", clash.earlier),
                        ("later", clash.value), ("example", str(shown)))  # fmt: skip
                notices.append(Notice("segments_overlap", "info", args))
        return notices


def _leaves(where: Where) -> Iterator[Where]:
    if where.column:
        yield where
    for part in where.parts:
        yield from _leaves(part)


def _fits(value: object, family: str) -> bool:
    match value:
        case bool():
            return family == "bool"
        case int() | float():
            return family == "number"
        case datetime():
            return family == "time"
        case date():
            return family == "date"
    return family in ("text", "date", "time")
