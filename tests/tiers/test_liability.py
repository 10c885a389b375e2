import json
from datetime import date
from itertools import pairwise

import numpy as np
import pytest

from growth.errors import ParameterError
from growth.tiers import (
    Habits,
    Population,
    compare,
    deferred_revenue,
    load_programme,
    roll_forward,
    simulate,
)
from growth.tiers.liability import fair_liability, whole_parts
from tests.tiers import golden, made

SHORT = {"validity": {"months": 2}, "redeem": {"block": 100, "value_fen": 150}}
PROGRAMME = load_programme({"tiers": made.TIERS, "points": SHORT})
ASSUMED = {"margin_rate": 0.3, "redemption": 0.3, "seed": 4, "replications": 3}


@pytest.fixture(scope="module")
def people():
    return Population.from_priors(
        300, buying=(0.8, 60.0, 0.8, 2.5), spending=(6.0, 4.0, 40_000.0),
        as_of=date(2025, 12, 31), seed=3, habits=Habits(refund_rate=0.1),
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(people):
    return simulate(people, PROGRAMME, months=8, **ASSUMED)


def test_the_roll_forward_of_the_standards_example():
    given, expected = golden.given("deferral_roll_forward")
    part = deferred_revenue(
        sales=given["sales"], points=given["points"],
        value_per_point=given["value_per_point"], expected=given["expected"][0],
    )  # fmt: skip
    assert part.deferred == pytest.approx(expected["deferred"], abs=1e-5)
    assert part.deferred + part.goods == given["sales"]
    rolled = roll_forward(
        deferred=[part.deferred, 0], redeemed=given["redeemed_cumulative"],
        expected=given["expected"],
    )  # fmt: skip
    first, second = rolled.periods
    assert first.recognised == pytest.approx(expected["recognised_year1"], abs=1e-5)
    assert second.recognised == pytest.approx(expected["recognised_year2"], abs=1e-5)
    assert rolled.closing == pytest.approx(expected["closing"], abs=1e-5)
    # the re-estimate is what the old expectation would have recognised on top
    assert second.re_estimate == pytest.approx(
        part.deferred * 8500 * (1 / 9500 - 1 / 9700), abs=1e-6
    )
    assert rolled.verdict == "tiers.liability.open"


def test_every_period_closes_where_the_next_opens():
    """Identity 5, with refunds that claw deferred revenue back."""
    rng = np.random.default_rng(4)
    for _ in range(50):
        n = int(rng.integers(1, 9))
        redeemed = np.cumsum(rng.uniform(0, 100, n))
        expected = redeemed[-1] + rng.uniform(1, 100, n)
        deferred = rng.uniform(0, 500, n)
        clawed = deferred * rng.uniform(0, 0.3, n)
        rolled = roll_forward(
            deferred=deferred, redeemed=redeemed, expected=expected, clawed=clawed
        )
        opening = 0.0
        for one in rolled.periods:
            assert one.opening == opening
            flow = one.deferred - one.recognised - one.clawed
            assert one.closing == pytest.approx(opening + flow)
            opening = one.closing
        assert rolled.closing == opening


def test_when_all_is_used_nothing_waits():
    rolled = roll_forward(deferred=[100.0, 0], redeemed=[4, 8], expected=[10, 8])
    assert rolled.closing == pytest.approx(0, abs=1e-9)
    rows = json.loads(json.dumps(rolled.rows(), allow_nan=False))
    assert [row["period"] for row in rows] == [1, 2]
    settled = roll_forward(deferred=[0], redeemed=[0], expected=[0])
    assert settled.verdict == "tiers.liability.settled"


def test_points_that_will_never_be_used_are_not_owed():
    points = np.array([[1000, 2000], [1000, 2000]])
    owed = fair_liability(points, value_fen=1000, block=100, breakage=[0.0, 0.25])
    assert owed.tolist() == [[10_000, 20_000], [7_500, 15_000]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: deferred_revenue(
                sales=1, points=10, value_per_point=1, expected=11
            ),
            "No more can be used than issued",
        ),
        (
            lambda: deferred_revenue(
                sales=-1, points=10, value_per_point=1, expected=1
            ),
            "sales is -1",
        ),
        (
            lambda: deferred_revenue(
                sales=float("nan"), points=10, value_per_point=1, expected=1
            ),
            "sales is nan; it must be a number, 0 or more",
        ),
        (
            lambda: deferred_revenue(
                sales=1, points=10, value_per_point=1, expected=float("nan")
            ),
            "expected is nan",
        ),
        (
            lambda: deferred_revenue(
                sales="1", points=None, value_per_point=float("inf"), expected=1
            ),
            r"3 fault\(s\)",
        ),
        (
            lambda: roll_forward(deferred=[1, 0], redeemed=[2, 1], expected=[3, 3]),
            r"redeemed\[1\] is 1; it must be 2 or more.* never fall",
        ),
        (
            lambda: roll_forward(deferred=[1], redeemed=[4], expected=[3]),
            r"expected\[0\] is 3; it must be 4 or more.* stay below",
        ),
        (
            lambda: roll_forward(deferred=[1], redeemed=[1, 2], expected=[3, 4]),
            "deferred is of 1 periods; .* a value a period",
        ),
        (
            lambda: roll_forward(
                deferred=[1, 1], redeemed=[1, 2], expected=[3, 4], clawed=[0]
            ),
            "clawed is of 1 periods; .* a value a period",
        ),
        (
            lambda: roll_forward(
                deferred=[1, 1],
                redeemed=[1, 2],
                expected=[3, 4],
                expected_before=[3, 4, 5],
            ),
            "expected_before is of 3 periods",
        ),
        (
            lambda: roll_forward(
                deferred=[float("nan")], redeemed=[1], expected=[float("inf")]
            ),
            r"(?s)2 fault.*deferred is \[nan\].*expected is \[inf\]",
        ),
        (
            lambda: roll_forward(deferred=[100], redeemed=[-5], expected=[10]),
            r"redeemed is \[-5\]; it must be a list of numbers, 0 or more",
        ),
        (
            lambda: roll_forward(deferred=5, redeemed=[1], expected=[1]),
            "deferred is 5; it must be a list",
        ),
        (
            lambda: roll_forward(
                deferred=[100, 5],
                redeemed=[1, 2],
                expected=[10, 10],
                clawed=[60, 46],
            ),
            r"clawed\[1\] is 46; it must be 45.* or less, what was deferred to date",
        ),
        (
            lambda: roll_forward(
                deferred=[1], redeemed=[1], expected=[2], opening=float("nan")
            ),
            "opening is nan",
        ),
    ],
)
def test_numbers_that_cannot_be_are_refused(call, message):
    with pytest.raises(ParameterError, match=message) as info:
        call()
    assert info.value.code == "bad_liability"


def test_what_was_recognised_may_be_taken_back_with_a_refund():
    """Half was used and recognised; then all of it goes back."""
    rolled = roll_forward(
        deferred=[100, 0], redeemed=[5, 5], expected=[10, 10], clawed=[0, 100]
    )
    assert [one.recognised for one in rolled.periods] == [50, -50]
    assert rolled.closing == 0


def test_a_simulations_points_roll_to_what_stands(run):
    """Identity 1, month by month: what is held follows from the flows, to the point."""
    rolled = run.roll_forward()
    assert rolled.months == run.month_ends
    table = run.scenario().table()
    for one, before in zip(rolled.points[1:], rolled.points, strict=False):
        assert one.opening == before.closing
    held = sum(
        sign * table[name].sum(axis=(1, 3)).mean(axis=0)
        for name, sign in (("active", 1), ("pending", 1), ("debt", -1))
    )
    for i, one in enumerate(rolled.points):
        gone = one.redeemed + one.expired + one.clawed
        assert one.opening + one.issued - gone == one.closing
        assert one.closing == pytest.approx(held[i], abs=3)
        assert min(one.issued, one.redeemed, one.clawed, one.expired) >= 0
    assert rolled.points[0].opening == 0  # nobody held any
    assert sum(one.expired for one in rolled.points) > 0


def test_a_simulations_deferred_revenue_is_carried_to_the_fen(run):
    rolled = run.roll_forward()
    for one in rolled.periods:
        assert all(isinstance(part, int) for part in one)
        out = one.recognised + one.clawed
        assert one.opening + one.deferred - out == one.closing >= 0
    for before, one in pairwise(rolled.periods):
        assert one.opening == before.closing
    assert rolled.closing == rolled.periods[-1].closing
    # deferred is the part of sales that points are of goods and points together: less
    # than if none died, more than if all that died had been expected to
    table = run.scenario().table()
    sales = (table["gross_fen"] - table["discount_fen"]).sum() / run.replications
    issued = 1.5 * table["issued"].sum() / run.replications
    used = issued * (1 - run.scenario().breakage)
    deferred = sum(one.deferred for one in rolled.periods)
    least, most = (sales * worth / (sales + worth) for worth in (used, issued))
    assert least < deferred < most
    # points died from the third month on: until then nothing was re-estimated
    assert rolled.periods[0].re_estimate == 0
    assert any(one.re_estimate for one in rolled.periods[2:])
    rows = json.loads(json.dumps(rolled.rows(), allow_nan=False))
    assert rows[0]["period"] == "2026-01"
    assert {"given_back", "points_opening", "points_closing"} <= rows[0].keys()
    assert rolled.to_html("zh")


def test_points_held_at_the_start_open_the_roll():
    """Whatever members hold is owed before the first month, and used up in it."""
    opened = roll_forward(
        deferred=[0, 0], redeemed=[50, 100], expected=[100, 100], opening=80.0
    )
    assert [one.opening for one in opened.periods] == [80, 40]
    assert opened.closing == 0


def test_a_scenario_is_asked_for_by_name(people):
    both = {"now": PROGRAMME, "new": PROGRAMME.change({"points.redeem.value_fen": 90})}
    found = compare(people, both, months=2, **ASSUMED | {"replications": 1}).simulation
    assert found.roll_forward() == found.roll_forward("now")
    assert found.roll_forward("new").periods != found.roll_forward("now").periods
    assert found.roll_forward("new").points == found.roll_forward("now").points
    for call in (found.roll_forward, found.scenario):
        with pytest.raises(ParameterError, match="Did you mean 'now'") as info:
            call("nwo")
        assert info.value.code == "unknown_scenario"
    with pytest.raises(ParameterError, match="scenario is 'old'"):
        found.monthly("members", "old")


def test_who_stands_where_changes_no_sum_of_money(people):
    """Only a threshold moves, and tiers give nothing: not a fen of rounding differs."""
    flat = load_programme(
        {"tiers": [{"min_spend_fen": 0}, {"min_spend_fen": 33_333}], "points": SHORT}
    )
    moved = flat.change({"tiers.1.min_spend_fen": 77_777})
    how = ASSUMED | {"margin_rate": 0.3333}
    found = compare(people, {"now": flat, "new": moved}, months=3, **how)
    by = {one.metric: one for one in found.differences}
    for metric in ("margin_fen", "benefit_cost_fen", "liability_fen"):
        assert (by[metric].difference, by[metric].se) == (0, 0)
    assert by["members_above_first"].difference < 0
    assert found.verdict == "tiers.comparison.same"
    assert found.differences[0].metric == "margin_fen"  # what a readout leads with


def test_whole_parts_lose_nothing():
    rng = np.random.default_rng(2)
    amounts = rng.uniform(-5, 5, (40, 7))
    whole = whole_parts(amounts)
    assert (np.abs(whole - amounts) <= 1).all()
    sums = np.floor(amounts.cumsum(axis=1) + 0.5)
    assert (whole.cumsum(axis=1) == sums).all()
    # whoever of a thousand stands where: the sum is the same
    parts = rng.multinomial(1000, [0.25] * 4, 500)
    assert set(whole_parts(parts, 0.3335).sum(axis=1).tolist()) == {334}
