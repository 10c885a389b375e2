"""What is said beside the counts: of the events, and of what was left out."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from growth import engine
from growth.engine.days import comparable
from growth.errors import DataError, suggest
from growth.result import Notice
from growth.retention.calendar import DAY_US, microseconds
from growth.retention.spec import ANY, RetentionSpec

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from growth.retention.tables.asking import Columns

__all__ = ["About", "left_out"]

HISTORY: Final = timedelta(days=30)  # that should come before the range


class About:
    """What is to be said of the events of a question."""

    def __init__(
        self, spec: RetentionSpec, events: ir.Table, columns: Columns, *, given: bool
    ) -> None:
        self.spec = spec
        self.events = events
        self.columns = columns
        self.given = given  # whether cohorts come from a table of starts

    def history(self) -> list[Notice]:
        """Return a notice where the log begins soon before the range."""
        if self.spec.mode in ("first_in_range", "every"):
            return []
        if self.given:
            return []
        table, spec = self.events, self.spec
        ts = table[self.columns.ts]
        # no look at the whole log: files that hold nothing so old are skipped
        old = (
            table.filter(ts < comparable(ts, spec.start - HISTORY)).select(ts).limit(1)
        )
        if engine.fetch(old, "looking for history").num_rows:
            return []
        young = table.filter(ts < comparable(ts, spec.start))
        first = young.aggregate(first=engine.epoch_us(young[self.columns.ts]).min())
        us = engine.fetch(first, "reading the first time")["first"][0].as_py()
        begun = microseconds(spec.start)
        days = 0 if us is None else (begun - us) // DAY_US
        args = (("days", int(days)), ("limit", HISTORY.days))
        return [Notice("history_short", args=args)]

    def partial(self) -> list[Notice]:
        """Return a notice where the first or the last cohort is only a part."""
        spec, shape = self.spec, self.spec.intervals
        edges = (spec.start, spec.end)
        if not spec.cohorts or all(shape.start(shape.at(e)) == e for e in edges):
            return []
        return [Notice("partial_cohort", "info", (("period", spec.period),))]

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

    def absent_returns(self) -> list[Notice]:
        """Return a notice for each return event that the data do not have."""
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

    def _names(self) -> list[str]:
        column = self.events[self.columns.event].cast("string")
        seen = self.events.select(name=column).distinct()
        found = engine.fetch(seen, "reading event names")["name"].to_pylist()
        return sorted(name for name in found if name is not None)


def left_out(column: str, rows: int) -> Notice:
    """Return a notice of rows without a user or a time."""
    return Notice("rows_left_out", args=(("rows", rows), ("column", column)))
