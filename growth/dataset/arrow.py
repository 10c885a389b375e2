"""Arrow's compute functions, typed as what they are to a checker: made at run time."""

from __future__ import annotations

from typing import Any

__all__ = ["compute"]


def compute() -> Any:  # noqa: ANN401
    """Return the module ``pyarrow.compute``; its functions appear when it loads."""
    import pyarrow.compute

    return pyarrow.compute
