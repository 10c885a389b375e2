"""The consent ledger: grants, sends, chats, and a wake-up call with a hold-out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from growth.synth.base import (
    DAY_MS,
    Coded,
    Piece,
    hex_ids,
    midnight_ms,
    need,
    stream,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from growth.synth.base import Bools, Ids, Ints

__all__ = ["Mail", "Wake", "chats", "mail_table", "messages", "subscriptions", "wake"]

CHANNELS: Final = ("subscribe", "customer_service", "sms", "wecom")
ACTIONS: Final = (
    "grant",
    "deny",
    "send",
    "deliver",
    "fail",
    "user_message",
    "enter_chat",
    "click",
)
TEMPLATES: Final = ("order_status", "restock")
CAMPAIGNS: Final = ("wake_up",)
HOUR_MS: Final = 3_600_000
SEND_RATE: Final = 0.60  # of grants used
FAIL_RATE: Final = 0.05
FAIL_CODES: Final = ("43101",)  # the user has refused since
CLICK_RATE: Final = 0.15
BREACH_RATE: Final = 0.01  # of sends repeated without a grant
CHAT_RATE: Final = 0.02  # of users who write to customer service
REPLIES: Final = (1, 5)
OVER_RATE: Final = 0.03  # of chats that get a sixth reply: one too many
TARGET_RATE: Final = 0.5  # of dormant users; the rest is the hold-out
BACK_RATE: Final = (0.01, 0.07)  # within 7 days: hold-out, targeted
WAKE_BEFORE_END: Final = 14  # days


@dataclass(frozen=True, slots=True, eq=False)
class Mail:
    """Rows of the ledger: one entry each, -1 for none."""

    user: Ints
    ms: Ints
    channel: Ints
    action: Ints
    template: Ints
    campaign: Ints
    errcode: Ints


def _mail(user: Ints, ms: Ints, channel: str, action: str, **more: Any) -> Mail:  # noqa: ANN401
    n = len(user)
    given = {
        "template": np.full(n, -1),
        "campaign": np.full(n, -1),
        "errcode": np.full(n, -1),
    } | {name: np.broadcast_to(value, n) for name, value in more.items()}
    return Mail(
        user=user,
        ms=ms,
        channel=np.full(n, CHANNELS.index(channel)),
        action=np.full(n, ACTIONS.index(action)),
        **given,
    )


def subscriptions(
    rng: np.random.Generator, user: Ints, ms: Ints, yes: Bools, end_ms: int
) -> tuple[list[Mail], dict[str, int]]:
    """Draw what follows when users are asked to allow one message.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the draws come from.
    user, ms : ndarray of int, shape (n,)
        Who is asked, and when (epoch ms).
    yes : ndarray of bool, shape (n,)
        Who agrees.
    end_ms : int
        What would happen from this instant on has not happened.

    Returns
    -------
    mail : list of Mail
        Grants, denials, sends, deliveries, failures, clicks.
    counts : dict of str to int
        ``grants, denies, sends, failed, unused`` and ``sends_without_grant``: sends
        that break the rule, since a grant pays for one message.
    """
    n = len(user)
    template = rng.integers(0, len(TEMPLATES), n)
    later = ms + (rng.uniform(2, 72, n) * HOUR_MS).astype(np.int64)
    sent = yes & (rng.random(n) < SEND_RATE) & (later < end_ms)
    again = later + 30 * 60_000
    twice = sent & (rng.random(n) < BREACH_RATE) & (again < end_ms)
    # A breach only shows if no other grant of that user and template is unused.
    key = user * len(TEMPLATES) + template
    _, same = np.unique(key, return_inverse=True)
    alone = np.bincount(same, yes, same.max(initial=0) + 1)[same] == 1
    twice &= alone
    failed = sent & (rng.random(n) < FAIL_RATE)
    clicked = sent & ~failed & (rng.random(n) < CLICK_RATE)
    mail = [
        _mail(user[yes], ms[yes], "subscribe", "grant", template=template[yes]),
        _mail(user[~yes], ms[~yes], "subscribe", "deny", template=template[~yes]),
    ]
    for rows, at, action, code in (
        (sent, later, "send", -1),
        (sent & ~failed, later + 2_000, "deliver", -1),
        (failed, later + 2_000, "fail", 0),
        (clicked, later + 20 * 60_000, "click", -1),
        (twice, again, "send", -1),
    ):
        more = {"template": template[rows], "errcode": code}
        mail.append(_mail(user[rows], at[rows], "subscribe", action, **more))
    counts = {
        "grants": yes.sum(),
        "denies": (~yes).sum(),
        "sends": sent.sum() + twice.sum(),
        "failed": failed.sum(),
        "unused": (yes & ~sent).sum(),
        "sends_without_grant": twice.sum(),
    }
    return mail, {name: int(count) for name, count in counts.items()}


def chats(
    rng: np.random.Generator, users: int, begin_ms: int, end_ms: int
) -> tuple[list[Mail], dict[str, int]]:
    """Draw customer-service chats: a message opens 48 hours with five replies.

    Returns
    -------
    mail : list of Mail
        One ``user_message`` a chat, one chat a user, and the replies.
    counts : dict of str to int
        ``chats`` and ``replies_over_quota``.
    """
    user = np.flatnonzero(rng.random(users) < CHAT_RATE)
    n = len(user)
    ms = begin_ms + (rng.random(n) * (end_ms - begin_ms - 2 * DAY_MS)).astype(np.int64)
    size = rng.integers(REPLIES[0], REPLIES[1] + 1, n)
    over = rng.random(n) < OVER_RATE
    size = np.where(over, REPLIES[1] + 1, size)
    chat = np.repeat(np.arange(n), size)
    turn = np.arange(len(chat)) - np.repeat(np.cumsum(size) - size, size)
    reply_ms = ms[chat] + (turn + 1) * 4 * 60_000
    mail = [
        _mail(user, ms - 3_000, "customer_service", "enter_chat"),
        _mail(user, ms, "customer_service", "user_message"),
        _mail(user[chat], reply_ms, "customer_service", "send"),
    ]
    return mail, {"chats": n, "replies_over_quota": int(over.sum())}


@dataclass(frozen=True, slots=True, eq=False)
class Wake:
    """A wake-up call: who got it, who was held out, and who came back when."""

    day: int
    targeted: Ints
    held: Ints
    back: Ints
    back_day: Ints
    pushed: Bools  # of `back`: by the message


def wake(rng: np.random.Generator, dormant: Ints, days: int) -> Wake:
    """Split dormant users into targeted and hold-out, and draw who returns.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the draws come from.
    dormant : ndarray of int
        Positions of dormant users.
    days : int
        Days of the log; the call goes out 14 days before its end.

    Returns
    -------
    Wake
        Returns fall on days 1 to 6 after the call.
    """
    day = days - WAKE_BEFORE_END
    target = rng.random(len(dormant)) < TARGET_RATE
    back = rng.random(len(dormant)) < np.asarray(BACK_RATE)[target.astype(int)]
    return Wake(
        day=day,
        targeted=dormant[target],
        held=dormant[~target],
        back=dormant[back],
        back_day=day + rng.integers(1, 7, int(back.sum())),
        pushed=target[back],
    )


def wake_mail(call: Wake, start_ms: int) -> list[Mail]:
    """Return the text messages of a wake-up call, sent from 10:00."""
    at = (
        start_ms + call.day * DAY_MS + 10 * HOUR_MS + np.arange(len(call.targeted)) * 20
    )
    sent = _mail(call.targeted, at, "sms", "send", campaign=0)
    came = _mail(call.targeted, at + 3_000, "sms", "deliver", campaign=0)
    return [sent, came]


def mail_table(mail: Sequence[Mail], ids: Ids) -> pa.Table:
    """Return the ledger as the canonical `messages`, by instant, then user.

    Parameters
    ----------
    mail : sequence of Mail
        Rows in any order.
    ids : ndarray of bytes
        Pseudonyms of the users.

    Returns
    -------
    pyarrow.Table
        One row a message or answer.
    """

    def whole(name: str) -> NDArray[np.int64]:
        return np.concatenate([getattr(part, name) for part in mail])

    user, ms, action = whole("user"), whole("ms"), whole("action")
    order = np.lexsort((action, user, ms))
    return table(
        {
            "user_id": Coded(user[order], ids),
            "ts": ms[order],
            "channel": Coded(whole("channel")[order], CHANNELS),
            "action": Coded(action[order], ACTIONS),
            "template_id": Coded(whole("template")[order], TEMPLATES),
            "campaign_id": Coded(whole("campaign")[order], CAMPAIGNS),
            "errcode": Coded(whole("errcode")[order], FAIL_CODES),
        }
    )


def messages(
    *,
    seed: int,
    users: int = 2_000,
    yes_rate: float = 0.6,
    days: int = 60,
    start: date = date(2025, 12, 31),
) -> Piece:
    """Make a consent ledger whose grants, sends and breaches are known.

    Parameters
    ----------
    seed : int
        0 or more.
    users : int, default 2_000
        Asked once or twice each.
    yes_rate : float, default 0.6
        Share that agrees, in [0, 1].
    days : int, default 60
        Local days of the ledger, 3 or more.
    start : datetime.date
        First day.

    Returns
    -------
    Piece
        `data`: `messages`. `truth`: what `subscriptions` and `chats` count.

    Raises
    ------
    ParameterError
        If a number is out of range.
    """
    need("users", users, 1)
    need("yes_rate", yes_rate, 0, 1)
    need("days", days, 3)
    rng = stream(seed, "messages")
    ids = np.sort(hex_ids(rng, users))
    user = np.repeat(np.arange(users), rng.integers(1, 3, users))
    begin = midnight_ms(start)
    end = begin + days * DAY_MS
    ms = begin + rng.integers(0, days * DAY_MS, len(user))
    yes = rng.random(len(user)) < yes_rate
    mail, counts = subscriptions(rng, user, ms, yes, end)
    talk, more = chats(rng, users, begin, end)
    return Piece(mail_table([*mail, *talk], ids), counts | more, {})
