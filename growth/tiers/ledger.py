"""One member's ledger: pure functions of a state, an event and the programme.

`apply` gives a new state and the entries that explain it; the old state is as it was,
so an event that raises changes nothing. A `Ledger` keeps events and entries, append
only, and audits itself by doing everything again.
"""

from __future__ import annotations

from array import array
from datetime import date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from growth.errors import DataError, ParameterError, suggest
from growth.tiers import rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from zoneinfo import ZoneInfo

    from growth.tiers.programme import Programme

__all__ = [
    "Applied",
    "Claim",
    "Entry",
    "Ledger",
    "Standing",
    "State",
    "apply",
    "claw_back",
    "day_number",
    "open_state",
    "points_for",
    "standing",
]

KINDS: Final = (
    "purchase", "refund", "redeem", "restore", "login", "review", "offline_visit",
    "snapshot", "close",
)  # fmt: skip
#: Scalars an entry reports, in their order.
REPORTED: Final = (
    "tier", "failures", "debt", "active", "pending", "issued", "redeemed", "expired",
    "clawed", "uncollected", "capped", "cash_deducted_fen",
)  # fmt: skip
FIRST, LAST = rules.TIER, rules.CASH + 1
EPOCH: Final = date(1970, 1, 1).toordinal()
VERSION: Final = 1


class State:
    """What is known of a member between two events. Read it, keep it, do not edit it.

    `to_dict` and `from_dict` carry it through any store; a ledger cut anywhere and
    resumed from a saved state ends the same.
    """

    __slots__ = (
        "bought", "duplicates", "instant", "lots", "orders", "ring", "scalars",
        "takes",
    )  # fmt: skip

    def __init__(
        self,
        scalars: list[int],
        lots: array[int],
        bought: array[int],
        ring: list[int],
        orders: dict[str, tuple[int, dict[str, int]]],
        takes: dict[str, tuple[tuple[int, int], ...]],
        duplicates: int,
        instant: float | None,
    ) -> None:
        self.scalars = scalars
        self.lots = lots
        self.bought = bought
        self.ring = ring
        self.orders = orders
        self.takes = takes
        self.duplicates = duplicates
        self.instant = instant

    def __getattr__(self, name: str) -> int:
        """Read a counter by its name: ``state.active``, ``state.tier``."""
        at = _PLACES.get(name)
        if at is None:
            raise AttributeError(f"State has no attribute {name!r}")
        return self.scalars[at]

    def __eq__(self, other: object) -> bool:
        """Compare what both would do from here on."""
        return isinstance(other, State) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def copy(self) -> State:
        """Return a state that can be changed without changing this one."""
        return State(
            self.scalars.copy(), self.lots[:], self.bought[:],
            self.ring.copy(), self.orders, self.takes, self.duplicates, self.instant,
        )  # fmt: skip

    def counters(self) -> dict[str, int]:
        """Return tier, points by fate and the other counters, by name."""
        values = dict(zip(REPORTED, self.scalars[FIRST:LAST], strict=True))
        return values | {"duplicates_ignored": self.duplicates}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        s = self.scalars
        return {
            "version": VERSION,
            "scalars": list(s),
            "lots": self.lots[: s[rules.LOTS] * rules.LOT].tolist(),
            "bought": self.bought[: s[rules.ORDERS] * rules.ORDER].tolist(),
            "ring": list(self.ring),
            "orders": {k: [at, dict(r)] for k, (at, r) in self.orders.items()},
            "takes": {k: [list(t) for t in v] for k, v in self.takes.items()},
            "duplicates": self.duplicates,
            "instant": self.instant,
        }

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> State:
        """Return the state `to_dict` wrote.

        Parameters
        ----------
        saved : mapping
            What `to_dict` gave, perhaps read from JSON.

        Returns
        -------
        State
            Equal to the one saved.

        Raises
        ------
        DataError
            If it is of another version (``state_version``).
        """
        if saved.get("version") != VERSION:
            msg = f"the state's version is {saved.get('version')!r}; it must be"
            msg = f"{msg} {VERSION}; replay the member's events to rebuild it."
            raise DataError(msg, code="state_version")
        return cls(
            list(saved["scalars"]), array("q", saved["lots"]),
            array("q", saved["bought"]), list(saved["ring"]),
            {k: (at, dict(r)) for k, (at, r) in saved["orders"].items()},
            {k: tuple((a, b) for a, b in v) for k, v in saved["takes"].items()},
            saved["duplicates"], saved["instant"],
        )  # fmt: skip


_PLACES: Final = {name: FIRST + i for i, name in enumerate(REPORTED)} | {
    "window_spend_fen": rules.SPEND,
    "window_interactions": rules.INTERACTIONS,
    "day": rules.DAY,
    "joined": rules.JOINED,
}


class Entry(NamedTuple):
    """One line of the ledger: what an event, or time alone, changed.

    `day` counts from 1970-01-01; `kind` is the event's, or ``release`` or ``close``;
    `ref` names the order, refund or redemption; `changes` are (counter, difference).
    """

    day: int
    kind: str
    ref: str
    changes: tuple[tuple[str, int], ...]


class Applied(NamedTuple):
    """The state after an event, and the entries between the two."""

    state: State
    entries: tuple[Entry, ...]


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


def open_state(programme: Programme, *, joined: date | str) -> State:
    """Return the state of a member who joins.

    Parameters
    ----------
    programme : Programme
        The programme joined.
    joined : date or ISO text
        The local day.

    Returns
    -------
    State
        Lowest tier, no points.

    Raises
    ------
    DataError
        If `joined` is no day (``naive_timestamp``, ``bad_timestamp``).
    """
    compiled = programme.compiled
    day, _ = day_number(joined, programme.timezone)
    scalars = [0] * rules.SCALARS
    ring = [0] * (2 * programme.qualify.window.months)
    rules.start(compiled, scalars, ring, day)
    return State(scalars, array("q"), array("q"), ring, {}, {}, 0, None)


def apply(state: State, event: Mapping[str, Any], programme: Programme) -> Applied:
    """Apply one event: what tier and points are now, and what this changed.

    Parameters
    ----------
    state : State
        The member before; it is not changed.
    event : mapping
        ``ts`` (an aware datetime, ISO text with an offset, or a local date) and
        ``kind``: ``purchase`` (``order_id``, ``paid_fen``), ``refund``
        (``order_id``, ``refund_id``, ``amount_fen``), ``redeem`` (``points``,
        perhaps ``redemption_id``), ``restore`` (``redemption_id``), ``login``,
        ``review``, ``offline_visit``; or ``snapshot`` (opens the day) and ``close``
        (closes it). Other keys, such as ``channel``, enter no rule.
    programme : Programme
        The rules.

    Returns
    -------
    Applied
        The new state, and one entry for each change: those that time brought since
        the last event, then the event's.

    Raises
    ------
    DataError
        ``duplicate_order``, ``refund_without_order``, ``refund_exceeds_order``,
        ``conflicting_refund``, ``event_before_join``, ``event_out_of_order``,
        ``amount_not_integer``, ``amount_negative``, ``naive_timestamp``,
        ``redeem_not_in_blocks``, ``insufficient_points``,
        ``restore_without_redemption``, ``duplicate_redemption``,
        ``unknown_event``, ``event_incomplete``, ``bad_timestamp``.

    Examples
    --------
    >>> from growth.tiers import load_programme
    >>> programme = load_programme({"tiers": [{"name": "all", "min_spend_fen": 0}]})
    >>> state = open_state(programme, joined="2026-01-01")
    >>> order = {"ts": "2026-01-05", "kind": "purchase", "order_id": "A"}
    >>> state, entries = apply(state, order | {"paid_fen": 12_345}, programme)
    >>> state.active, entries[0].changes
    (123, (('active', 123), ('issued', 123)))
    """
    kind = event.get("kind")
    run = _RUN.get(kind)  # type: ignore[arg-type]
    if run is None:
        hint = suggest(str(kind), KINDS)
        msg = f"kind is {kind!r}; it must be one of {', '.join(KINDS)}; correct the"
        raise DataError(f"{msg} event.{hint}", code="unknown_event")
    compiled = programme.compiled
    day, instant = day_number(_need(event, "ts"), programme.timezone)
    _in_order(state, day, instant)
    after = state.copy()
    if instant is not None:
        after.instant = instant
    scalars = after.scalars
    entries: list[Entry] = []
    before = _pass(compiled, after, day, entries)
    ref = run(compiled, after, event, day)
    _note(entries, day, str(kind), ref, before, scalars[FIRST:LAST])
    return Applied(after, tuple(entries))


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
        If `ts` lies before the state (``event_out_of_order``) or is no time.
    """
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
    if not 0 <= tier < len(programme.tiers):
        msg = f"tier is {tier}; it must be 0 to {len(programme.tiers) - 1}; take it"
        raise ParameterError(f"{msg} from the state.", code="unknown_tier")
    table = rules.P_TABLE + tier * rules.T_WIDTH
    p = programme.compiled
    fen = _amount("paid_fen", paid_fen, 0)
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
    probe = {"ts": "-", "kind": "refund", "order_id": order_id, "refund_id": "\0",
             "amount_fen": amount_fen}  # fmt: skip
    after = state.copy()
    known = after.scalars.copy()
    at = after.orders.get(order_id, (0, {}))[0] * rules.ORDER
    own = after.bought[at + rules.O_LOT] * rules.LOT if after.bought else -1
    lots, held = after.lots[:], after.bought[:]
    _refund(programme.compiled, after, probe, after.scalars[rules.DAY])
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


class Ledger:
    """A member's ledger: events go in at the end, nothing is ever rewritten.

    Parameters
    ----------
    programme : Programme
        The rules.
    joined : date or ISO text
        The local day the member joined.
    """

    def __init__(self, programme: Programme, *, joined: date | str) -> None:
        self.programme = programme
        self.joined = joined
        self.state = open_state(programme, joined=joined)
        self._events: list[Mapping[str, Any]] = []
        self._entries: list[Entry] = []

    @property
    def events(self) -> tuple[Mapping[str, Any], ...]:
        """The events accepted, in order."""
        return tuple(self._events)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What they changed, in order."""
        return tuple(self._entries)

    def append(self, event: Mapping[str, Any]) -> tuple[Entry, ...]:
        """Apply an event and keep it; one that raises leaves the ledger as it was.

        Parameters
        ----------
        event : mapping
            As `apply` takes it.

        Returns
        -------
        tuple of Entry
            What it changed.

        Raises
        ------
        DataError
            As `apply`.
        """
        self.state, entries = apply(self.state, event, self.programme)
        self._events.append(dict(event))
        self._entries += entries
        return entries

    def audit(self) -> bool:
        """Do everything again and check every identity of the result.

        Returns
        -------
        bool
            True.

        Raises
        ------
        DataError
            If the state, the entries or an identity disagree (``audit_failed``).
        """
        again = Ledger(self.programme, joined=self.joined)
        for event in self._events:
            again.append(event)
        sums: dict[str, int] = dict.fromkeys(REPORTED, 0)
        for entry in self._entries:
            for name, change in entry.changes:
                sums[name] += change
        counted = self.state.counters()
        checks = {
            "replaying the events": again.state == self.state,
            "the entries": again._entries == self._entries,
            "the sum of the entries": all(sums[n] == counted[n] for n in REPORTED),
            "issued + debt = redeemed + expired + clawed + active + pending":
                rules.balanced(self.state.scalars),
            "lots as sums of their uses": all(
                rules.lot_balanced(self.state.lots, lot)
                for lot in range(self.state.scalars[rules.LOTS])
            ),
        }  # fmt: skip
        if wrong := [name for name, held in checks.items() if not held]:
            msg = f"the ledger fails at {', '.join(wrong)}; every line must follow from"
            msg = f"{msg} the events; rebuild it from them."
            raise DataError(msg, code="audit_failed")
        return True


@cache
def _zone(name: str) -> ZoneInfo:
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def day_number(ts: object, timezone: str) -> tuple[int, float | None]:
    """Return an event's local day since 1970-01-01, and its instant if it has one.

    Parameters
    ----------
    ts : aware datetime, date or ISO text
        A date is that local day.
    timezone : str
        The programme's.

    Returns
    -------
    tuple of int and (float or None)
        The day; seconds since 1970, None for a date.

    Raises
    ------
    DataError
        ``naive_timestamp`` or ``bad_timestamp``.
    """
    seen = ts
    if isinstance(ts, str):
        try:
            ts = date.fromisoformat(ts) if len(ts) == 10 else datetime.fromisoformat(ts)
        except ValueError:
            ts = None
    if isinstance(ts, datetime):
        if ts.tzinfo is None or ts.utcoffset() is None:
            msg = f"ts is {seen!r}, without a time zone; it must have an offset such as"
            raise DataError(
                f"{msg} +08:00, or be a date; add it.", code="naive_timestamp"
            )
        local = ts.astimezone(_zone(timezone))
        return local.toordinal() - EPOCH, ts.timestamp()
    if isinstance(ts, date):
        return ts.toordinal() - EPOCH, None
    msg = f"ts is {seen!r}; it must be an aware datetime, a date or their ISO text;"
    raise DataError(f"{msg} correct the event.", code="bad_timestamp")


def _in_order(state: State, day: int, instant: float | None) -> None:
    scalars = state.scalars
    if day < scalars[rules.JOINED]:
        msg = f"the event is of {_date(day)}; it must not come before"
        msg = f"{msg} {_date(scalars[rules.JOINED])}, when the member joined; move one."
        raise DataError(msg, code="event_before_join")
    before = state.instant
    late = instant is not None and before is not None and instant < before
    if day < scalars[rules.DAY] or late:
        msg = f"the event is of {_date(day)}, behind the ledger, which stands at"
        msg = (
            f"{msg} {_date(scalars[rules.DAY])}; events must come in order; sort them."
        )
        raise DataError(msg, code="event_out_of_order")


def _date(day: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()


def _need(event: Mapping[str, Any], key: str) -> Any:  # noqa: ANN401
    value = event.get(key)
    if value is None:
        msg = f"{key} is missing from the event {dict(event)!r}; it must be given;"
        raise DataError(f"{msg} add it.", code="event_incomplete")
    return value


def _amount(name: str, value: object, low: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        msg = f"{name} is {value!r}; money and points must be whole numbers; 12.50 yuan"
        raise DataError(f"{msg} is 1250 fen.", code="amount_not_integer")
    if value < low:
        msg = f"{name} is {value}; it must be {low} or more; enter a return as a refund"
        raise DataError(f"{msg} of its order.", code="amount_negative")
    return value


def _pass(
    compiled: tuple[int, ...], state: State, day: int, entries: list[Entry]
) -> list[int]:
    """Bring a state to a day, noting what time changed; return its scalars then."""
    s, lots, ring = state.scalars, state.lots, state.ring
    before = s[FIRST:LAST]
    at = rules.next_boundary(s, lots)
    while at < day or (at == day and rules.releases(s, lots, day)):
        kind = "release" if rules.releases(s, lots, at) else "close"
        rules.step(compiled, s, lots, ring, at)
        now = s[FIRST:LAST]
        if now != before:
            _note(entries, at, kind, "", before, now)
            before = now
        at = rules.next_boundary(s, lots)
    s[rules.DAY] = max(s[rules.DAY], day)
    return before


def _note(
    entries: list[Entry], day: int, kind: str, ref: str, old: list[int], new: list[int]
) -> None:
    if old != new:
        changes = tuple(
            (name, b - a)
            for name, a, b in zip(REPORTED, old, new, strict=True)
            if a != b
        )
        entries.append(Entry(day, kind, ref, changes))


_LOT_ROOM: Final = array("q", [0] * rules.LOT)
_ORDER_ROOM: Final = array("q", [0] * rules.ORDER)


def _room(state: State) -> None:
    """Make room for one lot more."""
    if len(state.lots) < (state.scalars[rules.LOTS] + 1) * rules.LOT:
        state.lots += _LOT_ROOM


def _purchase(
    p: tuple[int, ...], state: State, event: Mapping[str, Any], day: int
) -> str:
    order = str(_need(event, "order_id"))
    paid = _amount("paid_fen", _need(event, "paid_fen"), 0)
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


def _refund(
    p: tuple[int, ...], state: State, event: Mapping[str, Any], _day: int
) -> str:
    order, refund = str(_need(event, "order_id")), str(_need(event, "refund_id"))
    amount = _amount("amount_fen", _need(event, "amount_fen"), 1)
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
    points = _amount("points", _need(event, "points"), 0)
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
    ref = str(event.get("redemption_id") or "")
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
    ref = str(_need(event, "redemption_id"))
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
    p: tuple[int, ...], state: State, _event: Mapping[str, Any], day: int
) -> str:
    rules.visit(p, state.scalars, state.ring, day)
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


_RUN: Final[
    dict[str, Callable[[tuple[int, ...], State, Mapping[str, Any], int], str]]
] = {
    "purchase": _purchase,
    "refund": _refund,
    "redeem": _redeem,
    "restore": _restore,
    "login": _login,
    "review": _review,
    "offline_visit": _visit,
    "snapshot": _snapshot,
    "close": _close,
}


def replay_events(
    events: Iterable[Mapping[str, Any]], programme: Programme, *, joined: date | str
) -> Ledger:
    """Return the ledger of one member's events.

    Parameters
    ----------
    events : iterable of mapping
        In order.
    programme : Programme
        The rules.
    joined : date or ISO text
        When the member joined.

    Returns
    -------
    Ledger
        With every event in it.

    Raises
    ------
    DataError
        At the first bad event.
    """
    ledger = Ledger(programme, joined=joined)
    for event in events:
        ledger.append(event)
    return ledger
