"""What an experiment's declaration must look like: every fault found at once.

The checks read the plain mapping of the TOML file, so that a file, a dict from a
service and an `Experiment` built in Python are all judged by the same lines.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from growth.errors import Fault, ParameterError, suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["TIME_COLUMNS", "faults_in", "plan_faults", "read_date", "source_faults"]

#: Canonical tables a metric can be built from, and the instant each counts by.
TIME_COLUMNS: Final = {
    "events": "ts",
    "messages": "ts",
    "orders": "pay_ts",
    "participations": "ts",
    "points_ledger": "ts",
}
KINDS: Final = ("mean", "proportion", "ratio", "quantile")
ROLES: Final = ("goal", "guardrail", "diagnostic")
TESTS: Final = ("wald", "pooled", "newcombe", "miettinen_nurminen", "agresti_caffo")
MAX_LOOKS: Final = 1000
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_MISSING: Final = object()


class _Rule(NamedTuple):
    """What one key may hold: a test, and the words for what would be right."""

    test: Callable[[object], bool]
    expected: str
    code: str = "wrong_type"
    choices: tuple[str, ...] = ()
    required: bool = False


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_finite(value: object) -> bool:
    return _is_number(value) and isfinite(value)  # type: ignore[arg-type]


def _between(low: float, high: float) -> Callable[[object], bool]:
    return lambda v: isinstance(v, int | float) and isfinite(v) and low < v < high


def _is_text(value: object) -> bool:
    """Return whether `value` is 1 to 128 printable characters, no edge space."""
    return (
        isinstance(value, str)
        and 1 <= len(value) <= 128
        and value.isprintable()
        and value == value.strip()
    )


def _is_where(value: object) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(item, Mapping) for item in value
    )


def _is_share(value: object) -> bool:
    return _is_number(value) and 0 <= value <= 1  # type: ignore[operator]


def _is_range(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(map(_is_share, value))
        and value[0] < value[1]
    )


def _is_words(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and value.keys() <= {"en", "zh"}
        and all(isinstance(text, str) and text.strip() for text in value.values())
    )


def read_date(value: object) -> date | None:
    """Return a TOML date or ISO text as a date, None if it is neither."""
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            return None
    is_day = isinstance(value, date) and not isinstance(value, datetime)
    return value if is_day else None  # type: ignore[return-value]


@cache
def _zones() -> frozenset[str]:
    from zoneinfo import available_timezones

    return frozenset(available_timezones())


def _choice(*choices: str, required: bool = False) -> _Rule:
    return _Rule(
        lambda v: v in choices,
        f"one of {', '.join(choices)}",
        "not_a_choice",
        choices,
        required,
    )


def _are_looks(value: object) -> bool:
    if isinstance(value, str):
        return value in ("daily", "weekly")
    if _is_int(value):
        return 1 <= value <= MAX_LOOKS  # type: ignore[operator]
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MAX_LOOKS:
        return False
    if all(map(_is_number, value)):
        return value[0] > 0 and value[-1] == 1 and _rises(value)
    days = [day for item in value if (day := read_date(item)) is not None]
    return len(days) == len(value) and _rises(days)


def _rises(items: Sequence[Any]) -> bool:
    return all(a < b for a, b in pairwise(items))


_LOOKS: Final = (
    "daily, weekly, a number of looks, shares of the planned size that rise to 1,"
    " or dates that rise"
)
_TEXT: Final = _Rule(
    _is_text, "1 to 128 printable characters without edge space", "bad_text"
)
_TEXT_REQUIRED: Final = _TEXT._replace(required=True)
_NAME_RULE: Final = _Rule(
    lambda v: isinstance(v, str) and bool(_NAME.fullmatch(v)),
    "a letter, then letters, digits or _ (63 at most)",
    "bad_name",
    required=True,
)
_WORDS: Final = _Rule(_is_words, 'a table { en = "...", zh = "..." } of text')
_OPEN_SHARE: Final = _Rule(
    _between(0, 1), "a number above 0 and below 1", "out_of_range"
)
_POSITIVE: Final = _Rule(_between(0, float("inf")), "a number above 0", "out_of_range")
_COUNT: Final = _Rule(
    lambda v: _is_int(v) and v >= 1,  # type: ignore[operator]
    "a whole number, 1 or more",
    "out_of_range",
)
_DATE: Final = _Rule(
    lambda v: read_date(v) is not None, "a date such as 2026-02-01", "bad_date"
)
_TABLE: Final = _Rule(lambda v: isinstance(v, Mapping), "a table")
_TABLES: Final = _Rule(_is_where, "a list of tables")
_NAMES: Final = _Rule(
    lambda v: isinstance(v, list | tuple) and all(map(_is_text, v)),
    "a list of column names",
)
_BY: Final = _Rule(
    lambda v: (
        isinstance(v, list | tuple)
        and all(
            _is_text(item)
            or (
                isinstance(item, list | tuple)
                and bool(item)
                and all(map(_is_text, item))
            )
            for item in v
        )
    ),
    "a list of column names, or of lists of them to cross",
)

_EXPERIMENT: Final = {
    "schema": _Rule(
        lambda v: _is_int(v) and v == 1, "1", "unknown_schema", required=True
    ),
    "id": _TEXT_REQUIRED,
    "title": _WORDS,
    "question": _WORDS,
    "unit": _choice("user", "device", "cluster"),
    "cluster": _TEXT,
    "stratify": _TEXT,
    "control": _TEXT_REQUIRED,
    "arms": _TABLE._replace(required=True, expected="a table of arm = weight"),
    "start": _DATE,
    "end": _DATE,
    "tz": _Rule(
        lambda v: isinstance(v, str) and v in _zones(),
        "an IANA time zone such as Asia/Shanghai",
        "unknown_tz",
    ),
    "alpha": _OPEN_SHARE,
    "srm_alpha": _OPEN_SHARE,
    "adjust": _choice("lin", "cuped", "none"),
    "se": _choice("hc2", "moments"),
    "objective": _choice("superiority", "no_harm"),
    "min_days": _COUNT,
    "scope": _choice("experiment", "metric"),
    "by": _BY,
    "mapping": _Rule(
        lambda v: isinstance(v, str) and v.strip() != "" and v.isprintable(),
        "a path relative to this file",
        "bad_text",
    ),
    "plan": _TABLE,
    "columns": _TABLE,
    "metric": _Rule(
        lambda v: _is_where(v) and bool(v), "one [[metric]] or more", required=True
    ),
    "covariate": _TABLES,
    "layer": _TEXT,
    "salt": _TEXT,
    "coverage": _Rule(_is_share, "a number from 0 to 1", "out_of_range"),
    "range": _Rule(_is_range, "two numbers, 0 <= low < high <= 1", "out_of_range"),
}
_METRIC: Final = {
    "name": _NAME_RULE,
    "label": _WORDS,
    "kind": _choice(*KINDS, required=True),
    "role": _choice(*ROLES, required=True),
    "good": _choice("up", "down"),
    "unit": _choice("share", "fen", "count", "ms"),
    "test": _choice(*TESTS),
    "mde": _POSITIVE,
    "margin": _POSITIVE,
    "margin_kind": _choice("relative", "absolute"),
    "value": _TABLE,
    "numerator": _TABLE,
    "denominator": _TABLE,
    "window_days": _COUNT,
    "missing": _choice("zero", "unknown"),
    "covariates": _NAMES,
    "q": _OPEN_SHARE,
    "cap": _TABLE,
    "stratify": _TEXT,
}
_THRESHOLD: Final = _Rule(
    lambda v: (
        _is_finite(v)
        or (isinstance(v, list | tuple) and len(v) == 2 and all(map(_is_finite, v)))
    ),
    "a finite number; two for a ratio, of numerator and denominator",
)
_CAP: Final = {
    "upper": _Rule(
        lambda v: _is_share(v) and v != 0,
        "a quantile above 0, 1 to leave that tail alone",
        "out_of_range",
    ),
    "lower": _OPEN_SHARE,
    "of": _choice("nonzero", "all"),
    "at": _THRESHOLD,
    "at_lower": _THRESHOLD,
    "decides": _choice("capped", "uncapped"),
}
_COVARIATE: Final = {
    "name": _NAME_RULE,
    "value": _TABLE._replace(required=True),
    "days": _COUNT._replace(required=True),
}
_SOURCE: Final = {
    "table": _choice(*TIME_COLUMNS),
    "agg": _choice("any", "count", "sum", "distinct", "each"),
    "column": _TEXT,
    "event": _TEXT,
    "where": _TABLES,
}
_PLAN: Final = {
    "kind": _choice("fixed", "group_sequential", "always_valid", "hybrid"),
    "units": _COUNT,
    "looks": _Rule(_are_looks, _LOOKS, "bad_looks", ("daily", "weekly")),
    "spending": _choice("obrien_fleming", "pocock", "power"),
    "rho": _POSITIVE,
    "monitor_share": _OPEN_SHARE,
}
_COLUMNS: Final = {"unit": _TEXT, "variant": _TEXT, "day": _TEXT}


def faults_in(data: object) -> list[Fault]:
    """Return every fault in a declaration, in the order of its keys.

    Parameters
    ----------
    data : object
        What `tomllib` made of the file.

    Returns
    -------
    list of Fault
        Empty if the declaration can be used.
    """
    if not isinstance(data, Mapping):
        seen = type(data).__name__
        return [Fault("wrong_type", "the declaration", seen, "a table of keys")]
    faults = _check(data, _EXPERIMENT, "")
    faults += _check_arms(data)
    if isinstance(plan := data.get("plan"), Mapping):
        faults += plan_faults(plan, start=read_date(data.get("start")))
    if isinstance(columns := data.get("columns"), Mapping):
        faults += _check(columns, _COLUMNS, "columns.")
        faults += _check_distinct("columns", list(columns.values()))
    faults += _check_dates(data)
    faults += _check_unit(data)
    metrics = _tables(data.get("metric"))
    covariates = _tables(data.get("covariate"))
    for i, item in enumerate(covariates):
        path = f"covariate[{item.get('name', i)}]."
        faults += _check(item, _COVARIATE, path)
        if isinstance(value := item.get("value"), Mapping):
            faults += _check_source(value, f"{path}value.", built=True)
    declared = [item.get("name") for item in covariates]
    no_harm = data.get("objective") == "no_harm"
    for i, item in enumerate(metrics):
        path = f"metric[{item.get('name', i)}]."
        faults += _check(item, _METRIC, path)
        faults += _check_metric(item, path, no_harm=no_harm)
        faults += _check_parts(item, path)
        faults += _check_methods(item, path, data)
        faults += _check_covariates(item, path, declared)
        if data.get("adjust") != "none" and item.get("covariates"):
            faults += _check_adjusted(item, path)
    names = [item.get("name") for item in metrics]
    faults += _check_distinct("metric names", [*names, *declared])
    faults += _check_reserved(data, [*names, *declared])
    if metrics and not any(item.get("role") == "goal" for item in metrics):
        seen = ", ".join(str(item.get("role")) for item in metrics)
        hint = "A decision needs one; name what the experiment is for."
        faults.append(Fault("no_goal", "metric roles", seen, "at least one goal", hint))
    return faults


def _tables(value: object) -> list[Mapping[str, object]]:
    if not isinstance(value, list | tuple):
        return []
    return [item for item in value if isinstance(item, Mapping)]


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _check(
    data: Mapping[str, object], rules: Mapping[str, _Rule], path: str
) -> list[Fault]:
    """Judge each key of one table by its rule; refuse keys without one."""
    faults = [
        Fault(
            "unknown_key",
            f"{path}{key}",
            "not a key here",
            f"one of {', '.join(rules)}",
            suggest(str(key), rules).strip(),
        )
        for key in data
        if key not in rules
    ]
    for key, rule in rules.items():
        value = data.get(key, _MISSING)
        name = f"{path}{key}"
        if value is _MISSING:
            if rule.required:
                faults.append(Fault("missing_key", name, "missing", rule.expected))
        elif not rule.test(value):
            hint = ""
            if isinstance(value, str) and rule.choices:
                hint = suggest(value, rule.choices).strip()
            elif isinstance(value, str) and rule.code == "unknown_tz":
                hint = suggest(value, _zones()).strip()
            elif isinstance(value, str) and rule.code == "out_of_range":
                hint = "Write the number without quotes."
            faults.append(Fault(rule.code, name, _show(value), rule.expected, hint))
    return faults


def _check_arms(data: Mapping[str, object]) -> list[Fault]:
    arms = data.get("arms")
    if not isinstance(arms, Mapping):
        return []
    faults = [
        Fault("bad_text", f"arms.{arm}", _show(arm), _TEXT.expected)
        for arm in arms
        if not _is_text(arm)
    ]
    faults += [
        Fault(
            "bad_weights",
            f"arms.{arm}",
            _show(weight),
            "a finite weight, 0 (closed) or more",
        )
        for arm, weight in arms.items()
        if not (_is_number(weight) and 0 <= weight < float("inf"))
    ]
    opened = [arm for arm, weight in arms.items() if _is_number(weight) and weight > 0]
    if len(opened) < 2 and not faults:
        seen = f"{_show(dict(arms))}"
        hint = "Give the arms that receive traffic a weight."
        faults.append(Fault("bad_weights", "arms", seen, "two or more open arms", hint))
    control = data.get("control")
    if _is_text(control) and control not in arms:
        hint = suggest(str(control), arms).strip()
        expected = f"one of the arms {', '.join(map(str, arms))}"
        faults.append(Fault("unknown_arm", "control", repr(control), expected, hint))
    elif _is_text(control) and control not in opened and not faults:
        hint = "The control is what the other arms are measured against."
        faults.append(
            Fault("bad_weights", f"arms.{control}", "0", "above 0 (control)", hint)
        )
    return faults


def _check_dates(data: Mapping[str, object]) -> list[Fault]:
    start, end = read_date(data.get("start")), read_date(data.get("end"))
    if start and end and start >= end:
        hint = "The end is exclusive: the first day that no longer counts."
        return [Fault("conflict", "end", str(end), f"after start ({start})", hint)]
    return []


def plan_faults(
    plan: Mapping[str, object], *, start: date | None = None
) -> list[Fault]:
    """Return every fault in the ``[plan]`` table.

    Parameters
    ----------
    plan : mapping
        The keys of the table.
    start : date, optional
        First day of the experiment.

    Returns
    -------
    list of Fault
        Empty if the plan can be used.
    """
    found = _check(plan, _PLAN, "plan.")
    kind = plan.get("kind", "fixed")
    if kind not in _PLAN["kind"].choices:
        return found
    owners = {
        "looks": ("group_sequential", "always_valid", "hybrid"),
        "spending": ("group_sequential",),
        "rho": ("group_sequential",),
        "monitor_share": ("hybrid",),
    }
    faults = [
        Fault("conflict", f"plan.{key}", f"given for a {kind} plan", "left out")
        for key, kinds in owners.items()
        if key in plan and kind not in kinds
    ]
    if kind != "fixed" and "units" not in plan:
        hint = "How far along the experiment is, is measured by them."
        expected = "the units planned over all arms"
        faults.append(Fault("missing_key", "plan.units", "missing", expected, hint))
    if "rho" in plan and plan.get("spending") != "power" and not faults:
        seen = f"given for spending {plan.get('spending', 'obrien_fleming')!r}"
        faults.append(Fault("conflict", "plan.rho", seen, "left out, or power"))
    looks = plan.get("looks")
    if isinstance(looks, list | tuple) and _are_looks(looks):
        first = read_date(looks[0])
        if first and start and first < start:
            seen, expected = str(first), f"on the first day ({start}) or later"
            faults.append(Fault("conflict", "plan.looks", seen, expected))
    return found + faults


def _check_distinct(what: str, names: Sequence[object]) -> list[Fault]:
    twice = [name for name, count in Counter(map(str, names)).items() if count > 1]
    return [
        Fault("duplicate_name", what, f"{name!r} twice", "all different")
        for name in twice
        if name != "None"
    ]


def _check_reserved(data: Mapping[str, object], names: Sequence[object]) -> list[Fault]:
    columns = data.get("columns")
    given = dict(columns) if isinstance(columns, Mapping) else {}
    defaults = {"unit": "unit_id", "variant": "variant", "day": "exposure_ds"}
    taken = {*(defaults | given).values(), "exposure_ts"}
    return [
        Fault(
            "bad_name",
            f"metric or covariate {name!r}",
            "the name of a column of the unit table",
            "another name",
        )
        for name in names
        if name in taken
    ]


def _check_metric(
    item: Mapping[str, object], path: str, *, no_harm: bool
) -> list[Fault]:
    faults: list[Fault] = []
    role, kind = item.get("role"), item.get("kind")
    if role in ("goal", "guardrail") and "good" not in item:
        hint = "Say which way is an improvement."
        faults.append(
            Fault("missing_key", f"{path}good", "missing", "up or down", hint)
        )
    if "margin" not in item:
        why = {
            "guardrail": "A guardrail passes when it is shown to lose less than this.",
            "goal": "Objective no_harm ships when a goal loses less than this.",
        }
        if role == "guardrail" or (role == "goal" and no_harm):
            expected = "a number above 0, the loss one can bear"
            faults.append(
                Fault(
                    "margin_missing",
                    f"{path}margin",
                    "missing",
                    expected,
                    why[str(role)],
                )
            )
        if "margin_kind" in item:
            name, seen = f"{path}margin_kind", "given without a margin"
            faults.append(Fault("conflict", name, seen, "left out, or a margin given"))
    elif role == "diagnostic":
        name, seen = f"{path}margin", "given for a diagnostic"
        hint = "Diagnostics explain and never decide; make it a guardrail."
        faults.append(Fault("conflict", name, seen, "left out", hint))
    if "test" in item and kind in ("mean", "ratio", "quantile"):
        name, seen = f"{path}test", f"given for kind {kind!r}"
        faults.append(Fault("conflict", name, seen, "left out (shares only)"))
    margin = item.get("margin")
    relative = item.get("margin_kind", "relative") == "relative"
    if relative and _is_number(margin) and margin >= 1:  # type: ignore[operator]
        hint = "Write 2% as 0.02, or set margin_kind to absolute."
        name, expected = f"{path}margin", "below 1 (a share of the control's mean)"
        faults.append(Fault("out_of_range", name, _show(margin), expected, hint))
    return faults


def _check_adjusted(item: Mapping[str, object], path: str) -> list[Fault]:
    if item.get("test", "wald") == "wald":
        return []
    hint = "Leave the covariates out, or set adjust to none."
    seen = f"{item['test']!r} beside covariates"
    return [Fault("conflict", f"{path}test", seen, "wald when adjusted", hint)]


def _check_parts(item: Mapping[str, object], path: str) -> list[Fault]:
    """Check `value`, or `numerator` and `denominator` for a ratio."""
    faults: list[Fault] = []
    kind = item.get("kind")
    wanted = ("numerator", "denominator") if kind == "ratio" else ("value",)
    unwanted = {"value", "numerator", "denominator"} - set(wanted)
    if kind in KINDS:
        faults += [
            Fault("conflict", f"{path}{key}", f"given for kind {kind!r}", "left out")
            for key in sorted(unwanted & item.keys())
        ]
        faults += [
            Fault(
                "missing_key",
                f"{path}{key}",
                "missing",
                "a table that says what is summed, such as { column = 'orders' }",
            )
            for key in wanted
            if kind == "ratio" and key not in item
        ]
    built: list[bool] = []
    for key in wanted:
        if isinstance(value := item.get(key), Mapping):
            faults += _check_source(value, f"{path}{key}.", share=kind == "proportion")
            built.append("table" in value)
    if any(one != two for one, two in pairwise(built)):
        name, seen = f"{path}denominator", "not built as the numerator is"
        expected = "both from canonical tables, or both columns"
        faults.append(Fault("conflict", name, seen, expected))
    return faults


def source_faults(value: Mapping[str, object], path: str) -> list[Fault]:
    """Return every fault in a table that says which canonical rows are meant."""
    return _check_source(value, path, built=True)


def _check_source(
    value: Mapping[str, object], path: str, *, built: bool = False, share: bool = False
) -> list[Fault]:
    faults = _check(value, _SOURCE, path)
    table, agg = value.get("table"), value.get("agg")
    if "table" not in value:
        if built:
            expected = _SOURCE["table"].expected
            faults.append(Fault("missing_key", f"{path}table", "missing", expected))
        extra = [key for key in ("agg", "event", "where") if key in value]
        faults += [
            Fault("conflict", f"{path}{key}", "given without a table", "left out")
            for key in extra
            if not built
        ]
        if not extra and not built and "column" not in value:
            expected = "a column of the unit table, or a canonical table"
            faults.append(Fault("missing_key", f"{path}column", "missing", expected))
        return faults
    if "agg" not in value:
        expected = _SOURCE["agg"].expected
        faults.append(Fault("missing_key", f"{path}agg", "missing", expected))
    if agg in ("sum", "distinct", "each") and "column" not in value:
        expected = f"the column to {agg}"
        faults.append(Fault("missing_key", f"{path}column", "missing", expected))
    if agg in ("any", "count") and "column" in value:
        faults.append(
            Fault("conflict", f"{path}column", f"given for agg {agg!r}", "left out")
        )
    if share and agg in ("count", "sum", "distinct", "each"):
        hint = "A proportion is 0 or 1 a unit; make it a mean to count."
        faults.append(Fault("conflict", f"{path}agg", repr(agg), "any", hint))
    if "event" in value and table != "events":
        seen = f"given for table {table!r}"
        faults.append(Fault("conflict", f"{path}event", seen, "left out (events only)"))
    if _is_where(value.get("where")):
        faults += _check_where(value["where"], f"{path}where")
    return faults


def _check_methods(
    item: Mapping[str, object], path: str, data: Mapping[str, object]
) -> list[Fault]:
    """Check how a metric is capped, stratified, or read as a quantile."""
    kind = item.get("kind")
    faults = _check_quantile(item, path)
    if data.get("cluster") is not None and kind == "quantile":
        seen = "a quantile beside a cluster"
        hint = "Declare the mean, or randomise units."
        faults.append(Fault("conflict", f"{path}kind", seen, "another kind", hint))
    if isinstance(cap := item.get("cap"), Mapping):
        faults += _check_cap(cap, f"{path}cap.", item, data)
    if "stratify" in item:
        adjusted = bool(item.get("covariates")) and data.get("adjust") != "none"
        for clash, seen in (
            (kind == "quantile", "given for a quantile"),
            (adjusted, "given beside covariates"),
            (data.get("cluster") is not None, "given beside a cluster"),
            (item.get("test", "wald") != "wald", f"given beside {item.get('test')!r}"),
        ):
            if clash:
                name, expected = f"{path}stratify", "left out"
                hint = "One adjustment a metric."
                faults.append(Fault("conflict", name, seen, expected, hint))
    return faults


def _check_quantile(item: Mapping[str, object], path: str) -> list[Fault]:
    """Check that quantiles say which one, and others do not."""
    kind = item.get("kind")
    if kind != "quantile":
        faults = []
        if "q" in item:
            seen = f"given for kind {kind!r}"
            faults.append(Fault("conflict", f"{path}q", seen, "left out"))
        value = item.get("value")
        if isinstance(value, Mapping) and value.get("agg") == "each":
            hint = "Only a quantile reads each row; sum or count them."
            name = f"{path}value.agg"
            faults.append(Fault("conflict", name, "'each'", "another agg", hint))
        return faults
    faults = [
        Fault("conflict", f"{path}{key}", "given for a quantile", "left out")
        for key in ("covariates", "cap")
        if item.get(key)
    ]
    if "q" not in item:
        expected = "the quantile, above 0 and below 1"
        faults.append(Fault("missing_key", f"{path}q", "missing", expected))
    return faults


def _check_cap(
    cap: Mapping[str, object],
    path: str,
    item: Mapping[str, object],
    data: Mapping[str, object],
) -> list[Fault]:
    faults = _check(cap, _CAP, path)
    kind = item.get("kind")
    if kind == "proportion":
        seen = "given for kind 'proportion'"
        faults.append(Fault("conflict", path.rstrip("."), seen, "left out"))
    for key, quantile in (("at", "upper"), ("at_lower", "lower")):
        if key not in cap:
            continue
        if quantile in cap:
            seen, expected = f"given beside {key}", "one of the two"
            faults.append(Fault("conflict", f"{path}{quantile}", seen, expected))
        if kind in ("mean", "ratio") and (
            isinstance(cap[key], list | tuple) != (kind == "ratio")
        ):
            expected = "two numbers for a ratio, else one"
            seen = _show(cap[key])
            faults.append(Fault("wrong_type", f"{path}{key}", seen, expected))
    faults += _check_ends(cap, path)
    plan = data.get("plan")
    sequential = isinstance(plan, Mapping) and plan.get("kind", "fixed") != "fixed"
    moving = "lower" in cap or ("at" not in cap and cap.get("upper") != 1)
    if sequential and moving and cap.get("decides", "capped") == "capped":
        hint = "Take it from history; a threshold that moves with the data undoes"
        faults.append(
            Fault(
                "cap_not_frozen",
                f"{path}at",
                "missing under a sequential plan",
                "a threshold fixed beforehand",
                f"{hint} the plan's error rate.",
            )
        )
    return faults


def _check_ends(cap: Mapping[str, object], path: str) -> list[Fault]:
    """Check that the lower threshold is below the upper one."""
    pairs: list[tuple[object, object]] = [(cap.get("lower"), cap.get("upper", 0.999))]
    low, high = cap.get("at_lower"), cap.get("at")
    if isinstance(low, list | tuple) and isinstance(high, list | tuple):
        pairs += zip(low, high, strict=False)
    else:
        pairs.append((low, high))
    return [
        Fault("conflict", f"{path}lower", _show(low), f"below the upper ({high})")
        for low, high in pairs
        if _is_finite(low) and _is_finite(high) and not low < high  # type: ignore[operator]
    ]


def _check_unit(data: Mapping[str, object]) -> list[Fault]:
    """Check that clusters and strata are said where they mean something."""
    faults = []
    if data.get("cluster") is not None:
        if data.get("unit") != "cluster":
            seen = f"given for unit {data.get('unit', 'user')!r}"
            hint = "Say unit = 'cluster', or leave the column out."
            faults.append(
                Fault("conflict", "cluster", seen, "with unit = 'cluster'", hint)
            )
        if data.get("stratify") is not None:
            seen = "given beside a cluster"
            faults.append(Fault("conflict", "stratify", seen, "left out"))
    return faults


def _check_where(where: object, path: str) -> list[Fault]:
    from growth.engine import parse_where

    try:
        parse_where(where, path=path)
    except ParameterError as error:
        if error.faults:
            return list(error.faults)
        seen, expected = _show(where), "a list of conditions"
        return [Fault(error.code, path, seen, expected, str(error))]
    return []


def _check_covariates(
    item: Mapping[str, object], path: str, declared: Sequence[object]
) -> list[Fault]:
    names = item.get("covariates")
    if not isinstance(names, list | tuple):
        return []
    faults = _check_distinct(f"{path}covariates", names)
    parts = [item.get(key) for key in ("value", "numerator", "denominator")]
    if any(isinstance(part, Mapping) and "table" in part for part in parts):
        faults += [
            Fault(
                "unknown_covariate",
                f"{path}covariates",
                repr(name),
                "declared in a [[covariate]]",
                suggest(str(name), map(str, declared)).strip(),
            )
            for name in names
            if name not in declared
        ]
    if item.get("name") in names:
        hint = "A covariate is known before exposure; the metric is not."
        seen, expected = "the metric itself", "another column"
        faults.append(Fault("conflict", f"{path}covariates", seen, expected, hint))
    return faults
