"""What each operation of the rule language reads and gives, as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from growth.segments.rules import Metric

__all__ = [
    "ABSENT",
    "IDS",
    "LIFECYCLE",
    "MAX_VALUES",
    "MODELS",
    "NAME",
    "OPS",
    "POPULATIONS",
    "RFM_NAMES",
    "TIMES",
    "Kind",
    "Op",
    "column_kind",
    "kind_of",
]

ABSENT: Final = "absent"  # of a movement: not of the population; no value is it
NAME: Final = r"[a-z][a-z0-9_]{0,62}"
MAX_VALUES: Final = 200
POPULATIONS: Final = ("seen", "buyers", "members")
# tables a metric may read, and the column that says when a row came to be
TIMES: Final = {
    "events": "ts",
    "orders": "pay_ts",
    "members": "as_of_ds",
    "messages": "ts",
    "points_ledger": "ts",
    "participations": "ts",
}
# what orders rows of one instant
IDS: Final = {"events": "event_id", "orders": "order_id", "points_ledger": "entry_id"}
MODELS: Final = ("p_alive", "expected_orders", "clv_fen")
LIFECYCLE: Final = ("new", "returning", "resurrecting", "dormant", "asleep")
RFM_NAMES: Final = (
    "champions",
    "loyal",
    "new",
    "promising",
    "at_risk",
    "need_attention",
    "hibernating",
    "lost",
)


class Op(NamedTuple):
    """Settings an operation takes, besides ``op``; `needs` are among them."""

    takes: tuple[str, ...]
    needs: tuple[str, ...] = ()


_ROWS = ("of", "where")
OPS: Final[Mapping[str, Op]] = {
    "count": Op((*_ROWS, "last"), ("of",)),
    "distinct_days": Op((*_ROWS, "last"), ("of",)),
    "distinct": Op((*_ROWS, "col", "last"), ("of", "col")),
    "sum": Op((*_ROWS, "col", "last", "net"), ("of", "col")),
    "min": Op((*_ROWS, "col", "last", "net"), ("of", "col")),
    "max": Op((*_ROWS, "col", "last", "net"), ("of", "col")),
    "mean": Op((*_ROWS, "col", "last", "net"), ("of", "col")),
    "recency_days": Op(_ROWS, ("of",)),
    "first": Op((*_ROWS, "col", "last"), ("of", "col")),
    "last": Op((*_ROWS, "col", "last"), ("of", "col")),
    "sequence": Op(
        ("first", "then", "within", "last", "anchor", "where"),
        ("first", "then", "within"),
    ),
    "without": Op(
        ("first", "then", "within", "last", "anchor", "hold", "where"),
        ("first", "then", "within"),
    ),
    "rfm": Op((*_ROWS, "col", "last", "net", "bins", "part", "cuts")),
    "quantile": Op(("metric", "bins", "cuts"), ("metric",)),
    "lifecycle": Op((*_ROWS, "period")),
    "p_alive": Op((*_ROWS, "cuts")),
    "expected_orders": Op((*_ROWS, "horizon", "cuts"), ("horizon",)),
    "clv_fen": Op((*_ROWS, "col", "net", "horizon", "cuts"), ("horizon",)),
    "overdue": Op((*_ROWS, "p", "cuts")),
    "reach": Op(("max_per_week",)),
}


class Kind(NamedTuple):
    """What a metric gives: its type, its unit, and what it can be.

    Parameters
    ----------
    name : str
        ``int``, ``float``, ``text``, ``bool``, ``date``, ``time``.
    money : bool
        Whether it is an amount in fen.
    low, high : float or None
        Its range, where it has one.
    values : tuple of str
        The only texts it can be; any if empty.
    unknown : bool
        Whether it can be unknown.
    """

    name: str
    money: bool = False
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] = ()
    unknown: bool = True

    @property
    def family(self) -> str:
        """What a value compared with it must be."""
        return "number" if self.name in ("int", "float") else self.name


_COUNT = Kind("int", low=0, unknown=False)
_TRUTH = Kind("bool", unknown=False)
_KINDS: Final[Mapping[str, Kind]] = {
    "count": _COUNT,
    "distinct_days": _COUNT,
    "distinct": _COUNT,
    "recency_days": Kind("int", low=0),
    "sequence": _TRUTH,
    "without": _TRUTH,
    "overdue": Kind("bool"),
    "lifecycle": Kind("text", values=LIFECYCLE),
    "p_alive": Kind("float", low=0, high=1),
    "expected_orders": Kind("float", low=0),
    "clv_fen": Kind("int", money=True, low=0),
    "reach": Kind(
        "text", values=("subscribe", "service", "other", "none"), unknown=False
    ),
}
KINDS: Final = {"instant": "time", "date": "date", "bool": "bool"}


def column_kind(
    table: str, column: str, extra: Mapping[str, Mapping[str, str]] | None = None
) -> str | None:
    """Return what a column of a canonical table holds.

    Parameters
    ----------
    table, column : str
        Canonical names.
    extra : mapping of str to mapping of str to str, optional
        Kinds of further columns by table: ``{"members": {"income": "text"}}``.

    Returns
    -------
    str or None
        ``int float text bool date time``; None where there is no such column.
    """
    from growth.dataset.schema import SCHEMA

    if extra and column in extra.get(table, ()):
        return extra[table][column]
    known = SCHEMA[table].by_name.get(column)
    if known is None:
        return None
    if known.kind.startswith(("int", "float")):
        return known.kind.rstrip("0123456789")
    return KINDS.get(known.kind, "text")


def kind_of(
    metric: Metric, extra: Mapping[str, Mapping[str, str]] | None = None
) -> Kind:
    """Return what a metric gives.

    Parameters
    ----------
    metric : Metric
        A metric whose settings are in order.
    extra : mapping, optional
        As in `column_kind`.

    Returns
    -------
    Kind
        Its type and range.
    """
    money = metric.col.endswith("_fen")
    if metric.op in _KINDS:
        return _KINDS[metric.op]
    match metric.op:
        case "sum" | "mean":
            return Kind("int", money=money, unknown=metric.op == "mean")
        case "rfm" if metric.part == "segment":
            return Kind("text", values=RFM_NAMES)
        case "rfm" if metric.part == "code":
            return Kind("text")
        case "rfm" | "quantile":
            return Kind("int", low=1, high=metric.bins)
    return Kind(column_kind(metric.of, metric.col, extra) or "text", money=money)
