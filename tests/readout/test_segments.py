"""The pieces of the segments page: what is said of results, and what is not."""

from dataclasses import replace
from datetime import date

import pytest

import growth
from growth import segments, synth
from growth.errors import ParameterError
from growth.readout import SegmentsParams
from growth.readout import segments as room

DAY = date(2026, 2, 28)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("segments") / "shop"
    synth.sample(folder, seed=5, users=1500)
    return growth.open(folder)


@pytest.fixture(scope="module")
def params(opened):
    return SegmentsParams(data=str(opened.location), name="customers", as_of=DAY)


@pytest.fixture(scope="module")
def found(opened, params):
    return room.look(opened, params)


def test_what_is_told_is_what_the_verbs_find(opened, params, found):
    rules = params.declared()
    tagged = segments.tag(opened, rules, as_of=DAY)
    for name in rules.names:
        plain = segments.sizes(tagged, name)
        users = {cell.value: cell.users for cell in plain.cells}
        for cell in found.sizes[name].cells:
            assert cell.users in (None, users.get(cell.value, 0))
    assert found.movement.second_as_of == DAY
    assert found.movement.first_as_of == date(2026, 1, 31)
    assert found.profile.users == dict(found.movement.after_users)["dormant"]
    assert list(found.results())[:3] == ["sizes", "movement", "profile"]


def test_no_small_group_is_on_the_page(opened, params, found):
    for result in found.everything():
        for row in result.rows():
            users = row.get("users")
            if users is None:
                continue
            crossed = "before" in row or "segments" in row
            assert users == 0 or users >= (10 if crossed else 50), row
    assert found.movement.hidden
    assert "are hidden" in room.checks(opened, found, params).html
    assert "are hidden" in room.moves_table(found).html


def test_what_a_segment_rests_on_is_not_compared(found):
    features = {line.feature for line in found.profile.lines}
    assert {"region", "age", "lifecycle", "order_value"} <= features
    assert not {"frequency", "behaviour", "wake_up"} & features


def test_the_months_are_those_before(found):
    days = [one.as_of for one in found.trend]
    assert days == [date(2025, 12, 31), date(2026, 1, 31), DAY]


def test_words_are_those_of_the_rules(params, found):
    english = room.summary(found, params, lang="en").html
    chinese = room.summary(found, params, lang="zh").html
    assert "Dormant" in english
    assert "沉睡" in chinese
    assert "dormant" not in english + chinese
    assert "Guangdong" in room.sizes_table(found, params, lang="en").html
    assert "广东" in room.sizes_table(found, params, lang="zh").html


def test_every_chart_has_words_in_both_languages(params, found):
    for lang in ("en", "zh"):
        charts = room.drawings(found, params, lang=lang)
        assert list(charts) == [
            "sizes", "movement", "lifecycle", "profile", "overlap", "reach",
        ]  # fmt: skip
        for chart in charts.values():
            assert chart.to_dict()["title"]


def test_tables_that_are_not_there_leave_packs_out(params):
    assert segments.packs.tables("persona") == {"members", "orders"}
    assert params.declared({"events", "orders"}).names == (
        "frequency", "order_value", "behaviour", "lifecycle", "wake_up",
    )  # fmt: skip
    with pytest.raises(ParameterError, match="whose tables the data has") as info:
        params.declared({"prizes"})
    assert info.value.faults[0].code == "no_tags"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"tag": "frequncy"}, "Did you mean 'frequency'"),
        ({"value": "dormnt"}, "Did you mean 'dormant'"),
    ],
)
def test_a_tag_that_is_not_there_is_refused_before_a_kernel_starts(params, given, told):
    with pytest.raises(ParameterError, match=told):
        replace(params, **given).check()


def test_other_segments_are_written_as_pairs(params):
    with pytest.raises(ParameterError, match="tag:value"):
        replace(params, against="dormant")
    alone = replace(params, against=None)
    assert alone.overlapping() == ()


def test_rules_of_ones_own_are_read_from_a_file(opened, params, tmp_path):
    path = tmp_path / "tags.toml"
    path.write_text(segments.packs.load("frequency", active_days=7), "utf-8")
    own = replace(params, rules=str(path), against=None, features="platform")
    assert ("rules", str(path)) in list(own.inputs())
    own.check()
    found = room.look(opened, own)
    assert list(found.sizes) == ["frequency"]
    assert found.overlap is None
    assert found.trend == ()
    assert "No other segment" in room.overlap_note(found, own).html
    assert room.wake_note(found).html == ""
