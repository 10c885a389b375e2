import numpy as np
import pandas as pd
import pytest

from growth import synth
from growth.synth.tapping import DEVICES, HOME, ITEM


@pytest.fixture(scope="module")
def page():
    return synth.taps(seed=9, users=4_000)


def _taps(piece):
    rows = piece.data.to_pandas()
    return rows[rows["event"] == "tap"]


def test_views_tap_each_element_at_its_planted_rate(page):
    rows, taps = page.data.to_pandas(), _taps(page)
    views = page.truth["views"]
    assert (rows["event"] == "page_view").sum() == views
    for name, told in page.truth["elements"].items():
        if name == page.truth["rage"] or not told["tap_rate_per_view"]:
            continue
        p = told["tap_rate_per_view"]
        seen = (taps["element_id"] == name).sum()
        assert abs(seen - views * p) < 4 * np.sqrt(views * p * (1 - p))
        shown = (rows["event"] == "impression") & (rows["element_id"] == name)
        assert shown.sum() == views


def test_hot_leads_and_dead_is_seen_but_left_alone(page):
    shares = _taps(page)["element_id"].value_counts(normalize=True)
    assert shares.index[0] == "btn_coupon"
    assert shares["img_badge"] < 0.005


def test_taps_fall_inside_their_box_on_every_device(page):
    taps = _taps(page)
    scale = taps["win_w_px"] / 750
    x, y = taps["x_px"] / scale, taps["y_px"] / scale
    for name, told in page.truth["elements"].items():
        left, top, width, height = told["box_rpx"]
        mine = (taps["element_id"] == name).to_numpy()
        slack = 3 if name == page.truth["rage"] else 0.01
        assert x[mine].between(left - slack, left + width + slack).all()
        if not told["fixed"]:
            assert y[mine].between(top - slack, top + height + slack).all()
    assert (taps["x_px"] <= taps["win_w_px"]).all()
    assert (taps["y_px"] <= taps["page_h_px"]).all()
    shown = taps["client_y_px"].between(0, taps["win_h_px"])
    assert shown.all()
    away = taps["y_px"] - taps["scroll_y_px"] - taps["client_y_px"]
    assert (away.abs() < 0.01).all()


def test_rage_runs_are_fast_and_close(page):
    mine = _taps(page).query("element_id == 'btn_notify'").copy()
    gap = mine.groupby("user_id")["ts"].diff()
    run = ((gap.isna()) | (gap > pd.Timedelta(seconds=1))).cumsum()
    size = run.value_counts()
    assert size.between(4, 7).mean() > 0.98  # two runs may touch by chance
    inside = gap[gap <= pd.Timedelta(seconds=1)]
    assert inside.between(pd.Timedelta("120ms"), pd.Timedelta("420ms")).all()
    scale = mine["win_w_px"] / 750
    spread = (mine["x_px"] / scale).groupby(run).agg(lambda x: x.max() - x.min())
    assert (spread[size[size <= 7].index] < 12).mean() > 0.98
    runs, views, p = len(size), page.truth["views"], 0.02
    assert abs(runs - views * p) < 4 * np.sqrt(views * p)


def test_fixed_elements_keep_their_place_on_the_screen():
    rows = _taps(synth.taps(seed=3, users=1_500, elements=HOME, rage=None))
    bar = rows[rows["element_id"] == "tab_bar"]
    scale = bar["win_w_px"] / 750
    up = (bar["win_h_px"] - bar["client_y_px"]) / scale
    assert up.between(0, 100.01).all()
    assert (bar["scroll_y_px"] > 0).mean() > 0.5


def test_devices_differ_in_width_and_fold():
    assert sum(d.share for d in DEVICES) == pytest.approx(1)
    folds = {round(d.win_h * 750 / d.win_w) for d in DEVICES}
    assert len(folds) > 5
    assert len({d.win_w for d in DEVICES}) > 5
    assert {d.platform for d in DEVICES} == {"android", "ios", "ohos", "windows"}
    assert len({e.name for e in (*HOME, *ITEM)}) == len(HOME) + len(ITEM)
