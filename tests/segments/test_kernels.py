"""The loop over rows, compiled and as plain Python, against a plain count."""

import numpy as np
import pytest

from growth.segments.kernels import FAR, raise_ends, tally, tally_days, totals


@pytest.mark.parametrize("run", [tally, tally.py_func], ids=["compiled", "plain"])
def test_rows_are_counted_by_user_filter_and_span(run):
    rng = np.random.default_rng(5)
    n, people, edges = 400, 7, np.array([-50, 0, 30], np.int64)
    users = rng.integers(0, people, n)
    us = rng.integers(-100, 100, n)
    us[:6] = [-51, -50, -1, 0, 29, 30]  # at the edges, and on either side
    masks = rng.integers(0, 8, n)
    counts = np.zeros((people, 12), np.int32)
    ends = np.zeros((people, 2), np.int64)
    count_at = np.arange(12).reshape(3, 4)
    count_at[2, 1] = -1  # nobody asks
    latest_at, earliest_at = np.array([-1, 0, -1]), np.array([-1, -1, 1])
    run(users, us, masks, counts, ends, edges, count_at, latest_at, earliest_at)
    spans = np.searchsorted(edges, us, side="right")
    for user in range(people):
        for f in range(3):
            mine = (users == user) & (masks >> f & 1 == 1)
            for span in range(4):
                want = np.sum(mine & (spans == span)) if (f, span) != (2, 1) else 0
                assert counts[user, 4 * f + span] == want
        assert ends[user, 0] - FAR == us[(users == user) & (masks & 2 > 0)].max()
        assert FAR - ends[user, 1] == us[(users == user) & (masks & 4 > 0)].min()


def test_nothing_asked_of_a_row_changes_nothing():
    counts, ends = np.zeros((1, 1), np.int32), np.zeros((1, 1), np.int64)
    one, none = np.zeros(1, np.int64), np.full(1, -1, np.int64)
    shape = none.reshape(1, 1)
    tally(one, one, one, counts, ends, np.zeros(0, np.int64), shape, none, none)
    tally(one, one, one + 1, counts, ends, np.zeros(0, np.int64), shape, none, none)
    assert (counts.sum(), ends.sum()) == (0, 0)


@pytest.mark.parametrize("run", [totals, totals.py_func], ids=["compiled", "plain"])
def test_counters_are_added_up_for_those_who_have_rows(run):
    counts = np.array([[0, 0, 0], [1, 2, 4], [0, 0, 0], [0, 1, 0]], np.int32)
    asked = [[0, 1, 2], [2], [], [0, 2]]
    flat = np.array([c for one in asked for c in one])
    seen, found = run(counts, flat, np.cumsum([0, *map(len, asked)]))
    assert seen.tolist() == [1, 3]
    assert found.tolist() == [[7, 1], [4, 0], [0, 0], [5, 0]]


@pytest.mark.parametrize(
    ("add", "keep"),
    [(tally_days, raise_ends), (tally_days.py_func, raise_ends.py_func)],
    ids=["compiled", "plain"],
)
def test_whole_days_add_up_as_their_rows_do(add, keep):
    users, days = np.array([0, 1, 0, 0]), np.array([9, 10, 11, 2])
    rows, counts = np.array([5, 0, 2, 1]), np.zeros((2, 2), np.int32)
    add(users, days, rows, counts, np.array([3, 10]), np.array([-1, 0, 1]))
    assert counts.tolist() == [[5, 2], [0, 0]]
    ends, us = np.zeros((2, 2), np.int64), np.array([7, -FAR, -3, 4])
    keep(users, us, ends, 0, 1)
    keep(users, us, ends, 1, -1)
    assert (ends[0] - FAR).tolist() == [7, 3]
    assert ends[1].tolist() == [0, 0]
