"""Keys by shard: on disk beyond the budget, and in order."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from growth import engine
from growth.engine import KeyPart, kernels, key_shifts, map_by_user, spilling
from tests.engine.made import DAYS, log, run, spans


def last(keys, fen, shift, _bits):
    return paid(keys, fen, shift)


def paid(keys, fen, shift):
    """Return each user's last payment but one, and their rows."""
    users, firsts = np.unique(keys >> shift, return_index=True)
    ends = np.append(firsts[1:], keys.size)[: users.size]
    return users, fen[np.maximum(ends - 2, firsts)], ends - firsts


@pytest.mark.parametrize("users", [1, 5000])
def test_beyond_a_quarter_of_the_memory_keys_go_to_disk_and_are_removed(
    users, tmp_path, monkeypatch
):
    # 16 bytes a row are more than 40 MB / 4, in 32 parts or (one user) in one
    n = 700_000
    rng = np.random.default_rng(5)
    who, day, fen = (rng.integers(0, high, n) for high in (users, DAYS, 900))
    rows = pa.table({"user_idx": who, "day": day, "fen": fen})
    (tmp_path / "data").mkdir()
    pq.write_table(rows, tmp_path / "data" / "rows.parquet")
    spill = tmp_path / "spill"
    folders = []
    made = spilling.Parts._spill

    def spied(self):
        made(self)
        folders.append(list(spill.glob("growth-keys-*/*.1")))

    monkeypatch.setattr(spilling.Parts, "_spill", spied)
    key = [KeyPart("day", "day", 0, DAYS - 1)]

    def ask(table):
        return map_by_user(
            table,
            key=key,
            kernel=paid,
            params=key_shifts(key)[-1:],
            payload={"fen": "fen"},
            out="rows",
            user_col="user_idx",
        )

    small = engine.connect(
        tmp_path / "data", threads=1, memory_limit="40MB", temp_dir=spill
    )
    found = ask(engine.as_table(tmp_path / "data", connection=small))
    assert [len(files) for files in folders] == [min(users, 32)] * 2
    assert list(spill.iterdir()) == []
    wanted = ask(rows)
    assert len(folders) == 2
    assert found.users.equals(wanted.users)
    for left, right in zip(found.values, wanted.values, strict=True):
        assert left.tolist() == right.tolist()


def test_a_part_larger_than_the_budget_is_worked_off_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(spilling, "_budget", lambda _plan: 4000)
    monkeypatch.setattr(spilling.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(spilling, "setting", lambda *_: None)
    rows = log(3000)
    found = run(rows, last, out="rows", shards=2, payload={"fen": "fen"})
    assert found.parts > 10
    monkeypatch.undo()
    wanted = run(rows, last, out="rows", payload={"fen": "fen"})
    assert wanted.parts == 32
    assert found.users.equals(wanted.users)
    assert found.values[0].tolist() == wanted.values[0].tolist()
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_goes_even_when_the_kernel_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(spilling, "_budget", lambda _plan: 100)
    monkeypatch.setattr(spilling.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(spilling, "setting", lambda *_: None)

    def fails(*_arrays):
        assert len(list(tmp_path.glob("*/*"))) > 0
        raise ZeroDivisionError("our own defect")

    with pytest.raises(ZeroDivisionError, match="our own defect"):
        run(log(50), kernel=fails)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bits", [1, 8, 9, 40, 63])
def test_digits_sort_as_numpy_does(bits):
    rng = np.random.default_rng(bits)
    keys = rng.integers(0, 2**bits, 3000, dtype=np.int64, endpoint=False)
    for radix in (kernels.radix, kernels.radix.py_func):
        given, spare = keys[:300].copy(), np.empty(300, np.int64)
        rows, other = np.arange(300), np.empty(300, np.int64)
        if radix(given, spare, rows, other, 0, bits, keep_rows=True):
            given, rows = spare, other
        assert given.tolist() == sorted(keys[:300].tolist())
        assert rows.tolist() == np.argsort(keys[:300], kind="stable").tolist()


@pytest.mark.parametrize("least", [0, 5, 20, 40])
def test_only_the_digits_asked_for_are_sorted_by(least):
    keys = np.random.default_rng(least).integers(0, 2**40, 300)
    for radix in (kernels.radix, kernels.radix.py_func):
        given, spare = keys.copy(), np.empty(300, np.int64)
        rows, other = np.arange(300), np.empty(300, np.int64)
        if radix(given, spare, rows, other, least, 40, keep_rows=True):
            rows = other
        assert rows.tolist() == np.argsort(keys >> least, kind="stable").tolist()


def test_keys_that_hardly_need_it_are_sorted_in_place():
    keys = np.array([3, 1, 2, 9, 8])
    for falls, settle in (
        (kernels.falls, kernels.settle),
        (kernels.falls.py_func, kernels.settle.py_func),
    ):
        assert falls(keys, 4) == 2
        assert falls(keys, 1) == 2  # of 1 1 0 1 0
        given = keys.copy()
        assert settle(given, 3)
        assert given.tolist() == [1, 2, 3, 8, 9]
        assert not settle(keys.copy(), 2)


def test_many_rows_are_sorted_by_their_digits(monkeypatch):
    rows = log(3000)
    wanted = run(rows, spans, out="rows")
    monkeypatch.setattr(spilling, "FEW", 1)
    found = run(rows, spans, out="rows")
    for left, right in zip(found.values, wanted.values, strict=True):
        assert left.tolist() == right.tolist()
