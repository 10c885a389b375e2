"""What the readout asks of tagged users, and what it found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from growth.readout.segments.words import ABOUT, MEMBER_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from growth.dataset import Dataset
    from growth.readout.catalog import SegmentsParams
    from growth.result import Notice, Result
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

__all__ = ["Found", "cell_of", "look"]

NEAR: Final = 7  # days so few that what one date hides, the other would tell
MANY: Final = 12  # values of a tag: more, and those nobody has are left out


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
    profile : Profile or None
        The value looked into against the rest; None, as are overlap and reach, where
        its size is hidden: they would tell it.
    overlap : Overlap or None
        With other segments; None where none is named whose size is shown.
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
    profile: Profile | None
    overlap: Overlap | None
    trend: tuple[Sizes, ...]
    reach: Reach | None
    left_out: tuple[str, ...]

    def results(self) -> dict[str, Result]:
        """Return what the document keeps, by name; the tag looked into is first."""
        first = self.movement.tag
        told: dict[str, Result] = {"sizes": self.sizes[first]}
        told["movement"] = self.movement
        asked = {
            "profile": self.profile, "overlap": self.overlap, "reach": self.reach,
        }  # fmt: skip
        told |= {name: one for name, one in asked.items() if one is not None}
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
    near = params.back_days < NEAR
    sizes = {
        one: _sizes(now, rules, one, params, day, _hidden(before[one]) if near else ())
        for one in names
    }
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
    shown = cell_of(sizes[params.tag], params.value).users is not None
    return Found(
        rules=rules,
        context=context,
        sizes=sizes,
        before=before,
        movement=movement,
        profile=_profile(now, carried, params, sizes) if shown else None,
        overlap=_overlap(now, params, sizes) if shown else None,
        trend=_lifecycle(opened, rules, params, {first: before, day: sizes}),
        reach=_reach(opened, now, params) if shown else None,
        left_out=tuple(
            name
            for name in ([] if params.rules else params.pack_names())
            if not segments.packs.tables(name) <= set(opened.tables)
        ),
    )


def cell_of(sizes: Sizes, value: str) -> SizeCell:
    """Return one value's cell.

    Parameters
    ----------
    sizes : Sizes
        Of a tag.
    value : str
        One of its values.

    Returns
    -------
    SizeCell
        Its users, or None where they are hidden.
    """
    return next(cell for cell in sizes.cells if cell.value == value)


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


def _profile(
    tagged: Any,  # noqa: ANN401
    carried: Rules,
    params: SegmentsParams,
    sizes: Mapping[str, Sizes],
) -> Profile:
    from growth import segments

    focus = segments.tag_in(params.tag, params.value)
    return segments.profile(
        tagged,
        segments.Segment(params.value, focus),
        _features(carried, params),
        rules=carried,
        min_side=params.min_size,
        k=params.min_cell,
        min_size=params.min_size,
        also_hide={name: _hidden(one) for name, one in sizes.items()},
    )


def _overlap(
    tagged: Any,  # noqa: ANN401
    params: SegmentsParams,
    sizes: Mapping[str, Sizes],
) -> Overlap | None:
    """Lay over each other what is named and of a size that is shown."""
    from growth import segments

    pairs = [(params.tag, params.value), *params.overlapping()]
    asked = {
        f"{tag}={value}": segments.tag_in(tag, value)
        for tag, value in pairs
        if any(
            cell.value == value and cell.users is not None
            for cell in (sizes[tag].cells if tag in sizes else ())
        )
    }
    if len(asked) < 2:
        return None
    return segments.overlap(tagged, asked, k=params.min_cell, min_size=params.min_size)


def _lifecycle(
    opened: Dataset,
    rules: Rules,
    params: SegmentsParams,
    beside: Mapping[date, Mapping[str, Sizes]],
) -> tuple[Sizes, ...]:
    """Return the lifecycle of who was ever active, as each month's end told it.

    What sizes of the same day hide is hidden here too; where they hide those never
    active, so is the day, whose total would tell them.
    """
    from growth import segments
    from growth.engine import fetch

    if "lifecycle" not in rules.names:
        return ()
    own = segments.rules_of(*rules.closure("lifecycle"))
    never = own["lifecycle"].default
    ends = [params.as_of]
    while len(ends) < params.months:
        ends.append(ends[-1].replace(day=1) - timedelta(days=1))
    found: list[Sizes] = []
    for day in reversed(ends):
        away = _hidden(beside[day]["lifecycle"]) if day in beside else []
        asked = segments.tag(opened, own, as_of=day)
        seen = asked.filter(asked.lifecycle != never)
        tagged = fetch(seen, "tagging users by month")
        if tagged.num_rows and never not in away:
            found.append(_sizes(tagged, own, "lifecycle", params, day, away))
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
