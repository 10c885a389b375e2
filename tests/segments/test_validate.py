"""Rules that cannot be meant are refused, everything wrong with them at once."""

import pytest

from growth.errors import ParameterError
from growth.segments import (
    Tag,
    Value,
    count,
    last,
    load_rules,
    p_alive,
    recency_days,
    rfm,
    rules_of,
    tag_in,
    total,
)
from tests.segments import made

HEAD = """
schema = 1
[tag.t]
default = "none"
[tag.t.metric]
n = {op = "count", of = "orders"}
spent = {op = "sum", of = "orders", col = "paid_fen"}
spent_fen = {op = "sum", of = "orders", col = "paid_fen"}
region = {op = "last", of = "members", col = "region"}
joined = {op = "last", of = "members", col = "joined_ts"}
left = {op = "without", first = "add_to_cart", then = "order_pay", within = 3}
"""


def faults(text):
    with pytest.raises(ParameterError, match=r"^the rules: \d+ fault") as info:
        load_rules(text)
    assert info.value.code == "rule_invalid"
    return [(fault.code, fault.name) for fault in info.value.faults]


def value(when, name="a"):
    return f'[[tag.t.value]]\nname = "{name}"\nwhen = {when}\n'


def refused(*tags):
    with pytest.raises(ParameterError, match="fault") as info:
        rules_of(*tags)
    return {fault.code: str(fault) for fault in info.value.faults}


def test_all_faults_are_told_at_once_by_path():
    text = (
        HEAD
        + """
w = {op = "count", of = "orders", last = 0}
c = {op = "sum", of = "orders", col = "payed_fen"}
[[tag.t.value]]
name = "=cmd"
when = {metric = "w", ge = 1}
[[tag.t.value]]
name = "b"
when = {all = [{metric = "region", ge = "44"}, {metric = "nn", ge = 1}]}
[[tag.t.value]]
name = "b"
when = {metric = "spent", ge = 199}
"""
    )
    assert faults(text) == [
        ("bad_window", "tag.t.metric.w.last"),
        ("unknown_column", "tag.t.metric.c.col"),
        ("bad_name", "tag.t.value[0].name"),
        ("type_mismatch", "tag.t.value[1].when.all[0].ge"),
        ("unknown_metric", "tag.t.value[1].when.all[1].metric"),
        ("duplicate_value", "tag.t.value[2].name"),
        ("money_without_unit", "tag.t.value[2].when.ge"),
    ]


@pytest.mark.parametrize(
    ("when", "code"),
    [
        ('{metric = "n", ge = "3"}', "type_mismatch"),
        ('{metric = "n", is = true}', "type_mismatch"),
        ('{metric = "left", ge = true}', "type_mismatch"),
        ('{metric = "region", eq = 44}', "type_mismatch"),
        ('{metric = "joined", ge = "2026"}', "type_mismatch"),
        ('{metric = "spent_fen", ge = 1.5}', "money_without_unit"),
        ('{metric = "spent", between = [1, 2]}', "money_without_unit"),
        ('{metric = "spent", ge = {yuan = "x"}}', "bad_value"),
        ('{metric = "n", ge = [1]}', "bad_value"),
        ('{metric = "n", in = []}', "bad_value"),
        ('{metric = "n", between = [1]}', "bad_value"),
        ('{metric = "n", known = 1}', "bad_value"),
        ('{metric = "n", over = 1}', "unknown_key"),
        ('{metric = "n"}', "missing_key"),
        ("{ge = 1}", "missing_key"),
        ("{any = []}", "bad_shape"),
        ("{all = 3}", "bad_shape"),
        ('"n > 3"', "bad_shape"),
        ('{tag = "u", in = ["x"]}', "unknown_tag"),
        ('{tag = "t", ge = "x"}', "type_mismatch"),
    ],
)
def test_a_condition_that_cannot_be_meant(when, code):
    assert code in [found for found, _ in faults(HEAD + value(when))]


@pytest.mark.parametrize(
    ("metric", "code", "at"),
    [
        ('{op = "cuont", of = "orders"}', "unknown_op", "op"),
        ('{op = "count", of = "order"}', "unknown_table", "of"),
        ('{op = "count"}', "missing_key", "of"),
        ('{op = "count", of = "orders", cols = "x"}', "unknown_key", "cols"),
        ('{op = "count", of = "orders", last = -1}', "bad_window", "last"),
        ('{op = "count", of = "orders", last = true}', "bad_window", "last"),
        (
            '{op = "without", first = "a", then = "b", within = 0}',
            "bad_window",
            "within",
        ),
        ('{op = "without", first = "a", then = ["b", "c"], within = 1}', "bad_value",
         "then"),
        ('{op = "sequence", first = "a", then = ["b", "c", "d"], within = 1}',
         "bad_value", "then"),
        ('{op = "without", first = "a", then = "b", within = 1, hold = ["pid"]}',
         "unknown_column", "hold"),
        ('{op = "sum", of = "orders", col = "status"}', "type_mismatch", "col"),
        ('{op = "sum", of = "events", col = "value"}', "type_mismatch", "col"),
        ('{op = "sum", of = "events", col = "value_fen", net = true}', "bad_value",
         "net"),
        ('{op = "count", of = "orders", where = [{col = "status", ge = 3}]}',
         "type_mismatch", "where.status"),
        ('{op = "count", of = "orders", where = [{col = "state", eq = "paid"}]}',
         "unknown_column", "where[0].col"),
        ('{op = "rfm", part = "x"}', "bad_value", "part"),
        ('{op = "rfm", part = "segment", bins = 4}', "bad_bins", "bins"),
        ('{op = "rfm", part = "code", bins = 10}', "bad_bins", "bins"),
        ('{op = "quantile", metric = "nn"}', "unknown_metric", "metric"),
        ('{op = "quantile", metric = "region"}', "type_mismatch", "metric"),
        ('{op = "quantile", metric = "n", bins = 1}', "bad_bins", "bins"),
        ('{op = "lifecycle", period = "year"}', "bad_value", "period"),
        ('{op = "expected_orders"}', "missing_key", "horizon"),
        ('{op = "overdue", p = 100}', "bad_percentile", "p"),
    ],
)  # fmt: skip
def test_a_metric_that_cannot_be_meant(metric, code, at):
    text = HEAD + f"x = {metric}\n" + value('{metric = "n", ge = 1}')
    assert (code, f"tag.t.metric.x.{at}") in faults(text)


@pytest.mark.parametrize(
    ("old", "new", "code", "at"),
    [
        ('default = "none"', "", "missing_default", "tag.t.default"),
        ('default = "none"', 'default = "No One"', "bad_name", "tag.t.default"),
        (
            'default = "none"',
            'default = "none"\ntz = "Asia/Shangai"',
            "bad_timezone",
            "tag.t.tz",
        ),
        (
            'default = "none"',
            'default = "none"\npopulation = "all"',
            "bad_value",
            "tag.t.population",
        ),
        (
            'default = "none"',
            'default = "none"\ndisjoint = 1',
            "bad_value",
            "tag.t.disjoint",
        ),
        ('default = "none"', 'default = "none"\ntitle = 1', "bad_value", "tag.t.title"),
        ("schema = 1", "schema = 2", "bad_value", "schema"),
        ('default = "none"', 'default = "absent"', "bad_name", "tag.t.default"),
        ('name = "a"', 'name = "absent"', "bad_name", "tag.t.value[0].name"),
        ("tag.t", 'tag."T x"', "bad_name", "tag.T x"),
        ("tag.t", "tag.user_id", "bad_name", "tag.user_id"),
    ],
)
def test_a_tag_that_cannot_be_meant(old, new, code, at):
    text = (HEAD + value('{metric = "n", ge = 1}')).replace(old, new)
    assert (code, at) in faults(text)


def test_a_misspelling_is_told_the_nearest():
    text = HEAD + value('{metric = "regoin", eq = "44"}')
    with pytest.raises(ParameterError, match="Did you mean 'region'"):
        load_rules(text)


def test_a_circle_is_told_with_its_path():
    a = Tag("a", [Value("x", tag_in("b", "x"))])
    b = Tag("b", [Value("x", tag_in("c", "x"))])
    c = Tag("c", [Value("x", tag_in("a", "x"))])
    told = refused(a, b, c)
    assert set(told) == {"cycle"}
    assert "a -> b -> c -> a" in told["cycle"]


def test_a_tag_may_not_refer_to_itself():
    assert "cycle" in refused(Tag("a", [Value("x", tag_in("a", "x"))]))


def test_a_value_of_another_tag_must_be_one_of_its_values():
    told = refused(
        made.FREQUENCY, Tag("b", [Value("x", tag_in("frequency", "asleep"))])
    )
    assert "frequent, active, dormant, never" in told["unknown_value"]


def test_a_value_of_a_closed_metric_must_be_one_of_them():
    assert "unknown_value" in refused(Tag("a", [Value("x", rfm().equals("champion"))]))


def test_too_many_values():
    many = [Value(f"v{i}", count("orders").equals(i)) for i in range(201)]
    assert "too_many_values" in refused(Tag("a", many))


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (count("orders") >= 1, count("orders") >= 4),
        (count("orders") >= 0, count("orders") >= 4),  # a count is never below 0
        ((count("orders") >= 1) | count("orders").equals(0), count("orders") > 9),
        (count("orders") > 1, count("orders") >= 2),  # whole numbers
        (p_alive() > 0.5, p_alive().between(0.6, 0.7)),
        (last("members", "region").known(), last("members", "region").equals("44")),
        (
            last("members", "region").is_in("44", "31"),
            last("members", "region").equals("31"),
        ),
        (rfm("r").between(1, 5), rfm("r").equals(3)),
        (tag_in("frequency", "active", "never"), tag_in("frequency", "active")),
        (
            recency_days("orders") <= 30,
            (recency_days("orders") < 7) & (count("orders") >= 9),
        ),
        (
            (recency_days("orders") <= 30) | (count("events") > 1),
            recency_days("orders") < 7,
        ),
    ],
)
def test_a_value_that_earlier_ones_always_win_is_unreachable(earlier, later):
    tag = Tag("a", [Value("one", earlier), Value("two", later)])
    told = refused(made.FREQUENCY, tag)
    assert "two, which nobody can have" in told["unreachable_value"]
    assert "earlier ones win" in told["unreachable_value"]


@pytest.mark.parametrize(
    "when",
    [
        (count("orders") >= 5) & (count("orders") < 3),
        count("orders") < 0,
        count("orders").equals(2) & count("orders").equals(3),
        rfm("f") > 5,
        p_alive() > 1,
        count("orders").known(known=False),
        (count("orders") > 2) & (count("orders") < 3),
    ],
)
def test_a_condition_that_contradicts_itself_is_unreachable(when):
    told = refused(Tag("a", [Value("one", when)]))
    assert "contradicts itself" in told["unreachable_value"]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (count("orders") >= 4, count("orders") >= 1),
        (count("orders", last=30) >= 1, count("orders") >= 1),  # another metric
        (recency_days("orders") >= 0, recency_days("orders").known(known=False)),
        (p_alive() > 0.5, p_alive() >= 0.5),
        (last("members", "region").equals("44"), last("members", "region").known()),
        (
            (recency_days("orders") <= 30) & (count("events") > 1),
            recency_days("orders") < 7,
        ),
        (
            total("orders", "paid_fen") >= 100,
            (total("orders", "paid_fen") < 100) | (count("orders") > 3),
        ),
    ],
)
def test_a_value_that_somebody_can_have_passes(earlier, later):
    rules = rules_of(Tag("a", [Value("one", earlier), Value("two", later)]))
    assert rules["a"].names == ("one", "two", "none")


def test_values_that_overlap_are_told_with_an_example():
    tag = Tag("a", [Value("x", count("orders") >= 4), Value("y", count("orders") >= 1)])
    (notice,) = rules_of(tag).notices
    assert (notice.code, notice.severity) == ("segments_overlap", "info")
    assert dict(notice.args) | {"example": ""} == {
        "tag": "a", "earlier": "x", "later": "y", "example": "",
    }  # fmt: skip
    assert int(dict(notice.args)["example"]) >= 4


def test_disjoint_values_may_not_overlap():
    tag = Tag(
        "a",
        [Value("x", count("orders") >= 4), Value("y", count("orders") >= 1)],
        disjoint=True,
    )
    assert "overlap" in refused(tag)
    apart = Tag(
        "a",
        [Value("x", count("orders") >= 4), Value("y", count("orders").between(1, 3))],
        disjoint=True,
    )
    assert rules_of(apart).notices == ()


def test_columns_of_ones_own_are_declared():
    tag = Tag("a", [Value("rich", last("members", "income").equals("high"))])
    assert "unknown_column" in refused(tag)
    rules = rules_of(tag, columns={"members": {"income": "text"}})
    assert rules.names == ("a",)


def test_a_tag_is_named_once():
    assert "duplicate_tag" in refused(made.FREQUENCY, made.FREQUENCY)


@pytest.mark.parametrize("data", ["x = ", "{", "schema = 1"])
def test_text_that_holds_no_rules(data):
    with pytest.raises(ParameterError, match=r"no TOML|one tag or more") as info:
        load_rules(data)
    assert info.value.code in ("not_toml", "rule_invalid")


def test_a_file_that_is_not_there():
    with pytest.raises(ParameterError, match="a file that is there") as info:
        load_rules("nowhere/rules.toml")
    assert info.value.code == "rules_not_found"
