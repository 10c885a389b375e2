"""The tables of the segments page."""

import re
from dataclasses import replace

from growth import segments
from growth.readout import segments as room


def test_no_small_group_is_on_the_page(opened, params, found):
    for result in found.everything():
        for row in result.rows():
            users = row.get("users")
            if users is None:
                continue
            crossed = "before" in row or "segments" in row
            assert users == 0 or users >= (10 if crossed else 50), row
    assert found.movement.hidden
    assert "are hidden" in room.checks(opened, found, params).html
    assert "are hidden" in room.moves_table(found).html


def test_overlaps_are_told_against_the_segment_looked_into(found, params):
    names = ["frequency=dormant", "order_value=high_net_worth"]
    counts = {0: 500, 1: 300, 2: 150, 3: 50}
    known = segments.overlap_from_masks(counts, segments=names, k=10, min_size=50)
    html = room.overlap_note(replace(found, overlap=known), params, lang="en").html
    assert "14.3%" in html  # 50 of 350
    assert "0.71" in html  # 50 where chance gives 350 x 200 / 1000
    assert "0.10" in html  # 50 of 500 in either
    few = segments.overlap_from_masks(counts | {3: 5}, segments=names, k=10)
    html = room.overlap_note(replace(found, overlap=few), params, lang="en").html
    assert "Small intersections are hidden" in html
    assert "<table" not in html


def test_changes_have_as_many_decimals_as_shares(found, params):
    html = room.sizes_table(found, params, lang="en").html
    changes = re.findall(r"([−+]?[\d.]+)\u00a0?\s?pp", html)
    assert len(changes) > 5
    assert all(re.fullmatch(r"[−+]?\d+\.\d", one) for one in changes)


def test_how_stable_values_are_is_told_three_ways(found):
    counts = {
        ("dormant", "dormant"): 800,
        ("dormant", "active"): 100,
        ("active", "active"): 100,
    }
    moved = segments.movement_from_counts(counts, tag="frequency")
    html = room.moves_table(replace(found, movement=moved), lang="en").html
    assert "90.0% kept their value" in html
    assert "kappa 0.62, PSI 0.08" in html
