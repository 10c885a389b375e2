"""Rules are data: they survive every written form, and mean one thing."""

import json
import tomllib
from datetime import date

import pytest
from hypothesis import given, settings

from growth.errors import ParameterError
from growth.segments import (
    Segment,
    Tag,
    Value,
    count,
    first,
    greatest,
    load_rules,
    quantile,
    rfm,
    rules_of,
    sequence,
    tag_in,
    total,
    yuan,
)
from growth.segments.rules import toml
from tests.segments import made, random_rules

SPEC = """
schema = 1
[tag.frequency]
default = "never"
[tag.frequency.metric]
silent = {op = "recency_days", of = "orders"}
[[tag.frequency.value]]
name = "dormant"
when = {metric = "silent", gt = 90}
[tag.behaviour]
title = {zh = "行为特征", en = "Behaviour"}
population = "seen"
tz = "Asia/Shanghai"
default = "none"
[tag.behaviour.metric]
orders_30d = {op = "count", of = "orders", last = 30, where = [{col = "status",
in = ["paid", "shipped", "completed"]}]}
left_cart = {op = "without", first = "add_to_cart", then = "order_pay", within = 3,
last = 30, anchor = "last", hold = []}
[[tag.behaviour.value]]
name = "cart_abandoned"
when = {metric = "left_cart", is = true}
[[tag.behaviour.value]]
name = "buyer"
when = {all = [{metric = "orders_30d", ge = 1}, {not = {tag = "frequency",
in = ["dormant"]}}]}
""".replace("\nin ", " in ").replace(",\nlast", ", last")


def test_rules_read_from_toml_are_what_was_written():
    rules = load_rules(SPEC)
    assert rules.names == ("frequency", "behaviour")
    assert rules.order == ("frequency", "behaviour")
    behaviour = rules["behaviour"]
    assert dict(behaviour.title)["zh"] == "行为特征"
    assert dict(behaviour.metrics)["left_cart"].within == 3
    assert behaviour.names == ("cart_abandoned", "buyer", "none")


def test_a_file_is_read_by_its_path(tmp_path):
    for suffix, text in (
        (".toml", SPEC),
        (".json", load_rules(SPEC).to_json()),
    ):
        path = tmp_path / f"rules{suffix}"
        path.write_text(text, "utf-8")
        assert load_rules(path) == load_rules(SPEC)


@settings(max_examples=60)
@given(random_rules.rules())
def test_toml_json_and_python_are_one_grammar(rules):
    for text in (rules.to_toml(), rules.to_json()):
        again = load_rules(text)
        assert again == rules
        assert again.hashes() == rules.hashes()
    assert rules_of(*rules.tags) == rules
    assert json.loads(rules.to_json())["schema"] == 1


def test_the_hash_holds_what_a_rule_means_and_no_titles_or_names():
    rules = load_rules(SPEC)
    for old, new in (("Behaviour", "x"), ("orders_30d", "bought"), ("90}", "90.0}")):
        again = load_rules(SPEC.replace(old, new))
        assert again.hash("behaviour") == rules.hash("behaviour")
    assert len(rules.hash("behaviour")) == 64


def test_the_hash_changes_with_a_tag_referred_to():
    changed = load_rules(SPEC.replace("gt = 90", "gt = 91"))
    rules = load_rules(SPEC)
    assert changed.hash("behaviour") != rules.hash("behaviour")
    alone = load_rules(SPEC.replace("within = 3", "within = 4"))
    assert alone.hash("frequency") == rules.hash("frequency")


def test_python_reads_like_the_question():
    rules = made.both()
    buyer = rules["behaviour"].values[1]
    assert buyer.when.op == "all"
    assert [leaf.tag for leaf in buyer.when.leaves()] == ["", "frequency"]
    assert rules["behaviour"].refers() == ("frequency",)


def test_metrics_without_a_name_are_named_after_what_they_do():
    tag = Tag(
        "t",
        [
            Value("a", total("orders", "paid_fen", last=30) >= 100),
            Value("b", total("orders", "paid_fen", last=30) >= 50),
            Value("c", total("orders", "paid_fen", last=30, net=True) >= 9),
            Value("d", quantile(count("orders"), bins=10) >= 9),
        ],
    )
    assert [name for name, _ in tag.metrics] == [
        "sum_orders_30d_paid_fen",
        "m2_sum_orders_30d_paid_fen",
        "count_orders",
        "quantile_count_orders",
    ]


def test_conditions_are_joined_by_set_algebra():
    a = Segment("a", tag_in("frequency", "frequent"))
    b = Segment("b", tag_in("behaviour", "buyer"))
    assert (a & b).op == "all"
    assert (a | b).op == "any"
    assert (a - b).parts[1].op == "not"
    assert (~a).parts == (a.when,)


def test_every_comparison_has_a_python_form():
    n = count("orders")
    ops = [n >= 1, n > 1, n <= 1, n < 1, n.equals(1), n.is_in(1, 2), n.between(1, 2)]
    assert [c.op for c in ops] == ["ge", "gt", "le", "lt", "eq", "in", "between"]
    assert n.known(known=False).value is False


def test_an_unknown_tag_is_told_the_nearest():
    with pytest.raises(ParameterError, match="Did you mean 'behaviour'") as info:
        made.both()["behavior"]
    assert info.value.code == "unknown_tag"


@pytest.mark.parametrize(
    ("text", "fen"), [("199.00", 19900), ("0.5", 50), ("-1", -100)]
)
def test_yuan_is_read_as_decimal_text(text, fen):
    assert yuan(text) == fen


@pytest.mark.parametrize("text", ["1.005", "x", "", "NaN", 1.5])
def test_yuan_is_never_guessed(text):
    with pytest.raises(ParameterError, match="decimal text") as info:
        yuan(text)
    assert info.value.code == "bad_money"


def test_text_and_dates_survive_toml():
    values = {"a": 'say "hi"\n\x7f', "b": [1, 2.5, True], "c": date(2026, 3, 1)}
    for value in values.values():
        assert tomllib.loads(f"x = {toml(value)}")["x"] == value
    assert tomllib.loads(f"x = {toml(values)}")["x"] == values


def test_metrics_write_only_what_is_not_usual():
    assert count("orders").to_data() == {"op": "count", "of": "orders"}
    steps = sequence("a", "b", "c", within=7, anchor="first")
    assert steps.to_data() == {
        "op": "sequence",
        "first": "a",
        "then": ["b", "c"],
        "within": 7,
        "anchor": "first",
    }
    assert rfm("r", bins=4).to_data()["bins"] == 4
    assert (
        first("members", "region").key == '{"col":"region","of":"members","op":"first"}'
    )
    assert greatest("orders", "paid_fen").op == "max"
