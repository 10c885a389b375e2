"""What the page calls tags, their values, segments and members' columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from growth.labels import LANG, column, has, valued

if TYPE_CHECKING:
    from collections.abc import Mapping

    from growth.labels import Lang
    from growth.readout.catalog import SegmentsParams
    from growth.segments import Rules, Tag

__all__ = [
    "ABOUT",
    "MEMBER_COLUMNS",
    "named",
    "segment_words",
    "value_words",
]

ABOUT: Final = "about_members"  # a tag that only carries members' columns
MEMBER_COLUMNS: Final = ("gender", "platform", "channel")
MEMBER_VALUES: Final = (
    *("f", "m", "ios", "android", "ohos", "windows", "mac", "devtools"),
    *("organic", "share", "kol", "moments_ads", "oa_advertorial"),
)  # that have words of their own


def value_words(one: Tag, lang: Lang | None = None) -> dict[str, str]:
    """Return what the values of a tag are called.

    Parameters
    ----------
    one : Tag
        The tag.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    dict of str to str
        By value.
    """
    return one.words(lang or LANG.get())


def named(rules: Rules, lang: Lang | None = None) -> dict[str, str]:
    """Return what tags, their values and members' columns are called.

    Parameters
    ----------
    rules : Rules
        The tags.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    dict of str to str
        By tag, by ``tag=value``, and by the column that carries what is known of
        members.
    """
    told = {}
    for one in rules:
        told[one.name] = dict(one.title).get(lang or LANG.get(), one.name)
        words = value_words(one, lang)
        told |= {f"{one.name}={value}": word for value, word in words.items()}
    for name in MEMBER_COLUMNS:
        told[f"{ABOUT}__{name}"] = column(name, lang)
        for value in MEMBER_VALUES:
            if has(f"value.{name}.{value}"):
                told[f"{ABOUT}__{name}={value}"] = valued(name, value, lang)
    return told


def segment_words(
    rules: Rules, params: SegmentsParams, lang: Lang | None = None
) -> Mapping[str, str]:
    """Return what the segments laid over each other are called.

    Parameters
    ----------
    rules : Rules
        The tags.
    params : SegmentsParams
        What was asked.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    mapping of str to str
        By ``tag=value``.
    """
    pairs = [(params.tag, params.value), *params.overlapping()]
    words = named(rules, lang)
    return {f"{t}={v}": words.get(f"{t}={v}", v) for t, v in pairs}
