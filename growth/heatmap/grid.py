"""Counts per cell of one page, and who tapped where: exact, mergeable, coarsenable."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil, isfinite
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np

from growth.errors import DataError, ParameterError, suggest
from growth.heatmap.geometry import PAGE_RPX, SIDES, check_cell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from numpy.typing import NDArray

__all__ = ["COUNTED", "LAYERS", "CellUsers", "Grid", "Layer", "smooth"]

# every tap is counted as exactly one of these
COUNTED: Final[tuple[str, ...]] = (
    "binned",
    "beyond",
    "off_page",
    "duplicate",
    "echo",
    "excluded",
    "no_position",
)
Layer = Literal["taps", "users", "weighted", "rate", "dead", "rage", "fixed"]
LAYERS: Final[tuple[Layer, ...]] = get_args(Layer)
SCHEMA_VERSION: Final = 1
LEAST_VIEWS: Final = 50  # rows fewer views saw have no rate
CUT: Final = 4.0  # sigmas at which the smoothing kernel ends


def smooth(counts: NDArray[Any], sigma_cells: float) -> NDArray[np.float64]:
    """Smear counts by a Gaussian that loses nothing.

    Parameters
    ----------
    counts : ndarray of numbers, shape (rows, cols)
        Counts per cell.
    sigma_cells : float
        Standard deviation in cells, 0 or more; 0 returns the counts.

    Returns
    -------
    ndarray of float64, shape (rows, cols)
        With the same sum: the kernel is symmetric, and edges reflect half-sample.

    Raises
    ------
    ParameterError
        If sigma is negative or not finite (code ``bad_sigma``).
    """
    if not (isfinite(sigma_cells) and sigma_cells >= 0):
        msg = f"sigma is {sigma_cells}; it must be 0 (no smoothing) or more; take"
        raise ParameterError(f"{msg} sigma_rpx=20.", code="bad_sigma")
    wide = np.asarray(counts, dtype=np.float64)
    if not sigma_cells or not wide.size:
        return wide.copy()
    from scipy.ndimage import convolve1d

    reach = ceil(CUT * sigma_cells)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_cells) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        wide = convolve1d(wide, weights, axis=axis, mode="reflect")
    return wide


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """Taps per cell of one page, layer and device class.

    Parameters
    ----------
    cell_rpx : int
        Side of a cell in rpx.
    cols, rows : int
        Shape; rows end at the last tap.
    taps : ndarray of int64, shape (rows, cols)
        Taps per cell.
    users : ndarray of int64, shape (rows, cols), optional
        Distinct users per cell; None where they are not known.
    counted : mapping of str to int
        What became of every tap of the page: `COUNTED`.
    viewers : int, optional
        Distinct users who viewed the page.
    page, layer, device_class : str
        What the grid is of; layer ``taps`` (the page) or ``fixed`` (the screen).
    by : tuple of (str, str or None)
        Column and value of each breakdown.
    user_shard : tuple of (int, tuple of int), optional
        ``(n, parts)``: the users are those of these parts of n, so that grids of
        other parts share no user with this one.
    """

    cell_rpx: int
    cols: int
    rows: int
    taps: NDArray[np.int64]
    users: NDArray[np.int64] | None = None
    counted: Mapping[str, int] = field(default_factory=dict)
    viewers: int | None = None
    page: str = ""
    layer: str = "taps"
    device_class: str = "phone"
    by: tuple[tuple[str, str | None], ...] = ()
    user_shard: tuple[int, tuple[int, ...]] | None = None

    def __post_init__(self) -> None:
        if check_cell(self.cell_rpx) != self.cols:
            msg = f"a grid of {self.cell_rpx} rpx has {self.cols} columns; it must have"
            msg = f"{msg} {PAGE_RPX // self.cell_rpx}; build it with Grid.of."
            raise ParameterError(msg, code="grid_mismatch")
        for part in (self.taps, self.users):
            if part is not None and part.shape != (self.rows, self.cols):
                msg = f"counts have shape {part.shape}; they must be ({self.rows},"
                msg = f"{msg} {self.cols}), rows by columns; build it with Grid.of."
                raise ParameterError(msg, code="grid_mismatch")

    @classmethod
    def of(
        cls,
        taps: NDArray[Any],
        *,
        cell_rpx: int = 10,
        users: NDArray[Any] | None = None,
        **about: Any,  # noqa: ANN401  (the other fields, by name)
    ) -> Self:
        """Build a grid from counts.

        Parameters
        ----------
        taps : ndarray of int, shape (rows, cols)
            Taps per cell.
        cell_rpx : int, default 10
            Side of a cell.
        users : ndarray of int, optional
            Distinct users per cell.
        **about
            The other fields of a grid.

        Returns
        -------
        Grid
            With every tap counted as ``binned`` where `counted` is not given.
        """
        cols, cell_rpx = check_cell(cell_rpx), int(cell_rpx)
        counts = np.atleast_2d(np.asarray(taps, dtype=np.int64))
        people = None if users is None else np.asarray(users, dtype=np.int64)
        rows = len(counts) if counts.size else 0
        about.setdefault("counted", {"binned": int(counts.sum())})
        return cls(
            cell_rpx=cell_rpx,
            cols=cols,
            rows=rows,
            taps=counts.reshape(rows, -1) if rows else _empty(cell_rpx),
            users=people,
            **about,
        )

    @property
    def taps_in(self) -> int:
        """Every tap of the page, on the map or not."""
        return sum(self.counted.values())

    @property
    def off_page_rate(self) -> float | None:
        """Taps outside the page over all that are neither twins nor echoes."""
        kept = self.taps_in - sum(
            self.counted.get(name, 0)
            for name in ("duplicate", "echo", "no_position", "excluded")
        )
        return self.counted.get("off_page", 0) / kept if kept else None

    def merge(self, other: Grid) -> Grid:
        """Add another grid of the same page.

        Parameters
        ----------
        other : Grid
            With the same cells, page, layer and breakdown.

        Returns
        -------
        Grid
            Taps and classes added. Distinct users add only where both grids name
            parts of users that share nobody; else they are None.

        Raises
        ------
        ParameterError
            If cells, page, layer, class or breakdown differ (``grid_mismatch``).
        """
        for name in ("cell_rpx", "page", "layer", "device_class", "by"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                msg = f"{name} is {mine!r} here and {theirs!r} there; grids must be of"
                msg = f"{msg} one kind to be merged; coarsen or select first."
                raise ParameterError(msg, code="grid_mismatch")
        for one, two in ((self, other), (other, self)):
            if not one.taps_in and one.viewers is None:
                return two
        rows = max(self.rows, other.rows)
        mine, theirs = self.padded(rows), other.padded(rows)
        shard = _joined(self, other)
        apart = shard is not None
        users = viewers = None
        if apart and mine.users is not None and theirs.users is not None:
            users = mine.users + theirs.users
        if apart and self.viewers is not None and other.viewers is not None:
            viewers = self.viewers + other.viewers
        keys = dict.fromkeys((*self.counted, *other.counted))
        return replace(
            mine,
            taps=mine.taps + theirs.taps,
            users=users,
            counted={k: self.counted.get(k, 0) + other.counted.get(k, 0) for k in keys},
            viewers=viewers,
            user_shard=shard,
        )

    def padded(self, rows: int) -> Grid:
        """Return the grid with empty rows below, `rows` in all (or as it is)."""
        if rows <= self.rows:
            return self
        more = ((0, rows - self.rows), (0, 0))
        users = None if self.users is None else np.pad(self.users, more)
        return replace(self, rows=rows, taps=np.pad(self.taps, more), users=users)

    def coarsen(self, k: int) -> Grid:
        """Put k by k cells together.

        Parameters
        ----------
        k : int
            1 or more; the coarser side must divide 750.

        Returns
        -------
        Grid
            Taps sum exactly. Distinct users of several cells are not known from
            their counts: None (`CellUsers.coarsen` knows them).

        Raises
        ------
        ParameterError
            If the coarser side is none of the allowed ones (``bad_cell_size``).
        """
        if k == 1:
            return self
        side = self.cell_rpx * k
        if k < 1 or side not in SIDES or self.cols % k:
            msg = f"k is {k}: cells of {side} rpx; a side must be one of {list(SIDES)};"
            msg = f"{msg} take k=5 to go from 10 to 50."
            raise ParameterError(msg, code="bad_cell_size")
        rows = -(-self.rows // k)
        whole = self.padded(rows * k).taps
        sums = whole.reshape(rows, k, self.cols // k, k).sum(axis=(1, 3))
        return replace(
            self, cell_rpx=side, cols=self.cols // k, rows=rows, taps=sums, users=None
        )

    def smoothed(
        self, sigma_rpx: float = 20.0, *, layer: str = "taps"
    ) -> NDArray[np.float64]:
        """Return the counts smeared for a picture; never for a rate or a test.

        Parameters
        ----------
        sigma_rpx : float, default 20
            Standard deviation in rpx (10 px on a 375 px phone); 0: the counts.
        layer : {"taps", "users"}, default "taps"
            What is smeared.

        Returns
        -------
        ndarray of float64, shape (rows, cols)
            With the same sum, to 1e-9.

        Raises
        ------
        ParameterError
            If sigma is negative (``bad_sigma``), the layer unknown
            (``unknown_layer``) or not known here (``layer_absent``).
        """
        return smooth(self.layer_counts(layer), sigma_rpx / self.cell_rpx)

    def layer_counts(self, layer: str = "taps") -> NDArray[np.int64]:
        """Return taps or distinct users per cell; raises as `smoothed`."""
        if layer not in LAYERS:
            msg = f"layer is {layer!r}; it must be one of {list(LAYERS)}; name one."
            raise ParameterError(msg + suggest(layer, LAYERS), code="unknown_layer")
        if layer in {"taps", self.layer}:
            return self.taps
        if layer == "users" and self.users is not None:
            return self.users
        msg = f"layer {layer!r} is not in this grid of {self.layer!r}; ask for it where"
        msg = f"{msg} the grid is made; aggregate(..., users=True) counts users."
        raise ParameterError(msg, code="layer_absent")

    def rate(self, seen: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float64]:
        """Return taps per 1,000 views that saw the row.

        Parameters
        ----------
        seen : sequence of int, length rows
            Views that saw each row: `ScrollReach.views_at`.

        Returns
        -------
        ndarray of float64, shape (rows, cols)
            NaN in rows under 50 views saw.

        Raises
        ------
        ParameterError
            If there is not one number a row (``grid_mismatch``).
        """
        views = np.asarray(seen, dtype=np.float64)
        if views.shape != (self.rows,):
            msg = f"seen has shape {views.shape}; it must have one number for each of"
            msg = f"{msg} {self.rows} rows; take reach.views_at(grid)."
            raise ParameterError(msg, code="grid_mismatch")
        views[views < LEAST_VIEWS] = np.nan
        return np.asarray(1000 * self.taps / views[:, None])

    def cells(self, min_users: int = 0) -> list[dict[str, int]]:
        """Return the non-empty cells, the fullest first.

        Parameters
        ----------
        min_users : int, default 0
            Cells of fewer users are left out; needs `users`.

        Returns
        -------
        list of dict
            ``col, row, x0_rpx, x1_rpx, y0_rpx, y1_rpx, taps`` and ``users``.

        Raises
        ------
        ParameterError
            If `min_users` is asked for where users are not known
            (``layer_absent``).
        """
        row, col = np.nonzero(self.taps)
        if min_users:
            enough = self.layer_counts("users")[row, col] >= min_users
            row, col = row[enough], col[enough]
        side = self.cell_rpx
        found = []
        for r, c in sorted(
            zip(row.tolist(), col.tolist(), strict=True),
            key=lambda at: (-int(self.taps[at]), at),
        ):
            cell = {"col": c, "row": r, "x0_rpx": c * side, "x1_rpx": (c + 1) * side}
            cell |= {"y0_rpx": r * side, "y1_rpx": (r + 1) * side}
            cell["taps"] = int(self.taps[r, c])
            if self.users is not None:
                cell["users"] = int(self.users[r, c])
            found.append(cell)
        return found

    def to_dict(self) -> dict[str, object]:
        """Return plain values, cells as sparse ``[row, col, taps, users]``."""
        row, col = np.nonzero(self.taps)
        columns = [row.tolist(), col.tolist(), self.taps[row, col].tolist()]
        if self.users is not None:
            columns.append(self.users[row, col].tolist())
        return {
            "schema_version": SCHEMA_VERSION,
            "page": self.page,
            "layer": self.layer,
            "device_class": self.device_class,
            "by": [list(pair) for pair in self.by],
            "cell_rpx": self.cell_rpx,
            "cols": self.cols,
            "rows": self.rows,
            "has_users": self.users is not None,
            "viewers": self.viewers,
            "user_shard": self.user_shard
            and [self.user_shard[0], list(self.user_shard[1])],
            "counted": dict(self.counted),
            "cells": [list(cell) for cell in zip(*columns, strict=True)],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the grid that `to_dict` wrote.

        Parameters
        ----------
        data : mapping
            Of schema version 1.

        Returns
        -------
        Grid
            The same grid.

        Raises
        ------
        DataError
            If it is of another version, or no grid (code ``bad_grid``).
        """
        if data.get("schema_version") != SCHEMA_VERSION:
            msg = f"schema_version is {data.get('schema_version')!r}; it must be"
            msg = f"{msg} {SCHEMA_VERSION}; export the grid again."
            raise DataError(msg, code="bad_grid")
        try:
            return cls._read(data)
        except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
            msg = f"the grid cannot be read ({type(error).__name__}: {error}); it must"
            msg = f"{msg} be as to_dict wrote it; export the grid again."
            raise DataError(msg, code="bad_grid") from error

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        shape = (int(data["rows"]), int(data["cols"]))
        taps = np.zeros(shape, dtype=np.int64)
        users = np.zeros(shape, dtype=np.int64) if data["has_users"] else None
        for row, col, n, *people in data["cells"]:
            if row < 0 or col < 0:
                msg = f"cell {row}, {col} is above or left of the page"
                raise IndexError(msg)
            taps[row, col] = n
            if users is not None:
                users[row, col] = people[0]
        shard = data.get("user_shard")
        return cls(
            cell_rpx=int(data["cell_rpx"]),
            cols=shape[1],
            rows=shape[0],
            taps=taps,
            users=users,
            counted=dict(data["counted"]),
            viewers=data["viewers"],
            page=data["page"],
            layer=data["layer"],
            device_class=data["device_class"],
            by=tuple((name, value) for name, value in data["by"]),
            user_shard=(shard[0], tuple(shard[1])) if shard else None,
        )


def _empty(cell_rpx: int) -> NDArray[np.int64]:
    return np.zeros((0, PAGE_RPX // cell_rpx), dtype=np.int64)


def _joined(one: Grid, two: Grid) -> tuple[int, tuple[int, ...]] | None:
    """Return the parts of users of both, where they share nobody."""
    if one.user_shard is None or two.user_shard is None:
        return None
    (n, mine), (m, theirs) = one.user_shard, two.user_shard
    if n != m or set(mine) & set(theirs):
        return None
    return n, tuple(sorted((*mine, *theirs)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CellUsers:
    """Who tapped which cell of one page how often; the form that always merges.

    Parameters
    ----------
    cell_rpx : int
        Side of a cell in rpx.
    cell, user, taps : ndarray of int32, shape (pairs,)
        One entry a (cell, user) that occurs, sorted by both; ``cell = row * cols +
        col``; `user` is the number of a user in one common numbering.
    page, layer, device_class : str
        What it is of.
    by : tuple of (str, str or None)
        Column and value of each breakdown.
    """

    cell_rpx: int
    cell: NDArray[np.int32]
    user: NDArray[np.int32]
    taps: NDArray[np.int32]
    page: str = ""
    layer: str = "taps"
    device_class: str = "phone"
    by: tuple[tuple[str, str | None], ...] = ()

    @property
    def cols(self) -> int:
        """Columns of the page."""
        return PAGE_RPX // self.cell_rpx

    @classmethod
    def of(
        cls,
        cell: NDArray[Any],
        user: NDArray[Any],
        taps: NDArray[Any] | None = None,
        *,
        cell_rpx: int = 10,
        **about: Any,  # noqa: ANN401  (the other fields, by name)
    ) -> Self:
        """Collect taps or pairs, in any order, into pairs.

        Parameters
        ----------
        cell, user : array_like of int
            Cell (``row * cols + col``) and user of each.
        taps : array_like of int, optional
            Taps of each; 1 if omitted.
        cell_rpx : int, default 10
            Side of a cell.
        **about
            The other fields.

        Returns
        -------
        CellUsers
            Sorted; taps of equal pairs summed.
        """
        check_cell(cell_rpx)
        cells, users = np.asarray(cell, np.int64), np.asarray(user, np.int64)
        n = np.ones(len(cells), np.int64) if taps is None else np.asarray(taps)
        key = (cells << 32) | users
        order = np.argsort(key, kind="stable")
        key = key[order]
        first = np.flatnonzero(np.r_[True, key[1:] != key[:-1]][: len(key)])
        sums = np.add.reduceat(n[order], first) if len(first) else n[:0]
        key = key[first]
        return cls(
            cell_rpx=int(cell_rpx),
            cell=(key >> 32).astype(np.int32),
            user=(key & 0xFFFFFFFF).astype(np.int32),
            taps=sums.astype(np.int32),
            **about,
        )

    def merge(self, other: CellUsers) -> CellUsers:
        """Return the union; taps of the same pair add.

        Parameters
        ----------
        other : CellUsers
            Of the same page and cells, users numbered alike.

        Returns
        -------
        CellUsers
            Exact, whatever users the two share.

        Raises
        ------
        ParameterError
            If cells, page, layer, class or breakdown differ (``grid_mismatch``).
        """
        for name in ("cell_rpx", "page", "layer", "device_class", "by"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                msg = f"{name} is {mine!r} here and {theirs!r} there; both must be of"
                msg = f"{msg} one kind to be merged; coarsen or select first."
                raise ParameterError(msg, code="grid_mismatch")
        return self._again(
            np.r_[self.cell, other.cell],
            np.r_[self.user, other.user],
            np.r_[self.taps, other.taps],
            self.cell_rpx,
        )

    def coarsen(self, k: int) -> CellUsers:
        """Put k by k cells together, users counted once a cell.

        Parameters
        ----------
        k : int
            1 or more; the coarser side must divide 750.

        Returns
        -------
        CellUsers
            Exact.

        Raises
        ------
        ParameterError
            If the coarser side is none of the allowed ones (``bad_cell_size``).
        """
        side = self.cell_rpx * k
        if k < 1 or side not in SIDES or self.cols % k:
            msg = f"k is {k}: cells of {side} rpx; a side must be one of {list(SIDES)};"
            msg = f"{msg} take k=5 to go from 10 to 50."
            raise ParameterError(msg, code="bad_cell_size")
        row, col = np.divmod(self.cell, self.cols)
        cell = (row // k) * (self.cols // k) + col // k
        return self._again(cell, self.user, self.taps, side)

    def only(self, users: NDArray[np.bool_]) -> CellUsers:
        """Return the pairs of the users marked in `users`, by their number."""
        kept = users[self.user]
        return replace(
            self, cell=self.cell[kept], user=self.user[kept], taps=self.taps[kept]
        )

    def grid(self, *, rows: int | None = None, **about: Any) -> Grid:  # noqa: ANN401
        """Return the grid these pairs make: taps and distinct users per cell.

        Parameters
        ----------
        rows : int, optional
            Rows of the grid; to the last tap if omitted.
        **about
            Fields of the grid that pairs do not know: `counted`, `viewers`.

        Returns
        -------
        Grid
            Exact.
        """
        last = int(self.cell[-1]) // self.cols + 1 if len(self.cell) else 0
        height = last if rows is None else max(rows, last)
        size = height * self.cols
        weights = np.bincount(self.cell, self.taps, minlength=size)
        people = np.bincount(self.cell, minlength=size)
        return Grid.of(
            weights.astype(np.int64).reshape(height, self.cols),
            cell_rpx=self.cell_rpx,
            users=people.reshape(height, self.cols)
            if height
            else _empty(self.cell_rpx),
            page=self.page,
            layer=self.layer,
            device_class=self.device_class,
            by=self.by,
            **about,
        )

    def weighted(self, *, rows: int | None = None) -> NDArray[np.float64]:
        """Return the map in which each user's taps sum to 1.

        Parameters
        ----------
        rows : int, optional
            Rows; to the last tap if omitted.

        Returns
        -------
        ndarray of float64, shape (rows, cols)
            Its sum is the number of users.
        """
        last = int(self.cell[-1]) // self.cols + 1 if len(self.cell) else 0
        height = last if rows is None else max(rows, last)
        each = np.bincount(self.user, self.taps) if len(self.user) else np.zeros(0)
        share = self.taps / each[self.user]
        flat = np.bincount(self.cell, share, minlength=height * self.cols)
        return flat.reshape(height, self.cols).astype(np.float64)

    def _again(
        self, cell: NDArray[Any], user: NDArray[Any], taps: NDArray[Any], side: int
    ) -> CellUsers:
        return CellUsers.of(
            cell,
            user,
            taps,
            cell_rpx=side,
            page=self.page,
            layer=self.layer,
            device_class=self.device_class,
            by=self.by,
        )
