"""Whole numbers are read as everywhere in the house, every fault at once."""

import json
from datetime import date, datetime

import numpy as np
import pandas as pd
import pytest

from growth.tiers import Habits, Population, load_programme, search, simulate
from growth.tiers.checks import (
    between,
    counts,
    is_day,
    listed,
    seeded,
    thresholds,
)
from growth.tiers.response import NO_RESPONSE
from tests.tiers import made

PROGRAMME = load_programme({"tiers": made.TIERS})
PEOPLE = {"buying": (0.8, 60.0, 0.8, 2.5), "spending": (6.0, 4.0, 40_000.0)}


@pytest.mark.parametrize("value", [3, 3.0, np.int64(3), np.float32(3)])
def test_a_whole_number_is_taken_whatever_its_kind(value):
    faults = []
    read = (*counts(faults, 5, months=value), seeded(faults, value))
    assert read == (3, 3)
    assert [type(number) for number in read] == [int, int]
    assert thresholds(faults, [value, value]) == (3, 3)
    assert faults == []


@pytest.mark.parametrize("value", [0, 6, 3.5, "3", None, True, float("nan")])
def test_what_is_no_count_is_told_and_read_as_the_least(value):
    faults = []
    assert counts(faults, 5, months=value, days=1) == (1, 1)
    (fault,) = faults
    assert fault == (
        "bad_months", "months", repr(value), "a whole number, 1 to 5", ""
    )  # fmt: skip


@pytest.mark.parametrize("values", [5, "5", [5, 0], [0.5, 0.25], {5}])
def test_what_are_no_thresholds_is_told_once(values):
    faults = []
    assert thresholds(faults, values) == ()
    assert [fault.code for fault in faults] == ["bad_thresholds"]
    assert thresholds(faults, None) == ()


def test_a_number_lies_between_its_ends_or_is_none():
    assert all(between(v, 0, 1) for v in (0, 1, 0.5, np.float32(0.5), np.int8(1)))
    assert between(1e300, 0)
    odd = (-0.1, 1.1, True, "0", None, float("nan"))
    assert not any(between(v, 0, 1) for v in odd)
    assert not between(float("inf"), 0)


def test_a_list_is_a_sequence_or_an_array_and_no_text():
    assert all(map(listed, ([], (1,), range(3), np.ones(2), pd.Series([1.0]))))
    odd = (1, "ab", b"ab", None, {1: 2}, {1}, np.array(1.0), np.float64(1))
    assert not any(map(listed, odd))


def test_an_instant_is_no_day():
    assert is_day(date(2026, 1, 1))
    assert not any(map(is_day, (datetime(2026, 1, 1), "2026-01-01", None)))


def test_numpys_numbers_run_and_are_kept_as_plain_ones():
    def run(number):
        people = Population.from_priors(
            number(30), **PEOPLE, as_of=date(2025, 12, 31), seed=number(3),
            habits=Habits(refund_rate=0.1, refund_days=number(5)),
        )  # fmt: skip
        how = {"margin_rate": 0.3, "redemption": 0.3, "seed": number(7)}
        how |= {"months": number(2), "replications": number(2)}
        best = search(
            people.sample(number(20), seed=number(1)), PROGRAMME, **how,
            grid={"points.login": [1, 2]}, response=NO_RESPONSE,
        )  # fmt: skip
        ran = simulate(people, PROGRAMME, threads=number(1), chunk=number(8), **how)
        return json.dumps([ran.to_dict(), best.to_dict()]), ran.rows()

    assert run(np.int64) == run(float) == run(int)
