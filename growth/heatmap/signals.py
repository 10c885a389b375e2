"""What frustrates: rage taps, dead taps, taps into errors, quick backs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, get_args

from growth.heatmap.grid import Grid  # noqa: TC001
from growth.result import Cell, Estimate, Result
from growth.stats.contrast import Interval  # noqa: TC001  (a result's types are read)
from growth.stats.proportions import Share, wilson

if TYPE_CHECKING:
    from growth.heatmap.maps import By

__all__ = ["SIGNALS", "Frustration", "Signal", "SignalName", "rate_of"]

SignalName = Literal["rage", "dead", "error", "quick_back"]
SIGNALS: Final[tuple[SignalName, ...]] = get_args(SignalName)


def rate_of(
    hits: int, n: int, alpha: float = 0.05
) -> tuple[float | None, Interval | None]:
    """Return a share of users and Wilson's interval; None, None without users."""
    ends = wilson(Share(hits, n), alpha=alpha)
    return (hits / n if n else None), ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """How often one thing happened: on an element, or on the whole page.

    Parameters
    ----------
    page : str
        The page.
    signal : str
        ``rage``, ``dead``, ``error`` or ``quick_back``.
    element_id : str or None
        The element tapped first; None is none, or the whole page where `total`.
    total : bool
        Whether this is the page's total.
    events, taps, users : int
        Runs (or taps, or returns); taps in them; distinct users.
    views, viewers : int
        Of the page.
    per_1000_views : float or None
        Events per 1,000 page views.
    user_rate, ci_low, ci_high : float or None
        Users over viewers, with Wilson's interval.
    x_rpx, y_rpx : float or None
        Median position.
    by : tuple of (str, str or None)
        Column and value of each breakdown.
    """

    page: str
    signal: SignalName
    element_id: str | None
    total: bool
    events: int
    taps: int
    users: int
    views: int
    viewers: int
    per_1000_views: float | None
    user_rate: float | None
    ci_low: float | None
    ci_high: float | None
    x_rpx: float | None = None
    y_rpx: float | None = None
    by: By = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Frustration(Result):
    """Signals of frustration; by element before any total.

    Parameters
    ----------
    signals : tuple of Signal
        By page and signal: elements, the most frequent first, then the total.
    taps, radius_rpx, gap_ms, wait_ms : int
        The rules: a run of so many taps, each so near the one before in place and
        time; how long an answer may take.
    censored : int or None
        Taps too close to the app's leaving to be called dead; None where dead taps
        are not looked for.
    echoes : int
        Label echoes and twins, which are no taps.
    grids : tuple of Grid
        Where taps of rage and dead taps fell, in cells of 10 rpx: layers ``rage`` and
        ``dead``.
    """

    signals: tuple[Signal, ...]
    taps: int
    radius_rpx: int
    gap_ms: int
    wait_ms: int
    censored: int | None
    echoes: int
    grids: tuple[Grid, ...] = ()

    @property
    def verdict(self) -> str:
        """Whether anything was found."""
        if any(item.events for item in self.signals):
            return "heatmap.frustration.found"
        return "heatmap.frustration.none"

    def of(self, signal: SignalName, *, total: bool = False) -> tuple[Signal, ...]:
        """Return one kind of signal: by element, or the totals of pages."""
        return tuple(s for s in self.signals if s.signal == signal and s.total == total)

    def to_dict(self) -> dict[str, object]:
        """Return plain values; grids as sparse cells."""
        bare = Result.to_dict(replace(self, grids=()))
        return {**bare, "grids": [grid.to_dict() for grid in self.grids]}

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a signal and element, and one a total."""
        return [
            {
                "page": s.page,
                **dict(s.by),
                "signal": s.signal,
                "element_id": "*" if s.total else s.element_id,
                "events": s.events,
                "taps": s.taps,
                "users": s.users,
                "per_1000_views": s.per_1000_views,
                "user_rate": s.user_rate,
                "ci_low": s.ci_low,
                "ci_high": s.ci_high,
                "x_rpx": s.x_rpx,
                "y_rpx": s.y_rpx,
            }
            for s in self.signals
        ]

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the share of users each signal met, by page."""
        return tuple(
            Estimate(
                key=f"heatmap.{s.signal}_rate",
                by=(("page", s.page), *((name, value or "") for name, value in s.by)),
                value=s.user_rate,
                lo=s.ci_low,
                hi=s.ci_high,
                level=0.95,
                n=s.viewers,
                unit="share",
                method="wilson",
            )
            for s in self.signals
            if s.total
        )
