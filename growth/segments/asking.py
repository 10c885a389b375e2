"""What rules in Python are written with: a function a question, each a metric."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from growth.errors import ParameterError
from growth.segments.rules import Metric, When
from growth.stats.arguments import names_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from growth.engine.where import Where

__all__ = [
    "clv_fen",
    "count",
    "distinct",
    "distinct_days",
    "expected_orders",
    "first",
    "greatest",
    "last",
    "least",
    "lifecycle",
    "mean",
    "overdue",
    "p_alive",
    "quantile",
    "recency_days",
    "rfm",
    "sequence",
    "tag_in",
    "total",
    "without",
    "yuan",
]


def yuan(text: str) -> int:
    """Return an amount in fen.

    Parameters
    ----------
    text : str
        Yuan as decimal text, such as ``"199.00"``; never a float.

    Returns
    -------
    int
        Fen.

    Raises
    ------
    ParameterError
        If it is not decimal text of whole fen (code ``bad_money``).

    Examples
    --------
    >>> yuan("199.00")
    19900
    """
    try:
        fen = Decimal(text) * 100 if isinstance(text, str) else Decimal("NaN")
    except InvalidOperation:
        fen = Decimal("NaN")
    if fen.is_finite() and fen == int(fen):
        return int(fen)
    msg = f'yuan is {text!r}; it must be decimal text such as "199.00"; write it so.'
    raise ParameterError(msg, code="bad_money")


def tag_in(tag: str, *values: str) -> When:
    """Return the condition that another tag has one of some values.

    Parameters
    ----------
    tag : str
        The tag's name.
    *values : str
        One or more of its values.

    Returns
    -------
    When
        Unknown for users outside the other tag's population.
    """
    return When("in", tag=tag, value=values)


def _where(where: object) -> Where | None:
    from growth.engine.where import parse_where

    return None if where is None else parse_where(where)


def count(of: str, *, where: object = None, last: int | None = None) -> Metric:
    """Return the number of a user's rows, 0 when there is none.

    Parameters
    ----------
    of : str
        The table: ``orders``, ``events``, ...
    where : list, mapping or Where, optional
        Rows that count, as `growth.engine.parse_where` reads them.
    last : int, optional
        Local days up to `as_of`, 1 or more; all if omitted.

    Returns
    -------
    Metric
        A whole number.
    """
    return Metric("count", of, where=_where(where), last=last)


def distinct_days(of: str, *, where: object = None, last: int | None = None) -> Metric:
    """Return on how many local days a user has a row.

    Parameters
    ----------
    of, where, last
        As in `count`.

    Returns
    -------
    Metric
        A whole number, 0 when there is none.
    """
    return Metric("distinct_days", of, where=_where(where), last=last)


def distinct(
    of: str, col: str, *, where: object = None, last: int | None = None
) -> Metric:
    """Return how many different known values a column has.

    Parameters
    ----------
    of, where, last
        As in `count`.
    col : str
        The column.

    Returns
    -------
    Metric
        A whole number, 0 when there is none.
    """
    return Metric("distinct", of, col, where=_where(where), last=last)


def total(
    of: str,
    col: str,
    *,
    where: object = None,
    last: int | None = None,
    net: bool = False,
) -> Metric:
    """Return the sum of a whole-number column (``op = "sum"``), 0 when empty.

    Parameters
    ----------
    of, where, last
        As in `count`.
    col : str
        The column: money in fen, or any whole number.
    net : bool, default False
        Take refunds off; for ``orders.paid_fen``.

    Returns
    -------
    Metric
        In the column's unit.
    """
    return Metric("sum", of, col, where=_where(where), last=last, net=net)


def mean(
    of: str,
    col: str,
    *,
    where: object = None,
    last: int | None = None,
    net: bool = False,
) -> Metric:
    """Return the mean of a whole-number column, rounded down; unknown when empty.

    Parameters
    ----------
    of, col, where, last, net
        As in `total`.

    Returns
    -------
    Metric
        A whole number, in the column's unit.
    """
    return Metric("mean", of, col, where=_where(where), last=last, net=net)


def least(
    of: str,
    col: str,
    *,
    where: object = None,
    last: int | None = None,
    net: bool = False,
) -> Metric:
    """Return the smallest value of a column (``op = "min"``); unknown when empty.

    Parameters
    ----------
    of, col, where, last, net
        As in `total`.

    Returns
    -------
    Metric
        In the column's unit.
    """
    return Metric("min", of, col, where=_where(where), last=last, net=net)


def greatest(
    of: str,
    col: str,
    *,
    where: object = None,
    last: int | None = None,
    net: bool = False,
) -> Metric:
    """Return the largest value of a column (``op = "max"``); unknown when empty.

    Parameters
    ----------
    of, col, where, last, net
        As in `total`.

    Returns
    -------
    Metric
        In the column's unit.
    """
    return Metric("max", of, col, where=_where(where), last=last, net=net)


def recency_days(of: str, *, where: object = None) -> Metric:
    """Return local days since the last row; 0 is `as_of`, unknown is never.

    Parameters
    ----------
    of, where
        As in `count`.

    Returns
    -------
    Metric
        A whole number of days.
    """
    return Metric("recency_days", of, where=_where(where))


def first(
    of: str, col: str, *, where: object = None, last: int | None = None
) -> Metric:
    """Return a column's value on the user's first row.

    Parameters
    ----------
    of, where, last
        As in `count`.
    col : str
        The column. Rows at one instant stand in the order of their ids.

    Returns
    -------
    Metric
        Of the column's kind; unknown when there is no row or it is NULL there.
    """
    return Metric("first", of, col, where=_where(where), last=last)


def last(of: str, col: str, *, where: object = None, last: int | None = None) -> Metric:
    """Return a column's value on the user's last row.

    Parameters
    ----------
    of, col, where, last
        As in `first`.

    Returns
    -------
    Metric
        Of the column's kind; unknown when there is no row or it is NULL there.
    """
    return Metric("last", of, col, where=_where(where), last=last)


def sequence(
    *steps: str,
    within: int,
    last: int | None = None,
    anchor: str = "any",
    where: object = None,
) -> Metric:
    """Tell whether a user did things in order.

    Parameters
    ----------
    *steps : str
        Two or three events, in order. One row fills one step; rows at one instant
        stand in the order of the steps.
    within : int
        Days from the first step in which all others must fall, inclusive.
    last : int, optional
        Local days in which the first step must fall.
    anchor : {"any", "first", "last"}, default "any"
        Which of the rows of the first step may start the clock.
    where : list, mapping or Where, optional
        Rows that count, of every step.

    Returns
    -------
    Metric
        True or false.
    """
    return Metric(
        "sequence",
        "events",
        where=_where(where),
        last=last,
        steps=steps,
        within=within,
        anchor="" if anchor == "any" else anchor,
    )


def without(
    first: str,
    then: str,
    *,
    within: int,
    last: int | None = None,
    anchor: str = "last",
    hold: Sequence[str] = (),
    where: object = None,
) -> Metric:
    """Tell whether a user did one thing and not another within some days.

    Parameters
    ----------
    first, then : str
        Events A and B.
    within : int
        Days after A in which no B may fall, 1 or more; the end belongs to them.
        An A younger than this at `as_of`, with no B yet, is not counted.
    last : int, optional
        Local days in which A must fall.
    anchor : {"last", "first", "any"}, default "last"
        Which A starts the clock.
    hold : sequence of str, optional
        Columns in which B must be equal to A, such as ``product_id``.
    where : list, mapping or Where, optional
        Rows that count, of A and of B.

    Returns
    -------
    Metric
        True or false.
    """
    return Metric(
        "without",
        "events",
        where=_where(where),
        last=last,
        steps=(first, then),
        within=within,
        anchor="" if anchor == "last" else anchor,
        hold=names_of(hold, "hold"),
    )


def rfm(
    part: str = "segment",
    *,
    of: str = "orders",
    col: str = "paid_fen",
    where: object = None,
    last: int | None = None,
    net: bool = False,
    bins: int = 5,
    cuts: str = "recompute",
) -> Metric:
    """Return a score of recency, frequency and money, or the segment they name.

    Parameters
    ----------
    part : {"segment", "code", "r", "f", "m", "fm"}
        ``segment`` is a name such as ``champions`` (of 5 bins), ``code`` the three
        scores as text ("555"), ``r f m`` one score, ``fm`` the mean of two.
    of, where, last, net
        As in `total`.
    col : str, default "paid_fen"
        The money.
    bins : int, default 5
        Score levels, 2 to 9.
    cuts : {"recompute", "frozen"}
        Whether the yardstick is taken anew at each `as_of`, or from a `Context`.

    Returns
    -------
    Metric
        Unknown for users without a row.
    """
    return Metric(
        "rfm",
        of,
        col,
        where=_where(where),
        last=last,
        net=net,
        bins=bins,
        part=part,
        cuts=cuts,
    )


def quantile(metric: Metric, *, bins: int = 5, cuts: str = "recompute") -> Metric:
    """Return in which of some equally full bins a metric lies, 1 the lowest.

    Parameters
    ----------
    metric : Metric
        A number; users of whom it is unknown are in no bin.
    bins : int, default 5
        2 to 100. Ties share a bin.
    cuts : {"recompute", "frozen"}
        As in `rfm`.

    Returns
    -------
    Metric
        A whole number.
    """
    return Metric("quantile", metric.of, metric=metric, bins=bins, cuts=cuts)


def lifecycle(
    of: str = "events", *, period: str = "month", where: object = None
) -> Metric:
    """Return where in their life with the shop a user stands.

    Parameters
    ----------
    of, where
        As in `count`: the rows that are activity.
    period : {"day", "week", "month"}, default "month"
        Of local days, weeks from Monday.

    Returns
    -------
    Metric
        ``new returning resurrecting dormant asleep``; unknown: never active.
    """
    return Metric("lifecycle", of, where=_where(where), period=period)


def p_alive(
    of: str = "orders", *, where: object = None, cuts: str = "recompute"
) -> Metric:
    """Return the chance that a buyer will ever buy again, by BG/NBD.

    Parameters
    ----------
    of, where
        As in `count`: the purchases.
    cuts : {"recompute", "frozen"}
        Whether the model is fitted anew, or taken from a `Context`.

    Returns
    -------
    Metric
        In [0, 1]; unknown for users without a purchase.
    """
    return Metric("p_alive", of, where=_where(where), cuts=cuts)


def expected_orders(
    horizon: int,
    *,
    of: str = "orders",
    where: object = None,
    cuts: str = "recompute",
) -> Metric:
    """Return how many days of purchase are expected, by BG/NBD.

    Parameters
    ----------
    horizon : int
        Days ahead, 1 or more.
    of, where, cuts
        As in `p_alive`.

    Returns
    -------
    Metric
        0 or more; unknown for users without a purchase.
    """
    return Metric(
        "expected_orders", of, where=_where(where), horizon=horizon, cuts=cuts
    )


def clv_fen(
    horizon: int,
    *,
    of: str = "orders",
    col: str = "paid_fen",
    where: object = None,
    net: bool = False,
    cuts: str = "recompute",
) -> Metric:
    """Return what a buyer is expected to pay, by BG/NBD and Gamma-Gamma.

    Parameters
    ----------
    horizon : int
        Days ahead, 1 or more.
    of, where, cuts
        As in `p_alive`.
    col : str, default "paid_fen"
        The money.
    net : bool, default False
        Take refunds off.

    Returns
    -------
    Metric
        Fen, rounded down; unknown for users without a purchase. It ranks buyers;
        it is not an amount to plan with.
    """
    return Metric(
        "clv_fen", of, col, where=_where(where), net=net, horizon=horizon, cuts=cuts
    )


def overdue(
    *, of: str = "orders", where: object = None, p: int = 80, cuts: str = "recompute"
) -> Metric:
    """Tell whether a buyer is silent for longer than they usually are.

    Parameters
    ----------
    of, where
        As in `count`: the purchases.
    p : int, default 80
        Percentile of the days between purchases, 1 to 99: of the buyer's own with
        3 or more days of purchase, else of the shop's.
    cuts : {"recompute", "frozen"}
        Whether the shop's gap is taken anew, or from a `Context`.

    Returns
    -------
    Metric
        True or false; unknown for users without a purchase.
    """
    return Metric("overdue", of, where=_where(where), p=p, cuts=cuts)
