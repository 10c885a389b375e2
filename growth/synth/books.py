"""Orders, their lines and refunds; the points ledger, tiers and members."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from growth.synth.base import (
    DAY_MS,
    MISSING,
    SHANGHAI_MS,
    Coded,
    month_of,
    month_start_ms,
    table,
)
from growth.synth.people import AGES, BUYER, CHANNELS, GENDERS, LEVELS, REGIONS
from growth.synth.places import CATEGORIES, PRODUCTS
from growth.synth.tapping import DEVICES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    import pyarrow as pa
    from numpy.typing import ArrayLike

    from growth.synth.base import Bools, Floats, Ids, Ints
    from growth.synth.people import People

__all__ = [
    "Book",
    "Earning",
    "Ledger",
    "keep",
    "ledger",
    "member_table",
    "order_tables",
    "persona_counts",
]

REFUND_RATE: Final = 0.03
FULL_REFUND_RATE: Final = 0.60
SPLIT_REFUND_RATE: Final = 0.15  # of partial refunds that come in two parts
REFUND_DAYS: Final = (1, 10)
DISCOUNT_RATE: Final = 0.10
OFFLINE_RATE: Final = 0.08  # of orders before the log: placed in a shop
FREIGHT_FEN: Final = 800
FREE_FREIGHT_FEN: Final = 9_900
LOGIN_POINTS, REVIEW_POINTS, POINTS_PER_YUAN = 1, 20, 1
REDEEM_BLOCK: Final = 1_000
REDEEM_FEN: Final = 1_000
REDEEMER_RATE: Final = 0.5
VALID_MONTHS: Final = 12
TIER_FEN: Final = (0, 50_000, 200_000)
TIER_NAMES: Final = (("普通", "Standard"), ("银卡", "Silver"), ("金卡", "Gold"))
STATUSES: Final = (
    "cancelled",
    "paid",
    "shipped",
    "completed",
    "refunded",
    "part_refunded",
)


@dataclass(frozen=True, slots=True, eq=False)
class Book:
    """One entry an order, paid or not; instants are epoch ms, `MISSING` if none."""

    order_id: Ids
    user: Ints
    create_ms: Ints
    pay_ms: Ints
    paid_fen: Ints
    online: Bools
    product: Ints  # the item it began with, -1 unknown
    refund_order: Ints  # one entry a refund: position of its order
    refund_ms: Ints
    refund_fen: Ints

    @property
    def n(self) -> int:
        """Orders, unpaid ones too."""
        return len(self.order_id)

    @property
    def refunded_fen(self) -> Ints:
        """Sum of each order's refunds, in fen."""
        back = np.bincount(self.refund_order, self.refund_fen, self.n)
        return back.round().astype(np.int64)


def keep(
    rng: np.random.Generator,
    *,
    order_id: Ids,
    user: Ints,
    create_ms: Ints,
    pay_ms: Ints,
    paid_fen: Ints,
    online: Bools,
    product: Ints,
    end_ms: int,
) -> Book:
    """Draw the refunds of orders and keep both.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the draws come from.
    order_id, user, create_ms, pay_ms, paid_fen, online, product : ndarray, shape (n,)
        The orders; `pay_ms` is `MISSING` and `paid_fen` 0 where never paid.
    end_ms : int
        Refunds from this instant on have not happened.

    Returns
    -------
    Book
        Refunds never pass what was paid.
    """
    n = len(user)
    back = (pay_ms != MISSING) & (rng.random(n) < REFUND_RATE)
    low, high = REFUND_DAYS
    late = rng.integers(low, high + 1, n) * DAY_MS
    local_day = (np.where(back, pay_ms, 0) + SHANGHAI_MS) // DAY_MS
    office = rng.integers(14 * 3_600_000, 18 * 3_600_000, n)
    when = local_day * DAY_MS - SHANGHAI_MS + late + office
    share = np.where(rng.random(n) < FULL_REFUND_RATE, 1.0, rng.uniform(0.2, 0.8, n))
    amount = np.clip((paid_fen * share).astype(np.int64), 1, None)
    twice = back & (share < 1) & (amount > 1) & (rng.random(n) < SPLIT_REFUND_RATE)
    first = np.where(twice, amount // 2, amount)
    order = np.r_[np.flatnonzero(back), np.flatnonzero(twice)]
    ms = np.r_[when[back], when[twice] + DAY_MS]
    fen = np.r_[first[back], (amount - first)[twice]]
    done = ms < end_ms
    return Book(
        order_id=order_id,
        user=user,
        create_ms=create_ms,
        pay_ms=pay_ms,
        paid_fen=paid_fen,
        online=online,
        product=product,
        refund_order=order[done],
        refund_ms=ms[done],
        refund_fen=fen[done],
    )


def order_tables(
    rng: np.random.Generator, book: Book, who: People, end_ms: int
) -> dict[str, pa.Table]:
    """Return `orders`, `order_items` and `refunds` as canonical tables.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the draws come from.
    book : Book
        The orders.
    who : People
        The users.
    end_ms : int
        The log's end; parcels and statuses are as of then.

    Returns
    -------
    dict of str to pyarrow.Table
        Lines plus freight equal the order's `paid_fen`.
    """
    n = book.n
    paid = book.pay_ms != MISSING
    full = book.paid_fen
    freight = np.where(
        (full < FREE_FREIGHT_FEN) & (full > 3 * FREIGHT_FEN), FREIGHT_FEN, 0
    )
    freight = np.where(book.online, freight, 0)
    goods = full - freight
    cut = np.where(rng.random(n) < DISCOUNT_RATE, rng.uniform(0.05, 0.20, n), 0)
    discount = np.where(paid, (goods * cut / (1 - cut)).astype(np.int64), 0)
    ship = book.pay_ms + (rng.uniform(4, 40, n) * 3_600_000).astype(np.int64)
    shipped = paid & (ship < end_ms)
    back = book.refunded_fen
    old = shipped & (end_ms - ship > 7 * DAY_MS)
    state = np.select(
        [~paid, (back == full) & (back > 0), back > 0, old, shipped],
        [0, 4, 5, 3, 2],
        default=1,
    )
    orders: dict[str, ArrayLike | Coded] = {
        "order_id": book.order_id,
        "user_id": Coded(book.user, who.user_id),
        "create_ts": book.create_ms,
        "pay_ts": book.pay_ms,
        "ship_ts": np.where(shipped, ship, MISSING),
        "status": Coded(state, STATUSES),
        "goods_fen": goods + discount,
        "freight_fen": freight,
        "discount_fen": discount,
        "paid_fen": full,
        "refund_fen": back,
        "channel": Coded(np.where(book.online, 0, 1), ("online", "offline")),
        "currency": Coded(np.zeros(n, int), ("CNY",)),
    }
    number = np.arange(len(book.refund_order))
    again = np.zeros(len(number), np.int64)
    _, first = np.unique(book.refund_order, return_index=True)
    again[np.setdiff1d(number, first)] = 1
    refunds: dict[str, ArrayLike | Coded] = {
        "order_id": book.order_id[book.refund_order],
        "refund_id": Coded(again, ("r1", "r2")),
        "ts": book.refund_ms,
        "amount_fen": book.refund_fen,
        "status": Coded(np.zeros(len(number), int), ("success",)),
    }
    return {
        "orders": table(orders),
        "order_items": _lines(rng, book, goods, paid),
        "refunds": table(refunds),
    }


def _lines(rng: np.random.Generator, book: Book, goods: Ints, paid: Bools) -> pa.Table:
    """Split what the goods of each paid order cost over one to three lines."""
    rows = np.flatnonzero(paid)
    count = 1 + (rng.random(len(rows)) < 0.35) + (rng.random(len(rows)) < 0.15)
    count = np.where(goods[rows] < 300, 1, count)
    order = np.repeat(rows, count)
    line = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
    weight = rng.uniform(0.5, 1.5, len(order))
    total = np.bincount(order, weight, book.n)[order]
    fen = (goods[order] * weight / total).astype(np.int64)
    rest = goods - np.bincount(order, fen, book.n).astype(np.int64)
    fen += np.where(line == 0, rest[order], 0)
    qty = 1 + (rng.random(len(order)) < 0.25)
    drawn = rng.integers(0, len(PRODUCTS), len(order))
    product = np.where(
        (line == 0) & (book.product[order] >= 0), book.product[order], drawn
    )
    return table(
        {
            "order_id": book.order_id[order],
            "line_no": line + 1,
            "product_id": Coded(product, PRODUCTS),
            "category": Coded(product % len(CATEGORIES), CATEGORIES),
            "qty": qty,
            "unit_fen": -(-fen // qty),
            "paid_fen": fen,
        }
    )


@dataclass(frozen=True, slots=True, eq=False)
class Earning:
    """Points other than an order's: who, when (epoch ms), how many, why."""

    user: Ints
    ms: Ints
    points: int
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Ledger:
    """The points ledger and what follows from it for each user."""

    rows: pa.Table
    balance: Ints
    qualifying_fen: Ints
    tier: Ints
    tier_since_ms: Ints
    sums: dict[str, int]


KINDS: Final = ("earn", "redeem", "expire", "reverse")
REASONS: Final = ("order", "login", "review", "voucher", "expired", "refund")


def ledger(
    rng: np.random.Generator,
    book: Book,
    who: People,
    extra: tuple[Earning, ...],
    span: tuple[int, int],
    months: int,
    *,
    shard: int = 0,
) -> Ledger:
    """Keep the points of enrolled members by the sample's programme.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the draws come from.
    book : Book
        Orders and refunds.
    who : People
        The users.
    extra : tuple of Earning
        Points for login days and reviews.
    span : tuple of int
        Epoch ms of the log's first instant and of its end, which begins a month.
    months : int
        Months before it that the ledger covers.
    shard : int, default 0
        Number of the user shard; entries are named after it.

    Returns
    -------
    Ledger
        Points live to the end of the twelfth month after they were earned. On the
        first of a month whole blocks of what was left over turn into vouchers, for
        those who use them; oldest points go first.

    Notes
    -----
    Lots are kept by month of earning, since all lots of a month die together.
    A refund claims ``kept - floor(paid not refunded / 100)``, from the month of its
    order first, then from the oldest; the rest is debt, repaid by the next points.
    """
    last = int(month_of(np.array([span[1] - 1]))[0])
    first = last - months + 1
    earned = _earned(book, who, extra)
    claimed = _claimed(book, who)
    slot = month_of(earned["ms"]) - first
    gain = _grid(earned["user"], slot, earned["points"], who.n, months)
    uses = who.enrolled & (rng.random(who.n) < REDEEMER_RATE)
    active = np.zeros((who.n, months), np.int64)
    debt = np.zeros(who.n, np.int64)
    spent = np.zeros((who.n, months), np.int64)
    died = np.zeros((who.n, months), np.int64)
    at = month_of(claimed["ms"]) - first
    home = month_of(claimed["order_ms"]) - first
    for month in range(months):
        blocks = np.where(uses, active.sum(axis=1) // REDEEM_BLOCK, 0)
        spent[:, month] = blocks * REDEEM_BLOCK
        _take(active, spent[:, month])
        repaid = np.minimum(debt, gain[:, month])
        debt -= repaid
        active[:, month] = gain[:, month] - repaid
        for origin in range(max(month - 1, 0), month + 1):
            rows = (at == month) & (home == origin)
            due = np.bincount(claimed["user"][rows], claimed["points"][rows], who.n)
            due = due.astype(np.int64)
            own = np.minimum(due, active[:, origin])
            active[:, origin] -= own
            debt += _take(active, due - own)
        if month >= VALID_MONTHS:
            died[:, month] = active[:, month - VALID_MONTHS]
            active[:, month - VALID_MONTHS] = 0
    rows = _ledger_rows(book, who, earned, claimed, spent, died, first, shard)
    sums = {
        "issued": int(earned["points"].sum()),
        "redeemed": int(spent.sum()),
        "expired": int(died.sum()),
        "clawed": int(claimed["points"].sum()),
        "active": int(active.sum()),
        "debt": int(debt.sum()),
    }
    spend, tier, since = _tiers(book, who, who.first_ms + span[0], first, months)
    return Ledger(
        rows=rows,
        balance=active.sum(axis=1) - debt,
        qualifying_fen=spend,
        tier=np.where(who.enrolled, tier, -1),
        tier_since_ms=since,
        sums=sums,
    )


def _earned(book: Book, who: People, extra: tuple[Earning, ...]) -> dict[str, Ints]:
    orders = np.flatnonzero((book.pay_ms != MISSING) & who.enrolled[book.user])
    points = book.paid_fen[orders] * POINTS_PER_YUAN // 100
    orders, points = orders[points > 0], points[points > 0]
    kept = [who.enrolled[more.user] for more in extra]
    sizes = [int(some.sum()) for some in kept]
    parts = list(zip(extra, kept, strict=True))
    return {
        "user": np.r_[book.user[orders], *(m.user[k] for m, k in parts)],
        "ms": np.r_[book.pay_ms[orders], *(m.ms[k] for m, k in parts)],
        "points": np.r_[points, np.repeat([m.points for m in extra], sizes)].astype(
            int
        ),
        "reason": np.r_[
            np.zeros(len(orders), int),
            np.repeat([REASONS.index(m.reason) for m in extra], sizes),
        ].astype(int),
        "order": np.r_[orders, np.full(sum(sizes), -1)],
    }


def _claimed(book: Book, who: People) -> dict[str, Ints]:
    """Return what refunds take back: the fall of floor(unrefunded / 100)."""
    rank = np.lexsort((book.refund_ms, book.refund_order))
    order, fen = book.refund_order[rank], book.refund_fen[rank]
    fresh = np.r_[True, order[1:] != order[:-1]][: len(order)]
    before = np.where(fresh, 0, np.r_[0, fen[:-1]][: len(fen)])  # two parts at most
    rest = book.paid_fen[order] - before - fen
    points = (book.paid_fen[order] - before) // 100 - rest // 100
    member = who.enrolled[book.user[order]] & (points > 0)
    order = order[member]
    return {
        "user": book.user[order],
        "ms": book.refund_ms[rank][member],
        "points": points[member],
        "order": order,
        "order_ms": book.pay_ms[order],
    }


def _grid(user: Ints, slot: Ints, points: Ints, users: int, months: int) -> Ints:
    flat = np.bincount(user * months + slot, points, users * months)
    return flat.round().astype(np.int64).reshape(users, months)


def _take(active: Ints, due: Ints) -> Ints:
    """Take `due` points from lots, oldest first, in place; return what is short."""
    before = np.cumsum(active, axis=1) - active
    used = np.clip(due[:, None] - before, 0, active)
    active -= used
    short: Ints = due - used.sum(axis=1)
    return short


def _ledger_rows(
    book: Book,
    who: People,
    earned: dict[str, Ints],
    claimed: dict[str, Ints],
    spent: Ints,
    died: Ints,
    first: int,
    shard: int,
) -> pa.Table:
    months = spent.shape[1]
    opening = month_start_ms(np.arange(first, first + months + 1))
    redeemer, redeem_month = np.nonzero(spent)
    loser, loss_month = np.nonzero(died)
    noon = 6 * 3_600_000 + (redeemer % 3_600) * 1_000  # vouchers go out from 06:00
    expiry = month_start_ms(month_of(earned["ms"]) + VALID_MONTHS + 1) - 1
    sizes = (len(earned["user"]), len(redeemer), len(loser), len(claimed["user"]))
    none = [np.full(size, MISSING) for size in sizes]
    order = np.r_[earned["order"], none[1] * 0 - 1, none[2] * 0 - 1, claimed["order"]]
    columns = {
        "user_id": np.r_[earned["user"], redeemer, loser, claimed["user"]],
        "ts": np.r_[
            earned["ms"],
            opening[redeem_month] + noon,
            opening[loss_month + 1] - 1,
            claimed["ms"],
        ],
        "points": np.r_[
            earned["points"],
            -spent[redeemer, redeem_month],
            -died[loser, loss_month],
            -claimed["points"],
        ],
        "kind": np.repeat(np.arange(4), sizes),
        "reason": np.r_[earned["reason"], np.repeat([3, 4, 5], sizes[1:])],
        "order_id": order,
        "expires_ts": np.r_[expiry, none[1], none[2], none[3]],
        "channel": np.where(order >= 0, ~book.online[order], 0).astype(int),
    }
    rank = np.lexsort((columns["kind"], columns["ts"], columns["user_id"]))
    words: dict[str, Sequence[str] | Ids] = {
        "user_id": who.user_id,
        "kind": KINDS,
        "reason": REASONS,
        "order_id": book.order_id,
        "channel": ("online", "offline"),
    }
    number = np.arange(len(rank)).astype("S12")
    return table(
        {"entry_id": np.char.add(f"{shard}-".encode(), number)}
        | {
            name: Coded(v[rank], words[name]) if name in words else v[rank]
            for name, v in columns.items()
        }
    )


def _tiers(
    book: Book, who: People, joined_ms: Ints, first: int, months: int
) -> tuple[Ints, Ints, Ints]:
    """Return qualifying spend of the last 12 months, tier, and since when it holds.

    Reviewed at each month's end with ``to_qualified``, so at the log's end, which is
    one, the tier is what the last twelve months earn; it holds since the month's end
    (a fall) or the order (a rise) that led to it, here given as the day's start.
    """
    net = book.paid_fen - book.refunded_fen
    slot = np.where(
        book.pay_ms == MISSING, 0, month_of(np.maximum(book.pay_ms, 0)) - first
    )
    spend = _grid(book.user, slot, net, who.n, months)
    window = np.cumsum(spend, axis=1)
    window[:, VALID_MONTHS:] -= window[:, :-VALID_MONTHS].copy()
    held = np.searchsorted(TIER_FEN, window, side="right") - 1
    now = held[:, -1]
    changed = held != now[:, None]
    since = np.where(changed.any(axis=1), months - changed[:, ::-1].argmax(axis=1), 0)
    joined_slot = month_of(joined_ms) - first
    since = np.maximum(since, np.clip(joined_slot, 0, months - 1))
    return window[:, -1], now, month_start_ms(first + since)


def member_table(who: People, start_ms: int, kept: Ledger, as_of: date) -> pa.Table:
    """Return `members`: one row a user, as of the log's last day.

    Parameters
    ----------
    who : People
        The users.
    start_ms : int
        Epoch ms of the log's first midnight.
    kept : Ledger
        Points and tiers.
    as_of : datetime.date
        The log's last day.

    Returns
    -------
    pyarrow.Table
        Not enrolled: `tier` and what follows from it are NULL.
    """
    from datetime import date as day

    enrolled = who.enrolled
    platforms = tuple(dict.fromkeys(d.platform for d in DEVICES))
    kind = np.array([platforms.index(d.platform) for d in DEVICES])
    return table(
        {
            "user_id": who.user_id,
            "as_of_ds": np.full(who.n, (as_of - day(1970, 1, 1)).days),
            "joined_ts": who.first_ms + start_ms,
            "region": Coded(who.region, REGIONS),
            "age_band": Coded(who.age, AGES),
            "gender": Coded(who.gender, GENDERS),
            "platform": Coded(kind[who.device], platforms),
            "tier": np.where(enrolled, kept.tier, MISSING),
            "tier_since_ts": np.where(enrolled, kept.tier_since_ms, MISSING),
            "points_balance": np.where(enrolled, kept.balance, MISSING),
            "qualifying_fen_12m": np.where(enrolled, kept.qualifying_fen, MISSING),
            "channel": Coded(who.channel, CHANNELS),
            "wecom_friend": (who.level == 0) & (who.kind == BUYER),
        }
    )


def persona_counts(who: People) -> Floats:
    """Count users by spend level and age band, shape (levels, ages)."""
    counts = np.zeros((len(LEVELS), len(AGES)))
    np.add.at(counts, (who.level, who.age), 1)
    return counts
