"""What a run may leave beside its static page: a live page, a PDF, a picture."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, Literal

from growth.readout.store import enter, write_file

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

__all__ = ["FILES", "Extra", "make", "require"]

Extra = Literal["interactive", "pdf", "png"]

PAGE: Final = "readout.html"
FILES: Final[dict[Extra, str]] = {
    "interactive": "readout.interactive.html",
    "pdf": "readout.pdf",
    "png": "readout.png",
}


def require(wanted: Collection[Extra]) -> None:
    """Refuse what this machine cannot make, before anything is run.

    Parameters
    ----------
    wanted : collection of {"interactive", "pdf", "png"}
        What will be asked for.

    Raises
    ------
    ParameterError
        If one of them needs Chromium and there is none (code
        ``chromium_missing``).
    """
    if {"pdf", "png"} & {*wanted}:
        from growth.readout.chromium import find

        find()


def make(folder: Path, wanted: Collection[Extra]) -> tuple[Path, ...]:
    """Make further forms of a run's page, from its files alone.

    Parameters
    ----------
    folder : Path
        The run's folder, or its staging: a page, and for a live one the document
        that names the charts.
    wanted : collection of {"interactive", "pdf", "png"}
        What to make. What is there already is left. What is made of a run that is
        kept is entered in its manifest.

    Returns
    -------
    tuple of Path
        The files, in the order above.

    Raises
    ------
    DataError, ParameterError, StoreError
        If one cannot be made; see `live.render_live` and `chromium.drawn`.
    """
    made = []
    for kind, name in FILES.items():
        if kind not in wanted:
            continue
        path = folder / name
        if not path.exists():
            write_file(path, _content(folder, kind))
        made.append(path)
    enter(folder, made)
    return tuple(made)


def _content(folder: Path, kind: Extra) -> str | bytes:
    if kind == "interactive":
        from growth.readout.live import render_live
        from growth.readout.model import read_document

        document = read_document(folder)
        charts = [
            (json.loads(_text(folder, chart["spec"])), _text(folder, chart["svg"]))
            for chart in document["charts"]
        ]
        return render_live(_text(folder, PAGE), charts)
    from growth.readout.chromium import drawn

    return drawn(folder / PAGE, kind)


def _text(folder: Path, name: str) -> str:
    return (folder / name).read_text("utf-8")
