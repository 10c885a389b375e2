import numpy as np
import pytest
from scipy import stats

from growth.errors import DataError, ParameterError
from growth.stats.contrast import Contrast
from growth.stats.means import mean
from growth.stats.moments import Moments
from growth.stats.rerandomise import (
    NullTests,
    Redraw,
    draw_sums,
    false_alarms,
    features,
    null_tests,
)
from tests.stats.cases import golden, near


@golden("aa_rerandomisation")
def test_the_matrix_product_matches_the_golden_case(case):
    table = features(case["input"]["x"])
    drawn = np.array(case["input"]["assignment"])
    got = null_tests(drawn @ table, table.sum(axis=0))
    assert got.p_value.tolist() == near(case["expected"]["p_values"], case)


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_it_is_welch_on_every_draw(share):
    rng = np.random.default_rng(0)
    x = rng.lognormal(size=300) + 1e6
    drawn = rng.random((20, 300)) < share
    table = features(x)
    got = null_tests(drawn @ table, table.sum(axis=0))
    for row, d, se, p in zip(drawn, got.difference, got.se, got.p_value, strict=True):
        c = Contrast(*(mean(Moments.of(("x",), x[side])) for side in (~row, row)))
        assert d == pytest.approx(c.estimate, rel=1e-5, abs=1e-7)
        assert se == pytest.approx(c.se, rel=1e-6)
        assert p == pytest.approx(c.p_value, rel=1e-5, abs=0)


def test_blocks_and_seeds_draw_fairly_and_repeatably():
    table = features(np.random.default_rng(1).normal(size=20_001))
    one = draw_sums(table, repeats=50, seed=7)
    assert np.array_equal(one, draw_sums(table, repeats=50, seed=7))
    assert not np.array_equal(one, draw_sums(table, repeats=50, seed=8))
    assert one[:, 0].mean() == pytest.approx(20_001 / 2, rel=0.005)
    third = draw_sums(table, repeats=50, share=1 / 3, seed=7)
    assert third[:, 0].mean() == pytest.approx(20_001 * 85 / 256, rel=0.005)
    # coins of different units are independent: the spread is the binomial one
    assert one[:, 0].std() == pytest.approx(np.sqrt(20_001 / 4), rel=0.4)


def test_rows_may_come_in_pieces_of_any_size():
    table = np.random.default_rng(5).normal(size=(10_000, 3))
    whole = Redraw(3, repeats=40, seed=2)
    whole.add(table)
    cut = Redraw(3, repeats=40, seed=2)
    for piece in np.split(table, [1, 100, 2048, 2050, 9000, 9000]):
        cut.add(piece)
    assert cut.sums() == pytest.approx(whole.sums(), rel=1e-4, abs=1e-3)
    assert cut.total == pytest.approx(table.sum(axis=0), rel=1e-5, abs=1e-3)


@pytest.mark.parametrize("shares", [(0.5, 0.3), (0.98, 0.02), (0.2, 0.3, 0.5)], ids=str)
def test_arms_are_disjoint_and_of_their_shares(shares):
    drawing = Redraw(4000, repeats=30, shares=shares, seed=1)
    drawing.add(np.eye(4000))
    sums = drawing.sums()
    assert set(np.unique(sums.round(6))) == {0.0, 1.0}
    assert sums.sum(axis=0).max() <= 1.001
    means = sums.mean(axis=(1, 2))
    assert means == pytest.approx(np.array(shares), abs=0.005)


def test_a_healthy_metric_passes():
    table = features(np.random.default_rng(2).exponential(size=2000))
    got = false_alarms(
        null_tests(draw_sums(table, repeats=1000, seed=4), table.sum(axis=0))
    )
    assert got.tests == 1000
    assert got.interval[0] < 0.05 < got.interval[1]
    assert got.uniformity_p > 0.001
    assert got.error_ratio == pytest.approx(1, abs=0.08)


def test_a_ratio_is_tested_on_its_linearised_values():
    rng = np.random.default_rng(4)
    y = rng.poisson(4, 3000) + 1.0
    x = rng.binomial(y.astype(int), 0.3).astype(float)
    table = features(x, y)
    got = false_alarms(
        null_tests(draw_sums(table, repeats=600, seed=5), table.sum(axis=0))
    )
    assert got.interval[0] < 0.05 < got.interval[1]


def test_correlated_units_are_caught():
    values = np.repeat(np.random.default_rng(6).normal(size=100), 20)
    table = features(values)
    clustered = table.reshape(100, 20, 3).sum(axis=1)  # whole clusters move together
    got = false_alarms(
        null_tests(draw_sums(clustered, repeats=400, seed=1), table.sum(axis=0))
    )
    assert got.rate > 0.5
    assert got.error_ratio > 3


def test_uniformity_matches_scipy():
    p = np.random.default_rng(3).random(500) ** 1.1
    got = false_alarms(NullTests(p, p + 1, p, p))
    want = stats.kstest(p, "uniform", method="asymp")
    assert got.uniformity_p == pytest.approx(want.pvalue, rel=1e-9)


def test_tests_that_cannot_be_made_are_reported_apart():
    table = features([1.0, 1.0, 1.0, 5.0])
    drawn = np.array([[1.0, 1, 0, 0], [1, 0, 0, 1], [1, 1, 1, 0], [0, 0, 0, 0]])
    got = null_tests(drawn @ table, table.sum(axis=0))
    assert np.isnan(got.p_value).all()  # an arm without variance, each time
    found = false_alarms(got)
    assert (found.tests, found.not_computable, found.rate) == (0, 4, None)


@pytest.mark.parametrize(
    ("call", "error", "code"),
    [
        (lambda: features([1.0, np.nan]), DataError, "null_value"),
        (lambda: features([1.0], [1.0, 2.0]), DataError, "length_mismatch"),
        (lambda: features([1.0], [0.0]), DataError, "bad_denominator"),
        (lambda: draw_sums(np.ones((3, 3)), repeats=0), ParameterError, "bad_draws"),
        (
            lambda: draw_sums(np.ones((3, 3)), repeats=1, share=1),
            ParameterError,
            "bad_draws",
        ),
        (
            lambda: false_alarms(NullTests(*[np.zeros(1)] * 4), alpha=2),
            ParameterError,
            "alpha_out_of_range",
        ),
    ],
)
def test_misuse_says_what_was_seen(call, error, code):
    with pytest.raises(error, match="must") as info:
        call()
    assert info.value.code == code
