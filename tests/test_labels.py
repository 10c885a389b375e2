"""Both languages say the same things, with the same fields, in the same order."""

import re
import threading
import tomllib
from importlib.resources import files
from string import Formatter

import pytest

import growth
from growth.errors import ParameterError
from growth.labels import LANG, has, label, table

LANGS = ("en", "zh")
HAN = re.compile(r"[\u4e00-\u9fff]")


def placeholders(words):
    return {name for _, name, _, _ in Formatter().parse(words) if name is not None}


def test_both_languages_have_the_same_keys():
    en, zh = set(table("en")), set(table("zh"))
    assert sorted(en - zh) == []
    assert sorted(zh - en) == []


def test_both_languages_fill_the_same_fields():
    zh = table("zh")
    differing = [
        key
        for key, words in table("en").items()
        if placeholders(words) != placeholders(zh[key])
    ]
    assert differing == []


def test_fields_are_named():
    unnamed = [k for lang in LANGS for k, w in table(lang).items() if "{}" in w]
    assert unnamed == []


@pytest.mark.parametrize("lang", LANGS)
def test_keys_are_sorted_dotted_and_none_is_empty(lang):
    keys = list(table(lang))
    assert keys == sorted(keys)
    assert [k for k in keys if not re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+)+", k)] == []
    assert [k for k, words in table(lang).items() if words != words.strip()] == []
    assert [k for k, words in table(lang).items() if not words] == []


@pytest.mark.parametrize("lang", LANGS)
def test_the_file_holds_one_flat_table(lang):
    text = files("growth.labels").joinpath(f"{lang}.toml").read_text("utf-8")
    parsed = tomllib.loads(text)
    assert list(parsed) == ["labels"]
    assert all(isinstance(words, str) for words in parsed["labels"].values())


def test_english_words_are_english_and_chinese_words_use_chinese_punctuation():
    assert [k for k, words in table("en").items() if HAN.search(words)] == []
    half = re.compile(r"[\u4e00-\u9fff][,;:?!]|[,;:?!][\u4e00-\u9fff]")
    assert [k for k, words in table("zh").items() if half.search(words)] == []


def test_use_lang_changes_the_words():
    growth.use_lang("zh")
    assert label("column.estimate") == table("zh")["column.estimate"]
    assert label("column.estimate", "en") == table("en")["column.estimate"]
    assert table("zh")["column.estimate"] != table("en")["column.estimate"]


def test_a_language_holds_for_its_own_context_only():
    seen = []

    def other():
        seen.append(LANG.get())

    growth.use_lang("zh")
    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen == ["en"]


def test_an_unknown_language_is_refused_and_changes_nothing():
    with pytest.raises(ParameterError, match=r"lang is 'ehn'.*Did you mean") as info:
        growth.use_lang("ehn")
    assert info.value.code == "unknown_lang"
    assert LANG.get() == "en"


def test_a_label_that_is_not_there_is_a_defect():
    assert not has("column.no_such_thing")
    with pytest.raises(KeyError, match=r"column\.no_such_thing"):
        label("column.no_such_thing")
