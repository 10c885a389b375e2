"""Our retention beside the platform's own daily figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from growth.errors import DataError, ParameterError
from growth.result import Cell, Estimate, Notice, Result
from growth.retention.spec import RetentionSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from growth.retention.triangle import RetentionResult

__all__ = ["DailyPair", "Reconciliation", "reconcile_from_values"]

OFFSETS: Final = (*range(8), 14, 30)  # those the platform reports
METRICS: Final = {"first_ever": "visit_uv_new", "every": "visit_uv"}
VISITS: Final = {"app_launch", "app_show"}
UTC8: Final = timedelta(hours=8)
REASONS: Final = (
    "consent",
    "short_history",
    "excluded_scenes",
    "several_apps",
    "test_traffic",
)


@dataclass(frozen=True, slots=True)
class DailyPair:
    """One day and offset, counted twice.

    Parameters
    ----------
    cohort : str
        The day.
    k : int
        The offset; 0 is the cohort's size.
    ours : int or None
        Users we count; None until the cell is complete.
    official : float or None
        What the platform says; None where it has not said it (not matured).
    difference, ratio : float or None
        Ours less theirs, and ours over theirs.
    """

    cohort: str
    k: int
    ours: int | None
    official: float | None
    difference: float | None
    ratio: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation(Result):
    """Our counts against the platform's, day by day and pooled.

    Parameters
    ----------
    metric : str
        ``visit_uv_new`` or ``visit_uv``.
    tolerance : float
        How far a pooled ratio may be from 1.
    pairs : tuple of DailyPair
        By day and offset.
    ratios : tuple of (int, float)
        By offset, ours over theirs over the days both know.
    reasons : tuple of str
        Where they differ: what may be the cause, likelier first.
    """

    metric: str
    tolerance: float
    pairs: tuple[DailyPair, ...]
    ratios: tuple[tuple[int, float], ...]
    reasons: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """`retention.reconcile.` and `nothing`, `agrees`, or `differs`."""
        if not self.ratios:
            return "retention.reconcile.nothing"
        near = all(abs(ratio - 1) <= self.tolerance for _, ratio in self.ratios)
        return f"retention.reconcile.{'agrees' if near else 'differs'}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a day and offset."""
        return [asdict(pair) for pair in self.pairs]

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the pooled ratios."""
        return tuple(
            Estimate(
                key="retention.official_ratio",
                by=(("k", str(k)),),
                value=ratio,
                unit="ratio",
            )
            for k, ratio in self.ratios
        )


def reconcile_from_values(
    result: RetentionResult,
    official: Mapping[tuple[str, int], float],
    *,
    tolerance: float = 0.05,
    apps: Sequence[str] = (),
) -> Reconciliation:
    """Compare our cells with values of the platform.

    Parameters
    ----------
    result : RetentionResult
        Measured daily at UTC+8, ``mode="first_ever"`` or ``"every"``, ``match="on"``.
    official : mapping of (str, int) to float
        Users by day (ISO) and offset; a pair left out has not matured.
    tolerance : float, default 0.05
        How far a pooled ratio may be from 1, above 0.
    apps : sequence of str, optional
        App ids the values are of.

    Returns
    -------
    Reconciliation
        Days of the result at the offsets the platform reports: 0 to 7, 14, 30.

    Raises
    ------
    ParameterError
        If the result is counted otherwise than the platform counts (code
        ``not_comparable``), or `tolerance` is not positive (``range``).
    DataError
        If a value is negative (code ``bad_counts``).
    """
    spec = _comparable(result)
    if not tolerance > 0:
        msg = f"tolerance is {tolerance}; it must be above 0; write 5% as 0.05."
        raise ParameterError(msg, code="range")
    if bad := [pair for pair, value in official.items() if value < 0]:
        msg = f"the official value of {bad[0]} is {official[bad[0]]}; it must be 0 or"
        raise DataError(f"{msg} more; pull the day again.", code="bad_counts")
    size, kept, _ = result.counts()
    columns: dict[int, int | None] = {0: None}
    columns |= {k: c for c, k in enumerate(spec.offsets) if k in OFFSETS}
    pairs: list[DailyPair] = []
    sums: dict[int, list[float]] = {}
    for i, day in enumerate(result.cohorts):
        for k, c in columns.items():
            over = result.complete[i][0 if c is None else c + 1]
            ours = int(size[i] if c is None else kept[i, c]) if over else None
            theirs = official.get((day, k))
            pairs.append(_pair(day, k, ours, theirs))
            if ours is not None and theirs is not None:
                both = sums.setdefault(k, [0.0, 0.0])
                both[0] += ours
                both[1] += theirs
    ratios = tuple((k, a / b) for k, (a, b) in sums.items() if b)
    return Reconciliation(
        metric=METRICS[spec.mode],
        tolerance=tolerance,
        pairs=tuple(pairs),
        ratios=ratios,
        reasons=_reasons(result, ratios, tolerance, apps),
        notices=_notices(result, apps, nothing=not ratios),
    )


def _pair(day: str, k: int, ours: int | None, theirs: float | None) -> DailyPair:
    known = ours is not None and theirs is not None
    return DailyPair(
        cohort=day,
        k=k,
        ours=ours,
        official=theirs,
        difference=ours - theirs if known else None,  # type: ignore[operator]
        ratio=ours / theirs if known and theirs else None,  # type: ignore[operator]
    )


def _comparable(result: RetentionResult) -> RetentionSpec:
    spec = result.spec
    if not isinstance(spec, RetentionSpec):
        msg = "the result is from counts; it must be measured from events, so that its"
        raise ParameterError(
            f"{msg} days are known; use measure.", code="not_comparable"
        )
    offset = spec.intervals.offset_us(spec.tz, spec.start)
    for right, seen, wanted in (
        (spec.period == "day", f"period is {spec.period!r}", "'day'"),
        (spec.clock == "calendar", f"clock is {spec.clock!r}", "'calendar'"),
        (spec.match == "on", f"match is {spec.match!r}", "'on'"),
        (spec.brackets is None, f"brackets are {spec.brackets}", "left out"),
        (spec.min_occurrences == 1, f"min_occurrences is {spec.min_occurrences}", "1"),
        (spec.mode in METRICS, f"mode is {spec.mode!r}", "'first_ever' or 'every'"),
        (timedelta(microseconds=offset) == UTC8, f"tz is {spec.tz!r}", "one of UTC+8"),
    ):
        if not right:
            msg = f"{seen}; to be compared with the platform it must be {wanted};"
            raise ParameterError(f"{msg} measure again.", code="not_comparable")
    return spec


def _reasons(
    result: RetentionResult,
    ratios: Sequence[tuple[int, float]],
    tolerance: float,
    apps: Sequence[str],
) -> tuple[str, ...]:
    """Return what may explain a difference, the likelier for its sign first."""
    off = [ratio - 1 for _, ratio in ratios if abs(ratio - 1) > tolerance]
    if not off:
        return ()
    fewer = sum(off) < 0  # we see fewer users than the platform
    likely = ["consent", "excluded_scenes"] if fewer else ["test_traffic"]
    if len(set(apps)) > 1:
        likely.insert(0, "several_apps")
    codes = {notice.code for notice in result.notices}
    if "history_short" in codes and not fewer:
        likely.insert(0, "short_history")
    return (*likely, *(reason for reason in REASONS if reason not in likely))


def _notices(
    result: RetentionResult, apps: Sequence[str], *, nothing: bool
) -> tuple[Notice, ...]:
    found = []
    if len(set(apps)) > 1:
        found.append(Notice("several_apps", args=(("apps", len(set(apps))),)))
    spec = result.spec
    names = {e.event for e in getattr(spec, "start_event", ())}
    if not names & VISITS:
        args = (("event", ", ".join(sorted(names))),)
        found.append(Notice("not_a_visit", "info", args))
    if nothing and result.cohorts:
        days = (("first", result.cohorts[0]), ("last", result.cohorts[-1]))
        found.append(Notice("no_official_days", args=days))
    return tuple(found)
