"""What is asked: events, range, clock and counting rule, checked before any scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from growth.engine import Where, parse_where
from growth.errors import Fault, ParameterError, suggest
from growth.retention.calendar import Intervals, Period, WeekStart

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = [
    "ANY",
    "Clock",
    "Event",
    "EventLike",
    "Match",
    "Mode",
    "RetentionRule",
    "RetentionSpec",
    "one_of",
    "parse_event",
]

Mode = Literal["first_ever", "first_match", "first_in_range", "every"]
Match = Literal["on", "on_or_after"]
Clock = Literal["calendar", "rolling_24h", "rolling_24h_hour"]
ANY: Final = "*"
LONGEST: Final = 10_000  # offsets; a slip of the unit is likelier than such a question


@dataclass(frozen=True, slots=True)
class Event:
    """An event by name, perhaps with a filter on its properties.

    Parameters
    ----------
    event : str
        The name; ``"*"`` is any event.
    where : Where, list or mapping, optional
        A filter in the house's grammar; a row passes only where it is true.

    Examples
    --------
    >>> Event("order_pay", where=[{"col": "value_fen", "ge": 9900}]).event
    'order_pay'
    """

    event: str
    where: Where | Sequence[Any] | Mapping[str, Any] | None = None

    @property
    def filter(self) -> Where | None:
        """The filter, parsed; None where every row passes."""
        found = parse_where(self.where, path=f"{self.event}.where")
        return None if found.op == "all" and not found.parts else found


EventLike: TypeAlias = (
    "str | Event | Mapping[str, Any] | Sequence[str | Event | Mapping[str, Any]]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRule:
    """What a cell of the triangle counts.

    Parameters
    ----------
    period : {"hour", "day", "week", "month"}
        What an interval is.
    horizon : int
        The largest offset, 1 or more.
    mode, match, clock
        As in `growth.retention.measure`.
    follow_up : int or None
        With ``on_or_after``: intervals looked at beyond the offset.
    brackets : tuple of int or None
        Rising edges; a bracket is from an edge to before the next.
    min_occurrences : int
        Return events an interval needs.
    by : tuple of str
        Breakdown columns.
    expected_shares : tuple of (str, float) or None
        Planned share of users per arm, for `growth.retention.compare`.
    """

    period: Period = "day"
    horizon: int = 30
    mode: Mode = "first_ever"
    match: Match = "on"
    clock: Clock = "calendar"
    follow_up: int | None = None
    brackets: tuple[int, ...] | None = None
    min_occurrences: int = 1
    by: tuple[str, ...] = ()
    expected_shares: tuple[tuple[str, float], ...] | None = None

    def check(self) -> None:
        """Raise `ParameterError` with everything that is wrong."""
        faults = [*_faults(self)]
        if faults:
            raise ParameterError.of("the retention question", faults)

    @property
    def windows(self) -> tuple[tuple[int, int | None], ...]:
        """First and last offset looked at, by column; None is up to `as_of`."""
        if self.brackets is not None:
            return tuple((low, high - 1) for low, high in pairwise(self.brackets))
        ks = range(1, self.horizon + 1)
        if self.match == "on":
            return tuple((k, k) for k in ks)
        extra = self.follow_up
        return tuple((k, None if extra is None else k + extra) for k in ks)

    @property
    def offsets(self) -> tuple[int, ...]:
        """Offset of each column after the size; a bracket's is its lower edge."""
        return tuple(low for low, _ in self.windows)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSpec(RetentionRule):
    """One question about coming back, checked as a whole when it is made.

    Parameters
    ----------
    start_event, return_event : tuple of Event
        What begins, and what counts as coming back; any one of them.
    from_table : bool
        Whether starts came from a table of their own.
    start, end : datetime
        Instants (UTC) between which cohorts begin, ``[start, end)``.
    as_of : datetime
        The instant up to which events are known.
    lag_s : float
        Seconds by which events may arrive late: an interval is complete this much
        after its end.
    week_start, tz
        How days and weeks are cut.

    Notes
    -----
    The other parameters are those of `RetentionRule`.
    """

    start_event: tuple[Event, ...] = (Event(ANY),)
    return_event: tuple[Event, ...] = (Event(ANY),)
    from_table: bool = False
    start: datetime
    end: datetime
    as_of: datetime
    lag_s: float = 0.0
    week_start: WeekStart = "monday"
    tz: str = "Asia/Shanghai"
    intervals: Intervals = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check everything at once."""
        self.check()
        shaped = Intervals.of(
            self.period, tz=self.tz, week_start=self.week_start, near=self.start
        )
        object.__setattr__(self, "intervals", shaped)

    @property
    def first(self) -> int:
        """The interval of the first cohort."""
        return self.intervals.at(self.start)

    @property
    def last(self) -> int:
        """The interval of the last cohort that has begun; below `first`: none."""
        latest = min(self.end, self.as_of) - timedelta(microseconds=1)
        return self.intervals.at(latest)

    @property
    def cohorts(self) -> range:
        """The cohorts' intervals."""
        return range(self.first, self.last + 1)

    @property
    def known(self) -> datetime:
        """The instant before which everything has arrived."""
        return self.as_of - timedelta(seconds=self.lag_s)

    def ends(self, interval: int, column: int | None) -> datetime:
        """Return when a cell is complete.

        Parameters
        ----------
        interval : int
            The cohort's.
        column : int or None
            Position in `offsets`; None is the size.

        Returns
        -------
        datetime
            Aware, UTC.
        """
        if column is None:
            return self.intervals.start(interval + 1)
        low, high = self.windows[column]
        k = low if high is None else high
        if self.clock == "calendar":
            return self.intervals.start(interval + k + 1)
        return self.intervals.start(interval + 1) + (k + 1) * self.intervals.rolling


def one_of(name: str, value: str, choice: object, faults: list[Fault]) -> None:
    """Add a fault unless `value` is one of a Literal's."""
    known = get_args(choice)
    if value not in known:
        hint = suggest(str(value), known).strip()
        expected = f"one of {', '.join(known)}"
        faults.append(Fault(f"unknown_{name}", name, repr(value), expected, hint))


def _faults(spec: RetentionRule) -> Iterable[Fault]:
    found: list[Fault] = []
    for name, choice in (
        ("mode", Mode),
        ("match", Match),
        ("clock", Clock),
        ("period", Period),
    ):
        one_of(name, getattr(spec, name), choice, found)
    if isinstance(spec, RetentionSpec):
        one_of("week_start", spec.week_start, WeekStart, found)
        if spec.end <= spec.start:
            seen = f"{spec.end.isoformat()}, start is {spec.start.isoformat()}"
            hint = "The range is half-open: end is the day after the last."
            found.append(Fault("range", "end", seen, "later than start", hint))
        if spec.lag_s < 0:
            seen = f"{spec.lag_s} s"
            found.append(Fault("range", "lag", seen, "0 or more", "Write '6h'."))
    _count(spec.horizon, "horizon", "range", found, most=LONGEST)
    _count(spec.min_occurrences, "min_occurrences", "min_occurrences", found)
    if spec.brackets is not None:
        found += _bad_brackets(spec)
    if spec.follow_up is not None:
        if spec.match != "on_or_after":
            seen = f"{spec.follow_up} with match {spec.match!r}"
            hint = "Leave it out, or pass match='on_or_after'."
            expected = "given with on_or_after only"
            found.append(Fault("follow_up", "follow_up", seen, expected, hint))
        _count(spec.follow_up, "follow_up", "follow_up", found, least=0)
    if len(set(spec.by)) < len(spec.by):
        found.append(Fault("by_twice", "by", repr(list(spec.by)), "without repeats"))
    return found


def _bad_brackets(spec: RetentionRule) -> Iterable[Fault]:
    edges = spec.brackets or ()
    if spec.match == "on_or_after":
        hint = "Leave one of the two out."
        yield Fault("brackets", "brackets", "given with on_or_after", "alone", hint)
    rising = all(a < b for a, b in pairwise(edges))
    whole = all(isinstance(edge, int) for edge in edges)
    if len(edges) < 2 or not whole or edges[0] < 1 or not rising:
        expected = "2 or more rising whole numbers from 1 on"
        yield Fault("brackets", "brackets", repr(list(edges)), expected, "Sort them.")


def _count(
    value: object,
    name: str,
    code: str,
    found: list[Fault],
    *,
    least: int = 1,
    most: int | None = None,
) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):  # type: ignore[operator]
        upto = f"..{most:,}" if most is not None else " or more"
        hint = "Count intervals."
        found.append(
            Fault(code, name, repr(value), f"a whole number, {least}{upto}", hint)
        )


def parse_event(given: EventLike, name: str) -> tuple[Event, ...]:
    """Return events as written by the caller.

    Parameters
    ----------
    given : str, Event, mapping, or sequence of these
        A mapping has ``event`` and perhaps ``where``.
    name : str
        The parameter, for the message.

    Returns
    -------
    tuple of Event
        One or more; their filters are parsed.

    Raises
    ------
    ParameterError
        If it is none of these (code ``bad_event``), or a filter is faulty.
    """
    parts = [given] if isinstance(given, str | Event | Mapping) else given
    if not isinstance(parts, Sequence) or not parts:
        parts = [None]  # type: ignore[list-item]
    found = []
    for part in parts:
        match part:
            case str() if part:
                found.append(Event(part))
            case Event(event=str() as word) if word:
                where = part.filter
                found.append(Event(word, where))
            case Mapping() if isinstance(part.get("event"), str) and not (
                part.keys() - {"event", "where"}
            ):
                found.append(Event(part["event"], Event(**part).filter))
            case _:
                msg = f"{name} is {given!r}; it must be an event's name, '*', an Event"
                msg += " with a filter, or a list of these; pass 'app_launch'."
                raise ParameterError(msg, code="bad_event")
    return tuple(found)
