"""What is known of members keeps in step with how many there are."""

import dataclasses
from datetime import date

import numpy as np
import pytest

from growth.errors import ParameterError
from growth.tiers import Habits, Population, load_programme, simulate
from tests.tiers import made

PROGRAMME = load_programme({"tiers": made.TIERS})


def people(members=40, **over):
    given = {"buying": (0.8, 60.0, 0.8, 2.5), "spending": (6.0, 4.0, 40_000.0)}
    given |= {"as_of": date(2025, 12, 31), "seed": 3}
    return Population.from_priors(members, **given | over)


def test_newcomers_have_habits_like_the_mean_of_the_members():
    habits = Habits(
        logins_per_day=np.arange(40.0) / 40, review_rate=[0.5, 1.0] * 20, refund_days=9
    )
    later = people(habits=habits).with_arrivals([date(2026, 1, 5)] * 3)
    grown = later.habits
    assert grown.logins_per_day[:40] == pytest.approx(np.arange(40) / 40)
    assert grown.logins_per_day[40:] == pytest.approx([0.4875] * 3)
    assert grown.review_rate[39:].tolist() == [1.0, 0.75, 0.75, 0.75]
    assert (grown.refund_rate, grown.refund_days) == (0.0, 9)
    assert habits.grown(0).review_rate.tolist() == [0.5, 1.0] * 20
    assert Habits(review_rate=0.2).grown(5) == Habits(review_rate=0.2)


def test_habits_one_a_member_run_as_one_number_does_with_newcomers_too():
    each = people(habits=Habits(review_rate=np.full(40, 0.25, np.float32)))
    one = people(habits=Habits(review_rate=0.25))
    days = [date(2026, 1, 5)] * 30
    how = {"margin_rate": 0.3, "redemption": 0.3, "seed": 7, "months": 6}
    found, expected = (
        simulate(who.with_arrivals(days), PROGRAMME, replications=2, **how)
        for who in (each, one)
    )
    assert found.rows() == expected.rows()


@pytest.mark.parametrize("habit", ["logins_per_day", "review_rate", "refund_rate"])
@pytest.mark.parametrize("shape", [(39,), (41,), (40, 1), (1,)])
def test_habits_of_others_than_the_members_are_refused(habit, shape):
    habits = Habits(**{habit: np.zeros(shape, np.float32)})
    words = f"habits.{habit} is of shape .*; it must be one number, or an array of 40"
    for make in (
        lambda: people(habits=habits),
        lambda: dataclasses.replace(people(), habits=habits),
    ):
        with pytest.raises(ParameterError, match=words) as info:
            make()
        assert info.value.code == "bad_habits"
