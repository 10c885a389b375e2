"""What leaves: pseudonyms of the recipient's own, nothing a spreadsheet would run."""

import csv
import hmac
import io
import json
import shutil
import subprocess
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from growth.errors import (
    ColumnNotFoundError,
    DataError,
    ParameterError,
    SecretMissingError,
)
from growth.segments import Tag, Value, count, export, rules_of
from growth.segments.audit import read_audit
from growth.segments.export import safe_text

KEY = "k" * 32


def listed(users=60, **columns):
    return pa.table({"user_id": [f"u{i:03}" for i in range(users)]} | columns)


def test_a_list_of_three_people_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds 3 users") as info:
        export(listed(3), tmp_path / "x.csv", purpose="wake up")
    assert info.value.code == "segment_too_small"
    assert list(tmp_path.iterdir()) == []
    assert export(listed(3), tmp_path / "x.csv", purpose="p", min_size=1).users == 3


@pytest.mark.parametrize("least", [0, -1, float("nan"), 1.5, "50", None])
def test_the_least_size_cannot_be_argued_away(least, tmp_path):
    with pytest.raises(ParameterError, match="min_size is") as info:
        export(listed(3), tmp_path / "x.csv", purpose="p", min_size=least)
    assert info.value.code == "bad_limit"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("days", [0, -30, 10**12, float("nan")])
def test_a_list_is_to_be_deleted_one_day(days, tmp_path):
    with pytest.raises(ParameterError, match="expires_days is"):
        export(listed(60), tmp_path / "x.csv", purpose="p", expires_days=days)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@x", "'@x"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_text_that_a_spreadsheet_would_run_is_made_safe(text, safe, tmp_path):
    assert safe_text(text) == safe
    table = listed(60, note=[text] * 60, n=[-5] * 60)
    found = export(table, tmp_path / "x.csv", purpose="p", columns=["note", "n"])
    rows = list(csv.reader(io.StringIO((tmp_path / "x.csv").read_bytes().decode())))
    assert rows[0] == ["user_id", "note", "n"]
    assert rows[1][1:] == [safe, "-5"]  # a number stays a number
    assert found.escaped == (60 if safe != text else 0)


def test_lines_end_as_the_standard_says_and_quotes_are_doubled(tmp_path):
    table = listed(60, note=['a "b", c\nd'] * 60)
    export(table, tmp_path / "x.csv", purpose="p", columns=["note"], bom=True)
    body = (tmp_path / "x.csv").read_bytes()
    assert body.startswith(b"\xef\xbb\xbfuser_id,note\r\n")
    assert b'"a ""b"", c\nd"\r\n' in body


def test_two_recipients_cannot_join_their_lists(tmp_path, monkeypatch):
    monkeypatch.setenv("GROWTH_EXPORT_KEY", KEY)
    ids = {}
    for recipient in ("agency", "bank"):
        path = tmp_path / f"{recipient}.parquet"
        found = export(listed(), path, purpose="p", recipient=recipient)
        assert found.verdict == "segments.export.rekeyed"
        ids[recipient] = set(pq.read_table(path)["user_id"].to_pylist())
    assert len(ids["agency"]) == len(ids["bank"]) == 60
    assert not ids["agency"] & ids["bank"]
    assert not ids["agency"] & set(listed()["user_id"].to_pylist())
    assert all(len(one) == 32 for one in ids["agency"])


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_two_recipients_cannot_join_by_row_number(suffix, tmp_path, monkeypatch):
    monkeypatch.setenv("GROWTH_EXPORT_KEY", KEY)
    people = {}
    for recipient in ("agency", "bank"):
        path = tmp_path / f"{recipient}.{suffix}"
        table = listed(note=[f"n{i:03}" for i in range(60)])
        export(table, path, purpose="p", recipient=recipient, columns=["note"])
        if suffix == "csv":
            _, *rows = csv.reader(path.read_text("utf-8").splitlines())
        else:
            rows = [list(row.values()) for row in pq.read_table(path).to_pylist()]
        assert [one for one, _ in rows] == sorted(one for one, _ in rows)
        for one, note in rows:  # what else is known of a user stays with the user
            said = f"{recipient}|u{note[1:]}".encode()
            assert one == hmac.digest(KEY.encode(), said, "sha256").hex()[:32]
        people[recipient] = [note for _, note in rows]
    pairs = zip(people["agency"], people["bank"], strict=True)
    assert sum(a == b for a, b in pairs) < 10
    assert sorted(people["agency"]) == sorted(people["bank"])


@pytest.mark.parametrize("missing", [[None], [None, None]])
def test_nobody_is_not_on_a_list(missing, tmp_path, monkeypatch):
    monkeypatch.setenv("GROWTH_EXPORT_KEY", KEY)
    table = pa.table({"user_id": [*(f"u{i}" for i in range(60)), *missing]})
    said = f"NULL in {len(missing)} of {60 + len(missing)} rows.*filter"
    with pytest.raises(DataError, match=said) as info:
        export(table, tmp_path / "x.csv", purpose="p", recipient="agency")
    assert info.value.code == "null_key"
    assert list(tmp_path.iterdir()) == []


def test_rows_of_one_user_do_not_make_a_list_large_enough(tmp_path):
    table = pa.table({"user_id": ["u1"] * 60})
    with pytest.raises(DataError, match=r"60 rows of 1 users.*one row a user") as info:
        export(table, tmp_path / "x.csv", purpose="p")
    assert info.value.code == "repeated_user"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("columns", [["user_id"], ["tier", "tier"]])
def test_a_column_is_written_once(columns, tmp_path):
    table = listed(60, tier=[1] * 60)
    with pytest.raises(ParameterError, match=f"names '{columns[0]}'.*leave") as info:
        export(table, tmp_path / "x.csv", purpose="p", columns=columns)
    assert info.value.code == "repeated_column"


@pytest.mark.parametrize("key", [None, "short"])
def test_a_recipient_needs_a_key(key, tmp_path, monkeypatch):
    monkeypatch.delenv("GROWTH_EXPORT_KEY", raising=False)
    if key:
        monkeypatch.setenv("GROWTH_EXPORT_KEY", key)
    with pytest.raises(SecretMissingError, match="openssl rand"):
        export(listed(), tmp_path / "x.csv", purpose="p", recipient="agency")


@pytest.mark.parametrize("raw", ["o" + "A" * 27, "13800138000", "+8613800138000"])
def test_raw_identifiers_do_not_leave(raw, tmp_path):
    ids = [*(f"u{i}" for i in range(59)), raw]
    for table, columns in (
        (pa.table({"user_id": ids}), []),
        (listed(60, note=ids), ["note"]),
    ):
        with pytest.raises(DataError, match="openid or a mobile") as info:
            export(table, tmp_path / "x.csv", purpose="p", columns=columns)
        assert info.value.code == "raw_identifier"
        assert raw not in str(info.value)


def test_only_named_columns_leave(tmp_path):
    table = listed(60, tier=[1] * 60, phone_hash=["x"] * 60)
    export(table, tmp_path / "x.parquet", purpose="p", columns=["tier"])
    assert pq.read_table(tmp_path / "x.parquet").column_names == ["user_id", "tier"]
    with pytest.raises(ColumnNotFoundError, match=r"'teir'.*Did you mean 'tier'"):
        export(table, tmp_path / "y.csv", purpose="p", columns=["teir"])


def test_the_audit_says_why_and_never_who(tmp_path):
    rules = rules_of(Tag("t", [Value("x", count("orders") >= 1)]))
    path = tmp_path / "out" / "x.parquet"
    export(listed(), path, purpose="wake up march", rules=rules, as_of=date(2026, 3, 1),
           run="r1", audit=tmp_path)  # fmt: skip
    (line,) = read_audit(tmp_path)
    assert line["purpose"] == "wake up march"
    assert line["rule_hashes"] == rules.hashes()
    assert (line["rows"], line["columns"], line["run"]) == (60, ["user_id"], "r1")
    assert "u000" not in json.dumps(line)
    facts = json.loads(pq.read_schema(path).metadata[b"growth"])
    assert facts["as_of"] == "2026-03-01"
    assert facts["rule_hashes"] == rules.hashes()
    assert facts["expires"] == line["expires"]


@pytest.mark.parametrize("purpose", ["", "  ", None])
def test_a_purpose_is_required(purpose, tmp_path):
    with pytest.raises(ParameterError, match="what this is for") as info:
        export(listed(), tmp_path / "x.csv", purpose=purpose)
    assert info.value.code == "purpose_missing"


def test_a_file_says_its_format(tmp_path):
    with pytest.raises(ParameterError, match=r"\.csv or \.parquet") as info:
        export(listed(), tmp_path / "x.xlsx", purpose="p")
    assert info.value.code == "bad_format"


def test_a_spreadsheet_shows_the_text(tmp_path):
    if not (office := shutil.which("soffice")):
        pytest.skip("LibreOffice is not here")
    table = listed(60, note=["=1+1"] * 60)
    export(table, tmp_path / "x.csv", purpose="p", columns=["note"])
    subprocess.run(
        [office, "--headless", "--convert-to", "html", "--outdir", tmp_path,
         tmp_path / "x.csv"],
        check=True, capture_output=True,
    )  # fmt: skip
    assert "=1+1" in (tmp_path / "x.html").read_text("utf-8")


def test_one_column_is_not_read_letter_by_letter(tmp_path):
    rows = listed(60, city=["Kunming"] * 60)
    made = export(rows, tmp_path / "x.csv", purpose="p", columns="city")
    assert made.columns == ("user_id", "city")
