"""Loops over rows on their way from an engine to a kernel: the engine's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba as nb
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["intern", "scatter"]

FULL = 2  # a table of ids is grown once one slot in so many is taken
MIX = np.uint64(0x9E3779B97F4A7C15)


@nb.njit(cache=True, nogil=True)
def scatter(
    users: NDArray[np.int64],
    low: NDArray[np.int64],
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
        0 or more; part ``user % parts`` has it as ``user // parts``.
    low : array of int64
        The lower bits, below ``2**bits``.
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
        Where each part starts, and the end.
    """
    n = users.size
    starts = np.zeros(parts + 1, np.int64)
    power = parts & (parts - 1) == 0
    down = 0
    while (1 << down) < parts:
        down += 1
    for i in range(n):
        part = users[i] & (parts - 1) if power else users[i] % parts
        starts[part + 1] += 1
    for part in range(parts):
        starts[part + 1] += starts[part]
    at = starts[:parts].copy()
    for i in range(n):
        user = users[i]
        if power:
            part = user & (parts - 1)
            local = user >> down
        else:
            local = user // parts
            part = user - local * parts
        j = at[part]
        at[part] = j + 1
        keys[j] = (local << bits) | low[i]
        if keep_rows:
            rows[j] = i
    return starts


@nb.njit(cache=True, nogil=True)
def intern(
    offsets: NDArray[np.int64],
    text: NDArray[np.uint8],
    first: int,
    slots: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    ends: NDArray[np.int64],
    pool: NDArray[np.uint8],
    known: int,
    codes: NDArray[np.int64],
) -> tuple[int, int]:
    """Give texts numbers, in the order they are first seen.

    Parameters
    ----------
    offsets, text : arrays
        Text i is ``text[offsets[i] : offsets[i + 1]]``.
    first : int
        The first text that has no number yet.
    slots : array of int64
        A table of numbers by hash, -1 where free; its size is a power of two.
    hashes, ends, pool : arrays
        By number: the hash, where its text ends in `pool`; `ends` has one before.
    known : int
        Numbers given so far.
    codes : array of int64
        Written to: the number of each text.

    Returns
    -------
    done, known : int
        The first text without a number (all have one if it is the count: else
        there is no room for another), and the numbers given.
    """
    n = offsets.size - 1
    mask = slots.size - 1
    for i in range(first, n):
        start, end = offsets[i], offsets[i + 1]
        h = np.uint64(end - start) * MIX
        for p in range(start, end):
            h = (h ^ np.uint64(text[p])) * np.uint64(0x100000001B3)
        h ^= h >> np.uint64(29)
        h *= MIX
        h ^= h >> np.uint64(32)
        slot = np.int64(h) & mask
        while True:
            code = slots[slot]
            if code < 0:
                break
            if hashes[code] == h and ends[code + 1] - ends[code] == end - start:
                same = True
                base = ends[code]
                for p in range(end - start):
                    if pool[base + p] != text[start + p]:
                        same = False
                        break
                if same:
                    break
            slot = (slot + 1) & mask
        if code < 0:
            base = ends[known]
            if (
                known >= hashes.size
                or base + end - start > pool.size
                or known * FULL >= slots.size
            ):
                return i, known
            code = known
            slots[slot] = code
            hashes[code] = h
            ends[code + 1] = base + end - start
            for p in range(end - start):
                pool[base + p] = text[start + p]
            known += 1
        codes[i] = code
    return n, known
