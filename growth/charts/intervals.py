"""An interval on a common relative axis, and what may be read from it."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Literal

from growth.charts.figures import decimals, interval, percent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from growth.labels import Lang

__all__ = ["Axis", "Interval", "axis_of"]

Tone = Literal["good", "bad", "ink"]
CLIP = 5.0  # an interval this many times the middle one is cut, with an arrow
FAR = 2.0  # a margin this many times the longest interval stands at the edge


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """One effect as drawn: a row of the forest chart and of the table.

    Parameters
    ----------
    label : str
        What the row is about, in the reader's words.
    value, lo, hi : float or None
        Relative change and its interval; None if it cannot be computed.
    margin : float or None
        Relative, above 0: how much worse is still accepted (a guardrail's).
    good : {"up", "down"}
        Which direction is the better one.
    """

    label: str
    value: float | None
    lo: float | None
    hi: float | None
    margin: float | None = None
    good: Literal["up", "down"] = "up"

    @property
    def limit(self) -> float | None:
        """Where the margin stands on the axis, with its sign."""
        if self.margin is None:
            return None
        return -self.margin if self.good == "up" else self.margin

    @property
    def clears(self) -> Literal["up", "down"] | None:
        """On which side of zero the whole interval lies, if on one."""
        if self.lo is None or self.hi is None:
            return None
        return "up" if self.lo > 0 else "down" if self.hi < 0 else None

    @property
    def tone(self) -> Tone:
        """Colour by what it means: only where the interval clears zero."""
        if self.clears is None:
            return "ink"
        return "good" if self.clears == self.good else "bad"

    @property
    def reading(self) -> str:
        """Label key, after ``reading.``: what the interval says in a word."""
        if self.lo is None or self.hi is None:
            return "none"
        if self.margin is not None:
            worst, best = (
                (self.lo, self.hi) if self.good == "up" else (-self.hi, -self.lo)
            )
            if worst > -self.margin:
                sides = {"good": "better", "bad": "within", "ink": "no_worse"}
                return sides[self.tone]
            return "harm" if best < -self.margin else "not_shown"
        if self.clears is None:
            return "unclear"
        return "better" if self.clears == self.good else "worse"

    def said(self) -> str:
        """Write the change with the decimals its interval deserves."""
        digits = 1
        if self.lo is not None and self.hi is not None:
            digits = decimals(self.hi - self.lo)
        return percent(self.value, signed=True, digits=digits)

    def ends(self, lang: Lang | None = None) -> str:
        """Write the interval's ends."""
        return interval(self.lo, self.hi, lang=lang)


@dataclass(frozen=True, slots=True)
class Axis:
    """A relative axis: its ends and its ticks, zero among them."""

    lo: float
    hi: float
    ticks: tuple[float, ...]
    digits: int

    def at(self, value: float, width: float) -> float:
        """Return where `value` stands on `width` pixels, kept within them."""
        share = (value - self.lo) / (self.hi - self.lo)
        return round(min(max(share, 0.0), 1.0) * width, 1)


def axis_of(intervals: Iterable[Interval]) -> Axis:
    """Return the axis on which all intervals can be compared.

    Parameters
    ----------
    intervals : iterable of Interval
        The rows; those that could not be computed take no part.

    Returns
    -------
    Axis
        It holds zero. Nothing very far presses the rest flat: an interval beyond
        five times the middle one is cut, and drawn with an arrow; a margin beyond
        twice the longest interval stands at the edge.
    """
    rows = [row for row in intervals if row.lo is not None and row.hi is not None]
    ends = [end for row in rows for end in (row.lo or 0.0, row.hi or 0.0)]
    reach = sorted(max(abs(row.lo or 0.0), abs(row.hi or 0.0)) for row in rows)
    most = CLIP * reach[(len(reach) - 1) // 2] if reach else 0.1
    limits = [row.limit for row in rows if row.limit is not None]
    near = min(reach[-1], most) * FAR if reach else 0.0
    kept = [limit for limit in limits if abs(limit) <= near or not near]
    most = max([most, *map(abs, kept)])
    lo = max(min([0.0, *ends, *kept]), -most)
    hi = min(max([0.0, *ends, *kept]), most)
    span = (hi - lo) or 0.2
    step = _step(span / 4)
    lo = lo - span * 0.03 if ends else -0.1
    hi = hi + span * 0.03 if ends else 0.1
    ticks = tuple(
        round(k * step, 12) for k in range(ceil(lo / step), floor(hi / step) + 1)
    )
    return Axis(lo, hi, ticks, max(0, -floor(log10(step * 100) + 1e-9)))


def _step(rough: float) -> float:
    """Return the round number (1, 2 or 5 times a power of ten) next to `rough`."""
    power = 10.0 ** floor(log10(rough))
    return min((1, 2, 5, 10), key=lambda k: abs(k * power - rough)) * power
