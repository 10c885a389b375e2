"""Public data, with the figures published or worked out elsewhere for it.

UCI Online Retail: CC0, allanvc/onlineretail; CDNOW: Lifetimes 0.11.3. Numbers: the
manifest of the data's folder, and Fader, Hardie and Lee (2005).
"""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from growth import engine
from growth.segments import (
    Tag,
    Value,
    count,
    expected_orders,
    freeze,
    lifecycle,
    metrics,
    movement,
    overlap,
    p_alive,
    recency_days,
    rfm,
    rule,
    rules_of,
    tag,
    tag_in,
)
from growth.segments.context import yardstick

pytestmark = pytest.mark.real_data

AS_OF = date(2011, 12, 10)


@pytest.fixture(scope="module")
def orders(real_data):
    """Return invoices not cancelled and above 0; local times are read as UTC."""
    rows = pq.read_table(real_data("uci_online_retail_invoices.parquet"))
    pence = pc.cast(pc.round(pc.multiply(rows["amount_gbp"], 100)), pa.int64())
    made = pa.table(
        {
            "user_id": pc.cast(rows["customer_id"], pa.string()),
            "order_id": pc.cast(rows["invoice"], pa.string()),
            "pay_ts": rows["ts"],
            "paid_fen": pence,
        }
    )
    keep = pc.and_(pc.invert(rows["is_cancellation"]), pc.greater(pence, 0))
    return made.filter(keep)


SCORES = rules_of(
    Tag(
        "rfm",
        [Value(name, rfm().equals(name)) for name in ("champions", "at_risk", "lost")]
        + [Value("known", rfm("code").known() & rfm("r").known())]
        + [Value("both", rfm("f").known(known=False) & rfm("m").known(known=False))],
        tz="UTC",
        population="buyers",
    )
)


ONE = rules_of(Tag("rfm", [Value("known", rfm("code").known())], tz="UTC"))


def scores(table):
    found = metrics({"orders": table}, SCORES, as_of=AS_OF)
    rows = engine.fetch(found).to_pydict()
    return {
        part: rows[f"rfm__rfm_{part}_orders_paid_fen"]
        for part in ("r", "f", "m", "code")
    } | {"user_id": rows["user_id"]}


def test_cut_points_and_scores_are_those_worked_out_in_integers(orders):
    context = freeze({"orders": orders}, SCORES, as_of=AS_OF)
    assert context.yards[yardstick(rfm(), "UTC", "buyers")] == {
        "r": [13, 33, 72, 180],
        "f": [1, 2, 3, 6],
        "m": [25015, 49022, 94226, 205945],
    }
    found = scores(orders)
    assert len(found["code"]) == 4338
    assert {
        part: [found[part].count(k) for k in (1, 2, 3, 4, 5)] for part in "rfm"
    } == {
        "r": [861, 866, 863, 880, 868],
        "f": [1493, 835, 508, 802, 700],
        "m": [868, 868, 867, 868, 867],
    }
    assert len(set(found["code"])) == 112
    assert found["code"].count("555") == 324
    assert found["code"].count("111") == 330


def test_scores_are_the_same_over_twelve_runs_and_row_orders(orders):
    first = None
    for run in range(12):
        mixed = orders.take(np.random.default_rng(run).permutation(len(orders)))
        rows = engine.fetch(metrics({"orders": mixed}, ONE, as_of=AS_OF)).to_pylist()
        triples = {row["user_id"]: row["rfm__rfm_code_orders_paid_fen"] for row in rows}
        first = first or triples
        assert triples == first


def test_one_buyer_is_scored_as_in_the_table(orders):
    context = freeze({"orders": orders}, SCORES, as_of=AS_OF)
    found = engine.fetch(tag({"orders": orders}, SCORES, as_of=AS_OF)).to_pylist()
    by_user = {}
    for row in orders.to_pylist():
        by_user.setdefault(row["user_id"], []).append(row)
    one = rule(SCORES, "rfm", context=context)
    for row in found[::20]:
        told = one.value_for({"orders": by_user[row["user_id"]]}, as_of=AS_OF)
        assert told == row["rfm"]


LIFE = rules_of(
    Tag(
        "life",
        [
            Value(name, lifecycle("orders").equals(name))
            for name in ("new", "returning", "resurrecting", "dormant")
        ],
        default="asleep",
        tz="UTC",
        population="buyers",
    )
)
BY_MONTH = [
    (885, 0, 0, 0),
    (417, 324, 0, 561),
    (380, 262, 116, 479),
    (452, 290, 232, 468),
    (300, 304, 252, 670),
    (284, 368, 404, 488),
    (242, 410, 339, 646),
    (188, 365, 396, 626),
    (169, 388, 378, 561),
    (299, 425, 542, 510),
    (358, 489, 517, 777),
    (323, 622, 719, 742),
]


def test_lifecycle_by_month(orders):
    news = 0
    for k, want in enumerate(BY_MONTH):
        year, month = divmod(2010 * 12 + 12 + k, 12)
        last = date(year, month + 1, 1) - timedelta(days=1)
        states = engine.fetch(tag({"orders": orders}, LIFE, as_of=last))["life"]
        seen = states.to_pylist()
        names = ("new", "returning", "resurrecting", "dormant")
        assert tuple(seen.count(name) for name in names) == want
        news += want[0]
    end = engine.fetch(tag({"orders": orders}, LIFE, as_of=date(2011, 12, 31)))
    assert news + end["life"].to_pylist().count("new") == 4338


@pytest.fixture(scope="module")
def cdnow(real_data):
    """Return the sample's purchases, to 1997-09-30."""
    rows = []
    for line in real_data("cdnow_sample.txt").read_text().splitlines():
        _, customer, day, _, dollars = line.split()
        when = date(int(day[:4]), int(day[4:6]), int(day[6:]))
        rows.append(
            {
                "user_id": customer,
                "pay_ts": when,
                "paid_fen": round(float(dollars) * 100),
            }
        )
    return {"orders": pa.Table.from_pylist(rows)}


def test_models_fitted_on_cdnow_are_those_published(cdnow):
    as_of = date(1997, 9, 30)
    alive, ahead = p_alive(), expected_orders(39 * 7)
    rules = rules_of(
        Tag("a", [Value("x", alive >= 0.9)], tz="UTC", population="buyers"),
        Tag("b", [Value("x", ahead >= 0.9)], tz="UTC", population="buyers"),
    )
    context = freeze(cdnow, rules, as_of=as_of)
    assert context.notices == ()
    params = context.yards[yardstick(alive, "UTC", "buyers")]["bgnbd"]
    assert [round(p, 3) for p in params] == [0.243, 4.414, 0.793, 2.426]
    found = engine.fetch(metrics(cdnow, rules, as_of=as_of)).to_pylist()
    assert len(found) == 2357
    first = next(row for row in found if row["user_id"] == "0001")
    assert round(first["a__p_alive_orders"], 4) == 0.7266  # x 2, t_x 30.43, T 38.86
    assert round(first["b__expected_orders_orders"], 3) == 1.226


ACTIVE = rules_of(
    Tag(
        "state",
        [Value("active", count("orders", last=30) >= 1)],
        default="dormant",
        tz="UTC",
        population="buyers",
    )
)


def test_movement_between_two_months(orders):
    days = date(2011, 10, 31), date(2011, 11, 30)
    before, after = (tag({"orders": orders}, ACTIVE, as_of=day) for day in days)
    found = movement(before, after, "state", first=days[0], second=days[1])
    moves = {(m.before, m.after): m.users for m in found.moves}
    assert moves["active", "active"] == 622
    assert moves["active", "dormant"] == 742
    assert moves["dormant", "active"] == 719
    assert moves["dormant", "dormant"] == 1891
    assert moves["absent", "active"] == 323
    assert found.joined == 323


def test_overlap_of_three_segments(orders):
    rules = rules_of(
        Tag("m", [Value("top", rfm("m").equals(5))], tz="UTC", population="buyers"),
        Tag("f", [Value("top", rfm("f").equals(5))], tz="UTC", population="buyers"),
        Tag("silent", [Value("yes", recency_days("orders") > 90)], tz="UTC",
            population="buyers"),
    )  # fmt: skip
    table = tag({"orders": orders}, rules, as_of=AS_OF)
    segments = {
        "M": tag_in("m", "top"),
        "F": tag_in("f", "top"),
        "silent": tag_in("silent", "yes"),
    }
    found = overlap(table, segments)
    told = {i.segments: i.users for i in found.intersections}
    assert told == {
        ("M", "F", "silent"): 15,
        ("M", "F"): 551,
        ("M", "silent"): 50,
        ("F", "silent"): 7,
        ("M",): 251,
        ("F",): 127,
        ("silent",): 1377,
    }
    assert found.none == 1960
