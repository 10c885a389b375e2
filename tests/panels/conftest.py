"""One small merchant, for every panel that reads one."""

import pytest

import growth
from growth import synth


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """Return the merchant's folder."""
    folder = tmp_path_factory.mktemp("panels") / "shop"
    synth.sample(folder, seed=5, users=1500)
    return folder


@pytest.fixture(scope="session")
def dataset(shop):
    """Return the merchant's dataset."""
    return growth.open(shop)
