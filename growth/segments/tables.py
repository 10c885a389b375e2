"""Tags of all users at once: conditional aggregates, one scan of each table.

Metrics of all tags become measures of one group-by a table; equal ones are computed
once. Only what is about order in time (``sequence``, ``without``, ``overdue``) and
messages reads the few rows it needs a second time. Everything stays a lazy Ibis
table, but for models, whose fit needs numbers in hand.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING, Any, Final

from growth.engine import (
    as_table,
    backend_of,
    epoch_us,
    fetch,
    local_day,
    need_columns,
)
from growth.engine.days import DAY_US
from growth.engine.dialect import aggregate_builtin, floor_divide
from growth.errors import ParameterError, suggest
from growth.segments.context import Context, need_context, yardstick
from growth.segments.evaluate import FIRST_DAY, name_of_rfm, periods, started
from growth.segments.ops import IDS, MODELS, TIMES
from growth.segments.reach import OPENINGS, WEEK_US

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import ibis.expr.types as ir

    from growth.engine import TableLike
    from growth.result import Notice
    from growth.segments.rules import Metric, Rules, Tag, When

__all__ = [
    "check_as_of",
    "freeze",
    "holds",
    "metrics",
    "reach_text",
    "standings",
    "tag",
]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
COMPARE: Final = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
BY_DAY: Final = ("distinct_days", "overdue", *MODELS)
PEOPLE: Final = {
    "seen": ("events", "orders"),
    "buyers": ("orders",),
    "members": ("members",),
}


def check_as_of(as_of: object) -> date:
    """Return `as_of`, which must be a date.

    Parameters
    ----------
    as_of : datetime.date
        The last local day counted.

    Returns
    -------
    datetime.date
        The same.

    Raises
    ------
    ParameterError
        If it is anything else, a datetime too (code ``bad_as_of``).
    """
    if not isinstance(as_of, date) or isinstance(as_of, datetime):
        msg = f"as_of is {as_of!r}; it must be a date, the last day counted; pass one."
        raise ParameterError(msg, code="bad_as_of")
    return as_of


def tag(
    data: Any,  # noqa: ANN401  (a Dataset, or tables by name)
    rules: Rules,
    *,
    as_of: date,
    context: Context | None = None,
    user_col: str = "user_id",
) -> ir.Table:
    """Return every user's tags at one `as_of`, lazily.

    Parameters
    ----------
    data : Dataset or mapping of str to table
        Canonical tables; only those the rules name are read.
    rules : Rules
        From `load_rules` or `rules_of`.
    as_of : datetime.date
        The last local day counted, in each tag's own zone; rows after it do not
        exist.
    context : Context, optional
        Frozen yardsticks, from `freeze`; those of ``cuts = "recompute"`` are taken
        from the data at `as_of` where it has none.
    user_col : str, default "user_id"
        The column that names a user, in all tables.

    Returns
    -------
    ibis.Table
        One row a user of any tag's population: `user_col` and one text column a
        tag, named like it; NULL outside the tag's population.

    Raises
    ------
    ParameterError
        If `as_of` is no date (code ``bad_as_of``), or a tag with frozen cuts finds
        no yardstick (``context_required``).
    ColumnNotFoundError
        If a column is missing; it says which tags need it.
    DataError
        If a table is missing (code ``table_not_found``).

    Notes
    -----
    Each user gets the first value whose condition is true, else the default. Models
    are fitted by one query before the table is returned.
    """
    made = _Plan(data, rules, check_as_of(as_of), context, user_col)
    table = made.tagged()
    return table.select(user_col, *rules.names)


def metrics(
    data: Any,  # noqa: ANN401
    rules: Rules,
    *,
    as_of: date,
    context: Context | None = None,
    user_col: str = "user_id",
) -> ir.Table:
    """Return what tags saw of every user: `tag` with the metrics beside it.

    Parameters
    ----------
    data, rules, as_of, context, user_col
        As in `tag`.

    Returns
    -------
    ibis.Table
        `user_col`, the tags, and ``<tag>__<metric>`` for each metric a tag names.

    Raises
    ------
    ParameterError, DataError
        As `tag`.
    """
    made = _Plan(data, rules, check_as_of(as_of), context, user_col)
    table = made.tagged()
    shown = {}
    for one in rules:
        named = {metric: name for name, metric in one.metrics}
        for metric in one.used():
            shown[f"{one.name}__{named[metric]}"] = table[made.column(metric, one)]
    return table.select(user_col, *rules.names, **shown)


def freeze(
    data: Any,  # noqa: ANN401
    rules: Rules,
    *,
    as_of: date,
    user_col: str = "user_id",
) -> Context:
    """Take the yardsticks that rules are judged by: cut points, models, gaps.

    Parameters
    ----------
    data, rules, as_of, user_col
        As in `tag`.

    Returns
    -------
    Context
        For services (`rule`), and for `tag` at a later `as_of` with the yardstick
        of this one. Empty where no rule needs one.

    Raises
    ------
    ParameterError, DataError
        As `tag`.
    """
    made = _Plan(data, rules, check_as_of(as_of), None, user_col, freezing=True)
    return Context(as_of, made.yards(), tuple(dict.fromkeys(made.notices)))


@dataclass
class _Group:
    """What is asked of one table in its one group-by."""

    table: ir.Table
    measures: dict[str, ir.Value] = field(default_factory=dict)


class _Plan:
    """One set of rules over one set of tables, at one `as_of`."""

    def __init__(
        self,
        data: Any,  # noqa: ANN401
        rules: Rules,
        as_of: date,
        context: Context | None,
        user_col: str,
        *,
        freezing: bool = False,
    ) -> None:
        self.data, self.rules, self.as_of = data, rules, as_of
        self.context, self.user = context, user_col
        self.freezing = freezing
        self.day = (as_of - FIRST_DAY).days
        self.ends = {t.tz: started(as_of, -1, t.tz) for t in rules}
        self.groups: dict[str, _Group] = {}
        self.names: dict[str, str] = {}
        self.extras: list[ir.Table] = []
        self.notices: list[Notice] = []
        self.posts: dict[str, Callable[[ir.Table], ir.Value]] = {}
        self.pairs = {
            (metric, one.tz, one.population): one
            for one in rules
            for used in one.used()
            for metric in used.parts()
        }
        self.base = self._base()

    # tables

    def _table(self, name: str, why: Iterable[str] = ()) -> ir.Table:
        found = (
            self.data.get(name)
            if isinstance(self.data, dict)
            else self.data.table(name)
            if self.data.has(name)
            else None
        )
        if found is None:
            has = list(self.data) if isinstance(self.data, dict) else self.data.tables
            from growth.errors import DataError

            msg = f"table {name!r} is not there; there are {list(has)}; add it, which"
            msg = f"{msg} the tags {sorted(why)} need.{suggest(name, has)}"
            raise DataError(msg, code="table_not_found")
        return as_table(found)

    def _has(self, name: str) -> bool:
        if isinstance(self.data, dict):
            return name in self.data
        return bool(self.data.has(name))

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
            columns |= {"order_id"} if metric.net and self._has("refunds") else set()
        return columns, tags

    def group(self, name: str) -> _Group:
        """Return what is asked of one table, rows after `as_of` left out."""
        if name not in self.groups:
            columns, tags = self._need(name)
            table = self._table(name, tags)
            need_columns(table, sorted(columns), unlocks=f"the tags {sorted(tags)}")
            optional = {"template_id", "errcode", IDS.get(name, "")}
            if any(m.net for m, _, _ in self.pairs if m.of == name):
                optional |= {"refund_fen"}
            kept = [c for c in table.columns if c in columns | optional]
            table = table.select(*kept)
            table = table.filter(
                table[self.user].notnull(),
                self.before(table[TIMES[name]], max(self.ends.values())),
            )
            table = self._net(name, table)
            zones = {
                tz: local_day(table[TIMES[name]], tz)
                for metric, tz, _ in self.pairs
                if metric.of == name and metric.op in BY_DAY
            }
            days = {_day_of(tz): day for tz, day in zones.items()}
            self.groups[name] = _Group(table.mutate(days) if days else table)
        return self.groups[name]

    def _net(self, name: str, table: ir.Table) -> ir.Table:
        """Add money after refunds, dated where there is a table of them."""
        zones = {tz for m, tz, _ in self.pairs if m.net}
        if name != "orders" or not zones:
            return table
        if not self._has("refunds"):
            off = table.refund_fen.fill_null(0) if "refund_fen" in table.columns else 0
            return table.mutate({_net_of(tz): table.paid_fen - off for tz in zones})
        refunds = self._table("refunds")
        need_columns(refunds, ["order_id", "ts", "amount_fen"], unlocks="net amounts")
        sums = {
            f"off_{i}": refunds.amount_fen.sum(
                where=self.before(refunds.ts, self.ends[tz])
            )
            for i, tz in enumerate(sorted(zones))
        }
        off = refunds.group_by(growth_order=refunds.order_id).agg(**sums)
        joined = table.left_join(off, table.order_id == off.growth_order)
        nets = {
            _net_of(tz): (joined.paid_fen - joined[f"off_{i}"].fill_null(0)).cast(
                "int64"
            )
            for i, tz in enumerate(sorted(zones))
        }
        return joined.mutate(nets).drop("growth_order", *sums)

    # rows that count

    @staticmethod
    def before(time: ir.Value, end: int) -> ir.BooleanValue:
        """Return whether a time lies before an instant, without arithmetic on rows."""
        return time < _moment(time, end)

    @staticmethod
    def since(time: ir.Value, start: int) -> ir.BooleanValue:
        """Return whether a time lies at or after an instant."""
        return time >= _moment(time, start)

    def chosen(self, metric: Metric, tz: str) -> ir.BooleanValue | None:
        """Return which rows count for a metric; None is all of them."""
        table = self.group(metric.of).table
        tests = []
        time = table[TIMES[metric.of]]
        if self.ends[tz] != max(self.ends.values()):
            tests.append(self.before(time, self.ends[tz]))
        if metric.last is not None:
            tests.append(self.since(time, self.start(metric.last, tz)))
        if metric.where is not None:
            tests.append(metric.where.to_ibis(table))
        return reduce(and_, tests) if tests else None

    def start(self, last: int, tz: str) -> int:
        """Return where a window of local days begins."""
        return started(self.as_of, last - 1, tz)

    # measures of the one group-by

    def measure(
        self, name: str, key: tuple[object, ...], make: Callable[[], ir.Value]
    ) -> str:
        """Return the column of a measure; equal ones are asked for once."""
        told = f"{name}:{key!r}"
        if told not in self.names:
            self.names[told] = f"growth_{len(self.names)}"
            self.group(name).measures[self.names[told]] = make()
        return self.names[told]

    def _ask(
        self,
        what: str,
        metric: Metric,
        tz: str,
        make: Callable[[ir.Table, ir.BooleanValue | None], ir.Value],
        *more: object,
    ) -> str:
        """Ask for a measure over the rows a metric counts."""
        key = (what, metric.where, metric.last, self._zone(metric, tz), *more)
        table = self.group(metric.of).table
        return self.measure(
            metric.of, key, lambda: make(table, self.chosen(metric, tz))
        )

    def _zone(self, metric: Metric, tz: str) -> str:
        """Return the zone, where it makes a difference to the rows that count."""
        alike = self.ends[tz] == max(self.ends.values()) and metric.last is None
        return "" if alike else tz

    def amount(self, metric: Metric, tz: str) -> str:
        """Return the column a metric reads."""
        return _net_of(tz) if metric.net else metric.col

    def rows(self, metric: Metric, tz: str) -> str:
        """Ask for the number of rows."""
        return self._ask("rows", metric, tz, lambda t, w: t.count(where=w))

    def latest(self, metric: Metric, tz: str) -> str:
        """Ask for the last instant."""
        time = TIMES[metric.of]
        return self._ask("latest", metric, tz, lambda t, w: t[time].max(where=w))

    def earliest(self, metric: Metric, tz: str) -> str:
        """Ask for the first instant."""
        time = TIMES[metric.of]
        return self._ask("earliest", metric, tz, lambda t, w: t[time].min(where=w))

    def summed(self, metric: Metric, tz: str, *, above: bool = False) -> str:
        """Ask for the sum of the column, of amounts above 0 only where asked."""
        col = self.amount(metric, tz)

        def make(t: ir.Table, w: ir.BooleanValue | None) -> ir.Value:
            own = t[col] > 0 if above else None
            # DuckDB's sum is wider than Ibis believes, and all after it would be slow
            total = aggregate_builtin("sum", "decimal(38, 0)")
            rows = _both(w, own)
            told = total(t[col]) if rows is None else total(t[col], where=rows)
            return told.cast("int64")

        return self._ask("sum", metric, tz, make, col, above)

    def known(self, metric: Metric, tz: str, *, above: bool = False) -> str:
        """Ask for the number of rows whose amount is known, or above 0."""
        col = self.amount(metric, tz)

        def make(t: ir.Table, w: ir.BooleanValue | None) -> ir.Value:
            own = t[col] > 0 if above else t[col].notnull()
            return t.count(where=_both(w, own))

        return self._ask("known", metric, tz, make, col, above)

    def distinct_days(self, metric: Metric, tz: str) -> str:
        """Ask for the number of local days with a row."""
        name = _day_of(tz)
        return self._ask("days", metric, tz, lambda t, w: t[name].nunique(where=w), tz)

    def extreme(self, metric: Metric, tz: str) -> str:
        """Ask for a column's smallest or largest value."""
        col, op = self.amount(metric, tz), metric.op

        def make(t: ir.Table, w: ir.BooleanValue | None) -> ir.Value:
            value = t[col]
            if value.type().is_floating():
                w = _both(w, ~value.isnan())
            return value.min(where=w) if op == "min" else value.max(where=w)

        return self._ask(op, metric, tz, make, col)

    def edge(self, metric: Metric, tz: str) -> str:
        """Ask for a column's value on the first or last row, ties by id."""

        def make(t: ir.Table, w: ir.BooleanValue | None) -> ir.Value:
            import ibis

            value = t[metric.col]
            if value.type().is_floating():
                value = value.isnan().ifelse(ibis.null().cast(value.type()), value)
            name = IDS.get(metric.of, "")
            ids = t[name].fill_null("") if name in t.columns else ibis.literal("")
            parts = {
                "us": epoch_us(t[TIMES[metric.of]]),
                "id": ids,
                "known": value.notnull().cast("int8"),
                "value": value,
            }
            row = ibis.struct(parts)
            pick = aggregate_builtin(
                "min" if metric.op == "first" else "max", str(row.type())
            )
            told = pick(row) if w is None else pick(row, where=w)
            return told["value"]

        return self._ask(metric.op, metric, tz, make, metric.col)

    # one post-processing a metric: measures in, the metric out

    def plan(self, metric: Metric, one: Tag) -> Callable[[ir.Table], ir.Value]:
        """Return what makes a metric of the joined measures."""
        counted = {
            "count": self.rows,
            "distinct_days": self.distinct_days,
            "distinct": self.distinct,
            "sum": self.summed,
        }
        if metric.op in counted:
            return _zero(counted[metric.op](metric, one.tz))
        found = {
            "min": self.extreme,
            "max": self.extreme,
            "first": self.edge,
            "last": self.edge,
        }
        if metric.op in found:
            return _plain(found[metric.op](metric, one.tz))
        special: Callable[[Metric, Tag], Callable[[ir.Table], ir.Value]]
        special = getattr(self, f"_{metric.op}")
        return special(metric, one)

    def distinct(self, metric: Metric, tz: str) -> str:
        """Ask for the number of different known values."""
        made = _distinct(metric.col)
        return self._ask("distinct", metric, tz, made, metric.col)

    def _mean(self, metric: Metric, one: Tag) -> Callable[[ir.Table], ir.Value]:
        total, n = self.summed(metric, one.tz), self.known(metric, one.tz)
        return lambda t: _floor_ratio(t[total], t[n])

    def _recency_days(self, metric: Metric, one: Tag) -> Callable[[ir.Table], ir.Value]:
        return self._silence(self.latest(metric, one.tz), one.tz)

    def _silence(self, column: str, tz: str) -> Callable[[ir.Table], ir.Value]:
        return lambda t: (self.day - local_day(t[column], tz)).cast("int64")

    def _lifecycle(self, metric: Metric, one: Tag) -> Callable[[ir.Table], ir.Value]:
        this, before, earlier, complete = periods(self.as_of, metric.period, one.tz)
        time = TIMES[metric.of]

        def any_in(start: int, end: int) -> str:
            def make(t: ir.Table, w: ir.BooleanValue | None) -> ir.Value:
                inside = self.since(t[time], start) & self.before(t[time], end)
                return t.count(where=_both(w, inside))

            return self._ask("within", metric, one.tz, make, start, end)

        first = self.earliest(metric, one.tz)
        now = any_in(this, self.ends[one.tz])
        prior, older = any_in(before, this), any_in(earlier, before)

        def state(t: ir.Table) -> ir.Value:
            import ibis

            def told(start: int, active: ir.Value, prior: ir.Value) -> ir.Value:
                new = self.since(t[first], start)
                return ibis.cases(
                    (t[first].isnull(), ibis.null().cast("string")),
                    (active & new, ibis.literal("new")),
                    (active & prior, ibis.literal("returning")),
                    (active, ibis.literal("resurrecting")),
                    (prior, ibis.literal("dormant")),
                    else_=ibis.literal("asleep"),
                )

            in_this, in_prior, in_older = t[now] > 0, t[prior] > 0, t[older] > 0
            settled = told(this, in_this, in_prior)
            if complete:
                return settled
            return in_this.ifelse(settled, told(before, in_prior, in_older))

        return state

    def _rfm(self, metric: Metric, one: Tag) -> Callable[[ir.Table], ir.Value]:
        tz, key = one.tz, yardstick(metric, one.tz, one.population)
        days = self._silence(self.latest(metric, tz), tz)
        rows, money = self.rows(metric, tz), self.summed(metric, tz)
        bins = metric.bins
        raw = {
            "r": days,
            "f": lambda t: (t[rows] > 0).ifelse(t[rows], _none()),
            "m": lambda t: (t[rows] > 0).ifelse(t[money].fill_null(0), _none()),
        }
        self._raw(metric, one, raw)
        for part in raw:
            self.score_column(key, part, bins)

        def scored(t: ir.Table) -> ir.Value:
            r = bins + 1 - self.score(t, key, "r", bins)
            f, m = self.score(t, key, "f", bins), self.score(t, key, "m", bins)
            match metric.part:
                case "r":
                    return r
                case "f":
                    return f
                case "m":
                    return m
                case "fm":
                    return floor_divide((f + m + 1).cast("int64"), 2)
                case "code":
                    return r.cast("string") + f.cast("string") + m.cast("string")
            return _rfm_name(r, floor_divide((f + m + 1).cast("int64"), 2))

        return scored

    def _quantile(self, metric: Metric, one: Tag) -> Callable[[ir.Table], ir.Value]:
        inner = self.plan(metric.metric, one)  # type: ignore[arg-type]
        key = yardstick(metric, one.tz, one.population)
        self._raw(metric, one, {"cuts": inner})
        self.score_column(key, "cuts", metric.bins)
        return lambda t: self.score(t, key, "cuts", metric.bins)

    def _overdue(self, metric: Metric, one: Tag) -> Callable[[ir.Table], ir.Value]:
        silent = self._silence(self.latest(metric, one.tz), one.tz)
        days = self.distinct_days(metric, one.tz)
        usual = f"growth_usual_{len(self.extras)}"
        gaps = self._gaps(metric, one.tz)
        self.extras.append(_usual_gap(gaps, self.user, metric.p, usual))
        key = yardstick(metric, one.tz, one.population)
        given = self.given(key, metric)
        if not given:
            self.yard_tables[key] = (metric, one, {"gap": gaps})
        shop = self.yard_column(key, "gap", 0)

        def late(t: ir.Table) -> ir.Value:
            gap = self.context.yards[key]["gap"] if given else None  # type: ignore[union-attr]
            usual_here = t[shop] if not given else _none() if gap is None else gap
            own = (t[days] >= 3).ifelse(t[usual], usual_here)
            return silent(t) > own

        return late

    def _gaps(self, metric: Metric, tz: str) -> ir.Table:
        """Return days between purchases, a row each."""
        import ibis

        group = self.group(metric.of)
        chosen = self.chosen(metric, tz)
        rows = group.table if chosen is None else group.table.filter(chosen)
        day = local_day(rows[TIMES[metric.of]], tz)
        days = rows.select(self.user, growth_day=day).distinct()
        order = ibis.window(group_by=days[self.user], order_by=days.growth_day)
        gap = (days.growth_day - days.growth_day.lag().over(order)).cast("int64")
        found = days.mutate(growth_gap=gap)
        return found.filter(found.growth_gap.notnull())

    def _model(self, metric: Metric, one: Tag) -> Callable[[ir.Table], ir.Value]:
        tz = one.tz
        days, first = self.distinct_days(metric, tz), self.earliest(metric, tz)
        last = self.latest(metric, tz)
        inputs: dict[str, Callable[[ir.Table], ir.Value]] = {
            "x": lambda t: (t[days] - 1).cast("int64"),
            "t_x": lambda t: (local_day(t[last], tz) - local_day(t[first], tz)).cast(
                "int64"
            ),
            "t": lambda t: (self.day - local_day(t[first], tz)).cast("int64"),
        }
        if metric.op == "clv_fen":
            orders = self.known(metric, tz, above=True)
            money = self.summed(metric, tz, above=True)
            inputs["orders"] = lambda t: t[orders]
            inputs["money"] = lambda t: t[money].fill_null(0)
        column = f"growth_model_{len(self.models)}"
        self.models.append((metric, one, inputs, column))
        return _plain(column)

    _p_alive = _expected_orders = _clv_fen = _model

    def _reach(self, metric: Metric, one: Tag) -> Callable[[ir.Table], ir.Value]:
        group = self.group("messages")
        chosen = self.chosen(metric, one.tz)
        rows = group.table if chosen is None else group.table.filter(chosen)
        value = f"growth_reach_{len(self.extras)}"
        found = standings(
            rows, self.ends[one.tz], user_col=self.user,
            max_per_week=metric.max_per_week,
        )  # fmt: skip
        self.extras.append(found.select(self.user, **{value: reach_text(found)}))
        return lambda t: t[value].fill_null("none")

    def _sequence(self, metric: Metric, one: Tag) -> Callable[[ir.Table], ir.Value]:
        return self._ordered(metric, one, _sequence)

    def _without(self, metric: Metric, one: Tag) -> Callable[[ir.Table], ir.Value]:
        return self._ordered(metric, one, _without)

    def _ordered(
        self, metric: Metric, one: Tag, make: Callable[..., ir.Table]
    ) -> Callable[[ir.Table], ir.Value]:
        group = self.group("events")
        column = f"growth_order_{len(self.extras)}"
        table = group.table
        keep = table.event.isin(list(dict.fromkeys(metric.steps)))
        if self.ends[one.tz] != max(self.ends.values()):
            keep &= self.before(table.ts, self.ends[one.tz])
        if metric.where is not None:
            keep &= metric.where.to_ibis(table)
        rows = table.filter(keep)
        start = self.start(metric.last, one.tz) if metric.last is not None else None
        self.extras.append(
            make(rows, metric, self.user, start, self.ends[one.tz], column)
        )
        return lambda t: _sure(t[column])

    # yardsticks

    def given(self, key: str, metric: Metric) -> bool:
        """Return whether the context holds a yardstick; a frozen one must be there."""
        if self.context is not None and key in self.context.yards:
            return True
        if metric.cuts == "frozen" and not self.freezing:
            raise need_context(metric)
        return False

    def _raw(
        self,
        metric: Metric,
        one: Tag,
        raw: Mapping[str, Callable[[ir.Table], ir.Value]],
    ) -> None:
        """Note the numbers that are scored, under names of their own."""
        key = yardstick(metric, one.tz, one.population)
        for part, make in raw.items():
            self.raws[key, part] = make
        if not self.given(key, metric):
            self.yard_raws[key] = (metric, one, tuple(raw))

    def raw_column(self, key: str, part: str) -> str:
        """Return the column that holds a number to be scored."""
        return f"growth_raw_{list(self.raws).index((key, part))}"

    def yard_column(self, key: str, part: str, k: int) -> str:
        """Return the column that holds one cut point."""
        name = f"{key}:{part}:{k}"
        return self.names.setdefault(name, f"growth_cut_{len(self.names)}")

    def score(self, t: ir.Table, key: str, part: str, bins: int) -> ir.Value:
        """Return 1 plus the number of cut points below the value."""
        return t[self.score_column(key, part, bins)]

    def score_column(self, key: str, part: str, bins: int) -> str:
        """Return the column of a score; a column, or it is written out at each use."""
        names = self.scores.setdefault((key, part, bins), len(self.scores))
        return f"growth_score_{names}"

    def _scored(self, t: ir.Table, key: str, part: str, bins: int) -> ir.Value:
        value = t[self.raw_column(key, part)]
        if self.given_cuts(key):
            cuts = [
                _integer(cut)
                for cut in self.context.yards[key][part]  # type: ignore[union-attr]
            ]
        else:
            cuts = [t[self.yard_column(key, part, k)] for k in range(bins - 1)]
        above = ((cut < value).cast("int64") for cut in cuts)
        return reduce(lambda a, b: a + b, above, value - value + 1)

    def given_cuts(self, key: str) -> bool:
        """Return whether cut points are numbers from the context."""
        return self.context is not None and key in self.context.yards

    def _base(self) -> ir.Table:
        """Return one row a user: every measure, every raw number to be scored."""
        self.raws: dict[tuple[str, str], Callable[[ir.Table], ir.Value]] = {}
        self.scores: dict[tuple[str, str, int], int] = {}
        self.yard_raws: dict[str, tuple[Metric, Tag, tuple[str, ...]]] = {}
        self.yard_tables: dict[str, tuple[Metric, Tag, dict[str, ir.Table]]] = {}
        self.models: list[
            tuple[Metric, Tag, dict[str, Callable[[ir.Table], ir.Value]], str]
        ] = []
        for one in self.rules:
            for metric in one.used():
                key = self.key(metric, one)
                if key not in self.posts:
                    self.posts[key] = self.plan(metric, one)
            for name in PEOPLE[one.population]:
                if (name == "events" and not self._has("events")) or (
                    name == "orders" and not self._has("orders")
                    and self._has("events")
                ):  # fmt: skip
                    continue  # seen: whatever tells that a user was there
                self.met(name)
        table = self._joined()
        for extra in self.extras:
            renamed = extra.rename(growth_extra=self.user)
            table = table.left_join(
                renamed, table[self.user] == renamed.growth_extra
            ).drop("growth_extra")
        raws = {self.raw_column(*key): make(table) for key, make in self.raws.items()}
        return table.mutate(raws) if raws else table

    @property
    def one_end(self) -> bool:
        """Whether all tags' days end at one instant."""
        return len(set(self.ends.values())) == 1

    def met(self, name: str) -> str:
        """Ask who has a row in a table: a count, or the first instant of it."""
        table = self.group(name).table
        if self.one_end:  # rows after it are gone: whoever is counted was there
            return self.measure(name, ("rows", None, None, ""), table.count)
        return self.measure(name, ("met",), table[TIMES[name]].min)

    def _joined(self) -> ir.Table:
        """Group each table once and join them by user, none left out."""
        made = [
            group.table.group_by(self.user).agg(**group.measures)
            for group in self.groups.values()
            if group.measures
        ]
        table = made[0]
        for other in made[1:]:
            right = other.rename(growth_right=self.user)
            both = table.outer_join(right, table[self.user] == right.growth_right)
            user = both[self.user].coalesce(both.growth_right)
            table = both.mutate(**{self.user: user}).drop("growth_right")
        return table

    def people(self, t: ir.Table, one: Tag) -> ir.BooleanValue:
        """Return who is of a tag's population."""
        key = ("rows", None, None, "") if self.one_end else ("met",)
        columns = [
            t[self.names[f"{name}:{key!r}"]]
            for name in PEOPLE[one.population]
            if f"{name}:{key!r}" in self.names
        ]
        if self.one_end:
            return reduce(or_, (column.notnull() for column in columns))
        end = self.ends[one.tz]
        return reduce(or_, (_sure(self.before(column, end)) for column in columns))

    def _anybody(self, t: ir.Table) -> ir.Table:
        """Leave out users of no tag's population."""
        asked = sum(bool(group.measures) for group in self.groups.values())
        if asked == 1 and self.one_end:
            return t
        alike = {(one.population, one.tz): one for one in self.rules}
        return t.filter(reduce(or_, (self.people(t, one) for one in alike.values())))

    def _cuts(self) -> ir.Table | None:
        """Return one row with every cut point, each a member of the data."""
        found: list[ir.Table] = []
        for key, (metric, one, parts) in self.yard_raws.items():
            members = self.base.filter(self.people(self.base, one))
            for part in parts:
                column = self.raw_column(key, part)
                found.append(
                    _cut_table(
                        members,
                        column,
                        [
                            (self.yard_column(key, part, k), k + 1, metric.bins)
                            for k in range(metric.bins - 1)
                        ],
                    )
                )
        for key, (metric, _, tables) in self.yard_tables.items():
            found.append(
                _cut_table(
                    tables["gap"],
                    "growth_gap",
                    [(self.yard_column(key, "gap", 0), metric.p, 100)],
                )
            )
        if not found:
            return None
        return reduce(lambda a, b: a.cross_join(b), found)

    def yards(self) -> dict[str, dict[str, Any]]:
        """Return every yardstick, in numbers."""
        cuts = self._cuts()
        row = {} if cuts is None else fetch(cuts, "taking yardsticks").to_pylist()[0]
        found: dict[str, dict[str, Any]] = {}
        for key, (metric, _, parts) in self.yard_raws.items():
            told = {
                part: [
                    row[self.yard_column(key, part, k)] for k in range(metric.bins - 1)
                ]
                for part in parts
            }
            found[key] = {p: [] if None in v else v for p, v in told.items()}
        for key in self.yard_tables:
            found[key] = {"gap": row[self.yard_column(key, "gap", 0)]}
        for metric, one, inputs, _ in self.models:
            key = yardstick(metric, one.tz, one.population)
            if key not in found:
                found[key] = self._fit(self._histories(one, inputs, metric))
        return found

    # models

    def _histories(
        self,
        one: Tag,
        inputs: Mapping[str, Callable[[ir.Table], ir.Value]],
        metric: Metric,
    ) -> dict[str, Any]:
        """Return distinct histories of buyers, counted: what a fit needs."""
        members = self.base.filter(self.people(self.base, one))
        rows = members.select(**{name: make(members) for name, make in inputs.items()})
        rows = rows.filter(rows.x >= 0)
        counted = rows.group_by(list(inputs)).agg(weight=rows.count())
        found = fetch(counted, f"reading purchases for {metric.op}")
        found = found.sort_by([(name, "ascending") for name in inputs])
        return {
            name: found.column(name).to_numpy().astype("int64")
            for name in found.column_names
        }

    def _fit(self, histories: Mapping[str, Any]) -> dict[str, Any]:
        from growth.segments.models import fitted

        yard, notices = fitted(
            histories["x"],
            histories["t_x"],
            histories["t"],
            histories["weight"],
            orders=histories.get("orders"),
            money=histories.get("money"),
        )
        self.notices += notices
        return yard

    def _with_models(self, table: ir.Table) -> ir.Table:
        """Add what models say of each history, worked out once a history."""
        import numpy as np
        import pyarrow as pa

        from growth.segments.models import answer

        for metric, one, inputs, column in self.models:
            key = yardstick(metric, one.tz, one.population)
            given = self.given(key, metric)
            histories = self._histories(one, inputs, metric)
            yard = (
                self.context.yards[key]  # type: ignore[union-attr]
                if given
                else self._fit(histories)
            )
            zero = np.zeros(1, dtype=np.int64)
            told = answer(
                metric,
                yard,
                histories["x"],
                histories["t_x"],
                histories["t"],
                histories.get("orders", zero),
                histories.get("money", zero),
            )
            names = {name: f"growth_h_{name}" for name in inputs}
            rows = {names[name]: histories[name] for name in inputs} | {column: told}
            answers = as_table(pa.table(rows), connection=backend_of(table))
            same = [make(table) == answers[names[n]] for n, make in inputs.items()]
            table = table.left_join(answers, same).drop(*names.values())
        return table

    # tags

    def key(self, metric: Metric, one: Tag) -> str:
        """Return what a metric of a tag is known by; equal ones are one."""
        zone = f"{one.tz}|{one.population}"
        return f"{zone}|{metric.key}"

    def column(self, metric: Metric, one: Tag) -> str:
        """Return the column that holds a metric of a tag."""
        return f"growth_metric_{list(self.posts).index(self.key(metric, one))}"

    def tagged(self) -> ir.Table:
        """Return every user with measures, metrics and tags."""
        table = self._anybody(self.base)
        cuts = self._cuts()
        if cuts is not None:
            table = table.cross_join(cuts)
        table = self._with_models(table)
        if self.scores:
            table = table.mutate(
                {
                    self.score_column(*asked): self._scored(table, *asked)
                    for asked in self.scores
                }
            )
        table = table.mutate(
            {
                f"growth_metric_{i}": make(table)
                for i, make in enumerate(self.posts.values())
            }
        )
        for level in _levels(self.rules):
            table = table.mutate({one.name: self._tag(table, one) for one in level})
        return table

    def _tag(self, table: ir.Table, one: Tag) -> ir.Value:
        import ibis

        tests = [(self._test(table, v.when, one), v.name) for v in one.values]  # type: ignore[arg-type]
        told = ibis.cases(
            *((test, ibis.literal(name)) for test, name in tests),
            else_=ibis.literal(one.default),
        )
        return self.people(table, one).ifelse(told, ibis.null().cast("string"))

    def _test(self, table: ir.Table, when: When, one: Tag) -> ir.BooleanValue:
        def column(leaf: When) -> ir.Value:
            return table[leaf.tag or self.column(leaf.metric, one)]  # type: ignore[arg-type]

        return _joined_test(table, when, column)


# expressions


def holds(table: ir.Table, when: When) -> ir.BooleanValue:
    """Return whether a condition over tags holds, of a table with a column a tag.

    Parameters
    ----------
    table : ibis.Table
        What `tag` gives.
    when : When
        A condition that names tags only.

    Returns
    -------
    ibis boolean
        False where a tag is unknown, so that ``~a`` stays within the population.

    Raises
    ------
    ParameterError
        If it compares a metric (code ``segment_of_metrics``).
    ColumnNotFoundError
        If a tag has no column.
    """
    for leaf in when.leaves():
        if leaf.metric is not None:
            msg = f"the segment compares the metric {leaf.metric.op}; a segment must be"
            msg = f"{msg} over tags; make it a tag first."
            raise ParameterError(msg, code="segment_of_metrics")
        need_columns(table, [leaf.tag], unlocks="the segment")
    return _sure(_joined_test(table, when, lambda leaf: table[leaf.tag]))


def _joined_test(
    table: ir.Table, when: When, column: Callable[[When], ir.Value]
) -> ir.BooleanValue:
    """Build a condition over a table whose columns `column` finds."""
    import ibis

    if when.op == "not":
        return ~_joined_test(table, when.parts[0], column)
    if when.op in ("all", "any"):
        parts = [_joined_test(table, part, column) for part in when.parts]
        join = and_ if when.op == "all" else or_
        return reduce(join, parts) if parts else ibis.literal(value=True)
    return _compared(column(when), when)


def _levels(rules: Rules) -> list[list[Tag]]:
    """Return tags in steps: each step rests on those before it only."""
    depth: dict[str, int] = {}
    for name in rules.order:
        below = [depth[other] for other in rules[name].refers()]
        depth[name] = 1 + max(below, default=-1)
    found: list[list[Tag]] = [[] for _ in range(1 + max(depth.values()))]
    for name in rules.order:
        found[depth[name]].append(rules[name])
    return found


def _moment(time: ir.Value, us: int) -> ir.Value:
    """Return an instant as the column's own type; a date by the day it falls into."""
    import ibis

    kind = time.type()
    moment = EPOCH + timedelta(microseconds=us)
    if kind.is_date():
        # `us` is a local midnight: the date that begins there, in whatever zone
        return ibis.literal((moment + timedelta(hours=12)).date())
    if kind.timezone is None:
        return ibis.literal(moment.replace(tzinfo=None), "timestamp")
    return ibis.literal(moment, "timestamp('UTC')")


def _integer(value: int) -> ir.Value:
    import ibis

    return ibis.literal(int(value), "int64")


def _none() -> ir.Value:
    import ibis

    return ibis.null().cast("int64")


def _both(a: ir.BooleanValue | None, b: ir.BooleanValue | None) -> Any:  # noqa: ANN401
    if a is None or b is None:
        return b if a is None else a
    return a & b


def _sure(test: ir.BooleanValue) -> ir.BooleanValue:
    """Return a test in which unknown is false."""
    import ibis

    return test.fill_null(ibis.literal(value=False))


def _zero(column: str) -> Callable[[ir.Table], ir.Value]:
    return lambda t: t[column].fill_null(0)


def _plain(column: str) -> Callable[[ir.Table], ir.Value]:
    return lambda t: t[column]


def _distinct(column: str) -> Callable[[ir.Table, Any], ir.Value]:
    def make(t: ir.Table, w: ir.BooleanValue | None) -> ir.Value:
        value = t[column]
        if value.type().is_floating():
            w = _both(w, ~value.isnan())
        return value.nunique(where=w)

    return make


def _day_of(tz: str) -> str:
    return f"growth_day_{tz}"


def _net_of(tz: str) -> str:
    return f"growth_net_{tz}"


def _floor_ratio(total: ir.Value, n: ir.Value) -> ir.Value:
    """Return a mean rounded down, in integers; NULL of nothing."""
    some = n.nullif(0)
    rest = ((total % some) + some) % some
    return ((total - rest) / some).cast("int64")


def _compared(column: ir.Value, when: When) -> ir.BooleanValue:
    import ibis

    value = when.value
    listed = value if isinstance(value, tuple) else (value,)
    ready = [
        ibis.literal(v.astimezone(UTC), "timestamp('UTC')")
        if isinstance(v, datetime)
        else ibis.literal(v)
        for v in listed
    ]
    match when.op:
        case "known":
            return column.notnull() if value else column.isnull()
        case "is":
            return column if value else ~column
        case "in":
            return column.isin(ready)
        case "between":
            return (column >= ready[0]) & (column <= ready[1])
    found: ir.BooleanValue = COMPARE[when.op](column, ready[0])
    return found


def _rfm_name(r: ir.Value, fm: ir.Value) -> ir.Value:
    """Return the segment of scores by its place in a list of all of them."""
    import ibis

    names = [name_of_rfm(i, j) for i in range(1, 6) for j in range(1, 6)]
    return ibis.array(names)[(r * 5 + fm - 6).cast("int64")]


def _cut_table(
    table: ir.Table, column: str, asks: Sequence[tuple[str, int, int]]
) -> ir.Table:
    """Return one row: for (name, k, b) the smallest value with share >= k / b."""
    import ibis

    known = table.filter(table[column].notnull())
    counts = known.group_by(growth_value=known[column]).agg(growth_users=known.count())
    running = ibis.window(order_by=counts.growth_value, rows=(None, 0))
    counts = counts.mutate(
        growth_up=counts.growth_users.sum().over(running).cast("int64"),
        growth_all=counts.growth_users.sum().over(ibis.window()).cast("int64"),
    )
    return counts.agg(
        **{
            name: counts.growth_value.min(
                where=counts.growth_up * b >= k * counts.growth_all
            )
            for name, k, b in asks
        }
    )


def _usual_gap(gaps: ir.Table, user: str, p: int, name: str) -> ir.Table:
    """Return each buyer's usual days between purchases: a member of them."""
    import ibis

    order = ibis.window(group_by=gaps[user], order_by=gaps.growth_gap)
    whole = ibis.window(group_by=gaps[user])
    ranked = gaps.mutate(
        growth_rank=ibis.row_number().over(order) + 1,
        growth_n=gaps.growth_gap.count().over(whole),
    )
    wanted = floor_divide((ranked.growth_n * p + 99).cast("int64"), 100)
    return ranked.group_by(user).agg(
        **{name: ranked.growth_gap.min(where=ranked.growth_rank == wanted)}
    )


def _without(
    rows: ir.Table, metric: Metric, user: str, start: int | None, end: int, name: str
) -> ir.Table:
    """Return who did A and no B in (t, t + within], by the A that counts."""
    import ibis

    one, two = metric.steps
    within = (metric.within or 0) * DAY_US
    us = epoch_us(rows.ts)
    first = rows.event == one
    if start is not None:
        first &= us >= start
    second = rows.event == two
    for column in metric.hold:
        second &= rows[column].notnull()
    rows = rows.mutate(growth_us=us, growth_a=first, growth_b=_sure(second))
    ahead = ibis.window(
        group_by=[rows[user], *(rows[column] for column in metric.hold)],
        order_by=rows.growth_us,
        range=(1, within),
    )
    rows = rows.mutate(growth_after=rows.growth_b.cast("int8").max().over(ahead))
    left = (
        rows.growth_a
        & (rows.growth_after.fill_null(0) == 0)
        & (end - rows.growth_us >= within)
    )
    if metric.anchor == "any":
        told = rows.group_by(user).agg(growth_left=rows.count(where=left))
        return told.select(user, **{name: told.growth_left > 0})
    early = metric.anchor == "first"
    us = rows.growth_us
    told = rows.group_by(user).agg(
        growth_asked=us.min(where=rows.growth_a)
        if early
        else us.max(where=rows.growth_a),
        growth_left=us.min(where=left) if early else us.max(where=left),
    )
    return told.select(user, **{name: told.growth_asked == told.growth_left})


def _sequence(
    rows: ir.Table, metric: Metric, user: str, start: int | None, end: int, name: str
) -> ir.Table:
    """Carry the latest start through the steps: each row fills one of them."""
    import ibis

    del end
    within = (metric.within or 0) * DAY_US
    steps = metric.steps
    none = ibis.null().cast("int64")
    us = epoch_us(rows.ts)
    places = {step: i for i, step in reversed(list(enumerate(steps)))}
    place = ibis.cases(*((rows.event == step, i) for step, i in places.items()))
    begins = rows.event == steps[0]
    if start is not None:
        begins &= us >= start
    rows = rows.mutate(growth_us=us, growth_place=place.cast("int64"))
    rows = rows.mutate(growth_s0=begins.ifelse(rows.growth_us, none))
    if metric.anchor:
        whole = ibis.window(group_by=rows[user])
        starts = rows.growth_s0
        only = starts.min() if metric.anchor == "first" else starts.max()
        rows = rows.mutate(growth_only=only.over(whole))
        same = rows.growth_s0 == rows.growth_only
        rows = rows.mutate(growth_s0=same.ifelse(rows.growth_s0, none))
    before = ibis.window(
        group_by=rows[user],
        order_by=[rows.growth_us, rows.growth_place],
        rows=(None, -1),
    )
    for k, step in enumerate(steps[1:], 1):
        rows = rows.mutate(growth_begun=rows[f"growth_s{k - 1}"].max().over(before))
        fills = (rows.event == step) & (rows.growth_us - rows.growth_begun <= within)
        rows = rows.mutate({f"growth_s{k}": fills.ifelse(rows.growth_begun, none)})
    ended = rows[f"growth_s{len(steps) - 1}"]
    told = rows.group_by(user).agg(growth_done=ended.count())
    return told.select(user, **{name: told.growth_done > 0})


# reach


def standings(
    messages: TableLike,
    end: int,
    *,
    user_col: str = "user_id",
    max_per_week: int | None = None,
    long_term: Sequence[str] = (),
) -> ir.Table:
    """Return where each user of the ledger stands towards each channel.

    Parameters
    ----------
    messages : table
        The canonical ``messages``.
    end : int
        The instant, in microseconds since 1970; rows at or after it do not count.
    user_col : str, default "user_id"
        Who.
    max_per_week : int, optional
        The merchant's own cap.
    long_term : sequence of str, optional
        Templates that may be sent again and again.

    Returns
    -------
    ibis.Table
        One row a user: ``<channel>_reason`` (``open``: eligible), ``<channel>_left``
        and ``<channel>_closes_us`` for each of `growth.segments.reach.CHANNELS`.
    """
    import ibis

    table = as_table(messages)
    need_columns(table, [user_col, "ts", "channel", "action"], unlocks="reach")
    text = ibis.null().cast("string")
    table = table.mutate(
        growth_us=epoch_us(table.ts),
        template_id=table.template_id if "template_id" in table.columns else text,
        errcode=table.errcode if "errcode" in table.columns else text,
    )
    table = table.filter(table.growth_us < end, table[user_col].notnull())
    table = table.mutate(
        template_id=table.template_id.fill_null(""),
        errcode=table.errcode.fill_null(""),
    )
    sent = table.action == "send"
    whole = ibis.window(group_by=table[user_col])
    own = ibis.window(group_by=[table[user_col], table.template_id])

    def latest(test: ir.BooleanValue, window: Any = whole) -> ir.Value:  # noqa: ANN401
        return table.growth_us.max(where=test).over(window).fill_null(-(2**62))

    sub = table.channel == "subscribe"
    cs = table.channel == "customer_service"
    deny = table.action == "deny"
    refuses = deny | (table.errcode == "43101")
    table = table.mutate(
        growth_closed=ibis.greatest(
            latest(sub & deny & (table.template_id == "")), latest(sub & refuses, own)
        ),
        growth_message=latest(cs & (table.action == "user_message")),
        growth_chat=latest(cs & (table.action == "enter_chat")),
    )
    return _standings(table, end, user_col, max_per_week, list(long_term), sent)


def _standings(
    table: ir.Table,
    end: int,
    user: str,
    max_per_week: int | None,
    long_term: list[str],
    sent: ir.BooleanValue,
) -> ir.Table:
    import ibis

    us, action, channel = table.growth_us, table.action, table.channel
    sub, cs = channel == "subscribe", channel == "customer_service"
    sent = action == "send"
    alive = sub & (us > table.growth_closed)
    grants = table.group_by([user, "template_id"]).agg(
        growth_alive=table.count(where=alive & (action == "grant")),
        growth_used=table.count(where=alive & sent),
    )
    left = ibis.greatest(grants.growth_alive - grants.growth_used, 0)
    endless = (
        grants.template_id.isin(long_term) & (grants.growth_alive > 0)
        if long_term
        else ibis.literal(value=False)
    )
    grants = grants.mutate(growth_left=left, growth_endless=endless.cast("int8"))
    sums = grants.group_by(growth_user=grants[user]).agg(
        growth_left=grants.growth_left.sum().cast("int64"),
        growth_endless=grants.growth_endless.max(),
    )

    def last(test: ir.BooleanValue) -> ir.Value:
        return us.max(where=test).fill_null(-(2**62))

    refuses = (action == "deny") | (table.errcode == "43101")
    measures = {
        "sub_grant": last(sub & (action == "grant")),
        "sub_refused": last(sub & refuses),
        "cs_denied": last(cs & (action == "deny")),
        "week": table.count(where=sent & (us >= end - WEEK_US)),
    }
    for kind in ("message", "chat"):
        opened = table[f"growth_{kind}"]
        since = cs & (us >= opened)
        measures |= {
            kind: opened.max(),
            f"{kind}_used": table.count(where=since & sent),
            f"{kind}_shut": table.count(where=since & (table.errcode == "45015")),
            f"{kind}_full": table.count(where=since & (table.errcode == "45047")),
        }
    for name in ("sms", "wecom"):
        mine = channel == name
        measures[f"{name}_given"] = last(mine & (action == "grant"))
        measures[f"{name}_taken"] = last(mine & (action == "deny"))
    found = table.group_by(user).agg(**measures)
    found = found.left_join(sums, found[user] == sums.growth_user).drop("growth_user")
    return _reasons(found, end, user, max_per_week)


def _reasons(t: ir.Table, end: int, user: str, max_per_week: int | None) -> ir.Table:
    """Put what was counted into words: one reason a channel."""
    import ibis

    never = -(2**62)
    none = ibis.null().cast("int64")
    text = ibis.literal
    capped = (
        ibis.literal(value=False) if max_per_week is None else t.week >= max_per_week
    )
    reasons: dict[str, ir.Value] = {}
    lefts: dict[str, ir.Value] = {}
    reasons["subscribe"] = ibis.cases(
        ((t.growth_endless == 1) | (t.growth_left > 0), text("open")),
        ((t.sub_grant == never) & (t.sub_refused == never), text("no_grant")),
        (t.sub_refused >= t.sub_grant, text("denied")),
        else_=text("used_up"),
    )
    lefts["subscribe"] = (t.growth_endless == 1).ifelse(none, t.growth_left)
    windows = {}
    for kind, (length, messages) in zip(
        ("message", "chat"), OPENINGS.values(), strict=True
    ):
        opened = (t[kind] + length > end) & (t[f"{kind}_shut"] == 0)
        free = ibis.greatest(messages - t[f"{kind}_used"], 0)
        free = (t[f"{kind}_full"] > 0).ifelse(0, free)
        windows[kind] = (opened.ifelse(free, -1), t[kind] + length)
    (left_m, shut_m), (left_c, shut_c) = windows.values()
    best = ibis.greatest(left_m, left_c)
    closes = ibis.cases(
        (left_m > left_c, shut_m),
        (left_c > left_m, shut_c),
        else_=ibis.greatest(shut_m, shut_c),
    )
    opened = ibis.greatest(t.message, t.chat)
    reasons["customer_service"] = ibis.cases(
        (t.cs_denied > opened, text("opted_out")),
        (best > 0, text("open")),
        (best == 0, text("used_up")),
        (opened > never, text("window_closed")),
        else_=text("no_window"),
    )
    lefts["customer_service"] = ibis.greatest(best, 0).cast("int64")
    for name in ("sms", "wecom"):
        given, taken = t[f"{name}_given"], t[f"{name}_taken"]
        reasons[name] = ibis.cases(
            (given > taken, text("open")),
            (taken == never, text("not_opted_in")),
            else_=text("opted_out"),
        )
        lefts[name] = none
    shown: dict[str, ir.Value] = {}
    for name, reason in reasons.items():
        stays = reason.isin(["opted_out", "denied"])
        told = (capped & ~stays).ifelse("capped", reason)
        is_open = told == "open"
        shown[f"{name}_reason"] = told
        shown[f"{name}_left"] = is_open.ifelse(lefts[name], _integer(0))
        shown[f"{name}_closes_us"] = (
            is_open.ifelse(closes, none) if name == "customer_service" else none
        )
    return t.select(user, **shown)


def reach_text(table: ir.Table) -> ir.Value:
    """Return the value of the reach tag from `standings`: the cheapest open one."""
    import ibis

    pairs = (
        ("subscribe", "subscribe"),
        ("customer_service", "service"),
        ("sms", "other"),
        ("wecom", "other"),
    )
    return ibis.cases(
        *((table[f"{c}_reason"] == "open", ibis.literal(v)) for c, v in pairs),
        else_=ibis.literal("none"),
    )
