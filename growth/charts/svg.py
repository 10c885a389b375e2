"""One chart as one safe, small SVG: no link, no outside request, no script."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

from growth.charts.theme import FONT
from growth.errors import ParameterError

if TYPE_CHECKING:
    import altair as alt

__all__ = ["spec_of", "to_svg", "vega_lite_version"]

SVG_NS: Final = "http://www.w3.org/2000/svg"
# Inside role="img" a reader hears the title and description only, so what Vega
# says about single marks is weight without use.
_DROPPED: Final = {
    "aria-hidden", "aria-label", "aria-roledescription", "class", "pointer-events",
    "role", "version",
}  # fmt: skip
_DEFAULTS: Final = {
    "opacity": "1", "stroke-miterlimit": "10", "stroke-width": "1",
    "font-weight": "normal", "text-anchor": "start", "font-family": FONT,
    "x2": "0", "y2": "0", "transform": "translate(0,0)",
}  # fmt: skip
_FORBIDDEN: Final = {"href": "a link", "url": "outside data or an image"}
_DECIMAL: Final = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_RGB: Final = re.compile(r"rgb\((\d+), (\d+), (\d+)\)")
_NAME: Final = re.compile(r"[^A-Za-z0-9_-]+")
_INHERITED: Final = frozenset({
    "fill", "stroke", "stroke-width", "stroke-dasharray", "fill-opacity",
    "stroke-opacity", "font-size", "font-weight", "text-anchor",
})  # fmt: skip


def spec_of(chart: alt.TopLevelMixin | Mapping[str, Any]) -> dict[str, Any]:
    """Return a chart's Vega-Lite form, refusing what would load or link.

    Parameters
    ----------
    chart : Altair chart or mapping
        A chart, or its Vega-Lite form.

    Returns
    -------
    dict
        The Vega-Lite form; its data are in it.

    Raises
    ------
    ParameterError
        If a channel links (``href``), data or a mark loads (``url``), or a mark
        is an image (code ``chart_not_self_contained``).
    """
    spec = dict(chart) if isinstance(chart, Mapping) else chart.to_dict()
    if fault := _outside(spec):
        msg = (
            f"the chart holds {fault}; a chart must be whole in itself; "
            "put the values into the chart and drop the link."
        )
        raise ParameterError(msg, code="chart_not_self_contained")
    return spec


def to_svg(chart: alt.TopLevelMixin | Mapping[str, Any]) -> str:
    """Draw one chart as SVG, offline.

    Parameters
    ----------
    chart : Altair chart or mapping
        A chart of `growth.charts`, or any whose data are in it. Its ``name``
        (default ``chart``) begins every id, so that several charts share a page.

    Returns
    -------
    str
        One ``<svg role="img">`` with ``<title>`` and ``<desc>``, coordinates to
        0.1 px, without link, script or outside request. Text is drawn by the
        reader's own fonts.

    Raises
    ------
    ParameterError
        If the chart links or loads something (code ``chart_not_self_contained``).

    Notes
    -----
    vl-convert draws an empty chart, without an error, where it may not load the
    data; hence the refusal before it draws.
    """
    import vl_convert

    spec = spec_of(chart)
    drawn = vl_convert.vegalite_to_svg(
        spec, vl_version=vega_lite_version(), allowed_base_urls=[]
    )
    root = ET.fromstring(drawn)
    for node in root.iter():
        node.tag = node.tag.removeprefix(f"{{{SVG_NS}}}")
    _rename_ids(root, _NAME.sub("-", str(spec.get("name") or "chart")).strip("-"))
    _slim(root)
    title = _text(spec.get("title")) or str(spec.get("name") or "")
    _name(root, title, str(spec.get("description") or title))
    root.set("xmlns", SVG_NS)
    return ET.tostring(root, encoding="unicode")


def vega_lite_version() -> str:
    """Return the version of Vega-Lite that Altair writes: ``6.4``."""
    import altair as alt

    return ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])


def _outside(node: object, *, key: str = "") -> str:
    """Return what in a chart points outside itself, else the empty text."""
    match node:
        case {"type": "image"} if key in {"mark", "marks"}:
            return "an image mark"
        case "image" if key == "mark":
            return "an image mark"
        case dict():
            for name, inner in node.items():
                # values are data, whatever their columns are called
                if name in {"values", "datasets"} and key in {"data", ""}:
                    continue
                if name in _FORBIDDEN:
                    return f"{_FORBIDDEN[name]} ({name})"
                if found := _outside(inner, key=str(name)):
                    return found
        case list() | tuple():
            for inner in node:
                if found := _outside(inner, key=key):
                    return found
        case _:
            pass
    return ""


def _text(title: object) -> str:
    if isinstance(title, dict):
        title = title.get("text")
    return " ".join(map(str, title)) if isinstance(title, list) else str(title or "")


def _rename_ids(root: ET.Element, name: str) -> None:
    """Give ids the chart's name: Vega counts them up over the whole process."""
    named = [node for node in root.iter() if "id" in node.attrib]
    ids = {node.attrib["id"]: f"{name or 'chart'}-{i}" for i, node in enumerate(named)}
    for node in root.iter():
        for attribute, value in node.attrib.items():
            if attribute == "id":
                node.set("id", ids[value])
            elif value.startswith("url(#"):
                node.set(attribute, f"url(#{ids[value[5:-1]]})")


def _slim(root: ET.Element) -> None:
    for node in root.iter():
        for name in [n for n in node.attrib if n in _DROPPED]:
            del node.attrib[name]
        for name, value in node.attrib.items():
            if name not in {"id", "clip-path", "font-family"}:
                node.set(name, _RGB.sub(_hex, _DECIMAL.sub(_round, value)))
        for name, default in _DEFAULTS.items():
            if node.get(name) == default:
                del node.attrib[name]
        if "font-size" in node.attrib:
            node.set("font-size", node.attrib["font-size"].removesuffix("px"))
    root.set("font-family", FONT)
    _prune(root)
    _share(root)


def _share(node: ET.Element) -> None:
    """Say once, on a group, what marks side by side have in common."""
    for child in node:
        _share(child)
    kept: list[ET.Element] = []
    for said, run in groupby(node, key=_said):
        marks = list(run)
        if not said or len(marks) < 3:
            kept.extend(marks)
            continue
        for mark in marks:
            for name in dict(said):
                del mark.attrib[name]
        group = ET.Element("g", dict(said))
        group.extend(marks)
        kept.append(group)
    node[:] = kept


def _said(mark: ET.Element) -> tuple[tuple[str, str], ...]:
    """Return what of a mark its group could say for it."""
    if mark.tag not in {"path", "line", "rect", "text"}:
        return ()
    return tuple((n, v) for n, v in sorted(mark.attrib.items()) if n in _INHERITED)


def _prune(node: ET.Element) -> None:
    """Drop what is not seen, and groups that say nothing."""
    kept: list[ET.Element] = []
    for child in node:
        _prune(child)
        if not _seen(child):
            continue
        if child.tag == "g" and not child.attrib:
            kept.extend(child)
        else:
            kept.append(child)
    node[:] = kept


def _seen(node: ET.Element) -> bool:
    if node.get("opacity") == "0" or node.get("display") == "none":
        return False
    if node.tag in {"g", "defs"}:
        return bool(len(node))
    if node.tag == "path":
        return bool(node.get("d")) and (
            "fill" in node.attrib or "stroke" in node.attrib
        )
    return True


def _hex(colour: re.Match[str]) -> str:
    return "#" + "".join(f"{int(part):02x}" for part in colour.groups())


def _round(number: re.Match[str]) -> str:
    return f"{round(float(number[0]), 1) + 0.0:g}"


def _name(root: ET.Element, title: str, description: str) -> None:
    root.set("role", "img")
    for tag, words in (("desc", description), ("title", title)):
        node = ET.Element(tag)
        node.text = words
        root.insert(0, node)
