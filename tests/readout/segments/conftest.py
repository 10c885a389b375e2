"""A small merchant, and what the readout finds of it."""

from datetime import date

import pytest

import growth
from growth import synth
from growth.readout import SegmentsParams
from growth.readout import segments as room

DAY = date(2026, 2, 28)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("segments") / "shop"
    synth.sample(folder, seed=5, users=1500)
    return growth.open(folder)


@pytest.fixture(scope="module")
def params(opened):
    return SegmentsParams(data=str(opened.location), name="customers", as_of=DAY)


@pytest.fixture(scope="module")
def found(opened, params):
    return room.look(opened, params)
