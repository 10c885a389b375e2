"""Counted by the kernel or by a group-by: the same answers."""

from datetime import date, datetime, timedelta

import pyarrow as pa
import pytest

from growth import engine
from growth.segments import (
    Tag,
    Value,
    count,
    first,
    lifecycle,
    metrics,
    recency_days,
    rules_of,
    tag,
)
from growth.segments.tables import tallies
from tests.segments import random_rules
from tests.segments.made import NOON, histories, told
from tests.segments.random_rules import AS_OF

DAY = date(2026, 3, 10)


@pytest.fixture
def kernels(monkeypatch):
    """Take the kernel however few rows and questions there are; note its tables."""
    used, answers = [], tallies._answers

    def noted(sources, table, *more):
        used.append(set(table.columns))
        return answers(sources, table, *more)

    def on():
        monkeypatch.setattr(tallies, "MANY", 1)
        monkeypatch.setattr(tallies, "LARGE", 0)
        monkeypatch.setattr(tallies, "_answers", noted)
        return used

    return on


@pytest.mark.parametrize("seed", [11, 12])
def test_random_rules_have_the_same_tags_either_way(seed, kernels):
    rng, _, tables = histories(seed, 80)
    rules = random_rules.tags(rng, 8)
    want = told(tag(tables, rules, as_of=AS_OF))
    used = kernels()
    assert told(tag(tables, rules, as_of=AS_OF)) == want
    assert used


def many(tz="Asia/Shanghai"):
    """Return tags in nested windows, in and without filters."""
    made = []
    for name in ("page_view", "order_pay"):
        where = [{"col": "event", "eq": name}]
        any_of = [{"any": [*where, {"col": "product_id", "eq": "p1"}]}]
        for days in (1, 7, 30, None):
            made += [count("events", where=where, last=days)]
            made += [count("events", where=any_of, last=days)]
        made += [recency_days("events", where=where), lifecycle("events", where=where)]
    made += [first("events", "product_id"), count("events")]
    return rules_of(
        *(
            Tag(f"t{i}", [Value("x", metric.known())], tz=tz)
            for i, metric in enumerate(made)
        )
    )


@pytest.mark.parametrize("tz", ["Asia/Shanghai", "America/New_York"])
def test_metrics_are_the_same_number_by_number_and_type_by_type(tz, kernels):
    _, _, tables = histories(13, 120)
    rules = many(tz)
    want = engine.fetch(metrics(tables, rules, as_of=AS_OF)).sort_by("user_id")
    used = kernels()
    found = engine.fetch(metrics(tables, rules, as_of=AS_OF)).sort_by("user_id")
    assert found.equals(want)
    assert len(used) == 2  # events, and who has an order


def test_users_may_be_integers_with_holes_and_times_naive(kernels):
    rows = pa.table(
        {
            "user_idx": pa.array([3, 900_000_000_000, 3, None], pa.int64()),
            "ts": [NOON.replace(tzinfo=None) - timedelta(days=k) for k in range(4)],
            "event": ["page_view", None, "order_pay", "page_view"],
            "product_id": [None, "p1", None, None],
        }
    )
    want = told_ints(rows)
    kernels()
    assert told_ints(rows) == want
    assert set(want) == {3, 900_000_000_000}


def told_ints(rows):
    found = metrics({"events": rows}, many(), as_of=DAY, user_col="user_idx")
    return {row["user_idx"]: row for row in engine.fetch(found).to_pylist()}


def test_few_questions_or_rows_stay_one_lazy_query(monkeypatch):
    _, _, tables = histories(14, 5)
    monkeypatch.setattr(tallies, "_answers", pytest.fail)
    tag(tables, many(), as_of=AS_OF)  # few rows
    monkeypatch.setattr(tallies, "LARGE", 0)
    tag(tables, rules_of(Tag("t", [Value("x", count("events") >= 1)])), as_of=AS_OF)


def test_more_filters_than_bits_stay_with_the_engine(kernels):
    _, _, tables = histories(15, 20)
    rules = rules_of(
        *(
            Tag(
                f"t{k}",
                [Value("x", count("events", where=[{"col": "dur_ms", "ge": k}]) >= 1)],
            )
            for k in range(tallies.BITS + 1)
        )
    )
    want = told(tag(tables, rules, as_of=AS_OF))
    used = kernels()
    assert told(tag(tables, rules, as_of=AS_OF)) == want
    assert not any("dur_ms" in columns for columns in used)


def test_more_counters_than_a_user_has_room_for_stay_with_the_engine(
    kernels, monkeypatch
):
    _, _, tables = histories(17, 60)
    rules = many()

    def numbers():
        found = engine.fetch(metrics(tables, rules, as_of=AS_OF))
        return found.sort_by("user_id")

    want = numbers()
    used, needed, layout = kernels(), [], tallies._layout

    def noted(*asked):
        made = layout(*asked)
        needed.append(sum(len(own) for _, own in made.counters))
        return made

    monkeypatch.setattr(tallies, "_layout", noted)
    for room, counted in ((tallies.WIDEST, True), (1, False), (None, False)):
        used.clear()
        monkeypatch.setattr(tallies, "WIDEST", room or max(needed) - 1)
        assert numbers().equals(want)
        assert any("event" in columns for columns in used) == counted
    monkeypatch.setattr(tallies, "WIDEST", max(needed))
    assert numbers().equals(want)
    assert any("event" in columns for columns in used)


@pytest.mark.parametrize(
    "where",
    [
        [{"col": "ts", "eq": "2026-03-10T12:00:00+08:00"}],
        [{"col": "event", "eq": "2026-03-10"}],
        [{"col": "event", "in": ["page_view", "2026-03-10"]}],
    ],
)
def test_a_text_that_reads_as_an_instant_is_what_its_column_is(where, kernels):
    rows = pa.table(
        {
            "user_idx": pa.array([1, 2, 3], pa.int64()),
            "ts": [NOON.replace(tzinfo=None) - timedelta(days=k) for k in range(3)],
            "event": ["page_view", "2026-03-10", "x"],
        }
    )
    hit = datetime(2026, 3, 10, 4)  # noon in Shanghai, without its zone
    rows = rows.set_column(1, "ts", pa.array([hit, *rows["ts"].to_pylist()[1:]]))
    rules = rules_of(Tag("t", [Value("x", count("events", where=where) >= 1)]))
    asked = {"as_of": DAY, "user_col": "user_idx"}

    def held():
        found = engine.fetch(tag({"events": rows}, rules, **asked)).to_pylist()
        return {row["user_idx"]: row["t"] for row in found}

    want = held()
    used = kernels()
    assert held() == want
    assert used
    assert "x" in want.values()


@pytest.mark.spark
@pytest.mark.filterwarnings("ignore")
def test_spark_keeps_its_rows(spark, kernels):
    _, _, tables = histories(16, 20)
    there = {
        name: engine.as_table(table, connection=spark) for name, table in tables.items()
    }
    want = told(tag(tables, many(), as_of=AS_OF))
    used = kernels()
    assert told(tag(there, many(), as_of=AS_OF)) == want
    assert not used
