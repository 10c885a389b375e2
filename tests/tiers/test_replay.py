"""Recorded orders through the rules, against the Python ledger and a ledger in use."""

import json
import random
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from growth.errors import DataError, ParameterError
from growth.tiers import Ledger, load_programme, replay
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
