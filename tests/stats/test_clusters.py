import numpy as np
import pytest
import statsmodels.api as sm

from growth.errors import DataError, ParameterError
from growth.stats.clusters import cluster_mean, cluster_spread, design_effect
from growth.stats.contrast import Contrast
from tests.stats.cases import golden, near


@golden("cluster_ratio")
def test_clusters_match_the_golden_case(case):
    given_, want = case["input"], case["expected"]
    total, size, arm = (
        np.array(given_[k]) for k in ("cluster_total", "cluster_size", "arm")
    )
    c = Contrast(*(cluster_mean(total[arm == a], size[arm == a]) for a in (0, 1)))
    assert c.control.value == near(want["control"], case)
    assert c.treatment.value == near(want["treatment"], case)
    for name in ("estimate", "se", "df", "p_value"):
        assert getattr(c, name) == near(want[name], case), name


@golden("cluster_design_effect")
def test_the_design_effect_matches_the_golden_case(case):
    given_, want = case["input"], case["expected"]
    assert design_effect(given_["sizes"], icc=given_["icc"]) == near(
        want["design_effect"], case
    )
    assert design_effect([20.0] * 5, icc=given_["icc"]) == near(
        want["design_effect_equal_20"], case
    )


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_cluster_robust_regression(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 30, 24)
    cluster = np.repeat(np.arange(24), sizes)
    arm = cluster % 2
    y = rng.normal(size=24)[cluster] + 0.5 * arm + rng.normal(size=len(cluster))
    fit = sm.OLS(y, sm.add_constant(arm)).fit(
        cov_type="cluster", cov_kwds={"groups": cluster, "use_correction": False}
    )
    total = np.bincount(cluster, weights=y)
    c = Contrast(*(cluster_mean(total[a::2], sizes[a::2]) for a in (0, 1)))
    assert c.estimate == pytest.approx(fit.params[1], rel=1e-9)
    assert c.se == pytest.approx(fit.bse[1] * np.sqrt(12 / 11), rel=1e-9)


def test_the_correlation_within_clusters_is_found():
    rng = np.random.default_rng(8)
    sizes = rng.integers(5, 40, 400)
    cluster = np.repeat(np.arange(400), sizes)
    y = rng.normal(size=400)[cluster] * 0.5 + rng.normal(size=len(cluster))  # icc .2
    total = np.bincount(cluster, weights=y)
    centred = y - (total / sizes)[cluster]
    got = cluster_spread(sizes, total, np.bincount(cluster, weights=centred**2))
    assert got.icc == pytest.approx(0.2, abs=0.04)
    assert got.design_effect == pytest.approx(
        design_effect(sizes.tolist(), icc=got.icc)
    )


def test_what_has_no_spread_is_none():
    assert cluster_spread([3.0], [1.0], [0.5]).icc is None
    assert cluster_spread([1.0, 1.0], [1.0, 2.0], [0.0, 0.0]).icc is None
    assert cluster_spread([2.0, 2.0], [4.0, 4.0], [0.0, 0.0]).icc is None
    assert cluster_spread([2.0, 3.0, 0.0], [4.0, 4.0, 0.0], [1.0, 5.0, 0.0]).icc == 0


@pytest.mark.parametrize(
    ("call", "error", "code"),
    [
        (lambda: design_effect([], icc=0.1), ParameterError, "bad_sizes"),
        (lambda: design_effect([1, 0], icc=0.1), ParameterError, "bad_sizes"),
        (lambda: design_effect([1], icc=-0.1), ParameterError, "icc_out_of_range"),
        (lambda: cluster_mean([1.0], [1.0, 2.0]), DataError, "length_mismatch"),
    ],
)
def test_misuse_says_what_was_seen(call, error, code):
    with pytest.raises(error, match="must") as info:
        call()
    assert info.value.code == code
