"""Two shares compared: Wald by default, and the tests people ask for by name.

Each test is a `Contrast`: its p-value, its interval of the difference and its
interval of the lift invert one statistic. statsmodels is the tests' oracle and
is not called here: its constrained fit is not the maximum likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import acos, copysign, cos, exp, inf, isfinite, log, pi, sqrt
from typing import TYPE_CHECKING, Literal, NamedTuple

from growth.errors import DataError, ParameterError
from growth.stats.contrast import (
    ArmEstimate,
    Contrast,
    Interval,
    critical_value,
    fieller,
)
from growth.stats.roots import bracketed_root

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from growth.stats.moments import Moments

__all__ = [
    "LOW_COUNT",
    "TESTS",
    "AgrestiCaffo",
    "Newcombe",
    "ProportionTest",
    "RatioLog",
    "Score",
    "Share",
    "agresti_caffo",
    "compare",
    "constrained_difference",
    "constrained_ratio",
    "low_counts",
    "miettinen_nurminen",
    "newcombe",
    "pooled_z",
    "proportion",
    "ratio_log",
    "score_noninferiority",
    "share",
    "wald",
    "wilson",
]

LOW_COUNT = 10  # below this many successes or failures the normal is poor
FAR = 1e6  # a z no data reach: the search for a p-value ends there

ProportionTest = Literal[
    "wald", "pooled", "newcombe", "miettinen_nurminen", "agresti_caffo"
]


class Share(NamedTuple):
    """Successes of trials: ``0 <= successes <= n``."""

    successes: float
    n: int

    @property
    def rate(self) -> float | None:
        """Successes over trials, in [0, 1]; None without trials."""
        return self.successes / self.n if self.n else None


def share(m: Moments, column: str | None = None) -> Share:
    """Return the successes of a 0/1 column.

    Parameters
    ----------
    m : Moments
        One arm's units.
    column : str, optional
        The metric; may be left out where `m` has one column.

    Returns
    -------
    Share
        The count is restored from the mean, exact for whole counts.

    Raises
    ------
    DataError
        If values lie outside 0..1 (``not_a_proportion``).
    ParameterError
        If the column is not in `m` (``moments_mismatch``).
    """
    at = m.at(column)
    if not m.n:
        return Share(0, 0)
    low, high, rate = (float(part[at]) for part in (m.minimum, m.maximum, m.mean))
    seen = [end for end in (low, high, rate) if isfinite(end)]
    if min(seen, default=0) < 0 or max(seen, default=1) > 1:
        msg = f"{m.columns[at]} runs from {min(seen)} to {max(seen)}; a proportion must"
        msg = f'{msg} be 0 or 1; declare it kind = "mean", or correct the column.'
        raise DataError(msg, code="not_a_proportion")
    count = rate * m.n
    whole = round(count)
    return Share(whole if abs(count - whole) < 1e-6 * max(1.0, count) else count, m.n)


def proportion(m: Moments | Share, column: str | None = None) -> ArmEstimate:
    """Return one arm's share with the variance of Wald's z test.

    Parameters
    ----------
    m : Moments or Share
        One arm's units, or its counts.
    column : str, optional
        The metric, for `Moments` of several columns.

    Returns
    -------
    ArmEstimate
        Variance ``p (1 - p) / n``; df infinite.

    Raises
    ------
    DataError
        If values lie outside 0..1 (``not_a_proportion``) or the counts are
        impossible (``bad_counts``).
    """
    counts = m if isinstance(m, Share) else share(m, column)
    x, n = _checked(counts)
    if not n:
        return ArmEstimate(0, None, None)
    return ArmEstimate(n, x / n, x / n * ((n - x) / n) / n)


def low_counts(*arms: Share) -> bool:
    """Whether an arm has under 10 successes or failures (notice ``low_counts``)."""
    return any(min(arm.successes, arm.n - arm.successes) < LOW_COUNT for arm in arms)


def wald(control: Share, treatment: Share) -> Contrast:
    """Compare shares by Wald's z, unpooled, without continuity correction.

    Parameters
    ----------
    control, treatment : Share
        Successes and trials.

    Returns
    -------
    Contrast
        With ``v_g = p (1 - p) / n``.

    Raises
    ------
    DataError
        If the counts are impossible (``bad_counts``).
    """
    return Contrast(proportion(control), proportion(treatment))


def pooled_z(control: Share, treatment: Share) -> Score:
    """Compare shares by the z test with the pooled variance.

    Parameters
    ----------
    control, treatment : Share
        Successes and trials.

    Returns
    -------
    Score
        Its intervals invert the score test (Mee 1984), which at a difference
        of 0 is the pooled z.

    Raises
    ------
    DataError
        If the counts are impossible (``bad_counts``).
    """
    return Score(
        proportion(control),
        proportion(treatment),
        counts=(_checked(control), _checked(treatment)),
    )


def miettinen_nurminen(control: Share, treatment: Share) -> Score:
    """Compare shares by Miettinen and Nurminen's score test.

    Parameters
    ----------
    control, treatment : Share
        Successes and trials.

    Returns
    -------
    Score
        As `pooled_z`, with the variance times N / (N - 1).

    Raises
    ------
    DataError
        If the counts are impossible (``bad_counts``).

    References
    ----------
    Miettinen, Nurminen (1985), "Comparative analysis of two rates", Statistics
    in Medicine 4(2).
    """
    return Score(
        proportion(control),
        proportion(treatment),
        counts=(_checked(control), _checked(treatment)),
        unbiased=True,
    )


def newcombe(control: Share, treatment: Share) -> Newcombe:
    """Compare shares by Newcombe's hybrid of two Wilson intervals.

    Parameters
    ----------
    control, treatment : Share
        Successes and trials.

    Returns
    -------
    Newcombe
        Its p-value is the level at which the interval touches 0.

    Raises
    ------
    DataError
        If the counts are impossible (``bad_counts``).

    References
    ----------
    Newcombe (1998), "Interval estimation for the difference between independent
    proportions", Statistics in Medicine 17(8), method 10. Lift: Donner, Zou
    (2012), Statistical Methods in Medical Research 21(4).
    """
    return Newcombe(
        proportion(control),
        proportion(treatment),
        counts=(_checked(control), _checked(treatment)),
    )


def agresti_caffo(control: Share, treatment: Share) -> AgrestiCaffo:
    """Compare shares by Wald's z after adding a success and a failure an arm.

    Parameters
    ----------
    control, treatment : Share
        Successes and trials.

    Returns
    -------
    AgrestiCaffo
        `estimate` and `lift` are the observed ones; test and intervals are
        those of the counts with one more success and failure in each arm.

    Raises
    ------
    DataError
        If the counts are impossible (``bad_counts``).

    References
    ----------
    Agresti, Caffo (2000), The American Statistician 54(4).
    """
    return AgrestiCaffo(
        proportion(control),
        proportion(treatment),
        shrunk=wald(_one_more(control), _one_more(treatment)),
    )


TESTS: Mapping[ProportionTest, Callable[[Share, Share], Contrast]] = {
    "wald": wald,
    "pooled": pooled_z,
    "newcombe": newcombe,
    "miettinen_nurminen": miettinen_nurminen,
    "agresti_caffo": agresti_caffo,
}


def compare(
    control: Share, treatment: Share, *, test: ProportionTest = "wald"
) -> Contrast:
    """Compare two shares by the test named.

    Parameters
    ----------
    control, treatment : Share
        Successes and trials.
    test : {"wald", "pooled", "newcombe", "miettinen_nurminen", "agresti_caffo"}
        The test; default Wald.

    Returns
    -------
    Contrast
        Treatment against control.

    Raises
    ------
    ParameterError
        If `test` is unknown (``unknown_test``).
    DataError
        If the counts are impossible (``bad_counts``).
    """
    if test not in TESTS:
        msg = f"test is {test!r}; it must be one of {list(TESTS)}; name one of these."
        raise ParameterError(msg, code="unknown_test")
    return TESTS[test](control, treatment)


def wilson(counts: Share, *, alpha: float = 0.05) -> Interval | None:
    """Return Wilson's score interval of one share.

    Parameters
    ----------
    counts : Share
        Successes and trials.
    alpha : float, default 0.05
        Two-sided level in (0, 1).

    Returns
    -------
    tuple of (float, float), or None
        Ends in [0, 1]; None without trials.

    Raises
    ------
    ParameterError
        If `alpha` is outside (0, 1) (``alpha_out_of_range``).
    DataError
        If the counts are impossible (``bad_counts``).
    """
    x, n = _checked(counts)
    q = critical_value(alpha)
    return _wilson(x, n, q) if n else None


class RatioLog(NamedTuple):
    """Ratio of two shares, treatment over control, with its log-normal interval."""

    ratio: float
    interval: Interval


def ratio_log(
    control: Share, treatment: Share, *, alpha: float = 0.05
) -> RatioLog | None:
    """Return the ratio of two shares with the interval on the log scale (Katz).

    Parameters
    ----------
    control, treatment : Share
        Successes and trials.
    alpha : float, default 0.05
        Two-sided level in (0, 1).

    Returns
    -------
    RatioLog or None
        None if an arm has no successes.

    Raises
    ------
    ParameterError
        If `alpha` is outside (0, 1) (``alpha_out_of_range``).
    DataError
        If the counts are impossible (``bad_counts``).

    References
    ----------
    Katz, Baptista, Azen, Pike (1978), Biometrics 34(3).
    """
    (x0, n0), (x1, n1) = _checked(control), _checked(treatment)
    q = critical_value(alpha)
    if not x0 or not x1:
        return None
    ratio = (x1 / n1) / (x0 / n0)
    se = sqrt((n0 - x0) / n0 / x0 + (n1 - x1) / n1 / x1)
    return RatioLog(ratio, (ratio * exp(-q * se), ratio * exp(q * se)))


def score_noninferiority(
    control: Share,
    treatment: Share,
    margin: float,
    *,
    good: Literal["up", "down"] = "up",
    relative: bool = False,
    variant: Literal["miettinen_nurminen", "farrington_manning"] = "miettinen_nurminen",
) -> tuple[float, float] | None:
    """Test that a share is not worse than the control's by `margin`.

    Parameters
    ----------
    control, treatment : Share
        Successes and trials.
    margin : float
        Largest loss accepted, 0 or more: points of share, or a part of the
        control's share if `relative`.
    good : {"up", "down"}, default "up"
        Which way is better.
    relative : bool, default False
        Whether `margin` is a part of the control's share.
    variant : {"miettinen_nurminen", "farrington_manning"}
        Whether the variance carries N / (N - 1).

    Returns
    -------
    tuple of (float, float), or None
        Statistic and one-sided p-value, to be compared with alpha / 2.

    Raises
    ------
    ParameterError
        If `margin` or `good` is unusable.
    DataError
        If the counts are impossible (``bad_counts``).

    References
    ----------
    Farrington, Manning (1990), Statistics in Medicine 9(12).
    """
    make = miettinen_nurminen if variant == "miettinen_nurminen" else pooled_z
    test = make(control, treatment).noninferiority(margin, good=good, relative=relative)
    return None if test is None else (test.statistic, test.p_value)


@dataclass(frozen=True, slots=True)
class Score(Contrast):
    """Score test: the variance is the maximum-likelihood one under the hypothesis."""

    counts: tuple[Share, Share] = field(kw_only=True)
    unbiased: bool = False

    @cached_property
    def se(self) -> float | None:
        """Standard error under "no difference"; above 0, or None."""
        v = self._variance_at_shift(0.0)
        return sqrt(v) if v else None

    @cached_property
    def df(self) -> float | None:
        """Infinite: a z test. None without trials."""
        return inf if self._known else None

    @property
    def _known(self) -> bool:
        """Whether there are both successes and failures somewhere."""
        (x0, n0), (x1, n1) = self.counts
        return bool(n0 and n1 and 0 < x0 + x1 < n0 + n1)

    def _inflate(self) -> float:
        total = self.counts[0].n + self.counts[1].n
        return total / (total - 1) if self.unbiased else 1.0

    def _variance_at_shift(self, shift: float) -> float | None:
        if not self._known:
            return None
        p0, p1 = constrained_difference(*self.counts, shift)
        n0, n1 = self.counts[0].n, self.counts[1].n
        return (p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0) * self._inflate()

    def distance(self, shift: float) -> float | None:
        """Return the score statistic of "treatment - control = `shift`"."""
        d, v = self.estimate, self._variance_at_shift(shift)
        return None if d is None or v is None else _over(d - shift, v)

    def distance_of_ratio(self, ratio: float) -> float | None:
        """Return the score statistic of "treatment = `ratio` x control"."""
        m0, m1 = self.control.value, self.treatment.value
        if not self._known or m0 is None or m1 is None or ratio < 0:
            return None
        p0, p1 = constrained_ratio(*self.counts, ratio)
        n0, n1 = self.counts[0].n, self.counts[1].n
        v = p1 * (1 - p1) / n1 + ratio * ratio * p0 * (1 - p0) / n0
        return _over(m1 - ratio * m0, v * self._inflate())

    def interval(self, alpha: float) -> Interval | None:
        """Return the differences the score test does not reject."""
        d, q = self.estimate, critical_value(alpha)
        if d is None or not self._known:
            return None

        def excess(shift: float, target: float) -> float:
            at = self.distance(shift)
            return -copysign(inf, shift) if at is None else at - target

        low = bracketed_root(lambda s: excess(s, q), d, -1.0) if d > -1 else -1.0
        high = bracketed_root(lambda s: excess(s, -q), d, 1.0) if d < 1 else 1.0
        return low, high

    def lift_interval(self, alpha: float) -> Interval | None:
        """Return the lifts the score test of the ratio does not reject."""
        q = critical_value(alpha)
        m0, m1 = self.control.value, self.treatment.value
        if not self._known or not m0 or m1 is None:
            return None

        def excess(log_ratio: float, target: float) -> float:
            at = self.distance_of_ratio(exp(log_ratio))
            return -copysign(inf, log_ratio) if at is None else at - target

        start = log(m1 / m0) if m1 else -60.0
        low = exp(bracketed_root(lambda r: excess(r, q), start, -60.0)) if m1 else 0.0
        high = exp(bracketed_root(lambda r: excess(r, -q), start, 60.0))
        return (low - 1, high - 1) if isfinite(low) and isfinite(high) else None


@dataclass(frozen=True, slots=True)
class Newcombe(Contrast):
    """Square-and-add of two Wilson intervals; p is where the interval meets 0."""

    counts: tuple[Share, Share] = field(kw_only=True)

    @property
    def _known(self) -> bool:
        return bool(self.counts[0].n and self.counts[1].n)

    @cached_property
    def se(self) -> float | None:
        """Unpooled Wald standard error, for display; the test does not use it."""
        return Contrast(self.control, self.treatment).se

    @cached_property
    def df(self) -> float | None:
        """Infinite: a z test. None without trials."""
        return inf if self._known else None

    def _arms(self, q: float) -> tuple[float, float, float, float] | None:
        """Return how far below and above each share its Wilson interval reaches."""
        m0, m1 = self.control.value, self.treatment.value
        if m0 is None or m1 is None:
            return None
        (low0, high0), (low1, high1) = (_wilson(*c, q) for c in self.counts)
        return m0 - low0, high0 - m0, m1 - low1, high1 - m1

    def interval(self, alpha: float) -> Interval | None:
        """Return Newcombe's interval of the difference."""
        d, arms = self.estimate, self._arms(critical_value(alpha))
        if d is None or arms is None:
            return None
        below0, above0, below1, above1 = arms
        return d - sqrt(below1**2 + above0**2), d + sqrt(above1**2 + below0**2)

    def lift_interval(self, alpha: float) -> Interval | None:
        """Return the same hybrid for the ratio, less 1; None if it is unbounded."""
        arms = self._arms(critical_value(alpha))
        m0, m1 = self.control.value, self.treatment.value
        if arms is None or not m0 or m1 is None:
            return None
        below0, above0, below1, above1 = arms
        low = _hybrid(m0, m1, above0, below1, upper=False)
        high = _hybrid(m0, m1, below0, above1, upper=True)
        return None if low is None or high is None else (low - 1, high - 1)

    def distance(self, shift: float) -> float | None:
        """Return the z at which the interval's end meets `shift`."""
        d = self.estimate
        return None if d is None else self._meets(d - shift, 1.0)

    def distance_of_ratio(self, ratio: float) -> float | None:
        """Return the z at which the ratio's end meets `ratio`."""
        m0, m1 = self.control.value, self.treatment.value
        return None if m0 is None or m1 is None else self._meets(m1 - ratio * m0, ratio)

    def _meets(self, gap: float, ratio: float) -> float | None:
        if not gap:
            return 0.0 if self._known else None

        def excess(log_q: float) -> float:
            arms = self._arms(exp(log_q))
            if arms is None:
                return -abs(gap)
            below0, above0, below1, above1 = arms
            a0, a1 = (above0, below1) if gap > 0 else (below0, above1)
            return a1 * a1 + ratio * ratio * a0 * a0 - gap * gap

        q = exp(bracketed_root(excess, -log(FAR), log(FAR)))
        return copysign(q, gap) if isfinite(q) else None


@dataclass(frozen=True, slots=True)
class AgrestiCaffo(Contrast):
    """Wald's test on the counts with one success and one failure more an arm."""

    shrunk: Contrast = field(kw_only=True)

    @cached_property
    def se(self) -> float | None:
        """Standard error of the shrunk difference."""
        return self.shrunk.se if self.estimate is not None else None

    @cached_property
    def df(self) -> float | None:
        """Infinite: a z test. None without trials."""
        return self.shrunk.df if self.estimate is not None else None

    def distance(self, shift: float) -> float | None:
        """Return the shrunk statistic of "treatment - control = `shift`"."""
        return None if self.estimate is None else self.shrunk.distance(shift)

    def distance_of_ratio(self, ratio: float) -> float | None:
        """Return the shrunk statistic of "treatment = `ratio` x control"."""
        return None if self.estimate is None else self.shrunk.distance_of_ratio(ratio)

    def interval(self, alpha: float) -> Interval | None:
        """Return the shrunk interval of the difference."""
        return None if self.estimate is None else self.shrunk.interval(alpha)

    def lift_interval(self, alpha: float) -> Interval | None:
        """Return Fieller's interval on the shrunk shares; None if no lift."""
        m0, m1 = self.shrunk.control, self.shrunk.treatment
        if self.lift is None or m0.value is None or m1.value is None:
            return None
        q = critical_value(alpha)
        return fieller(
            m0.value, m1.value, m0.variance or 0.0, m1.variance or 0.0, critical=q
        )


def constrained_difference(
    control: Share, treatment: Share, shift: float
) -> tuple[float, float]:
    """Return the most likely shares given that they differ by `shift`.

    Parameters
    ----------
    control, treatment : Share
        Successes and trials, trials above 0.
    shift : float
        Treatment minus control, in [-1, 1].

    Returns
    -------
    tuple of (float, float)
        Control's and treatment's share, in [0, 1], the second less the first
        being `shift`.

    Notes
    -----
    The log-likelihood is concave in the control's share p, so the zero of its
    slope is bracketed by [max(0, -shift), min(1, 1 - shift)]; the slope times
    its (positive) denominators is a cubic without poles.
    """
    (x0, n0), (x1, n1) = control, treatment
    if abs(shift) < 1e-15:
        pooled = (x0 + x1) / (n0 + n1)
        return pooled, min(max(pooled + shift, 0.0), 1.0)
    low, high = max(0.0, -shift), min(1.0, 1.0 - shift)

    def cubic(p: float) -> float:
        p1 = p + shift
        return p * (1 - p) * (x1 - n1 * p1) + p1 * (1 - p1) * (x0 - n0 * p)

    def slope(p: float) -> float:
        return _slope(control, treatment, p, shift)

    # A count of 0 takes the pole at an end away; the optimum may then sit there,
    # and if not, the cubic has a second zero at that end.
    free_low = not (x0 if shift > 0 else x1)
    free_high = not (n1 - x1 if shift > 0 else n0 - x0)
    if free_low and slope(low) <= 0:
        return low, low + shift
    if free_high and slope(high) >= 0:
        return high, high + shift
    p = _cubic_root(control, treatment, shift)
    if free_low or free_high or not _settled(cubic, p, low, high):
        p = bracketed_root(slope if free_low or free_high else cubic, low, high)
    return p, min(max(p + shift, 0.0), 1.0)


def _cubic_root(control: Share, treatment: Share, shift: float) -> float:
    """Return the zero of the cubic by trigonometry (Farrington and Manning)."""
    (x0, n0), (x1, n1) = control, treatment
    n, x = n0 + n1, x0 + x1
    c2 = ((n1 + 2 * n0) * shift - n - x) / (3 * n)
    c1 = ((n0 * shift - n - 2 * x0) * shift + x) / n
    c0 = x0 * shift * (1 - shift) / n
    q = c2 * c2 * c2 - c1 * c2 / 2 + c0 / 2
    r = copysign(sqrt(max(c2 * c2 - c1 / 3, 0.0)), q)
    turn = acos(min(max(q / (r * r * r), -1.0), 1.0)) if r else 0.0
    return 2 * r * cos((pi + turn) / 3) - c2


def _settled(f: Callable[[float], float], p: float, low: float, high: float) -> bool:
    """Whether `p` is a zero of `f` to 1e-10 of its distance from the ends."""
    near = 1e-10 * min(p - low, high - p)
    return near > 0 and f(p - near) >= 0 >= f(p + near)


def _slope(control: Share, treatment: Share, p: float, shift: float) -> float:
    """Return the slope of the log-likelihood; terms with a count of 0 are absent."""
    (x0, n0), (x1, n1) = control, treatment
    terms = ((x0, p), (x0 - n0, 1 - p), (x1, p + shift), (x1 - n1, 1 - p - shift))
    return sum(
        count / at if at > 0 else copysign(inf, count) for count, at in terms if count
    )


def constrained_ratio(
    control: Share, treatment: Share, ratio: float
) -> tuple[float, float]:
    """Return the most likely shares given that one is `ratio` times the other.

    Parameters
    ----------
    control, treatment : Share
        Successes and trials, trials above 0.
    ratio : float
        Treatment over control, 0 or more.

    Returns
    -------
    tuple of (float, float)
        Control's and treatment's share, in [0, 1].
    """
    (x0, n0), (x1, n1) = control, treatment
    a = (n0 + n1) * ratio
    b = ratio * (n1 + x0) + x1 + n0
    c = x0 + x1
    root = sqrt(max(b * b - 4 * a * c, 0.0))
    p0 = min(2 * c / (b + root), 1.0, 1 / ratio if ratio else 1.0)
    return p0, min(ratio * p0, 1.0)


def _wilson(x: float, n: float, q: float) -> Interval:
    q2 = q * q
    centre, scale = x + q2 / 2, n + q2
    half = q * sqrt(x * ((n - x) / n) + q2 / 4)
    low = (x * (x / n)) / (centre + half) if x else 0.0  # (c - h)(c + h) = x^2 s / n
    high = (centre + half) / scale if x < n else 1.0
    return low, high


def _hybrid(m0: float, m1: float, a0: float, a1: float, *, upper: bool) -> float | None:
    """Solve (m1 - r m0)^2 = a1^2 + r^2 a0^2 for its lower or upper root r."""
    a, b, c = (m0 - a0) * (m0 + a0), m0 * m1, (m1 - a1) * (m1 + a1)
    root = sqrt(max(b * b - a * c, 0.0))
    if upper:
        return (b + root) / a if a > 0 else None
    return c / (b + root) if b + root > 0 else 0.0


def _over(gap: float, variance: float) -> float | None:
    if variance > 0:
        return gap / sqrt(variance)
    return None if gap else 0.0


def _one_more(counts: Share) -> Share:
    x, n = _checked(counts)
    return Share(x + 1, n + 2)


def _checked(counts: Share) -> Share:
    x, n = counts
    if not 0 <= x <= n or not isfinite(n):
        msg = f"{x} successes of {n} trials is impossible; successes must be from 0 to"
        raise DataError(f"{msg} trials; check which is which.", code="bad_counts")
    return Share(x, n)
