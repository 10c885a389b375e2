"""What a run rests on: fingerprints of data and code, versions, the commit."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from growth.readout.model import Data, Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "PROVENANCE",
    "fingerprints",
    "git_state",
    "missing",
    "package_digest",
    "provenance",
    "versions",
]

PROVENANCE: Final = "GROWTH_RUN_PROVENANCE"  # how a run tells its kernel
_WATCHED: Final = (
    "altair", "duckdb", "growth", "ibis-framework", "ipykernel", "nbclient",
    "nbconvert", "numpy", "pandas", "papermill", "pyarrow", "scipy", "statsmodels",
    "vl-convert-python",
)  # fmt: skip
_TABLES: Final = (".parquet", ".csv", ".csv.gz", ".csv.zip", ".duckdb", ".jsonl")


def fingerprints(named: Iterable[tuple[str, str]]) -> tuple[Data, ...]:
    """Return a fingerprint of each input that lies in files here.

    Parameters
    ----------
    named : iterable of (str, str)
        Name and location: a file, a folder, a glob, ``file.duckdb::table``, a URL.

    Returns
    -------
    tuple of Data
        One a file, one a table of a folder; a sha256 over names and bytes. What
        has no files here (a URL) has None: such a run is never skipped.
    """
    found: dict[str, Data] = {}
    for name, location in named:
        for part, files in _parts(name, location):
            label = part if part not in found else f"{name}.{part}"
            found[label] = Data(name=label, sha256=_digest(files) if files else None)
    return tuple(found.values())


def missing(named: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield name and location of each local input that is not there.

    Parameters
    ----------
    named : iterable of (str, str)
        Name and location.

    Yields
    ------
    tuple of (str, str)
        In the order given.
    """
    for name, location in named:
        if "://" not in location and not _here(location):
            yield name, location


def package_digest(notebook: Path | None = None) -> str:
    """Return one sha256 over the package's own source, and a notebook's.

    Parameters
    ----------
    notebook : path, optional
        A notebook to count in.

    Returns
    -------
    str
        64 hex digits.
    """
    root = Path(__file__).resolve().parent.parent
    kinds = {".py", ".toml", ".json", ".j2", ".css"}
    source = sorted(p for p in root.rglob("*") if p.suffix in kinds and p.is_file())
    files = [(str(path.relative_to(root)), path) for path in source]
    if notebook:
        files.append((notebook.name, notebook))
    return _digest(files)


def versions() -> dict[str, str]:
    """Return the versions of what takes part in a run, by name, sorted."""
    found = {"python": platform.python_version()}
    for name in _WATCHED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return dict(sorted(found.items()))


def git_state() -> tuple[str, bool]:
    """Return the commit of the checkout this package lies in, and if it differs.

    Returns
    -------
    tuple of (str, bool)
        Empty and False where it is no checkout, or there is no git.
    """
    root = Path(__file__).resolve().parent.parent.parent
    if not (root / ".git").exists():
        return "", False
    commit = _git(root, "rev-parse", "HEAD")
    changed = commit and _git(root, "status", "--porcelain", "--untracked-files=no")
    return commit, bool(changed)


def provenance(data: Iterable[Data] = ()) -> Provenance:
    """Return which code reads which data.

    Parameters
    ----------
    data : iterable of Data, optional
        Fingerprints taken.

    Returns
    -------
    Provenance
        Inside a run, what the runner found before it started; `data` is then
        its data.
    """
    from growth import __version__

    told = os.environ.get(PROVENANCE)
    if told and os.environ.get("GROWTH_RUN_DIR"):
        held: Mapping[str, object] = json.loads(told)
        return Provenance(
            package=str(held["package"]),
            git=str(held["git"]),
            dirty=bool(held["dirty"]),
            data=tuple(Data(**item) for item in held["data"]),  # type: ignore[attr-defined]
        )
    commit, dirty = git_state()
    return Provenance(package=__version__, git=commit, dirty=dirty, data=tuple(data))


def _parts(name: str, location: str) -> Iterator[tuple[str, list[tuple[str, Path]]]]:
    """Yield each named part of a location with its files; no files: a URL."""
    if "://" in location:
        yield name, []
        return
    path = Path(location.partition("::")[0])
    if not path.is_dir():
        yield name, [(p.name, p) for p in _here(location)]
        return
    tables: dict[str, list[tuple[str, Path]]] = {}
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        inside = file.relative_to(path)
        if any(part.startswith((".", "_")) for part in inside.parts):
            continue
        # experiments/ holds other experiments too; ours is named on its own
        if inside.parts[0] == "experiments":
            continue
        tables.setdefault(_table(inside), []).append((inside.as_posix(), file))
    yield from sorted(tables.items())
    if not tables:
        yield name, []


def _table(inside: Path) -> str:
    first = inside.parts[0]
    for ending in _TABLES:
        first = first.removesuffix(ending)
    return first


def _here(location: str) -> list[Path]:
    path = Path(location.partition("::")[0])
    if path.exists():
        return [path]
    if glob.has_magic(str(path)):
        return sorted(map(Path, glob.glob(str(path), recursive=True)))
    return []


def _digest(files: Iterable[tuple[str, Path]]) -> str:
    """Hash names and contents, each with its length, so none can run into another."""
    whole = hashlib.sha256()
    for name, path in files:
        with path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        whole.update(f"{len(name)}:{name}:{content}\n".encode())
    return whole.hexdigest()


def _git(root: Path, *args: str) -> str:
    try:
        run = subprocess.run(
            ["git", "-C", str(root), *args],
            capture_output=True, check=True, text=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return run.stdout.strip()
