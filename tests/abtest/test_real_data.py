"""Public experiments, through their mapping and declaration, as they were published.

Numbers: MANIFEST.md of the data's folder. Our sign is treatment minus control.
"""

from datetime import date
from pathlib import Path

import pytest

import growth
from growth.abtest import analyze, check_split, decide, load_experiment
from tests.abtest.made import codes

pytestmark = pytest.mark.real_data

FILES = Path(__file__).parent / "experiments"


@pytest.fixture(scope="module")
def cookie_cats(real_data, tmp_path_factory):
    exp = load_experiment(FILES / "cookie_cats.toml")
    cache = tmp_path_factory.mktemp("cache")
    path = real_data("cookie_cats.csv")
    return growth.open(path, mapping=exp.mapping_path, cache=cache).units


@pytest.fixture(scope="module")
def udacity(real_data, tmp_path_factory):
    exp = load_experiment(FILES / "udacity.toml")
    cache = tmp_path_factory.mktemp("cache")
    path = real_data("udacity_ab_data.csv.zip")
    return growth.open(path, mapping=exp.mapping_path, cache=cache)


def test_cookie_cats_retention_as_published(cookie_cats):
    exp = load_experiment(FILES / "cookie_cats.toml")
    analysis = analyze(cookie_cats, exp)
    day1, day7, rounds = analysis.effects
    assert dict(analysis.arms) == {"gate_30": 44700, "gate_40": 45489}
    assert round(day1.mean_control, 4) == 0.4482
    assert round(day1.mean_treatment, 4) == 0.4423
    assert round(day1.p_value, 4) == 0.0744
    assert round(day7.mean_control, 4) == 0.1902
    assert round(day7.mean_treatment, 4) == 0.1820
    assert round(day7.p_value, 4) == 0.0016
    assert round(day7.estimate, 4) == -0.0082
    assert (round(day7.ci_low, 4), round(day7.ci_high, 4)) == (-0.0133, -0.0031)
    assert {day1.method, day7.method} == {"pooled"}
    assert (rounds.method, rounds.role) == ("welch", "diagnostic")
    assert day7.p_adj == pytest.approx(2 * day7.p_value, rel=1e-12, abs=0)  # Holm of 2
    assert analysis.verdict == "abtest.analyze.worse"
    assert "days_unknown" in codes(analysis)


@pytest.mark.parametrize(
    ("name", "split", "outcome", "reason"),
    [
        ("cookie_cats", "ok", "keep", "goal_worse:retention_7"),
        ("cookie_cats_strict", "mismatch", "invalid", "srm_failed"),
    ],
)
def test_cookie_cats_split_is_an_alarm_under_a_stricter_level(
    cookie_cats, name, split, outcome, reason
):
    exp = load_experiment(FILES / f"{name}.toml")
    check = check_split(cookie_cats, experiment=exp)
    assert round(check.p_value, 4) == 0.0086
    assert check.verdict == f"abtest.split.{split}"
    decision = decide(analyze(cookie_cats, exp), check)
    assert decision.outcome == outcome
    assert [str(r) for r in decision.reasons] == [reason]


def test_udacity_conversion_as_published(udacity):
    exp = load_experiment(FILES / "udacity.toml")
    (units,) = udacity.load_report.tables
    assert (units.rows_in, units.accepted) == (294_478, 290_584)
    assert dict(units.rejected) == {"inconsistent": 3893, "duplicate_key": 1}
    analysis = analyze(udacity.units, exp)
    (effect,) = analysis.effects
    assert round(effect.mean_control, 6) == 0.120386
    assert round(effect.mean_treatment, 6) == 0.118808
    assert round(effect.p_value, 3) == 0.190
    # published z is old minus new, 1.3109, with one-sided p 0.905 for "new is better"
    assert round(1 - effect.p_value / 2, 3) == 0.905
    assert round(effect.estimate, 6) == -0.001578
    assert analysis.verdict == "abtest.analyze.no_difference"
    assert (analysis.first_day, analysis.last_day) == (
        date(2017, 1, 2),
        date(2017, 1, 24),
    )
    assert analysis.days == 23
    check = check_split(udacity.units, experiment=exp)
    assert check.verdict == "abtest.split.ok"
    decision = decide(analysis, check)
    assert [str(r) for r in decision.reasons] == ["partial_week"]
