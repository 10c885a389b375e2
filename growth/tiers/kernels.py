"""The two engines, compiled: one member after another through days or events.

Members run outermost, so memory does not grow with days. `daily` looks at every
member-day; the event engine jumps from one event to the next. Both call the rules of
`rules.py`, compiled here; all that is added up is integer, so that neither chunks nor
threads can change a bit of it.
"""

# ruff: noqa: ANN001, ANN201, ANN202, C901, N803, N806, PLR0912, PLR0913, PLR0915
# ruff: noqa: PLR0917, PLR1730, SIM110
# mypy: allow-untyped-defs, allow-untyped-calls
# mypy: disable-error-code="untyped-decorator,arg-type"
# pyright: reportArgumentType=false

from __future__ import annotations

from hashlib import sha256
from inspect import getsource, isfunction
from math import exp, log
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numba.extending import register_jitable

from growth.tiers import keyed, rules

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "key_of",
    "posterior",
    "replay",
    "run",
    "uniform_of",
]

for _rule in list(vars(rules).values()):
    if isfunction(_rule) and _rule.__module__ == rules.__name__:
        register_jitable(forceinline=True)(_rule)

# Numba's cache watches this file only: the rules' hash is part of the cached name
RULES_HASH = sha256(getsource(rules).encode()).hexdigest()[:12]


def _compiled(function: Callable[..., Any]) -> Any:  # noqa: ANN401
    function.__qualname__ = f"{function.__name__}_{RULES_HASH}"
    # arrays are only lent to these functions, which make none: without counting who
    # holds them (an atomic step a call) they run half as long again
    how: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
    return njit(cache=True, **how)(function)


# --- what is added up, by month, tier (and channel)
(
    A_MEMBERS,
    A_JOINED,
    A_IN,
    A_OUT,
    A_ORDERS,
    A_GROSS,
    A_DISCOUNT,
    A_REFUND,
    A_LIST_BACK,  # list price, and discount, of what was refunded
    A_DISCOUNT_BACK,
    A_ISSUED,  # and the scalars that follow ISSUED
    A_REDEEMED,
    A_EXPIRED,
    A_CLAWED,
    A_UNCOLLECTED,
    A_CAPPED,
    A_CASH,
    A_ACTIVE,
    A_PENDING,
    A_DEBT,
    A_SPEND_ERROR,  # members whose window is not the sum of its months: none
    A_POINTS_ERROR,  # member-months that break identity 1: none
) = range(22)
FIELDS = 22
FLOWS = 7  # ISSUED .. CASH

# --- numbers a run is given
(
    N_REDEEM,  # chance to redeem all whole blocks on a day with an order
    N_REFUND_DAYS,  # refunds come 1 to so many days after their order
    N_CAP,  # widest multiple of the rate; draws are made for it
    N_GAMMA,  # response to nearness of the next tier
    N_DELTA,
    N_BETA,  # and on: one multiple of the rate a tier
) = range(6)

# --- whole numbers a run is given
(
    I_DAILY,
    I_SEED,
    I_REPLICATION,
    I_FIRST,  # number of the first member here
    I_START,
    I_END,
    I_DRAW,  # orders are drawn; else only taped
    I_RECORDED,  # taped amounts are payments; else list prices
    I_FIRST_BUYS,  # who joins in the run orders on that day
    I_CHECK_LOTS,
    I_OTHER,  # points were issued under another programme before the start
    I_RECORD,  # events are written to the tape given
) = range(12)

# --- kinds of events on a tape, in the order of a day
E_LOGIN, E_BUY, E_REDEEM, E_REVIEW, E_VISIT, E_REFUND = range(6)
# --- what was wrong with an event on a tape
OK, BAD_BLOCK, BAD_POINTS, BAD_ORDER, BAD_AMOUNT = range(5)

NO_DAY = 1 << 40
M1, M2, G = np.uint64(keyed.M1), np.uint64(keyed.M2), np.uint64(keyed.G)
S30, S27, S31, S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
ONE, STREAMS = np.uint64(1), np.uint64(keyed.STREAMS)
SCALE = 2.0**-53
KNOTS, STEP = 40.0, 32.0  # the table of amounts: logits -40 to 40, 32 a unit


@register_jitable(forceinline=True)
def mix(z):
    """Return the SplitMix64 finaliser."""
    z = (z ^ (z >> S30)) * M1
    z = (z ^ (z >> S27)) * M2
    return z ^ (z >> S31)


@register_jitable(forceinline=True)
def run_key(seed, replication):
    """Return a replication's key; the seed as `keyed.signed` gives it."""
    h = mix(np.uint64(seed) + G)
    return mix(h + (np.uint64(replication) + ONE) * G)


@register_jitable(forceinline=True)
def member_key(h, member):
    """Return a member's key, given the replication's."""
    return mix(h + (np.uint64(member) + ONE) * G)


@register_jitable(forceinline=True)
def chance(h, day, stream):
    """Return a uniform number in [0, 1)."""
    word = mix(h + (np.uint64(day) * STREAMS + np.uint64(stream) + ONE) * G)
    return np.float64(word >> S11) * SCALE


@_compiled
def key_of(seed, replication, member):
    """Return a member's key: for tests against Python's integers."""
    return member_key(run_key(seed, replication), member)


@_compiled
def uniform_of(h, day, stream):
    """Return a keyed uniform number: for tests."""
    return chance(np.uint64(h), day, stream)


@register_jitable(forceinline=True)
def pick(values, i):
    """Return a member's value; one value stands for all."""
    return values[i] if values.size > 1 else values[0]


@register_jitable(forceinline=True)
def flush(acc, row, S):
    """Add the points' flows since the last time to a month and tier."""
    for k in range(FLOWS):
        acc[row, A_ISSUED + k] += S[rules.ISSUED + k]
        S[rules.ISSUED + k] = 0


@register_jitable(forceinline=True)
def flowless(S):
    """Return whether there is nothing to add up since the last time."""
    for k in range(FLOWS):
        if S[rules.ISSUED + k] != 0:
            return False
    return True


@register_jitable(forceinline=True)
def balance_moved(acc, row, S, held):
    """Check identity 1 over what `flush` is about to add; return what is held."""
    now = S[rules.ACTIVE] + S[rules.PENDING] - S[rules.DEBT]
    flow = S[rules.ISSUED] - S[rules.REDEEMED] - S[rules.EXPIRED] - S[rules.CLAWED]
    if now - held != flow or (S[rules.DEBT] > 0 and S[rules.ACTIVE] > 0):
        acc[row, A_POINTS_ERROR] += 1
    return now


@register_jitable(forceinline=True)
def snapshot(acc, row, S):
    """Add a member's stock at a month's end."""
    acc[row, A_MEMBERS] += 1
    acc[row, A_ACTIVE] += S[rules.ACTIVE]
    acc[row, A_PENDING] += S[rules.PENDING]
    acc[row, A_DEBT] += S[rules.DEBT]


@register_jitable(forceinline=True)
def check_window(P, acc, row, S, R):
    """Check that the window's spend is the sum of its months."""
    total = 0
    for at in range(0, 2 * P[rules.P_MONTHS], 2):
        total += R[at]
    if P[rules.P_KIND] == rules.ROLLING and total != S[rules.SPEND]:
        acc[row, A_SPEND_ERROR] += 1


@register_jitable(forceinline=True)
def travel(P, S, L, R, day, acc, base, month0, held):
    """Bring a member to a day, adding up what time does; return points held."""
    tiers = P[rules.P_TIERS]
    while True:
        at = rules.next_boundary(S, L)
        if at > day or (at == day and not rules.releases(S, L, day)):
            break
        if rules.releases(S, L, at):
            rules.release(S, L)
            continue
        tier, month = S[rules.TIER], S[rules.MONTH]
        if at == S[rules.MONTH_END] and flowless(S) and rules.steady(P, S):
            # months go by that change only dates: all of them at once
            due = min(day, S[rules.PERIOD_END], rules.next_of_points(S, L))
            slot = base + (month - month0) * tiers + tier
            while S[rules.MONTH_END] < due and rules.turns_only(P, S, R):
                snapshot(acc, slot, S)
                slot += tiers
                rules.turn_month(P, S)
            if S[rules.MONTH] != month:
                continue
        rules.close(P, S, L, R, at)
        now = S[rules.TIER]
        ended = S[rules.MONTH] != month
        if ended or now != tier:
            slot = base + (month - month0) * tiers
            if not flowless(S):
                held = balance_moved(acc, slot + tier, S, held)
                flush(acc, slot + tier, S)
            if now != tier:
                acc[slot + tier, A_OUT] += 1
                acc[slot + now, A_IN] += 1
            if ended:
                snapshot(acc, slot + now, S)
    if S[rules.DAY] < day:
        S[rules.DAY] = day
    return held


@register_jitable(forceinline=True)
def rose(S, tier, acc, slot, held):
    """Add up an event's flows under the tier before it, if that has changed."""
    now = S[rules.TIER]
    if now != tier:
        held = balance_moved(acc, slot + tier, S, held)
        flush(acc, slot + tier, S)
        acc[slot + tier, A_OUT] += 1
        acc[slot + now, A_IN] += 1
    return held


@register_jitable(forceinline=True)
def multiple(P, S, numbers, season):
    """Return what a member's rate is multiplied by today."""
    tier = S[rules.TIER]
    m = season * numbers[N_BETA + tier]
    if numbers[N_GAMMA] != 0.0 and tier + 1 < P[rules.P_TIERS]:
        asks = P[rules.P_TABLE + (tier + 1) * rules.T_WIDTH + rules.T_SPEND]
        floor = max(0, P[rules.P_TABLE + tier * rules.T_WIDTH + rules.T_SPEND])
        if asks > floor:
            left = (asks - S[rules.SPEND]) / (asks - floor)
            left = min(1.0, max(0.0, left))
            m *= 1.0 + numbers[N_GAMMA] * max(0.0, 1.0 - left / numbers[N_DELTA])
    return min(m, numbers[N_CAP])


@register_jitable(forceinline=True)
def wait(h, day, stream, rate):
    """Return the next day with an event, of a chance ``1 - exp(-rate)`` a day."""
    if rate <= 0.0:
        return NO_DAY
    gap = -log(1.0 - chance(h, day, stream)) / rate
    return day + 1 + np.int64(gap) if gap < 1e6 else NO_DAY


@register_jitable(forceinline=True)
def amount_of(h, day, scale, amounts):
    """Return an order's list price in fen, 1 or more."""
    u = chance(h, day, keyed.AMOUNT)
    t = (log((u + 0.5 * SCALE) / (1.0 - u - 0.5 * SCALE)) + KNOTS) * STEP
    at = min(max(np.int64(t), 0), amounts.size - 2)
    part = t - at
    fen = (amounts[at] + part * (amounts[at + 1] - amounts[at])) * scale
    return max(1, np.int64(min(fen, 1e12) + 0.5))


@register_jitable(forceinline=True)
def note(tape, made, member, day, kind, value, ref):
    """Write an event down, if a tape with room was given."""
    if made < tape.shape[0]:
        tape[made, 0] = member
        tape[made, 1] = day
        tape[made, 2] = kind
        tape[made, 3] = value
        tape[made, 4] = ref
    return made + 1


@register_jitable
def taped(P, S, L, B, R, kind, value, ref, day):
    """Apply one event of a tape; return what was wrong with it."""
    if kind == E_BUY:
        rules.purchase(P, S, L, B, R, day, value)
    elif kind == E_LOGIN:
        rules.login(P, S, L, R, day)
    elif kind == E_REVIEW:
        rules.review(P, S, L, R, day)
    elif kind == E_VISIT:
        rules.visit(P, S, R)
    elif kind == E_REDEEM:
        if value <= 0 or value % P[rules.P_BLOCK] != 0:
            return BAD_BLOCK
        if value > S[rules.ACTIVE]:
            return BAD_POINTS
        rules.redeem(S, L, value)
    else:
        if ref < 0 or ref >= S[rules.ORDERS]:
            return BAD_ORDER
        at = ref * rules.ORDER
        if value <= 0 or value > B[at + rules.O_PAID] - B[at + rules.O_REFUNDED]:
            return BAD_AMOUNT
        rules.refund(P, S, L, B, R, ref, value)
    return OK


@register_jitable
def live(P, S, L, B, R, joined, day, events, first, last, status):
    """Run a member's past, up to a day, without adding anything up."""
    for at in range(rules.SCALARS):
        S[at] = 0
    rules.start(P, S, R, joined)
    at = first
    while at < last and events[at, 0] < day:
        rules.advance(P, S, L, R, events[at, 0])
        status[at] = taped(
            P, S, L, B, R, events[at, 1], events[at, 2], events[at, 3], events[at, 0]
        )
        at += 1
    # the day before is closed; today's releases are left to whoever goes on
    due = rules.next_boundary(S, L)
    while due < day:
        rules.step(P, S, L, R, due)
        due = rules.next_boundary(S, L)
    S[rules.DAY] = max(S[rules.DAY], day)
    return at


@_compiled
def run(
    P,
    P0,
    work,
    ints,
    numbers,
    rate,
    dropout,
    scale,
    login,
    review,
    refunds,
    joined,
    channel,
    amounts,
    season,
    past,
    past_at,
    tape,
    tape_at,
    acc,
    opening,
    ends,
    status,
    written,
):
    """Run members through a programme, and add up what happens.

    Parameters
    ----------
    P, P0 : array of int64
        The programme, and the one points were issued under before the start.
    work : tuple of array
        From `workspace`.
    ints, numbers : array of int64, array of float64
        See the places ``I_`` and ``N_``.
    rate, dropout, scale, login, review, refunds : array of float32
        A member's orders a day, chance to leave after one, fen a unit of spend,
        logins a day, reviews and refunds an order; one value may stand for all.
    joined : array of int32
        Day of joining.
    channel : array of int16
        Group to add up under.
    amounts : array of float64
        An order's spend at even logits.
    season : array of float64
        The rate's multiple on each day of the run.
    past, past_at : array of int64
        Events before the start (day, kind, value, order) and where each member's
        begin.
    tape, tape_at : array of int64
        The same for events in the run.
    acc : array of int64, (channels * months * tiers, FIELDS)
        Added to.
    opening : array of int64, (channels, tiers, 2)
        Added to: members at the start, and the points they hold, active and pending.
    ends : array of int64, (members, SCALARS) or none
        Written: each member's scalars at the end, flows since the last month left.
    status : array of int8
        Written: what was wrong with each event of `past` and `tape`.
    written : array of int64, (room, 5)
        Written where asked for: member, day, kind, value, order.

    Returns
    -------
    tuple of int
        Events written (or that would have been), lots that do not add up.
    """
    members = joined.size
    daily = ints[I_DAILY] != 0
    start, end = ints[I_START], ints[I_END]
    draws, recorded = ints[I_DRAW] != 0, ints[I_RECORDED] != 0
    record = ints[I_RECORD] != 0
    tiers, block = P[rules.P_TIERS], P[rules.P_BLOCK]
    month0 = rules.month_of(start)
    months = rules.month_of(end - 1) - month0 + 1
    cap = numbers[N_CAP]
    other = ints[I_OTHER] != 0
    S, L, B, R, S0, L0, B0, R0, listed, due_day, due_order, template = work
    template[rules.JOINED] = NO_DAY
    whole = run_key(ints[I_SEED], ints[I_REPLICATION])
    made = 0
    wrong = 0
    for i in range(members):
        born = np.int64(joined[i])
        if born >= end:
            continue
        member = ints[I_FIRST] + i
        h = member_key(whole, member)
        base = np.int64(pick(channel, i)) * months * tiers
        begin = max(start, born)
        old = other and past_at[i] != past_at[i + 1]  # who has points of before
        if old:
            live(
                P0,
                S0,
                L0,
                B0,
                R0,
                born,
                begin,
                past,
                past_at[i],
                past_at[i + 1],
                status,
            )
        if born == template[rules.JOINED] and past_at[i] == past_at[i + 1]:
            # as the last one who joined on that day and has no past
            for at in range(rules.SCALARS):
                S[at] = template[at]
            for at in range(2 * P[rules.P_MONTHS]):
                R[at] = 0
        else:
            live(P, S, L, B, R, born, begin, past, past_at[i], past_at[i + 1], status)
            if past_at[i] == past_at[i + 1]:
                for at in range(rules.SCALARS):
                    template[at] = S[at]
        if old:
            # points as the old programme issued them, the tier as this one judges
            for at in range(S0[rules.LOTS] * rules.LOT):
                L[at] = L0[at]
            for at in range(S0[rules.ORDERS] * rules.ORDER):
                B[at] = B0[at]
            for at in range(rules.DEBT, rules.LOGIN_DAY):
                S[at] = S0[at]
        for at in range(S[rules.ORDERS]):
            listed[at] = B[at * rules.ORDER + rules.O_PAID]
        for k in range(FLOWS):
            S[rules.ISSUED + k] = 0
        held = S[rules.ACTIVE] + S[rules.PENDING] - S[rules.DEBT]
        if born < start:
            opening[pick(channel, i), S[rules.TIER], 0] += 1
            points = S[rules.ACTIVE] + S[rules.PENDING]
            opening[pick(channel, i), S[rules.TIER], 1] += points
        else:
            acc[base + (S[rules.MONTH] - month0) * tiers, A_JOINED] += 1
        lam = np.float64(pick(rate, i)) if draws else 0.0
        known, odds = -1.0, 1.0
        logs_in = np.float64(pick(login, i))
        login_chance = 1.0 - exp(-logs_in)
        at_tape, last_tape = tape_at[i], tape_at[i + 1]
        buys_now = draws and born >= start and ints[I_FIRST_BUYS] != 0
        next_buy = begin if buys_now else wait(h, begin - 1, keyed.WAIT, lam * cap)
        next_login = wait(h, begin - 1, keyed.LOGIN_WAIT, logs_in)
        waiting = 0
        next_refund = NO_DAY
        alive = True
        day = begin - 1
        quiet = begin  # until then nothing is due, on days without events
        while True:
            if daily:
                day += 1
            else:
                day = min(next_buy, next_login, next_refund)
                if at_tape < last_tape:
                    day = min(day, tape[at_tape, 0])
            if day >= end:
                break
            if not daily or day >= quiet:
                held = travel(P, S, L, R, day, acc, base, month0, held)
                quiet = rules.next_boundary(S, L) if daily else day
            slot = base + (S[rules.MONTH] - month0) * tiers
            # login
            if alive:
                if daily:
                    comes = (
                        login_chance > 0.0
                        and chance(h, day, keyed.LOGIN) < login_chance
                    )
                else:
                    comes = day == next_login
                    if comes:
                        next_login = wait(h, day, keyed.LOGIN_WAIT, logs_in)
                if comes:
                    quiet = day
                    tier = S[rules.TIER]
                    rules.login(P, S, L, R, day)
                    held = rose(S, tier, acc, slot, held)
                    if record:
                        made = note(written, made, member, day, E_LOGIN, 0, -1)
            # order: drawn, or on the tape
            fen = -1
            if alive and draws:
                if buys_now and day == begin:
                    fen = amount_of(h, day, np.float64(pick(scale, i)), amounts)
                elif daily:
                    m = min(cap, multiple(P, S, numbers, season[day - start]))
                    if m != known:
                        known = m
                        odds = 1.0 - exp(-lam * m)
                    if chance(h, day, keyed.BUY) < odds:
                        fen = amount_of(h, day, np.float64(pick(scale, i)), amounts)
                elif day == next_buy:
                    m = multiple(P, S, numbers, season[day - start])
                    keep = True
                    if m < cap:
                        if m != known:
                            known = m
                            odds = (1.0 - exp(-lam * m)) / (1.0 - exp(-lam * cap))
                        keep = chance(h, day, keyed.THIN) < odds
                    if keep:
                        fen = amount_of(h, day, np.float64(pick(scale, i)), amounts)
                if day == next_buy:
                    next_buy = wait(h, day, keyed.WAIT, lam * cap)
            drawn = fen >= 0
            paid, back, cost = 0, 0, 0
            while True:
                order = -1
                if drawn:
                    quiet = day
                    paid = fen
                elif at_tape < last_tape and tape[at_tape, 0] == day:
                    quiet = day
                    kind, value = tape[at_tape, 1], tape[at_tape, 2]
                    ref = tape[at_tape, 3]
                    at_tape += 1
                    if kind != E_BUY:
                        tier = S[rules.TIER]
                        if kind == E_REFUND and 0 <= ref < S[rules.ORDERS]:
                            at = ref * rules.ORDER
                            back = listed[ref] * value // max(1, B[at + rules.O_PAID])
                            cost = back - value
                        bad = taped(P, S, L, B, R, kind, value, ref, day)
                        status[past.shape[0] + at_tape - 1] = bad
                        if kind == E_REFUND and bad == OK:
                            acc[slot + tier, A_REFUND] += value
                            acc[slot + tier, A_LIST_BACK] += back
                            acc[slot + tier, A_DISCOUNT_BACK] += cost
                        held = rose(S, tier, acc, slot, held)
                        continue
                    fen = value
                    paid = value
                else:
                    break
                tier = S[rules.TIER]
                off = rules.discount(
                    fen, P[rules.P_TABLE + tier * rules.T_WIDTH + rules.T_DISCOUNT]
                )
                if drawn or not recorded:
                    paid = fen - off
                    acc[slot + tier, A_DISCOUNT] += off
                acc[slot + tier, A_ORDERS] += 1
                acc[slot + tier, A_GROSS] += fen
                order = rules.purchase(P, S, L, B, R, day, paid)
                listed[order] = fen
                held = rose(S, tier, acc, slot, held)
                if record:
                    made = note(written, made, member, day, E_BUY, paid, order)
                if recorded:
                    drawn = False
                    continue
                # what follows an order on its day
                redeems = numbers[N_REDEEM]
                if (
                    redeems > 0.0
                    and S[rules.ACTIVE] >= block
                    and chance(h, day, keyed.REDEEM) < redeems
                ):
                    points = S[rules.ACTIVE] // block * block
                    rules.redeem(S, L, points)
                    if record:
                        made = note(written, made, member, day, E_REDEEM, points, -1)
                reviews = np.float64(pick(review, i))
                if reviews > 0.0 and chance(h, day, keyed.REVIEW) < reviews:
                    tier = S[rules.TIER]
                    rules.review(P, S, L, R, day)
                    held = rose(S, tier, acc, slot, held)
                    if record:
                        made = note(written, made, member, day, E_REVIEW, 0, -1)
                returns = np.float64(pick(refunds, i))
                if returns > 0.0 and chance(h, day, keyed.REFUND) < returns:
                    lag = chance(h, day, keyed.REFUND_DAY) * numbers[N_REFUND_DAYS]
                    due_day[waiting] = day + 1 + np.int64(lag)
                    due_order[waiting] = order
                    next_refund = min(next_refund, due_day[waiting])
                    waiting += 1
                if not drawn:
                    continue
                drawn = False
                if chance(h, day, keyed.LEAVE) < np.float64(pick(dropout, i)):
                    alive = False
                    next_buy = NO_DAY
                    next_login = NO_DAY
            # refunds of earlier orders
            if day >= next_refund:
                quiet = day
                kept = 0
                next_refund = NO_DAY
                for j in range(waiting):
                    if due_day[j] > day:
                        due_day[kept], due_order[kept] = due_day[j], due_order[j]
                        next_refund = min(next_refund, due_day[j])
                        kept += 1
                        continue
                    order = due_order[j]
                    at = order * rules.ORDER
                    value = B[at + rules.O_PAID] - B[at + rules.O_REFUNDED]
                    if value <= 0:
                        continue
                    tier = S[rules.TIER]
                    acc[slot + tier, A_REFUND] += value
                    acc[slot + tier, A_LIST_BACK] += listed[order]
                    acc[slot + tier, A_DISCOUNT_BACK] += listed[order] - value
                    rules.refund(P, S, L, B, R, order, value)
                    held = rose(S, tier, acc, slot, held)
                    if record:
                        made = note(written, made, member, day, E_REFUND, value, order)
                waiting = kept
        # close the last day, and take stock if the month goes on
        due = rules.next_boundary(S, L)
        if due < end:
            held = travel(P, S, L, R, end - 1, acc, base, month0, held)
            due = rules.next_boundary(S, L)
        if due == end - 1:
            tier, month = S[rules.TIER], S[rules.MONTH]
            slot = base + (month - month0) * tiers
            rules.close(P, S, L, R, end - 1)
            held = balance_moved(acc, slot + tier, S, held)
            flush(acc, slot + tier, S)
            now = S[rules.TIER]
            if now != tier:
                acc[slot + tier, A_OUT] += 1
                acc[slot + now, A_IN] += 1
            if S[rules.MONTH] != month:
                snapshot(acc, slot + now, S)
        if S[rules.MONTH] - month0 < months:
            tier = S[rules.TIER]
            row = base + (S[rules.MONTH] - month0) * tiers + tier
            balance_moved(acc, row, S, held)
            flush(acc, row, S)
            snapshot(acc, row, S)
        check_window(P, acc, base, S, R)
        if ends.shape[0]:
            for at in range(rules.SCALARS):
                ends[i, at] = S[at]
        if ints[I_CHECK_LOTS]:
            for lot in range(S[rules.LOTS]):
                if not rules.lot_balanced(L, lot):
                    wrong += 1
    return made, wrong


@_compiled
def replay(P, work, joined, past, past_at, day, ends, status):
    """Run members' recorded events up to a day; nothing is drawn.

    `ends` is written: each member's scalars as the day before `day` is closed.
    Returns the lots that do not add up.
    """
    S, L, B, R, _, _, _, _, _, _, _, _ = work
    wrong = 0
    for i in range(joined.size):
        born = np.int64(joined[i])
        live(
            P,
            S,
            L,
            B,
            R,
            born,
            max(day, born),
            past,
            past_at[i],
            past_at[i + 1],
            status,
        )
        for at in range(rules.SCALARS):
            ends[i, at] = S[at]
        wrong += 0 if rules.balanced(S) else 1
        for lot in range(S[rules.LOTS]):
            if not rules.lot_balanced(L, lot):
                wrong += 1
    return wrong


@register_jitable
def gamma(h, shape, stream):
    """Return a keyed Gamma(shape, 1) number (Marsaglia & Tsang 2000)."""
    boost = 1.0
    if shape < 1.0:
        u = chance(h, -1, stream + 2)
        boost = exp(log(1.0 - u) / shape)
        shape += 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / np.sqrt(9.0 * d)
    attempt = 0
    while True:
        u1, u2 = chance(h, attempt, stream), chance(h, attempt, stream + 1)
        z = np.sqrt(-2.0 * log(1.0 - u1)) * np.cos(2.0 * np.pi * u2)
        v = 1.0 + c * z
        if v > 0.0:
            v = v * v * v
            u3 = 1.0 - chance(h, attempt, stream + 2)
            if log(u3) < 0.5 * z * z + d - d * v + d * log(v):
                return boost * d * v
        attempt += 1


@_compiled
def posterior(
    seed,
    replication,
    first,
    buying,
    spending,
    x,
    t_x,
    t,
    n,
    mean,
    rate,
    dropout,
    scale,
):
    """Draw each member's rate, chance to leave and scale of spend, given the past.

    `buying` is r, alpha, a, b (days; a = 0: nobody leaves), `spending` p, q, v (fen).
    Histories are x, t_x, t in days, and `n` orders of mean `mean`; members without
    a past (t < 0) are drawn from the priors. The last three arrays are written; a
    rate of 0 is somebody who has left.
    """
    r, alpha, a, b = buying[0], buying[1], buying[2], buying[3]
    p, q, v = spending[0], spending[1], spending[2]
    whole = run_key(seed, replication)
    for i in range(x.size):
        h = member_key(whole, first + i)
        k, seen = np.float64(x[i]), max(0.0, np.float64(t[i]))
        alive = 1.0
        if a > 0.0 and k > 0.0:
            odds = log(a / (b + k - 1.0)) + (r + k) * (
                log(alpha + seen) - log(alpha + np.float64(t_x[i]))
            )
            alive = 1.0 / (1.0 + exp(min(odds, 700.0)))
        if chance(h, 0, keyed.ALIVE) < alive:
            # histories count days with orders: the rate is that whose chance a day
            # is the rate of such days
            days = min(0.95, gamma(h, r + k, keyed.RATE) / (alpha + seen))
            rate[i] = -log(1.0 - days)
        else:
            rate[i] = 0.0
        dropout[i] = 0.0
        if a > 0.0:
            left = gamma(h, a, keyed.DROP_A)
            stays = gamma(h, b + k, keyed.DROP_B)
            dropout[i] = left / (left + stays) if left > 0.0 else 0.0
        count = np.float64(n[i])
        nu = gamma(h, p * count + q, keyed.SPEND) / (v + count * np.float64(mean[i]))
        scale[i] = 1.0 / nu
