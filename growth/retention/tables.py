"""The same questions, asked of tables: rows to marks, marks to triangles."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from growth import engine
from growth.dataset import table_of
from growth.engine import layouts
from growth.engine.connections import backend_of
from growth.engine.days import zone
from growth.engine.spans import duration, last_known, moment
from growth.errors import DataError, Fault, ParameterError, suggest
from growth.result import Notice
from growth.retention.calendar import DAY_US, microseconds
from growth.retention.counting import (
    MOST_WORDS,
    POOL,
    RETURN,
    START,
    Ask,
    by_chunks,
    slots_of,
)
from growth.retention.living import (
    SCHEMES,
    Lifecycle,
    LifecycleScheme,
    from_bits,
    from_keys,
    shown,
)
from growth.retention.reconciling import METRICS, Reconciliation, reconcile_from_values
from growth.retention.spec import (
    ANY,
    Event,
    RetentionSpec,
    one_of,
    parse_event,
)
from growth.retention.spending import Revenue, Spend, revenue_from_spend
from growth.retention.triangle import RetentionResult, built
from growth.stats.arguments import names_of
from growth.stats.lifecycle import LifecycleCounts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import ibis.expr.types as ir
    from numpy.typing import NDArray

    from growth.dataset import Dataset
    from growth.engine import TableLike
    from growth.retention.calendar import Period, WeekStart
    from growth.retention.spec import Clock, EventLike, Match, Mode
    from growth.stats.lifecycle import Scheme

    Ints = NDArray[np.int64]

__all__ = ["lifecycle", "measure", "reconcile", "revenue"]

HISTORY: Final = timedelta(days=30)  # that should come before the range
MOST_BYTES: Final = 256 << 20  # of a triangle held for all groups at once
NO: Final = False  # what an unknown condition counts as


def measure(  # noqa: PLR0913
    events: TableLike | Dataset,
    *,
    start: date | datetime,
    end: date | datetime,
    as_of: date | datetime | None = None,
    start_event: EventLike | None = None,
    return_event: EventLike | None = None,
    follow_up: int | None = None,
    expected_shares: Mapping[str, float] | None = None,
    starts: TableLike | None = None,
    lag: str | timedelta = "0h",
    period: Period = "day",
    horizon: int = 30,
    mode: Mode = "first_ever",
    match: Match = "on",
    brackets: Sequence[int] | None = None,
    clock: Clock = "calendar",
    min_occurrences: int = 1,
    week_start: WeekStart = "monday",
    tz: str = "Asia/Shanghai",
    by: str | Sequence[str] = (),
    user_col: str = "user_id",
    ts_col: str = "ts",
    event_col: str = "event",
) -> RetentionResult:
    """Count who comes back, by cohort and offset.

    Parameters
    ----------
    events : Dataset, ibis.Table, frame, Arrow data or path
        One row an event, in any order; rows may repeat. Of a dataset or a path the
        layouts beside it are used where they say the same (see `engine.layouts`).
    start, end : date or aware datetime
        Cohorts begin in ``[start, end)``; a date is its local midnight.
    as_of : date or aware datetime
        The last day counted, or the instant up to which events are known; later
        rows are left out.
    start_event : str, Event, mapping, or sequence of these, optional
        What puts a user in a cohort; any event if omitted. An `Event` has a filter
        on its properties.
    return_event : str, Event, mapping, or sequence of these, optional
        What counts as coming back; the start event if omitted, any event with
        `starts`.
    follow_up : int, optional
        With ``match="on_or_after"``: look at i + k .. i + k + `follow_up` only, so
        that late cells see as much future as early ones.
    expected_shares : mapping of str to float, optional
        Planned share of users per arm, checked by `compare`.
    starts : table, optional
        Rows (user, time) in place of start events, such as assignments; `by` is then
        read from it. Without a column `user_col` its ``unit_id`` is the user.
    lag : str or timedelta, default "0h"
        How late events may arrive; a cell is complete that much after its end.
    period : {"day", "week", "month", "hour"}
        Length of an interval, by the local calendar. Hours are elapsed ones.
    horizon : int, default 30
        The largest offset, in intervals, 1 or more.
    mode : {"first_ever", "first_match", "first_in_range", "every"}
        ``first_ever``: the user's first event of that name in all history, whatever
        its properties; it must pass the filter and lie in the range.
        ``first_match``: the first that passes the filter in all history.
        ``first_in_range``: the first that passes in the range. ``every``: a user is
        in each cohort in which they start, so cohorts overlap.
    match : {"on", "on_or_after"}
        Whether the return is in interval i + k, or in any from there on. The latter
        is biased down where little future is known: see `follow_up`.
    brackets : sequence of int, optional
        Rising offsets from 1 on: ``[1, 2, 4, 8]`` is [1, 2), [2, 4), [4, 8); a
        return anywhere inside counts. In place of `horizon`.
    clock : {"calendar", "rolling_24h", "rolling_24h_hour"}
        Whether offsets count local intervals, or whole 24 hours since the user's
        own start (a week is 7 days, a month 30); ``_hour`` floors both times to the
        hour first.
    min_occurrences : int, default 1
        Return events an interval (or bracket) needs, 1 or more.
    week_start : {"monday", "sunday"}
        First day of a week.
    tz : str, default "Asia/Shanghai"
        The zone of the calendar.
    by : str or sequence of str, default ()
        Breakdown columns: the value at the start event. NULL is a group of its own.
    user_col, ts_col, event_col : str
        The columns of user, instant and event name. A date in `ts_col` is a local
        day. `event_col` is not needed where any event counts.

    Returns
    -------
    RetentionResult
        Cells, sizes and curves; ``mode="every"`` carries what its intervals need.

    Raises
    ------
    ParameterError
        If a choice is unknown (``unknown_mode``, ...), a range is empty, an instant
        has no zone or `as_of` is not given (``range``), brackets or counts are
        unusable (``brackets``, ``min_occurrences``, ``follow_up``), an event is not
        one (``bad_event``); all faults at once.
    ColumnNotFoundError
        If a column is missing.
    DataError
        If the start event is not in the data (``event_absent``), or more than 1 %
        of the rows have no user or no time (``null_key``).

    Notes
    -----
    Cell (i, k) counts the users of cohort i with a return in interval i + k; cell
    (i, 0) is the cohort's size and needs no return. It is complete once interval i +
    k has ended (on a rolling clock: for the cohort's last user) and `lag` has
    passed; an incomplete cell has no rate and is in no average.
    """
    table = table_of(events, "events")
    opened = None if starts is None else engine.as_table(starts)
    if start_event is not None and opened is not None:
        msg = "start_event and starts are both given; cohorts come from one of them;"
        raise ParameterError(f"{msg} leave one out.", code="two_starts")
    begin = parse_event(ANY if start_event is None else start_event, "start_event")
    back = begin if return_event is None else parse_event(return_event, "return_event")
    columns = _Columns(user_col, ts_col, event_col)
    frame = _frame(table, columns, tz)
    edges = None if brackets is None else tuple(brackets)
    spec = RetentionSpec(
        start_event=begin,
        return_event=back,
        from_table=opened is not None,
        start=frame.edge(start, "start"),
        end=frame.edge(end, "end"),
        as_of=frame.known(as_of),
        lag_s=duration(lag, "lag").total_seconds(),
        period=period,
        week_start=week_start,
        tz=frame.tz,
        horizon=_farthest(edges, horizon),
        mode=mode,
        match=match,
        clock=clock,
        follow_up=follow_up,
        brackets=edges,
        min_occurrences=min_occurrences,
        by=names_of(by, "by"),
        expected_shares=None
        if expected_shares is None
        else tuple(expected_shares.items()),
    )
    return _Reading(spec, table, opened, columns, source=events).result()


class _Columns(NamedTuple):
    """Names of the columns of events."""

    user: str
    ts: str
    event: str


class _Frame(NamedTuple):
    """The zone counted in: UTC where times are local days already."""

    tz: str
    shown: str
    dates: bool

    def edge(self, value: object, name: str) -> datetime:
        """Return the instant an edge of the range stands for, as the column has it."""
        return moment(self._day(value), name, tz=self.tz)

    def known(self, as_of: Any) -> datetime:  # noqa: ANN401
        """Return the instant an `as_of` stands for, as the column has it."""
        return last_known(self._day(as_of), tz=self.tz)

    def _day(self, value: Any) -> Any:  # noqa: ANN401
        if self.dates and isinstance(value, datetime) and value.utcoffset() is not None:
            return value.astimezone(zone(self.shown)).replace(tzinfo=UTC)
        return value


def _frame(table: ir.Table, columns: _Columns, tz: str) -> _Frame:
    engine.need_columns(table, (columns.user, columns.ts))
    zone(tz)
    engine.epoch_us(table[columns.ts])  # raises unless it holds instants or dates
    dates = table[columns.ts].type().is_date()
    return _Frame("UTC" if dates else tz, tz, dates)


def _farthest(edges: tuple[int, ...] | None, horizon: int) -> int:
    return (
        max((e for e in edges if isinstance(e, int)), default=2) - 1
        if edges
        else horizon
    )


class _Reading:
    """One pass over the rows of one question."""

    def __init__(
        self,
        spec: RetentionSpec,
        events: ir.Table,
        starts: ir.Table | None,
        columns: _Columns,
        *,
        carried: str | None = None,
        source: object = None,
    ) -> None:
        self.spec = spec
        self.source = source  # where layouts may be found
        self.said: list[Notice] = []
        self.columns = columns
        self.carried = carried  # a column of integers that comes along
        self.events = events
        self.starts = None if starts is None else _starts(starts, events, columns, spec)
        if any(e.event != ANY for e in self._asked()):
            engine.need_columns(events, (columns.event,), unlocks="events by name")
        where = events if self.starts is None else self.starts
        engine.need_columns(where, spec.by, unlocks="that breakdown of retention")
        self.cohorts = spec.cohorts
        self.until = self._until()

    def _asked(self) -> tuple[Event, ...]:
        begin = () if self.spec.from_table else self.spec.start_event
        return (*begin, *self.spec.return_event)

    def _until(self) -> datetime:
        """Return the instant from which no row can matter."""
        spec = self.spec
        ends = [high for _, high in spec.windows]
        endless = spec.match == "on_or_after" and spec.follow_up is None
        if endless or not self.cohorts:
            return spec.as_of
        farthest = max(high for high in ends if high is not None)
        if spec.clock == "calendar":
            over = spec.intervals.start(spec.last + farthest + 1)
        else:
            hour = timedelta(hours=1)  # of floored times
            rolled = (farthest + 1) * spec.intervals.rolling
            over = spec.intervals.start(spec.last + 1) + rolled + hour
        return min(spec.as_of, max(over, spec.end))

    def result(self) -> RetentionResult:
        """Count, then say what the counts rest on."""
        spec = self.spec
        known = spec.known
        width = len(spec.windows)
        complete = [
            [spec.ends(i, c) <= known for c in (None, *range(width))]
            for i in self.cohorts
        ]
        notices = [*self.history(), *self._partial()]
        groups, size, kept, squares, left = self._counted(
            np.array(complete, dtype=bool)
        )
        notices += self.said
        notices += [_left_out(column, rows) for column, rows in left.items()]
        if not size.sum() and self.starts is None:
            self.need_start()
        elif not kept.sum():
            notices += self._absent_returns()
        ready = None
        if not any(any(row[1:]) for row in complete):
            over = min(spec.ends(spec.first, c) for c in range(width))
            ready = self._ready(over)
        return built(
            spec,
            [spec.intervals.name(i) for i in self.cohorts],
            groups,
            size,
            kept,
            complete,
            squares=squares if spec.mode == "every" else None,
            ready_on=ready,
            notices=notices,
        )

    # -- rows ---------------------------------------------------------------------

    def _rows(self) -> ir.Table:
        """Return user, instant, flags and breakdown of the rows that matter."""
        parts = [self._event_rows()]
        if self.starts is not None:
            parts.append(self._start_rows(self.starts))
        return reduce(lambda a, b: a.union(b), parts)

    def _event_rows(self) -> ir.Table:
        import ibis

        spec, table = self.spec, self.events
        ts = table[self.columns.ts]
        back = _passes(table, spec.return_event, self.columns.event)
        if spec.from_table:
            flags = back.ifelse(RETURN, 0)
            wanted = back & (ts >= _instant(ts, spec.start))
        else:
            begins = _passes(table, spec.start_event, self.columns.event)
            inside = begins & _between(ts, spec.start, spec.end)
            match spec.mode:
                case "first_ever":
                    pool = _passes(
                        table, spec.start_event, self.columns.event, bare=True
                    )
                case "first_match":
                    pool = begins
                case _:
                    pool = inside
            flags = (
                pool.ifelse(POOL, 0) + inside.ifelse(START, 0) + back.ifelse(RETURN, 0)
            )
            wanted = pool | back
            if spec.mode in ("first_in_range", "every"):
                wanted &= ts >= _instant(ts, spec.start)
        rows = table.select(
            table[self.columns.user],
            ts=engine.epoch_us(ts),
            raw=ts,
            flags=flags.cast("int64"),
            wanted=wanted,
            **({"amount": table[self.carried]} if self.carried else {}),
            **{
                f"by{i}": ibis.null().cast("string")
                if spec.from_table
                else _text(table[name])
                for i, name in enumerate(spec.by)
            },
        )
        keep = rows.wanted & (
            (rows.raw < _instant(rows.raw, self.until)) | rows.raw.isnull()
        )
        return rows.filter(keep).drop("wanted", "raw")

    def _start_rows(self, starts: ir.Table) -> ir.Table:
        spec = self.spec
        ts = starts[self.columns.ts]
        inside = _between(ts, spec.start, spec.end)
        wanted = ts < _instant(ts, self.until)
        if spec.mode in ("first_in_range", "every"):
            wanted &= inside
        rows = starts.select(
            starts[self.columns.user],
            ts=engine.epoch_us(ts),
            flags=(inside.ifelse(START, 0) + POOL).cast("int64"),
            wanted=wanted.fill_null(not NO),
            **({"amount": _number(0)} if self.carried else {}),
            **{f"by{i}": _text(starts[name]) for i, name in enumerate(spec.by)},
        )
        return rows.filter(rows.wanted).drop("wanted")

    def activity(self, until: datetime) -> ir.Table:
        """Return user and instant of the rows that make a user active."""
        table = self.events
        ts = table[self.columns.ts]
        active = _passes(table, self.spec.start_event, self.columns.event)
        rows = table.select(
            table[self.columns.user], ts=engine.epoch_us(ts), raw=ts, active=active
        )
        early = (rows.raw < _instant(rows.raw, until)) | rows.raw.isnull()
        return rows.filter(rows.active & early).drop("active")

    # -- counting -----------------------------------------------------------------

    def _counted(
        self, complete: NDArray[np.bool_]
    ) -> tuple[list[tuple[str | None, ...]], Ints, Ints, Any, dict[str, int]]:
        spec = self.spec
        shape = (len(self.cohorts), len(spec.windows))
        if not self.cohorts:
            none = np.zeros((1, *shape), dtype=np.int64)
            return [(None,) * len(spec.by)], none[:, :, 0], none, None, {}
        rows = self._rows()
        groups: list[tuple[str | None, ...]] = [()]
        if spec.by:
            groups, rows = _grouped(rows, len(spec.by))
        slots = slots_of(spec, self.until)
        ask = Ask(
            spec, slots, shape, complete, len(groups), self._step(), self.columns.user
        )
        chunk = max(1, MOST_BYTES // (8 * (shape[0] or 1) * (shape[1] or 1)))
        ready = self._layout(ask) if ask.plan() == "bits" else None
        if ready is not None:
            size, kept, squares = ready.values
            left = ready.left_out
        elif len(groups) <= chunk:
            size, kept, squares, left = ask.run(rows)
        else:
            size, kept, squares, left = by_chunks(ask, rows, len(groups), chunk)
        if spec.by:  # a value at starts of users who had started before is nobody's
            there = np.flatnonzero(size.sum(axis=1))
            groups, size, kept = [groups[g] for g in there], size[there], kept[there]
            squares = squares[np.r_[0, 1 + there]] if len(squares) else squares
        return groups, size, kept, squares, left

    def spent(self, notices: list[Notice], cost: int | None, seed: int) -> Revenue:
        """Count orders by offset from the user's start."""
        spec = self.spec
        width = spec.horizon + 1
        complete = np.array(
            [
                [_over(spec, i, k) <= spec.known for k in range(width)]
                for i in self.cohorts
            ],
            dtype=bool,
        ).reshape(-1, width)
        groups: list[tuple[str | None, ...]] = [()]
        spend = Spend(*(np.zeros(0, np.int64) for _ in range(6)))
        if self.cohorts:
            rows = self._rows()
            if spec.by:
                groups, rows = _grouped(rows, len(spec.by))
            slots = slots_of(spec, self.until)
            ask = Ask(
                spec,
                slots,
                (0, 0),
                complete,
                len(groups),
                self._step(),
                self.columns.user,
            )
            found = ask.spend(rows, width)
            codes: Any = found.users
            codes = codes.dictionary_encode().indices
            user = codes.to_numpy(zero_copy_only=False).astype(np.int64)
            spend = Spend(user, *(part.astype(np.int64) for part in found.values))
            notices += [_left_out(name, n) for name, n in found.left_out.items()]
        ready = None
        if not complete.any():
            ready = self._ready(_over(spec, spec.first, 0))
        return revenue_from_spend(
            spec,
            spend,
            cohorts=[spec.intervals.name(i) for i in self.cohorts],
            groups=groups,
            complete=complete,
            cost_fen=cost,
            seed=seed,
            ready_on=ready,
            notices=notices,
        )

    def _step(self) -> int:
        """Return the microseconds instants are whole multiples of."""
        sources = [t for t in (self.events, self.starts) if t is not None]
        return 1000 if all(_whole_ms(t[self.columns.ts]) for t in sources) else 1

    def _ready(self, over: datetime) -> date:
        """Return the first `as_of` for which an instant has passed."""
        last = over + timedelta(seconds=self.spec.lag_s) - timedelta(microseconds=1)
        return last.astimezone(zone(self.spec.tz)).date()

    def _layout(self, ask: Ask) -> engine.ByUser | None:
        """Count from bits of days, where they stand ready and say what was asked."""
        spec = self.spec
        day = spec.intervals.offset_us(spec.tz, spec.as_of) + microseconds(spec.as_of)
        whole = day % DAY_US == 0 and spec.period != "hour"
        known = layouts.find(self.source, tz=spec.tz) if whole else None
        if known is None or spec.from_table or "date" in str(self._kind()):
            return None
        self.said += known.notices
        if (layout := known.layout) is None:
            return None
        kinds = []
        for events in (spec.start_event, spec.return_event):
            wanted = _definition(events, self.columns.event)
            names = [
                name
                for name, where in layout.kinds.items()
                if engine.parse_where(where) == wanted
            ]
            kinds += names[:1]
        if len(kinds) < 2:
            return None
        first = ask.slots.origin // DAY_US
        rows = layout.user_bits(kinds[0])
        if kinds[0] != kinds[1]:
            back = layout.user_bits(kinds[1])
            rows = rows.mutate(flags=_number(POOL)).union(
                back.mutate(flags=_number(RETURN))
            )
        return ask.from_bits(rows, first, layouts.BLOCK_DAYS)

    def _kind(self) -> object:
        return self.events[self.columns.ts].type()

    # -- what is said beside the counts -------------------------------------------

    def _partial(self) -> list[Notice]:
        """Return a notice where the first or the last cohort is only a part."""
        spec, shape = self.spec, self.spec.intervals
        edges = (spec.start, spec.end)
        if not self.cohorts or all(shape.start(shape.at(e)) == e for e in edges):
            return []
        return [Notice("partial_cohort", "info", (("period", spec.period),))]

    def history(self) -> list[Notice]:
        """Return a notice where the log begins soon before the range."""
        if self.spec.mode in ("first_in_range", "every"):
            return []
        if self.starts is not None:
            return []
        table, spec = self.events, self.spec
        ts = table[self.columns.ts]
        # no look at the whole log: files that hold nothing so old are skipped
        old = table.filter(ts < _instant(ts, spec.start - HISTORY)).select(ts).limit(1)
        if engine.fetch(old, "looking for history").num_rows:
            return []
        young = table.filter(ts < _instant(ts, spec.start))
        first = young.aggregate(first=engine.epoch_us(young[self.columns.ts]).min())
        us = engine.fetch(first, "reading the first time")["first"][0].as_py()
        begun = microseconds(spec.start)
        days = 0 if us is None else (begun - us) // DAY_US
        args = (("days", int(days)), ("limit", HISTORY.days))
        return [Notice("history_short", args=args)]

    def _names(self) -> list[str]:
        column = self.events[self.columns.event].cast("string")
        seen = self.events.select(name=column).distinct()
        found = engine.fetch(seen, "reading event names")["name"].to_pylist()
        return sorted(name for name in found if name is not None)

    def need_start(self) -> None:
        """Raise unless the data have a start event of that name."""
        asked = [e.event for e in self.spec.start_event]
        if ANY in asked:
            return
        known = self._names()
        if not set(asked) & set(known):
            msg = (
                f"start_event {asked[0]!r} is not in the data, which has {known[:20]};"
            )
            msg += f" name one of these.{suggest(asked[0], known)}"
            raise DataError(msg, code="event_absent")

    def _absent_returns(self) -> list[Notice]:
        asked = [e.event for e in self.spec.return_event]
        if ANY in asked:
            return []
        known = self._names()
        return [
            Notice(
                "event_absent",
                args=(("event", name), ("hint", suggest(name, known).strip())),
            )
            for name in asked
            if name not in known
        ]


def _grouped(
    rows: ir.Table, width: int
) -> tuple[list[tuple[str | None, ...]], ir.Table]:
    """Give the breakdown's values at starts numbers, NULL first, as column `code`."""
    import pyarrow as pa

    names = [f"by{i}" for i in range(width)]
    begins = rows.filter((rows.flags.cast("int64") & START) == START)
    found = engine.fetch(begins.select(*names).distinct(), "reading the breakdown")
    groups = sorted(
        zip(*(found[name].to_pylist() for name in names), strict=True),
        key=lambda values: [(v is not None, _native(v)) for v in values],
    )
    filled = [[_NULL if v is None else v for v in values] for values in groups]
    columns = {
        f"key{i}": pa.array([values[i] for values in filled], pa.string())
        for i in range(width)
    }
    columns["code"] = pa.array(range(len(groups)), pa.int64())
    codes = engine.as_table(pa.table(columns), connection=backend_of(rows))
    filled_rows = rows.mutate(
        **{f"by{i}": rows[f"by{i}"].fill_null(_NULL) for i in range(width)}
    )
    joined = filled_rows.left_join(
        codes, [filled_rows[f"by{i}"] == codes[f"key{i}"] for i in range(width)]
    )
    kept = [name for name in rows.columns if name not in names]
    whole = joined.select(*kept, code=joined.code.fill_null(0))
    return groups, whole


_NULL: Final = "\x1fnull"


def _native(value: str | None) -> tuple[int, float, str]:
    """Return what a value is sorted by: numbers by size, then text."""
    try:
        return (0, float(value or ""), "")
    except ValueError:
        return (1, 0.0, value or "")


def _number(value: int) -> ir.IntegerScalar:
    import ibis

    return ibis.literal(value, "int64")


def _definition(events: Sequence[Event], column: str) -> engine.Where | None:
    """Return events as one filter, in the form layouts are declared in."""
    plain = [e.event for e in events if e.where is None]
    if len(plain) < len(events):
        return None
    if ANY in plain:
        return engine.parse_where(())
    test = {"eq": plain[0]} if len(plain) == 1 else {"in": plain}
    return engine.parse_where([{"col": column, **test}])


def _over(spec: RetentionSpec, interval: int, k: int) -> datetime:
    """Return when interval k of a cohort is over for all its users."""
    if spec.clock == "calendar":
        return spec.intervals.start(interval + k + 1)
    return spec.intervals.start(interval + 1) + (k + 1) * spec.intervals.rolling


def _text(column: ir.Value) -> ir.StringValue:
    return column.cast("string")


def _passes(
    table: ir.Table, events: Sequence[Event], column: str, *, bare: bool = False
) -> ir.BooleanValue:
    """Return whether a row is one of `events`; `bare`: whatever its properties."""
    import ibis

    plain = [e.event for e in events if e.where is None or bare]
    if ANY in plain:
        return ibis.literal(value=True)
    parts = []
    if plain:
        parts.append(table[column].isin(plain))
    for event in events:
        where = None if bare else event.filter
        if where is None:
            continue
        fits = where.to_ibis(table)
        named = event.event == ANY
        parts.append(fits if named else (table[column] == event.event) & fits)
    return reduce(or_, (part.fill_null(NO) for part in parts))


def _instant(column: ir.Value, at: datetime) -> ir.Scalar:
    """Return an instant as a literal of the column's own type."""
    import ibis

    kind = column.type()
    if kind.is_date():
        # an instant inside a day: the day has begun
        day = (
            at.date()
            if at.time() == datetime.min.time()
            else at.date() + timedelta(days=1)
        )
        return ibis.literal(day)
    if kind.timezone is None:
        return ibis.literal(at.astimezone(UTC).replace(tzinfo=None), "timestamp(6)")
    return ibis.literal(at, "timestamp('UTC', 6)")


def _between(column: ir.Value, start: datetime, end: datetime) -> ir.BooleanValue:
    inside = (column >= _instant(column, start)) & (column < _instant(column, end))
    return inside.fill_null(NO)


def _starts(
    starts: ir.Table, events: ir.Table, columns: _Columns, spec: RetentionSpec
) -> ir.Table:
    """Return the table of starts with the events' column names and connection."""
    table = starts
    if columns.user not in table.columns and "unit_id" in table.columns:
        table = table.rename({columns.user: "unit_id"})
    if columns.ts not in table.columns and "ts" in table.columns:
        table = table.rename({columns.ts: "ts"})
    engine.need_columns(table, (columns.user, columns.ts, *spec.by))
    table = table.select(columns.user, columns.ts, *spec.by)
    here, there = backend_of(events), backend_of(table)
    if here is not there:
        rows = engine.fetch(table, "reading the starts")
        table = engine.as_table(rows, connection=here)
    kind = events[columns.user].type()
    if table[columns.user].type() != kind:
        table = table.mutate(**{columns.user: table[columns.user].cast(kind)})
    return table


def _whole_ms(column: ir.Value) -> bool:
    """Whether a column holds no finer instants than milliseconds, by its type."""
    kind = column.type()
    return bool(kind.is_date() or (kind.scale is not None and kind.scale <= 3))


def _left_out(column: str, rows: int) -> Notice:
    return Notice("rows_left_out", args=(("rows", rows), ("column", column)))


def lifecycle(  # noqa: PLR0913
    events: TableLike | Dataset,
    *,
    start: date | datetime,
    end: date | datetime,
    as_of: date | datetime | None = None,
    event: EventLike = ANY,
    scheme: LifecycleScheme = "period",
    period: Period = "day",
    lag: str | timedelta = "0h",
    week_start: WeekStart = "monday",
    tz: str = "Asia/Shanghai",
    user_col: str = "user_id",
    ts_col: str = "ts",
    event_col: str = "event",
) -> Lifecycle:
    """Count users by their state in each interval: new, returning, dormant, ...

    Parameters
    ----------
    events : Dataset, ibis.Table, frame, Arrow data or path
        One row an event; all history, so that old users are not taken for new.
    start, end : date or aware datetime
        The intervals counted: those that begin in ``[start, end)``, and the one
        `start` is in.
    as_of : date or aware datetime
        The last day counted, or the instant up to which events are known.
    event : str, Event, mapping, or sequence of these, default any
        What makes a user active.
    scheme : {"period", "activity"}
        ``period``: new (first interval ever), returning (also active in the one
        before), resurrecting; dormant (the first inactive interval), asleep.
        ``activity``, on days, by the days g since the last active one: new, current
        (g up to 6), reactivated (7 to 29), resurrected; at_risk_week,
        at_risk_month, dormant by the same cuts.
    period : {"day", "week", "month"}
        Length of an interval.
    lag, week_start, tz
        As in `measure`.
    user_col, ts_col, event_col : str
        As in `measure`.

    Returns
    -------
    Lifecycle
        Counts are positive. A running interval has no inactive users yet.

    Raises
    ------
    ParameterError
        If a choice is unknown (``unknown_scheme``, ...), a range is empty
        (``range``), or ``activity`` is asked of another period than days
        (``unknown_period``).
    ColumnNotFoundError, DataError
        As in `measure`.

    Notes
    -----
    ``active = new + returning + resurrecting`` and ``dormant[t] = active[t-1] -
    returning[t]``.
    """
    faults: list[Fault] = []
    one_of("scheme", scheme, LifecycleScheme, faults)
    if period == "hour" or (scheme == "activity" and period != "day"):
        expected = "'day'" if scheme == "activity" else "'day', 'week' or 'month'"
        faults.append(Fault("unknown_period", "period", repr(period), expected))
    if faults:
        raise ParameterError.of("the lifecycle question", faults)
    table = table_of(events, "events")
    columns = _Columns(user_col, ts_col, event_col)
    frame = _frame(table, columns, tz)
    spec = RetentionSpec(
        start_event=parse_event(event, "event"),
        start=frame.edge(start, "start"),
        end=frame.edge(end, "end"),
        as_of=frame.known(as_of),
        lag_s=duration(lag, "lag").total_seconds(),
        period=period,
        week_start=week_start,
        tz=frame.tz,
        mode="first_match",
    )
    return _Living(spec, SCHEMES[scheme], table, columns).result()


class _Living:
    """One pass over the rows of a lifecycle."""

    def __init__(
        self, spec: RetentionSpec, scheme: Scheme, events: ir.Table, columns: _Columns
    ) -> None:
        self.spec, self.scheme = spec, scheme
        self.reading = _Reading(spec, events, None, columns)
        self.cohorts = spec.cohorts
        # intervals before the range that are told apart: one more than the longest cut
        self.early = spec.first - max(scheme.cuts) - 1

    def result(self) -> Lifecycle:
        spec = self.spec
        n, kinds = len(self.cohorts), len(self.scheme.states)
        moves = np.zeros((n, kinds + 1, kinds), dtype=np.int64)
        notices = self.reading.history()
        if n:
            found = self._moves()
            moves = found.values[0]
            notices += [_left_out(name, rows) for name, rows in found.left_out.items()]
        if not moves.any():
            self.reading.need_start()
        counts = LifecycleCounts(self.scheme, spec.first, moves.sum(axis=1), moves)
        return shown(
            counts,
            period=spec.period,
            intervals=[spec.intervals.name(i) for i in self.cohorts],
            complete=[spec.ends(i, None) <= spec.known for i in self.cohorts],
            notices=notices,
        )

    def _moves(self) -> engine.ByUser:
        spec = self.spec
        begin = spec.intervals.start(self.early)
        end = min(spec.as_of, spec.intervals.start(spec.last + 1))
        slots = slots_of(replace(spec, start=begin, end=end), end)
        interval = slots.interval.copy()
        interval[0] = self.early - 1  # before all that are told apart
        rows = self.reading.activity(end)
        ask: tuple[Any, ...] = (interval, spec.first, spec.last + 1, self.scheme)
        if slots.words <= MOST_WORDS:
            from growth.retention import kernels

            return engine.fold_by_user(
                rows,
                columns={"ts": "ts"},
                state={"seen": ("int64", slots.words)},
                kernel=kernels.mark,
                finish=from_bits,
                params=(*slots.clock, slots.last),
                finish_params=ask,
                user_col=self.reading.columns.user,
            )
        day = engine.local_day(rows.raw, spec.tz) - (slots.origin // DAY_US - 1)
        key = [engine.KeyPart("day", (day < 0).ifelse(0, day), 0, slots.last)]
        shift = engine.key_shifts(key)[-1]
        return engine.map_by_user(
            rows,
            key=key,
            kernel=from_keys,
            params=(shift, *ask),
            user_col=self.reading.columns.user,
        )


def revenue(  # noqa: PLR0913
    orders: TableLike | Dataset,
    *,
    start: date | datetime,
    end: date | datetime,
    as_of: date | datetime | None = None,
    starts: TableLike | None = None,
    mode: Mode = "first_ever",
    period: Period = "month",
    horizon: int = 6,
    clock: Clock = "calendar",
    lag: str | timedelta = "0h",
    week_start: WeekStart = "monday",
    tz: str = "Asia/Shanghai",
    by: str | Sequence[str] = (),
    channel_spend: TableLike | None = None,
    seed: int = 0,
    user_col: str = "user_id",
    ts_col: str = "pay_ts",
    paid_col: str = "paid_fen",
    refund_col: str = "refund_fen",
) -> Revenue:
    """Follow what cohorts of users pay, and what a user is worth by each offset.

    Parameters
    ----------
    orders : Dataset, ibis.Table, frame, Arrow data or path
        One row an order; those without a time were never paid and are left out.
    start, end, as_of, period, clock, lag, week_start, tz, by
        As in `measure`.
    starts : table, optional
        Rows (user, time) that put users in cohorts, such as registrations or
        assignments; the orders themselves if omitted: a user's first order.
    mode : {"first_ever", "first_match", "first_in_range"}
        Which start counts, as in `measure`.
    horizon : int, default 6
        The largest offset, 1 or more.
    channel_spend : table, optional
        Columns ``ds`` and ``spend_fen``: what was spent in the range to get these
        users.
    seed : int, default 0
        Of the bootstrap.
    user_col, ts_col, paid_col, refund_col : str
        The columns of user, instant of payment, and fen paid and refunded; without
        a `refund_col` nothing was refunded.

    Returns
    -------
    Revenue
        Net (paid less refunded) fen, placed at the time of payment. An order before
        the user's start does not count.

    Raises
    ------
    ParameterError
        As in `measure`; and if the mode is ``every`` (code ``mode``).
    ColumnNotFoundError, DataError
        As in `measure`; and if an amount is no whole number (``column_type``).

    Notes
    -----
    See `growth.retention.spending.revenue_from_spend` for the statistics. Refunds
    have no date here, so the youngest cells still shrink: notice `refunds_open`.
    """
    if mode == "every":
        msg = "mode is 'every': a user would be paid for in several cohorts; it must be"
        raise ParameterError(f"{msg} one of the first modes; pass one.", code="mode")
    table = table_of(orders, "orders")
    columns = _Columns(user_col, ts_col, "event")
    frame = _frame(table, columns, tz)
    engine.need_columns(table, (paid_col,), unlocks="revenue")
    refunds = refund_col in table.columns
    net = table[paid_col]
    if refunds:
        net = net - table[refund_col].fill_null(0)
    if not net.type().is_integer():
        msg = f"column {paid_col!r} is of type {net.type()}; money must be whole fen;"
        raise DataError(f"{msg} map it with transform 'yuan'.", code="column_type")
    paid = table.mutate(growth_net=net.cast("int64")).filter(table[ts_col].notnull())
    spec = RetentionSpec(
        from_table=starts is not None,
        start=frame.edge(start, "start"),
        end=frame.edge(end, "end"),
        as_of=frame.known(as_of),
        lag_s=duration(lag, "lag").total_seconds(),
        period=period,
        week_start=week_start,
        tz=frame.tz,
        horizon=horizon,
        mode=mode,
        clock=clock,
        by=names_of(by, "by"),
    )
    opened = None if starts is None else engine.as_table(starts)
    reading = _Reading(spec, paid, opened, columns, carried="growth_net")
    notices = reading.history()
    cost = None if channel_spend is None else _spent(channel_spend, spec)
    if refunds and _any_refund(table, refund_col):
        notices.append(Notice("refunds_open", "info"))
    return reading.spent(notices, cost, seed)


def _any_refund(table: ir.Table, column: str) -> bool:
    seen = engine.fetch(
        table.aggregate(some=(table[column] > 0).any()), "looking for refunds"
    )
    return bool(seen["some"][0].as_py())


def _spent(channel_spend: TableLike, spec: RetentionSpec) -> int:
    """Return what was spent on the days of the range, in fen."""
    import ibis

    table = engine.as_table(channel_spend)
    engine.need_columns(table, ("ds", "spend_fen"), unlocks="payback")
    first, last = (
        at.astimezone(zone(spec.tz)).date()
        for at in (spec.start, spec.end - timedelta(microseconds=1))
    )
    days = table.filter(
        table.ds.cast("date").between(ibis.literal(first), ibis.literal(last))
    )
    found = engine.fetch(
        days.aggregate(fen=days.spend_fen.sum()), "adding up the spend"
    )
    return int(found["fen"][0].as_py() or 0)


def reconcile(
    result: RetentionResult,
    official_daily: TableLike | Dataset,
    *,
    tolerance: float = 0.05,
    app_id: str | None = None,
) -> Reconciliation:
    """Compare daily retention with the platform's own, day by day and pooled.

    Parameters
    ----------
    result : RetentionResult
        Measured on visits (``app_launch``, ``app_show``), daily, at UTC+8:
        ``mode="first_ever"`` is compared with ``visit_uv_new``, ``"every"`` with
        ``visit_uv``.
    official_daily : Dataset, ibis.Table, frame, Arrow data or path
        The canonical table; the latest pull of each value is read.
    tolerance : float, default 0.05
        How far a pooled ratio may be from 1.
    app_id : str, optional
        The one app to compare with; all apps of the table together if omitted.

    Returns
    -------
    Reconciliation
        An offset the platform has not reported yet is None, never 0.

    Raises
    ------
    ParameterError
        As in `growth.retention.reconciling.reconcile_from_values`.
    ColumnNotFoundError
        If a column is missing.
    """
    table = table_of(official_daily, "official_daily")
    needed = ("api", "ds", "metric", "key", "value")
    engine.need_columns(table, needed, unlocks="reconciliation with the platform")
    metric = METRICS.get(result.spec.mode, "")
    rows = table.filter(
        (table.api == "getDailyRetain") & (table.metric == metric) & table.key.notnull()
    )
    extra = [
        name for name in ("app_id", "pulled_ts", "period") if name in table.columns
    ]
    found = engine.fetch(rows.select(*needed, *extra), "reading the official values")
    latest: dict[tuple[str, str, int], tuple[Any, float]] = {}
    for row in found.to_pylist():
        app = str(row.get("app_id", ""))
        if row.get("period", "day") != "day" or row["value"] is None:
            continue
        if app_id is not None and app != app_id:
            continue
        at = (app, row["ds"].isoformat()[:10], int(row["key"]))
        pulled = row.get("pulled_ts")
        if at not in latest or latest[at][0] is None or pulled >= latest[at][0]:
            latest[at] = (pulled, float(row["value"]))
    official: dict[tuple[str, int], float] = {}
    for (_, day, k), (_, value) in latest.items():
        official[day, k] = official.get((day, k), 0.0) + value
    apps = sorted({app for app, _, _ in latest})
    return reconcile_from_values(result, official, tolerance=tolerance, apps=apps)
