"""What did each arm do to each metric? Arithmetic on moments, no table in sight."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date  # noqa: TC003  (a result's types can be read at run time)
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from growth.abtest.experiment import Experiment  # noqa: TC001
from growth.errors import DataError, ParameterError, suggest
from growth.result import Cell, Estimate, Notice, Result, plain
from growth.stats import means, proportions
from growth.stats.contrast import ArmEstimate, Contrast
from growth.stats.counts import chi2_independence
from growth.stats.moments import Moments, merge
from growth.stats.multiplicity import adjust

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from growth.abtest.experiment import Metric
    from growth.stats.means import Adjusted
    from growth.stats.multiplicity import Method

__all__ = [
    "Analysis",
    "ArmCell",
    "Effect",
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
}
DELTA: Final = "delta"
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
        ``cuped`` and so on.
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

    @property
    def better(self) -> bool:
        """Whether the adjusted interval is wholly on the good side of 0."""
        low, high = self.ci_adj_low, self.ci_adj_high
        if low is None or high is None:
            return False
        return low > 0 if self.good == "up" else high < 0

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
        """Return one row per effect; a total has None in the breakdown columns."""
        names = list(dict.fromkeys(name for e in self.effects for name, _ in e.by))
        return [_row(effect, names) for effect in self.effects]

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
    for metric in experiment.metrics:
        names = covariates_of(experiment, metric)
        filled = tuple(f"{name}{MISSING}" for name in names if name in gaps)
        sets.append((*metric.columns, *names, *filled))
    return tuple(dict.fromkeys(sets))


def analyze_from_moments(
    cells: Iterable[ArmCell] | Mapping[str, Moments],
    experiment: Experiment,
    *,
    variances: Mapping[tuple[str, By], Mapping[str, float | None]] | None = None,
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
        If the moments lack a metric's columns (code ``moments_mismatch``).

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
    work = _Work(experiment, variances or {})
    for (names, values), arms in groups.items():
        work.compare(arms, tuple(zip(names, map(_text, values), strict=True)))
    effects = _adjusted(work.found, experiment)
    said = [*notices, *work.notices]
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
        notices=tuple(dict.fromkeys(said)),
    )


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
        One per metric and treatment arm.
    """
    work = _Work(experiment, {})
    work.compare(arms, by)
    return [Effect(**draft) for draft, _ in work.found]


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
    ) -> None:
        self.experiment = experiment
        self.variances = variances
        self.found: list[tuple[Draft, Contrast]] = []
        self.notices: list[Notice] = []

    def compare(self, cells: Mapping[str, ArmCell], by: By) -> None:
        """Add every metric and arm of one segment, or of the total."""
        exp = self.experiment
        for metric in exp.metrics:
            arms = moments_by_arm(cells, metric, exp)
            for m in arms.values():
                _check_values(metric, m)
            if not by:
                self._check_nulls(metric, arms, cells)
            estimates, method = self._estimates(metric, arms, by)
            for arm in exp.treatments:
                pair = (arms[exp.control], arms[arm])
                contrast = _contrast(
                    metric, estimates[exp.control], estimates[arm], pair, method
                )
                draft = _draft(metric, exp, by, arm, contrast, method)
                self.found.append((draft, contrast))
                if not by:
                    self._remark(metric, draft, contrast, pair)

    def _estimates(
        self, metric: Metric, arms: Mapping[str, Moments], by: By
    ) -> tuple[dict[str, ArmEstimate], str]:
        if covariates_of(self.experiment, metric):
            fit = fit_arms(arms, self.experiment, metric)
            if (metric.name, by) in self.variances and fit.method != "cuped":
                fit = means.with_variances(fit, self.variances[metric.name, by])
            if not by:
                self._check_covariates(metric, arms, fit)
            return fit.arms, fit.method
        if metric.kind == "ratio":
            return {a: means.ratio(m, *metric.columns) for a, m in arms.items()}, DELTA
        (column,) = metric.columns
        if metric.kind == "proportion":
            return {arm: _share(m, column) for arm, m in arms.items()}, metric.test
        return {arm: means.mean(m, column) for arm, m in arms.items()}, "welch"

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
            elif contrast.estimate is None and metric.kind == "ratio":
                self.notices.append(Notice("ratio_undefined", args=who))
            elif contrast.estimate is None or not _finite(pair):
                self.notices.append(Notice("not_computable", args=who))
            else:
                self.notices.append(Notice("constant_metric", args=who))
        elif draft["lift_low"] is None:
            self.notices.append(Notice("lift_unbounded", args=who))
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
) -> Draft:
    """Return an effect's fields, those of the adjustment still missing."""
    control, treatment = contrast.control, contrast.treatment
    low, high, lift_low, lift_high = _ends(contrast, experiment.alpha)
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
        "p_value": contrast.p_value,
        "method": method,
    }


def _ends(contrast: Contrast, alpha: float) -> tuple[float | None, ...]:
    """Return the ends of the interval, then those of the lift."""
    blank = (None, None)
    return (
        *(contrast.interval(alpha) or blank),
        *(contrast.lift_interval(alpha) or blank),
    )


def _root(variance: float | None) -> float | None:
    return None if variance is None else variance**0.5


def _adjusted(
    found: Sequence[tuple[Draft, Contrast]], experiment: Experiment
) -> tuple[Effect, ...]:
    """Adjust each family; what cannot be computed keeps its place as p = 1."""
    alpha = experiment.alpha
    families: dict[str, list[int]] = defaultdict(list)
    for i, (draft, _) in enumerate(found):
        families["segment" if draft["by"] else draft["role"]].append(i)
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
                else _ends(found[i][1], level)
            )
            draft["ci_adj_low"], draft["ci_adj_high"] = ends[:2]
            draft["lift_adj_low"], draft["lift_adj_high"] = ends[2:]
    return tuple(Effect(**draft) for draft, _ in found)


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
)


def _row(effect: Effect, names: Sequence[str]) -> dict[str, Cell]:
    """Write one effect as a row; a segment of NULL is the text NULL, no total."""
    where = {name: "NULL" if value is None else value for name, value in effect.by}
    return {
        "metric": effect.metric,
        "role": effect.role,
        **{name: where.get(name) for name in names},
        **{name: getattr(effect, name) for name in _COLUMNS},
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
