"""What a funnel hands back: who got how far, how long it took, who was left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeAlias

from growth.errors import DataError, ParameterError
from growth.funnel.steps import FunnelSpec  # noqa: TC001  (a field's type)
from growth.result import Cell, Estimate, Notice, Result, plain
from growth.stats.proportions import Share, wilson

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


__all__ = [
    "By",
    "FunnelResult",
    "FunnelStep",
    "StepTime",
    "TimeBin",
    "measure_from_counts",
    "steps_of",
]

By: TypeAlias = tuple[tuple[str, str | None], ...]
Counts: TypeAlias = Mapping[str, int]

ALPHA = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelStep:
    """How many reached one step, in one group.

    Parameters
    ----------
    by : tuple of (str, str or None)
        The group, as name-value pairs; () is everybody, None an unknown value.
    step : int
        Number of the step, from 1.
    name : str
        Its event.
    optional : bool
        Whether one may go on without it.
    reached : int
        Users (sessions, chains) that got at least this far.
    dropped : int
        Those who reached the required step before and not this one.
    immature : int
        Of `reached`, those whose window was not over; 0 unless they are kept.
    rate_from_start, low, high : float or None
        `reached` over the first step's, with Wilson's 95 % interval.
    rate_from_previous, previous_low, previous_high : float or None
        `reached` over that of the required step before, likewise.
    """

    by: By = ()
    step: int
    name: str
    optional: bool = False
    reached: int
    dropped: int = 0
    immature: int = 0
    rate_from_start: float | None
    low: float | None
    high: float | None
    rate_from_previous: float | None
    previous_low: float | None
    previous_high: float | None


@dataclass(frozen=True, slots=True)
class TimeBin:
    """Chains that took from `low_s` to below `high_s` seconds."""

    low_s: float
    high_s: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """How long it took to get to a step, over those who reached it.

    Parameters
    ----------
    by : tuple of (str, str or None)
        As in `FunnelStep`.
    from_step, step : int
        From which step to which, from 1. From 1 to the last is the whole way.
    name : str
        The event of `step`.
    n : int
        Chains.
    mean_s, p25_s, p50_s, p75_s, p95_s : float or None
        Seconds; a quantile is the smallest value whose cumulative share is p or
        more, but the median of an even number is the mean of the middle two.
    p50_low_s, p50_high_s : float or None
        Bootstrap interval (95 %) of the median.
    histogram : tuple of TimeBin
        Four bins a power of ten, from the first that is not empty to the last.
    """

    by: By = ()
    from_step: int
    step: int
    name: str
    n: int
    mean_s: float | None
    p25_s: float | None
    p50_s: float | None
    p75_s: float | None
    p95_s: float | None
    p50_low_s: float | None
    p50_high_s: float | None
    histogram: tuple[TimeBin, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelResult(Result):
    """How far people get, and how long it takes them.

    Parameters
    ----------
    spec : FunnelSpec or None
        What was asked; None where only counts were given.
    steps : tuple of FunnelStep
        A step at a time, group by group; everybody without a breakdown.
    totals : tuple of FunnelStep
        The steps over all groups.
    times : tuple of StepTime
        Everybody's, then each group's.
    immature_users : int
        Users whose every entry is too young for its window to be over.
    excluded_users : int
        Users put out by an exclusion (``exclusion="user"``).
    hold_null_events : int
        Events of a step that took no part because what is held is unknown.
    """

    spec: FunnelSpec | None = None
    steps: tuple[FunnelStep, ...] = ()
    totals: tuple[FunnelStep, ...] = ()
    times: tuple[StepTime, ...] = ()
    immature_users: int = 0
    excluded_users: int = 0
    hold_null_events: int = 0

    @property
    def by(self) -> tuple[str, ...]:
        """The names of the breakdown columns."""
        return tuple(name for name, _ in self.steps[0].by) if self.steps else ()

    @property
    def groups(self) -> tuple[By, ...]:
        """The groups, in order; one, (), without a breakdown."""
        return tuple(dict.fromkeys(step.by for step in self.steps))

    @property
    def entered(self) -> int:
        """How many reached the first step."""
        return self.totals[0].reached if self.totals else 0

    @property
    def whole_way(self) -> StepTime | None:
        """How long it took everybody from the first step to the last."""
        found = [item for item in self.times if not item.by and item.from_step == 1]
        return max(found, key=lambda item: item.step, default=None)

    @property
    def verdict(self) -> str:
        """`funnel.measure.` and `measured`, `too_young` or `no_entry`."""
        if self.entered:
            state = "measured"
        else:
            state = "too_young" if self.immature_users else "no_entry"
        return f"funnel.measure.{state}"

    def of(self, **group: str | None) -> tuple[FunnelStep, ...]:
        """Return the steps of one group: ``result.of(variant="B")``.

        Raises
        ------
        ParameterError
            If there is no such group (code ``unknown_group``).
        """
        found = tuple(step for step in self.steps if dict(step.by) == group)
        if not found:
            msg = f"the group is {group}; it must be one of"
            msg = f"{msg} {[dict(by) for by in self.groups[:10]]}; name one of these."
            raise ParameterError(msg, code="unknown_group")
        return found

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a group and step."""
        return [flat(step) for step in self.steps]

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the shares of everybody who reached each step after the first."""
        first = self.totals[0].reached if self.totals else 0
        return tuple(
            Estimate(
                key=f"step_{step.step}.rate_from_start",
                value=step.rate_from_start,
                lo=step.low,
                hi=step.high,
                level=1 - ALPHA,
                n=first,
                unit="share",
                method="wilson",
            )
            for step in self.totals[1:]
        )

    def to_dict(self) -> dict[str, object]:
        """Return plain values only, ready for ``json.dumps(..., allow_nan=False)``."""
        return asdict_with_spec(self)


def asdict_with_spec(result: Result) -> dict[str, object]:
    """Return a result's fields as plain values, its `spec` in its written form."""
    values: dict[str, object] = {"verdict": result.verdict}
    for item in fields(result):
        value = getattr(result, item.name)
        if item.name == "spec":
            values["spec"] = None if value is None else value.to_dict()
        else:
            values[item.name] = plain(value)
    return values


def flat(item: object) -> dict[str, Cell]:
    """Return a record's fields as a row, its group spread over columns."""
    row: dict[str, Cell] = {}
    for part in fields(item):  # type: ignore[arg-type]
        value = getattr(item, part.name)
        if part.name == "by":
            row |= dict(value)
        elif part.name not in ("histogram", "baseline_by"):
            row[part.name] = value
    return row


def measure_from_counts(
    counts: Counts | Mapping[str, Counts], *, by: str | None = None
) -> FunnelResult:
    """Return the funnel somebody has counted already.

    Parameters
    ----------
    counts : mapping of str to int, or mapping of str to such mappings
        Users who reached at least each step, by the step's name, in order; with
        `by`, one such mapping a group.
    by : str, optional
        What the groups differ in, such as ``"variant"``.

    Returns
    -------
    FunnelResult
        Without times; `totals` adds the groups up.

    Raises
    ------
    ParameterError
        If there are fewer than 2 steps, or the groups' steps differ (code
        ``steps``).
    DataError
        If a count is no whole number of 0 or more, or more reach a step than the
        one before, or a group is there twice (code ``counts``), naming it.

    Examples
    --------
    >>> result = measure_from_counts({"page_view": 1000, "add_to_cart": 240, "pay": 60})
    >>> [step.rate_from_previous for step in result.steps]
    [1.0, 0.24, 0.25]
    """
    groups: dict[str | None, Counts] = {}
    if by is None:
        groups[None] = counts  # type: ignore[assignment]
    else:
        for name, part in counts.items():
            label = None if name is None else str(name)
            if label in groups:
                msg = f"counts has the group {label!r} twice; each must be there once;"
                msg = f"{msg} add them up, or name them apart."
                raise DataError(msg, code="counts")
            groups[label] = part  # type: ignore[assignment]
    first = next(iter(groups.values()), None)
    names = tuple(first) if isinstance(first, Mapping) else ()
    if not groups:
        msg = "counts is empty; it must have a group or more; pass {'A': {...}}."
        raise ParameterError(msg, code="steps")
    reached = []
    for group, part in groups.items():
        if not isinstance(part, Mapping) or tuple(part) != names or len(names) < 2:
            seen = list(part) if isinstance(part, Mapping) else part
            where = "counts" if by is None else f"counts[{group!r}]"
            msg = f"{where} has the steps {seen!r}; it must have 2 or more, the same in"
            raise ParameterError(
                f"{msg} each group, in order; list them.", code="steps"
            )
        reached.append([_count(part, names, i, group) for i in range(len(names))])
    steps: list[FunnelStep] = []
    for group, numbers in zip(groups, reached, strict=True):
        pairs: By = () if by is None else ((by, group),)
        steps += steps_of(names, numbers, by=pairs)
    summed = [sum(column) for column in zip(*reached, strict=True)]
    return FunnelResult(
        steps=tuple(steps), totals=tuple(steps_of(names, summed)) if reached else ()
    )


def _count(part: Counts, names: Sequence[str], i: int, group: str | None) -> int:
    value = part[names[i]]
    cell = repr(names[i]) if group is None else f"{names[i]!r} of {group!r}"
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 0:
        msg = f"the count of {cell} is {value!r}; it must be a whole number, 0 or more;"
        raise DataError(f"{msg} correct it.", code="counts")
    if i and value > part[names[i - 1]]:
        before = part[names[i - 1]]
        msg = f"the count of {cell} is {value}, and of {names[i - 1]!r} before it"
        msg = f"{msg} {before}; it must be at most that; count users who reached at"
        raise DataError(f"{msg} least each step.", code="counts")
    return int(value)


def steps_of(
    names: Sequence[str],
    reached: Iterable[int],
    *,
    by: By = (),
    optional: Sequence[bool] | None = None,
    immature: Iterable[int] | None = None,
) -> list[FunnelStep]:
    """Return the steps of one group from how many reached each.

    Parameters
    ----------
    names : sequence of str
        The steps, optional ones among them.
    reached : iterable of int
        As many, each at least that of the next required step.
    by : tuple of (str, str or None), optional
        The group.
    optional : sequence of bool, optional
        Which may be left out; none if omitted.
    immature : iterable of int, optional
        Of those, how many are young; none if omitted.
    """
    counted = [int(n) for n in reached]
    young = [0] * len(counted) if immature is None else [int(n) for n in immature]
    aside = optional or [False] * len(counted)
    found = []
    first = previous = counted[0] if counted else 0
    for i, (name, n) in enumerate(zip(names, counted, strict=True)):
        start, low, high = rate_of(n, first)
        rate, previous_low, previous_high = rate_of(n, previous)
        found.append(
            FunnelStep(
                by=by,
                step=i + 1,
                name=name,
                optional=aside[i],
                reached=n,
                dropped=previous - n,
                immature=young[i],
                rate_from_start=start,
                low=low,
                high=high,
                rate_from_previous=rate,
                previous_low=previous_low,
                previous_high=previous_high,
            )
        )
        if not aside[i]:
            previous = n
    return found


def rate_of(n: int, of: int) -> tuple[float | None, float | None, float | None]:
    """Return a share with Wilson's interval; None of nobody."""
    interval = wilson(Share(n, of), alpha=ALPHA)
    if interval is None:
        return None, None, None
    return n / of, *interval


def notice(code: str, severity: str = "warning", **args: Cell) -> Notice:
    """Return a notice."""
    return Notice(code, severity, tuple(args.items()))  # type: ignore[arg-type]
