"""Random numbers that are a function of who, when and what: no sequence, no state.

A draw is keyed by (seed, replication, member, day, stream). One extra draw shifts no
other, so two programmes run on the same chances and differ by their rules alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Words = NDArray[np.uint64]

__all__ = ["G", "draw", "key", "mix", "signed", "uniform"]

G: Final = 0x9E3779B97F4A7C15
MASK: Final = (1 << 64) - 1
M1: Final = 0xBF58476D1CE4E5B9
M2: Final = 0x94D049BB133111EB
STREAMS: Final = 64

# numbered once, below 64, never used again for something else
(
    WAIT,  # days to the next candidate
    THIN,  # whether the candidate buys
    BUY,  # daily engine: whether the day has an order
    AMOUNT,
    LEAVE,
    REDEEM,
    REVIEW,
    REFUND,
    REFUND_DAY,
    LOGIN_WAIT,
    LOGIN,
    ALIVE,
    RATE,  # and the next: attempts of a gamma draw
    RATE_NORMAL,
    RATE_SMALL,
    DROP_A,
    DROP_A_NORMAL,
    DROP_A_SMALL,
    DROP_B,
    DROP_B_NORMAL,
    DROP_B_SMALL,
    SPEND,
    SPEND_NORMAL,
    SPEND_SMALL,
    DONOR,
    ARRIVAL,
    INVITES,
    PARAMETERS,
    SAMPLE,
    GROUPS,
) = range(30)


def mix(z: ArrayLike) -> Words:
    """Return the SplitMix64 finaliser of 64-bit words.

    Parameters
    ----------
    z : array of uint64
        Words.

    Returns
    -------
    ndarray of uint64
        One a word.
    """
    w = np.atleast_1d(np.asarray(z, dtype=np.uint64))
    w = (w ^ (w >> np.uint64(30))) * np.uint64(M1)
    w = (w ^ (w >> np.uint64(27))) * np.uint64(M2)
    return w ^ (w >> np.uint64(31))


def _word(value: ArrayLike) -> Words:
    """Return integers of either sign modulo 2**64."""
    return np.atleast_1d(np.asarray(value)).astype(np.int64).astype(np.uint64)


def key(seed: int, replication: int, members: ArrayLike) -> Words:
    """Return the key of each member in one replication.

    Parameters
    ----------
    seed : int
        0 or more; taken modulo 2**64.
    replication : int
        0 or more.
    members : array of int
        Members' numbers, 0 or more.

    Returns
    -------
    ndarray of uint64
        One a member.
    """
    h = mix(np.array([(seed + G) & MASK], dtype=np.uint64))
    h = mix(h + np.uint64((replication + 1) * G & MASK))
    return mix(h + (_word(members) + np.uint64(1)) * np.uint64(G))


def signed(seed: int) -> int:
    """Return a seed modulo 2**64, as the kernels take it: the same bits, signed.

    Parameters
    ----------
    seed : int
        0 or more.

    Returns
    -------
    int
        From -2**63 to 2**63 - 1; the seed itself where it is less than 2**63.

    Examples
    --------
    >>> signed(7), signed(2**64 + 7), signed(2**64 - 1)
    (7, 7, -1)
    """
    sign = 1 << 63
    return ((seed & MASK) ^ sign) - sign


def draw(keys: ArrayLike, day: ArrayLike, stream: int) -> Words:
    """Return the 64-bit draw of each key on a day in a stream.

    Parameters
    ----------
    keys : array of uint64
        From `key`.
    day : int or array of int
        Day, or any other counter.
    stream : int
        0 to 63: what the draw is for.

    Returns
    -------
    ndarray of uint64
        One a key.
    """
    at = _word(day) * np.uint64(STREAMS) + np.uint64(stream + 1)
    return mix(np.asarray(keys, dtype=np.uint64) + at * np.uint64(G))


def uniform(words: ArrayLike) -> NDArray[np.float64]:
    """Return draws as numbers in [0, 1), of 53 bits.

    Parameters
    ----------
    words : array of uint64
        From `draw`.

    Returns
    -------
    ndarray of float
        One a draw.
    """
    return (np.asarray(words, dtype=np.uint64) >> np.uint64(11)).astype(
        float
    ) * 2.0**-53
