import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from growth import engine
from growth.errors import ColumnNotFoundError, DataError, ParameterError
from growth.heatmap import (
    aggregate,
    bins,
    compare,
    elements,
    first_screen,
    frustration,
    scroll,
    store,
    suggest_fixed,
    zones,
)
from tests.heatmap.made import NOON_MS, codes, log, many, tap

FIXTURES = Path(__file__).resolve().parent.parent / "golden" / "fixtures"


def counted(result):
    return {name: n for name, n in result.counted.items() if n}


def test_taps_land_in_their_cells():
    found = aggregate(log(tap(187.5, 100), tap(375, 0, 2000), tap(0, 3999, 4000)))
    grid = found.grid("p")
    row, col = np.nonzero(grid.taps)
    assert list(zip(row.tolist(), col.tolist(), strict=True)) == [
        (0, 74),
        (20, 37),
        (799, 0),
    ]
    assert found.verdict == "heatmap.map.ok"
    assert grid.rows == 800
    assert counted(found) == {"binned": 3}


def test_every_tap_is_counted_as_one_class():
    found = aggregate(
        log(
            tap(100, 100),
            tap(100, 100),  # a twin: equal time and place
            tap(100, 100, 60),  # the echo of a label
            tap(100, 100, 160),  # 100 ms after: a tap again
            tap(-1, 5, 1000),
            tap(376, 5, 2000),
            tap(5, -1, 3000),
            tap(5, 4001, 4000),  # within a pixel of the page's end
            tap(5, 4002, 5000),
            tap(5, 30_000, 6000, page_h_px=200_000.0),
            tap(None, 5, 7000),
            tap(5, 5, 8000, win_w_px=None),
            tap(5, 5, 8500, win_w_px=0.0),
            tap(5, 5, 9000, win_w_px=768.0, win_h_px=1024.0),
            tap(5, 5, 9900, win_w_px=800.0, win_h_px=375.0),
        )
    )
    assert counted(found) == {
        "binned": 3,
        "beyond": 1,
        "off_page": 4,
        "duplicate": 1,
        "echo": 1,
        "excluded": 2,
        "no_position": 3,
    }
    assert found.off_side == {"left": 1, "right": 1, "above": 1, "below": 1}
    assert found.excluded_by == {"tablet": 1, "wide": 1}
    assert found.taps_in == sum(found.counted.values()) == 15
    assert found.verdict == "heatmap.map.off_page"
    assert codes(found) == [
        "taps_off_page",
        "taps_beyond",
        "taps_excluded",
        "taps_no_position",
    ]
    assert found.grid().taps_in == 15
    assert found.grid().off_page_rate == 0.5
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["taps_in"] == 15
    assert found.to_pandas().loc[0, "off_page"] == 4


@pytest.mark.parametrize("kind", [float, np.int64])
def test_any_whole_number_will_do(kind):
    asked = {"cell_rpx": 50, "echo_ms": 90, "most_rpx": 600}
    rows = log(*(tap(50, 100 * i, 60 * i) for i in range(4)))
    found = aggregate(rows, **{name: kind(n) for name, n in asked.items()})
    assert json.dumps(found.to_dict()) == json.dumps(aggregate(rows, **asked).to_dict())
    assert type(found.grid().cell_rpx) is int
    col, _ = bins([30], [40], [375], cell_rpx=kind(50))
    assert (col.dtype, col.tolist()) == (np.int64, [1])


def test_a_page_of_200_000_px_is_beyond_the_map_not_an_error():
    found = aggregate(log(tap(5, 199_999, page_h_px=200_000.0)))
    assert counted(found) == {"beyond": 1}
    assert found.verdict == "heatmap.map.empty"
    deep = aggregate(log(tap(5, 199_999, page_h_px=200_000.0)), most_rpx=400_000)
    assert deep.grid().rows == 39_999 + 1


@pytest.mark.parametrize("users", [1, 40])
def test_phases_tell_twins_from_echoes(users):
    rows = []
    for i in range(users):
        for start in (0, 60):  # a label and its input, each in both phases
            for phase, late in (("capture", 0), ("bubble", 1)):
                rows.append(tap(9, 9, start + late, phase=phase, user_id=f"u{i}"))
        rows.append(tap(70, 9, 900, phase="bubble", user_id=f"u{i}"))
    found = aggregate(log(*rows))
    assert counted(found) == {
        "binned": 2 * users,
        "duplicate": 2 * users,
        "echo": users,
    }
    two = log(tap(9, 9, phase="capture"), tap(9, 9, phase="capture"))
    assert counted(aggregate(two)) == {"binned": 1, "echo": 1}


def test_a_chain_of_echoes_is_judged_by_the_raw_tap_before():
    rows = [tap(9, 9, t) for t in (0, 60, 120, 180, 290)]
    assert counted(aggregate(log(*rows))) == {"binned": 2, "echo": 3}
    away = [tap(9, 9), tap(50, 9, 30), tap(9, 9, 60)]  # another place in between
    assert counted(aggregate(log(*away))) == {"binned": 3}
    apart = [tap(9, 9), tap(9, 9, 30, page_path="q"), tap(9, 9, 50, user_id="v")]
    assert counted(aggregate(log(*apart))) == {"binned": 3}
    assert counted(aggregate(log(*rows), echo_ms=0)) == {"binned": 5}


def test_a_number_orders_equal_times():
    rows = [
        tap(9, 9, 0, event_id=1),
        tap(50, 9, 0, event_id=3),
        tap(9, 9, 50, event_id=9),
    ]
    assert counted(aggregate(log(*rows))) == {"binned": 3}
    rows[1]["event_id"] = 0  # the tap elsewhere came first
    assert counted(aggregate(log(*rows))) == {"binned": 2, "echo": 1}


def reference(table, device="phone"):
    """Count taps by page and cell in plain Python, from the rules' words."""
    rows = [r for r in table.to_pylist() if r["user_id"] is not None]
    rows.sort(key=lambda r: (r["user_id"], r["page_path"], r["ts"], r["x_px"] or 0))
    cells, classes, last = {}, {}, {}
    for r in rows:
        who = (r["user_id"], r["page_path"])
        before = last.get(who)
        where = (r["x_px"], r["y_px"])
        if r["x_px"] is None:
            kind = "no_position"
        elif before and before[0] == r["ts"] and where in before[1]:
            kind = "duplicate"
        else:
            echo = before and before[2] == where
            echo = echo and r["ts"] - before[0] < timedelta(milliseconds=100)
            at_once = before[1] if before and before[0] == r["ts"] else set()
            last[who] = (r["ts"], at_once | {where}, where)
            wide = r["win_w_px"] > r["win_h_px"]
            shape = "wide" if wide else "phone" if r["win_w_px"] <= 500 else "tablet"
            outside = not 0 <= r["x_px"] <= r["win_w_px"] or r["y_px"] < 0
            outside = outside or r["y_px"] > r["page_h_px"] + 1
            kind = "echo" if echo else "excluded" if shape != device else "binned"
            kind = "off_page" if kind == "binned" and outside else kind
        classes[kind] = classes.get(kind, 0) + 1
        if kind == "binned":
            (col,), (row,) = bins([r["x_px"]], [r["y_px"]], [r["win_w_px"]])
            key = (r["page_path"], int(row), int(col))
            users = cells.setdefault(key, {})
            users[r["user_id"]] = users.get(r["user_id"], 0) + 1
    return cells, classes


@pytest.mark.parametrize("seed", range(4))
def test_it_counts_what_the_rules_say_in_any_order(seed):
    table = many(seed, users=(2, 5, 40, 200)[seed])
    cells, classes = reference(table)
    rng = np.random.default_rng(seed)
    shuffled = table.take(pa.array(rng.permutation(len(table))))
    found = [aggregate(rows, users=True, pairs=True) for rows in (table, shuffled)]
    for result in found:
        assert counted(result) == classes
        for grid, pairs in zip(result.grids, result.cells, strict=True):
            mine = {k: v for k, v in cells.items() if k[0] == grid.page}
            row, col = np.nonzero(grid.taps)
            assert {
                (grid.page, int(r), int(c)) for r, c in zip(row, col, strict=True)
            } == set(mine)
            for (_, r, c), users in mine.items():
                assert grid.taps[r, c] == sum(users.values())
                assert grid.users[r, c] == len(users)
            again = pairs.grid()
            assert again.taps.tolist() == grid.taps.tolist()
            assert again.users.tolist() == grid.users.tolist()
    assert found[0].to_dict() == found[1].to_dict()


@pytest.mark.parametrize(
    ("first", "step", "kind"),
    [(0, 1, pa.int32()), (-20, 1, pa.int64()), (7, 2**40, pa.int64())],
)
def test_parts_on_disk_give_the_same_map(monkeypatch, first, step, kind):
    table = many(9, n=900)
    ids = [first + int(u[1:]) * step for u in table["user_id"].to_pylist()]
    table = table.set_column(0, "user_id", pa.array(ids, kind))
    known = sorted(set(ids))
    halves = ["AB"[i % 2] for i in range(len(known))]
    arms = pa.table({"unit_id": known, "variant": halves})
    asked = {"users": True, "pairs": True, "by": ["day", "variant"]}
    asked["assignments"] = arms
    whole = aggregate(table, **asked)
    monkeypatch.setattr(store, "IN_MEMORY", 100)
    parts = aggregate(table, **asked)
    assert parts.to_dict() == whole.to_dict()
    assert {dict(g.by)["variant"] for g in whole.grids} == {"A", "B"}
    for one, two in zip(whole.cells, parts.cells, strict=True):
        assert one.user.tolist() == two.user.tolist()
        assert one.cell.tolist() == two.cell.tolist()
        assert one.taps.tolist() == two.taps.tolist()
        assert len(set(one.user.tolist())) > 10


def test_maps_of_shards_of_users_merge_to_the_whole():
    table = many(5)
    whole = aggregate(table, users=True)
    parts = [aggregate(table, users=True, user_shard=(k, 3)) for k in range(3)]
    merged = parts[0].merge(parts[1]).merge(parts[2])
    for one, two in zip(whole.grids, merged.grids, strict=True):
        assert one.taps.tolist() == two.taps.tolist()
        assert one.users.tolist() == two.users.tolist()
        assert one.counted == two.counted
    assert merged.counted == whole.counted
    assert merged.taps_in == whole.taps_in
    assert "users_not_mergeable" not in codes(merged)
    days = whole.merge(whole)
    assert "users_not_mergeable" in codes(days)
    assert days.grids[0].users is None
    pairs = aggregate(table, pairs=True)
    doubled = pairs.merge(pairs).cells[0].grid()
    assert doubled.users.tolist() == pairs.grids[0].users.tolist()
    assert doubled.taps.tolist() == (2 * pairs.grids[0].taps).tolist()


def test_one_map_for_many_pages_and_maps_by_column_day_and_arm():
    table = log(
        tap(9, 9, user_id="a", page_path="item?1", platform="ios"),
        tap(9, 9, 1000, user_id="b", page_path="item?2", platform="ios"),
        tap(9, 9, 86_400_000, user_id="b", page_path="home", platform="android"),
        tap(9, 9, 86_400_001, user_id="c", page_path="home", platform="windows"),
    )
    keyed = aggregate(table, page_key=lambda path: path.split("?")[0], by="platform")
    assert [(g.page, g.by[0][1], int(g.taps.sum())) for g in keyed.grids] == [
        ("home", "android", 1),
        ("home", "windows", 0),
        ("item", "ios", 2),
    ]
    assert keyed.excluded_by == {"wide": 1}
    named = aggregate(table, page_key={"item?1": "x", "item?2": "x"}, page="x")
    assert named.grid().taps.sum() == 2
    days = aggregate(table, by=["day"])
    assert [g.by[0][1] for g in days.grids] == [
        "2026-03-11",
        "2026-03-10",
        "2026-03-10",
    ]
    arms = pa.table(
        {"unit_id": ["a", "b", "b"], "variant": ["A", "A", "B"], "exp_id": ["e"] * 3}
    )
    by_arm = aggregate(table, by="variant", assignments=arms, exp_id="e")
    assert {(g.page, g.by[0][1]) for g in by_arm.grids} == {
        ("item?1", "A"),
        ("item?2", None),  # in two arms: in neither
        ("home", None),
    }
    first = date(2026, 3, 10)
    assert aggregate(table, start=first, end=first + timedelta(days=1)).taps_in == 2
    late = datetime(2026, 3, 11, tzinfo=UTC)
    assert aggregate(table, start=late).taps_in == 2
    assert aggregate(table, where=[{"col": "platform", "eq": "ios"}]).taps_in == 2


def test_fixed_elements_are_mapped_by_where_they_are_on_the_screen():
    rows = [
        tap(100, 3000 + i, 1000 * i, client_y_px=600.0, element_id="tab")
        for i in range(3)
    ]
    rows.append(tap(100, 700, 9000, client_y_px=100.0, element_id="buy"))
    found = aggregate(log(*rows), fixed_elements=["tab"])
    assert found.grid("p", layer="fixed").taps[120, 20] == 3
    assert found.grid("p").taps.sum() == 1
    assert found.taps_in == 4
    one = aggregate(log(*rows), fixed_elements="tab")
    assert one.grid("p", layer="fixed").taps.sum() == 3
    with pytest.raises(ColumnNotFoundError, match=r"client_y_px.*the fixed layer"):
        aggregate(log(tap(1, 1, element_id="a")), fixed_elements=["a"])


def test_viewers_are_those_who_viewed():
    views = [{"event": "page_view", "user_id": u, "ts": 5} for u in "abca"]
    found = aggregate(log(tap(9, 9, user_id="a"), *views), users=True)
    assert found.grid().viewers == 3
    assert found.grid().users.sum() == 1


# -- element mode ----------------------------------------------------------------------


def test_elements_are_counted_without_positions():
    rows = [
        {"element_id": "buy", "element_index": None, "user_id": "a"},
        {"element_id": "buy", "element_index": None, "user_id": "a", "ts": 10},
        {"element_id": "buy", "element_index": None, "user_id": "a", "ts": 10},
        {"element_id": "card", "element_index": 2, "user_id": "b", "ts": 20},
        {"element_id": None, "element_index": None, "user_id": "b", "ts": 30},
    ]
    table = log(*rows).select(
        ["user_id", "ts", "event", "page_path", "element_id", "element_index"]
    )
    found = aggregate(table, mode="elements")
    assert [
        (e.element_id, e.element_index, e.taps, e.users) for e in found.elements
    ] == [
        ("buy", None, 2, 1),
        (None, None, 1, 1),
        ("card", 2, 1, 1),
    ]
    assert counted(found) == {"binned": 4, "duplicate": 1}
    assert found.verdict == "heatmap.map.elements"
    assert found.rows()[0]["element_id"] == "buy"
    with pytest.raises(DataError, match="has no positions") as info:
        found.grid("p")
    assert info.value.code == "element_mode_only"
    with pytest.raises(DataError, match="element_id but no") as info:
        aggregate(table)
    assert info.value.code == "element_mode_only"


# -- own taps --------------------------------------------------------------------------


def own_taps():
    lines = (FIXTURES / "own_taps" / "taps.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    names = {"openid": "user_id", "detail_x": "x_px", "detail_y": "y_px"}
    names |= {"client_y": "client_y_px", "win_w": "win_w_px", "win_h": "win_h_px"}
    names |= {"page_h": "page_h_px", "scroll_y": "scroll_y_px"}
    rows = [{names.get(k, k): v for k, v in row.items()} for row in rows]
    for row in rows:
        row["ts"] -= NOON_MS
    return log(*rows)


def test_own_taps_as_expected():
    want = json.loads((FIXTURES / "own_taps" / "expected.json").read_text("utf-8"))
    want = want["taps.jsonl"]
    found = aggregate(own_taps())
    assert found.taps_in == want["rows_in"]
    assert (
        sum(found.excluded_by.values())
        == want["excluded_from_phone_map"]["landscape_or_desktop"]
    )
    assert found.counted["binned"] == want["coordinate_rows"]
    assert found.counted["no_position"] == want["element_rows"]
    row, col = np.nonzero(found.grid().taps)
    wanted = {
        (int(y // 10), min(int(x * 75), 74))
        for x, y in zip(want["x_norm"], want["y_rpx"], strict=True)
        if x is not None
    } - {(25, 37)}  # the desktop's
    assert set(zip(row.tolist(), col.tolist(), strict=True)) == wanted


# -- faults ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "kwargs", "error", "code", "message"),
    [
        (
            log(tap(1, 1)),
            {"cell_rpx": 20},
            ParameterError,
            "bad_cell_size",
            "is 20; it",
        ),
        (
            log(tap(1, 1)),
            {"device_class": "fone"},
            ParameterError,
            "unknown_device",
            "Did you mean 'phone'",
        ),
        (log(tap(1, 1)), {"mode": "x"}, ParameterError, "unknown_mode", "mode is 'x'"),
        (
            log(tap(1, 1)),
            {"echo_ms": -1},
            ParameterError,
            "bad_echo_ms",
            "echo_ms is -1",
        ),
        (
            log(tap(1, 1)),
            {"user_shard": (3, 3)},
            ParameterError,
            "bad_shard",
            r"is \(3, 3\)",
        ),
        (log(tap(1, 1)), {"page": "q"}, DataError, "no_taps", "no tap on pages .'q'"),
        (
            log(tap(1, 1)),
            {"start": date(2026, 3, 2), "end": date(2026, 3, 2)},
            ParameterError,
            "bad_period",
            "end must be later",
        ),
        (
            log({"event": "scroll"}, x_px=1.0, y_px=1.0),
            {},
            DataError,
            "no_taps",
            "check page, dates",
        ),
        (
            log(*[tap(900, 5, i) for i in range(9)]),
            {},
            DataError,
            "mixed_units",
            "is 2.40 .*divide by pixelRatio",
        ),
        (
            log(tap(1, 1, -NOON_MS + 15_321)),
            {},
            DataError,
            "epoch_expected",
            "15321 ms .*Date.now",
        ),
        (
            log(tap(1, 1, user_id=None)),
            {},
            DataError,
            "null_key",
            "1 rows have no user",
        ),
    ],
)
def test_faults_say_what_was_seen(table, kwargs, error, code, message):
    with pytest.raises(error, match=message) as info:
        aggregate(table, **kwargs)
    assert info.value.code == code


def test_a_missing_window_width_says_what_it_unlocks():
    table = log(tap(1, 1)).drop_columns("win_w_px")
    with pytest.raises(ColumnNotFoundError, match=r"win_w_px.*maps with positions"):
        aggregate(table)


def test_a_page_never_seen_is_named():
    found = aggregate(
        log(tap(1, 1, page_path="pages/home"), tap(9, 9, 1, page_path="q"))
    )
    with pytest.raises(ParameterError, match="Did you mean 'pages/home'") as info:
        found.grid("pages/hom")
    assert info.value.code == "unknown_page"


def test_one_user_and_taps_all_off_the_page_are_told():
    one = aggregate(log(tap(9, 9), tap(70, 9, 500)), users=True)
    assert one.grid().users.sum() == 2  # two cells, one user
    assert one.grid().users.max() == 1
    gone = aggregate(log(tap(-5, 9), tap(9, -700, 500)))
    assert gone.counted["off_page"] == 2
    assert gone.off_side == {"left": 1, "right": 0, "above": 1, "below": 0}
    assert gone.verdict == "heatmap.map.empty"
    assert codes(gone) == ["taps_off_page", "no_taps_on_map"]


def test_cells_off_their_edges_are_those_of_a_plain_histogram():
    rng = np.random.default_rng(2)
    n, width = 3_000, 375.0
    # the middles of sixteenths of a pixel: never on an edge
    x, y = (rng.integers(0, top * 16, n) / 16 + 1 / 32 for top in (int(width), 2_000))
    table = log(
        *[tap(a, b, 9_000 * i) for i, (a, b) in enumerate(zip(x, y, strict=True))]
    )
    grid = aggregate(table).grid()
    edges = [np.arange(0, 10 * (k + 1), 10) for k in (grid.rows, 75)]
    plain, _, _ = np.histogram2d(y * 2, x * 2, bins=edges)
    assert grid.taps.tolist() == plain.tolist()


def test_a_map_only_of_landscape_is_empty_and_says_so():
    found = aggregate(log(tap(5, 5, win_w_px=800.0)))
    assert found.verdict == "heatmap.map.empty"
    assert codes(found) == ["taps_excluded", "no_taps_on_map"]


def test_the_filter_is_the_engines():
    with pytest.raises(ParameterError, match="where"):
        aggregate(log(tap(1, 1)), where=[{"cool": "x"}])
    assert engine.parse_where([{"col": "x_px", "gt": 1}])


def test_bounds_of_a_period_hold_to_the_microsecond():
    start = datetime.fromtimestamp(NOON_MS / 1000, UTC)
    table = log(tap(1, 1, 0), tap(1, 1, 700), tap(1, 1, 1600))
    for ms, before in ((499, 1), (500, 1), (600, 1), (900, 2), (1600, 2), (1601, 3)):
        when = start + timedelta(milliseconds=ms)
        assert aggregate(table, end=when).taps_in == before
        if before < 3:
            assert aggregate(table, start=when).taps_in == 3 - before


def test_a_period_bounds_times_in_microseconds_too():
    table = log(tap(1, 1, 0), tap(1, 1, 700), tap(1, 1, 1600))
    micros = table["ts"].cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    table = table.set_column(table.schema.get_field_index("ts"), "ts", micros)
    when = datetime.fromtimestamp(NOON_MS / 1000, UTC) + timedelta(seconds=1)
    assert aggregate(table).taps_in == 3
    assert aggregate(table, end=when).taps_in == 2
    assert aggregate(table, start=when).taps_in == 1


def test_arms_beyond_127_stay_apart():
    users = [f"u{i}" for i in range(300)]
    arms = pa.table({"unit_id": users, "variant": [f"v{i:03}" for i in range(300)]})
    taps = log(*(tap(1, 1, 1000 * i, user_id=u) for i, u in enumerate(users)))
    found = aggregate(taps, by="variant", assignments=arms)
    seen = {grid.by[0][1]: grid.taps_in for grid in found.grids}
    assert seen == {f"v{i:03}": 1 for i in range(300)}


READERS = {
    "map": aggregate,
    "elements of a map": lambda t, **k: aggregate(t, mode="elements", **k),
    "distinct users": lambda t, **k: aggregate(t, users=True, **k),
    "elements": elements,
    "first_screen": first_screen,
    "frustration": frustration,
    "suggest_fixed": suggest_fixed,
    "zones": zones,
}
ARMS = pa.table({"unit_id": ["u", "v"], "variant": ["a", "b"]})


@pytest.mark.parametrize("by", ["platform", "day", "variant", ["platform", "day"]])
@pytest.mark.parametrize("name", READERS)
def test_nothing_to_read_is_no_taps_by_anything(name, by):
    about = {"platform": "ios", "element_id": "a", "client_y_px": 1.0}
    table = log(tap(1, 1, scroll_y_px=0.0, **about))
    arms = {"assignments": ARMS} if by == "variant" else {}
    with pytest.raises(DataError) as caught:
        READERS[name](table, page="another", by=by, **arms)
    assert caught.value.code == "no_taps"


@pytest.mark.parametrize("name", ["map", "distinct users", "elements", "first_screen"])
def test_taps_without_page_views_are_read_by_anything(name):
    table = log(tap(1, 1, platform="ios", element_id="a"))
    for by in ("platform", ["platform", "platform"]):
        found = READERS[name](table, by=by).to_dict()
        assert "ios" in json.dumps(found)
    assert READERS[name](table, by="variant", assignments=ARMS).to_dict()


def test_a_breakdown_named_twice_is_one():
    grid = aggregate(log(tap(1, 1, platform="ios")), by=["platform", "platform"]).grid()
    assert grid.by == (("platform", "ios"),)


def test_no_view_by_anything():
    for by in ("platform", "day"):
        with pytest.raises(DataError) as caught:
            scroll(
                log(tap(1, 1, platform="ios", scroll_y_px=0.0)),
                by=by,
                start=date(2027, 1, 1),
            )
        assert caught.value.code == "no_views"


def test_fixed_elements_of_a_first_screen_take_their_place_on_the_screen():
    with pytest.raises(ColumnNotFoundError, match="client_y_px"):
        first_screen(log(tap(1, 2000, element_id="tab")), fixed_elements=["tab"])


def test_a_page_has_an_end_that_cells_can_number():
    taps = log(tap(1, 1), tap(1, 5_000_000, 1000, page_h_px=None))
    found = aggregate(taps, cell_rpx=5, most_rpx=10_000_000)
    assert counted(found) == {"binned": 1, "beyond": 1}
    with pytest.raises(ParameterError, match=r"in 10\.\.10000000") as caught:
        aggregate(taps, most_rpx=10_000_001)
    assert caught.value.code == "bad_page"


@pytest.mark.parametrize("width", [0.01, 0.0624])
def test_a_width_under_a_sixteenth_of_a_pixel_is_none(width):
    thin = tap(0, 1, 500_000, win_w_px=width)
    taps = log(*(tap(1, 1, 2000 * i) for i in range(200)), thin)
    assert counted(aggregate(taps)) == {"binned": 200, "no_position": 1}
    assert first_screen(taps).pages[0].taps == 200
    assert frustration(taps).to_dict()


def _by_place(*places, kind=None):
    rows = (
        tap(1, 1, 1000 * i, element_id=name)
        for i, name in enumerate("ab" * (len(places) // 2))
    )
    column = pa.array(places, kind)
    return aggregate(log(*rows).append_column("element_index", column), mode="elements")


@pytest.mark.parametrize("kind", [pa.int64(), pa.int16(), pa.float64(), pa.float32()])
def test_places_in_a_list_are_whole_numbers_or_none(kind):
    found = _by_place(0, 3, 0, None, kind=kind).elements
    seen = {(e.element_id, e.element_index): e.taps for e in found}
    assert seen == {("a", 0): 2, ("b", 3): 1, ("b", None): 1}


@pytest.mark.parametrize("wrong", [-1, -3, -(2**31), 2**31, 2**40, 0.5, float("inf")])
def test_what_cannot_be_a_place_in_a_list_is_refused(wrong):
    with pytest.raises(DataError, match="of 1 taps is negative") as caught:
        _by_place(2, wrong)
    assert caught.value.code == "bad_element_index"
    with pytest.raises(DataError) as caught:
        _by_place("1", "2")
    assert caught.value.code == "column_type"


def test_a_comparison_takes_no_breakdown():
    with pytest.raises(ParameterError, match="by is") as caught:
        compare(log(tap(1, 1)), assignments=ARMS, by="platform")
    assert caught.value.code == "bad_by"


def test_units_without_an_arm_are_no_crossovers():
    rows = [tap(1, 1, 1000 * i, user_id=u, element_id="a") for i, u in enumerate("uvw")]
    units = {
        "unit_id": ["u", "v", "w", "x", "x"],
        "variant": ["a", "b", None, "a", "b"],
    }
    found = compare(log(*rows), assignments=pa.table(units), rounds=19)
    assert (found.crossovers, found.units_a, found.units_b) == (1, 1, 1)


def test_zones_take_the_fold_of_their_page():
    taps = [tap(i, i, 1000 * i, user_id=f"u{i}") for i in range(60)]
    views = [{"event": "page_view", "user_id": f"u{i}"} for i in range(60)]
    other = {"event": "page_view", "user_id": "u1", "page_path": "q"}
    found = zones(log(*taps, *views, other))
    assert "no_fold" not in codes(found)
    assert found.to_dict() == zones(log(*taps, *views, other), page="p").to_dict()
