"""A run's short-lived folder: its sockets, its kernel's profile, nothing to keep."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from typing import Final

__all__ = ["scratch", "sockets_work"]

LONGEST: Final = 60  # of about 104 a system allows; the kernel adds its id


def scratch(run_id: str) -> Path:
    """Return a run's short-lived folder: its path leaves room for a socket's name."""
    name, default = f"growth-{run_id}", tempfile.gettempdir()
    short = len(default) + 1 + len(name) <= LONGEST
    return Path(default if short or not os.access("/tmp", os.W_OK) else "/tmp", name)


def sockets_work(folder: Path) -> bool:
    """Return whether the kernel can be talked to by files instead of TCP ports."""
    if not hasattr(socket, "AF_UNIX") or len(str(folder)) > LONGEST:
        return False
    probe = folder / "probe"
    try:
        with socket.socket(socket.AF_UNIX) as plug:
            plug.bind(str(probe))
    except OSError:
        return False
    probe.unlink(missing_ok=True)
    return True
