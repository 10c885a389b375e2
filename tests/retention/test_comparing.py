import pytest
from statsmodels.stats.proportion import proportions_ztest

from growth import retention
from growth.errors import DataError, ParameterError

SIZES = {("gate_30", "all"): 44_700, ("gate_40", "all"): 45_489}
BACK = {
    ("gate_30", "all"): {1: 20_034, 7: 8_502},
    ("gate_40", "all"): {1: 20_119, 7: 8_279},
}


@pytest.fixture
def result():
    return retention.measure_from_counts(SIZES, BACK, by="variant")


# The published figures of Cookie Cats, from the counts of its file.
def test_the_published_comparison(result):
    found = retention.compare(result, by="variant", baseline="gate_30", at=(1, 7))
    one, seven = found.contrasts
    assert one.p_value == pytest.approx(0.0744, abs=5e-5)
    assert seven.p_value == pytest.approx(0.0016, abs=5e-5)
    got = [round(100 * x, 2) for x in (seven.difference, seven.low, seven.high)]
    assert got == [-0.82, -1.33, -0.31]
    assert found.verdict == "retention.compare.differs"
    assert seven.p_adj == pytest.approx(2 * seven.p_value)
    theirs = proportions_ztest([20_119, 20_034], [45_489, 44_700])[1]
    assert one.p_value == pytest.approx(theirs, rel=1e-9)


def test_a_split_unlike_the_plan_is_the_verdict(result):
    found = retention.compare(
        result,
        by="variant",
        baseline="gate_30",
        at=(1, 7),
        expected_shares={"gate_30": 1, "gate_40": 1},
    )
    assert found.split_p_value == pytest.approx(0.0086, abs=5e-5)
    assert found.verdict == "retention.compare.split_mismatch"


def test_arms_swapped_flip_the_sign(result):
    there = retention.compare(result, by="variant", baseline="gate_30", at=(1,))
    back = retention.compare(result, by="variant", baseline="gate_40", at=(1,))
    assert there.contrasts[0].difference == -back.contrasts[0].difference
    assert there.contrasts[0].p_value == pytest.approx(back.contrasts[0].p_value)


def test_cohorts_can_be_compared_and_are_said_not_to_be_random():
    sizes = {"2026-03": 500, "2026-04": 500}
    back = {"2026-03": {1: 200, 2: 150}, "2026-04": {1: 100}}
    result = retention.measure_from_counts(sizes, back, period="month")
    found = retention.compare(result, by="cohort", baseline="2026-03", at=(1, 2, 30))
    assert [c.k for c in found.contrasts] == [1]
    codes = {notice.code: dict(notice.args) for notice in found.notices}
    assert "not_randomised" in codes
    assert codes["offsets_left_out"] == {"offsets": "2, 30"}


def test_more_than_twenty_contrasts_are_adjusted_by_their_discovery_rate():
    ks = range(1, 12)
    sizes = {(arm, "d"): 1000 for arm in "abc"}
    back = {key: {k: 300 + k for k in ks} for key in sizes}
    result = retention.measure_from_counts(sizes, back, by="arm")
    found = retention.compare(result, by="arm", baseline="a", at=tuple(ks))
    assert found.adjust == "bh"
    assert "adjusted_by_bh" in {notice.code for notice in found.notices}
    few = retention.compare(result, by="arm", baseline="a", at=(1, 2))
    assert few.adjust == "holm"


def test_other_breakdowns_are_summed_over():
    sizes = {(arm, place, "d"): 100 for arm in "ab" for place in "xy"}
    back = {key: {1: 30 if key[0] == "a" else 40} for key in sizes}
    result = retention.measure_from_counts(sizes, back, by=("arm", "place"))
    (only,) = retention.compare(result, by="arm", baseline="a", at=(1,)).contrasts
    assert (only.n, only.retained, only.retained_baseline) == (200, 80, 60)


def test_nothing_complete_is_too_young():
    result = retention.measure_from_counts(SIZES, {}, by="variant")
    found = retention.compare(result, by="variant", baseline="gate_30")
    assert found.verdict == "retention.compare.too_young"
    assert found.rows() == []


@pytest.mark.parametrize(
    ("asked", "error", "words", "code"),
    [
        ({"by": "varient"}, ParameterError, "Did you mean 'variant'", "unknown_by"),
        ({"baseline": "gate30"}, ParameterError, "'gate_30'", "unknown_arm"),
        ({"at": (0,)}, ParameterError, "1 or more", "range"),
        ({"adjust": "holmes"}, ParameterError, "'holm'", "unknown_adjust"),
        (
            {"expected_shares": {"gate_30": 1}},
            ParameterError,
            "'gate_40' is not planned",
            "unplanned_arm",
        ),
    ],
)
def test_refusals(result, asked, error, words, code):
    asked = {"by": "variant", "baseline": "gate_30", "at": (1,)} | asked
    with pytest.raises(error, match=words) as info:
        retention.compare(result, **asked)
    assert info.value.code == code


def test_a_user_in_several_cohorts_is_not_compared():
    result = retention.measure_from_counts(SIZES, BACK, by="variant", mode="every")
    with pytest.raises(ParameterError, match="mode is 'every'") as info:
        retention.compare(result, by="variant", baseline="gate_30")
    assert info.value.code == "mode"


def test_a_split_of_nobody_is_refused():
    sizes = {("a", "d"): 0, ("b", "d"): 0}
    result = retention.measure_from_counts(sizes, {}, by="arm")
    with pytest.raises(DataError, match="no user is in") as info:
        retention.compare(
            result, by="arm", baseline="a", expected_shares={"a": 1, "b": 1}
        )
    assert info.value.code == "no_units"


def test_null_and_the_text_null_are_not_one_arm():
    sizes = {(None, "d"): 10, ("NULL", "d"): 20, ("a", "d"): 30}
    back = {key: {1: 5} for key in sizes}
    result = retention.measure_from_counts(sizes, back, by="variant")
    with pytest.raises(DataError, match="both NULL and the text 'NULL'") as info:
        retention.compare(result, by="variant", baseline="a", at=(1,))
    assert info.value.code == "arms_alike"


def test_an_offset_given_twice_is_compared_once(result):
    found = [
        retention.compare(result, by="variant", baseline="gate_30", at=at)
        for at in ((1, 1), (1,))
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"at": 1}, "at is 1; it must be a list"),
        ({"at": ("1",)}, "at is '1'; it must be 1 or more"),
        ({"at": (0,)}, "at is 0; it must be 1 or more"),
        ({"split_alpha": float("nan")}, "split_alpha is nan"),
        ({"split_alpha": 5}, "split_alpha is 5"),
        ({"expected_shares": ["a"]}, r"expected_shares is \['a'\]"),
    ],
)
def test_a_comparison_that_cannot_be_is_refused(result, wrong, words):
    with pytest.raises(ParameterError, match=words):
        retention.compare(
            result, by="variant", baseline="gate_30", **({"at": (1,)} | wrong)
        )


def test_planned_shares_of_arms_say_nothing_of_cohorts():
    sizes = {("a", "d1"): 10, ("b", "d1"): 10, ("a", "d2"): 10, ("b", "d2"): 10}
    back = {key: {1: 5} for key in sizes}
    result = retention.measure_from_counts(
        sizes, back, by="variant", expected_shares={"a": 1, "b": 1}
    )
    found = retention.compare(result, by="cohort", baseline="d1", at=(1,))
    assert (found.split_p_value, len(found.contrasts)) == (None, 1)
