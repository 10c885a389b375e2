import json
from math import erfc, exp, inf, nan, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
