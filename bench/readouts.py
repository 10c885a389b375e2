"""Readouts: a batch against the papermill CLI, what the runner costs, and a storm.

The batch is 8 trivial readouts with 2 workers, against 8 runs of the papermill
CLI of the same notebook, two at a time; the overhead is one supervised run without
a page against bare nbclient in a new process. The storm kills runner, kernel or the
process between, as often each, at seeded moments, and looks at what is on disk and
still alive.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from statistics import median

import psutil
from _common import ROOT, arguments, machine, peak_mib, table

DAY = date(2026, 1, 31)
NAME = "trivial_readout"
READOUTS, WORKERS, KILLS = 8, 2, 300

SOURCE = '''
from dataclasses import dataclass
from datetime import date
from typing import Annotated

from growth.readout import Help, Id, Readout, Sample, readout
from growth.readout.model import Decision


@readout("trivial_readout", subject="who")
@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """A trivial readout."""

    who: Annotated[str, Id(), Sample("one"), Help("whom it is about")]
    as_of: Annotated[date, Sample("2026-01-31"), Help("last day")]


def made(params):
    return Readout.from_results(params, decision=Decision(verdict="abtest.split.ok"))
'''

TRIES = 3  # of a peer that lost its kernel
ROLES = ("runner", "child", "kernel")
PEER_FAILURES = []  # what the peers' own commands lost

CELLS = (
    'who: str = "one"  # whom it is about\nas_of: str = "2026-01-31"  # last day',
    """from growth.readout import publish
from trivial import Params, made
p = Params.from_notebook(globals())""",
    "publish(made(p))",
)

NBCLIENT = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""

# all of a run but its page, as the goal says; the page is told on its own line
ONCE = """
import sys
from pathlib import Path
from growth.readout import filing, runner
from trivial import Params
if "--no-page" in sys.argv:
    filing._page = lambda *_: ""
    runner.warm = lambda: None
outcome = runner.run("trivial_readout", {"who": sys.argv[1], "as_of": "2026-01-31"},
                     out="out", declaration=Params, notebook="trivial.ipynb",
                     force="--force" in sys.argv)
sys.exit(outcome.exit_code)
"""

BATCH = """
import sys
from datetime import date
from growth.readout.batch import run_all
sys.exit(run_all("readouts.toml", date(2026, 1, 31), jobs=2, out=sys.argv[1]).exit_code)
"""


def place(readouts=READOUTS):
    """Return a folder with the notebook, its declaration and a configuration."""
    folder = Path(tempfile.mkdtemp(prefix="bench-readouts-"))
    (folder / "trivial.py").write_text(SOURCE)
    cells = [
        {
            "cell_type": "code", "execution_count": None, "id": f"c{n}",
            "metadata": {"tags": ["parameters"] if n == 0 else []}, "outputs": [],
            "source": source,
        }
        for n, source in enumerate(CELLS)
    ]  # fmt: skip
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}}
    notebook |= {"nbformat": 4, "nbformat_minor": 5}
    (folder / "trivial.ipynb").write_text(json.dumps(notebook))
    lines = [
        f'[[readout]]\nname = "{NAME}"\nparams = {{ who = "r{n}" }}\n'
        'declaration = "trivial:Params"\nnotebook = "trivial.ipynb"\n'
        for n in range(readouts)
    ]
    (folder / "readouts.toml").write_text("\n".join(lines))
    return folder


def environment(folder):
    """Return an environment in which the kernel finds the declaration."""
    path = os.pathsep.join([str(ROOT), str(folder)])
    return {**os.environ, "PYTHONPATH": path, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}


def spent(command, folder):
    """Return the seconds a command takes, which must succeed."""
    begun = time.perf_counter()
    subprocess.run(
        command, cwd=folder, env=environment(folder), check=True, capture_output=True
    )
    return time.perf_counter() - begun


def papermill(folder, number):
    """Run the notebook by papermill's command, as a scheduler would.

    Kernels that start side by side can take each other's port; that is the peer's
    defect, so it is counted and does not end the bench.
    """
    command = [sys.executable, "-m", "papermill", "trivial.ipynb", f"out{number}.ipynb"]
    try:
        spent([*command, "-r", "who", f"r{number}", "--no-progress-bar"], folder)
    except subprocess.CalledProcessError:
        PEER_FAILURES.append("papermill")


def nbclient(folder, number):
    """Return the seconds bare nbclient takes, tried again where it lost its kernel."""
    command = [sys.executable, "-c", NBCLIENT, "trivial.ipynb", f"nb{number}.ipynb"]
    for _ in range(TRIES):
        try:
            return spent(command, folder)
        except subprocess.CalledProcessError:
            PEER_FAILURES.append("nbclient")
    return float("nan")


def papermills(folder, readouts, workers):
    """Return the seconds of so many papermill commands, so many at a time."""
    begun = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda number: papermill(folder, number), range(readouts)))
    return time.perf_counter() - begun


def batch_and_overhead(repeat, readouts):
    """Time everything in turns, so that a slow moment hits all."""
    folder = place(readouts)
    python = sys.executable
    cases = {
        "papermill CLI, all at once": lambda _: papermills(folder, readouts, readouts),
        "papermill CLI, 2 at a time": lambda _: papermills(folder, readouts, WORKERS),
        "run-all, 2 workers": lambda n: spent(
            [python, "-c", BATCH, f"batch{n}"], folder
        ),
        "nbclient, new process": lambda n: nbclient(folder, n),
        "runner, without page": lambda n: spent(
            [python, "-c", ONCE, f"a{n}", "--no-page"], folder
        ),
        "runner, whole": lambda n: spent([python, "-c", ONCE, f"b{n}"], folder),
    }
    times = {name: [] for name in cases}
    processor = {name: [] for name in cases}
    for number in range(repeat):
        for name, work in cases.items():
            before = below()
            times[name].append(work(number))
            processor[name].append(below() - before)
    shutil.rmtree(folder, ignore_errors=True)
    walls = {
        name: {"best": median(found), "seconds": found, "peak": peak_mib()}
        for name, found in times.items()
    }
    return walls, {name: median(found) for name, found in processor.items()}


def below():
    """Return the CPU seconds of all processes below this one that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def victim(runner, role, rng, lives):
    """Wait for the process that plays a part, and then a little; return it.

    A runner is killed at any time of its life; child and kernel, which live in its
    middle, at any time of theirs. If the run is over before, `psutil.Error`.
    """
    above = psutil.Process(runner.pid)
    if role == "runner":
        time.sleep(rng.uniform(0.0, lives[role]))
        return above
    while not (kernel := kernel_of(above)):
        if runner.poll() is not None:
            raise psutil.NoSuchProcess(runner.pid)
        time.sleep(0.02)
    chosen = kernel if role == "kernel" else kernel.parent()
    time.sleep(rng.uniform(0.0, lives[role]))
    return chosen


def kernel_of(runner):
    """Return the kernel below a runner, None while there is none."""
    for process in runner.children(recursive=True):
        try:
            command = " ".join(process.cmdline())
            if "growth kernel" in command or "ipykernel_launcher" in command:
                return process
        except psutil.Error:
            continue
    return None


def storm(kills, seed=20_260_301):
    """Kill so many runs; return what was found wrong, by name."""
    from growth.readout.store import Store

    rng = random.Random(seed)
    folder = place()
    out = folder / "out"
    store = Store(out)
    wrong = {"torn": 0, "lost results": 0, "stale locks": 0, "kernels left": 0}
    counts = dict.fromkeys((*ROLES, "finished first"), 0)
    # how long each lives here and now, learnt from who was met and who was missed
    lives = dict.fromkeys(ROLES, spent([sys.executable, "-c", ONCE, "first"], folder))
    good, seen, pointed = {}, set(), set()
    number = -1
    while sum(counts[role] for role in ROLES) < kills:
        number += 1
        run = subprocess.Popen(
            [sys.executable, "-c", ONCE, f"s{number % 4}", "--force"],
            cwd=folder, env=environment(folder),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        role = ROLES[number % len(ROLES)]
        try:
            victim(run, role, rng, lives).send_signal(signal.SIGKILL)
            counts[role] += 1
            lives[role] *= 1.1
        except psutil.Error:
            counts["finished first"] += 1
            lives[role] *= 0.7
        run.wait()
        ended = list(store.runs())
        for path, manifest in ended:
            if path not in seen:  # the rest is looked at again when all is over
                wrong["torn"] += not verified(path, manifest)
                seen.add(path)
            if manifest["status"] == "succeeded":
                good.setdefault(path, manifest)
        for who in {manifest["subject"] for manifest in good.values()}:
            latest = store.latest(NAME, who)
            if latest is None:  # a first run may be killed before it is pointed at
                wrong["lost results"] += who in pointed
            else:
                pointed.add(who)
                wrong["lost results"] += not good_latest(latest)
        wrong["lost results"] += sum(not path.exists() for path in good)
    for number in range(4):  # the next run of each: it must get its lock
        done = subprocess.run(
            [sys.executable, "-c", ONCE, f"s{number}", "--force"],
            cwd=folder, env=environment(folder), check=False, capture_output=True,
        )  # fmt: skip
        wrong["stale locks"] += done.returncode != 0
        latest = store.latest(NAME, f"s{number}")
        wrong["lost results"] += latest is None or not Path(latest["folder"]).is_dir()
    subprocess.run(
        [sys.executable, "-m", "growth", "readout", "gc", "--out", str(out)],
        cwd=folder, env=environment(folder), check=True, capture_output=True,
    )  # fmt: skip
    told = {m["status"] for _, m in store.runs()}
    counts["ended"] = " ".join(
        f"{sum(m['status'] == name for _, m in store.runs())} {name}"
        for name in sorted(told)
    )
    wrong["torn"] += sum(not verified(*found) for found in store.runs())
    wrong["torn"] += len(list((out / ".staging").iterdir()))
    wrong["kernels left"] = left(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return wrong, counts


def good_latest(latest):
    """Return whether what `latest` points at is there and as it was."""
    from growth.readout.store import sha256_of

    file = Path(latest["folder"], "readout.json")
    return file.is_file() and sha256_of(file) == latest["sha256"]


def verified(path, manifest):
    """Return whether a run is just what its manifest says."""
    from growth.readout.store import sha256_of

    there = {p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()}
    told = manifest.get("artifacts", {})
    return there == {*told, "manifest.json"} and all(
        sha256_of(path / name) == sha for name, sha in told.items()
    )


def left(folder):
    """Return how many processes of the runs in a folder are alive."""
    count = 0
    for process in psutil.process_iter():
        try:
            count += process.environ().get("GROWTH_RUN_DIR", "").startswith(str(folder))
        except (psutil.Error, OSError):
            continue
    return count


def main():
    """Print the times side by side, then what the storm left."""
    options = arguments(__doc__)
    if options.only is None or "batch" in options.only:
        repeat = max(1, round(options.repeat * min(1.0, options.scale)))
        readouts = READOUTS if options.scale >= 0.1 else 2
        found, processor = batch_and_overhead(repeat, readouts)
        against = {
            "x papermill": lambda _: "papermill CLI, all at once",
            "x two by two": lambda _: "papermill CLI, 2 at a time",
            "x nbclient": lambda _: "nbclient, new process",
        }
        goals = {
            "run-all, 2 workers": "0.4 x papermill",
            "runner, without page": "1.15 x nbclient",
        }
        title = f"{readouts} trivial readouts, medians of {repeat}; {machine()}"
        table(title, found, against=against, goals=goals)
        # on a busy machine this says more than a clock on the wall
        print("  CPU seconds, and times papermill's, all at once:")
        floor = processor["papermill CLI, all at once"]
        for name, used in processor.items():
            print(f"    {name:26} {used:7.3f} {used / floor:6.2f}")
        if PEER_FAILURES:
            print(f"  the peers' own commands failed {len(PEER_FAILURES)} times")
    if options.only is None or "storm" in options.only:
        kills = max(3, round(KILLS * options.scale))
        wrong, counts = storm(kills)
        print(f"\nStorm: {kills} runs, {counts}")
        for name, number in wrong.items():
            print(f"  {name:14}{number:5d}  goal 0")


if __name__ == "__main__":
    main()
