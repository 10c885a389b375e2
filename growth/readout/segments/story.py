"""The top of the page, its checks and its charts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from growth.charts import segments as pictures
from growth.charts.figures import count, difference, listed, percent, times
from growth.charts.segments import trait_words
from growth.labels import label
from growth.readout.blocks import Block, Check, State, Tile, check_list, headline
from growth.readout.segments.watched import cell_of
from growth.readout.segments.words import (
    named,
    segment_words,
    value_words,
)
from growth.readout.trust import noticed, rows_check
from growth.result import Notice

if TYPE_CHECKING:
    import altair as alt

    from growth.dataset import Dataset
    from growth.labels import Lang
    from growth.readout.catalog import SegmentsParams
    from growth.readout.segments.asked import Found
    from growth.segments import Rules
    from growth.segments.profile import Line

__all__ = ["checks", "drawings", "summary"]

QUIET: Final = ("segments_value_empty",)  # a table of zeros says it
CIRCULAR: Final = "segments_defines_segment"


def summary(found: Found, params: SegmentsParams, *, lang: Lang | None = None) -> Block:
    """Say how many have the value looked into, and what came of them.

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
        A line, its reasons, and up to four numbers.
    """
    words = value_words(found.rules[params.tag], lang)
    value = words[params.value]
    cell, earlier = (cell_of(one[params.tag], params.value)
                     for one in (found.sizes, found.before))  # fmt: skip
    said = label("segments.headline.hidden", lang, value=value)
    if cell.users is not None:
        said = label(
            "segments.headline.share",
            lang,
            share=percent(cell.share),
            own=count(cell.users),
            users=count(found.sizes[params.tag].users),
            value=value,
        )
    reasons = []
    if cell.users is not None and earlier.users is not None:
        reasons.append(
            label(
                "segments.headline.before",
                lang,
                first=params.first.isoformat(),
                share=percent(earlier.share),
                change=difference(
                    (cell.share or 0.0) - (earlier.share or 0.0),
                    "share",
                    digits=1,
                    lang=lang,
                ),
            )
        )
    reasons.append(label(found.movement.verdict, lang))
    more = next((x for x in _lines(found) if _tells(x, found.rules)), None)
    if more is not None:
        reasons.append(
            label(
                "segments.headline.more",
                lang,
                trait=trait_words(more, named(found.rules, lang), lang),
                lift=times(more.lift),
                segment=percent(more.segment),
                rest=percent(more.rest),
            )
        )
    question = label(
        "segments.headline.question", lang, day=params.as_of.isoformat(), value=value
    )
    tiles = [Tile(label("column.users", lang), count(found.sizes[params.tag].users))]
    if cell.users is not None:
        tiles.append(Tile(value, count(cell.users), percent(cell.share)))
    if found.movement.unchanged_rate is not None:
        days = label("segments.tile.days", lang, days=str(params.back_days))
        kept = percent(found.movement.unchanged_rate)
        tiles.append(Tile(label("segments.tile.unchanged", lang), kept, days))
    if (
        found.reach is not None
        and found.reach.reachable is not None
        and found.reach.users
    ):
        share = percent(found.reach.reachable / found.reach.users)
        under = label("segments.tile.of", lang, value=value)
        tiles.append(Tile(label("segments.tile.reachable", lang), share, under))
    return headline(params.name, question, said, reasons, tiles, tone="a")


def checks(
    opened: Dataset,
    found: Found,
    params: SegmentsParams,
    *,
    lang: Lang | None = None,
) -> Block:
    """List what the numbers rest on, and what is kept back.

    Parameters
    ----------
    opened : Dataset
        Its account of the rows.
    found : Found
        What was found.
    params : SegmentsParams
        The limits.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        Warnings first.
    """
    lines = rows_check(opened.load_report, lang=lang)
    hidden = sum(getattr(one, "hidden", 0) for one in found.everything())
    lines.append(
        Check(
            "ok",
            label("segments.check.small", lang),
            label(
                "segments.check.small.found",
                lang,
                hidden=count(hidden),
                size=count(params.min_size),
                cell=count(params.min_cell),
            ),
        )
    )
    names = named(found.rules, lang)
    hashes = listed(
        (f"{names[k]} {v[:8]}" for k, v in found.rules.hashes().items()), lang=lang
    )
    lines.append(Check("info", label("segments.check.rules", lang), hashes))
    if found.context.yards:
        day = found.context.as_of.isoformat()
        told = label("segments.check.yardsticks.found", lang, day=day)
        lines.append(Check("info", label("segments.check.yardsticks", lang), told))
    if found.left_out:
        told = ", ".join(found.left_out)
        lines.append(Check("warn", label("segments.check.left_out", lang), told))
    return check_list(lines + _remarks(found, lang), lang=lang)


def drawings(
    found: Found, params: SegmentsParams, *, lang: Lang | None = None
) -> dict[str, alt.LayerChart]:
    """Return the run's charts by the name of their files.

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
    dict of str to altair.LayerChart
        ``sizes``, ``movement``, ``profile``; ``overlap``, ``lifecycle`` and ``reach``
        where there is such a result.
    """
    one = found.rules[params.tag]
    words, names = value_words(one, lang), named(found.rules, lang)
    title = label("chart.segments.sizes", lang, tag=names[params.tag])
    charts = {
        "sizes": pictures.sizes_chart(
            found.sizes[params.tag], words=words, title=title, lang=lang
        ),
        "movement": pictures.movement_chart(found.movement, words=words, lang=lang),
    }
    if found.trend:
        own = value_words(found.rules["lifecycle"], lang)
        if any(one.hidden for one in found.trend):  # shares say how much is hidden
            title = label("chart.segments.trend", lang, tag=names["lifecycle"])
            charts["lifecycle"] = pictures.trend_chart(
                found.trend, words=own, title=title, lang=lang
            )
        else:
            charts["lifecycle"] = pictures.lifecycle_chart(
                found.trend, words=own, lang=lang
            )
    if found.profile is not None and any(line.lift for line in _lines(found)):
        heading = label("chart.segments.profile", lang, segment=words[params.value])
        charts["profile"] = pictures.profile_chart(
            found.profile, words=names, title=heading, lang=lang
        )
    if found.overlap is not None:
        charts["overlap"] = pictures.upset_chart(
            found.overlap, words=segment_words(found.rules, params, lang), lang=lang
        )
    if found.reach is not None and found.reach.users:
        charts["reach"] = pictures.reach_chart(found.reach, lang=lang)
    return charts


def _tells(line: Line, rules: Rules) -> bool:
    """Return whether more of a segment have something; a default value is nothing."""
    if not line.differs or (line.lift or 0) <= 1:
        return False
    tag = line.feature
    return tag not in rules.names or rules[tag].default != line.level


def _lines(found: Found) -> tuple[Line, ...]:
    return found.profile.lines if found.profile is not None else ()


def _remarks(found: Found, lang: Lang | None) -> list[Check]:
    """Say what was noticed, tags and values by what readers call them."""
    names = named(found.rules, lang)
    circular = [
        names.get(str(value), str(value))
        for notice in found.notices
        if notice.code == CIRCULAR
        for _, value in notice.args
    ]
    said = []
    if circular:
        told = listed(circular, lang=lang)
        said.append(Check("info", label("segments.check.circular", lang), told))
    for notice in found.notices:
        if notice.code in (CIRCULAR, *QUIET):
            continue
        args = dict(notice.args)
        tag = args.get("tag")
        told_args = tuple(
            (key, names.get(f"{tag}={value}", names.get(str(value), value)))
            for key, value in notice.args
        )
        state: State = "warn" if notice.severity == "warning" else "info"
        words = noticed(Notice(notice.code, notice.severity, told_args), lang=lang)
        said.append(Check(state, words))
    return said
