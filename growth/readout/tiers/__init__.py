"""The tiers readout's own pieces: what is replayed and simulated, and how it is shown.

Nothing is computed here that a result lacks; each function returns results, a
`Block`, or charts.
"""

from growth.readout.tiers.asked import Found, look
from growth.readout.tiers.lists import (
    back_tests,
    changes,
    counts_table,
    deferral_table,
    money_table,
    owed_table,
    standing_table,
)
from growth.readout.tiers.story import checks, drawings, summary

__all__ = [
    "Found",
    "back_tests",
    "changes",
    "checks",
    "counts_table",
    "deferral_table",
    "drawings",
    "look",
    "money_table",
    "owed_table",
    "standing_table",
    "summary",
]
