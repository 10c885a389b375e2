"""Plans: when an experiment is read, and what one look may conclude.

A plan changes two things only. It says at which level the ordinary interval is to
be read at this look, so that reading it at every look errs no more often than
promised; and it turns a statistic into the p-value that goes with that interval.
Every method, whatever its estimate and its scale, is read through these two.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from functools import lru_cache
from itertools import accumulate
from math import exp, inf, isfinite, log1p
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple

from scipy.special import ndtr

from growth.abtest.declaration import plan_faults
from growth.errors import ParameterError
from growth.stats.always_valid import MONITOR_SHARE, kappa, sequence_critical
from growth.stats.contrast import critical_value
from growth.stats.group_sequential import (
    CLOSEST,
    Boundaries,
    Family,
    repeated_p,
    spending_boundaries,
    stagewise_p,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from growth.stats.contrast import Contrast, Interval, MarginTest

__all__ = [
    "AlwaysValid",
    "Fixed",
    "GroupSequential",
    "Hybrid",
    "Look",
    "Plan",
    "Rhythm",
    "Spending",
    "Standing",
    "plan_from",
]

Spending = Literal["obrien_fleming", "pocock", "power"]
#: Every day, every whole week, so many even parts of the planned size, the shares
#: of it, or the days at whose end one looks.
Rhythm = Literal["daily", "weekly"] | int | tuple[float, ...] | tuple[date, ...]

FAMILIES: Final[Mapping[Spending, Family]] = {
    "obrien_fleming": "obf",
    "pocock": "pocock",
    "power": "power",
}
FEW_TO_WATCH: Final = 100  # units an arm: with fewer, z has not its normal law yet
WEEK: Final = 7
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(ABC):
    """When an experiment is read, decided before the data are seen.

    Parameters
    ----------
    units : int, optional
        Units planned over all open arms, 1 or more; a sequential plan needs them.

    Raises
    ------
    ParameterError
        If anything is wrong; `faults` has all of it.
    """

    kind: ClassVar[Literal["fixed", "group_sequential", "always_valid", "hybrid"]]

    units: int | None = None

    def __post_init__(self) -> None:
        if faults := plan_faults(self.to_dict()):
            raise ParameterError.of(f"{self.kind} plan", faults)

    @property
    def sequential(self) -> bool:
        """Whether it may be read before its planned size."""
        return self.kind != "fixed"

    @property
    def ends(self) -> bool:
        """Whether it has a last look."""
        return self.kind != "always_valid"

    @property
    def label(self) -> str:
        """Label key of its name: ``abtest.plan.`` and the kind."""
        return f"abtest.plan.{self.kind}"

    def look(
        self,
        information: Sequence[float] = (1.0,),
        *,
        alpha: float = 0.05,
        last: bool | None = None,
    ) -> Look:
        """Return what may be concluded at a look.

        Parameters
        ----------
        information : sequence of float
            Units over planned units at each look so far, 0 or more and not
            falling; this look's stands last.
        alpha : float, default 0.05
            Two-sided level of the whole plan, in (0, 1).
        last : bool, optional
            Whether no look follows. Omitted: whether the planned size is reached.

        Returns
        -------
        Look
            Looks without news are left out, and so are those before this one that
            had reached the planned size: the last look is then read late.

        Raises
        ------
        ParameterError
            If `information` is empty, falls or is negative
            (``information_out_of_range``), or `alpha` is outside (0, 1).
        """
        critical_value(alpha)
        seen = tuple(float(t) for t in information)
        rising = all(a <= b for a, b in zip((0.0, *seen), seen, strict=False))
        if not seen or not rising or not isfinite(seen[-1]):
            msg = f"information is {list(seen)}; it must not fall and hold this look's"
            msg += " share of the planned units last; give one share a look."
            raise ParameterError(msg, code="information_out_of_range")
        final = seen[-1] >= 1 if last is None else last
        kept: list[float] = []
        for t in seen[:-1]:
            new = t - (kept[-1] if kept else 0.0)
            if 0 < t < 1 and new >= CLOSEST * t and seen[-1] - t >= CLOSEST * seen[-1]:
                kept.append(t)
        return Look(plan=self, alpha=alpha, information=(*kept, seen[-1]), final=final)

    def look_by_precision(
        self,
        se: Sequence[float],
        *,
        planned_se: float,
        alpha: float = 0.05,
        last: bool | None = None,
    ) -> Look:
        """Return what may be concluded at a look, by how precise the estimate is.

        Information is then ``1 / se**2`` instead of units: right where the variance
        was misjudged when the units were planned.

        Parameters
        ----------
        se : sequence of float
            Standard error of the metric's difference at each look so far, above 0;
            this look's last. One that rises brings no news.
        planned_se : float
            The standard error at which the plan ends, above 0: the effect to be found
            over ``z(alpha / 2) + z(power)``.
        alpha, last
            As in `look`.

        Returns
        -------
        Look
            For this metric; ``Standing({metric: look})`` reads each by its own.

        Raises
        ------
        ParameterError
            If a standard error is not above 0 (code ``bad_scale``), or as in `look`.
        """
        if not all(0 < value < inf for value in (*se, planned_se)):
            msg = f"se is {list(se)} and planned_se {planned_se}; they must be above 0"
            raise ParameterError(
                f"{msg} and finite; leave looks without one out.", code="bad_scale"
            )
        shares = accumulate(((planned_se / value) ** 2 for value in se), max)
        return self.look([*shares], alpha=alpha, last=last)

    def look_days(
        self,
        units: Mapping[date, int],
        *,
        start: date,
        until: date,
        ended: date | None = None,
    ) -> tuple[date, ...]:
        """Return the days at whose end the plan looks.

        Parameters
        ----------
        units : mapping of date to int
            Units that can be read at the end of each day, cumulated; a day that
            is left out has as many as the one before it.
        start : date
            First day of the experiment.
        until : date
            The last day counted.
        ended : date, optional
            The first day at whose end no more units will come.

        Returns
        -------
        tuple of date
            In order, up to `until`. The day on which the planned size is reached,
            or the experiment has ended, is a look, and so is every later one: the
            last look may be read late.
        """
        days = [start + k * DAY for k in range((until - start).days + 1)]
        dated = sorted(units)
        counts = [
            units[dated[at - 1]] if (at := bisect_left(dated, day + DAY)) else 0
            for day in days
        ]
        planned = self.units or 1
        rhythm: Rhythm = getattr(self, "looks", "daily")
        if rhythm == "daily":
            return tuple(days)
        if rhythm == "weekly":
            chosen = {day for k, day in enumerate(days, 1) if not k % WEEK}
        elif isinstance(shares_of(rhythm)[0], date):
            named = shares_of(rhythm)
            chosen = {day for day in days if day in named or day > named[-1]}
        else:
            when = [bisect_left(counts, t * planned) for t in shares_of(rhythm)]
            chosen = {days[k] for k in when if k < len(days)}
        full = {d for d, n in zip(days, counts, strict=True) if n >= planned}
        full |= {d for d in days if ended is not None and d >= ended}
        now = {until} if days and not isinstance(self, GroupSequential) else set()
        return tuple(sorted(chosen | full | now))

    def look_on(
        self, seen: Sequence[tuple[date, float]], *, alpha: float, ended: bool = False
    ) -> Look:
        """Return what may be concluded at the end of a day.

        Parameters
        ----------
        seen : sequence of (date, float)
            The days at which one looked, and the units over planned units then;
            the day asked about last.
        alpha : float
            Two-sided level of the whole plan, in (0, 1).
        ended : bool, default False
            Whether no more units will come: this is then the last look, whatever
            was planned.

        Returns
        -------
        Look
            As in `look`; on the last dated look and after it the last one.

        Raises
        ------
        ParameterError
            As in `look`.
        """
        day, share = seen[-1]
        last = self.over(day)
        early = [t for d, t in seen[:-1] if not (last and self.over(d))]
        return self.look([*early, share], alpha=alpha, last=last or ended or share >= 1)

    def over(self, day: date) -> bool:
        """Return whether the last look that has a date is due on `day`."""
        rhythm: Rhythm = getattr(self, "looks", "daily")
        named = shares_of(rhythm) if not isinstance(rhythm, str) else ()
        last = named[-1] if named else None
        return isinstance(last, date) and day >= last

    def to_dict(self) -> dict[str, Any]:
        """Return the keys of the file."""
        found: dict[str, Any] = {"kind": self.kind}
        for item in fields(self):
            value = getattr(self, item.name)
            if value is None:
                continue
            if item.name == "rho" and found.get("spending") != "power":
                continue
            if isinstance(value, tuple):
                value = [v.isoformat() if isinstance(v, date) else v for v in value]
            found[item.name] = value
        return found

    @abstractmethod
    def critical(self, look: Look, level: float) -> float | None:
        """Return the critical value of z at `level`; None where nothing is spent."""

    @abstractmethod
    def p_of(self, look: Look, z: float) -> float:
        """Return the smallest level at which a statistic is critical."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed(Plan):
    """Read once, at the planned size, with the method's own interval."""

    kind: ClassVar = "fixed"

    def critical(self, look: Look, level: float) -> float | None:  # noqa: ARG002
        """Return the two-sided normal critical value."""
        return critical_value(level)

    def p_of(self, look: Look, z: float) -> float:  # noqa: ARG002
        """Return the two-sided normal p-value."""
        return float(2 * ndtr(-abs(z)))


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSequential(Plan):
    """A few looks, or many: the error is spent as information comes in.

    Parameters
    ----------
    looks : "daily", "weekly", int, or tuple of float or of date
        When one looks; daily by default. A number is that many even parts of the
        planned size; shares of it rise to 1; dates rise, the last is the last
        look.
    spending : {"obrien_fleming", "pocock", "power"}
        How the error is spent: late, evenly, or as ``alpha t**rho``.
    rho : float, default 2
        Exponent of the power family, above 0.

    Notes
    -----
    The error of a look is spent at the level asked for, so that with several goals
    alpha is split first, and each part is spent. The last look spends what is left.

    References
    ----------
    Lan, DeMets (1983), "Discrete sequential boundaries for clinical trials",
    Biometrika 70(3). Maurer, Bretz (2013), "Multiple testing in group sequential
    trials using graphical approaches", Statistics in Biopharmaceutical Research
    5(4).
    """

    kind: ClassVar = "group_sequential"

    looks: Rhythm = "daily"
    spending: Spending = "obrien_fleming"
    rho: float = 2.0

    @property
    def family(self) -> Family:
        """The spending function as the arithmetic calls it."""
        return FAMILIES[self.spending]

    def boundaries(self, look: Look, level: float) -> Boundaries | None:
        """Return the boundaries of z at each look so far; None before the first."""
        if not look.information[-1] > 0:
            return None
        return _boundaries(look.information, self.family, level, self.rho, look.final)

    def critical(self, look: Look, level: float) -> float | None:
        """Return this look's boundary."""
        found = self.boundaries(look, level)
        return found.upper[-1] if found and isfinite(found.upper[-1]) else None

    def p_of(self, look: Look, z: float) -> float:
        """Return the repeated p-value."""
        if not look.information[-1] > 0:
            return 1.0
        return _repeated_p(abs(z), look.information, self.family, self.rho, look.final)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlwaysValid(Plan):
    """Read at any moment: a confidence sequence, tightest near the planned size.

    Parameters
    ----------
    looks : as in GroupSequential
        Which looks are listed; any other is as valid.

    Notes
    -----
    Half-width ``c se``, ``c**2 = (1 + 1/r)(ln(1 + r) - 2 ln(level))``, ``r =
    kappa(alpha) t``: the mixture is fixed by the plan, whatever level is asked
    for. From about 100 units an arm.

    References
    ----------
    Johari, Koomen, Pekelis, Walsh (2022), "Always valid inference", Operations
    Research 70(3).
    """

    kind: ClassVar = "always_valid"

    looks: Rhythm = "daily"

    def critical(self, look: Look, level: float) -> float | None:
        """Return the multiple of se that holds at every look at once."""
        t = look.information[-1]
        return _sequence(t, look.alpha, level) if t > 0 else None

    def p_of(self, look: Look, z: float) -> float:
        """Return one over the Bayes factor of the mixture, 1 at most."""
        return _mixture_p(z, look.information[-1], look.alpha)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hybrid(Plan):
    """Watch by a confidence sequence, read once at the planned size.

    Parameters
    ----------
    looks : as in GroupSequential
        Which looks are listed.
    monitor_share : float, default 0.2
        Part of the level that watching spends, in (0, 1); the rest is for the one
        reading. By the union bound both together err at the level at most.
    """

    kind: ClassVar = "hybrid"

    looks: Rhythm = "daily"
    monitor_share: float = MONITOR_SHARE

    def critical(self, look: Look, level: float) -> float | None:
        """Return the watcher's critical value, at the last look the reader's."""
        share = self.monitor_share
        if look.final:
            return critical_value(level * (1 - share))
        t = look.information[-1]
        return _sequence(t, look.alpha * share, level * share) if t > 0 else None

    def p_of(self, look: Look, z: float) -> float:
        """Return the p-value of watching, or of the one reading."""
        share = self.monitor_share
        if look.final:
            return min(1.0, float(2 * ndtr(-abs(z))) / (1 - share))
        watched = _mixture_p(z, look.information[-1], look.alpha * share)
        return min(1.0, watched / share)


_PLANS: Final[Mapping[str, type[Plan]]] = {
    plan.kind: plan for plan in (Fixed, GroupSequential, AlwaysValid, Hybrid)
}


def plan_from(data: Mapping[str, Any]) -> Plan:
    """Return the plan that the ``[plan]`` table of a declaration describes.

    Parameters
    ----------
    data : mapping
        Keys of the file, already judged; ``kind`` is fixed if left out.

    Returns
    -------
    Plan
        Of the class for its kind.
    """
    given = dict(data)
    kind = given.pop("kind", "fixed")
    if isinstance(given.get("looks"), list | tuple):
        given["looks"] = tuple(
            date.fromisoformat(item) if isinstance(item, str) else item
            for item in given["looks"]
        )
    return _PLANS[kind](**given)


def shares_of(rhythm: Rhythm) -> tuple[Any, ...]:
    """Return the shares or dates of a rhythm; even shares for a number."""
    if isinstance(rhythm, str):
        return ()
    if isinstance(rhythm, int):
        return tuple((k + 1) / rhythm for k in range(rhythm))
    return rhythm


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A plan at one look: at what level the ordinary interval is to be read.

    Parameters
    ----------
    plan : Plan
        The plan.
    alpha : float
        Two-sided level of the whole plan.
    information : tuple of float
        Share of the planned units at each look that counts, rising; this one last.
    final : bool
        Whether no look follows.
    statistics : tuple of float or None
        z at each of the earlier looks, as far as it is known; with them the
        p-value at a stop can be told.
    """

    plan: Plan
    alpha: float
    information: tuple[float, ...] = (1.0,)
    final: bool = True
    statistics: tuple[float | None, ...] | None = None

    @property
    def share(self) -> float:
        """Units over planned units at this look."""
        return self.information[-1]

    def of(self, contrast: Contrast) -> Look:
        """Return what may be concluded of one contrast at this look.

        Returns
        -------
        Look
            This one; but before the last look, where an arm has fewer than 100 units,
            one at which nothing can be concluded: plans promise something of z, and
            z has its normal law only later.
        """
        return replace(self, information=(0.0,)) if self.waits(contrast) else self

    def waits(self, contrast: Contrast) -> bool:
        """Return whether an arm has too few units for the plan to say anything."""
        least = min(contrast.control.n, contrast.treatment.n)
        return self.plan.sequential and not self.final and least < FEW_TO_WATCH

    def with_past(self, statistics: Mapping[float, float | None]) -> Look:
        """Return the same with z at the earlier looks, by their information."""
        past = tuple(statistics.get(t) for t in self.information[:-1])
        return replace(self, statistics=past)

    def critical(self, level: float | None = None) -> float | None:
        """Return the critical value of z at this look.

        Parameters
        ----------
        level : float, optional
            Two-sided level in (0, 1) of all looks together; the plan's alpha if
            omitted.

        Returns
        -------
        float or None
            Beyond it one may conclude; None where nothing can be concluded yet.
        """
        return self.plan.critical(self, self.alpha if level is None else level)

    def nominal(self, level: float | None = None) -> float | None:
        """Return the level at which to read the ordinary interval at this look.

        Parameters
        ----------
        level : float, optional
            As in `critical`.

        Returns
        -------
        float or None
            Two-sided, in (0, 1), `level` itself under a fixed plan; None where
            nothing can be concluded yet.
        """
        level = self.alpha if level is None else level
        if not self.plan.sequential:
            return level
        z = self.critical(level)
        return None if z is None else max(float(2 * ndtr(-z)), 1e-300)

    def read(self, contrast: Contrast) -> Contrast:
        """Return the contrast as the plan reads it: on the scale of z if sequential.

        The theory of sequential plans is of the normal scale; an arm has hundreds
        of units by the time it is read.
        """
        if not self.plan.sequential or contrast.se is None or contrast.df == inf:
            return contrast
        arms = (replace(a, df=inf) for a in (contrast.control, contrast.treatment))
        control, treatment = arms
        return replace(contrast, control=control, treatment=treatment)

    def interval(
        self, contrast: Contrast, level: float | None = None
    ) -> Interval | None:
        """Return the interval of the difference that may be read at this look."""
        nominal = self.nominal(level)
        return None if nominal is None else self.read(contrast).interval(nominal)

    def lift_interval(
        self, contrast: Contrast, level: float | None = None
    ) -> Interval | None:
        """Return the interval of the lift, by the same critical value."""
        nominal = self.nominal(level)
        return None if nominal is None else self.read(contrast).lift_interval(nominal)

    def statistic(self, contrast: Contrast) -> float | None:
        """Return the statistic that is held against the boundary."""
        return self.read(contrast).statistic

    def p_value(self, contrast: Contrast) -> float | None:
        """Return the smallest level at which `interval` leaves out 0.

        It may be read at every look; None where the contrast has no test.
        """
        if not self.plan.sequential:
            return contrast.p_value
        z = self.statistic(contrast)
        return None if z is None else self.plan.p_of(self, z)

    def one_sided(self, test: MarginTest) -> float:
        """Return the p-value of a test against a margin, as the plan reads it.

        Half this look's two-sided one: it is below half a level exactly when the
        interval at that level clears the margin.
        """
        if not self.plan.sequential:
            return test.p_value
        half = self.plan.p_of(self, test.statistic) / 2
        return half if test.statistic > 0 else 1 - half

    def crosses(self, contrast: Contrast, level: float | None = None) -> bool:
        """Return whether the statistic is beyond the boundary at this look."""
        z, bound = self.statistic(contrast), self.critical(level)
        return z is not None and bound is not None and abs(z) > bound

    def p_at_stop(self, contrast: Contrast, level: float | None = None) -> float | None:
        """Return the p-value by stage-wise ordering, where the plan stops here.

        Parameters
        ----------
        contrast : Contrast
            Treatment against control at this look.
        level : float, optional
            As in `critical`.

        Returns
        -------
        float or None
            Below `level` exactly when the boundary is crossed. None unless the
            plan is group-sequential, and this is its last look or the first that
            crosses; None also where an earlier statistic is not known.
        """
        z = self.statistic(contrast)
        if not isinstance(self.plan, GroupSequential) or z is None:
            return None
        bounds = self.plan.boundaries(self, self.alpha if level is None else level)
        early = self.information[:-1]
        past = self.statistics or ()
        if bounds is None or len(past) != len(early):
            return None
        pairs = zip(past, bounds.upper, strict=False)
        if any(b < inf and (s is None or abs(s) > b) for s, b in pairs):
            return None
        return stagewise_p(z, bounds, final=self.final)


class Standing(NamedTuple):
    """How every metric stands in the plan at one look.

    Parameters
    ----------
    looks : mapping of str to Look
        By metric.
    past : mapping of (str, str) to mapping of float to float or None
        By metric and arm, z at each earlier look, by its information.
    """

    looks: Mapping[str, Look]
    past: Mapping[tuple[str, str], Mapping[float, float | None]] = {}


def _sequence(t: float, tuned: float, level: float) -> float:
    return sequence_critical(kappa(tuned) * t, alpha=level)


def _mixture_p(z: float, t: float, tuned: float) -> float:
    if not t > 0:
        return 1.0
    r = kappa(tuned) * t
    log_bf = 0.5 * (z * z * (r / (1 + r)) - log1p(r))
    return 1.0 if log_bf <= 0 else exp(-log_bf)


@lru_cache(maxsize=4096)
def _boundaries(
    information: tuple[float, ...],
    family: Family,
    level: float,
    rho: float,
    final: bool,  # noqa: FBT001  (a key of the cache)
) -> Boundaries:
    return spending_boundaries(
        information, family=family, alpha=level, rho=rho, last=final
    )


@lru_cache(maxsize=16384)
def _repeated_p(
    z: float,
    information: tuple[float, ...],
    family: Family,
    rho: float,
    final: bool,  # noqa: FBT001  (a key of the cache)
) -> float:
    return repeated_p(z, information, family=family, rho=rho, last=final)
