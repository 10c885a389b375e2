"""The kernel over the events: which one, with what, and what its rows mean."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np

from growth.dataset import table_of
from growth.engine.days import zone
from growth.errors import DataError
from growth.funnel.counting import Grouping, group_rows, reached_by
from growth.funnel.plan import Rows, kernel_arrays, ticks
from growth.funnel.tables.asking import DAY, touches
from growth.funnel.tables.breakdown import as_texts, bearing
from growth.funnel.tables.reading import (
    KEYED_BITS,
    Reading,
    event_names,
    held_null,
    kept_log,
    readings,
)
from growth.funnel.tables.remarks import absent, left_out

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from growth.dataset import Dataset
    from growth.engine import KeyPart, TableLike
    from growth.engine.layouts import Layout
    from growth.funnel.steps import FunnelSpec
    from growth.funnel.tables.asking import Columns
    from growth.result import Notice

    Ints = NDArray[np.int64]
    Combos = list[tuple[str | None, ...]]

__all__ = ["Walked", "walk"]

Table: TypeAlias = Any  # an Ibis table

MICROSECOND: Final = timedelta(microseconds=1)


class Walked(NamedTuple):
    """What the kernel gave, and what it means."""

    spec: FunnelSpec
    rows: Ints
    shape: Rows
    combos: Combos
    names: list[str]
    held_null: int
    notices: tuple[Notice, ...]

    def grouping(self, rows: Ints) -> Grouping:
        """Return the groups of rows."""
        values = self.shape.value(rows)
        return group_rows(self.spec.by, values, self.combos, apart=touches(self.spec))


def walk(
    events: TableLike | Dataset,
    spec: FunnelSpec,
    columns: Columns,
    *,
    edges: Sequence[datetime] | None = None,
    timed: bool = True,
    depth: int = 0,
    after: int = 0,
) -> Walked:
    """Read the events once and run the kernel over them."""
    from growth import engine

    source = table_of(events, "events")
    engine.need_columns(source, (columns.user, columns.ts, columns.event))
    kind = source[columns.event].type()
    if not (kind.is_string() or kind.is_null()):
        msg = f"column {columns.event!r} is of type {kind}; event names must be text;"
        raise DataError(f"{msg} cast it to text.", code="column_type")
    kept, stale = kept_log(events, spec, columns, depth)
    engine.need_columns(source, spec.by, unlocks="that breakdown")
    engine.need_columns(source, spec.hold, unlocks="holding that value")
    if source[columns.ts].type().is_date():
        spec, edges = _of_days(spec, edges)
        kept = None
    names = event_names(source, columns) if depth else []
    pass_ = _Pass(
        spec=spec,
        source=source,
        columns=columns,
        kept=kept,
        edges=edges or (spec.start, spec.end),
        timed=timed,
        depth=depth,
        after=after,
    )
    tried = (
        (reading, pass_.over(reading))
        for reading in readings(source, spec, columns, names, kept)
    )
    reading, found = next((one, got) for one, got in tried if got is not None)
    nulls = held_null(reading) if reading.grouped == 1 else 0
    everybody = Grouping.everybody(len(found.rows))
    reached = reached_by(spec, found.rows, found.shape, everybody)[0]
    remarks = [
        *stale,
        *left_out(source, columns),
        *absent(source, spec, columns, reached),
    ]
    return Walked(spec, *found, names, nulls, tuple(remarks))


def _of_days(
    spec: FunnelSpec, edges: Sequence[datetime] | None
) -> tuple[FunnelSpec, list[datetime] | None]:
    """Return the question in local time written as UTC, as dates are read."""
    where = zone(spec.tz)

    def local(at: datetime) -> datetime:
        return at.astimezone(where).replace(tzinfo=UTC)

    asked = replace(
        spec,
        start=local(spec.start),
        end=local(spec.end),
        as_of=local(spec.as_of),
        tz="UTC",
    )
    return asked, None if edges is None else [local(at) for at in edges]


class _Found(NamedTuple):
    rows: Ints
    shape: Rows
    combos: Combos


class _Call(NamedTuple):
    """A kernel, what it takes beside the keys, and the rows it gives."""

    kernel: Callable[..., Any]
    params: tuple[object, ...]
    shape: Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pass:
    """A question, put to the kernel over one reading of the events."""

    spec: FunnelSpec
    source: Table
    columns: Columns
    kept: Layout | None
    edges: Sequence[datetime]
    timed: bool
    depth: int
    after: int

    def over(self, reading: Reading) -> _Found | None:
        """Return the kernel's rows; None if there are too many values for a key."""
        from growth import engine

        spec, columns = self.spec, self.columns
        time, code = (
            engine.KeyPart(
                columns.ts, columns.ts, reading.low, reading.high - MICROSECOND
            ),
            engine.KeyPart("code", "growth_code", 0, len(reading.table.codes) - 1),
        )
        most = reading.room or len(reading.combos)
        value = engine.KeyPart("value", "growth_value", 0, most)
        keyed = time.bits + code.bits + value.bits <= KEYED_BITS
        carried = bool(reading.grouped) or (bool(spec.by) and not keyed)
        key = [time, code, value] if spec.by and not carried else [time, code]
        call = self._call(reading, key, value.bits, carried=carried)
        asked: dict[str, Any] = {"kernel": call.kernel, "params": call.params}
        named: dict[str, Any] = {
            "user_col": columns.user,
            "ts_col": columns.ts,
            "event_col": columns.event,
        }
        combos = reading.combos
        if reading.rows is not None:
            found = engine.map_by_user(
                reading.rows,
                key=key,
                payload=_payload(reading, spec) if carried else None,
                out="loose",
                user_col=columns.user,
                **asked,
            )
        elif self.kept is not None:
            found = self.kept.map_log(reading.events, time=time, code=code, **asked)
        elif not reading.room:
            found = engine.map_events(
                self.source, reading.events, time=time, code=code, **asked, **named
            )
        else:
            told = engine.map_events_by(
                self.source,
                reading.events,
                spec.by,
                bearing=bearing(spec, reading.table),
                time=time,
                code=code,
                value=value,
                **asked,
                **named,
            )
            if told is None:
                return None
            found, combos = told.found, as_texts(told.values)
        rows = found.values[0].reshape(-1, call.shape.width)
        return _Found(rows, call.shape, combos)

    def _call(
        self,
        reading: Reading,
        key: Sequence[KeyPart],
        value_bits: int,
        *,
        carried: bool,
    ) -> _Call:
        """Choose the kernel, and say the rules as it has them."""
        from growth import engine
        from growth.funnel import kernels

        spec, base = self.spec, ticks(reading.low)
        values = (len(spec.by) if touches(spec) else 1) if spec.by else 0
        shape = Rows(
            levels=len(spec.required),
            timed=self.timed,
            values=values,
            optional=len(spec.steps) - len(spec.required),
            depth=self.depth,
        )
        arrays = kernel_arrays(
            spec, reading.table, base=base, timed=self.timed, depth=self.depth,
            after=self.after, grouped=reading.grouped,
        )  # fmt: skip
        at = np.array([ticks(edge) - base for edge in self.edges])
        *shifts, user_at = engine.key_shifts(key)
        layout = np.array(
            [
                user_at,
                shifts[0],
                (1 << key[0].bits) - 1,
                shifts[1],
                (1 << key[1].bits) - 1,
                (1 << value_bits) - 1,
                (1 if not carried else 2) if spec.by else 0,
            ]
        )
        if not carried and _plain(spec, shape, at):
            params: tuple[object, ...] = (
                layout, arrays.rules, arrays.acts_at, arrays.acts, arrays.steps, at,
            )  # fmt: skip
            return _Call(kernels.quick, params, replace(shape, weighted=True))
        kernel = kernels.walk_grouped if carried else kernels.walk
        how = _attribution(spec, values)
        mids = _cuts(spec, reading.low, reading.high, base)
        return _Call(kernel, (layout, *arrays, at, mids, how, reading.known), shape)


def _payload(reading: Reading, spec: FunnelSpec) -> Mapping[str, str]:
    """Return what comes along beside the keys."""
    return {
        "group": "growth_group" if reading.grouped else "growth_none",
        "value": "growth_value" if spec.by else "growth_none",
    }


def _plain(spec: FunnelSpec, shape: Rows, edges: Ints) -> bool:
    """Whether the quick kernel will do."""
    return (
        spec.order == "ordered"
        and spec.count == "users"
        and spec.ties == "step_order"
        and spec.repeats == "allow"
        and not spec.exclude
        and not shape.optional
        and not shape.depth
        and not touches(spec)
        and spec.attribution == "step_1"
        and all(step.min_gap is None for step in spec.steps)
        and len(edges) == 2
    )


def _attribution(spec: FunnelSpec, values: int) -> Ints:
    """Return how each value is found, as the kernel has it."""
    how = {"step_1": 0, "first": 1, "last": 2}.get(spec.attribution)
    if how is None:
        how = 3 + int(spec.attribution.removeprefix("step_"))
    return np.full(values, how, np.int64)


def _cuts(spec: FunnelSpec, low: datetime, high: datetime, base: int) -> Ints:
    """Return the midnights that end sessions, in ticks."""
    if not spec.cut_midnight:
        return np.empty(0, np.int64)
    where = zone(spec.tz)
    day, last = low.astimezone(where).date(), high.astimezone(where).date()
    found = []
    while day <= last:
        found.append(ticks(datetime(day.year, day.month, day.day, tzinfo=where)) - base)
        day += DAY
    return np.array(found, np.int64)
