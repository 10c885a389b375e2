"""The declaration of an experiment: written once, read by everybody.

A notebook, the command line and a service read the same file
(``experiments/<id>.toml`` beside the data) or build the same `Experiment`.
"""

from __future__ import annotations

import tomllib
from copy import deepcopy
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from growth.abtest.declaration import faults_in, read_date
from growth.abtest.plans import Fixed, Plan, plan_from
from growth.errors import ParameterError
from growth.labels import LANG

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from growth.labels import Lang
    from growth.stats.proportions import ProportionTest

__all__ = ["Cap", "Columns", "Covariate", "Experiment", "Metric", "Plan", "Source"]
__all__ += ["load_experiment"]

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a number comes from: a column of the unit table, or canonical rows.

    Parameters
    ----------
    table : str, optional
        A canonical table (``orders``, ``events``, ...); absent for a ready column.
    agg : {"any", "count", "sum", "distinct", "each"}, optional
        What is made of the unit's rows: 0/1, their number, a sum, distinct values,
        or a list of each row's value (for quantiles of events).
    column : str, optional
        The column to sum, count distinct or list; without `table`, the ready column.
    event : str, optional
        Only rows of this event (table ``events``).
    where : tuple of mapping
        Conditions a row must meet, in the engine's filter grammar.
    """

    table: str | None = None
    agg: Literal["any", "count", "sum", "distinct", "each"] | None = None
    column: str | None = None
    event: str | None = None
    where: tuple[Mapping[str, Any], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the keys of the file, those left out left out."""
        return _plain(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Covariate:
    """A number known before exposure, built from canonical rows.

    Parameters
    ----------
    name : str
        Its column in the unit table.
    value : Source
        What is counted.
    days : int
        How many days before the exposure are counted, 1 or more.
    """

    name: str
    value: Source
    days: int

    def to_dict(self) -> dict[str, Any]:
        """Return the keys of the file."""
        return _plain(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """How a metric is winsorised; the row so capped stands beside the plain one.

    Parameters
    ----------
    upper : float, optional
        Quantile of the pooled arms above which a value counts as that quantile, in
        (0, 1]; 1 leaves the upper tail alone; 0.999 if left out with `at`.
    lower : float, optional
        The same for the lower tail (refunds, profit), in (0, 1).
    of : {"nonzero", "all"}
        Which values the quantiles are taken of.
    at, at_lower : float or tuple of two floats, optional
        Thresholds fixed beforehand instead, in the metric's unit; for a ratio two,
        of numerator and denominator. A sequential plan needs them.
    decides : {"capped", "uncapped"}
        Which of the two rows enters the decision.
    """

    upper: float | None = None
    lower: float | None = None
    of: Literal["nonzero", "all"] = "nonzero"
    at: float | tuple[float, float] | None = None
    at_lower: float | tuple[float, float] | None = None
    decides: Literal["capped", "uncapped"] = "capped"

    @property
    def upper_share(self) -> float | None:
        """Quantile of the upper threshold; None where there is none to find."""
        if self.at is not None or self.upper == 1:
            return None
        return 0.999 if self.upper is None else self.upper

    def to_dict(self) -> dict[str, Any]:
        """Return the keys of the file."""
        return _plain(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One thing measured in every arm, and what it is for.

    Parameters
    ----------
    name : str
        Stable name: a letter, then letters, digits or ``_``.
    kind : {"mean", "proportion", "ratio", "quantile"}
        A mean a unit, a share of units (0/1 a unit), a sum over a sum, or a
        quantile of the units' values (of all events, where a unit has a list).
    role : {"goal", "guardrail", "diagnostic"}
        What it does in the decision.
    good : {"up", "down"}
        Which way is an improvement.
    label : mapping, optional
        Words for readers by language, ``{"en": ..., "zh": ...}``.
    unit : {"share", "fen", "count", "ms"}, optional
        How a value is written; a share for proportions, else a count.
    test : str
        For proportions: ``wald``, ``pooled``, ``newcombe``,
        ``miettinen_nurminen`` or ``agresti_caffo``.
    mde : float, optional
        Smallest relative change worth having, above 0.
    margin : float, optional
        Largest loss one can bear, above 0; see `margin_kind`.
    margin_kind : {"relative", "absolute"}
        Whether the margin is a share of the control's mean or in its unit.
    value, numerator, denominator : Source, optional
        Where the number comes from; the column named like the metric if left out.
    window_days : int, optional
        Only what happens this many days after exposure counts; units whose
        window is not over are immature and left out.
    missing : {"zero", "unknown"}, optional
        What NULL means; zero for metrics built from canonical rows (quantiles
        apart: no observation), else unknown.
    covariates : tuple of str
        Columns known before exposure, used to narrow the interval.
    q : float, optional
        The quantile, in (0, 1); quantiles only.
    cap : Cap, optional
        Winsorising; means and ratios only.
    stratify : str, optional
        Column known before exposure whose values are the strata; the experiment's
        if left out and there are no covariates.
    """

    name: str
    kind: Literal["mean", "proportion", "ratio", "quantile"]
    role: Literal["goal", "guardrail", "diagnostic"]
    good: Literal["up", "down"] = "up"
    label: Mapping[str, str] | None = None
    unit: Literal["share", "fen", "count", "ms"] | None = None
    test: ProportionTest = "wald"
    mde: float | None = None
    margin: float | None = None
    margin_kind: Literal["relative", "absolute"] = "relative"
    value: Source | None = None
    numerator: Source | None = None
    denominator: Source | None = None
    window_days: int | None = None
    missing: Literal["zero", "unknown"] | None = None
    covariates: tuple[str, ...] = ()
    q: float | None = None
    cap: Cap | None = None
    stratify: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the unit table it reads: one, or numerator and denominator."""
        if self.kind == "ratio":
            parts = (("numerator", self.numerator), ("denominator", self.denominator))
            return tuple(
                part.column
                if part and not part.table and part.column
                else f"{self.name}_{side}"
                for side, part in parts
            )
        ready = self.value and not self.value.table and self.value.column
        return (ready or self.name,)

    @property
    def sources(self) -> tuple[Source | None, ...]:
        """Where each of `columns` comes from, in the same order."""
        if self.kind == "ratio":
            return (self.numerator, self.denominator)
        return (self.value,)

    @property
    def built(self) -> bool:
        """Whether it is built from canonical rows rather than a ready column."""
        return any(part and part.table for part in self.sources)

    @property
    def zero_filled(self) -> bool:
        """Whether NULL means 0 rather than unknown."""
        counts = self.built and self.kind != "quantile"
        return (self.missing or ("zero" if counts else "unknown")) == "zero"

    @property
    def written_as(self) -> str:
        """How a value is written: ``share``, ``fen``, ``count`` or ``ms``."""
        return self.unit or ("share" if self.kind == "proportion" else "count")

    def words(self, lang: Lang | None = None) -> str:
        """Return the metric's name for readers; its code name where it has none."""
        words = self.label or {}
        return words.get(lang or LANG.get()) or next(iter(words.values()), self.name)

    def to_dict(self) -> dict[str, Any]:
        """Return the keys of the file, defaults left out where they say nothing."""
        data = _plain(self)
        if self.margin is None:
            data.pop("margin_kind")
        if self.kind != "proportion":
            data.pop("test")
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Names of the unit table's own columns.

    Parameters
    ----------
    unit, variant : str
        The unit that was randomised, and its arm.
    day : str
        The local day of first exposure; the table may lack it.
    """

    unit: str = "unit_id"
    variant: str = "variant"
    day: str = "exposure_ds"

    def to_dict(self) -> dict[str, Any]:
        """Return the keys of the file."""
        return _plain(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """An experiment as it was declared; checked as a whole when it is made.

    Parameters
    ----------
    id : str
        1 to 128 printable characters, kept as written.
    control : str
        The arm the others are measured against.
    arms : mapping of str to float
        Weight per arm in any scale, 0 for a closed arm.
    metrics : tuple of Metric
        One goal at least.
    title, question : mapping, optional
        Words for readers by language.
    unit : {"user", "device", "cluster"}
        What was randomised.
    cluster : str, optional
        Column of the cluster, where whole clusters were randomised and a row is
        one of their members; ``share_group`` is built by `unit_table`. Left out,
        a table of clusters has one row a cluster.
    stratify : str, optional
        Column known before exposure whose values are the strata of every metric
        without covariates (quantiles apart).
    start, end : date, optional
        First local day, and the first that no longer counts.
    tz : str
        IANA time zone of the local day.
    alpha : float
        Two-sided level, in (0, 1).
    srm_alpha : float
        Level of the split check, in (0, 1).
    adjust : {"lin", "cuped", "none"}, optional
        Use of covariates; Lin where a metric declares some.
    se : {"hc2", "moments"}
        Standard error of Lin's estimate.
    objective : {"superiority", "no_harm"}
        What has to be shown to ship.
    min_days : int
        Days before a decision.
    scope : {"experiment", "metric"}
        Family of the goals' adjustment for multiplicity.
    by : tuple of str or of tuple of str
        Breakdown columns; a tuple crosses its columns.
    mapping : str, optional
        How the data is read, relative to the experiment's file.
    plan : Plan
        When it is read.
    columns : Columns
        Names in a ready unit table.
    covariates : tuple of Covariate
        What is built for the metrics' covariates.
    layer : str
        Experiments of one layer can be kept apart by `range`; those of different
        layers are independent.
    salt : str, optional
        What makes the arms independent of another experiment's; the id if omitted.
    coverage : float
        Share of the units in `range` that take part, in [0, 1]; raising it moves
        nobody to another arm.
    range : tuple of (float, float)
        Part of the layer it holds, half-open, within [0, 1].
    folder : Path, optional
        Where the file was; no part of the declaration.

    Raises
    ------
    ParameterError
        If anything is wrong; `faults` has all of it.
    """

    id: str
    control: str
    arms: Mapping[str, float]
    metrics: tuple[Metric, ...]
    title: Mapping[str, str] | None = None
    question: Mapping[str, str] | None = None
    unit: Literal["user", "device", "cluster"] = "user"
    cluster: str | None = None
    stratify: str | None = None
    start: date | None = None
    end: date | None = None
    tz: str = "Asia/Shanghai"
    alpha: float = 0.05
    srm_alpha: float = 0.001
    adjust: Literal["lin", "cuped", "none"] | None = None
    se: Literal["hc2", "moments"] = "hc2"
    objective: Literal["superiority", "no_harm"] = "superiority"
    min_days: int = 14
    scope: Literal["experiment", "metric"] = "experiment"
    by: tuple[str | tuple[str, ...], ...] = ()
    mapping: str | None = None
    plan: Plan = field(default_factory=Fixed)
    columns: Columns = field(default_factory=Columns)
    covariates: tuple[Covariate, ...] = ()
    layer: str = "default"
    salt: str | None = None
    coverage: float = 1.0
    range: tuple[float, float] = (0.0, 1.0)
    folder: Path | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if faults := faults_in(self.to_dict()):
            raise ParameterError.of(f"experiment {self.id!r}", faults)
        for name in ("start", "end"):  # ISO text is as good as a date
            object.__setattr__(self, name, read_date(getattr(self, name)))

    @classmethod
    def from_dict(
        cls, data: Mapping[str, Any], *, folder: Path | None = None
    ) -> Experiment:
        """Read a declaration that somebody already parsed.

        Parameters
        ----------
        data : mapping
            The keys of the file; dates as dates or ISO text.
        folder : Path, optional
            Where relative paths in it start.

        Returns
        -------
        Experiment
            With every value as written.

        Raises
        ------
        ParameterError
            If anything is wrong; `faults` has all of it, `code` is the first's.
        """
        if faults := faults_in(data):
            name = data.get("id") if hasattr(data, "get") else None
            what = "experiment" if name is None else f"experiment {name!r}"
            raise ParameterError.of(what, faults)
        given = {key: value for key, value in data.items() if key != "schema"}
        given["metrics"] = tuple(_metric(item) for item in given.pop("metric"))
        given["covariates"] = tuple(
            Covariate(**{**item, "value": _source(item["value"])})
            for item in given.pop("covariate", ())
        )
        for key in ("start", "end"):
            given[key] = read_date(given.get(key))
        given["arms"] = dict(given["arms"])
        given["by"] = tuple(
            item if isinstance(item, str) else tuple(item)
            for item in given.get("by", ())
        )
        given["plan"] = plan_from(given.get("plan", {}))
        if "range" in given:
            given["range"] = tuple(given["range"])
        given["columns"] = Columns(**given.get("columns", {}))
        return cls(**given, folder=folder)

    def to_dict(self) -> dict[str, Any]:
        """Return the keys of the file as plain JSON values: `from_dict` undoes it."""
        data = {"schema": SCHEMA, **_plain(self)}
        data["metric"] = data.pop("metrics", [])
        if covariates := data.pop("covariates", None):
            data["covariate"] = covariates
        data.pop("folder", None)
        return data

    @property
    def treatments(self) -> tuple[str, ...]:
        """The open arms other than the control, as declared."""
        return tuple(a for a, w in self.arms.items() if w and a != self.control)

    @property
    def mapping_path(self) -> Path | None:
        """Where the mapping file is, None if the declaration names none."""
        if self.mapping is None:
            return None
        return (self.folder or Path()) / self.mapping

    def metric(self, name: str) -> Metric:
        """Return the metric called `name`.

        Raises
        ------
        ParameterError
            If there is none (code ``unknown_metric``).
        """
        for metric in self.metrics:
            if metric.name == name:
                return metric
        known = [metric.name for metric in self.metrics]
        msg = f"metric {name!r} is not declared; the experiment has {known}; name one."
        raise ParameterError(msg, code="unknown_metric")

    def words(self, lang: Lang | None = None) -> str:
        """Return the title for readers; the id where it has none."""
        words = self.title or {}
        return words.get(lang or LANG.get()) or next(iter(words.values()), self.id)


def load_experiment(path: Path | str) -> Experiment:
    """Read an experiment's file.

    Parameters
    ----------
    path : path
        A TOML file, UTF-8.

    Returns
    -------
    Experiment
        Its `folder` is the file's, so that `mapping_path` can be found.

    Raises
    ------
    ParameterError
        If the file is missing (code ``file_not_found``), is not TOML
        (``not_toml``), or declares anything wrong; `faults` has all of it.
    """
    path = Path(path)
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        msg = f"experiment file {str(path)!r} cannot be read ({error.strerror}); it "
        msg += "must be a TOML file; check the path."
        raise ParameterError(msg, code="file_not_found") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"experiment file {str(path)!r} is not TOML in UTF-8 ({error}); correct "
        msg += "that line."
        raise ParameterError(msg, code="not_toml") from None
    try:
        return Experiment.from_dict(data, folder=path.parent)
    except ParameterError as error:
        raise ParameterError.of(str(path), error.faults) from None


def _source(data: Mapping[str, Any]) -> Source:
    where = tuple(deepcopy(dict(item)) for item in data.get("where", ()))
    return Source(**{**data, "where": where})


def _metric(data: Mapping[str, Any]) -> Metric:
    given = dict(data)
    for key in ("value", "numerator", "denominator"):
        if key in given:
            given[key] = _source(given[key])
    given["covariates"] = tuple(given.get("covariates", ()))
    if "cap" in given:
        cap = dict(given["cap"])
        for key in ("at", "at_lower"):
            if isinstance(cap.get(key), list):
                cap[key] = tuple(cap[key])
        given["cap"] = Cap(**cap)
    return Metric(**given)


def _plain(item: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a record's fields as the file writes them; empty ones left out."""
    values = {f.name: getattr(item, f.name) for f in fields(item)}
    return {
        name: _value(value)
        for name, value in values.items()
        if value is not None and value != ()
    }


def _value(value: Any) -> Any:  # noqa: ANN401
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_value(item) for item in value]
    return deepcopy(dict(value)) if hasattr(value, "items") else value
