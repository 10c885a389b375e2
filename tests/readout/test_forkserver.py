import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from growth.readout.forkserver import Forked, Forkserver
from growth.readout.supervise import Signals, adopt_orphans, supervise

pytestmark = pytest.mark.skipif(
    not Forkserver.works(), reason="only Linux lets a process adopt a forked child"
)

SERVER = """
import json, os, sys, time
from growth.readout.forkserver import serve

def tell(job, pipe):
    told = {"job": job, "env": dict(os.environ), "cwd": os.getcwd(), "event": "end"}
    told |= {"sid": os.getsid(0), "pid": os.getpid(), "parent": os.getppid()}
    told["fds"] = sorted(os.readlink(f"/proc/self/fd/{n}") for n in range(3, 30)
                         if os.path.exists(f"/proc/self/fd/{n}"))
    print("said by a child")
    os.write(pipe, json.dumps(told).encode() + b"\\n")
    return job.get("code", 0)

def hang(job, pipe):
    time.sleep(60)

def fail(job, pipe):
    raise KeyError("ours")

serve(int(sys.argv[-1]), {"tell": tell, "hang": hang, "fail": fail})
"""


@pytest.fixture(scope="module")
def server():
    command = [sys.executable, "-c", SERVER]
    with adopt_orphans(), Forkserver(command, dict(os.environ)) as made:
        yield made


@pytest.fixture
def watch(tmp_path, server):
    def run(target, *, job=None, env=None, signals=None, left=20.0):
        return supervise(
            [sys.executable, "-c", "raise SystemExit(77)"],
            job=job or {},
            env=env or dict(os.environ),
            log=tmp_path / "log.txt",
            deadline=time.monotonic() + left,
            signals=signals or Signals(),
            grace=0.3,
            server=server,
            target=target,
        )

    return run


def test_a_forked_child_is_as_good_as_a_started_one(watch, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "lock").open("w"):
        ended = watch("tell", job={"code": 5, "实": "x" * 200_000}, env={"ONE": "1"})
    assert ended.returncode == 5
    words = ended.words
    assert words["job"]["实"] == "x" * 200_000
    assert words["env"] == {"ONE": "1"}
    assert words["cwd"] == str(tmp_path)
    assert words["sid"] == words["pid"]
    assert words["parent"] == os.getpid()
    assert str(tmp_path / "lock") not in words["fds"]
    assert not any(name.startswith("socket:") for name in words["fds"])
    assert (tmp_path / "log.txt").read_text() == "said by a child\n"
    assert watch("tell").words["pid"] != words["pid"]


def test_a_child_that_fails_says_so_in_its_log(watch, tmp_path):
    assert watch("fail").returncode == 1
    assert "KeyError: 'ours'" in (tmp_path / "log.txt").read_text()


def test_a_forked_child_is_ended_by_deadline_and_by_signal(watch):
    late = watch("hang", left=0.2)
    assert late.overtime
    assert late.returncode == -signal.SIGTERM
    stopped = watch("hang", signals=Signals([signal.SIGINT]))
    assert stopped.stopped_by == signal.SIGINT


def test_a_server_that_is_gone_is_not_waited_for(tmp_path):
    with Forkserver([sys.executable, "-c", "pass"], dict(os.environ)) as gone:
        gone.process.wait()
        ended = supervise(
            [sys.executable, "-c", "raise SystemExit(77)"],
            job={},
            env=dict(os.environ),
            log=tmp_path / "log.txt",
            deadline=time.monotonic() + 20,
            signals=Signals(),
            server=gone,
        )
    assert ended.returncode == 77


def test_a_server_ends_with_who_asked_and_at_once():
    begun = time.monotonic()
    with Forkserver([sys.executable, "-c", SERVER], dict(os.environ)) as made:
        pid = made.process.pid
    assert not psutil.pid_exists(pid)
    assert time.monotonic() - begun < 10


HERE = """
import os
from growth.readout.forkserver import Forkserver
from growth.readout.supervise import adopt_orphans

with adopt_orphans(), Forkserver([], {}, here={}) as made:
    print(made.process.pid, flush=True)
    input()
"""


def shown(process):
    """Return what ``ps`` shows of a server, once it serves."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        command = process.cmdline()
        if command[0] == "growth server":
            break
        time.sleep(0.01)
    return command[0], process.environ().get("GROWTH_RUN_ID")


def test_a_server_goes_by_its_name_forked_or_started(server):
    assert shown(psutil.Process(server.process.pid)) == ("growth server", None)
    with subprocess.Popen(
        [sys.executable, "-c", HERE], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=os.environ | {"GROWTH_RUN_ID": "one"},
    ) as run:  # fmt: skip
        forked = psutil.Process(int(run.stdout.readline()))
        told = shown(forked)
        theirs = psutil.Process(run.pid).cmdline()[0]
        run.stdin.close()
    assert told == ("growth server", "one")  # its environment is whom it came from's
    assert theirs == sys.executable


def test_a_process_that_is_not_ours_has_no_exit_code():
    assert Forked(1).wait() == 1


def test_a_server_that_does_not_start_leaves_no_socket():
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        Forkserver(["/no-such-program"], {})
