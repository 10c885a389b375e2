"""All looks of a sequential plan, each read from the table as it stood then."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from growth.abtest.effects import PRIOR
from growth.abtest.history import UnitHistory
from growth.abtest.looks import looks_from
from growth.abtest.plans import Look, Standing
from growth.abtest.ready import day_of, inside_dates, local_date
from growth.abtest.rewind import Ripening, rewound, ripening
from growth.abtest.units import UnitTable
from growth.result import Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from growth.abtest.analysis import Analysis
    from growth.abtest.experiment import Experiment
    from growth.engine import TableLike

    Reader = Callable[..., Analysis]

__all__ = ["Asked", "under_plan"]

DAY: Final = timedelta(days=1)


class Asked(NamedTuple):
    """How a table is to be read, at one look or at all of them."""

    pool: Mapping[str, Sequence[str]] | None = None
    prior: tuple[float, float] | None = PRIOR
    unique: bool = False
    look: Callable[[int, Mapping[str, int]], Standing | None] = lambda *_: None


def under_plan(
    read: Reader,
    units: TableLike | UnitTable | UnitHistory,
    experiment: Experiment,
    breakdowns: tuple[tuple[str, ...], ...],
    as_of: date | datetime | None,
    asked: Asked,
) -> Analysis:
    """Read the table as it stood at every look of the plan, the last in full."""
    table, ripe, until = _timeline(units, experiment, as_of)
    if ripe is None or until is None:
        found = read(table, experiment, breakdowns, as_of, asked)
        return replace(
            found, notices=(*found.notices, Notice("looks_unknown", "warning"))
        )
    plan = experiment.plan
    goals, exposed, news = ripe.goals(experiment), ripe.exposed(), ripe.news()
    start = experiment.start or (exposed[0] if exposed else until)
    ended = max([experiment.end - DAY, *news]) if experiment.end else None
    days = plan.look_days(goals, start=start, until=until, ended=ended)
    days = tuple(d for d in days if d == until or d in news)
    watched = _Watched(experiment, ended)
    seen: list[tuple[date, Analysis, dict[str, Look]]] = []
    for day in days:
        if not ripe.at(0, day):
            continue
        latest = day == days[-1]
        source: Any = table
        if isinstance(table, UnitTable | UnitHistory):
            now = isinstance(table, UnitTable) and day == until
            source = table if now else rewound(table, experiment, ripe, day).cache()
        then = as_of if day == until else day
        groups = breakdowns if latest else ()
        look = asked._replace(look=watched.on(day))
        found = read(source, experiment, groups, then, look)
        seen.append((day, found, watched.note(found)))
    notices = []
    if plan_notice := _values_of_now(table, experiment, days, until):
        notices.append(plan_notice)
    if not seen:
        first = asked._replace(look=watched.before)
        bare = table.units if isinstance(table, UnitHistory) else table
        found = read(bare, experiment, breakdowns, as_of, first)
        notices.append(Notice("before_first_look", "info"))
        return replace(found, notices=(*found.notices, *notices))
    found = seen[-1][1]
    looks = looks_from(seen)
    if seen[-1][0] < until:
        args = (("day", seen[-1][0].isoformat()),)
        notices.append(Notice("between_looks", "info", args))
    if looks.stopped_on and looks.stopped_on < seen[-1][0]:
        args = (("day", looks.stopped_on.isoformat()),)
        notices.append(Notice(f"plan_{looks.stop}", "info", args))
    return replace(found, looks=looks, notices=(*found.notices, *notices))


def _timeline(
    units: TableLike | UnitTable | UnitHistory,
    experiment: Experiment,
    as_of: date | datetime | None,
) -> tuple[Any, Ripening | None, date | None]:
    """Return the table to reread, when its units could be read, and the last day."""
    from growth import engine

    if isinstance(units, UnitTable | UnitHistory):
        now = units.units if isinstance(units, UnitHistory) else units
        moment = now.as_of if as_of is None else engine.instant(as_of, tz=experiment.tz)
        if isinstance(units, UnitTable):
            units = now = now.cache()
        else:
            units = replace(units, table=engine.keep(units.table), units=now.cache())
            now = units.units
        day = day_of(now.table, experiment)
        ripe = ripening(now.table, experiment, day=day, exact=True)
        return units, ripe, local_date(moment, experiment.tz) - timedelta(days=1)
    table = engine.as_table(units)
    if experiment.columns.day not in table.columns:
        return table, None, None
    engine.need_columns(table, (experiment.columns.variant,))
    day = day_of(table, experiment)
    end = None
    if as_of is not None:
        end = local_date(engine.instant(as_of, tz=experiment.tz), experiment.tz)
    inside = inside_dates(day, experiment, end)
    dated = table.filter(inside) if inside is not None else table
    ripe = ripening(dated, experiment, day=day_of(dated, experiment), exact=False)
    exposed = ripe.exposed()
    if end is not None:
        return table, ripe, end - timedelta(days=1)
    return table, ripe, exposed[-1] if exposed else None


def _values_of_now(
    table: object, experiment: Experiment, days: Sequence[date], until: date
) -> Notice | None:
    """Say which metrics have no window, so that earlier looks see later values."""
    names = [m.name for m in experiment.metrics if not m.window_days]
    earlier = [day for day in days if day < until]
    if not names or not earlier or isinstance(table, UnitHistory):
        return None
    return Notice("values_of_now", "info", (("metric", ", ".join(names)),))


class _Watched:
    """What was seen at each look, and how each metric so stands in the plan."""

    def __init__(self, experiment: Experiment, ended: date | None) -> None:
        self.experiment = experiment
        self.ended = ended
        self.looks: dict[str, Look] = {}
        self.shares: dict[str, list[tuple[date, float]]] = defaultdict(list)
        self.past: dict[tuple[str, str], dict[float, float | None]] = defaultdict(dict)

    def on(self, day: date) -> Callable[[int, Mapping[str, int]], Standing]:
        """Return what tells how metrics stand, once the units of a day are known."""

        def standing(units: int, immature: Mapping[str, int]) -> Standing:
            exp = self.experiment
            over = self.ended is not None and day >= self.ended
            for metric in exp.metrics:
                ready = max(units - immature.get(metric.name, 0), 0)
                seen = self.shares[metric.name]
                before = seen[-1][1] if seen else 0.0
                seen.append((day, max(ready / (exp.plan.units or 1), before)))
                look = exp.plan.look_on(seen, alpha=exp.alpha, ended=over)
                self.looks[metric.name] = look
            return Standing(dict(self.looks), self.past)

        return standing

    def before(self, *_: object) -> Standing:
        """Return how metrics stand before the first look: nothing may be said."""
        exp = self.experiment
        look = exp.plan.look([0.0], alpha=exp.alpha, last=False)
        return Standing({metric.name: look for metric in exp.metrics})

    def note(self, found: Analysis) -> dict[str, Look]:
        """Keep the statistics of a look for those that follow."""
        for effect in found.totals():
            share = self.looks[effect.metric].share
            # where nothing could be concluded, nothing was crossed
            z = effect.statistic if effect.critical is not None else 0.0
            self.past[effect.metric, effect.arm][share] = z
        return dict(self.looks)
