import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from growth.readout.supervise import Signals, end_run, supervise

# A child gets its job on stdin, and says what it does on the pipe named last.
BEGIN = """
import json, os, signal, subprocess, sys, time
job = json.loads(sys.stdin.read())
def tell(**event): os.write(int(sys.argv[-1]), json.dumps(event).encode() + b"\\n")
def orphan():
    grandchild = [sys.executable, "-c", "import time; time.sleep(60)"]
    return subprocess.Popen(["env", "-i", "setsid", *grandchild]).pid
"""


@pytest.fixture
def watch(tmp_path):
    """Return a function that supervises a child which runs some Python."""
    log = tmp_path / "log.txt"

    def run(code, *, left=20.0, signals=None, grace=0.3, job=None, heard=None):
        def hear(event):
            if event is not None and heard is not None:
                heard.append(event)

        return supervise(
            [sys.executable, "-c", BEGIN + code],
            job=job or {},
            env=dict(os.environ),
            log=log,
            deadline=time.monotonic() + left,
            signals=signals or Signals(),
            on_event=hear,
            grace=grace,
        )

    run.log = log
    return run


def gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie"


def test_a_child_is_heard_to_its_end(watch):
    heard = []
    ended = watch(
        'tell(event="cell", done=1); print(job["word"]); tell(event="end", kind="ok")',
        job={"word": "hello"},
        heard=heard,
    )
    assert ended.returncode == 0
    assert ended.words == {"event": "end", "kind": "ok"}
    assert heard[0] == {"event": "cell", "done": 1}
    assert watch.log.read_text() == "hello\n"
    assert (ended.stopped_by, ended.overtime) == (None, False)


def test_a_child_has_its_own_session_and_no_handle_of_ours(watch, tmp_path):
    with (tmp_path / "lock").open("w") as ours:
        heard = []
        fds = 'sorted(os.readlink(f"/proc/self/fd/{n}") for n in range(3, 30) if'
        fds += ' os.path.exists(f"/proc/self/fd/{n}"))'
        watch(f"tell(sid=os.getsid(0), pid=os.getpid(), fds={fds})", heard=heard)
        assert heard[0]["sid"] == heard[0]["pid"] != os.getsid(0)
        assert ours.name not in heard[0]["fds"]


def test_a_child_that_dies_says_nothing(watch):
    ended = watch('print("so far", flush=True); os.kill(os.getpid(), signal.SIGKILL)')
    assert ended.returncode == -signal.SIGKILL
    assert ended.words == {}
    assert watch.log.read_text() == "so far\n"


def test_no_orphan_outlives_a_child(watch):
    heard = []
    watch('tell(pid=orphan()); tell(event="end", kind="ok")', heard=heard)
    assert gone(heard[0]["pid"])
    heard.clear()
    code = "tell(pid=orphan()); time.sleep(0.1); os.kill(os.getpid(), signal.SIGKILL)"
    watch(code, heard=heard)
    assert gone(heard[0]["pid"])


def test_our_own_children_are_left_alone(watch):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1) as ours:
        watch("pass")
        assert ours.poll() is None
        ours.communicate()


def test_after_its_deadline_a_child_is_asked_then_killed(watch):
    polite = watch("time.sleep(60)", left=0.3)
    assert polite.overtime
    assert polite.returncode == -signal.SIGTERM
    stubborn = "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    ended = watch(stubborn, left=0.3)
    assert ended.overtime
    assert ended.returncode == -signal.SIGKILL


def test_a_signal_is_passed_on_and_a_second_one_kills(watch):
    code = """
def stop(*_):
    tell(event="end", kind="stopped")
    sys.exit(3)
signal.signal(signal.SIGTERM, stop)
tell(event="ready")
time.sleep(60)
"""
    signals = Signals()

    class Once(list):
        def append(self, event):
            if event.get("event") == "ready":
                signals.seen.append(signal.SIGINT)

    ended = watch(code, signals=signals, heard=Once(), grace=10)
    assert ended.stopped_by == signal.SIGINT
    assert ended.returncode == 3
    assert ended.words["kind"] == "stopped"
    stubborn = "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    twice = Signals([signal.SIGTERM, signal.SIGTERM])
    ended = watch(stubborn, signals=twice, grace=10)
    assert ended.returncode in {-signal.SIGKILL, -signal.SIGTERM}
    assert ended.stopped_by == signal.SIGTERM


def test_signals_are_caught_and_given_back():
    before = signal.getsignal(signal.SIGTERM)
    with Signals().caught() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.seen == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is before


def test_off_the_main_thread_no_signal_is_touched(watch):
    found = []

    def work():
        with Signals().caught() as signals:
            found.append(watch('tell(event="end", kind="ok")', signals=signals))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found[0].words["kind"] == "ok"


ADOPTS = """
import os, subprocess
import psutil
from growth.readout.supervise import adopt_orphans

def orphan_is_ours():
    shell = "sleep 60 >/dev/null 2>&1 & echo $!"
    told = subprocess.run(["sh", "-c", shell], capture_output=True, check=True)
    orphan = psutil.Process(int(told.stdout))
    ours = orphan.ppid() == os.getpid()
    orphan.kill()
    if ours:
        orphan.wait(5)
    return ours

with adopt_orphans():
    assert orphan_is_ours()
    with adopt_orphans():
        pass
    assert orphan_is_ours()
assert not orphan_is_ours()
"""


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux lets a process adopt"
)
def test_adopting_ends_where_it_began():
    # in a process of its own: this one adopts for as long as tests share a forkserver
    home = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-c", ADOPTS],
        env=os.environ | {"PYTHONPATH": home},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_dead_runs_processes_are_known_by_their_environment():
    env = os.environ | {"GROWTH_RUN_ID": "20260201T031500Z-abcdef"}
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(sleeper, env=env) as lost:
        while psutil.Process(lost.pid).environ().get("GROWTH_RUN_ID") is None:
            time.sleep(0.01)
        assert end_run("20260201T031500Z-000000") == 0
        assert end_run("20260201T031500Z-abcdef") == 1
        assert gone(lost.pid)
