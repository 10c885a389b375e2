"""Loops over rows on their way from an engine to a kernel: the engine's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba as nb
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "falls",
    "intern",
    "pack",
    "pack_events",
    "pack_run",
    "radix",
    "scatter",
    "settle",
    "words",
]

FULL = 2  # a table of ids is grown once one slot in so many is taken
MIX = np.uint64(0x9E3779B97F4A7C15)
TAG = 2**31 - 1
DIGIT = 8  # bits sorted by at once: what they need stays in the cache


@nb.njit(cache=True, nogil=True)
def pack(
    values: NDArray[np.int64],
    keep: NDArray[np.bool_],
    start: int,
    step: int,
    shift: int,
    low: NDArray[np.int64],
) -> tuple[int, int]:
    """Add a field to keys: steps above its start, shifted.

    Parameters
    ----------
    values : array of int64
        The field; anything where `keep` is false.
    keep : array of bool
        The rows that count.
    start, step, shift : int
        The smallest value, the values of one step, the field's place.
    low : array of int64
        Written to: the steps are or-ed in.

    Returns
    -------
    least, most : int
        The extremes of the rows that count; 2**63 - 1 and -2**63 without any.
    """
    least, most = np.int64(2**63 - 1), np.int64(-(2**63))
    for i in range(values.size):
        value = values[i]
        least = min(least, value if keep[i] else least)
        most = max(most, value if keep[i] else most)
    # a division by multiplication is exact below 2**52, give or take one
    quick = step > 1 and most - start < 1 << 52
    inverse = 1.0 / step
    for i in range(values.size):
        above = values[i] - start
        if quick:
            steps = np.int64(np.float64(above) * inverse)
            rest = above - steps * step
            above = steps + np.int64(rest >= step) - np.int64(rest < 0)
        elif step > 1:
            above //= step
        low[i] |= above << shift
    return int(least), int(most)


@nb.njit(cache=True, nogil=True)
def pack_run(
    users: NDArray[np.int32],
    times: NDArray[np.int64],
    window: tuple[int, int, int],
    shifts: tuple[int, int],
    first: int,
    low: int,
    keys: NDArray[np.int64],
    at: int,
) -> int:
    """Write the keys of a run's rows that are within a window.

    Parameters
    ----------
    users, times : array of int32, of int64
        The rows.
    window : tuple of int
        The first and the last instant that count, and the instants of one step.
    shifts : tuple of int
        The places of the time and of the user in a key.
    first : int
        The user that is 0.
    low : int
        What every key has below, in its place.
    keys : array of int64
        Written to, from `at` on.
    at : int
        The first place that is free.

    Returns
    -------
    int
        The first place that is free now.
    """
    start, end, step = window
    for i in range(users.size):
        if start <= times[i] <= end:
            above = times[i] - start
            if step > 1:
                above //= step
            user = np.int64(users[i]) - first
            keys[at] = user << shifts[1] | above << shifts[0] | low
            at += 1
    return at


@nb.njit(cache=True, nogil=True)
def pack_events(
    times: NDArray[np.int64],
    known: NDArray[np.bool_],
    unit: int,
    window: tuple[int, int, int],
    names: NDArray[np.int32],
    codes: NDArray[np.int64],
    shifts: tuple[int, int],
    low: NDArray[np.int64],
    places: NDArray[np.int64],
) -> tuple[int, int]:
    """Write what keys have below the user, of the rows that count.

    Parameters
    ----------
    times : array of int64
        When each row was.
    known : array of bool
        Whether a row's time and user are known; all are if it is empty.
    unit : int
        Microseconds in one of `times`.
    window : tuple of int
        The first and the last instant that count, and the instants of one step.
    names : array of int
        Where each row's event is in `codes`.
    codes : array of int64
        What stands for an event; below 0 for those that do not count.
    shifts : tuple of int
        The places of the time and of the code in a key.
    low, places : array of int64
        Written to: the keys, and the row of each; as long as `times`.

    Returns
    -------
    inside, kept : int
        Rows within the window, and those of them that count.
    """
    start, end, step = window
    every = known.size == 0
    inside, kept = 0, 0
    for i in range(times.size):
        at = times[i] * unit
        if at < start or at > end or not (every or known[i]):
            continue
        inside += 1
        code = codes[names[i]]
        above = at - start
        if step > 1:
            above //= step
        # written in any case: cheaper than to guess whether it counts
        low[kept] = above << shifts[0] | code << shifts[1]
        places[kept] = i
        kept += int(code >= 0)
    return inside, kept


@nb.njit(cache=True, nogil=True)
def scatter(
    users: NDArray[np.int64],
    low: NDArray[np.int64],
    keep: NDArray[np.bool_],
    parts: int,
    bits: int,
    keys: NDArray[np.int64],
    rows: NDArray[np.int64],
    *,
    keep_rows: bool,
) -> NDArray[np.int64]:
    """Pack users above `low` and put the keys in order of their part.

    Parameters
    ----------
    users : array of int64
        0 or more where `keep` is true; part ``user % parts`` has it as
        ``user // parts``.
    low : array of int64
        The lower bits, below ``2**bits``.
    keep : array of bool
        The rows that count; the others end up behind the last part.
    parts, bits : int
        Parts, and how far the user is shifted.
    keys, rows : array of int64
        Written to: the keys, part by part in the order of the rows, and (if
        `keep_rows`) the row each came from.
    keep_rows : bool
        Whether `rows` is written.

    Returns
    -------
    array of int64
        Where each part starts, and the end of the last.
    """
    n = users.size
    power = parts & (parts - 1) == 0
    down = 0
    while (1 << down) < parts:
        down += 1
    starts = np.zeros(parts + 2, np.int64)
    of = np.empty(n, np.uint16)
    for i in range(n):
        part = users[i] & (parts - 1) if power else users[i] % parts
        of[i] = part if keep[i] else parts
    for i in range(n):
        starts[of[i] + 1] += 1
    for part in range(parts + 1):
        starts[part + 1] += starts[part]
    at = starts[:-1].copy()
    for i in range(n):
        local = users[i] >> down if power else users[i] // parts
        j = at[of[i]]
        at[of[i]] = j + 1
        keys[j] = (local << bits) | low[i]
        if keep_rows:
            rows[j] = i
    return starts[:-1]


@nb.njit(cache=True, nogil=True)
def radix(
    keys: NDArray[np.int64],
    spare: NDArray[np.int64],
    rows: NDArray[np.int64],
    spare_rows: NDArray[np.int64],
    least: int,
    bits: int,
    *,
    keep_rows: bool,
) -> bool:
    """Sort keys stably by some of their bits, a digit after the other.

    Parameters
    ----------
    keys, spare : array of int64
        Keys of 0 or more, below ``2**bits``, and as much room; both written to.
    rows, spare_rows : array of int64
        What moves with the keys, if `keep_rows`, and as much room.
    least, bits : int
        The lowest bit that counts, and how many bits a key has: 1 to 63.
    keep_rows : bool
        Whether rows move too.

    Returns
    -------
    bool
        Whether the sorted keys (and rows) are in the spare room.
    """
    passes = (bits - least + DIGIT - 1) // DIGIT
    counts = np.zeros((passes, 1 << DIGIT), np.int64)
    mask = (1 << DIGIT) - 1
    for i in range(keys.size):
        key = keys[i] >> least
        for p in range(passes):
            counts[p, key & mask] += 1
            key >>= DIGIT
    moved = False
    for p in range(passes):
        at, down = counts[p], least + p * DIGIT
        total, several = 0, 0
        for digit in range(at.size):
            several += at[digit] > 0
            total, at[digit] = total + at[digit], total
        if several < 2:
            continue
        for i in range(keys.size):
            digit = (keys[i] >> down) & mask
            j = at[digit]
            at[digit] = j + 1
            spare[j] = keys[i]
            if keep_rows:
                spare_rows[j] = rows[i]
        keys, spare = spare, keys
        rows, spare_rows = spare_rows, rows
        moved = not moved
    return moved


@nb.njit(cache=True, nogil=True)
def falls(keys: NDArray[np.int64], bits: int) -> int:
    """Count the keys whose lowest bits are less than those of the key before."""
    mask = (np.int64(1) << bits) - 1
    found = 0
    for i in range(1, keys.size):
        found += (keys[i] & mask) < (keys[i - 1] & mask)
    return found


@nb.njit(cache=True, nogil=True)
def settle(keys: NDArray[np.int64], most: int) -> bool:
    """Sort keys that hardly need it, in place.

    Parameters
    ----------
    keys : array of int64
        Written to.
    most : int
        How many places keys may be moved by, all together.

    Returns
    -------
    bool
        Whether they are sorted: else there was more to do.
    """
    for i in range(1, keys.size):
        key = keys[i]
        j = i
        while j > 0 and keys[j - 1] > key:
            keys[j] = keys[j - 1]
            j -= 1
        keys[j] = key
        most -= i - j
        if most < 0:
            return False
    return True


@nb.njit(cache=True, nogil=True)
def words(
    offsets: NDArray[np.int64], text: NDArray[np.uint8], found: NDArray[np.uint64]
) -> None:
    """Write texts as words of eight bytes, a row each, its length last.

    Parameters
    ----------
    offsets, text : arrays
        Text i is ``text[offsets[i] : offsets[i + 1]]``.
    found : array of uint64, shape (texts, words + 1)
        Zero, and wide enough for the longest.
    """
    for i in range(offsets.size - 1):
        start, size = offsets[i], offsets[i + 1] - offsets[i]
        for p in range(size):
            found[i, p >> 3] |= np.uint64(text[start + p]) << np.uint64(8 * (p & 7))
        found[i, -1] = np.uint64(size)


@nb.njit(cache=True, nogil=True)
def intern(
    rows: NDArray[np.uint64],
    first: int,
    slots: NDArray[np.int64],
    pool: NDArray[np.uint64],
    known: int,
    codes: NDArray[np.int64],
) -> tuple[int, int]:
    """Give rows of words numbers, in the order they are first seen.

    Parameters
    ----------
    rows : array of uint64, shape (rows, width)
        What is numbered.
    first : int
        The first row that has no number yet.
    slots : array of int64
        A table by hash, -1 where free; its size is a power of two, 2**32 at most.
        A slot holds a number above the upper half of its hash.
    pool : array of uint64, shape (room, width)
        The rows by number, written to.
    known : int
        Numbers given so far.
    codes : array of int64
        Written to: the number of each row.

    Returns
    -------
    done, known : int
        The first row without a number (all have one if it is the count: else
        there is no room for another), and the numbers given.
    """
    mask = slots.size - 1
    width = rows.shape[1]
    for i in range(first, rows.shape[0]):
        h = np.uint64(0)
        for w in range(width):
            h = (h ^ rows[i, w]) * MIX
            h ^= h >> np.uint64(32)
        tag = np.int64(h >> np.uint64(33))
        slot = np.int64(h) & mask
        while slots[slot] >= 0:
            if slots[slot] & TAG == tag:
                code = slots[slot] >> 31
                w = 0
                while w < width and pool[code, w] == rows[i, w]:
                    w += 1
                if w == width:
                    break
            slot = (slot + 1) & mask
        if slots[slot] < 0:
            if known >= pool.shape[0] or known * FULL >= slots.size:
                return i, known
            slots[slot] = (known << 31) | tag
            pool[known] = rows[i]
            known += 1
        codes[i] = slots[slot] >> 31
    return rows.shape[0], known
