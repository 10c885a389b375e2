"""Growth experimentation for mini-program merchants: one room a question.

Name the room, then the verb::

    import growth
    from growth import abtest

    data = growth.open("data/sample")
    abtest.check_split_from_counts({"A": 5000, "B": 4700})     # numbers
    abtest.check_split(data.assignments)                       # a table

A room is loaded when it is first named, so `import growth` stays light: it
loads neither NumPy nor an engine.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from growth.errors import DataError, GrowthError, ParameterError
from growth.labels import use_lang

if TYPE_CHECKING:
    from growth import (
        abtest,
        charts,
        dataset,
        engine,
        funnel,
        heatmap,
        panels,
        readout,
        retention,
        segments,
        stats,
        synth,
        tiers,
    )
    from growth.dataset import open  # noqa: A004

__version__ = "0.1.0"

__all__ = [
    "DataError",
    "GrowthError",
    "ParameterError",
    "abtest",
    "charts",
    "dataset",
    "engine",
    "funnel",
    "heatmap",
    "open",
    "panels",
    "readout",
    "retention",
    "segments",
    "stats",
    "synth",
    "tiers",
    "use_lang",
]

_ROOMS = (
    "abtest", "charts", "dataset", "engine", "funnel", "heatmap", "panels", "readout",
    "retention", "segments", "stats", "synth", "tiers",
)  # fmt: skip


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    if name == "open":
        return import_module(f"{__name__}.dataset").open
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
