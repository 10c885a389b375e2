"""Columns a load makes out of others: `ds`, `event_id`, `entry_group`, amounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from growth.dataset.arrow import compute
from growth.dataset.coded import of_arrow
from growth.dataset.lookups import entry_group
from growth.dataset.transforms import sha256_of
from growth.dataset.validate import local_dates, missing

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa
    from numpy.typing import NDArray

    from growth.dataset.schema import TableSchema

    Columns = dict[str, pa.Array]

__all__ = ["derive"]


def derive(
    schema: TableSchema,
    columns: Columns,
    *,
    tz: str,
    record: Callable[[int], str],
) -> dict[str, NDArray[np.bool_]]:
    """Add the columns that follow from others, in place.

    Parameters
    ----------
    schema : TableSchema
        The table.
    columns : dict of str to pyarrow.Array
        Its typed columns; changed.
    tz : str
        Zone of the business day.
    record : callable
        From a row to its raw text, for the id of an event that has none.

    Returns
    -------
    dict of str to ndarray of bool
        Remarks: which rows were filled in.
    """
    notes: dict[str, NDArray[np.bool_]] = {}
    if schema.name == "events":
        _events(columns, record)
    elif schema.name == "orders":
        notes = _orders(columns)
    elif schema.name == "payments":
        _payments(columns)
    day = "exposure_ds" if schema.free else "ds"
    source = "exposure_ts" if schema.free else schema.day_of
    if source in columns and day not in columns:
        columns[day] = local_dates(columns[source], tz)
    return notes


def _events(columns: Columns, record: Callable[[int], str]) -> None:
    import pyarrow as pa

    if "scene" in columns and "entry_group" not in columns:
        scene = of_arrow(columns["scene"])
        groups = pa.array([entry_group(value) for value in scene.values], pa.string())
        columns["entry_group"] = groups.take(pa.array(scene.codes))
    ids = columns.get("event_id")
    rows = len(columns["event"])
    if ids is None:
        columns["event_id"] = pa.array(
            [sha256_of(record(row)) for row in range(rows)], pa.string()
        )
    elif ids.null_count:
        filled = ids.to_pylist()
        for row in np.flatnonzero(missing(ids)).tolist():
            filled[row] = sha256_of(record(row))
        columns["event_id"] = pa.array(filled, pa.string())


def _orders(columns: Columns) -> dict[str, NDArray[np.bool_]]:
    import pyarrow as pa

    pc = compute()
    paid = columns["paid_fen"]
    rows = len(paid)
    notes = {}
    if "status" in columns:
        status = columns["status"]
        open_ = pc.is_in(status, pa.array(["unpaid", "cancelled"]))
        never = _bools(open_) & missing(columns["pay_ts"])
        owed = never & _bools(pc.greater(paid, 0))
        if owed.any():
            # what was asked for and never paid is not due to the merchant
            columns["paid_fen"] = paid = pc.if_else(pa.array(owed), 0, paid)
            notes["unpaid_amount"] = owed
    refund = columns.get("refund_fen")
    if refund is None:
        refund = pa.nulls(rows, pa.int64())
    unknown = missing(refund)
    if unknown.any():
        whole = np.zeros(rows, dtype=bool)
        if "status" in columns:
            status = columns["status"]
            whole = unknown & _bools(pc.equal(status, "refunded"))
            part = unknown & _bools(pc.equal(status, "part_refunded"))
            notes["refund_unknown"] = part
        given = pc.if_else(pa.array(whole), paid, 0)
        columns["refund_fen"] = pc.if_else(pa.array(unknown), given, refund)
        notes["refund_assumed_full"] = whole
        notes["refund_null"] = unknown & ~whole
    return notes


def _payments(columns: Columns) -> None:
    import pyarrow as pa

    pc = compute()
    rows = len(columns["kind"])
    if "amount_fen" not in columns:
        nothing = pa.nulls(rows, pa.int64())
        settled = columns.get("settled_fen", nothing)
        refund = columns.get("refund_fen", nothing)
        is_refund = pc.equal(columns["kind"], "refund").fill_null(fill_value=False)
        columns["amount_fen"] = pc.if_else(is_refund, refund, settled)
    if "payment_id" not in columns:
        names = ("kind", "order_id", "transaction_id", "refund_id")
        parts: list[list[Any]] = [
            columns[name].to_pylist() for name in names if name in columns
        ]
        ids = [sha256_of(*row) for row in zip(*parts, strict=True)]
        columns["payment_id"] = pa.array(ids, pa.string())


def _bools(array: pa.Array) -> NDArray[np.bool_]:
    filled = array.fill_null(fill_value=False)
    return np.asarray(filled.to_numpy(zero_copy_only=False), bool)
