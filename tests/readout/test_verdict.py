import json
import signal
from dataclasses import replace

import pytest

from growth.readout.repair import Told
from growth.readout.supervise import Ended
from growth.readout.verdict import EXIT_CODES, judge, published
from tests.readout.example import TinyParams, tiny

WELL = Told(whole=True, unrun=0)
OURS = {"run_id": "r1", "readout": "tiny_readout", "subject": "007"}


def ended(kind=None, *, returncode=0, message="", **more):
    words = {"kind": kind, "message": message} if kind else {}
    return Ended(returncode=returncode, words=words, **more)


@pytest.mark.parametrize(
    ("seen", "told", "status", "code", "exit_code"),
    [
        (ended("ok"), WELL, "succeeded", "", 0),
        (ended("ok"), Told(whole=True, unrun=1), "failed", "not_run", 3),
        (ended("ok"), Told(whole=False, unrun=0), "failed", "not_run", 3),
        (ended("disk", message="no space"), WELL, "store_error", "disk", 8),
        (
            ended("ok"),
            Told(whole=True, unrun=1, error="SystemExit: 0"),
            "failed",
            "system_exit",
            3,
        ),
        (
            ended("cell", message="KeyError: 'a'"),
            Told(whole=True, unrun=1, error="KeyError: 'a'"),
            "failed",
            "raised",
            3,
        ),
        (ended("timeout"), WELL, "timed_out", "deadline", 4),
        (ended("dead"), WELL, "kernel_died", "kernel_died", 5),
        (ended(returncode=-9), WELL, "kernel_died", "child_killed", 5),
        (ended("stopped"), WELL, "kernel_died", "child_killed", 5),
        (ended(returncode=-9, overtime=True), WELL, "timed_out", "deadline", 4),
        (ended("other", message="X: y"), WELL, "internal_error", "child_failed", 1),
        (
            ended("stopped", stopped_by=signal.SIGTERM),
            WELL,
            "cancelled",
            "signal",
            143,
        ),
        (ended("ok", stopped_by=signal.SIGINT), WELL, "cancelled", "signal", 130),
        (ended("timeout", stopped_by=signal.SIGHUP), WELL, "cancelled", "signal", 143),
    ],
)
def test_how_a_run_ended(seen, told, status, code, exit_code):
    verdict = judge(seen, told, limit=60)
    assert (verdict.status, verdict.code) == (status, code)
    assert verdict.exit_code == exit_code
    assert bool(verdict.reason) == (status != "succeeded")
    assert "\n" not in verdict.reason


def test_every_status_has_the_exit_code_of_the_specification():
    assert EXIT_CODES == {
        "succeeded": 0,
        "skipped": 0,
        "refused": 7,
        "failed": 3,
        "timed_out": 4,
        "kernel_died": 5,
        "invalid_result": 6,
        "cancelled": 143,
        "lost": 137,
        "store_error": 8,
        "internal_error": 1,
    }


@pytest.fixture
def made(monkeypatch):
    monkeypatch.delenv("GROWTH_RUN_DIR", raising=False)
    return tiny(TinyParams(who="007", as_of="2026-01-31")).of_run("r1")


def test_a_valid_document_of_this_run_is_a_success(tmp_path, made):
    (tmp_path / "readout.json").write_text(made.to_json())
    document, verdict = published(tmp_path, OURS)
    assert verdict.status == "succeeded"
    assert document["subject"] == "007"


@pytest.mark.parametrize(
    ("text", "code", "faulty"),
    [
        (None, "document_missing", "readout.json"),
        ("{", "bad_document", "readout.json"),
        ("{}", "bad_document", "$.schema_version"),
    ],
)
def test_what_is_no_document_is_no_success(tmp_path, text, code, faulty):
    if text is not None:
        (tmp_path / "readout.json").write_text(text)
    document, verdict = published(tmp_path, OURS)
    assert document is None
    assert (verdict.status, verdict.code) == ("invalid_result", code)
    assert verdict.faults[0].name == faulty
    assert str(tmp_path) not in verdict.reason


def test_another_runs_document_is_no_success(tmp_path, made):
    foreign = replace(made, run_id="r2", subject="008")
    (tmp_path / "readout.json").write_text(foreign.to_json())
    _, verdict = published(tmp_path, OURS)
    assert verdict.code == "foreign_document"
    assert [fault.name for fault in verdict.faults] == ["$.run_id", "$.subject"]


def test_charts_that_are_not_there_are_no_success(tmp_path, made):
    held = json.loads(made.to_json())
    chart = {"key": "e", "alt": "", "spec": "charts/e.vl.json", "svg": "charts/e.svg"}
    held["charts"] = [chart]
    (tmp_path / "readout.json").write_text(json.dumps(held))
    _, verdict = published(tmp_path, OURS)
    assert verdict.code == "chart_missing"
    assert [f.name for f in verdict.faults] == ["charts/e.vl.json", "charts/e.svg"]
