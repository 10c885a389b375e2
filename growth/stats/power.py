"""How many units, how long, what effect: planning arithmetic."""

from __future__ import annotations

from math import ceil, inf, sqrt
from typing import TYPE_CHECKING, NamedTuple

from scipy.special import nctdtr, ndtr, ndtri, stdtrit

from growth.errors import ParameterError
from growth.stats.roots import bracketed_root

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "Duration",
    "adjusted_variance",
    "duration",
    "mde",
    "mde_by_week",
    "power_proportion",
    "power_t",
    "size_mean",
    "size_proportion",
    "size_t",
]

LARGEST = 1e15  # units an arm beyond which the search gives up


class Duration(NamedTuple):
    """First day on which the units suffice, and whole weeks that hold it (days)."""

    day_reached: int
    days: int


def size_mean(
    mde: float,
    variance: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    ratio: float = 1.0,
    inflation: float = 1.0,
    critical: float | None = None,
) -> float:
    """Return the control arm's units for a difference of means (normal formula).

    Parameters
    ----------
    mde : float
        Difference to be found, in the unit of the metric, not 0. For a guardrail
        the margin.
    variance : float
        Variance of a unit, above 0: the metric's own (`adjusted_variance`).
    alpha : float, default 0.05
        Two-sided level in (0, 1); over m goals, alpha / m.
    power : float, default 0.8
        Chance to find it, in (0, 1).
    ratio : float, default 1
        Treatment units per control unit, above 0.
    inflation : float, default 1
        Of a group-sequential plan, 1 or more.
    critical : float, optional
        Critical value instead of the normal one: an always-valid plan's.

    Returns
    -------
    float
        Not rounded: ``(z_a + z_b)**2 variance (1 + 1 / ratio) / mde**2``.

    Raises
    ------
    ParameterError
        If a number is out of range (``plan_out_of_range``).
    """
    _check(alpha=alpha, power=power, positive=(abs(mde), variance, ratio, inflation))
    z = (_z(alpha) if critical is None else critical) + float(ndtri(power))
    return z * z * variance * (1 + 1 / ratio) / (mde * mde) * inflation


def mde(
    variance: float,
    n_control: float,
    n_treatment: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    critical: float | None = None,
) -> float:
    """Return the smallest difference that is found with the given power.

    Parameters
    ----------
    variance : float
        Variance of a unit, above 0.
    n_control, n_treatment : float
        Units an arm, above 0.
    alpha, power, critical
        As in `size_mean`.

    Returns
    -------
    float
        ``(z_a + z_b) sqrt(variance / n0 + variance / n1)``.

    Raises
    ------
    ParameterError
        If a number is out of range (``plan_out_of_range``).
    """
    _check(alpha=alpha, power=power, positive=(variance, n_control, n_treatment))
    z = (_z(alpha) if critical is None else critical) + float(ndtri(power))
    return z * sqrt(variance / n_control + variance / n_treatment)


def power_t(
    delta: float,
    sd: float,
    n_control: float,
    *,
    alpha: float = 0.05,
    ratio: float = 1.0,
) -> float:
    """Return the power of the two-sample t test, both tails.

    Parameters
    ----------
    delta : float
        True difference, in the unit of the metric.
    sd : float
        Standard deviation of a unit in both arms, above 0.
    n_control : float
        Units of the control, above 1; need not be whole.
    alpha : float, default 0.05
        Two-sided level in (0, 1).
    ratio : float, default 1
        Treatment units per control unit, above 0.

    Returns
    -------
    float
        In [0, 1], by the non-central t.

    Raises
    ------
    ParameterError
        If a number is out of range (``plan_out_of_range``).
    """
    _check(alpha=alpha, power=0.5, positive=(sd, n_control - 1, ratio))
    n1 = n_control * ratio
    df = n_control + n1 - 2
    shift = abs(delta) / sd / sqrt(1 / n_control + 1 / n1)
    q = -float(stdtrit(df, alpha / 2))
    if df > 1e5:  # by then the normal differs by less than the t's own series
        return float(ndtr(shift - q) + ndtr(-shift - q))
    return _below(-q, df, -shift) + _below(-q, df, shift)


def size_t(
    delta: float,
    sd: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    ratio: float = 1.0,
) -> float:
    """Return the control arm's units for the two-sample t test.

    Parameters
    ----------
    delta : float
        Difference to be found, not 0.
    sd, alpha, ratio
        As in `power_t`.
    power : float, default 0.8
        Chance to find it, in (alpha, 1).

    Returns
    -------
    float
        Not rounded.

    Raises
    ------
    ParameterError
        If a number is out of range (``plan_out_of_range``).
    """
    about = size_mean(delta, sd * sd, alpha=alpha, power=power, ratio=ratio)
    return _search(
        lambda n: power_t(delta, sd, n, alpha=alpha, ratio=ratio) - power, about, 1.0
    )


def power_proportion(
    p_control: float,
    p_treatment: float,
    n_control: float,
    *,
    alpha: float = 0.05,
    ratio: float = 1.0,
    both_tails: bool = False,
    null_at_baseline: bool = False,
) -> float:
    """Return the power of the test of two shares.

    Parameters
    ----------
    p_control, p_treatment : float
        True shares, in [0, 1].
    n_control : float
        Units of the control, above 0.
    alpha : float, default 0.05
        Two-sided level in (0, 1).
    ratio : float, default 1
        Treatment units per control unit, above 0.
    both_tails : bool, default False
        Whether to count rejections on the wrong side.
    null_at_baseline : bool, default False
        Whether the variance under no effect is the control's own instead of the
        pooled one (as in Miller's calculator).

    Returns
    -------
    float
        In [0, 1], by the normal approximation.

    Raises
    ------
    ParameterError
        If a number is out of range (``plan_out_of_range``).
    """
    _check(
        alpha=alpha,
        power=0.5,
        positive=(n_control, ratio),
        shares=(p_control, p_treatment),
    )
    null, own = _share_errors(p_control, p_treatment, ratio, at_base=null_at_baseline)
    gap, z = abs(p_treatment - p_control) * sqrt(n_control), _z(alpha)
    if not own:
        return 1.0 if gap > z * null else 0.0
    near = float(ndtr((gap - z * null) / own))
    return near + float(ndtr((-gap - z * null) / own)) if both_tails else near


def size_proportion(
    p_control: float,
    p_treatment: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    ratio: float = 1.0,
    inflation: float = 1.0,
    null_at_baseline: bool = False,
) -> float:
    """Return the control arm's units for a difference of shares.

    Parameters
    ----------
    p_control, p_treatment : float
        Shares to tell apart, in [0, 1], not equal.
    alpha, ratio, null_at_baseline
        As in `power_proportion`.
    power : float, default 0.8
        Chance to find it, in (0, 1).
    inflation : float, default 1
        Of a group-sequential plan, 1 or more.

    Returns
    -------
    float
        Not rounded: ``((z_a s_null + z_b s) / d)**2``.

    Raises
    ------
    ParameterError
        If a number is out of range (``plan_out_of_range``).
    """
    gap = abs(p_treatment - p_control)
    _check(
        alpha=alpha,
        power=power,
        positive=(gap, ratio, inflation),
        shares=(p_control, p_treatment),
    )
    null, own = _share_errors(p_control, p_treatment, ratio, at_base=null_at_baseline)
    need = (_z(alpha) * null + float(ndtri(power)) * own) / gap
    return need * need * inflation


def adjusted_variance(
    variance: float,
    *,
    r_squared: float = 0.0,
    cluster_sizes: Sequence[float] | None = None,
    icc: float = 0.0,
) -> float:
    """Return the variance a plan has to reckon with.

    Parameters
    ----------
    variance : float
        Variance of a unit, above 0; for a ratio that of its linearised values.
    r_squared : float, default 0
        Share of it that covariates explain, in [0, 1).
    cluster_sizes : sequence of float, optional
        Units per cluster, where clusters are randomised.
    icc : float, default 0
        Correlation within a cluster, in [0, 1].

    Returns
    -------
    float
        ``(1 - r_squared) variance`` times the design effect.

    Raises
    ------
    ParameterError
        If a number is out of range (``plan_out_of_range``).
    """
    from growth.stats.clusters import design_effect

    _check(alpha=0.5, power=0.5, positive=(variance, 1 - r_squared), shares=(icc,))
    effect = 1.0 if cluster_sizes is None else design_effect(cluster_sizes, icc=icc)
    return variance * (1 - r_squared) * effect


def duration(
    cumulative_units: Sequence[float], n_total: float, *, min_days: int = 14
) -> Duration | None:
    """Return how long an experiment takes, from history.

    Parameters
    ----------
    cumulative_units : sequence of float
        Different units seen up to each day of the history, day 1 first: it bends,
        because people come back.
    n_total : float
        Units the plan needs in all arms.
    min_days : int, default 14
        Shortest run, days.

    Returns
    -------
    Duration or None
        The day the units suffice, and days up to whole weeks; None if the
        history never gets there.
    """
    for day, units in enumerate(cumulative_units, 1):
        if units >= n_total:
            return Duration(day, 7 * ceil(max(day, min_days) / 7))
    return None


def mde_by_week(
    cumulative_units: Sequence[float],
    variance: float,
    *,
    shares: tuple[float, float] = (0.5, 0.5),
    alpha: float = 0.05,
    power: float = 0.8,
) -> tuple[tuple[int, float], ...]:
    """Return the smallest effect found after each whole week.

    Parameters
    ----------
    cumulative_units : sequence of float
        As in `duration`.
    variance : float
        Variance of a unit, above 0.
    shares : tuple of (float, float), default (0.5, 0.5)
        Part of the units in control and treatment, above 0.
    alpha, power
        As in `mde`.

    Returns
    -------
    tuple of (int, float)
        Week, and the effect in the unit of the metric.

    Raises
    ------
    ParameterError
        If a number is out of range (``plan_out_of_range``).
    """
    found = []
    for week, units in enumerate(cumulative_units[6::7], 1):
        n0, n1 = units * shares[0], units * shares[1]
        found.append((week, mde(variance, n0, n1, alpha=alpha, power=power)))
    return tuple(found)


def _below(x: float, df: float, shift: float) -> float:
    """Return P(T <= x) of the non-central t; far out its series has no number."""
    found = float(nctdtr(df, shift, x))
    if 0 <= found <= 1:
        return found
    # Johnson, Kotz, Balakrishnan (1995), section 31.6: right to what is left out there
    return float(ndtr((x * (1 - 0.25 / df) - shift) / sqrt(1 + x * x / (2 * df))))


def _share_errors(
    p0: float, p1: float, ratio: float, *, at_base: bool
) -> tuple[float, float]:
    """Return sqrt(n) se of the difference under no effect, and under the effect."""
    pooled = p0 if at_base else (p0 + ratio * p1) / (1 + ratio)
    null = pooled * (1 - pooled) * (1 + 1 / ratio)
    return sqrt(null), sqrt(p0 * (1 - p0) + p1 * (1 - p1) / ratio)


def _z(alpha: float) -> float:
    return -float(ndtri(alpha / 2))


def _search(lacking: Callable[[float], float], about: float, least: float) -> float:
    low = high = max(about, least + 1e-9)
    while lacking(high) < 0 and high < LARGEST:
        high *= 1.5
    while low > least * (1 + 1e-9) and lacking(low) > 0:
        low = max(low / 1.5, least * (1 + 1e-9))
    return (
        low if low == high or lacking(low) > 0 else bracketed_root(lacking, low, high)
    )


def _check(
    *,
    alpha: float,
    power: float,
    positive: Sequence[float] = (),
    shares: Sequence[float] = (),
) -> None:
    usable = 0 < alpha < 1 and 0 < power < 1
    usable = usable and all(0 < value < inf for value in positive)
    if not usable or not all(0 <= p <= 1 for p in shares):
        msg = f"alpha {alpha}, power {power}, sizes {list(positive)} and shares"
        msg = f"{msg} {list(shares)} cannot all be used; levels must be in (0, 1),"
        msg = f"{msg} sizes above 0, shares in [0, 1]; correct the plan."
        raise ParameterError(msg, code="plan_out_of_range")
