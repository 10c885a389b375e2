import json
import shutil

import pytest

from growth import charts
from growth.errors import DataError, ParameterError, StoreError
from growth.readout import chromium, extras, page, run
from growth.readout.store import sha256_of
from tests.charts.sample import results
from tests.readout.example import TinyParams, write_tiny
from tests.readout.test_page import MANIFEST, document, story


@pytest.fixture
def folder(tmp_path):
    """A run's folder: page, document, one chart."""
    *_, trend = results()
    chart = charts.abtest.trend_chart(trend)
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "trend.svg").write_text(charts.to_svg(chart), "utf-8")
    (tmp_path / "charts" / "trend.vl.json").write_text(chart.to_json(), "utf-8")
    listed = {
        "key": "trend",
        "alt": "",
        "spec": "charts/trend.vl.json",
        "svg": "charts/trend.svg",
    }
    told = document(charts=[listed])
    (tmp_path / "readout.json").write_text(json.dumps(told), "utf-8")
    static = page.render(story("en"), told, MANIFEST)
    (tmp_path / "readout.html").write_text(static, "utf-8")
    return tmp_path


@pytest.fixture
def nothing_installed(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_args, **_more: None)


def test_a_live_page_is_made_from_the_folder_alone(folder):
    (path,) = extras.make(folder, ["interactive"])
    assert path.name == "readout.interactive.html"
    assert path.read_text("utf-8").count('data-chart="trend') == 1


def test_what_is_there_is_left(folder):
    (folder / "readout.pdf").write_bytes(b"ready")
    (path,) = extras.make(folder, {"pdf"})
    assert path.read_bytes() == b"ready"
    assert extras.make(folder, ()) == ()


def test_what_is_made_later_is_entered_in_the_manifest(folder):
    manifest = folder / "manifest.json"
    told = MANIFEST | {"artifacts": {"readout.json": "0" * 64}}
    manifest.write_text(json.dumps(told), "utf-8")
    (folder / "readout.pdf").write_bytes(b"ready")
    live, pdf = extras.make(folder, {"pdf", "interactive"})
    held = json.loads(manifest.read_text("utf-8"))
    assert held["artifacts"] == {
        "readout.json": "0" * 64,
        live.name: sha256_of(live),
        pdf.name: sha256_of(pdf),
    }
    assert held["run_id"] == MANIFEST["run_id"]
    changed = manifest.stat().st_mtime_ns
    extras.make(folder, {"pdf", "interactive"})
    assert manifest.stat().st_mtime_ns == changed
    assert not list(folder.glob(".*"))


def test_without_a_document_there_is_no_live_page(tmp_path):
    with pytest.raises(DataError, match=r"readout\.json"):
        extras.make(tmp_path, ["interactive"])


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize("kind", ["pdf", "png"])
def test_without_chromium_it_is_refused_before_anything_runs(kind):
    with pytest.raises(
        ParameterError, match=r"is not here; .* on the PATH .* apt install chromium"
    ) as error:
        extras.require([kind])
    assert error.value.code == "chromium_missing"
    extras.require(["interactive"])


@pytest.mark.parametrize("program", ["exit 3", "exec sleep 60"])
def test_a_chromium_that_does_not_answer_is_told_and_ended(
    program, tmp_path, folder, monkeypatch
):
    fake = tmp_path / "chromium"
    fake.write_text(f"#!/bin/sh\n{program}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(chromium, "_PATIENCE", 0.3)
    with pytest.raises(StoreError, match="did not draw the page") as error:
        extras.make(folder, ["pdf"])
    assert error.value.code == "chromium_failed"
    assert not (folder / "readout.pdf").exists()


@pytest.mark.browser
def test_pdf_and_picture_of_the_page(folder):
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not installed")
    pdf, png = extras.make(folder, ["pdf", "png"])
    paper = pdf.read_bytes()
    assert paper.startswith(b"%PDF-")
    assert b"/StructTreeRoot" in paper  # tagged: a screen reader finds its way
    picture = png.read_bytes()
    assert picture.startswith(b"\x89PNG")
    width = int.from_bytes(picture[16:20], "big")
    height = int.from_bytes(picture[20:24], "big")
    assert width == 2200
    assert height > width


def test_a_run_leaves_them_and_so_does_one_that_was_answered_before(
    tmp_path, monkeypatch
):
    write_tiny(tmp_path / "tiny_readout.ipynb")

    def tiny_run(*also):
        return run(
            "tiny_readout",
            {"who": "one", "as_of": "2026-01-31"},
            out=tmp_path / "out",
            declaration=TinyParams,
            notebook=tmp_path / "tiny_readout.ipynb",
            also=also,
        )

    first = tiny_run("interactive")
    assert (first.status, first.remarks) == ("succeeded", ())
    live = first.path / "readout.interactive.html"
    listed = json.loads((first.path / "manifest.json").read_text("utf-8"))["artifacts"]
    assert live.name in listed

    fake = tmp_path / "chromium"
    fake.write_text("#!/bin/sh\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    live.unlink()
    again = tiny_run("interactive", "pdf")
    assert (again.status, again.exit_code) == ("skipped", 0)
    assert live.exists()
    (remark,) = again.remarks
    assert remark.startswith("readout.pdf was not made: Chromium did not draw")
