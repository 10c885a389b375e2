"""The bits that stand ready give what the events give."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from growth import engine, retention
from growth.engine import layouts
from growth.retention import counting
from tests.retention.made import log, table

KINDS = {
    "active": (),
    "open": {"col": "event", "eq": "open"},
    "back": {"col": "event", "in": ["pay", "share"]},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a log of 150 days, day by day, with its layouts."""
    events = tmp_path_factory.mktemp("data") / "events"
    events.mkdir()
    rows = table(log(np.random.default_rng(7), users=500, rows=1800, days=150))
    days = np.array(rows["ts"].cast(pa.int64())) // 86_400_000_000
    for day in np.unique(days):
        pq.write_table(rows.filter(pa.array(days == day)), events / f"{day}.parquet")
    layouts.refresh(events, kinds=KINDS, log=False)
    return events


@pytest.fixture
def used(monkeypatch):
    """Return a list that grows with each use of the bits."""
    calls = []
    original = counting.Ask.from_bits

    def watched(*args, **options):
        calls.append(1)
        return original(*args, **options)

    monkeypatch.setattr(counting.Ask, "from_bits", watched)
    return calls


@pytest.mark.parametrize("mode", ["first_ever", "first_in_range", "every"])
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"start_event": "open", "return_event": ["pay", "share"]},
        {"period": "week", "match": "on_or_after"},
        {"start_event": "open", "brackets": [1, 3, 8], "tz": "Asia/Shanghai"},
    ],
)
def test_bits_that_stand_ready_change_nothing(folder, used, mode, asked):
    begin = date(2026, 3, 1) + timedelta(days=45)
    edges = {"start": begin, "end": begin + timedelta(days=63)}
    asked = {"as_of": date(2026, 7, 10), "mode": mode, **edges, **asked}
    quick = retention.measure(folder, **asked)
    assert used == [1]
    slow = retention.measure(engine.as_table(folder), **asked)
    assert used == [1]
    assert quick == slow
    assert quick.users > 10


@pytest.mark.parametrize(
    "asked",
    [
        {"start_event": "pay"},  # a kind that was not built
        {"by": "event"},
        {"clock": "rolling_24h"},
        {"min_occurrences": 2},
    ],
)
def test_what_bits_cannot_say_is_read_from_events(folder, used, asked):
    edges = {"start": date(2026, 4, 1), "end": date(2026, 5, 1)}
    result = retention.measure(folder, as_of=date(2026, 6, 1), **edges, **asked)
    assert used == []
    assert result.users > 0


def test_stale_bits_are_said_and_not_used(folder, used, tmp_path):
    import shutil

    copy = tmp_path / "events"
    shutil.copytree(folder, copy)
    shutil.copytree(layouts.folder_of(folder), layouts.folder_of(copy))
    first = min(copy.glob("*.parquet"))
    pq.write_table(pq.read_table(first).slice(1), first)
    edges = {"start": date(2026, 4, 1), "end": date(2026, 5, 1)}
    result = retention.measure(copy, as_of=date(2026, 6, 1), **edges)
    assert used == []
    assert "layout_stale" in {notice.code for notice in result.notices}
