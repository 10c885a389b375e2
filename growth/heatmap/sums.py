"""Taps by cell, of every page and breakdown, over parts of the users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from growth.errors import ParameterError
from growth.heatmap.geometry import CLASSES
from growth.heatmap.grid import COUNTED, CellUsers, Grid
from growth.heatmap.maps import MUCH_OFF_PAGE, Heatmap
from growth.heatmap.rows import Rows, device_codes, grouped
from growth.result import Notice
from growth.stats.arguments import whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from growth.heatmap.tables import Ask

__all__ = ["ECHO_MS", "POSITION", "Sums", "cleaned"]

ECHO_MS: Final = 100
MOST_CELLS: Final = 150_000_000
LARGE: Final = 2**31  # ids of users from here on are not kept as their numbers
WRITEABLE: Final = ("C_CONTIGUOUS", "WRITEABLE")  # one type for the loops
LEAST_WIDTH: Final = 1 / 16  # px: positions are compared in sixteenths
SIDE_NAMES: Final = ("left", "right", "above", "below")
SCREEN: Final = (  # what tells taps of one time and place apart, beside their element
    "win_w_px",
    "win_h_px",
    "page_h_px",
    "client_y_px",
    "scroll_y_px",
    "raw_x_px",
    "raw_y_px",
    "raw_win_w_px",
)
POSITION: Final = ("x_px", "y_px", "win_w_px")


def cleaned(rows: Rows, wanted: str, echo_ms: int = ECHO_MS) -> Any:  # noqa: ANN401
    """Return status, users' starts, order and exclusion of taps; twins, echoes marked.

    Rows without a position get 0, 0 as theirs, in place.
    """
    from growth.heatmap import kernels

    x, y, w = (rows[name] for name in POSITION)
    remedy = "leave it out"
    echo_ms = whole(echo_ms, "echo_ms", least=0, code="bad_echo_ms", remedy=remedy)
    status = np.zeros(len(rows), np.int8)
    missing = ~(np.isfinite(x) & np.isfinite(y) & (w >= LEAST_WIDTH) & np.isfinite(w))
    if missing.any():
        status[missing] = kernels.NO_POSITION
        for name in ("x_px", "y_px"):
            rows.columns[name] = np.where(missing, 0, rows[name]).astype(x.dtype)
        rows.columns["win_w_px"] = np.where(missing, 1, w).astype(w.dtype)
    starts, order = kernels.users_first(rows.user, len(rows.users))
    kernels.sift(
        starts, order, rows.page, rows.ts, rows["event_id"], rows["x_px"],
        rows["y_px"], rows["phase"], _last(rows), echo_ms * 1000, status,
    )  # fmt: skip
    codes = device_codes(rows)
    return status, starts, order, codes != CLASSES.index(wanted)


def _last(rows: Rows) -> Any:  # noqa: ANN401
    """Return what orders taps of one time and place: all that is left of them."""
    codes = [rows.group, rows["element_id"], rows["element_index"]]
    return (
        tuple(
            np.require(rows[name], np.int8, WRITEABLE) for name in ("phase", "desktop")
        ),
        tuple(np.require(values, np.int32, WRITEABLE) for values in codes),
        tuple(np.require(rows[name], np.float32, WRITEABLE) for name in SCREEN),
    )


class Sums:
    """Counts per cell of every group, over parts of the users."""

    def __init__(
        self,
        ask: Ask,
        wanted: str,
        cell_rpx: int,
        cols: int,
        fixed: tuple[str, ...],
        echo_ms: int,
        most_rpx: int,
    ) -> None:
        self.ask, self.wanted, self.cell_rpx, self.cols = ask, wanted, cell_rpx, cols
        self.fixed, self.echo_ms, self.most_rpx = fixed, echo_ms, most_rpx
        self.users = self.pairs = False
        self.taps_in = 0
        self.taps: dict[Any, NDArray[np.int64]] = {}
        self.people: dict[Any, NDArray[np.int64]] = {}
        self.kept: dict[Any, list[Any]] = {}
        self.counted: dict[Any, NDArray[np.int64]] = {}
        self.excluded = np.zeros(len(CLASSES) + 1, np.int64)
        self.side = np.zeros(4, np.int64)

    def add(self, rows: Rows) -> None:
        """Count one part of the users."""
        from growth.heatmap import kernels

        if not len(rows):
            return
        self.taps_in += len(rows)
        status, starts, order, excluded = cleaned(rows, self.wanted, self.echo_ms)
        group, keys, x, y, below = self._layers(rows)
        side = np.zeros(4, np.int64)
        cell = kernels.place(
            x, y, rows["win_w_px"], below, excluded, self.cell_rpx, self.most_rpx,
            status, side,
        )  # fmt: skip
        self.side += side
        gone = status == kernels.EXCLUDED
        if gone.any():
            codes = device_codes(rows)[gone]
            self.excluded += np.bincount(codes + 1, minlength=len(CLASSES) + 1)
        n = len(keys)
        tally = np.bincount(
            group.astype(np.int64) * len(COUNTED) + status, minlength=n * len(COUNTED)
        ).reshape(n, len(COUNTED))
        deepest = np.full(n, -1, np.int64)
        _maximum(deepest, group, cell)
        height = deepest // self.cols + 1
        base = np.zeros(n + 1, np.int64)
        np.cumsum(height * self.cols, out=base[1:])
        if base[-1] > MOST_CELLS:
            msg = f"the map would have {base[-1]:,} cells in {n:,} grids; it must have"
            msg = (
                f"{msg} at most {MOST_CELLS:,}; take larger cells or fewer breakdowns."
            )
            raise ParameterError(msg, code="too_many_cells")
        # half as wide counts twice as fast; one part has fewer rows than that
        flat = np.zeros(base[-1], np.int32)
        kernels.count_cells(cell, group, base, flat)
        people, found = np.zeros(0, np.int32), np.zeros((0, 3), np.int64)
        if self.users:
            people = np.zeros(base[-1], np.int32)
            size = int((cell >= 0).sum()) if self.pairs else 0
            found = np.empty((size, 3), np.int64)
            filled = kernels.count_users(
                starts, order, cell, group, base, people, found
            )
            found = found[np.argsort(found[:filled, 0], kind="stable")]
        for g, key in enumerate(keys):
            if not tally[g].any():
                continue
            here = slice(int(base[g]), int(base[g + 1]))
            shape = (int(height[g]), self.cols)
            _grow(self.counted, key, tally[g])
            _grow(self.taps, key, flat[here].reshape(shape))
            if self.users:
                _grow(self.people, key, people[here].reshape(shape))
            if self.pairs:
                low, high = np.searchsorted(found[:, 0], (here.start, here.stop))
                mine = found[low:high] - (here.start, 0, 0)
                if isinstance(rows.users, np.ndarray):
                    mine[:, 1] = rows.users[mine[:, 1]]  # ids hold for every part
                self.kept.setdefault(key, []).append(mine)

    def _layers(self, rows: Rows) -> Any:  # noqa: ANN401
        """Return the group of each tap, the groups' keys, and where it fell."""
        names = [(rows.pages[g[0]], g[1:]) for g in rows.groups]
        x, y, below = rows["x_px"], rows["y_px"], rows["page_h_px"]
        if not self.fixed:
            return rows.group, [("taps", *name) for name in names], x, y, below
        known = rows.texts["element_id"]
        ids = np.array([e in self.fixed for e in known] + [False])
        fixed = ids[rows["element_id"]]  # -1, no element, takes the last
        client = np.where(np.isfinite(rows["client_y_px"]), rows["client_y_px"], y)
        y = np.where(fixed, client, y)
        if len(below):
            floor = rows["win_h_px"] if len(rows["win_h_px"]) else np.nan
            below = np.where(fixed, floor, below)
        group, codes = grouped([rows.group, fixed.astype(np.int8)], [len(names), 2])
        keys = [("fixed" if code[1] else "taps", *names[code[0]]) for code in codes]
        return group, keys, x, y, below

    def result(self, viewers: Mapping[Any, int]) -> Heatmap:
        """Return the map."""
        ask = self.ask
        shard = ask.user_shard and (ask.user_shard[1], (ask.user_shard[0],))
        grids, cells = [], []
        kept = _numbered({key: np.concatenate(p) for key, p in self.kept.items()})
        for key in sorted(self.counted, key=str):
            layer, page, values = key
            by = tuple(zip(ask.columns, values, strict=True))
            counts = self.counted[key].tolist()
            about: dict[str, Any] = {
                "page": page, "layer": layer, "device_class": self.wanted, "by": by,
            }  # fmt: skip
            grids.append(
                Grid.of(
                    self.taps[key],
                    cell_rpx=self.cell_rpx,
                    users=self.people.get(key),
                    counted=dict(zip(COUNTED, counts, strict=True)),
                    viewers=viewers.get((page, values)),
                    user_shard=shard,
                    **about,
                )
            )
            if self.pairs:
                some = kept[key].T
                cells.append(CellUsers.of(*some, cell_rpx=self.cell_rpx, **about))
        total = np.sum(list(self.counted.values()), axis=0).tolist()
        counted = dict(zip(COUNTED, total, strict=True))
        excluded = zip(["unknown", *CLASSES], self.excluded.tolist(), strict=True)
        return Heatmap(
            mode="coordinates",
            device_class=self.wanted,
            cell_rpx=self.cell_rpx,
            taps_in=self.taps_in,
            counted=counted,
            excluded_by={name: n for name, n in excluded if n},
            off_side=dict(zip(SIDE_NAMES, self.side.tolist(), strict=True)),
            grids=tuple(grids),
            cells=tuple(cells),
            notices=_remarks(counted),
        )


def _numbered(kept: dict[Any, NDArray[np.int64]]) -> dict[Any, NDArray[np.int64]]:
    """Give users numbers where their ids are too large for it, in order of ids."""
    ends = [(int(p[:, 1].min()), int(p[:, 1].max())) for p in kept.values() if len(p)]
    if not ends or (min(ends)[0] >= 0 and max(high for _, high in ends) < LARGE):
        return kept
    ids = np.unique(np.concatenate([pairs[:, 1] for pairs in kept.values()]))
    for pairs in kept.values():
        pairs[:, 1] = np.searchsorted(ids, pairs[:, 1])
    return kept


def _grow(sums: dict[Any, Any], key: Any, part: NDArray[Any]) -> None:  # noqa: ANN401
    """Add a grid to the sum so far, whichever has more rows."""
    mine = sums.get(key)
    if mine is None:
        sums[key] = part.astype(np.int64)
    elif len(mine) >= len(part):
        mine[: len(part)] += part
    else:
        more = part.astype(np.int64)
        more[: len(mine)] += mine
        sums[key] = more


def _maximum(
    deepest: NDArray[np.int64], group: NDArray[Any], cell: NDArray[Any]
) -> None:
    if len(deepest) == 1:
        deepest[0] = cell.max() if len(cell) else -1
    else:
        np.maximum.at(deepest, group, cell)


def _remarks(counted: Mapping[str, int]) -> tuple[Notice, ...]:
    found = []
    on = counted["binned"] + counted["beyond"]
    off = counted["off_page"]
    if off > MUCH_OFF_PAGE * (on + off):
        share = ("share", off / (on + off))
        found.append(Notice("taps_off_page", args=(("taps", off), share)))
    if n := counted["beyond"]:
        found.append(Notice("taps_beyond", "info", args=(("taps", n),)))
    if n := counted["excluded"]:
        found.append(Notice("taps_excluded", "info", args=(("taps", n),)))
    if n := counted["no_position"]:
        found.append(Notice("taps_no_position", args=(("taps", n),)))
    if not on:
        found.append(Notice("no_taps_on_map"))
    return tuple(found)
