"""One declared parameter: its type, its bounds, and how a value is read as it."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import PurePath
from typing import Final, Literal

from growth.errors import Fault, suggest

__all__ = [
    "MAX_INT",
    "Between",
    "EnvName",
    "Field",
    "Help",
    "Id",
    "Kind",
    "Path",
    "Sample",
    "Source",
    "Value",
    "plain_value",
    "seen_as",
]

Value = str | int | float | bool | date | None
Source = Literal["text", "json", "python", "notebook"]
Kind = Literal["str", "int", "float", "bool", "choice", "date"]

MAX_TEXT: Final = 128
MAX_PATH: Final = 4096
MAX_INT: Final = 2**53 - 1  # what a double, and so JSON elsewhere, holds exactly
FIRST_DAY: Final = date(1970, 1, 1)
LAST_DAY: Final = date(2100, 12, 31)

_INT: Final = re.compile(r"[+-]?(0|[1-9][0-9]*)")
_FLOAT: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ENV: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PYTHON: Final = {
    "str": "str", "choice": "str", "date": "str",
    "int": "int", "float": "float", "bool": "bool",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Id:
    """Marks text that names a subject: kept as it is, never read as a number."""


@dataclass(frozen=True, slots=True)
class Path:
    """Marks text that holds a location: a path, a glob or an Ibis URL."""


@dataclass(frozen=True, slots=True)
class EnvName:
    """Marks text that holds the *name* of a variable with a secret in it."""


@dataclass(frozen=True, slots=True)
class Help:
    """What a parameter is for, in one line."""

    text: str


@dataclass(frozen=True, slots=True)
class Sample:
    """What a required parameter's line in the notebook's cell shows."""

    value: str | float | bool


@dataclass(frozen=True, slots=True)
class Between:
    """The range of a number; its ends belong to it unless `open`."""

    low: float
    high: float
    open: bool = False

    def holds(self, value: float) -> bool:
        """Return whether `value` lies in the range."""
        if self.open:
            return self.low < value < self.high
        return self.low <= value <= self.high

    def __str__(self) -> str:
        """Write the range as mathematicians do."""
        left, right = "()" if self.open else "[]"
        return f"in {left}{self.low}, {self.high}{right}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One declared parameter."""

    name: str
    kind: Kind
    help: str
    optional: bool = False
    required: bool = True
    default: Value = None
    choices: tuple[str, ...] = ()
    between: Between | None = None
    path: bool = False
    env: bool = False
    sample: Value = None

    @property
    def python(self) -> str:
        """The annotation its line in the notebook's cell carries."""
        return _PYTHON[self.kind]

    @property
    def expected(self) -> str:
        """What a value must be, in words."""
        words = {
            "str": f"1 to {MAX_PATH if self.path else MAX_TEXT} printable characters"
            " without spaces at the ends",
            "int": f"a whole number {self.between or f'up to {MAX_INT}'}",
            "float": f"a number {self.between or ''}".rstrip(),
            "bool": "true or false",
            "choice": f"one of {', '.join(self.choices)}",
            "date": f"a date YYYY-MM-DD from {FIRST_DAY.year} to {LAST_DAY.year}",
        }[self.kind]
        return f"{words}, or empty" if self.optional else words

    def fault(self, code: str, seen: object, hint: str = "") -> Fault:
        """Return a fault of this parameter."""
        return Fault(code, self.name, seen_as(seen), self.expected, hint)

    def parse(self, value: object, source: Source) -> Value | Fault:
        """Return `value` as declared, or what is wrong with it."""
        if self.optional and (value is None or (isinstance(value, str) and not value)):
            return None
        if source == "text":
            parsed = self._from_text(str(value))
        else:
            parsed = self._from_object(value, source)
        return parsed if isinstance(parsed, Fault) else self._bounded(parsed, value)

    def _from_text(self, text: str) -> Value | Fault:
        match self.kind:
            case "str":
                return self._text(text)
            case "choice":
                return self._choice(text)
            case "date":
                return self._day(text)
            case "bool":
                if text.lower() in {"true", "false"}:
                    return text.lower() == "true"
                word = {"yes": "true", "on": "true", "1": "true", "y": "true"}.get(
                    text.lower(), "false"
                )
                return self.fault("wrong_type", text, f"Write {word}.")
            case "int":
                return self._whole(text)
        return self._number(text)

    def _whole(self, text: str) -> int | Fault:
        if _INT.fullmatch(text):
            # far over the bound already; int() refuses very long digits
            return int(text) if len(text) < 20 else (MAX_INT + 1)
        bare = text.lstrip("+-").lstrip("0")
        octal = bare.isascii() and bare.isdigit()
        return self.fault("wrong_type", text, f"Write {bare}." if octal else "")

    def _number(self, text: str) -> float | Fault:
        if _FLOAT.fullmatch(text):
            number = float(text)
            return number if math.isfinite(number) else self.fault("not_finite", text)
        if _NOT_FINITE.fullmatch(text):
            return self.fault("not_finite", text)
        hint = ""
        if text.endswith("%") and _FLOAT.fullmatch(text[:-1]):
            hint = f"Write {float(text[:-1]) / 100:g}."
        elif _FLOAT.fullmatch(text.replace(",", ".", 1)):
            hint = f"Write {text.replace(',', '.', 1)}."
        return self.fault("wrong_type", text, hint)

    def _from_object(self, value: object, source: Source) -> Value | Fault:
        value = _python(value)
        if self.path and source == "python" and isinstance(value, PurePath):
            value = str(value)
        match self.kind, value:
            case "str", str():
                return self._text(str.__str__(value))
            case "choice", str():
                return self._choice(str.__str__(value))
            case "date", str():
                return self._day(str.__str__(value))
            case "date", date() if not isinstance(value, datetime):
                if source != "json":
                    return value
            case "bool", bool():
                return bool(value)
            case "int", int() if not isinstance(value, bool):
                return int(value)
            case "float", int() | float() if not isinstance(value, bool):
                return self._finite(value)
            case _:
                pass
        return self.fault("wrong_type", value, self._hint(value, source))

    def _finite(self, value: float) -> float | Fault:
        try:
            number = float(value)
        except OverflowError:  # a whole number past what a double holds
            number = math.inf
        return number if math.isfinite(number) else self.fault("not_finite", value)

    def _hint(self, value: object, source: Source) -> str:
        """Say how the value would have been written rightly."""
        if isinstance(value, str) and self.kind in {"int", "float", "bool"}:
            bare = self._from_text(value)
            if isinstance(bare, Fault):
                return ""
            if source == "notebook" and self.kind == "bool":
                return f"Write {bare}."
            if source == "notebook":
                return f"Pass it by papermill's -p {self.name} {value}."
            return f"Write {value} without quotes."
        scalar = isinstance(value, int | float) and not isinstance(value, bool)
        if scalar and self.python == "str":
            if source == "notebook":
                return f"Pass it as text, by papermill's -r {self.name} VALUE."
            return f'Put it in quotes: "{value}".'
        return ""

    def _text(self, text: str) -> str | Fault:
        limit = MAX_PATH if self.path else MAX_TEXT
        if not 0 < len(text) <= limit or text != text.strip() or not text.isprintable():
            return self.fault("bad_text", text)
        if self.env:
            if not _ENV.fullmatch(text):
                return self.fault("bad_text", text, "Name a variable, not its value.")
            if not os.environ.get(text):
                hint = "Set it before the run; its value is never written down."
                seen = f"the name {text}, which is not set"
                want = "the name of a set environment variable"
                return Fault("missing_secret", self.name, seen, want, hint)
        return text

    def _choice(self, text: str) -> str | Fault:
        if text in self.choices:
            return text
        return self.fault("not_a_choice", text, suggest(text, self.choices).strip())

    def _day(self, text: str) -> date | Fault:
        try:
            # fromisoformat alone takes weeks and dates without dashes too
            return date.fromisoformat(text if _DATE.fullmatch(text) else "")
        except ValueError:
            return self.fault("bad_date", text, "Write it like 2026-01-31.")

    def _bounded(self, parsed: Value, seen: object) -> Value | Fault:
        match parsed:
            case bool():
                return parsed
            case int() if abs(parsed) > MAX_INT:
                return self.fault("out_of_range", seen)
            case int() | float() if self.between and not self.between.holds(parsed):
                return self.fault("out_of_range", seen)
            case date() if not FIRST_DAY <= parsed <= LAST_DAY:
                return self.fault("out_of_range", seen)
        return parsed

    def describe(self) -> dict[str, object]:
        """Return what a form, a page or a scheduler needs to know of it."""
        told: dict[str, object] = {
            "name": self.name,
            "type": "path" if self.path else "env" if self.env else self.kind,
            "required": self.required,
            "optional": self.optional,
            "default": plain_value(self.default),
            "help": self.help,
        }
        if self.choices:
            told["choices"] = list(self.choices)
        if self.between:
            told |= {"low": self.between.low, "high": self.between.high}
            told["open"] = self.between.open
        if self.sample is not None:
            told["sample"] = plain_value(self.sample)
        return told


def plain_value(value: Value) -> str | int | float | bool | None:
    """Return a parameter's value as JSON holds it: a date as its ISO text."""
    return value.isoformat() if isinstance(value, date) else value


def seen_as(value: object) -> str:
    """Return a value as a fault shows it: escaped, and cut where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _python(value: object) -> object:
    """Return a NumPy scalar as Python's own, anything else as it is."""
    if any(
        c.__module__ == "numpy" and c.__name__ == "generic" for c in type(value).__mro__
    ):
        return value.item()  # type: ignore[attr-defined]
    return value
