import dataclasses
import itertools
import json
from datetime import date, timedelta

import numpy as np
import pytest

from growth.errors import ParameterError
from growth.tiers import (
    NO_RESPONSE,
    Habits,
    Ledger,
    Population,
    Response,
    load_programme,
    search,
)
from growth.tiers.population import Past
from growth.tiers.simulation import simulate_scenarios

AS_OF = date(2025, 12, 31)
PROGRAMME = load_programme(
    {
        "tiers": [
            {"name": "普通", "min_spend_fen": 0},
            {"name": "银卡", "min_spend_fen": 60_000, "earn_multiplier": "1.5"},
        ],
        "points": {"redeem": {"block": 100, "value_fen": 100}},
    }
)
GIVEN = {"margin_rate": 0.3, "redemption": 0.5, "seed": 5, "months": 3,
         "replications": 4}  # fmt: skip
KEEN = Response(beta=[(0, 0), (0.4, 0.02)])


def people(members=600):
    return Population.from_priors(
        members, buying=(2.0, 60.0, 0.0, 1.0), spending=(6.0, 4.0, 60_000.0),
        as_of=AS_OF, seed=3, habits=Habits(refund_rate=0.05),
    )  # fmt: skip


def test_a_search_without_a_stated_response_is_refused():
    with pytest.raises(ParameterError, match="or the meanest programme wins") as info:
        search(people(5), PROGRAMME, grid={"points.login": [1]}, **GIVEN)
    assert info.value.code == "response_prior_required"
    assert "NO_RESPONSE on purpose" in str(info.value)


def test_without_a_response_the_meanest_programme_wins():
    found = search(
        people(), PROGRAMME, grid={"tiers.1.earn_multiplier": ["1", "3"]},
        response=NO_RESPONSE, **GIVEN,
    )  # fmt: skip
    assert found.candidates[0].changes == (("tiers.1.earn_multiplier", "1"),)
    assert found.candidates[-1].changes == (("tiers.1.earn_multiplier", "3"),)
    assert found.candidates[-1].separable
    assert found.verdict == "tiers.search.one"
    assert "no_behavioural_effect" in {notice.code for notice in found.notices}


def test_with_a_keen_response_a_lower_threshold_wins():
    found = search(
        people(), PROGRAMME, grid={"tiers.1.min_spend_fen": [10_000, 500_000]},
        response=KEEN, **GIVEN,
    )  # fmt: skip
    best, *_, worst = found.candidates
    assert dict(best.changes) == {"tiers.1.min_spend_fen": 10_000}
    assert dict(worst.changes) == {"tiers.1.min_spend_fen": 500_000}
    assert worst.behind > 0 == best.behind
    rows = found.rows()
    assert [set(row) for row in rows] == [set(rows[0])] * 3
    assert [row["tiers.1.min_spend_fen"] for row in rows] == ["10000", None, "500000"]
    assert "tiers.1.min_spend_fen" in found.to_html("zh")
    assert best.value - worst.value == pytest.approx(worst.behind)
    for one in found.candidates:  # what is drawn is what decides
        assert one.span.lo <= one.behind <= one.span.hi
        assert one.separable == (one.span.lo > 0)
    assert best.span == (0, 0)
    once = search(
        people(50), PROGRAMME, grid={"tiers.1.min_spend_fen": [10_000]},
        response=KEEN, **GIVEN | {"replications": 1},
    )  # fmt: skip
    assert len(once.candidates) == 2
    assert once.verdict == "tiers.search.several"  # one draw tells nothing apart
    for one in once.candidates:
        assert one.span is one.se is None
        assert not one.separable
    assert once.candidates[1].behind > 0
    assert "several programmes" in once.to_html("en").lower()
    json.dumps(once.to_dict(), allow_nan=False)
    assert "one_replication" in {notice.code for notice in once.notices}
    again = search(
        people(), PROGRAMME, grid={"tiers.1.min_spend_fen": [10_000, 500_000]},
        response=KEEN, threads=3, **GIVEN,
    )  # fmt: skip
    assert again.rows() == found.rows()


def test_equal_candidates_are_never_told_apart():
    found = search(
        people(), PROGRAMME, grid={"points.login": [5, 6]}, response=NO_RESPONSE,
        **GIVEN,
    )  # fmt: skip
    assert found.verdict == "tiers.search.several"
    assert len(found.best) == 3  # nobody logs in
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert len(told["best"]) == 3
    assert "refused" in told


def test_what_is_no_programme_is_counted_and_constraints_hold():
    three = PROGRAMME.change(
        {"tiers": [*PROGRAMME.to_dict()["tiers"],
                   {"name": "金卡", "min_spend_fen": 90_000, "earn_multiplier": "2"}]}
    )  # fmt: skip
    seen = []

    def few(means):
        seen.append(means)
        return means["share_above_first"] < 0.2

    found = search(
        people(200), three, grid={"tiers.1.min_spend_fen": [80_000, 95_000]},
        response=KEEN, constraint=few, **GIVEN,
    )  # fmt: skip
    assert found.refused == 1  # 95 000 and then 90 000 would fall
    assert len(found.candidates) == len(seen) == 2
    assert {"margin_fen", "liability_fen", "share_above_first"} <= seen[0].keys()
    none = search(
        people(200), three, grid={"points.login": [1]}, response=KEEN,
        constraint=lambda means: means["orders"] < 0, **GIVEN,
    )  # fmt: skip
    assert none.verdict == "tiers.search.none"
    assert none.best == ()


S, E = "tiers.1.min_spend_fen", "tiers.1.earn_multiplier"
CAPPED = ("purchase", "review", "login", "all")


@pytest.mark.parametrize(
    ("grid", "code", "message"),
    [
        ({}, "bad_grid", "grid has 0 combinations"),
        (["points.login"], "bad_grid", "it must map key paths to lists of values"),
        ({"points.login": 5}, "bad_grid", "write {'tiers.1.min_spend_fen'"),
        ({"points.login": "5"}, "bad_grid", "to lists of values"),
        ({"points.login": range(501)}, "bad_grid", "it must have 1 to 500"),
        ({"points.login": itertools.count()}, "bad_grid", "has more than 500 comb"),
        (
            {f"points.caps.{kind}.per_day": range(400) for kind in CAPPED},
            "bad_grid",
            "has more than 500 combinations",
        ),
        ({1: [1]}, "bad_grid", "it must map key paths"),
        ({"tiers": [1], S: [40_000]}, "bad_grid", f"names 'tiers' and '{S}'; each"),
        ({S: [1], "tiers[1].min_spend_fen": [2]}, "bad_grid", "leave one of the two"),
        ({S: [0], "points.login": [1, 2]}, "bad_grid", "2 combinations and none is a"),
        ({E: [1.25, 1.5]}, "multiplier_out_of_range", "is 1.25; it must be decimal t"),
        ({E: np.arange(1, 3)}, "multiplier_out_of_range", "is 1; it must be decimal"),
        ({E: ["2", "abc"]}, "multiplier_out_of_range", "is 'abc'; it must be decimal"),
        ({E: [None]}, "multiplier_out_of_range", "is None; it must be decimal text"),
        ({S: [40_000, 0.5]}, "money_not_integer", "is 0.5; it must be whole fen"),
        ({S: [0], E: [1.5]}, "multiplier_out_of_range", "1.5; it must be decimal"),
        ({"tiers.0.min_spend_fen": [5]}, "first_tier_not_open", "it must be open to"),
        ({"points.logins": [1]}, "unknown_field", "mean 'login'"),
    ],
)
def test_a_grid_that_leads_nowhere_is_refused(grid, code, message):
    with pytest.raises(ParameterError, match=message) as info:
        search(people(5), PROGRAMME, grid=grid, response=KEEN, **GIVEN)
    assert info.value.code == code


def test_numpys_integers_are_values_and_equal_programmes_are_listed_once():
    found = search(
        people(100), PROGRAMME, response=NO_RESPONSE,
        grid={S: np.array([60_000, 30_000, 30_000]), E: ["1.5", "1.50"]}, **GIVEN,
    )  # fmt: skip
    changes = [one.changes for one in found.candidates]
    assert sorted(changes) == [(), ((S, 30_000), (E, "1.5"))]
    assert type(dict(max(changes))[S]) is int
    assert found.refused == 0
    one = search(
        people(100), PROGRAMME, response=NO_RESPONSE, grid={S: [60_000]}, **GIVEN
    )
    assert [c.changes for c in one.candidates] == [()]
    assert json.dumps(found.to_dict(), allow_nan=False)


def test_combinations_that_go_wrong_together_are_counted_and_the_rest_is_tried():
    given = {
        "points.pending_days": [0, 60],
        "points.validity.months": [1, 12],
        "points.validity.round": ["none"],
        "qualify.window.kind": ["rolling", "calendar"],
        "qualify.window.months": [5, 6],
    }
    found = search(people(50), PROGRAMME, grid=given, response=NO_RESPONSE, **GIVEN)
    # of 16, four wait longer than points live; of the others a quarter has five
    # months in a calendar window
    assert found.refused == 4 + 3
    assert len(found.candidates) == 1 + 16 - 7


@pytest.mark.parametrize(
    ("constraint", "code", "message"),
    [
        (5, "bad_constraint", "constraint is 5; it must be a function"),
        ("margin_fen > 0", "bad_constraint", "write lambda means"),
        (lambda m: m["foo"] > 0, "unknown_metric", "reads 'foo'; it must be one of"),
        (lambda m: m["margin"] > 0, "unknown_metric", "Did you mean 'margin_fen'"),
    ],
)
def test_a_constraint_that_cannot_be_is_refused(constraint, code, message):
    with pytest.raises(ParameterError, match=message) as info:
        search(
            people(5), PROGRAMME, grid={"points.login": [2]}, response=NO_RESPONSE,
            constraint=constraint, **GIVEN,
        )  # fmt: skip
    assert info.value.code == code


def with_a_past(members=40):
    """Members who ordered, so that they hold points, some of them pending."""
    last = (AS_OF - date(1970, 1, 1)).days
    rng = np.random.default_rng(2)
    day = np.sort(last - rng.integers(0, 300, (members, 3)), axis=1)
    past = Past(
        np.arange(members + 1) * 3, day.reshape(-1).astype(np.int32),
        rng.integers(5_000, 60_000, members * 3),
    )  # fmt: skip
    made = dataclasses.replace(
        people(members), past=past, joined=past.day[past.at[:-1]],
    )  # fmt: skip
    return made, past


def test_a_candidates_value_is_margin_less_the_change_in_liability():
    """What points owed at the start is told by the ledger; it is nobody's doing."""
    programme = PROGRAMME.change({"points.pending_days": 14})
    who, past = with_a_past()
    held = 0
    for member in range(who.members):
        rows = range(past.at[member], past.at[member + 1])
        days = [date(1970, 1, 1) + timedelta(days=int(past.day[k])) for k in rows]
        ledger = Ledger(programme, joined=days[0])
        for k, on in zip(rows, days, strict=True):
            ledger.append({"ts": on, "kind": "purchase", "order_id": str(k),
                           "paid_fen": int(past.value[k])})  # fmt: skip
        ledger.append({"ts": AS_OF, "kind": "close"})
        counters = ledger.state.counters()
        assert counters["debt"] == 0
        held += counters["active"] + counters["pending"]
    found = search(
        who, programme, response=KEEN, **GIVEN,
        grid={"points.redeem.value_fen": [50, 200]},
    )  # fmt: skip
    tried = {"0": programme} | {
        str(i): one.programme
        for i, one in enumerate(found.candidates, 1)
        if one.changes
    }
    run = simulate_scenarios(
        who, tried, start=None, response=KEEN, split=False, **GIVEN
    )  # fmt: skip
    died, used = (
        run.scenarios[0].totals.of(n).sum(axis=(1, 2, 3))
        for n in ("expired", "redeemed")
    )
    assert (used > 0).all()
    opening = held * 100 / 100 * (1 - died / (died + used))
    assert opening == pytest.approx(run.scenarios[0].opening_liability(), abs=1)
    assert opening.min() > 10_000
    values = {}
    for one in run.scenarios:
        change = one.metric("liability_fen") - opening
        values[one.programme.compiled] = one.metric("margin_fen") - change
    best = max(values.values(), key=np.mean)
    for one in found.candidates:
        mine = values[one.programme.compiled]
        assert one.value == pytest.approx(mine.mean(), abs=1)
        assert one.behind == pytest.approx((best - mine).mean(), abs=1e-6)
        assert one.se == pytest.approx((best - mine).std(ddof=1) / 2, abs=1e-6)


def test_who_has_no_past_owes_nothing_at_the_start():
    who = people(50)
    run = simulate_scenarios(
        who, {"now": PROGRAMME}, start=None, response=NO_RESPONSE, **GIVEN
    )
    assert (run.scenarios[0].opening_liability() == 0).all()
    (one,) = search(
        who, PROGRAMME, grid={S: [60_000]}, response=NO_RESPONSE, **GIVEN
    ).candidates
    kept = run.scenarios[0].metric("margin_fen") - run.scenarios[0].metric(
        "liability_fen"
    )
    assert one.value == kept.mean()
