"""An interval on an axis it shares with others, and what may be read from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Literal

from growth.charts.figures import (
    amount,
    decimals,
    difference,
    percent,
    written,
    written_interval,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from growth.labels import Lang

__all__ = ["Axis", "Interval", "axis_of"]

Tone = Literal["good", "bad", "ink"]
CLIP = 5.0  # an interval this many times the middle one is cut, with an arrow
FAR = 2.0  # a margin this many times the longest interval stands at the edge
EDGE = 0.03  # of the span, left free at both ends
ASIDE = 0.5  # of what leads: as far may other rows stretch the axis
LEAST = 1e-6  # a span below it has no ticks worth reading
FEN = 100  # of a yuan
STEPS = 6  # parts of an axis at most: more, and the words of its ticks meet


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """One number as drawn: a row of an interval chart and of a table.

    Parameters
    ----------
    label : str
        What the row is about, in the reader's words.
    value, lo, hi : float or None
        The number and its interval, in `unit`; None if it cannot be computed.
    margin : float or None
        In `unit`, above 0: how much worse is still accepted (a guardrail's).
    good : {"up", "down"}
        Which direction is the better one.
    leads : bool
        Whether the axis must hold it: where some rows lead, the others are cut
        rather than press them flat.
    unit : {"ratio", "share", "fen", "count", "ms"} or other
        What it counts; rows on one axis have one unit.
    change : bool, default True
        Whether it is a change, with a sign and a better direction; else it is a
        level, which has neither.
    """

    label: str
    value: float | None
    lo: float | None
    hi: float | None
    margin: float | None = None
    good: Literal["up", "down"] = "up"
    leads: bool = True
    unit: str = "ratio"
    change: bool = True

    @classmethod
    def share(
        cls, label: str, value: float | None, lo: float | None, hi: float | None
    ) -> Self:
        """Return a share of a whole, 0 to 1: a level, not a change."""
        return cls(label=label, value=value, lo=lo, hi=hi, unit="share", change=False)

    @property
    def limit(self) -> float | None:
        """Where the margin stands on the axis, with its sign."""
        if self.margin is None:
            return None
        return -self.margin if self.good == "up" else self.margin

    @property
    def clears(self) -> Literal["up", "down"] | None:
        """On which side of zero the whole interval of a change lies, if on one."""
        if not self.change or self.lo is None or self.hi is None:
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
        """Write the number; one of per cent with the decimals its interval deserves."""
        if not _in_percent(self.unit, change=self.change):
            return written(self.value, self.unit, change=self.change)
        digits = 1
        if self.lo is not None and self.hi is not None:
            digits = decimals(self.hi - self.lo)
        return percent(self.value, signed=self.change, digits=digits)

    def ends(self, lang: Lang | None = None) -> str:
        """Write the interval's ends."""
        return written_interval(
            self.lo, self.hi, self.unit, change=self.change, lang=lang
        )


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis: its ends and its ticks, zero among them, in the unit of its rows."""

    lo: float
    hi: float
    ticks: tuple[float, ...]
    digits: int
    unit: str = "ratio"
    change: bool = True

    def at(self, value: float, width: float) -> float:
        """Return where `value` stands on `width` pixels, kept within them."""
        share = (value - self.lo) / (self.hi - self.lo)
        return round(min(max(share, 0.0), 1.0) * width, 1)

    def words(self, tick: float, lang: Lang | None = None) -> str:
        """Write a tick: ``+5%``, ``30%``, ``¥200``; alike along the whole axis."""
        if _in_percent(self.unit, change=self.change):
            return percent(tick, signed=self.change, digits=self.digits)
        if not tick:
            return "0"
        sign = "−" if tick < 0 else "+" if self.change else ""
        if self.unit == "fen":  # whole yuan all along, or none
            whole = all(each % FEN == 0 for each in self.ticks)
            return f"{sign}¥{abs(tick) / FEN:,.{0 if whole else 2}f}"
        if self.unit == "share":
            return difference(tick, self.unit, lang=lang)
        return sign + amount(abs(tick), self.unit)


def axis_of(intervals: Iterable[Interval]) -> Axis:
    """Return the axis on which all intervals can be compared.

    Parameters
    ----------
    intervals : iterable of Interval
        The rows, of one unit; those that could not be computed take no part.

    Returns
    -------
    Axis
        It holds zero. Nothing very far presses the rest flat: an interval beyond
        five times the middle one is cut, and drawn with an arrow; a margin beyond
        twice the longest interval stands at the edge. Where some rows lead, the
        others and their margins stretch it by half of these at most.
    """
    given = tuple(intervals)
    axis = _axis_of([row for row in given if row.lo is not None and row.hi is not None])
    first = next(iter(given), None)
    if first is None:
        return axis
    return replace(axis, unit=first.unit, change=first.change)


def _axis_of(drawn: list[Interval]) -> Axis:
    leading = [row for row in drawn if row.leads]
    if leading and len(leading) < len(drawn):
        return _stretched(_axis_of(leading), [r for r in drawn if not r.leads])
    rows = drawn
    ends = [end for row in rows for end in (row.lo or 0.0, row.hi or 0.0)]
    far = (max(abs(row.lo or 0.0), abs(row.hi or 0.0)) for row in rows)
    reach = sorted(end for end in far if end >= LEAST)  # a point at zero has none
    most = CLIP * reach[(len(reach) - 1) // 2] if reach else 0.1
    limits = [row.limit for row in rows if row.limit is not None]
    near = min(reach[-1], most) * FAR if reach else 0.0
    kept = [limit for limit in limits if abs(limit) <= near or not near]
    most = max([most, *map(abs, kept)])
    lo = max(min([0.0, *ends, *kept]), -most)
    hi = min(max([0.0, *ends, *kept]), most)
    span = hi - lo
    if not ends or span < LEAST:
        return _ruled(-0.1, 0.1)
    return _ruled(lo - span * EDGE, hi + span * EDGE)


def _stretched(axis: Axis, others: Iterable[Interval]) -> Axis:
    """Return an axis that gives rows that do not lead some room beside those."""
    inner = (axis.hi - axis.lo) / (1 + 2 * EDGE)  # without the edges
    low, high = axis.lo + EDGE * inner, axis.hi - EDGE * inner
    most = ASIDE * max(-low, high)
    for row in others:
        for end in (row.lo, row.hi, row.limit):
            low = min(low, max(end or 0.0, -most))
            high = max(high, min(end or 0.0, most))
    span = high - low
    return _ruled(low - span * EDGE, high + span * EDGE)


def _ruled(lo: float, hi: float) -> Axis:
    """Return an axis with round ticks."""
    step = _step((hi - lo) / STEPS)
    ticks = tuple(
        round(k * step, 12) for k in range(ceil(lo / step), floor(hi / step) + 1)
    )
    return Axis(lo, hi, ticks, max(0, -floor(log10(step * 100) + 1e-9)))


def _step(rough: float) -> float:
    """Return the round number (1, 2 or 5 times a power of ten) from `rough` on."""
    power = 10.0 ** floor(log10(rough))
    return next(k for k in (1, 2, 5, 10, 20) if k * power >= rough * (1 - 1e-9)) * power


def _in_percent(unit: str, *, change: bool) -> bool:
    """Return whether a number is written in per cent, not in its own unit."""
    return unit == "ratio" or (unit == "share" and not change)
