"""Where runs are kept: staged, flushed, renamed; a reader never sees half of one.

::

    readouts/  .staging/  .locks/
      <readout>/<subject>/latest.json
      <readout>/<subject>/<as_of>/<run_id>/  readout.json manifest.json ...

A folder without `manifest.json` is no run.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from growth.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

__all__ = [
    "Busy",
    "Key",
    "Store",
    "decode",
    "encode",
    "enter",
    "new_run_id",
    "root",
    "sha256_of",
    "write_file",
]

MANIFEST: Final = "manifest.json"
LATEST: Final = "latest.json"
INPUTS: Final = "inputs.json"  # what the fingerprints were taken of, file by file
RUNNING: Final = "run.json"  # in staging only: whose it is
MAX_SEGMENT: Final = 80
_KEPT: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")
_RUN_ID: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}")
_MAKING: Final = 3600.0  # seconds; a living process makes a folder in milliseconds
_PART: Final = re.compile(r"\..+\.[0-9]+\.[0-9a-f]{6}")  # see `write_file`


class Busy(StoreError):  # noqa: N818  (a state to wait for, not a failure)
    """Another run of the same readout, subject and day holds the lock."""

    code = "lock_held"


def root(out: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder that runs are kept in.

    Parameters
    ----------
    out : path, optional
        As asked; else `GROWTH_READOUTS`, else ``readouts`` here.

    Returns
    -------
    pathlib.Path
        Absolute; it need not exist.
    """
    return Path(out or os.environ.get("GROWTH_READOUTS") or "readouts").absolute()


def encode(subject: str) -> str:
    """Return a subject as one folder name that no disk confuses with another.

    Parameters
    ----------
    subject : str
        Any text.

    Returns
    -------
    str
        Lower-case letters, digits, ``_`` and ``-`` as they are, every other byte
        of its UTF-8 as ``%xx`` (capitals too: some disks do not tell them apart);
        above 80 characters, 16 of them and a sha256.

    Examples
    --------
    >>> encode("../Etc")
    '%2e%2e%2f%45tc'
    """
    text = "".join(
        chr(byte) if chr(byte) in _KEPT else f"%{byte:02x}"
        for byte in subject.encode("utf-8", "surrogatepass")
    )
    # Windows takes these for devices in any folder
    if re.fullmatch(r"con|prn|aux|nul|(com|lpt)[0-9]", text):
        text = f"%{ord(text[0]):02x}{text[1:]}"
    if len(text) <= MAX_SEGMENT:
        return text
    head = re.sub(r"%[0-9a-f]?$", "", text[:16])
    return f"{head}%%{hashlib.sha256(subject.encode()).hexdigest()}"


def decode(segment: str) -> str | None:
    """Return the subject of a folder name; None if it was too long to keep."""
    if "%%" in segment:
        return None
    data = re.sub(
        rb"%([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), segment.encode()
    )
    return data.decode("utf-8", "replace")


def new_run_id(now: datetime | None = None) -> str:
    """Return a run's id: the second it began, and six random hex digits.

    Parameters
    ----------
    now : datetime, optional
        Aware; the present moment if omitted.

    Returns
    -------
    str
        Like ``20260201T031500Z-7f3a9c``.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return f"{moment:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file so that it is whole or not there: flushed, then renamed.

    Parameters
    ----------
    path : Path
        Where; its folder is made.
    content : str or bytes
        Text is written as UTF-8.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode("utf-8") if isinstance(content, str) else content
    part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(3)}")
    try:
        with part.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def enter(folder: Path, files: Sequence[Path]) -> None:
    """Enter files that were made later in the manifest of a run that is kept.

    Parameters
    ----------
    folder : Path
        The run's folder; one that has no manifest yet is left as it is.
    files : sequence of Path
        Files in it.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # held for milliseconds by each
        held = _read(folder / MANIFEST)
        if not held:
            return
        known = held.get("artifacts", {})
        told = {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}
        if not told.items() <= known.items():
            made = held | {"artifacts": known | told}
            write_file(folder / MANIFEST, to_json(made))
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, as hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def to_json(value: Mapping[str, Any]) -> str:
    """Return plain values as every file of the store holds them."""
    text = json.dumps(
        value, allow_nan=False, ensure_ascii=False, sort_keys=True, indent=2
    )
    return f"{text}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What a run answers: which readout, about what, up to which day."""

    readout: str
    subject: str
    as_of: date

    @property
    def about(self) -> tuple[str, str]:
        """Which readout, about what."""
        return (self.readout, self.subject)

    @property
    def parts(self) -> tuple[str, str, str]:
        """Its three folders below the root."""
        return (self.readout, encode(self.subject), self.as_of.isoformat())


@dataclass(frozen=True, slots=True)
class Store:
    """One folder of runs.

    Parameters
    ----------
    root : Path
        Where; made when first written to.
    """

    root: Path

    def folder(self, key: Key, run_id: str) -> Path:
        """Return where a finished run lies."""
        return self.root.joinpath(*key.parts, run_id)

    def staging(self, run_id: str) -> Path:
        """Return where a run lies until it is finished: on the same file system."""
        return self.root / ".staging" / run_id

    def open_staging(self, run_id: str, whose: Mapping[str, Any]) -> Path:
        """Make a run's staging folder, which says from the first whose it is."""
        folder = self.staging(run_id)
        folder.parent.mkdir(parents=True, exist_ok=True)
        # killed here, it leaves a folder that is nobody's: see `sweep_staging`
        made = folder.with_name(f".{run_id}.{_machine()}.{os.getpid()}.new")
        made.mkdir()
        write_file(made / RUNNING, to_json(whose))
        made.rename(folder)
        _flush_folder(folder.parent)
        return folder

    def sweep_staging(self) -> int:
        """Remove folders that a process had begun to stage when it was killed.

        Returns
        -------
        int
            How many.
        """
        count = 0
        for folder in (self.root / ".staging").glob(".*.new"):
            *_, machine, number, _ = folder.name.split(".")
            try:
                age = time.time() - folder.stat().st_mtime
            except OSError:  # renamed just now
                continue
            dead = machine == _machine() and not _lives(int(number))
            if dead or age > _MAKING:
                shutil.rmtree(folder, ignore_errors=True)
                count += 1
        return count

    @contextmanager
    def lock(self, key: Key, *, wait: float = 0.0) -> Iterator[None]:
        """Hold the lock of one readout, subject and day.

        Parameters
        ----------
        key : Key
            What is about to be run.
        wait : float, default 0
            Seconds to wait for it.

        Raises
        ------
        Busy
            If somebody else holds it.
        """
        with self._locked(self.root.joinpath(".locks", *key.parts), wait=wait):
            yield

    @contextmanager
    def _locked(self, path: Path, *, wait: float) -> Iterator[None]:
        path.parent.mkdir(parents=True, exist_ok=True)
        # never removed: a lock on a file that is gone would be held by two
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            until = time.monotonic() + wait
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as error:
                    if error.errno not in {errno.EAGAIN, errno.EACCES, errno.EINTR}:
                        raise
                left = until - time.monotonic()
                if left <= 0:
                    where = " ".join(path.parts[-3:])
                    msg = f"{where} is being run by another process; one may run it at"
                    raise Busy(f"{msg} a time; wait for it, or pass a time to wait.")
                time.sleep(min(0.1, left))
            yield
        finally:
            os.close(handle)

    def finish(self, key: Key, run_id: str, manifest: dict[str, Any]) -> Path:
        """Turn a staged run into a kept one: manifest last, flushed, renamed.

        Parameters
        ----------
        key : Key
            What was run.
        run_id : str
            The run.
        manifest : dict
            Complete but for ``artifacts``, which are taken here.

        Returns
        -------
        pathlib.Path
            The run's folder.
        """
        staged = self.staging(run_id)
        files = []
        for path in sorted(p for p in staged.rglob("*") if p.is_file()):
            if _PART.fullmatch(path.name):  # of a process that was killed writing
                path.unlink()
            elif path.name not in {RUNNING, MANIFEST} or path.parent != staged:
                files.append(path)
        artifacts = {}
        for path in files:
            _flush_file(path)
            artifacts[path.relative_to(staged).as_posix()] = sha256_of(path)
        write_file(staged / MANIFEST, to_json(manifest | {"artifacts": artifacts}))
        for folder in {path.parent for path in files} | {staged}:
            _flush_folder(folder)
        return self.settle(key, run_id)

    def settle(self, key: Key, run_id: str) -> Path:
        """Move a staged run that has its manifest to where it is kept.

        Parameters
        ----------
        key : Key
            What was run.
        run_id : str
            The run.

        Returns
        -------
        pathlib.Path
            The run's folder.
        """
        staged = self.staging(run_id)
        (staged / RUNNING).unlink(missing_ok=True)
        target = self.folder(key, run_id)
        _make_folders(target.parent, self.root)
        staged.rename(target)
        _flush_folder(target.parent)
        _flush_folder(staged.parent)
        return target

    def point(self, key: Key, run_id: str) -> bool:
        """Let `latest.json` name this run, unless it names a later day.

        Returns
        -------
        bool
            Whether it does now.
        """
        folder = self.root / key.readout / encode(key.subject)
        lock = self.root.joinpath(".locks", *key.parts[:2], "latest")
        with self._locked(lock, wait=60.0):  # held for milliseconds by each
            for part in folder.glob(f".{LATEST}.*"):
                part.unlink(missing_ok=True)
            held = self.latest(key.readout, key.subject)
            if held and held["as_of"] > key.as_of.isoformat():
                return False
            run = self.folder(key, run_id)
            latest = {
                "run_id": run_id,
                "path": run.relative_to(folder).as_posix(),
                "as_of": key.as_of.isoformat(),
                "sha256": sha256_of(run / "readout.json"),
            }
            write_file(folder / LATEST, to_json(latest))
        return True

    def heal(self, key: Key) -> bool:
        """Point at a day's newest good run if its runner was killed before it could.

        Parameters
        ----------
        key : Key
            Whose lock is held.

        Returns
        -------
        bool
            Whether `latest.json` had to be moved.
        """
        held = self.latest(key.readout, key.subject) or {"as_of": "", "run_id": ""}
        day = key.as_of.isoformat()
        if held["as_of"] > day:
            return False
        known = held["run_id"] if held["as_of"] == day else ""
        # ids begin with the second of the start; within one second any order will do
        for folder in sorted(self.root.joinpath(*key.parts).glob("*"), reverse=True):
            if not _RUN_ID.fullmatch(folder.name):
                continue
            if folder.name <= known:
                break
            told = _read(folder / MANIFEST) or {}
            ours = (told.get("readout"), told.get("subject")) == key.about
            if ours and told.get("status") == "succeeded":
                return self.point(key, folder.name)
        return False

    def latest(self, readout: str, subject: str) -> dict[str, Any] | None:
        """Return what `latest.json` says of a subject; None if there is none.

        Parameters
        ----------
        readout, subject : str
            Which.

        Returns
        -------
        dict or None
            ``run_id``, ``path`` (from the subject's folder), ``as_of``, ``sha256``
            of ``readout.json``, and ``folder``, where the run lies now.
        """
        folder = self.root / readout / encode(subject)
        held = _read(folder / LATEST)
        if not held:
            return None
        return held | {"folder": str(folder / held["path"])}

    def runs(
        self, readout: str | None = None, subject: str | None = None
    ) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Yield folder and manifest of every kept run, oldest id first.

        Parameters
        ----------
        readout, subject : str, optional
            Only these.

        Yields
        ------
        tuple of (Path, dict)
            Folders without a readable manifest are left out: they are no runs.
        """
        name = readout or "*"
        part = encode(subject) if subject is not None else "*"
        found = self.root.glob(f"{name}/{part}/*/*/{MANIFEST}")
        for path in sorted(found, key=lambda p: (p.parent.name, p)):
            if _RUN_ID.fullmatch(path.parent.name) and (manifest := _read(path)):
                yield path.parent, manifest

    def find(self, run: str) -> Path | None:
        """Return a kept run's folder by its id, or by the end of it.

        Parameters
        ----------
        run : str
            ``20260201T031500Z-7f3a9c``, or ``...-7f3a9c``.

        Returns
        -------
        Path or None
            None unless exactly one run fits.
        """
        end = run.rpartition(".")[2]
        found = [path for path, _ in self.runs() if path.name.endswith(end)]
        return found[0] if end and len(found) == 1 else None

    def succeeded(self, key: Key, run_key: str) -> Path | None:
        """Return the run that already answered this very question, if it is whole.

        Parameters
        ----------
        key : Key
            Which readout, subject and day.
        run_key : str
            Over notebook, code, parameters, data and versions.

        Returns
        -------
        Path or None
            Its folder, if its document still is what its manifest says.
        """
        for path in sorted(self.root.joinpath(*key.parts).glob(f"*/{MANIFEST}")):
            held = _read(path) or {}
            if held.get("run_key") != run_key or held.get("status") != "succeeded":
                continue
            told = held.get("artifacts", {})
            whole = all(
                (path.parent / name).is_file()
                and sha256_of(path.parent / name) == told.get(name)
                for name in ("readout.json", "readout.html")
            )
            if whole:
                return path.parent
        return None

    def staged(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield id and owner's note of every run that was not finished.

        Yields
        ------
        tuple of (str, dict)
            The note holds ``manifest``, as far as it was known; ``whole`` is true
            if all was done but the move.
        """
        for folder in sorted((self.root / ".staging").glob("[0-9]*")):
            whole = _read(folder / MANIFEST)
            held = _read(folder / RUNNING) or {}
            if whole:
                held |= {"manifest": whole, "whole": True}
            if held:
                yield folder.name, held


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _machine() -> str:
    """Return this machine's name as few digits: a store may lie on a shared disk."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _make_folders(folder: Path, above: Path) -> None:
    """Make folders and flush their parents, so that a power cut keeps them."""
    if folder.exists():
        return
    if folder != above:
        _make_folders(folder.parent, above)
    folder.mkdir(parents=True, exist_ok=True)
    _flush_folder(folder.parent)


def _flush_file(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_folder(path: Path) -> None:
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:  # not every system opens folders
        return
    try:
        os.fsync(handle)
    except OSError:  # nor flushes them
        pass
    finally:
        os.close(handle)
