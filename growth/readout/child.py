"""The process that runs a notebook: the only place where papermill is imported.

It is forked from a server that has imported what it takes, or started anew; it tells
on a pipe how far it is and how it ended, and believes nothing more of itself.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import time
import traceback
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from growth.readout import kernel, repair
from growth.readout.forkserver import birth, serve
from growth.readout.sparing import spared
from growth.readout.supervise import (
    as_if_started,
    end_children,
    settle_child,
    teller,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

__all__ = ["COMMAND", "SERVER", "child", "environment", "preload", "server", "spawned"]

COMMAND: Final = "from growth.readout.child import spawned; spawned()"
SERVER: Final = "from growth.readout.child import server; server()"
MAX_LINE: Final = 500  # of the log
# what the disk, not the notebook, is to blame for
_DISK: Final = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO}


def environment() -> dict[str, str]:
    """Return our environment, and what makes runs alike.

    Returns
    -------
    dict of str to str
        What every process of a run is started with.
    """
    env = dict(os.environ) | {
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "PYTHONUNBUFFERED": "1",
    }
    env.setdefault("PYTHONHASHSEED", "0")
    env.pop("JPY_SESSION_NAME", None)  # a run begun in JupyterLab is none of its
    home = Path(__file__).resolve().parent.parent.parent
    if (home / "pyproject.toml").exists():
        held = [part for part in env.get("PYTHONPATH", "").split(os.pathsep) if part]
        if str(home) not in held:
            env["PYTHONPATH"] = os.pathsep.join([str(home), *held])
    return env


class _Stopped(KeyboardInterrupt):
    """A signal, raised in the main thread; asyncio lets only its kind through."""


def preload() -> None:
    """Import what a run takes, so that a fork of this process has it."""
    kernel.preload()
    # a kernel's filters are its own libraries', not ours
    with warnings.catch_warnings(), spared("pyarrow"):
        import nbformat
        import papermill  # noqa: F401
        import psutil  # noqa: F401
    # it compiles the schema of a version when it first meets it
    nbformat.validate(nbformat.v4.new_notebook())  # type: ignore[no-untyped-call]


def server() -> None:
    """Import what a run takes, then fork children on the socket named last."""
    start = birth()
    preload()
    serve(int(sys.argv[-1]), {"child": partial(child, born=start)})


def spawned() -> None:
    """Do the job on stdin, where nothing was forked; see `child`."""
    sys.exit(child(json.loads(sys.stdin.buffer.read()), int(sys.argv[-1])))


def child(
    job: Mapping[str, Any], pipe: int, *, born: Mapping[str, str] | None = None
) -> int:
    """Run a notebook, and tell on a pipe how it went.

    Parameters
    ----------
    job : mapping
        Notebook, parameters, seconds left; see `run`.
    pipe : int
        The handle of the pipe.
    born : mapping of str to str, optional
        What the server that this process was forked from was started with; the
        kernel is then a fork too.

    Returns
    -------
    int
        0; whatever happens to the notebook is told, not exited with.
    """
    understudy = None
    if born is not None and kernel.Understudy.works():
        understudy = kernel.Understudy(born)  # first of all: it has what is here now

    def stop(number: int, _frame: FrameType | None) -> None:
        as_if_started()  # a second one kills
        raise _Stopped(number)

    tell = teller(pipe)
    for name in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(name, stop)
    try:
        settle_child()
        kind, message = _execute(job, tell, understudy)
    except _Stopped as error:
        kind, message = "stopped", f"signal {error}"
    tell(event="end", kind=kind, message=message)
    if understudy is not None:
        understudy.dismiss()
    end_children()
    return 0


def _execute(
    job: Mapping[str, Any],
    tell: Callable[..., None],
    understudy: kernel.Understudy | None,
) -> tuple[str, str]:
    """Run the notebook by papermill; return how it ended, by a word."""
    deadline = time.monotonic() + float(job["left"])
    cells = json.loads(Path(job["notebook"]).read_bytes())["cells"]
    code = [
        c for c in cells if c["cell_type"] == "code" and "".join(c["source"]).strip()
    ]
    total, done = len(code) + 1, 0  # and the cell papermill injects

    def left() -> float:
        return deadline - time.monotonic()

    def ran(**_: object) -> None:
        nonlocal done
        done += 1
        tell(event="cell", done=done, total=total)

    tell(event="start", done=0, total=total)
    preload()
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    _log_to_stdout([os.environ.get(str(job["parameters"][n])) for n in job["secrets"]])
    manager: dict[str, object] = {"shutdown_wait_time": 1.0}
    if job["ipc"]:
        # without a name of its own it is kernel-ipc-1, in the current folder
        manager |= {"transport": "ipc", "ip": job["ipc"]}
        manager["connection_file"] = f"{job['ipc']}.json"
    more = {}
    if understudy is not None:
        more["kernel_manager_class"] = kernel.manager(understudy)
    try:
        papermill.execute_notebook(
            # papermill takes braces in paths for parameters
            job["notebook"].replace("{", "{{").replace("}", "}}"),
            job["executed"].replace("{", "{{").replace("}", "}}"),
            parameters=job["parameters"],
            kernel_name="python3",
            language="python",
            progress_bar=False,
            log_output=True,
            start_timeout=max(1, int(min(60.0, left()))),
            timeout_func=lambda _cell: max(1, int(left())),
            on_cell_executed=ran,
            config=Config({"KernelManager": manager}),
            **more,
        )
    except PapermillExecutionError as error:
        return "cell", f"{error.ename}: {error.evalue}"
    except CellTimeoutError as error:
        return "timeout", str(error)
    except DeadKernelError as error:
        return "dead", str(error)
    except RuntimeError as error:
        # nbclient's words for a kernel that never answered
        if str(error).startswith("Kernel d"):
            return "timeout" if left() <= 1 else "dead", str(error)
        return _crashed(error)
    except Exception as error:  # noqa: BLE001  (told to the supervisor)
        return _crashed(error)
    return "ok", ""


def _crashed(error: Exception) -> tuple[str, str]:
    if isinstance(error, OSError) and error.errno in _DISK:
        return "disk", str(error)
    traceback.print_exception(error)
    return "other", f"{type(error).__name__}: {error}"


def _log_to_stdout(secrets: list[str | None]) -> None:
    """Send papermill's log, the cells' output in it, to this process's stdout."""
    import logging

    redact = repair.Redactor(tuple(s for s in secrets if s))

    class Plain(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            lines = redact.text(super().format(record)).rstrip("\n").split("\n")
            # a display is logged as its repr, on one line; the notebook has it all
            return "\n".join(
                line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}…"
                for line in lines
            )

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(Plain("%(asctime)s %(message)s"))
    logger = logging.getLogger("papermill")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
