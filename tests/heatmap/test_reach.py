import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from growth.errors import ColumnNotFoundError, DataError, ParameterError
from growth.heatmap import Grid, scroll, scroll_from_depths
from growth.heatmap.reach import never_rises
from tests.heatmap.made import log

VECTORS = Path(__file__).resolve().parent.parent / "golden" / "heatmap_posthog.json"


def test_a_peers_cumulative_column_is_our_units_at_least_that_deep():
    (case,) = json.loads(VECTORS.read_text("utf-8"))["cases"]
    # the peer reads positions in sixteens of px, halves to even, buckets of 100 px
    deep = [
        (round(e["y"] / 16) + round(e["viewport_height"] / 16)) * 16 // 100 * 100
        for e in case["events"]
    ]
    page = scroll_from_depths(deep)
    for row in case["expected"]:
        assert deep.count(row["bucket"]) == row["count"]
        assert page.at_least(row["bucket"]) == row["cumulative"]


@given(st.lists(st.floats(0, 50_000), max_size=60))
def test_reach_starts_at_one_and_never_rises(depths):
    page = scroll_from_depths(depths)
    assert page.units == len(depths)
    assert never_rises(page)
    assert page.reach(0) == (1.0 if depths else None)
    for y in (0, 1, 750, 1999.5):
        brute = sum(min(np.floor(d), 40_000) >= y for d in depths)
        assert page.at_least(y) == brute
    if depths:
        low, high = page.interval(750)
        assert low <= page.reach(750) <= high
        assert page.reach(page.median_rpx) >= 0.5


def test_a_view_counts_once_at_its_deepest():
    at = {"event": "scroll"}
    found = scroll(
        log(
            {"event": "page_view", "scroll_y_px": None},
            {**at, "ts": 1000, "scroll_y_px": 333.0},
            {**at, "ts": 2000, "scroll_y_px": 100.0},
            {"event": "app_hide", "ts": 3000, "page_path": None, "scroll_y_px": None},
            {**at, "ts": 4000, "scroll_y_px": 3000.0},  # in no view
            {"event": "page_view", "ts": 5000, "scroll_y_px": None},
            {**at, "ts": 5500, "page_path": "q", "scroll_y_px": 3000.0},
            {"event": "page_view", "ts": 6000, "page_path": "q", "scroll_y_px": None},
            {"event": "page_leave", "ts": 6100, "page_path": "q", "scroll_y_px": 0.0},
            {**at, "ts": 6000 + 1_900_000, "page_path": "q", "scroll_y_px": 3000.0},
            {"event": "page_view", "user_id": "v", "scroll_y_px": None},
        )
    )
    p, q = found.page("p"), found.page("q")
    assert p.units == 3
    assert p.at_least(1335) == 1
    assert p.at_least(2000) == 1
    assert p.at_least(2001) == 0
    assert (q.units, q.at_least(1335)) == (1, 0)
    assert p.fold_rpx == pytest.approx((1334, 1334, 1334))
    assert p.page_rpx == 8000
    by_user = scroll(
        found_log := log(
            {"event": "page_view", "scroll_y_px": 0.0},
            {"event": "page_view", "ts": 9000, "scroll_y_px": 500.0},
        ),
        unit="user",
    )
    assert by_user.page("p").units == 1
    assert by_user.page("p").at_least(2334) == 1
    assert scroll(found_log).page("p").units == 2
    assert json.dumps(found.to_dict(), allow_nan=False)
    assert len(found.summary_rows()) == 2


def test_the_furthest_scroll_of_a_leave_counts():
    rows = [
        {"event": "page_view", "scroll_max_px": None, "scroll_y_px": None},
        {"event": "page_leave", "ts": 9, "scroll_max_px": 833.0, "scroll_y_px": 0.0},
    ]
    assert scroll(log(*rows)).page("p").at_least(3000) == 1


def test_views_that_saw_a_row():
    page = scroll_from_depths([100, 100, 60, 5])
    grid = Grid.of(np.ones((3, 15)), cell_rpx=50)
    assert page.views_at(grid).tolist() == [4, 3, 2]


def test_false_bottoms_are_steep_losses_before_the_end():
    depths = [1500] * 60 + [2600] * 40
    page = scroll_from_depths(depths, page_rpx=2600)
    assert page.false_bottoms() == ((1401, 0.6),)
    assert scroll_from_depths(depths).false_bottoms() == ((1401, 0.6),)
    slow = scroll_from_depths(np.linspace(500, 3000, 400), page_rpx=3000)
    assert slow.false_bottoms() == ()


def test_views_without_a_height_are_counted_apart():
    rows = [
        {"event": "page_view", "scroll_y_px": 0.0, "win_h_px": h} for h in (667.0, None)
    ]
    rows[1]["user_id"] = "v"
    found = scroll(log(*rows))
    assert found.page().units == 1
    assert found.page().without_depth == 1
    assert [n.code for n in found.notices] == ["views_without_height"]


VIEW = {"event": "page_view", "scroll_y_px": 0.0}
SCROLL = {"event": "scroll", "scroll_y_px": 1.0}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: scroll(log(SCROLL)), DataError, "no page_view"),
        (
            lambda: scroll(log({"event": "page_view"})),
            ColumnNotFoundError,
            r"scroll_y_px.*scroll map",
        ),
        (lambda: scroll(log(VIEW), unit="tap"), ParameterError, "unit is 'tap'"),
        (lambda: scroll_from_depths([-1.0]), DataError, "a depth is -1 rpx"),
        (lambda: scroll(log(VIEW)).page("x"), ParameterError, "page is 'x'"),
    ],
)
def test_faults(call, error, message):
    with pytest.raises(error, match=message):
        call()
