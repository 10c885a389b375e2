"""With the log of users and without it: one result."""

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from growth import funnel
from growth.engine import layouts
from growth.funnel import Exclusion, Step
from tests.funnel.made import ASKED, at, codes, reached

STEPS = ["view", "cart", "pay"]


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    """Return a folder of events that has its layouts, and one that has none."""
    rng = np.random.default_rng(12)
    above = tmp_path_factory.mktemp("kept")
    for part in range(3):
        n = 1500
        table = pa.table(
            {
                "user_id": [f"u{i}" for i in rng.integers(0, 150, n)],
                "ts": [
                    at(float(h)) for h in np.round(rng.random(n) * 400 + 300 * part)
                ],
                "event": rng.choice([*STEPS, "tap", "share"], n),
                "shop": rng.integers(0, 3, n),
            }
        )
        for name in ("kept", "bare"):
            (above / name).mkdir(exist_ok=True)
            pq.write_table(table, above / name / f"{part}.parquet")
    layouts.refresh(above / "kept", log=True)
    return above


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"order": "strict"},
        {"order": "any"},
        {"count": "totals"},
        {"entry": "first", "repeats": "break"},
        {"exclude": [Exclusion("share")], "exclusion": "user"},
        {"steps": ["view", Step("*", optional=True), Step("pay", min_gap="2h")]},
        {"steps": ["view", "gone", "pay"]},
        {"as_of": date(2026, 3, 12), "immature": "keep"},
    ],
    ids=lambda rules: "-".join(rules) or "plain",
)
def test_the_log_of_users_gives_what_the_events_give(events, rules, monkeypatch):
    asked = ASKED | {"steps": STEPS} | rules
    bare = funnel.measure(str(events / "bare"), **asked)
    read = []
    log = layouts.Layout.map_log

    def watched(self, *args, **bounds):
        read.append(args)
        return log(self, *args, **bounds)

    monkeypatch.setattr(layouts.Layout, "map_log", watched)
    kept = funnel.measure(str(events / "kept"), **asked)
    assert read
    assert kept.to_dict() == bare.to_dict()
    assert reached(kept)[0] > 0
    if "immature" not in rules:
        days = funnel.trend(str(events / "kept"), **asked)
        assert days.to_dict() == funnel.trend(str(events / "bare"), **asked).to_dict()


@pytest.mark.parametrize(
    "rules",
    [
        {"by": "shop"},
        {"hold": "shop"},
        {"count": "sessions"},
        {"steps": [Step("view", where=[{"col": "shop", "eq": 1}]), "pay"]},
    ],
    ids="-".join,
)
def test_what_the_log_of_users_does_not_hold_comes_from_the_events(events, rules):
    asked = ASKED | {"steps": STEPS} | rules
    kept = funnel.measure(str(events / "kept"), **asked)
    assert kept.to_dict() == funnel.measure(str(events / "bare"), **asked).to_dict()


def test_a_stale_log_is_not_used_and_told(events):
    more = pa.table(
        {
            "user_id": ["new", "new"],
            "ts": [at(1), at(2)],
            "event": ["view", "cart"],
            "shop": [0, 0],
        }
    )
    asked = ASKED | {"steps": STEPS}
    before = reached(funnel.measure(str(events / "kept"), **asked))
    pq.write_table(more, events / "kept" / "9.parquet")
    result = funnel.measure(str(events / "kept"), **asked)
    assert "layout_stale" in codes(result)
    assert reached(result) == [before[0] + 1, before[1] + 1, before[2]]
    layouts.refresh(events / "kept", log=True)
    fresh = funnel.measure(str(events / "kept"), **asked)
    assert "layout_stale" not in codes(fresh)
    assert reached(fresh) == reached(result)
