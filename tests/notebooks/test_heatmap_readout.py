"""The heatmap readout, run for real: by the runner, and by plain papermill."""

import json

HOME = {
    "page": "pages/home/index", "fixed_elements": "tab_bar", "days": 60,
    "experiment_id": "home_layout",
}  # fmt: skip
ITEM = {"page": "pages/item/detail", "fixed_elements": "btn_add_cart", "lang": "zh"}


def ask(run, sample, asked):
    return run(sample, readout="heatmap_readout", **asked)


def test_the_page_is_small_safe_and_shows_both_arms(sample, run):
    page = ask(run, sample, HOME).page
    assert len(page.encode()) < 200_000
    assert "Where people tap" in page
    assert "list | waterfall | where they differ" in page
    assert "用户点在哪里" not in page
    assert "<script" not in page
    assert page.count("data:image/png;base64,") == 1  # one palette picture
    for part in ('class="decision', 'class="tiles"', 'class="draws"', 'class="checks"'):
        assert part in page


def test_the_document_has_what_was_found_and_no_user(sample, run):
    made = ask(run, sample, HOME)
    document = made.document
    assert document["subject"] == "pages/home/index"
    codes = {r["code"] for r in document["decision"]["reasons"]}
    assert "arms_moved" in codes  # the planted shift of the banner
    tables = {table["key"] for table in document["tables"]}
    found = {"taps", "first", "reach", "ranks", "anger", "areas", "moved"}
    assert found <= tables
    assert [c["key"] for c in document["charts"]] == ["scroll", "elements", "core"]
    text = json.dumps(document)
    assert "NaN" not in text
    assert "user_id" not in text
    assert made.manifest["params"]["experiment_id"] == "home_layout"


def test_what_is_planted_on_the_item_page_stands_at_the_top(sample, run):
    made = ask(run, sample, ITEM)
    truth = json.loads((sample / "truth.json").read_text("utf-8"))
    planted = truth["pages"][ITEM["page"]]
    decision = made.document["decision"]
    assert decision["verdict"] == "heatmap.page.warn"
    told = {r["code"]: r for r in decision["reasons"]}
    assert told["rage_spot"]["element"] == planted["rage"]
    (ranks,) = (t for t in made.document["tables"] if t["key"] == "ranks")
    assert planted["dead"] in json.dumps(ranks)
    assert len(made.page.encode()) < 200_000
    assert "用户点在哪里" in made.page
    assert "Where people tap" not in made.page


def test_the_notebook_runs_under_plain_papermill(under_papermill):
    made = under_papermill("heatmap_readout", **ITEM)
    assert "data:image/png;base64," in made.html
    assert "btn_notify" in made.html
    assert "愤怒连点" in made.html
