"""What is said beside the counts: of the data, and of what was left out of it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from growth.errors import DataError, suggest
from growth.funnel.results import notice
from growth.funnel.steps import ANY, FunnelSpec, span_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from growth.funnel.tables.asking import Columns
    from growth.result import Notice

    Ints = NDArray[np.int64]

__all__ = ["absent", "left_out", "remarks"]

Table: TypeAlias = Any  # an Ibis table

MICROSECOND: Final = timedelta(microseconds=1)
MOST_NULL: Final = 0.01
LISTED: Final = 1000  # event names read for suggestions


def remarks(spec: FunnelSpec, entered: int, young: int) -> Iterable[Notice]:
    """Tell of entries that are too young, and of chains that are not users."""
    if young:
        code = "immature_entries" if spec.immature == "drop" else "immature_kept"
        yield notice(code, "info", n=young, window=span_text(spec.span))
    if young and not entered:
        yield notice("funnel_too_young", date=_first_date(spec).isoformat())
    if spec.count == "totals" and entered:
        yield notice("chains_not_users", "info")


def _first_date(spec: FunnelSpec) -> date:
    """Return the first `as_of` at which an entry of the range's start is mature."""
    from zoneinfo import ZoneInfo

    ready = spec.start + spec.span + spec.lag - MICROSECOND
    return ready.astimezone(ZoneInfo(spec.tz)).date()


def left_out(source: Table, columns: Columns) -> list[Notice]:
    """Tell of rows without a user or without a time, wherever in the table.

    They are counted apart: a filter that let them through could not skip what lies
    outside the range.
    """
    from growth import engine

    told = []
    for column, n in engine.count_nulls(source, (columns.user, columns.ts)).items():
        if not n:
            continue
        found = engine.fetch(source.count().as_table(), "counting rows")
        rows = int(found[0][0].as_py())
        if n > MOST_NULL * rows:
            msg = f"column {column!r} is NULL in {n} of {rows} rows; at most 1 % may be"
            msg = f"{msg} left out; drop those rows first, or mend the export."
            raise DataError(msg, code="null_key")
        told.append(notice("rows_left_out", column=column, rows=n))
    return told


def absent(
    source: Table, spec: FunnelSpec, columns: Columns, reached: Ints
) -> Iterable[Notice]:
    """Look for events that may not be in the data at all; the first must be."""
    from growth import engine

    doubtful = dict.fromkeys(
        name
        for i, step in enumerate(spec.steps)
        if not reached[i] or len(step.events) > 1
        for name in step.events
    )
    doubtful |= dict.fromkeys(name for item in spec.exclude for name in item.events)
    doubtful.pop(ANY, None)
    if not doubtful:
        return []
    rows = source.filter(source[columns.event].isin(list(doubtful)))
    present = rows.select(name=rows[columns.event]).distinct()
    found = engine.fetch(present, "looking for events")["name"].to_pylist()
    missing = [name for name in doubtful if name not in found]
    if not missing:
        return []
    known = source.select(name=source[columns.event]).distinct().limit(LISTED)
    names = engine.fetch(known, "reading event names")["name"].to_pylist()
    names = sorted(name for name in names if name is not None)
    first = spec.steps[0]
    if set(first.events) <= set(missing):
        msg = f"step 1 is {first.name!r}, and no such event is in the data; it must be"
        msg = f"{msg} one of {names[:20]}; correct the name."
        raise DataError(msg + suggest(first.events[0], names), code="event_absent")
    return [
        notice("event_absent", event=name, hint=suggest(name, names).strip())
        for name in missing
    ]
