"""Retention on Spark: every number must be DuckDB's."""

from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest

from growth import engine, retention, synth
from tests.retention.made import log, table

pytestmark = pytest.mark.spark
ASKED = {
    "start": date(2026, 3, 2),
    "end": date(2026, 3, 9),
    "as_of": date(2026, 3, 13),
    "horizon": 4,
}
COLUMNS = {"amount": pa.int64(), "place": pa.string()}


@pytest.fixture(scope="module")
def both(spark):
    """Return the same log on both engines, one user of it unknown."""
    events = log(np.random.default_rng(3), users=150, rows=900, days=14)
    events.append(events[0] | {"user": None})
    rows = table(events, **COLUMNS)
    return engine.as_table(rows), engine.as_table(rows, connection=spark)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"mode": "every", "match": "on_or_after", "follow_up": 1},
        {"mode": "first_in_range", "by": ["place", "amount"]},
        {"mode": "every", "by": "place", "clock": "rolling_24h", "min_occurrences": 2},
        {
            "start_event": retention.Event("open", where=[{"col": "amount", "gt": 1}]),
            "return_event": ["pay", "share"],
            "period": "week",
        },
    ],
    ids=["plain", "every", "by", "rolling", "filter"],
)
def test_a_triangle_is_the_same_on_both_engines(both, asked):
    duck, spark = (retention.measure(t, **ASKED, **asked) for t in both)
    assert spark.to_dict() == duck.to_dict()
    assert duck.users > 10


def test_a_lifecycle_is_the_same_on_both_engines(both):
    asked = {name: ASKED[name] for name in ("start", "end", "as_of")}
    duck, spark = (retention.lifecycle(t, **asked) for t in both)
    assert spark.to_dict() == duck.to_dict()


def test_revenue_and_starts_of_a_table_are_the_same_on_both_engines(spark):
    rng = np.random.default_rng(8)
    n = 600
    begin = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
    ts = ((begin + rng.integers(0, 12 * 86_400, n)) * 1000).astype(np.int64)
    orders = pa.table(
        {
            "user_id": [f"u{x}" for x in rng.integers(0, 80, n)],
            "pay_ts": pa.array(ts, pa.timestamp("ms", "UTC")),
            "paid_fen": pa.array(rng.integers(1, 9000, n), pa.int64()),
            "refund_fen": pa.array([None, 5] * (n // 2), pa.int64()),
        }
    )
    starts = pa.table(
        {
            "user_id": [f"u{x}" for x in range(80)],
            "ts": pa.array([datetime(2026, 3, 4, tzinfo=UTC)] * 80),
            "arm": ["x", None] * 40,
        }
    )
    sides = [{}, {"connection": spark}]
    duck, there = (
        retention.revenue(
            engine.as_table(orders, **side),
            starts=engine.as_table(starts, **side),
            by="arm",
            **{**ASKED, "period": "day"},
        )
        for side in sides
    )
    assert there.to_dict() == duck.to_dict()


def test_the_samples_planted_curve_comes_back_from_spark(spark):
    piece = synth.retention(seed=5, users=800, days=14, start=date(2026, 3, 1))
    result = retention.measure(
        engine.as_table(piece.data, connection=spark),
        start_event="register",
        return_event="app_launch",
        start=date(2026, 3, 1),
        end=date(2026, 3, 8),
        as_of=date(2026, 3, 14),
        horizon=6,
    )
    assert list(result.sizes[0]) == piece.truth["cohort_sizes"][:7]
    held = [
        point.low <= share <= point.high
        for point, share in zip(result.curve(), piece.truth["curve"], strict=False)
    ]
    assert sum(held) >= 6
