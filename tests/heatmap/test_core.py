import json
from math import sqrt

import numpy as np
import pytest

from growth.errors import ColumnNotFoundError, DataError, ParameterError
from growth.heatmap import (
    Folds,
    clustered_share,
    first_screen,
    first_screen_from_counts,
)
from tests.heatmap.made import codes, log, tap


def test_the_interval_is_the_ratio_estimators_by_hand():
    a, n = np.array([2, 0, 3, 1, 0]), np.array([3, 1, 3, 4, 0])
    share = clustered_share(a, n)
    p, kept = 6 / 11, slice(0, 4)
    variance = 4 / 3 * ((a[kept] - p * n[kept]) ** 2).sum() / 11**2
    effective = p * (1 - p) / variance
    z = 1.959963984540054
    centre = (p + z * z / (2 * effective)) / (1 + z * z / effective)
    half = z * sqrt(p * (1 - p) / effective + z * z / (4 * effective**2))
    half /= 1 + z * z / effective
    assert share.users == 4
    assert share.effective_n == pytest.approx(effective)
    assert (share.low, share.high) == pytest.approx((centre - half, centre + half))


def test_one_tap_a_user_is_wilson_of_the_taps():
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    share = clustered_share([1] * 30 + [0] * 70, [1] * 100)
    want = proportion.proportion_confint(30, 100, method="wilson")
    # the sample variance has n - 1: n_eff is 99
    assert share.effective_n == pytest.approx(99)
    assert (share.low, share.high) == pytest.approx(want, abs=0.002)


@pytest.mark.parametrize(("hits", "value"), [(0, 0.0), (7, 1.0)])
def test_a_share_without_spread_counts_users(hits, value):
    share = clustered_share([hits] * 9, [7] * 9)
    assert (share.rate, share.effective_n) == (value, 9)
    assert clustered_share([], []).rate is None
    with pytest.raises(DataError, match="more hits than taps") as info:
        clustered_share([3], [2])
    assert info.value.code == "bad_counts"


def test_the_interval_covers_clustered_taps():
    rng, inside, runs = np.random.default_rng(5), 0, 600
    for _ in range(runs):
        n = 1 + rng.poisson(3, 120)
        p = rng.beta(3, 2, 120)  # users differ: mean 0.6, weighted alike
        share = clustered_share(rng.binomial(n, p), n)
        inside += share.low <= 0.6 <= share.high
    assert 0.93 <= inside / runs <= 0.97


@pytest.mark.parametrize(
    ("core", "above", "users", "verdict"),
    [(9, 10, 40, "above"), (1, 10, 40, "below"), (9, 10, 29, "too_few")],
)
def test_verdicts(core, above, users, verdict):
    page = first_screen_from_counts([core] * users, [above] * users)
    assert page.verdict == verdict
    assert page.viewers == users


def test_a_target_that_is_no_share_is_refused():
    with pytest.raises(ParameterError, match=r"target is 60; .*as 0.60") as info:
        first_screen_from_counts([1], [1], target=60)
    assert info.value.code == "bad_target"


def test_folds_are_a_distribution():
    folds = Folds.of([1200, 1300, 1400, np.nan], [1, 8, 1, 5])
    assert [folds.quantile(p) for p in (0.1, 0.5, 0.9, 1)] == [1200, 1300, 1300, 1400]
    assert folds.visible_rate(1200) == 0.9
    assert folds.visible_rate(1199.9) == 1.0
    assert (Folds().quantile(0.5), Folds().visible_rate(3)) == (None, None)


def test_taps_above_the_fold_of_their_own_window():
    rows = [{"event": "page_view", "user_id": u} for u in "abcd"]
    rows += [
        tap(187, 300, 10, user_id="a"),  # core
        tap(10, 300, 5000, user_id="a"),  # beside it
        tap(187, 700, 10, user_id="b"),  # below the fold of 667
        tap(187, 700, 10, user_id="c", win_h_px=1000.0),  # above one of 1000: core
        tap(187, 3000, 9000, user_id="a", client_y_px=640.0, element_id="tab"),
    ]
    found = first_screen(log(*rows), fixed_elements=["tab"])
    assert first_screen(log(*rows), fixed_elements="tab").pages == found.pages
    (page,) = found.pages
    assert (page.core_taps, page.taps_above, page.taps) == (2, 4, 5)
    assert (page.core_users, page.viewers) == (2, 4)
    assert page.folds.quantile(0.5) == pytest.approx(1334)
    assert codes(found) == ["target_is_a_guides", "core_area_default"]
    assert found.verdict == "heatmap.first_screen.too_few"
    assert json.dumps(found.to_dict(), allow_nan=False)
    named = first_screen(log(*rows), core=["tab"])
    assert named.pages[0].core_taps == 0  # on the page it lies below the fold
    assert (
        first_screen(log(*rows), core=["tab"], fixed_elements=["tab"])
        .pages[0]
        .core_taps
        == 1
    )
    strip = [{"left": 0, "top": 590, "right": 750, "bottom": 610}]
    assert first_screen(log(*rows), core=strip).pages[0].core_taps == 2


def test_without_window_heights_there_is_no_fold():
    table = log(tap(1, 1)).drop_columns("win_h_px")
    with pytest.raises(ColumnNotFoundError, match=r"win_h_px.*the fold"):
        first_screen(table)


def test_without_page_views_users_stand_for_viewers():
    found = first_screen(log(tap(187, 300)))
    assert "no_page_views" in codes(found)
    assert found.pages[0].viewers == 1
    assert found.rows()[0]["fold_median_rpx"] == pytest.approx(1334)
