"""What a load says of itself: counts that add up, and what refused it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from growth.dataset.validate import FAILURES
from growth.result import Notice, Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from growth.result import Cell

__all__ = [
    "MAX_DUPLICATE_RATE",
    "MAX_ID_RATE",
    "MAX_ORPHAN_RATE",
    "MAX_REJECT_RATE",
    "LoadReport",
    "TableCount",
]

MAX_REJECT_RATE: Final = 0.01
MAX_DUPLICATE_RATE: Final = 0.05
MAX_ORPHAN_RATE: Final = 0.02
MAX_ID_RATE: Final = 0.01  # share of ready pseudonyms that look like raw ids


@dataclass(frozen=True, slots=True)
class TableCount:
    """How the rows of one table fared: `rows_in` is accepted plus rejected."""

    table: str
    rows_in: int
    accepted: int
    rejected: tuple[tuple[str, int], ...] = ()

    def share(self, *reasons: str) -> float:
        """Return the share of rows rejected for one of `reasons`, in [0, 1]."""
        found = sum(rows for reason, rows in self.rejected if reason in reasons)
        return found / self.rows_in if self.rows_in else 0.0

    def over_limits(self, max_reject_rate: float) -> tuple[str, ...]:
        """Return what refuses the table: ``bad_rows``, ``duplicates``, ..."""
        if not self.accepted:
            return ("none_accepted",)
        limits = {
            "bad_rows": self.share(*FAILURES) > max_reject_rate,
            "duplicates": self.share("duplicate_key") > MAX_DUPLICATE_RATE,
            "orphans": self.share("orphan_ref") > MAX_ORPHAN_RATE,
        }
        return tuple(name for name, over in limits.items() if over)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport(Result):
    """What a load took in and what it turned away.

    Parameters
    ----------
    load_id : str
        16 characters; the same for the same files, mapping and `as_of`.
    source, mapping : str
        Name of the source as the mapping gives it, and the mapping's file name.
    source_sha256, mapping_sha256 : str
        Hashes of what was read.
    as_of : str or None
        The day or instant given; None: the future was not checked.
    tz : str
        Zone of the business day.
    max_reject_rate : float
        Share of bad rows allowed.
    tables : tuple of TableCount
        The table of the mapping first, then the lines inside its rows.
    over_limits : tuple of str
        What refused the load; empty if nothing did.
    """

    load_id: str
    source: str
    mapping: str
    source_sha256: str
    mapping_sha256: str
    as_of: str | None
    tz: str
    max_reject_rate: float
    tables: tuple[TableCount, ...]
    over_limits: tuple[str, ...] = ()

    @property
    def table(self) -> str:
        """Name of the table the mapping fills."""
        return self.tables[0].table

    @property
    def rows_in(self) -> int:
        """Rows the source held."""
        return self.tables[0].rows_in

    @property
    def accepted(self) -> int:
        """Rows taken in."""
        return self.tables[0].accepted

    @property
    def rejected(self) -> dict[str, int]:
        """Rows turned away, by reason."""
        return dict(self.tables[0].rejected)

    @property
    def refused(self) -> bool:
        """Whether the load was refused: only the rejects were written."""
        return bool(self.over_limits)

    @property
    def verdict(self) -> str:
        """`dataset.load.` and `refused`, `partly` (rows rejected) or `clean`."""
        if self.over_limits:
            return "dataset.load.refused"
        some = any(count.rejected for count in self.tables)
        return f"dataset.load.{'partly' if some else 'clean'}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row per table and outcome, accepted first."""
        return [
            {
                "table": count.table,
                "outcome": outcome,
                "rows": rows,
                "share": rows / count.rows_in if count.rows_in else None,
            }
            for count in self.tables
            for outcome, rows in (("accepted", count.accepted), *count.rejected)
        ]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LoadReport:
        """Return the report that `to_dict` wrote.

        Parameters
        ----------
        data : mapping
            As read from JSON.

        Returns
        -------
        LoadReport
            Equal to the one written.
        """
        known = {item.name for item in fields(cls)}
        values = {name: value for name, value in data.items() if name in known}
        values["tables"] = tuple(
            TableCount(
                **{**item, "rejected": tuple((r, n) for r, n in item["rejected"])}
            )
            for item in data["tables"]
        )
        values["notices"] = tuple(
            Notice(item["code"], item["severity"], tuple(item["args"].items()))
            for item in data["notices"]
        )
        values["over_limits"] = tuple(data["over_limits"])
        return cls(**values)
