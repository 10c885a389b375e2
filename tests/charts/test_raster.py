import struct
import zlib

import numpy as np
import pytest

from growth.charts.raster import as_url, palette_png
from growth.errors import ParameterError

COLOURS = ["#ffffff", "#cfe1f5", "#0b5cad"]


def parts(png):
    """Return the chunks of a PNG by kind, their checksums checked."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    found, rest = {}, png[8:]
    while rest:
        (length,) = struct.unpack(">I", rest[:4])
        kind, data = rest[4:8], rest[8 : 8 + length]
        assert rest[8 + length : 12 + length] == struct.pack(
            ">I", zlib.crc32(kind + data)
        )
        found[kind.decode()] = data
        rest = rest[12 + length :]
    return found


def test_a_grid_is_a_picture_of_one_pixel_a_cell():
    cells = np.random.default_rng(1).integers(0, 3, (40, 70))
    held = parts(palette_png(cells, COLOURS))
    assert list(held) == ["IHDR", "PLTE", "IDAT", "IEND"]
    assert struct.unpack(">IIBB", held["IHDR"][:10]) == (70, 40, 8, 3)
    assert held["PLTE"].hex() == "ffffffcfe1f50b5cad"
    lines = np.frombuffer(zlib.decompress(held["IDAT"]), np.uint8).reshape(40, 71)
    assert (lines[:, 0] == 0).all()
    assert (lines[:, 1:] == cells).all()


def test_a_colour_may_let_what_is_behind_show():
    held = parts(palette_png(np.array([[0, 1]]), COLOURS, clear=0))
    assert held["tRNS"] == b"\x00\xff\xff"


def test_the_same_grid_gives_the_same_few_bytes():
    cells = np.add.outer(np.arange(90), np.arange(90)) // 60
    assert palette_png(cells, COLOURS) == palette_png(cells.copy(), COLOURS)
    assert len(as_url(palette_png(cells, COLOURS))) < 2000


@pytest.mark.parametrize(
    ("cells", "code", "told"),
    [
        (np.zeros((0, 3), int), "bad_grid", r"shape \(0, 3\)"),
        (np.zeros(3, int), "bad_grid", r"shape \(3,\)"),
        (np.zeros((2, 2)), "bad_grid", "float64"),
        (np.array([[0, 3]]), "bad_palette", "0 to 3 of 3"),
        (np.array([[-1, 0]]), "bad_palette", "-1 to 0"),
    ],
)
def test_what_is_no_grid_of_these_colours_is_refused(cells, code, told):
    with pytest.raises(ParameterError, match=told) as info:
        palette_png(cells, COLOURS)
    assert info.value.code == code
