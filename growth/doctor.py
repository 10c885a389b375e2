"""What this machine has of what a readout can use, and what each lack costs."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from growth import __version__
from growth.readout.chromium import NAMES
from growth.result import Cell, Result

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Examination", "Finding", "examine"]

State = Literal["present", "absent", "broken"]

MIN_JAVA: Final = 17  # what Spark 4 runs on
MIN_KEY: Final = 32
_WAIT: Final = 10.0  # seconds for a program to say its version
_CORE: Final = ("numpy", "scipy", "pandas", "statsmodels")
_EXTRAS: Final = {
    "engine": ("ibis-framework", "duckdb", "pyarrow", "sqlglot"),
    "notebooks": (
        *("altair", "vl-convert-python", "papermill", "nbclient", "nbconvert"),
        *("jupyterlab", "ipywidgets"),
    ),
    "spark": ("pyspark",),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked for: what was seen, and what to do if it is not there."""

    name: str
    state: State
    seen: str
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination(Result):
    """What was found; only what is broken is a fault, what is absent is a choice."""

    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        """`doctor.machine.` and `broken`, `limited` (something is absent) or `well`."""
        states = {finding.state for finding in self.findings}
        if "broken" in states:
            return "doctor.machine.broken"
        return "doctor.machine.limited" if "absent" in states else "doctor.machine.well"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a finding."""
        return [asdict(finding) for finding in self.findings]


def examine() -> Examination:
    """Look for what readouts can use on this machine.

    Returns
    -------
    Examination
        Python, package versions, fonts with Chinese, Chromium, Java, and whether
        the pseudonym key is set; never the key itself.
    """
    return Examination(findings=tuple(_findings()))


def _findings() -> Iterator[Finding]:
    yield _python()
    yield from _packages()
    yield _fonts()
    yield _chromium()
    yield _java()
    yield _key()
    yield _readouts()


def _python() -> Finding:
    seen = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Finding("python", "present", seen)
    return Finding("python", "broken", seen, "use Python 3.11, 3.12 or 3.13")


def _packages() -> Iterator[Finding]:
    yield Finding("growth", "present", __version__)
    for name in _CORE:
        seen = _version(name)
        advice = "" if seen else "run make env; in a checkout: pip install ."
        yield Finding(name, "present" if seen else "broken", seen or "", advice)
    for extra, names in _EXTRAS.items():
        for name in names:
            seen = _version(name)
            advice = "" if seen else f"in a checkout: pip install '.[{extra}]'"
            yield Finding(name, "present" if seen else "absent", seen or "", advice)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _fonts() -> Finding:
    said = _say("fc-list", ":lang=zh", "family")
    families = sorted({line.split(",")[0].strip() for line in said.splitlines()} - {""})
    if families:
        return Finding("chinese_font", "present", ", ".join(families[:3]))
    advice = "only pictures need it; Debian: apt install fontconfig fonts-wqy-microhei"
    return Finding("chinese_font", "absent", "", advice)


def _chromium() -> Finding:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path:
        return Finding("chromium", "present", path)
    advice = "only browser tests and PDF need it; Debian: apt install chromium"
    return Finding("chromium", "absent", "", advice)


def _java() -> Finding:
    said = _say("java", "-version").splitlines()
    line = next((text for text in said if 'version "' in text), "")
    number = re.search(r'version "(\d+)', line)
    if number and int(number[1]) >= MIN_JAVA:
        return Finding("java", "present", line)
    advice = (
        f"only Spark needs it, {MIN_JAVA} or later; apt install default-jre-headless"
    )
    return Finding("java", "absent", line, advice)


def _key() -> Finding:
    """Say whether the pseudonym key is there; its value is never read out."""
    length = len(os.environ.get("GROWTH_ID_KEY", "").encode())
    if length >= MIN_KEY:
        return Finding("GROWTH_ID_KEY", "present", "set")
    advice = f"loading data with ids of people needs it: {MIN_KEY} bytes or more"
    if length:
        return Finding("GROWTH_ID_KEY", "broken", "set, but too short", advice)
    return Finding("GROWTH_ID_KEY", "absent", "", advice)


def _readouts() -> Finding:
    folder = Path(os.environ.get("GROWTH_READOUTS") or "readouts").absolute()
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK):
        return Finding("readouts", "present", str(folder))
    advice = "make it writable, or name another by --out or GROWTH_READOUTS"
    return Finding("readouts", "broken", f"{nearest} cannot be written", advice)


def _say(*command: str) -> str:
    """Return what a program prints, on either stream; empty if there is none."""
    if not shutil.which(command[0]):
        return ""
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, timeout=_WAIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return run.stdout or run.stderr
