"""A document's estimates in words and as rows to draw, whatever they count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from growth.charts.intervals import Interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["about", "headline_of", "interval_of", "is_change"]

CHANGES: Final = frozenset({"change", "diff", "difference", "lift"})
COUNTED: Final = "count"  # a method: exact, so that it has no interval


def is_change(key: str) -> bool:
    """Return whether an estimate is a change, with a sign, by how its key ends.

    Examples
    --------
    >>> is_change("pay_rate.lift"), is_change("retention.day_7")
    (True, False)
    """
    return key.rpartition(".")[2] in CHANGES


def about(by: Mapping[str, object]) -> str:
    """Return what an estimate is about: ``B · android``."""
    return " · ".join(map(str, by.values()))


def interval_of(item: Mapping[str, Any], *, name: str = "") -> Interval:
    """Return an estimate of a document as it is drawn.

    Parameters
    ----------
    item : mapping
        One of the document's ``estimates``.
    name : str, optional
        What to call the row; its key if omitted.

    Returns
    -------
    Interval
        In its own unit. Which direction is better is not in the document: up.
    """
    return Interval(
        label=name or str(item["key"]),
        value=item["value"],
        lo=item["lo"],
        hi=item["hi"],
        unit=item.get("unit") or "",
        change=is_change(str(item["key"])),
    )


def headline_of(estimates: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the number that a history shows: the first that is sure, or says how sure.

    That is one with an interval, or one counted of all there are (method ``count``).

    Parameters
    ----------
    estimates : sequence of mapping
        The document's, in order.

    Returns
    -------
    mapping or None
        Where there is none, the first that has a value, else the first.
    """
    known = [item for item in estimates if item["value"] is not None]
    whole = [
        item for item in known if item["lo"] is not None or item["method"] == COUNTED
    ]
    return next(iter((*whole, *known, *estimates)), None)
