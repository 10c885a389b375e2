"""A hundred seeded kills of the runner, without kernels: what is kept is whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.readout.example import write_tiny

# One process, without threads, that forks a runner, kills it, and looks; the kernel's
# part is played by a function, so that most kills fall into the runner's own work.
STORM = """
import json, os, random, signal, sys, time
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from growth.readout import Store, filing, inputs, run, runner
from growth.readout.store import sha256_of, write_file
from growth.readout.supervise import Ended
from tests.readout.example import TinyParams, tiny

def played(argv, *, job, env, log, **_):
    os.environ.update(env)
    notebook = json.loads(Path(job["notebook"]).read_text())
    for cell in notebook["cells"]:
        cell["execution_count"] = 1
    Path(job["executed"]).write_text(json.dumps(notebook))
    document = tiny(TinyParams(**job["parameters"])).of_run(env["GROWTH_RUN_ID"])
    write_file(Path(env["GROWTH_RUN_DIR"], "readout.json"), document.to_json())
    return Ended(returncode=0, words={"kind": "ok"})

runner.supervise = played
runner.forkserver = lambda: nullcontext(None)
runner.warm = lambda: None
filing._page = lambda *_: "<html>"
inputs.package_digest = cache(inputs.package_digest)
inputs.git_state = lambda: ("", False)

def once():
    return run("tiny_readout", {"who": "one", "as_of": "2026-01-31"}, out="out",
               declaration=TinyParams, notebook="tiny.ipynb", force=True)

def whole(path, manifest):
    there = {p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()}
    return there == {*manifest["artifacts"], "manifest.json"} and all(
        sha256_of(path / name) == sha for name, sha in manifest["artifacts"].items())

def latest(store):
    held = store.latest("tiny_readout", "one")
    file = Path(held["folder"], "readout.json") if held else None
    return file is None or sha256_of(file) == held["sha256"]

rng, store = random.Random(20260301), Store(Path("out").absolute())
wrong, good, lost = [], set(), set()
once()
begun = time.monotonic()
once()
length = time.monotonic() - begun  # of a run here and now: machines differ
for number in range(100):
    before = len(good)
    pid = os.fork()
    if pid == 0:
        while True:
            once()
    time.sleep(rng.uniform(0.1, 1.8) * length)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    runs = list(store.runs())
    wrong += [f"{number}: {p.name} is torn" for p, m in runs[-3:] if not whole(p, m)]
    good |= {p for p, m in runs if m["status"] == "succeeded"}
    lost |= {p for p, m in runs if m["status"] == "lost"}
    length = min(1.0, length * 1.1) if len(good) == before else length * 0.95
    wrong += [f"{number}: {p.name} is gone" for p in good if not p.exists()]
    wrong += [] if latest(store) else [f"{number}: latest is torn"]
last = once()
runs = list(store.runs())
wrong += [f"{p.name} is torn" for p, m in runs if not whole(p, m)]
left = [p.name for p in Path("out/.staging").iterdir()]
folder = Path("out/tiny_readout/one")
parts = [p.name for p in folder.rglob(".*")]
held = store.latest("tiny_readout", "one")["run_id"]
print(json.dumps({"wrong": wrong, "left": left, "parts": parts, "good": len(good),
    "lost": len(lost), "last": last.status, "latest": held == last.run_id}))
"""


def test_a_hundred_kills_tear_nothing_lose_nothing_and_block_nothing(tmp_path):
    write_tiny(tmp_path / "tiny.ipynb")
    env = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", STORM],
        cwd=tmp_path,
        env=env,
        check=True,
        stdout=subprocess.PIPE,
    )
    told = json.loads(done.stdout)
    assert told.pop("good") > 5
    assert told.pop("lost") > 5
    assert told == {
        "wrong": [],
        "left": [],
        "parts": [],
        "last": "succeeded",
        "latest": True,
    }
