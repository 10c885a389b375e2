from xml.etree import ElementTree as ET

import numpy as np
import pytest

from growth.charts.intervals import Interval
from growth.readout.blocks import (
    Block,
    Check,
    Row,
    Tile,
    check_list,
    data_table,
    finding,
    headline,
    interval_table,
    raster,
    tone_of,
)
from growth.readout.clean import clean


def row(value, lo, hi, **more):
    drawn = Interval(label="Rate", value=value, lo=lo, hi=hi, **more)
    return Row(drawn, before=("goal", "2%"), after=("0.01",))


def drawn(*rows):
    block = interval_table(
        rows,
        caption="What changed",
        first="Metric",
        before=("Role", "list"),
        drawn="Change",
        after=("p",),
        left=1,
    )
    return ET.fromstring(block.html)


def test_a_table_has_a_caption_and_each_head_a_scope():
    table = drawn(row(0.06, 0.02, 0.1)).find("table")
    assert "".join(table.find("caption").itertext()) == "What changed"
    heads = table.findall(".//th")
    assert [head.get("scope") for head in heads] == [
        "col", "col", "col", "colgroup", "col", "row",
    ]  # fmt: skip
    cells = table.findall("tbody/tr/td")
    assert [cell.get("data-h") for cell in cells] == [None, "list", None, None, "p"]


@pytest.mark.parametrize(
    ("lo", "hi", "good", "kind", "shape"),
    [
        (0.02, 0.1, "up", "g", "path"),
        (0.02, 0.1, "down", "b", "path"),
        (-0.1, -0.02, "up", "b", "path"),
        (-0.02, 0.1, "up", None, "circle"),
    ],
)
def test_colour_only_where_the_interval_clears_zero_never_colour_alone(
    lo, hi, good, kind, shape
):
    mark = drawn(row((lo + hi) / 2, lo, hi, good=good)).find(".//td[@class='iv']/svg/g")
    assert mark.get("class") == kind
    assert mark[-1].tag == shape


def test_the_margin_is_a_dotted_line():
    with_margin = drawn(row(0.0, -0.02, 0.03, margin=0.05))
    assert with_margin.find(".//line[@class='mg']") is not None
    assert drawn(row(0.0, -0.02, 0.03)).find(".//line[@class='mg']") is None


def test_a_margin_beyond_the_axis_stands_at_its_edge_and_points_away():
    table = drawn(row(0.0, -0.02, 0.03, margin=3.0))
    assert float(table.find(".//line[@class='mg']").get("x1")) == 0
    assert table.find(".//path[@class='far']") is not None
    near = drawn(row(0.0, -0.02, 0.03, margin=0.05))
    assert near.find(".//path[@class='far']") is None


def test_rows_share_one_axis():
    table = drawn(row(0.05, 0.0, 0.1), row(0.1, 0.1, 0.1))
    lines = [g[0].get("d") for g in table.findall(".//td[@class='iv']/svg/g")]
    assert lines[0].rpartition("H")[2] == lines[1].rpartition("H")[2]
    zeros = {line.get("x1") for line in table.findall(".//line[@class='zr']")}
    assert len(zeros) == 1


def test_an_end_beyond_the_axis_gets_an_arrow():
    rows = [row(0.0, -0.1, 0.1), row(0.0, -0.1, 0.1), row(0.0, -9.0, 0.1)]
    marks = drawn(*rows).findall(".//td[@class='iv']/svg/g")
    assert [len(mark) for mark in marks] == [2, 2, 3]


def test_numbers_stand_beside_the_drawing_with_a_real_minus():
    cell = drawn(row(-0.06, -0.1, -0.02)).find(".//td[@class='e']")
    assert list(cell.itertext()) == ["−6.0%", "−10.0% to −2.0%"]


def test_what_cannot_be_drawn_is_said():
    one = Row(
        Interval(label="Rate", value=None, lo=None, hi=None),
        said=("+1 pp", "0 to 2 pp"),
    )
    block = interval_table([one], caption="c", first="f", drawn="d")
    table = ET.fromstring(block.html)
    assert table.find(".//td[@class='iv']/svg/g") is None
    assert list(table.find(".//td[@class='e']").itertext()) == ["+1 pp", "0 to 2 pp"]


def test_checks_put_what_needs_care_first_and_say_the_state():
    block = check_list(
        [
            Check("ok", "fine"),
            Check("warn", "look", "2 of 3"),
            Check("fail", "bad"),
            Check("info", "know"),
        ]
    )
    lines = ET.fromstring(block.html).findall("li")
    assert [line[1].text for line in lines] == ["bad", "look", "fine", "know"]
    assert [line[0].get("aria-label") for line in lines] == [
        "failed", "warning", "passed", "for information",
    ]  # fmt: skip


def test_whatever_is_written_is_escaped():
    bad = "<script>alert(1)</script>"
    made = [
        headline(bad, bad, bad, [bad], [Tile(bad, bad, bad)]),
        check_list([Check("ok", bad, bad)]),
        data_table({"a": bad, "b": bad}, [{"a": bad, "b": bad}], caption=bad, fold=bad),
        interval_table(
            [
                Row(
                    Interval(label=bad, value=0.0, lo=-1.0, hi=1.0),
                    note=bad,
                    before=(bad,),
                    after=(bad,),
                    said=(bad, bad),
                )
            ],
            caption=bad,
            first=bad,
            before=(bad,),
            drawn=bad,
            after=(bad,),
        ),
        Block.of("p", bad, kind='"><script>'),
    ]
    for block in made:
        assert "<script" not in block.html
        assert "&lt;script&gt;" in block.html


def test_a_finding_has_its_notes_below():
    block = finding("It <lasts>", ["12 days", "a & b"])
    assert block.html == (
        '<p class="finding">It &lt;lasts&gt;</p>'
        '<p class="note">12 days</p><p class="note">a &amp; b</p>'
    )


@pytest.mark.parametrize(
    ("verdict", "tone"),
    [
        ("abtest.decision.ship", "g"),
        ("abtest.decision.invalid", "b"),
        ("retention.curve.few", "w"),
        ("somebody.elses", "a"),
        ("", "a"),
    ],
)
def test_a_verdict_has_the_colour_of_its_last_part(verdict, tone):
    assert tone_of(verdict) == tone


def test_a_dense_grid_is_one_picture_that_the_page_keeps():
    block = raster(
        np.array([[0, 1], [1, 0]]),
        ["#ffffff", "#0b5cad"],
        alt='who <came> "back"',
        caption="By day",
    )
    kept, removed = clean(block.html)
    assert removed == 0
    assert 'alt="who &lt;came&gt; &quot;back&quot;"' in kept
    assert 'src="data:image/png;base64,' in kept
    assert "By day" in kept
    assert len(kept) < 400


def test_levels_stand_on_an_axis_in_their_own_unit():
    one = Interval(
        label="Day 7", value=0.31, lo=0.3, hi=0.32, unit="share", change=False
    )
    block = interval_table([Row(one)], caption="c", first="f", drawn="d", lang="en")
    assert ">30%</text>" in block.html
    assert "+" not in block.html


def test_a_block_brings_its_styles_to_jupyterlab_and_asks_for_nothing():
    shown = Block("<p>x</p>")._repr_html_()
    assert shown.startswith('<div class="growth"><style>')
    assert "url(" not in shown
    assert "@import" not in shown


def test_words_of_ticks_do_not_meet():
    def ticks(lo, hi, **more):
        drawn_ = drawn(row((lo + hi) / 2, lo, hi, **more))
        return [
            "".join(each.itertext()) for each in drawn_.findall("table/tfoot//text")
        ]

    assert ticks(-0.1, 0.2) == ["−10%", "0%", "+10%", "+20%"]
    wide = ticks(-2_500_000, 2_500_000, unit="fen", change=True)
    assert wide == ["−¥20,000", "0", "+¥20,000"]


def test_a_tile_says_its_interval_only_where_it_has_one():
    known = Tile.measured("Paid", "12%", "10% to 14%", level=0.95)
    assert known.under == "95% interval 10% to 14%"
    assert Tile.measured("Paid", "12%", "", level=0.95).under == ""
    bare = Tile.measured("Paid", "12%", "10% to 14%", level=None)
    assert bare.under.endswith("10% to 14%")
    assert not bare.under.startswith(" ")
