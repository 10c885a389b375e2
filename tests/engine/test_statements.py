"""Whose connection a statement runs on, and that no two meet there."""

import gc
import os
import re
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep

import ibis
import pyarrow as pa
import pytest

import growth
from growth.engine import as_table, backend_of, connect, fetch, keep, moments, scan
from growth.engine.statements import answer
from growth.errors import DataError

THREADS = 6


def held(backend):
    sql = "SELECT count(*) FROM duckdb_views() WHERE view_name LIKE 'ibis_%memtable%'"
    return answer(backend, sql)[0][0]


def ask(way, table):
    if way == "fetch":
        return fetch(table.aggregate(n=table.count())).to_pylist()[0]["n"]
    if way == "scan":
        return sum(batch.num_rows for batch in scan(table, columns=["x"], batch_rows=5))
    return moments(table, values=["x"])[0].rows


@pytest.mark.parametrize("way", ["fetch", "scan", "moments"])
def test_a_frame_is_let_go_when_no_table_is_made_of_it(way):
    def once(n):
        return ask(way, as_table(pa.table({"x": range(n)})))

    kept = as_table(pa.table({"x": [1, 2]}))
    mine = backend_of(kept)
    assert fetch(kept).num_rows == 2
    before = held(mine)
    assert [once(n) for n in range(1, 8)] == list(range(1, 8))
    gc.collect()
    assert once(9) == 9
    assert held(mine) <= before + 1  # the one just asked
    assert fetch(kept)["x"].to_pylist() == [1, 2]


def test_a_frame_beside_a_table_is_let_go_there():
    shop = connect()
    shop.con.execute("CREATE TABLE t AS SELECT range AS x FROM range(100)")
    for n in range(1, 6):
        codes = as_table(pa.table({"x": range(n)}))
        assert fetch(shop.table("t").semi_join(codes, "x")).num_rows == n
        del codes
        gc.collect()
        assert held(shop) == 1


def test_what_the_caller_gave_a_connection_stays_there():
    shop = connect()
    theirs = ibis.memtable(pa.table({"x": [1, 2, 3]}))
    view = shop.create_view("v", theirs)
    del theirs
    for n in range(1, 4):
        codes = as_table(pa.table({"x": range(n)}))
        assert fetch(view.anti_join(codes, "x")).num_rows == 4 - max(n, 1)
    assert fetch(view).num_rows == 3


def test_a_stream_being_read_keeps_its_frame():
    n = 300_000
    rows = scan(as_table(pa.table({"x": range(n)})), columns=["x"], batch_rows=1000)
    seen = next(rows).num_rows
    gc.collect()
    other = connect()
    fetch(other.create_table("t", pa.table({"y": [1]})))
    assert seen + sum(batch.num_rows for batch in rows) == n


@pytest.mark.parametrize("way", ["fetch", "scan", "moments"])
@pytest.mark.parametrize("shared", [False, True])
def test_threads_get_their_own_answers(way, shared):
    """On one DuckDB connection they would get each other's, or wait for ever."""
    shop = connect()
    shop.con.execute("CREATE TABLE t AS SELECT range AS x FROM range(500)")
    kept = shop.table("t")  # asks for its columns, past us

    def many(thread):
        found = []
        for k in range(1, 25):
            n = 10 * k + thread
            if shared:
                table = kept.filter(ibis._.x < n)
            else:
                table = as_table(pa.table({"x": range(n)}))
            found.append(ask(way, table) - n)
        return found

    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(many, range(THREADS)))
    assert found == [[0] * 24] * THREADS


def test_a_thread_waits_for_a_stream_and_for_nothing_after_it():
    shop = connect()
    shop.con.execute("CREATE TABLE t AS SELECT range AS x FROM range(100_000)")
    table = shop.table("t")
    began, seen = threading.Event(), []

    def other():
        began.set()
        seen.append(fetch(table.count().as_table()).to_pylist())

    rows = scan(table, columns=["x"], batch_rows=1000)
    n = next(rows).num_rows
    thread = threading.Thread(target=other)
    thread.start()
    began.wait()
    sleep(0.05)
    assert not seen
    assert n + sum(batch.num_rows for batch in rows) == 100_000
    thread.join(60)
    assert list(seen[0][0].values()) == [100_000]
    left = scan(table, columns=["x"], batch_rows=1000)
    next(left)
    del left  # never read to its end
    thread = threading.Thread(target=other)
    thread.start()
    thread.join(60)
    assert len(seen) == 2


def test_a_thread_that_ends_takes_its_connection_with_it():
    theirs = []

    def once():
        table = as_table(pa.table({"x": [1]}))
        fetch(table)
        theirs.append(weakref.ref(backend_of(table)))

    for _ in range(3):
        thread = threading.Thread(target=once)
        thread.start()
        thread.join()
    gc.collect()
    assert [ref() for ref in theirs] == [None] * 3


FORK = """
import os
import pyarrow as pa
from growth.engine import as_table, fetch

def ask(n):
    table = as_table(pa.table({"x": range(n)}))
    return fetch(table.aggregate(n=table.count())).to_pylist()[0]["n"]

assert ask(7) == 7
if child := os.fork():
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ask(8) == 8
else:
    code = 0 if ask(9) == 9 else 1
os._exit(code)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_opens_a_connection_of_its_own():
    command = [sys.executable, "-c", FORK]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_default_that_is_no_duckdb_is_asked(monkeypatch):
    class Other:
        name = "clickhouse"

    chosen = Other()
    monkeypatch.setattr(ibis.options, "default_backend", chosen)
    assert backend_of(as_table(pa.table({"x": [1]}))) is chosen
    monkeypatch.setattr(ibis.options, "default_backend", ibis.duckdb.connect())
    mine = backend_of(as_table(pa.table({"x": [1]})))
    assert mine is backend_of(as_table(pa.table({"x": [2]})))
    assert mine is not ibis.options.default_backend


def test_canary_duckdb_answers_threads_of_one_connection_wrong():
    con = connect().con
    bad = []

    def many(thread):
        for k in range(200):
            try:
                con.execute("SELECT ?::INT", [1000 * thread + k])
                bad.append(con.fetchall() != [(1000 * thread + k,)])
            except Exception:  # noqa: BLE001
                bad.append(True)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(many, range(THREADS)))
    assert any(bad), "mended: connections need no turns"


def test_rows_kept_are_computed_once_and_dropped_when_forgotten():
    shop = connect()
    shop.con.execute("CREATE TABLE t AS SELECT range AS x FROM range(100)")
    kept = keep(shop.table("t").filter(ibis._.x < 10).mutate(r=ibis.random()))
    assert fetch(kept).equals(fetch(kept))  # drawn once
    held_tables = "SELECT count(*) FROM duckdb_tables() WHERE table_name LIKE '%kept%'"
    assert answer(shop, held_tables) == [(1,)]
    some = kept.filter(kept.x < 5)
    del kept
    gc.collect()
    assert fetch(some).num_rows == 5
    rows = scan(some, columns=["x"], batch_rows=1)
    seen = next(rows).num_rows
    del some
    gc.collect()
    assert seen + sum(batch.num_rows for batch in rows) == 5
    del rows
    gc.collect()
    fetch(shop.table("t"))
    assert answer(shop, held_tables) == [(0,)]


def test_frames_may_be_kept():
    kept = keep(as_table(pa.table({"x": [1, 2, 3]})))
    with ThreadPoolExecutor(2) as pool:  # a thread's rows are read by others too
        assert list(pool.map(lambda _: fetch(kept).num_rows, range(8))) == [3] * 8
    with pytest.raises(DataError, match="adding failed in the engine"):
        keep(kept.mutate(y=ibis.literal("x").cast("int64")), "adding")


def test_every_statement_goes_through_here():
    """Past it, threads would be given each other's results."""
    room = Path(growth.__file__).parent
    past = re.compile(
        r"(?<!schema\(\))(?<!kind)(?<!user_type)\.to_pyarrow\(|\.to_pyarrow_batches\("
        r"|\.raw_sql\(|\.cache\(\)|\.con\.(?:sql|execute)\("
    )
    may = {
        "engine/statements.py": 2,  # to_pyarrow, execute
        "engine/connections.py": 3,  # opening: nobody else has it yet
        "engine/cells.py": 1,  # in its turn
        "engine/scans.py": 1,  # in its turn
        "abtest/past.py": 1,  # UnitTable.cache
        "abtest/watching.py": 3,
        "panels/abtest.py": 1,
        "readout/abtest/opened.py": 1,
    }
    found = {
        path.relative_to(room).as_posix(): len(past.findall(path.read_text("utf-8")))
        for path in room.rglob("*.py")
    }
    assert {name: n for name, n in found.items() if n} == may
