"""The guide's recorder for mini programs, run by Node against a page made up here."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from growth import heatmap

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "heatmap.md"
FILE = re.compile(r"^```js\n// (\S+\.js)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(
    NODE is None, reason="node is not installed, so no JavaScript can be run"
)

DRIVER = """
const sent = [], reported = []
let hidden, scrolled = { scrollHeight: 2400, scrollTop: 0 }, seen
global.wx = {
  onAppHide(f) { hidden = f },
  getWindowInfo: () => ({ windowWidth: 375, windowHeight: 667 }),
  getDeviceInfo: () => ({ platform: 'ios' }),
  request: ({ data }) => sent.push(JSON.parse(JSON.stringify(data))),
  reportEvent: (name, row) => reported.push(row),
  createSelectorQuery() {
    let then
    const query = {
      selectViewport: () => query,
      scrollOffset(f) { then = f; return query },
      exec() { then(scrolled) },
    }
    return query
  },
  createIntersectionObserver: () => ({
    relativeToViewport() { return this },
    observe(_, f) { seen = f },
    disconnect() { seen = null },
  }),
}
let app, page
global.App = (options) => { app = options }
global.Page = (options) => { page = options }
require('./app.js')
require('./pages/cart/cart.js')
const cart = { route: 'pages/cart/cart', ...page }
require('./pages/item/detail.js')
page = { route: 'pages/item/detail', ...page }
app.onLaunch()
const tap = (x, y, clientY, mark) => ({
  detail: { x, y }, mark, timeStamp: 15321,
  changedTouches: clientY === undefined ? [] : [{ clientX: x, clientY }],
})
page.onShow()
seen({ intersectionRatio: 0.8, dataset: { el: 'buy' } })
seen({ intersectionRatio: 0.1, dataset: { el: 'buy' } })
page.onTapSeen(tap(187.5, 900, 420, { el: 'card', index: '2' }))
page.onPageScroll({ scrollTop: 480 })
page.onTapSeen(tap(10, 20, undefined, undefined))
scrolled = { scrollHeight: 3000, scrollTop: 900 }
page.onTapSeen(tap(100, 2900, 400, { el: 'more' }))
page.onBuy(tap(1, 1, 1, { el: 'buy' }))
page.onHide()
cart.onPay(tap(1, 1, 1, { el: 'pay' }))
hidden()
for (let i = 0; i < 60; i += 1) cart.onPay(tap(1, 1, 1, { el: 'pay' }))
hidden()
const recorder = require('./recorder.js')
recorder.start(({ rows }) => rows.forEach((one) => wx.reportEvent('tap_log', one)))
page.onTapSeen(tap(30, 40, 40, { el: 'buy' }))
recorder.flush()
recorder.flush()
console.log(JSON.stringify({ sent, reported }))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mini")
    files = FILE.findall(GUIDE.read_text("utf-8"))
    assert [name for name, _ in files] == [
        "recorder.js",
        "app.js",
        "pages/item/detail.js",
        "pages/cart/cart.js",
    ]
    for name, text in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    (folder / "driver.js").write_text(DRIVER, "utf-8")
    run = subprocess.run(
        [NODE, "driver.js"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@needs_node
def test_what_it_sends_is_taken_in_whole(made):
    sizes = [len(payload["rows"]) for payload in made["sent"]]
    assert sizes == [7, 50, 10]  # at the app's leaving, and whenever 50 wait
    for payload in made["sent"]:
        found = heatmap.read_payload(json.dumps(payload), user_id="u")
        assert found.rejected == ()
        assert found.notices == ()
    ids = [row["event_id"] for payload in made["sent"] for row in payload["rows"]]
    assert len(set(ids)) == 67


@needs_node
def test_its_rows_are_our_columns(made):
    found = heatmap.read_payload(made["sent"][0], user_id="u")
    kinds = [e["event"] for e in found.events]
    assert kinds == ["page_view", "impression", *["tap"] * 3, "page_leave", "tap"]
    first, plain, deep, element = [e for e in found.events if e["event"] == "tap"]
    assert first["element_id"] == "card"
    assert first["element_index"] == 2
    assert (first["x_px"], first["y_px"], first["client_y_px"]) == (187.5, 900, 420)
    assert (first["scroll_y_px"], first["page_h_px"]) == (480, 2400)
    assert first["phase"] == "capture"
    assert "element_id" not in plain  # a tap on nothing
    assert plain["scroll_y_px"] == 480  # of the last scroll, without a touch
    assert deep["page_h_px"] == 3000  # the list has grown
    assert element["element_id"] == "pay"
    assert element["page_path"] == "pages/cart/cart"
    assert "x_px" not in element
    assert found.events[-2]["scroll_max_px"] == 480


@needs_node
def test_its_rows_make_maps_and_counts_by_element(made):
    table = heatmap.read_payload(made["sent"][0], user_id="u").to_arrow()
    taps = heatmap.aggregate(table)
    assert taps.grid("pages/item/detail").taps.sum() == 3
    assert taps.counted["no_position"] == 1
    assert taps.counted["off_page"] == 0
    by_element = heatmap.aggregate(table, mode="elements")
    assert {e.element_id for e in by_element.elements} == {"pay", "card", "more", None}
    assert {i.page for i in heatmap.elements(table).items} == {
        "pages/item/detail",
        "pages/cart/cart",
    }
    (page,) = heatmap.scroll(table).pages
    assert page.median_rpx == (2900 - 400 + 667) * 2  # where the deepest tap was
    assert page.page_rpx == 3000 * 2


@needs_node
def test_the_platforms_own_way_takes_the_same_rows(made):
    (row,) = made["reported"]
    assert heatmap.read_payload([row], user_id="u").verdict == "heatmap.payload.ok"
