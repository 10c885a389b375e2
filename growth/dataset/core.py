"""A dataset: canonical tables at one place, read when they are named."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NoReturn

from growth.dataset.schema import SCHEMA
from growth.engine import as_table, connect, first_by, read_files
from growth.engine.connections import DATABASE_SUFFIXES, engine_call, escape_glob, mask
from growth.engine.statements import table_names, turn
from growth.errors import ColumnNotFoundError, DataError, ParameterError, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime
    from typing import Any

    import ibis.expr.datatypes as dt
    import ibis.expr.types as ir

    from growth.dataset.loading import LoadReport
    from growth.engine import TableLike

__all__ = ["Dataset", "files_of", "open_dataset", "table_of"]

_TABLE_FILES = (".parquet", ".csv")

_CONNECTING = Lock()


class Dataset:
    """Canonical tables at one location, each read when it is first named.

    Made by `growth.open`. Tables are attributes: ``data.events``, ``data.orders``;
    each is an Ibis table on one shared connection, so they join.

    Parameters
    ----------
    location : str
        What was opened: a folder, a file or a URL.
    files : mapping of str to tuple of Path
        Files of each table, where the tables are files.
    folder : Path, optional
        Where those files are; `location` if omitted.
    connection : object, optional
        An Ibis back end that holds the tables, where they are not files.
    load_report : LoadReport, optional
        What loading said, where the data came through a mapping.
    sources : tuple of Path
        Files the data was loaded from, where that is not `files`.
    """

    def __init__(
        self,
        location: str,
        *,
        files: Mapping[str, tuple[Path, ...]] | None = None,
        folder: Path | None = None,
        connection: Any = None,  # noqa: ANN401  (an Ibis back end)
        load_report: LoadReport | None = None,
        sources: tuple[Path, ...] = (),
    ) -> None:
        self.location = location
        self.load_report = load_report
        self._files = dict(files or {})
        self._folder = folder or Path(location)
        self._sources = sources
        self._connection: Any = connection
        self._stored = tuple(self._files) if connection is None else _listed(connection)
        self._opened: dict[str, ir.Table] = {}

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the canonical tables stored here, in the schema's order."""
        return tuple(name for name in SCHEMA if name in self._stored)

    def has(self, name: str) -> bool:
        """Return whether the table `name` can be read.

        Parameters
        ----------
        name : str
            A canonical table's name.

        Returns
        -------
        bool
            True also for ``assignments`` that only stand in exposure events.
        """
        return name in self._stored or (
            name == "assignments"
            and "events" in self._stored
            and {"exp_id", "variant"} <= set(self.table("events").columns)
        )

    def table(self, name: str) -> ir.Table:
        """Return one canonical table, lazily; its columns and types are checked.

        Parameters
        ----------
        name : str
            A canonical table's name.

        Returns
        -------
        ibis.Table
            The stored columns, extra ones too. Without an ``assignments`` table
            the first ``exp_exposure`` event of each user and experiment serves.

        Raises
        ------
        ParameterError
            If there is no canonical table of that name (code ``unknown_table``).
        DataError
            If the table is not here (code ``table_not_found``), or a column has
            a type it cannot have (code ``wrong_type``).
        ColumnNotFoundError
            If a required column is missing.
        """
        if name not in SCHEMA:
            msg = f"table is {name!r}; it must be one of {list(SCHEMA)}; name one."
            raise ParameterError(msg + suggest(name, SCHEMA), code="unknown_table")
        if name not in self._opened:
            if name in self._stored:
                found = _checked(name, self._read(name))
            elif self.has(name):
                found = _first_exposures(self.table("events"))
            else:
                self._missing(name)
            self._opened.setdefault(name, found)  # of several threads, one
        return self._opened[name]

    def require(self, table: str, *columns: str) -> ir.Table:
        """Return a table that has all of `columns`.

        Parameters
        ----------
        table : str
            A canonical table's name.
        *columns : str
            Columns the caller is about to use.

        Returns
        -------
        ibis.Table
            The table, all its columns.

        Raises
        ------
        ColumnNotFoundError
            For the first column that is not there; it says what that unlocks.
        DataError
            As in `table`.
        """
        found = self.table(table)
        for column in columns:
            if column not in found.columns:
                known = SCHEMA[table].by_name.get(column)
                unlocks = known.unlocks if known else ""
                raise ColumnNotFoundError(column, found.columns, unlocks=unlocks)
        return found

    def source_files(self) -> tuple[Path, ...]:
        """Return the files the data comes from, sorted; none for a URL.

        Returns
        -------
        tuple of Path
            For a mapping, the foreign files and the mapping itself.
        """
        if self._sources:
            return self._sources
        return tuple(sorted(path for paths in self._files.values() for path in paths))

    @property
    def rejects_file(self) -> Path | None:
        """The rows a load turned away, with their reasons; None: nothing was loaded."""
        path = self._folder / "rejects.parquet"
        return path if path.is_file() else None

    def __getattr__(self, name: str) -> ir.Table:
        if name in SCHEMA:
            return self.table(name)
        known = [*SCHEMA, *(item for item in dir(type(self)) if item[0] != "_")]
        msg = f"a dataset has no attribute {name!r}.{suggest(name, known)}"
        raise AttributeError(msg)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.tables})

    def __repr__(self) -> str:
        return f"<Dataset {self.location}: {', '.join(self.tables)}>"

    def _missing(self, name: str) -> NoReturn:
        msg = (
            f"table {name!r} is not in {self.location}; it has {list(self.tables)}; "
            f"add it, which unlocks {SCHEMA[name].unlocks}."
        )
        raise DataError(msg, code="table_not_found")

    def _read(self, name: str) -> ir.Table:
        if name not in self._files:
            with turn(self._connection):
                return self._connection.table(name)
        with _CONNECTING:
            if self._connection is None:
                self._connection = connect(self._folder)
        path = self._files[name][0]
        if path.suffix == ".csv":
            return self._read_csv(name, path)
        single = path == self._folder / path.name
        return read_files(self._connection, path if single else self._folder / name)

    def _read_csv(self, name: str, path: Path) -> ir.Table:
        """Read a CSV with the schema's types, so that the id `001` stays text."""
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file), [])
        known, spell = SCHEMA[name].by_name, self._connection.compiler.type_mapper
        types = {
            column: spell.to_string(_ibis_type(known[column].kind))
            for column in header
            if column in known
        }
        paths = [escape_glob(str(item)) for item in self._files[name]]
        with engine_call("reading", path), turn(self._connection):
            return self._connection.read_csv(
                paths, header=True, types=types, union_by_name=True
            )


def open_dataset(
    location: str | os.PathLike[str],
    *,
    mapping: str | os.PathLike[str] | None = None,
    as_of: date | datetime | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> Dataset:
    """Open the tables at a location.

    Parameters
    ----------
    location : path or str
        A folder of canonical tables (``events/ds=2026-03-01/*.parquet``,
        ``orders.parquet``, ``orders.csv``), a DuckDB file, an Ibis URL
        (``postgres://...``); with `mapping`, foreign files: one, a folder of
        them, or a glob.
    mapping : path, optional
        A TOML file that says what foreign columns mean; the rows are then
        validated and loaded into the cache.
    as_of : date or aware datetime, optional
        Last day counted: rows after it are rejected as ``future_ts``. Used with
        `mapping`; without it the future is not checked (notice).
    cache : path, optional
        Where loaded tables are kept, by content; a folder of the user's if
        omitted. Never inside the source folder.

    Returns
    -------
    Dataset
        Nothing is read before a table is named, then its schema is checked.

    Raises
    ------
    DataError
        If there is nothing at the location (code ``location_not_found``), or no
        canonical table (code ``no_tables``).
    ParameterError
        If the location is a foreign file and `mapping` is missing (code
        ``mapping_missing``), or the mapping or `cache` cannot be used.
    LoadRefusedError
        If too many foreign rows are bad.
    """
    if mapping is not None:
        from growth.dataset.loading import open_mapped

        return open_mapped(location, mapping, as_of=as_of, cache=cache)
    text = os.fspath(location)
    if "://" in text:
        return Dataset(mask(text), connection=connect(text))
    path = Path(text)
    if not path.exists():
        msg = f"location is {text}; it must be a folder, a DuckDB file or a URL; "
        raise DataError(f"{msg}nothing is there.", code="location_not_found")
    if path.suffix.lower() in DATABASE_SUFFIXES:
        return Dataset(text, connection=connect(text), sources=(path,))
    if path.is_file():
        msg = f"location is the file {text}; it must be a folder of canonical tables; "
        hint = "pass mapping= with a TOML file that says what its columns mean."
        raise ParameterError(msg + hint, code="mapping_missing")
    if not (files := files_of(path)):
        seen = sorted(item.name for item in path.iterdir())[:10]
        msg = f"{text} holds {seen}; it must hold a canonical table: {list(SCHEMA)}; "
        hint = "pass mapping= for foreign files."
        raise DataError(msg + hint, code="no_tables")
    return Dataset(text, files=files)


def table_of(data: TableLike | Dataset, name: str) -> ir.Table:
    """Return one table of a dataset, or the table given in its place.

    Parameters
    ----------
    data : Dataset, ibis.Table, frame, Arrow data or path
        Where rows are.
    name : str
        The table wanted of a dataset.

    Returns
    -------
    ibis.Table
        Lazy.

    Raises
    ------
    DataError
        If the dataset has no such table.
    """
    if isinstance(data, Dataset):
        return data.table(name)
    return as_table(data)


def files_of(folder: Path) -> dict[str, tuple[Path, ...]]:
    """Return the files of each canonical table in a folder, sorted.

    Parameters
    ----------
    folder : Path
        Holds ``<table>.parquet``, ``<table>.csv`` or ``<table>/**``.

    Returns
    -------
    dict of str to tuple of Path
        Tables that have files, in the schema's order. Names that begin with a
        dot or an underscore are passed over; Parquet goes before CSV.
    """
    found = {}
    for name in SCHEMA:
        for suffix in _TABLE_FILES:
            single = folder / f"{name}{suffix}"
            paths = [single] if single.is_file() else []
            if (nested := folder / name).is_dir():
                paths += [
                    path
                    for path in sorted(nested.rglob(f"*{suffix}"))
                    if not any(p[0] in "._" for p in path.relative_to(nested).parts)
                ]
            if paths:
                found[name] = tuple(paths)
                break
    return found


def _listed(connection: Any) -> tuple[str, ...]:  # noqa: ANN401
    names = set(table_names(connection))
    return tuple(name for name in SCHEMA if name in names)


def _ibis_type(kind: str) -> dt.DataType:
    import ibis.expr.datatypes as dt

    names = {"text": "string", "json": "string", "any": "string", "bool": "boolean"}
    return dt.dtype("timestamp('UTC')" if kind == "instant" else names.get(kind, kind))


def _checked(name: str, table: ir.Table) -> ir.Table:
    """Return `table` with canonical types; refuse what cannot have them."""
    schema = SCHEMA[name]
    stored = table.schema()
    casts = {}
    for column in schema.columns:
        if column.name not in stored:
            if column.required:
                unlocks = schema.unlocks
                raise ColumnNotFoundError(column.name, table.columns, unlocks=unlocks)
            continue
        found, wanted = stored[column.name], _ibis_type(column.kind)
        if not _fits(found, column.kind):
            msg = (
                f"column {column.name!r} of {name} is {found}; it must be {wanted}; "
                "write it so, or load the file through a mapping."
            )
            raise DataError(msg, code="wrong_type")
        naive = found.is_timestamp() and found.timezone is None
        if naive or found.is_null():
            casts[column.name] = wanted
    return table.cast(casts) if casts else table


def _fits(found: dt.DataType, kind: str) -> bool:
    fits = {
        "instant": "is_timestamp",
        "date": "is_date",
        "bool": "is_boolean",
        "float32": "is_numeric",
        "float64": "is_numeric",
        "text": "is_string",
        "any": "is_string",
    }
    if kind == "json" or found.is_null():
        return True
    return bool(getattr(found, fits.get(kind, "is_integer"))())


def _first_exposures(events: ir.Table) -> ir.Table:
    """Return assignments read from ``exp_exposure`` events: the first of each."""
    import ibis

    met = events.filter(
        events.event == "exp_exposure",
        events.exp_id.notnull(),
        events.variant.notnull(),
    )
    order = [met.ts]
    if "event_id" in events.columns:
        order.append(met.event_id.fill_null(""))
    text = ibis.literal(None, "string")
    first = {
        name: first_by(met[column], *order) if column in events.columns else text
        for name, column in (("layer", "exp_layer"), ("source", "exp_source"))
    }
    found = met.group_by(unit_id=met.user_id, exp_id=met.exp_id).agg(
        variant=first_by(met.variant, *order),
        ts=met.ts.min(),
        unit_type=ibis.literal("user"),
        **first,
        conflict=met.variant.min() != met.variant.max(),
    )
    names = ("unit_id", "exp_id", "variant", "ts", "unit_type", "layer", "source")
    return found.select(*names, "conflict")
