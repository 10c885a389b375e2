"""Kernels over users: the engine feeds packed integers, a pure function counts.

What SQL does badly (ordered funnels, sessions, bitmaps) is one pass of a kernel over
arrays. `map_by_user` packs user, time and code into one int64 a row and sorts;
`fold_by_user` needs no order and passes rows on as they are read. A user is never
split over two calls. On DuckDB shards run in threads; on Spark each part is one
task; the kernel is the same.
"""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from growth.engine.connections import backend_of, engine_call, fetch
from growth.engine.dialect import epoch_us
from growth.engine.scans import stream_batches
from growth.engine.tables import TableLike, as_table, need_columns
from growth.engine.users import Interner
from growth.errors import DataError, GrowthError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import ibis.expr.types as ir
    import pyarrow as pa
    from ibis.backends import BaseBackend
    from numpy.typing import DTypeLike, NDArray

    Array = NDArray[Any]
    Kernel = Callable[..., tuple[Array, ...]]

__all__ = ["ByUser", "KeyPart", "fold_by_user", "key_shifts", "map_by_user"]

KEY_BITS = 63  # the sign stays 0, so that keys sort as they should
MOST_NULL = 0.01
SHARDS = 32
RARE = 16  # one key in so many may come late in a log that is sorted quickly
FEW = 1 << 12  # keys that are sorted as well without digits
MOST_SHARDS = 4096
SPARK_ROWS = 8_000_000  # rows a part aims at
BATCH = 1 << 18  # rows packed at once: what they need stays in the cache
SPARSE = 1 << 24  # a user's number this far above the rows read is not dense
LIMIT = 4 << 30  # bytes, where an engine names no limit of its own


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


class ByUser(NamedTuple):
    """What a kernel found.

    Parameters
    ----------
    values : tuple of arrays
        The kernel's arrays: added over the parts, or row by row.
    users : pyarrow.Array or None
        Whose each row is, where rows were asked for.
    rows : int
        Rows read, those left out among them.
    left_out : dict of str to int
        Rows left out because the user or a time is NULL, by column, where there
        are any: worth a notice.
    parts : int
        Calls of the kernel.
    """

    values: tuple[Array, ...]
    users: pa.Array | None
    rows: int
    left_out: dict[str, int]
    parts: int


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


def map_by_user(
    table: TableLike,
    *,
    key: Sequence[KeyPart],
    kernel: Kernel,
    params: Sequence[object] = (),
    payload: Mapping[str, Any] | None = None,
    out: Literal["sum", "rows", "loose"] = "sum",
    user_col: str = "user_id",
    shards: int | None = None,
    threads: int | None = None,
    batch_rows: int = BATCH,
) -> ByUser:
    """Sort each user's rows by a packed key and run a pure kernel over them.

    Parameters
    ----------
    table : ibis.Table, frame, Arrow data or path
        What is read: filtered, so that every row is within its key's bounds.
    key : sequence of KeyPart
        The fields below the user, from high to low; 1 or more. With the user they
        share 63 bits.
    kernel : callable
        ``kernel(keys, *payload, *params)``: sorted int64 keys of some users, the
        payload in the same order. Compiled by Numba with ``nogil=True`` it runs in
        threads; any Python callable works. It returns a tuple of arrays of numbers,
        also for no rows. It must be pure: parts are called in any order.
    params : sequence, optional
        Passed to the kernel as they are.
    payload : mapping of str to column or Ibis expression, optional
        Further numbers of each row (int64, or float64 where they are not whole),
        sorted along; rows of one key are in the order of their payload. NULL is not
        allowed in an integer and is NaN in a float.
    out : {"sum", "rows", "loose"}, default "sum"
        ``"sum"``: the arrays are added over the parts, so their shapes are the same
        in each. ``"rows"``: the first array holds users as they are in the keys
        (``k >> shifts[-1]``), all have its length; rows are concatenated and sorted
        by user. ``"loose"``: the same rows in any order, nobody's: for millions of
        users the sorting costs as much as a kernel.
    user_col : str, default "user_id"
        The user: text, or an integer such as the dense ``user_idx``, which is read
        two to three times as fast.
    shards : int, optional
        Parts the users are split into. 16, or as many as 63 bits ask for, if
        omitted; on Spark parts of some 8 million rows.
    threads : int, optional
        Kernels run at once; as many as the engine uses if omitted.
    batch_rows : int, default 262,144
        Most rows read at once.

    Returns
    -------
    ByUser
        The arrays, whose they are, and what was left out.

    Raises
    ------
    ColumnNotFoundError
        If a column is missing.
    ParameterError
        If the key does not fit (code ``key_too_wide``), a row is outside a part's
        bounds (``key_range``), or an argument is unusable (``bad_key``,
        ``bad_out``, ``bad_shards``).
    DataError
        If a key or payload column is not of numbers or instants (``column_type``),
        a payload integer is NULL (``null_value``), more than 1 % of the rows have
        NULL for a user or a time (``null_key``), or the engine fails.

    Notes
    -----
    Keys are held in memory up to a quarter of the engine's limit, 8 bytes a row and
    8 for each payload; beyond it parts are written to the engine's temporary folder,
    which is cleared before the call returns. Text users are numbered as they are
    met, so their ids are held too.

    Examples
    --------
    >>> import numpy as np
    >>> import pyarrow as pa
    >>> rows = pa.table({"user_id": ["a", "b", "a"], "day": [3, 1, 2]})
    >>> key = [KeyPart("day", "day", 0, 6)]
    >>> def span(keys, shift):
    ...     users, firsts = np.unique(keys >> shift, return_index=True)
    ...     lasts = np.append(firsts[1:], keys.size) - 1
    ...     return users, keys[lasts] - keys[firsts]
    >>> found = map_by_user(
    ...     rows, key=key, kernel=span, params=key_shifts(key)[-1:], out="rows"
    ... )
    >>> found.users.to_pylist(), found.values[0].tolist()
    (['a', 'b'], [1, 0])
    """
    plan = planned(table, user_col, key, payload or {}, out)
    if shards is not None and not 1 <= shards <= MOST_SHARDS:
        msg = f"shards is {shards}; it must be in 1..{MOST_SHARDS}; leave it out."
        raise ParameterError(msg, code="bad_shards")
    work = Work(kernel, tuple(params), out)
    backend = backend_of(plan.rows)
    if backend.name == "pyspark":
        found = _on_spark(plan, _MapPart(plan.packing, work), shards)
        return _gathered(found, plan, out)
    return map_here(plan, work, partial(_packed, plan, batch_rows), shards, threads)


def fold_by_user(
    table: TableLike,
    *,
    columns: Mapping[str, Any],
    state: Mapping[str, tuple[DTypeLike, int]],
    kernel: Callable[..., object],
    finish: Kernel,
    params: Sequence[object] = (),
    finish_params: Sequence[object] = (),
    out: Literal["sum", "rows"] = "sum",
    user_col: str = "user_id",
    threads: int | None = None,
    batch_rows: int = BATCH,
) -> ByUser:
    """Fold rows, in the order they are read, into arrays with a row a user.

    For what needs no order in time: bitmaps of days, counts, sums of integers. No
    key is packed and nothing is sorted.

    Parameters
    ----------
    table : ibis.Table, frame, Arrow data or path
        What is read.
    columns : mapping of str to column or Ibis expression
        What the kernel gets of each row, in this order: int64 (timestamps as
        microseconds since 1970), float64 where not whole. A row in which an integer
        is NULL is left out; a float's NULL is NaN.
    state : mapping of str to (dtype, width)
        Arrays of shape (users, width), zero at first: ``{"bits": ("int64", 2)}``.
    kernel : callable
        ``kernel(users, *columns, *state, *params)``: int64 users that index the
        rows of the state, which it changes in place. Rows come in any order and in
        any batches, so it must not depend on either: ``|=``, integer ``+=``, min,
        max.
    finish : callable
        ``finish(*state, *finish_params)``: some users' rows of the state, all their
        rows of the table folded in. It returns a tuple of arrays of numbers, also
        for no users. A user without a row has zeros throughout and is to be
        skipped.
    params, finish_params : sequence, optional
        Passed to the two as they are.
    out : {"sum", "rows"}, default "sum"
        ``"sum"``: the arrays are added over the calls of `finish`. ``"rows"``: the
        first array holds rows of the state (``users[i]`` for the user of row
        ``users[i]``), all have its length; they are concatenated and sorted by
        user.
    user_col : str, default "user_id"
        The user: text, or an integer such as the dense ``user_idx``.
    threads : int, optional
        Calls of `finish` at once; as many as the engine uses if omitted.
    batch_rows : int, default 262,144
        Most rows read at once.

    Returns
    -------
    ByUser
        What `finish` returned, and what was left out.

    Raises
    ------
    ColumnNotFoundError
        If a column is missing.
    ParameterError
        If an argument is unusable (code ``bad_out``, ``nothing_asked``).
    DataError
        If a column is not of numbers or instants (``column_type``), more than 1 %
        of the rows have NULL for a user or a time (``null_key``), or the engine
        fails.

    Examples
    --------
    >>> import numpy as np
    >>> import pyarrow as pa
    >>> rows = pa.table({"user_idx": [0, 1, 0, 0], "day": [3, 1, 2, 3]})
    >>> def mark(users, days, bits):
    ...     np.bitwise_or.at(bits[:, 0], users, np.int64(1) << days)
    >>> def active(bits):
    ...     return (np.bincount(np.bitwise_count(bits[:, 0]), minlength=8),)
    >>> fold_by_user(
    ...     rows,
    ...     columns={"day": "day"},
    ...     state={"bits": ("int64", 1)},
    ...     kernel=mark,
    ...     finish=active,
    ...     user_col="user_idx",
    ... ).values[0].tolist()
    [0, 1, 1, 0, 0, 0, 0, 0]
    """
    if not state:
        msg = "state is empty; it must name what is folded into; pass"
        raise ParameterError(f"{msg} {{'bits': ('int64', 1)}}.", code="nothing_asked")
    plan = planned(table, user_col, (), columns, out)
    fold = _Fold(
        plan.packing.nullable(),
        kernel,
        tuple(params),
        tuple((np.dtype(kind), width) for kind, width in state.values()),
        Work(finish, tuple(finish_params), out),
    )
    if backend_of(plan.rows).name == "pyspark":
        return _gathered(_on_spark(plan, fold, None), plan, out)
    try:
        return _fold_here(plan, fold, threads, batch_rows, dense=plan.whole)
    except _NotDenseError:
        return _fold_here(plan, fold, threads, batch_rows, dense=False)


class _NotDenseError(Exception):
    """Integer users that cannot index an array: they are numbered like text."""


class _Field(NamedTuple):
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


class _Packing(NamedTuple):
    """How rows become keys and payload; small, and goes to Spark's workers."""

    user_col: str
    fields: tuple[_Field, ...]
    bits: int

    def nullable(self) -> _Packing:
        """Return the same with rows left out where an integer is NULL."""
        free = tuple(item._replace(null_fails=False) for item in self.fields)
        return self._replace(fields=free)

    @property
    def keyed(self) -> list[tuple[int, _Field]]:
        return [(i, item) for i, item in enumerate(self.fields) if item.in_key]

    @property
    def carried(self) -> list[tuple[int, _Field]]:
        return [(i, item) for i, item in enumerate(self.fields) if not item.in_key]


class Plan(NamedTuple):
    """Rows with a user ``u`` and fields ``f0``, ``f1``, ..., and how they are read."""

    rows: ir.Table
    packing: _Packing
    whole: bool
    kind: Any


class Work(NamedTuple):
    """A kernel with its parameters."""

    kernel: Kernel
    params: tuple[object, ...]
    out: str

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        found = self.kernel(*arrays, *self.params)
        if not isinstance(found, tuple):
            found = (found,)
        return tuple(np.asarray(item) for item in found)


class _Found(NamedTuple):
    """What one part gave; users are already those of the whole table."""

    values: tuple[Array, ...]
    users: Any
    rows: int
    nulls: tuple[int, ...]


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
        _too_wide(key, 1)
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
        item = _Field(
            name, timed, not (timed or kind.is_integer() or kind.is_boolean())
        )
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
    packing = _Packing(user_col, tuple(fields), bits)
    return Plan(rows, packing, whole, source[user_col].type())


def _number(column: Any, item: _Field) -> Any:  # noqa: ANN401
    if item.timed:
        return epoch_us(column)
    if column.type().is_boolean():
        return column.cast("int8")
    return column.cast("float64") if item.floating else column


def _too_wide(key: Sequence[KeyPart], users: int) -> None:
    """Say which field of a key to narrow."""
    taken = ", ".join(f"{part.name} {part.bits}" for part in key)
    widest = max(key, key=lambda part: part.bits).name
    msg = f"the key takes {taken} bits and leaves too few of {KEY_BITS} for"
    msg = f"{msg} {users} user(s) a part; all must fit; narrow {widest!r}: fewer days,"
    raise ParameterError(f"{msg} longer steps or fewer codes.", code="key_too_wide")


class _Batch(NamedTuple):
    """Rows as arrays; where `keep` is false they hold anything."""

    users: Any
    fields: list[Array]
    keep: NDArray[np.bool_]
    rows: int
    nulls: tuple[int, ...]

    @property
    def whole(self) -> bool:
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


def _read(batch: Any, packing: _Packing) -> _Batch:  # noqa: ANN401
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
    return _Batch(users, fields, keep, batch.num_rows, tuple(nulls))


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


def _numbers(batch: _Batch, names: Interner | None) -> Array:
    """Return each row's user as a number; 0 or less where it is left out."""
    if names is None:
        return integers(batch.users)
    if batch.whole:
        return names.encode(batch.users)
    users = np.zeros(len(batch.users), np.int64)
    users[batch.keep] = names.encode(batch.users.filter(batch.keep))
    return users


def _extremes(users: Array, keep: NDArray[np.bool_]) -> tuple[int, int]:
    kept = users if keep.all() else users[keep]
    return int(kept.min()), int(kept.max())


def _low_bits(batch: _Batch, packing: _Packing) -> Array:
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


def _sorted(keys: Array, carried: list[Array], low: int) -> tuple[Array, list[Array]]:
    """Sort keys; with payload, rows of one key by their payload.

    A log is mostly written as time goes by: then the bits below the user (`low` many)
    are all but in order, and it takes little more than sorting by user.
    """
    from growth.engine.kernels import falls, radix, settle

    if keys.size < FEW and not carried:
        keys.sort()
        return keys, []
    spare = np.empty_like(keys)
    order = np.arange(keys.size if carried else 0)
    other = np.empty_like(order)
    bits = int(keys.max()).bit_length() if keys.size else 0
    least = 0
    if not carried and falls(keys, low) <= keys.size // RARE:
        least = min(low, bits)
    while True:
        if radix(keys, spare, order, other, least, bits, keep_rows=bool(carried)):
            keys, spare, order = spare, keys, other
        if not least or settle(keys, keys.size):
            break
        least = 0
    if not carried:
        return keys, []
    if (keys[1:] == keys[:-1]).any():
        again = np.lexsort([*(column[order] for column in reversed(carried)), keys])
        order = order[again]
    return keys, [column[order] for column in carried]


def _checked_nulls(
    packing: _Packing, nulls: Sequence[int], rows: int
) -> dict[str, int]:
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


def _gathered(
    found: Iterable[_Found],
    plan: Plan,
    out: str,
    counts: tuple[int, Sequence[int]] | None = None,
) -> ByUser:
    """Add or concatenate what the parts gave; `counts` are rows and NULLs, if known."""
    rows, nulls = counts or (0, [0] * (1 + len(plan.packing.fields)))
    whole: _Sum | _Rows = _Sum() if out == "sum" else _Rows(loose=out == "loose")
    parts = 0
    for part in found:
        parts += 1
        whole.add(part)
        if counts is None:
            rows += part.rows
            nulls = [a + b for a, b in zip(nulls, part.nulls, strict=True)]
    left_out = _checked_nulls(plan.packing, nulls, rows)
    kind = plan.rows.schema().to_pyarrow().field("u").type
    values, users = whole.made(kind)
    return ByUser(values, users, rows, left_out, parts)


class _Sum:
    """Arrays added one part at a time: as many are held as kernels run."""

    def __init__(self) -> None:
        self.total: list[Array] = []

    def add(self, part: _Found) -> None:
        if not self.total:
            self.total = [np.array(item) for item in part.values]
            return
        for i, item in enumerate(part.values):
            if item.shape != self.total[i].shape:
                msg = f"the kernel returned arrays of shapes {self.total[i].shape} and"
                msg = f"{msg} {item.shape}; to be added they must be the same; ask for"
                raise ParameterError(f"{msg} out='rows'.", code="kernel_shapes")
            self.total[i] = self.total[i] + item

    def made(self, _kind: object) -> tuple[tuple[Array, ...], None]:
        return tuple(self.total), None


class _Rows:
    """Rows of users, concatenated and sorted by user, unless they are nobody's."""

    def __init__(self, *, loose: bool) -> None:
        self.parts: list[_Found] = []
        self.loose = loose

    def add(self, part: _Found) -> None:
        self.parts.append(part)

    def made(self, kind: Any) -> tuple[tuple[Array, ...], Any]:  # noqa: ANN401
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.loose:
            columns = zip(*(part.values for part in self.parts), strict=True)
            return tuple(map(np.concatenate, columns)), None
        users = pa.concat_arrays([part.users.cast(kind) for part in self.parts])
        order = pc.sort_indices(users)
        place = order.to_numpy()
        columns = zip(*(part.values for part in self.parts), strict=True)
        values = tuple(np.concatenate(column)[place] for column in columns)
        return values, users.take(order)


def thread_count(backend: BaseBackend) -> int:
    """Return how many threads an engine is to use, 1 or more."""
    return int(_setting(backend, "threads") or os.cpu_count() or 1)


def threads_of(plan: Plan, threads: int | None = None) -> int:
    """Return how many kernels run at once: as many as asked, or the engine's."""
    if threads is not None:
        return max(1, threads)
    return thread_count(backend_of(plan.rows))


def _setting(backend: Any, name: str) -> Any:  # noqa: ANN401
    if backend.name != "duckdb":
        return None
    with engine_call("reading a setting"):
        sql = "SELECT current_setting(?)"
        return backend.con.execute(sql, [name]).fetchone()[0]


def _budget(plan: Plan) -> int:
    """Return how many bytes of keys are held: a quarter of the engine's limit."""
    text = str(_setting(backend_of(plan.rows), "memory_limit") or "")
    number, _, unit = text.partition(" ")
    powers = {"bytes": 0, "KiB": 1, "MiB": 2, "GiB": 3, "TiB": 4}
    limit = float(number) * 1024 ** powers[unit] if unit in powers else LIMIT
    return int(limit / 4)


def _batches(rows: ir.Table, size: int) -> Iterator[Any]:
    """Read rows, small batches joined: what a batch costs is paid once."""
    import pyarrow as pa

    waiting: list[Any] = []
    n = 0
    for batch in stream_batches(rows, batch_rows=size):
        if not waiting and batch.num_rows * 2 >= BATCH:
            yield batch
            continue
        waiting.append(batch)
        n += batch.num_rows
        if n >= BATCH:
            yield pa.concat_batches(waiting)
            waiting, n = [], 0
    if waiting:
        yield pa.concat_batches(waiting)


def map_here(
    plan: Plan,
    work: Work,
    feed: Callable[[Interner | None], Iterator[Packed]],
    shards: int | None = None,
    threads: int | None = None,
) -> ByUser:
    """Read once, shard by user, then run the kernel over shards in threads.

    Parameters
    ----------
    plan : Plan
        What is read, and how rows become keys.
    work : Work
        The kernel.
    feed : callable
        Gives the rows, users numbered by what it is handed, if that is not None;
        called again where they do not fit as they are.
    shards, threads : int, optional
        As `map_by_user` has them.
    """
    packing, dense = plan.packing, plan.whole
    count = shards or SHARDS
    while True:
        parts = _Parts(plan, count)
        try:
            names = None if dense else Interner()
            wider = _fill(parts, feed(names))
            if wider is None:
                counts = (parts.read, parts.nulls)
                _checked_nulls(packing, parts.nulls, parts.read)
                found = parts.run(work, threads_of(plan, threads), names)
                return _gathered(found, plan, work.out, counts)
            if dense and wider > MOST_SHARDS:
                dense = False  # integers too large to be packed: numbered like text
            elif wider > MOST_SHARDS:
                most = names.known if names else 0
                _too_wide([_as_part(item) for _, item in packing.keyed], most)
            else:
                count = wider
        finally:
            parts.close()


def _as_part(item: _Field) -> KeyPart:
    return KeyPart(item.name, None, item.start, item.end, item.step)


def _packed(plan: Plan, size: int, names: Interner | None) -> Iterator[Packed]:
    """Read the engine's rows and pack them."""
    packing = plan.packing
    for arrow in _batches(_texts(plan, dense=names is None), size):
        batch = _read(arrow, packing)
        yield Packed(
            _numbers(batch, names),
            _low_bits(batch, packing),
            batch.keep,
            [batch.fields[i] for i, _ in packing.carried],
            batch.rows,
            batch.nulls,
        )


def _fill(parts: _Parts, rows: Iterator[Packed]) -> int | None:
    """Put every row into its part; return how many parts it would take instead."""
    room = KEY_BITS - parts.plan.packing.bits
    for packed in rows:
        if packed.keep.any():
            least, most = _extremes(packed.users, packed.keep)
            if least < 0:
                return MOST_SHARDS + 1
            if (most // parts.count).bit_length() > room:
                return -(-(most + 1) // (1 << room))
        parts.add(packed)
    return None


class _Parts:
    """Keys and payload by part: in memory, then in files."""

    def __init__(self, plan: Plan, count: int) -> None:
        self.plan = plan
        self.count = count
        self.read = 0
        self.nulls = [0] * (1 + len(plan.packing.fields))
        floating = [item.floating for _, item in plan.packing.carried]
        self.kinds = ["i8", *("f8" if flag else "i8" for flag in floating)]
        self.wide = len(self.kinds)
        self.held = 0
        self.sizes = [0] * count
        self.chunks: list[list[tuple[Array, ...]]] = [[] for _ in range(count)]
        self.budget = _budget(plan)
        self.folder: Path | None = None

    def add(self, rows: Packed) -> None:
        from growth.engine.kernels import scatter

        self.read += rows.rows
        self.nulls = [a + b for a, b in zip(self.nulls, rows.nulls, strict=True)]
        keys = np.empty_like(rows.low)
        order = np.empty(rows.low.size if rows.carried else 0, np.int64)
        starts = scatter(
            rows.users,
            rows.low,
            rows.keep,
            self.count,
            self.plan.packing.bits,
            keys,
            order,
            keep_rows=bool(rows.carried),
        )
        columns = [keys, *(column[order] for column in rows.carried)]
        for part in range(self.count):
            start, end = starts[part], starts[part + 1]
            if end > start:
                self.chunks[part].append(
                    tuple(column[start:end].copy() for column in columns)
                )
                self.sizes[part] += int(end - start)
        self.held += 8 * self.wide * int(starts[-1])
        if self.held > self.budget:
            self._spill()

    def _spill(self) -> None:
        """Append all that is held to a file a part and column."""
        if self.folder is None:
            backend = backend_of(self.plan.rows)
            above = _setting(backend, "temp_directory") or tempfile.gettempdir()
            os.makedirs(above, exist_ok=True)
            self.folder = Path(tempfile.mkdtemp(prefix="growth-keys-", dir=above))
        for part, chunks in enumerate(self.chunks):
            for i in range(self.wide if chunks else 0):
                with open(self.folder / f"{part}.{i}", "ab") as file:
                    for chunk in chunks:
                        chunk[i].tofile(file)
            chunks.clear()
        self.held = 0

    def _take(self, part: int) -> Iterator[tuple[Array, list[Array]]]:
        """Give a part's columns and forget them; in pieces where it is too large."""
        chunks, self.chunks[part] = self.chunks[part], []
        pieces = -(-self.sizes[part] * 8 * self.wide // self.budget)
        if self.folder is None or pieces <= 1:
            columns = []
            for i, kind in enumerate(self.kinds):
                held = [chunk[i] for chunk in chunks]
                columns.append(np.concatenate(held) if held else self._file(part, i))
                if not held:
                    columns[-1] = np.array(columns[-1], kind)
            chunks.clear()
            yield columns[0], columns[1:]
            return
        for piece in range(pieces):
            found: list[list[Array]] = [[] for _ in self.kinds]
            files = [self._file(part, i) for i in range(self.wide)]
            for start in range(0, self.sizes[part], BATCH):
                block = [file[start : start + BATCH] for file in files]
                users = block[0] >> self.plan.packing.bits
                mine = users % pieces == piece
                for i, column in enumerate(block):
                    found[i].append(column[mine])
            yield np.concatenate(found[0]), [np.concatenate(c) for c in found[1:]]

    def _file(self, part: int, i: int) -> Array:
        """Return a column that was written, still on disk."""
        path = self.folder / f"{part}.{i}" if self.folder is not None else None
        if path is None or not self.sizes[part]:
            return np.empty(0, self.kinds[i])
        return np.memmap(path, self.kinds[i], mode="r")

    def run(self, work: Work, threads: int, names: Interner | None) -> Iterator[_Found]:
        """Sort each part and run the kernel over it; at least once."""
        if self.folder is not None:
            self._spill()
        ids = names.ids() if names is not None and work.out == "rows" else None

        def one(part: int) -> list[_Found]:
            return [
                self._call(work, part, keys, carried, ids)
                for keys, carried in self._take(part)
            ]

        asked = [part for part in range(self.count) if self.sizes[part]] or [0]
        largest = 8 * self.wide * max(self.sizes)
        threads = max(1, min(threads, len(asked), self.budget // max(largest, 1)))
        with ThreadPoolExecutor(threads) as pool:
            for several in pool.map(one, asked) if threads > 1 else map(one, asked):
                yield from several

    def _call(
        self,
        work: Work,
        part: int,
        keys: Array,
        carried: list[Array],
        ids: Any,  # noqa: ANN401
    ) -> _Found:
        import pyarrow as pa

        keys, carried = _sorted(keys, carried, self.plan.packing.bits)
        values = work(keys, *carried)
        users = None
        if work.out == "rows":
            whose = values[0].astype(np.int64) * self.count + part
            users = pa.array(whose) if ids is None else ids.take(pa.array(whose))
            values = values[1:]
        elif work.out == "loose":
            values = values[1:]
        return _Found(values, users, keys.size, ())

    def close(self) -> None:
        """Remove what was written."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


class _MapPart(NamedTuple):
    """The work of a Spark task that maps: all rows of some users."""

    packing: _Packing
    work: Work

    def __call__(self, rows: Any) -> _Found:  # noqa: ANN401
        batch, users, codes = _numbered(rows, self.packing)
        room = KEY_BITS - self.packing.bits
        if len(users) > 1 << room:
            _too_wide([_as_part(i) for _, i in self.packing.keyed], len(users))
        keys = _low_bits(batch, self.packing)[batch.keep]
        keys |= codes << self.packing.bits
        fields = batch.kept()
        carried = [fields[i] for i, _ in self.packing.carried]
        keys, carried = _sorted(keys, carried, self.packing.bits)
        return _answered(self.work(keys, *carried), users, self.work.out, batch)


def _numbered(rows: Any, packing: _Packing) -> tuple[_Batch, Any, Array]:  # noqa: ANN401
    """Give the users of a part numbers, in the order they come."""
    import pyarrow as pa

    whole = rows.combine_chunks()
    arrays = [
        column.combine_chunks() if hasattr(column, "combine_chunks") else column
        for column in whole.columns
    ]
    arrays = [
        (
            pa.concat_arrays(column.chunks)
            if isinstance(column, pa.ChunkedArray)
            else column
        )
        for column in arrays
    ]
    batch = _read(pa.RecordBatch.from_arrays(arrays, names=whole.column_names), packing)
    coded = batch.users.filter(batch.keep).dictionary_encode()
    return batch, coded.dictionary, integers(coded.indices)


def _answered(
    values: tuple[Array, ...],
    users: Any,  # noqa: ANN401
    out: str,
    batch: _Batch,
) -> _Found:
    import pyarrow as pa

    if out != "rows":
        kept = values if out == "sum" else values[1:]
        return _Found(kept, None, batch.rows, batch.nulls)
    whose = users.take(pa.array(values[0].astype(np.int64)))
    return _Found(values[1:], whose, batch.rows, batch.nulls)


class _Fold(NamedTuple):
    """The work of a fold; called, it is that of a Spark task."""

    packing: _Packing
    kernel: Callable[..., object]
    params: tuple[object, ...]
    state: tuple[tuple[Any, int], ...]
    work: Work

    def made(self, users: int) -> list[Array]:
        return [np.zeros((users, width), kind) for kind, width in self.state]

    def __call__(self, rows: Any) -> _Found:  # noqa: ANN401
        batch, users, codes = _numbered(rows, self.packing)
        state = self.made(len(users))
        self.kernel(codes, *batch.kept(), *state, *self.params)
        return _answered(self.work(*state), users, self.work.out, batch)


def _fold_here(
    plan: Plan, fold: _Fold, threads: int | None, batch_rows: int, *, dense: bool
) -> ByUser:
    import pyarrow as pa

    names = None if dense else Interner()
    rows = n = 0
    nulls = [0] * (1 + len(fold.packing.fields))
    state = fold.made(0)
    for arrow in _batches(_texts(plan, dense=dense), batch_rows):
        batch = _read(arrow, fold.packing)
        rows += batch.rows
        nulls = [a + b for a, b in zip(nulls, batch.nulls, strict=True)]
        if not batch.keep.any():
            continue
        users = _numbers(batch, names)
        least, most = _extremes(users, batch.keep)
        if names is None and (least < 0 or most > SPARSE + 4 * rows):
            raise _NotDenseError
        n = max(n, most + 1)
        if n > len(state[0]):
            state = _longer(state, max(n, len(state[0]) * 3 // 2))
        kept = users if batch.whole else users[batch.keep]
        fold.kernel(kept, *batch.kept(), *state, *fold.params)
    state = [array[:n] for array in state]
    many = threads_of(plan, threads)
    step = max(-(-n // many), 1)
    ids = names.ids() if names is not None and fold.work.out == "rows" else None

    def one(start: int) -> _Found:
        values = fold.work(*(array[start : start + step] for array in state))
        if fold.work.out == "sum":
            return _Found(values, None, 0, ())
        whose = pa.array(values[0].astype(np.int64) + start)
        return _Found(values[1:], whose if ids is None else ids.take(whose), 0, ())

    known = plan._replace(packing=fold.packing)
    _checked_nulls(fold.packing, nulls, rows)
    with ThreadPoolExecutor(many) as pool:
        found = pool.map(one, range(0, max(n, 1), step))
        return _gathered(found, known, fold.work.out, (rows, nulls))


def _longer(state: list[Array], users: int) -> list[Array]:
    grown = []
    for array in state:
        longer = np.zeros((users, array.shape[1]), array.dtype)
        longer[: len(array)] = array
        grown.append(longer)
    return grown


def _texts(plan: Plan, *, dense: bool) -> ir.Table:
    """Return the rows with users as they are to be numbered."""
    if dense or not plan.whole:
        return plan.rows
    return plan.rows.mutate(u=plan.rows.u.cast("string"))


def _on_spark(plan: Plan, work: _MapPart | _Fold, shards: int | None) -> list[_Found]:
    """Bring each user's rows to one task, join its batches and work."""
    backend = backend_of(plan.rows)
    if shards is None:
        counted = fetch(plan.rows.aggregate(n=plan.rows.count()), "counting rows")
        shards = max(1, -(-counted["n"][0].as_py() // SPARK_ROWS))

    def task(batches: Iterable[Any]) -> Iterator[Any]:
        import pyarrow as pa

        held = [batch for batch in batches if batch.num_rows]
        if held:
            found: _Found | GrowthError
            try:
                found = work(pa.Table.from_batches(held))
            except GrowthError as error:  # else Spark would tell it in its own words
                found = error
            yield pa.record_batch({"found": [pickle.dumps(found)]})

    backend._run_pre_execute_hooks(plan.rows)  # noqa: SLF001
    names = plan.rows.columns
    with engine_call("mapping users"):
        frame = backend._session.sql(backend.compile(plan.rows))  # noqa: SLF001
        parts = frame.repartition(shards, "u").sortWithinPartitions(*names)
        answers = parts.mapInArrow(task, "found binary").collect()
    if not answers:  # no rows: the kernel says what nothing looks like
        import pyarrow as pa

        empty = plan.rows.schema().to_pyarrow().empty_table()
        return [work(pa.table(empty))]
    found = [pickle.loads(row.found) for row in answers]
    for item in found:
        if isinstance(item, GrowthError):
            raise item
    return found
