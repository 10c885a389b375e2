"""One raw value into one canonical value: every transform a mapping may name.

A transform is a function of one value (never None). It returns the canonical value
(instants as milliseconds since 1970 UTC, money as fen), raises `Unusable` with the
reason of the reject, or returns `Noted` when the value is kept with a remark.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import parse_qsl, urlencode

from growth.dataset.lookups import scenes
from growth.engine.days import zone

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = [
    "MONEY",
    "QUERY_KEYS",
    "TIMES",
    "TRANSFORMS",
    "Noted",
    "Unusable",
    "coerce",
    "instant_ms",
    "make",
    "plain_text",
    "sha256_of",
]

MONEY: Final = ("yuan", "yuan_signed", "fen", "float_money")
TIMES: Final = ("ms_epoch", "s_epoch", "local")
# `id:<kind>`, `hash` and `sha256` take several values and are made by the loader
TRANSFORMS: Final = (
    *TIMES,
    *MONEY,
    "number",
    "s_to_ms",
    "scene",
    "strip_slash",
    "query_allow",
    "lower",
    "text",
    "hash",
    "sha256",
)
# query keys that say nothing of a person; a mapping may add to them
QUERY_KEYS: Final = frozenset(
    [
        "share_id",
        "campaign_id",
        "channel",
        "product_id",
        "sku_id",
        "item_id",
        "scene",
        "utm_source",
        "utm_medium",
        "utm_campaign",
        "utm_content",
        "utm_term",
    ]
)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)
INTEGER_BITS: Final = {"int8": 7, "int16": 15, "int32": 31, "int64": 63}

_YUAN = re.compile(r"(-?)(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d{1,2})0*)?", re.ASCII)
_DIGITS = re.compile(r"-?\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_SCENE = re.compile(r"(?<!\d)(\d{4})$", re.ASCII)
_PLAIN_TIMES = {"%Y-%m-%d %H:%M:%S": 19, "%Y-%m-%d %H:%M:%S.%f": 26}
_BOOLS = {"true": True, "false": False, "1": True, "0": False}
_DUST = 1e-6  # what binary floating point leaves behind, in units of the currency


class Unusable(Exception):  # noqa: N818  (a signal between two files, not an error)
    """The value cannot be used; `reason` is the reject's."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Noted(NamedTuple):
    """A value that is kept with the remark `note`."""

    value: object
    note: str


def make(
    name: str, *, tz: str = "", pattern: str = "", query: Collection[str] = ()
) -> Callable[[object], object]:
    """Return the transform of one value.

    Parameters
    ----------
    name : str
        One of `TRANSFORMS`, save those of several values.
    tz : str
        Zone of ``local`` times.
    pattern : str
        How ``local`` times are written, as for `datetime.strptime`; ISO if empty.
    query : collection of str
        Query keys allowed beside `QUERY_KEYS`.

    Returns
    -------
    callable
        From a raw value to a canonical one.
    """
    if name == "local":
        return _Local(tz, pattern)
    if name == "query_allow":
        allowed = QUERY_KEYS | set(query)
        return lambda value: _query_allow(value, allowed)
    return _SIMPLE[name]


def plain_text(value: object) -> str:
    """Return a value as the text a mapping file would write for it.

    Parameters
    ----------
    value : object
        A scalar, list or mapping.

    Returns
    -------
    str
        ``true`` for True, ``17850`` for 17850.0, JSON for lists and mappings.
    """
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case list() | dict():
            return json.dumps(value, ensure_ascii=False, sort_keys=True)
    return str(value)


def sha256_of(*values: object) -> str:
    """Return the SHA-256 of values, told apart by a separator, as hexadecimal."""
    text = "\x1f".join(plain_text(value) for value in values)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def instant_ms(value: datetime) -> int:
    """Return an aware datetime as milliseconds since 1970 UTC, truncated."""
    return (value - EPOCH) // MILLISECOND


def coerce(kind: str, value: object, *, textual: bool) -> object:  # noqa: C901, PLR0911, PLR0912
    """Return `value` as the Python value a column of `kind` stores.

    Parameters
    ----------
    kind : str
        The column's kind.
    value : object
        Not None.
    textual : bool
        Whether the source has nothing but text (CSV), so that ``"3"`` is a number.

    Returns
    -------
    object
        str, bool, int, float or date; instants as milliseconds.

    Raises
    ------
    Unusable
        With the reason of the reject.
    """
    match kind:
        case "text":
            if not isinstance(value, str):
                raise Unusable("bad_type")
            if not value.isascii() and _broken(value):
                raise Unusable("bad_type")
            return value
        case "any":
            return value
        case "json":
            return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
        case "bool":
            if isinstance(value, bool):
                return value
            if textual and str(value).lower() in _BOOLS:
                return _BOOLS[str(value).lower()]
            raise Unusable("bad_type")
        case "instant":
            return _instant(value)
        case "date":
            return _date(value)
        case "number" | "float32" | "float64":
            if textual and isinstance(value, str):
                value = _number(value)
            if isinstance(value, Decimal):
                value = float(value)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise Unusable("bad_type")
            if not isfinite(value):
                raise Unusable("bad_type")
            return float(value)
    if textual and isinstance(value, str):
        value = _number(value)
    if isinstance(value, float | Decimal) and value % 1 == 0:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unusable("bad_type")
    limit = 1 << INTEGER_BITS[kind]
    if not -limit <= value < limit:
        raise Unusable("out_of_range")
    return value


def _broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _instant(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise Unusable("bad_time") from error
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise Unusable("bad_time")
    return instant_ms(value)


def _date(value: object) -> date:
    if isinstance(value, datetime):
        raise Unusable("bad_time")
    if isinstance(value, date):
        return value
    if not isinstance(value, str) or len(value) != 10:
        raise Unusable("bad_time")
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise Unusable("bad_time") from error


def _epoch(scale: int) -> Callable[[object], int]:
    def convert(value: object) -> int:
        if isinstance(value, str):
            if not _DIGITS.fullmatch(value):
                raise Unusable("bad_time")
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Unusable("bad_time")
        if not isfinite(value) or abs(value) > 1e15:
            raise Unusable("bad_time")
        return value * scale if isinstance(value, int) else int(value * scale // 1)

    return convert


class _Local:
    """Reads local times; remembers minutes, so that a calendar is asked once each."""

    def __init__(self, tz: str, pattern: str) -> None:
        self.where = zone(tz)
        self.pattern = pattern
        self.width = _PLAIN_TIMES.get(pattern, 0)
        self.minutes: dict[str, int] = {}

    def __call__(self, value: object) -> int:
        if isinstance(value, str):
            try:
                return self.of_text(value.strip())
            except ValueError as error:
                raise Unusable("bad_time") from error
        if isinstance(value, datetime):
            return self.to_ms(value)
        if isinstance(value, date):
            return self.to_ms(datetime(value.year, value.month, value.day))
        raise Unusable("bad_time")

    def of_text(self, text: str) -> int:
        if self.width and len(text) >= 19 and (ms := self.plain(text)) is not None:
            return ms
        if self.pattern:
            return self.to_ms(datetime.strptime(text, self.pattern))
        return self.to_ms(datetime.fromisoformat(text))

    def plain(self, text: str) -> int | None:
        """Read one of the two patterns everybody writes; None: it is another."""
        head, seconds, ms = text[:16], text[17:19], 0
        if self.width == 26:
            fraction = text[20:]
            if text[19:20] != "." or not fraction.isdecimal() or len(fraction) > 6:
                return None
            ms = int(fraction[:3].ljust(3, "0"))
        elif len(text) != 19:
            return None
        start = self.minutes.get(head)
        if start is None:
            marks = head[4] + head[7] + head[10] + head[13]
            if marks != "-- :" or not head.isascii():
                return None
            start = self.minutes[head] = self.to_ms(datetime.fromisoformat(head))
        if text[16] != ":" or not seconds.isdecimal() or seconds > "59":
            return None
        return start + int(seconds) * 1000 + ms

    def to_ms(self, value: datetime) -> int:
        if value.tzinfo is not None:
            return instant_ms(value)
        aware = value.replace(tzinfo=self.where)
        if _skipped(aware):
            raise Unusable("bad_time")
        return instant_ms(aware)


def _skipped(aware: datetime) -> bool:
    """Return whether clocks were set forward over this local time."""
    if aware.utcoffset() == aware.replace(fold=1).utcoffset():
        return False
    back = aware.astimezone(UTC).astimezone(aware.tzinfo)
    return back.replace(tzinfo=None) != aware.replace(tzinfo=None)


def _yuan_signed(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value * 100
    if isinstance(value, Decimal):
        value = format(value, "f")
    if not isinstance(value, str):
        raise Unusable("bad_money")
    found = _YUAN.fullmatch(value.strip())
    if not found:
        raise Unusable("bad_money")
    sign, whole, part = found.groups()
    fen = int(whole.replace(",", "")) * 100 + int((part or "0").ljust(2, "0"))
    return -fen if sign else fen


def _not_negative(fen: int) -> int:
    if fen < 0:
        raise Unusable("bad_money")
    return fen


def _fen(value: object) -> int:
    if isinstance(value, str):
        if not _DIGITS.fullmatch(value):
            raise Unusable("bad_money")
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unusable("bad_money")
    return _not_negative(value)


def _float_money(value: object) -> object:
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value.strip()):
            raise Unusable("bad_money")
        value = float(value)
    if isinstance(value, Decimal):
        return _not_negative(_yuan_signed(value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unusable("bad_money")
    if not isfinite(value) or abs(value) > 1e13:
        raise Unusable("bad_money")
    fen = round(value * 100)
    if abs(value - fen / 100) > _DUST:
        raise Unusable("bad_money")
    _not_negative(fen)
    return fen if fen / 100 == value else Noted(fen, "money_rounded")


def _number(value: object) -> object:
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value.strip()):
            raise Unusable("bad_type")
        try:
            return int(value)
        except ValueError:
            return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise Unusable("bad_type")
    return value


def _s_to_ms(value: object) -> int:
    try:
        seconds = Decimal(str(_number(value)))
        return int((seconds * 1000).to_integral_value())
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise Unusable("bad_type") from error


def _scene(value: object) -> object:
    found = _SCENE.search(plain_text(value).strip())
    if not found:
        return Noted(None, "scene_unreadable")
    number = int(found[1])
    return number if number in scenes() else Noted(number, "scene_unknown")


def _strip_slash(value: object) -> str:
    if not isinstance(value, str):
        raise Unusable("bad_type")
    return value.partition("?")[0].lstrip("/").removesuffix(".html")


def _query_allow(value: object, allowed: Collection[str]) -> str | None:
    if not isinstance(value, str):
        raise Unusable("bad_type")
    pairs = parse_qsl(value.lstrip("?"), keep_blank_values=True)
    return urlencode([pair for pair in pairs if pair[0] in allowed]) or None


def _lower(value: object) -> str:
    if not isinstance(value, str):
        raise Unusable("bad_type")
    return value.lower()


def _text(value: object) -> str:
    if isinstance(value, list | dict):
        raise Unusable("bad_type")
    return plain_text(value)


_SIMPLE: Final[dict[str, Callable[[object], object]]] = {
    "ms_epoch": _epoch(1),
    "s_epoch": _epoch(1000),
    "yuan": lambda value: _not_negative(_yuan_signed(value)),
    "yuan_signed": _yuan_signed,
    "fen": _fen,
    "float_money": _float_money,
    "number": _number,
    "s_to_ms": _s_to_ms,
    "scene": _scene,
    "strip_slash": _strip_slash,
    "lower": _lower,
    "text": _text,
}
