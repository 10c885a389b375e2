"""The sample merchant keeps a ledger by other code: the rules must give the same."""

import json
from datetime import date

import pytest

import growth
from growth import engine, synth, tiers


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiers") / "sample"
    synth.sample(folder, seed=7, users=500)
    return folder


@pytest.fixture(scope="module")
def books(sample):
    data = growth.open(sample)
    enrolled = data.members.filter(data.members.tier.notnull())
    orders = data.orders.semi_join(enrolled, "user_id")
    ledger = data.points_ledger
    acts = ledger.filter(ledger.reason.isin(["login", "review"]))
    return {
        "orders": orders,
        "refunds": data.refunds.semi_join(orders, "order_id"),
        "interactions": acts.select("user_id", "ts", event=acts.reason),
        "ledger": ledger,
        "enrolled": enrolled,
        "truth": json.loads((sample / "truth.json").read_text("utf-8")),
        "programme": tiers.load_programme(sample / "programme.toml"),
    }


def replayed(books, **over):
    given = {k: books[k] for k in ("refunds", "interactions", "ledger")} | over
    as_of = date.fromisoformat(books["truth"]["as_of"])
    return tiers.replay(books["orders"], books["programme"], as_of=as_of, **given)


def test_the_samples_points_are_given_to_the_integer(books):
    found = replayed(books)
    totals = {
        name: sum(row[name] for row in found.rows())
        for name in books["truth"]["points"]
    }
    assert totals == books["truth"]["points"]
    assert found.verdict == "tiers.replay.agrees"
    assert (found.bad_rows, found.disagreements) == (0, ())


def test_every_members_tier_and_balance_is_the_one_on_record(books):
    names = books["programme"].names
    ours = {
        row["user_id"]: (names.index(row["tier"]), row["active"])
        for row in replayed(books).member_rows()
    }
    columns = ("user_id", "tier", "points_balance")
    theirs = engine.fetch(books["enrolled"].select(*columns), "test").to_pylist()
    assert len(theirs) >= len(ours) > 200
    for row in theirs:
        expected = (row["tier"], row["points_balance"])
        assert ours.get(row["user_id"], (0, 0)) == expected


def test_points_slipped_into_the_ledger_are_found(books):
    import pandas as pd

    columns = ("user_id", "ts", "kind", "points")
    rows = engine.fetch(books["ledger"].select(*columns), "test").to_pandas()
    lucky = rows["user_id"].iloc[0]
    slipped = rows.iloc[[0]].assign(points=5000, kind="earn")
    found = replayed(books, ledger=pd.concat([rows, slipped]))
    assert [(user, held - ours) for user, held, ours in found.disagreements] == [
        (lucky, 5000)
    ]


def test_a_dearer_programme_is_judged_on_the_same_orders(books):
    """The audit's other use: who would have had what under other rules."""
    dearer = books["programme"].change({"tiers.1.min_spend_fen": 100_000})
    as_of = date.fromisoformat(books["truth"]["as_of"])
    given = {"as_of": as_of, "refunds": books["refunds"]}
    now, new = (
        tiers.replay(books["orders"], p, **given).rows()
        for p in (books["programme"], dearer)
    )
    assert new[1]["members"] < now[1]["members"]
    assert sum(r["members"] for r in new) == sum(r["members"] for r in now)
