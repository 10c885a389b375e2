from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import betaln

from growth.errors import DataError, ParameterError
from growth.stats.bayes import chance_to_win, lift_estimate, lift_posterior, posterior
from growth.stats.contrast import ArmEstimate, Contrast
from growth.stats.proportions import Share
from tests.stats.cases import golden, near


@golden("bayes_normal_lift")
def test_the_posterior_matches_the_golden_cases(case):
    got, want = posterior(**case["input"]), case["expected"]
    names = {"posterior_mean": "mean", "posterior_sd": "sd"}
    for name, value in want.items():
        if name != "ci":
            assert getattr(got, names.get(name, name)) == near(value, case), name
    assert got.interval == near(tuple(want["ci"]), case)


@golden("bayes_beta_binomial")
def test_the_chance_to_win_matches_the_golden_case(case):
    given_ = case["input"]
    got = chance_to_win(
        Share(*given_["control"]),
        Share(*given_["treatment"]),
        prior=tuple(given_["prior"]),
    )
    assert got == near(case["expected"]["chance_to_win"], case)


def finite_sum(a, b):
    (xa, na), (xb, nb) = a, b
    a0, b0, a1, b1 = xa + 1, na - xa + 1, xb + 1, nb - xb + 1
    i = np.arange(a1)
    return float(
        np.exp(
            betaln(a0 + i, b0 + b1)
            - np.log(b1 + i)
            - betaln(1 + i, b1)
            - betaln(a0, b0)
        ).sum()
    )


@given(
    st.integers(0, 400), st.integers(0, 400), st.integers(0, 400), st.integers(0, 400)
)
def test_quadrature_equals_the_finite_sum(xa, more_a, xb, more_b):
    a, b = Share(xa, xa + more_a), Share(xb, xb + more_b)
    assert chance_to_win(a, b) == pytest.approx(finite_sum(a, b), rel=1e-9, abs=1e-11)
    assert chance_to_win(a, b) + chance_to_win(b, a) == pytest.approx(1, abs=1e-9)


def test_the_chance_to_win_at_the_edges():
    nobody = Share(0, 0)
    assert chance_to_win(nobody, nobody) == pytest.approx(0.5)
    assert chance_to_win(nobody, nobody, prior=(0.1, 0.1)) == pytest.approx(0.5)
    assert chance_to_win(nobody, Share(1, 1)) == pytest.approx(2 / 3)
    large = chance_to_win(Share(30_000, 10**6), Share(30_200, 10**6))
    assert large == pytest.approx(stats.norm.cdf(200 / sqrt(60_200 * 0.97)), abs=2e-3)
    assert chance_to_win(Share(0, 10**6), Share(10**6, 10**6)) == pytest.approx(1)


def test_losses_are_the_integrals_they_claim_to_be():
    got = posterior(0.03, 0.05, prior_mean=0.01, prior_sd=0.2)
    x = np.linspace(got.mean - 10 * got.sd, got.mean + 10 * got.sd, 400_001)
    density = stats.norm.pdf(x, got.mean, got.sd)
    for value, loss in (
        (got.expected_loss_ship, np.maximum(-x, 0)),
        (got.expected_loss_keep, np.maximum(x, 0)),
    ):
        assert value == pytest.approx(np.trapezoid(loss * density, x), rel=1e-8)


def test_a_flat_prior_gives_the_frequentist_interval():
    c = Contrast(ArmEstimate(500, 10.0, 0.04), ArmEstimate(500, 10.5, 0.05))
    z = 1.959963984540054
    lift, se = lift_estimate(c)
    assert lift == pytest.approx(0.05)
    assert se == pytest.approx(sqrt(0.05 + 1.05**2 * 0.04) / 10)
    got = lift_posterior(c, prior_sd=None)
    assert got.interval == pytest.approx((0.05 - z * se, 0.05 + z * se), rel=1e-9)
    assert lift_posterior(c).mean < got.mean  # the default prior shrinks


def test_a_control_near_zero_is_unstable():
    near_zero = ArmEstimate(500, 0.9, 0.04)
    assert lift_estimate(Contrast(near_zero, near_zero)) is None
    assert lift_posterior(Contrast(near_zero, near_zero)) is None
    nothing = ArmEstimate(0, None, None)
    assert lift_estimate(Contrast(nothing, near_zero)) is None
    negative = ArmEstimate(500, -10.0, 0.04)
    better = ArmEstimate(500, -9.0, 0.04)
    assert lift_posterior(Contrast(negative, better)).mean > 0


@pytest.mark.parametrize(
    ("call", "error", "code"),
    [
        (lambda: posterior(0.1, 0), ParameterError, "bad_scale"),
        (lambda: posterior(0.1, 1, prior_sd=-1), ParameterError, "bad_scale"),
        (lambda: posterior(0.1, 1, alpha=1), ParameterError, "alpha_out_of_range"),
        (
            lambda: chance_to_win(Share(0, 0), Share(0, 0), prior=(0, 1)),
            ParameterError,
            "bad_scale",
        ),
        (lambda: chance_to_win(Share(3, 2), Share(0, 0)), DataError, "bad_counts"),
    ],
)
def test_misuse_says_what_was_seen(call, error, code):
    with pytest.raises(error, match="must") as info:
        call()
    assert info.value.code == code
