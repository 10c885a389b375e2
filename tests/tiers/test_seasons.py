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


def two_years(**closed):
    """Days and counts of 100, 0 where a weekday or month is closed."""
    start = number(2023, 1, 1)
    days = np.arange(start, start + 731)
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(int) % 12
    shut = ((days + 3) % 7 == closed.get("weekday")) | (months == closed.get("month"))
    return days, np.where(shut, 0.0, 100.0)


def test_a_shop_that_is_closed_on_a_weekday_has_a_profile():
    """Nobody orders on Sundays; what the other days say stands."""
    found = estimate_calendar(*two_years(weekday=6))
    assert found.weekday == pytest.approx((7 / 6,) * 6 + (1e-6,))
    assert found.month == pytest.approx((1.0,) * 12)
    found = estimate_calendar(*two_years(month=1))
    assert found.month[1] == 1e-6
    assert found.month[0] == pytest.approx(12 / 11, rel=0.01)


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (lambda d, n: (d, n[1:]), "bad_counts", r"shape \(731,\), counts of \(730,\)"),
        (lambda d, n: (d, n.sum()), "bad_counts", r"counts of \(\)"),
        (lambda d, n: (d, np.where(d == d[5], np.nan, n)), "bad_counts",
         "a count is nan; .* a count of 0 or more for each"),
        (lambda d, n: (d, -n), "bad_counts", "a count is -100"),
        (lambda d, n: (d, n * np.inf), "bad_counts", "a count is inf"),
        (lambda d, n: (np.where(d == d[5], d[4], d), n), "bad_counts",
         "day 19362 is named twice"),
        (lambda d, n: (d + 0.5, n), "bad_counts", r"a day is 19358\.5"),
        (lambda d, n: (d * np.nan, n), "bad_counts", "a day is nan"),
        (lambda d, n: ([date(2024, 1, 1)] * len(d), n), "bad_counts", "days are"),
        (lambda d, n: (d, 0 * n), "bad_counts", "0 on every day"),
        (lambda d, n: (d[[0, -1]], n[[0, -1]]), "missing_days",
         r"weekdays 1, 3, 4, 5, 6 \(Monday is 1\) are never seen"),
        (lambda d, n: (d[(d + 3) % 7 != 6], n[(d + 3) % 7 != 6]), "missing_days",
         "weekdays 7 .*; a day without orders is a count of 0: add it"),
        (lambda d, n: (np.r_[d[:200], d[-5:]], np.r_[n[:200], n[-5:]]), "missing_days",
         "months 8, 9, 10, 11 "),
        (lambda d, n: (d[:0], n[:0]), "too_few_cycles", r"span 0\.00 years"),
    ],
)  # fmt: skip
def test_counts_that_tell_no_season_are_refused(change, code, message):
    with pytest.raises(DataError, match=message) as info:
        estimate_calendar(*change(*two_years()))
    assert info.value.code == code


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"weekday": (1.0,) * 6}, "weekday is .* 7 numbers above 0 .* Monday's first"),
        ({"weekday": 1}, "weekday is 1; it must be 7 numbers"),
        ({"weekday": "1111111"}, "weekday is '1111111'"),
        ({"weekday": np.array(1.0)}, r"weekday is array\(1\.\)"),
        ({"month": (0.0,) * 12}, "12 numbers above 0 and at most 1,000,000, January's"),
        ({"month": (float("nan"),) * 12}, r"month is \(nan,"),
        ({"month": (float("inf"),) * 12}, r"month is \(inf,"),
        ({"month": ("a",) * 12}, r"month is \('a',"),
        ({"month": None}, "month is None"),
        ({"days": {"2026-11-11": -1.0}}, r"days\['2026-11-11'\] is -1\.0; it must"),
        ({"days": {"2026-11-11": float("nan")}}, r"days\['2026-11-11'\] is nan"),
        ({"days": {"2026-11-11": "3"}}, r"days\['2026-11-11'\] is '3'"),
        ({"days": [1]}, r"days is \[1\]; it must be a mapping"),
        (
            {"days": {"11.11": 3.0}},
            "a day is '11.11'; it must be an ISO date. Write it",
        ),
        ({"days": {date(2026, 11, 11): 3.0}}, "Write it as 2026-11-11"),
    ],
)
def test_what_is_no_profile_is_refused(given, message):
    with pytest.raises(ParameterError, match=message) as info:
        Calendar(**given)
    assert info.value.code == "bad_calendar"


def test_every_fault_of_a_profile_is_told_at_once():
    with pytest.raises(ParameterError, match=r"4 fault\(s\)"):
        Calendar(weekday=1, month=2, days={"x": -1.0})
    given = Calendar(weekday=np.ones(7), month=[2] * 12)
    assert given == Calendar(month=(2.0,) * 12)


def test_months_touched_by_a_span():
    start = number(2025, 11, 30)
    assert months_of_year(start, start + 3) == {11, 12}
    assert months_of_year(start, start) == frozenset()
    assert months_of_year(start, start + 800) == frozenset(range(1, 13))
    assert EPOCH + timedelta(days=start) == date(2025, 11, 30)
