"""Rules and histories drawn at random, for hypothesis and for seeded loops."""

import random
from datetime import UTC, date, datetime, timedelta

from hypothesis import strategies as st

from growth.errors import ParameterError
from growth.segments import (
    Tag,
    Value,
    count,
    distinct,
    distinct_days,
    first,
    greatest,
    last,
    least,
    lifecycle,
    mean,
    overdue,
    quantile,
    recency_days,
    rfm,
    rules_of,
    sequence,
    tag_in,
    total,
    without,
)

AS_OF = date(2026, 3, 10)
EVENTS = ("page_view", "add_to_cart", "order_pay")
STATUS = ("paid", "shipped", "refunded")
PRODUCTS = ("p1", "p2", None)
ZONES = (*["Asia/Shanghai"] * 8, "UTC", "America/New_York")
DAY = timedelta(days=1)
# local midnights of the zones around as_of, and a little to each side
EDGES = [
    datetime(2026, 3, 10, 16, tzinfo=UTC) - k * DAY + shift
    for k in (-1, 0, 1, 2, 7, 30)
    for shift in (
        timedelta(0),
        timedelta(microseconds=-1),
        timedelta(milliseconds=-500),
        timedelta(hours=8),
        timedelta(hours=12),
    )
]


def moment(rng):
    """Return an instant, often at an edge, sometimes after as_of."""
    if rng.random() < 0.5:
        return rng.choice(EDGES)
    return datetime(2026, 3, 11, tzinfo=UTC) - timedelta(
        minutes=rng.randrange(60 * 24 * 60)
    )


def history(rng, user):
    """Return one user's rows by table; ties and NULLs among them."""
    base = [moment(rng) for _ in range(3)]
    events = [
        {
            "user_id": user,
            "event_id": f"{user}e{i:02}",
            "ts": rng.choice(base) if rng.random() < 0.4 else moment(rng),
            "event": rng.choice(EVENTS),
            "product_id": rng.choice(PRODUCTS),
            "dur_ms": rng.choice([None, 5, 10]),
        }
        for i in range(rng.choice([0, 0, 1, 4, 8]))
    ]
    orders = []
    for i in range(rng.choice([0, 1, 2, 3, 6])):
        paid = rng.choice([0, 100, 1999, 2000])
        orders.append(
            {
                "user_id": user,
                "order_id": f"{user}o{i:02}",
                "pay_ts": None if rng.random() < 0.1 else moment(rng),
                "paid_fen": paid,
                "refund_fen": rng.choice([None, 0, paid]),
                "status": rng.choice([*STATUS, None]),
            }
        )
    members = [
        {
            "user_id": user,
            "as_of_ds": AS_OF + rng.choice([-30, -1, 0, 1]) * DAY,
            "region": rng.choice(["44", "31", None]),
            "tier": rng.choice([0, 1, None]),
        }
        for _ in range(rng.choice([0, 1]))
    ]
    return {"events": events, "orders": orders, "members": members}


def filters(rng, of):
    choices = {
        "orders": [
            {"col": "status", "in": ["paid", "shipped"]},
            {"not": {"col": "status", "eq": "paid"}},
            {
                "any": [
                    {"col": "paid_fen", "ge": 2000},
                    {"col": "status", "known": False},
                ]
            },
        ],
        "events": [
            {"col": "product_id", "eq": "p1"},
            {"col": "dur_ms", "between": [5, 9]},
            {"not": {"col": "product_id", "in": ["p2"]}},
        ],
        "members": [{"col": "tier", "ge": 0}],
    }
    return [rng.choice(choices[of])] if rng.random() < 0.4 else None


def metric(rng, *, scored=True):
    """Return a metric and a value it may be compared with."""
    of = rng.choice(["orders", "events"])
    where, days = filters(rng, of), rng.choice([None, 1, 7, 30])
    money = {"where": filters(rng, "orders"), "last": days, "net": rng.random() < 0.5}
    kind = rng.randrange(17 if scored else 13)
    within, back = rng.choice([1, 3, 7]), rng.choice([None, 7, 30])
    steps = [rng.choice(EVENTS) for _ in range(rng.choice([2, 3]))]
    number = rng.choice([0, 1, 2, 3])
    fen = rng.choice([0, 1999, 2000, 4000])
    made = [
        lambda: (count(of, where=where, last=days), number),
        lambda: (distinct_days(of, where=where, last=days), number),
        lambda: (distinct("events", "product_id", last=days), number),
        lambda: (total("orders", "paid_fen", **money), fen),
        lambda: (mean("orders", "paid_fen", **money), fen),
        lambda: (least("orders", "paid_fen", **money), fen),
        lambda: (greatest("orders", "paid_fen", **money), fen),
        lambda: (recency_days(of, where=where), rng.choice([0, 1, 6, 29])),
        lambda: (first("orders", "status", last=days), rng.choice(STATUS)),
        lambda: (last("members", "region", last=days), rng.choice(["44", "31"])),
        lambda: (
            without(
                *rng.sample(EVENTS, 2),
                within=within,
                last=back,
                anchor=rng.choice(["first", "last", "any"]),
                hold=rng.choice([(), ("product_id",)]),
                where=filters(rng, "events"),
            ),
            True,
        ),
        lambda: (
            sequence(
                *steps,
                within=within,
                last=back,
                anchor=rng.choice(["first", "last", "any"]),
            ),
            True,
        ),
        lambda: (
            lifecycle(of, period=rng.choice(["day", "week", "month"])),
            rng.choice(["new", "returning", "resurrecting", "dormant", "asleep"]),
        ),
        lambda: (
            rfm(rng.choice(["r", "f", "m", "fm"]), where=money["where"]),
            number + 1,
        ),
        lambda: (rfm("segment"), rng.choice(["champions", "new", "lost"])),
        lambda: (quantile(count(of, last=days), bins=rng.choice([2, 5])), 2),
        lambda: (overdue(p=rng.choice([50, 80])), True),
    ]
    return made[kind]()


def leaf(rng, names, *, scored):
    if names and rng.random() < 0.2:
        name, values = rng.choice(names)
        return tag_in(name, *rng.sample(values, min(len(values), rng.choice([1, 2]))))
    found, value = metric(rng, scored=scored)
    if value is True:
        return found | found
    if rng.random() < 0.15:
        return found.known(known=rng.random() < 0.5)
    if isinstance(value, str):
        return rng.choice([found.equals(value), found.is_in(value)])
    return rng.choice(
        [
            found >= value,
            found > value,
            found <= value,
            found < value,
            found.equals(value),
            found.between(value, value + 2),
        ]
    )


def condition(rng, names, depth=0, *, scored):
    if depth > 1 or rng.random() < 0.5:
        return leaf(rng, names, scored=scored)
    left = condition(rng, names, depth + 1, scored=scored)
    match rng.randrange(3):
        case 0:
            return left & condition(rng, names, depth + 1, scored=scored)
        case 1:
            return left | condition(rng, names, depth + 1, scored=scored)
    return ~left


def tags(rng, n, *, scored=True):
    """Return rules of `n` random tags, each of them sound."""
    made = []
    names = []
    while len(made) < n:
        name = f"t{len(made)}"
        values = [
            Value(f"v{k}", condition(rng, names, scored=scored))
            for k in range(rng.choice([1, 2, 3]))
        ]
        tag = Tag(
            name,
            values,
            population=rng.choice(["seen", "seen", "buyers", "members"]),
            tz=rng.choice(ZONES),
        )
        try:
            rules_of(*made, tag)
        except ParameterError:
            continue  # a value that nobody can have
        made.append(tag)
        names = [*names, (name, list(tag.names))][-3:]
    return rules_of(*made)


@st.composite
def rules(draw):
    return tags(random.Random(draw(st.integers(0, 10**6))), draw(st.integers(1, 3)))


def arrow(users):
    """Return histories as the canonical tables, in Arrow."""
    import pyarrow as pa

    text, moment_, whole = pa.string(), pa.timestamp("us", tz="UTC"), pa.int64()
    schemas = {
        "events": [
            ("user_id", text),
            ("event_id", text),
            ("ts", moment_),
            ("event", text),
            ("product_id", text),
            ("dur_ms", whole),
        ],
        "orders": [
            ("user_id", text),
            ("order_id", text),
            ("pay_ts", moment_),
            ("paid_fen", whole),
            ("refund_fen", whole),
            ("status", text),
        ],
        "members": [
            ("user_id", text),
            ("as_of_ds", pa.date32()),
            ("region", text),
            ("tier", pa.int8()),
        ],
    }
    return {
        name: pa.Table.from_pylist(
            [row for rows in users.values() for row in rows[name]],
            schema=pa.schema(schema),
        )
        for name, schema in schemas.items()
    }
