"""A tag is a column: the other rooms break down by it, composed in sight."""

import tomllib
from datetime import date, timedelta
from pathlib import Path

import pytest

import growth
from growth import abtest, engine, funnel, heatmap, retention, segments, synth

DAY = date(2026, 2, 28)
START = date(2026, 2, 1)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("by") / "shop"
    synth.sample(folder, seed=5, users=800)
    return growth.open(folder)


@pytest.fixture(scope="module")
def tagged(opened):
    """Return events with the tag of the day before all that is asked about."""
    rules = segments.packs.rules("frequency")
    day = START - timedelta(days=1)
    tags = engine.fetch(segments.tag(opened, rules, as_of=day))
    tags = engine.as_table(tags).rename(segment="frequency", tagged="user_id")
    events = opened.events
    return tags, events.left_join(tags, events.user_id == tags.tagged).drop("tagged")


def test_retention_by_segment_adds_up_to_all(tagged):
    asked = {"start": START, "end": date(2026, 2, 15), "as_of": DAY, "horizon": 7}
    asked |= {"mode": "first_in_range"}
    split = retention.measure(tagged[1], by=["segment"], **asked)
    whole = retention.measure(tagged[1], **asked)
    assert split.users == whole.users
    groups = {row["segment"] for row in split.rows()}
    assert {"dormant", "never"} <= groups


def test_funnel_by_segment_adds_up_to_all(tagged):
    asked = {"start": START, "end": date(2026, 3, 1), "as_of": DAY}
    asked |= {"steps": ["page_view", "add_to_cart", "order_pay"]}
    split = funnel.measure(tagged[1], by=["segment"], **asked)
    whole = funnel.measure(tagged[1], **asked)
    assert split.entered == whole.entered
    assert {row.get("segment") for row in split.rows()} >= {"dormant", "never"}


def test_heatmap_by_segment_adds_up_to_all(tagged):
    scope = {"page": "pages/home/index", "start": START, "end": date(2026, 3, 1)}
    split = heatmap.aggregate(tagged[1], by=["segment"], **scope)
    whole = heatmap.aggregate(tagged[1], **scope)
    values = {dict(grid.by)["segment"] for grid in split.grids}
    assert {"dormant", "never"} <= values
    taps = [sum(grid.taps.sum() for grid in one.grids) for one in (split, whole)]
    assert taps[0] == taps[1]


def test_an_experiment_by_segment_takes_tags_from_before_exposure(opened, tagged):
    path = Path(opened.location) / "experiments" / "home_layout.toml"
    declared = abtest.load_experiment(path)
    assert tomllib.loads(path.read_text("utf-8"))["id"] == declared.id
    units = abtest.unit_table(opened, declared, as_of=DAY)
    table, tags = units.table, tagged[0]
    joined = table.left_join(tags, table.unit_id == tags.tagged).drop("tagged")
    found = abtest.analyze(joined, declared, by=["segment"], as_of=DAY)
    values = {value for one in found.effects for _, value in one.by}
    assert {"dormant", "never"} <= values
