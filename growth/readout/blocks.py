"""Pieces of a readout that a notebook shows and the page keeps: tables that draw.

A block is HTML and inline SVG, without script or outside request. It carries its
own few styles, so that it looks the same in JupyterLab; the page, which has them
already, takes them out again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from math import ceil
from typing import TYPE_CHECKING, Final, Literal
from unicodedata import east_asian_width

from growth.charts.figures import coverage
from growth.charts.intervals import Axis, Interval, axis_of
from growth.labels import label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    import numpy as np
    import numpy.typing as npt

    from growth.labels import Lang

__all__ = [
    "Block",
    "Check",
    "Row",
    "State",
    "Tile",
    "Tone",
    "check_list",
    "data_table",
    "decided",
    "finding",
    "headline",
    "interval_table",
    "raster",
    "styles",
    "tiled",
    "tone_of",
]

State = Literal["ok", "warn", "fail", "info"]
Tone = Literal["g", "a", "w", "b"]

DRAWN: Final = 300  # px of the drawn column, within its viewBox
PAD: Final = 18  # room for the words of a tick at the very end
GAP: Final = 4  # px between the words of two ticks, at least
# Colour of a decision by the last part of its verdict; its words say it too.
TONES: Final[Mapping[str, Tone]] = {
    "ship": "g", "ok": "g", "good": "g",
    "keep": "a",
    "iterate": "w", "wait": "w", "warn": "w", "few": "w",
    "invalid": "b", "fail": "b", "broken": "b",
}  # fmt: skip
TONE: Final = {"good": "g", "bad": "b", "ink": ""}


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of HTML that shows itself in a notebook; everything in it is escaped."""

    html: str

    def _repr_html_(self) -> str:
        return (
            f'<div class="growth"><style>{styles("block.css")}</style>{self.html}</div>'
        )

    @classmethod
    def of(cls, tag: str, text: str, *, kind: str = "") -> Self:
        """Return one element with a text in it, escaped."""
        mark = f' class="{escape(kind)}"' if kind else ""
        return cls(f"<{tag}{mark}>{escape(text)}</{tag}>")

    def __add__(self, other: Block) -> Block:
        """Return both pieces, one below the other."""
        return Block(self.html + other.html)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table that draws: words, an interval, more words.

    `said` replaces the number and its ends where there is no relative change.
    """

    interval: Interval
    note: str = ""
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    said: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Tile:
    """One of the few large numbers: what it is, the number, what is under it."""

    name: str
    number: str
    under: str = ""

    @classmethod
    def measured(
        cls,
        name: str,
        number: str,
        ends: str,
        *,
        level: float | None,
        lang: Lang | None = None,
    ) -> Self:
        """Return one with its interval under it, where it has one."""
        if not ends:
            return cls(name, number)
        known = "" if level is None else coverage(level)
        under = label("readout.tile.interval", lang, level=known, ends=ends)
        return cls(name, number, under.strip())


@dataclass(frozen=True, slots=True)
class Check:
    """One line of "Can it be trusted?": what was checked, and what was found."""

    state: State
    what: str
    found: str = ""


@cache
def styles(name: str) -> str:
    """Return one of the page's style sheets, in one line."""
    path = files("growth.readout").joinpath("template", name)
    return "".join(path.read_text("utf-8").splitlines())


def tone_of(verdict: str) -> Tone:
    """Return the colour of a verdict: ``abtest.decision.ship`` is good, ``g``.

    Parameters
    ----------
    verdict : str
        A label key.

    Returns
    -------
    {"g", "a", "w", "b"}
        By its last part: good, neutral, wait, bad; one that says none of these is
        neutral.
    """
    return TONES.get(verdict.rpartition(".")[2], "a")


def headline(
    title: str,
    question: str,
    decision: str,
    reasons: Sequence[str],
    tiles: Sequence[Tile],
    *,
    tone: Tone = "a",
) -> Block:
    """Open a readout: what was asked, what to do, why, on which numbers.

    Parameters
    ----------
    title, question : str
        Its heading and the line under it, which may be empty; escaped here.
    decision : str
        What to do, in a line somebody can forward.
    reasons : sequence of str
        Why, a line each.
    tiles : sequence of Tile
        Up to four numbers.
    tone : {"g", "a", "w", "b"}
        Colour of the decision: good, neutral, wait, bad; its words say it too.

    Returns
    -------
    Block
        Heading, decision and tiles.
    """
    ask = f'<p class="ask">{_unbroken(escape(question))}</p>' if question else ""
    return Block(
        f"<h1>{escape(title)}</h1>{ask}"
        + decided(decision, reasons, tone)
        + tiled(tiles)
    )


def _unbroken(text: str) -> str:
    """Keep a sign on the line of its yuan, and a date on one: a browser may break."""
    whole = re.sub(r"(?<=\d)-(?=\d)", "-\u2060", text)
    return whole.replace("−¥", "−\u2060¥").replace("+¥", "+\u2060¥")


def finding(words: str, notes: Sequence[str] = ()) -> Block:
    """Say what was found in a line, and below it what it rests on.

    Parameters
    ----------
    words : str
        The finding; escaped here.
    notes : sequence of str, optional
        A line each; escaped here.

    Returns
    -------
    Block
        One paragraph, and one a note.
    """
    return Block.of("p", words, kind="finding") + Block(
        "".join(Block.of("p", line, kind="note").html for line in notes)
    )


def decided(decision: str, reasons: Sequence[str], tone: Tone) -> str:
    """Return the HTML of a decision and its reasons."""
    lines = "".join(f"<li>{_unbroken(escape(line))}</li>" for line in reasons)
    return (
        f'<section class="decision {tone}"><strong>{escape(decision)}</strong>'
        f"{f'<ul>{lines}</ul>' if lines else ''}</section>"
    )


def tiled(tiles: Sequence[Tile]) -> str:
    """Return the HTML of a few large numbers; the empty text if there are none."""
    if not tiles:
        return ""
    cells = "".join(
        f"<div><span>{escape(tile.name)}</span><b>{escape(tile.number)}</b>"
        f"<span>{_unbroken(escape(tile.under))}</span></div>"
        for tile in tiles
    )
    return f'<section class="tiles">{cells}</section>'


def interval_table(
    rows: Sequence[Row],
    *,
    caption: str,
    first: str,
    before: Sequence[str] = (),
    drawn: str,
    after: Sequence[str] = (),
    left: int = 0,
    lang: Lang | None = None,
) -> Block:
    """Draw a table whose rows are intervals on one common axis.

    Parameters
    ----------
    rows : sequence of Row
        The rows, in reading order; each has as many `before` and `after` cells as
        there are heads. Texts are escaped here.
    caption : str
        What the table shows.
    first, drawn : str
        Heads of the row names and of the drawn column.
    before, after : sequence of str
        Heads of the cells left and right of the drawing.
    left : int, default 0
        How many of the `before` cells are words, not numbers.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        One table with a caption and ``scope`` on each head. The margin is a dotted
        line; an interval that clears zero has colour, a filled mark that points
        its way, and a word; the numbers stand beside the drawing.
    """
    axis = axis_of(row.interval for row in rows)
    kinds = ["" if i < left else "n" for i in range(len(before))]
    head = (
        _head(first)
        + "".join(map(_head, before, kinds))
        + f'<th scope="colgroup" colspan="2" role="columnheader">{escape(drawn)}</th>'
        + "".join(_head(text, "n") for text in after)
    )
    body = "".join(_row(row, axis, before, after, left, lang) for row in rows)
    foot = (
        f'<tr><td colspan="{len(before) + 1}"></td>'
        f'<td class="iv">{_ticks(axis, lang)}</td>'
        f'<td colspan="{len(after) + 1}"></td></tr>'
    )
    # on a phone the rows become blocks: the roles keep them a table for who hears it
    return Block(
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(drawn)}">'
        f'<table class="draws" role="table">{_caption(caption)}'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody>'
        f'<tfoot aria-hidden="true">{foot}</tfoot></table></div>'
    )


def check_list(checks: Sequence[Check], *, lang: Lang | None = None) -> Block:
    """List what was checked and what was found, warnings first.

    Parameters
    ----------
    checks : sequence of Check
        The lines; their texts are escaped here.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        One list. The state stands as a sign, a colour and, for who hears the page,
        a word.
    """
    order = {"fail": 0, "warn": 1, "ok": 2, "info": 3}
    signs = {"fail": "✗", "warn": "!", "ok": "✓", "info": "•"}
    kinds = {"fail": "b", "warn": "w", "ok": "g", "info": "s"}
    lines = []
    for item in sorted(checks, key=lambda item: order[item.state]):
        said = escape(label(f"check.state.{item.state}", lang))
        what, found = escape(item.what), escape(item.found)
        lines.append(
            f'<li><span class="{kinds[item.state]}" role="img" aria-label="{said}">'
            f"{signs[item.state]}</span>"
            + (
                f"<span>{what}</span><span>{found}</span></li>"
                if found
                else f'<span class="wide">{what}</span></li>'
            )
        )
    return Block('<ul class="checks">' + "".join(lines) + "</ul>")


def raster(
    cells: npt.NDArray[np.integer],
    colours: Sequence[str],
    *,
    alt: str,
    caption: str = "",
    clear: int | None = None,
) -> Block:
    """Draw a dense grid as one small picture that is scaled up to the page.

    Parameters
    ----------
    cells : ndarray of int, shape (rows, columns)
        Which of `colours` each cell has; the first row is drawn on top.
    colours : sequence of str
        ``#rrggbb`` each, 256 at most.
    alt : str
        What it shows, for who does not see it; give the numbers in a `data_table`.
    caption : str, optional
        The line above it; escaped here.
    clear : int, optional
        The colour that is not drawn.

    Returns
    -------
    Block
        A figure: cells keep their shape however wide the page is.

    Raises
    ------
    ParameterError
        As `growth.charts.raster.palette_png`.
    """
    from growth.charts.raster import as_url, palette_png

    source = as_url(palette_png(cells, colours, clear=clear))
    above = f'<figcaption class="note">{escape(caption)}</figcaption>'
    return Block(
        f'<figure class="raster">{above if caption else ""}'
        f'<img alt="{escape(alt)}" src="{source}"></figure>'
    )


def data_table(
    columns: Mapping[str, str],
    rows: Sequence[Mapping[str, str]],
    *,
    caption: str,
    fold: str = "",
) -> Block:
    """Write a plain table, folded away if `fold` says under which words.

    Parameters
    ----------
    columns : mapping of str to str
        Head by column name, in order.
    rows : sequence of mapping
        Text by column name; escaped here.
    caption : str
        What the table shows.
    fold : str, optional
        The words one clicks to see the table.

    Returns
    -------
    Block
        One table; the first column names the rows.
    """
    names = list(columns)
    head = "".join(
        _head(text, "n" if place else "") for place, text in enumerate(columns.values())
    )
    body = "".join(
        f'<tr><th scope="row">{escape(row.get(names[0], ""))}</th>'
        + "".join(
            f'<td class="n">{escape(row.get(name, ""))}</td>' for name in names[1:]
        )
        + "</tr>"
        for row in rows
    )
    table = (
        '<div class="scroll" tabindex="0" role="region" '
        f'aria-label="{escape(caption)}"><table>'
        f"<caption><span>{escape(caption)}</span></caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
    if not fold:
        return Block(table)
    return Block(f"<details><summary>{escape(fold)}</summary>{table}</details>")


def _caption(text: str) -> str:
    return f"<caption><span>{escape(text)}</span></caption>"


def _head(text: str, kind: str = "") -> str:
    mark = f' class="{kind}"' if kind else ""
    return f'<th scope="col" role="columnheader"{mark}>{escape(text)}</th>'


def _row(
    row: Row,
    axis: Axis,
    before: Sequence[str],
    after: Sequence[str],
    left: int,
    lang: Lang | None,
) -> str:
    drawn = row.interval
    note = f"<small>{escape(row.note)}</small>" if row.note else ""
    words = "".join(
        f'<td role="cell" class="s">{escape(text)}</td>' for text in row.before[:left]
    )
    numbers = "".join(map(_number, before[left:], row.before[left:]))
    tone = TONE[drawn.tone]
    said, ends = row.said or (drawn.said(), drawn.ends(lang))
    mark = f' class="{tone}"' if tone else ""
    return (
        f'<tr role="row"><th scope="row" role="rowheader">{escape(drawn.label)}{note}'
        f'</th>{words}{numbers}<td class="iv" aria-hidden="true">{_draw(drawn, axis)}'
        f'</td><td role="cell" class="e"><span{mark}>{escape(said)}</span>'
        f"<small>{escape(ends)}</small></td>"
        f"{''.join(map(_number, after, row.after))}</tr>"
    )


def _number(head: str, text: str) -> str:
    return f'<td role="cell" class="n" data-h="{escape(head)}">{escape(text)}</td>'


def _draw(row: Interval, axis: Axis) -> str:
    """Draw zero, margin and interval; an end that is cut off gets an arrow."""
    zero = f"{axis.at(0, DRAWN):g}"
    parts = [f'<line class="zr" x1="{zero}" x2="{zero}" y2="30"/>']
    if row.limit is not None:
        x = f"{axis.at(row.limit, DRAWN):g}"
        parts.append(f'<line class="mg" x1="{x}" x2="{x}" y1="3" y2="27"/>')
        if not axis.lo <= row.limit <= axis.hi:
            side = "m8,0l-5,-4v8z" if row.limit > 0 else "m-8,0l5,-4v8z"
            parts.append(f'<path class="far" d="M{x},15{side}"/>')
    if row.lo is not None and row.hi is not None and row.value is not None:
        lo, hi, mid = (f"{axis.at(v, DRAWN):g}" for v in (row.lo, row.hi, row.value))
        tone = TONE[row.tone]
        mark = f' class="{tone}"' if tone else ""
        line = f'<path d="M{lo},15H{hi}"/>'
        if row.lo < axis.lo:
            line += f'<path d="M{lo},15l6,-4v8z"/>'
        if row.hi > axis.hi:
            line += f'<path d="M{hi},15l-6,-4v8z"/>'
        parts.append(f"<g{mark}>{line}{_point(row, mid)}</g>")
    return f'<svg viewBox="{-PAD} 0 {DRAWN + 2 * PAD} 30">' + "".join(parts) + "</svg>"


def _point(row: Interval, x: str) -> str:
    """Return a hollow ring, or a triangle the way the whole interval points."""
    match row.clears:
        case "up":
            return f'<path d="M{x},10l5,9h-10z"/>'
        case "down":
            return f'<path d="M{x},20l5,-9h-10z"/>'
    return f'<circle class="o" cx="{x}" cy="15" r="4"/>'


def _ticks(axis: Axis, lang: Lang | None) -> str:
    marks = "".join(
        f'<line class="tk" x1="{(x := axis.at(tick, DRAWN)):g}" x2="{x:g}" y2="4"/>'
        f'<text x="{x:g}" y="17" text-anchor="middle">'
        f"{escape(axis.words(tick, lang))}</text>"
        for tick in _apart(axis, lang)
    )
    return f'<svg viewBox="{-PAD} 0 {DRAWN + 2 * PAD} 22">{marks}</svg>'


def _apart(axis: Axis, lang: Lang | None) -> list[float]:
    """Return the ticks whose words do not meet: all, or every second or third."""
    if len(axis.ticks) < 3:
        return list(axis.ticks)
    step = axis.ticks[1] - axis.ticks[0]
    room = DRAWN * step / (axis.hi - axis.lo)
    widest = max(_wide(axis.words(tick, lang)) for tick in axis.ticks)
    every = ceil((widest + GAP) / room)
    return [tick for tick in axis.ticks if round(tick / step) % every == 0]


def _wide(words: str) -> float:
    """Return about how many pixels a tick's words take; Chinese twice as many."""
    return sum(13.0 if east_asian_width(c) in "WF" else 7.0 for c in words)
