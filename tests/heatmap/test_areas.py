import json

import numpy as np
import pytest

from growth.errors import DataError, ParameterError
from growth.heatmap import Box, CellUsers, f_index, zones, zones_from_pairs
from tests.heatmap.made import codes, log, tap


def spots(seed, *places, users=80):
    """Return pairs around places (x, y, taps) of a 10 rpx grid."""
    rng = np.random.default_rng(seed)
    cell, user = [], []
    for x, y, n in places:
        col = np.clip(rng.normal(x, 15, n) // 10, 0, 74).astype(int)
        row = np.clip(rng.normal(y, 15, n) // 10, 0, None).astype(int)
        cell += (row * 75 + col).tolist()
        user += rng.integers(0, users, n).tolist()
    return CellUsers.of(cell, user)


def test_zones_are_where_half_of_the_taps_are():
    pairs = spots(1, (200, 300, 600), (600, 900, 300), (400, 1500, 60))
    boxes = [Box("hot", 150, 250, 100, 100), Box("cool", 550, 850, 100, 100)]
    found = zones_from_pairs(pairs, boxes=boxes)
    first = found.zones[0]
    assert first.x0_rpx < 200 < first.x1_rpx
    assert first.y0_rpx < 300 < first.y1_rpx
    assert first.element_id == "hot"
    assert found.verdict == "heatmap.zones.stable"
    held = sum(z.taps for z in found.zones)
    assert 480 <= held < 800  # half of the smoothed map is more of the sharp one
    assert first.share.low < first.share.rate < first.share.high
    assert zones_from_pairs(pairs, boxes=boxes).rows() == found.rows()
    assert json.dumps(found.to_dict(), allow_nan=False)


def test_scattered_taps_are_no_steady_zone():
    rng = np.random.default_rng(3)
    pairs = CellUsers.of(rng.integers(0, 75 * 300, 60), rng.integers(0, 20, 60))
    assert zones_from_pairs(pairs).verdict == "heatmap.zones.unstable"


def test_the_f_and_its_mirror():
    left = spots(2, (60, 1000, 500))
    right = spots(2, (690, 1000, 500))
    one, two = f_index(left, 1400), f_index(right, 1400)
    assert one.value == pytest.approx(1, abs=0.01)
    assert two.value == pytest.approx(-1, abs=0.01)
    assert one.f_rate == pytest.approx(1, abs=0.01)
    assert one.area_rate == pytest.approx(0.2 + 0.15 * 0.7 + 0.65 * 0.3, abs=0.002)
    even = left.merge(right)
    assert f_index(even, 1400).value == pytest.approx(0, abs=0.05)
    few = spots(2, (60, 1000, 40))
    assert f_index(few, 1400).value is None
    assert f_index(few, 1400).left > 30
    with pytest.raises(ParameterError, match="fold_rpx is 0") as info:
        f_index(few, 0)
    assert info.value.code == "bad_fold"


def test_zones_of_a_table():
    rows = [{"event": "page_view", "user_id": f"u{i}"} for i in range(30)]
    rows += [tap(100, 100, 10, user_id=f"u{i}") for i in range(30)]
    found = zones(log(*rows))
    assert (found.page, len(found.zones), found.taps) == ("p", 1, 30)
    assert found.f.fold_rpx == pytest.approx(1334)
    assert codes(found) == ["zones_for_pictures", "f_index_descriptive"]
    alone = zones(log(*rows[30:]))
    assert alone.f is None
    assert "no_fold" in codes(alone)
    two = log(*rows, tap(1, 1, page_path="q"))
    with pytest.raises(ParameterError, match="2 maps fit") as info:
        zones(two)
    assert info.value.code == "unknown_page"
    with pytest.raises(ParameterError, match="mass is 50"):
        zones(log(*rows), mass=50)
    with pytest.raises(DataError, match="has no tap"):
        zones(log(tap(-5, 1)))
