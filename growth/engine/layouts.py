"""Optional accelerators beside an event log: users, user_bits, user_log.

They are derived and may be deleted at any time; a reading verb never writes one.
`refresh` builds them and keeps them up a day at a time; `find` gives them to a room
if they say what the log says now.

::

    events.layouts/
      manifest.json                     what they were made from, and how
      users.parquet                     user_id, user_idx; a deleted user is a hole
      user_bits/<kind>/<block>.parquet  user_idx, block, bits: 60 days a block
      user_log/<year>-<month>/<code>.parquet   user_idx, ts, code, in this order
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from growth.engine.connections import connect, engine_call, escape_glob
from growth.engine.days import DAY_US, local_day, zone
from growth.engine.dialect import bit_or, floor_divide, shift
from growth.engine.merging import Run, map_runs
from growth.engine.scans import stream_batches
from growth.engine.sharded import thread_count
from growth.engine.statements import fetch
from growth.engine.tables import PARQUET, need_columns
from growth.engine.users import user_index
from growth.engine.where import parse_where
from growth.errors import DataError, ParameterError, suggest
from growth.result import Notice

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Collection,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )

    import ibis.expr.types as ir
    import pyarrow as pa
    from ibis.backends import BaseBackend
    from numpy.typing import NDArray

    from growth.engine.packing import KeyPart
    from growth.engine.sharded import ByUser

__all__ = ["BLOCK_DAYS", "Found", "Layout", "Refreshed", "find", "folder_of", "refresh"]

VERSION = 1
BLOCK_DAYS = 60
MANIFEST = "manifest.json"
EPOCH_DAY = date(1970, 1, 1)
KINDS: Mapping[str, Any] = {"active": ()}
ROW_GROUP = 1 << 17
FILE = "growth_file"


class Refreshed(NamedTuple):
    """What `refresh` did.

    Parameters
    ----------
    folder : str
        Where the layouts are.
    days : int
        Local days that were built anew; 0 if all was up to date.
    users, new_users, deleted_users : int
        Users there are, and how many came and went.
    files : int
        Files of the log.
    whole : bool
        Whether everything was built from nothing.
    """

    folder: str
    days: int
    users: int
    new_users: int
    deleted_users: int
    files: int
    whole: bool


class Found(NamedTuple):
    """A usable layout, or why there is none.

    Parameters
    ----------
    layout : Layout or None
        None where none was built, or none may be used.
    notices : tuple of Notice
        ``layout_stale`` where one was built and may not be used.
    """

    layout: Layout | None
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Layouts that say what the log says now; made by `find`.

    Parameters
    ----------
    folder : Path
        Where they are.
    tz : str
        The zone of the days.
    kinds : dict of str to filter data
        The activities that have bits.
    codes : dict of str to int
        The number of each event in the log of users; empty if it was not built.
    size : int
        Users and holes: every ``user_idx`` is below it.
    first_day, last_day : int
        Local days since 1970 of the log's first and last row; 0 and -1 without any.
    connection : Ibis backend
        What reads them, and nothing else.
    """

    folder: Path
    tz: str
    kinds: dict[str, Any]
    codes: dict[str, int]
    size: int
    first_day: int
    last_day: int
    connection: BaseBackend

    def users(self) -> ir.Table:
        """Return ``user_id`` and ``user_idx`` (int32), one row a user."""
        table = self._read([self.folder / "users.parquet"])
        return table.filter(table.user_id.notnull())

    def user_bits(
        self, kind: str = "active", *, first_day: int = 0, last_day: int | None = None
    ) -> ir.Table:
        """Return the days on which users did something, as bits.

        Parameters
        ----------
        kind : str, default "active"
            One of `kinds`.
        first_day, last_day : int, optional
            Local days since 1970; blocks without any of them are not read.

        Returns
        -------
        ibis.Table
            ``user_idx`` (int32), ``block`` (int32), ``bits`` (int64): bit i of block
            b is day ``60 * b + i``. Whole blocks, so mask the first and the last.

        Raises
        ------
        ParameterError
            If there is no such kind (code ``unknown_kind``).
        """
        if kind not in self.kinds:
            msg = f"kind is {kind!r}; it must be one of {sorted(self.kinds)}; refresh"
            msg = f"{msg} the layouts with it.{suggest(kind, self.kinds)}"
            raise ParameterError(msg, code="unknown_kind")
        last = self.last_day if last_day is None else last_day
        wanted = range(first_day // BLOCK_DAYS, last // BLOCK_DAYS + 1)
        folder = self.folder / "user_bits" / kind
        files = [path for path in _stored(folder) if int(path.stem) in wanted]
        return self._read(
            files, {"user_idx": "int32", "block": "int32", "bits": "int64"}
        )

    def map_log(
        self,
        codes: Mapping[str | None, int],
        *,
        time: KeyPart,
        code: KeyPart,
        kernel: Callable[..., Any],
        params: Sequence[object] = (),
    ) -> ByUser:
        """Run a kernel over each user's rows of some events; nothing is sorted anew.

        Parameters
        ----------
        codes : mapping of str to int
            The events that are read, and what stands for each in the keys; None is
            any that is not listed. One that never came has no rows.
        time, code : KeyPart
            The fields of the keys below the user; rows outside the bounds of `time`
            are left aside. Their `value` is not looked at.
        kernel, params
            As `map_by_user` has them, for ``out="loose"``.

        Returns
        -------
        ByUser
            The kernel's arrays but the first, row by row in any order.

        Raises
        ------
        ParameterError
            If the log was not built (code ``no_user_log``).
        DataError
            If it cannot be read.
        """
        first, last = (edge // DAY_US for edge in (time.start, time.end))
        other = codes.get(None)
        asked = {
            str(number): codes.get(name, other) for name, number in self.codes.items()
        }
        known = {stem: said for stem, said in asked.items() if said is not None}
        runs = [
            Run(path, known[path.stem])
            for path in self._log_files(known, first - 1, last + 1)
        ]
        with engine_call("reading layouts", self.folder):
            return map_runs(
                runs,
                users=self.size,
                time=time,
                code=code,
                kernel=kernel,
                params=params,
                threads=thread_count(self.connection),
            )

    def _log_files(
        self, stems: Collection[str], first_day: int, last_day: int
    ) -> list[Path]:
        """Return the files of the log of users that hold some events and days."""
        folder = self.folder / "user_log"
        if not folder.exists():
            msg = "there is no log of users; it must be built; refresh with log=True."
            raise ParameterError(msg, code="no_user_log")
        least, most = _month(first_day), _month(last_day)
        return [
            path
            for month in _folders(folder)
            if least <= month.name <= most
            for path in _stored(month)
            if path.stem in stems
        ]

    def _read(self, files: Sequence[Path], kinds: dict[str, str] | None = None) -> Any:  # noqa: ANN401
        import ibis

        if not files:
            return ibis.memtable([], schema=kinds or {})
        with engine_call("reading layouts", self.folder):
            return self.connection.read_parquet([escape_glob(str(f)) for f in files])


def folder_of(source: object) -> Path | None:
    """Return where the layouts of an event log are, whether built or not.

    Parameters
    ----------
    source : path, or an opened dataset
        A folder of Parquet files, or a dataset that has one as its ``events``.

    Returns
    -------
    Path or None
        ``events.layouts`` beside ``events``; None where there is no such folder, as
        for a table in a database or in memory.
    """
    log = _log_of(source)
    return (
        log.with_name(f"{log.stem if log.is_file() else log.name}.layouts")
        if log
        else None
    )


def find(
    source: object,
    *,
    kind: str | None = None,
    where: object = None,
    tz: str = "Asia/Shanghai",
    log: bool = False,
    folder: str | os.PathLike[str] | None = None,
) -> Found:
    """Return the layouts of an event log, if they say what it says now.

    Parameters
    ----------
    source : path, or an opened dataset
        The log. Anything else, such as a table, has no layouts.
    kind : str, optional
        An activity whose bits are needed.
    where : filter data, optional
        What the caller takes that activity to be; it must be what the bits were
        made from.
    tz : str, default "Asia/Shanghai"
        The zone whose days are needed.
    log : bool, default False
        Whether the log of users is needed.
    folder : path, optional
        Where the layouts are, if not beside the log.

    Returns
    -------
    Found
        The layout; or None, with notice ``layout_stale`` if there is one that
        differs in its version, zone or definition, or in the files it was made
        from.

    Raises
    ------
    ParameterError
        If `where` is no filter.
    """
    events = _log_of(source)
    place = Path(folder) if folder is not None else folder_of(source)
    if events is None or place is None or not (place / MANIFEST).is_file():
        return Found(None)
    manifest = _manifest(place)
    reason = _differs(manifest, tz, kind, where, log=log)
    if reason is None:
        stored = [_Source(**item) for item in manifest["sources"]]
        seen = {(item.path, item.size, item.mtime_ns) for item in stored}
        now = {
            (path.relative_to(_root(events)).as_posix(), *_stat(path))
            for path in _files(events)
        }
        if now == seen:
            return Found(_layout(place, manifest, stored))
        reason = f"files: {len(now ^ seen)}"
    args = (("folder", str(place)), ("reason", reason))
    return Found(None, (Notice("layout_stale", args=args),))


def refresh(
    source: object,
    *,
    kinds: Mapping[str, object] | None = None,
    tz: str = "Asia/Shanghai",
    log: bool = True,
    folder: str | os.PathLike[str] | None = None,
    memory_limit: str | None = None,
) -> Refreshed:
    """Build the layouts of an event log, or bring them up to what it says now.

    Only days of files that are new, changed or gone are built anew: the bit of such
    a day is cleared for all users, then set for those that were active, so that
    running it again, or after a correction, gives what building anew gives.

    Parameters
    ----------
    source : path, or an opened dataset
        A folder of Parquet files with ``user_id``, ``ts`` and (for the log)
        ``event``; or a dataset that has one as its ``events``.
    kinds : mapping of str to filter data, optional
        Activities that get bits, by name; () is any row. ``{"active": ()}`` and
        those built before if omitted. A name is of letters, digits, ``_`` and ``-``.
    tz : str, default "Asia/Shanghai"
        The zone of the days; another one builds everything anew.
    log : bool, default True
        Whether the log of users is kept too.
    folder : path, optional
        Where the layouts go; beside the log if omitted.
    memory_limit : str, optional
        Of the engine, such as ``"2GB"``.

    Returns
    -------
    Refreshed
        What was done.

    Raises
    ------
    ParameterError
        If there is no folder of Parquet files (code ``layout_source``), another
        process is at it (``layout_busy``), or a kind or zone is unusable
        (``bad_kind``, ``bad_timezone``).
    ColumnNotFoundError
        If a column is missing.
    DataError
        If a file cannot be read, or a time has no statistics (``engine_failed``).

    Notes
    -----
    Every file is written aside and renamed, the manifest last: a run that was cut
    short leaves layouts that no longer match the log, which are not used.
    """
    zone(tz)
    events = _log_of(source)
    files = _files(events) if events is not None else []
    if events is None or not files:
        msg = f"source is {source!r}; it must be a folder of Parquet files, or a"
        msg = f"{msg} dataset whose events are one; pass its path."
        raise ParameterError(msg, code="layout_source")
    place = Path(folder) if folder is not None else folder_of(source)
    assert place is not None
    place.mkdir(parents=True, exist_ok=True)
    with _held(place):
        old = _manifest(place) if (place / MANIFEST).is_file() else {}
        if old and (old.get("version"), old.get("tz")) != (VERSION, tz):
            _clear(place)
            old = {}
        stored = dict(old.get("kinds", {})) if kinds is None else {}
        asked = _checked_kinds(kinds if kinds is not None else stored or KINDS)
        connection = connect(memory_limit=memory_limit)
        build = _Build(connection, place, _root(events), tz, old)
        return build.run(files, asked, log=log)


class _Source(NamedTuple):
    """A file of the log, as it was when the layouts were made."""

    path: str
    size: int
    mtime_ns: int
    rows: int
    first_day: int
    last_day: int
    max_ingested_ts: str | None

    @property
    def days(self) -> range:
        return range(self.first_day, self.last_day + 1)


class _Build:
    """One refresh: what was, what is, and what has to be made anew."""

    def __init__(
        self,
        connection: BaseBackend,
        place: Path,
        root: Path,
        tz: str,
        old: dict[str, Any],
    ) -> None:
        self.connection = connection
        self.place = place
        self.root = root
        self.tz = tz
        self.old = old
        self.sources: list[_Source] = []

    def run(
        self, files: Sequence[Path], kinds: dict[str, Any], *, log: bool
    ) -> Refreshed:
        before = {item["path"]: _Source(**item) for item in self.old.get("sources", [])}
        self.sources = self._facts(files, before)
        now = {item.path: item for item in self.sources}
        fresh = [item for item in self.sources if before.get(item.path) != item]
        gone = [item for item in before.values() if now.get(item.path) != item]
        changed = {day for item in (*fresh, *gone) for day in item.days}
        every = {day for item in self.sources for day in item.days} | changed
        users, new, deleted = self._number_users(fresh, checking=bool(gone))
        renewed: set[int] = set(changed) if not self.old else set()
        for kind, where in kinds.items():
            same = self.old.get("kinds", {}).get(kind) == _written(where)
            days = changed if same else every
            renewed |= days
            if days:
                self._bits(kind, where, days, whole=not same)
        for folder in _folders(self.place / "user_bits"):
            if folder.name not in kinds:
                shutil.rmtree(folder)
        codes = list(self.old.get("codes", []))
        if log:
            built = self.old.get("log", False)
            days = changed if built else every
            renewed |= days
            codes = self._log(codes, days)
        else:
            shutil.rmtree(self.place / "user_log", ignore_errors=True)
            codes = []
        manifest = {
            "version": VERSION,
            "tz": self.tz,
            "kinds": {kind: _written(where) for kind, where in kinds.items()},
            "definitions": {kind: _hash(where) for kind, where in kinds.items()},
            "log": log,
            "codes": codes,
            "users": users,
            "sources": [item._asdict() for item in self.sources],
        }
        _write_text(self.place / MANIFEST, json.dumps(manifest, indent=1))
        return Refreshed(
            str(self.place),
            len(renewed),
            users - _holes(self.place),
            new,
            deleted,
            len(files),
            not self.old,
        )

    def _facts(
        self, files: Sequence[Path], before: Mapping[str, _Source]
    ) -> list[_Source]:
        """Return each file's facts; those known by size and time are not read."""
        found = {}
        for path in files:
            name = path.relative_to(self.root).as_posix()
            known = before.get(name, _Source(name, -1, 0, 0, 0, -1, None))
            size, mtime = _stat(path)
            found[path] = known._replace(size=size, mtime_ns=mtime)
        fresh = [path for path, item in found.items() if before.get(item.path) != item]
        if fresh:
            table = self._read(fresh, filename=FILE)
            need_columns(table, ["user_id", "ts"])
            day = local_day(table.ts, self.tz)
            asked = {"rows": table.count(), "first": day.min(), "last": day.max()}
            if "ingested_ts" in table.columns:
                asked["ingested"] = table.ingested_ts.max().cast("string")
            facts = fetch(table.group_by(FILE).agg(**asked), "reading an event log")
            by_file = {row[FILE]: row for row in facts.to_pylist()}
            for path in fresh:
                row = by_file.get(str(path), {"rows": 0, "first": None})
                first, last = row["first"], row.get("last")
                found[path] = found[path]._replace(
                    rows=row["rows"],
                    first_day=0 if first is None else first,
                    last_day=-1 if last is None else last,
                    max_ingested_ts=row.get("ingested"),
                )
        return list(found.values())

    def _read(self, files: Iterable[Path], **options: str) -> ir.Table:
        paths = [str(path) for path in files]
        with engine_call("reading an event log", self.root):
            return self.connection.read_parquet(
                [escape_glob(path) for path in paths],
                union_by_name=True,
                hive_partitioning=any("=" in path for path in paths),
                **options,
            )

    def _rows(self, days: Collection[int]) -> ir.Table | None:
        """Return the known rows of some days, with ``day`` and ``user_idx``."""
        least, most = min(days), max(days)
        files = [
            self.root / item.path
            for item in self.sources
            if item.first_day <= most
            and item.last_day >= least
            and not set(item.days).isdisjoint(days)
        ]
        if not files:
            return None
        table = self._read(files)
        table = table.filter(table.user_id.notnull() & table.ts.notnull())
        table = table.mutate(growth_day=local_day(table.ts, self.tz))
        inside = table.growth_day.between(least, most)
        if len(days) < most - least + 1:
            inside = inside & table.growth_day.isin(sorted(days))
        users = self.connection.read_parquet(
            escape_glob(str(self.place / "users.parquet"))
        )
        users = users.select(growth_user=users.user_id, growth_idx=users.user_idx)
        named = table.user_id.cast("string") == users.growth_user
        return table.filter(inside).join(users, named)

    def _number_users(
        self, fresh: Sequence[_Source], *, checking: bool
    ) -> tuple[int, int, int]:
        """Append new users; where rows went away, leave holes for users without any."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        path = self.place / "users.parquet"
        kind = pa.schema([("user_id", pa.string()), ("user_idx", pa.int32())])
        known = (
            pq.read_table(path, memory_map=False)
            if path.exists() and self.old
            else kind.empty_table()
        )
        held = len(known)
        deleted = 0
        look = self.sources if checking else fresh
        seen = None
        if look:
            table = self._read([self.root / item.path for item in look])
            table = table.select(user_id=table.user_id.cast("string"))
            if checking:
                seen = fetch(
                    table.filter(table.user_id.notnull()).distinct(), "numbering users"
                )
                there = pc.is_in(known["user_id"], seen["user_id"])
                going = pc.and_(pc.invert(there), pc.is_valid(known["user_id"]))
                deleted = pc.sum(going).as_py() or 0
                ids = pc.if_else(going, pa.scalar(None, pa.string()), known["user_id"])
                known = pa.table({"user_id": ids, "user_idx": known["user_idx"]})
                table = seen
            known = user_index(table, previous=known.cast(kind))
        if len(known) != held or deleted or not path.exists() or not self.old:
            _write_table(path, known.cast(kind))
        return len(known), len(known) - held, deleted

    def _bits(self, kind: str, where: Any, days: set[int], *, whole: bool) -> None:  # noqa: ANN401
        """Clear the days' bits for all users, then set those of the active ones."""
        import pyarrow.parquet as pq

        folder = self.place / "user_bits" / kind
        if whole:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        size = pq.read_metadata(self.place / "users.parquet").num_rows
        masks: dict[int, int] = {}
        for day in days:
            block, bit = divmod(day, BLOCK_DAYS)
            masks[block] = masks.get(block, 0) | 1 << bit
        words: dict[int, NDArray[np.int64]] = {}
        for block, mask in masks.items():
            words[block] = np.zeros(size, np.int64)
            path = folder / f"{block}.parquet"
            if path.exists():
                stored = pq.read_table(path, columns=["user_idx", "bits"])
                kept = stored["bits"].to_numpy() & ~np.int64(mask)
                words[block][stored["user_idx"].to_numpy()] = kept
        rows = self._rows(days)
        if rows is not None:
            if where:
                rows = rows.filter(parse_where(where).to_ibis(rows))
            block = floor_divide(rows.growth_day.cast("int64"), BLOCK_DAYS)
            marked = rows.select(
                "growth_idx",
                block=block,
                bit=shift(rows.growth_day.cast("int64") - block * BLOCK_DAYS),
            )
            found = marked.group_by(["growth_idx", "block"]).agg(
                bits=bit_or(marked.bit)
            )
            for batch in stream_batches(found):
                who, of, bits = (column.to_numpy() for column in batch.columns)
                for block in np.unique(of).tolist():
                    mine = of == block
                    words[block][who[mine]] |= bits[mine]
        for block, bits in words.items():
            _write_bits(folder / f"{block}.parquet", block, bits)

    def _log(self, codes: list[str], days: set[int]) -> list[str]:
        """Rewrite the months of some days."""
        import ibis
        import pyarrow as pa

        folder = self.place / "user_log"
        folder.mkdir(parents=True, exist_ok=True)
        months = sorted({_month(day) for day in days})
        for month in months:
            first, last = _days_of(month)
            rows = self._rows(range(first, last + 1))
            if rows is None:
                shutil.rmtree(folder / month, ignore_errors=True)
                continue
            need_columns(rows, ["event"])
            names = fetch(rows.select("event").distinct(), "numbering events")
            codes += sorted(set(names["event"].drop_null().to_pylist()) - set(codes))
            if len(codes) > np.iinfo(np.int16).max:
                msg = f"there are {len(codes)} kinds of events; an int16 numbers 32767"
                msg = f"{msg} at most; refresh with log=False."
                raise DataError(msg, code="too_many_events")
            numbered = {
                "growth_event": pa.array(codes, pa.string()),
                "code": pa.array(range(len(codes)), pa.int16()),
            }
            known = ibis.memtable(pa.table(numbered))
            coded = rows.join(known, rows.event == known.growth_event)
            log = coded.select(
                user_idx=coded.growth_idx,
                ts=coded.ts.cast("timestamp('UTC', 6)"),
                code=coded.code,
            )
            _write_month(folder / month, log.order_by(["code", "user_idx", "ts"]))
        return codes


def _log_of(source: object) -> Path | None:
    """Return the folder or file that is an event log, if `source` names one."""
    if not isinstance(source, str | os.PathLike):
        source = getattr(source, "location", None)
        if not isinstance(source, str):
            return None
    path = Path(os.path.abspath(os.path.expanduser(os.fspath(source))))
    for inner in (path / "events", path / "events.parquet"):
        if inner.exists():
            return inner
    if path.is_dir() or (path.is_file() and path.name.endswith(PARQUET)):
        return path
    return None


def _root(events: Path) -> Path:
    return events if events.is_dir() else events.parent


def _files(events: Path) -> list[Path]:
    if events.is_file():
        return [events]
    return sorted(path for suffix in PARQUET for path in events.rglob(f"*{suffix}"))


def _stat(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _stored(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("[!.]*") if path.is_dir())


def _holes(place: Path) -> int:
    import pyarrow.parquet as pq

    ids = pq.read_table(place / "users.parquet", columns=["user_id"])["user_id"]
    return int(ids.null_count)


def _layout(place: Path, manifest: dict[str, Any], stored: list[_Source]) -> Layout:
    days = [
        day for item in stored if item.rows for day in (item.first_day, item.last_day)
    ]
    return Layout(
        folder=place,
        tz=manifest["tz"],
        kinds=manifest["kinds"],
        codes={name: code for code, name in enumerate(manifest["codes"])},
        size=manifest["users"],
        first_day=min(days, default=0),
        last_day=max(days, default=-1),
        connection=connect(place),
    )


def _differs(
    manifest: dict[str, Any],
    tz: str,
    kind: str | None,
    where: object,
    *,
    log: bool,
) -> str | None:
    """Return why layouts may not be used, whatever files there are."""
    if manifest.get("version") != VERSION:
        return f"version: {manifest.get('version')}"
    if manifest["tz"] != tz:
        return f"zone: {manifest['tz']}"
    if kind is not None and kind not in manifest["kinds"]:
        return f"kind: {kind}"
    if kind is not None and manifest["definitions"][kind] != _hash(where or ()):
        return f"definition: {kind}"
    return "log" if log and not manifest["log"] else None


def _manifest(place: Path) -> dict[str, Any]:
    """Read the manifest; one that cannot be read is of no version."""
    try:
        found = json.loads((place / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return {"version": None}
    return found if isinstance(found, dict) else {"version": None}


def _checked_kinds(kinds: Mapping[str, object]) -> dict[str, Any]:
    for kind, where in kinds.items():
        if not kind or not all(c.isalnum() or c in "_-" for c in kind):
            msg = f"a kind is named {kind!r}; a name is of letters, digits, '_' and"
            raise ParameterError(f"{msg} '-'; rename it.", code="bad_kind")
        if where:
            parse_where(where)
    return dict(kinds)


def _written(where: Any) -> Any:  # noqa: ANN401
    """Return filter data in one form, as JSON gives it back."""
    data = parse_where(where).to_data() if where else []
    return json.loads(json.dumps(data, sort_keys=True, default=_spelled))


def _spelled(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _hash(where: object) -> str:
    text = json.dumps(_written(where), sort_keys=True)
    return sha256(text.encode()).hexdigest()


def _month(day: int) -> str:
    return (EPOCH_DAY + timedelta(days=day)).strftime("%Y-%m")


def _days_of(month: str) -> tuple[int, int]:
    first = date.fromisoformat(f"{month}-01")
    later = (first + timedelta(days=31)).replace(day=1)
    return (first - EPOCH_DAY).days, (later - EPOCH_DAY).days - 1


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}-{os.getpid()}")


def _write_text(path: Path, text: str) -> None:
    aside = _aside(path)
    aside.write_text(text, "utf-8")
    aside.replace(path)


def _write_table(path: Path, table: pa.Table) -> None:
    import pyarrow.parquet as pq

    aside = _aside(path)
    pq.write_table(table, aside, compression="lz4", row_group_size=ROW_GROUP)
    aside.replace(path)


def _write_bits(path: Path, block: int, bits: NDArray[np.int64]) -> None:
    """Write a block's words, those without a bit left out."""
    import pyarrow as pa

    who = np.flatnonzero(bits)
    if not who.size:
        path.unlink(missing_ok=True)
        return
    columns = {
        "user_idx": who.astype(np.int32),
        "block": np.full(who.size, block, np.int32),
        "bits": bits[who],
    }
    _write_table(path, pa.table(columns))


def _write_month(folder: Path, rows: ir.Table) -> None:
    """Write a month's rows, in order of their codes, a file a code.

    Users and times are plain: packing numbers that hardly repeat costs reading them
    two to three times as much, and saves no room.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    aside = _aside(folder)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    writers: dict[int, Any] = {}
    kinds = rows.schema().to_pyarrow()
    known = pa.schema([field.with_nullable(nullable=False) for field in kinds])
    try:
        for batch in stream_batches(rows):
            for code in pc.unique(batch.column("code")).to_pylist():
                part = batch.filter(pc.equal(batch.column("code"), code))
                if code not in writers:
                    for writer in writers.values():  # codes come one after another
                        writer.close()
                    path = aside / f"{code}.parquet"
                    writers[code] = pq.ParquetWriter(
                        path, known, compression="none", use_dictionary=["code"]
                    )
                part = pa.RecordBatch.from_arrays(part.columns, schema=known)
                writers[code].write_batch(part, row_group_size=ROW_GROUP)
    finally:
        for writer in writers.values():
            writer.close()
    shutil.rmtree(folder, ignore_errors=True)
    aside.replace(folder)


def _clear(place: Path) -> None:
    """Remove the layouts, and nothing that is none of them."""
    (place / MANIFEST).unlink(missing_ok=True)
    (place / "users.parquet").unlink(missing_ok=True)
    for name in ("user_bits", "user_log"):
        shutil.rmtree(place / name, ignore_errors=True)


@contextmanager
def _held(place: Path) -> Iterator[None]:
    """Keep other refreshes out."""
    with open(place / "lock", "w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            msg = f"layouts at {str(place)!r} are being refreshed by another process;"
            msg = f"{msg} one at a time may; wait for it to end."
            raise ParameterError(msg, code="layout_busy") from error
        yield
