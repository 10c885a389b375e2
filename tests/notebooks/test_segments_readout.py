"""The segments readout, run for real: by the runner, and by plain papermill."""

import json
from datetime import date

import growth
from growth import segments

PARAMS = {"readout": "segments_readout", "name": "customers"}
DAY = date(2026, 3, 1)


def test_the_readout_says_what_the_verbs_say(sample, run):
    document = run(sample, **PARAMS).document
    opened = growth.open(sample)
    rules = segments.packs.rules("frequency")
    tagged = segments.tag(opened, rules, as_of=DAY)
    sizes = {c.value: c for c in segments.sizes(tagged, "frequency").cells}
    told = {
        e["by"]["value"]: e
        for e in document["estimates"]
        if e["key"] == "frequency.share"
    }
    assert told["dormant"]["n"] == sizes["dormant"].users
    assert told["dormant"]["value"] == float(f"{sizes['dormant'].share:.10g}")
    assert document["decision"]["verdict"].startswith("segments.movement.")
    keys = [chart["key"] for chart in document["charts"]]
    assert keys[:2] == ["sizes", "movement"]
    assert {"profile", "overlap", "lifecycle", "reach"} <= set(keys)
    assert "NaN" not in json.dumps(document)


def test_the_page_is_small_safe_and_in_one_language(sample, run):
    english = run(sample, **PARAMS)
    chinese = run(sample, lang="zh", **PARAMS)
    for made, here, away in (
        (english, "Who moved", "谁在流动"),
        (chinese, "谁在流动", "Who moved"),
    ):
        page = made.page
        assert len(page.encode()) < 60_000
        assert here in page
        assert away not in page
        assert "<script" not in page
        assert "Content-Security-Policy" in page


def test_no_user_is_named_anywhere(sample, run):
    made = run(sample, **PARAMS)
    ids = growth.engine.fetch(growth.open(sample).members.select("user_id"))
    left = [path for path in made.path.rglob("*") if path.is_file()]
    assert len(left) >= 3
    for path in left:
        text = path.read_bytes().decode("utf-8", "replace")
        assert not any(one in text for one in ids["user_id"].to_pylist()[:500]), path


def test_the_notebook_runs_under_plain_papermill(under_papermill):
    made = under_papermill(
        "segments_readout",
        name="carts",
        tag="behaviour",
        value="cart_abandoned",
        packs="behaviour",
        against="",
    )
    assert "Cart left" in made.html
    assert "No other segment" in made.html
