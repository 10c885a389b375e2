"""Heatmaps: where people tap, how far they scroll, what frustrates them.

Ask one table several questions::

    from growth import heatmap

    taps = heatmap.aggregate(data.events, users=True)      # grids by page
"""

from growth.heatmap.geometry import Box, CoreArea, Rect, bins
from growth.heatmap.grid import CellUsers, Grid, smooth
from growth.heatmap.maps import ElementTaps, Heatmap
from growth.heatmap.tables import Scope, aggregate

__all__ = [
    "Box",
    "CellUsers",
    "CoreArea",
    "ElementTaps",
    "Grid",
    "Heatmap",
    "Rect",
    "Scope",
    "aggregate",
    "bins",
    "smooth",
]
