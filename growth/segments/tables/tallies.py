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

from growth.engine import as_table, backend_of, epoch_us, fetch, fold_by_user
from growth.segments.evaluate import day_number
from growth.segments.ops import TIMES
from growth.segments.tables.asks import Ask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import ibis.expr.types as ir
    from numpy.typing import NDArray

    from growth.engine import ByUser
    from growth.engine.where import Where
    from growth.segments.tables.sources import Sources

    Array = NDArray[Any]

__all__ = ["added", "beside", "tallied"]

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
    if not time.type().is_timestamp() or not _pays(sources.table(name), fit):
        return None
    layout = _layout(sources, fit)
    if len(layout.filters) > BITS or sum(len(c) for _, c in layout.counters) > WIDEST:
        return None
    return _answers(sources, table, time, layout), set(fit)


def added(
    sources: Sources,
    sums: ir.Table,
    asks: Mapping[str, Ask],
    partial: Callable[[Ask], str],
    tz: str,
) -> tuple[ir.Table, set[str]] | None:
    """Answer from sums of days what a kernel can answer, where that is much.

    Parameters
    ----------
    sources : Sources
        Whose tags.
    sums : ibis.Table
        A row a user and day (``growth_on``), with partials.
    asks : mapping of str to Ask
        Questions, by the column of the answer.
    partial : callable
        The column of `sums` that a question adds up.
    tz : str
        The zone of the days.

    Returns
    -------
    (ibis.Table, set of str) or None
        As `tallied`.
    """
    fit = {c: ask for c, ask in asks.items() if _fits(ask)}
    if not _pays(sums, fit):
        return None
    layout = _layout(sources, fit)
    if sum(len(c) for _, c in layout.counters) > WIDEST:
        return None
    edges = np.array([day_number(int(us), tz) for us in layout.edges], np.int64)
    counted, columns = [], {"day": "growth_on"}
    for f, where in enumerate(layout.filters):
        if (layout.count_at[f] >= 0).any():
            counted.append(layout.count_at[f])
            columns[f"n{f}"] = partial(Ask("rows", where))
    ends = [(i, 1 if late else -1) for _, i, late in layout.instants]
    for column, i, _ in layout.instants:
        instant = epoch_us(sums[partial(fit[column])])
        columns[f"us{i}"] = instant.fill_null(-(2**62))
    found = fold_by_user(
        sums,
        columns=columns,
        state=_state(layout),
        kernel=_add_days,
        params=(tuple(counted), tuple(ends), edges),
        finish=_finish,
        finish_params=(layout,),
        out="rows",
        user_col=sources.user,
        batch_rows=1 << 16,  # columns go one by one: what they need stays in the cache
    )
    kind = sums[partial(fit[layout.instants[0][0]])].type() if ends else None
    return _table(found, sums[sources.user].type(), kind, layout, sources.user), {*fit}


def _add_days(users: Array, days: Array, *rest: Any) -> None:  # noqa: ANN401
    from growth.segments import kernels

    *columns, counts, ends, counted, instants, edges = rest
    for rows, count_at in zip(columns, counted, strict=False):
        kernels.tally_days(users, days, rows, counts, edges, count_at)
    for us, (i, sign) in zip(columns[len(counted) :], instants, strict=True):
        kernels.raise_ends(users, us, ends, i, sign)


def beside(
    counted: tuple[ir.Table, set[str]] | None,
    rows: ir.Table,
    user: str,
    values: Mapping[str, ir.Value],
) -> ir.Table:
    """Return a row a user: what was counted, and the rest by a group-by.

    Parameters
    ----------
    counted : (ibis.Table, set of str) or None
        From `tallied` or `added`.
    rows : ibis.Table
        What is grouped.
    user : str
        Who.
    values : mapping of str to Ibis aggregate
        What was not counted.

    Returns
    -------
    ibis.Table
        The columns of both.
    """
    if counted is None:
        return rows.group_by(user).agg(**values)
    if not values:
        return counted[0]
    grouped = rows.group_by(growth_left=rows[user]).agg(**values)
    joined = counted[0].left_join(grouped, counted[0][user] == grouped.growth_left)
    return joined.drop("growth_left")


def _pays(rows: ir.Table, fit: Mapping[str, Ask]) -> bool:
    """Return whether there is enough to do for a kernel."""
    if len(fit) < MANY or backend_of(rows).name != "duckdb":
        return False  # elsewhere the answers of all users would come to one machine
    found = fetch(rows.aggregate(n=rows.count()), "counting rows")
    return bool(found["n"][0].as_py() >= LARGE)


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
    from growth.segments import kernels

    found = fold_by_user(
        table,
        columns={"us": time, "mask": _mask(table, layout.filters)},
        state=_state(layout),
        kernel=kernels.tally,
        params=(layout.edges, layout.count_at, layout.latest_at, layout.earliest_at),
        finish=_finish,
        finish_params=(layout,),
        out="rows",
        user_col=sources.user,
    )
    user = sources.user
    return _table(found, table[user].type(), time.type(), layout, user)


def _state(layout: _Layout) -> dict[str, tuple[str, int]]:
    """Return the arrays a kernel fills."""
    width = 1 + int(layout.count_at.max())
    return {
        "counts": ("int32", width),
        "ends": ("int64", max(len(layout.instants), 1)),
    }


def _table(
    found: ByUser,
    user_type: Any,  # noqa: ANN401
    time_type: Any,  # noqa: ANN401
    layout: _Layout,
    user: str,
) -> ir.Table:
    """Return what a kernel found as a table."""
    import pyarrow as pa

    from growth.segments.kernels import FAR

    users = found.users.cast(user_type.to_pyarrow())  # type: ignore[union-attr]
    columns: dict[str, Any] = {user: users}
    values = iter(found.values)
    for column, _ in layout.counters[1:]:
        columns[column] = pa.array(next(values))
    for column, _, _ in layout.instants:
        us = next(values)
        instant = pa.timestamp("us", "UTC" if time_type.timezone else None)
        columns[column] = pa.array(us, mask=us == FAR).cast(instant)
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
        alike = where.op == "eq" and isinstance(where.value, str)
        # only where a column is text is its value not read as something else
        if alike and table[where.column].type().is_string():
            equals.setdefault(where.column, []).append((str(where.value), f))
        else:
            terms.append(holds.ifelse(bit(f), none))
    for column, values in equals.items():
        terms.append(table[column].cases(*((v, bit(f)) for v, f in values), else_=none))
    return reduce(add, terms)
