"""The funnel, asked of a table: rows to codes, codes to the kernel, rows back."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypedDict, Unpack

import numpy as np

from growth.dataset import table_of
from growth.errors import DataError, ParameterError, suggest
from growth.funnel.counting import (
    EXCLUDED,
    YOUNG,
    Grouping,
    group_rows,
    reached_by,
    step_times,
    steps_by,
)
from growth.funnel.paths import Paths, links_of
from growth.funnel.plan import CodeTable, Rows, code_table, kernel_arrays, ticks
from growth.funnel.results import FunnelResult, notice
from growth.funnel.steps import (
    ANY,
    Attribution,
    Count,
    Entry,
    Exclusion,
    ExclusionRule,
    FunnelSpec,
    Immature,
    Order,
    Reentry,
    Repeats,
    Step,
    StepLike,
    Ties,
    parse_steps,
)
from growth.funnel.trends import FunnelTrend, trend_days
from growth.stats.arguments import names_of, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from growth.dataset import Dataset
    from growth.engine import ByUser, KeyPart, TableLike, Where
    from growth.engine.layouts import Layout
    from growth.result import Notice

    Ints = NDArray[np.int64]

__all__ = ["Rules", "measure", "paths", "trend"]

Table: TypeAlias = Any  # an Ibis table
Expr: TypeAlias = Any  # an Ibis expression

MICROSECOND: Final = timedelta(microseconds=1)
DAY: Final = timedelta(days=1)
TRIED: Final = 4  # filters of one event whose combinations are all given a code
KEYED_BITS: Final = 50  # of a key below the user, a breakdown's value included
MOST_VALUES: Final = 1_000_000
CASES: Final = 16  # values told apart in an expression; more are joined
HASHES: Final = 2**60
NEVER: Final = -(2**62)  # as the kernel has it: takes no part
WALLET, STAYS = 1 << 20, 1 << 21
BACK_FROM_ANOTHER: Final = 1038
MOST_NULL: Final = 0.01
LISTED: Final = 1000  # event names read for suggestions


class Rules(TypedDict, total=False):
    """What `trend` and `paths` take as `measure` does."""

    lag: str | timedelta
    window: str | timedelta | None
    order: Order
    entry: Entry
    count: Count
    ties: Ties
    repeats: Repeats
    reentry: Reentry
    hold: str | Sequence[str] | None
    exclude: Sequence[Exclusion]
    exclusion: ExclusionRule
    by: str | Sequence[str]
    attribution: Attribution
    tz: str
    cut_midnight: bool
    user_col: str
    ts_col: str
    event_col: str
    session_col: str


class Columns(NamedTuple):
    """Where in the table what is."""

    user: str = "user_id"
    ts: str = "ts"
    event: str = "event"
    session: str = "session_id"


def measure(  # noqa: PLR0913
    events: TableLike | Dataset,
    *,
    steps: Sequence[StepLike],
    start: date | datetime,
    end: date | datetime,
    as_of: date | datetime | None = None,
    lag: str | timedelta = "0h",
    window: str | timedelta | None = "7d",
    order: Order = "ordered",
    entry: Entry = "any",
    count: Count = "users",
    ties: Ties = "step_order",
    repeats: Repeats = "allow",
    reentry: Reentry = "restart",
    hold: str | Sequence[str] | None = None,
    exclude: Sequence[Exclusion] = (),
    exclusion: ExclusionRule = "attempt",
    immature: Immature = "drop",
    by: str | Sequence[str] = (),
    attribution: Attribution = "step_1",
    tz: str = "Asia/Shanghai",
    cut_midnight: bool = False,
    user_col: str = "user_id",
    ts_col: str = "ts",
    event_col: str = "event",
    session_col: str = "session_id",
) -> FunnelResult:
    """Count who gets how far through steps, and how long it takes.

    Parameters
    ----------
    events : Dataset, ibis.Table, frame, Arrow data or path
        One row an event: user, instant, event name. Rows may come in any order.
    steps : sequence of str, list of str, Step or mapping
        2 to 32 events, in order.
    start, end : date or aware datetime
        Entries (events of the first step) are counted in ``[start, end)``; later
        steps are read up to a window after it. A date is its local midnight.
    as_of : date or aware datetime
        Up to when the log is known: a date is the last day counted. It must be
        given. Rows at or after it are not read.
    lag : str or timedelta, default "0h"
        How late events may arrive; see `immature`.
    window : str, timedelta or None, default "7d"
        Most time from the first step to any other, inclusive. None: each step has
        a ``max_gap``.
    order : {"ordered", "strict", "any"}
        ``ordered``: other events may come between. ``strict``: none may. ``any``:
        the level is the most steps within one window, in whatever order.
    entry : {"any", "first"}
        Whether each event of the first step may begin a chain, or only a user's
        first in the range.
    count : {"users", "sessions", "totals"}
        What is counted: users; sessions, a chain being inside one; or every
        completed chain, none overlapping another. Of totals each step counts the
        chains that end there.
    ties : {"step_order", "strict"}
        Whether events of one instant count as ordered, or a step must be later.
    repeats : {"allow", "break"}
        Whether a second event of a step past the first ends the chain.
    reentry : {"restart", "ignore"}
        Whether, in a strict order, an event of the first step breaks it.
    hold : str or sequence of str, optional
        Columns all steps must share a value of, such as ``"product_id"``. A user's
        level is the best over values; unknown values take no part.
    exclude : sequence of Exclusion, optional
        Events that must not come between two steps.
    exclusion : {"attempt", "user"}
        Whether they end the attempt, the level reached staying, or put the user
        out of the funnel.
    immature : {"drop", "keep"}
        What becomes of entries whose window is not over at ``as_of - lag``.
    by : str or sequence of str, optional
        Breakdown columns.
    attribution : {"step_1", "first", "last", "step_2", ...}
        Whose value a breakdown takes: that of a step of the winning chain (the
        first to reach the user's highest level), or the first, or the last up to
        the last step reached, known value in the range.
    tz : str, default "Asia/Shanghai"
        The zone of dates.
    cut_midnight : bool, default False
        Whether sessions that are worked out here end at midnight.
    user_col, ts_col, event_col, session_col : str
        Columns. Where there is no `session_col`, sessions are worked out: a gap of
        30 minutes or a launch from another scene begins one.

    Returns
    -------
    FunnelResult
        Steps with Wilson intervals, times, and who was left out.

    Raises
    ------
    ParameterError
        With all that is wrong with the question: ``range``, ``steps``,
        ``unknown_order`` and so on.
    ColumnNotFoundError
        If a column is missing.
    DataError
        If no event of the first step is in the data (code ``event_absent``), a time
        is no instant (``column_type``), or over 1 % of the rows lack a user or time
        (``null_key``).

    Notes
    -----
    For each level the newest chain that reached it is kept: for a window, and for
    the most a gap may be, no older one does better. An event that is several steps
    is tried from the last to the first, so it never fills two. Equal rows are two
    events. One scan, a sort of packed integers, and one pass.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from datetime import UTC, date, datetime
    >>> at = [datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in (1, 2, 3)]
    >>> log = pa.table(
    ...     {"user_id": ["a", "a", "b"], "ts": at, "event": ["view", "pay", "view"]}
    ... )
    >>> result = measure(
    ...     log,
    ...     steps=["view", "pay"],
    ...     start=date(2026, 3, 1),
    ...     end=date(2026, 3, 2),
    ...     as_of=date(2026, 3, 20),
    ... )
    >>> [(step.name, step.reached) for step in result.steps]
    [('view', 2), ('pay', 1)]
    """
    spec = _declared(
        steps, start, end, as_of, immature=immature, lag=lag, window=window,
        order=order, entry=entry, count=count, ties=ties, repeats=repeats,
        reentry=reentry, hold=hold, exclude=exclude, exclusion=exclusion, by=by,
        attribution=attribution, tz=tz, cut_midnight=cut_midnight,
    )  # fmt: skip
    columns = Columns(user_col, ts_col, event_col, session_col)
    walked = _walk(events, spec, columns)
    rows, shape = walked.rows, walked.shape
    flags, many = shape.flags(rows), shape.counts(rows)
    everybody = Grouping.everybody(len(rows))
    totals = steps_by(spec, rows, shape, everybody)
    times = step_times(spec, rows, shape, everybody)
    parts = totals
    if spec.by:
        kept = shape.level(rows) > 0
        rows = rows[kept]
        grouping = walked.grouping(rows)
        parts = steps_by(spec, rows, shape, grouping)
        times += step_times(spec, rows, shape, grouping)
    young = int(many[(flags & YOUNG) > 0].sum())
    return FunnelResult(
        spec=spec,
        steps=parts,
        totals=totals,
        times=times,
        immature_users=young,
        excluded_users=int(many[(flags & EXCLUDED) > 0].sum()),
        hold_null_events=walked.held_null,
        notices=(*walked.notices, *_remarks(spec, totals[0].reached, young)),
    )


def trend(
    events: TableLike | Dataset,
    *,
    steps: Sequence[StepLike],
    start: date | datetime,
    end: date | datetime,
    as_of: date | datetime | None = None,
    **rules: Unpack[Rules],
) -> FunnelTrend:
    """Follow a funnel by the day of entry.

    Parameters
    ----------
    events, steps, start, end, as_of
        As in `measure`.
    **rules
        The other arguments of `measure`, but `immature`: a day is complete once the
        window of its last entry is over, and has no rate before.

    Returns
    -------
    FunnelTrend
        Each user once per local day of entry, by that day's entries only, so days
        do not add up to the whole range's users.

    Raises
    ------
    ParameterError, DataError
        As in `measure`.
    """
    spec, columns = _with_rules(steps, start, end, as_of, rules)
    edges = _midnights(spec)
    walked = _walk(events, spec, columns, edges=edges, timed=False)
    rows, shape = walked.rows, walked.shape
    rows = rows[shape.level(rows) > 0]
    slot = shape.slot(rows)
    if spec.by:
        groups = walked.grouping(rows)
        labels = groups.labels
        of_row = groups.of_row * (len(edges) - 1) + slot
    else:
        labels, of_row = ((),), slot
    cells = Grouping(of_row, ((),) * (len(labels) * (len(edges) - 1)))
    counts = reached_by(spec, rows, shape, cells)
    found = trend_days(spec, edges, labels, counts)
    remarks = [notice("days_do_not_sum", "info")] if len(edges) > 2 else []
    return FunnelTrend(
        spec=spec,
        days=found,
        notices=(*walked.notices, *remarks),
    )


def paths(
    events: TableLike | Dataset,
    *,
    steps: Sequence[StepLike],
    start: date | datetime,
    end: date | datetime,
    as_of: date | datetime | None = None,
    after: int = 1,
    depth: int = 3,
    top: int = 10,
    **rules: Unpack[Rules],
) -> Paths:
    """Tell what those who stop after a step do instead.

    Parameters
    ----------
    events, steps, start, end, as_of
        As in `measure`.
    after : int, default 1
        The step, by number, that was the last they reached; not the last of all.
    depth : int, default 3
        How many of their next events are followed, 1 to 10.
    top : int, default 10
        Events named at each place; the rest are ``other``.
    **rules
        The other arguments of `measure`, but `immature` and `by`.

    Returns
    -------
    Paths
        Their next events after the instant of that step and within the window of
        the chain, as links from place to place; ``nothing`` where none follows.

    Raises
    ------
    ParameterError, DataError
        As in `measure`; ``steps`` also if `after` is no such step, ``depth`` if
        `depth` or `top` is out of range.
    """
    given = {name: value for name, value in rules.items() if name != "by"}
    spec, columns = _with_rules(steps, start, end, as_of, given, immature="drop")
    required = [i for i, step in enumerate(spec.steps, 1) if not step.optional]
    if after not in required[:-1]:
        msg = f"after is {after}; it must be one of {required[:-1]}, a step that is not"
        raise ParameterError(f"{msg} optional nor the last; correct it.", code="steps")
    for name, value, most in (("depth", depth, 10), ("top", top, 100)):
        whole(value, name, least=1, most=most, code="depth")
    if spec.count == "totals":
        msg = "count is 'totals'; paths are of users or sessions; pass one of these."
        raise ParameterError(msg, code="unknown_count")
    level = required.index(after) + 1
    walked = _walk(events, spec, columns, depth=depth, after=level)
    rows = walked.rows[walked.shape.level(walked.rows) == level]
    ways = walked.shape.path(rows)
    name = spec.steps[after - 1].name
    links = links_of(ways, walked.names, top=top, step=name)
    return Paths(
        spec=spec,
        after=after,
        depth=depth,
        stopped_users=len(rows),
        links=links,
        notices=walked.notices,
    )


def _with_rules(
    steps: Sequence[StepLike],
    start: date | datetime,
    end: date | datetime,
    as_of: date | datetime | None,
    rules: Mapping[str, Any],
    *,
    immature: Immature = "keep",
) -> tuple[FunnelSpec, Columns]:
    ours = {name: value for name, value in rules.items() if not name.endswith("_col")}
    columns = {
        name.removesuffix("_col"): value
        for name, value in rules.items()
        if name.endswith("_col")
    }
    spec = _declared(steps, start, end, as_of, immature=immature, **ours)
    return spec, Columns(**columns)


def _declared(
    steps: Sequence[StepLike],
    start: date | datetime,
    end: date | datetime,
    as_of: date | datetime | None,
    *,
    lag: str | timedelta = "0h",
    window: str | timedelta | None = "7d",
    hold: str | Sequence[str] | None = None,
    exclude: Sequence[Exclusion] = (),
    by: str | Sequence[str] = (),
    tz: str = "Asia/Shanghai",
    **choices: Any,  # noqa: ANN401
) -> FunnelSpec:
    from growth.engine.spans import duration, last_known, moment

    return FunnelSpec(
        steps=parse_steps(steps),
        start=moment(start, "start", tz=tz),
        end=moment(end, "end", tz=tz),
        as_of=last_known(as_of, tz=tz),
        lag=duration(lag, "lag"),
        window=None if window is None else duration(window, "window"),
        hold=names_of(hold, "hold"),
        exclude=(exclude,) if isinstance(exclude, Exclusion) else tuple(exclude),
        by=names_of(by, "by"),
        tz=tz,
        **choices,
    )


def _midnights(spec: FunnelSpec) -> list[datetime]:
    """Return the edges of local days from start to end."""
    from zoneinfo import ZoneInfo

    zone = ZoneInfo(spec.tz)
    edges, day = [spec.start], spec.start.astimezone(zone).date()
    while True:
        day += DAY
        midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
        if midnight >= spec.end:
            return [*edges, spec.end]
        edges.append(midnight.astimezone(spec.start.tzinfo))


class _Walked(NamedTuple):
    """What the kernel gave, and what it means."""

    spec: FunnelSpec
    rows: Ints
    shape: Rows
    combos: list[tuple[str | None, ...]]
    names: list[str]
    held_null: int
    notices: tuple[Notice, ...]

    def grouping(self, rows: Ints) -> Grouping:
        """Return the groups of rows."""
        values = self.shape.value(rows)
        return group_rows(self.spec.by, values, self.combos, apart=_touches(self.spec))


def _touches(spec: FunnelSpec) -> bool:
    return bool(spec.by) and spec.attribution in ("first", "last")


class _Reading(NamedTuple):
    """What the kernel is to be given.

    Rows with `growth_code`, `growth_group`, `growth_value`; or, where the name of an
    event is all that matters, the code of each instead.
    """

    rows: Table  # or None
    events: dict[str | None, int]
    table: CodeTable
    combos: list[tuple[str | None, ...]]
    known: NDArray[np.bool_]
    low: datetime
    high: datetime
    grouped: int


def _walk(
    events: TableLike | Dataset,
    spec: FunnelSpec,
    columns: Columns,
    *,
    edges: Sequence[datetime] | None = None,
    timed: bool = True,
    depth: int = 0,
    after: int = 0,
) -> _Walked:
    """Read the events once and run the kernel over them."""
    from growth import engine
    from growth.funnel import kernels

    source = table_of(events, "events")
    engine.need_columns(source, (columns.user, columns.ts, columns.event))
    kept, stale = _kept(events, spec, columns, depth)
    engine.need_columns(source, spec.by, unlocks="that breakdown")
    engine.need_columns(source, spec.hold, unlocks="holding that value")
    names = _event_names(source, columns) if depth else []
    reading = _read_kept(kept, spec) if kept else _read(source, spec, columns, names)
    apart = _touches(spec)
    values = (len(spec.by) if apart else 1) if spec.by else 0
    optional = len(spec.steps) - len(spec.required)
    shape = Rows(
        levels=len(spec.required),
        timed=timed,
        values=values,
        optional=optional,
        depth=depth,
    )
    base = ticks(reading.low)
    arrays = kernel_arrays(
        spec, reading.table, base=base, timed=timed, depth=depth, after=after,
        grouped=reading.grouped,
    )  # fmt: skip
    at = np.array([ticks(edge) - base for edge in edges or (spec.start, spec.end)])
    value_bits = len(reading.combos).bit_length()
    key = [
        engine.KeyPart(columns.ts, columns.ts, reading.low, reading.high - MICROSECOND),
        engine.KeyPart("code", "growth_code", 0, len(reading.table.codes) - 1),
    ]
    keyed = sum(part.bits for part in key) + value_bits <= KEYED_BITS
    carried = bool(reading.grouped) or (bool(spec.by) and not keyed)
    if spec.by and not carried:
        part = engine.KeyPart("value", "growth_value", 0, len(reading.combos))
        key.append(part)
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
    kernel: Callable[..., Any]
    payload = None
    if carried:
        held = "growth_group" if reading.grouped else "growth_none"
        valued = "growth_value" if spec.by else "growth_none"
        payload = {"group": held, "value": valued}
    if not carried and _plain(spec, shape, at):
        kernel, shape = kernels.quick, replace(shape, weighted=True)
        params: tuple[object, ...] = (
            layout, arrays.rules, arrays.acts_at, arrays.acts, arrays.steps, at,
        )  # fmt: skip
    else:
        kernel = kernels.walk_grouped if carried else kernels.walk
        how = _attribution(spec, values)
        mids = _cuts(spec, reading.low, reading.high, base)
        params = (layout, *arrays, at, mids, how, reading.known)
    found = _ask(reading, source, columns, kept, key, kernel, params, payload)
    held_null = _held_null(reading) if reading.grouped == 1 else 0
    rows = found.values[0].reshape(-1, shape.width)
    reached = reached_by(spec, rows, shape, Grouping.everybody(len(rows)))[0]
    remarks = [
        *stale,
        *_left_out(found, source, columns),
        *_absent(source, spec, columns, reached),
    ]
    return _Walked(spec, rows, shape, reading.combos, names, held_null, tuple(remarks))


def _ask(
    reading: _Reading,
    source: Table,
    columns: Columns,
    kept: Layout | None,
    key: Sequence[KeyPart],
    kernel: Callable[..., Any],
    params: tuple[object, ...],
    payload: Mapping[str, str] | None,
) -> ByUser:
    """Run the kernel over whatever the events are read from."""
    from growth import engine

    if reading.rows is not None:
        return engine.map_by_user(
            reading.rows,
            key=key,
            kernel=kernel,
            params=params,
            payload=payload,
            out="loose",
            user_col=columns.user,
        )
    time, code = key
    if kept is not None:
        return kept.map_log(
            reading.events, time=time, code=code, kernel=kernel, params=params
        )
    return engine.map_events(
        source,
        reading.events,
        time=time,
        code=code,
        kernel=kernel,
        params=params,
        user_col=columns.user,
        ts_col=columns.ts,
        event_col=columns.event,
    )


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
        and not _touches(spec)
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
    from zoneinfo import ZoneInfo

    zone = ZoneInfo(spec.tz)
    day, last = low.astimezone(zone).date(), high.astimezone(zone).date()
    found = []
    while day <= last:
        found.append(ticks(datetime(day.year, day.month, day.day, tzinfo=zone)) - base)
        day += DAY
    return np.array(found, np.int64)


def _read(
    source: Table, spec: FunnelSpec, columns: Columns, names: Sequence[str]
) -> _Reading:
    """Return the rows the kernel needs, a row an event, with a code each."""
    import ibis

    from growth.engine.days import within

    derived = spec.count == "sessions" and columns.session not in source.columns
    grouped = 2 if derived else int(bool(spec.hold) or spec.count == "sessions")
    everything = derived or spec.order == "strict" or bool(names)
    low = spec.start - DAY if derived else spec.start
    high = max(min(spec.end + spec.span, spec.as_of), low + MICROSECOND)
    last = min(high, max(spec.as_of, low)) - MICROSECOND
    seen = within(source, columns.ts, ticks(low), ticks(last))
    touching = _touches(spec)
    table = code_table(
        spec,
        everything=everything or touching,
        sessions=derived,
        names=names,
        seen=_combinations(seen, spec, columns),
    )
    if not (grouped or spec.by) and (named := table.by_name()) is not None:
        nothing = np.zeros((0, 0), bool)
        asked = named if spec.as_of > low else {}
        return _Reading(None, asked, table, [], nothing, low, high, grouped)
    coded = seen.mutate(growth_code=_code(seen, table, columns.event))
    if touching and not everything:
        useful = [i for i, code in enumerate(table.codes) if code.steps]
        useful += [i for i, code in enumerate(table.codes) if code.exclusions]
        known = coded[spec.by[0]].notnull()
        for name in spec.by[1:]:
            known = known | coded[name].notnull()
        coded = coded.filter(coded.growth_code.isin(useful) | known)
    elif None not in table.cases:
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
        combos, lookup = _combos(coded, spec, table)
        chosen |= {f"growth_by_{i}": coded[name] for i, name in enumerate(spec.by)}
    rows = coded.select(**chosen)
    if lookup is not None:
        rows = _valued(rows, lookup, combos, spec)
    rows = rows.mutate(growth_none=ibis.literal(0, "int64"))
    mask = np.array(
        [[combo[b] is not None for combo in combos] for b in range(len(spec.by))], bool
    ).reshape(len(spec.by), len(combos))
    return _Reading(rows, {}, table, combos, mask, low, high, grouped)


def _kept(
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


def _read_kept(kept: Layout, spec: FunnelSpec) -> _Reading:
    """Return which events of the log of users are read, and what they are coded as."""
    table = code_table(spec, everything=spec.order == "strict")
    high = max(min(spec.end + spec.span, spec.as_of), spec.start + MICROSECOND)
    known = {name: table.of(name) for name in kept.codes}
    codes: dict[str | None, int] = {
        name: code for name, code in known.items() if code is not None
    }
    nothing = np.zeros((0, 0), bool)
    asked = codes if spec.as_of > spec.start else {}
    return _Reading(None, asked, table, [], nothing, spec.start, high, 0)


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


def _combinations(
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


def _combos(
    coded: Table, spec: FunnelSpec, table: CodeTable
) -> tuple[list[tuple[str | None, ...]], Any]:
    """Return the values that occur, in order, and the same as a table to join."""
    import pyarrow as pa

    from growth import engine

    rows = coded
    if not _touches(spec):
        number = int(spec.attribution.removeprefix("step_"))
        step = spec.steps.index(spec.required[number - 1])
        bearing = [i for i, code in enumerate(table.codes) if code.steps >> step & 1]
        rows = coded.filter(coded.growth_code.isin(bearing))
    distinct = rows.select(*spec.by).distinct().limit(MOST_VALUES + 1)
    found = engine.fetch(distinct, "reading the breakdown")
    if len(found) > MOST_VALUES:
        msg = f"by={list(spec.by)} has over {MOST_VALUES:,} values; it must have fewer;"
        raise ParameterError(f"{msg} group them first.", code="too_many_values")
    lists = [found[name].to_pylist() for name in spec.by]
    texts = [
        tuple(None if value is None else str(value) for value in row)
        for row in zip(*lists, strict=True)
    ]
    order = sorted(
        range(len(texts)), key=lambda i: [(v is None, v or "") for v in texts[i]]
    )
    found = found.take(pa.array(order, pa.int64()))
    found = found.rename_columns([f"growth_is_{i}" for i in range(len(spec.by))])
    numbers = pa.array(range(1, len(order) + 1), pa.int64())
    return [texts[i] for i in order], found.append_column("growth_value", numbers)


def _valued(
    rows: Table,
    lookup: Any,  # noqa: ANN401
    combos: Sequence[tuple[str | None, ...]],
    spec: FunnelSpec,
) -> Table:
    """Add the number of each row's values: 1, 2, ...; 0 where they are none."""
    import ibis

    from growth import engine

    kept = [name for name in rows.columns if not name.startswith("growth_by_")]
    whole = ibis.literal(0, "int64")
    if len(spec.by) == 1 and len(combos) <= CASES:
        pairs = [
            (value, ibis.literal(i, "int64"))
            for i, value in enumerate(lookup["growth_is_0"].to_pylist(), 1)
        ]
        column = rows["growth_by_0"]
        value = whole
        if some := [pair for pair in pairs if pair[0] is not None]:
            value = column.cases(*some, else_=whole)
        for _, number in (pair for pair in pairs if pair[0] is None):
            value = column.isnull().ifelse(number, value)
        return rows.select(*kept, growth_value=value)
    backend = engine.backend_of(rows)
    spark = backend if backend.name == "pyspark" else None
    values = engine.as_table(lookup, connection=spark)
    same = [
        rows[f"growth_by_{i}"].identical_to(values[f"growth_is_{i}"])
        for i in range(len(spec.by))
    ]
    joined = rows.left_join(values, same)
    return joined.select(*kept, growth_value=joined.growth_value.fill_null(0))


def _held_null(reading: _Reading) -> int:
    """Count events of a step whose held value is unknown."""
    from growth import engine

    steps = [i for i, code in enumerate(reading.table.codes) if code.steps]
    rows = reading.rows
    there = rows.growth_code.isin(steps) & (rows.growth_group == NEVER)
    found = engine.fetch(rows.aggregate(n=there.sum()), "counting what is held")
    return int(found["n"][0].as_py() or 0)


def _event_names(source: Table, columns: Columns) -> list[str]:
    """Return the names of all events, in order."""
    from growth import engine

    names = source.select(name=source[columns.event]).distinct()
    found = engine.fetch(names, "reading event names")
    return sorted(name for name in found["name"].to_pylist() if name is not None)


def _left_out(found: ByUser, source: Table, columns: Columns) -> list[Notice]:
    """Tell of rows without a user or without a time, wherever in the table.

    They are counted apart: a filter that let them through could not skip what lies
    outside the range, and where a file has statistics, counting reads nothing.
    """
    from growth import engine

    told = []
    for column in (columns.user, columns.ts):
        lacking = source.filter(source[column].isnull()).count()
        n = int(engine.fetch(lacking.as_table(), "counting rows")[0][0].as_py())
        if n > MOST_NULL * (found.rows + n):
            msg = f"column {column!r} is NULL in {n} rows, with {found.rows} to read;"
            msg = f"{msg} at most 1 % may be left out; drop those rows first, or mend"
            raise DataError(f"{msg} the export.", code="null_key")
        if n:
            told.append(notice("rows_left_out", column=column, rows=n))
    return told


def _absent(
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


def _remarks(spec: FunnelSpec, entered: int, young: int) -> Iterable[Notice]:
    if young:
        code = "immature_entries" if spec.immature == "drop" else "immature_kept"
        yield notice(code, "info", n=young, window=_words(spec.span))
    if young and not entered:
        yield notice("funnel_too_young", date=_first_date(spec).isoformat())
    if spec.count == "totals" and entered:
        yield notice("chains_not_users", "info")


def _words(span: timedelta) -> str:
    from growth.funnel.steps import span_text

    return span_text(span)


def _first_date(spec: FunnelSpec) -> date:
    """Return the first `as_of` at which an entry of the range's start is mature."""
    from zoneinfo import ZoneInfo

    ready = spec.start + spec.span + spec.lag - MICROSECOND
    return ready.astimezone(ZoneInfo(spec.tz)).date()
