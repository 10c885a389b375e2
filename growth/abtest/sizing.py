"""What a plan takes: units, weeks and power, from what is known of each metric."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from math import ceil, inf, isfinite, sqrt
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from growth.abtest.plans import AlwaysValid, GroupSequential, Hybrid
from growth.errors import Fault, suggest
from growth.labels import label
from growth.result import Cell, Estimate, Notice, Result, table_html
from growth.stats.always_valid import planned_critical
from growth.stats.clusters import design_effect
from growth.stats.contrast import critical_value
from growth.stats.planning import (
    Demand,
    Reading,
    effect_found,
    power_of,
    units_needed,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from growth.abtest.plans import Plan
    from growth.labels import Lang

__all__ = [
    "WEEK",
    "Baseline",
    "Design",
    "Known",
    "Need",
    "PlanWeek",
    "PowerPoint",
    "SizePlan",
    "choice_fault",
    "design_of",
    "metric_faults",
    "plan_of",
]

WEEK: Final = 7
LOOKS: Final = 4  # weekly looks, where nobody knows how many weeks there are
CURVE: Final = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)  # effects, as multiples
LEAST: Final = 100  # units with a value above 0 an arm: below, tests are conservative


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What is known of a metric before the experiment, and what is asked of it.

    Parameters
    ----------
    name : str
        The metric's name.
    kind : {"mean", "proportion", "ratio", "quantile"}
        As in a `Metric`.
    mean : float
        Its value without the change: a mean, a share, a ratio, a quantile.
    sd : float, optional
        Standard deviation of a unit: of a ratio that of its linearised values, of a
        quantile ``sqrt(q (1 - q)) / density``. Shares do without.
    role : {"goal", "guardrail", "diagnostic"}
        As in a `Metric`; diagnostics are shown and ask for nothing.
    good : {"up", "down"}
        Which way is an improvement.
    mde : float, optional
        Smallest relative change worth finding, above 0.
    margin : float, optional
        Loss one can bear, above 0: of guardrails, and of goals that are to do no
        harm.
    margin_kind : {"relative", "absolute"}
        Whether the margin is a share of the mean.
    r_squared : float, default 0
        Share of the variance that covariates explain, in [0, 1).
    cluster_sizes : tuple of float
        Units per cluster, where whole clusters are randomised: a sample, or one
        number for all; empty without clusters.
    icc : float, default 0
        Correlation within a cluster, in [0, 1].
    missing_rate : float, default 0
        Share of the units without a value, in [0, 1).
    window_days : int, default 0
        Days after exposure for which a unit is followed; it can be read when they
        are over.
    nonzero_rate : float, optional
        Share of the units with a value other than 0, in [0, 1].
    """

    name: str
    kind: Literal["mean", "proportion", "ratio", "quantile"] = "mean"
    mean: float
    sd: float | None = None
    role: Literal["goal", "guardrail", "diagnostic"] = "goal"
    good: Literal["up", "down"] = "up"
    mde: float | None = None
    margin: float | None = None
    margin_kind: Literal["relative", "absolute"] = "relative"
    r_squared: float = 0.0
    cluster_sizes: tuple[float, ...] = ()
    icc: float = 0.0
    missing_rate: float = 0.0
    window_days: int = 0
    nonzero_rate: float | None = None

    @property
    def variance(self) -> float:
        """Variance of a unit after adjustment, before clustering."""
        whole = self.mean * (1 - self.mean) if self.sd is None else self.sd**2
        return whole * (1 - self.r_squared)

    @property
    def design(self) -> float:
        """Design effect of the clusters; 1 without."""
        return design_effect(self.cluster_sizes, icc=self.icc) if self.icc else 1.0

    @property
    def is_share(self) -> bool:
        """Whether its variance follows from its mean."""
        return self.kind == "proportion" and self.sd is None and not self.r_squared


@dataclass(frozen=True, slots=True)
class Need:
    """What one metric needs, against the arm that gets least.

    Parameters
    ----------
    metric, role : str
        What it is about.
    test : {"difference", "margin"}
        Whether an effect is to be found or a margin to be shown.
    arm : str
        The treatment arm with the smallest weight.
    mean, sd : float
        Value without the change; standard deviation of a unit after adjustment.
    r_squared, design_effect : float
        What adjustment takes off the variance, and clusters put on it.
    alpha, power : float
        Level and power asked of this test alone.
    effect : float or None
        Difference to be found, or margin; None if none was named.
    effect_relative : float or None
        The same as a share of the mean.
    units : int or None
        Units over all open arms; None without an effect, or if out of reach.
    units_control, units_treatment : int or None
        Of these, in control and in `arm`.
    weeks : int or None
        Whole weeks in which they come; None if they do not, or nobody knows.
    """

    metric: str
    role: str
    test: Literal["difference", "margin"]
    arm: str
    mean: float
    sd: float
    r_squared: float
    design_effect: float
    alpha: float
    power: float
    effect: float | None
    effect_relative: float | None
    units: int | None
    units_control: int | None
    units_treatment: int | None
    weeks: int | None


@dataclass(frozen=True, slots=True)
class PlanWeek:
    """What one metric can show after so many whole weeks.

    Parameters
    ----------
    week : int
        Whole weeks, 1 or more.
    units : int
        Units that can be read then, over all open arms: those whose window is over.
    metric : str
        The metric.
    mde, mde_relative : float or None
        Smallest difference found (margin shown) with the power, and as a share of the
        mean; None where there is none.
    power : float or None
        Power for the effect that was named.
    enough : bool or None
        Whether that is the power asked for.
    """

    week: int
    units: int
    metric: str
    mde: float | None
    mde_relative: float | None
    power: float | None
    enough: bool | None


@dataclass(frozen=True, slots=True)
class PowerPoint:
    """Power for one effect of one metric at the planned size."""

    metric: str
    effect: float
    effect_relative: float | None
    power: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SizePlan(Result):
    """How many units and weeks an experiment takes, and what it can show.

    Parameters
    ----------
    needs : tuple of Need
        One per goal, guardrail and diagnostic.
    by_week : tuple of PlanWeek
        By week and metric; empty where nobody knows how units come.
    curve : tuple of PowerPoint
        Power by effect at the planned size.
    units : int or None
        Units planned over all open arms: the most that any metric needs; None if no
        metric names an effect, or one is out of reach.
    weeks : int or None
        Whole weeks until every metric has its units.
    days : int or None
        The same in days.
    most_weeks : int
        Longest run looked at.
    known_weeks : int
        Whole weeks for which it is known how units come.
    alpha, power : float
        Two-sided level and power of the whole experiment.
    scheme : str
        The plan's kind: ``fixed``, ``group_sequential``, ``always_valid``, ``hybrid``.
    """

    needs: tuple[Need, ...]
    by_week: tuple[PlanWeek, ...] = ()
    curve: tuple[PowerPoint, ...] = ()
    units: int | None
    weeks: int | None
    days: int | None
    most_weeks: int
    known_weeks: int
    alpha: float
    power: float
    scheme: str

    @property
    def verdict(self) -> str:
        """`abtest.planning.` and what comes out.

        `no_target` (no metric names an effect), `out_of_reach` (no size finds it),
        `size_only` (nobody knows how units come), `enough`, `too_long`, or
        `history_too_short` (to say whether it is).
        """
        asked = [n for n in self.needs if n.effect is not None]
        if not asked:
            return "abtest.planning.no_target"
        if any(n.units is None for n in asked):
            return "abtest.planning.out_of_reach"
        if not self.known_weeks:
            return "abtest.planning.size_only"
        if self.weeks is not None:
            return "abtest.planning.enough"
        known = self.known_weeks >= self.most_weeks
        return f"abtest.planning.{'too_long' if known else 'history_too_short'}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return what each metric needs."""
        return [asdict(need) for need in self.needs]

    def week_rows(self) -> list[dict[str, Cell]]:
        """Return what can be shown by week, a row a week and metric."""
        return [asdict(week) for week in self.by_week]

    def curve_rows(self) -> list[dict[str, Cell]]:
        """Return the power curves, a row a metric and effect."""
        return [asdict(point) for point in self.curve]

    def _table(self, lang: Lang | None) -> str:
        shown = table_html(self.rows(), label("abtest.planning", lang), lang)
        if self.by_week:
            caption = label("abtest.planning.by_week", lang)
            shown += table_html(self.week_rows(), caption, lang)
        return shown

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the units and weeks planned, and each goal's smallest effect."""
        found = [
            Estimate(key="plan.units", value=self.units, unit="count"),
            Estimate(key="plan.weeks", value=self.weeks, unit="count"),
        ]
        last = max((week.week for week in self.by_week), default=0)
        for week in self.by_week:
            if week.week == (self.weeks or last):
                key, value = f"{week.metric}.mde", week.mde_relative
                found.append(Estimate(key=key, value=value, n=week.units, unit="ratio"))
        return tuple(found)


class Design(NamedTuple):
    """What all metrics share."""

    control: str
    arm: str
    shares: tuple[float, float]  # of all units: control's, and the smallest treatment's
    split: tuple[float, ...]  # of all units, by open arm
    goals: int  # tests that share alpha
    guardrails: int
    alpha: float
    power: float
    plan: Plan
    no_harm: bool


class Known(NamedTuple):
    """What is known after so many weeks: units by metric (its window over)."""

    week: int
    units: Mapping[str, float]
    metrics: Mapping[str, Baseline]


def metric_faults(metric: Baseline, *, no_harm: bool) -> list[Fault]:
    """Return what is wrong with a metric's numbers."""
    path = f"metric[{metric.name}]."
    choices = (
        ("kind", ("mean", "proportion", "ratio", "quantile")),
        ("role", ("goal", "guardrail", "diagnostic")),
        ("good", ("up", "down")),
        ("margin_kind", ("relative", "absolute")),
    )
    if wrong := [
        choice_fault(f"{path}{name}", getattr(metric, name), known)
        for name, known in choices
        if getattr(metric, name) not in known
    ]:
        return wrong
    share = metric.kind == "proportion"
    rules: list[tuple[str, Any, bool, str]] = [
        ("mean", metric.mean, isfinite(metric.mean), "a finite number"),
        ("r_squared", metric.r_squared, 0 <= metric.r_squared < 1, "in [0, 1)"),
        ("icc", metric.icc, 0 <= metric.icc <= 1, "in [0, 1]"),
        ("window_days", metric.window_days, metric.window_days >= 0, "0 or more"),
        (
            "missing_rate",
            metric.missing_rate,
            0 <= metric.missing_rate < 1,
            "in [0, 1)",
        ),
    ]
    for name in ("mde", "margin"):
        value = getattr(metric, name)
        rules.append((name, value, value is None or 0 < value < inf, "above 0"))
    if share:
        rules.append(("mean", metric.mean, 0 <= metric.mean <= 1, "a share in [0, 1]"))
    faults = [
        Fault("plan_out_of_range", f"{path}{name}", repr(value), expected)
        for name, value, fits, expected in rules
        if not fits
    ]
    if faults:
        return faults
    if metric.sd is None and not share:
        hint = "Only a share's follows from its mean."
        expected = "a standard deviation above 0"
        return [Fault("missing_key", f"{path}sd", "missing", expected, hint)]
    if not 0 < metric.variance < inf or (metric.sd is not None and metric.sd <= 0):
        hint = (
            "The metric does not vary: check what it counts, and the history's dates."
        )
        seen = f"{metric.sd if metric.sd is not None else metric.variance}"
        return [Fault("no_variance", f"{path}sd", seen, "above 0", hint)]
    if metric.icc and not all(0 < size < inf for size in metric.cluster_sizes or (0,)):
        expected = "units per cluster, each above 0"
        seen = repr(metric.cluster_sizes)
        return [Fault("bad_sizes", f"{path}cluster_sizes", seen, expected)]
    relative = metric.mde is not None or metric.margin_kind == "relative"
    if relative and not metric.mean and _effect(metric, no_harm=no_harm) is not None:
        hint = "A share of 0 is nothing; give an absolute margin."
        return [Fault("plan_out_of_range", f"{path}mean", "0", "not 0", hint)]
    effect = _effect(metric, no_harm=no_harm)
    if share and effect and not _margin(metric, no_harm=no_harm):
        to = metric.mean + effect
        if not 0 <= to <= 1:
            seen = f"{metric.mde} from {metric.mean} leads to {to:.4g}"
            expected = "a change within 0 and 1"
            return [Fault("plan_out_of_range", f"{path}mde", seen, expected)]
    return []


def choice_fault(name: str, seen: object, known: tuple[str, ...]) -> Fault:
    """Return what is said of a value that is none of the known ones."""
    hint = suggest(str(seen), known).strip()
    return Fault("not_a_choice", name, repr(seen), f"one of {', '.join(known)}", hint)


def _margin(metric: Baseline, *, no_harm: bool) -> bool:
    """Whether a margin is to be shown rather than an effect found."""
    return metric.role == "guardrail" or (metric.role == "goal" and no_harm)


def _effect(metric: Baseline, *, no_harm: bool) -> float | None:
    """Return the difference to be found (signed) or the margin; None if unnamed."""
    if metric.role == "diagnostic":
        return None
    size = abs(metric.mean)
    if _margin(metric, no_harm=no_harm):
        if metric.margin is None:
            return None
        return metric.margin * (size if metric.margin_kind == "relative" else 1.0)
    if metric.mde is None:
        return None
    return metric.mde * size * (1 if metric.good == "up" else -1)


def design_of(
    metrics: Sequence[Baseline],
    arms: Mapping[str, float],
    control: str,
    *,
    alpha: float,
    power: float,
    scheme: Plan,
    scope: str,
    no_harm: bool,
) -> Design:
    """Return what all metrics share: shares of the units, tests that share a level."""
    treatments = {a: w for a, w in arms.items() if w > 0 and a != control}
    arm = min(treatments, key=lambda a: treatments[a])
    whole = sum(treatments.values()) + arms[control]
    goals = sum(metric.role == "goal" for metric in metrics)
    return Design(
        control=control,
        arm=arm,
        shares=(arms[control] / whole, treatments[arm] / whole),
        split=tuple(w / whole for w in (arms[control], *treatments.values())),
        goals=max(goals if scope == "experiment" else 1, 1) * len(treatments),
        guardrails=sum(metric.role == "guardrail" for metric in metrics),
        alpha=alpha,
        power=power,
        plan=scheme,
        no_harm=no_harm,
    )


class _Ask(NamedTuple):
    """One metric's demand, reading and power."""

    demand: Demand
    reading: Reading
    power: float
    named: bool

    def units(self, shares: tuple[float, float]) -> float:
        """Return the units over all arms that satisfy it."""
        ratio = shares[1] / shares[0]
        n = units_needed(self.demand, self.reading, power=self.power, ratio=ratio)
        return n / shares[0]


def _ask(metric: Baseline, design: Design, information: tuple[float, ...]) -> _Ask:
    margin = _margin(metric, no_harm=design.no_harm)
    effect = _effect(metric, no_harm=design.no_harm)
    shared = design.goals if metric.role == "goal" else 1
    power = design.power
    if metric.role == "guardrail":
        power = 1 - (1 - power) / design.guardrails
    unit = sqrt(metric.variance) if not metric.is_share else 1e-3
    small = unit * (1e-3 if metric.good == "up" or margin else -1e-3)
    if metric.is_share and effect is None:
        small *= min(metric.mean, 1 - metric.mean)
    demand = Demand(
        kind="share" if metric.is_share else "mean",
        mean=metric.mean,
        variance=metric.variance,
        effect=small if effect is None else effect,
        margin=margin,
        relative=metric.margin_kind == "relative",
        design=metric.design,
    )
    reading = _reading(design.plan, design.alpha / shared, information)
    return _Ask(demand, reading, power, effect is not None)


def _reading(plan: Plan, alpha: float, information: tuple[float, ...]) -> Reading:
    """Return how a plan reads a test at this level, at its planned size."""
    match plan:
        case GroupSequential():
            return Reading(
                alpha=alpha, information=information, family=plan.family, rho=plan.rho
            )
        case AlwaysValid():
            return Reading(alpha=alpha, critical=planned_critical(1.0, alpha=alpha))
        case Hybrid():
            level = alpha * (1 - plan.monitor_share)
            return Reading(alpha=alpha, critical=critical_value(level))
    return Reading(alpha=alpha)


def _looks(plan: Plan, known: Sequence[Known], week: int) -> tuple[float, ...]:
    """Return the shares of the planned size at which a plan looks, in so many weeks."""
    if not isinstance(plan, GroupSequential):
        return ()
    if isinstance(plan.looks, int):
        return tuple((k + 1) / plan.looks for k in range(plan.looks))
    if isinstance(plan.looks, tuple):
        shares = [t for t in plan.looks if isinstance(t, float | int)]
        count = len(plan.looks)
        return tuple(shares) or tuple((k + 1) / count for k in range(count))
    each = WEEK if plan.looks == "daily" else 1
    totals = [0.0, *(max(k.units.values()) for k in known if 0 < k.week <= week)]
    if len(totals) < 2 or not totals[-1] > 0:
        totals = [k / LOOKS for k in range(LOOKS + 1)]
    steps = [
        one + (two - one) * (k + 1) / each
        for one, two in pairwise(totals)
        for k in range(each)
    ]
    found: list[float] = []
    for t in (step / totals[-1] for step in steps):
        if t > 0 and t - (found[-1] if found else 0.0) > 1e-3 * t:
            found.append(min(t, 1.0))
    return (*found[:-1], 1.0)


def plan_of(
    known: Sequence[Known], design: Design, min_days: int, max_weeks: int
) -> SizePlan:
    """Return what each metric needs, what each week shows, and the power there is."""
    weeks = [k for k in known if 0 < k.week <= max_weeks]
    least = ceil(min_days / WEEK)
    ready: dict[str, int] = {}
    by_week: list[PlanWeek] = []
    for one in weeks:
        information = _looks(design.plan, weeks, one.week)
        for metric in one.metrics.values():
            row = _week(one, metric, design, information)
            by_week.append(row)
            if row.enough and one.week >= least:
                ready.setdefault(metric.name, one.week)
    last = known[-1]
    asked = [
        m.name
        for m in last.metrics.values()
        if _effect(m, no_harm=design.no_harm) is not None
    ]
    reached = bool(asked) and all(name in ready for name in asked)
    answer = max(ready[name] for name in asked) if reached else None
    at = next((k for k in weeks if k.week == answer), weeks[-1] if weeks else last)
    information = _looks(design.plan, weeks, at.week)
    needs = tuple(
        _need(metric, design, information, ready.get(metric.name))
        for metric in at.metrics.values()
    )
    sizes = [need.units for need in needs if need.effect is not None]
    whole = [size for size in sizes if size is not None]
    units = max(whole) if whole and len(whole) == len(sizes) else None
    return SizePlan(
        needs=needs,
        by_week=tuple(by_week),
        curve=_curve(at, design, information, units),
        units=units,
        weeks=answer,
        days=None if answer is None else answer * WEEK,
        most_weeks=max_weeks,
        known_weeks=max((k.week for k in known), default=0),
        alpha=design.alpha,
        power=design.power,
        scheme=design.plan.kind,
        notices=_notices(at, needs, design, units),
    )


def _week(
    one: Known, metric: Baseline, design: Design, information: tuple[float, ...]
) -> PlanWeek:
    units = one.units.get(metric.name, 0.0)
    if not _varies(metric):  # nobody's window is over, or nothing happened yet
        return PlanWeek(one.week, int(units), metric.name, None, None, None, None)
    ask = _ask(metric, design, information)
    n0, ratio = units * design.shares[0], design.shares[1] / design.shares[0]
    effect = power = None
    if min(n0, n0 * ratio) > 1:
        effect = effect_found(ask.demand, ask.reading, n0, power=ask.power, ratio=ratio)
        if ask.named:
            power = power_of(ask.demand, ask.reading, n0, ratio=ratio)
    size = abs(metric.mean)
    enough = None
    if ask.named:
        enough = units >= ask.units(design.shares)
    return PlanWeek(
        week=one.week,
        units=int(units),
        metric=metric.name,
        mde=None if effect is None else abs(effect),
        mde_relative=None if effect is None or not size else abs(effect) / size,
        power=power,
        enough=enough,
    )


def _varies(metric: Baseline) -> bool:
    return 0 < metric.variance < inf and not metric_faults(metric, no_harm=False)


def _need(
    metric: Baseline, design: Design, information: tuple[float, ...], weeks: int | None
) -> Need:
    ask = _ask(metric, design, information)
    effect = _effect(metric, no_harm=design.no_harm)
    size = abs(metric.mean)
    sizes: tuple[int | None, ...] = (None, None, None)
    if effect is not None:
        whole = ask.units(design.shares) / (1 - metric.missing_rate)
        if isfinite(whole) and whole < 1e15:
            each = [ceil(whole * share - 1e-6) for share in design.shares]
            total = sum(ceil(whole * share - 1e-6) for share in design.split)
            sizes = (total, *each)
    return Need(
        metric=metric.name,
        role=metric.role,
        test="margin" if ask.demand.margin else "difference",
        arm=design.arm,
        mean=metric.mean,
        sd=sqrt(metric.variance),
        r_squared=metric.r_squared,
        design_effect=metric.design,
        alpha=ask.reading.alpha,
        power=ask.power,
        effect=effect,
        effect_relative=None if effect is None or not size else effect / size,
        units=sizes[0],
        units_control=sizes[1],
        units_treatment=sizes[2],
        weeks=weeks,
    )


def _curve(
    at: Known, design: Design, information: tuple[float, ...], units: int | None
) -> tuple[PowerPoint, ...]:
    """Return power by effect, at the planned size or at the last one known."""
    found = []
    ratio = design.shares[1] / design.shares[0]
    for metric in at.metrics.values():
        ask = _ask(metric, design, information)
        if metric.role == "diagnostic":
            continue
        total = at.units.get(metric.name, 0.0)
        if units is not None:
            total = units * (1 - metric.missing_rate)
        n0 = total * design.shares[0]
        if min(n0, n0 * ratio) <= 1:
            continue
        base = ask.demand.effect
        if not ask.named:
            known = effect_found(
                ask.demand, ask.reading, n0, power=ask.power, ratio=ratio
            )
            if known is None:
                continue
            base = known
        for multiple in CURVE:
            effect = base * multiple
            if metric.is_share and not ask.demand.margin:
                effect = min(max(effect, -metric.mean), 1 - metric.mean)
            demand = replace(ask.demand, effect=effect)
            found.append(
                PowerPoint(
                    metric=metric.name,
                    effect=effect,
                    effect_relative=effect / abs(metric.mean) if metric.mean else None,
                    power=power_of(demand, ask.reading, n0, ratio=ratio),
                )
            )
    return tuple(dict.fromkeys(found))


def _notices(
    at: Known, needs: Sequence[Need], design: Design, units: int | None
) -> tuple[Notice, ...]:
    said = []
    for need in needs:
        metric = at.metrics[need.metric]
        if need.effect is None and need.role != "diagnostic":
            said.append(Notice("no_effect_named", "info", (("metric", need.metric),)))
        rate = metric.nonzero_rate
        if rate is None and metric.kind == "proportion":
            rate = metric.mean
        if rate is not None and units is not None:
            few = units * min(design.shares) * rate
            if few < LEAST:
                args = (("metric", need.metric), ("units", int(few)))
                said.append(Notice("plan_few_nonzero", args=args))
    return tuple(said)
