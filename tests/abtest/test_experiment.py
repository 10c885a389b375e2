import json
from datetime import date
from string import ascii_lowercase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from growth.abtest import Experiment, Metric, Source, load_experiment
from growth.errors import ParameterError

BASE = """
schema = 1
id = "home_layout"
title = { en = "Home layout", zh = "首页布局" }
control = "list"
arms = { list = 1, waterfall = 1, old = 0 }
start = 2026-02-01
end = 2026-03-01
by = ["platform", ["platform", "entry_group"]]
plan = { kind = "fixed", units = 12000 }
[columns]
unit = "openid"
[[metric]]
name = "pay_rate"
label = { en = "Purchase rate", zh = "下单率" }
kind = "proportion"
role = "goal"
good = "up"
mde = 0.05
value = { table = "orders", agg = "any" }
window_days = 14
covariates = ["pre_paid_fen"]
[[metric]]
name = "orders_per_visit"
kind = "ratio"
role = "diagnostic"
numerator = { table = "orders", agg = "count" }
denominator = { table = "events", agg = "count", event = "page_view" }
[[metric]]
name = "refund_rate"
kind = "mean"
role = "guardrail"
good = "down"
margin = 0.02
value = { column = "refunds" }
[[covariate]]
name = "pre_paid_fen"
value = { table = "orders", agg = "sum", column = "paid_fen" }
days = 28
"""


def load(tmp_path, text):
    path = tmp_path / "x.toml"
    path.write_text(text, "utf-8")
    return load_experiment(path)


def faults(tmp_path, text):
    with pytest.raises(ParameterError, match=r"fault\(s\)") as info:
        load(tmp_path, text)
    return {(fault.code, fault.name): fault for fault in info.value.faults}


def test_a_file_is_read_as_it_is_written(tmp_path):
    exp = load(tmp_path, BASE)
    assert (exp.id, exp.control, exp.treatments) == (
        "home_layout",
        "list",
        ("waterfall",),
    )
    assert exp.arms == {"list": 1, "waterfall": 1, "old": 0}
    assert (exp.start, exp.end) == (date(2026, 2, 1), date(2026, 3, 1))
    assert exp.by == ("platform", ("platform", "entry_group"))
    assert (exp.columns.unit, exp.columns.day) == ("openid", "exposure_ds")
    assert exp.words("zh") == "首页布局"
    pay, ratio, refund = exp.metrics
    assert pay.value == Source(table="orders", agg="any")
    assert (pay.columns, pay.built, pay.zero_filled) == (("pay_rate",), True, True)
    assert ratio.columns == (
        "orders_per_visit_numerator",
        "orders_per_visit_denominator",
    )
    assert (refund.columns, refund.zero_filled) == (("refunds",), False)
    assert (pay.written_as, ratio.written_as) == ("share", "count")
    assert (pay.words("zh"), refund.words("zh")) == ("下单率", "refund_rate")
    assert exp.metric("pay_rate") is pay
    assert exp.mapping_path is None


def test_defaults_are_the_specifications(tmp_path):
    exp = load(tmp_path, BASE)
    assert (exp.alpha, exp.srm_alpha, exp.min_days) == (0.05, 0.001, 14)
    assert (exp.adjust, exp.se, exp.objective, exp.scope) == (
        None,
        "hc2",
        "superiority",
        "experiment",
    )


def test_the_mapping_is_found_beside_the_file(tmp_path):
    exp = load(tmp_path, 'mapping = "m/x.toml"\n' + BASE)
    assert exp.mapping == "m/x.toml"
    assert exp.mapping_path == tmp_path / "m" / "x.toml"
    assert exp == Experiment.from_dict(exp.to_dict())  # the folder is no part of it


def test_an_unknown_metric_is_refused(tmp_path):
    with pytest.raises(ParameterError, match=r"'gmv' is not declared.*pay_rate"):
        load(tmp_path, BASE).metric("gmv")


METRIC = {
    "name": "m",
    "kind": "mean",
    "role": "goal",
    "good": "up",
    "value": {"column": "x"},
}
PLAIN = {
    "schema": 1,
    "id": "e",
    "control": "A",
    "arms": {"A": 1, "B": 1},
    "metric": [METRIC],
}


def test_all_faults_come_at_once_with_their_key_paths(tmp_path):
    text = BASE.replace("schema = 1", "schema = 2")
    text = text.replace('control = "list"', 'control = "lisst"\nalpah = 0.1')
    text = text.replace('kind = "mean"', 'kind = "quantile"')
    text = text.replace("margin = 0.02", "")
    text = text.replace("end = 2026-03-01", "end = 2026-01-01")
    text = text.replace('["pre_paid_fen"]', '["pre_paid"]')
    found = faults(tmp_path, text)
    assert set(found) == {
        ("unknown_schema", "schema"),
        ("unknown_key", "alpah"),
        ("unknown_arm", "control"),
        ("conflict", "end"),
        ("missing_key", "metric[refund_rate].q"),
        ("margin_missing", "metric[refund_rate].margin"),
        ("unknown_covariate", "metric[pay_rate].covariates"),
    }
    assert found["unknown_key", "alpah"].hint == "Did you mean 'alpha'?"
    assert found["unknown_arm", "control"].hint == "Did you mean 'list'?"
    assert "Did you mean 'pre_paid_fen'" in str(
        found["unknown_covariate", "metric[pay_rate].covariates"]
    )


def metric(**changes):
    return {"metric": [{**METRIC, **changes}]}


@pytest.mark.parametrize(
    ("changes", "code", "name"),
    [
        ({"id": ""}, "bad_text", "id"),
        ({"id": " x"}, "bad_text", "id"),
        ({"id": "a\nb"}, "bad_text", "id"),
        ({"id": "x" * 129}, "bad_text", "id"),
        ({"id": 7}, "bad_text", "id"),
        ({"schema": True}, "unknown_schema", "schema"),
        ({"alpha": 0}, "out_of_range", "alpha"),
        ({"alpha": 5}, "out_of_range", "alpha"),
        ({"alpha": "0.05"}, "out_of_range", "alpha"),
        ({"alpha": float("nan")}, "out_of_range", "alpha"),
        ({"alpha": True}, "out_of_range", "alpha"),
        ({"min_days": 0}, "out_of_range", "min_days"),
        ({"min_days": 7.0}, "out_of_range", "min_days"),
        ({"tz": "Asia/Shangai"}, "unknown_tz", "tz"),
        ({"unit": "person"}, "not_a_choice", "unit"),
        ({"start": "2026-02-30"}, "bad_date", "start"),
        ({"start": 20260201}, "bad_date", "start"),
        ({"start": "2026-02-01", "end": "2026-02-01"}, "conflict", "end"),
        ({"arms": {"A": 1}}, "bad_weights", "arms"),
        ({"arms": {"A": 1, "B": -1}}, "bad_weights", "arms.B"),
        ({"arms": {"A": 1, "B": float("inf")}}, "bad_weights", "arms.B"),
        ({"arms": {"A": 1, "B": "1"}}, "bad_weights", "arms.B"),
        ({"arms": {"A": 0, "B": 1, "C": 1}}, "bad_weights", "arms.A"),
        ({"arms": ["A", "B"]}, "wrong_type", "arms"),
        ({"control": "C"}, "unknown_arm", "control"),
        ({"by": "platform"}, "wrong_type", "by"),
        ({"by": [[]]}, "wrong_type", "by"),
        ({"title": {"fr": "x"}}, "wrong_type", "title"),
        ({"plan": {"kind": "always_valid"}}, "missing_key", "plan.units"),
        ({"plan": {"kind": "bayes", "units": 9}}, "not_a_choice", "plan.kind"),
        ({"plan": {"kind": "fixed", "looks": "daily"}}, "conflict", "plan.looks"),
        ({"plan": {"kind": "hybrid", "units": 9, "rho": 2}}, "conflict", "plan.rho"),
        (
            {"plan": {"kind": "group_sequential", "units": 9, "looks": [0.5, 0.4]}},
            "bad_looks",
            "plan.looks",
        ),
        (
            {"plan": {"kind": "group_sequential", "units": 9, "rho": 2.0}},
            "conflict",
            "plan.rho",
        ),
        (
            {
                "start": "2026-02-01",
                "plan": {"kind": "hybrid", "units": 9, "looks": ["2026-01-31"]},
            },
            "conflict",
            "plan.looks",
        ),
        ({"plan": {"units": 0}}, "out_of_range", "plan.units"),
        ({"layer": ""}, "bad_text", "layer"),
        ({"salt": "a\x1fb"}, "bad_text", "salt"),
        ({"coverage": 20}, "out_of_range", "coverage"),
        ({"coverage": "0.2"}, "out_of_range", "coverage"),
        ({"range": [0.5]}, "out_of_range", "range"),
        ({"range": [0.5, 0.5]}, "out_of_range", "range"),
        ({"range": [0, 1.1]}, "out_of_range", "range"),
        ({"columns": {"unit": "a", "variant": "a"}}, "duplicate_name", "columns"),
        ({"columns": {"units": "a"}}, "unknown_key", "columns.units"),
        ({"metric": []}, "wrong_type", "metric"),
        ({"metric": [METRIC, METRIC]}, "duplicate_name", "metric names"),
        (metric(role="diagnostic"), "no_goal", "metric roles"),
        (metric(role="goals"), "not_a_choice", "metric[m].role"),
        (metric(name="pay rate"), "bad_name", "metric[pay rate].name"),
        (metric(name="variant"), "bad_name", "metric or covariate 'variant'"),
        (metric(margin=2), "out_of_range", "metric[m].margin"),
        (metric(margin_kind="absolute"), "conflict", "metric[m].margin_kind"),
        (metric(mde=-0.1), "out_of_range", "metric[m].mde"),
        (metric(test="pooled"), "conflict", "metric[m].test"),
        (metric(numerator={"column": "x"}), "conflict", "metric[m].numerator"),
        (metric(kind="ratio"), "missing_key", "metric[m].numerator"),
        (metric(value={}), "missing_key", "metric[m].value.column"),
        (metric(value={"agg": "sum"}), "conflict", "metric[m].value.agg"),
        (metric(value={"table": "order"}), "not_a_choice", "metric[m].value.table"),
        (metric(value={"table": "orders"}), "missing_key", "metric[m].value.agg"),
        (
            metric(value={"table": "orders", "agg": "sum"}),
            "missing_key",
            "metric[m].value.column",
        ),
        (
            metric(value={"table": "orders", "agg": "any", "column": "x"}),
            "conflict",
            "metric[m].value.column",
        ),
        (
            metric(value={"table": "orders", "agg": "any", "event": "tap"}),
            "conflict",
            "metric[m].value.event",
        ),
        (
            metric(kind="proportion", value={"table": "orders", "agg": "count"}),
            "conflict",
            "metric[m].value.agg",
        ),
        (metric(covariates=["m"]), "conflict", "metric[m].covariates"),
        (metric(covariates=["z", "z"]), "duplicate_name", "metric[m].covariates"),
        (
            metric(kind="proportion", test="newcombe", covariates=["z"]),
            "conflict",
            "metric[m].test",
        ),
        (
            {"covariate": [{"name": "z", "value": {"column": "z"}, "days": 7}]},
            "missing_key",
            "covariate[z].value.table",
        ),
        (
            {"objective": "no_harm"},
            "margin_missing",
            "metric[m].margin",
        ),
    ],
)
def test_each_fault_is_found(changes, code, name):
    with pytest.raises(ParameterError, match="must be") as info:
        Experiment.from_dict({**PLAIN, **changes})
    assert (code, name) in {(fault.code, fault.name) for fault in info.value.faults}
    for fault in info.value.faults:
        assert fault.seen
        assert fault.expected


@pytest.mark.parametrize(
    ("where", "seen"),
    [
        ([{"col": "status"}], "where"),
        ([{"col": "status", "is_": True}], "is_"),
        ([{"status": "paid"}], "status"),
        ("status = paid", "where"),
    ],
)
def test_a_filter_is_checked_with_the_rest(where, seen):
    value = {"table": "orders", "agg": "any", "where": where}
    bad = {**PLAIN, "alpha": 2, **metric(kind="proportion", value=value)}
    with pytest.raises(ParameterError, match="must be") as info:
        Experiment.from_dict(bad)
    names = [fault.name for fault in info.value.faults]
    assert "alpha" in names
    assert any(name.startswith("metric[m].value.where") for name in names)
    assert seen in str(info.value)


@pytest.mark.parametrize("key", ["schema", "id", "control", "arms", "metric"])
def test_what_is_required_is_asked_for(key):
    data = {name: value for name, value in PLAIN.items() if name != key}
    with pytest.raises(ParameterError, match=f"{key} is missing") as info:
        Experiment.from_dict(data)
    assert ("missing_key", key) in {(f.code, f.name) for f in info.value.faults}


@pytest.mark.parametrize("key", ["name", "kind", "role", "good"])
def test_a_goal_says_what_it_is(key):
    item = {name: value for name, value in METRIC.items() if name != key}
    with pytest.raises(ParameterError, match=f"{key} is missing"):
        Experiment.from_dict({**PLAIN, "metric": [item]})


def test_an_experiment_built_in_python_is_judged_alike():
    goal = Metric(name="m", kind="mean", role="goal")
    exp = Experiment(id="e", control="A", arms={"A": 1, "B": 1}, metrics=(goal,))
    assert Experiment.from_dict(exp.to_dict()) == exp
    with pytest.raises(ParameterError, match="control is 'C'"):
        Experiment(id="e", control="C", arms={"A": 1, "B": 1}, metrics=(goal,))
    with pytest.raises(ParameterError, match=r"one \[\[metric\]\] or more"):
        Experiment(id="e", control="A", arms={"A": 1, "B": 1}, metrics=())


def test_a_file_that_is_not_there_or_not_toml(tmp_path):
    with pytest.raises(ParameterError, match=r"nowhere.toml.*check the path") as info:
        load_experiment(tmp_path / "nowhere.toml")
    assert info.value.code == "file_not_found"
    with pytest.raises(ParameterError, match=r"not TOML.*line 2") as info:
        load(tmp_path, "a = 1\nb = =\n")
    assert info.value.code == "not_toml"
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ParameterError, match="not TOML in UTF-8") as info:
        load_experiment(tmp_path / "x.toml")
    assert info.value.code == "not_toml"


# -- round trip: Experiment -> TOML -> Experiment -> JSON -> Experiment ------------


def quote(value):
    return json.dumps(value, ensure_ascii=False)


def toml(value):
    """Write a value as inline TOML: enough for a declaration."""
    if isinstance(value, dict):
        inner = ", ".join(f"{quote(k)} = {toml(v)}" for k, v in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return quote(value)
    return repr(value)


names = st.text(ascii_lowercase, min_size=1, max_size=8)
words = st.text(min_size=1, max_size=12).filter(
    lambda t: t == t.strip() and t.isprintable()
)
positive = st.floats(1e-6, 1e6)
sources = st.one_of(
    st.builds(lambda c: {"column": c}, words),
    st.builds(lambda c: {"table": "orders", "agg": "sum", "column": c}, words),
    st.just({"table": "events", "agg": "count", "event": "tap"}),
)


@st.composite
def declarations(draw):
    arms = draw(
        st.dictionaries(words, positive | st.integers(1, 9), min_size=2, max_size=4)
    )
    chosen = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    metrics = []
    for i, name in enumerate(chosen):
        item = {"name": name, "good": draw(st.sampled_from(["up", "down"]))}
        item["role"] = draw(st.sampled_from(["goal", "guardrail"])) if i else "goal"
        if draw(st.booleans()):
            item |= {"kind": "mean", "value": draw(sources)}
        else:
            part = draw(sources)
            item |= {"kind": "ratio", "numerator": part, "denominator": part}
        if item["role"] == "guardrail":
            item |= {"margin": draw(positive), "margin_kind": "absolute"}
        if draw(st.booleans()):
            item["mde"] = draw(positive)
            item["window_days"] = draw(st.integers(1, 60))
        metrics.append(item)
    data = {
        "schema": 1,
        "id": draw(words),
        "arms": arms,
        "control": draw(st.sampled_from(sorted(arms))),
        "metric": metrics,
    }
    if draw(st.booleans()):
        data["start"] = draw(st.dates(date(1970, 1, 1), date(2099, 1, 1))).isoformat()
        data["by"] = [draw(words), [draw(words)]]
        data["alpha"] = draw(st.floats(0.001, 0.5))
    return data


@given(declarations())
def test_toml_and_json_round_trip(tmp_path_factory, data):
    exp = Experiment.from_dict(data)
    text = "\n".join(f"{key} = {toml(value)}" for key, value in exp.to_dict().items())
    path = tmp_path_factory.getbasetemp() / "round_trip.toml"
    path.write_text(text, "utf-8")
    assert load_experiment(path) == exp
    assert Experiment.from_dict(json.loads(json.dumps(exp.to_dict()))) == exp
    assert exp.arms == data["arms"]  # verbatim, not normalised
