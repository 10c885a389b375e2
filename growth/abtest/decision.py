"""Ship, keep, iterate, or invalid: one rule, first line that fits.

The rule sees intervals only: adjusted for multiplicity, under the plan, turned so
that up is good. Whether they come from a fixed or a sequential plan changes one
thing: only a sequential plan may stop for harm before its horizon.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, inf
from typing import TYPE_CHECKING, Final, Literal

from growth.abtest.split import MAX_CROSSOVER_RATE
from growth.errors import ParameterError, suggest
from growth.labels import label
from growth.result import Cell, Notice, Result
from growth.stats.contrast import ArmEstimate, Contrast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from growth.abtest.analysis import Analysis
    from growth.abtest.effects import Effect
    from growth.abtest.experiment import Experiment, Metric
    from growth.abtest.split import SplitCheck
    from growth.labels import Lang

__all__ = ["Decision", "GoalInterval", "Reason", "decide", "decide_from_intervals"]

Outcome = Literal["ship", "keep", "iterate", "invalid"]
PLANS: Final = ("fixed", "group_sequential", "always_valid", "hybrid")
WEEK: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalInterval:
    """An adjusted interval turned so that up is good, and what it is held against.

    Parameters
    ----------
    name : str
        The metric.
    low, high : float or None
        Its ends; None where the end is unbounded or not computable.
    mde : float, optional
        Smallest change worth having, on the same scale, above 0.
    margin : float, optional
        Largest loss one can bear, on the same scale, above 0.
    """

    name: str
    low: float | None
    high: float | None
    mde: float | None = None
    margin: float | None = None

    @property
    def better(self) -> bool:
        """Whether all of it is above 0."""
        return self.low is not None and self.low > 0

    @property
    def worse(self) -> bool:
        """Whether all of it is below 0."""
        return self.high is not None and self.high < 0

    @property
    def harmful(self) -> bool:
        """Whether all of it is beyond the margin."""
        margin = self.margin
        return self.high is not None and margin is not None and self.high < -margin

    @property
    def bearable(self) -> bool:
        """Whether all of it is on the good side of the margin (non-inferior)."""
        margin = self.margin
        return self.low is not None and margin is not None and self.low > -margin

    @property
    def useless(self) -> bool:
        """Whether all of it is below the smallest change worth having."""
        return self.high is not None and self.mde is not None and self.high < self.mde


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: a stable code, the metric and the arm it is about."""

    code: str
    metric: str | None = None
    arm: str | None = None

    def __str__(self) -> str:
        """Write the code and, where there is one, the metric's name."""
        return self.code if self.metric is None else f"{self.code}:{self.metric}"

    def words(
        self,
        lang: Lang | None = None,
        *,
        metric: str | None = None,
        arm: str | None = None,
    ) -> str:
        """Return the reason for people, not escaped; names may be given in words."""
        return label(
            f"abtest.reason.{self.code}",
            lang,
            metric=metric or self.metric or "",
            arm=arm or self.arm or "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Result):
    """What to do, and why.

    Parameters
    ----------
    outcome : {"ship", "keep", "iterate", "invalid"}
        Ship the treatment, keep the control, go on, or do not read at all.
    reasons : tuple of Reason
        At least one, in the rule's order.
    arm : str, optional
        The arm to ship; None unless `outcome` is ship.
    days : int, optional
        Days the experiment has run.
    information : float
        Share of the planned units seen, 0 or more; 1 where none were planned.
    units_needed : int, optional
        Units still needed, all arms together, until the interval is as narrow as
        the smallest change worth having and so must exclude it or 0.
    plan : {"fixed", "group_sequential", "always_valid", "hybrid"}
        What the intervals are valid under.
    """

    outcome: Outcome
    reasons: tuple[Reason, ...]
    arm: str | None = None
    days: int | None = None
    information: float = 1.0
    units_needed: int | None = None
    plan: str = "fixed"

    @property
    def rule(self) -> str:
        """The rule the answer came from: its plan."""
        return self.plan

    @property
    def verdict(self) -> str:
        """`abtest.decision.` and `ship`, `keep`, `iterate` or `invalid`."""
        return f"abtest.decision.{self.outcome}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row per reason."""
        return [
            {"reason": reason.code, "metric": reason.metric, "arm": reason.arm}
            for reason in self.reasons
        ]


def decide_from_intervals(
    goals: Sequence[GoalInterval],
    *,
    guardrails: Sequence[GoalInterval] = (),
    srm_p: float | None = None,
    srm_alpha: float = 0.001,
    closed_units: int = 0,
    crossover_rate: float = 0.0,
    plan: str = "fixed",
    information: float = 1.0,
    days: int | None = None,
    min_days: int = 14,
    objective: str = "superiority",
    units: int | None = None,
) -> Decision:
    """Apply the rule to one treatment arm.

    Parameters
    ----------
    goals, guardrails : sequence of GoalInterval
        Adjusted intervals, up is good; one goal or more, guardrails with margin.
    srm_p : float, optional
        p-value of the split check, in [0, 1]; unknown if omitted.
    srm_alpha : float, default 0.001
        Below it the split has failed, in (0, 1).
    closed_units : int, default 0
        Units seen in closed arms.
    crossover_rate : float, default 0
        Share of units seen in several arms, in [0, 1]; above 0.01 is too many.
    plan : {"fixed", "group_sequential", "always_valid", "hybrid"}
        What the intervals are valid under.
    information : float, default 1
        Share of the planned units seen, 0 or more.
    days : int, optional
        Days the experiment has run; unknown skips the calendar.
    min_days : int, default 14
        Days before a decision.
    objective : {"superiority", "no_harm"}
        What must be shown to ship.
    units : int, optional
        Units in the analysis, from which the units still needed are reckoned.

    Returns
    -------
    Decision
        Its `arm` is None: the caller knows which arm this was.

    Raises
    ------
    ParameterError
        If there is no goal (code ``no_goal``), or `plan` or `objective` is
        unknown (``not_a_choice``).

    Notes
    -----
    In order: invalid split; harm (before the horizon only under a sequential
    plan); too early, part of a week, planned size not reached; no harm shown, if
    that is the objective; a goal better with every guardrail non-inferior; no
    useful effect; inconclusive.

    Examples
    --------
    >>> goal = GoalInterval(name="pay_rate", low=0.01, high=0.06, mde=0.03)
    >>> decide_from_intervals([goal], days=14).verdict
    'abtest.decision.ship'
    """
    if not goals:
        msg = "goals is empty; it must hold one interval or more; give the goal's."
        raise ParameterError(msg, code="no_goal")
    _one_of("plan", plan, PLANS)
    _one_of("objective", objective, ("superiority", "no_harm"))
    early = _early(plan, information, days, min_days)
    outcome, reasons = _invalid(srm_p, srm_alpha, closed_units, crossover_rate)
    if not reasons:
        waits = plan == "fixed" and (information < 1 or _short(days, min_days))
        outcome, reasons = _harm(goals, guardrails) if not waits else ("keep", [])
    if not reasons and early:
        outcome, reasons = "iterate", [early]
    if not reasons:
        outcome, reasons = _benefit(goals, guardrails, objective)
    open_question = reasons[0].code == "inconclusive"
    return Decision(
        outcome=outcome,
        reasons=tuple(reasons),
        days=days,
        information=information,
        units_needed=_units_needed(goals, units) if open_question else None,
        plan=plan,
        notices=() if days is not None else (Notice("days_unknown", "info"),),
    )


def decide(
    analysis: Analysis, split: SplitCheck, *, experiment: Experiment | None = None
) -> Decision:
    """Apply the rule to every treatment arm and choose among them.

    Parameters
    ----------
    analysis : Analysis
        What `analyze` found.
    split : SplitCheck
        What `check_split` found.
    experiment : Experiment, optional
        Thresholds, objective and plan; the analysis's own if omitted.

    Returns
    -------
    Decision
        Invalid for all arms or none. Of several arms to ship the highest first
        goal leads, with `best_arm_not_separated` where the next is as good for
        all one can tell; else iterate if some arm needs more, else keep.

    Raises
    ------
    ParameterError
        If the analysis holds no treatment arm (code ``no_goal``).
    """
    exp = experiment or analysis.experiment
    information = analysis.mature_units / exp.plan.units if exp.plan.units else 1.0
    found: dict[str, Decision] = {}
    for arm in exp.treatments:
        effects = {e.metric: e for e in analysis.totals() if e.arm == arm}
        sides = {
            role: [
                _interval(metric, effects[metric.name], exp)
                for metric in exp.metrics
                if metric.role == role and metric.name in effects
            ]
            for role in ("goal", "guardrail")
        }
        decision = decide_from_intervals(
            sides["goal"],
            guardrails=sides["guardrail"],
            srm_p=split.p_judged,
            srm_alpha=split.alpha,
            closed_units=split.closed_units,
            crossover_rate=split.crossover_rate,
            plan=exp.plan.kind,
            information=information,
            days=analysis.days,
            min_days=exp.min_days,
            objective=exp.objective,
            units=analysis.units,
        )
        reasons = tuple(replace(reason, arm=arm) for reason in decision.reasons)
        shipped = arm if decision.outcome == "ship" else None
        found[arm] = replace(decision, reasons=reasons, arm=shipped)
    chosen = _choose(found, analysis, exp)
    if exp.plan.units is None:
        unplanned = Notice("no_planned_size", "info")
        chosen = replace(chosen, notices=(*chosen.notices, unplanned))
    return chosen


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        msg = f"{name} is {value!r}; it must be one of {list(choices)}; choose one."
        raise ParameterError(msg + suggest(str(value), choices), code="not_a_choice")


def _invalid(
    srm_p: float | None, srm_alpha: float, closed_units: int, crossover_rate: float
) -> tuple[Outcome, list[Reason]]:
    reasons = []
    if srm_p is not None and srm_p < srm_alpha:
        reasons.append(Reason("srm_failed"))
    if closed_units:
        reasons.append(Reason("units_in_closed_arm"))
    if crossover_rate > MAX_CROSSOVER_RATE:
        reasons.append(Reason("too_many_crossovers"))
    return "invalid", reasons


def _harm(
    goals: Sequence[GoalInterval], guardrails: Sequence[GoalInterval]
) -> tuple[Outcome, list[Reason]]:
    harm = [Reason("guardrail_harm", g.name) for g in guardrails if g.harmful]
    return "keep", harm + [Reason("goal_worse", g.name) for g in goals if g.worse]


def _short(days: int | None, min_days: int) -> bool:
    return days is not None and days < min_days


def _early(
    plan: str, information: float, days: int | None, min_days: int
) -> Reason | None:
    """Return why it is too soon to decide, None if it is not."""
    if _short(days, min_days):
        return Reason("too_early")
    if days is not None and days % WEEK:
        return Reason("partial_week")
    early = plan == "fixed" and information < 1
    return Reason("planned_size_not_reached") if early else None


def _benefit(
    goals: Sequence[GoalInterval],
    guardrails: Sequence[GoalInterval],
    objective: str,
) -> tuple[Outcome, list[Reason]]:
    doubtful = [
        Reason("guardrail_inconclusive", g.name) for g in guardrails if not g.bearable
    ]
    if objective == "no_harm":
        lost = [Reason("harm_not_excluded", g.name) for g in goals if not g.bearable]
        if lost or doubtful:
            return "iterate", lost + doubtful
        return "ship", [Reason("no_harm_shown")]
    if better := [Reason("goal_better", g.name) for g in goals if g.better]:
        return ("iterate", doubtful) if doubtful else ("ship", better)
    if all(g.useless for g in goals):
        return "keep", [Reason("no_useful_effect")]
    return "iterate", [Reason("inconclusive")]


def _units_needed(goals: Sequence[GoalInterval], units: int | None) -> int | None:
    """Return how many more units make every goal's interval as narrow as its MDE.

    The width falls with the square root of the units; an interval narrower than
    the MDE cannot hold both 0 and the MDE.
    """
    if not units:
        return None
    more = [
        ceil(units * (((g.high - g.low) / g.mde) ** 2 - 1))
        for g in goals
        if g.mde and g.low is not None and g.high is not None
    ]
    return max(more) if len(more) == len(goals) and max(more) > 0 else None


def _interval(metric: Metric, effect: Effect, exp: Experiment) -> GoalInterval:
    """Return the adjusted interval that decides, on the scale of what it faces."""
    faces_margin = metric.role == "guardrail" or exp.objective == "no_harm"
    margin = metric.margin if faces_margin else None
    absolute = margin is not None and metric.margin_kind == "absolute"
    mde = None if absolute else metric.mde
    low, high = effect.lift_adj_low, effect.lift_adj_high
    if absolute:
        low, high = effect.ci_adj_low, effect.ci_adj_high
    elif low is None and margin is None:
        # no lift, but the sign is known: it is the same test on either scale
        low, high, mde = effect.ci_adj_low, effect.ci_adj_high, None
    if metric.good == "down":
        low, high = (
            None if high is None else -high,
            None if low is None else -low,
        )
    return GoalInterval(name=metric.name, low=low, high=high, mde=mde, margin=margin)


def _choose(
    found: dict[str, Decision], analysis: Analysis, exp: Experiment
) -> Decision:
    for outcome in ("invalid", "ship", "iterate", "keep"):
        arms = [arm for arm, d in found.items() if d.outcome == outcome]
        if not arms:
            continue
        if outcome == "invalid":
            first = found[arms[0]]
            reasons = tuple(replace(reason, arm=None) for reason in first.reasons)
            return replace(first, reasons=reasons)
        if outcome == "ship":
            return _lead([found[arm] for arm in arms], analysis, exp)
        needed = [d.units_needed for d in found.values() if d.units_needed]
        return replace(
            found[arms[0]],
            reasons=tuple(r for arm in arms for r in found[arm].reasons),
            units_needed=max(needed, default=None),
        )
    msg = "the experiment has no treatment arm; it must have one beside the control;"
    raise ParameterError(f"{msg} open one.", code="no_goal")


def _lead(
    shippable: Sequence[Decision], analysis: Analysis, exp: Experiment
) -> Decision:
    goal = next(metric for metric in exp.metrics if metric.role == "goal")
    sign = 1 if goal.good == "up" else -1
    effects = {e.arm: e for e in analysis.totals() if e.metric == goal.name}

    def height(decision: Decision) -> float:
        value = effects[decision.arm or ""].estimate
        return -inf if value is None else sign * value

    first, *rest = sorted(shippable, key=height, reverse=True)
    if not rest:
        return first
    second, leader = (_arm(effects[d.arm or ""]) for d in (rest[0], first))
    p = Contrast(second, leader).p_value
    level = effects[first.arm or ""].nominal  # the two are compared at the same look
    if p is not None and level is not None and p < level:
        return first
    tie = Reason("best_arm_not_separated", goal.name, rest[0].arm)
    return replace(first, reasons=(*first.reasons, tie))


def _arm(effect: Effect) -> ArmEstimate:
    se, sequential = effect.se_treatment, effect.plan != "fixed"
    return ArmEstimate(
        effect.n_treatment,
        effect.mean_treatment,
        None if se is None else se * se,
        inf if sequential or effect.df_treatment is None else effect.df_treatment,
    )
