"""Reference cases: tests/golden/abtest.json."""

import json
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent / "golden" / "abtest.json"
CASES = json.loads(FILE.read_text("utf-8"))["cases"]


def cases(*methods):
    """Return the cases of some methods; a method without a case is a mistake."""
    found = [case for case in CASES if case["method"] in methods]
    assert {case["method"] for case in found} == set(methods)
    return found


def name(case):
    return case["id"]
