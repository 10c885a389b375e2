"""Who still buys, and how often: the BG/NBD model, and NBD where nobody leaves.

A customer buys at a Gamma(r, alpha) rate and leaves after each purchase with a
Beta(a, b) chance. What is known of one is (x, t_x, t): repeat purchases, the time
of the last (0 without), the time since the first. Any one unit of time will do; the
bounds of the fit are meant for weeks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import betaln, digamma, gammaln, hyp2f1

from growth.errors import DataError, ParameterError
from growth.stats.arguments import generator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "BOUNDS",
    "FELL_BACK",
    "Fit",
    "Params",
    "expected",
    "expected_new",
    "fit",
    "loglik",
    "p_alive",
    "sample",
]

# on logs; without them b runs to 1e8 where nobody is seen to leave
BOUNDS = {"r": (-6.0, 6.0), "alpha": (-6.0, 6.0), "a": (-6.0, 4.0), "b": (-6.0, 8.0)}
SMALLEST_DROPOUT = 1e-3  # a smaller mean chance to leave cannot be told from none
AT_BOUND = 1e-3  # on logs
FELL_BACK = "fell_back_to_nbd"
STARTS = ((0.5, 1.0, 1.0, 2.5), (1.0, 1.0, 0.5, 5.0), (0.2, 0.3, 0.8, 2.0))
MANY_CELLS = 20_000  # above this, the starts are tried on a coarser summary
COARSE = 64  # steps of time in that summary


class Params(NamedTuple):
    """Parameters; rates are per unit of time. ``a == 0`` is NBD: nobody leaves."""

    r: float
    alpha: float
    a: float
    b: float

    @property
    def dropout_share(self) -> float:
        """Mean chance to leave after a purchase, in [0, 1)."""
        return self.a / (self.a + self.b) if self.a else 0.0


class Fit(NamedTuple):
    """A fit: `loglik` of `params`; `bgnbd` and its own likelihood before a fall-back.

    `fallback` says that `params` are NBD's; `notices` holds notice codes.
    """

    params: Params
    loglik: float
    customers: int
    fallback: bool
    bgnbd: Params
    bgnbd_loglik: float
    notices: tuple[str, ...]


class _Cells(NamedTuple):
    """Customers alike, counted: the likelihood needs no more."""

    x: Floats
    t_x: Floats
    t: Floats
    weight: Floats
    value: Floats  # distinct x
    at_value: Floats  # customers of each

    @property
    def customers(self) -> float:
        return float(self.weight.sum())


def fit(
    x: ArrayLike, t_x: ArrayLike, t: ArrayLike, weights: ArrayLike | None = None
) -> Fit:
    """Fit BG/NBD by bounded maximum likelihood; fall back to NBD and say so.

    Parameters
    ----------
    x : array of int
        Repeat purchases of each customer, 0 or more.
    t_x : array of float
        Time of the last one since the first purchase, 0..t; 0 where `x` is 0.
    t : array of float
        Time since the first purchase, 0 or more. Weeks, for the bounds.
    weights : array of int, optional
        How many customers each row stands for; 1 each if omitted.

    Returns
    -------
    Fit
        NBD's parameters (``a == 0``) with the notice ``fell_back_to_nbd`` where the
        mean chance to leave is under 0.001 or a bound is met.

    Raises
    ------
    DataError
        If a history is impossible (``bad_history``) or nobody bought again
        (``no_repeat_purchases``).

    Notes
    -----
    Several starts, on logs, with exact gradients (L-BFGS-B). Customers of equal
    (x, t_x, t) are counted first, so the work grows with distinct histories.

    References
    ----------
    Fader, Hardie & Lee (2005), "Counting Your Customers the Easy Way: An
    Alternative to the Pareto/NBD Model", Marketing Science 24(2).
    """
    cells = _count(*_checked(x, t_x, t, weights))
    if not cells.x.any():
        msg = f"x is 0 for all {cells.customers:.0f} customers; somebody must have"
        msg = f"{msg} bought twice; take a longer history."
        raise DataError(msg, code="no_repeat_purchases")
    tries = [np.log([r, alpha * cells.t.max(), a, b]) for r, alpha, a, b in STARTS]
    limits = list(BOUNDS.values())
    if len(cells.x) > MANY_CELLS:
        rough = _coarser(cells)
        tries = [min((_climb(_bgnbd, rough, at, limits) for at in tries), key=_low)[0]]
    at, low = min((_climb(_bgnbd, cells, at, limits) for at in tries), key=_low)
    full = Params(*map(float, np.exp(at)))
    bound = any(
        min(v - lo, hi - v) < AT_BOUND for v, (lo, hi) in zip(at, limits, strict=True)
    )
    if full.dropout_share >= SMALLEST_DROPOUT and not bound:
        return Fit(full, -low, round(cells.customers), fallback=False,
                   bgnbd=full, bgnbd_loglik=-low, notices=())  # fmt: skip
    at, low_nbd = min(
        (_climb(_nbd, cells, s, limits[:2]) for s in (at[:2], tries[0][:2])), key=_low
    )
    r, alpha = map(float, np.exp(at))
    return Fit(
        Params(r, alpha, 0.0, 1.0),
        -low_nbd,
        round(cells.customers),
        fallback=True,
        bgnbd=full,
        bgnbd_loglik=-low,
        notices=(FELL_BACK,),
    )


def loglik(
    params: Sequence[float],
    x: ArrayLike,
    t_x: ArrayLike,
    t: ArrayLike,
    weights: ArrayLike | None = None,
) -> float:
    """Return the log-likelihood of histories under given parameters.

    Parameters
    ----------
    params : Params or sequence of four floats
        r, alpha, a, b; positive (``a`` may be 0: NBD).
    x, t_x, t : array
        Histories, as in `fit`.
    weights : array of int, optional
        Customers a row stands for.

    Returns
    -------
    float
        The natural logarithm.

    Raises
    ------
    ParameterError
        If a parameter is not positive (``bad_model_parameters``).
    DataError
        If a history is impossible (``bad_history``).
    """
    p = _usable(params)
    cells = _count(*_checked(x, t_x, t, weights))
    logs = np.log([p.r, p.alpha, p.a or 1.0, p.b])
    low, _ = _bgnbd(logs, cells) if p.a else _nbd(logs[:2], cells)
    return -low


def p_alive(
    params: Sequence[float], x: ArrayLike, t_x: ArrayLike, t: ArrayLike
) -> Floats:
    """Return each customer's probability of still being one.

    Parameters
    ----------
    params : Params or sequence of four floats
        r, alpha, a, b.
    x, t_x, t : array
        Histories, as in `fit`.

    Returns
    -------
    ndarray of float
        In (0, 1]; exactly 1 without a repeat purchase, and everywhere under NBD.

    Raises
    ------
    ParameterError
        If a parameter is not positive (``bad_model_parameters``).
    DataError
        If a history is impossible (``bad_history``).

    Examples
    --------
    >>> p_alive((0.243, 4.414, 0.793, 2.426), [2, 0], [30.43, 0], [38.86, 38.86])
    array([0.72657857, 1.        ])
    """
    p = _usable(params)
    n, last, seen, _ = _checked(x, t_x, t, None)
    # at x = 0 the odds are 0 whatever b is, so the divisor is kept away from 0
    odds = np.where(n > 0, p.a / np.where(n > 0, p.b + n - 1, 1.0), 0.0)
    growth = (p.r + n) * (np.log(p.alpha + seen) - np.log(p.alpha + last))
    with np.errstate(over="ignore", divide="ignore"):
        return np.asarray(1 / (1 + np.exp(np.log(odds) + growth)))


def expected(
    params: Sequence[float],
    x: ArrayLike,
    t_x: ArrayLike,
    t: ArrayLike,
    horizon: float,
) -> Floats:
    """Return each customer's expected purchases in the next `horizon`.

    Parameters
    ----------
    params : Params or sequence of four floats
        r, alpha, a, b.
    x, t_x, t : array
        Histories, as in `fit`.
    horizon : float
        Length of the time ahead, 0 or more, in the unit of `t`.

    Returns
    -------
    ndarray of float
        0 or more.

    Raises
    ------
    ParameterError
        If a parameter or `horizon` is unusable (``bad_model_parameters``,
        ``bad_horizon``).
    DataError
        If a history is impossible (``bad_history``).

    Notes
    -----
    Equation 10 of the reference, which divides by ``a - 1``; at ``a == 1`` the
    limit is taken by moving `a` by 1e-6.

    References
    ----------
    Fader, Hardie & Lee (2005), Marketing Science 24(2).

    Examples
    --------
    >>> expected((0.243, 4.414, 0.793, 2.426), [2], [30.43], [38.86], 39).round(4)
    array([1.226])
    """
    p = _usable(params)
    n, last, seen, _ = _checked(x, t_x, t, None)
    ahead = _ahead(horizon)
    if not p.a:
        return np.asarray((p.r + n) / (p.alpha + seen) * ahead)
    return np.asarray(_mean(p, n, seen, ahead) * p_alive(p, n, last, seen))


def expected_new(params: Sequence[float], horizon: ArrayLike) -> Floats:
    """Return the purchases a new customer is expected to make after the first.

    Parameters
    ----------
    params : Params or sequence of four floats
        r, alpha, a, b.
    horizon : float or array
        Time since the first purchase, 0 or more.

    Returns
    -------
    ndarray of float
        One value a horizon.

    Raises
    ------
    ParameterError
        If a parameter or `horizon` is unusable (``bad_model_parameters``,
        ``bad_horizon``).

    Examples
    --------
    >>> float(expected_new((0.243, 4.414, 0.793, 2.426), 39).round(4))
    1.1967
    """
    p = _usable(params)
    ahead = _ahead(horizon)
    if not p.a:
        return np.asarray(p.r / p.alpha * ahead)
    zero = np.zeros_like(ahead)
    return np.asarray(_mean(p, zero, zero, ahead))


def sample(
    params: Sequence[float], horizons: Sequence[float], *, members: int, seed: int
) -> NDArray[np.int64]:
    """Draw new customers in continuous time and count their repeat purchases.

    Parameters
    ----------
    params : Params or sequence of four floats
        r, alpha, a, b.
    horizons : sequence of float
        Times since the first purchase at which to count, each 0 or more.
    members : int
        Customers to draw, 1 or more.
    seed : int
        Of NumPy's generator.

    Returns
    -------
    ndarray of int, (members, horizons)
        Purchases up to each time.

    Raises
    ------
    ParameterError
        If an argument is unusable (``bad_model_parameters``, ``bad_horizon``).
    """
    p = _usable(params)
    until = _ahead(horizons)
    rng = generator(seed)
    rate = rng.gamma(p.r, 1 / p.alpha, members)
    leave = rng.beta(p.a, p.b, members) if p.a else np.zeros(members)
    counts = np.zeros((members, until.size), dtype=np.int64)
    left = np.flatnonzero(rate > 0)
    clock = np.zeros(len(left))
    while left.size:
        with np.errstate(over="ignore"):
            clock = clock + rng.exponential(1.0, len(left)) / rate[left]
        inside = clock <= until.max()
        left, clock = left[inside], clock[inside]
        counts[left] += clock[:, None] <= until
        stays = rng.random(len(left)) >= leave[left]
        left, clock = left[stays], clock[stays]
    return counts


def _mean(p: Params, n: Floats, t: Floats, ahead: Floats | float) -> Floats:
    """Return expected purchases of one who is still a customer at `t`."""
    a = p.a if abs(p.a - 1) > 1e-6 else 1 + 1e-6
    z = ahead / (p.alpha + t + ahead)
    shrink = ((p.alpha + t) / (p.alpha + t + ahead)) ** (p.r + n)
    tail = hyp2f1(p.r + n, p.b + n, a + p.b + n - 1, z)
    return np.asarray((a + p.b + n - 1) / (a - 1) * (1 - shrink * tail))


def _usable(params: Sequence[float]) -> Params:
    p = Params(*params)
    if not (min(p.r, p.alpha, p.b) > 0 and p.a >= 0 and np.isfinite(p).all()):
        msg = f"params is {tuple(p)}; r, alpha and b must be above 0, a 0 or more;"
        raise ParameterError(
            f"{msg} take them from fit().", code="bad_model_parameters"
        )
    return p


def _ahead(horizon: ArrayLike) -> Floats:
    ahead = np.asarray(horizon, dtype=float)
    if not ahead.size or not (ahead >= 0).all() or not np.isfinite(ahead).all():
        msg = f"horizon is {horizon!s}; it must be 0 or more; give a length of time."
        raise ParameterError(msg, code="bad_horizon")
    return ahead


def _checked(
    x: ArrayLike, t_x: ArrayLike, t: ArrayLike, weights: ArrayLike | None
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return histories as floats; refuse impossible ones."""
    given = [np.asarray(part, dtype=float) for part in (x, t_x, t)]
    n, last, seen = np.broadcast_arrays(*given)
    weight = np.ones(n.shape) if weights is None else np.asarray(weights, dtype=float)
    good = (n >= 0) & (n == np.floor(n)) & ((n > 0) | (last == 0))
    bad = ~(good & (last >= 0) & (last <= seen) & (weight >= 0)).reshape(-1)
    if not n.size or bad.any():
        what = "there are no histories"
        if n.size:
            row = int(np.argmax(bad))
            seen_there = zip(("x", "t_x", "t"), (n, last, seen), strict=True)
            named = (f"{k}={part.reshape(-1)[row]:g}" for k, part in seen_there)
            what = f"history {row} is {', '.join(named)}"
        msg = f"{what}; it must be whole x >= 0, 0 <= t_x <= t, t_x = 0 where x = 0;"
        raise DataError(f"{msg} correct the counts.", code="bad_history")
    return n, last, seen, weight


def _count(n: Floats, last: Floats, t: Floats, weight: Floats) -> _Cells:
    n, last, t, weight = (np.ravel(part) for part in (n, last, t, weight))
    order = np.lexsort((t, last, n))
    n, last, t, weight = n[order], last[order], t[order], weight[order]
    first = np.ones(len(n), dtype=bool)
    first[1:] = (n[1:] != n[:-1]) | (last[1:] != last[:-1]) | (t[1:] != t[:-1])
    start = np.flatnonzero(first)
    count = np.add.reduceat(weight, start)
    n = n[start]
    value, where = np.unique(n, return_inverse=True)
    at_value = np.bincount(where, weights=count, minlength=len(value)).astype(float)
    return _Cells(n, last[start], t[start], count, value, at_value)


def _coarser(cells: _Cells) -> _Cells:
    """Return a summary with few distinct times: good enough to start from."""
    step = cells.t.max() / COARSE
    t = np.ceil(cells.t / step) * step
    last = np.minimum(np.ceil(cells.t_x / step) * step, t)
    return _count(cells.x, last, t, cells.weight)


def _low(found: tuple[Floats, float]) -> float:
    return found[1]


def _climb(
    score: Callable[[Floats, _Cells], tuple[float, Floats]],
    cells: _Cells,
    start: Floats,
    limits: list[tuple[float, float]],
) -> tuple[Floats, float]:
    """Return the best logs of parameters from one start, and the loss there."""
    from scipy.optimize import minimize

    scale = cells.customers

    def loss(at: Floats) -> tuple[float, Floats]:
        value, slope = score(at, cells)
        return value / scale, slope / scale

    inside = np.clip(start, [lo for lo, _ in limits], [hi for _, hi in limits])
    found = minimize(
        loss, inside, jac=True, method="L-BFGS-B", bounds=limits,
        options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 500},
    )  # fmt: skip
    return np.asarray(found.x, dtype=float), float(found.fun) * scale


def _bgnbd(at: Floats, cells: _Cells) -> tuple[float, Floats]:
    """Return minus the log-likelihood and its slope in the logs of r, alpha, a, b."""
    r, alpha, a, b = np.exp(at)
    x, t_x, t, w, v, n = cells
    of_value = (
        gammaln(r + v)
        - gammaln(r)
        + r * np.log(alpha)
        + betaln(a, b + v)
        - betaln(a, b)
    )
    stay = -(r + x) * np.log(alpha + t)
    # the one who left at t_x, against the one who stays: odds a / (b + x - 1)
    gone = x > 0
    left = np.full_like(stay, -np.inf)
    divisor = np.where(gone, b + x - 1, 1.0)
    left[gone] = -(r + x[gone]) * np.log(alpha + t_x[gone])
    # betaln(a, b+x) is of the stayer; the leaver has B(a+1, b+x-1) = B a/(b+x-1)
    left[gone] += np.log(a / divisor[gone])
    top = np.maximum(stay, left)
    es, el = np.exp(stay - top), np.exp(left - top)
    total = es + el
    value = float(n @ of_value + w @ (top + np.log(total)))
    ps, pl = es / total, el / total
    lt, lx = np.log(alpha + t), np.log(alpha + t_x)
    dr = n @ (digamma(r + v) - digamma(r) + np.log(alpha)) - w @ (ps * lt + pl * lx)
    dalpha = n.sum() * r / alpha - w @ (
        (r + x) * (ps / (alpha + t) + pl / (alpha + t_x))
    )
    both = digamma(a + b) - digamma(a + b + v)
    da = n @ both + w @ pl / a
    db = n @ (both + digamma(b + v) - digamma(b)) - w @ (pl / divisor)
    slope = np.array([dr * r, dalpha * alpha, da * a, db * b])
    return -value, -slope


def _nbd(at: Floats, cells: _Cells) -> tuple[float, Floats]:
    """Return minus the log-likelihood and its slope in the logs of r and alpha."""
    r, alpha = np.exp(at)
    x, _, t, w, v, n = cells
    lt = np.log(alpha + t)
    value = n @ (gammaln(r + v) - gammaln(r) + r * np.log(alpha)) - w @ ((r + x) * lt)
    dr = n @ (digamma(r + v) - digamma(r) + np.log(alpha)) - w @ lt
    dalpha = n.sum() * r / alpha - w @ ((r + x) / (alpha + t))
    return -float(value), -np.array([dr * r, dalpha * alpha])
