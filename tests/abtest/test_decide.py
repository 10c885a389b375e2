import json
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from growth.abtest import GoalInterval, Reason, decide_from_intervals
from growth.errors import ParameterError
from growth.labels import label
from tests.abtest.golden import cases, name


def interval(low, high, name="pay_rate", **kwargs):
    return GoalInterval(name=name, low=low, high=high, **kwargs)


def read(items):
    return [
        GoalInterval(
            name=item["name"],
            low=item["ci"][0],
            high=item["ci"][1],
            mde=item.get("mde"),
            margin=item.get("margin"),
        )
        for item in items
    ]


@pytest.mark.parametrize("case", cases("decision"), ids=name)
def test_reference_cases(case):
    given_ = dict(case["input"])
    decision = decide_from_intervals(
        read(given_.pop("goals")), guardrails=read(given_.pop("guardrails")), **given_
    )
    assert decision.outcome == case["expected"]["verdict"]
    assert [str(reason) for reason in decision.reasons] == case["expected"]["reasons"]


GOOD = interval(0.01, 0.06, mde=0.03)


@pytest.mark.parametrize(
    ("kwargs", "reasons"),
    [
        ({"closed_units": 1}, ["units_in_closed_arm"]),
        ({"crossover_rate": 0.0101}, ["too_many_crossovers"]),
        ({"srm_p": 0.005, "srm_alpha": 0.01}, ["srm_failed"]),
        (
            {"srm_p": 0.0, "closed_units": 9, "crossover_rate": 1.0},
            ["srm_failed", "units_in_closed_arm", "too_many_crossovers"],
        ),
    ],
)
def test_a_broken_split_comes_before_everything(kwargs, reasons):
    decision = decide_from_intervals([GOOD], days=3, information=0.1, **kwargs)
    assert decision.verdict == "abtest.decision.invalid"
    assert [str(reason) for reason in decision.reasons] == reasons


@pytest.mark.parametrize(
    ("kwargs", "word"),
    [
        ({"crossover_rate": 0.01, "srm_p": 0.001}, "ship"),
        ({"days": None}, "ship"),  # no calendar, no rule about it
        ({"days": 20}, "iterate"),
        ({"days": None, "information": 0.9}, "iterate"),
    ],
)
def test_edges_of_the_calendar_and_the_split(kwargs, word):
    decision = decide_from_intervals([GOOD], **{"days": 14, **kwargs})
    assert decision.outcome == word
    assert [n.code for n in decision.notices] == (
        ["days_unknown"] if decision.days is None else []
    )


def test_harm_past_the_horizon_is_not_hidden_by_a_broken_week():
    harm = interval(-0.06, -0.03, "refund_rate", margin=0.02)
    decision = decide_from_intervals([GOOD], guardrails=[harm], days=17)
    assert decision.reasons == (Reason("guardrail_harm", "refund_rate"),)


def test_no_harm_needs_every_goal_and_guardrail_within_its_margin():
    goal = interval(-0.008, 0.02, margin=0.01)
    guard = interval(-0.03, 0.02, "refund_rate", margin=0.02)
    decide = decide_from_intervals
    shown = decide([goal], guardrails=[], objective="no_harm", days=14)
    assert shown.outcome == "ship"
    wide = interval(-0.02, 0.02, margin=0.01)
    both = decide([wide], guardrails=[guard], objective="no_harm", days=14)
    assert [str(r) for r in both.reasons] == [
        "harm_not_excluded:pay_rate",
        "guardrail_inconclusive:refund_rate",
    ]
    assert both.outcome == "iterate"


def test_units_needed_shrink_the_interval_to_the_smallest_useful_effect():
    # four times the units halve the width, from 0.06 to the MDE of 0.03
    goal = interval(-0.02, 0.04, mde=0.03)
    decision = decide_from_intervals([goal], days=14, units=1000)
    assert decision.reasons == (Reason("inconclusive"),)
    assert decision.units_needed == 3000
    unsaid = decide_from_intervals([interval(-0.02, 0.04)], days=14, units=1000)
    assert unsaid.units_needed is None


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0.001, 1), st.integers(1, 10**9))
def test_an_inconclusive_goal_always_needs_more_units(low, width, mde, units):
    decision = decide_from_intervals(
        [interval(low, low + width, mde=mde)], days=14, units=units
    )
    if decision.reasons[0].code == "inconclusive" and width > mde * (1 + 1e-9):
        assert decision.units_needed >= 1
    if decision.reasons[0].code != "inconclusive":
        assert decision.units_needed is None


def test_two_goals_one_better_ships_and_names_it():
    decision = decide_from_intervals([GOOD, interval(-0.1, 0.1, "revenue")], days=28)
    assert decision.outcome == "ship"
    assert decision.reasons == (Reason("goal_better", "pay_rate"),)


@pytest.mark.parametrize(
    ("goals", "kwargs", "code", "message"),
    [
        ([], {}, "no_goal", "goals is empty; .*; give"),
        ([GOOD], {"plan": "fix"}, "not_a_choice", "'fix'.*Did you mean 'fixed'"),
        ([GOOD], {"objective": "win"}, "not_a_choice", "objective is 'win'"),
    ],
)
def test_faults(goals, kwargs, code, message):
    with pytest.raises(ParameterError, match=message) as info:
        decide_from_intervals(goals, **kwargs)
    assert info.value.code == code


def test_every_reason_has_words():
    codes = [
        "srm_failed",
        "units_in_closed_arm",
        "too_many_crossovers",
        "guardrail_harm",
        "goal_worse",
        "too_early",
        "partial_week",
        "planned_size_not_reached",
        "no_harm_shown",
        "harm_not_excluded",
        "guardrail_inconclusive",
        "goal_better",
        "no_useful_effect",
        "inconclusive",
        "best_arm_not_separated",
    ]
    for code, lang in product(codes, ("en", "zh")):
        words = Reason(code, "pay_rate", "B").words(lang, metric="下单率")
        assert words
        assert "{" not in words
    assert "下单率" in Reason("goal_better", "pay_rate").words("zh", metric="下单率")


def test_it_is_json_and_html():
    decision = decide_from_intervals([GOOD], days=14)
    shown = json.loads(json.dumps(decision.to_dict(), allow_nan=False))
    assert shown["outcome"] == "ship"
    assert shown["reasons"][0]["code"] == "goal_better"
    assert label("abtest.decision.ship", "zh") in decision.to_html("zh")
