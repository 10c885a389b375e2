"""The data dictionary, written out of the schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from growth.dataset.schema import EVENTS, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from growth.dataset.schema import Column, TableSchema

__all__ = ["dictionary"]

_HEAD = """\
# Data dictionary

The canonical tables of `growth`. This page is written out of
`growth/dataset/schema.py` by `growth.dataset.dictionary()`; a test keeps it equal.

`reference/` holds the small lookup tables that come with the package: WeChat scenes
and their entrance groups, the keys of WeChat's own reports, thresholds of performance
readings, and the guide's unsourced figures on industries and channels. `sample/` is
made by `growth sample` and is not committed.

Money is whole fen, a hundredth of the table's one currency (`*_fen`). Instants are UTC,
in milliseconds (`ts`, `*_ts`); a day (`ds`, `*_ds`) is a local date, in Asia/Shanghai
unless a mapping says otherwise, truncated. Shares lie in 0..1 (`*_rate`). Ids are text.
NULL means unknown, and 0 never stands in for it.

A folder holds a table as `<table>.parquet`, `<table>.csv` or `<table>/**/*.parquet`;
events stand in `events/ds=YYYY-MM-DD/`. Columns of other names pass through. In the
tables below **R** marks a required column.
"""

_TAIL = """\
Any other name of at most 100 letters, digits and underscores is a custom event. There
is no `share_success`: the platform has not told since 2018."""


def dictionary() -> str:
    """Return the data dictionary as Markdown.

    Returns
    -------
    str
        The text of ``data/README.md``.
    """
    parts = [_HEAD, "## Tables\n", "| table | a row is | unlocks |\n|---|---|---|"]
    parts += [
        f"| [{t.name}](#{t.name}) | {t.doc} | {t.unlocks} |" for t in SCHEMA.values()
    ]
    for table in SCHEMA.values():
        parts += ["", *_table(table)]
    parts += ["", "## Event vocabulary\n", "| event | what it records |\n|---|---|"]
    parts += [f"| `{name}` | {doc} |" for name, doc in EVENTS.items()]
    parts += ["", _TAIL]
    return "\n".join(parts) + "\n"


def _table(table: TableSchema) -> Iterator[str]:
    yield f"## {table.name}\n"
    yield f"{table.doc[0].upper()}{table.doc[1:]}. Unlocks {table.unlocks}.\n"
    if table.key:
        yield f"Key: {', '.join(f'`{name}`' for name in table.key)}.\n"
    yield "| column | type | what it holds | allowed | unlocks |\n|---|---|---|---|---|"
    for column in table.columns:
        name = f"`{column.name}`" + (" **R**" if column.required else "")
        kind = f"{column.kind}, {column.unit}" if column.unit else column.kind
        allowed = _allowed(column)
        yield f"| {name} | {kind} | {column.doc} | {allowed} | {column.unlocks} |"


def _allowed(column: Column) -> str:
    if column.closed:
        return ", ".join(f"`{value}`" for value in column.closed)
    if column.known and column.name != "event":
        return ", ".join(f"`{value}`" for value in column.known) + ", or another"
    if column.above is not None:
        return f"> {column.above:g}"
    if column.low is not None and column.high is not None:
        return f"{column.low:g} to {column.high:g}"
    if column.low is not None:
        return f">= {column.low:g}"
    return ""
