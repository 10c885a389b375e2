"""What may leave: cells of enough users; thin ones pooled, then hidden."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from growth.errors import ParameterError
from growth.heatmap.grid import CellUsers, Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MIN_USERS", "SharedCells", "shared_cells"]

MIN_USERS: Final = 5
PARENT: Final = 5  # cells a side of the parent that thin cells are pooled into


@dataclass(frozen=True, slots=True, eq=False)
class SharedCells:
    """Cells that may be shown to others.

    Parameters
    ----------
    cells : tuple of dict
        As `Grid.cells`; a pool of thin cells has the box of its parent, and
        ``pooled`` is True.
    grid : Grid
        The cells that stand for themselves.
    drawn : Grid
        The same, for a picture: the taps of a pool lie evenly on its thin cells.
    hidden_cells : int
        Cells that are not told; never exactly one beside told ones.
    min_users : int
        Users a told cell has at least.
    """

    cells: tuple[dict[str, int | bool], ...]
    grid: Grid
    drawn: Grid
    hidden_cells: int
    min_users: int


def shared_cells(
    source: Grid | CellUsers, *, min_users: int = MIN_USERS
) -> SharedCells:
    """Return the cells that at least `min_users` users tapped.

    Parameters
    ----------
    source : Grid or CellUsers
        With distinct users. From `CellUsers` thin cells of one parent (5 by 5
        cells) are pooled, and told where the pool has users enough; counts of users
        alone cannot say that.
    min_users : int, default 5
        1 or more.

    Returns
    -------
    SharedCells
        The taps of hidden cells are nowhere in it.

    Raises
    ------
    ParameterError
        If `min_users` is not positive (code ``bad_min_users``), or users are not
        known (``layer_absent``).
    """
    if min_users < 1:
        msg = f"min_users is {min_users}; it must be 1 or more; take 5."
        raise ParameterError(msg, code="bad_min_users")
    grid = source.grid() if isinstance(source, CellUsers) else source
    users = grid.layer_counts("users")
    thick = users >= min_users
    thin = (grid.taps > 0) & ~thick
    pools: list[dict[str, int | bool]] = []
    if isinstance(source, CellUsers):
        pools, thin = _pooled(source, thin, min_users)
    hidden = int(thin.sum())
    if hidden == 1 and thick.any():
        # totals would tell it: the thinnest told cell is hidden too
        least = np.where(thick, grid.taps, np.iinfo(np.int64).max).argmin()
        thick.ravel()[least] = False
        hidden = 2
    # nothing of what is hidden may be worked out from the classes' counts
    told = Grid.of(
        np.where(thick, grid.taps, 0),
        cell_rpx=grid.cell_rpx,
        users=np.where(thick, users, 0),
        page=grid.page,
        layer=grid.layer,
        device_class=grid.device_class,
        by=grid.by,
        viewers=grid.viewers,
    )
    cells: list[dict[str, int | bool]] = [
        {**cell, "pooled": False} for cell in told.cells()
    ]
    taps = told.taps.copy()
    for pool in pools:
        _spread(taps, pool, (grid.taps > 0) & ~thick & ~thin)
    drawn = replace(told, taps=taps, counted={"binned": int(taps.sum())})
    return SharedCells((*cells, *pools), told, drawn, hidden, min_users)


def _spread(
    taps: NDArray[np.int64], pool: dict[str, int | bool], mine: NDArray[np.bool_]
) -> None:
    """Lay a pool's taps evenly on its cells."""
    rows = slice(pool["row"], pool["row"] + PARENT)
    columns = slice(pool["col"], pool["col"] + PARENT)
    row, col = np.nonzero(mine[rows, columns])
    each, rest = divmod(int(pool["taps"]), len(row))
    part = taps[rows, columns]
    part[row, col] += each
    part[row[:rest], col[:rest]] += 1


def _pooled(
    pairs: CellUsers, thin: NDArray[np.bool_], min_users: int
) -> tuple[list[dict[str, int | bool]], NDArray[np.bool_]]:
    """Pool thin cells by parent; return the pools told, and what stays hidden."""
    cols, side = pairs.cols, pairs.cell_rpx
    mine = thin.ravel()[pairs.cell]
    row, col = np.divmod(pairs.cell[mine], cols)
    wide = -(-cols // PARENT)
    parent = (row // PARENT) * wide + col // PARENT
    pool = CellUsers.of(parent, pairs.user[mine], pairs.taps[mine])
    found: list[dict[str, int | bool]] = []
    hidden = thin.copy()
    for key in np.unique(pool.cell).tolist():
        here = pool.cell == key
        if int(here.sum()) < min_users:
            continue
        r, c = divmod(int(key), wide)
        rows = slice(r * PARENT, (r + 1) * PARENT)
        columns = slice(c * PARENT, (c + 1) * PARENT)
        hidden[rows, columns] = False
        box = {"x0_rpx": c * PARENT * side, "y0_rpx": r * PARENT * side}
        box["x1_rpx"] = min((c + 1) * PARENT, cols) * side
        box["y1_rpx"] = (r + 1) * PARENT * side
        counts = {"taps": int(pool.taps[here].sum()), "users": int(here.sum())}
        found.append(
            {"col": c * PARENT, "row": r * PARENT, **box, **counts, "pooled": True}
        )
    return found, hidden
