import pytest

from growth.readout.estimates import about, headline_of, interval_of

WHOLE = {
    "key": "a.rate",
    "by": {"arm": "B", "os": "ios"},
    "value": 0.3,
    "unit": "share",
    "method": "wilson",
}
BARE = {"lo": None, "hi": None}


@pytest.mark.parametrize(
    ("key", "unit", "said", "ends"),
    [
        ("a.lift", "ratio", "+30.0%", "+29.0% to +31.0%"),
        ("a.difference", "share", "+30 pp", "+29 to +31 pp"),
        ("a.rate", "share", "30.0%", "29.0% to 31.0%"),
        ("a.change", "fen", "+¥0.00", "+¥0.00 to +¥0.00"),
        ("a.mean", "count", "0.300", "0.290 to 0.310"),
        ("a.mean", "", "0.300", "0.290 to 0.310"),
    ],
)
def test_an_estimate_is_written_in_its_unit_and_as_what_it_is(key, unit, said, ends):
    drawn = interval_of(
        WHOLE | {"key": key, "unit": unit, "lo": 0.29, "hi": 0.31}, name="Rate"
    )
    assert (drawn.said(), drawn.ends("en")) == (said, ends)
    assert drawn.tone == ("good" if drawn.change else "ink")


def test_the_key_estimate_is_the_first_with_an_interval_else_with_a_value():
    none = WHOLE | {"value": None} | BARE
    bare = WHOLE | BARE
    whole = WHOLE | {"lo": 0.2, "hi": 0.4}
    assert headline_of([none, bare, whole]) is whole
    assert headline_of([none, bare]) is bare
    assert headline_of([none]) is none
    assert headline_of([]) is None
    assert about(whole["by"]) == "B · ios"


def test_what_was_counted_of_all_is_a_key_estimate_without_an_interval():
    none = WHOLE | {"value": None, "method": "count"} | BARE
    counted = WHOLE | {"method": "count"} | BARE
    whole = WHOLE | {"lo": 0.2, "hi": 0.4}
    assert headline_of([WHOLE | BARE, none, counted, whole]) is counted
    assert headline_of([whole, counted]) is whole
