"""What a cohort is worth by offset: revenue, its share, and lifetime value."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date  # noqa: TC003  (a result's types can be read at run time)
from math import sqrt
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from growth.errors import DataError
from growth.result import Cell, Estimate, Notice, Result, table_html
from growth.retention.spec import RetentionRule  # noqa: TC001  (read at run time)
from growth.stats.arguments import generator
from growth.stats.contrast import critical_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from growth.labels import Lang

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

__all__ = ["LtvPoint", "Revenue", "RevenueCell", "Spend", "revenue_from_spend"]

LEVEL: Final = 0.95
BOOTSTRAPPED: Final = 1_000  # users; up to so many the interval is by bootstrap
DRAWS: Final = 2_000
HEAVY: Final = 0.2  # of all revenue, by one user
SMALL: Final = 30
FOLLOWED: Final = (7, 30, 180)


class Spend(NamedTuple):
    """Orders by user and offset, with one row of offset -1 for each start.

    Parameters
    ----------
    user, cohort, group, offset : arrays of int64, shape (m,)
        Sorted by user and offset. Users are any integers, cohorts and groups
        positions.
    fen, orders : arrays of int64, shape (m,)
        Net fen and number of orders; 0 in the row of a start.
    """

    user: Ints
    cohort: Ints
    group: Ints
    offset: Ints
    fen: Ints
    orders: Ints


@dataclass(frozen=True, slots=True)
class RevenueCell:
    """One cohort at one offset.

    Parameters
    ----------
    by : tuple of (str, str or None)
        Breakdown column and value.
    cohort : str
        Its name.
    k : int
        The offset.
    size : int
        Users in the cohort.
    revenue_fen, revenue_rate, payers : int, float or None
        Net fen in the interval, as a share of that at offset 0, and users who paid;
        None until the interval is over.
    ltv_fen, low, high : float or None
        Net fen a user up to and with the interval, and its 95 % interval.
    complete : bool
        Whether the interval is over.
    """

    by: tuple[tuple[str, str | None], ...]
    cohort: str
    k: int
    size: int
    revenue_fen: int | None
    revenue_rate: float | None
    payers: int | None
    ltv_fen: float | None
    low: float | None
    high: float | None
    complete: bool


@dataclass(frozen=True, slots=True)
class LtvPoint:
    """Lifetime value of all cohorts together at one offset.

    Parameters
    ----------
    by : tuple of (str, str or None)
        The group; empty for all users.
    k : int
        The offset.
    increment_fen : float or None
        Net fen a user in the interval, over the cohorts complete at it.
    ltv_fen, low, high : float or None
        The increments summed up to here, and a 95 % interval.
    n_users, n_cohorts : int
        Users and cohorts complete at the offset.
    """

    by: tuple[tuple[str, str | None], ...]
    k: int
    increment_fen: float | None
    ltv_fen: float | None
    low: float | None
    high: float | None
    n_users: int
    n_cohorts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Revenue(Result):
    """Revenue and lifetime value by cohort and offset.

    Parameters
    ----------
    spec : RetentionRule
        What was asked.
    users : int
        Users in cohorts.
    revenue_fen : int
        Their net fen so far, up to the horizon.
    cohorts, groups, sizes, complete
        As in `RetentionResult`; `complete` is by cohort and offset from 0 on.
    so_far, payers : tuple of tuple of tuple of int
        Net fen, and users who paid, by group, cohort and offset.
    squares : tuple of tuple of tuple of float
        Sums over users of the square of their net fen up to the offset.
    curve : tuple of LtvPoint
        All users first, then each group where there are several.
    interval : str
        ``delta`` or ``bootstrap``: how the curve's intervals were made.
    top_user_share : float or None
        Share of the net fen that comes from one user.
    cost_fen : float or None
        Spend a user of the range, where it was given.
    payback_k : int or None
        The first offset at which lifetime value covers it.
    ready_on : date, optional
        Where no cell is complete: the first `as_of` for which one is.
    """

    spec: RetentionRule
    users: int
    revenue_fen: int
    cohorts: tuple[str, ...]
    groups: tuple[tuple[str | None, ...], ...]
    sizes: tuple[tuple[int, ...], ...]
    so_far: tuple[tuple[tuple[int, ...], ...], ...]
    payers: tuple[tuple[tuple[int, ...], ...], ...]
    squares: tuple[tuple[tuple[float, ...], ...], ...]
    complete: tuple[tuple[bool, ...], ...]
    curve: tuple[LtvPoint, ...]
    interval: str
    top_user_share: float | None = None
    cost_fen: float | None = None
    payback_k: int | None = None
    ready_on: date | None = None

    @property
    def verdict(self) -> str:
        """`retention.revenue.` and `nobody`, `too_young`, `measured`, or payback."""
        if not any(map(any, self.complete)):
            return "retention.revenue.too_young"
        if not self.users:
            return "retention.revenue.nobody"
        if self.cost_fen is None:
            return "retention.revenue.measured"
        word = "not_paid_back" if self.payback_k is None else "paid_back"
        return f"retention.revenue.{word}"

    @property
    def cells(self) -> tuple[RevenueCell, ...]:
        """Every cell: group by group, cohort by cohort, from offset 0 on."""
        return tuple(self._cells())

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a cell."""
        found = []
        for cell in self._cells():
            row = asdict(cell)
            del row["by"]
            found.append({**dict(cell.by), **row})
        return found

    def curve_rows(self) -> list[dict[str, Cell]]:
        """Return one row an offset of the curve of all users."""
        found = []
        for point in self.curve:
            if not point.by:
                row = asdict(point)
                del row["by"]
                found.append(row)
        return found

    def estimates(self) -> tuple[Estimate, ...]:
        """Return lifetime value at offsets 7, 30 and 180."""
        return tuple(
            Estimate(
                key="retention.ltv",
                by=(("k", str(point.k)),),
                value=point.ltv_fen,
                lo=point.low,
                hi=point.high,
                level=LEVEL,
                n=point.n_users,
                unit="fen",
                method=self.interval,
            )
            for point in self.curve
            if not point.by and point.k in FOLLOWED
        )

    def _cells(self) -> Iterator[RevenueCell]:
        q = critical_value(1 - LEVEL)
        for g, group in enumerate(self.groups):
            by = tuple(zip(self.spec.by, group, strict=True))
            for i, cohort in enumerate(self.cohorts):
                n, fen = self.sizes[g][i], self.so_far[g][i]
                total = 0
                for k, over in enumerate(self.complete[i]):
                    total += fen[k]
                    known = over and n > 0
                    mean = total / n if n else 0.0
                    spread = max(self.squares[g][i][k] - n * mean * mean, 0.0)
                    half = q * sqrt(spread / (n - 1) / n) if n > 1 else None
                    whole = known and half is not None
                    rate = fen[k] / fen[0] if known and fen[0] else None
                    yield RevenueCell(
                        by=by,
                        cohort=cohort,
                        k=k,
                        size=n,
                        revenue_fen=fen[k] if over else None,
                        revenue_rate=rate,
                        payers=self.payers[g][i][k] if over else None,
                        ltv_fen=mean if known else None,
                        low=mean - half if whole and half is not None else None,
                        high=mean + half if whole and half is not None else None,
                        complete=over,
                    )

    def _table(self, lang: Lang | None) -> str:
        from growth.labels import label

        if not (rows := self.curve_rows()):
            return ""
        return table_html(rows, label("retention.revenue", lang), lang)


def revenue_from_spend(
    spec: RetentionRule,
    spend: Spend,
    *,
    cohorts: Sequence[str],
    groups: Sequence[tuple[str | None, ...]],
    complete: NDArray[np.bool_],
    cost_fen: int | None = None,
    seed: int = 0,
    draws: int = DRAWS,
    ready_on: date | None = None,
    notices: Sequence[Notice] = (),
) -> Revenue:
    """Return revenue and lifetime value from orders by user and offset.

    Parameters
    ----------
    spec : RetentionRule
        What was asked; offsets run from 0 to its horizon.
    spend : Spend
        The orders.
    cohorts, groups : sequence
        What the positions in `spend` stand for.
    complete : array of bool, shape (cohorts, horizon + 1)
        Whether each interval is over.
    cost_fen : int, optional
        What was spent to get all these users, in fen, 0 or more.
    seed, draws : int
        Of the bootstrap, which up to 1,000 users takes the place of the delta
        method.
    ready_on : date, optional
        As in `Revenue`.
    notices : sequence of Notice
        What else is to be said.

    Returns
    -------
    Revenue
        With `heavy_tail` where one user brings over a fifth.

    Raises
    ------
    DataError
        If the cost is negative (code ``bad_counts``).

    Notes
    -----
    The curve sums increments, each pooled over the cohorts complete at its offset,
    ``LTV(k) = sum_j (sum_u x_uj) / S_j``: pooled cumulative values could fall when a
    cohort drops out. Delta method: ``var = sum_u psi_u^2`` with ``psi_u = sum_{j <= k}
    c_ij (x_uj - inc_j) / S_j``, c_ij saying whether the user's cohort is complete at
    j. Bootstrap: Poisson weights on users.
    """
    if cost_fen is not None and cost_fen < 0:
        msg = f"the spend is {cost_fen} fen; it must be 0 or more; check channel_spend."
        raise DataError(msg, code="bad_counts")
    sums = _Sums.of(spend, len(groups), len(cohorts), complete)
    users = int(sums.size.sum())
    boot = users <= BOOTSTRAPPED
    curve = [*sums.curve(None, (), boot=boot, seed=seed, draws=draws)]
    if len(groups) > 1:
        for g, group in enumerate(groups):
            by = tuple(zip(spec.by, group, strict=True))
            curve += sums.curve(g, by, boot=boot, seed=seed, draws=draws)
    total, top = int(sums.fen.sum()), sums.top
    said = list(notices)
    share = top / total if total > 0 else None
    if share is not None and share > HEAVY:
        said.append(Notice("heavy_tail", args=(("share", round(share, 3)),)))
    small = int(((sums.size.sum(axis=0) < SMALL) & (sums.size.sum(axis=0) > 0)).sum())
    if small:
        args = (("cohorts", small), ("limit", SMALL))
        said.append(Notice("small_cohort", "info", args))
    each = cost_fen / users if cost_fen is not None and users else None
    whole = [p for p in curve if not p.by and p.ltv_fen is not None]
    paid = [p.k for p in whole if each is not None and (p.ltv_fen or 0) >= each]
    return Revenue(
        spec=spec,
        users=users,
        revenue_fen=total,
        cohorts=tuple(cohorts),
        groups=tuple(groups),
        sizes=_tuples(sums.size),
        so_far=_tuples(sums.fen),
        payers=_tuples(sums.payers),
        squares=_tuples(sums.squares),
        complete=tuple(tuple(bool(x) for x in row) for row in complete),
        curve=tuple(curve),
        interval="bootstrap" if boot else "delta",
        top_user_share=share,
        cost_fen=each,
        payback_k=paid[0] if paid else None,
        ready_on=ready_on,
        notices=tuple(said),
    )


class _Sums(NamedTuple):
    """Sums by group, cohort and offset, and the orders they are of."""

    spend: Spend
    complete: NDArray[np.bool_]
    size: Ints
    fen: Ints
    payers: Ints
    squares: Floats
    top: int

    @classmethod
    def of(
        cls, spend: Spend, groups: int, cohorts: int, complete: NDArray[np.bool_]
    ) -> _Sums:
        width = complete.shape[1]
        begins = spend.offset < 0
        size = np.zeros((groups, cohorts), dtype=np.int64)
        np.add.at(size, (spend.group[begins], spend.cohort[begins]), 1)
        orders = Spend(*(column[~begins] for column in spend))
        at = (orders.group, orders.cohort, orders.offset)
        fen = np.zeros((groups, cohorts, width), dtype=np.int64)
        payers = np.zeros_like(fen)
        np.add.at(fen, at, orders.fen)
        np.add.at(payers, at, 1)
        so_far = _running(orders.user, orders.fen.astype(np.float64))
        gain = so_far**2 - (so_far - orders.fen) ** 2
        squares = np.zeros(fen.shape)
        np.add.at(squares, at, gain)
        each = np.zeros(0) if not len(orders.user) else _per_user(orders)
        top = int(each.max()) if len(each) else 0
        return cls(orders, complete, size, fen, payers, squares.cumsum(axis=2), top)

    def curve(
        self,
        group: int | None,
        by: tuple[tuple[str, str | None], ...],
        *,
        boot: bool,
        seed: int,
        draws: int,
    ) -> Iterator[LtvPoint]:
        """Return the curve of one group, or of all."""
        one = slice(None) if group is None else slice(group, group + 1)
        size, fen = self.size[one].sum(axis=0), self.fen[one].sum(axis=0)
        over = self.complete & (size > 0)[:, None]
        n = np.where(over, size[:, None], 0).sum(axis=0)
        sums = np.where(over, fen, 0).sum(axis=0)
        known = np.minimum.accumulate(n > 0)
        increment = sums / np.maximum(n, 1)
        ltv = increment.cumsum()
        mine = self.spend
        if group is not None:
            mine = Spend(*(column[self.spend.group == group] for column in mine))
        if boot:
            low, high = _bootstrap(mine, size, over, n, seed=seed, draws=draws)
        else:
            half = critical_value(1 - LEVEL) * np.sqrt(
                _variance(mine, size, over, n, increment)
            )
            low, high = ltv - half, ltv + half
        for k in range(len(n)):
            yes = bool(known[k])
            sure = yes and int(size.sum()) > 1
            yield LtvPoint(
                by=by,
                k=k,
                increment_fen=float(increment[k]) if yes else None,
                ltv_fen=float(ltv[k]) if yes else None,
                low=float(low[k]) if sure else None,
                high=float(high[k]) if sure else None,
                n_users=int(n[k]),
                n_cohorts=int(over[:, k].sum()),
            )


def _running(user: Ints, value: Floats) -> Floats:
    """Return each user's running sum; rows of a user stand together."""
    total = value.cumsum()
    first = np.r_[True, user[1:] != user[:-1]] if len(user) else np.zeros(0, bool)
    start = np.flatnonzero(first)
    lengths = np.diff(np.r_[start, len(user)])
    before = np.repeat(total[start] - value[start], lengths)
    found: Floats = total - before
    return found


def _per_user(orders: Spend) -> Ints:
    first = np.r_[True, orders.user[1:] != orders.user[:-1]]
    found: Ints = np.add.reduceat(orders.fen, np.flatnonzero(first))
    return found


def _variance(
    spend: Spend, size: Ints, over: NDArray[np.bool_], n: Ints, increment: Floats
) -> Floats:
    """Return the variance of the curve by the delta method."""
    whole = np.maximum(n, 1)
    counted = over[spend.cohort, spend.offset]
    part = np.where(counted, spend.fen / whole[spend.offset], 0.0)
    so_far = _running(spend.user, part)
    shape = over.shape
    first, second = np.zeros(shape), np.zeros(shape)
    at = (spend.cohort, spend.offset)
    np.add.at(first, at, part)
    np.add.at(second, at, so_far**2 - (so_far - part) ** 2)
    first, second = first.cumsum(axis=1), second.cumsum(axis=1)
    usual = np.where(over, increment / whole, 0.0).cumsum(axis=1)
    found: Floats = (second - 2 * usual * first + size[:, None] * usual**2).sum(axis=0)
    return np.maximum(found, 0.0)


def _bootstrap(
    spend: Spend,
    size: Ints,
    over: NDArray[np.bool_],
    n: Ints,
    *,
    seed: int,
    draws: int,
) -> tuple[Floats, Floats]:
    """Return the curve's interval from Poisson weights on users."""
    rng = generator(seed)
    payers, place = np.unique(spend.user, return_inverse=True)
    cohort = np.zeros(len(payers), dtype=np.int64)
    cohort[place] = spend.cohort
    paid = np.zeros((len(payers), len(n)))
    np.add.at(paid, (place, spend.offset), spend.fen.astype(np.float64))
    paid *= over[cohort]
    weight = rng.poisson(1.0, (draws, len(payers))).astype(np.float64)
    # those who never paid count only in the denominators: their number by cohort
    rest = rng.poisson(
        size - np.bincount(cohort, minlength=len(size)), (draws, len(size))
    )
    inside = (cohort[:, None] == np.arange(len(size))).astype(np.float64)
    users = (weight @ inside + rest) @ over.astype(np.float64)
    drawn = np.cumsum(weight @ paid / np.maximum(users, 1), axis=1)
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(drawn, [tail, 100 - tail], axis=0)
    return low, high


def _tuples(array: NDArray[Any]) -> tuple[Any, ...]:
    def frozen(value: Any) -> Any:  # noqa: ANN401
        return tuple(map(frozen, value)) if isinstance(value, list) else value

    found: tuple[Any, ...] = frozen(array.tolist())
    return found
