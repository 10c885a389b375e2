import pytest

from growth.charts.figures import (
    amount,
    clauses,
    count,
    difference,
    difference_interval,
    interval,
    listed,
    p_value,
    percent,
    times,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0612, "+6.1%"),
        (-0.008, "−0.8%"),
        (0, "0.0%"),
        (-0.0001, "0.0%"),
        (12.3, "+1,230.0%"),
        (None, "–"),
    ],
)
def test_percent_has_a_real_minus_and_no_sign_on_zero(value, text):
    assert percent(value, signed=True) == text


def test_percent_without_sign():
    assert percent(0.5, digits=0) == "50%"
    assert percent(-0.5, digits=0) == "−50%"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0284, "share", "2.84%"),
        (0.448, "share", "44.8%"),
        (442, "fen", "¥4.42"),
        (-44_200_011, "fen", "−¥442,000"),
        (812.4, "ms", "812\u00a0ms"),
        (1.374, "count", "1.37"),
        (-3.0, "count", "−3.00"),
        (0, "share", "0%"),
        (None, "fen", "–"),
    ],
)
def test_amounts_are_written_in_their_unit(value, unit, text):
    assert amount(value, unit) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0017, "share", "+0.17 pp"),
        (-0.0017, "share", "−0.17 pp"),
        (19, "fen", "+¥0.19"),
        (-7, "ms", "−7.0\u00a0ms"),
        (0.05, "ratio", "+5.00%"),
        (0, "count", "0"),
        (None, "share", "–"),
    ],
)
def test_differences_carry_their_sign(value, unit, text):
    assert difference(value, unit) == text


def test_the_rest():
    assert difference(0.0017, "share", lang="zh") == "+0.17 个百分点"
    assert [p_value(p) for p in (0.76, 0.098, 0.0064, 1e-9, 1.0, None)] == [
        "0.76", "0.098", "0.006", "<0.001", "1.00", "–",
    ]  # fmt: skip
    assert difference_interval(-0.011, 0.012, "share") == "−1.1 to +1.2 pp"
    assert difference(0.00041, "share", digits=1) == "0.0 pp"
    assert difference(-0.0506, "share", digits=1) == "−5.1 pp"
    assert difference_interval(-0.0011, 0.012, "share", digits=1) == "−0.1 to +1.2 pp"
    assert [times(x) for x in (0.355, 1.085, 35.57, 120.4, 0, None)] == [
        "0.35", "1.08", "35.6", "120", "0", "–",
    ]  # fmt: skip
    assert difference_interval(-0.011, 0.0, "share", lang="zh") == "−1.1 至 0 个百分点"
    assert difference_interval(-20, 300, "fen") == "−¥0.20 to +¥3.00"
    assert difference_interval(None, 1, "fen") == "–"
    assert listed(["a", "b", "c"]) == "a, b, c"
    assert listed(["甲", "乙"], lang="zh") == "甲、乙"
    assert listed([]) == ""
    assert clauses(["a", "b"]) == "a; b"
    assert clauses(["甲", "乙"], lang="zh") == "甲；乙"
    assert count(48_312) == "48,312"
    assert interval(-0.019, 0.106) == "−1.9% to +10.6%"
    assert interval(None, 0.1) == "–"
