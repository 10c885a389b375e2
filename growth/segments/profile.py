"""What is different about a segment: against the rest, with intervals, corrected."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from growth.errors import ParameterError
from growth.result import Cell, Estimate, Notice, Result
from growth.segments.hiding import hide, limit_of
from growth.stats.contrast import Contrast
from growth.stats.means import mean
from growth.stats.multiplicity import adjust
from growth.stats.proportions import Share, newcombe, pooled_z, ratio_log

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from growth.stats.moments import Moments

__all__ = ["Feature", "Line", "Profile", "profile_from_counts"]

MIN_SIDE: Final = 30


class Feature(NamedTuple):
    """What is known of one number on one side: moments and the median."""

    moments: Moments
    median: float | None


@dataclass(frozen=True, slots=True)
class Line:
    """One feature, segment against rest.

    Parameters
    ----------
    feature : str
        The column.
    level : str or None
        The value, for a category; None for a number.
    segment, rest : float or None
        Share or mean of each side.
    difference, low, high : float or None
        Segment minus rest with its 95 % interval (Newcombe; Welch).
    lift, lift_low, lift_high : float or None
        Ratio of shares with its interval on the log scale; None for a number.
    standardised : float or None
        Difference of means over the pooled standard deviation; None for a category.
    segment_median, rest_median : float or None
        Medians of a number.
    p_value, p_adjusted : float or None
        Before and after Benjamini-Hochberg over all lines.
    differs : bool or None
        Whether `p_adjusted` is below q; None where there is no test.
    """

    feature: str
    level: str | None
    segment: float | None
    rest: float | None
    difference: float | None
    low: float | None
    high: float | None
    lift: float | None
    lift_low: float | None
    lift_high: float | None
    standardised: float | None
    segment_median: float | None
    rest_median: float | None
    p_value: float | None
    p_adjusted: float | None = None
    differs: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile(Result):
    """What differs between a segment and the rest. It says "differs", never why.

    Parameters
    ----------
    segment : str
        What is profiled.
    users, rest : int or None
        Users on each side; None where hidden: both, for one would tell the other.
    lines : tuple of Line
        Those that differ first, by p-value.
    q : float
        Share of false lines among those that differ, in (0, 1).
    differing : int
        Lines that differ.
    """

    segment: str
    users: int | None
    rest: int | None
    lines: tuple[Line, ...]
    q: float
    differing: int

    @property
    def verdict(self) -> str:
        """`hidden`, `too_small`, `differs` or `alike`."""
        if self.users is None or self.rest is None:
            return "segments.profile.hidden"
        if min(self.users, self.rest) < MIN_SIDE:
            return "segments.profile.too_small"
        return f"segments.profile.{'differs' if self.differing else 'alike'}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a line."""
        return [
            {
                "feature": line.feature,
                "level": line.level,
                "segment": line.segment,
                "rest": line.rest,
                "difference": line.difference,
                "low": line.low,
                "high": line.high,
                "lift": line.lift,
                "p_adjusted": line.p_adjusted,
                "differs": line.differs,
            }
            for line in self.lines
        ]

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the difference of each line."""
        return tuple(
            Estimate(
                key=f"{line.feature}.difference",
                by=(("level", line.level),) if line.level is not None else (),
                value=line.difference,
                lo=line.low,
                hi=line.high,
                level=0.95,
                p_value=line.p_value,
                n=self.users,
                unit="share" if line.level is not None else "",
                method="newcombe" if line.level is not None else "welch",
            )
            for line in self.lines
        )


def profile_from_counts(
    *,
    segment: str,
    users: int,
    rest: int,
    categories: Mapping[str, Mapping[str, tuple[int, int]]],
    numbers: Mapping[str, tuple[Feature, Feature]],
    defined_by: Sequence[str] = (),
    q: float = 0.05,
    min_side: int = MIN_SIDE,
    k: int | None = None,
    min_size: int | None = None,
    also_hide: Mapping[str, Sequence[str]] | None = None,
) -> Profile:
    """Compare a segment with the rest from counts and moments.

    Parameters
    ----------
    segment : str
        What is profiled.
    users, rest : int
        Users on each side; the rest does not hold the segment.
    categories : mapping of str to mapping of str to (int, int)
        By feature and level, users of the segment and of the rest that have it.
    numbers : mapping of str to (Feature, Feature)
        By feature, the segment's and the rest's.
    defined_by : sequence of str, optional
        Features the segment's own rule uses: circular, so they are not tested and
        get the notice ``segments_defines_segment``.
    q : float, default 0.05
        Level of Benjamini-Hochberg over all lines, in (0, 1).
    min_side : int, default 30
        Smaller sides have no line.
    k : int, optional
        Leave out levels that fewer users of a side have, and what would give them
        back; for what is shared, take 10. Medians, each one user's own number, are
        then left out too, and numbers that fewer users of a side have.
    min_size : int, optional
        Leave out levels that fewer users of both sides have; for what is shared,
        take 50. Of a side of fewer than this, or than `k`, nothing is told: neither
        size, nor any line.
    also_hide : mapping of str to sequence of str, optional
        By feature whose sizes stand beside: the levels those hide, which are left
        out. How many have its other levels is then known.

    Returns
    -------
    Profile
        Lines sorted by p-value; a feature with a side too small has none. The
        notice ``segments_levels_hidden`` says of which features levels are left out.

    Raises
    ------
    ParameterError
        If `q` is outside (0, 1) (code ``alpha_out_of_range``), or a limit is below
        1 (``bad_limit``).

    References
    ----------
    Benjamini and Hochberg (1995), JRSS B 57(1). Newcombe (1998). Welch (1947).
    """
    if not 0 < q < 1:
        msg = f"q is {q}; it must be in (0, 1); write 5% as 0.05."
        raise ParameterError(msg, code="alpha_out_of_range")
    notices: list[Notice] = []
    lines: list[Line] = []
    limits = {"k": limit_of(k, "k"), "min_size": limit_of(min_size, "min_size")}
    beside = also_hide or {}
    hidden = any(0 < side < max(limits.values()) for side in (users, rest))
    small = hidden or min(users, rest) < min_side
    if small and not hidden:
        args = (("limit", min_side), ("users", users), ("rest", rest))
        notices.append(Notice("segments_side_too_small", "warning", args))
    for name, levels in categories.items():
        if name in defined_by:
            notices.append(_circular(name))
        elif not small:
            away = _away(levels, (users, rest), **limits, beside=beside.get(name))
            if any(away):
                left = (("column", name), ("levels", sum(away)))
                notices.append(Notice("segments_levels_hidden", "info", left))
            lines += [
                _category(name, level, Share(a, users), Share(b, rest))
                for (level, (a, b)), gone in zip(levels.items(), away, strict=True)
                if not gone
            ]
    needed = max(min_side, limits["k"])
    for name, (one, other) in numbers.items():
        if name in defined_by:
            notices.append(_circular(name))
        elif not hidden and min(one.moments.n, other.moments.n) >= needed:
            line = _number(name, one, other)
            if limits["k"] > 1:
                line = replace(line, segment_median=None, rest_median=None)
            lines.append(line)
    told = adjust([line.p_value for line in lines], "bh", q)
    ready = [
        replace(line, p_adjusted=p, differs=differs)
        for line, p, differs in zip(lines, told.p_adj, told.rejected, strict=True)
    ]
    ready.sort(key=lambda line: 2.0 if line.p_value is None else line.p_value)
    return Profile(
        segment=segment,
        users=None if hidden else users,
        rest=None if hidden else rest,
        lines=tuple(ready),
        q=q,
        differing=sum(bool(line.differs) for line in ready),
        notices=tuple(notices),
    )


def _away(
    levels: Mapping[str, tuple[int, int]],
    sides: tuple[int, int],
    *,
    k: int,
    min_size: int,
    beside: Sequence[str] | None,
) -> list[bool]:
    """Return levels to leave out of both sides; who has none is a level of its own."""
    counts = [*levels.values()]
    columns = [([own[i] for own in counts], sides[i], k) for i in (0, 1)]
    if beside is None:  # both sides of a level add up to its size
        columns.append(([a + b for a, b in counts], sum(sides), min_size))
    hidden, settled = [level in (beside or ()) for level in levels], None
    while hidden != settled:  # what one column hides, the others must be safe without
        settled = hidden
        for known, total, limit in columns:
            values = [*known, total - sum(known)]
            sums = np.ones((1, len(values)), dtype=np.int64)
            also = [i for i, away in enumerate(hidden) if away]
            hidden = hide(values, [limit] * len(values), sums, also=also)[:-1]
    return hidden


def _circular(name: str) -> Notice:
    return Notice("segments_defines_segment", "info", (("column", name),))


def _category(name: str, level: str, one: Share, other: Share) -> Line:
    found = newcombe(other, one)
    low, high = found.interval(0.05) or (None, None)
    ratio = ratio_log(other, one)
    ends = ratio.interval if ratio is not None else (None, None)
    return Line(
        name,
        level,
        one.rate,
        other.rate,
        found.estimate,
        low,
        high,
        None if ratio is None else ratio.ratio,
        ends[0],
        ends[1],
        None,
        None,
        None,
        pooled_z(other, one).p_value,
    )


def _number(name: str, one: Feature, other: Feature) -> Line:
    found = Contrast(mean(other.moments), mean(one.moments))
    low, high = found.interval(0.05) or (None, None)
    pooled = [
        float(side.moments.comoment[0, 0]) / (side.moments.n - 1)
        for side in (one, other)
    ]
    spread = sqrt(sum(pooled) / 2)
    gap = found.estimate
    return Line(
        name,
        None,
        found.treatment.value,
        found.control.value,
        gap,
        low,
        high,
        None,
        None,
        None,
        gap / spread if gap is not None and spread else None,
        one.median,
        other.median,
        found.p_value,
    )
