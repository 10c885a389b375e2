"""People who walk through steps at known rates and delays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from growth.errors import ParameterError
from growth.synth.base import (
    DAY_MS,
    Coded,
    Piece,
    hex_ids,
    midnight_ms,
    need,
    stream,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["PURCHASE", "WELCOME", "Walk", "funnel", "walk"]


@dataclass(frozen=True, slots=True)
class Walk:
    """Steps, the share that goes on from each, and how long it takes.

    Parameters
    ----------
    steps : tuple of str, length k
        Event names in order.
    rates : tuple of float, length k - 1
        Share of those at step j who reach step j + 1, in [0, 1].
    median_ms : tuple of int, length k - 1
        Median time from step j to j + 1, lognormal.
    sigma : float
        Standard deviation of the log of those times, 0 or more.
    """

    steps: tuple[str, ...]
    rates: tuple[float, ...]
    median_ms: tuple[int, ...]
    sigma: float = 0.6

    def __post_init__(self) -> None:
        """Refuse lengths that do not belong together and rates beyond 0..1."""
        gaps = len(self.steps) - 1
        usable = gaps >= 1 and len(self.rates) == len(self.median_ms) == gaps
        if not usable or not all(0 <= rate <= 1 for rate in self.rates):
            msg = (
                f"steps has {len(self.steps)} names, rates is {self.rates}; there must"
            )
            msg = f"{msg} be 2+ steps and a rate in 0..1 and a median between each two;"
            raise ParameterError(f"{msg} correct them.", code="bad_steps")

    def to_truth(self) -> dict[str, object]:
        """Return the planted values by name."""
        reach = np.cumprod((1.0, *self.rates))
        return {
            "steps": list(self.steps),
            "rate_from_previous": [1.0, *self.rates],
            "rate_from_start": [float(share) for share in reach],
            "median_ms": list(self.median_ms),
            "sigma_log": self.sigma,
        }


PURCHASE = Walk(
    ("page_view", "add_to_cart", "checkout", "order_create", "order_pay"),
    (0.42, 0.62, 0.86, 0.92),
    (25_000, 40_000, 20_000, 12_000),
)
WELCOME = Walk(
    ("register", "profile_done", "coupon_claimed"), (0.70, 0.45), (2_500, 4_000), 0.5
)


def walk(
    rng: np.random.Generator, n: int, plan: Walk
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw how far each of `n` goes, and when.

    Returns
    -------
    level : ndarray of int, shape (n,)
        Steps reached beyond the first, 0 .. k - 1.
    offset_ms : ndarray of int64, shape (n, k)
        Time of each step after the first, in ms, rising; also of those not reached.
    """
    gaps = len(plan.rates)
    passed = rng.random((n, gaps)) < np.asarray(plan.rates)
    level = np.cumprod(passed, axis=1).sum(axis=1)
    delay = np.asarray(plan.median_ms) * np.exp(plan.sigma * rng.normal(size=(n, gaps)))
    offset = np.cumsum(np.maximum(delay, 1).round().astype(np.int64), axis=1)
    return level, np.concatenate([np.zeros((n, 1), np.int64), offset], axis=1)


def funnel(
    *,
    seed: int,
    users: int = 10_000,
    plan: Walk = PURCHASE,
    days: int = 30,
    start: date = date(2026, 2, 1),
    noise: Sequence[str] = ("impression",),
) -> Piece:
    """Make users who enter a funnel once and go on at known rates.

    Parameters
    ----------
    seed : int
        0 or more.
    users : int, default 10_000
        Each enters once, at a random instant of the range.
    plan : Walk, default PURCHASE
        Steps, rates and delays.
    days : int, default 30
        Local days over which they enter.
    start : datetime.date
        First day of the range.
    noise : sequence of str
        Events outside the funnel, one of each a user, at random instants.

    Returns
    -------
    Piece
        `data`: events ``user_id, ts, event``. `truth`: rates, medians, and
        ``reached``, the users who got to each step.

    Raises
    ------
    ParameterError
        If a number is out of range.
    """
    need("users", users, 1)
    need("days", days, 1)
    rng = stream(seed, "funnel")
    ids = np.sort(hex_ids(rng, users))
    level, offset = walk(rng, users, plan)
    begun = midnight_ms(start) + rng.integers(0, days * DAY_MS, users)
    at, step = np.nonzero(level[:, None] >= np.arange(len(plan.steps)))
    who = [at, *(np.arange(users) for _ in noise)]
    when = [begun[at] + offset[at, step]]
    when += [midnight_ms(start) + rng.integers(0, days * DAY_MS, users) for _ in noise]
    what = [step, *(np.full(users, len(plan.steps) + j) for j in range(len(noise)))]
    user, ts, event = (np.concatenate(part) for part in (who, when, what))
    order = np.lexsort((event, ts, user))
    data = table(
        {
            "user_id": Coded(user[order], ids),
            "ts": ts[order],
            "event": Coded(event[order], (*plan.steps, *noise)),
        }
    )
    reached = np.bincount(step, minlength=len(plan.steps))
    return Piece(data, {**plan.to_truth(), "reached": reached.tolist()}, {})
