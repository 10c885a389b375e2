"""Members in Spark's tasks: the same kernel, and so the same bits."""

import numpy as np
import pytest

from growth import engine
from growth.errors import DataError
from growth.tiers import Response, compare, fit, load_programme, replay, simulate
from tests.tiers import made
from tests.tiers.test_replay import AS_OF, TWO, orders
from tests.tiers.test_simulate import ASSUMED, people

PROGRAMME = load_programme({"tiers": made.TIERS})

pytestmark = pytest.mark.spark


def test_a_simulation_on_spark_is_the_same_to_the_bit(spark):
    there, here = (
        simulate(people(300), PROGRAMME, replications=2, months=3, chunk=170,
                 connection=c, **ASSUMED)
        for c in (spark, None)
    )  # fmt: skip
    sums = [run.scenarios[0].totals.sums for run in (there, here)]
    assert (sums[0] == sums[1]).all()
    assert sums[0].sum() > 0
    assert there.rows() == here.rows()


def test_a_comparison_on_spark_has_the_same_differences(spark):
    other = PROGRAMME.change({"tiers.1.min_spend_fen": 20_000})
    keen = Response(beta=[(0, 0), (0.2, 0.1)])
    there, here = (
        compare(people(200), {"now": PROGRAMME, "new": other}, replications=2,
                months=2, response=keen, connection=c, **ASSUMED)
        for c in (spark, None)
    )  # fmt: skip
    assert there.rows() == here.rows()


def test_orders_are_read_from_spark(spark):
    table = orders(TWO)
    there = replay(engine.as_table(table, connection=spark), PROGRAMME, as_of=AS_OF)
    assert there.rows() == replay(table, PROGRAMME, as_of=AS_OF).rows()
    fitted = [
        fit(t, as_of=AS_OF, seed=1, generators=["repeat"])
        for t in (engine.as_table(table, connection=spark), table)
    ]
    assert np.array_equal(fitted[0].past.value, fitted[1].past.value)
    assert fitted[0].ids.tolist() == fitted[1].ids.tolist() == ["a", "b"]


def test_our_own_refusals_come_back_from_a_task(spark):
    def refuse(part):
        raise DataError(f"part {part} is bad; it must be good; mend it.", code="bad")

    with pytest.raises(DataError, match="part 7 is bad") as info:
        list(engine.spread(refuse, [7], connection=spark))
    assert info.value.code == "bad"
