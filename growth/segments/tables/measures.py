"""What is asked of each table in its one group-by; equal questions are asked once."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, Final

from growth.segments.tables.asks import Ask, value_of
from growth.segments.tables.expressions import before, sure
from growth.segments.tables.sources import day_of, net_of
from growth.segments.tables.tallies import beside, tallied

if TYPE_CHECKING:
    from collections.abc import Mapping

    import ibis.expr.types as ir

    from growth.segments.rules import Metric, Tag
    from growth.segments.tables.logs import Log
    from growth.segments.tables.sources import Sources

__all__ = ["Measures"]

PEOPLE: Final = {
    "seen": ("events", "orders"),
    "buyers": ("orders",),
    "members": ("members",),
}


class Measures:
    """Questions by table, and the columns that answer them.

    Parameters
    ----------
    sources : Sources
        The rows.
    """

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.asked: dict[str, dict[str, Ask]] = {}
        self.names: dict[str, str] = {}

    def ask(self, name: str, ask: Ask) -> str:
        """Return the column that answers a question about a table."""
        told = f"{name}:{ask!r}"  # as text: true is not 1
        if told not in self.names:
            self.names[told] = f"growth_{len(self.names)}"
            self.sources.rows(name)
            self.asked.setdefault(name, {})[self.names[told]] = ask
        return self.names[told]

    def of(self, metric: Metric, tz: str, what: str, **more: Any) -> str:  # noqa: ANN401
        """Return the column that answers a question about the rows a metric counts."""
        alike = self.sources.ends[tz] == self.sources.end and metric.last is None
        zone = "" if alike else tz
        return self.ask(metric.of, Ask(what, metric.where, metric.last, zone, **more))

    def amount(self, metric: Metric, tz: str, what: str) -> str:
        """Ask about the column a metric reads."""
        return self.of(metric, tz, what, col=net_of(tz) if metric.net else metric.col)

    def days(self, metric: Metric, tz: str) -> str:
        """Ask for the number of local days with a row."""
        return self.of(metric, tz, "days", col=day_of(tz))

    def _met(self) -> Ask:
        """Return what tells who has a row: a count, or the first instant of it."""
        # with one end rows after it are gone: whoever is counted was there
        return Ask("rows" if self.sources.one_end else "earliest")

    def meet(self, population: str) -> None:
        """Ask who belongs to a population."""
        has = self.sources.has
        for name in PEOPLE[population]:
            if (name == "events" and not has("events")) or (
                name == "orders" and not has("orders") and has("events")
            ):
                continue  # seen: whatever tells that a user was there
            self.ask(name, self._met())

    @property
    def alone(self) -> bool:
        """Whether one table tells of all users: none is without an answer of it."""
        return len(self.asked) == 1 and self.sources.one_end

    def people(self, table: ir.Table, one: Tag) -> ir.BooleanValue:
        """Return who is of a tag's population."""
        asks = (f"{name}:{self._met()!r}" for name in PEOPLE[one.population])
        columns = [table[self.names[ask]] for ask in asks if ask in self.names]
        if self.sources.one_end:
            return reduce(or_, (column.notnull() for column in columns))
        end = self.sources.ends[one.tz]
        return reduce(or_, (sure(before(column, end)) for column in columns))

    def anybody(self, table: ir.Table) -> ir.Table:
        """Leave out users of no tag's population."""
        if self.alone:
            return table
        alike = {(one.population, one.tz): one for one in self.sources.rules}
        tests = (self.people(table, one) for one in alike.values())
        return table.filter(reduce(or_, tests))

    def joined(self, logs: Mapping[str, Log]) -> ir.Table:
        """Group each table once and join them by user, none left out."""
        made = [
            logs[name].answers(asks) if name in logs else self._grouped(name, asks)
            for name, asks in self.asked.items()
        ]
        user, table = self.sources.user, made[0]
        for other in made[1:]:
            right = other.rename(growth_right=user)
            pair = table.outer_join(right, table[user] == right.growth_right)
            either = pair[user].coalesce(pair.growth_right)
            table = pair.mutate(**{user: either}).drop("growth_right")
        return table

    def _grouped(self, name: str, asks: Mapping[str, Ask]) -> ir.Table:
        table, user = self.sources.rows(name), self.sources.user
        counted = tallied(self.sources, name, asks)
        done = set() if counted is None else counted[1]
        values = {
            column: value_of(ask, table, name, self._counted(name, ask))
            for column, ask in asks.items()
            if column not in done
        }
        return beside(counted, table, user, values)

    def _counted(self, name: str, ask: Ask) -> ir.BooleanValue | None:
        """Return which rows a question counts; None is all of them."""
        if not ask.tz:
            where = ask.where
            return None if where is None else where.to_ibis(self.sources.rows(name))
        return self.sources.chosen(name, ask.where, ask.last, ask.tz)
