"""The heatmap readout, run for real on a small sample merchant."""

import json

import pytest


def ask(run, sample, **more):
    page = {"page": "pages/home/index", "fixed_elements": "tab_bar", "days": 60}
    return run(sample, readout="heatmap_readout", **page, **more)


@pytest.mark.parametrize(
    ("lang", "here", "not_here"),
    [
        ("en", "Where people tap", "用户点在哪里"),
        ("zh", "用户点在哪里", "Where people tap"),
    ],
)
def test_the_page_is_small_safe_and_in_one_language(sample, run, lang, here, not_here):
    made = ask(run, sample, lang=lang)
    page = made.page
    assert len(page.encode()) < 200_000
    assert here in page
    assert not_here not in page
    assert "<script" not in page
    assert "data:image/png;base64," in page
    for part in ('class="decision', 'class="tiles"', 'class="draws"', 'class="checks"'):
        assert part in page


def test_the_document_has_what_was_found_and_no_user(sample, run):
    document = ask(run, sample).document
    assert document["subject"] == "pages/home/index"
    assert document["decision"]["verdict"].startswith("heatmap.page.")
    tables = {table["key"] for table in document["tables"]}
    assert {"taps", "first", "reach", "ranks", "anger", "areas"} <= tables
    assert [c["key"] for c in document["charts"]] == ["scroll", "elements", "core"]
    truth = json.loads((sample / "truth.json").read_text("utf-8"))
    text = json.dumps(document)
    assert "NaN" not in text
    assert "user_id" not in text
    assert "pages/home/index" in truth["pages"]
