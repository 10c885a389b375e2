"""What every readout says before its numbers are believed: the rows, the remarks."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from growth.charts.figures import clauses, count
from growth.labels import label, worded
from growth.readout.blocks import Check, State
from growth.result import Notice

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from growth.dataset import LoadReport
    from growth.labels import Lang
    from growth.result import Result

__all__ = ["Loaded", "kept", "noticed", "remarks", "rows_check", "rows_read"]


class Loaded(Protocol):
    """What was opened: a dataset, or what holds a dataset's account of its rows."""

    @property
    def load_report(self) -> LoadReport | None:
        """Rows taken in and turned away, where a mapping was applied."""

    @property
    def rejects_file(self) -> Path | None:
        """The file of the rows turned away."""


def rows_check(report: LoadReport | None, *, lang: Lang | None = None) -> list[Check]:
    """Say how many rows were turned away and why; rows in add up to rows told.

    Parameters
    ----------
    report : LoadReport or None
        What a mapping took in and turned away; None where there was none.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    list of Check
        One line; none without a report.
    """
    if report is None:
        return []
    words = label(
        "check.rows",
        lang,
        rows=count(report.accepted),
        total=count(report.rows_in),
    )
    if not sum(report.rejected.values()):
        return [Check("ok", label("check.rows_all", lang), words)]
    why = " · ".join(
        f"{worded(f'dataset.reason.{reason}', lang)} {count(rows)}"
        for reason, rows in report.rejected.items()
    )
    told = clauses([words, why], lang=lang)
    return [Check("warn", label("check.rows_away", lang), told)]


def remarks(
    results: Iterable[Result | None],
    *,
    told: Collection[str] = (),
    names: Mapping[str, str] = MappingProxyType({}),
    lang: Lang | None = None,
) -> list[Check]:
    """Say every notice of some results that no other line speaks of.

    Parameters
    ----------
    results : iterable of Result or None
        Where the notices are; None is passed over.
    told : collection of str, optional
        Codes that have a line of their own.
    names : mapping of str to str, optional
        Readers' words for what a notice's ``metric`` names.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    list of Check
        One line each, none twice.
    """
    found = dict.fromkeys(n for r in results if r is not None for n in r.notices)
    states: dict[str, State] = {"warning": "warn", "info": "info"}
    return [
        Check(states[notice.severity], noticed(notice, names, lang=lang))
        for notice in found
        if notice.code not in told
    ]


def noticed(
    notice: Notice,
    names: Mapping[str, str] = MappingProxyType({}),
    *,
    lang: Lang | None = None,
) -> str:
    """Return a notice in words, its metric by the name readers know.

    Parameters
    ----------
    notice : Notice
        The notice.
    names : mapping of str to str, optional
        Readers' words by metric.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    str
        Not escaped.
    """
    args = tuple(
        (name, names.get(str(value), value) if name == "metric" else value)
        for name, value in notice.args
    )
    return Notice(notice.code, notice.severity, args).words(lang)


def kept(opened: Loaded) -> tuple[Path, ...]:
    """Return what to keep with a run: the rows turned away, if there are any.

    Parameters
    ----------
    opened : Dataset
        What the readout opened.

    Returns
    -------
    tuple of Path
        The file of rejects, or nothing.
    """
    report, file = opened.load_report, opened.rejects_file
    some = report is not None and any(table.rejected for table in report.tables)
    return (file,) if file and some else ()


def rows_read(opened: Loaded) -> dict[str, int]:
    """Return the rows read of the parameter ``data``, where they were counted.

    Parameters
    ----------
    opened : Dataset
        What the readout opened.

    Returns
    -------
    dict of str to int
        Rows by parameter; empty where nothing was loaded.
    """
    report = opened.load_report
    return {} if report is None else {"data": report.rows_in}
