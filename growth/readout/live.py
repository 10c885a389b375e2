"""The page with live charts: the static one, and a script that redraws its charts.

The static page stays whole inside it. A chart is replaced only once its live twin
has been drawn; where a browser cannot or may not run the script nothing is lost.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

from growth.errors import DataError
from growth.readout.clean import clean
from growth.readout.page import CSP

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Live", "render_live"]

_POLICY: Final = f'content="{CSP}"'
_CARD: Final = re.compile(r'(<div class="card">)(<svg\b.*?</svg>)(</div>)', re.DOTALL)
_IDS: Final = re.compile(r'( id="|url\(#)[^")]*')
_STYLE: Final = "<style>.vega,.vega svg{display:block;width:100%}</style>"

Live = tuple["Mapping[str, Any]", str]


def render_live(page: str, charts: Iterable[Live]) -> str:
    """Make a static page's charts live.

    Parameters
    ----------
    page : str
        A run's ``readout.html``.
    charts : iterable of (mapping, str)
        Each chart's Vega-Lite form and its SVG; one the page does not show is
        left out.

    Returns
    -------
    str
        The same page with one script that draws and one that swaps, allowed by
        their hashes; it asks the network for nothing.

    Raises
    ------
    DataError
        If `page` is no page of ours (code ``unknown_page``).
    """
    from growth.charts.bundle import vega_bundle

    if page.count(_POLICY) != 1 or "</body>" not in page:
        msg = "the page has not the head that growth writes; it must be a run's"
        msg = f"{msg} readout.html as it was written; run the readout again."
        raise DataError(msg, code="unknown_page")
    specs = {_tree(svg): spec for spec, svg in charts}

    def live(found: re.Match[str]) -> str:
        spec = specs.get(_tree(found[2]))
        if spec is None:
            return found[0]
        name = escape(str(spec.get("name") or "chart"))
        held = f'<script type="application/json" data-chart="{name}">{_inside(spec)}'
        return f"{found[1]}{found[2]}{held}</script>{found[3]}"

    boot = files("growth.readout").joinpath("template", "boot.js").read_text("utf-8")
    scripts = (vega_bundle(), boot)
    policy = " ".join(["script-src", *map(_hash, scripts), "'unsafe-eval'"])
    tail = "".join(f"<script>{script}</script>" for script in scripts)
    shown = _CARD.sub(live, page)
    head, _, rest = shown.partition(_POLICY)
    top, _, body = rest.partition("</head>")
    story, _, end = body.rpartition("</body>")
    return (
        f'{head}content="{CSP}; {policy}"{top}{_STYLE}</head>{story}{tail}</body>{end}'
    )


def _tree(svg: str) -> str:
    """Return a drawing as the page holds it, but for its ids and how it is spelt.

    The page's own passes order attributes anew, and an id begins with the name
    that the chart was shown under.
    """
    held = clean(clean(svg).html).html
    try:
        return ET.canonicalize(_IDS.sub(r"\1", held))
    except ET.ParseError:
        return held


def _inside(spec: Mapping[str, Any]) -> str:
    """Write a chart so that nothing in it can end the element it stands in."""
    text = json.dumps(spec, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _hash(script: str) -> str:
    """Return a script's name in a policy; a browser hashes what stands in between."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{b64encode(digest).decode()}'"
