"""Every foreign payload whose mapping the generic language can express."""

import pytest

from growth.dataset import entry_group, with_positions
from growth.errors import LoadRefusedError, PayloadError
from tests.dataset.fixtures import expected, noted, rows_of, run_fixture

EVENTS = ["own_taps", "sensorsdata", "growingio", "datarangers", "wechat_experiments"]


def cases(*folders):
    return [
        (folder, name, wanted)
        for folder in folders
        for name, wanted in expected(folder).items()
        if isinstance(wanted, dict) and "rows_in" in wanted
    ]


def iso(moment):
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# off_page is the part of out_of_range that is a point outside the page (spec 4.3);
# these payloads count both under the older name
def as_older(rejected):
    merged = dict(rejected)
    off = merged.pop("off_page", 0)
    if off:
        merged["out_of_range"] = merged.get("out_of_range", 0) + off
    return merged


@pytest.mark.parametrize(
    ("folder", "name", "wanted"),
    [
        case
        for case in cases("foreign", *EVENTS)
        # what an arm of WeChat's own experiments may be is its parser's business
        if case[1] != "exposures_malformed.jsonl"
    ],
)
def test_rows_are_accepted_and_rejected_as_expected(folder, name, wanted):
    done = run_fixture(folder, name)
    report = done.report
    assert report.rows_in == wanted["rows_in"]
    assert report.accepted == wanted["accepted"] == done.tables[report.table].num_rows
    assert as_older(report.rejected) == wanted.get("rejected", {})
    assert report.rows_in == report.accepted + done.rejects.num_rows
    assert report.refused is (wanted.get("load") == "load_refused")
    for code, rows in wanted.get("notices", {}).items():
        assert noted(report)[code] == rows


def test_foreign_orders_have_their_amounts_and_days():
    done = run_fixture("foreign", "orders_yuan.csv")
    wanted = expected("foreign")["orders_yuan.csv"]
    rows = sorted(rows_of(done), key=lambda row: row["order_id"])
    assert [row["paid_fen"] for row in rows] == wanted["paid_fen"]
    days = [row["ds"] and row["ds"].isoformat() for row in rows]
    assert days == wanted["ds"]
    assert rows[0]["props"] == '{"门店": "南山店"}'
    assert {row["currency"] for row in rows} == {"CNY"}
    assert "10000000000" not in str(rows)


def test_taps_fall_where_they_should():
    import ibis

    wanted = expected("own_taps")["taps.jsonl"]
    done = run_fixture("own_taps", "taps.jsonl")
    table = with_positions(ibis.memtable(done.tables["events"])).order_by("ts")
    rows = table.to_pyarrow().to_pylist()
    assert [row["x_norm"] for row in rows] == wanted["x_norm"]
    assert [row["first_screen"] for row in rows] == wanted["first_screen"]
    for row, y_rpx in zip(rows, wanted["y_rpx"], strict=True):
        assert row["y_rpx"] == pytest.approx(y_rpx, abs=1e-4)
    phone = [row for row in rows if row["device_class"] == "phone"]
    assert len(phone) == wanted["phone_map"]
    assert sum(row["x_px"] is not None for row in phone) == wanted["coordinate_rows"]
    assert sum(row["x_px"] is None for row in phone) == wanted["element_rows"]
    assert sum(row["device_class"] == "wide" for row in rows) == 1


def test_a_point_off_the_page_tells_its_side():
    done = run_fixture("own_taps", "taps_malformed.jsonl")
    off = [r for r in done.rejects.to_pylist() if r["reason"] == "off_page"]
    assert [(row["column"], row["seen"]) for row in off] == [
        ("x_px", "right: 500 of 375"),
        ("y_px", "top: -3"),
        ("y_px", "bottom: 2500 of 2400"),
    ]


def test_sensorsdata_keeps_its_meaning():
    wanted = expected("sensorsdata")["track.jsonl"]
    rows = rows_of(run_fixture("sensorsdata", "track.jsonl"))
    rows.sort(key=lambda row: row["ts"])
    for row, key in ((rows[0], "first_event"), (rows[-1], "last_event")):
        told = {"ts": iso(row["ts"]), "ds": row["ds"].isoformat()}
        told |= {name: row[name] for name in ("event", "scene", "entry_group")}
        assert wanted[key].items() <= told.items()
    leave, hide = (
        next(row for row in rows if row["event"] == event)["dur_ms"]
        for event in ("page_leave", "app_hide")
    )
    assert (leave, hide) == (wanted["page_leave_dur_ms"], wanted["app_hide_dur_ms"])
    assert any(row["event"] == "add_to_cart" for row in rows)
    assert entry_group(rows[0]["scene"]) == rows[0]["entry_group"]
    # no SDK records where on the page: the map counts elements
    assert not {"x_px", "y_px"} & set(rows[0])
    assert "oFixtureUser" not in str(rows)
    assert "1764000000001-7654321-0fixture" not in str(rows)


def test_growingio_reads_metrics_and_elements():
    wanted = expected("growingio")["events.jsonl"]["api_call"]
    rows = rows_of(run_fixture("growingio", "events.jsonl"))
    call = next(row for row in rows if row["event"] == "api_call")
    assert {"metric": call["metric"], "value": call["value"]} == wanted
    taps = sorted(
        (r["element_id"], r["element_index"]) for r in rows if r["element_id"]
    )
    assert taps == [("btn-buy#onBuy", 0), ("list-item#onItem", 3)]


def test_datarangers_tells_seconds_from_milliseconds():
    wanted = expected("datarangers")["origin_event.jsonl"]
    rows = rows_of(run_fixture("datarangers", "origin_event.jsonl"))
    found = {row["event"]: row for row in rows}
    assert found["page_leave"]["dur_ms"] == wanted["page_leave_dur_ms"]
    assert found["app_hide"]["dur_ms"] == wanted["app_hide_dur_ms"]
    assert found["order_pay"]["value_fen"] == 6800
    assert found["order_pay"]["exp_id"] is None  # the arm is told on exposure only


@pytest.mark.parametrize(
    ("folder", "name", "arms", "conflicts"),
    [
        ("growingio", "events.jsonl", {"S2": 1}, 0),
        ("datarangers", "origin_event.jsonl", {"waterfall": 1}, 0),
        ("wechat_experiments", "exposures.jsonl", {"0": 1, "1": 1, "2": 1}, 1),
    ],
)
def test_exposure_events_serve_as_assignments(tmp_path, folder, name, arms, conflicts):
    import growth
    from growth import dataset
    from tests.dataset.fixtures import AS_OF, FIXTURES

    at = FIXTURES / folder
    dataset.load(at / name, at / "mapping.toml", tmp_path, as_of=AS_OF)
    rows = growth.open(tmp_path).assignments.to_pyarrow().to_pylist()
    counted = {}
    for row in rows:
        counted[row["variant"]] = counted.get(row["variant"], 0) + 1
    assert counted == arms
    assert sum(row["conflict"] for row in rows) == conflicts


SHOP = {k: v for k, v in expected("wechat_shop").items() if k != "malformed"}


@pytest.mark.parametrize("name", SHOP)
def test_shop_orders(name):
    wanted = dict(SHOP[name])
    done = run_fixture("wechat_shop", name)
    (row,) = rows_of(done)
    for code, rows in wanted.pop("notices", {}).items():
        assert noted(done.report)[code] == rows
    assert wanted.pop("orders", 1) == 1
    assert wanted.pop("order_items", 2) == done.tables["order_items"].num_rows
    if wanted.pop("sharer_pseudonymised", False):
        assert len(row["sharer_id"]) == 32
    if wanted.pop("user_id_is", "") == "giver":
        from growth.dataset import pseudonym

        giver = pseudonym("oFixtureUser0000000000000005", kind="openid")
        assert row["user_id"] == giver
        assert wanted.pop("receiver") == "not stored"
    if row["pay_ts"] is not None:
        row["pay_ts"] = iso(row["pay_ts"])
    assert wanted.items() <= row.items()
    assert "oFixtureUser" not in str(row)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (name, wanted)
        for name, wanted in expected("wechat_shop")["malformed"].items()
        if name != "denied.json"
    ],
)
def test_malformed_shop_orders(name, wanted):
    done = run_fixture("wechat_shop", f"malformed/{name}")
    if isinstance(wanted, str):
        assert done.report.rejected == {wanted: 1}
        # the lines of a rejected order belong to nothing
        assert dict(done.report.tables[1].rejected) == {"orphan_ref": 2}
    else:
        assert done.report.accepted == wanted["accepted"]
        assert noted(done.report)["money_identity"] == 1


def test_an_error_answer_is_no_payload():  # `sources` will say that it was denied
    with pytest.raises(PayloadError, match=r"row 1 .*'errcode': 48001.*must pass"):
        run_fixture("wechat_shop", "malformed/denied.json")


BILLS = {k: v for k, v in expected("wechat_pay_bill").items() if k.endswith(".csv")}


@pytest.mark.parametrize("name", BILLS)
def test_bills(name):
    wanted = BILLS[name]
    done = run_fixture("wechat_pay_bill", name)
    assert done.report.rows_in == wanted["rows_in"]
    assert done.report.accepted == wanted["accepted"]
    # folding into orders, and refunds without their payment, are the parser's business
    revoked = wanted.get("notices", {}).get("summary_revoked")
    assert noted(done.report).get("summary_revoked") == revoked


def test_a_bill_row_has_its_amount_and_fee():
    rows = rows_of(run_fixture("wechat_pay_bill", "bill_all.csv"))
    amounts = sorted((r["order_id"], r["kind"], r["amount_fen"]) for r in rows)
    assert ("T0002", "payment", 15600) in amounts
    assert ("T0002", "refund", 5600) in amounts
    assert ("T0004", "revoke", 19900) in amounts
    third = next(row for row in rows if row["order_id"] == "T0003")
    assert iso(third["ts"]) == "2026-03-10T15:59:59.000Z"
    first = next(row for row in rows if row["order_id"] == "T0001")
    assert first["fee_fen"] == 41
    legacy = rows_of(run_fixture("wechat_pay_bill", "bill_all_legacy.csv"))
    assert (legacy[0]["amount_fen"], legacy[0]["order_fen"]) == (6800, None)


@pytest.mark.parametrize(
    ("name", "wanted"), expected("wechat_pay_bill")["malformed"].items()
)
def test_malformed_bills(name, wanted):
    if isinstance(wanted, dict):
        done = run_fixture("wechat_pay_bill", f"malformed/{name}")
        assert done.report.rows_in == wanted["rows_in"]
        assert done.report.accepted == wanted["accepted"]
        assert done.report.rejected == wanted["rejected"]
        assert done.report.refused
        return
    error, message = {
        "payload": (PayloadError, r"it was cut short|a bill's header"),
        "load_refused": (LoadRefusedError, r"they must be equal; fetch it again"),
    }[wanted]
    with pytest.raises(error, match=message) as info:
        run_fixture("wechat_pay_bill", f"malformed/{name}")
    assert info.value.code == wanted
