from datetime import date
from itertools import pairwise

import pytest

from growth import segments
from growth.charts import segments as charts
from growth.charts import to_svg
from growth.segments.reach import REASONS

DAYS = date(2026, 1, 31), date(2026, 2, 28)


def values_of(chart, column):
    spec = chart.to_dict()
    return [row for rows in spec["datasets"].values() for row in rows if column in row]


@pytest.fixture
def sizes():
    counts = {"a": 600, "b": 3, "c": 70}
    return segments.sizes_from_counts(counts, tag="t", as_of=DAYS[0], min_size=50)


@pytest.fixture
def movement():
    counts = {
        ("a", "a"): 500, ("a", "b"): 90, ("b", "a"): 40, ("b", "b"): 300,
        (None, "a"): 60, ("b", None): 20,
    }  # fmt: skip
    return segments.movement_from_counts(counts, tag="t", first=DAYS[0], second=DAYS[1])


@pytest.fixture
def overlap():
    counts = {0: 500, 1: 90, 2: 80, 3: 40, 5: 7}
    return segments.overlap_from_masks(counts, segments=["rich", "new", "near"])


@pytest.fixture
def profile():
    return segments.profile_from_counts(
        segment="dormant",
        users=900,
        rest=2000,
        categories={"region": {"44": (400, 500), "31": (200, 460)}},
        numbers={},
    )


def test_a_hidden_value_says_so_and_has_no_length(sizes):
    chart = charts.sizes_chart(sizes, words={"a": "Alpha"})
    rows = {row["value"]: row for row in values_of(chart, "share")}
    assert rows["Alpha"]["said"] == "600 · 89.2%"
    assert (rows["b"]["said"], rows["b"]["share"]) == ("hidden", 0.0)
    told = chart.to_dict()["description"]
    assert "b hidden" in told
    assert "3" not in told.replace("600 · 89.2%", "")


def test_a_sample_has_intervals():
    found = segments.sizes_from_counts({"a": 40, "b": 60}, tag="t", sample_rate=0.1)
    rows = values_of(charts.sizes_chart(found), "share")
    assert all(row["lo"] < row["share"] < row["hi"] for row in rows)


def test_ribbons_are_as_wide_as_their_moves_and_end_on_their_blocks(movement):
    chart = charts.movement_chart(movement, words={"a": "Alpha"})
    ribbons = values_of(chart, "way")
    wide = {row["way"]: row["y2"] - row["y"] for row in ribbons}
    assert wide["Alpha → Alpha"] == pytest.approx(500 / movement.users)
    assert wide["joined since → Alpha"] == pytest.approx(60 / movement.users)
    blocks = {row["said"] for row in values_of(chart, "mid")}
    assert {"Alpha 590", "Alpha 600", "joined since 60"} <= blocks
    for side in (0.0, 1.0):
        edges = sorted((row["y"], row["y2"]) for row in ribbons if row["x"] == side)
        # no two ribbons share a place on a block
        assert all(b[0] >= a[1] - 1e-12 for a, b in pairwise(edges))


def test_an_upset_chart_has_a_dot_a_member(overlap):
    chart = charts.upset_chart(overlap)
    dots = values_of(chart, "in")
    first = [row["x"] for row in dots if row["y"] == 0 and row["in"]]
    assert first == [0]  # the largest is of `rich` alone
    bars = values_of(chart, "who")
    assert [row["said"] for row in bars] == ["90", "80", "40", "7"]
    assert bars[2]["who"] == "rich & new"


def test_a_profile_draws_lifts_with_their_intervals(profile):
    chart = charts.profile_chart(profile, words={"region": "Region", "region=44": "GD"})
    rows = {row["trait"]: row for row in values_of(chart, "lift")}
    line = rows["Region: GD"]
    assert line["lo"] < line["lift"] < line["hi"]
    assert line["differs"]
    assert set(rows) == {"Region: GD", "Region: 31"}


def test_a_grid_hides_small_cells():
    counts = {("x", "p"): 3, ("x", "q"): 200, ("y", "p"): 300, ("y", "q"): 400}
    crossed = segments.cross_from_counts(counts, row_tag="a", column_tag="b", k=10)
    rows = values_of(charts.cross_chart(crossed), "users")
    assert rows[0]["said"] == "·"


def test_columns_stand_by_date(sizes):
    later = segments.sizes_from_counts({"a": 500, "c": 90}, tag="t", as_of=DAYS[1])
    rows = values_of(charts.trend_chart([sizes, later]), "place")
    assert {row["as_of"] for row in rows} == {day.isoformat() for day in DAYS}


def test_what_is_hidden_is_one_grey_piece_and_values_nobody_has_are_left_out():
    counts = {"a": 700, "b": 3, "c": 97, "d": 0}
    hiding = segments.sizes_from_counts(counts, tag="t", as_of=DAYS[0], min_size=50)
    told = segments.sizes_from_counts({"a": 500, "c": 90}, tag="t", as_of=DAYS[1])
    chart = charts.trend_chart([hiding, told], lang="en")
    pieces = {(row["as_of"], row["value"]): row for row in values_of(chart, "place")}
    grey = pieces[DAYS[0].isoformat(), "hidden"]
    assert grey["share"] == pytest.approx(100 / 800)
    assert {value for _, value in pieces} == {"a", "c", "hidden"}
    for day in DAYS:
        own = [row["share"] for (at, _), row in pieces.items() if at == day.isoformat()]
        assert sum(own) == pytest.approx(1)
    assert "hidden 12.5%" not in chart.to_dict()["description"]  # of the last day only


def test_who_went_quiet_stands_below_zero_and_the_asleep_are_not_drawn():
    counts = {"new": 90, "returning": 300, "resurrecting": 60, "dormant": 80,
              "asleep": 400, "never": 5}  # fmt: skip
    months = [
        segments.sizes_from_counts(counts, tag="lifecycle", as_of=day) for day in DAYS
    ]
    chart = charts.lifecycle_chart(months, words={"dormant": "Dormant"}, lang="en")
    rows = values_of(chart, "state")
    drawn = {row["state"]: row["users"] for row in rows}
    assert drawn == {"new": 90, "returning": 300, "resurrecting": 60, "Dormant": -80}
    assert {row["interval"] for row in rows} == {day.isoformat() for day in DAYS}
    assert "2026-02-28 Dormant 80" in chart.to_dict()["description"]
    few = segments.sizes_from_counts(counts, tag="lifecycle", min_size=70)
    shown = {row["state"] for row in values_of(charts.lifecycle_chart([few]), "state")}
    assert "resurrecting" not in shown


def test_standings_of_one_kind_are_one_piece_and_the_open_part_is_in_words():
    cells = [
        segments.ReachCell("subscribe", "open", 25, 25),
        segments.ReachCell("subscribe", "used_up", 50, None),
        segments.ReachCell("subscribe", "no_grant", 25, None),
        segments.ReachCell("sms", "opted_out", 40, None),
        segments.ReachCell("sms", "open", None, None),
    ]
    reach = segments.Reach.of(cells, at=None, users=100, reachable=25)
    chart = charts.reach_chart(reach, lang="en")
    why = [row["why"] for row in values_of(chart, "why")]
    assert why == ["may be reached", "used up or closed", "never agreed or wrote",
                   "refused"]  # fmt: skip
    said = {row["channel"]: row["said"] for row in values_of(chart, "said")}
    assert said == {
        "Subscription message": "25.0% may be reached",
        "Text message": "hidden",
    }
    assert set(charts.STANDINGS) == set(REASONS)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_chart_is_drawn_offline_in_both_languages(
    lang, sizes, movement, overlap, profile
):
    crossed = segments.cross_from_counts({("x", "p"): 30}, row_tag="a", column_tag="b")
    cells = [segments.ReachCell("sms", "open", 3, None)]
    reach = segments.Reach.of(cells, at=None, users=9, reachable=3)
    for chart in (
        charts.sizes_chart(sizes, lang=lang),
        charts.trend_chart([sizes], lang=lang),
        charts.lifecycle_chart([sizes], lang=lang),
        charts.movement_chart(movement, lang=lang),
        charts.upset_chart(overlap, lang=lang),
        charts.profile_chart(profile, lang=lang),
        charts.cross_chart(crossed, lang=lang),
        charts.reach_chart(reach, lang=lang),
    ):
        assert to_svg(chart).startswith("<svg")
        assert chart.to_dict()["title"]


def test_empty_results_have_charts():
    nothing = segments.profile_from_counts(
        segment="s", users=3, rest=4, categories={}, numbers={}
    )
    nobody = segments.movement_from_counts({}, tag="t")
    for chart in (charts.profile_chart(nothing), charts.movement_chart(nobody)):
        assert to_svg(chart).startswith("<svg")
