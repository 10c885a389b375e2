from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from growth.charts.intervals import Interval, axis_of


def interval(value, lo, hi, **more):
    return Interval(label="x", value=value, lo=lo, hi=hi, **more)


@pytest.mark.parametrize(
    ("lo", "hi", "more", "reading", "tone"),
    [
        (0.01, 0.05, {}, "better", "good"),
        (-0.05, -0.01, {}, "worse", "bad"),
        (-0.01, 0.05, {}, "unclear", "ink"),
        (0.01, 0.05, {"good": "down"}, "worse", "bad"),
        (-0.05, -0.01, {"good": "down"}, "better", "good"),
        (-0.01, 0.05, {"margin": 0.02}, "no_worse", "ink"),
        (-0.03, 0.05, {"margin": 0.02}, "not_shown", "ink"),
        (-0.09, -0.03, {"margin": 0.02}, "harm", "bad"),
        (-0.01, 0.01, {"margin": 0.02, "good": "down"}, "no_worse", "ink"),
        (0.03, 0.09, {"margin": 0.02, "good": "down"}, "harm", "bad"),
        (0.001, 0.01, {"margin": 0.02, "good": "down"}, "within", "bad"),
        (-0.01, -0.001, {"margin": 0.02, "good": "down"}, "better", "good"),
        (None, None, {}, "none", "ink"),
    ],
)
def test_an_interval_says_what_may_be_read_from_it(lo, hi, more, reading, tone):
    middle = None if lo is None else (lo + hi) / 2
    row = interval(middle, lo, hi, **more)
    assert (row.reading, row.tone) == (reading, tone)


def test_the_margin_stands_on_the_bad_side():
    assert interval(0, -1, 1, margin=0.02).limit == -0.02
    assert interval(0, -1, 1, margin=0.02, good="down").limit == 0.02
    assert interval(0, -1, 1).limit is None


def test_decimals_follow_the_width():
    assert interval(0.0612, 0.019, 0.106).said() == "+6.1%"
    assert interval(0.00123, 0.0001, 0.0021).said() == "+0.12%"
    assert interval(-0.04, -0.05, -0.03).ends("zh") == "−5.0% 至 −3.0%"


ENDS = st.tuples(st.floats(-10, 10), st.floats(-10, 10)).map(sorted)


@given(st.lists(ENDS, max_size=8), st.floats(0.001, 1))
def test_an_axis_holds_zero_a_near_margin_and_most_of_the_rows(ends, margin):
    rows = [interval(sum(e) / 2, *e) for e in ends]
    rows.append(interval(0.0, -0.01, 0.01, margin=margin))
    axis = axis_of(rows)
    assert axis.lo < 0 < axis.hi
    longest = max(max(abs(r.lo), abs(r.hi)) for r in rows)
    assert axis.lo <= -margin or margin > 2 * min(longest, max(-axis.lo, axis.hi))
    assert 0.0 in axis.ticks
    assert all(axis.lo <= tick <= axis.hi for tick in axis.ticks)
    assert 1 <= len(axis.ticks) <= 12
    held = [r for r in rows if axis.lo <= r.lo and r.hi <= axis.hi]
    assert 2 * len(held) >= len(rows)


def test_a_far_margin_does_not_press_the_intervals_flat():
    near = axis_of([interval(0.0, -0.1, 0.1, margin=0.15)])
    assert near.lo <= -0.15
    far = axis_of([interval(0.0, -0.1, 0.1, margin=3.0)])
    assert far.lo == pytest.approx(-0.1, rel=0.1)


def test_a_place_on_the_axis_stays_on_it():
    axis = axis_of([interval(0.0, -0.1, 0.1)])
    assert axis.at(-9, 300) == 0
    assert axis.at(9, 300) == 300
    assert axis.at(0, 300) == 150


def test_no_rows_still_make_an_axis():
    assert 0.0 in axis_of([]).ticks
    assert 0.0 in axis_of([interval(None, None, None)]).ticks


def test_rows_that_do_not_lead_are_cut_rather_than_stretch_the_axis():
    goals = [interval(0.3, 0.17, 0.43), interval(0.27, 0.17, 0.38)]
    wide = interval(0.4, -0.1, 0.9, margin=1.2, good="down", leads=False)
    near = interval(0.02, 0.005, 0.03, margin=0.05, good="down", leads=False)
    alone, axis = axis_of(goals), axis_of([*goals, wide, near])
    assert axis.hi == pytest.approx(alone.hi, rel=0.02)
    assert -0.13 < axis.lo < -0.1  # some room, as much as it needs
    far = interval(0.0, -9.0, 9.0, leads=False)
    assert axis_of([*goals, far]).lo == pytest.approx(-0.215, rel=0.1)
    assert axis_of([wide]).hi > 0.9  # alone it leads


@given(st.lists(ENDS, max_size=6), st.lists(st.booleans(), min_size=6, max_size=6))
def test_the_words_of_the_ticks_never_meet(ends, leads):
    rows = [
        interval(sum(e) / 2, *e, leads=lead)
        for e, lead in zip(ends, leads, strict=False)
    ]
    axis = axis_of(rows)
    assert axis.lo < axis.hi
    assert 0.0 in axis.ticks
    places = [axis.at(tick, 300) for tick in axis.ticks]
    assert all(b - a >= 50 for a, b in pairwise(places))


@pytest.mark.parametrize(
    ("unit", "change", "ends", "said", "ticks"),
    [
        ("share", False, (0.282, 0.318), "30.0%", ["0%", "10%", "20%", "30%"]),
        ("share", True, (-0.1, 0.1), "+30 pp", ["−10 pp", "−5.0 pp", "0"]),
        ("fen", False, (0, 61_000), "¥0.30", ["0", "¥200", "¥400", "¥600"]),
        ("fen", True, (-900, 0), "+¥0.30", ["−¥8", "−¥6", "−¥4"]),
        ("count", False, (0, 41), "30.0", ["0", "10.0", "20.0", "30.0"]),
    ],
)
def test_levels_and_changes_are_written_in_their_own_unit(
    unit, change, ends, said, ticks
):
    value = 0.3 if unit == "share" else 30
    row = interval(value, *ends, unit=unit, change=change)
    axis = axis_of([row])
    assert row.said() == said
    assert [axis.words(tick, "en") for tick in axis.ticks][: len(ticks)] == ticks
    assert (row.clears is None) is (not change or ends[0] <= 0 <= ends[1])


def test_a_level_has_no_good_side():
    row = interval(0.3, 0.2, 0.4, change=False)
    assert (row.clears, row.tone, row.reading) == (None, "ink", "unclear")
