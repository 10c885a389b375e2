"""Users as dense integers: what packed keys and bitmaps are indexed by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from growth.engine.statements import fetch
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
        start = pc.max(previous["user_idx"]).as_py() + 1 if len(previous) else 0
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
    """Gives texts numbers in the order they are first seen, batch after batch."""

    def __init__(self) -> None:
        self.known = 0
        self._slots = np.full(FIRST_SLOTS, -1, np.int64)
        self._pool = np.zeros((FIRST_SLOTS // 2, 1), np.uint64)

    def encode(self, texts: Any) -> NDArray[np.int64]:  # noqa: ANN401
        """Return the number of each text of an Arrow array without NULL."""
        import pyarrow as pa

        from growth.engine.kernels import words

        texts = texts.cast(pa.large_string())
        _, offsets, data = texts.buffers()
        n = len(texts)
        codes = np.empty(n, np.int64)
        if not n:
            return codes
        ends = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + n + 1]
        text = np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)
        longest = -(-int(np.diff(ends).max()) // 8) + 1
        if longest > self._pool.shape[1]:
            self._widen(longest)
        rows = np.zeros((n, self._pool.shape[1]), np.uint64)
        words(ends, text, rows)
        self._number(rows, codes)
        return codes

    def _number(self, rows: NDArray[np.uint64], codes: NDArray[np.int64]) -> None:
        from growth.engine.kernels import intern

        done = 0
        while done < len(rows):
            done, self.known = intern(
                rows, done, self._slots, self._pool, self.known, codes
            )
            if done < len(rows):
                self._grow()

    def _grow(self) -> None:
        """Make room for twice as many texts."""
        kept = self._pool[: self.known]
        self._slots = np.full(4 * self._slots.size, -1, np.int64)
        self._pool = np.zeros((self._slots.size // 2, kept.shape[1]), np.uint64)
        self.known = 0
        self._number(kept, np.empty(len(kept), np.int64))

    def _widen(self, width: int) -> None:
        """Make room for longer texts: the length stays last, zeros come before it."""
        kept, known = self._pool, self.known
        self._slots.fill(-1)
        self._pool = np.zeros((len(kept), width), np.uint64)
        rows = np.zeros((known, width), np.uint64)
        rows[:, : kept.shape[1] - 1] = kept[:known, :-1]
        rows[:, -1] = kept[:known, -1]
        self.known = 0
        self._number(rows, np.empty(known, np.int64))

    def ids(self) -> pa.Array:
        """Return the texts, in the order of their numbers."""
        import pyarrow as pa

        if not self.known:
            return pa.array([], pa.string())
        rows = self._pool[: self.known]
        sizes = rows[:, -1].astype(np.int64)
        ends = np.concatenate([[0], np.cumsum(sizes)])
        width = 8 * (rows.shape[1] - 1)
        letters = np.ascontiguousarray(rows[:, :-1]).astype("<u8").view(np.uint8)
        text = letters.reshape(len(rows), width)[np.arange(width) < sizes[:, None]]
        buffers = [None, pa.py_buffer(ends), pa.py_buffer(text)]
        found = pa.Array.from_buffers(pa.large_string(), self.known, buffers)
        return found if ends[-1] >= 2**31 else found.cast(pa.string())
