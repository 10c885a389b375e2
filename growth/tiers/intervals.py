"""Three intervals: chance, chance and parameters, and a method's own record."""

from __future__ import annotations

from math import exp, sqrt
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.special import stdtrit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

__all__ = ["FEWEST", "Factor", "Span", "around", "calibration", "scaled_span"]

LEVEL: Final = 0.95
FEWEST: Final = 3  # closed origins: with fewer there is no record to speak of


class Span(NamedTuple):
    """An interval's ends."""

    lo: float
    hi: float


class Factor(NamedTuple):
    """What a forecast is multiplied by: the middle of its record, and the ends."""

    middle: float
    lo: float
    hi: float
    origins: int


def around(values: ArrayLike) -> Span | None:
    """Return where the next value falls, nineteen times in twenty.

    Parameters
    ----------
    values : array of float
        One a replication.

    Returns
    -------
    Span or None
        None of fewer than two.

    Notes
    -----
    ``mean ± t * sd * sqrt(1 + 1/n)``: of a new replication, not of the mean.
    """
    v = np.asarray(values, dtype=float)
    if v.size < 2:
        return None
    half = float(stdtrit(v.size - 1, (1 + LEVEL) / 2) * v.std(ddof=1))
    half *= sqrt(1 + 1 / v.size)
    return Span(float(v.mean()) - half, float(v.mean()) + half)


def calibration(log_errors: Sequence[float]) -> Factor | None:
    """Return the factor that a method's log errors ``log(forecast/actual)`` teach.

    Parameters
    ----------
    log_errors : sequence of float
        Of origins whose window had closed by the forecast date.

    Returns
    -------
    Factor or None
        None under three origins.

    Notes
    -----
    ``exp(-m ± t(k-1, .975) * s * sqrt(1 + 1/k))`` of their mean m, deviation s and
    count k.
    """
    k = len(log_errors)
    if k < FEWEST:
        return None
    errors = np.asarray(log_errors, dtype=float)
    m, s = float(errors.mean()), float(errors.std(ddof=1))
    half = float(stdtrit(k - 1, (1 + LEVEL) / 2)) * s * sqrt(1 + 1 / k)
    return Factor(exp(-m), exp(-m - half), exp(-m + half), k)


def scaled_span(span: Span | None, factor: Factor | None) -> Span | None:
    """Return an interval scaled by a method's record, and never narrower.

    Parameters
    ----------
    span : Span or None
        With chance and parameters in it.
    factor : Factor or None
        From `calibration`.

    Returns
    -------
    Span or None
        None where either is.
    """
    if span is None or factor is None:
        return None
    ends = [end * f for end in span for f in (factor.lo, factor.hi)]
    lo, hi = min(ends), max(ends)
    lacking = (span.hi - span.lo) - (hi - lo)
    if lacking > 0:
        lo, hi = lo - lacking / 2, hi + lacking / 2
    return Span(lo, hi)
