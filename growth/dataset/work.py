"""The work of a load: chunks in, accepted rows and rejects out; nothing written."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from growth.dataset.arrow import compute
from growth.dataset.coded import pair
from growth.dataset.derive import derive
from growth.dataset.fill import Filled, Filler, filtered
from growth.dataset.mapping import Spec
from growth.dataset.personal import looks_like_id, looks_personal, mask_value
from growth.dataset.pseudonyms import key_fingerprint
from growth.dataset.readers import CHUNK_ROWS, RecordChunk, chunks, content_hash
from growth.dataset.report import MAX_ID_RATE, MAX_REJECT_RATE, LoadReport, TableCount
from growth.dataset.schema import SCHEMA, arrow_schema
from growth.dataset.transforms import instant_ms, plain_text
from growth.dataset.validate import (
    REASONS,
    SHANGHAI,
    Marks,
    accepted_notes,
    check_keys,
    check_rows,
    check_types,
    id_share,
)
from growth.engine.days import instant
from growth.errors import PayloadError
from growth.result import Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date, datetime
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from growth.dataset.coded import Coded
    from growth.dataset.mapping import Filter, TableMapping
    from growth.dataset.readers import Chunk
    from growth.dataset.schema import TableSchema

    Columns = dict[str, pa.Array]
    Masks = dict[str, NDArray[np.bool_]]

__all__ = ["Loaded", "Sink", "load_id_of", "rejects_schema", "run"]

LATE: Final = timedelta(minutes=10)  # clocks that run ahead
VERSION: Final = "1"  # of what is written; another one is loaded anew
_MOST_NOTICES: Final = 12


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load made, before anything is written."""

    report: LoadReport
    tables: dict[str, pa.Table]
    rejects: pa.Table
    sources: str = ""


def run(
    mapping: TableMapping,
    parts: Sequence[Path],
    *,
    as_of: date | datetime | None = None,
    known: Mapping[str, set[Any]] | None = None,
    chunk_rows: int = CHUNK_ROWS,
) -> Loaded:
    """Load without writing.

    Parameters
    ----------
    mapping : TableMapping
        What the columns mean.
    parts : sequence of Path
        The files.
    as_of : date or aware datetime, optional
        As in `load`.
    known : mapping of str to set, optional
        Keys of tables the rows may refer to.
    chunk_rows : int
        Rows taken at a time; the outcome does not depend on it.

    Returns
    -------
    Loaded
        The report, the accepted rows per table, and the rejects.
    """
    tz = mapping.tz or SHANGHAI
    latest = None if as_of is None else instant_ms(instant(as_of, tz=tz) + LATE)
    source_hash = content_hash(parts)
    load_id = load_id_of(mapping, source_hash, as_of)
    work = _Work(mapping, load_id, latest, dict(known or {}))
    for chunk in chunks(mapping, parts, rows=chunk_rows):
        work.take(chunk)
    sinks = [work.main, *([work.lines] if work.lines else [])]
    counts = tuple(sink.count() for sink in sinks)
    rate = mapping.max_reject_rate
    limit = MAX_REJECT_RATE if rate is None else rate
    over = tuple(
        dict.fromkeys(word for c in counts[:1] for word in c.over_limits(limit))
    )
    over += tuple(word for sink in sinks for word in sink.raw_ids())
    notices = [notice for sink in sinks for notice in sink.notices()]
    if latest is None and _has_instants(mapping.table):
        notices.append(Notice("future_unchecked", "info"))
    if rate is not None:
        notices.append(Notice("reject_rate_stated", "info", (("limit", rate),)))
    report = LoadReport(
        load_id=load_id,
        source=mapping.source,
        mapping=mapping.path.name,
        source_sha256=source_hash,
        mapping_sha256=mapping.sha256,
        as_of=None if as_of is None else as_of.isoformat(),
        tz=tz,
        max_reject_rate=limit,
        tables=counts,
        over_limits=over,
        notices=tuple(notices),
    )
    tables = {sink.schema.name: sink.table() for sink in sinks}
    where = ", ".join(str(part) for part in parts[:3])
    return Loaded(report, tables, work.rejects(), where)


class Sink:
    """What has become of one table's rows so far.

    Parameters
    ----------
    schema : TableSchema
        The table.
    opaque : bool
        Whether its ids are ready pseudonyms, so that raw ones would be noticed.
    keep : bool, default True
        Whether accepted rows are kept, not only counted.
    """

    def __init__(self, schema: TableSchema, *, opaque: bool, keep: bool = True) -> None:
        self.schema = schema
        self.opaque = opaque
        self.keep = keep
        self.rows_in = 0
        self.accepted = 0
        self.rejected: Counter[str] = Counter()
        self.notes: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
        self.seen: set[Any] = set()
        self.ids: dict[str, tuple[int, int]] = {}
        self._tables: list[pa.Table] = []

    def add(
        self,
        columns: dict[str, pa.Array],
        marks: Marks,
        notes: Mapping[str, np.ndarray[Any, np.dtype[np.bool_]]],
    ) -> None:
        """Take in the accepted rows of a chunk, and count the others."""
        import pyarrow as pa

        accepted = marks.accepted
        self.rows_in += len(accepted)
        self.accepted += int(accepted.sum())
        self.rejected += marks.counts()
        self.notes += accepted_notes(self.schema, columns, accepted, notes)
        if self.opaque and not self.schema.free:
            for column in self.schema.columns:
                if column.pseudonym and column.name in columns:
                    rows, alike = id_share(columns[column.name], accepted)
                    before = self.ids.get(column.name, (0, 0))
                    self.ids[column.name] = (before[0] + rows, before[1] + alike)
        if self.keep:
            self._tables.append(pa.table(columns).filter(pa.array(accepted)))

    def raw_ids(self) -> tuple[str, ...]:
        """Return ``raw_ids`` where ready pseudonyms look like raw ids."""
        for rows, alike in self.ids.values():
            if rows and alike / rows >= MAX_ID_RATE:
                return ("raw_ids",)
        return ()

    def count(self) -> TableCount:
        """Return the counts, reasons in the order of the checks."""
        rejected = tuple((r, self.rejected[r]) for r in REASONS if self.rejected[r])
        return TableCount(self.schema.name, self.rows_in, self.accepted, rejected)

    def notices(self) -> list[Notice]:
        """Return the counted remarks on accepted rows, most rows first."""
        found = sorted(self.notes.items(), key=lambda item: (-item[1], item[0]))
        return [
            Notice(code, "info", (*more, ("rows", rows)))
            for (code, more), rows in found[:_MOST_NOTICES]
        ]

    def table(self) -> pa.Table:
        """Return the accepted rows, columns in the schema's order, sorted."""
        import pyarrow as pa

        if not self._tables:
            return arrow_schema(self.schema.name).empty_table()
        try:
            whole = pa.concat_tables(self._tables, promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            msg = f"a column of {self.schema.name} mixes types ({error}); it must hold "
            msg += "one; name a transform (number, text) for it in the mapping."
            raise PayloadError(msg, code="mixed_types") from error
        order = [name for name in self.schema.by_name if name in whole.column_names]
        order += [name for name in whole.column_names if name not in order]
        whole = _whole_numbers(whole.select(order), self.schema)
        keys = [(n, "ascending") for n in self.schema.sort if n in whole.column_names]
        return whole.sort_by(keys) if keys and whole.num_rows else whole


class _Work:
    """Takes chunks of one source, in order."""

    def __init__(
        self,
        mapping: TableMapping,
        load_id: str,
        latest_ms: int | None,
        known: dict[str, set[Any]],
    ) -> None:
        self.mapping = mapping
        self.load_id = load_id
        self.latest_ms = latest_ms
        self.known = known
        inner = SCHEMA["order_items"]
        self.main = Sink(mapping.table, opaque=mapping.opaque)
        self.lines = Sink(inner, opaque=mapping.opaque) if mapping.items_path else None
        self.fillers = _fillers(mapping.table, mapping.columns, mapping)
        self.line_fillers = _fillers(inner, mapping.items, mapping)
        self.claimed = _claimed(mapping)
        self._rejects: list[dict[str, object]] = []

    def take(self, chunk: Chunk) -> None:
        """Fill, check and sort out the rows of a chunk."""
        schema = self.mapping.table
        marks = Marks(chunk.rows)
        for reason in {reason for reason, _ in chunk.faults.values()}:
            mask = np.zeros(chunk.rows, dtype=bool)
            mask[[row for row, fault in chunk.faults.items() if fault[0] == reason]] = (
                True
            )
            marks.add(mask, reason, "", lambda row: chunk.faults[row][1])
        for rule in self.mapping.filters:
            mask = filtered(rule, chunk) & marks.accepted
            if rule.stops and mask.any():
                raise self._unlike(chunk, rule, int(np.flatnonzero(mask)[0]))
            marks.add(mask, rule.reason, ", ".join(rule.paths), _saying(rule.words))
        columns, notes = self._fill(chunk, schema, self.fillers, marks)
        self._keep_props(chunk, columns, notes)
        notes |= derive(
            schema, columns, tz=self.mapping.tz or SHANGHAI, record=chunk.record
        )
        self._check(schema, columns, marks, self.main)
        if self.lines is not None and isinstance(chunk, RecordChunk):
            lines = self._take_lines(chunk, columns, marks, self.lines)
            notes["money_identity"] = _unlike_lines(columns, *lines)
        self.main.notes.update({(code, ()): n for code, n in chunk.notes.items()})
        self.main.add(columns, marks, notes)
        self._reject(chunk, schema, self.fillers, marks)

    def _unlike(self, chunk: Chunk, rule: Filter, row: int) -> PayloadError:
        held = {path: chunk.column(path).at(row) for path in rule.paths}
        return PayloadError(
            f"row {chunk.first + row} of {chunk.part} holds {held}; it must pass the "
            f"record filter of {self.mapping.path.name}; ask the source what it meant."
        )

    def _fill(
        self,
        chunk: Chunk,
        schema: TableSchema,
        fillers: Sequence[Filler],
        marks: Marks,
    ) -> tuple[dict[str, pa.Array], dict[str, Any]]:
        columns: dict[str, pa.Array] = {}
        notes: dict[str, Any] = {}
        scope: Coded | None = None
        for filler in fillers:
            filled = filler.fill(chunk, scope)
            if filler.name == "app_id":
                scope = filled.usable()
            for reason, mask in filled.bad().items():
                marks.add(mask, reason, filler.name)
            for code, mask in filled.noted().items():
                notes[code] = notes[code] | mask if code in notes else mask
            columns[filler.name] = array = _arrow(filler.name, filled)
            column = schema.by_name.get(filler.name)
            if column is not None and column.required and not column.nullable:
                marks.add(
                    array.is_null().to_numpy(zero_copy_only=False),
                    "missing_required",
                    filler.name,
                )
        return columns, notes

    def _keep_props(
        self, chunk: Chunk, columns: dict[str, pa.Array], notes: dict[str, Any]
    ) -> None:
        """Put what the mapping keeps into ``props``; JSON keeps what nobody named."""
        import pyarrow as pa

        mapping = self.mapping
        if mapping.is_tabular:
            if not mapping.keep:
                return
            if mapping.table.free:
                for name in mapping.keep:
                    spec = Filler(None, name, (Spec(paths=(name,)),), mapping)
                    columns[name] = spec.fill(chunk).arrow()
                return
            kept = pair([chunk.column(name) for name in mapping.keep])
            texts = [
                _json_of(dict(zip(mapping.keep, v, strict=True))) for v in kept.values
            ]
            columns["props"] = pa.array(texts, pa.string()).take(pa.array(kept.codes))
            return
        if mapping.table.free:
            return
        left_out = np.zeros(chunk.rows, dtype=bool)
        texts = []
        for row, rest in enumerate(chunk.leftovers(self.claimed)):
            safe, dropped = _impersonal(rest)
            left_out[row] = dropped
            texts.append(_json_of(safe) if safe else None)
        columns["props"] = pa.array(texts, pa.string())
        notes["personal_dropped"] = left_out

    def _check(
        self,
        schema: TableSchema,
        columns: dict[str, pa.Array],
        marks: Marks,
        sink: Sink,
    ) -> None:
        check_types(schema, columns, marks)
        check_rows(schema, columns, marks, latest_ms=self.latest_ms)
        check_keys(schema, columns, marks, seen=sink.seen, known=self.known)

    def _take_lines(
        self, chunk: RecordChunk, orders: dict[str, pa.Array], marks: Marks, sink: Sink
    ) -> tuple[dict[str, pa.Array], Any]:
        """Take the lines inside each order as rows of their own."""
        import pyarrow as pa

        schema = SCHEMA["order_items"]
        nested = chunk.column(self.mapping.items_path)
        records: list[dict[str, Any]] = []
        parents: list[int] = []
        places: list[int] = []
        faults: dict[int, tuple[str, str]] = {}
        for row in range(chunk.rows):
            lines = nested.at(row)
            for place, line in enumerate(lines if isinstance(lines, list) else []):
                if not isinstance(line, dict):
                    seen = f"a {type(line).__name__}, no object"
                    faults[len(records)] = ("bad_json", seen)
                records.append(line if isinstance(line, dict) else {})
                parents.append(row)
                places.append(place + 1)
        inner = RecordChunk(chunk.part, chunk.first, records, faults)
        line_marks = Marks(inner.rows)
        _mark_unread(inner, line_marks)
        columns, notes = self._fill(inner, schema, self.line_fillers, line_marks)
        parent = np.array(parents, dtype=np.int64)
        columns["order_id"] = orders["order_id"].take(pa.array(parent))
        columns.setdefault("line_no", pa.array(places, pa.int32()))
        stray = ~marks.accepted[parent]
        check_types(schema, columns, line_marks)
        check_rows(schema, columns, line_marks, latest_ms=self.latest_ms)
        line_marks.add(stray, "orphan_ref", "order_id")
        assert sink is not None
        check_keys(schema, columns, line_marks, seen=sink.seen, known={})
        sink.add(columns, line_marks, notes)
        self._reject(inner, schema, self.line_fillers, line_marks, rows=parent)
        return columns, parent

    def _reject(
        self,
        chunk: Chunk,
        schema: TableSchema,
        fillers: Sequence[Filler],
        marks: Marks,
        rows: np.ndarray[Any, np.dtype[np.int64]] | None = None,
    ) -> None:
        by_name = {filler.name: filler for filler in fillers}
        for row in np.flatnonzero(marks.reason).tolist():
            column = marks.column[row]
            if row in marks.seen:
                seen = marks.seen[row]
            elif (filler := by_name.get(column)) is not None:
                known = schema.by_name.get(column)
                hidden = bool(known and known.pseudonym) or column == "unit_id"
                seen = filler.seen(chunk, row, personal=hidden)
            else:
                seen = ""
            record = chunk.record(row).encode("utf-8", "surrogateescape")
            self._rejects.append(
                {
                    "load_id": self.load_id,
                    "source": self.mapping.source,
                    "part": chunk.part,
                    "row_no": chunk.first + (row if rows is None else int(rows[row])),
                    "table": schema.name,
                    "reason": REASONS[marks.reason[row]],
                    "column": column,
                    "seen": mask_value(seen),
                    "record_sha256": sha256(record).hexdigest(),
                }
            )

    def rejects(self) -> pa.Table:
        """Return the rows turned away, in the order of the source."""
        import pyarrow as pa

        return pa.Table.from_pylist(self._rejects, schema=rejects_schema())


def _arrow(name: str, filled: Filled) -> pa.Array:
    import pyarrow as pa

    try:
        return filled.arrow()
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        msg = f"column {name!r} mixes types ({error}); it must hold one; name a "
        msg += "transform (number, text) for it in the mapping."
        raise PayloadError(msg, code="mixed_types") from error


def _mark_unread(chunk: Chunk, marks: Marks) -> None:
    """Mark the rows a reader could not read."""
    for reason in {reason for reason, _ in chunk.faults.values()}:
        mask = np.zeros(chunk.rows, dtype=bool)
        mask[[row for row, fault in chunk.faults.items() if fault[0] == reason]] = True
        marks.add(mask, reason, "", lambda row: chunk.faults[row][1])


def _saying(words: str) -> Callable[[int], str]:
    return lambda _: words


def rejects_schema() -> pa.Schema:
    """Return the Arrow schema of the rejects."""
    import pyarrow as pa

    names = ["load_id", "source", "part", "row_no", "table"]
    names += ["reason", "column", "seen", "record_sha256"]
    return pa.schema([(n, pa.int64() if n == "row_no" else pa.string()) for n in names])


def _fillers(
    schema: TableSchema, columns: Mapping[str, Any], mapping: TableMapping
) -> list[Filler]:
    """Return the fillers, the appid's first (openids need it), then in table order."""
    order = [name for name in schema.by_name if name in columns]
    order += [name for name in columns if name not in order]
    order.sort(key=lambda name: name != "app_id")
    return [
        Filler(schema.by_name.get(name), name, columns[name], mapping) for name in order
    ]


def _claimed(mapping: TableMapping) -> dict[str, Any]:
    """Return the paths the mapping reads or ignores, as a tree."""
    tree: dict[str, Any] = {}
    items = [mapping.items_path] if mapping.items_path else []
    for path in (*mapping.paths(), *mapping.ignore, *items):
        node = tree
        for key in path.split("."):
            node = node.setdefault(key, {})
    return tree


def _json_of(value: Mapping[str, Any]) -> str | None:
    known = {name: v for name, v in value.items() if v is not None and v != ""}
    if not known:
        return None
    return json.dumps(known, ensure_ascii=False, sort_keys=True, default=plain_text)


def _impersonal(value: Any, name: str = "") -> tuple[Any, bool]:  # noqa: ANN401
    """Return a value without what looks personal, and whether anything was left out."""
    if isinstance(value, dict):
        kept = {}
        dropped = False
        for key, item in value.items():
            safe, lost = _impersonal(item, key)
            dropped = dropped or lost
            if safe is not None:
                kept[key] = safe
        return (kept or None), dropped
    if value is None:
        return None, False
    if looks_personal(name) or (isinstance(value, str) and looks_like_id(value)):
        return None, value != ""
    if isinstance(value, list):
        parts = [_impersonal(item) for item in value]
        return [safe for safe, _ in parts if safe is not None] or None, any(
            lost for _, lost in parts
        )
    return value, False


def _unlike_lines(
    orders: dict[str, pa.Array],
    lines: dict[str, pa.Array],
    parent: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """Return which orders differ from the sum of their lines and the freight."""
    rows = len(orders["order_id"])
    none = np.zeros(rows, dtype=bool)
    if "paid_fen" not in lines:
        return none
    paid = orders["paid_fen"].fill_null(0).to_numpy(zero_copy_only=False)
    freight = orders.get("freight_fen")
    total = np.zeros(rows, dtype=np.int64)
    amounts = lines["paid_fen"].fill_null(0).to_numpy(zero_copy_only=False)
    np.add.at(total, parent, amounts)
    if freight is not None:
        total = total + freight.fill_null(0).to_numpy(zero_copy_only=False)
    return (total != paid) & (paid > 0)


def _whole_numbers(table: pa.Table, schema: TableSchema) -> pa.Table:
    """Return free number columns as integers, where every value is one."""
    import pyarrow as pa

    pc = compute()
    if not schema.free:
        return table
    for place, field_ in enumerate(table.schema):
        if field_.name in schema.by_name or not pa.types.is_float64(field_.type):
            continue
        column = table.column(place)
        whole = pc.and_(
            pc.equal(column, pc.round(column)), pc.less(pc.abs(column), 2**53)
        )
        if pc.all(whole, min_count=0).as_py() and column.null_count < len(column):
            table = table.set_column(place, field_.name, column.cast(pa.int64()))
    return table


def _has_instants(schema: TableSchema) -> bool:
    return any(c.kind == "instant" and c.required for c in schema.columns)


def load_id_of(
    mapping: TableMapping,
    source_hash: str,
    as_of: date | datetime | None,
    *,
    long: bool = False,
) -> str:
    """Return a text that is the same for the same files, mapping, `as_of` and key.

    Parameters
    ----------
    mapping : TableMapping
        What the columns mean.
    source_hash : str
        Hash of the files.
    as_of : date, datetime or None
        As given.
    long : bool, default False
        Whether 32 characters are wanted, not 16.

    Returns
    -------
    str
        Hexadecimal.
    """
    key = key_fingerprint() if mapping.needs_key else ""
    when = "" if as_of is None else as_of.isoformat()
    whole = "\x1f".join((VERSION, source_hash, mapping.sha256, when, key))
    return sha256(whole.encode()).hexdigest()[: 32 if long else 16]
