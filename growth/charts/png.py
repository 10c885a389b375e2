"""PNG files read and written with the standard library: screenshots under a map."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np

from growth.charts.raster import _HEAD, _part
from growth.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["read_png", "rgb_png"]

MOST_BYTES: Final = 20_000_000
MOST_PIXELS: Final = 40_000_000
CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
GREY, RGB, INDEXED, GREY_ALPHA, RGBA = CHANNELS


def rgb_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return a picture as a PNG of three bytes a pixel, without any text in it.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width, 3)
        Red, green, blue.

    Returns
    -------
    bytes
        The file.
    """
    height, width, _ = pixels.shape
    lines = np.empty((height, 1 + 3 * width), np.uint8)
    flat = pixels.reshape(height, -1)
    lines[:, 0] = 2  # each row as its difference from the one above
    lines[:, 1:] = flat
    lines[1:, 1:] -= flat[:-1]
    head = struct.pack(">IIBBBBB", width, height, 8, RGB, 0, 0, 0)
    data = zlib.compress(lines.tobytes(), 6)
    return _HEAD + _part(b"IHDR", head) + _part(b"IDAT", data) + _part(b"IEND", b"")


def read_png(data: bytes) -> NDArray[np.uint8]:
    """Return the pixels of a PNG; what is clear in it lies on white.

    Parameters
    ----------
    data : bytes
        The file: at most 20 MB and 40 megapixels, not interlaced.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        Red, green, blue. Text and other chunks are passed over.

    Raises
    ------
    ParameterError
        If it is no such file (code ``bad_screenshot``). Its size is read from the
        header before anything is unpacked.

    References
    ----------
    PNG (third edition), W3C Recommendation, sections 5, 7, 9.
    """
    if len(data) > MOST_BYTES:
        _refuse(f"{len(data):,} bytes", f"at most {MOST_BYTES:,}", "shrink it")
    if data[:8] != _HEAD or data[12:16] != b"IHDR":
        _refuse(f"no PNG (it begins {data[:8]!r})", "a PNG", "save it as PNG")
    width, height, depth, kind, _, _, laced = struct.unpack(">IIBBBBB", data[16:29])
    if not 0 < width * height <= MOST_PIXELS:
        size = f"{width} x {height} pixels"
        _refuse(size, f"at most {MOST_PIXELS:,} pixels", "scale it down")
    if laced or kind not in CHANNELS or depth not in (1, 2, 4, 8, 16):
        _refuse("interlaced or of an unknown kind", "a plain PNG", "save it again")
    packed, palette, clear = _chunks(data)
    bits = CHANNELS[kind] * depth
    stride = (width * bits + 7) // 8
    expected = height * (stride + 1)
    try:
        raw = zlib.decompressobj().decompress(packed, expected)
    except zlib.error as error:
        _refuse(f"broken ({error})", "a whole file", "save it again")
    if len(raw) != expected:
        _refuse(f"{len(raw):,} of {expected:,} bytes", "a whole file", "save it again")
    from growth.heatmap import kernels

    rows = np.frombuffer(raw, np.uint8).reshape(height, stride + 1).copy()
    if not kernels.unfilter(rows, max(1, bits // 8)):
        _refuse("filtered in an unknown way", "a plain PNG", "save it again")
    values = _samples(rows[:, 1:], width, depth, CHANNELS[kind])
    return _colours(values, kind, depth, palette, clear)


def _refuse(seen: str, expected: str, hint: str) -> NoReturn:
    msg = f"the screenshot is {seen}; it must be {expected}; {hint}."
    raise ParameterError(msg, code="bad_screenshot")


def _chunks(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the packed pixels, palette and transparency."""
    found: dict[bytes, list[bytes]] = {b"IDAT": [], b"PLTE": [], b"tRNS": []}
    at = 8
    while at + 8 <= len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind = data[at + 4 : at + 8]
        if kind in found:
            found[kind].append(data[at + 8 : at + 8 + size])
        at += 12 + size
    packed, palette, clear = (b"".join(parts) for parts in found.values())
    return packed, palette, clear


def _samples(rows: NDArray[np.uint8], width: int, depth: int, channels: int) -> Any:  # noqa: ANN401
    """Return samples of 8 bits or less, shape (height, width, channels)."""
    height = len(rows)
    if depth == 16:
        rows = rows[:, ::2]
    elif depth < 8:
        bits = np.unpackbits(rows, axis=1).reshape(height, -1, depth)
        weights = 1 << np.arange(depth)[::-1]
        rows = (bits * weights).sum(axis=2).astype(np.uint8)[:, : width * channels]
    return rows.reshape(height, width, channels)


def _colours(
    values: NDArray[np.uint8], kind: int, depth: int, palette: bytes, clear: bytes
) -> NDArray[np.uint8]:
    if kind == INDEXED:
        table = np.zeros((256, 4), np.uint16)
        table[:, 3] = 255
        known = np.frombuffer(palette[: len(palette) // 3 * 3], np.uint8).reshape(-1, 3)
        if not len(known):
            _refuse("without its palette", "a whole file", "save it again")
        table[: len(known), :3] = known
        table[: len(clear), 3] = np.frombuffer(clear, np.uint8)
        colour, alpha = table[values[:, :, 0], :3], table[values[:, :, 0], 3]
    else:
        wide = values.astype(np.uint16)
        if kind == GREY and depth < 8:
            wide = wide * 255 // ((1 << depth) - 1)
        has_alpha = kind in (GREY_ALPHA, RGBA)
        alpha = wide[:, :, -1] if has_alpha else np.full(wide.shape[:2], 255)
        colour = wide[:, :, :-1] if has_alpha else wide
        if colour.shape[2] == 1:
            colour = np.repeat(colour, 3, axis=2)
    if int(alpha.min()) == 255:
        return colour.astype(np.uint8)
    share = alpha[:, :, None] / 255
    return np.asarray((colour * share + 255 * (1 - share)).round(), dtype=np.uint8)
