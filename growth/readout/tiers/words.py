"""Amounts, counts and rules of a programme, as the tiers page writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from growth.charts.figures import (
    amount,
    count,
    difference,
    difference_interval,
    percent,
)
from growth.labels import has, label, worded

if TYPE_CHECKING:
    from growth.labels import Lang
    from growth.tiers import Programme, Span

__all__ = ["changed", "ends", "exact", "flat", "money", "rule", "said", "whole"]


def flat(value: Any, path: str = "") -> dict[str, object]:  # noqa: ANN401
    """Return a declaration's values by key path."""
    parts = (
        value.items() if isinstance(value, dict)
        else enumerate(value) if isinstance(value, list) and path == "tiers"
        else None
    )  # fmt: skip
    if parts is None:
        return {path: value}
    found: dict[str, object] = {}
    for key, one in parts:
        found |= flat(one, f"{path}.{key}" if path else str(key))
    return found


def rule(path: str, programme: Programme, lang: Lang | None) -> str:
    """Name a rule: a tier's by the tier, any other in words; else its key path."""
    head, *rest = path.split(".")
    if head != "tiers" or len(rest) != 2:
        known = f"tiers.rule.{path}"
        return label(known, lang) if has(known) else path
    words = worded(f"tiers.field.{rest[1]}", lang)
    return f"{programme.names[int(rest[0])]} · {words}"


def said(path: str, value: object) -> str:
    """Write a rule's value in the unit of its key path."""
    if value is None:
        return "–"
    if path.endswith("_fen") and isinstance(value, int):
        return money(value)
    if path.endswith("discount_rate"):
        return percent(float(str(value)))
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"×{value}" if path.endswith("earn_multiplier") else str(value)


def money(fen: float) -> str:
    """Write an amount; whole yuan without their zeros."""
    return amount(fen, "fen").removesuffix(".00")


def exact(fen: int) -> str:
    """Write an amount to the fen, as accounts are: they add up."""
    sign = "−" if fen < 0 else ""
    return f"{sign}¥{abs(fen) / 100:,.2f}"


def changed(value: float, unit: str) -> str:
    """Write a difference with its sign; ``whole`` is a unit of things counted."""
    return whole(value) if unit == "whole" else difference(value, unit)


def whole(value: float) -> str:
    """Write a difference of things that are counted: whole, with its sign."""
    text = count(value)
    return f"+{text}" if value > 0 and text != "0" else "0" if text == "−0" else text


def ends(span: Span | None, unit: str, lang: Lang | None) -> str:
    """Write a difference's interval in a unit of `changed`."""
    lo, hi = span or (None, None)
    if lo is None or hi is None or unit != "whole":
        return difference_interval(lo, hi, unit, lang=lang)
    return label("figure.interval", lang, lo=whole(lo), hi=whole(hi))
