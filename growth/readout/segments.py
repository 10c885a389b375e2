"""The segments readout's own pieces: what is asked of tagged users, and how shown.

Nothing is computed here that a result lacks; each function returns results, a
`Block`, or charts. Results hide what is too small before they come here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from growth.charts import segments as pictures
from growth.charts.figures import (
    amount,
    count,
    difference,
    difference_interval,
    listed,
    percent,
)
from growth.charts.intervals import Interval
from growth.labels import LANG, column, has, label, valued
from growth.readout.blocks import (
    Block,
    Check,
    Row,
    State,
    Tile,
    check_list,
    data_table,
    finding,
    headline,
    interval_table,
)
from growth.readout.trust import noticed, rows_check
from growth.result import Notice

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import altair as alt

    from growth.dataset import Dataset
    from growth.labels import Lang
    from growth.readout.catalog import SegmentsParams
    from growth.result import Result
    from growth.segments import (
        Context,
        Movement,
        Overlap,
        Profile,
        Reach,
        Rules,
        SizeCell,
        Sizes,
    )

__all__ = [
    "Found",
    "checks",
    "drawings",
    "look",
    "moves_table",
    "overlap_note",
    "profile_table",
    "reach_table",
    "sizes_table",
    "summary",
    "wake_note",
]

ABOUT: Final = "about_members"  # a tag that only carries members' columns
MEMBER_COLUMNS: Final = ("gender", "platform", "channel")
MEMBER_VALUES: Final = (
    *("f", "m", "ios", "android", "ohos", "windows", "mac", "devtools"),
    *("organic", "share", "kol", "moments_ads", "oa_advertorial"),
)  # that have words of their own
MOVES: Final = 8  # of the table
LINES: Final = 15
MANY: Final = 12  # values of a tag: more, and those nobody has are left out
QUIET: Final = ("segments_value_empty",)  # a table of zeros says it
CIRCULAR: Final = "segments_defines_segment"
EVERYONE: Final = "segments_value_everyone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the readout found, in the order in which the document keeps it.

    Parameters
    ----------
    rules : Rules
        The tags.
    context : Context
        The yardsticks of `as_of`, by which both dates are judged.
    sizes, before : dict of str to Sizes
        By tag, at `as_of` and at the earlier date.
    movement : Movement
        Between the two dates.
    profile : Profile
        The value looked into against the rest.
    overlap : Overlap or None
        With other segments; None where none is named.
    trend : tuple of Sizes
        The lifecycle at the end of each month; empty without such a tag.
    reach : Reach or None
        Whom of the segment a message may reach; None without a ledger of messages.
    left_out : tuple of str
        Packs whose tables are not there.
    """

    rules: Rules
    context: Context
    sizes: dict[str, Sizes]
    before: dict[str, Sizes]
    movement: Movement
    profile: Profile
    overlap: Overlap | None
    trend: tuple[Sizes, ...]
    reach: Reach | None
    left_out: tuple[str, ...]

    def results(self) -> dict[str, Result]:
        """Return what the document keeps, by name; the tag looked into is first."""
        first = self.movement.tag
        told: dict[str, Result] = {"sizes": self.sizes[first]}
        told |= {"movement": self.movement, "profile": self.profile}
        if self.overlap is not None:
            told["overlap"] = self.overlap
        if self.reach is not None:
            told["reach"] = self.reach
        more = {f"sizes_{k}": one for k, one in self.sizes.items() if k != first}
        return told | more

    def everything(self) -> Iterator[Result]:
        """Yield every result there is."""
        yield from self.results().values()
        yield from self.before.values()
        yield from self.trend

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What was noticed at `as_of`, tags and columns by their names."""
        found = [*self.context.notices]
        for one in self.results().values():
            found += one.notices
        return tuple(dict.fromkeys(found))


def look(opened: Dataset, params: SegmentsParams) -> Found:
    """Ask everything that the readout tells.

    Parameters
    ----------
    opened : Dataset
        With `events` or `orders`; `members` and `messages` add to it.
    params : SegmentsParams
        What is asked.

    Returns
    -------
    Found
        Nothing of a table that is not there.

    Raises
    ------
    ParameterError
        As `SegmentsParams.declared`, and if the tag looked into is not there for
        want of a table (code ``unknown_tag``).
    """
    from growth import segments
    from growth.engine import fetch

    rules = params.declared(opened.tables)
    rules[params.tag]  # refused here, by its name, if its tables are missing
    context = segments.freeze(opened, rules, as_of=params.as_of)
    carried = _with_members(opened, rules)
    day, first = params.as_of, params.first
    asked = segments.metrics(opened, carried, as_of=day, context=context)
    now = fetch(asked, "tagging users")
    asked = segments.tag(opened, rules, as_of=first, context=context)
    then = fetch(asked, "tagging users of then")
    names = rules.names
    before = {one: _sizes(then, rules, one, params, first) for one in names}
    sizes = {
        one: _sizes(now, rules, one, params, day, _hidden(before[one])) for one in names
    }
    focus = segments.tag_in(params.tag, params.value)
    movement = segments.movement(
        then,
        now,
        params.tag,
        values=rules[params.tag].names,
        first=first,
        second=day,
        k=params.min_cell,
        min_size=params.min_size,
        also_hide=(_hidden(before[params.tag]), _hidden(sizes[params.tag])),
    )
    return Found(
        rules=rules,
        context=context,
        sizes=sizes,
        before=before,
        movement=movement,
        profile=segments.profile(
            now,
            segments.Segment(params.value, focus),
            _features(carried, params),
            rules=rules,
            min_side=params.min_size,
            k=params.min_cell,
        ),
        overlap=_overlap(now, rules, params),
        trend=_lifecycle(opened, rules, params),
        reach=_reach(opened, now, params),
        left_out=tuple(
            name
            for name in ([] if params.rules else params.pack_names())
            if not segments.packs.tables(name) <= set(opened.tables)
        ),
    )


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
    words = found.rules[params.tag].words(_lang(lang))
    value = words[params.value]
    cell, earlier = (_cell(one[params.tag], params.value)
                     for one in (found.sizes, found.before))  # fmt: skip
    said = label("segments.headline.hidden", lang, value=value)
    if cell.users is not None:
        said = label(
            "segments.headline.share",
            lang,
            share=percent(cell.share),
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
            )
        )
    reasons.append(label(found.movement.verdict, lang))
    names = _names(found.rules, _lang(lang))
    more = next(
        (x for x in found.profile.lines if x.differs and (x.lift or 0) > 1), None
    )
    if more is not None:
        trait = f"{names.get(more.feature, more.feature)}: "
        trait += names.get(f"{more.feature}={more.level}", str(more.level))
        reasons.append(
            label(
                "segments.headline.more",
                lang,
                trait=trait,
                lift=f"{more.lift:.2f}",
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
    words = found.rules[found.movement.tag].words(_lang(lang))
    words["absent"] = label("chart.segments.absent", lang)
    moved = [
        m
        for m in found.movement.moves
        if m.before != m.after and m.users and m.share is not None
    ]
    moved.sort(key=lambda m: -(m.users or 0))
    if not moved:
        return Block.of("p", label("segments.table.no_moves", lang), kind="note")
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
    note = Block("")
    if found.movement.hidden:
        note = Block.of("p", label("segments.table.moves_hidden", lang), kind="note")
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
    if not found.profile.lines:
        return Block.of("p", label(found.profile.verdict, lang), kind="note")
    names = _names(found.rules, _lang(lang))
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
        trait = names.get(line.feature, line.feature)
        if line.level is not None:
            trait += f": {names.get(f'{line.feature}={line.level}', line.level)}"
        rows.append(
            {
                "trait": trait,
                "segment": amount(line.segment, unit),
                "rest": amount(line.rest, unit),
                "difference": difference(line.difference, unit, lang=lang),
                "ends": difference_interval(line.low, line.high, unit, lang=lang),
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
        A line each pair with the segment looked into.
    """
    if found.overlap is None:
        return Block.of("p", label("segments.overlap.none_named", lang), kind="note")
    own = found.overlap.segments[0]
    words = _segment_words(found, params, lang)
    lines = [
        label(
            "segments.overlap.pair",
            lang,
            other=words[pair.other],
            own=words[own],
            users=count(pair.users),
            lift=f"{pair.lift:.2f}",
        )
        for pair in found.overlap.pairs
        if own == pair.one and pair.users is not None and pair.lift is not None
    ]
    return finding(label(found.overlap.verdict, lang), lines)


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
        return Block.of("p", label("segments.reach.no_messages", lang), kind="note")
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
    cell = _cell(found.sizes["wake_up"], "call_now")
    users = label("chart.segments.hidden", lang)
    if cell.users is not None:
        users = count(cell.users)
    said = label("segments.wake.call_now", lang, users=users)
    return finding(said, [label("segments.wake.hold_out", lang)])


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
    hashes = ", ".join(f"{k} {v[:8]}" for k, v in found.rules.hashes().items())
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
    words, names = one.words(_lang(lang)), _names(found.rules, _lang(lang))
    title = label("chart.segments.sizes", lang, tag=names[params.tag])
    charts = {
        "sizes": pictures.sizes_chart(
            found.sizes[params.tag], words=words, title=title, lang=lang
        ),
        "movement": pictures.movement_chart(found.movement, words=words, lang=lang),
    }
    if found.trend:
        own = found.rules["lifecycle"].words(_lang(lang))
        title = label("chart.segments.trend", lang, tag=names["lifecycle"])
        charts["lifecycle"] = pictures.trend_chart(
            found.trend, words=own, title=title, lang=lang
        )
    if any(line.lift for line in found.profile.lines):
        named = label("chart.segments.profile", lang, segment=words[params.value])
        charts["profile"] = pictures.profile_chart(
            found.profile, words=names, title=named, lang=lang
        )
    if found.overlap is not None:
        charts["overlap"] = pictures.upset_chart(
            found.overlap, words=_segment_words(found, params, lang), lang=lang
        )
    if found.reach is not None and found.reach.users:
        charts["reach"] = pictures.reach_chart(found.reach, lang=lang)
    return charts


def _remarks(found: Found, lang: Lang | None) -> list[Check]:
    """Say what was noticed, tags and values by what readers call them."""
    names = _names(found.rules, _lang(lang))
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


def _with_members(opened: Dataset, rules: Rules) -> Rules:
    """Add a tag that carries what is known of members, to be compared by."""
    from growth.segments import Tag, Value, last, rules_of

    if not opened.has("members"):
        return rules
    there = opened.members.columns
    metrics = [
        (name, last("members", name)) for name in MEMBER_COLUMNS if name in there
    ]
    if not metrics:
        return rules
    values = [Value(name, metric.known()) for name, metric in metrics]
    carried = Tag(ABOUT, values, default="nothing", metrics=tuple(metrics))
    return rules_of(rules, carried)


def _features(rules: Rules, params: SegmentsParams) -> list[str]:
    """Return what is asked for, or every other tag and what is known of members."""
    known = [name for name, _ in rules[ABOUT].metrics] if ABOUT in rules.names else []
    if asked := params.feature_names():
        return [f"{ABOUT}__{one}" if one in known else one for one in asked]
    tags = [name for name in rules.names if name not in (params.tag, ABOUT)]
    return tags + [f"{ABOUT}__{name}" for name in known]


def _sizes(
    tagged: Any,  # noqa: ANN401
    rules: Rules,
    name: str,
    params: SegmentsParams,
    day: date,
    also_hide: Sequence[str] = (),
) -> Sizes:
    from growth import segments

    values = rules[name].names
    return segments.sizes(
        tagged,
        name,
        values=values if len(values) <= MANY else (),
        as_of=day,
        min_size=params.min_size,
        also_hide=also_hide,
    )


def _hidden(sizes: Sizes) -> list[str]:
    return [cell.value for cell in sizes.cells if cell.users is None]


def _overlap(tagged: Any, rules: Rules, params: SegmentsParams) -> Overlap | None:  # noqa: ANN401
    from growth import segments

    pairs = [(params.tag, params.value), *params.overlapping()]
    asked = {
        f"{tag}={value}": segments.tag_in(tag, value)
        for tag, value in pairs
        if tag in rules.names and value in rules[tag].names
    }
    if len(asked) < 2:
        return None
    return segments.overlap(tagged, asked, k=params.min_cell, min_size=params.min_size)


def _lifecycle(
    opened: Dataset, rules: Rules, params: SegmentsParams
) -> tuple[Sizes, ...]:
    """Return the lifecycle of who was ever active, as each month's end told it."""
    from growth import segments
    from growth.engine import fetch

    if "lifecycle" not in rules.names:
        return ()
    own = segments.rules_of(*rules.closure("lifecycle"))
    ends = [params.as_of]
    while len(ends) < params.months:
        ends.append(ends[-1].replace(day=1) - timedelta(days=1))
    found: list[Sizes] = []
    for day in reversed(ends):
        asked = segments.tag(opened, own, as_of=day)
        seen = asked.filter(asked.lifecycle != own["lifecycle"].default)
        tagged = fetch(seen, "tagging users by month")
        if tagged.num_rows:
            found.append(_sizes(tagged, own, "lifecycle", params, day))
    return tuple(found)


def _reach(opened: Dataset, tagged: Any, params: SegmentsParams) -> Reach | None:  # noqa: ANN401
    from growth import segments
    from growth.engine import as_table

    if not opened.has("messages"):
        return None
    table = as_table(tagged)
    return segments.reach(
        opened.messages,
        at_ts=params.as_of,
        users=table.filter(table[params.tag] == params.value),
        max_per_week=params.max_per_week,
        min_size=params.min_size,
    )


def _cell(sizes: Sizes, value: str) -> SizeCell:
    return next(cell for cell in sizes.cells if cell.value == value)


def _sizes_of(
    found: Found, name: str, params: SegmentsParams, lang: Lang | None
) -> Block:
    words = found.rules[name].words(_lang(lang))
    hidden = label("chart.segments.hidden", lang)
    then = {cell.value: cell for cell in found.before[name].cells}
    # nothing was known of anybody then: members are read as of their own date
    known = all(n.code != EVERYONE for n in found.before[name].notices)
    rows = []
    for cell in found.sizes[name].cells:
        old = then.get(cell.value)
        change = ""
        if known and cell.share is not None and old and old.share is not None:
            change = difference(cell.share - old.share, "share", lang=lang)
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
        "share": label("chart.segments.share", lang),
        "change": label("segments.table.since", lang, day=params.first.isoformat()),
    }
    title = _names(found.rules, _lang(lang))[name]
    fold = "" if name == params.tag else title
    return data_table(heads, rows, caption=title, fold=fold)


def _names(rules: Rules, lang: Lang) -> dict[str, str]:
    """Return what tags, their values and members' columns are called."""
    told = {}
    for one in rules:
        told[one.name] = dict(one.title).get(lang, one.name)
        words = one.words(lang)
        told |= {f"{one.name}={value}": word for value, word in words.items()}
    for name in MEMBER_COLUMNS:
        told[f"{ABOUT}__{name}"] = column(name, lang)
        for value in MEMBER_VALUES:
            if has(f"value.{name}.{value}"):
                told[f"{ABOUT}__{name}={value}"] = valued(name, value, lang)
    return told


def _segment_words(
    found: Found, params: SegmentsParams, lang: Lang | None
) -> Mapping[str, str]:
    pairs = [(params.tag, params.value), *params.overlapping()]
    names = _names(found.rules, _lang(lang))
    return {f"{t}={v}": names.get(f"{t}={v}", v) for t, v in pairs}


def _unit(feature: str) -> str:
    return "fen" if feature.endswith("_fen") else "count"


def _word(differs: bool | None) -> str:  # noqa: FBT001
    return "untested" if differs is None else "yes" if differs else "no"


def _lang(lang: Lang | None) -> Lang:
    return lang or LANG.get()
