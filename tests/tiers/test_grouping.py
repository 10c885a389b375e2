import math
from datetime import date

import numpy as np
import pytest
from scipy.stats import poisson

from growth.errors import ParameterError
from growth.tiers import Calendar, fill_probability, groups
from tests.tiers import golden

GIVEN = {"group": 3, "joiners_a_day": 1.5, "start": date(2026, 3, 1), "seed": 1}


@golden.starting("group_of_three_fill_")
def test_a_group_fills_with_this_chance(case):
    given = case["input"]
    filled = fill_probability(given["group"], given["mean_joiners"])
    assert filled == pytest.approx(case["expected"]["probability"], abs=1e-8)


@pytest.mark.parametrize("mean", [0, 0.3, 4, 900])
@pytest.mark.parametrize("group", [2, 5, 1000])
def test_a_group_of_any_size_fills_when_enough_join(group, mean):
    expected = poisson.sf(group - 2, mean)
    assert fill_probability(group, mean) == pytest.approx(expected, rel=1e-9, abs=0)


@pytest.mark.parametrize(
    ("group", "joiners", "window"), [(2, 0.5, 1), (3, 3, 1), (3, 1, 0.25), (10, 3, 2.5)]
)
def test_drawn_groups_fill_and_refund_as_often_as_they_should(group, joiners, window):
    asked = {"group": group, "joiners_a_day": joiners, "window_days": window}
    found = groups(200, **GIVEN | asked, days=300)
    closed = found.filled.sum() + found.expired.sum()
    assert closed + found.open_at_end == found.opened.sum()
    assert abs(found.opened.sum() - 60_000) < 4 * math.sqrt(60_000)
    chance = fill_probability(group, joiners * window)
    room = 4 * math.sqrt(closed * chance * (1 - chance)) + found.open_at_end
    assert abs(found.filled.sum() - chance * closed) < room
    assert (found.buyers == group * found.filled).all()
    # who had joined a group that expired: Poisson, below group - 1
    joined = np.arange(group - 1)
    weights = poisson.pmf(joined, joiners * window)
    weights /= weights.sum()
    mean, spread = 1 + joined @ weights, math.sqrt(joined**2 @ weights)
    gone = found.expired.sum()
    assert abs(found.refunded.sum() - mean * gone) <= 4 * spread * math.sqrt(gone)


def test_no_group_expires_before_its_window_is_over():
    found = groups(50, **GIVEN, window_days=3, days=20)
    assert not found.expired[:3].any()
    assert found.expired[3:].all()
    assert found.filled[1] > 0
    again = groups(50, **GIVEN, window_days=3, days=20)
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))
    other = groups(50, **GIVEN | {"seed": 2}, window_days=3, days=20)
    assert (found.opened != other.opened).any()


def test_nobody_joins_and_nothing_opens():
    alone = groups(20, **GIVEN | {"joiners_a_day": 0}, days=10)
    assert not alone.filled.any()
    assert (alone.refunded == alone.expired).all()
    assert alone.expired.sum() > 100
    none = groups(0, **GIVEN, days=10)
    assert none.opened.tolist() == none.expired.tolist() == [0] * 10
    crowd = groups(20, **GIVEN | {"joiners_a_day": 2000, "group": 1000}, days=10)
    assert not crowd.expired.any()
    assert crowd.buyers.sum() == 1000 * crowd.filled.sum() > 0


def test_a_busy_day_opens_more():
    busy = Calendar(days={"2026-03-08": 40.0})
    opened = groups(10, **GIVEN, days=10, calendar=busy).opened
    assert 320 < opened[7] < 480
    assert opened[:7].max() < 40


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fill_probability(1, 2), "group is 1; it must be 2 to 1,000"),
        (lambda: fill_probability(2.5, 2), "group is 2.5; it must be 2 to 1,000, and"),
        (lambda: fill_probability(3, -1), "mean_joiners is -1"),
        (lambda: fill_probability(3, math.nan), "mean_joiners is nan"),
    ],
)
def test_unusable_numbers_are_refused(call, message):
    with pytest.raises(ParameterError, match=message) as info:
        call()
    assert info.value.code == "bad_acquisition"


def test_every_fault_of_groups_is_told_at_once():
    with pytest.raises(ParameterError, match=r"8 fault\(s\)") as info:
        groups(
            -1,
            group=1,
            joiners_a_day=math.inf,
            window_days=0,
            start="2026-03-01",
            days=0,
            seed=None,
            calendar=None,
        )
    assert [fault.name for fault in info.value.faults] == [
        "opened_a_day", "group", "joiners_a_day", "window_days", "days", "seed",
        "start", "calendar",
    ]  # fmt: skip
