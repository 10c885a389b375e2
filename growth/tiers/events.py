"""What each kind of event does to a member's state; an impossible one is refused."""

from __future__ import annotations

from array import array
from operator import index
from typing import TYPE_CHECKING, Any, Final

from growth.errors import DataError
from growth.tiers import rules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from growth.tiers.ledger import State

__all__ = ["RUN", "amount_of", "needed", "refund_of"]


def needed(event: Mapping[str, Any], key: str) -> Any:  # noqa: ANN401
    """Return an event's value; refuse one that is missing."""
    value = event.get(key)
    if value is None:
        msg = f"{key} is missing from the event {dict(event)!r}; it must be given;"
        raise DataError(f"{msg} add it.", code="event_incomplete")
    return value


#: What to do about an amount that is too low.
REMEDIES: Final = {
    "points": "write what is spent without a sign",
    "amount_fen": "write what is paid back without a sign",
}


def amount_of(name: str, value: object, low: int) -> int:
    """Return a whole number, `low` or more; refuse any other."""
    if type(value) is not int:
        try:
            value = index(_no_truth(value))  # type: ignore[arg-type]
        except TypeError:
            msg = f"{name} is {value!r}; money and points must be whole numbers; 12.50"
            msg = f"{msg} yuan is 1250 fen."
            raise DataError(msg, code="amount_not_integer") from None
    if value < low:
        remedy = REMEDIES.get(name, "enter a return as a refund of its order")
        msg = f"{name} is {value}; it must be {low} or more; {remedy}."
        raise DataError(msg, code="amount_negative")
    if value > rules.MOST:
        msg = f"{name} is {value}; it must be {rules.MOST} or less; amounts are in fen,"
        raise DataError(f"{msg} correct it.", code="amount_too_large")
    return value


def _no_truth(value: object) -> object:
    """Return a value; None in place of true and false, which are no amounts."""
    return None if isinstance(value, bool) else value


_LOT_ROOM: Final = array("q", [0] * rules.LOT)
_ORDER_ROOM: Final = array("q", [0] * rules.ORDER)


def _room(state: State) -> None:
    """Make room for one lot more."""
    if len(state.lots) < (state.scalars[rules.LOTS] + 1) * rules.LOT:
        state.lots += _LOT_ROOM


def _purchase(
    p: tuple[int, ...], state: State, event: Mapping[str, Any], day: int
) -> str:
    order = str(needed(event, "order_id"))
    paid = amount_of("paid_fen", needed(event, "paid_fen"), 0)
    if order in state.orders:
        msg = f"order {order!r} is in the ledger; each must come once; drop the repeat,"
        raise DataError(f"{msg} or give it an id of its own.", code="duplicate_order")
    _room(state)
    state.bought += _ORDER_ROOM
    at = rules.purchase(
        p, state.scalars, state.lots, state.bought, state.ring, day, paid
    )
    state.orders = {**state.orders, order: (at, {})}
    return order


def refund_of(
    p: tuple[int, ...], state: State, event: Mapping[str, Any], _day: int
) -> str:
    """Refund an order, once; a state that raises is as it was."""
    order, refund = str(needed(event, "order_id")), str(needed(event, "refund_id"))
    amount = amount_of("amount_fen", needed(event, "amount_fen"), 1)
    ref = f"{order}/{refund}"
    if order not in state.orders:
        msg = f"refund {ref!r} is of an order the ledger does not know; it must follow"
        raise DataError(
            f"{msg} its order; load that first.", code="refund_without_order"
        )
    at, known = state.orders[order]
    if refund in known:
        if known[refund] == amount:
            state.duplicates += 1
            return ref
        msg = f"refund {ref!r} is of {amount} fen, and was of {known[refund]} before; a"
        msg = f"{msg} repeat must be equal; correct it, or give it an id of its own."
        raise DataError(msg, code="conflicting_refund")
    place = at * rules.ORDER
    left = state.bought[place + rules.O_PAID] - state.bought[place + rules.O_REFUNDED]
    if amount > left:
        msg = f"refund {ref!r} is of {amount} fen; {left} fen of the order are still"
        msg = f"{msg} paid and a refund must not pass that; correct the amount."
        raise DataError(msg, code="refund_exceeds_order")
    rules.refund(p, state.scalars, state.lots, state.bought, state.ring, at, amount)
    state.orders = {**state.orders, order: (at, {**known, refund: amount})}
    return ref


def _redeem(
    p: tuple[int, ...], state: State, event: Mapping[str, Any], _day: int
) -> str:
    points = amount_of("points", needed(event, "points"), 0)
    block = p[rules.P_BLOCK]
    if not points or points % block:
        msg = f"points is {points}; a redemption must be of whole blocks of {block};"
        raise DataError(f"{msg} round it down.", code="redeem_not_in_blocks")
    have = state.scalars[rules.ACTIVE]
    if points > have:
        msg = (
            f"points is {points}; a redemption must not pass the {have} active points;"
        )
        raise DataError(f"{msg} offer what is there.", code="insufficient_points")
    given = event.get("redemption_id")
    ref = "" if given is None else str(given)
    if ref in state.takes:
        msg = f"redemption {ref!r} is in the ledger; each must come once; give it an id"
        raise DataError(f"{msg} of its own.", code="duplicate_redemption")
    before = state.lots[rules.L_REDEEMED :: rules.LOT]
    rules.redeem(state.scalars, state.lots, points)
    if ref:
        after = state.lots[rules.L_REDEEMED :: rules.LOT]
        pairs = enumerate(zip(before, after, strict=True))
        took = tuple((lot, b - a) for lot, (a, b) in pairs if a != b)
        state.takes = {**state.takes, ref: took}
    return ref


def _restore(
    _p: tuple[int, ...], state: State, event: Mapping[str, Any], _day: int
) -> str:
    ref = str(needed(event, "redemption_id"))
    if ref not in state.takes:
        msg = f"redemption {ref!r} is not in the ledger; only one that is there can be"
        raise DataError(
            f"{msg} cancelled; check the id.", code="restore_without_redemption"
        )
    state.duplicates += not state.takes[ref]
    for lot, points in state.takes[ref]:
        rules.restore(state.scalars, state.lots, lot, points)
    state.takes = {**state.takes, ref: ()}
    return ref


def _login(
    p: tuple[int, ...], state: State, _event: Mapping[str, Any], day: int
) -> str:
    _room(state)
    rules.login(p, state.scalars, state.lots, state.ring, day)
    return ""


def _review(
    p: tuple[int, ...], state: State, _event: Mapping[str, Any], day: int
) -> str:
    _room(state)
    rules.review(p, state.scalars, state.lots, state.ring, day)
    return ""


def _visit(
    p: tuple[int, ...], state: State, _event: Mapping[str, Any], _day: int
) -> str:
    rules.visit(p, state.scalars, state.ring)
    return ""


def _close(
    p: tuple[int, ...], state: State, _event: Mapping[str, Any], day: int
) -> str:
    rules.close(p, state.scalars, state.lots, state.ring, day)
    return ""


def _snapshot(
    _p: tuple[int, ...], _state: State, _event: Mapping[str, Any], _day: int
) -> str:
    return ""


#: By the kind of event.
RUN: Final[
    dict[str, Callable[[tuple[int, ...], State, Mapping[str, Any], int], str]]
] = {
    "purchase": _purchase,
    "refund": refund_of,
    "redeem": _redeem,
    "restore": _restore,
    "login": _login,
    "review": _review,
    "offline_visit": _visit,
    "snapshot": _snapshot,
    "close": _close,
}
