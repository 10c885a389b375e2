import base64
import hashlib
import json
import re

import pytest

from growth import charts
from growth.charts.svg import spec_of
from growth.errors import DataError
from growth.readout import live, page
from tests.charts.sample import results
from tests.readout.test_page import MANIFEST, document, story

ANALYSIS, SPLIT, _, TREND = results()
SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
HELD = re.compile(
    r'<script type="application/json" data-chart="([^"]*)">(.*?)</script>', re.DOTALL
)


def chart(drawn, name):
    """Return a chart as a run's folder holds it: under the name of its file."""
    spec = spec_of(drawn) | {"name": name}
    return spec, charts.to_svg(spec)


@pytest.fixture(scope="module")
def made():
    static = page.render(story("en"), document("en"), MANIFEST)
    found = [
        chart(charts.abtest.trend_chart(TREND), "trend"),
        chart(charts.abtest.split_chart(SPLIT), "split"),
        chart(charts.abtest.forest_chart(ANALYSIS), "forest"),
    ]
    return static, live.render_live(static, found)


def test_the_static_page_stands_whole_inside_it(made):
    static, lively = made
    rest = lively
    for found in (*HELD.finditer(lively), *SCRIPT.finditer(lively)):
        rest = rest.replace(found[0], "")
    rest = rest.replace(live._STYLE, "")
    rest = re.sub(r"; script-src [^\"]*", "", rest)
    assert rest == static


def test_charts_on_the_page_become_live_under_any_name_and_others_stay_away(made):
    _, lively = made
    held = {name: json.loads(text) for name, text in HELD.findall(lively)}
    assert set(held) == {"trend", "split"}  # the forest is not on the page
    assert held["trend"]["description"]


def test_the_policy_allows_these_two_scripts_by_their_hashes_and_no_address(made):
    _, lively = made
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', lively)
    hashes = re.findall(r"'sha256-([^']*)'", policy)
    scripts = SCRIPT.findall(lively)
    assert len(scripts) == 2
    assert [
        base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts
    ] == hashes
    assert policy.startswith(page.CSP)
    assert policy.endswith("'unsafe-eval'")
    assert "http" not in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2]


def test_there_is_one_bundle_for_all_charts(made):
    static, lively = made
    assert lively.count("window.vegaEmbed=") == 1
    assert 800_000 < len(lively) - len(static) < 1_000_000


def test_a_chart_cannot_end_the_element_that_holds_it():
    spec = {"name": 'a"><b>', "title": "</script><script>alert(1)</script>"}
    svg = "<svg><title>x</title></svg>"
    static = page.render(story("en"), document("en"), MANIFEST)
    static = static.replace("</main>", f'<div class="card">{svg}</div></main>')
    lively = live.render_live(static, [(spec, svg)])
    assert "alert(1)</script>" not in lively
    assert '<b>"' not in lively
    ((name, text),) = HELD.findall(lively)
    assert name == "a&quot;&gt;&lt;b&gt;"
    assert json.loads(text) == spec


@pytest.mark.parametrize("text", ["", "<html><body></body></html>"])
def test_another_page_is_refused(text):
    with pytest.raises(DataError, match="not the head that growth writes"):
        live.render_live(text, [])
