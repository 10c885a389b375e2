import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from growth import heatmap
from growth.dataset import arrow_schema
from growth.errors import ParameterError, PayloadError
from growth.heatmap.recording import FIELDS, RECORDED, read_payload

FIXTURES = Path(__file__).resolve().parent.parent / "golden" / "fixtures"
NOON = 1_773_100_800_000
TAP = {
    "event": "tap", "ts": NOON, "page_path": "/pages/home/index.html?from=a",
    "x_px": 187.5, "y_px": 900, "win_w_px": 375, "win_h_px": 667, "element_id": "buy",
}  # fmt: skip


def read(*rows, **kwargs):
    payload = {"schema_version": 1, "rows": list(rows)}
    return read_payload(payload, user_id="u", **kwargs)


def test_rows_become_canonical_events():
    found = read(TAP, {**TAP, "element_index": 2.0, "dur_ms": None})
    assert found.verdict == "heatmap.payload.ok"
    assert found.events[0]["page_path"] == "pages/home/index"
    assert found.events[0]["ts"] == datetime(2026, 3, 10, tzinfo=UTC)
    assert found.events[1]["element_index"] == 2
    table = found.to_arrow()
    whole = arrow_schema("events")
    assert all(field == whole.field(field.name) for field in table.schema)
    assert set(table.column_names) == {"user_id", *FIELDS}
    grid = heatmap.aggregate(table).grid("pages/home/index")
    assert grid.taps[180, 37] == grid.taps.sum() == 1  # an equal tap is its twin
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["rows_in"] == 2


def test_json_bytes_and_bare_rows_are_read_alike():
    text = json.dumps({"schema_version": 1, "rows": [TAP]})
    payloads = (text, text.encode(), [TAP])
    found = [read_payload(p, user_id="u").events for p in payloads]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ("change", "code", "column", "seen"),
    [
        ({"ts": None}, "missing", "ts", ""),
        ({"page_path": None}, "missing", "page_path", ""),
        ({"page_path": ""}, "missing", "page_path", ""),
        ({"event": "tapp"}, "unknown_event", "event", "Did you mean 'tap'?"),
        ({"event": "order_pay"}, "unknown_event", "event", "text of 9"),
        ({"event": 3}, "wrong_type", "event", "3"),
        ({"ts": "2026-03-10"}, "wrong_type", "ts", "text of 10"),
        ({"ts": True}, "wrong_type", "ts", "True"),
        ({"ts": NOON + 0.5}, "wrong_type", "ts", "1773100800000.5"),
        ({"ts": 15_321}, "epoch_expected", "ts", "15321"),
        ({"ts": NOON * 100}, "out_of_range", "ts", "177310080000000"),
        ({"ts": 1e30}, "out_of_range", "ts", "1e+30"),
        ({"x_px": float("nan")}, "wrong_type", "x_px", "nan"),
        ({"x_px": [1]}, "wrong_type", "x_px", "list"),
        ({"win_w_px": 0}, "out_of_range", "win_w_px", "0"),
        ({"win_h_px": -5}, "out_of_range", "win_h_px", "-5"),
        ({"element_index": 2**40}, "out_of_range", "element_index", "1099511627776"),
        ({"element_index": 1.5}, "wrong_type", "element_index", "1.5"),
        ({"phase": "later"}, "out_of_range", "phase", "text of 5"),
        ({"element_id": "x" * 129}, "too_long", "element_id", "text of 129"),
        ({"win_w_px": None}, "no_window", "win_w_px", ""),
        ({"y_px": None}, "half_a_position", "y_px", ""),
        ({"x_px": None}, "half_a_position", "x_px", ""),
        (
            {"x_px": None, "y_px": None, "element_id": None},
            "nothing_tapped", "element_id", "",
        ),
        ({"x_px": -1}, "off_page", "x_px", "-1"),
        ({"x_px": 376}, "off_page", "x_px", "376"),
        ({"y_px": -3}, "off_page", "y_px", "-3"),
        ({"page_h_px": 898}, "off_page", "y_px", "900"),
    ],
)  # fmt: skip
def test_a_row_turned_away_says_why_and_the_rest_is_kept(change, code, column, seen):
    found = read(TAP, {**TAP, **change})
    assert [tuple(r) for r in found.rejected] == [(1, code, column, seen)]
    assert len(found.events) == 1
    assert found.rows_in == 2
    assert found.verdict == "heatmap.payload.some"
    (notice,) = found.notices
    off = code == "off_page"
    assert notice.code == ("rows_off_page" if off else "rows_rejected")
    assert found.rows()[0]["code"] == code


@pytest.mark.parametrize(
    "change",
    [
        {"page_h_px": 899},  # within a pixel of the page's end
        {"x_px": 375},
        {"x_px": None, "y_px": None},
        {"x_px": None, "y_px": None, "win_w_px": None},
        {"element_index": "", "phase": "", "page_h_px": ""},
        {"event": "page_view", "x_px": None, "y_px": None, "element_id": None},
    ],
)
def test_what_can_be_used_is_taken_in(change):
    assert read({**TAP, **change}).verdict == "heatmap.payload.ok"


def test_the_clock_is_held_against_the_servers():
    now = datetime(2026, 3, 10, tzinfo=UTC)
    ahead = {**TAP, "ts": NOON + 3_600_001}
    assert read(ahead).rejected == ()
    assert read(ahead, received=now).rejected[0].code == "in_the_future"
    assert read(ahead, received=now + timedelta(seconds=1)).rejected == ()
    with pytest.raises(ParameterError, match="without a zone") as info:
        read(TAP, received=datetime(2026, 3, 10))
    assert info.value.code == "naive_instant"


def test_unknown_fields_are_left_out_and_told_but_never_their_values():
    found = read({**TAP, "element_text": "call 13800000000", "user_id": "other"}, 5)
    assert "element_text" not in found.events[0]
    assert found.events[0]["user_id"] == "u"
    assert [n.code for n in found.notices] == ["fields_left_out", "rows_rejected"]
    assert found.rejected[0].code == "not_a_row"
    assert "13800000000" not in json.dumps(found.to_dict())


@pytest.mark.parametrize(
    ("payload", "code", "message"),
    [
        ("{", "bad_json", "is no JSON"),
        ({"rows": [TAP]}, "bad_version", "schema_version is None"),
        ({"schema_version": 2, "rows": [TAP]}, "bad_version", "must be 1"),
        ({"schema_version": 1}, "no_rows", "has no rows"),
        ([], "no_rows", "one or more"),
        ("7", "no_rows", "has no rows"),
        ([TAP] * 1001, "too_many_rows", "1,001 rows"),
    ],
)
def test_what_is_no_payload_is_refused_whole(payload, code, message):
    with pytest.raises(PayloadError, match=message) as info:
        read_payload(payload, user_id="u")
    assert info.value.code == code


def test_nobodys_rows_are_refused():
    with pytest.raises(ParameterError, match="user_id is ''") as info:
        read_payload([TAP], user_id="")
    assert info.value.code == "bad_user"


@pytest.mark.parametrize("name", ["taps.jsonl", "taps_malformed.jsonl"])
def test_own_taps_are_taken_in_and_turned_away_as_a_load_does(name):
    """tests/golden/fixtures/own_taps, where a load's answer stands beside it."""
    folder = FIXTURES / "own_taps"
    want = json.loads((folder / "expected.json").read_text("utf-8"))[name]
    named = {"detail_x": "x_px", "detail_y": "y_px", "client_y": "client_y_px"}
    named |= {"win_w": "win_w_px", "win_h": "win_h_px"}
    named |= {"page_h": "page_h_px", "scroll_y": "scroll_y_px"}
    lines = (folder / name).read_text("utf-8").splitlines()
    sent = [json.loads(line) for line in lines]
    rows = [{named.get(k, k): v for k, v in row.items()} for row in sent]
    found = read_payload(rows, user_id="u")
    assert found.rows_in == want["rows_in"]
    assert len(found.events) == want["accepted"]
    if not want["accepted"]:
        codes = [r.code for r in found.rejected]
        assert codes == [
            "off_page", "off_page", "out_of_range", "epoch_expected", "off_page",
        ]  # fmt: skip
        assert found.verdict == "heatmap.payload.none"


def test_every_field_and_event_is_canonical():
    from growth.dataset import EVENTS

    assert set(FIELDS) <= set(arrow_schema("events").names)
    assert set(RECORDED) <= set(EVENTS)
    assert isinstance(read(TAP).to_arrow(), pa.Table)
