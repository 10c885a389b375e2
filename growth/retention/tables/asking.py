"""Of what it is asked: the columns of events, and the zone their times are in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from growth import engine
from growth.engine.days import zone
from growth.engine.spans import last_known, moment

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["Columns", "Frame", "farthest", "frame_of"]


class Columns(NamedTuple):
    """Names of the columns of events."""

    user: str
    ts: str
    event: str


class Frame(NamedTuple):
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


def frame_of(table: ir.Table, columns: Columns, tz: str) -> Frame:
    """Return the zone counted in, once the columns it takes are there."""
    engine.need_columns(table, (columns.user, columns.ts))
    zone(tz)
    engine.epoch_us(table[columns.ts])  # raises unless it holds instants or dates
    dates = table[columns.ts].type().is_date()
    return Frame("UTC" if dates else tz, tz, dates)


def farthest(edges: tuple[int, ...] | None, horizon: int) -> int:
    """Return the largest offset: of the brackets, where there are any."""
    return (
        max((e for e in edges if isinstance(e, int)), default=2) - 1
        if edges
        else horizon
    )
