import json
import os
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import psutil
import pytest

from growth import cli
from growth.errors import ParameterError
from growth.readout import Store, batch
from growth.readout.batch import Entry, read_config, run_all, weightiest
from tests.readout.example import write_tiny

DAY = date(2026, 1, 31)
OWN = 'declaration = "tests.readout.example:TinyParams"\nnotebook = "tiny.ipynb"'


def config(place, text):
    path = place / "readouts.toml"
    path.write_text(text)
    return path


def entry(who, what, **more):
    lines = [f"{name} = {json.dumps(value)}" for name, value in more.items()]
    params = f'params = {{ who = "{who}", what = "{what}" }}'
    return "\n".join(["[[readout]]", 'name = "tiny_readout"', params, OWN, *lines])


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GROWTH_READOUTS", raising=False)
    write_tiny(tmp_path / "tiny.ipynb")
    return tmp_path


def test_a_configuration_is_read_and_common_parameters_are_given(tmp_path):
    text = """
schema = 1
[params]
data = "data/sample"
lang = "zh"
nobody = 1
[[readout]]
name = "abtest_readout"
params = { experiment_id = "home_layout", lang = "en" }
every = "weekly"
on = "monday"
retries = 2
deadline = "20m"
"""
    (read,) = read_config(config(tmp_path, text))
    params = {"data": "data/sample", "lang": "en", "experiment_id": "home_layout"}
    assert read.params == params
    assert (read.every, read.on, read.retries) == ("weekly", "monday", 2)


def test_every_fault_of_a_configuration_is_told_at_once(tmp_path):
    text = """
schema = 2
other = 1
[[readout]]
nam = "x"
every = "hourly"
retries = -1
params = { as_of = 2026-01-31 }
[[readout]]
name = 7
every = "monthly"
on = "monday"
"""
    with pytest.raises(ParameterError, match="Did you mean 'name'") as info:
        read_config(config(tmp_path, text))
    names = [fault.name for fault in info.value.faults]
    assert names == [
        "the file: other",
        "schema",
        "readout 1: nam",
        "readout 1: name",
        "readout 1: params",
        "readout 1: every",
        "readout 1: retries",
        "readout 2: name",
        "readout 2: on",
    ]
    assert info.value.code == "bad_config"
    with pytest.raises(ParameterError, match="cannot be read") as info:
        read_config(config(tmp_path, "x = "))
    assert info.value.code == "usage"
    with pytest.raises(ParameterError, match=r"\[\[readout\]\] tables"):
        read_config(config(tmp_path, "readout = 1\nparams = 2"))


@pytest.mark.parametrize(
    ("every", "on", "day", "due"),
    [
        ("daily", "", "2026-01-30", True),
        ("weekly", "", "2026-02-01", True),  # a Sunday
        ("weekly", "", "2026-02-02", False),
        ("weekly", "monday", "2026-02-02", True),
        ("monthly", "", "2026-02-28", True),
        ("monthly", "last", "2028-02-28", False),
        ("monthly", "last", "2028-02-29", True),
        ("monthly", 15, "2026-02-15", True),
        ("monthly", 15, "2026-02-28", False),
    ],
)
def test_a_day_closes_a_period_or_not(every, on, day, due):
    made = Entry(name="x", every=every, on=on)
    assert made.due(date.fromisoformat(day)) is due


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ((), 0),
        ((0, 0), 0),
        ((0, 7), 7),
        ((7, 2, 6), 6),
        ((6, 3, 4), 4),
        ((4, 5, 8), 8),
        ((8, 1, 130), 130),
        ((130, 143), 143),
    ],
)
def test_the_weightiest_exit_code_counts(codes, code):
    assert weightiest(iter(codes)) == code


def test_nothing_due_is_nothing_wrong(place):
    path = config(place, entry("one", "succeed", every="weekly"))
    found = run_all(path, DAY)  # a Saturday
    assert (found.verdict, found.exit_code) == ("readout.batch.nothing", 0)
    assert found.resting == 1
    assert found.rows() == []
    with pytest.raises(ParameterError, match="jobs is 0"):
        run_all(path, DAY, jobs=0)


def test_one_bad_entry_stops_no_other(place):
    bad = '[[readout]]\nname = "abtest"'
    parts = [
        entry("one", "succeed"),
        entry("two", "raise"),
        entry("three", "kill worker"),
        entry("", "succeed"),
        bad,
    ]
    path = config(place, "\n".join(parts))
    told = []
    hook = f"{sys.executable} -c 'raise SystemExit(4)'"
    before = psutil.Process().children()
    found = run_all(path, DAY, jobs=2, on_finish=hook, progress=told.append)
    states = [(run.status, run.exit_code) for run in found.runs]
    assert states == [
        ("succeeded", 0),
        ("failed", 3),
        ("kernel_died", 5),
        ("refused", 2),
        ("refused", 2),
    ]
    assert (found.verdict, found.exit_code) == ("readout.batch.failed", 5)
    assert [row["subject"] for row in found.rows()[:3]] == ["one", "two", "three"]
    assert "bad_text" in found.runs[3].reason or "who" in found.runs[3].reason
    assert "no readout" in found.runs[4].reason or "abtest" in found.runs[4].reason
    (notice,) = found.notices
    assert "ended with 4" in notice.words("en")
    json.dumps(found.to_dict(), allow_nan=False)
    assert sorted(p.ended.subject for p in told if p.ended) == sorted(
        ["one", "two", "three", "", ""]
    )
    assert told[-1].done == told[-1].total == 5
    assert any("tiny_readout one 5/5" in " ".join(p.running) for p in told)
    # what the killed worker left is filed, and nothing lives on
    store = Store(place / "readouts")
    kept = {m["subject"]: m["status"] for _, m in store.runs()}
    assert kept == {"one": "succeeded", "two": "failed", "three": "lost"}
    assert list((place / "readouts" / ".staging").iterdir()) == []
    assert psutil.Process().children() == before
    assert list(place.glob("kernel-*")) == []


STOPPED = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background ignores it
from datetime import date
from growth.readout.batch import run_all
sys.exit(run_all("readouts.toml", date(2026, 1, 31)).exit_code)
"""


def test_a_batch_that_is_told_to_stop_ends_its_runs_and_begins_no_more(place):
    config(place, entry("one", "hang") + "\n" + entry("two", "succeed"))
    env = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with subprocess.Popen([sys.executable, "-c", STOPPED], env=env) as runs:
        until = time.monotonic() + 60
        while not list(place.glob("readouts/.staging/*/orphan")):
            assert time.monotonic() < until
            assert runs.poll() is None
            time.sleep(0.05)
        runs.send_signal(signal.SIGINT)
        assert runs.wait() == 130
    ((path, manifest),) = Store(place / "readouts").runs()
    assert (manifest["status"], manifest["exit_code"]) == ("cancelled", 130)
    assert not psutil.pid_exists(int((path / "orphan").read_text()))


@pytest.mark.usefixtures("place")
def test_a_worker_can_be_started_where_none_can_be_forked(monkeypatch):
    monkeypatch.setattr(batch.Forkserver, "works", staticmethod(lambda: False))
    entries = (Entry(name="tiny_readout", params={"who": 7}),)
    found = run_all(entries, DAY)
    assert (found.runs[0].status, found.exit_code) == ("refused", 2)


def test_the_command_tells_each_run_and_exits_with_what_weighs_most(
    place, monkeypatch, capsys
):
    def fake(config, as_of, *, progress, jobs, **_):
        assert (config, as_of, jobs) == ("readouts.toml", DAY, 2)
        run = batch.BatchRun(
            readout="r", subject="s", as_of=as_of, status="failed", exit_code=3
        )
        if progress:
            progress(batch.BatchProgress(0, 1, ("r s 1/5",)))
            progress(batch.BatchProgress(1, 1, (), run))
        return batch.Batch(as_of=as_of, exit_code=3, runs=(run,))

    monkeypatch.setattr(batch, "run_all", fake)
    words = ["readout", "run-all", "--as-of", "2026-01-31", "--jobs", "2"]
    assert cli.main(words) == 3
    told = capsys.readouterr()
    assert told.err == "1/1 r s: failed 0.0s\n"
    assert told.out.startswith("Some readouts did not succeed\nreadout  subject")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert cli.main(words) == 3
    assert "1/1 r s: failed 0.0s" in capsys.readouterr().err
    assert cli.main([*words, "--quiet", "--json"]) == 3
    told = capsys.readouterr()
    assert json.loads(told.out)["runs"][0]["status"] == "failed"
    assert told.err == ""
    monkeypatch.undo()
    monkeypatch.chdir(place)
    assert cli.main(words) == 2
    assert "readouts.toml is not there" in capsys.readouterr().err
