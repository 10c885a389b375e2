"""Panels: widgets over the verbs. Nothing is computed here.

`form` makes a form of declared parameters; `abtest` plans and explores experiments.
Only this folder names ipywidgets.
"""

import growth.panels.abtest as abtest  # noqa: PLR0402  (mypy follows no other form)
from growth.panels.form import Form, form

__all__ = ["Form", "abtest", "form"]
