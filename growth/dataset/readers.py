"""Foreign files as chunks of rows, each row counted, unreadable ones told."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import zipfile
from abc import ABC, abstractmethod
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from growth.dataset.arrow import compute
from growth.dataset.coded import Coded, of_arrow, of_values
from growth.dataset.transforms import plain_text
from growth.errors import (
    ColumnNotFoundError,
    DataError,
    Fault,
    LoadRefusedError,
    PayloadError,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence
    from typing import IO

    import pyarrow as pa

    from growth.dataset.mapping import TableMapping

__all__ = ["CHUNK_ROWS", "Chunk", "RecordChunk", "chunks", "content_hash", "parts_of"]

CHUNK_ROWS: Final = 200_000
_SUFFIXES: Final = {
    "csv": (".csv", ".csv.gz", ".csv.zip", ".tsv", ".zip"),
    "jsonl": (".jsonl", ".ndjson", ".jsonl.gz", ".jsonl.zip", ".zip"),
    "json": (".json", ".json.gz", ".json.zip"),
    "parquet": (".parquet",),
    "wechat_bill": (".csv", ".csv.gz", ".csv.zip", ".txt"),
}
# of a downloaded bill: a header it always has, and where the summary begins
_BILL_HEADER: Final = ("交易时间", "商户订单号")
_BILL_SUMMARY: Final = "总交易单数"
_BILL_TOTALS: Final = ("应结订单总金额", "总交易额")


class Chunk(ABC):
    """Some rows of one part, in the order they stand there.

    Parameters
    ----------
    part : str
        Name of the file.
    first : int
        Number of its first row, from 1.
    rows : int
        How many rows, unreadable ones too.
    faults : mapping of int to (str, str)
        Rows that could not be read, by place in the chunk: reason and what was seen.
    notes : mapping of str to int, optional
        Remarks on the file, counted.

    Attributes
    ----------
    textual : bool
        Whether every value is text.
    """

    textual = False

    def __init__(
        self,
        part: str,
        first: int,
        rows: int,
        faults: Mapping[int, tuple[str, str]],
        notes: Mapping[str, int] | None = None,
    ) -> None:
        self.part = part
        self.first = first
        self.rows = rows
        self.faults = faults
        self.notes = notes or {}
        self._columns: dict[str, Coded] = {}

    def column(self, path: str) -> Coded:
        """Return the values at a path, missing ones as None."""
        if path not in self._columns:
            self._columns[path] = self._column(path)
        return self._columns[path]

    @abstractmethod
    def _column(self, path: str) -> Coded: ...

    @abstractmethod
    def record(self, row: int) -> str:
        """Return one row as text, for its hash."""

    def leftovers(self, claimed: Mapping[str, Any]) -> list[Any]:  # noqa: ARG002
        """Return per row what no path of `claimed` reads; None: nothing."""
        return [None] * self.rows


class TextChunk(Chunk):
    """Rows of a CSV, as lists of cells in the order of `header`."""

    textual = True

    def __init__(
        self,
        part: str,
        first: int,
        header: Sequence[str],
        cells: list[list[str]],
        faults: Mapping[int, tuple[str, str]],
        notes: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(part, first, len(cells), faults, notes)
        self._cells = cells
        nothing = [""] * len(header)
        whole = cells
        if faults:
            whole = [nothing if n in faults else row for n, row in enumerate(cells)]
        self._by_place = list(zip(*whole, strict=True))
        self._place = {name: place for place, name in enumerate(header)}

    def _column(self, path: str) -> Coded:
        import pyarrow as pa

        if (place := self._place.get(path)) is None:
            return of_values([None] * self.rows, self.rows)
        column = self._by_place[place]
        try:
            return of_arrow(pa.array(column, pa.string()))
        except UnicodeEncodeError:  # bytes that are no text in this encoding
            return of_values(column, self.rows)

    def record(self, row: int) -> str:
        return "\x1f".join(self._cells[row])


class RecordChunk(Chunk):
    """Records of a JSON file; an unreadable one is an empty mapping."""

    def __init__(
        self,
        part: str,
        first: int,
        records: list[dict[str, Any]],
        faults: Mapping[int, tuple[str, str]],
        lines: Sequence[str] | None = None,
    ) -> None:
        super().__init__(part, first, len(records), faults)
        self.records = records
        self._lines = lines

    def _column(self, path: str) -> Coded:
        keys = path.split(".")
        if len(keys) == 1:
            return of_values((item.get(path) for item in self.records), self.rows)
        return of_values((_walk(item, path, keys) for item in self.records), self.rows)

    def record(self, row: int) -> str:  # noqa: D102
        if self._lines is not None:
            return self._lines[row]
        return plain_text(self.records[row])

    def leftovers(self, claimed: Mapping[str, Any]) -> list[Any]:  # noqa: D102
        return [_without(record, claimed) for record in self.records]


class ArrowChunk(Chunk):
    """Rows of a Parquet file."""

    def __init__(self, part: str, first: int, table: pa.Table) -> None:
        super().__init__(part, first, table.num_rows, {})
        self._table = table

    def _column(self, path: str) -> Coded:

        pc = compute()
        name, *inner = [path] if path in self._table.column_names else path.split(".")
        if name not in self._table.column_names:
            return of_values([None] * self.rows, self.rows)
        column = self._table.column(name)
        return of_arrow(pc.struct_field(column, inner) if inner else column)

    def record(self, row: int) -> str:
        values = self._table.slice(row, 1).to_pylist()[0]
        return plain_text({name: plain_text(value) for name, value in values.items()})


def parts_of(source: str | os.PathLike[str], fmt: str) -> tuple[Path, ...]:
    """Return the files of a source, sorted by name.

    Parameters
    ----------
    source : path
        A file, a folder of files, or a glob.
    fmt : str
        Format of the files; says which ones of a folder count.

    Returns
    -------
    tuple of Path
        One or more.

    Raises
    ------
    DataError
        If there is none (code ``location_not_found``).
    """
    path = Path(source)
    if path.is_file():
        return (path,)
    if path.is_dir():
        suffixes = _SUFFIXES[fmt]
        found = [
            item
            for item in sorted(path.rglob("*"))
            if item.is_file()
            and item.name.lower().endswith(suffixes)
            and item.name[0] not in "._"
        ]
    else:
        anchor = Path(path.anchor) if path.anchor else Path()
        pattern = str(path.relative_to(anchor)) if path.anchor else str(path)
        has_glob = any(mark in pattern for mark in "*?[")
        found = sorted(item for item in anchor.glob(pattern)) if has_glob else []
        found = [item for item in found if item.is_file()]
    if not found:
        msg = f"source is {str(source)!r}; it must be a file, a folder or a glob of "
        msg += f"{fmt} files; nothing is there, check the path and [table] format."
        raise DataError(msg, code="location_not_found")
    return tuple(found)


def content_hash(parts: Sequence[Path]) -> str:
    """Return the SHA-256 of the files' names and bytes, as hexadecimal."""
    whole = hashlib.sha256()
    for part in parts:
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{part.name}\x1f{digest}\x1e".encode())
    return whole.hexdigest()


def chunks(
    mapping: TableMapping, parts: Sequence[Path], *, rows: int = CHUNK_ROWS
) -> Iterator[Chunk]:
    """Yield the rows of all parts.

    Parameters
    ----------
    mapping : TableMapping
        Says how the files are written and which columns are used.
    parts : sequence of Path
        The files.
    rows : int
        Rows in a chunk, at most.

    Yields
    ------
    Chunk
        No row is left out; blank lines are no rows.

    Raises
    ------
    ColumnNotFoundError, MappingError
        If a header does not fit the mapping.
    PayloadError
        If a file is not of the format at all.
    """
    read = {
        "csv": _csv,
        "jsonl": _jsonl,
        "json": _json,
        "parquet": _parquet,
        "wechat_bill": _bill,
    }[mapping.format]
    for part in parts:
        yield from read(mapping, part, rows)


@contextmanager
def _binary(part: Path) -> Iterator[IO[bytes]]:
    """Open a file, or the one data member of an archive."""
    name = part.name.lower()
    try:
        if name.endswith(".zip"):
            with zipfile.ZipFile(part) as archive:
                members = [
                    info
                    for info in archive.infolist()
                    if not info.is_dir()
                    and not info.filename.startswith("__MACOSX/")
                    and Path(info.filename).name[0] != "."
                ]
                if len(members) != 1:
                    names = [info.filename for info in members]
                    msg = f"{part} holds {names}; it must hold one data file; "
                    msg += "unpack it and name the folder."
                    raise PayloadError(msg)
                with archive.open(members[0]) as file:
                    yield file
        elif name.endswith(".gz"):
            with gzip.open(part) as file:
                yield file  # type: ignore[misc]
        else:
            with part.open("rb") as file:
                yield file
    except (zipfile.BadZipFile, gzip.BadGzipFile, EOFError) as error:
        msg = f"{part} cannot be unpacked ({error}); it must be a sound archive; "
        raise PayloadError(f"{msg}fetch it again.") from error


@contextmanager
def _text(part: Path, encoding: str) -> Iterator[io.TextIOWrapper]:
    with _binary(part) as binary:
        # what is no text is kept as it is, and rejected where it is used
        wrapped = io.TextIOWrapper(
            binary, encoding=encoding, errors="surrogateescape", newline=""
        )
        try:
            yield wrapped
        finally:
            wrapped.detach()


def _csv(mapping: TableMapping, part: Path, limit: int) -> Iterator[Chunk]:
    with _text(part, mapping.encoding) as file:
        reader = csv.reader(file)
        header = [name.strip() for name in next(reader, [])]
        header = _placed(mapping, header, part)
        width, first = len(header), 1
        cells: list[list[str]] = []
        faults: dict[int, tuple[str, str]] = {}
        more = True
        while more:
            try:
                for row in reader:
                    if not row:
                        continue
                    if len(row) != width:
                        seen = f"{len(row)} cells of {width}"
                        faults[len(cells)] = ("bad_shape", seen)
                    cells.append(row)
                    if len(cells) >= limit:
                        yield TextChunk(part.name, first, header, cells, faults)
                        first, cells, faults = first + len(cells), [], {}
                more = False
            except csv.Error as error:  # the reader gives up on this row alone
                faults[len(cells)] = ("bad_shape", str(error))
                cells.append([str(error)])
        if cells:
            yield TextChunk(part.name, first, header, cells, faults)


def _placed(mapping: TableMapping, header: list[str], part: Path) -> list[str]:
    """Return the header under today's names, every column of it accounted for."""
    if not any(header):
        msg = f"{part} has no header; its first line must name the columns; add one."
        raise PayloadError(msg)
    header = [
        mapping.aliases.get(name, name)
        if mapping.aliases.get(name, name) not in header
        else name
        for name in header
    ]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        msg = f"{part} has the columns {twice} twice; a name must be one column's; "
        raise PayloadError(f"{msg}rename one.")
    optional = mapping.format == "wechat_bill"  # its columns differ from bill to bill
    used = set(mapping.paths())
    for name in [*mapping.paths(), *mapping.keep]:
        top = name if name in header else name.split(".")[0]
        if top not in header and not optional:
            raise ColumnNotFoundError(name, header)
    tops = (
        {name.split(".")[0] for name in used} if mapping.format == "parquet" else set()
    )
    placed = used | tops | set(mapping.keep) | set(mapping.ignore)
    stray = [name for name in header if name not in placed]
    if stray:
        expected = "in one of them"
        hint = "Add it to the section that says what becomes of it."
        seen = "in none of columns, keep, ignore"
        raise mapping.error(
            *(Fault("unplaced", name, seen, expected, hint) for name in stray)
        )
    return header


def _jsonl(mapping: TableMapping, part: Path, limit: int) -> Iterator[Chunk]:
    with _text(part, mapping.encoding) as file:
        first = 1
        records: list[dict[str, Any]] = []
        lines: list[str] = []
        faults: dict[int, tuple[str, str]] = {}
        for line in file:
            text = line.strip()
            if not text:
                continue
            record = _object(text)
            if isinstance(record, str):
                faults[len(records)] = ("bad_json", record)
                record = {}
            records.append(record)
            lines.append(text)
            if len(records) == limit:
                yield RecordChunk(part.name, first, records, faults, lines)
                first += limit
                records, lines, faults = [], [], {}
        if records:
            yield RecordChunk(part.name, first, records, faults, lines)


def _json(mapping: TableMapping, part: Path, limit: int) -> Iterator[Chunk]:
    with _text(part, mapping.encoding) as file:
        try:
            data = json.loads(file.read(), parse_constant=_no_constant)
        except ValueError as error:
            msg = f"{part} is not JSON ({error}); it must hold an object or a list of "
            raise PayloadError(f"{msg}objects; fetch it again.") from error
    items = data if isinstance(data, list) else [data]
    for start in range(0, len(items), limit):
        some = items[start : start + limit]
        faults = {
            n: ("bad_json", f"a {type(item).__name__}, no object")
            for n, item in enumerate(some)
            if not isinstance(item, dict)
        }
        records = [item if isinstance(item, dict) else {} for item in some]
        yield RecordChunk(part.name, start + 1, records, faults)


def _parquet(mapping: TableMapping, part: Path, limit: int) -> Iterator[Chunk]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(part)
    except pa.ArrowInvalid as error:
        msg = f"{part} is not Parquet ({error}); it must be; check [table] format."
        raise PayloadError(msg) from error
    with file:
        header = file.schema_arrow.names
        renamed = _placed(mapping, list(header), part)
        ignored = set(mapping.ignore)
        wanted = [
            old for old, new in zip(header, renamed, strict=True) if new not in ignored
        ]
        names = [new for new in renamed if new not in ignored]
        first = 1
        for batch in file.iter_batches(batch_size=limit, columns=wanted):
            table = pa.Table.from_batches([batch]).rename_columns(names)
            yield ArrowChunk(part.name, first, table)
            first += table.num_rows


def _bill(mapping: TableMapping, part: Path, limit: int) -> Iterator[Chunk]:
    """Read a WeChat Pay bill: cells behind back-ticks, a summary in the last lines."""
    with _text(part, mapping.encoding) as file:
        lines = [line for line in file.read().splitlines() if line.strip()]
    header = [name.strip() for name in lines[0].split(",")] if lines else []
    if not set(_BILL_HEADER) <= set(header):
        msg = f"{part} begins with {header[:4]}; a bill's header must hold "
        msg += f"{list(_BILL_HEADER)}; check that the file is a trade bill."
        raise PayloadError(msg)
    if len(lines) < 3 or not lines[-2].startswith(_BILL_SUMMARY):
        msg = f"{part} has no summary; a bill must end with a line that begins with "
        msg += f"{_BILL_SUMMARY!r} and its figures; it was cut short, fetch it again."
        raise PayloadError(msg)
    header = _placed(mapping, header, part)
    table = [_bill_cells(line) for line in lines[1:-2]]
    notes = _summed_up(part, header, table, lines[-2], lines[-1])
    for start in range(0, len(table), limit):
        cells = table[start : start + limit]
        faults = {
            n: ("bad_shape", f"{len(row)} cells of {len(header)}")
            for n, row in enumerate(cells)
            if len(row) != len(header)
        }
        yield TextChunk(part.name, start + 1, header, cells, faults, notes)
        notes = {}


def _summed_up(
    part: Path, header: list[str], table: list[list[str]], names: str, figures: str
) -> dict[str, int]:
    """Compare a bill's rows with its summary; return what is to be remarked."""
    summary = dict(zip(names.split(","), _bill_cells(figures), strict=False))
    said = summary.get(_BILL_SUMMARY, "")
    if said != str(len(table)):
        msg = f"{part} has {len(table)} rows and its summary says {said!r}; they must "
        raise LoadRefusedError(f"{msg}be equal; fetch it again.")
    total = next((summary[name] for name in _BILL_TOTALS if name in summary), None)
    by_state: dict[str, Decimal] = {}
    try:
        for row in table:
            values = dict(zip(header, row, strict=True))
            state = values["交易状态"]
            paid = Decimal(values["应结订单金额"])
            by_state[state] = by_state.get(state, Decimal(0)) + paid
        wanted = Decimal(total or "")
    except (ValueError, KeyError, InvalidOperation):
        return {}  # the rows themselves say what is wrong
    paid = by_state.get("SUCCESS", Decimal(0))
    if set(by_state) - {"SUCCESS", "REFUND", "REVOKED"} or paid == wanted:
        return {}
    if paid + by_state.get("REVOKED", Decimal(0)) == wanted:
        return {"summary_revoked": 1}
    msg = f"{part} adds up to {paid} and its summary says {wanted}; they must be equal;"
    raise LoadRefusedError(f"{msg} fetch it again.")


def _bill_cells(line: str) -> list[str]:
    # a product's name may hold a comma, and no cell holds a comma and a back-tick
    return line.removeprefix("`").split(",`")


def _object(text: str) -> dict[str, Any] | str:
    """Return the object a line holds, or what is wrong with the line."""
    try:
        record = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        return str(error).partition(": line")[0][:80]
    return (
        record if isinstance(record, dict) else f"a {type(record).__name__}, no object"
    )


def _no_constant(name: str) -> None:
    msg = f"{name} is no JSON"
    raise ValueError(msg)


def _walk(record: Any, path: str, keys: Sequence[str]) -> Any:  # noqa: ANN401
    """Return the value at a dotted path; a number is a place in a list."""
    if path in record:
        return record[path]
    for key in keys:
        if isinstance(record, dict):
            record = record.get(key)
        elif isinstance(record, list) and key.isdigit() and int(key) < len(record):
            record = record[int(key)]
        else:
            return None
    return record


def _without(value: Any, claimed: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return `value` without what is claimed; None where nothing is left."""
    if not isinstance(value, dict):
        return value
    left = {}
    for key, item in value.items():
        below = claimed.get(key)
        if below is None:
            left[key] = item
        elif below and isinstance(item, dict):
            inner = _without(item, below)
            if inner:
                left[key] = inner
        elif below and isinstance(item, list):
            inner = [
                rest
                for n, part in enumerate(item)
                if (rest := _without(part, below.get(str(n), {})))
            ]
            if inner:
                left[key] = inner
    return left or None
