"""Whom a message may reach, and why not: WeChat's windows and grants, at an instant.

Sources: the subscribe-message and customer-message documentation (2026-09-05), the
notice of 2019-10-12. The log of messages is all that is known: the platform may
refuse what stands here as open.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from growth.errors import ParameterError, RefusedError, suggest
from growth.result import Cell, Notice, Result
from growth.segments.evaluate import micros
from growth.segments.hiding import hide, limit_of
from growth.stats.arguments import names_of, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "CHANNELS",
    "OPENINGS",
    "REASONS",
    "Reach",
    "ReachCell",
    "Standing",
    "check_cap",
    "check_channels",
    "reach_of",
    "reach_value",
]

CHANNELS: Final = ("subscribe", "customer_service", "sms", "wecom")
SECOND: Final = 1_000_000
WEEK_US: Final = 7 * 86_400 * SECOND
# what opens a window of customer messages: for how long, for how many
OPENINGS: Final = {
    "user_message": (48 * 3_600 * SECOND, 5),
    "enter_chat": (60 * SECOND, 2),
}
REFUSED_CODE: Final = "43101"  # the user has refused this template
OUTSIDE_CODE: Final = "45015"  # no window is open
TOO_MANY_CODE: Final = "45047"  # the window's messages are used up
REASONS: Final = (
    "open",
    "opted_out",
    "capped",
    "no_grant",
    "denied",
    "used_up",
    "no_window",
    "window_closed",
    "not_opted_in",
)


class Standing(NamedTuple):
    """Whether one channel reaches one user.

    Parameters
    ----------
    eligible : bool
        Whether a message may be sent now.
    reason : str
        ``open``, or why not: one of `REASONS`.
    left : int or None
        Messages left; None where the platform sets no number.
    closes_us : int or None
        When it closes, in microseconds since 1970; None where it does not.
    """

    eligible: bool
    reason: str
    left: int | None = None
    closes_us: int | None = None


def check_channels(channels: str | Iterable[str]) -> tuple[str, ...]:
    """Return channels that can be asked about.

    Parameters
    ----------
    channels : iterable of str
        Of `CHANNELS`.

    Returns
    -------
    tuple of str
        As given.

    Raises
    ------
    RefusedError
        For ``template``: template messages went offline on 2020-01-10.
    ParameterError
        For any other name (code ``unknown_channel``).
    """
    asked = names_of(channels, "channels")
    for channel in asked:
        if channel == "template":
            msg = "channel is 'template'; template messages went offline on 2020-01-10;"
            raise RefusedError(f"{msg} ask for 'subscribe'.", code="template_messages")
        if channel not in CHANNELS:
            msg = f"channel is {channel!r}; it must be one of {list(CHANNELS)}; name"
            hint = suggest(str(channel), CHANNELS)
            raise ParameterError(f"{msg} one.{hint}", code="unknown_channel")
    return asked


def check_cap(max_per_week: object) -> int:
    """Return the merchant's cap on messages in a week, 1 or more.

    Parameters
    ----------
    max_per_week : int
        What the caller gave.

    Returns
    -------
    int
        The cap.

    Raises
    ------
    ParameterError
        If it is no whole number of 1 or more (code ``bad_limit``).
    """
    remedy = "leave it out for no cap"
    return whole(max_per_week, "max_per_week", least=1, code="bad_limit", remedy=remedy)


def reach_of(
    rows: Sequence[Mapping[str, Any]],
    *,
    at: datetime,
    max_per_week: int | None = None,
    long_term: Sequence[str] = (),
) -> dict[str, Standing]:
    """Tell what may reach one user, from that user's rows of ``messages``.

    Parameters
    ----------
    rows : sequence of mapping
        ``ts channel action``, and ``template_id errcode`` where known, as text or
        as numbers.
    at : datetime
        The instant; rows at or after it do not count.
    max_per_week : int, optional
        The merchant's own cap, 1 or more: messages sent in the seven days before, all
        channels.
    long_term : sequence of str, optional
        Templates the platform lets be sent again and again (public services).

    Returns
    -------
    dict of str to Standing
        By channel, in the order of `CHANNELS`.

    Raises
    ------
    ParameterError
        If `max_per_week` is below 1 (code ``bad_limit``).

    Examples
    --------
    >>> from datetime import UTC, datetime, timedelta
    >>> wrote = datetime(2026, 3, 1, tzinfo=UTC)
    >>> row = {"ts": wrote, "channel": "customer_service", "action": "user_message"}
    >>> reach_of([row], at=wrote + timedelta(hours=48))["customer_service"].reason
    'window_closed'
    """
    if max_per_week is not None:
        max_per_week = check_cap(max_per_week)
    end = micros(at)
    timed = [(micros(row["ts"]), row) for row in rows if row["ts"] is not None]
    past = [item for item in timed if item[0] < end]
    sent = sum(row["action"] == "send" and us >= end - WEEK_US for us, row in past)
    capped = max_per_week is not None and sent >= max_per_week
    found = {}
    for channel in CHANNELS:
        own = [item for item in past if item[1]["channel"] == channel]
        if channel == "subscribe":
            standing = _subscribe(own, frozenset(names_of(long_term, "long_term")))
        elif channel == "customer_service":
            standing = _service(own, end)
        else:
            standing = _opted(own)
        if capped and standing.reason not in ("opted_out", "denied"):
            standing = Standing(False, "capped", 0)  # noqa: FBT003
        found[channel] = standing
    return found


Timed = "Sequence[tuple[int, Mapping[str, Any]]]"


def _latest(rows: Iterable[tuple[int, Mapping[str, Any]]]) -> int:
    return max((us for us, _ in rows), default=-(2**62))


def _subscribe(
    rows: Sequence[tuple[int, Mapping[str, Any]]], long_term: frozenset[str]
) -> Standing:
    """Count grants less sends; a later refusal ends what is left."""
    out = _latest(r for r in rows if r[1]["action"] == "deny" and not _template(r[1]))
    left, endless, granted = 0, False, False
    for template in {_template(row) for _, row in rows}:
        own = [r for r in rows if _template(r[1]) == template]
        closed = max(out, _latest(r for r in own if _refuses(r[1])))
        grants = [us for us, row in own if row["action"] == "grant"]
        alive = sum(us > closed for us in grants)
        sends = sum(us > closed and row["action"] == "send" for us, row in own)
        granted = granted or bool(grants)
        endless = endless or (template in long_term and alive > 0)
        left += max(0, alive - sends)
    if endless:
        return Standing(True, "open")  # noqa: FBT003
    if left:
        return Standing(True, "open", left)  # noqa: FBT003
    if not rows or not (granted or any(_refuses(row) for _, row in rows)):
        return Standing(False, "no_grant", 0)  # noqa: FBT003
    last = _latest(r for r in rows if r[1]["action"] == "grant")
    closed = _latest(r for r in rows if _refuses(r[1]))
    return Standing(False, "denied" if closed >= last else "used_up", 0)  # noqa: FBT003


def _word(row: Mapping[str, Any], name: str) -> str:
    """Return a code as text: the platform answers numbers, ledgers hold texts."""
    value = row.get(name)
    if value is None or value != value:  # noqa: PLR0124  (NaN)
        return ""
    whole_number = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole_number else value)


def _template(row: Mapping[str, Any]) -> str:
    return _word(row, "template_id")


def _refuses(row: Mapping[str, Any]) -> bool:
    return row["action"] == "deny" or _word(row, "errcode") == REFUSED_CODE


def _service(rows: Sequence[tuple[int, Mapping[str, Any]]], end: int) -> Standing:
    """Take the better of the windows that the latest openings hold open."""
    denied = _latest(r for r in rows if r[1]["action"] == "deny")
    opened = _latest(r for r in rows if r[1]["action"] in OPENINGS)
    if denied > opened:
        return Standing(False, "opted_out", 0)  # noqa: FBT003
    best: tuple[int, int] | None = None
    seen = opened > -(2**62)
    for action, (length, messages) in OPENINGS.items():
        at = _latest(r for r in rows if r[1]["action"] == action)
        shut = any(
            us >= at and _word(row, "errcode") == OUTSIDE_CODE for us, row in rows
        )
        if at + length <= end or shut:
            continue
        used = sum(us >= at and row["action"] == "send" for us, row in rows)
        full = any(
            us >= at and _word(row, "errcode") == TOO_MANY_CODE for us, row in rows
        )
        mine = (0 if full else max(0, messages - used), at + length)
        best = mine if best is None else max(best, mine)
    if best is None:
        return Standing(False, "window_closed" if seen else "no_window", 0)  # noqa: FBT003
    left, closes = best
    if left:
        return Standing(True, "open", left, closes)  # noqa: FBT003
    return Standing(False, "used_up", 0)  # noqa: FBT003


def _opted(rows: Sequence[tuple[int, Mapping[str, Any]]]) -> Standing:
    given = _latest(r for r in rows if r[1]["action"] == "grant")
    taken = _latest(r for r in rows if r[1]["action"] == "deny")
    if given > taken:
        return Standing(True, "open")  # noqa: FBT003
    nothing = taken == -(2**62)
    return Standing(False, "not_opted_in" if nothing else "opted_out", 0)  # noqa: FBT003


def reach_value(
    rows: Sequence[tuple[int, Mapping[str, Any]]],
    end: int,
    *,
    max_per_week: int | None = None,
) -> str:
    """Return the value of the reach tag: the cheapest channel that is open.

    Parameters
    ----------
    rows : sequence of (int, mapping)
        Rows of ``messages`` with their instants, in microseconds.
    end : int
        The instant, in microseconds.
    max_per_week : int, optional
        As in `reach_of`.

    Returns
    -------
    str
        ``subscribe``, ``service``, ``other`` (text message, WeCom) or ``none``.
    """
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=end)
    found = reach_of([row for _, row in rows], at=at, max_per_week=max_per_week)
    for channel, value in zip(
        CHANNELS, ("subscribe", "service", "other", "other"), strict=True
    ):
        if found[channel].eligible:
            return value
    return "none"


@dataclass(frozen=True, slots=True)
class ReachCell:
    """How many users stand alike towards one channel; None where hidden."""

    channel: str
    reason: str
    users: int | None
    messages_left: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach(Result):
    """Whom messages may reach at an instant, by channel and reason.

    Parameters
    ----------
    at : datetime
        The instant, UTC.
    users : int
        Users asked about.
    reachable : int or None
        Users whom one channel or more reaches; None where hidden, as it is where it
        would tell, with the cells, of a group too small to be shown.
    cells : tuple of ReachCell
        By channel and reason, ``open`` first.
    hidden : int
        Cells hidden.
    """

    at: datetime
    users: int
    reachable: int | None
    cells: tuple[ReachCell, ...]
    hidden: int = 0

    @property
    def verdict(self) -> str:
        """`some` or `none` can be reached."""
        return f"segments.reach.{'none' if self.reachable == 0 else 'some'}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a channel and reason."""
        return [
            {
                "channel": cell.channel,
                "reason": cell.reason,
                "users": cell.users,
                "messages_left": cell.messages_left,
            }
            for cell in self.cells
        ]

    @classmethod
    def of(
        cls,
        cells: Sequence[ReachCell],
        *,
        at: datetime,
        users: int,
        reachable: int,
        min_size: int | None = None,
    ) -> Reach:
        """Return the result with its remarks, groups under `min_size` hidden."""
        limit = limit_of(min_size, "min_size")
        shown: list[ReachCell] = []
        for channel in dict.fromkeys(cell.channel for cell in cells):
            own = [cell for cell in cells if cell.channel == channel]
            counts = [cell.users or 0 for cell in own]
            sums = np.ones((1, len(own)), dtype=np.int64)
            away = hide(counts, [limit] * len(own), sums)
            shown += [
                replace(cell, users=None, messages_left=None) if hidden else cell
                for cell, hidden in zip(own, away, strict=True)
            ]
        opens = [cell for cell in shown if cell.reason == "open"]
        known = [cell.users for cell in opens if cell.users is not None]
        # whom nothing reaches, whom one channel alone does, whom several do
        told = [users - reachable, reachable - max(known, default=0)]
        told.append(sum(known) - reachable)
        secret = len(known) < len(opens) or any(0 < n < limit for n in told)
        args = (("users", users),)
        return cls(
            at=at,
            users=users,
            reachable=None if secret else reachable,
            cells=tuple(shown),
            hidden=sum(cell.users is None for cell in shown),
            notices=(Notice("segments_reach_not_endless", "info", args),),
        )
