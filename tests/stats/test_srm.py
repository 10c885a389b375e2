from math import exp, sqrt

import numpy as np
import pytest

from growth.errors import DataError, ParameterError
from growth.stats.srm import GRID, dirichlet_multinomial, running_split
from tests.stats.cases import golden, near


@golden("srm_dirichlet_multinomial", "srm_dirichlet_multinomial_grid")
def test_sequential_srm_matches_the_golden_cases(case):
    given_ = case["input"]
    got = dirichlet_multinomial(
        given_["counts"], given_["weights"], concentration=given_.get("concentration")
    )
    assert got.log_bayes_factor == near(case["expected"]["log_bayes_factor"], case)
    assert got.p_value == near(case["expected"]["p_value"], case)


@golden("srm_dirichlet_multinomial_grid")
def test_the_default_grid_is_the_one_of_the_golden_cases(case):
    assert [k for k, _ in GRID] == case["input"]["concentrations"]
    assert [w for _, w in GRID] == pytest.approx(case["input"]["mixture_weights"])


def test_two_units_can_be_done_by_hand():
    # one unit an arm, k = 2: B(2, 2) / B(1, 1) / (1/4) = 2/3
    got = dirichlet_multinomial([1, 1], [3, 3], concentration=2)
    assert exp(got.log_bayes_factor) == pytest.approx(2 / 3)
    assert got.p_value == 1


def test_it_is_a_martingale_under_the_plan():
    # averaged over the next unit, the Bayes factor stays where it is
    weights, counts = [0.2, 0.3, 0.5], [7, 2, 9]
    now = exp(dirichlet_multinomial(counts, weights).log_bayes_factor)
    later = 0.0
    for i, w in enumerate(weights):
        more = [c + (i == j) for j, c in enumerate(counts)]
        later += w * exp(dirichlet_multinomial(more, weights).log_bayes_factor)
    assert later == pytest.approx(now, rel=1e-9)


def test_looking_daily_keeps_the_error():
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(300):
        days = np.cumsum(rng.multinomial(200, [0.5, 0.5], size=20), axis=0)
        alarms += running_split(days.tolist(), [1, 1])[-1] < 0.05
    assert alarms / 300 < 0.05 + 3 * sqrt(0.05 * 0.95 / 300)


def test_p_never_rises_over_looks():
    looks = [[10, 10], [600, 400], [1000, 1000]]
    p = running_split(looks, [1, 1])
    assert p[0] == 1
    assert p[1] == p[2] < 1e-6


@pytest.mark.parametrize(
    ("counts", "weights", "kwargs", "error", "code"),
    [
        ([1], [1], {}, ParameterError, "bad_weights"),
        ([1, 2], [1, 0], {}, ParameterError, "bad_weights"),
        ([1, 2, 3], [1, 1], {}, ParameterError, "bad_weights"),
        ([1, 2], [1, 1], {"concentration": 0}, ParameterError, "bad_weights"),
        ([-1, 2], [1, 1], {}, DataError, "bad_counts"),
    ],
)
def test_misuse_says_what_was_seen(counts, weights, kwargs, error, code):
    with pytest.raises(error, match=r"must|above 0") as info:
        dirichlet_multinomial(counts, weights, **kwargs)
    assert info.value.code == code
