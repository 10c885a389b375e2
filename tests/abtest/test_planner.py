import json
from dataclasses import replace
from datetime import date, timedelta
from math import ceil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import default_rng

import growth
from growth import synth
from growth.abtest import (
    AlwaysValid,
    Baseline,
    Fixed,
    GroupSequential,
    Hybrid,
    analyze,
    load_experiment,
    plan,
    plan_from_numbers,
)
from growth.errors import DataError, ParameterError
from growth.result import Notice
from growth.stats.always_valid import planned_critical
from growth.stats.clusters import design_effect
from growth.stats.group_sequential import inflation, spending_boundaries
from growth.stats.power import size_proportion, size_t
from tests.abtest.golden import cases
from tests.abtest.made import codes, experiment, metric

TRAFFIC = cases("duration_from_history")[0]["input"]["cumulative_new_units_by_day"]


def mean(name="m", **keys):
    return Baseline(**{"name": name, "mean": 10.0, "sd": 10.0, "mde": 0.1, **keys})


def units(*metrics, **keys):
    return plan_from_numbers(metrics, **keys).units


# -- size ----------------------------------------------------------------------------


def test_published_sizes():
    (case,) = cases("power_proportion")
    up = Baseline(name="p", kind="proportion", mean=0.5, mde=0.5)
    need = plan_from_numbers([up], power=0.9).needs[0]
    assert need.units_control == ceil(case["expected"]["n_0.5_0.75_power_0.9"])
    down = Baseline(name="p", kind="proportion", mean=0.03, mde=1 / 3, good="down")
    need = plan_from_numbers([down]).needs[0]
    assert need.units_control == ceil(case["expected"]["n_0.03_0.02_power_0.8"])
    assert need.effect == pytest.approx(-0.01)
    (*_, total) = cases("power_t_two_sample")
    given_ = total["input"]
    one = mean(sd=given_["sd"], mde=given_["delta"] / 10)
    assert units(one) == pytest.approx(total["expected"]["n_total"], abs=1)


def test_a_plan_of_one_mean_is_the_t_test():
    found = plan_from_numbers([mean()])
    n = ceil(size_t(1.0, 10.0))
    (need,) = found.needs
    assert (need.units, need.units_control, need.units_treatment) == (2 * n, n, n)
    assert (need.alpha, need.power, need.effect, need.test) == (
        0.05,
        0.8,
        1.0,
        "difference",
    )
    assert found.verdict == "abtest.planning.size_only"
    assert found.weeks is None
    assert found.by_week == ()


def test_adjustment_and_clusters_scale_the_variance():
    (case,) = cases("power_mean")
    rho = case["input"]["rho"]
    plain = units(mean())
    assert units(mean(r_squared=rho**2)) == pytest.approx(plain * (1 - rho**2), abs=4)
    sizes = (3.0, 5.0, 8.0, 4.0, 20.0, 10.0)
    effect = cases("cluster_design_effect")[0]["expected"]["design_effect"]
    clustered = mean(cluster_sizes=sizes, icc=0.05)
    assert units(clustered) == pytest.approx(plain * effect, abs=4)
    need = plan_from_numbers([clustered]).needs[0]
    assert need.design_effect == design_effect(sizes, icc=0.05)
    share = Baseline(name="p", kind="proportion", mean=0.1, mde=0.1)
    assert units(share) == 2 * ceil(size_proportion(0.1, 0.11))
    adjusted = replace(share, r_squared=0.3)
    assert units(adjusted) == pytest.approx(0.7 * units(share), rel=0.06)


def test_arms_goals_and_scope_split_alpha():
    two = [mean(), mean("n")]
    alphas = {
        (scope, len(arms)): plan_from_numbers(two, arms=arms, scope=scope)
        .needs[0]
        .alpha
        for scope in ("experiment", "metric")
        for arms in ({"A": 1, "B": 1}, {"A": 1, "B": 1, "C": 1})
    }
    assert alphas == {
        ("experiment", 2): 0.025,
        ("experiment", 3): 0.0125,
        ("metric", 2): 0.05,
        ("metric", 3): 0.025,
    }
    three = plan_from_numbers([mean()], arms={"A": 1, "B": 1, "C": 1, "old": 0})
    n = ceil(size_t(1.0, 10.0, alpha=0.025))
    assert three.needs[0].units == 3 * n


def test_uneven_arms_plan_for_the_smallest():
    found = plan_from_numbers([mean()], arms={"A": 6, "B": 3, "C": 1}, control="A")
    (need,) = found.needs
    assert need.arm == "C"
    n = size_t(1.0, 10.0, alpha=0.025, ratio=1 / 6)
    assert need.units_control == ceil(n)
    assert need.units_treatment == ceil(n / 6)
    assert need.units == pytest.approx(n * 10 / 6, abs=3)


def test_guardrails_are_margins_that_share_beta():
    guard = mean("g", role="guardrail", mde=None, margin=0.05)
    one = plan_from_numbers([mean(), guard]).needs[1]
    assert (one.test, one.alpha, one.power, one.effect) == ("margin", 0.05, 0.8, 0.5)
    both = plan_from_numbers([mean(), guard, replace(guard, name="h")]).needs
    assert [need.power for need in both] == [0.8, 0.9, 0.9]
    assert both[1].units > one.units
    absolute = mean("g", role="guardrail", margin=0.5, margin_kind="absolute")
    wide = plan_from_numbers([mean(), absolute]).needs[1]
    # a relative margin spares the control's error: (1 - 0.05)**2 of its variance
    assert one.units == pytest.approx(wide.units * (1 + 0.95**2) / 2, rel=1e-3)


def test_no_harm_plans_the_goals_margin():
    goal = mean(mde=None, margin=0.02)
    found = plan_from_numbers([goal], objective="no_harm")
    assert found.needs[0].test == "margin"
    assert found.needs[0].effect == pytest.approx(0.2)
    asks_nothing = plan_from_numbers([goal])
    assert asks_nothing.verdict == "abtest.planning.no_target"
    assert codes(asks_nothing) == ["no_effect_named"]


def inflation_of(family):
    looks = spending_boundaries([0.2, 0.4, 0.6, 0.8, 1.0], family=family)
    return inflation(looks).max_n_ratio


@pytest.mark.parametrize(
    ("scheme", "price"),
    [
        (GroupSequential(units=100, looks=5), inflation_of("obf")),
        (
            GroupSequential(units=100, looks=5, spending="pocock"),
            inflation_of("pocock"),
        ),
        (
            AlwaysValid(units=100),
            ((planned_critical(1.0) + 0.8416212) / (1.9599640 + 0.8416212)) ** 2,
        ),
        (Hybrid(units=100), ((2.0537489 + 0.8416212) / (1.9599640 + 0.8416212)) ** 2),
    ],
    ids=lambda v: getattr(v, "kind", ""),
)
def test_sequential_plans_cost_their_inflation(scheme, price):
    plain = units(mean(mde=0.02))
    assert units(mean(mde=0.02), scheme=scheme) == pytest.approx(
        plain * price, rel=2e-3
    )
    assert plan_from_numbers([mean()], scheme=scheme).scheme == scheme.kind


def test_missing_values_take_more_units_and_rare_ones_are_said():
    need = plan_from_numbers([mean(missing_rate=0.2)]).needs[0]
    assert need.units == pytest.approx(units(mean()) / 0.8, abs=2)
    rare = Baseline(name="p", kind="proportion", mean=0.001, mde=2.0)
    found = plan_from_numbers([rare])
    assert (
        Notice(
            "plan_few_nonzero",
            "warning",
            (("metric", "p"), ("units", int(found.units / 2 * 0.001))),
        )
        in found.notices
    )


# -- weeks ---------------------------------------------------------------------------


def test_the_published_duration():
    (case,) = cases("duration_from_history")
    need = case["input"]["n_total"]
    sd = 10 * (need / units(mean())) ** 0.5  # a metric that needs so many
    one = mean(sd=sd * 0.9999)
    assert units(one) == pytest.approx(need, abs=3)
    found = plan_from_numbers(
        [one], units_by_day=TRAFFIC, min_days=case["input"]["min_days"]
    )
    assert found.verdict == "abtest.planning.enough"
    assert (found.weeks, found.days) == (2, case["expected"]["days"])
    assert [w.units for w in found.by_week] == [TRAFFIC[6], TRAFFIC[13], TRAFFIC[20]]
    assert [w.enough for w in found.by_week] == [False, True, True]


def test_the_effect_seen_shrinks_by_week_and_reaches_its_power():
    found = plan_from_numbers([mean()], units_by_day=TRAFFIC)
    effects = [w.mde for w in found.by_week]
    assert effects == sorted(effects, reverse=True)
    (case,) = cases("mde_mean")
    given_ = case["input"]
    flat = [10_000.0] * 7
    uneven = plan_from_numbers(
        [mean(sd=2.0)], arms={"A": 9, "B": 1}, units_by_day=flat
    ).by_week[0]
    assert uneven.mde == pytest.approx(case["expected"]["mde"], rel=1e-9)
    assert uneven.units == given_["n_control"] + given_["n_treatment"]
    powers = [w.power for w in found.by_week]
    assert powers == sorted(powers)
    assert all(
        (p >= 0.8) == w.enough for p, w in zip(powers, found.by_week, strict=True)
    )


def test_windows_and_coverage_delay_and_min_days_hold():
    plain = plan_from_numbers([mean(mde=0.12)], units_by_day=TRAFFIC, min_days=7)
    waiting = plan_from_numbers(
        [mean(mde=0.12, window_days=7)], units_by_day=TRAFFIC, min_days=7
    )
    assert (plain.weeks, waiting.weeks) == (1, 2)
    assert [w.units for w in waiting.by_week] == [0, TRAFFIC[6], TRAFFIC[13]]
    assert waiting.by_week[0].mde is None
    half = plan_from_numbers([mean(mde=0.12)], units_by_day=TRAFFIC, coverage=0.5)
    assert [w.units for w in half.by_week] == [n // 2 for n in TRAFFIC[6::7]]
    late = plan_from_numbers([mean(mde=0.12)], units_by_day=TRAFFIC, min_days=15)
    assert late.weeks == 3


def test_too_long_and_too_little_history_are_told_apart():
    far = [mean(mde=0.02)]
    short = plan_from_numbers(far, units_by_day=TRAFFIC)
    assert short.verdict == "abtest.planning.history_too_short"
    long = plan_from_numbers(far, units_by_day=TRAFFIC, max_weeks=3)
    assert long.verdict == "abtest.planning.too_long"
    assert long.units == units(*far)
    assert (long.weeks, long.days) == (None, None)


def test_every_metric_must_have_its_units():
    found = plan_from_numbers(
        [
            mean(mde=0.09),
            mean("slow", mde=0.075),
            mean("d", role="diagnostic", mde=None),
        ],
        units_by_day=TRAFFIC,
        min_days=7,
    )
    weeks = {need.metric: need.weeks for need in found.needs}
    assert weeks == {"m": 2, "slow": 3, "d": None}
    assert found.weeks == 3
    assert found.units == max(need.units for need in found.needs if need.units)


@pytest.mark.parametrize("looks", ["weekly", "daily", (0.4, 1.0)], ids=str)
def test_looks_follow_the_traffic(looks):
    scheme = GroupSequential(units=100, looks=looks)
    plain = plan_from_numbers([mean()], units_by_day=TRAFFIC)
    found = plan_from_numbers([mean()], units_by_day=TRAFFIC, scheme=scheme)
    assert plain.units < found.units < 1.15 * plain.units


def test_power_curves_pass_through_the_effect_that_was_asked():
    found = plan_from_numbers([mean(), mean("g", role="guardrail", margin=0.1)])
    at = {(p.metric, round(p.effect_relative, 3)): p.power for p in found.curve}
    assert at["m", 0.1] == pytest.approx(0.8, abs=2e-3)
    rising = [p.power for p in found.curve if p.metric == "m"]
    assert rising == sorted(rising)
    assert at["g", 0.1] >= 0.8


@given(
    st.floats(0.01, 0.5),
    st.floats(0.02, 0.5),
    st.sampled_from([Fixed(), Hybrid(units=9), GroupSequential(units=9, looks=3)]),
    st.integers(1, 4),
)
def test_what_is_planned_is_what_a_week_of_that_size_has(rate, mde, scheme, arms):
    goal = Baseline(name="p", kind="proportion", mean=rate, mde=mde)
    weights = {"c": 1.0, **{f"t{i}": 1.0 for i in range(arms)}}
    size = units(goal, arms=weights, scheme=scheme)
    enough = plan_from_numbers(
        [goal], arms=weights, scheme=scheme, units_by_day=[size] * 14
    )
    assert enough.verdict == "abtest.planning.enough"
    assert enough.by_week[-1].mde_relative == pytest.approx(mde, rel=0.02)
    short = plan_from_numbers(
        [goal],
        arms=weights,
        scheme=scheme,
        units_by_day=[size * 0.97] * 14,
        max_weeks=2,
    )
    assert short.verdict == "abtest.planning.too_long"


# -- misuse --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metrics", "keys", "code", "name"),
    [
        ([mean(sd=None)], {}, "missing_key", "metric[m].sd"),
        ([mean(sd=0.0)], {}, "no_variance", "metric[m].sd"),
        ([mean(mean=0.0)], {}, "plan_out_of_range", "metric[m].mean"),
        ([mean(mde=-0.1)], {}, "plan_out_of_range", "metric[m].mde"),
        ([mean(r_squared=1.0)], {}, "plan_out_of_range", "metric[m].r_squared"),
        ([mean(icc=0.1)], {}, "bad_sizes", "metric[m].cluster_sizes"),
        (
            [Baseline(name="p", kind="proportion", mean=0.9, mde=0.2)],
            {},
            "plan_out_of_range",
            "metric[p].mde",
        ),
        (
            [Baseline(name="p", kind="proportion", mean=3.0)],
            {},
            "plan_out_of_range",
            "metric[p].mean",
        ),
        ([mean(), mean()], {}, "duplicate_name", "metrics"),
        ([], {}, "no_metrics", "metrics"),
        ([mean()], {"alpha": 5}, "plan_out_of_range", "alpha"),
        ([mean()], {"power": 0.01}, "plan_out_of_range", "power"),
        ([mean()], {"coverage": 0}, "plan_out_of_range", "coverage"),
        ([mean()], {"arms": {"A": 1}}, "bad_weights", "arms"),
        ([mean()], {"control": "controll"}, "bad_weights", "arms"),
        ([mean()], {"units_by_day": [5, 3]}, "bad_traffic", "units_by_day"),
    ],
)
def test_faults_are_named(metrics, keys, code, name):
    with pytest.raises(ParameterError, match=r"fault\(s\)") as info:
        plan_from_numbers(metrics, **keys)
    assert (code, name) in {(f.code, f.name) for f in info.value.faults}


def test_all_faults_are_found_at_once():
    with pytest.raises(ParameterError, match=r"4 fault\(s\)") as info:
        plan_from_numbers([mean(sd=0.0)], alpha=2, min_days=0, power=3)
    assert len(info.value.faults) == 4


def test_a_plan_shows_itself():
    found = plan_from_numbers([mean()], units_by_day=TRAFFIC)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["units"]
    html = found.to_html("zh")
    assert html.count("<table>") == 2
    assert "最小可检出" in html
    assert {row["metric"] for row in found.rows()} == {"m"}
    assert len(found.week_rows()) == 3
    assert found.curve_rows()[0]["metric"] == "m"
    keys = [e.key for e in found.estimates()]
    assert keys == ["plan.units", "plan.weeks", "m.mde"]


# -- from history --------------------------------------------------------------------


def people(n=4000, days=28, seed=0):
    rng = default_rng(seed)
    pre = rng.lognormal(3, 1, n)
    visits = 1 + rng.poisson(2, n)
    day = np.minimum(rng.exponential(days / 3, n).astype(int), days - 1)
    start = date(2026, 1, 1)
    return pd.DataFrame(
        {
            "unit_id": [f"u{i}" for i in range(n)],
            "exposure_ds": [start + timedelta(days=int(d)) for d in day],
            "paid": (rng.random(n) < 0.2).astype(int),
            "spent": pre + rng.lognormal(3, 1, n),
            "orders": rng.binomial(visits, 0.3),
            "visits": visits,
            "ms": rng.lognormal(6, 0.5, n),
            "pre": pre,
            "store": rng.integers(0, 80, n),
        }
    )


PAID = metric("paid", kind="proportion", mde=0.1)
SPENT = metric("spent", mde=0.1, covariates=["pre"])
RATIO = metric(
    "per_visit",
    kind="ratio",
    mde=0.1,
    numerator={"column": "orders"},
    denominator={"column": "visits"},
)
SLOW = metric("ms", kind="quantile", q=0.9, role="guardrail", good="down", margin=0.05)


def test_a_table_gives_each_metrics_own_variance():
    frame = people()
    exp = experiment(PAID, SPENT, RATIO, SLOW)
    found = plan(frame.drop(columns="exposure_ds"), exp)
    assert found.verdict == "abtest.planning.size_only"
    by_name = {need.metric: need for need in found.needs}
    p = frame.paid.mean()
    assert by_name["paid"].mean == pytest.approx(p)
    assert by_name["paid"].units == 2 * ceil(
        size_proportion(p, 1.1 * p, alpha=0.05 / 3)
    )
    r2 = np.corrcoef(frame.spent, frame.pre)[0, 1] ** 2
    assert by_name["spent"].r_squared == pytest.approx(r2, rel=1e-6)
    assert by_name["spent"].sd == pytest.approx(frame.spent.std() * (1 - r2) ** 0.5)
    ratio = frame.orders.sum() / frame.visits.sum()
    linear = (frame.orders - ratio * frame.visits) / frame.visits.mean()
    assert by_name["per_visit"].mean == pytest.approx(ratio)
    assert by_name["per_visit"].sd == pytest.approx(linear.std())
    ms = by_name["ms"]
    assert ms.mean == frame.ms.quantile(0.9, interpolation="inverted_cdf") or ms.mean
    density = np.exp(-0.5 * 1.2816**2) / (0.5 * ms.mean * (2 * np.pi) ** 0.5)
    assert ms.sd == pytest.approx(0.3 / density, rel=0.25)
    assert ms.test == "margin"


def test_the_plan_gives_the_standard_error_the_analysis_then_has():
    """Power is drift over se: both sides of the same formula, on the same units."""
    frame = people(8000)
    exp = experiment(SPENT, RATIO, se="moments")
    needs = {n.metric: n for n in plan(frame.drop(columns="exposure_ds"), exp).needs}
    arms = np.where(default_rng(1).random(8000) < 0.5, "A", "B")
    for effect in analyze(frame.assign(variant=arms), exp, by=[]).effects:
        n0, n1 = effect.n_control, effect.n_treatment
        planned = needs[effect.metric].sd * (1 / n0 + 1 / n1) ** 0.5
        assert effect.se == pytest.approx(planned, rel=0.05)


def test_days_of_exposure_give_weeks():
    frame = people()
    exp = experiment({**PAID, "mde": 0.2}, coverage=0.5)
    found = plan(frame, exp, max_weeks=4)
    first = frame.exposure_ds.min()
    counts = [
        int((frame.exposure_ds < first + timedelta(days=7 * w)).sum() / 2)
        for w in range(1, 5)
    ]
    weeks = [w.units for w in found.by_week]
    assert weeks == counts[: len(weeks)]
    assert len(weeks) >= 3
    assert "values_of_now" in codes(found)
    assert found.known_weeks == len(weeks)


def test_windows_of_a_ready_table_wait():
    frame = people()
    exp = experiment({**PAID, "window_days": 7})
    found = plan(frame, exp)
    first = frame.exposure_ds.min()
    assert found.by_week[0].units == int((frame.exposure_ds <= first).sum())
    assert found.by_week[1].units == int(
        (frame.exposure_ds <= first + timedelta(days=7)).sum()
    )


def test_traffic_may_be_given_beside_a_table():
    frame = people().drop(columns="exposure_ds")
    exp = experiment({**PAID, "window_days": 7}, min_days=7, coverage=0.5)
    daily = [1000.0 * d for d in range(1, 57)]
    found = plan(frame, exp, units_by_day=daily)
    assert [w.units for w in found.by_week][:3] == [0, 3500, 7000]
    assert found.verdict == "abtest.planning.enough"


def test_clusters_are_counted_as_units():
    frame = people().drop(columns="exposure_ds")
    exp = experiment({**PAID, "mde": 0.3}, unit="cluster", cluster="store")
    (need,) = plan(frame, exp).needs
    stores = frame.groupby("store").paid.agg(["sum", "count"])
    ratio = stores["sum"].sum() / stores["count"].sum()
    linear = (stores["sum"] - ratio * stores["count"]) / stores["count"].mean()
    assert need.sd == pytest.approx(linear.std())
    assert need.mean == pytest.approx(ratio)


def test_capped_values_are_planned_where_they_decide():
    frame = people().drop(columns="exposure_ds")
    spent = {**SPENT, "covariates": []}
    plain = plan(frame, experiment(spent)).needs[0]
    capped = plan(frame, experiment({**spent, "cap": {"upper": 0.95}})).needs[0]
    assert capped.sd < plain.sd
    assert capped.mean < plain.mean


def test_a_constant_metric_says_what_to_look_at():
    frame = people().drop(columns="exposure_ds").assign(paid=0)
    with pytest.raises(ParameterError, match="does not vary") as info:
        plan(frame, experiment(PAID))
    assert info.value.faults[0].code == "no_variance"


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plan") / "sample"
    synth.sample(folder, seed=5, users=800)
    exp = load_experiment(folder / "experiments" / "home_layout.toml")
    return growth.open(folder), exp


def test_a_dataset_is_read_week_by_week(sample):
    data, exp = sample
    seen = {"table": "events", "event": "page_view"}
    found = plan(data, exp, as_of=date(2026, 1, 31), weeks=3, seen=seen)
    views = data.events.filter(data.events.event == "page_view")
    rows = views.select("user_id", "ts").to_pyarrow().to_pylist()
    start = date(2026, 1, 11)
    met = {}
    for row in rows:
        day = (row["ts"] + timedelta(hours=8)).date()
        if day >= start:
            met[row["user_id"]] = min(day, met.get(row["user_id"], day))
    first = np.array([*met.values()])
    by_week = {(w.week, w.metric): w.units for w in found.by_week}
    for week in (1, 2, 3):
        end = start + timedelta(days=7 * week)
        # seven whole days since the instant of exposure: to within a day's units
        low, high = (int((first < end - timedelta(days=7 + k)).sum()) for k in (0, -1))
        assert low <= by_week[week, "revenue"] <= high
    assert found.known_weeks == 3
    assert {n.metric for n in found.needs} == {m.name for m in exp.metrics}
    pay = next(n for n in found.needs if n.metric == "pay_rate")
    assert 0.1 < pay.mean < 0.4
    assert found.verdict == "abtest.planning.history_too_short"


def test_a_dataset_needs_a_last_day_and_somebody_seen(sample):
    data, exp = sample
    with pytest.raises(ParameterError, match="history's last day") as info:
        plan(data, exp)
    assert info.value.code == "bad_as_of"
    with pytest.raises(ParameterError, match="1 or more") as info:
        plan(data, exp, as_of=date(2026, 1, 31), weeks=0)
    assert info.value.code == "bad_weeks"
    with pytest.raises(DataError, match="nobody was seen") as info:
        plan(data, exp, as_of=date(2020, 1, 31), weeks=1)
    assert info.value.code == "no_units"
    with pytest.raises(ParameterError, match=r"seen\.evnt"):
        plan(data, exp, as_of=date(2026, 1, 31), seen={"table": "events", "evnt": "x"})
