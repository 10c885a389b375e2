"""Published cases: ours, and every place where ours differs, with the reason."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from growth import funnel
from growth.funnel import kernels
from growth.funnel.plan import code_table
from growth.funnel.steps import FunnelSpec, Step
from tests.funnel import reference

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATE = date(2100, 1, 1)


def cases(name):
    return json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))["cases"]


def each(name):
    found = cases(name)
    return pytest.mark.parametrize("case", found, ids=[case["id"] for case in found])


# what ClickHouse calls its modes, as our arguments
MODES = {
    "strict_order": {"order": "strict"},
    "strict_deduplication": {"repeats": "break"},
    "strict_once": {},  # ours always: one event never fills two steps
    "allow_reentry": {"reentry": "ignore"},
}

# case: the levels we give instead, and why
DEVIATIONS = {
    "ch_one_event_satisfies_three_steps_default": (
        {"1": 1},
        "one tap is not three: an event fills one step, as with strict_once",
    ),
    "ch_strict_order_reentry_off": (
        {"1": 2, "2": 3, "3": 3, "4": 1, "5": 3},
        "user 2's a b a b c holds an unbroken a b c; the engine's own versions differ",
    ),
}


def arguments(case):
    found = {}
    for mode in case["modes"]:
        found |= MODES[mode]
    return found


def level_table(case):
    return pa.table(
        {
            "user_id": [str(e["user"]) for e in case["events"]],
            "ts": [EPOCH + timedelta(microseconds=e["ts"]) for e in case["events"]],
            "event": [str(e["event"]) for e in case["events"]],
        }
    )


def our_levels(case):
    log = level_table(case)
    steps = [str(step["event"]) for step in case["steps"]]
    found = {}
    for user in sorted(set(log["user_id"].to_pylist())):
        result = funnel.measure(
            log.filter(pa.compute.equal(log["user_id"], user)),
            steps=steps,
            start=EPOCH,
            end=LATE,
            as_of=date(2110, 1, 1),
            window=timedelta(microseconds=case["window"]),
            **arguments(case),
        )
        found[user] = sum(step.reached for step in result.steps)
    return found


def reference_levels(case):
    names = [str(step["event"]) for step in case["steps"]]
    rules = reference.Rules(steps=len(names), window=case["window"], **arguments(case))
    found = {}
    for event in case["events"]:
        steps = tuple(i for i, n in enumerate(names) if n == str(event["event"]))
        found.setdefault(str(event["user"]), []).append(
            reference.Event(event["ts"], steps)
        )
    return {
        user: reference.measure(
            [e for e in log if e.steps or rules.order == "strict"], rules
        ).level
        for user, log in sorted(found.items())
    }


@each("funnel_clickhouse_windowfunnel")
def test_levels_are_those_of_window_funnel_or_a_listed_deviation(case):
    expected = case["expected_level_by_user"]
    if case["id"] in DEVIATIONS:
        ours, reason = DEVIATIONS[case["id"]]
        assert ours != expected
        assert reason
        expected = ours
    assert our_levels(case) == expected
    assert reference_levels(case) == expected


def test_every_deviation_names_a_case():
    known = {case["id"] for case in cases("funnel_clickhouse_windowfunnel")}
    assert set(DEVIATIONS) <= known
    assert len(known) == 16


@each("funnel_posthog")
def test_counts_and_times_are_those_of_posthog(case):
    log = pa.table(
        {
            "user_id": [e["user"] for e in case["events"]],
            "ts": [datetime.fromisoformat(e["ts"]) for e in case["events"]],
            "event": [e["event"] for e in case["events"]],
        }
    )
    if "paid" in case["steps"] and case["id"].endswith("pacific"):
        # the first step must be in the data; the second need not be
        assert "paid" not in log["event"].to_pylist()
    result = funnel.measure(
        log,
        steps=case["steps"],
        start=date.fromisoformat(case.get("date_from", "2012-01-01")),
        end=date.fromisoformat(case.get("date_to", "2012-12-31")) + timedelta(days=1),
        as_of=LATE,
        window=timedelta(seconds=case["window_seconds"]),
        order=case["order"],
        tz=case.get("tz", "UTC"),
    )
    expected = case["expected"]
    assert [step.reached for step in result.steps] == expected["count"]
    gaps = {(t.from_step, t.step): t for t in result.times}
    for field, name in (("avg", "mean_s"), ("median", "p50_s")):
        for i, seconds in enumerate(expected.get(f"{field}_conversion_seconds", [])):
            if seconds is not None:
                assert getattr(gaps[i, i + 1], name) == seconds


SEQUENCE = {case["id"]: case for case in cases("sequence_retention_clickhouse_docs")}


def sequence(case, **rules):
    rows = SEQUENCE[case]["input"]
    log = pa.table(
        {
            "user_id": ["u"] * len(rows),
            "ts": [EPOCH + timedelta(seconds=t) for t, _ in rows],
            "event": [str(number) for _, number in rows],
        }
    )
    result = funnel.measure(
        log, steps=["1", "2"], start=EPOCH, end=LATE, as_of=date(2110, 1, 1), **rules
    )
    return [step.reached for step in result.steps]


def test_sequences_are_those_of_the_manual():
    # the fourth case is retention's
    assert set(SEQUENCE) == {
        "ch_seq_skip_unlisted", "ch_seq_listed_breaks", "ch_seq_count", "ch_retention"
    }  # fmt: skip
    assert sequence("ch_seq_skip_unlisted") == [1, 1]
    breaking = [funnel.Exclusion("3", after=1, before=2)]
    assert sequence("ch_seq_listed_breaks", exclude=breaking) == [1, 0]
    assert sequence("ch_seq_count", count="totals") == [2, 2]


@pytest.mark.parametrize("cut", [False, True])
def test_a_session_over_midnight_is_one_unless_cut(cut):
    (case,) = (
        case
        for case in cases("time_semantics")
        if case["id"] == "derived_session_midnight"
    )
    at = [datetime.fromisoformat(e["ts"]) for e in case["events"]]
    base = at[0] - timedelta(days=1)
    t = np.array([(moment - base) // timedelta(microseconds=1) for moment in at])
    midnight = datetime(2026, 6, 1, 16, tzinfo=UTC)  # of Shanghai
    mids = np.array([(midnight - base) // timedelta(microseconds=1)] * cut, np.int64)
    spec = FunnelSpec(
        steps=(Step("a"), Step("b")), start=base, end=at[-1], as_of=at[-1]
    )
    assert code_table(spec).by_name()["a"] == 0
    codes = np.zeros((1, 6), np.int64)
    new = np.zeros(3, np.int64)
    none = np.full(3, -1)
    kernels.breaks(t, np.zeros(3, np.int64), none, codes, 30 * 60_000_000, mids, new)
    sessions = np.split(np.arange(3), np.flatnonzero(new)[1:])
    name = "expected_cut_at_midnight" if cut else "expected_default"
    assert [s.tolist() for s in sessions] == case[name]
