"""Which numbers a shared result must hide, so that no small group can be told.

A number below its limit is hidden; further numbers are hidden until neither sums
nor differences of what is shown give a hidden one back, nor leave so little room
that it can as well be told. Zero is shown: it is nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from growth.stats.arguments import whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["determined", "hide", "hide_table", "limit_of"]

EXACT = 1e-9
MOST = 200  # numbers that are tried again


def limit_of(value: int | None, name: str) -> int:
    """Return a limit, which must be 1 or more; 1 hides nothing.

    Parameters
    ----------
    value : int or None
        The limit; None is 1.
    name : str
        What it is called, for the message.

    Returns
    -------
    int
        The limit.

    Raises
    ------
    ParameterError
        If it is below 1 (code ``bad_limit``).
    """
    if value is None:
        return 1
    remedy = "leave it out to hide nothing"
    return whole(value, name, least=1, code="bad_limit", remedy=remedy)


def determined(sums: NDArray[np.int64], hidden: Sequence[int]) -> list[int]:
    """Return the hidden numbers that follow from the shown ones.

    Parameters
    ----------
    sums : ndarray of int, shape (k, n)
        Equations between the numbers: each row times the numbers is 0.
    hidden : sequence of int
        Positions of the hidden numbers.

    Returns
    -------
    list of int
        Those that linear algebra gives back: their unit vector lies in the row space
        of the equations.
    """
    columns = list(hidden)
    part = sums[:, columns].astype(float)
    part = part[np.abs(part).sum(axis=1) > 0]
    if not columns:
        return []
    if not len(part):
        return []
    _, values, rows = np.linalg.svd(part, full_matrices=False)
    space = rows[values > EXACT]  # orthonormal: what the sums tell
    fixed = 1 - (space**2).sum(axis=0) <= EXACT
    return [columns[i] for i in np.flatnonzero(fixed)]


def hide(
    values: Sequence[int],
    limits: Sequence[int],
    sums: NDArray[np.int64],
    *,
    also: Sequence[int] = (),
    known: Sequence[int] = (),
) -> list[bool]:
    """Return which of some numbers are to be hidden.

    Parameters
    ----------
    values : sequence of int
        Counts, 0 or more.
    limits : sequence of int
        A count above 0 and below its limit is hidden.
    sums : ndarray of int, shape (k, n)
        Everything a reader knows to hold between them, as in `determined`.
    also : sequence of int, optional
        Positions hidden in any case, such as those hidden the day before.
    known : sequence of int, optional
        Positions that are shown elsewhere: hiding them here would help nobody.

    Returns
    -------
    list of bool
        True: hidden.

    Notes
    -----
    Complementary suppression, smallest numbers first, until no number hidden for its
    size is determined and the hidden part of no sum is below the limit; then those
    no longer needed are shown again, largest first.
    """
    n, fixed = len(values), set(known)
    small = {i for i in range(n) if 0 < values[i] < limits[i]} - fixed
    must = small | (set(also) - fixed)
    hidden = set(must)
    while rows := _open(sums, values, limits, hidden, small):
        near = {i for r in rows for i in np.flatnonzero(sums[r]).tolist()}
        free = near - hidden - fixed or set(range(n)) - hidden - fixed
        if not free:
            break
        # the smallest that is not 0; a 0 where nothing else is left
        hidden.add(min(free, key=lambda i: (values[i] == 0, values[i], i)))
    # what was taken along on the way and is not needed in the end
    for i in sorted(hidden - must, key=lambda i: (-values[i], i))[:MOST]:
        if not _open(sums, values, limits, hidden - {i}, small):
            hidden.remove(i)
    return [i in hidden for i in range(n)]


def _open(
    sums: NDArray[np.int64],
    values: Sequence[int],
    limits: Sequence[int],
    hidden: set[int],
    small: set[int],
) -> list[int]:
    """Return the sums that give a small number back, or tell too much of several."""
    weak = small.intersection(determined(sums, sorted(hidden)))
    return [
        r
        for r in range(len(sums))
        if _thin(sums[r], values, limits, hidden) or any(sums[r][i] for i in weak)
    ]


def _thin(
    row: NDArray[np.int64],
    values: Sequence[int],
    limits: Sequence[int],
    hidden: set[int],
) -> bool:
    """Return whether the hidden part of a sum is so small that it tells by itself."""
    own = [i for i in np.flatnonzero(row).tolist() if i in hidden and values[i] > 0]
    if not own:
        return False
    signs = {int(row[i]) for i in own}
    if len(signs) > 1:  # the total is hidden too
        return False
    return sum(values[i] for i in own) < max(limits[i] for i in own)


def hide_table(
    table: Sequence[Sequence[int]],
    *,
    k: int,
    min_size: int,
    rows: Sequence[bool | None] = (),
    columns: Sequence[bool | None] = (),
) -> tuple[list[list[bool]], list[bool], list[bool]]:
    """Return what to hide of a table that is shown with its totals.

    Parameters
    ----------
    table : sequence of sequence of int, shape (rows, columns)
        Counts.
    k : int
        Smallest cell shown.
    min_size : int
        Smallest row or column total shown.
    rows, columns : sequence of bool or None, optional
        What is settled of the totals: True is hidden, False is shown elsewhere, None
        is to be decided, as all are if omitted.

    Returns
    -------
    cells, rows, columns
        True: hidden. The total of all is shown.
    """
    counts = np.asarray(table, dtype=np.int64)
    height, width = counts.shape
    values = [*counts.ravel().tolist(), *counts.sum(axis=1).tolist()]
    values += counts.sum(axis=0).tolist()
    cells = height * width
    limits = [k] * cells + [min_size] * (height + width)
    sums = np.zeros((height + width + 2, len(values)), dtype=np.int64)
    for i in range(height):
        sums[i, i * width : (i + 1) * width] = 1
        sums[i, cells + i] = -1
    for j in range(width):
        sums[height + j, j:cells:width] = 1
        sums[height + j, cells + height + j] = -1
    sums[-2, cells : cells + height] = 1  # rows add up to the total, which is shown
    sums[-1, cells + height :] = 1
    told = [*(rows or [None] * height), *(columns or [None] * width)]
    found = hide(
        values,
        limits,
        sums,
        also=[cells + i for i, away in enumerate(told) if away],
        known=[cells + i for i, away in enumerate(told) if away is False],
    )
    grid = [found[i * width : (i + 1) * width] for i in range(height)]
    return grid, found[cells : cells + height], found[cells + height :]
