"""A dense grid as one small picture: a byte a cell, its colours in a palette."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import TYPE_CHECKING, Final

import numpy as np

from growth.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

__all__ = ["as_url", "palette_png"]

MOST: Final = 256  # colours a palette holds
_HEAD: Final = b"\x89PNG\r\n\x1a\n"
_INDEXED: Final = 3  # PNG's number for pixels that name a colour of the palette


def palette_png(
    cells: npt.NDArray[np.integer], colours: Sequence[str], *, clear: int | None = None
) -> bytes:
    """Return a grid as a PNG, one pixel a cell.

    Parameters
    ----------
    cells : ndarray of int, shape (rows, columns)
        Which colour each cell has, from 0.
    colours : sequence of str
        Up to 256, as ``#rrggbb``.
    clear : int, optional
        The colour that is not drawn, so that what is behind it shows.

    Returns
    -------
    bytes
        The file; the same bytes for the same grid. A browser scales it up by CSS
        (``image-rendering: pixelated``): 90 x 90 cells take about a kilobyte.

    Raises
    ------
    ParameterError
        If `cells` is no grid (code ``bad_grid``), or names a colour that is not
        there (code ``bad_palette``).

    References
    ----------
    PNG (third edition), W3C Recommendation, sections 5.3 and 11.2.
    """
    grid = np.asarray(cells)
    if grid.ndim != 2 or not grid.size or not np.issubdtype(grid.dtype, np.integer):
        msg = f"the grid is {grid.dtype} of shape {grid.shape}; it must be whole"
        msg = f"{msg} numbers in rows and columns, one at least; count it first."
        raise ParameterError(msg, code="bad_grid")
    low, high = int(grid.min()), int(grid.max())
    if not 0 <= low <= high < len(colours) <= MOST:
        msg = f"the grid names colours {low} to {high} of {len(colours)}; there must be"
        msg = f"{msg} one for each, {MOST} at most; widen the palette or the steps."
        raise ParameterError(msg, code="bad_palette")
    rows, columns = grid.shape
    lines = np.zeros((rows, columns + 1), dtype=np.uint8)  # each begins with "as it is"
    lines[:, 1:] = grid
    parts = [
        _part(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, _INDEXED, 0, 0, 0)),
        _part(b"PLTE", b"".join(bytes.fromhex(c.removeprefix("#")) for c in colours)),
    ]
    if clear is not None:
        seen = bytes(255 * (place != clear) for place in range(len(colours)))
        parts.append(_part(b"tRNS", seen))
    parts.append(_part(b"IDAT", zlib.compress(lines.tobytes(), 9)))
    return _HEAD + b"".join(parts) + _part(b"IEND", b"")


def as_url(png: bytes) -> str:
    """Return a picture as an address that holds it: ``data:image/png;base64,...``."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _part(kind: bytes, data: bytes) -> bytes:
    """Return one chunk: length, name, data, checksum of the last two."""
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)
