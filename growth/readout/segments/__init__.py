"""The segments readout's own pieces: what is asked of tagged users, and how shown.

Nothing is computed here that a result lacks; each function returns results, a
`Block`, or charts. Results hide what is too small before they come here.
"""

from growth.readout.segments.asked import Found, look
from growth.readout.segments.lists import (
    moves_table,
    overlap_note,
    profile_table,
    reach_table,
    sizes_table,
    wake_note,
)
from growth.readout.segments.story import checks, drawings, summary

__all__ = [
    "Found",
    "checks",
    "drawings",
    "look",
    "moves_table",
    "overlap_note",
    "profile_table",
    "reach_table",
    "sizes_table",
    "summary",
    "wake_note",
]
