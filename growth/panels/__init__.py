"""Panels: widgets over the verbs. Nothing is computed here.

`form` makes a form of declared parameters; `abtest` plans and explores experiments,
`retention` cohorts, `heatmap` pages, `funnel` builds funnels, `tiers` designs a member
programme, `segments` builds rules.
Only this folder names ipywidgets.
"""

import growth.panels.abtest as abtest  # noqa: PLR0402  (mypy follows no other form)
import growth.panels.funnel as funnel  # noqa: PLR0402
import growth.panels.heatmap as heatmap  # noqa: PLR0402
import growth.panels.retention as retention  # noqa: PLR0402
import growth.panels.segments as segments  # noqa: PLR0402
import growth.panels.tiers as tiers  # noqa: PLR0402
from growth.panels.form import Form, form

__all__ = [
    "Form",
    "abtest",
    "form",
    "funnel",
    "heatmap",
    "retention",
    "segments",
    "tiers",
]
