"""Orders as arrays: who bought on which day for how much, and what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from growth.errors import DataError
from growth.tiers.generators import (
    MOST_FREQUENT,
    QUARTILES,
    RECENCY,
    CellBootstrap,
    Donors,
    History,
    cells,
    nearest_bins,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Days", "bootstrap", "donors_of", "history_of", "purchase_days"]

FEWEST_KNOWN: Final = 0.4  # of today's members, as donors


class Days(NamedTuple):
    """Purchase days, member after member, each in order of time.

    `at` says where each member's begin; `day` counts from 1970-01-01; `fen` is the
    sum of the day's orders, above 0.
    """

    at: NDArray[np.int64]
    day: NDArray[np.int32]
    fen: NDArray[np.int64]

    @property
    def members(self) -> int:
        """How many members, with or without a purchase day."""
        return len(self.at) - 1

    @property
    def who(self) -> NDArray[np.int64]:
        """The member of each purchase day."""
        return np.repeat(np.arange(self.members), np.diff(self.at))

    def until(self, day: int) -> tuple[Days, NDArray[np.int64]]:
        """Return members known at the end of a day, and which they are.

        Parameters
        ----------
        day : int
            The last day known.

        Returns
        -------
        Days, ndarray of int
            Only those with a purchase day by then; their numbers here.
        """
        known = self.day <= day
        count = np.bincount(self.who[known], minlength=self.members)
        members = np.flatnonzero(count)
        at = np.concatenate([[0], np.cumsum(count[members])])
        return Days(at, self.day[known], self.fen[known]), members


def purchase_days(
    member: NDArray[Any], day: NDArray[Any], fen: NDArray[Any], members: int
) -> Days:
    """Collapse orders of one member and day.

    Parameters
    ----------
    member, day, fen : array of int
        One order each; free ones are left out.
    members : int
        How many members there are.

    Returns
    -------
    Days
        Sorted.

    Raises
    ------
    DataError
        If an amount is negative (``amount_negative``).
    """
    if fen.size and fen.min() < 0:
        msg = f"an order is of {fen.min()} fen; it must be 0 or more; enter returns as"
        raise DataError(f"{msg} refunds.", code="amount_negative")
    paid = fen > 0
    key = member[paid].astype(np.int64) * (1 << 24) + day[paid].astype(np.int64)
    order = np.argsort(key, kind="stable")
    key, amount = key[order], fen[paid][order].astype(np.int64)
    first = np.ones(len(key), dtype=bool)
    first[1:] = key[1:] != key[:-1]
    start = np.flatnonzero(first)
    total = np.add.reduceat(amount, start) if len(start) else amount
    who = key[start] >> 24
    at = np.zeros(members + 1, np.int64)
    np.cumsum(np.bincount(who, minlength=members), out=at[1:])
    return Days(at, (key[start] & ((1 << 24) - 1)).astype(np.int32), total)


def history_of(days: Days, as_of: int) -> History:
    """Return what the models know of each member.

    Parameters
    ----------
    days : Days
        Purchase days up to `as_of`, one or more a member.
    as_of : int
        The last day known.

    Returns
    -------
    History
        x, t_x, t in days; orders are purchase days, and their mean spend in fen.
    """
    count = np.diff(days.at)
    first, last = days.day[days.at[:-1]], days.day[days.at[1:] - 1]
    total = np.add.reduceat(days.fen, days.at[:-1])
    return History(
        (count - 1).astype(np.int32),
        (last - first).astype(np.float32),
        (as_of - first).astype(np.float32),
        count.astype(np.int32),
        (total / count).astype(np.float32),
    )


def donors_of(days: Days, as_of: int, window: int) -> tuple[Donors, int]:
    """Return past members and their next window.

    Parameters
    ----------
    days : Days
        Purchase days up to `as_of`.
    as_of : int
        The last day known: the donors' window ends here.
    window : int
        Its length, days.

    Returns
    -------
    Donors, int
        And how many there are.
    """
    before, members = days.until(as_of - window)
    known = history_of(before, as_of - window)
    at = np.zeros(len(members) + 1, np.int64)
    place = np.full(days.members, -1)
    place[members] = np.arange(len(members))
    ahead = (days.day > as_of - window) & (days.day <= as_of) & (place[days.who] >= 0)
    np.cumsum(np.bincount(place[days.who[ahead]], minlength=len(members)), out=at[1:])
    edges = np.quantile(known.mean, QUARTILES) if len(members) else np.zeros(3)
    recency = (known.t - known.t_x).astype(np.int64)
    bins = np.searchsorted(RECENCY, recency, side="left")
    nearest = nearest_bins(bins)
    levels = cells(recency, known.orders, known.mean, edges, nearest)
    cell = levels.reshape(-1)
    who = np.tile(np.arange(len(members)), len(levels))
    order = np.argsort(cell, kind="stable")
    return (
        Donors(
            cell=cell[order], who=who[order], at=at,
            day=(days.day[ahead] - (as_of - window) - 1).astype(np.int32),
            fen=days.fen[ahead], edges=np.asarray(edges, float), nearest=nearest,
        ),
        len(members),
    )  # fmt: skip


def bootstrap(days: Days, as_of: int, window: int) -> CellBootstrap | None:
    """Return the cell bootstrap of members known, or None of too few donors.

    Parameters
    ----------
    days : Days
        Purchase days up to `as_of`, one or more a member.
    as_of, window : int
        The last day known, and the window's length.

    Returns
    -------
    CellBootstrap or None
        None where the past holds fewer than two members for five of today's: its
        windows would be those of newcomers.
    """
    donors, count = donors_of(days, as_of, window)
    if count < FEWEST_KNOWN * days.members:
        return None
    known = history_of(days, as_of)
    return CellBootstrap(
        donors=donors,
        recency=(known.t - known.t_x).astype(np.int32),
        frequency=np.minimum(known.orders, 10 * MOST_FREQUENT),
        mean=known.mean.astype(np.float64),
        window=window,
    )
