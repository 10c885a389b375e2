"""Canonical Parquet, written aside and renamed; equal tables give equal bytes."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING

from growth.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = ["Folder"]


class Folder:
    """A dataset in the making: a context that either appears whole or not at all.

    Parameters
    ----------
    out : path
        Where it goes. An earlier sample there is replaced, anything else kept.

    Raises
    ------
    StoreError
        If something that is no sample is in the way (code ``out_in_use``).
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self._aside = out.with_name(f".{out.name}.new")
        self._open: dict[str, pq.ParquetWriter] = {}
        self._stack = ExitStack()
        self.counts: dict[str, list[int]] = {}

    def __enter__(self) -> Self:
        ours = (self.out / "truth.json").exists()
        if self.out.exists() and not ours and any(self.out.iterdir()):
            msg = f"{self.out} holds something else; it must be empty or a sample; name"
            raise StoreError(f"{msg} another folder.", code="out_in_use")
        shutil.rmtree(self._aside, ignore_errors=True)
        self._aside.mkdir(parents=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
        if kind is None:
            old = self.out.with_name(f".{self.out.name}.old")
            shutil.rmtree(old, ignore_errors=True)
            if self.out.exists():
                self.out.rename(old)
            self._aside.rename(self.out)
            shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(self._aside, ignore_errors=True)

    def part(self, name: str, folder: str, number: int, rows: pa.Table) -> None:
        """Write one file of a table that has a folder a day or a month."""
        import pyarrow.parquet as pq

        path = self._aside / name / folder / f"part-{number}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, path, compression="zstd", store_schema=False)
        self._count(name, rows.num_rows, path.stat().st_size, 1)

    def append(self, name: str, rows: pa.Table) -> None:
        """Add rows to a table that is one file."""
        import pyarrow.parquet as pq

        if name not in self._open:
            path = self._aside / f"{name}.parquet"
            writer = pq.ParquetWriter(
                path, rows.schema, compression="zstd", store_schema=False
            )
            self._open[name] = self._stack.enter_context(writer)
            self._count(name, 0, 0, 1)
        self._open[name].write_table(rows)
        self._count(name, rows.num_rows, 0, 0)

    def close(self) -> None:
        """Finish the tables that are one file, so that their sizes are known."""
        self._stack.close()
        for name in self._open:
            size = (self._aside / f"{name}.parquet").stat().st_size
            self._count(name, 0, size, 0)
        self._open = {}

    def text(self, path: str, words: str) -> None:
        """Write a text file, UTF-8."""
        target = self._aside / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(words, encoding="utf-8")

    def json(self, path: str, values: Mapping[str, object]) -> None:
        """Write plain values as JSON, keys sorted."""
        words = json.dumps(
            values, allow_nan=False, ensure_ascii=False, indent=1, sort_keys=True
        )
        self.text(path, words + "\n")

    def _count(self, name: str, rows: int, size: int, files: int) -> None:
        seen = self.counts.setdefault(name, [0, 0, 0])
        for position, more in enumerate((rows, size, files)):
            seen[position] += more
