"""Compiled loops with the bounds of every array checked, which Numba leaves out.

A loop that writes past its arrays may well give the right answer and harm something
else; so tests that run the kernels are run once more where that raises.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")

ROOT = Path(__file__).parents[1]
TESTS = (
    "engine/test_events.py",
    "engine/test_merging.py",
    "engine/test_users.py",
    "funnel/test_kernels.py",
    "heatmap/test_signals.py",
    "retention/test_golden.py",
    "retention/test_living.py",
    "retention/test_triangle.py",
    "segments/test_kernels.py",
    "tiers/test_replay.py",
    "tiers/test_simulate.py",
)
BEYOND = """
import numpy as np
from growth.tiers import kernels

try:
    kernels.replay(
        np.zeros(1, np.int64), (np.zeros(1, np.int64),) * 12,
        np.zeros(1, np.int32), np.zeros((1, 4), np.int64), np.array([0, 1]), 9,
        np.zeros((1, 1), np.int64), np.zeros(1, np.int8),
    )
except IndexError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """Return how to run Python where bounds are checked, with a cache of its own."""
    cache = tmp_path_factory.mktemp("numba")
    env = os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(cache)}

    def run(*args):
        done = subprocess.run(
            [sys.executable, *args], cwd=ROOT, env=env, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    return run


def test_a_loop_past_its_arrays_would_be_seen(checked):
    code, said = checked("-c", BEYOND)
    assert (code, said.strip()) == (0, "index is out of bounds")


def test_no_compiled_loop_passes_its_arrays(checked):
    files = [f"tests/{name}" for name in TESTS]
    code, said = checked("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files)
    assert code == 0, said[-4000:]
    assert " passed" in said
