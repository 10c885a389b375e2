"""How many have each value of a tag, and of two tags crossed; small groups hidden."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date  # noqa: TC003  (read by tests of the contract)
from typing import TYPE_CHECKING

import numpy as np

from growth.result import Cell, Estimate, Notice, Result
from growth.segments.hiding import hide, hide_table, limit_of
from growth.stats.arguments import names_of
from growth.stats.proportions import Share, wilson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "CrossCell",
    "Crossed",
    "SizeCell",
    "Sizes",
    "cross_from_counts",
    "sizes_from_counts",
]

MIN_SIZE = 50
MIN_CELL = 10


@dataclass(frozen=True, slots=True)
class SizeCell:
    """One value: users and their share of the population; None where hidden."""

    value: str
    users: int | None
    share: float | None
    share_low: float | None = None
    share_high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes(Result):
    """How many users have each value of one tag.

    Parameters
    ----------
    tag : str
        The tag.
    as_of : date or None
        The last day counted, where known.
    users : int
        Users of the tag's population.
    cells : tuple of SizeCell
        In the order of the tag's values.
    hidden : int
        Values hidden because they, or what they would give away, are too small.
    min_size : int
        The smallest size shown; 1 hides nothing.
    sample_rate : float
        Share of users looked at; below 1 sizes are estimates with intervals.
    """

    tag: str
    as_of: date | None
    users: int
    cells: tuple[SizeCell, ...]
    hidden: int
    min_size: int
    sample_rate: float = 1.0

    @property
    def verdict(self) -> str:
        """`hidden` where a value is hidden, `estimated` from a sample, `counted`."""
        if self.hidden:
            return "segments.sizes.hidden"
        if self.sample_rate < 1:
            return "segments.sizes.estimated"
        return "segments.sizes.counted"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a value."""
        estimated = self.sample_rate < 1
        return [
            {"value": c.value, "users": c.users, "share": c.share}
            | (
                {"share_low": c.share_low, "share_high": c.share_high}
                if estimated
                else {}
            )
            for c in self.cells
        ]

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the share of each value that is shown."""
        return tuple(
            Estimate(
                key=f"{self.tag}.share",
                by=(("value", cell.value),),
                value=cell.share,
                lo=cell.share_low,
                hi=cell.share_high,
                level=0.95 if cell.share_low is not None else None,
                n=cell.users,
                unit="share",
                method="wilson" if cell.share_low is not None else "count",
            )
            for cell in self.cells
            if cell.users is not None
        )


def sizes_from_counts(
    counts: Mapping[str, int],
    *,
    tag: str,
    values: Sequence[str] = (),
    as_of: date | None = None,
    min_size: int | None = None,
    sample_rate: float = 1.0,
    also_hide: Sequence[str] = (),
) -> Sizes:
    """Return the sizes of a tag's values from counts.

    Parameters
    ----------
    counts : mapping of str to int
        Users by value.
    tag : str
        The tag.
    values : sequence of str, optional
        Every value the tag can have, in order; those counted if omitted.
    as_of : datetime.date, optional
        The last day counted.
    min_size : int, optional
        Hide smaller values, and more where a difference would give them back; for
        what is shared, take 50. Nothing is hidden if omitted.
    sample_rate : float, default 1.0
        Share of users counted, in (0, 1]; below 1 sizes are scaled up and shares
        have Wilson's interval.
    also_hide : sequence of str, optional
        Values hidden in any case: those hidden the day before, so that two days
        next to each other give nothing away.

    Returns
    -------
    Sizes
        With notices ``segments_value_empty`` and ``segments_value_everyone``.

    Raises
    ------
    ParameterError
        If `min_size` is below 1 (code ``bad_limit``).

    Examples
    --------
    >>> found = sizes_from_counts({"a": 3, "b": 60, "c": 900}, tag="t", min_size=50)
    >>> [cell.users for cell in found.cells]
    [None, None, 900]
    """
    limit = limit_of(min_size, "min_size")
    names = tuple(dict.fromkeys([*names_of(values, "values"), *counts]))
    users = [int(counts.get(name, 0)) for name in names]
    total = sum(users)
    sums = np.ones((1, len(names)), dtype=np.int64)
    also = [
        names.index(name) for name in names_of(also_hide, "also_hide") if name in names
    ]
    hidden = hide(users, [limit] * len(names), sums, also=also)
    scale = 1 / sample_rate
    cells = [
        SizeCell(name, None, None)
        if away
        else _cell(name, n, total, sample_rate, scale)
        for name, n, away in zip(names, users, hidden, strict=True)
    ]
    notices = []
    for name, n in zip(names, users, strict=True):
        if total and n in (0, total):
            code = f"segments_value_{'everyone' if n else 'empty'}"
            notices.append(Notice(code, "info", (("tag", tag), ("value", name))))
    return Sizes(
        tag=tag,
        as_of=as_of,
        users=round(total * scale),
        cells=tuple(cells),
        hidden=sum(hidden),
        min_size=limit,
        sample_rate=sample_rate,
        notices=tuple(notices),
    )


def _cell(name: str, n: int, total: int, rate: float, scale: float) -> SizeCell:
    share = n / total if total else None
    ends = wilson(Share(n, total)) if rate < 1 else None
    low, high = ends if ends is not None else (None, None)
    return SizeCell(name, round(n * scale), share, low, high)


@dataclass(frozen=True, slots=True)
class CrossCell:
    """Users with one value of each tag; None where hidden."""

    row: str
    column: str
    users: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossed(Result):
    """Users by two tags.

    Parameters
    ----------
    row_tag, column_tag : str
        The tags.
    users : int
        Users who have both tags.
    cells : tuple of CrossCell
        Row by row.
    row_users, column_users : tuple of (str, int or None)
        Totals by value; None where hidden.
    hidden : int
        Cells and totals hidden.
    """

    row_tag: str
    column_tag: str
    users: int
    cells: tuple[CrossCell, ...]
    row_users: tuple[tuple[str, int | None], ...]
    column_users: tuple[tuple[str, int | None], ...]
    hidden: int

    @property
    def verdict(self) -> str:
        """`hidden` where a cell is hidden, else `counted`."""
        return f"segments.cross.{'hidden' if self.hidden else 'counted'}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a cell."""
        return [
            {self.row_tag: c.row, self.column_tag: c.column, "users": c.users}
            for c in self.cells
        ]


def cross_from_counts(
    counts: Mapping[tuple[str, str], int],
    *,
    row_tag: str,
    column_tag: str,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    k: int | None = None,
    min_size: int | None = None,
) -> Crossed:
    """Return users by two tags from counts.

    Parameters
    ----------
    counts : mapping of (str, str) to int
        Users by (value of the row's tag, value of the column's).
    row_tag, column_tag : str
        The tags.
    rows, columns : sequence of str, optional
        Every value, in order; those counted if omitted.
    k : int, optional
        Hide smaller cells; for what is shared, take 10.
    min_size : int, optional
        Hide smaller totals; for what is shared, take 50.

    Returns
    -------
    Crossed
        Further cells are hidden until sums give none back.

    Raises
    ------
    ParameterError
        If a limit is below 1 (code ``bad_limit``).
    """
    down = tuple(dict.fromkeys([*names_of(rows, "rows"), *(row for row, _ in counts)]))
    known = names_of(columns, "columns")
    across = tuple(dict.fromkeys([*known, *(column for _, column in counts)]))
    grid = [[int(counts.get((r, c), 0)) for c in across] for r in down]
    away, away_rows, away_columns = hide_table(
        grid, k=limit_of(k, "k"), min_size=limit_of(min_size, "min_size")
    )
    cells = [
        CrossCell(r, c, None if away[i][j] else grid[i][j])
        for i, r in enumerate(down)
        for j, c in enumerate(across)
    ]
    by_row = [(r, None if away_rows[i] else sum(grid[i])) for i, r in enumerate(down)]
    by_column = [
        (c, None if away_columns[j] else sum(line[j] for line in grid))
        for j, c in enumerate(across)
    ]
    return Crossed(
        row_tag=row_tag,
        column_tag=column_tag,
        users=sum(map(sum, grid)),
        cells=tuple(cells),
        row_users=tuple(by_row),
        column_users=tuple(by_column),
        hidden=sum(map(sum, away)) + sum(away_rows) + sum(away_columns),
    )
