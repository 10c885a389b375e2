"""Kernels over files in the order of users: merged, not sorted anew."""

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from growth.engine import KeyPart, kernels, key_shifts, merging
from growth.engine.merging import Run, map_runs

USERS = 300
LAST = 999
TIME = KeyPart("ts", "ts", 100, LAST - 100)
CODE = KeyPart("code", "code", 0, 3)


def written(folder, number, rng, *, n):
    """Write one sorted run; return its rows too."""
    rows = np.stack([rng.integers(0, USERS, n), rng.integers(0, LAST + 1, n)])
    rows = rows[:, np.lexsort(rows[::-1])]
    table = pa.table(
        {
            "user_idx": pa.array(rows[0], pa.int32()),
            "ts": pa.array(rows[1], pa.timestamp("us", "UTC")),
        }
    )
    path = folder / f"{number}.parquet"
    pq.write_table(table, path, row_group_size=37)
    return path, rows


def whole(keys, user_at):
    """Return the keys of each part as they are, and how many users it has."""
    users = np.unique(keys >> user_at)
    return users, keys, np.array([len(users)])


@pytest.fixture
def runs(tmp_path, rng_):
    return [
        (Run(path, code), rows)
        for i, (code, n) in enumerate([(0, 400), (3, 1), (1, 900), (0, 250), (2, 0)])
        for path, rows in [written(tmp_path, i, rng_, n=n)]
    ]


@pytest.fixture
def rng_():
    return np.random.default_rng(7)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("part_rows", [10, 200, 1 << 20])
def test_every_row_within_the_bounds_is_in_one_part_and_in_order(
    runs, part_rows, threads, monkeypatch
):
    monkeypatch.setattr(merging, "PART_ROWS", part_rows)
    shifts = key_shifts((TIME, CODE))
    found = map_runs(
        [run for run, _ in runs],
        users=USERS,
        time=TIME,
        code=CODE,
        kernel=whole,
        params=shifts[-1:],
        threads=threads,
    )
    keys, counts = found.values
    expected = [
        (t - 100, run.code)
        for run, rows in runs
        for _, t in rows.T
        if 100 <= t <= LAST - 100
    ]
    mask = (1 << TIME.bits) - 1
    told = zip((keys >> shifts[0]) & mask, (keys >> shifts[1]) & 3, strict=True)
    assert sorted(told) == sorted(expected)
    assert found.rows == len(expected)
    inside = [rows[0][(rows[1] >= 100) & (rows[1] <= LAST - 100)] for _, rows in runs]
    assert counts.sum() == len(np.unique(np.concatenate(inside)))
    assert found.parts == len(counts)
    ends = np.flatnonzero(np.diff(keys) < 0)  # keys go down only from part to part
    assert len(ends) < found.parts
    assert found.users is None
    assert not found.left_out


def test_without_files_the_kernel_is_called_once():
    found = map_runs([], users=0, time=TIME, code=CODE, kernel=whole, params=(9,))
    assert [len(values) for values in found.values] == [0, 1]
    assert (found.rows, found.parts) == (0, 1)


def test_no_file_is_held_open_between_its_row_groups(runs, monkeypatch):
    monkeypatch.setattr(merging, "PART_ROWS", 200)
    folder = runs[0][0].path.parent
    opened = []

    def watching(keys):
        files = {file.path for file in psutil.Process().open_files()}
        opened.append([path for path in folder.iterdir() if str(path) in files])
        return keys, keys

    asked = {"users": USERS, "time": TIME, "code": CODE, "kernel": watching}
    found = map_runs([run for run, _ in runs], **asked)
    assert found.rows > 1000
    assert len(opened) > 5
    assert not any(opened)


def test_a_run_is_packed_as_the_engine_packs_rows():
    users = np.array([5, 5, 6, 7], np.int32)
    times = np.array([10, 40, 31, 60])
    keys = np.zeros(4, np.int64)
    at = kernels.pack_run.py_func(users, times, (20, 50, 10), (2, 6), 5, 3, keys, 1)
    assert at == 3
    assert keys.tolist() == [0, (0 << 6) | (2 << 2) | 3, (1 << 6) | (1 << 2) | 3, 0]
