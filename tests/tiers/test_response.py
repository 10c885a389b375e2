"""A stated uplift, drawn anew each replication."""

from math import exp

import numpy as np
import pytest

from growth.errors import ParameterError
from growth.tiers import Response


def test_no_draw_reaches_farther_than_what_draws_are_made_for():
    response = Response(beta=((0.1, 0.2), (0.3, 0.1)), gamma=(0.2, 0.1))
    drawn = np.array([response.at(2, seed=1, replication=r) for r in range(600)])
    gamma, _, *beta = drawn.T
    most = np.max(beta, axis=0) * (1 + gamma)
    assert most.max() <= response.widest
    for draws, mean, sd in ((gamma, 0.2, 0.1), (np.log(beta[0]), 0.1, 0.2)):
        assert np.abs(draws - mean).max() == pytest.approx(2 * sd)
        assert draws.mean() == pytest.approx(mean, abs=4 * sd / 600**0.5)
        assert draws.std() == pytest.approx(0.96 * sd, rel=0.1)  # of 1 without ends


def test_the_means_are_what_was_stated():
    response = Response(beta=((0, 0), (0.3, 0.1)), gamma=(-0.2, 0.1))
    stated = [0.0, 0.3, 1.0, exp(0.3), exp(0.3)]
    assert response.at(3, seed=1, replication=None) == pytest.approx(stated)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"beta": 0.1}, r"beta is 0\.1; it must be a sequence of \(mean, sd\), one a"),
        (
            {"beta": [0.1, 0.2]},
            r"beta\[0\] is 0\.1; it must be \(mean, sd\), .* sd 0 or",
        ),
        ({"beta": [("a", 1)]}, r"beta\[0\] is \('a', 1\)"),
        ({"beta": [(0.1, -1)]}, r"beta\[0\] is \(0\.1, -1\)"),
        ({"beta": [(0.1, 0.2, 0.3)]}, "Take both from an experiment"),
        ({"beta": [(1000, 0)]}, "within 100"),
        ({"beta": [(float("nan"), 0)]}, r"beta\[0\] is \(nan, 0\)"),
        ({"beta": "no"}, "beta is 'no'"),
        ({"beta": None}, "beta is None"),
        ({"gamma": 0.3}, r"gamma is 0\.3; it must be \(mean, sd\)"),
        ({"gamma": None}, "gamma is None"),
        ({"delta": "x"}, "delta is 'x'; it must be a number, above 0 and at most 1"),
        ({"delta": None}, "delta is None"),
        ({"delta": 0}, "delta is 0"),
        ({"delta": float("nan")}, "delta is nan"),
    ],
)
def test_what_is_no_prior_is_refused(given, message):
    with pytest.raises(ParameterError, match=message) as info:
        Response(**given)
    assert info.value.code == "bad_response"


def test_every_fault_of_a_prior_is_told_at_once():
    with pytest.raises(ParameterError, match=r"4 fault\(s\)"):
        Response(beta=[0.1, 0.2], gamma=0.3, delta=2)
    assert Response(beta=np.array([[0.1, 0.02]])).widest == pytest.approx(exp(0.14))
