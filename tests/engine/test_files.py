"""Which tables are nothing but files, and what is read of them."""

from datetime import UTC, datetime, timedelta

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from growth.engine import as_table, backend_of, connect
from growth.engine import files as engine_files
from growth.engine.files import files_of
from growth.errors import DataError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ASKED = ("user_id", "ts", "event")


def rows(*, unit="ms", zone="UTC", n=6, first=0):
    at = [NOON + timedelta(hours=first + i) for i in range(n)]
    naive = [moment.replace(tzinfo=None) for moment in at]
    return pa.table(
        {
            "other": pa.array(range(n), pa.int64()),
            "event": pa.array([("view", "pay")[i % 2] for i in range(n)]),
            "ts": pa.array(at if zone else naive, pa.timestamp(unit, zone)),
            "user_id": pa.array(range(n), pa.int32()),
        }
    )


def written(folder, *tables, **options):
    folder.mkdir(exist_ok=True)
    for i, table in enumerate(tables):
        pq.write_table(table, folder / f"{i}.parquet", **options)
    return folder


def us(moment):
    return int(moment.timestamp()) * 1_000_000


@pytest.mark.parametrize(("unit", "step"), [("ms", 1000), ("us", 1)])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", None])
def test_a_folder_of_files_is_read_as_it_lies(tmp_path, unit, zone, step):
    log = written(
        tmp_path / "it's [a] log", rows(unit=unit, zone=zone), rows(zone=zone)
    )
    if unit == "us":
        pq.write_table(rows(unit=unit, zone=zone), log / "1.parquet")
    files = files_of(as_table(log), *ASKED)
    assert files is not None
    assert [path.rpartition("/")[2] for path in files.paths] == [
        "0.parquet",
        "1.parquet",
    ]
    assert files.unit_us == step
    users, times, events, _ = next(files.groups(0, us(NOON) * 2, threads=1))
    assert users.to_pylist() == list(range(6))
    assert times[0].as_py() * step == us(NOON)
    assert events.dictionary_decode().to_pylist() == ["view", "pay"] * 3


def test_groups_all_outside_the_range_are_not_read(tmp_path):
    log = written(tmp_path / "log", rows(n=10), rows(n=4, first=100), row_group_size=2)
    files = files_of(as_table(log), *ASKED)
    low, high = us(NOON + timedelta(hours=3)), us(NOON + timedelta(hours=5))
    found = list(files.groups(low, high, threads=2))
    assert [users.to_pylist() for users, *_ in found] == [[2, 3], [4, 5]]
    pq.write_table(rows(), log / "0.parquet", write_statistics=False)
    files = files_of(as_table(log), *ASKED)
    assert len(list(files.groups(low, high, threads=2))) == 1


def test_what_ibis_reads_itself_counts_as_files(tmp_path):
    log = written(tmp_path / "log", rows())
    connection = ibis.duckdb.connect()
    table = connection.read_parquet([f"{log}/*.parquet"], table_name="it's")
    assert files_of(table, *ASKED) is not None


def test_a_table_that_is_more_than_files_is_not_one(tmp_path):
    log = written(tmp_path / "log", rows())
    table = as_table(log)
    assert files_of(table.filter(table.other > 1), *ASKED) is None
    assert files_of(table.mutate(event=table.event.upper()), *ASKED) is None
    assert files_of(as_table(rows()), *ASKED) is None
    connection = connect()
    whole = f"SELECT * FROM read_parquet(['{log}/0.parquet'])"
    connection.con.execute(f"CREATE TABLE t AS {whole}")
    for more in ("WHERE other > 1", "ORDER BY ts LIMIT 3", "UNION ALL SELECT * FROM t"):
        connection.con.execute(f"CREATE OR REPLACE VIEW v AS {whole} {more}")
        assert files_of(connection.table("v"), *ASKED) is None
    assert files_of(connection.table("t"), *ASKED) is None


def test_two_views_of_one_name_are_not_told_apart(tmp_path):
    log = written(tmp_path / "log", rows())
    table = as_table(log)
    con = backend_of(table).con
    con.execute("CREATE SCHEMA apart")
    con.execute(f'CREATE VIEW apart."{table.op().name}" AS SELECT 1 AS a')
    assert files_of(table, *ASKED) is None


@pytest.mark.parametrize(
    "second",
    [
        rows(unit="ns"),
        rows(unit="us"),
        rows(zone=None),
        rows().drop_columns(["event"]),
        rows().set_column(3, "user_id", pa.array(range(6), pa.int64())),
        rows().set_column(1, "event", pa.array(range(6), pa.int64())),
        rows().set_column(1, "event", pa.array([b"a"] * 6)),
    ],
    ids=["ns", "mixed units", "no zone", "absent", "wider", "numbers", "bytes"],
)
def test_files_that_differ_are_left_to_the_engine(tmp_path, second):
    log = written(tmp_path / "log", rows(), second)
    assert files_of(as_table(log), *ASKED) is None


def test_a_folder_that_says_a_column_is_left_to_the_engine(tmp_path):
    for name in ("Event=view", "ds=2026-03-01"):
        (tmp_path / name).mkdir()
        written(tmp_path / name / "day=1", rows())
        found = files_of(as_table(tmp_path / name), *ASKED)
        assert (found is None) == (name == "Event=view")


def test_a_file_that_breaks_while_it_is_read_is_said(tmp_path):
    log = written(tmp_path / "log", rows())
    files = files_of(as_table(log), *ASKED)
    whole = (log / "0.parquet").read_bytes()
    (log / "0.parquet").write_bytes(b"PAR1" + bytes(len(whole) - 4))
    with pytest.raises(
        DataError, match=r"(?s)reading rows failed in the engine.*readable"
    ):
        list(files.groups(0, us(NOON) * 2, threads=1))


@pytest.mark.parametrize("statistics", [True, False])
def test_nulls_are_counted_from_statistics_and_without(
    tmp_path, statistics, monkeypatch
):
    table = rows(n=10).set_column(
        1, "event", pa.array(["a", None, None, "b", None] * 2)
    )
    log = written(
        tmp_path / "log",
        table,
        rows(n=3),
        row_group_size=4,
        write_statistics=statistics,
    )
    asked = []
    real = engine_files.fetch
    monkeypatch.setattr(engine_files, "fetch", lambda *a: asked.append(a) or real(*a))
    found = engine_files.count_nulls(as_table(log), ["event", "ts"])
    assert found == {"event": 6, "ts": 0}
    assert len(asked) == (0 if statistics else 2)
    assert engine_files.count_nulls(as_table(table), ["event"]) == {"event": 6}


def test_nulls_of_a_column_some_files_lack_are_counted_by_the_engine(tmp_path):
    log = written(tmp_path / "log", rows(n=5), rows(n=3).drop_columns(["event"]))
    assert engine_files.count_nulls(as_table(log), ["event"]) == {"event": 3}


def test_what_is_no_text_is_refused_as_the_engine_does(tmp_path):
    names = pa.array([b"view", b"\xff\xfe"] * 3).view(pa.string())
    log = written(tmp_path / "log", rows().set_column(1, "event", names))
    files = files_of(as_table(log), *ASKED)
    with pytest.raises(DataError, match=r"(?s)reading rows failed.*UTF8"):
        list(files.groups(0, us(NOON) * 2, threads=1))


def test_a_group_too_large_to_be_held_is_left_to_the_engine(tmp_path, monkeypatch):
    log = written(tmp_path / "log", rows(n=10))
    monkeypatch.setattr(engine_files, "MOST_GROUP", 9)
    assert files_of(as_table(log), *ASKED) is None
