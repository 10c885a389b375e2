"""Where new members come from: arrivals, and invitations that invite again."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, expm1, inf, isinf, lgamma, log, log1p
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray  # noqa: TC002  (a result's types can be read)

from growth.errors import Fault, ParameterError
from growth.stats.roots import bracketed_root
from growth.tiers import keyed
from growth.tiers.checks import between, counts, day_of, seeded, start_fault
from growth.tiers.seasons import FLAT, calendar_fault

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
WIDEST: Final = 100  # invitees of one member
WAVES: Final = 10_000
LEAST: Final = 1e-9  # dispersion: hardly anybody invites, and then everybody
HINT: Final = "Take it from the log of invitations."


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


def _faults(k: object, dispersion: object) -> list[Fault]:
    """Return what is wrong with the count of a member's invitees."""
    spread = dispersion is None or dispersion == inf or between(dispersion, LEAST)
    return [
        Fault("bad_acquisition", name, repr(seen), words, HINT)
        for name, seen, good, words in (
            ("k", k, between(k, 0) and k < WIDEST, f"0 or more, below {WIDEST}"),  # type: ignore[operator]
            ("dispersion", dispersion, spread,
             f"above 0 ({LEAST:g} or more), or None for Poisson"),
        )
        if not good
    ]  # fmt: skip


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
        Each argument out of range, all at once (``bad_acquisition``,
        ``bad_calendar``, ``bad_days``, ``bad_seed``, ``bad_start``).

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
    faults += [*start_fault(start), *calendar_fault(calendar)]
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
        Mean invitees who register, a member; 0 or more, below 100.
    dispersion : float, optional
        Of a negative binomial count, above 0: small is a few who invite many, large
        comes near Poisson. Poisson if omitted, or infinite.

    Returns
    -------
    Tree
        With `k` at 1 or more the expected size is infinite: None.

    Raises
    ------
    ParameterError
        Each number that is unusable, all at once (``bad_acquisition``).

    References
    ----------
    Otter (1949), "The multiplicative process"; the sizes are Borel's.

    Examples
    --------
    >>> invitation_tree(0.6).total
    2.5
    """
    if faults := _faults(k, dispersion):
        raise ParameterError.of("the tree", faults)
    if dispersion is not None and isinf(dispersion):
        dispersion = None
    spread = k if dispersion is None else k + k * k / dispersion
    total = 1 / (1 - k) if k < 1 else None
    variance = spread / (1 - k) ** 3 if k < 1 else None
    extinction = 1 - _survival(k, dispersion) if k > 1 else 1.0
    pmf: tuple[float, ...] = ()
    if dispersion is None:
        pmf = tuple(
            exp(-k * n + (n - 1) * log(k * n) - lgamma(n + 1)) if k else float(n == 1)
            for n in range(1, 6)
        )
    return Tree(k, extinction, total, variance, pmf)


def _survival(k: float, dispersion: float | None) -> float:
    """Return the chance that a tree with `k` above 1 never ends.

    Solved for what is left over, as that may be far nearer 0 than extinction to 1. Of
    a share s of lines that live on, ``1 - exp(-d * log1p(k * s / d))`` live on too.
    """

    def above(s: float) -> float:
        if dispersion is None:
            return -expm1(-k * s) - s
        return -expm1(-dispersion * log1p(k * s / dispersion)) - s

    # by the second-order Taylor sum, which is below the function, the root is higher
    bend = k * k * (1 if dispersion is None else 1 + 1 / dispersion)
    low = (k - 1) / bend
    return bracketed_root(above, low, 1.0) if above(low) > 0 else low


def waves_total(seeds: float, k: float, waves: int) -> float:
    """Return everyone so far after some waves of invitations, seeds included.

    Parameters
    ----------
    seeds : float
        Who starts.
    k : float
        Mean invitees who register, a member.
    waves : int
        0 to 10,000.

    Returns
    -------
    float
        The expected count.

    Raises
    ------
    ParameterError
        Each number that is unusable, all at once, or a count that is no number any
        more (``bad_acquisition``).

    Examples
    --------
    >>> waves_total(100, 1.25, 5)
    1125.87890625
    """
    faults = [
        Fault("bad_acquisition", name, repr(seen), words, HINT)
        for name, seen, good, words in (
            ("seeds", seeds, between(seeds, 0), "0 or more"),
            ("k", k, between(k, 0), "0 or more"),
            ("waves", waves, between(waves, 0, WAVES) and waves == int(waves),
             f"0 to {WAVES:,}, and whole"),
        )
        if not good
    ]  # fmt: skip
    if faults:
        raise ParameterError.of("the waves", faults)
    try:
        found = float(sum(seeds * float(k) ** wave for wave in range(int(waves) + 1)))
    except OverflowError:
        found = inf
    if isinf(found):
        msg = f"waves is {waves} with k {k}, more people than a number holds; it must"
        msg = f"{msg} be less; tiers.grow takes the people there are as saturation."
        raise ParameterError(msg, code="bad_acquisition")
    return found


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
        Members who start on day 0, 1 to 1,000,000.
    k : float
        Mean invitees who register, a member; 0 or more, below 100.
    seed : int
        Of the draws.
    dispersion : float, optional
        Of a negative binomial count; Poisson if omitted, or infinite.
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
        ``bad_seed``); trees that grow past 1,000,000 people (``bad_acquisition``).

    Examples
    --------
    >>> from datetime import date
    >>> came = grow(100, 0.5, seed=1, days=60)
    >>> first = (date(2026, 3, 1) - date(1970, 1, 1)).days
    >>> days = np.repeat(first + np.arange(60), came)
    >>> len(came), int(came.sum()), len(days)
    (60, 110, 110)
    """
    faults = _faults(k, dispersion)
    if not (between(cycle_days, 0) and cycle_days > 0):
        seen = repr(cycle_days)
        faults.append(Fault("bad_acquisition", "cycle_days", seen, "above 0", HINT))
    wrong: list[Fault] = []
    (seeds,) = counts(wrong, seeds=seeds)
    if saturation is not None:
        (saturation,) = counts(wrong, saturation=saturation)
    words = "1 or more, and whole"
    faults += [
        Fault("bad_acquisition", one.name, one.seen, words, HINT) for one in wrong
    ]
    if seeds > MOST:
        words = f"{MOST:,} at most"
        faults.append(Fault("bad_acquisition", "seeds", repr(seeds), words))
    (days,), seed = counts(faults, days=days), seeded(faults, seed)
    if faults:
        raise ParameterError.of("the trees", faults)
    rng = np.random.default_rng([keyed.INVITES, seed])
    found = np.zeros(days, np.int64)
    born, everyone = np.zeros(seeds), seeds
    while born.size:
        left = 1.0 if saturation is None else max(0.0, 1 - everyone / saturation)
        mean = np.full(len(born), k * left)
        if dispersion is not None and not isinf(dispersion):
            mean = mean * rng.gamma(dispersion, 1 / dispersion, len(born))
        count = rng.poisson(np.minimum(mean, MOST))
        if count.sum() > WIDEST * MOST:
            _too_many(seeds, k, days)
        born = np.repeat(born, count) + rng.exponential(cycle_days, count.sum())
        if saturation is not None:
            born = np.sort(born)[: max(0, saturation - everyone)]
        born = born[born < days]
        np.add.at(found, born.astype(np.int64), 1)
        everyone += len(born)
        if everyone > MOST:
            _too_many(seeds, k, days)
    return found


def _too_many(seeds: int, k: float, days: int) -> NoReturn:
    """Refuse trees that would have to be cut off: what came last would be missing."""
    msg = f"{seeds:,} seeds with k {k} grow to more than {MOST:,} people within {days}"
    msg = f"{msg} days; they must stay below; state as saturation how many people there"
    raise ParameterError(f"{msg} are, or fewer days.", code="bad_acquisition")
