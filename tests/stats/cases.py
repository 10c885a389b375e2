"""The golden cases of tests/golden/abtest.json, by method."""

import json
from pathlib import Path

import numpy as np
import pytest

from growth.stats.moments import Moments

GOLDEN = Path(__file__).parent.parent / "golden" / "abtest.json"
CASES = json.loads(GOLDEN.read_text(encoding="utf-8"))["cases"]


def golden(*methods):
    """Parametrise over the cases of these methods; there is at least one."""
    found = [case for case in CASES if case["method"] in methods]
    assert found, methods
    return pytest.mark.parametrize("case", found, ids=[case["id"] for case in found])


def near(expected, case):
    """Return `expected` with the case's relative tolerance and none absolute."""
    return pytest.approx(expected, rel=case["tolerance_rel"] or 1e-15, abs=0)


def moments(given, columns):
    """Return the moments of an arm as the cases write it."""
    if "x" in given:
        return Moments.of(columns, np.column_stack([given[c] for c in columns]))
    cov = given.get("cov_ddof1", given.get("var_ddof1"))
    return Moments.from_summary(columns, n=given["n"], mean=given["mean"], cov=cov)
