"""`measure`: properties, starts of a table, and what must be refused."""

import json
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import growth
from growth import engine, funnel, retention
from growth.errors import ColumnNotFoundError, DataError, ParameterError
from growth.retention.tables import reading
from tests.retention.made import log, table

ASKED = {
    "start": date(2026, 3, 2),
    "end": date(2026, 3, 8),
    "as_of": date(2026, 3, 12),
    "horizon": 4,
}
COLUMNS = {"amount": pa.int64(), "place": pa.string()}


@pytest.fixture(scope="module")
def events():
    return log(np.random.default_rng(42), users=60, rows=500, days=14)


def event(user, day, hour=4, name="open", **columns):
    at = datetime(2026, 3, day, hour, tzinfo=UTC)
    return {"user": user, "ts": at, "event": name, **columns}


@pytest.mark.parametrize("mode", ["first_ever", "every"])
def test_order_and_repeats_of_rows_change_nothing(events, mode):
    rows = table(events)
    shuffled = rows.take(np.random.default_rng(1).permutation(len(rows)))
    whole = retention.measure(rows, **ASKED, mode=mode)
    twice = pa.concat_tables([shuffled, rows])
    assert retention.measure(shuffled, **ASKED, mode=mode) == whole
    assert retention.measure(twice, **ASKED, mode=mode) == whole


@pytest.mark.parametrize("mode", ["first_in_range", "every"])
def test_on_is_at_most_on_or_after_which_falls(events, mode):
    rows = table(events)
    on = np.array(retention.measure(rows, **ASKED, mode=mode).so_far)
    after = retention.measure(rows, **ASKED, mode=mode, match="on_or_after").so_far
    after = np.array(after)
    assert on.sum() > 0
    assert (on <= after).all()
    assert (np.diff(after, axis=2) <= 0).all()


@pytest.mark.parametrize("clock", ["calendar", "rolling_24h"])
def test_groups_sum_to_the_total(events, clock):
    rows = table(events, **COLUMNS)
    asked = {**ASKED, "mode": "first_in_range", "clock": clock}
    whole = retention.measure(rows, **asked)
    split = retention.measure(rows, **asked, by=["place", "amount"])
    assert len(split.groups) > 5
    assert split.groups == tuple(
        sorted(split.groups, key=lambda g: [(x is not None, x or "") for x in g])
    )
    for ours, theirs in zip(split.counts()[:2], whole.counts()[:2], strict=True):
        assert ours.tolist() == theirs.tolist()
    assert [p.rate for p in split.curve()] == [p.rate for p in whole.curve()]


@pytest.mark.parametrize("mode", ["first_in_range", "every"])
def test_groups_counted_some_at_a_time_are_the_same(events, mode, monkeypatch):
    rows = table(events, **COLUMNS)
    asked = {**ASKED, "mode": mode, "by": ["place", "amount"]}
    whole = retention.measure(rows, **asked)
    monkeypatch.setattr(reading, "MOST_BYTES", 5 * 8 * 6 * 4)
    assert retention.measure(rows, **asked) == whole


def test_the_interval_of_every_start_is_that_of_a_bootstrap_of_users():
    rng = np.random.default_rng(9)
    events = []
    for user in range(300):
        activity = rng.beta(1, 3)  # users differ, so their rows are not independent
        events += [
            event(f"u{user}", d) for d in range(1, 15) if rng.random() < activity
        ]
    rows = table(events).to_pandas()
    asked = {**ASKED, "end": date(2026, 3, 11), "mode": "every", "horizon": 3}
    point = retention.measure(table(events), **asked).curve()[1]
    days = rows["ts"].dt.day.to_numpy()
    users = rows["user_id"].to_numpy()
    active = np.zeros((300, 16), dtype=bool)
    active[[int(u[1:]) for u in users], days] = True
    n = active[:, 2:11].sum(axis=1)
    r = (active[:, 2:11] & active[:, 3:12]).sum(axis=1)
    assert point.rate == pytest.approx(r.sum() / n.sum())
    picks = rng.integers(0, 300, (2000, 300))
    drawn = r[picks].sum(axis=1) / n[picks].sum(axis=1)
    assert (point.high - point.low) / 2 / 1.96 == pytest.approx(drawn.std(), rel=0.08)
    wilson = retention.measure_from_counts(
        {"d": int(n.sum())}, {"d": {1: int(r.sum())}}
    )
    narrow = wilson.curve()[1]
    assert point.high - point.low > 1.1 * (narrow.high - narrow.low)


def test_starts_of_a_table_put_users_in_cohorts():
    events = [event("a", 4), event("a", 5), event("b", 3), event("b", 6)]
    starts = pa.table(
        {
            "unit_id": ["a", "b", "c"],
            "ts": pa.array([event("", 4, 3)["ts"]] * 3, pa.timestamp("ms", "UTC")),
            "variant": ["x", "y", "y"],
        }
    )
    result = retention.measure(table(events), starts=starts, by="variant", **ASKED)
    day = result.cohorts.index("2026-03-04")
    assert result.groups == (("x",), ("y",))
    assert [sizes[day] for sizes in result.sizes] == [1, 2]
    assert [back[day][:2] for back in result.so_far] == [(1, 0), (0, 1)]


def test_starts_need_not_be_of_the_same_connection_or_type():
    events = table([event("7", 4), event("7", 5)])
    starts = engine.as_table(
        pa.table({"user_id": [7], "ts": pa.array([event("", 4)["ts"]])})
    )
    result = retention.measure(events, starts=starts, **ASKED)
    assert result.users == 1
    assert result.curve()[1].retained == 1


def test_a_first_event_must_pass_the_filter_and_later_ones_do_not_make_up_for_it():
    events = [event("a", 3, amount=0), event("a", 4, amount=5), event("a", 5, amount=5)]
    rows = table(events, **COLUMNS)
    start = retention.Event("open", where=[{"col": "amount", "ge": 1}])
    sizes = {
        mode: retention.measure(rows, start_event=start, mode=mode, **ASKED).sizes[0]
        for mode in ("first_ever", "first_match", "first_in_range", "every")
    }
    assert sum(sizes["first_ever"]) == 0
    assert sizes["first_match"] == sizes["first_in_range"] == (0, 0, 1, 0, 0, 0)
    assert sizes["every"] == (0, 0, 1, 1, 0, 0)


def test_events_may_be_written_as_mappings():
    rows = table([event("a", 3, amount=0), event("b", 3, amount=5)], **COLUMNS)
    start = {"event": "open", "where": [{"col": "amount", "ge": 1}]}
    assert retention.measure(rows, start_event=start, **ASKED).users == 1


def test_rows_of_the_future_are_not_read():
    events = [event("a", 3), event("a", 4), event("a", 13), event("b", 13)]
    with_future = retention.measure(table(events), **ASKED)
    assert with_future == retention.measure(table(events[:2]), **ASKED)


def test_rows_without_a_user_or_a_time_are_left_out_and_said():
    events = [event(f"u{i}", 3) for i in range(300)]
    rows = table([*events, event(None, 3)])
    result = retention.measure(rows, **ASKED)
    said = {n.code: dict(n.args) for n in result.notices}
    assert said["rows_left_out"] == {"rows": 1, "column": "user_id"}
    assert result.users == 300
    half = table([*events[:3], event(None, 3), event(None, 4)])
    with pytest.raises(DataError, match="'user_id' is NULL in 2 of 5 rows") as info:
        retention.measure(half, **ASKED)
    assert info.value.code == "null_key"


def test_one_user_with_very_many_events_is_one_user():
    n = 1_000_000
    start = datetime(2026, 3, 2, tzinfo=UTC)
    us = np.int64(start.timestamp() * 1e6) + np.arange(n, dtype=np.int64) * 400_000
    rows = pa.table(
        {
            "user_id": pa.array(["one"] * n),
            "ts": pa.array(us, pa.timestamp("us", "UTC")),
            "event": pa.array(["open"] * n),
        }
    )
    for asked in ({}, {"mode": "every", "clock": "rolling_24h", "min_occurrences": 9}):
        result = retention.measure(rows, **ASKED, tz="UTC", **asked)
        assert result.so_far[0][0] == (1, 1, 1, 1)


def test_an_empty_log_is_nobody():
    result = retention.measure(table([]), **ASKED)
    assert result.verdict == "retention.measure.nobody"
    assert result.curve()[1].rate is None


def test_too_young_says_when_it_will_do():
    asked = {**ASKED, "as_of": datetime(2026, 3, 2, 2, tzinfo=UTC)}
    result = retention.measure(table([event("a", 2, 1)]), **asked)
    assert result.verdict == "retention.measure.too_young"
    assert result.ready_on == date(2026, 3, 3)
    later = retention.measure(
        table([event("a", 2, 1)]), **{**asked, "as_of": result.ready_on}
    )
    assert later.verdict == "retention.measure.measured"
    before = {**ASKED, "as_of": date(2026, 2, 1)}
    assert retention.measure(table([event("a", 2)]), **before).cohorts == ()


def test_a_lag_makes_cells_wait():
    asked = {**ASKED, "as_of": date(2026, 3, 4)}
    rows = table([event("a", 2)])
    at_once = retention.measure(rows, **asked).complete[0]
    waiting = retention.measure(rows, **asked, lag="2h").complete[0]
    assert at_once[:4] == (True, True, True, False)
    assert waiting[:4] == (True, True, False, False)


def test_a_range_inside_an_interval_is_said():
    rows = table([event("a", 4)])
    asked = {**ASKED, "period": "week"}
    codes = {n.code for n in retention.measure(rows, **asked).notices}
    assert "partial_cohort" in codes


def test_history_that_begins_shortly_before_is_said_where_it_matters():
    rows = table([event("a", 1), event("b", 3)])
    said = {n.code: dict(n.args) for n in retention.measure(rows, **ASKED).notices}
    assert said["history_short"] == {"days": 0, "limit": 30}
    free = retention.measure(rows, **ASKED, mode="first_in_range")
    assert "history_short" not in {n.code for n in free.notices}


def test_an_event_that_is_not_there_is_named_with_the_nearest():
    rows = table([event("a", 3), event("a", 4, name="pay")])
    with pytest.raises(DataError, match=r"'opne'.*Did you mean 'open'") as info:
        retention.measure(rows, start_event="opne", **ASKED)
    assert info.value.code == "event_absent"
    result = retention.measure(rows, start_event="open", return_event="payy", **ASKED)
    (notice,) = [n for n in result.notices if n.code == "event_absent"]
    assert dict(notice.args)["hint"] == "Did you mean 'pay'?"


def test_dates_in_place_of_instants_are_local_days():
    rows = pa.table(
        {"user_id": ["a", "a"], "ts": pa.array([date(2026, 3, 3), date(2026, 3, 4)])}
    )
    result = retention.measure(rows, **ASKED)
    assert result.sizes[0] == (0, 1, 0, 0, 0, 0)
    assert result.so_far[0][1] == (1, 0, 0, 0)


def test_a_result_survives_json(events):
    result = retention.measure(
        table(events, **COLUMNS),
        **ASKED,
        mode="every",
        by="place",
        return_event=retention.Event("pay", where=[{"col": "amount", "ge": 1}]),
    )
    text = json.dumps(result.to_dict(), allow_nan=False)
    assert json.loads(text)["spec"]["start"] == "2026-03-01T16:00:00+00:00"


@pytest.mark.parametrize(
    ("asked", "words", "code"),
    [
        ({"end": date(2026, 3, 2)}, "later than start", "range"),
        ({"start": datetime(2026, 3, 1)}, "datetime with its zone", "range"),
        ({"as_of": datetime(2026, 3, 9)}, "without a time zone", "range"),
        ({"as_of": None}, "as_of is None; it must be a date", "range"),
        ({"horizon": 0}, "horizon is 0", "range"),
        ({"mode": "first_evr"}, "Did you mean 'first_ever'", "unknown_mode"),
        ({"match": "on_after"}, "Did you mean 'on_or_after'", "unknown_match"),
        ({"period": "weak"}, "Did you mean 'week'", "unknown_period"),
        ({"clock": "rolling"}, "Did you mean 'rolling_24h'", "unknown_clock"),
        ({"week_start": "sonday"}, "Did you mean 'sunday'", "unknown_week_start"),
        ({"tz": "Asia/Shangai"}, "Did you mean 'Asia/Shanghai'", "bad_timezone"),
        ({"brackets": [4, 2]}, "rising whole numbers", "brackets"),
        ({"brackets": [0, 2]}, "from 1 on", "brackets"),
        ({"brackets": [1, 2], "match": "on_or_after"}, "on_or_after", "brackets"),
        ({"min_occurrences": 0}, "1 or more", "min_occurrences"),
        ({"follow_up": 2}, "with on_or_after only", "follow_up"),
        ({"lag": "soon"}, "write '7d'", "range"),
        ({"start_event": 7}, "an event's name", "bad_event"),
        ({"start_event": []}, "an event's name", "bad_event"),
        ({"by": ["place", "place"]}, "without repeats", "by_twice"),
    ],
)
def test_refusals(asked, words, code):
    rows = table([event("a", 3, place="x")], **COLUMNS)
    with pytest.raises(ParameterError, match=words) as info:
        retention.measure(rows, **{**ASKED, **asked})
    assert info.value.code == code


def test_a_dataset_stands_for_its_tables(tmp_path, events):
    rows = table(events, **COLUMNS)
    orders = pa.table(
        {
            "order_id": [str(i) for i in range(len(rows))],
            "user_id": rows["user_id"],
            "pay_ts": rows["ts"],
            "paid_fen": pa.array([100] * len(rows), pa.int64()),
        }
    )
    (tmp_path / "events").mkdir()
    pq.write_table(rows, tmp_path / "events" / "a.parquet")
    pq.write_table(orders, tmp_path / "orders.parquet")
    data = growth.open(tmp_path)
    assert retention.measure(data, **ASKED) == retention.measure(rows, **ASKED)
    span = {name: ASKED[name] for name in ("start", "end", "as_of")}
    assert retention.lifecycle(data, **span) == retention.lifecycle(rows, **span)
    assert retention.revenue(data, **span) == retention.revenue(orders, **span)
    steps = ["open", "pay"]
    whole = funnel.measure(data, steps=steps, **span)
    assert whole.to_dict() == funnel.measure(rows, steps=steps, **span).to_dict()
    with pytest.raises(DataError, match="official_daily"):
        retention.reconcile(retention.measure(data, **ASKED), data)


def test_all_faults_are_told_at_once():
    with pytest.raises(ParameterError, match="2 fault") as info:
        retention.measure(table([]), **{**ASKED, "mode": "evry", "horizon": -1})
    assert {fault.name for fault in info.value.faults} == {"mode", "horizon"}


def test_a_missing_column_is_named_with_what_it_unlocks():
    rows = table([event("a", 3)]).drop_columns("event")
    assert retention.measure(rows, **ASKED).users == 1
    with pytest.raises(ColumnNotFoundError, match="events by name"):
        retention.measure(rows, start_event="open", **ASKED)
    with pytest.raises(ColumnNotFoundError, match="breakdown"):
        retention.measure(rows, by="scene", **ASKED)
    with pytest.raises(DataError, match="must be a timestamp") as info:
        retention.measure(rows.set_column(1, "ts", pa.array(["x"])), **ASKED)
    assert info.value.code == "column_type"


def test_two_sources_of_starts_are_refused():
    rows = table([event("a", 3)])
    with pytest.raises(ParameterError, match="both given") as info:
        retention.measure(rows, start_event="open", starts=rows, **ASKED)
    assert info.value.code == "two_starts"


def test_hours_of_a_long_day_are_all_there():
    begin = datetime(2026, 11, 1, 4, tzinfo=UTC)  # 00:00 in New York, a day of 25 hours
    events = [
        {"user": "a", "ts": begin + timedelta(hours=h), "event": "open"}
        for h in range(26)
    ]
    result = retention.measure(
        table(events),
        start=date(2026, 11, 1),
        end=date(2026, 11, 2),
        as_of=date(2026, 11, 3),
        period="hour",
        horizon=25,
        tz="America/New_York",
    )
    assert len(result.cohorts) == 25
    assert result.so_far[0][0] == (1,) * 25
    assert result.cohorts[1:3] == ("2026-11-01T01:00-04:00", "2026-11-01T01:00-05:00")
