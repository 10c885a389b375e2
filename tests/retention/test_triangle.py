"""The triangle from counts: cells, curves, intervals, refusals."""

import json
from datetime import date
from math import sqrt

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from growth import retention
from growth.errors import DataError, ParameterError

SIZES = {"2026-03-01": 200, "2026-03-02": 180, "2026-03-03": 0, "2026-03-04": 20}
BACK = {
    "2026-03-01": {1: 60, 2: 40},
    "2026-03-02": {1: 45},
    "2026-03-03": {1: 0},
}


@pytest.fixture
def result():
    return retention.measure_from_counts(SIZES, BACK)


def test_cells_have_wilson_intervals_and_incomplete_ones_have_none(result):
    cells = {(cell.cohort, cell.k): cell for cell in result.cells}
    first = cells["2026-03-01", 1]
    low, high = proportion_confint(60, 200, method="wilson")
    assert (first.rate, first.low, first.high) == pytest.approx((0.3, low, high))
    young = cells["2026-03-02", 2]
    assert (young.retained, young.rate, young.complete) == (None, None, False)
    empty = cells["2026-03-03", 1]
    assert (empty.size, empty.retained, empty.rate) == (0, 0, None)
    assert cells["2026-03-01", 0].rate == 1.0


def test_a_pooled_curve_is_over_the_cohorts_complete_at_each_offset(result):
    one, two = result.curve()[1:]
    assert (one.retained, one.n_users, one.n_cohorts) == (105, 380, 2)
    assert (two.retained, two.n_users, two.n_cohorts) == (40, 200, 1)
    low, high = proportion_confint(105, 380, method="wilson")
    assert (one.rate, one.low, one.high) == pytest.approx((105 / 380, low, high))


def test_a_common_curve_is_of_the_same_users_throughout(result):
    assert [p.n_users for p in result.curve(common=True)[1:]] == [200, 200]
    assert [p.rate for p in result.curve(common=True)[1:]] == [0.3, 0.2]


def test_a_mean_of_rates_weighs_cohorts_alike(result):
    point = result.curve(weights="cohort")[1]
    rates = np.array([60 / 200, 45 / 180])
    assert point.rate == pytest.approx(rates.mean())
    half = 1.959964 * sqrt((rates * (1 - rates) / [200, 180]).sum()) / 2
    assert point.high - point.rate == pytest.approx(half, rel=1e-6)


def test_an_unknown_weight_is_refused(result):
    with pytest.raises(ParameterError, match=r"'user'.*Did you mean 'users'") as info:
        result.curve(weights="user")
    assert info.value.code == "unknown_weights"


def test_groups_add_up_and_can_be_seen_apart():
    sizes = {("a", "d"): 100, (None, "d"): 50}
    back = {("a", "d"): {1: 30}, (None, "d"): {1: 5}}
    result = retention.measure_from_counts(sizes, back, by="place")
    assert result.curve()[1].retained == 35
    points = {p.by: p.rate for p in result.curve(split=True) if p.k == 1}
    assert points == {(("place", "a"),): 0.3, (("place", None),): 0.1}
    assert result.totals == (((("place", "a"),), 100), ((("place", None),), 50))


def test_the_verdict_says_when_there_is_nothing_to_see():
    young = retention.measure_from_counts({"d": 5}, {})
    assert young.verdict == "retention.measure.too_young"
    nobody = retention.measure_from_counts({"d": 0}, {"d": {1: 0}})
    assert nobody.verdict == "retention.measure.nobody"
    assert nobody.curve()[1].rate is None


def test_notices_name_small_cohorts_and_censored_matches():
    result = retention.measure_from_counts(SIZES, BACK, match="on_or_after")
    codes = {notice.code: dict(notice.args) for notice in result.notices}
    assert codes["small_cohort"]["cohorts"] == 1
    assert "on_or_after_censored" in codes
    followed = retention.measure_from_counts(
        SIZES, BACK, match="on_or_after", follow_up=1
    )
    assert "on_or_after_censored" not in {n.code for n in followed.notices}


def test_every_start_without_sums_over_users_has_no_interval():
    result = retention.measure_from_counts(SIZES, BACK, mode="every")
    assert result.curve()[1].rate is not None
    assert result.curve()[1].low is None


@pytest.mark.parametrize(
    ("sizes", "back", "words"),
    [
        ({"d": 5}, {"d": {1: 6}}, r"cell 'd' at offset 1 counts 6 of 5"),
        ({"d": -1}, {}, r"offset 0 counts -1"),
        ({"d": 5}, {"d": {0: 5}}, r"offset 0"),
        ({"d": 5}, {"e": {1: 1}}, r"cell 'e' has users back and no size"),
    ],
)
def test_impossible_counts_are_refused_by_their_cell(sizes, back, words):
    with pytest.raises(DataError, match=words) as info:
        retention.measure_from_counts(sizes, back)
    assert info.value.code == "counts"


def test_a_cell_of_one_group_only_is_refused():
    sizes = {("a", "d"): 5, ("b", "d"): 5}
    with pytest.raises(DataError, match="for one group and not for another") as info:
        retention.measure_from_counts(sizes, {("a", "d"): {1: 1}}, by="arm")
    assert info.value.code == "counts"


def test_a_key_without_its_group_is_refused():
    with pytest.raises(ParameterError, match="must have 2, the cohort last") as info:
        retention.measure_from_counts({"d": 5}, {}, by="arm")
    assert info.value.code == "bad_key"


def test_a_result_shows_itself_and_survives_json(result):
    json.dumps(result.to_dict(), allow_nan=False)
    assert "Who comes back?" in result.to_html()
    assert "谁会回来" in result.to_html("zh")
    assert len(result.to_pandas()) == len(result.cells) == 12
    assert [e.key for e in result.estimates()] == ["retention.rate"]


def test_dates_name_cohorts():
    result = retention.measure_from_counts({date(2026, 3, 1): 5}, {})
    assert result.cohorts == ("2026-03-01",)


@pytest.mark.parametrize(
    ("sizes", "back", "words"),
    [
        ({"d": 5.5}, {}, r"counts 5\.5; offsets and counts must be whole"),
        ({"d": 5}, {"d": {1: 2.9}}, r"offset 1 counts 2\.9"),
        ({"d": 5}, {"d": {1.5: 2}}, r"offset 1\.5 counts 2"),
        ({"d": True}, {}, r"counts True"),
        (
            {date(2026, 3, 1): 5, "2026-03-01": 7},
            {},
            r"'2026-03-01' are of one cell; each cell must",
        ),
    ],
)
def test_counts_are_whole_and_each_cell_is_there_once(sizes, back, words):
    with pytest.raises(DataError, match=words) as info:
        retention.measure_from_counts(sizes, back)
    assert info.value.code == "counts"
