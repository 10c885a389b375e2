"""Heatmaps: where people tap, how far they scroll, what frustrates them.

Ask one table several questions::

    from growth import heatmap

    heatmap.aggregate(data.events, users=True)       # where do people tap?
    heatmap.first_screen(data.events)                # in the core of the screen?
    heatmap.scroll(data.events)                      # how far down?
    heatmap.elements(data.events)                    # on what, and who saw it?
    heatmap.frustration(data.events)                 # what annoys?
    heatmap.compare(data.events, assignments=data.assignments, page="pages/home")
    heatmap.zones(data.events, page="pages/home")    # where is attention?
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from growth.heatmap.areas import FIndex, Zone, Zones, f_index, zones_from_pairs
    from growth.heatmap.comparing import compare
    from growth.heatmap.core import (
        ClusteredShare,
        CoreShare,
        FirstScreen,
        Folds,
        clustered_share,
        first_screen_from_counts,
    )
    from growth.heatmap.difference import (
        Comparison,
        Difference,
        compare_from_counts,
        compare_from_pairs,
    )
    from growth.heatmap.frustrating import frustration
    from growth.heatmap.geometry import Box, CoreArea, Rect, bins
    from growth.heatmap.grid import CellUsers, Grid, smooth
    from growth.heatmap.maps import ElementTaps, Heatmap
    from growth.heatmap.privacy import SharedCells, shared_cells
    from growth.heatmap.ranking import ElementRank, Elements
    from growth.heatmap.reach import ScrollPage, ScrollReach, scroll_from_depths
    from growth.heatmap.recording import Payload, Rejected, read_payload
    from growth.heatmap.reports import (
        elements,
        first_screen,
        scroll,
        suggest_fixed,
        zones,
    )
    from growth.heatmap.signals import Frustration, Signal
    from growth.heatmap.tables import Scope, aggregate

__all__ = [
    "Box",
    "CellUsers",
    "ClusteredShare",
    "Comparison",
    "CoreArea",
    "CoreShare",
    "Difference",
    "ElementRank",
    "ElementTaps",
    "Elements",
    "FIndex",
    "FirstScreen",
    "Folds",
    "Frustration",
    "Grid",
    "Heatmap",
    "Payload",
    "Rect",
    "Rejected",
    "Scope",
    "ScrollPage",
    "ScrollReach",
    "SharedCells",
    "Signal",
    "Zone",
    "Zones",
    "aggregate",
    "bins",
    "clustered_share",
    "compare",
    "compare_from_counts",
    "compare_from_pairs",
    "elements",
    "f_index",
    "first_screen",
    "first_screen_from_counts",
    "frustration",
    "read_payload",
    "scroll",
    "scroll_from_depths",
    "shared_cells",
    "smooth",
    "suggest_fixed",
    "zones",
    "zones_from_pairs",
]

_FILES = {
    "areas": ("FIndex", "Zone", "Zones", "f_index", "zones_from_pairs"),
    "comparing": ("compare",),
    "core": (
        "ClusteredShare",
        "CoreShare",
        "FirstScreen",
        "Folds",
        "clustered_share",
        "first_screen_from_counts",
    ),
    "difference": (
        "Comparison",
        "Difference",
        "compare_from_counts",
        "compare_from_pairs",
    ),
    "frustrating": ("frustration",),
    "geometry": ("Box", "CoreArea", "Rect", "bins"),
    "grid": ("CellUsers", "Grid", "smooth"),
    "maps": ("ElementTaps", "Heatmap"),
    "privacy": ("SharedCells", "shared_cells"),
    "ranking": ("ElementRank", "Elements"),
    "reach": ("ScrollPage", "ScrollReach", "scroll_from_depths"),
    "recording": ("Payload", "Rejected", "read_payload"),
    "signals": ("Frustration", "Signal"),
    "tables": ("Scope", "aggregate"),
    "reports": ("elements", "first_screen", "scroll", "suggest_fixed", "zones"),
}
_HOME = {name: file for file, names in _FILES.items() for name in names}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
