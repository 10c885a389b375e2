"""Charts of tags: sizes, moves, overlaps, differences, and whom to reach."""

from __future__ import annotations

from itertools import pairwise
from math import cos, pi
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from growth.charts.figures import count, interval, percent
from growth.charts.theme import ABOVE, ARMS, COLOURS, HEIGHT, WIDTH, finish
from growth.labels import label, worded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import altair as alt

    from growth.labels import Lang
    from growth.segments import Crossed, Movement, Overlap, Profile, Reach, Sizes

__all__ = [
    "cross_chart",
    "movement_chart",
    "profile_chart",
    "reach_chart",
    "sizes_chart",
    "trend_chart",
    "upset_chart",
]

ROW: Final = 26
MOST: Final = 15  # rows of an UpSet chart and of a profile
STEPS: Final = 16  # pieces of a ribbon
GAP: Final = 0.02  # between the blocks of a flow, a share of its height
STATES: Final = (
    *("#0b5cad", "#0b6e4f", "#8a6100", "#b3400d", "#57606a", "#7a3e9d"),
    *("#2f8f9d", "#c2548f", "#6b5b2a", "#3d4aa3", "#a07d00", "#1b1f24"),
)
NO_WORDS: Final[Mapping[str, str]] = MappingProxyType({})


def sizes_chart(
    sizes: Sizes,
    *,
    words: Mapping[str, str] = NO_WORDS,
    title: str = "",
    lang: Lang | None = None,
) -> alt.LayerChart:
    """Draw how many users have each value of a tag.

    Parameters
    ----------
    sizes : Sizes
        What `segments.sizes` found.
    words : mapping of str to str, optional
        What values are called; by their names if omitted.
    title : str, optional
        The line above; the tag's name if omitted.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        A bar a value with its number and share; a hidden value says so. A sample's
        share has its interval.
    """
    import altair as alt

    hidden = label("chart.segments.hidden", lang)
    values: list[dict[str, Any]] = []
    for cell in sizes.cells:
        said = hidden
        if cell.users is not None:
            said = f"{count(cell.users)} · {percent(cell.share)}"
        values.append(
            {
                "value": words.get(cell.value, cell.value),
                "share": cell.share or 0.0,
                "lo": cell.share_low,
                "hi": cell.share_high,
                "said": said,
            }
        )
    order = [row["value"] for row in values]
    top = max((row["hi"] or row["share"] for row in values), default=0.0) or 1.0
    base = alt.Chart(alt.InlineData(values=values)).encode(
        y=alt.Y("value:N", sort=order, title=None, axis=_plain(order))
    )
    x = alt.X(
        "share:Q",
        title=None,
        axis=None,
        scale=alt.Scale(domain=[0, top * 1.35], nice=False),
    )
    bars = base.mark_bar(color=COLOURS["accent"], height=ROW - 10).encode(x=x)
    layers: list[Any] = [bars]
    at = "share:Q"
    if sizes.sample_rate < 1:
        at = "hi:Q"
        layers.append(
            base.mark_rule(color=COLOURS["ink"]).encode(
                x=alt.X("lo:Q", axis=None), x2="hi:Q"
            )
        )
    layers.append(
        base.mark_text(align="left", dx=6, fontSize=13, color=COLOURS["ink"]).encode(
            x=alt.X(at, axis=None), text="said:N"
        )
    )
    chart = alt.layer(*layers).properties(width=WIDTH, height=ROW * len(values))
    told = "; ".join(f"{row['value']} {row['said']}" for row in values)
    named = title or label("chart.segments.sizes", lang, tag=sizes.tag)
    return finish(chart, name=f"sizes_{sizes.tag}", title=named, description=told)


def trend_chart(
    sizes: Sequence[Sizes],
    *,
    words: Mapping[str, str] = NO_WORDS,
    title: str = "",
    lang: Lang | None = None,
) -> alt.LayerChart:
    """Draw the shares of a tag's values at several dates, one column a date.

    Parameters
    ----------
    sizes : sequence of Sizes
        Of one tag, with their `as_of`, the oldest first.
    words, title, lang
        As in `sizes_chart`.

    Returns
    -------
    altair.LayerChart
        Stacked columns; hidden values leave a gap.
    """
    import altair as alt

    order = list(dict.fromkeys(c.value for one in sizes for c in one.cells))
    values: list[dict[str, Any]] = [
        {
            "as_of": one.as_of.isoformat() if one.as_of else str(i),
            "value": words.get(cell.value, cell.value),
            "share": cell.share,
            "place": order.index(cell.value),
            "said": f"{count(cell.users)} · {percent(cell.share)}",
        }
        for i, one in enumerate(sizes)
        for cell in one.cells
        if cell.users is not None
    ]
    shown = [words.get(name, name) for name in order]
    bars = (
        alt.Chart(alt.InlineData(values=values))
        .mark_bar(stroke=COLOURS["card"], strokeWidth=1)
        .encode(
            x=alt.X("as_of:O", title=None, axis=alt.Axis(labelAngle=0, ticks=False)),
            y=alt.Y(
                "share:Q",
                title=label("chart.segments.share", lang),
                stack="zero",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format=".0%", tickCount=5, domain=False, **ABOVE),
            ),
            color=alt.Color(
                "value:N",
                sort=shown,
                title=None,
                legend=alt.Legend(
                    orient="bottom", symbolType="square", labelFontSize=13, columns=3
                ),
                scale=alt.Scale(domain=shown, range=_colours(len(shown))),
            ),
            order=alt.Order("place:Q"),
            tooltip=["as_of:N", "value:N", alt.Tooltip("said:N", title=" ")],
        )
    )
    chart = alt.layer(bars).properties(width=WIDTH, height=HEIGHT)
    tag = sizes[0].tag if sizes else ""
    named = title or label("chart.segments.trend", lang, tag=tag)
    told = "; ".join(f"{r['as_of']} {r['value']} {r['said']}" for r in values[-6:])
    return finish(chart, name=f"trend_{tag}", title=named, description=told or named)


def movement_chart(
    movement: Movement,
    *,
    words: Mapping[str, str] = NO_WORDS,
    title: str = "",
    lang: Lang | None = None,
) -> alt.LayerChart:
    """Draw who moved from value to value, as ribbons between two dates.

    Parameters
    ----------
    movement : Movement
        What `segments.movement` found.
    words, title, lang
        As in `sizes_chart`.

    Returns
    -------
    altair.LayerChart
        The values at both dates in one order, those not of the population last, so
        that ribbons cross least; hidden moves are left out and said to be.
    """
    import altair as alt

    moves = [m for m in movement.moves if m.users]
    order = list(dict.fromkeys(m.before for m in movement.moves))
    order += [m.after for m in movement.moves if m.after not in order]
    order = [*(v for v in dict.fromkeys(order) if v != "absent"), "absent"]
    named = {**{v: words.get(v, v) for v in order},
             "absent": label("chart.segments.absent", lang)}  # fmt: skip
    total = movement.users or 1
    known = (
        dict(movement.before_users) | {"absent": movement.joined},
        dict(movement.after_users) | {"absent": movement.left},
    )
    left = _blocks(
        {v: [m for m in moves if m.before == v] for v in order}, known[0], total
    )
    right = _blocks(
        {v: [m for m in moves if m.after == v] for v in order}, known[1], total
    )
    ribbons: list[dict[str, Any]] = []
    at_left, at_right = dict(left), dict(right)
    for move in sorted(
        moves, key=lambda m: (order.index(m.before), order.index(m.after))
    ):
        high = (move.users or 0) / total
        y0, y1 = at_left[move.before][0], at_right[move.after][0]
        at_left[move.before] = (y0 + high, at_left[move.before][1])
        at_right[move.after] = (y1 + high, at_right[move.after][1])
        way = f"{named[move.before]} → {named[move.after]}"
        for k in range(STEPS + 1):
            along = k / STEPS
            at = y0 + (y1 - y0) * (1 - cos(pi * along)) / 2
            ribbons.append(
                {
                    "way": way,
                    "from": named[move.before],
                    "x": along,
                    "y": at,
                    "y2": at + high,
                    "said": count(move.users or 0),
                }
            )
    ends: list[dict[str, Any]] = [
        {
            "x": side,
            "y": low,
            "y2": high,
            "mid": (low + high) / 2,
            "said": f"{named[value]} {_counted(known[side][value], lang)}",
        }
        for side, blocks in ((0, left), (1, right))
        for value, (low, high) in blocks.items()
        if high > low
    ]
    colours = alt.Color(
        "from:N",
        legend=None,
        scale=alt.Scale(domain=[named[v] for v in order], range=_colours(len(order))),
    )
    # the blocks overlap where gaps end them; the axis runs downwards
    tallest = max([end["y2"] for end in ends], default=1.0)
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[tallest, 0], nice=False))
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-0.62, 1.5], nice=False))
    flows = (
        alt.Chart(alt.InlineData(values=ribbons))
        .mark_area(opacity=0.55)
        .encode(
            x=x,
            y=y,
            y2="y2:Q",
            detail="way:N",
            color=colours,
            tooltip=["way:N", alt.Tooltip("said:N", title=" ")],
        )
    )
    base = alt.Chart(alt.InlineData(values=ends)).encode(x=x)
    blocks = base.mark_rule(strokeWidth=7, color=COLOURS["ink"]).encode(
        y=y, y2=alt.Y2("y2:Q")
    )
    text: dict[str, Any] = {
        "fontSize": 13,
        "color": COLOURS["ink"],
        "baseline": "middle",
    }
    told_at = base.encode(y=alt.Y("mid:Q", axis=None), text="said:N")
    texts = [
        told_at.transform_filter("datum.x === 0").mark_text(
            align="right", dx=-9, **text
        ),
        told_at.transform_filter("datum.x === 1").mark_text(align="left", dx=9, **text),
    ]
    chart = alt.layer(flows, blocks, *texts).properties(
        width=WIDTH, height=max(HEIGHT, 34 * len(ends) // 2)
    )
    if not title:
        days = [d.isoformat() if d else "" for d in
                (movement.first_as_of, movement.second_as_of)]  # fmt: skip
        title = label("chart.segments.movement", lang, first=days[0], second=days[1])
    told = "; ".join(
        f"{named[m.before]} → {named[m.after]} {count(m.users or 0)}" for m in moves
    )
    if movement.hidden:
        told += f"; {label('chart.segments.some_hidden', lang)}"
    return finish(chart, name="movement", title=title, description=told or title)


def _counted(users: int | None, lang: Lang | None) -> str:
    return label("chart.segments.hidden", lang) if users is None else count(users)


def _blocks(
    by_value: Mapping[str, Sequence[Any]],
    known: Mapping[str, int | None],
    total: int,
) -> dict[str, tuple[float, float]]:
    """Return where each value's block begins and ends, one below the other.

    A block is as high as its users where they are shown: moves that are hidden leave
    the part of it without a ribbon.
    """
    found, at = {}, 0.0
    for value, moves in by_value.items():
        high = (known[value] or sum(m.users or 0 for m in moves)) / total
        found[value] = (at, at + high)
        at += high + (GAP if high else 0)
    return found


def upset_chart(
    overlap: Overlap,
    *,
    words: Mapping[str, str] = NO_WORDS,
    title: str = "",
    lang: Lang | None = None,
) -> alt.LayerChart:
    """Draw exclusive intersections as an UpSet chart: dots for members, bars for size.

    Parameters
    ----------
    overlap : Overlap
        What `segments.overlap` found.
    words : mapping of str to str, optional
        What segments are called; by their names if omitted.
    title : str, optional
        The line above.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        The 15 largest intersections, a row each: filled dots joined by a line are
        the segments that hold exactly these users.
    """
    import altair as alt

    shown = [i for i in overlap.intersections if i.users is None or i.users][:MOST]
    names = overlap.segments
    top = max((i.users or 0 for i in shown), default=0) or 1
    # columns of dots, then bars that take as much room as three columns or more
    width = max(3.0, len(names) * 0.9)
    start = len(names) - 0.3
    hidden = label("chart.segments.hidden", lang)
    dots: list[dict[str, Any]] = []
    links: list[dict[str, Any]] = []
    bars: list[dict[str, Any]] = []
    for row, item in enumerate(shown):
        own = [i for i, name in enumerate(names) if name in item.segments]
        dots += [{"x": i, "y": row, "in": i in own} for i in range(len(names))]
        links += [{"x": a, "x2": b, "y": row} for a, b in pairwise(own)]
        users = item.users
        bars.append(
            {
                "x": start,
                "x2": start + width * (users or 0) / top,
                "y": row,
                "said": hidden if users is None else count(users),
                "who": " & ".join(words.get(one, one) for one in item.segments),
            }
        )
    heads: list[dict[str, Any]] = [
        {"x": i, "y": -0.75, "name": words.get(name, name)}
        for i, name in enumerate(names)
    ]
    x = alt.X(
        "x:Q",
        axis=None,
        scale=alt.Scale(domain=[-0.6, start + width * 1.25], nice=False),
    )
    y = alt.Y(
        "y:Q", axis=None, scale=alt.Scale(domain=[len(shown) - 0.5, -1.2], nice=False)
    )

    def layer(rows: list[dict[str, Any]]) -> Any:  # noqa: ANN401
        return alt.Chart(alt.InlineData(values=rows))

    marks = [
        layer(links)
        .mark_rule(color=COLOURS["ink"], strokeWidth=2)
        .encode(x=x, x2="x2:Q", y=y),
        layer(dots)
        .mark_point(filled=True, size=90, opacity=1)
        .encode(
            x=x,
            y=y,
            color=alt.condition(
                "datum.in", alt.value(COLOURS["ink"]), alt.value(COLOURS["line"])
            ),
        ),
        layer(bars)
        .mark_bar(color=COLOURS["accent"], height=ROW - 12)
        .encode(
            x=x, x2="x2:Q", y=y, tooltip=["who:N", alt.Tooltip("said:N", title=" ")]
        ),
        layer(bars)
        .mark_text(align="left", dx=6, fontSize=13)
        .encode(x=alt.X("x2:Q", axis=None), y=y, text="said:N"),
        layer(heads)
        .mark_text(angle=330, align="left", fontSize=13, color=COLOURS["soft"], dx=-4)
        .encode(x=x, y=y, text="name:N"),
    ]
    chart = alt.layer(*marks).properties(width=WIDTH, height=ROW * (len(shown) + 2))
    named = title or label("chart.segments.overlap", lang)
    told = "; ".join(f"{row['who']} {row['said']}" for row in bars)
    return finish(chart, name="overlap", title=named, description=told or named)


def profile_chart(
    profile: Profile,
    *,
    words: Mapping[str, str] = NO_WORDS,
    title: str = "",
    lang: Lang | None = None,
) -> alt.LayerChart:
    """Draw how many times as often each trait is found in a segment as in the rest.

    Parameters
    ----------
    profile : Profile
        What `segments.profile` found.
    words : mapping of str to str, optional
        What features and levels are called: ``"region"``, ``"region=44"``.
    title : str, optional
        The line above.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        The 15 categories of the smallest p-values, a dot each with its interval on a
        log axis; 1 is no difference, a filled dot differs after correction. Numbers
        stand in the table.
    """
    import altair as alt

    lines = [one for one in profile.lines if one.lift and one.lift_low][:MOST]
    values: list[dict[str, Any]] = [
        {
            "trait": _trait(one.feature, one.level or "", words),
            "lift": one.lift,
            "lo": one.lift_low,
            "hi": one.lift_high,
            "differs": bool(one.differs),
            "said": f"{percent(one.segment)} · {percent(one.rest)}",
        }
        for one in lines
    ]
    order = [row["trait"] for row in values]
    ends = [end for one in lines for end in (one.lift_low, one.lift_high) if end]
    far = max([max(end, 1 / end) for end in ends], default=2.0)
    scale = alt.Scale(type="log", domain=[1 / far / 1.05, far * 1.05], nice=False)
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10) if 1 / far <= t <= far]
    base = alt.Chart(alt.InlineData(values=values)).encode(
        y=alt.Y("trait:N", sort=order, title=None, axis=_plain(order))
    )
    x = alt.X(
        "lift:Q",
        scale=scale,
        title=label("chart.segments.lift", lang),
        axis=alt.Axis(values=ticks, format="~g", domain=False),
    )
    one = alt.Chart(alt.InlineData(values=[{"at": 1}])).mark_rule(
        color=COLOURS["soft"]
    ).encode(x=alt.X("at:Q", scale=scale))  # fmt: skip
    rules = base.mark_rule(color=COLOURS["ink"]).encode(
        x=alt.X("lo:Q", scale=scale), x2="hi:Q"
    )
    dots = base.mark_point(size=70, opacity=1, strokeWidth=1.5).encode(
        x=x,
        fill=alt.condition(
            "datum.differs", alt.value(COLOURS["accent"]), alt.value(COLOURS["card"])
        ),
        stroke=alt.value(COLOURS["accent"]),
        tooltip=["trait:N", alt.Tooltip("said:N", title=" ")],
    )
    chart = alt.layer(one, rules, dots).properties(
        width=WIDTH, height=max(ROW * len(values), 2 * ROW)
    )
    named = title or label("chart.segments.profile", lang, segment=profile.segment)
    told = "; ".join(
        f"{row['trait']} {one.lift:.2f} "
        f"({interval(one.lift_low, one.lift_high, signed=False)})"
        for row, one in zip(values, lines, strict=True)
    )
    return finish(chart, name="profile", title=named, description=told or named)


def _trait(feature: str, level: str, words: Mapping[str, str]) -> str:
    name = words.get(feature, feature)
    told = words.get(f"{feature}={level}", level)
    return f"{name}: {told}"


def cross_chart(
    crossed: Crossed,
    *,
    row_words: Mapping[str, str] = NO_WORDS,
    column_words: Mapping[str, str] = NO_WORDS,
    title: str = "",
    lang: Lang | None = None,
) -> alt.LayerChart:
    """Draw two tags as a grid; of RFM scores, the RFM grid.

    Parameters
    ----------
    crossed : Crossed
        What `segments.cross` found.
    row_words, column_words : mapping of str to str, optional
        What values are called.
    title : str, optional
        The line above.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        A cell a pair of values with its users; a hidden cell has a dot.
    """
    import altair as alt

    values: list[dict[str, Any]] = [
        {
            "row": row_words.get(cell.row, cell.row),
            "column": column_words.get(cell.column, cell.column),
            "users": cell.users,
            "said": "·" if cell.users is None else count(cell.users),
        }
        for cell in crossed.cells
    ]
    rows = list(dict.fromkeys(v["row"] for v in values))
    columns = list(dict.fromkeys(v["column"] for v in values))
    top = max((v["users"] or 0 for v in values), default=0) or 1
    base = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X(
            "column:N",
            sort=columns,
            title=worded(f"column.{crossed.column_tag}", lang),
            axis=alt.Axis(orient="top", labelAngle=0, ticks=False, domain=False),
        ),
        y=alt.Y(
            "row:N", sort=rows, title=worded(f"column.{crossed.row_tag}", lang),
            axis=alt.Axis(ticks=False, domain=False, **ABOVE),
        ),
    )  # fmt: skip
    cells = base.mark_rect(stroke=COLOURS["card"]).encode(
        color=alt.Color(
            "users:Q",
            legend=None,
            scale=alt.Scale(
                domain=[0, top], range=["#f3f7fc", "#9cc3ea", COLOURS["accent"]]
            ),
        )
    )
    texts = base.mark_text(fontSize=13).encode(
        text="said:N",
        color=alt.condition(
            f"datum.users > {top * 0.62!r}",
            alt.value(COLOURS["card"]),
            alt.value(COLOURS["ink"]),
        ),
    )
    chart = alt.layer(cells, texts).properties(
        width=min(WIDTH, 92 * max(len(columns), 1)), height=34 * max(len(rows), 1)
    )
    named = title or label("chart.segments.cross", lang)
    told = "; ".join(f"{v['row']} × {v['column']} {v['said']}" for v in values[:12])
    return finish(chart, name="cross", title=named, description=told or named)


def reach_chart(
    reach: Reach, *, title: str = "", lang: Lang | None = None
) -> alt.LayerChart:
    """Draw by channel how many a message may reach, and why others not.

    Parameters
    ----------
    reach : Reach
        What `segments.reach` found.
    title : str, optional
        The line above.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        A bar a channel, its open part in colour and named.
    """
    import altair as alt

    values: list[dict[str, Any]] = []
    at: dict[str, float] = {}
    total = reach.users or 1
    for cell in reach.cells:
        if cell.users is None:
            continue
        low = at.get(cell.channel, 0.0)
        high = low + cell.users / total
        at[cell.channel] = high
        values.append(
            {
                "channel": label(f"segments.channel.{cell.channel}", lang),
                "low": low,
                "high": high,
                "open": cell.reason == "open",
                "said": percent(cell.users / total) if cell.reason == "open" else "",
                "why": label(f"segments.reason.{cell.reason}", lang),
                "users": count(cell.users),
            }
        )
    order = list(dict.fromkeys(row["channel"] for row in values))
    base = alt.Chart(alt.InlineData(values=values)).encode(
        y=alt.Y("channel:N", sort=order, title=None, axis=_plain(order))
    )
    x = alt.X(
        "low:Q",
        title=label("chart.segments.share", lang),
        scale=alt.Scale(domain=[0, 1.12], nice=False),
        axis=alt.Axis(format=".0%", values=[0, 0.25, 0.5, 0.75, 1], domain=False),
    )
    bars = base.mark_bar(height=ROW - 8, stroke=COLOURS["card"], strokeWidth=1).encode(
        x=x,
        x2="high:Q",
        color=alt.condition(
            "datum.open", alt.value(COLOURS["good"]), alt.value(COLOURS["line"])
        ),
        tooltip=["channel:N", "why:N", "users:N"],
    )
    texts = base.transform_filter("datum.open").mark_text(
        align="left", dx=6, fontSize=13, color=COLOURS["ink"]
    ).encode(x=alt.X("high:Q"), text="said:N")  # fmt: skip
    chart = alt.layer(bars, texts).properties(
        width=WIDTH, height=ROW * 1.3 * max(len(order), 1)
    )
    named = title or label("chart.segments.reach", lang)
    told = "; ".join(f"{r['channel']} {r['why']} {r['users']}" for r in values)
    return finish(chart, name="reach", title=named, description=told or named)


def _plain(names: Sequence[str] = ()) -> Any:  # noqa: ANN401
    """Return an axis of names, with room for them in a wider font than ours."""
    import altair as alt

    wide = max(
        (sum(8 if c < "\u2e80" else 15 for c in name) for name in names), default=0
    )
    return alt.Axis(
        ticks=False, domain=False, labelPadding=8, minExtent=min(wide, 220) + 8
    )


def _colours(n: int) -> list[str]:
    palette = STATES if n > len(ARMS) else ARMS[1:] + ARMS[:1]
    return [palette[i % len(palette)] for i in range(n)]
