"""Tags of all users at once: conditional aggregates, one scan of each table.

Metrics of all tags become measures of one group-by a table; equal ones are computed
once. Only what is about order in time (``sequence``, ``without``, ``overdue``) and
messages reads the few rows it needs a second time. Everything stays a lazy Ibis
table, but for models, whose fit needs numbers in hand, and for many questions of a
large table, which a kernel counts at once.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from growth.errors import ParameterError
from growth.segments.context import Context, yardstick
from growth.segments.tables.expressions import holds, mask_of
from growth.segments.tables.plan import Plan
from growth.segments.tables.standings import reach_text, standings

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from growth.segments.rules import Rules, Tag
    from growth.segments.tables.logs import Logs

__all__ = [
    "check_as_of",
    "freeze",
    "holds",
    "mask_of",
    "metrics",
    "reach_text",
    "standings",
    "tag",
]


def check_as_of(as_of: object) -> date:
    """Return `as_of`, which must be a date.

    Parameters
    ----------
    as_of : datetime.date
        The last local day counted.

    Returns
    -------
    datetime.date
        The same.

    Raises
    ------
    ParameterError
        If it is anything else, a datetime too (code ``bad_as_of``).
    """
    if not isinstance(as_of, date) or isinstance(as_of, datetime):
        msg = f"as_of is {as_of!r}; it must be a date, the last day counted; pass one."
        raise ParameterError(msg, code="bad_as_of")
    return as_of


def tag(
    data: Any,  # noqa: ANN401  (a Dataset, or tables by name)
    rules: Rules,
    *,
    as_of: date,
    context: Context | None = None,
    user_col: str = "user_id",
    logs: Logs | None = None,
) -> ir.Table:
    """Return every user's tags at one `as_of`, lazily.

    Parameters
    ----------
    data : Dataset or mapping of str to table
        Canonical tables; only those the rules name are read.
    rules : Rules
        From `load_rules` or `rules_of`.
    as_of : datetime.date
        The last local day counted, in each tag's own zone; rows after it do not
        exist.
    context : Context, optional
        Frozen yardsticks, from `freeze`; those of ``cuts = "recompute"`` are taken
        from the data at `as_of` where it has none.
    user_col : str, default "user_id"
        The column that names a user, in all tables.
    logs : Logs, optional
        What is held of logs by day: `growth.segments.snapshot` keeps it up.

    Returns
    -------
    ibis.Table
        One row a user of any tag's population: `user_col` and one text column a
        tag, named like it; NULL outside the tag's population.

    Raises
    ------
    ParameterError
        If `as_of` is no date (code ``bad_as_of``), or a tag with frozen cuts finds
        no yardstick (``context_required``).
    ColumnNotFoundError
        If a column is missing; it says which tags need it.
    DataError
        If a table is missing (code ``table_not_found``), or two values of a
        ``disjoint`` tag match one user (``overlap_found``, with how many users).

    Notes
    -----
    Each user gets the first value whose condition is true, else the default. Models
    are fitted by one query before the table is returned; on DuckDB eight or more
    counts, or first or last times, of a table of a million rows are answered before
    that too.
    """
    made = Plan(data, rules, check_as_of(as_of), context, user_col, logs=logs)
    table = made.tagged()
    return table.select(user_col, *rules.names)


def metrics(
    data: Any,  # noqa: ANN401
    rules: Rules,
    *,
    as_of: date,
    context: Context | None = None,
    user_col: str = "user_id",
) -> ir.Table:
    """Return what tags saw of every user: `tag` with the metrics beside it.

    Parameters
    ----------
    data, rules, as_of, context, user_col
        As in `tag`.

    Returns
    -------
    ibis.Table
        `user_col`, the tags, and ``<tag>__<metric>`` for each metric a tag names;
        beside ``without`` also ``<tag>__<metric>__immature``: false only because the
        time it waits is not over.

    Raises
    ------
    ParameterError, DataError
        As `tag`.
    """
    made = Plan(data, rules, check_as_of(as_of), context, user_col)
    table = made.tagged()
    shown = {}
    for one in rules:
        named = {metric: name for name, metric in one.metrics}
        for metric in one.used():
            name = f"{one.name}__{named[metric]}"
            shown[name] = table[made.column(metric, one)]
            young = made.immature(table, metric, one)
            if young is not None:
                shown[f"{name}__immature"] = young
    return table.select(user_col, *rules.names, **shown)


def freeze(
    data: Any,  # noqa: ANN401
    rules: Rules,
    *,
    as_of: date,
    user_col: str = "user_id",
    logs: Logs | None = None,
) -> Context:
    """Take the yardsticks that rules are judged by: cut points, models, gaps.

    Parameters
    ----------
    data, rules, as_of, user_col, logs
        As in `tag`.

    Returns
    -------
    Context
        For services (`rule`), and for `tag` at a later `as_of` with the yardstick
        of this one. Empty where no rule needs one.

    Raises
    ------
    ParameterError, DataError
        As `tag`.
    """
    day = check_as_of(as_of)
    if logs is None:  # what is held is one for all tags
        rules = replace(rules, tags=tuple(one for one in rules if _judged(one)))
    if not rules.tags:
        return Context(day, {})
    made = Plan(data, rules, day, None, user_col, freezing=True, logs=logs)
    return Context(day, made.numbers(), made.notices)


def _judged(one: Tag) -> bool:
    """Return whether a tag needs a yardstick."""
    parts = (part for metric in one.used() for part in metric.parts())
    return any(yardstick(part, one.tz, one.population) for part in parts)
