"""Heatmaps on Spark: every number must be DuckDB's."""

import pyarrow as pa
import pytest

from growth import engine, heatmap
from tests.heatmap.made import many

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def both(spark):
    """Return the same taps on both engines, some of them views and impressions."""
    rows = many(4, n=500, users=60)
    kinds = ["tap", "tap", "page_view", "tap", "impression", "scroll"]
    n = len(rows)
    rows = rows.append_column("event", pa.array([kinds[i % 6] for i in range(n)]))
    rows = rows.append_column(
        "element_id", pa.array([["buy", "nav", None][i % 3] for i in range(n)])
    )
    rows = rows.append_column(
        "scroll_y_px", pa.array([i % 7 * 90.0 for i in range(n)], pa.float32())
    )
    return engine.as_table(rows), engine.as_table(rows, connection=spark)


ARMS = pa.table(
    {"unit_id": [f"u{i}" for i in range(60)], "variant": ["A", "B"] * 30}
)  # one row a user


@pytest.mark.parametrize(
    ("verb", "asked"),
    [
        (heatmap.aggregate, {"users": True, "by": "day", "cell_rpx": 50}),
        (heatmap.aggregate, {"mode": "elements"}),
        (heatmap.aggregate, {"user_shard": (1, 3), "page": ["p0", "p1"]}),
        (heatmap.first_screen, {"page": "p0"}),
        (heatmap.scroll, {}),
        (heatmap.elements, {"where": [{"col": "x_px", "ge": 0}]}),
        (heatmap.frustration, {"taps": 2, "gap_ms": 6000}),
        (heatmap.compare, {"page": "p1", "assignments": ARMS, "rounds": 49}),
    ],
    ids=["cells", "elements", "shard", "core", "reach", "rank", "rage", "arms"],
)
def test_every_number_is_the_same_on_both_engines(both, verb, asked):
    duck, spark = (verb(table, **asked) for table in both)
    assert spark.to_dict() == duck.to_dict()
