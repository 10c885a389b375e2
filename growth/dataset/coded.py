"""A column as its distinct values and a code per row.

Every transform is a plain function of one value; it runs once a distinct value, so
that three hundred thousand rows of two statuses cost two calls.
"""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from growth.dataset.transforms import plain_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["Coded", "constant", "of_arrow", "of_values", "pair"]


class Coded(NamedTuple):
    """`values` are distinct, None is missing; `codes` has one index into it a row."""

    values: list[Any]
    codes: NDArray[np.int64]

    def map(self, function: Callable[[Any], Any]) -> Coded:
        """Return the column with `function` of each distinct value."""
        return Coded([function(value) for value in self.values], self.codes)

    def at(self, row: int) -> object:
        """Return the value of one row."""
        return self.values[self.codes[row]]

    def take(self, mask: Sequence[bool]) -> NDArray[np.bool_]:
        """Return per row what `mask` says of its distinct value."""
        return np.asarray(mask, dtype=bool)[self.codes]


def constant(value: object, rows: int) -> Coded:
    """Return a column of one value."""
    return Coded([value], np.zeros(rows, dtype=np.int64))


def of_values(values: Iterable[object], rows: int) -> Coded:
    """Return any values as a column; 1, 1.0, True and ``"1"`` stay four values.

    Parameters
    ----------
    values : iterable
        One value a row, lists and mappings too.
    rows : int
        How many.

    Returns
    -------
    Coded
        In order of first appearance.
    """
    index: dict[tuple[type, object], int] = {}
    distinct: list[object] = []
    codes = np.empty(rows, dtype=np.int64)
    for row, value in enumerate(values):
        kind = value.__class__
        key = (kind, plain_text(value) if kind in (list, dict) else value)
        code = index.get(key, -1)
        if code < 0:
            code = index[key] = len(distinct)
            distinct.append(value)
        codes[row] = code
    return Coded(distinct, codes)


def of_arrow(array: pa.Array | pa.ChunkedArray) -> Coded:
    """Return an Arrow array as a column; NaN and NULL are missing.

    Parameters
    ----------
    array : pyarrow.Array or ChunkedArray
        Of any type; nested values become Python's.

    Returns
    -------
    Coded
        Timestamps become datetimes of microseconds.
    """
    import pyarrow as pa

    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_timestamp(array.type) and array.type.unit == "ns":
        array = array.cast(pa.timestamp("us", tz=array.type.tz), safe=False)
    if pa.types.is_nested(array.type):
        return of_values(array.to_pylist(), len(array))
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    values = array.dictionary.to_pylist()
    missing = len(values)
    codes = array.indices.cast(pa.int64()).fill_null(missing).to_numpy()
    nans = [isinstance(value, float) and isnan(value) for value in values]
    known = [None if nan else v for v, nan in zip(values, nans, strict=True)]
    return Coded([*known, None], codes)


def pair(columns: Sequence[Coded]) -> Coded:
    """Return several columns as one of tuples.

    Parameters
    ----------
    columns : sequence of Coded
        One or more, of equal length.

    Returns
    -------
    Coded
        Only combinations that occur.
    """
    codes = columns[0].codes
    combos: list[tuple[Any, ...]] = [(value,) for value in columns[0].values]
    for column in columns[1:]:
        width = len(column.values)
        found, codes = np.unique(codes * width + column.codes, return_inverse=True)
        combos = [
            (*combos[code // width], column.values[code % width])
            for code in found.tolist()
        ]
    return Coded(combos, codes)
