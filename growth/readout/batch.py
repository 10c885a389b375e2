"""Every readout that is due, a few at a time: what a scheduler starts each morning.

Each run is supervised by a process of its own, forked from one that has imported
papermill and nbconvert, so that what one run leaves behind is known to be its own.
"""

from __future__ import annotations

import calendar
import contextlib
import json
import os
import selectors
import signal
import sys
import threading
import time
import tomllib
import traceback
import warnings
from collections import deque
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast

from growth.errors import Fault, GrowthError, ParameterError, StoreError, suggest
from growth.readout import child, hook, own, runner
from growth.readout.filing import bury, warm
from growth.readout.forkserver import Forked, Forkserver, birth, python, serve
from growth.readout.history import index
from growth.readout.params import Declaration, seconds
from growth.readout.store import Key, Store, root
from growth.readout.supervise import (
    Signals,
    adopt_orphans,
    as_if_started,
    children,
    end_strangers,
    started,
    teller,
)
from growth.readout.verdict import EXIT_CODES, Status
from growth.result import Cell, Notice, Result

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Batch", "BatchProgress", "BatchRun", "Entry", "read_config", "run_all"]

ORDER: Final = (143, 130, 1, 8, 5, 4, 3, 6, 2, 7)  # what weighs most comes first
EVERY: Final = ("daily", "weekly", "monthly")
DAYS: Final = tuple(name.lower() for name in calendar.day_name)
_SERVER: Final = "from growth.readout.batch import server; server()"
_WORKER: Final = "from growth.readout.batch import spawned; spawned()"
_KEYS: Final = (
    "name", "params", "every", "on", "deadline", "retries", "declaration", "notebook",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a configuration: which readout, with what, how often.

    Parameters
    ----------
    name : str
        Which readout.
    params : mapping
        Its parameters, all but ``as_of``.
    every : {"daily", "weekly", "monthly"}
        How often.
    on : str or int
        The day that closes a week (``sunday``) or a month (``last``, or 1..28).
    deadline : str or None
        How long a run may take; as declared if None.
    retries : int
        How often to try again what may pass by itself.
    declaration : str
        Of a readout of one's own: ``package.module:Class``.
    notebook : str
        Its notebook.
    """

    name: str
    params: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    every: str = "daily"
    on: str | int = ""
    deadline: str | None = None
    retries: int = 0
    declaration: str = ""
    notebook: str = ""

    def due(self, as_of: date) -> bool:
        """Return whether a day closes a period of this entry.

        Parameters
        ----------
        as_of : date
            The last day counted.

        Returns
        -------
        bool
            Every day; the week's last day; the month's.
        """
        if self.every == "weekly":
            return DAYS[as_of.weekday()] == (self.on or "sunday")
        if self.every == "monthly":
            last = calendar.monthrange(as_of.year, as_of.month)[1]
            return as_of.day == (last if self.on in {"", "last"} else self.on)
        return True

    def declared(self) -> Declaration:
        """Return the declaration of its readout.

        Raises
        ------
        ParameterError
            If there is no such readout (code ``unknown_readout``).
        """
        return own.declared(self.name, self.declaration)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRun:
    """How one readout of a batch ended."""

    readout: str
    subject: str
    as_of: date
    status: Status
    exit_code: int
    seconds: float = 0.0
    run_id: str = ""
    path: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """How far a batch is: runs over and in all, what runs now, what ended just now."""

    done: int
    total: int
    running: tuple[str, ...]
    ended: BatchRun | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(Result):
    """How every readout that was due ended.

    Parameters
    ----------
    as_of : date
        The last day counted.
    exit_code : int
        What a command should exit with: the weightiest of the runs' own.
    runs : tuple of BatchRun
        In the order of the configuration.
    resting : int
        Entries that were not due.
    """

    as_of: date
    exit_code: int
    runs: tuple[BatchRun, ...]
    resting: int = 0

    @property
    def verdict(self) -> str:
        """Return whether all went well."""
        if not self.runs:
            return "readout.batch.nothing"
        return "readout.batch.failed" if self.exit_code else "readout.batch.ok"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a run."""
        return [
            {
                "readout": run.readout,
                "subject": run.subject,
                "status": run.status,
                "exit_code": run.exit_code,
                "seconds": run.seconds,
                "reason": run.reason,
            }
            for run in self.runs
        ]


def read_config(path: str | os.PathLike[str]) -> tuple[Entry, ...]:
    """Return what a configuration asks for.

    Parameters
    ----------
    path : path
        A TOML file: ``[[readout]]`` tables with ``name``, ``params``, ``every``,
        and ``[params]``, which hold for every readout that declares them.

    Returns
    -------
    tuple of Entry
        In the file's order.

    Raises
    ------
    ParameterError
        With every fault of the file (code ``bad_config``); if it cannot be read
        (code ``usage``).
    """
    file = Path(path)
    try:
        held = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError as error:
        msg = f"{file} is not there; it must be a TOML file with [[readout]] tables;"
        msg = f"{msg} name it, or write it (growth readout run-all --help shows one)."
        raise ParameterError(msg, code="usage") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{file} cannot be read: {error}; it must be a TOML file with [[readout]]"
        raise ParameterError(f"{msg} tables; name or correct it.", code="usage") from (
            error
        )
    faults = list(_strange(held, ("schema", "params", "readout"), "the file"))
    if held.get("schema", 1) != 1:
        faults.append(_bad("schema", held["schema"], "1"))
    common, listed = held.get("params", {}), held.get("readout", [])
    if not isinstance(common, dict):
        faults.append(_bad("params", common, "a table of parameters"))
        common = {}
    if not isinstance(listed, list) or not all(isinstance(e, dict) for e in listed):
        faults.append(_bad("readout", listed, "[[readout]] tables"))
        listed = []
    for number, item in enumerate(listed, 1):
        faults.extend(_entry_faults(item, f"readout {number}"))
    if faults:
        raise ParameterError.of(str(file), faults)
    return tuple(_entry(item, common) for item in listed)


def run_all(
    config: str | os.PathLike[str] | Sequence[Entry],
    as_of: date,
    *,
    jobs: int = 1,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
    wait: str | float | None = None,
    retries: int | None = None,
    on_finish: str | None = None,
    progress: Callable[[BatchProgress], None] | None = None,
) -> Batch:
    """Run every readout that is due, and say how each ended.

    Parameters
    ----------
    config : path or sequence of Entry
        What to run; see `read_config`.
    as_of : date
        The last day counted: every run's ``as_of``.
    jobs : int, default 1
        How many run at a time.
    out : path, optional
        Where runs are kept; else `GROWTH_READOUTS`, else ``readouts`` here.
    force : bool, default False
        Run again what was answered already.
    wait : str or float, optional
        How long to wait for another process that runs the same; see `runner.run`.
    retries : int, optional
        Instead of what the entries say.
    on_finish : str, optional
        A command that gets each run's manifest on stdin.
    progress : callable, optional
        Called about five times a second with a `BatchProgress`.

    Returns
    -------
    Batch
        One bad entry stops no other: it is `refused`.

    Raises
    ------
    ParameterError
        If the configuration itself cannot be read, or `jobs` is below 1.
    """
    if isinstance(config, str | os.PathLike):
        config = read_config(config)
    entries = tuple(config)
    if jobs < 1:
        msg = f"jobs is {jobs}; it must be 1 or more; two fit a small machine."
        raise ParameterError(msg, code="out_of_range")
    if wait is not None:
        seconds(wait)
    due = [entry for entry in entries if entry.due(as_of)]
    options = {
        "out": str(root(out)), "force": force, "wait": wait, "on_finish": on_finish,
        "as_of": as_of.isoformat(),
    }  # fmt: skip
    work = [
        _Work(
            entry=entry,
            as_of=as_of,
            job=options
            | {name: getattr(entry, name) for name in _KEYS}
            | {"params": _told(entry.params)}
            | ({} if retries is None else {"retries": retries}),
        )
        for entry in due
    ]
    if work:
        with Signals().caught() as signals, _server() as server:
            _Crew(work, jobs, signals, server, progress).run()
        with contextlib.suppress(OSError):  # the runs stand without it
            index(out)
    runs = tuple(item.ended for item in work if item.ended)
    remarks = dict.fromkeys(each for item in work for each in item.remarks)
    return Batch(
        as_of=as_of,
        exit_code=weightiest(run.exit_code for run in runs),
        runs=runs,
        resting=len(entries) - len(due),
        notices=tuple(
            Notice("hook_failed", args=(("reason", each),)) for each in remarks
        ),
    )


def weightiest(codes: Iterator[int]) -> int:
    """Return the exit code of many runs: the first of `ORDER` that occurred, or 0."""
    found = set(codes)
    return next((code for code in ORDER if code in found), 0)


@dataclass(slots=True, kw_only=True)
class _Work:
    """One run of a batch on its way."""

    entry: Entry
    as_of: date
    job: dict[str, Any]
    process: Forked | subprocess.Popen[bytes] | None = None
    reader: int = -1
    began: float = 0.0
    told: bytes = b""
    cells: str = ""
    remarks: tuple[str, ...] = ()
    ended: BatchRun | None = None

    @property
    def subject(self) -> str:
        try:
            name = self.entry.declared().subject
        except ParameterError:
            return ""
        return str(self.entry.params.get(name, ""))

    def end(self, status: Status, code: int | None = None, **more: Any) -> None:  # noqa: ANN401
        self.ended = BatchRun(
            readout=self.entry.name,
            subject=self.subject,
            as_of=self.as_of,
            status=status,
            exit_code=EXIT_CODES[status] if code is None else code,
            seconds=round(time.monotonic() - self.began, 3) if self.began else 0.0,
            **more,
        )


class _Crew:
    """The loop that keeps so many runs going until none is left."""

    def __init__(
        self,
        work: Sequence[_Work],
        jobs: int,
        signals: Signals,
        server: Forkserver | None,
        progress: Callable[[BatchProgress], None] | None,
    ) -> None:
        self.work, self.jobs, self.signals = work, jobs, signals
        self.server, self.progress = server, progress
        self.waiting, self.running = deque(work), list[_Work]()
        self.passed_on = 0
        self.strangers = children()
        self.selector = selectors.DefaultSelector()

    def run(self) -> None:
        try:
            while self.waiting or self.running:
                self.heed()
                while self.waiting and len(self.running) < self.jobs:
                    self.start(self.waiting.popleft())
                if self.running:
                    self.listen()
                self.tell()
        finally:
            self.selector.close()
            for item in self.running:  # we are failing ourselves
                if item.process is not None:
                    item.process.kill()
                    item.process.wait()

    def heed(self) -> None:
        """Pass on what we were sent; begin nothing more."""
        for number in self.signals.seen[self.passed_on :]:
            for item in self.running:
                if item.process is not None:
                    item.process.send_signal(number)
        self.passed_on = len(self.signals.seen)
        if self.signals.seen:
            for item in self.waiting:
                item.end("cancelled", self.stop_code(), reason="not begun")
            self.waiting.clear()

    def stop_code(self) -> int:
        return 130 if self.signals.seen[0] == signal.SIGINT else 143

    def start(self, item: _Work) -> None:
        item.began = time.monotonic()
        item.reader, writer = os.pipe()
        try:
            if self.server is not None:
                item.process = self.server.fork(
                    "work", item.job, env=dict(os.environ), pipe=writer
                )
            if item.process is None:
                command = [sys.executable, "-P", "-c", _WORKER]
                item.process = started(command, item.job, child.environment(), writer)
        finally:
            os.close(writer)
        os.set_blocking(item.reader, False)
        self.selector.register(item.reader, selectors.EVENT_READ, item)
        self.running.append(item)

    def listen(self) -> None:
        # a process that closed its pipe is about to end
        ending = any(item.reader < 0 for item in self.running)
        ready = self.selector.select(0.01 if ending else 0.2)
        for key, _ in ready:
            item = cast("_Work", key.data)
            with contextlib.suppress(BlockingIOError):
                if not (data := os.read(item.reader, 1 << 16)):
                    self.selector.unregister(item.reader)
                    os.close(item.reader)
                    item.reader = -1
                item.told += data
                self.read(item)
        for item in tuple(self.running):
            if item.process is not None and item.reader < 0:
                code = item.process.poll()
                if code is not None:
                    self.finish(item, code)

    def read(self, item: _Work) -> None:
        *lines, item.told = item.told.split(b"\n")
        for line in lines:
            event = json.loads(line)
            item.cells = event.get("cells", item.cells)
            if event["event"] == "end":
                item.remarks = tuple(event["remarks"])
                item.end(**event["run"])

    def finish(self, item: _Work, code: int) -> None:
        self.running.remove(item)
        if item.ended is None:
            if self.signals.seen:
                item.end("cancelled", self.stop_code(), reason="stopped at its start")
            else:
                how = f"the process that watched the run ended with {code}"
                item.end("kernel_died", reason=how)
            self.clear(item)
        if self.progress:
            self.progress(self.now(item.ended))

    def clear(self, item: _Work) -> None:
        """File what a killed worker left; orphans that came to us are its."""
        ours = {each.process.pid for each in self.running if each.process}
        end_strangers(self.strangers | ours)
        subject, store = item.subject, Store(Path(item.job["out"]))
        key = Key(readout=item.entry.name, subject=subject, as_of=item.as_of)
        with contextlib.suppress(StoreError, OSError), store.lock(key):
            bury(store, key)

    def now(self, ended: BatchRun | None = None) -> BatchProgress:
        return BatchProgress(
            done=sum(item.ended is not None for item in self.work),
            total=len(self.work),
            running=tuple(
                " ".join(filter(None, (i.entry.name, i.subject, i.cells)))
                for i in self.running
            ),
            ended=ended,
        )

    def tell(self) -> None:
        if self.progress:
            self.progress(self.now())


@contextlib.contextmanager
def _server() -> Iterator[Forkserver | None]:
    if not Forkserver.works():
        yield None
        return
    command = python(_SERVER)
    with adopt_orphans(), Forkserver(command, child.environment()) as made:
        yield made


def server() -> None:
    """Import what runs and pages take, then fork workers as asked."""
    start = birth()
    child.preload()
    with warnings.catch_warnings():
        warm()
    serve(int(sys.argv[-1]), {"work": partial(work, born=start)})


def spawned() -> None:
    """Do the job on stdin, where nothing was forked; see `work`."""
    sys.exit(work(json.loads(sys.stdin.buffer.read()), int(sys.argv[-1])))


def work(
    job: Mapping[str, Any], pipe: int, *, born: Mapping[str, str] | None = None
) -> int:
    """Run one readout of a batch, and tell on a pipe how it ended.

    Parameters
    ----------
    job : mapping
        An `Entry`, the day, and the batch's options.
    pipe : int
        The handle of the pipe.
    born : mapping of str to str, optional
        As for `child.child`.

    Returns
    -------
    int
        0; how the run ended is told, not exited with.
    """
    as_if_started()
    tell = teller(pipe)
    cells = ""

    def follow(now: runner.Progress) -> None:
        nonlocal cells
        if cells != (cells := f"{now.done}/{now.total}"):
            tell(event="cells", cells=cells)

    remarks: tuple[str, ...] = ()
    ended: dict[str, Any]
    try:
        outcome = _perform(job, follow, born)
        remarks = outcome.remarks
        ended = {
            "status": outcome.status,
            "code": outcome.exit_code,
            "run_id": outcome.run_id,
            "path": str(outcome.path or ""),
            "reason": outcome.reason,
        }
    except GrowthError as error:
        reason = " ".join(str(error).split())
        ended = {"status": "refused", "code": 2, "reason": reason}
    except Exception as error:  # noqa: BLE001  (a defect of ours: told)
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}"
        ended = {"status": "internal_error", "reason": reason}
    tell(event="end", run=ended, remarks=remarks)
    return 0


def _perform(
    job: Mapping[str, Any],
    follow: Callable[[runner.Progress], None],
    born: Mapping[str, str] | None = None,
) -> runner.RunOutcome:
    entry = Entry(**{name: job[name] for name in _KEYS})
    with contextlib.ExitStack() as stack:
        made = None
        # a process with other threads must not fork, and starts papermill anew
        alone = threading.active_count() == 1
        if alone and Forkserver.works() and "papermill" in sys.modules:
            stack.enter_context(adopt_orphans())
            here = {"child": partial(child.child, born=born)}
            # before a readout of one's own is imported: its kernel does that itself
            made = stack.enter_context(Forkserver([], {}, here=here))
        with hook.refusals(job["on_finish"], entry.name):
            declared = entry.declared() if entry.declaration else None
        return runner.run(
            entry.name,
            {**entry.params, "as_of": job["as_of"]},
            out=job["out"],
            force=job["force"],
            wait=job["wait"],
            deadline=entry.deadline,
            progress=follow,
            declaration=declared,
            notebook=entry.notebook or None,
            retries=entry.retries,
            on_finish=job["on_finish"],
            server=made,
        )


def _told(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as JSON holds them; a date is its text."""
    return {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in params.items()
    }


def _entry(item: Mapping[str, Any], common: Mapping[str, Any]) -> Entry:
    made = Entry(**{**item, "params": {}})
    try:
        known = set(made.declared().names)
    except ParameterError:  # told when it is run: the others are
        known = set()
    params = {name: value for name, value in common.items() if name in known}
    return Entry(**{**item, "params": params | item.get("params", {})})


def _entry_faults(item: Mapping[str, Any], where: str) -> Iterator[Fault]:
    yield from _strange(item, _KEYS, where)
    texts = ("name", "every", "deadline", "declaration", "notebook")
    for name in texts:
        if not isinstance(item.get(name, ""), str):
            yield _bad(f"{where}: {name}", item[name], "a text")
    if not item.get("name"):
        yield _bad(f"{where}: name", "missing", "the name of a readout")
    params = item.get("params", {})
    if not isinstance(params, dict):
        yield _bad(f"{where}: params", params, "a table of parameters")
    elif "as_of" in params:
        yield _bad(f"{where}: params", "as_of", "all but as_of, which the day gives")
    every, on = item.get("every", "daily"), item.get("on", "")
    if every not in EVERY:
        yield _bad(f"{where}: every", every, f"one of {', '.join(EVERY)}")
    fits = {"weekly": on in DAYS, "monthly": on == "last" or on in range(1, 29)}
    if "on" in item and (isinstance(on, bool) or not fits.get(every, False)):
        want = "a weekday for weekly, 1 to 28 or last for monthly, absent for daily"
        yield _bad(f"{where}: on", on, want)
    retries = item.get("retries", 0)
    if not isinstance(retries, int) or isinstance(retries, bool) or retries < 0:
        yield _bad(f"{where}: retries", retries, "a whole number from 0")


def _strange(
    held: Mapping[str, Any], known: Sequence[str], where: str
) -> Iterator[Fault]:
    for name in held:
        if name not in known:
            want = f"one of {', '.join(known)}"
            hint = suggest(name, known).strip()
            yield Fault("bad_config", f"{where}: {name}", "unknown", want, hint)


def _bad(name: str, seen: object, expected: str) -> Fault:
    return Fault("bad_config", name, repr(seen), expected)
