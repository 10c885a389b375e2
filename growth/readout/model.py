"""The document a readout leaves: frozen, finite, the same bytes for the same inputs.

It holds label keys and numbers, never prose and never anybody's id; `checking` says
whether plain values have its shape.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from growth.errors import DataError, ParameterError
from growth.readout.checking import faults_in
from growth.readout.params import declaration_of
from growth.result import Cell, Estimate, Notice, Result, plain

if TYPE_CHECKING:
    from typing import Self

__all__ = [
    "Chart",
    "Column",
    "Data",
    "Decision",
    "Drawing",
    "Provenance",
    "Readout",
    "Reason",
    "Table",
    "load",
    "raw_document",
    "read_document",
]

Kind = Literal["str", "int", "float", "bool"]

SCHEMA_VERSION: Final = "1.0"
FILE: Final = "readout.json"
DIGITS: Final = 10
_CHART_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: a stable code, and what it is about as name-value pairs."""

    code: str
    args: tuple[tuple[str, Cell], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return code and pairs in one mapping."""
        return {"code": self.code, **dict(self.args)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer: a label key, its reasons, and the rule it came from."""

    verdict: str
    reasons: tuple[Reason, ...] = ()
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    key: str
    type: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A small table: named, typed columns, and rows of plain values."""

    key: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @classmethod
    def of(cls, key: str, rows: Sequence[Mapping[str, object]]) -> Self:
        """Return tidy rows as a table; a column's type is what its values are."""
        names = dict.fromkeys(name for row in rows for name in row)
        cells = [[_steady(plain(row.get(name))) for name in names] for row in rows]
        kinds: list[Kind] = [_kind(column) for column in zip(*cells, strict=True)]
        return cls(
            key=key,
            columns=tuple(Column(n, k) for n, k in zip(names, kinds, strict=True)),
            rows=tuple(
                tuple(_cell(v, k) for v, k in zip(row, kinds, strict=True))
                for row in cells
            ),
        )


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart's name, what it says in words, and its two files in the run folder."""

    key: str
    alt: str

    @property
    def spec(self) -> str:
        """Its Vega-Lite file."""
        return f"charts/{self.key}.vl.json"

    @property
    def svg(self) -> str:
        """Its drawing."""
        return f"charts/{self.key}.svg"

    def to_dict(self) -> dict[str, str]:
        """Return name, words and files."""
        return {"key": self.key, "alt": self.alt, "spec": self.spec, "svg": self.svg}


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a chart's two files will hold."""

    key: str
    spec: str
    svg: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """A fingerprint of something read; None is unknown.

    Parameters
    ----------
    name : str
        What it is: a table of the dataset, or a parameter.
    sha256 : str or None
        Over its files; None where it has none.
    rows : int or None
        Rows read, 0 or more.
    min, max : str or None
        The first and last moment in it, ISO text.
    """

    name: str
    sha256: str | None = None
    rows: int | None = None
    min: str | None = None
    max: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Which code read which data: package version, commit, fingerprints."""

    package: str = ""
    git: str = ""
    dirty: bool = False
    data: tuple[Data, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Readout:
    """What one run found, as every reader of `readout.json` gets it.

    Parameters
    ----------
    readout, subject : str
        Which readout, about what.
    as_of : date
        The last day counted.
    params : mapping of str to plain value
        What it was run with, in the declared order.
    decision : Decision
        The answer.
    estimates : tuple of Estimate
        The numbers a history follows.
    notices : tuple of Notice
        What to know before trusting them.
    tables, charts : tuple of Table, tuple of Chart
        What the page shows.
    provenance : Provenance
        Which code read which data.
    run_id : str
        The run that made it; empty outside a run.
    schema_version : str
        ``major.minor`` of the document's shape.
    drawings : tuple of Drawing
        The charts' files until `publish` writes them; no part of the document.
    """

    readout: str
    subject: str
    as_of: date
    params: Mapping[str, Cell]
    decision: Decision
    estimates: tuple[Estimate, ...] = ()
    notices: tuple[Notice, ...] = ()
    tables: tuple[Table, ...] = ()
    charts: tuple[Chart, ...] = ()
    provenance: Provenance = Provenance()
    run_id: str = ""
    schema_version: str = SCHEMA_VERSION
    drawings: tuple[Drawing, ...] = field(default=(), repr=False, compare=False)

    @classmethod
    def from_results(
        cls,
        params: object,
        *,
        decision: Result | Decision | None = None,
        results: Mapping[str, Result] = MappingProxyType({}),
        charts: Mapping[str, object] = MappingProxyType({}),
        notices: Sequence[Notice] = (),
        rows: Mapping[str, int] = MappingProxyType({}),
        spans: Mapping[str, tuple[str, str]] = MappingProxyType({}),
    ) -> Self:
        """Assemble the document from what a notebook computed.

        Parameters
        ----------
        params : object
            An instance of the readout's parameters.
        decision : Result or Decision, optional
            The answer; a result's ``reasons`` and ``rule`` are taken if it has them.
            Where nothing is to be decided, the first result's verdict stands there.
        results : mapping of str to Result
            Each gives a table of that name (its rows), its estimates and notices.
        charts : mapping of str to Altair chart or Vega-Lite mapping
            By the name of their files: letters, digits, ``-`` and ``_``.
        notices : sequence of Notice, optional
            Further remarks.
        rows : mapping of str to int, optional
            Rows read of each input, where known.
        spans : mapping of str to (str, str), optional
            First and last moment of each input, ISO text.

        Returns
        -------
        Readout
            Checked: it can be written.

        Raises
        ------
        ParameterError
            With every fault by its path in the document (code ``bad_document``),
            or if there is neither decision nor result (``nothing_found``).
        """
        declared = declaration_of(params)
        if decision is None and not results:
            msg = "there is neither a decision nor a result; a readout must have one;"
            raise ParameterError(f"{msg} name what was found.", code="nothing_found")
        answer = next(iter(results.values())) if decision is None else decision
        found = [answer, *results.values()]
        told = [r for r in found if isinstance(r, Result)]
        drawn = [_draw(name, chart) for name, chart in charts.items()]
        made = cls(
            readout=declared.name,
            subject=str(getattr(params, declared.subject)),
            as_of=getattr(params, "as_of"),  # noqa: B009  (declared, not typed)
            params=MappingProxyType(declared.plain(params)),
            decision=_decision(answer),
            estimates=tuple(
                dict.fromkeys(_plain_estimate(e) for r in told for e in r.estimates())
            ),
            notices=tuple(
                dict.fromkeys(
                    Notice(
                        n.code, n.severity, tuple((k, _scalar(v)) for k, v in n.args)
                    )
                    for n in (*(n for r in told for n in r.notices), *notices)
                )
            ),
            tables=tuple(
                Table.of(name, lines)
                for name, result in results.items()
                if (lines := result.rows())
            ),
            charts=tuple(chart for chart, _ in drawn),
            provenance=_provenance(rows, spans),
            drawings=tuple(drawing for _, drawing in drawn),
        )
        made.to_json()
        return made

    def to_dict(self) -> dict[str, Any]:
        """Return the document's plain values, unchecked."""
        return {
            "schema_version": self.schema_version,
            "run_id": self.run_id,
            "readout": self.readout,
            "subject": self.subject,
            "as_of": self.as_of.isoformat(),
            "params": dict(self.params),
            "decision": {
                "verdict": self.decision.verdict,
                "reasons": [reason.to_dict() for reason in self.decision.reasons],
                "rule": self.decision.rule,
            },
            "estimates": [_as_dict(e) | {"by": dict(e.by)} for e in self.estimates],
            "notices": [_as_dict(n) | {"args": dict(n.args)} for n in self.notices],
            "tables": [
                {
                    "key": table.key,
                    "columns": [_as_dict(column) for column in table.columns],
                    "rows": [list(row) for row in table.rows],
                }
                for table in self.tables
            ],
            "charts": [chart.to_dict() for chart in self.charts],
            "provenance": _as_dict(self.provenance)
            | {"data": [_as_dict(data) for data in self.provenance.data]},
        }

    def to_json(self) -> str:
        """Return the document as its file holds it.

        Returns
        -------
        str
            Sorted keys, two spaces, no NaN; equal for equal inputs but for the
            run's id (`from_results` keeps ten digits of a number for that).

        Raises
        ------
        ParameterError
            With every fault by its path (code ``bad_document``).
        """
        document = self.to_dict()
        if faults := faults_in(document):
            raise ParameterError.of(f"the document of {self.readout}", faults)
        text = json.dumps(
            document, allow_nan=False, ensure_ascii=False, sort_keys=True, indent=2
        )
        return f"{text}\n"

    def of_run(self, run_id: str) -> Readout:
        """Return the same document under a run's id."""
        return replace(self, run_id=run_id)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Return a checked document's plain values as a record.

        Raises
        ------
        DataError
            If it is no such document (code ``bad_document``) or of a greater
            major version (``document_too_new``).
        """
        _refuse(document, "the document")
        decision, origin = document["decision"], document["provenance"]
        return cls(
            schema_version=document["schema_version"],
            run_id=document["run_id"],
            readout=document["readout"],
            subject=document["subject"],
            as_of=date.fromisoformat(document["as_of"]),
            params=MappingProxyType(dict(document["params"])),
            decision=Decision(
                verdict=decision["verdict"],
                reasons=tuple(_reason(item) for item in decision["reasons"]),
                rule=decision["rule"],
            ),
            estimates=tuple(_estimate(item) for item in document["estimates"]),
            notices=tuple(
                Notice(item["code"], item["severity"], tuple(item["args"].items()))
                for item in document["notices"]
            ),
            tables=tuple(
                Table(
                    key=item["key"],
                    columns=tuple(Column(c["key"], c["type"]) for c in item["columns"]),
                    rows=tuple(tuple(row) for row in item["rows"]),
                )
                for item in document["tables"]
            ),
            charts=tuple(Chart(c["key"], c["alt"]) for c in document["charts"]),
            provenance=Provenance(
                package=origin["package"],
                git=origin["git"],
                dirty=origin["dirty"],
                data=tuple(
                    Data(**{f.name: item[f.name] for f in fields(Data)})
                    for item in origin["data"]
                ),
            ),
        )

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return the document at `path`; see `load`."""
        return cls.from_dict(read_document(path))


def load(path: str | Path) -> Readout:
    """Return the document of a run.

    Parameters
    ----------
    path : path
        ``readout.json`` or the run folder that holds it.

    Returns
    -------
    Readout
        The record; keys of a later minor version are left out.

    Raises
    ------
    DataError
        If there is none (code ``document_missing``), it is not what it claims to
        be (``bad_document``), or of a greater major version
        (``document_too_new``).
    """
    return Readout.load(path)


def read_document(path: str | Path) -> dict[str, Any]:
    """Return the plain values of a document's file, checked.

    Parameters
    ----------
    path : path
        ``readout.json`` or the run folder that holds it.

    Returns
    -------
    dict
        As in the file.

    Raises
    ------
    DataError
        As `load`.
    """
    file = Path(path)
    file = file / FILE if file.is_dir() else file
    document = raw_document(file)
    _refuse(document, str(file))
    return cast("dict[str, Any]", document)


def raw_document(file: Path) -> object:
    """Return what a document's file holds, if it is JSON as we write it.

    Parameters
    ----------
    file : Path
        The file.

    Returns
    -------
    object
        Plain values, not checked further.

    Raises
    ------
    DataError
        If it is not there (code ``document_missing``), or is no strict JSON: a key
        twice, NaN, not UTF-8 (``bad_document``).
    """
    try:
        text = file.read_bytes().decode("utf-8")
        return json.loads(text, object_pairs_hook=_no_twins, parse_constant=_no_nan)
    except OSError as error:
        msg = f"{file} cannot be read ({error.strerror}); it must be a run's {FILE};"
        raise DataError(f"{msg} run the readout.", code="document_missing") from error
    except (ValueError, RecursionError) as error:
        msg = f"{file} is no JSON we write ({error}); it must be a run's {FILE};"
        raise DataError(f"{msg} run it again.", code="bad_document") from error


def _refuse(document: object, what: str) -> None:
    version = document.get("schema_version") if isinstance(document, Mapping) else None
    major = str(version).partition(".")[0]
    if major.isdecimal() and int(major) > int(SCHEMA_VERSION.partition(".")[0]):
        msg = f"{what} is of schema {version}; this growth reads {SCHEMA_VERSION};"
        raise DataError(f"{msg} upgrade growth.", code="document_too_new")
    if faults := faults_in(document):
        lines = "".join(f"\n  {fault}" for fault in faults[:20])
        msg = f"{what} is no readout document: {len(faults)} fault(s){lines}"
        raise DataError(msg, code="bad_document")


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) != len(pairs):
        msg = "a key stands twice; each must stand once; write the document again."
        raise DataError(msg, code="bad_document")
    return held


def _no_nan(token: str) -> float:
    msg = f"the file holds {token}; numbers must be finite; write null and a notice."
    raise DataError(msg, code="bad_document")


def _as_dict(record: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a record's own values, leaves as they are: checking comes after."""
    return {item.name: getattr(record, item.name) for item in fields(record)}


def _estimate(item: Mapping[str, Any]) -> Estimate:
    """Return an estimate of a checked document; what a later minor adds is left."""
    values: dict[str, Any] = {f.name: item[f.name] for f in fields(Estimate)}
    values["by"] = tuple(item["by"].items())
    return Estimate(**values)


def _plain_estimate(estimate: Estimate) -> Estimate:
    """Return an estimate with Python's numbers for NumPy's."""
    values = {item.name: getattr(estimate, item.name) for item in fields(estimate)}
    by = tuple((str(name), str(value)) for name, value in estimate.by)
    rest = {n: _steady(plain(value)) for n, value in values.items() if n != "by"}
    return Estimate(by=by, **rest)  # type: ignore[arg-type]


def _decision(given: Result | Decision) -> Decision:
    if isinstance(given, Decision):
        return given
    reasons = tuple(_reason(item) for item in getattr(given, "reasons", ()))
    rule = str(getattr(given, "rule", "") or "")
    return Decision(verdict=given.verdict, reasons=reasons, rule=rule)


def _reason(item: object) -> Reason:
    """Take a reason as a code, a record with a code, a mapping, or (code, metric)."""
    match item:
        case str():
            return Reason(item)
        case Reason():
            return item
        case (str(code), metric):
            return Reason(code, (("metric", _cell(plain(metric), "str")),))
        case Mapping():
            values = dict(item)
        case _ if is_dataclass(item):
            values = _as_dict(item)
        case _:
            return Reason(str(item))
    code = str(values.pop("code"))
    pairs = tuple((str(k), _scalar(v)) for k, v in values.items() if v is not None)
    return Reason(code, pairs)


def _steady(value: object) -> object:
    """Keep a number's first ten digits.

    An engine adds up in no promised order, so the last of its digits come and go
    from run to run, while equal inputs must give equal bytes.
    """
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _scalar(value: object) -> Cell:
    found = _steady(plain(value))
    if isinstance(found, Cell):
        return found
    return json.dumps(found, ensure_ascii=False)


def _kind(column: Sequence[object]) -> Kind:
    kinds = {type(value) for value in column} - {type(None)}
    if kinds == {bool}:
        return "bool"
    if kinds == {int}:
        return "int"
    return "float" if kinds and kinds <= {int, float} else "str"


def _cell(value: object, kind: str) -> Cell:
    if kind == "str" and value is not None and not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return value  # type: ignore[return-value]


def _draw(name: str, chart: object) -> tuple[Chart, Drawing]:
    if not _CHART_NAME.fullmatch(name):
        msg = f"the chart is called {name!r}; it must be letters, digits, - and _;"
        raise ParameterError(f"{msg} name its file.", code="bad_chart_name")
    from growth.charts.svg import spec_of, to_svg

    spec = spec_of(chart) | {"name": name}  # type: ignore[arg-type]
    title = spec.get("title") or ""
    title = title.get("text", "") if isinstance(title, dict) else title
    alt = " ".join(str(spec.get("description") or title).split())
    text = json.dumps(
        spec, allow_nan=False, ensure_ascii=False, sort_keys=True, indent=1
    )
    return Chart(name, alt), Drawing(name, f"{text}\n", to_svg(spec))


def _provenance(
    rows: Mapping[str, int], spans: Mapping[str, tuple[str, str]]
) -> Provenance:
    from growth.readout.inputs import provenance

    found = provenance()
    held = {data.name: data for data in found.data}
    for name in {**rows, **spans}:
        low, high = spans.get(name, (None, None))
        count = rows.get(name)
        known = held.get(name, Data(name=name))
        held[name] = replace(
            known, rows=None if count is None else int(count), min=low, max=high
        )
    return replace(found, data=tuple(held.values()))
