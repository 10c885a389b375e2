"""The funnel asked of tables: the reference's answers, and the rules one by one."""

from datetime import date, datetime, timedelta
from itertools import pairwise

import ibis
import numpy as np
import pyarrow as pa
import pytest

from growth import funnel
from growth.errors import ColumnNotFoundError, DataError, ParameterError
from growth.funnel import Exclusion, Step
from tests.funnel import reference
from tests.funnel.made import ASKED, FIRST, LATE, START, at, codes, log, reached

HOUR_US = 3_600_000_000


def test_a_funnel_counts_users_who_reached_at_least_each_step():
    rows = log(
        ("a", 1, "view"), ("a", 2, "cart"), ("a", 3, "pay"),
        ("b", 1, "view"), ("b", 2, "cart"),
        ("c", 1, "view"), ("c", 2, "pay"),
        ("d", 1, "pay"), ("d", 2, "cart"),
    )  # fmt: skip
    result = funnel.measure(rows, steps=["view", "cart", "pay"], **ASKED)
    assert reached(result) == [3, 2, 1]
    assert [step.dropped for step in result.steps] == [0, 1, 1]
    assert result.steps[2].rate_from_previous == 0.5
    assert result.verdict == "funnel.measure.measured"
    (way,) = [t for t in result.times if (t.from_step, t.step) == (1, 3)]
    assert (way.n, way.p50_s) == (1, 7200)
    assert result.whole_way == way


def test_events_out_of_order_and_beyond_as_of_change_nothing():
    rows = log(
        ("a", 3, "pay"), ("a", 1, "view"), ("a", 2, "cart"),
        ("b", 1, "view"), ("b", 99_999, "cart"),
    )  # fmt: skip
    result = funnel.measure(rows, steps=["view", "cart", "pay"], **ASKED)
    assert reached(result) == [2, 1, 1]
    short = ASKED | {"as_of": at(2.5), "immature": "keep"}
    kept = funnel.measure(rows, steps=["view", "cart", "pay"], **short)
    assert reached(kept) == [2, 1, 0]  # the payment has not happened yet
    assert [step.immature for step in kept.steps] == [2, 1, 0]
    assert codes(kept)["immature_kept"] == {"n": 2, "window": "7d"}


def test_the_range_bounds_entries_and_later_steps_are_read_beyond_it():
    rows = log(
        ("early", -1, "view"), ("early", 1, "pay"),
        ("edge", 0, "view"), ("edge", 7 * 24, "pay"),
        ("late", 239, "view"), ("late", 300, "pay"),
        ("after", 240, "view"), ("after", 241, "pay"),
    )  # fmt: skip
    result = funnel.measure(rows, steps=["view", "pay"], **ASKED)
    assert reached(result) == [2, 2]
    shorter = funnel.measure(rows, steps=["view", "pay"], window="167h", **ASKED)
    assert reached(shorter) == [2, 1]


def test_young_entries_are_dropped_and_counted():
    rows = log(("a", 1, "view"), ("a", 2, "pay"), ("b", 40, "view"), ("c", 0, "view"))
    asked = ASKED | {"as_of": at(24 * 7 + 1)}
    result = funnel.measure(rows, steps=["view", "pay"], **asked)
    assert (reached(result), result.immature_users) == ([2, 1], 1)
    assert codes(result)["immature_entries"] == {"n": 1, "window": "7d"}
    lagging = funnel.measure(rows, steps=["view", "pay"], lag="2h", **asked)
    assert (reached(lagging), lagging.immature_users) == ([0, 0], 3)
    assert lagging.verdict == "funnel.measure.too_young"
    assert lagging.steps[1].rate_from_start is None
    day = date.fromisoformat(codes(lagging)["funnel_too_young"]["date"])
    assert day == date(2026, 3, 8)
    ripe = funnel.measure(
        rows, steps=["view", "pay"], lag="2h", **ASKED | {"as_of": day}
    )
    assert ripe.entered == 2


def test_nobody_in_range_is_an_answer():
    rows = log(("a", -50, "view"), ("a", -49, "pay"))
    result = funnel.measure(rows, steps=["view", "pay"], **ASKED)
    assert (reached(result), result.verdict) == ([0, 0], "funnel.measure.no_entry")
    assert result.times[0].n == 0
    assert result.to_html()


def test_before_anything_is_known_nothing_is_read():
    rows = log(("a", 1, "view"), ("a", 2, "pay"))
    asked = ASKED | {"as_of": FIRST - timedelta(days=3)}
    result = funnel.measure(rows, steps=["view", "pay"], **asked)
    assert reached(result) == [0, 0]


def test_filters_tell_events_of_one_name_apart():
    rows = log(
        ("a", 1, "view"), ("a", 2, "view"), ("a", 3, "view"),
        ("b", 1, "view"), ("b", 2, "view"),
        page=["home", "item", "cart", "home", None],
    )  # fmt: skip

    def page(name):
        return Step("view", where=[{"col": "page", "eq": name}])

    result = funnel.measure(
        rows, steps=[page("home"), page("item"), page("cart")], **ASKED
    )
    assert reached(result) == [2, 1, 1]
    many = [page(name) for name in ("home", "item", "x", "y", "z", "cart")]
    assert reached(funnel.measure(rows, steps=many, **ASKED)) == [2, 1, 0, 0, 0, 0]
    mixed = ["view", page("cart")]
    assert reached(funnel.measure(rows, steps=mixed, **ASKED)) == [2, 1]


def test_any_event_is_a_step():
    rows = log(("a", 1, "view"), ("a", 2, "whatever"), ("b", 1, "view"))
    assert reached(funnel.measure(rows, steps=["view", "*"], **ASKED)) == [2, 1]
    both = funnel.measure(rows, steps=["view", ["pay", "whatever"]], **ASKED)
    assert reached(both) == [2, 1]
    assert codes(both)["event_absent"]["event"] == "pay"


def test_hold_asks_for_one_value_and_takes_the_best():
    rows = log(
        ("a", 1, "view"), ("a", 2, "view"), ("a", 3, "pay"),
        ("b", 1, "view"), ("b", 2, "pay"),
        ("c", 1, "view"),
        product=["p1", "p2", "p2", "p1", "p2", None], shop=[1, 1, 1, 1, 1, 1],
    )  # fmt: skip
    result = funnel.measure(rows, steps=["view", "pay"], hold="product", **ASKED)
    assert (reached(result), result.hold_null_events) == ([2, 1], 1)
    two = funnel.measure(rows, steps=["view", "pay"], hold=["shop", "product"], **ASKED)
    assert (reached(two), two.hold_null_events) == ([2, 1], 1)
    assert reached(
        funnel.measure(rows, steps=["view", "pay"], hold="shop", **ASKED)
    ) == [3, 2]


def test_sessions_are_supplied_or_worked_out():
    rows = [
        ("a", 1, "view"),
        ("a", 1.2, "pay"),
        ("a", 5, "view"),
        ("b", 1, "view"),
        ("b", 2, "pay"),
    ]
    asked = ASKED | {"count": "sessions", "steps": ["view", "pay"]}
    assert reached(funnel.measure(log(*rows), **asked)) == [3, 1]
    named = log(*rows, session_id=["s1", "s1", "s2", "s3", "s3"])
    assert reached(funnel.measure(named, **asked)) == [3, 2]


def test_a_launch_from_another_scene_begins_a_session_but_not_from_the_wallet():
    def count(scene, event="view"):
        rows = log(
            ("a", 1.0, "app_launch"), ("a", 1.1, "view"), ("a", 1.15, event),
            ("a", 1.2, "app_show"), ("a", 1.3, "pay"),
            scene=[1007, None, None, scene, None],
        )  # fmt: skip
        result = funnel.measure(rows, steps=["view", "pay"], count="sessions", **ASKED)
        return reached(result)

    assert count(1007) == [1, 1]
    assert count(1011) == [1, 0]  # scanned a code: another session
    assert count(1038) == [1, 1]  # back from another mini program
    assert count(1034) == [1, 0]  # the wallet, without an order
    assert count(1034, "checkout") == [1, 1]


def test_a_session_over_midnight_is_one_unless_cut():
    rows = log(("a", 23.9, "view"), ("a", 24.1, "pay"))
    asked = ASKED | {"count": "sessions", "steps": ["view", "pay"]}
    assert reached(funnel.measure(rows, **asked)) == [1, 1]
    assert reached(funnel.measure(rows, cut_midnight=True, **asked)) == [1, 0]


def test_exclusions_end_an_attempt_or_put_the_user_out():
    rows = log(
        ("a", 1, "view"), ("a", 2, "refund"), ("a", 3, "pay"),
        ("b", 1, "view"), ("b", 2, "refund"), ("b", 3, "view"), ("b", 4, "pay"),
        ("c", 1, "view"), ("c", 2, "pay"), ("c", 3, "refund"),
        amount=[1, 1, 1, 1, 9, 1, 1, 1, 1, 1],
    )  # fmt: skip
    asked = ASKED | {"steps": ["view", "pay"]}
    attempt = funnel.measure(rows, exclude=[Exclusion("refund")], **asked)
    assert reached(attempt) == [3, 2]
    user = funnel.measure(
        rows, exclude=[Exclusion("refund")], exclusion="user", **asked
    )
    assert (reached(user), user.excluded_users) == ([1, 1], 2)
    large = Exclusion("refund", where=[{"col": "amount", "gt": 5}])
    user = funnel.measure(rows, exclude=[large], exclusion="user", **asked)
    assert (reached(user), user.excluded_users) == ([2, 2], 1)


def test_an_exclusion_that_never_occurs_is_told():
    rows = log(("a", 1, "view"), ("a", 2, "pay"), ("a", 3, "refund"))
    result = funnel.measure(
        rows, steps=["view", "pay"], exclude=[Exclusion("refnud")], **ASKED
    )
    assert codes(result)["event_absent"]["hint"] == "Did you mean 'refund'?"


def test_optional_steps_are_counted_beside_the_funnel():
    rows = log(
        ("a", 1, "view"), ("a", 2, "coupon"), ("a", 3, "pay"),
        ("b", 1, "view"), ("b", 2, "pay"), ("b", 3, "coupon"),
        ("c", 1, "view"), ("c", 2, "coupon"),
    )  # fmt: skip
    steps = ["view", Step("coupon", optional=True), "pay"]
    result = funnel.measure(rows, steps=steps, **ASKED)
    assert reached(result) == [3, 3, 2]
    assert result.steps[2].rate_from_previous == pytest.approx(2 / 3)
    assert [(t.from_step, t.step, t.n) for t in result.times] == [
        (1, 2, 3), (1, 3, 2), (1, 3, 2)
    ]  # fmt: skip
    # b's coupon came after the payment, which a strict order does not skip
    strict = funnel.measure(rows, steps=steps, order="strict", **ASKED)
    assert reached(strict) == [3, 2, 2]


def test_breakdowns_take_the_value_of_a_step_or_of_a_touch():
    rows = log(
        ("a", 0.5, "open"), ("a", 1, "view"), ("a", 2, "pay"), ("a", 3, "open"),
        ("b", 1, "view"), ("b", 2, "open"), ("b", 3, "pay"),
        ("c", 1, "view"),
        scene=["ad", None, "card", "late", "ad", "chat", None, None],
    )  # fmt: skip
    asked = ASKED | {"steps": ["view", "pay"], "by": "scene"}

    def cells(how):
        result = funnel.measure(rows, attribution=how, **asked)
        assert sum(s.reached for s in result.steps if s.step == 1) == 3
        return {(s.by[0][1], s.step): s.reached for s in result.steps}

    assert cells("step_1") == {("ad", 1): 1, ("ad", 2): 1, (None, 1): 2, (None, 2): 1}
    assert cells("step_2") == {
        ("card", 1): 1, ("card", 2): 1, (None, 1): 1, (None, 2): 1,
        ("not reached", 1): 1, ("not reached", 2): 0,
    }  # fmt: skip
    assert cells("first") == {("ad", 1): 2, ("ad", 2): 2, (None, 1): 1, (None, 2): 0}
    assert cells("last") == {
        ("card", 1): 1, ("card", 2): 1, ("chat", 1): 1, ("chat", 2): 1,
        (None, 1): 1, (None, 2): 0,
    }  # fmt: skip


def test_many_groups_add_up_to_the_whole():
    rng = np.random.default_rng(3)
    n = 3000
    rows = pa.table(
        {
            "user_id": [f"u{i}" for i in rng.integers(0, 400, n)],
            "ts": [at(float(h)) for h in rng.random(n) * 240],
            "event": rng.choice(["view", "cart", "pay"], n),
            "shop": [None if x == 0 else int(x) for x in rng.integers(0, 90, n)],
            "os": rng.choice(["ios", "android"], n),
        }
    )
    asked = ASKED | {"steps": ["view", "cart", "pay"]}
    whole = funnel.measure(rows, **asked)
    for by in (["os"], ["shop"], ["os", "shop"]):
        cut = funnel.measure(rows, by=by, **asked)
        assert cut.totals == whole.totals
        assert len(cut.groups) > len(by)
        for i, total in enumerate(whole.totals):
            assert sum(s.reached for s in cut.steps if s.step == i + 1) == total.reached
        spans = [t for t in cut.times if t.by and (t.from_step, t.step) == (1, 2)]
        assert sum(t.n for t in spans) == whole.times[0].n


def test_totals_count_chains_one_after_another():
    rows = log(
        *[("a", h, e) for h, e in enumerate(["view", "pay", "view", "view", "pay"])]
    )
    result = funnel.measure(rows, steps=["view", "pay"], count="totals", **ASKED)
    assert reached(result) == [3, 2]
    assert "chains_not_users" in codes(result)


OPTIONS = [
    {},
    {"entry": "first"},
    {"order": "strict"},
    {"order": "strict", "reentry": "ignore"},
    {"order": "any"},
    {"repeats": "break"},
    {"ties": "strict"},
]


@pytest.mark.parametrize(
    "rules", OPTIONS, ids=lambda r: "-".join(map(str, r.values())) or "plain"
)
def test_a_random_log_gives_the_reference_levels(rules):
    rng = np.random.default_rng(len(str(rules)))
    n, names = 1500, ["view", "cart", "pay", "other"]
    hours = np.round(rng.random(n) * 40, 1)  # ties, and midnights between
    people = rng.integers(0, 120, n)
    events = rng.choice(names, n, p=[0.4, 0.25, 0.25, 0.1])
    rows = log(
        *(
            (f"u{p}", h, e)
            for p, h, e in zip(people, hours.tolist(), events, strict=True)
        )
    )
    result = funnel.measure(rows, steps=names[:3], window="5h", **ASKED, **rules)
    asked = reference.Rules(
        steps=3, window=5 * HOUR_US, last=10**15, equal=(0, 1, 2), **rules
    )
    expected, gaps = [0, 0, 0], []
    for person in range(120):
        mine = people == person
        log_of = [
            reference.Event(
                (at(float(h)) - FIRST) // timedelta(microseconds=1),
                (names.index(e),) if e != "other" else (),
            )
            for h, e in zip(hours[mine], events[mine], strict=True)
        ]
        if asked.order != "strict":
            log_of = [event for event in log_of if event.steps]
        found = reference.measure(log_of, asked)
        for k in range(found.level):
            expected[k] += 1
        if found.level == 3:
            gaps.append(found.times[2] - found.times[0])
    assert reached(result) == expected
    assert expected[2] > 0
    assert result.whole_way.n == len(gaps)
    assert result.whole_way.mean_s == pytest.approx(np.mean(gaps) / 1e6)


@pytest.mark.parametrize(
    ("rules", "part", "best"),
    [
        ({"hold": "part"}, "part", True),
        ({"count": "sessions"}, "session_id", False),
        ({"count": "sessions", "order": "strict"}, "session_id", False),
        (
            {"hold": "part", "entry": "first", "exclude": [Exclusion("tap")]},
            "part",
            True,
        ),
    ],
    ids=["hold", "sessions", "strict-sessions", "hold-excluded"],
)
def test_parts_of_a_users_log_are_the_references_one_by_one(rules, part, best):
    rng = np.random.default_rng(77)
    names, n, people = ["view", "cart", "pay", "tap"], 4000, 150
    hours = np.round(rng.random(n) * 60, 1)
    who, parts = rng.integers(0, people, n), rng.integers(0, 3, n)
    what = rng.choice(4, n, p=[0.35, 0.25, 0.25, 0.15])
    rows = pa.table(
        {
            "user_id": [f"u{p}" for p in who],
            "ts": [at(float(h)) for h in hours],
            "event": [names[w] for w in what],
            part: [
                None if x == 2 else f"{p}.{x}" for p, x in zip(who, parts, strict=True)
            ],
        }
    )
    order = rules.get("order", "ordered")
    asked = reference.Rules(
        steps=3, window=9 * HOUR_US, last=10**15, order=order,
        entry=rules.get("entry", "any"), exclusions=((1, 2),) * ("exclude" in rules),
    )  # fmt: skip
    levels = []
    for person in range(people):
        found = [0]
        for x in range(2):
            mine = (who == person) & (parts == x)
            log_of = [
                reference.Event(
                    (at(float(h)) - FIRST) // timedelta(microseconds=1),
                    (int(w),) if w < 3 else (),
                    (0,) if w == 3 and "exclude" in rules else (),
                )
                for h, w in zip(hours[mine], what[mine], strict=True)
            ]
            if order != "strict":
                log_of = [e for e in log_of if e.steps or e.exclusions]
            found.append(reference.measure(log_of, asked).level)
        levels += [max(found)] if best else found
    result = funnel.measure(rows, steps=names[:3], window="9h", **ASKED, **rules)
    assert reached(result) == [sum(x > k for x in levels) for k in range(3)]
    assert reached(result)[2] > 5
    if best:
        assert result.hold_null_events == int(((parts == 2) & (what < 3)).sum())


def test_rows_in_any_order_and_batches_give_the_same():
    rng = np.random.default_rng(8)
    n = 2000
    table = pa.table(
        {
            "user_id": [f"u{i}" for i in rng.integers(0, 90, n)],
            "ts": [at(float(h)) for h in np.round(rng.random(n) * 100, 1)],
            "event": rng.choice(["view", "cart", "pay"], n),
            "shop": rng.integers(0, 4, n),
        }
    )
    asked = ASKED | {"steps": ["view", "cart", "pay"], "by": "shop"}
    whole = funnel.measure(table, **asked)
    shuffled = funnel.measure(table.take(rng.permutation(n)), **asked)
    assert shuffled.to_dict() == whole.to_dict()
    memory = ibis.duckdb.connect()
    bound = memory.create_table("log", table)
    assert funnel.measure(bound, **asked).to_dict() == whole.to_dict()
    frame = funnel.measure(table.to_pandas(), **asked)
    assert frame.to_dict() == whole.to_dict()


def test_wider_windows_and_looser_orders_never_count_fewer():
    rng = np.random.default_rng(21)
    n = 3000
    table = pa.table(
        {
            "user_id": [f"u{i}" for i in rng.integers(0, 200, n)],
            "ts": [at(float(h)) for h in rng.random(n) * 100],
            "event": rng.choice(["view", "cart", "pay", "tap"], n),
        }
    )

    def counted(**rules):
        return np.array(
            reached(
                funnel.measure(table, steps=["view", "cart", "pay"], **ASKED, **rules)
            )
        )

    by_window = [counted(window=w) for w in ("1h", "6h", "2d", "7d")]
    assert all((a <= b).all() for a, b in pairwise(by_window))
    strict, plain = counted(order="strict"), counted()
    assert (strict <= plain).all()
    assert (strict < plain).any()
    assert (plain <= counted(order="any")).all()
    assert (counted(entry="first") <= plain).all()


def test_ten_steps_over_four_hundred_days():
    names = [f"step{i}" for i in range(10)]
    rows = log(
        *(("a", 24 * 40 * i, name) for i, name in enumerate(names)),
        *(("b", 24 * i, name) for i, name in enumerate(names[:7])),
    )
    result = funnel.measure(
        rows, steps=names, start=START, end=date(2027, 4, 5), as_of=date(2029, 1, 1),
        window="400d",
    )  # fmt: skip
    assert reached(result) == [2] * 7 + [1] * 3
    assert result.whole_way.p50_s == 24 * 360 * 3600
    assert result.whole_way.histogram[0].n == 1


def test_one_user_with_a_million_events_takes_no_longer_than_many():
    n = 1_000_000
    rng = np.random.default_rng(1)
    table = pa.table(
        {
            "user_idx": np.zeros(n, np.int32),
            "ts": pa.array(
                np.sort(rng.integers(0, 240 * HOUR_US, n))
                + int(FIRST.timestamp()) * 10**6
            ).cast(pa.timestamp("us", "UTC")),
            "event": pa.array(np.array(["view", "cart", "pay"])[rng.integers(0, 3, n)]),
        }
    )
    steps = ["view", Step("cart", min_gap="6h"), "pay"]
    last = Exclusion("view", after=2, before=3)
    result = funnel.measure(
        table, steps=steps, user_col="user_idx", exclude=[last], **ASKED
    )
    assert reached(result) == [1, 1, 1]


def test_rows_without_a_user_or_a_time_are_left_out_and_told():
    good = [(f"u{i}", 1, "view") for i in range(500)]
    rows = log(*good, (None, 1, "view"), ("x", None, "view"))
    result = funnel.measure(rows, steps=["view", "pay"], **ASKED)
    assert reached(result) == [500, 0]
    told = [dict(n.args) for n in result.notices if n.code == "rows_left_out"]
    assert told == [{"column": "user_id", "rows": 1}, {"column": "ts", "rows": 1}]
    assert codes(result)["event_absent"]["event"] == "pay"
    for bad, column in (
        (log(*good[:50], (None, 1, "view")), "user_id"),
        (log(*good[:50], ("x", None, "view")), "ts"),
    ):
        with pytest.raises(DataError, match=f"column '{column}' is NULL in 1") as error:
            funnel.measure(bad, steps=["view", "pay"], **ASKED)
        assert error.value.code == "null_key"


def test_a_first_step_that_never_occurs_is_an_error_with_a_suggestion():
    rows = log(("a", 1, "page_view"), ("a", 2, "pay"))
    with pytest.raises(
        DataError, match=r"no such event.*Did you mean 'page_view'\?"
    ) as error:
        funnel.measure(rows, steps=["pageview", "pay"], **ASKED)
    assert error.value.code == "event_absent"
    empty = rows.slice(0, 0)
    with pytest.raises(DataError, match="no such event is in the data"):
        funnel.measure(empty, steps=["page_view", "pay"], **ASKED)


def test_columns_that_are_missing_or_of_another_kind_are_told():
    rows = log(("a", 1, "view"))
    asked = ASKED | {"steps": ["view", "pay"]}
    with pytest.raises(ColumnNotFoundError, match="'platform' not found"):
        funnel.measure(rows, by="platform", **asked)
    with pytest.raises(ColumnNotFoundError, match="'product_id' not found"):
        funnel.measure(rows, hold="product_id", **asked)
    with pytest.raises(ColumnNotFoundError, match="'name' not found"):
        funnel.measure(rows, event_col="name", **asked)
    step = Step("view", where=[{"col": "price", "gt": 1}])
    with pytest.raises(ColumnNotFoundError, match="'price' not found"):
        funnel.measure(rows, **ASKED, steps=[step, "pay"])
    text = rows.set_column(1, "ts", pa.array(["2026-03-01"]))
    with pytest.raises(DataError, match="must be a timestamp"):
        funnel.measure(text, **asked)


def test_as_of_must_be_given_and_have_a_zone():
    rows = log(("a", 1, "view"))
    for wrong in (None, datetime(2026, 3, 1)):
        with pytest.raises(ParameterError, match="as_of is") as error:
            funnel.measure(rows, steps=["view", "pay"], **ASKED | {"as_of": wrong})
        assert error.value.code == "range"


def test_naive_times_are_utc_and_dates_are_midnights():
    rows = log(("a", 1, "view"), ("a", 2, "pay"))
    naive = rows.set_column(1, "ts", rows["ts"].cast(pa.timestamp("us")))
    assert reached(funnel.measure(naive, steps=["view", "pay"], **ASKED)) == [1, 1]
    days = rows.set_column(1, "ts", pa.array([date(2026, 3, 2), date(2026, 3, 3)]))
    result = funnel.measure(days, steps=["view", "pay"], **ASKED)
    assert (reached(result), result.whole_way.mean_s) == ([1, 1], 86_400)


def test_microseconds_count():
    t = FIRST + timedelta(hours=1)
    rows = pa.table(
        {
            "user_id": ["a", "a", "b", "b"],
            "ts": [t, t + timedelta(days=7), t, t + timedelta(days=7, microseconds=1)],
            "event": ["view", "pay"] * 2,
        }
    )
    assert reached(funnel.measure(rows, steps=["view", "pay"], **ASKED)) == [2, 1]


def test_a_trend_counts_each_user_once_a_day_of_entry():
    rows = log(
        ("a", 1, "view"), ("a", 2, "view"), ("a", 30, "view"), ("a", 31, "pay"),
        ("b", 23.5, "view"), ("b", 24.5, "pay"),
        shop=["x", "x", "y", "y", "x", "x"],
    )  # fmt: skip
    asked = ASKED | {"steps": ["view", "pay"], "window": "2h"}
    found = funnel.trend(rows, **asked)
    by_day = {(d.ds, d.step): d.reached_so_far for d in found.days if d.entered}
    one, two = date(2026, 3, 1), date(2026, 3, 2)
    assert by_day == {(one, 1): 2, (one, 2): 1, (two, 1): 1, (two, 2): 1}
    assert len(found.days) == 10 * 2
    assert all(day.complete for day in found.days)
    assert "days_do_not_sum" in codes(found)
    first = funnel.trend(rows, entry="first", **asked)
    assert sum(d.entered for d in first.days if d.step == 1) == 2
    cut = funnel.trend(rows, by="shop", **asked)
    assert {(dict(d.by)["shop"], d.ds) for d in cut.days if d.entered} == {
        ("x", one), ("y", two)
    }  # fmt: skip
    sessions = funnel.trend(rows, count="sessions", **asked)
    assert sum(d.entered for d in sessions.days if d.step == 1) == 4


def test_days_of_a_trend_are_complete_once_their_window_is_over():
    rows = log(("a", 1, "view"), ("a", 2, "pay"), ("b", 30, "view"))
    asked = ASKED | {"as_of": at(24 * 8), "steps": ["view", "pay"]}
    found = funnel.trend(rows, **asked)
    (one,) = [d for d in found.days if (d.step, d.ds) == (2, START)]
    (two,) = [d for d in found.days if (d.step, d.ds) == (2, START + timedelta(days=1))]
    assert (one.complete, one.rate_from_start) == (True, 1.0)
    assert (two.complete, two.rate_from_start, two.entered) == (False, None, 1)
    later = funnel.trend(rows, lag="1h", **asked)
    assert later.verdict == "funnel.trend.too_young"


def test_a_range_within_days_has_part_days():
    rows = log(("a", 20, "view"), ("a", 30, "view"))
    asked = {"start": at(12), "end": at(36), "as_of": LATE, "steps": ["view", "pay"]}
    found = funnel.trend(rows, **asked)
    assert [d.ds for d in found.days if d.step == 1] == [
        START,
        START + timedelta(days=1),
    ]


def test_paths_follow_those_who_stopped():
    rows = log(
        ("a", 1, "view"), ("a", 2, "search"), ("a", 3, "share"),
        ("b", 1, "view"), ("b", 1, "tap"), ("b", 2, "search"),
        ("c", 1, "view"), ("c", 2, "pay"), ("c", 3, "share"),
        ("d", 1, "view"), ("d", 400, "search"),
    )  # fmt: skip
    found = funnel.paths(rows, steps=["view", "pay"], after=1, depth=2, **ASKED)
    assert (found.stopped_users, found.verdict) == (3, "funnel.paths.followed")
    links = [(x.place, x.source, x.target, x.users) for x in found.links]
    assert links == [
        (1, "view", "search", 2), (1, "view", "nothing", 1),
        (2, "search", "nothing", 1), (2, "search", "share", 1),
    ]  # fmt: skip
    assert found.links[0].share == pytest.approx(2 / 3)
    few = funnel.paths(rows, steps=["view", "pay"], depth=1, top=1, **ASKED)
    assert {x.target for x in few.links} == {"search", "nothing"}
    none = funnel.paths(rows, steps=["share", "pay"], depth=1, **ASKED)
    assert none.verdict == "funnel.paths.nothing"


@pytest.mark.parametrize("kind", [float, np.int64])
def test_depth_and_top_may_be_any_whole_number(kind):
    rows = log(("a", 1, "view"), ("a", 2, "search"), ("b", 1, "view"), ("b", 3, "tap"))
    asked = {"steps": ["view", "pay"], **ASKED}
    found = funnel.paths(rows, depth=kind(2), top=kind(1), **asked)
    assert found == funnel.paths(rows, depth=2, top=1, **asked)
    assert type(found.depth) is int


def test_the_rarer_events_of_a_path_are_other():
    rows = log(
        *((f"u{i}", 1, "view") for i in range(6)),
        *((f"u{i}", 2, f"event{i // 2}") for i in range(6)),
    )
    found = funnel.paths(rows, steps=["view", "pay"], depth=1, top=2, **ASKED)
    assert [(x.target, x.users) for x in found.links] == [
        ("event0", 2), ("event1", 2), ("other", 2)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "code", "words"),
    [
        ({"after": 2}, "steps", "after is 2"),
        ({"depth": 0}, "depth", "depth is 0"),
        ({"top": 1000}, "depth", "top is 1000"),
        ({"count": "totals"}, "unknown_count", "count is 'totals'"),
    ],
)
def test_paths_that_cannot_be_are_refused(wrong, code, words):
    rows = log(("a", 1, "view"))
    with pytest.raises(ParameterError, match=words) as error:
        funnel.paths(rows, steps=["view", "pay"], **ASKED, **wrong)
    assert error.value.code == code


def test_identifiers_are_quoted():
    name = 'a"; DROP TABLE x; --'
    rows = log(("a", 1, name), ("a", 2, "pay")).append_column(name, [["x", "y"]])
    result = funnel.measure(rows, steps=[name, "pay"], by=name, hold=None, **ASKED)
    assert (reached(result), result.groups) == ([1, 1], (((name, "x"),),))


def test_results_survive_json_and_say_what_was_asked():
    import json

    rows = log(("a", 1, "view"), ("a", 2, "pay"), shop=["x", "y"])
    result = funnel.measure(
        rows, steps=["view", Step("pay", max_gap="2h")], by="shop",
        exclude=[Exclusion("x")], **ASKED,
    )  # fmt: skip
    trend = funnel.trend(rows, steps=["view", "pay"], **ASKED)
    paths = funnel.paths(rows, steps=["view", "pay"], **ASKED)
    for item in (result, trend, paths):
        found = json.loads(json.dumps(item.to_dict(), allow_nan=False))
        assert found["spec"]["start"] == "2026-02-28T16:00:00+00:00"
        assert item.to_html("zh")
    assert result.to_dict()["spec"]["steps"][1]["max_gap"] == "2h"
    assert result.rows()[0]["shop"] == "x"
    assert result.estimates()[0].key == "step_2.rate_from_start"
    assert [s.reached for s in result.of(shop="x")] == [1, 1]
    with pytest.raises(ParameterError, match="the group is"):
        result.of(shop="z")


@pytest.mark.parametrize("tz", ["Asia/Shanghai", "America/New_York"])
def test_a_date_is_the_local_day_of_the_range(tz):
    days = [date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 10)]
    rows = pa.table(
        {"user_id": list("abcd"), "ts": days, "event": ["view"] * 4},
    )
    rows = pa.concat_tables(
        [
            rows,
            pa.table(
                {
                    "user_id": list("bd"),
                    "ts": [date(2026, 3, 2), date(2026, 3, 11)],
                    "event": ["pay"] * 2,
                }
            ),
        ]
    )
    asked = {"steps": ["view", "pay"], "start": START, "tz": tz}
    asked |= {"end": date(2026, 3, 10), "as_of": LATE}
    assert reached(funnel.measure(rows, **asked)) == [2, 1]
    days = funnel.trend(rows, **asked).days
    entered = {x.ds: x.entered for x in days if x.step == 1 and x.entered}
    assert entered == {date(2026, 3, 1): 1, date(2026, 3, 2): 1}
    known = asked | {"as_of": date(2026, 3, 1), "immature": "keep"}
    assert reached(funnel.measure(rows, **known)) == [1, 0]


def test_paths_without_a_window_reach_as_far_as_a_chain_can():
    rows = log(("a", 1, "view"), ("a", 2, "search"), ("a", 200, "share"))
    steps = ["view", Step("pay", max_gap="3h")]
    for end in (date(2026, 3, 2), date(2026, 3, 20)):
        asked = ASKED | {"end": end}
        found = funnel.paths(rows, steps=steps, window=None, **asked)
        links = [(x.place, x.target) for x in found.links]
        assert links == [(1, "search"), (2, "nothing")]


def test_an_event_without_a_name_is_passed_over_on_a_path():
    rows = log(("a", 1, "view"), ("a", 2, None), ("a", 3, "search"))
    found = funnel.paths(rows, steps=["view", "pay"], **ASKED)
    links = [(x.place, x.target) for x in found.links]
    assert links == [(1, "search"), (2, "nothing")]


def test_a_breakdown_that_is_no_column_is_told_of_paths():
    with pytest.raises(ColumnNotFoundError, match="nonexistent"):
        funnel.paths(log(("a", 1, "view")), steps=["view", "b"], by="nonexistent",
                     **ASKED)  # fmt: skip


@pytest.mark.parametrize("wrong", ["g", ["g"], [{"event": "g"}], 5])
def test_what_is_no_exclusion_is_refused(wrong):
    rows = log(("a", 1, "view"))
    with pytest.raises(ParameterError, match="it must hold Exclusions") as error:
        funnel.measure(rows, steps=["view", "pay"], exclude=wrong, **ASKED)
    assert error.value.code == "exclude"


@pytest.mark.parametrize("ask", [funnel.trend, funnel.paths])
def test_immature_is_no_rule_of_a_trend_or_of_paths(ask):
    rows = log(("a", 1, "view"))
    with pytest.raises(ParameterError, match="immature is 'keep'; it must") as error:
        ask(rows, steps=["view", "pay"], immature="keep", **ASKED)
    assert error.value.code == "unknown_immature"


def test_events_are_named_by_text():
    rows = log(("a", 1, 5), ("a", 2, 6))
    with pytest.raises(DataError, match="'event' is of type int64; event") as error:
        funnel.measure(rows, steps=["view", "pay"], **ASKED)
    assert error.value.code == "column_type"
