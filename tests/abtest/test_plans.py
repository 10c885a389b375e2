from datetime import date, timedelta
from math import inf, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from growth.abtest import (
    AlwaysValid,
    Experiment,
    Fixed,
    GroupSequential,
    Hybrid,
    analyze_from_moments,
    check_split_from_counts,
    decide,
)
from growth.errors import ParameterError
from growth.labels import has
from growth.stats.contrast import ArmEstimate, Contrast
from growth.stats.group_sequential import crossing
from growth.stats.moments import Moments
from tests.abtest.golden import cases, name
from tests.abtest.made import experiment, metric

SPENDING = {"obf": "obrien_fleming", "pocock": "pocock", "power": "power"}
START = date(2026, 2, 1)
DAY = timedelta(days=1)


def contrast(estimate, se, mean=10.0, df=inf):
    half = se * se / 2
    return Contrast(
        ArmEstimate(5000, mean, half, df), ArmEstimate(5000, mean + estimate, half, df)
    )


def every_plan(units=1000):
    return (
        Fixed(units=units),
        GroupSequential(units=units),
        GroupSequential(units=units, spending="pocock"),
        GroupSequential(units=units, spending="power", rho=3.0),
        AlwaysValid(units=units),
        Hybrid(units=units),
    )


# -- reference cases, through the plan ---------------------------------------------


def spending_plan(case):
    family, *rho = case["input"]["family"].split("_rho")
    more = {"rho": float(rho[0])} if rho else {}
    return GroupSequential(units=1000, spending=SPENDING[family], **more)


@pytest.mark.parametrize("case", cases("group_sequential_spending"), ids=name)
def test_boundaries_reference_cases(case):
    plan, times = spending_plan(case), case["input"]["information"]
    near = {"rel": case["tolerance_rel"], "abs": 0}
    for k, want in enumerate(case["expected"]["boundary"], 1):
        look = plan.look(times[:k], alpha=case["input"]["alpha_two_sided"])
        assert look.critical() == pytest.approx(want, **near)
        assert look.final is (k == len(times))
        # the interval is d -/+ boundary * se, whatever the method's own df
        low, high = look.interval(contrast(0.4, 0.1, df=30.0))
        assert (low, high) == pytest.approx((0.4 - want * 0.1, 0.4 + want * 0.1))


@pytest.mark.parametrize("case", cases("always_valid_critical"), ids=name)
def test_always_valid_reference_cases(case):
    near = {"rel": case["tolerance_rel"], "abs": 0}
    plan = AlwaysValid(units=1000)
    for share, want in case["expected"]["critical"].items():
        look = plan.look([float(share)], alpha=case["input"]["alpha"])
        assert look.critical() == pytest.approx(want, **near)


@pytest.mark.parametrize("case", cases("hybrid"), ids=name)
def test_hybrid_reference_cases(case):
    near = {"rel": case["tolerance_rel"], "abs": 0}
    plan, want = Hybrid(units=1000), case["expected"]
    times = case["input"]["information"]
    for t, critical in zip(times, want["monitor_critical"], strict=True):
        look = plan.look([t], alpha=case["input"]["alpha"], last=False)
        assert look.critical() == pytest.approx(critical, **near)
    last = plan.look([1.0], alpha=case["input"]["alpha"])
    assert last.critical() == pytest.approx(want["final_critical"], **near)


@pytest.mark.parametrize("case", cases("group_sequential_spending"), ids=name)
def test_boundaries_reference_cases_through_the_analysis(case):
    plan, times = spending_plan(case), case["input"]["information"]
    exp = experiment(metric("x"), plan=plan.to_dict())
    arms = {
        arm: Moments.from_summary(["x"], n=500, mean=[mean], cov=[[4.0]])
        for arm, mean in (("A", 10.0), ("B", 10.3))
    }
    for k, want in enumerate(case["expected"]["boundary"], 1):
        found = analyze_from_moments(arms, exp, look=plan.look(times[:k]))
        (effect,) = found.effects
        assert effect.plan == "group_sequential"
        assert effect.critical == pytest.approx(want, rel=case["tolerance_rel"])
        half = (effect.ci_adj_high - effect.ci_adj_low) / 2
        assert half / effect.se == pytest.approx(want, rel=case["tolerance_rel"])
        inside = effect.lift_low < 0 < effect.lift_high
        assert inside == (effect.ci_low < 0 < effect.ci_high)


# -- one test, whatever is shown ---------------------------------------------------

STATISTICS = st.floats(-8, 8)
TIMES = st.lists(st.floats(0.02, 1.0), min_size=1, max_size=4, unique=True).map(sorted)
LEVELS = st.sampled_from([0.05, 0.025, 0.01, 0.2])


@settings(max_examples=40, deadline=None)
@given(STATISTICS, TIMES, LEVELS, st.sampled_from(range(6)))
def test_p_interval_and_lift_say_the_same(z, times, level, which):
    times = [
        t for t, before in zip(times, [0, *times], strict=False) if t - before > 0.01
    ]
    look = every_plan()[which].look(times or [1.0], alpha=0.05)
    read = contrast(z, 1.0, mean=100.0)
    p, bound = look.p_value(read), look.critical(level)
    ends, lift = look.interval(read, level), look.lift_interval(read, level)
    if bound is None:
        assert ends is None
        assert lift is None
        assert p > level
        return
    if abs(abs(z) - bound) < 1e-6:
        return
    out = not ends[0] <= 0 <= ends[1]
    assert out == (abs(z) > bound) == (p <= level) == look.crosses(read, level)
    assert out == (not lift[0] <= 0 <= lift[1])


@settings(max_examples=20, deadline=None)
@given(STATISTICS, st.sampled_from(range(6)))
def test_swapping_arms_flips_the_interval(z, which):
    look = every_plan()[which].look([0.3, 0.6])
    one, two = contrast(z, 1.0), contrast(z, 1.0)
    two = Contrast(one.treatment, one.control)
    assert look.p_value(one) == pytest.approx(look.p_value(two), rel=1e-9)
    (low, high), (back, front) = look.interval(one), look.interval(two)
    assert (low, high) == pytest.approx((-front, -back), rel=1e-9, abs=1e-12)


def test_a_fixed_plan_reads_the_methods_own_test():
    read = contrast(0.3, 0.1, df=12.0)
    look = Fixed().look([0.2, 0.9], alpha=0.1)
    assert look.interval(read) == read.interval(0.1)
    assert look.p_value(read) == read.p_value
    assert look.p_at_stop(read) is None


def test_the_p_value_at_a_stop_counts_earlier_looks():
    plan = GroupSequential(units=1000, looks=2)
    first = plan.look([0.5])
    assert first.with_past({}).p_at_stop(contrast(2.0, 1.0)) is None  # it goes on
    assert first.p_at_stop(contrast(2.0, 1.0)) is None  # nothing known of the past
    stop = first.with_past({}).p_at_stop(contrast(3.2, 1.0))
    assert stop == pytest.approx(2 * 0.000687, rel=1e-3)  # first look: as it stands
    last = plan.look([0.5, 1.0])
    quiet = last.with_past({0.5: 1.0}).p_at_stop(contrast(2.2, 1.0))
    bounds = plan.boundaries(last, 0.05)
    early = crossing(bounds.information, bounds.upper, bounds.lower).upper[0]
    assert 2 * early < quiet < 0.05
    assert last.with_past({0.5: 3.2}).p_at_stop(contrast(2.2, 1.0)) is None
    assert last.with_past({0.5: None}).p_at_stop(contrast(2.2, 1.0)) is None


# -- multiplicity composes with the plan -------------------------------------------


@pytest.mark.parametrize("plan", every_plan()[1:], ids=lambda p: p.kind)
def test_alpha_is_split_before_it_is_spent(plan):
    exp = experiment(metric("x"), metric("y"), plan=plan.to_dict())
    cov = [[4.0, 0.0], [0.0, 4.0]]
    arms = {
        "A": Moments.from_summary(["x", "y"], n=400, mean=[10.0, 10.0], cov=cov),
        "B": Moments.from_summary(["x", "y"], n=400, mean=[10.9, 10.05], cov=cov),
    }
    look = plan.look([0.3, 0.6])
    x, y = analyze_from_moments(arms, exp, look=look).effects
    assert x.critical == look.critical(0.025)  # the first of two
    assert y.critical == look.critical(0.05)  # what is left for the other
    assert (x.level, y.level) == (0.975, 0.95)
    for effect in (x, y):
        assert effect.p_value <= effect.p_adj
        out = not effect.ci_adj_low <= 0 <= effect.ci_adj_high
        assert out == (effect.p_adj <= 0.05)
    assert x.ci_adj_low < x.ci_low < x.estimate


def test_a_margin_is_held_against_the_interval_of_the_plan():
    guard = metric("g", role="guardrail", good="up", margin=0.05)
    exp = experiment(metric("x"), guard, plan={"kind": "always_valid", "units": 1000})
    cov = [[4.0, 0.0], [0.0, 4.0]]
    arms = {
        arm: Moments.from_summary(["x", "g"], n=800, mean=[10.0, 10.0], cov=cov)
        for arm in "AB"
    }
    *_, effect = analyze_from_moments(arms, exp).effects
    assert effect.noninferior is (effect.lift_adj_low > -0.05)
    assert effect.noninferior is (effect.p_noninferior <= 0.025)
    early = analyze_from_moments(arms, exp, look=exp.plan.look([0.05])).effects[-1]
    assert early.p_noninferior > effect.p_noninferior
    assert early.lift_adj_low < effect.lift_adj_low


# -- errors ------------------------------------------------------------------------


def rates(plan, paths, looks, alpha=0.05):
    """Share of null paths that cross at some look."""
    rng = default_rng(20260301)
    times = np.arange(1, looks + 1) / looks
    steps = rng.normal(size=(paths, looks)) / sqrt(looks)
    z = np.cumsum(steps, axis=1) / np.sqrt(times)
    bounds = [plan.look(times[: k + 1], alpha=alpha).critical() for k in range(looks)]
    limits = np.array([inf if b is None else b for b in bounds])
    return float((np.abs(z) > limits).any(axis=1).mean())


@pytest.mark.parametrize("plan", every_plan()[1:], ids=lambda p: p.kind)
def test_looking_every_day_errs_no_more_often_than_promised(plan):
    paths = 20_000
    error = sqrt(0.05 * 0.95 / paths)
    found = rates(plan, paths, looks=28)
    assert found <= 0.05 + 3 * error
    if plan.kind == "group_sequential":
        assert found >= 0.05 - 3 * error


def test_looking_every_day_at_a_fixed_plan_errs_often():
    assert rates(Fixed(), 5_000, looks=28) > 0.2


# -- when one looks ----------------------------------------------------------------


def days(*numbers):
    return tuple(START + (n - 1) * DAY for n in numbers)


GROWTH = {START + k * DAY: 100 * (k + 1) for k in range(10)}  # 1000 on the tenth day


@pytest.mark.parametrize(
    ("looks", "until", "want"),
    [
        ("daily", 3, days(1, 2, 3)),
        ("weekly", 9, days(7)),
        ("weekly", 12, days(7, 10, 11, 12)),  # the planned size: the last look is due
        (2, 9, days(5)),
        ((0.25, 1.0), 9, days(3)),
        ((0.25, 1.0), 11, days(3, 10, 11)),
        (days(2, 6), 4, days(2)),
        (days(2, 6), 8, days(2, 6, 7, 8)),  # read late
    ],
)
def test_the_days_of_the_looks(looks, until, want):
    plan = GroupSequential(units=1000, looks=looks)
    last = START + (until - 1) * DAY
    assert plan.look_days(GROWTH, start=START, until=last) == want
    watched = AlwaysValid(units=1000, looks=looks)
    assert watched.look_days(GROWTH, start=START, until=last)[-1] == last


def test_the_last_look_read_late_spends_what_is_left():
    plan = GroupSequential(units=1000)
    on_time, late = plan.look([0.5, 1.0]), plan.look([0.5, 1.0, 1.1, 1.3])
    assert late.information == (0.5, 1.3)
    assert on_time.final
    assert late.final
    dated = GroupSequential(units=1000, looks=days(2, 6))
    due = dated.look_on([(days(2)[0], 0.3), (days(6)[0], 0.7)], alpha=0.05)
    assert due.final  # the day, not the size
    after = [(days(2)[0], 0.3), (days(6)[0], 0.7), (days(8)[0], 0.8)]
    assert dated.look_on(after, alpha=0.05).information == (0.3, 0.8)


def test_looks_without_news_cost_nothing():
    look = AlwaysValid(units=1000).look([0.0, 0.0, 0.2, 0.2, 0.2, 0.4])
    assert look.information == (0.2, 0.4)
    none = GroupSequential(units=1000).look([0.0])
    assert none.critical() is None
    assert none.interval(contrast(9.0, 1.0)) is None
    assert none.p_value(contrast(9.0, 1.0)) == 1.0


# -- as objects and in the declaration ---------------------------------------------


@pytest.mark.parametrize("plan", every_plan(), ids=lambda p: p.kind)
def test_a_plan_survives_its_file(plan):
    exp = experiment(plan=plan.to_dict())
    assert exp.plan == plan
    assert Experiment.from_dict(exp.to_dict()) == exp
    assert has(plan.label)


def test_look_times_survive_the_file():
    for looks in (5, "weekly", (0.2, 1.0), (date(2026, 2, 7), date(2026, 2, 28))):
        plan = GroupSequential(units=9, looks=looks)
        assert experiment(plan=plan.to_dict()).plan == plan


@pytest.mark.parametrize(
    ("build", "code", "message"),
    [
        (AlwaysValid, "missing_key", "units is missing"),
        (lambda: Fixed(units=0), "out_of_range", "1 or more"),
        (lambda: GroupSequential(units=9, looks=(0.5, 0.2)), "bad_looks", "rise to 1"),
        (lambda: GroupSequential(units=9, spending="obf"), "not_a_choice", "pocock"),
        (lambda: Hybrid(units=9, monitor_share=1.0), "out_of_range", "below 1"),
        (lambda: Fixed().look([]), "information_out_of_range", "must not fall"),
        (lambda: Fixed().look([0.4, 0.2]), "information_out_of_range", "0.2"),
        (lambda: Fixed().look([1.0], alpha=5), "alpha_out_of_range", "alpha is 5"),
    ],
)
def test_faults(build, code, message):
    with pytest.raises(ParameterError, match=message) as info:
        build()
    assert info.value.code == code


def test_only_a_sequential_plan_ships_or_stops_early():
    near = {"A": 10.0, "B": 11.0}
    cov = [[4.0]]
    arms = {
        arm: Moments.from_summary(["x"], n=300, mean=[mean], cov=cov)
        for arm, mean in near.items()
    }
    split = check_split_from_counts({"A": 300, "B": 300})
    for plan in every_plan(units=2000):
        exp = experiment(metric("x", mde=0.05), plan=plan.to_dict())
        found = analyze_from_moments(arms, exp, days=14)
        assert decide(found, split).outcome == (
            "ship" if plan.sequential else "iterate"
        )
        worse = dict(zip(arms, reversed(arms.values()), strict=True))
        lost = analyze_from_moments(worse, exp, days=3)
        assert decide(lost, split).outcome == ("keep" if plan.sequential else "iterate")


def test_the_leading_arm_is_separated_by_the_plan_too():
    cov = [[4.0]]
    arms = {
        arm: Moments.from_summary(["x"], n=300, mean=[mean], cov=cov)
        for arm, mean in (("A", 10.0), ("B", 11.0), ("C", 11.4))
    }
    split = check_split_from_counts(dict.fromkeys("ABC", 300))
    ties = {}
    for plan in (Fixed(units=900), AlwaysValid(units=900)):
        keys = {"arms": dict.fromkeys("ABC", 1), "plan": plan.to_dict()}
        found = analyze_from_moments(arms, experiment(metric("x"), **keys), days=14)
        decision = decide(found, split)
        assert decision.arm == "C"
        ties[plan.kind] = [r.code for r in decision.reasons]
    assert "best_arm_not_separated" not in ties["fixed"]  # z is 2.4
    assert "best_arm_not_separated" in ties["always_valid"]


@pytest.mark.parametrize(
    "plan",
    [GroupSequential(units=4000, looks=5), AlwaysValid(units=4000), Hybrid(units=4000)],
    ids=lambda p: p.kind,
)
def test_with_few_units_an_arm_a_plan_only_shows_the_difference(plan):
    def read(n, look):
        arms = {
            arm: Moments.from_summary(["m"], n=k, mean=[mean], cov=[[1.0]])
            for arm, mean, k in (("A", 0.0, 5000), ("B", 9.0, n))
        }
        exp = experiment(metric(role="goal", margin=0.1), plan=plan.to_dict())
        return analyze_from_moments(arms, exp, look=look)

    early = plan.look([0.2], alpha=0.05)
    found = read(99, early)
    (effect,) = found.effects
    assert (effect.estimate, effect.p_value, effect.p_adj) == (9.0, 1.0, 1.0)
    assert (effect.ci_low, effect.ci_adj_low, effect.critical) == (None, None, None)
    assert not effect.better
    (said,) = [n for n in found.notices if n.code == "few_to_watch"]
    assert dict(said.args) == {"metric": "m", "arm": "B", "units": 99, "limit": 100}
    enough = read(100, early)
    assert enough.effects[0].better
    assert "few_to_watch" not in [n.code for n in enough.notices]
    if plan.ends:  # the last look concludes from what there is
        assert read(99, plan.look([0.2, 1.0], alpha=0.05)).effects[0].better


def test_information_may_be_precision_instead_of_units():
    plan = GroupSequential(units=4000, looks=4)
    by_units = plan.look([0.25, 0.5])
    se = [0.1 / 0.25**0.5, 0.1 / 0.5**0.5]
    by_precision = plan.look_by_precision(se, planned_se=0.1)
    assert by_precision.information == pytest.approx(by_units.information)
    assert by_precision.critical() == pytest.approx(by_units.critical(), rel=1e-9)
    noisier = plan.look_by_precision([0.2, 0.21, 0.15], planned_se=0.1)
    assert noisier.information == pytest.approx((0.25, (0.1 / 0.15) ** 2))
    assert plan.look_by_precision([0.09], planned_se=0.1).final
    with pytest.raises(ParameterError, match="above 0 and finite"):
        plan.look_by_precision([0.0], planned_se=0.1)
