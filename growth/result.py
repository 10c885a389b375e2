"""What every analysis hands back: a frozen record that can show itself.

A result holds numbers and label keys, never prose, so one record serves a
notebook in Chinese, a page in English and a service that reads JSON.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import date, datetime
from html import escape
from math import isfinite
from typing import TYPE_CHECKING, Final, Literal

from growth.labels import column, has, label, worded

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from growth.labels import Lang

__all__ = ["Cell", "Estimate", "Notice", "Result", "filled", "plain", "show"]

Cell = str | int | float | bool | None
_SPAN: Final = re.compile(r"(\d+)([dhms])")  # as a duration is written

# JupyterLab's own colours, so a card follows its theme; elsewhere plain light ones.
CARD_STYLE: Final = (
    "<style>"
    ".growth-card{--ink:var(--jp-content-font-color1,#1b1f24);"
    "--soft:var(--jp-content-font-color2,#57606a);"
    "--line:var(--jp-border-color2,#d8dee4);--warn:var(--jp-warn-color0,#8a6100);"
    "background:var(--jp-layout-color1,#fff);color:var(--ink);"
    "border:1px solid var(--line);border-radius:8px;padding:14px 18px;margin:2px 0;"
    "max-width:960px;box-sizing:border-box;"
    "font:14px/1.5 system-ui,'PingFang SC','Microsoft YaHei',"
    "'Noto Sans CJK SC',sans-serif;font-variant-numeric:tabular-nums}"
    ".growth-card p{margin:0 0 6px;color:var(--soft)}"
    ".growth-card p strong{font-size:17px;color:var(--ink)}"
    ".growth-card div{overflow:auto;max-height:28em;margin:8px 0 0}"
    ".growth-card table{border-collapse:collapse;border:0;margin:0;font-size:13px}"
    ".growth-card caption{text-align:left;color:var(--soft);padding:0 0 4px}"
    ".growth-card tr{background:none!important}"
    ".growth-card th,.growth-card td{text-align:right!important;white-space:nowrap;"
    "border:0;border-bottom:1px solid var(--line);padding:4px 14px 4px 0}"
    ".growth-card thead th{color:var(--soft);font-weight:600}"
    ".growth-card th:first-child{text-align:left!important}"
    ".growth-card td.t,.growth-card th.t{text-align:left!important}"
    ".growth-card ul{margin:8px 0 0;padding-left:1.2em;color:var(--soft)}"
    ".growth-card li.warning{color:var(--warn);list-style:'! '}"
    "</style>"
)


@dataclass(frozen=True, slots=True)
class Notice:
    """A remark on a result; `args` fill the `{}` fields of label `notice.<code>`."""

    code: str
    severity: Literal["info", "warning"] = "warning"
    args: tuple[tuple[str, Cell], ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return plain values only, `args` as a mapping."""
        return {"code": self.code, "severity": self.severity, "args": dict(self.args)}

    def words(self, lang: Lang | None = None) -> str:
        """Return the remark for people, fields filled, not escaped."""
        return label(f"notice.{self.code}", lang, **filled(self.args, lang))


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One number with its uncertainty, in the form every readout stores.

    Parameters
    ----------
    key : str
        Dotted name, stable over runs: ``pay_rate.lift``.
    by : tuple of (str, str)
        What it is about, as name-value pairs: ``(("arm", "B"),)``.
    value : float or None
        The estimate; None if it cannot be computed.
    se, lo, hi : float or None
        Standard error and interval ends, in the unit of `value`; lo <= value <= hi.
    level : float or None
        Coverage of the interval, in (0, 1).
    p_value : float or None
        Two-sided p-value, in [0, 1].
    n : int or None
        Units it rests on.
    unit : str
        ``ratio`` (a relative change), ``share`` (0..1), ``fen``, ``count``, ``ms``.
    method : str
        The method's name: ``welch``, ``lin_hc2``.
    """

    key: str
    by: tuple[tuple[str, str], ...] = ()
    value: float | None = None
    se: float | None = None
    lo: float | None = None
    hi: float | None = None
    level: float | None = None
    p_value: float | None = None
    n: int | None = None
    unit: str = ""
    method: str = ""

    def to_dict(self) -> dict[str, object]:
        """Return plain values only, `by` as a mapping."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: plain(value) for name, value in values.items()} | {
            "by": dict(self.by)
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(ABC):
    """Base of every result; holds label keys and numbers, never prose."""

    notices: tuple[Notice, ...] = field(default=())

    def __init_subclass__(cls) -> None:
        """Keep `dataclass` from writing a repr that spells out every member."""
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = Result.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        """Return the verdict and the plain fields: a notebook keeps it, a log too."""
        told = ", ".join(
            f"{item.name}={value!r}"
            for item in fields(self)
            if isinstance(value := getattr(self, item.name), Cell)
        )
        return f"<{type(self).__name__} {self.verdict}{': ' if told else ''}{told}>"

    @property
    @abstractmethod
    def verdict(self) -> str:
        """Label key of the one-line conclusion; less its last part, of the question."""

    @abstractmethod
    def rows(self) -> list[dict[str, Cell]]:
        """Return the result as tidy rows, one observation each; perhaps none."""

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the numbers a history follows, in a stable order; perhaps none."""
        return ()

    def to_dict(self) -> dict[str, object]:
        """Return plain values only, ready for ``json.dumps(..., allow_nan=False)``."""
        values = {item.name: plain(getattr(self, item.name)) for item in fields(self)}
        return {"verdict": self.verdict, **values}

    def to_pandas(self) -> pd.DataFrame:
        """Return `rows` as a pandas frame (pandas is imported only here)."""
        import pandas as pd

        return pd.DataFrame(self.rows())

    def to_html(self, lang: Lang | None = None) -> str:
        """Render verdict, figures, table and remarks; every value is escaped.

        Parameters
        ----------
        lang : {"en", "zh"}, optional
            The language; the current one if omitted.

        Returns
        -------
        str
            One ``<section class="growth-card">``, without script or outside request.
        """
        figures = " · ".join(
            f"{escape(column(item.name, lang))} {escape(show(value))}"
            for item in fields(self)
            if isinstance(value := getattr(self, item.name), Cell)
        )
        notes = "".join(
            f'<li class="{notice.severity}">{escape(notice.words(lang))}</li>'
            for notice in self.notices
        )
        return (
            '<section class="growth-card">'
            f"<p><strong>{escape(worded(self.verdict, lang))}</strong></p>"
            + (f"<p>{figures}</p>" if figures else "")
            + self._table(lang)
            + (f"<ul>{notes}</ul>" if notes else "")
            + "</section>"
        )

    def _table(self, lang: Lang | None) -> str:
        if not (rows := self.rows()):
            return ""
        return table_html(rows, worded(self.verdict.rpartition(".")[0], lang), lang)

    def _repr_html_(self) -> str:
        return CARD_STYLE + self.to_html()


def table_html(rows: list[dict[str, Cell]], caption: str, lang: Lang | None) -> str:
    """Return rows as a table; every value is escaped.

    Parameters
    ----------
    rows : list of dict
        One or more, with the same keys.
    caption : str
        What they show.
    lang : {"en", "zh"}, optional
        The language of the column names.

    Returns
    -------
    str
        A ``<table>`` that scrolls within its region.
    """
    words = {
        name for row in rows for name, value in row.items() if isinstance(value, str)
    }
    kinds = [' class="t"' if name in words else "" for name in rows[0]]
    head = "".join(
        f'<th scope="col"{kind}>{escape(column(name, lang))}</th>'
        for name, kind in zip(rows[0], kinds, strict=True)
    )
    body = "".join(
        f'<tr><th scope="row">{first}</th>'
        + "".join(f"<td{k}>{c}</td>" for c, k in zip(rest, kinds[1:], strict=True))
        + "</tr>"
        for first, *rest in (
            [escape(show(row.get(name))) for name in rows[0]] for row in rows
        )
    )
    return (
        f'<div tabindex="0" role="region" aria-label="{escape(caption)}">'
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def plain(value: object) -> object:  # noqa: PLR0911  (one case a type)
    """Turn a result's value into what JSON can hold.

    Parameters
    ----------
    value : object
        A scalar, date, mapping, sequence, set, dataclass or NumPy scalar.

    Returns
    -------
    object
        None, bool, int, float, str, list or dict. Dates become ISO text; tuples,
        sets (sorted) become lists; NumPy scalars become Python's.

    Raises
    ------
    ValueError
        On NaN or infinity: a result must say None and why (a defect of ours).
    TypeError
        On anything else.
    """
    match value:
        case None | bool() | str():
            return value
        case int():
            return int(value)
        case float():
            if not isfinite(value):
                msg = f"a result holds {value}; it must hold None and a notice"
                raise ValueError(msg)
            return float(value)
        case datetime() | date():
            return value.isoformat()
        case Mapping():
            return {str(name): plain(item) for name, item in value.items()}
        case tuple() | list():
            return [plain(item) for item in value]
        case set() | frozenset():
            return sorted((plain(item) for item in value), key=str)
        case Notice() | Estimate() | Result():
            return value.to_dict()
        case _ if is_dataclass(value):
            return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
        case _ if callable(listed := getattr(value, "tolist", None)):
            return plain(listed())
    msg = f"a result holds a {type(value).__name__}; it must hold plain values"
    raise TypeError(msg)


def filled(
    args: Iterable[tuple[str, Cell]], lang: Lang | None = None
) -> dict[str, str]:
    """Write what fills a label's fields for people.

    Parameters
    ----------
    args : iterable of (str, cell)
        Fields by name. A ``window`` such as ``7d`` and a ``period`` such as ``week``
        are written in words.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    dict of str to str
        Not escaped.

    Examples
    --------
    >>> filled([("n", 1200), ("window", "36h")], "zh")
    {'n': '1,200', 'window': '36 小时'}
    """
    return {name: _field(name, value, lang) for name, value in args}


def _field(name: str, value: Cell, lang: Lang | None) -> str:
    if name == "window" and (span := _SPAN.fullmatch(str(value))):
        return label(f"figure.span.{span[2]}", lang, n=span[1])
    if name == "period" and has(key := f"panel.period.{value}"):
        return label(key, lang)
    return show(value)


def show(value: Cell) -> str:
    """Write a value for people: .0074 stays visible, 12345.6 gets its comma.

    Parameters
    ----------
    value : str, int, float, bool or None
        A cell of a result.

    Returns
    -------
    str
        Not escaped. None is an en dash; a negative number has a real minus sign.
    """
    match value:
        case None:
            return "–"
        case bool():
            return "✓" if value else "✗"
        case float() if 0 < abs(value) < 1:
            return f"{value:.3g}".replace("-", "−")
        case float() if value.is_integer() and abs(value) < 1e15:
            return f"{value:,.0f}".replace("-", "−")
        case float():
            return f"{value:,.1f}".replace("-", "−")
        case int():
            return f"{value:,}".replace("-", "−")
    return value
