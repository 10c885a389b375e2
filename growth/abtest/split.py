"""Was traffic split as planned? (sample-ratio mismatch, SRM)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Final

from growth.errors import DataError, ParameterError, suggest
from growth.result import Cell, Estimate, Notice, Result
from growth.stats.counts import chi2_goodness_of_fit

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_CROSSOVER_RATE", "Arm", "SplitCheck", "check_split_from_counts"]

MIN_EXPECTED_UNITS: Final = 5  # below this the chi-square approximation is poor
MAX_CROSSOVER_RATE: Final = 0.01  # above this the arms are not apart any more


@dataclass(frozen=True, slots=True)
class Arm:
    """One variant: units seen, and units the plan expects (0: the arm is closed)."""

    variant: str
    units: int
    expected_units: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitCheck(Result):
    """Outcome of one split check.

    Parameters
    ----------
    arms : tuple of Arm
        One a planned variant, in the plan's order.
    statistic : float
        Pearson's chi-square over the open arms, 0 or more.
    p_value : float
        Its upper tail, in [0, 1].
    alpha : float
        Below this `p_value` the split is a mismatch, in (0, 1).
    crossovers : int
        Units seen in more than one variant; in no arm.
    """

    arms: tuple[Arm, ...]
    statistic: float
    p_value: float
    alpha: float
    crossovers: int = 0

    @property
    def verdict(self) -> str:
        """`abtest.split.` and `closed_arm`, else `mismatch` (p < alpha), else `ok`."""
        if self.closed_units:
            return "abtest.split.closed_arm"
        return f"abtest.split.{'mismatch' if self.p_value < self.alpha else 'ok'}"

    @property
    def units(self) -> int:
        """Units counted over all arms, crossovers not among them."""
        return sum(arm.units for arm in self.arms)

    @property
    def closed_units(self) -> int:
        """Units in arms that should have none."""
        return sum(arm.units for arm in self.arms if not arm.expected_units)

    @property
    def crossover_rate(self) -> float:
        """Share of all units that were seen in more than one variant, in [0, 1]."""
        return self.crossovers / (self.units + self.crossovers)

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row per arm."""
        return [asdict(arm) for arm in self.arms]

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the share of units in each arm, and the test's p-value."""
        return (
            Estimate(
                key="split.p_value",
                p_value=self.p_value,
                n=self.units,
                method="chi_square",
            ),
            *(
                Estimate(
                    key="split.share",
                    by=(("arm", arm.variant),),
                    value=arm.units / self.units,
                    n=arm.units,
                    unit="share",
                )
                for arm in self.arms
            ),
        )


def check_split_from_counts(
    units: Mapping[str, int],
    *,
    planned: Mapping[str, float] | None = None,
    alpha: float = 0.001,
    crossovers: int = 0,
) -> SplitCheck:
    """Test unit counts against the planned split, all arms at once.

    Parameters
    ----------
    units : mapping of str to int
        Randomised units (users, not events) per variant, 0 or more.
    planned : mapping of str to float, optional
        Weight per variant in any scale (50/50 is 1/1); equal if omitted. A
        planned variant that `units` lacks counts as 0. A weight of 0 closes the
        arm: it takes no part in the test, and any unit in it is a failure.
    alpha : float, default 0.001
        Level in (0, 1); strict, because the check is run often.
    crossovers : int, default 0
        Units seen in several variants, which `units` must not count.

    Returns
    -------
    SplitCheck
        Arms in the plan's order.

    Raises
    ------
    ParameterError
        If `alpha` (code ``alpha_out_of_range``), a weight (``bad_weights``), a
        count (``bad_count``) or the set of variants (``unplanned_arm``) is
        unusable.
    DataError
        If no open arm has units (code ``no_units``).

    Notes
    -----
    Chi-square is the sum of (O - E)^2 / E over the open arms, with one degree of
    freedom less than there are open arms.

    References
    ----------
    Fabijan et al. (2019), "Diagnosing Sample Ratio Mismatch in Online Controlled
    Experiments", KDD '19.

    Examples
    --------
    >>> check_split_from_counts({"A": 50_400, "B": 49_600}).verdict
    'abtest.split.ok'
    >>> plan = {"A": 1, "B": 1, "C": 0}
    >>> check_split_from_counts({"A": 504, "B": 496, "C": 3}, planned=plan).verdict
    'abtest.split.closed_arm'
    """
    plan = dict.fromkeys(units, 1.0) if planned is None else dict(planned)
    if not 0 < alpha < 1:
        msg = f"alpha is {alpha}; it must be in (0, 1); write 5% as 0.05."
        raise ParameterError(msg, code="alpha_out_of_range")
    if stray := sorted(units.keys() - plan.keys()):
        msg = f"variant {stray[0]!r} is not planned; the plan has {list(plan)}; add it"
        msg += (
            f" with a weight (0 if closed) or filter it out.{suggest(stray[0], plan)}"
        )
        raise ParameterError(msg, code="unplanned_arm")
    usable = all(isfinite(weight) and weight >= 0 for weight in plan.values())
    if not usable or sum(map(bool, plan.values())) < 2:
        msg = f"planned is {plan}; it must hold 2+ positive weights and none below 0;"
        raise ParameterError(f"{msg} correct the plan.", code="bad_weights")
    if bad := [n for n in (*units.values(), crossovers) if n < 0 or n != int(n)]:
        msg = f"a count of units is {bad[0]}; it must be a whole number, 0 or more;"
        raise ParameterError(f"{msg} count units, not shares.", code="bad_count")
    open_units = sum(units.get(v, 0) for v, weight in plan.items() if weight)
    if not open_units:
        msg = f"units is {dict(units)}; an open arm must have some; check the dates"
        raise DataError(f"{msg} and experiment id.", code="no_units")
    share = open_units / sum(plan.values())
    arms = tuple(Arm(v, int(units.get(v, 0)), w * share) for v, w in plan.items())
    opened = [arm for arm in arms if arm.expected_units]
    expected = [arm.expected_units for arm in opened]
    test = chi2_goodness_of_fit([arm.units for arm in opened], expected)
    check = SplitCheck(
        arms=arms,
        statistic=test.statistic,
        p_value=test.p_value,
        alpha=alpha,
        crossovers=crossovers,
    )
    return _with_notices(check, min(expected))


def _with_notices(check: SplitCheck, least: float) -> SplitCheck:
    notices = []
    if check.closed_units:
        args = (("units", check.closed_units),)
        notices.append(Notice("units_in_closed_arm", args=args))
    if check.crossovers:
        args = (("units", check.crossovers),)
        harmless = check.crossover_rate <= MAX_CROSSOVER_RATE
        notices.append(Notice("crossovers", "info" if harmless else "warning", args))
    if least < MIN_EXPECTED_UNITS:
        args = (("limit", MIN_EXPECTED_UNITS),)
        notices.append(Notice("low_expected_count", args=args))
    return replace(check, notices=tuple(notices))
