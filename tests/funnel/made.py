"""Logs made for tests of the funnel's tables."""

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa

START, END = date(2026, 3, 1), date(2026, 3, 11)
FIRST = datetime(2026, 2, 28, 16, tzinfo=UTC)  # midnight in Shanghai
LATE = date(2026, 4, 30)
ASKED = {"start": START, "end": END, "as_of": LATE}


def at(hours):
    return FIRST + timedelta(hours=hours)


def log(*rows, **columns):
    """Return events of ``(user, hours since the start, event)``; more by name."""
    users, hours, events = zip(*rows, strict=True)
    return pa.table(
        {
            "user_id": list(users),
            "ts": [None if h is None else at(h) for h in hours],
            "event": list(events),
            **columns,
        }
    )


def reached(result):
    return [step.reached for step in result.steps]


def codes(result):
    return {notice.code: dict(notice.args) for notice in result.notices}
