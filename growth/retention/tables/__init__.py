"""The same questions, asked of tables: the verbs.

`asking` says of what, `expressions` tells one row from another, `reading` counts them
(`breakdown` numbers the groups, `remarks` tells of the data), `living` does for the
lifecycle; `spending` and `official` read what comes from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from growth import engine
from growth.dataset import table_of
from growth.engine.spans import duration
from growth.errors import DataError, Fault, ParameterError
from growth.result import Notice
from growth.retention.living import SCHEMES, Lifecycle, LifecycleScheme
from growth.retention.reconciling import METRICS, Reconciliation, reconcile_from_values
from growth.retention.spec import ANY, RetentionSpec, one_of, parse_event
from growth.retention.tables.asking import Columns, farthest, frame_of
from growth.retention.tables.living import Living
from growth.retention.tables.official import official_values
from growth.retention.tables.reading import Reading
from growth.retention.tables.spending import any_refund, spent
from growth.stats.arguments import names_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime, timedelta

    from growth.dataset import Dataset
    from growth.engine import TableLike
    from growth.retention.calendar import Period, WeekStart
    from growth.retention.spec import Clock, EventLike, Match, Mode
    from growth.retention.spending import Revenue
    from growth.retention.triangle import RetentionResult

__all__ = ["lifecycle", "measure", "reconcile", "revenue"]


def measure(  # noqa: PLR0913
    events: TableLike | Dataset,
    *,
    start: date | datetime,
    end: date | datetime,
    as_of: date | datetime | None = None,
    start_event: EventLike | None = None,
    return_event: EventLike | None = None,
    follow_up: int | None = None,
    expected_shares: Mapping[str, float] | None = None,
    starts: TableLike | None = None,
    lag: str | timedelta = "0h",
    period: Period = "day",
    horizon: int = 30,
    mode: Mode = "first_ever",
    match: Match = "on",
    brackets: Sequence[int] | None = None,
    clock: Clock = "calendar",
    min_occurrences: int = 1,
    week_start: WeekStart = "monday",
    tz: str = "Asia/Shanghai",
    by: str | Sequence[str] = (),
    user_col: str = "user_id",
    ts_col: str = "ts",
    event_col: str = "event",
) -> RetentionResult:
    """Count who comes back, by cohort and offset.

    Parameters
    ----------
    events : Dataset, ibis.Table, frame, Arrow data or path
        One row an event, in any order; rows may repeat. Of a dataset or a path the
        layouts beside it are used where they say the same (see `engine.layouts`).
    start, end : date or aware datetime
        Cohorts begin in ``[start, end)``; a date is its local midnight.
    as_of : date or aware datetime
        The last day counted, or the instant up to which events are known; later
        rows are left out.
    start_event : str, Event, mapping, or sequence of these, optional
        What puts a user in a cohort; any event if omitted. An `Event` has a filter
        on its properties.
    return_event : str, Event, mapping, or sequence of these, optional
        What counts as coming back; the start event if omitted, any event with
        `starts`.
    follow_up : int, optional
        With ``match="on_or_after"``: look at i + k .. i + k + `follow_up` only, so
        that late cells see as much future as early ones.
    expected_shares : mapping of str to float, optional
        Planned share of users per arm, checked by `compare`.
    starts : table, optional
        Rows (user, time) in place of start events, such as assignments; `by` is then
        read from it. Without a column `user_col` its ``unit_id`` is the user.
    lag : str or timedelta, default "0h"
        How late events may arrive; a cell is complete that much after its end.
    period : {"day", "week", "month", "hour"}
        Length of an interval, by the local calendar. Hours are elapsed ones.
    horizon : int, default 30
        The largest offset, in intervals, 1 or more.
    mode : {"first_ever", "first_match", "first_in_range", "every"}
        ``first_ever``: the user's first event of that name in all history, whatever
        its properties; it must pass the filter and lie in the range.
        ``first_match``: the first that passes the filter in all history.
        ``first_in_range``: the first that passes in the range. ``every``: a user is
        in each cohort in which they start, so cohorts overlap.
    match : {"on", "on_or_after"}
        Whether the return is in interval i + k, or in any from there on. The latter
        is biased down where little future is known: see `follow_up`.
    brackets : sequence of int, optional
        Rising offsets from 1 on: ``[1, 2, 4, 8]`` is [1, 2), [2, 4), [4, 8); a
        return anywhere inside counts. In place of `horizon`.
    clock : {"calendar", "rolling_24h", "rolling_24h_hour"}
        Whether offsets count local intervals, or whole 24 hours since the user's
        own start (a week is 7 days, a month 30); ``_hour`` floors both times to the
        hour first.
    min_occurrences : int, default 1
        Return events an interval (or bracket) needs, 1 or more.
    week_start : {"monday", "sunday"}
        First day of a week.
    tz : str, default "Asia/Shanghai"
        The zone of the calendar.
    by : str or sequence of str, default ()
        Breakdown columns: the value at the start event. NULL is a group of its own.
    user_col, ts_col, event_col : str
        The columns of user, instant and event name. A date in `ts_col` is a local
        day. `event_col` is not needed where any event counts.

    Returns
    -------
    RetentionResult
        Cells, sizes and curves; ``mode="every"`` carries what its intervals need.

    Raises
    ------
    ParameterError
        If a choice is unknown (``unknown_mode``, ...), a range is empty, an instant
        has no zone or `as_of` is not given (``range``), brackets or counts are
        unusable (``brackets``, ``min_occurrences``, ``follow_up``), an event is not
        one (``bad_event``); all faults at once.
    ColumnNotFoundError
        If a column is missing.
    DataError
        If the start event is not in the data (``event_absent``), or more than 1 %
        of the rows have no user or no time (``null_key``).

    Notes
    -----
    Cell (i, k) counts the users of cohort i with a return in interval i + k; cell
    (i, 0) is the cohort's size and needs no return. It is complete once interval i +
    k has ended (on a rolling clock: for the cohort's last user) and `lag` has
    passed; an incomplete cell has no rate and is in no average.
    """
    table = table_of(events, "events")
    opened = None if starts is None else engine.as_table(starts)
    if start_event is not None and opened is not None:
        msg = "start_event and starts are both given; cohorts come from one of them;"
        raise ParameterError(f"{msg} leave one out.", code="two_starts")
    begin = parse_event(ANY if start_event is None else start_event, "start_event")
    back = begin if return_event is None else parse_event(return_event, "return_event")
    columns = Columns(user_col, ts_col, event_col)
    frame = frame_of(table, columns, tz)
    if isinstance(brackets, str) or not isinstance(brackets, Iterable | None):
        msg = f"brackets is {brackets!r}; it must be a list of rising offsets; pass"
        raise ParameterError(f"{msg} [1, 2, 4, 8].", code="brackets")
    edges = None if brackets is None else tuple(brackets)
    spec = RetentionSpec(
        start_event=begin,
        return_event=back,
        from_table=opened is not None,
        start=frame.edge(start, "start"),
        end=frame.edge(end, "end"),
        as_of=frame.known(as_of),
        lag_s=duration(lag, "lag").total_seconds(),
        period=period,
        week_start=week_start,
        tz=frame.tz,
        horizon=farthest(edges, horizon),
        mode=mode,
        match=match,
        clock=clock,
        follow_up=follow_up,
        brackets=edges,
        min_occurrences=min_occurrences,
        by=names_of(by, "by"),
        expected_shares=None
        if expected_shares is None
        else tuple(expected_shares.items()),
    )
    return Reading(
        spec, table, opened, columns, source=events, shown=frame.shown
    ).result()


def lifecycle(  # noqa: PLR0913
    events: TableLike | Dataset,
    *,
    start: date | datetime,
    end: date | datetime,
    as_of: date | datetime | None = None,
    event: EventLike = ANY,
    scheme: LifecycleScheme = "period",
    period: Period = "day",
    lag: str | timedelta = "0h",
    week_start: WeekStart = "monday",
    tz: str = "Asia/Shanghai",
    user_col: str = "user_id",
    ts_col: str = "ts",
    event_col: str = "event",
) -> Lifecycle:
    """Count users by their state in each interval: new, returning, dormant, ...

    Parameters
    ----------
    events : Dataset, ibis.Table, frame, Arrow data or path
        One row an event; all history, so that old users are not taken for new.
    start, end : date or aware datetime
        The intervals counted: those that begin in ``[start, end)``, and the one
        `start` is in.
    as_of : date or aware datetime
        The last day counted, or the instant up to which events are known.
    event : str, Event, mapping, or sequence of these, default any
        What makes a user active.
    scheme : {"period", "activity"}
        ``period``: new (first interval ever), returning (also active in the one
        before), resurrecting; dormant (the first inactive interval), asleep.
        ``activity``, on days, by the days g since the last active one: new, current
        (g up to 6), reactivated (7 to 29), resurrected; at_risk_week,
        at_risk_month, dormant by the same cuts.
    period : {"day", "week", "month"}
        Length of an interval.
    lag, week_start, tz
        As in `measure`.
    user_col, ts_col, event_col : str
        As in `measure`.

    Returns
    -------
    Lifecycle
        Counts are positive. A running interval has no inactive users yet.

    Raises
    ------
    ParameterError
        If a choice is unknown (``unknown_scheme``, ...), a range is empty
        (``range``), or ``activity`` is asked of another period than days
        (``unknown_period``).
    ColumnNotFoundError, DataError
        As in `measure`.

    Notes
    -----
    ``active = new + returning + resurrecting`` and ``dormant[t] = active[t-1] -
    returning[t]``.
    """
    faults: list[Fault] = []
    one_of("scheme", scheme, LifecycleScheme, faults)
    if period == "hour" or (scheme == "activity" and period != "day"):
        expected = "'day'" if scheme == "activity" else "'day', 'week' or 'month'"
        faults.append(Fault("unknown_period", "period", repr(period), expected))
    if faults:
        raise ParameterError.of("the lifecycle question", faults)
    table = table_of(events, "events")
    columns = Columns(user_col, ts_col, event_col)
    frame = frame_of(table, columns, tz)
    spec = RetentionSpec(
        start_event=parse_event(event, "event"),
        start=frame.edge(start, "start"),
        end=frame.edge(end, "end"),
        as_of=frame.known(as_of),
        lag_s=duration(lag, "lag").total_seconds(),
        period=period,
        week_start=week_start,
        tz=frame.tz,
        mode="first_match",
    )
    return Living(spec, SCHEMES[scheme], table, columns).result()


def revenue(  # noqa: PLR0913
    orders: TableLike | Dataset,
    *,
    start: date | datetime,
    end: date | datetime,
    as_of: date | datetime | None = None,
    starts: TableLike | None = None,
    mode: Mode = "first_ever",
    period: Period = "month",
    horizon: int = 6,
    clock: Clock = "calendar",
    lag: str | timedelta = "0h",
    week_start: WeekStart = "monday",
    tz: str = "Asia/Shanghai",
    by: str | Sequence[str] = (),
    channel_spend: TableLike | None = None,
    seed: int = 0,
    user_col: str = "user_id",
    ts_col: str = "pay_ts",
    paid_col: str = "paid_fen",
    refund_col: str = "refund_fen",
) -> Revenue:
    """Follow what cohorts of users pay, and what a user is worth by each offset.

    Parameters
    ----------
    orders : Dataset, ibis.Table, frame, Arrow data or path
        One row an order; those without a time were never paid and are left out.
    start, end, as_of, period, clock, lag, week_start, tz, by
        As in `measure`.
    starts : table, optional
        Rows (user, time) that put users in cohorts, such as registrations or
        assignments; the orders themselves if omitted: a user's first order.
    mode : {"first_ever", "first_match", "first_in_range"}
        Which start counts, as in `measure`.
    horizon : int, default 6
        The largest offset, 1 or more.
    channel_spend : table, optional
        Columns ``ds`` and ``spend_fen``: what was spent in the range to get these
        users.
    seed : int, default 0
        Of the bootstrap.
    user_col, ts_col, paid_col, refund_col : str
        The columns of user, instant of payment, and fen paid and refunded; without
        a `refund_col` nothing was refunded.

    Returns
    -------
    Revenue
        Net (paid less refunded) fen, placed at the time of payment. An order before
        the user's start does not count.

    Raises
    ------
    ParameterError
        As in `measure`; and if the mode is ``every`` (code ``mode``).
    ColumnNotFoundError, DataError
        As in `measure`; and if an amount is no whole number (``column_type``).

    Notes
    -----
    See `growth.retention.spending.revenue_from_spend` for the statistics. Refunds
    have no date here, so the youngest cells still shrink: notice `refunds_open`.
    """
    if mode == "every":
        msg = "mode is 'every': a user would be paid for in several cohorts; it must be"
        raise ParameterError(f"{msg} one of the first modes; pass one.", code="mode")
    table = table_of(orders, "orders")
    columns = Columns(user_col, ts_col, "event")
    frame = frame_of(table, columns, tz)
    engine.need_columns(table, (paid_col,), unlocks="revenue")
    refunds = refund_col in table.columns
    amounts = (paid_col, refund_col) if refunds else (paid_col,)
    for name in amounts:
        kind = table[name].type()
        if not kind.is_integer() and not (name == refund_col and kind.is_null()):
            msg = f"column {name!r} is of type {kind}; money must be whole fen; map it"
            raise DataError(f"{msg} with transform 'yuan'.", code="column_type")
    net = table[paid_col].cast("int64")  # unsigned ones go below 0
    if refunds:
        net = net - table[refund_col].cast("int64").fill_null(0)
    paid = table.mutate(growth_net=net).filter(table[ts_col].notnull())
    spec = RetentionSpec(
        from_table=starts is not None,
        start=frame.edge(start, "start"),
        end=frame.edge(end, "end"),
        as_of=frame.known(as_of),
        lag_s=duration(lag, "lag").total_seconds(),
        period=period,
        week_start=week_start,
        tz=frame.tz,
        horizon=horizon,
        mode=mode,
        clock=clock,
        by=names_of(by, "by"),
    )
    opened = None if starts is None else engine.as_table(starts)
    reading = Reading(
        spec, paid, opened, columns, carried="growth_net", shown=frame.shown
    )
    notices = reading.about.history()
    cost = None if channel_spend is None else spent(channel_spend, spec, tz)
    if refunds and any_refund(table, refund_col):
        notices.append(Notice("refunds_open", "info"))
    return reading.spent(notices, cost, seed)


def reconcile(
    result: RetentionResult,
    official_daily: TableLike | Dataset,
    *,
    tolerance: float = 0.05,
    app_id: str | None = None,
) -> Reconciliation:
    """Compare daily retention with the platform's own, day by day and pooled.

    Parameters
    ----------
    result : RetentionResult
        Measured on visits (``app_launch``, ``app_show``), daily, at UTC+8:
        ``mode="first_ever"`` is compared with ``visit_uv_new``, ``"every"`` with
        ``visit_uv``.
    official_daily : Dataset, ibis.Table, frame, Arrow data or path
        The canonical table; the latest pull of each value is read.
    tolerance : float, default 0.05
        How far a pooled ratio may be from 1.
    app_id : str, optional
        The one app to compare with; all apps of the table together if omitted.

    Returns
    -------
    Reconciliation
        An offset the platform has not reported yet is None, never 0.

    Raises
    ------
    ParameterError
        As in `growth.retention.reconciling.reconcile_from_values`.
    ColumnNotFoundError
        If a column is missing.
    """
    table = table_of(official_daily, "official_daily")
    metric = METRICS.get(result.spec.mode, "")
    official, apps = official_values(table, metric, app_id)
    return reconcile_from_values(result, official, tolerance=tolerance, apps=apps)
