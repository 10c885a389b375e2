"""The units of an experiment, wherever they are, and what is kept of a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from growth.readout.trust import kept, rows_read

if TYPE_CHECKING:
    from datetime import date, datetime

    import ibis.expr.types as ir

    from growth.abtest import AgeTrend, Experiment, Trend, UnitHistory, UnitTable
    from growth.dataset import LoadReport
    from growth.result import Result

__all__ = ["Opened", "found", "open_units", "over_ages", "over_days"]

AGES: Final = 14  # days since exposure to look at, where the units are built


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The units of an experiment, and what is known of the rows they come from.

    Parameters
    ----------
    units : UnitTable or ibis.Table
        One row a unit: built from a dataset, or ready.
    load_report : LoadReport, optional
        Rows taken in and turned away, where a mapping was applied.
    rejects_file : Path, optional
        The file of the rows turned away.
    history : UnitHistory, optional
        The units as they stood day by day, where they were built from a dataset.
    """

    units: UnitTable | ir.Table
    load_report: LoadReport | None = None
    rejects_file: Path | None = None
    history: UnitHistory | None = None

    @property
    def kept(self) -> tuple[Path, ...]:
        """What to keep with a run: the rows turned away, if there are any."""
        return kept(self)

    @property
    def rows(self) -> dict[str, int]:
        """Rows read of the parameter ``data``, where that was counted."""
        return rows_read(self)

    @property
    def evidence(self) -> UnitTable | UnitHistory | ir.Table:
        """What the analysis reads: with the days, where its plan looks at them.

        A windowed metric has one value, known once the window is over; only others
        need the units as they stood on the day of a look.
        """
        if self.history is None:
            return self.units
        exp = self.history.units.experiment
        grows = any(metric.window_days is None for metric in exp.metrics)
        return self.history if exp.plan.sequential and grows else self.units


def open_units(data: str, experiment: Experiment, *, as_of: date | datetime) -> Opened:
    """Open the units of an experiment: from a dataset, or a ready unit table.

    Parameters
    ----------
    data : str
        A dataset (folder, DuckDB file, URL), or a table of one row a unit (a file,
        glob, ``file.duckdb::table`` or URL).
    experiment : Experiment
        The declaration. Its ``mapping``, if it names one, says how `data` is read.
    as_of : date or aware datetime
        The last day counted.

    Returns
    -------
    Opened
        The unit table built from ``assignments``, or ``events``, of a dataset;
        else the table as it is.

    Raises
    ------
    DataError
        If nothing in `data` can be the units, or too few of its rows are good.
    ParameterError
        If there is nothing at `data`, or the mapping or the declaration does not
        fit it.
    """
    from growth import abtest, dataset, engine
    from growth.dataset.core import files_of

    mapping = experiment.mapping_path
    is_folder = Path(data).is_dir() and files_of(Path(data))
    if mapping is None and not is_folder and not _is_database(data):
        return Opened(units=engine.as_table(data))
    opened = dataset.open(data, mapping=mapping, as_of=as_of)
    history = None
    if opened.has("units"):
        units = opened.units
    else:
        units = abtest.unit_table(opened, experiment, as_of=as_of, ages=AGES).cache()
        history = abtest.unit_history(opened, units)
    return Opened(
        units=units,
        load_report=opened.load_report,
        rejects_file=opened.rejects_file,
        history=history,
    )


def over_days(
    opened: Opened, experiment: Experiment, *, as_of: date | datetime
) -> Trend | None:
    """Return the effect by day of first exposure; None if the units have no days.

    Parameters
    ----------
    opened : Opened
        The units; where their history is known, a day shows what was known then.
    experiment : Experiment
        The declaration.
    as_of : date or aware datetime
        The last day counted.

    Returns
    -------
    Trend or None
        As `abtest.trend`.
    """
    from growth import abtest

    if opened.history is not None:
        return abtest.trend(opened.history, experiment)
    units = opened.units
    table = units.table if isinstance(units, abtest.UnitTable) else units
    if experiment.columns.day not in table.columns:
        return None
    return abtest.trend(units, experiment, as_of=as_of)


def over_ages(opened: Opened, experiment: Experiment) -> AgeTrend | None:
    """Return the effect by days since exposure; None if the units do not have them.

    Parameters
    ----------
    opened : Opened
        The units.
    experiment : Experiment
        The declaration.

    Returns
    -------
    AgeTrend or None
        As `abtest.trend_by_age`: of units built from a dataset.
    """
    from growth import abtest

    if not isinstance(opened.units, abtest.UnitTable):
        return None
    return abtest.trend_by_age(opened.units, experiment)


def found(opened: Opened, **results: Result | None) -> dict[str, Result]:
    """Return what a document holds: the results there are, by name.

    Parameters
    ----------
    opened : Opened
        Its load report is one of them, where there is one.
    **results : Result or None
        None is left out.

    Returns
    -------
    dict of str to Result
        In the order given. A trend is kept for the goals as it built up: the rest
        is in the table it was made from.
    """
    held: dict[str, Result | None] = {**results, "load": opened.load_report}
    from growth import abtest

    trend, analysis = held.get("trend"), held.get("analysis")
    if isinstance(trend, abtest.Trend) and isinstance(analysis, abtest.Analysis):
        goals = {m.name for m in analysis.experiment.metrics if m.role == "goal"}
        points = tuple(
            p
            for p in trend.points
            if p.series == "cumulative" and p.effect.metric in goals
        )
        held["trend"] = replace(trend, points=points)
    return {name: result for name, result in held.items() if result is not None}


def _is_database(data: str) -> bool:
    """Return whether a location holds tables by name rather than one table."""
    if "::" in data:
        return False
    return "://" in data or Path(data).suffix.lower() in {".duckdb", ".db", ".ddb"}
