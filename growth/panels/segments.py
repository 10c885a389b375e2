"""The rule builder: write a tag, watch who it takes, and who it took before."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import ipywidgets as widgets

from growth import charts, segments
from growth.engine import fetch
from growth.labels import LANG, label
from growth.panels.reader import Reader, choice, slider
from growth.readout.catalog import SegmentsParams

if TYPE_CHECKING:
    from datetime import date

    from growth.dataset import Dataset
    from growth.labels import Lang

__all__ = ["builder"]

FILE: Final = "tags.toml"  # what the readout below is given for rules written here
MIN_SIZE: Final = 50
MIN_CELL: Final = 10


def builder(dataset: Dataset, *, as_of: date, lang: Lang | None = None) -> Reader:
    """Write rules and watch the sizes they give.

    Parameters
    ----------
    dataset : Dataset
        With the tables its rules read.
    as_of : date
        The last day counted.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Reader
        `controls` (pack, text, back, min_size), `result` (as `segments.sizes` of the
        first tag of the text) and `charts` (sizes, moves). The text is the rules as
        TOML, to be edited and kept. Groups of fewer than 50 are never shown.

    Raises
    ------
    ParameterError
        If the dataset has the tables of no pack (code ``no_tags``).
    """
    there = [n for n in segments.packs.NAMES if _fits(dataset, n)]
    if not there:
        SegmentsParams(data=str(dataset.location), name="x", as_of=as_of).declared(())
    pack = choice("panel.pack", [(_title(n, lang), n) for n in there], lang)
    text = widgets.Textarea(
        value=segments.packs.load(pack.value),
        continuous_update=False,
        layout={"width": "100%", "height": "260px"},
    )
    pack.observe(
        lambda event: setattr(text, "value", segments.packs.load(event["new"])),
        names="value",
    )
    controls = {
        "pack": pack,
        "back": slider("panel.back_days", 28, 1, 180, lang),
        "min_size": slider("panel.min_size", MIN_SIZE, MIN_SIZE, 1000, lang),
        "text": text,
    }
    beside: dict[segments.Sizes, segments.Movement] = {}
    words: dict[str, str] = {}

    def measure(asked: dict[str, Any]) -> segments.Sizes:
        rules = segments.load_rules(asked["text"])
        one = rules[rules.names[0]]
        words.update(one.words(lang or LANG.get()))
        least = max(asked["min_size"], MIN_SIZE)
        first = as_of - timedelta(days=asked["back"])
        context = segments.freeze(dataset, rules, as_of=as_of)

        def at(day: date, also: list[str]) -> tuple[Any, segments.Sizes]:
            told = segments.tag(dataset, rules, as_of=day, context=context)
            tagged = fetch(told, "tagging users")
            return tagged, segments.sizes(
                tagged,
                one.name,
                values=one.names,
                as_of=day,
                min_size=least,
                also_hide=also,
            )

        then, before = at(first, [])
        now, sizes = at(as_of, _hidden(before))
        beside[sizes] = segments.movement(
            then,
            now,
            one.name,
            values=one.names,
            first=first,
            second=as_of,
            k=MIN_CELL,
            min_size=least,
            also_hide=(_hidden(before), _hidden(sizes)),
        )
        return sizes

    def draw(result: segments.Sizes) -> list[Any]:
        own = charts.segments
        return [
            own.sizes_chart(result, words=words, lang=lang),
            own.movement_chart(beside[result], words=words, lang=lang),
        ]

    def params(asked: dict[str, Any]) -> SegmentsParams:
        rules = segments.load_rules(asked["text"])
        plain = asked["text"] == segments.packs.load(asked["pack"])
        tag = rules.names[0]
        return SegmentsParams(
            data=str(dataset.location),
            name=tag,
            as_of=as_of,
            lang=lang or "en",
            rules=None if plain else FILE,
            packs=asked["pack"],
            tag=tag,
            value=rules[tag].names[0],
            back_days=asked["back"],
            min_size=asked["min_size"],
        )

    return Reader(controls, measure, draw, params, lang)


def _fits(dataset: Dataset, pack: str) -> bool:
    return all(dataset.has(name) for name in segments.packs.tables(pack))


def _title(pack: str, lang: Lang | None) -> str:
    rules = segments.packs.rules(pack)
    titles = (dict(one.title).get(lang or LANG.get(), one.name) for one in rules)
    return label("panel.pack.named", lang, pack=pack, titles=" · ".join(titles))


def _hidden(sizes: segments.Sizes) -> list[str]:
    return [cell.value for cell in sizes.cells if cell.users is None]
