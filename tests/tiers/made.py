"""Random ledgers and programmes, drawn from a seed."""

import random

TIERS = [
    {"name": "普通", "min_spend_fen": 0},
    {"name": "银卡", "min_spend_fen": 50_000, "min_interactions": 12,
     "earn_multiplier": "1.15", "discount_rate": "0.01"},
    {"name": "金卡", "min_spend_fen": 200_000, "earn_multiplier": "1.5",
     "discount_rate": "0.02"},
]  # fmt: skip


def declaration(rng):
    """A programme drawn at random; always valid."""
    kind = rng.choice(["rolling", "calendar", "anniversary", "lifetime"])
    months = rng.choice([1, 3, 6, 12])
    rolls = kind in ("rolling", "lifetime")
    cap = rng.choice([{}, {"purchase": {"per_day": 300}, "all": {"per_month": 900}}])
    return {
        "tiers": TIERS[: rng.choice([1, 2, 3])],
        "qualify": {
            "match": rng.choice(["any", "all"]),
            "interactions": rng.sample(["login", "review", "offline_visit"], 2),
            "window": {"kind": kind, "months": months},
            "upgrade": rng.choice(["immediate", "at_review"]),
            "downgrade": rng.choice(["one_down", "to_qualified", "never"]),
            "grace_reviews": rng.choice([0, 0, 1]),
            "review": rng.choice(["month_end", "quarter_end"]) if rolls else None,
        },
        "points": {
            "per_yuan": rng.choice(["1", "0.3333"]),
            "pending_days": rng.choice([0, 0, 3, 14]),
            "validity": {
                "months": rng.choice([1, 2, 12, "never"]),
                "round": rng.choice(["none", "month_end", "quarter_end"]),
            },
            "redeem": {"block": rng.choice([1, 50]), "value_fen": 40},
            "caps": cap,
        },
        "refund": {
            "shortfall": rng.choice(["debt", "forgive", "deduct_cash"]),
            "tier": rng.choice(["at_review", "immediate"]),
        },
    }


KINDS = ["purchase"] * 5 + ["refund"] * 3 + ["redeem"] * 3 + [
    "login", "login", "review", "offline_visit", "restore", "snapshot",
]  # fmt: skip


def events(rng, count=60):
    """Events of one member in order; some are impossible, as in life."""
    from datetime import date, timedelta

    day, found, orders, redeemed = date(2023, 11, 5), [], [], []
    for i in range(count):
        day += timedelta(days=rng.choice([0, 0, 1, 2, 9, 30]))
        kind = rng.choice(KINDS)
        event = {"ts": day.isoformat(), "kind": kind}
        if kind == "purchase":
            paid = rng.choice([0, 999, 10_050, 33_333, 120_000])
            event |= {"order_id": f"o{i}", "paid_fen": paid}
            orders.append((f"o{i}", paid))
        elif kind == "refund":
            order, paid = rng.choice(orders) if orders else ("none", 1)
            amount = rng.choice([paid, paid // 2 or 1, paid // 3 or 1])
            event |= {"order_id": order, "amount_fen": amount,
                      "refund_id": f"r{rng.randrange(i + 1)}"}  # fmt: skip
        elif kind == "redeem":
            event |= {"points": 50 * rng.randrange(4), "redemption_id": f"d{i}"}
            redeemed.append(f"d{i}")
        elif kind == "restore":
            event["redemption_id"] = rng.choice(redeemed) if redeemed else "none"
        found.append(event)
    return found


def drawn(seed):
    rng = random.Random(seed)
    return declaration(rng), events(rng)
