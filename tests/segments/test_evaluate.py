"""One user's tags, from rows: what each operation means, at its edges."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from growth.errors import ColumnNotFoundError, ParameterError
from growth.segments import (
    Context,
    Tag,
    Value,
    clv_fen,
    count,
    distinct,
    distinct_days,
    expected_orders,
    first,
    greatest,
    last,
    least,
    lifecycle,
    mean,
    overdue,
    p_alive,
    quantile,
    recency_days,
    rfm,
    rule,
    rules_of,
    sequence,
    total,
    without,
)
from growth.segments.context import ContextRequiredError, yardstick
from growth.segments.evaluate import day_number, micros, name_of_rfm
from growth.stats import bgnbd
from growth.stats.lifecycle import NEVER, PERIOD, lifecycle_states
from tests.segments.made import NOON, both, event, order

DAY = date(2026, 3, 10)
SHANGHAI = "Asia/Shanghai"


def seen(metric, as_of=DAY, context=None, tz=SHANGHAI, **record):
    """Return what a metric is for a user."""
    tag = Tag("t", [Value("x", metric.known())], tz=tz, population="seen")
    asked = rule(rules_of(tag), "t", context=context)
    return dict(asked.explain(record, as_of=as_of).seen)[tag.metrics[-1][0]]


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_first_condition_that_holds_decides():
    cart = {"events": [event("add_to_cart", 5)], "orders": [order(5)]}
    paid = {"events": [event("add_to_cart", 5), event("order_pay", 4)],
            "orders": [order(4)]}  # fmt: skip
    asked = rule(both(), "behaviour")
    assert asked.value_for(cart, as_of=DAY) == "cart_abandoned"
    assert asked.value_for(paid, as_of=DAY) == "buyer"
    assert asked.value_for({"events": [event("page_view")]}, as_of=DAY) == "none"
    assert asked.value_for({"orders": [order(100)]}, as_of=DAY) == "none"
    assert asked.value_for({}, as_of=DAY) is None


def test_what_was_seen_explains_the_value():
    told = rule(both(), "behaviour").explain(
        {"events": [event("add_to_cart", 1)], "orders": [order(1)]}, as_of=DAY
    )
    assert told.value == "buyer"
    assert told.verdict == "segments.explain.matched"
    assert told.tried == (("cart_abandoned", False), ("buyer", True))
    assert told.rows()[1] == {"about": "metric", "name": "count_orders_30d", "seen": 1}
    nobody = rule(both(), "behaviour").explain({}, as_of=DAY)
    assert (nobody.value, nobody.verdict) == (None, "segments.explain.outside")
    other = rule(both(), "frequency").explain({"events": [event("x")]}, as_of=DAY)
    assert (other.value, other.verdict) == ("never", "segments.explain.by_default")


@pytest.mark.parametrize(
    ("moment", "counted"),
    [
        ("2026-03-10T15:59:59.999999", 1),  # the last microsecond of as_of
        ("2026-03-10T16:00:00", 0),
        ("2026-03-08T16:00:00", 1),  # midnight that begins the first of two days
        ("2026-03-08T15:59:59.500", 0),
    ],
)
def test_a_window_is_local_days_as_half_open_instants(moment, counted):
    row = order() | {"pay_ts": at(moment)}
    assert seen(count("orders", last=2), orders=[row, order()]) == counted + 1


def test_a_tag_has_its_own_time_zone():
    row = order() | {"pay_ts": at("2026-03-10T16:30:00")}
    assert seen(count("orders"), orders=[row, order(1)]) == 1
    assert seen(count("orders"), tz="America/New_York", orders=[row, order(1)]) == 2
    edge = at("2026-03-08T07:30:00")  # 03:30 of the day clocks went forward
    assert (
        day_number(micros(edge), "America/New_York")
        == (date(2026, 3, 8) - date(1970, 1, 1)).days
    )


def test_naive_and_foreign_datetimes_are_the_same_instant():
    tokyo = datetime.fromisoformat("2026-03-10T13:00:00+09:00")
    assert micros(tokyo) == micros(NOON) == micros(NOON.replace(tzinfo=None))
    with pytest.raises(ParameterError, match="must be a datetime") as info:
        micros("2026-03-10")
    assert info.value.code == "bad_time"


def test_numbers_over_rows():
    rows = [order(0, 100), order(1, 301, status="refunded"), order(40, 900)]
    assert seen(count("orders", last=30), orders=rows) == 2
    paid = [{"col": "status", "eq": "paid"}]
    assert seen(count("orders", where=paid, last=30), orders=rows) == 1
    assert seen(total("orders", "paid_fen", last=30), orders=rows) == 401
    assert seen(mean("orders", "paid_fen", last=30), orders=rows) == 200
    assert seen(least("orders", "paid_fen"), orders=rows) == 100
    assert seen(greatest("orders", "paid_fen"), orders=rows) == 900
    assert seen(distinct("orders", "status"), orders=rows) == 2
    twice = [*rows, order(0, 5, order_id="again")]
    assert seen(distinct_days("orders"), orders=twice) == 3
    assert seen(recency_days("orders"), orders=rows[1:]) == 1


def test_without_rows_counts_are_0_and_the_rest_is_unknown():
    some = {"events": [event("x")], "orders": []}
    assert seen(count("orders"), **some) == 0
    assert seen(total("orders", "paid_fen"), **some) == 0
    for made in (
        mean("orders", "paid_fen"),
        least("orders", "paid_fen"),
        recency_days("orders"),
        first("orders", "status"),
        lifecycle("orders"),
    ):
        assert seen(made, **some) is None


def test_refunds_are_taken_off_when_they_happened():
    rows = [order(5, 1000, refund_fen=400)]
    net = total("orders", "paid_fen", net=True)
    assert seen(net, orders=rows) == 600
    dated = [{"order_id": "o5", "ts": NOON - timedelta(days=1), "amount_fen": 400}]
    assert seen(net, orders=rows, refunds=dated) == 600
    before = DAY - timedelta(days=2)
    assert seen(net, before, orders=rows, refunds=dated) == 1000


def test_first_and_last_break_ties_by_id():
    rows = [
        event("x", event_id="b", product_id="p2"),
        event("x", event_id="a", product_id="p1"),
        event("x", 1, event_id="z", product_id=None),
    ]
    for listed in (rows, rows[::-1]):
        assert seen(last("events", "product_id"), events=listed) == "p2"
        assert seen(first("events", "product_id"), events=listed) is None
        assert seen(first("events", "product_id", last=1), events=listed) == "p1"


def test_members_are_read_as_of_their_date():
    rows = [
        {"as_of_ds": DAY - timedelta(days=1), "region": "44"},
        {"as_of_ds": DAY + timedelta(days=1), "region": "31"},
    ]
    for tz in (SHANGHAI, "America/New_York"):
        known = {"members": rows, "events": [event("x", 2)]}
        assert seen(last("members", "region"), tz=tz, **known) == "44"
        assert seen(count("members", last=2), tz=tz, **known) == 1
        assert seen(recency_days("members"), tz=tz, **known) == 1


@pytest.mark.parametrize(
    ("answered", "left"),
    [
        (timedelta(days=3), False),  # the end of the window belongs to it
        (timedelta(days=3, microseconds=1), True),
        (timedelta(0), True),  # B at the very instant of A is no answer to it
        (timedelta(microseconds=1), False),
        (None, True),
    ],
)
def test_a_cart_is_left_where_no_payment_follows(answered, left):
    cart = event("add_to_cart", 5)
    rows = [cart] if answered is None else [
        cart, event("order_pay") | {"ts": cart["ts"] + answered},
    ]  # fmt: skip
    assert seen(without("add_to_cart", "order_pay", within=3), events=rows) is left


def test_a_cart_too_young_is_not_yet_left():
    end = at("2026-03-10T16:00:00")
    for age, left in (
        (timedelta(days=3), True),
        (timedelta(days=3, seconds=-1), False),
    ):
        rows = [event("add_to_cart") | {"ts": end - age}]
        assert seen(without("add_to_cart", "order_pay", within=3), events=rows) is left


def test_the_anchor_says_which_a_starts_the_clock():
    rows = [
        event("a", 20),
        event("b", 19),
        event("a", 10),
        event("a", 8),
        event("b", 7),
    ]
    asked = {
        anchor: seen(without("a", "b", within=1, anchor=anchor), events=rows)
        for anchor in ("first", "last", "any")
    }
    assert asked == {"first": False, "last": False, "any": True}


def test_hold_demands_equal_columns_and_null_equals_nothing():
    rows = [
        event("a", 5, product_id="p1"),
        event("b", 4, product_id="p2"),
    ]
    held = without("a", "b", within=3, hold=["product_id"])
    assert seen(held, events=rows) is True
    assert seen(without("a", "b", within=3), events=rows) is False
    same = [rows[0], event("b", 4, product_id="p1")]
    assert seen(held, events=same) is False
    nulls = [row | {"product_id": None} for row in rows]
    assert seen(held, events=nulls) is True


def test_a_sequence_fills_each_step_with_a_row_of_its_own():
    abc = sequence("a", "b", "c", within=7)
    rows = [event("a", 9), event("b", 5), event("c", 2)]
    assert seen(abc, events=rows) is True  # the seventh day belongs to it
    assert seen(abc, events=[event("a", 9.1), *rows[1:]]) is False
    assert seen(abc, events=[event("a", 9), event("c", 5), event("b", 2)]) is False
    same = [event("c"), event("b"), event("a")]
    assert seen(abc, events=same) is True  # one instant: in the order of the steps
    twice = sequence("a", "a", within=1)
    assert seen(twice, events=[event("a")]) is False
    assert seen(twice, events=[event("a"), event("a")]) is True


def test_a_sequence_may_start_late():
    ab = {k: sequence("a", "b", within=1, anchor=k) for k in ("first", "last", "any")}
    rows = [event("a", 9), event("a", 5), event("b", 4.5), event("a", 1)]
    assert {k: seen(m, events=rows) for k, m in ab.items()} == {
        "first": False,
        "last": False,
        "any": True,
    }


@pytest.mark.parametrize("period", ["day", "week", "month"])
def test_lifecycle_is_the_one_function_of_stats(period):
    rng = np.random.default_rng(5)
    origin = date(2025, 10, 1)

    def number(day):
        return {
            "day": day.toordinal(),
            "week": (day.toordinal() - 1) // 7,
            "month": day.year * 12 + day.month,
        }[period]

    ends = {"day": DAY, "week": date(2026, 3, 8), "month": date(2026, 2, 28)}
    for _ in range(150):
        days = [origin + timedelta(days=int(d)) for d in rng.integers(0, 160, 4)]
        rows = [event("x") | {"ts": datetime(d.year, d.month, d.day, 4)} for d in days]
        told = seen(lifecycle(period=period), ends[period], events=rows)
        active = sorted({number(d) for d in days if d <= ends[period]})
        past = [active[-2]] if len(active) > 1 else [NEVER]
        now = number(ends[period])
        state = (
            lifecycle_states([active[0]], [active[-1]], past, now=now)[0]
            if active
            else -1
        )
        assert told == (None if state < 0 else PERIOD.states[state])


def test_a_period_that_still_runs_makes_nobody_dormant():
    # active in February; on 10 March, March has decided nothing
    assert seen(lifecycle(), events=[event("x", 20)]) == "new"
    assert seen(lifecycle(), events=[event("x", 20), event("x", 45)]) == "returning"
    assert seen(lifecycle(), events=[event("x", 45)]) == "dormant"
    assert seen(lifecycle(), date(2026, 3, 31), events=[event("x", 20)]) == "dormant"


def frozen(metric, **yard):
    return Context(DAY, {yardstick(metric, SHANGHAI, "seen"): yard})


def test_scores_come_from_frozen_cut_points():
    context = frozen(rfm(), r=[10, 20, 30, 40], f=[1, 2, 3, 4], m=[0, 100, 200, 300])
    rows = [order(15, 150), order(50, 60)]
    told = {
        part: seen(rfm(part), context=context, orders=rows)
        for part in ("r", "f", "m", "fm", "code", "segment")
    }
    assert told == {
        "r": 4, "f": 2, "m": 4, "fm": 3, "code": "424", "segment": "promising",
    }  # fmt: skip
    assert seen(rfm(), context=context, events=[event("x")], orders=[]) is None


@pytest.mark.parametrize(
    ("r", "fm", "name"),
    [
        (4, 4, "champions"), (3, 4, "loyal"), (4, 1, "new"), (4, 3, "promising"),
        (2, 4, "at_risk"), (3, 3, "need_attention"), (2, 3, "hibernating"),
        (1, 3, "lost"),
    ],
)  # fmt: skip
def test_names_of_scores(r, fm, name):
    assert name_of_rfm(r, fm) == name


def test_a_quantile_is_of_the_users_own_number():
    made = quantile(count("orders"), bins=2)
    context = frozen(made, cuts=[1])
    assert seen(made, context=context, orders=[order(), order(1)]) == 2
    assert seen(made, context=context, orders=[order()]) == 1


def test_overdue_is_silence_beyond_the_usual_gap():
    context = frozen(overdue(), gap=20)
    own = [order(ago) for ago in (40, 30, 20)]
    assert seen(overdue(), context=context, orders=own) is True  # usual gap 10
    assert seen(overdue(), context=context, orders=own[2:]) is False
    assert seen(overdue(), context=context, orders=own[:1]) is True
    assert seen(overdue(), context=context, orders=[], events=[event("x")]) is None


def test_models_answer_in_days():
    params = [0.243, 4.414, 0.793, 2.426]  # CDNOW, weeks
    days = [272, 160, 59]  # x = 2, t_x = 30.43 weeks, T = 38.86
    rows = [order(ago, 1000) for ago in days]
    context = frozen(p_alive(), bgnbd=params)
    expected = bgnbd.p_alive(params, [2], [213 / 7], [272 / 7])[0]
    assert seen(p_alive(), context=context, orders=rows) == expected
    assert round(expected, 4) == 0.7266
    ahead = seen(expected_orders(273), context=context, orders=rows)
    assert round(ahead, 3) == 1.226
    spend = frozen(clv_fen(273), bgnbd=params, gamma_gamma=[6.25, 3.74, 1544.0])
    told = seen(clv_fen(273), context=spend, orders=rows)
    mean_fen = 6.25 * (1544 + 3 * 1000) / (6.25 * 3 + 3.74 - 1)
    assert told == int(ahead * mean_fen)


@pytest.mark.parametrize(
    "made", [rfm(), p_alive(), overdue(), quantile(count("orders"))]
)
def test_without_its_yardstick_a_tag_is_never_guessed(made):
    with pytest.raises(ContextRequiredError, match="pass context=") as info:
        seen(made, orders=[order()])
    assert info.value.code == "context_required"
    wrong = frozen(rfm(bins=3), r=[], f=[], m=[])
    with pytest.raises(ContextRequiredError, match="missing"):
        seen(made, context=wrong, orders=[order()])


def test_a_context_survives_json_and_refuses_other_text():
    context = frozen(rfm(), r=[1, 2, 3, 4], f=[1, 1, 1, 1], m=[5, 6, 7, 8])
    assert Context.from_json(context.to_json()) == context
    for text in ("{}", "x", "[]", '{"as_of": "2026-02-30", "yards": {}}'):
        with pytest.raises(ParameterError, match=r"Context\.to_json") as info:
            Context.from_json(text)
        assert info.value.code == "bad_context"


def test_ready_metrics_are_taken_as_they_are():
    asked = rule(both(), "frequency")
    ready = {"count_orders_90d": 1, "recency_days_orders": 45}
    assert asked.value_for(metrics=ready, as_of=DAY) == "dormant"
    ready["recency_days_orders"] = None
    assert asked.value_for(metrics=ready, as_of=DAY) == "never"
    with pytest.raises(ColumnNotFoundError, match="recency_days_orders"):
        asked.value_for(metrics={"count_orders_90d": 1}, as_of=DAY)


@pytest.mark.parametrize(
    "as_of", [datetime(2026, 3, 10, tzinfo=UTC), "2026-03-10", None]
)
def test_as_of_is_a_date(as_of):
    with pytest.raises(ParameterError, match="must be a date") as info:
        rule(both(), "frequency").value_for({}, as_of=as_of)
    assert info.value.code == "bad_as_of"


def test_a_row_that_lacks_a_column_is_told():
    tag = Tag(
        "t", [Value("x", count("orders", where=[{"col": "channel", "eq": "a"}]) > 0)]
    )
    with pytest.raises(ColumnNotFoundError, match="channel"):
        rule(rules_of(tag), "t").value_for({"orders": [order()]}, as_of=DAY)


def test_no_engine_is_loaded_to_judge_one_user():
    code = """
import sys
from datetime import date, datetime
from growth import segments
tag = segments.Tag("t", [segments.Value("x", segments.count("orders") >= 1)])
one = segments.rule(segments.rules_of(tag), "t")
orders = [{"pay_ts": datetime(2026, 3, 1)}]
assert one.value_for({"orders": orders}, as_of=date(2026, 3, 1)) == "x"
heavy = {"ibis", "duckdb", "pandas", "pyarrow", "altair", "numba", "scipy.stats"}
print(sorted(heavy & set(sys.modules)))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout == "[]\n"
