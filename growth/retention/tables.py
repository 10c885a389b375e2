"""The same questions, asked of tables: rows to marks, marks to triangles."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from growth import engine
from growth.engine.connections import backend_of
from growth.engine.days import offsets, zone
from growth.errors import DataError, ParameterError, suggest
from growth.result import Notice
from growth.retention.calendar import DAY_US, HOUR_US, microseconds
from growth.retention.spec import (
    ANY,
    Event,
    RetentionSpec,
    moment,
    parse_event,
    parse_lag,
)
from growth.retention.triangle import RetentionResult, built

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import ibis.expr.types as ir
    from numpy.typing import NDArray

    from growth.engine import TableLike
    from growth.retention.calendar import Period, WeekStart
    from growth.retention.spec import Clock, EventLike, Match, Mode

    Ints = NDArray[np.int64]

__all__ = ["measure"]

HISTORY: Final = timedelta(days=30)  # that should come before the range
MOST_WORDS: Final = 16  # of a bitmap; beyond it sorted rows are smaller
MOST_BYTES: Final = 256 << 20  # of a triangle held for all groups at once
CODE_BITS: Final = 62  # of what is known of a user's first event
POOL, START, RETURN = 1, 2, 4  # as in kernels
CLOCKS: Final = {"calendar": 0, "rolling_24h": 1, "rolling_24h_hour": 2}
LONG_AGO: Final = -(2**40)  # the interval of everything before the range
NO: Final = False  # what an unknown condition counts as


def measure(  # noqa: PLR0913
    events: TableLike,
    *,
    start: date | datetime,
    end: date | datetime,
    as_of: date | datetime,
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
    events : ibis.Table, frame, Arrow data or path
        One row an event, in any order; rows may repeat.
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
        If a choice is unknown (``unknown_mode``, ...), a range is empty or an
        instant has no zone (``range``, ``bad_as_of``), brackets or counts are
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
    table = engine.as_table(events)
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
        start=frame.local(moment(start, "start", tz=frame.tz)),
        end=frame.local(moment(end, "end", tz=frame.tz)),
        as_of=frame.local(engine.instant(as_of, tz=frame.tz)),
        lag_s=parse_lag(lag).total_seconds(),
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
        by=(by,) if isinstance(by, str) else tuple(by),
        expected_shares=None
        if expected_shares is None
        else tuple(expected_shares.items()),
    )
    return _Reading(spec, table, opened, columns).result()


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

    def local(self, moment: datetime) -> datetime:
        """Return an instant as the column has it."""
        if not self.dates or self.tz == self.shown:
            return moment
        return moment.astimezone(zone(self.shown)).replace(tzinfo=UTC)


def _frame(table: ir.Table, columns: _Columns, tz: str) -> _Frame:
    engine.need_columns(table, (columns.user, columns.ts))
    zone(tz)
    dates = table[columns.ts].type().is_date()
    return _Frame("UTC" if dates else tz, tz, dates)


def _farthest(edges: tuple[int, ...] | None, horizon: int) -> int:
    return (
        max((e for e in edges if isinstance(e, int)), default=2) - 1
        if edges
        else horizon
    )


class _Slots(NamedTuple):
    """Days or hours of the range read: 0 is before it, 1 its first."""

    length: int
    origin: int
    last: int
    interval: Ints
    cohort: Ints
    edges: Ints
    shifts: Ints

    @property
    def words(self) -> int:
        return self.last // 63 + 1

    @property
    def clock(self) -> tuple[Ints, Ints, int, int]:
        """What kernels need to find an instant's slot."""
        return self.edges, self.shifts, self.length, self.origin


def _slots(spec: RetentionSpec, until: datetime) -> _Slots:
    shape = spec.intervals
    hours = spec.period == "hour"
    length = HOUR_US if hours else DAY_US
    begin, stop = microseconds(spec.start), microseconds(until)
    if hours:
        edges, shifts = np.zeros(0, np.int64), np.array([shape.fraction_us])
        first = (begin + shape.fraction_us) // HOUR_US
        final = (stop - 1 + shape.fraction_us) // HOUR_US
    else:
        starts, held = offsets(spec.tz)
        inside = [i for i, us in enumerate(starts) if begin - DAY_US < us < stop]
        low = inside[0] if inside else sum(us <= begin for us in starts)
        edges = np.array([starts[i] for i in inside], dtype=np.int64)
        shifts = np.array(held[low : low + len(inside) + 1], dtype=np.int64)
        first = (begin + shape.offset_us(spec.tz, spec.start)) // DAY_US
        latest = until - timedelta(microseconds=1)
        final = (stop - 1 + shape.offset_us(spec.tz, latest)) // DAY_US
    units = np.arange(first, final + 1, dtype=np.int64)
    interval = units if hours else shape.of_days(units)
    closing = spec.end - timedelta(microseconds=1)
    shift = shape.fraction_us if hours else shape.offset_us(spec.tz, closing)
    in_range = units <= (microseconds(closing) + shift) // length
    cohort = np.where(in_range, interval - spec.first, -1)
    return _Slots(
        length=length,
        origin=int(first) * length,
        last=len(units),
        interval=np.concatenate([[LONG_AGO], interval]),
        cohort=np.concatenate([[-1], cohort]),
        edges=edges,
        shifts=shifts,
    )


class _Reading:
    """One pass over the rows of one question."""

    def __init__(
        self,
        spec: RetentionSpec,
        events: ir.Table,
        starts: ir.Table | None,
        columns: _Columns,
    ) -> None:
        self.spec = spec
        self.columns = columns
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
        notices = self._history()
        groups, size, kept, squares, left = self._counted(
            np.array(complete, dtype=bool)
        )
        for column, rows in left.items():
            notices.append(_left_out(column, rows))
        if not size.sum() and self.starts is None:
            self._need_start()
        elif not kept.sum():
            notices += self._absent_returns()
        ready = None
        if not any(any(row[1:]) for row in complete):
            over = min(spec.ends(spec.first, c) for c in range(width))
            moment = over + timedelta(seconds=spec.lag_s) - timedelta(microseconds=1)
            ready = moment.astimezone(zone(spec.tz)).date()
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
            u=table[self.columns.user],
            ts=engine.epoch_us(ts),
            raw=ts,
            flags=flags.cast("int64"),
            wanted=wanted,
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
            u=starts[self.columns.user],
            ts=engine.epoch_us(ts),
            flags=(inside.ifelse(START, 0) + POOL).cast("int64"),
            wanted=wanted.fill_null(not NO),
            **{f"by{i}": _text(starts[name]) for i, name in enumerate(spec.by)},
        )
        return rows.filter(rows.wanted).drop("wanted")

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
        slots = _slots(spec, self.until)
        sources = [t for t in (self.events, self.starts) if t is not None]
        whole = all(_whole_ms(t[self.columns.ts]) for t in sources)
        ask = _Ask(spec, slots, shape, complete, len(groups), 1000 if whole else 1)
        chunk = max(1, MOST_BYTES // (8 * (shape[0] or 1) * (shape[1] or 1)))
        if len(groups) <= chunk:
            size, kept, squares, left = ask.run(rows)
        else:
            size, kept, squares, left = _by_chunks(ask, rows, len(groups), chunk)
        if spec.by:  # a value at starts of users who had started before is nobody's
            there = np.flatnonzero(size.sum(axis=1))
            groups, size, kept = [groups[g] for g in there], size[there], kept[there]
            squares = squares[np.r_[0, 1 + there]] if len(squares) else squares
        return groups, size, kept, squares, left

    # -- what is said beside the counts -------------------------------------------

    def _history(self) -> list[Notice]:
        if self.spec.mode in ("first_in_range", "every"):
            return []
        source = self.events if self.starts is None else self.starts
        ts = engine.epoch_us(source[self.columns.ts])
        found = engine.fetch(source.aggregate(first=ts.min()), "reading the first time")
        first = found["first"][0].as_py()
        begun = microseconds(self.spec.start)
        if self.starts is not None or first is None:
            return []
        days = (begun - first) // DAY_US
        if days >= HISTORY.days:
            return []
        args = (("days", max(int(days), 0)), ("limit", HISTORY.days))
        return [Notice("history_short", args=args)]

    def _names(self) -> list[str]:
        column = self.events[self.columns.event].cast("string")
        seen = self.events.select(name=column).distinct()
        found = engine.fetch(seen, "reading event names")["name"].to_pylist()
        return sorted(name for name in found if name is not None)

    def _need_start(self) -> None:
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


class _Ask(NamedTuple):
    """The counting itself: which kernel, with what."""

    spec: RetentionSpec
    slots: _Slots
    shape: tuple[int, int]
    complete: NDArray[np.bool_]
    groups: int
    step: int

    def run(self, rows: ir.Table) -> tuple[Ints, Ints, Any, dict[str, int]]:
        """Return size, kept, squares, and rows left out."""
        plan = self.plan()
        found = getattr(self, f"_{plan}")(rows)
        size, kept, squares = found.values
        return size, kept, squares, found.left_out

    def plan(self) -> str:
        """Return how the rows are to be folded; the answer does not hang on it."""
        spec = self.spec
        if (
            spec.clock != "calendar"
            or spec.min_occurrences > 1
            or self.slots.words > MOST_WORDS
            or (spec.mode == "every" and (spec.by or not self.aligned))
        ):
            return "sorted"
        if spec.mode == "every":
            return "bits"
        filtered = any(e.where is not None for e in spec.start_event)
        exact = filtered and spec.mode == "first_ever" and not spec.from_table
        if not (spec.by or exact) and self.aligned:
            return "bits"
        return "first" if self.code_bits <= CODE_BITS else "sorted"

    @property
    def aligned(self) -> bool:
        """Whether the range begins and ends with a slot."""
        length = self.slots.length
        for edge in (self.spec.start, self.spec.end):
            shift = (
                self.spec.intervals.fraction_us
                if self.spec.period == "hour"
                else self.spec.intervals.offset_us(self.spec.tz, edge)
            )
            if (microseconds(edge) + shift) % length:
                return False
        return True

    @property
    def epoch(self) -> int:
        return microseconds(self.spec.start)

    @property
    def group_bits(self) -> int:
        return max(self.groups - 1, 0).bit_length()

    @property
    def code_bits(self) -> int:
        span = microseconds(self.spec.as_of) - self.epoch
        return (span + 2).bit_length() + 1 + self.group_bits

    @property
    def columns(self) -> tuple[Ints, Ints]:
        """First and last column a return at each offset counts for."""
        windows = self.spec.windows
        finite = [high for _, high in windows if high is not None]
        farthest = max(finite) if len(finite) == len(windows) else self._span()
        o = np.arange(farthest + 1)
        starts = np.array([low for low, _ in windows])
        stops = np.array([farthest if high is None else high for _, high in windows])
        high = np.searchsorted(starts, o, side="right") - 1
        low = np.searchsorted(stops, o, side="left")
        empty = low > high
        return np.where(empty, 0, low), np.where(empty, -1, high)

    def _span(self) -> int:
        """Return the largest offset there can be."""
        spec = self.spec
        whole = spec.as_of - spec.intervals.start(spec.first)
        return whole // min(spec.intervals.rolling, timedelta(days=28)) + 2

    @property
    def last(self) -> tuple[Ints, int]:
        """The last cohort complete at each column, and at all of them."""
        columns = self.complete[:, 1:]
        count = columns.sum(axis=0) - 1
        return count.astype(np.int64), int(columns.all(axis=1).sum()) - 1

    def _bits(self, rows: ir.Table) -> engine.ByUser:
        from growth.retention import kernels

        spec, slots = self.spec, self.slots
        low, high = self.columns
        words, clock = slots.words, (*slots.clock, slots.last)
        cohort = slots.cohort
        same = spec.start_event == spec.return_event and not spec.from_table
        state: dict[str, tuple[str, int]]
        mark: Any
        finish: Any
        if same:
            mark, columns, state = (
                kernels.mark,
                {"ts": "ts"},
                {"seen": ("int64", words)},
            )
            finish = (
                kernels.tally_every_same
                if spec.mode == "every"
                else kernels.tally_lowest_same
            )
        else:
            mark, columns = kernels.mark_two, {"ts": "ts", "flags": "flags"}
            state = {"starts": ("int64", words), "returns": ("int64", words)}
            finish = (
                kernels.tally_every if spec.mode == "every" else kernels.tally_lowest
            )
        params: tuple[Any, ...] = (
            slots.interval, cohort, slots.last, low, high, *self.shape,
        )  # fmt: skip
        if spec.mode == "every":
            params += self.last
        return engine.fold_by_user(
            rows,
            columns=columns,
            state=state,
            kernel=mark,
            finish=finish,
            params=clock if same else (*clock, START if spec.mode == "every" else POOL),
            finish_params=params,
            user_col="u",
        )

    def _first(self, rows: ir.Table) -> engine.ByUser:
        from growth.retention import kernels

        slots, (low, high) = self.slots, self.columns
        columns = {"ts": "ts", "flags": "flags"}
        if self.spec.by:
            columns["code"] = "code"
        else:
            rows = rows.mutate(code=rows.flags * 0)
            columns["code"] = "code"
        tail = (self.epoch, self.group_bits)
        return engine.fold_by_user(
            rows,
            columns=columns,
            state={"first": ("int64", 1), "returns": ("int64", slots.words)},
            kernel=kernels.mark_first,
            finish=kernels.tally_first,
            params=(*slots.clock, slots.last, *tail),
            finish_params=(
                slots.interval,
                slots.cohort,
                slots.last,
                low,
                high,
                self.groups,
                *self.shape,
                *slots.clock,
                *tail,
            ),
            user_col="u",
        )

    def _sorted(self, rows: ir.Table) -> engine.ByUser:
        from growth.retention import kernels

        spec, slots, (low, high) = self.spec, self.slots, self.columns
        step = self.step if self.epoch % self.step == 0 else 1
        before = self.epoch - step
        latest = max(microseconds(spec.as_of), self.epoch + 1)
        clipped = rows.ts.isnull().ifelse(
            rows.ts, (rows.ts < before).ifelse(before, rows.ts)
        )
        key = [
            engine.KeyPart("ts", clipped, before, latest, step),
            engine.KeyPart("flags", "flags", 0, 7),
        ]
        time_shift, _, user_shift = engine.key_shifts(key)
        bins = np.arange(len(low))
        if spec.brackets is not None:
            bins = np.where(low <= high, low, -1)
        clock = CLOCKS[spec.clock]
        unit = 1 if not clock else spec.intervals.rolling // timedelta(microseconds=1)
        if clock == 2:
            unit //= HOUR_US
        last, common = self.last
        params: tuple[Any, ...] = (
            user_shift, time_shift, before, step, slots.interval, slots.cohort,
            slots.last, low, high, bins, *slots.clock, clock, unit,
            spec.intervals.fraction_us, spec.mode == "every", spec.min_occurrences,
            self.groups, *self.shape, last, common,
        )  # fmt: skip
        if not spec.by:
            params = (np.zeros(0, np.int64), *params)
        return engine.map_by_user(
            rows,
            key=key,
            kernel=kernels.tally_sorted,
            params=params,
            payload={"code": "code"} if spec.by else None,
            user_col="u",
        )


def _by_chunks(
    ask: _Ask, rows: ir.Table, groups: int, chunk: int
) -> tuple[Ints, Ints, Any, dict[str, int]]:
    """Count some groups at a time; the others are put into one that is dropped."""
    sizes, kepts, squares = [], [], []
    left: dict[str, int] = {}
    for begin in range(0, groups, chunk):
        n = min(chunk, groups - begin)
        inside = rows.code.between(begin, begin + n - 1)
        some = rows.mutate(code=inside.ifelse(rows.code - begin, n))
        size, kept, square, left = ask._replace(groups=n + 1).run(some)
        sizes.append(size[:n])
        kepts.append(kept[:n])
        whole = slice(0 if not begin else 1, n + 1)
        squares.append(square[whole])
    return np.concatenate(sizes), np.concatenate(kepts), np.concatenate(squares), left


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
    whole = joined.select("u", "ts", "flags", code=joined.code.fill_null(0))
    return groups, whole


_NULL: Final = "\x1fnull"


def _native(value: str | None) -> tuple[int, float, str]:
    """Return what a value is sorted by: numbers by size, then text."""
    try:
        return (0, float(value or ""), "")
    except ValueError:
        return (1, 0.0, value or "")


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
    name = {"u": "user", "ts": "time"}.get(column, column)
    return Notice("rows_left_out", args=(("rows", rows), ("column", name)))
