import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from growth.errors import ParameterError
from growth.stats.capping import Cap, cap_thresholds, winsorise
from growth.stats.contrast import Contrast
from growth.stats.means import mean
from growth.stats.moments import Moments
from tests.stats.cases import golden, near


@golden("winsorised_mean")
def test_the_capped_mean_matches_the_golden_case(case):
    given_, want = case["input"], case["expected"]
    x, arm = np.array(given_["x"]), np.array(given_["arm"])
    cap = cap_thresholds(x, upper=given_["cap_quantile"], of=given_["of"])
    assert cap.high == want["cap"]
    for name, values in (("capped", winsorise(x, cap)), ("uncapped", x)):
        c = Contrast(*(mean(Moments.of(("x",), values[arm == a])) for a in (0, 1)))
        for field, value in want[name].items():
            assert getattr(c, field) == near(value, case), (name, field)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30))
def test_no_unit_is_dropped_and_nothing_lies_beyond(x):
    cap = cap_thresholds(x, upper=0.9, lower=0.1, of="all")
    capped = winsorise(x, cap)
    assert len(capped) == len(x)
    assert cap.low <= capped.min() <= capped.max() <= cap.high
    inside = (np.array(x) >= cap.low) & (np.array(x) <= cap.high)
    assert np.array_equal(capped[inside], np.array(x)[inside])


def test_the_population_matters():
    x = [0.0] * 99 + [50.0]
    assert cap_thresholds(x, upper=0.9).high == 50
    assert cap_thresholds(x, upper=0.9, of="all").high == 0


def test_a_lower_tail_for_refunds():
    x = np.arange(-100.0, 101.0)
    assert cap_thresholds(x, upper=None, lower=0.05, of="all") == Cap(low=-90.0)


def test_nothing_to_cap():
    assert cap_thresholds([0.0, 0.0]) == Cap()
    assert np.isnan(winsorise([np.nan], Cap(0, 1))[0])


@pytest.mark.parametrize(
    ("kwargs", "code", "message"),
    [
        ({"upper": 99}, "quantile_out_of_range", "must be in"),
        ({"upper": 0.1, "lower": 0.9}, "bad_caps", "swap"),
        ({"of": "positive"}, "unknown_population", "say which"),
    ],
)
def test_misuse_says_what_was_seen(kwargs, code, message):
    with pytest.raises(ParameterError, match=message) as info:
        cap_thresholds([1.0, 2.0], **kwargs)
    assert info.value.code == code
