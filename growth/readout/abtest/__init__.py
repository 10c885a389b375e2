"""The experiment readout's own pieces: the units, and what is shown of the results.

`open_units` finds the units, wherever they are; the rest are functions of results
that return a `Block` or charts. Nothing is computed here that a result lacks.
"""

from growth.readout.abtest.checks import checks
from growth.readout.abtest.effects import (
    calibration_table,
    effects_table,
    figures,
    segments_table,
)
from growth.readout.abtest.opened import (
    Opened,
    found,
    open_units,
    over_ages,
    over_days,
)
from growth.readout.abtest.pictures import drawings
from growth.readout.abtest.story import ages_note, looks_note, summary, trend_note

__all__ = [
    "Opened",
    "ages_note",
    "calibration_table",
    "checks",
    "drawings",
    "effects_table",
    "figures",
    "found",
    "looks_note",
    "open_units",
    "over_ages",
    "over_days",
    "segments_table",
    "summary",
    "trend_note",
]
