"""The runner through real kernels, few of them: each start takes a second or two."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from datetime import date
from functools import cache
from pathlib import Path

import psutil
import pytest

from growth.errors import ParameterError
from growth.readout import Store, filing, inputs, load, run, runner
from growth.readout.diff import diff
from growth.readout.history import index
from growth.readout.store import Key, write_file
from tests.readout.example import TinyParams, write_tiny

DAY = "2026-01-31"


@pytest.fixture(scope="module")
def server():
    with runner.forkserver() as made:
        yield made


@pytest.fixture
def place(tmp_path, monkeypatch, server):
    """Return a folder with the tiny notebook in it, and be there."""
    monkeypatch.setattr(runner, "forkserver", lambda: nullcontext(server))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GROWTH_READOUTS", raising=False)
    monkeypatch.setenv("THE_KEY", 'hunter2"')
    write_tiny(tmp_path / "tiny_readout.ipynb")
    return tmp_path


def tiny_run(place, what="succeed", *, who="one", as_of=DAY, **more):
    options = {
        name: more.pop(name)
        for name in ("force", "wait", "deadline", "progress", "retries", "on_finish")
        if name in more
    }
    return run(
        "tiny_readout",
        {"who": who, "as_of": as_of, "what": what} | more,
        out=place / "out",
        declaration=TinyParams,
        notebook=place / "tiny_readout.ipynb",
        **options,
    )


def manifest_of(outcome):
    return json.loads((outcome.path / "manifest.json").read_text())


def states(outcome):
    return [cell["status"] for cell in manifest_of(outcome)["cells"]]


def nothing_left(place):
    """Nothing is staged, and no process of a run is alive."""
    assert list((place / "out" / ".staging").iterdir()) == []
    mine = [p for p in psutil.Process().children() if p.status() != "zombie"]
    mine = [p for p in mine if p.name() != "java"]  # Spark's, from other tests
    assert [p for p in mine if "server()" not in p.cmdline()[-2]] == []


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


@pytest.mark.usefixtures("no_kernel")
def test_a_run_that_is_running_elsewhere_is_refused(place):
    store = Store(place / "out")
    key = Key(readout="tiny_readout", subject="one", as_of=date.fromisoformat(DAY))
    with store.lock(key):
        outcome = tiny_run(place, wait="0.1s")
    assert (outcome.status, outcome.exit_code) == ("refused", 7)
    assert "another process" in outcome.reason
    assert list(store.runs()) == []


@pytest.mark.usefixtures("no_kernel")
def test_a_store_that_cannot_be_written_is_said_to_be_one(place):
    (place / "out").write_text("a file, not a folder")
    outcome = tiny_run(place)
    assert (outcome.status, outcome.exit_code) == ("store_error", 8)
    assert "could not be kept" in outcome.reason


def test_a_defect_of_ours_is_kept_with_its_traceback(place, monkeypatch):
    def fail(*_args, **_kwargs):
        raise KeyError("ours")

    monkeypatch.setattr(runner, "supervise", fail)
    outcome = tiny_run(place)
    assert (outcome.status, outcome.exit_code) == ("internal_error", 1)
    assert "KeyError: 'ours'" in (outcome.path / "traceback.txt").read_text()
    monkeypatch.undo()
    # the next run files it away
    (staged,) = (place / "out" / ".staging").iterdir()
    assert staged.name == outcome.run_id


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
    assert again.path == outcome.path
    assert len(list(Store(place / "out").runs())) == 1


def test_a_page_that_fails_leaves_the_numbers_and_latest_an_earlier_day(
    place, monkeypatch
):
    store = Store(place / "out")
    later = Key(readout="tiny_readout", subject="one", as_of=date(2026, 2, 1))
    staged = store.open_staging("20260201T000000Z-000001", {})
    write_file(staged / "readout.json", "{}")
    store.finish(later, staged.name, {"status": "succeeded"})
    store.point(later, staged.name)

    def fail(*_args, **_kwargs):
        raise RuntimeError("no template")

    monkeypatch.setattr("growth.readout.page.render", fail)
    outcome = tiny_run(place)
    assert outcome.status == "succeeded"
    (notice,) = manifest_of(outcome)["notices"]
    assert notice["code"] == "page_failed"
    assert "no template" in (outcome.path / "readout.html").read_text()
    assert store.latest("tiny_readout", "one")["as_of"] == "2026-02-01"


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


def test_leaving_by_sys_exit_is_a_failure(place):
    outcome = tiny_run(place, "leave")
    assert (outcome.status, outcome.exit_code) == ("failed", 3)
    assert manifest_of(outcome)["reason_code"] == "system_exit"
    assert states(outcome)[-1] == "not_run"


def test_a_run_past_its_deadline_keeps_what_it_said_and_leaves_no_process(place):
    for deadline in (6, 60):  # the second only where a kernel starts very slowly
        outcome = tiny_run(place, "hang", deadline=deadline)
        if (outcome.path / "orphan").exists():
            break
    assert (outcome.status, outcome.exit_code) == ("timed_out", 4)
    assert states(outcome) == [*["completed"] * 3, "timed_out", "not_run"]
    assert "now hanging" in (outcome.path / "log.txt").read_text()
    assert "now hanging" in (outcome.path / "executed.ipynb").read_text()
    assert not psutil.pid_exists(int((outcome.path / "orphan").read_text()))
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


def test_a_notebook_that_publishes_nothing_has_no_result(place):
    outcome = tiny_run(place, "silent")
    assert (outcome.status, outcome.exit_code) == ("invalid_result", 6)
    assert outcome.reason == "nothing was published"
    assert states(outcome) == ["completed"] * 5
    assert Store(place / "out").latest("tiny_readout", "one") is None


@pytest.mark.parametrize(
    ("what", "status", "code", "reason"),
    [
        ("kill child", "kernel_died", 5, "child_killed"),
        ("forge", "invalid_result", 6, "bad_document"),
        ("warp", "invalid_result", 6, "foreign_document"),
    ],
)
def test_what_else_can_go_wrong_is_told_apart(place, what, status, code, reason):
    outcome = tiny_run(place, what)
    assert (outcome.status, outcome.exit_code) == (status, code)
    told = manifest_of(outcome)
    assert told["reason_code"] == reason
    assert (outcome.path / "executed.ipynb").exists()
    assert (outcome.path / "readout.html").exists()
    assert bool(outcome.faults) is (code == 6)
    assert Store(place / "out").latest("tiny_readout", "one") is None
    nothing_left(place)


def test_a_full_disk_leaves_the_staging_and_the_next_run_files_it(place, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runner, "draw", full)
    outcome = tiny_run(place, "silent")
    assert (outcome.status, outcome.exit_code) == ("store_error", 8)
    assert "No space left" in outcome.reason
    store = Store(place / "out")
    assert (store.staging(outcome.run_id) / "executed.ipynb").exists()
    assert list(store.runs()) == []
    monkeypatch.undo()
    key = Key(readout="tiny_readout", subject="one", as_of=date.fromisoformat(DAY))
    with store.lock(key):
        assert filing.bury(store, key) == 1
    ((_, manifest),) = store.runs()
    assert manifest["status"] == "lost"
    nothing_left(place)


CANCELLED = """
import sys
from pathlib import Path
from tests.readout.test_runner import tiny_run
sys.exit(tiny_run(Path.cwd(), "hang").exit_code)
"""


def test_a_run_that_is_told_to_stop_saves_what_it_has(place):
    root = str(Path(__file__).resolve().parents[2])
    env = os.environ | {"PYTHONPATH": root}
    with subprocess.Popen([sys.executable, "-c", CANCELLED], env=env) as runs:
        until = time.monotonic() + 60
        while not list(place.glob("out/.staging/*/orphan")):
            assert time.monotonic() < until
            assert runs.poll() is None
            time.sleep(0.05)
        runs.send_signal(signal.SIGTERM)
        assert runs.wait() == 143
    ((path, manifest),) = Store(place / "out").runs()
    assert manifest["status"] == "cancelled"
    assert manifest["reason"] == "stopped by SIGTERM"
    assert "now hanging" in (path / "executed.ipynb").read_text()
    assert not psutil.pid_exists(int((path / "orphan").read_text()))
    nothing_left(place)


def test_a_killed_runner_holds_no_lock_and_leaves_no_process(place):
    root = str(Path(__file__).resolve().parents[2])
    env = os.environ | {"PYTHONPATH": root}
    with subprocess.Popen([sys.executable, "-c", CANCELLED], env=env) as runs:
        until = time.monotonic() + 60
        while not (found := list(place.glob("out/.staging/*/orphan"))):
            assert time.monotonic() < until
            time.sleep(0.05)
        orphan = int(found[0].read_text())
        below = psutil.Process(runs.pid).children(recursive=True)
        # two at once: the second is refused
        assert tiny_run(place).exit_code == 7
        runs.kill()
        assert runs.wait() == -signal.SIGKILL
    # the next run gets the lock, and files what is there as lost
    outcome = tiny_run(place, wait="20s")
    assert outcome.status == "succeeded"
    store = Store(place / "out")
    (path, manifest), (_, second) = store.runs()
    assert (manifest["status"], manifest["exit_code"]) == ("lost", 137)
    assert "now hanging" in (path / "executed.ipynb").read_text()
    assert second["status"] == "succeeded"
    assert store.latest("tiny_readout", "one")["run_id"] == outcome.run_id
    psutil.wait_procs(below, timeout=15)
    assert not psutil.pid_exists(orphan)
    assert not any(process.is_running() for process in below)
    nothing_left(place)


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
