"""Kernels over events: from files as they lie, and from what an engine gives."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from growth.engine import (
    KeyPart,
    as_table,
    events,
    kernels,
    key_shifts,
    map_events,
    spilling,
)
from growth.errors import DataError

START = datetime(2026, 3, 1, tzinfo=UTC)
NAMES = ("view", "cart", "pay", "share", None)
TIME = KeyPart("ts", None, START + timedelta(hours=10), START + timedelta(hours=90))
CODE = KeyPart("code", None, 3, 7)


def log(seed, n=3000, *, text=True, lacking=True):
    rng = np.random.default_rng(seed)
    at = rng.integers(0, 100 * 3600, n)
    nobody = rng.random(n) < 0.005 * lacking
    never = rng.random(n) < 0.005 * lacking
    who = rng.integers(0, 60, n).tolist()
    users = [
        None if gone else f"u{user}" if text else user
        for user, gone in zip(who, nobody, strict=True)
    ]
    times = [
        None if gone else START + timedelta(seconds=second)
        for second, gone in zip(at.tolist(), never, strict=True)
    ]
    names = [NAMES[i] for i in rng.integers(0, len(NAMES), n)]
    return pa.table(
        {
            "user_id": pa.array(users, pa.string() if text else pa.int32()),
            "ts": pa.array(times, pa.timestamp("ms", "UTC")),
            "event": pa.array(names, pa.string()),
        }
    )


def fingerprint(keys, shift):
    """Say of each user, whatever the number is, what was done and when."""
    low = keys & ((1 << shift) - 1)
    users, of = np.unique(keys >> shift, return_inverse=True)
    order = np.bincount(of, minlength=len(users))
    place = np.arange(len(keys)) - np.repeat(np.cumsum(order) - order, order)
    mixed = np.zeros(len(users), np.int64)
    np.add.at(mixed, of, (low % 1_000_003) * (place + 1))
    return users, order, mixed


def asked(source, codes, **options):
    shift = key_shifts((TIME, CODE))[-1]
    found = map_events(
        source, codes, time=TIME, code=CODE, kernel=fingerprint, params=(shift,),
        **options,
    )  # fmt: skip
    told = sorted(zip(*(values.tolist() for values in found.values), strict=True))
    return told, found.rows, found.left_out


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize(
    "codes", [{"view": 3, "pay": 5}, {"view": 3, "pay": 5, None: 7}, {None: 4}, {}]
)
def test_files_say_what_the_engine_says(tmp_path, codes, text, monkeypatch):
    pq.write_table(log(1, text=text), tmp_path / "a.parquet", row_group_size=700)
    pq.write_table(log(2, text=text), tmp_path / "b.parquet")
    made = []
    real = events._Feed
    monkeypatch.setattr(events, "_Feed", lambda *a: made.append(a) or real(*a))
    straight = asked(tmp_path, codes)
    assert len(made) == 1
    monkeypatch.setattr(events, "files_of", lambda *_: None)
    assert asked(tmp_path, codes) == straight
    whole = pa.concat_tables([log(1, text=text), log(2, text=text)])
    assert asked(whole, codes) == straight
    assert len(made) == 1
    told, rows, left_out = straight
    if codes.keys() >= {"view"}:
        assert sum(n for n, _ in told) < rows < 6000
        assert set(left_out) == {"user_id"}


def test_bounds_are_both_included(tmp_path):
    at = [TIME.low - timedelta(milliseconds=1), TIME.low, TIME.high,
          TIME.high + timedelta(milliseconds=1)]  # fmt: skip
    rows = {"user_id": ["a"] * 4, "event": ["view"] * 4}
    table = pa.table(rows | {"ts": pa.array(at, pa.timestamp("ms", "UTC"))})
    pq.write_table(table, tmp_path / "a.parquet")
    for source in (tmp_path, table):
        told, seen, _ = asked(source, {"view": 3})
        assert (told[0][0], seen) == (2, 2)


def test_users_too_many_for_a_part_are_split_and_large_ones_numbered(tmp_path):
    rows = log(3, text=False, lacking=False)
    wide = rows.set_column(
        0, "user_id", pa.array(np.asarray(rows["user_id"], np.int64) * 2**51 - 2**55)
    )
    wanted = asked(rows, {"view": 3, "pay": 5})
    pq.write_table(wide, tmp_path / "a.parquet")
    assert asked(tmp_path, {"view": 3, "pay": 5}) == wanted


def test_too_many_rows_without_a_user_are_an_error_from_files_too(tmp_path):
    rows = log(4, n=300, lacking=False)
    users = [None if i % 20 == 0 else "a" for i in range(300)]
    pq.write_table(
        rows.set_column(0, "user_id", pa.array(users)), tmp_path / "a.parquet"
    )
    with pytest.raises(
        DataError, match=r"'user_id' is NULL in \d+ of \d+ rows"
    ) as told:
        asked(tmp_path, {"view": 3})
    assert told.value.code == "null_key"


def test_columns_may_have_other_names(tmp_path):
    rows = log(5).rename_columns(["who", "at", "what"])
    pq.write_table(rows, tmp_path / "a.parquet")
    found = asked(
        as_table(tmp_path), {"view": 3}, user_col="who", ts_col="at", event_col="what"
    )
    wanted = asked(log(5), {"view": 3})
    assert found[:2] == wanted[:2]
    assert found[2] == {"who": wanted[2]["user_id"]}


def test_a_log_that_is_all_but_in_order_sorts_as_any_other(monkeypatch):
    monkeypatch.setattr(spilling, "FEW", 1)  # sorted by digits, however few
    rows = log(6, n=60_000).sort_by("ts")
    late = np.arange(60_000)
    late[::100] -= 90
    near = rows.take(pa.array(np.argsort(late, kind="stable")))
    mixed = rows.take(pa.array(np.random.default_rng(1).permutation(60_000)))
    halves = pa.concat_tables([rows.slice(30_000), rows.slice(0, 30_000)])
    codes = {"view": 3, "pay": 5, "cart": 4}
    wanted = asked(rows, codes)
    for other in (near, mixed, halves):  # late by a little, by chance, by half
        assert asked(other, codes) == wanted


def test_events_are_packed_in_plain_python_too():
    times = np.array([5, 1, 9, 5, 7], np.int64)
    known = np.array([True, True, True, False, True])
    names = np.array([0, 1, 1, 0, 2], np.int32)
    codes = np.array([2, 1, -1])
    for pack in (kernels.pack_events, kernels.pack_events.py_func):
        for there, inside in ((known, 3), (known[:0], 4)):
            low, places = np.empty(5, np.int64), np.empty(5, np.int64)
            window = (2000, 9000, 2000)
            found = pack(times, there, 1000, window, names, codes, (2, 0), low, places)
            assert found == (inside, inside - 1)
            kept = places[: found[1]].tolist()
            assert kept == ([0, 2] if inside == 3 else [0, 2, 3])
            assert low[:2].tolist() == [1 << 2 | 2, 3 << 2 | 1]


VALUE = KeyPart("value", None, 0, 15)


def by_value(source, by, most=15):
    value = VALUE._replace(high=most)
    shifts = key_shifts((TIME, CODE, value))

    def tally(keys, value_mask, code_at, code_mask):
        found = np.zeros((code_mask + 1, value_mask + 1), np.int64)
        np.add.at(found, (keys >> code_at & code_mask, keys & value_mask), 1)
        return found, found[None]

    told = events.map_events_by(
        source,
        {"view": 3, "pay": 5, None: 7},
        by,
        bearing=[3, 7],
        time=TIME,
        code=CODE,
        value=value,
        kernel=tally,
        params=(most, shifts[1], (1 << CODE.bits) - 1),
    )
    if told is None:
        return None
    counts = told.found.values[0].sum(axis=0)
    return {
        (code, said): int(counts[code, number])
        for code in range(len(counts))
        for number, said in enumerate((None, *told.values))
        if counts[code, number]
    }


def with_columns(rows):
    n = len(rows)
    colours = ["red", "green", None]
    return (
        rows.append_column("colour", pa.array([colours[i % 3] for i in range(n)]))
        .append_column("size", pa.array([i // 2 % 2 for i in range(n)], pa.int16()))
        .append_column("new", pa.array([(None, True)[i // 4 % 2] for i in range(n)]))
    )


@pytest.mark.parametrize(
    "by", [("colour",), ("size",), ("new",), ("colour", "size", "new")]
)
def test_values_are_numbered_as_they_are_met(tmp_path, by):
    rows = with_columns(log(7))
    pq.write_table(rows.slice(0, 2000), tmp_path / "a.parquet", row_group_size=300)
    pq.write_table(rows.slice(2000), tmp_path / "b.parquet")
    wanted = {}
    for row in rows.to_pylist():
        at, code = row["ts"], {"view": 0, "pay": 2}.get(row["event"], 4)
        if row["user_id"] is None or at is None or not TIME.low <= at <= TIME.high:
            continue
        said = None if code == 2 else tuple(row[name] for name in by)
        wanted[code, said] = wanted.get((code, said), 0) + 1
    assert by_value(tmp_path, list(by)) == wanted


def test_columns_of_many_values_each_are_numbered_together(tmp_path):
    n = 70_000  # texts: all four columns together could say 2.4e19 things
    texts = pa.array([f"t{i}" for i in range(n)])
    said = [[0, n - 1, 1, n - 1, 0], [n - 1, 0, 0, n - 1, n - 1]]
    said += [[n - 1, 1, n - 1, n - 1, n - 1], [5, 6, 7, n - 1, 5]]
    rows = pa.table(
        {
            "user_id": pa.array(["a"] * (n + 5)),
            "ts": pa.array([TIME.low] * (n + 5), pa.timestamp("ms", "UTC")),
            "event": ["pay"] * n + ["view"] * 5,
        }
        | {
            name: texts.take(pa.array([*range(n), *those]))
            for name, those in zip("pqrs", said, strict=True)
        }
    )
    pq.write_table(rows, tmp_path / "a.parquet")
    wanted = {(2, None): n}
    for those in zip(*said, strict=True):
        key = 0, tuple(f"t{i}" for i in those)
        wanted[key] = wanted.get(key, 0) + 1
    assert len(wanted) == 5
    assert by_value(tmp_path, list("pqrs")) == wanted
    assert by_value(tmp_path, list("pqrs"), most=3) is None


def test_where_keys_have_no_room_for_all_values_nothing_is_said(tmp_path):
    rows = with_columns(log(8))
    pq.write_table(rows, tmp_path / "a.parquet")
    assert by_value(tmp_path, ["colour", "size"], most=6) is not None
    assert by_value(tmp_path, ["colour", "size"], most=5) is None
    assert by_value(rows, ["colour"]) is None  # no files: left to the engine
