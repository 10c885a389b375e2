"""Group-sequential tests: boundaries for a few planned looks.

The score process at information t is Brownian motion, B(t) = Z sqrt(t). What is
left of it between the boundaries is carried from look to look on Gauss-Legendre
nodes; the chance to cross is a sum of normal tails over those nodes. The density
is smooth, so some tens of nodes give more digits than anybody needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, e, exp, inf, isfinite, log, log1p, pi, sqrt
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri

from growth.errors import ParameterError, suggest
from growth.stats.contrast import Contrast, Interval, critical_value
from growth.stats.quadrature import gauss_legendre
from growth.stats.roots import bracketed_root

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = [
    "Boundaries",
    "Crossing",
    "Family",
    "Inflation",
    "asymmetric_boundaries",
    "classical_boundaries",
    "crossing",
    "inflation",
    "repeated_interval",
    "repeated_p",
    "spending_boundaries",
    "spent",
    "stagewise_p",
]

Family = Literal["obf", "pocock", "power"]
Shape = Literal["obf", "pocock"]

FAR = 12.0  # normal deviates beyond which nothing is left
NODES_PER_DEVIATE = 5.0  # per standard deviation of the step between looks
FEWEST_NODES = 48
CLOSEST = 1e-4  # share of the information by which looks must differ


class Crossing(NamedTuple):
    """Chance to cross for the first time at each look, above and below."""

    upper: tuple[float, ...]
    lower: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Boundaries:
    """Boundaries for the z statistic, one per look.

    Parameters
    ----------
    information : tuple of float
        Share of the planned information at each look, rising, in (0, 1].
    upper, lower : tuple of float
        Cross above `upper` or below `lower` to stop; infinite where a look
        spends nothing.
    cumulative_alpha : tuple of float
        Error spent up to each look on the upper side, in [0, 1].
    """

    information: tuple[float, ...]
    upper: tuple[float, ...]
    lower: tuple[float, ...]
    cumulative_alpha: tuple[float, ...]


class Inflation(NamedTuple):
    """Price of looking, as ratios to the fixed sample size of the same power."""

    max_n_ratio: float
    expected_n_ratio_under_null: float
    drift: float


def spent(
    information: float, *, family: Family = "obf", alpha: float = 0.05, rho: float = 2.0
) -> float:
    """Return the error spent by a share of the information, on one side.

    Parameters
    ----------
    information : float
        Share of the planned information, 0 or more; 1 and above spend all.
    family : {"obf", "pocock", "power"}
        Lan and DeMets' approximations to O'Brien-Fleming and Pocock, or
        ``(alpha / 2) t**rho``.
    alpha : float, default 0.05
        Two-sided level in (0, 1); half of it is spent a side.
    rho : float, default 2
        Exponent of the power family, above 0.

    Returns
    -------
    float
        From 0 to alpha / 2.

    Raises
    ------
    ParameterError
        If `family` is unknown (``unknown_family``), or `alpha`, `rho` or
        `information` is out of range.

    Notes
    -----
    obf: ``2 (1 - Phi(z / sqrt(t)))`` with z the upper alpha / 4 quantile;
    pocock: ``(alpha / 2) ln(1 + (e - 1) t)``.

    References
    ----------
    Lan, DeMets (1983), "Discrete sequential boundaries for clinical trials",
    Biometrika 70(3).
    """
    if family not in get_args(Family):
        msg = f"family is {family!r}; it must be one of {list(get_args(Family))}; name"
        msg = f"{msg} one.{suggest(str(family), get_args(Family))}"
        raise ParameterError(msg, code="unknown_family")
    if not information >= 0 or not 0 < rho < inf:
        msg = f"information is {information} and rho {rho}; they must be 0 or more, and"
        msg = f"{msg} above 0; give the share of the planned units."
        raise ParameterError(msg, code="information_out_of_range")
    z = critical_value(alpha / 2)
    t = min(information, 1.0)
    if not t:
        return 0.0
    match family:
        case "obf":
            return float(2 * ndtr(-z / sqrt(t)))
        case "pocock":
            return alpha / 2 * log1p((e - 1) * t)
        case "power":
            return float(alpha / 2 * t**rho)


def spending_boundaries(
    information: Sequence[float],
    *,
    family: Family = "obf",
    alpha: float = 0.05,
    rho: float = 2.0,
    last: bool | None = None,
) -> Boundaries:
    """Return symmetric boundaries that spend the error as information comes in.

    Parameters
    ----------
    information : sequence of float
        Share of the planned information (units, or 1 / se**2) at each look so
        far: rising, above 0. Looks may be uneven and need not be planned.
    family, alpha, rho
        As in `spent`.
    last : bool, optional
        Whether the last entry is the final look, which spends what is left.
        Omitted: whether it reaches 1.

    Returns
    -------
    Boundaries
        Upper boundaries and their mirror images.

    Raises
    ------
    ParameterError
        If `information` does not rise (``information_out_of_range``), or as in
        `spent`.

    References
    ----------
    Armitage, McPherson, Rowe (1969), "Repeated significance tests on
    accumulating data", JRSS A 132(2).
    """
    looks = _looks(information)
    total = [spent(t, family=family, alpha=alpha, rho=rho) for t in looks]
    if last or (last is None and looks[-1] >= 1):
        total[-1] = alpha / 2
    state, upper = _Walk.start(), []
    before = 0.0
    for t, goal in zip(looks, total, strict=True):
        z = state.solve(t, goal - before, side=1)
        upper.append(z)
        state = state.step(t, -z, z)
        before = max(goal, before)
    return Boundaries(
        information=looks,
        upper=tuple(upper),
        lower=tuple(-z for z in upper),
        cumulative_alpha=tuple(total),
    )


def classical_boundaries(
    looks: int, *, shape: Shape = "obf", alpha: float = 0.05
) -> Boundaries:
    """Return Pocock's or O'Brien and Fleming's boundaries for even looks.

    Parameters
    ----------
    looks : int
        Number of looks, 1 or more, evenly spaced in information.
    shape : {"obf", "pocock"}
        O'Brien-Fleming: ``c sqrt(K / k)``; Pocock: the same c at each look.
    alpha : float, default 0.05
        Two-sided level in (0, 1), of both sides together.

    Returns
    -------
    Boundaries
        Symmetric.

    Raises
    ------
    ParameterError
        If `looks` is not positive (``looks_out_of_range``), `shape` is unknown
        (``unknown_family``) or `alpha` out of range.

    References
    ----------
    Jennison, Turnbull (2000), Group Sequential Methods, chapter 2.
    """
    if looks < 1:
        msg = f"looks is {looks}; it must be 1 or more; say how often you will look."
        raise ParameterError(msg, code="looks_out_of_range")
    if shape not in get_args(Shape):
        msg = f"shape is {shape!r}; it must be one of {list(get_args(Shape))}; name"
        msg = f"{msg} one.{suggest(str(shape), get_args(Shape))}"
        raise ParameterError(msg, code="unknown_family")
    times = tuple((k + 1) / looks for k in range(looks))
    form = [1.0 if shape == "pocock" else 1 / sqrt(t) for t in times]
    fixed = critical_value(alpha)

    def excess(c: float) -> float:
        upper = [c * part for part in form]
        return sum(crossing(times, upper, [-z for z in upper]).upper) - alpha / 2

    c = fixed if looks == 1 else bracketed_root(excess, fixed - 1e-9, 2 * fixed + 4)
    upper = tuple(c * part for part in form)
    lower = tuple(-z for z in upper)
    used = np.cumsum(crossing(times, upper, lower).upper)
    return Boundaries(times, upper, lower, tuple(used.tolist()))


def asymmetric_boundaries(
    information: Sequence[float],
    *,
    lower_exit: Sequence[float],
    upper_exit: Sequence[float],
) -> Boundaries:
    """Return boundaries that are crossed with given chances under no effect.

    Parameters
    ----------
    information : sequence of float
        Share of the planned information at each look, rising, above 0.
    lower_exit, upper_exit : sequence of float
        Chance to cross for the first time at each look, below and above.

    Returns
    -------
    Boundaries
        One pair per look.

    Raises
    ------
    ParameterError
        If the lengths differ (``length_mismatch``), `information` does not rise
        (``information_out_of_range``), or the chances exceed what is left
        (``exit_out_of_range``).
    """
    looks = _looks(information)
    if not len(looks) == len(lower_exit) == len(upper_exit):
        msg = f"{len(looks)} looks have {len(lower_exit)} lower and {len(upper_exit)}"
        msg = f"{msg} upper chances; there must be one each a look; add the missing."
        raise ParameterError(msg, code="length_mismatch")
    if min(*lower_exit, *upper_exit) < 0 or sum((*lower_exit, *upper_exit)) >= 1:
        msg = (
            f"chances to stop are {list(lower_exit)} and {list(upper_exit)}; they must"
        )
        msg = f"{msg} be 0 or more and sum to less than 1; lower them."
        raise ParameterError(msg, code="exit_out_of_range")
    state = _Walk.start()
    upper: list[float] = []
    lower: list[float] = []
    for t, down, up in zip(looks, lower_exit, upper_exit, strict=True):
        upper.append(state.solve(t, up, side=1))
        lower.append(-state.solve(t, down, side=-1))
        state = state.step(t, lower[-1], upper[-1])
    used = np.cumsum(np.asarray(upper_exit, dtype=np.float64))
    return Boundaries(looks, tuple(upper), tuple(lower), tuple(used.tolist()))


def crossing(
    information: Sequence[float],
    upper: Sequence[float],
    lower: Sequence[float],
    *,
    drift: float = 0.0,
) -> Crossing:
    """Return the chance to cross each boundary for the first time.

    Parameters
    ----------
    information : sequence of float
        Rising, above 0.
    upper, lower : sequence of float
        Boundaries of z at each look; may be infinite.
    drift : float, default 0
        Mean of z at information 1; at t it is ``drift * sqrt(t)``.

    Returns
    -------
    Crossing
        Chances per look; their sum is the power, or the error if `drift` is 0.

    Raises
    ------
    ParameterError
        If `information` does not rise (``information_out_of_range``).
    """
    state = _Walk.start(drift)
    above: list[float] = []
    below: list[float] = []
    for t, high, low in zip(_looks(information), upper, lower, strict=True):
        above.append(state.beyond(t, high, side=1))
        below.append(state.beyond(t, low, side=-1))
        state = state.step(t, low, high)
    return Crossing(tuple(above), tuple(below))


def inflation(
    bounds: Boundaries, *, alpha: float = 0.05, power: float = 0.8
) -> Inflation:
    """Return how many more units a group-sequential plan needs.

    Parameters
    ----------
    bounds : Boundaries
        The plan's boundaries, up to information 1.
    alpha : float, default 0.05
        Two-sided level of the fixed design compared with, in (0, 1).
    power : float, default 0.8
        Power in (0, 1): the chance to cross on the side of the effect.

    Returns
    -------
    Inflation
        Largest and expected size under no effect over the fixed size, and the
        drift that gives the power.

    Raises
    ------
    ParameterError
        If `alpha` or `power` is outside (0, 1).
    """
    if not 0 < power < 1:
        msg = f"power is {power}; it must be in (0, 1); write 80% as 0.8."
        raise ParameterError(msg, code="power_out_of_range")
    fixed = critical_value(alpha) + float(ndtri(power))

    def lacking(drift: float) -> float:
        found = crossing(bounds.information, bounds.upper, bounds.lower, drift=drift)
        return sum(found.upper) - power

    drift = bracketed_root(lacking, 0.0, 3 * abs(fixed) + 5)
    ratio = (drift / fixed) ** 2
    null = crossing(bounds.information, bounds.upper, bounds.lower)
    going, expected, before = 1.0, 0.0, 0.0
    for t, up, down in zip(bounds.information, null.upper, null.lower, strict=True):
        expected += going * (t - before)
        going, before = going - up - down, t
    return Inflation(ratio, ratio * expected, drift)


def stagewise_p(
    statistic: float, bounds: Boundaries, *, final: bool | None = None
) -> float | None:
    """Return the two-sided p-value once the plan has stopped, by stage-wise ordering.

    Parameters
    ----------
    statistic : float
        z at the last look in `bounds`; no boundary was crossed before.
    bounds : Boundaries
        Boundaries up to and including this look.
    final : bool, optional
        Whether this look is the last one planned. Omitted: whether its
        information reaches 1.

    Returns
    -------
    float or None
        In [0, 1]; below alpha exactly when a boundary is crossed. None while
        the plan goes on: `repeated_p` is for that.

    Notes
    -----
    An earlier stop is more extreme than a later one; at the same look, a larger
    z. Twice the smaller tail.

    References
    ----------
    Tsiatis, Rosner, Mehta (1984), "Exact confidence intervals following a group
    sequential test", Biometrics 40(3).
    """
    *early, last = bounds.information
    over = last >= 1 if final is None else final
    if not over and bounds.lower[-1] < statistic < bounds.upper[-1]:
        return None
    state = _Walk.start()
    above = below = 0.0
    for t, high, low in zip(early, bounds.upper, bounds.lower, strict=False):
        above += state.beyond(t, high, side=1)
        below += state.beyond(t, low, side=-1)
        state = state.step(t, low, high)
    above += state.beyond(last, statistic, side=1)
    below += state.beyond(last, statistic, side=-1)
    return min(2 * above, 2 * below, 1.0)


def repeated_p(
    statistic: float,
    information: Sequence[float],
    *,
    family: Family = "obf",
    rho: float = 2.0,
    last: bool | None = None,
) -> float:
    """Return the two-sided p-value that may be read at every look.

    Parameters
    ----------
    statistic : float
        z at the last of these looks.
    information, family, rho, last
        As in `spending_boundaries`.

    Returns
    -------
    float
        The smallest level at which this look's repeated interval leaves out 0;
        1 where even the largest does not.

    Raises
    ------
    ParameterError
        As in `spending_boundaries`.

    References
    ----------
    Jennison, Turnbull (2000), Group Sequential Methods, section 9.5.
    """
    z = abs(statistic)

    def spare(log_alpha: float) -> float:
        plan = spending_boundaries(
            information, family=family, alpha=exp(log_alpha), rho=rho, last=last
        )
        return min(plan.upper[-1], 2 * FAR) - z

    def tail(log_alpha: float) -> float:
        """Return how far this look's nominal level is above the wanted one."""
        return float(log_ndtr(-z - spare(log_alpha)) - log_ndtr(-z))

    low, high = log(1e-15), log(1 - 1e-9)
    first = min(max(log(2) + float(log_ndtr(-z)), low), high)
    if found := _secant(tail, first, low, high):
        return exp(found)
    if spare(high) >= 0:
        return 1.0
    if spare(low) <= 0:
        return 1e-15
    return exp(bracketed_root(spare, low, high, rtol=1e-9))


def _secant(
    f: Callable[[float], float], first: float, low: float, high: float
) -> float | None:
    """Return a root of a rising function that is nearly a line; None if it is not."""
    x, fx = first, f(first)
    step = -fx
    for _ in range(8):
        if abs(step) <= 1e-11:
            return x
        new = min(max(x + step, low), high)
        if new == x or not isfinite(new):
            return None
        value = f(new)
        if not isfinite(value) or value == fx:
            return None
        step = -value * (new - x) / (value - fx)
        x, fx = new, value
    return None


def repeated_interval(contrast: Contrast, boundary: float) -> Interval | None:
    """Return the repeated confidence interval, ``d -/+ boundary * se``.

    Parameters
    ----------
    contrast : Contrast
        Treatment against control at this look.
    boundary : float
        This look's boundary.

    Returns
    -------
    tuple of (float, float), or None
        Valid at every look at once; None if not computable or the look spends
        nothing.
    """
    d, se = contrast.estimate, contrast.se
    if d is None or se is None or not isfinite(boundary):
        return None
    return d - boundary * se, d + boundary * se


@dataclass(frozen=True, slots=True, eq=False)
class _Walk:
    """What is left of the score process: nodes, and the mass each one carries."""

    time: float
    nodes: NDArray[np.float64]
    mass: NDArray[np.float64]
    drift: float

    @classmethod
    def start(cls, drift: float = 0.0) -> _Walk:
        return cls(0.0, np.zeros(1), np.ones(1), drift)

    def beyond(self, t: float, z: float, *, side: int) -> float:
        """Return the chance to be above (side 1) or below (-1) `z` at time `t`."""
        if not isfinite(z):
            return 0.0
        step = t - self.time
        centre = self.nodes + self.drift * step
        away = (centre - z * sqrt(t)) * (side / sqrt(step))
        return float(self.mass @ ndtr(away))

    def solve(self, t: float, chance: float, *, side: int) -> float:
        """Return the z beyond which the chance on one side is as given."""
        if chance <= 0:
            return inf
        if self.beyond(t, side * FAR, side=side) > chance:
            return FAR
        return bracketed_root(
            lambda z: self.beyond(t, side * z, side=side) - chance, -FAR, FAR
        )

    def step(self, t: float, low: float, high: float) -> _Walk:
        """Return what is left between the boundaries at time `t`."""
        width = sqrt(t - self.time)
        root = sqrt(t)
        middle = self.drift * t
        floor = max(low * root, middle - FAR * root)
        ceiling = min(high * root, middle + FAR * root)
        if floor >= ceiling:
            return _Walk(t, np.zeros(1), np.zeros(1), self.drift)
        deviates = (ceiling - floor) / width
        unit, weight = gauss_legendre(
            max(FEWEST_NODES, ceil(NODES_PER_DEVIATE * deviates))
        )
        nodes = floor + (ceiling - floor) * unit
        centre = self.nodes + self.drift * (t - self.time)
        away = (nodes[:, None] - centre) / width
        density = np.exp(-0.5 * away * away) @ self.mass / (width * sqrt(2 * pi))
        mass = density * weight * (ceiling - floor)
        return _Walk(t, nodes, mass, self.drift)


def _looks(information: Sequence[float]) -> tuple[float, ...]:
    looks = tuple(float(t) for t in information)
    pairs = zip((0.0, *looks), looks, strict=False)
    rising = all(b - a >= CLOSEST * b > 0 for a, b in pairs)
    if not looks or not rising or not isfinite(looks[-1]):
        msg = f"information is {list(looks)}; it must rise from above 0, each time by"
        msg = f"{msg} {CLOSEST:g} of itself or more; leave looks without news out."
        raise ParameterError(msg, code="information_out_of_range")
    return looks
