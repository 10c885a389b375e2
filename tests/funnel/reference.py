"""The funnel in plain Python, written from its rules, slow and in sight.

An event is ``Event(t, steps, exclusions, hold, value)``: an integer time, the 0-based
positions of the steps and of the exclusions it matches, and what its columns hold.
`measure` takes one user's events in any order and says how far he got.

`levels_by_search` says the same for plain ordered funnels by trying every chain
there is: it shares no rule of thumb with `measure`.
"""

from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, NamedTuple


class Event(NamedTuple):
    t: int
    steps: tuple[int, ...] = ()
    exclusions: tuple[int, ...] = ()
    hold: Any = 0
    value: Any = None


@dataclass(frozen=True)
class Rules:
    """Positions are 0-based; `first` and `last` bound entries, both inclusive."""

    steps: int
    window: int | None = None
    order: str = "ordered"
    entry: str = "any"
    ties: str = "step_order"
    repeats: str = "allow"
    reentry: str = "restart"
    exclusions: tuple[tuple[int, int], ...] = ()
    exclusion: str = "attempt"
    optional: tuple[int, ...] = ()
    min_gap: dict[int, int] = field(default_factory=dict)
    max_gap: dict[int, int] = field(default_factory=dict)
    first: int = 0
    last: int = 10**18
    equal: tuple[int, ...] = ()  # of order "any": the group each step belongs to

    @property
    def required(self):
        return [k for k in range(self.steps) if k not in self.optional]


class Found(NamedTuple):
    """Level, the winning chain's times, the optional steps' times, out by exclusion."""

    level: int = 0
    times: tuple[int, ...] = ()
    optional: dict[int, tuple[int, int]] = {}  # noqa: RUF012  (never changed)
    out: bool = False


class Attempt:
    """One chain's identity: how far it ever got, whatever copies of it remain."""

    def __init__(self):
        self.far = 0


def in_order(events):
    """Sort by time, then lowest step, then the whole set of steps."""

    def key(event):
        mask = sum(1 << k for k in event.steps)
        return (event.t, min(event.steps, default=99), mask)

    return sorted(events, key=key)


def measure(events, rules):
    """Return what one user (or one session, or one value held) reached."""
    if rules.order == "any":
        return _any_order(in_order(events), rules)
    return _Walk(rules).through(in_order(events))


class _Walk:
    def __init__(self, rules):
        self.rules = rules
        # by level: (times so far, attempt), the newest last
        self.chains = {k: [] for k in range(1, len(rules.required) + 1)}
        self.best = Found(optional={})
        self.begun = False

    def through(self, events):
        for t, instant in groupby(events, key=lambda e: e.t):
            together = list(instant)
            for event in together:
                for step in sorted(event.steps, reverse=True):
                    self.step(t, step)
            if self.rules.order == "strict":
                self.clear_unmatched(together)
            for event in together:
                for number in event.exclusions:
                    self.exclude(t, *self.rules.exclusions[number])
        if self.best.out:
            return Found(out=True)
        return self.best

    def step(self, t, step):
        rules = self.rules
        before = [k for k in rules.required if k < step]
        if step in rules.optional:
            at = self.ripe(len(before), step, t)
            if at is not None and step not in self.best.optional:
                times = self.chains[len(before)][at][0]
                self.best.optional[step] = (times[-1], t)
            return
        level = len(before) + 1
        if level == 1:
            again = rules.entry == "first" and self.begun
            if rules.first <= t <= rules.last and not again:
                self.begun = True
                self.arrive(1, (t,), Attempt())
            return
        at = self.ripe(level - 1, step, t)
        found = None
        if at is not None:
            found = self.chains[level - 1][at]
            # whoever is older than the chain that went on has been overtaken
            keep = at + 1 if rules.repeats == "break" else at
            self.chains[level - 1] = self.chains[level - 1][keep:]
        if rules.repeats == "break":
            for above in range(level, len(self.chains) + 1):
                self.chains[above] = []
        if found is not None:
            self.arrive(level, (*found[0], t), found[1])

    def ripe(self, level, step, t):
        """Return the newest chain that may go on to `step` now, by its position."""
        least = self.rules.min_gap.get(step, 0)
        if self.rules.ties == "strict":
            least = max(least, 1)
        for at in reversed(range(len(self.chains[level]))):
            times, _ = self.chains[level][at]
            if t - times[-1] < least:
                continue
            late = self.rules.window is not None and t - times[0] > self.rules.window
            most = self.rules.max_gap.get(step)
            far = most is not None and t - times[-1] > most
            return None if late or far else at
        return None

    def arrive(self, level, times, attempt):
        attempt.far = max(attempt.far, level)
        self.chains[level].append((times, attempt))
        if level > self.best.level:
            self.best = replace_found(self.best, level, times)

    def clear_unmatched(self, together):
        rules = self.rules
        matched = {step for event in together for step in event.steps}

        def harmless(event):
            if rules.reentry == "ignore" and 0 in event.steps:
                return True
            return bool(event.steps) and all(k in rules.optional for k in event.steps)

        if all(harmless(event) for event in together):
            return
        for level, step in enumerate(rules.required, 1):
            if step not in matched:
                self.chains[level] = []

    def exclude(self, t, after, before):
        """Kill chains past `after` and short of `before` (levels, 1-based)."""
        for level in range(after, before):
            kept = []
            for at, (times, attempt) in enumerate(self.chains[level]):
                if times[after - 1] >= t:
                    kept.append((times, attempt))
                elif self.rules.exclusion == "user" and attempt.far < before:
                    following = self.rules.required[level]
                    newest = at == len(self.chains[level]) - 1
                    if self.alive(times, following, t) and self.current(
                        level, times, following, t, newest=newest
                    ):
                        self.best = self.best._replace(out=True)
            self.chains[level] = kept

    def alive(self, times, following, t):
        window, most = self.rules.window, self.rules.max_gap.get(following)
        return (window is None or t - times[0] <= window) and (
            most is None or t - times[-1] <= most
        )

    def current(self, level, times, following, t, *, newest):
        """Whether no newer chain, ripe by now, has taken this one's place."""
        if newest:
            return True
        least = self.rules.min_gap.get(following, 0)
        if self.rules.ties == "strict":
            least = max(least, 1)
        at = next(i for i, c in enumerate(self.chains[level]) if c[0] is times)
        later = [c[0][-1] for c in self.chains[level][at + 1 :]]
        return not any(t - last >= least or last == times[-1] for last in later)


def replace_found(best, level, times):
    return best._replace(level=level, times=times)


def _any_order(events, rules):
    events = [e for e in events if e.steps]
    starts = [i for i, e in enumerate(events) if rules.first <= e.t <= rules.last]
    if rules.entry == "first":
        starts = starts[:1]
    best = Found()
    for j in range(len(events)):
        for i in reversed([i for i in starts if i <= j]):
            if events[j].t - events[i].t > rules.window:
                break
            times = _counted(events[i : j + 1], rules)
            if len(times) > best.level:
                best = Found(len(times), tuple(times))
    return best


def _counted(events, rules):
    """Return the times at which one more step is filled, each step by one event."""
    room = {}
    for group in rules.equal:
        room[group] = room.get(group, 0) + 1
    times = []
    for event in events:
        group = rules.equal[event.steps[0]]
        if room[group]:
            room[group] -= 1
            times.append(event.t)
    return times


def totals(events, rules):
    """Return, for each level, how many chains that long fit one after another."""
    found = []
    required = rules.required
    for level in range(1, len(required) + 1):
        inner = tuple(k for k in rules.optional if k < required[level - 1])
        short = replace(
            rules,
            steps=required[level - 1] + 1,
            optional=inner,
            exclusions=tuple((a, min(b, level + 1)) for a, b in rules.exclusions),
        )
        found.append(_chains_in(in_order(events), short, level, rules))
    return found


def _chains_in(events, short, level, rules):
    count, walk = 0, _Walk(short)
    for t, instant in groupby(events, key=lambda e: e.t):
        together = list(instant)
        for event in together:
            for step in sorted(event.steps, reverse=True):
                if step < short.steps:
                    walk.step(t, step)
                    if walk.best.level == level:
                        count += 1
                        begun, walk = walk.begun, _Walk(short)
                        walk.begun = begun
                        break  # the event that ends one chain begins no other
        if rules.order == "strict":
            walk.clear_unmatched(together)
        for event in together:
            for number in event.exclusions:
                walk.exclude(t, *short.exclusions[number])
    return count


def levels_by_search(events, rules):
    """Return the level of an ordered funnel without clearing or breaking, by search."""
    ordered = in_order(events)
    required = rules.required
    best = 0

    def fits(chain, at, level):
        event = ordered[at]
        step = required[level]
        if step not in event.steps:
            return False
        if level == 0:
            return rules.first <= event.t <= rules.last
        least = max(rules.min_gap.get(step, 0), int(rules.ties == "strict"))
        most = rules.max_gap.get(step)
        gap = event.t - ordered[chain[-1]].t
        if gap < least or (most is not None and gap > most):
            return False
        if rules.window is not None and event.t - ordered[chain[0]].t > rules.window:
            return False
        times = [ordered[i].t for i in chain]
        return not any(
            after - 1 < level < before and times[after - 1] < other.t < event.t
            for other in ordered
            for number in other.exclusions
            for after, before in [rules.exclusions[number]]
        )

    def search(chain):
        nonlocal best
        best = max(best, len(chain))
        if len(chain) == len(required):
            return
        for at in range(chain[-1] + 1 if chain else 0, len(ordered)):
            if fits(chain, at, len(chain)):
                search([*chain, at])

    search([])
    return best
