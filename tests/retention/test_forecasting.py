import numpy as np
import pytest

from growth import retention
from growth.errors import ParameterError

HIGH_END = [869, 743, 653, 593, 551, 517, 491]


def one_way(kept=HIGH_END, n=1000, **asked):
    return retention.measure_from_counts(
        {"d": n},
        {"d": dict(enumerate(kept, start=1))},
        match="on_or_after",
        follow_up=0,
        **asked,
    )


# Fader and Hardie (2007), high-end segment.
def test_the_published_forecast():
    found = retention.forecast(one_way(), horizon=12, draws=200)
    assert (found.first, found.second) == pytest.approx((0.668, 3.806), abs=5e-4)
    assert found.log_likelihood == pytest.approx(-1611.2, abs=0.05)
    last = found.points[-1]
    assert (last.k, last.rate) == (12, None)
    assert last.expected == pytest.approx(0.378, abs=5e-4)
    assert last.low < 0.378 < last.high
    assert found.verdict == "retention.forecast.fitted"


def test_points_held_out_judge_the_fit():
    found = retention.forecast(one_way(), horizon=7, hold_out=2, draws=200)
    assert [p.held_out for p in found.points] == [False] * 5 + [True] * 2
    assert found.mean_abs_error < 0.02
    assert found.coverage == 1.0


def test_a_triangle_is_pooled_over_the_cohorts_complete_at_both_offsets():
    sizes = {"a": 1000, "b": 500}
    kept = {"a": dict(enumerate(HIGH_END, start=1)), "b": {1: 400, 2: 350}}
    result = retention.measure_from_counts(
        sizes, kept, match="on_or_after", follow_up=1
    )
    found = retention.forecast(result, horizon=7, draws=50)
    assert found.points[0].rate == pytest.approx(1269 / 1500)
    assert found.points[2].rate == pytest.approx(653 / 1000)


def test_people_who_come_and_go_are_a_power_curve():
    n = 100_000
    kept = {k: round(n * 0.47 * (k + 1) ** -0.65) for k in range(1, 20)}
    result = retention.measure_from_counts({"d": n}, {"d": kept})
    found = retention.forecast(result, horizon=30, model="power", draws=50)
    assert (found.first, found.second) == pytest.approx((0.47, 0.65), rel=1e-2)


@pytest.mark.parametrize(
    "kept", [HIGH_END[:3], [1000] * 6], ids=["three points", "nobody lost"]
)
def test_what_cannot_be_fitted_is_none_and_said(kept):
    found = retention.forecast(one_way(kept), horizon=12)
    assert (found.first, found.points) == (None, ())
    assert found.verdict == "retention.forecast.unfit"
    assert {notice.code for notice in found.notices} == {"forecast_unfit"}


def test_the_same_seed_gives_the_same_interval():
    one, two = (retention.forecast(one_way(), horizon=9, draws=50) for _ in range(2))
    assert one == two


@pytest.mark.parametrize("kind", [float, np.int64])
def test_any_whole_number_will_do(kind):
    found = retention.forecast(
        one_way(), horizon=kind(9), hold_out=kind(2), draws=kind(50)
    )
    assert found == retention.forecast(one_way(), horizon=9, hold_out=2, draws=50)
    assert type(found.hold_out) is int


@pytest.mark.parametrize(
    ("made", "asked", "words", "code"),
    [
        ({"match": "on_or_after"}, {}, "needs match='on_or_after' with", "one_way"),
        ({}, {}, "match is 'on'", "one_way"),
        (
            {"match": "on_or_after", "follow_up": 1},
            {"model": "power"},
            "'on'",
            "one_way",
        ),
        ({}, {"horizon": 0}, "horizon is 0", "range"),
        ({}, {"hold_out": -1}, "hold_out is -1", "range"),
    ],
)
def test_a_model_must_fit_how_returns_were_counted(made, asked, words, code):
    kept = {"d": dict(enumerate(HIGH_END, start=1))}
    result = retention.measure_from_counts({"d": 1000}, kept, **made)
    with pytest.raises(ParameterError, match=words) as info:
        retention.forecast(result, **{"horizon": 5, **asked})
    assert info.value.code == code
