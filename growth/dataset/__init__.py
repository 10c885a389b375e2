"""The canonical tables: opening them, loading foreign files into them.

`growth.open` gives a `Dataset`; `load` reads a foreign file through a TOML
mapping and accounts for every row; `check` says what a load would say;
`pseudonym` turns a raw id into one that may be stored.
"""

from growth.dataset.checking import CheckReport, check
from growth.dataset.core import Dataset, table_of
from growth.dataset.core import open_dataset as open  # noqa: A004
from growth.dataset.loading import load
from growth.dataset.lookups import entry_group, reference
from growth.dataset.manual import dictionary
from growth.dataset.mapping import TableMapping, load_mapping
from growth.dataset.positions import with_positions
from growth.dataset.pseudonyms import pseudonym
from growth.dataset.report import LoadReport, TableCount
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
    "CheckReport",
    "Column",
    "Dataset",
    "LoadReport",
    "TableCount",
    "TableMapping",
    "TableSchema",
    "arrow_schema",
    "arrow_type",
    "check",
    "dictionary",
    "entry_group",
    "load",
    "load_mapping",
    "open",
    "pseudonym",
    "reference",
    "table_of",
    "with_positions",
]
