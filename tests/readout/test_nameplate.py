import json
import subprocess
import sys

import psutil
import pytest

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux has this /proc"
)

FORK = """
import json, os, sys, time
from growth.readout.nameplate import put_up

environment = json.loads(sys.stdin.read())
os.environ.clear()
os.environ.update(environment)
put_up("growth kernel of 实 " + "x" * 9000, environment)
child = os.fork()
if child == 0:
    sys.stdout.write(f"{os.getpid()}\\n")
    sys.stdout.flush()
    time.sleep(60)
    os._exit(0)
os.wait()
"""


@pytest.mark.parametrize("room", [0, 6000])
def test_a_fork_is_found_by_its_run_and_goes_by_its_own_name(room):
    told = {"LONG": "y" * 500, "GROWTH_RUN_DIR": "/tmp/实", "GROWTH_RUN_ID": "one"}
    with subprocess.Popen(
        [sys.executable, "-c", FORK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONUTF8": "1", "SPACE": " " * (room or 60)},
        text=True,
    ) as run:
        run.stdin.write(json.dumps(told))
        run.stdin.close()
        fork = psutil.Process(int(run.stdout.readline()))
        shown, name = fork.environ(), fork.cmdline()[0]
        fork.kill()
    expected = told if room else {n: told[n] for n in told if n != "LONG"}
    assert shown == expected
    assert name.startswith("growth kernel of 实 xx")
