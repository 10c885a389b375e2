"""Tags with a dated history: a snapshot a day, never changed behind one's back."""

from __future__ import annotations

import json
import shutil
from bisect import bisect_right
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import uuid4

from growth.engine import as_table, backend_of, fetch, local_day, need_columns
from growth.engine.tables import TableLike  # noqa: TC001  (part of the interface)
from growth.errors import DataError, ParameterError
from growth.result import Cell, Result
from growth.segments.audit import append_audit, need_purpose
from growth.segments.evaluate import FIRST_DAY
from growth.segments.tables import check_as_of, freeze, tag
from growth.segments.tables.logs import Logs
from growth.stats.arguments import whole

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    import ibis.expr.types as ir

    from growth.segments.context import Context
    from growth.segments.rules import Rules

__all__ = ["History", "Snapshot", "history", "snapshot"]

PART: Final = "part-0.parquet"
META: Final = "_meta.json"
VERSIONS: Final = "_versions"
SCHEMA: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot(Result):
    """All tags of all users at one `as_of`, as they lie on disk.

    Parameters
    ----------
    tagset : str
        Which tags.
    as_of : date
        The last day counted.
    path : str
        The folder.
    users : int
        Rows.
    done : {"written", "same", "replaced"}
        ``same``: it was there already, byte for byte; nothing was done.
    rule_hashes : tuple of (str, str)
        By tag.
    sha256 : str
        Of the Parquet file.
    """

    tagset: str
    as_of: date
    path: str
    users: int
    done: Literal["written", "same", "replaced"]
    rule_hashes: tuple[tuple[str, str], ...]
    sha256: str

    @property
    def verdict(self) -> str:
        """`written`, `same` or `replaced`."""
        return f"segments.snapshot.{self.done}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a tag."""
        return [{"tag": name, "rule_hash": told} for name, told in self.rule_hashes]


def snapshot(
    data: Any,  # noqa: ANN401  (a Dataset, or tables by name)
    rules: Rules,
    *,
    as_of: date,
    root: str | os.PathLike[str],
    tagset: str = "tags",
    context: Context | None = None,
    replace: bool = False,
    purpose: str = "",
    incremental: bool = False,
    lateness: int = 3,
    user_col: str = "user_id",
) -> Snapshot:
    """Keep all tags of all users at one `as_of`.

    Parameters
    ----------
    data : Dataset or mapping of str to table
        Canonical tables.
    rules : Rules
        The tags.
    as_of : datetime.date
        The last day counted; a day long past gives what that day would have given,
        as far as the rows of then are still there.
    root : path
        Folder of the snapshots; made if it is not there.
    tagset : str, default "tags"
        What these tags are called together: lower-case letters, digits, ``_ -``.
    context : Context, optional
        Frozen yardsticks; taken from the data at `as_of` if omitted. They are kept
        with the snapshot.
    replace : bool, default False
        Put another snapshot of the same date in place; the old one is kept under
        ``_versions`` and the replacement goes to the audit.
    purpose : str, default ""
        Why it is replaced; required then.
    incremental : bool, default False
        Hold partials of each user and day of events (participations, points) under
        ``<root>/partials/<tagset>``, so that the next day reads its own rows and
        those of the `lateness` days before only.
    lateness : int, default 3
        Local days that rows may be late, 0 or more.
    user_col : str, default "user_id"
        Who.

    Returns
    -------
    Snapshot
        ``<root>/snapshots/<tagset>/as_of=YYYY-MM-DD/`` with ``part-0.parquet``
        (sorted by user, a column a tag) and ``_meta.json``.

    Raises
    ------
    ParameterError
        If another snapshot of that date is there (code ``snapshot_exists``), a
        replacement has no purpose (``purpose_missing``), `tagset` cannot be a
        folder's name (``bad_name``), or `lateness` is negative (``bad_lateness``).
    DataError
        As `growth.segments.tag`.

    Notes
    -----
    Written aside and renamed: a run killed half-way leaves nothing that is read.
    The same inputs give the same bytes, so a second run changes nothing, and an
    incremental one is byte for byte the full one. Orders, members and messages are
    read whole: their rows change after their day. Rows later than `lateness` are
    noticed by their number; their days are read again (``segments_late_rows``).
    """
    check_as_of(as_of)
    if not tagset or not all(c.isalnum() or c in "_-" for c in tagset):
        msg = f"tagset is {tagset!r}; it must be letters, digits, _ or -; rename it."
        raise ParameterError(msg, code="bad_name")
    remedy = "leave it out for 3 days"
    lateness = whole(lateness, "lateness", least=0, code="bad_lateness", remedy=remedy)
    logs = Logs(Path(root) / "partials" / tagset, lateness) if incremental else None
    seen: dict[str, Any] = {"as_of": as_of, "user_col": user_col, "logs": logs}
    frozen = context or freeze(data, rules, **seen)
    found = tag(data, rules, context=frozen, **seen)
    rows = fetch(found, "taking a snapshot").sort_by(user_col)
    body = _parquet(rows)
    from growth import __version__

    hashes = rules.hashes()
    meta = {
        "schema": SCHEMA,
        "tagset": tagset,
        "as_of": as_of.isoformat(),
        "user_col": user_col,
        "users": len(rows),
        "rule_hashes": hashes,
        "rules": json.loads(rules.to_json()),
        "context": json.loads(frozen.to_json()),
        "data": _fingerprint(data),
        "versions": {"growth": __version__},
        "sha256": sha256(body).hexdigest(),
    }
    folder = Path(root) / "snapshots" / tagset / f"as_of={as_of.isoformat()}"
    done = _keep(folder, body, meta, replace=replace, purpose=purpose, root=Path(root))
    return Snapshot(
        tagset=tagset,
        as_of=as_of,
        path=str(folder),
        users=len(rows),
        done=done,
        rule_hashes=tuple(hashes.items()),
        sha256=str(meta["sha256"]),
        notices=(*frozen.notices, *(logs.notices if logs else ())),
    )


def _keep(
    folder: Path,
    body: bytes,
    meta: dict[str, Any],
    *,
    replace: bool,
    purpose: str,
    root: Path,
) -> Literal["written", "same", "replaced"]:
    """Write aside, then rename; an earlier snapshot is kept as a version."""
    old = _meta(folder) if folder.exists() else None
    if old is not None:
        same = old["sha256"] == meta["sha256"]
        if same and old["rule_hashes"] == meta["rule_hashes"]:
            return "same"
        if not replace:
            alike = old["rule_hashes"] == meta["rule_hashes"]
            why = "the same rules over other rows" if alike else "other rules"
            msg = f"{folder} holds a snapshot by {why}; a date has one; pass"
            msg = f"{msg} replace=True and a purpose to put this in its place."
            raise ParameterError(msg, code="snapshot_exists")
        need_purpose(purpose)
    folder.parent.mkdir(parents=True, exist_ok=True)
    for stale in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(stale, ignore_errors=True)
    aside = folder.parent / f".{folder.name}.{uuid4().hex[:8]}"
    aside.mkdir()
    (aside / PART).write_bytes(body)
    text = json.dumps(meta, ensure_ascii=False, indent=1)
    (aside / META).write_text(text, "utf-8")
    if old is None:
        aside.rename(folder)
        return "written"
    versions = folder.parent / VERSIONS / folder.name
    versions.mkdir(parents=True, exist_ok=True)
    number = len(list(versions.iterdir())) + 1
    folder.rename(versions / str(number))
    aside.rename(folder)
    append_audit(
        root,
        verb="replace",
        purpose=purpose,
        rows=meta["users"],
        columns=list(meta["rule_hashes"]),
        rule_hashes=meta["rule_hashes"],
        as_of=meta["as_of"],
    )
    return "replaced"


def _parquet(rows: Any) -> bytes:  # noqa: ANN401
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    plain = rows.replace_schema_metadata(None).combine_chunks()
    pq.write_table(plain, sink, compression="zstd")
    return bytes(sink.getvalue())


def _fingerprint(data: Any) -> list[list[object]]:  # noqa: ANN401
    """Return name and size of the files behind a dataset; none for rows in hand."""
    files = getattr(data, "source_files", None)
    if files is None:
        return []
    return [[path.name, path.stat().st_size] for path in files()]


def _meta(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / META).read_text("utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{folder} has no readable {META}; a snapshot is a folder with both its"
        msg = f"{msg} files; take it away and take the snapshot again."
        raise DataError(msg, code="snapshot_damaged") from error
    return found


class History:
    """The snapshots of one tagset, by date. Made by `growth.segments.history`.

    Parameters
    ----------
    folder : Path
        ``<root>/snapshots/<tagset>``.
    """

    __slots__ = ("dates", "folder")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        names = sorted(p.name for p in folder.glob("as_of=*") if p.is_dir())
        self.dates = tuple(date.fromisoformat(n.partition("=")[2]) for n in names)

    def __repr__(self) -> str:
        """Show where it is and how far it reaches."""
        if not self.dates:
            return f"<History {self.folder}: empty>"
        ends = f"{self.dates[0]} to {self.dates[-1]}"
        return f"<History {self.folder}: {len(self.dates)} snapshots, {ends}>"

    def newest(self, day: date) -> date:
        """Return the date of the newest snapshot not after a day.

        Parameters
        ----------
        day : datetime.date
            The day.

        Returns
        -------
        datetime.date
            The snapshot's `as_of`.

        Raises
        ------
        DataError
            If there is none (code ``snapshot_missing``).
        """
        at = bisect_right(self.dates, day)
        if not at:
            told = f"the first is of {self.dates[0]}" if self.dates else "there is none"
            msg = f"no snapshot is of {day} or before; {told}; take one with snapshot()"
            raise DataError(f"{msg}.", code="snapshot_missing")
        return self.dates[at - 1]

    def meta(self, day: date) -> dict[str, Any]:
        """Return what is kept beside the newest snapshot not after a day.

        Parameters
        ----------
        day : datetime.date
            The day.

        Returns
        -------
        dict
            ``rule_hashes``, ``rules``, ``context``, ``users`` and so on.

        Raises
        ------
        DataError
            If there is none (code ``snapshot_missing``).
        """
        return _meta(self._at(self.newest(day)))

    def table(self, day: date, *, connection: Any = None) -> ir.Table:  # noqa: ANN401
        """Return the newest snapshot not after a day.

        Parameters
        ----------
        day : datetime.date
            The day.
        connection : Ibis back end, optional
            Where it is to be read; the default engine if omitted.

        Returns
        -------
        ibis.Table
            A row a user, a column a tag.

        Raises
        ------
        DataError
            If there is none (code ``snapshot_missing``).
        """
        import pyarrow.parquet as pq

        # as rows in hand: an engine may be locked to another folder
        rows = pq.read_table(self._at(self.newest(day)) / PART)
        return as_table(rows, connection=connection)

    def join(
        self,
        rows: TableLike,
        *,
        ts_col: str = "ts",
        tz: str = "Asia/Shanghai",
        before: bool = False,
        user_col: str = "user_id",
    ) -> ir.Table:
        """Add the tags each user had on the day of each row.

        Parameters
        ----------
        rows : ibis.Table, frame, Arrow data or path
            Rows with a user and a time or date.
        ts_col : str, default "ts"
            When.
        tz : str, default "Asia/Shanghai"
            The zone whose midnights end a day.
        before : bool, default False
            Take snapshots of the days before only: what an A/B test needs, whose
            breakdowns must not see the exposure.
        user_col : str, default "user_id"
            Who, in the rows and in the snapshots.

        Returns
        -------
        ibis.Table
            The rows with a column a tag, of the newest snapshot not after the row's
            local date; NULL where there is none, or the user is not in it.

        Raises
        ------
        ColumnNotFoundError
            If a column is missing.
        ParameterError
            If the rows have a tag's column already (code ``column_twice``).
        DataError
            If there is no snapshot at all (code ``snapshot_missing``).
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self.dates:
            self.newest(FIRST_DAY)
        table = as_table(rows)
        need_columns(table, [user_col, ts_col])
        parts = []
        for day in self.dates:
            part = pq.read_table(self._at(day) / PART)
            number = pa.array([(day - FIRST_DAY).days] * len(part), pa.int32())
            parts.append(part.append_column("growth_day", number))
        held = pa.concat_tables(parts, promote_options="permissive")
        tags = [n for n in held.column_names if n not in (user_col, "growth_day")]
        _refuse_columns(table.columns, tags)
        held = held.rename_columns(
            ["growth_user" if n == user_col else n for n in held.column_names]
        )
        past = as_table(held, connection=backend_of(table))
        day_of = local_day(table[ts_col], tz)
        table = table.mutate(growth_at=_newest(day_of, self.dates, before=before))
        joined = table.left_join(
            past,
            [
                table[user_col] == past.growth_user,
                table.growth_at == past.growth_day,
            ],
        )
        return joined.select(*as_table(rows).columns, *tags)

    def _at(self, day: date) -> Path:
        return self.folder / f"as_of={day.isoformat()}"


def _refuse_columns(columns: Iterable[str], tags: Sequence[str]) -> None:
    own = {*tags, "growth_at", "growth_day", "growth_user"}
    taken = [name for name in columns if name in own]
    if taken:
        msg = f"the rows have the columns {taken} already; the join adds columns of"
        msg = f"{msg} these names, so that rows must not; drop or rename them first."
        raise ParameterError(msg, code="column_twice")


def _newest(day: ir.Value, dates: tuple[date, ...], *, before: bool) -> ir.Value:
    """Return the day of the newest snapshot not after a day (or before it)."""
    found = day.nullif(day)
    for held in dates:
        number = (held - FIRST_DAY).days
        fits = day > number if before else day >= number
        found = fits.ifelse(number, found)
    return found.cast("int32")


def history(root: str | os.PathLike[str], *, tagset: str = "tags") -> History:
    """Open the snapshots under a folder.

    Parameters
    ----------
    root : path
        As given to `snapshot`.
    tagset : str, default "tags"
        Which tags.

    Returns
    -------
    History
        Its `dates`, `table` and `join`.

    Raises
    ------
    DataError
        If there are none (code ``snapshot_missing``).
    """
    folder = Path(root) / "snapshots" / tagset
    found = History(folder)
    if not found.dates:
        msg = f"{folder} holds no snapshot; it must hold one of each date asked about;"
        raise DataError(f"{msg} take one with snapshot().", code="snapshot_missing")
    return found
