"""What points owe: breakage, the liability at a month's end, revenue deferred."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from growth.errors import Fault, ParameterError
from growth.result import Cell, Result
from growth.tiers.checks import between, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from growth.tiers.running import Totals

__all__ = [
    "Deferral",
    "Period",
    "PointsPeriod",
    "RollForward",
    "breakage_rate",
    "deferred_revenue",
    "fair_liability",
    "roll_forward",
    "rolled_run",
    "whole_parts",
]


class Period(NamedTuple):
    """A period of the roll-forward, in the unit of the sales.

    ``opening + deferred - recognised - clawed = closing``; `re_estimate` is how much
    less was recognised because the expectation changed. It is within `recognised`.
    """

    opening: float
    deferred: float
    recognised: float
    clawed: float
    re_estimate: float
    closing: float


class PointsPeriod(NamedTuple):
    """The points behind a period: what members hold, active and pending less debt.

    ``opening + issued - redeemed - expired - clawed = closing``.
    """

    opening: int
    issued: int
    redeemed: int
    expired: int
    clawed: int
    closing: int


class Deferral(NamedTuple):
    """A sale split by relative stand-alone prices: what waits, what does not."""

    deferred: float
    goods: float


def breakage_rate(totals: Totals) -> NDArray[np.float64]:
    """Return the share of dying points that nobody used, a replication.

    Parameters
    ----------
    totals : Totals
        A run.

    Returns
    -------
    ndarray of float
        Expired over expired and redeemed, in [0, 1]; 0 where neither happened: a run
        shorter than the points' life sees no breakage, and claims none.
    """
    dead = totals.of("expired").sum(axis=(1, 2, 3)).astype(float)
    used = totals.of("redeemed").sum(axis=(1, 2, 3)).astype(float)
    both = dead + used
    return np.asarray(np.divide(dead, both, out=np.zeros_like(dead), where=both > 0))


def fair_liability(
    points: Any, *, value_fen: int, block: int, breakage: Any  # noqa: ANN401
) -> NDArray[np.int64]:  # fmt: skip
    """Return the value of points outstanding that will be used, in whole fen.

    Parameters
    ----------
    points : array of int
        Active and pending, (replications, ...).
    value_fen, block : int
        What a block of points is worth.
    breakage : array of float
        Share never used, one a replication.

    Returns
    -------
    ndarray of int
        As `points`.
    """
    kept = 1 - np.asarray(breakage).reshape(-1, *([1] * (np.ndim(points) - 1)))
    return whole_parts(points, value_fen / block * kept)


def whole_parts(parts: ArrayLike, each: ArrayLike = 1.0) -> NDArray[np.int64]:
    """Round amounts along their last axis so that nothing is lost.

    Parameters
    ----------
    parts : array
        Parts of a sum, along the last axis.
    each : float or array, default 1
        What one is worth, alike along the last axis.

    Returns
    -------
    ndarray of int
        Each within 1 of its amount; the first k add up to what their sum is rounded
        to, however a sum of integers is parted.

    Examples
    --------
    >>> whole_parts([0.4, 0.4, 0.4]).tolist()
    [0, 1, 0]
    >>> whole_parts([5, 5, 5], 0.1).tolist()
    [1, 0, 1]
    """
    sums = np.floor(np.cumsum(parts, axis=-1) * np.asarray(each) + 0.5)
    return np.asarray(np.diff(sums.astype(np.int64), axis=-1, prepend=0))


def deferred_revenue(
    *, sales: float, points: float, value_per_point: float, expected: float
) -> Deferral:
    """Split sales between goods and the points that came with them (IFRS 15 B39-B43).

    Parameters
    ----------
    sales : float
        Consideration received, 0 or more.
    points : float
        Points issued with them.
    value_per_point : float
        Stand-alone price of one, in the unit of `sales`.
    expected : float
        Points expected to be used, 0 to `points`.

    Returns
    -------
    Deferral
        Two parts whose sum is `sales`.

    Raises
    ------
    ParameterError
        Each number that is no number of 0 or more, all at once; if more are expected
        to be used than were issued (``bad_liability``).

    Examples
    --------
    >>> part = deferred_revenue(
    ...     sales=100_000, points=10_000, value_per_point=1, expected=9_500)
    >>> round(part.deferred)
    8676
    """
    given = {
        "sales": sales, "points": points, "value_per_point": value_per_point,
        "expected": expected,
    }  # fmt: skip
    faults = [fault for name, one in given.items() for fault in _amount(name, one)]
    if not faults and expected > points:
        words = f"points, {points}, or fewer"
        hint = "No more can be used than issued."
        faults.append(Fault("bad_liability", "expected", repr(expected), words, hint))
    if faults:
        raise ParameterError.of("the deferral", faults)
    ssp = expected * value_per_point
    deferred = sales * ssp / (ssp + sales) if ssp + sales else 0.0
    return Deferral(deferred, sales - deferred)


@dataclass(frozen=True, slots=True, kw_only=True)
class RollForward(Result):
    """Deferred revenue from period to period; `closing` is what still waits.

    Out of a simulation, `months` names the periods and `points` has what members hold.
    """

    periods: tuple[Period, ...]
    closing: float
    months: tuple[str, ...] = ()
    points: tuple[PointsPeriod, ...] = ()

    @property
    def verdict(self) -> str:
        """`tiers.liability.` and `open`, or `settled` where nothing waits."""
        return f"tiers.liability.{'open' if self.closing else 'settled'}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a period, with its points where they are known."""
        names: Sequence[Cell] = self.months or range(1, len(self.periods) + 1)
        found: list[dict[str, Cell]] = []
        for name, one in zip(names, self.periods, strict=True):
            money = one._asdict()
            found.append(
                {"period": name}
                | {k if k != "clawed" else "given_back": v for k, v in money.items()}
            )
        for row, held in zip(found, self.points, strict=False):
            row |= {f"points_{name}": n for name, n in held._asdict().items()}
        return found


def roll_forward(
    *,
    deferred: Sequence[float],
    redeemed: Sequence[float],
    expected: Sequence[float],
    clawed: Sequence[float] | None = None,
    opening: float = 0.0,
    expected_before: Sequence[float] | None = None,
) -> RollForward:
    """Recognise deferred revenue as points are used, re-estimating each period.

    Parameters
    ----------
    deferred : sequence of float
        Revenue deferred in each period, 0 or more.
    redeemed : sequence of float
        Points used, to date, at each period's end, 0 or more; never falling.
    expected : sequence of float
        Points expected to be used in the end, as estimated in each period.
    clawed : sequence of float, optional
        Deferred revenue given back with refunds, in each period, 0 or more; none if
        omitted. To date no more than was deferred.
    opening : float, default 0
        Revenue deferred before the first period, 0 or more.
    expected_before : sequence of float, optional
        What would be expected at each period's end if the estimate had not changed in
        it; `expected` of the period before if omitted, as where nothing is issued.

    Returns
    -------
    RollForward
        One period each.

    Raises
    ------
    ParameterError
        Each list or number that cannot be, all at once (``bad_liability``): of another
        length, negative or no number, used points that fall or are more than expected,
        more given back than was ever deferred.

    Notes
    -----
    Recognised to date is ``deferred to date * redeemed to date / expected in total``.
    Breakage acts through the expected redemption, so a changed expectation shows in
    what the period recognises, and is not taken a second time.

    Examples
    --------
    >>> rolled = roll_forward(deferred=[8675.799087, 0], redeemed=[4500, 8500],
    ...                       expected=[9500, 9700])
    >>> [round(p.recognised) for p in rolled.periods], round(rolled.closing)
    ([4110, 3493], 1073)
    """
    lists = {"deferred": deferred, "redeemed": redeemed, "expected": expected}
    if clawed is not None:
        lists["clawed"] = clawed
    if expected_before is not None:
        lists["expected_before"] = expected_before
    faults = [*_amount("opening", opening), *_list_faults(lists)]
    if faults:
        raise ParameterError.of("the roll-forward", faults)
    back = [0.0] * len(deferred) if clawed is None else list(clawed)
    former = (
        [*expected[:1], *expected[:-1]] if expected_before is None
        else list(expected_before)
    )  # fmt: skip
    faults = [
        *_points_faults(redeemed, expected),
        *_pool_fault(opening, deferred, back),
    ]
    if faults:
        raise ParameterError.of("the roll-forward", faults)
    periods: list[Period] = []
    total = waits = opening
    done = 0.0
    for new, used, hope, clawing, before in zip(
        deferred, redeemed, expected, back, former, strict=True
    ):
        total += new - clawing
        to_date = total * used / hope if hope else 0.0
        as_before = total * used / before if before else 0.0
        recognised = to_date - done
        closing = waits + new - recognised - clawing
        periods.append(
            Period(waits, new, recognised, clawing, as_before - to_date, closing)
        )
        waits, done = closing, to_date
    return RollForward(periods=tuple(periods), closing=waits)


def _amount(name: str, seen: object) -> Iterable[Fault]:
    if not between(seen, 0):
        yield Fault("bad_liability", name, repr(seen), "a number, 0 or more")


def _list_faults(lists: Mapping[str, Sequence[float]]) -> list[Fault]:
    """Return what is wrong with lists that have a number of 0 or more a period."""
    words = "a list of numbers, 0 or more, with a value a period"
    wrong = {
        name: f"{seen!r:.60}"
        for name, seen in lists.items()
        if not listed(seen) or not all(between(one, 0) for one in seen)
    }
    if not wrong:
        sizes = {name: len(seen) for name, seen in lists.items()}
        if len(set(sizes.values())) > 1:
            wrong = {name: f"of {size} periods" for name, size in sizes.items()}
    return [Fault("bad_liability", name, seen, words) for name, seen in wrong.items()]


def _points_faults(
    redeemed: Sequence[float], expected: Sequence[float]
) -> Iterable[Fault]:
    """Yield where points used, to date, fall, or are more than expected."""
    for i, (before, after) in enumerate(pairwise(redeemed), 1):
        if after < before:
            words = f"{before} or more, as in the period before: it is to date"
            hint = "It must never fall; add up what is used."
            name = f"redeemed[{i}]"
            yield Fault("bad_liability", name, repr(after), words, hint)
    for i, (used, hope) in enumerate(zip(redeemed, expected, strict=True)):
        if used > hope:
            words = f"{used} or more, the points used: these must stay below"
            hint = "Expect what is used, and what will be."
            yield Fault("bad_liability", f"expected[{i}]", repr(hope), words, hint)


def _pool_fault(
    opening: float, deferred: Sequence[float], back: Sequence[float]
) -> Iterable[Fault]:
    """Yield where more is given back than was ever deferred; roundings apart."""
    most = opening + sum(deferred)
    left = opening
    for i, (new, clawing) in enumerate(zip(deferred, back, strict=True)):
        if left + new < clawing - 1e-9 * most:
            words = f"{left + new} or less, what was deferred to date"
            yield Fault("bad_liability", f"clawed[{i}]", repr(clawing), words)
            return
        left += new - clawing


def rolled_run(
    totals: Totals, *, months: Sequence[str], value_fen: int, block: int
) -> RollForward:
    """Roll a run's points, and the revenue deferred for them, forward by the month.

    Parameters
    ----------
    totals : Totals
        A run; the mean of its replications is rolled.
    months : sequence of str
        Names of its months.
    value_fen, block : int
        What a block of points is worth.

    Returns
    -------
    RollForward
        In whole fen and points, roundings carried.

    Notes
    -----
    `deferred_revenue` splits a month's sales, net of discount, between the goods and
    the month's points. A share of points is expected to die, as large as among those
    that died or were used until then; points used and the others held are what is
    expected to be used in total. Points held at the start open at that value, and
    refunds give back what a point was deferred at on average.
    """
    flows = ("issued", "redeemed", "expired", "clawed")
    mean = {
        name: totals.of(name).sum(axis=(1, 3)).mean(axis=0)
        for name in (*flows, "gross_fen", "discount_fen", "active", "pending", "debt")
    }
    issued, redeemed, expired, clawed = (mean[name] for name in flows)
    net = mean["active"] + mean["pending"] - mean["debt"]
    at_start = float((net - issued + redeemed + expired + clawed)[0])
    used, died = np.cumsum(redeemed), np.cumsum(expired)
    gone = used + died
    breakage = np.divide(died, gone, out=np.zeros_like(gone), where=gone > 0)
    price = value_fen / block
    sales = np.maximum(0.0, mean["gross_fen"] - mean["discount_fen"])
    deferred = [
        deferred_revenue(
            sales=s, points=n, value_per_point=price, expected=n * (1 - b)
        ).deferred
        for s, n, b in zip(sales, issued, breakage, strict=True)
    ]
    pool, points = max(0.0, at_start) * price * (1 - breakage[0]), max(0.0, at_start)
    opening, back = float(pool), []
    for new, more, taken in zip(deferred, issued, clawed, strict=True):
        pool, points = pool + new, points + more
        back.append(pool * min(1.0, taken / points) if points else 0.0)
        pool, points = pool - back[-1], max(0.0, points - taken)
    held = mean["active"] + mean["pending"]
    before = np.concatenate([breakage[:1], breakage[:-1]])
    rolled = roll_forward(
        deferred=deferred, redeemed=used.tolist(), clawed=back, opening=opening,
        expected=(used + held * (1 - breakage)).tolist(),
        expected_before=(used + held * (1 - before)).tolist(),
    ).periods  # fmt: skip
    money = _chained(
        opening, [[p.deferred for p in rolled], [-p.recognised for p in rolled],
                  [-p.clawed for p in rolled]],
    )  # fmt: skip
    periods = tuple(
        Period(a, new, -out, -back, round(one.re_estimate), z)
        for one, (a, new, out, back, z) in zip(rolled, money, strict=True)
    )
    counts = _chained(at_start, [issued, -redeemed, -expired, -clawed])
    return RollForward(
        periods=periods, closing=periods[-1].closing, months=tuple(months),
        points=tuple(PointsPeriod(a, n, -r, -e, -c, z) for a, n, r, e, c, z in counts),
    )  # fmt: skip


def _chained(opening: float, flows: Sequence[ArrayLike]) -> list[tuple[int, ...]]:
    """Return whole openings, flows and closings, period after period."""
    whole = np.stack([whole_parts(flow) for flow in flows])
    ends = round(opening) + np.cumsum(whole.sum(axis=0))
    starts = [round(opening), *ends[:-1].tolist()]
    return [
        (a, *parts, z)
        for a, parts, z in zip(starts, whole.T.tolist(), ends.tolist(), strict=True)
    ]
