"""What a load, or the rules of the tables, would say of data; nothing is written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from growth.dataset.core import Dataset, open_dataset
from growth.dataset.mapping import load_mapping
from growth.dataset.readers import parts_of
from growth.dataset.report import MAX_REJECT_RATE, LoadReport, TableCount
from growth.dataset.schema import SCHEMA, arrow_type
from growth.dataset.transforms import instant_ms
from growth.dataset.validate import (
    SHANGHAI,
    Marks,
    check_keys,
    check_rows,
    check_types,
)
from growth.dataset.work import LATE, Sink, run
from growth.engine import instant, scan
from growth.errors import DataError
from growth.result import Notice, Result

if TYPE_CHECKING:
    from datetime import date, datetime

    import pyarrow as pa

    from growth.dataset.schema import TableSchema
    from growth.result import Cell

__all__ = ["CheckReport", "check"]

BATCH_ROWS = 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport(Result):
    """What is wrong with data, table by table.

    Parameters
    ----------
    location : str
        What was checked.
    as_of : str or None
        The day or instant given; None: the future was not checked.
    tables : tuple of TableCount
        Rows that would be accepted and rejected, per table.
    faults : tuple of (str, str, str)
        Tables that cannot be read: table, code, message.
    over_limits : tuple of (str, str)
        What would refuse a load: table, and which limit.
    """

    location: str
    as_of: str | None
    tables: tuple[TableCount, ...]
    faults: tuple[tuple[str, str, str], ...] = ()
    over_limits: tuple[tuple[str, str], ...] = ()

    @property
    def refused(self) -> bool:
        """Whether a load would be refused, or a table cannot be read."""
        return bool(self.faults or self.over_limits)

    @property
    def verdict(self) -> str:
        """`dataset.check.` and `refused`, `partly` (some bad rows) or `clean`."""
        if self.refused:
            return "dataset.check.refused"
        some = any(count.rejected for count in self.tables)
        return f"dataset.check.{'partly' if some else 'clean'}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row per table and outcome; a table that cannot be read has one."""
        counted = [
            {
                "table": count.table,
                "outcome": outcome,
                "rows": rows,
                "share": rows / count.rows_in if count.rows_in else None,
            }
            for count in self.tables
            for outcome, rows in (("accepted", count.accepted), *count.rejected)
        ]
        unread: list[dict[str, Cell]] = [
            {"table": table, "outcome": code, "rows": None, "share": None}
            for table, code, _ in self.faults
        ]
        return [*counted, *unread]


def check(
    location: str | os.PathLike[str],
    *,
    mapping: str | os.PathLike[str] | None = None,
    as_of: date | datetime | None = None,
) -> CheckReport:
    """Say what is wrong with data; nothing is written.

    Parameters
    ----------
    location : path or str
        As for `growth.open`.
    mapping : path, optional
        A mapping, for foreign files.
    as_of : date or aware datetime, optional
        The last day counted; without it the future is not checked (notice).

    Returns
    -------
    CheckReport
        `refused` says whether `load` would refuse the data. Of a canonical
        location every row of every table is checked.

    Raises
    ------
    MappingError, ColumnNotFoundError
        If the mapping names something that cannot be.
    DataError
        If there is nothing at the location, or no canonical table.
    SecretMissingError
        If the mapping makes pseudonyms and there is no usable key.
    """
    if mapping is not None:
        read = load_mapping(mapping)
        report = run(read, parts_of(location, read.format), as_of=as_of).report
        return _of_load(os.fspath(location), report)
    data = open_dataset(location)
    latest = None if as_of is None else instant_ms(instant(as_of, tz=SHANGHAI) + LATE)
    counts, faults, over = [], [], []
    notices: list[Notice] = []
    known: dict[str, set[Any]] = {}
    if latest is None:
        notices.append(Notice("future_unchecked", "info"))
    for name in data.tables:
        try:
            sink = _walk(data, SCHEMA[name], latest, known)
        except DataError as error:
            faults.append((name, error.code, str(error)))
            continue
        count = sink.count()
        counts.append(count)
        # a stored table without rows is empty, not refused
        limits = count.over_limits(MAX_REJECT_RATE) if count.rows_in else ()
        over += [(name, word) for word in (*limits, *sink.raw_ids())]
        notices += sink.notices()
    return CheckReport(
        location=data.location,
        as_of=None if as_of is None else as_of.isoformat(),
        tables=tuple(counts),
        faults=tuple(faults),
        over_limits=tuple(over),
        notices=tuple(notices),
    )


def _of_load(location: str, report: LoadReport) -> CheckReport:
    return CheckReport(
        location=location,
        as_of=report.as_of,
        tables=report.tables,
        over_limits=tuple((report.table, word) for word in report.over_limits),
        notices=report.notices,
    )


def _walk(
    data: Dataset,
    schema: TableSchema,
    latest_ms: int | None,
    known: dict[str, set[Any]],
) -> Sink:
    """Check the rows of one stored table, a batch at a time."""
    import pyarrow as pa

    sink = Sink(schema, opaque=True, keep=False)
    table = data.table(schema.name)
    names = [column.name for column in schema.columns if column.name in table.columns]
    referred = {
        column
        for other in SCHEMA.values()
        for column, target in other.references
        if target == schema.name
    }
    for batch in scan(table, columns=names, batch_rows=BATCH_ROWS):
        columns = {
            name: _canonical(batch.column(name), schema.by_name[name].kind)
            for name in names
        }
        marks = Marks(batch.num_rows)
        check_types(schema, columns, marks)
        check_rows(schema, columns, marks, latest_ms=latest_ms)
        check_keys(schema, columns, marks, seen=sink.seen, known=known)
        sink.add(columns, marks, {})
        for column in referred:
            accepted = columns[column].filter(pa.array(marks.accepted))
            known.setdefault(schema.name, set()).update(accepted.to_pylist())
    return sink


def _canonical(array: pa.Array, kind: Any) -> pa.Array:  # noqa: ANN401
    wanted = arrow_type(kind)
    return array if array.type == wanted else array.cast(wanted, safe=False)
