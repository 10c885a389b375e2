"""Hostile names and values on every way in: refused and typed, or kept as they are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from growth import cli
from growth.errors import ParameterError
from growth.readout import load, runner
from growth.readout import run as run_readout
from tests.readout.example import ExampleParams, write_notebook
from tests.readout.hostile import GIVEN, TEXTS, HostileParams, write_hostile
from tests.readout.test_params import (
    BAD_TEXT,
    HOSTILE_TEXT,
    NEEDED,
    REFUSED_JSON,
    REFUSED_TEXT,
)

ROOT = str(Path(__file__).resolve().parents[2])


@pytest.fixture
def home(place, monkeypatch):
    """Be in a folder with both notebooks, as a scheduler would be."""
    monkeypatch.setenv("PYTHONPATH", ROOT)
    monkeypatch.setenv("IPYTHONDIR", str(place / "ipython"))
    write_hostile(place)
    read = "from tests.readout.example import ExampleParams\n"
    read += "p = ExampleParams.from_notebook(globals())"
    write_notebook(place / "example_readout.ipynb", ExampleParams, [read])
    yield place
    assert not list(place.rglob("PWN*"))  # whatever came in, nothing of it ran


# ------------------------------------------------- what is accepted arrives unchanged


def test_there_are_enough_of_them():
    refused = len(REFUSED_TEXT) + len(REFUSED_JSON) + 2 * len(BAD_TEXT)
    assert set(HOSTILE_TEXT) <= set(TEXTS)
    assert len(set(TEXTS)) == len(TEXTS) >= 30
    assert refused + len(TEXTS) >= 100


def by_command(home):
    given = []
    for name, value in GIVEN.items():
        text = str(value).lower() if isinstance(value, bool) else value
        given += ["-p", f"{name}={'' if text is None else text}"]
    where = ["--declaration", "tests.readout.hostile:HostileParams"]
    where += ["--notebook", "hostile_readout.ipynb", "--out", "out", "--quiet"]
    command = [sys.executable, "-m", "growth", "readout", "run", "hostile_readout"]
    done = subprocess.run(
        [*command, *where, *given], check=True, capture_output=True, text=True
    )
    return load(home / done.stdout.strip()).params


def by_json(home):
    (home / "given.json").write_text(json.dumps(GIVEN), "utf-8")
    where = ["--declaration", "tests.readout.hostile:HostileParams", "--json"]
    where += ["--notebook", "hostile_readout.ipynb", "--out", str(home / "out")]
    command = ["readout", "run", "hostile_readout", *where, "--params", "given.json"]
    assert cli.main(command) == 0
    (path,) = home.glob("out/hostile_readout/007/*/*/readout.json")
    return load(path).params


def by_python(home):
    outcome = run_readout(
        "hostile_readout",
        GIVEN,
        out=home / "out",
        declaration=HostileParams,
        notebook=home / "hostile_readout.ipynb",
    )
    return load(outcome.path).params


def by_papermill(home):
    given = []
    for name, value in GIVEN.items():
        # -r is its word for text as it is, -p for a number or True
        given += ["-r" if isinstance(value, str) else "-p", name, f"{value}"]
    done = subprocess.run(
        [sys.executable, "-m", "papermill", "hostile_readout.ipynb", "out.ipynb",
         "--no-progress-bar", *given],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    cells = nbformat.read(home / "out.ipynb", as_version=4).cells
    said = "".join(o.get("text", "") for c in cells for o in c.get("outputs", ()))
    return json.loads(said.splitlines()[0])["told"]


@pytest.mark.parametrize(
    "way", [by_command, by_json, by_python, by_papermill], ids=lambda way: way.__name__
)
def test_what_is_accepted_arrives_unchanged(home, way):
    told = dict(way(home))
    assert told == GIVEN
    assert all(type(told[name]) is type(value) for name, value in GIVEN.items())


# --------------------------------------------------- what is refused starts no kernel


@pytest.fixture
def refused(home, monkeypatch, capsys):
    """Return a function that gives the code the command line refuses a call with."""

    def stop(*_args, **_kwargs):
        pytest.fail("a kernel was started")

    monkeypatch.setattr(runner, "supervise", stop)

    def code(*words):
        where = ["--declaration", "tests.readout.example:ExampleParams"]
        where += ["--notebook", str(home / "example_readout.ipynb")]
        command = ["readout", "run", "example_readout", "--json", "--out", "out"]
        assert cli.main([*command, *where, *words]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert not (home / "out").exists()
        fault = json.loads(said.err)[0]
        assert fault.keys() == {"code", "name", "seen", "expected", "hint"}
        return fault["code"]

    return code


def test_the_command_line_refuses_each_with_its_code(refused):
    for given, code, *_ in REFUSED_TEXT:
        named = given.partition("=")[0]
        rest = [f"{k}={v}" for k, v in NEEDED.items() if k != named]
        words = [word for pair in (*rest, given) for word in ("-p", pair)]
        assert refused(*words) == code, given
    for text in BAD_TEXT:
        words = ["-p", f"experiment_id={text}", "-p", "as_of=2026-01-31"]
        assert refused(*words) == "bad_text", text


def test_a_json_file_is_refused_with_its_code(home, refused):
    file = home / "given.json"
    for key, value, code, _ in REFUSED_JSON:
        rest = "".join(f'"{k}": "{v}", ' for k, v in NEEDED.items() if k != key)
        file.write_text(f"{{{rest}{json.dumps(key)}: {value}}}", "utf-8")
        assert refused("--params", str(file)) == code, (key, value)
    for text in BAD_TEXT:
        file.write_text(json.dumps(NEEDED | {"experiment_id": text}))
        assert refused("--params", str(file)) == "bad_text", text


def test_python_is_refused_with_its_code(home):
    for key, value, code, _ in REFUSED_JSON:
        found = json.loads(value, parse_int=lambda t: int(t) if len(t) < 20 else 2**60)
        with pytest.raises(ParameterError, match="fault") as info:
            run_readout(
                "example_readout",
                NEEDED | {key: found},
                out=home / "out",
                declaration=ExampleParams,
                notebook=home / "example_readout.ipynb",
            )
        assert info.value.code == code, (key, value)
    assert not (home / "out").exists()


@pytest.mark.parametrize(
    ("given", "code", "hint"),
    [
        (["-p", "experiment_id", "007"], "experiment_id is 7", "papermill's -r"),
        (["-p", "cuped", "true"], "cuped is 'true'", "Write True."),
        (["-p", "alpah", "0.1"], "alpah is no parameter", "'alpha'"),
    ],
)
@pytest.mark.usefixtures("home")
def test_plain_papermill_fails_at_the_second_cell(given, code, hint):
    done = subprocess.run(
        [sys.executable, "-m", "papermill", "example_readout.ipynb", "out.ipynb",
         "--no-progress-bar", *given],
        check=False, capture_output=True, text=True, env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode == 1
    assert "ParameterError" in done.stderr
    assert code in done.stderr
    assert hint in done.stderr
