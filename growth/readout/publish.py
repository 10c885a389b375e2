"""How a notebook ends: show what was found, and hand it to the run."""

from __future__ import annotations

import os
import shutil
import sys
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from growth.errors import ParameterError
from growth.labels import LANG, Lang, has, label, worded
from growth.readout.model import FILE
from growth.readout.store import write_file
from growth.result import CARD_STYLE, Notice, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from growth.readout.model import Readout

__all__ = ["publish", "summary"]

SHOWN = 12  # estimates on the card: the document has them all


def publish(readout: Readout, *, keep: Sequence[Path] = ()) -> None:
    """Check a document, show it, and inside a run write it: once a notebook.

    Parameters
    ----------
    readout : Readout
        What the notebook found.
    keep : sequence of Path, optional
        Files to keep with the run under their own names, as rows turned away.

    Raises
    ------
    ParameterError
        If it cannot be written (code ``bad_document``, every fault by its path),
        or this run has published before (``published_twice``).

    Notes
    -----
    Inside a run (`GROWTH_RUN_DIR` is set) the charts' files come first and
    ``readout.json`` last, each flushed to disk and renamed into place. Elsewhere,
    under plain papermill or in JupyterLab, it is only shown.
    """
    folder = os.environ.get("GROWTH_RUN_DIR")
    made = readout.of_run(os.environ.get("GROWTH_RUN_ID", "") if folder else "")
    text = made.to_json()
    sampled = () if folder else _sampled(made)
    _display(summary(made, extra=sampled))
    if not folder:
        return
    target = Path(folder) / FILE
    if target.exists():
        msg = f"{FILE} is published already; a notebook must publish once;"
        raise ParameterError(f"{msg} drop one call.", code="published_twice")
    for chart, drawing in zip(made.charts, made.drawings, strict=True):
        write_file(Path(folder) / chart.spec, drawing.spec)
        write_file(Path(folder) / chart.svg, drawing.svg)
    for path in keep:
        shutil.copyfile(path, Path(folder) / path.name)
    write_file(target, text)


def summary(
    readout: Readout, *, lang: Lang | None = None, extra: tuple[Notice, ...] = ()
) -> str:
    """Render decision, estimates and remarks as one tidy card.

    Parameters
    ----------
    readout : Readout
        The document.
    lang : {"en", "zh"}, optional
        The language; the document's own, else the current one, if omitted.
    extra : tuple of Notice, optional
        Remarks to show first.

    Returns
    -------
    str
        One ``<section class="growth-card">``; every value is escaped.
    """
    own = readout.params.get("lang")
    chosen: Lang = lang or (own if own in get_args(Lang) else LANG.get())  # type: ignore[assignment]
    verdict = readout.decision.verdict
    words = worded(verdict, chosen)
    head = "".join(
        f'<th scope="col">{escape(label(f"readout.estimate.{name}", chosen))}</th>'
        for name in ("key", "value", "interval", "p_value", "n")
    )
    body = "".join(
        f'<tr><th scope="row">{escape(_about(item.key, item.by))}</th>'
        + "".join(
            f"<td>{escape(cell)}</td>"
            for cell in (
                show(item.value),
                "–" if item.lo is None else f"[{show(item.lo)}, {show(item.hi)}]",
                show(item.p_value),
                show(item.n),
            )
        )
        + "</tr>"
        for item in readout.estimates[:SHOWN]
    )
    left = len(readout.estimates) - SHOWN
    more = label("readout.more", chosen, count=str(left)) if left > 0 else ""
    notes = "".join(
        f'<li class="{note.severity}">{escape(_words(note, chosen))}</li>'
        for note in (*extra, *readout.notices)
    )
    caption = escape(label("readout.estimates", chosen))
    table = (
        f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )
    return (
        f'<section class="growth-card" lang="{chosen}">'
        f"<p><strong>{escape(words)}</strong></p>"
        f"<p>{escape(readout.subject)} · {readout.as_of.isoformat()}</p>"
        + (table if body else "")
        + (f"<p>{escape(more)}</p>" if more else "")
        + (f"<ul>{notes}</ul>" if notes else "")
        + "</section>"
    )


def _about(key: str, by: tuple[tuple[str, str], ...]) -> str:
    return " ".join([key, *(f"{name}={value}" for name, value in by)])


def _words(note: Notice, lang: Lang) -> str:
    return note.words(lang) if has(f"notice.{note.code}") else note.code


def _display(html: str) -> None:
    shell = _shell()
    if shell is None:
        return
    from IPython import display

    data = {"text/html": CARD_STYLE + html, "text/plain": ""}
    show_data: Any = display.display
    show_data(data, raw=True, metadata={"growth": "publish"})


def _shell() -> Any:  # noqa: ANN401
    """Return the running IPython shell, None outside a notebook."""
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    return get_ipython()


def _sampled(readout: Readout) -> tuple[Notice, ...]:
    """Say so where required parameters still are the notebook's samples."""
    from growth.readout import catalog, cells
    from growth.readout.fields import plain_value

    shell = _shell()
    if shell is None or readout.readout not in catalog.names():
        return ()
    given = set(cells.injected(shell.user_ns))
    left = [
        item.name
        for item in catalog.get(readout.readout).fields
        if item.required
        and item.name not in given
        and readout.params[item.name] == plain_value(item.sample)
    ]
    if not left:
        return ()
    return (Notice("sample_parameters", args=(("names", ", ".join(left)),)),)
