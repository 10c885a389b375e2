"""The only room that talks to DuckDB, Spark and their dialects.

Importing it loads no engine: each function imports what it needs.
"""

from growth.engine.cells import MomentCell, moments
from growth.engine.connections import connect, mask, quote_identifier
from growth.engine.counts import UnitCounts, count_units
from growth.engine.days import instant, local_date, local_day
from growth.engine.dialect import (
    bit_or,
    epoch_us,
    first_by,
    ordered_collect,
    quantile_disc,
    shard_by_user,
    shift,
    stable_bucket,
    stable_bucket_of,
    stable_label,
    stable_sum,
)
from growth.engine.events import ByValue, map_events, map_events_by
from growth.engine.files import count_nulls
from growth.engine.packing import KeyPart, key_shifts
from growth.engine.ranks import QuantileAsk, RankAsk, order_statistics, quantiles
from growth.engine.scans import aggregate, scan, stream_batches
from growth.engine.sharded import ByUser, fold_by_user, map_by_user
from growth.engine.spreading import spread
from growth.engine.statements import backend_of, fetch, keep
from growth.engine.tables import TableLike, as_table, need_columns, read_files
from growth.engine.users import user_index
from growth.engine.where import Where, parse_where

__all__ = [
    "ByUser",
    "ByValue",
    "KeyPart",
    "MomentCell",
    "QuantileAsk",
    "RankAsk",
    "TableLike",
    "UnitCounts",
    "Where",
    "aggregate",
    "as_table",
    "backend_of",
    "bit_or",
    "connect",
    "count_nulls",
    "count_units",
    "epoch_us",
    "fetch",
    "first_by",
    "fold_by_user",
    "instant",
    "keep",
    "key_shifts",
    "local_date",
    "local_day",
    "map_by_user",
    "map_events",
    "map_events_by",
    "mask",
    "moments",
    "need_columns",
    "order_statistics",
    "ordered_collect",
    "parse_where",
    "quantile_disc",
    "quantiles",
    "quote_identifier",
    "read_files",
    "scan",
    "shard_by_user",
    "shift",
    "spread",
    "stable_bucket",
    "stable_bucket_of",
    "stable_label",
    "stable_sum",
    "stream_batches",
    "user_index",
]
