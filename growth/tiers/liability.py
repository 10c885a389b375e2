"""What points owe: breakage, the liability at a month's end, revenue deferred."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from growth.errors import ParameterError
from growth.result import Cell, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from growth.tiers.running import Totals

__all__ = [
    "Deferral",
    "Period",
    "RollForward",
    "breakage_rate",
    "deferred_revenue",
    "fair_liability",
    "roll_forward",
]


class Period(NamedTuple):
    """A period of the roll-forward, in the unit of the sales.

    ``opening + deferred - recognised - clawed = closing``; `re_estimate` is how much
    less was recognised because the expectation changed. It is within `recognised`.
    """

    opening: float
    deferred: float
    recognised: float
    clawed: float
    re_estimate: float
    closing: float


class Deferral(NamedTuple):
    """A sale split by relative stand-alone prices: what waits, what does not."""

    deferred: float
    goods: float


def breakage_rate(totals: Totals) -> NDArray[np.float64]:
    """Return the share of dying points that nobody used, a replication.

    Parameters
    ----------
    totals : Totals
        A run.

    Returns
    -------
    ndarray of float
        Expired over expired and redeemed, in [0, 1]; 0 where neither happened: a run
        shorter than the points' life sees no breakage, and claims none.
    """
    dead = totals.of("expired").sum(axis=(1, 2, 3)).astype(float)
    used = totals.of("redeemed").sum(axis=(1, 2, 3)).astype(float)
    both = dead + used
    return np.asarray(np.divide(dead, both, out=np.zeros_like(dead), where=both > 0))


def fair_liability(
    points: Any, *, value_fen: int, block: int, breakage: Any  # noqa: ANN401
) -> NDArray[np.int64]:  # fmt: skip
    """Return the value of points outstanding that will be used, in whole fen.

    Parameters
    ----------
    points : array of int
        Active and pending, (replications, ...).
    value_fen, block : int
        What a block of points is worth.
    breakage : array of float
        Share never used, one a replication.

    Returns
    -------
    ndarray of int
        As `points`.
    """
    kept = 1 - np.asarray(breakage).reshape(-1, *([1] * (np.ndim(points) - 1)))
    return np.asarray(np.floor(points * (value_fen / block) * kept + 0.5), np.int64)


def deferred_revenue(
    *, sales: float, points: float, value_per_point: float, expected: float
) -> Deferral:
    """Split sales between goods and the points that came with them (IFRS 15 B39-B43).

    Parameters
    ----------
    sales : float
        Consideration received, 0 or more.
    points : float
        Points issued with them.
    value_per_point : float
        Stand-alone price of one, in the unit of `sales`.
    expected : float
        Points expected to be used, 0 to `points`.

    Returns
    -------
    Deferral
        Two parts whose sum is `sales`.

    Raises
    ------
    ParameterError
        If a number is negative, or more are expected to be used than were issued
        (``bad_liability``).

    Examples
    --------
    >>> part = deferred_revenue(
    ...     sales=100_000, points=10_000, value_per_point=1, expected=9_500)
    >>> round(part.deferred)
    8676
    """
    if min(sales, points, value_per_point, expected) < 0 or expected > points:
        msg = f"sales is {sales}, points {points}, expected {expected}; none may be"
        msg = f"{msg} below 0 and no more can be used than issued; correct them."
        raise ParameterError(msg, code="bad_liability")
    ssp = expected * value_per_point
    deferred = sales * ssp / (ssp + sales) if ssp + sales else 0.0
    return Deferral(deferred, sales - deferred)


@dataclass(frozen=True, slots=True, kw_only=True)
class RollForward(Result):
    """Deferred revenue from period to period; `closing` is what still waits."""

    periods: tuple[Period, ...]
    closing: float

    @property
    def verdict(self) -> str:
        """`tiers.liability.` and `open`, or `settled` where nothing waits."""
        return f"tiers.liability.{'open' if self.closing else 'settled'}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a period."""
        return [
            {"period": i + 1, **period._asdict()}
            for i, period in enumerate(self.periods)
        ]


def roll_forward(
    *,
    deferred: Sequence[float],
    redeemed: Sequence[float],
    expected: Sequence[float],
    clawed: Sequence[float] | None = None,
) -> RollForward:
    """Recognise deferred revenue as points are used, re-estimating each period.

    Parameters
    ----------
    deferred : sequence of float
        Revenue deferred in each period.
    redeemed : sequence of float
        Points used, to date, at each period's end; never falling.
    expected : sequence of float
        Points expected to be used in the end, as estimated in each period.
    clawed : sequence of float, optional
        Deferred revenue given back with refunds, in each period; none if omitted.

    Returns
    -------
    RollForward
        One period each.

    Raises
    ------
    ParameterError
        If the lengths differ, or more are used than expected (``bad_liability``).

    Notes
    -----
    Recognised to date is ``deferred to date * redeemed to date / expected in total``.
    Breakage acts through the expected redemption, so a changed expectation shows in
    what the period recognises, and is not taken a second time.

    Examples
    --------
    >>> rolled = roll_forward(deferred=[8675.799087, 0], redeemed=[4500, 8500],
    ...                       expected=[9500, 9700])
    >>> [round(p.recognised) for p in rolled.periods], round(rolled.closing)
    ([4110, 3493], 1073)
    """
    back = [0.0] * len(deferred) if clawed is None else list(clawed)
    sizes = {len(deferred), len(redeemed), len(expected), len(back)}
    falls = any(b < a for a, b in pairwise(redeemed))
    over = any(r > e for r, e in zip(redeemed, expected, strict=False))
    if len(sizes) > 1 or falls or over:
        msg = f"redeemed is {list(redeemed)} of expected {list(expected)}; both must"
        msg = f"{msg} have a value a period, never fall, and stay below; correct them."
        raise ParameterError(msg, code="bad_liability")
    periods: list[Period] = []
    opening = total = done = 0.0
    before = expected[0] if len(expected) else 0.0
    for new, used, hope, clawing in zip(
        deferred, redeemed, expected, back, strict=True
    ):
        total += new - clawing
        to_date = total * used / hope if hope else 0.0
        as_before = total * used / before if before else 0.0
        recognised = to_date - done
        closing = opening + new - recognised - clawing
        periods.append(
            Period(opening, new, recognised, clawing, as_before - to_date, closing)
        )
        opening, done, before = closing, to_date, hope
    return RollForward(periods=tuple(periods), closing=opening)
