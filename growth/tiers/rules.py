"""Every rule once, in integers: days, tiers, points, refunds.

The functions read and change plain sequences of integers, so that the one text runs
as Python on lists (services) and compiled on arrays (`kernels.py`): ``P`` is the
compiled programme (read only), ``S`` a member's scalars, ``L`` the lots, ``B`` the
orders bought, ``R`` the months of the window. Names in capitals are places in them.
Money is fen, days count from 1970-01-01, months from year 0. No rule uses a float.

The caller brings a state to a day with `next_boundary` and `step`, then applies an
event; it has checked that the event is possible.
"""

# ruff: noqa: N803

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableSequence, Sequence

    Ints = MutableSequence[int]  # in kernels, an int64 array
    Programme = Sequence[int]  # `compiled`

FAR = 1 << 40  # a day that never comes

# --- the compiled programme
(
    P_TIERS,
    P_ALL,  # both conditions are asked for
    P_USES,  # bits of LOGIN, REVIEW, VISIT: what counts as an interaction
    P_KIND,
    P_MONTHS,
    P_UPGRADE_NOW,
    P_DOWNGRADE,
    P_GRACE,
    P_REVIEW,  # months between tier reviews; 0: at the window's end
    P_LOGIN,
    P_REVIEW_POINTS,
    P_PENDING,
    P_VALID,  # months; 0: never expires
    P_ROUND,  # months of the period rounded up to; 0: none
    P_BLOCK,
    P_VALUE,
    P_SHORTFALL,
    P_REFUND_NOW,
    P_CAPPED,  # whether any cap is set
    P_CAPS,  # 8 places: purchase, review, login, all; a day, a month; -1: none
) = range(20)
P_TABLE = P_CAPS + 8
(T_SPEND, T_INTERACTIONS, T_NUM, T_DEN, T_DISCOUNT, T_PERK) = range(6)
T_WIDTH = 6
ROLLING, CALENDAR, ANNIVERSARY, LIFETIME = range(4)
ONE_DOWN, TO_QUALIFIED, NEVER = range(3)
DEBT_RULE, FORGIVE, DEDUCT_CASH = range(3)
BY_PURCHASE, BY_REVIEW, BY_LOGIN, BY_ALL = range(4)
USES_LOGIN, USES_REVIEW, USES_VISIT = 1, 2, 4
BASIS = 10_000  # decimal texts are ten-thousandths
MOST = 10**15  # fen, or points, of one order, event or threshold

# --- a member's scalars
(
    DAY,  # the first day not yet closed
    JOINED,
    TIER,
    FAILURES,
    DEBT,
    ACTIVE,
    PENDING,
    ISSUED,
    REDEEMED,
    EXPIRED,
    CLAWED,
    UNCOLLECTED,
    CAPPED,
    CASH,
    LOTS,
    HEAD,  # the first lot that may still hold points
    WAITING,  # the pending lot that is released first; -1: none
    ORDERS,
    LOGIN_DAY,
    CAP_DAY,
    CAP_MONTH,
    USED,  # 8 places, as the caps
) = range(22)
SPEND = USED + 8
INTERACTIONS = SPEND + 1
WINDOW_START = SPEND + 2
MONTH = SPEND + 3
MONTH_END = SPEND + 4
PERIOD = SPEND + 5
PERIOD_END = SPEND + 6
SCALARS = SPEND + 7

# --- a lot, an order
(
    L_LAST,
    L_ACTIVE,
    L_PENDING,
    L_RELEASE,
    L_EARNED,
    L_ISSUED,
    L_REDEEMED,
    L_EXPIRED,
    L_CLAWED,
    L_REPAID,
    L_ORDER,
) = range(11)
LOT = 11
(O_DAY, O_PAID, O_REFUNDED, O_KEPT, O_TIER, O_LOT, O_ABSORBED) = range(7)
ORDER = 7


# --- days and months
def month_of(day: int) -> int:
    """Return the month of a day, counted from year 0 (Hinnant's civil calendar)."""
    z = day + 719468
    era = z // 146097
    doe = z - era * 146097
    yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    year = yoe + era * 400 + (1 if mp >= 10 else 0)
    return year * 12 + (mp + 2) % 12


def month_start(month: int) -> int:
    """Return the first day of a month."""
    year, m = (month - 2) // 12, (month - 2) % 12  # years begin in March
    century = year // 100
    leaps = (year >> 2) - century + (century >> 2)
    return 365 * year + leaps + (153 * m + 2) // 5 - 719468


def month_end(month: int) -> int:
    """Return the last day of a month."""
    return month_start(month + 1) - 1


def month_days(month: int) -> int:
    """Return how many days a month has."""
    m = month % 12
    if m != 1:
        return 30 + ((m + (m > 6) + 1) & 1)
    year = month // 12
    leap = year & 3 == 0 and (year % 100 != 0 or year & 15 == 0)
    return 29 if leap else 28


def add_months(day: int, months: int) -> int:
    """Return the same day of a later month, or that month's last day."""
    return months_on(day, month_of(day), months)


def months_on(day: int, month: int, months: int) -> int:
    """Return the same day of a later month than the one the day is in."""
    first = month_start(month + months)
    last = first + month_days(month + months) - 1
    return min(first + day - month_start(month), last)


def last_day(earned: int, month: int, months: int, rounding: int) -> int:
    """Return the last day on which points earned on a day of a month can be spent."""
    if not months:
        return FAR
    if not rounding:
        return months_on(earned, month, months)
    end = month + months
    if rounding > 1:
        end = end // rounding * rounding + rounding - 1
    return month_end(end)


def slot_of(month: int, months: int) -> int:
    """Return where a month stands in a ring of months, two numbers each."""
    if months == 12:  # a division by a constant is none
        return 2 * (month % 12)
    return 2 * (month % months)


# --- points
def scaled(amount: int, num: int, den: int) -> int:
    """Return ``floor(amount * num / den)`` without passing 63 bits.

    `num` is under 2**38 and `den` under 2**34: what a programme can declare.
    """
    if amount < 1 << 25:
        return amount * num // den
    whole, rest = amount // den, amount % den
    high = rest * (num >> 19)
    low = ((high % den) << 19) + rest * (num & ((1 << 19) - 1))
    return whole * num + ((high // den) << 19) + low // den


def discount(listed: int, rate: int) -> int:
    """Return the discount on a list price, `rate` in ten-thousandths."""
    if not rate:
        return 0
    return listed // BASIS * rate + listed % BASIS * rate // BASIS


def grant(P: Programme, S: Ints, kind: int, day: int, points: int) -> int:
    """Return how many of these points the caps leave, and book both parts."""
    if not P[P_CAPPED]:
        S[ISSUED] += points
        return points
    room = points
    for which in (kind, BY_ALL):
        at = P_CAPS + 2 * which
        if P[at] >= 0:
            used = S[USED + 2 * which] if S[CAP_DAY] == day else 0
            room = min(room, max(0, P[at] - used))
        if P[at + 1] >= 0:
            used = S[USED + 2 * which + 1] if S[CAP_MONTH] == S[MONTH] else 0
            room = min(room, max(0, P[at + 1] - used))
    if S[CAP_DAY] != day:
        S[CAP_DAY] = day
        for which in range(4):
            S[USED + 2 * which] = 0
    if S[CAP_MONTH] != S[MONTH]:
        S[CAP_MONTH] = S[MONTH]
        for which in range(4):
            S[USED + 2 * which + 1] = 0
    for which in (kind, BY_ALL):
        S[USED + 2 * which] += room
        S[USED + 2 * which + 1] += room
    S[ISSUED] += room
    S[CAPPED] += points - room
    return room


def repay(S: Ints, L: Ints, lot: int, points: int) -> None:
    """Make points of a lot active; debt takes its part first."""
    owed = min(S[DEBT], points)
    at = lot * LOT
    S[DEBT] -= owed
    L[at + L_REPAID] += owed
    L[at + L_ACTIVE] += points - owed
    S[ACTIVE] += points - owed
    S[HEAD] = min(S[HEAD], lot)


def add_lot(P: Programme, S: Ints, L: Ints, day: int, points: int, order: int) -> int:
    """Enter points in spending order and return their lot's place.

    Lots stand by last day, then in the order of entry. Awards without an order that
    nothing separates are one lot. Only lots that another programme issued can stand
    after a new one: a simulation starts with such, a ledger refuses them.
    """
    last = last_day(day, S[MONTH], P[P_VALID], P[P_ROUND])
    lot = S[LOTS]
    while lot > 0 and L[(lot - 1) * LOT + L_LAST] > last:
        lot -= 1
    before = (lot - 1) * LOT
    if order < 0 and lot > 0 and L[before + L_ORDER] < 0 and L[before + L_LAST] == last:
        L[before + L_ISSUED] += points
        repay(S, L, lot - 1, points)
        return lot - 1
    for at in range(S[LOTS] * LOT - 1, lot * LOT - 1, -1):
        L[at + LOT] = L[at]
    S[LOTS] += 1
    if S[WAITING] >= lot:
        S[WAITING] += 1
    at = lot * LOT
    for place in range(LOT):
        L[at + place] = 0
    L[at + L_LAST] = last
    L[at + L_EARNED] = day
    L[at + L_ISSUED] = points
    L[at + L_ORDER] = order
    S[HEAD] = min(S[HEAD], lot)
    if order >= 0 and P[P_PENDING] > 0:
        L[at + L_RELEASE] = day + P[P_PENDING]
        L[at + L_PENDING] = points
        S[PENDING] += points
        if S[WAITING] < 0 or L[at + L_RELEASE] < L[S[WAITING] * LOT + L_RELEASE]:
            S[WAITING] = lot
    else:
        repay(S, L, lot, points)
    return lot


def settle(S: Ints, L: Ints) -> None:
    """Move the marker past lots that hold nothing any more."""
    count = S[LOTS]
    head = S[HEAD]
    while (
        head < count and not L[head * LOT + L_ACTIVE] and not L[head * LOT + L_PENDING]
    ):
        head += 1
    S[HEAD] = head


def find_waiting(S: Ints, L: Ints) -> None:
    """Set the marker of the pending lot that is released first."""
    S[WAITING] = -1
    if not S[PENDING]:
        return
    first = FAR
    for lot in range(S[HEAD], S[LOTS]):
        at = lot * LOT
        if L[at + L_PENDING] and L[at + L_RELEASE] < first:
            first = L[at + L_RELEASE]
            S[WAITING] = lot


def spend(S: Ints, L: Ints, points: int, place: int) -> int:
    """Take active points in spending order; return how many were there.

    `place` is the use they are booked under: `L_REDEEMED` or `L_CLAWED`.
    """
    left = points
    lot = S[HEAD]
    while left > 0 and lot < S[LOTS]:
        at = lot * LOT
        part = min(left, L[at + L_ACTIVE])
        if part:
            L[at + L_ACTIVE] -= part
            L[at + place] += part
            left -= part
        lot += 1
    S[ACTIVE] -= points - left
    settle(S, L)
    return points - left


# --- tiers
def qualified(P: Programme, S: Ints) -> int:
    """Return the highest tier whose conditions hold now."""
    for tier in range(P[P_TIERS] - 1, 0, -1):
        at = P_TABLE + tier * T_WIDTH
        asks, acts = P[at + T_SPEND], P[at + T_INTERACTIONS]
        spent = asks >= 0 and S[SPEND] >= asks
        acted = acts >= 0 and S[INTERACTIONS] >= acts
        if P[P_ALL]:
            if (spent or asks < 0) and (acted or acts < 0):
                return tier
        elif spent or acted:
            return tier
    return 0


def upgrade(P: Programme, S: Ints) -> None:
    """Raise the tier at once where the programme says so."""
    if P[P_UPGRADE_NOW]:
        reached = qualified(P, S)
        if reached > S[TIER]:
            S[TIER] = reached
            S[FAILURES] = 0


def tier_review(P: Programme, S: Ints) -> None:
    """Judge the tier on the window as it stands."""
    reached = qualified(P, S)
    if reached >= S[TIER]:
        S[TIER] = reached
        S[FAILURES] = 0
        return
    S[FAILURES] += 1
    if S[FAILURES] > P[P_GRACE]:
        S[FAILURES] = 0
        if P[P_DOWNGRADE] == ONE_DOWN:
            S[TIER] -= 1
        elif P[P_DOWNGRADE] == TO_QUALIFIED:
            S[TIER] = reached


def book(P: Programme, S: Ints, R: Ints, fen: int, acts: int) -> None:
    """Add today's spend and interactions to the window."""
    if P[P_KIND] == ROLLING:
        at = slot_of(S[MONTH], P[P_MONTHS])
        R[at] += fen
        R[at + 1] += acts
    S[SPEND] += fen
    S[INTERACTIONS] += acts


def book_back(P: Programme, S: Ints, R: Ints, day: int, fen: int) -> None:
    """Take spend of a day out of the window, if it still counts."""
    kind = P[P_KIND]
    if kind == ROLLING:
        month = month_of(day)
        if month <= S[MONTH] - P[P_MONTHS]:
            return
        R[slot_of(month, P[P_MONTHS])] -= fen
    elif kind != LIFETIME and day < S[WINDOW_START]:
        return
    S[SPEND] -= fen


# --- time
def start(P: Programme, S: Ints, R: Ints, joined: int) -> None:
    """Open the state of somebody who joins on a day; `S` and `R` hold zeros."""
    S[DAY] = joined
    S[JOINED] = joined
    S[LOGIN_DAY] = -FAR
    S[CAP_DAY] = -FAR
    S[CAP_MONTH] = -FAR
    S[WAITING] = -1
    open_window(P, S, joined)
    for at in range(2 * P[P_MONTHS] if P[P_KIND] == ROLLING else 0):
        R[at] = 0


def open_window(P: Programme, S: Ints, day: int) -> None:
    """Set the months and the period that hold a day; sums are left alone."""
    months, kind = P[P_MONTHS], P[P_KIND]
    month = month_of(day)
    S[MONTH] = month
    S[PERIOD_END] = FAR
    S[WINDOW_START] = month_start(month)
    S[MONTH_END] = S[WINDOW_START] + month_days(month) - 1
    if kind == CALENDAR:
        S[WINDOW_START] = month_start(month // months * months)
    elif kind == ANNIVERSARY:
        period = 0
        while add_months(S[JOINED], (period + 1) * months) <= day:
            period += 1
        S[PERIOD] = period
        S[WINDOW_START] = add_months(S[JOINED], period * months)
        S[PERIOD_END] = add_months(S[JOINED], (period + 1) * months) - 1


def steady(P: Programme, S: Ints) -> bool:
    """Return whether a tier review would change nothing."""
    return not S[FAILURES] and qualified(P, S) == S[TIER]


def turns_only(P: Programme, S: Ints, R: Ints) -> bool:
    """Return whether the end of this month changes only the dates of a steady state."""
    kind, months = P[P_KIND], P[P_MONTHS]
    if kind == ROLLING:
        at = slot_of(S[MONTH] + 1, months)
        return not R[at] and not R[at + 1]
    return kind != CALENDAR or (S[MONTH] + 1) % months != 0


def turn_month(P: Programme, S: Ints) -> None:
    """Go on to the next month."""
    if P[P_KIND] == ROLLING:
        S[WINDOW_START] = S[MONTH_END] + 1
    S[MONTH] += 1
    S[MONTH_END] += month_days(S[MONTH])


def next_boundary(S: Ints, L: Ints) -> int:
    """Return the day of the next change that time alone brings.

    A day's releases come at its start, the rest at its close: the caller goes on
    with `step` while the day is past, or is today and `releases` says so.
    """
    return min(S[MONTH_END], S[PERIOD_END], next_of_points(S, L))


def next_of_points(S: Ints, L: Ints) -> int:
    """Return the day on which points are next released, or die; `FAR` if none do."""
    if S[HEAD] == S[LOTS]:
        return FAR
    dies = L[S[HEAD] * LOT + L_LAST]
    if S[WAITING] < 0:
        return dies
    return min(dies, L[S[WAITING] * LOT + L_RELEASE])


def releases(S: Ints, L: Ints, day: int) -> bool:
    """Return whether pending points become active on a day."""
    waiting = S[WAITING]
    return waiting >= 0 and L[waiting * LOT + L_RELEASE] <= day


def release(S: Ints, L: Ints) -> None:
    """Make the points of the first waiting lot active."""
    waiting = S[WAITING]
    at = waiting * LOT
    points = L[at + L_PENDING]
    L[at + L_PENDING] = 0
    S[PENDING] -= points
    repay(S, L, waiting, points)
    find_waiting(S, L)


def expire(S: Ints, L: Ints, day: int) -> None:
    """Let the lots die whose last day has come."""
    lot = S[HEAD]
    while lot < S[LOTS] and L[lot * LOT + L_LAST] <= day:
        at = lot * LOT
        dead = L[at + L_ACTIVE]
        L[at + L_ACTIVE] = 0
        L[at + L_EXPIRED] += dead
        S[ACTIVE] -= dead
        S[EXPIRED] += dead
        lot += 1
    settle(S, L)


def close(P: Programme, S: Ints, L: Ints, R: Ints, day: int) -> None:
    """Close a local day: expire, review the tier if due, slide the window."""
    expire(S, L, day)
    kind, months = P[P_KIND], P[P_MONTHS]
    ends_month = day == S[MONTH_END]
    following = S[MONTH] + 1
    if kind == ANNIVERSARY:
        due = day == S[PERIOD_END]
    elif kind == CALENDAR:
        due = ends_month and following % months == 0
    else:
        due = ends_month and (P[P_REVIEW] == 1 or following % P[P_REVIEW] == 0)
    if due:
        tier_review(P, S)
    if due and (kind == ANNIVERSARY or kind == CALENDAR):  # noqa: PLR1714, SIM109
        S[SPEND] = 0
        S[INTERACTIONS] = 0
        S[WINDOW_START] = day + 1
        if kind == ANNIVERSARY:
            S[PERIOD] += 1
            S[PERIOD_END] = add_months(S[JOINED], (S[PERIOD] + 1) * months) - 1
    if ends_month:
        turn_month(P, S)
        if kind == ROLLING:
            at = slot_of(following, months)
            S[SPEND] -= R[at]
            S[INTERACTIONS] -= R[at + 1]
            R[at] = 0
            R[at + 1] = 0
    S[DAY] = max(S[DAY], day + 1)


def advance(P: Programme, S: Ints, L: Ints, R: Ints, day: int) -> None:
    """Bring a state to a day: its releases are done, its close is not."""
    at = next_boundary(S, L)
    while at < day or (at == day and releases(S, L, day)):
        step(P, S, L, R, at)
        at = next_boundary(S, L)
    S[DAY] = max(S[DAY], day)


def step(P: Programme, S: Ints, L: Ints, R: Ints, day: int) -> None:
    """Do what `next_boundary` found: release if that is due, else close the day."""
    if releases(S, L, day):
        release(S, L)
    else:
        close(P, S, L, R, day)


# --- events; the state stands at the event's day
def login(P: Programme, S: Ints, L: Ints, R: Ints, day: int) -> bool:
    """Count a login, once a local day; return whether it was the first."""
    if S[LOGIN_DAY] == day:
        return False
    S[LOGIN_DAY] = day
    points = grant(P, S, BY_LOGIN, day, P[P_LOGIN])
    if points:
        add_lot(P, S, L, day, points, -1)
    if P[P_USES] & USES_LOGIN:
        book(P, S, R, 0, 1)
        upgrade(P, S)
    return True


def review(P: Programme, S: Ints, L: Ints, R: Ints, day: int) -> None:
    """Count a product review."""
    points = grant(P, S, BY_REVIEW, day, P[P_REVIEW_POINTS])
    if points:
        add_lot(P, S, L, day, points, -1)
    if P[P_USES] & USES_REVIEW:
        book(P, S, R, 0, 1)
        upgrade(P, S)


def visit(P: Programme, S: Ints, R: Ints) -> None:
    """Count a visit to a shop."""
    if P[P_USES] & USES_VISIT:
        book(P, S, R, 0, 1)
        upgrade(P, S)


def purchase(
    P: Programme, S: Ints, L: Ints, B: Ints, R: Ints, day: int, paid: int
) -> int:
    """Enter an order at the tier held before it; return its place."""
    tier = S[TIER]
    table = P_TABLE + tier * T_WIDTH
    earned = scaled(paid, P[table + T_NUM], P[table + T_DEN])
    points = grant(P, S, BY_PURCHASE, day, earned)
    order = S[ORDERS]
    S[ORDERS] += 1
    at = order * ORDER
    B[at + O_DAY] = day
    B[at + O_PAID] = paid
    B[at + O_REFUNDED] = 0
    B[at + O_KEPT] = points
    B[at + O_TIER] = tier
    B[at + O_ABSORBED] = 0
    B[at + O_LOT] = add_lot(P, S, L, day, points, order) if points else -1
    book(P, S, R, paid, 0)
    upgrade(P, S)
    return order


def claim(P: Programme, kept: int, left: int, tier: int) -> int:
    """Return what an order must give back when `left` fen of it stay paid."""
    table = P_TABLE + tier * T_WIDTH
    return kept - min(kept, scaled(left, P[table + T_NUM], P[table + T_DEN]))


def refund(
    P: Programme, S: Ints, L: Ints, B: Ints, R: Ints, order: int, amount: int
) -> int:
    """Take back an order's points for a refund; return the fen kept off it in cash."""
    at = order * ORDER
    B[at + O_REFUNDED] += amount
    left = B[at + O_PAID] - B[at + O_REFUNDED]
    want = claim(P, B[at + O_KEPT], left, B[at + O_TIER])
    B[at + O_KEPT] -= want
    cash = 0
    if want:
        cash = take_back(P, S, L, B, order, want)
    book_back(P, S, R, B[at + O_DAY], amount)
    if P[P_REFUND_NOW]:
        held = max(qualified(P, S), B[at + O_TIER])
        if held < S[TIER]:
            S[TIER] = held
            S[FAILURES] = 0
    return cash


def take_back(P: Programme, S: Ints, L: Ints, B: Ints, order: int, want: int) -> int:
    """Meet a claim: own pending, own active, own expired, other lots, shortfall."""
    at = B[order * ORDER + O_LOT] * LOT
    part = min(want, L[at + L_PENDING])
    L[at + L_PENDING] -= part
    L[at + L_CLAWED] += part
    S[PENDING] -= part
    S[CLAWED] += part
    want -= part
    if part and not L[at + L_PENDING]:
        find_waiting(S, L)
    part = min(want, L[at + L_ACTIVE])
    L[at + L_ACTIVE] -= part
    L[at + L_CLAWED] += part
    S[ACTIVE] -= part
    S[CLAWED] += part
    want -= part
    # dead points are not owed: they absorb their part of the claim, once
    dead = order * ORDER + O_ABSORBED
    part = min(want, L[at + L_EXPIRED] - B[dead])
    B[dead] += part
    want -= part
    part = spend(S, L, want, L_CLAWED)
    S[CLAWED] += part
    want -= part
    if not want:
        return 0
    if P[P_SHORTFALL] == DEBT_RULE:
        S[DEBT] += want
        S[CLAWED] += want
        return 0
    S[UNCOLLECTED] += want
    if P[P_SHORTFALL] == FORGIVE:
        return 0
    blocks, rest = want // P[P_BLOCK], want % P[P_BLOCK]
    cash = blocks * P[P_VALUE] + rest * P[P_VALUE] // P[P_BLOCK]
    S[CASH] += cash
    return cash


def redeem(S: Ints, L: Ints, points: int) -> None:
    """Spend points that are there, in spending order."""
    spend(S, L, points, L_REDEEMED)
    S[REDEEMED] += points


def restore(S: Ints, L: Ints, lot: int, points: int) -> None:
    """Return points of a cancelled redemption to their lot; dead ones expire."""
    at = lot * LOT
    L[at + L_REDEEMED] -= points
    S[REDEEMED] -= points
    if L[at + L_LAST] < S[DAY]:
        L[at + L_EXPIRED] += points
        S[EXPIRED] += points
    else:
        repay(S, L, lot, points)
        settle(S, L)


def balanced(S: Ints) -> bool:
    """Return whether identity 1 holds, and debt and active points exclude another."""
    known = S[ISSUED] + S[DEBT] - S[REDEEMED] - S[EXPIRED] - S[CLAWED]
    return known == S[ACTIVE] + S[PENDING] and not (S[DEBT] > 0 and S[ACTIVE] > 0)


def lot_balanced(L: Ints, lot: int) -> bool:
    """Return whether a lot is the sum of its uses, none of them negative."""
    at = lot * LOT
    uses = 0
    for place in (L_ACTIVE, L_PENDING, L_REDEEMED, L_EXPIRED, L_CLAWED, L_REPAID):
        if L[at + place] < 0:
            return False
        uses += L[at + place]
    return uses == L[at + L_ISSUED]
