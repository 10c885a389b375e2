"""Breakdowns of files: read with the events, the same as of any table."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from growth import funnel
from growth.funnel.tables import reading
from tests.funnel.made import ASKED, at

STEPS = ["view", "cart", "pay"]


def broken_down(source, by, **rules):
    result = funnel.measure(source, steps=STEPS, by=by, **ASKED, **rules)
    found = [(s.by, s.step, s.reached) for s in (*result.totals, *result.steps)]
    return found, [(t.by, t.from_step, t.step, t.n, t.p50_s) for t in result.times]


@pytest.mark.parametrize("by", [["shop"], ["entry"], ["entry", "shop"]])
@pytest.mark.parametrize(
    "rules", [{}, {"attribution": "step_2"}, {"entry": "first"}, {"order": "strict"}]
)
def test_a_breakdown_of_files_is_read_with_the_events(tmp_path, by, rules, monkeypatch):
    rng = np.random.default_rng(5)
    n = 3000
    rows = pa.table(
        {
            "user_id": [f"u{i}" for i in rng.integers(0, 200, n)],
            "ts": [at(float(h)) for h in np.round(rng.random(n) * 900)],
            "event": rng.choice([*STEPS, "tap"], n),
            "shop": pa.array(rng.integers(0, 3, n), pa.int16()),
            "entry": pa.array(
                [(None, "scan", "link")[i] for i in rng.integers(0, 3, n)]
            ),
        }
    )
    wanted = broken_down(rows, by, **rules)
    pq.write_table(rows, tmp_path / "log.parquet", row_group_size=500)
    looked = []
    real = reading.combinations
    monkeypatch.setattr(
        reading, "combinations", lambda *a: looked.append(a) or real(*a)
    )
    assert broken_down(tmp_path / "log.parquet", by, **rules) == wanted
    assert looked == []


def test_a_breakdown_by_very_many_values_of_files_is_the_same(tmp_path):
    n = 6000
    rows = pa.table(
        {
            "user_id": [f"u{i % 1500}" for i in range(n)],
            "ts": [at(i / 10) for i in range(n)],
            "event": [STEPS[i // 1500 % 3] for i in range(n)],
            "page": [f"page {i % 1300}" for i in range(n)],
        }
    )
    pq.write_table(rows, tmp_path / "log.parquet")
    wanted = broken_down(rows, ["page"])
    assert len({by for by, _, _ in wanted[0]}) > 1000
    assert broken_down(tmp_path / "log.parquet", ["page"]) == wanted
