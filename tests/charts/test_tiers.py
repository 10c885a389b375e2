from datetime import date
from itertools import pairwise

import pytest

from growth import tiers
from growth.charts import tiers as charts
from growth.charts import to_svg
from growth.errors import ParameterError
from growth.tiers.intervals import around

NOW = tiers.load_programme(
    {
        "tiers": [
            {"name": "普通", "min_spend_fen": 0},
            {"name": "银卡", "min_spend_fen": 50_000, "earn_multiplier": "1.2"},
            {"name": "金卡", "min_spend_fen": 200_000, "earn_multiplier": "1.5"},
        ],
        "points": {"redeem": {"block": 100, "value_fen": 100}},
    }
)
NEW = NOW.change({"tiers.1.min_spend_fen": 40_000, "tiers.1.earn_multiplier": "1.3"})
HOW = {"seed": 1, "margin_rate": 0.3, "redemption": 0.3, "replications": 3}


def people(members=200):
    return tiers.Population.from_priors(
        members,
        buying=(0.8, 60.0, 0.8, 2.5),
        spending=(6.0, 4.0, 40_000.0),
        as_of=date(2025, 10, 31),
        seed=3,
        habits=tiers.Habits(refund_rate=0.1),
    )


@pytest.fixture(scope="module")
def compared():
    return tiers.compare(people(), {"now": NOW, "new": NEW}, months=4, **HOW)


@pytest.fixture(scope="module")
def searched():
    grid = {
        "tiers.1.min_spend_fen": [30_000, 60_000],
        "tiers.1.earn_multiplier": ["1", "1.4"],
    }
    return tiers.search(
        people(), NOW, grid=grid, response=tiers.NO_RESPONSE, months=4, **HOW
    )


@pytest.fixture(scope="module")
def rolled():
    return tiers.roll_forward(
        deferred=[8675.0, 0.0], redeemed=[4500, 8500], expected=[9500, 9700]
    )


def values_of(chart, column):
    spec = chart.to_dict()
    return [row for rows in spec["datasets"].values() for row in rows if column in row]


def test_tiers_are_stacked_from_the_highest_and_the_first_is_what_remains(compared):
    rows = values_of(charts.tier_chart(compared), "tier")
    assert {row["tier"] for row in rows} == {"银卡", "金卡"}
    last = compared.simulation.month_ends[-1]
    for one in compared.simulation.scenarios:
        members = one.table()["members"].sum(axis=1)[:, -1]
        above = members[:, 1:].sum(axis=1) / members.sum(axis=1)
        (silver,) = [
            row
            for row in rows
            if row["scenario"]
            == f"{['present', 'changed'][one.name == 'new']} programme"
            and (row["month"], row["tier"]) == (last, "银卡")
        ]
        assert silver["to"] == pytest.approx(above.mean())
        assert (silver["lo"], silver["hi"]) == pytest.approx(around(above))
        gold = next(
            row for row in rows if row["month"] == last and row["tier"] == "金卡"
        )
        assert gold["from"] == 0


def test_one_scenario_has_one_panel_without_a_head(compared):
    alone = tiers.simulate(people(), NOW, months=2, **HOW)
    spec = charts.tier_chart(alone).to_dict()
    assert spec["facet"]["column"]["header"]["labels"] is False
    both = charts.tier_chart(compared).to_dict()
    assert both["facet"]["column"]["sort"] == ["present programme", "changed programme"]


def test_who_leaves_a_tier_is_drawn_below_zero(compared):
    rows = values_of(charts.flow_chart(compared, scenario="now"), "flow")
    one = compared.simulation.scenarios[0]
    moved = {name: one.table()[name].sum(axis=1).mean(axis=0) for name in
             ("moved_in", "moved_out")}  # fmt: skip
    for i, month in enumerate(compared.simulation.month_ends):
        for tier, j in (("银卡", 1), ("金卡", 2)):
            came, left = (
                row["value"]
                for row in rows
                if (row["month"], row["tier"]) == (month, tier)
            )
            assert came == pytest.approx(moved["moved_in"][i, j])
            assert left == pytest.approx(-moved["moved_out"][i, j])


def test_a_difference_has_both_intervals_and_the_narrow_one_is_called_so(compared):
    rows = values_of(charts.difference_chart(compared), "kind")
    margin = next(d for d in compared.differences if d.metric == "margin_fen")
    wide, narrow = (r for r in rows if r["metric"] == "Margin after benefits")
    assert wide["value"] == margin.difference / 100
    assert (wide["lo"], wide["hi"]) == tuple(end / 100 for end in margin.mc_param)
    assert (narrow["lo"], narrow["hi"]) == tuple(end / 100 for end in margin.mc)
    assert wide["kind"] == "Chance and parameters; no record of earlier forecasts"
    assert narrow["kind"] == "The model alone: too narrow"


def test_the_calibrated_interval_leads_where_there_is_a_record(compared):
    from growth.tiers.comparison import differences_of
    from growth.tiers.intervals import calibration

    known = differences_of(compared.simulation, calibration([0.1, -0.1, 0.2, 0.0]))
    rows = values_of(charts.difference_chart(known), "kind")
    margin = next(d for d in known.differences if d.metric == "margin_fen")
    assert rows[0]["kind"].startswith("Calibrated")
    assert rows[0]["lo"] == margin.calibrated.lo / 100
    assert margin.calibrated.lo < margin.mc_param.lo


def test_points_roll_forward_month_by_month(compared):
    chart = charts.liability_chart(compared, scenario="now")
    flows = values_of(chart, "amount")
    stock = {row["month"]: row["value"] for row in values_of(chart, "value")}
    months = compared.simulation.month_ends
    for before, month in pairwise(months):
        change = sum(row["amount"] for row in flows if row["month"] == month)
        assert stock[month] - stock[before] == pytest.approx(change)


def test_deferred_revenue_ends_at_what_still_waits(rolled):
    chart = charts.deferral_chart(rolled)
    flows = values_of(chart, "amount")
    closing = values_of(chart, "value")[-1]["value"]
    assert closing == pytest.approx(rolled.closing / 100)
    assert sum(row["amount"] for row in flows) == pytest.approx(closing)


def test_candidates_of_one_replication_have_no_interval():
    found = tiers.search(
        people(50), NOW, grid={"points.redeem.value_fen": [50, 200]}, months=2,
        response=tiers.NO_RESPONSE, **HOW | {"replications": 1},
    )  # fmt: skip
    chart = charts.search_chart(found)
    rows = values_of(chart, "kind")
    assert {row["lo"] for row in rows} == {row["hi"] for row in rows} == {None}
    assert {row["kind"] for row in rows} == {"Cannot be told from the best"}
    assert not any("(" in row["told"] for row in rows)
    text = to_svg(chart)
    assert "NaN" not in text
    assert "null" not in text


def test_candidates_stand_by_distance_and_say_what_they_change(searched):
    rows = values_of(charts.search_chart(searched), "kind")
    assert len(rows) == 5
    assert rows[0]["value"] == 0
    assert [row["value"] for row in rows] == sorted(
        (row["value"] for row in rows), reverse=True
    )
    names = " | ".join(row["name"] for row in rows)
    assert "银卡 spend from ¥600, multiplier 1" in names
    assert "present programme" in names
    for row, one in zip(rows, searched.candidates, strict=True):
        assert (row["hi"] < 0) is one.separable
        assert (row["kind"] == "Behind the best") is one.separable


def test_a_scenario_that_is_not_there_is_refused_with_the_right_one(compared):
    for draw in (charts.flow_chart, charts.difference_chart, charts.liability_chart):
        with pytest.raises(ParameterError, match="Did you mean 'new'"):
            draw(compared, scenario="neww")


def test_one_replication_has_no_interval_and_still_a_picture():
    how = HOW | {"replications": 1, "months": 2}
    one = tiers.simulate(people(50), NOW, **how)
    rows = values_of(charts.tier_chart(one), "tier")
    assert {row["lo"] for row in rows} == {None}
    both = tiers.compare(people(50), {"now": NOW, "new": NEW}, **how)
    rows = values_of(charts.difference_chart(both), "kind")
    assert {(row["lo"], row["told"]) for row in rows} == {(None, "–")}
    few = tiers.search(
        people(50), NOW, grid={"tiers.1.min_spend_fen": [30_000, 60_000]},
        response=tiers.NO_RESPONSE, **how,
    )  # fmt: skip
    for chart in (
        charts.tier_chart(one),
        charts.flow_chart(one),
        charts.liability_chart(one),
        charts.deferral_chart(one.roll_forward()),
        charts.difference_chart(both),
        charts.search_chart(few),
    ):
        assert "NaN" not in to_svg(chart)
        assert "null" not in to_svg(chart)


def test_axes_of_differences_say_what_they_count(compared, searched):
    assert "Difference, in yuan, over" in to_svg(charts.difference_chart(compared))
    assert "less the change in liability" in to_svg(charts.search_chart(searched))


def test_differences_in_number_are_drawn_in_number(compared):
    chart = charts.difference_chart(compared, metrics=["issued", "orders"])
    rows = values_of(chart, "kind")
    issued = next(d for d in compared.differences if d.metric == "issued")
    assert issued.difference
    assert rows[0]["metric"] == "Points issued"
    assert rows[0]["value"] == issued.difference
    assert (rows[0]["lo"], rows[0]["hi"]) == tuple(issued.mc_param)
    text = to_svg(chart)
    assert "¥" not in text
    assert "Difference in number" in text
    assert "yuan" not in text
    assert "数量" in to_svg(charts.difference_chart(compared, metrics=["orders"],
                                                  lang="zh"))  # fmt: skip


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ({"metrics": ["margin"]}, "unknown_metric", "Did you mean 'margin_fen'"),
        ({"metrics": "margin_fen"}, "unknown_metric", "a list of margin_fen, net"),
        ({"metrics": []}, "unknown_metric", "it must be a list"),
        ({"metrics": ["net_fen", "orders"]}, "mixed_units", "of money and of number"),
        ({"scenario": "now"}, "unknown_scenario",
         r"'now', which the others are held against; it must be one of \['new'\]"),
    ],
)  # fmt: skip
def test_a_difference_that_is_none_is_refused(compared, given, code, message):
    with pytest.raises(ParameterError, match=message) as info:
        charts.difference_chart(compared, **given)
    assert info.value.code == code


@pytest.mark.parametrize(
    ("draw", "due"),
    [
        (charts.tier_chart, "a Simulation or Comparison; pass what tiers.simulate or"),
        (charts.flow_chart, "a Simulation or Comparison"),
        (charts.liability_chart, "a Simulation or Comparison"),
        (charts.difference_chart, "a Comparison; pass what tiers.compare returned"),
        (charts.forecast_chart, "a Population; pass what tiers.fit returned"),
        (charts.deferral_chart, "a RollForward; pass what tiers.roll_forward"),
        (charts.search_chart, "a Found; pass what tiers.search returned"),
    ],
)
def test_a_chart_of_another_result_is_refused(draw, due):
    for given in (None, 5, NOW):
        with pytest.raises(ParameterError, match=f"it must be {due}") as info:
            draw(given)
        assert info.value.code == "wrong_result"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_chart_is_safe_svg_in_both_languages(lang, compared, searched, rolled):
    for chart in (
        charts.tier_chart(compared, lang=lang),
        charts.flow_chart(compared, lang=lang),
        charts.difference_chart(compared, lang=lang),
        charts.liability_chart(compared, lang=lang),
        charts.deferral_chart(rolled, lang=lang),
        charts.search_chart(searched, lang=lang),
    ):
        text = to_svg(chart)
        assert text.lstrip().startswith("<svg")
        assert "NaN" not in text
        assert "<script" not in text
        assert "http" not in text.replace("http://www.w3.org", "")


def test_a_simulations_deferred_revenue_is_drawn_by_month(compared):
    roll = compared.simulation.roll_forward("new")
    chart = charts.deferral_chart(roll)
    rows = values_of(chart, "amount")
    by = {(row["period"], row["flow"]): row["amount"] for row in rows}
    for month, one in zip(compared.simulation.month_ends, roll.periods, strict=True):
        assert by[month, "Deferred with new points"] == one.deferred / 100
        assert by[month, "Recognised as points are used"] == -one.recognised / 100
    waits = [row["value"] for row in values_of(chart, "value")]
    assert waits == [one.closing / 100 for one in roll.periods]
    axis = chart.to_dict()["layer"][0]["encoding"]["x"]
    assert axis["title"] is None
    assert to_svg(chart)
