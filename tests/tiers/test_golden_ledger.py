"""Hand ledgers, to the integer."""

import pytest

from growth.errors import DataError, ParameterError
from growth.tiers import Ledger, load_programme, rules
from growth.tiers.ledger import day_number
from tests.tiers import golden


def merged(base, over):
    """Tables merge by key, lists replace."""
    both = dict(base)
    for key, value in over.items():
        nested = isinstance(value, dict) and isinstance(base.get(key), dict)
        both[key] = merged(base[key], value) if nested else value
    return both


@golden.starting(
    "ledger_", "earn_", "threshold_", "tier_rolling", "tier_window", "tier_refund",
    "tier_spend", "day_edges", "expiry_edge", "channels_", "redemption_", "redeem_",
    "steady_", "tier_anniv", "tier_upgrade", "tier_match",
)  # fmt: skip
def test_a_hand_ledger_comes_out_to_the_integer(case):
    given, expected = case["input"], dict(case["expected"])
    programme = load_programme(merged(golden.BASE, given["programme"]))
    ledger = Ledger(programme, joined=given["joined"])
    errors, seen = [], {}
    for event in given["events"]:
        before = ledger.state.to_dict()
        try:
            ledger.append(event)
        except DataError as error:
            errors.append(error.code)
            assert ledger.state.to_dict() == before
        if "name" in event:
            seen[event["name"]] = ledger.state.counters()
        assert rules.balanced(ledger.state.scalars)
    assert errors == expected.pop("errors")
    for name, counters in expected.items():
        assert {key: seen[name][key] for key in counters} == counters, name
    assert ledger.audit()


def test_every_ledger_case_is_run_here():
    ledgers = {n for n, case in golden.CASES.items() if "events" in case["input"]}
    marker = test_a_hand_ledger_comes_out_to_the_integer.pytestmark[0]
    assert ledgers == set(marker.kwargs["ids"])


@golden.starting("bad_programme_")
def test_a_bad_programme_is_refused_with_its_code(case):
    with pytest.raises(ParameterError, match="it must be") as info:
        load_programme(merged(golden.BASE, case["input"]["programme"]))
    assert info.value.code == case["expected"]["code"]
    if "suggests" in case["what"]:
        assert "Did you mean 'grace_reviews'?" in str(info.value)


def days(*texts):
    return [day_number(text, "UTC")[0] for text in texts]


def test_months_are_added_from_the_first_date_and_clamped():
    given, expected = golden.given("add_months_clamped")
    got = [
        rules.add_months(day, months)
        for day, months in zip(days(*given["start"]), given["months"], strict=True)
    ]
    assert got == days(*expected["days"])


def test_last_days_are_rounded_up():
    given, expected = golden.given("validity_last_day")
    rounds = {"none": 0, "month_end": 1, "quarter_end": 3, "year_end": 12}
    got = [
        rules.last_day(day, rules.month_of(day), months, rounds[how])
        for day, months, how in zip(
            days(*given["earned"]), given["months"], given["round"], strict=True
        )
    ]
    assert got == days(*expected["last_day"])
