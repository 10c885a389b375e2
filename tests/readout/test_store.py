import json
import re
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from growth.readout.store import (
    Busy,
    Key,
    Store,
    decode,
    encode,
    new_run_id,
    root,
    write_file,
)

DAY = date(2026, 1, 31)
KEY = Key(readout="tiny_readout", subject="../A b", as_of=DAY)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "readouts")


def keep(store, run_id, *, key=KEY, **manifest):
    """Keep a run that left a document and a page."""
    folder = store.open_staging(run_id, {"pid": 1})
    write_file(folder / "readout.json", "{}")
    write_file(folder / "readout.html", "<html>")
    return store.finish(key, run_id, {"status": "succeeded"} | manifest)


@pytest.mark.parametrize(
    ("subject", "segment"),
    [
        ("007", "007"),
        ("a_b-c", "a_b-c"),
        ("../../etc", "%2e%2e%2f%2e%2e%2fetc"),
        (".", "%2e"),
        ("CON", "%43%4f%4e"),
        ("con", "%63on"),
        ("lpt1", "%6cpt1"),
        ("A", "%41"),
        ("实", "%e5%ae%9e"),
        ("%41", "%2541"),
    ],
)
def test_subjects_become_one_folder_name(subject, segment):
    assert encode(subject) == segment
    assert decode(segment) == subject


@given(st.text(min_size=1, max_size=100))
def test_a_segment_holds_nothing_a_disk_could_misread(subject):
    segment = encode(subject)
    assert re.fullmatch(r"[a-z0-9_%-]{1,84}", segment)
    assert decode(segment) in {subject, None}


@given(st.text(min_size=1), st.text(min_size=1))
def test_two_subjects_never_share_a_folder(one, two):
    assert (encode(one).casefold() == encode(two).casefold()) == (one == two)


def test_a_long_subject_is_hashed():
    assert encode("x" * 80) == "x" * 80
    segment = encode("x" * 81)
    assert re.fullmatch(r"x{16}%%[0-9a-f]{64}", segment)
    assert decode(segment) is None


def test_run_ids_sort_by_time():
    early = new_run_id(datetime(2026, 2, 1, 3, 15, tzinfo=UTC))
    assert re.fullmatch(r"20260201T031500Z-[0-9a-f]{6}", early)
    assert early < new_run_id()
    assert new_run_id() != new_run_id()


def test_the_root_is_asked_for_then_set_then_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GROWTH_READOUTS", raising=False)
    assert root() == tmp_path / "readouts"
    monkeypatch.setenv("GROWTH_READOUTS", str(tmp_path / "a"))
    assert root() == tmp_path / "a"
    assert root("b") == tmp_path / "b"


def test_a_finished_run_lies_in_its_place_with_the_hash_of_every_file(store):
    path = keep(store, "20260201T031500Z-7f3a9c")
    assert path == store.root / "tiny_readout/%2e%2e%2f%41%20b/2026-01-31" / path.name
    manifest = json.loads((path / "manifest.json").read_text())
    assert sorted(manifest["artifacts"]) == ["readout.html", "readout.json"]
    assert all(len(sha) == 64 for sha in manifest["artifacts"].values())
    assert list((store.root / ".staging").iterdir()) == []
    assert [p for p, _ in store.runs()] == [path]
    assert store.find(path.name) == store.find("7f3a9c") == path
    assert store.find("000000") is None
    assert store.find("") is None


def test_a_folder_without_a_manifest_is_no_run(store):
    path = keep(store, "20260201T031500Z-7f3a9c")
    (path / "manifest.json").unlink()
    assert list(store.runs()) == []


def test_latest_never_goes_back_to_an_earlier_day(store):
    assert store.latest("tiny_readout", "../A b") is None
    keep(store, "20260201T000000Z-000001")
    assert store.point(KEY, "20260201T000000Z-000001")
    earlier = Key(readout=KEY.readout, subject=KEY.subject, as_of=date(2026, 1, 30))
    keep(store, "20260202T000000Z-000002", key=earlier)
    assert not store.point(earlier, "20260202T000000Z-000002")
    held = store.latest("tiny_readout", "../A b")
    assert held["run_id"] == "20260201T000000Z-000001"
    assert held["as_of"] == "2026-01-31"
    assert held["path"] == "2026-01-31/20260201T000000Z-000001"
    assert len(held["sha256"]) == 64
    again = keep(store, "20260203T000000Z-000003")
    assert store.point(KEY, again.name)
    assert store.latest("tiny_readout", "../A b")["folder"] == str(again)


def test_only_one_may_run_the_same_thing_at_a_time(store):
    with store.lock(KEY):
        with (
            pytest.raises(Busy, match="being run by another") as info,
            store.lock(KEY, wait=0.15),
        ):
            pass
        assert info.value.code == "lock_held"
        other = Key(readout=KEY.readout, subject="b", as_of=DAY)
        with store.lock(other):
            pass
    with store.lock(KEY):
        pass


def test_an_answered_question_is_found_only_if_it_still_is_whole(store):
    path = keep(store, "20260201T000000Z-000001", run_key="k1")
    keep(store, "20260201T000000Z-000002", run_key="k2", status="failed")
    assert store.succeeded(KEY, "k1") == path
    assert store.succeeded(KEY, "k2") is None
    assert store.succeeded(KEY, "k3") is None
    (path / "readout.json").write_text("{ }")
    assert store.succeeded(KEY, "k1") is None


def test_what_was_not_finished_says_whose_it_was(store):
    store.open_staging("20260201T000000Z-000001", {"pid": 7})
    assert list(store.staged()) == [("20260201T000000Z-000001", {"pid": 7})]


def test_a_file_is_whole_or_as_it_was(tmp_path, monkeypatch):
    file = tmp_path / "a" / "f.json"
    write_file(file, "old")

    def fail(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_file(file, "new")
    assert file.read_text() == "old"
    assert list(file.parent.iterdir()) == [file]
