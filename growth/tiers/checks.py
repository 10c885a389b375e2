"""Arguments that several verbs take, judged in one way; every fault at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from math import inf
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from growth.errors import Fault, ParameterError, suggest
from growth.stats.arguments import whole

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeGuard

__all__ = [
    "between",
    "counts",
    "day_of",
    "generator_faults",
    "is_day",
    "listed",
    "seeded",
    "share_fault",
    "start_fault",
    "thresholds",
    "widest_fault",
]

EPOCH: Final = date(1970, 1, 1)


def is_day(value: object) -> TypeGuard[date]:
    """Return whether something is a date; an instant is none."""
    return isinstance(value, date) and not isinstance(value, datetime)


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
    if is_day(as_of):
        return (as_of - EPOCH).days
    msg = f"as_of is {as_of!r}; it must be a date, the last day counted; pass one."
    raise ParameterError(msg, code="bad_as_of")


def start_fault(start: object) -> Iterable[Fault]:
    """Yield what is wrong with a first day: a date, and no instant."""
    if not is_day(start):
        yield Fault("bad_start", "start", repr(start), "a date, the first day", "")


def seeded(faults: list[Fault], seed: object) -> int:
    """Return a seed; what is wrong with it is added to `faults`.

    Parameters
    ----------
    faults : list of Fault
        What is wrong so far.
    seed : int
        0 or more, as `growth.stats.arguments.whole` reads it.

    Returns
    -------
    int
        The seed; 0 if it is none.
    """
    fault = Fault("bad_seed", "seed", repr(seed), "a whole number, 0 or more",
                  "Any will do; note it.")  # fmt: skip
    return _whole(faults, fault, seed, least=0, most=None)


def counts(
    faults: list[Fault],
    most: int | None = None,
    /,
    **values: Any,  # noqa: ANN401
) -> tuple[int, ...]:
    """Return counts; what is wrong with them is added to `faults`.

    Parameters
    ----------
    faults : list of Fault
        What is wrong so far.
    most : int, optional
        The largest that is right.
    **values : int
        Each 1 or more, as `growth.stats.arguments.whole` reads it.

    Returns
    -------
    tuple of int
        One a value, in order; 1 for what is none.
    """
    words = f"a whole number, 1 to {most}" if most else "a whole number, 1 or more"
    return tuple(
        _whole(faults, Fault(f"bad_{name}", name, repr(value), words), value,
               least=1, most=most)
        for name, value in values.items()
    )  # fmt: skip


def between(value: object, least: float, most: float = inf) -> bool:
    """Return whether something is a finite number from `least` to `most`."""
    number = isinstance(value, int | float | np.integer | np.floating)
    if not number or isinstance(value, bool):
        return False
    return bool(least <= value <= most and value < inf)  # type: ignore[operator]


def listed(value: object) -> TypeGuard[Sequence[Any]]:
    """Return whether something is a list of values: a sequence or array, not text."""
    dimensions = getattr(value, "ndim", None)  # of an array, or a pandas column
    if dimensions is not None:
        return bool(dimensions > 0)
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _whole(
    faults: list[Fault], fault: Fault, value: object, *, least: int, most: int | None
) -> int:
    try:
        return whole(value, fault.name, least=least, most=most)
    except ParameterError:
        faults.append(fault)
        return least


def share_fault(name: str, value: object, hint: str) -> Iterable[Fault]:
    """Yield what is wrong with a share: a number, 0 to 1."""
    if not isinstance(value, int | float) or not between(value, 0, 1):
        yield Fault(f"bad_{name}", name, repr(value), "a share, 0 to 1", hint)


def widest_fault(cap: object) -> Iterable[Fault]:
    """Yield what is wrong with the widest multiple of a rate: a number, 1 or more."""
    if cap is not None and not between(cap, 1):
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


def thresholds(faults: list[Fault], values: object) -> tuple[int, ...]:
    """Return thresholds of spend; what is wrong with them is added to `faults`.

    Parameters
    ----------
    faults : list of Fault
        What is wrong so far.
    values : sequence of int, optional
        Whole fen above 0.

    Returns
    -------
    tuple of int
        None of them if there are none, or one is wrong.
    """
    if values is None:
        return ()
    words = "a list of whole fen, above 0"
    fault = Fault("bad_thresholds", "thresholds_fen", repr(values), words)
    if not isinstance(values, Sequence) or isinstance(values, str):
        faults.append(fault)
        return ()
    wrong: list[Fault] = []
    read = tuple(_whole(wrong, fault, v, least=1, most=None) for v in values)
    faults += wrong[:1]
    return () if wrong else read
