"""What the readout asks, and what it leaves alone."""

from dataclasses import replace
from datetime import date

import pytest

from growth import segments
from growth.errors import ParameterError
from growth.readout import segments as room
from growth.readout.estimates import headline_of


def test_what_is_told_is_what_the_verbs_find(opened, params, found):
    rules = params.declared()
    tagged = segments.tag(opened, rules, as_of=params.as_of)
    for name in rules.names:
        plain = segments.sizes(tagged, name)
        users = {cell.value: cell.users for cell in plain.cells}
        for cell in found.sizes[name].cells:
            assert cell.users in (None, users.get(cell.value, 0))
    assert found.movement.second_as_of == params.as_of
    assert found.movement.first_as_of == date(2026, 1, 31)
    assert found.profile.users == dict(found.movement.after_users)["dormant"]
    assert list(found.results())[:3] == ["movement", "sizes", "profile"]


def test_the_index_follows_how_many_stayed_where_they_were(found):
    told = [e.to_dict() for r in found.results().values() for e in r.estimates()]
    assert any(e["lo"] is not None for e in told)  # of the profile: another each day
    shown = headline_of(told)
    assert (shown["key"], shown["unit"]) == ("frequency.unchanged_rate", "share")
    assert shown["value"] == found.movement.unchanged_rate


def test_what_a_segment_rests_on_is_not_compared(found):
    features = {line.feature for line in found.profile.lines}
    assert {"region", "age", "lifecycle", "order_value"} <= features
    assert not {"frequency", "behaviour", "wake_up"} & features


def test_the_months_are_those_before(found):
    days = [one.as_of for one in found.trend]
    assert days == [date(2025, 12, 31), date(2026, 1, 31), date(2026, 2, 28)]


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


def test_what_sizes_hide_no_other_result_tells(found):
    shown = {
        tag: {cell.value for cell in one.cells if cell.users is not None}
        for tag, one in found.sizes.items()
    }
    for line in found.profile.lines:
        if line.feature in shown:
            assert line.level in shown[line.feature], line
    for name in found.overlap.segments:
        tag, value = name.split("=")
        assert value in shown[tag]
    months = {one.as_of: one for one in found.trend}
    for one in (found.sizes["lifecycle"], found.before["lifecycle"]):
        hidden = {cell.value for cell in one.cells if cell.users is None}
        beside = months[one.as_of].cells
        assert hidden
        assert hidden <= {cell.value for cell in beside if cell.users is None}


def test_of_a_value_whose_size_is_hidden_nothing_else_is_told(opened, params):
    few = replace(params, value="frequent", min_size=1000)
    found = room.look(opened, few)
    assert (found.profile, found.overlap, found.reach) == (None, None, None)
    assert list(found.results())[:2] == ["movement", "sizes"]
    assert "too few to be shown" in room.summary(found, few).html
    assert "Its size is hidden" in room.profile_table(found).html
    assert "Its size is hidden" in room.overlap_note(found, few).html
    assert "Its size is hidden" in room.reach_table(found).html
    assert {"profile", "overlap", "reach"}.isdisjoint(room.drawings(found, few))


def test_a_share_that_the_overlap_keeps_back_the_profile_does_not_tell(opened, params):
    asked = replace(
        params,
        packs="frequency,order_value",
        against="order_value:high_net_worth",
        features="order_value",
        min_cell=1000,
    )
    found = room.look(opened, asked)
    assert [pair.users for pair in found.overlap.pairs] == [None]
    assert found.profile.lines == ()
    assert found.profile.users == room.look(opened, params).profile.users
