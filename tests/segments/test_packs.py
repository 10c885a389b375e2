"""Packs are read, cut as asked, and find in the sample what was planted there."""

import json
from collections import Counter
from datetime import date
from functools import partial

import numpy as np
import pytest

import growth
from growth import engine, synth
from growth.errors import ParameterError
from growth.segments import (
    Tag,
    Value,
    count,
    load_rules,
    packs,
    rule,
    rules_of,
    tag,
    total,
)
from tests.segments.made import event, order

SEED, USERS = 11, 2500
DAY = date(2026, 3, 10)


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("segments") / "sample"
    synth.sample(folder, seed=SEED, users=USERS)
    return growth.open(folder), json.loads((folder / "truth.json").read_text("utf-8"))


def told(found, name):
    return Counter(engine.fetch(found)[name].to_pylist())


@pytest.mark.parametrize("name", packs.NAMES)
def test_each_pack_is_sound_and_titled_in_both_languages(name):
    rules = load_rules(packs.load(name))
    for one in rules:
        assert dict(one.title).keys() == {"en", "zh"}
        assert all(dict(v.title).keys() == {"en", "zh"} for v in one.values)
    assert load_rules(rules.to_toml()) == rules


def test_the_values_are_those_of_the_guide():
    rules = packs.rules()
    assert rules["frequency"].names == (
        "frequent",
        "active",
        "cooling",
        "dormant",
        "never",
    )
    assert rules["order_value"].names == ("high_net_worth", "regular", "no_order")
    assert rules["behaviour"].names == (
        "cart_abandoned", "browsed_not_bought", "buyer", "visitor",
    )  # fmt: skip
    assert rules["wake_up"].names == ("call_now", "try_once", "leave", "not_due")
    assert rules["rfm"].names[-1] == "no_order"
    assert len(rules["rfm"].values) == 8


def test_thresholds_are_arguments():
    assert "ge = 19900" in packs.load("order_value", high_fen=19900)
    assert 'eq = "pages/p"' in packs.load("behaviour", item_path="pages/p")
    assert "max_per_week = 2" in packs.load("reach", max_per_week=2)
    own = packs.rules("persona", region_col="province", regions=["BJ"], ages=["<18"])
    assert own["region"].names == ("rbj", "unknown")
    joined = packs.rules("frequency", "behaviour", active_days=7, cart_days=1)
    assert "active_days" not in joined.to_toml()
    assert "lt = 7" in joined.to_toml()
    assert packs.rules("rfm", tz="UTC")["rfm"].tz == "UTC"


@pytest.mark.parametrize(
    ("call", "code", "told"),
    [
        (lambda: packs.load("frequncy"), "unknown_pack", "Did you mean 'frequency'"),
        (lambda: packs.load("rfm", cut=1), "unknown_threshold", "Did you mean 'cuts'"),
        (
            lambda: packs.rules("rfm", active_dys=1),
            "unknown_threshold",
            "none of",
        ),
        (lambda: packs.rules("rmf"), "unknown_pack", "Did you mean 'rfm'"),
    ],
)
def test_misspellings_are_told(call, code, told):
    with pytest.raises(ParameterError, match=told) as info:
        call()
    assert info.value.code == code


def test_what_a_user_did_gives_the_value_of_the_guide():
    behaviour = rule(packs.rules("behaviour"), "behaviour")
    item, cart, pay = (
        partial(event, name, page_path=path)
        for name, path in (
            ("page_view", "pages/item/detail"),
            ("add_to_cart", "pages/item/detail"),
            ("order_pay", "pages/pay"),
        )
    )
    home = event("page_view", 9, page_path="pages/home/index")
    for rows, value in (
        ([item(10)], "browsed_not_bought"),
        ([item(10), cart(9)], "cart_abandoned"),
        ([item(10), cart(9), pay(8)], "visitor"),
        ([home], "visitor"),
        ([item(1)], "visitor"),  # too young to say
    ):
        assert behaviour.value_for({"events": rows}, as_of=DAY) == value
    bought = {"events": [item(10), pay(9)], "orders": [order(9)]}
    assert behaviour.value_for(bought, as_of=DAY) == "buyer"
    frequency = rule(packs.rules("frequency"), "frequency")
    for ago, value in (
        (29, "active"),
        (30, "cooling"),
        (89, "cooling"),
        (90, "dormant"),
    ):
        assert frequency.value_for({"orders": [order(ago)]}, as_of=DAY) == value


def test_the_planted_personas_are_found(sample):
    data, truth = sample
    as_of = date.fromisoformat(truth["as_of"])
    rules = load_rules(packs.load("persona").replace('"seen"', '"members"'))
    found = tag(data, rules, as_of=as_of)
    region = told(found, "region")
    assert sum(region.values()) == USERS
    for code, share in truth["personas"]["region"].items():
        assert region[f"r{code}"] / USERS == pytest.approx(share, abs=0.04)
    age = told(found, "age")
    counts = truth["personas"]["level_by_age_users"]
    for band, value in (("18-24", "a18_24"), ("25-34", "a25_34"), ("45+", "a45_up")):
        assert age[value] == sum(level[band] for level in counts.values())


def test_spending_power_follows_the_level_that_was_planted(sample):
    data, truth = sample
    as_of = date.fromisoformat(truth["as_of"])
    rules = packs.rules("persona")
    rows = engine.fetch(tag(data, rules, as_of=as_of)).to_pylist()
    young = {"high": [], "low": []}
    for row in rows:
        if row["spending_power"] in young:
            young[row["spending_power"]].append(row["age"] == "a18_24")
    shares = {level: np.mean(flags) for level, flags in young.items()}
    # planted: 10 % of high spenders and 45 % of low ones are that young
    assert shares["low"] - shares["high"] > 0.15
    orders = [
        row["spending_power"] for row in rows if row["spending_power"] != "no_order"
    ]
    tenths = Counter(orders)
    assert tenths["high"] / len(orders) == pytest.approx(0.2, abs=0.01)


def test_the_planted_dormant_are_found(sample):
    data, truth = sample
    as_of = date.fromisoformat(truth["as_of"])
    days = (date.fromisoformat(truth["end"]) - date.fromisoformat(truth["start"])).days
    rules = rules_of(
        Tag("d", [Value("dormant", count("events", last=days).equals(0))],
            population="members"),
    )  # fmt: skip
    found = told(tag(data, rules, as_of=as_of), "d")["dormant"]
    woken = truth["wake"]["held_out_back"] + truth["wake"]["targeted_back"]
    asleep = truth["people"]["dormant"] - woken
    # besides them only those who come so seldom that they missed the whole log
    assert asleep <= found
    assert (found - asleep) / USERS < 0.06


def test_wake_up_calls_nobody_who_is_on_time(sample):
    data, truth = sample
    as_of = date.fromisoformat(truth["as_of"])
    rules = rules_of(
        packs.rules("wake_up", "frequency"),
        Tag("spent", [Value("x", total("orders", "paid_fen") > 0)]),
    )
    rows = engine.fetch(tag(data, rules, as_of=as_of)).to_pylist()
    due = [row for row in rows if row["wake_up"] in ("call_now", "try_once", "leave")]
    assert due
    assert {row["spent"] for row in due} == {"x"}
    assert not any(row["frequency"] == "never" for row in due)
