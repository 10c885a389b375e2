import json
from dataclasses import dataclass, make_dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from growth.errors import ParameterError
from growth.readout import Between, Help, Id, Sample, readout
from growth.readout.params import declaration_of, seconds
from tests.readout.example import ExampleParams, TinyParams

D = declaration_of(ExampleParams)
NEEDED = {"experiment_id": "007", "as_of": "2026-01-31"}
HOSTILE_TEXT = [
    "007",
    "1e5",
    "true",
    "null",
    "1:30",
    "a=b=c",
    "实验🚀",
    '"""\\',
    'x"; import os; os.system("touch PWN"); y="',
    "{v.__class__}",
    "$(id)",
    "%s",
    "../../etc",
    ".",
    "CON",
    "<script>alert(1)</script>",
]
BAD_TEXT = ["", " 7", "7 ", "a\nb", "a\u202eb", "\u0000", "\ud800", "x" * 129]

REFUSED_TEXT = [
    ("alpah=0.1", "unknown_parameter", "alpah", "Did you mean 'alpha'?"),
    ("Alpha=0.1", "unknown_parameter", "Alpha", "Did you mean 'alpha'?"),
    ("as-of=2026-01-31", "unknown_parameter", "as-of", "Did you mean 'as_of'?"),
    ("zzz=1", "unknown_parameter", "zzz", ""),
    (
        "x=1; import os; os.system('touch PWN')",
        "unknown_parameter",
        "x",
        "",
    ),
    ("alpha", "usage", "alpha", "Add the value."),
    ("=0.1", "bad_name", "(empty)", ""),
    ("not valid=1", "bad_name", "not valid", ""),
    ("alpha=abc", "wrong_type", "alpha", ""),
    ("alpha=", "wrong_type", "alpha", ""),
    ("alpha=nan", "not_finite", "alpha", ""),
    ("alpha=inf", "not_finite", "alpha", ""),
    ("alpha=-Infinity", "not_finite", "alpha", ""),
    ("alpha=1e400", "not_finite", "alpha", ""),
    ("alpha=0", "out_of_range", "alpha", ""),
    ("alpha=1", "out_of_range", "alpha", ""),
    ("alpha=95", "out_of_range", "alpha", ""),
    ("alpha=-0.1", "out_of_range", "alpha", ""),
    ("alpha=1e-400", "out_of_range", "alpha", ""),
    ("alpha=5%", "wrong_type", "alpha", "Write 0.05."),
    ("alpha=0,05", "wrong_type", "alpha", "Write 0.05."),
    ("min_units=1_000", "wrong_type", "min_units", ""),
    ("min_units=\uff11\uff12", "wrong_type", "min_units", ""),
    ("min_units=0x10", "wrong_type", "min_units", ""),
    ("min_units=1e3", "wrong_type", "min_units", ""),
    ("min_units=10.0", "wrong_type", "min_units", ""),
    ("min_units=012", "wrong_type", "min_units", "Write 12."),
    ("min_units=0", "out_of_range", "min_units", ""),
    ("min_units=" + "9" * 20, "out_of_range", "min_units", ""),
    ("min_units=" + "9" * 5000, "out_of_range", "min_units", ""),
    ("as_of=0001-01-01", "out_of_range", "as_of", ""),
    ("as_of=2101-01-01", "out_of_range", "as_of", ""),
    ("cuped=yes", "wrong_type", "cuped", "Write true."),
    ("cuped=on", "wrong_type", "cuped", "Write true."),
    ("cuped=1", "wrong_type", "cuped", "Write true."),
    ("cuped=0", "wrong_type", "cuped", "Write false."),
    ("metric=GMV", "not_a_choice", "metric", "Did you mean 'gmv'?"),
    ("metric=gvm", "not_a_choice", "metric", "Did you mean 'gmv'?"),
    ("as_of=2026-02-30", "bad_date", "as_of", "2026-01-31"),
    ("as_of=2026-1-31", "bad_date", "as_of", ""),
    ("as_of=20260131", "bad_date", "as_of", ""),
    ("as_of=2026-W05-1", "bad_date", "as_of", ""),
    ("as_of=2026-01-31T00:00", "bad_date", "as_of", ""),
    ("as_of=\uff12\uff1026-01-31", "bad_date", "as_of", ""),
    ("as_of=today", "bad_date", "as_of", ""),
    ("start=2026-02-01", "conflict", "start", ""),
]
REFUSED_JSON = [
    ("alpha", '"0.05"', "wrong_type", "without quotes"),
    ("experiment_id", "7", "wrong_type", '"7"'),
    ("min_units", "true", "wrong_type", ""),
    ("min_units", "10.0", "wrong_type", ""),
    ("min_units", "9" * 5000, "out_of_range", ""),
    ("cuped", "1", "wrong_type", ""),
    ("alpha", "true", "wrong_type", ""),
    ("alpha", "[0.05]", "wrong_type", ""),
    ("alpha", "{}", "wrong_type", ""),
    ("alpha", "null", "wrong_type", ""),
    ("alpha", "NaN", "not_finite", ""),
    ("alpha", "-Infinity", "not_finite", ""),
    ("alpha", "1e400", "not_finite", ""),
    ("as_of", "20260131", "wrong_type", ""),
    ("metric", "3", "wrong_type", ""),
    ("x=1; import os; y", "1", "bad_name", ""),
    ("not valid", "1", "bad_name", ""),
    ("", "1", "bad_name", ""),
    ("class", "1", "unknown_parameter", ""),
    ("pandas", "1", "unknown_parameter", ""),
    ("__builtins__", "1", "unknown_parameter", ""),
]


def pairs(*given):
    """Fill up what is required, as command-line text."""
    named = {text.partition("=")[0] for text in given}
    return [f"{k}={v}" for k, v in NEEDED.items() if k not in named] + list(given)


def refused(*given, file=None, code, name=None, hint=None):
    with pytest.raises(ParameterError, match="fault") as info:
        D.from_command_line(pairs(*given), file=file)
    fault = info.value.faults[0]
    assert info.value.code == fault.code == code
    if name is not None:
        assert fault.name == name
    if hint is not None:
        assert hint in fault.hint
    return info.value


# ---------------------------------------------------------------- command line


@pytest.mark.parametrize("text", HOSTILE_TEXT)
def test_text_is_taken_as_it_is(text):
    params = D.from_command_line(pairs(f"experiment_id={text}"))
    assert params.experiment_id == text


@pytest.mark.parametrize("text", BAD_TEXT)
def test_text_nobody_can_see_or_tell_apart_is_refused(text, tmp_path):
    refused(f"experiment_id={text}", code="bad_text", name="experiment_id")
    file = tmp_path / "p.json"
    file.write_text(json.dumps({"experiment_id": text, "as_of": "2026-01-31"}))
    with pytest.raises(ParameterError, match="printable") as info:
        D.from_command_line(file=file)
    assert info.value.code == "bad_text"


@pytest.mark.parametrize(("given", "code", "name", "hint"), REFUSED_TEXT)
def test_the_command_line_refuses(given, code, name, hint):
    refused(given, code=code, name=name, hint=hint)


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        ("alpha=.05", "alpha", 0.05),
        ("alpha=5E-2", "alpha", 0.05),
        ("cuped=TRUE", "cuped", True),
        ("cuped=False", "cuped", False),
        ("start=", "start", None),
        ("start=2026-01-31", "start", date(2026, 1, 31)),
        ("min_units=+7", "min_units", 7),
        ("metric=conversion", "metric", "conversion"),
    ],
)
def test_the_command_line_accepts(given, name, value):
    found = getattr(D.from_command_line(pairs(given)), name)
    assert found == value
    assert type(found) is type(value)


def test_a_name_given_twice_is_refused():
    error = refused("alpha=.05", "alpha=.06", code="duplicate_parameter", name="alpha")
    assert "0.06" not in error.faults[0].expected


def test_what_is_required_must_be_given():
    with pytest.raises(ParameterError, match="experiment_id is missing") as info:
        D.from_command_line(["as_of=2026-01-31"])
    assert info.value.code == "missing_parameter"
    assert "which experiment" in info.value.faults[0].hint


def test_all_faults_are_found_at_once():
    with pytest.raises(ParameterError, match=r"5 fault\(s\)") as info:
        D.from_command_line(["alpah=1", "alpha=2", "cuped=yes", "as_of=today"])
    assert [(f.code, f.name) for f in info.value.faults] == [
        ("unknown_parameter", "alpah"),
        ("out_of_range", "alpha"),
        ("wrong_type", "cuped"),
        ("bad_date", "as_of"),
        ("missing_parameter", "experiment_id"),
    ]


def test_an_unknown_name_is_answered_with_every_name():
    error = refused("zzz=1", code="unknown_parameter")
    assert all(name in error.faults[0].expected for name in D.names)


# ------------------------------------------------------------------------ JSON


def from_file(tmp_path, text):
    file = tmp_path / "p.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return D.from_command_line(file=file)


def test_a_json_file_gives_typed_values_and_the_command_line_wins(tmp_path):
    file = tmp_path / "p.json"
    told = NEEDED | {"alpha": 0.1, "cuped": True, "start": None, "min_units": 5}
    file.write_text(json.dumps(told))
    params = D.from_command_line(["alpha=0.2"], file=file)
    assert params == ExampleParams(**NEEDED, alpha=0.2, cuped=True, min_units=5)


@pytest.mark.parametrize(("key", "value", "code", "hint"), REFUSED_JSON)
def test_a_json_file_is_refused(tmp_path, key, value, code, hint):
    needed = "".join(f'"{k}": "{v}", ' for k, v in NEEDED.items() if k != key)
    with pytest.raises(ParameterError, match="fault") as info:
        from_file(tmp_path, f"{{{needed}{json.dumps(key)}: {value}}}")
    assert info.value.code == code
    assert hint in info.value.faults[0].hint


def test_a_key_that_stands_twice_in_json_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="given again") as info:
        from_file(tmp_path, '{"alpha": 0.1, "alpha": 0.2}')
    assert info.value.code == "duplicate_parameter"


@pytest.mark.parametrize(
    "text",
    ["[1]", "7", b'{"alpha": "\xff"}', "{", "", "[" * 100_000],
    ids=["list", "number", "latin-1", "torn", "empty", "deep"],
)
def test_what_is_no_json_object_is_refused(tmp_path, text):
    with pytest.raises(ParameterError, match="JSON") as info:
        from_file(tmp_path, text)
    assert info.value.code == "usage"


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="nowhere") as info:
        D.from_command_line(pairs(), file=tmp_path / "nowhere.json")
    assert info.value.code == "usage"


# ---------------------------------------------------------------------- Python


@pytest.mark.parametrize(
    ("name", "value", "plain"),
    [
        ("alpha", np.float64(0.05), 0.05),
        ("min_units", np.int64(3), 3),
        ("cuped", np.bool_(True), True),
        ("experiment_id", np.str_("a"), "a"),
        ("as_of", np.datetime64("2026-01-31"), date(2026, 1, 31)),
        ("as_of", date(2026, 1, 31), date(2026, 1, 31)),
        ("start", "", None),
    ],
)
def test_python_values_become_plain_ones(name, value, plain):
    params = D.from_python(NEEDED | {name: value})
    assert getattr(params, name) == plain
    assert type(getattr(params, name)) is type(plain)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alpha", Decimal("0.05")),
        ("alpha", (0.05,)),
        ("alpha", np.array([0.05])),
        ("experiment_id", PurePosixPath("a")),
        ("experiment_id", b"a"),
        ("experiment_id", 7),
        ("as_of", datetime(2026, 1, 31)),
        ("min_units", 3.0),
    ],
)
def test_python_values_of_another_type_are_refused(name, value):
    with pytest.raises(ParameterError, match=name) as info:
        D.from_python(NEEDED | {name: value})
    assert info.value.code == "wrong_type"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("x=1; import os; y", "bad_name"),
        ("not valid", "bad_name"),
        ("", "bad_name"),
        (7, "bad_name"),
        ("class", "unknown_parameter"),
        ("pandas", "unknown_parameter"),
        ("__builtins__", "unknown_parameter"),
    ],
)
def test_python_names_are_checked_too(name, code):
    with pytest.raises(ParameterError, match="no parameter of") as info:
        D.from_python(NEEDED | {name: 1})
    assert info.value.code == code


def test_no_instance_exists_that_was_not_checked():
    with pytest.raises(ParameterError, match="alpha is 5"):
        ExampleParams(**NEEDED, alpha=5)
    good = ExampleParams(**NEEDED, alpha=np.float64(0.1))
    assert type(good.alpha) is float
    with pytest.raises(ParameterError, match="start is 2027-01-01"):
        replace(good, start=date(2027, 1, 1))
    with pytest.raises(TypeError, match="positional"):
        ExampleParams("007")


def test_a_path_may_be_long_and_may_be_a_path():
    given = {"who": "a", "as_of": "2026-01-31"}
    assert TinyParams(**given, data="d" * 4096).data == "d" * 4096
    assert TinyParams(**given, data=Path("a/b")).data == str(Path("a/b"))
    with pytest.raises(ParameterError, match="1 to 4096"):
        TinyParams(**given, data="d" * 4097)


def test_a_secret_is_named_and_must_be_there(monkeypatch):
    given = {"who": "a", "as_of": "2026-01-31"}
    monkeypatch.setenv("THE_KEY", "hunter2")
    assert TinyParams(**given, secret="THE_KEY").secret == "THE_KEY"
    monkeypatch.delenv("THE_KEY")
    with pytest.raises(ParameterError, match="not set") as info:
        TinyParams(**given, secret="THE_KEY")
    assert info.value.code == "missing_secret"


printable = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1).filter(
    lambda text: text.isprintable() and len(text) <= 128
)


@given(printable)
def test_any_text_survives_the_command_line_json_and_python(text):
    by_line = D.from_command_line(pairs(f"experiment_id={text}"))
    by_python = ExampleParams(experiment_id=text, as_of="2026-01-31")
    by_json = D.check(json.loads(json.dumps(D.plain(by_python))), "json")
    assert by_line == by_python == ExampleParams(**by_json)
    assert by_line.experiment_id == text


@given(st.floats(0, 1, exclude_min=True, exclude_max=True), st.integers(1, 10**6))
def test_any_number_survives_the_command_line(alpha, units):
    params = D.from_command_line(pairs(f"alpha={alpha!r}", f"min_units={units}"))
    assert params.alpha == alpha
    assert params.min_units == units


# -------------------------------------------------------------------- notebook


def notebook(injected="", edits=(), **values):
    """Return the globals() of a notebook after its first cells."""
    source = D.cell_source()
    for old, new in edits:
        source = source.replace(old, new)
    namespace = {"In": ["", source]}
    exec(source, namespace)
    if injected:
        cell = f"# Parameters\n{injected}\n"
        namespace["In"].append(cell)
        exec(cell, namespace)
    namespace["In"].append("p = ...")
    return namespace | values


def test_the_cells_of_a_notebook_give_the_parameters():
    assert ExampleParams.from_notebook(notebook()) == ExampleParams(**NEEDED)
    given = notebook('experiment_id = "x"\nas_of = "2026-03-01"\nalpha = 0.1')
    params = ExampleParams.from_notebook(given)
    assert params.experiment_id == "x"
    assert params.as_of == date(2026, 3, 1)
    assert params.alpha == 0.1
    assert params.start is None


@given(printable)
def test_any_text_survives_what_papermill_writes_into_a_notebook(text):
    from papermill.translators import PythonTranslator

    given = D.plain(ExampleParams(experiment_id=text, as_of="2026-01-31", alpha=0.1))
    cell = PythonTranslator.codify(given).removeprefix("# Parameters\n")
    assert ExampleParams.from_notebook(notebook(cell)).experiment_id == text


@pytest.mark.parametrize(
    ("injected", "code", "name", "hint"),
    [
        ("experiment_id = 7", "wrong_type", "experiment_id", "papermill's -r"),
        ('cuped = "true"', "wrong_type", "cuped", "Write True."),
        ('alpha = "0.05"', "wrong_type", "alpha", "papermill's -p"),
        ("alpah = 0.1", "unknown_parameter", "alpah", "'alpha'"),
        ("start = True", "wrong_type", "start", ""),
        ('as_of = "2026-02-30"', "bad_date", "as_of", ""),
    ],
)
def test_what_papermill_injected_is_checked(injected, code, name, hint):
    with pytest.raises(ParameterError, match=name) as info:
        ExampleParams.from_notebook(notebook(injected))
    assert info.value.code == code
    assert hint in info.value.faults[0].hint


def test_a_name_misspelt_in_the_first_cell_is_found():
    renamed = notebook(edits=[("alpha:", "alpah:")])
    with pytest.raises(ParameterError, match="alpah") as info:
        ExampleParams.from_notebook(renamed)
    assert info.value.code == "unknown_parameter"


def test_a_corrected_cell_counts_as_it_now_is():
    namespace = notebook(edits=[("alpha:", "alpah:")])
    namespace["In"].append(D.cell_source())
    exec(D.cell_source(), namespace)
    assert ExampleParams.from_notebook(namespace) == ExampleParams(**NEEDED)


# ----------------------------------------------------------------- declaration


A_TEXT = Annotated[str, Help("a text")]


def declared(default, hint=A_TEXT, **more):
    spec = [
        ("who", Annotated[str, Id(), Help("whom")]),
        ("as_of", Annotated[date, Help("last day")]),
        ("x", hint, default),
    ]
    cls = make_dataclass("P", spec, frozen=True, kw_only=True, **more)
    return readout("p_readout", subject="who")(cls)


@pytest.mark.parametrize(
    ("default", "hint", "message"),
    [
        ("a#b", Annotated[str, Help("t")], "free of # and ="),
        ("a=b", Annotated[str, Help("t")], "free of # and ="),
        (None, Annotated[str, Help("t")], r"declared `\| None`"),
        (3, Annotated[str, Help("t")], "x is 3"),
        (2.0, Annotated[float, Between(0, 1), Help("t")], "x is 2.0"),
        ("c", Annotated[Literal["a", "b"], Help("t")], "one of a, b"),
        (1, Annotated[Literal[1, 2], Help("t")], "a Literal of texts"),
        ((), Annotated[tuple[str, ...], Help("t")], "a Literal of texts"),
        (1, Annotated[int | str, Help("t")], "a Literal of texts"),
        ("a", str, "marked with Help"),
        ("a", Annotated[str, Help("two\nlines")], "marked with Help"),
    ],
)
def test_a_declaration_is_checked(default, hint, message):
    with pytest.raises(ParameterError, match=message) as info:
        declared(default, hint)
    assert info.value.code == "bad_declaration"


def test_a_declaration_needs_a_subject_a_day_and_a_frozen_class():
    @dataclass
    class Loose:
        who: Annotated[str, Help("whom")]

    with pytest.raises(ParameterError, match="a frozen dataclass"):
        readout("p_readout", subject="who")(Loose)
    bare = make_dataclass("Bare", [("a", Annotated[int, Help("t")])], frozen=True)
    with pytest.raises(ParameterError, match="fault") as info:
        readout("P Readout", subject="who")(bare)
    assert {fault.name for fault in info.value.faults} == {
        "P Readout",
        "a",
        "as_of",
        "who",
    }
    with pytest.raises(ParameterError, match="decorated with @readout") as info:
        declaration_of(bare)
    assert info.value.code == "bad_declaration"


def test_a_declaration_describes_itself():
    told = json.loads(json.dumps(D.describe(), allow_nan=False))
    assert told["name"] == "example_readout"
    assert told["deadline_s"] == 600
    assert told["help"] == "One parameter of each type."
    fields = {item["name"]: item for item in told["parameters"]}
    assert list(fields) == list(D.names)
    assert fields["alpha"] == {
        "name": "alpha",
        "type": "float",
        "required": False,
        "optional": False,
        "default": 0.05,
        "help": "two-sided level",
        "low": 0,
        "high": 1,
        "open": True,
    }
    assert fields["as_of"]["sample"] == "2026-01-31"
    assert fields["metric"]["choices"] == ["gmv", "conversion"]


@pytest.mark.parametrize(
    ("text", "value"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), (3, 3)]
)
def test_durations(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["0", "-1s", "10 minutes", "", "nan"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ParameterError, match="like 90s, 10m or 2h") as info:
        seconds(text)
    assert info.value.code == "bad_duration"


def test_a_sample_is_only_a_sample():
    assert D.cell_source().splitlines()[0] == (
        'experiment_id: str = "007"  # which experiment'
    )
    shown = declared("a").__readout__.cell_source({"who": "held"})
    assert shown.splitlines()[0] == 'who: str = "held"  # whom'
    assert Sample("007") == Sample("007")
