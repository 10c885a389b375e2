"""Layouts: derived, idempotent, never trusted once the log has moved on."""

import json
import os
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from growth.engine import KeyPart, key_shifts, layouts
from growth.errors import ColumnNotFoundError, ParameterError

START = datetime(2026, 1, 25, 16, tzinfo=UTC)  # midnight in Shanghai
FIRST = (START - datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=8)).days
PAY = {"col": "event", "eq": "pay"}
KINDS = {"active": (), "pay": PAY}
EVENTS = ("view", "tap", "pay")


def rows_of(day, n=60, seed=0, users=25):
    rng = np.random.default_rng([seed, day])
    ms = rng.integers(0, 86_400_000, n).tolist()
    return [
        {
            "user_id": f"u{rng.integers(0, users):02d}",
            "ts": START + timedelta(days=day, milliseconds=int(at)),
            "event": EVENTS[int(rng.choice(3, p=[0.6, 0.3, 0.1]))],
        }
        for at in ms
    ]


def write(log, day, rows):
    folder = log / f"ds={(START + timedelta(days=day, hours=8)).date()}"
    folder.mkdir(parents=True, exist_ok=True)
    kind = pa.schema(
        [
            ("user_id", pa.string()),
            ("ts", pa.timestamp("ms", "UTC")),
            ("event", pa.string()),
        ]
    )
    path = folder / "part.parquet"
    pq.write_table(pa.Table.from_pylist(rows, kind), path)
    return path


@pytest.fixture
def log(tmp_path):
    folder = tmp_path / "shop" / "events"
    for day in range(10):
        write(folder, day, rows_of(day))
    return folder


def told(log, **kwargs):
    """Return what the layouts say, by user, kind and day, and the log of users."""
    layout = layouts.find(log, **kwargs).layout
    ids = {
        row["user_idx"]: row["user_id"]
        for row in layout.users().to_pyarrow().to_pylist()
    }
    assert len(set(ids.values())) == len(ids)
    assert all(0 <= number < layout.size for number in ids)
    days = {
        (kind, ids[row["user_idx"]], row["block"] * 60 + bit)
        for kind in layout.kinds
        for row in layout.user_bits(kind).to_pyarrow().to_pylist()
        for bit in range(60)
        if row["bits"] >> bit & 1
    }
    names = {code: name for name, code in layout.codes.items()}
    rows = log_rows(layout) if layout.codes else []
    return days, sorted((ids[user], ts, names[code]) for user, ts, code in rows)


def log_rows(layout, events=None, *, first_day=FIRST - 9):
    """Return users, times and codes as a kernel is given them."""
    first = START + timedelta(days=first_day - FIRST)
    time = KeyPart("ts", None, first, START + timedelta(days=99))
    code = KeyPart("code", None, 0, 99)
    time_at, code_at, user_at = key_shifts((time, code))

    def fields(keys):
        at = keys >> time_at & ((1 << time.bits) - 1)
        return keys, keys >> user_at, at, keys >> code_at & 127

    codes = {name: layout.codes.get(name, 99) for name in events or layout.codes}
    found = layout.map_log(codes, time=time, code=code, kernel=fields)
    users, at, code = (values.tolist() for values in found.values)
    ts = [first + timedelta(microseconds=us) for us in at]
    return list(zip(users, ts, code, strict=True))


def expected(log):
    rows = [
        row
        for path in sorted(log.rglob("*.parquet"))
        for row in pq.ParquetFile(path).read().to_pylist()
    ]
    rows = [row for row in rows if row["user_id"] is not None and row["ts"] is not None]
    days = set()
    for row in rows:
        day = (row["ts"] - datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=8)).days
        days.add(("active", row["user_id"], day))
        if row["event"] == "pay":
            days.add(("pay", row["user_id"], day))
    return days, sorted((r["user_id"], r["ts"], r["event"]) for r in rows)


def test_layouts_say_what_the_log_says(log):
    done = layouts.refresh(log, kinds=KINDS)
    assert done[1:] == (10, 25, 25, 0, 10, True)
    assert told(log) == expected(log)
    assert layouts.folder_of(log) == log.with_name("events.layouts")
    assert layouts.find(log.parent).layout.folder == log.with_name("events.layouts")
    months = sorted(
        path.name for path in (log.with_name("events.layouts") / "user_log").iterdir()
    )
    assert months == ["2026-01", "2026-02"]


def test_the_log_of_users_is_in_order_and_months_and_blocks_are_picked(
    log, monkeypatch
):
    layouts.refresh(log, kinds=KINDS)
    layout = layouts.find(log, log=True).layout
    assert (layout.first_day, layout.last_day) == (FIRST, FIRST + 9)
    files = sorted((layout.folder / "user_log").glob("*/*.parquet"))
    assert len(files) == 6
    for path in files:
        rows = pq.read_table(path).to_pydict()
        assert set(rows.pop("code")) == {int(path.stem)}
        keys = list(zip(*rows.values(), strict=True))
        assert keys == sorted(keys)
    read = []
    real = layouts.map_runs
    monkeypatch.setattr(
        layouts,
        "map_runs",
        lambda runs, **asked: read.append(runs) or real(runs, **asked),
    )
    paid = log_rows(layout, ["pay", "never"])
    assert {code for _, _, code in paid} == {layout.codes["pay"]}
    assert len(paid) == sum(event == "pay" for _, _, event in expected(log)[1])
    assert {run.path.stem for run in read.pop()} == {str(layout.codes["pay"])}
    assert len(log_rows(layout, ["never"])) == 0
    assert read.pop() == []
    late = log_rows(layout, first_day=FIRST + 8)
    assert 0 < len(late) < len(log_rows(layout))
    assert {run.path.parent.name for run in read[0]} == {"2026-02"}
    assert len(layout.user_bits(first_day=FIRST + 60).to_pyarrow()) == 0
    assert len(layout.user_bits("pay", last_day=FIRST - 60).to_pyarrow()) == 0
    with pytest.raises(ParameterError, match=r"kind is 'pays'.*Did you mean 'pay'"):
        layout.user_bits("pays")


def test_a_second_refresh_does_nothing(log):
    layouts.refresh(log, kinds=KINDS)
    folder = layouts.folder_of(log)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}
    done = layouts.refresh(log)
    assert (done.days, done.new_users, done.whole) == (0, 0, False)
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}
    assert after == before
    assert set(layouts.find(log).layout.kinds) == {"active", "pay"}


def test_reading_never_writes(log):
    assert layouts.find(log) == (None, ())
    layouts.refresh(log, kinds=KINDS)
    write(log, 3, rows_of(3, seed=9))
    folder = layouts.folder_of(log)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    found = layouts.find(log)
    assert found.layout is None
    (notice,) = found.notices
    assert notice.code == "layout_stale"
    assert dict(notice.args) == {"folder": str(folder), "reason": "files: 2"}
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize("seed", range(3))
def test_refreshing_after_corrections_is_building_anew(log, seed):
    rng = np.random.default_rng(seed)
    layouts.refresh(log, kinds=KINDS)
    numbers = {}
    for step in range(3):
        for _ in range(int(rng.integers(1, 4))):
            day = int(rng.integers(-3, 75))
            path = (
                log
                / f"ds={(START + timedelta(days=day, hours=8)).date()}"
                / "part.parquet"
            )
            if path.exists() and rng.random() < 0.4:
                path.unlink()
                continue
            rows = rows_of(day, int(rng.integers(0, 50)), seed=step, users=40)
            rows += rows_of(day + 1, 2, seed=step)  # a late row of the next day
            rows += [{"user_id": None, "ts": None, "event": "tap"}]
            write(log, day, rows)
        done = layouts.refresh(log)
        assert not done.whole
        assert told(log) == expected(log)
        now = layouts.find(log).layout.users().to_pyarrow().to_pylist()
        for row in now:  # a number never changes its user
            assert numbers.setdefault(row["user_idx"], row["user_id"]) == row["user_id"]
    anew = layouts.refresh(log, kinds=KINDS, folder=log.parent / "anew")
    assert anew.whole
    assert told(log, folder=log.parent / "anew") == expected(log)


def test_a_deleted_user_leaves_a_hole_and_its_id_goes(log):
    layouts.refresh(log, kinds=KINDS)
    for path in log.rglob("*.parquet"):
        rows = pq.ParquetFile(path).read().to_pylist()
        pq.write_table(
            pa.Table.from_pylist([r for r in rows if r["user_id"] != "u24"]), path
        )
    write(log, 3, [*rows_of(3, users=24), {**rows_of(3)[0], "user_id": "new"}])
    done = layouts.refresh(log)
    assert (done.deleted_users, done.new_users, done.users) == (1, 1, 25)
    layout = layouts.find(log).layout
    assert layout.size == 26
    users = {
        r["user_id"]: r["user_idx"] for r in layout.users().to_pyarrow().to_pylist()
    }
    assert users["new"] == 25
    assert "u24" not in users
    assert b"u24" not in (layout.folder / "users.parquet").read_bytes()
    assert told(log) == expected(log)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"tz": "UTC"}, "zone: Asia/Shanghai"),
        ({"kind": "share"}, "kind: share"),
        ({"kind": "pay", "where": {"col": "event", "eq": "tap"}}, "definition: pay"),
        ({"kind": "pay"}, "definition: pay"),
        ({"log": True}, "log"),
    ],
)
def test_another_definition_is_not_used(log, asked, reason):
    layouts.refresh(log, kinds=KINDS, log=False)
    assert layouts.find(log, kind="pay", where=[PAY]).notices == ()
    found = layouts.find(log, **asked)
    assert found.layout is None
    assert dict(found.notices[0].args)["reason"] == reason


def test_a_kind_defined_anew_and_another_zone_are_built_anew(log):
    layouts.refresh(
        log, kinds={"active": (), "pay": {"col": "event", "eq": "tap"}, "old": ()}
    )
    layouts.refresh(log, kinds=KINDS)
    assert told(log) == expected(log)
    assert not (layouts.folder_of(log) / "user_bits" / "old").exists()
    done = layouts.refresh(log, kinds=KINDS, tz="UTC")
    assert done.whole
    assert layouts.find(log, tz="UTC").layout.tz == "UTC"
    assert layouts.find(log).layout is None
    layouts.refresh(log, kinds=KINDS, tz="UTC", log=False)
    with pytest.raises(ParameterError, match="there is no log of users"):
        log_rows(layouts.find(log, tz="UTC").layout, ["pay"])


@pytest.mark.parametrize("text", ["", "[]", '{"version": 0}'])
def test_a_manifest_of_another_version_is_not_used_but_replaced(log, text):
    layouts.refresh(log, kinds=KINDS)
    (layouts.folder_of(log) / "manifest.json").write_text(text)
    assert layouts.find(log).notices[0].code == "layout_stale"
    assert layouts.refresh(log, kinds=KINDS).whole
    assert told(log) == expected(log)


def test_a_refresh_cut_short_is_not_used(log, monkeypatch):
    layouts.refresh(log, kinds=KINDS)
    write(log, 4, rows_of(4, seed=5))

    def fail(*_args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(layouts, "_write_month", fail)
        with pytest.raises(KeyboardInterrupt):
            layouts.refresh(log)
    assert layouts.find(log).layout is None
    layouts.refresh(log)
    assert told(log) == expected(log)


def test_one_refresh_at_a_time(log):
    layouts.refresh(log)
    with (
        layouts._held(layouts.folder_of(log)),
        pytest.raises(ParameterError, match="are being refreshed by another") as info,
    ):
        layouts.refresh(log)
    assert info.value.code == "layout_busy"


def test_only_parquet_on_disk_has_layouts(tmp_path, log):
    for source in (pa.table({"user_id": ["a"]}), tmp_path / "nowhere", None):
        assert layouts.find(source) == (None, ())
        with pytest.raises(ParameterError, match="must be a folder of Parquet") as info:
            layouts.refresh(source)
        assert info.value.code == "layout_source"
    with pytest.raises(ParameterError, match=r"a kind is named '\.\./x'") as info:
        layouts.refresh(log, kinds={"../x": ()})
    assert info.value.code == "bad_kind"
    one = tmp_path / "one.parquet"
    pq.write_table(pa.table({"user_id": ["a"], "event": ["tap"]}), one)
    with pytest.raises(ColumnNotFoundError, match="'ts' not found"):
        layouts.refresh(one)
    pq.write_table(pa.Table.from_pylist(rows_of(0)), one)
    layouts.refresh(one)
    assert told(one)[1] == expected_of(rows_of(0))


def expected_of(rows):
    return sorted((r["user_id"], r["ts"], r["event"]) for r in rows)


def test_the_manifest_names_what_it_was_made_from(log):
    layouts.refresh(log, kinds=KINDS)
    manifest = json.loads((layouts.folder_of(log) / "manifest.json").read_text())
    assert len(manifest["sources"]) == 10
    one = manifest["sources"][0]
    path = log / one["path"]
    assert (one["rows"], one["size"]) == (60, os.path.getsize(path))
    assert (one["first_day"], one["last_day"]) == (FIRST, FIRST)
    assert manifest["kinds"]["pay"] == PAY
