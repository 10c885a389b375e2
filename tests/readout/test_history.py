import json
import re
import shutil
from datetime import date
from html.parser import HTMLParser

import pytest

from growth import cli
from growth.labels import LANG
from growth.readout import Store
from growth.readout.history import index
from growth.readout.store import Key, write_file

HOSTILE = '<script>alert(1)</script>"'


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "readouts")


def keep(store, day, *, subject="007", status="succeeded", value=0.02, **more):
    as_of = date(2026, 1, day)
    run_id = f"202601{day:02}T000000Z-0000{len(list(store.runs())):02}"
    folder = store.open_staging(run_id, {})
    write_file(folder / "readout.html", "<html>")
    estimate = {"key": "gmv.lift", "by": {"arm": "B"}, "value": value, "unit": "ratio"}
    told = {
        "run_id": run_id,
        "readout": "abtest_readout",
        "subject": subject,
        "as_of": as_of.isoformat(),
        "status": status,
        "reason": "",
        "started": "",
        "seconds": 1.0,
        "decision": "abtest.decide.iterate",
        "estimate": estimate | {"lo": value - 0.01, "hi": value + 0.01},
    }
    key = Key(readout="abtest_readout", subject=subject, as_of=as_of)
    return store.finish(key, run_id, told | more)


class Text(HTMLParser):
    """Collects tags with attributes, and checks that they nest."""

    def __init__(self):
        super().__init__()
        self.tags, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "input", "br", "line", "circle", "polygon", "polyline"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(page):
    found = Text()
    found.feed(page.read_text("utf-8"))
    assert found.open == []
    return found.tags


def test_each_subject_has_its_latest_answer_and_its_history(store):
    for day, value in ((1, 0.01), (2, 0.03), (3, 0.02)):
        keep(store, day, value=value)
    keep(store, 4, status="failed", reason="a cell raised", estimate=None)
    keep(store, 1, subject=HOSTILE)
    page = index(store.root, lang="en")
    text = page.read_text("utf-8")
    tags = parsed(page)
    assert "<script>alert" not in text
    assert "Failed" in text
    assert "+2.00%" in text
    assert "gmv.lift · B" in text
    assert len([1 for tag, _ in tags if tag == "svg"]) == 1
    assert "2026-01-01 to 2026-01-03, 3 days" in text
    assert "<small>Data to 2026-01-03</small>" in text  # the fourth day failed
    links = [held["href"] for tag, held in tags if tag == "a"]
    assert all((store.root / re.sub("%25", "%", link)).is_file() for link in links)
    assert len(links) == 2 + 5
    held = json.loads((store.root / "index.json").read_text("utf-8"))
    found = {item["subject"]: len(item["runs"]) for item in held["subjects"]}
    assert found == {"007": 4, HOSTILE: 1}
    assert held["subjects"][-1 if HOSTILE < "007" else 0]["runs"][0]["page"]


def test_the_page_asks_for_nothing_and_its_script_is_known_by_hash(store):
    keep(store, 1)
    page = index(store.root)
    tags = parsed(page)
    policy = next(h["content"] for t, h in tags if "http-equiv" in h)
    assert "script-src 'sha256-" in policy
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    text = page.read_text("utf-8")
    assert "http://" not in text
    assert "https://" not in text
    assert text.count("<script>") == 1
    assert not any("src" in held for _, held in tags)
    # without the script the search is not there, and every row is
    assert ("form", {"id": "find", "hidden": None}) in tags
    assert not any(tag == "tr" and "hidden" in held for tag, held in tags)


def test_both_languages_and_an_empty_history(store, capsys):
    assert "0 subjects" in index(store.root, lang="en").read_text("utf-8")
    keep(store, 1)
    assert cli.main(["readout", "index", "--lang", "zh", "--out", str(store.root)]) == 0
    assert capsys.readouterr().out.endswith("index.html\n")
    text = (store.root / "index.html").read_text("utf-8")
    assert '<html lang="zh-CN">' in text
    assert "实验" in text


def test_the_page_speaks_as_most_of_the_readouts_do(store):
    for subject, lang in (("one", "zh"), ("two", "zh"), ("three", "en")):
        keep(store, 1, subject=subject, lang=lang)
    assert '<html lang="zh-CN">' in index(store.root).read_text("utf-8")
    assert '<html lang="en">' in index(store.root, lang="en").read_text("utf-8")


@pytest.mark.parametrize(("lang", "tag"), [("en", "en"), ("zh", "zh-CN")])
def test_as_many_of_each_language_leave_it_to_the_caller(store, lang, tag):
    for subject, spoken in (("one", "zh"), ("two", "en")):
        keep(store, 1, subject=subject, lang=spoken)
    token = LANG.set(lang)
    try:
        assert f'<html lang="{tag}">' in index(store.root).read_text("utf-8")
    finally:
        LANG.reset(token)


def test_what_was_decided_has_its_colour_and_success_none(store):
    keep(store, 1)
    text = index(store.root, lang="en").read_text("utf-8")
    assert '<span class="says ' in text
    assert ".chip.succeeded,.chip.skipped{color:var(--soft)}" in text


def test_a_run_of_an_older_version_still_has_its_line(store):
    path = keep(store, 1)
    file = path / "manifest.json"
    held = json.loads(file.read_text())
    for name in ("decision", "estimate", "seconds"):
        del held[name]
    file.write_text(json.dumps(held))
    assert "–" in index(store.root, lang="en").read_text("utf-8")


@pytest.mark.browser
def test_the_search_filters_rows_and_the_page_makes_no_request(store):
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed, so the page is not opened")
    keep(store, 1)
    keep(store, 1, subject="other", status="failed")
    page = index(store.root, lang="en")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for script in (True, False):
            tab = browser.new_page(java_script_enabled=script)
            asked, said = [], []
            tab.on("request", lambda request, asked=asked: asked.append(request.url))
            tab.on("console", lambda message, said=said: said.append(message.text))
            tab.goto(page.as_uri())
            assert (asked, said) == ([page.as_uri()], [])
            assert tab.locator("tbody tr:visible").count() == 2
            assert tab.locator("#words").is_visible() is script
            if script:
                tab.fill("#words", "OTHER")
                assert tab.locator("tbody tr:visible").count() == 1
                tab.select_option("#state", "succeeded")
                assert tab.locator("tbody tr:visible").count() == 0
            tab.set_viewport_size({"width": 390, "height": 900})
            wide = tab.locator(".scroll").evaluate("e => e.scrollWidth")
            assert wide <= 390  # a phone shows each subject whole
        browser.close()
