"""The experiment readout's own pieces."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from growth.abtest import (
    UnitHistory,
    UnitTable,
    analyze,
    check_split,
    check_split_from_counts,
    decide,
)
from growth.charts.abtest import effect_interval, forest_chart
from growth.dataset import LoadReport, TableCount
from growth.errors import ParameterError
from growth.readout import abtest as room
from growth.result import Notice
from tests.charts.sample import aged, calibrated, experiment, looked, results

ANALYSIS, SPLIT, DECISION, TREND = results()
AGES, LOOKED, OWN = aged(), looked(), calibrated()


@pytest.mark.parametrize(
    ("lang", "title", "headline"),
    [
        ("en", "Home layout", "Ship waterfall"),
        ("zh", "首页布局", "建议全量：waterfall"),
    ],
)
def test_the_summary_says_what_to_do_and_why_in_words(lang, title, headline):
    html = room.summary(DECISION, ANALYSIS, SPLIT, lang=lang).html
    assert DECISION.outcome == "ship"
    assert f"<h1>{title}</h1>" in html
    assert f"<strong>{headline}</strong>" in html
    assert 'class="decision g"' in html
    assert html.count("<li>") >= 3
    assert html.count("<b>") == 4


def test_the_tiles_show_the_adjusted_intervals_with_their_level():
    effect = ANALYSIS.totals()[0]
    drawn = effect_interval(effect, ANALYSIS)
    html = room.summary(DECISION, ANALYSIS, SPLIT, lang="en").html
    assert f"{effect.level * 100:.4g}% interval {drawn.ends('en')}" in html


def test_numbers_that_must_not_be_read_are_no_tiles():
    split = check_split_from_counts({"list": 6000, "waterfall": 5000})
    decision = decide(ANALYSIS, split)
    html = room.summary(decision, ANALYSIS, split, lang="en").html
    assert "Do not read these results" in html
    assert 'class="decision b"' in html
    assert "Purchase rate" not in html
    assert html.count("<b>") == 2


def test_an_undecided_one_says_what_would_settle_it():
    decision = replace(DECISION, outcome="iterate", units_needed=12_345)
    html = room.summary(decision, ANALYSIS, SPLIT, lang="en").html
    assert "About 12,345 more units would settle it" in html
    assert 'class="decision w"' in html


def test_the_table_reads_a_guardrail_against_its_margin():
    html = room.effects_table(ANALYSIS, lang="en").html
    assert html.count('class="mg"') == 1
    assert "no worse" in html
    assert "¥" in html
    assert "ms</td>" in html


def test_an_absolute_margin_shows_the_interval_that_decides():
    metrics = ANALYSIS.experiment.to_dict()["metric"]
    metrics[2] |= {"margin": 40.0, "margin_kind": "absolute"}
    analysis, *_ = results(metric=metrics)
    effect = analysis.totals()[2]
    drawn = effect_interval(effect, analysis)
    assert drawn.lo * effect.mean_control == pytest.approx(effect.ci_adj_low)
    html = room.effects_table(analysis, lang="en").html
    row = html.partition("Page open time")[2].partition("</tr>")[0]
    assert "\u00a0ms to" in row
    assert "no worse" in row


def test_where_there_is_no_relative_change_the_absolute_one_is_said():
    effects = tuple(
        replace(e, lift_adj_low=None, lift_adj_high=None) for e in ANALYSIS.effects
    )
    html = room.effects_table(replace(ANALYSIS, effects=effects), lang="en").html
    assert " pp</span>" in html
    assert 'class="o"' not in html


def test_a_capped_metric_has_its_twin_below_it():
    rng = np.random.default_rng(3)
    units = pd.DataFrame(
        {
            "unit_id": range(400),
            "variant": ["list", "waterfall"] * 200,
            "revenue": rng.lognormal(9, 1, 400).round(),
        }
    )
    revenue = experiment().metric("revenue").to_dict() | {"cap": {"at": 20_000}}
    exp = experiment(metric=[revenue], by=[])
    found = analyze(units, exp)
    words = room.effects_table(found, lang="en").html
    assert words.index("capped at ¥200.00") < words.index("not capped")
    assert "for comparison" in words
    assert words.index("goal") < words.index("for comparison")
    assert "not capped" in room.figures(found, lang="en").html
    drawn = str(forest_chart(found, lang="zh").to_dict())
    assert drawn.index("封顶于 ¥200.00") < drawn.index("未封顶")


def test_a_watched_split_shows_the_p_value_it_is_judged_by():
    analysis, split, *_ = results()
    watched = replace(split, p_sequential=0.0321)
    decision = decide(analysis, watched)
    html = room.checks(watched, analysis, decision, lang="en").html
    assert "watched every day: p 0.032; χ² today 0.00" in html
    assert "p 0.032" in room.summary(decision, analysis, watched, lang="en").html


def test_each_breakdown_has_its_table_and_null_has_a_row():
    effects = tuple(
        replace(e, by=(("platform", None),)) if e.by == (("platform", "ios"),) else e
        for e in ANALYSIS.effects
    )
    html = room.segments_table(replace(ANALYSIS, effects=effects), lang="en").html
    assert html.count("<table") == 1
    for name in ("android", "NULL", "devtools"):
        assert f'role="rowheader">{name}' in html
    assert (
        "no breakdown"
        in room.segments_table(
            replace(ANALYSIS, effects=ANALYSIS.totals()), lang="en"
        ).html
    )


def lines(*args, **kwargs):
    html = room.checks(*args, lang="en", **kwargs).html
    return [line.split(">", 1)[1] for line in html.split("<li>")[1:]]


def test_what_was_checked_is_listed_with_figures():
    html = room.checks(SPLIT, ANALYSIS, DECISION, lang="en").html
    for words in (
        "Split as planned",
        "χ² 0.00, p 1.00",
        "No unit in two arms",
        "0 of 12,080",
        "Whole weeks",
        "28 days, at least 14 wanted; 2026-02-01 – 2026-02-28",
        "Missing values are alike in all arms",
    ):
        assert words in html
    assert "failed" not in html


def noticed(code, **args):
    return {"notices": (Notice(code, args=tuple(args.items())),)}


@pytest.mark.parametrize(
    ("changes", "state", "words"),
    [
        ({"crossovers": 30}, "warning", "Units in several arms"),
        ({"crossovers": 3000}, "failed", "Units in several arms"),
        ({"days": 10}, "warning", "Too few days"),
        ({"days": 30}, "warning", "A week is not complete"),
        ({"days": None}, "for information", "Days are not known"),
        ({"immature": (("pay_rate", 7),)}, "for information", "7 units left out of: P"),
        (
            noticed("null_imbalance", metric="revenue", p_value=1e-5),
            "warning",
            "Values are missing unevenly",
        ),
        (
            noticed("lift_unbounded", metric="revenue", arm="x"),
            "warning",
            "Revenue per visitor, x: the control is too close to 0",
        ),
    ],
)  # fmt: skip
def test_what_is_amiss_stands_first_in_its_own_words(changes, state, words):
    analysis = replace(ANALYSIS, **changes)
    found = lines(SPLIT, analysis, DECISION)
    (line,) = [text for text in found if words in text]
    html = room.checks(SPLIT, analysis, DECISION, lang="en").html
    assert f'aria-label="{state}"' in html.partition(words)[0].rpartition("<li>")[2]
    if state != "for information":
        assert found[0] == line


def test_units_whose_window_is_open_are_told_once_for_all_their_metrics():
    waiting = (("pay_rate", 7), ("revenue", 7))
    analysis = replace(ANALYSIS, immature=waiting)
    html = room.checks(SPLIT, analysis, DECISION, lang="zh").html
    assert "剔除 7 个样本：下单率、人均收入" in html


def test_a_planned_size_is_held_against_the_mature_units():
    analysis, split, decision, _ = results(plan={"kind": "fixed", "units": 100_000})
    html = room.checks(split, analysis, decision, lang="en").html
    assert "Planned size not reached" in html
    assert "100,000 planned (12%)" in html


def test_rows_turned_away_are_told_by_reason_and_add_up():
    report = LoadReport(
        load_id="x" * 16,
        source="s",
        mapping="m.toml",
        source_sha256="0" * 64,
        mapping_sha256="0" * 64,
        as_of=None,
        tz="UTC",
        max_reject_rate=0.02,
        tables=(
            TableCount("units", 100, 90, (("inconsistent", 9), ("duplicate_key", 1))),
        ),
    )
    opened = room.Opened(units=None, load_report=report)
    html = room.checks(SPLIT, ANALYSIS, DECISION, opened, lang="en").html
    assert "90 of 100 rows used; contradict themselves 9 · repeated 1" in html
    assert opened.rows == {"data": 100}
    assert list(room.found(opened, analysis=ANALYSIS, trend=None)) == [
        "analysis",
        "load",
    ]


def test_charts_are_named_and_those_without_data_left_out():
    assert list(room.drawings(ANALYSIS, SPLIT, TREND)) == [
        "forest", "split", "trend", "segments",
    ]  # fmt: skip
    bare = replace(ANALYSIS, effects=ANALYSIS.totals())
    assert list(room.drawings(bare, SPLIT, None)) == ["forest", "split"]
    assert list(room.drawings(LOOKED, SPLIT, TREND, AGES, OWN)) == [
        "forest", "split", "trend", "looks", "ages", "calibration",
    ]  # fmt: skip
    young = replace(AGES, points=(), novelty=())
    assert "ages" not in room.drawings(ANALYSIS, SPLIT, None, young)


@pytest.mark.parametrize(
    ("trend", "analysis", "words"),
    [
        (None, ANALYSIS, "no day of first exposure"),
        (TREND, ANALYSIS, "as they stand now"),
        (replace(TREND, as_it_stood=True), ANALYSIS, "The band holds for one look"),
        (replace(TREND, as_it_stood=True), LOOKED, "boundary below"),
    ],
)
def test_the_trend_says_how_it_may_be_read(trend, analysis, words):
    assert words in room.trend_note(trend, analysis, lang="en").html


def test_a_sequential_plan_says_how_it_stands():
    html = room.looks_note(LOOKED, lang="en").html
    assert "A goal crossed its boundary: the plan says stop" in html
    assert "Group-sequential: the error is spent over the looks. 5 looks so far" in html
    first = next(p for p in LOOKED.looks.of("pay_rate", "waterfall") if p.crossed)
    assert f"Purchase rate: boundary crossed on {first.day}" in html
    assert "越过边界" in room.looks_note(LOOKED, lang="zh").html
    assert room.looks_note(ANALYSIS).html == ""


def test_whether_the_effect_lasts_is_said_with_its_figures():
    html = room.ages_note(AGES, ANALYSIS, lang="en").html
    assert "The effect fades as units stay longer" in html
    (item,) = AGES.leading()
    assert f"Purchase rate: {item.estimate * 100:.2f}% a day".replace("-", "−") in html
    assert "The same 4,000 units on each of 7 days" in html
    several = aged(arms={"list": 1, "waterfall": 1, "grid": 1})
    analysis, *_ = results(arms={"list": 1, "waterfall": 1, "grid": 1})
    assert "Purchase rate · grid:" in room.ages_note(several, analysis, lang="en").html
    assert "events and orders" in room.ages_note(None, ANALYSIS, lang="en").html
    young = replace(
        AGES, points=(), novelty=(), ages=0, notices=(Notice("too_young", "info"),)
    )
    assert "Fewer than half" in room.ages_note(young, ANALYSIS, lang="en").html


def test_a_slope_without_a_level_is_told_in_the_metrics_own_unit():
    slope = next(item for item in AGES.novelty if item.kind == "slope")
    bare = replace(AGES, novelty=(slope,))
    html = room.ages_note(bare, ANALYSIS, lang="en").html
    assert " pp a day (" in html


def test_own_aa_runs_are_a_check_with_their_rates():
    html = room.checks(SPLIT, ANALYSIS, DECISION, None, OWN, lang="en").html
    assert "Own A/A runs behave" in html
    assert "5% intended; of 200 re-randomisations rejected: Purchase rate: " in html
    bad = tuple(replace(one, finding="inflated") for one in OWN.found)
    html = room.checks(
        SPLIT, ANALYSIS, DECISION, None, replace(OWN, found=bad), lang="zh"
    ).html
    assert "自有数据的 A/A 检验异常" in html
    few = tuple(
        replace(one, finding="unsure", rate=None, rate_low=None, rate_high=None)
        for one in OWN.found
    )
    html = room.checks(
        SPLIT, ANALYSIS, DECISION, None, replace(OWN, found=few), lang="en"
    ).html
    assert "too few to judge" in html


def test_every_own_test_is_in_the_folded_table():
    html = room.calibration_table(OWN, ANALYSIS, lang="en").html
    assert html.startswith("<details>")
    assert html.count("<tr>") == 1 + len(OWN.found)
    assert "200 times, 5% intended" in html
    assert "as intended" in html


def test_the_document_keeps_the_trend_of_the_goals_alone():
    opened = room.Opened(units=None)
    kept = room.found(opened, analysis=ANALYSIS, trend=TREND)["trend"]
    assert {p.effect.metric for p in kept.points} == {"pay_rate", "revenue"}
    assert {p.series for p in kept.points} == {"cumulative"}
    assert len(kept.rows()) == 2 * 14
    assert len(TREND.rows()) == 2 * 4 * 14  # the result itself has all


UNITS = pd.DataFrame(
    {
        "unit_id": [f"u{i}" for i in range(400)],
        "variant": ["list", "waterfall"] * 200,
        "pay_rate": [float(i % 7 == 0) for i in range(400)],
        "revenue": [float(i % 13) for i in range(400)],
        "open_ms": [800.0 + i % 11 for i in range(400)],
        "cart": [float(i % 5 == 0) for i in range(400)],
    }
)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_ready_table_is_read_as_it_is(tmp_path, suffix):
    path = tmp_path / f"units.{suffix}"
    if suffix == "csv":
        UNITS.to_csv(path, index=False)
    else:
        UNITS.to_parquet(path)
    exp = experiment(by=[])
    opened = room.open_units(str(path), exp, as_of=pd.Timestamp("2026-03-01").date())
    assert not isinstance(opened.units, UnitTable)
    assert check_split(opened.units, experiment=exp).units == 400
    assert analyze(opened.units, exp).units == 400
    when = pd.Timestamp("2026-03-01").date()
    assert room.over_days(opened, exp, as_of=when) is None
    assert room.over_ages(opened, exp) is None
    assert opened.evidence is opened.units


def dataset(folder):
    start = pd.Timestamp("2026-01-31T16:00Z")
    rng = np.random.default_rng(3)
    hours = pd.to_timedelta(rng.integers(0, 24 * 10, 200), unit="h")
    units = [f"u{i}" for i in range(200)]
    pd.DataFrame(
        {
            "unit_id": units,
            "exp_id": "home_layout",
            "variant": ["list", "waterfall"] * 100,
            "ts": (start + hours).as_unit("us"),
        }
    ).to_parquet(folder / "assignments.parquet")
    later = pd.to_timedelta(rng.integers(0, 24 * 25, 600), unit="h")
    pd.DataFrame(
        {
            "order_id": [str(i) for i in range(600)],
            "user_id": rng.choice(units, 600),
            "pay_ts": (start + later).as_unit("us"),
            "paid_fen": 100,
        }
    ).to_parquet(folder / "orders.parquet")
    return folder


@pytest.mark.parametrize("plan", [{}, {"kind": "always_valid", "units": 150}])
@pytest.mark.parametrize("window", [{}, {"window_days": 3}])
def test_units_of_a_dataset_bring_their_days_and_ages(tmp_path, plan, window):
    goal = {
        "name": "pay",
        "kind": "proportion",
        "role": "goal",
        "good": "up",
        "value": {"table": "orders", "agg": "any"},
    }
    exp = experiment(by=[], metric=[goal | window], plan=plan)
    when = pd.Timestamp("2026-02-28").date()
    opened = room.open_units(str(dataset(tmp_path)), exp, as_of=when)
    trend = room.over_days(opened, exp, as_of=when)
    assert trend.as_it_stood
    ages = room.over_ages(opened, exp)
    assert ages.points[-1].age == (2 if window else 13)
    with_history = isinstance(opened.evidence, UnitHistory)
    assert with_history is bool(plan and not window)
    found = analyze(opened.evidence, exp, as_of=when)
    assert (found.looks is not None) is bool(plan)
    last = [p.effect for p in trend.points if p.series == "cumulative"][-1]
    assert last.estimate == pytest.approx(found.totals()[0].estimate)


def test_what_is_nowhere_is_said(tmp_path):
    with pytest.raises(ParameterError, match="does not exist"):
        room.open_units(
            str(tmp_path / "no.csv"),
            experiment(),
            as_of=pd.Timestamp("2026-03-01").date(),
        )
