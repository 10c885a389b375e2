import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from growth.engine import count_units
from growth.errors import ColumnNotFoundError, DataError


def counted(rows):
    table = pa.table(
        {
            "unit": pa.array([unit for unit, _ in rows], pa.int64()),
            "arm": pa.array([arm for _, arm in rows], pa.string()),
        }
    )
    return count_units(table, unit_col="unit", group_col="arm")


def test_units_in_several_groups_are_set_aside_and_counted():
    found = counted([(1, "A"), (1, "A"), (2, "B"), (3, "A"), (3, "B"), (4, "B")])
    assert found == ({"A": 1, "B": 2}, 1)


def test_a_group_that_is_never_first_or_last_is_still_listed():
    assert counted([(1, "A"), (1, "B"), (1, "C")]) == ({"A": 0, "B": 0, "C": 0}, 1)


def test_groups_are_sorted_as_text():
    table = pa.table({"unit": [1, 2, 3], "arm": [10, 9, 1]})
    found = count_units(table, unit_col="unit", group_col="arm")
    assert list(found.units) == ["1", "10", "9"]


def test_no_rows_are_no_units():
    assert counted([]) == ({}, 0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from("ABC")), max_size=40))
def test_counting_agrees_with_sets_and_ignores_order_and_repeats(rows):
    arms = {}
    for unit, arm in rows:
        arms.setdefault(unit, set()).add(arm)
    expected = dict.fromkeys(sorted({arm for _, arm in rows}), 0)
    for seen in arms.values():
        if len(seen) == 1:
            expected[min(seen)] += 1
    crossovers = sum(len(seen) > 1 for seen in arms.values())
    assert counted(rows[::-1] + rows) == (expected, crossovers)


@pytest.mark.parametrize(
    ("rows", "column"),
    [
        ([(1, "A"), (2, None)], "arm"),
        ([(1, "A"), (1, None)], "arm"),
        ([(1, "A"), (None, "B")], "unit"),
    ],
)
def test_null_is_refused(rows, column):
    with pytest.raises(DataError, match=f"'{column}' holds NULL; .* drop") as info:
        counted(rows)
    assert info.value.code == "null_value"


def test_a_misspelt_column_gets_a_suggestion():
    with pytest.raises(ColumnNotFoundError, match="Did you mean 'unit'"):
        count_units(
            pa.table({"unit": [1], "arm": ["A"]}), unit_col="unti", group_col="arm"
        )
