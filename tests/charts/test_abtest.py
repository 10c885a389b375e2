import json
from dataclasses import replace

import pytest

from growth.charts import abtest as charts
from growth.charts import to_svg
from growth.errors import ParameterError
from tests.charts.sample import aged, calibrated, experiment, looked, results

ANALYSIS, SPLIT, _, TREND = results()
AGES, LOOKED, CALIBRATION = aged(), looked(), calibrated()


def values_of(chart, column):
    """Return every row of a chart's data that has `column`."""
    spec = chart.to_dict()
    return [row for rows in spec["datasets"].values() for row in rows if column in row]


def test_the_forest_holds_each_metric_in_the_order_of_the_experiment():
    rows = values_of(charts.forest_chart(ANALYSIS), "label")
    assert [row["label"] for row in rows] == [
        "Purchase rate",
        "Revenue per visitor",
        "Page open time",
        "Add-to-cart rate",
    ]
    spec = charts.forest_chart(ANALYSIS).to_dict()
    sorts = [layer["encoding"]["y"]["sort"] for layer in spec["layer"][1:]]
    assert sorts == [[row["label"] for row in rows]] * 4


def test_the_forest_draws_the_adjusted_interval():
    effect = ANALYSIS.totals()[0]
    row = values_of(charts.forest_chart(ANALYSIS), "label")[0]
    assert (row["lo"], row["hi"]) == (effect.lift_adj_low, effect.lift_adj_high)
    assert effect.lift_adj_low < effect.lift_low


def test_colour_only_where_the_interval_clears_zero_and_shape_says_it_too():
    rows = values_of(charts.forest_chart(ANALYSIS), "label")
    seen = [(row["tone"], row["clears"]) for row in rows]
    for row, (tone, clears) in zip(rows, seen, strict=True):
        assert (tone == "ink") is (row["lo"] <= 0 <= row["hi"])
        assert (clears == "none") is (tone == "ink")
    assert {tone for tone, _ in seen} == {"good", "ink"}


def test_a_margin_stands_on_the_bad_side_as_a_dotted_line():
    chart = charts.forest_chart(ANALYSIS)
    margins = [row["margin"] for row in values_of(chart, "label")]
    assert margins == [None, None, 0.05, None]  # open time: up is bad
    assert [2, 3] in [
        layer["mark"].get("strokeDash") for layer in chart.to_dict()["layer"]
    ]


def test_an_absolute_margin_is_put_on_the_relative_axis():
    metrics = ANALYSIS.experiment.to_dict()["metric"]
    metrics[2] |= {"margin": 40.0, "margin_kind": "absolute"}
    analysis, *_ = results(metric=metrics)
    effect = analysis.totals()[2]
    drawn = charts.effect_interval(effect, analysis)
    assert drawn.margin == pytest.approx(40 / effect.mean_control)


def test_words_follow_the_language():
    spec = charts.forest_chart(ANALYSIS, lang="zh").to_dict()
    assert spec["title"] == "各指标的相对变化"
    assert "下单率" in spec["description"]
    assert "Purchase rate" in charts.forest_chart(ANALYSIS).to_dict()["description"]


def test_with_several_variants_each_row_names_its_own():
    analysis, *_ = results(arms={"list": 1, "waterfall": 1, "grid": 1})
    labels = [row["label"] for row in values_of(charts.forest_chart(analysis), "label")]
    assert labels[:2] == ["Purchase rate · waterfall", "Purchase rate · grid"]
    assert len(set(labels)) == 8


def test_what_cannot_be_computed_keeps_its_row_without_a_mark():
    analysis, *_ = results(units=1)
    rows = values_of(charts.forest_chart(analysis), "label")
    assert len(rows) == 4
    assert all(row["value"] is None for row in rows[:2])
    assert "NaN" not in json.dumps(charts.forest_chart(analysis).to_dict())


def test_segments_begin_with_the_total():
    rows = values_of(charts.segments_chart(ANALYSIS), "label")
    assert [row["label"] for row in rows] == ["All", "android", "ios", "devtools"]
    with pytest.raises(ParameterError, match=r"metric 'nope' is not declared"):
        charts.segments_chart(ANALYSIS, "nope")


def test_the_split_shows_units_and_the_plan():
    chart = charts.split_chart(SPLIT, lang="zh")
    rows = values_of(chart, "planned")
    assert [row["arm"] for row in rows] == ["list", "waterfall"]
    assert [row["units"] for row in rows] == [arm.units for arm in SPLIT.arms]
    assert "list：6,040 个样本" in chart.to_dict()["description"]


def test_the_trend_is_cumulative_with_its_band_and_units_on_the_axes():
    chart = charts.trend_chart(TREND, name="Purchase rate")
    rows = values_of(chart, "lo")
    assert [row["day"] for row in rows] == [f"2026-02-{d:02d}" for d in range(1, 15)]
    assert all(row["lo"] <= row["lift"] <= row["hi"] for row in rows)
    widths = [row["hi"] - row["lo"] for row in rows]
    assert widths[-1] < widths[0]
    spec = chart.to_dict()
    axis = spec["layer"][0]["encoding"]["y"]["axis"]
    assert "%" in axis["labelExpr"]
    assert spec["layer"][0]["mark"]["clip"] is True
    assert spec["layer"][0]["encoding"]["x"]["scale"] == {"type": "utc"}


def test_one_wild_first_day_does_not_press_the_others_flat():
    chart = charts.trend_chart(TREND)
    rows = values_of(chart, "lo")
    low, high = chart.to_dict()["layer"][0]["encoding"]["y"]["scale"]["domain"]
    middle = sorted(max(abs(row["lo"]), abs(row["hi"])) for row in rows)[6]
    assert max(abs(low), high) < 6 * middle


def test_a_trend_of_several_variants_has_a_legend():
    *_, trend = results(arms={"list": 1, "waterfall": 1, "grid": 1})
    spec = charts.trend_chart(trend).to_dict()
    colour = spec["layer"][2]["encoding"]["color"]
    assert colour["legend"]["title"] == "Variant"
    assert colour["scale"]["domain"] == ["grid", "waterfall"]


def test_an_end_that_leaves_the_axis_has_an_arrow():
    metrics = ANALYSIS.experiment.to_dict()["metric"]
    wide = replace(ANALYSIS.effects[2], lift_adj_low=-0.9, lift_adj_high=3.0)
    effects = (*ANALYSIS.effects[:2], wide, *ANALYSIS.effects[3:])
    analysis = replace(ANALYSIS, effects=effects)
    spec = charts.forest_chart(analysis).to_dict()
    shapes = [layer["mark"].get("shape") for layer in spec["layer"]]
    assert {"triangle-left", "triangle-right"} <= set(shapes)
    row = values_of(charts.forest_chart(analysis), "label")[2]
    assert (row["cut_lo"], row["cut_hi"]) == (True, True)
    assert "to +300.0%" in row["told"]  # the words keep what the drawing cuts
    whole = charts.forest_chart(results(metric=metrics[:2])[0]).to_dict()
    assert not [m for m in whole["layer"] if m["mark"].get("shape")]


def test_ages_show_the_same_units_at_every_day_with_their_intervals():
    chart = charts.age_chart(AGES, name="Purchase rate")
    rows = values_of(chart, "age")
    assert [row["age"] for row in rows] == list(range(7))
    matured = AGES.series("pay_rate")
    assert [row["lift"] for row in rows] == [p.lift for p in matured]
    assert all(row["lo"] <= row["lift"] <= row["hi"] for row in rows)
    spec = chart.to_dict()
    assert spec["title"] == "Purchase rate: relative change by days since exposure"
    assert "waterfall: day 0 +" in spec["description"]
    assert "第 6 天" in charts.age_chart(AGES, lang="zh").to_dict()["description"]


def test_ages_of_several_variants_stand_side_by_side():
    several = aged(arms={"list": 1, "waterfall": 1, "grid": 1})
    spec = charts.age_chart(several).to_dict()
    assert spec["layer"][1]["encoding"]["xOffset"]["sort"] == ["grid", "waterfall"]
    assert spec["layer"][1]["encoding"]["color"]["legend"]["title"] == "Variant"


def test_no_ages_make_an_empty_chart():
    chart = charts.age_chart(replace(AGES, points=(), novelty=(), ages=0))
    assert values_of(chart, "age") == []


def test_looks_are_drawn_against_the_boundary_of_the_plan():
    looks = LOOKED.looks
    chart = charts.looks_chart(looks, name="Purchase rate")
    rows = values_of(chart, "crossed")
    points = looks.of("pay_rate", "waterfall")
    assert [row["z"] for row in rows] == [p.effect.statistic for p in points]
    assert [row["share"] for row in rows] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    edges = values_of(chart, "side")
    upper = [row["z"] for row in edges if row["side"] == "upper"]
    assert upper == [p.effect.critical for p in points]
    assert upper == sorted(upper, reverse=True)  # O'Brien-Fleming: wide at first
    assert [-row["z"] for row in edges if row["side"] == "lower"] == upper
    assert {row["crossed"] for row in rows} == {True, False}
    for row, bound in zip(rows, upper, strict=True):
        assert row["crossed"] is (abs(row["z"]) > bound)
    spec = chart.to_dict()
    assert "at 100% of the planned size, boundary" in spec["description"]
    low, high = spec["layer"][1]["encoding"]["y"]["scale"]["domain"]
    assert low == -high
    assert high >= max(abs(row["z"]) for row in rows)


def test_a_boundary_nobody_can_cross_yet_is_cut_at_the_frame():
    looks = looked(looks=8, units=4000).looks
    spec = charts.looks_chart(looks).to_dict()
    upper = [p.effect.critical for p in looks.of("pay_rate", "waterfall")]
    assert spec["layer"][1]["encoding"]["y"]["scale"]["domain"][1] < max(upper)
    assert spec["layer"][1]["mark"]["clip"] is True


def test_calibration_draws_rates_with_intervals_beside_the_level():
    names = {m.name: m.words("en") for m in experiment().metrics}
    chart = charts.calibration_chart(CALIBRATION, names=names)
    rows = values_of(chart, "told")
    assert [row["rate"] for row in rows] == [one.rate for one in CALIBRATION.found]
    assert all(row["lo"] <= row["rate"] <= row["hi"] for row in rows)
    assert rows[0]["label"].startswith("Purchase rate · ")
    assert values_of(chart, "alpha") == [{"alpha": 0.05}]
    assert "+" not in rows[0]["told"]
    bad = replace(CALIBRATION.found[0], finding="inflated")
    off = replace(CALIBRATION, found=(bad, *CALIBRATION.found[1:]))
    row = values_of(charts.calibration_chart(off, lang="zh"), "told")[0]
    assert (row["tone"], row["said"]) == ("bad", "误报过多")


def test_a_test_without_a_rate_keeps_its_row():
    blank = replace(
        CALIBRATION.found[0], rate=None, rate_low=None, rate_high=None, finding="unsure"
    )
    chart = charts.calibration_chart(replace(CALIBRATION, found=(blank,)))
    (row,) = values_of(chart, "told")
    assert (row["rate"], row["said"]) == (None, "too few to judge")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_chart_stands_alone_and_has_its_look(lang):
    made = [
        charts.forest_chart(ANALYSIS, lang=lang),
        charts.segments_chart(ANALYSIS, lang=lang),
        charts.split_chart(SPLIT, lang=lang),
        charts.trend_chart(TREND, lang=lang),
        charts.age_chart(AGES, lang=lang),
        charts.looks_chart(LOOKED.looks, lang=lang),
        charts.calibration_chart(CALIBRATION, lang=lang),
    ]
    names = [chart.to_dict()["name"] for chart in made]
    assert len(set(names)) == 7
    for chart in made:
        spec = chart.to_dict()
        assert "PingFang SC" in spec["config"]["font"]
        assert spec["description"]
        assert "url" not in json.dumps(spec["layer"])
        assert len(to_svg(chart)) < 12_000
