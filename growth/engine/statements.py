"""Running a statement: on which connection, and one at a time."""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

from growth.engine.connections import connect, engine_call
from growth.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    import pyarrow as pa
    from ibis.backends import BaseBackend
    from ibis.expr.types import Expr, Table

__all__ = [
    "answer",
    "backend_of",
    "fetch",
    "hand_over",
    "is_spark",
    "keep",
    "setting",
    "table_names",
    "turn",
]


class _Turn:
    """Whose turn it is on a connection, and what of ours it holds.

    As a lock that its holder may take again, and that any thread may give back: a
    stream that nobody reads to its end is closed where it is forgotten.
    """

    def __init__(self) -> None:
        self.change = threading.Condition()
        self.owner: int | None = None
        self.depth = 0
        self.frames: set[str] = set()
        self.forgotten: list[str] = []  # tables kept of which nobody knows any more

    def take(self) -> None:
        me = threading.get_ident()
        with self.change:
            while self.owner not in (None, me):
                self.change.wait()
            self.owner = me
            self.depth += 1

    def give(self) -> None:
        with self.change:
            self.depth -= 1
            if not self.depth:
                self.owner = None
                self.change.notify()


# of each process, as a fork must not touch what its parent opened
_OPEN: dict[str, BaseBackend] = {}
_MINE = threading.local()
_OPENING = threading.Lock()


def backend_of(expr: Expr) -> BaseBackend:
    """Return the connection an expression runs on.

    Parameters
    ----------
    expr : ibis expression
        A table or a value.

    Returns
    -------
    ibis back end
        For data in memory the embedded DuckDB, by a connection that belongs to the
        calling thread; or what `ibis.set_backend` named, unless that is a DuckDB.

    Raises
    ------
    ParameterError
        If it draws on several connections (code ``several_connections``) or on
        none (``unbound_table``).
    """
    import ibis

    found, has_unbound = expr._find_backends()  # noqa: SLF001
    if len(found) > 1:
        names = sorted(backend.name for backend in found)
        msg = f"the table draws on {len(found)} connections ({', '.join(names)}); one"
        msg = f"{msg} statement runs on one; read all parts through one connection."
        raise ParameterError(msg, code="several_connections")
    if found:
        return found[0]
    if has_unbound:
        msg = "the table is unbound: it names columns but no data; it must be bound;"
        raise ParameterError(f"{msg} take it from a connection.", code="unbound_table")
    chosen = ibis.options.default_backend
    return _mine() if chosen is None or chosen.name == "duckdb" else chosen


def _mine() -> BaseBackend:
    """Return this thread's connection to this process's DuckDB in memory.

    Threads that share a DuckDB connection take each other's results, and can wait
    for each other for ever.
    """
    import ibis

    held = _MINE.__dict__
    process = str(os.getpid())
    if process not in held:
        with _OPENING:
            if process not in _OPEN:
                _OPEN[process] = connect()
            cursor = _OPEN[process].con.cursor()
        cursor.execute("SET enable_progress_bar = false")
        held[process] = ibis.duckdb.from_connection(cursor)
    return held[process]


@contextmanager
def turn(backend: BaseBackend) -> Iterator[None]:
    """Keep other threads off a connection until a result is read to its end.

    Parameters
    ----------
    backend : Ibis backend
        Any; threads may share one of Spark without taking turns.
    """
    if backend.name == "pyspark":
        yield
        return
    its = _turn_of(backend)
    its.take()
    try:
        yield
    finally:
        its.give()


def _turn_of(backend: BaseBackend) -> _Turn:
    return backend.__dict__.setdefault("growth_turn", _Turn())  # type: ignore[no-any-return]


def hand_over(backend: BaseBackend, table: Table) -> None:
    """Hand an engine the frames a table is made of, just before its statement.

    Parameters
    ----------
    backend : Ibis backend
        The table's, as `backend_of` says.
    table : ibis.Table
        What is about to be read.

    Notes
    -----
    Ibis leaves frames with DuckDB until the process ends. Those that no table is
    made of any more are taken back, so that a service keeps nothing of what it was
    asked, and tables of `keep` are dropped: here, and not as they are forgotten,
    because any statement cuts off what is being read from the same connection.
    """
    if backend.name != "duckdb":
        backend._run_pre_execute_hooks(table)  # noqa: SLF001
        return
    import ibis.expr.operations as ops

    its = _turn_of(backend)
    frames = its.frames
    with turn(backend):
        while its.forgotten:
            answer(backend, f'DROP TABLE temp.main."{its.forgotten.pop()}"')
        alive = {frame.name for frame in backend._memtables}  # noqa: SLF001
        for name in frames - alive:
            backend.con.unregister(name)
            frames.discard(name)
        backend._run_pre_execute_hooks(table)  # noqa: SLF001
        frames.update(frame.name for frame in table.op().find(ops.InMemoryTable))


def fetch(table: Table, verb: str = "reading") -> pa.Table:
    """Compute a table and return it whole, as Arrow; it must be small.

    Parameters
    ----------
    table : ibis.Table
        What is computed.
    verb : str, default "reading"
        What is being done, for the message of a failure.

    Returns
    -------
    pyarrow.Table
        Typed by the engine. On Spark it does not pass through pandas, where Ibis
        sends it and integers beside a NULL lose their last digits.

    Raises
    ------
    ParameterError, DataError
        As in `engine_call`.
    """
    with engine_call(verb):
        backend: Any = backend_of(table)
        with turn(backend):
            hand_over(backend, table)
            if backend.name != "pyspark":
                return backend.to_pyarrow(table)
            return backend._session.sql(backend.compile(table)).toArrow()  # noqa: SLF001


def keep(table: Table, verb: str = "keeping rows") -> Table:
    """Compute a table once and let its engine keep the rows while it is in use.

    Parameters
    ----------
    table : ibis.Table
        What is computed; it may be large.
    verb : str, default "keeping rows"
        What is being done, for the message of a failure.

    Returns
    -------
    ibis.Table
        The same rows, on the same connection.

    Raises
    ------
    ParameterError, DataError
        As in `engine_call`.
    """
    with engine_call(verb):
        backend: Any = backend_of(table)
        if backend.name != "duckdb":
            return backend._cached_table(table)  # noqa: SLF001
        with turn(backend):
            hand_over(backend, table)
            name = f"growth_kept_{uuid4().hex}"
            kept = backend.create_table(name, table, schema=table.schema(), temp=True)
        forget = _turn_of(backend).forgotten.append
        weakref.finalize(kept.op(), forget, name).atexit = False
        return kept


def answer(backend: Any, sql: str, values: Sequence[object] = ()) -> list[Any]:  # noqa: ANN401
    """Return the rows that DuckDB answers to a statement, as tuples.

    Parameters
    ----------
    backend : Ibis backend
        Of DuckDB.
    sql : str
        The statement.
    values : sequence, optional
        Of its parameters.

    Returns
    -------
    list of tuple
        All rows.
    """
    with turn(backend):
        rows: list[Any] = backend.con.execute(sql, list(values)).fetchall()
    return rows


def setting(backend: Any, name: str) -> Any:  # noqa: ANN401
    """Return a setting of DuckDB by its name; None of any other engine."""
    if backend.name != "duckdb":
        return None
    with engine_call("reading a setting"):
        sql = "SELECT current_setting(?)"
        # on a line of its own: a statement would cut off what is being read
        return backend.con.cursor().execute(sql, [name]).fetchone()[0]


def table_names(connection: BaseBackend) -> list[str]:
    """Return the names of the tables and views of a connection's current schema.

    Parameters
    ----------
    connection : Ibis backend
        An open connection.

    Returns
    -------
    list of str
        Sorted.

    Raises
    ------
    DataError
        If the engine cannot list them (code ``engine_failed``).
    """
    with engine_call("listing tables"):
        if connection.name != "duckdb":
            return sorted(connection.list_tables())
        # Ibis lists them by a call of DuckDB's that is deprecated
        sql = (
            "SELECT DISTINCT table_name FROM information_schema.tables"
            " WHERE table_catalog IN (current_catalog(), 'temp')"
            " AND table_schema = current_schema() ORDER BY ALL"
        )
        return [name for (name,) in answer(connection, sql)]


def is_spark(expr: Expr) -> bool:
    """Return whether an expression runs on Spark."""
    return any(
        backend.name == "pyspark"
        for backend in expr._find_backends()[0]  # noqa: SLF001
    )
