"""The failure matrix, a test a row, by the real runner: exit, state, disk, latest."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import date
from functools import cache
from pathlib import Path

import psutil
import pytest

from growth.errors import ParameterError
from growth.readout import Store, inputs, runner
from growth.readout.store import Key, write_file
from tests.readout.running import DAY, manifest_of, nothing_left, states, tiny_run

KEPT = {"executed.ipynb", "log.txt", "readout.html"}  # of every run that began
ROOT = str(Path(__file__).resolve().parents[2])


def store_of(place):
    return Store(place / "out")


def earlier(place, day="2026-01-30", run_id="20260130T000000Z-000001"):
    """Keep a good run of another day; return what `latest` says of it."""
    store = store_of(place)
    key = Key(readout="tiny_readout", subject="one", as_of=date.fromisoformat(day))
    staged = store.open_staging(run_id, {})
    write_file(staged / "readout.json", "{}")
    told = {"status": "succeeded", "readout": "tiny_readout", "subject": "one"}
    store.finish(key, run_id, told | {"run_id": run_id, "as_of": day})
    store.point(key, run_id)
    return store.latest("tiny_readout", "one")


@pytest.fixture
def no_kernel(monkeypatch):
    def refuse(*_args, **_kwargs):
        pytest.fail("a kernel was started")

    monkeypatch.setattr(runner, "supervise", refuse)


# ------------------------------------------------------------- all well, or refused


def test_a_success_moves_latest_and_the_same_question_is_skipped(place, monkeypatch):
    # somebody may be editing the package while this runs
    monkeypatch.setattr(inputs, "package_digest", cache(inputs.package_digest))
    earlier(place)
    outcome = tiny_run(place)
    assert (outcome.status, outcome.exit_code) == ("succeeded", 0)
    assert manifest_of(outcome)["artifacts"].keys() == {*KEPT, "readout.json"}
    after = store_of(place).latest("tiny_readout", "one")
    assert after["run_id"] == outcome.run_id
    again = tiny_run(place)
    assert (again.status, again.exit_code, again.path) == ("skipped", 0, outcome.path)
    assert len(list(store_of(place).runs())) == 2
    assert store_of(place).latest("tiny_readout", "one") == after
    nothing_left(place)


@pytest.mark.usefixtures("no_kernel")
def test_a_bad_parameter_or_name_leaves_nothing(place):
    before = earlier(place)
    there = sorted(place.rglob("*"))
    for given, code in (
        ({"whoo": "x"}, "unknown_parameter"),
        ({"who": ""}, "bad_text"),
        ({"as_of": "today"}, "bad_date"),
        ({"secret": "NOT_SET_ANYWHERE"}, "missing_secret"),
    ):
        with pytest.raises(ParameterError, match="fault") as info:
            tiny_run(place, **given)
        assert info.value.code == code
    assert sorted(place.rglob("*")) == there
    assert store_of(place).latest("tiny_readout", "one") == before


@pytest.mark.usefixtures("no_kernel")
def test_a_run_that_is_running_elsewhere_is_refused(place):
    before, store = earlier(place), store_of(place)
    key = Key(readout="tiny_readout", subject="one", as_of=date.fromisoformat(DAY))
    with store.lock(key):
        outcome = tiny_run(place, wait="0.1s")
    assert (outcome.status, outcome.exit_code) == ("refused", 7)
    assert "another process" in outcome.reason
    assert len(list(store.runs())) == 1
    assert store.latest("tiny_readout", "one") == before


TWICE = """
import sys
from pathlib import Path
from tests.readout.running import tiny_run
outcome = tiny_run(Path.cwd(), "linger", wait=sys.argv[1] or None)
print(outcome.status, outcome.path)
sys.exit(outcome.exit_code)
"""


def test_of_three_that_start_at_once_one_runs_one_waits_and_one_is_refused(place):
    env = os.environ | {"PYTHONPATH": ROOT}

    def start(wait=""):
        command = [sys.executable, "-c", TWICE, wait]
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)

    with start() as one:
        until = time.monotonic() + 180
        while not list(place.glob("out/.staging/*/lingers")):
            assert time.monotonic() < until
            time.sleep(0.02)
        with start() as refused, start("60s") as waits:
            assert refused.wait() == 7
            assert one.poll() is None
            (place / "go").touch()
            assert (one.wait(), waits.wait()) == (0, 0)
            ran, waited = one.stdout.read().split(), waits.stdout.read().split()
            assert refused.stdout.read().split() == ["refused", "None"]
    assert ran[0] == "succeeded"
    # the package may have been edited meanwhile: then it is another question
    assert waited == ["skipped", ran[1]] or waited[0] == "succeeded"
    nothing_left(place)


# ------------------------------------------------------------------- what went wrong


@pytest.mark.parametrize(
    ("what", "code", "status", "reason", "ended", "words"),
    [
        ("raise", 3, "failed", "raised", ["failed", "not_run"], "on purpose"),
        ("leave", 3, "failed", "system_exit", ["failed", "not_run"], "SystemExit"),
        ("die", 5, "kernel_died", "kernel_died", ["kernel_died", "not_run"], "died"),
        ("kill child", 5, "kernel_died", "child_killed", None, "Process died"),
        ("silent", 6, "invalid_result", "document_missing", ["completed"] * 2, ""),
        ("forge", 6, "invalid_result", "bad_document", ["completed"] * 2, ""),
        ("warp", 6, "invalid_result", "foreign_document", ["completed"] * 2, ""),
    ],
)
def test_a_run_that_fails_is_kept_as_what_it_was(
    place, what, code, status, reason, ended, words
):
    before = earlier(place)
    outcome = tiny_run(place, what)
    assert (outcome.status, outcome.exit_code) == (status, code)
    told = manifest_of(outcome)
    assert (told["status"], told["exit_code"], told["reason_code"]) == (
        status, code, reason,
    )  # fmt: skip
    assert told["artifacts"].keys() >= KEPT
    assert ("readout.json" in told["artifacts"]) is (what in {"forge", "warp"})
    if ended:
        assert states(outcome)[-2:] == ended
    page = (outcome.path / "readout.html").read_text()
    assert 'class="decision b"' in page
    assert words in page
    assert bool(outcome.faults) is (code == 6)
    assert store_of(place).latest("tiny_readout", "one") == before
    nothing_left(place)


def test_a_run_past_its_deadline_keeps_what_it_said_and_leaves_no_process(place):
    before = earlier(place)
    for deadline in (6, 60):  # the second only where a kernel starts very slowly
        outcome = tiny_run(place, "hang", deadline=deadline)
        if (outcome.path / "orphan").exists():
            break
    assert (outcome.status, outcome.exit_code) == ("timed_out", 4)
    assert states(outcome) == [*["completed"] * 3, "timed_out", "not_run"]
    assert "now hanging" in (outcome.path / "log.txt").read_text()
    assert "now hanging" in (outcome.path / "executed.ipynb").read_text()
    assert not psutil.pid_exists(int((outcome.path / "orphan").read_text()))
    assert store_of(place).latest("tiny_readout", "one") == before
    nothing_left(place)


CANCELLED = """
import signal, sys
from pathlib import Path
from tests.readout.running import tiny_run
for name in (signal.SIGINT, signal.SIGHUP):  # a shell's background ignores them
    signal.signal(name, signal.SIG_DFL)
sys.exit(tiny_run(Path.cwd(), "hang").exit_code)
"""


def hanging(place):
    """Return the orphans of runs that hang, once what these said is written down."""
    return [
        orphan
        for orphan in place.glob("out/.staging/*/orphan")
        if "now hanging" in (orphan.parent / "log.txt").read_text()
    ]


@pytest.mark.parametrize(
    ("sent", "code"), [("SIGTERM", 143), ("SIGHUP", 143), ("SIGINT", 130)]
)
def test_a_run_that_is_told_to_stop_saves_what_it_has(place, sent, code):
    before = earlier(place)
    root = str(Path(__file__).resolve().parents[2])
    env = os.environ | {"PYTHONPATH": root}
    with subprocess.Popen([sys.executable, "-c", CANCELLED], env=env) as runs:
        until = time.monotonic() + 180
        while not hanging(place):
            assert time.monotonic() < until
            assert runs.poll() is None
            time.sleep(0.05)
        runs.send_signal(getattr(signal, sent))
        assert runs.wait() == code
    _, (path, manifest) = store_of(place).runs()
    assert (manifest["status"], manifest["exit_code"]) == ("cancelled", code)
    assert manifest["reason"] == f"stopped by {sent}"
    assert manifest["artifacts"].keys() >= KEPT
    assert store_of(place).latest("tiny_readout", "one") == before
    assert "now hanging" in (path / "executed.ipynb").read_text()
    assert not psutil.pid_exists(int((path / "orphan").read_text()))
    nothing_left(place)


def test_a_killed_runner_holds_no_lock_and_leaves_no_process(place):
    before = earlier(place)
    root = str(Path(__file__).resolve().parents[2])
    env = os.environ | {"PYTHONPATH": root}
    with subprocess.Popen([sys.executable, "-c", CANCELLED], env=env) as runs:
        until = time.monotonic() + 180
        while not (found := hanging(place)):
            assert time.monotonic() < until
            time.sleep(0.05)
        orphan = int(found[0].read_text())
        below = psutil.Process(runs.pid).children(recursive=True)
        # two at once: the second is refused
        assert tiny_run(place).exit_code == 7
        runs.kill()
        assert runs.wait() == -signal.SIGKILL
    assert store_of(place).latest("tiny_readout", "one") == before
    # the next run gets the lock, and files what is there as lost
    outcome = tiny_run(place, wait="120s")
    assert outcome.status == "succeeded"
    store = store_of(place)
    _, (path, manifest), (_, second) = store.runs()
    assert (manifest["status"], manifest["exit_code"]) == ("lost", 137)
    assert "now hanging" in (path / "executed.ipynb").read_text()
    assert second["status"] == "succeeded"
    assert store.latest("tiny_readout", "one")["run_id"] == outcome.run_id
    psutil.wait_procs(below, timeout=60)
    assert not psutil.pid_exists(orphan)
    assert not any(process.is_running() for process in below)
    nothing_left(place)


# ---------------------------------------------------------------- the store, or we


@pytest.mark.usefixtures("no_kernel")
def test_a_store_that_cannot_be_written_is_said_to_be_one(place):
    (place / "out").write_text("a file, not a folder")
    outcome = tiny_run(place)
    assert (outcome.status, outcome.exit_code) == ("store_error", 8)
    assert "could not be kept" in outcome.reason


FULL = """
import json, os, subprocess, sys
from pathlib import Path
from growth.readout import Store
from tests.readout.running import tiny_run
from tests.readout.test_matrix import earlier

place, out = Path.cwd(), Path("out")
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", "out"], check=True)
before = earlier(place)
store, told = Store(place / "out"), []

def look(outcome):
    told.append([outcome.status, outcome.exit_code, outcome.reason,
        store.latest("tiny_readout", "one") == before,
        sorted(p.name for p in (out / ".staging").iterdir()) == [outcome.run_id],
        [m["status"] for _, m in store.runs()]])

look(tiny_run(place, "fill"))
look(tiny_run(place))
(out / "filler").unlink()
look(tiny_run(place, force=True))
before = store.latest("tiny_readout", "one")
subprocess.run(["mount", "-o", "remount,ro", "out"], check=True)
look(tiny_run(place, force=True))
print(json.dumps(told))
"""


def test_a_disk_that_is_full_or_read_only_is_told_and_loses_nothing(place):
    apart = ["unshare", "--user", "--map-root-user", "--mount"]
    if (
        not shutil.which("unshare")
        or subprocess.run(
            [*apart, "mount", "-t", "tmpfs", "none", str(place)], check=False
        ).returncode
    ):
        pytest.skip("no file system may be mounted here, so none can be filled")
    (place / "out").mkdir()
    done = subprocess.run(
        [*apart, sys.executable, "-c", FULL],
        env=os.environ | {"PYTHONPATH": ROOT},
        check=True,
        stdout=subprocess.PIPE,
    )
    full, still, freed, read_only = json.loads(done.stdout)
    assert full[:2] == still[:2] == read_only[:2] == ["store_error", 8]
    assert "No space left" in full[2]
    assert "No space left" in still[2]
    assert "Read-only" in read_only[2]
    assert full[3:] == [True, True, ["succeeded"]]  # staged, and latest as it was
    assert still[3] is read_only[3] is True
    assert freed[:3] == ["succeeded", 0, ""]
    assert freed[5] == ["succeeded", "lost", "succeeded"]
    assert read_only[5] == freed[5]


def test_a_page_that_fails_leaves_the_numbers_and_latest_an_earlier_day(
    place, monkeypatch
):
    store = store_of(place)
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


def test_a_defect_of_ours_is_kept_with_its_traceback(place, monkeypatch):
    def fail(*_args, **_kwargs):
        raise KeyError("ours")

    monkeypatch.setattr(runner, "supervise", fail)
    before = earlier(place)
    outcome = tiny_run(place)
    assert (outcome.status, outcome.exit_code) == ("internal_error", 1)
    assert "KeyError: 'ours'" in (outcome.path / "traceback.txt").read_text()
    assert store_of(place).latest("tiny_readout", "one") == before
    monkeypatch.undo()
    # the next run files it away
    (staged,) = (place / "out" / ".staging").iterdir()
    assert staged.name == outcome.run_id
