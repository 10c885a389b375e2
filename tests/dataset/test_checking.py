from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from growth import dataset
from growth.dataset import TableCount, arrow_schema
from growth.errors import DataError
from tests.dataset.fixtures import AS_OF, FIXTURES, noted

NOON = datetime(2026, 3, 1, 4, tzinfo=UTC)


def store(folder, name, rows):
    columns = {column for row in rows for column in row}
    schema = pa.schema([f for f in arrow_schema(name) if f.name in columns])
    pq.write_table(
        pa.Table.from_pylist(rows, schema=schema), folder / f"{name}.parquet"
    )


def order(n, **more):
    row = {"order_id": f"o{n}", "user_id": "u", "pay_ts": NOON, "paid_fen": 100}
    return row | more


def reasons(folder, name, rows, **kwargs):
    store(folder, name, rows)
    report = dataset.check(folder, **kwargs)
    (count,) = report.tables
    assert (
        count.rows_in
        == len(rows)
        == count.accepted + sum(dict(count.rejected).values())
    )
    return dict(count.rejected), report


def test_sound_tables_are_clean(tmp_path):
    store(tmp_path, "orders", [order(n) for n in range(3)])
    lines = [{"order_id": "o1", "product_id": "p", "qty": 1.0, "line_no": 1}]
    store(tmp_path, "order_items", lines)
    report = dataset.check(tmp_path, as_of=date(2026, 3, 1))
    assert report.verdict == "dataset.check.clean"
    assert not report.refused
    assert report.tables == (
        TableCount("orders", 3, 3),
        TableCount("order_items", 1, 1),
    )
    assert report.rows()[0] == {
        "table": "orders",
        "outcome": "accepted",
        "rows": 3,
        "share": 1.0,
    }
    assert "The data keeps every rule." in report.to_html("en")
    assert "数据符合全部规则" in report.to_html("zh")
    assert report.to_dict()["as_of"] == "2026-03-01"


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ({"order_id": "o1"}, "duplicate_key"),
        ({"order_id": None}, "missing_required"),
        ({"pay_ts": None}, "missing_required"),  # an amount, and never paid
        ({"pay_ts": None, "paid_fen": 0, "status": "paid"}, "missing_required"),
        ({"pay_ts": NOON + timedelta(days=300)}, "future_ts"),
        ({"pay_ts": datetime(1991, 12, 31, tzinfo=UTC)}, "out_of_range"),
        ({"paid_fen": -1}, "out_of_range"),
        ({"refund_fen": 101}, "out_of_range"),
        ({"create_ts": NOON + timedelta(seconds=1)}, "out_of_range"),
        ({"status": "lost"}, "unknown_enum"),
    ],
)
def test_each_broken_rule_of_an_order_is_counted(tmp_path, broken, why):
    rows = [order(n, refund_fen=0, status="paid", create_ts=NOON) for n in range(120)]
    found, report = reasons(tmp_path, "orders", [*rows, rows[0] | broken], as_of=AS_OF)
    if why == "duplicate_key" or "order_id" in broken:
        assert found == {why: 1}
    else:
        assert found.pop(why) == 1
        assert not found
    assert report.verdict == "dataset.check.partly"


def test_an_unpaid_order_needs_no_time(tmp_path):
    row = order(1, pay_ts=None, paid_fen=0, status="unpaid")
    assert reasons(tmp_path, "orders", [order(0), row])[0] == {}


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ({"event": "9lives"}, "out_of_range"),
        ({"event": "x" * 101}, "out_of_range"),
        ({"consent": False}, "no_consent"),
        ({"dur_ms": -1}, "out_of_range"),
        ({"x_px": 376.0, "y_px": 1.0}, "off_page"),
        ({"x_px": 1.0, "y_px": 2401.5}, "off_page"),
        ({"win_w_px": 0.0}, "out_of_range"),
        ({"env_version": "beta"}, "unknown_enum"),
        ({"user_id": None}, "missing_required"),
    ],
)
def test_each_broken_rule_of_an_event_is_counted(tmp_path, broken, why):
    base = {"user_id": "u", "ts": NOON, "event": "tap", "consent": True, "dur_ms": 0}
    base |= {"x_px": 375.0, "y_px": 2401.0, "win_w_px": 375.0, "page_h_px": 2400.0}
    base |= {"env_version": "release"}
    rows = [base] * 150 + [base | broken]
    found, report = reasons(tmp_path, "events", rows)
    assert found == {why: 1}
    assert not report.refused
    assert "future_unchecked" in noted(report)


def test_off_page_and_unconsented_rows_do_not_refuse(tmp_path):
    base = {"user_id": "u", "ts": NOON, "event": "tap", "x_px": 1.0, "y_px": -1.0}
    good = base | {"y_px": 1.0, "consent": True}
    away = [base | {"consent": True}] * 40 + [good | {"consent": False}] * 40
    found, report = reasons(tmp_path, "events", [good] * 20 + away)
    assert found == {"off_page": 40, "no_consent": 40}
    assert not report.refused


def test_odd_events_are_remarked_on(tmp_path):
    base = {"user_id": "u", "ts": NOON, "event": "tap", "platform": "symbian"}
    rows = [base, base | {"event": "add_to_crat"}, base | {"event": "own_event"}]
    _, report = reasons(tmp_path, "events", rows)
    told = {notice.code: dict(notice.args) for notice in report.notices}
    assert told["event_near_miss"] == {
        "value": "add_to_crat",
        "meant": "add_to_cart",
        "rows": 1,
    }
    assert told["value_unlisted"]["value"] == "symbian"
    assert told["element_missing"] == {"rows": 1}
    assert "add_to_crat looks like add_to_cart" in report.to_html("en")


def test_lines_of_no_order_are_orphans(tmp_path):
    store(tmp_path, "orders", [order(1), order(1)])
    line = {"order_id": "o1", "product_id": "p", "qty": 2.0, "line_no": 1}
    lines = [line, line | {"line_no": 2, "refund_qty": 3.0}, line | {"order_id": "o9"}]
    store(tmp_path, "order_items", lines)
    report = dataset.check(tmp_path)
    counts = {count.table: dict(count.rejected) for count in report.tables}
    assert counts["orders"] == {"duplicate_key": 1}
    assert counts["order_items"] == {"out_of_range": 1, "orphan_ref": 1}
    assert ("order_items", "orphans") in report.over_limits
    assert report.verdict == "dataset.check.refused"


@pytest.mark.parametrize(
    ("points", "kind", "fine"),
    [(5, "earn", True), (-5, "earn", False), (-5, "redeem", True), (5, "expire", False),
     (-5, "adjust", True), (-5, "reverse", True)],
)  # fmt: skip
def test_points_have_the_sign_of_their_kind(tmp_path, points, kind, fine):
    row = {"entry_id": "e", "user_id": "u", "ts": NOON, "points": points, "kind": kind}
    found, _ = reasons(tmp_path, "points_ledger", [row])
    assert found == ({} if fine else {"out_of_range": 1})


def test_raw_ids_in_a_canonical_folder_are_found(tmp_path):
    rows = [order(n, user_id="oFixtureUser0000000000000001") for n in range(5)]
    _, report = reasons(tmp_path, "orders", rows)
    assert report.over_limits == (("orders", "raw_ids"),)
    assert report.refused


def test_a_table_that_cannot_be_read_is_a_fault_of_its_own(tmp_path):
    store(tmp_path, "orders", [order(1)])
    pq.write_table(pa.table({"user_id": ["u"]}), tmp_path / "events.parquet")
    report = dataset.check(tmp_path)
    ((table, code, message),) = report.faults
    assert (table, code) == ("events", "column_not_found")
    assert "'ts' not found" in message
    assert report.refused
    assert report.rows()[-1]["outcome"] == "column_not_found"


def test_an_empty_table_is_no_fault(tmp_path):
    schema = arrow_schema("orders")
    pq.write_table(schema.empty_table(), tmp_path / "orders.parquet")
    report = dataset.check(tmp_path)
    assert (report.tables[0].rows_in, report.refused) == (0, False)
    assert report.rows()[0]["share"] is None


def test_foreign_files_are_checked_without_writing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    at = FIXTURES / "foreign"
    bad = dataset.check(at / "orders_yuan_malformed.csv", mapping=at / "mapping.toml")
    assert bad.over_limits == (("orders", "bad_rows"),)
    good = dataset.check(
        at / "orders_yuan.csv", mapping=at / "mapping.toml", as_of=AS_OF
    )
    assert good.verdict == "dataset.check.clean"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="nothing is there"):
        dataset.check(tmp_path / "nowhere")


def test_the_outcome_does_not_depend_on_batches(tmp_path, monkeypatch):
    rows = [order(n % 90, paid_fen=-(n % 7 == 0)) for n in range(100)]
    _, whole = reasons(tmp_path, "orders", rows)
    monkeypatch.setattr("growth.dataset.checking.BATCH_ROWS", 7)
    assert dataset.check(tmp_path) == whole
