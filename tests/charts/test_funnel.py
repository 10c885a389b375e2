from datetime import UTC, date, datetime, timedelta

import pytest

from growth import funnel
from growth.charts import funnel as charts
from growth.charts import to_svg

STEPS = ["view", "cart", "pay"]
START = datetime(2026, 3, 1, 16, tzinfo=UTC)  # the 2nd in Shanghai


def log():
    """Sixty users: thirty go on to the cart, ten of them pay; the rest scroll."""
    import pandas as pd

    rows = []
    for u in range(60):
        t = START + timedelta(hours=u)
        events = ["view", "cart", "pay"] if u < 10 else ["view", "cart", "scroll"]
        events = events if u < 30 else ["view", "scroll", "search"]
        for i, event in enumerate(events):
            ts = t + timedelta(minutes=(u + 1) * i)
            rows.append((f"u{u}", ts, event, "AB"[u % 2]))
    return pd.DataFrame(rows, columns=["user_id", "ts", "event", "variant"])


WHEN = {"start": date(2026, 3, 2), "end": date(2026, 3, 10), "as_of": date(2026, 3, 20)}


def measured(**more):
    return funnel.measure(log(), steps=STEPS, **WHEN, **more)


def values_of(chart, column):
    spec = chart.to_dict()
    return [row for rows in spec["datasets"].values() for row in rows if column in row]


def test_a_bar_a_step_with_its_interval_and_the_share_of_the_step_before():
    result = measured()
    rows = values_of(charts.funnel_chart(result), "rate")
    assert [row["step"] for row in rows] == ["1. view", "2. cart", "3. pay"]
    assert [(row["rate"], row["lo"], row["hi"]) for row in rows] == [
        (s.rate_from_start, s.low, s.high) for s in result.steps
    ]
    assert [row["said"] for row in rows] == [
        "60",
        "30 · 50.0% of the step before",
        "10 · 33.3% of the step before",
    ]


def test_groups_stand_side_by_side():
    rows = values_of(charts.funnel_chart(measured(by="variant")), "rate")
    assert [row["group"] for row in rows] == ["A"] * 3 + ["B"] * 3


def test_times_are_bars_on_a_log_scale_with_the_quartiles_in_words():
    result = measured()
    chart = charts.time_chart(result)
    bars = values_of(chart, "n")
    assert sum(row["n"] for row in bars) == 10
    time = result.whole_way
    marks = [row["at"] for row in values_of(chart, "at")]
    assert marks == [time.p25_s, time.p50_s, time.p75_s]
    assert charts.span(time.p50_s) in chart.to_dict()["description"]
    other = charts.time_chart(result, step=2).to_dict()
    assert other["title"] == "How long it took: view → cart"


def test_a_time_nobody_took_is_an_empty_chart():
    empty = funnel.measure_from_counts({"view": 10, "pay": 2})
    assert to_svg(charts.time_chart(empty)).lstrip().startswith("<svg")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "–"),
        (0, "0 s"),
        (45, "45 s"),
        (90, "1.5 min"),
        (3600, "1 h"),
        (200_000, "2.3 d"),
    ],
)
def test_a_span_is_written_in_the_unit_that_fits(seconds, said):
    assert charts.span(seconds) == said


def test_ribbons_leave_a_node_as_high_as_they_reached_it():
    paths = funnel.paths(log(), steps=STEPS, after=1, depth=2, **WHEN)
    chart = charts.paths_chart(paths)
    nodes = {row["said"]: row["y2"] - row["y"] for row in values_of(chart, "place")}
    assert sum(nodes.values()) == pytest.approx(3)  # the step, and two places
    assert nodes["scroll · 100.0%"] == pytest.approx(1)
    ends = [row for row in values_of(chart, "link") if row["x"] in (1, 2)]
    assert {row["link"] for row in ends} == {
        "view → scroll: 30",
        "scroll → search: 30",
    }


def test_the_trend_draws_the_days_whose_windows_are_over():
    trend = funnel.trend(log(), steps=STEPS, **{**WHEN, "as_of": date(2026, 3, 10)})
    rows = values_of(charts.trend_chart(trend), "ds")
    days = [d for d in trend.days if d.step == 3 and d.complete and d.entered]
    assert [row["ds"] for row in rows] == [d.ds.isoformat() for d in days]
    assert 0 < len(rows) < len({d.ds for d in trend.days})


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_chart_is_safe_svg_in_both_languages(lang):
    paths = funnel.paths(log(), steps=STEPS, after=1, **WHEN)
    for chart in (
        charts.funnel_chart(measured(by="variant"), lang=lang),
        charts.time_chart(measured(), lang=lang),
        charts.trend_chart(funnel.trend(log(), steps=STEPS, **WHEN), lang=lang),
        charts.paths_chart(paths, lang=lang),
    ):
        text = to_svg(chart)
        assert text.lstrip().startswith("<svg")
        assert "NaN" not in text
