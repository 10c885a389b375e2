"""The pass over sorted packed keys: one user after another, each event once.

A key is ``user | time | code``, the user in the high bits; the code says which steps
and exclusions an event matches. `walk` is handed arrays only (see `growth.funnel.plan`
for what is in them) and gives back one row a user, session, day or chain.
"""

# one loop a rule, all in sight of each other: what the linter would have split
# ruff: noqa: C901, FBT001, FBT003, PLR0912, PLR0913, PLR0915, PLR0917

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

__all__ = ["breaks", "quick", "walk", "walk_grouped"]

NEVER = -(2**62)  # a group that takes no part
FAR = 2**62

# places in `rules`
LEVELS, OPTIONAL, WINDOW, STRICT, BREAK, FIRST, OUT, COUNT = range(8)
ANY, GROUPED, MATURE, KEEP, GAP, TOUCH_FROM, TOUCH_TO, EXCLUDING = range(8, 16)
DEPTH, AFTER, TIMED = range(16, 19)
RULES = 19

# places in `layout`
USER_AT, TIME_AT, TIME_MASK, CODE_AT, CODE_MASK, VALUE_MASK, VALUED = range(7)
LAYOUT = 7
NOT_VALUED, IN_KEY, CARRIED = range(3)

# a row: what it is, when it began, gaps to each later step, values, optional, path
META_FLAGS, META_SLOT = 8, 16  # bits above the level
NONE, NOT_REACHED = -1, -2
BY_ENTRY, BY_FIRST, BY_LAST, BY_STEP = range(4)  # BY_STEP + level

# values of rules[COUNT] and rules[GROUPED]
USERS, SESSIONS, TOTALS = range(3)
WHOLE, HELD, DERIVED = range(3)

# columns of `steps`, of `codes` and of a row's flags
LEVEL, LEAST, MOST = range(3)
MASK, CLEARS, EXCLUDES, LAUNCH, ORDERED, NAME = range(6)
YOUNG, EXCLUDED, KEPT = 1, 2, 4
FLAGS = 8  # how many ways they can be together

# scenes of a derived session: see `breaks`
WALLET, STAYS, SCENE = 1 << 20, 1 << 21, (1 << 20) - 1


@njit(cache=True, nogil=True)
def breaks(
    t: Ints,
    code: Ints,
    scene: Ints,
    codes: Ints,
    gap: int,
    midnights: Ints,
    new: Ints,
) -> None:
    """Mark where a session begins, in one user's events.

    A session begins at the first event, after `gap` without one, at a launch from
    another scene than its entry's (never one that stays, nor a wallet's after an
    order), and at a midnight, if `midnights` has any.
    """
    entry = np.int64(-1)
    ordering = False
    day = np.int64(0)
    for i in range(len(t)):
        seen = np.int64(-1)
        if codes[code[i], LAUNCH] and scene[i] >= 0:
            seen = scene[i] & SCENE
        fresh = i == 0 or t[i] - t[i - 1] >= gap
        if len(midnights):
            today = np.searchsorted(midnights, t[i], side="right")
            fresh = fresh or today != day
            day = today
        if not fresh and seen >= 0 and entry >= 0 and seen != entry:
            paying = ordering and scene[i] & WALLET
            fresh = not (paying or scene[i] & STAYS)
        if fresh:
            entry = np.int64(-1)
            ordering = False
        if entry < 0:
            entry = seen
        if codes[code[i], ORDERED]:
            ordering = True
        new[i] = fresh


@njit(cache=True, nogil=True)
def _grown(
    rows: Ints,
) -> Ints:
    wider = np.empty((len(rows) * 2, rows.shape[1]), rows.dtype)
    wider[: len(rows)] = rows
    return wider


@njit(cache=True, nogil=True)
def _ripe(
    queue: Ints,
    head: Ints,
    size: Ints,
    level: int,
    t: int,
    least: int,
    ends: Ints,
) -> int:
    """Return the place of the newest chain that rested `least`; -1 if there is none."""
    capacity = queue.shape[1]
    low, high = 0, size[level]
    while low < high:  # they lie in the order of their last event
        middle = (low + high) // 2
        if t - ends[level, (head[level] + middle) % capacity] >= least:
            low = middle + 1
        else:
            high = middle
    return low - 1


@njit(cache=True, nogil=True)
def _ordered(
    t: Ints,
    code: Ints,
    lo: int,
    hi: int,
    first: int,
    last: int,
    upto: int,
    chains: Ints,
    acts_at: Ints,
    acts: Ints,
    steps: Ints,
    codes: Ints,
    exclusions: Ints,
    rules: Ints,
    follower: Ints,
    rests: Ints,
    far: Ints,
    best: Ints,
    extra: Ints,
) -> tuple[int, int, bool, Ints]:
    """Walk events lo..hi-1; return level, chains found, whether out, and the chains.

    `best` gets the events of the winning chain, `extra` two events an optional step.
    Counting totals, every chain of `upto` steps is written to `chains`, and the walk
    starts afresh after it.
    """
    levels = rules[LEVELS]
    window = rules[WINDOW]
    capacity = 4
    queue = np.empty((levels + 1, capacity, levels), np.int64)
    ends = np.empty((levels + 1, capacity), np.int64)
    head = np.zeros(levels + 1, np.int64)
    size = np.zeros(levels + 1, np.int64)
    level = 0
    found = 0
    out = False
    begun = False
    i = lo
    while i < hi:
        now = t[i]
        j = i
        seen = np.int64(0)
        excluded = np.int64(0)
        clearing = False
        while j < hi and t[j] == now:
            c = code[j]
            for a in range(acts_at[c], acts_at[c + 1]):
                s = acts[a]
                to = steps[s, LEVEL]
                if to < 0:  # an optional step: -1 - its number
                    o = -1 - to
                    below = int(follower[s])
                    if extra[o, 0] >= 0 or size[below] == 0:
                        continue
                    at = _ripe(queue, head, size, below, now, steps[s, LEAST], ends)
                    if at < 0:
                        continue
                    slot = (head[below] + at) % capacity
                    if now - t[queue[below, slot, 0]] > window:
                        continue
                    if now - ends[below, slot] > steps[s, MOST]:
                        continue
                    extra[o, 0] = queue[below, slot, below - 1]
                    extra[o, 1] = j
                    continue
                if to > upto:
                    continue
                if to == 1:
                    if now < first or now > last or (rules[FIRST] and begun):
                        continue
                    begun = True
                    source = -1
                    at = 0
                else:
                    below = to - 1
                    at = -1
                    if size[below]:
                        at = _ripe(queue, head, size, below, now, steps[s, LEAST], ends)
                    source = -1
                    if at >= 0:
                        slot = (head[below] + at) % capacity
                        if (
                            now - t[queue[below, slot, 0]] <= window
                            and now - ends[below, slot] <= steps[s, MOST]
                        ):
                            source = slot
                            passed = at + 1 if rules[BREAK] else at
                            head[below] = (head[below] + passed) % capacity
                            size[below] -= passed
                    if rules[BREAK]:
                        for above in range(to, levels + 1):
                            size[above] = 0
                    if source < 0:
                        continue
                if size[to] and (
                    rests[to] == 0
                    or ends[to, (head[to] + size[to] - 1) % capacity] == now
                ):
                    # the newest chain takes the place of the one before it
                    slot = (head[to] + size[to] - 1) % capacity
                    if rests[to] == 0:
                        head[to] = slot
                        size[to] = 1
                else:
                    if rests[to]:  # chains that a ripe newer one has overtaken
                        while size[to] > 1 and (
                            now - ends[to, (head[to] + 1) % capacity] >= rests[to]
                        ):
                            head[to] = (head[to] + 1) % capacity
                            size[to] -= 1
                    if size[to] == capacity:
                        wider = np.empty((levels + 1, capacity * 2, levels), np.int64)
                        longer = np.empty((levels + 1, capacity * 2), np.int64)
                        for k in range(levels + 1):
                            for m in range(size[k]):
                                old = (head[k] + m) % capacity
                                longer[k, m] = ends[k, old]
                                for n in range(levels):
                                    wider[k, m, n] = queue[k, old, n]
                            if source >= 0 and k == to - 1:
                                # where the source went; it may have been taken out
                                place = (source - head[k]) % capacity
                                for n in range(levels):
                                    wider[k, place, n] = queue[k, source, n]
                                source = place
                            head[k] = 0
                        queue = wider
                        ends = longer
                        capacity *= 2
                    slot = (head[to] + size[to]) % capacity
                    size[to] += 1
                for n in range(to - 1):
                    queue[to, slot, n] = queue[to - 1, source, n]
                queue[to, slot, to - 1] = j
                ends[to, slot] = now
                origin = queue[to, slot, 0]
                if rules[EXCLUDING] and (to == 1 or far[origin] < to):
                    far[origin] = to
                if to > level:
                    level = to
                    for n in range(to):
                        best[n] = queue[to, slot, n]
                    if rules[COUNT] == TOTALS and to == upto:
                        if found == len(chains):
                            chains = _grown(chains)
                        for n in range(to):
                            chains[found, n] = best[n]
                        found += 1
                        level = 0
                        for k in range(levels + 1):
                            size[k] = 0
                        break
            seen |= codes[c, MASK]
            excluded |= codes[c, EXCLUDES]
            clearing = clearing or codes[c, CLEARS] != 0
            j += 1
        if rules[STRICT] and clearing:
            for s in range(len(steps)):
                to = steps[s, LEVEL]
                if to > 0 and not (seen >> s) & 1:
                    size[to] = 0
        if excluded:
            for x in range(len(exclusions)):
                if not (excluded >> x) & 1:
                    continue
                after, before = exclusions[x, 0], min(exclusions[x, 1], upto + 1)
                for k in range(after, before):
                    gone = 0
                    for m in range(size[k]):
                        slot = (head[k] + m) % capacity
                        if t[queue[k, slot, after - 1]] >= now:
                            break
                        gone += 1
                        if not rules[OUT] or far[queue[k, slot, 0]] >= before:
                            continue
                        s = follower[len(steps) + k]
                        if m < size[k] - 1:
                            newer = ends[k, (head[k] + m + 1) % capacity]
                            if now - newer >= steps[s, LEAST]:
                                continue
                        if (
                            now - t[queue[k, slot, 0]] <= window
                            and now - ends[k, slot] <= steps[s, MOST]
                        ):
                            out = True
                    head[k] = (head[k] + gone) % capacity
                    size[k] -= gone
        i = j
    return level, found, out, chains


@njit(cache=True, nogil=True)
def _any(
    t: Ints,
    code: Ints,
    lo: int,
    hi: int,
    first: int,
    last: int,
    rules: Ints,
    steps: Ints,
    acts_at: Ints,
    acts: Ints,
    room: Ints,
    best: Ints,
) -> int:
    """Return the most steps filled within some window; `best` gets their events.

    `steps[s, LEVEL]` is the group of equal steps that step s belongs to, `room` how
    many steps a group has. An event that is no step has no acts.
    """
    window = rules[WINDOW]
    have = np.zeros(len(room), np.int64)
    left = lo
    while left < hi and (
        acts_at[code[left]] == acts_at[code[left] + 1]
        or t[left] < first
        or t[left] > last
    ):
        left += 1
    level = 0
    filled = 0
    for right in range(left, hi):
        at = acts_at[code[right]]
        if at == acts_at[code[right] + 1]:
            continue
        if rules[FIRST] and t[right] - t[left] > window:
            break
        group = steps[acts[at], LEVEL]
        if have[group] < room[group]:
            filled += 1
        have[group] += 1
        while t[right] - t[left] > window or (
            acts_at[code[left]] == acts_at[code[left] + 1]
        ):
            old = acts_at[code[left]]
            if old < acts_at[code[left] + 1]:
                gone = steps[acts[old], LEVEL]
                have[gone] -= 1
                if have[gone] < room[gone]:
                    filled -= 1
            left += 1
        if t[left] > last:
            break
        if filled <= level:
            continue
        level = filled
        # the latest entry from which as much is filled
        start = left
        count = np.zeros(len(room), np.int64)
        inside = 0
        i = right
        while i > left and not rules[FIRST]:
            a = acts_at[code[i]]
            if a < acts_at[code[i] + 1]:
                g = steps[acts[a], LEVEL]
                if count[g] < room[g]:
                    inside += 1
                count[g] += 1
                if inside == level and t[i] <= last:
                    start = i
                    break
            i -= 1
        count[:] = 0
        inside = 0
        for i in range(start, right + 1):
            a = acts_at[code[i]]
            if a < acts_at[code[i] + 1]:
                g = steps[acts[a], LEVEL]
                if count[g] < room[g]:
                    best[inside] = i
                    inside += 1
                    count[g] += 1
    return level


@njit(cache=True, nogil=True)
def _touch(
    t: Ints,
    value: Ints,
    column: int,
    known: Bools,
    start: int,
    until: int,
    newest: bool,
) -> int:
    """Return the first or newest value of a column that is known, in start..until."""
    n = len(t)
    for k in range(n):
        i = n - 1 - k if newest else k
        if start <= t[i] <= until and value[i] >= 0 and known[column, value[i]]:
            return int(value[i])
    return NONE


@njit(cache=True, nogil=True)
def _write(
    rows: Ints,
    n: int,
    level: int,
    flags: int,
    slot: int,
    t: Ints,
    value: Ints,
    chain: Ints,
    extra: Ints,
    attribution: Ints,
    known: Bools,
    rules: Ints,
    all_t: Ints,
    all_code: Ints,
    all_value: Ints,
    codes: Ints,
) -> None:
    """Write one row: see `growth.funnel.plan.Rows` for its columns."""
    rows[n, 0] = level | (flags << META_FLAGS) | (slot << META_SLOT)
    at = 1
    if rules[TIMED]:
        for k in range(rules[LEVELS]):
            if k >= level:
                rows[n, at + k] = NONE
            elif k == 0:
                rows[n, at] = t[chain[0]]
            else:
                rows[n, at + k] = t[chain[k]] - t[chain[k - 1]]
        at += rules[LEVELS]
    for b in range(len(attribution)):
        how = attribution[b]
        found = NONE
        if level == 0:
            found = NONE
        elif how == BY_ENTRY:
            found = int(value[chain[0]])
        elif how == BY_FIRST:
            until = rules[TOUCH_TO] - 1
            found = _touch(all_t, all_value, b, known, rules[TOUCH_FROM], until, False)
        elif how == BY_LAST:
            until = int(t[chain[level - 1]])
            found = _touch(all_t, all_value, b, known, rules[TOUCH_FROM], until, True)
        elif level >= how - BY_STEP:
            found = int(value[chain[how - BY_STEP - 1]])
        else:
            found = NOT_REACHED
        rows[n, at + b] = found
    at += len(attribution)
    for o in range(rules[OPTIONAL]):
        rows[n, at + o] = NONE
        if extra[o, 0] >= 0:
            rows[n, at + o] = t[extra[o, 1]] - t[extra[o, 0]]
    at += rules[OPTIONAL]
    if rules[DEPTH]:
        for d in range(rules[DEPTH]):
            rows[n, at + d] = NONE
        if level == rules[AFTER]:
            reached = t[chain[level - 1]]
            until = t[chain[0]] + rules[WINDOW]
            d = 0
            i = np.searchsorted(all_t, reached, side="right")
            while i < len(all_t) and all_t[i] <= until and d < rules[DEPTH]:
                if codes[all_code[i], NAME] >= 0:  # one without a name is none
                    rows[n, at + d] = codes[all_code[i], NAME]
                    d += 1
                i += 1


@njit(cache=True, nogil=True)
def _yields(
    level: int,
    t: Ints,
    chain: Ints,
    best_level: int,
    best_t: Ints,
) -> bool:
    """Whether a chain gives way to the best so far: lower, later, begun earlier."""
    if level != best_level:
        return level < best_level
    if level and t[chain[level - 1]] != best_t[level - 1]:
        return bool(t[chain[level - 1]] > best_t[level - 1])
    for k in range(level):
        if t[chain[k]] != best_t[k]:
            return bool(t[chain[k]] < best_t[k])
    return True


@njit(cache=True, nogil=True)
def _enters(
    c: int,
    acts_at: Ints,
    codes: Ints,
    rules: Ints,
) -> bool:
    """Whether an event of this code may begin a chain."""
    if rules[ANY]:
        return bool(acts_at[c] < acts_at[c + 1])
    return bool(codes[c, MASK] & 1)


@njit(cache=True, nogil=True)
def walk_grouped(
    keys: Ints,
    group: Ints,
    value: Ints,
    layout: Ints,
    rules: Ints,
    codes: Ints,
    acts_at: Ints,
    acts: Ints,
    steps: Ints,
    exclusions: Ints,
    follower: Ints,
    rests: Ints,
    room: Ints,
    edges: Ints,
    midnights: Ints,
    attribution: Ints,
    known: Bools,
) -> tuple[Ints, Ints]:
    """Return users (as in the keys) and one row for each thing counted.

    `group` and `value` may be empty where nothing is held or broken down. `edges`
    bound the days of entry; one range is one day.
    """
    levels = rules[LEVELS]
    optional = rules[OPTIONAL]
    width = 1 + rules[TIMED] * levels + len(attribution) + optional + rules[DEPTH]
    n = len(keys)
    whose = np.empty((64, 1), np.int64)
    rows = np.empty((64, width), np.int64)
    written = 0
    size = 256
    t = np.empty(size, np.int64)
    code = np.empty(size, np.int64)
    val = np.empty(size, np.int64)
    far = np.empty(size, np.int64)
    new = np.empty(size, np.int64)
    best = np.empty(levels, np.int64)
    top = np.empty(levels, np.int64)
    top_t = np.empty(levels, np.int64)
    extra = np.empty((optional, 2), np.int64)
    top_extra = np.full((optional, 2), NONE, np.int64)
    chains = np.empty((16, levels), np.int64)
    slots = np.empty(len(edges), np.int64)
    a = 0
    while a < n:
        user = keys[a] >> layout[USER_AT]
        b = a + 1
        while b < n and keys[b] >> layout[USER_AT] == user:
            b += 1
        m = b - a
        if m > size:
            size = max(m, 2 * size)
            t = np.empty(size, np.int64)
            code = np.empty(size, np.int64)
            val = np.empty(size, np.int64)
            far = np.empty(size, np.int64)
            new = np.empty(size, np.int64)
        for i in range(m):
            key = keys[a + i]
            t[i] = (key >> layout[TIME_AT]) & layout[TIME_MASK]
            code[i] = (key >> layout[CODE_AT]) & layout[CODE_MASK]
            val[i] = NONE
            if layout[VALUED] == IN_KEY:
                val[i] = (key & layout[VALUE_MASK]) - 1
            elif layout[VALUED] == CARRIED:
                val[i] = value[a + i] - 1
        run_t, run_code, run_value = t[:m], code[:m], val[:m]
        # run g is bounds[g] .. bounds[g + 1]
        if rules[GROUPED] == WHOLE:
            bounds = np.array([0, m])
        elif rules[GROUPED] == DERIVED:
            breaks(run_t, run_code, group[a:b], codes, rules[GAP], midnights, new)
            bounds = np.append(np.nonzero(new[:m])[0], m)
        else:
            order = np.argsort(group[a:b], kind="mergesort")
            held = group[a:b][order]
            skipped = np.searchsorted(held, NEVER, side="right")
            order = order[skipped:]
            held = held[skipped:]
            run_t, run_code, run_value = run_t[order], run_code[order], run_value[order]
            bounds = np.zeros(1, np.int64)
            if len(order):
                inner = np.nonzero(held[1:] != held[:-1])[0] + 1
                bounds = np.append(np.append(bounds, inner), len(order))
        together = rules[COUNT] != SESSIONS
        runs = len(bounds) - 1
        g = 0
        while g < runs:
            upper = runs if together else g + 1
            begin, end = bounds[g], bounds[upper]
            all_t, all_code, all_value = t[:m], code[:m], val[:m]
            if not together:
                all_t, all_code = run_t[begin:end], run_code[begin:end]
                all_value = run_value[begin:end]
            ripe = False
            young = False
            for i in range(begin, end):
                enters = _enters(run_code[i], acts_at, codes, rules)
                if enters and edges[0] <= run_t[i] < edges[-1]:
                    ripe = ripe or run_t[i] <= rules[MATURE]
                    young = young or run_t[i] > rules[MATURE]
            count = 0
            if not together:
                if ripe or young:
                    slots[0] = np.searchsorted(edges, run_t[begin], side="right") - 1
                    slots[0] = min(max(slots[0], 0), len(edges) - 2)
                    count = 1
            else:
                for i in range(m):
                    enters = _enters(code[i], acts_at, codes, rules)
                    if enters and edges[0] <= t[i] < edges[-1]:
                        slot = np.searchsorted(edges, t[i], side="right") - 1
                        if count == 0 or slots[count - 1] != slot:
                            slots[count] = slot
                            count += 1
            told = False
            for place in range(count):
                slot = slots[place]
                first, last = int(edges[slot]), int(edges[slot + 1]) - 1
                if not together:
                    first, last = int(edges[0]), int(edges[-1]) - 1
                if not rules[KEEP]:
                    last = min(last, int(rules[MATURE]))
                if first > last:
                    continue
                level = 0
                out = False
                top_extra[:] = NONE
                for h in range(g, upper):
                    lo, hi = bounds[h], bounds[h + 1]
                    if rules[FIRST] and len(edges) > 2 and together:
                        # the first entry of all may be on another day
                        i = lo
                        while i < hi and not (
                            _enters(int(run_code[i]), acts_at, codes, rules)
                            and run_t[i] >= edges[0]
                        ):
                            i += 1
                        if i == hi or run_t[i] < first:
                            continue
                    if len(edges) > 2:
                        until = last + rules[WINDOW]
                        hi = lo + np.searchsorted(run_t[lo:hi], until, side="right")
                        lo += np.searchsorted(run_t[lo:hi], first, side="left")
                    if rules[COUNT] == TOTALS:
                        for upto in range(1, levels + 1):
                            _, found, _, chains = _ordered(
                                run_t, run_code, lo, hi, first, last, upto, chains,
                                acts_at, acts, steps, codes, exclusions, rules,
                                follower, rests, far, best, extra,
                            )  # fmt: skip
                            for k in range(found):
                                if written == len(rows):
                                    rows = _grown(rows)
                                    whose = _grown(whose)
                                late = run_t[chains[k, 0]] > rules[MATURE]
                                whose[written, 0] = user
                                _write(
                                    rows, written, upto, KEPT if late else 0, slot,
                                    run_t, run_value, chains[k], top_extra,
                                    attribution, known, rules, all_t, all_code,
                                    all_value, codes,
                                )  # fmt: skip
                                written += 1
                        continue
                    extra[:] = NONE
                    if rules[ANY]:
                        reached = _any(
                            run_t, run_code, lo, hi, first, last, rules, steps,
                            acts_at, acts, room, best,
                        )  # fmt: skip
                    else:
                        reached, _, gone, chains = _ordered(
                            run_t, run_code, lo, hi, first, last, levels, chains,
                            acts_at, acts, steps, codes, exclusions, rules, follower,
                            rests, far, best, extra,
                        )  # fmt: skip
                        out = out or gone
                    for o in range(optional):
                        if extra[o, 0] >= 0 and (
                            top_extra[o, 0] < 0
                            or run_t[extra[o, 1]] < run_t[top_extra[o, 1]]
                        ):
                            top_extra[o] = extra[o]
                    if not _yields(reached, run_t, best, level, top_t):
                        level = reached
                        for k in range(level):
                            top[k] = best[k]
                            top_t[k] = run_t[best[k]]
                flags = 0
                if out:
                    level = 0
                    flags = EXCLUDED
                if level and top_t[0] > rules[MATURE]:
                    flags |= KEPT
                if young and not ripe:
                    flags |= YOUNG
                    told = True
                if level == 0 and flags == 0:
                    continue
                if written == len(rows):
                    rows = _grown(rows)
                    whose = _grown(whose)
                whose[written, 0] = user
                _write(
                    rows, written, level, flags, slot, run_t, run_value, top,
                    top_extra, attribution, known, rules, all_t, all_code, all_value,
                    codes,
                )  # fmt: skip
                written += 1
            if young and not ripe and not told:
                if written == len(rows):
                    rows = _grown(rows)
                    whose = _grown(whose)
                top_extra[:] = NONE
                whose[written, 0] = user
                _write(
                    rows, written, 0, YOUNG, 0, run_t, run_value, top, top_extra,
                    attribution, known, rules, all_t, all_code, all_value, codes,
                )  # fmt: skip
                written += 1
            g = upper
        a = b
    return whose[:written, 0], rows[:written]


@njit(cache=True, nogil=True)
def walk(
    keys: Ints,
    layout: Ints,
    rules: Ints,
    codes: Ints,
    acts_at: Ints,
    acts: Ints,
    steps: Ints,
    exclusions: Ints,
    follower: Ints,
    rests: Ints,
    room: Ints,
    edges: Ints,
    midnights: Ints,
    attribution: Ints,
    known: Bools,
) -> tuple[Ints, Ints]:
    """Walk keys that carry nothing else."""
    nothing = np.empty(0, np.int64)
    return walk_grouped(
        keys, nothing, nothing, layout, rules, codes, acts_at, acts, steps, exclusions,
        follower, rests, room, edges, midnights, attribution, known,
    )  # fmt: skip


@njit(cache=True, nogil=True)
def quick(
    keys: Ints,
    layout: Ints,
    rules: Ints,
    acts_at: Ints,
    acts: Ints,
    steps: Ints,
    edges: Ints,
) -> tuple[Ints, Ints]:
    """Walk plain ordered funnels: the newest chain of each level, nothing else.

    As `walk_grouped` for one range of entries, without gaps to wait for,
    exclusions, optional steps, groups, clearing or breaking; one value at most, that
    of the entry. The last column of a row says of how many users it is: of those who
    got no further than step 1 there is nothing to tell but their number.
    """
    levels = rules[LEVELS]
    window = rules[WINDOW]
    valued = layout[VALUED] == IN_KEY
    place = 1 + levels if rules[TIMED] else 1
    width = place + valued + 1
    n = len(keys)
    room = n // 16 + 64
    rows = np.empty((room, width), np.int64)
    written = 0
    user_at, time_at, time_mask = layout[USER_AT], layout[TIME_AT], layout[TIME_MASK]
    code_at, code_mask = layout[CODE_AT], layout[CODE_MASK]
    value_mask = layout[VALUE_MASK] if valued else 0
    first, end = edges[0], edges[-1]
    mature = rules[MATURE]
    last = end - 1 if rules[KEEP] else min(end - 1, mature)
    once = rules[FIRST] != 0
    most = np.empty(levels + 1, np.int64)
    for s in range(len(steps)):
        most[steps[s, LEVEL]] = steps[s, MOST]
    levels_of = np.empty(len(acts), np.int64)
    for a in range(len(acts)):
        levels_of[a] = steps[acts[a], LEVEL]
    # chain k begins at k * side; only what was written is read
    side = levels + 1
    times = np.empty(side * side, np.int64)
    value = np.empty(levels + 1, np.int64)
    best = np.empty(levels + 1, np.int64)
    best_value = np.int64(NONE)
    few = np.zeros((value_mask + 2, 2, FLAGS), np.int64)
    i = 0
    while i < n:
        user = keys[i] >> user_at
        level = 0  # reached by the user
        live = 0  # levels that hold a chain
        ripe = False
        young = False
        best_value = np.int64(NONE)
        while i < n and keys[i] >> user_at == user:
            key = keys[i]
            i += 1
            c = (key >> code_at) & code_mask
            for a in range(acts_at[c], acts_at[c + 1]):
                to = levels_of[a]
                if to > live + 1:
                    continue
                now = (key >> time_at) & time_mask
                if to == 1:
                    if now < first or now >= end or (once and (ripe or young)):
                        continue
                    if now <= mature:
                        ripe = True
                    else:
                        young = True
                    if now > last:
                        continue
                    times[side + 1] = now
                    value[1] = (key & value_mask) - 1
                    live = max(live, 1)
                    if level == 0:
                        level = 1
                        best[1] = now
                        best_value = value[1]
                    continue
                old, new = (to - 1) * side, to * side
                if now - times[old + 1] > window:
                    continue
                if now - times[old + to - 1] > most[to]:
                    continue
                for k in range(1, to):
                    times[new + k] = times[old + k]
                times[new + to] = now
                value[to] = value[to - 1]
                live = max(live, to)
                if to > level:
                    level = to
                    for k in range(1, to + 1):
                        best[k] = times[new + k]
                    best_value = value[to]
        flags = YOUNG if young and not ripe else 0
        if level and best[1] > mature:
            flags |= KEPT
        if level < 2:
            if level or flags:
                few[best_value + 1, level, flags] += 1
            continue
        if written == room:
            room *= 2
            rows = _grown(rows)
        rows[written, 0] = level | (flags << META_FLAGS)
        if rules[TIMED]:
            rows[written, 1] = best[1]
            for k in range(2, levels + 1):
                rows[written, k] = best[k] - best[k - 1] if k <= level else NONE
        if valued:
            rows[written, place] = best_value
        rows[written, -1] = 1
        written += 1
    for v in range(few.shape[0]):
        for level in range(2):
            for flags in range(FLAGS):
                if not few[v, level, flags]:
                    continue
                if written == room:
                    room *= 2
                    rows = _grown(rows)
                rows[written] = NONE
                rows[written, 0] = level | (flags << META_FLAGS)
                if valued:
                    rows[written, place] = v - 1
                rows[written, -1] = few[v, level, flags]
                written += 1
    rows = rows[:written]
    return rows[:, 0], rows
