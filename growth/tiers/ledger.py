"""One member's ledger: pure functions of a state, an event and the programme.

`apply` gives a new state and the entries that explain it; the old state is as it was,
so an event that raises changes nothing. A `Ledger` keeps events and entries, append
only, and audits itself by doing everything again.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from growth.errors import DataError, ParameterError, suggest
from growth.tiers import rules
from growth.tiers.events import RUN, needed
from growth.tiers.programme import need_programme

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from growth.tiers.programme import Programme

__all__ = [
    "Applied",
    "Entry",
    "Ledger",
    "State",
    "apply",
    "day_number",
    "fit_for",
    "open_state",
]

#: Scalars an entry reports, in their order.
REPORTED: Final = (
    "tier", "failures", "debt", "active", "pending", "issued", "redeemed", "expired",
    "clawed", "uncollected", "capped", "cash_deducted_fen",
)  # fmt: skip
FIRST, LAST = rules.TIER, rules.CASH + 1
EPOCH: Final = date(1970, 1, 1).toordinal()
#: Days that an event may be of; beyond them there is only a slip of the pen.
FIRST_DAY: Final = date(1900, 1, 1).toordinal() - EPOCH
LAST_DAY: Final = date(2999, 12, 31).toordinal() - EPOCH
VERSION: Final = 2


class State:
    """What is known of a member between two events. Read it, keep it, do not edit it.

    `to_dict` and `from_dict` carry it through any store; a ledger cut anywhere and
    resumed from a saved state ends the same. It belongs to the programme it was opened
    under (`programme` is its fingerprint): an edited one judges the whole history, so
    replay the member's events under that.
    """

    __slots__ = (
        "bought", "duplicates", "instant", "lots", "orders", "programme", "ring",
        "scalars", "takes",
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
        programme: str,
    ) -> None:
        self.scalars = scalars
        self.lots = lots
        self.bought = bought
        self.ring = ring
        self.orders = orders
        self.takes = takes
        self.duplicates = duplicates
        self.instant = instant
        self.programme = programme

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
            self.programme,
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
            "programme": self.programme,
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
            If it is of another version (``state_version``), or not what `to_dict`
            gave (``bad_state``).
        """
        version = saved.get("version") if isinstance(saved, Mapping) else None
        if version != VERSION:
            msg = f"the state's version is {version!r}; it must be"
            msg = f"{msg} {VERSION}; replay the member's events to rebuild it."
            raise DataError(msg, code="state_version")
        try:
            return cls(
                list(saved["scalars"]), array("q", saved["lots"]),
                array("q", saved["bought"]), list(saved["ring"]),
                {k: (at, dict(r)) for k, (at, r) in saved["orders"].items()},
                {k: tuple((a, b) for a, b in v) for k, v in saved["takes"].items()},
                saved["duplicates"], saved["instant"], saved["programme"],
            )  # fmt: skip
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            msg = f"the saved state is not whole ({type(error).__name__}: {error}); it"
            msg = f"{msg} must be what to_dict gave; replay the member's events."
            raise DataError(msg, code="bad_state") from error


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
    need_programme(programme)
    compiled = programme.compiled
    day, _ = day_number(joined, programme.timezone)
    scalars = [0] * rules.SCALARS
    ring = [0] * (2 * programme.qualify.window.months)
    rules.start(compiled, scalars, ring, day)
    return State(
        scalars, array("q"), array("q"), ring, {}, {}, 0, None, programme.fingerprint
    )


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
        ``unknown_event``, ``event_incomplete``, ``bad_timestamp``,
        ``amount_too_large``; ``state_of_other_programme`` if `state` was opened under
        other rules.

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
    fit_for(state, programme)
    known = type(event) is dict or isinstance(event, Mapping)
    kind = event.get("kind") if known else event
    run = RUN.get(kind) if isinstance(kind, str) else None
    if run is None:
        hint = suggest(str(kind), RUN)
        msg = f"kind is {kind!r}; it must be one of {', '.join(RUN)}; correct the"
        raise DataError(f"{msg} event.{hint}", code="unknown_event")
    compiled = programme.compiled
    day, instant = day_number(needed(event, "ts"), programme.timezone)
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


def fit_for(state: State, programme: Programme) -> None:
    """Refuse a state that other rules made.

    Parameters
    ----------
    state : State
        Of a member.
    programme : Programme
        The rules now.

    Raises
    ------
    DataError
        If they are not those it was opened under (``state_of_other_programme``).
    ParameterError
        If either is something else (``bad_state``, ``bad_programme``).
    """
    need_programme(programme)
    if not isinstance(state, State):
        msg = f"state is a {type(state).__name__}; it must be a State; take one from"
        raise ParameterError(f"{msg} open_state or State.from_dict.", code="bad_state")
    if state.programme != programme.fingerprint:
        msg = f"the state is of programme {state.programme!r}; these rules are"
        msg = f"{msg} {programme.fingerprint!r}; an edited programme judges the whole"
        msg = f"{msg} history: replay the member's events under it."
        raise DataError(msg, code="state_of_other_programme")


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
        try:
            day = ts.astimezone(_zone(timezone)).toordinal() - EPOCH
        except OverflowError:
            day = LAST_DAY + 1
        if FIRST_DAY <= day <= LAST_DAY:
            return day, ts.timestamp()
    elif isinstance(ts, date):
        day = ts.toordinal() - EPOCH
        if FIRST_DAY <= day <= LAST_DAY:
            return day, None
    msg = f"ts is {seen!r}; it must be an aware datetime, a date or their ISO text, in"
    msg = f"{msg} the years 1900 to 2999; correct the event."
    raise DataError(msg, code="bad_timestamp")


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
