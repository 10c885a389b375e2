import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from growth.errors import DataError, ParameterError
from growth.stats.moments import Moments, merge
from tests.stats.cases import golden, moments, near


@golden("moments")
def test_nist_numacc4_keeps_its_certified_digits(case):
    given_, want = case["input"], case["expected"]
    x = [given_["first"], *given_["then_500_times"] * 500]
    for m in (
        Moments.of(("x",), x),
        merge(Moments.of(("x",), part) for part in np.array_split(x, 7)),
        merge(Moments.of(("x",), [value]) for value in x),
    ):
        assert m.n == want["n"]
        assert m.mean[0] == near(want["mean"], case)
        assert np.sqrt(m.cov[0, 0]) == near(want["sd"], case)


@golden("moments_merge")
def test_merging_matches_the_golden_case(case):
    a, b = (moments(case["input"][name], ("x", "y")) for name in ("a", "b"))
    for m in (a.merge(b), b.merge(a), merge([Moments.empty(("x", "y")), a, b])):
        assert m.n == case["expected"]["n"]
        assert m.mean.tolist() == near(case["expected"]["mean"], case)
        assert m.cov.tolist() == [
            near(row, case) for row in case["expected"]["cov_ddof1"]
        ]


def same(a, b, scale):
    assert a.n == b.n
    assert a.mean == pytest.approx(b.mean, rel=1e-9, abs=1e-12 * scale)
    assert a.comoment == pytest.approx(b.comoment, rel=1e-9, abs=1e-11 * scale**2)
    for name in ("minimum", "maximum", "nonzero"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name


numbers = st.floats(-1e3, 1e3) | st.just(float("nan"))
tables = st.lists(st.tuples(numbers, numbers), max_size=12)


@given(tables, tables, tables)
def test_merging_is_associative_commutative_and_equal_to_one_pass(a, b, c):
    x, y, z = (Moments.of(("p", "q"), np.reshape(t, (-1, 2))) for t in (a, b, c))
    whole = Moments.of(("p", "q"), np.reshape(a + b + c, (-1, 2)))
    for m in (x.merge(y).merge(z), x.merge(y.merge(z)), z.merge(x).merge(y)):
        same(m, whole, 1e3)


@given(tables)
def test_no_rows_are_the_identity(rows):
    m = Moments.of(("p", "q"), np.reshape(rows, (-1, 2)))
    none = Moments.empty(("p", "q"))
    same(m.merge(none), m, 0)
    same(none.merge(m), m, 0)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=30), st.integers(0, 5))
def test_an_offset_leaves_the_spread_alone(x, at):
    want = Moments.of(("x",), x).comoment[0, 0]
    moved = np.array(x) + 2.0**30
    halves = merge(Moments.of(("x",), part) for part in np.split(moved, [at]))
    assert halves.comoment[0, 0] == pytest.approx(want, rel=1e-6, abs=1e-3)


def test_an_offset_of_1e9_leaves_unit_variance_alone():
    x = np.random.default_rng(0).normal(size=10_000)
    want = x.var(ddof=1)
    for parts in (1, 50):
        m = merge(Moments.of(("x",), p) for p in np.array_split(x + 1e9, parts))
        assert m.cov[0, 0] == pytest.approx(want, rel=1e-6)


def test_a_row_with_a_nan_is_left_out_of_all_columns():
    m = Moments.of(("x", "y"), [[1, 2], [np.nan, 3], [3, 4]])
    assert m.n == 2
    assert m.mean.tolist() == [2, 3]
    assert np.isnan(Moments.of(("x",), [1.0]).cov).all()


def test_columns_are_picked_by_name():
    m = Moments.of(("x", "y", "z"), [[1, 0, 3], [2, 5, 4]])
    picked = m.pick(["z", "x"])
    assert picked.columns == ("z", "x")
    assert picked.mean.tolist() == [3.5, 1.5]
    assert picked.maximum.tolist() == [4, 2]
    assert m.nonzero.tolist() == [2, 1, 2]
    assert m.pick(["y"]).at() == 0


@pytest.mark.parametrize(
    ("call", "error", "code", "message"),
    [
        (lambda m: m.pick(["xx"]), ParameterError, "moments_mismatch", "name one of"),
        (lambda m: m.at(), ParameterError, "moments_mismatch", "not None"),
        (
            lambda m: m.merge(m.pick(["x"])),
            ParameterError,
            "moments_mismatch",
            "merge records of the same columns",
        ),
        (
            lambda _: Moments.from_summary(("x",), n=-1, mean=[0], cov=1),
            DataError,
            "moments_shape",
            "n is -1",
        ),
        (
            lambda _: Moments.from_summary(("x", "y"), n=1, mean=[0], cov=1),
            DataError,
            "moments_shape",
            "give one entry a column",
        ),
    ],
)
def test_misuse_says_what_was_seen(call, error, code, message):
    with pytest.raises(error, match=message) as info:
        call(Moments.of(("x", "y"), [[1.0, 2.0]]))
    assert info.value.code == code


def test_huge_values_overflow_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        m = Moments.of(("x",), [1e300, -1e300]).merge(Moments.of(("x",), [1e300]))
    assert m.n == 3
    assert not np.isfinite(m.comoment).all()
