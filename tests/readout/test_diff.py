import json
from datetime import date

import pytest

from growth import cli
from growth.errors import DataError
from growth.readout import Readout, Store, diff
from growth.readout.model import Decision
from growth.readout.store import INPUTS, Key, to_json, write_file
from growth.result import Estimate

DAY = date(2026, 1, 31)
RUNS = ("20260131T000000Z-19c0de", "20260201T000000Z-7f3a9c")


def estimate(value, se=0.008, key="gmv.lift", arm="B"):
    return Estimate(key=key, by=(("arm", arm),), value=value, se=se, unit="ratio")


def table(sha, rows):
    return {"name": "orders", "sha256": sha, "rows": rows, "min": None, "max": None}


def keep(store, run_id, *estimates, files=(), verdict="abtest.iterate", **manifest):
    """Keep a run as the runner would, without running anything."""
    subject = manifest.get("subject", "007")
    params = {"experiment_id": subject, "as_of": "2026-01-31"}
    key = Key(readout="tiny", subject=subject, as_of=DAY)
    folder = store.open_staging(run_id, {})
    document = Readout(
        readout="tiny",
        subject=subject,
        as_of=DAY,
        params=params,
        decision=Decision(verdict=verdict),
        estimates=estimates,
        run_id=run_id,
    )
    write_file(folder / "readout.json", document.to_json())
    write_file(folder / "readout.html", "<html>")
    if files:
        write_file(folder / INPUTS, to_json({"orders": list(files)}))
    told = {
        "run_id": run_id,
        "status": "succeeded",
        "readout": "tiny",
        "subject": subject,
        "as_of": "2026-01-31",
        "params": params,
        "decision": verdict,
        "estimate": document.to_dict()["estimates"][0] if estimates else None,
        "code": "c1",
        "notebook": {"name": "tiny.ipynb", "sha256": "n1"},
        "package": "0.1.0",
        "git": "g1",
        "versions": {"numpy": "2.4"},
        "data": [table("d1", 100)],
    }
    return store.finish(key, run_id, told | manifest)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "readouts")


def two(store, first=(), second=(), **more):
    a = keep(store, RUNS[0], *first)
    return a, keep(store, RUNS[1], *second, **more)


def test_a_day_of_data_is_named_as_the_cause_with_the_move_it_made(store):
    a = keep(
        store,
        RUNS[0],
        estimate(0.004),
        files=[{"file": "ds=30", "sha256": "x"}, {"file": "ds=31", "sha256": "y"}],
    )
    b = keep(
        store,
        RUNS[1],
        estimate(0.022),
        files=[{"file": "ds=30", "sha256": "x"}, {"file": "ds=31", "sha256": "z"}],
        data=[table("d2", 1304)],
    )
    found = diff.diff(a, b)
    assert found.verdict == "readout.diff.moved"
    assert found.causes == ("data",)
    (move,) = found.moves
    assert move.z == pytest.approx(0.018 / (0.008 * 2**0.5))
    assert found.rough
    assert list(found.lines()) == [
        "gmv.lift arm=B  0.004 -> 0.022  ~+1.6 se  iterate -> iterate",
        "why: data orders (+1,204 rows, ~ds=31); same parameters, code, versions",
    ]
    assert found.largest == pytest.approx(1.59, abs=0.01)
    json.dumps(found.to_dict(), allow_nan=False)


def test_nothing_moved(store):
    found = diff.diff(*two(store, [estimate(0.1)], [estimate(0.1)]))
    assert (found.verdict, found.causes) == ("readout.diff.same", ())
    assert list(found.lines()) == ["same data, parameters, code, versions"]
    assert found.rows() == []


def test_numbers_that_move_by_themselves_are_nondeterministic(store):
    found = diff.diff(*two(store, [estimate(0.1)], [estimate(0.2)]))
    assert found.verdict == "readout.diff.unexplained"
    assert found.causes == ("nondeterministic",)
    assert list(found.lines())[-1].startswith("why: nondeterministic; same data")


def test_without_a_fingerprint_nothing_is_claimed(store):
    a = keep(store, RUNS[0], estimate(0.1), data=[table(None, None)])
    b = keep(store, RUNS[1], estimate(0.2), data=[table(None, None)])
    found = diff.diff(a, b)
    assert found.verdict == "readout.diff.unknown"
    assert found.causes == ()
    assert "orders" in found.notices[0].words("en")


def test_estimates_come_and_go_and_may_have_no_error(store):
    first = [estimate(0.1), estimate(0.1, arm="C"), estimate(1, None, key="n")]
    second = [estimate(0.1), estimate(0.3, arm="D"), estimate(2, None, key="n")]
    found = diff.diff(*two(store, first, second))
    told = [(m.key, m.by[0][1], m.kind, m.z) for m in found.moves]
    assert told == [
        ("gmv.lift", "B", "same", 0.0),
        ("gmv.lift", "C", "gone", None),
        ("n", "B", "moved", None),
        ("gmv.lift", "D", "added", None),
    ]
    assert "gmv.lift arm=C  0.1 -> –  gone  iterate -> iterate" in list(found.lines())


def test_code_parameters_and_versions_are_told_apart(store):
    more = {
        "params": {"experiment_id": "007", "as_of": "2026-01-31", "alpha": 0.1},
        "versions": {"numpy": "2.5", "scipy": "1"},
        "code": "c2",
        "git": "g2",
        "notebook": {"name": "tiny.ipynb", "sha256": "n2"},
        "package": "0.2.0",
    }
    found = diff.diff(*two(store, [estimate(0.1)], [estimate(0.2)], **more))
    assert found.causes == ("parameters", "code", "versions")
    assert list(found.lines())[-1] == (
        "why: parameters alpha – -> 0.1; code tiny.ipynb n1 -> n2, package 0.1.0 ->"
        " 0.2.0, git g1 -> g2; versions numpy 2.4 -> 2.5, scipy – -> 1; same data"
    )


def test_code_changed_locally_is_still_seen(store):
    found = diff.diff(*two(store, [estimate(0.1)], [estimate(0.2)], code="c2"))
    assert list(found.lines())[-1].startswith("why: code growth, changed locally;")


def test_many_files_are_cut_and_tables_come_and_go(store):
    files = [{"file": f"f{n}", "sha256": "x"} for n in range(7)]
    found = diff.diff(
        *two(store, [], [], files=files, data=[table("d2", None)]),
    )
    (change,) = found.changes
    assert change.files == ("+f0", "+f1", "+f2", "+f3", "+f4", "and 2 more")
    assert change.rows is None
    other = keep(store, "20260202T000000Z-000001", data=[])
    assert diff.diff(other, store.find(RUNS[0])).changes[0].name == "orders"


def test_different_subjects_are_told_and_not_rough(store):
    found = diff.diff(*two(store, [estimate(0.1)], [estimate(0.2)], subject="8"))
    assert not found.rough
    assert "other_subject" in [notice.code for notice in found.notices]


def test_a_folder_that_is_no_run_is_refused(store, tmp_path):
    a = keep(store, RUNS[0], estimate(0.1))
    with pytest.raises(DataError, match=r"readout\.json") as info:
        diff.diff(a, tmp_path)
    assert info.value.code == "document_missing"
    (a / "manifest.json").unlink()
    with pytest.raises(DataError, match="no readable manifest") as info:
        diff.diff(a, a)
    assert info.value.code == "manifest_missing"


def test_the_command_prints_it_and_fails_above_a_limit(store, capsys):
    two(store, [estimate(0.0)], [estimate(0.1)])
    ends = ["19c0de", "7f3a9c", "--out", str(store.root)]
    assert cli.main(["readout", "diff", *ends]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "gmv.lift arm=B  0 -> 0.1  ~+8.8 se  iterate -> iterate"
    assert cli.main(["readout", "diff", *ends, "--fail-above", "9"]) == 0
    assert cli.main(["readout", "diff", *ends, "--fail-above", "3", "--json"]) == 9
    assert '"z": 8.8' in capsys.readouterr().out
