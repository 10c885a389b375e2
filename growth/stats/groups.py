"""Who hangs together: connected groups from pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from growth.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["connected_groups"]


def connected_groups(left: Sequence[str], right: Sequence[str]) -> dict[str, str]:
    """Return the group of every name, names in a pair being of one group.

    Parameters
    ----------
    left, right : sequence of str
        Names of the pairs, as many on either side; order and repeats do not matter.

    Returns
    -------
    dict of str to str
        Every name, with the first in order of its group's names.

    Raises
    ------
    DataError
        If one side is longer (code ``length_mismatch``).

    Notes
    -----
    The connected components of the undirected graph: near-linear in the pairs.

    Examples
    --------
    >>> connected_groups(["b", "c", "x"], ["a", "b", "y"])
    {'a': 'a', 'b': 'a', 'c': 'a', 'x': 'x', 'y': 'x'}
    """
    if len(left) != len(right):
        msg = f"{len(left)} names are paired with {len(right)}; each needs a partner;"
        raise DataError(f"{msg} give both sides.", code="length_mismatch")
    if not len(left):
        return {}
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names, at = np.unique([*left, *right], return_inverse=True)
    n, k = len(names), len(left)
    graph = coo_array((np.ones(k, np.int8), (at[:k], at[k:])), shape=(n, n))
    _, label = connected_components(graph, directed=False)
    _, first = np.unique(label, return_index=True)  # names are in order: the first one
    return dict(zip(names.tolist(), names[first[label]].tolist(), strict=True))
