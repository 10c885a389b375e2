"""New users who come back on a known curve."""

from __future__ import annotations

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

__all__ = ["power_curve", "retention", "return_days"]

START = date(2025, 12, 31)


def power_curve(
    days: int, *, first: float = 0.30, decay: float = 0.65
) -> NDArray[np.float64]:
    """Return the share of a cohort that is back on day k.

    Parameters
    ----------
    days : int
        Length of the curve, 1 or more.
    first : float, default 0.30
        Share back on day 1, in (0, 1).
    decay : float, default 0.65
        How fast it falls, 0 or more.

    Returns
    -------
    ndarray of float64, shape (days,)
        1 at k = 0, then ``first * ((k + 1) / 2) ** -decay``.

    Examples
    --------
    >>> power_curve(4).round(3).tolist()
    [1.0, 0.3, 0.23, 0.191]
    """
    need("days", days, 1)
    need("first", first, 0, 1)
    curve = first * ((np.arange(days) + 1) / 2) ** -decay
    curve[0] = 1.0
    return curve


def return_days(
    rng: np.random.Generator, joined_day: NDArray[np.int64], curve: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Draw the days on which each user is there.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the draws come from.
    joined_day : ndarray of int, shape (n,)
        Day on which each joined, in ``[0, len(curve))``.
    curve : ndarray of float, shape (days,)
        Probability of being there k days after joining; 1 at k = 0.

    Returns
    -------
    ndarray of bool, shape (n, days)
        Days are independent of each other given the curve.
    """
    days = len(curve)
    age = np.arange(days) - joined_day[:, None]
    chance = np.where(age >= 0, curve[np.maximum(age, 0)], 0.0)
    return rng.random(age.shape) < chance


def retention(
    *,
    seed: int,
    users: int = 10_000,
    days: int = 60,
    curve: Sequence[float] | None = None,
    start: date = START,
) -> Piece:
    """Make new users with a known day-k return curve.

    Parameters
    ----------
    seed : int
        0 or more.
    users : int, default 10_000
        New users, spread evenly over the days.
    days : int, default 60
        Local days of the log.
    curve : sequence of float, optional
        Share back on day k, for k = 0 .. days - 1, 1 at k = 0; `power_curve` if
        omitted.
    start : datetime.date
        First day.

    Returns
    -------
    Piece
        `data`: events ``register`` (once a user) and ``app_launch`` (once on each
        day the user is there). `truth`: ``curve`` and ``cohort_sizes``.

    Raises
    ------
    ParameterError
        If a number is out of range, or `curve` does not fit (``bad_curve``).
    """
    need("users", users, 1)
    need("days", days, 1)
    shape = power_curve(days) if curve is None else np.asarray(curve, dtype=float)
    usable = shape.shape == (days,) and shape[0] == 1 and ((shape >= 0) & (shape <= 1))
    if not np.all(usable):
        msg = (
            f"curve has {shape.size} entries from {shape.flat[0]}; it must have {days}"
        )
        msg = f"{msg} shares in 0..1, the first 1; give one a day."
        raise ParameterError(msg, code="bad_curve")
    rng = stream(seed, "retention")
    ids = np.sort(hex_ids(rng, users))
    joined = rng.integers(0, days, users)
    user, day = np.nonzero(return_days(rng, joined, shape))
    ts = midnight_ms(start) + day * DAY_MS + rng.integers(0, DAY_MS, len(day))
    first = day == joined[user]
    who = np.concatenate([user, user[first]])
    when = np.concatenate([ts, ts[first]])
    what = np.concatenate([np.zeros(len(user), int), np.ones(int(first.sum()), int)])
    order = np.lexsort((what, when, who))
    data = table(
        {
            "user_id": Coded(who[order], ids),
            "ts": when[order],
            "event": Coded(what[order], ("app_launch", "register")),
        }
    )
    sizes = np.bincount(joined, minlength=days)
    truth = {
        "curve": shape.tolist(),
        "cohort_sizes": sizes.tolist(),
        "start_event": "register",
        "return_event": "app_launch",
    }
    return Piece(data, truth, {})
