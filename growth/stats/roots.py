"""One-dimensional root finding, without loading an optimiser."""

from __future__ import annotations

from math import isnan, nan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["bracketed_root"]

STEPS = 200
EPSILON = 2.0**-52


def bracketed_root(
    f: Callable[[float], float], low: float, high: float, *, rtol: float = 1e-13
) -> float:
    """Return a root of `f` between two points of opposite sign.

    Parameters
    ----------
    f : callable
        A continuous function; infinite values count by their sign.
    low, high : float
        The bracket; the order does not matter.
    rtol : float, default 1e-13
        Width at which to stop, relative to the root.

    Returns
    -------
    float
        The root; NaN if `f` has one sign at both ends.

    Notes
    -----
    Chandrupatla's method: inverse quadratic steps where they are safe, halving
    otherwise.

    References
    ----------
    Chandrupatla (1997), "A new hybrid quadratic/bisection algorithm for finding
    the zero of a nonlinear function", Advances in Engineering Software 28(3).
    """
    b, a = low, high
    fb, fa = f(b), f(a)
    if not fa or not fb:
        return b if not fb else a
    if isnan(fa) or isnan(fb) or (fa > 0) == (fb > 0):
        return nan
    c, fc, t = a, fa, 0.5
    for _ in range(STEPS):
        x = a + t * (b - a)
        fx = f(x)
        if (fx > 0) == (fa > 0):
            c, fc = a, fa
        else:
            c, b, fc, fb = b, a, fb, fa
        a, fa = x, fx
        best = a if abs(fa) < abs(fb) else b
        room = (2 * EPSILON + rtol) * abs(best) + 1e-300
        limit = room / abs(b - c) if b != c else 1.0
        if not fa or limit > 0.5:
            return a if not fa else best
        t = min(max(_step((a, b, c), (fa, fb, fc)), limit), 1 - limit)
    return a if abs(fa) < abs(fb) else b


def _step(at: tuple[float, float, float], value: tuple[float, float, float]) -> float:
    """Return the share of the way from a to b at which to look next."""
    (a, b, c), (fa, fb, fc) = at, value
    xi = (a - b) / (c - b)
    phi = (fa - fb) / (fc - fb) if fc != fb else nan
    if not phi * phi < xi or not (1 - phi) * (1 - phi) < 1 - xi:
        return 0.5
    t = fa / (fb - fa) * fc / (fb - fc)
    t += (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
    return t if t == t else 0.5  # noqa: PLR0124  (NaN: the values were infinite)
