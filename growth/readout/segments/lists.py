"""Sizes, moves, differences and channels, each as a table; overlaps as lines."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from growth.charts.figures import (
    amount,
    count,
    difference,
    difference_interval,
    percent,
    times,
)
from growth.charts.intervals import Interval
from growth.charts.segments import trait_words
from growth.labels import column, label
from growth.readout.blocks import Block, Row, data_table, finding, interval_table
from growth.readout.segments.watched import cell_of
from growth.readout.segments.words import (
    named,
    segment_words,
    value_words,
)

if TYPE_CHECKING:
    from growth.labels import Lang
    from growth.readout.catalog import SegmentsParams
    from growth.readout.segments.asked import Found
    from growth.segments import Movement

__all__ = [
    "moves_table",
    "overlap_note",
    "profile_table",
    "reach_table",
    "sizes_table",
    "wake_note",
]

MOVES: Final = 8  # of the table
LINES: Final = 10
DIGITS: Final = 1  # of shares and their changes
EVERYONE: Final = "segments_value_everyone"


def sizes_table(
    found: Found, params: SegmentsParams, *, lang: Lang | None = None
) -> Block:
    """Write how many have each value of every other tag, now and before.

    Parameters
    ----------
    found : Found
        What was found.
    params : SegmentsParams
        What was asked.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        A table a tag, that of the tag looked into first; hidden numbers say so.
    """
    order = sorted(found.sizes, key=lambda name: name != params.tag)
    tables = [_sizes_of(found, name, params, lang) for name in order]
    block = Block("")
    for table in tables:
        block += table
    return block


def moves_table(found: Found, *, lang: Lang | None = None) -> Block:
    """Write the largest moves from value to value, as shares of where they began.

    Parameters
    ----------
    found : Found
        What was found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        Up to 8 rows with their intervals; where nobody moved, that.
    """
    words = value_words(found.rules[found.movement.tag], lang)
    words["absent"] = label("chart.segments.left", lang)
    moved = [
        m
        for m in found.movement.moves
        if m.before != m.after and m.users and m.share is not None
    ]
    moved.sort(key=lambda m: -(m.users or 0))
    if not moved:
        return _note("segments.table.no_moves", lang)
    rows = [
        Row(
            Interval(
                label=f"{words[m.before]} → {words[m.after]}",
                value=m.share,
                lo=m.share_low,
                hi=m.share_high,
                unit="share",
                change=False,
            ),
            before=(count(m.users or 0),),
        )
        for m in moved[:MOVES]
    ]
    note = _stability(found.movement, lang)
    if found.movement.hidden:
        note += _note("segments.table.moves_hidden", lang)
    return note + interval_table(
        rows,
        caption=label("segments.table.moves", lang),
        first=label("segments.table.move", lang),
        before=(column("users", lang),),
        drawn=label("segments.table.share_of_before", lang),
        lang=lang,
    )


def profile_table(found: Found, *, lang: Lang | None = None) -> Block:
    """Write what is different about the segment, against everybody else.

    Parameters
    ----------
    found : Found
        What was found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        The lines of the smallest p-values; where there is none, why.
    """
    if found.profile is None:
        return _note("segments.profile.hidden", lang)
    if not found.profile.lines:
        return _note(found.profile.verdict, lang)
    words = named(found.rules, lang)
    heads = {
        "trait": label("segments.table.trait", lang),
        "segment": label("segments.table.segment", lang),
        "rest": label("segments.table.rest", lang),
        "difference": label("segments.table.difference", lang),
        "ends": label("segments.table.interval", lang),
        "differs": label("segments.table.differs", lang),
    }
    rows = []
    for line in found.profile.lines[:LINES]:
        unit = "share" if line.level is not None else _unit(line.feature)
        written = percent if line.level is not None else partial(amount, unit=unit)
        ends = difference_interval(line.low, line.high, unit, digits=DIGITS, lang=lang)
        gap = difference(line.difference, unit, digits=DIGITS, lang=lang)
        rows.append(
            {
                "trait": trait_words(line, words, lang),
                "segment": written(line.segment),
                "rest": written(line.rest),
                "difference": gap,
                "ends": ends,
                "differs": label(f"segments.word.{_word(line.differs)}", lang),
            }
        )
    return data_table(heads, rows, caption=label("segments.table.profile", lang))


def overlap_note(
    found: Found, params: SegmentsParams, *, lang: Lang | None = None
) -> Block:
    """Say how far the segments lie over each other.

    Parameters
    ----------
    found : Found
        What was found.
    params : SegmentsParams
        What was asked.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        A row each other segment: how many of the one looked into it holds.
    """
    if found.overlap is None:
        part = "overlap.none_named" if found.profile else "profile.hidden"
        return _note(f"segments.{part}", lang)
    own = found.overlap.segments[0]
    words = segment_words(found.rules, params, lang)
    whole = dict(found.overlap.sizes)[own] or 0
    rows = [
        {
            "other": words[pair.other],
            "users": count(pair.users),
            "share": percent(pair.users / whole),
            "lift": times(pair.lift),
            "jaccard": times(pair.jaccard),
        }
        for pair in found.overlap.pairs
        if own == pair.one and pair.users and whole
    ]
    block = finding(label(found.overlap.verdict, lang), [])
    if not rows:
        return block
    heads = {
        "other": label("segments.table.other", lang),
        "users": label("segments.table.both", lang),
        "share": label("segments.table.share_of", lang, segment=words[own]),
        "lift": label("segments.table.lift", lang),
        "jaccard": label("segments.table.jaccard", lang),
    }
    caption = label("segments.table.overlap", lang, segment=words[own])
    return block + data_table(heads, rows, caption=caption)


def reach_table(found: Found, *, lang: Lang | None = None) -> Block:
    """Write by channel how many may be reached, and why others not.

    Parameters
    ----------
    found : Found
        What was found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        A row a channel and reason; without a ledger of messages, that.
    """
    if found.reach is None:
        part = "reach.no_messages" if found.profile else "profile.hidden"
        return _note(f"segments.{part}", lang)
    hidden = label("chart.segments.hidden", lang)
    rows = [
        {
            "channel": label(f"segments.channel.{cell.channel}", lang),
            "reason": label(f"segments.reason.{cell.reason}", lang),
            "users": hidden if cell.users is None else count(cell.users),
            "left": "" if not cell.messages_left else count(cell.messages_left),
        }
        for cell in found.reach.cells
    ]
    heads = {
        "channel": label("segments.table.channel", lang),
        "reason": label("segments.table.reason", lang),
        "users": column("users", lang),
        "left": label("segments.table.left", lang),
    }
    words = label("segments.table.reach", lang)
    return data_table(heads, rows, caption=words, fold=words)


def wake_note(found: Found, *, lang: Lang | None = None) -> Block:
    """Say whom to wake first, and that half are to be kept back.

    Parameters
    ----------
    found : Found
        What was found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        A line and how an effect would be known; nothing without such a tag.
    """
    if "wake_up" not in found.sizes:
        return Block("")
    cell = cell_of(found.sizes["wake_up"], "call_now")
    users = label("chart.segments.hidden", lang)
    if cell.users is not None:
        users = count(cell.users)
    said = label("segments.wake.call_now", lang, users=users)
    return finding(said, [label("segments.wake.hold_out", lang)])


def _stability(moved: Movement, lang: Lang | None) -> Block:
    if moved.unchanged_rate is None:
        return Block("")
    said = label(
        "segments.table.stability",
        lang,
        unchanged=percent(moved.unchanged_rate),
        kappa=times(moved.kappa),
        psi=times(moved.psi),
    )
    return Block.of("p", said, kind="note")


def _note(key: str, lang: Lang | None) -> Block:
    return Block.of("p", label(key, lang), kind="note")


def _sizes_of(
    found: Found, name: str, params: SegmentsParams, lang: Lang | None
) -> Block:
    words = value_words(found.rules[name], lang)
    hidden = label("chart.segments.hidden", lang)
    then = {cell.value: cell for cell in found.before[name].cells}
    # nothing was known of anybody then: members are read as of their own date
    known = all(n.code != EVERYONE for n in found.before[name].notices)
    rows = []
    for cell in found.sizes[name].cells:
        old = then.get(cell.value)
        change = ""
        if known and cell.share is not None and old and old.share is not None:
            gap = cell.share - old.share
            change = difference(gap, "share", digits=DIGITS, lang=lang)
        rows.append(
            {
                "value": words.get(cell.value, cell.value),
                "users": hidden if cell.users is None else count(cell.users),
                "share": "" if cell.share is None else percent(cell.share),
                "change": change,
            }
        )
    heads = {
        "value": label("segments.table.value", lang),
        "users": column("users", lang),
        "share": label("segments.table.share", lang),
        "change": label("segments.table.since", lang, day=params.first.isoformat()),
    }
    title = named(found.rules, lang)[name]
    fold = "" if name == params.tag else title
    return data_table(heads, rows, caption=title, fold=fold)


def _unit(feature: str) -> str:
    return "fen" if feature.endswith("_fen") else "count"


def _word(differs: bool | None) -> str:  # noqa: FBT001
    return "untested" if differs is None else "yes" if differs else "no"
