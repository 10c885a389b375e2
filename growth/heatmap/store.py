"""Columns as they come in; beyond a size, put down on disk by user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from growth.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["SHARDS", "Store"]

IN_MEMORY: Final = 3_000_000  # taps; beyond, they are put down by user first
SHARDS: Final = 64


class Codes:
    """Texts as numbers, batch by batch."""

    def __init__(self) -> None:
        self.parts: list[tuple[NDArray[np.int32], int]] = []
        self.words: list[Any] = []
        self.size = 0

    def add(self, column: pa.Array) -> NDArray[np.int32]:
        """Return codes of one batch, numbered after those of earlier ones."""
        coded = column.dictionary_encode() if not _is_coded(column) else column
        words = coded.dictionary
        codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        codes = np.array(codes, dtype=np.int32)
        codes[codes >= 0] += self.size
        self.words.append(words)
        self.size += len(words)
        return codes

    def finish(self) -> tuple[Any, NDArray[np.int32]]:
        """Return the texts in order, and the number of each code given out."""
        import pyarrow as pa
        import pyarrow.compute as pc

        whole = pa.chunked_array(self.words, pa.string()).combine_chunks()
        coded = whole.dictionary_encode()
        order = pc.sort_indices(coded.dictionary)
        rank = np.empty(len(order) + 1, np.int32)
        rank[np.asarray(order)] = np.arange(len(order), dtype=np.int32)
        rank[-1] = -1
        numbers = np.append(rank[np.asarray(coded.indices)], -1).astype(np.int32)
        return coded.dictionary.take(order), numbers


def _is_coded(column: Any) -> bool:  # noqa: ANN401
    return hasattr(column, "indices")


class Store:
    """Columns by name; parts of it hold all rows of a user."""

    def __init__(self, names: list[str], words: set[str], *, shard: bool) -> None:
        self.names, self.shard = names, shard
        self.codes = {name: Codes() for name in words}
        self.batches: list[dict[str, Any]] = []
        self.n = 0
        self.files: list[Any] = []
        self.sizes: list[list[int]] = []
        self.types: dict[str, Any] = {}
        self.folder: Any = None
        self.whole_users = False  # users come as whole numbers

    def add(self, batch: pa.RecordBatch) -> None:
        """Take one batch."""
        import pyarrow as pa

        found: dict[str, Any] = {}
        for name in self.names:
            column = batch.column(name)
            integers = pa.types.is_integer(column.type)
            if name == "user" and integers:
                self.whole_users = True
                if column.null_count:
                    raise _null_user(column.null_count)
                found[name] = column.to_numpy(zero_copy_only=False)
            elif name in self.codes:
                text = column
                if not _is_coded(text) and text.type != pa.string():
                    text = text.cast(pa.string())
                found[name] = self.codes[name].add(text)
                if name == "user" and column.null_count:
                    raise _null_user(column.null_count)
            elif column.null_count and (integers or pa.types.is_boolean(column.type)):
                found[name] = column.fill_null(-1).to_numpy(zero_copy_only=False)
            else:
                found[name] = column.to_numpy(zero_copy_only=False)
        self.batches.append(found)
        self.n += batch.num_rows
        # text users get their number at the end: they stay in memory
        if self.shard and self.whole_users and self.n > IN_MEMORY:
            self._put_down()

    def _put_down(self) -> None:
        from tempfile import TemporaryDirectory, TemporaryFile

        from growth.heatmap import kernels

        if not self.files:
            self.folder = TemporaryDirectory(prefix="growth-taps-")
            self.files = [
                TemporaryFile(dir=self.folder.name)  # noqa: SIM115  (closed when read)
                for _ in range(SHARDS)
            ]
            self.sizes = [[] for _ in range(SHARDS)]
        for batch in self.batches:
            part = (batch["user"] % SHARDS).astype(np.int32)
            starts, order = kernels.users_first(part, SHARDS)
            ends = starts[1:]
            self.types = {name: column.dtype for name, column in batch.items()}
            sorted_ = [batch[name][order] for name in self.names]
            for k, (low, high) in enumerate(zip((0, *ends[:-1]), ends, strict=True)):
                self.sizes[k].append(int(high - low))
                for column in sorted_:
                    self.files[k].write(column[low:high].tobytes())
        self.batches = []

    def parts(self) -> Iterator[dict[str, Any]]:
        """Return the columns, all rows of a user in one part."""
        known = {name: codes.finish() for name, codes in self.codes.items()
                 if codes.words}  # fmt: skip
        words = {name: found[0] for name, found in known.items()}
        whole: dict[str, NDArray[Any]]
        if not self.files:
            whole = {
                name: np.concatenate([b[name] for b in self.batches])
                for name in self.names if self.batches
            }  # fmt: skip
            self.batches = []
            for name in known:
                whole[name] = known[name][1][whole[name]]
            yield {"columns": whole, "words": words}
            return
        for k, file in enumerate(self.files):
            file.seek(0)
            whole = {
                name: np.empty(sum(self.sizes[k]), self.types[name])
                for name in self.names
            }
            low = 0
            for size in self.sizes[k]:
                for name in self.names:
                    file.readinto(whole[name][low : low + size].view(np.uint8))
                low += size
            file.close()
            for name in known:
                whole[name] = known[name][1][whole[name]]
            yield {"columns": whole, "words": words, "shard": k}
        self.folder.cleanup()


def _null_user(n: int) -> DataError:
    msg = f"{n} rows have no user; every row must have one; leave them out with where="
    return DataError(f"{msg} or give them a user.", code="null_key")
