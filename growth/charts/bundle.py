"""The drawing code of live charts: one script for a whole page, nothing to fetch."""

from __future__ import annotations

from functools import cache

__all__ = ["vega_bundle"]


@cache
def vega_bundle() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script.

    Returns
    -------
    str
        JavaScript, about 0.9 MB, that sets ``window.vegaEmbed`` and nothing else.
        The same text each time; it can stand inside a ``<script>`` element.

    Notes
    -----
    vl-convert carries these libraries in itself and draws the static charts with
    the same ones, so a live chart and its drawing cannot come from two versions.
    Taking them out lasts about a second and a half, once a process.
    """
    import vl_convert

    from growth.charts.svg import vega_lite_version

    code = vl_convert.javascript_bundle(
        "window.vegaEmbed=vegaEmbed;", vl_version=vega_lite_version()
    )
    # an element ends at the first such tag, wherever it stands
    safe = str(code).replace("</script", "<\\/script").replace("<!--", "<\\!--")
    return f"(()=>{{{safe}}})();"
