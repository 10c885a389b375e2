"""Public data, through the package's own way of opening it."""

from datetime import date
from pathlib import Path

import pytest

import growth
from growth import retention

pytestmark = pytest.mark.real_data

MAPPINGS = Path(__file__).parents[1] / "dataset" / "mappings"


@pytest.fixture(scope="module")
def uci(real_data, tmp_path_factory):
    return growth.open(
        real_data("uci_online_retail_invoices.parquet"),
        mapping=MAPPINGS / "uci_orders.toml",
        cache=tmp_path_factory.mktemp("cache"),
    )


def test_the_first_buyers_of_december_and_those_who_bought_in_january(uci):
    result = retention.measure(
        uci.orders,
        ts_col="pay_ts",
        period="month",
        start=date(2010, 12, 1),
        end=date(2011, 12, 1),
        as_of=date(2011, 11, 30),
        horizon=11,
        tz="Europe/London",
    )
    assert result.cohorts[0] == "2010-12-01"
    assert result.sizes[0][0] == 885
    assert result.so_far[0][0][0] == 324
    assert sum(result.sizes[0]) == 4_297
    assert "history_short" in {notice.code for notice in result.notices}
