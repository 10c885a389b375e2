from datetime import date

import pytest

from growth import funnel, retention
from growth.panels import funnel as funnels
from growth.panels import retention as cohorts

DAY = date(2026, 3, 1)


@pytest.fixture
def cohort_panel(dataset):
    return cohorts.explorer(dataset, as_of=DAY)


@pytest.fixture
def funnel_panel(dataset):
    return funnels.explorer(dataset, as_of=DAY)


def test_moving_a_control_measures_again_and_redraws(cohort_panel, dataset):
    made = cohort_panel
    before = made.result, made.picture.value
    made.controls["period"].value = "week"
    made.controls["horizon"].value = 5
    assert made.result != before[0]
    assert made.picture.value != before[1]
    same = retention.measure(
        dataset.events,
        start=date(2026, 1, 19),
        end=date(2026, 3, 2),
        as_of=DAY,
        period="week",
        horizon=5,
    )
    assert made.result.curve() == same.curve()
    assert "<script" not in made.picture.value


def test_events_are_offered_with_their_counts(cohort_panel):
    words, names = zip(*cohort_panel.controls["start"].options, strict=True)
    assert names[0] is None
    assert "order_pay" in names
    counts = [int(text.rpartition("· ")[2].replace(",", "")) for text in words[1:]]
    assert counts == sorted(counts, reverse=True)
    cohort_panel.controls["start"].value = "order_pay"
    assert cohort_panel.result.spec.start_event[0].event == "order_pay"


def test_equal_values_are_measured_once(cohort_panel):
    first = cohort_panel.result
    cohort_panel.controls["match"].value = "on_or_after"
    assert cohort_panel.result is not first
    cohort_panel.controls["match"].value = "on"
    assert cohort_panel.result is first


def test_the_readout_that_asks_the_same_is_written_below(cohort_panel):
    cohort_panel.controls["horizon"].value = 9
    said = cohort_panel.hand.value
    assert "growth readout run retention_readout" in said
    assert "horizon=9" in said
    assert "[[readout]]" in said


def test_a_step_is_added_from_the_list(funnel_panel):
    made = funnel_panel
    made.add.value = "share_intent"
    assert made.add.value is None
    names = [step.name for step in made.result.totals]
    assert names == ["page_view", "add_to_cart", "order_pay", "share_intent"]


def test_a_step_that_is_misspelt_is_named_with_the_right_one(funnel_panel):
    funnel_panel.controls["steps"].value = "page_view,add_to_kart"
    assert "Did you mean &#x27;add_to_cart&#x27;?" in funnel_panel.card.value


def test_a_question_that_is_refused_leaves_what_was_shown(funnel_panel):
    shown, result = funnel_panel.picture.value, funnel_panel.result
    funnel_panel.controls["steps"].value = "page_view"
    assert "steps" in funnel_panel.status.view.value
    assert funnel_panel.picture.value == shown
    assert funnel_panel.result is result


def test_the_builder_asks_what_the_verb_answers(funnel_panel, dataset):
    made = funnel_panel
    made.controls["by"].value = "platform"
    made.controls["window"].value = 1
    same = funnel.measure(
        dataset.events,
        steps=["page_view", "add_to_cart", "order_pay"],
        start=date(2026, 2, 2),
        end=date(2026, 3, 2),
        as_of=DAY,
        window="1d",
        by="platform",
    )
    assert made.result.steps == same.steps
    assert "window_days=1" in made.hand.value
