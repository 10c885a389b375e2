"""What a service asks of one member: tier, points of an order, a refund's claim."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, NamedTuple

from growth.errors import ParameterError
from growth.tiers import rules
from growth.tiers.events import amount_of, refund_of
from growth.tiers.ledger import State, apply, fit_for
from growth.tiers.programme import need_programme

if TYPE_CHECKING:
    from growth.tiers.programme import Programme

__all__ = ["Claim", "Standing", "claw_back", "points_for", "standing"]


class Standing(NamedTuple):
    """Where a member stands, and what is missing to the next tier.

    `missing_fen` and `missing_interactions` are None where the next tier does not
    ask for them; all three are None at the top. Under ``match = "any"`` either is
    enough.
    """

    tier: int
    name: str
    next_name: str | None
    missing_fen: int | None
    missing_interactions: int | None
    window_spend_fen: int
    window_interactions: int
    active: int
    pending: int
    debt: int


class Claim(NamedTuple):
    """What a refund would claw back, by where it comes from.

    `points` is their sum; `absorbed` had expired and is not owed; `shortfall`
    follows the programme's rule; `cash_deducted_fen` comes off the refund.
    """

    points: int
    pending: int
    own: int
    absorbed: int
    others: int
    shortfall: int
    cash_deducted_fen: int


def standing(state: State, programme: Programme, *, ts: object = None) -> Standing:
    """Return the tier now and what is missing to the next.

    Parameters
    ----------
    state : State
        The member.
    programme : Programme
        The rules.
    ts : datetime, date or ISO text, optional
        The moment asked about; the state's own day if omitted.

    Returns
    -------
    Standing
        Tier, distances and balances.

    Raises
    ------
    DataError
        If `ts` lies before the state (``event_out_of_order``) or is no time; if the
        state is of another programme (``state_of_other_programme``).
    """
    fit_for(state, programme)
    if ts is not None:
        state = apply(state, {"ts": ts, "kind": "snapshot"}, programme).state
    tier, names = state.tier, programme.names
    following = programme.tiers[tier + 1] if tier + 1 < len(names) else None

    def missing(asked: int | None, have: int) -> int | None:
        return None if asked is None else max(0, asked - have)

    return Standing(
        tier,
        names[tier],
        names[tier + 1] if following else None,
        missing(following.min_spend_fen, state.window_spend_fen) if following else None,
        missing(following.min_interactions, state.window_interactions)
        if following
        else None,
        state.window_spend_fen,
        state.window_interactions,
        state.active,
        state.pending,
        state.debt,
    )


def points_for(paid_fen: int, *, tier: int, programme: Programme) -> int:
    """Return the points an order earns, before caps.

    Parameters
    ----------
    paid_fen : int
        What was paid, 0 or more.
    tier : int
        The tier held before the order, 0 or more.
    programme : Programme
        The rules.

    Returns
    -------
    int
        ``floor(paid * per_yuan * multiplier / 100)``, exact.

    Raises
    ------
    DataError
        If `paid_fen` is no whole number of fen, or negative.
    ParameterError
        If the programme has no such tier (``unknown_tier``).

    Examples
    --------
    >>> from growth.tiers import load_programme
    >>> tier = {"name": "all", "min_spend_fen": 0, "earn_multiplier": "1.15"}
    >>> points_for(10_000, tier=0, programme=load_programme({"tiers": [tier]}))
    115
    """
    need_programme(programme)
    try:
        at = index(tier)
    except TypeError:
        at = -1
    if not 0 <= at < len(programme.tiers):
        msg = f"tier is {tier!r}; it must be 0 to {len(programme.tiers) - 1}; take it"
        raise ParameterError(f"{msg} from the state.", code="unknown_tier")
    table = rules.P_TABLE + at * rules.T_WIDTH
    p = programme.compiled
    fen = amount_of("paid_fen", paid_fen, 0)
    return rules.scaled(fen, p[table + rules.T_NUM], p[table + rules.T_DEN])


def claw_back(
    state: State, order_id: str, amount_fen: int, programme: Programme
) -> Claim:
    """Return what refunding an order now would take back, without doing it.

    Parameters
    ----------
    state : State
        The member.
    order_id : str
        An order of theirs.
    amount_fen : int
        The refund, above 0, at most what is still paid.
    programme : Programme
        The rules.

    Returns
    -------
    Claim
        The points by where they come from.

    Raises
    ------
    DataError
        As `apply` would for such a refund.
    """
    fit_for(state, programme)
    after = state.copy()
    place, refunds = after.orders.get(str(order_id), (0, {}))
    unused = "asked"
    while unused in refunds:
        unused += "?"
    probe = {"ts": "-", "kind": "refund", "order_id": order_id, "refund_id": unused,
             "amount_fen": amount_fen}  # fmt: skip
    known = after.scalars.copy()
    at = place * rules.ORDER
    own = after.bought[at + rules.O_LOT] * rules.LOT if after.bought else -1
    lots, held = after.lots[:], after.bought[:]
    refund_of(programme.compiled, after, probe, after.scalars[rules.DAY])
    moved = [b - a for a, b in zip(known, after.scalars, strict=True)]
    pending = -moved[rules.PENDING]
    mine = (
        lots[own + rules.L_ACTIVE] - after.lots[own + rules.L_ACTIVE] if own >= 0 else 0
    )
    absorbed = after.bought[at + rules.O_ABSORBED] - held[at + rules.O_ABSORBED]
    return Claim(
        held[at + rules.O_KEPT] - after.bought[at + rules.O_KEPT],
        pending,
        mine,
        absorbed,
        -moved[rules.ACTIVE] - mine,
        moved[rules.DEBT] + moved[rules.UNCOLLECTED],
        moved[rules.CASH],
    )
