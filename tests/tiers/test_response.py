"""A stated uplift, drawn anew each replication."""

from math import exp

import numpy as np
import pytest

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
