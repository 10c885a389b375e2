"""What ``ps`` and ``/proc`` say of a forked process: who it is, which run it is of.

A process keeps the arguments and environment it was started with where the kernel
shows them, whatever it puts into `os.environ` later. A fork that starts no program
would go by its server's; who looks for what a dead run left behind (`supervise`)
would not find it. So it writes over them, as servers have long done.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SPACE", "put_up"]

SPACE: Final = {"GROWTH_SPACE": "." * 6000}  # in a server's environment: room to write
_FIRST: Final = ("GROWTH_RUN_ID", "GROWTH_RUN_DIR")
_FIELDS: Final = slice(45, 49)  # of /proc/self/stat behind the name: see proc(5)


def put_up(title: str, env: Mapping[str, str] | None = None) -> None:
    """Write who this process is where the system shows it; on Linux only.

    Parameters
    ----------
    title : str
        Instead of its command line.
    env : mapping of str to str, optional
        Its environment: which run it is of comes first, what does not fit is left
        out. What is shown stays as it is if omitted.
    """
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, ValueError, IndexError):
        told = Path("/proc/self/stat").read_text("ascii", "replace")
        fields = told.rpartition(") ")[2].split()[_FIELDS]
        args, args_end, variables, variables_end = map(int, fields)
        _write(args, args_end, [title[: max(0, (args_end - args) // 4 - 1)]])
        if env is None:
            return
        order = [n for n in _FIRST if n in env] + [n for n in env if n not in _FIRST]
        _write(variables, variables_end, [f"{name}={env[name]}" for name in order])


def _write(start: int, end: int, texts: list[str]) -> None:
    """Fill the memory from `start` to `end` with texts, each ended by a zero."""
    if not 0 < start < end:
        return
    data, room = b"", end - start
    for text in texts:
        item = os.fsencode(text) + b"\0"
        if len(data) + len(item) <= room:
            data += item
    ctypes.memmove(start, data.ljust(room, b"\0"), room)
