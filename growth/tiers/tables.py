"""The room's verbs on tables: orders and refunds, from any engine, as arrays."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from growth import engine
from growth.errors import DataError, Fault, ParameterError
from growth.result import Notice
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
from growth.tiers.replaying import Replayed, Tape, replay_tape
from growth.tiers.seasons import FLAT, Calendar

if TYPE_CHECKING:
    from collections.abc import Sequence

    import ibis.expr.types as ir

    from growth.engine import TableLike
    from growth.tiers.programme import Programme

__all__ = ["fit", "replay"]

EPOCH: Final = date(1970, 1, 1)
#: In the order of a day: login, order, redemption, review, visit, refund.
KINDS: Final = {"login": 0, "redeem": 2, "review": 3, "offline_visit": 4}


class _Orders(NamedTuple):
    ids: Any
    member: Any
    day: Any
    at: Any  # microseconds, for the order within a day
    fen: Any
    refunded: Any
    order: Any
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
    user_col: str = "user_id",
    ts_col: str = "pay_ts",
    paid_col: str = "paid_fen",
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
    user_col, ts_col, paid_col : str
        The columns.
    tz : str, default "Asia/Shanghai"
        The zone of days.

    Returns
    -------
    Population
        States, parameters and the back-test table; `generator` has the lowest mean
        absolute log error, the simpler within one percentage point.

    Raises
    ------
    ColumnNotFoundError, DataError, ParameterError
        If a column is missing, nobody ordered (``no_orders``), or an amount is
        negative (``amount_negative``) or no whole number (``amount_not_integer``).

    Notes
    -----
    The calibrated interval is learned from origins whose window had closed by the
    forecast's day; with fewer than three there is none (``not_calibrated``).
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
    read = _read(orders, user_col, ts_col, paid_col, None, None, as_of, tz)
    if read.fen.size and (least := int(read.fen.min())) < 0:
        msg = f"{paid_col} falls to {least}; an order must be of 0 fen or more; enter"
        raise DataError(f"{msg} returns as refunds.", code="amount_negative")
    paid = read.fen > 0
    found = list(read.notices)
    if free := int((~paid).sum()):
        found.append(Notice("free_orders_left_out", args=(("orders", free),)))
    ids, member = np.unique(read.member[paid], return_inverse=True)
    days = purchase_days(member, read.day[paid], read.fen[paid], len(ids))
    past = Past(days.at, days.day, days.fen)
    return fit_days(
        days, past, as_of=as_of, seed=seed, window_days=window_days,
        step_days=step_days, train_days=train_days, replications=replications,
        generators=generators, thresholds_fen=cuts, habits=habits,
        calendar=calendar, cap=cap, ids=read.ids[ids], notices=found,
    )  # fmt: skip


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
        ``order_id``, ``refund_id``, ``ts``, ``amount_fen``. Without it, the orders'
        own ``refund_fen`` is taken as a refund on the day of the order, and said so
        (notice ``refunds_undated``).
    interactions : table, optional
        `user_col`, ``ts``, ``event`` of ``login``, ``review``, ``offline_visit``.
    ledger : table, optional
        A ledger in use: `user_col`, ``ts``, ``kind``, ``points``. Its redemptions are
        facts and are replayed; its balances are compared with the programme's.
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
        ``redeem_not_in_blocks``, ``insufficient_points``.
    """
    day_of(as_of)
    tz = programme.timezone
    has_sum = refunds is None
    read = _read(orders, user_col, ts_col, paid_col, order_col,
                 "refund_fen" if has_sum else None, as_of, tz)  # fmt: skip
    tape = Tape(
        ids=read.ids, member=read.member, day=read.day, at=read.at, fen=read.fen,
        order=read.order, refunded=read.refunded,
    )  # fmt: skip
    notices = list(read.notices)
    if refunds is not None:
        dated = ("order_id", "refund_id", "ts", "amount_fen")
        rows = _fetch(refunds, dated, "ts", as_of, tz, unlocks="dated refunds")
        tape = tape._replace(
            refund_order=_text(rows, "order_id"), refund_id=_text(rows, "refund_id"),
            refund_day=_ints(rows, "day__"), refund_at=_ints(rows, "at__"),
            refund_fen=_money(rows, "amount_fen"),
        )  # fmt: skip
    elif read.refunded is not None and read.refunded.any():
        notices.append(Notice("refunds_undated", severity="warning"))
    acts: list[tuple[Any, Any, Any, Any, Any]] = []
    if interactions is not None:
        rows = _fetch(
            interactions,
            (user_col, "ts", "event"),
            "ts",
            as_of,
            tz,
            unlocks="interactions",
        )
        names = _text(rows, "event")
        known = np.isin(names, list(KINDS))
        code = np.array([KINDS.get(str(n), -1) for n in names[known]], np.int8)
        acts.append(
            (_text(rows, user_col)[known], _ints(rows, "day__")[known],
             _ints(rows, "at__")[known], code, np.zeros(len(code), np.int64))
        )  # fmt: skip
    balances: tuple[Any, Any] | None = None
    if ledger is not None:
        rows = _fetch(
            ledger,
            (user_col, "ts", "kind", "points"),
            "ts",
            as_of,
            tz,
            unlocks="redemptions",
        )
        who, kind = _text(rows, user_col), _text(rows, "kind")
        points = _money(rows, "points")
        used = kind == "redeem"
        acts.append(
            (who[used], _ints(rows, "day__")[used], _ints(rows, "at__")[used],
             np.full(int(used.sum()), KINDS["redeem"], np.int8), np.abs(points[used]))
        )  # fmt: skip
        balances = (who, points)
    return replay_tape(
        tape, programme, as_of=as_of, acts=acts, balances=balances, on_bad=on_bad,
        notices=notices,
    )  # fmt: skip


def _fetch(
    data: TableLike, columns: Sequence[str], ts: str, as_of: date, tz: str,
    *, unlocks: str,
) -> Any:  # fmt: skip  # noqa: ANN401
    """Return some columns of the rows up to `as_of`, with their local day."""
    table: ir.Table = engine.as_table(data)
    engine.need_columns(table, columns, unlocks=unlocks)
    dated = table.filter(table[ts].notnull()).select(
        *columns, day__=engine.local_day(table[ts], tz), at__=engine.epoch_us(table[ts])
    )
    return engine.fetch(dated.filter(dated.day__ <= (as_of - EPOCH).days), "tiers")


def _ints(rows: Any, name: str) -> Any:  # noqa: ANN401
    return rows[name].to_numpy(zero_copy_only=False).astype(np.int64)


def _text(rows: Any, name: str) -> Any:  # noqa: ANN401
    return np.asarray(rows[name].to_pylist(), dtype=object)


def _money(rows: Any, name: str) -> Any:  # noqa: ANN401
    """Return whole numbers of a column, NULL as 0; refuse fractions."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = rows[name]
    if pa.types.is_integer(column.type):
        return pc.fill_null(column, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    values = column.to_numpy(zero_copy_only=False).astype(float)
    whole = np.nan_to_num(values)
    if (whole != np.floor(whole)).any():
        seen = values[np.argmax(whole != np.floor(whole))]
        msg = f"{name} holds {seen}; money and points must be whole numbers; map yuan"
        raise DataError(f"{msg} to fen first.", code="amount_not_integer")
    return whole.astype(np.int64)


def _read(
    orders: TableLike, user: str, ts: str, paid: str, order: str | None,
    refunded: str | None, as_of: date, tz: str,
) -> _Orders:  # fmt: skip
    import pyarrow.compute as pc

    table = engine.as_table(orders)
    extra = [refunded] if refunded is not None and refunded in table.columns else []
    columns = [user, ts, paid, *([order] if order else []), *extra]
    rows = _fetch(table, columns, ts, as_of, tz, unlocks="tiers and points")
    notices = []
    if nobody := rows[user].null_count:
        rows = rows.filter(pc.is_valid(rows[user]))
        notices.append(Notice("orders_without_user", args=(("orders", nobody),)))
    fen = _money(rows, paid)
    coded = pc.dictionary_encode(rows[user]).combine_chunks()
    names = np.asarray(coded.dictionary.to_pylist(), dtype=object)
    rank = np.argsort(names, kind="stable") if len(names) else np.zeros(0, np.int64)
    place = np.empty(len(names), np.int64)
    place[rank] = np.arange(len(names))
    codes = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return _Orders(
        names[rank], place[codes], _ints(rows, "day__"), _ints(rows, "at__"), fen,
        _money(rows, refunded) if extra and refunded else None,
        _text(rows, order) if order else None,
        tuple(notices),
    )  # fmt: skip
