"""Public data through the mappings that the A/B readout tests use too."""

from collections import defaultdict

import pytest

import growth
from tests.dataset.fixtures import MAPPINGS, noted

pytestmark = pytest.mark.real_data


def opened(real_data, tmp_path_factory, mapping, name):
    cache = tmp_path_factory.mktemp("cache")
    return growth.open(real_data(name), mapping=MAPPINGS / mapping, cache=cache)


@pytest.fixture(scope="module")
def cookie_cats(real_data, tmp_path_factory):
    return opened(real_data, tmp_path_factory, "cookie_cats.toml", "cookie_cats.csv")


@pytest.fixture(scope="module")
def udacity(real_data, tmp_path_factory):
    name = "udacity_ab_data.csv.zip"
    return opened(real_data, tmp_path_factory, "udacity.toml", name)


def means(units, *columns):
    measures = {name: units[name].mean() for name in columns}
    table = units.group_by("variant").agg(n=units.count(), **measures)
    return {row["variant"]: row for row in table.to_pyarrow().to_pylist()}


def test_cookie_cats_has_its_published_rates(cookie_cats):
    assert cookie_cats.load_report.verdict == "dataset.load.clean"
    found = means(cookie_cats.units, "retention_1", "retention_7")
    assert sum(row["n"] for row in found.values()) == 90_189
    thirty, forty = found["gate_30"], found["gate_40"]
    assert thirty["retention_1"] == pytest.approx(0.4482, abs=5e-5)
    assert forty["retention_1"] == pytest.approx(0.4423, abs=5e-5)
    assert thirty["retention_7"] == pytest.approx(0.1902, abs=5e-5)
    assert forty["retention_7"] == pytest.approx(0.1820, abs=5e-5)
    assert cookie_cats.units.sum_gamerounds.max().to_pyarrow().as_py() == 49_854


def test_udacity_sets_apart_what_disagrees(udacity):
    report = udacity.load_report
    assert report.rows_in == 294_478
    assert report.rejected == {"inconsistent": 3_893, "duplicate_key": 1}
    assert report.accepted == 290_584
    assert report.max_reject_rate == 0.02
    assert "reject_rate_stated" in noted(report)


def test_udacity_has_its_published_rates(udacity):
    found = means(udacity.units, "converted")
    assert found["control"]["converted"] == pytest.approx(0.120386, abs=5e-7)
    assert found["treatment"]["converted"] == pytest.approx(0.118808, abs=5e-7)
    days = udacity.units.exposure_ds.nunique().to_pyarrow().as_py()
    assert days == 23  # 2 to 24 January 2017


def test_udacity_rejects_name_the_doubled_user(udacity):
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    rejects = pq.read_table(udacity.rejects_file)
    assert rejects.num_rows == 3_894
    twice = rejects.filter(pc.equal(rejects["reason"], "duplicate_key")).to_pylist()
    assert [(row["row_no"], row["column"]) for row in twice] == [(2_894, "unit_id")]
    assert twice[0]["seen"] == "masked, 6 characters"  # user 773192
    odd = rejects.filter(pc.equal(rejects["reason"], "inconsistent"))
    assert set(odd["seen"].to_pylist()) == {"group and landing_page disagree"}


def test_uci_buyers_come_back_as_published(real_data, tmp_path_factory):
    name = "uci_online_retail_invoices.parquet"
    data = opened(real_data, tmp_path_factory, "uci_orders.toml", name)
    report = data.load_report
    assert report.rejected["not_an_event"] == 3_654  # the cancelled invoices
    assert set(report.rejected) == {"not_an_event", "bad_money"}
    assert report.rejected["bad_money"] == 4  # finer than a penny
    assert noted(report)["money_rounded"] > 1_000
    orders = data.orders.select("user_id", "ds", "paid_fen").to_pyarrow().to_pylist()
    months = defaultdict(set)
    for row in orders:
        months[row["ds"].strftime("%Y-%m")].add(row["user_id"])
    assert len(months["2010-12"]) == 885
    assert len(months["2010-12"] & months["2011-01"]) == 324
    gross = sum(row["paid_fen"] for row in orders)
    assert gross == pytest.approx(891_000_000, rel=0.001)
