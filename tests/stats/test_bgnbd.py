import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from growth.errors import DataError, ParameterError
from growth.stats import bgnbd
from tests.stats.histories import histories, purchase_days
from tests.tiers import golden

WEEK = (0.243, 4.414, 0.793, 2.426)
CALIBRATION = pd.Timestamp("1997-09-30")


@pytest.fixture(scope="module")
def cdnow(real_data):
    days = purchase_days(real_data("cdnow_sample.txt"))
    return histories(days, CALIBRATION, decimals=2), days


def drawn(members=3000, seed=5, *, weeks=60):
    """Customers of a known model; whole days."""
    rng = np.random.default_rng(seed)
    t = rng.integers(7, weeks * 7, members)
    rate, leave = rng.gamma(0.8, 1 / 6, members), rng.beta(0.9, 2.5, members)
    x, last = np.zeros(members, int), np.zeros(members)
    for i in range(members):
        clock = rng.exponential(1 / rate[i])
        while clock <= t[i] / 7:
            x[i], last[i] = x[i] + 1, clock
            if rng.random() < leave[i]:
                break
            clock += rng.exponential(1 / rate[i])
    return x, np.floor(last * 7) / 7, t / 7


@pytest.mark.real_data
def test_cdnow_is_fitted_as_published(cdnow):
    (x, t_x, t, _), days = cdnow
    _, expected = golden.given("cdnow_summary")
    assert (len(x), int(x.sum())) == (2357, expected["repeat_purchase_days"])
    later = days[(days.day > CALIBRATION) & (days.day <= pd.Timestamp("1998-06-30"))]
    bought = later.customer.isin(days[days.day <= CALIBRATION].customer)
    assert int(bought.sum()) == expected["holdout_repeat_purchase_days_39w"]
    fit = bgnbd.fit(x, t_x, t)
    tolerance = golden.CASES["bgnbd_fit_cdnow"]["tolerance"]
    seen = fit.params._asdict() | {"loglik": fit.loglik}
    for name, value in golden.given("bgnbd_fit_cdnow")[1].items():
        assert seen[name] == pytest.approx(value, abs=tolerance[name]), name
    assert (fit.fallback, fit.notices, fit.customers) == (False, (), 2357)
    ahead = bgnbd.expected(fit.params, x, t_x, t, 39).sum()
    assert ahead == pytest.approx(1653.4, abs=1.0)
    given_, expected = golden.given("bgnbd_loglik_rounded")
    published = [given_[name] for name in ("r", "alpha", "a", "b")]
    assert bgnbd.loglik(published, x, t_x, t) == pytest.approx(
        expected["loglik"], abs=1e-4
    )


@pytest.mark.real_data
def test_uci_falls_back_to_nbd_and_says_so(real_data):
    rows = pd.read_parquet(real_data("uci_online_retail_invoices.parquet"))
    rows = rows[~rows.is_cancellation & (rows.amount_gbp > 0)]
    days = rows.assign(customer=rows.customer_id, day=rows.ts.dt.normalize())
    days = days.groupby(["customer", "day"], as_index=False).amount_gbp.sum()
    days = days.rename(columns={"amount_gbp": "amount"})
    given_, expected = golden.given("nbd_fallback_uci")
    x, t_x, t, _ = histories(days, pd.Timestamp(given_["as_of"]))
    fit = bgnbd.fit(x, t_x, t)
    assert len(x) == expected["customers"]
    assert fit.fallback
    assert fit.notices == (expected["notice"],)
    assert fit.params.r == pytest.approx(expected["r"], abs=0.002)
    assert fit.params.alpha == pytest.approx(expected["alpha"], abs=0.03)
    assert fit.loglik == pytest.approx(expected["loglik"], abs=0.05)
    assert fit.bgnbd_loglik == pytest.approx(expected["bgnbd_loglik"], abs=0.05)
    assert fit.bgnbd.dropout_share < expected["dropout_share_below"]
    assert np.log(fit.bgnbd.b) <= given_["bounds_on_logs"]["b"][1] + 1e-9


def test_one_customer_as_published():
    given_, expected = golden.given("bgnbd_conditional_expectation")
    one = [given_["x"]], [given_["t_x"]], [given_["T"]]
    value = bgnbd.expected(WEEK, *one, given_["t"])
    assert value[0] == pytest.approx(expected["value"], abs=1e-5)
    assert bgnbd.p_alive(WEEK, *one)[0] == pytest.approx(expected["p_alive"], abs=1e-5)
    given_, _ = golden.given("bgnbd_p_alive_no_repeat")
    assert bgnbd.p_alive(WEEK, [0], [0], [given_["T"]])[0] == 1.0


def test_a_new_customer_as_published():
    given_, expected = golden.given("bgnbd_unconditional")
    params = [given_[name] for name in ("r", "alpha", "a", "b")]
    assert bgnbd.expected_new(params, given_["t"]) == pytest.approx(
        expected["values"], abs=1e-6
    )


def test_a_million_drawn_from_the_priors_buy_as_the_closed_form_says():
    given_, expected = golden.given("bgnbd_simulated")
    counts = bgnbd.sample(WEEK, given_["t"], members=given_["members"], seed=3)
    allowed = golden.CASES["bgnbd_simulated"]["tolerance"]
    for at, room in enumerate(allowed["mean_abs"]):
        assert counts[:, at].mean() == pytest.approx(expected["mean"][at], abs=room)
        none = (counts[:, at] == 0).mean()
        assert none == pytest.approx(
            expected["share_zero"][at], abs=allowed["share_abs"]
        )
    assert (np.diff(counts) >= 0).all()


def test_the_likelihood_of_one_customer_is_its_integral():
    """An oracle that uses neither gamma nor beta functions of the model."""
    r, alpha, a, b = 1.4, 3.0, 1.2, 2.2
    from scipy.stats import beta, gamma

    rate, leave = gamma(r, scale=1 / alpha), beta(a, b)
    x, t_x, t = 3, 5.0, 9.0
    stay = quad(lambda v: v**x * np.exp(-v * t) * rate.pdf(v), 0, np.inf)[0]
    gone = quad(lambda v: v**x * np.exp(-v * t_x) * rate.pdf(v), 0, np.inf)[0]
    kept = quad(lambda p: (1 - p) ** x * leave.pdf(p), 0, 1)[0]
    left = quad(lambda p: p * (1 - p) ** (x - 1) * leave.pdf(p), 0, 1)[0]
    both = kept * stay + left * gone
    assert bgnbd.loglik((r, alpha, a, b), [x], [t_x], [t]) == pytest.approx(
        np.log(both), abs=1e-8
    )
    assert bgnbd.p_alive((r, alpha, a, b), [x], [t_x], [t])[0] == pytest.approx(
        kept * stay / both, abs=1e-8
    )


@pytest.mark.parametrize("a", [0.5, 1.0, 2.0])
def test_gradients_are_those_of_the_likelihood(a):
    x, t_x, t = drawn(200)
    cells = bgnbd._count(*bgnbd._checked(x, t_x, t, None))
    at = np.log([0.7, 5.0, a, 2.0])
    for score, logs in ((bgnbd._bgnbd, at), (bgnbd._nbd, at[:2])):
        _, slope = score(logs, cells)
        for i, step in enumerate(np.eye(len(logs)) * 1e-6):
            up, down = score(logs + step, cells)[0], score(logs - step, cells)[0]
            assert slope[i] == pytest.approx((up - down) / 2e-6, rel=1e-5, abs=1e-4)


def test_counting_alike_customers_and_their_order_change_nothing():
    x, t_x, t = drawn(400)
    fit = bgnbd.fit(x, t_x, t)
    once = bgnbd.fit(np.tile(x, 3)[::-1], np.tile(t_x, 3)[::-1], np.tile(t, 3)[::-1])
    weighted = bgnbd.fit(x, t_x, t, np.full(400, 3))
    assert weighted.customers == once.customers == 1200
    assert weighted.loglik == pytest.approx(once.loglik, rel=1e-12)
    assert once.loglik == pytest.approx(3 * fit.loglik, rel=1e-9)
    assert weighted.params == pytest.approx(fit.params, rel=1e-3)


def test_many_histories_are_started_on_a_coarser_summary(monkeypatch):
    x, t_x, t = drawn(1500)
    fine = bgnbd.fit(x, t_x, t)
    monkeypatch.setattr(bgnbd, "MANY_CELLS", 10)
    coarse = bgnbd.fit(x, t_x, t)
    assert coarse.loglik == pytest.approx(fine.loglik, abs=1e-3)


def test_no_start_does_better_than_the_fit():
    x, t_x, t = drawn()
    fit = bgnbd.fit(x, t_x, t)
    rng = np.random.default_rng(0)
    for around in np.exp(rng.normal(0, 0.3, (50, 4))) * fit.params:
        assert bgnbd.loglik(around, x, t_x, t) <= fit.loglik


@given(
    st.integers(0, 40), st.floats(0, 1), st.floats(0.1, 200), st.sampled_from([1, 0.8])
)
def test_expectations_are_sane(x, share, t, a):
    t_x = share * t if x else 0.0
    params = (0.243, 4.414, a, 2.426)
    alive = bgnbd.p_alive(params, [x], [t_x], [t])[0]
    assert 0 <= alive <= 1
    near, far = (bgnbd.expected(params, [x], [t_x], [t], h)[0] for h in (10, 20))
    assert 0 <= near <= far + 1e-9
    assert bgnbd.expected(params, [x], [t_x], [t], 0)[0] == pytest.approx(0, abs=1e-9)
    nbd = bgnbd.Params(0.5, 3.0, 0.0, 1.0)
    assert bgnbd.expected(nbd, [x], [t_x], [t], 10)[0] == pytest.approx(
        10 * (0.5 + x) / (3 + t)
    )
    assert bgnbd.p_alive(nbd, [x], [t_x], [t])[0] == 1.0


def test_nobody_leaves_under_nbd():
    nbd = bgnbd.Params(0.5, 3.0, 0.0, 1.0)
    assert nbd.dropout_share == 0
    assert bgnbd.expected_new(nbd, 6) == pytest.approx(1.0)
    counts = bgnbd.sample(nbd, [6.0], members=20_000, seed=1)
    assert counts.mean() == pytest.approx(1.0, abs=0.06)
    x, t_x, t = drawn(50)
    assert bgnbd.loglik(nbd, x, t_x, t) == pytest.approx(
        bgnbd.loglik((0.5, 3.0, 1e-9, 1.0), x, t_x, t), abs=1e-5
    )


@pytest.mark.parametrize(
    ("call", "error", "code", "message"),
    [
        (lambda: bgnbd.fit([1], [3], [2]), DataError, "bad_history", "t_x=3, t=2"),
        (lambda: bgnbd.fit([0], [1], [2]), DataError, "bad_history", "history 0 is"),
        (lambda: bgnbd.fit([1.5], [1], [2]), DataError, "bad_history", r"x=1\.5"),
        (lambda: bgnbd.fit([], [], []), DataError, "bad_history", "no histories"),
        (
            lambda: bgnbd.fit([0, 0], [0, 0], [3, 4]),
            DataError,
            "no_repeat_purchases",
            "for all 2 customers",
        ),
        (
            lambda: bgnbd.p_alive((1, 1, -1, 1), [0], [0], [1]),
            ParameterError,
            "bad_model_parameters",
            "above 0",
        ),
        (
            lambda: bgnbd.expected(WEEK, [0], [0], [1], -1),
            ParameterError,
            "bad_horizon",
            "horizon is -1",
        ),
    ],
)
def test_errors_say_what_was_seen(call, error, code, message):
    with pytest.raises(error, match=message) as info:
        call()
    assert info.value.code == code
