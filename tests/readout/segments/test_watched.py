"""Tags at two dates: what one date hides, and what is not laid over others."""

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from growth import segments
from growth.readout.segments.watched import (
    Watched,
    cell_of,
    hidden_of,
    overlap_of,
    sizes_of,
    tagged,
    watch,
)

DAY = date(2026, 2, 28)
LIMITS = {"min_size": 50, "min_cell": 10}
GROUPS = (("a", 16, 40), ("b", 14, 60), ("c", 5, 200), ("d", 1, 30))  # by day


@pytest.fixture
def watched():
    users = 600
    tagged = pa.table(
        {
            "user_id": [f"u{i}" for i in range(users)],
            "frequency": ["few" if i < 20 else "none" if i % 3 else "some"
                          for i in range(users)],
            "reach": ["open" if i % 2 else "shut" for i in range(users)],
        }
    )  # fmt: skip
    sizes = {
        name: segments.sizes(tagged, name, min_size=50)
        for name in ("frequency", "reach")
    }
    return Watched(tagged, sizes, sizes, segments.movement(tagged, tagged, "frequency"))


def test_only_segments_whose_size_is_told_are_laid_over_each_other(watched):
    sizes = watched.sizes["frequency"]
    assert hidden_of(sizes) == ["few", "some"]  # the next smallest, or it would follow
    assert cell_of(sizes, "none").users > 50
    pairs = [("frequency", "none"), ("reach", "open"), ("frequency", "some")]
    found = overlap_of(watched, pairs, **LIMITS)
    assert found.segments == ("frequency=none", "reach=open")
    assert overlap_of(watched, pairs[::-1], **LIMITS) is None  # the first is hidden
    assert overlap_of(watched, [*pairs[:1], ("nowhere", "x")], **LIMITS) is None


@pytest.fixture
def shop():
    """Orders of 330 people, and a tag of how long ago they were."""
    rows = [
        (f"{kind}{i}", datetime(2026, 2, day, 4, tzinfo=UTC))
        for kind, day, people in GROUPS
        for i in range(people)
    ]
    orders = pa.table(
        {
            "order_id": [f"o{i}" for i in range(len(rows))],
            "user_id": [user for user, _ in rows],
            "pay_ts": [at for _, at in rows],
        }
    )
    recent = segments.Tag(
        "recent",
        values=[
            segments.Value("now", segments.recency_days("orders") <= 5),
            segments.Value("lately", segments.recency_days("orders") <= 10),
        ],
        default="long_ago",
    )
    return {"orders": orders}, segments.rules_of(recent)


@pytest.mark.parametrize(("back", "also"), [(2, True), (8, False)])
def test_what_a_near_date_hides_is_hidden_too(shop, back, also):
    opened, rules = shop
    day = date(2026, 2, 23)
    context = segments.freeze(opened, rules, as_of=day)
    days = (day - timedelta(days=back), day)
    then, now = (tagged(opened, rules, as_of=d, context=context) for d in days)
    found = watch(then, now, rules, "recent", days=days, **LIMITS)
    before, after = found.before["recent"], found.sizes["recent"]
    assert hidden_of(before)
    if also:
        assert set(hidden_of(before)) <= set(hidden_of(after))
    else:
        assert hidden_of(after) == []
    assert (found.movement.first_as_of, found.movement.second_as_of) == (
        before.as_of, after.as_of,
    )  # fmt: skip


def test_a_tag_of_many_values_shows_those_that_anybody_has():
    values = [segments.Value(f"v{i}", segments.count("orders") >= 40 - i)
              for i in range(20)]  # fmt: skip
    rules = segments.rules_of(segments.Tag("many", values=values, default="none"))
    tagged = pa.table({"user_id": ["a", "b"], "many": ["v3", "none"]})
    found = sizes_of(tagged, rules, "many", as_of=DAY, min_size=1)
    assert {cell.value for cell in found.cells} == {"v3", "none"}
