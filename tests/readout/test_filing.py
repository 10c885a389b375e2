import json

import pytest

from growth.readout import filing
from growth.readout.store import INPUTS, RUNNING
from tests.readout.test_page import MANIFEST, document


@pytest.fixture
def staged(tmp_path):
    (tmp_path / RUNNING).write_text("{}")
    (tmp_path / INPUTS).write_text("{}")
    (tmp_path / "log.txt").write_text("so far")
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "a.svg").write_text("<svg/>")
    return tmp_path


def test_an_attempt_is_set_aside_whole_and_the_next_begins_anew(staged):
    filing.set_aside(staged, 1)
    assert sorted(p.name for p in staged.iterdir()) == ["attempts", INPUTS, RUNNING]
    kept = staged / "attempts" / "1"
    assert sorted(p.name for p in kept.iterdir()) == ["charts", "log.txt"]
    (staged / "log.txt").write_text("again")
    filing.set_aside(staged, 2)
    assert (staged / "attempts" / "2" / "log.txt").read_text() == "again"
    assert (kept / "charts" / "a.svg").exists()


def test_a_page_that_cannot_be_drawn_is_written_plainly_and_said(staged, monkeypatch):
    def fail(*_args, **_kwargs):
        raise RuntimeError("no template")

    monkeypatch.setattr("growth.readout.page.render", fail)
    manifest = dict(MANIFEST) | {"status": "succeeded", "reason": ""}
    filing.draw(staged, manifest, notebook=None, document=document())
    (notice,) = manifest["notices"]
    assert notice["args"] == {"reason": "RuntimeError: no template"}
    page = (staged / "readout.html").read_text("utf-8")
    assert "no template" in page
    assert "pay_rate.lift" in page


def test_without_any_notebook_the_log_still_makes_a_page(staged):
    manifest = dict(MANIFEST) | {"status": "lost", "reason": "the runner was killed"}
    filing.draw(staged, manifest, notebook=None)
    assert "so far" in (staged / "readout.html").read_text("utf-8")
    executed = json.loads((staged / "executed.ipynb").read_text("utf-8"))
    assert "so far" in json.dumps(executed)
    assert manifest["cells"] == []
    assert manifest["notices"] == []
