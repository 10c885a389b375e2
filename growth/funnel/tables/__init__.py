"""The funnel, asked of a table: `measure`, `trend` and `paths`.

`asking` says what is asked, `reading` turns a table into rows with codes (`breakdown`
the values of groups), `walking` runs the kernel, `remarks` tells of the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from growth.dataset import table_of
from growth.errors import ParameterError
from growth.funnel.counting import (
    EXCLUDED,
    YOUNG,
    Grouping,
    reached_by,
    step_times,
    steps_by,
)
from growth.funnel.paths import Paths, links_of
from growth.funnel.results import FunnelResult, notice
from growth.funnel.tables.asking import (
    Columns,
    Rules,
    declared,
    midnights,
    with_rules,
)
from growth.funnel.tables.remarks import remarks
from growth.funnel.tables.walking import walk
from growth.funnel.trends import FunnelTrend, trend_days
from growth.stats.arguments import names_of, whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime, timedelta

    from growth.dataset import Dataset
    from growth.engine import TableLike
    from growth.funnel.steps import (
        Attribution,
        Count,
        Entry,
        Exclusion,
        ExclusionRule,
        Immature,
        Order,
        Reentry,
        Repeats,
        StepLike,
        Ties,
    )

__all__ = ["Rules", "measure", "paths", "trend"]


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
    spec = declared(
        steps, start, end, as_of, immature=immature, lag=lag, window=window,
        order=order, entry=entry, count=count, ties=ties, repeats=repeats,
        reentry=reentry, hold=hold, exclude=exclude, exclusion=exclusion, by=by,
        attribution=attribution, tz=tz, cut_midnight=cut_midnight,
    )  # fmt: skip
    columns = Columns(user_col, ts_col, event_col, session_col)
    walked = walk(events, spec, columns)
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
        notices=(*walked.notices, *remarks(spec, totals[0].reached, young)),
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
    spec, columns = with_rules(steps, start, end, as_of, rules)
    edges = midnights(spec)
    walked = walk(events, spec, columns, edges=edges, timed=False)
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
    from growth.engine import need_columns

    given = {name: value for name, value in rules.items() if name != "by"}
    ignored = names_of(rules.get("by"), "by")
    spec, columns = with_rules(steps, start, end, as_of, given, immature="drop")
    required = [i for i, step in enumerate(spec.steps, 1) if not step.optional]
    if after not in required[:-1]:
        msg = f"after is {after}; it must be one of {required[:-1]}, a step that is not"
        raise ParameterError(f"{msg} optional nor the last; correct it.", code="steps")
    depth = whole(depth, "depth", least=1, most=10, code="depth")
    top = whole(top, "top", least=1, most=100, code="depth")
    if spec.count == "totals":
        msg = "count is 'totals'; paths are of users or sessions; pass one of these."
        raise ParameterError(msg, code="unknown_count")
    need_columns(table_of(events, "events"), ignored, unlocks="that breakdown")
    level = required.index(after) + 1
    walked = walk(events, spec, columns, depth=depth, after=level)
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
