"""A kernel over each user's events: when they were, and which of a few codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from growth.engine.days import within
from growth.engine.files import Files, files_of
from growth.engine.packing import (
    KeyPart,
    Packed,
    as_stored,
    integers,
    key_shifts,
    planned,
)
from growth.engine.sharded import map_by_user, map_here, thread_count
from growth.engine.spilling import Work
from growth.engine.statements import backend_of
from growth.engine.tables import TableLike, as_table, need_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from growth.engine.sharded import ByUser
    from growth.engine.users import Interner

    Array = NDArray[Any]

__all__ = ["ByValue", "map_events", "map_events_by"]

NONE = -1  # the code of an event that is none of those asked about


def map_events(
    table: TableLike,
    codes: Mapping[str | None, int],
    *,
    time: KeyPart,
    code: KeyPart,
    kernel: Callable[..., tuple[Array, ...]],
    params: Sequence[object] = (),
    user_col: str = "user_id",
    ts_col: str = "ts",
    event_col: str = "event",
) -> ByUser:
    """Sort each user's events by time and code, and run a pure kernel over them.

    Parameters
    ----------
    table : ibis.Table, frame, Arrow data or path
        A row an event.
    codes : mapping of str to int
        What stands for each event in the keys, 0 or more; None is any that is not
        listed, an unknown one too. The others are left aside.
    time, code : KeyPart
        The fields of the keys below the user, from high to low; rows outside the
        bounds of `time` are left aside. Their `value` is not looked at.
    kernel, params
        As `map_by_user` has them, for ``out="loose"``.
    user_col, ts_col, event_col : str
        Columns: text or integer, an instant, text.

    Returns
    -------
    ByUser
        The kernel's arrays but the first, row by row in any order; `rows` are those
        within the bounds of `time`.

    Raises
    ------
    ColumnNotFoundError, ParameterError, DataError
        As in `map_by_user`.

    Notes
    -----
    A table that is nothing but Parquet files is read from these, where the name of
    an event is a number already; the rest of the way is the same.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from datetime import UTC, datetime, timedelta
    >>> noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    >>> rows = {"user_id": ["a", "b", "a"], "event": ["view", "view", "pay"]}
    >>> log = pa.table({**rows, "ts": [noon, noon, noon + timedelta(seconds=1)]})
    >>> time = KeyPart("ts", None, noon, noon + timedelta(days=1))
    >>> code = KeyPart("code", None, 0, 1)
    >>> def last(keys, shift):
    ...     ends = np.append(keys[1:] >> shift != keys[:-1] >> shift, True)
    ...     return keys[ends] >> shift, keys[ends] & 1
    >>> found = map_events(
    ...     log,
    ...     {"view": 0, "pay": 1},
    ...     time=time,
    ...     code=code,
    ...     kernel=last,
    ...     params=key_shifts((time, code))[-1:],
    ... )
    >>> sorted(found.values[0].tolist()), found.rows
    ([0, 1], 3)
    """
    import ibis

    source = as_table(table)
    need_columns(source, (user_col, ts_col, event_col))
    rows = within(source, ts_col, time.start, time.end)
    other = ibis.null("int16")
    if None in codes:
        other = ibis.literal(codes[None], "int16")
    named = [
        (name, ibis.literal(number, "int16"))
        for name, number in codes.items()
        if name is not None
    ]
    value = rows[event_col].cases(*named, else_=other) if named else other
    key = time._replace(value=ts_col), code._replace(value=value)
    files = files_of(source, user_col, ts_col, event_col)
    if files is None:
        return map_by_user(
            rows, key=key, kernel=kernel, params=params, out="loose", user_col=user_col
        )
    plan = planned(rows, user_col, key, {}, "loose")
    threads = thread_count(backend_of(source))
    feed = _Feed(files, codes, time, code, threads)
    return map_here(plan, Work(kernel, tuple(params), "loose"), feed, threads=threads)


class ByValue(NamedTuple):
    """What a kernel found, and what the numbers in the keys stand for.

    Parameters
    ----------
    found : ByUser
        As of `map_events`.
    values : list of tuple
        What the columns say together, in the order of the numbers: the first is 1.
    """

    found: ByUser
    values: list[tuple[Any, ...]]


def map_events_by(
    table: TableLike,
    codes: Mapping[str | None, int],
    by: Sequence[str],
    *,
    bearing: Collection[int],
    time: KeyPart,
    code: KeyPart,
    value: KeyPart,
    kernel: Callable[..., tuple[Array, ...]],
    params: Sequence[object] = (),
    user_col: str = "user_id",
    ts_col: str = "ts",
    event_col: str = "event",
) -> ByValue | None:
    """Do as `map_events`, with what some columns say as a number in the keys.

    Values are numbered as they are met, so that they need not be looked for first.

    Parameters
    ----------
    table, codes, time, code, kernel, params, user_col, ts_col, event_col
        As `map_events` has them.
    by : sequence of str
        The columns: text, integers or booleans.
    bearing : collection of int
        The codes of the events whose values matter; the others have 0.
    value : KeyPart
        The lowest field of the keys, from 0 to as many values as there is room for.

    Returns
    -------
    ByValue or None
        None where there is no room for all values, or the table is not nothing but
        Parquet files.

    Raises
    ------
    ColumnNotFoundError, ParameterError, DataError
        As in `map_by_user`.
    """
    import ibis

    source = as_table(table)
    need_columns(source, (user_col, ts_col, event_col, *by))
    files = files_of(source, user_col, ts_col, event_col, *by)
    if files is None:
        return None
    threads = thread_count(backend_of(source))
    numbers = _Numbers(value.end, frozenset(bearing))
    feed = _Feed(files, codes, time, code, threads, value, numbers)
    empty = ibis.literal(0, "int16")
    key = (
        time._replace(value=ts_col),
        code._replace(value=empty),
        value._replace(value=empty),
    )
    plan = planned(source, user_col, key, {}, "loose")
    work = Work(kernel, tuple(params), "loose")
    try:
        found = map_here(plan, work, feed, threads=threads)
    except _NoRoomError:
        return None
    return ByValue(found, numbers.values)


class _NoRoomError(Exception):
    """More values than the keys have room for."""


class _Numbers:
    """Gives what columns say together numbers, from 1 on, as it is met."""

    def __init__(self, most: int, bearing: frozenset[int]) -> None:
        self.most = most
        self.bearing = bearing
        self.values: list[tuple[Any, ...]] = []
        self.known: dict[tuple[Any, ...], int] = {}

    def of(self, columns: Sequence[Any]) -> Array:
        """Return the number of each row of some columns."""
        import pyarrow as pa

        first, *others = map(_as_dictionary, columns)
        rows, there = first[0], [(value,) for value in first[1]]
        for places, values in others:  # one by one: all at once need not fit an int64
            joint = rows * len(values) + places
            met = pa.array(joint).dictionary_encode()
            rows, pairs = integers(met.indices), met.dictionary.to_pylist()
            if len(pairs) > self.most:
                raise _NoRoomError
            there = [
                (*there[pair // len(values)], values[pair % len(values)])
                for pair in pairs
            ]
        used = np.zeros(len(there), np.bool_)
        used[rows] = True
        numbers = np.zeros(len(there), np.int64)
        for i in np.flatnonzero(used).tolist():
            numbers[i] = self._number(there[i])
        found: Array = numbers[rows]
        return found

    def _number(self, said: tuple[Any, ...]) -> int:
        if said not in self.known:
            if len(self.values) == self.most:
                raise _NoRoomError
            self.values.append(said)
            self.known[said] = len(self.values)
        return self.known[said]


def _as_dictionary(column: Any) -> tuple[Array, list[Any]]:  # noqa: ANN401
    """Return where each row's value is in a list, NULL too, and the list."""
    import pyarrow as pa

    if not isinstance(column, pa.DictionaryArray):
        column = column.dictionary_encode()
    values = column.dictionary.to_pylist()
    places = column.indices
    if places.null_count:
        places = places.fill_null(len(values))
    return integers(places), [*values, None]


class _Feed:
    """Rows of files, packed as they are read."""

    def __init__(
        self,
        files: Files,
        codes: Mapping[str | None, int],
        time: KeyPart,
        code: KeyPart,
        threads: int,
        value: KeyPart | None = None,
        numbers: _Numbers | None = None,
    ) -> None:
        self.files = files
        self.codes = codes
        self.window = time.start, time.end, time.step
        self.least = code.start
        self.mask = (1 << code.bits) - 1
        parts = (time, code) if value is None else (time, code, value)
        self.parts = parts
        time_at, code_at, *_ = key_shifts(parts)
        self.shifts = time_at, code_at
        self.threads = threads
        self.numbers = numbers

    def __call__(self, names: Interner | None) -> Iterator[Packed]:
        """Yield the rows within the bounds that have a code, a row group at a time."""
        from growth.engine.kernels import pack_events

        start, end, _ = self.window
        for users, times, events, more in self.files.groups(
            start, end, threads=self.threads
        ):
            there, unknown = self._known(users, times)
            low = np.empty(len(times), np.int64)
            places = np.empty(len(times), np.int64)
            inside, kept = pack_events(
                integers(times),
                there,
                self.files.unit_us,
                self.window,
                *self._coded(events),
                self.shifts,
                low,
                places,
            )
            low, places = low[:kept], places[:kept]
            if self.numbers is not None:
                self._value(self.numbers, more, low, places)
            rows = self._numbers(users, places, names)
            keep = np.ones(kept, np.bool_)
            nulls = (unknown, *(0 for _ in self.parts))
            yield Packed(rows, low, keep, [], inside + unknown, nulls)

    def _value(
        self, numbers: _Numbers, columns: Sequence[Any], low: Array, places: Array
    ) -> None:
        """Write what the columns say into the keys of events that bear it."""
        import pyarrow as pa

        bears = np.zeros(self.mask + 1, np.bool_)
        bears[[code - self.least for code in numbers.bearing]] = True
        mine = np.flatnonzero(bears[low >> self.shifts[1] & self.mask])
        chosen = pa.array(places[mine])
        low[mine] |= numbers.of([column.take(chosen) for column in columns])

    def _known(self, users: Any, times: Any) -> tuple[NDArray[np.bool_], int]:  # noqa: ANN401
        """Return which rows have both, none where all have, and who lacks a user."""
        if not (users.null_count or times.null_count):
            return np.empty(0, np.bool_), 0
        timed, named = (
            column.is_valid().to_numpy(zero_copy_only=False)
            for column in (times, users)
        )
        at = integers(times) * self.files.unit_us
        inside = timed & (at >= self.window[0]) & (at <= self.window[1])
        return timed & named, int((inside & ~named).sum())

    def _coded(self, events: Any) -> tuple[Array, Array]:  # noqa: ANN401
        """Return where each row's name is in a list of codes, and the list."""
        names = events.dictionary.to_pylist()
        places = events.indices
        if places.null_count:  # a row without a name: the place after the last
            places = places.fill_null(len(names))
        other = self.codes.get(None)
        found = [self.codes.get(name, other) for name in (*names, None)]
        listed = [NONE if code is None else code - self.least for code in found]
        return places.to_numpy(), np.array(listed, np.int64)

    @staticmethod
    def _numbers(users: Any, places: Array, names: Interner | None) -> Array:  # noqa: ANN401
        import pyarrow as pa

        if names is None:
            return as_stored(users)[places].astype(np.int64, copy=False)
        return names.encode(users.take(pa.array(places)))
