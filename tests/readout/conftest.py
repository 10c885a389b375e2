"""A folder with the tiny notebook in it, and one forkserver for all who run it."""

from contextlib import ExitStack, nullcontext

import pytest

from growth.readout import runner
from tests.readout.example import write_tiny


@pytest.fixture(scope="session")
def server():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_CURRENT_TEST", raising=False)  # it changes all the time
        patch.delenv("GROWTH_READOUTS", raising=False)
        patch.setenv("THE_KEY", 'hunter2"')
        stack = ExitStack()
        made = stack.enter_context(runner.forkserver())
    with stack:
        yield made


@pytest.fixture
def place(tmp_path, monkeypatch, server):
    """Return a folder with the tiny notebook in it, and be there."""
    monkeypatch.setattr(runner, "forkserver", lambda: nullcontext(server))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GROWTH_READOUTS", raising=False)
    monkeypatch.setenv("THE_KEY", 'hunter2"')
    write_tiny(tmp_path / "tiny_readout.ipynb")
    return tmp_path
