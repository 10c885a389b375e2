"""Breakdowns of files: read with the events, the same as of any table."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from growth import funnel
from growth.funnel.tables import reading
from tests.funnel import reference
from tests.funnel.made import ASKED, at, log

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


def by_hand(columns, parts, rules, attribution, window):
    """Return users (or parts) by value and level, one by one by the reference."""
    found = Counter()
    who, minutes, what, shop, part = columns
    asked = reference.Rules(
        steps=3, window=window, last=10**15, order=rules.get("order", "ordered"),
        equal=(0, 1, 2),
    )  # fmt: skip
    for person in np.unique(who):
        mine = who == person
        held = [mine & (part == x) for x in range(2)] if parts else [mine]
        best = []
        for inside in held:
            log_of = [
                reference.Event(int(t), (int(w),))
                for t, w in zip(minutes[inside], what[inside], strict=True)
                if w < 3
            ]
            best.append((reference.measure(log_of, asked), inside))
        if rules.get("count") != "sessions":
            best = [
                min(
                    best,
                    key=lambda x: (
                        -x[0].level,
                        x[0].times[-1:],
                        [-t for t in x[0].times],
                    ),
                )
            ]
        for chain, inside in best:
            if not chain.level:
                continue
            if attribution.startswith("step_"):
                k = int(attribution[5:])
                value = "not reached"
                if chain.level >= k:
                    value = shop[minutes == chain.times[k - 1]][0]
            else:
                near = inside if rules.get("count") == "sessions" else mine
                if attribution == "last":
                    near = near & (minutes <= chain.times[-1])
                order = np.argsort(minutes[near])
                known = [v for v in shop[near][order] if v is not None]
                value = None
                if known:
                    value = known[0 if attribution == "first" else -1]
            for level in range(1, chain.level + 1):
                found[value, level] += 1
    return found


@pytest.mark.parametrize("attribution", ["step_1", "step_2", "first", "last"])
@pytest.mark.parametrize(
    ("rules", "shops", "minutes"),
    [
        ({"hold": "session_id"}, 3, 9_000),
        ({"hold": "session_id"}, 30, 9_000),
        ({"count": "sessions"}, 3, 9_000),
        ({}, 2_000, 14_000),  # a key with no room for the value
        ({"order": "any"}, 3, 9_000),
        ({"order": "any"}, 30, 9_000),
    ],
    ids=["hold", "hold-many", "sessions", "wide", "any", "any-many"],
)
def test_a_breakdown_is_the_references_one_by_one(
    rules, shops, minutes, attribution, tmp_path
):
    rng = np.random.default_rng(8)
    n = 3000
    hidden = None, *(f"s{i:04}" for i in range(shops))
    who, part = rng.integers(0, 200, n), rng.integers(0, 3, n)
    when = rng.permutation(minutes)[:n]
    what = rng.choice(4, n, p=[0.35, 0.25, 0.25, 0.15])
    shop = np.array([hidden[i] for i in rng.integers(0, shops + 1, n)], object)
    parts = bool({"hold", "count"} & set(rules))
    rows = pa.table(
        {
            "user_id": [f"u{p}" for p in who],
            "ts": [at(m / 60) for m in when.tolist()],
            "event": [[*STEPS, "tap"][w] for w in what],
            "shop": pa.array(shop.tolist(), pa.string()),
            "session_id": [
                None if x == 2 else f"{p}.{x}" for p, x in zip(who, part, strict=True)
            ],
        }
    )
    pq.write_table(rows, tmp_path / "log.parquet", row_group_size=700)
    window = 60 * 24 * 2
    wanted = by_hand((who, when, what, shop, part), parts, rules, attribution, window)
    asked = rules | {"steps": STEPS, "by": "shop", "attribution": attribution}
    asked |= ASKED | {"window": "2d"}
    for source in (rows, tmp_path / "log.parquet"):
        result = funnel.measure(source, **asked)
        got = {(s.by[0][1], s.step): s.reached for s in result.steps if s.reached}
        assert got == wanted
    assert len(wanted) > 6


def test_a_value_of_steps_in_any_order_is_that_of_the_event_that_took_the_step():
    rows = log(
        ("a", 1, "pay"), ("a", 2, "view"),
        ("b", 1, "view"), ("b", 2, "pay"),
        shop=["first", "second", "x", "y"],
    )  # fmt: skip
    asked = ASKED | {"steps": ["view", "pay"], "order": "any", "by": "shop"}
    result = funnel.measure(rows, **asked)
    assert [(s.by[0][1], s.reached) for s in result.steps if s.step == 2] == [
        ("first", 1), ("x", 1)
    ]  # fmt: skip
    days = funnel.trend(rows, **asked).days
    assert {d.by[0][1] for d in days if d.entered} == {"first", "x"}
