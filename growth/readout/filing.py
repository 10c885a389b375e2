"""What a run's folder gets when it is over: a repaired notebook and its page.

Also of runs whose runner was killed: `bury` files what it left.
"""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Any, Final

from growth.labels import label
from growth.readout import repair
from growth.readout.scratch import scratch
from growth.readout.store import INPUTS, RUNNING, Key, Store, write_file
from growth.readout.supervise import end_run
from growth.readout.verdict import EXIT_CODES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from growth.labels import Lang

__all__ = ["bury", "draw", "set_aside", "warm"]

EXECUTED: Final = "executed.ipynb"
PAGE: Final = "readout.html"
LOG: Final = "log.txt"
TAIL: Final = 64 * 1024  # of a log, for a page or a banner


def bury(store: Store, key: Key, notebook: Path | None = None) -> int:
    """File what killed runners left of one readout, subject and day.

    Parameters
    ----------
    store : Store
        Where.
    key : Key
        Whose lock is held, so whoever ran it is dead.
    notebook : Path, optional
        The readout's, to show which cells were not run.

    Returns
    -------
    int
        How many runs were filed: as lost, or as what they were if all but the last
        step was done. Processes they left behind are ended.
    """
    count = 0
    store.sweep_staging()
    for run_id, held in tuple(store.staged()):
        note = held.get("manifest", {})
        same = [note.get(k) for k in ("readout", "subject", "as_of")]
        if same != [key.readout, key.subject, key.as_of.isoformat()]:
            continue
        count += 1
        end_run(run_id)
        shutil.rmtree(scratch(run_id), ignore_errors=True)
        if held.get("whole"):
            store.settle(key, run_id)
            continue
        status = held.get("status", "lost")
        manifest = note | {
            "run_id": run_id,
            "status": status,
            "exit_code": EXIT_CODES[status],
            "reason": held.get("reason", "the runner was killed, or power failed"),
            "reason_code": held.get("status", "runner_gone"),
            "ended": None,
        }
        draw(store.staging(run_id), manifest, notebook=notebook)
        store.finish(key, run_id, manifest)
    store.heal(key)
    return count


def draw(
    staged: Path,
    manifest: dict[str, Any],
    *,
    notebook: Path | None,
    document: Mapping[str, Any] | None = None,
    error: str = "",
    lang: Lang | None = None,
) -> None:
    """Repair a run's executed notebook, and write its page.

    Parameters
    ----------
    staged : Path
        The run's folder.
    manifest : dict
        What is known of the run; gets its ``cells`` and ``notices``.
    notebook : Path or None
        The notebook that was run, if it is known.
    document : mapping, optional
        What was published, if that is valid.
    error : str, optional
        The traceback of the cell that failed.
    lang : {"en", "zh"}, optional
        The page's language; else the manifest's.
    """
    status = manifest["status"]
    log = _tail(staged / LOG)
    lang = lang or manifest.get("lang")
    words = label(f"readout.status.{status}", lang)
    executed = staged / EXECUTED
    if executed.exists() or (staged / LOG).exists():
        repair.repair(
            executed,
            source=notebook or staged / "unknown.ipynb",
            status=status,
            words=f"{words}: {manifest['reason']}",
            log=log,
        )
    manifest["cells"] = list(repair.read(executed).cells)
    manifest["notices"] = []
    write_file(staged / PAGE, _page(executed, manifest, document, error, log, lang))


def set_aside(staged: Path, attempt: int) -> None:
    """Keep what an attempt left in ``attempts/``, and clear the table for the next.

    Parameters
    ----------
    staged : Path
        The run's folder.
    attempt : int
        Which attempt it was, from 1.
    """
    folder = staged / "attempts" / str(attempt)
    folder.mkdir(parents=True)
    for path in tuple(staged.iterdir()):
        if path.name not in {RUNNING, INPUTS, "attempts"}:
            path.rename(folder / path.name)


def warm() -> None:
    """Import what the page takes while the notebook runs elsewhere."""
    with contextlib.suppress(Exception):  # drawing the page will tell
        from growth.readout import page

        page.warm()


def _page(
    executed: Path,
    manifest: dict[str, Any],
    document: Mapping[str, Any] | None,
    error: str,
    log: str,
    lang: Lang | None,
) -> str:
    """Return the run's page; where it cannot be drawn, a plainer one and a notice."""
    from growth.readout import page

    def whole() -> str:
        if document is not None:
            return page.render(executed, document, manifest, lang=lang)
        notebook = executed if executed.exists() else None
        return page.render_failure(
            manifest, traceback=error, log=log, notebook=notebook, lang=lang
        )

    try:
        return whole()
    except Exception as failure:  # noqa: BLE001  (the numbers stand without it)
        reason = f"{type(failure).__name__}: {failure}"
    notice = {"code": "page_failed", "severity": "warning"}
    manifest["notices"] = [notice | {"args": {"reason": reason}}]
    if document is None:
        return page.render_failure(manifest, log=log, lang=lang)
    shown = dict(document) | {"notices": [*document["notices"], *manifest["notices"]]}
    return page.render_plain(shown, manifest, lang=lang)


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - TAIL))
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
