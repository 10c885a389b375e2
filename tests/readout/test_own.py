import sys
from pathlib import Path

import pytest

from growth.errors import ParameterError
from growth.readout import AbtestParams, own
from growth.readout.params import declaration_of
from tests.readout import example

MODULE = """
from dataclasses import dataclass
from datetime import date
from typing import Annotated
from growth.readout import Help, readout

@readout("mine_readout", subject="who")
@dataclass(frozen=True, slots=True, kw_only=True)
class Mine:
    '''A readout of one's own.'''

    who: Annotated[str, Help("whom")]
    as_of: Annotated[date, Help("last day")]
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Return a readout declared in the current folder, which is on nobody's path."""
    (tmp_path / "mine_of_a_test.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield own.declared("mine_readout", "mine_of_a_test:Mine")
    sys.modules.pop("mine_of_a_test")


def test_a_declaration_is_found_in_the_current_folder_behind_all_else(mine, tmp_path):
    assert mine.names == ("who", "as_of")
    assert sys.path[-1] == str(tmp_path)


def test_its_address_is_what_a_command_takes(mine):
    params = mine.from_python({"who": "a", "as_of": "2026-01-31"})
    assert own.address(params) == ("mine_of_a_test:Mine", "mine_readout.ipynb")
    given = {"data": "d", "experiment_id": "x", "as_of": "2026-01-31"}
    assert own.address(AbtestParams(**given)) == ("", "")


def test_its_notebook_lies_beside_its_module():
    found = own.notebook_of(declaration_of(example.TinyParams))
    assert found == Path(example.__file__).with_name("tiny_readout.ipynb")


@pytest.mark.parametrize(
    "where", ["nowhere:Mine", "tests.readout.example:Nobody", "json:dumps", ":", "a b"]
)
def test_what_cannot_be_imported_is_refused(where):
    with pytest.raises(ParameterError, match="must be") as info:
        own.declared("mine_readout", where)
    assert info.value.code in {"unknown_readout", "bad_declaration"}
