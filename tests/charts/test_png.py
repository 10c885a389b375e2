import struct
import zlib

import numpy as np
import pytest

from growth.charts.png import read_png, rgb_png
from growth.charts.raster import palette_png
from growth.errors import ParameterError


def chunk(kind, data):
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def made(rows, width, height, *, depth=8, kind=2, laced=0, more=b""):
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, laced)
    body = chunk(b"IHDR", head) + more + chunk(b"IDAT", zlib.compress(bytes(rows)))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def filtered(pixels, kind):
    """Filter each row by one of PNG's five ways, in plain Python."""
    height, width, step = pixels.shape
    flat = pixels.reshape(height, width * step).astype(int)
    out = bytearray()
    for r in range(height):
        out.append(kind)
        for i in range(width * step):
            a = flat[r, i - step] if i >= step else 0
            b = flat[r - 1, i] if r else 0
            c = flat[r - 1, i - step] if r and i >= step else 0
            p = a + b - c
            near = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            guess = (0, a, b, (a + b) // 2, near)[kind]
            out.append((flat[r, i] - guess) % 256)
    return out


@pytest.mark.parametrize("kind", range(5))
def test_every_row_filter_is_undone(kind):
    pixels = np.random.default_rng(kind).integers(0, 256, (7, 9, 3)).astype(np.uint8)
    assert (read_png(made(filtered(pixels, kind), 9, 7)) == pixels).all()


def test_what_is_written_is_read_back():
    pixels = np.random.default_rng(1).integers(0, 256, (40, 31, 3)).astype(np.uint8)
    data = rgb_png(pixels)
    assert (read_png(data) == pixels).all()
    assert b"tEXt" not in data


def test_palettes_greys_and_clear_pixels_are_read():
    indexed = palette_png(
        np.array([[0, 1], [2, 1]]), ["#000000", "#ff0000", "#00ff00"], clear=2
    )
    assert read_png(indexed).tolist() == [
        [[0] * 3, [255, 0, 0]],
        [[255] * 3, [255, 0, 0]],
    ]
    grey = made([0, 0, 128, 0, 255, 7], 2, 2, kind=0)
    assert read_png(grey)[:, :, 0].tolist() == [[0, 128], [255, 7]]
    bits = made([0, 0b10110000], 4, 1, depth=1, kind=0)
    assert read_png(bits)[0, :, 0].tolist() == [255, 0, 255, 255]
    deep = made([0, 17, 99, 34, 1, 51, 2], 1, 1, depth=16)
    assert read_png(deep).tolist() == [[[17, 34, 51]]]
    half = made([0, 100, 100, 100, 0, 0, 0, 0, 255], 2, 1, kind=6)
    assert read_png(half).tolist() == [[[255] * 3, [0] * 3]]
    pale = made([0, 10, 255], 1, 1, kind=4)
    assert read_png(pale).tolist() == [[[10] * 3]]


GOOD = made([0, 1, 2, 3], 1, 1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"GIF89a" + bytes(40), "no PNG"),
        (bytes(20_000_001), "20,000,001 bytes; it must be at most 20,000,000"),
        (made([], 10_000, 10_000), "10000 x 10000 pixels; .*scale it down"),
        (made([0, 1], 0, 1), "0 x 1 pixels"),
        (made([0, 1, 2, 3], 1, 1, laced=1), "interlaced"),
        (made([0, 1, 2, 3], 1, 1, kind=5), "unknown kind"),
        (made([0, 1], 1, 1), "2 of 4 bytes; .*save it again"),
        (made([9, 1, 2, 3], 1, 1), "filtered in an unknown way"),
        (made([0, 1], 1, 1, kind=3), "without its palette"),
        (GOOD[:45] + b"\0\0\0" + GOOD[48:], "broken"),
    ],
)
def test_a_file_that_is_no_screenshot_is_refused(data, message):
    with pytest.raises(ParameterError, match=message) as info:
        read_png(data)
    assert info.value.code == "bad_screenshot"
