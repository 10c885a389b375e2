"""Was traffic split as planned? (sample-ratio mismatch, SRM)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import date  # noqa: TC003  (a result's types can be read at run time)
from math import isfinite
from typing import TYPE_CHECKING, Final

from growth.errors import DataError, ParameterError, suggest
from growth.result import Cell, Estimate, Notice, Result
from growth.stats.counts import chi2_goodness_of_fit, chi2_independence
from growth.stats.multiplicity import adjust
from growth.stats.srm import dirichlet_multinomial

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "MAX_CROSSOVER_RATE",
    "Arm",
    "SplitCheck",
    "SplitLook",
    "SplitSegment",
    "check_split_from_counts",
]

MIN_EXPECTED_UNITS: Final = 5  # below this the chi-square approximation is poor
MAX_CROSSOVER_RATE: Final = 0.01  # above this the arms are not apart any more
MOST_SEGMENTS: Final = 100  # of one dimension; smaller ones are put together
OTHER: Final = "*"  # the segment they are put in


@dataclass(frozen=True, slots=True)
class Arm:
    """One variant: units seen, and units the plan expects (0: the arm is closed)."""

    variant: str
    units: int
    expected_units: float


@dataclass(frozen=True, slots=True)
class SplitLook:
    """The split as it stood at the end of one day.

    Parameters
    ----------
    day : date
        The last day counted.
    units : tuple of (str, int)
        Units so far per open arm.
    p_value : float
        One over this look's Bayes factor against the plan, 1 at most.
    p_running : float
        The smallest so far: below alpha on any day at most alpha of the time.
    """

    day: date
    units: tuple[tuple[str, int], ...]
    p_value: float
    p_running: float


@dataclass(frozen=True, slots=True)
class SplitSegment:
    """The split within one segment, and what it has to do with the mismatch.

    Parameters
    ----------
    dimension : str
        The column: ``platform``, ``scene``, ``day``.
    value : str or None
        Its value; None is NULL, ``*`` the smallest values together.
    units : tuple of (str, int)
        Units per open arm.
    statistic, p_value : float or None
        Chi-square against the plan within the segment; None where an arm expects
        fewer than 5 units.
    p_adj : float or None
        By Holm over all segments of all dimensions.
    contribution : float or None
        Share of the total's chi-square that comes from here; over the segments of
        one dimension they sum to 1. Below 0: it hides a part.
    p_apart : float or None
        Of "split as the rest of the units are", by Holm over all segments.
    p_rest : float or None
        The total's p-value when the segment is left out; None if nothing is left.
    explains : bool
        Whether the mismatch is here and nowhere else: `p_adj` and `p_apart` below
        alpha, `p_rest` not.
    """

    dimension: str
    value: str | None
    units: tuple[tuple[str, int], ...]
    statistic: float | None
    p_value: float | None
    p_adj: float | None
    contribution: float | None
    p_apart: float | None
    p_rest: float | None
    explains: bool = False


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
    p_sequential : float, optional
        Where the split is watched: the smallest p-value of the sequential test so
        far. The verdict then rests on it, since it may be read every day.
    looks : tuple of SplitLook
        The sequential test at the end of each day.
    segments : tuple of SplitSegment
        What was searched for the cause, the likeliest first.
    """

    arms: tuple[Arm, ...]
    statistic: float
    p_value: float
    alpha: float
    crossovers: int = 0
    p_sequential: float | None = None
    looks: tuple[SplitLook, ...] = ()
    segments: tuple[SplitSegment, ...] = ()

    @property
    def verdict(self) -> str:
        """`abtest.split.` and `closed_arm`, else `mismatch` (p < alpha), else `ok`."""
        if self.closed_units:
            return "abtest.split.closed_arm"
        return f"abtest.split.{'mismatch' if self.p_judged < self.alpha else 'ok'}"

    @property
    def p_judged(self) -> float:
        """The p-value the verdict rests on."""
        return self.p_value if self.p_sequential is None else self.p_sequential

    @property
    def driver(self) -> SplitSegment | None:
        """The segment that explains the mismatch best; None where none does."""
        return next((s for s in self.segments if s.explains), None)

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

    def look_rows(self) -> list[dict[str, Cell]]:
        """Return one row per day of the sequential test."""
        return [
            {
                "day": look.day.isoformat(),
                **{f"units_{arm}": units for arm, units in look.units},
                "p_value": look.p_value,
                "p_running": look.p_running,
            }
            for look in self.looks
        ]

    def segment_rows(self) -> list[dict[str, Cell]]:
        """Return one row per segment, the likeliest cause first."""
        return [
            {
                "dimension": segment.dimension,
                "value": "NULL" if segment.value is None else segment.value,
                **{f"units_{arm}": units for arm, units in segment.units},
                "statistic": segment.statistic,
                "p_value": segment.p_value,
                "p_adj": segment.p_adj,
                "contribution": segment.contribution,
                "p_apart": segment.p_apart,
                "p_rest": segment.p_rest,
                "explains": segment.explains,
            }
            for segment in self.segments
        ]

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
    sequential: bool = False,
    by_day: Mapping[date, Mapping[str, int]] | None = None,
    by: Mapping[str, Mapping[str | None, Mapping[str, int]]] | None = None,
    concentration: float | None = None,
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
    sequential : bool, default False
        Whether the split is watched: the verdict rests on a test that may be read
        every day. The planned last reading has more power without it.
    by_day : mapping of date to mapping of str to int, optional
        New units per day and variant; they sum to `units`. Without it a sequential
        test has one look.
    by : mapping of str to mapping, optional
        What to search for the cause of a mismatch: per dimension (``platform``),
        per value, units per variant.
    concentration : float, optional
        Of the sequential test, fixed beforehand; a mixture if omitted, see
        `growth.stats.srm.dirichlet_multinomial`.

    Returns
    -------
    SplitCheck
        Arms in the plan's order.

    Raises
    ------
    ParameterError
        If `alpha` (code ``alpha_out_of_range``), a weight (``bad_weights``), a
        count (``bad_count``) or the set of variants (``unplanned_arm``) is
        unusable, or `by_day` does not sum to `units` (``counts_differ``).
    DataError
        If no open arm has units (code ``no_units``).

    Notes
    -----
    Chi-square is the sum of (O - E)^2 / E over the open arms, with one degree of
    freedom less than there are open arms. The sequential test is a mixture of
    Dirichlet-multinomial martingales; its p-value is the running minimum of 1 / BF.

    A segment explains the mismatch if it is split otherwise than planned and than
    the rest, and the rest is split as planned. Its contribution is ``sum((O_s -
    E_s)(O - E) / E)`` over the arms, as a share of chi-square.

    References
    ----------
    Lindon, Malek (2022), "Anytime-valid inference for multinomial count data",
    NeurIPS 35.

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
    if sequential or by_day is not None:
        weights = {v: w for v, w in plan.items() if w}
        looks = _watched(by_day or {}, units, weights, concentration)
        now = dirichlet_multinomial(
            [arm.units for arm in opened],
            list(weights.values()),
            concentration=concentration,
        )
        p = min([now.p_value, *(look.p_running for look in looks)])
        check = replace(check, looks=looks, p_sequential=p if sequential else None)
    if by is not None:
        check = replace(check, segments=_searched(check, by))
    return _with_notices(check, min(expected), searched=by is not None)


def _watched(
    by_day: Mapping[date, Mapping[str, int]],
    units: Mapping[str, int],
    weights: Mapping[str, float],
    concentration: float | None,
) -> tuple[SplitLook, ...]:
    """Return the sequential test at the end of each day."""
    so_far = dict.fromkeys(weights, 0)
    looks: list[SplitLook] = []
    best = 1.0
    for day in sorted(by_day):
        for arm in weights:
            so_far[arm] += by_day[day].get(arm, 0)
        found = dirichlet_multinomial(
            list(so_far.values()), list(weights.values()), concentration=concentration
        )
        best = min(best, found.p_value)
        looks.append(SplitLook(day, tuple(so_far.items()), found.p_value, best))
    if looks and any(so_far[arm] != units.get(arm, 0) for arm in weights):
        msg = f"by_day sums to {so_far} and units is {dict(units)}; both must count the"
        msg += " same units; give the new units of each day."
        raise ParameterError(msg, code="counts_differ")
    return tuple(looks)


def _searched(
    check: SplitCheck, by: Mapping[str, Mapping[str | None, Mapping[str, int]]]
) -> tuple[SplitSegment, ...]:
    """Return every segment, those first that explain the mismatch."""
    opened = [arm for arm in check.arms if arm.expected_units]
    total = sum(arm.units for arm in opened)
    shares = [arm.expected_units / total for arm in opened]
    found: list[SplitSegment] = []
    for dimension, values in by.items():
        for value, counts in _largest(values, [arm.variant for arm in opened]).items():
            if not (n := sum(counts)):
                continue
            rest = [arm.units - c for arm, c in zip(opened, counts, strict=True)]
            test = _tested(counts, shares)
            without = _tested(rest, shares)
            apart = chi2_independence([counts, rest])
            pull = sum(
                (c - n * s) * (arm.units - arm.expected_units) / arm.expected_units
                for c, s, arm in zip(counts, shares, opened, strict=True)
            )
            names = [arm.variant for arm in opened]
            segment = SplitSegment(
                dimension=dimension,
                value=value,
                units=tuple(zip(names, counts, strict=True)),
                statistic=test[0] if test else None,
                p_value=test[1] if test else None,
                p_adj=None,
                contribution=pull / check.statistic if check.statistic else None,
                p_apart=apart.p_value if apart and test else None,
                p_rest=without[1] if without else None,
            )
            found.append(segment)
    p_adj = adjust([s.p_value for s in found], "holm", check.alpha).p_adj
    p_apart = adjust([s.p_apart for s in found], "holm", check.alpha).p_adj
    judged = [
        replace(
            segment,
            p_adj=own,
            p_apart=apart,
            explains=_explains(check, own, apart, segment.p_rest),
        )
        for segment, own, apart in zip(found, p_adj, p_apart, strict=True)
    ]
    return tuple(sorted(judged, key=_rank))


def _rank(segment: SplitSegment) -> tuple[bool, float, float]:
    apart = 1.0 if segment.p_apart is None else segment.p_apart
    return not segment.explains, apart, -abs(segment.contribution or 0.0)


def _explains(
    check: SplitCheck, own: float | None, apart: float | None, rest: float | None
) -> bool:
    if own is None or apart is None or rest is None:
        return False
    broken = check.verdict == "abtest.split.mismatch"
    return broken and max(own, apart) < check.alpha <= rest


def _tested(
    counts: Sequence[float], shares: Sequence[float]
) -> tuple[float, float] | None:
    """Return chi-square and p against the plan; None where too little is expected."""
    n = sum(counts)
    expected = [n * share for share in shares]
    if min(expected) < MIN_EXPECTED_UNITS:
        return None
    test = chi2_goodness_of_fit(counts, expected)
    return test.statistic, test.p_value


def _largest(
    values: Mapping[str | None, Mapping[str, int]], arms: Sequence[str]
) -> dict[str | None, list[int]]:
    """Return the units of each value, the smallest values put together."""
    counts = {v: [units.get(arm, 0) for arm in arms] for v, units in values.items()}
    order = sorted(counts, key=lambda v: (-sum(counts[v]), str(v)))
    if len(order) <= MOST_SEGMENTS:
        return {value: counts[value] for value in order}
    small = [counts[value] for value in order[MOST_SEGMENTS - 1 :]]
    kept = {value: counts[value] for value in order[: MOST_SEGMENTS - 1]}
    return {**kept, OTHER: [sum(column) for column in zip(*small, strict=True)]}


def _with_notices(check: SplitCheck, least: float, *, searched: bool) -> SplitCheck:
    notices = _named(check) if searched else []
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


def _named(check: SplitCheck) -> list[Notice]:
    """Say where the mismatch is, as far as the search could tell."""

    def about(segment: SplitSegment) -> tuple[tuple[str, Cell], ...]:
        value = "NULL" if segment.value is None else segment.value
        return (("dimension", segment.dimension), ("value", value))

    if driver := check.driver:
        return [Notice("split_explained", args=about(driver))]
    if check.verdict == "abtest.split.mismatch":
        return [Notice("split_unexplained", "info")]
    off = [s for s in check.segments if s.p_adj is not None and s.p_adj < check.alpha]
    return [Notice("split_segment", args=about(off[0]))] if off else []
