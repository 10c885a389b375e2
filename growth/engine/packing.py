"""Rows as integers: the fields of a key packed below their user, in one int64.

The engine gives instants, numbers and users; what comes of them here is what kernels
over users are fed, whoever reads the rows.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from growth.engine.dialect import epoch_us
from growth.engine.tables import TableLike, as_table, need_columns
from growth.errors import DataError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import ibis.expr.types as ir
    from numpy.typing import NDArray

    from growth.engine.users import Interner

    Array = NDArray[Any]

__all__ = [
    "BATCH",
    "KEY_BITS",
    "Batch",
    "KeyPart",
    "Packed",
    "Packing",
    "Plan",
    "as_part",
    "as_stored",
    "batch_of",
    "checked_nulls",
    "extremes",
    "integers",
    "key_shifts",
    "low_bits",
    "planned",
    "too_wide",
    "user_numbers",
]

KEY_BITS = 63  # the sign stays 0, so that keys sort as they should
MOST_NULL = 0.01
BATCH = 1 << 18  # rows packed at once: what they need stays in the cache


class KeyPart(NamedTuple):
    """A field of a packed key, below the user.

    Parameters
    ----------
    name : str
        For messages.
    value : str or Ibis expression
        A column, or an integer, boolean, timestamp or date expression of the table
        (``ibis._`` stands for it). A timestamp is microseconds since 1970, a date
        its midnight in UTC. A row whose integer is NULL is left out: it is none of
        the codes asked about.
    low, high : int or aware datetime
        The smallest and the largest value, both included.
    step : int, default 1
        Values of one step are one: 1000 packs microseconds as milliseconds.
    """

    name: str
    value: Any
    low: int | datetime
    high: int | datetime
    step: int = 1

    @property
    def start(self) -> int:
        """The smallest value, as an integer."""
        return _whole(self.low)

    @property
    def end(self) -> int:
        """The largest value, as an integer."""
        return _whole(self.high)

    @property
    def bits(self) -> int:
        """How many bits the field takes."""
        return ((self.end - self.start) // self.step).bit_length()


def key_shifts(key: Sequence[KeyPart]) -> tuple[int, ...]:
    """Return where each field of a key starts, and last where the user does.

    Parameters
    ----------
    key : sequence of KeyPart
        From high to low.

    Returns
    -------
    tuple of int
        As many as parts, and one. ``(k >> shifts[i]) & ((1 << key[i].bits) - 1)``
        is field i, counted in steps from its low; ``k >> shifts[-1]`` is the user.

    Examples
    --------
    >>> key = [KeyPart("day", "day", 0, 90), KeyPart("code", "code", 0, 3)]
    >>> key_shifts(key)
    (2, 0, 9)
    """
    shifts, at = [], 0
    for part in reversed(key):
        shifts.append(at)
        at += part.bits
    return (*reversed(shifts), at)


class Field(NamedTuple):
    """A column of the rows read: what it is called, and what its NULL means."""

    name: str
    timed: bool
    floating: bool
    start: int = 0
    end: int = 0
    step: int = 1
    shift: int = 0
    in_key: bool = False
    null_fails: bool = False


class Packing(NamedTuple):
    """How rows become keys and payload; small, and goes to Spark's workers."""

    user_col: str
    fields: tuple[Field, ...]
    bits: int

    def nullable(self) -> Packing:
        """Return the same with rows left out where an integer is NULL."""
        free = tuple(item._replace(null_fails=False) for item in self.fields)
        return self._replace(fields=free)

    @property
    def keyed(self) -> list[tuple[int, Field]]:
        """The fields of the key, with their places."""
        return [(i, item) for i, item in enumerate(self.fields) if item.in_key]

    @property
    def carried(self) -> list[tuple[int, Field]]:
        """The fields of the payload, with their places."""
        return [(i, item) for i, item in enumerate(self.fields) if not item.in_key]


class Plan(NamedTuple):
    """Rows with a user ``u`` and fields ``f0``, ``f1``, ..., and how they are read."""

    rows: ir.Table
    packing: Packing
    whole: bool
    kind: Any


def _whole(bound: int | datetime) -> int:
    if not isinstance(bound, datetime):
        return int(bound)
    if bound.utcoffset() is None:
        msg = f"a key's bound is {bound!r}, without a time zone; it must have one; use"
        raise ParameterError(f"{msg} engine.instant.", code="bad_key")
    from growth.engine.days import EPOCH

    since = bound - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def planned(
    table: TableLike,
    user_col: str,
    key: Sequence[KeyPart],
    columns: Mapping[str, Any],
    out: str,
) -> Plan:
    """Check what is asked and select what is read."""
    if out not in ("sum", "rows") and not (out == "loose" and key):
        msg = f"out is {out!r}; it must be 'sum' or 'rows'; pass one of them."
        raise ParameterError(msg, code="bad_out")
    if not key and not columns:
        msg = "neither a key nor a column is asked for; there must be one; pass"
        raise ParameterError(f"{msg} columns={{'day': 'day'}}.", code="nothing_asked")
    for part in key:
        if part.step < 1 or _whole(part.high) < part.start:
            msg = f"key part {part.name!r} is {part.low}..{part.high} by {part.step};"
            msg = f"{msg} it must go up, by 1 or more; correct its bounds."
            raise ParameterError(msg, code="bad_key")
    source = as_table(table)
    need_columns(source, [user_col])
    *shifts, bits = key_shifts(key)
    if bits >= KEY_BITS:
        too_wide(key, 1)
    fields, chosen = [], {}
    asked = [(part.name, part.value) for part in key] + list(columns.items())
    for i, (name, value) in enumerate(asked):
        if isinstance(value, str):
            need_columns(source, [value])
        (column,) = source.bind(value)
        kind = column.type()
        timed = kind.is_timestamp() or kind.is_date()
        floating = not (timed or kind.is_integer() or kind.is_boolean())
        if floating and (i < len(key) or not kind.is_numeric()):
            msg = f"column {name!r} is of type {kind}; it must be an instant or a whole"
            msg = f"{msg} number; map times with transform 'ms_epoch' or 'local', and"
            raise DataError(f"{msg} text to codes.", code="column_type")
        item = Field(name, timed, floating)
        if i < len(key):
            part = key[i]
            item = item._replace(
                start=part.start,
                end=_whole(part.high),
                step=part.step,
                shift=shifts[i],
                in_key=True,
            )
        else:
            item = item._replace(null_fails=not item.floating and not timed)
        fields.append(item)
        chosen[f"f{i}"] = _number(column, item)
    user = source[user_col]
    whole = user.type().is_integer()
    if not whole and not user.type().is_string():
        user = user.cast("string")
    rows = source.select(u=user, **chosen)
    packing = Packing(user_col, tuple(fields), bits)
    return Plan(rows, packing, whole, source[user_col].type())


def _number(column: Any, item: Field) -> Any:  # noqa: ANN401
    if item.timed:
        return epoch_us(column)
    if column.type().is_boolean():
        return column.cast("int8")
    return column.cast("float64") if item.floating else column


def as_part(item: Field) -> KeyPart:
    """Return a field of the key as it was asked for."""
    return KeyPart(item.name, None, item.start, item.end, item.step)


def too_wide(key: Sequence[KeyPart], users: int) -> None:
    """Say which field of a key to narrow."""
    taken = ", ".join(f"{part.name} {part.bits}" for part in key)
    widest = max(key, key=lambda part: part.bits).name
    msg = f"the key takes {taken} bits and leaves too few of {KEY_BITS} for"
    msg = f"{msg} {users} user(s) a part; all must fit; narrow {widest!r}: fewer days,"
    raise ParameterError(f"{msg} longer steps or fewer codes.", code="key_too_wide")


class Batch(NamedTuple):
    """Rows as arrays; where `keep` is false they hold anything."""

    users: Any
    fields: list[Array]
    keep: NDArray[np.bool_]
    rows: int
    nulls: tuple[int, ...]

    @property
    def whole(self) -> bool:
        """Whether no row is left out."""
        return bool(self.keep.all())

    def kept(self) -> list[Array]:
        """Return the fields of the rows that are not left out."""
        if self.whole:
            return self.fields
        return [values[self.keep] for values in self.fields]


class Packed(NamedTuple):
    """Rows on their way into parts.

    Parameters
    ----------
    users : array of int64
        Their numbers; anything where `keep` is false.
    low : array of int64
        The key below the user.
    keep : array of bool
        Which rows count.
    carried : list of arrays
        The payload.
    rows : int
        Rows read, those left out among them.
    nulls : tuple of int
        Of them without a user, and without each field.
    """

    users: Array
    low: Array
    keep: NDArray[np.bool_]
    carried: list[Array]
    rows: int
    nulls: tuple[int, ...]


def batch_of(batch: Any, packing: Packing) -> Batch:  # noqa: ANN401
    """Mark rows with NULL, and count those that matter."""
    users, *columns = batch.columns
    keep = _valid(users)
    nulls = [users.null_count]
    fields = []
    for column, item in zip(columns, packing.fields, strict=True):
        nulls.append(column.null_count if item.timed or item.null_fails else 0)
        if item.floating:
            fields.append(column.to_numpy(zero_copy_only=False))
            continue
        if column.null_count:
            keep = keep & _valid(column)
        fields.append(integers(column))
    return Batch(users, fields, keep, batch.num_rows, tuple(nulls))


def _valid(column: Any) -> NDArray[np.bool_]:  # noqa: ANN401
    """Return which values of an Arrow array are not NULL."""
    n, offset, bitmap = len(column), column.offset, column.buffers()[0]
    if bitmap is None or not column.null_count:
        return np.ones(n, np.bool_)
    bits = np.frombuffer(bitmap, np.uint8)
    flags = np.unpackbits(bits, count=offset + n, bitorder="little")
    return flags[offset:].view(np.bool_)


def integers(column: Any) -> Array:  # noqa: ANN401
    """Return an Arrow array's integers as int64, anything where they are NULL."""
    return as_stored(column).astype(np.int64, copy=False)


def as_stored(column: Any) -> Array:  # noqa: ANN401
    """Return an Arrow array's integers as they are, anything where they are NULL."""
    values = column.buffers()[1]
    if values is None:
        return np.zeros(len(column), np.int64)
    kind = column.type.to_pandas_dtype()
    start = column.offset
    found: Array = np.frombuffer(values, kind)[start : start + len(column)]
    return found


def user_numbers(batch: Batch, names: Interner | None) -> Array:
    """Return each row's user as a number; 0 or less where it is left out."""
    if names is None:
        return integers(batch.users)
    if batch.whole:
        return names.encode(batch.users)
    users = np.zeros(len(batch.users), np.int64)
    users[batch.keep] = names.encode(batch.users.filter(batch.keep))
    return users


def extremes(users: Array, keep: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the least and the largest number of the rows that count."""
    kept = users if keep.all() else users[keep]
    return int(kept.min()), int(kept.max())


def low_bits(batch: Batch, packing: Packing) -> Array:
    """Pack the fields of the key below the user."""
    from growth.engine.kernels import pack

    low = np.zeros(len(batch.keep), np.int64)
    for i, item in packing.keyed:
        values = batch.fields[i]
        least, most = pack(values, batch.keep, item.start, item.step, item.shift, low)
        if least <= most and not item.start <= least <= most <= item.end:
            msg = f"key part {item.name!r} has values {least}..{most}; they must be in"
            msg = f"{msg} {item.start}..{item.end}; filter the table to these first."
            raise ParameterError(msg, code="key_range")
    return low


def checked_nulls(packing: Packing, nulls: Sequence[int], rows: int) -> dict[str, int]:
    """Return how many rows lack each column, where any do; too many are an error."""
    names = [packing.user_col, *(item.name for item in packing.fields)]
    fails = [False, *(item.null_fails for item in packing.fields)]
    for name, count, failing in zip(names, nulls, fails, strict=True):
        if failing and count:
            msg = f"column {name!r} is NULL in {count} rows; a whole number must be"
            msg = f"{msg} there in each; fill it, or cast it to float64."
            raise DataError(msg, code="null_value")
        if count > MOST_NULL * rows:
            msg = f"column {name!r} is NULL in {count} of {rows} rows; at most 1 % may"
            msg = f"{msg} be left out; drop those rows first, or mend the export."
            raise DataError(msg, code="null_key")
    return {name: n for name, n in zip(names, nulls, strict=True) if n}
