"""The retention readout, run for real: by the runner, and by plain papermill."""

import json
from datetime import date

import growth
from growth import funnel, retention

PARAMS = {"readout": "retention_readout", "name": "new_users", "days": 35}


def test_the_readout_says_what_the_verbs_say(sample, run):
    made = run(sample, by="entry_group", industry="apparel", **PARAMS)
    document = made.document
    range_ = {
        "start": date(2026, 1, 26),
        "end": date(2026, 3, 2),
        "as_of": date(2026, 3, 1),
    }
    events = growth.open(sample).events
    curve = {p.k: p for p in retention.measure(events, **range_).curve()}
    told = {e["by"].get("k"): e for e in document["estimates"]
            if e["key"] == "retention.rate"}  # fmt: skip
    for k in (1, 7, 30):
        assert told[str(k)]["value"] == float(f"{curve[k].rate:.10g}")
        assert told[str(k)]["n"] == curve[k].n_users
    steps = funnel.measure(
        events, steps=["page_view", "add_to_cart", "order_pay"], **range_
    ).totals
    last = next(e for e in document["estimates"] if e["key"].startswith("step_3"))
    assert last["value"] == float(f"{steps[-1].rate_from_start:.10g}")
    assert document["decision"]["verdict"] == "retention.measure.measured"
    keys = [chart["key"] for chart in document["charts"]]
    assert keys[:4] == ["curve", "triangle", "trend", "groups"]
    assert {"ltv", "lifecycle", "funnel", "time", "paths"} <= set(keys)
    assert "NaN" not in json.dumps(document)


def test_the_page_is_small_safe_and_in_one_language(sample, run):
    english = run(sample, by="entry_group", industry="apparel", **PARAMS).page
    chinese = run(sample, by="entry_group", lang="zh", **PARAMS).page
    for page, here, away in (
        (english, "Where they fall off", "流失在哪一步"),
        (chinese, "流失在哪一步", "Where they fall off"),
    ):
        assert len(page.encode()) < 200_000
        assert here in page
        assert away not in page
        assert "<script" not in page
        assert "Content-Security-Policy" in page
        assert "user_id" not in page
    assert "unsourced" in english


def test_the_notebook_runs_under_plain_papermill(under_papermill):
    made = under_papermill(
        "retention_readout", name="weekly", period="week", days=49, horizon=6
    )
    assert "come back the next week" in made.html
