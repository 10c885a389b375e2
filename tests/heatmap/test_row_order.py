"""Rows come in any order: what is found is the same, however many are tied."""

import json
import random
from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from growth.errors import DataError, ParameterError
from growth.heatmap import (
    aggregate,
    compare,
    elements,
    first_screen,
    frustration,
    scroll,
    suggest_fixed,
    zones,
)
from tests.heatmap.made import log, tap

ARMS = pa.table({"unit_id": [*"abcdef"], "variant": ["A", "B"] * 3})
KINDS = ["tap"] * 4 + [
    "page_view",
    "scroll",
    "impression",
    "app_hide",
    "error",
    "page_leave",
    "other",
]
PLACE = ["x_px", "y_px", "win_w_px"]


def by_element(table, **more):
    return aggregate(table, mode="elements", **more)


def placeless(verb, table):
    return verb(table.drop_columns(PLACE))


VERBS = {
    "map": partial(aggregate, users=True),
    "map by platform": partial(aggregate, by="platform", users=True),
    "map, fixed": partial(aggregate, fixed_elements=["tab"], users=True),
    "by element": by_element,
    "by element, no place": partial(placeless, by_element),
    "first screen": partial(first_screen, fixed_elements=["tab"]),
    "first screen by platform": partial(first_screen, by="platform"),
    "scroll": scroll,
    "scroll by platform": partial(scroll, by="platform"),
    "scroll of users": partial(scroll, unit="user"),
    "elements": elements,
    "elements by platform": partial(elements, by="platform"),
    "elements, no place": partial(placeless, elements),
    "frustration": frustration,
    "frustration by platform": partial(
        frustration, root_capture=True, by="platform", back_ms=2000
    ),
    "fixed": partial(suggest_fixed, least_users=1),
    "zones": partial(zones, page="p"),
    "comparison": partial(compare, page="p", assignments=ARMS, rounds=19),
    "comparison of cells": partial(
        compare, page="p", assignments=ARMS, rounds=19, kind="cells"
    ),
}


def tied(seed):
    """Return a log of which many rows are at one time and one place."""
    rng = random.Random(seed)
    rows = []
    for _ in range(rng.choice([20, 80, 300])):
        row = tap(rng.choice([10, 11, 12, 380, None]), rng.choice([10, 640.0, None]))
        row["user_id"] = rng.choice("abcdef" if len(rows) < 100 else "a")
        row["page_path"] = rng.choice("ppq")
        row["event"] = rng.choice(KINDS)
        row["ts"] = rng.choice([0, 0, 500, 1000, 1000, 1050, 2000, 2500, 6000])
        row["client_y_px"] = rng.choice([10, 11, None])
        row["scroll_y_px"] = rng.choice([0, 300, 900.0, None])
        row["win_w_px"] = rng.choice([375.0, 375.0, 390.0, 768.0, None])
        row["win_h_px"] = rng.choice([600.0, 667.0, None])
        row["page_h_px"] = rng.choice([630.0, 4000.0])
        row["platform"] = rng.choice(["ios", "android", "mac", None])
        row["phase"] = rng.choice(["capture", "bubble", None])
        row["element_id"] = rng.choice(["tab", "buy", None, "x"])
        row["element_index"] = rng.choice([0, 1, None])
        rows.append(row)
    return log(*rows)


def told(verb, table):
    try:
        found = verb(table)
    except (DataError, ParameterError) as error:
        return error.code
    plain = found if isinstance(found, tuple) else found.to_dict()
    return json.dumps(plain, sort_keys=True)


@pytest.mark.parametrize("name", VERBS)
def test_rows_in_any_order_give_the_same(name):
    for seed in range(6):
        table = tied(seed)
        shuffled = table.take(np.random.default_rng(seed).permutation(len(table)))
        assert told(VERBS[name], shuffled) == told(VERBS[name], table), seed


def test_of_taps_at_one_instant_one_stands():
    table = log(tap(1, 1, element_id="icon"), tap(1, 1, element_id="button"))
    for rows in (table, table.take([1, 0])):
        found = by_element(rows).elements
        assert [(e.element_id, e.taps) for e in found] == [("button", 1)]
