"""The page in Chromium: offline, without JavaScript, on a desk, a phone and paper."""

import json
import re
import shutil

import pytest

from growth import charts
from growth.charts.svg import spec_of
from growth.readout import page
from growth.readout.live import render_live
from tests.readout.test_page import MANIFEST, SPLIT, TREND, document, story

pytestmark = pytest.mark.browser

ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def chromium():
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed")
    api = pytest.importorskip("playwright.sync_api", reason="playwright drives it")
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    found = {}
    for lang in ("en", "zh"):
        found[lang] = folder / f"{lang}.html"
        text = page.render(story(lang), document(lang), MANIFEST)
        found[lang].write_text(text, "utf-8")
    return found


@pytest.fixture
def opened(chromium):
    """Return a function that opens a file and says which requests it made."""
    contexts = []

    def visit(path, *, width=1280, scripts=False, **more):
        context = chromium.new_context(
            offline=True,
            java_script_enabled=scripts,
            viewport={"width": width, "height": 900},
            **more,
        )
        contexts.append(context)
        tab = context.new_page()
        asked, said = [], []
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("console", lambda message: said.append(message.text))
        tab.goto(path.as_uri())
        return tab, asked, said

    yield visit
    for context in contexts:
        context.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_one_request_no_script_and_nothing_refused(files, opened, lang, width):
    tab, asked, said = opened(files[lang], width=width)
    assert asked == [files[lang].as_uri()]
    assert said == []
    heading = tab.locator("h1")
    assert heading.inner_text() == {"en": "Home layout", "zh": "首页布局"}[lang]
    assert heading.is_visible()
    assert tab.locator(".decision").is_visible()
    assert tab.locator(".tiles > div").count() == 4


@pytest.mark.parametrize("width", [1280, 390, 320])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_never_scrolls_sideways(files, opened, lang, width):
    tab, _, _ = opened(files[lang], width=width, scripts=True)
    wide = tab.evaluate("document.documentElement.scrollWidth")
    assert wide <= width
    tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_on_a_phone_the_drawing_stays_in_sight(files, opened):
    tab, _, _ = opened(files["zh"], width=390)
    for i in range(4):
        box = tab.locator("table.draws tbody .iv").nth(i).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
        assert box["width"] > 300


def test_chinese_is_drawn_not_boxes(files, opened):
    tab, _, _ = opened(files["zh"], scripts=True)
    same = tab.evaluate(
        """() => {
            const draw = text => {
                const c = document.createElement('canvas');
                c.width = c.height = 40;
                const g = c.getContext('2d');
                const heading = document.querySelector('h1');
                g.font = '32px ' + getComputedStyle(heading).fontFamily;
                g.fillText(text, 2, 34);
                return c.toDataURL();
            };
            return draw('首') === draw('页');
        }"""
    )
    if same:
        pytest.skip("no Chinese font is installed")
    assert tab.get_by_text("哪些指标变了").is_visible()
    assert tab.locator(".checks").get_by_text("分流符合计划").is_visible()


def test_dark_changes_the_paper_and_leaves_charts_on_a_light_card(files, opened):
    papers = {}
    for scheme in ("light", "dark"):
        tab, _, _ = opened(files["en"], scripts=True, color_scheme=scheme)
        papers[scheme] = [
            tab.evaluate(
                f"getComputedStyle(document.querySelector('{place}')).backgroundColor"
            )
            for place in ("body", ".card")
        ]
    assert papers["light"] == ["rgb(255, 255, 255)"] * 2
    assert papers["dark"] == ["rgb(15, 20, 25)", "rgb(255, 255, 255)"]


def test_print_opens_the_folds(files, opened):
    tab, _, _ = opened(files["en"])
    source = tab.get_by_text(MANIFEST["run_id"])
    assert not source.is_visible()
    tab.emulate_media(media="print", color_scheme="dark")
    assert source.is_visible()
    assert source.bounding_box()["height"] > 0


def test_on_a4_nothing_is_cut_off_and_tables_stay_tables(files, opened):
    inside = 688  # px: A4 less its margins
    tab, _, _ = opened(files["zh"], width=inside, scripts=True)
    tab.emulate_media(media="print")
    assert tab.evaluate("document.documentElement.scrollWidth") <= inside
    for i in range(3):
        box = tab.locator("table").nth(i).bounding_box()
        assert box["x"] + box["width"] <= inside
    assert tab.locator("thead").first.evaluate("e => getComputedStyle(e).display") == (
        "table-header-group"
    )


def test_an_injected_script_would_not_run(files, opened, tmp_path):
    text = files["en"].read_text("utf-8")
    bad = tmp_path / "bad.html"
    script = "<script>document.title = 'ran'</script><img src='https://a.example/x'>"
    bad.write_text(text.replace("<h1>", f"{script}<h1>"), "utf-8")
    tab, _, said = opened(bad, scripts=True)
    assert tab.title() == "Home layout"
    refused = [line for line in said if "Content Security Policy" in line]
    assert [word for word in ("script", "image") if word in " ".join(refused)] == [
        "script", "image",
    ]  # fmt: skip


def test_text_is_read_easily_where_it_stands(files, opened):
    for scheme in ("light", "dark"):
        tab, _, _ = opened(files["en"], scripts=True, color_scheme=scheme)
        pairs = tab.evaluate(
            """() => [...document.querySelectorAll('main *')].filter(
                e => !e.closest('svg') && [...e.childNodes].some(
                    n => n.nodeType === 3 && n.data.trim())
            ).map(e => {
                let ground = e;
                while (ground && getComputedStyle(ground).backgroundColor
                       === 'rgba(0, 0, 0, 0)') ground = ground.parentElement;
                return [getComputedStyle(e).color,
                        ground ? getComputedStyle(ground).backgroundColor
                               : 'rgb(255, 255, 255)', e.textContent.slice(0, 30)];
            })"""
        )
        assert len(pairs) > 50
        for front, back, text in pairs:
            lights = sorted(luminance(colour) for colour in (front, back))
            ratio = (lights[1] + 0.05) / (lights[0] + 0.05)
            assert ratio >= 4.5, (scheme, text, front, back)


def luminance(colour):
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    parts = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def test_the_tree_of_the_page_names_its_parts(files, opened):
    tab, _, _ = opened(files["en"], width=390)
    tree = json.dumps(tab.locator("main").aria_snapshot())
    for part in ("table", "columnheader", "rowheader", "img", "region"):
        assert part in tree


@pytest.fixture(scope="module")
def live_files(files):
    found = {}
    for lang, path in files.items():
        drawn = [
            charts.abtest.trend_chart(TREND, lang=lang),
            charts.abtest.split_chart(SPLIT, lang=lang),
        ]
        held = [(spec_of(chart), charts.to_svg(chart)) for chart in drawn]
        broken = [(spec | {"mark": "nonsense", "layer": 7}, svg) for spec, svg in held]
        for name, made in ((lang, held), (f"broken-{lang}", broken)):
            found[name] = path.with_name(f"live-{name}.html")
            found[name].write_text(render_live(path.read_text("utf-8"), made), "utf-8")
    return found


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_live_page_swaps_its_charts_and_asks_for_nothing(
    live_files, opened, lang, width
):
    tab, asked, said = opened(live_files[lang], width=width, scripts=True)
    tab.wait_for_function("document.documentElement.dataset.live === '2'")
    assert asked == [live_files[lang].as_uri()]
    assert said == []
    assert tab.locator(".card svg").count() == tab.locator(".card .vega svg").count()
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    box = tab.locator(".vega").first.bounding_box()
    assert 300 < box["width"] <= width
    words = {"en": "first exposed up to this day", "zh": "截至该日首次曝光的样本"}
    assert words[lang] in tab.locator(".vega").first.inner_text()
    drawing = tab.locator(".vega").first.screenshot()
    assert len(drawing) > 5000  # something is drawn, not an empty card


def test_a_live_chart_tells_the_day_under_the_pointer(live_files, opened):
    tab, _, _ = opened(live_files["zh"], scripts=True, timezone_id="America/Lima")
    tab.wait_for_function("document.documentElement.dataset.live === '2'")
    chart = tab.locator(".vega").first
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    tab.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.5)
    words = tab.locator("#vg-tooltip-element").inner_text()
    assert re.search(r"2026-02-1\d", words)
    assert re.search(r"waterfall\s+[+−]\d", words)


@pytest.mark.parametrize(("name", "scripts"), [("broken-zh", True), ("zh", False)])
def test_a_chart_that_cannot_live_stays_as_it_was_drawn(
    live_files, opened, name, scripts
):
    tab, asked, _ = opened(live_files[name], scripts=scripts)
    tab.wait_for_timeout(300)
    assert asked == [live_files[name].as_uri()]
    assert tab.locator(".vega").count() == 0
    assert tab.locator(".card > svg").count() == 2
    assert tab.locator(".card > svg").first.is_visible()
