"""Charts: results in, Altair out. Nothing here reads a table or computes.

A chart is a function of a result, ``charts.abtest.forest_chart(analysis)``: made
from the result alone, offline, its words in the reader's language, its intervals
drawn. `enable` says how a notebook shows them; `to_svg` writes one as safe SVG.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from growth.charts.show import enable
from growth.charts.svg import to_svg

if TYPE_CHECKING:
    from growth.charts import (
        abtest,
        funnel,
        heatmap,
        retention,
        segments,
        tiers,
    )

__all__ = [
    "abtest",
    "enable",
    "funnel",
    "heatmap",
    "retention",
    "segments",
    "tiers",
    "to_svg",
]

_ROOMS = ("abtest", "funnel", "heatmap", "retention", "segments", "tiers")


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in _ROOMS:  # a page of one room loads no other's charts
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
