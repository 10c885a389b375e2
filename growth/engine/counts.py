"""Counts read from a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from growth.engine.statements import fetch
from growth.engine.tables import as_table, need_columns
from growth.errors import DataError

__all__ = ["UnitCounts", "count_units"]

if TYPE_CHECKING:
    from growth.engine.tables import TableLike


class UnitCounts(NamedTuple):
    """Units seen in exactly one group, by group, and how many were in several."""

    units: dict[str, int]
    crossovers: int


def count_units(table: TableLike, *, unit_col: str, group_col: str) -> UnitCounts:
    """Count distinct units per group; units seen in several groups are set aside.

    Parameters
    ----------
    table : ibis.Table, frame, Arrow data or path
        One row per exposure; rows may repeat.
    unit_col, group_col : str
        The unit that was randomised, and the group it was given.

    Returns
    -------
    UnitCounts
        Units per group, sorted by the group's text, 0 where every unit was seen in
        another group too; and the number of units in several groups.

    Raises
    ------
    ColumnNotFoundError
        If a column is missing.
    DataError
        If a unit or a group is NULL (code ``null_value``).
    """
    rows_of = as_table(table)
    need_columns(rows_of, (unit_col, group_col))
    source = rows_of.select(unit=unit_col, arm=group_col)
    # a unit is in several groups when its first is not its last
    units = source.group_by("unit").agg(
        low=source.arm.min(),
        high=source.arm.max(),
        whole=source.arm.count() == source.count(),
    )
    cells = units.group_by("low", "high").agg(
        n=units.count(), named=units.unit.count(), whole=units.whole.all()
    )
    found = fetch(cells, "counting units").to_pylist()
    for column, null in (
        (unit_col, any(row["named"] < row["n"] for row in found)),
        (group_col, any(not row["whole"] for row in found)),
    ):
        if null:
            msg = f"column {column!r} holds NULL; every row needs a value; drop those"
            raise DataError(f"{msg} rows or label them first.", code="null_value")
    arms = {row["low"] for row in found} | {row["high"] for row in found}
    several = [row for row in found if row["low"] != row["high"]]
    if several:  # a group may be nobody's first or last
        every = fetch(source.select("arm").distinct(), "counting units")
        arms.update(every["arm"].to_pylist())
    counted = {str(arm): 0 for arm in sorted(arms, key=str)}
    for row in found:
        if row["low"] == row["high"]:
            counted[str(row["low"])] += row["n"]
    return UnitCounts(counted, sum(row["n"] for row in several))
