"""One arm against another: estimate, test, interval and lift that agree.

Every method of the A/B room ends in two `ArmEstimate`s and one `Contrast`. The
test, the interval of the difference and the interval of the lift come from one
statistic here, so a reader who switches the scale never meets another answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import copysign, inf, isfinite, sqrt
from typing import Literal, NamedTuple

from scipy.special import ndtr, ndtri, stdtr, stdtrit

from growth.errors import ParameterError, suggest

__all__ = [
    "ArmEstimate",
    "Contrast",
    "Equivalence",
    "Interval",
    "MarginTest",
    "critical_value",
    "fieller",
    "upper_tail",
]

Interval = tuple[float, float]


def upper_tail(statistic: float, df: float = inf) -> float:
    """Return P(T > `statistic`) for Student's t, or the normal if `df` is infinite.

    Parameters
    ----------
    statistic : float
        Any real number.
    df : float, default inf
        Degrees of freedom, above 0.

    Returns
    -------
    float
        A survival function, in [0, 1]: it keeps its digits where ``1 - cdf``
        would round to zero.
    """
    return float(ndtr(-statistic) if df == inf else stdtr(df, -statistic))


def critical_value(alpha: float, df: float = inf) -> float:
    """Return the two-sided critical value at level `alpha`.

    Parameters
    ----------
    alpha : float
        Two-sided level in (0, 1).
    df : float, default inf
        Degrees of freedom, above 0; infinite for the normal.

    Returns
    -------
    float
        The q with P(|T| > q) = alpha.

    Raises
    ------
    ParameterError
        If `alpha` is outside (0, 1) (code ``alpha_out_of_range``).
    """
    if not 0 < alpha < 1:
        msg = f"alpha is {alpha}; it must be in (0, 1); write 5% as 0.05."
        raise ParameterError(msg, code="alpha_out_of_range")
    return _critical(alpha, df)


@lru_cache(maxsize=256)  # difference and lift ask for the same one, one after the other
def _critical(alpha: float, df: float) -> float:
    return -float(ndtri(alpha / 2) if df == inf else stdtrit(df, alpha / 2))


def fieller(
    m0: float, m1: float, v0: float, v1: float, v01: float = 0.0, *, critical: float
) -> Interval | None:
    """Return Fieller's interval for the relative lift (m1 - m0) / abs(m0).

    Parameters
    ----------
    m0, m1 : float
        Control and treatment values, in the unit of the metric.
    v0, v1 : float
        Variances of the two values, 0 or more.
    v01 : float, default 0
        Their covariance.
    critical : float
        Critical value of the matching test of the difference, 0 or more.

    Returns
    -------
    tuple of (float, float), or None
        Lower and upper end, a share of `m0`; None where the set is unbounded
        (``m0**2 <= critical**2 * v0``) or not computable.

    Notes
    -----
    The ends are the lifts t at which ``(d - t m0)**2 = q**2 var(d - t m0)``,
    with everything divided by ``abs(m0)`` first, so neither the unit nor the
    size of the metric matters. The constant term of that quadratic is
    ``d**2 - q**2 var(d)``: the interval leaves out 0 exactly when the test of
    the difference rejects. An increase is positive also when `m0` is negative.

    References
    ----------
    Fieller (1954), "Some problems in interval estimation", JRSS B 16(2).
    """
    if not m0 or not isfinite(m0):
        return None
    size, sign = abs(m0), copysign(1.0, m0)
    lift = (m1 / size - m0 / size) * sign  # as if the control were positive
    c0, c1 = sqrt(v0) / size, sqrt(v1) / size
    cross = v01 / size / size
    q2 = critical * critical
    a = 1 - q2 * c0 * c0
    if not a > 0:
        return None
    b = lift - q2 * (cross - c0 * c0)
    c = lift * lift - q2 * (c0 * c0 + c1 * c1 - 2 * cross)
    r1 = 1 + lift
    spread = c1 * c1 - 2 * cross * r1 + c0 * c0 * r1 * r1
    root = critical * sqrt(max(spread - q2 * (c0 * c0 * c1 * c1 - cross * cross), 0.0))
    far = b + copysign(root, b)  # the root without cancellation; the other from c
    one, other = far / a * sign, (c / far if far else 0.0) * sign
    return _finite_pair(one, other) if one <= other else _finite_pair(other, one)


@dataclass(frozen=True, slots=True)
class ArmEstimate:
    """What one arm says about one metric.

    Parameters
    ----------
    n : int
        Units it rests on (NULLs left out), 0 or more.
    value : float or None
        Mean, share or ratio, in the unit of the metric; None if not computable.
    variance : float or None
        Variance of `value` (not of the units), 0 or more; None if not computable.
    df : float
        Degrees of freedom of `variance`: n - 1 for a mean, infinite for a share.
    """

    n: int
    value: float | None
    variance: float | None
    df: float = inf

    @property
    def usable(self) -> bool:
        """Whether a test can rest on it: finite, and more than one distinct value.

        With Student's t an arm of zero variance is not usable. A share is an
        exception: 0 buyers of 5,000 is an observation, so `variance` may be 0
        there (but not in both arms).
        """
        if self.value is None or self.variance is None or not self.df > 0:
            return False
        enough = self.variance > 0 or (self.variance == 0 and self.df == inf)
        return enough and isfinite(self.value) and isfinite(self.variance)


class MarginTest(NamedTuple):
    """A one-sided test against a margin; `p_value` is for "no better than it"."""

    statistic: float
    df: float
    p_value: float


class Equivalence(NamedTuple):
    """Two one-sided tests; equivalent at level a if `p_value` <= a / 2."""

    above: MarginTest
    below: MarginTest
    p_value: float


@dataclass(frozen=True)  # without slots: what all answers rest on is worked out once
class Contrast:
    """Treatment against control; every number here inverts the same test.

    Parameters
    ----------
    control, treatment : ArmEstimate
        The two arms.
    covariance : float, default 0
        Covariance of the two values (arms that share clusters).

    Notes
    -----
    Welch's t: ``se**2 = v0 + v1 - 2 v01``, ``df = (v0 + v1)**2 / sum(v_g**2 /
    df_g)``; infinite df on both sides gives the z test. "Not computable" is
    None, never NaN: no units, fewer than two, an arm without variance (for
    shares: both), a value that overflows. The difference and the lift stay known
    as long as both values are.

    A test that is not Wald's (a score test) overrides `distance`,
    `distance_of_ratio` and the two intervals; the rest follows.
    """

    control: ArmEstimate
    treatment: ArmEstimate
    covariance: float = 0.0

    @cached_property
    def estimate(self) -> float | None:
        """Treatment minus control, in the unit of the metric."""
        m0, m1 = self.control.value, self.treatment.value
        return None if m0 is None or m1 is None else _finite(m1 - m0)

    @cached_property
    def se(self) -> float | None:
        """Standard error of `estimate`; above 0, or None."""
        v0, v1 = self.control.variance, self.treatment.variance
        if v0 is None or v1 is None:
            return None
        if not (self.control.usable and self.treatment.usable):
            return None
        total = _finite(v0 + v1 - 2 * self.covariance)
        return sqrt(total) if total and total > 0 else None

    @cached_property
    def df(self) -> float | None:
        """Welch-Satterthwaite degrees of freedom; inf for a z test."""
        v0, v1 = self.control.variance, self.treatment.variance
        if self.se is None or v0 is None or v1 is None:
            return None
        w0, w1 = v0 / (v0 + v1), v1 / (v0 + v1)  # no fourth powers to overflow
        spent = w0 * w0 / self.control.df + w1 * w1 / self.treatment.df
        return 1 / spent if spent else inf

    @property
    def statistic(self) -> float | None:
        """Estimate over its standard error: t, or z if `df` is infinite."""
        return self.distance(0.0)

    @property
    def p_value(self) -> float | None:
        """Two-sided p-value in [0, 1], by the survival function."""
        t, df = self.statistic, self.df
        return None if t is None or df is None else min(2 * upper_tail(abs(t), df), 1.0)

    def critical(self, alpha: float) -> float | None:
        """Return the two-sided critical value at level `alpha`."""
        df = self.df
        return None if df is None else critical_value(alpha, df)

    def interval(self, alpha: float) -> Interval | None:
        """Return the interval of `estimate`.

        Parameters
        ----------
        alpha : float
            Two-sided level in (0, 1); the interval covers 1 - alpha.

        Returns
        -------
        tuple of (float, float), or None
            It leaves out 0 exactly when ``p_value < alpha``.
        """
        d, se, q = self.estimate, self.se, self.critical(alpha)
        if d is None or se is None or q is None:
            return None
        return _finite_pair(d - q * se, d + q * se)

    @property
    def lift(self) -> float | None:
        """Difference over abs(control): +0.08 is 8 % up, whatever the sign of m0."""
        m0, m1 = self.control.value, self.treatment.value
        if m0 is None or m1 is None or not m0:
            return None
        size = abs(m0)
        return _finite(m1 / size - m0 / size)

    def lift_interval(self, alpha: float) -> Interval | None:
        """Return Fieller's interval of `lift`, at the critical value of the test.

        Parameters
        ----------
        alpha : float
            Two-sided level in (0, 1).

        Returns
        -------
        tuple of (float, float), or None
            None where it is unbounded: the control is too close to 0. It leaves
            out 0 exactly when `interval` does.
        """
        q = self.critical(alpha)
        m0, m1 = self.control.value, self.treatment.value
        v0, v1 = self.control.variance, self.treatment.variance
        if q is None or m0 is None or m1 is None or v0 is None or v1 is None:
            return None
        if self.estimate is None:  # the difference overflows
            return None
        return fieller(m0, m1, v0, v1, self.covariance, critical=q)

    def distance(self, shift: float) -> float | None:
        """Return the signed statistic of "treatment - control = `shift`"."""
        d, se = self.estimate, self.se
        return None if d is None or se is None else _finite((d - shift) / se)

    def distance_of_ratio(self, ratio: float) -> float | None:
        """Return the signed statistic of "treatment = `ratio` x control"."""
        m0, m1 = self.control.value, self.treatment.value
        v0, v1 = self.control.variance, self.treatment.variance
        if self.se is None or m0 is None or m1 is None or v0 is None or v1 is None:
            return None
        spread = _finite(v1 - 2 * ratio * self.covariance + ratio * ratio * v0)
        if not spread or spread < 0:
            return None
        return _finite((m1 - ratio * m0) / sqrt(spread))

    def noninferiority(
        self,
        margin: float,
        *,
        good: Literal["up", "down"] = "up",
        relative: bool = False,
    ) -> MarginTest | None:
        """Test that the treatment is not worse than the control by `margin`.

        Parameters
        ----------
        margin : float
            Largest loss still accepted, 0 or more: in the unit of the metric,
            or a share of abs(control) if `relative`.
        good : {"up", "down"}, default "up"
            Which way is better.
        relative : bool, default False
            Whether `margin` is a share.

        Returns
        -------
        MarginTest or None
            One-sided; compare `p_value` with alpha / 2, and the answer is the
            one the interval gives: its worse end clears the margin.

        Raises
        ------
        ParameterError
            If `margin` is negative or not finite (``margin_out_of_range``) or
            `good` is unknown (``unknown_direction``).

        Notes
        -----
        Absolute: ``(d + margin) / se``. Relative: the linear contrast
        ``m1 - (1 - margin) m0`` over its own standard error with the df of the
        difference, which is the test Fieller's interval inverts; for a negative
        control ``(1 + margin)``.
        """
        _check_margin(margin)
        if good not in ("up", "down"):
            msg = f'good is {good!r}; it must be "up" or "down"; say which way is'
            msg = f"{msg} better.{suggest(str(good), ('up', 'down'))}"
            raise ParameterError(msg, code="unknown_direction")
        return self._clears(margin, 1.0 if good == "up" else -1.0, relative=relative)

    def equivalence(
        self, margin: float, *, relative: bool = False
    ) -> Equivalence | None:
        """Test that treatment and control differ by less than `margin` (TOST).

        Parameters
        ----------
        margin : float
            Half-width of what counts as equal, 0 or more, as in `noninferiority`.
        relative : bool, default False
            Whether `margin` is a share of abs(control).

        Returns
        -------
        Equivalence or None
            `above` tests d > -margin, `below` d < margin; `p_value` is the larger.

        Raises
        ------
        ParameterError
            If `margin` is negative or not finite (``margin_out_of_range``).
        """
        _check_margin(margin)
        above = self._clears(margin, 1.0, relative=relative)
        below = self._clears(margin, -1.0, relative=relative)
        if above is None or below is None:
            return None
        return Equivalence(above, below, max(above.p_value, below.p_value))

    def _clears(
        self, margin: float, sign: float, *, relative: bool
    ) -> MarginTest | None:
        """Test d > -margin (sign 1) or d < margin (sign -1)."""
        df, m0 = self.df, self.control.value
        if df is None or (relative and not m0):
            return None
        if relative:
            ratio = 1 - sign * copysign(margin, m0 or 0.0)
            distance = self.distance_of_ratio(ratio)
        else:
            distance = self.distance(-sign * margin)
        if distance is None:
            return None
        statistic = sign * distance
        return MarginTest(statistic, df, upper_tail(statistic, df))


def _check_margin(margin: float) -> None:
    if not 0 <= margin < inf:
        msg = f"margin is {margin}; it must be 0 or more and finite; give the largest"
        raise ParameterError(f"{msg} loss you accept.", code="margin_out_of_range")


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def _finite_pair(low: float, high: float) -> Interval | None:
    return (low, high) if isfinite(low) and isfinite(high) else None
