"""Agreement with gbstats and tea-tasting, where the method is the same.

Their answers are frozen in tests/golden/peers_abtest.json (bench/_abtest_peers.py asks
them, in an environment of their own): neither is a dependency, not even of the tests.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from growth import abtest
from growth.stats.contrast import ArmEstimate, Contrast
from growth.stats.multiplicity import adjust
from growth.stats.power import power_t
from tests.abtest.made import experiment, metric

FILE = Path(__file__).resolve().parent.parent / "golden" / "peers_abtest.json"
FROZEN = json.loads(FILE.read_text("utf-8"))
CASES = FROZEN["cases"]
GOALS = ("welch", "delta", "wald")
NEAR = {"rel": 1e-9, "abs": 0}


def name(case):
    return case["id"]


def asked(**keys):
    """Return the experiment whose metrics are named after their methods."""
    parts = {"numerator": {"column": "taps"}, "denominator": {"column": "views"}}
    metrics = [
        metric("welch", value={"column": "money"}),
        metric("cuped", value={"column": "money"}, covariates=["pre"]),
        metric("delta", kind="ratio", **parts),
        metric("wald", kind="proportion", value={"column": "paid"}),
        metric("pooled", kind="proportion", value={"column": "paid"}, test="pooled"),
    ]
    for one in metrics:
        one["role"] = "goal" if one["name"] in GOALS else "diagnostic"
    return experiment(*metrics, adjust="cuped", **keys)


def effects(case, exp):
    columns = case["columns"]
    ids = np.arange(len(columns["variant"]))
    units = pa.table({"unit_id": ids, **columns})
    return {e.metric: e for e in abtest.analyze(units, exp).effects}


@cache
def fixed(at):
    """Return what one reading of a table finds; three tests look at it."""
    return effects(CASES[at], asked())


def test_the_frozen_answers_are_of_named_versions():
    assert {"gbstats", "tea-tasting"} <= FROZEN["versions"].keys()
    assert len(CASES) == 10
    signs = {np.sign(c["answers"]["gbstats"]["welch"]["estimate"]) for c in CASES}
    assert signs == {-1.0, 1.0}


@pytest.mark.parametrize("at", range(len(CASES)))
def test_means_shares_ratios_and_cuped_agree_with_tea_tasting(at):
    want, found = CASES[at]["answers"]["tea-tasting"], fixed(at)
    for method in ("welch", "cuped", "delta", "wald", "pooled"):
        effect, told = found[method], want[method]
        assert effect.p_value == pytest.approx(told["pvalue"], **NEAR)
        ours = (effect.mean_control, effect.mean_treatment, effect.estimate)
        theirs = (told["control"], told["treatment"], told["effect_size"])
        assert ours == pytest.approx(theirs, **NEAR)
        assert effect.lift == pytest.approx(told["rel_effect_size"], **NEAR)
        ends = told["effect_size_ci_lower"], told["effect_size_ci_upper"]
        if method != "pooled":  # here an interval that inverts the pooled test
            assert (effect.ci_low, effect.ci_high) == pytest.approx(ends, **NEAR)


@pytest.mark.parametrize("at", range(len(CASES)))
def test_means_ratios_and_cuped_agree_with_gbstats(at):
    want, found = CASES[at]["answers"]["gbstats"], fixed(at)
    for method in ("welch", "cuped", "delta"):
        effect, told = found[method], want[method]
        assert effect.estimate == pytest.approx(told["estimate"], **NEAR)
        assert effect.se == pytest.approx(told["se"], **NEAR)
        ends = tuple(told["interval"])
        assert (effect.ci_low, effect.ci_high) == pytest.approx(ends, **NEAR)
        # there one minus the distribution function: no digits below 1e-16
        near = {"rel": 1e-9, "abs": 1e-15}
        assert effect.p_value == pytest.approx(told["pvalue"], **near)


@pytest.mark.parametrize("at", range(len(CASES)))
def test_always_valid_reading_agrees_with_gbstats(at):
    want, found = CASES[at]["answers"]["gbstats"], fixed(at)
    planned = FROZEN["planned_units"]
    units = len(CASES[at]["columns"]["variant"])
    # the arithmetic itself: with so few units an analysis would not conclude yet
    look = abtest.AlwaysValid(units=planned).look([units / planned])
    for method in ("welch", "cuped", "delta"):
        effect, told = found[method], want[f"{method}, sequential"]
        control = ArmEstimate(
            effect.n_control, effect.mean_control, effect.se_control**2
        )
        treatment = ArmEstimate(
            effect.n_treatment, effect.mean_treatment, effect.se_treatment**2
        )
        contrast = Contrast(control, treatment)
        ends = tuple(told["interval"])
        assert look.interval(contrast) == pytest.approx(ends, **NEAR)
        assert look.p_value(contrast) == pytest.approx(told["pvalue"], **NEAR)


@pytest.mark.parametrize("at", range(len(CASES)))
def test_posteriors_agree_with_gbstats(at):
    want, found = CASES[at]["answers"]["gbstats"], fixed(at)
    for method in ("welch", "delta"):
        told = want[f"{method}, posterior"]
        belief = found[method].posterior(tuple(FROZEN["prior"]))
        assert belief.chance_to_win == pytest.approx(told["chance_to_win"], **NEAR)
        assert (belief.mean, belief.sd) == pytest.approx(
            (told["mean"], told["sd"]), **NEAR
        )
        assert belief.interval == pytest.approx(tuple(told["interval"]), **NEAR)
        assert belief.expected_loss_keep == pytest.approx(told["loss_keep"], **NEAR)
        assert belief.expected_loss_ship == pytest.approx(told["loss_ship"], **NEAR)


@pytest.mark.parametrize("case", CASES, ids=name)
def test_splits_agree_with_both(case):
    arms = case["columns"]["variant"]
    counts = {arm: arms.count(arm) for arm in "AB"}
    two = abtest.check_split_from_counts(counts).p_value
    tea, gb = (case["answers"][peer] for peer in ("tea-tasting", "gbstats"))
    assert two == pytest.approx(tea["split"]["pvalue"], **NEAR)
    assert two == pytest.approx(gb["split of 2"]["pvalue"], **NEAR)
    three = gb["split of 3"]
    counts = dict(zip("ABC", three["units"], strict=True))
    planned = dict(zip("ABC", three["weights"], strict=True))
    found = abtest.check_split_from_counts(counts, planned=planned)
    assert found.p_value == pytest.approx(three["pvalue"], **NEAR)


@pytest.mark.parametrize("at", range(len(CASES)))
def test_adjusted_p_values_agree_with_tea_tasting(at):
    want = CASES[at]["answers"]["tea-tasting"]
    for method, told in want["holm"].items():
        assert fixed(at)[method].p_adj == pytest.approx(told, **NEAR)
    p = [fixed(at)[method].p_value for method in want["bh"]]
    told = list(want["bh"].values())
    assert adjust(p, "bh", 0.05).p_adj == pytest.approx(told, **NEAR)


@pytest.mark.parametrize("case", CASES, ids=name)
def test_power_agrees_with_tea_tasting(case):
    told = case["answers"]["tea-tasting"]["power"]
    money = np.array(case["columns"]["money"])
    power = power_t(told["effect"], money.std(ddof=1), len(money) / 2)
    assert power == pytest.approx(told["power"], **NEAR)
