from datetime import date, timedelta

import numpy as np
import pytest

from growth.errors import DataError, ParameterError
from growth.tiers import Calendar, estimate_calendar
from growth.tiers.seasons import months_of_year

EPOCH = date(1970, 1, 1)


def number(*ymd):
    return (date(*ymd) - EPOCH).days


def test_a_days_multiple_is_of_its_weekday_month_and_name():
    profile = Calendar(
        weekday=(1, 1, 1, 1, 1, 2, 3), month=(0.5, *(1,) * 11),
        days={"2026-01-03": 4.0, "2030-01-01": 9.0},
    )  # fmt: skip
    start = number(2025, 12, 31)  # a Wednesday
    assert profile.multiples(start, start + 5).tolist() == [1, 0.5, 0.5, 4.0, 1.5]
    assert not profile.flat
    assert Calendar().flat


def test_a_profile_planted_in_two_years_is_found():
    weekday = np.array([0.8, 0.9, 1, 1, 1.1, 1.2, 1.0])
    month = 1 + 0.4 * np.sin(np.arange(12))
    truth = Calendar(
        weekday=tuple(weekday / weekday.mean()), month=tuple(month / month.mean())
    )
    start = number(2023, 1, 1)
    days = np.arange(start, start + 731)
    counts = np.random.default_rng(1).poisson(
        2000 * truth.multiples(start, start + 731)
    )
    found = estimate_calendar(days, counts)
    assert found.weekday == pytest.approx(truth.weekday, abs=0.02)
    assert found.month == pytest.approx(truth.month, abs=0.02)


def test_one_year_cannot_tell_a_season_from_a_trend():
    start = number(2024, 1, 1)
    days = np.arange(start, start + 400)
    with pytest.raises(DataError, match=r"1\.10 years; a season must be seen") as info:
        estimate_calendar(days, np.ones(400))
    assert info.value.code == "too_few_cycles"


@pytest.mark.parametrize(
    "given", [{"weekday": (1.0,) * 6}, {"month": (0.0,) * 12}, {"days": {"x": -1.0}}]
)
def test_what_is_no_profile_is_refused(given):
    with pytest.raises(ParameterError, match="it must have 7 and 12") as info:
        Calendar(**given)
    assert info.value.code == "bad_calendar"


def test_months_touched_by_a_span():
    start = number(2025, 11, 30)
    assert months_of_year(start, start + 3) == {11, 12}
    assert months_of_year(start, start) == frozenset()
    assert months_of_year(start, start + 800) == frozenset(range(1, 13))
    assert EPOCH + timedelta(days=start) == date(2025, 11, 30)


def test_a_named_day_that_is_no_date_is_refused():
    with pytest.raises(ParameterError, match=r"the day '11.11'.* write it as") as info:
        Calendar(days={"11.11": 3.0})
    assert info.value.code == "bad_calendar"
