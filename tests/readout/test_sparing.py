import subprocess
import sys

import pytest

ASK = """
import sys
from growth.readout.sparing import spared

with spared("pyarrow"):
    import nbformat
    try:
        import pyarrow
    except ImportError:
        print("absent")
print("rfc3987_syntax" in sys.modules, "pyarrow" in sys.modules)
from jsonschema import FormatChecker
checker = FormatChecker(["iri"])
print([checker.conforms(text, "iri") for text in ("http://实.cn/", "http://a b")])
print("rfc3987_syntax" in sys.modules)
import pyarrow
"""
CHILD = """
import sys
from growth.readout.child import preload

preload()
print(*sys.modules)
"""


def test_a_grammar_is_put_off_and_answers_the_same():
    pytest.importorskip("rfc3987_syntax", reason="jsonschema has no grammar to compile")
    done = subprocess.run(
        [sys.executable, "-c", ASK], check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [
        "absent",
        "False False",
        "[True, False]",
        "True",
    ]


def test_what_is_loaded_already_stays_as_it_is(monkeypatch):
    from growth.readout.sparing import spared

    monkeypatch.setitem(sys.modules, "rfc3987_syntax", None)
    with spared("json"):
        import json
    assert json is sys.modules["json"]
    assert sys.modules["rfc3987_syntax"] is None


def test_a_process_that_is_forked_holds_no_numbers_and_no_engine():
    done = subprocess.run(
        [sys.executable, "-c", CHILD], check=True, capture_output=True, text=True
    )
    loaded = set(done.stdout.split())
    assert "papermill" in loaded
    heavy = {"numpy", "pandas", "pyarrow", "duckdb", "altair", "matplotlib"}
    assert loaded & heavy == set()
