"""Charts: results in, Altair out. Nothing here reads a table or computes.

A chart is a function of a result, ``charts.abtest.forest_chart(analysis)``: made
from the result alone, offline, its words in the reader's language, its intervals
drawn. `enable` says how a notebook shows them; `to_svg` writes one as safe SVG.
"""

from growth.charts import abtest as abtest
from growth.charts import funnel as funnel
from growth.charts import heatmap as heatmap
from growth.charts import retention as retention
from growth.charts import segments as segments
from growth.charts import tiers as tiers
from growth.charts.show import enable
from growth.charts.svg import to_svg

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
