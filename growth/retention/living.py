"""New, returning, resurrecting, dormant: the users of each interval by their state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from growth.result import Cell, Estimate, Result, table_html
from growth.stats.lifecycle import ABSENT, ACTIVITY, PERIOD, Scheme, lifecycle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from growth.labels import Lang
    from growth.result import Notice
    from growth.stats.lifecycle import LifecycleCounts

    Ints = NDArray[np.int64]

__all__ = [
    "SCHEMES",
    "Lifecycle",
    "LifecycleMove",
    "LifecycleScheme",
    "from_bits",
    "from_keys",
    "shown",
]

LifecycleScheme = Literal["period", "activity"]
SCHEMES: dict[str, Scheme] = {"period": PERIOD, "activity": ACTIVITY}


@dataclass(frozen=True, slots=True)
class LifecycleMove:
    """Users who went from one state to another between two intervals."""

    interval: str
    before: str
    after: str
    users: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle(Result):
    """Users by state in each interval, and their moves.

    Parameters
    ----------
    lifecycle_scheme : str
        ``period`` or ``activity``.
    period : str
        Length of an interval.
    states : tuple of str
        ``new``, then the other active states, then the inactive ones.
    n_active : int
        How many of `states` are active.
    intervals : tuple of str
        First local day of each.
    counts : tuple of tuple of int
        Users by interval and state, 0 or more: dormant users too are counted
        upwards.
    complete : tuple of bool
        Whether the interval is over: until then nobody is known to be inactive.
    moves : tuple of LifecycleMove
        Between the interval before and this one, where there are any; ``absent`` is
        a user never active before.
    """

    lifecycle_scheme: str
    period: str
    states: tuple[str, ...]
    n_active: int
    intervals: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    complete: tuple[bool, ...]
    moves: tuple[LifecycleMove, ...] = ()

    @property
    def verdict(self) -> str:
        """`retention.lifecycle.` and `nobody`, `too_young`, `growing`, `shrinking`.

        It grows where, over the complete intervals, more users became active than
        ceased to be.
        """
        if not any(map(any, self.counts)):
            return "retention.lifecycle.nobody"
        active = [
            sum(row[: self.n_active])
            for row, over in zip(self.counts, self.complete, strict=True)
            if over
        ]
        if len(active) < 2:
            return "retention.lifecycle.too_young"
        word = "growing" if active[-1] >= active[0] else "shrinking"
        return f"retention.lifecycle.{word}"

    def of(self, state: str) -> tuple[int | None, ...]:
        """Return the users in a state by interval; None where it is not known yet."""
        at = self.states.index(state)
        return tuple(
            row[at] if over or at < self.n_active else None
            for row, over in zip(self.counts, self.complete, strict=True)
        )

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row an interval: active users, then those of each state."""
        found: list[dict[str, Cell]] = []
        for i, interval in enumerate(self.intervals):
            active = sum(self.counts[i][: self.n_active])
            row: dict[str, Cell] = {"interval": interval, "active": active}
            row |= {state: self.of(state)[i] for state in self.states}
            found.append({**row, "complete": self.complete[i]})
        return found

    def move_rows(self) -> list[dict[str, Cell]]:
        """Return the moves of all complete intervals together, one row a pair."""
        sums: dict[tuple[str, str], int] = {}
        over = {
            n for n, done in zip(self.intervals, self.complete, strict=True) if done
        }
        for move in self.moves:
            if move.interval in over:
                pair = (move.before, move.after)
                sums[pair] = sums.get(pair, 0) + move.users
        return [
            {"before": before, "after": after, "users": users}
            for (before, after), users in sums.items()
        ]

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the users in each state of the last complete interval."""
        done = [i for i, over in enumerate(self.complete) if over]
        if not done:
            return ()
        return tuple(
            Estimate(
                key="lifecycle.users",
                by=(("state", state),),
                value=float(self.counts[done[-1]][s]),
                unit="count",
            )
            for s, state in enumerate(self.states)
        )

    def _table(self, lang: Lang | None) -> str:
        from growth.labels import label

        if not (rows := self.rows()):
            return ""
        return table_html(rows, label("retention.lifecycle", lang), lang)


def shown(
    counts: LifecycleCounts,
    *,
    period: str,
    intervals: Sequence[str],
    complete: Sequence[bool],
    notices: Sequence[Notice],
) -> Lifecycle:
    """Return a result from counts.

    Parameters
    ----------
    counts : LifecycleCounts
        Of the intervals.
    period : str
        Length of an interval.
    intervals : sequence of str
        Their names.
    complete : sequence of bool
        Whether each is over.
    notices : sequence of Notice
        What is to be said.

    Returns
    -------
    Lifecycle
        Moves into the inactive states of a running interval are left out.
    """
    scheme = counts.scheme
    before = (*scheme.states, ABSENT)
    n_active = 1 + len(scheme.active)
    moves = tuple(
        LifecycleMove(
            intervals[i], before[a], scheme.states[b], int(counts.moves[i, a, b])
        )
        for i, a, b in np.argwhere(counts.moves).tolist()
        if complete[i] or b < n_active
    )
    return Lifecycle(
        lifecycle_scheme=scheme.name,
        period=period,
        states=scheme.states,
        n_active=n_active,
        intervals=tuple(intervals),
        counts=tuple(tuple(row) for row in counts.counts.tolist()),
        complete=tuple(complete),
        moves=moves,
        notices=tuple(notices),
    )


def from_bits(
    seen: Ints, interval: Ints, start: int, end: int, scheme: Scheme
) -> tuple[Ints]:
    """Return the moves of users whose active slots are bits.

    Parameters
    ----------
    seen : array of int64, shape (users, words)
        63 slots a word.
    interval : array of int64, shape (slots + 1,)
        The interval of each slot.
    start, end : int
        The intervals counted.
    scheme : Scheme
        The states.

    Returns
    -------
    tuple of one array
        As `growth.stats.lifecycle.LifecycleCounts.moves`.
    """
    octets = np.ascontiguousarray(seen, dtype="<i8").view(np.uint8)
    bits = np.unpackbits(octets, axis=1, bitorder="little")
    users, words = seen.shape
    bits = bits.reshape(users, words, 64)[:, :, :63].reshape(users, 63 * words)
    user, slot = np.nonzero(bits[:, : len(interval)])
    found = lifecycle(user, interval[slot], start=start, end=end, scheme=scheme)
    return (found.moves,)


def from_keys(
    keys: Ints, shift: int, interval: Ints, start: int, end: int, scheme: Scheme
) -> tuple[Ints]:
    """Return the moves of users whose active slots are sorted keys.

    Parameters
    ----------
    keys : array of int64
        User and slot.
    shift : int
        Where the user begins.
    interval, start, end, scheme
        As in `from_bits`.

    Returns
    -------
    tuple of one array
        As in `from_bits`.
    """
    slot = keys & ((1 << shift) - 1)
    found = lifecycle(
        keys >> shift, interval[slot], start=start, end=end, scheme=scheme
    )
    return (found.moves,)
