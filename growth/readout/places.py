"""Where things lie: notebooks, and relative paths that a notebook's kernel is given."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from growth.errors import ParameterError

__all__ = ["WORKSPACE", "homes", "located", "notebook_file"]

# how `growth lab` tells a kernel where it was started
WORKSPACE: Final = "GROWTH_WORKSPACE"


def located(location: str) -> str:
    """Return a location as this process can open it.

    Parameters
    ----------
    location : str
        A path, a glob, ``file.duckdb::table`` or a URL.

    Returns
    -------
    str
        As given, except that a relative path which is not under the current
        folder, but is where `growth lab` was started, or beside the checkout's
        ``notebooks/``, is found there: JupyterLab runs a notebook in its own
        folder.
    """
    if "://" in location or Path(location).is_absolute():
        return location
    first = Path(location).parts[:1]
    here = Path(*first) if first else Path()
    if not here.exists():
        for root in homes():
            if (root / here).exists():
                return str(root / location)
    return location


def homes() -> tuple[Path, ...]:
    """Return where relative paths count from besides the current folder.

    Returns
    -------
    tuple of pathlib.Path
        Where `growth lab` was started, and the checkout, as far as there is one.
    """
    started = os.environ.get(WORKSPACE)
    root = _package().parent
    found = [Path(started)] if started else []
    return (*found, root) if (root / "notebooks").is_dir() else tuple(found)


def notebook_file(name: str) -> Path:
    """Return where the notebook of a readout lies.

    Parameters
    ----------
    name : str
        The readout's name.

    Returns
    -------
    pathlib.Path
        In the checkout's ``notebooks/``, else in the installed package.

    Raises
    ------
    ParameterError
        If it is in neither place (code ``notebook_missing``).
    """
    package = _package()
    folders = (package.parent / "notebooks", package / "_data" / "notebooks")
    file = f"{name}.ipynb"
    for folder in folders:
        if (folder / file).is_file():
            return folder / file
    msg = f"the notebook {file} is missing; it must lie in one of"
    msg = f"{msg} {[str(folder) for folder in folders]}; install growth again."
    raise ParameterError(msg, code="notebook_missing")


def _package() -> Path:
    return Path(__file__).resolve().parent.parent
