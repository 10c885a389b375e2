"""What did each arm do to each metric? Arithmetic on moments, no table in sight."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date  # noqa: TC003  (a result's types can be read at run time)
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from growth.abtest.experiment import Experiment  # noqa: TC001
from growth.abtest.looks import Looks  # noqa: TC001
from growth.abtest.plans import Fixed, Look, Standing
from growth.abtest.readings import Reading, Threshold, readings, stratum_of
from growth.errors import DataError, ParameterError, suggest
from growth.result import Cell, Estimate, Notice, Result, plain
from growth.stats import means, proportions
from growth.stats.bayes import STABLE, Posterior, lift_posterior
from growth.stats.clusters import FEW_CLUSTERS
from growth.stats.contrast import ArmEstimate, Contrast
from growth.stats.counts import chi2_independence
from growth.stats.moments import Moments, merge
from growth.stats.multiplicity import adjust
from growth.stats.strata import post_stratify

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from growth.abtest.experiment import Metric
    from growth.stats.means import Adjusted
    from growth.stats.multiplicity import Method

__all__ = [
    "Analysis",
    "ArmCell",
    "ClusterFacts",
    "Effect",
    "Passes",
    "analyze_from_moments",
    "by_columns",
    "column_sets",
    "covariates_of",
    "effects_of",
    "fit_arms",
    "moments_by_arm",
    "pooled",
    "sort_cells",
]

By = tuple[tuple[str, str | None], ...]
Draft = dict[str, Any]

IMBALANCE_ALPHA: Final = 0.001  # null shares and covariates: checked often, so strict
FAMILIES: Final[Mapping[str, Method]] = {
    "goal": "holm",
    "guardrail": "none",
    "diagnostic": "bh",
    "segment": "bh",
    "twin": "bh",
}
DELTA: Final = "delta"
PRIOR: Final = (0.0, 0.3)  # of the lift: mean and standard deviation
MISSING: Final = "__missing"  # a covariate's indicator column


class ArmCell(NamedTuple):
    """Moments of one arm, or of one arm in one segment.

    Parameters
    ----------
    by : tuple of str
        Column names: the variant first, then those of the segment.
    key : tuple
        Their values, in the same order.
    rows : int
        Units, 0 or more.
    moments : mapping of tuple of str to Moments
        For each set of columns used together, the units that have all of them.
    """

    by: tuple[str, ...]
    key: tuple[object, ...]
    rows: int
    moments: Mapping[tuple[str, ...], Moments]


class ClusterFacts(NamedTuple):
    """How alike the members of one arm's clusters are, and what that costs.

    Parameters
    ----------
    metric, arm : str
        What it is about.
    clusters, units : int
        Clusters with a value, and their members with one.
    icc, design_effect : float or None
        Correlation within clusters, in [0, 1], and by how much it multiplies the
        variance; None where not computable.
    """

    metric: str
    arm: str
    clusters: int
    units: int
    icc: float | None
    design_effect: float | None


class Passes(NamedTuple):
    """What looks at the rows other than the scan of moments found.

    Parameters
    ----------
    quantiles : mapping
        Estimates of the quantile metrics, which no moments hold: by metric and
        segment, then by arm.
    strata : sequence of ArmCell
        Units by arm and stratum (by arm, segment and stratum), the stratum last;
        needed where a metric is stratified.
    caps : sequence of Threshold
        Where the capped columns (``<name>__capped``) were capped.
    clusters : sequence of ClusterFacts
        How alike the members of a cluster are.
    """

    quantiles: Mapping[tuple[str, By], Mapping[str, ArmEstimate]] = {}
    strata: Sequence[ArmCell] = ()
    caps: Sequence[Threshold] = ()
    clusters: Sequence[ClusterFacts] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One metric, one treatment arm against control, in total or in one segment.

    Parameters
    ----------
    metric, role, arm, control : str
        What is compared.
    by : tuple of (str, str or None)
        The segment as column-value pairs; empty for the total.
    good : {"up", "down"}
        Which way is an improvement.
    unit : str
        How values are written: ``share``, ``fen``, ``count``, ``ms``.
    n_control, n_treatment : int
        Units with a value.
    mean_control, mean_treatment : float or None
        Means, shares or ratios; adjusted for covariates where `method` says so.
    se_control, se_treatment : float or None
        Their standard errors.
    df_treatment : float
        Degrees of freedom of `se_treatment`; None if infinite or unknown.
    estimate, se, ci_low, ci_high : float or None
        Treatment minus control, in the metric's unit.
    lift, lift_low, lift_high : float or None
        The same relative to the size of the control.
    p_value : float or None
        Two-sided.
    p_adj, ci_adj_low, ci_adj_high, lift_adj_low, lift_adj_high : float or None
        Adjusted for multiplicity: the interval leaves out 0 exactly when
        `p_adj` is at most alpha.
    level : float or None
        Coverage of the adjusted interval, in (0, 1).
    method : str
        ``welch``, ``wald``, ``pooled``, ``delta``, ``lin_hc2``, ``lin_moments``,
        ``cuped``, ``post_stratified``, ``quantile``, ``clusters`` and so on.
    margin : float, optional
        Largest loss one can bear, as declared.
    margin_kind : {"relative", "absolute"}
        The scale of `margin`.
    p_noninferior : float, optional
        One-sided, of "worse by the margin or more"; held against half the level.
    capped : bool, optional
        Whether values beyond the thresholds counted as the thresholds; None where
        the metric has no cap.
    cap_low, cap_high : float, optional
        The thresholds (a ratio's are those of its numerator).
    twin : bool
        Whether it only stands beside the row that decides.
    plan : {"fixed", "group_sequential", "always_valid", "hybrid"}
        What the intervals and p-values are valid under.
    nominal : float, optional
        The level at which the plan reads an ordinary interval at this look: alpha
        itself under a fixed plan; None where nothing can be concluded yet.
    statistic : float, optional
        Estimate over its standard error (t or z).
    critical : float, optional
        Under a sequential plan, what `statistic` is held against at this look, at
        the level of the adjusted interval; None where nothing can be concluded yet.
    """

    metric: str
    role: str
    by: By = ()
    arm: str
    control: str
    good: str
    unit: str
    n_control: int
    n_treatment: int
    mean_control: float | None
    mean_treatment: float | None
    se_control: float | None
    se_treatment: float | None
    df_treatment: float | None
    estimate: float | None
    se: float | None
    ci_low: float | None
    ci_high: float | None
    lift: float | None
    lift_low: float | None
    lift_high: float | None
    p_value: float | None
    p_adj: float | None = None
    level: float | None = None
    ci_adj_low: float | None = None
    ci_adj_high: float | None = None
    lift_adj_low: float | None = None
    lift_adj_high: float | None = None
    method: str
    margin: float | None = None
    margin_kind: str = "relative"
    p_noninferior: float | None = None
    capped: bool | None = None
    cap_low: float | None = None
    cap_high: float | None = None
    twin: bool = False
    plan: str = "fixed"
    nominal: float | None = None
    statistic: float | None = None
    critical: float | None = None

    @property
    def noninferior(self) -> bool | None:
        """Whether the adjusted interval clears the margin; None if unknown."""
        ends = self._against_margin()
        return None if ends is None else ends[0] > -ends[2]

    @property
    def equivalent(self) -> bool | None:
        """Whether the adjusted interval lies within the margin on both sides."""
        ends = self._against_margin()
        return None if ends is None else ends[0] > -ends[2] and ends[1] < ends[2]

    def _against_margin(self) -> tuple[float, float, float] | None:
        """Return the interval, turned so that up is good, and the margin."""
        low, high = self.lift_adj_low, self.lift_adj_high
        if self.margin_kind == "absolute":
            low, high = self.ci_adj_low, self.ci_adj_high
        if self.margin is None or low is None or high is None:
            return None
        ends = (low, high) if self.good == "up" else (-high, -low)
        return (*ends, self.margin)

    def posterior(
        self, prior: tuple[float, float] | None = PRIOR, *, alpha: float = 0.05
    ) -> Posterior | None:
        """Return what the lift is believed to be after the data.

        Parameters
        ----------
        prior : tuple of (float, float), or None
            Mean and standard deviation of the lift beforehand, as shares; None is
            flat.
        alpha : float, default 0.05
            The interval holds 1 - alpha, in (0, 1).

        Returns
        -------
        Posterior or None
            Winning is meant in the metric's good direction; `mean` and `interval`
            are of the lift as it is shown. None where the control is within 5
            standard errors of 0 (notice ``lift_unstable``).

        Raises
        ------
        ParameterError
            If the prior's standard deviation is not positive (``bad_scale``).
        """
        control, treatment = (
            ArmEstimate(n, value, None if se is None else se * se)
            for n, value, se in (
                (self.n_control, self.mean_control, self.se_control),
                (self.n_treatment, self.mean_treatment, self.se_treatment),
            )
        )
        mean, sd = prior or (0.0, None)
        pair = Contrast(control, treatment)
        found = lift_posterior(pair, prior_mean=mean, prior_sd=sd, alpha=alpha)
        if found is None or self.good == "up":
            return found
        return found._replace(
            chance_to_win=1 - found.chance_to_win,
            expected_loss_ship=found.expected_loss_keep,
            expected_loss_keep=found.expected_loss_ship,
        )

    @property
    def better(self) -> bool:
        """Whether the adjusted interval is wholly on the good side of 0."""
        low, high = self.ci_adj_low, self.ci_adj_high
        if low is None or high is None:
            return False
        return low > 0 if self.good == "up" else high < 0

    @property
    def harmful(self) -> bool:
        """Whether the adjusted interval lies wholly beyond the margin."""
        ends = self._against_margin()
        return ends is not None and ends[1] < -ends[2]

    @property
    def worse(self) -> bool:
        """Whether the adjusted interval is wholly on the bad side of 0."""
        low, high = self.ci_adj_low, self.ci_adj_high
        if low is None or high is None:
            return False
        return high < 0 if self.good == "up" else low > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis(Result):
    """Every effect of an experiment.

    Parameters
    ----------
    experiment : Experiment
        The declaration that was followed.
    effects : tuple of Effect
        Totals first, in the order of the metrics and arms, then segments.
    arms : tuple of (str, int)
        Units per open arm.
    units : int
        Units analysed, over all open arms.
    days : int, optional
        Days the experiment has run; None if the table has no days.
    first_day, last_day : date, optional
        First and last local day of exposure.
    crossovers : int
        Units seen in several arms and left out.
    immature : tuple of (str, int)
        Per windowed metric, units whose window is not over.
    twins : tuple of Effect
        For each effect of a capped metric the same without the cap, or with it
        where the uncapped one decides.
    caps : tuple of Threshold
        Where each capped column was capped.
    clusters : tuple of ClusterFacts
        Where clusters were randomised, how alike their members are.
    prior : tuple of (float, float), or None
        What the Bayesian columns take the lift to be beforehand: mean and standard
        deviation; None is flat.
    looks : Looks, optional
        Under a sequential plan every look so far; None where the table does not
        say who was exposed when.
    """

    experiment: Experiment = field(repr=False)
    effects: tuple[Effect, ...]
    arms: tuple[tuple[str, int], ...]
    units: int
    days: int | None = None
    first_day: date | None = None
    last_day: date | None = None
    crossovers: int = 0
    immature: tuple[tuple[str, int], ...] = ()
    twins: tuple[Effect, ...] = ()
    caps: tuple[Threshold, ...] = ()
    clusters: tuple[ClusterFacts, ...] = ()
    prior: tuple[float, float] | None = PRIOR
    looks: Looks | None = None

    @property
    def verdict(self) -> str:
        """`abtest.analyze.` and what the goals show.

        `better`, `worse`, `mixed`, `no_difference` or `not_computable`.
        """
        goals = [e for e in self.totals() if e.role == "goal"]
        if all(e.p_value is None for e in goals):
            return "abtest.analyze.not_computable"
        better, worse = any(e.better for e in goals), any(e.worse for e in goals)
        if better and worse:
            return "abtest.analyze.mixed"
        if better or worse:
            return f"abtest.analyze.{'better' if better else 'worse'}"
        return "abtest.analyze.no_difference"

    @property
    def mature_units(self) -> int:
        """Units whose window is over for every goal."""
        goals = {m.name for m in self.experiment.metrics if m.role == "goal"}
        waiting = [units for name, units in self.immature if name in goals]
        return self.units - max(waiting, default=0)

    def totals(self) -> tuple[Effect, ...]:
        """Return the effects over all units."""
        return tuple(e for e in self.effects if not e.by)

    def segments(self) -> tuple[Effect, ...]:
        """Return the effects within segments."""
        return tuple(e for e in self.effects if e.by)

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row per effect, its twin after it where it has one.

        A total has None in the breakdown columns.
        """
        names = list(dict.fromkeys(name for e in self.effects for name, _ in e.by))
        beside = {(e.metric, e.arm, e.by): e for e in self.twins}
        shown = []
        for e in self.effects:
            shown.append(e)
            if twin := beside.get((e.metric, e.arm, e.by)):
                shown.append(twin)
        return [_row(effect, names, self.prior) for effect in shown]

    def twin_of(self, effect: Effect) -> Effect | None:
        """Return the row shown beside `effect`, None if its metric has no cap."""
        key = (effect.metric, effect.arm, effect.by)
        found = (e for e in self.twins if (e.metric, e.arm, e.by) == key)
        return next(found, None)

    def estimates(self) -> tuple[Estimate, ...]:
        """Return per metric and arm the mean, and against control the lift."""
        found: list[Estimate] = []
        for metric in self.experiment.metrics:
            effects = [e for e in self.totals() if e.metric == metric.name]
            found += _estimates(effects, 1 - self.experiment.alpha)
        return tuple(found)

    def to_dict(self) -> dict[str, object]:
        """Return plain values only; the declaration as its file's keys."""
        names = [f.name for f in fields(self) if f.name != "experiment"]
        values = {name: plain(getattr(self, name)) for name in names}
        return {
            "verdict": self.verdict,
            **values,
            "experiment": self.experiment.to_dict(),
        }


def by_columns(by: Sequence[str | Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """Return breakdowns as tuples of columns: a name alone, a list crossed."""
    return tuple((item,) if isinstance(item, str) else tuple(item) for item in by)


def covariates_of(experiment: Experiment, metric: Metric) -> tuple[str, ...]:
    """Return the covariates a metric is adjusted for; none if adjust is none."""
    return () if experiment.adjust == "none" else metric.covariates


def column_sets(
    experiment: Experiment, *, holey: Iterable[str] = ()
) -> tuple[tuple[str, ...], ...]:
    """Return the sets of columns whose joint moments the analysis reads.

    Parameters
    ----------
    experiment : Experiment
        The declaration.
    holey : iterable of str, optional
        Covariates that hold NULL: they are filled with 0 and joined by a column
        ``<name>__missing`` of 0 and 1.

    Returns
    -------
    tuple of tuple of str
        One per metric without repeats: its columns, then its covariates.
    """
    gaps = set(holey)
    sets = []
    for metric, *_ in readings(experiment):
        names = covariates_of(experiment, metric)
        filled = tuple(f"{name}{MISSING}" for name in names if name in gaps)
        sets.append((*metric.columns, *names, *filled))
    return tuple(dict.fromkeys(sets))


def analyze_from_moments(
    cells: Iterable[ArmCell] | Mapping[str, Moments],
    experiment: Experiment,
    *,
    variances: Mapping[tuple[str, By], Mapping[str, float | None]] | None = None,
    passes: Passes | None = None,
    prior: tuple[float, float] | None = PRIOR,
    look: Look | Standing | None = None,
    days: int | None = None,
    first_day: date | None = None,
    last_day: date | None = None,
    crossovers: int = 0,
    immature: Mapping[str, int] | None = None,
    notices: Sequence[Notice] = (),
) -> Analysis:
    """Compare every arm with control on every metric, from moments.

    Parameters
    ----------
    cells : iterable of ArmCell, or mapping of str to Moments
        Units by arm, and by arm and segment; or, from running totals, one record
        per arm that holds all columns jointly.
    experiment : Experiment
        The declaration.
    variances : mapping, optional
        Exact HC2 variances summed over the rows: by metric and segment, then by
        arm. Where absent, Lin's estimate has the standard error from moments.
    passes : Passes, optional
        What other looks at the rows found: quantiles, strata, thresholds, clusters.
    prior : tuple of (float, float), or None, default (0, 0.3)
        Mean and standard deviation of the lift beforehand; None is flat.
    look : Look or Standing, optional
        How far the plan is: ``experiment.plan.look([0.25, 0.5], alpha=...)`` is
        the second look at half of the planned units. Omitted under a sequential
        plan: this is the first look, and all its units can be read.
    days : int, optional
        Days the experiment has run.
    first_day, last_day : date, optional
        First and last day of exposure.
    crossovers : int, default 0
        Units left out because they were seen in several arms.
    immature : mapping of str to int, optional
        Per windowed metric, units whose window is not over.
    notices : sequence of Notice, optional
        What was noticed while reading.

    Returns
    -------
    Analysis
        One effect per metric, treatment arm and segment.

    Raises
    ------
    DataError
        If an arm is NULL (code ``null_value``) or not declared
        (``unknown_arm``), there are no units (``no_units``), a metric has an
        infinite value (``infinite_value``), or a proportion a value that is
        neither 0 nor 1 (``not_a_share``).
    ParameterError
        If the moments lack a metric's columns, quantiles or strata (code
        ``moments_mismatch``), or the prior is no spread (``bad_scale``).

    Notes
    -----
    Goals are adjusted by Holm over goals and arms (or over the arms of each goal,
    `scope` metric), guardrails not at all because every one must pass,
    diagnostics by Benjamini-Hochberg, and so are all segment rows together. What
    cannot be computed keeps its place in its family.
    """
    groups = sort_cells(cells, experiment)
    total = groups.get(((), ()))
    if not total or not any(cell.rows for cell in total.values()):
        msg = "the table has no units in an open arm; it must have some; check the"
        msg += f" dates, and that the arms are {list(experiment.arms)}."
        raise DataError(msg, code="no_units")
    if prior is not None and not 0 < prior[1] < float("inf"):
        msg = f"prior is {prior}; its standard deviation must be above 0 and finite;"
        raise ParameterError(f"{msg} give None for a flat prior.", code="bad_scale")
    found = passes or Passes()
    standing = _standing(experiment, look, total)
    work = _Work(
        experiment,
        variances or {},
        quantiles=found.quantiles,
        strata=_by_stratum(found.strata, experiment),
        caps=found.caps,
        looks=standing.looks,
    )
    for (names, values), arms in groups.items():
        work.compare(arms, tuple(zip(names, map(_text, values), strict=True)))
    rows = _adjusted(work.found, experiment, standing)
    effects = tuple(e for e in rows if not e.twin)
    said = [*notices, *work.notices, *_few_clusters(total, experiment)]
    if blank := sum(e.p_value is None for e in effects if e.by):
        args = (("rows", blank),)
        said.append(Notice("segments_not_computable", "info", args))
    waiting = {name: units for name, units in (immature or {}).items() if units}
    for units in dict.fromkeys(waiting.values()):
        alike = ", ".join(name for name, count in waiting.items() if count == units)
        said.append(Notice("immature", "info", (("metric", alike), ("units", units))))
    if crossovers:
        said.append(Notice("crossovers", "info", (("units", crossovers),)))
    if days is None:
        said.append(Notice("days_unknown", "info"))
    return Analysis(
        experiment=experiment,
        effects=effects,
        arms=tuple((arm, cell.rows) for arm, cell in total.items()),
        units=sum(cell.rows for cell in total.values()),
        days=days,
        first_day=first_day,
        last_day=last_day,
        crossovers=crossovers,
        immature=tuple(waiting.items()),
        twins=tuple(e for e in rows if e.twin),
        caps=tuple(found.caps),
        clusters=tuple(found.clusters),
        prior=prior,
        notices=tuple(dict.fromkeys(said)),
    )


def _standing(
    experiment: Experiment,
    look: Look | Standing | None,
    total: Mapping[str, ArmCell],
) -> Standing:
    """Return how each metric stands in the plan; none of them if it is fixed."""
    if isinstance(look, Standing):
        return look
    plan = experiment.plan
    if look is None and plan.sequential:
        units = sum(cell.rows for cell in total.values())
        look = plan.look([units / (plan.units or 1)], alpha=experiment.alpha)
    names = [metric.name for metric in experiment.metrics]
    return Standing(dict.fromkeys(names, look) if look else {})


def fit_arms(
    arms: Mapping[str, Moments], experiment: Experiment, metric: Metric
) -> Adjusted:
    """Fit one adjusted metric in every arm.

    Parameters
    ----------
    arms : mapping of str to Moments
        Per arm, the metric's columns and its covariates.
    experiment : Experiment
        The declaration: Lin or CUPED.
    metric : Metric
        One with covariates; a ratio is adjusted on its linearised values.

    Returns
    -------
    Adjusted
        Ready for contrasts, with what an exact HC2 pass needs.
    """
    names = covariates_of(experiment, metric)
    have = next(iter(arms.values())).columns
    names += tuple(f"{n}{MISSING}" for n in names if f"{n}{MISSING}" in have)
    if metric.kind == "ratio":
        top, bottom = metric.columns
        arms = {
            arm: means.ratio_linear(
                m.pick((top, bottom, *names)),
                metric.name,
                numerator=top,
                denominator=bottom,
            )
            for arm, m in arms.items()
        }
        column = metric.name
    else:
        (column,) = metric.columns
    if experiment.adjust == "cuped":
        return means.cuped(arms, column, names)
    return means.lin(arms, column, names)


def effects_of(
    arms: Mapping[str, ArmCell], experiment: Experiment, by: By
) -> list[Effect]:
    """Return the effects within one segment, not adjusted for multiplicity.

    Parameters
    ----------
    arms : mapping of str to ArmCell
        A cell for every open arm.
    experiment : Experiment
        The declaration.
    by : tuple of (str, str or None)
        The segment's columns and values.

    Returns
    -------
    list of Effect
        One per metric and treatment arm: of a capped metric the one that decides,
        of a stratified one without the strata, of a quantile none.
    """
    work = _Work(experiment, {}, quantiles=None, strata=None)
    work.compare(arms, by)
    return [Effect(**draft) for draft, _ in work.found if not draft["twin"]]


def moments_by_arm(
    arms: Mapping[str, ArmCell], metric: Metric, experiment: Experiment
) -> dict[str, Moments]:
    """Return the moments of one metric's columns and covariates, by arm.

    Parameters
    ----------
    arms : mapping of str to ArmCell
        A cell for every open arm.
    metric : Metric
        The metric.
    experiment : Experiment
        The declaration.

    Returns
    -------
    dict
        The metric's columns come first, then covariates, then their indicators.

    Raises
    ------
    ParameterError
        If a cell lacks a column (code ``moments_mismatch``).
    """
    return {arm: _pick(cell, metric, experiment) for arm, cell in arms.items()}


class _Work:
    """Collects effects with their contrasts, and what was noticed on the way."""

    def __init__(
        self,
        experiment: Experiment,
        variances: Mapping[tuple[str, By], Mapping[str, float | None]],
        *,
        quantiles: Mapping[tuple[str, By], Mapping[str, ArmEstimate]] | None,
        strata: _Strata | None,
        caps: Sequence[Threshold] = (),
        looks: Mapping[str, Look] | None = None,
    ) -> None:
        self.experiment = experiment
        self.readings = readings(experiment)
        self.looks = looks or {}
        self.look = Fixed().look(alpha=experiment.alpha)
        self.variances = variances
        self.quantiles = quantiles
        self.strata = strata
        self.caps: dict[str, Threshold] = {}
        for cap in caps:
            self.caps.setdefault(cap.metric, cap)
        self.found: list[tuple[Draft, Contrast]] = []
        self.notices: list[Notice] = []

    def compare(self, cells: Mapping[str, ArmCell], by: By) -> None:
        """Add every metric and arm of one segment, or of the total."""
        exp = self.experiment
        for reading in self.readings:
            metric = reading.metric
            if metric.kind == "quantile" and self.quantiles is None:
                continue
            arms = moments_by_arm(cells, metric, exp)
            for m in arms.values():
                _check_values(metric, m)
            if not by and reading.decides:
                self._check_nulls(metric, arms, cells)
            estimates, method = self._estimates(metric, arms, by)
            for arm in exp.treatments:
                pair = (arms[exp.control], arms[arm])
                contrast = _contrast(
                    metric, estimates[exp.control], estimates[arm], pair, method
                )
                look = self.looks.get(reading.name, self.look)
                draft = _draft(metric, exp, by, arm, contrast, method, look)
                self._mark(draft, reading, contrast, look)
                self.found.append((draft, contrast))
                if not by and reading.decides:
                    self._remark(metric, draft, contrast, pair)

    def _mark(
        self, draft: Draft, reading: Reading, contrast: Contrast, look: Look
    ) -> None:
        """Add what the reading and the margin say to an effect's fields."""
        metric = reading.metric
        draft |= {
            "metric": reading.name,
            "capped": reading.capped,
            "twin": not reading.decides,
        }
        if reading.capped and (cap := self.caps.get(reading.name)):
            draft |= {"cap_low": cap.low, "cap_high": cap.high}
        if metric.margin is not None:
            relative = metric.margin_kind == "relative"
            test = contrast.noninferiority(
                metric.margin, good=metric.good, relative=relative
            )
            bounded = draft["lift_low"] if relative else draft["ci_low"]
            known = test is not None and bounded is not None
            draft |= {
                "margin": metric.margin,
                "margin_kind": metric.margin_kind,
                "p_noninferior": look.one_sided(test) if test and known else None,
            }

    def _estimates(
        self, metric: Metric, arms: Mapping[str, Moments], by: By
    ) -> tuple[Mapping[str, ArmEstimate], str]:
        if metric.kind == "quantile":
            return self._quantiles(metric, by), "quantile"
        stratum = stratum_of(self.experiment, metric)
        if self.strata is not None and stratum and stratum not in dict(by):
            return self._stratified(metric, stratum, by), "post_stratified"
        if covariates_of(self.experiment, metric):
            fit = fit_arms(arms, self.experiment, metric)
            if (metric.name, by) in self.variances and fit.method != "cuped":
                fit = means.with_variances(fit, self.variances[metric.name, by])
            if not by:
                self._check_covariates(metric, arms, fit)
            return fit.arms, fit.method
        if metric.kind == "ratio":
            method = DELTA if self.experiment.cluster is None else "clusters"
            return {a: means.ratio(m, *metric.columns) for a, m in arms.items()}, method
        (column,) = metric.columns
        if metric.kind == "proportion":
            return {arm: _share(m, column) for arm, m in arms.items()}, metric.test
        return {arm: means.mean(m, column) for arm, m in arms.items()}, "welch"

    def _quantiles(self, metric: Metric, by: By) -> Mapping[str, ArmEstimate]:
        found = (self.quantiles or {}).get((metric.name, by))
        if found is None:
            msg = f"metric {metric.name!r} is a quantile, which no moments hold; its"
            msg += " estimates must come with them; pass quantiles=, or a table."
            raise ParameterError(msg, code="moments_mismatch")
        return found

    def _stratified(
        self, metric: Metric, stratum: str, by: By
    ) -> Mapping[str, ArmEstimate]:
        cells = (self.strata or {}).get((stratum, by))
        if cells is None:
            msg = f"metric {metric.name!r} is stratified by {stratum!r}; cells by arm"
            msg += " and stratum must come with the others; pass strata=, or a table."
            raise ParameterError(msg, code="moments_mismatch")
        top, *bottom = metric.columns
        arms = {
            value: moments_by_arm(group, metric, self.experiment)
            for value, group in cells.items()
        }
        found = post_stratify(arms, top, denominator=bottom[0] if bottom else None)
        if found.pooled and not by:
            args = (("metric", metric.name), ("strata", len(found.pooled)))
            self.notices.append(Notice("strata_pooled", "info", args))
        return found.arms

    def _remark(
        self,
        metric: Metric,
        draft: Draft,
        contrast: Contrast,
        pair: tuple[Moments, Moments],
    ) -> None:
        who = (("metric", metric.name), ("arm", draft["arm"]))
        if draft["p_value"] is None:
            least = min(m.n for m in pair)
            if least < 2:
                args = (*who, ("units", least))
                self.notices.append(Notice("too_few_units", args=args))
            elif metric.kind == "quantile":
                self.notices.append(Notice("quantile_at_mass", args=who))
            elif contrast.estimate is None and metric.kind == "ratio":
                self.notices.append(Notice("ratio_undefined", args=who))
            elif contrast.estimate is None or not _finite(pair):
                self.notices.append(Notice("not_computable", args=who))
            else:
                self.notices.append(Notice("constant_metric", args=who))
        elif draft["lift_low"] is None and draft["ci_low"] is not None:
            self.notices.append(Notice("lift_unbounded", args=who))
        elif abs(draft["mean_control"]) < STABLE * draft["se_control"]:
            self.notices.append(Notice("lift_unstable", "info", who))
        if metric.kind == "proportion" and proportions.low_counts(
            *(proportions.share(m, metric.columns[0]) for m in pair)
        ):
            args = (*who, ("limit", proportions.LOW_COUNT))
            self.notices.append(Notice("low_counts", args=args))

    def _check_nulls(
        self,
        metric: Metric,
        arms: Mapping[str, Moments],
        cells: Mapping[str, ArmCell],
    ) -> None:
        have = [(m.n, cells[arm].rows - m.n) for arm, m in arms.items()]
        test = chi2_independence(have)
        if test is not None and test.p_value < IMBALANCE_ALPHA:
            args = (("metric", metric.name), ("p_value", test.p_value))
            self.notices.append(Notice("null_imbalance", args=args))

    def _check_covariates(
        self, metric: Metric, arms: Mapping[str, Moments], fit: Adjusted
    ) -> None:
        for name in fit.dropped:
            if not name.endswith(MISSING):
                args = (("metric", metric.name), ("covariate", name))
                self.notices.append(Notice("covariate_dropped", "info", args))
        control = arms[self.experiment.control]
        for arm in self.experiment.treatments:
            for name in fit.covariates:
                pair = Contrast(means.mean(control, name), means.mean(arms[arm], name))
                p = pair.p_value
                if p is not None and p < IMBALANCE_ALPHA:
                    args = (("covariate", name.removesuffix(MISSING)), ("arm", arm))
                    self.notices.append(Notice("covariate_imbalance", args=args))


_Strata = dict[tuple[str, By], dict[Hashable, dict[str, ArmCell]]]


def _by_stratum(cells: Iterable[ArmCell], experiment: Experiment) -> _Strata:
    """Sort cells by column of the strata and segment, then by stratum."""
    found: _Strata = defaultdict(dict)
    for (names, values), arms in sort_cells(cells, experiment).items():
        segment = tuple(zip(names[:-1], map(_text, values[:-1]), strict=True))
        found[names[-1], segment][values[-1]] = arms
    return dict(found)


def _few_clusters(total: Mapping[str, ArmCell], experiment: Experiment) -> list[Notice]:
    if experiment.unit != "cluster":
        return []
    return [
        Notice("few_clusters", args=(("arm", arm), ("clusters", cell.rows)))
        for arm, cell in total.items()
        if cell.rows < FEW_CLUSTERS
    ]


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def sort_cells(
    cells: Iterable[ArmCell] | Mapping[str, Moments], experiment: Experiment
) -> dict[tuple[tuple[str, ...], tuple[object, ...]], dict[str, ArmCell]]:
    """Sort cells into segments, each with a cell for every open arm.

    Parameters
    ----------
    cells : iterable of ArmCell, or mapping of str to Moments
        As in `analyze_from_moments`.
    experiment : Experiment
        The declaration.

    Returns
    -------
    dict
        By the segment's columns and values: its arms in the declaration's order,
        closed ones left out, those without units empty. The total comes first.

    Raises
    ------
    DataError
        If an arm is NULL (code ``null_value``) or not declared (``unknown_arm``).
    """
    variant = experiment.columns.variant
    if isinstance(cells, Mapping):
        cells = [
            ArmCell((variant,), (arm,), m.n, {m.columns: m}) for arm, m in cells.items()
        ]
    listed = list(cells)
    groups: dict[Any, dict[str, ArmCell]] = defaultdict(dict)
    for cell in listed:
        arm = _arm(cell.key[0], experiment)
        if experiment.arms[arm]:
            key = (tuple(cell.by[1:]), tuple(cell.key[1:]))
            groups[key][arm] = ArmCell(*cell)
    opened = [arm for arm, weight in experiment.arms.items() if weight]
    sets = {columns for cell in listed for columns in cell.moments}
    none = {columns: Moments.empty(columns) for columns in sets}
    for key, arms in groups.items():
        for arm in opened:
            arms.setdefault(arm, ArmCell((variant, *key[0]), (arm, *key[1]), 0, none))
        groups[key] = {arm: arms[arm] for arm in opened}
    return {key: groups[key] for key in sorted(groups, key=lambda key: bool(key[0]))}


def _arm(value: object, experiment: Experiment) -> str:
    column = experiment.columns.variant
    known = list(experiment.arms)
    if value is None:
        msg = f"column {column!r} holds NULL; every unit needs its arm; drop or label"
        raise DataError(f"{msg} those rows first.", code="null_value")
    if str(value) not in experiment.arms:
        msg = f"column {column!r} holds the arm {str(value)!r}; the experiment declares"
        msg += f" {known}; correct the table or declare it (weight 0 if closed)."
        raise DataError(msg + suggest(str(value), known), code="unknown_arm")
    return str(value)


def _pick(cell: ArmCell, metric: Metric, experiment: Experiment) -> Moments:
    """Return the moments of the metric's columns, its covariates after them."""
    wanted = metric.columns + covariates_of(experiment, metric)
    if not metric.covariates and wanted in cell.moments:
        return cell.moments[wanted]
    holding = [key for key in cell.moments if set(wanted) <= set(key)]
    if not holding:
        known = sorted({column for key in cell.moments for column in key})
        msg = f"metric {metric.name!r} reads {list(wanted)}; the moments hold {known};"
        raise ParameterError(f"{msg} add those columns.", code="moments_mismatch")
    key = min(holding, key=len)
    gaps = [f"{name}{MISSING}" for name in wanted if f"{name}{MISSING}" in key]
    return cell.moments[key].pick((*wanted, *gaps))


def _check_values(metric: Metric, m: Moments) -> None:
    if not m.n:
        return
    for i, column in enumerate(m.columns):
        low, high = float(m.minimum[i]), float(m.maximum[i])
        known = low <= high and not (low == float("-inf") and high == float("inf"))
        if known and not (isfinite(low) and isfinite(high)):
            msg = f"column {column!r} holds an infinite value; it must hold finite"
            msg += " numbers, NULL where there is none; correct those rows."
            raise DataError(msg, code="infinite_value")
    if metric.kind == "proportion":
        low, high = float(m.minimum[0]), float(m.maximum[0])
        known = isfinite(low) and isfinite(high)
        off = abs(float(m.mean[0]) * m.n - int(m.nonzero[0]))
        if known and (low < 0 or high > 1 or off > 1e-3 + 1e-9 * m.n):
            seen = high if high > 1 else low if low < 0 else float(m.mean[0])
            msg = f"column {m.columns[0]!r} of proportion {metric.name!r} holds {seen};"
            msg += " it must be 0 or 1 a unit; correct it or declare a mean."
            raise DataError(msg, code="not_a_share")


def _finite(pair: Iterable[Moments]) -> bool:
    return all(isfinite(float(m.comoment[0, 0])) for m in pair)


def _share(m: Moments, column: str) -> ArmEstimate:
    """Return a share; of a single unit there is no variance to speak of."""
    found = proportions.proportion(m, column)
    return found if m.n >= 2 else replace(found, variance=None)


def _contrast(
    metric: Metric,
    control: ArmEstimate,
    treatment: ArmEstimate,
    pair: tuple[Moments, Moments],
    method: str,
) -> Contrast:
    plain_test = metric.kind != "proportion" or method != metric.test
    if plain_test or method == "wald" or min(m.n for m in pair) < 2:
        return Contrast(control, treatment)
    left, right = (proportions.share(m, metric.columns[0]) for m in pair)
    return proportions.compare(left, right, test=metric.test)


def _draft(
    metric: Metric,
    experiment: Experiment,
    by: By,
    arm: str,
    contrast: Contrast,
    method: str,
    look: Look,
) -> Draft:
    """Return an effect's fields, those of the adjustment still missing."""
    control, treatment = contrast.control, contrast.treatment
    low, high, lift_low, lift_high = _ends(contrast, experiment.alpha, look)
    df = treatment.df
    return {
        "metric": metric.name,
        "role": metric.role,
        "by": by,
        "arm": arm,
        "control": experiment.control,
        "good": metric.good,
        "unit": metric.written_as,
        "n_control": control.n,
        "n_treatment": treatment.n,
        "mean_control": control.value,
        "mean_treatment": treatment.value,
        "se_control": _root(control.variance),
        "se_treatment": _root(treatment.variance),
        "df_treatment": df if isfinite(df) and df > 0 else None,
        "estimate": contrast.estimate,
        "se": contrast.se,
        "ci_low": low,
        "ci_high": high,
        "lift": contrast.lift,
        "lift_low": lift_low,
        "lift_high": lift_high,
        "p_value": look.p_value(contrast),
        "method": method,
        "plan": look.plan.kind,
        "nominal": look.nominal(),
        "statistic": look.statistic(contrast),
    }


def _ends(contrast: Contrast, alpha: float, look: Look) -> tuple[float | None, ...]:
    """Return the ends of the interval, then those of the lift."""
    blank = (None, None)
    return (
        *(look.interval(contrast, alpha) or blank),
        *(look.lift_interval(contrast, alpha) or blank),
    )


def _root(variance: float | None) -> float | None:
    return None if variance is None else variance**0.5


def _adjusted(
    found: Sequence[tuple[Draft, Contrast]],
    experiment: Experiment,
    standing: Standing,
) -> tuple[Effect, ...]:
    """Adjust each family; what cannot be computed keeps its place as p = 1."""
    looks, past = standing
    whole = Fixed().look(alpha=experiment.alpha)
    alpha = experiment.alpha
    families: dict[str, list[int]] = defaultdict(list)
    for i, (draft, _) in enumerate(found):
        family = "segment" if draft["by"] else draft["role"]
        families["twin" if draft["twin"] else family].append(i)
    for family, places in families.items():
        drafts = [found[i][0] for i in places]
        apart = family == "goal" and experiment.scope == "metric"
        adjustment = adjust(
            [1.0 if d["p_value"] is None else d["p_value"] for d in drafts],
            FAMILIES[family],
            alpha,
            families=[d["metric"] if apart else None for d in drafts],
        )
        for i, draft, p_adj, level in zip(
            places, drafts, adjustment.p_adj, adjustment.level_alpha, strict=True
        ):
            if draft["p_value"] is None or level is None:
                continue
            draft["p_adj"], draft["level"] = p_adj, 1 - level
            ends = (
                [draft[name] for name in ("ci_low", "ci_high", "lift_low", "lift_high")]
                if level == alpha
                else _ends(found[i][1], level, looks.get(draft["metric"], whole))
            )
            draft["ci_adj_low"], draft["ci_adj_high"] = ends[:2]
            draft["lift_adj_low"], draft["lift_adj_high"] = ends[2:]
            if look := looks.get(draft["metric"]):
                draft["critical"] = look.critical(level)
                if not draft["by"] and not draft["twin"]:
                    z = past.get((draft["metric"], draft["arm"]), {})
                    _stop(draft, found[i][1], look.with_past(z), level)
    return tuple(Effect(**draft) for draft, _ in found)


def _stop(draft: Draft, contrast: Contrast, look: Look, level: float) -> None:
    """Where the plan stops here, take the p-values of the stage-wise ordering."""
    stop = look.p_at_stop(contrast)
    if stop is not None:
        draft["p_value"] = stop
    stop = look.p_at_stop(contrast, level)
    if stop is not None:
        draft["p_adj"] = max(draft["p_value"], min(1.0, stop * look.alpha / level))


_COLUMNS: Final = (
    "arm",
    "control",
    "n_control",
    "n_treatment",
    "mean_control",
    "mean_treatment",
    "estimate",
    "se",
    "ci_low",
    "ci_high",
    "lift",
    "lift_low",
    "lift_high",
    "p_value",
    "p_adj",
    "ci_adj_low",
    "ci_adj_high",
    "lift_adj_low",
    "lift_adj_high",
    "method",
    "margin",
    "margin_kind",
    "noninferior",
    "p_noninferior",
    "equivalent",
    "capped",
    "cap_low",
    "cap_high",
)
_BELIEFS: Final = (
    ("chance_to_win", "chance_to_win"),
    ("expected_loss_ship", "expected_loss_ship"),
    ("expected_loss_keep", "expected_loss_keep"),
    ("posterior_mean", "mean"),
    ("posterior_sd", "sd"),
)


def _row(
    effect: Effect, names: Sequence[str], prior: tuple[float, float] | None
) -> dict[str, Cell]:
    """Write one effect as a row; a segment of NULL is the text NULL, no total."""
    where = {name: "NULL" if value is None else value for name, value in effect.by}
    belief = effect.posterior(prior)
    return {
        "metric": effect.metric,
        "role": effect.role,
        **{name: where.get(name) for name in names},
        **{name: getattr(effect, name) for name in _COLUMNS},
        **{name: getattr(belief, key, None) for name, key in _BELIEFS},
    }


def _estimates(effects: Sequence[Effect], level: float) -> list[Estimate]:
    if not effects:
        return []
    first = effects[0]
    sides = [(first.control, first.mean_control, first.se_control, first.n_control)]
    sides += [(e.arm, e.mean_treatment, e.se_treatment, e.n_treatment) for e in effects]
    found = [
        Estimate(
            key=f"{first.metric}.mean",
            by=(("arm", arm),),
            value=value,
            se=se,
            n=n,
            unit=first.unit,
            method=first.method,
        )
        for arm, value, se, n in sides
    ]
    for e in effects:
        shared = {
            "by": (("arm", e.arm),),
            "level": level,
            "p_value": e.p_value,
            "n": e.n_control + e.n_treatment,
            "method": e.method,
        }
        found.append(
            Estimate(
                key=f"{e.metric}.difference",
                value=e.estimate,
                se=e.se,
                lo=e.ci_low,
                hi=e.ci_high,
                unit=e.unit,
                **shared,  # type: ignore[arg-type]
            )
        )
        found.append(
            Estimate(
                key=f"{e.metric}.lift",
                value=e.lift,
                lo=e.lift_low,
                hi=e.lift_high,
                unit="ratio",
                **shared,  # type: ignore[arg-type]
            )
        )
    return found


def pooled(cells: Iterable[ArmCell]) -> dict[tuple[str, ...], Moments]:
    """Merge cells that share no unit.

    Parameters
    ----------
    cells : iterable of ArmCell
        One or more.

    Returns
    -------
    dict
        Moments by set of columns.
    """
    parts: dict[tuple[str, ...], list[Moments]] = defaultdict(list)
    for cell in cells:
        for columns, m in cell.moments.items():
            parts[columns].append(m)
    return {columns: merge(found) for columns, found in parts.items()}
