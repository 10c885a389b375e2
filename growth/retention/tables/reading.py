"""One pass over the rows of a question: which they are, and what they count to."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from growth import engine
from growth.engine import layouts
from growth.engine.days import comparable, zone
from growth.engine.statements import backend_of
from growth.retention.calendar import DAY_US, microseconds
from growth.retention.counting import POOL, RETURN, START, Ask, by_chunks, slots_of
from growth.retention.spec import ANY, Event, RetentionSpec
from growth.retention.spending import Revenue, Spend, revenue_from_spend
from growth.retention.tables.breakdown import grouped
from growth.retention.tables.expressions import (
    NO,
    between,
    definition,
    midnight,
    number,
    passes,
    text,
    whole_ms,
)
from growth.retention.tables.remarks import About, left_out
from growth.retention.triangle import RetentionResult, built

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from numpy.typing import NDArray

    from growth.result import Notice
    from growth.retention.tables.asking import Columns

    Ints = NDArray[np.int64]

__all__ = ["Reading"]

MOST_BYTES: Final = 256 << 20  # of a triangle held for all groups at once


class Reading:
    """One pass over the rows of one question."""

    def __init__(
        self,
        spec: RetentionSpec,
        events: ir.Table,
        starts: ir.Table | None,
        columns: Columns,
        *,
        carried: str | None = None,
        source: object = None,
        shown: str = "UTC",
    ) -> None:
        self.spec = spec
        self.source = source  # where layouts may be found
        self.said: list[Notice] = []
        self.columns = columns
        self.carried = carried  # a column of integers that comes along
        self.events = events
        self.shown = shown  # the zone of dates
        self.starts = (
            None if starts is None else _starts(starts, events, columns, spec, shown)
        )
        if any(e.event != ANY for e in self._asked()):
            engine.need_columns(events, (columns.event,), unlocks="events by name")
        where = events if self.starts is None else self.starts
        engine.need_columns(where, spec.by, unlocks="that breakdown of retention")
        self.about = About(spec, events, columns, given=starts is not None)
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
        notices = [*self.about.history(), *self.about.partial()]
        groups, size, kept, squares, left = self._counted(
            np.array(complete, dtype=bool)
        )
        notices += self.said
        notices += [left_out(column, rows) for column, rows in left.items()]
        if not size.sum() and self.starts is None:
            self.about.need_start()
        elif not kept.sum():
            notices += self.about.absent_returns()
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
        back = passes(table, spec.return_event, self.columns.event)
        if spec.from_table:
            flags = back.ifelse(RETURN, 0)
            wanted = back & (ts >= comparable(ts, spec.start))
        else:
            begins = passes(table, spec.start_event, self.columns.event)
            inside = begins & between(ts, spec.start, spec.end)
            match spec.mode:
                case "first_ever":
                    pool = passes(
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
                wanted &= ts >= comparable(ts, spec.start)
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
                else text(table[name])
                for i, name in enumerate(spec.by)
            },
        )
        keep = rows.wanted & (
            (rows.raw < comparable(rows.raw, self.until)) | rows.raw.isnull()
        )
        return rows.filter(keep).drop("wanted", "raw")

    def _start_rows(self, starts: ir.Table) -> ir.Table:
        spec = self.spec
        ts = starts[self.columns.ts]
        us = engine.epoch_us(ts)
        inside = between(ts, spec.start, spec.end)
        wanted = ts < comparable(ts, self.until)
        if ts.type().is_date() and not self.events[self.columns.ts].type().is_date():
            us = midnight(ts, self.shown)
            first, last = microseconds(spec.start), microseconds(spec.end)
            inside = ((us >= number(first)) & (us < number(last))).fill_null(NO)
            wanted = us < number(microseconds(self.until))
        if spec.mode in ("first_in_range", "every"):
            wanted &= inside
        rows = starts.select(
            starts[self.columns.user],
            ts=us,
            flags=(inside.ifelse(START, 0) + POOL).cast("int64"),
            wanted=wanted.fill_null(not NO),
            **({"amount": number(0)} if self.carried else {}),
            **{f"by{i}": text(starts[name]) for i, name in enumerate(spec.by)},
        )
        return rows.filter(rows.wanted).drop("wanted")

    def activity(self, until: datetime) -> ir.Table:
        """Return user and instant of the rows that make a user active."""
        table = self.events
        ts = table[self.columns.ts]
        active = passes(table, self.spec.start_event, self.columns.event)
        rows = table.select(
            table[self.columns.user], ts=engine.epoch_us(ts), raw=ts, active=active
        )
        early = (rows.raw < comparable(rows.raw, until)) | rows.raw.isnull()
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
            groups, rows = grouped(rows, len(spec.by))
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
                groups, rows = grouped(rows, len(spec.by))
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
            notices += [left_out(name, n) for name, n in found.left_out.items()]
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
        return 1000 if all(whole_ms(t[self.columns.ts]) for t in sources) else 1

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
            wanted = definition(events, self.columns.event)
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
            rows = rows.mutate(flags=number(POOL)).union(
                back.mutate(flags=number(RETURN))
            )
        return ask.from_bits(rows, first, layouts.BLOCK_DAYS)

    def _kind(self) -> object:
        return self.events[self.columns.ts].type()


def _over(spec: RetentionSpec, interval: int, k: int) -> datetime:
    """Return when interval k of a cohort is over for all its users."""
    if spec.clock == "calendar":
        return spec.intervals.start(interval + k + 1)
    return spec.intervals.start(interval + 1) + (k + 1) * spec.intervals.rolling


def _starts(
    starts: ir.Table,
    events: ir.Table,
    columns: Columns,
    spec: RetentionSpec,
    shown: str,
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
    ts = table[columns.ts]
    if events[columns.ts].type().is_date() and not ts.type().is_date():
        table = table.mutate(**{columns.ts: engine.local_date(ts, shown)})
    return table
