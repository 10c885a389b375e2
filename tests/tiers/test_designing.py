from datetime import date

import pytest

from growth import tiers
from growth.errors import ParameterError
from growth.tiers import simulation
from growth.tiers.designing import Against
from tests.tiers import made

NOW = tiers.load_programme({"tiers": made.TIERS})
NEW = NOW.change({"tiers.1.min_spend_fen": 30_000, "points.redeem.block": 50})
ASSUMED = {
    "months": 3, "replications": 3, "seed": 7, "margin_rate": 0.3, "redemption": 0.5,
}  # fmt: skip


@pytest.fixture(scope="module")
def people():
    return tiers.Population.from_priors(
        150,
        buying=(0.8, 60.0, 0.8, 2.5),
        spending=(6.0, 4.0, 40_000.0),
        as_of=date(2025, 12, 31),
        seed=3,
    )


@pytest.mark.parametrize("beta", [(), ((0.0, 0.0), (0.1, 0.05))])
def test_it_is_what_compare_says_to_the_bit(people, beta):
    how = {**ASSUMED, "response": tiers.Response(beta=beta)}
    against = Against(people, NOW, **how)
    for other in (NEW, NOW, NEW.change({"tiers.2.earn_multiplier": "2"})):
        plain = tiers.compare(people, {"now": NOW, "new": other}, **how)
        quick = against.compare(other)
        assert quick.differences == plain.differences
        assert quick.notices == plain.notices
        assert quick.simulation.rows() == plain.simulation.rows()


def test_the_present_programme_runs_once(people, monkeypatch):
    ran = []
    once = simulation.run_totals

    def noted(population, programmes, *rest, **more):
        ran.append(list(programmes))
        return once(population, programmes, *rest, **more)

    monkeypatch.setattr(simulation, "run_totals", noted)
    against = Against(people, NOW, **ASSUMED)
    against.compare(NEW)
    against.compare(NOW)
    assert ran == [["now"], ["new"], ["new"]]


def test_assumptions_out_of_range_are_refused_at_once(people):
    with pytest.raises(ParameterError, match="margin_rate"):
        Against(people, NOW, **ASSUMED | {"margin_rate": 30})
