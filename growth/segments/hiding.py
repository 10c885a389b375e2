"""Which numbers a shared result must hide, so that no small group can be told.

A number below its limit is hidden; further numbers are hidden until neither sums
nor differences of what is shown give a hidden one back, nor leave so little room
that it can as well be told. Zero is shown: it is nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from growth.stats.arguments import whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Counts = NDArray[np.int64]
    Places = NDArray[np.bool_]
    Sums = NDArray[np.signedinteger[Any]]

__all__ = ["determined", "hide", "hide_table", "limit_of"]

EXACT = 1e-9
APART = 1e-4  # of the longest, squared: no equation nearly follows from others
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


def determined(sums: Sums, hidden: Sequence[int] | Counts) -> list[int]:
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
    columns = np.asarray(hidden, np.int64)
    part = sums[:, columns].astype(float)
    part = part[np.abs(part).sum(axis=1) > 0]
    if not part.size:
        return []
    fixed = 1 - (_told(part) ** 2).sum(axis=0) <= EXACT
    return [int(i) for i in columns[fixed]]


def _told(part: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an orthonormal basis of what equations tell: of their row space."""
    if len(part) < part.shape[1]:
        # products of whole numbers are exact; where no equation nearly follows from
        # others, this is as good as what follows and far quicker for many numbers
        values, vectors = np.linalg.eigh(part @ part.T)
        if values[0] > values[-1] * APART:
            basis: NDArray[np.float64] = (vectors / np.sqrt(values)).T @ part
            return basis
    _, lengths, rows = np.linalg.svd(part, full_matrices=False)
    return rows[lengths > EXACT]


def hide(
    values: Sequence[int] | Counts,
    limits: Sequence[int] | Counts,
    sums: Sums,
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
    users, least = np.asarray(values, np.int64), np.asarray(limits, np.int64)
    fixed = np.zeros(len(users), bool)
    fixed[list(known)] = True
    small = (users > 0) & (users < least) & ~fixed
    must = small.copy()
    must[list(also)] = True
    must &= ~fixed
    hidden = must.copy()
    while rows := _open(sums, users, least, hidden, small):
        spare = ~hidden & ~fixed
        near = np.zeros(len(users), bool)
        for r in rows:
            near |= sums[r] != 0
        free = np.flatnonzero(near & spare if (near & spare).any() else spare)
        if not len(free):
            break
        # the smallest that is not 0; a 0 where nothing else is left
        last = np.iinfo(np.int64).max
        hidden[free[np.where(users[free] == 0, last, users[free]).argmin()]] = True
    # what was taken along on the way and is not needed in the end
    taken = np.flatnonzero(hidden & ~must)
    for i in taken[np.argsort(-users[taken], kind="stable")][:MOST]:
        hidden[i] = False
        if _open(sums, users, least, hidden, small):
            hidden[i] = True
    away: list[bool] = hidden.tolist()
    return away


def _open(
    sums: Sums, users: Counts, least: Counts, hidden: Places, small: Places
) -> list[int]:
    """Return the sums that give a small number back, or tell too much of several."""
    places = np.flatnonzero(hidden)
    weak = [i for i in determined(sums, places) if small[i]]
    some = places[users[places] > 0]
    return [
        r
        for r, row in enumerate(sums)
        if row[weak].any() or _thin(row[some], users[some], least[some])
    ]


def _thin(signs: Counts, users: Counts, least: Counts) -> bool:
    """Return whether the hidden part of a sum is so small that it tells by itself."""
    own = signs != 0
    if not own.any() or ((signs > 0).any() and (signs < 0).any()):
        return False  # nothing of it is hidden; the total is hidden too
    return bool(users[own].sum() < least[own].max())


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
