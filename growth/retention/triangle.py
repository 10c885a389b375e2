"""Who comes back, from counts: the triangle of cohorts and offsets, and its curve."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import date
from math import sqrt
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from growth.errors import DataError, Fault, ParameterError
from growth.result import Cell, Estimate, Notice, Result, table_html
from growth.retention.spec import (
    Clock,
    Match,
    Mode,
    RetentionRule,
    one_of,
)
from growth.stats.arguments import names_of
from growth.stats.contrast import critical_value
from growth.stats.proportions import Share, wilson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from growth.labels import Lang
    from growth.retention.calendar import Period

    Ints = NDArray[np.int64]

__all__ = [
    "REST",
    "CurvePoint",
    "RetentionCell",
    "RetentionResult",
    "built",
    "measure_from_counts",
]

REST: Final = "\u2026"  # the groups a chart has no room for, together
SMALL: Final = 30  # users; below this a cohort's rate says little
FOLLOWED: Final = (1, 7, 30)  # offsets a history keeps
LEVEL: Final = 0.95
Weights = Literal["users", "cohort"]


@dataclass(frozen=True, slots=True)
class RetentionCell:
    """One cohort at one offset.

    Parameters
    ----------
    by : tuple of (str, str or None)
        Breakdown column and value; None is NULL.
    cohort : str
        First local day of the interval, or its local hour.
    k, k_end : int
        First and last offset counted; 0 is the size. `k_end` is `k` but for brackets.
    size : int
        Users in the cohort.
    retained : int or None
        Of them, those who came back; None until the cell is complete.
    rate, low, high : float or None
        ``retained / size`` in [0, 1] and its 95 % Wilson interval.
    complete : bool
        Whether the interval is over.
    retained_so_far : int
        Users who came back by now.
    """

    by: tuple[tuple[str, str | None], ...]
    cohort: str
    k: int
    k_end: int
    size: int
    retained: int | None
    rate: float | None
    low: float | None
    high: float | None
    complete: bool
    retained_so_far: int


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One offset of a curve over cohorts.

    Parameters
    ----------
    by : tuple of (str, str or None)
        The group; empty for all users.
    k, k_end : int
        First and last offset counted.
    rate, low, high : float or None
        Share that came back, in [0, 1], and its 95 % interval.
    retained, n_users, n_cohorts : int
        Users who came back, users in the cohorts counted, and those cohorts.
    """

    by: tuple[tuple[str, str | None], ...]
    k: int
    k_end: int
    rate: float | None
    low: float | None
    high: float | None
    retained: int
    n_users: int
    n_cohorts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionResult(Result):
    """Users who came back, by cohort and offset.

    Parameters
    ----------
    spec : RetentionRule
        What was asked; a `RetentionSpec` where it was measured from a table.
    users : int
        Users in cohorts; with ``mode="every"`` a user counts once a cohort.
    cohorts : tuple of str
        First local day of each cohort's interval, or its local hour.
    groups : tuple of tuple of (str or None)
        Values of the breakdown columns; ``((),)`` without one.
    sizes : tuple of tuple of int
        Users by group and cohort.
    so_far : tuple of tuple of tuple of int
        Users who came back, by group, cohort and column of ``spec.windows``,
        whether the cell is complete or not.
    complete : tuple of tuple of bool
        By cohort and offset: first the size, then the columns.
    squares : tuple
        With ``mode="every"``: sums over users of R^2, R N and N^2 by group (first
        all users), set of cohorts and column.
    ready_on : date, optional
        Where no cell is complete yet: the first `as_of` for which one is.
    """

    spec: RetentionRule
    users: int
    cohorts: tuple[str, ...]
    groups: tuple[tuple[str | None, ...], ...] = ((),)
    sizes: tuple[tuple[int, ...], ...]
    so_far: tuple[tuple[tuple[int, ...], ...], ...]
    complete: tuple[tuple[bool, ...], ...]
    squares: tuple[tuple[tuple[tuple[float, ...], ...], ...], ...] = ()
    ready_on: date | None = None

    @property
    def verdict(self) -> str:
        """`retention.measure.` and `nobody`, `too_young`, or `measured`."""
        word = "measured" if any(any(row[1:]) for row in self.complete) else "too_young"
        return f"retention.measure.{word if self.users else 'nobody'}"

    @property
    def cells(self) -> tuple[RetentionCell, ...]:
        """Every cell: group by group, cohort by cohort, from offset 0 on."""
        return tuple(self._cells())

    @property
    def totals(self) -> tuple[tuple[tuple[tuple[str, str | None], ...], int], ...]:
        """Users by group, as (by, users)."""
        return tuple(
            (self.named(group), sum(sizes))
            for group, sizes in zip(self.groups, self.sizes, strict=True)
        )

    def named(
        self, group: tuple[str | None, ...]
    ) -> tuple[tuple[str, str | None], ...]:
        """Return a group's values with the names of their columns."""
        return tuple(zip(self.spec.by, group, strict=True))

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a cell."""
        found = []
        for cell in self._cells():
            row = asdict(cell)
            del row["by"]
            if self.spec.brackets is None:
                del row["k_end"]
            found.append({**dict(cell.by), **row})
        return found

    def curve(
        self,
        *,
        weights: Weights = "users",
        common: bool = False,
        split: bool = False,
    ) -> tuple[CurvePoint, ...]:
        """Return the share that came back by offset, over the complete cells.

        Parameters
        ----------
        weights : {"users", "cohort"}
            Pooled, so that each user counts once; or the mean of the cohorts' rates.
        common : bool, default False
            Whether only cohorts complete at every offset are counted, so that the
            points are of the same users.
        split : bool, default False
            Whether there is a curve for each group.

        Returns
        -------
        tuple of CurvePoint
            From offset 0 (1 by definition) on. Without a complete cohort the rate is
            None.

        Raises
        ------
        ParameterError
            If `weights` is unknown (code ``unknown_weights``).

        Notes
        -----
        A pooled share has Wilson's interval. With ``mode="every"`` users repeat, and
        it is the ratio estimator over users: ``var = sum (R - r N)^2 / (sum N)^2``.
        The mean of the rates p of m cohorts has ``var = sum p (1 - p) / n / m^2``; with
        ``mode="every"`` it has no interval.
        """
        faults: list[Fault] = []
        one_of("weights", weights, Weights, faults)
        if faults:
            raise ParameterError.of("the curve", faults)
        picked: list[int | None] = [*range(len(self.groups))] if split else [None]
        return tuple(p for g in picked for p in self._curve(g, weights, common=common))

    def curve_rows(self, *, split: bool = False) -> list[dict[str, Cell]]:
        """Return one row a point of the pooled curve; `split`: by group."""
        return [_row(point) for point in self.curve(split=split)]

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the pooled shares at offsets 1, 7 and 30."""
        method = "ratio" if self.spec.mode == "every" else "wilson"
        return tuple(
            Estimate(
                key="retention.rate",
                by=(("k", str(point.k)),),
                value=point.rate,
                lo=point.low,
                hi=point.high,
                level=LEVEL,
                n=point.n_users,
                unit="share",
                method=method,
            )
            for point in self.curve()
            if point.k in FOLLOWED
        )

    def gathered(self, most: int = 11) -> RetentionResult:
        """Return the result with all but the largest groups as one, for a chart.

        Parameters
        ----------
        most : int, default 11
            How many groups stay, 1 or more.

        Returns
        -------
        RetentionResult
            This one where there are no more; else the largest in their order, and
            last a group named `REST`. With ``mode="every"`` it has no intervals: who
            is in several groups is not known.
        """
        if len(self.groups) <= most + 1:
            return self
        size = np.array(self.sizes, dtype=np.int64)
        kept = np.array(self.so_far, dtype=np.int64)
        largest = np.argsort(-size.sum(axis=1), kind="stable")[:most]
        stay = np.zeros(len(size), dtype=bool)
        stay[largest] = True
        rest = (REST,) * len(self.spec.by)
        return replace(
            self,
            groups=(*(g for g, on in zip(self.groups, stay, strict=True) if on), rest),
            sizes=_tuples(np.vstack([size[stay], size[~stay].sum(axis=0)])),
            so_far=_tuples(np.concatenate([kept[stay], kept[~stay].sum(0)[None]])),
            squares=(),
        )

    def counts(self, group: int | None = None) -> tuple[Ints, Ints, NDArray[np.bool_]]:
        """Return sizes, users back, and completeness, as arrays.

        Parameters
        ----------
        group : int, optional
            Position in `groups`; all of them together if omitted.

        Returns
        -------
        size, kept, complete
            Of shapes (cohorts,), (cohorts, columns) and (cohorts, columns).
        """
        picked = slice(None) if group is None else slice(group, group + 1)
        width = len(self.spec.windows)
        sizes = np.array(self.sizes[picked], dtype=np.int64)
        kept = np.array(self.so_far[picked], dtype=np.int64)
        shape = (len(self.cohorts), width)
        complete = np.array(self.complete, dtype=bool).reshape(-1, width + 1)[:, 1:]
        return (
            sizes.reshape(-1, shape[0]).sum(axis=0),
            kept.reshape(-1, *shape).sum(axis=0),
            complete,
        )

    def _curve(
        self, group: int | None, weights: Weights, *, common: bool
    ) -> Iterator[CurvePoint]:
        size, kept, complete = self.counts(group)
        if common:
            complete = np.repeat(
                complete.all(axis=1, keepdims=True), complete.shape[1], axis=1
            )
        by = () if group is None else self.named(self.groups[group])
        n, filled = int(size.sum()), int((size > 0).sum())
        one = 1.0 if n else None
        yield CurvePoint(by, 0, 0, one, one, one, n, n, filled)
        for c, (low, high) in enumerate(self.spec.windows):
            used = complete[:, c] & (size > 0)
            n, x = int(size[used].sum()), int(kept[used, c].sum())
            rate = x / n if n else None
            ends: tuple[float, float] | None
            if self.spec.mode != "every":
                ends = wilson(Share(x, n))
            else:
                ends = self._ratio_ends(group, c, common=common)
            if weights == "cohort" and n:
                shares = kept[used, c] / size[used]
                rate = float(shares.mean())
                ends = _mean_ends(shares, size[used])
                ends = None if self.spec.mode == "every" else ends
            left, right = ends or (None, None)
            last = high if self.spec.brackets is not None and high is not None else low
            yield CurvePoint(by, low, last, rate, left, right, x, n, int(used.sum()))

    def _ratio_ends(
        self, group: int | None, column: int, *, common: bool
    ) -> tuple[float, float] | None:
        """Return the interval of a ratio of sums over users."""
        if not self.squares:
            return None
        several = len(self.squares) > 1
        at = 0 if group is None or not several else group + 1
        rr, rn, nn = (part[column] for part in self.squares[at][common])
        size, kept, complete = self.counts(group)
        used = complete.all(axis=1) if common else complete[:, column]
        n, x = int(size[used].sum()), int(kept[used, column].sum())
        if not n:
            return None
        r = x / n
        half = (
            critical_value(1 - LEVEL) * sqrt(max(rr - 2 * r * rn + r * r * nn, 0.0)) / n
        )
        return max(0.0, r - half), min(1.0, r + half)

    def _cells(self) -> Iterator[RetentionCell]:
        windows = ((0, 0), *self.spec.windows)
        for g, group in enumerate(self.groups):
            by = self.named(group)
            for i, cohort in enumerate(self.cohorts):
                size = self.sizes[g][i]
                counts = (size, *self.so_far[g][i])
                for c, (low, high) in enumerate(windows):
                    complete = self.complete[i][c]
                    known = complete and size > 0
                    ends = wilson(Share(counts[c], size)) if known else None
                    if not c and known:
                        ends = (1.0, 1.0)
                    left, right = ends or (None, None)
                    bracket = self.spec.brackets is not None and high is not None
                    yield RetentionCell(
                        by=by,
                        cohort=cohort,
                        k=low,
                        k_end=high if bracket and high is not None else low,
                        size=size,
                        retained=counts[c] if complete else None,
                        rate=counts[c] / size if known else None,
                        low=left,
                        high=right,
                        complete=complete,
                        retained_so_far=counts[c],
                    )

    def _table(self, lang: Lang | None) -> str:
        from growth.labels import label

        rows = self.curve_rows(split=len(self.groups) > 1)
        return table_html(rows, label("retention.measure", lang), lang)


def _row(point: CurvePoint) -> dict[str, Cell]:
    row = asdict(point)
    del row["by"]
    if row["k_end"] == row["k"]:
        del row["k_end"]
    return {**dict(point.by), **row}


def _mean_ends(shares: NDArray[np.float64], size: Ints) -> tuple[float, float]:
    mean = float(shares.mean())
    spread = float((shares * (1 - shares) / size).sum()) / len(shares) ** 2
    half = critical_value(1 - LEVEL) * sqrt(spread)
    return max(0.0, mean - half), min(1.0, mean + half)


def built(
    spec: RetentionRule,
    cohorts: Sequence[str],
    groups: Sequence[tuple[str | None, ...]],
    size: Ints,
    kept: Ints,
    complete: Sequence[Sequence[bool]],
    *,
    squares: NDArray[np.float64] | None = None,
    ready_on: date | None = None,
    notices: Sequence[Notice] = (),
) -> RetentionResult:
    """Return a result from arrays, with the notices the counts themselves call for.

    Parameters
    ----------
    spec : RetentionRule
        What was asked.
    cohorts, groups
        As in `RetentionResult`.
    size : array of int, shape (groups, cohorts)
        Users.
    kept : array of int, shape (groups, cohorts, columns)
        Users who came back.
    complete : sequence of sequence of bool
        By cohort and offset, from 0 on.
    squares, ready_on
        As in `RetentionResult`.
    notices : sequence of Notice
        What else is to be said.

    Returns
    -------
    RetentionResult
        With `small_cohort` and `on_or_after_censored` where they apply.
    """
    said = list(notices)
    per_cohort = size.sum(axis=0)
    over = [i for i, row in enumerate(complete) if row[0]]
    small = [i for i in over if 0 < per_cohort[i] < SMALL]
    if small:
        args = (("cohorts", len(small)), ("limit", SMALL))
        said.append(Notice("small_cohort", "info", args))
    if spec.match == "on_or_after" and spec.follow_up is None:
        said.append(Notice("on_or_after_censored"))
    return RetentionResult(
        spec=spec,
        users=int(size.sum()),
        cohorts=tuple(cohorts),
        groups=tuple(groups),
        sizes=_tuples(size),
        so_far=_tuples(kept),
        complete=tuple(tuple(bool(x) for x in row) for row in complete),
        squares=() if squares is None else _tuples(squares),
        ready_on=ready_on,
        notices=tuple(said),
    )


def _tuples(array: NDArray[np.generic]) -> tuple[Any, ...]:
    def frozen(value: Any) -> Any:  # noqa: ANN401
        return tuple(map(frozen, value)) if isinstance(value, list) else value

    found: tuple[Any, ...] = frozen(array.tolist())
    return found


def measure_from_counts(
    sizes: Mapping[Any, int],
    retained: Mapping[Any, Mapping[int, int]],
    *,
    by: str | Sequence[str] = (),
    period: Period = "day",
    mode: Mode = "first_ever",
    match: Match = "on",
    clock: Clock = "calendar",
    follow_up: int | None = None,
    expected_shares: Mapping[str, float] | None = None,
) -> RetentionResult:
    """Return the triangle from counts somebody already holds.

    Parameters
    ----------
    sizes : mapping to int
        Users by cohort: a date, or text such as ``"2026-03"``. With `by` the key is
        a tuple of the breakdown's values and, last, the cohort.
    retained : mapping to mapping of int to int
        By the same key, users who came back by offset (1 or more). An offset left
        out is not complete yet; it must be left out for all groups of a cohort.
    by : str or sequence of str, default ()
        Names of the breakdown.
    period, mode, match, clock, follow_up
        How the counts were made, as in `measure`: for labels, and to know which
        intervals and comparisons are right.
    expected_shares : mapping of str to float, optional
        Planned share of users per arm, for `compare`.

    Returns
    -------
    RetentionResult
        Cohorts in the order given. With ``mode="every"`` the curve has no intervals,
        because counts do not say which users repeat.

    Raises
    ------
    DataError
        If a count is negative or no whole number, more came back than there were, a
        cell lacks its size, is there twice, or for one group only (code
        ``counts``), naming the cell.
    ParameterError
        If a name is unknown or a key does not fit `by` (``bad_key``).

    Examples
    --------
    >>> result = measure_from_counts(
    ...     {"2026-03-01": 200, "2026-03-02": 180},
    ...     {"2026-03-01": {1: 60, 2: 40}, "2026-03-02": {1: 45}},
    ... )
    >>> [(p.k, p.retained, p.n_users) for p in result.curve()]
    [(0, 380, 380), (1, 105, 380), (2, 40, 200)]
    """
    names = names_of(by, "by")
    keys = {key: _key(key, names) for key in sizes}
    _check_apart(keys)
    if stray := [key for key in retained if key not in keys]:
        msg = f"cell {stray[0]!r} has users back and no size; each needs both; add it"
        raise DataError(f"{msg} to sizes.", code="counts")
    for key in keys:
        _check_cell(key, sizes[key], retained.get(key, {}))
    horizon = max([1, *(k for row in retained.values() for k in row)])
    shares = None if expected_shares is None else tuple(expected_shares.items())
    rule = RetentionRule(
        period=period,
        horizon=horizon,
        mode=mode,
        match=match,
        clock=clock,
        follow_up=follow_up,
        by=names,
        expected_shares=shares,
    )
    rule.check()
    groups = list(dict.fromkeys(group for group, _ in keys.values()))
    cohorts = list(dict.fromkeys(cohort for _, cohort in keys.values()))
    size = np.zeros((len(groups), len(cohorts)), dtype=np.int64)
    kept = np.zeros((*size.shape, horizon), dtype=np.int64)
    seen: dict[str, set[int]] = {}
    for key, (group, cohort) in keys.items():
        g, i = groups.index(group), cohorts.index(cohort)
        row = retained.get(key, {})
        if seen.setdefault(cohort, set(row)) != set(row):
            differing = min(seen[cohort] ^ set(row))
            msg = f"cell {key!r} at offset {differing} is there for one group and not"
            msg += " for another; a cohort is complete for all or for none; drop it."
            raise DataError(msg, code="counts")
        size[g, i] = sizes[key]
        for k, count in row.items():
            kept[g, i, k - 1] = count
    complete = [
        [True, *(k in seen.get(cohort, ()) for k in range(1, horizon + 1))]
        for cohort in cohorts
    ]
    return built(rule, cohorts, groups, size, kept, complete)


def _key(key: Any, names: tuple[str, ...]) -> tuple[tuple[str | None, ...], str]:  # noqa: ANN401
    """Return a key's group and cohort."""
    parts = key if isinstance(key, tuple) else (key,)
    if len(parts) != len(names) + 1:
        msg = f"key {key!r} has {len(parts)} parts; with by={list(names)} it must have"
        msg += f" {len(names) + 1}, the cohort last; write them as a tuple."
        raise ParameterError(msg, code="bad_key")
    *group, cohort = parts
    named = cohort.isoformat() if isinstance(cohort, date) else str(cohort)
    return tuple(None if v is None else str(v) for v in group), named


def _check_apart(keys: Mapping[Any, tuple[tuple[str | None, ...], str]]) -> None:
    first: dict[tuple[tuple[str | None, ...], str], Any] = {}
    for key, place in keys.items():
        if place in first:
            msg = f"keys {first[place]!r} and {key!r} are of one cell; each cell must"
            msg += " be there once; add them up, or name them apart."
            raise DataError(msg, code="counts")
        first[place] = key


def _check_cell(key: Any, size: int, row: Mapping[int, int]) -> None:  # noqa: ANN401
    for k, count in {0: size, **row}.items():
        for value in (k, count):
            if isinstance(value, bool) or not hasattr(value, "__index__"):
                msg = f"cell {key!r} at offset {k!r} counts {count!r}; offsets and"
                msg += " counts must be whole numbers; write them without a fraction."
                raise DataError(msg, code="counts")
        if k < 0 or not 0 <= count <= size or (k == 0) != (k not in row):
            msg = f"cell {key!r} at offset {k} counts {count} of {size} users; a count"
            msg += " must be in 0..size and an offset 1 or more; count users, not"
            raise DataError(f"{msg} events.", code="counts")
