"""Arguments that several verbs take, judged in one way; every fault at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from growth.errors import Fault, ParameterError, suggest

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "count_faults",
    "day_of",
    "generator_faults",
    "seed_fault",
    "share_fault",
    "start_fault",
    "threshold_faults",
    "widest_fault",
]

EPOCH: Final = date(1970, 1, 1)


def day_of(as_of: object) -> int:
    """Return the last day counted, since 1970-01-01.

    Parameters
    ----------
    as_of : datetime.date
        A local day; points and tiers close with whole days, so an instant is none.

    Returns
    -------
    int
        The day.

    Raises
    ------
    ParameterError
        If it is anything else (``bad_as_of``).
    """
    if not isinstance(as_of, date) or isinstance(as_of, datetime):
        msg = f"as_of is {as_of!r}; it must be a date, the last day counted; pass one."
        raise ParameterError(msg, code="bad_as_of")
    return (as_of - EPOCH).days


def start_fault(start: object) -> Iterable[Fault]:
    """Yield what is wrong with a first day: a date, and no instant."""
    if not isinstance(start, date) or isinstance(start, datetime):
        yield Fault("bad_start", "start", repr(start), "a date, the first day", "")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def seed_fault(seed: object) -> Iterable[Fault]:
    """Yield what is wrong with a seed: a whole number, 0 or more."""
    if not _whole(seed) or seed < 0:  # type: ignore[operator]
        words = "a whole number, 0 or more"
        yield Fault("bad_seed", "seed", repr(seed), words, "Any will do; note it.")


def share_fault(name: str, value: object, hint: str) -> Iterable[Fault]:
    """Yield what is wrong with a share: a number, 0 to 1."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= 1:  # type: ignore[operator]
        yield Fault(f"bad_{name}", name, repr(value), "a share, 0 to 1", hint)


def count_faults(most: int | None = None, /, **values: Any) -> Iterable[Fault]:  # noqa: ANN401
    """Yield what is wrong with counts: whole numbers, 1 or more, up to `most`."""
    words = f"a whole number, 1 to {most}" if most else "a whole number, 1 or more"
    for name, value in values.items():
        if not _whole(value) or value < 1 or (most and value > most):
            yield Fault(f"bad_{name}", name, repr(value), words, "")


def widest_fault(cap: object) -> Iterable[Fault]:
    """Yield what is wrong with the widest multiple of a rate: a number, 1 or more."""
    number = isinstance(cap, int | float) and not isinstance(cap, bool)
    if cap is None or (number and isfinite(cap) and cap >= 1):  # type: ignore[arg-type, operator]
        return
    yield Fault("bad_cap", "cap", repr(cap), "a number, 1 or more", "")


def generator_faults(names: object, known: Sequence[str]) -> Iterable[Fault]:
    """Yield what is wrong with a list of generators: one or more of those known."""
    words = f"a list of one or more of {', '.join(known)}"
    if isinstance(names, str) or not isinstance(names, Sequence) or not names:
        hint = "Write it in a list." if isinstance(names, str) else ""
        yield Fault("unknown_generator", "generators", repr(names), words, hint)
        return
    for name in names:
        if name not in known:
            hint = suggest(str(name), known).strip()
            yield Fault("unknown_generator", "generators", repr(name), words, hint)


def threshold_faults(values: object) -> Iterable[Fault]:
    """Yield what is wrong with thresholds of spend: whole fen above 0, or none."""
    listed = isinstance(values, Sequence) and not isinstance(values, str)
    if values is not None and not (
        listed and all(_whole(v) and v > 0 for v in values)  # type: ignore[attr-defined]
    ):
        words = "a list of whole fen, above 0"
        yield Fault("bad_thresholds", "thresholds_fen", repr(values), words, "")
