"""The retention readout's own pieces."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import growth
from growth import synth
from growth.labels import label
from growth.readout import RetentionParams
from growth.readout import retention as room
from growth.result import Notice

START, DAYS = date(2026, 2, 1), 20
PLACES = [f"place {i}" for i in range(14)]


def made(folder):
    """Write a log of newcomers who walk through a funnel, and what they paid."""
    back = synth.retention(seed=4, users=600, days=DAYS, start=START).data
    walk = synth.funnel(seed=4, users=600, days=DAYS, start=START).data
    events = pa.concat_tables([back, walk.cast(back.schema)])
    rng = np.random.default_rng(1)
    place = rng.choice(PLACES, len(events), p=np.arange(14, 0, -1) / 105)
    known = pa.array(place, mask=rng.random(len(events)) < 0.05)
    (folder / "events").mkdir()
    events = events.append_column("page_path", known)
    pq.write_table(events, folder / "events" / "a.parquet")
    paid = walk.filter(pa.compute.equal(walk["event"].cast(pa.string()), "order_pay"))
    orders = {
        "order_id": [str(i) for i in range(len(paid))],
        "user_id": paid["user_id"].cast(pa.string()),
        "pay_ts": paid["ts"],
        "paid_fen": pa.array([9_900] * len(paid), pa.int64()),
    }
    pq.write_table(pa.table(orders), folder / "orders.parquet")
    return growth.open(folder)


def asked(**more):
    usual = {
        "as_of": START + timedelta(days=DAYS - 1),
        "days": DAYS,
        "horizon": 7,
        "window_days": 2,
        "steps": "page_view,add_to_cart,order_pay",
    }
    return RetentionParams(data="x", name="new", **usual | more)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    return made(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def params():
    return asked(by="page_path", industry="apparel")


@pytest.fixture(scope="module")
def found(opened, params):
    return room.look(opened, params)


@pytest.mark.parametrize(
    ("lang", "said", "way"),
    [
        ("en", "come back the next day", "of those with page_view reach order_pay"),
        ("zh", "的用户次日回访", "到达 order_pay"),
    ],
)
def test_the_summary_says_how_many_come_back_and_pay(found, params, lang, said, way):
    html = room.summary(found, params, lang=lang).html
    first = found.cohorts.curve()[1]
    last = found.funnel.totals[-1]
    assert f"{first.rate:.1%}" in html
    assert f"{last.rate_from_start:.1%}" in html
    assert said in html
    assert way in html
    assert html.count("<b>") == 4  # users, two offsets, the last step


def test_the_summary_of_a_day_has_no_share_yet(opened):
    young = asked(as_of=START, days=1)
    early = room.look(opened, young)
    html = room.summary(early, young, lang="en").html
    assert "%" not in html.partition("<strong>")[2].partition("</strong>")[0]
    assert 'class="note"' in room.curve_table(early, lang="en").html
    assert room.groups_table(early, lang="en").html == ""


def test_the_curves_table_has_a_row_an_offset_that_people_ask_about(found):
    html = room.curve_table(found, lang="en").html
    points = {p.k: p for p in found.cohorts.curve()}
    assert html.count("</tr>") == 1 + 7 + 1  # head, seven offsets, the axis
    assert f"{points[7].rate:.1%}" in html
    assert f"{points[7].n_users:,}" in html


def test_the_largest_groups_have_a_row_and_the_others_share_one(found):
    html = room.groups_table(found, lang="en").html
    assert len(found.groups.groups) > 12
    sizes = {by[0][1]: n for by, n in found.groups.totals}
    rows = [html.index(f">{name}<") for name in PLACES[:3]]
    by_size = sorted(PLACES[:3], key=lambda name: -sizes[name])
    assert sorted(rows) == [html.index(f">{name}<") for name in by_size]
    assert html.rindex(f">{label('chart.others', 'en')}<") > max(rows)
    assert "Back after 1 d" in html
    assert room.groups_table(replace(found, groups=None), lang="en").html == ""


def test_what_a_buyer_is_worth_is_money_with_its_interval(found):
    html = room.worth_note(found, lang="en").html
    last = [p for p in found.worth.curve if p.ltv_fen is not None][-1]
    assert f"¥{last.ltv_fen / 100:,.2f}" in html
    none = room.worth_note(replace(found, worth=None), lang="en").html
    assert "order" in none
    assert "¥" not in none


def test_the_funnels_tables_say_how_many_and_how_long(found):
    html = room.funnel_table(found, lang="en").html
    for step in found.funnel.totals:
        assert f"{step.step}. {step.name}" in html
        assert f"{step.reached:,}" in html
    assert "page_view → order_pay" in room.times_table(found, lang="en").html
    nobody = replace(found.funnel.totals[0], reached=0)
    empty = replace(found, funnel=replace(found.funnel, totals=(nobody,), times=()))
    assert 'class="note"' in room.funnel_table(empty, lang="en").html
    assert room.times_table(empty, lang="en").html == ""


def test_the_checks_tell_what_the_numbers_rest_on(opened, found):
    html = room.checks(opened, found, lang="en").html
    assert f"of {len(found.cohorts.cohorts)} cohorts are complete" in html
    assert "old users may count as new" in html


def test_a_window_and_a_period_are_said_in_the_pages_language(opened, found):
    young = Notice("immature_entries", "info", (("n", 9), ("window", "7d")))
    partial = Notice("partial_cohort", "info", (("period", "week"),))
    said = replace(found, funnel=replace(found.funnel, notices=(young, partial)))
    for lang, words in (
        ("en", ("the window of 7 d to be over", "inside an interval (week)")),
        ("zh", ("，7 天的窗口期未结束", "周期（周）")),
    ):
        html = room.checks(opened, said, lang=lang).html
        assert all(word in html for word in words), html
        assert "7d" not in html


def test_the_document_keeps_every_result_but_the_breakdown(found):
    names = list(found.results())
    assert names[:3] == ["cohorts", "funnel", "drift"]
    assert "groups" not in names
    assert "official" not in names  # the data has no such table


def test_the_charts_are_those_of_what_was_found(found, params):
    charts = room.drawings(found, params, lang="zh")
    assert {"curve", "triangle", "trend", "groups", "ltv", "funnel"} <= set(charts)
    assert "reconcile" not in charts
    lines = charts["groups"].to_dict()["layer"][1]["encoding"]["color"]["scale"]
    assert len(lines["domain"]) == 6
    fewer = replace(found, groups=None, worth=None)
    assert not {"groups", "ltv"} & set(room.drawings(fewer, params))


def test_a_value_of_the_data_is_escaped(found):
    wild = replace(
        found.groups,
        groups=(("<script>",), *found.groups.groups[1:]),
    )
    html = room.groups_table(replace(found, groups=wild), lang="en").html
    assert "<script>" not in html
