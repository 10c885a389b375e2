"""What a canonical row must satisfy; each row that fails gets one reason.

Checks run in order: shape, types, ranges, uniqueness, references. The first that
fails gives the reason; later ones pass the row over.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from growth.dataset.arrow import compute
from growth.dataset.personal import looks_like_id
from growth.dataset.schema import EVENTS
from growth.dataset.transforms import instant_ms
from growth.engine.days import offsets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa
    from numpy.typing import NDArray

    from growth.dataset.schema import Column, TableSchema

    Columns = dict[str, pa.Array]
    Mask = NDArray[np.bool_]

__all__ = [
    "FAILURES",
    "REASONS",
    "SHANGHAI",
    "Marks",
    "accepted_notes",
    "check_keys",
    "check_rows",
    "check_types",
    "id_share",
    "local_dates",
    "millis",
    "missing",
]

SHANGHAI: Final = "Asia/Shanghai"
FAILURES: Final = (
    "missing_required",
    "bad_type",
    "bad_shape",
    "bad_json",
    "bad_time",
    "future_ts",
    "out_of_range",
    "bad_money",
    "wrong_currency",
    "unknown_enum",
    "inconsistent",
)
# with limits of their own, or none: no share of bad rows counts them
REASONS: Final = (
    "",
    *FAILURES,
    "duplicate_key",
    "orphan_ref",
    "off_page",
    "no_consent",
    "not_an_event",
)
FIRST_MS: Final = instant_ms(datetime(1992, 1, 1, tzinfo=UTC))
DAY_MS: Final = 86_400_000
EVENT_NAME: Final = r"^[$A-Za-z][$\w]{0,99}$"
PAID: Final = ("paid", "shipped", "completed", "refunded", "part_refunded")
NEAR: Final = 0.85
# parts of a key that one source need not have
_OPTIONAL_KEYS: Final = ("source", "campaign_id")


class Marks:
    """Per row the reason it is set aside, the column, and what was seen there.

    Parameters
    ----------
    rows : int
        How many rows.
    """

    def __init__(self, rows: int) -> None:
        self.reason = np.zeros(rows, dtype=np.int8)
        self.column: dict[int, str] = {}
        self.seen: dict[int, str] = {}

    @property
    def accepted(self) -> Mask:
        """Rows without a reason."""
        return np.asarray(self.reason == 0)

    def add(
        self,
        mask: Mask,
        reason: str,
        column: str = "",
        seen: Callable[[int], str] | None = None,
    ) -> None:
        """Give `reason` to the rows of `mask` that have none yet.

        Parameters
        ----------
        mask : ndarray of bool
            One entry a row.
        reason, column : str
            Why, and where.
        seen : callable, optional
            From a row to what is to be shown, where it is not the raw value.
        """
        if not mask.any():
            return
        rows = np.flatnonzero(mask & (self.reason == 0))
        self.reason[rows] = REASONS.index(reason)
        for row in rows.tolist():
            self.column[row] = column
            if seen is not None:
                self.seen[row] = seen(row)

    def counts(self) -> Counter[str]:
        """Return rows per reason."""
        found = np.bincount(self.reason, minlength=len(REASONS))
        return Counter(
            {
                name: int(count)
                for name, count in zip(REASONS, found, strict=True)
                if name and count
            }
        )


def missing(array: pa.Array) -> Mask:
    """Return which values are NULL."""
    return np.asarray(array.is_null().to_numpy(zero_copy_only=False), dtype=bool)


def millis(array: pa.Array) -> tuple[NDArray[np.int64], Mask]:
    """Return instants as milliseconds (0 where NULL), and which are NULL."""
    import pyarrow as pa

    return (
        array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False),
        missing(array),
    )


def local_dates(array: pa.Array, tz: str) -> pa.Array:
    """Return the local date of each instant; NULL stays NULL.

    Parameters
    ----------
    array : pyarrow.Array
        Instants in milliseconds.
    tz : str
        The zone whose midnight ends a day.

    Returns
    -------
    pyarrow.Array
        Of ``date32``; truncated, never rounded.
    """
    import pyarrow as pa

    ms, null = millis(array)
    starts, held = (np.asarray(item) // 1000 for item in offsets(tz))
    shift = held[np.searchsorted(starts, ms, side="right")]
    days = ((ms + shift) // DAY_MS).astype(np.int32)
    return pa.array(days, mask=null).cast(pa.date32())


def check_types(schema: TableSchema, columns: Columns, marks: Marks) -> None:
    """Mark rows that lack a required value.

    Parameters
    ----------
    schema : TableSchema
        The table.
    columns : dict of str to pyarrow.Array
        Its columns, typed.
    marks : Marks
        Where the reasons go.
    """
    for column in schema.columns:
        if column.required and not column.nullable and column.name in columns:
            array = columns[column.name]
            marks.add(missing(array), "missing_required", column.name)


def check_rows(
    schema: TableSchema, columns: Columns, marks: Marks, *, latest_ms: int | None
) -> None:
    """Mark rows whose values are out of range, or do not fit each other.

    Parameters
    ----------
    schema, columns, marks
        As in `check_types`.
    latest_ms : int or None
        Instants after this are in the future; None: not checked.
    """
    for column in schema.columns:
        if column.name in columns:
            _check_column(column, columns[column.name], marks, latest_ms)
    if (rule := _ROW_RULES.get(schema.name)) is not None:
        rule(columns, marks)


def check_keys(
    schema: TableSchema,
    columns: Columns,
    marks: Marks,
    *,
    seen: set[Any],
    known: Mapping[str, set[Any]],
) -> None:
    """Mark rows whose key came before, and rows that refer to nothing.

    Parameters
    ----------
    schema, columns, marks
        As in `check_types`.
    seen : set
        Keys of earlier rows; those of these rows are added.
    known : mapping of str to set
        Keys of other tables, by table; a table that is absent is not checked.
    """
    rows = np.flatnonzero(marks.accepted)
    names = [name for name in schema.key if name in columns]
    lacking = set(schema.key) - set(names) - set(_OPTIONAL_KEYS)
    if names and not lacking:
        columns_of_key = [columns[name].take(rows).to_pylist() for name in names]
        keys = (
            columns_of_key[0] if len(names) == 1 else zip(*columns_of_key, strict=True)
        )
        again = np.zeros(len(marks.reason), dtype=bool)
        for row, key in zip(rows.tolist(), keys, strict=True):
            if key in seen:
                again[row] = True
            else:
                seen.add(key)
        marks.add(again, "duplicate_key", names[-1])
    for name, other in schema.references:
        if name in columns and other in known:
            values = columns[name].to_pylist()
            targets = known[other]
            stray = np.fromiter((v not in targets for v in values), bool, len(values))
            marks.add(stray & marks.accepted, "orphan_ref", name)


def accepted_notes(
    schema: TableSchema,
    columns: Columns,
    accepted: Mask,
    notes: Mapping[str, Mask] | None = None,
) -> Counter[tuple[str, tuple[tuple[str, str], ...]]]:
    """Count oddities in accepted rows.

    Parameters
    ----------
    schema, columns
        As in `check_types`.
    accepted : ndarray of bool
        Which rows count.
    notes : mapping of str to ndarray of bool, optional
        Rows remarked on earlier, by code.

    Returns
    -------
    Counter
        Rows per (notice code, its further fields).
    """
    found: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
    for column in schema.columns:
        if column.known and column.name in columns:
            for name, rows in _counts(columns[column.name], accepted).items():
                if name in column.known:
                    continue
                if column.name != "event":
                    fields = (("column", column.name), ("value", name))
                    found["value_unlisted", fields] += rows
                elif near := get_close_matches(name, EVENTS, n=1, cutoff=NEAR):
                    fields = (("value", name), ("meant", near[0]))
                    found["event_near_miss", fields] += rows
    odd = dict(notes or {})
    for code, mask in _odd_rows(schema.name, columns):
        odd[code] = odd[code] | mask if code in odd else mask
    for code, mask in odd.items():
        if rows := int((mask & accepted).sum()):
            found[code, ()] += rows
    return found


def id_share(array: pa.Array, accepted: Mask) -> tuple[int, int]:
    """Count values, and those among them that look like raw ids.

    Parameters
    ----------
    array : pyarrow.Array
        Text.
    accepted : ndarray of bool
        Which rows count.

    Returns
    -------
    rows, alike : int
        NULL counts in neither.
    """
    counts = _counts(array, accepted)
    return sum(counts.values()), sum(n for v, n in counts.items() if looks_like_id(v))


def _counts(array: pa.Array, accepted: Mask) -> dict[str, int]:
    import pyarrow as pa

    pc = compute()
    counted = pc.value_counts(array.filter(pa.array(accepted)))
    pairs = counted.to_pylist()
    return {p["values"]: p["counts"] for p in pairs if p["values"] is not None}


def _true(array: pa.Array) -> Mask:
    filled = array.fill_null(fill_value=False)
    return np.asarray(filled.to_numpy(zero_copy_only=False), bool)


def _check_column(
    column: Column, array: pa.Array, marks: Marks, latest_ms: int | None
) -> None:
    import pyarrow as pa

    pc = compute()
    name = column.name
    if column.kind == "instant":
        ms, null = millis(array)
        marks.add((ms < FIRST_MS) & ~null, "out_of_range", name)
        if latest_ms is not None and not column.future:
            marks.add((ms > latest_ms) & ~null, "future_ts", name)
    if column.low is not None:
        marks.add(_true(pc.less(array, column.low)), "out_of_range", name)
    if column.high is not None:
        marks.add(_true(pc.greater(array, column.high)), "out_of_range", name)
    if column.above is not None:
        marks.add(_true(pc.less_equal(array, column.above)), "out_of_range", name)
    if column.closed:
        listed = pa.array(column.closed)
        stray = _true(pc.invert(pc.is_in(array, listed))) & ~missing(array)
        marks.add(stray, "unknown_enum", name)


def _floats(columns: Columns, name: str, rows: int) -> NDArray[np.float64]:
    """Return a column as floats, NaN where it is NULL or absent."""
    import pyarrow as pa

    if name not in columns:
        return np.full(rows, np.nan)
    array = columns[name].cast(pa.float64())
    return np.asarray(array.to_numpy(zero_copy_only=False), float)


def _is(columns: Columns, name: str, *values: str) -> Mask:
    """Return which rows hold one of `values`; none where the column is absent."""
    import pyarrow as pa

    pc = compute()
    if name not in columns:
        rows = len(next(iter(columns.values())))
        return np.zeros(rows, dtype=bool)
    return _true(pc.is_in(columns[name], pa.array(values, columns[name].type)))


def _event_rules(columns: Columns, marks: Marks) -> None:

    pc = compute()
    if "consent" in columns:
        marks.add(_true(pc.invert(columns["consent"])), "no_consent", "consent")
    if "event" in columns:
        array = columns["event"]
        odd = _true(pc.invert(pc.match_substring_regex(array, EVENT_NAME)))
        marks.add(odd, "out_of_range", "event")
    rows = len(marks.reason)
    x, y = _floats(columns, "x_px", rows), _floats(columns, "y_px", rows)
    width = _floats(columns, "win_w_px", rows)
    height = _floats(columns, "page_h_px", rows)
    # a tap may round up to one pixel below the page's last line
    for mask, side, column, value, limit in (
        (x < 0, "left", "x_px", x, None),
        (x > width, "right", "x_px", x, width),
        (y < 0, "top", "y_px", y, None),
        (y > height + 1, "bottom", "y_px", y, height),
    ):
        marks.add(mask, "off_page", column, _side(side, value, limit))


def _side(
    side: str, value: NDArray[np.float64], limit: NDArray[np.float64] | None
) -> Callable[[int], str]:
    def show(row: int) -> str:
        of = "" if limit is None else f" of {limit[row]:g}"
        return f"{side}: {value[row]:g}{of}"

    return show


def _order_rules(columns: Columns, marks: Marks) -> None:
    rows = len(marks.reason)
    paid = _floats(columns, "paid_fen", rows)
    refund = _floats(columns, "refund_fen", rows)
    if "pay_ts" in columns:
        unpaid = missing(columns["pay_ts"])
        owed = unpaid & ((paid > 0) | _is(columns, "status", *PAID))
        marks.add(owed, "missing_required", "pay_ts")
        if "create_ts" in columns:
            later = columns["create_ts"].cast("int64")
            made, paid_at = _ints(later), _ints(columns["pay_ts"].cast("int64"))
            both = ~unpaid & ~missing(later)
            marks.add(both & (made > paid_at), "out_of_range", "pay_ts")
    marks.add(refund > paid, "out_of_range", "refund_fen")


def _ints(array: pa.Array) -> NDArray[np.int64]:
    return np.asarray(array.fill_null(0).to_numpy(zero_copy_only=False), np.int64)


def _item_rules(columns: Columns, marks: Marks) -> None:
    rows = len(marks.reason)
    back = _floats(columns, "refund_qty", rows)
    marks.add(back > _floats(columns, "qty", rows), "out_of_range", "refund_qty")


def _points_rules(columns: Columns, marks: Marks) -> None:
    points = _floats(columns, "points", len(marks.reason))
    earned = _is(columns, "kind", "earn")
    spent = _is(columns, "kind", "redeem", "expire")
    wrong = (earned & (points <= 0)) | (spent & (points >= 0))
    marks.add(wrong, "out_of_range", "points")


def _span_rules(first: str, last: str) -> Callable[[Columns, Marks], None]:
    def check(columns: Columns, marks: Marks) -> None:
        if first in columns and last in columns:
            (start, no_start), (end, no_end) = (
                millis(columns[first]),
                millis(columns[last]),
            )
            wrong = (end < start) & ~no_start & ~no_end
            marks.add(wrong, "out_of_range", last)

    return check


_ROW_RULES: Final[dict[str, Callable[[Columns, Marks], None]]] = {
    "events": _event_rules,
    "orders": _order_rules,
    "order_items": _item_rules,
    "points_ledger": _points_rules,
    "campaigns": _span_rules("start_ts", "end_ts"),
    "incidents": _span_rules("opened_ts", "resolved_ts"),
}


def _odd_rows(table: str, columns: Columns) -> list[tuple[str, Mask]]:
    """Return remarks on whole rows of a table."""
    rows = len(next(iter(columns.values())))
    if table == "events":
        nowhere = np.isnan(_floats(columns, "x_px", rows))
        nothing = np.ones(rows, dtype=bool)
        if "element_id" in columns:
            nothing = missing(columns["element_id"])
        return [("element_missing", _is(columns, "event", "tap") & nowhere & nothing)]
    if table == "orders":
        paid = _floats(columns, "paid_fen", rows)
        goods = _floats(columns, "goods_fen", rows)
        freight = np.nan_to_num(_floats(columns, "freight_fen", rows))
        discount = np.nan_to_num(_floats(columns, "discount_fen", rows))
        odd = np.abs(goods + freight - discount - paid) > 0
        return [("money_identity", odd & (paid > 0))]
    return []
