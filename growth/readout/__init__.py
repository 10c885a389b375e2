"""Readouts: one question, one subject, one date; a notebook run strictly.

Declare parameters with `readout`, end the notebook with
``publish(Readout.from_results(...))``, run it with `run`, read it with `load`.
Nothing here imports papermill, nbconvert or Altair before it is needed.
"""

from growth.readout.batch import Batch, Entry, run_all
from growth.readout.catalog import AbtestParams, DatasetParams
from growth.readout.model import Readout, load
from growth.readout.params import (
    Between,
    EnvName,
    Help,
    Id,
    Path,
    Sample,
    readout,
)
from growth.readout.publish import publish
from growth.readout.runner import Progress, RunOutcome, run
from growth.readout.samples import sample_data
from growth.readout.store import Store

__all__ = [
    "AbtestParams",
    "Batch",
    "Between",
    "DatasetParams",
    "Entry",
    "EnvName",
    "Help",
    "Id",
    "Path",
    "Progress",
    "Readout",
    "RunOutcome",
    "Sample",
    "Store",
    "load",
    "publish",
    "readout",
    "run",
    "run_all",
    "sample_data",
]
