"""One small sample and one middling one, made once."""

import json
from types import SimpleNamespace

import pytest

from growth import synth


def _open(folder, report):
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    def read(name):
        if (folder / f"{name}.parquet").exists():
            return pq.read_table(folder / f"{name}.parquet").to_pandas()
        files = sorted((folder / name).rglob("*.parquet"))
        return ds.dataset(files).to_table().to_pandas()

    truth = json.loads((folder / "truth.json").read_text("utf-8"))
    cache = {}
    return SimpleNamespace(
        folder=folder,
        report=report,
        truth=truth,
        read=lambda name: cache.setdefault(name, read(name)),
    )


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synth") / "small"
    return _open(folder, synth.sample(folder, seed=7, users=500))


@pytest.fixture(scope="session")
def middling(tmp_path_factory):
    """Two shards, so that tests see files and ids from both."""
    folder = tmp_path_factory.mktemp("synth") / "middling"
    report = synth.sample(folder, seed=11, users=6_000, shard_users=3_000)
    return _open(folder, report)
