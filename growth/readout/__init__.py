"""Readouts: one question, one subject, one date; a notebook run strictly.

Declare parameters with `readout`, end the notebook with
``publish(Readout.from_results(...))``, run it with `run`, read it with `load`.
Nothing here imports papermill, nbconvert or Altair before it is needed.

Where a line belongs:

- asked: `params`, `fields` (one type, strictly), `cells` (the notebook's first cell),
  `catalog` (ours), `own` (somebody's), `places`, `samples`, `inputs` (fingerprints)
- run: `runner` (the state machine), `child` (papermill, in its own process), `kernel`,
  `forkserver`, `sparing` (imports), `nameplate` (what ``ps`` says), `supervise`,
  `scratch`, `verdict` (how it ended), `repair`, `filing` (notebook, page, lost runs),
  `hook`, `batch` (many)
- found: `model` (the document), `checking` and ``schema/`` (its shape), `publish`,
  `estimates`, `trust`
- shown: `blocks`, `page` and ``template/``, `clean`, `live`, `chromium`, `extras`,
  and each room's own pieces: `abtest`, `heatmap`, `retention` (funnels too),
  `segments`, `tiers`
- kept: `store`, `history` (the index), `diff`, `sweep` (gc), `handover`
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from growth.readout.publish import publish  # at once: its file has its name

if TYPE_CHECKING:
    from growth.readout.batch import Batch, Entry, run_all
    from growth.readout.catalog import (
        AbtestParams,
        DatasetParams,
        HeatmapParams,
        RetentionParams,
        SegmentsParams,
        TiersParams,
    )
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
    "HeatmapParams",
    "Help",
    "Id",
    "Path",
    "Progress",
    "Readout",
    "RetentionParams",
    "RunOutcome",
    "Sample",
    "SegmentsParams",
    "Store",
    "TiersParams",
    "load",
    "publish",
    "readout",
    "run",
    "run_all",
    "sample_data",
]

_FILES = {
    "batch": ("Batch", "Entry", "run_all"),
    "catalog": (
        "AbtestParams",
        "DatasetParams",
        "HeatmapParams",
        "RetentionParams",
        "SegmentsParams",
        "TiersParams",
    ),
    "model": ("Readout", "load"),
    "params": ("Between", "EnvName", "Help", "Id", "Path", "Sample", "readout"),
    "runner": ("Progress", "RunOutcome", "run"),
    "samples": ("sample_data",),
    "store": ("Store",),
}
_HOME = {name: file for file, names in _FILES.items() for name in names}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
