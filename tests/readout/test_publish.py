import json
import sys
from types import SimpleNamespace

import altair as alt
import pytest

from growth.errors import ParameterError
from growth.labels import label
from growth.readout import AbtestParams, Readout, load
from growth.readout import publish as publish_function
from growth.readout.publish import publish, summary
from growth.result import Notice
from tests.readout.example import Answer, TinyParams, tiny

PARAMS = TinyParams(who="<b>007</b>", as_of="2026-01-31")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GROWTH_RUN_DIR", str(tmp_path))
    monkeypatch.setenv("GROWTH_RUN_ID", "20260201T031500Z-7f3a9c")
    told = {"package": "9", "git": "abc", "dirty": True, "data": [{"name": "orders"}]}
    monkeypatch.setenv("GROWTH_RUN_PROVENANCE", json.dumps(told))
    return tmp_path


def test_inside_a_run_the_document_and_its_charts_are_written(folder):
    chart = alt.Chart(alt.InlineData(values=[{"x": 1}])).mark_point().encode(x="x:Q")
    publish(tiny(PARAMS, charts={"effect": chart}, rows={"orders": 3}))
    held = load(folder)
    assert held.run_id == "20260201T031500Z-7f3a9c"
    assert held.provenance.package == "9"
    assert held.provenance.data[0].rows == 3
    assert (folder / "charts" / "effect.svg").read_text().startswith("<svg")
    assert json.loads((folder / "charts" / "effect.vl.json").read_text())
    names = sorted(path.name for path in folder.rglob("*") if path.is_file())
    assert names == ["effect.svg", "effect.vl.json", "readout.json"]


def test_files_to_keep_are_copied_to_the_run(folder, tmp_path_factory):
    rejects = tmp_path_factory.mktemp("cache") / "rejects.parquet"
    rejects.write_bytes(b"PAR1")
    publish(tiny(PARAMS), keep=[rejects])
    assert (folder / "rejects.parquet").read_bytes() == b"PAR1"
    assert rejects.exists()


def test_a_notebook_publishes_once(folder):
    publish(tiny(PARAMS))
    before = (folder / "readout.json").read_bytes()
    with pytest.raises(ParameterError, match="must publish once") as info:
        publish(tiny(PARAMS))
    assert info.value.code == "published_twice"
    assert (folder / "readout.json").read_bytes() == before


def test_outside_a_run_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.delenv("GROWTH_RUN_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    publish(tiny(PARAMS))
    publish(tiny(PARAMS))
    assert list(tmp_path.iterdir()) == []


def test_the_card_is_escaped_and_in_the_readers_language():
    made = tiny(PARAMS, notices=[Notice("low_expected_count", args=(("limit", 5),))])
    card = summary(made)
    assert "<b>007" not in card
    assert "&lt;b&gt;007" in card
    assert "fewer than 5 units" in card
    assert "x.lift arm=B" in card
    assert "小于 5" in summary(made, lang="zh")
    assert label("abtest.split.ok", "zh") in summary(made, lang="zh")


@pytest.mark.parametrize(
    ("cells", "subject", "left"),
    [
        ([], "home_layout", "data, experiment_id"),
        (["# Parameters\nexperiment_id = 'home_layout'\n"], "home_layout", "data"),
        ([], "mine", "data"),
    ],
)
def test_samples_left_in_a_notebook_are_named(monkeypatch, cells, subject, left):
    monkeypatch.delenv("GROWTH_RUN_DIR", raising=False)
    shown = []
    module = sys.modules["growth.readout.publish"]
    shell = SimpleNamespace(user_ns={"In": cells})
    monkeypatch.setattr(module, "_shell", lambda: shell)
    monkeypatch.setattr(module, "_display", shown.append)
    params = AbtestParams(data="data/sample", experiment_id=subject, as_of="2026-03-02")
    publish_function(Readout.from_results(params, decision=Answer(value=0.1)))
    assert f"sample values: {left}." in shown[0]
