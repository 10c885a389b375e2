"""Run a readout's notebook once, strictly, and keep what it left.

`run` validates, locks, stages, supervises a child that runs papermill, and then
says itself how it ended: success is never read from the notebook's own account.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import sys
import threading
import time
import traceback
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from growth.errors import Fault, ParameterError
from growth.readout import catalog, child, extras, hook, inputs, repair
from growth.readout.estimates import headline_of
from growth.readout.filing import EXECUTED, LOG, bury, draw, set_aside, warm
from growth.readout.forkserver import Forkserver, python
from growth.readout.own import notebook_of
from growth.readout.params import Declaration, declaration_of, seconds
from growth.readout.scratch import scratch, sockets_work
from growth.readout.store import (
    INPUTS,
    RUNNING,
    Busy,
    Key,
    Store,
    new_run_id,
    root,
    sha256_of,
    to_json,
    write_file,
)
from growth.readout.supervise import (
    Signals,
    adopt_orphans,
    supervise,
)
from growth.readout.verdict import EXIT_CODES, Status, judge, published, stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from growth.labels import Lang
    from growth.readout.extras import Extra
    from growth.readout.inputs import Read
    from growth.readout.model import Data, Provenance
    from growth.readout.supervise import Ended
    from growth.readout.verdict import Verdict

__all__ = ["EXIT_CODES", "Progress", "RunOutcome", "forkserver", "run"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: cells run and to run, seconds gone and left."""

    done: int
    total: int
    elapsed: float
    left: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """How a run ended.

    Parameters
    ----------
    status : str
        ``succeeded``, ``skipped`` (this very question was answered before),
        ``refused`` (another process runs it), ``failed``, ``timed_out``,
        ``kernel_died``, ``invalid_result``, ``cancelled``, ``store_error`` or
        ``internal_error``.
    exit_code : int
        What a command should exit with.
    path : Path or None
        The run's folder; of the earlier run if skipped.
    reason : str
        Why, in one line; empty on success.
    run_id : str
        The run; empty if none was made.
    faults : tuple of Fault
        What is wrong with the document, by path, if that is why.
    remarks : tuple of str
        What else went wrong, as a hook that failed; no part of the run.
    """

    status: Status
    exit_code: int
    path: Path | None = None
    reason: str = ""
    run_id: str = ""
    faults: tuple[Fault, ...] = ()
    remarks: tuple[str, ...] = ()


def run(  # noqa: PLR0913  (keyword-only but two)
    name: str,
    params: object,
    *,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
    wait: str | float | None = None,
    deadline: str | float | None = None,
    progress: Callable[[Progress], None] | None = None,
    declaration: Declaration | type | None = None,
    notebook: str | os.PathLike[str] | None = None,
    retries: int = 0,
    on_finish: str | None = None,
    server: Forkserver | None = None,
    also: Collection[Extra] = (),
) -> RunOutcome:
    """Run a readout and keep what it left.

    Parameters
    ----------
    name : str
        Which readout.
    params : object
        Its parameters: an instance of its dataclass, or a mapping of values.
    out : path, optional
        Where runs are kept; else `GROWTH_READOUTS`, else ``readouts`` here.
    force : bool, default False
        Run although the same notebook, code, parameters, data and versions have
        succeeded before.
    wait : str or float, optional
        How long to wait (``60s``) for another process that runs the same readout
        for the same subject and day; not at all if omitted.
    deadline : str or float, optional
        How long the whole run may take; as declared if omitted.
    progress : callable, optional
        Called about five times a second with a `Progress`.
    declaration : Declaration or type, optional
        A readout of one's own: its declaration or its parameters' class.
    notebook : path, optional
        Its notebook; ``<name>.ipynb`` beside the declaration's module if omitted.
    retries : int, default 0
        How often to try again after the kernel died or an error that the readout
        declares as transient, after 2, 4, 8, ... seconds and within the deadline.
    on_finish : str, optional
        A command (no shell) that gets the manifest on stdin when the run is over,
        or what is known of it if it was refused; how the command ends changes
        nothing but `RunOutcome.remarks`.
    server : Forkserver, optional
        Where to fork the child, for who runs many; see `forkserver`. It is left
        open. One is made for this run if omitted.
    also : collection of {"interactive", "pdf", "png"}, optional
        What to leave beside the static page. One that fails is a remark; the run
        stands.

    Returns
    -------
    RunOutcome
        Whatever happens once the parameters are accepted is an outcome.

    Raises
    ------
    ParameterError
        If there is no such readout, its notebook disagrees with its declaration,
        a parameter is wrong, an input is missing (code ``no_such_path``), or what
        `also` asks for cannot be made here; no kernel was started.
    """
    with contextlib.ExitStack() as stack:
        with hook.refusals(on_finish, name):
            declared = _declared(name, declaration)
            given = params if isinstance(params, declared.cls) else None
            if given is None:
                given = declared.from_python(dict(params))  # type: ignore[call-overload]
            source = _source(declared, notebook, own=declaration is not None)
            if faults := declared.check_notebook(source, rules=False):
                raise ParameterError.of(source.name, faults)
            if retries < 0:
                msg = f"retries is {retries}; it must be 0 or more; leave it out."
                raise ParameterError(msg, code="out_of_range")
            patience = 0.0 if wait is None else seconds(wait)
            extras.require(also)
            job = _Job(
                declared=declared,
                params=given,
                notebook=source.absolute(),
                store=Store(root(out)),
                limit=declared.deadline if deadline is None else seconds(deadline),
                progress=progress,
                retries=retries,
                server=server,
                also=frozenset(also),
            )
            if force or not job.answered():
                job.prepare(stack)  # it imports while we read the inputs
            job.read = _inputs(declared, given)
        try:
            outcome = job.perform(stack, force=force, wait=patience)
        except Busy as error:
            status: Status = "store_error" if job.staged else "refused"
            outcome = job.ended(status, str(error))
        except OSError as error:
            outcome = job.ended("store_error", f"the run could not be kept: {error}")
    if on_finish and outcome.status != "skipped":
        told = hook.call(on_finish, job.told(outcome))
        outcome = replace(outcome, remarks=(*outcome.remarks, *told))
    return outcome


@contextlib.contextmanager
def forkserver() -> Iterator[Forkserver | None]:
    """Keep a process that has papermill imported, to `run` several readouts.

    Yields
    ------
    Forkserver or None
        None where the system cannot; `run` then starts each child.
    """
    if not Forkserver.works():
        yield None
        return
    with adopt_orphans(), Forkserver(python(child.SERVER), child.environment()) as made:
        yield made


def _declared(name: str, given: Declaration | type | None) -> Declaration:
    if given is None:
        return catalog.get(name)
    declared = given if isinstance(given, Declaration) else declaration_of(given)
    if declared.name != name:
        msg = f"the declaration is of {declared.name!r}, not of {name!r}; they must be"
        raise ParameterError(f"{msg} the same; name it so.", code="unknown_readout")
    return declared


def _source(
    declared: Declaration, given: str | os.PathLike[str] | None, *, own: bool
) -> Path:
    if given:
        return Path(given)
    return notebook_of(declared) if own else catalog.notebook(declared.name)


def _inputs(declared: Declaration, params: object) -> tuple[Read, ...]:
    """Return what a run will read, with fingerprints; refuse what is not there."""
    listed = getattr(params, "inputs", None)
    if listed:
        named = list(listed())
    else:
        named = [
            (item.name, str(value))
            for item in declared.fields
            if item.path and (value := getattr(params, item.name)) is not None
        ]
    faults = [
        Fault(
            "no_such_path",
            name,
            f"{where!r}, which is not there",
            "a file, a folder, a glob that matches, or a URL",
            "Correct the path; a relative one counts from the current folder.",
        )
        for name, where in inputs.missing(named)
    ]
    if faults:
        raise ParameterError.of(declared.name, faults)
    if check := getattr(params, "check", None):
        check()
    return inputs.inspected(named)


@dataclass(slots=True, kw_only=True)
class _Job:
    """One run on its way through the state machine."""

    declared: Declaration
    params: Any
    notebook: Path
    store: Store
    limit: float
    progress: Callable[[Progress], None] | None
    read: tuple[Read, ...] = ()
    retries: int = 0
    server: Forkserver | None = None
    also: frozenset[Extra] = frozenset()
    code: str = ""
    run_id: str = ""
    staged: Path | None = None
    origin: Provenance = field(init=False)

    @property
    def data(self) -> tuple[Data, ...]:
        return tuple(item.data for item in self.read)

    @property
    def key(self) -> Key:
        subject = str(getattr(self.params, self.declared.subject))
        as_of: date = self.params.as_of
        return Key(readout=self.declared.name, subject=subject, as_of=as_of)

    @property
    def lang(self) -> Lang | None:
        found = getattr(self.params, "lang", None)
        return found if found in {"en", "zh"} else None

    def answered(self) -> bool:
        """Return whether this day has runs, so that this one may be skipped."""
        return self.store.root.joinpath(*self.key.parts).exists()

    def prepare(self, stack: contextlib.ExitStack) -> None:
        """Begin to import what takes long: before the lock, so no child inherits it."""
        if self.server is None:
            self.server = stack.enter_context(forkserver())
            threading.Thread(target=warm, daemon=True).start()

    def perform(
        self, stack: contextlib.ExitStack, *, force: bool, wait: float
    ) -> RunOutcome:
        run_key = self.run_key()
        if not force and (done := self.done(run_key)):
            return done
        self.prepare(stack)
        with self.store.lock(self.key, wait=wait), Signals().caught() as signals:
            bury(self.store, self.key, self.notebook)
            if not force and (done := self.done(run_key)):
                return done
            try:
                return self.execute(run_key, signals)
            except (OSError, Busy):
                raise
            except Exception as error:  # noqa: BLE001  (a defect of ours: told)
                return self.broken(error)

    def run_key(self) -> str:
        """Return one sha256 over everything the answer depends on."""
        self.code = inputs.package_digest(self.notebook)
        rest = {
            "code": self.code,
            "readout": self.declared.name,
            "params": self.declared.plain(self.params),
            "data": [asdict(item) for item in self.data],
            "versions": inputs.versions(),
        }
        return hashlib.sha256(to_json(rest).encode()).hexdigest()

    def done(self, run_key: str) -> RunOutcome | None:
        """Return the outcome `skipped` if this very question is answered."""
        if any(item.sha256 is None for item in self.data):
            return None
        path = self.store.succeeded(self.key, run_key)
        if path is None:
            return None
        reason = "the same question was answered before; force a run to repeat it"
        return RunOutcome(
            status="skipped", exit_code=0, path=path, reason=reason, run_id=path.name,
            remarks=_besides(path, self.also),
        )  # fmt: skip

    def ended(self, status: Status, reason: str) -> RunOutcome:
        """Return how the run ended where no verdict was reached."""
        return RunOutcome(
            status=status,
            exit_code=EXIT_CODES[status],
            path=self.staged,
            reason=reason,
            run_id=self.run_id,
        )

    def told(self, outcome: RunOutcome) -> dict[str, Any]:
        """Return what a hook is told of how the run ended."""
        known = {
            "run_id": outcome.run_id, "readout": self.key.readout,
            "subject": self.key.subject, "as_of": self.key.as_of.isoformat(),
        }  # fmt: skip
        return hook.told_of(
            known,
            status=outcome.status,
            exit_code=outcome.exit_code,
            reason=outcome.reason,
            path=outcome.path,
        )

    def execute(self, run_key: str, signals: Signals) -> RunOutcome:
        started = time.monotonic()
        deadline = started + self.limit
        self.run_id = new_run_id()
        manifest = self.manifest(run_key)
        self.staged = self.store.open_staging(
            self.run_id, {"pid": os.getpid(), "manifest": manifest}
        )
        self.list_inputs(self.staged)
        redact = repair.Redactor(self.secrets())
        attempts: list[dict[str, Any]] = []
        while True:
            ended = self.supervised(started, deadline, signals)
            redact.folder(self.staged)
            told = repair.read(self.staged / EXECUTED)
            verdict = judge(ended, told, limit=self.limit)
            if verdict.status == "store_error":
                reason = f"the run could not be kept: {verdict.reason}"
                return self.ended("store_error", reason)
            document = None
            if verdict.status == "succeeded":
                document, verdict = published(self.staged, self.ours())
            pause = 2.0 ** (len(attempts) + 1)
            again = self.worth_another(verdict, told.error, len(attempts))
            if not again or time.monotonic() + pause >= deadline:
                break
            attempts.append(
                {"status": verdict.status, "reason": redact.text(verdict.reason)}
            )
            _pause(pause, signals)
            if signals.seen:
                verdict = stopped(signals.seen[0])
                break
            set_aside(self.staged, len(attempts))
        manifest |= {
            "attempt": len(attempts) + 1,
            "attempts": attempts,
            "status": verdict.status,
            "exit_code": verdict.exit_code,
            "reason": redact.text(verdict.reason),
            "reason_code": verdict.code,
            "faults": [fault._asdict() for fault in verdict.faults],
            "ended": _now(),
            "seconds": round(time.monotonic() - started, 3),
        }
        if document is not None:
            manifest["data"] = document["provenance"]["data"]
            manifest["decision"] = document["decision"]["verdict"]
            manifest["estimate"] = headline_of(document["estimates"])
        draw(
            self.staged,
            manifest,
            notebook=self.notebook,
            document=document,
            error=redact.text(told.traceback),
            lang=self.lang,
        )
        remarks = _besides(self.staged, self.also if document is not None else ())
        self.staged = self.store.finish(self.key, self.run_id, manifest)
        if verdict.status == "succeeded":
            self.store.point(self.key, self.run_id)
        return RunOutcome(
            status=verdict.status,
            exit_code=verdict.exit_code,
            path=self.staged,
            reason=manifest["reason"],
            run_id=self.run_id,
            faults=verdict.faults,
            remarks=remarks,
        )

    def worth_another(self, verdict: Verdict, error: str, tried: int) -> bool:
        """Return whether what went wrong may pass by itself."""
        if tried >= self.retries:
            return False
        passing = error.partition(":")[0] in self.declared.transient
        return verdict.status == "kernel_died" or (
            verdict.status == "failed" and passing
        )

    def list_inputs(self, folder: Path) -> None:
        """Keep what the fingerprints were taken of, so that a change can be named."""
        listed = {item.data.name: [dict(f) for f in item.files] for item in self.read}
        if listed:
            write_file(folder / INPUTS, to_json(listed))

    def ours(self) -> dict[str, Any]:
        """Return what a document of this run must say."""
        return {
            "run_id": self.run_id,
            "readout": self.key.readout,
            "subject": self.key.subject,
            "as_of": self.key.as_of.isoformat(),
            "params": self.declared.plain(self.params),
        }

    def manifest(self, run_key: str) -> dict[str, Any]:
        """Return what is known of the run before it begins."""
        self.origin = origin = inputs.provenance()
        versions = inputs.versions()
        return {
            "run_id": self.run_id,
            "run_key": run_key,
            "attempt": 1,
            "parent_run": None,
            "readout": self.key.readout,
            "subject": self.key.subject,
            "as_of": self.key.as_of.isoformat(),
            "params": self.declared.plain(self.params),
            "started": _now(),
            "deadline_s": self.limit,
            "lang": self.lang,
            "code": self.code,
            "notebook": {
                "name": self.notebook.name,
                "sha256": sha256_of(self.notebook),
            },
            "package": origin.package,
            "git": origin.git,
            "dirty": origin.dirty,
            "data": [asdict(item) for item in self.data],
            "python": versions["python"],
            "os": platform.platform(terse=True),
            "versions": versions,
            "seed": getattr(self.params, "seed", None),
            "host": platform.node(),
        }

    def supervised(self, started: float, deadline: float, signals: Signals) -> Ended:
        """Run the child in a short-lived folder for sockets and profiles."""
        if self.staged is None:
            raise AssertionError
        folder = scratch(self.run_id)
        folder.mkdir(mode=0o700)
        done, total = 0, 0

        def tell(event: Mapping[str, Any] | None) -> None:
            nonlocal done, total
            if event is not None:
                done, total = event.get("done", done), event.get("total", total)
            if self.progress:
                now = time.monotonic()
                gone, left = now - started, max(0.0, deadline - now)
                self.progress(Progress(done, total, gone, left))

        job = {
            "notebook": str(self.notebook),
            "executed": str(self.staged / EXECUTED),
            "parameters": self.declared.plain(self.params),
            "left": deadline - time.monotonic(),
            "ipc": str(folder / "k") if sockets_work(folder) else "",
            "secrets": [f.name for f in self.declared.fields if f.env],
        }
        try:
            return supervise(
                # -P: nothing in the current folder may pass for a module of ours
                [sys.executable, "-P", "-c", child.COMMAND],
                job=job,
                env=self.environment(folder),
                log=self.staged / LOG,
                deadline=deadline,
                signals=signals,
                on_event=tell,
                server=self.server,
                target="child",
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def environment(self, folder: Path) -> dict[str, str]:
        """Return the child's environment: ours, and what makes runs alike."""
        origin = asdict(self.origin)
        origin["data"] = [asdict(item) for item in self.data]
        return child.environment() | {
            "GROWTH_RUN_DIR": str(self.staged),
            "GROWTH_RUN_ID": self.run_id,
            inputs.PROVENANCE: json.dumps(origin),
            "IPYTHONDIR": str(folder / "ipython"),  # nobody's profile or start-up files
            "JUPYTER_RUNTIME_DIR": str(folder),
        }

    def secrets(self) -> tuple[str, ...]:
        """Return the values of every secret the run was given the name of."""
        named = [getattr(self.params, f.name) for f in self.declared.fields if f.env]
        return tuple(os.environ[n] for n in named if n and os.environ.get(n))

    def broken(self, error: Exception) -> RunOutcome:
        """Keep the traceback of a defect of ours where the run was staged."""
        reason = f"{type(error).__name__}: {error}"
        if self.staged and (self.staged / RUNNING).exists():
            text = "".join(traceback.format_exception(error))
            with contextlib.suppress(OSError, ValueError):
                write_file(self.staged / "traceback.txt", text)
                note = json.loads((self.staged / RUNNING).read_text("utf-8"))
                note |= {"status": "internal_error", "reason": reason}
                write_file(self.staged / RUNNING, to_json(note))
        return self.ended("internal_error", reason)


def _besides(folder: Path, also: Collection[Extra]) -> tuple[str, ...]:
    """Leave further forms of the page; return what could not be made, and why."""
    remarks = []
    for kind in sorted(also):
        try:
            extras.make(folder, [kind])
        except Exception as error:  # noqa: BLE001  (the run stands without it)
            name = extras.FILES[kind]
            remarks.append(f"{name} was not made: {error or type(error).__name__}")
    return tuple(remarks)


def _pause(length: float, signals: Signals) -> None:
    until = time.monotonic() + length
    while not signals.seen and (left := until - time.monotonic()) > 0:
        time.sleep(min(0.1, left))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
