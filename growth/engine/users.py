"""Users as dense integers: what packed keys and bitmaps are indexed by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from growth.engine.connections import fetch
from growth.engine.tables import TableLike, as_table, need_columns
from growth.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["Interner", "user_index"]

FIRST_SLOTS = 1 << 12


def user_index(
    table: TableLike, *, user_col: str = "user_id", previous: pa.Table | None = None
) -> pa.Table:
    """Give users dense numbers, append-only: a number never changes its user.

    Parameters
    ----------
    table : ibis.Table, frame, Arrow data or path
        Rows of users; a user may have many.
    user_col : str, default "user_id"
        The user, text or integer; NULL is nobody.
    previous : pyarrow.Table, optional
        An earlier answer: its users keep their numbers, seen again or not, and the
        hole a deleted user left stays one.

    Returns
    -------
    pyarrow.Table
        `user_col` and ``user_idx`` (int32, 0 or more), sorted by it. New users
        follow the largest number, in the order of their ids.

    Raises
    ------
    ColumnNotFoundError
        If the column is missing.
    DataError
        If there are more than 2**31 - 1 users (code ``too_many_users``).

    Examples
    --------
    >>> import pyarrow as pa
    >>> first = user_index(pa.table({"user_id": ["b", "a", "b"]}))
    >>> first.to_pydict()
    {'user_id': ['a', 'b'], 'user_idx': [0, 1]}
    >>> later = pa.table({"user_id": ["A", "b"]})
    >>> user_index(later, previous=first)["user_id"].to_pylist()
    ['a', 'b', 'A']
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    source = as_table(table)
    need_columns(source, [user_col])
    seen = source.filter(source[user_col].notnull()).select(user_col).distinct()
    users = fetch(seen, "numbering users")[user_col].combine_chunks()
    start = 0
    if previous is not None:
        users = users.cast(previous[user_col].type)
        users = users.filter(pc.invert(pc.is_in(users, previous[user_col])))
        start = (pc.max(previous["user_idx"]).as_py() or -1) + 1 if len(previous) else 0
    users = users.take(pc.sort_indices(users))
    if start + len(users) > 2**31 - 1:
        msg = f"there are {start + len(users)} users; an int32 numbers 2**31 - 1 at"
        raise DataError(f"{msg} most; split the table by user.", code="too_many_users")
    numbers = pa.array(np.arange(start, start + len(users), dtype=np.int32))
    fresh = pa.table({user_col: users, "user_idx": numbers})
    if previous is None:
        return fresh
    kept = previous.select([user_col, "user_idx"]).sort_by("user_idx")
    return pa.concat_tables([kept, fresh.cast(kept.schema)])


class Interner:
    """Numbers texts in the order they are first seen, in one pass over batches."""

    def __init__(self) -> None:
        self._known = 0
        self._slots = np.full(FIRST_SLOTS, -1, np.int64)
        self._hashes = np.zeros(FIRST_SLOTS, np.uint64)
        self._ends = np.zeros(FIRST_SLOTS + 1, np.int64)
        self._pool = np.zeros(FIRST_SLOTS * 16, np.uint8)

    def encode(self, texts: Any) -> NDArray[np.int64]:  # noqa: ANN401
        """Return the number of each text of an Arrow array without NULL."""
        import pyarrow as pa

        from growth.engine.kernels import intern

        texts = texts.cast(pa.large_string())
        _, offsets, data = texts.buffers()
        n = len(texts)
        where = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + n + 1]
        text = np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)
        codes = np.empty(n, np.int64)
        done = 0
        while True:
            done, self._known = intern(
                where,
                text,
                done,
                self._slots,
                self._hashes,
                self._ends,
                self._pool,
                self._known,
                codes,
            )
            if done == n:
                return codes
            self._grow(int(where[done + 1] - where[done]))

    def _grow(self, needed: int) -> None:
        """Make room for more texts, one of them of so many bytes."""
        known = self._known
        used = int(self._ends[known])
        if used + needed > self._pool.size:
            self._pool = np.resize(self._pool, max(2 * self._pool.size, used + needed))
        if known >= self._hashes.size:
            self._hashes = np.resize(self._hashes, 2 * known)
            self._ends = np.resize(self._ends, 2 * known + 1)
        if 2 * known >= self._slots.size:
            size = 4 * self._slots.size
            self._slots = slots = np.full(size, -1, np.int64)
            at = self._hashes[:known].astype(np.int64) & (size - 1)
            left = np.arange(known)
            while left.size:  # as many rounds as the longest probe
                free = slots[at[left]] < 0
                slots[at[left[free]]] = left[free]
                left = left[slots[at[left]] != left]
                at[left] = (at[left] + 1) & (size - 1)

    def ids(self) -> pa.Array:
        """Return the texts, in the order of their numbers."""
        import pyarrow as pa

        ends = self._ends[: self._known + 1]
        found = pa.Array.from_buffers(
            pa.large_string(),
            self._known,
            [None, pa.py_buffer(ends.copy()), pa.py_buffer(self._pool[: ends[-1]])],
        )
        return found if ends[-1] >= 2**31 else found.cast(pa.string())
