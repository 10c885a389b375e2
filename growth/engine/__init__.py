"""The only room that talks to DuckDB, Spark and their dialects.

Importing it loads no engine: each function imports what it needs.
"""

from growth.engine.cells import MomentCell, moments
from growth.engine.connections import backend_of, connect, mask, quote_identifier
from growth.engine.counts import UnitCounts, count_units
from growth.engine.days import instant, local_date, local_day
from growth.engine.dialect import epoch_us
from growth.engine.tables import TableLike, as_table, need_columns, read_files
from growth.engine.where import Where, parse_where

__all__ = [
    "MomentCell",
    "TableLike",
    "UnitCounts",
    "Where",
    "as_table",
    "backend_of",
    "connect",
    "count_units",
    "epoch_us",
    "instant",
    "local_date",
    "local_day",
    "mask",
    "moments",
    "need_columns",
    "parse_where",
    "quote_identifier",
    "read_files",
]
