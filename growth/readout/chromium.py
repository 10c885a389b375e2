"""A page on paper or as a picture, drawn by the Chromium of this machine.

Chromium is spoken to through a pair of pipes: no port is opened, and it is told
that there is no network, so what it draws is the file and nothing else.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
import time
from base64 import b64decode
from typing import TYPE_CHECKING, Any, Final, Literal

from growth.errors import ParameterError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["NAMES", "drawn", "find"]

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")

_FLAGS: Final = (
    "--headless", "--disable-background-networking", "--disable-component-update",
    "--disable-default-apps", "--disable-dev-shm-usage", "--disable-extensions",
    "--disable-gpu", "--disable-sync", "--hide-scrollbars", "--no-first-run",
    "--remote-debugging-pipe",
)  # fmt: skip
_PATIENCE: Final = 60.0  # seconds for one page, the start included
_WIDTH: Final = 1100  # of a picture, in CSS pixels
_SCALE: Final = 2
_HIGHEST: Final = 15_000  # device pixels a picture of Chromium's may be high


def find() -> str:
    """Return where Chromium is.

    Returns
    -------
    str
        Its path.

    Raises
    ------
    ParameterError
        If there is none (code ``chromium_missing``).
    """
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is not None:
        return path
    msg = f"Chromium is not here; one of {', '.join(NAMES)} must be on the PATH to"
    msg = f"{msg} draw a PDF or a picture; install it (Debian: apt install chromium),"
    msg = f"{msg} or print readout.html from any browser."
    raise ParameterError(msg, code="chromium_missing")


def drawn(page: Path, kind: Literal["pdf", "png"]) -> bytes:
    """Return a page as a PDF, or as one picture.

    Parameters
    ----------
    page : Path
        A static page; its scripts, if it has any, are not run.
    kind : {"pdf", "png"}
        A4 as the page's print style says, tagged, with an outline; or the whole
        page 1,100 px wide at double density.

    Returns
    -------
    bytes
        The file's content.

    Raises
    ------
    ParameterError
        If there is no Chromium (code ``chromium_missing``).
    StoreError
        If it does not draw the page (code ``chromium_failed``).
    """
    with _started(find()) as tab:
        tab.call("Emulation.setScriptExecutionDisabled", value=True)
        tab.call("Network.enable")
        tab.call(
            "Network.emulateNetworkConditions",
            offline=True, latency=0, downloadThroughput=0, uploadThroughput=0,
        )  # fmt: skip
        tab.call("Page.enable")
        if kind == "png":
            _size(tab, _WIDTH, 800, _SCALE)
        tab.call("Page.navigate", url=page.absolute().as_uri())
        tab.await_event("Page.loadEventFired")
        if kind == "pdf":
            told = tab.call(
                "Page.printToPDF",
                preferCSSPageSize=True, printBackground=True,
                generateTaggedPDF=True, generateDocumentOutline=True,
            )  # fmt: skip
        else:
            content = tab.call("Page.getLayoutMetrics")["cssContentSize"]
            high = round(content["height"])
            _size(tab, _WIDTH, high, max(1, min(_SCALE, _HIGHEST // high)))
            told = tab.call("Page.captureScreenshot", format="png")
        return b64decode(told["data"])


def _size(tab: _Tab, width: int, height: int, scale: int) -> None:
    tab.call(
        "Emulation.setDeviceMetricsOverride",
        width=width, height=height, deviceScaleFactor=scale, mobile=False,
    )  # fmt: skip


class _Tab:
    """One tab, spoken to in JSON ended by a zero byte."""

    def __init__(self, sends: int, hears: int) -> None:
        self._sends, self._hears = sends, hears
        self._until = time.monotonic() + _PATIENCE
        self._number = 0
        self._rest = b""
        self._events: list[str] = []
        self.session = ""

    def call(self, method: str, **params: Any) -> dict[str, Any]:  # noqa: ANN401
        """Ask for something; return what came of it."""
        self._number += 1
        asked: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self.session:
            asked["sessionId"] = self.session
        os.write(self._sends, json.dumps(asked).encode() + b"\0")
        while True:
            told = self._heard()
            if told.get("id") == self._number:
                break
        if "error" in told:
            raise _failed(f"{method}: {told['error'].get('message')}")
        result: dict[str, Any] = told["result"]
        return result

    def await_event(self, name: str) -> None:
        """Wait until something has happened."""
        while name not in self._events:
            self._heard()

    def _heard(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            left = self._until - time.monotonic()
            if left <= 0 or not select.select([self._hears], [], [], left)[0]:
                raise _failed(f"no answer within {_PATIENCE:.0f} s")
            more = os.read(self._hears, 1 << 20)
            if not more:
                raise _failed("it ended by itself")
            self._rest += more
        text, _, self._rest = self._rest.partition(b"\0")
        told: dict[str, Any] = json.loads(text)
        if "method" in told:
            self._events.append(told["method"])
        return told


@contextlib.contextmanager
def _started(path: str) -> Iterator[_Tab]:
    """Start Chromium with a profile of its own; end it whatever happens."""
    root = getattr(os, "geteuid", lambda: 1)() == 0  # its sandbox refuses root
    with contextlib.ExitStack() as stack:
        profile = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="growth-", ignore_cleanup_errors=True)
        )
        command = [path, *_FLAGS, f"--user-data-dir={profile}"]
        command += ["--no-sandbox"] if root else []
        with contextlib.ExitStack() as theirs:  # closed once it has its own
            its_ear, sends = _pipe(theirs, stack)
            hears, its_voice = _pipe(stack, theirs)
            quiet = _held(theirs, os.open(os.devnull, os.O_RDWR))
            try:
                pid = os.posix_spawn(
                    path,
                    [*command, "about:blank"],
                    os.environ,
                    file_actions=[
                        (os.POSIX_SPAWN_DUP2, its_ear, 3),
                        (os.POSIX_SPAWN_DUP2, its_voice, 4),
                        *((os.POSIX_SPAWN_DUP2, quiet, out) for out in (0, 1, 2)),
                    ],
                    setpgroup=0,
                )
            except OSError as error:
                raise _failed(str(error)) from error
        stack.callback(_end, pid)
        tab = _Tab(sends, hears)
        try:
            target = tab.call("Target.createTarget", url="about:blank")["targetId"]
            told = tab.call("Target.attachToTarget", targetId=target, flatten=True)
            tab.session = told["sessionId"]
            yield tab
        except OSError as error:
            raise _failed(str(error)) from error


def _pipe(reads: contextlib.ExitStack, writes: contextlib.ExitStack) -> tuple[int, int]:
    """Return a pipe; each end is closed with its stack."""
    back, front = os.pipe()
    return _held(reads, back), _held(writes, front)


def _held(stack: contextlib.ExitStack, end: int) -> int:
    """Return a copy that lies above the numbers Chromium takes, closed in time."""
    copy = fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(end)
    stack.callback(os.close, copy)
    return copy


def _end(pid: int) -> None:
    """End Chromium and its helpers, which are one process group."""
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        os.waitpid(pid, 0)


def _failed(why: str) -> StoreError:
    msg = f"Chromium did not draw the page ({why}); it must start and open a file;"
    msg = f"{msg} try `chromium --headless --version`, or print readout.html."
    return StoreError(msg, code="chromium_failed")
