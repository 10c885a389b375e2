"""The guides, run from end to end on a small sample, as a reader would run them."""

import json
import shutil
from pathlib import Path

import nbformat
import papermill
import pytest

from growth.readout.catalog import notebook
from growth.readout.params import declaration_of

GUIDES = notebook("abtest_readout").parent / "guides"
NAMES = sorted(path.name for path in GUIDES.glob("*.ipynb"))


@pytest.fixture(scope="module")
def run_guide(sample, tmp_path_factory):
    """Return a function that runs a guide, in a copy of its folder."""
    home = tmp_path_factory.mktemp("guides")
    shutil.copytree(GUIDES, home, dirs_exist_ok=True)

    def make(name, lang="en"):
        out = home / f"ran-{lang}-{name}"
        papermill.execute_notebook(
            home / name,
            out,
            parameters={"data": str(sample), "as_of": "2026-03-01", "lang": lang},
            progress_bar=False,
            cwd=str(home),
        )
        cells = nbformat.read(out, as_version=4).cells
        return {cell.id: cell.get("outputs", []) for cell in cells}

    return make


def shown(outputs, kind="text/html"):
    return "".join(o.get("data", {}).get(kind, "") for o in outputs)


@pytest.mark.parametrize("name", NAMES)
def test_a_guide_keeps_the_rules_of_the_house(name):
    held = json.loads((GUIDES / name).read_text("utf-8"))
    tags = [cell["metadata"].get("tags", []) for cell in held["cells"]]
    assert sum("parameters" in each for each in tags) == 1
    ids = [cell["id"] for cell in held["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in held["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            assert any("一" <= sign <= "鿿" for sign in source), (
                source
            )  # both languages
            continue
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
        assert len(source.splitlines()) <= 12
        assert not [
            line
            for line in source.splitlines()
            if line.lstrip().startswith(("def ", "class ", "!", "%"))
        ]


def test_first_steps(run_guide):
    told = run_guide("01_first_steps.ipynb")
    assert "growth-card" in shown(told["split"])
    assert "<svg" in shown(told["split-chart"], "image/svg+xml")
    assert "<svg" in shown(told["analyze"], "image/svg+xml")
    assert "growth-card" in shown(told["decide"])
    (view,) = [o for o in told["planner"] if "data" in o]
    assert "application/vnd.jupyter.widget-view+json" in view["data"]


def test_reading_an_experiment_in_chinese(run_guide):
    told = run_guide("02_reading_an_experiment.ipynb", "zh")
    assert "abtest.decision.invalid" in shown(told["answers"], "text/plain")
    assert "首页布局" in shown(told["summary"])
    assert "下单率" in shown(told["effects"])
    (view,) = [o for o in told["explorer"] if "data" in o]
    assert "application/vnd.jupyter.widget-view+json" in view["data"]


def test_writing_a_readout(run_guide):
    told = run_guide("03_writing_a_readout.ipynb")
    said = "".join(o.get("text", "") for o in told["refused"])
    assert "as_of" in said
    assert "lang" in said
    assert "growth-card" in shown(told["count"])
    assert shown(told["check"], "text/plain") == "()"
    ended = shown(told["runs"], "text/plain")
    assert "'succeeded'" in ended
    assert "readout.html" in ended
    assert "weekly_orders." in shown(told["read"], "text/plain")


def test_the_guides_own_readout_agrees_with_its_declaration(monkeypatch):
    monkeypatch.syspath_prepend(str(GUIDES))
    from weekly_orders import WeeklyOrders

    path = Path(GUIDES) / "weekly_orders.ipynb"
    assert declaration_of(WeeklyOrders).check_notebook(path) == ()
