import os
import subprocess
import sys
from datetime import UTC, date, datetime

import psutil
import pytest

from growth import cli
from growth.errors import ParameterError
from growth.readout import Store
from growth.readout.store import Key, write_file
from growth.readout.sweep import gc

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = date(2026, 1, 31)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "readouts")


def keep(store, run_id, *, subject="s", as_of=DAY, status="succeeded", **more):
    key = Key(readout="tiny", subject=subject, as_of=as_of)
    folder = store.open_staging(run_id, {})
    write_file(folder / "readout.json", "{}")
    told = {"run_id": run_id, "readout": "tiny", "subject": subject, "status": status}
    return store.finish(key, run_id, told | {"as_of": as_of.isoformat()} | more)


def removed(sweep):
    return [item for item in sweep.swept if item.action == "removed"]


def ids(store):
    return [path.name[-6:] for path, _ in store.runs()]


def test_old_runs_go_but_the_latest_and_the_last_good_one_stay(store):
    days = [date(2026, 1, day) for day in range(1, 7)]
    for number, day in enumerate(days, 1):
        status = "failed" if number > 4 else "succeeded"
        run = f"202601{day.day:02}T000000Z-00000{number}"
        keep(store, run, as_of=day, status=status)
    key = Key(readout="tiny", subject="s", as_of=days[0])
    store.point(key, "20260101T000000Z-000001")
    would = gc(store.root, keep="30d", keep_last=1, dry_run=True, now=NOW)
    assert would.verdict == "readout.gc.would"
    assert len(ids(store)) == 6
    done = gc(store.root, keep="30d", keep_last=1, now=NOW)
    assert (done.swept, done.verdict) == (would.swept, "readout.gc.done")
    # 1 is what latest names, 4 the last good one, 6 the last of all
    assert ids(store) == ["000001", "000004", "000006"]
    assert done.kept == 3
    assert not (store.root / "tiny" / "s" / "2026-01-02").exists()
    assert not (store.root / ".trash").exists()
    # 4 is pointed at by now, so that 1 is a run like others
    assert store.latest("tiny", "s")["run_id"].endswith("000004")
    assert len(gc(store.root, keep_last=1, now=NOW).swept) == 1
    assert gc(store.root, keep_last=1, now=NOW).verdict == "readout.gc.nothing"


def test_a_run_that_could_not_be_pointed_at_any_more_is(store):
    first, second = "20260228T000000Z-000001", "20260228T000001Z-000002"
    keep(store, first)
    keep(store, second, subject="t", as_of=date(2026, 1, 30))
    key = Key(readout="tiny", subject="t", as_of=DAY)
    with store.lock(key):  # it runs, and will do that itself
        keep(store, "20260228T000002Z-000003", subject="t")
        (would,) = gc(store.root, dry_run=True, now=NOW).swept
    assert (would.action, would.run_id) == ("pointed", first)
    assert store.latest("tiny", "s") is None
    done = gc(store.root, now=NOW).swept
    assert [(item.action, item.subject) for item in done] == [
        ("pointed", "s"),
        ("pointed", "t"),
    ]
    assert store.latest("tiny", "s")["run_id"] == first
    assert store.latest("tiny", "t")["as_of"] == DAY.isoformat()
    assert gc(store.root, now=NOW).swept == ()


def test_young_runs_and_enough_of_each_subject_stay(store):
    for number in range(4):
        keep(store, f"20260101T00000{number}Z-00000{number}")
        keep(store, f"20260228T00000{number}Z-00001{number}", subject="t")
    assert len(removed(gc(store.root, keep="30d", keep_last=3, now=NOW))) == 1
    assert len(ids(store)) == 7


def test_what_is_running_or_is_not_ours_stays(store):
    for number in range(3):
        keep(store, f"20260101T00000{number}Z-00000{number}")
    strange = keep(store, "20260101T000009Z-000009", subject="other")
    strange.rename(store.root / "tiny" / "s" / "2026-01-31" / strange.name)
    foreign = store.root / "tiny" / "s" / "2026-01-31" / "notes"
    foreign.mkdir()
    with store.lock(Key(readout="tiny", subject="s", as_of=DAY)):
        assert gc(store.root, keep="1d", keep_last=0, now=NOW).swept == ()
    assert len(removed(gc(store.root, keep="1d", keep_last=0, now=NOW))) == 2
    assert store.latest("tiny", "s")["run_id"].endswith("000002")
    assert foreign.exists()
    assert ids(store) == ["000002", "000009"]


def test_a_lost_run_is_filed_and_one_that_runs_is_not(store):
    key = Key(readout="tiny", subject="s", as_of=DAY)
    told = {"readout": "tiny", "subject": "s", "as_of": "2026-01-31", "params": {}}
    lost = store.open_staging("20260131T000000Z-000001", {"manifest": told})
    write_file(lost / ".readout.json.123.abcdef", "torn")
    with store.lock(key):
        assert gc(store.root, now=NOW).swept == ()
    assert gc(store.root, now=NOW, dry_run=True).swept[0].action == "filed"
    assert lost.exists()
    assert gc(store.root, now=NOW).swept[0].run_id == lost.name
    ((path, manifest),) = store.runs()
    assert manifest["status"] == "lost"
    assert sorted(p.name for p in path.iterdir()) == ["manifest.json", "readout.html"]


def test_a_run_that_was_all_but_moved_is_kept_as_what_it_was(store):
    key = Key(readout="tiny", subject="s", as_of=DAY)
    path = keep(store, "20260131T000000Z-000001")
    path.rename(store.staging(path.name))
    assert gc(store.root, now=NOW).swept[0].action == "filed"
    assert store.latest("tiny", "s")["run_id"] == path.name
    assert path.exists()
    assert not store.heal(key)


def test_a_folder_whose_making_was_cut_short_is_swept(store):
    folder = store.root / ".staging"
    folder.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    mine = store.open_staging("20260131T000000Z-000001", {})
    machine = __import__("growth.readout.store", fromlist=["_machine"])._machine()
    left = folder / f".20260131T000000Z-000002.{machine}.{dead.pid}.new"
    made = folder / f".20260131T000000Z-000003.{machine}.{os.getpid()}.new"
    afar = folder / f".20260131T000000Z-000004.ffffffff.{dead.pid}.new"
    for each in (left, made, afar):
        each.mkdir()
    os.utime(afar, (0, 0))
    assert store.sweep_staging() == 2
    assert sorted(folder.iterdir()) == sorted([made, mine])


def test_processes_of_a_run_that_is_over_are_ended(store):
    (store.root / ".staging").mkdir(parents=True)
    run = "20260131T000000Z-00000a"

    def sleeper(folder):
        env = os.environ | {"GROWTH_RUN_ID": run, "GROWTH_RUN_DIR": str(folder)}
        wait = "import sys, time; print(flush=True); time.sleep(60)"
        command = [sys.executable, "-c", wait]
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE)
        process.stdout.readline()
        return process

    with sleeper(store.root / "elsewhere") as other:
        assert gc(store.root, now=NOW).swept == ()
        with sleeper(store.staging(run)) as ours:
            assert gc(store.root, now=NOW, dry_run=True).swept[0].action == "ended"
            assert psutil.pid_exists(ours.pid)
            other.kill()
            other.wait()
            assert gc(store.root, now=NOW).swept[0].run_id == run
            assert not psutil.pid_exists(ours.pid)
            ours.wait()


def test_wrong_limits_are_refused(store):
    with pytest.raises(ParameterError, match="keep_last is -1"):
        gc(store.root, keep_last=-1)
    with pytest.raises(ParameterError, match="like 90s"):
        gc(store.root, keep="a month")


def test_the_command_says_what_it_does(store, capsys):
    keep(store, "20200101T000000Z-000001")
    keep(store, "20200102T000000Z-000002")
    words = ["readout", "gc", "--keep-last", "1", "--out", str(store.root)]
    assert cli.main([*words, "--dry-run"]) == 0
    assert "This would be cleaned up" in capsys.readouterr().out
    assert cli.main(words) == 0
    assert "20200101T000000Z-000001" in capsys.readouterr().out
    assert ids(store) == ["000002"]
