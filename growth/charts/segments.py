"""Charts of tags: sizes, moves, overlaps, differences, and whom to reach."""

from __future__ import annotations

from itertools import pairwise
from math import cos, pi
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from growth.charts.figures import count, interval, percent
from growth.charts.states import state_bars
from growth.charts.theme import ABOVE, ARMS, COLOURS, HEIGHT, WIDTH, finish
from growth.labels import label, worded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import altair as alt

    from growth.labels import Lang
    from growth.segments import Crossed, Movement, Overlap, Profile, Reach, Sizes
    from growth.segments.profile import Line

__all__ = [
    "cross_chart",
    "lifecycle_chart",
    "movement_chart",
    "profile_chart",
    "reach_chart",
    "sizes_chart",
    "trait_words",
    "trend_chart",
    "upset_chart",
]

ROW: Final = 26
MOST: Final = 10  # rows of an UpSet chart and of a profile
STEPS: Final = 4  # pieces of a ribbon, drawn as curves
LIFTS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
GAP: Final = 0.02  # between the blocks of a flow, a share of its height
STATES: Final = (
    *("#0b5cad", "#0b6e4f", "#8a6100", "#b3400d", "#57606a", "#7a3e9d"),
    *("#2f8f9d", "#c2548f", "#6b5b2a", "#3d4aa3", "#a07d00", "#1b1f24"),
)
STANDINGS: Final = MappingProxyType(
    {
        "open": "open", "capped": "capped", "used_up": "over", "window_closed": "over",
        "denied": "refused", "opted_out": "refused", "no_grant": "never",
        "no_window": "never", "not_opted_in": "never",
    }
)  # fmt: skip
STANDING_COLOURS: Final = MappingProxyType(
    {
        "open": COLOURS["good"], "capped": "#7a3e9d", "over": "#8a6100",
        "refused": "#b3400d", "never": COLOURS["line"],
    }
)  # fmt: skip
BARS: Final = MappingProxyType(
    {"new": 1, "returning": 1, "resurrecting": 1, "dormant": -1}
)  # states of the lifecycle, and on which side of zero they stand
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
        Stacked columns of the values that anybody has; the hidden ones are one grey
        piece.
    """
    import altair as alt

    order = list(dict.fromkeys(c.value for one in sizes for c in one.cells if c.users))
    values: list[dict[str, Any]] = [
        {
            "as_of": _day(one, i),
            "value": words.get(cell.value, cell.value),
            "share": cell.share,
            "place": order.index(cell.value),
            "said": f"{count(cell.users)} · {percent(cell.share)}",
        }
        for i, one in enumerate(sizes)
        for cell in one.cells
        if cell.users
    ]
    shown = [words.get(name, name) for name in order]
    colours = _colours(len(shown))
    if any(one.hidden for one in sizes):
        hidden = label("chart.segments.hidden", lang)
        values += _hidden_rest(sizes, values, hidden)
        shown, colours = [*shown, hidden], [*colours, COLOURS["line"]]
    bars = (
        alt.Chart(alt.InlineData(values=values))
        .mark_bar(stroke=COLOURS["card"], strokeWidth=1)
        .encode(
            x=alt.X("as_of:O", title=None, axis=alt.Axis(labelAngle=0, domain=True)),
            y=alt.Y(
                "share:Q",
                title=label("chart.segments.share", lang),
                stack="zero",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format=".0%", tickCount=5, ticks=True, **ABOVE),
            ),
            color=alt.Color(
                "value:N",
                sort=shown,
                title=None,
                legend=alt.Legend(
                    orient="bottom",
                    symbolType="square",
                    labelFontSize=13,
                    columns=3,
                ),
                scale=alt.Scale(domain=shown, range=colours),
            ),
            order=alt.Order("place:Q"),
            tooltip=["as_of:N", "value:N", alt.Tooltip("said:N", title=" ")],
        )
    )
    chart = alt.layer(bars).properties(width=WIDTH, height=HEIGHT)
    tag = sizes[0].tag if sizes else ""
    named = title or label("chart.segments.trend", lang, tag=tag)
    last = max((row["as_of"] for row in values), default="")
    told = "; ".join(
        f"{r['as_of']} {r['value']} {r['said']}" for r in values if r["as_of"] == last
    )
    return finish(chart, name=f"trend_{tag}", title=named, description=told or named)


def lifecycle_chart(
    sizes: Sequence[Sizes],
    *,
    words: Mapping[str, str] = NO_WORDS,
    title: str = "",
    lang: Lang | None = None,
) -> alt.LayerChart:
    """Draw who was active at several dates, and below zero who went quiet.

    Parameters
    ----------
    sizes : sequence of Sizes
        Of a lifecycle tag, with their `as_of`, the oldest first.
    words, title, lang
        As in `sizes_chart`.

    Returns
    -------
    altair.LayerChart
        A bar a date; users asleep for longer are not drawn, nor hidden values.
    """
    values: list[dict[str, Any]] = [
        {
            "interval": _day(one, i),
            "state": words.get(cell.value, cell.value),
            "users": cell.users * BARS[cell.value],
            "said": count(cell.users),
            "at": list(BARS).index(cell.value),
        }
        for i, one in enumerate(sizes)
        for cell in one.cells
        if cell.users is not None and cell.value in BARS
    ]
    chart = state_bars(values, [words.get(name, name) for name in BARS], lang=lang)
    tag = sizes[0].tag if sizes else ""
    named = title or label("chart.retention.lifecycle", lang)
    told = "; ".join(f"{r['interval']} {r['state']} {r['said']}" for r in values[-4:])
    return finish(chart, name=f"{tag}_bars", title=named, description=told or named)


def _day(sizes: Sizes, at: int) -> str:
    return sizes.as_of.isoformat() if sizes.as_of else str(at)


def _hidden_rest(
    sizes: Sequence[Sizes], rows: Sequence[Mapping[str, Any]], word: str
) -> list[dict[str, Any]]:
    """Return for each date with hidden values what they have together."""
    found = []
    for i, one in enumerate(sizes):
        told = sum(row["share"] for row in rows if row["as_of"] == _day(one, i))
        if one.hidden and told < 1:
            rest = 1 - told
            found.append(
                {"as_of": _day(one, i), "value": word, "share": rest,
                 "place": len(one.cells), "said": percent(rest)}
            )  # fmt: skip
    return found


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
    named = {v: words.get(v, v) for v in order}
    before = named | {"absent": label("chart.segments.joined", lang)}
    after = named | {"absent": label("chart.segments.left", lang)}
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
        way = f"{before[move.before]} → {after[move.after]}"
        for k in range(STEPS + 1):
            along = k / STEPS
            at = y0 + (y1 - y0) * (1 - cos(pi * along)) / 2
            ribbons.append(
                {
                    "way": way,
                    "from": before[move.before],
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
            "said": f"{words_of[value]} {_counted(known[side][value], lang)}",
        }
        for side, blocks, words_of in ((0, left, before), (1, right, after))
        for value, (low, high) in blocks.items()
        if high > low
    ]
    colours = alt.Color(
        "from:N",
        legend=None,
        scale=alt.Scale(domain=[before[v] for v in order], range=_colours(len(order))),
    )
    # the blocks overlap where gaps end them; the axis runs downwards
    tallest = max([end["y2"] for end in ends], default=1.0)
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[tallest, 0], nice=False))
    sides = [_room(end["said"] for end in ends if end["x"] == side) for side in (0, 1)]
    wide = max(WIDTH - sum(sides), WIDTH / 4)
    x = alt.X(
        "x:Q",
        axis=None,
        scale=alt.Scale(domain=[-sides[0] / wide, 1 + sides[1] / wide], nice=False),
    )
    flows = (
        alt.Chart(alt.InlineData(values=ribbons))
        .mark_area(opacity=0.55, interpolate="monotone")
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
        f"{before[m.before]} → {after[m.after]} {count(m.users or 0)}" for m in moves
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
        The 10 largest intersections, a row each: filled dots joined by a line are
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
    dots: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    links: list[dict[str, Any]] = []
    bars: list[dict[str, Any]] = []
    for row, item in enumerate(shown):
        own = [i for i, name in enumerate(names) if name in item.segments]
        for i in range(len(names)):
            dots[i in own].append({"x": i, "y": row, "in": i in own})
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
        *(
            layer(dots[member])
            .mark_point(filled=True, size=90, opacity=1, color=COLOURS[colour])
            .encode(x=x, y=y)
            for member, colour in ((False, "line"), (True, "ink"))
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
        The 10 categories of the smallest p-values, a dot each with its interval on a
        log axis; 1 is no difference, a filled dot differs after correction. Numbers
        stand in the table.
    """
    import altair as alt

    lines = [one for one in profile.lines if one.lift and one.lift_low][:MOST]
    values: list[dict[str, Any]] = [
        {
            "trait": trait_words(one, words, lang),
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
    # from a tick to a tick, with one on either side of 1
    low = max((t for t in LIFTS if t <= min(ends, default=1)), default=LIFTS[0])
    high = min((t for t in LIFTS if t >= max(ends, default=1)), default=LIFTS[-1])
    low, high = min(low, 0.5), max(high, 2)
    scale = alt.Scale(
        type="log", domain=[low / 1.05, high * 1.05], nice=False, clamp=True
    )
    ticks = [t for t in LIFTS if low <= t <= high]
    base = alt.Chart(alt.InlineData(values=values)).encode(
        y=alt.Y("trait:N", sort=order, title=None, axis=_plain(order))
    )
    x = alt.X(
        "lift:Q",
        scale=scale,
        title=label("chart.segments.lift", lang),
        axis=alt.Axis(values=ticks, format="~g", ticks=True),
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


def trait_words(
    line: Line, words: Mapping[str, str] = NO_WORDS, lang: Lang | None = None
) -> str:
    """Return what one line of a profile is about.

    Parameters
    ----------
    line : Line
        The line.
    words : mapping of str to str, optional
        What features and levels are called: ``"region"``, ``"region=44"``.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    str
        The feature, and of categories the level.
    """
    name = words.get(line.feature, line.feature)
    if line.level is None:
        return name
    level = words.get(f"{line.feature}={line.level}", line.level)
    return label("chart.segments.trait", lang, feature=name, level=level)


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
            axis=alt.Axis(orient="top", labelAngle=0),
        ),
        y=alt.Y(
            "row:N", sort=rows, title=worded(f"column.{crossed.row_tag}", lang),
            axis=alt.Axis(**ABOVE),
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
        A bar a channel, in pieces by standing; the share that may be reached is in
        words beside.
    """
    import altair as alt

    named = {
        cell.channel: label(f"segments.channel.{cell.channel}", lang)
        for cell in reach.cells
    }
    values = _standings(reach, named, lang)
    total = reach.users or 1
    open_to = {c.channel: c.users for c in reach.cells if c.reason == "open"}
    said = [
        {
            "channel": word,
            "said": label("chart.segments.hidden", lang)
            if (users := open_to.get(channel, 0)) is None
            else label("chart.segments.open", lang, share=percent(users / total)),
        }
        for channel, word in named.items()
    ]
    legend = {
        label(f"chart.segments.standing.{one}", lang): colour
        for one, colour in STANDING_COLOURS.items()
    }
    seen = [why for why in legend if any(row["why"] == why for row in values)]
    y = alt.Y(
        "channel:N",
        sort=[*named.values()],
        title=None,
        axis=_plain([*named.values()]),
    )
    scale = alt.Scale(domain=[0, 1.5], nice=False)
    bars = (
        alt.Chart(alt.InlineData(values=values))
        .mark_bar(height=ROW - 8, stroke=COLOURS["card"], strokeWidth=1)
        .encode(
            y=y,
            x=alt.X(
                "low:Q",
                title=label("chart.segments.share", lang),
                scale=scale,
                axis=alt.Axis(format=".0%", values=[0, 0.25, 0.5, 0.75, 1], ticks=True),
            ),
            x2="high:Q",
            color=alt.Color(
                "why:N",
                title=None,
                scale=alt.Scale(domain=seen, range=[legend[why] for why in seen]),
                legend=alt.Legend(
                    orient="bottom",
                    symbolType="square",
                    labelFontSize=13,
                    columns=3,
                ),
            ),
            tooltip=["channel:N", "why:N", "users:N"],
        )
    )
    texts = (
        alt.Chart(alt.InlineData(values=said))
        .mark_text(align="left", dx=6, fontSize=13, color=COLOURS["ink"])
        .encode(y=y, x=alt.datum(1, scale=scale), text="said:N")
    )
    chart = alt.layer(bars, texts).properties(
        width=WIDTH, height=ROW * 1.3 * max(len(named), 1)
    )
    heading = title or label("chart.segments.reach", lang)
    words = "; ".join(f"{r['channel']} {r['why']} {r['users']}" for r in values)
    return finish(chart, name="reach", title=heading, description=words or heading)


def _standings(
    reach: Reach, named: Mapping[str, str], lang: Lang | None
) -> list[dict[str, Any]]:
    """Return each channel's pieces, one for all reasons of a kind."""
    total = reach.users or 1
    users: dict[tuple[str, str], int] = {}
    for cell in reach.cells:
        kind = cell.channel, STANDINGS[cell.reason]
        users[kind] = users.get(kind, 0) + (cell.users or 0)
    rows = []
    for channel, word in named.items():
        low = 0.0
        for standing in STANDING_COLOURS:
            if n := users.get((channel, standing), 0):
                rows.append(
                    {
                        "channel": word,
                        "low": low,
                        "high": low + n / total,
                        "why": label(f"chart.segments.standing.{standing}", lang),
                        "users": count(n),
                    }
                )
            low += n / total
    return rows


def _plain(names: Sequence[str] = ()) -> Any:  # noqa: ANN401
    """Return an axis of names, with room for them in a wider font than ours."""
    import altair as alt

    wide = max(map(_width, names), default=0)
    return alt.Axis(labelPadding=8, minExtent=min(wide, 220) + 8)


def _width(text: str) -> int:
    """Return the pixels that a text takes in the widest font a reader may have."""
    return sum(8 if c < "\u2e80" else 15 for c in text)


def _room(texts: Iterable[str]) -> float:
    """Return the pixels beside a flow for its names, larger on a phone."""
    return max((1.2 * _width(text) for text in texts), default=0.0) + 14


def _colours(n: int) -> list[str]:
    palette = STATES if n > len(ARMS) else ARMS[1:] + ARMS[:1]
    return [palette[i % len(palette)] for i in range(n)]
