"""How a run ended: judged from what was seen, not from what was claimed."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from growth.errors import DataError, Fault
from growth.readout.checking import faults_in
from growth.readout.model import FILE, raw_document

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from growth.readout.repair import Told
    from growth.readout.supervise import Ended

__all__ = ["EXIT_CODES", "Status", "Verdict", "judge", "published", "stopped"]

Status = Literal[
    "succeeded", "skipped", "refused", "failed", "timed_out", "kernel_died",
    "invalid_result", "cancelled", "lost", "store_error", "internal_error",
]  # fmt: skip

EXIT_CODES: Final[dict[str, int]] = {
    "succeeded": 0, "skipped": 0, "refused": 7, "failed": 3, "timed_out": 4,
    "kernel_died": 5, "invalid_result": 6, "cancelled": 143, "lost": 137,
    "store_error": 8, "internal_error": 1,
}  # fmt: skip
MAX_REASON: Final = 500


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run ended: a status, a code to match, words, and faults by path."""

    status: Status
    code: str = ""
    reason: str = ""
    exit: int | None = None
    faults: tuple[Fault, ...] = ()

    @property
    def exit_code(self) -> int:
        """What a command should exit with."""
        return EXIT_CODES[self.status] if self.exit is None else self.exit


def judge(ended: Ended, told: Told, *, limit: float) -> Verdict:
    """Say how a run ended, in the order of what weighs most.

    Parameters
    ----------
    ended : Ended
        What the supervisor saw.
    told : Told
        What the executed notebook says: error outputs, cells that never ran.
    limit : float
        Seconds the run was given.

    Returns
    -------
    Verdict
        ``succeeded`` here still wants a valid document; see `published`.
    """
    kind = ended.words.get("kind")
    message = _line(str(ended.words.get("message", "")))
    if ended.stopped_by is not None:
        return stopped(ended.stopped_by)
    if ended.overtime or kind == "timeout":
        reason = f"the run did not end within {limit:g} s"
        return Verdict("timed_out", "deadline", reason)
    known = {
        "dead": Verdict("kernel_died", "kernel_died", "the kernel died"),
        "disk": Verdict("store_error", "disk", message),
    }
    if kind in known:
        return known[kind]
    if kind is None or kind == "stopped":
        how = f"the process that ran the notebook ended with {ended.returncode}"
        return Verdict("kernel_died", "child_killed", how)
    if told.error:
        code = "system_exit" if told.error.startswith("SystemExit") else "raised"
        return Verdict("failed", code, _line(f"a cell raised {told.error}"))
    if kind == "ok" and told.whole and not told.unrun:
        return Verdict("succeeded")
    if kind in {"ok", "cell"}:
        reason = message or f"{told.unrun} cell(s) were not run"
        return Verdict("failed", "not_run", reason)
    return Verdict("internal_error", "child_failed", message)


def stopped(number: int) -> Verdict:
    """Return the verdict on a run that a signal ended."""
    exit_code = 130 if number == signal.SIGINT else 143
    words = f"stopped by {signal.Signals(number).name}"
    return Verdict("cancelled", "signal", words, exit_code)


def published(
    folder: Path, ours: Mapping[str, Any]
) -> tuple[dict[str, Any] | None, Verdict]:
    """Read what a run published; success needs it valid and this run's own.

    Parameters
    ----------
    folder : Path
        The run's folder.
    ours : mapping
        What the document must say: ``run_id``, ``readout``, ``subject``, ...

    Returns
    -------
    tuple of (dict or None, Verdict)
        The document and ``succeeded``, or None and ``invalid_result``.
    """
    try:
        document = raw_document(folder / FILE)
    except DataError as error:
        missing = error.code == "document_missing"
        seen = "missing" if missing else "no strict JSON"
        fault = Fault(error.code, FILE, seen, "one valid publish")
        words = "nothing was published" if missing else f"{FILE} is {seen}"
        return None, Verdict("invalid_result", error.code, words, None, (fault,))
    if faults := faults_in(document):
        words = _line(f"{FILE} has {len(faults)} fault(s), first {faults[0]}")
        return None, Verdict("invalid_result", "bad_document", words, None, faults)
    document = cast("dict[str, Any]", document)
    foreign = [
        Fault("foreign_document", f"$.{name}", repr(document[name]), repr(wanted))
        for name, wanted in ours.items()
        if document[name] != wanted
    ]
    lacking = [
        Fault("chart_missing", chart[part], "missing", "in the run's folder")
        for chart in document["charts"]
        for part in ("spec", "svg")
        if not (folder / chart[part]).is_file()
    ]
    if faults := (*foreign, *lacking):
        words = _line(f"the document does not fit this run: {faults[0]}")
        return None, Verdict("invalid_result", faults[0].code, words, None, faults)
    return document, Verdict("succeeded")


def _line(text: str) -> str:
    """Return a text as one line, cut where it is long."""
    words = " ".join(text.split())
    return words if len(words) <= MAX_REASON else f"{words[:MAX_REASON]}…"
