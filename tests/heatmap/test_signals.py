import json

import numpy as np
import pytest

from growth.errors import DataError, ParameterError
from growth.heatmap import frustration, kernels
from tests.heatmap.made import codes, log, tap


def total(found, signal):
    (one,) = found.of(signal, total=True)
    return one


def test_rage_is_taps_near_in_place_and_time():
    rows = [{"event": "page_view", "user_id": u, "ts": -9} for u in "abcd"]
    rows += [tap(100 + i, 100, 300 * i, user_id="a", element_id="x") for i in range(4)]
    rows += [tap(100, 100, 1000 * i, user_id="b", element_id="x") for i in range(4)]
    rows += [
        tap(100 + 30 * i, 100, 300 * i, user_id="c", element_id="y") for i in range(4)
    ]
    found = frustration(log(*rows))
    rage = total(found, "rage")
    assert (rage.events, rage.taps, rage.users, rage.views) == (1, 4, 1, 4)
    assert rage.per_1000_views == 250
    assert rage.user_rate == 0.25
    assert found.of("rage")[0].element_id == "x"
    assert total(frustration(log(*rows), gap_ms=1001), "rage").events == 2
    assert total(frustration(log(*rows), radius_rpx=61), "rage").events == 2
    assert total(frustration(log(*rows), taps=5), "rage").events == 0
    for again in (["x"], "x"):
        assert total(frustration(log(*rows), repeatable=again), "rage").events == 0
    assert total(frustration(log(*rows), repeatable="x1"), "rage").events == 1
    assert found.verdict == "heatmap.frustration.found"
    assert found.signals[0].element_id == "x"  # elements come before the total
    assert json.dumps(found.to_dict(), allow_nan=False)


def test_rage_and_dead_taps_are_layers_of_their_own():
    rows = [{"event": "page_view", "ts": -9}]
    rows += [tap(100, 100 + i, 300 * i) for i in range(3)]
    rows += [tap(-4, 5, 6000 + 300 * i) for i in range(3)]  # off the page
    rows.append({"event": "impression", "ts": 20_000})
    found = frustration(log(*rows), root_capture=True)
    assert [g.layer for g in found.grids] == ["rage", "dead"]
    for grid in found.grids:
        row, col = np.nonzero(grid.taps)
        assert (row.tolist(), col.tolist()) == ([20], [20])
        assert grid.taps.sum() == 3
        assert grid.users.sum() == 1
        assert grid.page == "p"
    assert json.loads(json.dumps(found.to_dict()))["grids"][0]["layer"] == "rage"


@pytest.mark.parametrize("kind", [float, np.int64])
def test_rules_may_be_any_whole_number(kind):
    rows = log(*(tap(100, 100, 300 * i) for i in range(4)))
    rules = {"taps": 4, "radius_rpx": 30, "gap_ms": 500, "wait_ms": 900, "back_ms": 70}
    found = frustration(rows, **{name: kind(n) for name, n in rules.items()})
    assert json.dumps(found.to_dict()) == json.dumps(
        frustration(rows, **rules).to_dict()
    )
    assert type(found.gap_ms) is int


def test_echoes_are_no_rage():
    rows = [tap(50, 50, t) for t in (0, 60, 400, 460)]
    found = frustration(log(*rows))
    assert (total(found, "rage").events, found.echoes) == (0, 2)
    assert total(frustration(log(*rows), echo_ms=0), "rage").taps == 4


@pytest.mark.parametrize("seed", range(3))
def test_runs_are_those_of_plain_python(seed):
    rng = np.random.default_rng(seed)
    n = 300
    part = np.sort(rng.integers(0, 9, n))
    ts = np.concatenate(
        [np.sort(rng.integers(0, 90_000, (part == p).sum())) for p in range(9)]
    )
    x, y = rng.uniform(0, 60, (2, n)).astype(np.float32)
    w = np.full(n, 375, np.float32)
    run = kernels.runs(part, ts, x, y, w, 3000, 60)
    assert run.tolist() == kernels.runs.py_func(part, ts, x, y, w, 3000, 60).tolist()
    for i in range(1, n):
        dx, dy = (np.floor(v[i] * 16.0) - np.floor(v[i - 1] * 16.0) for v in (x, y))
        near = (dx * 750 / 6000) ** 2 + (dy * 750 / 6000) ** 2 < 60**2
        near = near and part[i] == part[i - 1] and ts[i] - ts[i - 1] < 3000
        assert (run[i] == run[i - 1]) == near


def test_dead_taps_are_asked_for_only_with_a_recorder_at_the_root():
    rows = [
        {"event": "page_view", "ts": -9},
        tap(9, 9, 0, element_id="dead"),
        {"event": "scroll", "ts": 100},  # no answer
        tap(9, 9, 5000, element_id="alive"),
        {"event": "add_to_cart", "ts": 7500},
        tap(9, 9, 20_000, element_id="slow"),
        {"event": "add_to_cart", "ts": 22_501},
        tap(9, 9, 30_000, element_id="last"),
        {"event": "app_hide", "ts": 31_000, "page_path": None},
        tap(9, 9, 40_000, element_id="end"),
    ]
    without = frustration(log(*rows))
    assert without.of("dead") == ()
    assert without.censored is None
    assert "dead_needs_root_capture" in codes(without)
    found = frustration(log(*rows), root_capture=True)
    assert {s.element_id for s in found.of("dead")} == {"dead", "slow"}
    assert found.censored == 2
    assert codes(found) == ["dead_is_a_log_proxy"]


def test_errors_follow_a_tap_soon():
    rows = [
        tap(9, 9, 0, element_id="a"),
        {"event": "error", "ts": 2500},
        tap(9, 9, 10_000, element_id="b"),
        {"event": "error", "ts": 12_501},
        tap(9, 9, 20_000, element_id="c"),
        {"event": "api_call", "ts": 20_100, "value": 500.0},
        {"event": "api_call", "ts": 20_200, "value": 200.0},
        tap(9, 9, 30_000, element_id="d"),
        {"event": "api_call", "ts": 30_200, "value": 200.0},
    ]
    assert {s.element_id for s in frustration(log(*rows)).of("error")} == {"a"}
    failed = [{"col": "value", "ge": 400}]
    found = frustration(log(*rows), failed=failed)
    assert {s.element_id for s in found.of("error")} == {"a", "c"}


def test_quick_backs_are_of_the_page_that_was_left():
    view = {"event": "page_view"}
    rows = [
        {**view, "page_path": "home"},
        {**view, "page_path": "item", "ts": 1000},
        {**view, "page_path": "home", "ts": 5999},
        {**view, "page_path": "item", "ts": 20_000},
        {**view, "page_path": "home", "ts": 25_000},
        {**view, "page_path": "item", "ts": 26_000, "user_id": "v"},
        tap(9, 9, 0, page_path="home"),
    ]
    found = frustration(log(*rows))
    backs = {s.page: s.events for s in found.of("quick_back", total=True)}
    assert backs == {"home": 0, "item": 1}


@pytest.mark.parametrize(
    "rule",
    [{"taps": 1}, {"radius_rpx": 0}, {"gap_ms": 0}, {"wait_ms": 0}, {"back_ms": -1}],
)
def test_rules_out_of_range_are_refused(rule):
    (name, value), *_ = rule.items()
    with pytest.raises(ParameterError, match=f"{name} is {value}") as info:
        frustration(log(tap(1, 1)), **rule)
    assert info.value.code == "bad_rule"
    with pytest.raises(DataError, match="no tap on pages"):
        frustration(log({"event": "page_view"}, x_px=1.0, y_px=1.0))
