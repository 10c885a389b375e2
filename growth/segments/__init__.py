"""Segments: who they are, who moves, whom a message may reach.

Write rules once, as TOML or in Python; ask them of everybody, or of one user::

    rules = segments.load_rules("rules.toml")
    tags = segments.tag(data, rules, as_of=day)            # a column a tag
    segments.rule(rules, "behaviour").value_for(rows, as_of=day)
"""

from growth.segments import packs
from growth.segments.context import Context, ContextRequiredError
from growth.segments.evaluate import Explanation, Rule, rule
from growth.segments.reach import Reach, ReachCell, Standing, reach_of
from growth.segments.rules import (
    Metric,
    Rules,
    Segment,
    Tag,
    Value,
    When,
    clv_fen,
    count,
    distinct,
    distinct_days,
    expected_orders,
    first,
    greatest,
    last,
    least,
    lifecycle,
    mean,
    overdue,
    p_alive,
    quantile,
    recency_days,
    rfm,
    sequence,
    tag_in,
    total,
    without,
    yuan,
)
from growth.segments.tables import freeze, metrics, tag
from growth.segments.validate import load_rules, parse_rules, rules_of

__all__ = [
    "Context",
    "ContextRequiredError",
    "Explanation",
    "Metric",
    "Reach",
    "ReachCell",
    "Rule",
    "Rules",
    "Segment",
    "Standing",
    "Tag",
    "Value",
    "When",
    "clv_fen",
    "count",
    "distinct",
    "distinct_days",
    "expected_orders",
    "first",
    "freeze",
    "greatest",
    "last",
    "least",
    "lifecycle",
    "load_rules",
    "mean",
    "metrics",
    "overdue",
    "p_alive",
    "packs",
    "parse_rules",
    "quantile",
    "reach_of",
    "recency_days",
    "rfm",
    "rule",
    "rules_of",
    "sequence",
    "tag",
    "tag_in",
    "total",
    "without",
    "yuan",
]
