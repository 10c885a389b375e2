import pickle
import subprocess
import sys

import pytest

from growth.dataset import EVENTS, SCHEMA, arrow_schema

LIGHT = "import sys, growth.dataset; print(*sorted(sys.modules))"


@pytest.mark.parametrize("table", SCHEMA.values(), ids=lambda table: table.name)
def test_a_table_is_described_whole(table):
    names = [column.name for column in table.columns]
    assert len(names) == len(set(names))
    assert all(column.doc and column.kind for column in table.columns)
    assert table.unlocks
    used = [*table.key, *table.sort, *filter(None, [table.day_of])]
    used += [column for column, _ in table.references]
    assert set(used) <= set(names)
    assert all(other in SCHEMA for _, other in table.references)
    assert [field.name for field in arrow_schema(table.name)] == names


@pytest.mark.parametrize("table", SCHEMA.values(), ids=lambda table: table.name)
def test_units_follow_the_names(table):
    for column in table.columns:
        if column.name.endswith("_fen") or "_fen_" in column.name:
            assert (column.kind, column.unit) == ("int64", "fen"), column.name
        if column.name.endswith("_ts") or column.name == "ts":
            assert column.kind == "instant", column.name
        if column.name == "ds" or column.name.endswith("_ds"):
            assert column.kind == "date", column.name
        if column.name.endswith("_px"):
            assert (column.kind, column.unit) == ("float32", "px"), column.name


def test_events_need_three_columns_and_know_their_words():
    assert SCHEMA["events"].required == ("user_id", "ts", "event")
    assert {"tap", "exp_exposure", "order_pay"} <= set(EVENTS)
    assert "share_success" not in EVENTS  # the platform has not told since 2018


def test_a_schema_survives_a_process_boundary():
    assert pickle.loads(pickle.dumps(SCHEMA["orders"])) is SCHEMA["orders"]


def test_the_package_stays_light_until_a_table_is_named():
    done = subprocess.run(
        [sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True
    )
    assert not {"ibis", "pandas", "pyarrow", "duckdb"} & set(done.stdout.split())
