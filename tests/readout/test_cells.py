import json

import pytest

from growth.readout.cells import assigned, injected
from growth.readout.params import declaration_of
from tests.readout.example import ExampleParams

D = declaration_of(ExampleParams)


def code(source, tags=()):
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": f"c{abs(hash(source))}",
        "metadata": {"tags": list(tags)},
        "outputs": [],
        "source": source,
    }


def write(path, *cells):
    text = {"cell_type": "markdown", "id": "m", "metadata": {}, "source": "# Title"}
    notebook = {"cells": [text, *cells], "metadata": {}, "nbformat": 4}
    path.write_text(json.dumps(notebook | {"nbformat_minor": 5}))
    return path


def good():
    second = "p = ExampleParams.from_notebook(globals())"
    return [code(D.cell_source(), ["parameters"]), code(second), code("publish(p)")]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "example_readout.ipynb"


def test_a_notebook_that_agrees_has_no_faults(path):
    assert D.check_notebook(write(path, *good())) == ()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("= 0.05", "= 1/20", "set to a plain value"),
        ("= 0.05", "= 0.06", "the default 0.05"),
        ("= 0.05", '= "0.05"', "alpha is '0.05'"),
        ('= "gmv"', '= "g#v"', "free of # and ="),
        ('= "gmv"', '= "g=v"', "free of # and ="),
        ('= "gmv"', '= "gvm"', "one of gmv, conversion"),
        ("metric: str", 'metric: Literal["gmv"]', "one of"),
        ("alpha: float", "alpha: int", "annotated float"),
        ("two-sided level", "level", "explained as 'two-sided level'"),
        ("alpha: float", "alpah: float", "in this order"),
        ("alpha: float = 0.05", "alpha = 0.05", "name: type ="),
        ('"2026-01-31"', '"today"', "a date YYYY-MM-DD"),
        ("cuped: bool", "cuped bool", "must be Python"),
    ],
)
def test_a_cell_that_differs_from_the_dataclass_is_found(path, old, new, message):
    cells = good()
    assert old in cells[0]["source"]
    cells[0]["source"] = cells[0]["source"].replace(old, new, 1)
    faults = D.check_notebook(write(path, *cells))
    assert {fault.code for fault in faults} == {"bad_declaration"}
    assert message in " ".join(map(str, faults))


def test_the_notebook_is_held_to_the_rules_of_the_house(path):
    first, second, last = good()
    two = D.check_notebook(write(path, first, code("a = 1", ["parameters"]), last))
    assert "2 cells tagged parameters" in str(two[0])
    late = D.check_notebook(write(path, second, first, last))
    assert "the first code cell" in str(late[0])
    none = D.check_notebook(write(path, first, second))
    assert "0 calls of publish" in str(none[0])
    defined = D.check_notebook(write(path, first, code("def f():\n    pass"), last))
    assert "free of def and class" in str(defined[0])
    stored = D.check_notebook(write(path, first, second | {"execution_count": 3}, last))
    assert "stripped of it" in str(stored[0])
    magic = D.check_notebook(write(path, first, code("%matplotlib inline"), last))
    assert magic == ()
    broken = D.check_notebook(write(path, first, code("a ="), last))
    assert "must be Python" in str(broken[0])


def test_what_is_no_notebook_is_said_to_be_none(path):
    path.write_text("{")
    assert "a readable notebook" in str(D.check_notebook(path)[0])


def test_fixing_rewrites_the_cell_and_keeps_the_samples(path):
    cells = good()
    cells[0]["source"] = 'experiment_id: str = "mine"\nalpha: float = 1/20'
    cells[1] |= {"execution_count": 3, "outputs": [{"output_type": "stream"}]}
    write(path, *cells)
    assert D.check_notebook(path) != ()
    assert D.fix_notebook(path) == ()
    fixed = json.loads(path.read_text())["cells"][1]
    assert "".join(fixed["source"]) == D.cell_source()


def test_names_are_read_from_both_cells_and_from_no_other():
    cells = ["", "x: int = 1\ny = 2", "a: int = 1", "# Parameters\nb = 2\n", "c = 3"]
    namespace = {"In": cells}
    assert assigned(namespace, ["a"]) == ("a", "b")
    assert injected(namespace) == ("b",)
    assert injected({}) == ()
    assert assigned({"In": ["x ="]}, ["x"]) == ()
