import json
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import date

import altair as alt
import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from growth.errors import DataError, ParameterError
from growth.readout import Readout, load
from growth.readout.checking import faults_in, schema
from growth.readout.model import (
    Data,
    Decision,
    Reason,
    Table,
)
from growth.result import Estimate, Notice
from tests.readout.example import Answer, TinyParams, tiny

PARAMS = TinyParams(who="007", as_of="2026-01-31")


@pytest.fixture(autouse=True)
def _outside_a_run(monkeypatch):
    monkeypatch.delenv("GROWTH_RUN_DIR", raising=False)


@pytest.fixture
def document():
    return tiny(PARAMS).to_dict()


def valid(document):
    """Ask the JSON Schema's own validator."""
    validator = jsonschema.Draft202012Validator(dict(schema()))
    return validator.is_valid(document)


def test_a_document_says_what_was_found_and_nothing_else(document):
    assert document["schema_version"] == "1.0"
    assert document["readout"] == "tiny_readout"
    assert document["subject"] == "007"
    assert document["as_of"] == "2026-01-31"
    assert list(document["params"]) == ["who", "as_of", "what", "data", "secret"]
    assert document["decision"] == {
        "verdict": "abtest.split.ok",
        "reasons": [],
        "rule": "",
    }
    (estimate,) = document["estimates"]  # the decision and the table hold the same
    assert estimate["by"] == {"arm": "B"}
    assert estimate["value"] == 0.5
    (table,) = document["tables"]
    assert table["columns"] == [
        {"key": "arm", "type": "str"},
        {"key": "units", "type": "int"},
        {"key": "estimate", "type": "float"},
    ]
    assert table["rows"] == [["B", 10, 0.5]]


def test_a_document_is_valid_by_its_published_schema(document):
    jsonschema.Draft202012Validator.check_schema(dict(schema()))
    assert valid(document)
    assert faults_in(document) == ()


def test_equal_inputs_give_equal_bytes_but_for_the_run(document):
    one, two = tiny(PARAMS), tiny(PARAMS)
    assert one.to_json() == two.to_json()
    other = one.of_run("20260201T031500Z-7f3a9c")
    assert other.to_json().replace("20260201T031500Z-7f3a9c", "") == one.to_json()
    assert json.loads(one.to_json()) == document
    assert list(json.loads(one.to_json())) == sorted(document)


def test_a_document_comes_back_as_it_was_written(tmp_path):
    made = replace(
        tiny(PARAMS, notices=[Notice("low_expected_count", args=(("limit", 5),))]),
        decision=Decision(
            verdict="abtest.decision.iterate",
            reasons=(Reason("inconclusive", (("metric", "gmv"),)),),
            rule="fixed",
        ),
        run_id="20260201T031500Z-7f3a9c",
    )
    file = tmp_path / "readout.json"
    file.write_text(made.to_json())
    assert load(file) == load(tmp_path) == Readout.load(file) == made
    assert load(file).to_json() == made.to_json()


def test_later_minor_versions_are_read_and_later_majors_refused(tmp_path, document):
    file = tmp_path / "readout.json"
    file.write_text(json.dumps(document | {"schema_version": "1.7", "more": [1]}))
    assert load(file).subject == "007"
    file.write_text(json.dumps(document | {"schema_version": "2.0"}))
    with pytest.raises(DataError, match=r"reads 1\.0; upgrade growth") as info:
        load(file)
    assert info.value.code == "document_too_new"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "document_missing"),
        ("{", "bad_document"),
        ('{"a": 1, "a": 2}', "bad_document"),
        ('{"a": NaN}', "bad_document"),
        (b'{"a": "\xff"}', "bad_document"),
        ("[]", "bad_document"),
        ("{}", "bad_document"),
    ],
)
def test_what_is_no_document_is_refused(tmp_path, text, code):
    file = tmp_path / "readout.json"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match="readout") as info:
        load(file)
    assert info.value.code == code


def put(path, value):
    def change(document):
        *way, last = path
        place = document
        for step in way:
            place = place[step]
        place[last] = value

    return change


def drop(name):
    return lambda document: document.pop(name)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (drop("decision"), "$.decision"),
        (put(["schema_version"], 1), "$.schema_version"),
        (put(["as_of"], "yesterday"), "$.as_of"),
        (put(["as_of"], "2026-02-30"), "$.as_of"),
        (put(["readout"], "Ab"), "$.readout"),
        (put(["subject"], ""), "$.subject"),
        (put(["params", "what"], ["a"]), "$.params.what"),
        (put(["decision", "verdict"], "two words"), "$.decision.verdict"),
        (put(["decision", "reasons"], [{}]), "$.decision.reasons[0].code"),
        (put(["estimates", 0, "p_value"], 1.5), "$.estimates[0].p_value"),
        (put(["estimates", 0, "level"], 1), "$.estimates[0].level"),
        (put(["estimates", 0, "se"], -1.0), "$.estimates[0].se"),
        (put(["estimates", 0, "n"], 2.5), "$.estimates[0].n"),
        (put(["estimates", 0, "lo"], 0.6), "$.estimates[0]"),
        (put(["estimates", 0, "value"], float("nan")), "$.estimates[0].value"),
        (put(["estimates", 0, "value"], np.float64(0.5)), "$.estimates[0].value"),
        (put(["estimates", 0, "n"], 2**53), "$.estimates[0].n"),
        (put(["estimates", 0, "by"], ("arm", "B")), "$.estimates[0].by"),
        (put(["estimates", 0, "by", "arm"], 2), "$.estimates[0].by.arm"),
        (put(["notices"], [{"code": "a"}]), "$.notices[0].severity"),
        (put(["tables", 0, "rows", 0], ["B", 10]), "$.tables[0].rows[0]"),
        (put(["tables", 0, "rows", 0, 1], "10"), "$.tables[0].rows[0][1]"),
        (put(["tables", 0, "columns", 0, "key"], "User_ID"), "$.tables[0].columns"),
        (put(["charts"], [{"key": "../x"}]), "$.charts[0].alt"),
        (put(["provenance", "dirty"], "no"), "$.provenance.dirty"),
    ],
)
def test_every_fault_is_named_by_its_path(document, change, path):
    change(document)
    faults = faults_in(document)
    assert path in [fault.name for fault in faults]
    assert {fault.code for fault in faults} == {"bad_document"}


def test_what_stands_twice_cannot_be_told_apart(document):
    document["estimates"] *= 2
    document["tables"] *= 2
    assert [fault.name for fault in faults_in(document)] == ["$.estimates", "$.tables"]


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from([0.5, 1.5, -0.25]),
    st.sampled_from(["", "a", "A b", "1.0", "2026-01-31", "warning", "int", "a" * 300]),
    st.just([]),
    st.just({}),
)


def places(value, path=()):
    yield path
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    for key, item in inner:
        yield from places(item, (*path, key))


WHOLE = replace(
    tiny(PARAMS, notices=[Notice("low_expected_count", args=(("limit", 5),))]),
    decision=Decision(verdict="a.b", reasons=(Reason("c", (("metric", "m"),)),)),
    provenance=replace(tiny(PARAMS).provenance, data=(Data(name="orders", rows=3),)),
).to_dict()
WHOLE["charts"] = [
    {"key": "e", "alt": "", "spec": "charts/e.vl.json", "svg": "charts/e.svg"}
]


@given(st.sampled_from([p for p in places(WHOLE) if p]), VALUES)
def test_our_reading_of_the_schema_agrees_with_its_validator(path, value):
    document = deepcopy(WHOLE)
    put(path, value)(document)
    ours = [f for f in faults_in(document) if "told apart" not in f.expected]
    if valid(document):
        # what a schema cannot say is found only once it is satisfied
        beyond = ("lo <= value", "cells long", "a date", "that names people")
        kinds = {"int", "float", "str", "bool"}
        assert all(f.expected in kinds or any(b in f.expected for b in beyond)
                   or f.expected.startswith("without") for f in ours)  # fmt: skip
    else:
        assert ours


def test_numpy_and_nan_cannot_be_written():
    base = tiny(PARAMS)
    bad = replace(base, estimates=(Estimate(key="x", value=np.float64(0.5)),))
    with pytest.raises(ParameterError, match="float64") as info:
        bad.to_json()
    assert info.value.code == "bad_document"
    with pytest.raises(ParameterError, match="finite, or null"):
        replace(base, estimates=(Estimate(key="x", value=float("inf")),)).to_json()
    # results may hold NumPy's numbers: assembling makes them plain
    made = Readout.from_results(PARAMS, decision=Answer(value=np.float64(0.5)))
    assert type(made.estimates[0].value) is float


def test_what_an_engine_adds_up_in_another_order_gives_the_same_bytes():
    third = 0.1 + 0.2 + 0.3
    other = 0.3 + 0.2 + 0.1
    assert third != other
    one, two = (
        Readout.from_results(PARAMS, decision=found, results={"t": found}).to_json()
        for found in (Answer(value=third), Answer(value=other))
    )
    assert one == two
    assert Readout.from_results(
        PARAMS, decision=Answer(value=1.23456789012e-77)
    ).estimates[0].value == pytest.approx(1.234567890e-77, rel=1e-12, abs=0)


def test_people_do_not_get_into_a_document():
    table = Table.of("users", [{"user_id": "u1", "n": 1}])
    with pytest.raises(ParameterError, match="that names people"):
        replace(tiny(PARAMS), tables=(table,)).to_json()


def test_columns_get_the_type_of_their_values():
    rows = [
        {"a": None, "b": 1, "c": True, "d": 1, "e": date(2026, 1, 31)},
        {"a": None, "b": 2.5, "c": None, "d": "x", "f": 1},
    ]
    table = Table.of("t", rows)
    kinds = {column.key: column.type for column in table.columns}
    assert kinds == {
        "a": "str",
        "b": "float",
        "c": "bool",
        "d": "str",
        "e": "str",
        "f": "int",
    }
    assert table.rows[0] == (None, 1, True, "1", "2026-01-31", None)


@dataclass(frozen=True)
class Why:
    code: str
    metric: str | None = None
    arm: str | None = None


def test_reasons_are_taken_in_whatever_form_a_room_has_them():
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Told(Answer):
        reasons: tuple[object, ...] = ()
        rule: str = "fixed"

    reasons = ("plain", ("pair", "gmv"), {"code": "map", "n": 3}, Why("record", "gmv"))
    made = Readout.from_results(PARAMS, decision=Told(value=0.1, reasons=reasons))
    assert made.to_dict()["decision"]["reasons"] == [
        {"code": "plain"},
        {"code": "pair", "metric": "gmv"},
        {"code": "map", "n": 3},
        {"code": "record", "metric": "gmv"},
    ]
    assert made.decision.rule == "fixed"


def test_a_chart_is_named_described_and_drawn():
    chart = (
        alt.Chart(alt.InlineData(values=[{"x": 1}]))
        .mark_point()
        .encode(x="x:Q")
        .properties(title="One point", description="A point\nat 1")
    )
    made = tiny(PARAMS, charts={"effect": chart})
    (told,) = made.to_dict()["charts"]
    assert told == {
        "key": "effect",
        "alt": "A point at 1",
        "spec": "charts/effect.vl.json",
        "svg": "charts/effect.svg",
    }
    (drawing,) = made.drawings
    assert json.loads(drawing.spec)["name"] == "effect"
    assert drawing.svg.startswith("<svg")
    with pytest.raises(ParameterError, match="letters, digits") as info:
        tiny(PARAMS, charts={"../effect": chart})
    assert info.value.code == "bad_chart_name"


def test_rows_and_spans_are_told_where_they_are_known():
    made = tiny(PARAMS, rows={"orders": 7}, spans={"orders": ("2026-01-01", "2026-02")})
    assert made.to_dict()["provenance"]["data"] == [
        {
            "name": "orders",
            "sha256": None,
            "rows": 7,
            "min": "2026-01-01",
            "max": "2026-02",
        }
    ]
