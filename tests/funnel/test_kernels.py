"""The kernel against the plain-Python reference, on thousands of random logs."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from growth.funnel import kernels
from growth.funnel.plan import Rows, code_table, kernel_arrays
from growth.funnel.steps import Exclusion, FunnelSpec, Step
from tests.funnel.reference import Event, Rules, levels_by_search, measure, totals

BASE = datetime(1970, 1, 1, tzinfo=UTC)
CODE_BITS, TIME_BITS = 8, 24
EMPTY = np.empty(0, np.int64)


def us(n):
    return timedelta(microseconds=int(n))


def pack(events, table):
    """Return sorted keys of ``(user, t, name)``."""
    codes = table.by_name()
    keys = [
        (user << (CODE_BITS + TIME_BITS)) | (t << CODE_BITS) | code
        for user, t, name in events
        if (code := codes.get(name, codes.get(None))) is not None
    ]
    return np.sort(np.array(keys, np.int64))


LAYOUT = np.array(
    [
        CODE_BITS + TIME_BITS,
        CODE_BITS,
        (1 << TIME_BITS) - 1,
        0,
        (1 << CODE_BITS) - 1,
        0,
        0,
    ]
)


def walk(events, spec, *, edges=None):
    """Return users and rows of a log; times in ticks."""
    table = code_table(spec, everything=spec.order == "strict")
    arrays = kernel_arrays(spec, table, base=0, timed=True)
    edges = edges or [spec.start, spec.end]
    at = np.array([(edge - BASE) // us(1) for edge in edges])
    users, rows = kernels.walk(
        pack(events, table), LAYOUT, *arrays, at, EMPTY, EMPTY, np.zeros((0, 0), bool)
    )
    shape = Rows(
        levels=len(spec.required), optional=len(spec.steps) - len(spec.required)
    )
    return users, rows, shape


def chain_of(times):
    """Return the times of a chain from its start and gaps."""
    return tuple(np.cumsum(times[times >= 0]).tolist())


NAMES = "abcdex"


def random_case(rng):
    """Return a spec, the same as rules, and one user's events."""
    k = int(rng.integers(2, 5))
    order = str(rng.choice(["ordered", "ordered", "strict", "any"]))
    free = order != "any"
    pool = NAMES[: k + 1]
    names = [
        tuple(rng.choice(list(pool), rng.choice([1, 1, 1, 2]), replace=False))
        for _ in range(k)
    ]
    if not free:
        names = [(str(rng.choice(list(pool))),) for _ in range(k)]
    apart = len({n for group in names for n in group}) == sum(map(len, names))
    repeats = "break" if free and rng.random() < 0.3 else "allow"
    if repeats == "break" and not apart:
        names = [(letter,) for letter in pool[:k]]
    optional = [free and i > 0 and rng.random() < 0.2 for i in range(k)]
    if sum(not o for o in optional) < 2:
        optional = [False] * k
    window = int(rng.choice([3, 8, 20, 200]))
    low = [
        free and i and rng.random() < 0.15 and int(rng.integers(1, 4)) for i in range(k)
    ]
    high = [
        free and i and rng.random() < 0.15 and int(rng.integers(3, 9)) for i in range(k)
    ]
    required = [i for i in range(k) if not optional[i]]
    exclude = []
    if free and rng.random() < 0.3:
        for _ in range(int(rng.integers(1, 3))):
            a, b = sorted(rng.choice(required, 2, replace=False))
            exclude.append((str(rng.choice(["x", pool[-1]])), int(a), int(b)))
    spec = FunnelSpec(
        steps=tuple(
            Step(
                [str(n) for n in names[i]],
                optional=bool(optional[i]),
                min_gap=us(low[i]) if low[i] else None,
                max_gap=us(high[i]) if high[i] else None,
            )
            for i in range(k)
        ),
        start=BASE + us(int(rng.choice([0, 5]))),
        end=BASE + us(int(rng.choice([12, 1000]))),
        as_of=BASE + timedelta(days=1),
        window=us(window),
        order=order,
        entry=str(rng.choice(["any", "any", "first"])),
        ties=str(rng.choice(["step_order", "strict"])) if free else "step_order",
        repeats=repeats,
        reentry=str(rng.choice(["restart", "ignore"]))
        if order == "strict"
        else "restart",
        exclude=tuple(Exclusion(n, after=a + 1, before=b + 1) for n, a, b in exclude),
        exclusion=str(rng.choice(["attempt", "user"])),
    )
    level_of = {step: level for level, step in enumerate(required, 1)}
    groups = sorted({names[i] for i in range(k)})
    rules = Rules(
        steps=k,
        window=window,
        order=order,
        entry=spec.entry,
        ties=spec.ties,
        repeats=repeats,
        reentry=spec.reentry,
        exclusions=tuple((level_of[a], level_of[b]) for _, a, b in exclude),
        exclusion=spec.exclusion,
        optional=tuple(i for i in range(k) if optional[i]),
        min_gap={i: low[i] for i in range(k) if low[i]},
        max_gap={i: high[i] for i in range(k) if high[i]},
        first=(spec.start - BASE) // us(1),
        last=(spec.end - BASE) // us(1) - 1,
        equal=tuple(groups.index(names[i]) for i in range(k)),
    )
    n = int(rng.integers(0, 14))
    drawn = [str(name) for name in rng.choice(list(pool + "x"), n)]
    if rng.random() < 0.4:  # people who nearly follow the steps
        way = [names[i % k][0] for i in range(n)]
        drawn = [
            w if rng.random() < 0.8 else d for w, d in zip(way, drawn, strict=True)
        ]
    times = rng.integers(0, int(rng.choice([6, 15, 40])), n)
    if rng.random() < 0.5:
        times = np.sort(times)
    log = [(int(t), str(name)) for t, name in zip(times, drawn, strict=True)]

    def event(t, name):
        steps = tuple(i for i in range(k) if name in names[i])
        return Event(
            t, steps, tuple(x for x, (word, _, _) in enumerate(exclude) if word == name)
        )

    seen = [event(t, name) for t, name in log]
    if order != "strict":
        seen = [e for e in seen if e.steps or e.exclusions]
    return spec, rules, log, seen


@pytest.mark.parametrize("seed", range(4))
def test_the_kernel_is_the_reference_on_random_logs(seed):
    rng = np.random.default_rng(seed)
    reached = set()
    for case in range(1500):
        spec, rules, log, seen = random_case(rng)
        users, rows, shape = walk([(3, t, name) for t, name in log], spec)
        found = measure(seen, rules)
        told = (seed, case, spec, sorted(log))
        assert len(users) == (found.level > 0 or found.out), told
        if not len(users):
            continue
        assert users[0] == 3
        assert shape.level(rows)[0] == found.level, told
        assert shape.flags(rows)[0] == 2 * found.out, told
        reached.add((spec.order, found.level))
        if not found.out:
            assert chain_of(shape.times(rows)[0]) == found.times, told
            gaps = [
                found.optional[i][1] - found.optional[i][0]
                if i in found.optional
                else -1
                for i in rules.optional
            ]
            assert shape.extras(rows)[0].tolist() == gaps, told
    assert {("ordered", 4), ("strict", 4), ("any", 4)} <= reached


def test_the_reference_agrees_with_an_exhaustive_search():
    rng = np.random.default_rng(11)
    deepest = 0
    for _ in range(3000):
        spec, rules, log, seen = random_case(rng)
        if (
            spec.order != "ordered"
            or spec.repeats == "break"
            or spec.entry == "first"
            or spec.exclusion == "user"
        ):
            continue
        level = measure(seen, rules).level
        deepest = max(deepest, level)
        assert level == levels_by_search(seen, rules), (spec, sorted(log))
    assert deepest == 4


def test_totals_are_chains_that_do_not_overlap():
    rng = np.random.default_rng(5)
    most = 0
    checked = 0
    while checked < 800:
        spec, rules, log, seen = random_case(rng)
        if (
            spec.order == "any"
            or rules.optional
            or (spec.exclude and spec.exclusion == "user")
        ):
            continue
        checked += 1
        counted = FunnelSpec(
            **{f: getattr(spec, f) for f in FunnelSpec.__slots__ if f != "count"},
            count="totals",
        )
        _, rows, shape = walk([(0, t, name) for t, name in log], counted)
        levels = np.bincount(shape.level(rows), minlength=rules.steps + 1)[1:]
        assert levels.tolist() == totals(seen, rules), (spec, sorted(log))
        assert (np.diff(levels) <= 0).all()
        most = max(most, int(levels[-1]))
    assert most > 1
