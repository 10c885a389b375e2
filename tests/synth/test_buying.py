import numpy as np
import pytest

from growth import synth


def test_amounts_follow_gamma_gamma():
    piece = synth.orders(seed=1, customers=20_000, days=200)
    rows = piece.data.to_pandas()
    firsts = rows.drop_duplicates("user_id")["paid_fen"]
    mean = piece.truth["mean_fen"]
    assert mean == pytest.approx(12_000)
    # variance of one amount: E[m^2](1 + 1/p) - E[m]^2, with m the buyer's own mean
    p, q, g = (piece.truth[name] for name in ("p", "q", "gamma_fen"))
    second = (p * g) ** 2 / ((q - 1) * (q - 2)) * (1 + 1 / p)
    sd = np.sqrt(second - mean**2)
    assert abs(firsts.mean() - mean) < 4 * sd / np.sqrt(len(firsts))


def test_repeat_purchases_follow_bg_nbd():
    model = synth.BuyingModel(r=1.0, alpha=30.0, a=0.8, b=2.5)
    rng = np.random.default_rng(5)
    from growth.synth.buying import purchases, rates

    rate, leave = rates(rng, 40_000, model)
    buyer, day, alive = purchases(rng, rate, leave, np.full(40_000, 180.0))
    assert day[np.flatnonzero(np.diff(buyer, prepend=-1))].max() == 0
    repeats = np.bincount(buyer) - 1
    from scipy.special import hyp2f1

    r, alpha, a, b, t = model.r, model.alpha, model.a, model.b, 180.0
    want = (a + b - 1) / (a - 1)
    want *= 1 - (alpha / (alpha + t)) ** r * hyp2f1(r, b, a + b - 1, t / (alpha + t))
    assert abs(repeats.mean() - want) < 4 * repeats.std() / np.sqrt(40_000)
    assert (repeats[~alive] >= 1).all()


def test_buyers_who_never_leave_are_a_gamma_poisson_mixture():
    rng = np.random.default_rng(8)
    from growth.synth.buying import purchases

    n = 20_000
    rate = rng.gamma(2.0, 1 / 40, n)
    buyer, _, alive = purchases(rng, rate, np.zeros(n), np.full(n, 100.0))
    assert alive.all()
    repeats = np.bincount(buyer) - 1
    mean, var = 5.0, 5.0 + 25.0 / 2
    assert abs(repeats.mean() - mean) < 4 * np.sqrt(var / n)
    assert repeats.var() == pytest.approx(var, rel=0.06)


def test_orders_lie_in_the_range_with_unique_ids():
    rows = synth.orders(seed=2, customers=300, days=90).data.to_pandas()
    assert rows["order_id"].is_unique
    assert (rows["paid_fen"] > 0).all()
    first, last = rows["pay_ts"].min(), rows["pay_ts"].max()
    assert first.date().isoformat() >= "2025-02-28"
    assert (last - first).days <= 90
