"""Stateless assignment: a unit's place in [0, 1), and who owns which part of it."""

from __future__ import annotations

from hashlib import sha256
from math import inf
from typing import TYPE_CHECKING, Literal

from growth.errors import DataError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "SEPARATOR",
    "bucket_of",
    "bucket_ranges",
    "fnv1a_32",
    "growthbook_place",
    "place",
]

SEPARATOR = "\x1f"  # U+001F, which no id contains
HEX_DIGITS = 13  # 52 bits: exact in a double, and the same in SQL


def place(unit: str, *, salt: str, layer: str = "default") -> float:
    """Return a unit's place in [0, 1).

    Parameters
    ----------
    unit : str
        The unit's id, any characters.
    salt : str
        The experiment's salt; another salt gives an independent place.
    layer : str, default "default"
        The layer; another layer gives an independent place.

    Returns
    -------
    float
        The first 13 hex digits of ``sha256(layer + U+001F + salt + U+001F +
        unit)`` in UTF-8, over 2**52: exact in a double.

    Raises
    ------
    DataError
        If a part contains the separator U+001F (``separator_in_id``).

    Examples
    --------
    >>> place("u1", salt="exp-42")
    0.6878139833827364
    """
    text = f"{layer}{SEPARATOR}{salt}{SEPARATOR}{unit}"
    if text.count(SEPARATOR) != 2:
        msg = "unit, salt or layer contains U+001F; none may, it keeps them apart;"
        raise DataError(f"{msg} clean the ids.", code="separator_in_id")
    return int(sha256(text.encode()).hexdigest()[:HEX_DIGITS], 16) / 2**52


def fnv1a_32(text: str) -> int:
    """Return the FNV-1a hash of an ASCII text, 32 bits.

    Parameters
    ----------
    text : str
        ASCII only.

    Returns
    -------
    int
        In [0, 2**32).

    Raises
    ------
    DataError
        If `text` holds other characters (``non_ascii_id``): implementations
        hash their code units differently.

    References
    ----------
    Fowler, Noll, Vo; RFC 9923.
    """
    if not text.isascii():
        msg = f"{text!r} is not ASCII; the growthbook scheme takes ASCII ids only; use"
        raise DataError(f"{msg} the default scheme.", code="non_ascii_id")
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def growthbook_place(value: str, *, seed: str, version: Literal[1, 2] = 2) -> float:
    """Return a unit's place as GrowthBook's SDKs compute it.

    Parameters
    ----------
    value : str
        The unit's id, ASCII.
    seed : str
        The experiment's seed, ASCII.
    version : {1, 2}
        2: ``fnv(str(fnv(seed + value))) % 10000 / 10000``; 1: ``fnv(value +
        seed) % 1000 / 1000``.

    Returns
    -------
    float
        In [0, 1), in steps of 0.0001 (0.001).

    Raises
    ------
    DataError
        If a text is not ASCII (``non_ascii_id``).
    ParameterError
        If `version` is neither 1 nor 2 (``unknown_version``).

    Examples
    --------
    >>> growthbook_place("ab", seed="foo")
    0.2575
    """
    match version:
        case 2:
            return fnv1a_32(str(fnv1a_32(seed + value))) % 10_000 / 10_000
        case 1:
            return fnv1a_32(value + seed) % 1_000 / 1_000
    msg = f"version is {version}; it must be 1 or 2; name GrowthBook's hash version."
    raise ParameterError(msg, code="unknown_version")


def bucket_ranges(
    weights: Sequence[float], *, coverage: float = 1.0
) -> tuple[tuple[float, float], ...]:
    """Return each arm's part of [0, 1).

    Parameters
    ----------
    weights : sequence of float
        Weights in any scale, 0 or more, not all 0.
    coverage : float, default 1
        Share of units taken into the experiment, in [0, 1].

    Returns
    -------
    tuple of (float, float)
        Half-open ``[W, W + coverage * w)`` per arm, W the weights before it:
        raising the coverage moves nobody.

    Raises
    ------
    ParameterError
        If a weight is unusable (``bad_weights``) or `coverage` is outside
        [0, 1] (``coverage_out_of_range``).

    Examples
    --------
    >>> bucket_ranges([1, 1], coverage=0.5)
    ((0.0, 0.25), (0.5, 0.75))
    """
    total = sum(weights)
    if not 0 < total < inf or not all(w >= 0 for w in weights):
        msg = f"weights are {list(weights)}; they must be 0 or more and not all 0;"
        raise ParameterError(f"{msg} correct the plan.", code="bad_weights")
    if not 0 <= coverage <= 1:
        msg = f"coverage is {coverage}; it must be in [0, 1]; write 20% as 0.2."
        raise ParameterError(msg, code="coverage_out_of_range")
    ranges, before = [], 0.0
    for weight in weights:
        start = before / total
        ranges.append((start, start + coverage * (weight / total)))
        before += weight
    if coverage == 1:  # no gap between arms, whatever rounding did
        ends = [low for low, _ in ranges[1:]] + [1.0]
        ranges = [(low, end) for (low, _), end in zip(ranges, ends, strict=True)]
    return tuple(ranges)


def bucket_of(at: float, ranges: Sequence[tuple[float, float]]) -> int | None:
    """Return which range holds a place; None if none does.

    Parameters
    ----------
    at : float
        A place in [0, 1).
    ranges : sequence of (float, float)
        Half-open ranges.

    Returns
    -------
    int or None
        Index of the first range with ``low <= at < high``.
    """
    return next((i for i, (low, high) in enumerate(ranges) if low <= at < high), None)
