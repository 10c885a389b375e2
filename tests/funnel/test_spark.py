"""The funnel on Spark: every number must be DuckDB's."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from growth import engine, funnel, synth
from growth.funnel import Exclusion, Step
from tests.funnel.made import ASKED, at, reached

pytestmark = pytest.mark.spark
STEPS = ["view", "cart", "pay"]
FEBRUARY = {
    "start": date(2026, 2, 1),
    "end": date(2026, 3, 3),
    "as_of": date(2026, 3, 20),
}


@pytest.fixture(scope="module")
def both(spark):
    """Return the same log on both engines."""
    rng = np.random.default_rng(31)
    n = 3000
    hours = np.round(rng.random(n) * 300, 1)
    shops = [None if x == 0 else int(x) for x in rng.integers(0, 5, n)]
    rows = pa.table(
        {
            "user_id": [None if x == 0 else f"u{x}" for x in rng.integers(0, 250, n)],
            "ts": [at(float(h)) for h in hours],
            "event": rng.choice([*STEPS, "tap", "app_launch"], n),
            "shop": pa.array(shops, pa.int64()),
            "os": rng.choice(["ios", "android"], n),
            "scene": pa.array(rng.choice([1007, 1011, 1038], n), pa.int16()),
        }
    )
    return engine.as_table(rows), engine.as_table(rows, connection=spark)


@pytest.mark.parametrize(
    "rules",
    [
        {"by": ["os", "shop"]},
        {"order": "strict", "exclude": [Exclusion("tap")]},
        {"hold": ["os", "shop"], "count": "totals"},
        {"count": "sessions"},
        {"by": "shop", "attribution": "last"},
        {"steps": [Step("view", where=[{"col": "shop", "gt": 1}]), "cart", "pay"]},
    ],
    ids="-".join,
)
def test_a_funnel_is_the_same_on_both_engines(both, rules):
    asked = ASKED | {"steps": STEPS} | rules
    duck, spark = (funnel.measure(table, **asked) for table in both)
    assert spark.to_dict() == duck.to_dict()
    assert reached(duck)[1] > 0


def test_trend_and_paths_are_the_same_on_both_engines(both):
    for ask in (funnel.trend, funnel.paths):
        duck, spark = (ask(table, steps=STEPS, **ASKED) for table in both)
        assert spark.to_dict() == duck.to_dict()


def test_the_samples_planted_counts_come_back_from_spark(spark):
    piece = synth.funnel(seed=2, users=500)
    log = engine.as_table(piece.data, connection=spark)
    result = funnel.measure(log, steps=list(piece.truth["steps"]), **FEBRUARY)
    assert reached(result) == piece.truth["reached"]
