"""Group buying in time: which groups fill within their window, which are refunded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray  # noqa: TC002  (a result's types can be read)

from growth.errors import Fault, ParameterError
from growth.tiers import keyed
from growth.tiers.checks import between, counts, day_of, seeded, start_fault
from growth.tiers.seasons import FLAT, calendar_fault

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from growth.tiers.seasons import Calendar

__all__ = ["Groups", "fill_probability", "groups"]

MOST: Final = 1_000_000  # groups, or joiners, a day
WIDEST: Final = 1000  # people in a group
HINT: Final = "Take it from the log of groups."


class Groups(NamedTuple):
    """What became of groups, on each day of a span; int64 arrays, (days,).

    Groups `opened`, those that `filled` and those that `expired` on a day; `buyers`
    in the groups that filled (openers included), people `refunded` as theirs
    expired. `open_at_end` are groups whose window goes on after the last day.
    """

    opened: NDArray[np.int64]
    filled: NDArray[np.int64]
    expired: NDArray[np.int64]
    buyers: NDArray[np.int64]
    refunded: NDArray[np.int64]
    open_at_end: int


def fill_probability(group: int, mean_joiners: float) -> float:
    """Return the chance that a group opened by one member fills in its window.

    Parameters
    ----------
    group : int
        Members it takes, the opener included; 2 or more.
    mean_joiners : float
        Mean joiners in the window, Poisson; 0 or more.

    Returns
    -------
    float
        In [0, 1]; else it expires, and is refunded.

    Raises
    ------
    ParameterError
        Each number that is unusable, all at once (``bad_acquisition``).

    Examples
    --------
    >>> round(fill_probability(3, 1), 8)
    0.26424112
    """
    faults = [*_size(group), *_mean("mean_joiners", mean_joiners)]
    if faults:
        raise ParameterError.of("the group", faults)
    from scipy.special import gammainc

    return float(gammainc(group - 1, mean_joiners))


def groups(
    opened_a_day: float,
    *,
    group: int,
    joiners_a_day: float,
    window_days: float = 1.0,
    start: date,
    days: int,
    seed: int,
    calendar: Calendar = FLAT,
) -> Groups:
    """Draw groups day by day: they fill within their window, or expire and refund.

    Parameters
    ----------
    opened_a_day : float
        Mean groups opened a day, 0 or more; Poisson, at any hour of the day.
    group : int
        Members a group takes, the opener included; 2 to 1,000.
    joiners_a_day : float
        Mean joiners a day of a group that is open, 0 or more; Poisson.
    window_days : float, default 1
        Days a group is open, above 0.
    start : date
        The first day; no group is open before it.
    days : int
        How many days, 1 or more.
    seed : int
        Of the draws.
    calendar : Calendar, optional
        Multiplies the groups opened by weekday, month and named day; flat if omitted.

    Returns
    -------
    Groups
        `Population.with_arrivals` takes the days of buyers who are new: `numpy.repeat`
        makes these of the counts.

    Raises
    ------
    ParameterError
        Each argument out of range, all at once (``bad_acquisition``,
        ``bad_calendar``, ``bad_days``, ``bad_seed``, ``bad_start``).

    Notes
    -----
    A group fills when the last of ``group - 1`` joiners comes: after a gamma time, and
    `fill_probability` is the chance that it is shorter than the window. Who had joined
    a group that expired is Poisson, below ``group - 1``.

    Examples
    --------
    >>> from datetime import date
    >>> found = groups(
    ...     40, group=3, joiners_a_day=3, start=date(2026, 3, 1), days=30, seed=1
    ... )
    >>> int(found.filled.sum()), int(found.expired.sum()), found.open_at_end
    (934, 223, 25)
    """
    faults = [
        *_mean("opened_a_day", opened_a_day),
        *_size(group),
        *_mean("joiners_a_day", joiners_a_day),
        *_window(window_days),
    ]
    (days,), seed = counts(faults, days=days), seeded(faults, seed)
    faults += [*start_fault(start), *calendar_fault(calendar)]
    if faults:
        raise ParameterError.of("the groups", faults)
    from scipy.special import pdtr

    rng = np.random.default_rng([keyed.GROUPS, seed])
    group = int(group)
    first, wait = day_of(start), joiners_a_day * window_days
    many = rng.poisson(opened_a_day * calendar.multiples(first, first + days))
    opened = np.repeat(np.arange(days), many) + rng.random(many.sum())
    takes = rng.gamma(group - 1, 1.0, len(opened))  # in mean times between joiners
    fills = takes <= wait
    ends = opened + window_days
    ends[fills] = opened[fills] + takes[fills] / joiners_a_day
    joined = pdtr(np.arange(group - 1), wait)  # by chance 0, 1, ... of those not full
    some = np.searchsorted(joined[:-1], rng.random(len(opened)) * joined[-1], "right")
    people = np.where(fills, group, 1 + some)
    closed = ends < days
    at = np.where(closed, ends, 0).astype(np.int64)

    def by_day(which: NDArray[np.bool_], each: NDArray[np.int64]) -> NDArray[np.int64]:
        found = np.zeros(days, np.int64)
        np.add.at(found, at[which & closed], each[which & closed])
        return found

    one = np.ones(len(opened), np.int64)
    return Groups(
        many.astype(np.int64),
        by_day(fills, one),
        by_day(~fills, one),
        by_day(fills, people),
        by_day(~fills, people),
        int((~closed).sum()),
    )


def _mean(name: str, seen: float) -> Iterable[Fault]:
    if not between(seen, 0, MOST):
        yield Fault("bad_acquisition", name, repr(seen), f"0 to {MOST:,}", HINT)


def _size(seen: float) -> Iterable[Fault]:
    if not between(seen, 2, WIDEST) or seen != int(seen):
        words = f"2 to {WIDEST:,}, and whole"
        yield Fault("bad_acquisition", "group", repr(seen), words, "")


def _window(seen: float) -> Iterable[Fault]:
    if not between(seen, 0, MOST) or not seen:
        yield Fault("bad_acquisition", "window_days", repr(seen), "above 0", "")
