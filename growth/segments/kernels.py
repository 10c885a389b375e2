"""Loops over rows and users: counts by filter and by span of time, and their sums."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba as nb
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["raise_ends", "tally", "tally_days", "totals"]

FAR = 2**62  # above and below every instant: what is kept of one is above 0


@nb.njit(cache=True, nogil=True, inline="always")
def _span(at: int, edges: NDArray[np.int64], span: int) -> int:
    """Return the span of time of a row, from that of the row before: mostly near."""
    while span > 0 and at < edges[span - 1]:
        span -= 1
    while span < edges.size and at >= edges[span]:
        span += 1
    return span


@nb.njit(cache=True, nogil=True)
def tally(
    users: NDArray[np.int64],
    us: NDArray[np.int64],
    masks: NDArray[np.int64],
    counts: NDArray[np.int32],
    ends: NDArray[np.int64],
    edges: NDArray[np.int64],
    count_at: NDArray[np.int64],
    latest_at: NDArray[np.int64],
    earliest_at: NDArray[np.int64],
) -> None:
    """Count rows and keep the last and first instants, each row looked at once.

    Parameters
    ----------
    users : array of int64
        Rows of `counts` and `ends`.
    us : array of int64
        When, in microseconds since 1970.
    masks : array of int64
        Bit f: whether filter f holds.
    counts : array of int32, shape (users, counters)
        Added to.
    ends : array of int64, shape (users, instants), one column at least
        Raised: a last instant is kept as ``us + 2**62``, a first one as
        ``2**62 - us``; 0 is none.
    edges : array of int64
        Where spans of time begin, rising; span s lies before ``edges[s]``.
    count_at : array of int64, shape (filters, spans)
        The counter of a filter in a span, -1 for none.
    latest_at, earliest_at : array of int64, shape (filters,)
        The column of `ends`, -1 for none.
    """
    span = 0
    for i in range(users.size):
        user, at, mask = users[i], us[i], masks[i]
        span = _span(at, edges, span)
        f = 0
        while mask:
            while mask & 1 == 0:
                mask >>= 1
                f += 1
            counter = count_at[f, span]
            if counter >= 0:
                counts[user, counter] += 1
            if latest_at[f] >= 0:
                ends[user, latest_at[f]] = max(ends[user, latest_at[f]], at + FAR)
            if earliest_at[f] >= 0:
                ends[user, earliest_at[f]] = max(ends[user, earliest_at[f]], FAR - at)
            mask >>= 1
            f += 1


@nb.njit(cache=True, nogil=True)
def tally_days(
    users: NDArray[np.int64],
    days: NDArray[np.int64],
    rows: NDArray[np.int64],
    counts: NDArray[np.int32],
    edges: NDArray[np.int64],
    count_at: NDArray[np.int64],
) -> None:
    """Add numbers of rows of whole days to the counters of one filter.

    Parameters
    ----------
    users, days, rows : arrays of int64
        Rows of `counts`, days since 1970, and how many rows of the filter.
    counts : array of int32, shape (users, counters)
        Added to.
    edges : array of int64
        Days on which spans begin, rising.
    count_at : array of int64, shape (spans,)
        The counter of a span, -1 for none.
    """
    span = 0
    for i in range(users.size):
        if rows[i] == 0:
            continue
        span = _span(days[i], edges, span)
        if count_at[span] >= 0:
            counts[users[i], count_at[span]] += rows[i]


@nb.njit(cache=True, nogil=True)
def raise_ends(
    users: NDArray[np.int64],
    us: NDArray[np.int64],
    ends: NDArray[np.int64],
    column: int,
    sign: int,
) -> None:
    """Keep the last (sign 1) or first (-1) of instants, as `tally` keeps them.

    Parameters
    ----------
    users, us : arrays of int64
        Rows of `ends`, and instants; ``-2**62`` is none.
    ends : array of int64, shape (users, instants)
        Raised.
    column, sign : int
        Which of them.
    """
    for i in range(users.size):
        if us[i] > -FAR:
            kept = sign * us[i] + FAR
            ends[users[i], column] = max(ends[users[i], column], kept)


@nb.njit(cache=True, nogil=True)
def totals(
    counts: NDArray[np.int32], counters: NDArray[np.int64], starts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Add up the counters of each question, a user looked at once.

    Parameters
    ----------
    counts : array of int32, shape (users, counters)
        From `tally`.
    counters, starts : arrays of int64
        Question q adds ``counters[starts[q] : starts[q + 1]]``; question 0 counts
        all rows of a user.

    Returns
    -------
    seen : array of int64
        Users with a row.
    found : array of int32, shape (questions, users with a row)
        The sums.
    """
    n = 0
    seen = np.empty(counts.shape[0], np.int64)
    for user in range(counts.shape[0]):
        for at in range(starts[0], starts[1]):
            if counts[user, counters[at]]:
                seen[n] = user
                n += 1
                break
    found = np.zeros((starts.size - 1, n), np.int32)
    for i in range(n):
        for q in range(starts.size - 1):
            for at in range(starts[q], starts[q + 1]):
                found[q, i] += counts[seen[i], counters[at]]
    return seen[:n], found
