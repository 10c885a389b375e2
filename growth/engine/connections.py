"""Opening an engine: one embedded DuckDB by default, or any location Ibis can reach."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from growth.errors import (
    DataError,
    GrowthError,
    ParameterError,
    SecretMissingError,
    suggest,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ibis.backends import BaseBackend

__all__ = [
    "connect",
    "engine_call",
    "mask",
    "quote_identifier",
]

DATABASE_SUFFIXES = (".duckdb", ".ddb")
LEAST_MIB = 256  # an engine is given, however little is free
GLOB = re.compile(r"[*?\[]")
# scheme -> (what Ibis calls it, module that must be there, how to install it)
SCHEMES = {
    "duckdb": ("duckdb", "duckdb", "growth[engine]"),
    "spark": ("pyspark", "pyspark", "growth[spark]"),
    "clickhouse": (
        "clickhouse",
        "clickhouse_connect",
        "ibis-framework[clickhouse]==12.*",
    ),
    "postgres": ("postgres", "psycopg", "ibis-framework[postgres]==12.*"),
    "postgresql": ("postgres", "psycopg", "ibis-framework[postgres]==12.*"),
    "mysql": ("mysql", "MySQLdb", "ibis-framework[mysql]==12.*"),
}
SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+)://")
PASSWORD = re.compile(r"(://[^:/@\s]*):[^@\s]*@")
SECRET_QUERY = re.compile(r"(?i)([?&](?:password|passwd|pwd|token|secret)=)[^&\s]*")
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# whose exceptions are the engine's, not ours
ENGINE_PACKAGES = {
    "_duckdb",
    "clickhouse_connect",
    "duckdb",
    "ibis",
    "MySQLdb",
    "psycopg",
    "py4j",
    "pyarrow",
    "pyspark",
    "sqlglot",
}
CANNOT = {
    "OperationNotDefinedError",
    "UnsupportedBackendType",
    "UnsupportedOperationError",
}


def mask(location: object) -> str:
    """Return a location as text that is safe to show: passwords become ``***``.

    Parameters
    ----------
    location : object
        A path, an Ibis URL, or a message that may hold one.

    Returns
    -------
    str
        The same text without password or token.

    Examples
    --------
    >>> mask("postgres://ada:pa55word@db/shop")
    'postgres://ada:***@db/shop'
    """
    return SECRET_QUERY.sub(r"\1***", PASSWORD.sub(r"\1:***@", str(location)))


def quote_identifier(name: str) -> str:
    """Quote a name for SQL: double quotes, doubled inside.

    Parameters
    ----------
    name : str
        Any column or table name.

    Returns
    -------
    str
        The quoted name; the only way a name enters SQL text.

    Raises
    ------
    ParameterError
        If the name is empty or holds a NUL character (code ``bad_identifier``).

    Examples
    --------
    >>> quote_identifier('a"; DROP TABLE x; --')
    '"a""; DROP TABLE x; --"'
    """
    if not name or "\0" in name:
        msg = f"a column or table is named {name!r}; a name needs 1 or more characters"
        raise ParameterError(
            f"{msg}, none of them NUL; rename it.", code="bad_identifier"
        )
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def engine_call(verb: str, location: object = "") -> Iterator[None]:
    """Turn an engine's failure into one of ours, with the verb and what it read.

    Parameters
    ----------
    verb : str
        What was being done, for the message.
    location : object, optional
        What was being read; shown masked.

    Raises
    ------
    ParameterError
        If the engine cannot do it (code ``unsupported_on_engine``).
    DataError
        If it failed in any other way (code ``engine_failed``).
    """
    try:
        yield
    except GrowthError:
        raise
    except Exception as error:
        kind = type(error)
        if kind.__module__.partition(".")[0] not in ENGINE_PACKAGES and not isinstance(
            error, OSError
        ):
            raise
        where = f" of {mask(location)}" if location else ""
        said = mask(error).strip().split("\n\n")[0]
        if kind.__name__ in CANNOT:
            msg = f"{verb}{where} cannot be done by this engine: {said}; use an engine"
            msg = f"{msg} that can, such as the embedded DuckDB over Parquet."
            raise ParameterError(msg, code="unsupported_on_engine") from error
        msg = f"{verb}{where} failed in the engine: {said}; it must be readable there;"
        msg = f"{msg} check the data named above."
        raise DataError(msg, code="engine_failed") from error


def connect(
    location: object = None,
    *,
    threads: int | None = None,
    memory_limit: str | None = None,
    temp_dir: str | os.PathLike[str] | None = None,
    read_only: bool = True,
) -> BaseBackend:
    """Open an engine.

    Parameters
    ----------
    location : str, path, Ibis backend or SparkSession, optional
        None is an embedded DuckDB in memory. A folder, file or glob is an embedded
        DuckDB that may read only there. ``x.duckdb`` is a DuckDB file. Also
        ``duckdb://``, ``spark://``, ``clickhouse://``, ``postgres://`` and
        ``mysql://`` URLs, in which ``${NAME}`` is taken from the environment. An
        open connection or a SparkSession passes through.
    threads : int, optional
        Threads of the embedded engine, 1 or more; its own choice if omitted.
    memory_limit : str, optional
        Memory of the embedded engine, as DuckDB writes it: ``"2GB"``; half of what
        is free if omitted.
    temp_dir : path, optional
        Where the embedded engine spills; a folder of its own under the system's
        temporary folder if omitted.
    read_only : bool, default True
        Whether a DuckDB file is opened for reading only.

    Returns
    -------
    ibis.backends.BaseBackend
        The open connection. In the embedded engine extensions are neither
        installed nor loaded on demand; with a `location` file access is limited to
        it and `temp_dir`, and the configuration is locked.

    Raises
    ------
    ParameterError
        If the location is of an unknown kind or does not exist (code ``location``),
        what reads it is not installed (``missing_extra``), or a setting is
        unusable (``engine_setting``).
    SecretMissingError
        If a ``${NAME}`` is not in the environment.

    Notes
    -----
    `ibis.pyspark.connect` sets the session's zone to UTC, which is what the
    functions of this room rely on.
    """
    if _is_backend(location):
        return location
    _need("ibis", "growth[engine]")
    if _is_a(location, "pyspark.sql", "SparkSession"):
        return _spark(location)
    settings = _settings(threads, memory_limit, temp_dir)
    if location is None:
        return _embedded(settings)
    if not isinstance(location, str | os.PathLike):
        msg = f"location is a {type(location).__name__}; it must be a path, an Ibis"
        msg = f"{msg} URL, a connection or a SparkSession; pass one of these."
        raise ParameterError(msg, code="location")
    text = os.fspath(location)
    if scheme := SCHEME.match(text):
        return _by_url(text, scheme[1].lower(), settings, read_only=read_only)
    return _by_path(text, settings, read_only=read_only)


def is_database(text: str) -> bool:
    """Return whether a path is that of a DuckDB file."""
    return text.lower().endswith(DATABASE_SUFFIXES)


def escape_glob(path: str) -> str:
    """Return a path in which ``*``, ``?`` and ``[`` stand for themselves."""
    return re.sub(r"([*?\[])", r"[\1]", path)


def _need(module: str, install: str) -> None:
    if find_spec(module) is None:
        msg = f"{module} is not installed; this location needs it; run"
        raise ParameterError(f'{msg} `pip install "{install}"`.', code="missing_extra")


def _is_backend(value: object) -> bool:
    if "ibis" not in sys.modules:
        return False
    from ibis.backends import BaseBackend

    return isinstance(value, BaseBackend)


def _is_a(value: object, package: str, name: str) -> bool:
    """Return whether `value` is of a class, without importing its package."""
    return any(
        kind.__name__ == name and kind.__module__.startswith(package)
        for kind in type(value).__mro__
    )


def _settings(
    threads: int | None,
    memory_limit: str | None,
    temp_dir: str | os.PathLike[str] | None,
) -> dict[str, Any]:
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        msg = f"threads is {threads!r}; it must be a whole number of 1 or more; leave"
        raise ParameterError(f"{msg} it out to use all.", code="engine_setting")
    if temp_dir is None:
        # of its own: two processes must not spill into one folder
        name = f"growth-{os.getpid()}-{uuid4().hex[:8]}"
        temp_dir = Path(tempfile.gettempdir()) / name
    settings: dict[str, Any] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "temp_directory": os.path.abspath(temp_dir),
    }
    if threads is not None:
        settings["threads"] = threads
    if memory_limit is not None:
        settings["memory_limit"] = memory_limit
    elif free := _free_bytes():
        settings["memory_limit"] = f"{max(free // 2 >> 20, LEAST_MIB)}MiB"
    return settings


def _free_bytes(told: str = "/proc/meminfo") -> int:
    """Return the memory that is free; 0 where the system does not tell."""
    try:
        lines = Path(told).read_text("ascii").splitlines()
    except OSError:
        return 0
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else 0


def _embedded(settings: dict[str, Any], database: str = ":memory:") -> Any:  # noqa: ANN401
    import ibis

    _need("duckdb", "growth[engine]")
    import duckdb

    try:
        connection = ibis.duckdb.connect(database, **settings)
        # in a notebook it would leave a widget that no page can show
        connection.con.execute("SET enable_progress_bar = false")
        return connection
    except (duckdb.InvalidInputException, duckdb.ParserException) as error:
        msg = f"the embedded engine refuses its settings: {error}; memory_limit is"
        msg = f"{msg} written like '2GB'; correct it or leave it out."
        raise ParameterError(msg, code="engine_setting") from error


def _by_path(text: str, settings: dict[str, Any], *, read_only: bool) -> Any:  # noqa: ANN401
    path = os.path.abspath(os.path.expanduser(text))
    database = is_database(path)
    if database and not read_only:
        return _embedded(settings, path)
    exists = os.path.exists(path)
    is_glob = not exists and GLOB.search(path) is not None
    if not exists and not is_glob:
        near = Path(path).parent
        names = [item.name for item in near.iterdir()] if near.is_dir() else []
        msg = f"location {mask(text)!r} does not exist; it must be a folder, a file, a"
        msg = f"{msg} glob or a URL; check the path.{suggest(Path(path).name, names)}"
        raise ParameterError(msg, code="location")
    connection = _embedded(settings)
    if database:
        with engine_call("opening", path):
            quoted = path.replace("'", "''")
            connection.con.execute(f"ATTACH '{quoted}' AS growth_data (READ_ONLY)")
            connection.con.execute("USE growth_data")
    folder = path
    if is_glob:
        folder = path[: GLOB.search(path).start()].rpartition(os.sep)[0]  # type: ignore[union-attr]
    _lock_down(connection, settings, folder)
    return connection


def _lock_down(connection: Any, settings: dict[str, Any], path: str) -> None:  # noqa: ANN401
    """Let the embedded engine touch one location and its own spill, then lock it."""
    temp = settings["temp_directory"]
    folders = [f"{temp}{os.sep}"]
    files = []
    for spelling in {path, escape_glob(path)}:
        if os.path.isdir(path):
            folders.append(spelling.rstrip(os.sep) + os.sep)
        else:
            files.append(spelling)
    run = connection.con.execute
    for name, values in (("allowed_directories", folders), ("allowed_paths", files)):
        listed = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
        run(f"SET {name} = [{listed}]")
    run("SET enable_external_access = false")
    run("SET lock_configuration = true")


def _by_url(url: str, scheme: str, settings: dict[str, Any], *, read_only: bool) -> Any:  # noqa: ANN401
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        msg = f"location {mask(url)!r} has the unknown scheme {scheme!r}; it must be a"
        msg = f"{msg} path or one of {known}; correct it.{suggest(scheme, SCHEMES)}"
        raise ParameterError(msg, code="location")
    kind, module, install = SCHEMES[scheme]
    _need(module, install)
    rest = url.partition("://")[2]
    if kind == "duckdb":
        return _by_path(rest, settings, read_only=read_only)
    if kind == "pyspark":
        return _spark_by_master(rest)
    import ibis

    with engine_call("connecting", url):
        return ibis.connect(f"{kind}://{_from_environment(rest)}")


def _from_environment(text: str) -> str:
    """Fill ``${NAME}`` from the environment, quoted for a URL."""
    from urllib.parse import quote

    def fill(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            msg = f"the location names ${{{found[1]}}}, which is not in the"
            msg = f"{msg} environment; it must be set; export {found[1]} and retry."
            raise SecretMissingError(msg)
        return quote(os.environ[found[1]], safe="")

    return VARIABLE.sub(fill, text)


def _spark_by_master(rest: str) -> Any:  # noqa: ANN401
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("growth")
    if rest.startswith("local"):
        builder = builder.master(rest)
    elif rest:
        builder = builder.master(f"spark://{rest}")
    with engine_call("connecting", f"spark://{rest}"):
        return _spark(builder.getOrCreate())


def _spark(session: Any) -> Any:  # noqa: ANN401
    """Wrap a session; workers must run the same Python as we do."""
    import ibis

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    return ibis.pyspark.connect(session)
