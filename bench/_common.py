"""What every bench shares: a fresh process a case, its time, its peak, a table.

A bench is a file with `CASES`, a mapping of names to functions. Each function
gets the scale and returns the work to be timed, a callable without arguments.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "bench"
WARM = 0.0002  # scale of the untimed first call, which pays for imports


def peak_mib():
    """Return the most memory this process has held, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)


def arguments(about):
    """Return the options of a bench, from its command line."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the size")
    parser.add_argument(
        "--repeat", type=int, default=5, help="calls a case; the best counts"
    )
    parser.add_argument("--only", nargs="*", help="cases to run; all if omitted")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    return parser.parse_args()


def time_case(make, scale, repeat):
    """Print the seconds of `repeat` calls, the peak before and after, as JSON."""
    make(min(scale, WARM))()
    work = make(scale)
    before, spent = peak_mib(), []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    print(json.dumps({"seconds": spent, "before": before, "peak": peak_mib()}))


def run_case(script, case, options, *, python=sys.executable):
    """Run one case in a process of its own; return its measures or its last words."""
    command = [python, script, "--case", case, "--scale", str(options.scale)]
    command += ["--repeat", str(options.repeat)]
    # a file, not a pipe: whatever a library prints cannot block the case
    with tempfile.TemporaryFile("w+") as said:
        run = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": f"{ROOT}"},
        )
        said.seek(0)
        words = said.read().strip().splitlines()
    if run.returncode:
        errors = [line for line in words if re.match(r"[\w.]*(Error|Exception)", line)]
        return {"skipped": (errors or words or [f"exit {run.returncode}"])[-1]}
    found = json.loads(run.stdout.splitlines()[-1])
    return {"best": min(found["seconds"]), **found}


def machine():
    """Return one line on what this ran on."""
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}"
    )


def table(title, measures, *, against, goals):
    """Print measures as a table; `against` maps a column's name to a case's floor."""
    head = ["case", "seconds", "peak MiB", *against, "goal"]
    lines = [head]
    for case, found in measures.items():
        if "skipped" in found:
            lines.append([case, "skipped:", found["skipped"]])
            continue
        line = [case, f"{found['best']:.3f}", f"{found['peak']:.0f}"]
        for floor_of in against.values():
            floor = measures.get(floor_of(case), {}).get("best")
            line.append(f"{found['best'] / floor:.2f}" if floor else "-")
        lines.append([*line, goals.get(case, "")])
    whole = [line for line in lines if len(line) == len(head)]
    widths = [max(map(len, column)) for column in zip(*whole, strict=True)]
    print(f"\n{title}")
    for line in lines:
        cells = map(str.ljust, line, widths) if line in whole else line
        print("  " + "  ".join(cells).rstrip())


def peers(name, packages):
    """Return a Python of an environment with `packages`, or why there is none."""
    folder = ROOT / ".cache" / f"peers-{name}"
    python = folder / "bin" / "python"
    ready = folder / "ready"
    wanted = "\n".join(packages)
    if ready.exists() and ready.read_text() == wanted:
        return str(python), ""
    print(f"making an environment for {', '.join(packages)}", file=sys.stderr)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "-qq", "install"]
    for command in ([sys.executable, "-m", "venv", str(folder)], [*pip, *packages]):
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            words = (run.stderr or run.stdout).strip().splitlines()
            return None, words[-1] if words else "pip failed"
    ready.write_text(wanted)
    return str(python), ""
