"""Arguments that many verbs take, read and refused in one way."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

import numpy as np

from growth.errors import ParameterError

__all__ = ["generator", "names_of", "whole"]


def whole(
    value: object,
    name: str,
    *,
    least: int,
    most: int | None = None,
    code: str = "range",
    remedy: str = "change it",
) -> int:
    """Return a whole number that lies where it may.

    Parameters
    ----------
    value : int
        What the caller gave; a NumPy integer or ``3.0`` is as good, a truth value
        is not.
    name : str
        The argument, for the message.
    least, most : int
        The ends of what is right, both included; no upper one if omitted.
    code : str, default "range"
        Of the error.
    remedy : str, default "change it"
        What the caller should do, for the message.

    Returns
    -------
    int
        The number.

    Raises
    ------
    ParameterError
        If it is no whole number, or out of range.

    Examples
    --------
    >>> whole(30, "horizon", least=1)
    30
    """
    number = isinstance(value, int | float | np.integer | np.floating)
    if number and not isinstance(value, bool) and isfinite(value):  # type: ignore[arg-type]
        found: int = int(value)  # type: ignore[call-overload]
        if found == value and least <= found and (most is None or found <= most):
            return found
    ends = f"{least} or more" if most is None else f"in {least}..{most}"
    msg = f"{name} is {value!r}; it must be a whole number, {ends}; {remedy}."
    raise ParameterError(msg, code=code)


def generator(seed: object) -> np.random.Generator:
    """Return NumPy's generator of a seed, the same numbers each time.

    Parameters
    ----------
    seed : int
        0 or more.

    Returns
    -------
    numpy.random.Generator
        PCG64.

    Raises
    ------
    ParameterError
        If the seed is anything else (code ``bad_seed``); a run without one could not
        be repeated.
    """
    remedy = "pass any such number, and keep it"
    return np.random.default_rng(
        whole(seed, "seed", least=0, code="bad_seed", remedy=remedy)
    )


def names_of(given: str | Iterable[str] | None, name: str) -> tuple[str, ...]:
    """Return names given as one, as several, or as None for none.

    Parameters
    ----------
    given : str or iterable of str, optional
        What the caller wrote.
    name : str
        The argument, for the message.

    Returns
    -------
    tuple of str
        In the order given, with repeats; whether they are names of anything is for
        the caller to see.

    Raises
    ------
    ParameterError
        If it is neither one nor several (code ``bad_names``).

    Examples
    --------
    >>> names_of("scene", "by"), names_of(["scene", "variant"], "by")
    (('scene',), ('scene', 'variant'))
    """
    if given is None:
        return ()
    if isinstance(given, str):
        return (given,)
    if isinstance(given, Iterable):
        return tuple(given)
    msg = f"{name} is {given!r}; it must be a name or a list of names; correct it."
    raise ParameterError(msg, code="bad_names")
