from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from growth.dataset.transforms import (
    Noted,
    Unusable,
    coerce,
    instant_ms,
    make,
    plain_text,
    sha256_of,
)

PLAIN = "%Y-%m-%d %H:%M:%S"
PRECISE = "%Y-%m-%d %H:%M:%S.%f"


def reason(function, *args, **kwargs):
    with pytest.raises(Unusable, match=r"^[a-z_]+$") as info:
        function(*args, **kwargs)
    return info.value.reason


@pytest.mark.parametrize(
    ("name", "value", "fen"),
    [
        ("yuan", "68.00", 6800),
        ("yuan", "1,299.50", 129950),
        ("yuan", "0.5", 50),
        ("yuan", 68, 6800),
        ("yuan", Decimal("12.30"), 1230),
        ("yuan_signed", "-0.34000", -34),
        ("fen", 6800, 6800),
        ("fen", "6800", 6800),
        ("float_money", 77183.6, 7718360),
        ("float_money", "12.5", 1250),
    ],
)
def test_money_becomes_fen(name, value, fen):
    assert make(name)(value) == fen


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("yuan", "六十八"),
        ("yuan", 68.0),  # a float has lost what was written
        ("yuan", "68.005"),
        ("yuan", "1,29.50"),
        ("yuan", "-5.00"),
        ("yuan", True),
        ("fen", 168.0),
        ("fen", -1),
        ("fen", "68.00"),
        ("float_money", 0.005),
        ("float_money", -1.0),
        ("float_money", float("inf")),
        ("float_money", float("nan")),
        ("float_money", "1e99"),
    ],
)
def test_what_is_no_money_is_bad_money(name, value):
    assert reason(make(name), value) == "bad_money"


@given(st.integers(0, 10**11))
def test_yuan_text_and_floating_yuan_agree_on_every_fen(fen):
    text = f"{fen // 100:,}.{fen % 100:02d}"
    assert make("yuan")(text) == fen
    found = make("float_money")(fen / 100)
    assert found == fen


@given(st.integers(1, 10**9), st.integers(1, 40))
def test_floating_dust_is_rounded_and_told(fen, parts):
    value = sum([fen / 100 / parts] * parts)
    found = make("float_money")(value)
    if value == fen / 100:
        assert found == fen
    else:
        assert found == Noted(fen, "money_rounded")


def test_epochs():
    assert make("ms_epoch")(1773104400000) == 1773104400000
    assert make("ms_epoch")("1773104400000") == 1773104400000
    assert make("s_epoch")(1773144090) == 1773144090000
    for value in ("yesterday", "2026-03-11 12:00:00", True, float("nan"), 10**20, []):
        assert reason(make("ms_epoch"), value) == "bad_time"


@pytest.mark.parametrize("tz", ["Asia/Shanghai", "UTC", "Europe/London"])
@given(
    st.datetimes(datetime(1992, 1, 1), datetime(2030, 1, 1)).map(
        lambda d: d.replace(microsecond=d.microsecond // 1000 * 1000)
    )
)
def test_local_times_are_what_the_zone_says(tz, naive):
    aware = naive.replace(tzinfo=ZoneInfo(tz))
    read = make("local", tz=tz, pattern=PRECISE)
    skipped = (
        aware.astimezone(UTC).astimezone(ZoneInfo(tz)).replace(tzinfo=None) != naive
    )
    if skipped:
        assert reason(read, naive.strftime(PRECISE)) == "bad_time"
        return
    assert read(naive.strftime(PRECISE)) == instant_ms(aware)
    assert read(naive) == instant_ms(aware)
    whole = naive.replace(microsecond=0)
    shorter = make("local", tz=tz, pattern=PLAIN)(whole.strftime(PLAIN))
    assert shorter == instant_ms(whole.replace(tzinfo=ZoneInfo(tz)))


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (PLAIN, "2026-02-30 08:01:00"),
        (PLAIN, "2026/3/10 9:00"),
        (PLAIN, "2026-03-10 08:01:60"),
        (PLAIN, "2026-03-10T08:01:00"),
        (PLAIN, "2026-03-10 08:01:0x"),
        (PLAIN, "2026-W10-2 08:01:00"),
        (PRECISE, "2026-03-10 08:01:00"),
        (PRECISE, "2026-03-10 08:01:00.1234567"),
        ("%d.%m.%Y", "2026-03-10"),
    ],
)
def test_a_time_written_otherwise_is_bad(pattern, text):
    assert reason(make("local", tz="UTC", pattern=pattern), text) == "bad_time"


def test_a_time_the_clocks_skipped_is_bad_and_a_repeated_one_is_the_first():
    london = make("local", tz="Europe/London", pattern=PLAIN)
    assert reason(london, "2011-03-27 01:30:00") == "bad_time"
    first = datetime(2011, 10, 30, 0, 30, tzinfo=UTC)  # 01:30 comes twice that night
    assert london("2011-10-30 01:30:00") == instant_ms(first)


def test_other_patterns_dates_and_zones_in_the_value():
    assert make("local", tz="UTC", pattern="%d.%m.%Y")("10.03.2026") == 1773100800000
    assert make("local", tz="Asia/Shanghai")(date(2026, 3, 10)) == 1773072000000
    east = datetime(2026, 3, 10, 8, tzinfo=timezone(timedelta(hours=8)))
    assert make("local", tz="UTC")(east) == 1773100800000
    assert reason(make("local", tz="UTC"), 7) == "bad_time"


def test_numbers_and_seconds():
    assert make("number")("182") == 182
    assert make("number")(182.5) == 182.5
    assert make("s_to_ms")(11.6) == 11600
    assert make("s_to_ms")(-4) == -4000  # the column's range says what is wrong
    for value in ("9s", True, None, [1], "1 000"):
        assert reason(make("number"), value) == "bad_type"
    assert reason(make("s_to_ms"), float("inf")) == "bad_type"


@pytest.mark.parametrize("value", [1007, "1007", "wx-1007", "scn:1007"])
def test_a_scene_is_read_off_its_end(value):
    assert make("scene")(value) == 1007


def test_odd_scenes_are_noted():
    assert make("scene")("未取到值") == Noted(None, "scene_unreadable")
    assert make("scene")("scn:abcd") == Noted(None, "scene_unreadable")
    assert make("scene")(11007) == Noted(None, "scene_unreadable")
    assert make("scene")(9999) == Noted(9999, "scene_unknown")


def test_paths_and_queries():
    assert make("strip_slash")("/pages/home/index.html?x=1") == "pages/home/index"
    assert make("query_allow")("share_id=s1&openid=o1") == "share_id=s1"
    assert make("query_allow")("openid=o1") is None
    assert make("query_allow", query=["shop"])("?shop=南山&x=1").startswith("shop=")
    assert reason(make("strip_slash"), 3) == "bad_type"
    assert make("lower")("iOS") == "ios"
    assert reason(make("lower"), 3) == "bad_type"


def test_text_of_values():
    assert make("text")(3700000000000000006) == "3700000000000000006"
    assert make("text")(17850.0) == "17850"
    assert reason(make("text"), {"a": 1}) == "bad_type"
    assert plain_text(value=True) == "true"
    assert plain_text({"b": [1], "a": "中"}) == '{"a": "中", "b": [1]}'
    assert sha256_of("a", 1) == sha256_of("a", "1")
    assert sha256_of("ab", "c") != sha256_of("a", "bc")


@pytest.mark.parametrize(
    ("kind", "value", "textual", "stored"),
    [
        ("text", "中", False, "中"),
        ("int32", 3.0, False, 3),
        ("int64", "12", True, 12),
        ("float64", "1.5", True, 1.5),
        ("bool", "TRUE", True, True),
        ("bool", False, False, False),
        ("date", "2026-03-10", True, date(2026, 3, 10)),
        ("instant", "2026-03-10T08:00:00+08:00", True, 1773100800000),
        ("json", {"b": 1}, False, '{"b": 1}'),
    ],
)
def test_what_a_column_stores(kind, value, textual, stored):
    assert coerce(kind, value, textual=textual) == stored


@pytest.mark.parametrize(
    ("kind", "value", "textual", "why"),
    [
        ("text", 1, False, "bad_type"),
        ("text", "\ud800", False, "bad_type"),
        ("int32", "12", False, "bad_type"),  # JSON has numbers of its own
        ("int32", 1.5, False, "bad_type"),
        ("int32", True, False, "bad_type"),
        ("int8", 128, False, "out_of_range"),
        ("int64", 2**63, False, "out_of_range"),
        ("float64", float("inf"), False, "bad_type"),
        ("float64", "1e400", True, "bad_type"),
        ("bool", "yes", True, "bad_type"),
        ("bool", 1, False, "bad_type"),
        ("date", "10.03.2026", True, "bad_time"),
        ("date", datetime(2026, 3, 10), False, "bad_time"),
        ("instant", "2026-03-10 08:00:00", True, "bad_time"),  # no zone
    ],
)
def test_what_a_column_does_not_store(kind, value, textual, why):
    assert reason(coerce, kind, value, textual=textual) == why
