"""Inference that holds at every moment: mixtures, confidence sequences, hybrid.

One idea throughout: average the likelihood ratio over effects (a mixture). Under
no effect it is a martingale that exceeds 1 / alpha with chance alpha at most,
however often one looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, isfinite, log, log1p, sqrt
from typing import TYPE_CHECKING, NamedTuple

from scipy.special import gammaln, log_ndtr

from growth.errors import DataError, ParameterError
from growth.stats.contrast import Contrast, Interval, critical_value
from growth.stats.roots import bracketed_root

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "Hybrid",
    "Mixture",
    "RareShares",
    "bernoulli_interval",
    "best_rho",
    "hybrid",
    "kappa",
    "mixture_test",
    "normal_mixture_boundary",
    "normal_mixture_log",
    "one_sided_boundary",
    "one_sided_log",
    "planned_critical",
    "rare_shares",
    "running_p",
    "sequence_critical",
]

MONITOR_SHARE = 0.2  # of alpha: what a hybrid plan spends on watching


class RareShares(NamedTuple):
    """One look at two low rates; `lift` is None while the control has no event."""

    p_value: float
    lift: float | None
    lift_low: float
    lift_high: float


class Mixture(NamedTuple):
    """One look of the normal-mixture test.

    `p_value` is this look's; over looks take the running minimum (`running_p`).
    `half_width` is that of the confidence sequence, in the unit of the estimate.
    """

    bayes_factor: float
    p_value: float
    critical: float
    half_width: float


def kappa(alpha: float = 0.05) -> float:
    """Return the mixture scale that is about best at the planned size.

    Parameters
    ----------
    alpha : float, default 0.05
        Level in (0, 1).

    Returns
    -------
    float
        ``2 ln(1/alpha) + ln(1 + 2 ln(1/alpha))``; 7.936 at 0.05.

    Raises
    ------
    ParameterError
        If `alpha` is outside (0, 1) (``alpha_out_of_range``).
    """
    _check_alpha(alpha)
    return -2 * log(alpha) + log1p(-2 * log(alpha))


def sequence_critical(r: float, *, alpha: float = 0.05) -> float:
    """Return the multiple of se that makes an interval valid at every look.

    Parameters
    ----------
    r : float
        Prior variance of the effect over its current se**2, above 0.
    alpha : float, default 0.05
        Level in (0, 1).

    Returns
    -------
    float
        ``sqrt((1 + 1/r)(ln(1 + r) - 2 ln alpha))``. It depends on r alone, so it
        serves Fieller lifts, ratios and adjusted means alike.

    Raises
    ------
    ParameterError
        If `alpha` is outside (0, 1) or `r` is not positive (``bad_scale``).

    References
    ----------
    Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (2024), "Time-uniform central
    limit theory and asymptotic confidence sequences", Annals of Statistics 52(6).
    """
    _check_alpha(alpha)
    _check_positive(r, "r")
    return sqrt((1 + 1 / r) * (log1p(r) - 2 * log(alpha)))


def planned_critical(information: float, *, alpha: float = 0.05) -> float:
    """Return the always-valid critical value at a share of the planned size.

    Parameters
    ----------
    information : float
        Units so far over units planned, above 0; may exceed 1.
    alpha : float, default 0.05
        Level in (0, 1).

    Returns
    -------
    float
        `sequence_critical` at ``r = kappa t``: smallest near the planned size.

    Raises
    ------
    ParameterError
        If `alpha` is outside (0, 1) or `information` not positive.
    """
    _check_positive(information, "information")
    return sequence_critical(kappa(alpha) * information, alpha=alpha)


def mixture_test(
    estimate: float, se: float, *, tau: float, alpha: float = 0.05
) -> Mixture:
    """Test an estimate by the normal mixture (mSPRT).

    Parameters
    ----------
    estimate, se : float
        Difference and its standard error at this look; `se` above 0.
    tau : float
        Standard deviation of the mixture over effects, above 0, same unit; it
        must not depend on the data.
    alpha : float, default 0.05
        Level in (0, 1).

    Returns
    -------
    Mixture
        Valid at any look from about 100 units an arm.

    Raises
    ------
    ParameterError
        If `se` or `tau` is not positive (``bad_scale``) or `alpha` is outside
        (0, 1).

    Notes
    -----
    ``BF = sqrt(v / (v + tau**2)) exp(d**2 tau**2 / (2 v (v + tau**2)))``, v =
    se**2; p = 1 / BF.

    References
    ----------
    Johari, Koomen, Pekelis, Walsh (2022), "Always valid inference", Operations
    Research 70(3).
    """
    _check_positive(se, "se")
    _check_positive(tau, "tau")
    r = (tau / se) ** 2
    critical = sequence_critical(r, alpha=alpha)
    z = estimate / se
    log_bf = 0.5 * (z * z * (r / (1 + r)) - log1p(r))
    return Mixture(
        bayes_factor=exp(log_bf) if log_bf < 700 else inf,
        p_value=min(1.0, exp(-log_bf)),
        critical=critical,
        half_width=critical * se,
    )


def running_p(p_values: Iterable[float | None]) -> tuple[float | None, ...]:
    """Return the running minimum of p over looks: always valid, never rising.

    Parameters
    ----------
    p_values : iterable of float or None
        One a look, in order; None where it was not computable.

    Returns
    -------
    tuple of float or None
        None until the first that is computable.
    """
    best: float | None = None
    out: list[float | None] = []
    for p in p_values:
        if p is not None:
            best = p if best is None else min(best, p)
        out.append(best)
    return tuple(out)


def best_rho(v: float, *, alpha: float = 0.05) -> float:
    """Return the normal mixture's rho that is tightest at intrinsic time `v`.

    Parameters
    ----------
    v : float
        Sum of variances at which the boundary should be tight, above 0.
    alpha : float, default 0.05
        Level in (0, 1).

    Returns
    -------
    float
        ``v / kappa(alpha)``.

    Raises
    ------
    ParameterError
        If `v` is not positive or `alpha` is outside (0, 1).

    References
    ----------
    Howard, Ramdas, McAuliffe, Sekhon (2021), "Time-uniform, nonparametric,
    nonasymptotic confidence sequences", Annals of Statistics 49(2).
    """
    _check_positive(v, "v")
    return v / kappa(alpha)


def normal_mixture_log(s: float, v: float, *, rho: float) -> float:
    """Return the log of the two-sided normal mixture martingale.

    Parameters
    ----------
    s : float
        Sum of centred observations.
    v : float
        Its intrinsic time (sum of variances), 0 or more.
    rho : float
        Tuning, above 0: `best_rho`.

    Returns
    -------
    float
        ``ln(rho / (v + rho)) / 2 + s**2 / (2 (v + rho))``.

    Raises
    ------
    ParameterError
        If `rho` is not positive (``bad_scale``).
    """
    _check_positive(rho, "rho")
    return 0.5 * log(rho / (v + rho)) + s * s / (2 * (v + rho))


def normal_mixture_boundary(v: float, *, rho: float, alpha: float = 0.05) -> float:
    """Return the two-sided boundary of the sum, valid at all times.

    Parameters
    ----------
    v : float
        Intrinsic time, 0 or more.
    rho : float
        Tuning, above 0: `best_rho`.
    alpha : float, default 0.05
        Level in (0, 1).

    Returns
    -------
    float
        ``sqrt((v + rho)(ln(1 + v / rho) - 2 ln alpha))``.

    Raises
    ------
    ParameterError
        If `rho` is not positive or `alpha` is outside (0, 1).
    """
    _check_positive(rho, "rho")
    _check_alpha(alpha)
    return sqrt((v + rho) * (log1p(v / rho) - 2 * log(alpha)))


def one_sided_log(s: float, v: float, *, rho: float) -> float:
    """Return the log of the one-sided normal mixture martingale.

    Parameters
    ----------
    s, v, rho
        As in `normal_mixture_log`; `rho` is ``best_rho(v, alpha=2 * alpha)``.

    Returns
    -------
    float
        The mixture is half normal: only effects above 0 count.

    Raises
    ------
    ParameterError
        If `rho` is not positive (``bad_scale``).
    """
    _check_positive(rho, "rho")
    total = v + rho
    tail = float(log_ndtr(s / sqrt(total)))
    return 0.5 * log(4 * rho / total) + s * s / (2 * total) + tail


def one_sided_boundary(v: float, *, rho: float, alpha: float = 0.05) -> float:
    """Return the upper boundary of the sum, valid at all times.

    Parameters
    ----------
    v, rho, alpha
        As in `normal_mixture_boundary`.

    Returns
    -------
    float
        Where `one_sided_log` reaches ``ln(1 / alpha)``.

    Raises
    ------
    ParameterError
        If `rho` is not positive or `alpha` is outside (0, 1).
    """
    high = normal_mixture_boundary(v, rho=rho, alpha=alpha) + sqrt(v + rho)
    return bracketed_root(
        lambda s: one_sided_log(s, v, rho=rho) + log(alpha), -sqrt(v + rho), high
    )


def bernoulli_interval(
    successes: int,
    n: int,
    *,
    alpha: float = 0.05,
    t_opt: float = 1000.0,
    alpha_opt: float = 0.05,
) -> Interval:
    """Return a confidence sequence of a share, valid at every look and size.

    Parameters
    ----------
    successes, n : int
        Successes of trials so far, ``0 <= successes <= n``.
    alpha : float, default 0.05
        Level in (0, 1).
    t_opt : float
        Number of trials at which it should be tight, above 0.
    alpha_opt : float, default 0.05
        Level it is tuned for, in (0, 1).

    Returns
    -------
    tuple of (float, float)
        In [0, 1]: the shares p against which the beta-binomial mixture stays
        below ``1 / alpha``.

    Raises
    ------
    DataError
        If the counts are impossible (``bad_counts``).
    ParameterError
        If `alpha` or `alpha_opt` is outside (0, 1), or `t_opt` not positive.

    Notes
    -----
    Against p the share is mixed over Beta(m p, m (1 - p)), whose mean is p, with
    ``m = max(t_opt / kappa - 1, 0.001)``.

    References
    ----------
    Howard, Ramdas, McAuliffe, Sekhon (2021), section 3.
    """
    _check_alpha(alpha)
    _check_positive(t_opt, "t_opt")
    if not 0 <= successes <= n:
        msg = f"{successes} successes of {n} trials is impossible; successes must be"
        raise DataError(f"{msg} from 0 to n; check which is which.", code="bad_counts")
    if not n:
        return 0.0, 1.0
    m = max(t_opt / kappa(alpha_opt) - 1, 1e-3)
    low = _lowest_share(successes, n, m, alpha)
    return low, 1 - _lowest_share(n - successes, n, m, alpha)


def rare_shares(
    control: tuple[int, int],
    treatment: tuple[int, int],
    *,
    weight: float = 0.5,
    alpha: float = 0.05,
    t_opt: float = 1000.0,
) -> RareShares:
    """Compare two low rates, valid at every look and from the first event on.

    Parameters
    ----------
    control, treatment : tuple of (int, int)
        Units with the event, and units, so far.
    weight : float, default 0.5
        Planned share of the units in the treatment, in (0, 1).
    alpha : float, default 0.05
        Level in (0, 1).
    t_opt : float, default 1000
        Number of events, over both arms, at which it should be tight.

    Returns
    -------
    RareShares
        The p-value at this look (take the running minimum over looks) and the
        interval of the lift, whose upper end is infinite while no upper bound is
        known.

    Raises
    ------
    DataError
        If counts are impossible (``bad_counts``).
    ParameterError
        If `weight` or `alpha` is outside (0, 1), or `t_opt` not positive.

    Notes
    -----
    Where nothing differs, each unit with the event is in the treatment with chance
    `weight`, whatever the rate and whoever came when: no normal law is needed. That
    share is watched by the beta-binomial mixture of `bernoulli_interval`, and its
    odds over the planned odds are the ratio of the rates (while these are low: of
    shares s the ratio is off by the order of s).
    """
    for x, n in (control, treatment):
        if not 0 <= x <= n:
            msg = f"{x} units with the event of {n} is impossible; it must be from 0 to"
            raise DataError(f"{msg} n; check which is which.", code="bad_counts")
    _check_alpha(weight)
    (x0, _), (x1, _) = control, treatment
    events = x0 + x1
    low, high = bernoulli_interval(x1, events, alpha=alpha, t_opt=t_opt)
    m = max(t_opt / kappa() - 1, 1e-3)
    a, b = m * weight, m * (1 - weight)
    log_bf = (
        float(gammaln(a + x1) - gammaln(a) + gammaln(b + x0) - gammaln(b))
        - float(gammaln(m + events) - gammaln(m))
        - x1 * log(weight)
        - x0 * log1p(-weight)
    )
    odds = weight / (1 - weight)
    return RareShares(
        p_value=min(1.0, exp(-log_bf)) if log_bf > -700 else 1.0,
        lift=x1 / x0 / odds - 1 if x0 else None,
        lift_low=low / (1 - low) / odds - 1,
        lift_high=high / (1 - high) / odds - 1 if high < 1 else inf,
    )


def _lowest_share(x: int, n: int, m: float, alpha: float) -> float:
    """Return the smallest share the mixture does not exclude."""
    rest = n - x
    whole = float(gammaln(m) - gammaln(m + n)) + log(alpha)

    def excess(p: float) -> float:
        a, b = m * p, m * (1 - p)
        up = float(gammaln(a + x) - gammaln(a)) - x * log(p)
        down = float(gammaln(b + rest) - gammaln(b)) - rest * log1p(-p)
        return up + down + whole

    tiny = 1e-200  # with one success the evidence against 0 is finite
    if not x or excess(tiny) <= 0:
        return 0.0
    return bracketed_root(excess, tiny, min(x / n, 1 - 1e-16))


@dataclass(frozen=True, slots=True)
class Hybrid:
    """A plan that watches by a confidence sequence and reads once at the end.

    Parameters
    ----------
    alpha_monitor, alpha_final : float
        Shares of alpha: the error of both together is at most their sum.
    final_critical : float
        Critical value of z at the planned size.
    """

    alpha_monitor: float
    alpha_final: float
    final_critical: float

    def monitor_critical(self, information: float) -> float:
        """Return the critical value while watching, at a share of the planned size."""
        return planned_critical(information, alpha=self.alpha_monitor)

    def interval(
        self, contrast: Contrast, information: float, *, final: bool = False
    ) -> Interval | None:
        """Return the interval to decide by at this look; None if not computable."""
        d, se = contrast.estimate, contrast.se
        if d is None or se is None:
            return None
        q = self.final_critical if final else self.monitor_critical(information)
        ends = (d - q * se, d + q * se)
        return ends if all(map(isfinite, ends)) else None


def hybrid(*, alpha: float = 0.05, monitor_share: float = MONITOR_SHARE) -> Hybrid:
    """Split the error between watching and one reading at the planned size.

    Parameters
    ----------
    alpha : float, default 0.05
        Total two-sided level in (0, 1).
    monitor_share : float, default 0.2
        Part of `alpha` spent on watching, in (0, 1).

    Returns
    -------
    Hybrid
        By the union bound the error is at most `alpha`.

    Raises
    ------
    ParameterError
        If a level is outside (0, 1) (``alpha_out_of_range``).
    """
    _check_alpha(alpha)
    _check_alpha(monitor_share)
    rest = alpha * (1 - monitor_share)
    return Hybrid(alpha * monitor_share, rest, critical_value(rest))


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        msg = f"alpha is {alpha}; it must be in (0, 1); write 5% as 0.05."
        raise ParameterError(msg, code="alpha_out_of_range")


def _check_positive(value: float, name: str) -> None:
    if not 0 < value < inf:
        msg = f"{name} is {value}; it must be above 0 and finite; check its unit."
        raise ParameterError(msg, code="bad_scale")
