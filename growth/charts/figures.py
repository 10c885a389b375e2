"""How a number is written for people: sign, unit, digits; alike everywhere."""

from __future__ import annotations

from math import floor, log10
from typing import TYPE_CHECKING, Final

from growth.labels import label

if TYPE_CHECKING:
    from collections.abc import Iterable

    from growth.labels import Lang

__all__ = [
    "amount",
    "clauses",
    "count",
    "coverage",
    "decimals",
    "difference",
    "difference_interval",
    "interval",
    "listed",
    "p_value",
    "percent",
    "times",
    "written",
    "written_interval",
]

NONE: Final = "–"
SMALLEST_P: Final = 0.001


def percent(value: float | None, *, signed: bool = False, digits: int = 1) -> str:
    """Write a share or relative change: 0.0612 is ``6.1%``.

    Parameters
    ----------
    value : float or None
        A share, 0.05 for 5 %; None is an en dash.
    signed : bool, default False
        Write ``+`` before a positive number.
    digits : int, default 1
        Decimals, 0 or more.

    Returns
    -------
    str
        With a real minus sign and no space before ``%``. What rounds to zero
        carries no sign.
    """
    if value is None:
        return NONE
    text = f"{value * 100:+,.{digits}f}"
    if not text.strip("+-0.,"):
        text = text[1:]
    return f"{text if signed else text.removeprefix('+')}%".replace("-", "−")


def interval(
    lo: float | None,
    hi: float | None,
    *,
    signed: bool = True,
    lang: Lang | None = None,
) -> str:
    """Write an interval of shares: ``+1.9% to +10.6%``; None is an en dash."""
    if lo is None or hi is None:
        return NONE
    digits = decimals(hi - lo)
    return label(
        "figure.interval",
        lang,
        lo=percent(lo, signed=signed, digits=digits),
        hi=percent(hi, signed=signed, digits=digits),
    )


def decimals(width: float) -> int:
    """Return how many decimals of a percentage an interval this wide deserves."""
    return 1 if width >= 0.004 else 2 if width >= 0.0004 else 3


def count(value: float) -> str:
    """Write a number of units: ``48,312``."""
    return f"{value:,.0f}".replace("-", "−")


def amount(value: float | None, unit: str) -> str:
    """Write a mean in its metric's unit.

    Parameters
    ----------
    value : float or None
        The number, in `unit`; None is an en dash.
    unit : {"share", "ratio", "fen", "count", "ms"} or other
        What it counts; anything else is written as a plain number.

    Returns
    -------
    str
        ``2.84%``, ``¥4.42``, ``812 ms``, ``1.37``.
    """
    if value is None:
        return NONE
    match unit:
        case "share" | "ratio":
            return percent(value, digits=_digits(value * 100, 3, most=3))
        case "fen":
            yuan = value / 100
            sign = "−" if yuan < 0 else ""
            return f"{sign}¥{abs(yuan):,.{2 if abs(yuan) < 1000 else 0}f}"
        case "ms":
            return f"{value:,.{_digits(value, 3, most=1)}f}\u00a0ms".replace("-", "−")
        case _:
            return f"{value:,.{_digits(value, 3, most=4)}f}".replace("-", "−")


def difference(
    value: float | None,
    unit: str,
    *,
    digits: int | None = None,
    lang: Lang | None = None,
) -> str:
    """Write a difference of means in the metric's unit, with its sign.

    Parameters
    ----------
    value : float or None
        Treatment minus control, in `unit`; None is an en dash.
    unit : {"share", "ratio", "fen", "count", "ms"} or other
        As for `amount`; a difference of shares is in percentage points.
    digits : int, optional
        Decimals of percentage points, where a column is to have equally many; two
        significant digits if omitted.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    str
        ``+0.17 pp``, ``+¥0.19``, ``−7 ms``.
    """
    if value is None:
        return NONE
    if unit == "ratio":
        return percent(value, signed=True, digits=2)
    if unit == "share":
        return label("figure.points", lang, points=_points(value, digits))
    sign = "+" if value > 0 else "−" if value < 0 else ""
    return sign + amount(abs(value), unit)


def difference_interval(
    lo: float | None,
    hi: float | None,
    unit: str,
    *,
    digits: int | None = None,
    lang: Lang | None = None,
) -> str:
    """Write an interval of a difference: ``−1.1 to +1.2 pp``; None is an en dash."""
    if lo is None or hi is None:
        return NONE
    if unit == "share":
        ends = label(
            "figure.interval", lang, lo=_points(lo, digits), hi=_points(hi, digits)
        )
        return label("figure.points", lang, points=ends)
    low, high = difference(lo, unit), difference(hi, unit)
    return label("figure.interval", lang, lo=low, hi=high)


def written(
    value: float | None, unit: str, *, change: bool = False, lang: Lang | None = None
) -> str:
    """Write a number in its unit: as a `difference` if it is a change, else whole."""
    return difference(value, unit, lang=lang) if change else amount(value, unit)


def written_interval(
    lo: float | None,
    hi: float | None,
    unit: str,
    *,
    change: bool = False,
    lang: Lang | None = None,
) -> str:
    """Write an interval in its unit: ``12.1% to 13.4%``; None is an en dash.

    Parameters
    ----------
    lo, hi : float or None
        Its ends, in `unit`.
    unit : {"share", "ratio", "fen", "count", "ms"} or other
        As for `amount`.
    change : bool, default False
        Whether it is of a change, written with signs.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    str
        Shares and relative changes with the decimals that the width deserves.
    """
    if lo is None or hi is None:
        return NONE
    if unit == "ratio" or (unit == "share" and not change):
        return interval(lo, hi, signed=change, lang=lang)
    if change:
        return difference_interval(lo, hi, unit, lang=lang)
    return label("figure.interval", lang, lo=amount(lo, unit), hi=amount(hi, unit))


def coverage(level: float) -> str:
    """Write an interval's coverage: ``95%``, ``97.5%``, ``98.33%``."""
    return f"{level * 100:.4g}%"


def listed(words: Iterable[str], *, lang: Lang | None = None) -> str:
    """Join words as the language does: ``a, b`` or ``a、b``."""
    return _joined("figure.list", words, lang)


def clauses(words: Iterable[str], *, lang: Lang | None = None) -> str:
    """Join parts of a sentence: ``a; b`` or ``a；b``."""
    return _joined("figure.clauses", words, lang)


def _joined(key: str, words: Iterable[str], lang: Lang | None) -> str:
    found = list(words)
    text = found[0] if found else ""
    for word in found[1:]:
        text = label(key, lang, before=text, next=word)
    return text


def times(value: float | None) -> str:
    """Write how many times as often: ``0.36``, ``1.09``, ``35.6``, ``120``."""
    if value is None:
        return NONE
    return f"{value:,.{_digits(value, 3, most=2)}f}" if value else "0"


def p_value(value: float | None) -> str:
    """Write a p-value: ``0.76``, ``0.006``, ``<0.001``; None is an en dash."""
    if value is None:
        return NONE
    if value < SMALLEST_P:
        return f"<{SMALLEST_P}"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def _points(share: float, digits: int | None = None) -> str:
    if digits is not None:
        return percent(share, signed=True, digits=digits).removesuffix("%")
    points = share * 100
    sign = "+" if points else ""
    return f"{points:{sign}.{_digits(points, 2, most=3)}f}".replace("-", "−")


def _digits(value: float, significant: int, *, most: int) -> int:
    """Return the decimals that show `significant` digits, at most `most`."""
    if not value:
        return 0
    return min(max(significant - 1 - floor(log10(abs(value))), 0), most)
