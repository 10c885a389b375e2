"""What the readout asks of tagged users, and what it found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from growth.readout.segments.watched import (
    cell_of,
    hidden_of,
    overlap_of,
    sizes_of,
    tagged,
    watch,
)
from growth.readout.segments.words import ABOUT, MEMBER_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from growth.dataset import Dataset
    from growth.readout.catalog import SegmentsParams
    from growth.readout.segments.watched import Watched
    from growth.result import Notice, Result
    from growth.segments import (
        Context,
        Movement,
        Overlap,
        Profile,
        Reach,
        Rules,
        Sizes,
    )

__all__ = ["Found", "look"]


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
        """Return what the document keeps, by name; the first has its verdict."""
        first = self.movement.tag
        told: dict[str, Result] = {"movement": self.movement}
        told["sizes"] = self.sizes[first]
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

    rules = params.declared(opened.tables)
    rules[params.tag]  # refused here, by its name, if its tables are missing
    context = segments.freeze(opened, rules, as_of=params.as_of)
    carried = _with_members(opened, rules)
    limits = {"min_size": params.min_size, "min_cell": params.min_cell}
    days = params.first, params.as_of
    then = tagged(opened, rules, as_of=params.first, context=context)
    now = tagged(opened, rules, as_of=params.as_of, context=context, carried=carried)
    seen = watch(then, now, rules, params.tag, days=days, **limits)
    shown = cell_of(seen.sizes[params.tag], params.value).users is not None
    pairs = [(params.tag, params.value), *params.overlapping()]
    overlap = overlap_of(seen, pairs, **limits)
    return Found(
        rules=rules,
        context=context,
        sizes=seen.sizes,
        before=seen.before,
        movement=seen.movement,
        profile=_profile(seen, carried, params, overlap) if shown else None,
        overlap=overlap,
        trend=_lifecycle(opened, rules, params, seen),
        reach=_reach(opened, seen.tagged, params) if shown else None,
        left_out=tuple(
            name
            for name in ([] if params.rules else params.pack_names())
            if not segments.packs.tables(name) <= set(opened.tables)
        ),
    )


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


def _profile(
    seen: Watched, carried: Rules, params: SegmentsParams, overlap: Overlap | None
) -> Profile:
    """Compare the value looked into with the rest, by what the overlap does not hide.

    The share of a segment that has a tag's value is how many the two share: where the
    overlap keeps that back, so does the profile.
    """
    from growth import segments

    away = _kept_back(overlap)
    features = [name for name in _features(carried, params) if name not in away]
    if not features:
        sizes = seen.sizes[params.tag]
        users = cell_of(sizes, params.value).users or 0
        return segments.profile_from_counts(
            segment=params.value,
            users=users,
            rest=sizes.users - users,
            categories={},
            numbers={},
        )
    focus = segments.tag_in(params.tag, params.value)
    return segments.profile(
        seen.tagged,
        segments.Segment(params.value, focus),
        features,
        rules=carried,
        min_side=params.min_size,
        k=params.min_cell,
        min_size=params.min_size,
        also_hide={name: hidden_of(one) for name, one in seen.sizes.items()},
    )


def _kept_back(overlap: Overlap | None) -> set[str]:
    """Return the tags of the pairs that an overlap keeps back."""
    pairs = overlap.pairs if overlap is not None else ()
    return {pair.other.partition("=")[0] for pair in pairs if pair.users is None}


def _lifecycle(
    opened: Dataset, rules: Rules, params: SegmentsParams, beside: Watched
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
    known = {params.first: beside.before, params.as_of: beside.sizes}
    found: list[Sizes] = []
    for day in reversed(ends):
        away = hidden_of(known[day]["lifecycle"]) if day in known else []
        asked = segments.tag(opened, own, as_of=day)
        seen = asked.filter(asked.lifecycle != never)
        tagged = fetch(seen, "tagging users by month")
        if tagged.num_rows and never not in away:
            told = sizes_of(
                tagged,
                own,
                "lifecycle",
                as_of=day,
                min_size=params.min_size,
                also_hide=away,
            )
            found.append(told)
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
