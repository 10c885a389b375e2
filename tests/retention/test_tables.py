"""`measure` through an engine, against the naive reference on random logs."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from growth import retention
from tests.retention import reference
from tests.retention.made import log, table

COLUMNS = {"amount": pa.int64(), "place": pa.string()}
ZONES = ("Asia/Shanghai", "America/New_York", "Asia/Kolkata")


def midnight(day, tz):
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(tz)).astimezone(UTC)


def question(rng):
    """Return one random question, as `measure` and as the reference take it."""
    tz = ZONES[rng.integers(0, 3)]
    period = ("day", "day", "week", "month", "hour")[rng.integers(0, 5)]
    begin = date(2026, 3, 1) + timedelta(days=int(rng.integers(0, 5)))
    length = {"day": 4, "week": 16, "month": 45, "hour": 2}[period]
    finish = begin + timedelta(days=int(rng.integers(1, length)))
    as_of = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(
        hours=int(rng.integers(20, 24 * 16))
    )
    edges = {"start": begin, "end": finish}
    if rng.random() < 0.3:  # a range that begins within a day
        edges = {name: midnight(day, tz) for name, day in edges.items()}
        edges["start"] += timedelta(hours=7, milliseconds=3)
        edges["end"] += timedelta(hours=9)
    both = {
        "as_of": as_of,
        "period": period,
        "tz": tz,
        "mode": ("first_ever", "first_match", "first_in_range", "every")[
            rng.integers(0, 4)
        ],
        "clock": ("calendar", "calendar", "rolling_24h", "rolling_24h_hour")[
            rng.integers(0, 4)
        ],
        "min_occurrences": int(rng.choice([1, 1, 2])),
        "week_start": ("monday", "sunday")[rng.integers(0, 2)],
        "horizon": int(rng.integers(1, 6)),
    }
    match rng.integers(0, 4):
        case 1:
            both["match"] = "on_or_after"
        case 2:
            both |= {"match": "on_or_after", "follow_up": int(rng.integers(0, 3))}
        case 3:
            both["brackets"] = ([1, 2, 4], [2, 3, 7], [1, 5])[rng.integers(0, 3)]
            del both["horizon"]
    ours, theirs = dict(both, **edges), dict(both)
    for name, edge in edges.items():
        theirs[name] = edge if isinstance(edge, datetime) else midnight(edge, tz)
    match rng.integers(0, 4):
        case 1:
            ours |= {"start_event": "open", "return_event": ["pay", "share"]}
            theirs |= {
                "start_names": {"open"},
                "returns": lambda e: e["event"] in {"pay", "share"},
            }
        case 2:
            where = [{"col": "amount", "ge": 2}]
            ours |= {"start_event": retention.Event("open", where=where)}
            theirs |= {
                "start_names": {"open"},
                "start_passes": lambda e: e["amount"] >= 2,
                "returns": lambda e: e["event"] == "open" and e["amount"] >= 2,
            }
        case 3:
            ours |= {"start_event": "pay", "return_event": "*"}
            theirs |= {"start_names": {"pay"}}
    if rng.random() < 0.3:
        ours["by"] = "place"
        theirs["by"] = lambda e: (e["place"],)
    return ours, theirs


def cells(result):
    return {
        (tuple(v for _, v in cell.by), cell.cohort, cell.k): (
            cell.size,
            cell.retained_so_far,
            cell.complete,
        )
        for cell in result.cells
    }


def expected(events, theirs):
    clock = reference.Clock(
        theirs["period"], theirs["tz"], theirs.get("week_start", "monday")
    )

    def name(cohort):
        if theirs["period"] != "hour":
            return cohort.isoformat()
        return cohort.astimezone(clock.zone).isoformat(timespec="minutes")

    found = reference.retention(events, **theirs)
    return {(by, name(cohort), k): cell for (by, cohort, k), cell in found.items()}


@pytest.mark.parametrize("seed", range(24))
def test_random_questions_of_random_logs_are_answered_as_by_hand(seed):
    rng = np.random.default_rng(seed)
    ours, theirs = question(rng)
    events = log(rng, rows=int(rng.integers(5, 90)), days=15, tz=theirs["tz"])
    result = retention.measure(table(events, **COLUMNS), **ours)
    want = expected(events, theirs)
    if not want:  # nobody started, so the reference knows no group
        assert result.users == 0
    else:
        assert cells(result) == want


@pytest.mark.parametrize("seed", range(100, 124))
def test_thousands_of_users_with_ties_and_midnights_are_counted_as_by_hand(seed):
    rng = np.random.default_rng(seed)
    ours, theirs = question(rng)
    # people are independent, so 250 of them are as many logs, all in one question
    events = log(rng, users=250, rows=1500, days=15, tz=theirs["tz"])
    want = expected(events, theirs)
    result = retention.measure(table(events, **COLUMNS), **ours)
    assert cells(result) == want if want else result.users == 0
