"""What a run rests on: fingerprints of data and code, versions, the commit."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from growth.readout.model import Data, Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = [
    "PROVENANCE",
    "Read",
    "fingerprints",
    "git_state",
    "inspected",
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
_TICK: Final = 2_000_000_000  # nanoseconds within which a change may show no new time
_ASIDE: Final = {"load.json", "rejects.parquet", "truth.json"}
_TABLES: Final = (".parquet", ".csv", ".csv.gz", ".csv.zip", ".duckdb", ".jsonl")


@dataclass(frozen=True, slots=True)
class Read:
    """Something a run reads: its fingerprint, and its files one by one.

    Parameters
    ----------
    data : Data
        What the document and the manifest say of it.
    files : tuple of mapping
        ``file``, ``bytes``, ``sha256``, ``rows`` of each.
    """

    data: Data
    files: tuple[Mapping[str, Any], ...]


def inspected(named: Iterable[tuple[str, str]]) -> tuple[Read, ...]:
    """Return a fingerprint of each input that lies in files here, and its files.

    Parameters
    ----------
    named : iterable of (str, str)
        Name and location: a file, a folder, a glob, ``file.duckdb::table``, a URL.

    Returns
    -------
    tuple of Read
        One a file, one a table of a folder; a sha256 over names and bytes. What
        has no files here (a URL) has None: such a run is never skipped. Rows,
        first and last moment are told where Parquet's own footers say them.
    """
    found: dict[str, Read] = {}
    for name, location in named:
        for part, files in _parts(name, location):
            label = part if part not in found else f"{name}.{part}"
            found[label] = _read(label, files)
    return tuple(found.values())


def fingerprints(named: Iterable[tuple[str, str]]) -> tuple[Data, ...]:
    """Return the fingerprints of `inspected` alone.

    Parameters
    ----------
    named : iterable of (str, str)
        Name and location.

    Returns
    -------
    tuple of Data
        One a file, one a table of a folder.
    """
    return tuple(item.data for item in inspected(named))


def missing(named: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield name and location of each local input that is not there.

    Parameters
    ----------
    named : iterable of (str, str)
        Name and location.

    Yields
    ------
    tuple of (str, str)
        In the order given; what would lie in a folder that is missing is not told too.
    """
    gone = [(n, where) for n, where in named if "://" not in where and not _here(where)]
    for name, location in gone:
        above = Path(location).parents
        if not any(Path(other) in above for _, other in gone):
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
    kinds = (".py", ".toml", ".json", ".j2", ".css", ".js")
    source = sorted(
        os.path.join(folder, name)
        for folder, _, names in os.walk(root)
        for name in names
        if name.endswith(kinds)
    )
    files = [(str(Path(path).relative_to(root)), path) for path in source]
    if notebook:
        files.append((notebook.name, str(notebook)))
    return _joined((name, _as_it_is(path)) for name, path in files)


def versions() -> dict[str, str]:
    """Return the versions of what takes part in a run, by name, sorted."""
    return dict(_versions(*(_touched(folder) for folder in sys.path)))


@cache
def _versions(*_touched: int) -> dict[str, str]:
    """Return what `versions` says, until something is installed."""
    found = {"python": platform.python_version()}
    for name in _WATCHED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return dict(sorted(found.items()))


def _touched(folder: str) -> int:
    """Return when something was put into a folder, or taken out of it."""
    try:
        return os.stat(folder or ".").st_mtime_ns
    except OSError:
        return 0


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
    told = _git(root, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
    head = "# branch.oid "
    lines = told.splitlines()
    commit = next((x.removeprefix(head) for x in lines if x.startswith(head)), "")
    commit = "" if commit.startswith("(") else commit  # (initial): none yet
    return commit, any(not line.startswith("#") for line in lines)


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
        if inside.parts[0] == "experiments" or _no_table(inside):
            continue
        tables.setdefault(_table(inside), []).append((inside.as_posix(), file))
    yield from sorted(tables.items())
    if not tables:
        yield name, []


def _no_table(inside: Path) -> bool:
    """Return whether a file beside the tables declares or reports something."""
    return len(inside.parts) == 1 and (
        inside.name in _ASIDE or inside.suffix in {".toml", ".md"}
    )


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


def _read(label: str, files: Sequence[tuple[str, Path]]) -> Read:
    """Look at the files of one input."""
    told: list[dict[str, Any]] = []
    first: list[str] = []
    last: list[str] = []
    for name, path in files:
        rows = None
        if path.suffix == ".parquet":
            rows, low, high = _footer(path, label)
            first += [low] if low else []
            last += [high] if high else []
        size, sha256 = path.stat().st_size, _sha256(path)
        told.append({"file": name, "bytes": size, "sha256": sha256, "rows": rows})
    counts = [item["rows"] for item in told]
    whole = bool(counts) and None not in counts
    data = Data(
        name=label,
        sha256=_joined((item["file"], item["sha256"]) for item in told)
        if told
        else None,
        rows=sum(counts) if whole else None,
        min=min(first) if first else None,
        max=max(last) if last else None,
    )
    return Read(data, tuple(told))


def _footer(path: Path, table: str) -> tuple[int | None, str | None, str | None]:
    """Return rows, first and last moment from a Parquet file's footer."""
    import pyarrow as pa
    from pyarrow import parquet

    from growth.dataset import SCHEMA

    try:
        footer = parquet.read_metadata(path)
    except (OSError, pa.ArrowException):  # the notebook will say what is wrong
        return None, None, None
    known = SCHEMA.get(table)
    column = known.day_of if known else ""
    names = footer.schema.to_arrow_schema().names
    low: list[str] = []
    high: list[str] = []
    if column in names:
        at = names.index(column)
        for group in range(footer.num_row_groups):
            seen = footer.row_group(group).column(at).statistics
            if seen is not None and seen.has_min_max:
                low.append(_moment(seen.min))
                high.append(_moment(seen.max))
    return (
        footer.num_rows,
        min(low) if low else None,
        max(high) if high else None,
    )


def _moment(value: object) -> str:
    """Return a date or an instant as ISO text; an instant without offset is UTC."""
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.astimezone(UTC).isoformat()
    return str(value)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _as_it_is(path: str) -> str:
    """Return the sha256 of a source file, read again only if it was touched."""
    seen = os.stat(path)
    if abs(time.time_ns() - seen.st_mtime_ns) < _TICK:
        return _sha256(Path(path))
    return _unchanged(path, seen.st_ino, seen.st_size, seen.st_mtime_ns)


@cache
def _unchanged(path: str, *_seen: int) -> str:
    return _sha256(Path(path))


def _joined(files: Iterable[tuple[str, str]]) -> str:
    """Hash names and contents, each with its length, so none can run into another."""
    whole = hashlib.sha256()
    for name, content in files:
        whole.update(f"{len(name)}:{name}:{content}\n".encode())
    return whole.hexdigest()


def _git(root: Path, *args: str) -> str:
    try:
        run = subprocess.run(
            # it reads only: somebody's commit at the same time goes through
            ["git", "--no-optional-locks", "-C", str(root), *args],
            capture_output=True, check=True, text=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return run.stdout.strip()
