from pathlib import Path
from types import SimpleNamespace

import pytest

from growth.dataset.report import LoadReport, TableCount
from growth.readout import trust
from growth.readout.blocks import Check
from growth.result import Notice
from tests.readout.example import Answer

REJECTED = (("inconsistent", 9), ("duplicate_key", 1))


def report(*rejected):
    return LoadReport(
        load_id="x" * 16,
        source="s",
        mapping="m.toml",
        source_sha256="0" * 64,
        mapping_sha256="0" * 64,
        as_of=None,
        tz="UTC",
        max_reject_rate=0.02,
        tables=(TableCount("units", 100, 100 - sum(n for _, n in rejected), rejected),),
    )


def test_rows_in_are_rows_used_and_rows_turned_away():
    (line,) = trust.rows_check(report(*REJECTED), lang="en")
    assert line == Check(
        "warn",
        "Some rows were set apart",
        "90 of 100 rows used; contradict themselves 9 · repeated 1",
    )
    (line,) = trust.rows_check(report(), lang="en")
    assert (line.state, line.found) == ("ok", "100 of 100 rows used")
    assert trust.rows_check(None) == []


@pytest.mark.parametrize(
    ("held", "kept", "rows"),
    [
        (report(*REJECTED), (Path("r.parquet"),), {"data": 100}),
        (report(), (), {"data": 100}),
        (None, (), {}),
    ],
)
def test_a_run_keeps_the_rows_turned_away_and_their_count(held, kept, rows):
    opened = SimpleNamespace(load_report=held, rejects_file=Path("r.parquet"))
    assert trust.kept(opened) == kept
    assert trust.rows_read(opened) == rows


def test_a_remark_is_said_once_in_the_readers_words_unless_a_line_says_it():
    small = Notice("lift_unbounded", args=(("metric", "gmv"), ("arm", "B")))
    told = Notice("crossovers", "info", (("units", 3),))
    results = [Answer(value=1.0, notices=(small, told)), None]
    results.append(Answer(value=2.0, notices=(small,)))
    lines = trust.remarks(
        results, told={"crossovers"}, names={"gmv": "Revenue"}, lang="en"
    )
    assert [line.state for line in lines] == ["warn"]
    assert "Revenue" in lines[0].what
    assert "gmv" not in lines[0].what
    assert len(trust.remarks(results)) == 2
