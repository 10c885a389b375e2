import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from growth.errors import DataError, ParameterError
from growth.heatmap import CellUsers, Grid, bins, smooth
from growth.heatmap.geometry import Box, core_area, hit


def grid(seed, rows=6, cell=50, **about):
    rng = np.random.default_rng(seed)
    taps = rng.poisson(2.0, (rows, 750 // cell))
    users = np.minimum(taps, rng.poisson(1.5, taps.shape))
    return Grid.of(taps, cell_rpx=cell, users=users, **about)


def same(one, two):
    return one.to_dict() == two.to_dict()


@pytest.mark.parametrize(("x", "w"), [(264, 360), (275, 375), (286, 390)])
def test_points_on_an_edge_fall_right_of_it_where_floats_fall_left(x, w):
    (col,), _ = bins([x], [0], [w])
    assert col == 55
    assert int((x / w) * 75) == 54  # the float fault that integers avoid


def test_the_right_edge_belongs_to_the_last_column():
    col, row = bins([375, 374.99], [0, 5], [375, 375], cell_rpx=750)
    assert col.tolist() == [0, 0]
    col, _ = bins([375, 0], [0, 0], [375, 375], cell_rpx=5)
    assert col.tolist() == [149, 0]
    assert row.tolist() == [0, 0]


@given(
    st.integers(0, 6000),
    st.integers(0, 400_000),
    st.integers(200 * 16, 500 * 16),
    st.sampled_from([5, 10, 30, 50, 150, 250, 750]),
    st.sampled_from([2, 4]),
)
def test_a_denser_screen_gives_the_same_cell(x16, y16, w16, cell, scale):
    x, y, w = min(x16, w16) / 16, y16 / 16, w16 / 16
    one = bins([x], [y], [w], cell_rpx=cell)
    two = bins([x * scale], [y * scale], [w * scale], cell_rpx=cell)
    assert [p.tolist() for p in one] == [p.tolist() for p in two]
    col, row = (int(p[0]) for p in one)
    assert col == min(x16 * 750 // (w16 * cell), 750 // cell - 1)  # Python's integers
    assert row == y16 * 750 // (w16 * cell)


@pytest.mark.parametrize("side", [0, 7, 20, 751, -10, 12.5])
def test_sides_that_do_not_divide_the_page_are_refused(side):
    with pytest.raises(ParameterError, match=f"cell_rpx is {side}; .*take 10") as info:
        bins([1], [1], [375], cell_rpx=side)
    assert info.value.code == "bad_cell_size"


def test_merging_is_associative_commutative_and_has_a_neutral_grid():
    a, b, c = (grid(i, rows, user_shard=(4, (i,))) for i, rows in enumerate((3, 6, 5)))
    assert same(a.merge(b).merge(c), a.merge(b.merge(c)))
    assert same(a.merge(b), b.merge(a))
    empty = Grid.of(np.zeros((0, 15)), cell_rpx=50)
    assert (a.merge(empty).taps == a.taps).all()
    assert (empty.merge(a).users == a.users).all()
    whole = a.merge(b).merge(c)
    assert whole.users.sum() == sum(g.users.sum() for g in (a, b, c))
    assert whole.user_shard == (4, (0, 1, 2))


def test_distinct_users_of_overlapping_parts_do_not_add():
    a, b = grid(1), grid(2)
    assert a.merge(b).users is None
    assert a.merge(b).taps.sum() == a.taps.sum() + b.taps.sum()
    one = grid(1, user_shard=(4, (1,)))
    assert one.merge(grid(2, user_shard=(4, (1,)))).users is None
    assert one.merge(grid(2, user_shard=(8, (2,)))).users is None


@pytest.mark.parametrize(
    ("other", "name"),
    [
        ({"cell": 150}, "cell_rpx is 50"),
        ({"page": "q"}, "page is ''"),
        ({"layer": "fixed"}, "layer is 'taps'"),
        ({"device_class": "wide"}, "device_class is 'phone'"),
    ],
)
def test_grids_of_other_kinds_are_not_merged(other, name):
    with pytest.raises(ParameterError, match=f"{name} here .* there") as info:
        grid(1).merge(grid(2, **other))
    assert info.value.code == "grid_mismatch"


def test_a_shape_that_is_none_is_refused():
    with pytest.raises(ParameterError, match="has 9 columns; it must have 75") as info:
        Grid(cell_rpx=10, cols=9, rows=1, taps=np.zeros((1, 9), np.int64))
    assert info.value.code == "grid_mismatch"
    with pytest.raises(ParameterError, match=r"shape \(2, 75\)"):
        Grid(cell_rpx=10, cols=75, rows=1, taps=np.zeros((2, 75), np.int64))


@pytest.mark.parametrize(("cell", "k"), [(10, 3), (10, 5), (10, 15), (50, 3), (5, 2)])
def test_coarsening_keeps_every_tap_and_users_once(cell, k):
    rng = np.random.default_rng(k)
    cols = 750 // cell
    at = rng.integers(0, cols * 37, 500)
    pairs = CellUsers.of(at, rng.integers(0, 30, 500), cell_rpx=cell)
    coarse = pairs.coarsen(k)
    direct = CellUsers.of(
        at // cols // k * (cols // k) + at % cols // k,
        rng.integers(0, 1, 500),
        cell_rpx=cell * k,
    )
    assert coarse.grid().taps.tolist() == direct.grid().taps.tolist()
    assert coarse.grid().taps.tolist() == pairs.grid().coarsen(k).taps.tolist()
    assert coarse.grid().users.max() <= 30
    assert pairs.grid().coarsen(k).users is None


def test_a_coarser_side_must_be_one_of_the_sides():
    with pytest.raises(ParameterError, match="k is 2: cells of 20 rpx") as info:
        grid(1, cell=10).coarsen(2)
    assert info.value.code == "bad_cell_size"
    assert grid(1).coarsen(1).rows == 6


@given(st.data())
def test_pairs_merge_like_sets_whatever_the_order(data):
    draw = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 9)), max_size=30)
    parts = [data.draw(draw) for _ in range(3)]
    made = [CellUsers.of(*np.array(p or np.zeros((0, 2))).T) for p in parts]
    left = made[0].merge(made[1]).merge(made[2])
    right = made[2].merge(made[0].merge(made[1]))
    whole = CellUsers.of(
        *np.array([p for part in parts for p in part] or np.zeros((0, 2))).T
    )
    for name in ("cell", "user", "taps"):
        assert getattr(left, name).tolist() == getattr(whole, name).tolist()
        assert getattr(right, name).tolist() == getattr(whole, name).tolist()
    assert whole.taps.sum() == sum(map(len, parts))


@pytest.mark.parametrize("sigma", [0, 5, 20, 37.5, 400])
def test_smoothing_keeps_the_mass(sigma):
    counts = np.zeros((60, 75))
    counts[0, 0], counts[59, 74], counts[30, 40] = 1e6, 3, 77
    for taps in (counts, np.ones((1, 75)), np.full((3, 75), 2)):
        g = Grid.of(taps)
        assert g.smoothed(sigma).sum() == pytest.approx(taps.sum(), rel=1e-9, abs=0)
        assert g.smoothed(sigma).min() >= 0
    assert (Grid.of(counts).smoothed(0) == counts).all()


@pytest.mark.parametrize("sigma", [-1, float("nan"), float("inf")])
def test_a_sigma_that_is_none_is_refused(sigma):
    with pytest.raises(ParameterError, match=r"sigma is .*take sigma_rpx=20") as info:
        smooth(np.ones((2, 2)), sigma)
    assert info.value.code == "bad_sigma"


def test_layers_by_name():
    g = grid(1)
    assert g.layer_counts("users").sum() == g.users.sum()
    with pytest.raises(ParameterError, match="Did you mean 'users'") as info:
        g.smoothed(layer="usrs")
    assert info.value.code == "unknown_layer"
    with pytest.raises(ParameterError, match=r"users=True\) counts users") as info:
        Grid.of(g.taps, cell_rpx=50).layer_counts("users")
    assert info.value.code == "layer_absent"


def test_rates_are_per_thousand_views_that_saw_the_row():
    g = Grid.of(np.full((3, 15), 2), cell_rpx=50)
    rate = g.rate([1000, 50, 49])
    assert rate[:2, 0].tolist() == [2.0, 40.0]
    assert np.isnan(rate[2]).all()
    with pytest.raises(ParameterError, match="one number for each of 3 rows"):
        g.rate([1])


def test_weighted_counts_each_user_once():
    pairs = CellUsers.of([0, 0, 0, 1, 76], [0, 0, 1, 1, 2])
    map_ = pairs.weighted()
    assert map_.sum() == pytest.approx(3)
    assert map_[0, :2].tolist() == [1.5, 0.5]


def test_a_grid_survives_its_export():
    g = grid(4, page="p", by=(("variant", "B"), ("day", None)), user_shard=(2, (1,)))
    back = Grid.from_dict(json.loads(json.dumps(g.to_dict(), allow_nan=False)))
    assert same(g, back)
    assert back.taps.dtype == np.int64
    with pytest.raises(DataError, match="schema_version is 2; it must be 1") as info:
        Grid.from_dict({**g.to_dict(), "schema_version": 2})
    assert info.value.code == "bad_grid"


def test_cells_are_listed_by_taps_and_thin_ones_left_out():
    g = Grid.of([[0, 3, 9] + [0] * 12], users=[[0, 2, 7] + [0] * 12], cell_rpx=50)
    first, second = g.cells()
    assert (first["col"], first["x0_rpx"], first["x1_rpx"]) == (2, 100, 150)
    assert (first["taps"], first["users"], second["taps"]) == (9, 7, 3)
    assert [c["taps"] for c in g.cells(min_users=5)] == [9]


# -- boxes and core areas --------------------------------------------------------------


def test_the_smallest_box_wins_and_edges_belong_to_it():
    boxes = [Box("page", 0, 0, 750, 2000), Box("buy", 100, 100, 50, 50)]
    x, y = np.array([100.0, 150, 151, 800]), np.array([100.0, 150, 100, 0])
    assert hit(x, y, boxes).tolist() == [1, 1, 0, -1]
    assert hit(x, y, boxes[::-1]).tolist() == [0, 0, 1, -1]


def test_a_core_area_is_read_in_both_units():
    area = core_area(
        [{"left": 0, "top": "0.1h", "right": 750, "bottom": "0.5h"}, "buy"]
    )
    assert area.rects[0].relative
    assert (area.rects[0].top, area.elements) == (0.1, ("buy",))
    assert core_area(None).rects[0].left == 75
    assert core_area(area) is area


@pytest.mark.parametrize(
    "core",
    [
        [],
        "buy",
        [{"left": 5, "top": 0, "right": 5, "bottom": 9}],
        [{"left": 0, "top": "0.1h", "right": 9, "bottom": 900}],
        [{"left": 0, "top": 0, "right": 760, "bottom": 9}],
        [{"left": 0, "top": 0, "right": 7, "botom": 9}],
        [{"left": "a", "top": 0, "right": 7, "bottom": 9}],
        [3],
    ],
)
def test_a_core_area_that_is_none_is_refused(core):
    with pytest.raises(ParameterError, match=r"core .*must") as info:
        core_area(core)
    assert info.value.code == "bad_core_area"


@pytest.mark.parametrize(
    "broken",
    [
        {"cells": [[-1, 0, 1]]},
        {"cells": [[0, -1, 1]]},
        {"cells": [[99, 0, 1]]},
        {"cells": [[0, 0]]},
        {"cells": None},
        {"rows": -1},
        {"rows": "many"},
        {"has_users": True},
        {"cols": 3},
    ],
)
def test_a_broken_export_is_no_grid(broken):
    written = Grid.of(np.ones((2, 75), int)).to_dict()
    for data in (written | broken, {"schema_version": 1}):
        with pytest.raises(DataError) as caught:
            Grid.from_dict(data)
        assert caught.value.code == "bad_grid"
