"""Member tiers and points: what is, what would have been, what would be."""

from growth.tiers import programme
from growth.tiers.ledger import (
    Applied,
    Claim,
    Entry,
    Ledger,
    Standing,
    State,
    apply,
    claw_back,
    open_state,
    points_for,
    standing,
)
from growth.tiers.programme import Programme, load_programme

__all__ = [
    "Applied",
    "Claim",
    "Entry",
    "Ledger",
    "Programme",
    "Standing",
    "State",
    "apply",
    "claw_back",
    "load_programme",
    "open_state",
    "points_for",
    "programme",
    "standing",
]
