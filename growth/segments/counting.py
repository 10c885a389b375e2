"""Questions about tagged users: each is one or two group-bys, then arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from growth.engine import (
    QuantileAsk,
    aggregate,
    as_table,
    instant,
    moments,
    need_columns,
    quantiles,
    stable_bucket,
)
from growth.errors import ParameterError
from growth.segments.evaluate import micros
from growth.segments.movement import Movement, movement_from_counts
from growth.segments.overlap import MOST, Overlap, overlap_from_masks
from growth.segments.profile import Feature, Profile, profile_from_counts
from growth.segments.reach import (
    CHANNELS,
    Reach,
    ReachCell,
    check_cap,
    check_channels,
)
from growth.segments.rules import Segment, When
from growth.segments.sizes import (
    Crossed,
    Sizes,
    cross_from_counts,
    sizes_from_counts,
)
from growth.segments.tables import holds, mask_of, standings
from growth.stats.arguments import names_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    import ibis.expr.types as ir

    from growth.engine import TableLike
    from growth.segments.rules import Rules

__all__ = [
    "cross",
    "hold_out",
    "movement",
    "overlap",
    "profile",
    "reach",
    "reachable",
    "sizes",
]


def sizes(
    table: TableLike,
    tag: str,
    *,
    values: Sequence[str] = (),
    as_of: date | None = None,
    min_size: int | None = None,
    sample_rate: float | None = None,
    also_hide: Sequence[str] = (),
    user_col: str = "user_id",
) -> Sizes:
    """Count users by the values of a tag.

    Parameters
    ----------
    table : ibis.Table, frame, Arrow data or path
        What `growth.segments.tag` gives: a row a user, a column a tag.
    tag : str
        The tag's column.
    values : sequence of str, optional
        Every value the tag can have, in order: ``rules["frequency"].names``.
    as_of : datetime.date, optional
        The last day counted, to be shown.
    min_size : int, optional
        Hide smaller values; for what is shared, take 50.
    sample_rate : float, optional
        Look at this share of users only, chosen by a hash of `user_col`, in (0, 1):
        sizes are then estimates with Wilson's interval. All if omitted.
    also_hide : sequence of str, optional
        Values hidden in any case: those hidden the day before.
    user_col : str, default "user_id"
        Who.

    Returns
    -------
    Sizes
        Users outside the tag's population (NULL) are not counted.

    Raises
    ------
    ColumnNotFoundError
        If a column is missing.
    ParameterError
        If `min_size` is below 1 (code ``bad_limit``) or `sample_rate` outside
        (0, 1) (``bad_sample_rate``).
    """
    source = as_table(table)
    need_columns(source, [tag])
    source = source.filter(source[tag].notnull())
    if sample_rate is not None:
        if not 0 < sample_rate < 1:
            msg = f"sample_rate is {sample_rate}; it must be in (0, 1); leave it out"
            raise ParameterError(f"{msg} to count all.", code="bad_sample_rate")
        need_columns(source, [user_col])
        bucket = stable_bucket(source[user_col], 1_000_000, "growth sizes")
        source = source.filter(bucket < round(sample_rate * 1_000_000))
    rows = aggregate(source, by=[tag], measures={"n": source.count()}).to_pylist()
    return sizes_from_counts(
        {row[tag]: row["n"] for row in rows},
        tag=tag,
        values=values,
        as_of=as_of,
        min_size=min_size,
        sample_rate=sample_rate or 1.0,
        also_hide=also_hide,
    )


def cross(
    table: TableLike,
    row: str,
    column: str,
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    k: int | None = None,
    min_size: int | None = None,
) -> Crossed:
    """Count users by two tags.

    Parameters
    ----------
    table : ibis.Table, frame, Arrow data or path
        What `growth.segments.tag` gives.
    row, column : str
        The tags' columns.
    rows, columns : sequence of str, optional
        Every value, in order.
    k, min_size : int, optional
        Hide smaller cells and totals; for what is shared, take 10 and 50.

    Returns
    -------
    Crossed
        Of users who have both tags.

    Raises
    ------
    ColumnNotFoundError
        If a column is missing.
    ParameterError
        If a limit is below 1 (code ``bad_limit``), or both tags are one
        (``one_tag``).
    """
    source = as_table(table)
    need_columns(source, [row, column])
    if row == column:
        msg = f"row and column are both {row!r}; they must be two tags; ask `sizes` for"
        raise ParameterError(f"{msg} one.", code="one_tag")
    source = source.filter(source[row].notnull(), source[column].notnull())
    found = aggregate(source, by=[row, column], measures={"n": source.count()})
    return cross_from_counts(
        {(r[row], r[column]): r["n"] for r in found.to_pylist()},
        row_tag=row,
        column_tag=column,
        rows=rows,
        columns=columns,
        k=k,
        min_size=min_size,
    )


def movement(
    before: TableLike,
    after: TableLike,
    tag: str,
    *,
    values: Sequence[str] = (),
    first: date | None = None,
    second: date | None = None,
    under_old_rule: TableLike | None = None,
    k: int | None = None,
    min_size: int | None = None,
    also_hide: tuple[Sequence[str], Sequence[str]] | None = None,
    user_col: str = "user_id",
) -> Movement:
    """Count who moved from value to value between two dates.

    Parameters
    ----------
    before, after : ibis.Table, frame, Arrow data or path
        Tags at the two dates: from `growth.segments.tag`, or snapshots.
    tag : str
        The tag's column, in both.
    values : sequence of str, optional
        Every value, in order.
    first, second : datetime.date, optional
        The dates, to be shown.
    under_old_rule : table, optional
        Tags at the second date by the rule of the first, where the rule has
        changed: moves are then counted under the old rule, and how many users the
        new rule moves is told apart.
    k, min_size : int, optional
        Hide smaller moves and totals; for what is shared, take 10 and 50.
    also_hide : (sequence of str, sequence of str), optional
        Values hidden in the sizes of the two dates, where those stand beside: moves
        then do not give them back.
    user_col : str, default "user_id"
        Who.

    Returns
    -------
    Movement
        Users outside the population at a date are ``absent`` there.

    Raises
    ------
    ColumnNotFoundError
        If a column is missing.
    ParameterError
        If a limit is below 1 (code ``bad_limit``), or a value is called ``absent``
        (``reserved_value``).
    """
    rule_moved = None
    if under_old_rule is not None:
        told = _moves(under_old_rule, after, tag, user_col)
        rule_moved = sum(n for (a, b), n in told.items() if a != b)
        after = under_old_rule
    return movement_from_counts(
        _moves(before, after, tag, user_col),
        tag=tag,
        values=values,
        first=first,
        second=second,
        k=k,
        min_size=min_size,
        also_hide=also_hide,
        rule_moved=rule_moved,
    )


def _moves(
    before: TableLike, after: TableLike, tag: str, user_col: str
) -> dict[tuple[str | None, str | None], int]:
    one, two = as_table(before), as_table(after)
    for table in (one, two):
        need_columns(table, [user_col, tag])
    one = one.filter(one[tag].notnull())
    two = two.filter(two[tag].notnull())
    one = one.select(growth_one=one[user_col], growth_before=one[tag])
    two = two.select(growth_two=two[user_col], growth_after=two[tag])
    both = one.outer_join(two, one.growth_one == two.growth_two)
    rows = aggregate(
        both, by=["growth_before", "growth_after"], measures={"n": both.count()}
    )
    return {(r["growth_before"], r["growth_after"]): r["n"] for r in rows.to_pylist()}


def overlap(
    table: TableLike,
    segments: Mapping[str, When] | Sequence[Segment],
    *,
    k: int | None = None,
    min_size: int | None = None,
) -> Overlap:
    """Count users by the segments they are in.

    Parameters
    ----------
    table : ibis.Table, frame, Arrow data or path
        What `growth.segments.tag` gives.
    segments : mapping of str to When, or sequence of Segment
        Conditions over tags, 62 at most.
    k, min_size : int, optional
        Hide smaller intersections and segments; for what is shared, take 10 and 50.

    Returns
    -------
    Overlap
        From one group-by of a bit mask.

    Raises
    ------
    ParameterError
        If there are none or too many (code ``too_many_segments``), two have one
        name (``duplicate_name``), or one compares a metric
        (``segment_of_metrics``).
    ColumnNotFoundError
        If a tag has no column.
    """
    source = as_table(table)
    named = _named(segments)
    if not 1 <= len(named) <= MOST:
        return overlap_from_masks({}, segments=list(named))
    marked = source.select(growth_mask=mask_of(source, list(named.values())))
    found = aggregate(marked, by=["growth_mask"], measures={"n": marked.count()})
    counts = dict(
        zip(*(found[c].to_pylist() for c in ("growth_mask", "n")), strict=True)
    )
    return overlap_from_masks(counts, segments=list(named), k=k, min_size=min_size)


def _named(segments: Mapping[str, When] | Sequence[Segment]) -> dict[str, When]:
    if isinstance(segments, Mapping):
        return {name: when._when() for name, when in segments.items()}  # noqa: SLF001
    names = [segment.name for segment in segments]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        msg = f"segments names {twice!r} twice; each must have a name of its own; name"
        raise ParameterError(f"{msg} one anew.", code="duplicate_name")
    return {segment.name: segment.when for segment in segments}


def profile(
    table: TableLike,
    segment: Segment | When,
    features: Sequence[str],
    *,
    rules: Rules | None = None,
    q: float = 0.05,
    min_side: int = 30,
    k: int | None = None,
    min_size: int | None = None,
    also_hide: Mapping[str, Sequence[str]] | None = None,
    user_col: str = "user_id",
) -> Profile:
    """Tell what is different about a segment, against everybody else.

    Parameters
    ----------
    table : ibis.Table, frame, Arrow data or path
        A row a user: tags, and whatever else is known (`growth.segments.metrics`
        gives both).
    segment : Segment or When
        A condition over tags.
    features : sequence of str
        Columns: text and truths are categories, numbers are numbers.
    rules : Rules, optional
        With them, what the segment's own tags rest on is known: such features are
        circular and not tested.
    q : float, default 0.05
        Level of Benjamini-Hochberg over all lines, in (0, 1).
    min_side : int, default 30
        Smaller sides have no line.
    k : int, optional
        Leave out levels that fewer users of a side have; for what is shared, take 10.
    min_size : int, optional
        Leave out levels that fewer users have; for what is shared, take 50. Of a
        segment, or a rest, of fewer than this or than `k` nothing is told.
    also_hide : mapping of str to sequence of str, optional
        By feature whose sizes stand beside: the levels those hide, so that the two
        sides of a level do not add up to them.
    user_col : str, default "user_id"
        Who.

    Returns
    -------
    Profile
        The rest is everybody in the table who is not in the segment.

    Raises
    ------
    ColumnNotFoundError
        If a column is missing.
    ParameterError
        If `q` is out of range (code ``alpha_out_of_range``), no feature is named
        (``nothing_asked``) or a limit is below 1 (``bad_limit``).
    """
    features = names_of(features, "features")
    if not features:
        msg = "features is empty; it must name columns to compare; pass ['tier']."
        raise ParameterError(msg, code="nothing_asked")
    source = as_table(table)
    need_columns(source, [user_col, *features])
    when = segment.when if isinstance(segment, Segment) else segment
    name = segment.name if isinstance(segment, Segment) else "segment"
    source = source.mutate(growth_in=holds(source, when))
    sides = {
        row["growth_in"]: row["n"]
        for row in aggregate(
            source, by=["growth_in"], measures={"n": source.count()}
        ).to_pylist()
    }
    kinds = {f: source[f].type() for f in features}
    numeric = [f for f, kind in kinds.items() if kind.is_numeric()]
    categories = {f: _levels(source, f) for f in features if f not in numeric}
    return profile_from_counts(
        segment=name,
        users=sides.get(True, 0),
        rest=sides.get(False, 0),
        categories=categories,
        numbers=_numbers(source, numeric),
        defined_by=_defining(when, rules, features),
        q=q,
        min_side=min_side,
        k=k,
        min_size=min_size,
        also_hide=also_hide,
    )


def _levels(source: ir.Table, feature: str) -> dict[str, tuple[int, int]]:
    known = source.filter(source[feature].notnull())
    rows = aggregate(
        known, by=[feature, "growth_in"], measures={"n": known.count()}
    ).to_pylist()
    found: dict[str, list[int]] = {}
    for row in rows:
        found.setdefault(str(row[feature]), [0, 0])[not row["growth_in"]] = row["n"]
    return {level: (a, b) for level, (a, b) in found.items()}


def _numbers(source: ir.Table, names: Sequence[str]) -> dict[str, tuple[Any, Any]]:
    if not names:
        return {}
    sets = [[name] for name in names]
    cells = {
        cell.key[0]: cell.moments
        for cell in moments(source, values=sets, by=[["growth_in"]])
    }
    if len(cells) < 2:
        return {}
    asks = {name: QuantileAsk(name, 0.5) for name in names}
    middles = {
        side: quantiles(source.filter(source.growth_in == side), asks)
        for side in (True, False)
    }
    return {
        name: (
            Feature(cells[True][name,], middles[True][name]),
            Feature(cells[False][name,], middles[False][name]),
        )
        for name in names
    }


def _defining(
    when: When, rules: Rules | None, features: Sequence[str]
) -> tuple[str, ...]:
    """Return features that a segment's own rule uses, or that rest on the same."""
    tags = {leaf.tag for leaf in when.leaves()}
    used = set(tags)
    if rules is None:
        return tuple(name for name in features if name in used)
    rests: dict[str, set[str]] = {}
    for one in rules:
        parts = [
            part
            for tag in rules.closure(one.name)
            for _, metric in tag.metrics
            for part in metric.parts()
        ]
        # how often and when rows of a table came: each says the other
        rests[one.name] = {p.of for p in parts if not p.col and p.metric is None}
        if one.name in tags:
            used |= {part.col for part in parts if part.of == "members"}
            for tag in rules.closure(one.name):
                used |= {tag.name, *(f"{tag.name}__{name}" for name, _ in tag.metrics)}
    own = set().union(*(rests.get(tag, set()) for tag in tags))
    used |= {name for name, tables in rests.items() if tables & own}
    return tuple(name for name in features if name in used)


def reachable(
    messages: TableLike,
    *,
    at_ts: date | datetime,
    users: TableLike | None = None,
    channels: Sequence[str] = CHANNELS,
    max_per_week: int | None = None,
    long_term: Sequence[str] = (),
    user_col: str = "user_id",
) -> ir.Table:
    """Return, user by user, whom each channel reaches at an instant.

    Parameters
    ----------
    messages : ibis.Table, frame, Arrow data or path
        The canonical ``messages``: the ledger of consent.
    at_ts : aware datetime or date
        The instant; a date is the midnight that ends it, in Shanghai.
    users : table, optional
        Whom to ask about (`user_col`); users of the ledger if omitted.
    channels : sequence of str, optional
        Of ``subscribe customer_service sms wecom``.
    max_per_week : int, optional
        The merchant's own cap over all channels, 1 or more.
    long_term : sequence of str, optional
        Templates the platform lets be sent again and again.
    user_col : str, default "user_id"
        Who.

    Returns
    -------
    ibis.Table
        One row a user: ``<channel>_reason`` (``open``, or why not),
        ``<channel>_left`` (NULL: no number set) and ``<channel>_closes_us``.

    Raises
    ------
    RefusedError
        For the channel ``template``.
    ParameterError
        If a channel is unknown (code ``unknown_channel``), the instant has no zone
        (``bad_as_of``) or `max_per_week` is below 1 (``bad_limit``).
    """
    asked = check_channels(channels)
    if max_per_week is not None:
        max_per_week = check_cap(max_per_week)
    end = micros(instant(at_ts))
    found = standings(
        messages, end, user_col=user_col, max_per_week=max_per_week, long_term=long_term
    )
    shown = [f"{c}_{part}" for c in asked for part in ("reason", "left", "closes_us")]
    found = found.select(user_col, *shown)
    if users is None:
        return found
    who = as_table(users)
    need_columns(who, [user_col])
    who = who.select(growth_who=who[user_col]).distinct()
    joined = who.left_join(found, who.growth_who == found[user_col])
    never = {
        "subscribe": "no_grant",
        "customer_service": "no_window",
        "sms": "not_opted_in",
        "wecom": "not_opted_in",
    }
    filled: dict[str, Any] = {user_col: joined.growth_who}
    for channel in asked:
        reason, left = joined[f"{channel}_reason"], joined[f"{channel}_left"]
        filled[f"{channel}_reason"] = reason.fill_null(never[channel])
        filled[f"{channel}_left"] = reason.isnull().ifelse(0, left)
        filled[f"{channel}_closes_us"] = joined[f"{channel}_closes_us"]
    return joined.select(**filled)


def reach(
    messages: TableLike,
    *,
    at_ts: date | datetime,
    users: TableLike | None = None,
    channels: Sequence[str] = CHANNELS,
    max_per_week: int | None = None,
    long_term: Sequence[str] = (),
    min_size: int | None = None,
    user_col: str = "user_id",
) -> Reach:
    """Count whom messages may reach at an instant, by channel and reason.

    Parameters
    ----------
    messages, at_ts, users, channels, max_per_week, long_term, user_col
        As in `reachable`.
    min_size : int, optional
        Hide smaller groups; for what is shared, take 50.

    Returns
    -------
    Reach
        Counts; for the list itself see `reachable`.

    Raises
    ------
    RefusedError, ParameterError
        As `reachable`; if `min_size` is below 1 (code ``bad_limit``).
    """
    asked = check_channels(channels)
    table = reachable(
        messages,
        at_ts=at_ts,
        users=users,
        channels=asked,
        max_per_week=max_per_week,
        long_term=long_term,
        user_col=user_col,
    )
    measures = {"n": table.count()}
    measures |= {f"{c}_left": table[f"{c}_left"].sum() for c in asked}
    reasons = [f"{c}_reason" for c in asked]
    cells: dict[tuple[str, str], list[int | None]] = {}
    total = some = 0
    for row in aggregate(table, by=reasons, measures=measures).to_pylist():
        total += row["n"]
        some += row["n"] if any(row[name] == "open" for name in reasons) else 0
        for channel in asked:
            cell = cells.setdefault((channel, row[f"{channel}_reason"]), [0, None])
            cell[0] = (cell[0] or 0) + row["n"]
            left = row[f"{channel}_left"]
            if left is not None:
                cell[1] = (cell[1] or 0) + int(left)
    told = [ReachCell(*key, users=n or 0, messages_left=left)
            for key, (n, left) in cells.items()]  # fmt: skip
    order = {channel: i for i, channel in enumerate(asked)}
    told.sort(
        key=lambda c: (order[c.channel], c.reason != "open", -(c.users or 0), c.reason)
    )
    return Reach.of(
        told, at=instant(at_ts), users=total, reachable=some, min_size=min_size
    )


def hold_out(
    table: TableLike,
    *,
    share: float = 0.5,
    salt: str,
    name: str = "hold_out",
    user_col: str = "user_id",
) -> ir.Table:
    """Add a column that keeps some users back, so that an effect can be measured.

    Parameters
    ----------
    table : ibis.Table, frame, Arrow data or path
        A row a user.
    share : float, default 0.5
        Of users kept back, in (0, 1).
    salt : str
        Names the campaign: another one splits anew, and independently.
    name : str, default "hold_out"
        The column: true is kept back.
    user_col : str, default "user_id"
        Who.

    Returns
    -------
    ibis.Table
        The table with one more column, the same on every engine and always.

    Raises
    ------
    ParameterError
        If `share` is outside (0, 1) (code ``bad_share``).
    ColumnNotFoundError
        If `user_col` is missing.
    """
    if not 0 < share < 1:
        msg = f"share is {share}; it must be in (0, 1); write half as 0.5."
        raise ParameterError(msg, code="bad_share")
    source = as_table(table)
    need_columns(source, [user_col])
    bucket = stable_bucket(source[user_col], 1_000_000, salt)
    return source.mutate({name: bucket < round(share * 1_000_000)})
