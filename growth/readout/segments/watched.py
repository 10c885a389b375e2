"""Tags at two dates, to be shared: sizes, moves and overlap that hide alike.

The readout and the rule builder show these side by side; none tells what another
hides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from growth.dataset import Dataset
    from growth.segments import Context, Movement, Overlap, Rules, SizeCell, Sizes

__all__ = [
    "Watched",
    "cell_of",
    "hidden_of",
    "overlap_of",
    "sizes_of",
    "tagged",
    "watch",
]

NEAR: Final = 7  # days so few that what one date hides, the other would tell
MANY: Final = 12  # values of a tag: more, and those nobody has are left out


class Watched(NamedTuple):
    """Tags of two dates, and what may be told of them.

    Parameters
    ----------
    tagged : pyarrow.Table
        A row a user, of the later date.
    sizes, before : dict of str to Sizes
        By tag, at the later and at the earlier date.
    movement : Movement
        Of the tag looked into, between the two.
    """

    tagged: Any
    sizes: dict[str, Sizes]
    before: dict[str, Sizes]
    movement: Movement


def tagged(
    opened: Dataset,
    rules: Rules,
    *,
    as_of: date,
    context: Context,
    carried: Rules | None = None,
) -> Any:  # noqa: ANN401
    """Return everybody's tags at a date, in hand.

    Parameters
    ----------
    opened : Dataset
        With the tables of the rules.
    rules : Rules
        The tags.
    as_of : date
        The last day counted.
    context : Context
        Cut points and models.
    carried : Rules, optional
        The tags with others whose metrics are to be there as well.

    Returns
    -------
    pyarrow.Table
        A row a user.
    """
    from growth import segments
    from growth.engine import fetch

    at: dict[str, Any] = {"as_of": as_of, "context": context}
    asked = (
        segments.tag(opened, rules, **at)
        if carried is None
        else segments.metrics(opened, carried, **at)
    )
    return fetch(asked, "tagging users")


def watch(
    then: Any,  # noqa: ANN401
    now: Any,  # noqa: ANN401
    rules: Rules,
    tag: str,
    *,
    days: tuple[date, date],
    min_size: int,
    min_cell: int,
) -> Watched:
    """Count what may be told of everybody's tags at two dates.

    Parameters
    ----------
    then, now : table
        A row a user, from `tagged` by one yardstick: of the earlier and of the later
        date.
    rules : Rules
        The tags.
    tag : str
        The one whose moves are counted.
    days : (date, date)
        The last day counted, of the earlier and of the later date.
    min_size, min_cell : int
        Smallest group, and cell of two, that is told.

    Returns
    -------
    Watched
        Where the dates are near, what the earlier hides the later hides too.
    """
    from growth import segments

    first, day = days
    before = {
        name: sizes_of(then, rules, name, as_of=first, min_size=min_size)
        for name in rules.names
    }
    near = (day - first).days < NEAR
    sizes = {
        name: sizes_of(
            now,
            rules,
            name,
            as_of=day,
            min_size=min_size,
            also_hide=hidden_of(before[name]) if near else (),
        )
        for name in rules.names
    }
    movement = segments.movement(
        then,
        now,
        tag,
        values=rules[tag].names,
        first=first,
        second=day,
        k=min_cell,
        min_size=min_size,
        also_hide=(hidden_of(before[tag]), hidden_of(sizes[tag])),
    )
    return Watched(now, sizes, before, movement)


def sizes_of(
    tagged: Any,  # noqa: ANN401
    rules: Rules,
    name: str,
    *,
    as_of: date,
    min_size: int,
    also_hide: Sequence[str] = (),
) -> Sizes:
    """Return the sizes of a tag's values; of many values, of those anybody has.

    Parameters
    ----------
    tagged : table
        A row a user.
    rules : Rules
        The tags.
    name : str
        The tag.
    as_of : date
        The last day counted.
    min_size : int
        Smallest group that is told.
    also_hide : sequence of str, optional
        Values hidden in any case.

    Returns
    -------
    Sizes
        As `growth.segments.sizes`.
    """
    from growth import segments

    values = rules[name].names
    return segments.sizes(
        tagged,
        name,
        values=values if len(values) <= MANY else (),
        as_of=as_of,
        min_size=min_size,
        also_hide=also_hide,
    )


def overlap_of(
    watched: Watched,
    pairs: Iterable[tuple[str, str]],
    *,
    min_size: int,
    min_cell: int,
) -> Overlap | None:
    """Lay segments over each other, those whose size is told.

    Parameters
    ----------
    watched : Watched
        Tags and their sizes.
    pairs : iterable of (str, str)
        Tag and value of each segment, the one looked into first.
    min_size, min_cell : int
        Smallest group, and intersection, that is told.

    Returns
    -------
    Overlap or None
        Segments are called ``tag=value``; None where the first or all others are
        hidden, or not there.
    """
    from growth import segments

    asked = {
        f"{tag}={value}": segments.tag_in(tag, value)
        if tag in watched.sizes and _told(watched.sizes[tag], value)
        else None
        for tag, value in pairs
    }
    shown = {name: when for name, when in asked.items() if when is not None}
    if len(shown) < 2 or next(iter(asked.values())) is None:
        return None
    return segments.overlap(watched.tagged, shown, k=min_cell, min_size=min_size)


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


def hidden_of(sizes: Sizes) -> list[str]:
    """Return the values whose size is hidden.

    Parameters
    ----------
    sizes : Sizes
        Of a tag.

    Returns
    -------
    list of str
        In the order of the tag's values.
    """
    return [cell.value for cell in sizes.cells if cell.users is None]


def _told(sizes: Sizes, value: str) -> bool:
    known = {cell.value: cell.users for cell in sizes.cells}
    return known.get(value) is not None
