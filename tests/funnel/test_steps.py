# ruff: noqa: E501  (one case a line)
"""A funnel is checked as a whole before any row is read."""

from datetime import date, timedelta

import pytest

from growth import funnel
from growth.errors import ParameterError
from growth.funnel import Exclusion, Step
from growth.funnel.steps import span_text
from tests.funnel.made import ASKED, log

ROWS = log(("a", 1, "view"), ("a", 2, "pay"))
STEPS = ["view", "pay"]


def refused(**rules):
    with pytest.raises(ParameterError, match=" ") as error:  # callers match the words
        funnel.measure(ROWS, **{"steps": STEPS} | ASKED | rules)
    return error.value


@pytest.mark.parametrize(
    ("rules", "code", "words"),
    [
        ({"end": date(2026, 3, 1)}, "range", "later than start"),
        ({"window": "0d"}, "range", "above 0"),
        ({"window": "-1d"}, "range", "window is '-1d'"),
        ({"window": "week"}, "range", "window is 'week'"),
        ({"window": None}, "range", "max_gap to each step"),
        ({"window": "20000d"}, "range", "at most 3660 days"),
        ({"lag": -timedelta(1)}, "range", "lag is"),
        ({"start": "2026-03-01"}, "range", "start is '2026-03-01'"),
        ({"order": "orderd"}, "unknown_order", "Did you mean 'ordered'?"),
        ({"entry": "last"}, "unknown_entry", "entry is 'last'"),
        ({"count": "user"}, "unknown_count", "Did you mean 'users'?"),
        ({"ties": "x"}, "unknown_ties", "one of step_order, strict"),
        ({"repeats": "brake"}, "unknown_repeats", "Did you mean 'break'?"),
        ({"reentry": "x"}, "unknown_reentry", "one of restart, ignore"),
        ({"reentry": "ignore"}, "reentry", "order 'strict'"),
        ({"exclusion": "x"}, "unknown_exclusion", "one of attempt, user"),
        ({"immature": "x"}, "unknown_immature", "one of drop, keep"),
        ({"attribution": "step_3"}, "unknown_attribution", "step_1..step_2"),
        ({"tz": "Asia/Shanghia"}, "bad_timezone", "Did you mean 'Asia/Shanghai'?"),
        ({"by": ["a", "a"]}, "by_twice", "without repeats"),
        ({"hold": ["a", "a"]}, "hold_twice", "without repeats"),
        ({"steps": ["view"]}, "steps", "2 to 32 steps"),
        ({"steps": ["view"] * 33}, "steps", "2 to 32 steps"),
        ({"steps": "view"}, "steps", "a list of 2 to 32 steps"),
        ({"steps": ["view", 3]}, "steps", "step 2 is 3"),
        ({"steps": ["view", ""]}, "steps", "an event's name"),
        ({"steps": ["view", []]}, "steps", "an event's name"),
        ({"steps": ["view", ["*", "pay"]]}, "steps", "alone, or names"),
        ({"steps": [Step("view", optional=True), *STEPS]}, "steps", "after the first"),
        ({"steps": ["view", Step("pay", optional=True)]}, "steps", "not optional"),
        ({"steps": ["view", Step("pay", min_gap="2h", max_gap="1h")]}, "steps", "at most max_gap"),
        ({"steps": ["view", Step("pay", min_gap="soon")]}, "steps", "a duration of 0"),
        ({"steps": [Step("view", max_gap="1h"), "pay"]}, "steps", "from the step before"),
        ({"steps": ["view", Step("pay", where=[{"col": "x", "eqq": 1}])]}, "unknown_key", "Did you mean 'eq'?"),
        ({"order": "any", "steps": ["view", Step("pay", max_gap="1h")]}, "steps", "'any' with a gap"),
        ({"order": "any", "exclude": [Exclusion("x")]}, "steps", "'any' with exclude"),
        ({"order": "any", "repeats": "break"}, "steps", "'any' with repeats"),
        ({"order": "any", "count": "totals"}, "steps", "'any' with count"),
        ({"order": "any", "steps": ["view", ["view", "pay"]]}, "steps", "equal or without a common event"),
        ({"exclude": [Exclusion("x", after=2, before=2)]}, "steps", "rising within 1..2"),
        ({"exclude": [Exclusion("x", after=1, before=3)]}, "steps", "rising within 1..2"),
        ({"repeats": "break", "steps": ["view", "pay", "view"]}, "steps", "share 'view'"),
        ({"repeats": "break", "steps": ["view", "*"]}, "steps", "share 'view'"),
        ({"count": "totals", "exclude": [Exclusion("x")], "exclusion": "user"}, "steps", "'totals' with exclusion"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(rules, code, words):
    error = refused(**rules)
    assert words in str(error)
    assert error.code == code


def test_exclusions_are_not_bounded_by_optional_steps():
    steps = ["view", Step("cart", optional=True), "pay"]
    error = refused(steps=steps, exclude=[Exclusion("x", after=1, before=2)])
    assert "between steps that are not optional" in str(error)


def test_everything_wrong_is_told_at_once():
    error = refused(order="orderd", window="0d", steps=["view"])
    assert [fault.name for fault in error.faults] == ["order", "window", "steps"]


def test_steps_may_be_written_as_mappings():
    steps = [{"event": "view"}, {"event": ["pay", "buy"], "max_gap": "1h"}]
    result = funnel.measure(ROWS, steps=steps, **ASKED)
    assert [s.name for s in result.steps] == ["view", "pay | buy"]
    assert [s.reached for s in result.steps] == [1, 1]
    error = refused(steps=["view", {"event": "pay", "gap": "1h"}])
    assert "step 2 is" in str(error)


def test_gaps_may_take_the_place_of_a_window():
    steps = ["view", Step("pay", max_gap="1h")]
    result = funnel.measure(ROWS, steps=steps, window=None, **ASKED)
    assert [s.reached for s in result.steps] == [1, 1]
    short = ["view", Step("pay", max_gap="59m")]
    assert funnel.measure(ROWS, steps=short, window=None, **ASKED).steps[1].reached == 0


@pytest.mark.parametrize(
    ("span", "words"),
    [("90s", "90s"), ("120s", "2m"), ("1w", "7d"), ("1.5s", "1500ms"), ("5us", "5us")],
)
def test_durations_are_written_in_their_largest_unit(span, words):
    assert span_text(span) == words
