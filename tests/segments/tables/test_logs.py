"""What is held by day adds up to the full computation, whatever comes late."""

import json
from dataclasses import replace
from datetime import date, timedelta

import pyarrow as pa
import pytest

from growth import engine
from growth.errors import ParameterError
from growth.segments import (
    Tag,
    Value,
    count,
    distinct,
    distinct_days,
    first,
    greatest,
    last,
    least,
    lifecycle,
    mean,
    overdue,
    recency_days,
    rfm,
    rules_of,
    sequence,
    snapshot,
    tag,
    total,
    without,
)
from growth.segments.tables import logs, tallies
from growth.segments.tables.plan import Plan
from growth.segments.tables.sources import Sources
from tests.segments import random_rules
from tests.segments.made import histories
from tests.segments.random_rules import AS_OF
from tests.segments.tables.test_tallies import many

DAY = timedelta(days=1)
PAID = [{"col": "event", "eq": "order_pay"}]
METRICS = [
    count("events", where=PAID, last=7),
    distinct_days("events", last=30),
    distinct_days("events", where=PAID),
    recency_days("events", where=PAID),
    total("events", "dur_ms", last=7),
    mean("events", "dur_ms", last=30),
    least("events", "dur_ms"),
    greatest("events", "dur_ms", last=7),
    first("events", "product_id", last=30),
    last("events", "product_id", where=PAID),
    distinct("events", "product_id", last=7),
    distinct("events", "product_id", where=PAID),
    count("orders", last=30),
    rfm("r"),
]
TRUTHS = [
    without("add_to_cart", "order_pay", within=3, last=30),
    sequence("page_view", "order_pay", within=7, where=[{"col": "dur_ms", "ge": 5}]),
]


def when(metric):
    """Return a condition that uses a metric."""
    return metric >= 1 if metric.op in ("count", "distinct_days") else metric.known()


METRICS += [lifecycle("events", period=period) for period in ("day", "week", "month")]
RULES = rules_of(
    *(
        Tag(f"m{i}", [Value("x", when(metric))])
        for i, metric in enumerate(METRICS)
        if metric.op not in ("distinct", "sum")
    ),
    *(Tag(f"t{i}", [Value("x", metric)]) for i, metric in enumerate(TRUTHS)),
    *(
        Tag(f"s{i}", [Value("x", metric >= 2)])
        for i, metric in enumerate(METRICS)
        if metric.op in ("distinct", "sum")
    ),
)


# one of each way to hold: partials, rows of a value, rows in order, a yardstick
FEW = rules_of(
    Tag("paid", [Value("x", count("events", where=PAID, last=7) >= 1)]),
    Tag("latest", [Value("x", last("events", "product_id").known())]),
    Tag("several", [Value("x", distinct("events", "product_id", last=7) >= 2)]),
    Tag("left", [Value("x", TRUTHS[0])]),
    Tag("best", [Value("x", rfm("m") >= 3)]),
)


def numbers(tables, rules, day, held):
    """Return every metric of every user, number by number."""
    made = Plan(tables, rules, day, None, "user_id", logs=held)
    table = made.tagged()
    shown = {
        f"n{one.name}_{k}": table[made.column(metric, one)]
        for one in rules
        for k, metric in enumerate(one.used())
    }
    found = table.select("user_id", *rules.names, **shown)
    return engine.fetch(found).sort_by("user_id")


def rows_until(tables, day, hours=8):
    """Return tables as they stood when a local day had ended."""
    events = tables["events"]
    end = pa.scalar(
        (day + DAY - date(1970, 1, 1)) // timedelta(seconds=1) - hours * 3600
    )
    us = events["ts"].cast(pa.int64()).to_numpy()
    return tables | {"events": events.filter(us < end.as_py() * 1_000_000)}


def both_ways(tables, day, root, rules=FEW):
    """Take a snapshot from what is held and one in full: the same bytes."""
    held = snapshot(tables, rules, as_of=day, root=root / "a", incremental=True)
    full = snapshot(tables, rules, as_of=day, root=root / f"b{held.done}")
    assert held.sha256 == full.sha256
    return held


@pytest.fixture
def read(monkeypatch):
    """Note which days are read of the source."""
    days = []
    inner = logs.Log._read

    def noted(self, some):
        days.extend(date(1970, 1, 1) + d * DAY for d in some)
        inner(self, some)

    monkeypatch.setattr(logs.Log, "_read", noted)
    return days


def test_each_day_reads_itself_and_the_lateness_before(tmp_path, read):
    _, _, tables = histories(21, 60)
    for back in (4, 3, 0):
        day = AS_OF - back * DAY
        read.clear()
        found = both_ways(rows_until(tables, day), day, tmp_path)
        assert found.notices == ()
        first = {3: 3, 0: 5}  # over a gap: what was late when it began too
        if back < 4:
            assert read == [day - k * DAY for k in range(first[back], -1, -1)]
        else:
            assert len(read) > 30
    read.clear()
    again = both_ways(tables, AS_OF, tmp_path)
    assert (again.done, read) == ("same", [])


def test_a_day_before_the_first_row_has_nobody_either_way(tmp_path):
    _, _, tables = histories(21, 10)
    before = date(2000, 1, 1)
    both_ways(tables, before, tmp_path)
    both_ways(tables, before + DAY, tmp_path)


def test_a_row_of_a_wrong_clock_makes_no_file_for_each_day_since(tmp_path):
    _, _, tables = histories(21, 10)
    events = tables["events"]
    long_ago = pa.array([0], pa.int64()).cast(events.schema.field("ts").type)
    at = events.column_names.index("ts")
    old = events.slice(0, 1).set_column(at, "ts", long_ago)
    both_ways({**tables, "events": pa.concat_tables([old, events])}, AS_OF, tmp_path)
    held = len(list((tmp_path / "a" / "partials").rglob("*.parquet")))
    assert held < 500  # over twenty thousand days


def test_rows_within_the_lateness_are_taken_and_later_ones_are_told(tmp_path, read):
    _, _, tables = histories(22, 60)
    early = AS_OF - 5 * DAY
    on_time = rows_until(tables, early)["events"]
    late = on_time.slice(0, 3)
    us = ((early - 2 * DAY) - date(1970, 1, 1)) // timedelta(microseconds=1)
    near = pa.array([us] * 3, pa.int64()).cast(on_time.schema.field("ts").type)
    late_near = late.set_column(on_time.column_names.index("ts"), "ts", near)
    both_ways({**tables, "events": on_time}, early, tmp_path)
    grown = pa.concat_tables([on_time, late_near])
    assert not both_ways(
        {**tables, "events": grown}, early + DAY, tmp_path
    ).notices  # two days late
    grown = pa.concat_tables([grown, late])
    read.clear()
    days = {
        (t.astimezone(None) if t.tzinfo is None else t) for t in late["ts"].to_pylist()
    }
    days = {(t + timedelta(hours=8)).date() for t in days}
    assert max(days) < early - 3 * DAY
    told = both_ways({**tables, "events": grown}, early + 2 * DAY, tmp_path)
    (notice,) = told.notices
    assert notice.code == "segments_late_rows"
    assert dict(notice.args) == {
        "table": "events",
        "n": 3,
        "days": len(days),
        "lateness": 3,
    }
    assert days < set(read)
    assert "3" in notice.words("zh")
    # said once: what is held now has them
    assert not both_ways({**tables, "events": grown}, early + 3 * DAY, tmp_path).notices


def test_a_back_dated_day_is_what_that_day_would_have_given(tmp_path, read):
    _, _, tables = histories(23, 60)
    both_ways(tables, AS_OF, tmp_path)
    read.clear()
    past = AS_OF - 9 * DAY
    both_ways(tables, past, tmp_path)
    then = snapshot(rows_until(tables, past), FEW, as_of=past, root=tmp_path / "then")
    now = snapshot(tables, FEW, as_of=past, root=tmp_path / "a", incremental=True)
    assert (now.sha256, now.done) == (then.sha256, "same")
    assert read == []


def in_shanghai(rules):
    """Return tags with their days in one zone, so that days can be held."""
    return rules_of(
        *(
            Tag(t.name, t.values, default=t.default, population=t.population)
            for t in rules
        )
    )


@pytest.mark.parametrize(("seed", "backs"), [(32, (0,)), (34, (2, 0))])
def test_random_rules_are_the_same_from_what_is_held(seed, backs, tmp_path):
    rng, _, tables = histories(seed, 60)
    rules = in_shanghai(random_rules.tags(rng, 3))
    held = logs.Logs(tmp_path, 3)
    for back in backs:
        day = AS_OF - back * DAY
        want = numbers(tables, rules, day, None)
        assert numbers(tables, rules, day, held).equals(want)
    assert any(tmp_path.iterdir())


def test_rules_of_several_zones_are_read_whole(tmp_path):
    rng, _, tables = histories(34, 60)
    rules = random_rules.tags(rng, 3)
    assert len({one.tz for one in rules}) > 1
    want = numbers(tables, rules, AS_OF, None)
    assert numbers(tables, rules, AS_OF, logs.Logs(tmp_path, 3)).equals(want)
    assert not any(tmp_path.iterdir())


def test_every_metric_is_the_same_from_what_is_held(tmp_path):
    _, _, tables = histories(32, 60)
    held = logs.Logs(tmp_path, 3)
    for back in (2, 0):
        day = AS_OF - back * DAY
        want = numbers(tables, RULES, day, None)
        assert numbers(tables, RULES, day, held).equals(want)
    both_ways(tables, AS_OF, tmp_path, RULES)


@pytest.mark.parametrize("tz", ["Asia/Shanghai", "America/New_York"])
def test_days_are_added_up_by_the_kernel_to_the_same_numbers(tz, tmp_path, monkeypatch):
    _, _, tables = histories(27, 60)
    rules = many(tz)
    want = numbers(tables, rules, AS_OF, None)
    monkeypatch.setattr(tallies, "MANY", 1)
    monkeypatch.setattr(tallies, "LARGE", 0)
    used, inner = [], tallies._add_days
    monkeypatch.setattr(
        tallies, "_add_days", lambda *a: (used.append(len(a)), inner(*a))
    )
    room = tallies.WIDEST
    monkeypatch.setattr(tallies, "WIDEST", 1)  # more counters than a user has room for
    slow = numbers(tables, rules, AS_OF, logs.Logs(tmp_path, 3))
    assert slow.equals(want)
    assert not used
    monkeypatch.setattr(tallies, "WIDEST", room)
    found = numbers(tables, rules, AS_OF, logs.Logs(tmp_path, 3))
    assert found.equals(want)
    assert used


def test_windows_and_thresholds_read_nothing_again(tmp_path, read):
    _, _, tables = histories(24, 20)
    for k, days in enumerate((7, 30, 90)):
        rules = rules_of(Tag("t", [Value("x", count("events", last=days) >= k + 1)]))
        tag(tables, rules, as_of=AS_OF, logs=logs.Logs(tmp_path, 3))
        assert bool(read) == (k == 0)
        read.clear()
    other = rules_of(Tag("t", [Value("x", count("events", where=PAID) >= 1)]))
    tag(tables, other, as_of=AS_OF, logs=logs.Logs(tmp_path, 3))
    assert len(read) > 30
    assert len(list(tmp_path.iterdir())) == 1  # what the others held is gone


def test_what_changes_after_its_day_or_asks_for_gaps_is_read_whole(tmp_path):
    _, _, tables = histories(25, 10)
    held = logs.Logs(tmp_path, 3)
    late = replace(overdue(), of="events") | (count("events") >= 1)
    for name, test in (("orders", count("orders") >= 1), ("events", late)):
        rules = rules_of(Tag("t", [Value("x", test)]))
        assert held.hold(Sources(tables, rules, AS_OF, "user_id"), name, []) is None
    two = rules_of(
        Tag("a", [Value("x", count("events") >= 1)]),
        Tag("b", [Value("x", count("events") >= 1)], tz="UTC"),
    )
    assert held.hold(Sources(tables, two, AS_OF, "user_id"), "events", []) is None


def test_a_damaged_manifest_and_a_run_killed_half_way_are_made_good(tmp_path):
    _, _, tables = histories(26, 30)
    both_ways(tables, AS_OF - DAY, tmp_path)
    (manifest,) = (tmp_path / "a").rglob("manifest.json")
    whole = json.loads(manifest.read_text("utf-8"))
    assert sum(rows for rows, _ in whole["days"].values()) > 0
    manifest.write_text("{", "utf-8")
    both_ways(tables, AS_OF, tmp_path)
    assert json.loads(manifest.read_text("utf-8"))["nulls"] == whole["nulls"]


def test_lateness_is_a_number_of_days(tmp_path):
    with pytest.raises(ParameterError, match="lateness is -1") as info:
        snapshot({}, RULES, as_of=AS_OF, root=tmp_path, lateness=-1)
    assert info.value.code == "bad_lateness"
