"""Filters as data: one typed grammar for all rooms, never expression text.

A list means all of its members. A condition names a column and one or more
comparisons; ``all``, ``any`` and ``not`` combine conditions::

    [{col = "status", in = ["paid", "shipped"]},
     {any = [{col = "paid_fen", ge = 19900}, {not = {col = "coupon", known = true}}]}]

Logic is Kleene's: a NULL makes a comparison unknown, `not` unknown is unknown, and
a row is kept only where the whole is true. The same filter runs on an engine
(`Where.to_ibis`) and on one record (`Where.matches`), with one meaning.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import reduce
from math import isfinite
from typing import TYPE_CHECKING, Any

from growth.errors import ColumnNotFoundError, Fault, ParameterError, suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    import ibis.expr.types as ir

__all__ = ["Where", "parse_where"]

COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
TESTS = (*COMPARE, "in", "between", "is", "known")
COMBINE = ("all", "any", "not")
DEEPEST = 40
INT64 = range(-(2**63), 2**63)
Scalar = str | int | float | bool | date | datetime


@dataclass(frozen=True, slots=True)
class Where:
    """A filter: a comparison of one column, or a combination of filters.

    Parameters
    ----------
    op : str
        ``eq ne lt le gt ge in between is known``, or ``all any not``.
    column : str
        The column compared; "" for a combination.
    value : scalar or tuple
        What it is compared with: a tuple for ``in`` and ``between`` (both ends
        belong to it).
    parts : tuple of Where
        What is combined; one for ``not``.
    """

    op: str
    column: str = ""
    value: Scalar | tuple[Scalar, ...] = ()
    parts: tuple[Where, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns read, each once, in the order written."""
        return tuple(dict.fromkeys(leaf.column for leaf in _leaves(self)))

    def to_data(self) -> dict[str, object]:
        """Return the filter in its written form, ready for TOML.

        Returns
        -------
        dict
            What `parse_where` takes; dates stay dates.
        """
        if self.op == "not":
            return {"not": self.parts[0].to_data()}
        if self.parts or not self.column:
            return {self.op: [part.to_data() for part in self.parts]}
        several = isinstance(self.value, tuple)
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return {"col": self.column, self.op: value if several else self.value}

    def matches(self, record: Mapping[str, object]) -> bool | None:
        """Tell whether one record passes.

        Parameters
        ----------
        record : mapping of str to value
            A value per column; None and NaN are unknown. A datetime without a zone
            is UTC.

        Returns
        -------
        bool or None
            None is unknown: such a record is left out by a filter.

        Raises
        ------
        ColumnNotFoundError
            If the record lacks a column.
        ParameterError
            If a value is of another kind than it is compared with (code
            ``type_mismatch``).
        """
        match self.op:
            case "not":
                found = self.parts[0].matches(record)
                return None if found is None else not found
            case "all" | "any":
                return _kleene([part.matches(record) for part in self.parts], self.op)
        if self.column not in record:
            raise ColumnNotFoundError(self.column, record)
        seen = record[self.column]
        if isinstance(seen, float) and seen != seen:  # noqa: PLR0124  (NaN)
            seen = None
        if self.op == "known":
            return (seen is not None) is self.value
        if seen is None:
            return None
        kind = _kind_of_value(seen)
        if fault := _mismatch(self, kind):
            raise ParameterError.of("where does not fit the record", [fault])
        return bool(_test(self, _plain(seen), _ready(self, kind)))

    def to_ibis(self, table: ir.Table) -> ir.BooleanValue:
        """Return the filter as an expression over a table's columns.

        Parameters
        ----------
        table : ibis.Table
            The table to be filtered.

        Returns
        -------
        ibis boolean
            NULL where unknown, so that ``table.filter`` leaves the row out.

        Raises
        ------
        ColumnNotFoundError
            If the table lacks a column.
        ParameterError
            If a column is of another kind than it is compared with (code
            ``type_mismatch``; all faults at once).
        """
        faults = []
        for leaf in _leaves(self):
            if leaf.column not in table.columns:
                raise ColumnNotFoundError(leaf.column, table.columns)
            kind = _kind_of_type(table[leaf.column].type())
            if fault := _mismatch(leaf, kind):
                faults.append(fault)
        if faults:
            raise ParameterError.of("where does not fit the table", faults)
        return _build(self, table)


BOOLEAN_TESTS = ("eq", "ne", "in", "is")
EXPECTED = {
    "text": "text",
    "number": "a number",
    "bool": "true or false, by eq, ne, in or is",
    "date": "a date (2026-03-01)",
    "time": "a datetime with its zone (2026-03-01T08:00:00+08:00)",
}


def parse_where(
    data: object, *, columns: Collection[str] | None = None, path: str = "where"
) -> Where:
    """Read a filter, reporting everything wrong with it at once.

    Parameters
    ----------
    data : list, mapping, Where or None
        The written form; None is no condition. A value is text, a number, true or
        false, a date, or a datetime with its zone (ISO text will do for both);
        money may be ``{yuan = "199.00"}`` where the column is in fen (``*_fen``).
    columns : collection of str, optional
        The columns there are; any is taken if omitted.
    path : str, default "where"
        Where the filter stands, for the faults.

    Returns
    -------
    Where
        The filter.

    Raises
    ------
    ParameterError
        With all faults: ``where_shape``, ``unknown_key``, ``missing_key``,
        ``unknown_column``, ``bad_value``, ``naive_datetime``, ``where_empty``,
        ``where_too_deep``.

    Examples
    --------
    >>> where = parse_where([{"col": "status", "in": ["paid"]}])
    >>> where.matches({"status": "paid"}), where.matches({"status": None})
    (True, None)
    """
    faults: list[Fault] = []
    if data is None:
        data = []
    known = None if columns is None else tuple(columns)
    found = _parse(data, path, known, faults, 0)
    if faults:
        raise ParameterError.of(path, faults)
    return found


def _parse(
    data: object,
    path: str,
    columns: tuple[str, ...] | None,
    faults: list[Fault],
    depth: int,
) -> Where:
    nothing = Where("all")
    if depth > DEEPEST:
        seen = f"over {DEEPEST} levels deep"
        faults.append(Fault("where_too_deep", path, seen, "flatter", "Split it."))
        return nothing
    if isinstance(data, Where):
        data = data.to_data()
    if isinstance(data, list | tuple):
        members = [
            _parse(item, f"{path}[{i}]", columns, faults, depth + 1)
            for i, item in enumerate(data)
        ]
        return members[0] if len(members) == 1 else Where("all", parts=tuple(members))
    if not isinstance(data, dict):
        expected = "a list of conditions, or one such as {col = 'x', eq = 1}"
        faults.append(Fault("where_shape", path, repr(data), expected))
        return nothing
    if combined := [key for key in COMBINE if key in data]:
        return _parse_combined(data, combined[0], path, columns, faults, depth)
    return _parse_tests(data, path, columns, faults)


def _parse_combined(
    data: dict[Any, object],
    op: str,
    path: str,
    columns: tuple[str, ...] | None,
    faults: list[Fault],
    depth: int,
) -> Where:
    _stray(data, (op,), path, faults)
    inner = data[op]
    if op == "not":
        return Where(
            "not", parts=(_parse(inner, f"{path}.not", columns, faults, depth + 1),)
        )
    if not isinstance(inner, list | tuple):
        faults.append(
            Fault("where_shape", f"{path}.{op}", repr(inner), "a list of conditions")
        )
        return Where("all")
    if op == "any" and not inner:
        hint = "Nothing would ever pass; leave it out."
        faults.append(Fault("where_empty", f"{path}.any", "empty", "1 or more", hint))
    members = (
        _parse(item, f"{path}.{op}[{i}]", columns, faults, depth + 1)
        for i, item in enumerate(inner)
    )
    return Where(op, parts=tuple(members))


def _parse_tests(
    data: dict[Any, object],
    path: str,
    columns: tuple[str, ...] | None,
    faults: list[Fault],
) -> Where:
    _stray(data, ("col", *TESTS), path, faults)
    column = data.get("col")
    if not isinstance(column, str) or not column:
        code = "bad_value" if "col" in data else "missing_key"
        seen = repr(column) if "col" in data else "missing"
        faults.append(Fault(code, f"{path}.col", seen, "the name of a column"))
        column = ""
    elif columns is not None and column not in columns:
        hint = suggest(column, columns).strip()
        expected = f"one of {sorted(columns)}"
        faults.append(
            Fault("unknown_column", f"{path}.col", repr(column), expected, hint)
        )
    asked = [key for key in TESTS if key in data]
    if not asked:
        expected = f"one of {', '.join(TESTS)}"
        faults.append(Fault("missing_key", path, "without a comparison", expected))
    leaves = [
        Where(op, column, _value(op, data[op], column, f"{path}.{op}", faults))
        for op in asked
    ]
    return leaves[0] if len(leaves) == 1 else Where("all", parts=tuple(leaves))


def _stray(
    data: dict[Any, object], allowed: tuple[str, ...], path: str, faults: list[Fault]
) -> None:
    for key in data:
        if key not in allowed:
            hint = suggest(str(key), allowed).strip()
            expected = f"one of {', '.join(allowed)}"
            faults.append(
                Fault("unknown_key", f"{path}.{key}", "unknown", expected, hint)
            )


def _value(
    op: str, value: object, column: str, path: str, faults: list[Fault]
) -> Scalar | tuple[Scalar, ...]:
    if op in ("is", "known"):
        if not isinstance(value, bool):
            faults.append(Fault("bad_value", path, repr(value), "true or false"))
        return bool(value)
    if op not in ("in", "between"):
        return _scalar(value, column, path, faults)
    wanted = "a list of values" if op == "in" else "two values, [low, high]"
    short = isinstance(value, list | tuple) and (
        not value or (op == "between" and len(value) != 2)
    )
    if not isinstance(value, list | tuple) or short:
        faults.append(Fault("bad_value", path, repr(value), wanted))
        return ()
    return tuple(
        _scalar(item, column, f"{path}[{i}]", faults) for i, item in enumerate(value)
    )


def _scalar(value: object, column: str, path: str, faults: list[Fault]) -> Scalar:
    expected = "text, a number, true or false, a date, or a datetime with its zone"
    match value:
        case bool() | str():
            return value
        case int() if value in INT64:
            return value
        case float() if isfinite(value):
            return value
        case datetime():
            if value.utcoffset() is not None:
                return value
            hint = "Write its offset: 2026-03-01T08:00:00+08:00."
            faults.append(Fault("naive_datetime", path, repr(value), "zoned", hint))
            return ""
        case date():
            return value
        case {"yuan": str() as text, **rest} if not rest:
            fen = _fen(text)
            if fen is not None and column.endswith("_fen"):
                return fen
            expected = 'decimal text such as "199.00", on a column in fen (*_fen)'
    faults.append(Fault("bad_value", path, repr(value), expected))
    return ""


def _fen(text: str) -> int | None:
    try:
        fen = Decimal(text) * 100
    except InvalidOperation:
        return None
    return int(fen) if fen.is_finite() and fen == int(fen) else None


def _kleene(found: list[bool | None], op: str) -> bool | None:
    decisive = op == "any"  # one true makes `any`, one false breaks `all`
    if decisive in found:
        return decisive
    return None if None in found else not decisive


def _kind_of_value(value: object) -> str:
    match value:
        case bool():
            return "bool"
        case str():
            return "text"
        case int() | float() | Decimal():
            return "number"
        case datetime():
            return "time"
        case date():
            return "date"
    item = getattr(value, "item", None)  # a NumPy scalar
    return _kind_of_value(item()) if callable(item) else type(value).__name__


def _kind_of_type(kind: Any) -> str:  # noqa: ANN401
    for name, test in (
        ("bool", kind.is_boolean),
        ("text", kind.is_string),
        ("number", kind.is_numeric),
        ("date", kind.is_date),
        ("time", kind.is_timestamp),
    ):
        if test():
            return name
    return str(kind)


def _fits(value: Scalar, kind: str) -> bool:
    own = _kind_of_value(value)
    if own == "text" and kind in ("date", "time"):
        return _iso(str(value), kind) is not None
    return own == kind


def _iso(text: str, kind: str) -> date | datetime | None:
    """Read ISO text as a date or an aware datetime; None where it is neither."""
    try:
        if kind == "date":
            return date.fromisoformat(text)
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.utcoffset() is not None else None


def _as_kind(value: Scalar, kind: str) -> Any:  # noqa: ANN401
    read = _iso(value, kind) if isinstance(value, str) else None
    return _plain(value if read is None else read)


def _plain(value: object) -> Any:  # noqa: ANN401
    """Return a value as it is compared: instants in UTC, decimals as doubles."""
    match value:
        case datetime():
            zoned = value.replace(tzinfo=UTC) if value.tzinfo is None else value
            return zoned.astimezone(UTC)
        case Decimal():
            return float(value)
    item = getattr(value, "item", None)
    return _plain(item()) if callable(item) else value


def _literal(value: Any, column: ir.Value) -> ir.Scalar:  # noqa: ANN401
    import ibis

    kind = column.type()
    if kind.is_timestamp() and kind.timezone is None:
        return ibis.literal(value.replace(tzinfo=None), "timestamp")
    if kind.is_timestamp():
        return ibis.literal(value, "timestamp('UTC')")
    return ibis.literal(value)


def _leaves(where: Where) -> Iterator[Where]:
    if where.column:
        yield where
    for part in where.parts:
        yield from _leaves(part)


def _values(where: Where) -> tuple[Scalar, ...]:
    value = where.value
    return value if isinstance(value, tuple) else (value,)


def _mismatch(where: Where, kind: str) -> Fault | None:
    """Say how the values do not fit a column of a kind, if they do not."""
    if where.op == "known":
        return None
    if kind not in EXPECTED:
        return Fault("type_mismatch", where.column, f"of type {kind}", "comparable")
    wrong = [value for value in _values(where) if not _fits(value, kind)]
    if not wrong and (kind != "bool" or where.op in BOOLEAN_TESTS):
        return None
    value = wrong[0] if wrong else where.value
    seen = f"{kind}, compared by {where.op!r} with {value!r}"
    return Fault("type_mismatch", where.column, seen, f"compared with {EXPECTED[kind]}")


def _ready(where: Where, kind: str) -> Any:  # noqa: ANN401
    """Return the value as Python compares it with a column of a kind."""
    ready = [_as_kind(value, kind) for value in _values(where)]
    return ready if isinstance(where.value, tuple) else ready[0]


def _test(where: Where, seen: Any, value: Any) -> bool:  # noqa: ANN401
    match where.op:
        case "in":
            return seen in value
        case "between":
            return bool(value[0] <= seen <= value[1])
        case "is":
            return seen is value
    return bool(COMPARE[where.op](seen, value))


def _build(where: Where, table: ir.Table) -> ir.BooleanValue:
    import ibis

    if where.op in COMBINE:
        parts = [_build(part, table) for part in where.parts]
        if where.op == "not":
            return ~parts[0]
        join = operator.and_ if where.op == "all" else operator.or_
        return reduce(join, parts) if parts else ibis.literal(value=True)
    column = table[where.column]
    if column.type().is_floating():  # NaN is unknown
        column = column.isnan().ifelse(ibis.null().cast(column.type()), column)
    if where.op == "known":
        return column.notnull() if where.value else column.isnull()
    kind = _kind_of_type(column.type())
    if column.type().is_decimal():
        column = column.cast("float64")
    values = [_literal(_as_kind(v, kind), column) for v in _values(where)]
    match where.op:
        case "in":
            return column.isin(values)
        case "between":
            return (column >= values[0]) & (column <= values[1])
        case "is":
            return column if where.value else ~column
    built: ir.BooleanValue = COMPARE[where.op](column, values[0])
    return built
