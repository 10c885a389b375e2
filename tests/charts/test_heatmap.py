import csv
import io
import json

import numpy as np
import pytest

from growth import charts
from growth.charts.heatmap import (
    cells_csv,
    core_chart,
    difference_png,
    elements_chart,
    grid_json,
    legend_svg,
    map_png,
    map_svg,
    overlay_png,
    panels_png,
    scroll_chart,
)
from growth.charts.png import read_png, rgb_png
from growth.errors import ParameterError
from growth.heatmap import (
    CellUsers,
    Elements,
    FirstScreen,
    Folds,
    Grid,
    ScrollReach,
    compare_from_counts,
    first_screen_from_counts,
    scroll_from_depths,
    shared_cells,
)
from growth.heatmap.ranking import ranked

FOLDS = Folds.of([900, 950, 1000, 1050, 1100])


def grid(seed=1, rows=120, **about):
    rng = np.random.default_rng(seed)
    taps = rng.poisson(0.2, (rows, 75))
    taps[10:20, 30:50] += 9
    users = np.minimum(taps, 7)
    return Grid.of(taps, users=users, page="p", **about)


def comparison():
    counts = {"3,4": (20, 90), "5,6": (90, 30), "9,9": (50, 52), "1,1": (3, 2)}
    return compare_from_counts(counts, (500, 500), kind="cells", cell_rpx=50, page="p")


def test_a_map_is_a_pixel_a_cell_hot_where_taps_are():
    picture = map_png(grid(), folds=FOLDS)
    pixels = read_png(picture.png).astype(int)
    assert pixels.shape == (120, 75, 3)
    light = pixels.sum(axis=2)
    assert light[15, 40] > light[60, 40] + 200
    assert (pixels[100, :] == 255).all()  # the median fold, 1,000 rpx
    dotted = (pixels[90, :] == 255).all(axis=1)
    assert dotted.sum() == 25
    assert len(picture.png) < 6_000
    assert picture.alt == f"Map of {int(grid().taps.sum()):,} taps on p"
    assert map_png(grid(), folds=FOLDS).png == picture.png
    assert picture._repr_png_() == picture.png


def test_panels_share_one_scale_and_end_with_the_difference():
    pale = Grid.of(grid().taps // 3, page="p")
    picture = panels_png([grid(), pale], difference=comparison(), folds=FOLDS)
    pixels = read_png(picture.png).astype(int)
    assert pixels.shape[1] == 3 * 75 + 2 * 6
    assert picture.top == grid().smoothed().max()
    assert pixels[15, 40].sum() > pixels[15, 40 + 81].sum()
    blue, orange = pixels[32, 162 + 27], pixels[22, 162 + 17]
    assert blue[2] > blue[0]
    assert orange[0] > orange[2]
    assert len(set(pixels[47, 162 + 47])) <= 3  # no difference: no colour
    assert panels_png([grid()], room=3).png != panels_png([grid()]).png
    with pytest.raises(ParameterError, match=r"cells of .10, 50. rpx"):
        panels_png([grid(), grid().coarsen(5)])
    with pytest.raises(ParameterError, match="scale is 'log'"):
        map_png(grid(), scale="log")


def test_a_difference_map_colours_only_what_is_sure():
    picture = difference_png(comparison(), folds=FOLDS)
    pixels = read_png(picture.png).astype(int)
    assert picture.top == pytest.approx(0.14)
    assert pixels[4, 3, 0] > pixels[4, 3, 2]
    assert pixels[6, 5, 2] > pixels[6, 5, 0]
    assert "2 cells differ" in picture.alt
    by_element = compare_from_counts({"a": (50, 90)}, (500, 500))
    with pytest.raises(ParameterError, match="kind='cells'") as info:
        difference_png(by_element)
    assert info.value.code == "not_by_cells"


def screenshot(width=375, height=600):
    return rgb_png(np.full((height, width, 3), 240, np.uint8))


def test_an_overlay_lies_where_the_taps_are_on_any_width():
    for width in (375, 750):
        shot = screenshot(width, width * 16 // 10)
        seen = overlay_png(grid(), shot, screenshot_reviewed=True, folds=FOLDS)
        pixels = read_png(seen.png).astype(int)
        assert pixels.shape == (width * 16 // 10, width, 3)
        scale = width / 750
        hot = pixels[round(150 * scale), round(400 * scale)]
        assert hot[0] > 200 > hot[2]  # cividis' yellow
        assert abs(pixels[round(700 * scale), 20] - 240).max() < 80  # a veil
        fold = pixels[round(1000 * scale) + 1, 100]
        assert fold.tolist() == [179, 64, 13]
    moved = overlay_png(grid(), shot, screenshot_reviewed=True, offset_rpx=100)
    again = read_png(moved.png).astype(int)[50, 400]
    assert again[0] > 200 > again[2]


def test_a_mask_covers_and_a_wrong_height_is_told():
    empty = Grid.of(np.zeros((1, 75)), page="p")
    box = [{"left": 0, "top": 0, "width": 100, "height": 100}]
    seen = overlay_png(
        empty, screenshot(), screenshot_reviewed=True, mask=box, page_h_rpx=3000
    )
    pixels = read_png(seen.png)
    assert (pixels[:50, :50] == 128).all()
    assert (pixels[60:, 60:] == 240).all()
    assert [n.code for n in seen.notices] == ["screenshot_height"]
    assert "1,200 rpx high, the page 3,000" in seen.notices[0].words("en")
    near = overlay_png(empty, screenshot(), screenshot_reviewed=True, page_h_rpx=1230)
    assert near.notices == ()


@pytest.mark.parametrize(
    ("shot", "kwargs", "code", "message"),
    [
        (b"x", {"screenshot_reviewed": False}, "screenshot_not_reviewed", "names and"),
        (b"x", {}, "bad_screenshot", "no PNG"),
        ("/no/such/file.png", {}, "bad_screenshot", "no file"),
        (None, {"mask": [{"left": 1}]}, "bad_mask", "left, top, width"),
        (None, {"scale": "x"}, "unknown_scale", "scale is 'x'"),
        (None, {"sigma_rpx": -1}, "bad_sigma", "sigma is -0.1"),
    ],
)
def test_faults_of_an_overlay(shot, kwargs, code, message):
    shot = screenshot() if shot is None else shot
    with pytest.raises(ParameterError, match=message) as info:
        overlay_png(grid(), shot, **{"screenshot_reviewed": True, **kwargs})
    assert info.value.code == code


def test_an_svg_merges_neighbours_and_stays_small():
    svg = map_svg(grid(rows=1000))
    assert svg.startswith("<svg")
    assert "<script" not in svg
    assert len(svg) < 2_000_000
    flat = map_svg(Grid.of(np.ones((50, 75))), sigma_rpx=0)
    assert flat.count("h750") == 50  # one rectangle a row


def test_the_legend_has_its_numbers_and_escapes_its_words():
    key = legend_svg(80, words="<b>", difference=0.069, lang="zh")
    assert "&lt;b&gt;" in key
    assert ">20<" in key  # the middle of a square-root scale
    assert "+6.9 个百分点" in key
    assert "平方根刻度" in key
    assert ">40<" in legend_svg(80, words="", scale="linear")


# -- what may leave --------------------------------------------------------------------


def test_thin_cells_are_pooled_or_hidden():
    thick = np.repeat([[0]], 9, axis=0).ravel()
    cell = np.r_[thick, [1, 2, 76, 77, 80 * 75, 80 * 75 + 1, 81 * 75]]
    user = np.r_[np.arange(9), 11, 12, 13, 14, 1, 2, 3]
    pairs = CellUsers.of(cell, user, page="p")
    shared = shared_cells(pairs)
    told = {(c["col"], c["row"]): c for c in shared.cells}
    assert told[0, 0]["users"] == 9
    assert not any(c["pooled"] for c in shared.cells)  # 4 and 3 users: too few
    assert shared.hidden_cells == 7
    more = CellUsers.of(np.r_[cell, 78], np.r_[user, 15])
    shared = shared_cells(more)
    (pool,) = [c for c in shared.cells if c["pooled"]]
    assert (pool["taps"], pool["users"], pool["x1_rpx"], pool["y1_rpx"]) == (
        5,
        5,
        50,
        50,
    )
    assert shared.hidden_cells == 3
    assert shared.drawn.taps.sum() == 9 + 5
    assert shared.grid.taps.sum() == 9


def test_no_lone_cell_is_hidden_beside_told_ones():
    taps = np.zeros((1, 75), int)
    taps[0, :3] = 9, 8, 2
    shared = shared_cells(Grid.of(taps, users=np.minimum(taps, 8)))
    assert [c["taps"] for c in shared.cells] == [9]
    assert shared.hidden_cells == 2
    with pytest.raises(ParameterError, match="min_users is 0"):
        shared_cells(Grid.of(taps, users=taps), min_users=0)
    with pytest.raises(ParameterError, match="users=True"):
        shared_cells(Grid.of(taps))


def test_exports_tell_no_thin_cell_and_no_user():
    rows = list(csv.DictReader(io.StringIO(cells_csv(grid()))))
    assert list(rows[0]) == [
        "col",
        "row",
        "x0_rpx",
        "x1_rpx",
        "y0_rpx",
        "y1_rpx",
        "taps",
        "users",
    ]
    assert min(int(r["users"]) for r in rows) >= 5
    back = Grid.from_dict(json.loads(grid_json(grid())))
    assert back.taps.sum() == sum(int(r["taps"]) for r in rows)
    assert "user_id" not in grid_json(grid())


# -- charts ----------------------------------------------------------------------------


def results():
    reach = ScrollReach(
        unit="view",
        pages=(
            scroll_from_depths(
                np.linspace(900, 3000, 200), page="p", folds=(900.0, 1000.0, 1100.0)
            ),
        ),
    )
    items = tuple(
        ranked("p", f"e{i}", taps=u, users=u, saw=500, page_taps=900, impressions=500)
        for i, u in enumerate((400, 90, 0))
    )
    core = first_screen_from_counts([1] * 40, [2] * 40, page="p", folds=FOLDS)
    return (
        reach,
        Elements(alpha=0.05, items=items),
        FirstScreen(target=0.6, alpha=0.05, pages=(core,)),
    )


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_charts_are_safe_svg_with_words_for_who_cannot_see_them(lang):
    reach, ranks, first = results()
    drawn = {
        "scroll": scroll_chart(reach, lang=lang),
        "elements": elements_chart(ranks, lang=lang),
        "core": core_chart(first, lang=lang),
    }
    for name, chart in drawn.items():
        svg = charts.to_svg(chart)
        assert "<script" not in svg
        assert "<desc>" in svg
        assert len(svg) < 40_000, name
    assert ("浏览占比" in charts.to_svg(drawn["scroll"])) == (lang == "zh")
    assert "e2 0.0%" in drawn["elements"].to_dict()["description"]


def test_the_scroll_chart_names_its_page():
    with pytest.raises(ParameterError, match="page is 'x'"):
        scroll_chart(results()[0], "x")
