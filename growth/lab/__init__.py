"""JupyterLab on the notebooks of this package, asking the network for nothing.

`command` and `environment` say how it is started; `growth lab` starts it.
"""

from __future__ import annotations

import os
import shutil
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from growth.errors import ParameterError, StoreError
from growth.readout.catalog import notebook
from growth.readout.places import WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["command", "environment", "workspace"]

FIRST: Final = "guides/01_first_steps.ipynb"
COPY: Final = "growth-notebooks"


def command(
    folder: str | os.PathLike[str],
    *,
    browser: bool = True,
    port: int | None = None,
    more: Sequence[str] = (),
) -> list[str]:
    """Return the command that starts JupyterLab on a folder.

    Parameters
    ----------
    folder : path
        What it shows; see `workspace`.
    browser : bool, default True
        Whether a browser is opened.
    port : int, optional
        Where it listens on this machine; the next free one from 8888 if omitted.
    more : sequence of str, optional
        Further options of ``jupyter lab``; they win.

    Returns
    -------
    list of str
        To be run in `environment`.

    Raises
    ------
    ParameterError
        If JupyterLab is not installed (code ``lab_missing``).
    """
    if find_spec("jupyterlab") is None:
        msg = "JupyterLab is not installed; it must be, to open the notebooks; in a"
        msg = f"{msg} checkout: pip install '.[notebooks]'."
        raise ParameterError(msg, code="lab_missing")
    first = f"/tree/{FIRST}" if (Path(folder) / FIRST).is_file() else ""
    return [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={Path(folder).absolute()}",
        f"--LabApp.default_url=/lab{first}",
        *([] if browser else ["--no-browser"]),
        *([] if port is None else [f"--port={port}"]),
        *more,
    ]


def environment() -> dict[str, str]:
    """Return the environment JupyterLab is started in.

    Returns
    -------
    dict of str to str
        Ours; with the settings that keep it from asking for news, updates and
        extensions, and with where relative paths of data are looked for.
    """
    env = {k: v for k, v in os.environ.items() if not k.startswith("GROWTH_RUN_")}
    env[WORKSPACE] = os.getcwd()
    settings = str(files("growth.lab").joinpath("config"))
    held = env.get("JUPYTER_CONFIG_PATH", "").split(os.pathsep)
    env["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, [settings, *held]))
    home = Path(__file__).resolve().parent.parent.parent
    if (home / "pyproject.toml").is_file():
        held = env.get("PYTHONPATH", "").split(os.pathsep)
        if str(home) not in held:
            env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(home), *held]))
    return env


def workspace(folder: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of notebooks to open.

    Parameters
    ----------
    folder : path, optional
        One's own folder. Omitted: the checkout's ``notebooks``; of an installed
        package a copy, ``growth-notebooks`` in the current folder, in which
        nothing that is there already is overwritten.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    ParameterError
        If `folder` is no folder (code ``no_such_path``).
    StoreError
        If the copy cannot be written.
    """
    if folder is not None:
        if not Path(folder).is_dir():
            msg = f"{os.fspath(folder)!r} is no folder; it must be one with notebooks;"
            raise ParameterError(
                f"{msg} make it, or leave it out.", code="no_such_path"
            )
        return Path(folder)
    ours = notebook("abtest_readout").parent
    if "_data" not in ours.parts:
        return ours
    copy = Path.cwd() / COPY
    try:
        for path in sorted(ours.rglob("*.ipynb")):
            target = copy / path.relative_to(ours)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
    except OSError as error:
        msg = f"{copy} cannot be written ({error.strerror or error}); it must be, to"
        msg = f"{msg} hold your notebooks; go to a folder of your own."
        raise StoreError(msg) from error
    return copy
