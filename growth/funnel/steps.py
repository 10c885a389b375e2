"""What is asked: steps, exclusions and rules, checked as a whole before any scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

from growth.engine import Where, parse_where
from growth.engine.spans import duration
from growth.errors import Fault, ParameterError, suggest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "ANY",
    "Attribution",
    "Count",
    "Entry",
    "Exclusion",
    "ExclusionRule",
    "FunnelSpec",
    "Immature",
    "Order",
    "Reentry",
    "Repeats",
    "Step",
    "StepLike",
    "Ties",
    "parse_steps",
    "span_text",
]

Order = Literal["ordered", "strict", "any"]
Entry = Literal["any", "first"]
Count = Literal["users", "sessions", "totals"]
Ties = Literal["step_order", "strict"]
Repeats = Literal["allow", "break"]
Reentry = Literal["restart", "ignore"]
ExclusionRule = Literal["attempt", "user"]
Immature = Literal["drop", "keep"]
Attribution = str  # step_1, first, last, step_<k>

ANY: Final = "*"
MOST_STEPS: Final = 32
LONGEST: Final = timedelta(days=3660)  # a slip of the unit is likelier than longer
NOTHING: Final = timedelta(0)

_CHOICES: Final = {
    "order": Order,
    "entry": Entry,
    "count": Count,
    "ties": Ties,
    "repeats": Repeats,
    "reentry": Reentry,
    "exclusion": ExclusionRule,
    "immature": Immature,
}


@dataclass(frozen=True, slots=True)
class Step:
    """A step: what a user does, and when it counts.

    Parameters
    ----------
    event : str or sequence of str
        The event's name, or several of which any will do; ``"*"`` is any event.
    where : Where, list or mapping, optional
        A filter on the event's columns, in the house's grammar.
    optional : bool, default False
        Not needed to go on: it is counted beside the funnel.
    min_gap, max_gap : str or timedelta, optional
        Least and most time since the step before, both inclusive: ``"30s"``.

    Examples
    --------
    >>> Step(["add_to_cart", "buy_now"], max_gap="1h").name
    'add_to_cart | buy_now'
    """

    event: str | Sequence[str]
    where: Where | Sequence[Any] | Mapping[str, Any] | None = None
    optional: bool = False
    min_gap: str | timedelta | None = None
    max_gap: str | timedelta | None = None

    @property
    def events(self) -> tuple[str, ...]:
        """The names, each once."""
        return _names(self.event)

    @property
    def name(self) -> str:
        """What the step is called."""
        return " | ".join(self.events)

    @property
    def filter(self) -> Where | None:
        """The filter, parsed; None where every row passes."""
        return _filter(self.where, f"{self.name}.where")

    def to_dict(self) -> dict[str, object]:
        """Return plain values only."""
        return {
            "event": list(self.events),
            "where": None if self.filter is None else self.filter.to_data(),
            "optional": self.optional,
            "min_gap": _text(self.min_gap),
            "max_gap": _text(self.max_gap),
        }


@dataclass(frozen=True, slots=True)
class Exclusion:
    """An event that must not come between two steps.

    Parameters
    ----------
    event : str or sequence of str
        As in `Step`.
    where : Where, list or mapping, optional
        As in `Step`.
    after, before : int, default 1 and 2
        Steps by number, from 1, ``after < before``: an event strictly after the one
        and strictly before the other.
    """

    event: str | Sequence[str]
    where: Where | Sequence[Any] | Mapping[str, Any] | None = None
    after: int = 1
    before: int = 2

    @property
    def events(self) -> tuple[str, ...]:
        """The names, each once."""
        return _names(self.event)

    @property
    def name(self) -> str:
        """What the exclusion is called."""
        return " | ".join(self.events)

    @property
    def filter(self) -> Where | None:
        """The filter, parsed; None where every row passes."""
        return _filter(self.where, f"{self.name}.where")

    def to_dict(self) -> dict[str, object]:
        """Return plain values only."""
        return {
            "event": list(self.events),
            "where": None if self.filter is None else self.filter.to_data(),
            "after": self.after,
            "before": self.before,
        }


StepLike: TypeAlias = "str | Sequence[str] | Step | Mapping[str, Any]"


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelSpec:
    """One question about a way through steps, checked when it is made.

    Parameters
    ----------
    steps : tuple of Step
        In order, 2 to 32.
    start, end : datetime
        Instants (UTC) between which entries are, ``[start, end)``.
    as_of : datetime
        The instant up to which events are known.
    lag : timedelta
        How late events may arrive.
    window : timedelta or None
        Most time from the first step to any other, inclusive.
    order, entry, count, ties, repeats, reentry, exclusion, immature
        As in `growth.funnel.measure`.
    hold : tuple of str
        Columns whose values all steps share.
    exclude : tuple of Exclusion
        Events that must not come between.
    by : tuple of str
        Breakdown columns.
    attribution : str
        Whose value a breakdown takes.
    tz : str
        The zone of days.
    cut_midnight : bool
        Whether derived sessions end at midnight.
    """

    steps: tuple[Step, ...]
    start: datetime
    end: datetime
    as_of: datetime
    lag: timedelta = NOTHING
    window: timedelta | None = timedelta(days=7)
    order: Order = "ordered"
    entry: Entry = "any"
    count: Count = "users"
    ties: Ties = "step_order"
    repeats: Repeats = "allow"
    reentry: Reentry = "restart"
    hold: tuple[str, ...] = ()
    exclude: tuple[Exclusion, ...] = ()
    exclusion: ExclusionRule = "attempt"
    immature: Immature = "drop"
    by: tuple[str, ...] = ()
    attribution: Attribution = "step_1"
    tz: str = "Asia/Shanghai"
    cut_midnight: bool = False

    def __post_init__(self) -> None:
        """Check everything at once."""
        if faults := [*_faults(self)]:
            raise ParameterError.of("the funnel", faults)

    @property
    def required(self) -> tuple[Step, ...]:
        """The steps that are levels."""
        return tuple(step for step in self.steps if not step.optional)

    @property
    def span(self) -> timedelta:
        """The most time a chain can take: the window, or all the gaps together."""
        if self.window is not None:
            return self.window
        gaps = (step.max_gap for step in self.required[1:])
        return sum((duration(gap, "max_gap") for gap in gaps), NOTHING)

    @property
    def known(self) -> datetime:
        """The instant before which everything has arrived."""
        return self.as_of - self.lag

    @property
    def mature(self) -> datetime:
        """The last instant of an entry whose window is over."""
        return self.known - self.span

    def to_dict(self) -> dict[str, object]:
        """Return plain values only."""
        return {
            "steps": [step.to_dict() for step in self.steps],
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "as_of": self.as_of.isoformat(),
            "lag": _text(self.lag),
            "window": _text(self.window),
            **{name: getattr(self, name) for name in _CHOICES},
            "hold": list(self.hold),
            "exclude": [item.to_dict() for item in self.exclude],
            "by": list(self.by),
            "attribution": self.attribution,
            "tz": self.tz,
            "cut_midnight": self.cut_midnight,
        }


def parse_steps(given: object) -> tuple[Step, ...]:
    """Return steps as written by the caller.

    Parameters
    ----------
    given : sequence of str, list of str, Step or mapping
        A name, names of which any will do, a `Step`, or a mapping of its fields.

    Returns
    -------
    tuple of Step
        As many.

    Raises
    ------
    ParameterError
        If one is none of these (code ``steps``).
    """
    if isinstance(given, str | Mapping) or not isinstance(given, Sequence):
        msg = f"steps is {given!r}; it must be a list of 2 to {MOST_STEPS} steps; pass"
        raise ParameterError(f"{msg} ['page_view', 'order_pay'].", code="steps")
    return tuple(_step(item, i) for i, item in enumerate(given, 1))


def _step(item: object, number: int) -> Step:
    match item:
        case Step():
            return item
        case str():
            return Step(item)
        case Mapping() if "event" in item and not (
            set(item) - {"event", "where", "optional", "min_gap", "max_gap"}
        ):
            return Step(**{str(name): value for name, value in item.items()})
        case Sequence():
            return Step(item)
    msg = f"step {number} is {item!r}; it must be an event's name, a list of names, or"
    raise ParameterError(f"{msg} a Step; pass Step('order_pay').", code="steps")


def _names(event: object) -> tuple[str, ...]:
    if isinstance(event, str):
        return (event,)
    return tuple(dict.fromkeys(event)) if isinstance(event, Sequence) else ()


def _filter(where: object, path: str) -> Where | None:
    found = parse_where(where, path=path)
    return None if found.op == "all" and not found.parts else found


def _text(span: str | timedelta | None) -> str | None:
    return None if span is None else span_text(span)


def span_text(span: str | timedelta) -> str:
    """Return a duration in the largest unit that divides it.

    Parameters
    ----------
    span : str or timedelta
        The duration.

    Examples
    --------
    >>> span_text(timedelta(hours=36)), span_text("7d")
    ('36h', '7d')
    """
    whole = duration(span, "duration") // timedelta(microseconds=1)
    for unit, size in (
        ("d", 86_400_000_000),
        ("h", 3_600_000_000),
        ("m", 60_000_000),
        ("s", 1_000_000),
        ("ms", 1000),
    ):
        if whole % size == 0:
            return f"{whole // size}{unit}"
    return f"{whole}us"


def _faults(spec: FunnelSpec) -> Iterator[Fault]:
    for name, choice in _CHOICES.items():
        value = getattr(spec, name)
        known = get_args(choice)
        if value not in known:
            hint = suggest(str(value), known).strip()
            yield Fault(
                f"unknown_{name}", name, repr(value), f"one of {', '.join(known)}", hint
            )
    yield from _range_faults(spec)
    yield from _step_faults(spec)
    yield from _rule_faults(spec)
    yield from _exclusion_faults(spec)
    for name in ("by", "hold"):
        columns = getattr(spec, name)
        if len(set(columns)) < len(columns):
            yield Fault(f"{name}_twice", name, repr(list(columns)), "without repeats")
    if spec.attribution not in _attributions(spec):
        hint = suggest(str(spec.attribution), _attributions(spec)).strip()
        expected = f"first, last or step_1..step_{len(spec.required)}"
        seen = repr(spec.attribution)
        yield Fault("unknown_attribution", "attribution", seen, expected, hint)


def _attributions(spec: FunnelSpec) -> tuple[str, ...]:
    steps = (f"step_{k}" for k in range(1, len(spec.required) + 1))
    return ("first", "last", *steps)


def _range_faults(spec: FunnelSpec) -> Iterator[Fault]:
    if spec.end <= spec.start:
        seen = f"{spec.end.isoformat()}, start is {spec.start.isoformat()}"
        hint = "The range is half-open: end is the day after the last."
        yield Fault("range", "end", seen, "later than start", hint)
    if spec.window is not None and not NOTHING < spec.window <= LONGEST:
        expected = f"above 0 and at most {LONGEST.days} days"
        yield Fault("range", "window", str(spec.window), expected, "Write '7d'.")
    if spec.window is None and any(s.max_gap is None for s in spec.required[1:]):
        hint = "Give a window, or max_gap to each step after the first."
        yield Fault("range", "window", "None", "given", hint)


def _step_faults(spec: FunnelSpec) -> Iterator[Fault]:
    steps = spec.steps
    if not 2 <= len(steps) <= MOST_STEPS:
        seen = f"a list of {len(steps)}"
        yield Fault("steps", "steps", seen, f"2 to {MOST_STEPS} steps")
    elif len(spec.required) < 2:
        seen = f"{len(spec.required)} that are not optional"
        yield Fault("steps", "steps", seen, "2 or more that are not optional")
    for i, step in enumerate(steps, 1):
        where = f"steps[{i}]"
        yield from _name_faults(step, where)
        low, high = _gap(step.min_gap), _gap(step.max_gap)
        for name, given, gap in (
            ("min_gap", step.min_gap, low),
            ("max_gap", step.max_gap, high),
        ):
            if given is not None and gap is None:
                expected = "a duration of 0 or more, such as '30s'"
                yield Fault("steps", f"{where}.{name}", repr(given), expected)
        if low is not None and high is not None and low > high:
            seen = f"{_text(low)}, max_gap is {_text(high)}"
            yield Fault("steps", f"{where}.min_gap", seen, "at most max_gap")
        if i == 1 and step.optional:
            hint = "Put an optional step after the first."
            yield Fault("steps", f"{where}.optional", "True", "False", hint)
        if i == 1 and (step.min_gap is not None or step.max_gap is not None):
            hint = "A gap is from the step before; there is none."
            yield Fault("steps", where, "given a gap", "without gaps", hint)


def _name_faults(item: Step | Exclusion, where: str) -> Iterator[Fault]:
    if not item.events or not all(isinstance(n, str) and n for n in item.events):
        expected = "an event's name or a list of names"
        yield Fault("steps", f"{where}.event", repr(item.event), expected)
        return
    if ANY in item.events and len(item.events) > 1:
        yield Fault("steps", f"{where}.event", repr(item.event), "'*' alone, or names")
    try:
        _ = item.filter
    except ParameterError as error:
        yield from error.faults


def _gap(gap: object) -> timedelta | None:
    try:
        return None if gap is None else duration(gap, "gap")
    except ParameterError:
        return None


def _overlapping(one: Step, other: Step) -> bool:
    return ANY in (*one.events, *other.events) or bool(
        set(one.events) & set(other.events)
    )


def _rule_faults(spec: FunnelSpec) -> Iterator[Fault]:
    steps = spec.required
    pairs = [
        (i, j)
        for i in range(len(steps))
        for j in range(i + 1, len(steps))
        if _overlapping(steps[i], steps[j])
    ]
    if spec.repeats == "break" and pairs:
        i, j = pairs[0]
        seen = f"'break', and steps {i + 1} and {j + 1} share {steps[i].name!r}"
        hint = "A repeat of one would be the other; name events that differ."
        yield Fault("steps", "repeats", seen, "'allow' for steps that overlap", hint)
    if spec.reentry == "ignore" and spec.order != "strict":
        expected = "'restart', or order 'strict'"
        hint = "Only a strict order is broken by entering again."
        yield Fault("reentry", "reentry", "'ignore'", expected, hint)
    if spec.count == "totals":
        for name, there in (
            ("optional", any(step.optional for step in spec.steps)),
            ("exclusion 'user'", bool(spec.exclude) and spec.exclusion == "user"),
        ):
            if there:
                hint = "Count users or sessions."
                yield Fault("steps", "count", f"'totals' with {name}", "without", hint)
    if spec.order == "any":
        yield from _any_faults(spec, pairs)


def _any_faults(spec: FunnelSpec, pairs: list[tuple[int, int]]) -> Iterator[Fault]:
    steps = spec.required
    for name, there in (
        ("a gap", any(s.min_gap or s.max_gap for s in spec.steps)),
        ("exclude", bool(spec.exclude)),
        ("an optional step", any(s.optional for s in spec.steps)),
        ("repeats 'break'", spec.repeats == "break"),
        ("count 'totals'", spec.count == "totals"),
        ("ties 'strict'", spec.ties == "strict"),
    ):
        if there:
            hint = "Leave it out, or take order 'ordered'."
            yield Fault("steps", "order", f"'any' with {name}", "without it", hint)
    if spec.window is None:
        yield Fault("steps", "window", "None with order 'any'", "a duration")
    for i, j in pairs:
        same = set(steps[i].events) == set(steps[j].events)
        if not same or steps[i].filter != steps[j].filter:
            seen = f"{steps[i].name!r} and {steps[j].name!r}"
            hint = "An event must not be one of two different steps."
            expected = "equal or without a common event where order is 'any'"
            yield Fault("steps", f"steps {i + 1} and {j + 1}", seen, expected, hint)


def _exclusion_faults(spec: FunnelSpec) -> Iterator[Fault]:
    for i, item in enumerate(spec.exclude, 1):
        where = f"exclude[{i}]"
        yield from _name_faults(item, where)
        bounds = (item.after, item.before)
        most = len(spec.steps)
        if not all(type(k) is int for k in bounds) or not (
            1 <= item.after < item.before <= most
        ):
            seen = f"after {item.after}, before {item.before}"
            expected = f"rising within 1..{most}"
            yield Fault("steps", where, seen, expected, "Number steps from 1.")
        elif any(spec.steps[k - 1].optional for k in bounds):
            seen = f"bounded by an optional step ({item.after}, {item.before})"
            yield Fault("steps", where, seen, "between steps that are not optional")
