import pytest

from tests.dataset.fixtures import KEY


@pytest.fixture(autouse=True)
def _id_key(monkeypatch):
    monkeypatch.setenv("GROWTH_ID_KEY", KEY)
