import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from growth import engine
from growth.engine import QuantileAsk, RankAsk, order_statistics, quantiles, ranks
from growth.errors import ColumnNotFoundError, ParameterError

VALUES = st.lists(
    st.tuples(
        st.sampled_from(["A", "B", None]),
        st.one_of(st.none(), st.just(float("nan")), st.integers(-5, 5).map(float)),
    ),
    min_size=1,
    max_size=60,
)


def made(rows):
    arms, values = zip(*rows, strict=True)
    return pa.table(
        {
            "arm": pa.array(arms, "string"),
            "x": pa.array(values, "float64", from_pandas=False),
        }
    )


@pytest.mark.parametrize("way", ["_selected", "_counted"])
@settings(max_examples=20, deadline=None)
@given(rows=VALUES)
def test_every_rank_of_every_group_is_the_sorted_value(way, rows):
    table = engine.as_table(made(rows))
    asks, wanted = [], []
    for arm in ("A", "B", None):
        own = sorted(
            x for a, x in rows if a == arm and x is not None and not np.isnan(x)
        )
        if own:
            every = tuple(range(1, len(own) + 1))
            asks.append(RankAsk("x", every, len(own), (("arm", arm),)))
            wanted.append(own)
    if asks:
        assert [list(v) for v in getattr(ranks, way)(table, asks)] == wanted


def test_a_million_values_and_integers_beyond_doubles_steps():
    values = np.random.default_rng(1).permutation(1_000_000)
    at = (1, 500_000, 899_999, 900_000, 1_000_000)
    (found,) = order_statistics(pa.table({"x": values}), [RankAsk("x", at, 1_000_000)])
    assert found == tuple(rank - 1 for rank in at)


def test_more_groups_than_one_statement_takes():
    table = pa.table({"g": list(range(150)) * 3, "x": list(range(450))})
    asks = [RankAsk("x", (2,), 3, (("g", g),)) for g in range(150)]
    assert order_statistics(table, asks) == [(150.0 + g,) for g in range(150)]


@pytest.mark.parametrize("portable", [False, True])
def test_thresholds_are_members_of_the_data(portable, monkeypatch):
    if portable:
        monkeypatch.setattr(ranks, "backend_of", lambda _: type("B", (), {"name": ""}))
    table = pa.table({"x": [0] * 90 + list(range(1, 11)), "y": [None] * 100})
    table = table.set_column(1, "y", table["y"].cast("float64"))
    found = quantiles(
        table,
        {
            "all": QuantileAsk("x", 0.9),
            "some": QuantileAsk("x", 0.9, nonzero=True),
            "none": QuantileAsk("y", 0.5),
        },
    )
    assert found == {"all": 0.0, "some": 9.0, "none": None}


def test_misuse_says_what_was_seen():
    table = pa.table({"x": [1.0, 2.0]})
    with pytest.raises(ParameterError, match=r"each must be in 1\.\.n") as info:
        order_statistics(table, [RankAsk("x", (0,), 2)])
    assert info.value.code == "bad_rank"
    with pytest.raises(ParameterError, match="fewer than 3 values"):
        order_statistics(table, [RankAsk("x", (1,), 3, (("x", 9.0),))])
    with pytest.raises(ParameterError, match="above 0 and below 1"):
        quantiles(table, {"q": QuantileAsk("x", 1.0)})
    with pytest.raises(ColumnNotFoundError, match="'y'"):
        order_statistics(table, [RankAsk("y", (1,), 1)])
