"""What every piece of the sample stands on: streams, ids, the clock, Arrow tables.

Each piece draws from its own stream, named after it, so that changing one piece
leaves every other piece of the same seed as it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from math import inf
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from growth.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import ArrayLike, NDArray

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Ids = NDArray[np.bytes_]

__all__ = [
    "DAY_MS",
    "MISSING",
    "Coded",
    "Piece",
    "hex_ids",
    "midnight_ms",
    "need",
    "stream",
    "table",
]

DAY_MS = 86_400_000
SHANGHAI_MS = 8 * 3_600_000  # no daylight saving since 1991
MISSING = int(np.iinfo(np.int64).min)  # stands for NULL in an integer column

_INT16 = ("scene", "share_depth")
_INT32 = ("element_index", "line_no")
_INT8 = ("tier", "device_level")
_FLOAT = ("value", "qty")
_BOOL = ("conflict", "out_of_stock", "physical", "wecom_friend")
_INT64 = (
    "qualifying_fen_12m",
    "points",
    "points_balance",
    "dur_ms",
    "impressions",
    "clicks",
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A made-up table and what is true of it.

    Parameters
    ----------
    data : pyarrow.Table
        The rows, in canonical columns.
    truth : mapping of str to object
        Every planted value by name; plain numbers, text, lists and mappings.
    tables : mapping of str to pyarrow.Table
        Further tables that belong to `data`, by name; often none.
    """

    data: pa.Table
    truth: Mapping[str, object]
    tables: Mapping[str, pa.Table]


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """Text as positions in a list of words; -1 is NULL."""

    codes: NDArray[Any]
    words: Sequence[str] | Ids


def stream(seed: int, piece: str, shard: int = 0) -> np.random.Generator:
    """Return the stream of random numbers that belongs to one piece.

    Parameters
    ----------
    seed : int
        0 or more.
    piece : str
        The piece's name.
    shard : int, default 0
        Number of the user shard, 0 or more.

    Returns
    -------
    numpy.random.Generator
        Independent of the streams of other pieces, shards and seeds.

    Raises
    ------
    ParameterError
        If `seed` is negative (code ``seed_negative``).
    """
    if seed < 0:
        msg = f"seed is {seed}; it must be 0 or more; give another."
        raise ParameterError(msg, code="seed_negative")
    key = (crc32(piece.encode()), shard)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def need(name: str, value: float, low: float, high: float = inf) -> None:
    """Raise unless `value` is in ``[low, high]``.

    Raises
    ------
    ParameterError
        Naming the parameter (code ``out_of_range``).
    """
    if not low <= value <= high:
        top = "" if high == inf else f" and at most {high:g}"
        msg = f"{name} is {value}; it must be at least {low:g}{top}; change it."
        raise ParameterError(msg, code="out_of_range")


def hex_ids(rng: np.random.Generator, n: int) -> Ids:
    """Return `n` opaque pseudonyms of 32 hex digits, in no order."""
    if not n:
        return np.empty(0, dtype="S32")
    return np.frombuffer(rng.bytes(16 * n).hex().encode(), dtype="S32").copy()


def midnight_ms(day: date) -> int:
    """Return the epoch milliseconds at which `day` begins in Shanghai."""
    return (day - date(1970, 1, 1)).days * DAY_MS - SHANGHAI_MS


def month_number(day: date) -> int:
    """Return the months since year 0 of the month that holds `day`."""
    return day.year * 12 + day.month - 1


def month_of(ts_ms: Ints) -> Ints:
    """Return the months since year 0 of instants, by Shanghai's calendar."""
    local = (ts_ms + SHANGHAI_MS).astype("datetime64[ms]")
    return local.astype("datetime64[M]").astype(np.int64) + 1970 * 12


def month_start_ms(month: Ints) -> Ints:
    """Return the epoch milliseconds at which months begin in Shanghai."""
    days = (month - 1970 * 12).astype("datetime64[M]").astype("datetime64[D]")
    return days.astype(np.int64) * DAY_MS - SHANGHAI_MS


def table(columns: Mapping[str, ArrayLike | Coded]) -> pa.Table:
    """Return an Arrow table whose column types follow from the canonical names.

    Parameters
    ----------
    columns : mapping of str to array_like or Coded
        Equal lengths. `MISSING` (integers) and NaN (floats) become NULL.

    Returns
    -------
    pyarrow.Table
        Times are ``timestamp[ms, UTC]``, dates ``date32``, money int64.
    """
    import pyarrow as pa

    return pa.table({name: _column(name, values) for name, values in columns.items()})


def _column(name: str, values: ArrayLike | Coded) -> pa.Array:
    import pyarrow as pa

    if isinstance(values, Coded):
        return _text(values)
    array = np.asarray(values)
    kind = _type(name, array)
    if array.dtype.kind == "S":
        return pa.array(array).cast(pa.string())
    if array.dtype.kind == "f":
        return pa.array(array, type=kind, from_pandas=True)
    if array.dtype == np.int64 and len(array) and (null := array == MISSING).any():
        small = np.where(null, 0, array)
        return pa.array(small, mask=null).cast(kind or pa.int64())
    if kind is not None and pa.types.is_timestamp(kind):
        return pa.array(array.astype(np.int64)).cast(kind)
    if kind is not None and pa.types.is_date32(kind):
        return pa.array(array.astype(np.int32)).cast(kind)
    return pa.array(array, type=kind)


def _text(values: Coded) -> pa.Array:
    import pyarrow as pa

    codes, words = values.codes, values.words
    if len(words) > 1000:  # keep only the words in use
        used, codes = np.unique(codes, return_inverse=True)
        lost = int(len(used) > 0 and used[0] < 0)
        words = np.asarray(words)[used[lost:]]
        codes = codes - lost
    if isinstance(words, np.ndarray):
        entries = pa.array(words).cast(pa.string())
    else:
        entries = pa.array(list(words), type=pa.string())
    codes = np.asarray(codes, dtype=np.int32)
    null = codes < 0
    indices = pa.array(np.where(null, 0, codes), mask=null if null.any() else None)
    if not len(entries):
        return pa.nulls(len(codes), type=pa.string())
    return pa.DictionaryArray.from_arrays(indices, entries)


def _type(name: str, array: NDArray[Any]) -> pa.DataType:
    import pyarrow as pa

    known = (
        (name == "ts" or name.endswith("_ts"), pa.timestamp("ms", tz="UTC")),
        (name == "ds" or name.endswith("_ds"), pa.date32()),
        (name.endswith("_fen") or name in _INT64, pa.int64()),
        (name.endswith("_px"), pa.float32()),
        (name in _INT16, pa.int16()),
        (name in _INT32, pa.int32()),
        (name in _INT8, pa.int8()),
        (name in _FLOAT, pa.float64()),
        (name in _BOOL, pa.bool_()),
        (array.dtype.kind in "SU", pa.string()),
    )
    return next((kind for fits, kind in known if fits), None)
