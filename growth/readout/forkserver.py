"""Fresh children from a process that has imported what they need: a fork, no start.

The server is a process of its own, begun before any lock is taken, so no child
inherits one. It forks twice and the process between ends at once: the child's
parent is then whoever asked, who can wait for it, signal it and be mourned by it.
That takes a subreaper, so it works on Linux; elsewhere children are started.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, Final

from growth.readout import nameplate
from growth.readout.supervise import as_if_started, settle_child

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    Target = Callable[[Mapping[str, Any], int], int | None]

__all__ = [
    "Forked",
    "Forkserver",
    "birth",
    "keep_only",
    "python",
    "receive",
    "send",
    "serve",
    "settle",
]

_HEAD: Final = struct.Struct("!Q")


class Forked:
    """A child that a server forked for us: as `subprocess.Popen`, in small."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return how it ended, as `subprocess` says it; None while it runs."""
        return self._reap(os.WNOHANG)

    def wait(self) -> int:
        """Wait for its end; return how it ended."""
        code = self._reap(0)
        return -1 if code is None else code

    def _reap(self, options: int) -> int | None:
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, options)
            except ChildProcessError:  # somebody else waited for it
                pid, status = self.pid, 1 << 8
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class Forkserver:
    """A process that forks children on request, until it is closed.

    Parameters
    ----------
    argv : sequence of str
        The command that ends in `serve`; it gets its socket's number as one more
        argument.
    env : mapping of str to str
        Its whole environment.
    here : mapping of str to callable, optional
        In a process that a server forked: the targets, all imported already. The
        new server is then a fork of this process, at once.
    """

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        here: Mapping[str, Target] | None = None,
    ) -> None:
        self.socket, theirs = socket.socketpair()
        with theirs:
            if here is not None and threading.active_count() == 1:
                self.process: Forked | subprocess.Popen[bytes] = _forked(theirs, here)
                return
            try:
                self.process = subprocess.Popen(
                    [*argv, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    env=dict(env) | nameplate.SPACE,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            except OSError:
                self.socket.close()
                raise

    @staticmethod
    def works() -> bool:
        """Return whether this system lets a process adopt a forked child."""
        return sys.platform.startswith("linux")

    def fork(
        self,
        target: str,
        job: Mapping[str, Any],
        *,
        env: Mapping[str, str],
        pipe: int,
        log: int | None = None,
        until: Callable[[], bool] | None = None,
    ) -> Forked | None:
        """Return a fresh child that does a job; we must be a subreaper.

        Parameters
        ----------
        target : str
            Which of the server's targets it runs.
        job : mapping
            What it is to do: plain values.
        env : mapping of str to str
            Its whole environment.
        pipe : int
            An open handle it may write to.
        log : int, optional
            Where its stdout and stderr go; the server's if omitted.
        until : callable, optional
            Asked five times a second; if true the server is ended instead.

        Returns
        -------
        Forked or None
            None if the server is gone.
        """
        request = {
            "target": target, "job": dict(job), "env": dict(env), "cwd": os.getcwd(),
            "parent": os.getpid(), "log": log is not None,
        }  # fmt: skip
        handles = [pipe] if log is None else [pipe, log]
        try:
            send(self.socket, request, handles)
            while not select.select([self.socket], [], [], 0.2)[0]:
                if until is not None and until():
                    self.process.kill()
                    self.process.wait()
            told = _read(self.socket, _HEAD.size)
        except OSError:
            return None
        return Forked(_HEAD.unpack(told)[0]) if told else None

    def close(self) -> None:
        """End the server; children it forked are not touched."""
        self.socket.close()
        self.process.kill()  # it holds nothing, and may still be importing
        self.process.wait()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def python(code: str) -> list[str]:
    """Return the command that runs some code, and imports nothing from its folder.

    Not by ``-P``, which would hold for every fork: a kernel does look there.
    """
    first = "import sys; sys.path[:1] == [''] and sys.path.pop(0)"
    return [sys.executable, "-c", f"{first}; {code}"]


def birth() -> dict[str, str]:
    """Return what a server was started with; for its forks, so say it at once."""
    for name in nameplate.SPACE:
        os.environ.pop(name, None)
    return dict(os.environ)


def serve(handle: int, targets: Mapping[str, Target]) -> None:
    """Fork children as asked on a socket until its other end is closed.

    Parameters
    ----------
    handle : int
        The socket's number.
    targets : mapping of str to callable
        What a child may run: called with its job and the handle of its pipe.
    """
    nameplate.put_up("growth server")
    # what is here now is never freed: children share its pages
    gc.collect()
    gc.freeze()
    os.dup2(2, 1)  # our stdout is somebody's result
    with socket.socket(fileno=handle) as line:
        while True:
            try:
                request, handles = receive(line)
            except OSError:
                return
            if request is None:
                return
            reader, writer = os.pipe()
            between = os.fork()
            if between == 0:
                os.close(reader)
                _fork_again(line, writer, request, handles, targets)
            for each in (*handles, writer):
                os.close(each)
            told = os.read(reader, _HEAD.size)
            os.close(reader)
            os.waitpid(between, 0)  # from now on the child is theirs
            line.sendall(told)


def _fork_again(
    line: socket.socket,
    writer: int,
    request: Mapping[str, Any],
    handles: Sequence[int],
    targets: Mapping[str, Target],
) -> None:
    """Be the process between: fork the child, tell its number, end."""
    between = os.getpid()
    pid = os.fork()
    if pid:
        os.write(writer, _HEAD.pack(pid))
        os._exit(0)
    code = 1
    try:
        line.close()
        os.close(writer)
        code = _become(request, handles, targets, between)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001  (the last frame of a process)
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)


def _become(
    request: Mapping[str, Any],
    handles: Sequence[int],
    targets: Mapping[str, Target],
    between: int,
) -> int:
    """Become the child that was asked for, and do its job."""
    os.setsid()
    if request["log"]:
        os.dup2(handles[1], 1)
        os.dup2(handles[1], 2)
        os.close(handles[1])
    settle(f"growth {request['target']}", request["env"], request["cwd"])
    while os.getppid() == between:
        time.sleep(0.0005)
    settle_child()
    if os.getppid() != request["parent"]:  # who asked is gone
        return 1
    return targets[request["target"]](request["job"], handles[0]) or 0


def _forked(theirs: socket.socket, targets: Mapping[str, Target]) -> Forked:
    """Fork a server off this process, which has imported everything already."""
    pid = os.fork()
    if pid:
        return Forked(pid)
    try:
        as_if_started()
        handle = theirs.detach()
        keep_only(handle)
        serve(handle, targets)
    finally:
        os._exit(0)


def send(
    line: socket.socket, request: Mapping[str, Any], handles: Sequence[int] = ()
) -> None:
    """Send a request of plain values, and open handles with it, over a socket."""
    body = json.dumps(request).encode()
    head = _HEAD.pack(len(body))
    if handles:
        socket.send_fds(line, [head], handles)
    else:
        line.sendall(head)
    line.sendall(body)


def receive(line: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """Return what was sent, and its handles; None if the other end is closed."""
    head, handles, *_ = socket.recv_fds(line, _HEAD.size, 2)
    if len(head) < _HEAD.size:
        return None, handles
    body = _read(line, _HEAD.unpack(head)[0])
    return json.loads(body) if body else None, handles


def keep_only(handle: int) -> None:
    """Close every handle of this process but the standard ones and this."""
    for held in [int(name) for name in os.listdir("/proc/self/fd")]:
        if held > 2 and held != handle:
            with contextlib.suppress(OSError):
                os.close(held)


def settle(title: str, env: Mapping[str, str], cwd: str) -> None:
    """Be in an environment and a folder as if started there; say so in ``/proc``."""
    os.environ.clear()
    os.environ.update(env)
    nameplate.put_up(title, env)
    time.tzset()
    tempfile.tempdir = None  # it was looked up in the old environment
    os.chdir(cwd)


def _read(line: socket.socket, size: int) -> bytes:
    """Return exactly so many bytes; none if the other end is closed before."""
    data = b""
    while len(data) < size:
        part = line.recv(size - len(data))
        if not part:
            return b""
        data += part
    return data
