"""Small rules and rows made for these tests."""

import random
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from growth import engine
from growth.segments import Tag, Value, count, recency_days, rules_of, tag_in, without
from tests.segments import random_rules

NOON = datetime(2026, 3, 10, 4, tzinfo=UTC)  # in Shanghai

FREQUENCY = Tag(
    "frequency",
    [
        Value("frequent", count("orders", last=90) >= 4),
        Value("active", recency_days("orders") < 30),
        Value("dormant", recency_days("orders").known()),
    ],
    default="never",
)
BEHAVIOUR = Tag(
    "behaviour",
    [
        Value("cart_abandoned", without("add_to_cart", "order_pay", within=3, last=30)),
        Value(
            "buyer",
            (count("orders", last=30) >= 1) & ~tag_in("frequency", "dormant"),
        ),
    ],
)


def both():
    return rules_of(FREQUENCY, BEHAVIOUR)


def order(ago=0, paid_fen=10_000, **more):
    made = {"order_id": f"o{ago}", "pay_ts": NOON - timedelta(days=ago)}
    return made | {"paid_fen": paid_fen, "refund_fen": 0, "status": "paid"} | more


def event(name, ago=0.0, **more):
    return {"event": name, "ts": NOON - timedelta(days=ago)} | more


def told(table):
    return {row["user_id"]: row for row in engine.fetch(table).to_pylist()}


def tables_of(**rows):
    """Return Arrow tables of made rows, one user unless they say so."""
    return {
        name: pa.Table.from_pylist([{"user_id": "u"} | row for row in listed])
        for name, listed in rows.items()
    }


def histories(seed, n):
    rng = random.Random(seed)
    users = {f"u{i:03}": random_rules.history(rng, f"u{i:03}") for i in range(n)}
    return rng, users, random_rules.arrow(users)
