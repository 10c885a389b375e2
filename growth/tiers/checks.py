"""Arguments that several verbs take, judged in one way; every fault at once."""

from __future__ import annotations

from datetime import date, datetime
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from growth.errors import Fault, ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["count_faults", "day_of", "seed_fault", "share_fault", "widest_fault"]

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
    if not number or not (isfinite(cap) and cap >= 1):  # type: ignore[arg-type, operator]
        yield Fault("bad_cap", "cap", repr(cap), "a number, 1 or more", "")
