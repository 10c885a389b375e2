import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from growth.errors import DataError, ParameterError
from growth.stats.contrast import ArmEstimate, Contrast
from growth.stats.multiplicity import adjust
from tests.stats.cases import golden, near

METHODS = ["none", "bonferroni", "holm", "hochberg", "hommel", "bh", "by"]
THEIRS = {
    "holm": "holm",
    "bh": "fdr_bh",
    "by": "fdr_by",
    "hommel": "hommel",
    "hochberg": "simes-hochberg",
    "bonferroni": "bonferroni",
}


@golden("p_adjust")
def test_adjusted_p_matches_the_golden_case(case):
    for method, want in case["expected"].items():
        got = adjust(case["input"]["p"], method, case["input"]["alpha"])
        assert list(got.p_adj) == near(want["p_adjusted"], case), method
        assert sum(got.rejected) == want["rejected"], method


def contrasts(estimates, ses):
    zero = ArmEstimate(9, 0.0, 0.0)
    return [
        Contrast(zero, ArmEstimate(9, d, s * s))
        for d, s in zip(estimates, ses, strict=True)
    ]


@golden("ci_adjusted")
def test_adjusted_intervals_match_the_golden_cases(case):
    given_, want = case["input"], case["expected"]
    found = contrasts(given_["estimates"], given_["se"])
    p = [c.p_value for c in found]
    got = adjust(p, given_["method"], given_["alpha"])
    assert p == near(want["p"], case)
    assert list(got.p_adj) == near(want["p_adjusted"], case)
    assert list(got.level_alpha) == near(want["level_alpha"], case)
    assert list(got.rejected) == want["rejected"]
    for c, level, ends in zip(found, got.level_alpha, want["ci_adjusted"], strict=True):
        assert c.interval(level) == near(tuple(ends), case)


probabilities = st.floats(0, 1) | st.sampled_from([0.0, 0.01, 0.02, 0.025, 0.05, 1.0])


@pytest.mark.parametrize("method", METHODS[1:])
def test_statsmodels_agrees(method):
    rng = np.random.default_rng(0)
    for m in (1, 2, 5, 9, 30):  # few: theirs collects garbage at each call
        p = rng.random(m) ** 3
        p[m // 3] = p[-1]  # a tie
        rejected, want, _, _ = multipletests(p, 0.05, THEIRS[method])
        got = adjust(p.tolist(), method)
        assert got.p_adj == pytest.approx(want.tolist(), rel=1e-9, abs=0)
        assert list(got.rejected) == rejected.tolist()


@pytest.mark.parametrize("method", METHODS)
@given(
    z=st.lists(st.floats(-6, 6), min_size=1, max_size=9),
    alpha=st.sampled_from([0.01, 0.05, 0.2]),
)
def test_adjusted_intervals_leave_out_0_exactly_where_rejected(method, z, alpha):
    found = contrasts(z, [1.0] * len(z))
    got = adjust([c.p_value for c in found], method, alpha)
    assume(all(abs(q / alpha - 1) > 1e-6 for q in got.p_adj))
    for c, q, rejected, level in zip(found, *got, strict=True):
        assert rejected == (q <= alpha)
        low, high = c.interval(level)
        assert (low > 0 or high < 0) == rejected
        assert q >= c.p_value
        assert 0 < level <= alpha


@given(st.lists(probabilities, min_size=1, max_size=9), st.randoms())
def test_order_does_not_matter(p, random):
    order = list(range(len(p)))
    random.shuffle(order)
    for method in METHODS:
        got, moved = adjust(p, method), adjust([p[i] for i in order], method)
        assert moved.p_adj == tuple(got.p_adj[i] for i in order)


def test_what_has_no_p_value_stays_out_of_the_family():
    got = adjust([0.01, None, 0.04], "bonferroni")
    assert got.p_adj == (0.02, None, 0.08)
    assert got.rejected == (True, None, False)
    assert got.level_alpha == (0.025, None, 0.025)
    assert adjust([], "holm") == ((), (), ())
    assert adjust([None], "bh").p_adj == (None,)


def test_each_family_is_adjusted_by_itself():
    p, families = [0.01, 0.02, 0.03, None], ["goal", "day", "goal", "goal"]
    got = adjust(p, "holm", families=families)
    assert got.p_adj == (0.02, 0.02, 0.03, None)
    assert got.level_alpha == (0.025, 0.05, 0.05, None)


def test_a_level_is_always_there_also_at_an_adjusted_p_of_one():
    for method in METHODS:
        got = adjust([1.0, 0.99, 0.9], method)
        assert all(level is not None and level > 0 for level in got.level_alpha)
        assert adjust(np.array([0.5]), method).p_adj == (0.5,)


@pytest.mark.parametrize(
    ("kwargs", "error", "code", "message"),
    [
        (
            {"method": "homel"},
            ParameterError,
            "unknown_method",
            "Did you mean 'hommel'",
        ),
        ({"alpha": 5}, ParameterError, "alpha_out_of_range", "write 5%"),
        ({"families": ["a"]}, ParameterError, "length_mismatch", "family of each"),
        ({"p": [0.1, 1.2]}, DataError, "p_out_of_range", r"\[1\.2\]"),
        ({"p": [0.1, float("nan")]}, DataError, "p_out_of_range", "pass None"),
    ],
)
def test_misuse_says_what_was_seen(kwargs, error, code, message):
    with pytest.raises(error, match=message) as info:
        adjust(**({"p": [0.1, 0.2]} | kwargs))
    assert info.value.code == code
