"""What is known of members keeps in step with how many there are."""

import dataclasses
from datetime import date

import numpy as np
import pandas as pd
import pytest

from growth.errors import ParameterError
from growth.tiers import (
    Calendar,
    Habits,
    Population,
    arrivals,
    groups,
    load_programme,
    simulate,
)
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


@pytest.mark.parametrize("given", [5, "x", {"review_rate": 0.1}])
def test_what_are_no_habits_is_refused(given):
    for make in (
        lambda: people(habits=given),
        lambda: dataclasses.replace(people(), habits=given),
    ):
        with pytest.raises(ParameterError, match=r"it must be Habits\. Write") as info:
            make()
        assert info.value.code == "bad_habits"


@pytest.mark.parametrize("given", [5, "x", None, {"month": (1,) * 12}])
def test_what_is_no_calendar_is_refused(given):
    start = {"start": date(2026, 1, 1), "days": 9, "seed": 1}
    for make in (
        lambda: people(calendar=given),
        lambda: dataclasses.replace(people(), calendar=given),
        lambda: arrivals(2, **start, calendar=given),
        lambda: groups(2, group=3, joiners_a_day=3, **start, calendar=given),
    ):
        with pytest.raises(ParameterError, match="it must be a Calendar") as info:
            make()
        assert info.value.code == "bad_calendar"
    assert people(calendar=Calendar(month=(2,) * 12)).cap == 4


LOCAL = pd.date_range("2026-03-02", periods=3, tz="Asia/Shanghai")


@pytest.mark.parametrize(
    "days",
    [
        LOCAL,
        LOCAL.to_series(),
        list(LOCAL),
        LOCAL.tz_convert("UTC").to_pydatetime().tolist(),
        ["2026-03-02", "2026-03-02T00:00:00+08:00"],
        ["2026-03-01 16:00Z"],
    ],
)
def test_times_with_a_zone_are_no_days_of_joining(days):
    """Of midnight in Shanghai, NumPy made the day before."""
    with pytest.raises(ParameterError, match="take the local day first") as info:
        people().with_arrivals(days)
    assert info.value.code == "bad_arrivals"


@pytest.mark.parametrize(
    "days",
    [
        LOCAL.date,
        LOCAL.tz_localize(None),
        ["2026-03-02", "2026-03-03 12:30", "2026-03-04T23:59:59"],
        [20_514, 20_515.0, np.int16(20_516)],
    ],
)
def test_days_of_joining_are_days_however_written(days):
    joined = people().with_arrivals(days).joined[40:]
    assert joined.tolist() == [20_514, 20_515, 20_516]


@pytest.mark.parametrize(
    "days", [[np.nan], [1e12], [np.inf], [20_514.5], ["soon"], [None], [[20_514]], 3]
)
def test_what_are_no_days_of_joining_is_refused(days):
    with pytest.raises(ParameterError, match="it must be a list of days") as info:
        people().with_arrivals(days)
    assert info.value.code == "bad_arrivals"


@pytest.mark.parametrize("days", [0, -1, float("nan"), 1.5, "7", None])
def test_days_counted_back_are_a_count(days):
    with pytest.raises(ParameterError, match="it must be a whole number, 1") as info:
        people().newcomers_a_day(days)
    assert info.value.code == "bad_days"
    assert people().newcomers_a_day(np.int64(8)) == people().newcomers_a_day(8.0) == 5


def test_nobody_known_joined_after_the_last_day_known():
    words = "joined is 2026-01-01; it must be as_of, 2025-12-31, or before. Add who"
    with pytest.raises(ParameterError, match=words) as info:
        people(joined=date(2026, 1, 1))
    assert info.value.code == "bad_population"
    assert people(joined=date(2025, 12, 31)).newcomers_a_day(1) == 40


def test_a_seed_is_taken_modulo_two_to_the_64():
    """The draws of a large one are those of its 64 bits, and of no smaller one."""

    def rates(seed):
        return people(400, seed=seed).pick().kept[0]

    one = rates(2**63)
    assert np.array_equal(one, rates(2**63 + 2**64))
    assert not np.array_equal(one, rates(0))
    assert not np.array_equal(rates(2**64 - 1), rates(2**63 - 1))
    assert np.array_equal(rates(5), rates(5 + 2**64))


def test_the_key_of_a_large_seed_is_the_references():
    from growth.tiers import kernels, keyed
    from growth.tiers.keyed import signed

    for seed in (0, 7, 2**63 - 1, 2**63, 2**64 - 1, 2**64 + 3):
        key = np.uint64(kernels.key_of(signed(seed), 2, 11))
        assert key == keyed.key(seed, 2, [11])[0]
