"""What people did instead: the next events of those who stopped at a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from growth.funnel.results import asdict_with_spec, flat
from growth.funnel.steps import FunnelSpec  # noqa: TC001  (a field's type)
from growth.result import Cell, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


__all__ = ["NOTHING", "OTHER", "PathLink", "Paths", "links_of"]

NOTHING: Final = "nothing"  # no event within the window
OTHER: Final = "other"  # an event that is not among the top ones of its place


@dataclass(frozen=True, slots=True, kw_only=True)
class PathLink:
    """Users who went from one event to the next.

    Parameters
    ----------
    place : int
        Which of the next events this is: 1 is the first after the step.
    source : str
        The event before; of place 1 the step.
    target : str
        The event, or ``other`` or ``nothing``.
    users : int
        How many (sessions, where these are counted).
    share : float or None
        Of all who stopped at the step.
    """

    place: int
    source: str
    target: str
    users: int
    share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths(Result):
    """What those who stopped at a step did next.

    Parameters
    ----------
    spec : FunnelSpec or None
        The funnel.
    after : int
        The last step they reached.
    depth : int
        How many of their events are followed.
    stopped_users : int
        How many they are.
    links : tuple of PathLink
        By place, the commonest first. Those of one place add up to all who came
        that far; whoever did nothing more has no link after it.
    """

    spec: FunnelSpec | None = None
    after: int = 1
    depth: int = 3
    stopped_users: int = 0
    links: tuple[PathLink, ...] = ()

    @property
    def verdict(self) -> str:
        """`funnel.paths.` and `followed`, `nothing` or `nobody`."""
        if not self.stopped_users:
            return "funnel.paths.nobody"
        first = {link.target for link in self.links if link.place == 1}
        return f"funnel.paths.{'nothing' if first == {NOTHING} else 'followed'}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a link."""
        return [flat(link) for link in self.links]

    def to_dict(self) -> dict[str, object]:
        """Return plain values only, ready for ``json.dumps(..., allow_nan=False)``."""
        return asdict_with_spec(self)


def links_of(
    ways: NDArray[np.int64], names: Sequence[str], *, top: int, step: str = ""
) -> tuple[PathLink, ...]:
    """Return the links of ways.

    Parameters
    ----------
    ways : array of int64, shape (users, depth)
        Numbers of the next events; -1 where there is none.
    names : sequence of str
        The events.
    top : int
        Events named at each place; ties go by name.
    step : str
        What all ways begin at.
    """
    people, depth = ways.shape
    found: list[PathLink] = []
    before = np.zeros(people, np.int64)
    words_before = [step]
    going = np.ones(people, bool)
    for place in range(depth):
        codes = ways[:, place]
        counts = np.bincount(codes[going & (codes >= 0)], minlength=len(names))
        there = np.nonzero(counts)[0].tolist()
        order = sorted(there, key=lambda i: (-counts[i], names[i]))
        words = [*(names[i] for i in order[:top]), OTHER, NOTHING]
        lut = np.full(len(names) + 1, len(words) - 2)
        lut[order[:top]] = np.arange(min(top, len(order)))
        lut[-1] = len(words) - 1
        here = lut[codes]
        cells = before[going] * len(words) + here[going]
        sums = np.bincount(cells, minlength=len(words_before) * len(words))
        links = [
            (int(n), words_before[cell // len(words)], words[cell % len(words)])
            for cell, n in enumerate(sums)
            if n
        ]
        found += [
            PathLink(
                place=place + 1, source=source, target=target, users=n, share=n / people
            )
            for n, source, target in sorted(links, key=lambda x: (-x[0], x[1], x[2]))
        ]
        going &= codes >= 0
        before, words_before = here, words
    return tuple(found)
