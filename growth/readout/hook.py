"""The command somebody wants called when a run is over, or was refused."""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
from typing import TYPE_CHECKING, Any, Final

from growth.errors import DataError, ParameterError
from growth.readout.store import MANIFEST, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from growth.readout.verdict import Status

__all__ = ["call", "refusals", "told_of"]

PATIENCE: Final = 60.0  # seconds a hook may take
USAGE: Final = 2  # what a run exits with that was refused for its parameters


def told_of(
    known: Mapping[str, Any],
    *,
    status: Status,
    exit_code: int,
    reason: str,
    path: Path | None,
) -> dict[str, Any]:
    """Return what a hook is told of a run: its manifest, else what is known.

    Parameters
    ----------
    known : mapping
        ``readout``, ``subject``, ``as_of``, ``run_id``.
    status : str
        How the run ended.
    exit_code : int
        What the command exits with.
    reason : str
        Why, in one line.
    path : Path or None
        The run's folder, if there is one.

    Returns
    -------
    dict
        Plain values.
    """
    told: dict[str, Any] = {}
    if path is not None:
        with contextlib.suppress(OSError, ValueError):
            told = json.loads((path / MANIFEST).read_bytes())
    told = told or dict(known)
    told |= {"status": status, "exit_code": exit_code, "reason": reason}
    return told | {"path": str(path or "")}


@contextlib.contextmanager
def refusals(command: str | None, readout: str) -> Iterator[None]:
    """Tell a hook of a run that is refused before it begins; then raise as before.

    Parameters
    ----------
    command : str or None
        The hook; None is none.
    readout : str
        What was to be run.
    """
    try:
        yield
    except (ParameterError, DataError) as error:
        if command:
            faults = [fault._asdict() for fault in getattr(error, "faults", ())]
            told = told_of(
                {"run_id": "", "readout": readout, "faults": faults},
                status="refused",
                exit_code=USAGE,
                reason=" ".join(str(error).split()),
                path=None,
            )
            for remark in call(command, told):
                error.add_note(remark)
        raise


def call(command: str, told: Mapping[str, Any]) -> tuple[str, ...]:
    """Give a command what is to be told, on its stdin.

    Parameters
    ----------
    command : str
        A program and its arguments; no shell reads it.
    told : mapping
        Plain values.

    Returns
    -------
    tuple of str
        What went wrong with it: nothing that changes how the run ended.
    """
    try:
        ended = subprocess.run(
            shlex.split(command),
            input=to_json(told).encode(),
            stdout=2,  # stdout is the caller's
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return (f"the hook {command!r} failed: {error}",)
    if ended.returncode:
        return (f"the hook {command!r} ended with {ended.returncode}",)
    return ()
