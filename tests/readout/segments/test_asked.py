"""What the readout asks, and what it leaves alone."""

from dataclasses import replace
from datetime import date

import pytest

from growth import segments
from growth.errors import ParameterError
from growth.readout import segments as room


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
    assert list(found.results())[:3] == ["sizes", "movement", "profile"]


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
