"""The runner through real kernels, few of them: each start takes a second or two."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from growth.errors import ParameterError
from growth.readout import Store, inputs, load, run, runner
from growth.readout.diff import diff
from growth.readout.history import index
from tests.readout.example import TinyParams
from tests.readout.running import DAY, manifest_of, nothing_left, states, tiny_run

# ------------------------------------------------------------- without a kernel


@pytest.fixture
def no_kernel(monkeypatch):
    def refuse(*_args, **_kwargs):
        pytest.fail("a kernel was started")

    monkeypatch.setattr(runner, "supervise", refuse)


@pytest.mark.usefixtures("no_kernel")
def test_what_is_wrong_is_refused_before_a_kernel_starts(place):
    with pytest.raises(ParameterError, match="whoo") as info:
        tiny_run(place, whoo="x")
    assert info.value.code == "unknown_parameter"
    with pytest.raises(ParameterError, match="nowhere") as info:
        tiny_run(place, data="nowhere/*.csv")
    assert info.value.code == "no_such_path"
    with pytest.raises(ParameterError, match="Did you mean 'abtest_readout'") as info:
        run("abtest", {})
    assert info.value.code == "unknown_readout"
    with pytest.raises(ParameterError, match="not of 'other'") as info:
        run("other", {}, declaration=TinyParams)
    assert info.value.code == "unknown_readout"
    source = (place / "tiny_readout.ipynb").read_text()
    (place / "tiny_readout.ipynb").write_text(source.replace("what: str", "wat: str"))
    with pytest.raises(ParameterError, match="in this order") as info:
        tiny_run(place)
    assert info.value.code == "bad_declaration"
    assert not (place / "out").exists()


# ---------------------------------------------------------------- with a kernel


def test_a_run_that_succeeds_is_kept_whole_and_not_repeated(place, monkeypatch):
    # somebody may be editing the package while this runs
    monkeypatch.setattr(inputs, "package_digest", cache(inputs.package_digest))
    hostile = 'x"; import os; os.system("touch PWN"); y="""\\ {a} 实 <script>'
    data = place / "orders.csv"
    data.write_text("a,b\n1,2\n")
    given = {"what": "tell", "who": hostile, "data": str(data), "secret": "THE_KEY"}
    told = []
    outcome = tiny_run(place, **given, progress=told.append)
    assert (outcome.status, outcome.exit_code) == ("succeeded", 0)
    assert outcome.reason == ""
    document, manifest = load(outcome.path), manifest_of(outcome)
    assert document.subject == hostile
    assert document.run_id == outcome.run_id == manifest["run_id"]
    assert document.estimates[0].value == 0.5
    (source,) = document.provenance.data
    assert source.name == "data"
    assert [source.sha256] == [item["sha256"] for item in manifest["data"]]
    assert states(outcome) == ["completed"] * 5
    assert sorted(manifest["artifacts"]) == [
        "executed.ipynb",
        "inputs.json",
        "log.txt",
        "readout.html",
        "readout.json",
    ]
    page = (outcome.path / "readout.html").read_text()
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert not (place / "PWN").exists()
    held = [p.read_bytes() for p in (place / "out").rglob("*") if p.is_file()]
    assert not any(b"hunter2" in content for content in held)
    assert b"the secret is ***" in (outcome.path / "log.txt").read_bytes()
    assert (told[-1].done, told[-1].total) == (5, 5)
    assert 0 < told[-1].left < 300
    latest = Store(place / "out").latest("tiny_readout", hostile)
    assert latest["run_id"] == outcome.run_id
    assert latest["folder"] == str(outcome.path)
    nothing_left(place)

    again = tiny_run(place, **given)
    assert (again.status, again.exit_code) == ("skipped", 0)
    latest = Store(place / "out").latest("tiny_readout", hostile)
    assert latest["run_id"] == outcome.run_id
    assert again.path == outcome.path
    assert len(list(Store(place / "out").runs())) == 1


def test_a_cell_that_raises_fails_the_run_and_a_lost_one_is_filed(place):
    store = Store(place / "out")
    lost = {"readout": "tiny_readout", "subject": "one", "as_of": DAY, "params": {}}
    note = {"manifest": lost | {"run_id": "20260101T000000Z-000001", "run_key": "k"}}
    staged = store.open_staging("20260101T000000Z-000001", note)
    (staged / "log.txt").write_text("so far")

    outcome = tiny_run(place, "raise")
    assert (outcome.status, outcome.exit_code) == ("failed", 3)
    assert outcome.reason == "a cell raised ZeroDivisionError: on purpose"
    assert states(outcome) == [*["completed"] * 3, "failed", "not_run"]
    assert "on purpose" in (outcome.path / "readout.html").read_text()
    executed = json.loads((outcome.path / "executed.ipynb").read_text())
    assert executed["metadata"]["papermill"]["exception"] is True
    assert executed["cells"][0]["metadata"]["tags"] == ["run-status"]
    assert store.latest("tiny_readout", "one") is None

    (path, held), _ = store.runs()
    assert path.name == "20260101T000000Z-000001"
    assert (held["status"], held["exit_code"]) == ("lost", 137)
    assert "so far" in (path / "executed.ipynb").read_text()
    nothing_left(place)


def test_a_kernel_that_dies_is_told_from_a_cell_that_fails(place, monkeypatch):
    waited = []
    monkeypatch.setattr(runner, "_pause", lambda length, _: waited.append(length))
    hook = (
        f'{sys.executable} -c \'import sys; open("told", "w").write(sys.stdin.read())\''
    )
    outcome = tiny_run(place, "die", retries=1, on_finish=hook)
    assert (outcome.status, outcome.exit_code) == ("kernel_died", 5)
    assert states(outcome) == [*["completed"] * 3, "kernel_died", "not_run"]
    # tried twice, the first try kept
    assert waited == [2.0]
    told = manifest_of(outcome)
    assert told["attempt"] == 2
    assert told["attempts"] == [{"status": "kernel_died", "reason": "the kernel died"}]
    assert (outcome.path / "attempts" / "1" / "executed.ipynb").exists()
    assert "attempts/1/log.txt" in told["artifacts"]
    assert outcome.remarks == ()
    assert json.loads((place / "told").read_text())["status"] == "kernel_died"


def test_what_may_pass_by_itself_is_tried_again_until_it_does(place, monkeypatch):
    monkeypatch.setattr(runner, "_pause", lambda *_: None)
    outcome = tiny_run(place, "stumble", retries=3, on_finish="no-such-command")
    assert outcome.status == "succeeded"
    assert manifest_of(outcome)["attempt"] == 2
    (remark,) = outcome.remarks
    assert "no-such-command" in remark


def test_a_readout_that_decides_nothing_goes_all_the_way(place):
    first = tiny_run(place, "describe")
    assert first.status == "succeeded"
    document, manifest = load(first.path), manifest_of(first)
    assert document.decision.verdict == manifest["decision"] == "check.state.ok"
    assert document.decision.reasons == ()
    assert manifest["estimate"]["key"] == "curve.day_7"
    page = (first.path / "readout.html").read_text()
    assert 'class="decision g"><strong>passed</strong>' in page
    assert "curve.day_7" in page
    assert "31.4%" in page
    assert "+31" not in page
    second = tiny_run(place, "describe", as_of="2026-02-01")
    told = diff(first.path, second.path)
    assert told.answers == ("check.state.ok", "check.state.ok")
    assert told.verdict == "readout.diff.same"
    shown = index(place / "out").read_text()
    assert "passed" in shown
    assert "<b>31.4%</b> <small>[30.4% to 32.4%]</small>" in shown
    assert shown.count("<polyline") == 1
    assert 'class="zero"' not in shown
    assert Store(place / "out").latest("tiny_readout", "one")["as_of"] == "2026-02-01"


def test_plain_papermill_runs_the_same_notebook(place):
    root = str(Path(__file__).resolve().parents[2])
    env = os.environ | {"PYTHONPATH": root, "IPYTHONDIR": str(place / "ipython")}
    command = [sys.executable, "-m", "papermill", "tiny_readout.ipynb", "out.ipynb"]
    given = ["-r", "who", "007", "-y", f"as_of: {DAY}", "--no-progress-bar"]
    subprocess.run([*command, *given], env=env, check=True, capture_output=True)
    executed = (place / "out.ipynb").read_text()
    assert "growth-card" in executed
    assert not (place / "readout.json").exists()
