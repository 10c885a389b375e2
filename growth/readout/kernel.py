"""The kernel of a run: forked, where what it is made of is loaded already.

A kernel that is started imports for half a second what the process that runs the
notebook was forked with. So that process forks once more before it does anything
else, while it has one thread, one line and nothing of the readout: an understudy,
which waits, and becomes the kernel when nbclient wants one. It has run no cell; the
job, parameters included, lies in its memory unread. What a fresh process would have,
it has: session, environment, folder, signals, handles, a proper end.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading
import traceback
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from growth.readout.forkserver import Forked, keep_only, receive, send, settle
from growth.readout.supervise import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyter_client.manager import AsyncKernelManager

__all__ = ["Kernel", "Understudy", "manager", "preload"]

POLL: Final = 0.02  # seconds between two looks at a kernel that is ending
_PARTS: Final = (
    "ipykernel.kernelapp", "IPython.core.completerlib",
    "IPython.core.oinspect", "IPython.extensions.storemagic",
    "tornado.platform.asyncio",
)  # fmt: skip
_MODULE: Final = "ipykernel_launcher"
# what an interpreter, its C library or debugger reads once, when it starts
_AT_START: Final = (
    "PYTHON", "LD_", "LC_", "LANG", "MALLOC_", "GLIBC_", "PYDEVD_", "DEBUGPY_",
)  # fmt: skip
# what is read when it is used, and differs from run to run
_PER_RUN: Final = ("GROWTH_", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JPY_PARENT_PID")
_NOT_OURS: Final = "papermill"  # loaded without what it can do elsewhere


def preload() -> None:
    """Import what a kernel is made of, so that a fork of this process has it."""
    for name in _PARTS:
        import_module(name)


class Kernel(Forked):
    """A forked kernel, as `jupyter_client` holds one that it started itself."""

    stdin = stdout = stderr = None

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


class Understudy:
    """A fork of this process that waits to become a kernel.

    Parameters
    ----------
    born : mapping of str to str
        The environment that this process, or the server it was forked from, was
        started with.
    """

    def __init__(self, born: Mapping[str, str]) -> None:
        self.born = born
        self.line, theirs = socket.socketpair()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _wait(theirs, parent)
        theirs.close()

    @staticmethod
    def works() -> bool:
        """Return whether this process may fork, and has what a kernel is made of."""
        loaded = _PARTS[0] in sys.modules
        alone = threading.active_count() == 1
        return sys.platform.startswith("linux") and loaded and alone

    def take(
        self, command: Sequence[str], env: Mapping[str, str], cwd: str | None
    ) -> Kernel | None:
        """Let it become the kernel that a command would start.

        Parameters
        ----------
        command : sequence of str
            From the kernel's specification.
        env : mapping of str to str
            The kernel's whole environment.
        cwd : str or None
            Its folder; this process's if None.

        Returns
        -------
        Kernel or None
            None if only a program that is started would be what was asked for, or
            it is taken already.
        """
        ours = list(command[:3]) == [sys.executable, "-m", _MODULE]
        if self.line.fileno() < 0 or not ours or not self.fits(env):
            return None
        request = {
            "arguments": list(command[3:]), "cwd": cwd or os.getcwd(),
            "env": {**env, "JPY_PARENT_PID": str(os.getpid())},
        }  # fmt: skip
        try:
            send(self.line, request)
        except OSError:
            return None
        finally:
            self.line.close()
        return Kernel(self.pid)

    def fits(self, env: Mapping[str, str]) -> bool:
        """Return whether a kernel started in `env` would find what ours has found.

        Parameters
        ----------
        env : mapping of str to str
            What it would be started with.

        Returns
        -------
        bool
            Whether all we were born with is as it was, and nothing was added that is
            read when an interpreter starts.
        """
        return all(
            env.get(name) == self.born.get(name) or name.startswith(_PER_RUN)
            for name in {*env, *self.born}
            if name in self.born or name.startswith(_AT_START)
        )

    def dismiss(self) -> None:
        """Let it end, if it is still waiting."""
        if self.line.fileno() >= 0:
            self.line.close()
            Forked(self.pid).wait()


def manager(understudy: Understudy) -> type[AsyncKernelManager]:
    """Return what nbclient starts kernels with: the first is the understudy.

    Parameters
    ----------
    understudy : Understudy
        Waiting.

    Returns
    -------
    type
        Of `jupyter_client`, but for how a kernel is launched, and how often it is
        looked at while it ends.
    """
    from jupyter_client.manager import AsyncKernelManager
    from jupyter_client.provisioning.local_provisioner import LocalProvisioner

    class Manager(AsyncKernelManager):
        async def _async_launch_kernel(
            self,
            kernel_cmd: list[str],
            **kw: Any,  # noqa: ANN401
        ) -> None:
            local = self.provisioner
            kernel = None
            if type(local) is LocalProvisioner and kw.keys() <= {"env", "cwd"}:
                kernel = understudy.take(kernel_cmd, kw["env"], kw.get("cwd"))
            if kernel is None:
                await super()._async_launch_kernel(kernel_cmd, **kw)
                return
            local = cast("LocalProvisioner", local)
            local.process = kernel  # type: ignore[assignment]  # as a Popen in use
            local.pid = local.pgid = kernel.pid
            local.cwd = kw.get("cwd") or os.getcwd()
            self._reconcile_connection_info(local.connection_info)

        async def _async_finish_shutdown(
            self,
            waittime: float | None = None,
            pollinterval: float = POLL,
            restart: bool = False,  # noqa: FBT001, FBT002  (as it is called)
        ) -> None:
            await super()._async_finish_shutdown(waittime, pollinterval, restart)

    return Manager


def _wait(line: socket.socket, parent: int) -> NoReturn:
    """Wait for what kernel to become, and become it."""
    code = 1
    try:
        os.setsid()
        die_with_parent(signal.SIGKILL)
        keep_only(line.fileno())
        request, _ = receive(line)
        if request is None or os.getppid() != parent:
            os._exit(0)
        line.close()
        settle("growth kernel", request["env"], request["cwd"])
        _play(request["arguments"])
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(bool(error.code))
    except BaseException:  # noqa: BLE001  (the last frame of a process)
        traceback.print_exc()
    finally:
        # what a started process ends with: threads awaited, atexit, files flushed
        with contextlib.suppress(BaseException):
            ctypes.pythonapi.Py_Exit(code)
        os._exit(code)


def _play(arguments: Sequence[str]) -> None:
    """Be ``python -m ipykernel_launcher`` from here on."""
    from ipykernel.kernelapp import launch_new_instance

    module = find_spec(_MODULE)
    sys.argv = [str(module and module.origin), *arguments]

    for name in tuple(sys.modules):
        if name.partition(".")[0] == _NOT_OURS:
            del sys.modules[name]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # it reads its parent's number when it is imported
    launch_new_instance(parent_handle=os.getppid())
