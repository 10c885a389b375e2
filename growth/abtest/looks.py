"""What a plan saw at each look: its boundaries, its statistics, where it stopped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date  # noqa: TC003  (a result's types can be read at run time)
from typing import TYPE_CHECKING, Final

from growth.result import Cell, Result
from growth.stats.always_valid import running_p

if TYPE_CHECKING:
    from collections.abc import Sequence

    from growth.abtest.analysis import Analysis
    from growth.abtest.effects import Effect
    from growth.abtest.plans import Look

__all__ = ["LookEffect", "Looks", "looks_from"]

_SHOWN: Final = (
    "n_control",
    "n_treatment",
    "estimate",
    "se",
    "ci_adj_low",
    "ci_adj_high",
    "lift",
    "lift_adj_low",
    "lift_adj_high",
    "p_value",
    "p_adj",
)


@dataclass(frozen=True, slots=True)
class LookEffect:
    """One metric and arm at one look.

    Parameters
    ----------
    look : int
        Its number, from 1.
    day : date
        The day at whose end one looked.
    information : float
        Units whose window was over, over the units planned.
    effect : Effect
        What the plan allowed to conclude at that look.
    crossed : bool
        Whether the statistic was beyond the boundary at this look.
    harmful : bool
        Of a guardrail, whether the interval was wholly beyond its margin.
    stopped : bool
        Whether the boundary was crossed at this look or before.
    p_running : float or None
        The smallest p-value up to this look: valid whenever one stops under an
        always-valid plan.
    """

    look: int
    day: date
    information: float
    effect: Effect
    crossed: bool
    harmful: bool
    stopped: bool
    p_running: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks(Result):
    """Every look a plan has taken, in order, worked out from the table itself.

    Parameters
    ----------
    plan : {"group_sequential", "always_valid", "hybrid"}
        The kind of plan.
    planned_units : int
        Units planned over all arms.
    points : tuple of LookEffect
        By metric and arm, in the order of the looks.
    days : tuple of date
        The days at whose end one looked.
    stopped_on : date, optional
        The first look at which a goal crossed its boundary, or a guardrail lay
        wholly beyond its margin, or which was the last: there the plan says stop.
        None while it goes on.
    stop : str, optional
        Why: ``crossed``, ``harm`` or ``horizon``.
    """

    plan: str
    planned_units: int
    points: tuple[LookEffect, ...]
    days: tuple[date, ...]
    stopped_on: date | None = None
    stop: str | None = None

    @property
    def verdict(self) -> str:
        """`abtest.looks.` and `crossed`, `harm`, `horizon`, or `goes_on`."""
        return f"abtest.looks.{self.stop or 'goes_on'}"

    def of(self, metric: str, arm: str) -> tuple[LookEffect, ...]:
        """Return the looks at one metric and arm, in order."""
        return tuple(
            p for p in self.points if (p.effect.metric, p.effect.arm) == (metric, arm)
        )

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row per metric, arm and look."""
        return [
            {
                "metric": point.effect.metric,
                "role": point.effect.role,
                "arm": point.effect.arm,
                "look": point.look,
                "day": point.day.isoformat(),
                "information": point.information,
                "z": point.effect.statistic,
                "critical": point.effect.critical,
                **{name: getattr(point.effect, name) for name in _SHOWN},
                "p_running": point.p_running,
                "crossed": point.crossed,
                "stopped": point.stopped,
            }
            for point in self.points
        ]


def looks_from(
    analyses: Sequence[tuple[date, Analysis, dict[str, Look]]],
) -> Looks:
    """Put the analyses of every look together.

    Parameters
    ----------
    analyses : sequence of (date, Analysis, mapping of str to Look)
        The day, what was found at its end, and how each metric stood in the plan;
        one look or more.

    Returns
    -------
    Looks
        Totals only.
    """
    now = analyses[-1][1]
    plan = now.experiment.plan
    found: list[LookEffect] = []
    stopped_on, stop = None, None
    for effect in now.totals():
        key = (effect.metric, effect.arm)
        crossed_before = False
        seen: list[float | None] = []
        for number, (day, analysis, looks) in enumerate(analyses, 1):
            one = next((e for e in analysis.totals() if (e.metric, e.arm) == key), None)
            if one is None:
                continue
            seen.append(one.p_value)
            crossed = one.better or one.worse
            crossed_before = crossed_before or crossed
            found.append(
                LookEffect(
                    look=number,
                    day=day,
                    information=looks[effect.metric].share,
                    effect=one,
                    crossed=crossed,
                    harmful=one.role == "guardrail" and one.harmful,
                    stopped=crossed_before,
                    p_running=running_p(seen)[-1],
                )
            )
    for day, _, looks in analyses:
        here = [point for point in found if point.day == day]
        goals = {p.effect.metric for p in here if p.effect.role == "goal"}
        if any(p.crossed for p in here if p.effect.role == "goal"):
            stopped_on, stop = day, "crossed"
        elif any(point.harmful for point in here):
            stopped_on, stop = day, "harm"
        elif plan.ends and all(looks[name].final for name in goals):
            stopped_on, stop = day, "horizon"
        if stop:
            break
    return Looks(
        plan=plan.kind,
        planned_units=plan.units or 0,
        points=tuple(found),
        days=tuple(day for day, *_ in analyses),
        stopped_on=stopped_on,
        stop=stop,
    )
