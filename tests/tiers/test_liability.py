import json

import numpy as np
import pytest

from growth.errors import ParameterError
from growth.tiers import deferred_revenue, roll_forward
from growth.tiers.liability import fair_liability
from tests.tiers import golden


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
            "no more can be used than issued",
        ),
        (
            lambda: deferred_revenue(
                sales=-1, points=10, value_per_point=1, expected=1
            ),
            "sales is -1",
        ),
        (
            lambda: roll_forward(deferred=[1, 0], redeemed=[2, 1], expected=[3, 3]),
            "never fall",
        ),
        (
            lambda: roll_forward(deferred=[1], redeemed=[4], expected=[3]),
            "stay below",
        ),
        (
            lambda: roll_forward(deferred=[1], redeemed=[1, 2], expected=[3]),
            "a value a period",
        ),
    ],
)
def test_numbers_that_cannot_be_are_refused(call, message):
    with pytest.raises(ParameterError, match=message) as info:
        call()
    assert info.value.code == "bad_liability"
