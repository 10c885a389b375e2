"""A funnel as integers: codes of events, tables of rules, the fields of a row."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from growth.engine.spans import duration
from growth.funnel.steps import ANY, Exclusion, FunnelSpec, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from growth.engine import Where

    Ints = NDArray[np.int64]

__all__ = ["CodeTable", "Codes", "Rows", "code_table", "kernel_arrays", "ticks"]

MICROSECOND: Final = timedelta(microseconds=1)
EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
FAR: Final = 2**62
NO_STEP: Final = 99
LAUNCHES: Final = ("app_launch", "app_show")
ORDERS: Final = ("checkout", "order_create")
SESSION_GAP: Final = timedelta(minutes=30)


def ticks(moment: datetime) -> int:
    """Return the microseconds since 1970."""
    return (moment - EPOCH) // MICROSECOND


class Codes(NamedTuple):
    """What one code says of an event: the steps and exclusions it matches, as bits.

    `launch` and `order` matter to derived sessions, `name` (a number, -1 unless
    asked for) to paths.
    """

    steps: int
    exclusions: int = 0
    launch: bool = False
    order: bool = False
    name: int = -1

    @property
    def rank(self) -> tuple[int, ...]:
        """What codes are sorted by, so that events of one instant sort by step."""
        lowest = (self.steps & -self.steps).bit_length() - 1 if self.steps else NO_STEP
        return (lowest, *(int(value) for value in self))


class Cases(NamedTuple):
    """How one event's code follows from filters.

    The filters that hold, as bits in the order of `filters`, are looked up in
    `codes`; what is not there is left out.
    """

    filters: tuple[Where, ...]
    codes: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class CodeTable:
    """Every code, by event name; None is any name that is not listed."""

    codes: tuple[Codes, ...]
    cases: Mapping[str | None, Cases]

    def by_name(self) -> dict[str | None, int] | None:
        """Return the code of each event; None where its name alone does not tell."""
        if any(cases.filters for cases in self.cases.values()):
            return None
        return {name: cases.codes[0] for name, cases in self.cases.items()}


def code_table(
    spec: FunnelSpec,
    *,
    everything: bool = False,
    sessions: bool = False,
    names: Sequence[str] = (),
    seen: Mapping[str | None, Iterable[int]] | None = None,
) -> CodeTable:
    """Return the codes of a funnel's events.

    Parameters
    ----------
    spec : FunnelSpec
        The funnel.
    everything : bool, default False
        Whether events that are neither step nor exclusion are read too.
    sessions : bool, default False
        Whether launches and orders are told apart, for derived sessions.
    names : sequence of str, optional
        Names that get a number of their own, for paths.
    seen : mapping, optional
        By event name, which of its filters are ever true together, as bits; every
        combination if omitted.
    """
    items: list[Step | Exclusion] = [*spec.steps, *spec.exclude]
    listed = dict.fromkeys(name for item in items for name in item.events)
    listed |= dict.fromkeys(names)
    if sessions:
        listed |= dict.fromkeys((*LAUNCHES, *ORDERS))
    listed.pop(ANY, None)
    found: dict[str | None, tuple[tuple[Where, ...], dict[int, Codes]]] = {}
    for name in (*listed, None):
        inside = [
            (i, item)
            for i, item in enumerate(items)
            if name in item.events or ANY in item.events
        ]
        always = sum(1 << i for i, item in inside if item.filter is None)
        tested = [(i, item.filter) for i, item in inside if item.filter is not None]
        combos = (seen or {}).get(name, range(1 << len(tested)))
        by_truth = {}
        for held in combos:
            bits = always + sum(
                1 << i for k, (i, _) in enumerate(tested) if held >> k & 1
            )
            code = Codes(
                bits & ((1 << len(spec.steps)) - 1),
                bits >> len(spec.steps),
                sessions and name in LAUNCHES,
                sessions and name in ORDERS,
                -1 if name is None or name not in names else names.index(name),
            )
            if everything or bits or code.launch or code.order:
                by_truth[held] = code
        if by_truth:
            found[name] = (tuple(where for _, where in tested), by_truth)
    every = sorted(
        {code for _, codes in found.values() for code in codes.values()},
        key=lambda code: code.rank,
    )
    place = {code: i for i, code in enumerate(every)}
    return CodeTable(
        tuple(every),
        {
            name: Cases(filters, {held: place[c] for held, c in codes.items()})
            for name, (filters, codes) in found.items()
        },
    )


class Arrays(NamedTuple):
    """What a kernel is handed, in its order from `rules` on."""

    rules: Ints
    codes: Ints
    acts_at: Ints
    acts: Ints
    steps: Ints
    exclusions: Ints
    follower: Ints
    rests: Ints
    room: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The fields of a kernel's rows."""

    levels: int
    timed: bool = True
    values: int = 0
    optional: int = 0
    depth: int = 0
    weighted: bool = False
    _at: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Work out where each field begins."""
        times = self.levels * self.timed
        widths = (1, times, self.values, self.optional, self.depth, self.weighted)
        object.__setattr__(self, "_at", tuple(np.cumsum((0, *widths)).tolist()))

    def part(self, rows: Ints, number: int) -> Ints:
        """Return the columns of a field."""
        return rows[:, self._at[number] : self._at[number + 1]]

    @property
    def width(self) -> int:
        """How many columns a row has."""
        return self._at[-1]

    @staticmethod
    def level(rows: Ints) -> Ints:
        """Return the levels reached."""
        return rows[:, 0] & 0xFF

    @staticmethod
    def flags(rows: Ints) -> Ints:
        """Return the flags: 1 young, 2 excluded, 4 kept though young."""
        return (rows[:, 0] >> 8) & 0xFF

    @staticmethod
    def slot(rows: Ints) -> Ints:
        """Return the days of entry."""
        return rows[:, 0] >> 16

    def times(self, rows: Ints) -> Ints:
        """Return when the chain began, then the gap to each later step; -1: none."""
        return self.part(rows, 1)

    def value(self, rows: Ints) -> Ints:
        """Return the breakdown's values; -1 unknown, -2 not reached."""
        return self.part(rows, 2)

    def extras(self, rows: Ints) -> Ints:
        """Return the gaps to optional steps; -1: not reached."""
        return self.part(rows, 3)

    def path(self, rows: Ints) -> Ints:
        """Return the events that follow."""
        return self.part(rows, 4)

    def counts(self, rows: Ints) -> Ints:
        """Return how many users, sessions or chains each row is of."""
        if not self.weighted:
            return np.ones(len(rows), np.int64)
        return self.part(rows, 5)[:, 0]


def kernel_arrays(
    spec: FunnelSpec, table: CodeTable, *, base: int, timed: bool, depth: int = 0,
    after: int = 0, grouped: int = 0,
) -> Arrays:  # fmt: skip
    """Return the rules as arrays.

    Parameters
    ----------
    spec : FunnelSpec
        The funnel.
    table : CodeTable
        The codes of its events.
    base : int
        The instant of tick 0, in microseconds since 1970.
    timed : bool
        Whether rows have times.
    depth, after : int
        Of paths: how many events of those who stop after which level.
    grouped : int
        How events are grouped: 0 not, 1 by what they hold, 2 by derived sessions.
    """
    levels = len(spec.required)
    rules = np.zeros(19, np.int64)
    rules[:8] = (
        levels,
        len(spec.steps) - levels,
        # paths are followed as far as a chain can reach
        FAR if spec.window is None and not depth else spec.span // MICROSECOND,
        spec.order == "strict",
        spec.repeats == "break",
        spec.entry == "first",
        spec.exclusion == "user",
        ("users", "sessions", "totals").index(spec.count),
    )
    rules[8:] = (
        spec.order == "any",
        grouped,
        ticks(spec.mature) - base,
        spec.immature == "keep",
        SESSION_GAP // MICROSECOND,
        ticks(spec.start) - base,
        ticks(spec.end) - base,
        bool(spec.exclude),
        depth,
        after,
        timed,
    )
    steps, room = _steps(spec)
    acts = [_acts(spec, code.steps) for code in table.codes]
    # below an optional step: its level; after the steps: the step that follows a level
    follower = np.zeros(len(spec.steps) + levels + 1, np.int64)
    rests = np.zeros(levels + 1, np.int64)
    level = 0
    for s, step in enumerate(spec.steps):
        if level and spec.order != "any":
            rests[level] = max(rests[level], steps[s, 1])
        follower[s] = level
        if not step.optional:
            follower[len(spec.steps) + level] = s
            level += 1
    return Arrays(
        rules,
        np.array([_code(spec, code) for code in table.codes], np.int64).reshape(-1, 6),
        np.cumsum([0, *map(len, acts)], dtype=np.int64),
        np.array([*chain.from_iterable(acts)], np.int64),
        steps,
        np.array(
            [[_levels(spec, x.after), _levels(spec, x.before)] for x in spec.exclude],
            np.int64,
        ).reshape(-1, 2),
        follower,
        rests,
        room,
    )


def _levels(spec: FunnelSpec, number: int) -> int:
    return sum(not step.optional for step in spec.steps[:number])


def _acts(spec: FunnelSpec, mask: int) -> list[int]:
    """Return the steps an event is tried as, from the last to the first."""
    found = [s for s in reversed(range(len(spec.steps))) if mask >> s & 1]
    return found[-1:] if spec.order == "any" else found


def _code(spec: FunnelSpec, code: Codes) -> list[int]:
    inside = [s for s in range(len(spec.steps)) if code.steps >> s & 1]
    aside = bool(inside) and all(spec.steps[s].optional for s in inside)
    again = spec.reentry == "ignore" and 0 in inside
    clears = not (aside or again)
    return [
        code.steps, clears, code.exclusions, code.launch, code.order, code.name
    ]  # fmt: skip


def _steps(spec: FunnelSpec) -> tuple[Ints, Ints]:
    """Return level (or group), least and most gap of each step; room of each group."""
    steps = np.zeros((len(spec.steps), 3), np.int64)
    groups: dict[object, int] = {}
    level = extra = 0
    for s, step in enumerate(spec.steps):
        least = _us(step.min_gap, 0)
        if spec.ties == "strict" and level:
            least = max(least, 1)
        steps[s, 1:] = least, _us(step.max_gap, FAR)
        if spec.order == "any":
            what = (frozenset(step.events), step.filter)
            steps[s, 0] = groups.setdefault(what, len(groups))
        elif step.optional:
            steps[s, 0] = -1 - extra
            extra += 1
        else:
            steps[s, 0] = level + 1
        level += not step.optional
    room = np.bincount(steps[:, 0]) if groups else np.zeros(0, np.int64)
    return steps, room.astype(np.int64)


def _us(gap: str | timedelta | None, default: int) -> int:
    return default if gap is None else duration(gap, "gap") // MICROSECOND
