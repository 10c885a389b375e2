"""Taps and events as arrays of one length: what the loops run over."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from growth.heatmap.geometry import CLASSES, PAGE_RPX, PHONE_WIDTH_PX

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from growth.heatmap.geometry import Device

__all__ = ["Rows", "device_codes", "grouped"]

# of columns that are no float32, so that a loop meets one type whatever is there
KINDS: Final[dict[str, Any]] = {
    "event_id": np.int64,
    "element_id": np.int32,
    "element_index": np.int32,
    "phase": np.int8,
    "desktop": np.int8,
}
Array = Any  # an ndarray of the type the column has


@dataclass(slots=True, eq=False)
class Rows:
    """Rows of a log, columns as arrays; codes stand for texts, -1 for NULL.

    Parameters
    ----------
    user : ndarray of int32
        Number of the user in `users`.
    users : sequence
        Ids by number.
    page, group : ndarray of int32
        Positions in `pages`, `groups`.
    pages : tuple of str
        Pages, after `page_key`.
    groups : tuple of tuple
        Page number, then a value for each of `by`.
    ts : ndarray of int64
        Microseconds since 1970.
    columns : dict of str to ndarray
        The others, by name; a missing number is NaN.
    """

    user: NDArray[np.int32]
    users: Any
    page: NDArray[np.int32]
    pages: tuple[str, ...]
    group: NDArray[np.int32]
    groups: tuple[tuple[Any, ...], ...]
    by: tuple[str, ...]
    ts: NDArray[np.int64]
    columns: dict[str, Array] = field(default_factory=dict)
    texts: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.user)

    def __getitem__(self, name: str) -> Array:
        """Return a column; an empty array where the log lacks it."""
        return self.columns.get(name, np.empty(0, KINDS.get(name, np.float32)))

    def has(self, name: str) -> bool:
        """Whether the log has the column, with a value somewhere."""
        values = self.columns.get(name)
        if values is None:
            return False
        if values.dtype.kind == "f":
            return bool(np.isfinite(values).any())
        return bool((values >= 0).any()) if values.dtype.kind == "i" else True

    def take(self, rows: Array) -> Rows:
        """Return some rows, by mask or position."""
        return replace(
            self,
            user=self.user[rows],
            page=self.page[rows],
            group=self.group[rows],
            ts=self.ts[rows],
            columns={name: values[rows] for name, values in self.columns.items()},
        )

    def rpx(self, name: str) -> NDArray[np.float64]:
        """Return a column of logical px in rpx."""
        width = self["win_w_px"].astype(np.float64)
        return np.asarray(self[name].astype(np.float64) * PAGE_RPX / width)


def device_codes(rows: Rows) -> NDArray[np.int8]:
    """Return the device class of each row: its position in CLASSES, -1 unknown."""
    width = rows["win_w_px"]
    found = np.where(width <= PHONE_WIDTH_PX, 0, 1).astype(np.int8)
    wide = rows["desktop"] > 0 if len(rows["desktop"]) else np.zeros(len(rows), bool)
    if len(rows["win_h_px"]):
        wide = wide | (width > rows["win_h_px"])
    found[wide] = 2
    found[~(width > 0) & ~wide] = -1
    return found


def of_class(codes: NDArray[np.int8], device_class: Device) -> NDArray[np.bool_]:
    """Return which rows are of a device class."""
    return np.asarray(codes == CLASSES.index(device_class))


def grouped(
    parts: list[NDArray[Any]], sizes: list[int]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return numbers of the combinations of codes that occur; -1 is NULL.

    Returns
    -------
    group : ndarray of int32
        Number of each row's combination, in the order of the codes.
    codes : ndarray of int64, shape (groups, parts)
        The codes of each combination.
    """
    key = parts[0].astype(np.int64) + 1
    room = sizes[0] + 1
    for part, size in zip(parts[1:], sizes[1:], strict=True):
        key = key * (size + 1) + (part.astype(np.int64) + 1)
        room *= size + 1
    if room <= max(4 * len(key), 1 << 20):
        seen = np.zeros(room, bool)
        seen[key] = True
        found = np.flatnonzero(seen)
        number = np.zeros(room, np.int32)
        number[found] = np.arange(len(found), dtype=np.int32)
        group = number[key]
    else:
        found, inverse = np.unique(key, return_inverse=True)
        group = inverse.astype(np.int32)
    codes = np.empty((len(found), len(parts)), np.int64)
    rest = found
    for i in range(len(parts) - 1, 0, -1):
        rest, codes[:, i] = np.divmod(rest, sizes[i] + 1)
    codes[:, 0] = rest
    return group, codes - 1
