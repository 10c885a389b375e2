import math
from datetime import date

import numpy as np
import pytest

from growth.errors import ParameterError
from growth.tiers import (
    Calendar,
    Population,
    arrivals,
    grow,
    invitation_tree,
    waves_total,
)
from tests.tiers import golden


@pytest.fixture(scope="module")
def people():
    return Population.from_priors(
        50, buying=(0.8, 60.0, 0.8, 2.5), spending=(6.0, 4.0, 40_000.0),
        as_of=date(2025, 12, 31), seed=3,
    )  # fmt: skip


@golden.starting("branching_total_")
def test_an_invitation_trees_size_is_borels(case):
    tree, expected = invitation_tree(case["input"]["K"]), case["expected"]
    assert tree.total == pytest.approx(expected["mean"], rel=1e-7)
    assert tree.variance == pytest.approx(expected["variance"], rel=1e-7)
    assert tree.pmf == pytest.approx(expected["pmf_1_to_5"], abs=1e-8)
    assert tree.extinction == 1


@golden.starting("branching_extinction_")
def test_a_tree_that_may_live_dies_with_this_chance(case):
    given = case["input"]
    tree = invitation_tree(given["K"], dispersion=given.get("k"))
    assert tree.extinction == pytest.approx(case["expected"]["value"], abs=1e-7)
    assert (tree.total, tree.variance) == (None, None)


@pytest.mark.parametrize("k", [1 + 1e-6, 1.2, 1.5, 9.0, 99.0])
@pytest.mark.parametrize("dispersion", [None, 1e-9, 0.02, 3.0, 1e12, math.inf])
def test_extinction_is_what_one_more_generation_leaves_as_it_is(k, dispersion):
    """To the digits of what lives on, from everybody to hardly anybody inviting."""
    from scipy.special import lambertw

    tree = invitation_tree(k, dispersion=dispersion)
    assert 0 <= tree.extinction <= 1
    poisson = invitation_tree(k)
    if dispersion in (None, 1e12, math.inf):
        # of Poisson invitees: the root of exp(k (z - 1)) = z other than 1
        root = -lambertw(-k * math.exp(-k)).real / k
        assert tree.extinction == pytest.approx(root, abs=1e-9)
        assert tree.extinction == pytest.approx(poisson.extinction, abs=1e-9)
    else:
        assert tree.extinction > poisson.extinction
        after = -dispersion * math.log1p(k * (1 - tree.extinction) / dispersion)
        assert math.expm1(after) == pytest.approx(tree.extinction - 1, abs=1e-14)
        assert tree.extinction < 1
    if dispersion == math.inf:
        assert tree == poisson


def test_waves_add_up():
    given, expected = golden.given("branching_waves")
    total = waves_total(given["seeds"], given["K"], given["waves"])
    assert total == pytest.approx(expected["value"], abs=1e-9)


@pytest.mark.parametrize("dispersion", [None, 0.5])
def test_drawn_trees_are_as_large_as_expected(dispersion):
    seeds, k = 20_000, 0.6
    days = grow(seeds, k, seed=1, dispersion=dispersion, cycle_days=2, days=200)
    tree = invitation_tree(k, dispersion=dispersion)
    room = 4 * math.sqrt(seeds * tree.variance)
    assert abs(days.sum() + seeds - seeds * tree.total) < room
    again = grow(seeds, k, seed=1, dispersion=dispersion, cycle_days=2, days=200)
    assert (days == again).all()


def test_people_there_are_not_cannot_be_invited():
    days = grow(10, 3.0, seed=2, saturation=500, cycle_days=1, days=300)
    assert 400 < days.sum() <= 490
    assert days.dtype == np.int64


def test_trees_that_would_be_cut_off_are_refused():
    """They used to stop in silence: later days looked as if nobody came."""
    words = (
        r"1,000 seeds with k 1\.5 grow to more than 1,000,000 people within 365 days"
    )
    with pytest.raises(
        ParameterError, match=f"{words}; .* saturation .* or fewer days"
    ):
        grow(1000, 1.5, seed=1, days=365)
    assert grow(1000, 1.5, seed=1, days=40)[-1] > 0
    held = grow(1000, 1.5, seed=1, days=365, saturation=200_000)
    assert 50_000 < held.sum() < 200_000
    # as many as there may be, and nobody more
    assert grow(1_000_000, 0.0, seed=1, days=5).tolist() == [0] * 5


def test_infinite_dispersion_draws_what_poisson_draws():
    one, two = (grow(50, 0.7, seed=3, dispersion=d) for d in (None, math.inf))
    assert one.tolist() == two.tolist()
    rare = grow(50, 0.7, seed=3, dispersion=1e-9)
    assert rare.sum() == 0  # one in a thousand million invites


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: invitation_tree(-1), "k is -1; it must be 0 or more, below 100"),
        (lambda: invitation_tree(100), "k is 100; it must be 0 or more, below 100"),
        (lambda: invitation_tree(None), "k is None"),
        (lambda: invitation_tree("1"), "k is '1'"),
        (lambda: invitation_tree(math.nan), "k is nan"),
        (lambda: invitation_tree(1, dispersion=0), "dispersion is 0"),
        (lambda: invitation_tree(1, dispersion=math.nan), "dispersion is nan"),
        (lambda: invitation_tree(1, dispersion=1e-320), r"1e-09 or more"),
        (lambda: waves_total(1, 1, -1), "waves is -1"),
        (lambda: waves_total(1, 1, 1.5), r"waves is 1\.5; it must be 0 to 10,000, and"),
        (lambda: waves_total(1, 1.25, 100_000), "waves is 100000"),
        (lambda: waves_total(1, 1.25, 9_999), "more people than a number holds"),
        (lambda: waves_total(None, 1, 1), "seeds is None"),
        (lambda: waves_total(1, math.inf, 1), "k is inf"),
        (lambda: grow(0, 1, seed=1), "seeds is 0; it must be 1 or more"),
        (lambda: grow(1_000_001, 1, seed=1), "it must be 1,000,000 at most"),
        (lambda: grow(1, 1, seed=1, cycle_days=0), "cycle_days is 0"),
        (lambda: grow(1, "x", seed=1), "k is 'x'; it must be 0 or more, below 100"),
        (lambda: grow(1, 1, seed=1, dispersion=0), "dispersion is 0; it must be above"),
        (lambda: grow(1, 1, seed=1, dispersion=-1), "dispersion is -1"),
        (lambda: grow(1.5, 1, seed=1), r"seeds is 1\.5; .* and whole"),
        (lambda: grow(1, 1, seed=1, saturation=0), "saturation is 0"),
        (lambda: grow(1, 1, seed=1, saturation="all"), "saturation is 'all'"),
    ],
)
def test_unusable_numbers_are_refused(call, message):
    with pytest.raises(ParameterError, match=message) as info:
        call()
    assert info.value.code == "bad_acquisition"


def test_newcomers_come_as_often_as_stated_by_channel_and_season():
    given = {"start": date(2026, 3, 1), "days": 400, "seed": 3}
    found = arrivals({"ads": 6.0, "shop": 2.0}, **given)
    assert (np.diff(found.days) >= 0).all()
    first = (given["start"] - date(1970, 1, 1)).days
    assert first <= found.days.min() < found.days.max() < first + 400
    for name, mean in (("ads", 2400), ("shop", 800)):
        assert abs(found.channel.count(name) - mean) < 4 * math.sqrt(mean)
    again = arrivals({"ads": 6.0, "shop": 2.0}, **given)
    assert (found.days == again.days).all()
    assert found.channel == again.channel
    busy = Calendar(days={"2026-11-11": 50.0})
    tilted = arrivals(6.0, **given, calendar=busy)
    assert tilted.channel is None
    eleventh = (date(2026, 11, 11) - date(1970, 1, 1)).days
    assert 220 < (tilted.days == eleventh).sum() < 380
    # one channel more changes no other
    more = arrivals({"ads": 6.0, "shop": 2.0, "tv": 1.0}, **given)
    kept = [d for d, c in zip(more.days, more.channel, strict=True) if c != "tv"]
    assert kept == found.days.tolist()
    assert not len(arrivals({}, **given).days)


def test_arrivals_make_newcomers(people):
    found = arrivals({"ads": 2.0}, start=date(2026, 1, 1), days=90, seed=1)
    grown = people.with_arrivals(*found)
    assert grown.arrivals == len(found.days)
    assert grown.channels == ("all", "ads")
    assert people.newcomers_a_day(10) == 50 / 10  # all joined on the last day
    assert grown.newcomers_a_day(10) == 50 / 10  # who is to come has not joined lately


def test_every_fault_of_arrivals_is_told_at_once():
    with pytest.raises(ParameterError, match=r"5 fault\(s\)") as info:
        arrivals(
            {"ads": -1}, start="2026-03-01", days=0, seed=None, calendar={"month": 2}
        )
    assert "a_day ads is -1" in str(info.value)
    assert "calendar is {'month': 2}; it must be a Calendar" in str(info.value)


def test_every_fault_of_trees_in_time_is_told_at_once():
    with pytest.raises(ParameterError, match=r"4 fault\(s\)") as info:
        grow(0, math.inf, seed=-1, days=0)
    assert [fault.name for fault in info.value.faults] == ["k", "seeds", "days", "seed"]
    assert [fault.code for fault in info.value.faults[2:]] == ["bad_days", "bad_seed"]
    for odd in (None, 1.5, "x"):
        with pytest.raises(ParameterError, match="seed is") as info:
            grow(1, 0.5, seed=odd)
        assert info.value.code == "bad_seed"


def test_trees_in_time_are_newcomers(people):
    came = grow(30, 0.8, seed=1, days=60)
    first = (date(2026, 1, 1) - date(1970, 1, 1)).days
    grown = people.with_arrivals(np.repeat(first + np.arange(60), came))
    assert grown.arrivals == came.sum() > 20
