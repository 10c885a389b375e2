"""The rules of the house, for the notebook of every readout there is."""

import ast

import nbformat
import pytest

from growth.labels import has
from growth.readout.catalog import get, names, notebook

every = pytest.mark.parametrize("name", names())


def code(name):
    cells = nbformat.read(notebook(name), as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code"]


@every
def test_the_notebook_agrees_with_its_declaration(name):
    assert get(name).check_notebook(notebook(name)) == ()
    assert has(f"readout.kind.{name}")


@every
def test_cells_are_short_and_words_stand_in_both_languages(name):
    cells = nbformat.read(notebook(name), as_version=4).cells
    assert len({cell.id for cell in cells}) == len(cells)
    for cell in code(name)[1:]:  # the first has a line a parameter
        assert len(cell.source.splitlines()) <= 10
    tags = [cell.metadata.get("tags", []) for cell in cells]
    assert tags.count(["en"]) == tags.count(["zh"]) >= 1


@every
def test_no_cell_rebinds_a_parameter_so_that_each_can_be_run_again(name):
    bound = [
        {
            node.id
            for node in ast.walk(ast.parse(cell.source))
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        for cell in code(name)
    ]
    assert bound[0] == set(get(name).names)
    assert not bound[0] & set().union(*bound[1:])
