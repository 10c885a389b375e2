"""The tiers readout, run for real: by the runner, and by plain papermill."""

import json
from datetime import date

import growth
from growth import tiers
from growth.readout import TiersParams
from growth.readout import tiers as room

ASSUMED = {"margin_rate": 0.3, "redemption": 0.1, "months": 6, "replications": 4}
PARAMS = {"readout": "tiers_readout", "name": "next", "tests": 3, **ASSUMED}
AS_OF = date(2026, 3, 1)


def test_the_readout_says_what_the_verbs_say(sample, run):
    made = run(sample, **PARAMS)
    document = made.document
    told = {e["key"]: e for e in document["estimates"]}
    margin = told["tiers.margin_fen.difference"]
    assert margin["lo"] < margin["value"] < margin["hi"] < 0
    assert margin["method"] == "calibrated"
    params = TiersParams(data=str(sample), as_of=AS_OF, name="next", tests=3, **ASSUMED)
    same = room.look(params.open(), params)
    expected = same.of("margin_fen")
    assert margin["value"] == float(f"{expected.difference:.10g}")
    assert margin["lo"] == float(f"{expected.calibrated.lo:.10g}")
    assert margin["n"] == same.people.members
    assert document["decision"]["verdict"] == "tiers.comparison.worse"
    assert told["tiers.orders.difference"]["value"] == 0
    keys = [chart["key"] for chart in document["charts"]]
    assert keys == [
        "differences", "tiers", "flows", "liability", "deferral", "forecasts",
    ]  # fmt: skip
    assert document["estimates"][0]["key"] == "tiers.margin_fen.difference"
    assert "no_behavioural_effect" in [n["code"] for n in document["notices"]]
    assert "NaN" not in json.dumps(document)


def test_the_sample_s_ledger_agrees_with_the_rules_to_the_last_point(sample, run):
    made = run(sample, **PARAMS)
    data = growth.open(sample, as_of=AS_OF)
    actual = next(t for t in made.document["tables"] if t["key"] == "actual")
    names = [column["key"] for column in actual["columns"]]
    held = sum(row[names.index("active")] for row in actual["rows"])
    owed = sum(row[names.index("debt")] for row in actual["rows"])
    members = data.members.filter(data.members.tier.notnull())
    rows = growth.engine.fetch(members.select("tier", "points_balance"), "a test")
    balances = rows["points_balance"].to_pylist()
    assert held - owed == sum(balances)
    counts = [row[names.index("members")] for row in actual["rows"]]
    for tier in (1, 2):
        assert counts[tier] == rows["tier"].to_pylist().count(tier)
    assert "The ledger in use agrees with the rules" in made.page


def test_the_page_is_small_safe_and_in_one_language(sample, run):
    english = run(sample, **PARAMS).page
    chinese = run(sample, lang="zh", **PARAMS).page
    for page, here, away in (
        (english, "What points owe", "积分负债"),
        (chinese, "积分负债", "What points owe"),
    ):
        assert len(page.encode()) < 200_000
        assert here in page
        assert away not in page
        assert "<script" not in page
        assert "Content-Security-Policy" in page
        assert "user_id" not in page
    assert "Model alone (too narrow)" in english
    assert "No uplift was stated" in english
    assert "仅模型（偏窄）" in chinese


def test_the_notebook_runs_under_plain_papermill(sample, under_papermill):
    made = under_papermill(
        "tiers_readout",
        name="sooner",
        tests=2,
        changes="tiers.2.earn_multiplier=1.1",
        uplift="0:0,0.05:0.02",
        **ASSUMED,
    )
    assert "Assumed answer of members" in made.html
    assert "×1.1" in made.html
    assert tiers.load_programme(sample / "programme.toml").names[1] in made.html
