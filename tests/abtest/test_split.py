import json
from datetime import date, timedelta
from math import erfc, exp, inf, nan, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import default_rng

from growth.abtest import Arm, check_split_from_counts
from growth.errors import DataError, ParameterError
from growth.result import Notice
from tests.abtest.golden import cases, name


@pytest.mark.parametrize("case", cases("srm_chi2"), ids=name)
def test_reference_cases(case):
    given_, want = case["input"], case["expected"]
    letters = "ABCD"[: len(given_["counts"])]
    check = check_split_from_counts(
        dict(zip(letters, given_["counts"], strict=True)),
        planned=dict(zip(letters, given_["weights"], strict=True)),
    )
    rel = case["tolerance_rel"]
    assert check.statistic == pytest.approx(want["statistic"], rel=rel, abs=0)
    assert check.p_value == pytest.approx(want["p_value"], rel=rel, abs=0)
    assert sum(arm.expected_units > 0 for arm in check.arms) - 1 == want["df"]
    codes = [notice.code for notice in check.notices]
    assert codes == ([want["notice"]] if "notice" in want else [])


def test_two_arms_far_out_match_the_normal_tail():
    z = 6_000 / sqrt(200_000)
    check = check_split_from_counts({"A": 103_000, "B": 97_000})
    assert check.p_value == pytest.approx(erfc(z / sqrt(2)), rel=1e-9, abs=0)
    assert check.verdict == "abtest.split.mismatch"


def test_three_arms_at_once_match_the_exponential_tail():
    check = check_split_from_counts(
        {"A": 520, "B": 260, "C": 220}, planned={"A": 50, "B": 25, "C": 25}
    )
    statistic = 20**2 / 500 + 10**2 / 250 + 30**2 / 250
    assert check.p_value == pytest.approx(exp(-statistic / 2), rel=1e-9, abs=0)


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.floats(0.01, 100))
def test_order_and_scale_of_the_plan_change_nothing(a, b, k):
    one = check_split_from_counts({"A": a, "B": b}, planned={"A": 1, "B": 3})
    two = check_split_from_counts({"B": b, "A": a}, planned={"B": 3 * k, "A": k})
    assert two.statistic == pytest.approx(one.statistic, rel=1e-9, abs=1e-6)


def test_an_open_arm_nobody_reached_is_a_mismatch():
    check = check_split_from_counts(
        {"A": 70, "B": 70}, planned={"A": 1, "B": 1, "C": 1}
    )
    assert check.verdict == "abtest.split.mismatch"
    assert check.arms[2] == Arm("C", 0, pytest.approx(140 / 3))


@pytest.mark.parametrize(
    ("seen", "alpha", "word"),
    [(0, 0.01, "mismatch"), (0, 0.001, "ok"), (2, 0.001, "closed_arm")],
)
def test_a_closed_arm_leaves_the_test_and_fails_when_met(seen, alpha, word):
    check = check_split_from_counts(
        {"A": 5140, "B": 4860, "C": seen},
        planned={"A": 1, "B": 1, "C": 0},
        alpha=alpha,
    )
    assert check.p_value == pytest.approx(erfc(2.8 / sqrt(2)), rel=1e-9, abs=0)
    assert check.verdict == f"abtest.split.{word}"
    assert check.closed_units == seen
    assert not any(n.code == "low_expected_count" for n in check.notices)


@pytest.mark.parametrize(("crossovers", "severity"), [(10, "info"), (11, "warning")])
def test_crossovers_are_a_share_of_all_units_seen(crossovers, severity):
    check = check_split_from_counts({"A": 495, "B": 495}, crossovers=crossovers)
    assert check.crossover_rate == pytest.approx(crossovers / (990 + crossovers))
    assert check.notices == (Notice("crossovers", severity, (("units", crossovers),)),)
    assert check.verdict == "abtest.split.ok"


AB = {"A": 1, "B": 1}


@pytest.mark.parametrize(
    ("units", "kwargs", "error", "code", "message"),
    [
        (AB, {"alpha": 5}, ParameterError, "alpha_out_of_range", "alpha is 5; .*0.05"),
        (AB, {"planned": {"A": 1}}, ParameterError, "unplanned_arm", "'B' is not pl"),
        ({"A": 1}, {}, ParameterError, "bad_weights", r"2\+ positive weights"),
        (AB, {"planned": {"A": 1, "B": 0}}, ParameterError, "bad_weights", "'B': 0"),
        (AB, {"planned": AB | {"C": -1}}, ParameterError, "bad_weights", "'C': -1"),
        (AB, {"planned": AB | {"C": nan}}, ParameterError, "bad_weights", "'C': nan"),
        (AB, {"planned": AB | {"C": inf}}, ParameterError, "bad_weights", "'C': inf"),
        ({"A": -3, "B": 9}, {}, ParameterError, "bad_count", "units is -3; .* shares"),
        ({"A": 2.5, "B": 9}, {}, ParameterError, "bad_count", "units is 2.5; it must"),
        (AB, {"crossovers": -1}, ParameterError, "bad_count", "units is -1; it must"),
        ({"A": 0, "B": 0}, {}, DataError, "no_units", "check the dates"),
        ({"C": 9}, {"planned": AB | {"C": 0}}, DataError, "no_units", "an open arm"),
    ],
)
def test_faults_say_what_was_seen(units, kwargs, error, code, message):
    with pytest.raises(error, match=message) as info:
        check_split_from_counts(units, **kwargs)
    assert info.value.code == code


def test_a_misspelt_arm_gets_a_suggestion():
    with pytest.raises(ParameterError, match="Did you mean 'control'"):
        check_split_from_counts({"contrl": 5}, planned={"control": 1, "new": 1})


def test_it_shows_itself_safely_in_both_languages():
    check = check_split_from_counts({"<b>": 6, "B": 2})
    assert "&lt;b&gt;" in check._repr_html_()
    assert "fewer than 5 units" in check.to_html("en")
    assert "小于 5" in check.to_html("zh")
    shown = json.loads(json.dumps(check.to_dict(), allow_nan=False))
    assert shown["verdict"] == "abtest.split.ok"
    assert [e.key for e in check.estimates()] == ["split.p_value"] + ["split.share"] * 2


# -- watched every day ---------------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    cases("srm_dirichlet_multinomial", "srm_dirichlet_multinomial_grid"),
    ids=name,
)
def test_sequential_reference_cases(case):
    given_, want = case["input"], case["expected"]
    arms = "ABCD"[: len(given_["counts"])]
    check = check_split_from_counts(
        dict(zip(arms, given_["counts"], strict=True)),
        planned=dict(zip(arms, given_["weights"], strict=True)),
        sequential=True,
        concentration=given_.get("concentration"),
    )
    near = {"rel": case["tolerance_rel"], "abs": 0}
    assert check.p_sequential == pytest.approx(want["p_value"], **near)
    assert check.p_judged == check.p_sequential


def by_day(*counts):
    start = date(2026, 2, 1)
    return {
        start + timedelta(days=i): dict(zip("AB", pair, strict=True))
        for i, pair in enumerate(counts)
    }


def test_the_sequential_p_value_is_the_smallest_so_far():
    days = by_day((900, 600), (300, 600), (300, 300))
    check = check_split_from_counts(
        {"A": 1500, "B": 1500}, by_day=days, sequential=True
    )
    first, second, third = check.looks
    assert first.units == (("A", 900), ("B", 600))
    assert third.units == (("A", 1500), ("B", 1500))
    assert third.p_value == 1.0
    assert first.p_running == second.p_running == third.p_running == first.p_value
    assert check.p_sequential == first.p_value < 0.001
    assert check.verdict == "abtest.split.mismatch"  # an alarm stays an alarm
    shown = check_split_from_counts({"A": 1500, "B": 1500}, by_day=days)
    assert shown.looks == check.looks
    assert shown.verdict == "abtest.split.ok"  # one planned reading, by chi-square
    assert [row["p_running"] for row in check.look_rows()] == [first.p_value] * 3


def test_a_watched_split_keeps_its_level():
    rng, alarms, runs = default_rng(20260301), 0, 400
    for _ in range(runs):
        left = rng.binomial(200, 0.5, size=14)
        days = by_day(*zip(left.tolist(), (200 - left).tolist(), strict=True))
        units = {"A": int(left.sum()), "B": int((200 - left).sum())}
        check = check_split_from_counts(units, by_day=days, sequential=True, alpha=0.05)
        alarms += check.verdict.endswith("mismatch")
    assert alarms / runs <= 0.05 + 3 * sqrt(0.05 * 0.95 / runs)


def test_days_must_sum_to_the_units():
    with pytest.raises(ParameterError, match=r"by_day sums to.*same units") as info:
        check_split_from_counts({"A": 10, "B": 11}, by_day=by_day((5, 5), (5, 5)))
    assert info.value.code == "counts_differ"


# -- the search for the cause --------------------------------------------------------


def searched(total, **by):
    return check_split_from_counts(total, by=by)


def test_the_search_names_the_segment_that_explains_a_mismatch():
    check = searched(
        {"A": 5000, "B": 4300},
        platform={
            "android": {"A": 2500, "B": 1800},
            "ios": {"A": 2000, "B": 2010},
            None: {"A": 500, "B": 490},
        },
        level={"1": {"A": 2500, "B": 2160}, "2": {"A": 2500, "B": 2140}},
    )
    assert check.verdict == "abtest.split.mismatch"
    assert (check.driver.dimension, check.driver.value) == ("platform", "android")
    assert [s.explains for s in check.segments] == [True] + [False] * 4
    args = (("dimension", "platform"), ("value", "android"))
    assert Notice("split_explained", "warning", args) in check.notices
    assert check.driver.p_rest == pytest.approx(
        check_split_from_counts({"A": 2500, "B": 2500}).p_value
    )
    for dimension in ("platform", "level"):
        parts = [s.contribution for s in check.segments if s.dimension == dimension]
        assert sum(parts) == pytest.approx(1.0)
    assert {row["value"] for row in check.segment_rows()} >= {"NULL", "android"}


def test_units_missing_everywhere_have_no_single_cause():
    even = {"A": 2500, "B": 2150}
    check = searched({"A": 5000, "B": 4300}, platform={"a": even, "b": even})
    assert check.driver is None
    assert Notice("split_unexplained", "info") in check.notices


def test_a_segment_of_all_units_explains_nothing():
    check = searched({"A": 5000, "B": 4300}, country={"cn": {"A": 5000, "B": 4300}})
    (segment,) = check.segments
    assert (segment.p_rest, segment.p_apart, segment.explains) == (None, None, False)
    assert segment.contribution == pytest.approx(1.0)


def test_segments_that_hide_each_other_are_told():
    check = searched(
        {"A": 5000, "B": 5000},
        platform={"x": {"A": 2700, "B": 2300}, "y": {"A": 2300, "B": 2700}},
    )
    assert check.verdict == "abtest.split.ok"
    assert check.driver is None
    assert "split_segment" in [notice.code for notice in check.notices]
    even = {"A": 2500, "B": 2500}
    calm = searched({"A": 5000, "B": 5000}, platform={"x": even, "y": even})
    assert calm.notices == ()


def test_small_segments_are_not_tested_and_many_are_put_together():
    values = {str(i): {"A": 5, "B": 4} for i in range(300)}
    check = searched({"A": 1500, "B": 1200}, scene=values)
    assert len(check.segments) == 100
    together = next(s for s in check.segments if s.value == "*")
    assert dict(together.units) == {"A": 5 * 201, "B": 4 * 201}
    assert {s.p_value for s in check.segments if s.value != "*"} == {None}
    assert json.dumps(check.to_dict(), allow_nan=False)


@given(
    st.lists(
        st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=6
    )
)
def test_the_order_of_segments_does_not_matter(counts):
    total = {"A": sum(a for a, _ in counts), "B": sum(b for _, b in counts)}
    if not sum(total.values()):
        return
    values = {str(i): {"A": a, "B": b} for i, (a, b) in enumerate(counts)}
    turned = dict(reversed(values.items()))
    one, two = searched(total, s=values), searched(total, s=turned)
    assert {s.value: s.p_adj for s in one.segments} == {
        s.value: s.p_adj for s in two.segments
    }
    assert one.driver == two.driver
