import json
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from growth.errors import DataError, ParameterError
from growth.tiers import (
    Ledger,
    State,
    apply,
    claw_back,
    load_programme,
    open_state,
    points_for,
    rules,
    standing,
)
from tests.tiers import made

BLOCK = {"redeem": {"block": 100}}
PLAIN = {"tiers": [{"name": "all", "min_spend_fen": 0}], "points": BLOCK}


def living(months, rounding):
    """Plain points that live so long."""
    validity = {"validity": {"months": months, "round": rounding}}
    return load_programme(PLAIN | {"points": BLOCK | validity})


def run(ledger, events):
    """Append what is possible; return the codes of the rest."""
    codes = []
    for event in events:
        try:
            ledger.append(event)
        except DataError as error:
            codes.append(error.code)
    return codes


def holds(state):
    assert rules.balanced(state.scalars)
    lots = range(state.scalars[rules.LOTS])
    assert all(rules.lot_balanced(state.lots, lot) for lot in lots)
    for counter, place in (
        ("issued", rules.L_ISSUED), ("expired", rules.L_EXPIRED),
        ("redeemed", rules.L_REDEEMED), ("active", rules.L_ACTIVE),
        ("pending", rules.L_PENDING),
    ):  # fmt: skip
        total = sum(state.lots[lot * rules.LOT + place] for lot in lots)
        assert total == getattr(state, counter), counter
    assert min(state.counters().values()) >= 0


@settings(max_examples=120)
@given(st.integers(0, 10**6))
def test_random_ledgers_keep_the_identities_after_every_event(seed):
    declared, events = made.drawn(seed)
    programme = load_programme(declared)
    state = open_state(programme, joined="2023-11-05")
    for event in events:
        try:
            state, _ = apply(state, event, programme)
        except DataError:
            continue
        holds(state)
    ending = (date.fromisoformat(events[-1]["ts"]) + timedelta(days=900)).isoformat()
    state, _ = apply(state, {"ts": ending, "kind": "close"}, programme)
    holds(state)
    if programme.points.validity.months != "never":
        assert (state.active, state.pending) == (0, 0)


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 60))
def test_a_ledger_cut_anywhere_and_resumed_ends_the_same(seed, cut):
    declared, events = made.drawn(seed)
    programme = load_programme(declared)
    whole = Ledger(programme, joined="2023-11-05")
    codes = run(whole, events)
    part = Ledger(programme, joined="2023-11-05")
    before = run(part, events[:cut])
    saved = json.loads(json.dumps(part.state.to_dict(), allow_nan=False))
    part.state = State.from_dict(saved)
    assert before + run(part, events[cut:]) == codes
    assert part.state == whole.state
    assert whole.audit()


@settings(max_examples=60)
@given(st.integers(0, 10**6))
def test_looking_at_a_day_on_the_way_changes_nothing(seed):
    declared, events = made.drawn(seed)
    programme = load_programme(declared)
    once, often = (Ledger(programme, joined="2023-11-05") for _ in range(2))
    codes = run(once, events)
    looked = [item for e in events for item in ({"ts": e["ts"], "kind": "snapshot"}, e)]
    assert run(often, looked) == codes
    once.append({"ts": events[-1]["ts"], "kind": "snapshot"})  # its last may be bad
    assert often.state == once.state


@settings(max_examples=60)
@given(st.lists(st.integers(1, 4000), min_size=1, max_size=8), st.integers(0, 5))
def test_partial_refunds_never_mint_or_lose_a_point(parts, spare):
    programme = load_programme(
        PLAIN | {"tiers": [{"min_spend_fen": 0, "earn_multiplier": "1.15"}]}
    )
    paid = sum(parts) + spare
    ledger = Ledger(programme, joined="2026-01-01")
    order = {"ts": "2026-01-02", "kind": "purchase", "order_id": "A"}
    ledger.append(order | {"paid_fen": paid})
    for i, amount in enumerate(parts):
        ledger.append(
            {"ts": "2026-01-03", "kind": "refund", "order_id": "A",
             "refund_id": str(i), "amount_fen": amount}
        )  # fmt: skip
    left = points_for(spare, tier=0, programme=programme)
    assert (ledger.state.active, ledger.state.debt) == (left, 0)


@settings(max_examples=60)
@given(st.integers(0, 10**6))
def test_a_preview_of_a_claim_is_what_the_refund_then_does(seed):
    declared, events = made.drawn(seed)
    programme = load_programme(declared)
    ledger = Ledger(programme, joined="2023-11-05")
    run(ledger, events)
    for order, (at, _) in ledger.state.orders.items():
        place = at * rules.ORDER
        left = (
            ledger.state.bought[place + rules.O_PAID]
            - ledger.state.bought[place + rules.O_REFUNDED]
        )
        if not left:
            continue
        before = ledger.state.counters()
        claim = claw_back(ledger.state, order, left, programme)
        assert ledger.state.counters() == before
        today = date(1970, 1, 1) + timedelta(days=ledger.state.day)
        after = apply(
            ledger.state,
            {"ts": today.isoformat(), "kind": "refund", "order_id": order,
             "refund_id": "new", "amount_fen": left},
            programme,
        ).state.counters()  # fmt: skip
        parts = (claim.pending, claim.own, claim.absorbed, claim.others)
        assert claim.points == sum(parts) + claim.shortfall
        assert min(claim) >= 0
        assert before["active"] - after["active"] == claim.own + claim.others
        assert before["pending"] - after["pending"] == claim.pending


def refund(**over):
    return {"ts": "2026-02-02", "kind": "refund", "order_id": "A", "refund_id": "r",
            "amount_fen": 100} | over  # fmt: skip


ORDER = {"ts": "2026-02-01", "kind": "purchase", "order_id": "A", "paid_fen": 30_000}


@pytest.mark.parametrize(
    ("event", "code", "message"),
    [
        (
            ORDER | {"order_id": "B", "paid_fen": -1},
            "amount_negative",
            "paid_fen is -1",
        ),
        (ORDER | {"order_id": "B", "paid_fen": 1.5}, "amount_not_integer", r"is 1\.5"),
        (ORDER, "duplicate_order", "order 'A' is in the ledger"),
        (ORDER | {"order_id": None}, "event_incomplete", "order_id is missing"),
        (refund(order_id="Z"), "refund_without_order", "'Z/r' is of an order"),
        (refund(amount_fen=30_001), "refund_exceeds_order", "30000 fen of the order"),
        (refund(amount_fen=0), "amount_negative", "amount_fen is 0"),
        (refund(ts="2026-01-31"), "event_out_of_order", "behind the ledger"),
        (refund(ts="2025-12-31"), "event_before_join", "2026-01-01, when the member"),
        (refund(ts="2026-02-02T10:00:00"), "naive_timestamp", r"such as \+08:00"),
        (refund(ts=datetime(2026, 2, 2)), "naive_timestamp", "without a time zone"),
        (refund(ts="yesterday"), "bad_timestamp", "'yesterday'; it must be an aware"),
        (refund(ts=20_000), "bad_timestamp", "ts is 20000"),
        (
            {"ts": "2026-02-02", "kind": "redeem", "points": 150},
            "redeem_not_in_blocks",
            "whole blocks of 100",
        ),
        (
            {"ts": "2026-02-02", "kind": "redeem", "points": 400},
            "insufficient_points",
            "the 300 active",
        ),
        (
            {"ts": "2026-02-02", "kind": "restore", "redemption_id": "x"},
            "restore_without_redemption",
            "'x' is not in the ledger",
        ),
        ({"ts": "2026-02-02", "kind": "purchas"}, "unknown_event", "mean 'purchase'"),
    ],
)
def test_a_bad_event_changes_nothing_and_says_what_was_seen(event, code, message):
    ledger = Ledger(load_programme(PLAIN), joined="2026-01-01")
    ledger.append(ORDER)
    before = ledger.state.to_dict()
    with pytest.raises(DataError, match=message) as info:
        ledger.append(event)
    assert info.value.code == code
    assert ledger.state.to_dict() == before
    assert len(ledger.events) == 1


def test_instants_of_one_day_must_not_run_backwards():
    ledger = Ledger(load_programme(PLAIN), joined="2026-01-01")
    noon = datetime(2026, 2, 1, 4, tzinfo=UTC)
    ledger.append(ORDER | {"ts": noon})
    with pytest.raises(DataError, match="must come in order") as info:
        ledger.append({"ts": noon - timedelta(seconds=1), "kind": "login"})
    assert info.value.code == "event_out_of_order"
    ledger.append({"ts": "2026-02-01", "kind": "login"})  # a day has no instant
    assert ledger.state.active == 301


def test_a_redemption_is_cancelled_once():
    ledger = Ledger(load_programme(PLAIN), joined="2026-01-01")
    take = {"ts": "2026-02-02", "kind": "redeem", "points": 100, "redemption_id": "d"}
    back = {"ts": "2026-02-03", "kind": "restore", "redemption_id": "d"}
    run(ledger, [ORDER, take])
    with pytest.raises(DataError, match="each must come once") as info:
        ledger.append(take)
    assert info.value.code == "duplicate_redemption"
    run(ledger, [back, back])
    assert (ledger.state.active, ledger.state.redeemed) == (300, 0)
    assert ledger.state.counters()["duplicates_ignored"] == 1


def test_points_that_expire_on_the_29th_of_february_live_through_it():
    programme = living(12, "none")
    for bought, last in (("2023-02-28", "2024-02-28"), ("2024-02-29", "2025-02-28")):
        ledger = Ledger(programme, joined="2023-01-01")
        ledger.append(ORDER | {"ts": bought})
        ledger.append({"ts": last, "kind": "redeem", "points": 100})
        ledger.append({"ts": last, "kind": "close"})
        assert (ledger.state.expired, ledger.state.active) == (200, 0)
    leap = living(1, "month_end")
    ledger = Ledger(leap, joined="2024-01-01")
    ledger.append(ORDER | {"ts": "2024-01-31"})
    ledger.append({"ts": "2024-02-29T23:59:59+08:00", "kind": "redeem", "points": 100})
    ledger.append({"ts": "2024-03-01", "kind": "snapshot"})
    assert (ledger.state.redeemed, ledger.state.expired) == (100, 200)


def test_where_a_member_stands_and_what_is_missing():
    programme = load_programme({"tiers": made.TIERS})
    ledger = Ledger(programme, joined="2026-01-01")
    ledger.append(ORDER)
    here = standing(ledger.state, programme)
    assert (here.tier, here.name, here.next_name) == (0, "普通", "银卡")
    assert (here.missing_fen, here.missing_interactions) == (20_000, 12)
    ledger.append(ORDER | {"order_id": "B", "paid_fen": 500_000})
    top = standing(ledger.state, programme)
    assert (top.tier, top.next_name, top.missing_fen) == (2, None, None)
    later = standing(ledger.state, programme, ts="2027-03-31")
    assert (later.tier, later.window_spend_fen) == (1, 0)
    assert standing(ledger.state, programme) == top  # asking changes nothing


def test_points_for_an_order_are_exact_and_asked_of_a_tier_that_is():
    programme = load_programme({"tiers": made.TIERS})
    assert points_for(10_000, tier=1, programme=programme) == 115
    for fen in (1 << 25, 10**12 + 7, 123_456_789_012):
        assert points_for(fen, tier=1, programme=programme) == fen * 115 // 10_000
    with pytest.raises(ParameterError, match="0 to 2") as info:
        points_for(1, tier=3, programme=programme)
    assert info.value.code == "unknown_tier"


@given(st.integers(0, 10**14), st.integers(1, 2 * 10**11), st.integers(1, 10**10))
def test_large_amounts_are_scaled_exactly(amount, num, den):
    from math import gcd

    shared = gcd(num, den)
    num, den = num // shared, den // shared
    assert rules.scaled(amount, num, den) == amount * num // den


def test_an_edited_ledger_does_not_pass_its_audit():
    ledger = Ledger(load_programme(PLAIN), joined="2026-01-01")
    ledger.append(ORDER)
    ledger.state.scalars[rules.ACTIVE] += 1
    with pytest.raises(DataError, match="the ledger fails at") as info:
        ledger.audit()
    assert info.value.code == "audit_failed"


def test_a_state_of_another_version_is_refused():
    state = open_state(load_programme(PLAIN), joined="2026-01-01")
    with pytest.raises(DataError, match="replay the member's events") as info:
        State.from_dict(state.to_dict() | {"version": 0})
    assert info.value.code == "state_version"
    with pytest.raises(AttributeError, match="no attribute 'balance'"):
        _ = state.balance


def test_civil_days_agree_with_the_calendar():
    epoch = date(1970, 1, 1)
    for day in range(-50_000, 90_000, 11):
        seen = epoch + timedelta(days=day)
        month = rules.month_of(day)
        assert month == seen.year * 12 + seen.month - 1
        assert rules.month_start(month) == (seen.replace(day=1) - epoch).days
        following = (seen.replace(day=28) + timedelta(days=4)).replace(day=1)
        assert rules.month_end(month) == (following - epoch).days - 1
        assert (
            rules.month_start(month) + rules.month_days(month)
            == (following - epoch).days
        )


def test_a_member_older_than_the_log_is_judged_by_the_window_that_holds_the_event():
    programme = load_programme(
        {
            "tiers": made.TIERS,
            "qualify": {"window": {"kind": "anniversary", "months": 12}},
        }
    )
    ledger = Ledger(programme, joined="2016-02-29")
    ledger.append(ORDER | {"ts": "2024-02-28", "paid_fen": 40_000})
    ledger.append(ORDER | {"ts": "2024-02-29", "order_id": "B", "paid_fen": 40_000})
    # the eighth year ended on the 28th: 40 000 twice is not 80 000
    assert ledger.state.tier == 0
    assert standing(ledger.state, programme).window_spend_fen == 40_000
    ledger.append(ORDER | {"ts": "2025-02-27", "order_id": "C", "paid_fen": 10_000})
    assert ledger.state.tier == 1
    assert ledger.audit()


def test_a_fifth_tier_and_falling_thresholds_are_refused():
    steps = [{"min_spend_fen": fen} for fen in (0, 10, 20, 30, 40)]
    with pytest.raises(ParameterError, match="allow_more_than_four_tiers") as info:
        load_programme({"tiers": steps})
    assert info.value.code == "too_many_tiers"
    allowed = load_programme({"tiers": steps, "allow_more_than_four_tiers": True})
    assert len(allowed.tiers) == 5
    with pytest.raises(ParameterError, match="it must be") as info:
        load_programme({"tiers": [steps[0], steps[2], steps[1]]})
    assert info.value.code == "thresholds_not_increasing"


def bought(programme, *amounts):
    """Return a member who ordered, one order a day, with whole numbers as ids."""
    state = open_state(programme, joined="2024-01-01")
    for i, fen in enumerate(amounts):
        order = {"ts": f"2024-01-{5 + i:02d}", "kind": "purchase", "order_id": i}
        state = apply(state, order | {"paid_fen": fen}, programme).state
    return state


def test_a_claim_is_of_the_order_asked_whatever_its_id_is_written_as():
    programme = load_programme(PLAIN)
    state = bought(programme, 10_000, 20_000)
    claims = [claw_back(state, one, 20_000, programme) for one in (1, "1")]
    assert claims[0] == claims[1]
    assert (claims[0].points, claims[0].own) == (200, 200)
    with pytest.raises(DataError, match="refund 'zz/asked' is of an order"):
        claw_back(state, "zz", 1, programme)
    told = {"ts": "2024-02-01", "kind": "refund", "order_id": 1, "refund_id": "asked",
            "amount_fen": 5_000}  # fmt: skip
    state = apply(state, told, programme).state
    assert claw_back(state, 1, 5_000, programme).points == 50  # no repeat of the other


EDITS = [
    {"points.per_yuan": "2"},
    {"qualify.window.months": 24},
    {"qualify.window.kind": "anniversary"},
    {"points.validity.months": 1},
    {"timezone": "Asia/Tokyo"},
]


@pytest.mark.parametrize("edit", EDITS)
def test_a_state_of_other_rules_is_refused(edit):
    """An edited programme judges the whole history; a state holds what the old made."""
    programme = load_programme(PLAIN)
    state = bought(programme, 10_000)
    other = programme.change(edit)
    event = {"ts": "2024-02-01", "kind": "login"}
    for ask in (
        lambda: apply(state, event, other),
        lambda: standing(state, other),
        lambda: claw_back(state, 0, 100, other),
    ):
        with pytest.raises(DataError, match="replay the member's events") as info:
            ask()
        assert info.value.code == "state_of_other_programme"
    again = State.from_dict(json.loads(json.dumps(state.to_dict())))
    assert apply(again, event, load_programme(PLAIN)).state.active == 101
    renamed = programme.change({"tiers.0.name": "everybody"})
    assert standing(again, renamed).name == "everybody"


@pytest.mark.parametrize(
    ("event", "code", "message"),
    [
        ({"kind": ["login"]}, "unknown_event", r"kind is \['login'\]"),
        (None, "unknown_event", "kind is None"),
        ({"kind": "login", "ts": "9999-12-31T23:59:59+00:00"}, "bad_timestamp",
         "the years 1900 to 2999"),
        ({"kind": "login", "ts": date(1815, 6, 18)}, "bad_timestamp", "1900 to 2999"),
        ({"kind": "redeem", "ts": "2024-02-01", "points": -100}, "amount_negative",
         "points is -100; .* without a sign"),
        ({"kind": "purchase", "ts": "2024-02-01", "order_id": 9, "paid_fen": 2**63},
         "amount_too_large", "paid_fen is 9223372036854775808; .* or less"),
        ({"kind": "purchase", "ts": "2024-02-01", "order_id": 9, "paid_fen": True},
         "amount_not_integer", "paid_fen is True"),
    ],
)  # fmt: skip
def test_an_event_that_is_none_is_told(event, code, message):
    programme = load_programme(PLAIN)
    with pytest.raises(DataError, match=message) as info:
        apply(bought(programme, 100), event, programme)
    assert info.value.code == code


def test_whole_numbers_of_any_library_are_amounts():
    programme = load_programme(PLAIN)
    state = bought(programme, np.int64(10_000))
    assert state.active == 100
    assert type(state.scalars[rules.ACTIVE]) is int
    assert points_for(10_000, tier=np.int8(0), programme=programme) == 100
    for tier in ("all", 0.5, None, 1):
        with pytest.raises(ParameterError, match="it must be 0 to 0") as info:
            points_for(10_000, tier=tier, programme=programme)
        assert info.value.code == "unknown_tier"


def test_a_redemption_may_be_numbered_0():
    programme = load_programme(PLAIN)
    state = bought(programme, 100_000)
    spend = {"ts": "2024-02-01", "kind": "redeem", "points": 100, "redemption_id": 0}
    state = apply(state, spend, programme).state
    back = {"ts": "2024-02-02", "kind": "restore", "redemption_id": 0}
    assert apply(state, back, programme).state.active == 1_000


def test_what_is_no_state_and_no_programme_is_told():
    programme = load_programme(PLAIN)
    with pytest.raises(ParameterError, match="state is a NoneType") as info:
        apply(None, {}, programme)
    assert info.value.code == "bad_state"
    for ask in (
        lambda: open_state(PLAIN, joined="2024-01-01"),
        lambda: Ledger(PLAIN, joined="2024-01-01"),
        lambda: apply(bought(programme, 1), {}, PLAIN),
        lambda: points_for(1, tier=0, programme=PLAIN),
    ):
        with pytest.raises(ParameterError, match="programme is a dict") as info:
            ask()
        assert info.value.code == "bad_programme"
    for saved in (None, {"version": 1}):
        with pytest.raises(DataError, match="it must be 2") as info:
            State.from_dict(saved)
        assert info.value.code == "state_version"
    with pytest.raises(DataError, match=r"not whole .* what to_dict gave") as info:
        State.from_dict({"version": 2})
    assert info.value.code == "bad_state"


def test_cash_for_points_that_are_gone_is_exact():
    declared = {**PLAIN, "refund": {"shortfall": "deduct_cash"}}
    declared["points"] = {"redeem": {"block": 7, "value_fen": 999_999_937}}
    programme = load_programme(declared)
    state = bought(programme, 123_456_700)
    spend = {"ts": "2024-02-01", "kind": "redeem", "points": 1_234_562}
    state = apply(state, spend, programme).state
    told = {"ts": "2024-02-02", "kind": "refund", "order_id": 0, "refund_id": "r",
            "amount_fen": 123_456_700}  # fmt: skip
    after = apply(state, told, programme).state
    assert after.cash_deducted_fen == 1_234_562 * 999_999_937 // 7
