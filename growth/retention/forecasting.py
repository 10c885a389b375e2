"""The curve drawn on: how many will still be there later."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from growth.errors import ParameterError
from growth.result import Cell, Estimate, Notice, Result
from growth.stats.arguments import whole
from growth.stats.forecast import MIN_POINTS, fit_curve, predictive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from growth.retention.triangle import RetentionResult
    from growth.stats.forecast import Model

    Ints = NDArray[np.int64]

__all__ = ["Forecast", "ForecastPoint", "forecast"]

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class ForecastPoint:
    """One offset of a forecast.

    Parameters
    ----------
    k : int
        The offset.
    rate : float or None
        Share that came back, over the cohorts complete at it; None where none is.
    n_users : int
        Users of those cohorts, or of all cohorts where none is complete yet.
    expected : float or None
        The fitted share.
    low, high : float or None
        95 % interval of the share as it will be counted.
    held_out : bool
        Whether the point was kept from the fit.
    """

    k: int
    rate: float | None
    n_users: int
    expected: float | None
    low: float | None
    high: float | None
    held_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast(Result):
    """A retention curve drawn on beyond the data.

    Parameters
    ----------
    model : str
        ``sbg`` or ``power``.
    first, second : float or None
        Its parameters: a and b, or c and d; None where nothing could be fitted.
    log_likelihood : float or None
        At the fit.
    points : tuple of ForecastPoint
        From offset 1 to the horizon.
    hold_out : int
        Points kept from the fit.
    mean_abs_error : float or None
        Over those points, as a share.
    coverage : float or None
        Share of them within their intervals.
    """

    model: str
    first: float | None = None
    second: float | None = None
    log_likelihood: float | None = None
    points: tuple[ForecastPoint, ...] = ()
    hold_out: int = 0
    mean_abs_error: float | None = None
    coverage: float | None = None

    @property
    def verdict(self) -> str:
        """`retention.forecast.` and `unfit` or `fitted`."""
        return f"retention.forecast.{'unfit' if self.first is None else 'fitted'}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row an offset."""
        return [asdict(point) for point in self.points]

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the share at the horizon."""
        return tuple(
            Estimate(
                key="retention.forecast",
                by=(("k", str(point.k)),),
                value=point.expected,
                lo=point.low,
                hi=point.high,
                level=LEVEL,
                n=point.n_users,
                unit="share",
                method=self.model,
            )
            for point in self.points[-1:]
        )


def forecast(
    result: RetentionResult,
    *,
    horizon: int,
    model: Model = "sbg",
    hold_out: int = 0,
    draws: int = 1000,
    seed: int = 0,
) -> Forecast:
    """Fit a curve to the pooled complete counts and draw it on.

    Parameters
    ----------
    result : RetentionResult
        ``sbg`` is one-way loss and needs ``match="on_or_after"`` with a `follow_up`;
        ``power`` needs ``match="on"``. Neither takes brackets. Groups are summed.
    horizon : int
        The last offset forecast, 1 or more.
    model : {"sbg", "power"}
        Shifted beta-geometric, ``S(k) = B(a, b + k) / B(a, b)``, or ``c (k + 1) **
        -d``.
    hold_out : int, default 0
        Last points kept from the fit, to see how it would have done.
    draws : int, default 1000
        Refits of the interval.
    seed : int, default 0
        Of the interval.

    Returns
    -------
    Forecast
        Without a usable fit its numbers are None, with notice `forecast_unfit`.

    Raises
    ------
    ParameterError
        If the model does not fit how returns were counted (code ``one_way``), or a
        number is out of range (``range``, ``unknown_model``).

    Notes
    -----
    Without a `follow_up` late cells of ``on_or_after`` see less future, so a forecast
    from them is biased low: it is refused. The interval is a parametric bootstrap of
    the fit and the binomial noise of the users counted.

    References
    ----------
    Fader, Hardie (2007), "How to project customer retention", Journal of
    Interactive Marketing 21(1).
    """
    horizon, hold_out, draws = _numbers(horizon, hold_out, draws)
    _check(result, model)
    size, kept, complete = result.counts()
    used = [complete[:, c] & (size > 0) for c in range(kept.shape[1])]
    known = next((c for c, rows in enumerate(used) if not rows.any()), len(used))
    there = np.array([kept[used[c], c].sum() for c in range(known)])
    whole = np.array([size[used[c]].sum() for c in range(known)])
    of = whole
    if model == "sbg":
        before = [
            (kept[used[c], c - 1] if c else size[used[0]]).sum() for c in range(known)
        ]
        of = np.array(before)
    fitted = known - hold_out
    notices = []
    if result.spec.mode == "every":
        notices.append(Notice("users_repeat"))
    fit = None
    if fitted >= MIN_POINTS:
        hits = np.minimum(there[:fitted], of[:fitted])
        fit = fit_curve(hits, of[:fitted], model=model)
        fit = None if fit.on_bound[0] else fit
    if fit is None:
        args = (("points", max(fitted, 0)), ("limit", MIN_POINTS))
        unfit = Notice("forecast_unfit", args=args)
        return Forecast(model=model, hold_out=hold_out, notices=(*notices, unfit))
    k = np.arange(1, max(horizon, known) + 1)
    users = np.full(len(k), int(size.sum()))
    users[:known] = whole
    low, high = predictive(
        fit, of[:fitted], k=k, n=users, draws=draws, level=LEVEL, seed=seed
    )
    points = tuple(
        ForecastPoint(
            k=int(at),
            rate=float(there[i] / whole[i]) if i < known else None,
            n_users=int(users[i]),
            expected=float(min(fit.rate([at])[0, 0], 1.0)),
            low=float(low[i]),
            high=float(high[i]),
            held_out=fitted <= i < known,
        )
        for i, at in enumerate(k)
    )
    apart = [p for p in points if p.held_out]
    return Forecast(
        model=model,
        first=float(fit.first[0]),
        second=float(fit.second[0]),
        log_likelihood=float(fit.log_likelihood[0]),
        points=points,
        hold_out=hold_out,
        mean_abs_error=_mean([abs(p.rate - p.expected) for p in apart]),  # type: ignore[operator]
        coverage=_mean([float(p.low <= p.rate <= p.high) for p in apart]),  # type: ignore[operator]
        notices=tuple(notices),
    )


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _numbers(horizon: int, hold_out: int, draws: int) -> tuple[int, int, int]:
    return (
        whole(horizon, "horizon", least=1),
        whole(hold_out, "hold_out", least=0),
        whole(draws, "draws", least=2),
    )


def _check(result: RetentionResult, model: str) -> None:
    spec = result.spec
    if spec.brackets is not None:
        msg = f"the curve is in brackets {list(spec.brackets)}; a forecast needs every"
        raise ParameterError(f"{msg} offset; measure without brackets.", code="one_way")
    if model == "sbg" and (spec.match != "on_or_after" or spec.follow_up is None):
        seen = f"match is {spec.match!r} with follow_up {spec.follow_up}"
        msg = (
            f"{seen}; model 'sbg' is one-way loss and needs match='on_or_after' with a"
        )
        msg += " follow_up (late cells are biased low without one); measure so, or pass"
        raise ParameterError(f"{msg} model='power'.", code="one_way")
    if model == "power" and spec.match != "on":
        msg = f"match is {spec.match!r}; model 'power' is of people who come and go and"
        raise ParameterError(f"{msg} needs match='on'; measure so.", code="one_way")
