"""The canonical tables: opening them, loading foreign files into them.

`growth.open` gives a `Dataset`; `load` reads a foreign file through a TOML
mapping and accounts for every row; `check` says what a load would say;
`pseudonym` turns a raw id into one that may be stored.
"""

from growth.dataset.core import Dataset
from growth.dataset.core import open_dataset as open  # noqa: A004
from growth.dataset.reference import entry_group, reference
from growth.dataset.schema import (
    EVENTS,
    SCHEMA,
    Column,
    TableSchema,
    arrow_schema,
    arrow_type,
)

__all__ = [
    "EVENTS",
    "SCHEMA",
    "Column",
    "Dataset",
    "TableSchema",
    "arrow_schema",
    "arrow_type",
    "entry_group",
    "open",
    "reference",
]
