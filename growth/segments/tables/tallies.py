"""Many questions of one table, counted by a kernel as rows stream by.

A group-by looks at every row once for each of its filtered aggregates. Counts in
nested windows, first and last instants need no more than one look: the engine says
which filters hold (a bit each), the kernel which span of time it is and adds one.
"""

from __future__ import annotations

from functools import reduce
from itertools import pairwise
from operator import add
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from growth.engine import as_table, backend_of, fetch, fold_by_user
from growth.segments.ops import TIMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import ibis.expr.types as ir
    from numpy.typing import NDArray

    from growth.engine.where import Where
    from growth.segments.tables.measures import Ask
    from growth.segments.tables.sources import Sources

    Array = NDArray[Any]

__all__ = ["tallied"]

MANY: Final = 8  # questions: below it a group-by is as fast
LARGE: Final = 1_000_000  # rows: below it a group-by is as fast
BITS: Final = 62  # filters at once
WIDEST: Final = 256  # counters of a user
INSTANTS: Final = ("latest", "earliest")


class _Layout(NamedTuple):
    """Where the kernel counts what, and what each question adds up."""

    filters: tuple[Where | None, ...]
    edges: Array
    count_at: Array
    latest_at: Array
    earliest_at: Array
    counters: tuple[tuple[str, tuple[int, ...]], ...]
    instants: tuple[tuple[str, int, bool], ...]


def tallied(
    sources: Sources, name: str, asks: Mapping[str, Ask]
) -> tuple[ir.Table, set[str]] | None:
    """Answer the questions a kernel can answer, where they are many.

    Parameters
    ----------
    sources : Sources
        The rows.
    name : str
        The table.
    asks : mapping of str to Ask
        Questions, by the column of the answer.

    Returns
    -------
    (ibis.Table, set of str) or None
        A row a user with the columns that were answered, which are named; None
        where a group-by does as well.
    """
    table = sources.rows(name)
    time = table[TIMES[name]]
    fit = {c: ask for c, ask in asks.items() if _fits(ask)}
    if len(fit) < MANY or not time.type().is_timestamp():
        return None
    if backend_of(table).name != "duckdb":
        return None  # else the answers of all users would come to one machine
    rows = sources.table(name)
    if fetch(rows.aggregate(n=rows.count()), "counting rows")["n"][0].as_py() < LARGE:
        return None
    layout = _layout(sources, fit)
    if len(layout.filters) > BITS or sum(len(c) for _, c in layout.counters) > WIDEST:
        return None
    return _answers(sources, table, time, layout), set(fit)


def _fits(ask: Ask) -> bool:
    return ask.what in ("rows", "within") or (ask.what in INSTANTS and not ask.tz)


def _span(sources: Sources, ask: Ask) -> tuple[int | None, int | None]:
    """Return the instants a question counts from and up to, None for no bound."""
    start = None if ask.last is None else sources.start(ask.last, ask.tz)
    end = sources.ends[ask.tz] if ask.tz else None
    if ask.what != "within":
        return start, end
    return (
        ask.span[0] if start is None else max(start, ask.span[0]),
        ask.span[1] if end is None else min(end, ask.span[1]),
    )


def _layout(sources: Sources, asks: Mapping[str, Ask]) -> _Layout:
    filters = {"None": None} | {repr(ask.where): ask.where for ask in asks.values()}
    places = {told: f for f, told in enumerate(filters)}
    spans = {c: _span(sources, ask) for c, ask in asks.items()}
    edges = np.unique([us for span in spans.values() for us in span if us is not None])
    edges = edges.astype(np.int64)
    wanted: list[tuple[str, int, range]] = []
    latest_at = np.full(len(filters), -1, np.int64)
    earliest_at = latest_at.copy()
    instants: list[tuple[str, int, bool]] = []
    # who has a row at all: the first counter
    all_spans = range(edges.size + 1)
    wanted.append(("", 0, all_spans))
    for column, ask in asks.items():
        f = places[repr(ask.where)]
        if ask.what in INSTANTS:
            at = latest_at if ask.what == "latest" else earliest_at
            at[f] = len(instants)
            instants.append((column, len(instants), ask.what == "latest"))
            continue
        start, end = spans[column]
        first = 0 if start is None else int(np.searchsorted(edges, start)) + 1
        stop = edges.size + 1 if end is None else int(np.searchsorted(edges, end)) + 1
        wanted.append((column, f, range(first, max(first, stop))))
    count_at = np.full((len(filters), edges.size + 1), -1, np.int64)
    used = 0
    for f in range(len(filters)):
        used = _number(count_at[f], [spans for _, g, spans in wanted if g == f], used)
    counters = tuple(
        (column, tuple(sorted({int(count_at[f, s]) for s in spans})))
        for column, f, spans in wanted
    )
    return _Layout(
        tuple(filters.values()),
        edges,
        count_at,
        latest_at,
        earliest_at,
        counters,
        tuple(instants),
    )


def _number(counters: Array, wanted: Sequence[range], used: int) -> int:
    """Give one filter's spans counters: one to spans nobody tells apart."""
    bounds = sorted({at for spans in wanted for at in (spans.start, spans.stop)})
    for first, stop in pairwise(bounds):
        if any(spans.start <= first < spans.stop for spans in wanted):
            counters[first:stop] = used
            used += 1
    return used


def _answers(
    sources: Sources, table: ir.Table, time: ir.Value, layout: _Layout
) -> ir.Table:
    import pyarrow as pa

    from growth.segments import kernels

    width = 1 + int(layout.count_at.max())
    found = fold_by_user(
        table,
        columns={"us": time, "mask": _mask(table, layout.filters)},
        state={
            "counts": ("int32", width),
            "ends": ("int64", max(len(layout.instants), 1)),
        },
        kernel=kernels.tally,
        params=(layout.edges, layout.count_at, layout.latest_at, layout.earliest_at),
        finish=_finish,
        finish_params=(layout,),
        out="rows",
        user_col=sources.user,
    )
    kind = table[sources.user].type().to_pyarrow()
    columns: dict[str, Any] = {sources.user: found.users.cast(kind)}  # type: ignore[union-attr]
    values = iter(found.values)
    for column, _ in layout.counters[1:]:
        columns[column] = pa.array(next(values))
    instant = pa.timestamp("us", "UTC" if time.type().timezone else None)
    for column, _, _ in layout.instants:
        us = next(values)
        columns[column] = pa.array(us, mask=us == kernels.FAR).cast(instant)
    made = as_table(pa.table(columns))
    wide = {column: made[column].cast("int64") for column, _ in layout.counters[1:]}
    return made.mutate(wide) if wide else made


def _finish(counts: Array, ends: Array, layout: _Layout) -> tuple[Array, ...]:
    """Add up the counters of each question; users without a row are skipped."""
    from growth.segments.kernels import FAR, totals

    sizes = [len(counters) for _, counters in layout.counters]
    starts = np.cumsum([0, *sizes])
    flat = np.array([c for _, counters in layout.counters for c in counters], np.int64)
    seen, found = totals(counts, flat, starts)
    instants = []
    for _, i, late in layout.instants:
        kept = ends[seen, i]
        instants.append(np.where(kept == 0, FAR, kept - FAR if late else FAR - kept))
    return seen, *found[1:], *instants


def _mask(table: ir.Table, filters: Sequence[Where | None]) -> ir.Value:
    """Return which filters hold, a bit each: one CASE for what a column equals."""
    import ibis

    def bit(f: int) -> ir.Value:
        return ibis.literal(1 << f, "int64")

    none, terms = ibis.literal(0, "int64"), []
    equals: dict[str, list[tuple[str, int]]] = {}
    for f, where in enumerate(filters):
        if where is None:
            terms.append(bit(f))
            continue
        holds = where.to_ibis(table)
        if where.op == "eq" and isinstance(where.value, str):
            equals.setdefault(where.column, []).append((where.value, f))
        else:
            terms.append(holds.ifelse(bit(f), none))
    for column, values in equals.items():
        terms.append(table[column].cases(*((v, bit(f)) for v, f in values), else_=none))
    return reduce(add, terms)
