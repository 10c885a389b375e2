"""Published cases, and those of our own on time; where we differ, and why."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from growth import retention
from tests.retention.made import table

GOLDEN = Path(__file__).parents[1] / "golden"
MODES = {"recurring": "every"}

# Cases whose published answer we do not give, with the reason. None is of retention:
# every case of the three files that speaks of it holds.
DEVIATIONS: dict[str, str] = {}
# Cases of these files that are other rooms' work.
ELSEWHERE = {
    "ch_seq_skip_unlisted": "funnel",
    "ch_seq_listed_breaks": "funnel",
    "ch_seq_count": "funnel",
    "derived_session_midnight": "funnel",
}


def cases(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())["cases"]


def case_of(name, wanted):
    return next(case for case in cases(name) if case["id"] == wanted)


def moment(text, tz="UTC"):
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:  # local wall time
        found = found.replace(tzinfo=ZoneInfo(tz))
    return found.astimezone(UTC)


def rows_of(result):
    """Return sizes and users back, cohort by cohort, as far as cells are complete."""
    return [
        [size, *(n for n, over in zip(back, over_[1:], strict=True) if over)]
        for size, back, over_ in zip(
            result.sizes[0], result.so_far[0], result.complete, strict=True
        )
    ]


@pytest.mark.parametrize("case", cases("retention_posthog"), ids=lambda c: c["id"])
def test_the_published_triangles(case):
    p = case["params"]
    tz, n = p["tz"], p["intervals"]
    if p["period"] == "hour":
        last = moment(p["date_to"].removesuffix(" local"), tz).replace(minute=0)
        end = last + timedelta(hours=1)
        edges = {"start": end - n * timedelta(hours=1), "end": end, "as_of": end}
    else:
        last = date.fromisoformat(p["date_to"])
        end = last + timedelta(days=1)
        edges = {"start": end - timedelta(days=n), "end": end, "as_of": last}
    events = [{**e, "ts": moment(e["ts"], tz)} for e in case["events"]]
    result = retention.measure(
        table(events),
        **edges,
        start_event=p["start"],
        return_event=p["ret"],
        period=p["period"],
        mode=MODES[p["mode"]],
        match=p["bound"],
        min_occurrences=p.get("min_occurrences", 1),
        horizon=n - 1,
        tz=tz,
    )
    assert rows_of(result) == case["expected_counts"]
    if "expected_first_date" in case:
        assert result.cohorts[0] == case["expected_first_date"]


def test_the_three_clocks_count_one_return_differently():
    case = case_of("time_semantics", "amp_hour_rounding")
    (event,) = case["events"]
    events = [
        {"user": "u", "ts": moment(event["start"]), "event": "open"},
        {"user": "u", "ts": moment(event["ret"]), "event": "back"},
    ]
    names = {
        "rolling24h_hour_floored": "rolling_24h_hour",
        "rolling24h_exact": "rolling_24h",
        "calendar_day": "calendar",
    }
    for name, clock in names.items():
        result = retention.measure(
            table(events),
            start_event="open",
            return_event="back",
            start=date(2021, 12, 1),
            end=date(2021, 12, 2),
            as_of=date(2021, 12, 9),
            clock=clock,
            horizon=2,
            tz="UTC",
        )
        k = case["expected"][name]
        assert result.so_far[0][0] == (int(k == 1), 0), name


@pytest.mark.parametrize("match", ["on", "on_or_after"])
def test_a_bounded_and_an_unbounded_curve(match):
    case = case_of("time_semantics", "ph_unbounded_example")
    day = date(2026, 3, 1)
    events = []
    for user, days in enumerate(case["returns"]):
        for k in (0, *days):
            at = datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(days=k)
            events.append({"user": f"u{user}", "ts": at, "event": "open"})
    result = retention.measure(
        table(events),
        start=day,
        end=day + timedelta(days=1),
        as_of=day + timedelta(days=6),
        match=match,
        horizon=6,
        tz="UTC",
    )
    assert rows_of(result) == [case[f"expected_{match}"]]


def test_a_day_ends_at_the_local_midnight_and_not_half_a_second_before():
    case = case_of("time_semantics", "derived_shanghai_day_edge")
    events = [{**e, "ts": moment(e["ts"])} for e in case["events"]]
    result = retention.measure(
        table(events),
        start=date(2026, 5, 31),
        end=date(2026, 6, 2),
        as_of=date(2026, 6, 5),
        horizon=1,
        tz=case["tz"],
    )
    want = [[row["size"], row["day1"]] for row in case["expected_retention"]]
    assert rows_of(result) == want
    assert list(result.cohorts) == [row["cohort"] for row in case["expected_retention"]]


def test_a_cell_is_complete_once_its_interval_is_over():
    case = case_of("time_semantics", "derived_incomplete_period")
    as_of = datetime.fromisoformat(case["as_of"].split(" ")[0])
    events = [{"user": "u", "ts": moment("2026-06-08T00:00:00Z"), "event": "open"}]
    result = retention.measure(
        table(events),
        start=date(2026, 6, 8),
        end=date(2026, 6, 12),
        as_of=as_of,
        horizon=1,
        tz=case["tz"],
    )
    complete = {(c.cohort, c.k): c.complete for c in result.cells}
    for example in case["examples"]:
        at = (example["cohort"], example["k"])
        assert complete[at] is example["complete"], at
    assert all(c.rate is None for c in result.cells if not c.complete)


def test_the_retention_function_of_clickhouse():
    case = case_of("sequence_retention_clickhouse_docs", "ch_retention")
    days = {date(2020, 1, 1 + i): 5 * (i + 1) for i in range(3)}
    rows = pa.table(
        {
            "user_id": [f"u{u}" for n in days.values() for u in range(n)],
            "ts": pa.array([day for day, n in days.items() for _ in range(n)]),
        }
    )
    result = retention.measure(
        rows,
        start=date(2020, 1, 1),
        end=date(2020, 1, 2),
        as_of=date(2020, 1, 3),
        horizon=2,
        tz="UTC",
    )
    assert rows_of(result) == [[int(n) for n in case["expected_csv"].split(",")]]


def test_every_case_is_checked_here_or_in_the_room_it_is_of():
    found = {
        case["id"]
        for name in (
            "retention_posthog",
            "time_semantics",
            "sequence_retention_clickhouse_docs",
        )
        for case in cases(name)
    }
    assert found >= set(ELSEWHERE)
    assert not set(DEVIATIONS) & set(ELSEWHERE)
    assert len(found) - len(ELSEWHERE) == 6 + 4 + 1
