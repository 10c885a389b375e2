"""A map of taps: one grid a page, and what became of every tap."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from growth.errors import DataError, ParameterError, suggest
from growth.heatmap.grid import COUNTED, CellUsers, Grid
from growth.result import Cell, Estimate, Notice, Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["MUCH_OFF_PAGE", "ElementTaps", "Heatmap"]

MUCH_OFF_PAGE: Final = 0.01  # above this share of taps outside the page, a notice
By = tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class ElementTaps:
    """Taps on one element of one page; None is a tap on no element.

    Parameters
    ----------
    page : str
        The page.
    element_id : str or None
        The element.
    element_index : int or None
        Its place in a list of like ones.
    taps, users : int
        Taps, twins and echoes apart; distinct users.
    by : tuple of (str, str or None)
        Column and value of each breakdown.
    """

    page: str
    element_id: str | None
    element_index: int | None
    taps: int
    users: int
    by: By = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Heatmap(Result):
    """Where people tapped: grids of pages, or elements where there is no position.

    Parameters
    ----------
    mode : str
        ``coordinates`` or ``elements``.
    device_class : str
        The one class of devices that is mapped.
    cell_rpx : int
        Side of a cell.
    taps_in : int
        Rows read.
    counted : dict of str to int
        Their classes, summing to `taps_in`: binned, beyond, off_page, duplicate,
        echo, excluded, no_position.
    excluded_by, off_side : dict of str to int
        The excluded by device class, those off the page by side.
    grids : tuple of Grid
        One a page, breakdown and layer.
    cells : tuple of CellUsers
        The same by user, where it was asked for.
    elements : tuple of ElementTaps
        In element mode, the most tapped first.
    """

    mode: str
    device_class: str
    cell_rpx: int
    taps_in: int
    counted: dict[str, int]
    excluded_by: dict[str, int] = field(default_factory=dict)
    off_side: dict[str, int] = field(default_factory=dict)
    grids: tuple[Grid, ...] = ()
    cells: tuple[CellUsers, ...] = ()
    elements: tuple[ElementTaps, ...] = ()

    @property
    def verdict(self) -> str:
        """Whether there is a map, and whether many taps lie outside the page."""
        if self.mode == "elements":
            return "heatmap.map.elements"
        if not self.counted.get("binned"):
            return "heatmap.map.empty"
        if any(n.code == "taps_off_page" for n in self.notices):
            return "heatmap.map.off_page"
        return "heatmap.map.ok"

    def grid(self, page: str | None = None, *, layer: str = "taps", **by: str) -> Grid:
        """Return one grid.

        Parameters
        ----------
        page : str, optional
            The page; may be left out where there is one.
        layer : {"taps", "fixed"}, default "taps"
            The page, or what stays put on the screen.
        **by : str
            Value of each breakdown.

        Returns
        -------
        Grid
            The grid.

        Raises
        ------
        DataError
            If there are no positions (``element_mode_only``).
        ParameterError
            If there is none, or more than one, such grid (``unknown_page``).
        """
        if self.mode == "elements":
            msg = "this map counts elements and has no positions; a grid must have"
            msg = f"{msg} x_px, y_px and win_w_px; record them, or use `elements`."
            raise DataError(msg, code="element_mode_only")
        found = [
            g
            for g in self.grids
            if page in (None, g.page)
            and g.layer == layer
            and all(dict(g.by).get(name) == value for name, value in by.items())
        ]
        if len(found) != 1:
            pages = list(dict.fromkeys(g.page for g in self.grids))
            hint = suggest(page, pages) if page else ""
            msg = f"page {page!r}, layer {layer!r}, {by or 'no breakdown'} names"
            msg = f"{msg} {len(found)} grids; it must name one of pages {pages[:8]};"
            msg = f"{msg} name page and breakdown in full.{hint}"
            raise ParameterError(msg, code="unknown_page")
        return found[0]

    def merge(self, other: Heatmap) -> Heatmap:
        """Add another map of the same kind: another day, other users.

        Parameters
        ----------
        other : Heatmap
            With the same mode, cells and device class.

        Returns
        -------
        Heatmap
            Grids merged by page, layer and breakdown. Where distinct users cannot
            be added they are None, with notice ``users_not_mergeable``.

        Raises
        ------
        ParameterError
            If mode, cells or device class differ (``grid_mismatch``).
        """
        for name in ("mode", "cell_rpx", "device_class"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs or self.mode == "elements":
                msg = f"{name} is {mine!r} here and {theirs!r} there; maps to be merged"
                msg = f"{msg} must be grids of one kind; aggregate them alike."
                raise ParameterError(msg, code="grid_mismatch")
        grids = {(g.page, g.layer, g.by): g for g in self.grids}
        for g in other.grids:
            key = (g.page, g.layer, g.by)
            grids[key] = grids[key].merge(g) if key in grids else g
        had = [g for g in (*self.grids, *other.grids) if g.users is not None]
        lost = bool(had) and any(g.users is None for g in grids.values())
        notices = dict.fromkeys((*self.notices, *other.notices))
        if lost:
            notices[Notice("users_not_mergeable")] = None
        return replace(
            self,
            taps_in=self.taps_in + other.taps_in,
            counted=_add(self.counted, other.counted),
            excluded_by=_add(self.excluded_by, other.excluded_by),
            off_side=_add(self.off_side, other.off_side),
            grids=tuple(sorted(grids.values(), key=_place)),
            cells=_merged(self.cells, other.cells),
            notices=tuple(notices),
        )

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a grid, or one an element."""
        if self.mode == "elements":
            return [
                {
                    "page": e.page,
                    **dict(e.by),
                    "element_id": e.element_id,
                    "element_index": e.element_index,
                    "taps": e.taps,
                    "users": e.users,
                }
                for e in self.elements
            ]
        return [
            {
                "page": g.page,
                "layer": g.layer,
                **dict(g.by),
                **{name: g.counted.get(name, 0) for name in COUNTED},
                "cells": int((g.taps > 0).sum()),
                "viewers": g.viewers,
            }
            for g in self.grids
        ]

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the numbers a history follows: taps by page, and those off it."""
        pages = [
            Estimate(
                key="heatmap.taps",
                by=(("page", g.page), *((n, v or "") for n, v in g.by)),
                value=float(g.counted.get("binned", 0)),
                unit="count",
            )
            for g in self.grids
            if g.layer == "taps"
        ]
        return tuple(pages)

    def to_dict(self) -> dict[str, object]:
        """Return plain values; grids as sparse cells, users' numbers left out."""
        return {
            "verdict": self.verdict,
            "mode": self.mode,
            "device_class": self.device_class,
            "cell_rpx": self.cell_rpx,
            "taps_in": self.taps_in,
            "counted": dict(self.counted),
            "excluded_by": dict(self.excluded_by),
            "off_side": dict(self.off_side),
            "grids": [g.to_dict() for g in self.grids],
            "elements": self.rows() if self.mode == "elements" else [],
            "notices": [n.to_dict() for n in self.notices],
        }


def _place(grid: Grid) -> tuple[str, str, str]:
    return grid.page, str(grid.by), grid.layer


def _add(one: Mapping[str, int], two: Mapping[str, int]) -> dict[str, int]:
    keys = dict.fromkeys((*one, *two))
    return {key: one.get(key, 0) + two.get(key, 0) for key in keys}


def _merged(
    one: Sequence[CellUsers], two: Sequence[CellUsers]
) -> tuple[CellUsers, ...]:
    found = {(c.page, c.layer, c.by): c for c in one}
    for c in two:
        key = (c.page, c.layer, c.by)
        found[key] = found[key].merge(c) if key in found else c
    return tuple(found.values())
