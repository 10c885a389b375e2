"""Small logs for the retention tests."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

NAMES = ("open", "pay", "share")


def table(events, **columns):
    """Return events as Arrow, with further columns by name."""
    data = {
        "user_id": pa.array([e["user"] for e in events], pa.string()),
        "ts": pa.array([e["ts"] for e in events], pa.timestamp("us", "UTC")),
        "event": pa.array([e["event"] for e in events], pa.string()),
    }
    for name, kind in columns.items():
        data[name] = pa.array([e.get(name) for e in events], kind)
    return pa.table(data)


def log(rng, *, users=6, rows=40, days=12, tz="Asia/Shanghai", begin=date(2026, 3, 1)):
    """Return a random log with ties, repeats and instants next to midnights."""
    midnight = datetime(begin.year, begin.month, begin.day, tzinfo=ZoneInfo(tz))
    events = []
    for _ in range(rows):
        at = midnight.astimezone(UTC) + timedelta(
            seconds=int(rng.integers(0, days * 86_400))
        )
        match rng.integers(0, 4):
            case 0:  # a tie with an earlier event
                at = events[rng.integers(0, len(events))]["ts"] if events else at
            case 1:  # within a millisecond of a local midnight
                local = at.astimezone(ZoneInfo(tz)).date()
                edge = datetime(local.year, local.month, local.day, tzinfo=ZoneInfo(tz))
                at = edge.astimezone(UTC) + timedelta(
                    milliseconds=int(rng.integers(-1, 2))
                )
        event = {
            "user": f"u{rng.integers(0, users)}",
            "ts": at,
            "event": NAMES[rng.choice(3, p=[0.6, 0.3, 0.1])],
            "amount": int(rng.integers(0, 4)),
            "place": [None, "a", "b"][rng.integers(0, 3)],
        }
        events.append(event)
        if rng.random() < 0.1:
            events.append(dict(event))  # a repeated row
    order = np.arange(len(events))
    rng.shuffle(order)
    return [events[i] for i in order]
