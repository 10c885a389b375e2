"""Segments: who they are, who moves, whom a message may reach.

Write rules once, as TOML or in Python; ask them of everybody, or of one user::

    rules = segments.load_rules("rules.toml")
    tags = segments.tag(data, rules, as_of=day)            # a column a tag
    segments.rule(rules, "behaviour").value_for(rows, as_of=day)
"""

from growth.segments import packs
from growth.segments.asking import (
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
from growth.segments.context import Context, ContextRequiredError
from growth.segments.counting import (
    cross,
    hold_out,
    movement,
    overlap,
    profile,
    reach,
    reachable,
    sizes,
)
from growth.segments.evaluate import Explanation, Rule, rule
from growth.segments.export import Export, export
from growth.segments.movement import Move, Movement, movement_from_counts
from growth.segments.overlap import Intersection, Overlap, Pair, overlap_from_masks
from growth.segments.profile import Feature, Line, Profile, profile_from_counts
from growth.segments.reach import Reach, ReachCell, Standing, reach_of
from growth.segments.rules import (
    Metric,
    Rules,
    Segment,
    Tag,
    Value,
    When,
)
from growth.segments.sizes import (
    CrossCell,
    Crossed,
    SizeCell,
    Sizes,
    cross_from_counts,
    sizes_from_counts,
)
from growth.segments.store import History, Snapshot, history, snapshot
from growth.segments.tables import freeze, metrics, tag
from growth.segments.validate import load_rules, parse_rules, rules_of

__all__ = [
    "Context",
    "ContextRequiredError",
    "CrossCell",
    "Crossed",
    "Explanation",
    "Export",
    "Feature",
    "History",
    "Intersection",
    "Line",
    "Metric",
    "Move",
    "Movement",
    "Overlap",
    "Pair",
    "Profile",
    "Reach",
    "ReachCell",
    "Rule",
    "Rules",
    "Segment",
    "SizeCell",
    "Sizes",
    "Snapshot",
    "Standing",
    "Tag",
    "Value",
    "When",
    "clv_fen",
    "count",
    "cross",
    "cross_from_counts",
    "distinct",
    "distinct_days",
    "expected_orders",
    "export",
    "first",
    "freeze",
    "greatest",
    "history",
    "hold_out",
    "last",
    "least",
    "lifecycle",
    "load_rules",
    "mean",
    "metrics",
    "movement",
    "movement_from_counts",
    "overdue",
    "overlap",
    "overlap_from_masks",
    "p_alive",
    "packs",
    "parse_rules",
    "profile",
    "profile_from_counts",
    "quantile",
    "reach",
    "reach_of",
    "reachable",
    "recency_days",
    "rfm",
    "rule",
    "rules_of",
    "sequence",
    "sizes",
    "sizes_from_counts",
    "snapshot",
    "tag",
    "tag_in",
    "total",
    "without",
    "yuan",
]
