"""Where users of the ledger of messages stand towards each channel, in one query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from growth.engine import as_table, epoch_us, need_columns
from growth.segments.reach import OPENINGS, WEEK_US
from growth.segments.tables.expressions import integer
from growth.stats.arguments import names_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import ibis.expr.types as ir

    from growth.engine import TableLike

__all__ = ["reach_text", "standings"]


def standings(
    messages: TableLike,
    end: int,
    *,
    user_col: str = "user_id",
    max_per_week: int | None = None,
    long_term: Sequence[str] = (),
) -> ir.Table:
    """Return where each user of the ledger stands towards each channel.

    Parameters
    ----------
    messages : table
        The canonical ``messages``.
    end : int
        The instant, in microseconds since 1970; rows at or after it do not count.
    user_col : str, default "user_id"
        Who.
    max_per_week : int, optional
        The merchant's own cap.
    long_term : sequence of str, optional
        Templates that may be sent again and again.

    Returns
    -------
    ibis.Table
        One row a user: ``<channel>_reason`` (``open``: eligible), ``<channel>_left``
        and ``<channel>_closes_us`` for each of `growth.segments.reach.CHANNELS`.
    """
    import ibis

    table = as_table(messages)
    need_columns(table, [user_col, "ts", "channel", "action"], unlocks="reach")
    text = ibis.null().cast("string")
    table = table.mutate(
        growth_us=epoch_us(table.ts),
        template_id=table.template_id if "template_id" in table.columns else text,
        errcode=table.errcode if "errcode" in table.columns else text,
    )
    table = table.filter(table.growth_us < end, table[user_col].notnull())
    table = table.mutate(
        template_id=_word(table.template_id), errcode=_word(table.errcode)
    )
    whole = ibis.window(group_by=table[user_col])
    own = ibis.window(group_by=[table[user_col], table.template_id])

    def latest(test: ir.BooleanValue, window: Any = whole) -> ir.Value:  # noqa: ANN401
        return table.growth_us.max(where=test).over(window).fill_null(-(2**62))

    sub = table.channel == "subscribe"
    cs = table.channel == "customer_service"
    deny = table.action == "deny"
    refuses = deny | (table.errcode == "43101")
    table = table.mutate(
        growth_closed=ibis.greatest(
            latest(sub & deny & (table.template_id == "")), latest(sub & refuses, own)
        ),
        growth_message=latest(cs & (table.action == "user_message")),
        growth_chat=latest(cs & (table.action == "enter_chat")),
    )
    lasting = list(names_of(long_term, "long_term"))
    return _standings(table, end, user_col, max_per_week, lasting)


def _word(code: ir.Value) -> ir.Value:
    """Return a code as text: the platform answers numbers, ledgers hold texts."""
    import ibis

    kind = code.type()
    if kind.is_floating():  # whole numbers among which some were missing
        code = code.isnan().ifelse(ibis.null().cast(kind), code).cast("int64")
    return (code if kind.is_string() else code.cast("string")).fill_null("")


def _standings(
    table: ir.Table,
    end: int,
    user: str,
    max_per_week: int | None,
    long_term: list[str],
) -> ir.Table:
    import ibis

    us, action, channel = table.growth_us, table.action, table.channel
    sub, cs = channel == "subscribe", channel == "customer_service"
    sent = action == "send"
    alive = sub & (us > table.growth_closed)
    grants = table.group_by([user, "template_id"]).agg(
        growth_alive=table.count(where=alive & (action == "grant")),
        growth_used=table.count(where=alive & sent),
    )
    left = ibis.greatest(grants.growth_alive - grants.growth_used, 0)
    endless = (
        grants.template_id.isin(long_term) & (grants.growth_alive > 0)
        if long_term
        else ibis.literal(value=False)
    )
    grants = grants.mutate(growth_left=left, growth_endless=endless.cast("int8"))
    sums = grants.group_by(growth_user=grants[user]).agg(
        growth_left=grants.growth_left.sum().cast("int64"),
        growth_endless=grants.growth_endless.max(),
    )

    def last(test: ir.BooleanValue) -> ir.Value:
        return us.max(where=test).fill_null(-(2**62))

    refuses = (action == "deny") | (table.errcode == "43101")
    measures = {
        "sub_grant": last(sub & (action == "grant")),
        "sub_refused": last(sub & refuses),
        "cs_denied": last(cs & (action == "deny")),
        "week": table.count(where=sent & (us >= end - WEEK_US)),
    }
    for kind in ("message", "chat"):
        opened = table[f"growth_{kind}"]
        since = cs & (us >= opened)
        measures |= {
            kind: opened.max(),
            f"{kind}_used": table.count(where=since & sent),
            f"{kind}_shut": table.count(where=since & (table.errcode == "45015")),
            f"{kind}_full": table.count(where=since & (table.errcode == "45047")),
        }
    for name in ("sms", "wecom"):
        mine = channel == name
        measures[f"{name}_given"] = last(mine & (action == "grant"))
        measures[f"{name}_taken"] = last(mine & (action == "deny"))
    found = table.group_by(user).agg(**measures)
    found = found.left_join(sums, found[user] == sums.growth_user).drop("growth_user")
    return _reasons(found, end, user, max_per_week)


def _reasons(t: ir.Table, end: int, user: str, max_per_week: int | None) -> ir.Table:
    """Put what was counted into words: one reason a channel."""
    import ibis

    never = -(2**62)
    none = ibis.null().cast("int64")
    text = ibis.literal
    capped = (
        ibis.literal(value=False) if max_per_week is None else t.week >= max_per_week
    )
    reasons: dict[str, ir.Value] = {}
    lefts: dict[str, ir.Value] = {}
    reasons["subscribe"] = ibis.cases(
        ((t.growth_endless == 1) | (t.growth_left > 0), text("open")),
        ((t.sub_grant == never) & (t.sub_refused == never), text("no_grant")),
        (t.sub_refused >= t.sub_grant, text("denied")),
        else_=text("used_up"),
    )
    lefts["subscribe"] = (t.growth_endless == 1).ifelse(none, t.growth_left)
    windows = {}
    for kind, (length, messages) in zip(
        ("message", "chat"), OPENINGS.values(), strict=True
    ):
        opened = (t[kind] + length > end) & (t[f"{kind}_shut"] == 0)
        free = ibis.greatest(messages - t[f"{kind}_used"], 0)
        free = (t[f"{kind}_full"] > 0).ifelse(0, free)
        windows[kind] = (opened.ifelse(free, -1), t[kind] + length)
    (left_m, shut_m), (left_c, shut_c) = windows.values()
    best = ibis.greatest(left_m, left_c)
    closes = ibis.cases(
        (left_m > left_c, shut_m),
        (left_c > left_m, shut_c),
        else_=ibis.greatest(shut_m, shut_c),
    )
    opened = ibis.greatest(t.message, t.chat)
    reasons["customer_service"] = ibis.cases(
        (t.cs_denied > opened, text("opted_out")),
        (best > 0, text("open")),
        (best == 0, text("used_up")),
        (opened > never, text("window_closed")),
        else_=text("no_window"),
    )
    lefts["customer_service"] = ibis.greatest(best, 0).cast("int64")
    for name in ("sms", "wecom"):
        given, taken = t[f"{name}_given"], t[f"{name}_taken"]
        reasons[name] = ibis.cases(
            (given > taken, text("open")),
            (taken == never, text("not_opted_in")),
            else_=text("opted_out"),
        )
        lefts[name] = none
    shown: dict[str, ir.Value] = {}
    for name, reason in reasons.items():
        stays = reason.isin(["opted_out", "denied"])
        told = (capped & ~stays).ifelse("capped", reason)
        is_open = told == "open"
        shown[f"{name}_reason"] = told
        shown[f"{name}_left"] = is_open.ifelse(lefts[name], integer(0))
        shown[f"{name}_closes_us"] = (
            is_open.ifelse(closes, none) if name == "customer_service" else none
        )
    return t.select(user, **shown)


def reach_text(table: ir.Table) -> ir.Value:
    """Return the value of the reach tag from `standings`: the cheapest open one.

    Parameters
    ----------
    table : ibis.Table
        As `standings` returns it, a row a user.

    Returns
    -------
    ibis.Value
        ``subscribe``, ``service``, ``other`` or ``none``.
    """
    import ibis

    pairs = (
        ("subscribe", "subscribe"),
        ("customer_service", "service"),
        ("sms", "other"),
        ("wecom", "other"),
    )
    return ibis.cases(
        *((table[f"{c}_reason"] == "open", ibis.literal(v)) for c, v in pairs),
        else_=ibis.literal("none"),
    )
