"""The guide's worked example, and what is planted in the sample merchant."""

import re
from pathlib import Path

import numpy as np
import pytest

from growth import charts, heatmap

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "heatmap.md"
CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ITEM, HOME = "pages/item/detail", "pages/home/index"


@pytest.fixture(scope="module")
def names(shop):
    """Return what the guide's code leaves behind, run from top to bottom."""
    data, _ = shop
    found = {}
    text = GUIDE.read_text("utf-8").replace("data/sample", str(data.location))
    for block in CODE.findall(text):
        exec(compile(block, str(GUIDE), "exec"), found)
    return found


def share(value, low, high):
    return f"{value:.1%} ({low:.1%} to {high:.1%})"


def points(item):
    value, low, high = (100 * v for v in (item.difference, item.low, item.high))
    return f"{value:.1f} points ({low:.1f} to {high:.1f}, q {item.q_value:.4f})"


def test_the_worked_example_says_what_the_data_say(names):
    told = GUIDE.read_text("utf-8").partition("## A worked example")[2]
    told = " ".join(told.partition("## See it")[0].split()).replace("−", "-")
    (core,) = names["core"].pages
    (reach,) = names["reach"].pages
    ranks = {i.element_id: i for i in names["ranks"].items}
    hot, dead = ranks["btn_coupon"], ranks["img_badge"]
    (rage,) = names["anger"].of("rage")
    areas, moved = names["areas"], names["moved"]
    zone, f = areas.zones[0], areas.f
    low, mid, high = (core.folds.quantile(p) for p in (0.1, 0.5, 0.9))
    items = {i.item: i for i in moved.items}
    banner, card = items["banner_main"], items["card"]
    shown = [
        f"{share(core.share.rate, core.share.low, core.share.high)} of the taps above",
        f"the verdict is `{core.verdict}`",
        f"{mid:,.0f} rpx for the median view, {low:,.0f} to {high:,.0f} from p10",
        f"half of the views reach {reach.median_rpx:,.0f} rpx",
        f"{reach.reach(reach.page_rpx - 1):.1%} the end of the page",
        f"at {reach.page_rpx:,.0f}.",
        f"`btn_coupon`, tapped by {share(hot.ctr, hot.ctr_low, hot.ctr_high)} of those",
        f"its pull is {hot.pull:.1f}",
        f"`img_badge`, {share(dead.ctr, dead.ctr_low, dead.ctr_high)} of those",
        f"after {dead.impressions:,} impressions",
        f"{rage.events} runs on `{rage.element_id}`, by {rage.users} users",
        f"{rage.user_rate:.1%} of viewers; all of the page's runs",
        f"lie in {len(areas.zones)} zones",
        f"(x {zone.x0_rpx} to {zone.x1_rpx}, y {zone.y0_rpx} to {zone.y1_rpx} rpx)",
        f"with {zone.share.rate:.1%} of them",
        f"F index is {f.value:.2f}",
        f"p {moved.p_value:.4f} over {moved.units_a} and {moved.units_b} viewers",
        f"{banner.rate_a:.1%} of viewers, and {banner.rate_b:.1%} with",
        points(banner),
        points(card),
    ]
    assert [line for line in shown if line not in told] == []
    (total,) = names["anger"].of("rage", total=True)
    assert total.events == rage.events  # all of the page's runs
    assert ranks["img_badge"].dead
    assert names["arrived"].verdict == "heatmap.payload.some"


# -- what is planted ------------------------------------------------------------------


def test_the_hot_button_lies_where_it_is_planted(shop, names):
    _, truth = shop
    planted = truth["pages"][ITEM]
    left, top, width, height = planted["elements"][planted["hot"]]["box_rpx"]
    grid = names["taps"].grid()
    row, col = np.unravel_index(np.argmax(grid.smoothed()), grid.taps.shape)
    assert left <= 10 * col + 5 <= left + width
    assert top <= 10 * row + 5 <= top + height
    items = [i for i in names["ranks"].items if i.pull is not None]
    assert items[0].element_id == planted["hot"]
    inside = grid.taps[80:88, 52:72].sum()  # its box, in cells of 10 rpx
    named = next(i.taps for i in items if i.element_id == planted["hot"])
    assert inside == pytest.approx(named, rel=0.05)  # phones of 97 %, stray taps


def test_the_dead_element_and_the_rage_spot_are_found_and_no_other(shop, names):
    _, truth = shop
    planted = truth["pages"][ITEM]
    assert [i.element_id for i in names["ranks"].dead] == [planted["dead"]]
    (rage,) = names["anger"].of("rage")
    assert rage.element_id == planted["rage"]
    box = planted["elements"][planted["rage"]]["box_rpx"]
    assert box[0] <= rage.x_rpx <= box[0] + box[2]
    assert box[1] <= rage.y_rpx <= box[1] + box[3]
    low, high = planted["rage_taps"]
    assert low <= rage.taps / rage.events <= high
    rate = planted["elements"][planted["rage"]]["tap_rate_per_view"]
    assert rage.events == pytest.approx(rate * rage.views, rel=0.35)


@pytest.mark.parametrize("kind", ["elements", "cells"])
def test_the_planted_difference_is_flagged_and_the_sound_a_a_is_not(shop, kind):
    data, truth = shop
    asked = {"page": HOME, "assignments": data.assignments, "kind": kind}
    moved = heatmap.compare(data.events, exp_id="home_layout", **asked)
    assert moved.verdict == "heatmap.compare.moved"
    shift = truth["pages"][HOME]["shift"]["banner_main"]
    assert shift[moved.arm_b] < shift[moved.arm_a]
    sound = heatmap.compare(data.events, exp_id="aa_check", **asked)
    assert sound.verdict == "heatmap.compare.not_shown"
    if kind == "elements":
        strongest = max(moved.found, key=lambda i: abs(i.difference))
        assert strongest.item == "banner_main"
        assert strongest.difference < 0
        assert sound.found == ()
        return
    # cells only say "position": the new layout moves the cards below the banner
    assert moved.found
    assert min(i.row for i in moved.found) >= 700 // 50
    assert sound.found == ()


def test_what_stays_put_while_the_page_scrolls_is_named(shop):
    data, truth = shop
    for page in (HOME, ITEM):
        planted = truth["pages"][page]["elements"]
        fixed = {name for name, e in planted.items() if e["fixed"]}
        assert set(heatmap.suggest_fixed(data.events, page=page)) == fixed
    assert heatmap.suggest_fixed(data.events, page=ITEM, least_users=9_999) == ()


def test_exports_and_pictures_of_the_example_are_whole(names):
    text = charts.heatmap.cells_csv(names["taps"].grid())
    assert text.startswith("col,row,x0_rpx")
    picture = charts.heatmap.difference_png(names["by_cell"])
    assert len(picture.png) < 5_000
