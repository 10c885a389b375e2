from datetime import date

import pytest

import growth
from growth import segments, synth
from growth.panels import segments as rules

DAY = date(2026, 2, 28)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("panels") / "shop"
    synth.sample(folder, seed=5, users=800)
    return growth.open(folder)


@pytest.fixture(scope="module")
def panel(dataset):
    return rules.builder(dataset, as_of=DAY)


def test_the_sizes_are_those_of_the_verb_and_follow_the_text(panel, dataset):
    before = panel.result
    told = segments.packs.rules("frequency", frequent_orders=2)
    tagged = segments.tag(dataset, told, as_of=DAY)
    text = segments.packs.load("frequency", frequent_orders=2)
    panel.controls["text"].value = text
    assert panel.result != before
    plain = {c.value: c.users for c in segments.sizes(tagged, "frequency").cells}
    for cell in panel.result.cells:
        assert cell.users in (None, plain[cell.value])
    assert "rules=tags.toml" in panel.hand.value
    assert "<script" not in panel.picture.value


def test_no_group_below_the_least_size_is_ever_shown(panel):
    panel.controls["text"].value = segments.packs.load("frequency", frequent_orders=6)
    assert panel.controls["min_size"].min == 50
    users = [cell.users for cell in panel.result.cells]
    assert None in users
    assert all(n is None or n == 0 or n >= 50 for n in users)


def test_another_pack_is_another_text(panel):
    panel.controls["pack"].value = "behaviour"
    assert "[tag.behaviour]" in panel.controls["text"].value
    assert panel.result.tag == "behaviour"
    assert "packs=behaviour" in panel.hand.value


def test_a_text_that_is_wrong_is_told_and_what_was_shown_stays(panel):
    shown, result = panel.picture.value, panel.result
    panel.controls["text"].value = (
        segments.packs.load("rfm").replace("rfm_", "fmr_") + "x"
    )
    assert panel.status.view.value
    assert panel.picture.value == shown
    assert panel.result is result
