"""Which segments share their users: exclusive intersections, Jaccard, lift."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from operator import add
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from growth.errors import ParameterError
from growth.result import Cell, Result
from growth.segments.hiding import determined, hide, limit_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["MOST", "Intersection", "Overlap", "Pair", "overlap_from_masks"]

MOST: Final = 62  # bits of a mask that every engine has
PAIRED: Final = 8  # segments whose pairs are told while intersections are hidden
BLOCK: Final = 1 << 16  # masks looked at at once


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
    listed = range(1 << len(segments)) if few and limit > 1 else ()
    there = {mask: counts.get(mask, 0) for mask in listed} or counts
    n = len(there)
    masks = np.fromiter(there, np.int64, n)
    users = np.fromiter(there.values(), np.int64, n)
    order = np.lexsort((masks, -users))
    masks, users = masks[order], users[order]
    seen = ~np.isin(masks, [*(there.keys() - counts.keys())])
    both = _shared(masks, users, len(segments))
    sizes = [both[i][i] for i in range(len(segments))]
    told = [size == 0 or size >= least for size in sizes]
    bits = [i for i, known in enumerate(told) if known]
    small = (users > 0) & (users < limit)
    pairs_of = [
        1 << i | 1 << j
        for i, j in combinations(bits, 2)
        if few and not 0 < both[i][j] < limit
    ]
    for shared in (pairs_of, []):  # where pairs would give a small one back, none
        known = [0, *(1 << bit for bit in bits), *shared]
        sums = np.array([masks & own == own for own in known]).astype(np.int8)
        away = np.array(hide(users, np.full(n, limit), sums), bool)
        # it has found what it sought if anything is left to show
        if not away.all() or not small[determined(sums, np.arange(n))].any():
            break
    hidden = int(away.sum())
    gone = np.flatnonzero(away)
    # in an order that tells nothing of how large the hidden ones are
    order = np.concatenate([np.flatnonzero(~away), gone[np.argsort(masks[gone])]])
    order = order[(masks[order] != 0) & (away[order] | seen[order])]
    shown: list[int | None] = users[order].tolist()
    for i in np.flatnonzero(away[order]):
        shown[i] = None
    total = int(users.sum())
    pairs = [
        _pair(
            (segments[i], segments[j]),
            (sizes[i], sizes[j], both[i][j], total),
            shown=1 << i | 1 << j in shared or (all(told) and not hidden),
        )
        for i, j in combinations(range(len(segments)), 2)
    ]
    return Overlap(
        segments=tuple(segments),
        users=total,
        none=None if away[masks == 0].any() else int(counts.get(0, 0)),
        sizes=tuple(
            (name, size if known else None)
            for name, size, known in zip(segments, sizes, told, strict=True)
        ),
        intersections=tuple(map(Intersection, _names(masks[order], segments), shown)),
        pairs=tuple(pairs),
        hidden=hidden,
    )


def _shared(masks: Array, users: Array, segments: int) -> list[list[int]]:
    """Return the users of every two segments; of one and itself, its own."""
    found = np.zeros((segments, segments))
    places = np.arange(segments)[:, None]
    for start in range(0, len(masks), BLOCK):
        some = slice(start, start + BLOCK)
        inside = (masks[some] >> places & 1).astype(float)
        found += inside * users[some] @ inside.T  # exact: whole, and below 2**53
    told: list[list[int]] = found.astype(np.int64).tolist()
    return told


def _names(masks: Array, segments: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the segments of each mask, eight at once."""
    found: list[tuple[str, ...]] = [()] * len(masks)
    for first in range(0, len(segments), 8):
        own = segments[first : first + 8]
        told = [
            tuple(name for i, name in enumerate(own) if bits >> i & 1)
            for bits in range(1 << len(own))
        ]
        some = map(told.__getitem__, (masks >> first & 255).tolist())
        found = list(map(add, found, some))
    return found


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
