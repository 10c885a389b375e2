"""The lifecycle of users, from a table."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from growth import retention
from growth.errors import DataError, ParameterError
from growth.retention.tables import living
from growth.stats.lifecycle import ACTIVITY, PERIOD, lifecycle
from tests.retention.made import log, table
from tests.retention.reference import Clock

GOLDEN = Path(__file__).parents[1] / "golden" / "lifecycle_posthog.json"


def test_the_published_case_with_dormant_counted_upwards():
    (case,) = json.loads(GOLDEN.read_text())["cases"]
    events = [
        {"user": e["user"], "ts": datetime.fromisoformat(e["ts"]), "event": "open"}
        for e in case["events"]
    ]
    last = date.fromisoformat(case["date_to"])
    found = retention.lifecycle(
        table(events),
        start=date.fromisoformat(case["date_from"]),
        end=last + timedelta(days=1),
        as_of=last,
        tz="UTC",
    )
    for state, counts in case["expected"].items():
        assert list(found.of(state)) == [abs(n) for n in counts], state


def expected(events, clock, start, end, scheme):
    """Return counts by interval and state, from intervals found by the calendar."""
    first = clock.interval(start)
    users = sorted({e["user"] for e in events})
    rows = set()
    for event in events:
        interval = clock.interval(event["ts"])
        k = 0
        if interval >= first:
            while clock.later(first, k) < interval:
                k += 1
        else:
            while clock.later(first, k) > interval:
                k -= 1
        rows.add((users.index(event["user"]), k))
    user, at = zip(*sorted(rows), strict=True)
    n = 0
    while clock.begins(clock.later(first, n)) < end:
        n += 1
    return lifecycle(user, at, start=0, end=n, scheme=scheme)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("words", [16, 0], ids=["bits", "sorted"])
def test_random_logs_are_counted_as_by_hand(seed, words, monkeypatch):
    monkeypatch.setattr(living, "MOST_WORDS", words)
    rng = np.random.default_rng(seed)
    tz = ("Asia/Shanghai", "America/New_York")[seed % 2]
    period = ("day", "week", "month")[seed % 3]
    scheme = "activity" if period == "day" and seed > 2 else "period"
    events = log(rng, rows=120, users=9, days=120, tz=tz)
    clock = Clock(period, tz, "monday")
    begin = clock.interval(datetime(2026, 4, 20, tzinfo=UTC))
    start = clock.begins(begin)
    end = start + timedelta(days=50)
    found = retention.lifecycle(
        table(events),
        start=start,
        end=end,
        as_of=datetime(2026, 8, 1, tzinfo=UTC),
        period=period,
        scheme=scheme,
        tz=tz,
    )
    states = {"period": PERIOD, "activity": ACTIVITY}[scheme]
    want = expected(events, clock, start, end, states)
    assert [list(row) for row in found.counts] == want.counts.tolist()
    assert sum(move.users for move in found.moves) == want.moves.sum()


def test_a_running_interval_has_no_inactive_users_yet():
    events = [
        {"user": "a", "ts": datetime(2026, 3, day, 4, tzinfo=UTC), "event": "open"}
        for day in (1, 2, 4)
    ]
    found = retention.lifecycle(
        table(events),
        start=date(2026, 3, 1),
        end=date(2026, 3, 10),
        as_of=datetime(2026, 3, 4, 12, tzinfo=UTC),
        tz="UTC",
    )
    assert found.intervals[-1] == "2026-03-04"
    assert found.complete == (True, True, True, False)
    assert found.of("dormant") == (0, 0, 1, None)
    assert found.of("resurrecting") == (0, 0, 0, 1)
    assert {m.interval for m in found.moves if m.after == "dormant"} == {"2026-03-03"}
    assert found.rows()[-1]["dormant"] is None


def test_moves_are_summed_over_the_complete_intervals():
    events = [
        {"user": "a", "ts": datetime(2026, 3, day, 4, tzinfo=UTC), "event": "open"}
        for day in (1, 2, 3)
    ]
    found = retention.lifecycle(
        table(events),
        start=date(2026, 3, 1),
        end=date(2026, 3, 5),
        as_of=date(2026, 3, 4),
        tz="UTC",
    )
    assert found.move_rows() == [
        {"before": "absent", "after": "new", "users": 1},
        {"before": "new", "after": "returning", "users": 1},
        {"before": "returning", "after": "returning", "users": 1},
        {"before": "returning", "after": "dormant", "users": 1},
    ]
    assert found.verdict == "retention.lifecycle.shrinking"
    assert "沉默" in found.to_html("zh")
    json.dumps(found.to_dict(), allow_nan=False)


def test_nobody_active_in_the_range_is_said():
    events = [{"user": "a", "ts": datetime(2026, 3, 9, tzinfo=UTC), "event": "open"}]
    asked = {"start": date(2026, 3, 1), "end": date(2026, 3, 3)}
    found = retention.lifecycle(table(events), as_of=date(2026, 3, 2), **asked)
    assert found.verdict == "retention.lifecycle.nobody"
    with pytest.raises(DataError, match="Did you mean 'open'") as info:
        retention.lifecycle(
            table(events), as_of=date(2026, 3, 2), event="opne", **asked
        )
    assert info.value.code == "event_absent"


@pytest.mark.parametrize(
    ("asked", "words", "code"),
    [
        ({"scheme": "perod"}, "Did you mean 'period'", "unknown_scheme"),
        ({"period": "hour"}, "'day', 'week' or 'month'", "unknown_period"),
        ({"scheme": "activity", "period": "week"}, "must be 'day'", "unknown_period"),
        ({"end": date(2026, 3, 1)}, "later than start", "range"),
    ],
)
def test_refusals(asked, words, code):
    events = [{"user": "a", "ts": datetime(2026, 3, 9, tzinfo=UTC), "event": "open"}]
    edges = {"start": date(2026, 3, 1), "end": date(2026, 3, 3)}
    with pytest.raises(ParameterError, match=words) as info:
        retention.lifecycle(table(events), as_of=date(2026, 3, 2), **{**edges, **asked})
    assert info.value.code == code
