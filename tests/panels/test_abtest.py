from dataclasses import replace
from datetime import date

import pytest

import growth
from growth.abtest import load_experiment, plan, unit_table
from growth.errors import ParameterError
from growth.labels import label
from growth.panels import abtest as panels
from growth.readout import AbtestParams

DAY = date(2026, 3, 1)


def rows_of(chart, column):
    """Return every row of a chart's data that has `column`."""
    held = chart.to_dict()["datasets"].values()
    return [row for rows in held for row in rows if column in row]


@pytest.fixture(scope="module")
def experiment(shop):
    return load_experiment(shop / "experiments" / "home_layout.toml")


@pytest.fixture(scope="module")
def units(shop, experiment):
    return unit_table(growth.open(shop), experiment, as_of=DAY).cache()


def test_moving_a_slider_moves_the_charts_data():
    made = panels.planner()
    before = rows_of(made.chart, "effect"), made.result.units, made.picture.value
    made.controls["mde"].value = 0.2
    after = rows_of(made.chart, "effect"), made.result.units, made.picture.value
    assert all(one != two for one, two in zip(before, after, strict=True))
    assert before[1] > 3 * after[1]
    assert f"{after[1]:,}" in after[2]
    assert "growth-card" in made.card.value
    assert "<script" not in made.picture.value
    made.controls["power"].value = 0.99
    assert made.result.units > after[1]


def test_a_mean_needs_its_spread_and_the_form_says_so():
    made = panels.planner()
    shown = made.picture.value
    made.controls["kind"].value = "mean"
    assert "sd" in made.form.status.view.value
    assert made.picture.value == shown
    made.controls["mean"].value = 500.0
    made.controls["sd"].value = "2000"
    assert made.form.status.view.value == ""
    assert made.picture.value != shown


def test_a_plan_from_history_aims_its_goals(units, experiment):
    made = panels.planner(units, experiment)
    assert list(made.controls) == ["mde", "power", "alpha"]
    assert made.controls["mde"].value == 0.05
    before = made.result.units
    made.controls["mde"].value = 0.3
    assert made.result.units < before
    assert {n.metric for n in made.result.needs} >= {"pay_rate", "revenue"}
    with pytest.raises(ParameterError, match="both, or neither"):
        panels.planner(units)


def test_the_history_is_read_once_however_far_one_slides(
    units, experiment, monkeypatch
):
    made = panels.planner(units, experiment)
    monkeypatch.setattr("growth.abtest.together.read_totals", None)  # no second look
    made.controls["mde"].value = 0.2
    slid = made.result
    monkeypatch.undo()
    metrics = tuple(
        replace(m, mde=0.2) if m.role == "goal" else m for m in experiment.metrics
    )
    read = plan(units, replace(experiment, metrics=metrics))
    assert [n.units for n in slid.needs] == [n.units for n in read.needs]
    assert slid.week_rows() == read.week_rows()
    # a slider's 0.05 is 0.05 to fifteen digits
    for one, other in zip(slid.curve, read.curve, strict=True):
        assert one.power == pytest.approx(other.power, rel=1e-9)


def test_an_experiment_is_read_by_metric_segment_and_plan(units, experiment):
    made = panels.explorer(units, experiment)
    assert [len(made.controls[name].options) for name in ("metric", "segment")] == [
        len(experiment.metrics),
        2,
    ]
    assert "pay_rate" in {e.metric for e in made.analysis.effects}
    everybody = made.picture.value
    made.controls["segment"].value = "platform"
    first = [row["label"] for row in rows_of(made.chart, "label")]
    assert first[0] == "All"
    assert {"ios", "android"} <= set(first)
    values = [row["value"] for row in rows_of(made.chart, "label")]
    made.controls["metric"].value = "revenue"
    assert [row["value"] for row in rows_of(made.chart, "label")] != values
    assert made.picture.value != everybody
    made.controls["plan"].value = "always_valid"
    assert made.decision.plan == "always_valid"
    assert 'class="decision' in made.summary.value
    made.controls["units"].value = 0  # a sequential plan needs its size
    assert "units" in made.status.view.value
    assert made.decision.plan == "always_valid"  # what was there stands


def test_what_was_read_before_is_not_read_again(units, experiment, monkeypatch):
    made = panels.explorer(units, experiment)
    calls = []
    monkeypatch.setattr(
        panels.abtest, "analyze", lambda *given, **_: calls.append(given)
    )
    made.controls["metric"].value = "revenue"
    assert calls == []


def test_a_dataset_is_opened_and_its_readout_handed_over(shop, experiment):
    params = AbtestParams(data=str(shop), experiment_id="home_layout", as_of=DAY)
    made = panels.explorer(
        growth.open(shop), experiment, as_of=DAY, params=params, lang="zh"
    )
    shown = made.view.children[-1].value
    assert label("panel.as_readout", "zh") in shown
    assert "growth readout run abtest_readout -p" in shown
    assert "下单率" in made.table.value
    with pytest.raises(ParameterError, match="as_of is missing"):
        panels.explorer(growth.open(shop), experiment)


def test_a_panel_shows_itself():
    bundle = panels.planner()._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "application/vnd.jupyter.widget-view+json" in data
