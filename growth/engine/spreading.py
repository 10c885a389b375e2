"""A pure function over parts of the work: in threads here, in tasks on Spark."""

from __future__ import annotations

import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from growth.engine.connections import engine_call
from growth.errors import GrowthError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["spread"]

Part = TypeVar("Part")
Found = TypeVar("Found")


def spread(
    work: Callable[[Part], Found],
    parts: Sequence[Part],
    *,
    connection: Any = None,  # noqa: ANN401
    threads: int | None = None,
) -> Iterator[Found]:
    """Call a pure function on each part, and yield what it gives in their order.

    Parameters
    ----------
    work : callable
        Of one part; on Spark it is pickled, with all that it holds, and sent to every
        worker once.
    parts : sequence
        What to call it on; on Spark one task each.
    connection : ibis.BaseBackend, optional
        A Spark connection; this machine if omitted.
    threads : int, optional
        Threads here, 1 or more; a core each, and at most a part each, if omitted.

    Yields
    ------
    object
        One a part.

    Raises
    ------
    ParameterError
        If the connection is not Spark's (``unsupported_on_engine``).
    DataError
        If Spark fails (``engine_failed``).
    """
    if not parts:
        return
    if connection is None:
        count = threads or max(1, min(len(parts), os.cpu_count() or 1))
        with ThreadPoolExecutor(count) as pool:
            yield from pool.map(work, parts)
        return
    if connection.name != "pyspark":
        msg = f"connection is to {connection.name}; work can be spread over Spark only;"
        msg = f"{msg} leave connection out to use this machine's threads."
        raise ParameterError(msg, code="unsupported_on_engine")

    def task(batches: Iterable[Any]) -> Iterator[Any]:
        import pyarrow as pa

        for batch in batches:
            for place in batch.column(0).to_pylist():
                found: Any
                try:
                    found = work(parts[place])
                except GrowthError as error:  # else Spark would tell it its own way
                    found = error
                yield pa.record_batch(
                    {"place": [place], "found": [pickle.dumps(found)]}
                )

    with engine_call("spreading work"):
        places = connection._session.range(len(parts), numPartitions=len(parts))  # noqa: SLF001
        rows = places.mapInArrow(task, "place bigint, found binary").collect()
    for row in sorted(rows, key=lambda row: row.place):
        found = pickle.loads(row.found)
        if isinstance(found, GrowthError):
            raise found
        yield found
