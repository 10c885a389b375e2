"""Posterior statements about a lift or two shares; the prior is always stated."""

from __future__ import annotations

from math import exp, inf, isfinite, log, pi, sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import betainc, betaincc, betaincinv, betaln, expit, ndtr

from growth.errors import DataError, ParameterError
from growth.stats.contrast import Contrast, Interval, critical_value
from growth.stats.quadrature import gauss_legendre

if TYPE_CHECKING:
    from growth.stats.proportions import Share

__all__ = ["Posterior", "chance_to_win", "lift_estimate", "lift_posterior", "posterior"]

STABLE = 5.0  # standard errors the control must be away from 0


class Posterior(NamedTuple):
    """Normal posterior of a lift, in shares of the control (0.05 is 5 %).

    The losses are expected: what shipping (keeping) costs where it is wrong.
    """

    mean: float
    sd: float
    chance_to_win: float
    expected_loss_ship: float
    expected_loss_keep: float
    interval: Interval


def posterior(
    lift: float,
    se: float,
    *,
    prior_mean: float = 0.0,
    prior_sd: float | None = 0.3,
    alpha: float = 0.05,
) -> Posterior:
    """Combine a measured lift with a normal prior.

    Parameters
    ----------
    lift, se : float
        Relative lift and its standard error (above 0), as shares.
    prior_mean : float, default 0
        Mean of the prior, as a share.
    prior_sd : float or None, default 0.3
        Standard deviation of the prior, above 0; None is the flat prior.
    alpha : float, default 0.05
        The interval holds 1 - alpha of the posterior, in (0, 1).

    Returns
    -------
    Posterior
        With m and s by precision weighting and z = m / s: chance to win Phi(z),
        loss of shipping ``s phi(z) - m Phi(-z)``, of keeping ``s phi(z) + m
        Phi(z)``.

    Raises
    ------
    ParameterError
        If `se` or `prior_sd` is not positive (``bad_scale``) or `alpha` is
        outside (0, 1).
    """
    for name, value in (("se", se), ("prior_sd", prior_sd)):
        if value is not None and not 0 < value < inf:
            msg = f"{name} is {value}; it must be above 0 and finite; give None as"
            raise ParameterError(f"{msg} prior_sd for a flat prior.", code="bad_scale")
    m, s = lift, se
    if prior_sd is not None:
        w = 1 / (1 + (se / prior_sd) ** 2)
        m, s = w * lift + (1 - w) * prior_mean, se * sqrt(w)
    z = m / s
    density = exp(-0.5 * z * z) / sqrt(2 * pi)
    up, down = float(ndtr(z)), float(ndtr(-z))
    q = critical_value(alpha)
    return Posterior(
        mean=m,
        sd=s,
        chance_to_win=up,
        expected_loss_ship=max(s * density - m * down, 0.0),
        expected_loss_keep=max(s * density + m * up, 0.0),
        interval=(m - q * s, m + q * s),
    )


def lift_estimate(contrast: Contrast) -> tuple[float, float] | None:
    """Return the lift and its delta-method standard error.

    Parameters
    ----------
    contrast : Contrast
        Treatment against control.

    Returns
    -------
    tuple of (float, float), or None
        None where the control is within 5 standard errors of 0 (notice
        ``lift_unstable``), or nothing is computable.
    """
    m0, m1 = contrast.control.value, contrast.treatment.value
    v0, v1 = contrast.control.variance, contrast.treatment.variance
    lift = contrast.lift
    if contrast.se is None or lift is None:
        return None
    if m0 is None or m1 is None or v0 is None or v1 is None:
        return None
    if abs(m0) < STABLE * sqrt(v0):
        return None
    r = m1 / m0
    v = (v1 - 2 * r * contrast.covariance + r * r * v0) / m0 / m0
    return (lift, sqrt(v)) if 0 < v < inf else None


def lift_posterior(
    contrast: Contrast,
    *,
    prior_mean: float = 0.0,
    prior_sd: float | None = 0.3,
    alpha: float = 0.05,
) -> Posterior | None:
    """Return the posterior of a contrast's lift.

    Parameters
    ----------
    contrast : Contrast
        Treatment against control.
    prior_mean, prior_sd, alpha
        As in `posterior`.

    Returns
    -------
    Posterior or None
        None as in `lift_estimate`.

    Raises
    ------
    ParameterError
        As in `posterior`.
    """
    found = lift_estimate(contrast)
    if found is None:
        return None
    lift, se = found
    return posterior(lift, se, prior_mean=prior_mean, prior_sd=prior_sd, alpha=alpha)


def chance_to_win(
    control: Share, treatment: Share, *, prior: tuple[float, float] = (1.0, 1.0)
) -> float:
    """Return the chance that the treatment's share is the larger.

    Parameters
    ----------
    control, treatment : Share
        Successes and trials.
    prior : tuple of (float, float), default (1, 1)
        Beta prior of both shares, both above 0.

    Returns
    -------
    float
        In [0, 1]; by quadrature on the log-odds scale, to about 1e-12.

    Raises
    ------
    DataError
        If counts are impossible (``bad_counts``).
    ParameterError
        If `prior` is not positive (``bad_scale``).

    References
    ----------
    Miller, "Formulas for Bayesian A/B testing"; Stucchio (2015).
    """
    if not all(0 < part < inf for part in prior):
        msg = f"prior is {prior}; both numbers must be above 0; (1, 1) is uniform."
        raise ParameterError(msg, code="bad_scale")
    for x, n in (control, treatment):
        if not 0 <= x <= n or not isfinite(n):
            msg = f"{x} successes of {n} trials is impossible; successes must be from 0"
            raise DataError(
                f"{msg} to trials; check which is which.", code="bad_counts"
            )
    a0, b0 = prior[0] + control.successes, prior[1] + control.n - control.successes
    a1, b1 = (
        prior[0] + treatment.successes,
        prior[1] + treatment.n - treatment.successes,
    )
    ends = [(_log_odds(a, b), -_log_odds(b, a)) for a, b in ((a0, b0), (a1, b1))]
    widths = [high - low for low, high in ends]
    if widths[1] <= widths[0]:  # over the narrower posterior the other one is smooth
        return _mass_below((a1, b1), ends[1], (a0, b0))
    return _mass_below((b0, a0), (-ends[0][1], -ends[0][0]), (b1, a1))


def _mass_below(
    outer: tuple[float, float], ends: Interval, inner: tuple[float, float]
) -> float:
    """Return the chance that a Beta `inner` is below a Beta `outer`."""
    (a, b), (low, high) = outer, ends
    unit, weight = gauss_legendre(min(max(240, int(8 * (high - low))), 4000))
    at = low + (high - low) * unit
    density = a * -np.logaddexp(0, -at) + b * -np.logaddexp(0, at) - betaln(a, b)
    mass = np.exp(density) * weight * (high - low)
    below = np.where(  # near 1 by what is left: 1 - 1e-20 is 1 in doubles
        at < 0,
        betainc(*inner, expit(at)),
        betaincc(inner[1], inner[0], expit(-at)),
    )
    return float(min(mass @ below, 1.0))


def _log_odds(a: float, b: float) -> float:
    """Return log-odds below which a Beta(a, b) has nothing left."""
    p = float(betaincinv(a, b, 1e-14))
    return log(p) - log(1 - p) if p > 0 else -740.0
