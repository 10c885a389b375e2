import numpy as np
import pandas as pd
import pytest

from growth.errors import DataError, ParameterError
from growth.stats import gamma_gamma
from tests.stats.histories import cents, histories, purchase_days
from tests.tiers import golden


def drawn(members=4000, p=5.0, q=4.0, v=60.0, seed=2):
    rng = np.random.default_rng(seed)
    n = rng.integers(1, 8, members)
    scale = rng.gamma(q, 1 / v, members)
    return n, rng.gamma(p * n, 1 / (n * scale))


@pytest.mark.real_data
def test_cdnow_is_fitted_as_published(real_data):
    days = purchase_days(real_data("cdnow_sample.txt"))
    known = histories(days, pd.Timestamp("1997-09-30"))
    again = known.x > 0
    fit = gamma_gamma.fit(known.x[again], cents(known.repeat_mean[again]))
    seen = fit.params._asdict() | {
        "loglik": fit.loglik,
        "population_mean": fit.params.population_mean,
        "corr_frequency_spend": fit.correlation,
        "customers": fit.customers,
    }
    allowed = golden.CASES["gamma_gamma_fit_cdnow"]["tolerance"] | {"customers": 0}
    expected = golden.given("gamma_gamma_fit_cdnow")[1] | {"customers": 946}
    for name, value in expected.items():
        assert seen[name] == pytest.approx(value, abs=allowed[name]), name
    assert fit.notices == ()


def test_one_customer_as_published():
    given, expected = golden.given("gamma_gamma_conditional")
    params = [given[name] for name in ("p", "q", "v")]
    value = gamma_gamma.expected_mean(params, [given["x"]], [given["mean"]])
    assert value[0] == pytest.approx(expected["value"], abs=1e-5)


def test_the_truth_is_found_again_and_the_unit_of_money_does_not_matter():
    n, m = drawn()
    fit = gamma_gamma.fit(n, m)
    assert fit.params == pytest.approx((5.0, 4.0, 60.0), rel=0.15)
    fen = gamma_gamma.fit(n, m * 100)
    assert fen.params[:2] == pytest.approx(fit.params[:2], rel=1e-3)
    assert fen.params.v == pytest.approx(100 * fit.params.v, rel=1e-3)
    assert fen.loglik == pytest.approx(fit.loglik - len(n) * np.log(100), rel=1e-9)
    assert abs(fit.correlation) < 0.1


def test_weights_stand_for_customers():
    n, m = drawn(300)
    once = gamma_gamma.fit(np.tile(n, 2), np.tile(m, 2))
    weighted = gamma_gamma.fit(n, m, np.full(300, 2))
    assert weighted.customers == 600
    assert weighted.loglik == pytest.approx(once.loglik, rel=1e-9)


def test_the_slope_is_that_of_the_likelihood():
    n, m = drawn(100)
    at, w = np.log([4.0, 3.0, 50.0]), np.ones(100)
    data = (n.astype(float), m, w, gamma_gamma._by_count(n.astype(float), w))
    _, slope = gamma_gamma._loss(at, *data)
    for i, step in enumerate(np.eye(3) * 1e-6):
        up = gamma_gamma._loss(at + step, *data)[0]
        down = gamma_gamma._loss(at - step, *data)[0]
        assert slope[i] == pytest.approx((up - down) / 2e-6, rel=1e-5, abs=1e-4)


def test_one_density_integrates_to_one():
    x = np.linspace(0.01, 4000, 400_000)
    density = np.exp(
        [gamma_gamma.loglik((5.0, 4.0, 60.0), [2], [v]) for v in x[::2000]]
    )
    assert density.sum() * (x[1] - x[0]) * 2000 == pytest.approx(1.0, abs=0.02)


def test_equal_amounts_meet_a_bound_and_say_so():
    fit = gamma_gamma.fit([3, 4, 5], [10.0, 10.0, 10.0])
    assert fit.notices == ("spend_model_at_bound",)
    assert fit.correlation is None
    assert gamma_gamma.expected_mean(fit.params, [3], [10.0])[0] == pytest.approx(
        10, rel=0.05
    )


def test_a_mean_lies_between_the_customers_own_and_the_populations():
    params = (5.0, 4.0, 60.0)
    everyone = gamma_gamma.Params(*params).population_mean
    few, many, none = gamma_gamma.expected_mean(params, [1, 50, 0], [40.0, 40.0, -1])
    assert 40 < many < few < everyone
    assert none == pytest.approx(everyone)


@pytest.mark.parametrize(
    ("call", "error", "code", "message"),
    [
        (
            lambda: gamma_gamma.fit([1, 2], [3.0, 0.0]),
            DataError,
            "amount_not_positive",
            "m falls to 0",
        ),
        (lambda: gamma_gamma.fit([0], [3.0]), DataError, "bad_history", "x falls to 0"),
        (lambda: gamma_gamma.fit([], []), DataError, "no_customers", "no customers"),
        (
            lambda: gamma_gamma.expected_mean((1, 0.5, 1), [1], [1]),
            ParameterError,
            "bad_model_parameters",
            r"q is 0\.5",
        ),
        (
            lambda: gamma_gamma.loglik((1, 0, 1), [1], [1]),
            ParameterError,
            "bad_model_parameters",
            "above 0",
        ),
    ],
)
def test_errors_say_what_was_seen(call, error, code, message):
    with pytest.raises(error, match=message) as info:
        call()
    assert info.value.code == code
