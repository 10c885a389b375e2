"""Foreign files into canonical tables, every row accounted for.

Rows in are rows accepted plus rows rejected, always. What is accepted is written
aside and renamed in one go; above the limits nothing but the rejects is written.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from growth.dataset.core import Dataset, files_of
from growth.dataset.mapping import TableMapping, load_mapping
from growth.dataset.readers import content_hash, parts_of
from growth.dataset.report import LoadReport
from growth.dataset.store import REPORT_FILE, keep, last_report
from growth.dataset.transforms import plain_text
from growth.dataset.work import load_id_of, run
from growth.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

    from growth.dataset.schema import TableSchema

__all__ = ["LoadReport", "known_keys", "load", "open_mapped"]


def load(
    source: str | os.PathLike[str],
    mapping: str | os.PathLike[str] | TableMapping,
    out: str | os.PathLike[str],
    *,
    as_of: date | datetime | None = None,
    if_exists: Literal["refuse", "replace"] = "refuse",
) -> LoadReport:
    """Load foreign files into a canonical folder.

    Parameters
    ----------
    source : path
        A file (also in a ``.zip`` with one data member, or ``.gz``), a folder of
        files, or a glob.
    mapping : path or TableMapping
        The TOML file that says what the columns mean.
    out : path
        The canonical folder; made if absent.
    as_of : date or aware datetime, optional
        The last day counted; rows more than 10 minutes after it are rejected as
        ``future_ts``. Without it the future is not checked (notice).
    if_exists : {"refuse", "replace"}, default "refuse"
        What to do where `out` has the table already.

    Returns
    -------
    LoadReport
        Also written as ``load.json``; the rejects stand in ``rejects.parquet``.

    Raises
    ------
    MappingError, ColumnNotFoundError
        If the mapping names something that cannot be, or is not in the source.
    SecretMissingError
        If ids are to be pseudonymised and there is no usable key.
    LoadRefusedError
        If more than `max_reject_rate` of the rows are bad, more than 5% are
        duplicates, more than 2% refer to nothing, 1% of ready pseudonyms look like
        raw ids, or no row is accepted. Only the rejects are written; `report` of
        the error holds the counts.
    PayloadError, DataError
        If the source is not what the mapping says, or not there.
    ParameterError
        If `out` has the table already (code ``table_exists``).
    """
    read = mapping if isinstance(mapping, TableMapping) else load_mapping(mapping)
    folder = Path(out)
    if if_exists not in ("refuse", "replace"):
        msg = (
            f"if_exists is {if_exists!r}; it must be 'refuse' or 'replace'; correct it"
        )
        raise ParameterError(f"{msg}.", code="bad_if_exists")
    made = {read.table.name, *(["order_items"] if read.items_path else [])}
    stored = files_of(folder) if folder.is_dir() else {}
    if if_exists == "refuse" and (there := sorted(made & stored.keys())):
        msg = f"{folder} already holds {there}; a load writes a table whole; choose "
        msg += "another folder, or pass if_exists='replace'."
        raise ParameterError(msg, code="table_exists")
    parts = parts_of(source, read.format)
    known = known_keys(read.table, stored)
    done = run(read, parts, as_of=as_of, known=known)
    keep(done, folder)
    return done.report


def open_mapped(
    location: str | os.PathLike[str],
    mapping: str | os.PathLike[str],
    *,
    as_of: date | datetime | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> Dataset:
    """Open foreign files through a mapping, loaded into a cache.

    Parameters
    ----------
    location, mapping, as_of, cache
        As in `growth.open`.

    Returns
    -------
    Dataset
        With its `load_report`.

    Raises
    ------
    ParameterError
        If `cache` is inside the source folder (code ``cache_in_source``).
    GrowthError
        As in `load`.
    """
    read = load_mapping(mapping)
    parts = parts_of(location, read.format)
    source = Path(location)
    if cache is not None and source.is_dir():
        inside = Path(cache).resolve().is_relative_to(source.resolve())
        if inside:
            msg = f"cache is {cache}, inside the source folder {source}; it must be "
            msg += "outside; choose another folder."
            raise ParameterError(msg, code="cache_in_source")
    root = _cache_root(cache)
    key = load_id_of(read, content_hash(parts), as_of, long=True)
    folder = root / key
    if not (folder / REPORT_FILE).is_file():
        done = run(read, parts, as_of=as_of)
        if done.report.refused:
            keep(done, root / f"{key}-refused")
        aside = root / f".loading-{uuid4().hex}"
        keep(done, aside)
        try:
            aside.replace(folder)
        except OSError:  # somebody else has loaded the same in the meantime
            shutil.rmtree(aside, ignore_errors=True)
    report = LoadReport.from_dict(last_report(folder, read.table.name))
    return Dataset(
        os.fspath(location),
        files=files_of(folder),
        folder=folder,
        load_report=report,
        sources=(*parts, read.path),
    )


def _cache_root(cache: str | os.PathLike[str] | None) -> Path:
    """Return the cache folder: the caller's, the user's, or a temporary one."""
    if cache is not None:
        root = Path(cache)
        root.mkdir(parents=True, exist_ok=True)
        return root
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    root = Path(home) / "growth"
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.access(root, os.W_OK):
            return root
    except OSError:
        pass
    root = Path(tempfile.gettempdir()) / f"growth-cache-{os.getuid()}"
    root.mkdir(exist_ok=True, mode=0o700)
    return root


def known_keys(
    schema: TableSchema, stored: Mapping[str, tuple[Path, ...]]
) -> dict[str, set[Any]]:
    """Return the keys of stored tables that rows of `schema` may refer to."""
    import pyarrow.dataset as ds

    known = {}
    for column, other in schema.references:
        files = stored.get(other, ())
        if files:
            form = files[0].suffix.lstrip(".")
            read = ds.dataset([str(path) for path in files], format=form)
            keys = read.to_table(columns=[column]).column(column).to_pylist()
            known[other] = {plain_text(key) for key in keys}
    return known
