"""Do our own numbers behave under no effect? Arms drawn anew, thousands of times."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol

import numpy as np

from growth.abtest.analysis import DELTA
from growth.abtest.cells import MISSING, covariates_of
from growth.abtest.readings import readings, stratum_of
from growth.errors import DataError, ParameterError, suggest
from growth.result import Cell, Estimate, Notice, Result
from growth.stats import capping, means, nulls
from growth.stats.contrast import critical_value, upper_tail
from growth.stats.counts import clopper_pearson
from growth.stats.moments import Moments
from growth.stats.quantiles import Z
from growth.stats.rerandomise import Redraw, false_alarms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from numpy.typing import ArrayLike, NDArray

    from growth.abtest.experiment import Cap, Experiment, Metric
    from growth.abtest.readings import Reading
    from growth.abtest.units import UnitTable
    from growth.engine import TableLike
    from growth.stats.nulls import ArmArrays, Estimates
    from growth.stats.rerandomise import NullTests

    Array = NDArray[Any]

__all__ = ["Calibrated", "Calibration", "calibrate", "calibrate_from_columns"]

LEAST: Final = 100  # tests below which a rate says nothing
ENOUGH: Final = 100  # units with a value above 0 in an arm: judged in both directions
SURE: Final = 0.01  # chance to suspect a healthy experiment, over all its rows
ROOM: Final = 8_000_000  # features made at once
FEWEST: Final = 20  # expected units of a stratum in an arm; smaller ones go together

Finding = Literal["ok", "inflated", "conservative", "unsure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """How one test of one metric behaved over the re-randomisations.

    Parameters
    ----------
    metric, role, arm, method : str
        What was tested, as in an `Effect`; `arm` stands for all arms of its weight.
    replications : int
        Times the arms were drawn anew.
    not_computable_rate : float
        Share of them without a p-value, in [0, 1].
    rate : float or None
        Share of the others with p < alpha.
    rate_low, rate_high : float or None
        Clopper-Pearson interval of `rate`, 95 %.
    coverage : float or None
        Share of the intervals that hold the true difference, which is 0.
    unbounded_rate : float or None
        Share of the lifts whose interval has no ends; None where the method's lift
        is not Fieller's.
    uniformity_p : float or None
        Kolmogorov's p-value of "p is uniform"; few buyers make p lumpy.
    error_ratio : float or None
        Standard deviation of the differences over the mean standard error.
    nonzero : int
        Units with a value other than 0 to be expected in the smaller arm.
    finding : {"ok", "inflated", "conservative", "unsure"}
        Whether the rate is above or below alpha for certain; below it is held
        against a test only where each arm has 100 units with a value. ``unsure``
        with fewer than 100 tests.
    capped : bool, optional
        As in an `Effect`.
    """

    metric: str
    role: str
    arm: str
    method: str
    replications: int
    not_computable_rate: float
    rate: float | None
    rate_low: float | None
    rate_high: float | None
    coverage: float | None
    unbounded_rate: float | None
    uniformity_p: float | None
    error_ratio: float | None
    nonzero: int
    finding: Finding
    capped: bool | None = None


_SHOWN: Final = tuple(f.name for f in fields(Calibrated) if f.name != "replications")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration(Result):
    """How every metric and method behaves on one's own units when nothing differs.

    Parameters
    ----------
    found : tuple of Calibrated
        One per metric, method and weight of arm.
    units : int
        Units re-randomised; clusters, where clusters are.
    replications : int
        Times the arms were drawn anew.
    alpha : float
        Two-sided level of every test, in (0, 1).
    seed : int
        The same seed and table give the same numbers.
    """

    found: tuple[Calibrated, ...]
    units: int
    replications: int
    alpha: float
    seed: int

    @property
    def verdict(self) -> str:
        """`abtest.calibrate.` and `ok`, `suspicious` or `too_few`."""
        findings = {one.finding for one in self.found}
        if findings & {"inflated", "conservative"}:
            return "abtest.calibrate.suspicious"
        if "ok" not in findings:
            return "abtest.calibrate.too_few"
        return "abtest.calibrate.ok"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row per metric, method and weight of arm."""
        return [{name: getattr(one, name) for name in _SHOWN} for one in self.found]

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the false-positive rates."""
        return tuple(
            Estimate(
                key=f"{one.metric}.false_positive_rate",
                by=(("arm", one.arm), ("method", _method(one))),
                value=one.rate,
                lo=one.rate_low,
                hi=one.rate_high,
                level=0.95,
                n=round(one.replications * (1 - one.not_computable_rate)),
                unit="share",
                method=one.method,
            )
            for one in self.found
        )


def calibrate(
    units: TableLike | UnitTable,
    experiment: Experiment,
    *,
    seed: int,
    replications: int = 2000,
    alpha: float | None = None,
    as_of: date | datetime | None = None,
    unique: bool = False,
) -> Calibration:
    """Draw the arms of a unit table anew and count what each test makes of it.

    Parameters
    ----------
    units : UnitTable, ibis.Table, frame, Arrow data or path
        One row a unit, as in `analyze`. Who was in which arm does not matter, only
        that it was an open one; a table without arms is taken whole.
    experiment : Experiment
        The declaration: its metrics, methods, weights and level.
    seed : int
        Seed, 0 or more.
    replications : int, default 2000
        Times the arms are drawn, 1 or more.
    alpha : float, optional
        Two-sided level in (0, 1); the experiment's if omitted.
    as_of, unique
        As in `analyze`.

    Returns
    -------
    Calibration
        No test is adjusted for multiplicity.

    Raises
    ------
    ColumnNotFoundError
        If a column is missing.
    DataError
        As in `analyze`.
    ParameterError
        If `alpha` is outside (0, 1) (code ``alpha_out_of_range``), or `seed` or
        `replications` is no whole number in range (``bad_draws``).

    Notes
    -----
    Each unit's numbers stay as they are and arms are drawn by weight, so nothing can
    differ: a test at level alpha must reject in a share alpha of the draws. One
    product of the drawn arms (0 and 1) with the units' values, squares and products
    gives the sums of all metrics for all draws; the tests are arithmetic on these.
    Whole clusters are drawn together. Lin's HC2 takes each unit's leverage from all
    units, thinned to the arm: nearly that of the arm. The standard error of a
    quantile rests on the values near it, which no draw changes: its rate is judged
    with that in mind.
    """
    from growth.abtest.together import read_columns

    _check(seed, replications, experiment.alpha if alpha is None else alpha)
    ready = read_columns(
        units, experiment, labels=_label_columns(experiment), as_of=as_of, unique=unique
    )
    found = calibrate_from_columns(
        ready.columns,
        experiment,
        seed=seed,
        replications=replications,
        alpha=alpha,
        labels=ready.labels,
    )
    return replace(found, notices=(*ready.notices, *found.notices))


def calibrate_from_columns(
    columns: Mapping[str, ArrayLike],
    experiment: Experiment,
    *,
    seed: int,
    replications: int = 2000,
    alpha: float | None = None,
    labels: Mapping[str, ArrayLike] | None = None,
) -> Calibration:
    """Do the same from arrays.

    Parameters
    ----------
    columns : mapping of str to array_like of float, shape (n,)
        The metrics' columns and their covariates; NaN is NULL. A covariate's column
        of 0 and 1 ``<name>__missing`` joins it, where there is one.
    experiment, seed, replications, alpha
        As in `calibrate`.
    labels : mapping of str to array_like of int, shape (n,), optional
        Columns of clusters and strata as numbers from 0.

    Returns
    -------
    Calibration
        As `calibrate`.

    Raises
    ------
    ParameterError
        As in `calibrate`; and if a column is missing (code ``moments_mismatch``).
    DataError
        If there are no units (code ``no_units``), lengths differ
        (``length_mismatch``), or values cannot be used (``infinite_value``,
        ``not_a_share``).
    """
    level = experiment.alpha if alpha is None else alpha
    _check(seed, replications, level)
    units = _Units(columns, experiment, labels or {})
    tested = _tested(units, experiment, seed=seed, replications=replications)
    rows = [_row(one, level) for one in tested]
    found = _judged(rows, level, blurs=[one.blur for one in tested])
    return Calibration(
        found=tuple(found),
        units=units.rows,
        replications=replications,
        alpha=level,
        seed=seed,
        notices=_notices(found, level),
    )


class _Tested(NamedTuple):
    """One test of one reading in every draw."""

    reading: Reading
    arm: str
    method: str
    nonzero: int
    blur: float
    control: Estimates
    found: NullTests


def _tested(
    units: _Units, experiment: Experiment, *, seed: int, replications: int
) -> list[_Tested]:
    """Draw the arms anew and test every reading by every method."""
    names, shares = _arms(experiment)
    tests = [_test(reading, units, shares) for reading in readings(experiment)]
    width = 1 + sum(test.width for test in tests)
    drawing = Redraw(width, repeats=replications, shares=shares, seed=seed)
    step = max(ROOM // width, 1)
    for start in range(0, units.rows, step):
        drawing.add(_features(tests, start, min(start + step, units.rows)))
    sums = drawing.sums()
    found: list[_Tested] = []
    at = 1
    for number, test in enumerate(tests, 1):
        part = [0, *range(at, at + test.width)]
        at += test.width
        test.seed = (seed, number)
        arms = [test.estimates(arm[:, part], i) for i, arm in enumerate(sums)]
        for method, control in arms[0].items():
            for i, name in enumerate(names[1:], 1):
                compared = test.compare(control, arms[i][method])
                nonzero = round(test.nonzero * min(shares[0], shares[i]))
                found.append(
                    _Tested(
                        test.reading,
                        name,
                        method,
                        nonzero,
                        test.blur,
                        control,
                        compared,
                    )
                )
    return found


def _check(seed: int, replications: int, alpha: float) -> None:
    if not 0 < alpha < 1:
        msg = f"alpha is {alpha}; it must be in (0, 1); write 5% as 0.05."
        raise ParameterError(msg, code="alpha_out_of_range")
    whole = all(isinstance(v, int) for v in (seed, replications))
    if not whole or seed < 0 or replications < 1:
        msg = f"seed is {seed!r} and replications {replications!r}; they must be whole"
        msg += " numbers, 0 or more and 1 or more; correct them."
        raise ParameterError(msg, code="bad_draws")


def _label_columns(experiment: Experiment) -> tuple[str, ...]:
    """Return the columns of clusters and strata."""
    strata = (stratum_of(experiment, r.metric) for r in readings(experiment))
    return tuple(dict.fromkeys(n for n in (experiment.cluster, *strata) if n))


def _arms(experiment: Experiment) -> tuple[list[str], list[float]]:
    """Return control and one treatment of each weight, with their shares."""
    whole = sum(experiment.arms.values())
    names, weights = [experiment.control], [experiment.arms[experiment.control]]
    for arm in experiment.treatments:
        weight = experiment.arms[arm]
        if weight not in weights[1:]:
            names.append(arm)
            weights.append(weight)
    return names, [weight / whole for weight in weights]


class _Units:
    """The columns as arrays: capped, and summed by cluster where clusters are drawn."""

    def __init__(
        self,
        columns: Mapping[str, ArrayLike],
        experiment: Experiment,
        labels: Mapping[str, ArrayLike],
    ) -> None:
        self.experiment = experiment
        self.columns = {n: np.asarray(c, dtype=np.float64) for n, c in columns.items()}
        self.labels = {n: np.asarray(c, dtype=np.int64) for n, c in labels.items()}
        lengths = {len(c) for c in (*self.columns.values(), *self.labels.values())}
        if len(lengths) != 1:
            msg = f"the columns have {sorted(lengths)} values; they must be as many in"
            raise DataError(f"{msg} each; give one a unit.", code="length_mismatch")
        (self.rows,) = lengths
        if not self.rows:
            msg = "there are no units; there must be some; check the table's filters."
            raise DataError(msg, code="no_units")
        self.clusters = None
        if experiment.cluster is not None:
            self.clusters = self._find(self.labels, experiment.cluster)
            self.rows = int(self.clusters.max()) + 1

    def of(self, reading: Reading) -> list[Array]:
        """Return a reading's columns: one, or a ratio's two."""
        metric = self.experiment.metric(reading.name)
        found = [self.number(name) for name in metric.columns]
        if metric.kind == "proportion":
            _check_share(metric, found[0])
        if reading.capped and metric.cap is not None:
            found = [
                capping.winsorise(column, _cap(metric.cap, column, i))
                for i, column in enumerate(found)
            ]
        if self.clusters is None:
            return found
        seen = ~np.isnan(np.sum(found, axis=0))
        if metric.kind != "ratio":
            found.append(np.ones(len(seen)))
        return [self._summed(np.where(seen, column, 0.0)) for column in found]

    def covariates(self, metric: Metric) -> tuple[list[str], list[Array]]:
        """Return a metric's covariates: NULL is 0, marked by one more column."""
        names, found = [], []
        marks: dict[str, Array] = {}
        for name in covariates_of(self.experiment, metric):
            column = self.number(name)
            mark = self.columns.get(f"{name}{MISSING}")
            gone = np.isnan(column)
            if mark is None and gone.any():
                mark = gone.astype(np.float64)
            if mark is not None:
                column = np.where(gone, 0.0, column)
                marks[f"{name}{MISSING}"] = mark
            names.append(name)
            found.append(column)
        names += marks
        found += marks.values()
        if self.clusters is not None:
            found = [self._summed(column) for column in found]
        return names, found

    def strata(self, column: str, share: float) -> Array:
        """Return each unit's stratum from 0, those too small taken together."""
        codes = self._find(self.labels, column)
        counts = np.bincount(codes)
        small = counts * share < FEWEST
        number = np.cumsum(~small) - 1
        number[small] = number.max() + 1
        return number[codes]

    def _summed(self, column: Array) -> Array:
        if self.clusters is None:
            return column
        return np.bincount(self.clusters, weights=column, minlength=self.rows)

    def number(self, name: str) -> Array:
        """Return a column; NaN is NULL."""
        column = self._find(self.columns, name)
        if np.isinf(column).any():
            msg = f"column {name!r} holds an infinite value; it must hold finite"
            msg += " numbers, NULL where there is none; correct those rows."
            raise DataError(msg, code="infinite_value")
        return column

    @staticmethod
    def _find(columns: Mapping[str, Array], name: str) -> Array:
        if name not in columns:
            msg = f"column {name!r} is needed; there are {sorted(columns)}; add it."
            msg += suggest(name, columns)
            raise ParameterError(msg, code="moments_mismatch")
        return columns[name]


def _check_share(metric: Metric, column: Array) -> None:
    off = ~((column == 0) | (column == 1) | np.isnan(column))
    if off.any():
        seen = float(column[off][0])
        msg = (
            f"column {metric.columns[0]!r} of proportion {metric.name!r} holds {seen};"
        )
        msg += " it must be 0 or 1 a unit; correct it or declare a mean."
        raise DataError(msg, code="not_a_share")


def _cap(cap: Cap, column: Array, part: int) -> capping.Cap:
    """Return a column's thresholds: pooled, so that no draw changes them."""
    found = capping.cap_thresholds(
        column, upper=cap.upper_share, lower=cap.lower, of=cap.of
    )
    fixed = [
        value[part] if isinstance(value, tuple | list) else value
        for value in (cap.at_lower, cap.at)
    ]
    low = found.low if fixed[0] is None else fixed[0]
    return capping.Cap(low, found.high if fixed[1] is None else fixed[1])


# -- tests: what each needs summed, and what it makes of the sums --------------------


class _Test(Protocol):
    """A reading's features and tests.

    `seed` is of what sums do not tell, `blur` the relative error that the standard
    error has on these very units, whatever arms are drawn.
    """

    reading: Reading
    width: int
    nonzero: int
    blur: float
    seed: tuple[int, int]

    def features(self, out: NDArray[np.float32], start: int, end: int) -> None:
        """Write the features of some units, one a row of `out`."""

    def estimates(self, sums: Array, arm: int) -> dict[str, Estimates]:
        """Return an arm's estimates by method; column 0 of the sums counts units."""
        ...

    def compare(self, control: Estimates, treatment: Estimates) -> NullTests:
        """Test one arm against another."""
        ...


def _test(reading: Reading, units: _Units, shares: Sequence[float]) -> _Test:
    metric = reading.metric
    if metric.kind == "quantile":
        return _Quantile(reading, units, shares)
    if stratum := stratum_of(units.experiment, metric):
        return _Strata(reading, units, units.strata(stratum, min(shares)))
    if metric.kind == "proportion" and not covariates_of(units.experiment, metric):
        return _Share(reading, units)
    return _Moments(reading, units, shares)


def _features(tests: Sequence[_Test], start: int, end: int) -> NDArray[np.float32]:
    """Return units' features, column by column in memory."""
    found = np.empty((1 + sum(test.width for test in tests), end - start), np.float32)
    found[0] = 1
    at = 1
    for test in tests:
        test.features(found[at : at + test.width], start, end)
        at += test.width
    return found.T


class _Share:
    """A proportion by the test its metric names."""

    blur = 0.0

    def __init__(self, reading: Reading, units: _Units) -> None:
        self.reading = reading
        self.seed: tuple[int, int] = (0, 0)
        (self.values,) = units.of(reading)
        self.holey = bool(np.isnan(self.values).any())
        self.width = 2 if self.holey else 1
        self.nonzero = int(np.nansum(self.values))

    def features(self, out: NDArray[np.float32], start: int, end: int) -> None:
        values = self.values[start:end]
        out[0] = np.nan_to_num(values) if self.holey else values
        if self.holey:
            out[1] = ~np.isnan(values)

    def estimates(self, sums: Array, arm: int) -> dict[str, Estimates]:  # noqa: ARG002
        count = sums[:, 2 if self.holey else 0]
        return {self.reading.metric.test: nulls.shares(count, sums[:, 1])}

    def compare(self, control: Estimates, treatment: Estimates) -> NullTests:
        return nulls.share_test(control, treatment, test=self.reading.metric.test)


class _Columns:
    """Columns whose joint moments a test reads; a row with NULL has no part."""

    blur = 0.0

    def __init__(self, reading: Reading, units: _Units) -> None:
        self.reading = reading
        self.seed: tuple[int, int] = (0, 0)
        self.ratio = reading.metric.kind == "ratio"
        self.clustered = units.clusters is not None
        self.parts = units.of(reading)
        self.whole = not any(np.isnan(part).any() for part in self.parts)
        self.nonzero = int(np.count_nonzero(self.parts[0]))
        if not self.whole:
            self.nonzero -= int(np.isnan(self.parts[0]).sum())
        self.offset = 0.0
        if self.ratio:  # what is left of the numerator keeps its digits
            x, y = self.parts
            joint = slice(None) if self.whole else ~np.isnan(x + y)
            below = float(y[joint].sum())
            self.offset = float(x[joint].sum()) / below if below > 0 else 0.0
            self.parts[0] = x - self.offset * y
        self.shift = np.array([_mean(part) for part in self.parts])

    def block(self, start: int, end: int) -> Array:
        """Return some units' columns, each less its shift."""
        found = np.empty((len(self.parts), end - start), dtype=np.float32)
        for i, part in enumerate(self.parts):
            np.subtract(
                part[start:end], self.shift[i], out=found[i], casting="same_kind"
            )
        return found.T

    def moments(self, sums: Array) -> ArmArrays:
        """Return an arm's moments; `sums` start with the count of all its units."""
        width = nulls.width(len(self.parts))
        first = sums[:, :width] if self.whole else sums[:, 1 : 1 + width]
        return nulls.from_products(first, self.shift)

    def plain(self, arm: ArmArrays) -> tuple[str, Estimates]:
        """Return the estimate without adjustment."""
        if self.ratio:
            found = nulls.ratios(arm)
            method = "clusters" if self.clustered else DELTA
            return method, replace(found, value=found.value + self.offset)
        if self.reading.metric.kind == "proportion":
            return "wald", nulls.shares(arm.n, arm.n * arm.mean[:, 0])
        return "welch", nulls.means(arm)

    def compare(self, control: Estimates, treatment: Estimates) -> NullTests:
        return nulls.welch(control, treatment)


class _Moments(_Columns):
    """Means and ratios, plain and adjusted for covariates."""

    def __init__(
        self, reading: Reading, units: _Units, shares: Sequence[float]
    ) -> None:
        super().__init__(reading, units)
        self.method = ""
        self.size = len(self.parts)
        names, covariates = units.covariates(reading.metric)
        if names:
            self._fit(names, covariates, units.experiment)
        self.width = nulls.width(len(self.parts)) - self.whole
        self.shares = sorted(set(shares))
        self.own = [self.shares.index(share) for share in shares]
        self.hc2_width = 0
        if self.method == "lin_hc2":
            self.hc2_width = nulls.hc2_width(len(self.parts), len(self.centre))
            self.width += self.hc2_width * len(self.shares)

    def _fit(
        self, names: list[str], covariates: list[Array], experiment: Experiment
    ) -> None:
        """Fit all units at once: which covariates count, and CUPED's coefficients."""
        rows = Moments.of(
            (*"xy"[: self.size], *names), np.column_stack([*self.parts, *covariates])
        )
        if self.ratio:
            rows = means.ratio_linear(rows, "l", numerator="x", denominator="y")
        fit = means.lin({"": rows}, rows.columns[0], names)
        self.method = (
            "cuped" if experiment.adjust == "cuped" else f"lin_{experiment.se}"
        )
        if not fit.covariates or "" not in fit.fits:
            self.method = ""
            return
        self.centre, self.inverse = fit.centre, fit.fits[""].inverse
        self.theta = fit.fits[""].slopes if self.method == "cuped" else None
        self.parts += [covariates[names.index(name)] for name in fit.covariates]
        self.shift = np.concatenate((self.shift, self.centre))

    def features(self, out: NDArray[np.float32], start: int, end: int) -> None:
        block = self.block(start, end)
        width = nulls.width(len(self.parts)) - self.whole
        nulls.products(block, out[:width])
        if not self.hc2_width:
            return
        z = block[:, self.size :]
        for i, share in enumerate(self.shares):
            weights = nulls.leverage_weights(z, self.inverse, share)
            at = width + i * self.hc2_width
            out[at : at + self.hc2_width] = nulls.hc2_features(block, z, weights).T

    def estimates(self, sums: Array, arm: int) -> dict[str, Estimates]:
        moments = self.moments(sums)
        size = self.size
        plain = nulls.ArmArrays(
            moments.n, moments.mean[:, :size], moments.comoment[:, :size, :size]
        )
        method, estimate = self.plain(plain)
        found = {method: estimate}
        if self.method:
            line = nulls.linearised(moments) if self.ratio else moments
            fit = nulls.adjusted(line, self.centre, theta=self.theta)
            adjusted = fit.estimates
            if self.hc2_width:
                at = (
                    1 + self.width - self.hc2_width * (len(self.shares) - self.own[arm])
                )
                weighted = sums[:, at : at + self.hc2_width]
                adjusted = nulls.hc2(fit, moments, weighted, self.shift, self.centre)
            value = adjusted.value + self.offset
            found = {self.method: replace(adjusted, value=value), **found}
        return found


class _Strata(_Columns):
    """Means and ratios, post-stratified and plain."""

    def __init__(self, reading: Reading, units: _Units, strata: Array) -> None:
        super().__init__(reading, units)
        self.strata = strata
        self.count = int(strata.max()) + 1
        self.each = nulls.width(len(self.parts))
        self.width = self.each * self.count
        seen = ~np.isnan(np.sum(self.parts, axis=0))
        sizes = np.bincount(strata[seen], minlength=self.count)
        self.weights = sizes / max(int(sizes.sum()), 1)

    def features(self, out: NDArray[np.float32], start: int, end: int) -> None:
        found = nulls.products(self.block(start, end)).T
        strata = self.strata[start:end]
        for s in range(self.count):
            out[s * self.each : (s + 1) * self.each] = found * (strata == s)

    def estimates(self, sums: Array, arm: int) -> dict[str, Estimates]:  # noqa: ARG002
        by_stratum = sums[:, 1:].reshape(len(sums), self.count, self.each)
        whole = nulls.from_products(by_stratum.sum(axis=1), self.shift)
        arms = [
            nulls.from_products(by_stratum[:, s], self.shift)
            for s in range(self.count)
            if self.weights[s]
        ]
        weights = self.weights[self.weights > 0]
        method, plain = self.plain(whole)
        found = nulls.stratified(arms, weights, ratio=self.ratio)
        return {
            "post_stratified": replace(found, value=found.value + self.offset),
            method: plain,
        }


class _Quantile:
    """A quantile of units: only the order statistics near it matter."""

    width = 0

    def __init__(
        self, reading: Reading, units: _Units, shares: Sequence[float]
    ) -> None:
        self.reading = reading
        self.seed: tuple[int, int] = (0, 0)
        metric = units.experiment.metric(reading.name)
        (values,) = [units.number(name) for name in metric.columns]
        self.values = np.sort(values[~np.isnan(values)])
        self.nonzero = len(self.values)
        self.shares = tuple(shares)
        self.q = metric.q or 0.5
        self.found: list[Estimates] = []
        # it rests on so many values near the quantile, and draws do not add any
        least = max(len(self.values) * min(shares), 1)
        self.blur = 1 / np.sqrt(2 * Z * np.sqrt(self.q * (1 - self.q) * least))

    def features(self, out: NDArray[np.float32], start: int, end: int) -> None:
        """Nothing is summed."""

    def estimates(self, sums: Array, arm: int) -> dict[str, Estimates]:
        if not self.found:
            self.found = nulls.redrawn_quantiles(
                self.values,
                self.q,
                shares=self.shares,
                repeats=len(sums),
                seed=self.seed,
            )
        return {"quantile": self.found[arm]}

    def compare(self, control: Estimates, treatment: Estimates) -> NullTests:
        return nulls.welch(control, treatment)


def _mean(column: Array) -> float:
    found = float(column.mean())
    if found == found:  # noqa: PLR0124  (not NaN)
        return found
    seen = column[~np.isnan(column)]
    return float(seen.mean()) if len(seen) else 0.0


# -- what is said of them --------------------------------------------------------------


def _row(one: _Tested, alpha: float) -> Calibrated:
    alarms = false_alarms(one.found, alpha=alpha)
    count, blank = alarms.tests, alarms.not_computable
    low, high = alarms.interval or (None, None)
    unbounded = None
    if count and one.method not in nulls.OTHER_LIFTS:
        lost = nulls.unbounded_lifts(one.control, one.found, alpha=alpha)
        unbounded = float(lost.sum()) / count
    return Calibrated(
        metric=one.reading.name,
        role=one.reading.metric.role,
        arm=one.arm,
        method=one.method,
        replications=count + blank,
        not_computable_rate=blank / (count + blank),
        rate=alarms.rate,
        rate_low=low,
        rate_high=high,
        coverage=None if alarms.rate is None else 1 - alarms.rate,
        unbounded_rate=unbounded,
        uniformity_p=alarms.uniformity_p,
        error_ratio=alarms.error_ratio,
        nonzero=one.nonzero,
        finding="unsure",
        capped=one.reading.capped,
    )


def _judged(
    found: Sequence[Calibrated], alpha: float, *, blurs: Sequence[float]
) -> list[Calibrated]:
    """Say which rates differ from alpha, so that a healthy table rarely hears it."""
    level = SURE / max(len(found), 1)
    q = critical_value(alpha)
    judged = []
    for one, blur in zip(found, blurs, strict=True):
        tests = round(one.replications * (1 - one.not_computable_rate))
        finding: Finding = "unsure"
        if tests >= LEAST and one.rate is not None:
            ends = clopper_pearson(round(one.rate * tests), tests, alpha=level)
            low, high = ends or (0.0, 1.0)
            most, least = (2 * upper_tail(q * (1 - k * blur)) for k in (3, -3))
            finding = "inflated" if low > most else "ok"
            if high < least and one.nonzero >= ENOUGH:
                finding = "conservative"
        judged.append(replace(one, finding=finding))
    return judged


def _notices(found: Sequence[Calibrated], alpha: float) -> tuple[Notice, ...]:
    said = []
    for one in found:
        who = (("metric", one.metric), ("method", _method(one)))
        if one.finding in ("inflated", "conservative"):
            args = (*who, ("rate", one.rate), ("alpha", alpha))
            said.append(Notice(f"rate_{one.finding}", args=args))
        elif one.finding == "unsure":
            said.append(Notice("rate_unsure", "info", who))
    return tuple(dict.fromkeys(said))


def _method(one: Calibrated) -> str:
    return f"{one.method}, capped" if one.capped else one.method
