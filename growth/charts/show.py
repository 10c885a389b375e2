"""How a notebook shows charts: live in JupyterLab, as SVG everywhere else."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any, Final, Literal

from growth.charts.svg import to_svg

__all__ = ["enable"]

# the menu's editor is a page elsewhere, which the chart's data would be sent to
_MENU: Final = {"actions": {"export": True, "source": False, "editor": False}}


def enable() -> Literal["readout", "jupyter", "svg"]:
    """Choose how the charts of this notebook are shown; call it once, at its top.

    Returns
    -------
    {"readout", "jupyter", "svg"}
        What was chosen. ``readout`` inside a run (`GROWTH_RUN_DIR` is set): safe
        SVG for the page. ``jupyter`` under JupyterLab: live charts, their script
        from this machine. ``svg`` anywhere else, and where the widget that draws
        live charts is not installed.

    Notes
    -----
    None of them asks the network for anything. Altair's own default would.
    """
    import altair as alt

    if os.environ.get("GROWTH_RUN_DIR"):
        alt.renderers.register("readout", _readout)
        alt.renderers.enable("readout")
        return "readout"
    if os.environ.get("JPY_SESSION_NAME") and find_spec("anywidget"):
        alt.renderers.enable("jupyter", offline=True, embed_options=_MENU)
        return "jupyter"
    alt.renderers.enable("svg")
    return "svg"


def _readout(spec: dict[str, Any], **_: object) -> dict[str, str]:
    return {"text/html": to_svg(spec)}
