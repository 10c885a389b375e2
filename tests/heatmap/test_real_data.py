"""MiniWoB: people clicking through 58 small pages, with the box of each element hit.

Numbers: MANIFEST.md of the data's folder, and counts by hand.
"""

import csv
import gzip
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from growth import heatmap
from growth.heatmap.geometry import Box, hit

pytestmark = pytest.mark.real_data

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def clicks(real_data):
    with gzip.open(real_data("miniwob_clicks.csv.gz"), "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def table(clicks):
    def floats(name):
        return pa.array([float(c[name]) for c in clicks], pa.float32())

    n = len(clicks)
    who = [f"{c['task']}/{c['batch']}/{c['assignment']}/{c['demo']}" for c in clicks]
    when = [START + timedelta(milliseconds=int(c["t_ms"])) for c in clicks]
    return pa.table(
        {
            "user_id": who,
            "ts": pa.array(when, pa.timestamp("ms", "UTC")),
            "event_id": [int(c["seq"]) for c in clicks],
            "page_path": [c["task"] for c in clicks],
            "phase": ["capture"] * n,
            "x_px": floats("x"),
            "y_px": floats("y"),
            "win_w_px": pa.array([160.0] * n, pa.float32()),
            "win_h_px": pa.array([210.0] * n, pa.float32()),
            "page_h_px": pa.array([209.0] * n, pa.float32()),
        }
    )


def test_clicks_off_the_canvas_and_echoes_are_counted_apart(table):
    found = heatmap.aggregate(table)
    assert found.taps_in == 67_880
    assert found.counted["off_page"] == sum(found.off_side.values()) == 53
    assert found.counted["echo"] == 5_995
    assert found.counted["duplicate"] == 0  # one phase only
    assert found.counted["binned"] == 61_832
    assert sum(int((g.taps > 0).sum()) for g in found.grids) == 15_727
    with_echoes = heatmap.aggregate(table, echo_ms=0)
    assert sum(int((g.taps > 0).sum()) for g in with_echoes.grids) == 15_727
    assert with_echoes.counted["binned"] == 67_827


def box(click):
    names = ("target_left", "target_top", "target_w", "target_h")
    return [float(click[name]) for name in names]


def test_each_click_on_the_canvas_lies_in_its_own_box(clicks):
    inside = 0
    for c in clicks:
        x, y = float(c["x"]), float(c["y"])
        if 0 <= x <= 160 and 0 <= y <= 210:
            left, top, width, height = box(c)
            inside += left <= x <= left + width and top <= y <= top + height
    assert inside == 67_827


@pytest.mark.parametrize(
    ("task", "wanted"),
    [("choose-date-nodelay", 1_281), ("click-checkboxes-large", 1_716)],
)
def test_clicks_on_the_submit_button_are_those_in_its_box(clicks, task, wanted):
    mine = [c for c in clicks if c["task"] == task]
    named = [c for c in mine if c["target_id"] == "subbtn"]
    assert len(named) == wanted
    scale = 750 / 160
    # where the button stands still, our boxes find the same clicks
    places = {tuple(box(c)) for c in named}
    boxes = [Box("subbtn", *(v * scale for v in place)) for place in sorted(places)]
    x = np.array([float(c["x"]) for c in mine]) * scale
    y = np.array([float(c["y"]) for c in mine]) * scale
    brute = 0
    for px, py in zip(x, y, strict=True):
        brute += any(
            b.left <= px <= b.left + b.width and b.top <= py <= b.top + b.height
            for b in boxes
        )
    assert int((hit(x, y, boxes) >= 0).sum()) == brute >= wanted


def rage(table, echo_ms):
    found = heatmap.frustration(table, echo_ms=echo_ms)
    totals = found.of("rage", total=True)
    return sum(s.events for s in totals), sum(s.taps for s in totals)


def test_echoes_make_rage_and_are_left_out_of_it(table):
    assert rage(table, 0) == (1_778, 11_547)
    assert rage(table, 100) == (1_574, 10_669)


@pytest.mark.parametrize("task", ["choose-date-nodelay", "email-inbox", "social-media"])
def test_taps_by_element_are_a_brute_force_count_of_our_boxes(clicks, table, task):
    mine = [c for c in clicks if c["task"] == task]
    scale = 750 / 160  # 4.6875: exact in binary
    places = sorted({tuple(box(c)) for c in mine if c["target_id"]})[:60]
    assert len(places) > 3
    boxes = [
        Box(f"e{i}", *(v * scale for v in place)) for i, place in enumerate(places)
    ]
    taps = table.append_column("event", pa.array(["tap"] * len(table)))
    found = heatmap.elements(taps, page=task, boxes=boxes, echo_ms=0)
    brute = {}
    for c in mine:
        x = float(np.float32(float(c["x"]))) * scale
        y = float(np.float32(float(c["y"]))) * scale
        around = [
            (b.width * b.height, i)
            for i, b in enumerate(boxes)
            if b.left <= x <= b.left + b.width and b.top <= y <= b.top + b.height
        ]
        name = f"e{min(around)[1]}" if around else "blank"
        brute[name] = brute.get(name, 0) + 1
    counted = {i.element_id: i.taps for i in found.items if i.taps}
    assert counted == brute
    assert sum(counted.values()) == len(mine)
