"""All units of a table taken together: as arrays, or as joint moments."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from growth.abtest.cells import MISSING, pooled
from growth.abtest.ready import prepare, scan
from growth.abtest.trends import read_day
from growth.abtest.units import Rows, UnitTable, measured
from growth.errors import DataError
from growth.result import Notice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from numpy.typing import NDArray

    from growth.abtest.experiment import Experiment
    from growth.abtest.readings import Threshold
    from growth.engine import TableLike
    from growth.stats.moments import Moments

__all__ = ["Totals", "UnitColumns", "read_columns", "read_totals"]


class UnitColumns(NamedTuple):
    """A unit table's columns as arrays, NaN for NULL; labels as numbers from 0."""

    columns: dict[str, NDArray[np.float64]]
    labels: dict[str, NDArray[np.int64]]
    notices: tuple[Notice, ...]


def read_columns(
    units: TableLike | UnitTable,
    experiment: Experiment,
    *,
    labels: Sequence[str] = (),
    as_of: date | datetime | None = None,
    unique: bool = False,
) -> UnitColumns:
    """Read what the metrics need of every unit in an open arm.

    Parameters
    ----------
    units, experiment, as_of, unique
        As in `analyze`; a table may lack the arms.
    labels : sequence of str, optional
        Columns whose values only tell rows apart: clusters, strata.

    Returns
    -------
    UnitColumns
        In the table's own order where that is fixed, else by unit. A quantile of
        lists (events) is left out, with a notice.

    Raises
    ------
    ColumnNotFoundError, DataError, ParameterError
        As in `analyze`.
    """
    from growth import engine

    built = isinstance(units, UnitTable)
    columns = experiment.columns
    units = _with_arms(units, experiment)
    extra = (columns.unit, *labels)
    ready = prepare(units, experiment, (extra,), as_of, unique=unique)
    opened = [arm for arm, weight in experiment.arms.items() if weight]
    table = ready.table.filter(ready.table[columns.variant].isin(opened))
    if built or ready.crossovers or engine.backend_of(table).name != "duckdb":
        table = table.order_by(columns.unit)
    marks = [f"{name}{MISSING}" for name in ready.holey]
    numbers = [*measured(experiment), *marks]
    lists = [name for name in numbers if table[name].type().is_array()]
    keep = {n: table[n].cast("float64") for n in numbers if n not in lists}
    keep |= {f"label_{n}": table[n].cast("string") for n in labels}
    batches = [*engine.stream_batches(table.select(**keep))]
    return UnitColumns(
        columns={
            n: _joined([batch.column(n) for batch in batches])
            for n in keep
            if n in numbers
        },
        labels={n: _coded([b.column(f"label_{n}") for b in batches]) for n in labels},
        notices=(
            *ready.notices,
            *(Notice("lists_left_out", "info", (("column", n),)) for n in lists),
        ),
    )


class Totals(NamedTuple):
    """All units of a table taken together.

    Parameters
    ----------
    moments : mapping
        Moments of all units (clusters, where these are randomised) by column set.
    caps : tuple of Threshold
        Where columns were capped.
    days : mapping of date to int
        Units by day of first exposure; empty if the table has no days.
    notices : tuple of Notice
        What was noticed.
    """

    moments: Mapping[tuple[str, ...], Moments]
    caps: tuple[Threshold, ...]
    days: Mapping[date, int]
    notices: tuple[Notice, ...]


def read_totals(
    units: TableLike | UnitTable,
    experiment: Experiment,
    *,
    as_of: date | datetime | None = None,
    unique: bool = False,
) -> Totals:
    """Read the joint moments of all units, whatever their arm.

    Parameters
    ----------
    units, experiment, as_of, unique
        As in `analyze`; a table may lack the arms.

    Returns
    -------
    Totals
        Of the units in an open arm.

    Raises
    ------
    ColumnNotFoundError, DataError, ParameterError
        As in `analyze`.
    """
    columns = experiment.columns
    units = _with_arms(units, experiment)
    ready = prepare(units, experiment, (), as_of, unique=unique)
    groupings: list[tuple[str, ...]] = [(columns.variant,)]
    if ready.has_day and experiment.cluster is None:
        groupings.append((columns.variant, columns.day))
    cells, remarks = scan(ready, experiment, groupings)
    opened = [c for c in cells if experiment.arms.get(str(c.key[0]))]
    days: dict[date, int] = defaultdict(int)
    for cell in opened:
        if len(cell.by) > 1:
            days[read_day(cell.key[1], columns.day)] += cell.rows
    whole = [cell for cell in opened if len(cell.by) == 1]
    if not whole:
        msg = "the table has no units in an open arm; it must have some; check the"
        raise DataError(f"{msg} arms and filters.", code="no_units")
    notices = (*ready.notices, *remarks)
    return Totals(pooled(whole), ready.caps, dict(sorted(days.items())), notices)


def _with_arms(
    units: TableLike | UnitTable, experiment: Experiment
) -> TableLike | UnitTable:
    """Return the units, all in the control arm where the table knows none."""
    from growth import engine
    from growth.abtest.tables import all_in_one_arm

    if isinstance(units, UnitTable):
        return units
    table: Rows = engine.as_table(units)
    if experiment.columns.variant in table.columns:
        return table
    return all_in_one_arm(table, experiment)


def _joined(parts: Sequence[Any]) -> NDArray[np.float64]:
    if not parts:
        return np.empty(0)
    return np.concatenate([part.to_numpy(zero_copy_only=False) for part in parts])


def _coded(parts: Sequence[Any]) -> NDArray[np.int64]:
    """Return each value's number from 0, NULL with a number of its own."""
    import pyarrow as pa

    if not parts:
        return np.empty(0, dtype=np.int64)
    coded = pa.chunked_array(parts).combine_chunks().dictionary_encode("encode")
    return np.asarray(coded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)
