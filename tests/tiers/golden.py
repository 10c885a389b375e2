"""The golden cases of tests/golden/tiers.json, by id."""

import json
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent.parent / "golden" / "tiers.json"
FILE = json.loads(GOLDEN.read_text(encoding="utf-8"))
BASE = FILE["base_programme"]
CASES = {case["id"]: case for case in FILE["cases"]}
assert len(CASES) == len(FILE["cases"])


def starting(*prefixes):
    """Parametrise over the cases whose id starts so; there is at least one."""
    found = [case for name, case in CASES.items() if name.startswith(prefixes)]
    assert found, prefixes
    return pytest.mark.parametrize("case", found, ids=[case["id"] for case in found])


def given(name):
    """Return a case's input and expected values."""
    return CASES[name]["input"], CASES[name]["expected"]
