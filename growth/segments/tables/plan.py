"""From measures to metrics to tags: one post-processing an operation."""

from __future__ import annotations

from functools import cached_property, reduce
from operator import add
from typing import TYPE_CHECKING, Any

from growth.engine import fetch, local_day
from growth.engine.dialect import floor_divide
from growth.segments.context import yardstick
from growth.segments.evaluate import overlap_found, periods
from growth.segments.ops import MODELS
from growth.segments.tables import ordered
from growth.segments.tables.expressions import (
    before,
    floor_ratio,
    integer,
    joined_test,
    none,
    rfm_name,
    since,
    sure,
)
from growth.segments.tables.measures import Measures
from growth.segments.tables.modelling import Models
from growth.segments.tables.sources import Sources
from growth.segments.tables.standings import reach_text, standings
from growth.segments.tables.yardsticks import Yardsticks

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    import ibis.expr.types as ir

    from growth.result import Notice
    from growth.segments.context import Context
    from growth.segments.rules import Metric, Rules, Tag, When
    from growth.segments.tables.logs import Log, Logs
    from growth.segments.tables.yardsticks import Make

__all__ = ["Plan"]


class Plan:
    """One set of rules over one set of tables, at one `as_of`.

    Parameters
    ----------
    data, rules, as_of, context, user_col
        As in `growth.segments.tag`.
    freezing : bool, default False
        Whether yardsticks are taken, not used.
    logs : Logs, optional
        Where partials of days are held; every table is read whole without.
    """

    def __init__(
        self,
        data: Any,  # noqa: ANN401
        rules: Rules,
        as_of: date,
        context: Context | None,
        user_col: str,
        *,
        freezing: bool = False,
        logs: Logs | None = None,
    ) -> None:
        self.rules, self.user = rules, user_col
        self.sources = Sources(data, rules, as_of, user_col)
        self.measures = Measures(self.sources)
        self.yards = Yardsticks(context, freezing=freezing)
        self.models = Models(self.yards)
        self.extras: list[Callable[[], ir.Table]] = []
        self.posts: dict[str, Make] = {}
        self.young: dict[str, str] = {}
        for one in rules:
            for metric in one.used():
                key = _key(metric, one)
                if key not in self.posts:
                    self.posts[key] = self._plan(metric, one)
            self.measures.meet(one.population)
        self.logs = logs

    @cached_property
    def held(self) -> dict[str, Log]:
        """What is held of logs, by table, up to date."""
        if self.logs is None:
            return {}
        found = {
            name: self.logs.hold(self.sources, name, asks.values())
            for name, asks in self.measures.asked.items()
        }
        return {name: log for name, log in found.items() if log is not None}

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What fitting said."""
        return tuple(dict.fromkeys(self.models.notices))

    def numbers(self) -> dict[str, dict[str, Any]]:
        """Return every yardstick, in numbers."""
        if not self.yards.asked and not self.models.asked:
            return {}
        people = self.measures.people
        found = self.yards.numbers(self.base, people)
        return found | self.models.numbers(self.base, people)

    def tagged(self) -> ir.Table:
        """Return every user with measures, metrics and tags."""
        people = self.measures.people
        table = self.measures.anybody(self.base)
        cuts = self.yards.cuts(self.base, people)
        if cuts is not None:
            table = table.cross_join(cuts)
        table = self.models.joined(table, self.base, people)
        table = self.yards.with_scores(table)
        table = table.mutate(
            {
                f"growth_metric_{i}": make(table)
                for i, make in enumerate(self.posts.values())
            }
        )
        for level in _levels(self.rules):
            table = table.mutate({one.name: self._tag(table, one) for one in level})
        self._check_disjoint(table)
        return table

    def _check_disjoint(self, table: ir.Table) -> None:
        """Refuse two matches of one user where a tag says there are none."""
        counts = {}
        for one in self.rules:
            if one.disjoint:
                tests = (sure(self._test(table, v.when, one)) for v in one.values)  # type: ignore[arg-type]
                matched = reduce(add, (test.cast("int8") for test in tests))
                twice = self.measures.people(table, one) & (matched > 1)
                counts[one.name] = table.count(where=twice)
        if not counts:
            return
        found = fetch(table.aggregate(**counts), "looking for double matches")
        for name, (n,) in found.to_pydict().items():
            if n:
                raise overlap_found(name, f"{n} users")

    def column(self, metric: Metric, one: Tag) -> str:
        """Return the column that holds a metric of a tag."""
        return f"growth_metric_{list(self.posts).index(_key(metric, one))}"

    def immature(self, table: ir.Table, metric: Metric, one: Tag) -> ir.Value | None:
        """Return whether `without` is false because it is too early to say."""
        column = self.young.get(_key(metric, one))
        return None if column is None else sure(table[column])

    def _tag(self, table: ir.Table, one: Tag) -> ir.Value:
        import ibis

        tests = [(self._test(table, v.when, one), v.name) for v in one.values]  # type: ignore[arg-type]
        told = ibis.cases(
            *((test, ibis.literal(name)) for test, name in tests),
            else_=ibis.literal(one.default),
        )
        if self.measures.alone:
            return told
        people = self.measures.people(table, one)
        return people.ifelse(told, ibis.null().cast("string"))

    def _test(self, table: ir.Table, when: When, one: Tag) -> ir.BooleanValue:
        def column(leaf: When) -> ir.Value:
            return table[leaf.tag or self.column(leaf.metric, one)]  # type: ignore[arg-type]

        return joined_test(table, when, column)

    @cached_property
    def base(self) -> ir.Table:
        """Return one row a user: every measure, every raw number to be scored."""
        table = self.measures.joined(self.held)
        for extra in self.extras:
            renamed = extra().rename(growth_extra=self.user)
            table = table.left_join(
                renamed, table[self.user] == renamed.growth_extra
            ).drop("growth_extra")
        self.extras.clear()  # they know the plan: what it read would outlive it
        return self.yards.with_raws(table)

    # an operation each

    def _plan(self, metric: Metric, one: Tag) -> Make:
        """Return what makes a metric of the joined measures."""
        of, amount, tz = self.measures.of, self.measures.amount, one.tz
        if metric.op in MODELS:
            return self._model(metric, one)
        match metric.op:
            case "count":
                return _zero(of(metric, tz, "rows"))
            case "distinct_days":
                return _zero(self.measures.days(metric, tz))
            case "distinct":
                return _zero(of(metric, tz, "distinct", col=metric.col))
            case "sum":
                return _zero(amount(metric, tz, "sum"))
            case "min" | "max":
                return _plain(amount(metric, tz, metric.op))
            case "first" | "last":
                return _plain(of(metric, tz, metric.op, col=metric.col))
        special: Callable[[Metric, Tag], Make] = getattr(self, f"_{metric.op}")
        return special(metric, one)

    def _mean(self, metric: Metric, one: Tag) -> Make:
        total = self.measures.amount(metric, one.tz, "sum")
        n = self.measures.amount(metric, one.tz, "known")
        return lambda t: floor_ratio(t[total], t[n])

    def _recency_days(self, metric: Metric, one: Tag) -> Make:
        latest, day = self.measures.of(metric, one.tz, "latest"), self.sources.day
        return lambda t: (day - local_day(t[latest], one.tz)).cast("int64")

    def _lifecycle(self, metric: Metric, one: Tag) -> Make:
        this, prior, older, complete = periods(
            self.sources.as_of, metric.period, one.tz
        )
        of, tz = self.measures.of, one.tz
        first = of(metric, tz, "earliest")
        spans = (this, self.sources.ends[tz]), (prior, this), (older, prior)
        in_periods = [of(metric, tz, "within", span=span) for span in spans]

        def state(t: ir.Table) -> ir.Value:
            import ibis

            def told(start: int, active: ir.Value, earlier: ir.Value) -> ir.Value:
                new = since(t[first], start)
                return ibis.cases(
                    (t[first].isnull(), ibis.null().cast("string")),
                    (active & new, ibis.literal("new")),
                    (active & earlier, ibis.literal("returning")),
                    (active, ibis.literal("resurrecting")),
                    (earlier, ibis.literal("dormant")),
                    else_=ibis.literal("asleep"),
                )

            in_this, in_prior, in_older = (t[column] > 0 for column in in_periods)
            settled = told(this, in_this, in_prior)
            if complete:
                return settled
            return in_this.ifelse(settled, told(prior, in_prior, in_older))

        return state

    def _rfm(self, metric: Metric, one: Tag) -> Make:
        key = yardstick(metric, one.tz, one.population)
        rows = self.measures.of(metric, one.tz, "rows")
        money = self.measures.amount(metric, one.tz, "sum")
        raw: dict[str, Make] = {
            "r": self._recency_days(metric, one),
            "f": lambda t: (t[rows] > 0).ifelse(t[rows], none()),
            "m": lambda t: (t[rows] > 0).ifelse(t[money].fill_null(0), none()),
        }
        yards, bins = self.yards, metric.bins
        yards.measure(metric, one, raw)

        def scored(t: ir.Table) -> ir.Value:
            r, f, m = (yards.score(t, key, part, bins) for part in raw)
            r = bins + 1 - r
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
            return rfm_name(r, floor_divide((f + m + 1).cast("int64"), 2))

        return scored

    def _quantile(self, metric: Metric, one: Tag) -> Make:
        inner = self._plan(metric.metric, one)  # type: ignore[arg-type]
        key = yardstick(metric, one.tz, one.population)
        yards = self.yards
        yards.measure(metric, one, {"cuts": inner})
        return lambda t: yards.score(t, key, "cuts", metric.bins)

    def _overdue(self, metric: Metric, one: Tag) -> Make:
        silent = self._recency_days(metric, one)
        days = self.measures.days(metric, one.tz)
        usual = f"growth_usual_{len(self.extras)}"
        rows = self.sources.picked(metric, one.tz)
        gaps = ordered.gaps(rows, metric, self.user, one.tz)
        self.extras.append(lambda: ordered.usual_gap(gaps, self.user, metric.p, usual))
        key = yardstick(metric, one.tz, one.population)
        given = self.yards.given(key, metric)
        shop = "" if given is not None else self.yards.gap(key, metric, gaps)

        def usual_of_shop(t: ir.Table) -> ir.Value:
            if given is None:
                return t[shop]
            return none() if given["gap"] is None else integer(given["gap"])

        def late(t: ir.Table) -> ir.Value:
            own = (t[days] >= 3).ifelse(t[usual], usual_of_shop(t))
            return silent(t) > own

        return late

    def _model(self, metric: Metric, one: Tag) -> Make:
        tz, end = one.tz, self.sources.day
        of, amount = self.measures.of, self.measures.amount
        days = self.measures.days(metric, tz)
        first, last = of(metric, tz, "earliest"), of(metric, tz, "latest")
        inputs: dict[str, Make] = {
            "x": lambda t: (t[days] - 1).cast("int64"),
            "t_x": lambda t: (local_day(t[last], tz) - local_day(t[first], tz)).cast(
                "int64"
            ),
            "t": lambda t: (end - local_day(t[first], tz)).cast("int64"),
        }
        if metric.op == "clv_fen":
            orders = amount(metric, tz, "known_above")
            money = amount(metric, tz, "sum_above")
            inputs["orders"] = lambda t: t[orders]
            inputs["money"] = lambda t: t[money].fill_null(0)
        return _plain(self.models.ask(metric, one, inputs))

    def _reach(self, metric: Metric, one: Tag) -> Make:
        value = f"growth_reach_{len(self.extras)}"
        found = standings(
            self.sources.picked(metric, one.tz),
            self.sources.ends[one.tz],
            user_col=self.user,
            max_per_week=metric.max_per_week,
        )
        told = found.select(self.user, **{value: reach_text(found)})
        self.extras.append(lambda: told)
        return lambda t: t[value].fill_null("none")

    def _ordered(self, metric: Metric, one: Tag) -> Make:
        column = f"growth_order_{len(self.extras)}"
        self.sources.rows("events")  # what is missing is said now
        if metric.op == "without":
            self.young[_key(metric, one)] = f"{column}_young"
        self.extras.append(lambda: self._in_order(metric, one, column))
        return lambda t: sure(t[column])

    def _in_order(self, metric: Metric, one: Tag, column: str) -> ir.Table:
        log = self.held.get("events")
        table = self.sources.rows("events") if log is None else log.rows()
        end = self.sources.ends[one.tz]
        keep = table.event.isin(list(dict.fromkeys(metric.steps)))
        if end != self.sources.end:
            keep &= before(table.ts, end)
        if metric.where is not None:
            keep &= metric.where.to_ibis(table)
        last = metric.last
        start = None if last is None else self.sources.start(last, one.tz)
        make = ordered.sequence if metric.op == "sequence" else ordered.without
        found = make(table.filter(keep), metric, self.user, start, end, column)
        return found if log is None else log.fetched(found)

    _sequence = _without = _ordered


def _key(metric: Metric, one: Tag) -> str:
    """Return what a metric of a tag is known by; equal ones are one."""
    return f"{one.tz}|{one.population}|{metric.key}"


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


def _zero(column: str) -> Make:
    return lambda t: t[column].fill_null(0)


def _plain(column: str) -> Make:
    return lambda t: t[column]
