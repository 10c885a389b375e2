"""The mapping file: what a foreign table's columns mean, read and checked whole.

A mapping is TOML. ``[table]`` says what the rows are, ``[columns]`` where each
canonical column comes from, ``[items]`` where a nested list becomes another table,
``[aliases]`` older names of foreign columns, ``[values.<name>]`` what foreign
values mean, ``[constants]`` what is the same in every row, ``[keep]`` what goes to
``props`` and ``[ignore]`` what is left behind.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from growth.dataset.personal import looks_personal
from growth.dataset.pseudonyms import KINDS
from growth.dataset.schema import SCHEMA
from growth.dataset.transforms import MONEY, TIMES, TRANSFORMS, plain_text
from growth.engine.days import zone
from growth.engine.where import parse_where
from growth.errors import Fault, MappingError, ParameterError, suggest

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from growth.dataset.schema import Column, TableSchema

__all__ = ["Filter", "Spec", "TableMapping", "load_mapping"]

FORMATS: Final = ("csv", "jsonl", "json", "parquet", "wechat_bill")
TABULAR: Final = ("csv", "parquet", "wechat_bill")
IDS: Final = ("pseudonym", "opaque")
# reasons a filter may give; rows it turns away are no failures
SET_ASIDE: Final = ("not_an_event", "no_consent")
_SECTIONS: Final = (
    "table",
    "columns",
    "items",
    "aliases",
    "values",
    "constants",
    "keep",
    "ignore",
)
_TABLE_KEYS: Final = (
    "name",
    "format",
    "source",
    "encoding",
    "tz",
    "ids",
    "max_reject_rate",
    "query_allow",
    "record",
)
_SPEC_KEYS: Final = (
    "from",
    "transform",
    "format",
    "values",
    "when",
    "const",
    "empty",
    "null_values",
    "require",
)
_FILTER_WORDS: Final = ("path", "equals", "in", "else", "inconsistent", "where")
_SCALARS = (str, int, float, bool, date, datetime)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One way to fill a column.

    Parameters
    ----------
    paths : tuple of str
        Dotted paths of the values it takes; none for a constant.
    transform, pattern : str
        What makes a canonical value of them; how a local time is written.
    values : mapping of str to object, optional
        Foreign value, as text, to canonical value; others stay as they are.
    when : tuple of (str, str), optional
        The path and the text its value must have; else the spec gives nothing.
    const : object
        The value, where there are no paths.
    empty : object
        What a missing value becomes; None leaves it missing.
    null_values : tuple of str
        Values, as text, that mean nothing.
    require : str, optional
        The only text the value may have.
    """

    paths: tuple[str, ...] = ()
    transform: str = ""
    pattern: str = ""
    values: Mapping[str, object] | None = None
    when: tuple[str, str] | None = None
    const: object = None
    empty: object = None
    null_values: tuple[str, ...] = ()
    require: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One record filter.

    Parameters
    ----------
    where : Any
        An `engine.Where`.
    paths : tuple of str
        Paths it reads.
    reason : str
        Reason of the rows it sets aside.
    words : str
        What the mapping says of them.
    casts : mapping of str to type
        Paths compared as text, numbers or truth values, whatever the source holds.
    rejects_matches : bool
        Whether the rows that match are set aside, instead of those that do not.
    stops : bool
        Whether one row set aside means that the payload is not what it claims.
    """

    where: Any
    paths: tuple[str, ...]
    reason: str
    words: str
    casts: Mapping[str, type] = field(default_factory=dict)
    rejects_matches: bool = False
    stops: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TableMapping:
    """A mapping file, read and checked; made by `load_mapping`.

    Parameters
    ----------
    path : Path
        The file.
    sha256 : str
        Hash of its bytes.
    table : TableSchema
        The canonical table, or ``units``.
    format, source, encoding : str
        How the foreign file is written; what the source is called.
    tz : str
        Zone of local times and business days; empty if not stated.
    opaque : bool
        Whether ids are ready pseudonyms.
    max_reject_rate : float, optional
        Share of bad rows allowed, in [0, 1]; None: the usual one.
    columns : mapping of str to tuple of Spec
        Per canonical column the ways to fill it; the first non-missing wins.
    items_path : str
        Where the nested list is; empty if there is none.
    items : mapping of str to tuple of Spec
        Columns of the nested table.
    aliases : mapping of str to str
        Older foreign name to the name used here.
    keep, ignore, query_allow : tuple of str
        Foreign columns kept in ``props``, left behind; query keys allowed.
    filters : tuple of Filter
        In the order they are tried.
    """

    path: Path
    sha256: str
    table: TableSchema
    format: str
    source: str
    encoding: str
    tz: str
    opaque: bool
    max_reject_rate: float | None
    columns: Mapping[str, tuple[Spec, ...]]
    items_path: str = ""
    items: Mapping[str, tuple[Spec, ...]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    query_allow: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()

    @property
    def is_tabular(self) -> bool:
        """Whether every row has the same columns, known from a header."""
        return self.format in TABULAR

    @property
    def needs_key(self) -> bool:
        """Whether loading makes pseudonyms."""
        return any(
            spec.transform.startswith("id:") or spec.transform == "hash"
            for specs in (*self.columns.values(), *self.items.values())
            for spec in specs
        )

    def paths(self) -> Iterator[str]:
        """Yield every foreign path the mapping reads, perhaps more than once."""
        for specs in self.columns.values():
            for spec in specs:
                yield from spec.paths
                if spec.when:
                    yield spec.when[0]
        for item in self.filters:
            yield from item.paths

    def error(self, *faults: Fault) -> MappingError:
        """Return the error that names this file and all `faults`."""
        return _error(self.path, faults)


def load_mapping(path: str | os.PathLike[str]) -> TableMapping:
    """Read a mapping file; every fault in it is told at once.

    Parameters
    ----------
    path : path
        A TOML file.

    Returns
    -------
    TableMapping
        What the file says.

    Raises
    ------
    MappingError
        If there is no such file, it is not TOML, or it names something that cannot
        be; `faults` holds every fault with its key.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        tree = tomllib.loads(data.decode("utf-8-sig"))
    except OSError as error:
        fault = Fault(
            "not_found", path.name, "not readable", "a TOML file", "Check the path."
        )
        raise _error(path, [fault]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        fault = Fault(
            "not_toml",
            path.name,
            f"not TOML ({error})",
            "a TOML file in UTF-8",
            "Correct the line named.",
        )
        raise _error(path, [fault]) from error
    return _Reader(path, hashlib.sha256(data).hexdigest(), tree).read()


def _error(path: Path, faults: list[Fault] | tuple[Fault, ...]) -> MappingError:
    error = MappingError.of(f"mapping {path}", dict.fromkeys(faults))
    error.code = MappingError.code  # the faults have codes of their own
    return error


class _Reader:
    """Walks the parsed file once and collects its faults."""

    def __init__(self, path: Path, sha256: str, tree: dict[str, Any]) -> None:
        self.path = path
        self.sha256 = sha256
        self.tree = tree
        self.faults: list[Fault] = []

    def fault(
        self, code: str, name: str, seen: str, expected: str, hint: str = ""
    ) -> None:
        self.faults.append(Fault(code, name, seen, expected, hint))

    def section(self, name: str) -> dict[str, Any]:
        value = self.tree.get(name, {})
        if isinstance(value, dict):
            return value
        self.fault("bad_type", name, repr(value), "a table", f"Write [{name}].")
        return {}

    def unknown(
        self, where: str, keys: Mapping[str, object], known: tuple[str, ...]
    ) -> None:
        for key in keys:
            if key not in known:
                self.fault(
                    "unknown_key",
                    f"{where}.{key}" if where else key,
                    "not known here",
                    f"one of {list(known)}",
                    suggest(key, known).strip(),
                )

    def read(self) -> TableMapping:
        self.unknown("", self.tree, _SECTIONS)
        table = self.section("table")
        self.unknown("table", table, _TABLE_KEYS)
        schema = self.schema(table)
        made = TableMapping(
            path=self.path,
            sha256=self.sha256,
            table=schema,
            format=self.choice(table, "format", FORMATS, "csv"),
            source=self.text(table, "source", ""),
            encoding=self.encoding(table),
            tz=self.tz(table),
            opaque=self.choice(table, "ids", IDS, "pseudonym") == "opaque",
            max_reject_rate=self.rate(table),
            columns={},
            aliases=self.aliases(),
            keep=self.names("keep"),
            ignore=self.names("ignore"),
            query_allow=self.texts("table.query_allow", table.get("query_allow", [])),
            filters=self.filters(table.get("record")),
        )
        columns = self.columns("columns", self.section("columns"), made)
        self.constants(columns, made)
        if made.source and "source" in schema.by_name:
            columns.setdefault("source", (Spec(const=made.source),))
        items_path, items = self.items(made)
        self.required(schema, columns, "columns", derived=_DERIVED.get(schema.name, ()))
        for name in made.keep:
            if looks_personal(name):
                self.fault(
                    "personal",
                    "keep.columns",
                    f"holding {name}",
                    "free of personal data",
                    f"{name} looks personal; ignore it or pseudonymise it.",
                )
        if self.faults:
            raise _error(self.path, self.faults)
        from dataclasses import replace

        return replace(made, columns=columns, items_path=items_path, items=items)

    # -- [table] ---------------------------------------------------------------

    def schema(self, table: dict[str, Any]) -> TableSchema:
        name = self.text(table, "name", "")
        if name in SCHEMA:
            return SCHEMA[name]
        self.fault(
            "unknown_table",
            "table.name",
            repr(name) if name else "absent",
            f"one of {list(SCHEMA)}",
            suggest(name, SCHEMA).strip(),
        )
        raise _error(self.path, self.faults)

    def text(self, table: dict[str, Any], key: str, default: str) -> str:
        value = table.get(key, default)
        if isinstance(value, str):
            return value
        self.fault("bad_type", f"table.{key}", repr(value), "text")
        return default

    def choice(
        self, table: dict[str, Any], key: str, known: tuple[str, ...], default: str
    ) -> str:
        value = self.text(table, key, default)
        if value in known:
            return value
        hint = suggest(value, known).strip()
        seen, expected = repr(value), f"one of {list(known)}"
        self.fault("unknown_value", f"table.{key}", seen, expected, hint)
        return default

    def encoding(self, table: dict[str, Any]) -> str:
        name = self.text(table, "encoding", "utf-8-sig")
        try:
            "".encode(name)
        except LookupError:
            self.fault("unknown_value", "table.encoding", repr(name), "an encoding")
        return name

    def tz(self, table: dict[str, Any]) -> str:
        name = self.text(table, "tz", "")
        if name:
            try:
                zone(name)
            except ParameterError as error:
                self.fault("bad_timezone", "table.tz", repr(name), "a zone", str(error))
                return ""
        return name

    def rate(self, table: dict[str, Any]) -> float | None:
        value = table.get("max_reject_rate")
        if value is None:
            return None
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and 0 <= value <= 1:
            return float(value)
        hint = "Write 2% as 0.02."
        where = "table.max_reject_rate"
        self.fault("out_of_range", where, repr(value), "a share in [0, 1]", hint)
        return None

    def filters(self, data: object) -> tuple[Filter, ...]:
        if data is None:
            return ()
        # a list of clauses is one filter; a list of tables with own words are many
        if isinstance(data, list) and not any(
            isinstance(item, dict) and set(item) & set(_FILTER_WORDS) - {"in"}
            for item in data
        ):
            data = {"where": data}
        found = []
        for place, item in enumerate(data if isinstance(data, list) else [data]):
            where = (
                f"table.record[{place}]" if isinstance(data, list) else "table.record"
            )
            if not isinstance(item, dict):
                self.fault("bad_type", where, repr(item), "a table", "See `where`.")
            elif (made := self.filter(where, item)) is not None:
                found.append(made)
        return tuple(found)

    def filter(self, name: str, data: dict[str, Any]) -> Filter | None:
        words = {key: data[key] for key in ("else", "inconsistent") if key in data}
        clause: object = {k: v for k, v in data.items() if k not in words}
        casts: dict[str, type] = {}
        if "path" in data:
            casts = {str(data["path"]): str}
            self.unknown(name, data, ("path", "equals", "in", "else", "inconsistent"))
            wanted = [data["equals"]] if "equals" in data else data.get("in", [])
            texts = [plain_text(item) for item in wanted]
            clause = {"col": data["path"], "in": texts}
        elif "where" in data:
            self.unknown(name, data, ("where", "else", "inconsistent"))
            clause = data["where"]
        leaves = list(_leaves(clause))
        casts = casts or {
            leaf["col"]: found for leaf in leaves if (found := _cast(leaf))
        }
        if len(words) == 2 or not all(isinstance(w, str) for w in words.values()):
            self.fault("bad_filter", name, str(words), "else or inconsistent, as text")
            return None
        otherwise = words.get("else", "not_an_event")
        if otherwise not in (*SET_ASIDE, "error"):
            known = [*SET_ASIDE, "error"]
            hint = suggest(otherwise, known).strip()
            where = f"{name}.else"
            self.fault("unknown_value", where, otherwise, f"one of {known}", hint)
        try:
            parsed = parse_where(clause, path=name)
        except ParameterError as error:
            self.faults.extend(
                error.faults
                or [Fault("bad_filter", name, "unusable", "a filter", str(error))]
            )
            return None
        return Filter(
            where=parsed,
            paths=parsed.columns,
            reason="inconsistent" if "inconsistent" in words else otherwise,
            words=words.get("inconsistent", ""),
            casts=casts,
            rejects_matches="inconsistent" in words,
            stops=otherwise == "error",
        )

    # -- the other sections ----------------------------------------------------

    def aliases(self) -> dict[str, str]:
        found = {}
        for name, value in self.section("aliases").items():
            if isinstance(value, str):
                found[name] = value
            else:
                self.fault(
                    "bad_type", f"aliases.{name}", repr(value), "a column's name"
                )
        return found

    def names(self, section: str) -> tuple[str, ...]:
        data = self.section(section)
        self.unknown(section, data, ("columns",))
        return self.texts(f"{section}.columns", data.get("columns", []))

    def texts(self, name: str, value: object) -> tuple[str, ...]:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        self.fault("bad_type", name, repr(value), "a list of texts")
        return ()

    def columns(
        self, section: str, data: dict[str, Any], made: TableMapping
    ) -> dict[str, tuple[Spec, ...]]:
        schema = SCHEMA["order_items"] if section == "items" else made.table
        found: dict[str, tuple[Spec, ...]] = {}
        for target, value in data.items():
            name = f"{section}.{target}"
            known = schema.by_name.get(target)
            if known is None and not schema.free:
                self.fault(
                    "unknown_target",
                    name,
                    f"unknown target {target}",
                    f"a column of {schema.name}",
                    suggest(target, schema.by_name).strip()
                    or "Put the foreign column under [keep] or [ignore].",
                )
                continue
            raw = value if isinstance(value, list) else [value]
            specs = [
                spec
                for place, item in enumerate(raw)
                if (spec := self.spec(_at(name, place, raw), item)) is not None
            ]
            for place, spec in enumerate(specs):
                self.meaning(_at(name, place, raw), target, known, spec, made)
            found[target] = tuple(specs)
        return found

    def spec(self, name: str, value: object) -> Spec | None:
        if isinstance(value, str):
            return Spec(paths=(value,))
        if not isinstance(value, dict):
            self.fault("bad_type", name, repr(value), "a path or a table of keys")
            return None
        self.unknown(name, value, _SPEC_KEYS)
        source = value.get("from", [])
        paths = (
            (source,) if isinstance(source, str) else self.texts(f"{name}.from", source)
        )
        if bool(paths) == ("const" in value):
            self.fault(
                "bad_spec", name, "without a source", "given from or const, not both"
            )
        nulls = value.get("null_values", [])
        if not isinstance(nulls, list):
            self.fault("bad_type", f"{name}.null_values", repr(nulls), "a list")
            nulls = []
        require = value.get("require")
        return Spec(
            paths=paths,
            transform=self.transform(name, value, paths),
            pattern=self.inner_text(name, value, "format"),
            values=self.values(name, value),
            when=self.when(name, value),
            const=self.scalar(name, value, "const"),
            empty=self.scalar(name, value, "empty"),
            null_values=tuple(plain_text(item) for item in nulls),
            require=None if require is None else plain_text(require),
        )

    def inner_text(self, name: str, value: dict[str, Any], key: str) -> str:
        text = value.get(key, "")
        if isinstance(text, str):
            return text
        self.fault("bad_type", f"{name}.{key}", repr(text), "text")
        return ""

    def scalar(self, name: str, value: dict[str, Any], key: str) -> object:
        found = value.get(key)
        if found is None or isinstance(found, _SCALARS):
            return found
        self.fault("bad_type", f"{name}.{key}", repr(found), "a single value")
        return None

    def transform(
        self, name: str, value: dict[str, Any], paths: tuple[str, ...]
    ) -> str:
        transform = self.inner_text(name, value, "transform")
        known = (*TRANSFORMS, *(f"id:{kind}" for kind in KINDS))
        if transform and transform not in known:
            self.fault(
                "unknown_transform",
                f"{name}.transform",
                repr(transform),
                f"one of {list(known)}",
                suggest(transform, known).strip(),
            )
            return ""
        if len(paths) > 1 and transform != "sha256":
            self.fault(
                "bad_spec",
                name,
                f"from {len(paths)} paths",
                "from one path; only sha256 takes several",
                "Write a list of specs if the first non-missing is meant.",
            )
        return transform

    def values(self, name: str, value: dict[str, Any]) -> Mapping[str, object] | None:
        given = value.get("values")
        if given is None:
            return None
        tables = self.section("values")
        found = tables.get(given) if isinstance(given, str) else None
        if not isinstance(found, dict):
            self.fault(
                "unknown_values",
                f"{name}.values",
                repr(given),
                f"the name of a [values.<name>] table: {list(tables)}",
                suggest(str(given), tables).strip(),
            )
            return None
        for key, item in found.items():
            if not isinstance(item, _SCALARS):
                self.fault("bad_type", f"values.{given}.{key}", repr(item), "a value")
        return found

    def when(self, name: str, value: dict[str, Any]) -> tuple[str, str] | None:
        if "when" not in value:
            return None
        text = self.inner_text(name, value, "when")
        path, equals, wanted = text.partition("=")
        if not equals or not path.strip():
            self.fault("bad_spec", f"{name}.when", repr(text), "'path = value'")
            return None
        return path.strip(), wanted.strip()

    def meaning(
        self,
        name: str,
        target: str,
        known: Column | None,
        spec: Spec,
        made: TableMapping,
    ) -> None:
        """Refuse what would be read, and mean something else than the column."""
        plain = bool(spec.paths) and not spec.transform
        is_money = target.endswith("_fen") or (
            known is not None and known.unit == "fen"
        )
        if is_money and spec.paths and spec.transform not in MONEY:
            self.fault(
                "money_without_unit",
                name,
                "money without a unit",
                f"given one of {list(MONEY)}",
                f"{target} needs transform yuan or fen.",
            )
        if spec.transform == "local" and not made.tz:
            self.fault(
                "no_timezone",
                "table.tz",
                "absent",
                "an IANA name such as 'Asia/Shanghai'",
                "tz is required for transform local.",
            )
        if (
            known is not None
            and known.kind == "instant"
            and spec.transform
            and (spec.transform not in TIMES)
        ):
            seen, expected = spec.transform, f"one of {list(TIMES)}"
            self.fault("bad_spec", f"{name}.transform", seen, expected)
        if known is not None and known.pseudonym and plain and not made.opaque:
            self.fault(
                "raw_id",
                name,
                "a raw id",
                "pseudonymised",
                f"{target} needs transform id:<kind> (one of {list(KINDS)}); if it "
                'holds ready pseudonyms, state ids = "opaque" under [table].',
            )
        exposed = spec.transform in ("", "text", "lower") and target != "unit_id"
        if exposed and not (known is not None and known.pseudonym):
            for path in spec.paths:
                if looks_personal(path):
                    self.fault(
                        "personal",
                        name,
                        f"read from {path}",
                        "free of personal data",
                        f"{path} looks personal; ignore it or pseudonymise it.",
                    )

    def constants(
        self, columns: dict[str, tuple[Spec, ...]], made: TableMapping
    ) -> None:
        for target, value in self.section("constants").items():
            if target in columns:
                self.fault(
                    "set_twice",
                    target,
                    "set twice (columns and constants)",
                    "in one of them",
                    "Remove one.",
                )
                continue
            if not isinstance(value, _SCALARS):
                self.fault("bad_type", f"constants.{target}", repr(value), "a value")
                continue
            given = {target: {"const": value}}
            columns.update(self.columns("constants", given, made))

    def items(self, made: TableMapping) -> tuple[str, dict[str, tuple[Spec, ...]]]:
        if "items" not in self.tree:
            return "", {}
        data = dict(self.section("items"))
        path = data.pop("from", "")
        if made.table.name != "orders" or made.is_tabular:
            self.fault(
                "bad_items",
                "items",
                "given",
                "left out",
                "Only orders in JSON have lines inside them.",
            )
            return "", {}
        if not isinstance(path, str) or not path:
            self.fault("bad_items", "items.from", repr(path), "the path of a list")
        columns = self.columns("items", data, made)
        if made.source:
            columns.setdefault("source", (Spec(const=made.source),))
        derived = ("order_id", "line_no")
        self.required(SCHEMA["order_items"], columns, "items", derived=derived)
        return str(path), columns

    def required(
        self,
        schema: TableSchema,
        columns: Mapping[str, object],
        section: str,
        *,
        derived: tuple[str, ...],
    ) -> None:
        for name in schema.required:
            if name not in columns and name not in derived:
                self.fault(
                    "required_missing",
                    name,
                    "required, and not mapped",
                    f"in [{section}] or [constants]",
                    f"Without {name} there is no table {schema.name}.",
                )


# required columns a load makes out of others
_DERIVED: Final = {"payments": ("amount_fen",)}


def _at(name: str, place: int, raw: list[object]) -> str:
    return f"{name}[{place}]" if len(raw) > 1 else name


def _leaves(clause: object) -> Iterator[dict[str, Any]]:
    """Yield the comparisons of a filter, wherever they stand in it."""
    if isinstance(clause, dict):
        if isinstance(clause.get("col"), str):
            yield clause
        else:
            for value in clause.values():
                yield from _leaves(value)
    elif isinstance(clause, list):
        for item in clause:
            yield from _leaves(item)


def _cast(leaf: dict[str, Any]) -> type | None:
    """Return what a comparison's column is to be read as, when it is not text."""
    for word, value in leaf.items():
        if word not in ("col", "known"):
            first = value[0] if isinstance(value, list) and value else value
            if isinstance(first, bool):
                return bool
            if isinstance(first, int | float):
                return float
    return None
