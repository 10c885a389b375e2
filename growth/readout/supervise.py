"""One child process, watched to its end: it and all it started are gone after.

The supervisor owns the truth about a run: what it was told (signals), what it
saw (exit, silence) and what the child said over a pipe. It knows nothing of
notebooks.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Collection,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )
    from pathlib import Path
    from typing import IO

    import psutil

    from growth.readout.forkserver import Forked, Forkserver

__all__ = [
    "Ended",
    "Signals",
    "adopt_orphans",
    "as_if_started",
    "children",
    "die_with_parent",
    "end_children",
    "end_run",
    "end_strangers",
    "run_processes",
    "settle_child",
    "started",
    "supervise",
    "teller",
]

CHILD: Final = "growth child"  # what runs the notebook, by its name in ``ps``
GRACE: Final = 5.0  # seconds from asking to insisting, and from that to killing
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_GET_CHILD_SUBREAPER: Final = 37


@dataclass(slots=True)
class Signals:
    """The signals this process was sent while it ran something."""

    seen: list[int] = field(default_factory=list)

    @contextlib.contextmanager
    def caught(self) -> Iterator[Signals]:
        """Collect SIGTERM, SIGHUP and SIGINT instead of dying of them.

        Only the main thread may; elsewhere nothing is caught.
        """
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        names = ("SIGTERM", "SIGHUP", "SIGINT")
        watched = [getattr(signal, name) for name in names if hasattr(signal, name)]
        before = {number: signal.getsignal(number) for number in watched}
        for number in watched:
            # ignored from outside (nohup) stays ignored
            if before[number] is not signal.SIG_IGN:
                signal.signal(number, lambda got, _frame: self.seen.append(got))
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a child ended.

    Parameters
    ----------
    returncode : int
        As `subprocess` gives it: negative for a signal.
    words : mapping
        The last event the child sent of kind ``end``; empty if it sent none.
    stopped_by : int or None
        The signal this process was sent, if that is why.
    overtime : bool
        Whether the child had to be ended for its deadline.
    """

    returncode: int
    words: Mapping[str, Any]
    stopped_by: int | None = None
    overtime: bool = False


def supervise(
    argv: Sequence[str],
    *,
    job: Mapping[str, Any],
    env: Mapping[str, str],
    log: Path,
    deadline: float,
    signals: Signals,
    on_event: Callable[[Mapping[str, Any] | None], None] | None = None,
    grace: float = GRACE,
    server: Forkserver | None = None,
    target: str = "",
) -> Ended:
    """Run a child to its end, and end whatever it leaves behind.

    Parameters
    ----------
    argv : sequence of str
        The command. It gets the number of a pipe's end as one more argument,
        `job` as JSON on stdin, and a session of its own.
    job : mapping
        What it is to do.
    env : mapping of str to str
        Its whole environment.
    log : Path
        Where its stdout and stderr go.
    deadline : float
        `time.monotonic` by when it should have ended by itself.
    signals : Signals
        Those caught so far; the first is passed on, the second kills.
    on_event : callable, optional
        Called with each event of the child, and with None about five times a
        second.
    grace : float, default 5
        Seconds from the deadline (or a passed signal) to SIGTERM, and from that
        to SIGKILL.
    server : Forkserver, optional
        Where the child is forked; if it is gone or omitted, `argv` is started.
    target : str, default ""
        What a forked child runs instead of `argv`.

    Returns
    -------
    Ended
        When it is over no process of its is left.
    """
    reader, writer = os.pipe()
    child: Forked | subprocess.Popen[bytes] | None = None
    with adopt_orphans(), log.open("ab", buffering=0) as sink:
        family = _Family()
        try:
            if server is not None:
                child = server.fork(
                    target,
                    job,
                    env=env,
                    pipe=writer,
                    log=sink.fileno(),
                    until=lambda: (
                        bool(signals.seen) or time.monotonic() > deadline + grace
                    ),
                )
            if child is None:
                child = started(argv, job, env, writer, sink)
            os.close(writer)
            writer = -1
            watch = _Watch(
                child, family, reader, deadline, grace, signals, on_event or _ignore
            )
            return watch.run()
        finally:
            os.close(reader)
            if writer >= 0:
                os.close(writer)
            if child is not None:
                if child.poll() is None:
                    child.kill()
                    child.wait()
                family.end(child.pid)


def started(
    argv: Sequence[str],
    job: Mapping[str, Any],
    env: Mapping[str, str],
    pipe: int,
    log: IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process the slow way, where none can be forked.

    Parameters
    ----------
    argv : sequence of str
        The command; it gets the number of the pipe's end as one more argument.
    job : mapping
        What it is to do, as JSON on stdin.
    env : mapping of str to str
        Its whole environment.
    pipe : int
        The end of a pipe that it inherits.
    log : file, optional
        Where its stdout and stderr go; to our stderr if omitted.

    Returns
    -------
    subprocess.Popen
        Leader of a session of its own.
    """
    process = subprocess.Popen(
        [*argv, str(pipe)],
        stdin=subprocess.PIPE,
        stdout=log or 2,  # stdout is the caller's result
        stderr=subprocess.STDOUT if log else None,
        env=dict(env),
        pass_fds=[pipe],
        start_new_session=True,
    )
    if process.stdin:
        with contextlib.suppress(BrokenPipeError), process.stdin as stream:
            stream.write(json.dumps(dict(job)).encode())
    return process


class _Watch:
    """The loop that waits for a child."""

    def __init__(
        self,
        child: Forked | subprocess.Popen[bytes],
        family: _Family,
        reader: int,
        deadline: float,
        grace: float,
        signals: Signals,
        on_event: Callable[[Mapping[str, Any] | None], None],
    ) -> None:
        self.child, self.family, self.reader = child, family, reader
        self.deadline, self.grace, self.signals = deadline, grace, signals
        self.on_event = on_event
        self.words: Mapping[str, Any] = {}
        self.pending = b""
        self.open = True
        self.asked: float | None = None  # when a signal was passed on
        self.overtime = False
        self.stopped_by: int | None = None

    def run(self) -> Ended:
        os.set_blocking(self.reader, False)
        looked, nap = 0.0, 0.005
        with selectors.DefaultSelector() as selector:
            selector.register(self.reader, selectors.EVENT_READ)
            while self.child.poll() is None:
                if self.open:
                    selector.select(0.2)
                    self.read()
                    if not self.open:
                        selector.unregister(self.reader)
                else:  # it is about to end
                    time.sleep(nap)
                    nap = min(0.1, nap * 1.5)
                now = time.monotonic()
                if now - looked >= 1.0:
                    self.family.look(self.child.pid)
                    looked = now
                self.press(now)
                self.on_event(None)
        self.read()
        return Ended(
            returncode=self.child.wait(),
            words=self.words,
            stopped_by=self.stopped_by,
            overtime=self.overtime,
        )

    def press(self, now: float) -> None:
        """Ask the child to stop, then insist, then kill it."""
        seen = len(self.signals.seen)
        if seen and self.asked is None:
            self.asked, self.stopped_by = now, self.signals.seen[0]
            self.child.send_signal(signal.SIGTERM)
        elif self.asked is None and now > self.deadline + self.grace:
            self.asked, self.overtime = now, True
            self.child.send_signal(signal.SIGTERM)
        if self.asked is not None and (seen > 1 or now > self.asked + self.grace):
            self.child.kill()

    def read(self) -> None:
        while self.open:
            try:
                data = os.read(self.reader, 65536)
            except BlockingIOError:
                return
            if not data:
                self.open = False
            *lines, self.pending = (self.pending + data).split(b"\n")
            for line in lines:
                try:
                    event = json.loads(line)
                except ValueError:  # torn by a kill
                    continue
                if event.get("event") == "end":
                    self.words = event
                self.on_event(event)


class _Family:
    """The processes a child started, noted while they can be told apart."""

    def __init__(self) -> None:
        import psutil

        self.me = psutil.Process()
        self.noted: set[psutil.Process] = set()
        self.strangers = set(self.me.children())
        # with other threads about, an unknown new child of ours may be theirs
        self.alone = threading.current_thread() is threading.main_thread()

    def look(self, pid: int) -> None:
        """Note the child's descendants; what else is a child of ours is not its."""
        import psutil

        with contextlib.suppress(psutil.Error):
            child = psutil.Process(pid)
            ours = {p for p in self.me.children() if p.pid != pid}
            self.noted.update(child.children(recursive=True))
            # alive after we looked: it had not left its orphans to us by then
            if _alive(child):
                self.strangers |= ours - self.noted

    def left(self, pid: int) -> list[psutil.Process]:
        """Return those still alive; orphans have come to us by now."""
        import psutil

        with contextlib.suppress(psutil.Error):
            orphans = {
                p
                for p in self.me.children()
                if p.pid != pid and p not in self.strangers
            }
            self.noted |= orphans if self.alone else set()
        for process in tuple(self.noted):
            with contextlib.suppress(psutil.Error):
                self.noted.update(process.children(recursive=True))
        return [process for process in self.noted if _alive(process)]

    def end(self, pid: int) -> None:
        """Send TERM, then KILL, and reap until none is left."""
        _end(lambda: self.left(pid), polite=1.0, patience=1.0, times=9)
        _reap(self.noted)  # zombies that came to us


def end_children() -> None:
    """End every descendant of this process, orphans that came to it included."""
    import psutil

    me = psutil.Process()

    def left() -> list[psutil.Process]:
        return [p for p in me.children(recursive=True) if _alive(p)]

    _end(left, polite=0.5, patience=0.5, times=4)


def children() -> frozenset[int]:
    """Return the numbers of this process's own children."""
    import psutil

    return frozenset(process.pid for process in psutil.Process().children())


def end_strangers(known: Collection[int]) -> None:
    """End every child of this process that is not known, and what it started.

    Parameters
    ----------
    known : collection of int
        The numbers of children that may live on, with all below them.
    """
    import psutil

    def strangers() -> list[psutil.Process]:
        return [p for p in psutil.Process().children() if p.pid not in known]

    _end(lambda: _with_all_below(strangers()), patience=1.0, times=5)
    _reap(strangers())  # dead when they came to us


def end_run(run_id: str) -> int:
    """End every process that says it belongs to a run whose runner is gone.

    Parameters
    ----------
    run_id : str
        The run: the value of `GROWTH_RUN_ID` in their environment.

    Returns
    -------
    int
        How many were ended.
    """

    def found() -> list[psutil.Process]:
        # what has its environment cleared is below one that has not
        return _with_all_below(p for p, run, _ in _of_runs() if run == run_id)

    def spared(process: psutil.Process) -> bool:
        # told by its parent's death, it is saving what there is
        return bool(process.cmdline()[:1] == [CHILD])

    return _end(found, polite=5.0, patience=2.0, times=3, spared=spared)


def run_processes() -> set[tuple[str, str]]:
    """Return run and staging folder of every process that says it belongs to one.

    Returns
    -------
    set of (str, str)
        ``GROWTH_RUN_ID`` and ``GROWTH_RUN_DIR`` in their environments.
    """
    return {(run, folder) for _, run, folder in _of_runs()}


def _of_runs() -> Iterator[tuple[psutil.Process, str, str]]:
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            told = process.environ() if process.pid != os.getpid() else {}
            if run := told.get("GROWTH_RUN_ID"):
                yield process, run, told.get("GROWTH_RUN_DIR", "")


@contextlib.contextmanager
def adopt_orphans() -> Iterator[None]:
    """Be the parent of every orphan below, on Linux; as before afterwards."""
    prctl = _prctl()
    if prctl is None:
        yield
        return
    before = ctypes.c_int(0)
    prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0)
    prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0)
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(before.value), 0, 0, 0)


def as_if_started() -> None:
    """Take the signals that end a process as one that was started takes them."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def teller(pipe: int) -> Callable[..., None]:
    """Return what a child tells its supervisor with: an event, by name and value.

    Parameters
    ----------
    pipe : int
        The handle of the pipe.

    Returns
    -------
    callable
        Writes its keywords as one line, whole or not at all.
    """

    def tell(**event: object) -> None:
        with contextlib.suppress(OSError):
            os.write(pipe, json.dumps(event).encode() + b"\n")

    return tell


def settle_child() -> None:
    """Let this process adopt orphans, and be sent SIGTERM when its parent dies."""
    prctl = _prctl()
    if prctl is not None:
        prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0)
    die_with_parent(signal.SIGTERM)


def die_with_parent(number: int) -> None:
    """Let this process be sent a signal when its parent dies, on Linux."""
    prctl = _prctl()
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(number), 0, 0, 0)


def _prctl() -> Callable[..., int] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        found: Callable[..., int] = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None
    return found


def _alive(process: psutil.Process) -> bool:
    import psutil

    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _end(
    find: Callable[[], Collection[psutil.Process]],
    *,
    polite: float = 0.0,
    patience: float,
    times: int,
    spared: Callable[[psutil.Process], bool] | None = None,
) -> int:
    """End what is found, until nothing is; return how many there were.

    Parameters
    ----------
    find : callable
        Returns what is to end, looked for anew each time.
    polite : float, default 0
        Seconds to wait after SIGTERM; none is sent if 0.
    patience : float
        Seconds to wait after each SIGKILL.
    times : int
        How often to kill what is found at most.
    spared : callable, optional
        Who needs no SIGTERM: it is ending by itself.
    """
    import psutil

    ended: set[psutil.Process] = set()
    steps = [(signal.SIGTERM, polite)] if polite else []
    for number, seconds in (*steps, *[(signal.SIGKILL, patience)] * times):
        found = find()
        if not found:
            break
        ended.update(found)
        for process in found:
            with contextlib.suppress(psutil.Error):
                if number == signal.SIGKILL or not (spared and spared(process)):
                    process.send_signal(number)
        until = time.monotonic() + seconds
        while (left := [p for p in found if _alive(p)]) and time.monotonic() < until:
            psutil.wait_procs(left, timeout=0.05)
    _reap(ended)
    return len(ended)


def _reap(processes: Collection[psutil.Process]) -> None:
    """Take note of the end of those that are our children."""
    import psutil

    for process in processes:
        with contextlib.suppress(psutil.Error, ChildProcessError):
            if process.ppid() == os.getpid():
                process.wait(timeout=1.0)  # its threads end one by one


def _with_all_below(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return processes and every descendant of each, once."""
    import psutil

    found = set()
    for process in processes:
        found.add(process)
        with contextlib.suppress(psutil.Error):
            found.update(process.children(recursive=True))
    return [process for process in found if _alive(process)]


def _ignore(_event: Mapping[str, Any] | None) -> None:
    pass
