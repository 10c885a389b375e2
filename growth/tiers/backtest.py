"""What a generator's forecasts from earlier days were worth, and which to choose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date  # noqa: TC003  (a result's types can be read)
from math import exp, log
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from growth.tiers.intervals import FEWEST, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from growth.result import Cell

__all__ = ["BackTest", "Origin", "choose", "comparable"]

SIMPLE: Final = {"repeat": 0, "bgnbd": 1, "bootstrap": 2}  # simpler first
CLOSE: Final = 0.01  # mean absolute log errors this near are equal


class Origin(NamedTuple):
    """One forecast of a back-test, in fen; intervals are of 95 %."""

    as_of: date
    members: int
    forecast: float
    actual: float
    mc: Span | None
    calibrated: Span | None
    closed: int
    tier_distance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BackTest:
    """A generator's forecasts of known members' revenue from earlier origins."""

    generator: str
    origins: tuple[Origin, ...]
    window_days: int

    @property
    def log_errors(self) -> tuple[float, ...]:
        """``log(forecast / actual)`` of each origin."""
        return tuple(log(one.forecast / one.actual) for one in self.origins)

    @property
    def score(self) -> float:
        """Mean absolute log error: what generators are chosen by."""
        return float(np.mean(np.abs(self.log_errors)))

    @property
    def mape(self) -> float:
        """Mean absolute error, as a share of the actual."""
        errors = [abs(one.forecast / one.actual - 1) for one in self.origins]
        return float(np.mean(errors))

    @property
    def bias(self) -> float:
        """Geometric mean of forecast over actual, less 1."""
        return exp(float(np.mean(self.log_errors))) - 1

    @property
    def mc_cover(self) -> tuple[int, int]:
        """Origins inside the interval of chance alone, and origins that have one."""
        return _cover([(one.mc, one.actual) for one in self.origins])

    @property
    def calibrated_cover(self) -> tuple[int, int]:
        """Origins inside the calibrated interval, and origins that have one."""
        return _cover([(one.calibrated, one.actual) for one in self.origins])

    @property
    def half_width(self) -> float | None:
        """Median of what the calibrated interval multiplies and divides by."""
        found = [
            (one.calibrated.hi / one.calibrated.lo) ** 0.5
            for one in self.origins
            if one.calibrated is not None
        ]
        return float(np.median(found)) if found else None

    @property
    def tier_distance(self) -> float:
        """Mean total-variation distance of tiers by spend, forecast and actual."""
        return float(np.mean([one.tier_distance for one in self.origins]))

    def row(self) -> dict[str, Cell]:
        """Return the figures as one row of the back-test table."""
        inside, of = self.mc_cover
        held, closed = self.calibrated_cover
        return {
            "generator": self.generator,
            "origins": len(self.origins),
            "mape_rate": self.mape,
            "bias_rate": self.bias,
            "mean_abs_log_error": self.score,
            "mc_inside": inside,
            "mc_origins": of,
            "calibrated_inside": held,
            "calibrated_origins": closed,
            "calibrated_half_width": self.half_width,
            "tier_distance": self.tier_distance,
        }


def _cover(pairs: Sequence[tuple[Span | None, float]]) -> tuple[int, int]:
    known = [(span, actual) for span, actual in pairs if span is not None]
    return sum(s.lo <= actual <= s.hi for s, actual in known), len(known)


def comparable(tests: Sequence[BackTest]) -> tuple[BackTest, ...]:
    """Return back-tests that can be held against each other: of the same days.

    Parameters
    ----------
    tests : sequence of BackTest
        Of different generators; some may lack days on which they could not be made.

    Returns
    -------
    tuple of BackTest
        Those with a record to speak of, where some have one (three origins), each
        with the origins that all of them have. As they are, if there are none.
    """
    long = [test for test in tests if len(test.origins) >= FEWEST] or list(tests)
    days = [{one.as_of for one in test.origins} for test in long]
    shared = set.intersection(*days) if days else set()
    if not shared:
        return tuple(long)
    return tuple(
        replace(test, origins=tuple(o for o in test.origins if o.as_of in shared))
        for test in long
    )


def choose(tests: Sequence[BackTest]) -> str:
    """Return the generator with the lowest error; the simpler of two that are near.

    Parameters
    ----------
    tests : sequence of BackTest
        One or more.

    Returns
    -------
    str
        Its name.

    Notes
    -----
    Errors are of the same days: a generator that could not be made on the hardest of
    them would look better than it is (`comparable`).
    """
    judged = comparable(tests)
    least = min(test.score for test in judged)
    near = [test.generator for test in judged if test.score <= least + CLOSE]
    return min(near, key=lambda name: SIMPLE.get(name, len(SIMPLE)))
