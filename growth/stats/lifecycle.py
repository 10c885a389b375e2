"""Where is each user in their life with us? States by the gap between activities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from growth.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Ints = NDArray[np.int64]

__all__ = [
    "ABSENT",
    "ACTIVITY",
    "NEVER",
    "PERIOD",
    "LifecycleCounts",
    "Scheme",
    "lifecycle",
    "lifecycle_states",
]

ABSENT: Final = "absent"  # where a new user comes from
NEVER: Final = int(np.iinfo(np.int64).min) // 4  # an interval no user was active in


class Scheme(NamedTuple):
    """Names of the states, and the gaps that part them.

    Parameters
    ----------
    name : str
        ``period`` or ``activity``.
    active : tuple of str
        States of an active interval, by the gap g since the last active one; a
        user's first is ``new``.
    inactive : tuple of str
        States of an inactive interval, by the same gap.
    cuts : tuple of int
        The longest gap of each state but the last, in intervals, rising.
    """

    name: str
    active: tuple[str, ...]
    inactive: tuple[str, ...]
    cuts: tuple[int, ...]

    @property
    def states(self) -> tuple[str, ...]:
        """All states, ``new`` first, then the active, then the inactive ones."""
        return ("new", *self.active, *self.inactive)


PERIOD: Final = Scheme(
    "period", ("returning", "resurrecting"), ("dormant", "asleep"), (1,)
)
ACTIVITY: Final = Scheme(
    "activity",
    ("current", "reactivated", "resurrected"),
    ("at_risk_week", "at_risk_month", "dormant"),
    (6, 29),
)


class LifecycleCounts(NamedTuple):
    """Users per interval and state, and the moves between states.

    Parameters
    ----------
    scheme : Scheme
        What the states are called.
    start : int
        The first interval.
    counts : ndarray of int64, shape (n, S)
        Users in each state of ``scheme.states`` in interval ``start + i``.
    moves : ndarray of int64, shape (n, S + 1, S)
        Users by their state in the interval before and in this one; the last row
        is those who were `ABSENT`: never active before.
    """

    scheme: Scheme
    start: int
    counts: Ints
    moves: Ints

    @property
    def active(self) -> Ints:
        """Active users per interval, shape (n,)."""
        total: Ints = self.counts[:, : len(self.scheme.active) + 1].sum(axis=1)
        return total

    def of(self, state: str) -> Ints:
        """Return the users in one state per interval, shape (n,)."""
        column: Ints = self.counts[:, self.scheme.states.index(state)]
        return column

    def merge(self, other: LifecycleCounts) -> LifecycleCounts:
        """Return the counts of both, which must be of other users."""
        return self._replace(
            counts=self.counts + other.counts, moves=self.moves + other.moves
        )


def lifecycle(
    user: ArrayLike,
    interval: ArrayLike,
    *,
    start: int,
    end: int,
    scheme: Scheme = PERIOD,
) -> LifecycleCounts:
    """Count users by state in each interval, and their moves from state to state.

    Parameters
    ----------
    user : array of int, shape (m,)
        Who was active, equal values side by side.
    interval : array of int, shape (m,)
        In which interval (day, week, month; any origin), rising within a user;
        repeats do no harm. Intervals before `start` decide who is new; those from
        `end` on are left out.
    start, end : int
        The intervals counted, ``[start, end)``.
    scheme : Scheme, default PERIOD
        `PERIOD`: new, returning (gap 1), resurrecting; dormant (gap 1), asleep.
        `ACTIVITY`, on days: new, current (gap up to 6), reactivated (7 to 29),
        resurrected; at_risk_week, at_risk_month, dormant by the same gaps.

    Returns
    -------
    LifecycleCounts
        Counts are positive, and additive over users: parts can be merged.

    Raises
    ------
    ParameterError
        If `end` is not after `start` (``range``), or the arrays differ in length
        or are not sorted (``bad_activity``).

    Notes
    -----
    Active is new plus the active states. With `PERIOD`, ``dormant[t] = active[t-1] -
    returning[t]``. The gap g is the number of intervals since the last active one.

    Examples
    --------
    >>> found = lifecycle([1, 1, 1, 2], [0, 1, 3, 1], start=0, end=4)
    >>> found.of("dormant").tolist(), found.of("resurrecting").tolist()
    ([0, 0, 2, 0], [0, 0, 0, 1])
    """
    if end <= start:
        msg = f"end is {end}, start is {start}; end must be later; give one interval"
        raise ParameterError(f"{msg} or more.", code="range")
    who, at = _distinct(np.asarray(user), np.asarray(interval, dtype=np.int64), end)
    n, kinds = end - start, len(scheme.states)
    moves = np.zeros((n, kinds + 1, kinds), dtype=np.int64)
    follows = np.zeros(len(at), dtype=bool)
    follows[1:] = who[1:] == who[:-1]
    gap = np.zeros(len(at), dtype=np.int64)
    gap[1:] = at[1:] - at[:-1]
    cuts = np.asarray(scheme.cuts)
    state = np.where(follows, 1 + np.searchsorted(cuts, gap), 0)
    before = 1 + len(scheme.active) + np.searchsorted(cuts, gap - 1)
    adjacent = follows & (gap == 1)
    before[adjacent] = state[np.flatnonzero(adjacent) - 1]
    before[~follows] = kinds
    seen = at >= start
    np.add.at(moves, (at[seen] - start, before[seen], state[seen]), 1)
    stop = np.full(len(at), end, dtype=np.int64)
    stop[:-1][follows[1:]] = at[1:][follows[1:]]
    _silences(moves, scheme, at - start, state, stop - start)
    return LifecycleCounts(scheme, start, moves.sum(axis=1), moves)


def _distinct(who: Ints, at: Ints, end: int) -> tuple[Ints, Ints]:
    """Return each user's intervals before `end` once."""
    sorted_ = who.shape == at.shape and bool(
        np.all((who[1:] != who[:-1]) | (at[1:] >= at[:-1]))
    )
    if not sorted_ or who.ndim != 1:
        msg = (
            f"user has shape {who.shape}, interval {at.shape}, sorted: {sorted_}; both"
        )
        msg += " must be of one length and intervals rise within a user; sort them."
        raise ParameterError(msg, code="bad_activity")
    keep = at < end
    keep[1:] &= (who[1:] != who[:-1]) | (at[1:] != at[:-1])
    return who[keep], at[keep]


def _silences(moves: Ints, scheme: Scheme, at: Ints, state: Ints, stop: Ints) -> None:
    """Add the moves into inactive states: of each silence from `at` + 1 to `stop`."""
    n = len(moves)
    first = 1 + len(scheme.active)
    low = 1  # the shortest gap of a state
    before = state
    for i, cut in enumerate((*scheme.cuts, None)):
        here = first + i
        entered = at + low  # the interval in which the state begins
        came = (entered >= 0) & (entered < stop)
        np.add.at(moves[:, :, here], (entered[came], before[came]), 1)
        # and in which it lasts
        left = np.minimum(stop, at + cut + 1) if cut is not None else stop
        begin = np.clip(entered + 1, 0, n)
        lasts = left > begin
        edges = np.zeros(n + 1, dtype=np.int64)
        np.add.at(edges, begin[lasts], 1)
        np.add.at(edges, left[lasts], -1)
        moves[:, here, here] += np.cumsum(edges)[:n]
        if cut is not None:
            low, before = cut + 1, np.full_like(state, here)


def lifecycle_states(
    first: ArrayLike,
    last: ArrayLike,
    previous: ArrayLike,
    *,
    now: int,
    scheme: Scheme = PERIOD,
) -> Ints:
    """Return each user's state in one interval.

    Parameters
    ----------
    first, last : array of int, shape (n,)
        A user's first and latest active interval up to `now`; `NEVER` for a user
        without one.
    previous : array of int, shape (n,)
        The active interval before `last`; any value where there is none.
    now : int
        The interval asked about.
    scheme : Scheme, default PERIOD
        As in `lifecycle`.

    Returns
    -------
    ndarray of int64, shape (n,)
        Positions in ``scheme.states``; -1 for a user never active.

    Examples
    --------
    >>> codes = lifecycle_states([3, 1, 1], [3, 3, 2], [NEVER, 2, 1], now=3)
    >>> [PERIOD.states[code] for code in codes]
    ['new', 'returning', 'dormant']
    """
    one, end, mid = (np.asarray(x, dtype=np.int64) for x in (first, last, previous))
    cuts = np.asarray(scheme.cuts)
    awake = np.where(one == end, 0, 1 + np.searchsorted(cuts, end - mid))
    silent = 1 + len(scheme.active) + np.searchsorted(cuts, now - end)
    found: Ints = np.where(end == now, awake, silent)
    found[end == NEVER] = -1
    return found
