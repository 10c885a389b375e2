"""What every panel has: something to show, and a line that says what goes on."""

from __future__ import annotations

import threading
import time
from html import escape
from typing import TYPE_CHECKING, Any, Final, TypeVar

import ipywidgets as widgets

from growth.errors import GrowthError
from growth.labels import label

if TYPE_CHECKING:
    from collections.abc import Callable

    from growth.labels import Lang

__all__ = ["Panel", "Status", "chosen"]

T = TypeVar("T")

PATIENCE: Final = 0.4  # seconds before work shows that it goes on
BEAT: Final = 0.5
_WARN: Final = "color:var(--jp-warn-color0,#8a6100)"
_SOFT: Final = "color:var(--jp-ui-font-color2,#57606a)"


class Panel:
    """Something with controls that a notebook shows as it is.

    Parameters
    ----------
    view : ipywidgets.Widget
        What is shown.
    """

    def __init__(self, view: Any) -> None:  # noqa: ANN401
        self.view = view

    def _repr_mimebundle_(self, **options: Any) -> Any:  # noqa: ANN401
        return self.view._repr_mimebundle_(**options)


class Status:
    """One line: what is being done and for how long, or what is wrong.

    Parameters
    ----------
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.
    """

    def __init__(self, lang: Lang | None = None) -> None:
        self.view = widgets.HTML()
        self._lang: Lang | None = lang

    def run(self, work: Callable[[], T]) -> T | None:
        """Do something that may take a while; return None if nothing came of it.

        Parameters
        ----------
        work : callable
            What to do. It runs in the kernel's main thread, so that Interrupt in
            JupyterLab stops it like any cell.

        Returns
        -------
        object or None
            What `work` returned. None if it was interrupted or refused; the line
            then says so, and whatever was shown before stands.
        """
        done = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(done,), daemon=True)
        ticker.start()
        said = ""
        result = None
        try:
            result = work()
        except KeyboardInterrupt:
            said = self._line(label("panel.stopped", self._lang), _WARN)
        except GrowthError as error:
            said = self._line(str(error), _WARN)
        finally:
            done.set()
            ticker.join()
            self.view.value = said
        return result

    def say(self, words: str, *, warns: bool = False) -> None:
        """Show a line until something else is to be said; escaped here."""
        self.view.value = self._line(words, _WARN if warns else _SOFT) if words else ""

    def _tick(self, done: threading.Event) -> None:
        began = time.monotonic()
        pause = PATIENCE
        while not done.wait(pause):
            spent = f"{time.monotonic() - began:.0f}"
            words = label("panel.working", self._lang, seconds=spent)
            self.view.value = self._line(words, _SOFT)
            pause = BEAT

    @staticmethod
    def _line(words: str, style: str) -> str:
        lines = "<br>".join(escape(line) for line in words.splitlines())
        return f'<div role="status" style="{style};line-height:1.5">{lines}</div>'


def chosen(control: Any) -> Any:  # noqa: ANN401
    """Return a control's value; an empty text is None."""
    return None if control.value == "" else control.value
