"""Keys by shard: held in memory, then in files, sorted and given to a kernel."""

from __future__ import annotations

import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from growth.engine.packing import BATCH
from growth.engine.statements import backend_of, setting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from growth.engine.packing import Packed, Plan
    from growth.engine.users import Interner

    Array = NDArray[Any]
    Kernel = Callable[..., tuple[Array, ...]]

__all__ = ["Found", "Parts", "Work", "in_order"]

RARE = 16  # one key in so many may come late in a log that is sorted quickly
FEW = 1 << 12  # keys that are sorted as well without digits
LIMIT = 4 << 30  # bytes, where an engine names no limit of its own


class Work(NamedTuple):
    """A kernel with its parameters."""

    kernel: Kernel
    params: tuple[object, ...]
    out: str

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        """Return what the kernel makes of some users' rows, as arrays."""
        found = self.kernel(*arrays, *self.params)
        if not isinstance(found, tuple):
            found = (found,)
        return tuple(np.asarray(item) for item in found)


class Found(NamedTuple):
    """What one part gave; users are already those of the whole table."""

    values: tuple[Array, ...]
    users: Any
    rows: int
    nulls: tuple[int, ...]


class Parts:
    """Keys and payload by part: in memory, then in files."""

    def __init__(self, plan: Plan, count: int) -> None:
        self.plan = plan
        self.count = count
        self.read = 0
        self.nulls = [0] * (1 + len(plan.packing.fields))
        floating = [item.floating for _, item in plan.packing.carried]
        self.kinds = ["i8", *("f8" if flag else "i8" for flag in floating)]
        self.wide = len(self.kinds)
        self.held = 0
        self.sizes = [0] * count
        self.chunks: list[list[tuple[Array, ...]]] = [[] for _ in range(count)]
        self.budget = _budget(plan)
        self.folder: Path | None = None

    def add(self, rows: Packed) -> None:
        """Put rows into their parts."""
        from growth.engine.kernels import scatter

        self.read += rows.rows
        self.nulls = [a + b for a, b in zip(self.nulls, rows.nulls, strict=True)]
        keys = np.empty_like(rows.low)
        order = np.empty(rows.low.size if rows.carried else 0, np.int64)
        starts = scatter(
            rows.users,
            rows.low,
            rows.keep,
            self.count,
            self.plan.packing.bits,
            keys,
            order,
            keep_rows=bool(rows.carried),
        )
        columns = [keys, *(column[order] for column in rows.carried)]
        for part in range(self.count):
            start, end = starts[part], starts[part + 1]
            if end > start:
                self.chunks[part].append(
                    tuple(column[start:end].copy() for column in columns)
                )
                self.sizes[part] += int(end - start)
        self.held += 8 * self.wide * int(starts[-1])
        if self.held > self.budget:
            self._spill()

    def _spill(self) -> None:
        """Append all that is held to a file a part and column."""
        if self.folder is None:
            backend = backend_of(self.plan.rows)
            above = setting(backend, "temp_directory") or tempfile.gettempdir()
            os.makedirs(above, exist_ok=True)
            self.folder = Path(tempfile.mkdtemp(prefix="growth-keys-", dir=above))
        for part, chunks in enumerate(self.chunks):
            for i in range(self.wide if chunks else 0):
                with open(self.folder / f"{part}.{i}", "ab") as file:
                    for chunk in chunks:
                        chunk[i].tofile(file)
            chunks.clear()
        self.held = 0

    def _take(self, part: int) -> Iterator[tuple[Array, list[Array]]]:
        """Give a part's columns and forget them; in pieces where it is too large."""
        chunks, self.chunks[part] = self.chunks[part], []
        pieces = -(-self.sizes[part] * 8 * self.wide // self.budget)
        if self.folder is None or pieces <= 1:
            columns = []
            for i, kind in enumerate(self.kinds):
                held = [chunk[i] for chunk in chunks]
                columns.append(np.concatenate(held) if held else self._file(part, i))
                if not held:
                    columns[-1] = np.array(columns[-1], kind)
            chunks.clear()
            yield columns[0], columns[1:]
            return
        for piece in range(pieces):
            found: list[list[Array]] = [[] for _ in self.kinds]
            files = [self._file(part, i) for i in range(self.wide)]
            for start in range(0, self.sizes[part], BATCH):
                block = [file[start : start + BATCH] for file in files]
                users = block[0] >> self.plan.packing.bits
                mine = users % pieces == piece
                for i, column in enumerate(block):
                    found[i].append(column[mine])
            yield np.concatenate(found[0]), [np.concatenate(c) for c in found[1:]]

    def _file(self, part: int, i: int) -> Array:
        """Return a column that was written, still on disk."""
        path = self.folder / f"{part}.{i}" if self.folder is not None else None
        if path is None or not self.sizes[part]:
            return np.empty(0, self.kinds[i])
        return np.memmap(path, self.kinds[i], mode="r")

    def run(self, work: Work, threads: int, names: Interner | None) -> Iterator[Found]:
        """Sort each part and run the kernel over it; at least once."""
        if self.folder is not None:
            self._spill()
        ids = names.ids() if names is not None and work.out == "rows" else None

        def one(part: int) -> list[Found]:
            return [
                self._call(work, part, keys, carried, ids)
                for keys, carried in self._take(part)
            ]

        asked = [part for part in range(self.count) if self.sizes[part]] or [0]
        largest = 8 * self.wide * max(self.sizes)
        threads = max(1, min(threads, len(asked), self.budget // max(largest, 1)))
        with ThreadPoolExecutor(threads) as pool:
            for several in pool.map(one, asked) if threads > 1 else map(one, asked):
                yield from several

    def _call(
        self,
        work: Work,
        part: int,
        keys: Array,
        carried: list[Array],
        ids: Any,  # noqa: ANN401
    ) -> Found:
        import pyarrow as pa

        keys, carried = in_order(keys, carried, self.plan.packing.bits)
        values = work(keys, *carried)
        users = None
        if work.out == "rows":
            whose = values[0].astype(np.int64) * self.count + part
            users = pa.array(whose) if ids is None else ids.take(pa.array(whose))
            values = values[1:]
        elif work.out == "loose":
            values = values[1:]
        return Found(values, users, keys.size, ())

    def close(self) -> None:
        """Remove what was written."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def _budget(plan: Plan) -> int:
    """Return how many bytes of keys are held: a quarter of the engine's limit."""
    text = str(setting(backend_of(plan.rows), "memory_limit") or "")
    number, _, unit = text.partition(" ")
    powers = {"bytes": 0, "KiB": 1, "MiB": 2, "GiB": 3, "TiB": 4}
    limit = float(number) * 1024 ** powers[unit] if unit in powers else LIMIT
    return int(limit / 4)


def in_order(keys: Array, carried: list[Array], low: int) -> tuple[Array, list[Array]]:
    """Sort keys; with payload, rows of one key by their payload.

    A log is mostly written as time goes by: then the bits below the user (`low` many)
    are all but in order, and it takes little more than sorting by user.
    """
    from growth.engine.kernels import falls, radix, settle

    if keys.size < FEW and not carried:
        keys.sort()
        return keys, []
    spare = np.empty_like(keys)
    order = np.arange(keys.size if carried else 0)
    other = np.empty_like(order)
    bits = int(keys.max()).bit_length() if keys.size else 0
    least = 0
    if not carried and falls(keys, low) <= keys.size // RARE:
        least = min(low, bits)
    while True:
        if radix(keys, spare, order, other, least, bits, keep_rows=bool(carried)):
            keys, spare, order = spare, keys, other
        if not least or settle(keys, keys.size):
            break
        least = 0
    if not carried:
        return keys, []
    if (keys[1:] == keys[:-1]).any():
        again = np.lexsort([*(column[order] for column in reversed(carried)), keys])
        order = order[again]
    return keys, [column[order] for column in carried]
