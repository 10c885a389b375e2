"""Who is simulated: what is known of each member, in a few arrays."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from math import inf
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray  # noqa: TC002  (read with a result's types)

from growth.errors import Fault, ParameterError
from growth.result import Cell, Notice, Result
from growth.tiers import keyed
from growth.tiers.backtest import BackTest  # noqa: TC001  (a result's types can be read)
from growth.tiers.checks import counts, is_day, seeded, widest_fault
from growth.tiers.generators import Generator  # noqa: TC001  (a result's types can be read)
from growth.tiers.seasons import FLAT, Calendar, calendar_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import ArrayLike


__all__ = ["WIDEST", "Habits", "Past", "Population", "cap_of", "habits_fault"]

EPOCH: Final = date(1970, 1, 1)
WIDEST: Final = 2.0  # multiple of the rate that a response may reach
FARTHEST: Final = 1e6  # days from 1970
ZONED: Final = re.compile(r"[T ].*(Z|[+-]\d\d(:?\d\d)?)$")  # text of a time
_RATES: Final = ("logins_per_day", "review_rate", "refund_rate")


class Past(NamedTuple):
    """Events before the start, member after member, each in order of time.

    `at` says where each member's begin (members + 1 places); `day` counts from
    1970-01-01; `kind` is None where all are orders, `ref` the order (by its place
    among the member's) that a refund is of.
    """

    at: NDArray[np.int64]
    day: NDArray[np.int32]
    value: NDArray[np.int64]
    kind: NDArray[np.int8] | None = None
    ref: NDArray[np.int32] | None = None

    @classmethod
    def none(cls, members: int) -> Past:
        """Return the past of members who have none."""
        return cls(
            np.zeros(members + 1, np.int64),
            np.zeros(0, np.int32),
            np.zeros(0, np.int64),
        )

    def events(self, first: int, last: int) -> tuple[Any, Any]:
        """Return the events of some members as the kernels read them."""
        low, high = int(self.at[first]), int(self.at[last])
        rows = np.zeros((high - low, 4), np.int64)
        rows[:, 0] = self.day[low:high]
        rows[:, 1] = 1 if self.kind is None else self.kind[low:high]
        rows[:, 2] = self.value[low:high]
        rows[:, 3] = -1 if self.ref is None else self.ref[low:high]
        return rows, self.at[first : last + 1] - low

    def take(self, members: NDArray[np.int64]) -> Past:
        """Return the past of some members, by their numbers in rising order."""
        count = np.diff(self.at)[members]
        at = np.zeros(len(members) + 1, np.int64)
        np.cumsum(count, out=at[1:])
        rows = np.arange(at[-1]) + np.repeat(self.at[members] - at[:-1], count)
        return Past(at, *(None if p is None else p[rows] for p in self[1:]))  # type: ignore[arg-type]

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(part.nbytes for part in self if part is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What members do besides ordering; one number, or one a member.

    Parameters
    ----------
    logins_per_day : float or array, default 0
        Mean logins a day of a member still active, 0 or more.
    review_rate, refund_rate : float or array, default 0
        Share of orders reviewed on their day, and refunded in full, in [0, 1].
    refund_days : int, default 14
        Refunds come evenly over the 1 to so many days after the order.
    """

    logins_per_day: float | NDArray[np.float32] = 0.0
    review_rate: float | NDArray[np.float32] = 0.0
    refund_rate: float | NDArray[np.float32] = 0.0
    refund_days: int = 14

    def __post_init__(self) -> None:
        """Refuse what nobody can do.

        Raises
        ------
        ParameterError
            If a number is out of its range (``bad_habits``).
        """
        wanted = (
            ("logins_per_day", inf, "0 or more"),
            ("review_rate", 1, "a share, 0 to 1"),
            ("refund_rate", 1, "a share, 0 to 1"),
        )
        faults = [
            Fault("bad_habits", name, repr(getattr(self, name)), words, "")
            for name, most, words in wanted
            if not _within(getattr(self, name), most)
        ]
        wrong: list[Fault] = []
        (days,) = counts(wrong, refund_days=self.refund_days)
        faults += [fault._replace(code="bad_habits") for fault in wrong]
        if faults:
            raise ParameterError.of("the habits", faults)
        object.__setattr__(self, "refund_days", days)
        for name, habit in self.rates().items():
            if np.ndim(habit):
                object.__setattr__(self, name, np.asarray(habit, np.float32))

    def rates(self) -> dict[str, float | NDArray[np.float32]]:
        """Return what may differ from member to member, by name."""
        return {name: getattr(self, name) for name in _RATES}

    def take(self, members: NDArray[np.int64]) -> Habits:
        """Return the habits of some members, by their numbers."""
        return self._with(lambda habit: habit[members])

    def grown(self, count: int) -> Habits:
        """Return the habits with newcomers', who are like the mean of the members.

        Parameters
        ----------
        count : int
            How many come, 0 or more; they are numbered after the members.

        Returns
        -------
        Habits
            What is one number stays one.
        """

        def longer(habit: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.append(habit, np.full(count, habit.mean(), np.float32))

        return self._with(longer)

    def faults(self, members: int) -> list[Fault]:
        """Return what is wrong with them for so many members.

        Parameters
        ----------
        members : int
            How many there are.

        Returns
        -------
        list of Fault
            One a habit that is neither one number nor one a member.
        """
        words = f"one number, or an array of {members}, one a member"
        hint = "Habits.take and Habits.grown keep them in step."
        shapes = {f"habits.{name}": np.shape(h) for name, h in self.rates().items()}
        return [
            Fault("bad_habits", name, f"of shape {shape}", words, hint)
            for name, shape in shapes.items()
            if shape not in {(), (members,)}
        ]

    def _with(
        self, change: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    ) -> Habits:
        """Return them with what is one a member changed."""
        changed: dict[str, Any] = {
            name: change(habit)
            for name, habit in self.rates().items()
            if isinstance(habit, np.ndarray)
        }
        return replace(self, **changed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Population(Result):
    """Members to simulate: their past, how they buy, and how well that foretells.

    `members` people known at the end of `as_of` (numbered by sorted id, `ids`);
    `generator` names what draws their orders; `back_tests` is the table it was chosen
    by. `cap` is the widest multiple of the order rate that a response or a season may
    reach: draws are made for it, so that adding a scenario changes no other.
    """

    members: int
    as_of: date
    generator: str
    generators: tuple[Generator, ...]
    past: Past
    joined: NDArray[np.int32]
    habits: Habits = field(default_factory=Habits)
    calendar: Calendar = FLAT
    cap: float = 2.0
    ids: Any = None
    channel: NDArray[np.int16] | None = None
    channels: tuple[str, ...] = ("all",)
    back_tests: tuple[BackTest, ...] = ()
    seen_months: tuple[int, ...] | None = None
    arrivals: int = 0
    frequency_spend_correlation: float | None = None

    def __post_init__(self) -> None:
        """Refuse habits of other members than these, and what are no habits at all.

        Raises
        ------
        ParameterError
            If there are more or fewer of one than members (``bad_habits``), or the
            calendar is none (``bad_calendar``).
        """
        faults = [*habits_fault(self.habits), *calendar_fault(self.calendar)]
        if isinstance(self.habits, Habits):
            faults += self.habits.faults(self.members)
        if faults:
            raise ParameterError.of("the population", faults)

    @property
    def verdict(self) -> str:
        """`tiers.population.` and `chosen` after back-tests, else `given`."""
        return f"tiers.population.{'chosen' if self.back_tests else 'given'}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a generator that was tried."""
        return [test.row() for test in self.back_tests]

    def to_dict(self) -> dict[str, object]:
        """Return what describes the population; members' arrays are left out."""
        from growth.result import plain

        return {
            "verdict": self.verdict,
            "members": self.members,
            "as_of": self.as_of.isoformat(),
            "generator": self.generator,
            "generators": [one.describe() for one in self.generators],
            "cap": self.cap,
            "channels": list(self.channels),
            "arrivals": self.arrivals,
            "frequency_spend_correlation": self.frequency_spend_correlation,
            "back_tests": self.rows(),
            "notices": [plain(notice) for notice in self.notices],
        }

    @property
    def start(self) -> int:
        """The first day that is not known, since 1970-01-01."""
        return (self.as_of - EPOCH).days + 1

    @property
    def nbytes(self) -> int:
        """Bytes that members take while nothing runs."""
        parts: list[Any] = [self.joined, self.channel]
        rates = self.habits.rates().values()
        parts += [habit for habit in rates if isinstance(habit, np.ndarray)]
        drawn = sum(one.nbytes for one in self.generators)
        held = sum(int(p.nbytes) for p in parts if p is not None)
        return held + drawn + self.past.nbytes

    def pick(self, name: str = "auto") -> Generator:
        """Return a generator by its name; ``"auto"`` is the chosen one.

        Parameters
        ----------
        name : str
            One of the population's.

        Returns
        -------
        Generator
            What draws orders.

        Raises
        ------
        ParameterError
            If the population has none of that name (``unknown_generator``).
        """
        wanted = self.generator if name == "auto" else name
        for one in self.generators:
            if one.name == wanted:
                return one
        known = [one.name for one in self.generators]
        msg = f"generator is {name!r}; it must be one of {known} or 'auto'; fit() says"
        raise ParameterError(f"{msg} what was tried.", code="unknown_generator")

    def sample(self, members: int, *, seed: int) -> Population:
        """Return a part of the population, drawn at random, to try things on.

        Parameters
        ----------
        members : int
            How many, 1 or more; everybody if there are fewer.
        seed : int
            Of the draw. A larger sample of the same seed holds the smaller one.

        Returns
        -------
        Population
            Their past and how they buy, and the record of back-tests, which is of
            everybody; notice ``population_sampled``.

        Raises
        ------
        ParameterError
            If a number is unusable (``bad_members``, ``bad_seed``).
        """
        faults: list[Fault] = []
        (members,), seed = counts(faults, members=members), seeded(faults, seed)
        if faults:
            raise ParameterError.of("the sample", faults)
        if members >= self.members:
            return self
        keys = keyed.key(seed, 0, np.arange(self.members))
        drawn = np.argpartition(keyed.draw(keys, 0, keyed.SAMPLE), members - 1)
        some = np.sort(drawn[:members])
        later = int((some >= self.members - self.arrivals).sum())
        told = (("members", members), ("of", self.members))
        return replace(
            self,
            members=members,
            generators=tuple(one.take(some) for one in self.generators),
            past=self.past.take(some),
            joined=self.joined[some],
            habits=self.habits.take(some),
            ids=None if self.ids is None else self.ids[some[: members - later]],
            channel=None if self.channel is None else self.channel[some],
            arrivals=later,
            notices=(*self.notices, Notice("population_sampled", args=told)),
        )

    def newcomers_a_day(self, days: int = 84) -> float:
        """Return how many people a day joined lately.

        Parameters
        ----------
        days : int, default 84
            Counted over so many days, up to `as_of`; 1 or more.

        Returns
        -------
        float
            For `tiers.arrivals`, if one expects as many to come.

        Raises
        ------
        ParameterError
            If `days` is no such number (``bad_days``).
        """
        faults: list[Fault] = []
        (days,) = counts(faults, days=days)
        if faults:
            raise ParameterError.of("the newcomers", faults)
        lately = (self.joined > self.start - 1 - days) & (self.joined < self.start)
        return float(lately.sum()) / days

    def with_arrivals(
        self,
        days: ArrayLike,
        channel: Sequence[str] | None = None,
        *,
        generator: str = "auto",
    ) -> Population:
        """Return the population with people who join later.

        Parameters
        ----------
        days : array of date-like or int
            Each newcomer's day of joining, after `as_of`; they order on that day.
            A number counts days since 1970-01-01. A time with a time zone is none:
            which day it is depends on the zone, so take the local day first.
        channel : sequence of str, optional
            Each newcomer's channel.
        generator : str, default "auto"
            Who draws everybody's orders from here on: the chosen one, or another of
            the population's. Only ``bgnbd`` knows newcomers.

        Returns
        -------
        Population
            Members first, then newcomers, drawn from the priors; where habits are
            one a member, newcomers have the members' mean.

        Raises
        ------
        ParameterError
            If `days` are none (``bad_arrivals``) or already known
            (``arrival_in_the_past``), channels are not as many (``bad_channel``), or
            the generator knows no newcomers (``no_priors``).
        """
        at = _days_of(days)
        if at.size and at.min() < self.start:
            seen = EPOCH + timedelta(days=int(at.min()))
            msg = f"an arrival is of {seen}; it must come after {self.as_of}; put it"
            raise ParameterError(f"{msg} in the past.", code="arrival_in_the_past")
        if channel is not None and len(channel) != len(at):
            msg = f"channel names {len(channel)} newcomers of {len(at)}; it must name"
            msg = f"{msg} each one's; pass as many."
            raise ParameterError(msg, code="bad_channel")
        more = self.pick(generator).newcomers(len(at))
        past = self.past
        grown = past._replace(
            at=np.concatenate([past.at, np.full(len(at), past.at[-1])])
        )
        names, codes = self.channels, self.channel
        if channel is not None:
            names = tuple(dict.fromkeys([*self.channels, *channel]))
            place = {name: i for i, name in enumerate(names)}
            old = np.zeros(self.members, np.int16) if codes is None else codes
            codes = np.concatenate(
                [old, np.array([place[c] for c in channel], np.int16)]
            )
        elif codes is not None:
            codes = np.concatenate([codes, np.zeros(len(at), np.int16)])
        return replace(
            self, members=self.members + len(at), generators=(more,),
            generator=more.name, past=grown, channel=codes, channels=names,
            joined=np.concatenate([self.joined, at]), arrivals=self.arrivals + len(at),
            habits=self.habits.grown(len(at)),
        )  # fmt: skip

    @classmethod
    def from_priors(
        cls,
        members: int,
        *,
        buying: Sequence[float],
        spending: Sequence[float],
        as_of: date,
        seed: int,
        habits: Habits | None = None,
        calendar: Calendar = FLAT,
        cap: float | None = None,
        joined: date | None = None,
    ) -> Population:
        """Return new members drawn once from a BG/NBD and a Gamma-Gamma model.

        Parameters
        ----------
        members : int
            How many, 1 or more.
        buying : sequence of four floats
            r, alpha, a, b of `stats.bgnbd`, in days; ``a = 0``: nobody leaves.
        spending : sequence of three floats
            p, q, v of `stats.gamma_gamma`, in fen.
        as_of : date
            The last day known; the simulation starts after it.
        seed : int
            What the members' rates are drawn with.
        habits : Habits, optional
            Logins, reviews, refunds; none if omitted.
        calendar : Calendar, optional
            Flat if omitted.
        cap : float, optional
            Widest multiple of the rate, 1 or more, as in `fit`.
        joined : date, optional
            When all of them joined, `as_of` or before; `as_of` if omitted. People who
            join later come by `with_arrivals`.

        Returns
        -------
        Population
            Of 12 bytes a member and 4 for the day of joining.

        Raises
        ------
        ParameterError
            If a number or day is unusable (``bad_population``), habits are none or
            not as many as members (``bad_habits``), or the calendar is none
            (``bad_calendar``).
        """
        from growth.tiers.generators import BgNbdGammaGamma

        faults = [
            Fault("bad_population", name, repr(seen), words, "")
            for name, seen, good, words in (
                ("buying", buying, _priors(buying, 4, 2),
                 "r, alpha above 0 and a, b 0 or more"),
                ("spending", spending, _priors(spending, 3, 3), "p, q, v above 0"),
                ("as_of", as_of, is_day(as_of), "a date"),
                ("joined", joined, joined is None or is_day(joined), "a date"),
            )
            if not good
        ]  # fmt: skip
        if is_day(as_of) and is_day(joined) and joined > as_of:
            hint = "Add who joins later by with_arrivals."
            words = f"as_of, {as_of}, or before"
            faults.append(Fault("bad_population", "joined", str(joined), words, hint))
        habits = Habits() if habits is None else habits
        wrong = [*widest_fault(cap)]
        (members,) = counts(wrong, members=members)
        faults += [fault._replace(code="bad_population") for fault in wrong]
        faults += [*habits_fault(habits), *calendar_fault(calendar)]
        seed = seeded(faults, seed)
        if faults:
            raise ParameterError.of("the population", faults)
        generator = BgNbdGammaGamma.from_priors(
            members, buying=tuple(buying), spending=tuple(spending), seed=seed
        )
        since = as_of if joined is None else joined
        return cls(
            members=members,
            as_of=as_of,
            generator=generator.name,
            generators=(generator,),
            past=Past.none(members),
            joined=np.full(members, (since - EPOCH).days, np.int32),
            habits=habits,
            calendar=calendar,
            cap=cap_of(cap, calendar),
        )


def _days_of(days: ArrayLike) -> NDArray[np.int32]:
    """Return days of joining, since 1970-01-01."""
    at = np.asarray(days)
    seen = repr(days)[:60]
    if at.dtype.kind in "OU" and any(map(_zoned, at.flat)):
        msg = f"days is {seen}, times with a time zone; it must be a list of days: the"
        msg = f"{msg} zone decides which; take the local day first, as by pandas'"
        msg = f"{msg} .tz_convert('Asia/Shanghai').date, and pass that."
        raise ParameterError(msg, code="bad_arrivals")
    good, whole = False, np.zeros(0, np.int32)
    try:
        if at.dtype.kind in "MOU" and at.size:
            at = np.asarray(at, dtype="datetime64[D]").astype(np.int64)
        if at.ndim == 1 and (np.abs(at.astype(float)) < FARTHEST).all():  # and no NaN
            whole = at.astype(np.int32)
            good = bool((whole == at).all())
    except (ValueError, TypeError):
        good = False
    if not good:
        msg = f"days is {seen}; it must be a list of days, one a newcomer; pass dates"
        raise ParameterError(f"{msg} or numbers.", code="bad_arrivals")
    return whole


def _zoned(value: object) -> bool:
    """Tell whether a time, or its text, says its time zone."""
    if isinstance(value, str):
        return ZONED.search(value) is not None
    return getattr(value, "tzinfo", None) is not None


def habits_fault(habits: object) -> Iterable[Fault]:
    """Yield what is wrong with habits that are none."""
    if not isinstance(habits, Habits):
        hint = "Write Habits(logins_per_day=0.1), or leave it out."
        yield Fault("bad_habits", "habits", repr(habits), "Habits", hint)


def cap_of(cap: float | None, calendar: Calendar) -> float:
    """Return the widest multiple that draws are made for.

    Parameters
    ----------
    cap : float or None
        As stated.
    calendar : Calendar
        The profile of the year.

    Returns
    -------
    float
        `WIDEST` times the calendar's own, if not stated.
    """
    return float(cap) if cap is not None else WIDEST * max(1.0, calendar.widest)


def _within(value: Any, most: float) -> bool:  # noqa: ANN401
    """Tell whether numbers, one or one a member, are 0 to `most`."""
    try:
        found = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        return False
    return bool(((found >= 0) & (found <= most) & np.isfinite(found)).all())


def _priors(values: Any, count: int, above: int) -> bool:  # noqa: ANN401
    """Tell whether there are so many numbers, the first ones above 0."""
    try:
        found = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        return False
    if found.shape != (count,) or not np.isfinite(found).all():
        return False
    return bool((found >= 0).all() and (found[:above] > 0).all())
