"""Retention in plain Python, slowly and in the words of the definitions.

It shares no line with the package: local times come from `zoneinfo`, intervals are
dates, and every user, cohort and offset is gone through one by one.
"""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

ROLL = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=30),
}


class Clock:
    def __init__(self, period, tz, week_start):
        self.period, self.week_start = period, week_start
        self.zone = ZoneInfo(tz)

    def interval(self, ts):
        """Return the first local day of the interval, or the full local hour in UTC."""
        local = ts.astimezone(self.zone)
        if self.period == "hour":
            return self.full_hour(ts)
        day = local.date()
        if self.period == "week":
            back = (day.weekday() + (self.week_start == "sunday")) % 7
            return day - timedelta(days=back)
        return day.replace(day=1) if self.period == "month" else day

    def full_hour(self, ts):
        local = ts.astimezone(self.zone)
        past = timedelta(
            minutes=local.minute, seconds=local.second, microseconds=local.microsecond
        )
        return ts - past

    def later(self, interval, k):
        match self.period:
            case "hour":
                return interval + k * timedelta(hours=1)
            case "day":
                return interval + timedelta(days=k)
            case "week":
                return interval + timedelta(weeks=k)
        month = interval.year * 12 + interval.month - 1 + k
        return date(month // 12, month % 12 + 1, 1)

    def begins(self, interval):
        if self.period == "hour":
            return interval
        midnight = datetime(
            interval.year, interval.month, interval.day, tzinfo=self.zone
        )
        return midnight.astimezone(UTC)

    def offset(self, cohort, other):
        k = 0
        if other < cohort:
            return -1
        while self.later(cohort, k) < other:
            k += 1
        return k


def retention(  # noqa: C901, PLR0912
    events,
    *,
    start,
    end,
    as_of,
    start_names=None,
    start_passes=lambda _: True,
    returns=lambda _: True,
    lag=timedelta(0),
    period="day",
    horizon=3,
    mode="first_ever",
    match="on",
    follow_up=None,
    brackets=None,
    clock="calendar",
    min_occurrences=1,
    week_start="monday",
    tz="Asia/Shanghai",
    by=lambda _: (),
):
    """Return {(by, cohort, k): (size, retained, complete)}, k = 0 for the size."""
    calendar = Clock(period, tz, week_start)
    users = defaultdict(list)
    for event in events:
        if event["ts"] < as_of:
            users[event["user"]].append(event)

    def named(event):
        return start_names is None or event["event"] in start_names

    def in_range(event):
        return start <= event["ts"] < end

    columns = columns_of(horizon, match, follow_up, brackets)
    sizes, kept = defaultdict(int), defaultdict(int)
    groups = set()
    for log in users.values():
        for cohort, t0, group in entries(
            log, calendar, mode, named, start_passes, in_range, by
        ):
            groups.add(group)
            sizes[group, cohort] += 1
            counts = defaultdict(int)
            for event in log:
                if returns(event) and event["ts"] >= t0:
                    counts[offset(event["ts"], t0, cohort, calendar, clock)] += 1
            for low, high in columns:
                seen = {
                    k: n
                    for k, n in counts.items()
                    if low <= k and (high is None or k <= high)
                }
                if brackets is not None:
                    back = sum(seen.values()) >= min_occurrences
                else:
                    back = any(n >= min_occurrences for n in seen.values())
                kept[group, cohort, low] += back

    cohorts = []
    cohort = calendar.interval(start)
    while calendar.begins(cohort) < min(end, as_of):
        cohorts.append(cohort)
        cohort = calendar.later(cohort, 1)
    known = as_of - lag
    found = {}
    for group in groups:
        for cohort in cohorts:
            size = sizes[group, cohort]
            over = calendar.begins(calendar.later(cohort, 1))
            found[group, cohort, 0] = (size, size, over <= known)
            for low, high in columns:
                k = low if high is None else high
                over = (
                    calendar.begins(calendar.later(cohort, k + 1))
                    if clock == "calendar"
                    else calendar.begins(calendar.later(cohort, 1))
                    + (k + 1) * ROLL[period]
                )
                cell = (size, kept[group, cohort, low], over <= known)
                found[group, cohort, low] = cell
    return found


def columns_of(horizon, match, follow_up, brackets):
    if brackets is not None:
        return [(a, b - 1) for a, b in pairwise(brackets)]
    if match == "on":
        return [(k, k) for k in range(1, horizon + 1)]
    return [
        (k, None if follow_up is None else k + follow_up) for k in range(1, horizon + 1)
    ]


def entries(log, calendar, mode, named, passes, in_range, by):
    """Return (cohort, first start, group) of each cohort a user is in."""

    def group(rows):
        # of equal instants the smallest value, NULL before all
        instant = min(event["ts"] for event in rows)
        values = [by(event) for event in rows if event["ts"] == instant]
        return min(values, key=lambda v: [(x is not None, x or "") for x in v])

    starts = [e for e in log if named(e) and passes(e) and in_range(e)]
    if mode == "every":
        days = defaultdict(list)
        for event in starts:
            days[calendar.interval(event["ts"])].append(event)
        return [
            (d, min(e["ts"] for e in rows), group(rows)) for d, rows in days.items()
        ]
    pool = {
        "first_ever": [e for e in log if named(e)],
        "first_match": [e for e in log if named(e) and passes(e)],
        "first_in_range": starts,
    }[mode]
    if not pool:
        return []
    first = min(event["ts"] for event in pool)
    rows = [event for event in starts if event["ts"] == first]
    return [(calendar.interval(first), first, group(rows))] if rows else []


def offset(ts, t0, cohort, calendar, clock):
    if clock == "calendar":
        return calendar.offset(cohort, calendar.interval(ts))
    if clock == "rolling_24h_hour":
        ts, t0 = calendar.full_hour(ts), calendar.full_hour(t0)
    return (ts - t0) // ROLL[calendar.period]
