"""Which segments share their users: exclusive intersections, Jaccard, lift."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

from growth.errors import ParameterError
from growth.result import Cell, Result
from growth.segments.hiding import determined, hide, limit_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["MOST", "Intersection", "Overlap", "Pair", "overlap_from_masks"]

MOST: Final = 62  # bits of a mask that every engine has
PAIRED: Final = 8  # segments whose pairs are told while intersections are hidden


@dataclass(frozen=True, slots=True)
class Intersection:
    """Users in exactly these segments and no other; None where hidden."""

    segments: tuple[str, ...]
    users: int | None


@dataclass(frozen=True, slots=True)
class Pair:
    """Two segments: users in both, Jaccard's index, and lift over chance."""

    one: str
    other: str
    users: int | None
    jaccard: float | None
    lift: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap(Result):
    """Segments and the users they share.

    Parameters
    ----------
    segments : tuple of str
        Names.
    users : int
        Users of the population.
    none : int or None
        Users in no segment.
    sizes : tuple of (str, int or None)
        Users of each segment; None where hidden.
    intersections : tuple of Intersection
        Exclusive: each user is in one; largest first, the hidden ones last. Of 8
        segments at most, those hidden may be nobody's.
    pairs : tuple of Pair
        Every two segments.
    hidden : int
        Intersections hidden. Of 8 segments at most, pairs that are not small are
        then still shown, unless they would give one back; of more, none is.
    """

    segments: tuple[str, ...]
    users: int
    none: int | None
    sizes: tuple[tuple[str, int | None], ...]
    intersections: tuple[Intersection, ...]
    pairs: tuple[Pair, ...]
    hidden: int

    @property
    def verdict(self) -> str:
        """`hidden`, `apart` where no two segments meet, else `shared`."""
        if self.hidden:
            return "segments.overlap.hidden"
        meet = any(len(i.segments) > 1 and i.users for i in self.intersections)
        return f"segments.overlap.{'shared' if meet else 'apart'}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row an exclusive intersection."""
        return [
            {"segments": " & ".join(i.segments), "users": i.users}
            for i in self.intersections
        ]


def overlap_from_masks(
    counts: Mapping[int, int],
    *,
    segments: Sequence[str],
    k: int | None = None,
    min_size: int | None = None,
) -> Overlap:
    """Return the overlap of segments from counts of bit masks.

    Parameters
    ----------
    counts : mapping of int to int
        Users by mask: bit i says whether they are in segment i.
    segments : sequence of str
        Names, by bit; 62 at most.
    k : int, optional
        Hide smaller intersections, and what would give them back; for what is
        shared, take 10.
    min_size : int, optional
        Hide smaller segments; for what is shared, take 50. The size of every other
        segment, and of 8 segments at most how many any two share, is taken to be
        known when intersections are hidden: a profile tells it too.

    Returns
    -------
    Overlap
        Users in no segment are apart from the intersections.

    Raises
    ------
    ParameterError
        If there are no segments or too many (code ``too_many_segments``), or the
        limit is below 1 (``bad_limit``).

    Examples
    --------
    >>> found = overlap_from_masks({0: 5, 1: 3, 3: 2}, segments=["a", "b"])
    >>> found.sizes, found.pairs[0].jaccard
    ((('a', 5), ('b', 2)), 0.4)
    """
    if not 1 <= len(segments) <= MOST:
        msg = f"segments holds {len(segments)}; it must hold 1 to {MOST}; leave some"
        raise ParameterError(f"{msg} out.", code="too_many_segments")
    limit, least = limit_of(k, "k"), max(limit_of(min_size, "min_size"), k or 1)
    few = len(segments) <= PAIRED  # so few that nobody's intersection can hide too
    masks = sorted(
        range(1 << len(segments)) if few and limit > 1 else counts,
        key=lambda mask: (-counts.get(mask, 0), mask),
    )
    values = [int(counts.get(mask, 0)) for mask in masks]
    bitmaps, users = np.array(masks, np.int64), np.array(values, np.int64)

    def inside(bits: int) -> int:
        return int(users[bitmaps & bits == bits].sum())

    sizes = [inside(1 << i) for i in range(len(segments))]
    told = [n == 0 or n >= least for n in sizes]
    bits = [i for i, known in enumerate(told) if known]
    small = {i for i, n in enumerate(values) if 0 < n < limit}
    both = {1 << i | 1 << j: inside(1 << i | 1 << j)
            for i, j in combinations(range(len(segments)), 2)}  # fmt: skip
    known_pairs = [1 << i | 1 << j for i, j in combinations(bits, 2)]
    pairs_of = [p for p in known_pairs if few and not 0 < both[p] < limit]
    for shared in (pairs_of, []):  # where pairs would give a small one back, none
        known = np.array([0, *(1 << bit for bit in bits), *shared], np.int64)[:, None]
        sums = (bitmaps & known == known).astype(np.int64)
        away = hide(values, [limit] * len(masks), sums)
        places = [i for i, gone in enumerate(away) if gone]
        if small.isdisjoint(determined(sums, places)):
            break
    hidden = sum(away)
    shown = dict(zip(masks, away, strict=True))
    # in an order that tells nothing of how large the hidden ones are
    order = sorted(range(len(masks)), key=lambda i: (away[i], not away[i] or masks[i]))
    found = [
        Intersection(_names(masks[i], segments), None if away[i] else values[i])
        for i in order
        if masks[i] and (away[i] or masks[i] in counts)
    ]
    total = sum(values)
    pairs = [
        _pair(
            (segments[i], segments[j]),
            (sizes[i], sizes[j], both[1 << i | 1 << j], total),
            shown=1 << i | 1 << j in shared or (all(told) and not hidden),
        )
        for i, j in combinations(range(len(segments)), 2)
    ]
    return Overlap(
        segments=tuple(segments),
        users=total,
        none=None if shown.get(0) else int(counts.get(0, 0)),
        sizes=tuple(
            (name, n if known else None)
            for name, n, known in zip(segments, sizes, told, strict=True)
        ),
        intersections=tuple(found),
        pairs=tuple(pairs),
        hidden=hidden,
    )


def _names(mask: int, segments: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for i, name in enumerate(segments) if mask >> i & 1)


def _pair(
    names: tuple[str, str], users: tuple[int, int, int, int], *, shown: bool
) -> Pair:
    if not shown:
        return Pair(*names, None, None, None)
    one, other, both, total = users
    either = one + other - both
    chance = one * other / total if total else 0.0
    return Pair(
        *names,
        both,
        both / either if either else None,
        both / chance if chance else None,
    )
