"""Recorded orders through the rules, against the Python ledger and a ledger in use."""

import json
import random
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from growth.errors import DataError, ParameterError
from growth.tiers import Ledger, fit, load_programme, replay, simulate
from tests.tiers import made

AS_OF = date(2024, 12, 31)
PLAIN = load_programme(
    {"tiers": made.TIERS, "points": {"redeem": {"block": 100}, "pending_days": 3}}
)


def orders(rows):
    """Return a table of (user, day, fen) or (user, day, fen, order)."""
    return pd.DataFrame(
        {
            "user_id": [row[0] for row in rows],
            "pay_ts": [pd.Timestamp(row[1], tz="Asia/Shanghai") for row in rows],
            "paid_fen": [row[2] for row in rows],
            "order_id": [
                row[3] if len(row) > 3 else str(i) for i, row in enumerate(rows)
            ],
        }
    )


def refunds(rows):
    return pd.DataFrame(
        {
            "order_id": [row[0] for row in rows],
            "refund_id": [row[1] for row in rows],
            "ts": [pd.Timestamp(row[2], tz="Asia/Shanghai") for row in rows],
            "amount_fen": [row[3] for row in rows],
        }
    )


def state(found, user):
    return next(row for row in found.member_rows() if row["user_id"] == user)


TWO = [("b", "2024-03-05 10:00", 60_000), ("a", "2024-03-06 23:59", 12_345),
       ("b", "2024-03-20 00:01", 150_000)]  # fmt: skip


def test_members_hold_what_the_rules_give():
    found = replay(orders(TWO), PLAIN, as_of=AS_OF)
    assert found.ids == ("a", "b")
    assert state(found, "a")["tier"] == "普通"
    assert state(found, "a")["active"] == 123
    # 600 at the lowest tier, 1500 * 1.15 after it
    assert state(found, "b")["issued"] == 600 + 1725
    assert state(found, "b")["tier"] == "金卡"
    assert found.verdict == "tiers.replay.done"
    assert [row["members"] for row in found.rows()] == [1, 0, 1]
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize("seed", range(6))
def test_random_logs_give_what_the_ledger_of_services_gives(seed):
    """`apply`, one event after another, and the kernel are the same rules."""
    rng = random.Random(seed)
    programme = load_programme(made.declaration(rng))
    bought, back, acts, ledgers = [], [], [], {}
    for member in range(12):
        user = f"u{member:02d}"
        day = date(2023, 11, 5)
        ledger = Ledger(programme, joined=day)
        open_orders = []
        for n in range(25):
            day += timedelta(days=rng.choice([1, 2, 9, 30]))
            if day > AS_OF:
                break
            kind = rng.choice(["purchase", "purchase", "refund", "login", "review"])
            if kind == "purchase" or n == 0:
                fen = rng.choice([0, 999, 33_333, 120_000])
                order = f"{user}-{n}"
                bought.append((user, str(day), fen, order))
                event = {"kind": "purchase", "order_id": order, "paid_fen": fen}
                open_orders.append([order, fen])
            elif kind == "refund":
                one = rng.choice(open_orders)
                part = one[1] // 2
                if not part:
                    continue
                one[1] -= part
                back.append((one[0], f"r{n}", str(day), part))
                event = {"kind": "refund", "order_id": one[0], "refund_id": f"r{n}",
                         "amount_fen": part}  # fmt: skip
            else:
                acts.append((user, str(day), kind))
                event = {"kind": kind}
            if n == 0:
                ledger = Ledger(programme, joined=day)  # members join as they come
            ledger.append(event | {"ts": str(day)})
        ledger.append({"ts": str(AS_OF), "kind": "close"})
        ledgers[user] = ledger.state.counters()
    done = pd.DataFrame(
        {
            "user_id": [a[0] for a in acts],
            "ts": [pd.Timestamp(a[1], tz="Asia/Shanghai") for a in acts],
            "event": [a[2] for a in acts],
        }
    )
    found = replay(
        orders(bought), programme, as_of=AS_OF, refunds=refunds(back), interactions=done
    )
    names = programme.names
    for row in found.member_rows():
        expected = ledgers[row["user_id"]]
        seen = {k: row[k] for k in expected if k not in {"tier", "duplicates_ignored"}}
        assert seen == {k: expected[k] for k in seen}, row["user_id"]
        assert row["tier"] == names[expected["tier"]]
    assert sum(row["issued"] for row in found.rows()) > 0


def test_row_order_does_not_matter():
    table = orders(TWO)
    found = replay(table.iloc[::-1], PLAIN, as_of=AS_OF)
    assert found.rows() == replay(table, PLAIN, as_of=AS_OF).rows()


def test_a_refund_told_twice_claws_back_once():
    once = refunds([("1", "r", "2024-04-01", 12_345)])
    found = replay(orders(TWO), PLAIN, as_of=AS_OF, refunds=pd.concat([once, once]))
    assert found.duplicates_ignored == 1
    assert state(found, "a")["clawed"] == 123
    assert state(found, "a")["active"] == 0


def test_orders_own_refunds_have_no_dates_and_this_is_said():
    table = orders(TWO).assign(refund_fen=[0, 2_345, None])
    found = replay(table, PLAIN, as_of=AS_OF)
    assert "refunds_undated" in {notice.code for notice in found.notices}
    assert state(found, "a")["active"] == 100


def test_a_ledger_in_use_is_compared_member_by_member():
    used = pd.DataFrame(
        {
            "user_id": ["a", "b", "b", "b"],
            "ts": [pd.Timestamp(d, tz="Asia/Shanghai") for d in
                   ("2024-03-06", "2024-03-05", "2024-03-20", "2024-04-01")],
            "kind": ["earn", "earn", "earn", "redeem"],
            "points": [123, 600, 1725, -500],
        }
    )  # fmt: skip
    found = replay(orders(TWO), PLAIN, as_of=AS_OF, ledger=used)
    assert found.verdict == "tiers.replay.agrees"
    assert state(found, "b")["redeemed"] == 500
    used.loc[0, "points"] = 999
    found = replay(orders(TWO), PLAIN, as_of=AS_OF, ledger=used)
    assert found.verdict == "tiers.replay.differs"
    assert found.disagreements == (("a", 999, 123),)
    told = found.to_dict()
    assert told["disagreement_count"] == 1
    assert (told["ledger_above"], told["ledger_below"]) == (999 - 123, 0)


def test_what_comes_after_as_of_is_not_counted():
    found = replay(orders(TWO), PLAIN, as_of=date(2024, 3, 6))
    assert found.orders == 2
    assert state(found, "b")["pending"] == 600


BAD = [
    ([("x", "r", "2024-04-01", 5)], "refund_without_order", "refunds are of unknown"),
    ([("1", "r", "2024-04-01", 12_346)], "refund_exceeds_order", "pass what was paid"),
    ([("1", "r", "2024-04-01", 5), ("1", "r", "2024-04-02", 6)],
     "conflicting_refund", "share an id and differ"),
    ([("1", "r", "2024-04-01", 0)], "amount_negative", "refunds are of 0 fen or less"),
    ([("1", "r", "2024-03-01", 5)], "event_out_of_order", "before their order"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "code", "message"), BAD)
def test_impossible_refunds_raise_or_are_counted(rows, code, message):
    given = {"as_of": AS_OF, "refunds": refunds(rows)}
    with pytest.raises(DataError, match=message) as info:
        replay(orders(TWO), PLAIN, **given)
    assert info.value.code == code
    found = replay(orders(TWO), PLAIN, on_bad="report", **given)
    assert found.bad_rows == 1
    assert ("code", code) in {arg for n in found.notices for arg in n.args}


def test_impossible_orders_and_redemptions_raise():
    with pytest.raises(DataError, match="order ids come twice") as info:
        replay(orders([*TWO, ("c", "2024-01-01", 5, "1")]), PLAIN, as_of=AS_OF)
    assert info.value.code == "duplicate_order"
    with pytest.raises(
        DataError, match=r"orders are below 0 fen .* entered as refunds"
    ) as info:
        replay(orders([("a", "2024-01-01", -1)]), PLAIN, as_of=AS_OF)
    assert info.value.code == "amount_negative"
    with pytest.raises(DataError, match=r"paid_fen holds 0\.5; .* map yuan") as info:
        replay(orders([("a", "2024-01-01", 0.5)]), PLAIN, as_of=AS_OF)
    assert info.value.code == "amount_not_integer"
    for points, code, message in ((50, "redeem_not_in_blocks", "whole blocks"),
                                  (9000, "insufficient_points", "passes")):  # fmt: skip
        used = pd.DataFrame({"user_id": ["a"], "kind": ["redeem"], "points": [-points],
                             "ts": [pd.Timestamp("2024-04-01", tz="UTC")]})  # fmt: skip
        with pytest.raises(DataError, match=message) as info:
            replay(orders(TWO), PLAIN, as_of=AS_OF, ledger=used)
        assert info.value.code == code
    with pytest.raises(ParameterError, match="as_of is '2024'") as info:
        replay(orders(TWO), PLAIN, as_of="2024")
    assert info.value.code == "bad_as_of"
    with pytest.raises(ParameterError, match="'raise' or 'report'") as info:
        replay(orders(TWO), PLAIN, as_of=AS_OF, on_bad="ignore")
    assert info.value.code == "bad_on_bad"


def test_points_older_than_their_refund_are_not_owed():
    rows = [("a", "2022-03-06", 12_300, "old"), ("a", "2024-03-06", 50_000, "new")]
    back = refunds([("old", "r", "2024-04-01", 12_300)])
    found = state(replay(orders(rows), PLAIN, as_of=AS_OF, refunds=back), "a")
    assert (found["expired"], found["clawed"], found["debt"]) == (123, 0, 0)
    assert found["active"] == 500


def test_a_year_of_orders_is_read_in_no_time():
    rng = np.random.default_rng(1)
    n = 20_000
    table = pd.DataFrame(
        {
            "user_id": rng.integers(0, 3000, n).astype(str),
            "pay_ts": pd.Timestamp("2024-01-01", tz="UTC")
            + pd.to_timedelta(rng.integers(0, 360 * 86_400, n), unit="s"),
            "paid_fen": rng.integers(0, 90_000, n),
            "order_id": np.arange(n).astype(str),
        }
    )
    found = replay(table, PLAIN, as_of=AS_OF)
    assert found.orders == n
    total = found.rows()
    held = sum(r["active"] + r["pending"] - r["debt"] for r in total)
    assert sum(r["issued"] - r["expired"] for r in total) == held


def test_members_of_the_ledger_in_use_who_never_ordered_are_compared_too():
    used = pd.DataFrame(
        {
            "user_id": ["ghost", "a", "b"],
            "ts": pd.Timestamp("2024-03-21", tz="Asia/Shanghai"),
            "kind": "earn",
            "points": [7, 123, 2325],
        }
    )
    found = replay(orders(TWO), PLAIN, as_of=AS_OF, ledger=used)
    assert found.disagreements == (("ghost", 7, 0),)


def test_a_member_older_than_the_log_may_stand_higher_and_this_is_said():
    codes = {n.code for n in replay(orders(TWO), PLAIN, as_of=AS_OF).notices}
    assert "log_shorter_than_window" in codes
    rows = [("a", "2023-12-31 10:00", 100), *TWO]
    codes = {n.code for n in replay(orders(rows), PLAIN, as_of=AS_OF).notices}
    assert "log_shorter_than_window" not in codes


def test_returns_booked_as_orders_are_counted_and_left_out():
    rows = [("a", "2024-03-01", 12_300, "o1"), ("a", "2024-03-02", -700, "back")]
    with pytest.raises(DataError, match=r"\(1 of them, the first back\)") as info:
        replay(orders(rows), PLAIN, as_of=AS_OF)
    assert info.value.code == "amount_negative"
    found = replay(orders(rows), PLAIN, as_of=AS_OF, on_bad="report")
    assert found.bad_rows == 1
    told = next(n for n in found.notices if n.code == "bad_event")
    assert dict(told.args) == {"code": "amount_negative", "rows": 1}
    assert state(found, "a")["active"] == 123


@pytest.mark.parametrize(
    ("rows", "code", "message"),
    [
        ([("z", "r", "2024-04-01", 5)], "refund_without_order",
         r"first z/r\); each must follow its order; correct the table"),
        ([("old", "r", "2024-04-01", 5), ("old", "r", "2024-04-01", 6)],
         "conflicting_refund", r"first old/r\); a repeat must be equal"),
        ([("old", "r", "2024-04-01", 0)], "amount_negative",
         r"first old/r\); a refund must be above 0"),
        ([("old", "r", "2024-01-01", 5)], "event_out_of_order",
         r"first old/r\); each must follow it"),
        ([("old", "r", "2024-04-01", 12_301)], "refund_exceeds_order",
         "first 12301 on 2024-04-01, of 'a'"),
    ],
)  # fmt: skip
def test_an_impossible_refund_is_named(rows, code, message):
    table = orders([("a", "2024-03-06", 12_300, "old")])
    with pytest.raises(DataError, match=message) as info:
        replay(table, PLAIN, as_of=AS_OF, refunds=refunds(rows))
    assert info.value.code == code


SHUFFLES = 30


def test_the_order_of_rows_leaves_no_trace():
    """Orders of one instant, refunds told twice and ids used twice: time decides."""
    rng = random.Random(3)
    days = [f"2024-{m:02d}-01" for m in (1, 2, 3)]
    bought = [
        (f"u{i % 9}", rng.choice(days), 7_000 * (1 + i % 11), f"o{i % 80}")
        for i in range(90)
    ]
    back = [
        (f"o{i}", f"r{k}", f"2024-0{rng.choice('12345')}-02", rng.choice([900, 7_000]))
        for i in range(80)
        for k in range(2)
        for _ in range(2)
    ]
    acts = pd.DataFrame(
        {
            "user_id": [f"n{i % 5}" for i in range(40)],
            "ts": pd.Timestamp("2024-03-01", tz="Asia/Shanghai"),
            "event": ["login", "review"] * 20,
        }
    )
    tables = orders(bought), refunds(back), acts
    programme = PLAIN.change({"points.validity.months": 1})

    def told(seed):
        mixed = [t.sample(frac=1, random_state=seed) for t in tables]
        found = replay(
            mixed[0], programme, as_of=AS_OF, refunds=mixed[1], interactions=mixed[2],
            on_bad="report",
        )  # fmt: skip
        return found.member_rows(), found.to_dict()

    first = told(0)
    assert first[1]["bad_rows"] > 10
    assert first[1]["duplicates_ignored"] > 10
    assert all(told(seed) == first for seed in range(1, SHUFFLES))


@pytest.mark.parametrize("seed", range(20))
def test_refunds_told_wrongly_end_as_in_the_ledger_of_services(seed):
    """Repeats, conflicts, sums beyond the order, refunds before it: in any order."""
    rng = random.Random(seed)
    bought = [("u", f"2024-{1 + i:02d}-03 10:00", 12_000, f"o{i}") for i in range(6)]
    back = []
    for n in range(40):
        day = f"2024-{rng.randint(1, 9):02d}-{rng.choice(['03', '04'])}"
        at = f"{day} {n % 24:02d}:{n:02d}"
        of, refund = f"o{rng.randint(0, 6)}", f"r{rng.randint(0, 2)}"
        back.append((of, refund, at, rng.choice([0, 4_000, 5_000, 8_000, 13_000])))
    events = [
        {"ts": pd.Timestamp(at, tz="Asia/Shanghai"), "kind": "purchase",
         "order_id": order, "paid_fen": fen}
        for _, at, fen, order in bought
    ] + [
        {"ts": pd.Timestamp(at, tz="Asia/Shanghai"), "kind": "refund", "order_id": of,
         "refund_id": refund, "amount_fen": fen}
        for of, refund, at, fen in back
    ]  # fmt: skip
    ledger = Ledger(PLAIN, joined="2024-01-03")
    refused = 0
    for event in sorted(events, key=lambda e: (e["ts"], e["kind"])):
        try:
            ledger.append(event)
        except DataError:
            refused += 1
    ledger.append({"ts": str(AS_OF), "kind": "close"})
    rng.shuffle(back)
    found = replay(
        orders(bought), PLAIN, as_of=AS_OF, refunds=refunds(back), on_bad="report"
    )
    counters = ledger.state.counters()
    row = state(found, "u") | {"tier": found.states["tier"][0]}
    assert {k: row[k] for k in counters if k in row} == {
        k: v for k, v in counters.items() if k != "duplicates_ignored"
    }
    assert found.bad_rows == refused > 5
    assert found.duplicates_ignored == counters["duplicates_ignored"]


def test_days_without_a_time_of_day_follow_the_order_of_a_day():
    table = orders([("a", "2024-03-06 10:00", 12_300, "old")])
    dated = {"ts": [date(2024, 3, 6)]}
    back = pd.DataFrame(
        {"order_id": ["old"], "refund_id": ["r"], "amount_fen": [12_300]} | dated
    )
    found = replay(table, PLAIN, as_of=AS_OF, refunds=back)
    assert state(found, "a")["clawed"] == 123
    spent = pd.DataFrame(
        {"user_id": ["a"], "kind": ["redeem"], "points": [-100]} | dated
    )
    at_once = PLAIN.change({"points.pending_days": 0})
    found = replay(table, at_once, as_of=AS_OF, ledger=spent)
    assert state(found, "a")["redeemed"] == 100
    # an order of that day comes first, and a login before it
    acts = pd.DataFrame({"user_id": ["a"], "event": ["login"]} | dated)
    by_day = table.assign(pay_ts=[date(2024, 3, 6)])
    timed = spent.assign(ts=[pd.Timestamp("2024-03-06 00:00", tz="Asia/Shanghai")])
    found = replay(by_day, at_once, as_of=AS_OF, ledger=timed, interactions=acts)
    assert state(found, "a")["redeemed"] == 100
    assert state(found, "a")["issued"] == 124


def test_refunds_of_orders_that_are_nobodys_go_with_them():
    table = orders(
        [(None, "2024-03-06", 12_300, "guest"), ("a", "2024-03-06", 100, "o")]
    )
    back = refunds([("guest", "r", "2024-04-01", 12_300)])
    found = replay(table, PLAIN, as_of=AS_OF, refunds=back)
    told = {notice.code: dict(notice.args) for notice in found.notices}
    assert told["refunds_without_user"] == {"refunds": 1}
    assert told["orders_without_user"] == {"orders": 1}
    assert found.bad_rows == 0


def test_ids_that_a_null_made_floats_are_the_same_ids():
    table = orders([("a", "2024-03-06", 12_300, 1), (None, "2024-03-06", 1, None)])
    assert table["order_id"].dtype == float
    back = refunds([(1, 7, "2024-04-01", 12_300)])
    found = replay(table, PLAIN, as_of=AS_OF, refunds=back)
    assert state(found, "a")["clawed"] == 123


LACKING = [
    ({"order_id": [None]}, "refunds have no order_id"),
    ({"refund_id": [None]}, "refunds have no refund_id"),
    ({"ts": [pd.NaT]}, "refunds have no ts"),
    ({"amount_fen": [np.nan]}, "refunds have no amount_fen"),
]


@pytest.mark.parametrize(("holes", "message"), LACKING)
def test_a_refund_that_lacks_something_is_not_guessed(holes, message):
    back = refunds([("1", "r", "2024-04-01", 5)]).assign(**holes)
    with pytest.raises(DataError, match=message) as info:
        replay(orders(TWO), PLAIN, as_of=AS_OF, refunds=back)
    assert info.value.code == "event_incomplete"
    found = replay(orders(TWO), PLAIN, as_of=AS_OF, refunds=back, on_bad="report")
    assert (found.bad_rows, state(found, "a")["clawed"]) == (1, 0)


@pytest.mark.parametrize("column", ["order_id", "paid_fen"])
def test_an_order_that_lacks_something_is_not_guessed(column):
    table = orders([("a", "2024-03-06", 100.0, "x"), ("a", "2024-03-07", 300.0, "y")])
    table.loc[0, column] = None
    with pytest.raises(DataError, match=f"orders have no {column}") as info:
        replay(table, PLAIN, as_of=AS_OF)
    assert info.value.code == "event_incomplete"
    found = replay(table, PLAIN, as_of=AS_OF, on_bad="report")
    assert (found.bad_rows, found.orders, state(found, "a")["issued"]) == (1, 1, 3)


def test_what_nobody_did_makes_no_member():
    ts = [pd.Timestamp("2024-04-01", tz="UTC")]
    acts = pd.DataFrame({"user_id": [None], "ts": ts, "event": ["login"]})
    found = replay(orders(TWO), PLAIN, as_of=AS_OF, interactions=acts)
    assert found.ids == ("a", "b")
    told = {dict(n.args)["code"]: dict(n.args)["rows"] for n in found.notices
            if n.code == "bad_event"}  # fmt: skip
    assert told == {"interactions_without_user": 1}
    acts = acts.assign(user_id=["a"], event=["redeem"])  # no interaction, whoever's
    found = replay(orders(TWO), PLAIN, as_of=AS_OF, interactions=acts)
    assert found.bad_rows == 0
    used = pd.DataFrame({"user_id": [None], "ts": ts, "kind": ["redeem"],
                         "points": [-100]})  # fmt: skip
    with pytest.raises(DataError, match="lines of the ledger have no user_id") as info:
        replay(orders(TWO), PLAIN, as_of=AS_OF, ledger=used)
    assert info.value.code == "event_incomplete"
    used = used.assign(user_id=["b"], points=[100])
    with pytest.raises(DataError, match="redemptions are above 0") as info:
        replay(orders(TWO), PLAIN, as_of=AS_OF, ledger=used)
    assert info.value.code == "redeem_not_negative"


@pytest.mark.parametrize(("back", "code"), [(70_000, "refund_exceeds_order"),
                                            (-5, "amount_negative")])  # fmt: skip
def test_orders_own_refunds_must_be_possible_too(back, code):
    table = orders([("a", "2024-03-06", 60_000)]).assign(refund_fen=back)
    with pytest.raises(DataError, match="the first 0") as info:
        replay(table, PLAIN, as_of=AS_OF)
    assert info.value.code == code
    found = replay(table, PLAIN, as_of=AS_OF, on_bad="report")
    assert (found.bad_rows, state(found, "a")["clawed"]) == (1, 0)


@pytest.mark.parametrize(
    ("paid", "code", "message"),
    [
        (2**62, "amount_too_large", "paid_fen holds 4611686018427387904; .* or less"),
        (1e20, "amount_too_large", r"paid_fen holds 1e\+20"),
        (
            np.uint64(2**63 + 5),
            "amount_too_large",
            "paid_fen holds 9223372036854775813",
        ),
        (np.inf, "amount_not_integer", "paid_fen holds inf; .* whole numbers"),
        ("60000", "amount_not_integer", "paid_fen is of type string; .* map it to fen"),
        (True, "amount_not_integer", "paid_fen is of type bool"),
    ],
)
def test_amounts_that_are_none_are_refused(paid, code, message):
    table = orders([("a", "2024-03-06", 0)]).assign(paid_fen=paid)
    with pytest.raises(DataError, match=message) as info:
        replay(table, PLAIN, as_of=AS_OF)
    assert info.value.code == code


def test_replay_wants_a_programme():
    with pytest.raises(ParameterError, match=r"programme is a dict; .*load_programme"):
        replay(orders(TWO), {"tiers": made.TIERS}, as_of=AS_OF)


def test_members_open_with_what_replay_says_they_hold():
    """Refunds, logins and redemptions count before the start as they do in replay."""
    rng = random.Random(8)
    days = [
        f"2024-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}" for _ in range(300)
    ]
    bought = [
        (f"u{rng.randrange(60):02d}", day, rng.randint(5, 90) * 1_000, f"o{i}")
        for i, day in enumerate(days)
    ]
    back = [(f"o{i}", "r", "2024-12-29", bought[i][2] // 2) for i in range(0, 300, 7)]
    users = sorted({row[0] for row in bought})
    acts = pd.DataFrame(
        {
            "user_id": [*users, "stranger"] * 2,
            "ts": pd.Timestamp("2023-12-30 09:00", tz="Asia/Shanghai"),
            "event": "login",
        }
    )
    used = pd.DataFrame(
        {
            "user_id": users,
            "ts": pd.Timestamp("2024-12-30 09:00", tz="Asia/Shanghai"),
            "kind": "redeem",
            "points": -100,
        }
    )
    given = {"refunds": refunds(back), "interactions": acts, "ledger": used}
    actual = replay(orders(bought), PLAIN, as_of=AS_OF, on_bad="report", **given)
    people = fit(orders(bought), as_of=AS_OF, seed=1, replications=2, **given)
    run = simulate(
        people, PLAIN, seed=1, months=1, replications=1, margin_rate=0.3, redemption=0.1
    )
    ours = {row["user_id"]: row for row in actual.member_rows()}
    held = sum(
        ours[user]["active"] + ours[user]["pending"] - ours[user]["debt"]
        for user in users
    )
    assert run.roll_forward().points[0].opening == held > 0
    tiers = [actual.states["tier"][actual.ids.index(user)] for user in users]
    scenario = run.scenarios[0]
    assert (
        scenario.totals.opening[0].tolist() == np.bincount(tiers, minlength=3).tolist()
    )
    assert people.joined.min() == (date(2023, 12, 30) - date(1970, 1, 1)).days
    told = {dict(n.args)["code"]: dict(n.args)["rows"] for n in people.notices
            if n.code == "bad_event"}  # fmt: skip
    assert told == {
        dict(n.args)["code"]: dict(n.args)["rows"]
        for n in actual.notices
        if n.code == "bad_event"
    }
    alone = fit(orders(bought), as_of=AS_OF, seed=1, replications=2)
    assert alone.past.kind is None
    # orders that say themselves what came back
    table = orders(bought).assign(refund_fen=[fen // 4 for _, _, fen, _ in bought])
    actual = replay(table, PLAIN, as_of=AS_OF)
    people = fit(table, as_of=AS_OF, seed=1, replications=2)
    assert "refunds_undated" in {notice.code for notice in people.notices}
    run = simulate(
        people, PLAIN, seed=1, months=1, replications=1, margin_rate=0.3, redemption=0.1
    )
    held = sum(r["active"] + r["pending"] - r["debt"] for r in actual.rows())
    assert run.roll_forward().points[0].opening == held
