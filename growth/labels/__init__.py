"""Every word a reader sees, in each language; the code holds only keys."""

from __future__ import annotations

import tomllib
from contextvars import ContextVar
from functools import cache
from importlib.resources import files
from typing import Final, Literal, get_args

from growth.errors import ParameterError, suggest

__all__ = [
    "LANG",
    "Lang",
    "column",
    "has",
    "label",
    "table",
    "use_lang",
    "valued",
    "worded",
]

Lang = Literal["en", "zh"]
LANG: Final[ContextVar[Lang]] = ContextVar("growth.lang", default="en")


def use_lang(lang: Lang) -> None:
    """Show labels in `lang` from here on.

    Parameters
    ----------
    lang : {"en", "zh"}
        The language; it holds for the current context (thread or task).

    Raises
    ------
    ParameterError
        If there are no labels in `lang` (code ``unknown_lang``).
    """
    table(lang)
    LANG.set(lang)


@cache
def table(lang: Lang) -> dict[str, str]:
    """Return every label of one language, by dotted key.

    Parameters
    ----------
    lang : {"en", "zh"}
        The language.

    Returns
    -------
    dict of str to str
        Words, with `{}` fields where a value goes.

    Raises
    ------
    ParameterError
        If there are no labels in `lang` (code ``unknown_lang``).
    """
    if lang not in (known := get_args(Lang)):
        msg = f"lang is {lang!r}; it must be one of {list(known)}; choose one of those."
        raise ParameterError(msg + suggest(str(lang), known), code="unknown_lang")
    text = files("growth.labels").joinpath(f"{lang}.toml").read_text("utf-8")
    return {key: str(words) for key, words in tomllib.loads(text)["labels"].items()}


def has(key: str) -> bool:
    """Return whether there are words for `key`."""
    return key in table("en")


def label(key: str, lang: Lang | None = None, /, **fields: str) -> str:
    """Return the words for `key`, its `{}` fields filled.

    Parameters
    ----------
    key : str
        A dotted name.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.
    **fields : str
        What to fill in, already written for people.

    Returns
    -------
    str
        The words, not escaped.

    Raises
    ------
    KeyError
        If there are no words for `key`: a defect of ours.
    """
    return table(lang or LANG.get())[key].format(**fields)


def valued(name: str, value: str, lang: Lang | None = None) -> str:
    """Return the words for a column's value; one that has none is itself.

    Parameters
    ----------
    name, value : str
        The column, and what stands in it: ``entry_group``, ``scan_code``.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    str
        The words, not escaped.
    """
    key = f"value.{name}.{value}"
    return label(key, lang) if has(key) else value


def column(name: str, lang: Lang | None = None) -> str:
    """Return the words for a column; one named by the user keeps its name.

    Parameters
    ----------
    name : str
        The column.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    str
        The words, not escaped.
    """
    key = f"column.{name}"
    return label(key, lang) if has(key) else name


def worded(key: str, lang: Lang | None = None, /, **fields: str) -> str:
    """Return the words for a key that may be somebody else's or a later version's.

    Parameters
    ----------
    key : str
        A dotted name.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.
    **fields : str
        What to fill in, already written for people.

    Returns
    -------
    str
        The words, not escaped; without any, the key's last part stands for itself.

    Examples
    --------
    >>> worded("check.state.ok", "en"), worded("my.room.too_few", "en")
    ('passed', 'too few')
    """
    if has(key):
        return label(key, lang, **fields)
    return key.rpartition(".")[2].replace("_", " ")
