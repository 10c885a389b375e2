"""The rule builder: write a tag, watch whom it takes, took before, and shares."""

from __future__ import annotations

from collections import OrderedDict
from datetime import timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

import ipywidgets as widgets

from growth import charts, segments
from growth.errors import GrowthError
from growth.labels import label
from growth.panels.reader import Reader, choice, choices, slider
from growth.readout.catalog import SegmentsParams
from growth.readout.segments.watched import (
    MANY,
    Watched,
    overlap_of,
    sizes_of,
    tagged,
    watch,
)
from growth.readout.segments.words import named, value_words
from growth.segments.sizes import MIN_CELL, MIN_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
    from datetime import date

    from growth.dataset import Dataset
    from growth.labels import Lang

__all__ = ["builder"]

FILE: Final = "tags.toml"  # what the readout below is given for rules written here
KEPT: Final = 4  # tables of rules that were written, beside one a pack

T = TypeVar("T")


class _Found(NamedTuple):
    """The sizes of one set of rules, and what is drawn beside them."""

    sizes: segments.Sizes
    movement: segments.Movement
    overlap: segments.Overlap | None
    words: Mapping[str, str]
    title: str
    pairs: Mapping[str, str]


def builder(dataset: Dataset, *, as_of: date, lang: Lang | None = None) -> Reader:
    """Write rules, and watch their sizes, their moves and whom they share.

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
        `controls` (pack, back, min_size, value, against, text), `result` (as
        `segments.sizes` of the first tag of the text) and `charts` (sizes, moves, and
        how `value` overlaps the segments of `against`). The text is the rules as TOML,
        to be edited and kept. Groups of fewer than 50 are never shown, nor what would
        give them back.

    Raises
    ------
    ParameterError
        If the dataset has the tables of no pack (code ``no_tags``).
    """
    there = [n for n in segments.packs.NAMES if _fits(dataset, n)]
    if not there:
        SegmentsParams(data=str(dataset.location), name="x", as_of=as_of).declared(())
    packs = {n: segments.packs.rules(n) for n in there}
    pack = choice("panel.pack", [(_title(n, lang), n) for n in there], lang)
    text = widgets.Textarea(
        value=segments.packs.load(pack.value),
        continuous_update=False,
        layout={"width": "100%", "height": "260px"},
    )
    value = choice("panel.value", [("", None)], lang)
    against = choices("panel.against", [], lang)

    def offer(_event: object = None) -> None:
        """Offer the values that the text has, and every other segment."""
        try:
            rules = segments.load_rules(text.value)
        except GrowthError:  # told by the reader; what was offered stays
            return
        _offer(
            value, [(w, v) for v, w in value_words(rules[rules.names[0]], lang).items()]
        )
        chosen = against.value
        _offer(against, [*_segments(rules, packs, lang)])
        _choose(against, chosen)

    pack.observe(
        lambda event: setattr(text, "value", segments.packs.load(event["new"])),
        names="value",
    )
    offer()
    _choose(against, _usual(there))
    text.observe(offer, names="value")
    controls = {
        "pack": pack,
        "back": slider("panel.back_days", 28, 1, 180, lang),
        "min_size": slider("panel.min_size", MIN_SIZE, MIN_SIZE, 1000, lang),
        "value": value,
        "against": against,
        "text": text,
    }
    made = _Builder(dataset, as_of, packs, lang)
    show = attrgetter("sizes")
    return Reader(controls, made.measure, made.draw, made.params, lang, show)


class _Kept(Generic[T]):
    """The last few things that were made, each by what it was made of."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._there: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what is there, or make it and let the oldest go."""
        if key not in self._there:
            self._there[key] = make()
        self._there.move_to_end(key)
        while len(self._there) > self._most:
            self._there.popitem(last=False)
        return self._there[key]


class _Builder:
    """What is asked of the rules that are written, kept while it may be asked again."""

    def __init__(
        self,
        dataset: Dataset,
        as_of: date,
        packs: Mapping[str, segments.Rules],
        lang: Lang | None,
    ) -> None:
        self._dataset, self._as_of, self._packs = dataset, as_of, packs
        self._lang: Lang | None = lang
        # limits are none of it: users are tagged once, and counted as they are asked
        self._tagged: _Kept[Any] = _Kept(KEPT + len(packs))
        self._contexts: _Kept[segments.Context] = _Kept(KEPT + len(packs))
        self._watched: _Kept[Watched] = _Kept(1)

    def measure(self, asked: dict[str, Any]) -> _Found:
        rules = segments.load_rules(asked["text"])
        one = rules[rules.names[0]]
        others = [_split(pair) for pair in asked["against"]]
        limits = {"min_size": max(asked["min_size"], MIN_SIZE), "min_cell": MIN_CELL}
        days = (self._as_of - timedelta(days=asked["back"]), self._as_of)

        def count() -> Watched:
            then, now = (self._table(rules, day) for day in days)
            return watch(then, now, rules, one.name, days=days, **limits)

        seen = self._watched.get((_mark(rules), days, limits["min_size"]), count)
        pairs = [(one.name, _value(one, asked)), *others]
        sizes = seen.sizes[one.name]
        wanted = [tag for tag, _ in others if tag not in rules.names]
        names = named(rules, self._lang)
        for pack in _packs_of(self._packs, wanted):
            seen = self._beside(seen, pack, limits["min_size"])
            names |= named(self._packs[pack], self._lang)
        return _Found(
            sizes,
            seen.movement,
            overlap_of(seen, pairs, **limits) if others else None,
            value_words(one, self._lang),
            label("chart.segments.sizes", self._lang, tag=names[one.name]),
            {f"{t}={v}": names.get(f"{t}={v}", v) for t, v in pairs},
        )

    def _table(self, rules: segments.Rules, day: date) -> Any:  # noqa: ANN401
        """Return everybody's tags at a date, by the yardstick of the last one."""
        mark = _mark(rules)

        def freeze() -> segments.Context:
            return segments.freeze(self._dataset, rules, as_of=self._as_of)

        def ask() -> Any:  # noqa: ANN401
            context = self._contexts.get(mark, freeze)
            return tagged(self._dataset, rules, as_of=day, context=context)

        return self._tagged.get((mark, day), ask)

    def _beside(self, seen: Watched, pack: str, min_size: int) -> Watched:
        """Add a pack's tags, which are asked for once, whatever is being written."""
        rules = self._packs[pack]
        there = set(seen.tagged.column_names) - {"user_id"}
        more = self._table(rules, self._as_of)
        more = more.drop_columns([n for n in more.column_names if n in there])
        sizes = {
            name: sizes_of(more, rules, name, as_of=self._as_of, min_size=min_size)
            for name in rules.names
            if name in more.column_names
        }
        both = seen.tagged.join(more, "user_id", join_type="full outer")
        return seen._replace(tagged=both, sizes=seen.sizes | sizes)

    def draw(self, found: _Found) -> list[Any]:
        own = charts.segments
        made = [
            own.sizes_chart(
                found.sizes, words=found.words, title=found.title, lang=self._lang
            ),
            own.movement_chart(found.movement, words=found.words, lang=self._lang),
        ]
        if found.overlap is not None:
            made.append(
                own.upset_chart(found.overlap, words=found.pairs, lang=self._lang)
            )
        return made

    def params(self, asked: dict[str, Any]) -> SegmentsParams:
        rules = segments.load_rules(asked["text"])
        plain = asked["text"] == segments.packs.load(asked["pack"])
        tag = rules.names[0]
        others = [_split(pair) for pair in asked["against"]]
        needed = dict.fromkeys(
            [asked["pack"], *_packs_of(self._packs, [t for t, _ in others])]
        )
        if not plain:  # a file of rules stands alone
            others = [(t, v) for t, v in others if t in rules.names]
        return SegmentsParams(
            data=str(self._dataset.location),
            name=tag,
            as_of=self._as_of,
            lang=self._lang or "en",
            rules=None if plain else FILE,
            packs=",".join(needed) if plain else asked["pack"],
            tag=tag,
            value=_value(rules[tag], asked),
            against=",".join(f"{t}:{v}" for t, v in others) or None,
            back_days=asked["back"],
            min_size=asked["min_size"],
        )


def _mark(rules: segments.Rules) -> tuple[str, ...]:
    """Return what rules mean, whatever their titles."""
    return tuple(rules.hashes().values())


def _value(one: segments.Tag, asked: Mapping[str, Any]) -> str:
    chosen = asked["value"]
    return chosen if chosen in one.names else one.names[0]


def _offer(control: Any, options: list[tuple[str, str]]) -> None:  # noqa: ANN401
    """Offer other options, if they are others; what is chosen stays if it can."""
    if list(control.options) != options:
        chosen = control.value
        control.options = options
        if any(chosen == one for _, one in options):
            control.value = chosen


def _choose(control: Any, pairs: Iterable[str]) -> None:  # noqa: ANN401
    known = {pair for _, pair in control.options}
    control.value = tuple(pair for pair in pairs if pair in known)


def _segments(
    own: segments.Rules, packs: Mapping[str, segments.Rules], lang: Lang | None
) -> Iterator[tuple[str, str]]:
    """Yield every segment but those of the tag that is written, by its words."""
    first = own.names[0]
    told: dict[str, segments.Tag] = {}
    names: dict[str, str] = {}
    for rules in (*packs.values(), own):
        told |= {one.name: one for one in rules}
        names |= named(rules, lang)
    for one in told.values():
        if one.name == first or len(one.names) > MANY:
            continue
        for value in one.names:
            words = label(
                "chart.segments.trait",
                lang,
                feature=names[one.name],
                level=names[f"{one.name}={value}"],
            )
            yield words, f"{one.name}:{value}"


def _usual(there: list[str]) -> tuple[str, ...]:
    """Return the segments that the readout overlaps with if it is not told."""
    usual = SegmentsParams.__dataclass_fields__["against"].default
    known = {tag for name in there for tag in segments.packs.rules(name).names}
    pairs = usual.split(",") if isinstance(usual, str) else []
    return tuple(pair for pair in pairs if _split(pair)[0] in known)


def _packs_of(packs: Mapping[str, segments.Rules], tags: list[str]) -> list[str]:
    return [name for name, rules in packs.items() if set(tags) & set(rules.names)]


def _split(pair: str) -> tuple[str, str]:
    tag, _, value = pair.partition(":")
    return tag, value


def _fits(dataset: Dataset, pack: str) -> bool:
    return all(dataset.has(name) for name in segments.packs.tables(pack))


def _title(pack: str, lang: Lang | None) -> str:
    rules = segments.packs.rules(pack)
    words = named(rules, lang)
    titles = " · ".join(words[name] for name in rules.names)
    return label("panel.pack.named", lang, pack=pack, titles=titles)
