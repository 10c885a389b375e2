"""The loops: taps sorted within a user, twins and echoes, cells, runs, permutations.

Pure functions of arrays; each also runs as plain Python (``.py_func``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["count_cells", "count_users", "permute", "place", "runs", "sift"]
__all__ += ["unfilter", "users_first"]

# what becomes of a tap: the positions of grid.COUNTED
BINNED, BEYOND, OFF_PAGE, DUPLICATE, ECHO, EXCLUDED, NO_POSITION = range(7)
BUBBLE = 2  # phase: 0 not recorded, 1 capture, 2 bubble
SHORT = 48  # rows of one user up to which insertion is the quickest sort
FAR = 1e8  # px: no page is so long, and sixteenths of it fit 63 bits


@njit(cache=True, nogil=True)
def users_first(user: NDArray[Any], n_users: int) -> tuple[Any, Any]:
    """Return where each user's rows start, and the rows by user (stable)."""
    starts = np.zeros(n_users + 1, np.int64)
    for i in range(len(user)):
        starts[user[i] + 1] += 1
    for u in range(n_users):
        starts[u + 1] += starts[u]
    at = starts[:-1].copy()
    order = np.empty(len(user), np.int32)
    for i in range(len(user)):
        u = user[i]
        order[at[u]] = i
        at[u] += 1
    return starts, order


@njit(cache=True, nogil=True)
def _twin_before(a: int, b: int, last: Any) -> bool:  # noqa: ANN401
    """Whether row a comes before row b of the same time and place; NaN is last."""
    for bytes_ in last[0]:
        if len(bytes_) and bytes_[a] != bytes_[b]:
            return bool(bytes_[a] < bytes_[b])
    for codes in last[1]:
        if len(codes) and codes[a] != codes[b]:
            return bool(codes[a] < codes[b])
    for values in last[2]:
        if len(values):
            one, two = values[a], values[b]
            if one < two:
                return True
            if two < one or np.isnan(one) != np.isnan(two):
                return bool(not np.isnan(one) and np.isnan(two))
    return False


@njit(cache=True, nogil=True)
def _before(
    a: int,
    b: int,
    page: Any,  # noqa: ANN401
    ts: Any,  # noqa: ANN401
    tie: Any,  # noqa: ANN401
    x: Any,  # noqa: ANN401
    y: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """Whether row a comes before row b: by page, time, tie, position."""
    if page[a] != page[b]:
        return page[a] < page[b]
    if ts[a] != ts[b]:
        return ts[a] < ts[b]
    if len(tie) and tie[a] != tie[b]:
        return tie[a] < tie[b]
    if x[a] != x[b]:
        return x[a] < x[b]
    return y[a] < y[b]


@njit(cache=True, nogil=True)
def _merge_sort(
    order: Any,  # noqa: ANN401
    low: int,
    high: int,
    page: Any,  # noqa: ANN401
    ts: Any,  # noqa: ANN401
    tie: Any,  # noqa: ANN401
    x: Any,  # noqa: ANN401
    y: Any,  # noqa: ANN401
) -> None:
    """Sort the rows of one user who has many."""
    n = high - low
    one = order[low:high].copy()
    two = np.empty_like(one)
    width = 1
    while width < n:
        for start in range(0, n, 2 * width):
            i, middle = start, int(min(start + width, n))
            j, end = middle, int(min(start + 2 * width, n))
            for k in range(start, end):
                right = i >= middle
                if not right and j < end:
                    right = _before(one[j], one[i], page, ts, tie, x, y)
                if right:
                    two[k] = one[j]
                    j += 1
                else:
                    two[k] = one[i]
                    i += 1
        one, two = two, one
        width *= 2
    order[low:high] = one


@njit(cache=True, nogil=True)
def _is_twin(
    i: int,
    low: int,
    order: Any,  # noqa: ANN401
    page: Any,  # noqa: ANN401
    ts: Any,  # noqa: ANN401
    x: Any,  # noqa: ANN401
    y: Any,  # noqa: ANN401
    phase: Any,  # noqa: ANN401
    status: Any,  # noqa: ANN401
) -> bool:
    """Whether an earlier row has the time and place of the row at `i`."""
    row = order[i]
    for j in range(i - 1, low - 1, -1):
        other = order[j]
        if page[other] != page[row] or ts[other] != ts[row]:
            break
        told_apart = len(phase) and phase[row] and phase[other]
        same = x[other] == x[row] and y[other] == y[row]
        if same and not told_apart and status[other] != NO_POSITION:
            return True
    return False


@njit(cache=True, nogil=True)
def _mark(
    low: int,
    high: int,
    order: Any,  # noqa: ANN401
    page: Any,  # noqa: ANN401
    ts: Any,  # noqa: ANN401
    x: Any,  # noqa: ANN401
    y: Any,  # noqa: ANN401
    phase: Any,  # noqa: ANN401
    echo: int,
    status: Any,  # noqa: ANN401
) -> None:
    """Mark twins and echoes among one user's sorted rows."""
    last = -1  # the raw tap before
    for i in range(low, high):
        row = order[i]
        if status[row] != BINNED:
            continue
        near = last >= 0 and page[last] == page[row] and ts[row] - ts[last] < echo
        near = near and x[last] == x[row] and y[last] == y[row]
        bubble = len(phase) and phase[row] == BUBBLE
        if (near and bubble and phase[last] != BUBBLE) or _is_twin(
            i, low, order, page, ts, x, y, phase, status
        ):
            status[row] = DUPLICATE
        else:
            if near:
                status[row] = ECHO
            last = row


@njit(cache=True, nogil=True)
def sift(
    starts: Any,  # noqa: ANN401
    order: Any,  # noqa: ANN401
    page: Any,  # noqa: ANN401
    ts: Any,  # noqa: ANN401
    tie: Any,  # noqa: ANN401
    x: Any,  # noqa: ANN401
    y: Any,  # noqa: ANN401
    phase: Any,  # noqa: ANN401
    last: Any,  # noqa: ANN401
    echo: int,
    status: Any,  # noqa: ANN401
) -> None:
    """Sort each user's rows in `order`; mark twins and echoes in `status`.

    `tie` and `phase` may be empty, and so may the columns of `last`, tuples of int8,
    int32 and float32: by them twins are sorted, so that row order shows nowhere.
    `echo` has the unit of `ts`. Rows whose status is not BINNED on entry keep it and
    are passed over.
    """
    for u in range(len(starts) - 1):
        low, high = starts[u], starts[u + 1]
        n = high - low
        if n < 2:
            continue
        if n > SHORT:
            _merge_sort(order, low, high, page, ts, tie, x, y)
        else:
            for i in range(low + 1, high):
                row = order[i]
                j = i - 1
                while j >= low and _before(row, order[j], page, ts, tie, x, y):
                    order[j + 1] = order[j]
                    j -= 1
                order[j + 1] = row
        for i in range(low + 1, high):  # twins are few: the sort itself stays short
            a, b = order[i - 1], order[i]
            if ts[a] != ts[b] or x[a] != x[b] or y[a] != y[b] or page[a] != page[b]:
                continue
            j = i - 1
            while (
                j >= low
                and not _before(order[j], b, page, ts, tie, x, y)
                and _twin_before(b, order[j], last)
            ):
                order[j + 1] = order[j]
                j -= 1
            order[j + 1] = b
        _mark(low, high, order, page, ts, x, y, phase, echo, status)


@njit(cache=True, nogil=True)
def place(
    x: Any,  # noqa: ANN401
    y: Any,  # noqa: ANN401
    w: Any,  # noqa: ANN401
    page_h: Any,  # noqa: ANN401
    excluded: Any,  # noqa: ANN401
    cell_rpx: int,
    most_rpx: int,
    status: Any,  # noqa: ANN401
    side: Any,  # noqa: ANN401
) -> NDArray[np.int32]:
    """Return ``row * cols + col`` of the taps that stay BINNED, else -1.

    `page_h` and `excluded` may be empty. `side` counts taps off the page: left,
    right, above, below.
    """
    cols = 750 // cell_rpx
    cell = np.full(len(x), -1, np.int32)
    for i in range(len(x)):
        if status[i] != 0:
            continue
        if len(excluded) and excluded[i]:
            status[i] = EXCLUDED
            continue
        off = -1
        if x[i] < 0:
            off = 0
        elif x[i] > w[i]:
            off = 1
        elif y[i] < 0:
            off = 2
        elif len(page_h) and y[i] > page_h[i] + 1:
            off = 3
        if off >= 0:
            status[i] = OFF_PAGE
            side[off] += 1
            continue
        if y[i] >= FAR:
            status[i] = BEYOND
            continue
        # whole numbers below 2**52: the rounded quotient has the exact one's floor
        width = np.floor(np.float64(w[i]) * 16) * cell_rpx
        row = np.int64(np.floor(np.float64(y[i]) * 16) * 750 / width)
        if row * cell_rpx >= most_rpx:
            status[i] = BEYOND
            continue
        col = np.int64(np.floor(np.float64(x[i]) * 16) * 750 / width)
        if col == cols:  # x = width is on the page
            col -= 1
        cell[i] = row * cols + col
    return cell


@njit(cache=True, nogil=True)
def count_cells(cell: Any, group: Any, base: Any, taps: Any) -> None:  # noqa: ANN401
    """Add each tap to its cell; cells of group g start at ``base[g]``."""
    for i in range(len(cell)):
        if cell[i] >= 0:
            taps[base[group[i]] + cell[i]] += 1


@njit(cache=True, nogil=True)
def _sort(values: Any, n: int) -> None:  # noqa: ANN401
    """Sort the first n values: by halving gaps, then by insertion."""
    gap = 1
    while gap < n // 3:
        gap = 3 * gap + 1
    while gap:
        for i in range(gap, n):
            value = values[i]
            j = i - gap
            while j >= 0 and values[j] > value:
                values[j + gap] = values[j]
                j -= gap
            values[j + gap] = value
        gap //= 3


@njit(cache=True, nogil=True)
def count_users(
    starts: Any,  # noqa: ANN401
    order: Any,  # noqa: ANN401
    cell: Any,  # noqa: ANN401
    group: Any,  # noqa: ANN401
    base: Any,  # noqa: ANN401
    users: Any,  # noqa: ANN401
    pairs: Any,  # noqa: ANN401
) -> int:
    """Count distinct users per cell; keep (cell, user, taps) in `pairs` if asked.

    `pairs` has shape (taps, 3), or (0, 3) for the counts alone; the return value
    is how many of its rows are filled.
    """
    filled = 0
    seen = np.empty(64, np.int64)
    for u in range(len(starts) - 1):
        n = 0
        if starts[u + 1] - starts[u] > len(seen):
            seen = np.empty(starts[u + 1] - starts[u], np.int64)
        for i in range(starts[u], starts[u + 1]):
            row = order[i]
            if cell[row] >= 0:
                seen[n] = base[group[row]] + cell[row]
                n += 1
        _sort(seen, n)
        for i in range(n):
            if i == 0 or seen[i] != seen[i - 1]:
                users[seen[i]] += 1
                if len(pairs):
                    pairs[filled, 0] = seen[i]
                    pairs[filled, 1] = u
                    pairs[filled, 2] = 1
                    filled += 1
            elif len(pairs):
                pairs[filled - 1, 2] += 1
    return filled


@njit(cache=True, nogil=True)
def runs(
    part: Any,  # noqa: ANN401
    ts: Any,  # noqa: ANN401
    x: Any,  # noqa: ANN401
    y: Any,  # noqa: ANN401
    w: Any,  # noqa: ANN401
    gap: int,
    radius_rpx: int,
) -> NDArray[np.int64]:
    """Return numbers of the runs of taps that are near in time and place.

    Rows are sorted by `part` (user and page) and time. Two taps are near when less
    than `gap` and less than the radius apart: compared squared, in integers, in
    sixteenths of px times 750.
    """
    run = np.zeros(len(ts), np.int64)
    for i in range(1, len(ts)):
        near = part[i] == part[i - 1] and ts[i] - ts[i - 1] < gap
        if near:
            dx = np.int64(np.floor(np.float64(x[i]) * 16))
            dx -= np.int64(np.floor(np.float64(x[i - 1]) * 16))
            dy = np.int64(np.floor(np.float64(y[i]) * 16))
            dy -= np.int64(np.floor(np.float64(y[i - 1]) * 16))
            limit = np.int64(np.floor(np.float64(w[i]) * 16)) * radius_rpx
            near = (dx * dx + dy * dy) * (750 * 750) < limit * limit
        run[i] = run[i - 1] + (0 if near else 1)
    return run


@njit(cache=True, nogil=True)
def _next(state: Any) -> Any:  # noqa: ANN401
    """Return the next number of SplitMix64; its state is an array of one."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True)
def permute(
    cell: Any,  # noqa: ANN401
    user: Any,  # noqa: ANN401
    treated: Any,  # noqa: ANN401
    strata: Any,  # noqa: ANN401
    weight: Any,  # noqa: ANN401
    share: float,
    rounds: int,
    seed: int,
) -> NDArray[np.float64]:
    """Return the statistic under `rounds` shuffles of the arms within strata.

    `cell` and `user` are the pairs; `strata` the ends of runs of users that may
    exchange arms; `weight` per cell multiplies the squared difference of shares,
    ``(taps_b - share * all)^2``, a form of (p_b - p_a)^2 up to a constant.
    """
    state = np.full(1, seed, np.uint64)
    arm = treated.copy()
    n_cells = len(weight)
    total = np.zeros(n_cells, np.int64)
    for i in range(len(cell)):
        total[cell[i]] += 1
    found = np.empty(rounds, np.float64)
    for r in range(rounds):
        low = 0
        for s in range(len(strata)):
            high = strata[s]
            for i in range(high - 1, low, -1):
                draw = _next(state)
                j = low + np.int64(
                    (np.uint64(draw) >> np.uint64(32)) * np.uint64(i - low + 1)
                    >> np.uint64(32)
                )
                arm[i], arm[j] = arm[j], arm[i]
            low = high
        hits = np.zeros(n_cells, np.int64)
        for i in range(len(cell)):
            hits[cell[i]] += arm[user[i]]
        value = 0.0
        for c in range(n_cells):
            gap = hits[c] - share * total[c]
            value += weight[c] * gap * gap
        found[r] = value
    return found


@njit(cache=True, nogil=True)
def unfilter(rows: Any, step: int) -> bool:  # noqa: ANN401
    """Undo a PNG's row filters in place; the first byte of a row names its filter."""
    for r in range(rows.shape[0]):
        kind = rows[r, 0]
        if kind > 4:
            return False
        for i in range(1, rows.shape[1]):
            left = int(rows[r, i - step]) if i > step else 0
            up = int(rows[r - 1, i]) if r else 0
            if kind == 0:
                break
            if kind == 1:
                guess = left
            elif kind == 2:
                guess = up
            elif kind == 3:
                guess = (left + up) // 2
            else:
                corner = int(rows[r - 1, i - step]) if r and i > step else 0
                p = left + up - corner
                a, b, c = abs(p - left), abs(p - up), abs(p - corner)
                if a <= b and a <= c:
                    guess = left
                elif b <= c:
                    guess = up
                else:
                    guess = corner
            rows[r, i] = (int(rows[r, i]) + guess) & 0xFF
    return True
