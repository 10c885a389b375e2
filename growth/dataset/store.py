"""Writing a load: aside first, then renamed in one go; or its rejects alone."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from growth.dataset.arrow import compute
from growth.dataset.report import MAX_DUPLICATE_RATE, MAX_ID_RATE, MAX_ORPHAN_RATE
from growth.dataset.schema import SCHEMA
from growth.dataset.validate import FAILURES
from growth.dataset.work import rejects_schema
from growth.errors import LoadRefusedError, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from growth.dataset.report import LoadReport
    from growth.dataset.schema import TableSchema
    from growth.dataset.work import Loaded

__all__ = ["REPORT_FILE", "keep", "last_report"]

REPORT_FILE: Final = "load.json"
REJECTS_FILE: Final = "rejects.parquet"


def keep(done: Loaded, folder: Path) -> None:
    """Write a load: all of it, or the rejects alone.

    Parameters
    ----------
    done : Loaded
        What the load made.
    folder : Path
        Where to; made if absent. Other tables there stay.

    Raises
    ------
    LoadRefusedError
        If the load is over its limits; the rejects are written.
    StoreError
        If the folder cannot be written; nothing is kept.
    """
    import pyarrow.parquet as pq

    try:
        folder.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".incoming-", dir=folder))
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        rejects = _with_others(done, folder / REJECTS_FILE)
        pq.write_table(rejects, aside / REJECTS_FILE, compression="zstd")
        if done.report.refused:
            (aside / REJECTS_FILE).replace(folder / REJECTS_FILE)
            raise _refusal(done, folder)
        for name, table in done.tables.items():
            _write(SCHEMA[name], table, aside)
        reports = [
            r for r in _reports(folder) if r["tables"][0]["table"] != done.report.table
        ]
        text = json.dumps(
            [*reports, done.report.to_dict()], ensure_ascii=False, indent=1
        )
        (aside / REPORT_FILE).write_text(text + "\n", encoding="utf-8")
        _swap_in(aside, folder, [*done.tables])
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _unwritable(folder: Path, error: OSError) -> StoreError:
    msg = (
        f"{folder} cannot be written ({error.strerror or error}); it must be a folder "
    )
    return StoreError(f"{msg}with room; nothing was kept, correct it and load again.")


def _write(schema: TableSchema, table: pa.Table, folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pc = compute()
    if not schema.parts or "ds" not in table.column_names:
        pq.write_table(table, folder / f"{schema.name}.parquet", compression="zstd")
        return
    target = folder / schema.name
    target.mkdir()
    days = table.column("ds").cast(pa.string())
    labels = days if schema.parts == "day" else pc.utf8_slice_codeunits(days, 0, 7)
    labels = labels.fill_null("undated")
    for label in sorted(pc.unique(labels).to_pylist()):
        part = table.filter(pc.equal(labels, label))
        if schema.parts == "day":
            path = target / f"ds={label}" / "part-0.parquet"
            path.parent.mkdir()
            part = part.drop_columns(["ds"])
        else:
            path = target / f"{label}.parquet"
        pq.write_table(part, path, compression="zstd")


def _swap_in(aside: Path, folder: Path, tables: Sequence[str]) -> None:
    """Rename what was written aside; what it replaces goes last."""
    old = aside / "replaced"
    old.mkdir()
    for name in tables:
        for path in (folder / name, folder / f"{name}.parquet", folder / f"{name}.csv"):
            if path.exists():
                path.replace(old / path.name)
        for path in (aside / name, aside / f"{name}.parquet"):
            if path.exists():
                path.replace(folder / path.name)
    for name in (REJECTS_FILE, REPORT_FILE):
        (aside / name).replace(folder / name)


def _with_others(done: Loaded, path: Path) -> pa.Table:
    """Return the rejects, with those of other tables that stand there already."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pc = compute()
    if not path.is_file():
        return done.rejects
    before = pq.read_table(path, schema=rejects_schema())
    ours = pc.is_in(before.column("table"), pa.array([*done.tables]))
    return pa.concat_tables([before.filter(pc.invert(ours)), done.rejects])


def _reports(folder: Path) -> list[dict[str, Any]]:
    path = folder / REPORT_FILE
    if not path.is_file():
        return []
    found = json.loads(path.read_text(encoding="utf-8"))
    return [item for item in found if isinstance(item, dict)]


def last_report(folder: Path, table: str) -> dict[str, Any]:
    """Return the report kept of the load of one table."""
    return next(r for r in _reports(folder) if r["tables"][0]["table"] == table)


def _refusal(done: Loaded, folder: Path) -> LoadRefusedError:
    report = done.report
    count = report.tables[0]
    reasons = ", ".join(f"{reason} {rows}" for reason, rows in count.rejected) or "none"
    lost = count.rows_in - count.accepted
    msg = (
        f"{lost:,} of {count.rows_in:,} rows of {done.sources} were rejected "
        f"({reasons}): {_why(report)}. Only the rejects were written, to "
        f"{folder / REJECTS_FILE}; correct the source or the mapping"
    )
    if "bad_rows" in report.over_limits:
        msg += ", or state a higher max_reject_rate under [table]"
    error = LoadRefusedError(f"{msg}.")
    error.report = report
    return error


def _why(report: LoadReport) -> str:
    """Return what was over which limit."""
    count = report.tables[0]
    words = {
        "none_accepted": "not one row was accepted",
        "bad_rows": f"{count.share(*FAILURES):.2%} bad rows, where at most "
        f"{report.max_reject_rate:.2%} may be",
        "duplicates": f"{count.share('duplicate_key'):.2%} duplicates, where at most "
        f"{MAX_DUPLICATE_RATE:.0%} may be",
        "orphans": f"{count.share('orphan_ref'):.2%} refer to nothing, where at most "
        f"{MAX_ORPHAN_RATE:.0%} may",
        "raw_ids": f'ids = "opaque" is stated, and {MAX_ID_RATE:.0%} or more look like '
        "openids or mobile numbers",
    }
    return "; ".join(words[word] for word in report.over_limits)
