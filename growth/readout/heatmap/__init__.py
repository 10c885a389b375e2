"""The heatmap readout's own pieces: what is read of one page, and how it is shown.

Nothing is computed here that a result lacks; each function returns a `Block`, a
decision, or charts.
"""

from growth.readout.heatmap.asked import by_arm, compared, decided_on, results_of
from growth.readout.heatmap.lists import (
    differences,
    elements_table,
    frustration_table,
    zones_table,
)
from growth.readout.heatmap.maps import map_block, top_cells
from growth.readout.heatmap.story import checks, drawings, summary
from growth.readout.trust import kept, rows_read

__all__ = [
    "by_arm",
    "checks",
    "compared",
    "decided_on",
    "differences",
    "drawings",
    "elements_table",
    "frustration_table",
    "kept",
    "map_block",
    "results_of",
    "rows_read",
    "summary",
    "top_cells",
    "zones_table",
]
