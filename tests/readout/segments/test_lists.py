"""The tables of the segments page."""

from growth.readout import segments as room


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
