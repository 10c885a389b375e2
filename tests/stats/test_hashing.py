import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from growth.errors import DataError, ParameterError
from growth.stats.counts import chi2_independence
from growth.stats.hashing import (
    bucket_of,
    bucket_ranges,
    fnv1a_32,
    growthbook_place,
    place,
)
from tests.stats.cases import golden, near


@golden("hash_sha256")
def test_places_match_the_golden_case_exactly(case):
    found = [place(g["unit"], salt=g["salt"], layer=g["layer"]) for g in case["input"]]
    assert found == case["expected"]


@golden("hash_growthbook")
def test_growthbook_places_match_the_golden_case_exactly(case):
    found = [
        growthbook_place(g["value"], seed=g["seed"], version=g["version"])
        for g in case["input"]
    ]
    assert found == case["expected"]


@golden("hash_sha256_properties")
def test_places_are_uniform_and_salts_independent(case):
    layer, salts = case["input"]["layer"], case["input"]["salts"]
    first, second = (
        np.array([place(str(i), salt=salt, layer=layer) for i in range(100_000)]) < 0.5
        for salt in salts
    )
    assert first.sum() == case["expected"]["count_below_half"]
    table = np.histogram2d(first, second, bins=2)[0].astype(int).tolist()
    assert table == case["expected"]["table_both_salts"]
    assert chi2_independence(table).p_value > 0.01


@golden("bucket_ranges")
def test_ranges_match_the_golden_case(case):
    for given_, want in zip(case["input"], case["expected"], strict=True):
        weights = given_["weights"] or [1] * given_["arms"]
        found = bucket_ranges(weights, coverage=given_["coverage"])
        assert [list(r) for r in found] == [near(r, case) for r in want]


weights_ = st.lists(st.floats(0, 10), min_size=1, max_size=6).filter(
    lambda w: sum(w) > 0.01
)


@given(weights_, st.floats(0, 1), st.floats(0, 1), st.floats(0, 1, exclude_max=True))
def test_raising_the_coverage_moves_nobody(weights, one, two, at):
    low, high = sorted((one, two))
    before = bucket_of(at, bucket_ranges(weights, coverage=low))
    after = bucket_of(at, bucket_ranges(weights, coverage=high))
    assert before is None or before == after


@given(weights_, st.floats(0, 1, exclude_max=True))
def test_full_coverage_leaves_nobody_out(weights, at):
    arm = bucket_of(at, bucket_ranges(weights))
    assert arm is not None
    assert weights[arm] > 0


def test_published_fnv_values():
    assert fnv1a_32("") == 0x811C9DC5
    assert fnv1a_32("a") == 0xE40C292C
    assert fnv1a_32("foobar") == 0xBF9CF968


@pytest.mark.parametrize(
    ("call", "error", "code", "message"),
    [
        (lambda: place("a\x1fb", salt="s"), DataError, "separator_in_id", r"U\+001F"),
        (lambda: fnv1a_32("用户"), DataError, "non_ascii_id", "not ASCII"),
        (
            lambda: growthbook_place("a", seed="s", version=3),
            ParameterError,
            "unknown_version",
            "1 or 2",
        ),
        (lambda: bucket_ranges([0, 0]), ParameterError, "bad_weights", "not all 0"),
        (lambda: bucket_ranges([1, -1, 3]), ParameterError, "bad_weights", "0 or more"),
        (
            lambda: bucket_ranges([1], coverage=20),
            ParameterError,
            "coverage_out_of_range",
            "write 20%",
        ),
    ],
)
def test_misuse_says_what_was_seen(call, error, code, message):
    with pytest.raises(error, match=message) as info:
        call()
    assert info.value.code == code
