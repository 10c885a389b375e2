"""What did each arm do to each metric? Arithmetic on moments, no table in sight."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from datetime import date  # noqa: TC003  (a result's types can be read at run time)
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from growth.abtest.cells import (
    MISSING,
    ArmCell,
    By,
    by_stratum,
    check_values,
    covariates_of,
    moments_by_arm,
    segment_of,
    sort_cells,
)
from growth.abtest.effects import (
    PRIOR,
    Draft,
    Effect,
    adjusted,
    draft_of,
    estimates_of,
    row_of,
)
from growth.abtest.experiment import Experiment  # noqa: TC001
from growth.abtest.looks import Looks  # noqa: TC001
from growth.abtest.plans import FEW_TO_WATCH, Fixed, Look, Standing
from growth.abtest.readings import Reading, Threshold, readings, stratum_of
from growth.errors import DataError, ParameterError
from growth.result import Cell, Estimate, Notice, Result, plain
from growth.stats import means, proportions
from growth.stats.bayes import STABLE
from growth.stats.clusters import FEW_CLUSTERS
from growth.stats.contrast import ArmEstimate, Contrast
from growth.stats.counts import chi2_independence
from growth.stats.strata import post_stratify

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from growth.abtest.cells import Strata
    from growth.abtest.experiment import Metric
    from growth.stats.means import Adjusted
    from growth.stats.moments import Moments

__all__ = [
    "Analysis",
    "ClusterFacts",
    "Passes",
    "analyze_from_moments",
    "effects_of",
    "fit_arms",
]

IMBALANCE_ALPHA: Final = 0.001  # null shares and covariates: checked often, so strict
DELTA: Final = "delta"


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
        return [row_of(effect, names, self.prior) for effect in shown]

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
            found += estimates_of(effects, 1 - self.experiment.alpha)
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


def _is_prior(prior: Any) -> bool:  # noqa: ANN401
    """Whether a prior is a mean and a spread above 0, both finite."""
    try:
        mean, sd = prior
        return bool(isfinite(mean) and isfinite(sd) and sd > 0)
    except (TypeError, ValueError):
        return False


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
    if prior is not None and not _is_prior(prior):
        msg = f"prior is {prior!r}; it must be a mean and a standard deviation, which"
        msg = f"{msg} must be above 0 and finite; give None for a flat prior."
        raise ParameterError(msg, code="bad_scale")
    found = passes or Passes()
    standing = _standing(experiment, look, total)
    work = _Work(
        experiment,
        variances or {},
        quantiles=found.quantiles,
        strata=by_stratum(found.strata, experiment),
        caps=found.caps,
        looks=standing.looks,
    )
    for (names, values), arms in groups.items():
        work.compare(arms, segment_of(names, values))
    rows = adjusted(work.found, experiment, standing.past)
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
    return [Effect(**draft) for draft, *_ in work.found if not draft["twin"]]


class _Work:
    """Collects effects with their contrasts, and what was noticed on the way."""

    def __init__(
        self,
        experiment: Experiment,
        variances: Mapping[tuple[str, By], Mapping[str, float | None]],
        *,
        quantiles: Mapping[tuple[str, By], Mapping[str, ArmEstimate]] | None,
        strata: Strata | None,
        caps: Sequence[Threshold] = (),
        looks: Mapping[str, Look] | None = None,
    ) -> None:
        self.experiment = experiment
        self.readings = readings(experiment)
        self.treatments = experiment.treatments
        self.looks = looks or {}
        self.look = Fixed().look(alpha=experiment.alpha)
        self.variances = variances
        self.quantiles = quantiles
        self.strata = strata
        self.caps: dict[str, Threshold] = {}
        for cap in caps:
            self.caps.setdefault(cap.metric, cap)
        self.found: list[tuple[Draft, Contrast, Look]] = []
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
                check_values(metric, m)
            if not by and reading.decides:
                self._check_nulls(metric, arms, cells)
            estimates, method = self._estimates(metric, arms, by)
            look = self.looks.get(reading.name, self.look)
            for arm in self.treatments:
                pair = (arms[exp.control], arms[arm])
                contrast = _contrast(
                    metric, estimates[exp.control], estimates[arm], pair, method
                )
                own = look.of(contrast)
                draft = draft_of(metric, exp, by, arm, contrast, method, own)
                self._mark(draft, reading, contrast, own)
                self.found.append((draft, contrast, own))
                if not by and reading.decides:
                    self._remark(metric, draft, contrast, pair)
                    if own is not look:
                        self._waits(metric, arm, contrast)

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

    def _waits(self, metric: Metric, arm: str, contrast: Contrast) -> None:
        least = min(contrast.control.n, contrast.treatment.n)
        who = (("metric", metric.name), ("arm", arm))
        args = (*who, ("units", least), ("limit", FEW_TO_WATCH))
        self.notices.append(Notice("few_to_watch", "info", args))

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


def _few_clusters(total: Mapping[str, ArmCell], experiment: Experiment) -> list[Notice]:
    if experiment.unit != "cluster":
        return []
    return [
        Notice("few_clusters", args=(("arm", arm), ("clusters", cell.rows)))
        for arm, cell in total.items()
        if cell.rows < FEW_CLUSTERS
    ]


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
