import os
import sys
from types import SimpleNamespace

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from growth.engine import (
    as_table,
    backend_of,
    connect,
    connections,
    fetch,
    mask,
    quote_identifier,
)
from growth.engine.connections import engine_call
from growth.engine.statements import table_names
from growth.errors import DataError, ParameterError, SecretMissingError


@pytest.fixture
def folder(tmp_path):
    inside = tmp_path / "shop [1]"
    inside.mkdir()
    pq.write_table(pa.table({"x": [1, 2, 3]}), inside / "a.parquet")
    pq.write_table(pa.table({"x": [9]}), tmp_path / "outside.parquet")
    return inside


def names_of(connection):
    return sorted(table_names(connection))


def setting(connection, name):
    sql = "SELECT value FROM duckdb_settings() WHERE name = ?"
    return connection.con.execute(sql, [name]).fetchone()[0]


def test_the_embedded_engine_loads_nothing_from_the_network():
    connection = connect(threads=1, memory_limit="100MB")
    assert setting(connection, "threads") == "1"
    assert setting(connection, "memory_limit") in ("95.3 MiB", "100.0 MB")
    assert setting(connection, "autoinstall_known_extensions") == "false"
    assert setting(connection, "autoload_known_extensions") == "false"


def test_two_connections_spill_into_folders_of_their_own(tmp_path):
    one, two = connect(), connect()
    assert setting(one, "temp_directory") != setting(two, "temp_directory")
    here = connect(temp_dir=tmp_path / "spill")
    assert setting(here, "temp_directory") == str(tmp_path / "spill")


def test_a_location_confines_the_engine(folder):
    connection = connect(folder)
    assert as_table(folder, connection=connection).x.sum().to_pyarrow().as_py() == 6
    for reach in (
        lambda: connection.read_parquet(str(folder.parent / "outside.parquet")),
        lambda: connection.read_parquet(str(folder / ".." / "outside.parquet")),
        lambda: connection.con.execute("COPY (SELECT 1) TO '/tmp/growth_escaped.csv'"),
        lambda: connection.con.execute("INSTALL httpfs"),
    ):
        with pytest.raises(Exception, match="disabled by configuration"):
            reach()
    with pytest.raises(Exception, match="configuration has been locked"):
        connection.con.execute("SET enable_external_access = true")


def test_a_file_and_a_glob_confine_it_too(folder):
    alone = folder / "a.parquet"
    assert as_table(alone).x.sum().to_pyarrow().as_py() == 6
    with pytest.raises(Exception, match="disabled by configuration"):
        connect(alone).read_parquet(str(folder.parent / "outside.parquet"))
    plain = folder.parent / "plain"
    plain.mkdir()
    pq.write_table(pa.table({"x": [4]}), plain / "b1.parquet")
    assert as_table(plain / "b*.parquet").x.sum().to_pyarrow().as_py() == 4


def test_frames_in_memory_can_join_what_a_confined_engine_reads(folder):
    table = as_table(folder)
    joined = table.join(as_table(pa.table({"x": [2, 3], "y": ["b", "c"]})), "x")
    assert joined.count().to_pyarrow().as_py() == 2


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "shop's.duckdb"
    writer = ibis.duckdb.connect(path)
    writer.create_table("orders", pa.table({"fen": [1, 2]}))
    writer.create_table("users", pa.table({"u": [1]}))
    writer.disconnect()
    return path


def test_a_database_is_opened_for_reading_only(database):
    connection = connect(database)
    assert names_of(connection) == ["orders", "users"]
    with pytest.raises(Exception, match="read-only mode"):
        connection.con.execute("DELETE FROM orders")
    again = connect(f"duckdb://{database}")
    assert again.table("orders").fen.sum().to_pyarrow().as_py() == 3


def test_a_database_may_be_opened_for_writing(database):
    connection = connect(database, read_only=False)
    connection.create_table("more", pa.table({"x": [1]}))
    assert "more" in names_of(connection)
    connection.disconnect()


def test_an_open_connection_passes_through():
    connection = connect()
    assert connect(connection) is connection


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("no/such/folder", r"'no/such/folder' does not exist; it must be a folder"),
        ("postgress://h/d", "unknown scheme 'postgress'.* Did you mean 'postgres'"),
        (3, "location is a int; it must be a path"),
    ],
)
def test_an_unusable_location_is_refused(location, message):
    with pytest.raises(ParameterError, match=message) as info:
        connect(location)
    assert info.value.code == "location"


def test_a_misspelt_path_gets_a_suggestion(folder):
    with pytest.raises(ParameterError, match=r"Did you mean 'outside\.parquet'"):
        connect(folder.parent / "outsid.parquet")


@pytest.mark.parametrize(
    ("url", "install"),
    [
        ("clickhouse://h/d", r"ibis-framework\[clickhouse\]"),
        ("postgres://h/d", r"ibis-framework\[postgres\]"),
        ("mysql://h/d", r"ibis-framework\[mysql\]"),
        ("spark://local", r"growth\[spark\]"),
    ],
)
def test_what_is_not_installed_is_told_with_the_line_to_run(monkeypatch, url, install):
    from importlib.util import find_spec

    monkeypatch.setattr(
        "growth.engine.connections.find_spec",
        lambda name: find_spec(name) if name == "ibis" else None,
    )
    with pytest.raises(ParameterError, match=rf"pip install \"{install}") as info:
        connect(url)
    assert info.value.code == "missing_extra"


def test_passwords_come_from_the_environment_and_are_never_shown(monkeypatch):
    asked = []

    def refuse(url):
        asked.append(url)
        raise ibis.common.exceptions.IbisError(f"cannot reach {url}")

    monkeypatch.setattr("growth.engine.connections.find_spec", lambda _: object())
    monkeypatch.setattr(ibis, "connect", refuse)
    monkeypatch.setenv("SHOP_PASSWORD", "s3cr@t/?")
    with pytest.raises(DataError, match="connecting of postgres://ada:") as info:
        connect("postgres://ada:${SHOP_PASSWORD}@db/shop")
    assert asked == ["postgres://ada:s3cr%40t%2F%3F@db/shop"]
    assert "s3cr" not in str(info.value)
    with pytest.raises(SecretMissingError, match=r"export SHOP_TOKEN and retry"):
        connect("postgres://ada:${SHOP_TOKEN}@db/shop")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mysql://u:p:w@h/d", "mysql://u:***@h/d"),
        ("postgres://u@h/d?password=abc&x=1", "postgres://u@h/d?password=***&x=1"),
        ("cannot reach mysql://u:pw@h", "cannot reach mysql://u:***@h"),
        ("/data/shop", "/data/shop"),
    ],
)
def test_masking(text, shown):
    assert mask(text) == shown


@pytest.mark.parametrize(
    "kwargs", [{"threads": 0}, {"threads": 1.5}, {"memory_limit": "two gigabytes"}]
)
def test_unusable_settings_are_refused(kwargs):
    with pytest.raises(ParameterError, match=r"must be|written like") as info:
        connect(**kwargs)
    assert info.value.code == "engine_setting"


@pytest.mark.parametrize(("free", "limit"), [(8 << 20, "4.0 GiB"), (1, "256.0 MiB")])
def test_an_engine_takes_half_of_what_is_free(free, limit, monkeypatch, tmp_path):
    told = tmp_path / "meminfo"
    told.write_text(f"MemTotal: 99 kB\nMemAvailable:  {free} kB\nBuffers: 7 kB\n")
    assert connections._free_bytes(str(told)) == free * 1024
    monkeypatch.setattr(connections, "_free_bytes", lambda: free * 1024)
    sql = "SELECT current_setting('memory_limit')"
    assert connect().con.execute(sql).fetchone() == (limit,)
    assert connections._settings(None, "2GB", None)["memory_limit"] == "2GB"


def test_a_system_that_does_not_tell_leaves_it_to_the_engine(monkeypatch, tmp_path):
    assert connections._free_bytes(str(tmp_path / "nothing")) == 0
    monkeypatch.setattr(connections, "_free_bytes", lambda: 0)
    assert "memory_limit" not in connections._settings(None, None, None)


def test_identifiers_are_quoted():
    assert quote_identifier('a"; DROP TABLE x; --') == '"a""; DROP TABLE x; --"'
    for bad in ("", "a\0b"):
        with pytest.raises(ParameterError, match="none of them NUL"):
            quote_identifier(bad)


def test_a_table_of_two_connections_is_refused():
    one = connect().create_table("t", pa.table({"x": [1]}))
    two = connect().create_table("t", pa.table({"x": [1]}))
    with pytest.raises(ParameterError, match="draws on 2 connections") as info:
        backend_of(one.join(two, "x"))
    assert info.value.code == "several_connections"
    with pytest.raises(ParameterError, match="the table is unbound"):
        backend_of(ibis.table({"x": "int64"}, name="t"))


def test_our_own_defects_are_not_taken_for_the_engines():
    with pytest.raises(ZeroDivisionError), engine_call("reading"):
        _ = 1 / 0
    with (
        pytest.raises(DataError, match="reading of /x failed in the engine") as info,
        engine_call("reading", "/x"),
    ):
        raise OSError("disk on fire")
    assert info.value.code == "engine_failed"


def test_a_small_table_is_fetched_as_arrow():
    found = fetch(as_table(pa.table({"x": [1, None]})))
    assert found.to_pydict() == {"x": [1, None]}


def test_a_spark_session_is_known_by_its_class(monkeypatch):
    kind = type("SparkSession", (), {"__module__": "pyspark.sql.session"})
    session = kind()
    made = SimpleNamespace(connect=lambda given: ("wrapped", given))
    monkeypatch.setitem(vars(ibis), "pyspark", made)
    monkeypatch.delenv("PYSPARK_PYTHON", raising=False)
    assert connect(session) == ("wrapped", session)
    assert os.environ["PYSPARK_PYTHON"] == sys.executable
