"""Members of clusters, strata and lists of values, built from canonical tables."""

import numpy as np
import pytest

from growth.abtest import analyze
from growth.errors import ColumnNotFoundError
from growth.stats import quantiles
from tests.abtest.made import experiment, metric
from tests.abtest.test_unit_table import (
    GMV,
    PAY,
    assigned,
    built,
    by_unit,
    order,
    stamp,
)

SHARED = {"unit": "cluster", "cluster": "share_group"}


def shared(user, at, source=None, group=None, event="page_view", **extra):
    keys = {"share_from": source, "group_id": group}
    return {"user_id": user, "ts": at, "event": event, **keys, **extra}


def test_the_share_group_is_who_had_brought_whom_at_the_first_exposure(tmp_path):
    events = [
        shared("a", stamp(0.1)),
        shared("b", stamp(0.2), source="a"),  # a brought b before b's exposure
        shared("c", stamp(0.2), source="x"),  # x, never exposed, brought c and d
        shared("d", stamp(0.2), source="x"),
        shared("e", stamp(0.2), group="a"),  # a chat group that is called like a user
        shared("f", stamp(0.3), group="a"),
        shared("g", stamp(2), source="a"),  # after the exposure: an outcome
        shared("h", stamp(-40), source="a"),  # longer ago than breakdowns look back
        shared("k", stamp(0.5), source="b"),  # with the exposure itself
    ]
    units = built(
        tmp_path,
        [assigned(u, "A", stamp(0.5)) for u in "abcdefghk"],
        [order("a", stamp(1))],
        experiment(GMV, start="2026-02-01", **SHARED),
        events=events,
    )
    groups = by_unit(units, "share_group")
    assert groups == {
        **dict.fromkeys("abk", "a"),
        **dict.fromkeys("cd", "c"),
        **dict.fromkeys("ef", "e"),
        "g": "g",
        "h": "h",
    }


def test_share_groups_are_analysed_as_clusters(tmp_path):
    rng = np.random.default_rng(1)
    users = [f"u{i:03}" for i in range(120)]
    head = {u: users[i // 4 * 4] for i, u in enumerate(users)}
    arm = {u: "AB"[int(h[1:]) // 4 % 2] for u, h in head.items()}
    spent = {u: int(rng.integers(1, 900)) for u in users}
    units = built(
        tmp_path,
        [assigned(u, arm[u], stamp(0.5)) for u in users],
        [order(u, stamp(1), spent[u]) for u in users],
        experiment(GMV, PAY, **SHARED),
        events=[
            shared(u, stamp(0.1), head[u], f"g{head[u]}") for u in users if head[u] != u
        ],
    )
    effect = analyze(units, units.experiment).effects[0]
    assert (effect.n_control, effect.n_treatment) == (15, 15)
    assert effect.method == "clusters"
    means = [np.mean([spent[u] for u in users if arm[u] == a]) for a in "AB"]
    assert (effect.mean_control, effect.mean_treatment) == pytest.approx(means)


def test_a_cluster_may_be_what_was_known_at_exposure(tmp_path):
    units = built(
        tmp_path,
        [assigned(u, "AB"[i % 2], stamp(0.5)) for i, u in enumerate("abcd")],
        [order("a", stamp(1))],
        experiment(GMV, unit="cluster", cluster="store_id"),
        events=[
            shared(u, stamp(0.1), u, u, store_id=f"s{i % 2}")
            for i, u in enumerate("abcd")
        ],
    )
    assert by_unit(units, "store_id") == {"a": "s0", "b": "s1", "c": "s0", "d": "s1"}


def test_share_groups_need_a_column_of_sharing(tmp_path):
    event = {"user_id": "a", "ts": stamp(0.1), "event": "page_view"}
    with pytest.raises(ColumnNotFoundError, match=r"share_from.*share groups"):
        built(
            tmp_path,
            [assigned("a", "A", stamp(0.5))],
            [order("a", stamp(1))],
            experiment(GMV, **SHARED),
            events=[event],
        )


def test_quantiles_of_events_and_strata_are_built(tmp_path):
    rng = np.random.default_rng(2)
    users = [f"u{i}" for i in range(80)]
    arm = dict(zip(users, rng.choice(["A", "B"], 80), strict=True))
    paid = {
        u: rng.lognormal(6, 1, rng.integers(0, 4)).astype(int).tolist() for u in users
    }
    p90 = metric(
        "p90",
        kind="quantile",
        q=0.9,
        value={"table": "orders", "agg": "each", "column": "paid_fen"},
    )
    units = built(
        tmp_path,
        [assigned(u, arm[u], stamp(0.5)) for u in users],
        [
            order(u, stamp(1 + i / 9), f, f"{u}-{i}")
            for u in users
            for i, f in enumerate(paid[u])
        ],
        experiment(p90, metric("gmv", value=GMV["value"], stratify="platform")),
        events=[
            {"user_id": u, "ts": stamp(0.1), "event": "page_view", "platform": p}
            for u, p in zip(users, rng.choice(["ios", "android"], 80), strict=True)
        ],
    )
    quantile, gmv = analyze(units, units.experiment).effects
    flat = [(f, u) for u in users if arm[u] == "A" for f in paid[u]]
    want = quantiles.clustered_quantile(*map(list, zip(*flat, strict=True)), 0.9)
    assert quantile.mean_control == want.value
    assert quantile.se_control == pytest.approx(want.se, rel=1e-9)
    assert quantile.n_control == sum(bool(paid[u]) for u in users if arm[u] == "A")
    assert gmv.method == "post_stratified"
