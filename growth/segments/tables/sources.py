"""The rows that rules read: tables cut at `as_of`, with days and net money."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any, Final

from growth.engine import as_table, local_day, need_columns
from growth.errors import DataError, ParameterError, suggest
from growth.segments.evaluate import FIRST_DAY, started
from growth.segments.ops import IDS, MODELS, TIMES
from growth.segments.rules import Rules
from growth.segments.tables.expressions import before, since

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    import ibis.expr.types as ir

    from growth.engine.where import Where
    from growth.segments.rules import Metric

__all__ = ["Sources", "day_of", "net_of"]

BY_DAY: Final = ("distinct_days", "overdue", *MODELS)


def day_of(tz: str) -> str:
    """Return the name of the column with a row's local day."""
    return f"growth_day_{tz}"


def net_of(tz: str) -> str:
    """Return the name of the column with money after refunds."""
    return f"growth_net_{tz}"


class Sources:
    """Tables by name, and which of their rows count.

    Parameters
    ----------
    data : Dataset or mapping of str to table
        Canonical tables.
    rules : Rules
        Whose metrics say what is read.
    as_of : datetime.date
        The last local day counted.
    user : str
        The column that names a user.

    Raises
    ------
    ParameterError
        If `data` holds no tables (code ``no_data``) or `rules` are no rules
        (``no_rules``).
    """

    def __init__(self, data: Any, rules: Rules, as_of: date, user: str) -> None:  # noqa: ANN401
        if not isinstance(rules, Rules):
            msg = f"rules is {rules!r}; it must be what load_rules or rules_of gives;"
            raise ParameterError(f"{msg} read or make it so.", code="no_rules")
        if not (isinstance(data, Mapping) or hasattr(data, "has")):
            msg = f"data is {data!r}; it must be a Dataset or tables by name; pass what"
            raise ParameterError(f"{msg} growth.open gives.", code="no_data")
        self.data, self.rules, self.as_of, self.user = data, rules, as_of, user
        self.day = (as_of - FIRST_DAY).days
        self.ends = {t.tz: started(as_of, -1, t.tz) for t in rules}
        self.end = max(self.ends.values())
        self.made: dict[str, ir.Table] = {}
        self.pairs = {
            (metric, one.tz, one.population): one
            for one in rules
            for used in one.used()
            for metric in used.parts()
        }

    @property
    def one_end(self) -> bool:
        """Whether all tags' days end at one instant."""
        return len(set(self.ends.values())) == 1

    def has(self, name: str) -> bool:
        """Return whether there is a table."""
        if isinstance(self.data, Mapping):
            return name in self.data
        return bool(self.data.has(name))

    def table(self, name: str, why: Iterable[str] = ()) -> ir.Table:
        """Return a table as it is; `why` are the tags that need it."""
        if not self.has(name):
            has = list(getattr(self.data, "tables", self.data))
            msg = f"table {name!r} is not there; there are {has}; add it, which"
            msg = f"{msg} the tags {sorted(why)} need.{suggest(name, has)}"
            raise DataError(msg, code="table_not_found")
        if isinstance(self.data, Mapping):
            return as_table(self.data[name])
        return as_table(self.data.table(name))

    def _need(self, name: str) -> tuple[set[str], set[str]]:
        """Return the columns of a table that are read, and the tags that do."""
        columns, tags = {self.user, TIMES[name]}, set()
        for metric, tz, population in self.pairs:
            if metric.of != name:
                continue
            tags |= {
                one.name
                for one in self.rules
                if (one.tz, one.population) == (tz, population)
                and any(metric in used.parts() for used in one.used())
            }
            if metric.where is not None:
                columns |= set(metric.where.columns)
            columns |= {metric.col} if metric.col else set()
            columns |= {"event", *metric.hold} if metric.steps else set()
            columns |= {"channel", "action"} if metric.op == "reach" else set()
            columns |= {"order_id"} if metric.net and self.has("refunds") else set()
        return columns, tags

    def rows(self, name: str) -> ir.Table:
        """Return the rows of a table, those after `as_of` left out."""
        if name not in self.made:
            columns, tags = self._need(name)
            table = self.table(name, tags)
            need_columns(table, sorted(columns), unlocks=f"the tags {sorted(tags)}")
            optional = {"template_id", "errcode", IDS.get(name, "")}
            if any(m.net for m, _, _ in self.pairs if m.of == name):
                optional |= {"refund_fen"}
            kept = [c for c in table.columns if c in columns | optional]
            table = table.select(*kept)
            table = table.filter(
                table[self.user].notnull(), before(table[TIMES[name]], self.end)
            )
            table = self._net(name, table)
            days = {
                day_of(tz): local_day(table[TIMES[name]], tz)
                for metric, tz, _ in self.pairs
                if metric.of == name and metric.op in BY_DAY
            }
            self.made[name] = table.mutate(days) if days else table
        return self.made[name]

    def _net(self, name: str, table: ir.Table) -> ir.Table:
        """Add money after refunds, dated where there is a table of them."""
        zones = {tz for m, tz, _ in self.pairs if m.net}
        if name != "orders" or not zones:
            return table
        if not self.has("refunds"):
            off = table.refund_fen.fill_null(0) if "refund_fen" in table.columns else 0
            return table.mutate({net_of(tz): table.paid_fen - off for tz in zones})
        refunds = self.table("refunds")
        need_columns(refunds, ["order_id", "ts", "amount_fen"], unlocks="net amounts")
        sums = {
            f"off_{i}": refunds.amount_fen.sum(where=before(refunds.ts, self.ends[tz]))
            for i, tz in enumerate(sorted(zones))
        }
        off = refunds.group_by(growth_order=refunds.order_id).agg(**sums)
        joined = table.left_join(off, table.order_id == off.growth_order)
        nets = {
            net_of(tz): (joined.paid_fen - joined[f"off_{i}"].fill_null(0)).cast(
                "int64"
            )
            for i, tz in enumerate(sorted(zones))
        }
        return joined.mutate(nets).drop("growth_order", *sums)

    def start(self, last: int, tz: str) -> int:
        """Return where a window of local days begins."""
        return started(self.as_of, last - 1, tz)

    def chosen(
        self, name: str, where: Where | None, last: int | None, tz: str
    ) -> ir.BooleanValue | None:
        """Return which rows of a table count; None is all of them."""
        table = self.rows(name)
        time = table[TIMES[name]]
        tests = []
        if self.ends[tz] != self.end:
            tests.append(before(time, self.ends[tz]))
        if last is not None:
            tests.append(since(time, self.start(last, tz)))
        if where is not None:
            tests.append(where.to_ibis(table))
        return reduce(and_, tests) if tests else None

    def picked(self, metric: Metric, tz: str) -> ir.Table:
        """Return the rows a metric counts."""
        table = self.rows(metric.of)
        tests = self.chosen(metric.of, metric.where, metric.last, tz)
        return table if tests is None else table.filter(tests)
