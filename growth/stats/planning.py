"""What a plan costs: the shift of z it needs, and the power a shift gives.

Every test here is about z, whose mean under an effect is the *drift*: the effect over
its standard error at the planned size. A plan (one look, several, watching all the
time) turns a level and a power into the drift that is needed, and a drift into a
power; a metric turns a drift into units. The two meet in nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import inf, sqrt
from typing import TYPE_CHECKING, Literal

from scipy.special import ndtr, ndtri

from growth.errors import ParameterError
from growth.stats.contrast import critical_value
from growth.stats.group_sequential import crossing, inflation, spending_boundaries
from growth.stats.power import mde, power_t, size_t
from growth.stats.roots import bracketed_root

if TYPE_CHECKING:
    from growth.stats.group_sequential import Boundaries, Family

__all__ = ["Demand", "Reading", "effect_found", "power_of", "units_needed"]

LARGEST_SHARE = 1 - 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a test is read.

    Parameters
    ----------
    alpha : float, default 0.05
        Two-sided level of this test, in (0, 1), after any splitting.
    critical : float, optional
        Critical value at the planned size, where it is not the normal one: an
        always-valid or hybrid plan's.
    information : tuple of float
        Shares of the planned size at which a group-sequential plan looks, rising to
        1; empty for one look.
    family : {"obf", "pocock", "power"}
        Its spending function.
    rho : float, default 2
        Exponent of the power family.
    """

    alpha: float = 0.05
    critical: float | None = None
    information: tuple[float, ...] = ()
    family: Family = "obf"
    rho: float = 2.0

    @property
    def fixed(self) -> bool:
        """Whether it is read once, at the normal critical value."""
        return self.critical is None and len(self.information) < 2

    @property
    def at(self) -> float:
        """Critical value of z at the planned size, before any inflation."""
        return critical_value(self.alpha) if self.critical is None else self.critical

    def drift(self, power: float) -> float:
        """Return the drift that is found with a power, on the side of the effect."""
        if len(self.information) > 1:
            return _drift(self, power)
        return self.at + float(ndtri(power))

    def power(self, drift: float, *, both: bool = True) -> float:
        """Return the chance to reject, on both sides or the effect's only."""
        if len(self.information) > 1:
            bounds = _boundaries(self.information, self.family, self.alpha, self.rho)
            found = crossing(
                bounds.information, bounds.upper, bounds.lower, drift=drift
            )
            return sum(found.upper) + (sum(found.lower) if both else 0.0)
        near = float(ndtr(drift - self.at))
        return near + (float(ndtr(-drift - self.at)) if both else 0.0)


@lru_cache(maxsize=128)
def _boundaries(
    information: tuple[float, ...], family: Family, alpha: float, rho: float
) -> Boundaries:
    return spending_boundaries(
        information, family=family, alpha=alpha, rho=rho, last=True
    )


@lru_cache(maxsize=128)
def _drift(reading: Reading, power: float) -> float:
    bounds = _boundaries(
        reading.information, reading.family, reading.alpha, reading.rho
    )
    return inflation(bounds, alpha=reading.alpha, power=power).drift


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What is asked of one metric.

    Parameters
    ----------
    kind : {"mean", "share"}
        A mean (ratio, quantile, adjusted share) with a variance of its own, or a
        share, whose variance follows from it.
    mean : float
        Control's value.
    variance : float
        Variance a plan reckons with, a unit, above 0; of a share that of the control.
    effect : float
        Treatment minus control to be found, not 0; of a margin test the margin as a
        positive number.
    margin : bool, default False
        Whether it is to be shown that the treatment loses less than `effect`, taken
        to lose nothing.
    relative : bool, default False
        Whether that margin is a share of the control, whose error then counts.
    design : float, default 1
        Design effect of clusters, 1 or more.
    """

    kind: Literal["mean", "share"]
    mean: float
    variance: float
    effect: float
    margin: bool = False
    relative: bool = False
    design: float = 1.0

    def __post_init__(self) -> None:
        fits = 0 < self.variance < inf and 0 < abs(self.effect) < inf
        fits = fits and self.design > 0
        if self.kind == "share" and not self.margin:
            fits = fits and 0 <= self.mean + self.effect <= 1
        if not fits:
            msg = f"variance is {self.variance} and effect {self.effect} at"
            msg += f" {self.mean}; a variance must be above 0, an effect not 0, and a"
            msg += " share stay within 0 and 1; correct the plan."
            raise ParameterError(msg, code="plan_out_of_range")

    def errors(self, ratio: float) -> tuple[float, float]:
        """Return sqrt(n0) times the se under no effect, and under the effect."""
        if self.margin:
            share = abs(self.effect / self.mean) if self.relative and self.mean else 0.0
            own = sqrt(self.variance * ((1 - share) ** 2 + 1 / ratio) * self.design)
            return own, own
        if self.kind == "mean":
            own = sqrt(self.variance * (1 + 1 / ratio) * self.design)
            return own, own
        p0, p1 = self.mean, self.mean + self.effect
        pooled = (p0 + ratio * p1) / (1 + ratio)
        null = pooled * (1 - pooled) * (1 + 1 / ratio)
        own = p0 * (1 - p0) + p1 * (1 - p1) / ratio
        return sqrt(null * self.design), sqrt(own * self.design)


def units_needed(
    demand: Demand, reading: Reading, *, power: float = 0.8, ratio: float = 1.0
) -> float:
    """Return the control arm's units.

    Parameters
    ----------
    demand : Demand
        What is asked of the metric.
    reading : Reading
        How the test is read.
    power : float, default 0.8
        Chance to find the effect (to show the margin), in (alpha, 1).
    ratio : float, default 1
        Treatment units per control unit, above 0.

    Returns
    -------
    float
        Not rounded. Means by the non-central t, shares by the pooled-null formula;
        a sequential plan multiplies by the square of its drift over the fixed one.

    Raises
    ------
    ParameterError
        If a number is out of range (``plan_out_of_range``).
    """
    _check(power, ratio)
    drift = reading.drift(power)
    null, own = demand.errors(ratio)
    z = critical_value(reading.alpha)
    if demand.kind == "mean" and not demand.margin:
        fixed = z + float(ndtri(power))
        sd = sqrt(demand.variance * demand.design)
        need = size_t(demand.effect, sd, alpha=reading.alpha, power=power, ratio=ratio)
        return need if reading.fixed else need * (drift / fixed) ** 2
    root = (z * null + (drift - z) * own) / abs(demand.effect)
    return root * root


def power_of(
    demand: Demand, reading: Reading, n_control: float, *, ratio: float = 1.0
) -> float:
    """Return the chance to find the effect, or to show the margin.

    Parameters
    ----------
    demand, reading, ratio
        As in `units_needed`.
    n_control : float
        The control arm's units, above 1.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ParameterError
        If a number is out of range (``plan_out_of_range``).
    """
    _check(0.5, ratio, n_control - 1)
    null, own = demand.errors(ratio)
    gap, z = abs(demand.effect) * sqrt(n_control), critical_value(reading.alpha)
    if demand.kind == "mean" and not demand.margin and reading.fixed:
        sd = sqrt(demand.variance * demand.design)
        return power_t(demand.effect, sd, n_control, alpha=reading.alpha, ratio=ratio)
    if not own:
        return 1.0 if gap > z * null else 0.0
    return reading.power(z + (gap - z * null) / own, both=not demand.margin)


def effect_found(
    demand: Demand,
    reading: Reading,
    n_control: float,
    *,
    power: float = 0.8,
    ratio: float = 1.0,
) -> float | None:
    """Return the smallest effect that is found with a power, or margin shown.

    Parameters
    ----------
    demand : Demand
        What is asked; its effect gives the direction only.
    reading, n_control, power, ratio
        As in `units_needed` and `power_of`.

    Returns
    -------
    float or None
        Treatment minus control with the sign of the demand's effect (a margin is
        positive): ``(z_a + z_b) se`` for a mean. None where even the largest change
        of a share is not found.

    Raises
    ------
    ParameterError
        If a number is out of range (``plan_out_of_range``).
    """
    _check(power, ratio, n_control - 1)
    drift = reading.drift(power)
    sign = -1.0 if demand.effect < 0 else 1.0
    variance = demand.variance * demand.design
    plain = mde(
        variance,
        n_control,
        n_control * ratio,
        alpha=reading.alpha,
        power=power,
        critical=drift - float(ndtri(power)),
    )
    if demand.margin and demand.relative and demand.mean:
        # the margin stands on both sides: m = drift sqrt(v ((1 - m / |mean|)**2 + 1/r))
        size = abs(demand.mean)

        def over(m: float) -> float:
            own = variance * ((1 - m / size) ** 2 + 1 / ratio) / n_control
            return m - drift * sqrt(own)

        return bracketed_root(over, 0.0, max(plain, 1e-300)) if plain > 0 else None
    if demand.kind == "mean" or demand.margin:
        return sign * plain
    z = critical_value(reading.alpha)
    p0 = demand.mean
    most = (1 - p0 if sign > 0 else p0) * LARGEST_SHARE

    def lacking(gap: float) -> float:
        p1 = p0 + sign * gap
        pooled = (p0 + ratio * p1) / (1 + ratio)
        null = sqrt(pooled * (1 - pooled) * (1 + 1 / ratio) * demand.design)
        own = sqrt((p0 * (1 - p0) + p1 * (1 - p1) / ratio) * demand.design)
        return gap * sqrt(n_control) - z * null - (drift - z) * own

    if not most > 0 or lacking(most) < 0:
        return None
    return sign * bracketed_root(lacking, 0.0, most)


def _check(power: float, *positive: float) -> None:
    if not 0 < power < 1 or not all(0 < value < inf for value in positive):
        msg = f"power is {power} and sizes {list(positive)}; a power must be in (0, 1),"
        msg = f"{msg} a size above 0 (units above 1); correct the plan."
        raise ParameterError(msg, code="plan_out_of_range")
