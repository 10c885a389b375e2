"""Cut points: frozen, or not asked for."""

from datetime import date

import pytest

from growth.segments import (
    Tag,
    Value,
    freeze,
    rfm,
    rules_of,
    tag,
)
from growth.segments.context import ContextRequiredError
from tests.segments.made import both, event, order, tables_of, told

DAY = date(2026, 3, 10)


def test_frozen_cuts_without_a_context_are_refused():
    rules = rules_of(Tag("t", [Value("x", rfm(cuts="frozen").equals("champions"))]))
    data = tables_of(orders=[order()])
    with pytest.raises(ContextRequiredError, match="freeze"):
        tag(data, rules, as_of=DAY)
    context = freeze(data, rules, as_of=DAY)
    assert told(tag(data, rules, as_of=DAY, context=context))["u"]["t"] == "none"


def test_nothing_is_frozen_where_nothing_needs_it():
    data = tables_of(orders=[order()], events=[event("x")])
    assert dict(freeze(data, both(), as_of=DAY).yards) == {}
