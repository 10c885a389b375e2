from datetime import UTC, date, datetime, timedelta

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import growth
from growth.dataset import arrow_schema
from growth.errors import ColumnNotFoundError, DataError, ParameterError

NOON = datetime(2026, 3, 1, 4, tzinfo=UTC)


def table_of(name, rows):
    columns = {column for row in rows for column in row}
    schema = pa.schema([f for f in arrow_schema(name) if f.name in columns])
    return pa.Table.from_pylist(rows, schema=schema)


def exposure(user, variant, minute, **more):
    ts = NOON + timedelta(minutes=minute)
    row = {"user_id": user, "ts": ts, "event": "exp_exposure", "exp_id": "e"}
    return row | {"variant": variant} | more


@pytest.fixture
def folder(tmp_path):
    events = [exposure("u1", "A", 5), exposure("u1", "B", 9), exposure("u2", "B", 1)]
    events.append({"user_id": "u3", "ts": NOON, "event": "tap"})
    day = tmp_path / "events" / "ds=2026-03-01"
    day.mkdir(parents=True)
    pq.write_table(table_of("events", events), day / "part-0.parquet")
    orders = "order_id,user_id,pay_ts,paid_fen,shop\n001,u1,2026-03-01T04:00:00Z,6800,x"
    (tmp_path / "orders.csv").write_text(orders + "\n002,u2,,0,\n")
    (tmp_path / "notes.txt").write_text("not a table")
    return tmp_path


def test_a_folder_gives_its_tables_lazily(folder):
    data = growth.open(folder)
    assert data.tables == ("events", "orders")
    assert repr(data).endswith("events, orders>")
    assert data.events.count().to_pyarrow().as_py() == 4
    assert data.events is data.events
    assert [path.suffix for path in data.source_files()] == [".parquet", ".csv"]


def test_the_day_of_the_folder_is_a_date(folder):
    days = growth.open(folder).events.ds.to_pyarrow().to_pylist()
    assert set(days) == {date(2026, 3, 1)}


def test_a_csv_keeps_ids_as_text_and_extra_columns(folder):
    orders = growth.open(folder).orders
    rows = orders.order_by("order_id").to_pyarrow().to_pylist()
    assert [row["order_id"] for row in rows] == ["001", "002"]
    assert rows[0]["pay_ts"] == NOON
    assert rows[1]["pay_ts"] is None
    assert rows[0]["shop"] == "x"


def test_tables_of_one_dataset_join(folder):
    data = growth.open(folder)
    joined = data.orders.join(data.events, "user_id").count().to_pyarrow().as_py()
    assert joined == 3


def test_first_exposures_serve_as_assignments(folder):
    data = growth.open(folder)
    assert data.has("assignments")
    assert "assignments" not in data.tables
    rows = data.assignments.order_by("unit_id").to_pyarrow().to_pylist()
    seen = [(row["unit_id"], row["variant"], row["conflict"]) for row in rows]
    assert seen == [("u1", "A", True), ("u2", "B", False)]
    assert rows[0]["ts"] == NOON + timedelta(minutes=5)


def test_a_missing_table_says_what_it_would_unlock(folder):
    data = growth.open(folder)
    assert not data.has("members")
    with pytest.raises(
        DataError, match=r"'members' is not in.*unlocks segments"
    ) as info:
        data.members.count()
    assert info.value.code == "table_not_found"


def test_a_missing_column_says_what_it_would_unlock(folder):
    data = growth.open(folder)
    assert data.require("events", "ts", "variant") is data.events
    with pytest.raises(ColumnNotFoundError, match=r"'page_path' not found.*heatmaps"):
        data.require("events", "page_path")


def test_a_required_column_is_checked_when_the_table_is_named(tmp_path):
    rows = table_of("events", [{"user_id": "u", "ts": NOON}])
    pq.write_table(rows, tmp_path / "events.parquet")
    data = growth.open(tmp_path)
    with pytest.raises(ColumnNotFoundError, match=r"'event' not found.*retention"):
        data.events.count()


def test_a_column_of_the_wrong_type_is_named(tmp_path):
    rows = {"user_id": [1], "ts": [NOON], "event": ["tap"]}
    pq.write_table(pa.table(rows), tmp_path / "events.parquet")
    with pytest.raises(
        DataError, match=r"'user_id' of events is int64.*string"
    ) as info:
        growth.open(tmp_path).events.count()
    assert info.value.code == "wrong_type"


def test_naive_times_are_read_as_utc(tmp_path):
    rows = {"user_id": ["u"], "ts": [NOON.replace(tzinfo=None)], "event": ["tap"]}
    pq.write_table(pa.table(rows), tmp_path / "events.parquet")
    events = growth.open(tmp_path).events
    assert events.ts.to_pyarrow()[0].as_py() == NOON


def test_a_duckdb_file_is_a_location(tmp_path, folder):
    path = tmp_path / "shop.duckdb"
    con = ibis.duckdb.connect(path)
    con.create_table("orders", pq.read_table(folder / "events").drop_columns(["ds"]))
    con.create_table("events", pq.read_table(folder / "events").drop_columns(["ds"]))
    con.disconnect()
    data = growth.open(path)
    assert data.tables == ("events", "orders")
    assert data.events.count().to_pyarrow().as_py() == 4
    assert data.source_files() == (path,)
    with pytest.raises(ColumnNotFoundError, match=r"'order_id' not found"):
        data.orders.count()


@pytest.mark.parametrize(
    ("name", "error", "code", "message"),
    [
        ("nowhere", DataError, "location_not_found", "nothing is there"),
        ("empty", DataError, "no_tables", "must hold a canonical table"),
        ("file.csv", ParameterError, "mapping_missing", "pass mapping="),
    ],
)
def test_a_location_without_tables_is_refused(tmp_path, name, error, code, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.csv").write_text("a\n1\n")
    with pytest.raises(error, match=message) as info:
        growth.open(tmp_path / name)
    assert info.value.code == code


def test_misspelt_names_get_a_suggestion(folder):
    data = growth.open(folder)
    with pytest.raises(AttributeError, match="Did you mean 'events'"):
        data.event.count()
    with pytest.raises(ParameterError, match="Did you mean 'orders'"):
        data.table("order")
