"""Keep the history short: old runs go, what a killed runner left is filed."""

from __future__ import annotations

import contextlib
import shutil
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from growth.errors import ParameterError
from growth.readout import catalog
from growth.readout.filing import bury
from growth.readout.model import FILE
from growth.readout.params import seconds
from growth.readout.store import Busy, Key, Store, root
from growth.readout.supervise import end_run, run_processes
from growth.result import Cell, Result

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

__all__ = ["Sweep", "Swept", "gc"]

TRASH: Final = ".trash"  # renamed there first, so that a run goes whole

Action = Literal["removed", "filed", "ended", "pointed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """One thing that was done, or would be.

    Parameters
    ----------
    action : {"removed", "filed", "ended", "pointed"}
        A kept run removed; one that a killed runner left filed; processes of a run
        that is over ended; `latest.json` moved to a run whose runner was killed just
        before it could.
    run_id : str
        Which run.
    readout, subject, as_of : str
        What it was about; empty where nobody knows any more.
    """

    action: Action
    run_id: str
    readout: str = ""
    subject: str = ""
    as_of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep(Result):
    """What a clean-up did, or would do.

    Parameters
    ----------
    swept : tuple of Swept
        One by one.
    kept : int
        Runs that stay.
    dry_run : bool
        Whether nothing was touched.
    """

    swept: tuple[Swept, ...]
    kept: int
    dry_run: bool

    @property
    def verdict(self) -> str:
        """Return whether there was anything to do."""
        if not self.swept:
            return "readout.gc.nothing"
        return "readout.gc.would" if self.dry_run else "readout.gc.done"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a thing done."""
        return [
            {
                "action": item.action,
                "run_id": item.run_id,
                "readout": item.readout,
                "subject": item.subject,
                "as_of": item.as_of,
            }
            for item in self.swept
        ]


def gc(
    out: str | os.PathLike[str] | None = None,
    *,
    keep: str | float = "30d",
    keep_last: int = 10,
    dry_run: bool = False,
    now: datetime | None = None,
) -> Sweep:
    """Remove old runs, file lost ones, end processes that no run owns.

    Parameters
    ----------
    out : path, optional
        Where runs are kept; else `GROWTH_READOUTS`, else ``readouts`` here.
    keep : str or float, default "30d"
        Runs younger than this stay.
    keep_last : int, default 10
        So many of each readout and subject stay, however old.
    dry_run : bool, default False
        Only say what would be done.
    now : datetime, optional
        Aware; the present moment if omitted.

    Returns
    -------
    Sweep
        What was done. The run that `latest.json` names and the newest good run of
        a subject never go, nor does anything that runs or is not ours.

    Raises
    ------
    ParameterError
        If `keep` is no duration (code ``bad_duration``), or `keep_last` is below 0
        (code ``out_of_range``).
    """
    if keep_last < 0:
        msg = f"keep_last is {keep_last}; it must be 0 or more; 10 keeps ten a subject."
        raise ParameterError(msg, code="out_of_range")
    store = Store(root(out))
    before = (now or datetime.now(UTC)) - timedelta(seconds=seconds(keep))
    swept: list[Swept] = []
    if store.root.is_dir():
        swept += _file_lost(store, dry_run=dry_run)
        swept += _end_orphans(store, dry_run=dry_run)
        if not dry_run:
            shutil.rmtree(store.root / TRASH, ignore_errors=True)
    kept = 0
    old = list(
        _old(store, before, keep_last)
    )  # so that what was latest stays once more
    swept += _point(store, dry_run=dry_run)
    for run, folder in old:
        if folder is not None and (dry_run or _remove(store, run, folder)):
            swept.append(run)
        else:
            kept += 1
    return Sweep(swept=tuple(swept), kept=kept, dry_run=dry_run)


def _file_lost(store: Store, *, dry_run: bool) -> Iterator[Swept]:
    waiting: dict[Key, list[str]] = defaultdict(list)
    for run_id, held in store.staged():
        if key := _key(held.get("manifest", {})):
            waiting[key].append(run_id)
    for key, runs in waiting.items():
        notebook = None
        with contextlib.suppress(ParameterError):
            notebook = catalog.notebook(key.readout)
        try:
            with store.lock(key):
                if not dry_run:
                    bury(store, key, notebook)
        except Busy:  # it runs
            continue
        for run_id in runs:
            yield _swept("filed", run_id, key)
    if not dry_run:
        store.sweep_staging()


def _point(store: Store, *, dry_run: bool) -> Iterator[Swept]:
    """Let `latest.json` name each subject's newest good run, if it does not yet."""
    newest: dict[tuple[str, str], tuple[Key, str]] = {}
    for folder, manifest in store.runs():
        key = _key(manifest)
        if key is None or folder != store.folder(key, str(manifest.get("run_id"))):
            continue
        if manifest.get("status") == "succeeded" and (folder / FILE).is_file():
            of = key.readout, key.subject
            held = newest.get(of)
            if held is None or (held[0].as_of, held[1]) < (key.as_of, folder.name):
                newest[of] = key, folder.name
    for (readout, subject), (key, run_id) in newest.items():
        latest = store.latest(readout, subject) or {"as_of": "", "run_id": ""}
        if (latest["as_of"], latest["run_id"]) >= (key.as_of.isoformat(), run_id):
            continue
        try:
            with store.lock(key):
                if not dry_run:
                    store.heal(key)
        except Busy:  # it will be pointed at when that run is over
            continue
        yield _swept("pointed", run_id, key)


def _end_orphans(store: Store, *, dry_run: bool) -> Iterator[Swept]:
    """End processes of runs of this store that are over."""
    for run_id, folder in sorted(run_processes()):
        # what is staged still runs, or was just filed and its processes ended
        if Path(folder) == store.staging(run_id) and not Path(folder).exists():
            if not dry_run:
                end_run(run_id)
            yield Swept(action="ended", run_id=run_id)


def _old(
    store: Store, before: datetime, keep_last: int
) -> Iterator[tuple[Swept, Path | None]]:
    """Yield every run of ours, with its folder if it may go."""
    subjects: dict[tuple[str, str], list[tuple[Path, dict[str, Any]]]]
    subjects = defaultdict(list)
    for folder, manifest in store.runs():
        key = _key(manifest)
        ours = key and folder == store.folder(key, str(manifest.get("run_id")))
        if ours and key:
            subjects[key.readout, key.subject].append((folder, manifest))
    for (readout, subject), runs in subjects.items():
        runs.sort(key=lambda run: (run[1]["as_of"], run[0].name))
        good = [folder for folder, m in runs if m.get("status") == "succeeded"][-1:]
        latest = store.latest(readout, subject) or {}
        never = {*good, Path(latest.get("folder", "")).absolute()}
        for place, (folder, manifest) in enumerate(reversed(runs)):
            stays = place < keep_last or folder in never or _began(folder) >= before
            key = _key(manifest)
            assert key is not None
            yield _swept("removed", folder.name, key), None if stays else folder


def _remove(store: Store, run: Swept, folder: Path) -> bool:
    """Take a run away in one step, unless its day is being run."""
    key = Key(
        readout=run.readout, subject=run.subject, as_of=date.fromisoformat(run.as_of)
    )
    trash = store.root / TRASH
    try:
        with store.lock(key):
            trash.mkdir(exist_ok=True)
            folder.rename(trash / folder.name)
            with contextlib.suppress(OSError):  # other runs of that day
                folder.parent.rmdir()
    except (Busy, OSError):
        return False
    shutil.rmtree(trash, ignore_errors=True)
    return True


def _key(manifest: dict[str, Any]) -> Key | None:
    """Return what a manifest is of; None if it is no manifest of ours."""
    try:
        return Key(
            readout=str(manifest["readout"]),
            subject=str(manifest["subject"]),
            as_of=date.fromisoformat(manifest["as_of"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _swept(action: Action, run_id: str, key: Key) -> Swept:
    return Swept(
        action=action,
        run_id=run_id,
        readout=key.readout,
        subject=key.subject,
        as_of=key.as_of.isoformat(),
    )


def _began(folder: Path) -> datetime:
    """Return when a run began, which its id says."""
    moment = datetime.strptime(folder.name.partition("-")[0], "%Y%m%dT%H%M%SZ")
    return moment.replace(tzinfo=UTC)
