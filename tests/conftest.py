"""Fixtures every test may use."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from growth.labels import LANG

ROOT = Path(__file__).resolve().parent.parent

# The same examples in every run, so that a red run is red again; look further with
# `pytest --hypothesis-profile=explore`.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=1000, deadline=None)
settings.load_profile("same")


@pytest.fixture(autouse=True)
def _english():
    token = LANG.set("en")
    yield
    LANG.reset(token)


@pytest.fixture(scope="session")
def real_data():
    """Return a function from a file's name to its path; skip where it is absent."""
    folder = Path(os.environ.get("GROWTH_REAL_DATA") or ROOT.parent / "shared" / "data")

    def find(name):
        path = folder / name
        if not path.exists():
            pytest.skip(f"{name} is not here (set GROWTH_REAL_DATA to its folder)")
        return path

    return find
