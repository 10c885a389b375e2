"""Local days and instants, the one beside the other."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from growth import retention
from growth.engine import as_table, fetch
from growth.errors import ParameterError
from growth.retention.tables.expressions import midnight

ASKED = {"start": date(2026, 3, 1), "end": date(2026, 3, 4), "as_of": date(2026, 3, 30)}


def instants(*days):
    times = [datetime(2026, 3, *day, tzinfo=UTC) for day in days]
    return pa.array(times, pa.timestamp("us", "UTC"))


def cohorts(result):
    return dict(zip(result.cohorts, result.sizes[0], strict=True))


def test_starts_of_days_are_local_midnights_of_events_of_instants():
    result = retention.measure(
        pa.table({"user_id": ["a"], "ts": instants((3, 18))}),
        starts=pa.table({"user_id": ["a"], "ts": [date(2026, 3, 2)]}),
        tz="America/New_York",
        horizon=3,
        **ASKED,
    )
    assert cohorts(result) == {"2026-03-01": 0, "2026-03-02": 1, "2026-03-03": 0}
    assert result.so_far[0][1] == (1, 0, 0)


def test_starts_of_instants_are_their_local_days_of_events_of_days():
    result = retention.measure(
        pa.table({"user_id": ["a"], "ts": [date(2026, 3, 3)]}),
        starts=pa.table({"user_id": ["a"], "ts": instants((1, 17))}),  # the 2nd
        horizon=3,
        **ASKED,
    )
    assert cohorts(result) == {"2026-03-01": 0, "2026-03-02": 1, "2026-03-03": 0}
    assert result.so_far[0][1] == (1, 0, 0)


@pytest.mark.parametrize("tz", ["Asia/Shanghai", "America/New_York"])
def test_every_order_of_the_day_of_the_start_counts(tz):
    local = [datetime(2026, 3, 2, h, 30, tzinfo=ZoneInfo(tz)) for h in (0, 7, 12, 23)]
    orders = pa.table(
        {
            "user_id": ["a"] * 4,
            "pay_ts": pa.array(local, pa.timestamp("us", "UTC")),
            "paid_fen": [1, 10, 100, 1000],
        }
    )
    starts = pa.table({"user_id": ["a"], "pay_ts": [date(2026, 3, 2)]})
    asked = ASKED | {"period": "day", "horizon": 2, "tz": tz}
    result = retention.revenue(orders, starts=starts, **asked)
    assert (result.revenue_fen, result.users) == (1111, 1)
    days = orders.set_column(1, "pay_ts", pa.array([date(2026, 3, 2)] * 4))
    starts = pa.table({"user_id": ["a"], "ts": pa.array(local[2:3])})
    result = retention.revenue(days, starts=starts, **asked)
    assert (result.revenue_fen, result.users) == (1111, 1)


@pytest.mark.parametrize("tz", ["America/St_Johns", "Africa/Cairo", "Asia/Shanghai"])
def test_a_local_midnight_is_the_first_instant_of_its_day(tz):
    days = [date(2009, 1, 1) + timedelta(days=i) for i in range(1000)]
    table = as_table(pa.table({"ds": days}))
    found = fetch(table.select(us=midnight(table.ds, tz)), "reading")["us"].to_pylist()
    wanted = [
        datetime(d.year, d.month, d.day, tzinfo=ZoneInfo(tz)).timestamp() * 1_000_000
        for d in days
    ]
    assert found == wanted


@pytest.mark.parametrize(
    "rules", [{}, {"min_occurrences": 2}, {"clock": "rolling_24h"}, {"by": "place"}]
)
def test_clocks_that_go_back_over_midnight_begin_no_day_twice(rules):
    # in St John's 00:01 on the 7th was followed by 23:01 on the 6th
    times = [(2, 0), (2, 30), (2, 45), (4, 0), (5, 0)]
    at = [datetime(2010, 11, 7, *time, tzinfo=UTC) for time in times]
    people = 50
    log = pa.table(
        {
            "user_id": [f"u{i}" for i in range(people) for _ in at],
            "ts": pa.array(at * people, pa.timestamp("us", "UTC")),
            "event": ["e"] * 5 * people,
            "place": ["x"] * 5 * people,
        }
    )
    result = retention.measure(
        log,
        start=date(2010, 11, 6),
        end=date(2010, 11, 8),
        as_of=date(2010, 11, 20),
        tz="America/St_Johns",
        mode="every",
        horizon=2,
        **rules,
    )
    assert result.sizes == ((people, people),)
    assert max(map(max, result.so_far[0])) <= people


def test_an_order_after_the_start_counts_where_clocks_go_back_over_midnight():
    at = [datetime(2010, 11, 7, 2, minute, tzinfo=UTC) for minute in (30, 45)]
    orders = pa.table(
        {
            "user_id": ["a", "a"],
            "pay_ts": pa.array(at, pa.timestamp("us", "UTC")),
            "paid_fen": [5, 70],
        }
    )
    asked = {"start": date(2010, 11, 6), "end": date(2010, 11, 8), "period": "day"}
    result = retention.revenue(
        orders, as_of=date(2010, 11, 20), tz="America/St_Johns", horizon=2, **asked
    )
    assert (result.revenue_fen, result.users) == (75, 1)
    assert result.so_far[0][1][0] == 75


@pytest.mark.parametrize("wrong", [5, "12"])
def test_brackets_that_are_no_list_are_refused(wrong):
    log = pa.table({"user_id": ["a"], "ts": [date(2026, 3, 1)]})
    with pytest.raises(ParameterError, match="it must be a list of rising") as info:
        retention.measure(log, brackets=wrong, **ASKED)
    assert info.value.code == "brackets"
