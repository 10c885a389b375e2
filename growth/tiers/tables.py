"""The room's verbs on tables: orders and refunds, from any engine, as arrays."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from growth import engine
from growth.errors import DataError, Fault, ParameterError
from growth.result import Notice
from growth.tiers import rules
from growth.tiers.checks import (
    counts,
    day_of,
    generator_faults,
    seeded,
    thresholds,
    widest_fault,
)
from growth.tiers.fitting import GENERATORS, fit_days
from growth.tiers.histories import purchase_days
from growth.tiers.population import Habits, Past, Population
from growth.tiers.programme import need_programme
from growth.tiers.replaying import (
    EARLY,
    LATE,
    BadRows,
    Replayed,
    Tape,
    events_of,
    replay_tape,
)
from growth.tiers.seasons import FLAT, Calendar

if TYPE_CHECKING:
    from collections.abc import Sequence

    import ibis.expr.types as ir

    from growth.engine import TableLike
    from growth.tiers.programme import Programme

__all__ = ["fit", "replay"]

EPOCH: Final = date(1970, 1, 1)
#: In the order of a day: login, order, redemption, review, visit, refund.
ACTS: Final = {"login": 0, "review": 3, "offline_visit": 4}
REDEEM: Final = 2


class _Orders(NamedTuple):
    ids: Any
    member: Any
    day: Any
    at: Any  # microseconds, for the order within a day
    fen: Any
    refunded: Any
    order: Any
    guests: Any  # ids of orders without a user
    notices: tuple[Notice, ...]


def fit(  # noqa: PLR0913
    orders: TableLike,
    *,
    as_of: date,
    seed: int,
    window_days: int = 84,
    step_days: int = 28,
    train_days: int = 84,
    replications: int = 60,
    generators: Sequence[str] = GENERATORS,
    thresholds_fen: Sequence[int] | None = None,
    habits: Habits | None = None,
    calendar: Calendar = FLAT,
    cap: float | None = None,
    refunds: TableLike | None = None,
    interactions: TableLike | None = None,
    ledger: TableLike | None = None,
    user_col: str = "user_id",
    ts_col: str = "pay_ts",
    paid_col: str = "paid_fen",
    order_col: str = "order_id",
    tz: str = "Asia/Shanghai",
) -> Population:
    """Fit how members buy, back-test it from rolling origins, choose a generator.

    Parameters
    ----------
    orders : ibis.Table, frame, Arrow data or path
        One row an order; unpaid and free ones (0 or NULL) are left out, counted.
    as_of : date
        The last local day counted.
    seed : int
        Of the back-tests' draws.
    window_days, step_days, train_days : int
        Days forecast, days between origins, days before the first origin.
    replications : int, default 60
        Of each forecast.
    generators : sequence of str
        Of ``bgnbd``, ``bootstrap``, ``repeat``.
    thresholds_fen : sequence of int, optional
        Spend in the window at which tiers begin, for the distance between forecast
        and actual tiers; the window's 50, 80, 95 % quantiles if omitted.
    habits : Habits, optional
        Logins, reviews, refunds: stated, not fitted.
    calendar : Calendar, optional
        A profile of the year; flat if omitted.
    cap : float, optional
        Widest multiple of the order rate that a response and the calendar may reach
        together; 2, times the calendar's own widest, if omitted.
    refunds, interactions, ledger : table, optional
        As in `replay`: what else the members' opening tiers and points follow from, a
        few bytes an event. Without `refunds` the orders' own ``refund_fen`` counts, if
        they have one. How members buy is fitted to orders alone.
    user_col, ts_col, paid_col, order_col : str
        The columns; `order_col` is needed for `refunds` only.
    tz : str, default "Asia/Shanghai"
        The zone of days.

    Returns
    -------
    Population
        States, parameters and the back-test table; `generator` has the lowest mean
        absolute log error over the origins that all share, the simpler within one
        percentage point.

    Raises
    ------
    ColumnNotFoundError, DataError, ParameterError
        If a column is missing, nobody ordered (``no_orders``), an amount is negative
        (``amount_negative``), no whole number (``amount_not_integer``) or beyond sums
        (``amount_too_large``); if no generator can be made (``no_repeat_purchases``,
        ``too_few_donors``); habits or calendar are none.

    Notes
    -----
    The calibrated interval is learned from origins whose window had closed by the
    forecast's day; with fewer than three there is none (``not_calibrated``).
    Refunds, interactions and redemptions that cannot be are left out and counted
    (``bad_event``).
    """
    day_of(as_of)
    faults: list[Fault] = []
    seed = seeded(faults, seed)
    faults += widest_fault(cap)
    faults += generator_faults(generators, GENERATORS)
    cuts = thresholds(faults, thresholds_fen)
    window_days, step_days, train_days, replications = counts(
        faults, window_days=window_days, step_days=step_days, train_days=train_days,
        replications=replications,
    )  # fmt: skip
    if faults:
        raise ParameterError.of("the fit", faults)
    bad = BadRows("report")
    table = engine.as_table(orders)
    named = refunds is not None or order_col in table.columns
    order = order_col if named else None  # orders of one instant go by it
    read = _read(table, user_col, ts_col, paid_col, order,
                 "refund_fen" if refunds is None else None, as_of, tz)  # fmt: skip
    if read.fen.size and (least := int(read.fen.min())) < 0:
        msg = f"{paid_col} falls to {least}; an order must be of 0 fen or more; enter"
        raise DataError(f"{msg} returns as refunds.", code="amount_negative")
    paid = read.fen > 0
    found = list(read.notices)
    if free := int((~paid).sum()):
        found.append(Notice("free_orders_left_out", args=(("orders", free),)))
    ids, member = np.unique(read.member[paid], return_inverse=True)
    days = purchase_days(member, read.day[paid], read.fen[paid], len(ids))
    tape = _tape(read, paid, ids, member)
    done = _recorded(read, tape, user_col, as_of, tz, bad, refunds=refunds,
                     interactions=interactions, ledger=ledger)  # fmt: skip
    past = Past(days.at, days.day, days.fen)
    people = fit_days(
        days, past, as_of=as_of, seed=seed, window_days=window_days,
        step_days=step_days, train_days=train_days, replications=replications,
        generators=generators, thresholds_fen=cuts, habits=habits,
        calendar=calendar, cap=cap, ids=read.ids[ids], notices=found,
    )  # fmt: skip
    return _opened(people, done, bad) if done.any else people


def replay(
    orders: TableLike,
    programme: Programme,
    *,
    as_of: date,
    refunds: TableLike | None = None,
    interactions: TableLike | None = None,
    ledger: TableLike | None = None,
    on_bad: str = "raise",
    user_col: str = "user_id",
    ts_col: str = "pay_ts",
    paid_col: str = "paid_fen",
    order_col: str = "order_id",
) -> Replayed:
    """Say what each member would have had, given the actual orders.

    Parameters
    ----------
    orders : ibis.Table, frame, Arrow data or path
        One row a paid order; members join on the day of their first event.
    programme : Programme
        The rules; its time zone ends the days.
    as_of : date
        The last local day counted, and closed.
    refunds : table, optional
        ``order_id``, ``refund_id``, ``ts``, ``amount_fen``; those of orders without
        a user are left out with them (``refunds_without_user``). Without it, the
        orders' own ``refund_fen`` is taken as a refund on the day of the order, and
        said so (notice ``refunds_undated``).
    interactions : table, optional
        `user_col`, ``ts``, ``event`` of ``login``, ``review``, ``offline_visit``.
    ledger : table, optional
        A ledger in use: `user_col`, ``ts``, ``kind``, ``points``, signed. Its
        redemptions (``redeem``, below 0) are facts and are replayed, other lines are
        not; its balances, sums of all lines, are compared with the programme's.
    on_bad : {"raise", "report"}, default "raise"
        Whether an impossible row raises, or is left out and counted.
    user_col, ts_col, paid_col, order_col : str
        Columns of `orders`.

    Returns
    -------
    Replayed
        Tier, points and counters a member; where the ledger in use disagrees.

    Raises
    ------
    ColumnNotFoundError, DataError, ParameterError
        ``duplicate_order``, ``refund_without_order``, ``refund_exceeds_order``,
        ``conflicting_refund``, ``amount_negative``, ``amount_not_integer``,
        ``amount_too_large``, ``redeem_not_in_blocks``, ``redeem_not_negative``,
        ``insufficient_points``, ``event_incomplete`` (a key, a time or an amount is
        missing).

    Notes
    -----
    Where only the day of an event is known (a column of dates), logins and orders come
    first in it, other events last. Among orders of one instant the order id decides,
    so that the order of rows does not matter.
    """
    day_of(as_of)
    need_programme(programme)
    bad = BadRows(on_bad)
    tz = programme.timezone
    read = _read(orders, user_col, ts_col, paid_col, order_col,
                 "refund_fen" if refunds is None else None, as_of, tz, bad)  # fmt: skip
    every = np.ones(len(read.fen), dtype=bool)
    tape = _tape(read, every, np.arange(len(read.ids)), read.member)
    more = _recorded(read, tape, user_col, as_of, tz, bad, refunds=refunds,
                     interactions=interactions, ledger=ledger)  # fmt: skip
    return replay_tape(
        more.tape, programme, as_of=as_of, acts=more.acts, balances=more.balances,
        bad=bad, notices=[*read.notices, *more.notices],
    )  # fmt: skip


class _Recorded(NamedTuple):
    """Everything that happened, and a ledger's balances."""

    tape: Tape
    acts: list[tuple[Any, ...]]
    balances: tuple[Any, Any] | None
    notices: list[Notice]

    @property
    def any(self) -> bool:
        """Whether more happened than orders."""
        back = self.tape.refunded
        undated = back is not None and bool(back.any())
        return undated or self.tape.refund_order is not None or bool(self.acts)


def _tape(read: _Orders, some: Any, ids: Any, member: Any) -> Tape:  # noqa: ANN401
    """Return some orders as a tape; `ids` are places in those read."""
    return Tape(
        ids=read.ids[ids], member=member, day=read.day[some], at=read.at[some],
        fen=read.fen[some], order=None if read.order is None else read.order[some],
        refunded=None if read.refunded is None else read.refunded[some],
    )  # fmt: skip


def _recorded(
    read: _Orders, tape: Tape, user: str, as_of: date, tz: str, bad: BadRows, *,
    refunds: TableLike | None, interactions: TableLike | None,
    ledger: TableLike | None,
) -> _Recorded:  # fmt: skip
    """Return what happened besides orders."""
    notices: list[Notice] = []
    if refunds is not None:
        dated = ("order_id", "refund_id", "ts", "amount_fen")
        rows = _fetch(refunds, dated, "ts", as_of, tz, unlocks="dated refunds")
        rows = _whole(rows, dated, "refunds", bad)
        of = _text(rows, "order_id")
        theirs = ~np.isin(of.astype(str), read.guests)
        if guests := int((~theirs).sum()):
            notices.append(Notice("refunds_without_user", args=(("refunds", guests),)))
        tape = tape._replace(
            refund_order=of[theirs], refund_id=_text(rows, "refund_id")[theirs],
            refund_day=_ints(rows, "day__")[theirs],
            refund_at=_instants(rows, "ts", LATE)[theirs],
            refund_fen=_money(rows, "amount_fen")[theirs],
        )  # fmt: skip
    elif tape.refunded is not None and tape.refunded.any():
        notices.append(Notice("refunds_undated", severity="warning"))
    acts = []
    if interactions is not None:
        found, lost = _interactions(interactions, user, as_of, tz, bad)
        acts.append(found)
        notices += lost
    balances: tuple[Any, Any] | None = None
    if ledger is not None:
        found, balances = _redemptions(ledger, user, as_of, tz, bad)
        acts.append(found)
    return _Recorded(tape, acts, balances, notices)


def _opened(people: Population, more: _Recorded, bad: BadRows) -> Population:
    """Return people with everything they did before the start, not orders alone."""
    known = np.asarray(people.ids).astype(str)
    acts = []
    for user, *columns in more.acts:
        theirs = np.isin(user.astype(str), known)
        acts.append((user[theirs], *(column[theirs] for column in columns)))
    events = events_of(more.tape, acts, bad)
    day, kind, value, ref = events.rows.T
    past = Past(
        events.begins, day.astype(np.int32), value, kind.astype(np.int8),
        ref.astype(np.int32),
    )  # fmt: skip
    return replace(
        people, past=past, joined=past.day[past.at[:-1]],
        notices=(*people.notices, *more.notices, *bad.notices()),
    )  # fmt: skip


def _interactions(
    data: TableLike, user: str, as_of: date, tz: str, bad: BadRows
) -> tuple[tuple[Any, ...], list[Notice]]:
    """Return logins, reviews and visits as columns; say whose nobody did."""
    import pyarrow.compute as pc

    asked = (user, "ts", "event")
    table = engine.as_table(data)
    engine.need_columns(table, asked, unlocks="interactions")
    table = table.filter(table.event.isin(list(ACTS)))
    rows = _fetch(table, asked, "ts", as_of, tz, unlocks="interactions")
    notices = []
    if nobody := rows[user].null_count:
        rows = rows.filter(pc.is_valid(rows[user]))
        told = ("code", "interactions_without_user"), ("rows", nobody)
        notices.append(Notice("bad_event", severity="warning", args=told))
    rows = _whole(rows, ("ts",), "interactions", bad)
    code = np.array([ACTS[n] for n in rows["event"].to_pylist()], np.int8)
    at = np.where(code == 0, _instants(rows, "ts", EARLY), _instants(rows, "ts", LATE))
    none = np.zeros(len(code), np.int64)
    return (_text(rows, user), _ints(rows, "day__"), at, code, none), notices


def _redemptions(
    data: TableLike, user: str, as_of: date, tz: str, bad: BadRows
) -> tuple[tuple[Any, ...], tuple[Any, Any]]:
    """Return a ledger's redemptions as columns, and whose every line's points are."""
    asked = (user, "ts", "kind", "points")
    rows = _fetch(data, asked, "ts", as_of, tz, unlocks="redemptions")
    rows = _whole(rows, asked, "lines of the ledger", bad)
    who, points = _text(rows, user), _money(rows, "points")
    used = _text(rows, "kind") == "redeem"
    bad.see(used & (points > 0), "redeem_not_negative", "redemptions are above 0",
            "a ledger is signed, and these take points away", points)  # fmt: skip
    used &= points <= 0
    acts = (
        who[used], _ints(rows, "day__")[used], _instants(rows, "ts", LATE)[used],
        np.full(int(used.sum()), REDEEM, np.int8), -points[used],
    )  # fmt: skip
    return acts, (who, points)


def _fetch(
    data: TableLike, columns: Sequence[str], ts: str, as_of: date, tz: str,
    *, unlocks: str, undated: bool = True,
) -> Any:  # fmt: skip  # noqa: ANN401
    """Return some columns of the rows up to `as_of`, with their local day.

    Rows without a time are among them where they count as `undated`.
    """
    table: ir.Table = engine.as_table(data)
    engine.need_columns(table, columns, unlocks=unlocks)
    dated = table.select(
        *columns, day__=engine.local_day(table[ts], tz), at__=engine.epoch_us(table[ts])
    )
    before = dated.day__ <= (as_of - EPOCH).days
    if undated:
        before |= dated[ts].isnull()
    return engine.fetch(dated.filter(before), "tiers")


def _whole(rows: Any, columns: Sequence[str], what: str, bad: BadRows) -> Any:  # noqa: ANN401
    """Return the rows that lack nothing; tell of the others."""
    import pyarrow.compute as pc

    for name in columns:
        lacks = pc.is_null(rows[name], nan_is_null=True)
        if not (count := pc.sum(lacks).as_py() or 0):
            continue
        keys = [n for n in columns if n != name]
        first = rows.filter(lacks).slice(0, 1).select(keys)
        seen = "/".join(str(first[n][0].as_py()) for n in keys) or name
        bad.see(np.ones(count), "event_incomplete", f"{what} have no {name}",
                "each must have one", [seen])  # fmt: skip
        rows = rows.filter(pc.invert(lacks))
    return rows


def _ints(rows: Any, name: str) -> Any:  # noqa: ANN401
    return rows[name].to_numpy(zero_copy_only=False).astype(np.int64)


def _instants(rows: Any, ts: str, dated: int) -> Any:  # noqa: ANN401
    """Return what orders events within a day; `dated` where only the day is known."""
    import pyarrow as pa

    if pa.types.is_date(rows[ts].type):
        return np.full(len(rows), dated, np.int64)
    return _ints(rows, "at__")


def _text(rows: Any, name: str) -> Any:  # noqa: ANN401
    """Return ids as objects; whole numbers that a NULL made floats are whole again."""
    import pyarrow as pa

    column = rows[name]
    if pa.types.is_floating(column.type):
        column = [int(v) if v is not None and v == v // 1 else v
                  for v in column.to_pylist()]  # fmt: skip
        return np.asarray(column, dtype=object)
    return np.asarray(column.to_pylist(), dtype=object)


def _money(rows: Any, name: str) -> Any:  # noqa: ANN401
    """Return whole numbers of a column, NULL as 0; refuse fractions and words."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = rows[name]
    if pa.types.is_integer(column.type):
        found = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
        if (far := (found > rules.MOST) | (found < -rules.MOST)).any():
            raise _too_large(name, found[np.argmax(far)])
        return found.astype(np.int64)
    number = pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)
    if not (number or pa.types.is_null(column.type)):
        msg = (
            f"{name} is of type {column.type}; money and points must be whole numbers;"
        )
        raise DataError(f"{msg} map it to fen first.", code="amount_not_integer")
    values = column.to_numpy(zero_copy_only=False).astype(float)
    whole = np.where(np.isnan(values), 0.0, values)
    part = np.isinf(whole) | (whole != np.floor(whole))
    if part.any():
        msg = f"{name} holds {values[np.argmax(part)]}; money and points must be whole"
        raise DataError(
            f"{msg} numbers; map yuan to fen first.", code="amount_not_integer"
        )
    if (far := np.abs(whole) > rules.MOST).any():
        raise _too_large(name, values[np.argmax(far)])
    return whole.astype(np.int64)


def _too_large(name: str, seen: float) -> DataError:
    msg = f"{name} holds {seen}; an amount must be {rules.MOST} or less; amounts are in"
    return DataError(f"{msg} fen, correct it.", code="amount_too_large")


def _read(
    orders: TableLike, user: str, ts: str, paid: str, order: str | None,
    refunded: str | None, as_of: date, tz: str, bad: BadRows | None = None,
) -> _Orders:  # fmt: skip
    """Return paid orders that are somebody's; with `bad`, those that lack nothing."""
    import pyarrow.compute as pc

    table = engine.as_table(orders)
    extra = [refunded] if refunded is not None and refunded in table.columns else []
    columns = [user, ts, paid, *([order] if order else []), *extra]
    rows = _fetch(
        table, columns, ts, as_of, tz, unlocks="tiers and points", undated=False
    )
    notices, guests = [], np.zeros(0, dtype=str)
    if nobody := rows[user].null_count:
        if order:
            theirs = rows.filter(pc.is_null(rows[user]))
            guests = _text(theirs, order).astype(str)
        rows = rows.filter(pc.is_valid(rows[user]))
        notices.append(Notice("orders_without_user", args=(("orders", nobody),)))
    if bad is not None:
        rows = _whole(rows, columns[2 : 4 if order else 3], "orders", bad)
    named = _text(rows, order) if order else None
    if named is not None:  # an order without an id is one of its own
        lost = np.array([name is None for name in named], dtype=bool)
        named[lost] = [f"\0{i}" for i in range(int(lost.sum()))]
    fen = _money(rows, paid)
    coded = pc.dictionary_encode(rows[user]).combine_chunks()
    names = np.asarray(coded.dictionary.to_pylist(), dtype=object)
    rank = np.argsort(names, kind="stable") if len(names) else np.zeros(0, np.int64)
    place = np.empty(len(names), np.int64)
    place[rank] = np.arange(len(names))
    codes = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return _Orders(
        names[rank], place[codes], _ints(rows, "day__"), _instants(rows, ts, EARLY),
        fen, _money(rows, refunded) if extra and refunded else None,
        named, guests, tuple(notices),
    )  # fmt: skip
