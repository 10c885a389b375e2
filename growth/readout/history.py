"""The history on one page: every subject, its latest answer, and how it got there.

The page stands whole without its script, which only filters rows; the script is
allowed by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter, defaultdict
from functools import cache
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from growth.charts.figures import NONE, written, written_interval
from growth.labels import LANG, has, label, worded
from growth.readout.blocks import tone_of
from growth.readout.estimates import about, is_change
from growth.readout.store import Store, root, to_json, write_file
from growth.result import show

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from growth.labels import Lang

__all__ = ["index"]

PAGE: Final = "index.html"
DATA: Final = "index.json"
RUNS: Final = 20  # of a subject that the page lists; the JSON holds all
WIDTH, HEIGHT, PAD = 160.0, 36.0, 3.0

Json = dict[str, Any]


def index(
    out: str | os.PathLike[str] | None = None, *, lang: Lang | None = None
) -> Path:
    """Write `index.html` and `index.json` from the manifests that are there.

    Parameters
    ----------
    out : path, optional
        Where runs are kept; else `GROWTH_READOUTS`, else ``readouts`` here.
    lang : {"en", "zh"}, optional
        The page's language; if omitted, that of most subjects' newest pages, or the
        current one where they are of two minds.

    Returns
    -------
    pathlib.Path
        The page.
    """
    store = Store(root(out))
    subjects: dict[tuple[str, str], list[Json]] = defaultdict(list)
    spoken: dict[tuple[str, str], Lang] = {}
    for folder, manifest in store.runs():
        run = _run(store, folder, manifest)
        of = run["readout"], run["subject"]
        subjects[of].append(run)
        if manifest.get("lang") in {"en", "zh"}:
            spoken[of] = manifest["lang"]
    chosen = lang or _most(spoken.values())
    groups = [
        {"readout": readout, "subject": subject, "runs": _sorted(runs)}
        for (readout, subject), runs in sorted(subjects.items())
    ]
    write_file(store.root / DATA, to_json({"schema": 1, "subjects": groups}))
    write_file(store.root / PAGE, _page(groups, chosen))
    return store.root / PAGE


def _most(spoken: Collection[Lang]) -> Lang:
    ranked = Counter(spoken).most_common(2)
    (first, often), (_, less) = [*ranked, (LANG.get(), 0), (LANG.get(), 0)][:2]
    return first if often > less else LANG.get()


def _run(store: Store, folder: Path, manifest: Mapping[str, Any]) -> Json:
    """Return what the index tells of a run."""
    told = ("run_id", "readout", "subject", "as_of", "status", "reason", "started")
    more = ("seconds", "decision", "estimate")
    page = folder / "readout.html"
    return {
        **{name: manifest.get(name, "") for name in told},
        **{name: manifest.get(name) for name in more},
        "page": page.relative_to(store.root).as_posix() if page.is_file() else None,
    }


def _sorted(runs: list[Json]) -> list[Json]:
    return sorted(runs, key=lambda run: (run["as_of"], run["run_id"]), reverse=True)


def _page(groups: Sequence[Json], lang: Lang) -> str:
    script, style = _asset("index.js"), _asset("index.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    title = escape(label("readout.index", lang))
    names = ("readout", "subject", "status", "decision", "estimate", "history", "runs")
    heads = "".join(
        f'<th scope="col">{escape(label(f"readout.index.{name}", lang))}</th>'
        for name in names
    )
    states = sorted({group["runs"][0]["status"] for group in groups})
    every = escape(label("readout.index.all", lang))
    options = f'<option value="">{every}</option>' + "".join(
        f'<option value="{escape(state)}">{escape(_status(state, lang))}</option>'
        for state in states
    )
    rows = "".join(_row(group, lang) for group in groups)
    count = label("readout.index.count", lang, count=show(len(groups)))
    return (
        f'<!DOCTYPE html>\n<html lang="{"zh-CN" if lang == "zh" else lang}"><head>'
        '<meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{style}</style></head><body><main>"
        f"<h1>{title}</h1>"
        '<form id="find" hidden><label>'
        f"{escape(label('readout.index.search', lang))} "
        '<input id="words" type="search" autocomplete="off"></label> <label>'
        f"{escape(label('readout.index.status', lang))} "
        f'<select id="state">{options}</select></label></form>'
        f'<div class="scroll"><table><caption id="count">{escape(count)}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
        f"</main><script>{script}</script></body></html>\n"
    )


def _row(group: Json, lang: Lang) -> str:
    runs = group["runs"]
    last = runs[0]
    good = [run for run in runs if run["status"] == "succeeded"]
    best = good[0] if good else None
    kind = f"readout.kind.{group['readout']}"
    name = label(kind, lang) if has(kind) else group["readout"]
    subject = escape(group["subject"])
    if best and best["page"]:
        subject = f'<a href="{escape(_link(best["page"]))}">{subject}</a>'
    decision = NONE
    if best and (verdict := best["decision"]):
        words = escape(worded(verdict, lang))
        decision = f'<span class="says {tone_of(verdict)}">{words}</span>'
        if best is not last:  # what stands is older than what was tried
            day = escape(label("readout.as_of", lang, day=best["as_of"]))
            decision += f"<br><small>{day}</small>"
    search = " ".join([group["readout"], name, group["subject"], last["status"]])
    status = escape(_status(last["status"], lang))
    cells = (
        f'<span class="chip {escape(last["status"])}">{status}</span>',
        decision,
        _estimate(best["estimate"] if best else None, lang),
        _sparkline(good, lang),
        _listed(runs, lang),
    )
    return (
        f'<tr data-state="{escape(last["status"])}" data-words="{escape(search)}">'
        f'<th scope="row">{escape(name)}</th><td>{subject}</td>'
        + "".join(
            f'<td class="none">{NONE}</td>' if cell == NONE else f"<td>{cell}</td>"
            for cell in cells
        )
        + "</tr>"
    )


def _estimate(item: Mapping[str, Any] | None, lang: Lang) -> str:
    """Write an estimate, its interval, and what it is of."""
    if item is None:
        return NONE
    value, unit, change = item["value"], item.get("unit") or "", is_change(item["key"])
    words = written(value, unit, change=change, lang=lang)
    ends = written_interval(item["lo"], item["hi"], unit, change=change, lang=lang)
    name = " · ".join(filter(None, (item["key"], about(item["by"]))))
    inside = "" if ends == NONE else f" <small>[{escape(ends)}]</small>"
    return f"<b>{escape(words)}</b>{inside}<br><small>{escape(name)}</small>"


def _sparkline(good: Sequence[Json], lang: Lang) -> str:
    """Draw the key estimate by day, the newest good run of each day, oldest first."""
    days: dict[str, tuple[float, float, float]] = {}
    change = False
    for run in reversed(good):
        item = run["estimate"]
        if item and item["value"] is not None:
            value, change = float(item["value"]), is_change(item["key"])
            ends = (item["lo"], item["hi"])
            low, high = (value if end is None else float(end) for end in ends)
            days[run["as_of"]] = (value, low, high)
    if len(days) < 2:
        return NONE
    points = list(days.values())
    bottom, top = min(p[1] for p in points), max(p[2] for p in points)
    if change:  # a level's own ups and downs are far from zero
        bottom, top = min(bottom, 0.0), max(top, 0.0)
    scale = (HEIGHT - 2 * PAD) / (top - bottom or 1.0)

    def x(place: int) -> float:
        return PAD + place * (WIDTH - 2 * PAD) / (len(points) - 1)

    def y(value: float) -> float:
        return HEIGHT - PAD - (value - bottom) * scale

    def line(part: int, order: int = 1) -> list[str]:
        found = [f"{x(i):.1f},{y(p[part]):.1f}" for i, p in enumerate(points)]
        return found[::order]

    first, *_, last = days
    words = label(
        "readout.index.line", lang, first=first, last=last, days=show(len(days))
    )
    zero = (
        f'<line class="zero" x1="0" x2="{WIDTH:.0f}" y1="{y(0):.1f}" y2="{y(0):.1f}"/>'
    )
    return (
        f'<svg role="img" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" width="{WIDTH:.0f}" '
        f'height="{HEIGHT:.0f}"><title>{escape(words)}</title>'
        f"{zero if change else ''}"
        f'<polygon class="band" points="{" ".join([*line(1), *line(2, -1)])}"/>'
        f'<polyline class="line" points="{" ".join(line(0))}"/>'
        f'<circle class="end" cx="{x(len(points) - 1):.1f}" '
        f'cy="{y(points[-1][0]):.1f}" r="2.5"/></svg>'
    )


def _listed(runs: Sequence[Json], lang: Lang) -> str:
    """List the newest runs, each with its page."""
    lines = []
    for run in runs[:RUNS]:
        words = f"{run['as_of']} {_status(run['status'], lang)}"
        text = escape(words)
        if run["page"]:
            text = f'<a href="{escape(_link(run["page"]))}">{text}</a>'
        reason = f" <small>{escape(run['reason'])}</small>" if run["reason"] else ""
        lines.append(f"<li>{text}{reason}</li>")
    head = f"{show(len(runs))} · {runs[0]['as_of']}"
    body = "".join(lines)
    return f"<details><summary>{escape(head)}</summary><ul>{body}</ul></details>"


def _status(state: str, lang: Lang) -> str:
    return worded(f"readout.status.{state}", lang)


def _link(path: str) -> str:
    """Return a path as a link: folder names hold per cents of their own."""
    return quote(path)


@cache
def _asset(name: str) -> str:
    return files("growth.readout").joinpath("template", name).read_text("utf-8").strip()
