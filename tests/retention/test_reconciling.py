"""Ours beside the platform's."""

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from growth import retention
from growth.errors import DataError, ParameterError
from growth.retention.reconciling import reconcile_from_values
from tests.retention.made import table

RANGE = {"start": date(2026, 3, 2), "end": date(2026, 3, 5)}


def visits():
    events = []
    for day in range(3):
        for user in range(40):
            at = datetime(2026, 3, 2 + day, 2, tzinfo=UTC)
            name = f"{day}-{user}"
            events.append({"user": name, "ts": at, "event": "app_launch"})
            if user < 10:
                later = at + timedelta(days=1)
                events.append({"user": name, "ts": later, "event": "app_show"})
    return table(events)


@pytest.fixture(scope="module")
def result():
    return retention.measure(
        visits(),
        start_event=["app_launch", "app_show"],
        **RANGE,
        as_of=date(2026, 3, 5),
        horizon=14,
    )


def official(result, factor=1.0):
    """Return the platform's table: ours times a factor, and an early, wrong pull."""
    rows = []
    for cell in result.cells:
        if cell.complete and cell.k in (0, 1, 2):
            right = cell.retained_so_far * factor
            rows += [(cell.cohort, cell.k, right, 5), (cell.cohort, cell.k, 1.0, 3)]
    n = len(rows)
    ds, key, value, pulled = zip(*rows, strict=True)
    data = {
        "app_id": ["wx1"] * n,
        "api": ["getDailyRetain"] * n,
        "period": ["day"] * n,
        "ds": pa.array([date.fromisoformat(d) for d in ds]),
        "metric": ["visit_uv_new"] * n,
        "key": [str(k) for k in key],
        "value": list(value),
        "pulled_ts": pa.array([datetime(2026, 3, 20 + p, tzinfo=UTC) for p in pulled]),
    }
    return pa.table(data)


def test_equal_counts_agree_and_the_latest_pull_is_read(result):
    found = retention.reconcile(result, official(result))
    assert found.verdict == "retention.reconcile.agrees"
    assert dict(found.ratios) == {0: 1.0, 1: 1.0}  # at 2 nobody is back: no ratio
    assert found.metric == "visit_uv_new"
    assert found.reasons == ()


def test_what_the_platform_has_not_said_is_none_and_never_zero(result):
    pairs = {
        (p.cohort, p.k): p for p in retention.reconcile(result, official(result)).pairs
    }
    assert pairs["2026-03-04", 2].official is None
    assert pairs["2026-03-04", 2].ours is None
    assert {k for _, k in pairs} == {*range(8), 14}
    assert pairs["2026-03-02", 1].difference == 0


@pytest.mark.parametrize(
    ("factor", "first"), [(1.2, "consent"), (0.8, "short_history")]
)
def test_a_difference_comes_with_its_likelier_causes_first(result, factor, first):
    found = retention.reconcile(result, official(result, factor))
    assert found.verdict == "retention.reconcile.differs"
    assert found.reasons[0] == first
    assert len(found.reasons) == 5
    wide = retention.reconcile(result, official(result, factor), tolerance=0.3)
    assert wide.verdict == "retention.reconcile.agrees"


def test_several_apps_are_added_up_and_said(result):
    one = official(result)
    two = one.set_column(0, "app_id", pa.array(["wx2"] * one.num_rows))
    both = pa.concat_tables([one, two])
    found = retention.reconcile(result, both)
    assert "several_apps" in {notice.code for notice in found.notices}
    assert found.reasons[0] == "several_apps"
    alone = retention.reconcile(result, both, app_id="wx1")
    assert alone.verdict == "retention.reconcile.agrees"


def test_no_common_day_is_nothing_to_compare(result):
    other = official(result).slice(0, 0)
    found = retention.reconcile(result, other)
    assert found.verdict == "retention.reconcile.nothing"
    assert "no_official_days" in {notice.code for notice in found.notices}


def test_every_visit_is_compared_with_all_visitors():
    result = retention.measure(
        visits(),
        start_event=["app_launch", "app_show"],
        **RANGE,
        as_of=date(2026, 3, 5),
        mode="every",
    )
    found = reconcile_from_values(result, {("2026-03-03", 0): 50.0})
    assert found.metric == "visit_uv"
    assert dict(found.ratios) == {0: 1.0}


@pytest.mark.parametrize(
    "asked",
    [
        {"period": "week"},
        {"clock": "rolling_24h"},
        {"match": "on_or_after"},
        {"brackets": [1, 3]},
        {"mode": "first_in_range"},
        {"min_occurrences": 2},
        {"tz": "UTC"},
    ],
)
def test_only_what_is_counted_alike_is_compared(asked):
    result = retention.measure(visits(), **RANGE, as_of=date(2026, 3, 5), **asked)
    with pytest.raises(ParameterError, match="must be") as info:
        reconcile_from_values(result, {})
    assert info.value.code == "not_comparable"


def test_counts_without_days_impossible_values_and_tolerances_are_refused(result):
    counts = retention.measure_from_counts({"d": 5}, {})
    with pytest.raises(ParameterError, match="from counts") as info:
        reconcile_from_values(counts, {})
    assert info.value.code == "not_comparable"
    with pytest.raises(DataError, match="must be 0 or more") as bad:
        reconcile_from_values(result, {("2026-03-02", 1): -1.0})
    assert bad.value.code == "bad_counts"
    with pytest.raises(ParameterError, match="tolerance is 0") as info:
        reconcile_from_values(result, {}, tolerance=0)
    assert info.value.code == "range"


def test_the_benchmark_is_a_line_with_its_evidence():
    found = retention.benchmark("fresh_food")
    assert (found.k, found.rate, found.evidence) == (1, 0.23, "unsourced")
    with pytest.raises(ParameterError, match="Did you mean 'apparel'") as info:
        retention.benchmark("aparel")
    assert info.value.code == "unknown_industry"
