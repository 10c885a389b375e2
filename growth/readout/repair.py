"""The executed notebook, told as it was: papermill's own account is not believed.

After a time-out, a dead kernel or an interrupt papermill marks every cell
``completed`` and the notebook free of exceptions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["Redactor", "Told", "read", "repair"]

BANNER: Final = "run-status"
_MARKERS: Final = frozenset({BANNER, "papermill-error-cell-tag"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an executed notebook says of its run.

    Parameters
    ----------
    whole : bool
        Whether its file could be read.
    unrun : int
        Code cells that never ran.
    error : str
        The first error output's name and message; empty if there is none.
    traceback : str
        That error's traceback.
    cells : tuple of mapping
        ``cell`` (1 is the first code cell), ``status`` and ``seconds`` of each.
    """

    whole: bool
    unrun: int
    error: str = ""
    traceback: str = ""
    cells: tuple[Mapping[str, Any], ...] = ()


def read(path: Path) -> Told:
    """Return what the executed notebook at `path` says.

    Parameters
    ----------
    path : Path
        The notebook; it may be missing or torn.

    Returns
    -------
    Told
        A cell counts as run if the kernel answered it.
    """
    notebook = _load(path)
    if notebook is None:
        return Told(whole=False, unrun=0)
    unrun, error, traceback, cells = 0, "", "", []
    for number, cell in enumerate(_code(notebook), 1):
        state = _state(cell)
        unrun += cell.get("execution_count") is None
        for output in cell.get("outputs", ()):
            if output.get("output_type") == "error" and not error:
                error = f"{output.get('ename', '')}: {output.get('evalue', '')}"
                traceback = "\n".join(output.get("traceback", ()))
        status, seconds = state.get("status"), state.get("duration")
        cells.append({"cell": number, "status": status, "seconds": seconds})
    return Told(
        whole=True,
        unrun=unrun,
        error=error,
        traceback=traceback,
        cells=tuple(cells),
    )


def repair(path: Path, *, source: Path, status: str, words: str, log: str) -> None:
    """Correct the executed notebook at `path`, in place.

    Parameters
    ----------
    path : Path
        The notebook; a missing or torn one is made again from `source`.
    source : Path
        The notebook that was run.
    status : str
        How the run ended.
    words : str
        The same in words, for the banner on top of a run that did not succeed.
    log : str
        The run's log, shown below the banner where the notebook had to be made
        again.
    """
    notebook = _load(path)
    torn = notebook is None
    if notebook is None:
        notebook = _load(source) or {"cells": [], "metadata": {}, "nbformat": 4}
        notebook.setdefault("nbformat_minor", 5)
    cells = [
        cell
        for cell in notebook["cells"]
        if not _MARKERS & set(cell.get("metadata", {}).get("tags", ()))
    ]
    notebook["cells"] = cells
    _states(notebook, status)
    meta = notebook.setdefault("metadata", {}).setdefault("papermill", {})
    meta["input_path"], meta["output_path"] = source.name, path.name
    meta["exception"] = None if status == "succeeded" else True
    if status != "succeeded":
        text = f"**{words}**"
        if torn and log.strip():
            fenced = log.replace("```", "'''")
            text += f"\n\n```\n{fenced}\n```"
        cells.insert(0, _banner(text, notebook))
    path.write_text(json.dumps(notebook, ensure_ascii=False, indent=1), "utf-8")


def _states(notebook: Mapping[str, Any], status: str) -> None:
    """Set each code cell's state to what it was."""
    last = None
    for cell in _code(notebook):
        state = cell.setdefault("metadata", {}).setdefault("papermill", {})
        if cell.get("execution_count") is None and not state.get("start_time"):
            state |= {"status": "not_run", "exception": None}
            state |= {"start_time": None, "end_time": None, "duration": None}
        else:
            last = state
            raised = any(o["output_type"] == "error" for o in cell.get("outputs", ()))
            state |= {"status": "failed" if raised else "completed"}
            state["exception"] = raised
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            cell.get("metadata", {}).pop("papermill", None)
    if last is not None and status not in {"succeeded", "invalid_result"}:
        last |= {"status": status, "exception": True}


def _banner(text: str, notebook: Mapping[str, Any]) -> dict[str, Any]:
    cell: dict[str, Any] = {
        "cell_type": "markdown",
        "metadata": {"tags": [BANNER]},
        "source": text,
    }
    if (notebook.get("nbformat", 4), notebook.get("nbformat_minor", 5)) >= (4, 5):
        cell["id"] = BANNER
    return cell


def _load(path: Path) -> dict[str, Any] | None:
    try:
        notebook = json.loads(path.read_bytes())
        cells = notebook["cells"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(notebook) if isinstance(cells, list) else None


def _code(notebook: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each cell that a kernel would run."""
    for cell in notebook["cells"]:
        source = cell.get("source", "")
        source = source if isinstance(source, str) else "".join(source)
        if cell.get("cell_type") == "code" and source.strip():
            yield cell


def _state(cell: Mapping[str, Any]) -> Mapping[str, Any]:
    state = cell.get("metadata", {}).get("papermill", {})
    return state if isinstance(state, dict) else {}


class Redactor:
    """Takes secrets out of texts and of every text file of a folder."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        forms = {
            form
            for secret in secrets
            for form in (
                secret,
                json.dumps(secret)[1:-1],
                json.dumps(secret, ensure_ascii=False)[1:-1],
                escape(secret),
            )
        }
        self.forms = sorted(forms, key=len, reverse=True)

    def text(self, text: str) -> str:
        """Return `text` with stars for each secret."""
        for form in self.forms:
            text = text.replace(form, "***")
        return text

    def folder(self, folder: Path) -> None:
        """Put stars for each secret in every file below `folder`."""
        if not self.forms:
            return
        for path in (p for p in folder.rglob("*") if p.is_file()):
            data = path.read_bytes()
            clean = data
            for form in self.forms:
                clean = clean.replace(form.encode(), b"***")
            if clean != data:
                path.write_bytes(clean)
