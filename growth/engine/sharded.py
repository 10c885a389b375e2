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
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from growth.engine.connections import engine_call
from growth.engine.packing import (
    BATCH,
    KEY_BITS,
    Batch,
    KeyPart,
    Packed,
    Packing,
    Plan,
    as_part,
    batch_of,
    checked_nulls,
    extremes,
    integers,
    low_bits,
    planned,
    too_wide,
    user_numbers,
)
from growth.engine.scans import stream_batches
from growth.engine.spilling import Found, Parts, Work, in_order
from growth.engine.statements import backend_of, fetch, hand_over, setting
from growth.engine.users import Interner
from growth.errors import GrowthError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import ibis.expr.types as ir
    import pyarrow as pa
    from ibis.backends import BaseBackend
    from numpy.typing import DTypeLike, NDArray

    from growth.engine.tables import TableLike

    Array = NDArray[Any]
    Kernel = Callable[..., tuple[Array, ...]]

__all__ = ["ByUser", "fold_by_user", "map_by_user", "map_here", "thread_count"]

SHARDS = 32
MOST_SHARDS = 4096
SPARK_ROWS = 8_000_000  # rows a part aims at
SPARSE = 1 << 24  # a user's number this far above the rows read is not dense


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
    >>> from growth.engine import KeyPart, key_shifts
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


def _gathered(
    found: Iterable[Found],
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
    left_out = checked_nulls(plan.packing, nulls, rows)
    kind = plan.rows.schema().to_pyarrow().field("u").type
    values, users = whole.made(kind)
    return ByUser(values, users, rows, left_out, parts)


class _Sum:
    """Arrays added one part at a time: as many are held as kernels run."""

    def __init__(self) -> None:
        self.total: list[Array] = []

    def add(self, part: Found) -> None:
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
        self.parts: list[Found] = []
        self.loose = loose

    def add(self, part: Found) -> None:
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
    return int(setting(backend, "threads") or os.cpu_count() or 1)


def threads_of(plan: Plan, threads: int | None = None) -> int:
    """Return how many kernels run at once: as many as asked, or the engine's."""
    if threads is not None:
        return max(1, threads)
    return thread_count(backend_of(plan.rows))


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
        parts = Parts(plan, count)
        try:
            names = None if dense else Interner()
            wider = _fill(parts, feed(names))
            if wider is None:
                counts = (parts.read, parts.nulls)
                checked_nulls(packing, parts.nulls, parts.read)
                found = parts.run(work, threads_of(plan, threads), names)
                return _gathered(found, plan, work.out, counts)
            if dense and wider > MOST_SHARDS:
                dense = False  # integers too large to be packed: numbered like text
            elif wider > MOST_SHARDS:
                most = names.known if names else 0
                too_wide([as_part(item) for _, item in packing.keyed], most)
            else:
                count = wider
        finally:
            parts.close()


def _packed(plan: Plan, size: int, names: Interner | None) -> Iterator[Packed]:
    """Read the engine's rows and pack them."""
    packing = plan.packing
    for arrow in _batches(_texts(plan, dense=names is None), size):
        batch = batch_of(arrow, packing)
        yield Packed(
            user_numbers(batch, names),
            low_bits(batch, packing),
            batch.keep,
            [batch.fields[i] for i, _ in packing.carried],
            batch.rows,
            batch.nulls,
        )


def _fill(parts: Parts, rows: Iterator[Packed]) -> int | None:
    """Put every row into its part; return how many parts it would take instead."""
    room = KEY_BITS - parts.plan.packing.bits
    for packed in rows:
        if packed.keep.any():
            least, most = extremes(packed.users, packed.keep)
            if least < 0:
                return MOST_SHARDS + 1
            if (most // parts.count).bit_length() > room:
                return -(-(most + 1) // (1 << room))
        parts.add(packed)
    return None


class _MapPart(NamedTuple):
    """The work of a Spark task that maps: all rows of some users."""

    packing: Packing
    work: Work

    def __call__(self, rows: Any) -> Found:  # noqa: ANN401
        batch, users, codes = _numbered(rows, self.packing)
        room = KEY_BITS - self.packing.bits
        if len(users) > 1 << room:
            too_wide([as_part(i) for _, i in self.packing.keyed], len(users))
        keys = low_bits(batch, self.packing)[batch.keep]
        keys |= codes << self.packing.bits
        fields = batch.kept()
        carried = [fields[i] for i, _ in self.packing.carried]
        keys, carried = in_order(keys, carried, self.packing.bits)
        return _answered(self.work(keys, *carried), users, self.work.out, batch)


def _numbered(rows: Any, packing: Packing) -> tuple[Batch, Any, Array]:  # noqa: ANN401
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
    batch = batch_of(
        pa.RecordBatch.from_arrays(arrays, names=whole.column_names), packing
    )
    coded = batch.users.filter(batch.keep).dictionary_encode()
    return batch, coded.dictionary, integers(coded.indices)


def _answered(
    values: tuple[Array, ...],
    users: Any,  # noqa: ANN401
    out: str,
    batch: Batch,
) -> Found:
    import pyarrow as pa

    if out != "rows":
        kept = values if out == "sum" else values[1:]
        return Found(kept, None, batch.rows, batch.nulls)
    whose = users.take(pa.array(values[0].astype(np.int64)))
    return Found(values[1:], whose, batch.rows, batch.nulls)


class _Fold(NamedTuple):
    """The work of a fold; called, it is that of a Spark task."""

    packing: Packing
    kernel: Callable[..., object]
    params: tuple[object, ...]
    state: tuple[tuple[Any, int], ...]
    work: Work

    def made(self, users: int) -> list[Array]:
        return [np.zeros((users, width), kind) for kind, width in self.state]

    def __call__(self, rows: Any) -> Found:  # noqa: ANN401
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
        batch = batch_of(arrow, fold.packing)
        rows += batch.rows
        nulls = [a + b for a, b in zip(nulls, batch.nulls, strict=True)]
        if not batch.keep.any():
            continue
        users = user_numbers(batch, names)
        least, most = extremes(users, batch.keep)
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

    def one(start: int) -> Found:
        values = fold.work(*(array[start : start + step] for array in state))
        if fold.work.out == "sum":
            return Found(values, None, 0, ())
        whose = pa.array(values[0].astype(np.int64) + start)
        return Found(values[1:], whose if ids is None else ids.take(whose), 0, ())

    known = plan._replace(packing=fold.packing)
    checked_nulls(fold.packing, nulls, rows)
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


def _on_spark(plan: Plan, work: _MapPart | _Fold, shards: int | None) -> list[Found]:
    """Bring each user's rows to one task, join its batches and work."""
    backend = backend_of(plan.rows)
    if shards is None:
        counted = fetch(plan.rows.aggregate(n=plan.rows.count()), "counting rows")
        shards = max(1, -(-counted["n"][0].as_py() // SPARK_ROWS))

    def task(batches: Iterable[Any]) -> Iterator[Any]:
        import pyarrow as pa

        held = [batch for batch in batches if batch.num_rows]
        if held:
            found: Found | GrowthError
            try:
                found = work(pa.Table.from_batches(held))
            except GrowthError as error:  # else Spark would tell it in its own words
                found = error
            yield pa.record_batch({"found": [pickle.dumps(found)]})

    hand_over(backend, plan.rows)
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
