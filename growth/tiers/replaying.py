"""What each member would have had: recorded events through the compiled rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from growth.errors import DataError, ParameterError
from growth.result import Cell, Notice, Result
from growth.tiers import rules
from growth.tiers.programme import Programme  # noqa: TC001  (a result's types can be read)
from growth.tiers.running import room_of, workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


__all__ = ["Replayed", "Tape", "replay_tape"]

EPOCH: Final = date(1970, 1, 1)
BUY, REFUND = 1, 5
#: Columns of a member's state, in the order of the scalars.
COUNTERS: Final = (
    "tier", "failures", "debt", "active", "pending", "issued", "redeemed", "expired",
    "clawed", "uncollected", "capped", "cash_deducted_fen",
)  # fmt: skip
BAD: Final = (
    ("redeem_not_in_blocks", "a redemption is not of whole blocks"),
    ("insufficient_points", "a redemption passes the active points"),
    ("refund_without_order", "a refund is of an order that is not there"),
    ("refund_exceeds_order", "refunds pass what was paid"),
)


class Tape(NamedTuple):
    """Recorded orders and refunds, one array a column."""

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
    on_bad: str = "raise",
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
    on_bad : {"raise", "report"}
        What to do with impossible rows.
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

    if on_bad not in {"raise", "report"}:
        msg = f"on_bad is {on_bad!r}; it must be 'raise' or 'report'; choose one."
        raise ParameterError(msg, code="bad_on_bad")
    events, counts = _events(tape, acts, on_bad)
    member, day, at, kind, value, ref = events
    size = counts["members"]
    order = np.lexsort((kind, at, day, member))
    rows = np.column_stack([c[order] for c in (day, kind, value, ref)]).astype(np.int64)
    begins = np.zeros(size + 1, np.int64)
    np.cumsum(np.bincount(member, minlength=size), out=begins[1:])
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
    bad = counts["bad"]
    found = list(notices)
    for code, (name, words) in enumerate(BAD, 1):
        if not (count := int((status == code).sum())):
            continue
        if on_bad == "raise":
            first = int(np.argmax(status == code))
            on, _, points, _ = rows[first].tolist()
            who = str(counts["ids"][int(member[order][first])])
            seen = f"{points} on {_day(on)}, of {who!r}"
            msg = f"{words} ({count} of them, the first {seen}); the ledger must be"
            msg = f"{msg} possible; correct it, or pass on_bad='report'."
            raise DataError(msg, code=name)
        bad += count
        found.append(Notice("bad_event", severity="warning",
                            args=(("code", name), ("rows", count))))  # fmt: skip
    for name, count in counts["reported"]:
        found.append(Notice("bad_event", severity="warning",
                            args=(("code", name), ("rows", count))))  # fmt: skip
    if (late := _log_begins(programme, day, as_of)) is not None:
        found.append(Notice("log_shorter_than_window", args=(("start", late),)))
    states = ends[:, rules.TIER : rules.CASH + 1]
    users = tuple(str(name) for name in counts["ids"])
    return Replayed(
        as_of=as_of, members=size, orders=int((kind == BUY).sum()),
        programme=programme, ids=users,
        states={name: tuple(states[:, i].tolist()) for i, name in enumerate(COUNTERS)},
        bad_rows=bad, duplicates_ignored=counts["duplicates"],
        disagreements=_disagreements(users, states, balances),
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


class _Bad:
    """Impossible rows: the first raises, or all are counted."""

    def __init__(self, on_bad: str) -> None:
        self.on_bad = on_bad
        self.reported: dict[str, int] = {}

    def see(self, wrong: Any, code: str, what: str, right: str, *names: Any) -> None:  # noqa: ANN401
        """Say what is wrong with some rows, what is right, and name the first."""
        if not (count := int(wrong.sum())):
            return
        if self.on_bad == "raise":
            first = int(np.argmax(wrong))
            seen = "/".join(str(name[first]) for name in names)
            msg = f"{what} ({count} of them, the first {seen}); {right};"
            msg = f"{msg} correct the table, or pass on_bad='report'."
            raise DataError(msg, code=code)
        self.reported[code] = self.reported.get(code, 0) + count


def _events(
    tape: Tape, acts: Sequence[tuple[Any, Any, Any, Any, Any]], on_bad: str
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return every event as columns, in any order, and what was wrong with them."""
    bad = _Bad(on_bad)
    order_id = tape.order
    index = np.arange(len(tape.member))
    if order_id is not None:
        _, first, where = np.unique(
            order_id.astype(str), return_index=True, return_inverse=True
        )
        repeated = index != first[where]
        bad.see(repeated, "duplicate_order", "order ids come twice",
                "each must come once", order_id)  # fmt: skip
        keep = ~repeated
    else:
        keep = np.ones(len(index), dtype=bool)
    below = keep & (tape.fen < 0)
    named = np.asarray(tape.ids)[tape.member] if order_id is None else order_id
    bad.see(below, "amount_negative", "orders are below 0 fen",
            "returns are entered as refunds", named)  # fmt: skip
    keep &= ~below
    ids = list(tape.ids)
    member, day, at, fen = (c[keep] for c in (tape.member, tape.day, tape.at, tape.fen))
    # an order's place among its member's
    by = np.lexsort((at, day, member))
    begins = np.searchsorted(member[by], np.arange(len(ids)))
    place = np.empty(len(by), np.int64)
    place[by] = np.arange(len(by)) - begins[member[by]]
    columns = [[member], [day], [at], [np.full(len(by), BUY)], [fen],
               [np.full(len(by), -1)]]  # fmt: skip
    duplicates = 0
    if tape.refund_order is not None and order_id is not None:
        duplicates = _refunds(tape, order_id[keep], (member, day, place), bad, columns)
    elif tape.refunded is not None:
        back = np.minimum(tape.refunded[keep], fen)
        some = back > 0
        for column, part in zip(
            columns,
            (member, day, at, np.full(len(by), REFUND), back, place),
            strict=True,
        ):
            column.append(part[some])
    known = {str(name): i for i, name in enumerate(ids)}
    for user, on, instant, kind, value in acts:
        who = np.array([known.setdefault(str(u), len(known)) for u in user], np.int64)
        none = np.full(len(who), -1)
        for column, part in zip(
            columns, (who, on, instant, kind, value, none), strict=True
        ):
            column.append(part)
    joined = tuple(
        np.concatenate([np.asarray(p, np.int64) for p in c]) for c in columns
    )
    return joined, {
        "members": len(known), "ids": list(known), "duplicates": duplicates,
        "bad": sum(bad.reported.values()), "reported": sorted(bad.reported.items()),
    }  # fmt: skip


def _refunds(
    tape: Tape,
    order_id: NDArray[Any],
    placed: tuple[Any, Any, Any],
    bad: _Bad,
    columns: Any,  # noqa: ANN401
) -> int:
    """Add dated refunds to the columns; return how many equal repeats were ignored."""
    member, day, place = placed
    text = tape.refund_order.astype(str)
    keys = order_id.astype(str)
    sort = np.argsort(keys, kind="stable")
    slot = np.minimum(np.searchsorted(keys[sort], text), max(0, len(keys) - 1))
    found = sort[slot] if len(keys) else np.zeros(len(text), np.int64)
    there = keys[found] == text if len(keys) else np.zeros(len(text), dtype=bool)
    named = (text, tape.refund_id.astype(str))
    bad.see(~there, "refund_without_order", "refunds are of unknown orders",
            "each must follow its order", *named)  # fmt: skip
    both = np.char.add(np.char.add(text, "\0"), named[1])
    _, first, where = np.unique(both, return_index=True, return_inverse=True)
    again = np.arange(len(text)) != first[where]
    other = again & (tape.refund_fen != tape.refund_fen[first[where]])
    bad.see(other, "conflicting_refund", "refunds share an id and differ in amount",
            "a repeat must be equal", *named)  # fmt: skip
    low = ~again & there & (tape.refund_fen <= 0)
    bad.see(low, "amount_negative", "refunds are of 0 fen or less",
            "a refund must be above 0", *named)  # fmt: skip
    early = there & ~again & (tape.refund_day < day[found])
    bad.see(early, "event_out_of_order", "refunds come before their order",
            "each must follow it", *named)  # fmt: skip
    use = there & ~again & ~low & ~early
    parts = (
        member[found], tape.refund_day, tape.refund_at,
        np.full(len(text), REFUND), tape.refund_fen, place[found],
    )  # fmt: skip
    for column, part in zip(columns, parts, strict=True):
        column.append(part[use])
    return int((again & ~other).sum())
