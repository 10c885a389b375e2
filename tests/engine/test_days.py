import json
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from growth.engine import as_table, epoch_us, instant, local_date, local_day
from growth.engine.days import DAY_US, EPOCH, comparable, offsets, within
from growth.engine.dialect import floor_divide
from growth.errors import DataError, ParameterError

GOLDEN = Path(__file__).parent.parent / "golden" / "time_semantics.json"
ZONES = (
    "Asia/Shanghai",
    "America/New_York",
    "Europe/London",
    "Australia/Lord_Howe",  # half-hour daylight saving
    "Asia/Kathmandu",
    "UTC",
)
MICROSECOND = timedelta(microseconds=1)
EVER = tuple(end.replace(tzinfo=UTC) for end in (datetime.min, datetime.max))


def at(us):
    return EPOCH + us * MICROSECOND


def table_of(us, kind=None):
    return ibis.memtable(pa.table({"ts": pa.array(us, kind or pa.timestamp("us"))}))


def days_of(us, tz, kind=None):
    table = table_of(us, kind)
    return table.select(day=local_day(table.ts, tz)).to_pyarrow()["day"].to_pylist()


def expected_day(us, tz):
    local = at(us).astimezone(ZoneInfo(tz))
    return (local.date() - date(1970, 1, 1)).days


@pytest.mark.parametrize("tz", ZONES)
def test_every_transition_and_a_microsecond_beside_it_agree_with_zoneinfo(tz):
    starts, held = offsets(tz)
    assert len(held) == len(starts) + 1
    us = [start + step for start in starts for step in (-1, 0, 1)] or [0]
    assert days_of(us, tz) == [expected_day(moment, tz) for moment in us]
    # the days around them too: their midnights move
    edges = [
        (start + shift) // DAY_US * DAY_US - shift + days * DAY_US + step
        for start, shift in zip(starts, held[1:], strict=True)
        for days in (0, 1)
        for step in (-1, 0)
    ]
    assert days_of(edges or [0], tz) == [expected_day(e, tz) for e in edges or [0]]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.datetimes(datetime(1842, 1, 1), datetime(2099, 12, 31)),
        min_size=1,
        max_size=200,
    ),
    st.sampled_from(ZONES),
)
def test_any_instant_agrees_with_zoneinfo(moments, tz):
    us = [(moment.replace(tzinfo=UTC) - EPOCH) // MICROSECOND for moment in moments]
    assert days_of(us, tz) == [expected_day(moment, tz) for moment in us]


@given(st.dates(date(1, 1, 3), date(9999, 12, 28)))
@settings(max_examples=30, deadline=None)
def test_the_last_microsecond_of_a_day_never_rounds_up(day):
    end = (datetime(day.year, day.month, day.day, tzinfo=UTC) - EPOCH) // MICROSECOND
    end += DAY_US
    number = (day - date(1970, 1, 1)).days
    assert days_of([end - 1, end, None], "UTC") == [number, number + 1, None]


def test_the_edges_of_a_shanghai_day():
    cases = json.loads(GOLDEN.read_text(encoding="utf-8"))["cases"]
    case = next(c for c in cases if c["id"] == "derived_shanghai_day_edge")
    stamps = [datetime.fromisoformat(event["ts"]) for event in case["events"]]
    us = [(stamp - EPOCH) // MICROSECOND for stamp in stamps]
    expected = [stamp.astimezone(ZoneInfo(case["tz"])).date() for stamp in stamps]
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        table = table_of(us, kind)
        found = table.select(day=local_date(table.ts, case["tz"])).to_pyarrow()
        assert found["day"].to_pylist() == expected
    assert len(set(expected[:2])) == 2


@pytest.mark.parametrize(
    ("unit", "ticks", "us"),
    [
        ("s", [-1, 0], [-1_000_000, 0]),
        ("ms", [-1, 1], [-1000, 1000]),
        ("us", [-1, 1], [-1, 1]),
        ("ns", [-1000, 999, None], [-1, 0, None]),
    ],
)
@pytest.mark.parametrize("tz", [None, "UTC", "Asia/Shanghai"])
def test_every_unit_is_counted_in_microseconds_and_cut_towards_the_past(
    unit, ticks, us, tz
):
    table = table_of(ticks, pa.timestamp(unit, tz))
    found = table.select(us=epoch_us(table.ts)).to_pyarrow()["us"]
    assert found.to_pylist() == us
    assert found.type == pa.int64()


def test_nanoseconds_before_1970_are_cut_towards_the_past():
    # without a zone; with one DuckDB itself holds whole microseconds only
    table = table_of([-1, -1001], pa.timestamp("ns"))
    found = table.select(us=epoch_us(table.ts)).to_pyarrow()["us"].to_pylist()
    assert found == [-1, -2]


def test_a_date_is_its_own_local_day():
    table = table_of([date(1969, 12, 31), date(2026, 3, 1), None], pa.date32())
    found = table.select(
        day=local_day(table.ts, "America/New_York"), date=local_date(table.ts, "UTC")
    ).to_pyarrow()
    assert found["day"].to_pylist() == [-1, 20513, None]
    assert found["date"].to_pylist() == [date(1969, 12, 31), date(2026, 3, 1), None]
    assert found["day"].type == pa.int32()


def test_dividing_rounds_down_below_zero():
    table = ibis.memtable(pa.table({"x": [-8, -7, -1, 0, 6, 7, None]}))
    found = table.select(q=floor_divide(table.x, 7)).to_pyarrow()["q"].to_pylist()
    assert found == [-2, -1, -1, 0, 0, 1, None]
    with pytest.raises(ParameterError, match="divisor is 0; it must be 1 or more"):
        floor_divide(table.x, 0)


@pytest.mark.parametrize("values", [["2026-03-01"], [1_772_000_000], [1.5]])
def test_a_time_is_never_guessed(values):
    table = ibis.memtable(pa.table({"ts": values}))
    with pytest.raises(DataError, match=r"'ts' is of type .*; it must be a timestamp"):
        local_day(table.ts)


def test_a_date_stands_for_the_midnight_that_ends_it():
    assert instant(date(2026, 3, 1)) == datetime(2026, 3, 1, 16, tzinfo=UTC)
    assert instant(date(2026, 3, 7), tz="America/New_York") == datetime(
        2026, 3, 8, 5, tzinfo=UTC
    )
    # in Sao Paulo this day began at one o'clock: there was no midnight
    assert instant(date(2018, 11, 3), tz="America/Sao_Paulo") == datetime(
        2018, 11, 4, 3, tzinfo=UTC
    )


def test_an_aware_datetime_is_its_instant():
    moment = datetime(2026, 3, 1, 9, tzinfo=timezone(timedelta(hours=8)))
    assert instant(moment) == moment
    assert instant(moment).tzinfo is UTC


@given(st.dates(date(1900, 1, 1), date(2090, 1, 1)), st.sampled_from(ZONES))
@settings(max_examples=40, deadline=None)
def test_the_day_of_an_instant_ends_where_as_of_says(day, tz):
    end = (instant(day, tz=tz) - EPOCH) // MICROSECOND
    number = (day - date(1970, 1, 1)).days
    assert days_of([end - 1, end], tz) == [number, number + 1]


@pytest.mark.parametrize(
    ("as_of", "tz", "code", "message"),
    [
        (datetime(2026, 3, 1), "UTC", "bad_as_of", "without a time zone"),
        ("2026-03-01", "UTC", "bad_as_of", "it must be a date .* or an aware datetime"),
        (date.max, "UTC", "bad_as_of", "it must be a date"),
        (date(2026, 3, 1), "Asia/Shanghia", "bad_timezone", "mean 'Asia/Shanghai'"),
    ],
)
def test_an_unusable_as_of_is_refused(as_of, tz, code, message):
    with pytest.raises(ParameterError, match=message) as info:
        instant(as_of, tz=tz)
    assert info.value.code == code


@pytest.mark.parametrize(
    "kind", [pa.timestamp("ms", "UTC"), pa.timestamp("us"), pa.timestamp("ns", "UTC")]
)
def test_a_range_of_instants_has_both_its_ends(kind):
    base = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)
    moments = [base + timedelta(milliseconds=i) for i in range(5)] + [None]
    naive = [m and m.replace(tzinfo=None) for m in moments]
    table = as_table(
        pa.table({"ts": pa.array(naive if kind.tz is None else moments, kind)})
    )
    first = (base - EPOCH) // timedelta(microseconds=1)
    for low, high, wanted in ((0, 4000, 5), (1000, 3000, 3), (1, 2999, 2), (5, 4, 0)):
        kept = within(table, "ts", first + low, first + high)
        assert kept.count().to_pyarrow().as_py() == wanted


@pytest.mark.parametrize("tz", [None, "UTC"])
@pytest.mark.parametrize("stored", [False, True])
def test_a_range_ends_with_its_last_microsecond(tz, stored, tmp_path):
    first = (datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC) - EPOCH) // MICROSECOND
    ns = [-1, 0, 500, 999, 1000, 1500, 2000, None]
    at_ns = [None if n is None else first * 1000 + n for n in ns]
    table = pa.table({"ts": pa.array(at_ns, pa.timestamp("ns", tz))})
    pq.write_table(table, tmp_path / "a.parquet")
    rows = as_table(tmp_path if stored else table)
    for low, high, wanted in ((0, 0, 3), (0, 1, 5), (-1, -1, 1), (1, 2, 3), (2, 1, 0)):
        kept = within(rows, "ts", first + low, first + high)
        assert kept.count().to_pyarrow().as_py() == wanted
        us = epoch_us(rows.ts)
        told = rows.filter(us.between(first + low, first + high))
        assert told.count().to_pyarrow().as_py() == wanted


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("tz", [None, "UTC"])
def test_a_range_may_end_where_no_instant_is(unit, tz):
    rows = as_table(pa.table({"ts": pa.array([0, 10, None], pa.timestamp(unit, tz))}))
    ends = [(end - EPOCH) // MICROSECOND for end in EVER]
    for first, last, wanted in (
        (*ends, 2),
        (0, ends[1], 2),
        (ends[0], -1, 0),
        (-(2**62), 2**62, 2),
        (2**62, 2**62, 0),
    ):
        kept = within(rows, "ts", first, last)
        assert kept.count().to_pyarrow().as_py() == wanted


def test_an_instant_inside_a_day_is_compared_with_the_next_date():
    table = as_table(pa.table({"ds": pa.array([date(2026, 3, 1), date(2026, 3, 2)])}))
    for hours, wanted in ((0, 2), (1, 1), (24, 1), (25, 0)):
        at = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=hours)
        kept = table.filter(table.ds >= comparable(table.ds, at))
        assert kept.count().to_pyarrow().as_py() == wanted
