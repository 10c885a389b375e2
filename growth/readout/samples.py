"""The sample merchant, where a notebook looks for it."""

from __future__ import annotations

import os
from pathlib import Path

from growth.readout.places import homes, located

__all__ = ["sample_data"]


def sample_data(location: str = "data/sample", *, users: int = 20_000) -> str:
    """Return where a sample merchant lies; write it first if there is none.

    Parameters
    ----------
    location : str, default "data/sample"
        A folder; a relative one counts from here, from where `growth lab` was
        started, or from the checkout.
    users : int, default 20_000
        People in it, 100 or more, if it is to be written.

    Returns
    -------
    str
        The folder, as `growth.open` takes it. One that is there is left as it is,
        whatever is in it.

    Raises
    ------
    ParameterError
        If `users` is out of range.
    """
    from growth import synth

    found = Path(located(location))
    if found.exists():
        return os.fspath(found)
    where = (homes() or (Path.cwd(),))[0] / location
    synth.sample(where, users=users)
    return os.fspath(where)
