"""A run as one HTML file: no script, no request, readable on paper and on a phone.

Only this file names nbconvert, and only where it composes a page from an executed
notebook; the plain page and the page of a failed run are written without it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import date
from functools import cache
from html import escape, unescape
from importlib.resources import as_file, files
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, cast

from growth.charts.figures import NONE, count, p_value
from growth.labels import LANG, label, worded
from growth.readout.blocks import (
    Row,
    Tile,
    data_table,
    decided,
    interval_table,
    styles,
    tiled,
    tone_of,
)
from growth.readout.clean import clean
from growth.readout.estimates import about, interval_of
from growth.readout.sparing import spared
from growth.result import CARD_STYLE, filled, show

if TYPE_CHECKING:
    from growth.labels import Lang

__all__ = ["CSP", "render", "render_failure", "render_plain", "warm"]

CSP: Final = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; "
    "base-uri 'none'; form-action 'none'"
)
HTML_LANG: Final = {"en": "en", "zh": "zh-CN"}
TILES: Final = 4
_ONE: Final = Lock()  # an exporter's filters belong to the notebook in hand
HIDDEN: Final = ("interactive", "parameters", "injected-parameters", "lab")
WIDGET: Final = "application/vnd.jupyter.widget-view+json"
STATUS_TONES: Final = {"succeeded": "g", "skipped": "g", "running": "a"}

_CODE: Final = re.compile(r"(```.*?```|~~~.*?~~~|`+[^`]*`+)", re.DOTALL)
_MATH: Final = re.compile(
    r"(?<![\\$])\$\$(?P<block>.+?)\$\$|(?<![\\$\w])\$(?P<line>[^\s$](?:[^$\n]*[^\s$\\])?)\$"
    r"(?![\w$])",
    re.DOTALL,
)

# a card takes JupyterLab's colours; here they are the page's own
_CARDS: Final = (
    "<style>main.growth{--jp-content-font-color1:var(--ink);"
    "--jp-content-font-color2:var(--soft);--jp-border-color2:var(--line);"
    "--jp-warn-color0:var(--warn);--jp-layout-color1:var(--paper)}</style>"
)

Json = Mapping[str, Any]


def render(
    executed: object, document: Json, manifest: Json, *, lang: Lang | None = None
) -> str:
    """Compose the page of a run that succeeded.

    Parameters
    ----------
    executed : notebook node or path
        The notebook as it ran. Its markdown tells the story and its outputs are
        shown; its code is not. A cell tagged ``en`` or ``zh`` appears in that
        language only, one tagged ``lab`` or ``interactive`` not at all.
    document : mapping
        The run's ``readout.json``.
    manifest : mapping
        The run's ``manifest.json``, as far as it is known.
    lang : {"en", "zh"}, optional
        The reader's language; else the run's parameter ``lang``, else the current.

    Returns
    -------
    str
        One HTML file: banner, decision, figures, the notebook's story, where it
        comes from. Whatever would run or load was taken out; if there was such a
        thing, the page says so.
    """
    lang = _language(lang, document, manifest)
    notebook, dropped = _prepare(executed, lang)
    body, again = clean(_export(notebook))
    if 'class="decision' not in body:
        body = _header(document, lang) + body
    if 'class="checks"' not in body:
        body += _remarks(document, lang)
    body = (
        _banner(document, _status(manifest), lang)
        + body
        + _removed(dropped + again, lang)
        + _footer(document, manifest, lang)
    )
    return _shell(_titled(body) or str(document.get("subject")), body, lang)


def render_plain(document: Json, manifest: Json, *, lang: Lang | None = None) -> str:
    """Write the page from ``readout.json`` alone, when it cannot be composed.

    Parameters
    ----------
    document, manifest : mapping
        As for `render`.
    lang : {"en", "zh"}, optional
        As for `render`.

    Returns
    -------
    str
        One HTML file: banner, decision, every estimate, the remarks, the source.
        It needs no notebook and no nbconvert.
    """
    lang = _language(lang, document, manifest)
    body = (
        _banner(document, _status(manifest), lang)
        + _header(document, lang)
        + _estimates(document, lang)
        + _remarks(document, lang)
        + _footer(document, manifest, lang)
    )
    return _shell(str(document.get("subject") or "growth"), body, lang)


def render_failure(
    manifest: Json,
    *,
    traceback: str = "",
    log: str = "",
    notebook: object = None,
    lang: Lang | None = None,
) -> str:
    """Write the page of a run that did not succeed; it wears the same clothes.

    Parameters
    ----------
    manifest : mapping
        The run's ``manifest.json``, as far as it is known: status, reason, run.
    traceback : str, optional
        What the failing cell said; escaped here, colours taken out.
    log : str, optional
        The run's log; its last lines are shown.
    notebook : notebook node or path, optional
        The notebook as far as it ran: the cells that were not run are named.
    lang : {"en", "zh"}, optional
        As for `render`.

    Returns
    -------
    str
        One HTML file: what failed, at which step, what to do next, the error, the
        last lines of the log, what was not run.
    """
    lang = _language(lang, {}, manifest)
    status = str(manifest.get("status") or "failed")
    code = str(manifest.get("reason") or "")
    cells = [] if notebook is None else _load(notebook)["cells"]
    failed, unrun = _steps(cells)
    lines = [
        worded(f"readout.next.{status}", lang),
        label("readout.failure.at", lang, step=failed) if failed else "",
        label("readout.failure.unrun", lang, count=str(unrun)) if unrun else "",
    ]
    shown = [
        f'<section class="decision b"><strong>'
        f"{escape(worded(f'readout.status.{status}', lang))}</strong><ul>"
        + "".join(f"<li>{escape(line)}</li>" for line in lines if line)
        + f"</ul>{f'<p>{escape(code)}</p>' if code else ''}</section>"
    ]
    for key, text in (("traceback", traceback), ("log", _tail(log))):
        if text.strip():
            head = escape(label(f"readout.failure.{key}", lang))
            shown.append(f"<h2>{head}</h2><pre>{escape(_plain(text))}</pre>")
    title = str(manifest.get("subject") or manifest.get("readout") or "growth")
    document = {key: manifest.get(key) for key in ("readout", "subject", "as_of")}
    body = (
        f"{_banner(document, status, lang)}<h1>{escape(title)}</h1>"
        + "".join(shown)
        + _footer(document, manifest, lang)
    )
    return _shell(title, body, lang)


# The page's frame


def warm() -> None:
    """Import what a page takes and read its template, for a process to be forked."""
    _export({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def _shell(title: str, body: str, lang: Lang) -> str:
    """Put the page's body into one file; nothing else may add to its head."""
    cards = CARD_STYLE + _CARDS if 'class="growth-card"' in body else ""
    return (
        f'<!doctype html><html lang="{HTML_LANG[lang]}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{CSP}">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{escape(title)}</title>"
        f"<style>{styles('block.css')}{styles('page.css')}</style>"
        f"{cards}</head>"
        f'<body><main class="growth">{body}</main></body></html>\n'
    )


def _language(lang: Lang | None, document: Json, manifest: Json) -> Lang:
    for found in (
        lang,
        (document.get("params") or {}).get("lang"),
        (manifest.get("params") or {}).get("lang"),
    ):
        if found in HTML_LANG:
            return cast("Lang", found)
    return LANG.get()


def _status(manifest: Json) -> str:
    return str(manifest.get("status") or "succeeded")


def _titled(body: str) -> str:
    """Return the words of the page's first heading."""
    found = re.search(r"<h1[^>]*>(.*?)</h1>", body, re.DOTALL)
    return unescape(re.sub(r"<[^>]*>", "", found[1])).strip() if found else ""


def _day(text: object, lang: Lang) -> str:
    """Write an ISO date the way the language does."""
    try:
        day = date.fromisoformat(str(text)[:10])
    except ValueError:
        return str(text or NONE)
    if lang == "zh":
        return day.isoformat()
    months = label("readout.months", lang).split()
    return f"{day.day} {months[day.month - 1]} {day.year}"


def _banner(document: Json, status: str, lang: Lang) -> str:
    kind = worded(f"readout.kind.{document.get('readout') or ''}", lang)
    tone = STATUS_TONES.get(status, "b")
    return (
        f'<p class="top"><b>growth</b><span>{escape(kind)}</span>'
        f'<span class="chip {tone}">'
        f"{escape(worded(f'readout.status.{status}', lang))}</span><span>"
        f"{escape(label('readout.as_of', lang, day=_day(document.get('as_of'), lang)))}"
        "</span></p>"
    )


def _header(document: Json, lang: Lang) -> str:
    """Open a page that no notebook opens: the subject, the decision, numbers."""
    subject = escape(str(document.get("subject") or ""))
    return f"<h1>{subject}</h1>{_decision(document, lang)}{_tiles(document, lang)}"


def _decision(document: Json, lang: Lang) -> str:
    decision = document.get("decision") or {}
    verdict = str(decision.get("verdict") or "")
    if not verdict:
        return ""
    room = verdict.partition(".")[0]
    reasons = []
    for reason in decision.get("reasons") or ():
        told = {"metric": "", "arm": ""} | {k: show(v) for k, v in reason.items()}
        reasons.append(worded(f"{room}.reason.{told.pop('code')}", lang, **told))
    return decided(worded(verdict, lang), reasons, tone_of(verdict))


def _tiles(document: Json, lang: Lang) -> str:
    """Write the first estimates that have an interval, as large numbers."""
    found = [e for e in document.get("estimates") or () if e["lo"] is not None]
    tiles = []
    for item in found[:TILES]:
        drawn = interval_of(item)
        name = " · ".join(filter(None, (str(item["key"]), about(item["by"]))))
        tiles.append(
            Tile.measured(
                name,
                drawn.said(),
                drawn.ends(lang),
                level=item.get("level"),
                lang=lang,
            )
        )
    return tiled(tiles)


def _estimates(document: Json, lang: Lang) -> str:
    """Draw estimates with an interval, those of one kind on one axis; write others."""
    drawn: dict[tuple[str, bool], list[Row]] = {}
    written = []
    for item in document.get("estimates") or ():
        row, by = interval_of(item), about(item["by"])
        if row.lo is None or row.hi is None:
            values = {"value": row.said(), "n": show(item["n"])}
            written.append({"name": f"{row.label} {by}".strip(), **values})
        else:
            rows = drawn.setdefault((row.unit, row.change), [])
            p = item["p_value"]
            rows.append(Row(row, note=by, after=() if p is None else (p_value(p),)))
    parts = ""
    for (unit, change), rows in drawn.items():
        tested = any(row.after for row in rows)
        rows[:] = [
            row if row.after or not tested else replace(row, after=(NONE,))
            for row in rows
        ]
        kind = "level" if not change else "change_absolute"
        kind = "change" if change and unit == "ratio" else kind
        parts += interval_table(
            rows,
            caption=label(f"readout.{kind}", lang),
            first=label("column.name", lang),
            drawn=label("readout.estimate.interval", lang),
            after=("p",) if tested else (),
            lang=lang,
        ).html
    if written:
        keys = ("name", "value", "n")
        parts += data_table(
            {key: label(f"column.{key}", lang) for key in keys},
            written,
            caption=label("readout.figures", lang),
        ).html
    head = escape(label("readout.estimates", lang))
    return f"<h2>{head}</h2>{parts}" if parts else ""


def _remarks(document: Json, lang: Lang) -> str:
    """List the document's notices in words, warnings first."""
    found = sorted(
        document.get("notices") or (), key=lambda n: n.get("severity") != "warning"
    )
    if not found:
        return ""
    lines = "".join(
        f'<li><span class="{"w" if n.get("severity") == "warning" else "s"}">'
        f"{'!' if n.get('severity') == 'warning' else '·'}</span><span>"
        f"{escape(_notice(n, lang))}</span></li>"
        for n in found
    )
    head = escape(label("readout.remarks", lang))
    return f'<h2>{head}</h2><ul class="checks">{lines}</ul>'


def _notice(notice: Json, lang: Lang) -> str:
    fields = filled((notice.get("args") or {}).items(), lang)
    return worded(f"notice.{notice.get('code')}", lang, **fields)


def _removed(number: int, lang: Lang) -> str:
    if not number:
        return ""
    words = label("notice.html_removed", lang, count=str(number))
    return f'<p class="note w">! {escape(words)}</p>'


def _footer(document: Json, manifest: Json, lang: Lang) -> str:
    """Fold away where the page comes from: run, notebook, code, data, parameters."""
    source = document.get("provenance") or {}
    merged = {**source, **{k: v for k, v in manifest.items() if v is not None}}
    package = merged.get("package") or ""
    git = f"{str(merged['git'])[:12]}" if merged.get("git") else ""
    if git and merged.get("dirty"):
        git = label("readout.prov.dirty", lang, git=git)
    facts = [
        ("run", merged.get("run_id") or document.get("run_id")),
        ("notebook", _notebook(merged)),
        (
            "code",
            " @ ".join(filter(None, (f"growth {package}" if package else "", git))),
        ),
        ("method", ", ".join(_methods(document))),
        ("ended", merged.get("ended") or merged.get("started")),
        ("python", merged.get("python")),
    ]
    lines = [(label(f"readout.prov.{key}", lang), str(v)) for key, v in facts if v]
    read = "; ".join(_data(item, lang) for item in merged.get("data") or ())
    lines += [(label("readout.prov.data", lang), read)] if read else []
    given = merged.get("params") or document.get("params") or {}
    lines += [(name, str(v)) for name, v in given.items() if v not in (None, "")]
    body = "".join(f"<dt>{escape(a)}</dt><dd>{escape(b)}</dd>" for a, b in lines)
    head = escape(label("readout.prov", lang))
    return f"<details><summary>{head}</summary><dl>{body}</dl></details>"


def _methods(document: Json) -> list[str]:
    methods = [str(e.get("method") or "") for e in document.get("estimates") or ()]
    return [name for name in dict.fromkeys(methods) if name]


def _notebook(manifest: Json) -> str:
    found = manifest.get("notebook")
    if isinstance(found, Mapping):
        name, sha = found.get("name"), found.get("sha256")
    else:
        name, sha = f"{manifest.get('readout', '')}.ipynb", found
    return f"{name} sha256 {str(sha)[:12]}…" if sha else ""


def _data(item: Json, lang: Lang) -> str:
    parts = [str(item.get("name") or "")]
    if item.get("rows") is not None:
        parts.append(label("readout.prov.rows", lang, rows=count(item["rows"])))
    if item.get("min") and item.get("max"):
        parts.append(f"{item['min']} – {item['max']}")
    if item.get("sha256"):
        parts.append(f"sha256 {str(item['sha256'])[:8]}…")
    return " ".join(part for part in parts if part)


# The notebook's story


def _load(executed: object) -> dict[str, Any]:
    """Return a notebook as plain values, our own copy."""
    with spared():
        import nbformat

    if isinstance(executed, str | Path):
        executed = nbformat.read(str(executed), as_version=4)  # type: ignore[no-untyped-call]
    return cast("dict[str, Any]", deepcopy(executed))


def _prepare(executed: object, lang: Lang) -> tuple[dict[str, Any], int]:
    """Return the notebook as the page shows it, and what was taken out of it."""
    notebook = _load(executed)
    notebook["metadata"].pop("widgets", None)
    hidden = {*HIDDEN, *HTML_LANG} - {lang}
    notebook["cells"] = [
        cell
        for cell in notebook["cells"]
        if hidden.isdisjoint((cell.get("metadata") or {}).get("tags", ()))
    ]
    removed = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = _formulas(cell["source"], lang)
        kept = []
        for output in cell.get("outputs", ()):
            if output.get("name") == "stderr":
                continue
            if (output.get("metadata") or {}).get("growth") == "publish":
                continue  # the page says it all already
            data = output.get("data")
            if data is not None:
                removed += _shown(data, lang)
            kept.append(output)
        if "outputs" in cell:
            cell["outputs"] = kept
    return notebook, removed


def _shown(data: dict[str, Any], lang: Lang) -> int:
    """Make one output fit for the page, in place; return what was taken out."""
    if WIDGET in data:
        words = escape(label("readout.widget", lang))
        data.clear()
        data["text/html"] = f'<p class="note">{words}</p>'
    elif "text/html" in data:
        # each output by itself: a torn one must not swallow what comes after
        data["text/html"], removed = clean(_bare(_joined(data["text/html"])))
        return removed
    elif "image/svg+xml" in data:
        data["image/svg+xml"], removed = clean(_joined(data["image/svg+xml"]))
        return removed
    elif "text/latex" in data and "image/png" not in data:
        found = _joined(data.pop("text/latex")).strip().strip("$")
        data["text/html"] = _mathml(found, lang, display=True)
    return 0


def _bare(html: str) -> str:
    """Take a block's frame off, which the page has; put a chart on its light card."""
    html = html.removeprefix(CARD_STYLE)
    if html.startswith(opening := '<div class="growth">'):
        html = html.removeprefix(opening).removesuffix("</div>")
        return re.sub(r"^<style>.*?</style>", "", html, flags=re.DOTALL)
    return f'<div class="card">{html}</div>' if html.startswith("<svg") else html


def _joined(text: object) -> str:
    return text if isinstance(text, str) else "".join(cast("Sequence[str]", text))


def _formulas(source: str, lang: Lang) -> str:
    """Turn LaTeX in markdown into MathML, code left alone."""
    parts = _CODE.split(source)
    for i in range(0, len(parts), 2):
        parts[i] = _MATH.sub(
            lambda m: _mathml(m["block"] or m["line"], lang, display=bool(m["block"])),
            parts[i],
        )
    return "".join(parts)


def _mathml(latex: str, lang: Lang, *, display: bool) -> str:
    r"""Return MathML; what cannot be read stays as code, and says so.

    latex2mathml copies the inside of ``\text{}`` unescaped, so it is escaped first.
    """
    import latex2mathml.converter

    text = latex.strip()
    safe = text.replace("&", "&amp;") if "\\begin" not in text else text
    safe = safe.replace("<", "&lt;").replace(">", "&gt;")
    kind = "block" if display else "inline"
    try:
        return str(latex2mathml.converter.convert(safe, display=kind))
    except Exception:  # noqa: BLE001  (it raises whatever its parser stumbles on)
        title = escape(label("notice.bad_latex", lang))
        return f'<code title="{title}">{escape(text)}</code>'


def _export(notebook: dict[str, Any]) -> str:
    """Return the body that the notebook's cells make."""
    with spared():
        import nbformat

    node = nbformat.from_dict(notebook)  # type: ignore[no-untyped-call]
    resources = {"growth": {"header": "", "footer": ""}}
    with as_file(files("growth.readout").joinpath("template")) as templates, _ONE:
        exporter = _exporter(str(templates))
        body, _ = exporter.from_notebook_node(node, resources=resources)
    return str(body)


@cache
def _exporter(templates: str) -> Any:  # noqa: ANN401  (nbconvert's HTMLExporter)
    """Return what turns notebooks into HTML; it holds the compiled template."""
    with spared():
        from nbconvert import HTMLExporter
    from traitlets.config import Config

    config = Config()
    html = config.HTMLExporter
    html.exclude_input = html.exclude_input_prompt = html.exclude_output_prompt = True
    html.exclude_anchor_links = True
    html.embed_images = html.sanitize_html = False
    config.NbConvertBase.display_data_priority = [
        "text/html", "image/svg+xml", "image/png", "image/jpeg", "text/markdown",
        "text/latex", "text/plain",
    ]  # fmt: skip
    return HTMLExporter(  # type: ignore[no-untyped-call]
        config=config, template_name="readout", extra_template_basedirs=[templates]
    )


# A run that failed


def _steps(cells: Sequence[Json]) -> tuple[str, int]:
    """Return which code cell failed or ran last, and how many did not run."""
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    where, unrun = "", 0
    for number, cell in enumerate(code, 1):
        state = (cell.get("metadata") or {}).get("papermill") or {}
        if cell.get("execution_count") is None and not state.get("start_time"):
            unrun += 1
            continue
        where = f"{number}/{len(code)}"
        if any(o.get("output_type") == "error" for o in cell.get("outputs", ())):
            unrun = len(code) - number
            break
    return where, unrun


def _tail(log: str, lines: int = 40) -> str:
    return "\n".join(log.splitlines()[-lines:])


def _plain(text: str) -> str:
    """Take terminal colours and control characters out of a text."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", text)
