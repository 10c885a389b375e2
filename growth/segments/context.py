"""Yardsticks: what a tag needs to know of all users before it can judge one.

Cut points of scores, parameters of models, the shop's usual gap between orders.
They are taken from the data at one `as_of` and may be frozen: a later change of a
tag then means people, not yardsticks; a service cannot do without them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from growth.errors import ParameterError
from growth.segments.ops import MODELS
from growth.segments.rules import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from growth.result import Notice
    from growth.segments.rules import Metric

__all__ = ["Context", "ContextRequiredError", "cut_points", "score", "yardstick"]


class ContextRequiredError(ParameterError):
    """A tag needs yardsticks of all users, and none were given."""

    code = "context_required"


@dataclass(frozen=True, slots=True)
class Context:
    """Frozen yardsticks, with the day they were taken.

    Parameters
    ----------
    as_of : date
        The last day counted when they were taken.
    yards : mapping of str to mapping
        By what they measure: ``cuts`` (numbers, rising), ``bgnbd`` (r, alpha, a, b
        in weeks), ``gamma_gamma`` (p, q, v in fen), ``gap`` (days).
    notices : tuple of Notice
        What fitting said.
    """

    as_of: date
    yards: Mapping[str, Mapping[str, Any]]
    notices: tuple[Notice, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        """Freeze the mapping."""
        object.__setattr__(self, "yards", MappingProxyType(dict(self.yards)))

    def find(self, metric: Metric, tz: str) -> Mapping[str, Any]:
        """Return the yardstick of one metric.

        Parameters
        ----------
        metric : Metric
            One that needs it.
        tz : str
            The zone of the tag's days.

        Returns
        -------
        mapping
            As in `yards`.

        Raises
        ------
        ContextRequiredError
            If it was not taken.
        """
        found = self.yards.get(yardstick(metric, tz))
        if found is None:
            raise need_context(metric)
        return found

    def to_json(self) -> str:
        """Return it as JSON, as `from_json` reads it."""
        yards = {key: dict(value) for key, value in self.yards.items()}
        return json.dumps({"as_of": self.as_of.isoformat(), "yards": yards})

    @classmethod
    def from_json(cls, text: str) -> Context:
        """Read what `to_json` wrote.

        Parameters
        ----------
        text : str
            JSON.

        Returns
        -------
        Context
            The same yardsticks.

        Raises
        ------
        ParameterError
            If it is not such a text (code ``bad_context``).
        """
        try:
            data = json.loads(text)
            return cls(date.fromisoformat(data["as_of"]), data["yards"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            msg = f"the context is {text[:60]!r}; it must be what Context.to_json wrote"
            raise ParameterError(
                f"{msg}; freeze it anew.", code="bad_context"
            ) from error


def need_context(metric: Metric) -> ContextRequiredError:
    """Return the error for a metric whose yardstick is not there."""
    msg = f"{metric.op} is judged by a yardstick taken from all users, which is missing"
    msg = f"{msg}; pass context= from segments.freeze(dataset, rules, as_of=...)."
    return ContextRequiredError(msg)


def yardstick(metric: Metric, tz: str) -> str:
    """Return the name of what a metric is judged by; equal ones are taken once.

    Parameters
    ----------
    metric : Metric
        One of op ``rfm quantile overdue`` or of a model; "" for others.
    tz : str
        The zone of the tag's days.

    Returns
    -------
    str
        Canonical JSON.
    """
    data = metric.to_data()
    if metric.op not in ("rfm", "quantile", "overdue", *MODELS):
        return ""
    for key in ("part", "cuts", "horizon"):
        data.pop(key, None)
    if metric.op in MODELS:
        data["op"] = "model" if metric.op == "clv_fen" else "purchases"
    return canonical({"tz": tz, **data})


def cut_points(counts: Sequence[tuple[int, int]], bins: int) -> tuple[int, ...]:
    """Return the values that part some data into bins, each a member of it.

    Parameters
    ----------
    counts : sequence of (value, users)
        Distinct values, rising, and how many users have each.
    bins : int
        2 or more.

    Returns
    -------
    tuple of int
        ``bins - 1`` of them (none without users), rising, equal ones repeated: for
        k = 1..bins-1 the smallest value with ``users up to it * bins >= k * users``.

    Notes
    -----
    In integers, so that neither threads nor row order can move a cut, as they move
    those of ``ntile``, which parts ties.

    Examples
    --------
    >>> cut_points([(1, 3), (2, 1), (9, 1)], 5)
    (1, 1, 1, 2)
    """
    n = sum(users for _, users in counts)
    found: list[int] = []
    reached = 0
    for value, users in counts:
        reached += users
        while len(found) < bins - 1 and reached * bins >= (len(found) + 1) * n:
            found.append(value)
    return tuple(found)


def score(value: int, cuts: Sequence[int]) -> int:
    """Return 1 plus the number of cut points strictly below a value."""
    return 1 + sum(cut < value for cut in cuts)
