"""What is about order in time: too early to say is counted apart."""

from datetime import date

import pytest

from growth.segments import Tag, Value, metrics, rules_of, without
from tests.segments.made import event, tables_of, told

DAY = date(2026, 3, 10)


@pytest.mark.parametrize(
    ("anchor", "want"),
    [
        # as_of ends 12 hours after noon: an A of 2.5 days ago is 3 days old then
        ("last", {"old": (True, False), "young": (False, True), "both": (False, True)}),
        (
            "first",
            {"old": (True, False), "young": (False, True), "both": (True, False)},
        ),
        ("any", {"old": (True, False), "young": (False, True), "both": (True, False)}),
    ],
)
def test_without_is_immature_where_the_wait_is_not_over(anchor, want):
    rules = rules_of(
        Tag("t", [Value("x", without("cart", "pay", within=3, anchor=anchor))])
    )
    rows = {
        "old": [event("cart", 2.5)],
        "young": [event("cart", 2.4)],
        "both": [event("cart", 9), event("cart", 1)],
        "paid": [event("cart", 1), event("pay", 0.5)],
        "none": [event("pay", 1)],
    }
    listed = [row | {"user_id": user} for user, own in rows.items() for row in own]
    found = told(metrics(tables_of(events=listed), rules, as_of=DAY))
    (name,) = (n for n in found["old"] if n.endswith("__immature"))
    told_of = {
        user: (row[name.removesuffix("__immature")], row[name])
        for user, row in found.items()
    }
    assert told_of == want | {"paid": (False, False), "none": (False, False)}
