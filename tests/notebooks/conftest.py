"""One small sample, and readouts of it in both languages."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from growth import readout, synth
from growth.readout.catalog import notebook

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample") / "merchant"
    synth.sample(folder, seed=5, users=3000)
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """Return a function that runs the readout and reads back what it left."""
    out = tmp_path_factory.mktemp("readouts")
    done = {}

    def make(data, experiment_id="", *, lang="en", **params):
        name = params.pop("readout", "abtest_readout")
        given = {"data": str(data), "lang": lang, "as_of": "2026-03-01"} | params
        if name == "abtest_readout":
            experiment_id = experiment_id or "home_layout"
        if experiment_id:
            given["experiment_id"] = experiment_id
        key = json.dumps([name, given], sort_keys=True)
        if key not in done:
            done[key] = readout.run(name, given, out=out / str(len(done)))
        outcome = done[key]
        assert outcome.status == "succeeded", outcome.reason

        def read(name):
            return (outcome.path / name).read_text("utf-8")

        return SimpleNamespace(
            path=outcome.path,
            document=json.loads(read("readout.json")),
            manifest=json.loads(read("manifest.json")),
            page=read("readout.html"),
        )

    return make


@pytest.fixture
def under_papermill(sample, tmp_path):
    """Return a function that runs a notebook under papermill and reads its outputs."""

    def run(name, /, **params):
        import papermill

        out = tmp_path / "out.ipynb"
        papermill.execute_notebook(
            str(notebook(name)),
            str(out),
            parameters={"data": str(sample), "as_of": "2026-03-01"} | params,
            progress_bar=False,
            cwd=str(tmp_path),
        )
        made = json.loads(out.read_text("utf-8"))
        outputs = [o for cell in made["cells"] for o in cell.get("outputs", [])]
        assert not [o for o in outputs if o["output_type"] == "error"]
        shown = [o.get("data", {}) for o in outputs]
        return SimpleNamespace(
            html="".join("".join(data.get("text/html", "")) for data in shown),
            kinds={kind for data in shown for kind in data},
        )

    return run


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    """A kernel is a process of its own: it must find this package, installed or not."""
    held = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), held])))
