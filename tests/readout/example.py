"""A readout of every type, declared as a user would; and a tiny one to run."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import psutil

from growth.errors import Fault
from growth.readout import Between, EnvName, Help, Id, Readout, Sample, params, readout
from growth.readout.params import declaration_of
from growth.result import Estimate, Result


@readout("example_readout", subject="experiment_id", deadline="10m")
@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleParams:
    """One parameter of each type."""

    experiment_id: Annotated[str, Id(), Sample("007"), Help("which experiment")]
    as_of: Annotated[date, Sample("2026-01-31"), Help("last day, inclusive")]
    start: Annotated[date | None, Help("first day")] = None
    metric: Annotated[Literal["gmv", "conversion"], Help("primary metric")] = "gmv"
    alpha: Annotated[float, Between(0, 1, open=True), Help("two-sided level")] = 0.05
    min_units: Annotated[int, Between(1, 1_000_000), Help("refuse below")] = 100
    cuped: Annotated[bool, Help("adjust by pre-period")] = False

    def conflicts(self):
        if self.start and self.start > self.as_of:
            yield Fault("conflict", "start", f"{self.start}", "no later than as_of")


@readout("tiny_readout", subject="who", deadline="5m", transient=[ConnectionError])
@dataclass(frozen=True, slots=True, kw_only=True)
class TinyParams:
    """Just enough to run."""

    who: Annotated[str, Id(), Sample("one"), Help("whom it is about")]
    as_of: Annotated[date, Sample("2026-01-31"), Help("last day")]
    what: Annotated[str, Help("what the second cell does")] = "succeed"
    data: Annotated[str | None, params.Path(), Help("a file to read")] = None
    secret: Annotated[str | None, EnvName(), Help("a variable with a secret")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Result):
    """A result with one number, as a room would give it."""

    value: float | None
    outcome: str = "ship"

    @property
    def verdict(self):
        return "abtest.split.ok"

    def rows(self):
        return [{"arm": "B", "units": 10, "estimate": self.value}]

    def estimates(self):
        by = (("arm", "B"),)
        interval = {"lo": -1.0, "hi": 2.0, "level": 0.95}
        return (Estimate(key="x.lift", by=by, value=self.value, n=10, **interval),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve(Result):
    """A result that describes: a level with its interval, no change, no decision."""

    value: float

    @property
    def verdict(self):
        return "check.state.ok"

    def rows(self):
        return [{"day": day, "rate": self.value / day} for day in (1, 7)]

    def estimates(self):
        lo, hi = self.value - 0.01, self.value + 0.01
        more = {"lo": lo, "hi": hi, "se": 0.005, "level": 0.95, "n": 900}
        count = Estimate(key="curve.people", value=900.0, unit="count")
        rate = Estimate(key="curve.day_7", value=self.value, unit="share", **more)
        return (count, rate)


def tiny(params, **more):
    if params.what == "describe":  # nothing is decided: a level, no arm, no reason
        return Readout.from_results(params, results={"curve": Curve(value=0.314)})
    return Readout.from_results(
        params, decision=Answer(value=0.5), results={"arms": Answer(value=0.5)}, **more
    )


def fill(path):
    """Write until the disk has no byte left."""
    with path.open("wb", buffering=0) as stream:
        for size in (1 << 16, 1):
            with suppress(OSError):
                while True:
                    stream.write(b"x" * size)


def act(what):  # noqa: C901, PLR0912  (one case an act)
    """Do to the run what a test asked for."""
    match what:
        case "raise":
            raise ZeroDivisionError("on purpose")
        case "stumble":
            if not Path(os.environ["GROWTH_RUN_DIR"], "attempts").exists():
                raise ConnectionError("try again")
        case "leave":
            sys.exit(0)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "kill worker":
            # this kernel's parent runs papermill; the parent of that, the run
            os.kill(psutil.Process().parent().ppid(), signal.SIGKILL)
            time.sleep(600)
        case "kill child":
            os.kill(psutil.Process().ppid(), signal.SIGKILL)
            time.sleep(600)
        case "hang":
            start = "import time; time.sleep(600)"
            env = ["env", "-i", "setsid", sys.executable, "-c", start]
            orphan = subprocess.Popen(env)  # own session, no environment
            Path(os.environ["GROWTH_RUN_DIR"], "orphan").write_text(str(orphan.pid))
            sys.stdout.write("now hanging")
            time.sleep(600)
        case "linger":  # until it is told to go
            Path(os.environ["GROWTH_RUN_DIR"], "lingers").touch()
            until = time.monotonic() + 180
            while not Path("go").exists() and time.monotonic() < until:
                time.sleep(0.02)
        case "fill":
            fill(Path(os.environ["GROWTH_RUN_DIR"]).parents[1] / "filler")
        case "tell":
            sys.stdout.write(f"the secret is {os.environ['THE_KEY']}")
        case "forge":
            Path(os.environ["GROWTH_RUN_DIR"], "readout.json").write_text("{}")
        case "warp":
            os.environ["GROWTH_RUN_ID"] = "20260101T000000Z-000000"


SECOND = """from growth.readout import publish
from tests.readout.example import TinyParams, act, tiny
p = TinyParams.from_notebook(globals())"""


def write_tiny(path):
    """Write the notebook of `TinyParams`."""
    publish = 'if p.what not in {"silent", "forge"}:\n    publish(tiny(p))'
    return write_notebook(path, TinyParams, [SECOND, "act(p.what)", publish])


def write_notebook(path, cls, sources):
    """Write a notebook: the parameters of a class, then what it does."""
    cells = [(declaration_of(cls).cell_source(), ["parameters"])]
    cells += [(source, []) for source in sources]
    notebook = {
        "cells": [
            {
                "cell_type": "code",
                "execution_count": None,
                "id": f"cell-{number}",
                "metadata": {"tags": tags},
                "outputs": [],
                "source": source,
            }
            for number, (source, tags) in enumerate(cells)
        ],
        "metadata": {
            "kernelspec": {
                "display_name": "Python 3",
                "language": "python",
                "name": "python3",
            }
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(notebook))
    return path
