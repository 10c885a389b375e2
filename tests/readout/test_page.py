import json
import re
from html.parser import HTMLParser

import pytest
from nbformat.v4 import (
    new_code_cell,
    new_markdown_cell,
    new_notebook,
    new_output,
)

from growth import charts
from growth.labels import table
from growth.readout import abtest, page
from growth.readout.blocks import styles
from tests.charts.sample import results

ANALYSIS, SPLIT, DECISION, TREND = results()
MANIFEST = {
    "status": "succeeded",
    "run_id": "20260301T031500Z-7f3a9c",
    "readout": "abtest_readout",
    "package": "0.1.0",
    "git": "3c9e1f2d00112233",
    "dirty": True,
    "notebook": "ab" * 32,
    "data": [{"name": "orders", "sha256": "5b" * 32, "rows": 118204}],
}
NOTICE = {"code": "low_expected_count", "severity": "warning", "args": {"limit": 5}}


def document(lang="en", **changes):
    made = {
        "schema_version": "1.0",
        "run_id": MANIFEST["run_id"],
        "readout": "abtest_readout",
        "subject": "home_layout",
        "as_of": "2026-02-28",
        "params": {"data": "data/sample", "lang": lang},
        "decision": {
            "verdict": DECISION.verdict,
            "reasons": [{"code": "goal_better", "metric": "pay_rate"}],
            "rule": "fixed",
        },
        "estimates": [item.to_dict() for item in ANALYSIS.estimates()],
        "notices": [NOTICE],
        "tables": [],
        "charts": [],
        "provenance": {"package": "0.1.0", "git": "", "dirty": False, "data": []},
    }
    return made | changes


def html(content, **metadata):
    return new_output("display_data", {"text/html": content}, metadata=metadata)


def code(*outputs, tags=()):
    return new_code_cell(
        "secret_source()",
        outputs=list(outputs),
        execution_count=1,
        metadata={"tags": list(tags)},
    )


def words(text, tag):
    return new_markdown_cell(text, metadata={"tags": [tag]})


def story(lang="en"):
    shown = {"lang": lang}
    return new_notebook(
        cells=[
            words("# Only in the laboratory", "lab"),
            code(html("parameters!"), tags=["parameters"]),
            code(
                html(abtest.summary(DECISION, ANALYSIS, SPLIT, **shown)._repr_html_())
            ),
            words("## What changed", "en"),
            words("## 哪些指标变了", "zh"),
            code(html(abtest.effects_table(ANALYSIS, **shown)._repr_html_())),
            code(html(abtest.figures(ANALYSIS, **shown)._repr_html_())),
            code(html(charts.to_svg(charts.abtest.trend_chart(TREND, **shown)))),
            code(html(charts.to_svg(charts.abtest.split_chart(SPLIT, **shown)))),
            code(html(abtest.checks(SPLIT, ANALYSIS, DECISION, **shown)._repr_html_())),
            code(html(abtest.segments_table(ANALYSIS, **shown)._repr_html_())),
            code(html("<p>published</p>", growth="publish")),
        ]
    )


def composed(*cells, lang="en", **changes):
    return page.render(
        new_notebook(cells=list(cells)), document(lang, **changes), MANIFEST
    )


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module", params=["en", "zh"])
def whole(request):
    lang = request.param
    return lang, page.render(story(lang), document(lang), MANIFEST)


def test_no_script_no_request_and_the_policy_says_so(whole):
    _, text = whole
    tags = Tags(text).found
    assert not {tag for tag, _ in tags} & {"script", "link", "iframe", "img", "object"}
    for _, attrs in tags:
        assert not [name for name in attrs if name.startswith("on")]
        assert not {"src", "srcset", "data", "action"} & set(attrs)
    assert "http" not in text.replace("http-equiv", "").replace(
        "http://www.w3.org/2000/svg", ""
    )
    (policy,) = [
        attrs["content"]
        for tag, attrs in tags
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        "font-src data:; base-uri 'none'; form-action 'none'"
    )


def test_it_is_small(whole):
    _, text = whole
    assert len(text.encode()) < 40_000


def test_it_tells_the_story_in_the_readers_language_only(whole):
    lang, text = whole
    here = {"en": "What changed", "zh": "哪些指标变了"}
    other = "zh" if lang == "en" else "en"
    assert f'<html lang="{page.HTML_LANG[lang]}">' in text
    assert here[lang] in text
    assert here[other] not in text
    assert table(lang)["readout.status.succeeded"] in text
    assert ("下单率" in text) is (lang == "zh")
    assert ("Purchase rate" in text) is (lang == "en")


def test_neither_source_nor_laboratory_cells_nor_the_publish_card_are_shown(whole):
    _, text = whole
    for hidden in ("secret_source", "laboratory", "parameters!", "published"):
        assert hidden not in text


def test_it_begins_with_the_decision_and_ends_with_where_it_comes_from(whole):
    lang, text = whole
    places = [
        text.index(mark)
        for mark in ('class="top"', "<h1>", 'class="decision', 'class="tiles"',
                     "<table", 'class="checks"', "<dl>")
    ]  # fmt: skip
    assert places == sorted(places)
    assert "118,204" in text
    assert MANIFEST["run_id"] in text
    title = {"en": "Home layout", "zh": "首页布局"}[lang]
    assert f"<title>{title}</title>" in text


def test_every_table_has_a_caption_and_scopes(whole):
    _, text = whole
    for one in re.findall(r"<table.*?</table>", text, re.DOTALL):
        assert one.count("<caption>") == 1
        assert re.findall(r"<th\b(?![^>]*scope=)[^>]*>", one) == []
    assert text.count("<table") == 3


def test_every_picture_says_what_it_shows(whole):
    _, text = whole
    drawn = re.findall(r"<svg[^>]*role=\"img\".*?</svg>", text, re.DOTALL)
    assert len(drawn) == 2
    for one in drawn:
        assert "<title>" in one
        assert "<desc>" in one
    # the others are drawn beside their numbers, and hidden from who hears the page
    bare = text
    for one in drawn:
        bare = bare.replace(one, "")
    assert bare.count("<svg") == bare.count(' class="iv"')


def test_styles_come_once(whole):
    _, text = whole
    assert text.count("<style>") == 1
    assert text.count(".growth ul.checks{") == 1


def test_titles_of_strangers_are_text():
    bad = "<script>alert(1)</script>"
    analysis, split, decision, _ = results(title={"en": bad}, question={"en": bad})
    block = abtest.summary(decision, analysis, split, lang="en")
    text = composed(code(html(block._repr_html_())), subject=bad)
    assert "<script" not in text
    assert "<title>&lt;script&gt;alert(1)&lt;/script&gt;</title>" in text
    plain = page.render_plain(document(subject=bad), MANIFEST)
    assert "<script" not in plain
    failed = page.render_failure(
        MANIFEST | {"subject": bad, "status": "failed"}, traceback=bad, log=bad
    )
    assert "<script" not in failed


def test_what_a_cell_smuggles_in_is_taken_out_and_said():
    text = composed(
        code(html("<b onclick=x>kept</b><script>x</script><img src=//x.example/a>")),
        words("raw <iframe src=//x></iframe> *html*", "en"),
    )
    assert "<b>kept</b>" in text
    assert "<em>html</em>" in text
    assert "example" not in text
    assert "4 scripts, handlers or outside addresses were removed" in text
    assert "were removed" not in composed(code(html("<b>kept</b>")))


def test_a_torn_output_does_not_swallow_the_rest():
    text = composed(code(html("<script>never closed")), words("## After", "en"))
    assert ">After</h2>" in text
    assert "<dl>" in text


def test_formulas_become_mathml_and_their_text_stays_text():
    text = composed(
        words(r"A line $\frac{a}{b}$, `$code$`, and $$x_{<script>}^2$$", "en"),
        words(r"costs $5 and $6; $\text{<script>alert(1)</script>}$", "en"),
        words(r"broken $\frac{a$ end", "en"),
    )
    assert "<mfrac>" in text
    assert '<math display="block"' in text
    assert "<code>$code$</code>" in text
    assert "costs $5 and $6" in text
    assert "<script" not in text
    assert "broken" in text
    assert "end" in text


def test_latex_outputs_become_mathml():
    out = new_output("display_data", {"text/latex": "$$x^2$$", "text/plain": "x"})
    assert "<msup>" in composed(code(out))


def test_pictures_keep_to_the_page_and_their_words():
    out = new_output(
        "display_data",
        {"image/png": "iVBORw0KGgo=", "text/plain": "x"},
        metadata={"image/png": {"alt": 'a "b"'}},
    )
    text = composed(code(out))
    assert 'alt="a &quot;b&quot;"' in text
    assert 'src="data:image/png;base64,iVBORw0KGgo="' in text


def test_widgets_and_stderr_do_not_reach_the_page():
    widget = new_output(
        "display_data",
        {
            "application/vnd.jupyter.widget-view+json": {"model_id": "1"},
            "text/plain": "VBox()",
        },
    )
    noise = new_output("stream", name="stderr", text="0%|   | 0/9")
    said = new_output("stream", name="stdout", text="a < b\n")
    text = composed(code(widget, noise, said))
    assert "VBox" not in text
    assert "0/9" not in text
    assert "open the notebook in JupyterLab" in text
    assert "<pre>a &lt; b" in text


def test_a_notebook_without_a_summary_still_opens_with_the_decision():
    text = composed(words("## Some story", "en"))
    assert text.index('class="decision') < text.index("Some story")
    assert "A variant expects fewer than 5 units" in text


def test_a_page_can_be_written_from_the_document_alone():
    text = page.render_plain(document("zh"), MANIFEST)
    assert '<html lang="zh-CN">' in text
    assert "pay_rate.lift" in text
    assert "样本" in text
    heads = ("相对变化与区间", "变化与区间", "其他数值")
    captions = re.findall(r"<caption><span>([^<]*)", text)
    assert set(captions) == set(heads)
    assert "个百分点" in text  # a difference of shares beside the relative one
    assert page.CSP in text
    json.dumps(document(), allow_nan=False)


def test_a_newer_documents_unknown_words_stand_for_themselves():
    text = page.render_plain(
        document(
            decision={"verdict": "abtest.new_word", "reasons": [{"code": "why_so"}]},
            notices=[{"code": "never_heard", "severity": "info", "args": {}}],
        ),
        MANIFEST,
    )
    for found in ("new word", "why so", "never heard"):
        assert found in text


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize(
    "status",
    ["failed", "timed_out", "kernel_died", "cancelled", "invalid_result", "lost"],
)
def test_a_failed_run_wears_the_same_clothes(status, lang):
    cells = [code(html("x")), code(), new_code_cell("later")]
    cells[1]["outputs"] = [
        new_output("error", ename="E", evalue="v", traceback=["\x1b[31mE: v\x1b[0m"])
    ]
    text = page.render_failure(
        MANIFEST | {"status": status, "reason": "cell 2 raised", "params": {}},
        traceback="\x1b[31mDataError\x1b[0m: 2 < 3",
        log="\n".join(f"line {i}" for i in range(100)),
        notebook=new_notebook(cells=cells),
        lang=lang,
    )
    assert table(lang)[f"readout.status.{status}"] in text
    assert table(lang)[f"readout.next.{status}"].split("(")[0] in text
    assert "DataError: 2 &lt; 3" in text
    assert "\x1b" not in text
    assert "2/3" in text
    assert "line 99" in text
    assert "line 9\n" not in text
    assert page.CSP in text
    assert styles("page.css") in text


def channel(value):
    value = int(value, 16) / 255
    return value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4


def luminance(colour):
    colour = colour if len(colour) == 6 else "".join(c * 2 for c in colour)
    parts = [channel(colour[i : i + 2]) for i in (0, 2, 4)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("place", ["block.css", "page.css"])
def test_every_colour_is_read_easily_in_light_and_dark(place):
    palettes = [
        dict(re.findall(r"--(\w+):#([0-9a-f]{3,6})", rules))
        for rules in re.findall(r"\{([^{}]*--ink:[^{}]*)\}", styles(place))
    ]
    assert len(palettes) == 2
    for palette in palettes:
        for ground in ("paper", "wash"):
            for name in ("ink", "soft", "good", "bad", "warn", "accent"):
                pair = sorted(luminance(palette[key]) for key in (name, ground))
                assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, (name, ground)


def test_a_result_keeps_its_card_and_the_page_its_colours():
    shown = composed(code(html(SPLIT._repr_html_())))
    assert shown.count(".growth-card{") == 1  # once, in the head
    assert shown.index(".growth-card{") < shown.index("</head>")
    assert 'class="growth-card"' in shown
    assert ".growth-card{" not in composed(code(html("<p>none</p>")))
