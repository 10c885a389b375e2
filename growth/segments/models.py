"""What BG/NBD and Gamma-Gamma say of buyers, from (x, t_x, T) and their money."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from growth.result import Notice
from growth.stats import bgnbd, gamma_gamma

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from growth.segments.rules import Metric

__all__ = ["WEEK", "answer", "fitted"]

WEEK = 7.0  # days; the bounds of the fit are meant for weeks


def fitted(
    x: ArrayLike,
    t_x: ArrayLike,
    t: ArrayLike,
    weights: ArrayLike,
    *,
    orders: ArrayLike | None = None,
    money: ArrayLike | None = None,
) -> tuple[dict[str, Any], tuple[Notice, ...]]:
    """Fit the models to buyers, counted.

    Parameters
    ----------
    x : array of int
        Days of purchase after the first one.
    t_x, t : array of int
        Days from the first purchase to the last one, and to `as_of`.
    weights : array of int
        Buyers that each row stands for.
    orders, money : array of int, optional
        Orders above 0 fen and their sum: Gamma-Gamma is fitted too.

    Returns
    -------
    yard : dict
        ``bgnbd`` (r, alpha, a, b; in weeks) and ``gamma_gamma`` (p, q, v; in fen).
    notices : tuple of Notice
        Where a fit met its bounds, or fell back to NBD.

    Raises
    ------
    DataError
        If nobody bought twice (code ``no_repeat_purchases``), or there is no
        amount above 0 (``no_customers``).
    """
    last, age = np.asarray(t_x) / WEEK, np.asarray(t) / WEEK
    fit = bgnbd.fit(x, last, age, weights)
    yard: dict[str, Any] = {"bgnbd": list(fit.params)}
    codes = list(fit.notices)
    if orders is not None and money is not None:
        n, total = np.asarray(orders), np.asarray(money, dtype=float)
        some = n > 0
        spend = gamma_gamma.fit(n[some], total[some] / n[some],
                                np.asarray(weights)[some])  # fmt: skip
        yard["gamma_gamma"] = list(spend.params)
        codes += spend.notices
    return yard, tuple(Notice(f"segments_{code}") for code in codes)


def answer(
    metric: Metric,
    yard: Mapping[str, Any],
    x: ArrayLike,
    t_x: ArrayLike,
    t: ArrayLike,
    orders: ArrayLike,
    money: ArrayLike,
) -> NDArray[Any]:
    """Return what a metric is for each buyer.

    Parameters
    ----------
    metric : Metric
        Of op ``p_alive``, ``expected_orders`` or ``clv_fen``.
    yard : mapping
        What `fitted` gave.
    x, t_x, t, orders, money : array of int, shape (n,)
        As in `fitted`; the last two are read for ``clv_fen`` only.

    Returns
    -------
    ndarray, shape (n,)
        float64, or int64 fen rounded down.
    """
    params = yard["bgnbd"]
    last, age = np.asarray(t_x) / WEEK, np.asarray(t) / WEEK
    if metric.op == "p_alive":
        return np.asarray(bgnbd.p_alive(params, x, last, age), dtype=float)
    horizon = (metric.horizon or 0) / WEEK
    ahead = np.asarray(bgnbd.expected(params, x, last, age, horizon), dtype=float)
    if metric.op == "expected_orders":
        return ahead
    n, total = np.asarray(orders), np.asarray(money, dtype=float)
    mean = gamma_gamma.expected_mean(yard["gamma_gamma"], n, total / np.maximum(n, 1))
    return np.floor(ahead * mean).astype(np.int64)
