"""Loops over users: marks in bitmaps, first starts, returns counted into triangles.

A *slot* is a day or an hour of the range read: slot 0 is everything before it, slot
1 its first. A *column* is an offset or a bracket. `low[o]` and `high[o]` say which
columns a return at offset o counts for; both rise with o, so each column is counted
once by remembering the last one marked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numba as nb
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Answer = tuple[Ints, Ints, NDArray[Any]]

__all__ = ["mark", "mark_bits", "mark_bits_two", "mark_first", "mark_two"]
__all__ += ["spend_rows", "tally_every", "tally_every_same", "tally_first"]
__all__ += ["tally_lowest", "tally_lowest_same", "tally_sorted"]

POOL: Final = 1  # an event that can be the user's first
START: Final = 2  # an event that starts: passes the filter, lies in range
RETURN: Final = 4  # an event that counts as coming back
BITS: Final = 63  # slots a word holds; the sign stays 0
FULL: Final = np.int64(2**63 - 1)


@nb.njit(cache=True, nogil=True, inline="always")
def _slot(
    us: int, edges: Ints, shifts: Ints, at: int, length: int, origin: int, slots: int
) -> tuple[int, int]:
    """Return an instant's slot, and the period of the zone's offset it is in."""
    while at > 0 and us < edges[at - 1]:
        at -= 1
    while at < edges.size and us >= edges[at]:
        at += 1
    slot = (us + shifts[at] - origin) // length + 1
    return max(0, min(slot, slots)), at


@nb.njit(cache=True, nogil=True, inline="always")
def _span(
    us: int, edges: Ints, shifts: Ints, at: int, length: int, origin: int
) -> tuple[int, int]:
    """Return the instants around one that share its slot, as a half-open range."""
    local = us + shifts[at] - origin
    begin = us - (local % length)
    end = begin + length
    if at > 0:
        begin = max(begin, edges[at - 1])
    if at < edges.size:
        end = min(end, edges[at])
    return begin, end


@nb.njit(cache=True, nogil=True)
def mark(
    users: Ints,
    us: Ints,
    seen: Ints,
    edges: Ints,
    shifts: Ints,
    length: int,
    origin: int,
    slots: int,
) -> None:
    """Set a bit for each user and slot.

    Parameters
    ----------
    users, us : arrays of int64
        Whose, and when in microseconds since 1970.
    seen : array of int64, shape (users, words)
        Written to: 63 slots a word.
    edges, shifts : arrays of int64
        The zone: from ``edges[i - 1]`` on its offset is ``shifts[i]``.
    length, origin : int
        Microseconds of a slot, and where slot 1 begins in local time.
    slots : int
        The last slot; later instants are put there.
    """
    at = word = begin = end = 0
    bit = np.int64(0)
    for i in range(users.size):
        if not begin <= us[i] < end:  # rows in order of time share their slot
            slot, at = _slot(us[i], edges, shifts, at, length, origin, slots)
            word, bit = slot // BITS, np.int64(1) << (slot % BITS)
            begin, end = _span(us[i], edges, shifts, at, length, origin)
        seen[users[i], word] |= bit


@nb.njit(cache=True, nogil=True)
def mark_two(
    users: Ints,
    us: Ints,
    flags: Ints,
    starts: Ints,
    returns: Ints,
    edges: Ints,
    shifts: Ints,
    length: int,
    origin: int,
    slots: int,
    begins: int,
) -> None:
    """Set a bit in `starts`, in `returns` or in both, by each row's flags.

    Parameters
    ----------
    users, us, flags : arrays of int64
        Rows.
    starts, returns : arrays of int64, shape (users, words)
        Written to.
    edges, shifts, length, origin, slots
        As in `mark`.
    begins : int
        The flag of what goes to `starts`.
    """
    at = word = begin = end = 0
    bit = np.int64(0)
    for i in range(users.size):
        if not begin <= us[i] < end:
            slot, at = _slot(us[i], edges, shifts, at, length, origin, slots)
            word, bit = slot // BITS, np.int64(1) << (slot % BITS)
            begin, end = _span(us[i], edges, shifts, at, length, origin)
        if flags[i] & begins:
            starts[users[i], word] |= bit
        if flags[i] & RETURN:
            returns[users[i], word] |= bit


@nb.njit(cache=True, nogil=True)
def mark_bits(
    users: Ints,
    block: Ints,
    bits: Ints,
    seen: Ints,
    block_days: int,
    first_day: int,
    keep_early: int,
) -> None:
    """Move bits of days that stand ready into bits of slots.

    Parameters
    ----------
    users, block, bits : arrays of int64
        Bit i of block b is local day ``b * block_days + i`` since 1970.
    seen : array of int64, shape (users, words)
        Written to.
    block_days, first_day : int
        Days of a block, and the day of slot 1.
    keep_early : int
        Whether what came before it is marked in slot 0.
    """
    for i in range(users.size):
        slot = block[i] * block_days - first_day + 1
        left = bits[i]
        if slot < 1:  # what came before the range is slot 0
            early = min(1 - slot, np.int64(BITS))
            if keep_early and left & (
                (np.int64(1) << early) - 1 if early < BITS else FULL
            ):
                seen[users[i], 0] |= np.int64(1)
            left = left >> early if early < BITS else np.int64(0)
            slot = np.int64(1)
        if left == 0:
            continue
        word, place = slot // BITS, slot % BITS
        if word < seen.shape[1]:
            seen[users[i], word] |= (left << place) & FULL
        if place and word + 1 < seen.shape[1]:
            seen[users[i], word + 1] |= left >> (BITS - place)


@nb.njit(cache=True, nogil=True)
def mark_bits_two(
    users: Ints,
    block: Ints,
    bits: Ints,
    flags: Ints,
    starts: Ints,
    returns: Ints,
    block_days: int,
    first_day: int,
    keep_early: int,
) -> None:
    """Move bits as `mark_bits` does, to `starts` or to `returns` by their flag."""
    for i in range(users.size):
        row = slice(i, i + 1)
        where = returns if flags[i] & RETURN else starts
        mark_bits(
            users[row], block[row], bits[row], where, block_days, first_day, keep_early
        )


@nb.njit(cache=True, nogil=True)
def mark_first(  # noqa: PLR0913, PLR0917
    users: Ints,
    us: Ints,
    flags: Ints,
    groups: Ints,
    first: Ints,
    returns: Ints,
    edges: Ints,
    shifts: Ints,
    length: int,
    origin: int,
    slots: int,
    epoch: int,
    group_bits: int,
) -> None:
    """Keep each user's first event of the pool, and mark returns.

    Parameters
    ----------
    users, us, flags, groups : arrays of int64
        Rows; a group is its place in the breakdown.
    first : array of int64, shape (users, 1)
        Written to: 0 for none, else the smallest of ``(us - epoch + 2) <<
        (group_bits + 1) | not a start << group_bits | group``; instants before
        `epoch` are one.
    returns, edges, shifts, length, origin, slots
        As in `mark_two`.
    epoch : int
        Where instants are counted from.
    group_bits : int
        Bits a group takes.
    """
    at = 0
    for i in range(users.size):
        flag = flags[i]
        if flag & RETURN:
            slot, at = _slot(us[i], edges, shifts, at, length, origin, slots)
            returns[users[i], slot // BITS] |= np.int64(1) << (slot % BITS)
        if flag & POOL:
            late = np.int64(0) if flag & START else np.int64(1)
            place = max(us[i] - epoch, np.int64(-1)) + 2
            code = (((place << 1) | late) << group_bits) | groups[i]
            if first[users[i], 0] == 0 or code < first[users[i], 0]:
                first[users[i], 0] = code


@nb.njit(cache=True, nogil=True, inline="always")
def _count_back(
    words: Ints,
    start: int,
    interval: Ints,
    slots: int,
    low: Ints,
    high: Ints,
    row: Ints,
) -> None:
    """Add one to each column for which there is a bit after slot `start`."""
    cohort = interval[start]
    done = -1
    reach = low.size
    for w in range(start // BITS, words.size):
        word = words[w]
        if w == start // BITS:
            word &= ~((np.int64(2) << (start % BITS)) - 1)
        while word:
            lowest = word & -word
            word ^= lowest
            slot = w * BITS + _place(lowest)
            if slot > slots:
                return
            o = interval[slot] - cohort
            if o >= reach:
                return
            for column in range(max(low[o], done + 1), high[o] + 1):
                row[column] += 1
                done = column


@nb.njit(cache=True, nogil=True, inline="always")
def _place(bit: int) -> int:
    """Return which bit is set, of a word with one."""
    place = 0
    for step in (32, 16, 8, 4, 2, 1):
        if bit >> step:
            bit >>= step
            place += step
    return place


@nb.njit(cache=True, nogil=True)
def tally_lowest(
    starts: Ints,
    returns: Ints,
    interval: Ints,
    cohort: Ints,
    slots: int,
    low: Ints,
    high: Ints,
    cohorts: int,
    columns: int,
) -> Answer:
    """Count a user in the cohort of the first start.

    Parameters
    ----------
    starts, returns : arrays of int64, shape (users, words)
        Bits by slot; may be one array.
    interval, cohort : arrays of int64, shape (slots + 1,)
        The interval of each slot; the cohort a start in it belongs to, -1 for none.
    slots : int
        The last slot that counts.
    low, high : arrays of int64
        First and last column by offset.
    cohorts, columns : int
        The shape of what is counted.

    Returns
    -------
    size, kept, squares
        ``size[0, i]``, ``kept[0, i, column]``; the last is of no use here.
    """
    size = np.zeros((1, cohorts), np.int64)
    kept = np.zeros((1, cohorts, columns), np.int64)
    for u in range(starts.shape[0]):
        slot = _next(starts[u], 0)
        if slot < 0 or slot > slots or cohort[slot] < 0:
            continue
        size[0, cohort[slot]] += 1
        _count_back(returns[u], slot, interval, slots, low, high, kept[0, cohort[slot]])
    return size, kept, np.zeros((0, 0, 0, 0))


@nb.njit(cache=True, nogil=True)
def tally_lowest_same(
    seen: Ints,
    interval: Ints,
    cohort: Ints,
    slots: int,
    low: Ints,
    high: Ints,
    cohorts: int,
    columns: int,
) -> Answer:
    """Return `tally_lowest` where starts and returns are the same events."""
    return tally_lowest(
        seen, seen, interval, cohort, slots, low, high, cohorts, columns
    )


@nb.njit(cache=True, nogil=True, inline="always")
def _next(words: Ints, slot: int) -> int:
    """Return the first slot from `slot` on whose bit is set; -1 where there is none."""
    for w in range(slot // BITS, words.size):
        word = words[w]
        if w == slot // BITS:
            word &= ~((np.int64(1) << (slot % BITS)) - 1)
        if word:
            return w * BITS + _place(word & -word)
    return -1


@nb.njit(cache=True, nogil=True)
def tally_first(  # noqa: PLR0913, PLR0917
    first: Ints,
    returns: Ints,
    interval: Ints,
    cohort: Ints,
    slots: int,
    low: Ints,
    high: Ints,
    groups: int,
    cohorts: int,
    columns: int,
    edges: Ints,
    shifts: Ints,
    length: int,
    origin: int,
    epoch: int,
    group_bits: int,
) -> Answer:
    """Count a user in the cohort and group of the first event of `mark_first`."""
    size = np.zeros((groups, cohorts), np.int64)
    kept = np.zeros((groups, cohorts, columns), np.int64)
    at = 0
    for u in range(first.shape[0]):
        code = first[u, 0]
        if code == 0 or (code >> group_bits) & 1:
            continue
        us = (code >> (group_bits + 1)) - 2 + epoch
        slot, at = _slot(us, edges, shifts, at, length, origin, slots)
        i = cohort[slot]
        if us < epoch or i < 0:
            continue
        group = code & ((np.int64(1) << group_bits) - 1)
        size[group, i] += 1
        _count_back(returns[u], slot, interval, slots, low, high, kept[group, i])
    return size, kept, np.zeros((0, 0, 0, 0))


@nb.njit(cache=True, nogil=True)
def tally_every(
    starts: Ints,
    returns: Ints,
    interval: Ints,
    cohort: Ints,
    slots: int,
    low: Ints,
    high: Ints,
    cohorts: int,
    columns: int,
    last: Ints,
    last_common: int,
) -> Answer:
    """Count a user in every cohort with a start, and the sums of squares over users.

    Parameters
    ----------
    starts, returns, interval, cohort, slots, low, high, cohorts, columns
        As in `tally_lowest`; several slots may be of one interval.
    last : array of int64, shape (columns,)
        The last cohort complete at each column, falling or equal; -1 for none.
    last_common : int
        The last cohort complete at all columns.

    Returns
    -------
    size, kept, squares
        ``squares[0, j, :, column]`` are the sums over users of R^2, R N and N^2: j
        is 0 for the cohorts complete at the column, 1 for those complete at all.
    """
    size = np.zeros((1, cohorts), np.int64)
    kept = np.zeros((1, cohorts, columns), np.int64)
    squares = np.zeros((1, 2, 3, columns))
    row = np.zeros(columns, np.int64)
    back = np.zeros((2, columns), np.int64)
    mine = np.zeros(cohorts, np.int64)
    for u in range(starts.shape[0]):
        n = 0
        slot = _next(starts[u], 0)
        while 0 <= slot <= slots:
            i = cohort[slot]
            if i >= 0 and (n == 0 or mine[n - 1] != i):
                mine[n] = i
                n += 1
                size[0, i] += 1
                row[:] = 0
                _count_back(returns[u], slot, interval, slots, low, high, row)
                _add_row(row, i, kept[0, i], back, last, last_common)
            slot = _next(starts[u], slot + 1)
        if n:
            _add_squares(squares[0], back, mine, n, last, last_common)
            back[:] = 0
    return size, kept, squares


@nb.njit(cache=True, nogil=True)
def tally_every_same(
    seen: Ints,
    interval: Ints,
    cohort: Ints,
    slots: int,
    low: Ints,
    high: Ints,
    cohorts: int,
    columns: int,
    last: Ints,
    last_common: int,
) -> Answer:
    """Return `tally_every` where starts and returns are the same events."""
    return tally_every(
        seen, seen, interval, cohort, slots, low, high, cohorts, columns, last,
        last_common,
    )  # fmt: skip


@nb.njit(cache=True, nogil=True, inline="always")
def _add_row(
    row: Ints, i: int, kept: Ints, back: Ints, last: Ints, last_common: int
) -> None:
    for column in range(row.size):
        kept[column] += row[column]
        if i <= last[column]:
            back[0, column] += row[column]
        if i <= last_common:
            back[1, column] += row[column]


@nb.njit(cache=True, nogil=True, inline="always")
def _add_squares(
    squares: NDArray[Any],
    back: Ints,
    mine: Ints,
    n: int,
    last: Ints,
    last_common: int,
) -> None:
    """Add one user's squares; `mine` are the n cohorts they are in, rising."""
    common = 0
    while common < n and mine[common] <= last_common:
        common += 1
    m = n
    for column in range(last.size):
        while m > 0 and mine[m - 1] > last[column]:
            m -= 1
        for j in range(2):
            count = m if j == 0 else common
            kept = back[j, column]
            squares[j, 0, column] += kept * kept
            squares[j, 1, column] += kept * count
            squares[j, 2, column] += count * count


@nb.njit(cache=True, nogil=True)
def tally_sorted(  # noqa: C901, PLR0912, PLR0913, PLR0915, PLR0917
    keys: Ints,
    groups: Ints,
    user_shift: int,
    time_shift: int,
    epoch: int,
    step: int,
    interval: Ints,
    cohort: Ints,
    slots: int,
    low: Ints,
    high: Ints,
    bins: Ints,
    edges: Ints,
    shifts: Ints,
    length: int,
    origin: int,
    clock: int,
    unit: int,
    fraction: int,
    every: bool,  # noqa: FBT001
    least: int,
    n_groups: int,
    cohorts: int,
    columns: int,
    last: Ints,
    last_common: int,
) -> Answer:
    """Count users in one pass over their rows in order of time: any clock, any rule.

    Parameters
    ----------
    keys : array of int64
        Sorted: user, time in steps from `epoch`, flags (the lowest three bits). Time
        0 is everything before the range.
    groups : array of int64
        Of each row, or empty where there is no breakdown.
    user_shift, time_shift, epoch, step
        How the keys are packed; `epoch` and `step` in microseconds.
    interval, cohort, slots, low, high, edges, shifts, length, origin
        As in `tally_lowest` and `mark`.
    bins : array of int64
        By offset: returns in one bin are counted together against `least`; -1 for
        none.
    clock : int
        0 counts intervals of the calendar, 1 elapsed time, 2 elapsed full hours.
    unit : int
        Length of an offset: 1, microseconds, or hours.
    fraction : int
        Microseconds by which hours begin after those of UTC.
    every : bool
        Whether a user is in each cohort with a start, or in the first only.
    least : int
        Return events a bin needs.
    n_groups, cohorts, columns, last, last_common
        As in `tally_every`.

    Returns
    -------
    size, kept, squares
        By group; ``squares[0]`` is of all groups, ``squares[1 + g]`` of one, where
        there are several. Empty unless `every`.
    """
    size = np.zeros((n_groups, cohorts), np.int64)
    kept = np.zeros((n_groups, cohorts, columns), np.int64)
    depth = 0
    if every:
        depth = 1 if groups.size == 0 else n_groups + 1
    squares = np.zeros((depth, 2, 3, columns))
    n = keys.size
    time_mask = (np.int64(1) << (user_shift - time_shift)) - 1
    value = np.zeros(16, np.int64)
    count = np.zeros(16, np.int64)
    mine = np.zeros(cohorts, np.int64)
    when = np.zeros(cohorts, np.int64)
    anchor = np.zeros(cohorts, np.int64)
    group = np.zeros(cohorts, np.int64)
    chosen = np.zeros(cohorts, np.int64)
    row = np.zeros(columns, np.int64)
    back = np.zeros((2, columns), np.int64)
    whole = np.zeros((2, columns), np.int64)
    at = 0
    i = 0
    while i < n:
        user = keys[i] >> user_shift
        starts = returns = 0
        looking = True  # for the user's first event of the pool
        first = np.int64(-1)
        top = 0  # where clocks go back over midnight a day stays begun
        while i < n and keys[i] >> user_shift == user:
            t = (keys[i] >> time_shift) & time_mask
            flag = keys[i] & 7
            us = epoch + t * step
            slot, at = _slot(us, edges, shifts, at, length, origin, slots)
            slot = top = max(slot, top)
            seen = _reading(us, slot, interval, clock, fraction)
            if flag & RETURN and t > 0:
                if returns and value[returns - 1] == seen:
                    count[returns - 1] += 1
                else:
                    if returns == value.size:
                        value = np.append(value, value)
                        count = np.append(count, count)
                    value[returns], count[returns] = seen, 1
                    returns += 1
            if not every and flag & POOL:
                if first < 0:
                    first = t
                looking = t == first
            if flag & START and cohort[slot] >= 0 and t > 0:
                mark = groups[i] if groups.size else np.int64(0)
                wanted = every or (flag & POOL and looking)
                if wanted and starts and mine[starts - 1] == cohort[slot]:
                    if when[starts - 1] == t:
                        group[starts - 1] = min(group[starts - 1], mark)
                elif wanted:
                    mine[starts], when[starts] = cohort[slot], t
                    anchor[starts], group[starts] = seen, mark
                    starts += 1
            i += 1
        for s in range(starts):
            if group[s] < 0:
                continue  # counted with an earlier start of its group
            mark = group[s]
            alike = 0
            for other in range(s, starts):
                if group[other] != mark:
                    continue
                chosen[alike] = mine[other]
                alike += 1
                if other > s:
                    group[other] = -1
                row[:] = 0
                _count_runs(
                    value, count, returns, anchor[other], unit, low, high, bins, least,
                    row,
                )  # fmt: skip
                c = mine[other]
                size[mark, c] += 1
                _add_row(row, c, kept[mark, c], back, last, last_common)
            if every:
                if groups.size:
                    _add_squares(
                        squares[1 + mark], back, chosen, alike, last, last_common
                    )
                whole += back
            back[:] = 0
        if every and starts:
            _add_squares(squares[0], whole, mine, starts, last, last_common)
            whole[:] = 0
    return size, kept, squares


@nb.njit(cache=True, nogil=True, inline="always")
def _count_runs(
    value: Ints,
    count: Ints,
    n: int,
    anchor: int,
    unit: int,
    low: Ints,
    high: Ints,
    bins: Ints,
    least: int,
    row: Ints,
) -> None:
    """Add one to each column some bin of which has at least so many returns."""
    left, right = 0, n
    while left < right:  # the first return after the start
        middle = (left + right) // 2
        if value[middle] <= anchor:
            left = middle + 1
        else:
            right = middle
    done = -1
    j = left
    while j < n:
        o = (value[j] - anchor) // unit
        if o >= bins.size:
            return
        here = bins[o]
        total = np.int64(0)
        within = o
        while j < n:
            o = (value[j] - anchor) // unit
            if o >= bins.size or bins[o] != here:
                break
            total += count[j]
            j += 1
            within = o
        if here >= 0 and total >= least:
            for column in range(max(low[within], done + 1), high[within] + 1):
                row[column] += 1
                done = column


@nb.njit(cache=True, nogil=True)
def spend_rows(  # noqa: PLR0913, PLR0917
    keys: Ints,
    amount: Ints,
    groups: Ints,
    user_shift: int,
    time_shift: int,
    epoch: int,
    step: int,
    interval: Ints,
    cohort: Ints,
    slots: int,
    edges: Ints,
    shifts: Ints,
    length: int,
    origin: int,
    clock: int,
    unit: int,
    fraction: int,
    columns: int,
) -> tuple[Ints, Ints, Ints, Ints, Ints, Ints]:
    """Place each user's orders by their offset from the user's own start.

    Parameters
    ----------
    keys, groups, user_shift, time_shift, epoch, step, interval, cohort, slots
        As in `tally_sorted`; an order has the flag of a return.
    amount : array of int64
        Net fen of each row.
    edges, shifts, length, origin, clock, unit, fraction
        As in `tally_sorted`.
    columns : int
        Offsets kept: 0 to `columns` - 1.

    Returns
    -------
    user, cohort, group, offset, fen, orders
        One row a user and offset with an order, rising; before them one of offset
        -1 for the start itself. Orders before the start are left out.
    """
    n = keys.size
    out = np.empty((6, 2 * n), np.int64)
    m = 0
    mask = (1 << (user_shift - time_shift)) - 1
    at = end = 0
    while end < n:
        begin = end
        while end < n and keys[end] >> user_shift == keys[begin] >> user_shift:
            end += 1
        start, group = _start_of(keys, groups, begin, end, time_shift, mask)
        if start < 0:
            continue
        first = (keys[start] >> time_shift) & mask
        us = int(epoch + first * step)
        slot, at = _slot(us, edges, shifts, at, length, origin, slots)
        c = cohort[slot]
        if c < 0:
            continue
        top = slot  # where clocks go back over midnight a day stays begun
        anchor = _reading(us, slot, interval, clock, fraction)
        out[:, m] = keys[begin] >> user_shift, c, group, -1, 0, 0
        m += 1
        for j in range(begin, end):
            t = (keys[j] >> time_shift) & mask
            if not keys[j] & RETURN or t < first:
                continue
            us = int(epoch + t * step)
            slot, at = _slot(us, edges, shifts, at, length, origin, slots)
            slot = top = max(slot, top)
            o = (_reading(us, slot, interval, clock, fraction) - anchor) // unit
            if o >= columns:
                break
            if out[3, m - 1] != o:
                out[:, m] = keys[begin] >> user_shift, c, group, o, 0, 0
                m += 1
            out[4, m - 1] += amount[j]
            out[5, m - 1] += 1
    return out[0, :m], out[1, :m], out[2, :m], out[3, :m], out[4, :m], out[5, :m]


@nb.njit(cache=True, nogil=True, inline="always")
def _start_of(
    keys: Ints, groups: Ints, begin: int, end: int, time_shift: int, mask: int
) -> tuple[int, int]:
    """Return the row of a user's first start and its group; -1 where there is none."""
    first = start = -1
    group = 0
    for j in range(begin, end):
        t = (keys[j] >> time_shift) & mask
        if first >= 0 and t > first:
            break
        if keys[j] & POOL:
            first = t
            if keys[j] & START and t > 0:
                here = int(groups[j]) if groups.size else 0
                if start < 0 or here < group:
                    start, group = j, here
    return start, group


@nb.njit(cache=True, nogil=True, inline="always")
def _reading(us: int, slot: int, interval: Ints, clock: int, fraction: int) -> int:
    """Return what a clock shows: an interval, microseconds, or full hours."""
    if clock == 0:
        return int(interval[slot])
    if clock == 1:
        return us
    return (us + fraction) // 3_600_000_000
