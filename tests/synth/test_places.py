import csv
from pathlib import Path

import numpy as np
import pytest

from growth.synth import people, places

REFERENCE = Path(__file__).resolve().parents[2] / "data" / "reference"


@pytest.fixture(scope="module")
def listed():
    with (REFERENCE / "wechat_scenes.csv").open(encoding="utf-8") as file:
        return {int(row["scene"]): row for row in csv.DictReader(file)}


@pytest.mark.parametrize("scene", places.SCENES, ids=lambda s: str(s.scene))
def test_scenes_are_those_of_the_reference(listed, scene):
    row = listed[scene.scene]
    assert row["entry_group"] == scene.group
    assert int(row["datacube_key"]) == scene.key
    assert row["published"] == "1"
    assert not row["excluded_as"]


def test_single_page_key_is_that_of_scene_1154(listed):
    assert int(listed[1154]["datacube_key"]) == places.SINGLE_PAGE_KEY


def test_click_prices_are_those_of_the_reference():
    from growth.synth.official import CLICK_FEN, PAID_CHANNELS

    with (REFERENCE / "channel_costs.csv").open(encoding="utf-8") as file:
        price = {
            r["channel"]: int(r["cost_per_click_fen"]) for r in csv.DictReader(file)
        }
    assert dict(zip(PAID_CHANNELS, CLICK_FEN, strict=True)) == price


def test_scenes_are_drawn_with_the_planted_shares():
    rng = np.random.default_rng(1)
    n = 40_000
    drawn = places.draw_scene(rng, np.zeros(n, bool), np.zeros(n, int))
    groups = np.array([s.group for s in places.SCENES])[drawn]
    for group, share in places.LATER_ENTRY.items():
        assert abs((groups == group).mean() - share) < 4 * np.sqrt(share / n)
    paid = people.CHANNELS.index("moments_ads")
    drawn = places.draw_scene(rng, np.ones(500, bool), np.full(500, paid))
    assert {places.SCENES[j].group for j in drawn} == {"ads"}


def test_shares_add_up_to_one():
    for shares in (places.LATER_ENTRY, *places.FIRST_ENTRY.values()):
        assert sum(shares.values()) == pytest.approx(1)
    for shares in (
        people.KIND_SHARES,
        people.REGION_SHARES,
        people.LEVEL_SHARES,
        people.CHANNEL_SHARES,
        *people.AGE_BY_LEVEL,
    ):
        assert sum(shares) == pytest.approx(1)
