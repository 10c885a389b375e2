"""The share-group of a unit's first exposure: who had brought whom by then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from growth.errors import ColumnNotFoundError
from growth.stats.groups import connected_groups

if TYPE_CHECKING:
    from growth.dataset import Dataset
    from growth.engine import TableLike

Rows: TypeAlias = Any  # an Ibis table, which only tables.py may name

__all__ = ["SHARE_GROUP", "share_groups"]

SHARE_GROUP: Final = "share_group"  # the cluster column that is built, not read


def share_groups(dataset: Dataset, base: Rows, *, after_us: int | None) -> TableLike:
    """Return the share-group of every exposed unit that shared or was shared to.

    Parameters
    ----------
    dataset : Dataset
        Canonical tables; `events` with ``share_from`` or ``group_id``.
    base : ibis.Table
        One row a unit: ``unit`` and the instant ``exposed_us``.
    after_us : int, optional
        Events before this instant (microseconds since 1970) are not looked at.

    Returns
    -------
    pyarrow.Table
        ``unit`` and ``cluster``, the first in order of the group's names. A unit
        that is not in it is a group of its own.

    Raises
    ------
    ColumnNotFoundError
        If the events have neither column.

    Notes
    -----
    A unit is linked with whoever a share came from (``share_from``), and with all
    who came through the same chat group (``group_id``), by its own events up to and
    with its first exposure. Linked units, and those linked with them, are one
    group, also through people who were never exposed. A link made later is an
    outcome and joins nobody. Chat groups of two data sets are told from users.
    """
    import pyarrow as pa

    from growth import engine

    events = dataset.require("events", "user_id")
    links = [name for name in ("share_from", "group_id") if name in events.columns]
    if not links:
        raise ColumnNotFoundError("share_from", events.columns, unlocks="share groups")
    rows = events.select(
        unit=events.user_id,
        at=engine.epoch_us(events.ts),
        **{name: events[name].cast("string") for name in links},
    )
    if after_us is not None:
        rows = rows.filter(rows.at >= after_us)
    near = rows.inner_join(base.select("unit", "exposed_us"), "unit")
    near = near.filter(near.at <= near.exposed_us)
    left: list[str] = []
    right: list[str] = []
    for name in links:
        mark = "u" if name == "share_from" else "g"  # a group is no user
        pairs = near.filter(near[name].notnull()).select("unit", other=near[name])
        found = engine.fetch(pairs.distinct(), "reading shares")
        left += [f"u{unit}" for unit in found["unit"].to_pylist()]
        right += [f"{mark}{other}" for other in found["other"].to_pylist()]
    groups = connected_groups(left, right)
    first: dict[str, str] = {}
    for name in sorted(name for name in groups if name.startswith("u")):
        first.setdefault(groups[name], name[1:])
    units = [name[1:] for name in groups if name.startswith("u")]
    return pa.table(
        {
            "unit": pa.array(units, "string"),
            "cluster": pa.array([first[groups[f"u{u}"]] for u in units], "string"),
        }
    )
