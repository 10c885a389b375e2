"""Gauss-Legendre nodes, fast enough to ask for many."""

from __future__ import annotations

from functools import lru_cache
from math import pi
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["gauss_legendre"]

ROUNDS = 8
SETTLED = 1e-15


def gauss_legendre(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return nodes and weights of Gauss-Legendre quadrature on [0, 1].

    Parameters
    ----------
    count : int
        Nodes wanted, 1 or more; rounded up to a multiple of 16, so that few sets
        are ever computed.

    Returns
    -------
    tuple of ndarray
        Nodes, rising, and weights, which sum to 1. Read-only.

    Notes
    -----
    Newton's iteration on the Legendre recurrence from Tricomi's first guess:
    quadratic in `count`, where an eigenvalue solver is cubic.
    """
    return _nodes(-(-count // 16) * 16)


@lru_cache(maxsize=128)
def _nodes(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    k = np.arange(1, count // 2 + 1)
    x = (1 - (count - 1) / (8 * count**3)) * np.cos(pi * (4 * k - 1) / (4 * count + 2))
    for _ in range(ROUNDS):
        value, slope = _legendre(count, x)
        step = value / slope
        x = x - step
        if np.max(np.abs(step)) < SETTLED:
            break
    _, slope = _legendre(count, x)
    weight = 1 / ((1 - x * x) * slope * slope)
    nodes = np.concatenate(((1 - x) / 2, (1 + x[::-1]) / 2))
    weights = np.concatenate((weight, weight[::-1]))
    for part in (nodes, weights):
        part.flags.writeable = False
    return nodes, weights


def _legendre(
    count: int, x: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the Legendre polynomial of degree `count` and its slope."""
    before, now = np.ones_like(x), x
    for n in range(2, count + 1):
        before, now = now, ((2 * n - 1) * x * now - (n - 1) * before) / n
    return now, count * (x * now - before) / (x * x - 1)
