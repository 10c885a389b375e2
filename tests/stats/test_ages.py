import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from growth.errors import DataError, ParameterError
from growth.stats.ages import age_weights, per_unit, trend_arms
from growth.stats.contrast import Contrast
from tests.stats.cases import golden, near


@golden("age_trend")
def test_the_novelty_slope_matches_the_golden_case(case):
    given_, want = case["input"], case["expected"]
    slopes = per_unit(given_["y_by_age"], age_weights(given_["ages"]))
    assert slopes.tolist() == near(want["slope_per_unit"], case)
    arms = trend_arms(given_["y_by_age"], given_["arm"], given_["ages"])
    c = Contrast(arms["0"], arms["1"])
    for name in ("estimate", "se", "df", "p_value"):
        assert getattr(c, name) == near(want[name], case), name


@given(st.lists(st.integers(0, 60), min_size=2, max_size=9, unique=True).map(sorted))
def test_weights_sum_to_zero_and_find_a_slope(ages):
    weights = age_weights(ages)
    assert weights.sum() == pytest.approx(0, abs=1e-9)
    line = 3 + 2.5 * np.array(ages)
    assert per_unit([line], weights)[0] == pytest.approx(2.5)
    assert age_weights(ages, kind="late_minus_early").sum() == pytest.approx(
        0, abs=1e-9
    )


def test_late_minus_early_leaves_the_middle_out():
    weights = age_weights([0, 1, 2, 3, 4], kind="late_minus_early")
    assert weights.tolist() == [-0.5, -0.5, 0, 0.5, 0.5]


def test_correlation_within_a_unit_does_not_raise_false_alarms():
    rng = np.random.default_rng(9)
    alarms = 0
    for _ in range(400):
        level = rng.normal(size=(60, 1)) * 3
        walk = np.cumsum(rng.normal(size=(60, 7)), axis=1)
        arms = trend_arms(level + walk, np.arange(60) % 2, range(7))
        alarms += Contrast(arms["0"], arms["1"]).p_value < 0.05
    assert 0.02 < alarms / 400 < 0.09


@pytest.mark.parametrize(
    ("call", "error", "code"),
    [
        (lambda: age_weights([1]), ParameterError, "bad_ages"),
        (lambda: age_weights([1, 1]), ParameterError, "bad_ages"),
        (lambda: age_weights([1, 2], kind="x"), ParameterError, "unknown_kind"),
        (lambda: per_unit([[1.0, 2.0]], [1.0]), DataError, "length_mismatch"),
        (lambda: per_unit([1.0, 2.0], [1.0, 2.0]), DataError, "length_mismatch"),
    ],
)
def test_misuse_says_what_was_seen(call, error, code):
    with pytest.raises(error, match="must") as info:
        call()
    assert info.value.code == code
