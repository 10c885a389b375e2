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

__all__ = ["Context", "ContextRequiredError", "need_context", "score", "yardstick"]


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

    def find(self, metric: Metric, tz: str, population: str) -> Mapping[str, Any]:
        """Return the yardstick of one metric.

        Parameters
        ----------
        metric : Metric
            One that needs it.
        tz, population : str
            Of the tag.

        Returns
        -------
        mapping
            As in `yards`.

        Raises
        ------
        ContextRequiredError
            If it was not taken.
        """
        found = self.yards.get(yardstick(metric, tz, population))
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


def yardstick(metric: Metric, tz: str, population: str) -> str:
    """Return the name of what a metric is judged by; equal ones are taken once.

    Parameters
    ----------
    metric : Metric
        One of op ``rfm quantile overdue`` or of a model; "" for others.
    tz, population : str
        Of the tag: whose days, and whose users.

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
    return canonical({"tz": tz, "population": population, **data})


def score(value: int, cuts: Sequence[int]) -> int:
    """Return 1 plus the number of cut points strictly below a value."""
    return 1 + sum(cut < value for cut in cuts)
