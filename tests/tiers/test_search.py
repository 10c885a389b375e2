import json
from datetime import date

import pytest

from growth.errors import ParameterError
from growth.tiers import (
    NO_RESPONSE,
    Habits,
    Population,
    Response,
    load_programme,
    search,
)

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
        as_of=date(2025, 12, 31), seed=3, habits=Habits(refund_rate=0.05),
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
    assert {one.span for one in once.candidates} == {None}
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


@pytest.mark.parametrize(
    ("grid", "code", "message"),
    [
        ({}, "bad_grid", "grid has 0 combinations"),
        (["points.login"], "bad_grid", "it must map key paths to lists of values"),
        ({"points.login": 5}, "bad_grid", "write {'tiers.1.min_spend_fen'"),
        ({"points.login": "5"}, "bad_grid", "to lists of values"),
        ({"points.login": range(501)}, "bad_grid", "it must have 1 to 500"),
        ({"points.logins": [1]}, "unknown_field", "mean 'login'"),
    ],
)
def test_a_grid_that_leads_nowhere_is_refused(grid, code, message):
    with pytest.raises(ParameterError, match=message) as info:
        search(people(5), PROGRAMME, grid=grid, response=KEEN, **GIVEN)
    assert info.value.code == code
