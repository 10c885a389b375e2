import json
import signal
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest

from growth.readout.child import environment
from growth.readout.forkserver import Forkserver, python
from tests.readout.running import tiny_run

pytestmark = pytest.mark.skipif(
    not Forkserver.works(), reason="only Linux lets a process adopt a forked child"
)

KERNEL = """
import asyncio, json, os, sys

kind, folder = sys.argv[1:]
if kind == "forked":
    from growth.readout.forkserver import birth
    start = birth()
    from growth.readout import child, kernel
    child.preload()
    understudy = kernel.Understudy(start)
from jupyter_client.manager import AsyncKernelManager

FACTS = '''
import atexit, json, locale, logging, os, signal, sys, tempfile, threading, time
import warnings
from pathlib import Path

numbers = [int(n) for n in os.listdir("/proc/self/fd")]
print(json.dumps({
    "arguments": [sys.argv[0], *sys.argv[3:]],
    "connected": Path(sys.argv[2]).exists(),
    "path": sys.path,
    "flags": str(sys.flags),
    "environment": {k: v for k, v in os.environ.items() if k != "JPY_PARENT_PID"},
    "cwd": os.getcwd(),
    "leads": os.getsid(0) == os.getpgid(0) == os.getpid(),
    "parent": os.environ["JPY_PARENT_PID"] == str(os.getppid()),
    "signals": {s.name: str(signal.getsignal(s)) for s in signal.Signals},
    "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "files": sorted(os.readlink(f"/proc/self/fd/{n}") for n in numbers
                    if n > 2 and os.path.isfile(f"/proc/self/fd/{n}")),
    "stdin": sys.__stdin__.read(),
    "threads": threading.active_count(),
    "filters": [str(each) for each in warnings.filters],
    "root": str(logging.root.handlers),
    "locale": locale.getlocale(),
    "temporary": tempfile.gettempdir(),
    "main": [__name__, sorted(n for n in vars() if n.startswith("__"))],
    "heavy": [n for n in ("numpy", "pandas", "papermill") if n in sys.modules],
    "hash": hash("growth"),
}))
'''
LAST = '''
def late():
    time.sleep(0.3)
    Path("thread").write_text("awaited")
open_still = open("file", "w")
open_still.write("flushed")
atexit.register(lambda: Path("atexit").write_text("called"))
threading.Thread(target=late).start()
'''

async def told(client, code):
    said = []
    def hear(message):
        said.append(message["content"].get("text", ""))
        assert message["msg_type"] != "error", message["content"]["traceback"]
    await client.execute_interactive(code, output_hook=hear)
    return "".join(said)

async def go():
    made = kernel.manager(understudy) if kind == "forked" else AsyncKernelManager
    manager = made(kernel_name="python3", transport="ipc", ip=f"{folder}/k")
    env = {**os.environ, "GROWTH_RUN_ID": "one", "IPYTHONDIR": f"{folder}/ipython"}
    memory = ["--HistoryManager.hist_file=:memory:"]
    await manager.start_kernel(cwd=folder, env=env, extra_arguments=memory)
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready(timeout=60)
    found = json.loads(await told(client, FACTS))
    with open(f"/proc/{manager.provisioner.pid}/cmdline") as command:
        started = "ipykernel_launcher" in command.read()
    await told(client, LAST)
    await manager.shutdown_kernel()
    client.stop_channels()
    return found | {"started": started}

print(json.dumps(asyncio.run(go())))
"""


ALONE = """
import json, os, signal, sys, time
import psutil
from growth.readout.kernel import Kernel, Understudy

born = {"HOME": "/home", "PYTHONHASHSEED": "0", "GROWTH_READOUTS": "there"}
waits = Understudy(born)
run = {"GROWTH_RUN_ID": "one", "IPYTHONDIR": "x"}
told = [waits.fits(born | more) for more in (
    {}, run, {"OTHER": "x"}, {"HOME": "x"}, {"PYTHONPATH": "x"}, {"LC_ALL": "C"},
)]
told.append(waits.fits({"PYTHONHASHSEED": "0"}))
command = [sys.executable, "-m", "ipykernel_launcher", "-f", "no"]
told.append(waits.take(["python", "-m", "other"], born, None) is None)
told.append(waits.take(command, {}, None) is None)
told.append(psutil.Process(waits.pid).status() != "zombie")
waits.dismiss()
told.append(psutil.pid_exists(waits.pid))
told.append(waits.take(command, born, None) is None)
print(json.dumps(told), flush=True)
second = Understudy({})
print(second.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_understudy_plays_its_own_part_only_and_ends_with_who_asked():
    with subprocess.Popen([sys.executable, "-c", ALONE], stdout=subprocess.PIPE) as run:
        told, pid = run.stdout.read().splitlines()
    fits = [True, True, True, False, False, False, False]
    assert json.loads(told) == [*fits, True, True, True, False, True]
    assert run.returncode == -signal.SIGKILL
    with suppress(psutil.NoSuchProcess):
        psutil.Process(int(pid)).wait(timeout=30)
    assert not psutil.pid_exists(int(pid))


def test_only_a_process_that_has_imported_a_kernel_has_an_understudy():
    code = "from growth.readout.kernel import *; print(Understudy.works())\n"
    code += "preload(); print(Understudy.works())"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True
    )
    assert done.stdout.split() == ["False", "True"]


def test_the_kernel_of_a_run_is_forked_and_goes_by_its_run(place):
    seen = {}

    def look(_now):
        if any((place / "out" / ".staging").glob("*/lingers")):
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.Error, OSError):
                    name = " ".join(process.cmdline()).strip()
                    seen[name] = process.environ().get("GROWTH_RUN_ID")
            (place / "go").touch()

    outcome = tiny_run(place, "linger", progress=look)
    assert outcome.status == "succeeded"
    assert seen["growth child"] == seen["growth kernel"] == outcome.run_id


def facts(kind, folder):
    folder.mkdir()
    done = subprocess.run(
        [*python(KERNEL), kind, str(folder)],
        env=environment(),
        check=True,
        stdout=subprocess.PIPE,
    )
    return json.loads(done.stdout)


def test_a_forked_kernel_is_as_good_as_a_started_one(tmp_path):
    forked, started = facts("forked", tmp_path / "a"), facts("started", tmp_path / "b")
    assert (forked.pop("started"), started.pop("started")) == (False, True)
    ours = json.loads(json.dumps(started).replace(f"{tmp_path}/b", f"{tmp_path}/a"))
    assert forked == ours
    for folder in ("a", "b"):
        left = ("thread", "file", "atexit")
        told = {name: (tmp_path / folder / name).read_text() for name in left}
        assert told == {"thread": "awaited", "file": "flushed", "atexit": "called"}
