"""Where new members come from: arrivals, and invitations that invite again."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, lgamma, log
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray  # noqa: TC002  (a result's types can be read)

from growth.errors import Fault, ParameterError
from growth.stats.roots import bracketed_root
from growth.tiers import keyed
from growth.tiers.checks import between, counts, day_of, seeded, start_fault
from growth.tiers.seasons import FLAT

if TYPE_CHECKING:
    from datetime import date

    from growth.tiers.seasons import Calendar

__all__ = [
    "Arrivals",
    "Tree",
    "arrivals",
    "grow",
    "invitation_tree",
    "waves_total",
]

MOST: Final = 1_000_000  # a tree larger than this has not died out


class Tree(NamedTuple):
    """An invitation tree from one member.

    `k` invitees register a member on average; `extinction` is the chance that the
    tree dies out; `total` and `variance` are of its size with the root (None where
    it may never end); `pmf` the chances of sizes 1 to 5 (Poisson invitees only).
    """

    k: float
    extinction: float
    total: float | None
    variance: float | None
    pmf: tuple[float, ...]


class Arrivals(NamedTuple):
    """Newcomers one by one, in order of time: days since 1970-01-01, and channels."""

    days: NDArray[np.int32]
    channel: tuple[str, ...] | None


def _need(name: str, value: float, *, good: bool, expected: str) -> None:
    if not good:
        msg = f"{name} is {value}; it must be {expected}; take it from the log of"
        raise ParameterError(f"{msg} invitations.", code="bad_acquisition")


def arrivals(
    a_day: float | Mapping[str, float],
    *,
    start: date,
    days: int,
    seed: int,
    calendar: Calendar = FLAT,
) -> Arrivals:
    """Draw who joins on which day, and by which channel.

    Parameters
    ----------
    a_day : float or mapping of str to float
        Mean newcomers a day, 0 or more; by channel if named.
    start : date
        The first day.
    days : int
        How many days, 1 or more.
    seed : int
        Of the draws, which are Poisson.
    calendar : Calendar, optional
        Multiplies the mean by weekday, month and named day; flat if omitted.

    Returns
    -------
    Arrivals
        For `Population.with_arrivals`.

    Raises
    ------
    ParameterError
        Each argument out of range, all at once (``bad_acquisition``, ``bad_days``,
        ``bad_seed``, ``bad_start``).

    Examples
    --------
    >>> from datetime import date
    >>> found = arrivals({"ads": 3, "shop": 1}, start=date(2026, 3, 1), days=31, seed=1)
    >>> sorted(set(found.channel)), len(found.days) == len(found.channel)
    (['ads', 'shop'], True)
    """
    rates = a_day if isinstance(a_day, Mapping) else {"": a_day}
    faults: list[Fault] = []
    (days,), seed = counts(faults, days=days), seeded(faults, seed)
    faults += [
        Fault("bad_acquisition", f"a_day {name}".strip(), repr(mean),
              "0 or more, at most 1,000,000", "Take it from the log of joins.")
        for name, mean in rates.items()
        if not between(mean, 0, MOST)
    ]  # fmt: skip
    faults += start_fault(start)
    if faults:
        raise ParameterError.of("the arrivals", faults)
    first = day_of(start)
    times = calendar.multiples(first, first + days)
    each: list[NDArray[np.int32]] = []
    for place, mean in enumerate(rates.values()):
        rng = np.random.default_rng([keyed.ARRIVAL, seed, place])
        count = rng.poisson(mean * times)
        each.append(np.repeat(np.arange(first, first + days, dtype=np.int32), count))
    day = np.concatenate(each) if each else np.zeros(0, np.int32)
    order = np.argsort(day, kind="stable")
    if not isinstance(a_day, Mapping):
        return Arrivals(day, None)
    names = [name for name, some in zip(rates, each, strict=True) for _ in some]
    return Arrivals(day[order], tuple(names[i] for i in order))


def invitation_tree(k: float, *, dispersion: float | None = None) -> Tree:
    """Return what an invitation tree comes to.

    Parameters
    ----------
    k : float
        Mean invitees who register, a member; 0 or more.
    dispersion : float, optional
        Of a negative binomial count, above 0: small is a few who invite many.
        Poisson if omitted.

    Returns
    -------
    Tree
        With `k` at 1 or more the expected size is infinite: None.

    Raises
    ------
    ParameterError
        If a number is unusable (``bad_acquisition``).

    References
    ----------
    Otter (1949), "The multiplicative process"; the sizes are Borel's.

    Examples
    --------
    >>> invitation_tree(0.6).total
    2.5
    """
    _need("k", k, good=0 <= k < 100, expected="0 or more")
    if dispersion is not None:
        _need("dispersion", dispersion, good=dispersion > 0, expected="above 0")
    spread = k if dispersion is None else k + k * k / dispersion
    total = 1 / (1 - k) if k < 1 else None
    variance = spread / (1 - k) ** 3 if k < 1 else None

    def next_generation(z: float) -> float:
        if dispersion is None:
            return exp(k * (z - 1))
        return float((1 + k * (1 - z) / dispersion) ** -dispersion)

    extinction = 1.0
    if k > 1:
        extinction = bracketed_root(lambda z: next_generation(z) - z, 0.0, 1 - 1e-9)
    pmf: tuple[float, ...] = ()
    if dispersion is None:
        pmf = tuple(
            exp(-k * n + (n - 1) * log(k * n) - lgamma(n + 1)) if k else float(n == 1)
            for n in range(1, 6)
        )
    return Tree(k, extinction, total, variance, pmf)


def waves_total(seeds: float, k: float, waves: int) -> float:
    """Return everyone so far after some waves of invitations, seeds included.

    Parameters
    ----------
    seeds : float
        Who starts.
    k : float
        Mean invitees who register, a member.
    waves : int
        0 or more.

    Returns
    -------
    float
        The expected count.

    Raises
    ------
    ParameterError
        If a number is negative (``bad_acquisition``).

    Examples
    --------
    >>> waves_total(100, 1.25, 5)
    1125.87890625
    """
    _need("seeds", seeds, good=seeds >= 0, expected="0 or more")
    _need("k", k, good=k >= 0, expected="0 or more")
    _need("waves", waves, good=waves >= 0, expected="0 or more")
    return float(sum(seeds * k**wave for wave in range(waves + 1)))


def grow(
    seeds: int,
    k: float,
    *,
    seed: int,
    dispersion: float | None = None,
    cycle_days: float = 7.0,
    days: int = 365,
    saturation: int | None = None,
) -> NDArray[np.int64]:
    """Draw invitation trees in time: how many register on each day.

    Parameters
    ----------
    seeds : int
        Members who start on day 0, 1 or more.
    k : float
        Mean invitees who register, a member.
    seed : int
        Of the draws.
    dispersion : float, optional
        Of a negative binomial count; Poisson if omitted.
    cycle_days : float, default 7
        Mean days from registering to an invitee's registering (exponential).
    days : int, default 365
        Days counted.
    saturation : int, optional
        People there are in all: the more have come, the fewer are left to invite.

    Returns
    -------
    ndarray of int, (days,)
        Registrations on each day from day 0; the seeds are not among them.
        `Population.with_arrivals` takes their days, one a newcomer: `numpy.repeat`
        makes these of the counts.

    Raises
    ------
    ParameterError
        Each argument out of range, all at once (``bad_acquisition``, ``bad_days``,
        ``bad_seed``).

    Examples
    --------
    >>> from datetime import date
    >>> came = grow(100, 0.5, seed=1, days=60)
    >>> first = (date(2026, 3, 1) - date(1970, 1, 1)).days
    >>> days = np.repeat(first + np.arange(60), came)
    >>> len(came), int(came.sum()), len(days)
    (60, 110, 110)
    """
    hint = "Take it from the log of invitations."
    faults = [
        Fault("bad_acquisition", name, repr(seen), words, hint)
        for name, seen, good, words in (
            ("k", k, between(k, 0) and k < 100, "0 or more, below 100"),
            ("dispersion", dispersion,
             dispersion is None or (between(dispersion, 0) and dispersion > 0),
             "above 0, or None for Poisson"),
            ("cycle_days", cycle_days, between(cycle_days, 0) and cycle_days > 0,
             "above 0"),
        )
        if not good
    ]  # fmt: skip
    wrong: list[Fault] = []
    (seeds,) = counts(wrong, seeds=seeds)
    if saturation is not None:
        (saturation,) = counts(wrong, saturation=saturation)
    words = "1 or more, and whole"
    faults += [
        Fault("bad_acquisition", one.name, one.seen, words, hint) for one in wrong
    ]
    (days,), seed = counts(faults, days=days), seeded(faults, seed)
    if faults:
        raise ParameterError.of("the trees", faults)
    rng = np.random.default_rng([keyed.INVITES, seed])
    found = np.zeros(days, np.int64)
    born, everyone = np.zeros(seeds), seeds
    while born.size and everyone < MOST:
        left = 1.0 if saturation is None else max(0.0, 1 - everyone / saturation)
        mean = np.full(len(born), k * left)
        if dispersion is not None:
            mean = mean * rng.gamma(dispersion, 1 / dispersion, len(born))
        count = rng.poisson(mean)
        born = np.repeat(born, count) + rng.exponential(cycle_days, count.sum())
        if saturation is not None:
            born = np.sort(born)[: max(0, saturation - everyone)]
        born = born[born < days]
        np.add.at(found, born.astype(np.int64), 1)
        everyone += len(born)
    return found
