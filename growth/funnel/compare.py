"""Arms held against each other: how far their users get."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from growth.errors import DataError, ParameterError, suggest
from growth.funnel.results import (
    ALPHA,
    FunnelResult,
    FunnelStep,
    asdict_with_spec,
    flat,
    notice,
)
from growth.funnel.steps import FunnelSpec  # noqa: TC001  (a field's type)
from growth.result import Cell, Estimate, Result
from growth.stats.multiplicity import adjust as adjust_p
from growth.stats.proportions import LOW_COUNT, Share, low_counts, newcombe, pooled_z

if TYPE_CHECKING:
    from collections.abc import Sequence

    from growth.result import Notice

__all__ = ["FunnelComparison", "StepContrast", "compare"]

Adjust = Literal["none", "bonferroni", "holm", "hochberg", "hommel", "bh", "by"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContrast:
    """One step of one arm against the baseline's.

    Parameters
    ----------
    arm, baseline : str
        Values of the breakdown column.
    step : int
        Number of the step, from 2.
    name : str
        Its event.
    optional : bool
        Whether one may go on without it.
    entered, baseline_entered : int
        Who reached the first step.
    rate, baseline_rate : float or None
        Of those, the share that reached this one.
    difference, low, high : float or None
        `rate` less `baseline_rate`, in points of share, with Newcombe's 95 %
        interval.
    relative : float or None
        The difference over `baseline_rate`.
    p_value, p_adjusted : float or None
        Pooled two-sided z test; adjusted over all steps and arms.
    conditional_rate, baseline_conditional_rate : float or None
        The share of those at the step before who reached this one: shown, not
        tested, since an arm may have changed who got there.
    median_s, median_low_s, median_high_s : float or None
        Seconds from the step before in this arm, with a bootstrap interval.
    baseline_median_s, baseline_median_low_s, baseline_median_high_s : float or None
        The same of the baseline.
    """

    arm: str
    baseline: str
    step: int
    name: str
    optional: bool = False
    entered: int
    baseline_entered: int
    rate: float | None
    baseline_rate: float | None
    difference: float | None
    low: float | None
    high: float | None
    relative: float | None
    p_value: float | None
    p_adjusted: float | None
    conditional_rate: float | None
    baseline_conditional_rate: float | None
    median_s: float | None = None
    median_low_s: float | None = None
    median_high_s: float | None = None
    baseline_median_s: float | None = None
    baseline_median_low_s: float | None = None
    baseline_median_high_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelComparison(Result):
    """Arms of one funnel against a baseline.

    Parameters
    ----------
    spec : FunnelSpec or None
        The funnel.
    by, baseline : str
        The breakdown column, and the arm the others are held against.
    adjust : str
        How p-values were adjusted.
    alpha : float
        Level of the verdict, in (0, 1).
    contrasts : tuple of StepContrast
        Arm by arm, step by step.
    """

    spec: FunnelSpec | None = None
    by: str
    baseline: str
    adjust: str = "holm"
    alpha: float = ALPHA
    contrasts: tuple[StepContrast, ...] = ()

    @property
    def verdict(self) -> str:
        """`funnel.compare.` and `better`, `worse`, `mixed`, `no_difference`, `none`."""
        tested = [c for c in self.contrasts if c.p_adjusted is not None]
        signs = {
            (c.difference or 0) > 0
            for c in tested
            if c.p_adjusted is not None and c.p_adjusted <= self.alpha
        }
        if not tested:
            state = "none"
        elif not signs:
            state = "no_difference"
        else:
            state = "mixed" if len(signs) > 1 else "worse"
            state = "better" if signs == {True} else state
        return f"funnel.compare.{state}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row an arm and step."""
        return [flat(contrast) for contrast in self.contrasts]

    def estimates(self) -> tuple[Estimate, ...]:
        """Return every difference with its interval and p-value."""
        return tuple(
            Estimate(
                key=f"step_{c.step}.rate_from_start.difference",
                by=(("arm", c.arm),),
                value=c.difference,
                lo=c.low,
                hi=c.high,
                level=1 - ALPHA,
                p_value=c.p_value,
                n=c.entered + c.baseline_entered,
                unit="share",
                method="newcombe",
            )
            for c in self.contrasts
        )

    def to_dict(self) -> dict[str, object]:
        """Return plain values only, ready for ``json.dumps(..., allow_nan=False)``."""
        return asdict_with_spec(self)


def compare(
    result: FunnelResult,
    *,
    by: str | None = None,
    baseline: str,
    adjust: Adjust = "holm",
    alpha: float = ALPHA,
) -> FunnelComparison:
    """Hold each group's funnel against a baseline's.

    Parameters
    ----------
    result : FunnelResult
        Measured ``by=[...]`` one column, or made by `measure_from_counts`.
    by : str, optional
        That column; may be left out.
    baseline : str
        The value the others are held against, such as the control's.
    adjust : {"holm", "bh", "none", "bonferroni", "hochberg", "hommel", "by"}
        How p-values are adjusted, over all steps after the first and all groups.
    alpha : float, default 0.05
        Level of the verdict, in (0, 1).

    Returns
    -------
    FunnelComparison
        A row a group and step. The shares of those who entered are tested and
        decide the verdict. Users whose value is unknown are left out.

    Raises
    ------
    ParameterError
        If the result is not by that column alone (code ``by``), there is no such
        baseline (``unknown_arm``), or `adjust` or `alpha` is unusable.
    DataError
        If there is no group beside the baseline (code ``one_arm``).

    Notes
    -----
    Intervals are Newcombe's (1998, method 10), p-values of the z test with pooled
    variance. A step's share of those at the step before is shown and not tested:
    the arms' users there need not be alike any more.

    Examples
    --------
    >>> from growth.funnel import measure_from_counts
    >>> counts = {"A": {"view": 1000, "pay": 100}, "B": {"view": 1000, "pay": 150}}
    >>> found = compare(measure_from_counts(counts, by="variant"), baseline="A")
    >>> found.verdict, round(found.contrasts[0].difference, 3)
    ('funnel.compare.better', 0.05)
    """
    column = _column(result, by)
    if not 0 < alpha < 1:
        msg = f"alpha is {alpha}; it must be in (0, 1); write 5% as 0.05."
        raise ParameterError(msg, code="alpha_out_of_range")
    arms: dict[str, list[FunnelStep]] = {}
    for step in result.steps:
        value = step.by[0][1]
        if value is not None:
            arms.setdefault(value, []).append(step)
    if baseline not in arms:
        msg = f"baseline is {baseline!r}; column {column!r} has {list(arms)[:20]}; it"
        msg = f"{msg} must be one of these; name it.{suggest(str(baseline), arms)}"
        raise ParameterError(msg, code="unknown_arm")
    if len(arms) < 2:
        msg = f"column {column!r} has the value {baseline!r} only; there must be 2 or"
        raise DataError(f"{msg} more to compare; check the arms.", code="one_arm")
    pairs = [
        (arm, step, base)
        for arm, steps in arms.items()
        if arm != baseline
        for step, base in zip(steps[1:], arms[baseline][1:], strict=True)
    ]
    first = {arm: steps[0].reached for arm, steps in arms.items()}
    p_values = [
        pooled_z(
            Share(base.reached, first[baseline]), Share(step.reached, first[arm])
        ).p_value
        for arm, step, base in pairs
    ]
    adjusted = adjust_p(p_values, adjust, alpha).p_adj
    contrasts = tuple(
        _contrast(result, column, baseline, first, pair, p, p_adj)
        for pair, p, p_adj in zip(pairs, p_values, adjusted, strict=True)
    )
    return FunnelComparison(
        spec=result.spec,
        by=column,
        baseline=baseline,
        adjust=adjust,
        alpha=alpha,
        contrasts=contrasts,
        notices=tuple(_remarks(result, arms, baseline)),
    )


def _column(result: FunnelResult, by: str | None) -> str:
    if len(result.by) != 1 or by not in (None, result.by[0]):
        msg = f"the result is by {list(result.by)} and by is {by!r}; it must be by one"
        msg = f"{msg} column, the one named; measure it with by=['variant']."
        raise ParameterError(msg, code="by")
    return result.by[0]


def _contrast(
    result: FunnelResult,
    column: str,
    baseline: str,
    first: dict[str, int],
    pair: tuple[str, FunnelStep, FunnelStep],
    p_value: float | None,
    p_adjusted: float | None,
) -> StepContrast:
    arm, step, base = pair
    control = Share(base.reached, first[baseline])
    test = newcombe(control, Share(step.reached, first[arm]))
    low, high = test.interval(ALPHA) or (None, None)
    return StepContrast(
        arm=arm,
        baseline=baseline,
        step=step.step,
        name=step.name,
        optional=step.optional,
        entered=first[arm],
        baseline_entered=first[baseline],
        rate=step.rate_from_start,
        baseline_rate=base.rate_from_start,
        difference=test.estimate,
        low=low,
        high=high,
        relative=test.lift,
        p_value=p_value,
        p_adjusted=p_adjusted,
        conditional_rate=step.rate_from_previous,
        baseline_conditional_rate=base.rate_from_previous,
        **_medians(result, column, arm, step.step, ""),
        **_medians(result, column, baseline, step.step, "baseline_"),
    )


def _medians(
    result: FunnelResult, column: str, arm: str, step: int, prefix: str
) -> dict[str, float | None]:
    """Return the time from the step before, not that from the first."""
    there = [
        item
        for item in result.times
        if item.by == ((column, arm),) and item.step == step
    ]
    if not there:
        return {}
    nearest = max(there, key=lambda item: item.from_step)
    return {
        f"{prefix}median_s": nearest.p50_s,
        f"{prefix}median_low_s": nearest.p50_low_s,
        f"{prefix}median_high_s": nearest.p50_high_s,
    }


def _remarks(
    result: FunnelResult, arms: dict[str, list[FunnelStep]], baseline: str
) -> Sequence[Notice]:
    found = [notice("conditional_rate", "info")]
    unknown = sum(s.reached for s in result.steps if s.step == 1 and not s.by[0][1])
    if unknown:
        found.append(notice("arm_unknown", n=unknown))
    first = arms[baseline][0].reached
    shares = [Share(s.reached, arms[a][0].reached) for a in arms for s in arms[a][1:]]
    if first and low_counts(*shares):
        found.append(notice("funnel_low_counts", limit=LOW_COUNT))
    if result.spec is not None and result.spec.count != "users":
        found.append(notice("chains_not_users", "info"))
    return found
