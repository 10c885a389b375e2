import time
import types
from datetime import date

import pytest

from growth import heatmap
from growth.panels import heatmap as maps

DAY = date(2026, 3, 1)
HOME, ITEM = "pages/home/index", "pages/item/detail"


@pytest.fixture(scope="module")
def panel(dataset):
    return maps.explorer(dataset, as_of=DAY)


@pytest.fixture
def made(panel):
    """Return the panel with every control as it began."""
    begun = {"page": ITEM, "device": "phone", "arm": None, "layer": "taps"}
    for name, value in (begun | {"sigma": 20, "core": maps.CORE}).items():
        panel.controls[name].value = value
    return panel


def test_the_fullest_page_is_shown_first_with_its_key_and_cells(dataset, made):
    pages = made.controls["page"].options
    assert [name for _, name in pages] == [HOME, ITEM]
    assert pages[0][0].startswith(f"{HOME} · ")
    html = made.picture.value
    assert "data:image/png;base64," in html
    assert "image-rendering:pixelated" in html
    assert "taps, per cell of 10 rpx; phones" in html
    assert "The fullest cells as a table" in html
    assert "<script" not in html
    same = heatmap.first_screen(
        dataset.events,
        page=ITEM,
        start=date(2026, 2, 2),
        end=date(2026, 3, 2),
        fixed_elements=("btn_add_cart",),
    )
    assert made.result.pages == same.pages


@pytest.mark.parametrize("layer", maps.LAYERS)
def test_every_layer_is_drawn_anew(made, layer):
    made.controls["layer"].value = "taps"
    before = made.picture.value
    made.controls["layer"].value = layer
    assert made.status.view.value == ""
    assert (made.picture.value == before) == (layer == "taps")
    assert "data:image/png" in made.picture.value


def test_smoothing_reads_nothing_anew_and_is_quick(made, monkeypatch):
    def refuse(*_args, **_kwargs):
        pytest.fail("the table was read again")

    result = made.result
    for verb in ("aggregate", "first_screen", "scroll", "suggest_fixed"):
        never = types.FunctionType(refuse.__code__, globals(), verb)
        monkeypatch.setattr(heatmap, verb, never)
    spent = []
    for sigma in (0, 10, 40, 0, 10, 40):
        begun = time.perf_counter()
        made.controls["sigma"].value = sigma
        spent.append(time.perf_counter() - begun)
        assert f"smoothed over {sigma} rpx" in made.picture.value
    assert made.result is result
    assert min(spent) < 0.5  # a tenth of a second on a quiet machine


def test_an_arm_is_mapped_by_itself(made):
    arms = [value for _, value in made.controls["arm"].options]
    assert arms[0] is None
    assert ("home_layout", "waterfall") in arms
    made.controls["page"].value = HOME
    everybody = made.picture.value
    made.controls["arm"].value = ("home_layout", "waterfall")
    assert made.status.view.value == ""
    assert made.picture.value != everybody
    named = {dict(p.by)["variant"] for p in made.result.pages}
    assert named >= {"list", "waterfall"}
    assert "experiment_id=home_layout" in made.hand.value


def test_the_core_can_be_moved_and_a_wrong_one_leaves_what_was_shown(made):
    before = made.result
    made.controls["core"].value = "0, 0h, 750, 1h"
    assert made.result.pages[0].share.rate == 1.0
    shown = made.picture.value
    made.controls["core"].value = "700, 0h, 10, 1h"
    assert "left &lt; right" in made.status.view.value
    assert made.picture.value == shown
    made.controls["core"].value = maps.CORE
    assert made.result is before


def test_devices_that_nobody_has_are_an_empty_map(made):
    made.controls["device"].value = "wide"
    assert made.status.view.value == ""
    assert "landscape and desktop" in made.picture.value


def test_the_readout_that_asks_the_same_is_written_below(made):
    said = made.hand.value
    assert "growth readout run heatmap_readout" in said
    assert f"page={ITEM}" in said
    assert "fixed_elements=btn_add_cart" in said
    assert "[[readout]]" in said


def test_it_speaks_chinese(dataset):
    made = maps.explorer(dataset, as_of=DAY, lang="zh")
    assert made.controls["layer"].description == "图层"
    assert "每格 10 rpx" in made.picture.value
    assert "smoothed" not in made.picture.value
