from datetime import date

import pytest

from growth import retention
from growth.charts import retention as charts
from growth.charts import to_svg
from growth.retention.triangle import REST

DAYS = [f"2026-03-0{d}" for d in range(1, 9)]


def triangle(**more):
    """Eight cohorts; the youngest have fewer complete offsets."""
    sizes = {day: 400 + 10 * i for i, day in enumerate(DAYS)}
    kept = {
        day: {k: 160 // k + i for k in range(1, 9 - i)} for i, day in enumerate(DAYS)
    }
    return retention.measure_from_counts(sizes, kept, **more)


def split(groups):
    sizes = {(f"g{g:02}", day): 50 + g for g in range(groups) for day in DAYS}
    kept = {key: {1: 20, 2: 10} for key in sizes}
    return retention.measure_from_counts(sizes, kept, by="entry_group")


def values_of(chart, column):
    spec = chart.to_dict()
    return [row for rows in spec["datasets"].values() for row in rows if column in row]


def test_a_cell_that_is_not_complete_is_hatched_and_has_no_number():
    rows = values_of(charts.triangle_chart(triangle()), "rate")
    whole = {(c.cohort, c.k) for c in triangle().cells if c.complete and c.k}
    for row in rows:
        day = row["cohort"].split(" · ")[0]
        assert (row["rate"] is not None) is ((day, row["k"]) in whole)
        assert (row["said"] == "") is (row["rate"] is None)
    hatched = charts.triangle_chart(triangle()).to_dict()["layer"][1]
    assert hatched["mark"]["shape"] == charts.HATCH
    assert hatched["transform"] == [{"filter": "!isValid(datum.rate)"}]


def test_the_triangle_names_each_cohort_with_its_size():
    rows = values_of(charts.triangle_chart(triangle()), "cohort")
    assert rows[0]["cohort"] == "2026-03-01 · 400"


def test_narrow_cells_have_no_words():
    many = {day: dict.fromkeys(range(1, 30), 10) for day in DAYS}
    result = retention.measure_from_counts(dict.fromkeys(DAYS, 100), many)
    marks = [
        layer["mark"]["type"]
        for layer in charts.triangle_chart(result).to_dict()["layer"]
    ]
    assert "text" not in marks


def test_the_curve_is_the_pooled_one_with_its_interval():
    result = triangle()
    rows = [r for r in values_of(charts.curve_chart(result), "rate") if "group" in r]
    points = result.curve()[1:]
    assert [(r["k"], r["rate"], r["lo"], r["hi"]) for r in rows] == [
        (p.k, p.rate, p.low, p.high) for p in points
    ]


def test_benchmark_goal_and_forecast_are_lines_of_their_own():
    result = triangle()
    ahead = retention.forecast(result, horizon=20, model="power", seed=1)
    chart = charts.curve_chart(
        result, forecast=ahead, benchmark=retention.benchmark("apparel"), goal=0.3
    )
    words = [row["words"] for row in values_of(chart, "words")]
    assert words == ["Apparel retail: 18.0% (unsourced)", "Goal: 30.0%"]
    dashed = [
        layer["mark"].get("strokeDash")
        for layer in chart.to_dict()["layer"]
        if layer["mark"]["type"] == "line"
    ]
    assert dashed == [None, [5, 4]]


def test_on_or_after_says_so():
    title = charts.curve_chart(triangle(match="on_or_after")).to_dict()["title"]
    assert title == "Share that came back in that interval or later"


def test_eleven_groups_have_a_line_and_the_others_share_one():
    result = split(14)
    rows = values_of(charts.curve_chart(result), "group")
    names = list(dict.fromkeys(row["group"] for row in rows))
    assert names == [f"g{g:02}" for g in range(3, 14)] + ["All others"]
    rest = result.gathered()
    assert rest.groups[-1] == (REST,)
    assert rest.users == result.users
    assert sum(rest.sizes[-1]) == sum(50 + g for g in range(3)) * len(DAYS)
    assert split(12).gathered() == split(12)


def test_the_trend_draws_whole_cohorts_and_its_verdict():
    trend = retention.trend(triangle(), k=1)
    chart = charts.trend_chart(trend)
    rows = values_of(chart, "pooled")
    assert [row["cohort"] for row in rows] == DAYS
    assert rows[0]["pooled"] is None
    assert rows[-1]["pooled"] == trend.points[-1].rate_pooled
    assert chart.to_dict()["title"].startswith("At offset 1: ")


def lifecycle():
    frame = {
        "user_id": ["a", "a", "b", "c", "c"],
        "ts": [
            f"2026-03-{d:02}T04:00:00Z" for d in (2, 9, 2, 9, 23)
        ],
        "event": ["app_launch"] * 5,
    }  # fmt: skip
    import pandas as pd

    table = pd.DataFrame(frame).assign(ts=lambda f: pd.to_datetime(f["ts"]))
    return retention.lifecycle(
        table,
        start=date(2026, 3, 2),
        end=date(2026, 3, 30),
        as_of=date(2026, 3, 29),
        period="week",
    )


def test_dormant_users_are_drawn_below_zero_and_sleepers_not_at_all():
    rows = values_of(charts.lifecycle_chart(lifecycle()), "state")
    assert {row["state"] for row in rows if row["users"] < 0} == {"Dormant"}
    assert "Asleep" not in {row["state"] for row in rows}
    dormant = [-row["users"] for row in rows if row["state"] == "Dormant"]
    assert dormant == list(lifecycle().of("dormant"))


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_chart_is_safe_svg_in_both_languages(lang):
    result = triangle()
    found = [
        charts.triangle_chart(result, lang=lang),
        charts.curve_chart(result, lang=lang),
        charts.curve_chart(split(3), lang=lang),
        charts.trend_chart(retention.trend(result, k=1), lang=lang),
        charts.lifecycle_chart(lifecycle(), lang=lang),
    ]
    for chart in found:
        text = to_svg(chart)
        assert text.lstrip().startswith("<svg")
        assert "NaN" not in text
