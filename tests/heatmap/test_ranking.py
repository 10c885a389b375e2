import json

import numpy as np
import pytest

from growth.errors import ColumnNotFoundError, ParameterError
from growth.heatmap import Box, elements
from growth.heatmap.ranking import pull_intervals, ranked
from tests.heatmap.made import codes, log, tap


def test_the_surest_leads_not_one_of_one():
    rows = [{"event": "page_view", "user_id": f"u{i}"} for i in range(60)]
    rows += [
        {"event": "impression", "user_id": f"u{i}", "ts": 5, "element_id": "buy"}
        for i in range(50)
    ]
    rows += [tap(9, 9, 10, user_id=f"u{i}", element_id="buy") for i in range(40)]
    rows += [tap(9, 9, 5000, user_id="u0", element_id="buy")]
    rows += [{"event": "impression", "user_id": "u0", "element_id": "rare"}]
    rows += [tap(50, 2000, 9000, user_id="u0", element_id="rare")]
    found = elements(log(*rows))
    buy, rare = found.items
    assert (buy.element_id, buy.taps, buy.users, buy.saw) == ("buy", 41, 40, 50)
    assert buy.ctr == 0.8
    assert (rare.ctr, rare.saw) == (1.0, 1)
    assert buy.tap_rate == pytest.approx(41 / 42)
    assert buy.pull == pytest.approx((41 / 42) / (50 / 51))
    assert buy.pull_low <= buy.pull <= buy.pull_high
    assert (buy.x_rpx, buy.y_rpx) == (18, 18)
    assert (buy.above_fold_rate, rare.above_fold_rate) == (1.0, 0.0)
    assert found.verdict == "heatmap.elements.ranked"
    assert json.dumps(found.to_dict(), allow_nan=False)
    assert elements(log(*rows), seed=0).rows() == found.rows()


def test_wilson_of_the_ctr_against_statsmodels():
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    one = ranked("p", "e", taps=9, users=7, saw=90, page_taps=20)
    want = proportion.proportion_confint(7, 90, method="wilson")
    assert (one.ctr_low, one.ctr_high) == pytest.approx(want)


@pytest.mark.parametrize(
    ("users", "saw", "dead"),
    [(0, 199, False), (0, 200, True), (3, 1000, True), (15, 1000, False)],
)
def test_dead_is_seen_often_and_hardly_ever_tapped(users, saw, dead):
    one = ranked(
        "p", "e", taps=users, users=users, saw=saw, page_taps=10, impressions=saw
    )
    assert one.dead is dead


def test_without_impressions_all_viewers_might_have_seen_it():
    rows = [{"event": "page_view", "user_id": f"u{i}"} for i in range(8)]
    rows += [tap(9, 9, 10, user_id="u1", element_id="buy")]
    found = elements(log(*rows))
    assert codes(found) == ["no_impressions"]
    assert found.items[0].saw == 8
    assert found.items[0].pull is None
    assert codes(elements(log(rows[-1]))) == ["no_page_views", "no_impressions"]


def test_elements_need_no_position():
    rows = [{"element_id": "a", "ts": i, "user_id": f"u{i}"} for i in range(3)]
    found = elements(
        log(*rows).select(["user_id", "ts", "event", "page_path", "element_id"])
    )
    assert (found.items[0].taps, found.items[0].x_rpx) == (3, None)


def test_boxes_turn_positions_into_elements():
    boxes = [Box("card", 0, 0, 750, 400), Box("buy", 300, 100, 30, 100)]
    rows = [tap(155, 75, 0), tap(10, 10, 2000), tap(10, 3000, 5000)]
    found = elements(log(*rows), boxes=boxes)
    assert {i.element_id: i.taps for i in found.items} == {
        "buy": 1,
        "card": 1,
        "blank": 1,
    }
    assert {i.element_id: i.small for i in found.items}["buy"]
    two = log(*rows, tap(9, 9, 0, page_path="q"))
    with pytest.raises(ParameterError, match="boxes are of one page, but 2") as info:
        elements(two, boxes=boxes)
    assert info.value.code == "bad_boxes"
    keyed = elements(two, boxes={"p": boxes, "q": [Box("x", 0, 0, 50, 50)]})
    assert {(i.page, i.element_id) for i in keyed.items} >= {("q", "x"), ("p", "card")}


def test_pull_is_steady_under_a_seed_and_none_where_never_shown():
    pairs = (np.array([0, 1], np.int32), np.array([0, 1], np.int32), np.array([3, 1]))
    shown = (np.array([0], np.int32), np.array([0], np.int32), np.array([2]))
    one, two = (pull_intervals(pairs, shown, 2, seed=3) for _ in range(2))
    assert one == two
    assert one[0][0] == 0.75
    assert one[1] == (None, None)


def test_a_missing_column_says_what_it_unlocks():
    with pytest.raises(ColumnNotFoundError, match=r"element_id.*unlock elements"):
        elements(log(tap(1, 1)))
