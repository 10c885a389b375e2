import json

import pytest

import growth
from growth import synth


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """Return the sample merchant of the guide, and what is planted in it."""
    folder = tmp_path_factory.mktemp("heatmap") / "shop"
    synth.sample(folder, users=2_000)
    truth = json.loads((folder / "truth.json").read_text("utf-8"))
    return growth.open(folder), truth
