"""Snapshots: one a date, the same bytes, and what each day knew."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from growth import engine
from growth.errors import DataError, ParameterError
from growth.segments import (
    Context,
    Tag,
    Value,
    count,
    history,
    load_rules,
    recency_days,
    rfm,
    rules_of,
    snapshot,
    tag,
)
from growth.segments.audit import append_audit, read_audit
from tests.segments.made import NOON, order

DAY = date(2026, 3, 10)
RULES = rules_of(
    Tag(
        "state",
        [Value("active", recency_days("orders") < 7)],
        default="silent",
        population="buyers",
    ),
    Tag("rank", [Value("top", rfm("m") >= 4)]),
)


def orders(n=60):
    rows = [
        order(k % 40, 100 * k + 1) | {"user_id": f"u{k % 20:02}", "order_id": f"o{k}"}
        for k in range(n)
    ]
    return {"orders": pa.Table.from_pylist(rows)}


def files(folder):
    return {
        p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_a_snapshot_run_twice_is_one_snapshot(tmp_path):
    first = snapshot(orders(), RULES, as_of=DAY, root=tmp_path)
    held = files(tmp_path)
    again = snapshot(orders(), RULES, as_of=DAY, root=tmp_path)
    assert (first.done, again.done) == ("written", "same")
    assert first.verdict == "segments.snapshot.written"
    assert files(tmp_path) == held
    other = snapshot(orders(), RULES, as_of=DAY, root=tmp_path / "elsewhere")
    assert other.sha256 == first.sha256
    folder = tmp_path / "snapshots" / "tags" / "as_of=2026-03-10"
    rows = pq.read_table(folder / "part-0.parquet")
    assert rows.column_names == ["user_id", "state", "rank"]
    assert rows["user_id"].to_pylist() == sorted(rows["user_id"].to_pylist())
    meta = json.loads((folder / "_meta.json").read_text("utf-8"))
    assert meta["rule_hashes"] == RULES.hashes()
    assert set(meta["versions"]) == {"growth"}
    assert load_rules(json.dumps(meta["rules"])) == RULES
    assert Context.from_json(json.dumps(meta["context"])).as_of == DAY


def test_row_order_does_not_change_a_byte(tmp_path):
    rows = orders()["orders"]
    mixed = {"orders": rows.take(list(range(len(rows)))[::-1])}
    one = snapshot(orders(), RULES, as_of=DAY, root=tmp_path / "a")
    two = snapshot(mixed, RULES, as_of=DAY, root=tmp_path / "b")
    assert one.sha256 == two.sha256


def test_a_back_dated_snapshot_is_what_that_day_would_have_given(tmp_path):
    past = DAY - timedelta(days=9)
    end = datetime(2026, 3, 1, 16, tzinfo=UTC)
    rows = [row for row in orders()["orders"].to_pylist() if row["pay_ts"] < end]
    then = snapshot(
        {"orders": pa.Table.from_pylist(rows)},
        RULES,
        as_of=past,
        root=tmp_path / "then",
    )
    now = snapshot(orders(), RULES, as_of=past, root=tmp_path / "now")
    assert now.sha256 == then.sha256


def test_another_snapshot_of_a_date_is_refused_until_replaced(tmp_path):
    first = snapshot(orders(), RULES, as_of=DAY, root=tmp_path)
    other = rules_of(Tag("state", [Value("active", count("orders") >= 1)]))
    for data, rules, why in (
        (orders(), other, "other rules"),
        (orders(7), RULES, "the same rules over other rows"),
    ):
        with pytest.raises(ParameterError, match=why) as info:
            snapshot(data, rules, as_of=DAY, root=tmp_path)
        assert info.value.code == "snapshot_exists"
    with pytest.raises(ParameterError, match="purpose is ''") as info:
        snapshot(orders(), other, as_of=DAY, root=tmp_path, replace=True)
    assert info.value.code == "purpose_missing"
    done = snapshot(
        orders(), other, as_of=DAY, root=tmp_path, replace=True, purpose="new rule"
    )
    assert done.done == "replaced"
    kept = tmp_path / "snapshots" / "tags" / "_versions" / "as_of=2026-03-10" / "1"
    meta = json.loads((kept / "_meta.json").read_text("utf-8"))
    assert meta["sha256"] == first.sha256
    (line,) = read_audit(tmp_path)
    assert (line["verb"], line["purpose"]) == ("replace", "new rule")
    assert history(tmp_path).dates == (DAY,)


def test_a_run_killed_half_way_leaves_nothing_that_is_read(tmp_path, monkeypatch):
    def die(*_):
        raise KeyboardInterrupt("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", die)
        with pytest.raises(KeyboardInterrupt, match="killed"):
            snapshot(orders(), RULES, as_of=DAY, root=tmp_path)
    with pytest.raises(DataError, match="no snapshot") as info:
        history(tmp_path)
    assert info.value.code == "snapshot_missing"
    assert snapshot(orders(), RULES, as_of=DAY, root=tmp_path).done == "written"
    left = [p.name for p in (tmp_path / "snapshots" / "tags").iterdir()]
    assert left == ["as_of=2026-03-10"]


@pytest.fixture
def kept(tmp_path):
    for back in (20, 10, 0):
        snapshot(orders(), RULES, as_of=DAY - timedelta(days=back), root=tmp_path)
    return history(tmp_path)


def test_the_newest_snapshot_not_after_a_day(kept):
    assert kept.newest(DAY) == DAY
    assert kept.newest(DAY - timedelta(days=1)) == DAY - timedelta(days=10)
    with pytest.raises(DataError, match="the first is of 2026-02-18") as info:
        kept.newest(DAY - timedelta(days=21))
    assert info.value.code == "snapshot_missing"
    rows = engine.fetch(kept.table(DAY))
    want = engine.fetch(tag(orders(), RULES, as_of=DAY))
    assert rows.sort_by("user_id").equals(want.sort_by("user_id"))
    assert kept.meta(DAY)["users"] == len(rows)
    assert repr(kept).endswith("3 snapshots, 2026-02-18 to 2026-03-10>")


def test_the_as_of_join_gives_the_tag_of_that_day(kept):
    edge = datetime(2026, 2, 28, 15, 59, 59, 999_000, tzinfo=UTC)  # 28 Feb in Shanghai
    rows = [
        {"user_id": "u00", "ts": NOON, "n": 1},
        {"user_id": "u00", "ts": NOON - timedelta(days=1), "n": 2},
        {"user_id": "u00", "ts": NOON - timedelta(days=30), "n": 3},
        {"user_id": "nobody", "ts": NOON, "n": 4},
        {"user_id": "u00", "ts": edge, "n": 5},
        {"user_id": "u00", "ts": edge + timedelta(milliseconds=1), "n": 6},
    ]
    table = pa.Table.from_pylist(rows)
    found = {r["n"]: r for r in engine.fetch(kept.join(table)).to_pylist()}
    assert set(found[1]) == {"user_id", "ts", "n", "state", "rank"}

    def state(back):
        held = engine.fetch(kept.table(DAY - timedelta(days=back))).to_pylist()
        return next(r["state"] for r in held if r["user_id"] == "u00")

    assert found[1]["state"] == state(0)
    assert found[2]["state"] == state(10)
    assert found[3]["state"] is None  # before the first snapshot
    assert found[4]["state"] is None
    assert found[5]["state"] == state(10)
    early = {r["n"]: r for r in engine.fetch(kept.join(table, before=True)).to_pylist()}
    assert early[1]["state"] == state(10)  # that day's own snapshot has seen the day
    assert early[6]["state"] == state(10)
    assert early[5]["state"] == state(20)


@pytest.mark.parametrize("taken", ["state", "growth_at"])
def test_rows_that_have_the_column_of_a_tag_are_told(kept, taken):
    table = pa.Table.from_pylist([{"user_id": "u00", "ts": NOON, taken: "mine"}])
    said = rf"have the columns \['{taken}'\] already.*drop or rename"
    with pytest.raises(ParameterError, match=said) as info:
        kept.join(table)
    assert info.value.code == "column_twice"


def test_a_folder_that_lost_a_file_is_told(kept):
    (kept.folder / f"as_of={DAY}" / "_meta.json").unlink()
    with pytest.raises(DataError, match="no readable _meta") as info:
        kept.meta(DAY)
    assert info.value.code == "snapshot_damaged"


def test_a_tagset_is_the_name_of_a_folder(tmp_path):
    with pytest.raises(ParameterError, match="rename it") as info:
        snapshot(orders(), RULES, as_of=DAY, root=tmp_path, tagset="../x")
    assert info.value.code == "bad_name"


def test_the_audit_has_one_line_each_and_no_ids(tmp_path):
    assert read_audit(tmp_path) == []
    for verb in ("export", "share"):
        append_audit(
            tmp_path, verb=verb, purpose="p", rows=3, columns=["a"], rule_hashes={}
        )
    lines = read_audit(tmp_path)
    assert [line["verb"] for line in lines] == ["export", "share"]
    assert datetime.fromisoformat(lines[0]["when"]).tzinfo is not None
