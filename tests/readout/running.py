"""How tests run the tiny readout by the real runner, and look at what it left."""

import json

import psutil

from growth.readout import run
from tests.readout.example import TinyParams

DAY = "2026-01-31"
OPTIONS = ("force", "wait", "deadline", "progress", "retries", "on_finish")


def tiny_run(place, what="succeed", *, who="one", as_of=DAY, **more):
    options = {name: more.pop(name) for name in OPTIONS if name in more}
    return run(
        "tiny_readout",
        {"who": who, "as_of": as_of, "what": what} | more,
        out=place / "out",
        declaration=TinyParams,
        notebook=place / "tiny_readout.ipynb",
        **options,
    )


def manifest_of(outcome):
    return json.loads((outcome.path / "manifest.json").read_text())


def states(outcome):
    return [cell["status"] for cell in manifest_of(outcome)["cells"]]


def nothing_left(place):
    """Nothing is staged, and no process of a run is alive."""
    assert list((place / "out" / ".staging").iterdir()) == []
    mine = [p for p in psutil.Process().children() if p.status() != "zombie"]
    mine = [p for p in mine if p.name() != "java"]  # Spark's, from other tests
    said = [" ".join(p.cmdline()) for p in mine]
    servers = ("growth server", "server()")  # they serve many runs
    assert [one for one in said if not any(name in one for name in servers)] == []
