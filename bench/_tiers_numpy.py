"""The daily simulation as one would write it in NumPy: every member, every day.

The same rules as the engines of `growth.tiers` for the programme of the bench: tiers
on a rolling year with immediate upgrades and reviews at month's end, points with
multipliers, a cap a day, days pending, lots by month of earning, redemption in whole
blocks from the oldest lot, refunds days later that claw back, and debt; the rate
follows the tier and the day, and the table of months has the same columns. Draws are
NumPy's own, the fastest it has.
"""

from __future__ import annotations

import numpy as np

MONTHS = 12  # of the window, and of the points' life


def simulate(people, asked, *, days, month_of, seed):  # noqa: C901, PLR0915
    """Return orders, list prices, issued, redeemed, clawed and members by tier.

    `people` holds `rate` (orders a day), `dropout` and `scale` (fen), one a member;
    `asked` the programme's numbers; `month_of` the month of each day, from 0.
    """
    rng = np.random.default_rng(seed)
    n = len(people["rate"])
    rate = -people["rate"].astype(np.float64)
    season, boost = asked["season"], np.array(asked["boost"])
    chance, draws = np.empty(n), np.empty(n)
    dropout, scale = people["dropout"], people["scale"]
    cuts, multiples = np.array(asked["cuts"]), np.array(asked["multiples"])
    discounts = np.array(asked["discounts"])
    block, cap = asked["block"], asked["cap"]
    tier = np.zeros(n, np.int8)
    spend = np.zeros(n, np.int64)
    ring = np.zeros((MONTHS, n), np.int64)
    lots = np.zeros((MONTHS + 1, n), np.int64)
    active = np.zeros(n, np.int64)
    debt = np.zeros(n, np.int64)
    waiting = [[] for _ in range(days + asked["pending"] + 1)]
    returns = [[] for _ in range(days + asked["refund_days"] + 2)]
    months = month_of[-1] + 1
    flows = {
        name: np.zeros((months, len(cuts)), np.int64)
        for name in (
            "orders", "gross", "discount", "refund", "listed_back", "issued", "capped",
            "redeemed", "expired", "clawed", "moved_in", "moved_out", "active",
            "pending", "debt",
        )
    }  # fmt: skip
    members = np.zeros((months, len(cuts)), np.int64)
    unripe = np.zeros(n, np.int64)

    def count(name, month, who, amount):
        summed = np.bincount(tier[who], weights=amount, minlength=len(cuts))
        flows[name][month] += summed.astype(np.int64)

    def move(who, reached):
        went = reached != tier[who]
        if went.any():
            count("moved_out", month, who[went], None)
            tier[who[went]] = reached[went]
            count("moved_in", month, who[went], None)

    def take(who, points):
        """Take points, oldest lots first."""
        left = points.copy()
        for age in range(MONTHS, -1, -1):
            lot = lots[(month - age) % (MONTHS + 1)]
            part = np.minimum(lot[who], left)
            lot[who] -= part
            left -= part
        active[who] -= points - left
        return left

    def release(batch):
        who, points, at = batch["who"], batch["points"], batch["month"]
        paid_back = np.minimum(debt[who], points)
        debt[who] -= paid_back
        kept = points - paid_back
        unripe[who] -= points
        lots[at % (MONTHS + 1)][who] += kept
        active[who] += kept
        batch["pending"] = False

    for day in range(days):
        month = month_of[day]
        for batch in waiting[day]:
            release(batch)
        # the rate of the tier held and of the day, as a chance
        np.take(boost * season[day], tier, out=chance)
        chance *= rate
        np.expm1(chance, out=chance)
        rng.random(out=draws)
        draws += chance
        who = np.flatnonzero(draws < 0.0)
        k = len(who)
        shape = asked["shape"]
        listed = np.maximum(1, np.rint(rng.gamma(shape, size=k) * scale[who]))
        listed = listed.astype(np.int64)
        held = tier[who]
        paid = listed - (listed * discounts[held] // 10_000)
        earned = paid * multiples[held] // 1_000_000
        points = np.minimum(earned, cap)
        count("orders", month, who, None)
        count("gross", month, who, listed)
        count("discount", month, who, listed - paid)
        count("issued", month, who, points)
        count("capped", month, who, earned - points)
        batch = {"who": who, "points": points, "month": month, "pending": True,
                 "listed": listed}  # fmt: skip
        unripe[who] += points
        if asked["pending"]:
            waiting[day + asked["pending"]].append(batch)
        else:
            release(batch)
        spend[who] += paid
        ring[month % MONTHS][who] += paid
        reached = np.searchsorted(cuts, spend[who], side="right") - 1
        move(who, np.maximum(held, reached))
        use = who[(rng.random(k) < asked["redemption"]) & (active[who] >= block)]
        spent = active[use] // block * block
        count("redeemed", month, use, spent)
        take(use, spent)
        back = np.flatnonzero(rng.random(k) < asked["refund_rate"])
        lag = 1 + rng.integers(0, asked["refund_days"], len(back))
        for wait in np.unique(lag):
            returns[day + wait].append((batch, back[lag == wait], paid))
        rate[who[rng.random(k) < dropout[who]]] = 0.0
        for batch, rows, fen in returns[day]:
            who, claim = batch["who"][rows], batch["points"][rows].copy()
            batch["points"][rows] = 0
            count("clawed", month, who, claim)
            count("refund", month, who, fen[rows])
            count("listed_back", month, who, batch["listed"][rows])
            if batch["pending"]:
                np.subtract.at(unripe, who, claim)
            else:
                own = lots[batch["month"] % (MONTHS + 1)]
                part = np.minimum(own[who], claim)
                own[who] -= part
                active[who] -= part
                debt[who] += take(who, claim - part)
            if batch["month"] > month - MONTHS:
                ring[batch["month"] % MONTHS][who] -= fen[rows]
                spend[who] -= fen[rows]
        if day + 1 == days or month_of[day + 1] != month:
            old = lots[(month + 1) % (MONTHS + 1)]
            count("expired", month, np.arange(n), old)
            active -= old
            old[:] = 0
            reached = np.searchsorted(cuts, spend, side="right") - 1
            went = np.flatnonzero(reached != tier)
            move(went, np.where(reached < tier, tier - 1, reached)[went])
            spend -= ring[(month + 1) % MONTHS]
            ring[(month + 1) % MONTHS] = 0
            members[month] = np.bincount(tier, minlength=len(cuts))
            for name, held in (("active", active), ("pending", unripe), ("debt", debt)):
                count(name, month, slice(None), held)
    return flows, members, int(active.sum()), int(debt.sum())
