"""The last pass over a page: nothing in it runs, loads or sends anything.

What a cell shows is somebody's HTML. The page's Content-Security-Policy already
forbids a browser to act on it; this pass also takes it out, so that the file is
harmless where a policy is not read (mail previews, old viewers, converters).
"""

from __future__ import annotations

import re
from html import escape
from html.parser import HTMLParser
from typing import Final, NamedTuple

__all__ = ["Clean", "clean"]


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Gone with all that is in them.
_DANGEROUS: Final = _names(
    "applet audio base button canvas datalist dialog embed fencedframe "
    "foreignobject form frame frameset iframe input link map meta noembed "
    "noframes noscript object optgroup option param picture plaintext portal "
    "script select source template textarea track video xmp animate animatemotion "
    "animatetransform set use image feimage maction semantics annotation "
    "annotation-xml"
)
_HTML: Final = _names(
    "a abbr article aside b bdi bdo blockquote br caption cite code col colgroup "
    "dd del details dfn div dl dt em figcaption figure footer h1 h2 h3 h4 h5 h6 "
    "header hr i img ins kbd li main mark nav ol p pre q rp rt ruby s samp "
    "section small span strong style sub summary sup table tbody td tfoot th "
    "thead time title tr u ul var wbr"
)
_SVG: Final = _names(
    "circle clippath defs desc ellipse g line lineargradient path pattern polygon "
    "polyline radialgradient rect stop svg text tspan"
)
_MATHML: Final = _names(
    "math menclose merror mfenced mfrac mi mmultiscripts mn mo mover mpadded "
    "mphantom mprescripts mroot mrow ms mspace msqrt mstyle msub msubsup msup "
    "mtable mtd mtext mtr munder munderover none"
)
_KNOWN: Final = _HTML | _SVG | _MATHML
_VOID: Final = frozenset({"br", "col", "hr", "img", "wbr"})
_ATTRIBUTES: Final = _names(
    "abbr align alt class colspan dir headers height hidden href id lang open "
    "reversed role rowspan scope span src start style tabindex title type value "
    "width clip-path clip-rule cx cy d dominant-baseline dx dy fill fill-opacity "
    "fill-rule font-family font-size font-style font-variant font-weight "
    "gradienttransform gradientunits letter-spacing offset opacity "
    "patterntransform patternunits points preserveaspectratio r rx ry stop-color "
    "stop-opacity stroke stroke-dasharray stroke-dashoffset stroke-linecap "
    "stroke-linejoin stroke-miterlimit stroke-opacity stroke-width text-anchor "
    "text-decoration transform vector-effect viewbox visibility x x1 x2 xmlns y "
    "y1 y2 accent accentunder columnalign columnlines columnspacing depth display "
    "displaystyle fence form largeop linethickness lspace mathsize mathvariant "
    "maxsize minsize movablelimits rowlines rowspacing rspace scriptlevel "
    "separator stretchy symmetric voffset"
)
_LOADING: Final = _names(
    "action archive background cite classid codebase data formaction href "
    "longdesc lowsrc manifest ping poster profile src srcdoc srcset usemap "
    "xlink:href"
)
_RAW: Final = re.compile(r"[\x00-\x20\x7f\u200b-\u200f\u2028-\u202e\ufeff]+")
_LINK: Final = re.compile(r"(?:https?://|mailto:|#)", re.IGNORECASE)
_PICTURE: Final = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[\w+/=]*", re.I)
_ACTIVE_CSS: Final = re.compile(
    r"url\((?!\s*#)|image-set|@import|@font-face|expression|javascript:|behavior|"
    r"-moz-binding|[\\<]",
    re.IGNORECASE,
)


class Clean(NamedTuple):
    """A page's HTML, and how many active or loading things were taken out."""

    html: str
    removed: int


def clean(html: str) -> Clean:
    """Take out of an HTML fragment whatever would run, load or send.

    Parameters
    ----------
    html : str
        A fragment of a page's body, from a notebook or anywhere else.

    Returns
    -------
    Clean
        `html` written anew from what is known to be harmless: text, tables, folds,
        inline SVG, MathML, pictures within the page, links a reader may follow.
        `removed` counts scripts, handlers, frames, forms and loading addresses;
        unknown harmless tags go uncounted, their text stays.
    """
    parser = _Cleaner()
    parser.feed(html)
    parser.close()
    return Clean("".join(parser.parts) + parser.closing(), parser.removed)


class _Cleaner(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.removed = 0
        self._open: list[str] = []
        self._skipping: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._skipping:
            if tag not in _EMPTY:
                self._skipping.append(tag)
            return
        if tag in _DANGEROUS:
            self.removed += 1
            if tag not in _EMPTY:
                self._skipping.append(tag)
            return
        if tag not in _KNOWN:
            return
        written = "".join(self._attribute(tag, n, v or "") for n, v in attrs)
        self.parts.append(f"<{tag}{written}>")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _DANGEROUS and not self._skipping:
            self.removed += 1
            # a browser reads <script/> as an open tag: so must we
            if tag not in _EMPTY and tag not in _SELF_CLOSING:
                self._skipping.append(tag)
            return
        self.handle_starttag(tag, attrs)
        if tag not in _VOID and not self._skipping and tag in _KNOWN:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._skipping:
            if tag in self._skipping:
                while self._skipping.pop() != tag:
                    pass
            return
        if tag not in self._open:
            return
        while True:
            last = self._open.pop()
            self.parts.append(f"</{last}>")
            if last == tag:
                return

    def handle_data(self, data: str) -> None:
        if self._skipping:
            return
        if self._open and self._open[-1] == "style":
            if _ACTIVE_CSS.search(data):
                self.removed += 1
            else:
                self.parts.append(data)
            return
        self.parts.append(escape(data, quote=False))

    def closing(self) -> str:
        """Return the end tags still owed."""
        return "".join(f"</{tag}>" for tag in reversed(self._open))

    def _attribute(self, tag: str, name: str, value: str) -> str:
        if name.startswith("on") or (
            name in _LOADING and not _harmless(tag, name, value)
        ):
            self.removed += 1
            return ""
        if name not in _ATTRIBUTES and not name.startswith(("aria-", "data-h")):
            return ""
        if _ACTIVE_CSS.search(value) and (name == "style" or "(" in value):
            self.removed += 1
            return ""
        return f' {name}="{escape(value)}"'


# Elements without content: nothing to skip until an end tag.
_EMPTY: Final = frozenset(
    {"base", "embed", "input", "link", "meta", "param", "source", "track", "frame"}
)
_SELF_CLOSING: Final = frozenset(
    {"animate", "animatemotion", "animatetransform", "set", "use", "image", "feimage"}
)


def _harmless(tag: str, name: str, value: str) -> bool:
    """Return whether an address neither loads nor runs anything by itself."""
    address = _RAW.sub("", value)
    if tag == "a" and name == "href":
        return bool(_LINK.match(address))
    return tag == "img" and name == "src" and bool(_PICTURE.fullmatch(address))
