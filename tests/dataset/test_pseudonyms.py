import json
import traceback

import pytest

from growth.dataset import pseudonym
from growth.dataset.pseudonyms import key_fingerprint, pseudonymiser
from growth.errors import ParameterError, SecretMissingError
from tests.dataset.fixtures import FIXTURES, KEY

GOLDEN = json.loads((FIXTURES / "identity" / "vectors.json").read_text("utf-8"))


def test_the_key_of_the_tests_is_the_vectors_key():
    assert GOLDEN["key"] == KEY


@pytest.mark.parametrize("case", GOLDEN["vectors"], ids=lambda case: case["kind"])
def test_known_ids_give_known_pseudonyms(case):
    made = pseudonym(case["raw_id"], kind=case["kind"], scope=case["scope"])
    assert made == case["user_id"]


@pytest.mark.parametrize("key", [None, "", "short", "x" * 31])
def test_a_missing_or_short_key_is_refused(monkeypatch, key):
    monkeypatch.delenv("GROWTH_ID_KEY")
    if key is not None:
        monkeypatch.setenv("GROWTH_ID_KEY", key)
    with pytest.raises(SecretMissingError, match="32 bytes or more; make one") as info:
        pseudonym("o1", kind="openid")
    assert info.value.code == "secret_missing"
    assert key_fingerprint() == ""


def test_32_bytes_count_bytes_not_letters(monkeypatch):
    monkeypatch.setenv("GROWTH_ID_KEY", "密" * 11)  # 33 bytes
    assert len(pseudonym("o1", kind="login")) == 32


def test_the_key_shows_nowhere(monkeypatch):
    secret = "s3cret-" * 5
    monkeypatch.setenv("GROWTH_ID_KEY", secret)
    make = pseudonymiser("login")
    try:
        make("raw", "a|b")
    except ParameterError as error:
        told = "".join(traceback.format_exception(error))
    assert "scope is 'a|b'" in told
    monkeypatch.setenv("GROWTH_ID_KEY", secret[:20])
    with pytest.raises(SecretMissingError, match="of 20 bytes") as info:
        pseudonym("o1", kind="openid")
    for text in (told, repr(make), str(info.value), key_fingerprint()):
        assert "s3cret" not in text


def test_another_key_makes_other_people(monkeypatch):
    before, mark = pseudonym("o1", kind="openid"), key_fingerprint()
    monkeypatch.setenv("GROWTH_ID_KEY", KEY[::-1])
    assert pseudonym("o1", kind="openid") != before
    assert key_fingerprint() != mark


@pytest.mark.parametrize(
    ("raw", "kwargs", "code", "message"),
    [
        ("o1", {"kind": "openId"}, "unknown_id_kind", "Did you mean 'openid'"),
        ("", {"kind": "openid"}, "bad_id", "it must be text of 1 or more"),
        (7, {"kind": "openid"}, "bad_id", "type int; it must be text"),
        ("o1", {"kind": "openid", "scope": "a|b"}, "bad_id", "an appid or '-'"),
        ("o1", {"kind": "openid", "scope": ""}, "bad_id", "an appid or '-'"),
    ],
)
def test_errors_say_what_was_seen(raw, kwargs, code, message):
    with pytest.raises(ParameterError, match=message) as info:
        pseudonym(raw, **kwargs)
    assert info.value.code == code
