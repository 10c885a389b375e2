"""Small groups stay hidden, whatever is added up or taken away."""

import numpy as np
import pytest

from growth.errors import ParameterError
from growth.segments import cross_from_counts, sizes, sizes_from_counts
from growth.segments.hiding import determined, hide, hide_table


def known_back(table, cells, rows, columns):
    """Return the hidden numbers that integer reasoning by sums gives back."""
    height, width = np.shape(table)
    names = [(i, j) for i in range(height) for j in range(width)]
    names += [("row", i) for i in range(height)] + [("col", j) for j in range(width)]
    hidden = [*np.ravel(cells), *rows, *columns]
    shown = [n for n, away in zip(names, hidden, strict=True) if not away]
    equations = [
        [((i, j), 1) for j in range(width)] + [(("row", i), -1)] for i in range(height)
    ]
    equations += [
        [((i, j), 1) for i in range(height)] + [(("col", j), -1)] for j in range(width)
    ]
    equations.append([(("row", i), 1) for i in range(height)])
    equations.append([(("col", j), 1) for j in range(width)])
    unknown = [n for n in names if n not in shown]
    if not unknown:
        return set()
    matrix = np.array(
        [[dict(eq).get(n, 0) for n in unknown] for eq in equations], dtype=float
    )
    found = set()
    rank = np.linalg.matrix_rank(matrix)
    for k, name in enumerate(unknown):
        unit = np.zeros(len(unknown))
        unit[k] = 1
        if np.linalg.matrix_rank(np.vstack([matrix, unit])) == rank:
            found.add(name)
    return found


def test_linear_algebra_cannot_undo_what_is_hidden():
    rng = np.random.default_rng(0)
    hid = 0
    for _ in range(150):
        shape = rng.integers(2, 6, 2)
        table = rng.negative_binomial(0.6, 0.02, shape).tolist()
        cells, rows, columns = hide_table(table, k=10, min_size=50)
        back = known_back(table, cells, rows, columns)
        for (i, j), n in np.ndenumerate(np.asarray(table)):
            if 0 < n < 10:
                assert cells[i][j]
                hid += 1
                assert (i, j) not in back, table
        for i, total in enumerate(np.sum(table, axis=1)):
            if 0 < total < 50:
                assert rows[i]
                assert ("row", i) not in back, table
    assert hid > 100


def test_a_single_small_value_takes_a_second_one_along():
    found = sizes_from_counts({"a": 3, "b": 60, "c": 900}, tag="t", min_size=50)
    assert [cell.users for cell in found.cells] == [None, None, 900]
    assert (found.hidden, found.verdict) == (2, "segments.sizes.hidden")
    enough = sizes_from_counts({"a": 30, "b": 40, "c": 900}, tag="t", min_size=50)
    assert [cell.users for cell in enough.cells] == [None, None, 900]
    # 20 and 15 together are 35 of a total that is shown: too few to leave alone
    three = sizes_from_counts(
        {"a": 20, "b": 15, "c": 70, "d": 900}, tag="t", min_size=50
    )
    assert [cell.users for cell in three.cells] == [None, None, None, 900]


def test_nobody_is_shown_and_nothing_is_hidden_unasked():
    found = sizes_from_counts(
        {"a": 0, "b": 60}, tag="t", values=["a", "b"], min_size=50
    )
    assert [cell.users for cell in found.cells] == [0, 60]
    assert {n.code for n in found.notices} == {
        "segments_value_empty",
        "segments_value_everyone",
    }
    assert sizes_from_counts({"a": 1, "b": 2}, tag="t").hidden == 0


def test_what_was_hidden_the_day_before_stays_hidden():
    today = {"a": 51, "b": 70, "c": 900}
    assert sizes_from_counts(today, tag="t", min_size=50).hidden == 0
    again = sizes_from_counts(today, tag="t", min_size=50, also_hide=["a", "b"])
    assert [cell.users for cell in again.cells] == [None, None, 900]


def test_cells_and_totals_of_two_tags():
    counts = {("x", "p"): 3, ("x", "q"): 200, ("y", "p"): 300, ("y", "q"): 400}
    open_ = cross_from_counts(counts, row_tag="a", column_tag="b")
    assert open_.hidden == 0
    assert open_.row_users == (("x", 203), ("y", 700))
    shut = cross_from_counts(counts, row_tag="a", column_tag="b", k=10, min_size=50)
    assert shut.cells[0].users is None
    assert shut.hidden >= 4 or shut.row_users[0][1] is None
    assert shut.verdict == "segments.cross.hidden"


def test_hidden_numbers_without_any_sum_are_free():
    assert hide([3, 60], [50, 50], np.zeros((0, 2), dtype=np.int64)) == [True, False]
    assert determined(np.ones((1, 2), dtype=np.int64), []) == []
    assert determined(np.ones((1, 2), dtype=np.int64), [0]) == [0]


@pytest.mark.parametrize("limit", [0, -5])
def test_a_limit_is_positive(limit):
    with pytest.raises(ParameterError, match="1 or more") as info:
        sizes_from_counts({"a": 1}, tag="t", min_size=limit)
    assert info.value.code == "bad_limit"


def test_a_sample_gives_an_estimate_with_an_interval():
    import pyarrow as pa

    n = 20_000
    table = pa.table(
        {
            "user_id": [f"u{i}" for i in range(n)],
            "t": ["a" if i % 4 else "b" for i in range(n)],
        }
    )
    found = sizes(table, "t", sample_rate=0.1)
    assert found.verdict == "segments.sizes.estimated"
    cell = next(c for c in found.cells if c.value == "b")
    assert cell.share_low < 0.25 < cell.share_high
    assert abs(found.users - n) < 1500
    assert "share_low" in found.rows()[0]
    with pytest.raises(ParameterError, match=r"in \(0, 1\)") as info:
        sizes(table, "t", sample_rate=1.0)
    assert info.value.code == "bad_sample_rate"


def test_very_many_numbers_are_judged_in_little_memory():
    sums = np.zeros((3, 30_000), np.int64)
    sums[0] = 1
    sums[1, :2] = 1
    sums[2, 2] = 1
    assert determined(sums, range(30_000)) == [2]
    assert determined(sums, [0, 2]) == [0, 2]
