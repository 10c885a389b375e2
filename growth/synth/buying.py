"""Buyers who buy by BG/NBD and spend by Gamma-Gamma, with known parameters."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

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
    from numpy.typing import NDArray

__all__ = ["BuyingModel", "amounts", "orders", "purchases", "rates", "scales"]


@dataclass(frozen=True, slots=True)
class BuyingModel:
    """Parameters of BG/NBD (time in days) and Gamma-Gamma (money in fen).

    Parameters
    ----------
    r, alpha : float
        Purchase rate a day ~ Gamma(shape `r`, rate `alpha`).
    a, b : float
        Chance to leave after a repeat purchase ~ Beta(`a`, `b`).
    p, q, gamma_fen : float
        Amount ~ Gamma(shape `p`, rate v), v ~ Gamma(shape `q`, rate `gamma_fen`);
        `q` above 2, so that the variance is finite.
    """

    r: float = 0.9
    alpha: float = 26.0
    a: float = 0.6
    b: float = 3.4
    p: float = 5.0
    q: float = 4.0
    gamma_fen: float = 7_200.0

    @property
    def mean_fen(self) -> float:
        """Expected amount of an order, in fen."""
        return self.p * self.gamma_fen / (self.q - 1)


def rates(
    rng: np.random.Generator, n: int, model: BuyingModel
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw purchases a day and the chance to leave, shape (n,) each."""
    return rng.gamma(model.r, 1 / model.alpha, n), rng.beta(model.a, model.b, n)


def scales(rng: np.random.Generator, n: int, model: BuyingModel) -> NDArray[np.float64]:
    """Draw each buyer's own mean amount, in fen, shape (n,)."""
    return model.p / rng.gamma(model.q, 1 / model.gamma_fen, n)


def amounts(
    rng: np.random.Generator, mean_fen: NDArray[np.float64], model: BuyingModel
) -> NDArray[np.int64]:
    """Draw one amount for each order, given the buyer's mean; at least 1 fen."""
    drawn = rng.gamma(model.p, mean_fen / model.p)
    return np.maximum(drawn.round(), 1).astype(np.int64)


def purchases(
    rng: np.random.Generator,
    rate: NDArray[np.float64],
    leave: NDArray[np.float64],
    span_days: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
    """Draw purchases from the first one, at day 0, to the end of each span.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the draws come from.
    rate, leave : ndarray of float, shape (n,)
        Purchases a day, and the chance to leave after each repeat purchase.
    span_days : ndarray of float, shape (n,)
        How long each is watched.

    Returns
    -------
    buyer : ndarray of int64, shape (orders,)
        Position of the buyer.
    day : ndarray of float64, shape (orders,)
        Days since the first purchase; sorted by buyer, then day.
    alive : ndarray of bool, shape (n,)
        Who has not left by the end.
    """
    alive = np.ones(len(rate), dtype=bool)
    at = np.zeros(len(rate))
    active = np.arange(len(rate))
    who, when = [active], [np.zeros(len(rate))]
    while len(active):
        at[active] += rng.exponential(1 / np.maximum(rate[active], 1e-12))
        active = active[at[active] < span_days[active]]
        who.append(active)
        when.append(at[active].copy())
        left = rng.random(len(active)) < leave[active]
        alive[active[left]] = False
        active = active[~left]
    buyer, day = np.concatenate(who), np.concatenate(when)
    order = np.lexsort((day, buyer))
    return buyer[order], day[order], alive


def orders(
    *,
    seed: int,
    customers: int = 5_000,
    days: int = 365,
    model: BuyingModel | None = None,
    start: date = date(2025, 3, 1),
) -> Piece:
    """Make orders of buyers with known purchase, dropout and spend parameters.

    Parameters
    ----------
    seed : int
        0 or more.
    customers : int, default 5_000
        Buyers; first purchases are spread over the first half of the range.
    days : int, default 365
        Length of the range, 2 or more.
    model : BuyingModel, optional
        The parameters.
    start : datetime.date
        First local day.

    Returns
    -------
    Piece
        `data`: ``order_id, user_id, pay_ts, paid_fen``. `truth`: the parameters,
        ``mean_fen``, ``alive`` (buyers not gone at the end), ``orders``.

    Raises
    ------
    ParameterError
        If a number is out of range.
    """
    need("customers", customers, 1)
    need("days", days, 2)
    model = model or BuyingModel()
    rng = stream(seed, "orders")
    ids = np.sort(hex_ids(rng, customers))
    first = rng.random(customers) * days / 2
    rate, leave = rates(rng, customers, model)
    buyer, day, alive = purchases(rng, rate, leave, days - first)
    paid = amounts(rng, scales(rng, customers, model)[buyer], model)
    ts = midnight_ms(start) + ((first[buyer] + day) * DAY_MS).astype(np.int64)
    data = table(
        {
            "order_id": hex_ids(rng, len(buyer)),
            "user_id": Coded(buyer, ids),
            "pay_ts": ts,
            "paid_fen": paid,
        }
    )
    truth = {
        **asdict(model),
        "mean_fen": model.mean_fen,
        "alive": int(alive.sum()),
        "orders": len(buyer),
    }
    return Piece(data, truth, {})
