import json
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest

from growth.errors import ParameterError
from growth.stats.lifecycle import (
    ABSENT,
    ACTIVITY,
    NEVER,
    PERIOD,
    lifecycle,
    lifecycle_states,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "lifecycle_posthog.json"


def naive(user, interval, start, end, scheme):
    """Return states and moves, user by user and interval by interval."""
    days = {}
    for who, at in zip(user, interval, strict=True):
        days.setdefault(who, set()).add(at)
    states = (*scheme.states, ABSENT)

    def by_gap(gap, names):
        short = [
            name for name, cut in zip(names, scheme.cuts, strict=False) if gap <= cut
        ]
        return short[0] if short else names[-1]

    def state(active, t):
        earlier = [day for day in active if day < t]
        if t in active:
            return by_gap(t - max(earlier), scheme.active) if earlier else "new"
        return by_gap(t - max(earlier), scheme.inactive) if earlier else ABSENT

    moves = np.zeros((end - start, len(states), len(states) - 1), dtype=int)
    for active in days.values():
        for t in range(start, end):
            was, now = state(active, t - 1), state(active, t)
            if now != ABSENT:
                moves[t - start, states.index(was), states.index(now)] += 1
    return moves


@pytest.mark.parametrize("scheme", [PERIOD, ACTIVITY], ids=lambda s: s.name)
def test_states_and_moves_are_those_of_going_through_every_user_and_day(scheme):
    rng = np.random.default_rng(5)
    for _ in range(120):
        m = int(rng.integers(0, 40))
        user, interval = rng.integers(0, 5, m), rng.integers(-40, 45, m)
        order = np.lexsort((interval, user))
        start, end = sorted(rng.choice(np.arange(-20, 50), 2, replace=False))
        found = lifecycle(
            user[order], interval[order], start=start, end=end, scheme=scheme
        )
        want = naive(user, interval, start, end, scheme)
        assert found.moves.tolist() == want.tolist()
        assert found.counts.tolist() == want.sum(axis=1).tolist()


def test_the_golden_case_with_dormant_counted_upwards():
    (case,) = json.loads(GOLDEN.read_text())["cases"]
    names = sorted({event["user"] for event in case["events"]})
    rows = sorted(
        (names.index(event["user"]), datetime.fromisoformat(event["ts"]).toordinal())
        for event in case["events"]
    )
    start, end = (
        date.fromisoformat(case[name]).toordinal() for name in ("date_from", "date_to")
    )
    user, day = zip(*rows, strict=True)
    found = lifecycle(user, day, start=start, end=end + 1)
    for state, counts in case["expected"].items():
        assert found.of(state).tolist() == [abs(n) for n in counts], state


def test_active_less_returning_fell_dormant():
    rng = np.random.default_rng(1)
    user = np.sort(rng.integers(0, 300, 4000))
    interval = rng.integers(0, 60, 4000)
    order = np.lexsort((interval, user))
    found = lifecycle(user[order], interval[order], start=0, end=60)
    active = found.active
    assert (active[:-1] - found.of("returning")[1:]).tolist() == found.of("dormant")[
        1:
    ].tolist()
    assert found.of("new").sum() == len(set(user))


def test_parts_of_the_users_add_up():
    user = np.repeat(np.arange(6), 3)
    interval = np.tile([0, 1, 4], 6)
    whole = lifecycle(user, interval, start=0, end=6)
    parts = [
        lifecycle(user[part], interval[part], start=0, end=6)
        for part in (slice(0, 9), slice(9, 18))
    ]
    assert parts[0].merge(parts[1]).moves.tolist() == whole.moves.tolist()


@pytest.mark.parametrize("scheme", [PERIOD, ACTIVITY], ids=lambda s: s.name)
def test_one_interval_is_read_off_three_numbers(scheme):
    rng = np.random.default_rng(2)
    user = np.sort(rng.integers(0, 200, 900))
    interval = rng.integers(0, 70, 900)
    order = np.lexsort((interval, user))
    user, interval = user[order], interval[order]
    now = 50
    ranked = [np.unique(interval[(user == u) & (interval <= now)]) for u in range(200)]
    codes = lifecycle_states(
        [days[0] if len(days) else NEVER for days in ranked],
        [days[-1] if len(days) else NEVER for days in ranked],
        [days[-2] if len(days) > 1 else NEVER for days in ranked],
        now=now,
        scheme=scheme,
    )
    counted = lifecycle(user, interval, start=now, end=now + 1, scheme=scheme)
    found = np.bincount(codes[codes >= 0], minlength=len(scheme.states))
    assert found.tolist() == counted.counts[0].tolist()


def test_no_activity_is_nobody_in_any_state():
    found = lifecycle([], [], start=0, end=3)
    assert found.counts.tolist() == [[0] * 5] * 3


@pytest.mark.parametrize(
    ("given", "words", "code"),
    [
        (([1], [1], 3, 3), "end is 3, start is 3", "range"),
        (([1, 1], [2, 1], 0, 3), "sorted: False", "bad_activity"),
        (([1, 1], [2], 0, 3), r"shape \(2,\)", "bad_activity"),
    ],
)
def test_refuses_what_cannot_be_counted(given, words, code):
    user, interval, start, end = given
    with pytest.raises(ParameterError, match=words) as info:
        lifecycle(user, interval, start=start, end=end)
    assert info.value.code == code
