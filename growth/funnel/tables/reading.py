"""From a table of events to what a kernel is given: rows, or names, with codes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np

from growth.funnel.plan import CodeTable, code_table, ticks
from growth.funnel.steps import ANY, Exclusion, FunnelSpec, Step
from growth.funnel.tables.asking import DAY, Columns, touches
from growth.funnel.tables.breakdown import combinations, valued

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from growth.dataset import Dataset
    from growth.engine import TableLike, Where
    from growth.engine.layouts import Layout
    from growth.result import Notice

__all__ = [
    "KEYED_BITS",
    "Reading",
    "event_names",
    "held_null",
    "kept_log",
    "readings",
]

Table: TypeAlias = Any  # an Ibis table
Expr: TypeAlias = Any  # an Ibis expression

MICROSECOND: Final = timedelta(microseconds=1)
TRIED: Final = 4  # filters of one event whose combinations are all given a code
HASHES: Final = 2**60
NEVER: Final = -(2**62)  # as the kernel has it: takes no part
WALLET, STAYS = 1 << 20, 1 << 21
KEYED_BITS: Final = 50  # of a key below the user, a breakdown's value included
MOST_ROOM: Final = 10  # bits of it, where values are numbered as they are met
BACK_FROM_ANOTHER: Final = 1038


class Reading(NamedTuple):
    """What the kernel is to be given.

    Rows with `growth_code`, `growth_group`, `growth_value`; or, where the name of an
    event is all that matters, the code of each instead; `room` is for how many values
    of a breakdown a key has place, where they are numbered as they are met.
    """

    rows: Table  # or None
    events: dict[str | None, int]
    table: CodeTable
    combos: list[tuple[str | None, ...]]
    known: NDArray[np.bool_]
    low: datetime
    high: datetime
    grouped: int
    room: int = 0


def readings(
    source: Table,
    spec: FunnelSpec,
    columns: Columns,
    names: Sequence[str],
    kept: Layout | None,
) -> Iterator[Reading]:
    """Yield the ways to read the events, the cheapest first; the last always does."""
    if kept is not None:
        yield _of_log(spec)
        return
    about = _about(source, spec, columns, names)
    if not about.grouped and (coded := about.table.by_name()) is not None:
        events = coded if spec.as_of > about.low else {}
        if not spec.by:
            yield about.named(events)
            return
        # beside the times and codes, the rest of a key is for values and users
        held = (about.high - about.low) // MICROSECOND
        codes = max(len(about.table.codes) - 1, 0)
        room = KEYED_BITS - held.bit_length() - codes.bit_length()
        if room > 0 and not touches(spec):
            yield about.named(events, room=(1 << min(room, MOST_ROOM)) - 1)
    yield _of_rows(about, spec, columns)


class _About(NamedTuple):
    """What is known of the rows before they are read."""

    seen: Table
    table: CodeTable
    low: datetime
    high: datetime
    grouped: int
    everything: bool

    def named(self, events: dict[str | None, int], *, room: int = 0) -> Reading:
        """Return the reading by the names of events."""
        known = np.zeros((0, 0), np.bool_)
        return Reading(
            None, events, self.table, [], known, self.low, self.high, self.grouped, room
        )


def _about(
    source: Table, spec: FunnelSpec, columns: Columns, names: Sequence[str]
) -> _About:
    """Return which rows matter, and the codes of their events."""
    from growth.engine.days import within

    derived = spec.count == "sessions" and columns.session not in source.columns
    grouped = 2 if derived else int(bool(spec.hold) or spec.count == "sessions")
    everything = derived or spec.order == "strict" or bool(names)
    low = spec.start - DAY if derived else spec.start
    high = max(min(spec.end + spec.span, spec.as_of), low + MICROSECOND)
    last = min(high, max(spec.as_of, low)) - MICROSECOND
    seen = within(source, columns.ts, ticks(low), ticks(last))
    table = code_table(
        spec,
        everything=everything or touches(spec),
        sessions=derived,
        names=names,
        seen=_together(seen, spec, columns),
    )
    return _About(seen, table, low, high, grouped, everything)


def kept_log(
    events: TableLike | Dataset, spec: FunnelSpec, columns: Columns, depth: int
) -> tuple[Layout | None, tuple[Notice, ...]]:
    """Return the log of users, where one was built and answers the question."""
    from growth.engine import layouts

    items: list[Step | Exclusion] = [*spec.steps, *spec.exclude]
    plain = all(item.filter is None for item in items)
    usual = Columns()[:3] == columns[:3]
    if not (plain and usual) or spec.by or spec.hold or depth:
        return None, ()
    if spec.count == "sessions":
        return None, ()
    found = layouts.find(events, tz=spec.tz, log=True)
    return found.layout, found.notices


def _of_log(spec: FunnelSpec) -> Reading:
    """Return which events of the log of users are read, and what they are coded as."""
    table = code_table(spec, everything=spec.order == "strict")
    high = max(min(spec.end + spec.span, spec.as_of), spec.start + MICROSECOND)
    nothing = np.zeros((0, 0), bool)
    asked = (table.by_name() or {}) if spec.as_of > spec.start else {}
    return Reading(None, asked, table, [], nothing, spec.start, high, 0)


def _of_rows(about: _About, spec: FunnelSpec, columns: Columns) -> Reading:
    """Return the rows the kernel needs, a row an event, with a code each."""
    import ibis

    table, grouped = about.table, about.grouped
    coded = about.seen.mutate(growth_code=_code(about.seen, table, columns.event))
    if touches(spec) and not about.everything:
        useful = [i for i, code in enumerate(table.codes) if code.steps]
        useful += [i for i, code in enumerate(table.codes) if code.exclusions]
        known = coded[spec.by[0]].notnull()
        for name in spec.by[1:]:
            known = known | coded[name].notnull()
        coded = coded.filter(coded.growth_code.isin(useful) | known)
    elif None not in table.cases and (spec.by or grouped):
        # where nothing else is read, leaving out rows without a code is cheaper
        listed = [name for name in table.cases if name is not None]
        coded = coded.filter(coded[columns.event].isin(listed))
        if any(cases.filters for cases in table.cases.values()):
            coded = coded.filter(coded.growth_code.notnull())
    chosen = {columns.user: coded[columns.user], columns.ts: coded[columns.ts]}
    chosen["growth_code"] = coded.growth_code
    if grouped == 1:
        held = [*spec.hold]
        if spec.count == "sessions":
            held.append(columns.session)
        chosen["growth_group"] = _hashed(coded, held)
    elif grouped == 2:
        chosen["growth_group"] = _scene(coded)
    combos: list[tuple[str | None, ...]] = []
    lookup = None
    if spec.by:
        combos, lookup = combinations(coded, spec, table)
        chosen |= {f"growth_by_{i}": coded[name] for i, name in enumerate(spec.by)}
    rows = coded.select(**chosen)
    if lookup is not None:
        rows = valued(rows, lookup, combos, spec)
    rows = rows.mutate(growth_none=ibis.literal(0, "int64"))
    mask = np.array(
        [[combo[b] is not None for combo in combos] for b in range(len(spec.by))], bool
    ).reshape(len(spec.by), len(combos))
    return Reading(rows, {}, table, combos, mask, about.low, about.high, grouped)


def _code(table: Table, codes: CodeTable, event: str) -> Expr:
    """Return the code of each row; NULL where it is none."""
    import ibis

    def of(name: str | None) -> Expr:
        cases = codes.cases[name]
        if not cases.filters:
            return ibis.literal(cases.codes[0], "int16")
        held = ibis.literal(0, "int64")
        for i, where in enumerate(cases.filters):
            true = where.to_ibis(table).fill_null(False)  # noqa: FBT003
            held = held + true.ifelse(1 << i, 0)
        pairs = [(bits, ibis.literal(c, "int16")) for bits, c in cases.codes.items()]
        return held.cases(*pairs)

    named = [(name, of(name)) for name in codes.cases if name is not None]
    if not named:
        return of(None)
    other = of(None) if None in codes.cases else ibis.null("int16")
    return table[event].cases(*named, else_=other)


def _together(
    table: Table, spec: FunnelSpec, columns: Columns
) -> dict[str | None, set[int]] | None:
    """Return which filters of an event are true together, where they are many."""
    import ibis

    from growth import engine

    items: list[Step | Exclusion] = [*spec.steps, *spec.exclude]
    found: dict[str | None, set[int]] = {}
    for name in {event for item in items for event in item.events} | {None}:
        tested: list[Where] = [
            item.filter
            for item in items
            if item.filter is not None and (name in item.events or ANY in item.events)
        ]
        if len(tested) <= TRIED:
            continue
        rows = (
            table if name in (None, ANY) else table.filter(table[columns.event] == name)
        )
        held = ibis.literal(0, "int64")
        for i, where in enumerate(tested):
            held = held + where.to_ibis(rows).fill_null(False).ifelse(1 << i, 0)  # noqa: FBT003
        seen = engine.fetch(rows.select(held=held).distinct(), "reading filters")
        found[None if name == ANY else name] = set(seen["held"].to_pylist()) | {0}
    return found or None


def _hashed(table: Table, held: Sequence[str]) -> Expr:
    """Return a number that stands for the values held; NULL takes no part."""
    import ibis

    from growth import engine

    texts = [table[name].cast("string") for name in held]
    known = texts[0].notnull()
    whole = texts[0]
    for text in texts[1:]:
        known = known & text.notnull()
        whole = whole + ibis.literal("\x1f") + text
    number = engine.stable_bucket(whole, HASHES, "hold")
    return known.ifelse(number, ibis.literal(NEVER, "int64"))


def _scene(table: Table) -> Expr:
    """Return the scene with what sessions ask about it; -1 where there is none."""
    import ibis

    from growth.dataset.lookups import scenes

    if "scene" not in table.columns:
        return ibis.literal(-1, "int64")
    scene = table["scene"].cast("int64")
    wallet = [
        n for n, row in scenes().items() if row["entry_group"] == "payment_wallet"
    ]
    flags = scene.isin(wallet).ifelse(WALLET, 0)
    flags = flags + (scene == BACK_FROM_ANOTHER).ifelse(STAYS, 0)
    return scene.isnull().ifelse(ibis.literal(-1, "int64"), scene + flags)


def held_null(reading: Reading) -> int:
    """Count events of a step whose held value is unknown."""
    from growth import engine

    steps = [i for i, code in enumerate(reading.table.codes) if code.steps]
    rows = reading.rows
    there = rows.growth_code.isin(steps) & (rows.growth_group == NEVER)
    found = engine.fetch(rows.aggregate(n=there.sum()), "counting what is held")
    return int(found["n"][0].as_py() or 0)


def event_names(source: Table, columns: Columns) -> list[str]:
    """Return the names of all events, in order."""
    from growth import engine

    names = source.select(name=source[columns.event]).distinct()
    found = engine.fetch(names, "reading event names")
    return sorted(name for name in found["name"].to_pylist() if name is not None)
