"""What every result can do: show itself, be stored, be read back, hide nothing."""

import json
import re
from dataclasses import FrozenInstanceError, dataclass
from datetime import UTC, date, datetime
from html.parser import HTMLParser

import numpy as np
import pytest

from growth.labels import table
from growth.result import CARD_STYLE, Estimate, Notice, Result, filled, plain, show


@dataclass(frozen=True, slots=True)
class Pair:
    left: int
    right: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain(Result):
    """A result with whatever rows the test gives it."""

    name: str = "x"
    table: tuple = ()
    held: object = ()

    @property
    def verdict(self):
        return "column.estimate"

    def rows(self):
        return [dict(row) for row in self.table]


class Tags(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.seen = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))


@pytest.fixture
def words(monkeypatch):
    """Lend the labels some keys of this test's own."""
    ours = {
        "column": "Question",
        "notice.crossed": "{units} crossed over",
    }
    for lang in ("en", "zh"):
        for key, text in ours.items():
            monkeypatch.setitem(table(lang), key, text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0074, "0.0074"),
        (0.00012345, "0.000123"),
        (-0.25, "−0.25"),
        (3e-36, "3e−36"),
        (0.0, "0"),
        (1.0, "1"),
        (12_345.67, "12,345.7"),
        (-12_345, "−12,345"),
        (12_345, "12,345"),
        (0, "0"),
        (True, "✓"),
        (False, "✗"),
        (None, "–"),
        ("None", "None"),
        ("-1", "-1"),
    ],
)
def test_a_value_is_written_for_people(value, text):
    assert show(value) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_a_number_never_leaves_a_result(value):
    for held in (value, (1, [value]), {"a": value}, np.float64(value), Pair(1, value)):
        with pytest.raises(ValueError, match=r"it must hold None and a notice"):
            Plain(held=held).to_dict()


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        (np.float64(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.array([1, 2]), [1, 2]),
        (date(2026, 3, 1), "2026-03-01"),
        (datetime(2026, 3, 1, 8, tzinfo=UTC), "2026-03-01T08:00:00+00:00"),
        ({"b", "a"}, ["a", "b"]),
        (frozenset({2, 1}), [1, 2]),
        ({1: (2, None)}, {"1": [2, None]}),
        (Pair(1, None), {"left": 1, "right": None}),
        (Notice("a"), {"code": "a", "severity": "warning", "args": {}}),
    ],
)
def test_values_become_what_json_holds(value, becomes):
    written = plain(value)
    assert written == becomes
    assert json.loads(json.dumps(written, allow_nan=False)) == becomes
    assert type(written) in {bool, int, float, str, list, dict}


@pytest.mark.parametrize("value", [object(), b"bytes", 1j, Ellipsis])
def test_anything_else_is_refused_as_a_defect(value):
    with pytest.raises(TypeError, match=r"it must hold plain values"):
        plain(value)


@pytest.mark.parametrize(
    ("name", "value", "en", "zh"),
    [
        ("window", "7d", "7 d", "7 天"),
        ("window", "36h", "36 h", "36 小时"),
        ("window", "1500ms", "1500ms", "1500ms"),
        ("window", None, "–", "–"),
        ("period", "hour", "hour", "小时"),
        ("period", "fortnight", "fortnight", "fortnight"),
        ("days", "7d", "7d", "7d"),  # somebody's own text
        ("rows", 1200, "1,200", "1,200"),
    ],
)
def test_a_field_is_written_in_the_language_of_its_words(name, value, en, zh):
    assert filled([(name, value)], "en") == {name: en}
    assert filled([(name, value)], "zh") == {name: zh}


def test_a_result_is_stored_whole():
    notice = Notice("crossed", "info", (("units", 7),))
    stored = Plain(held=(Pair(1, 0.5),), notices=(notice,)).to_dict()
    assert stored == {
        "verdict": "column.estimate",
        "name": "x",
        "table": [],
        "held": [{"left": 1, "right": 0.5}],
        "notices": [{"code": "crossed", "severity": "info", "args": {"units": 7}}],
    }


def test_a_result_cannot_be_written_to():
    with pytest.raises(FrozenInstanceError, match="name"):
        Plain().name = "y"


@pytest.mark.usefixtures("words")
def test_no_rows_gives_a_verdict_and_no_table():
    html = Plain().to_html("en")
    assert "<strong>Estimate</strong>" in html
    assert "<table" not in html


@pytest.mark.usefixtures("words")
def test_a_table_has_a_caption_and_scoped_heads_and_shows_a_missing_cell():
    rows = ((("name", "A"), ("own", None)), (("name", None), ("own", 1234)))
    html = Plain(table=rows).to_html("en")
    assert "<caption>Question</caption>" in html
    assert "<td>–</td>" in html
    assert "1,234" in html
    cells = [(tag, a.get("scope")) for tag, a in Tags(html).seen if tag in {"th", "td"}]
    row = [("th", "row"), ("td", None)]
    assert cells == [("th", "col"), ("th", "col"), *row, *row]


@pytest.mark.usefixtures("words")
def test_words_stand_left_and_numbers_right():
    rows = ((("name", "A"), ("own", None)), (("name", "B"), ("own", "pay")))
    html = Plain(table=rows).to_html("en")
    assert html.count('<td class="t">') == 2
    assert '<th scope="col" class="t">' in html


@pytest.mark.usefixtures("words")
def test_a_column_named_by_the_user_keeps_its_name():
    html = Plain(table=((("城市 <b>", 1),),)).to_html("zh")
    assert '<th scope="col">城市 &lt;b&gt;</th>' in html
    assert table("zh")["column.name"] in html  # the figure `name` has words


@pytest.mark.usefixtures("words")
def test_everything_shown_is_escaped():
    notice = Notice("crossed", "info", (("units", "<7>"),))
    html = Plain(name="<script>", table=((("a", "<i>"),),), notices=(notice,)).to_html()
    assert {tag for tag, _ in Tags(html).seen} <= {
        *("section", "p", "strong", "table", "caption", "thead", "tbody"),
        *("tr", "th", "td", "ul", "li", "div"),
    }
    assert '<li class="info">&lt;7&gt; crossed over</li>' in html


@pytest.mark.usefixtures("words")
def test_jupyter_shows_the_current_language():
    shown = Plain()._repr_html_()
    assert shown == CARD_STYLE + Plain().to_html("en")
    assert "--jp-content-font-color1" in shown  # it follows the theme of JupyterLab
    assert not re.search(r"url\(|@import|<(?!/?style)", CARD_STYLE)


def test_rows_become_a_frame():
    frame = Plain(table=((("a", 1), ("b", None)), (("a", 2), ("b", 0.5)))).to_pandas()
    assert list(frame.columns) == ["a", "b"]
    assert frame["a"].tolist() == [1, 2]


def test_a_notice_is_hashable_and_warns_unless_told_otherwise():
    notice = Notice("crossed", args=(("units", 1),))
    assert len({notice, Notice("crossed", "warning", (("units", 1),))}) == 1


def test_an_estimate_is_stored_with_its_by_as_a_mapping():
    stored = Estimate(
        key="pay_rate.lift",
        by=(("arm", "B"),),
        value=np.float64(0.012),
        lo=-0.004,
        hi=0.028,
        level=0.95,
        n=20_400,
        unit="ratio",
    ).to_dict()
    assert stored["by"] == {"arm": "B"}
    assert stored["value"] == 0.012
    assert stored["se"] is None
    json.dumps(stored, allow_nan=False)


def test_its_repr_is_what_is_plain_and_never_whom_it_holds():
    kept = Plain(name="卡", table=((("user", "u1"),),), held=np.arange(10_000))
    assert repr(kept) == "<Plain column.estimate: name='卡'>"

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Own(Plain):
        def __repr__(self):
            return "own"

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Bare(Plain):
        name: tuple = ()

    assert repr(Own()) == "own"
    assert str(Bare()) == "<Bare column.estimate>"
