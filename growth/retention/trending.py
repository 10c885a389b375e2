"""One offset, cohort by cohort: does it move, or does it only scatter."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from growth.errors import ParameterError
from growth.result import Cell, Estimate, Notice, Result
from growth.stats.logit import logit_trend
from growth.stats.proportions import Share, wilson

if TYPE_CHECKING:
    from growth.retention.triangle import RetentionResult

__all__ = ["RetentionTrend", "TrendPoint", "trend"]

POOLED: Final = 7  # cohorts of the line that smooths
ALPHA: Final = 0.05


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One cohort at the offset.

    Parameters
    ----------
    cohort : str
        Its name.
    size, retained : int
        Users, and those who came back.
    rate, low, high : float or None
        Their share and its 95 % Wilson interval.
    rate_pooled : float or None
        Of this and the 6 cohorts before, pooled; None for the first 6.
    """

    cohort: str
    size: int
    retained: int
    rate: float | None
    low: float | None
    high: float | None
    rate_pooled: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionTrend(Result):
    """Retention at one offset over cohorts, with its drift.

    Parameters
    ----------
    k : int
        The offset.
    points : tuple of TrendPoint
        The complete cohorts, in order of time.
    slope, slope_low, slope_high : float or None
        Change of the log-odds per cohort, and its 95 % interval.
    p_value : float or None
        Of no drift.
    dispersion : float or None
        How much more cohorts differ from the line than chance makes them: 1 is
        chance alone.
    """

    k: int
    points: tuple[TrendPoint, ...]
    slope: float | None = None
    slope_low: float | None = None
    slope_high: float | None = None
    p_value: float | None = None
    dispersion: float | None = None

    @property
    def verdict(self) -> str:
        """`retention.trend.` and `too_few`, `rising`, `falling`, or `steady`."""
        if self.slope_low is None or self.slope_high is None:
            return "retention.trend.too_few"
        if self.slope_low > 0:
            return "retention.trend.rising"
        return f"retention.trend.{'falling' if self.slope_high < 0 else 'steady'}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a cohort."""
        return [asdict(point) for point in self.points]

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the slope."""
        return (
            Estimate(
                key="retention.slope",
                by=(("k", str(self.k)),),
                value=self.slope,
                lo=self.slope_low,
                hi=self.slope_high,
                level=1 - ALPHA,
                p_value=self.p_value,
                n=sum(point.size for point in self.points),
                method="quasi_binomial",
            ),
        )


def trend(result: RetentionResult, *, k: int = 1) -> RetentionTrend:
    """Follow one offset over the cohorts.

    Parameters
    ----------
    result : RetentionResult
        Two cohorts or more; groups are summed over.
    k : int, default 1
        The offset (a bracket's first), 1 or more and within the horizon.

    Returns
    -------
    RetentionTrend
        Complete cohorts only, so that the youngest cannot look worse.

    Raises
    ------
    ParameterError
        If the offset is not in the result (code ``range``).

    Notes
    -----
    The slope is that of a logistic line over the cohort's number, its interval
    widened by the dispersion (quasi-binomial, t with m - 2 degrees of freedom).
    """
    offsets = result.spec.offsets
    if k not in offsets:
        msg = f"k is {k}; it must be one of {list(offsets)[:40]}; measure with a larger"
        raise ParameterError(f"{msg} horizon.", code="range")
    column = offsets.index(k)
    size, kept, complete = result.counts()
    used = [i for i in range(len(size)) if complete[i, column] and size[i]]
    points = []
    for at, i in enumerate(used):
        n, x = int(size[i]), int(kept[i, column])
        recent = used[max(0, at - POOLED + 1) : at + 1]
        pooled = kept[recent, column].sum() / size[recent].sum()
        low, high = wilson(Share(x, n), alpha=ALPHA) or (None, None)
        points.append(
            TrendPoint(
                cohort=result.cohorts[i],
                size=n,
                retained=x,
                rate=x / n,
                low=low,
                high=high,
                rate_pooled=float(pooled) if len(recent) == POOLED else None,
            )
        )
    line = logit_trend(used, kept[used, column], size[used], alpha=ALPHA)
    notices = []
    if line is None:
        notices.append(Notice("no_line", "info"))
    if result.spec.mode == "every":
        notices.append(Notice("users_repeat"))
    return RetentionTrend(
        k=k,
        points=tuple(points),
        slope=line.slope if line else None,
        slope_low=line.low if line else None,
        slope_high=line.high if line else None,
        p_value=line.p_value if line else None,
        dispersion=line.dispersion if line else None,
        notices=tuple(notices),
    )
