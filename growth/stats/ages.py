"""Does the effect last? A contrast over days since exposure, one number a unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from growth.errors import DataError, ParameterError
from growth.stats.contrast import ArmEstimate
from growth.stats.means import mean
from growth.stats.moments import Moments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["age_weights", "contrast_of", "per_unit", "trend_arms"]

ROUNDING = 1e-7  # of the columns' spread: below it a contrast's spread is rounding


def age_weights(
    ages: Sequence[float], *, kind: Literal["slope", "late_minus_early"] = "slope"
) -> NDArray[np.float64]:
    """Return the weights that turn a unit's values by age into one number.

    Parameters
    ----------
    ages : sequence of float, length k >= 2
        Days since exposure, rising.
    kind : {"slope", "late_minus_early"}
        The least-squares slope per day, or the mean of the later half less the
        mean of the earlier half (a middle age takes no part).

    Returns
    -------
    ndarray of float64, shape (k,)
        They sum to 0.

    Raises
    ------
    ParameterError
        If `ages` do not rise (``bad_ages``) or `kind` is unknown
        (``unknown_kind``).
    """
    at = np.asarray(ages, dtype=np.float64)
    if len(at) < 2 or not (np.diff(at) > 0).all():
        msg = f"ages are {list(ages)}; they must be 2 or more and rise; sort them."
        raise ParameterError(msg, code="bad_ages")
    match kind:
        case "slope":
            centred = at - at.mean()
            return np.asarray(centred / (centred @ centred))
        case "late_minus_early":
            half = len(at) // 2
            weights = np.zeros(len(at))
            weights[:half], weights[-half:] = -1 / half, 1 / half
            return weights
    msg = f'kind is {kind!r}; it must be "slope" or "late_minus_early"; name one.'
    raise ParameterError(msg, code="unknown_kind")


def per_unit(values: ArrayLike, weights: ArrayLike) -> NDArray[np.float64]:
    """Return each unit's contrast.

    Parameters
    ----------
    values : array_like of float, shape (n, k)
        The metric by unit and age, all ages complete (one matured cohort).
    weights : array_like of float, shape (k,)
        From `age_weights`.

    Returns
    -------
    ndarray of float64, shape (n,)
        NaN where a value is.

    Raises
    ------
    DataError
        If the shapes differ (``length_mismatch``).
    """
    table, turn = (np.asarray(part, dtype=np.float64) for part in (values, weights))
    if table.ndim != 2 or table.shape[1] != len(turn):
        msg = f"values have shape {table.shape} for {len(turn)} weights; they must"
        msg = f"{msg} have one column an age; reshape them."
        raise DataError(msg, code="length_mismatch")
    return np.asarray(table @ turn)


def trend_arms(
    values: ArrayLike,
    arm: ArrayLike,
    ages: Sequence[float],
    *,
    kind: Literal["slope", "late_minus_early"] = "slope",
) -> dict[str, ArmEstimate]:
    """Return each arm's mean contrast over ages, ready for a `Contrast`.

    Parameters
    ----------
    values : array_like of float, shape (n, k)
        The metric by unit and age.
    arm : array_like of str or int, shape (n,)
        Each unit's arm.
    ages, kind
        As in `age_weights`.

    Returns
    -------
    dict of str to ArmEstimate
        Compared by Welch's test. Valid however a unit's days hang together:
        there is one number a unit.

    Raises
    ------
    ParameterError, DataError
        As in `age_weights` and `per_unit`.
    """
    found = per_unit(values, age_weights(ages, kind=kind))
    labels = np.asarray(arm).astype(str)
    return {
        str(name): mean(Moments.of(("contrast",), found[labels == name]))
        for name in np.unique(labels)
    }


def contrast_of(
    m: Moments,
    columns: Sequence[str],
    weights: ArrayLike,
    *,
    denominators: Sequence[str] = (),
    level: ArrayLike | None = None,
) -> ArmEstimate:
    """Return one arm's mean contrast from the joint moments of all ages.

    Parameters
    ----------
    m : Moments
        Units of one matured cohort; a column an age, jointly.
    columns : sequence of str, length k
        The metric by age, or a ratio's numerators.
    weights : array_like of float, shape (k,)
        From `age_weights`, or any others.
    denominators : sequence of str, length k, optional
        A ratio's denominators: each age's ratio is linearised.
    level : array_like of float, shape (k,), optional
        Weights of what the contrast is divided by, ``[1 / k] * k`` for the mean over
        ages: the contrast is then relative to what this arm does at all.

    Returns
    -------
    ArmEstimate
        As `trend_arms` gives from the values themselves: a contrast is linear, so
        that means and co-moments say all there is (a quotient by the delta method).
        None where a denominator or level has no positive mean.

    Raises
    ------
    ParameterError
        If a column is not in `m` (``moments_mismatch``).
    """
    turn = np.asarray(weights, dtype=np.float64)
    top = m.pick(columns)
    none = ArmEstimate(m.n, None, None, m.n - 1)
    if not m.n or not np.isfinite(m.mean).all():
        return none
    values, at = top.mean, top
    lines = np.eye(len(columns))  # the values by age, as weights of the columns
    if denominators:
        below = m.pick(denominators).mean
        if not (below > 0).all():
            return none
        values = values / below
        at = m.pick((*columns, *denominators))
        lines = np.hstack((np.diag(1 / below), np.diag(-values / below)))
    value, line = float(turn @ values), turn @ lines
    if level is not None:
        share = np.asarray(level, dtype=np.float64)
        whole = float(share @ values)
        if not whole > 0:
            return none
        value = value / whole
        line = (line - value * (share @ lines)) / whole
    return _linear(at, line, value)


def _linear(m: Moments, weights: NDArray[np.float64], value: float) -> ArmEstimate:
    """Return the mean of a weighted sum of columns; `value` is that mean."""
    if m.n < 2:
        return ArmEstimate(m.n, value, None, m.n - 1)
    spread = float(weights @ m.comoment @ weights)
    whole = float(np.abs(weights) @ np.sqrt(np.abs(np.diag(m.comoment))))
    if spread <= (ROUNDING * whole) ** 2:
        spread = 0.0
    return ArmEstimate(m.n, value, spread / (m.n - 1) / m.n, m.n - 1)
