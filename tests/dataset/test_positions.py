import ibis
import pyarrow as pa
import pytest

from growth.dataset import with_positions
from growth.errors import ColumnNotFoundError


def positions(**columns):
    types = {"platform": pa.string()}
    arrays = {n: pa.array(v, types.get(n, pa.float32())) for n, v in columns.items()}
    return with_positions(ibis.memtable(pa.table(arrays))).to_pyarrow().to_pylist()


def test_device_classes():
    rows = positions(
        x_px=[1] * 5,
        y_px=[1] * 5,
        win_w_px=[375, 800, 768, 375, None],
        win_h_px=[667, 600, 1024, 667, 667],
        platform=["ios", "ios", None, "devtools", "ios"],
    )
    classes = ["phone", "wide", "tablet", "wide", None]
    assert [row["device_class"] for row in rows] == classes


def test_what_is_not_in_the_table_is_unknown():
    (row,) = positions(x_px=[75], y_px=[10], win_w_px=[300])
    assert (row["x_norm"], row["y_rpx"]) == (0.25, 25)
    assert (row["first_screen"], row["page_h_rpx"]) == (None, None)
    assert row["device_class"] == "phone"


def test_a_missing_position_is_told():
    with pytest.raises(ColumnNotFoundError, match=r"'win_w_px' not found.*heatmaps"):
        positions(x_px=[1], y_px=[1])
