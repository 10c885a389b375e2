"""Kernels over files that are in the order of users already.

What is sorted in each of a few files need not be sorted again: a part of the users is
taken from every file, and a stable sort of the runs is a merge of them. Each row group
is read once, and no more is held than the parts that kernels run over.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from growth.engine.packing import KEY_BITS, KeyPart, key_shifts
from growth.engine.sharded import ByUser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["Run", "map_runs"]

PART_ROWS: Final = 1 << 20  # of all runs, on average: keys of a part stay near
COLUMNS: Final = ("user_idx", "ts")


class Run(NamedTuple):
    """A Parquet file of one event, in the order of ``user_idx`` and ``ts``.

    Parameters
    ----------
    path : Path
        ``user_idx`` (int32) and ``ts`` (microseconds), neither NULL.
    code : int
        What stands for the event in the keys.
    """

    path: Path
    code: int


def map_runs(
    runs: Sequence[Run],
    *,
    users: int,
    time: KeyPart,
    code: KeyPart,
    kernel: Callable[..., tuple[Array, ...]],
    params: Sequence[object] = (),
    threads: int = 1,
) -> ByUser:
    """Merge each user's rows of several sorted files and run a pure kernel over them.

    Parameters
    ----------
    runs : sequence of Run
        The files; several may have one code.
    users : int
        Every ``user_idx`` is below it.
    time, code : KeyPart
        The fields of the keys below the user, from high to low; rows outside the
        bounds of `time` are left aside.
    kernel : callable
        As `map_by_user` has it. The first array it returns holds users, which are
        nobody's here: the rows of the others are concatenated in any order.
    params : sequence, optional
        Passed to the kernel as they are.
    threads : int, default 1
        Kernels run at once, 1 or more.

    Returns
    -------
    ByUser
        The kernel's arrays but the first, and the rows that were merged.
    """
    cursors = [_Cursor(run) for run in runs]
    packing = _Packing.of(time, code)
    parts = max(1, -(-sum(cursor.rows for cursor in cursors) // PART_ROWS))
    room = 1 << (KEY_BITS - packing.user_at)
    width = max(1, min(-(-users // parts), room))

    def one(part: _Part) -> tuple[tuple[Array, ...], int]:
        keys = packing.keys(part)
        found = kernel(keys, *params)
        return tuple(np.asarray(values) for values in found[1:]), keys.size

    found: list[tuple[tuple[Array, ...], int]] = []
    asked = _parts(cursors, max(users, 1), width)
    with ThreadPoolExecutor(threads) as pool:
        while some := list(islice(asked, threads)):  # no more is held at once
            found.extend(pool.map(one, some))
    columns = zip(*(values for values, _ in found), strict=True)
    values = tuple(map(np.concatenate, columns))
    return ByUser(values, None, sum(rows for _, rows in found), {}, len(found))


class _Slice(NamedTuple):
    """Rows of one run: users and times, and the code they have."""

    users: Array
    times: Array
    code: int


class _Part(NamedTuple):
    """The rows of users from `first` on, run by run."""

    first: int
    slices: list[_Slice]


class _Packing(NamedTuple):
    """How a row becomes a key."""

    window: tuple[int, int, int]
    time_at: int
    code_at: int
    user_at: int
    least: int

    @classmethod
    def of(cls, time: KeyPart, code: KeyPart) -> _Packing:
        time_at, code_at, user_at = key_shifts((time, code))
        window = time.start, time.end, time.step
        return cls(window, time_at, code_at, user_at, code.start)

    def keys(self, part: _Part) -> Array:
        """Return the sorted keys of a part."""
        from growth.engine.kernels import pack_run

        keys = np.empty(sum(each.users.size for each in part.slices), np.int64)
        at = 0
        shifts = self.time_at, self.user_at
        for each in part.slices:
            low = (each.code - self.least) << self.code_at
            at = pack_run(
                each.users, each.times, self.window, shifts, part.first, low, keys, at
            )
        keys = keys[:at]
        keys.sort(kind="stable")  # runs that are sorted are merged
        return keys


class _Cursor:
    """A run, read on as its users are asked for."""

    def __init__(self, run: Run) -> None:
        import pyarrow.parquet as pq

        self.code = run.code
        self.path = run.path
        self.metadata = pq.read_metadata(run.path, memory_map=True)
        self.rows: int = self.metadata.num_rows
        self.left = iter(range(self.metadata.num_row_groups))
        self.held = _Slice(np.empty(0, np.int32), np.empty(0, np.int64), run.code)

    def until(self, user: int) -> Iterator[_Slice]:
        """Yield the rows of the users below `user` that were not yielded yet."""
        while not self.held.users.size or self.held.users[-1] < user:
            if self.held.users.size:
                yield self.held
            if not self._read_on():
                return
        at = int(np.searchsorted(self.held.users, user))
        if at:
            yield self.held._replace(
                users=self.held.users[:at], times=self.held.times[:at]
            )
            self.held = self.held._replace(
                users=self.held.users[at:], times=self.held.times[at:]
            )

    def _read_on(self) -> bool:
        """Read the next row group; say whether there was one."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        group = next(self.left, None)
        if group is None:
            self.held = _Slice(np.empty(0, np.int32), np.empty(0, np.int64), self.code)
            return False
        # opened each time: there may be more runs than files may be open
        with pq.ParquetFile(self.path, metadata=self.metadata, memory_map=True) as file:
            rows = file.read_row_group(group, columns=list(COLUMNS), use_threads=False)
        users, times = (rows[name].combine_chunks() for name in COLUMNS)
        instants = times.cast(pa.timestamp("us", "UTC")).view(pa.int64())
        self.held = _Slice(users.to_numpy(), instants.to_numpy(), self.code)
        return True


def _parts(cursors: Sequence[_Cursor], users: int, width: int) -> Iterator[_Part]:
    """Yield the rows of so many users after the others."""
    for first in range(0, users, width):
        slices = [each for cursor in cursors for each in cursor.until(first + width)]
        yield _Part(first, slices)
