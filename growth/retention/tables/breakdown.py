"""Values of a breakdown, numbered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from growth import engine
from growth.engine.statements import backend_of
from growth.retention.counting import START

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["grouped"]

_NULL: Final = "\x1fnull"


def grouped(
    rows: ir.Table, width: int
) -> tuple[list[tuple[str | None, ...]], ir.Table]:
    """Give the breakdown's values at starts numbers, NULL first, as column `code`."""
    import pyarrow as pa

    names = [f"by{i}" for i in range(width)]
    begins = rows.filter((rows.flags.cast("int64") & START) == START)
    found = engine.fetch(begins.select(*names).distinct(), "reading the breakdown")
    groups = sorted(
        zip(*(found[name].to_pylist() for name in names), strict=True),
        key=lambda values: [(v is not None, _native(v)) for v in values],
    )
    filled = [[_NULL if v is None else v for v in values] for values in groups]
    columns = {
        f"key{i}": pa.array([values[i] for values in filled], pa.string())
        for i in range(width)
    }
    columns["code"] = pa.array(range(len(groups)), pa.int64())
    codes = engine.as_table(pa.table(columns), connection=backend_of(rows))
    filled_rows = rows.mutate(
        **{f"by{i}": rows[f"by{i}"].fill_null(_NULL) for i in range(width)}
    )
    joined = filled_rows.left_join(
        codes, [filled_rows[f"by{i}"] == codes[f"key{i}"] for i in range(width)]
    )
    kept = [name for name in rows.columns if name not in names]
    whole = joined.select(*kept, code=joined.code.fill_null(0))
    return groups, whole


def _native(value: str | None) -> tuple[int, float, str]:
    """Return what a value is sorted by: numbers by size, then text."""
    try:
        return (0, float(value or ""), "")
    except ValueError:
        return (1, 0.0, value or "")
