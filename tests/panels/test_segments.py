from datetime import date, timedelta

import pytest

from growth import segments
from growth.panels import segments as rules
from growth.segments import tables

DAY = date(2026, 2, 28)


@pytest.fixture(scope="module")
def panel(dataset):
    return rules.builder(dataset, as_of=DAY)


@pytest.fixture
def fresh(panel):
    """The panel as it opens, whatever was asked before."""
    panel.controls["text"].value = segments.packs.load("frequency")
    panel.controls["pack"].value = "frequency"
    panel.controls["back"].value = 28
    panel.controls["value"].value = "dormant"
    panel.controls["against"].value = ("order_value:high_net_worth",)
    return panel


def test_the_sizes_are_those_of_the_verb_and_follow_the_text(fresh, dataset):
    before = fresh.result
    told = segments.packs.rules("frequency", frequent_orders=2)
    tagged = segments.tag(dataset, told, as_of=DAY)
    text = segments.packs.load("frequency", frequent_orders=2)
    fresh.controls["text"].value = text
    assert fresh.result != before
    plain = {c.value: c.users for c in segments.sizes(tagged, "frequency").cells}
    for cell in fresh.result.cells:
        assert cell.users in (None, plain[cell.value])
    assert "rules=tags.toml" in fresh.hand.value
    assert "order_value" not in fresh.hand.value  # a file of rules stands alone
    assert "<script" not in fresh.picture.value


def test_no_group_below_the_least_size_is_ever_shown(fresh):
    fresh.controls["text"].value = segments.packs.load("frequency", frequent_orders=9)
    assert fresh.controls["min_size"].min == 50
    users = [cell.users for cell in fresh.result.cells]
    assert None in users
    assert all(n is None or n == 0 or n >= 50 for n in users)


def test_another_pack_is_another_text_with_its_own_values(fresh):
    fresh.controls["pack"].value = "behaviour"
    assert "[tag.behaviour]" in fresh.controls["text"].value
    assert fresh.result.tag == "behaviour"
    values = [value for _, value in fresh.controls["value"].options]
    assert values == list(segments.packs.rules("behaviour")["behaviour"].names)
    offered = {pair.split(":")[0] for _, pair in fresh.controls["against"].options}
    assert "behaviour" not in offered
    assert {"frequency", "order_value"} <= offered
    # what the pack needs, and what it is laid over
    assert "packs=behaviour,order_value" in fresh.hand.value
    assert "against=order_value:high_net_worth" in fresh.hand.value


def names(chart):
    rows = [row for rows in chart.to_dict()["datasets"].values() for row in rows]
    return [row["name"] for row in rows if "name" in row]


def test_the_overlap_is_with_what_is_chosen(fresh):
    assert len(fresh.charts) == 3
    assert names(fresh.charts[2]) == ["Dormant", "High net worth"]
    fresh.controls["value"].value = "never"
    assert names(fresh.charts[2]) == ["Never bought", "High net worth"]
    fresh.controls["against"].value = ()
    assert len(fresh.charts) == 2


def test_a_segment_whose_size_is_hidden_is_not_laid_over_others(fresh):
    fresh.controls["text"].value = segments.packs.load("frequency", frequent_orders=9)
    hidden = [cell.value for cell in fresh.result.cells if cell.users is None]
    assert hidden
    fresh.controls["value"].value = hidden[0]
    assert len(fresh.charts) == 2


def test_going_back_shows_what_was_there(fresh):
    first = fresh.picture.value
    fresh.controls["back"].value = 60
    assert fresh.picture.value != first
    fresh.controls["back"].value = 28
    assert fresh.picture.value == first
    fresh.controls["value"].value = "never"
    fresh.controls["value"].value = "dormant"
    assert fresh.picture.value == first


@pytest.fixture
def read(monkeypatch):
    """Note each time that the data are asked for, by the day."""
    days, plan = [], tables.Plan

    def noted(data, rules, as_of, *more, **options):
        days.append(as_of)
        return plan(data, rules, as_of, *more, **options)

    monkeypatch.setattr(tables, "Plan", noted)
    return days


def test_what_is_only_counted_anew_reads_the_data_no_second_time(fresh, read):
    fresh.controls["text"].value = segments.packs.load("frequency", frequent_orders=4)
    first, shown = fresh.result, fresh.picture.value
    read.clear()
    fresh.controls["min_size"].value = 300
    assert fresh.result.min_size == 300
    assert fresh.result.hidden > first.hidden
    assert all(c.users is None or c.users >= 300 or not c.users
               for c in fresh.result.cells)  # fmt: skip
    fresh.controls["value"].value = "active"
    fresh.controls["against"].value = ()
    fresh.controls["min_size"].value = 120
    assert read == []
    fresh.controls["back"].value = 40
    assert read == [DAY - timedelta(days=40)]  # the later date is there
    fresh.controls["back"].value = 28
    fresh.controls["min_size"].value = 50
    fresh.controls["value"].value = "dormant"
    fresh.controls["against"].value = ("order_value:high_net_worth",)
    assert fresh.result == first
    assert fresh.picture.value == shown
    assert len(read) == 1


def test_what_was_tagged_long_ago_is_let_go(dataset, fresh, read, monkeypatch):
    packs = len(fresh.controls["pack"].options)
    monkeypatch.setattr(rules, "KEPT", 3 - packs)  # room for three tables
    made = rules.builder(dataset, as_of=DAY)
    made.controls["against"].value = ()
    for days in (40, 41, 42):
        made.controls["back"].value = days
    read.clear()
    made.controls["min_size"].value = 60
    made.controls["back"].value = 41
    assert read == []
    made.controls["back"].value = 40
    assert read == [DAY - timedelta(days=40)]


def test_a_text_that_is_wrong_is_told_and_what_was_shown_stays(fresh):
    shown, result = fresh.picture.value, fresh.result
    fresh.controls["text"].value = (
        segments.packs.load("rfm").replace("rfm_", "fmr_") + "x"
    )
    assert fresh.status.view.value
    assert fresh.picture.value == shown
    assert fresh.result is result


def test_it_opens_on_the_overlaps_of_the_readout(dataset):
    made = rules.builder(dataset, as_of=DAY, lang="zh")
    assert made.controls["against"].value == (
        "order_value:high_net_worth", "behaviour:cart_abandoned", "wake_up:call_now",
    )  # fmt: skip
    words = dict(made.controls["against"].options)
    assert words["客单价：高净值"] == "order_value:high_net_worth"
    assert "各取值人数" in made.card.value
    assert "How many" not in made.card.value + made.picture.value
    assert "消费频次" in made.picture.value
    made.controls["against"].value = ()
    made.controls["text"].value = segments.packs.load("frequency", active_days=20)
    assert made.controls["against"].value == ()  # stays as it was left
