import json
import re
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from pyarrow import parquet

from growth.readout import inputs
from growth.readout.inputs import (
    fingerprints,
    inspected,
    missing,
    package_digest,
    provenance,
)


def test_a_folder_is_fingerprinted_table_by_table(tmp_path):
    (tmp_path / "events" / "ds=2026-01-31").mkdir(parents=True)
    (tmp_path / "events" / "ds=2026-01-31" / "a.parquet").write_bytes(b"1")
    (tmp_path / "orders.csv").write_text("a\n1\n")
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "other.toml").write_text("id = 'other'")
    (tmp_path / ".hidden").write_text("x")
    for aside in ("truth.json", "programme.toml", "load.json", "rejects.parquet"):
        (tmp_path / aside).write_text("{}")
    found = {d.name: d.sha256 for d in fingerprints([("data", str(tmp_path))])}
    assert sorted(found) == ["events", "orders"]
    assert all(re.fullmatch("[0-9a-f]{64}", sha) for sha in found.values())
    (tmp_path / "events" / "ds=2026-01-31" / "b.parquet").write_bytes(b"2")
    (tmp_path / "experiments" / "other.toml").write_text("id = 'changed'")
    again = {d.name: d.sha256 for d in fingerprints([("data", str(tmp_path))])}
    assert again["orders"] == found["orders"]
    assert again["events"] != found["events"]


def test_names_and_bytes_both_count(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, name in ((one, "a.csv"), (two, "b.csv")):
        (folder / "t").mkdir(parents=True)
        (folder / "t" / name).write_text("1")
    shas = [fingerprints([("data", str(folder))])[0].sha256 for folder in (one, two)]
    assert shas[0] != shas[1]


def test_a_file_a_glob_and_a_table_in_a_file(tmp_path):
    (tmp_path / "a.csv").write_text("1")
    (tmp_path / "b.csv").write_text("2")
    named = [
        ("data", str(tmp_path / "a.csv")),
        ("glob", str(tmp_path / "*.csv")),
        ("table", f"{tmp_path / 'a.csv'}::orders"),
    ]
    one, both, table = fingerprints(named)
    assert (one.name, both.name, table.name) == ("data", "glob", "table")
    assert one.sha256 == table.sha256 != both.sha256


def test_what_is_not_in_files_has_no_fingerprint(tmp_path):
    (url,) = fingerprints([("data", "clickhouse://host/db")])
    assert url.sha256 is None
    (empty,) = fingerprints([("data", str(tmp_path))])
    assert empty.sha256 is None


def test_two_inputs_of_one_name_are_told_apart(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "orders.csv").write_text(name)
    named = [("data", str(tmp_path / "a")), ("more", str(tmp_path / "b"))]
    assert [d.name for d in fingerprints(named)] == ["orders", "more.orders"]


def test_what_is_missing_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("1")
    named = [
        ("here", str(tmp_path / "a.csv")),
        ("glob", str(tmp_path / "*.csv")),
        ("url", "postgres://host/db"),
        ("gone", str(tmp_path / "b.csv")),
        ("none", str(tmp_path / "*.parquet")),
        ("folder", str(tmp_path / "shop")),
        ("in it", str(tmp_path / "shop" / "experiments" / "a.toml")),
    ]
    assert [name for name, _ in missing(named)] == ["gone", "none", "folder"]


def test_the_codes_digest_counts_the_notebook_in(tmp_path):
    notebook = tmp_path / "a.ipynb"
    notebook.write_text("1")
    one = package_digest(notebook)
    assert one == package_digest(notebook)
    notebook.write_text("2")
    assert package_digest(notebook) != one


def test_inside_a_run_the_runner_has_said_where_things_come_from(monkeypatch):
    told = {"package": "9", "git": "abc", "dirty": True, "data": [{"name": "orders"}]}
    monkeypatch.setenv(inputs.PROVENANCE, json.dumps(told))
    monkeypatch.delenv("GROWTH_RUN_DIR", raising=False)
    assert provenance().package != "9"
    monkeypatch.setenv("GROWTH_RUN_DIR", "/tmp")
    found = provenance()
    assert (found.package, found.git, found.dirty) == ("9", "abc", True)
    assert found.data[0].name == "orders"


def test_without_a_checkout_or_git_there_is_no_commit(monkeypatch):
    def absent(*_args, **_kwargs):
        raise OSError(2, "no git")

    monkeypatch.setattr(inputs.subprocess, "run", absent)
    assert inputs.git_state() == ("", False)


@pytest.mark.parametrize("name", ["python", "numpy", "papermill"])
def test_versions_name_what_takes_part(name):
    assert re.match(r"[0-9]+\.", inputs.versions()[name])


def test_parquet_footers_tell_rows_and_the_first_and_last_moment(tmp_path):
    folder = tmp_path / "events"
    folder.mkdir()
    for day in (30, 31):
        times = [datetime(2026, 1, day, hour, tzinfo=UTC) for hour in (1, 9)]
        table = pa.table({"ts": times, "event": ["a", "b"]})
        parquet.write_table(table, folder / f"ds=2026-01-{day}.parquet")
    parquet.write_table(pa.table({"x": [1]}), tmp_path / "units.parquet")
    (tmp_path / "orders.parquet").write_bytes(b"torn")
    events, orders, units = inspected([("data", str(tmp_path))])
    assert (events.data.rows, units.data.rows, orders.data.rows) == (4, 1, None)
    assert events.data.min == "2026-01-30T01:00:00+00:00"
    assert events.data.max == "2026-01-31T09:00:00+00:00"
    assert units.data.min is None
    assert [item["rows"] for item in events.files] == [2, 2]
    assert [item["file"] for item in events.files][1].endswith("ds=2026-01-31.parquet")
    assert (events.data,) == fingerprints([("data", str(tmp_path))])[:1]
