import numpy as np
import pytest

from growth.errors import DataError, ParameterError
from growth.stats.forecast import fit_curve, predictive

HIGH_END = [869, 743, 653, 593, 551, 517, 491]
REGULAR = [631, 468, 382, 326, 289, 262, 241]


# Fader and Hardie (2007), "How to project customer retention": two segments of 1,000
# customers, seven renewals fitted, the twelfth projected.
@pytest.mark.parametrize(
    ("kept", "a", "b", "log_likelihood", "twelfth"),
    [
        (HIGH_END, 0.668, 3.806, -1611.2, 0.378),
        (REGULAR, 0.704, 1.182, -1680.3, 0.170),
    ],
)
def test_the_published_fits_of_the_shifted_beta_geometric(
    kept, a, b, log_likelihood, twelfth
):
    fit = fit_curve(kept, [1000, *kept[:-1]])
    assert fit.first[0] == pytest.approx(a, abs=5e-4)
    assert fit.second[0] == pytest.approx(b, abs=5e-4)
    assert fit.log_likelihood[0] == pytest.approx(log_likelihood, abs=0.05)
    assert fit.rate([12])[0, 0] == pytest.approx(twelfth, abs=5e-4)
    assert not fit.on_bound[0]


@pytest.mark.parametrize("model", ["sbg", "power"])
def test_the_fit_is_the_optimisers(model):
    from scipy.optimize import minimize

    rng = np.random.default_rng(3)
    k = np.arange(1, 13)
    for _ in range(8):
        n = 5000
        curve = rng.uniform(0.2, 0.6) * ((k + 1) / 2) ** -rng.uniform(0.3, 1)
        kept = np.sort(rng.binomial(n, curve))[::-1]
        of = np.r_[n, kept[:-1]] if model == "sbg" else np.full(12, n)
        fit = fit_curve(kept, of, model=model)

        def loss(at, kept=kept, of=of):
            one, two = np.exp(at)
            if model == "sbg":
                p = (two + k - 1) / (one + two + k - 1)
            else:
                p = one * (k + 1.0) ** -two
            if (p >= 1).any():
                return 1e12
            return -(kept * np.log(p) + (of - kept) * np.log1p(-p)).sum()

        start = np.log([fit.first[0], fit.second[0]]) + 0.3 * rng.normal(size=2)
        best = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-9})
        assert -fit.log_likelihood[0] <= best.fun + 1e-6
        assert fit.first[0] == pytest.approx(np.exp(best.x[0]), rel=1e-3)


@pytest.mark.parametrize("kept", [HIGH_END, REGULAR])
@pytest.mark.parametrize("points", [4, 5, 6])
def test_fewer_points_have_their_own_optimum(kept, points):
    fit = fit_curve(kept[:points], [1000, *kept[: points - 1]])
    assert not fit.on_bound[0]
    assert 0.4 < fit.first[0] < 2


def test_a_planted_power_curve_is_found():
    k = np.arange(1, 31)
    kept = 1e6 * 0.47 * (k + 1.0) ** -0.65
    fit = fit_curve(kept, np.full(30, 1e6), model="power")
    assert [fit.first[0], fit.second[0]] == pytest.approx([0.47, 0.65], rel=1e-6)


@pytest.mark.parametrize("model", ["sbg", "power"])
def test_the_interval_holds_what_others_will_do(model):
    rng = np.random.default_rng(8)
    n, k = 2000, np.arange(1, 15)

    def counted():
        if model == "sbg":
            left = rng.geometric(rng.beta(0.7, 1.6, n))
            return np.array([(left > t).sum() for t in k])
        return rng.binomial(n, 0.45 * (k + 1.0) ** -0.6)

    held = []
    for run in range(100):
        alive, later = counted(), counted()[8:] / n
        of = np.r_[n, alive[:-1]] if model == "sbg" else np.full(len(k), n)
        fit = fit_curve(alive[:8], of[:8], model=model)
        users = np.full(6, n)
        low, high = predictive(fit, of[:8], k=k[8:], n=users, draws=200, seed=run)
        held += ((later >= low) & (later <= high)).tolist()
    assert 0.91 < np.mean(held) < 0.98


def test_a_row_of_replicates_is_fitted_as_each_alone():
    rows = np.array([HIGH_END, REGULAR])
    of = np.column_stack([[1000, 1000], rows[:, :-1]])
    both = fit_curve(rows, of)
    for i in range(2):
        alone = fit_curve(rows[i], of[i])
        assert both.first[i] == pytest.approx(alone.first[0], rel=1e-9)


def test_nobody_lost_is_a_fit_on_its_bound():
    assert fit_curve([50] * 6, [50] * 6).on_bound[0]
    assert fit_curve([10, 12, 15, 20], [50] * 4, model="power").on_bound[0]


@pytest.mark.parametrize(
    ("given", "error", "words", "code"),
    [
        (([1, 1, 1], [2, 1, 1], "sbg"), ParameterError, "3 points", "too_few_points"),
        (([1] * 4, [2] * 4, "sgb"), ParameterError, "'sgb'", "unknown_model"),
        (([3, 1, 1, 1], [2, 3, 1, 1], "sbg"), DataError, "0..of", "bad_counts"),
        (([1] * 4, [2] * 5, "power"), DataError, "one shape", "bad_counts"),
    ],
)
def test_refuses_what_cannot_be_fitted(given, error, words, code):
    kept, of, model = given
    with pytest.raises(error, match=words) as info:
        fit_curve(kept, of, model=model)
    assert info.value.code == code
