"""What each member would have had: recorded events through the compiled rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from growth.errors import DataError, ParameterError
from growth.result import Cell, Notice, Result
from growth.tiers import rules
from growth.tiers.programme import Programme, need_programme
from growth.tiers.running import room_of, workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


__all__ = ["BadRows", "Events", "Replayed", "Tape", "events_of", "replay_tape"]

EPOCH: Final = date(1970, 1, 1)
BUY, REFUND = 1, 5
EARLY: Final = np.iinfo(np.int64).min  # before every instant of the day
LATE: Final = np.iinfo(np.int64).max
#: Columns of a member's state, in the order of the scalars.
COUNTERS: Final = (
    "tier", "failures", "debt", "active", "pending", "issued", "redeemed", "expired",
    "clawed", "uncollected", "capped", "cash_deducted_fen",
)  # fmt: skip
NEW, REPEAT, DIFFERS = range(3)  # what becomes of a refund
BAD: Final = (
    ("redeem_not_in_blocks", "a redemption is not of whole blocks"),
    ("insufficient_points", "a redemption passes the active points"),
    ("refund_without_order", "a refund is of an order that is not there"),
    ("refund_exceeds_order", "refunds pass what was paid"),
)


class Tape(NamedTuple):
    """Recorded orders and refunds, one array a column.

    `at` and `refund_at` order what happens within a day; where only the day is known
    they are `EARLY` (orders) and `LATE` (refunds).
    """

    ids: Any
    member: Any
    day: Any
    at: Any
    fen: Any
    order: Any
    refunded: Any = None
    refund_order: Any = None
    refund_id: Any = None
    refund_day: Any = None
    refund_at: Any = None
    refund_fen: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed(Result):
    """Members' tiers and points at the end of `as_of`.

    `ids` and the columns of `states` (by `COUNTERS`) go together, a row a member;
    `disagreements` are members whose balance in the ledger in use is another.
    """

    as_of: date
    members: int
    orders: int
    programme: Programme
    ids: tuple[str, ...]
    states: dict[str, tuple[int, ...]]
    bad_rows: int = 0
    duplicates_ignored: int = 0
    disagreements: tuple[tuple[str, int, int], ...] = ()
    compared: bool = False

    @property
    def verdict(self) -> str:
        """`tiers.replay.`: `differs` from the ledger in use, `agrees`, or `done`."""
        if not self.compared:
            return "tiers.replay.done"
        return f"tiers.replay.{'differs' if self.disagreements else 'agrees'}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return members by tier: how many, and what they hold."""
        found: list[dict[str, Cell]] = []
        tier = np.asarray(self.states["tier"])
        for i, name in enumerate(self.programme.names):
            here = tier == i
            row: dict[str, Cell] = {"tier": name, "members": int(here.sum())}
            for column in COUNTERS[2:]:
                row[column] = int(np.asarray(self.states[column])[here].sum())
            found.append(row)
        return found

    def member_rows(self) -> list[dict[str, Cell]]:
        """Return one row a member."""
        names = self.programme.names
        columns = [self.states[name] for name in COUNTERS]
        return [
            {"user_id": user, **dict(zip(COUNTERS, values, strict=True)),
             "tier": names[values[0]]}
            for user, *values in zip(self.ids, *columns, strict=True)
        ]  # fmt: skip

    def to_dict(self) -> dict[str, object]:
        """Return totals by tier; who they are is in `member_rows`, `disagreements`."""
        from growth.result import plain

        off = [ours - theirs for _, theirs, ours in self.disagreements]
        return {
            "verdict": self.verdict,
            "as_of": self.as_of.isoformat(),
            "members": self.members,
            "orders": self.orders,
            "bad_rows": self.bad_rows,
            "duplicates_ignored": self.duplicates_ignored,
            "tiers": self.rows(),
            "disagreement_count": len(self.disagreements),
            "ledger_above": sum(max(-d, 0) for d in off),
            "ledger_below": sum(max(d, 0) for d in off),
            "notices": [plain(notice) for notice in self.notices],
        }


def replay_tape(
    tape: Tape,
    programme: Programme,
    *,
    as_of: date,
    acts: Sequence[tuple[Any, Any, Any, Any, Any]] = (),
    balances: tuple[Any, Any] | None = None,
    bad: BadRows | None = None,
    notices: Sequence[Notice] = (),
) -> Replayed:
    """Replay recorded events held as arrays; see `replay`.

    Parameters
    ----------
    tape : Tape
        Orders and refunds up to `as_of`.
    programme : Programme
        The rules.
    as_of : date
        The last day, closed.
    acts : sequence of tuple of arrays
        Other events: user, day, instant, kind, value.
    balances : tuple of arrays, optional
        User and points of each entry of a ledger in use.
    bad : BadRows, optional
        What to do with impossible rows, and those found so far; raises if omitted.
    notices : sequence of Notice
        What reading had to say.

    Returns
    -------
    Replayed
        One state a member.

    Raises
    ------
    ParameterError, DataError
        As `replay`.
    """
    from growth.tiers import kernels

    need_programme(programme)
    bad = bad or BadRows("raise")
    events = events_of(tape, acts, bad)
    rows, begins, size = events.rows, events.begins, len(events.ids)
    joined = np.zeros(size, np.int32)
    some = np.diff(begins) > 0
    joined[some] = rows[begins[:-1][some], 0]
    ends = np.zeros((size, rules.SCALARS), np.int64)
    status = np.zeros(len(rows), np.int8)
    months = programme.qualify.window.months
    work = workspace(months, months, room_of(begins, begins, 0))
    wrong = kernels.replay(
        np.array(programme.compiled, dtype=np.int64), work, joined, rows, begins,
        (as_of - EPOCH).days + 1, ends, status,
    )  # fmt: skip
    assert not wrong, f"{wrong} members break an identity"
    found = list(notices)
    for code, (name, words) in enumerate(BAD, 1):
        if not (count := int((status == code).sum())):
            continue
        if bad.raises:
            first = int(np.argmax(status == code))
            on, _, points, _ = rows[first].tolist()
            who = events.ids[int(np.searchsorted(begins, first, side="right")) - 1]
            seen = f"{points} on {_day(on)}, of {who!r}"
            msg = f"{words} ({count} of them, the first {seen}); the ledger must be"
            msg = f"{msg} possible; correct it, or pass on_bad='report'."
            raise DataError(msg, code=name)
        bad.count(name, count)
    found += bad.notices()
    if (late := _log_begins(programme, rows[:, 0], as_of)) is not None:
        found.append(Notice("log_shorter_than_window", args=(("start", late),)))
    states = ends[:, rules.TIER : rules.CASH + 1]
    return Replayed(
        as_of=as_of, members=size, orders=int((rows[:, 1] == BUY).sum()),
        programme=programme, ids=events.ids,
        states={name: tuple(states[:, i].tolist()) for i, name in enumerate(COUNTERS)},
        bad_rows=sum(bad.reported.values()), duplicates_ignored=events.duplicates,
        disagreements=_disagreements(events.ids, states, balances),
        compared=balances is not None, notices=tuple(found),
    )  # fmt: skip


def _log_begins(
    programme: Programme, day: NDArray[np.int64], as_of: date
) -> str | None:
    """Return the log's first day, if the tier window reaches back before it."""
    if not day.size:
        return None
    window, last = programme.qualify.window, (as_of - EPOCH).days
    since = rules.month_start(rules.month_of(last) - window.months + 1)
    whole = int(day.min()) <= since and window.kind != "lifetime"
    return None if whole else _day(int(day.min()))


def _day(number: int) -> str:
    from datetime import timedelta

    return (EPOCH + timedelta(days=number)).isoformat()


def _disagreements(
    users: tuple[str, ...],
    states: NDArray[np.int64],
    balances: tuple[Any, Any] | None,
) -> tuple[tuple[str, int, int], ...]:
    """Return members whose balance is another: id, the ledger's, the programme's."""
    if balances is None:
        return ()
    held: dict[str, int] = dict.fromkeys(users, 0)
    for user, points in zip(*balances, strict=True):
        held[str(user)] = held.get(str(user), 0) + int(points)
    ours = states[:, COUNTERS.index("active")] + states[:, COUNTERS.index("pending")]
    ours = ours - states[:, COUNTERS.index("debt")]
    known = dict(zip(users, ours.tolist(), strict=True))
    return tuple(
        (user, points, known.get(user, 0))
        for user, points in held.items()
        if points != known.get(user, 0)
    )


class BadRows:
    """Impossible rows: the first raises, or all are counted.

    Parameters
    ----------
    on_bad : {"raise", "report"}
        Which.

    Raises
    ------
    ParameterError
        If it is neither (``bad_on_bad``).
    """

    def __init__(self, on_bad: str) -> None:
        if on_bad not in ("raise", "report"):
            msg = f"on_bad is {on_bad!r}; it must be 'raise' or 'report'; choose one."
            raise ParameterError(msg, code="bad_on_bad")
        self.raises = on_bad == "raise"
        self.reported: dict[str, int] = {}

    def see(self, wrong: Any, code: str, what: str, right: str, *names: Any) -> None:  # noqa: ANN401
        """Say what is wrong with some rows, what is right, and name the first."""
        if not (count := int(wrong.sum())):
            return
        if self.raises:
            first = int(np.argmax(wrong))
            seen = "/".join(str(name[first]) for name in names)
            msg = f"{what} ({count} of them, the first {seen}); {right};"
            msg = f"{msg} correct the table, or pass on_bad='report'."
            raise DataError(msg, code=code)
        self.count(code, count)

    def count(self, code: str, rows: int) -> None:
        """Count rows that are left out."""
        self.reported[code] = self.reported.get(code, 0) + rows

    def notices(self) -> list[Notice]:
        """Return what was counted."""
        return [
            Notice("bad_event", severity="warning",
                   args=(("code", code), ("rows", rows)))
            for code, rows in sorted(self.reported.items())
        ]  # fmt: skip


class Events(NamedTuple):
    """Members' events, one member after another, each in order of time.

    `rows` are day, kind, value and the order's place; member `ids[i]` has those from
    `begins[i]`. What order the tables were in leaves no trace.
    """

    ids: tuple[str, ...]
    rows: NDArray[np.int64]
    begins: NDArray[np.int64]
    duplicates: int


def events_of(
    tape: Tape, acts: Sequence[tuple[Any, Any, Any, Any, Any]], bad: BadRows
) -> Events:
    """Put every event in its place, without those that cannot be.

    Parameters
    ----------
    tape : Tape
        Orders and refunds.
    acts : sequence of tuple of arrays
        Other events: user, day, instant, kind, value.
    bad : BadRows
        Told of impossible rows.

    Returns
    -------
    Events
        In the order of time; then of the kinds; then of orders' and refunds' ids.

    Raises
    ------
    DataError
        If a row cannot be and `bad` raises.
    """
    text, code, keep = _orders_kept(tape, bad)
    ids = [str(name) for name in tape.ids]
    member, day, at, fen = (c[keep] for c in (tape.member, tape.day, tape.at, tape.fen))
    # an order's place among its member's
    by = np.lexsort((code[keep], at, day, member))
    begins = np.searchsorted(member[by], np.arange(len(ids)))
    place = np.empty(len(by), np.int64)
    place[by] = np.arange(len(by)) - begins[member[by]]
    none = np.full(len(by), -1)
    parts: list[tuple[Any, ...]] = [
        (member, day, at, np.full(len(by), BUY), fen, none, place)
    ]
    duplicates = 0
    if tape.refund_order is not None and text is not None:
        orders = (member, day, at, fen, place)
        part, duplicates = _refunds(tape, text[keep], orders, bad)
        parts.append(part)
    elif tape.refunded is not None:
        back = tape.refunded[keep]
        named = np.asarray(tape.ids)[member] if text is None else text[keep]
        bad.see(back < 0, "amount_negative", "refunds are below 0 fen",
                "a refund must be 0 or more", named)  # fmt: skip
        bad.see(back > fen, "refund_exceeds_order", "refunds pass what was paid",
                "each must be of the order's fen or less", named)  # fmt: skip
        some = (back > 0) & (back <= fen)
        kind = np.full(len(by), REFUND)
        part = (member, day, at, kind, back, place, place)
        parts.append(tuple(p[some] for p in part))
    known = {name: i for i, name in enumerate(ids)}
    more = {str(user) for act in acts for user in act[0]} - known.keys()
    known |= {name: len(ids) + i for i, name in enumerate(sorted(more))}
    for user, on, instant, kind, value in acts:
        who = np.array([known[str(u)] for u in user], np.int64)
        parts.append((who, on, instant, kind, value, np.full(len(who), -1), value))
    member, day, at, kind, value, ref, tie = (
        np.concatenate([np.asarray(column, np.int64) for column in columns])
        for columns in zip(*parts, strict=True)
    )
    order = np.lexsort((tie, kind, at, day, member))
    starts = np.zeros(len(known) + 1, np.int64)
    np.cumsum(np.bincount(member, minlength=len(known)), out=starts[1:])
    rows = np.column_stack([c[order] for c in (day, kind, value, ref)])
    return Events(tuple(known), rows.astype(np.int64), starts, duplicates)


def _orders_kept(tape: Tape, bad: BadRows) -> tuple[Any, Any, Any]:
    """Return orders' ids as text, what breaks ties between them, and which stand."""
    text = None if tape.order is None else tape.order.astype(str)
    if text is None:
        named, code = np.asarray(tape.ids)[tape.member], tape.fen
        keep = np.ones(len(tape.member), dtype=bool)
    else:
        named = text
        _, first, code = np.unique(text, return_index=True, return_inverse=True)
        if len(first) < len(text):  # of those that share an id the first in time stands
            by = np.lexsort((tape.member, tape.fen, tape.at, tape.day, code))
            first = by[np.searchsorted(code[by], np.arange(len(first)))]
        keep = np.arange(len(text)) == first[code]
        bad.see(~keep, "duplicate_order", "order ids come twice",
                "each must come once", text)  # fmt: skip
    below = keep & (tape.fen < 0)
    bad.see(below, "amount_negative", "orders are below 0 fen",
            "returns are entered as refunds", named)  # fmt: skip
    return text, code, keep & ~below


def _refunds(
    tape: Tape, text: NDArray[Any], orders: tuple[Any, ...], bad: BadRows
) -> tuple[tuple[Any, ...], int]:
    """Return dated refunds as columns, and how many equal repeats were ignored."""
    member, day, at, fen, place = orders
    of, refund = tape.refund_order.astype(str), tape.refund_id.astype(str)
    sort = np.argsort(text, kind="stable")
    slot = np.minimum(np.searchsorted(text[sort], of), max(0, len(text) - 1))
    found = sort[slot] if len(text) else np.zeros(len(of), np.int64)
    there = text[found] == of if len(text) else np.zeros(len(of), dtype=bool)
    if not len(text):
        member = day = at = fen = place = np.zeros(1, np.int64)
    named = (of, refund)
    bad.see(~there, "refund_without_order", "refunds are of unknown orders",
            "each must follow its order", *named)  # fmt: skip
    low = there & (tape.refund_fen <= 0)
    bad.see(low, "amount_negative", "refunds are of 0 fen or less",
            "a refund must be above 0", *named)  # fmt: skip
    same = tape.refund_day == day[found]
    early = (tape.refund_day < day[found]) | (same & (tape.refund_at < at[found]))
    early &= there & ~low
    bad.see(early, "event_out_of_order", "refunds come before their order",
            "each must follow it", *named)  # fmt: skip
    use = np.flatnonzero(there & ~low & ~early)
    order_code = np.unique(of[use], return_inverse=True)[1]
    codes = np.unique(refund[use], return_inverse=True)[1]
    amount, paid = tape.refund_fen[use], fen[found[use]]
    rank = np.lexsort((amount, codes, order_code))
    tie = np.empty(len(use), np.int64)
    tie[rank] = np.arange(len(use))
    by = np.lexsort((tie, tape.refund_at[use], tape.refund_day[use]))
    fate = np.zeros(len(use), np.int8)
    fate[by] = _fates(order_code[by], codes[by], amount[by], paid[by])
    other = np.zeros(len(of), dtype=bool)
    other[use[fate == DIFFERS]] = True
    bad.see(other, "conflicting_refund", "refunds share an id and differ in amount",
            "a repeat must be equal", *named)  # fmt: skip
    kept, new = use[fate == NEW], found[use[fate == NEW]]
    part = (
        member[new], tape.refund_day[kept], tape.refund_at[kept],
        np.full(len(kept), REFUND), tape.refund_fen[kept], place[new], tie[fate == NEW],
    )  # fmt: skip
    return part, int((fate == REPEAT).sum())


def _fates(
    order: NDArray[Any], refund: NDArray[Any], fen: NDArray[Any], paid: NDArray[Any]
) -> NDArray[np.int8]:
    """Say of refunds in order of time: new, an equal repeat, or in conflict.

    One that passes what is still paid is new to the kernel, which refuses it; the id
    stays free for the right one.
    """
    fate = np.zeros(len(order), np.int8)
    keys = order * (int(refund.max(initial=0)) + 1) + refund
    _, where, count = np.unique(keys, return_inverse=True, return_counts=True)
    again = np.isin(order, order[count[where] > 1])
    known: dict[tuple[int, int], int] = {}
    left: dict[int, int] = {}
    for row in np.flatnonzero(again).tolist():
        one, amount = int(order[row]), int(fen[row])
        key = (one, int(refund[row]))
        rest = left.setdefault(one, int(paid[row]))
        if key in known:
            fate[row] = REPEAT if known[key] == amount else DIFFERS
        elif amount <= rest:
            known[key], left[one] = amount, rest - amount
    return fate
