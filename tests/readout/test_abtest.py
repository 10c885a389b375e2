"""The experiment readout's own pieces."""

from dataclasses import replace

import pandas as pd
import pytest

from growth.abtest import (
    UnitTable,
    analyze,
    check_split,
    check_split_from_counts,
    decide,
)
from growth.dataset import LoadReport, TableCount
from growth.errors import ParameterError
from growth.readout import abtest as room
from growth.result import Notice
from tests.charts.sample import experiment, results

ANALYSIS, SPLIT, DECISION, TREND = results()


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
    drawn = room.effect_interval(effect, ANALYSIS)
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
    drawn = room.effect_interval(effect, analysis)
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
    assert "no day of first exposure" in room.trend_note(None, lang="en").html


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
    assert room.over_days(opened.units, exp, as_of=when) is None


def test_what_is_nowhere_is_said(tmp_path):
    with pytest.raises(ParameterError, match="does not exist"):
        room.open_units(
            str(tmp_path / "no.csv"),
            experiment(),
            as_of=pd.Timestamp("2026-03-01").date(),
        )
