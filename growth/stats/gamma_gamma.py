"""What a customer spends on an order: the Gamma-Gamma model.

Orders of one customer are Gamma(p, nu), nu is Gamma(q, v) over customers, and spend
does not depend on frequency. What is known of one is (x, m): orders, and their mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import digamma, gammaln

from growth.errors import DataError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["AT_BOUND_NOTICE", "Fit", "Params", "expected_mean", "fit", "loglik"]

# on logs, v over the mean amount; q stays above 1, or the mean would be infinite
LIMITS = ((-5.0, 7.0), (0.05, 7.0), (-7.0, 7.0))
STARTS = ((1.0, 3.0, 2.0), (6.0, 4.0, 0.5), (0.5, 1.5, 1.0))
AT_BOUND = 1e-3
AT_BOUND_NOTICE = "spend_model_at_bound"


class Params(NamedTuple):
    """p and q have no unit, v has that of the amounts."""

    p: float
    q: float
    v: float

    @property
    def population_mean(self) -> float:
        """Mean amount of an order over customers; infinite where q is 1 or less."""
        return self.p * self.v / (self.q - 1) if self.q > 1 else float("inf")


class Fit(NamedTuple):
    """A fit; `correlation` is Pearson's of frequency and spend (None: undefined)."""

    params: Params
    loglik: float
    customers: int
    correlation: float | None
    notices: tuple[str, ...]


def fit(x: ArrayLike, m: ArrayLike, weights: ArrayLike | None = None) -> Fit:
    """Fit the model by bounded maximum likelihood from several starts.

    Parameters
    ----------
    x : array of int
        Orders each mean rests on, 1 or more.
    m : array of float
        Mean amount of each customer's orders, above 0, in any one unit of money.
    weights : array of int, optional
        Customers a row stands for; 1 each if omitted.

    Returns
    -------
    Fit
        With the correlation of frequency and spend, which the model takes to be 0,
        and the notice ``spend_model_at_bound`` where a bound is met.

    Raises
    ------
    DataError
        If an amount is 0 or less (``amount_not_positive``), a count is below 1
        (``bad_history``) or there is nobody (``no_customers``).

    Notes
    -----
    Amounts are divided by their mean first, so that the bounds mean the same in fen
    and in yuan.

    References
    ----------
    Fader & Hardie (2013), "The Gamma-Gamma Model of Monetary Value", note 025.
    """
    from scipy.optimize import minimize

    n, mean, weight = _checked(x, m, weights)
    unit = float(weight @ mean / weight.sum())
    scaled, total = mean / unit, float(weight.sum())
    groups = _by_count(n, weight)

    def loss(at: Floats) -> tuple[float, Floats]:
        value, slope = _loss(at, n, scaled, weight, groups)
        return value / total, slope / total

    found = min(
        (
            minimize(
                loss, np.log(start), jac=True, method="L-BFGS-B", bounds=LIMITS,
                options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 500},
            )
            for start in STARTS
        ),
        key=lambda one: float(one.fun),
    )  # fmt: skip
    p, q, v = map(float, np.exp(found.x))
    params = Params(p, q, v * unit)
    pairs = zip(found.x, LIMITS, strict=True)
    bound = any(min(at - lo, hi - at) < AT_BOUND for at, (lo, hi) in pairs)
    return Fit(
        params,
        _score(params, n, mean, weight),
        round(total),
        _correlation(n, mean, weight),
        (AT_BOUND_NOTICE,) if bound else (),
    )


def loglik(
    params: Sequence[float],
    x: ArrayLike,
    m: ArrayLike,
    weights: ArrayLike | None = None,
) -> float:
    """Return the log-likelihood of mean amounts under given parameters.

    Parameters
    ----------
    params : Params or sequence of three floats
        p, q, v; positive.
    x, m, weights : array
        As in `fit`.

    Returns
    -------
    float
        The natural logarithm, of densities in the unit of `m`.

    Raises
    ------
    ParameterError
        If a parameter is not positive (``bad_model_parameters``).
    DataError
        As `fit`.
    """
    return _score(_usable(params), *_checked(x, m, weights))


def expected_mean(params: Sequence[float], x: ArrayLike, m: ArrayLike) -> Floats:
    """Return the amount to expect of each customer's next order.

    Parameters
    ----------
    params : Params or sequence of three floats
        p, q, v; positive, ``q > 1``.
    x : array of int
        Orders each mean rests on, 0 or more: a customer without any gets the
        population's mean.
    m : array of float
        Mean amount of the orders; not read where `x` is 0.

    Returns
    -------
    ndarray of float
        In the unit of `m`: a mean of the customer's own and the population's.

    Raises
    ------
    ParameterError
        If a parameter is unusable (``bad_model_parameters``).

    References
    ----------
    Fader & Hardie (2013), note 025, equation 5.

    Examples
    --------
    >>> expected_mean((6.25, 3.74, 15.44), [2, 0], [22.35, 0]).round(4)
    array([24.6637, 35.219 ])
    """
    p, q, v = _usable(params)
    if q <= 1:
        msg = f"q is {q}; it must be above 1, or the mean is infinite; take it from"
        raise ParameterError(f"{msg} fit().", code="bad_model_parameters")
    n = np.asarray(x, dtype=float)
    spent = np.where(n > 0, n * np.asarray(m, dtype=float), 0.0)
    return np.asarray(p * (v + spent) / (p * n + q - 1))


def _usable(params: Sequence[float]) -> Params:
    usable = Params(*params)
    if not (min(usable) > 0 and np.isfinite(usable).all()):
        msg = f"params is {tuple(usable)}; p, q and v must be above 0; take them from"
        raise ParameterError(f"{msg} fit().", code="bad_model_parameters")
    return usable


def _checked(
    x: ArrayLike, m: ArrayLike, weights: ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    n, mean = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(m, float))
    weight = np.ones(n.shape) if weights is None else np.asarray(weights, dtype=float)
    n, mean, weight = np.ravel(n), np.ravel(mean), np.ravel(weight)
    if not n.size:
        msg = "there are no customers; the model needs some with an order;"
        raise DataError(f"{msg} take a longer history.", code="no_customers")
    if not (n >= 1).all():
        msg = f"x falls to {n.min():g}; a mean must rest on 1 order or more; leave"
        raise DataError(f"{msg} out who bought nothing.", code="bad_history")
    if not ((mean > 0) & np.isfinite(mean)).all():
        msg = f"m falls to {mean.min():g}; a mean amount must be above 0; leave out"
        raise DataError(f"{msg} free orders.", code="amount_not_positive")
    return n, mean, weight


def _score(params: Params, n: Floats, mean: Floats, weight: Floats) -> float:
    value, _ = _loss(np.log(params), n, mean, weight, _by_count(n, weight))
    return -value


def _by_count(n: Floats, w: Floats) -> tuple[Floats, Floats]:
    """Return the distinct counts of orders and the customers at each."""
    count, where = np.unique(n, return_inverse=True)
    return count, np.bincount(where, weights=w).astype(float)


def _loss(
    at: Floats, n: Floats, m: Floats, w: Floats, groups: tuple[Floats, Floats]
) -> tuple[float, Floats]:
    """Return minus the log-likelihood and its slope in the logs of p, q, v.

    `groups` is of `_by_count`: gamma functions are taken once a count.
    """
    p, q, v = np.exp(at)
    count, people = groups
    k, k_count, total = p * n, p * count, v + n * m
    log_total, log_spent = np.log(total), np.log(n * m)
    of_count = gammaln(k_count + q) - gammaln(k_count) - gammaln(q) + q * np.log(v)
    parts = k * log_spent - np.log(m) - (k + q) * log_total
    both = digamma(k_count + q)
    rise = people @ (count * (both - digamma(k_count)))
    dp = rise + w @ (n * (log_spent - log_total))
    dq = people @ (both - digamma(q) + np.log(v)) - w @ log_total
    dv = w @ (q / v - (k + q) / total)
    value = float(people @ of_count + w @ parts)
    return -value, -np.array([dp * p, dq * q, dv * v])


def _correlation(n: Floats, m: Floats, w: Floats) -> float | None:
    share = w / w.sum()
    dn, dm = n - share @ n, m - share @ m
    spread = float(np.sqrt((share @ dn**2) * (share @ dm**2)))
    return float(share @ (dn * dm)) / spread if spread > 0 else None
