from xml.etree import ElementTree as ET

import altair as alt
import pytest

from growth.charts import to_svg
from growth.charts.svg import spec_of
from growth.charts.theme import finish
from growth.errors import ParameterError

NS = "{http://www.w3.org/2000/svg}"


def points(mark="point", **encode):
    data = alt.InlineData(values=[{"x": 1 / 3, "y": 2, "u": "http://a.example/"}])
    made = getattr(alt.Chart(data), f"mark_{mark}")(clip=True)
    return made.encode(x="x:Q", y="y:Q", **encode)


def test_it_names_itself_for_who_cannot_see_it():
    chart = finish(points(), name="a", title="实验 <b>", description="one & two")
    root = ET.fromstring(to_svg(chart))
    assert root.get("role") == "img"
    assert root[0].tag == f"{NS}title"
    assert (root[0].text, root[1].text) == ("实验 <b>", "one & two")
    assert "<b>" not in to_svg(chart)


def test_ids_carry_the_charts_name_however_many_were_drawn_before():
    chart = finish(points(), name="trend-pay rate", title="t", description="d")
    first, second = to_svg(chart), to_svg(chart)
    assert first == second
    assert 'id="trend-pay-rate-0"' in first
    assert 'clip-path="url(#trend-pay-rate-0)"' in first


def test_coordinates_are_rounded():
    svg = to_svg(finish(points(), name="a", title="t", description="d"))
    numbers = [
        part
        for node in ET.fromstring(svg).iter()
        for name, value in node.attrib.items()
        if name in {"d", "transform", "x", "y"}
        for part in value.replace(",", " ").replace("(", " ").replace(")", " ").split()
    ]
    assert numbers
    assert all(len(part.partition(".")[2]) <= 1 for part in numbers)


def test_nothing_in_it_points_outside():
    svg = to_svg(finish(points(), name="a", title="t", description="d"))
    assert "href" not in svg
    assert "xlink" not in svg
    assert "url(" not in svg.replace("url(#", "")
    assert svg.count("http") == svg.count("http://www.w3.org/2000/svg") == 1


@pytest.mark.parametrize(
    ("chart", "what"),
    [
        (points(href="u:N"), r"a link \(href\)"),
        (points("image", url="u:N"), "an image mark"),
        (points(url="u:N"), r"outside data or an image \(url\)"),
        (alt.Chart("http://a.example/x.csv").mark_point(), r"\(url\)"),
        (points().properties(usermeta={"url": "x"}), r"\(url\)"),
        ({"mark": "image", "encoding": {}}, "an image mark"),
        ({"layer": [{"mark": {"type": "image"}}]}, "an image mark"),
        ({"mark": {"type": "point", "href": "x"}}, "a link"),
    ],
)
def test_what_would_load_or_link_is_refused_before_it_is_drawn(chart, what):
    words = f"the chart holds .*{what}.*whole"
    with pytest.raises(ParameterError, match=words) as info:
        to_svg(chart)
    assert info.value.code == "chart_not_self_contained"


def test_a_column_may_be_called_url():
    data = alt.InlineData(values=[{"x": 1, "url": "text", "href": "text"}])
    chart = alt.Chart(data).mark_point().encode(x="x:Q")
    assert spec_of(chart)["mark"]["type"] == "point"
    assert to_svg(chart).startswith("<svg")


def test_text_of_strangers_stays_text():
    data = alt.InlineData(values=[{"y": "<script>alert(1)</script>", "x": 1}])
    chart = alt.Chart(data).mark_bar().encode(x="x:Q", y="y:N")
    svg = to_svg(finish(chart, name="a", title="</title><script>", description="d"))
    assert "<script" not in svg
    assert "&lt;script&gt;alert(1)" in svg
