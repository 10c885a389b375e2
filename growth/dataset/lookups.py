"""Small lookup tables that come with the package, and what they say of a scene."""

from __future__ import annotations

import csv
from functools import cache
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from growth.errors import ParameterError, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["entry_group", "reference", "scenes"]

_PACKAGE = Path(__file__).resolve().parent.parent


def _folder() -> Path:
    """Return the reference folder: in a wheel, else in a checkout."""
    wheel = _PACKAGE / "_data" / "reference"
    return wheel if wheel.is_dir() else _PACKAGE.parent / "data" / "reference"


@cache
def reference(name: str) -> tuple[Mapping[str, str], ...]:
    """Return a lookup table that comes with the package.

    Parameters
    ----------
    name : str
        Its file name, with or without ``.csv``: ``wechat_scenes``,
        ``wechat_datacube_source_keys``, ``channel_costs``,
        ``industry_benchmarks``, ``vitals_thresholds``.

    Returns
    -------
    tuple of mapping of str to str
        One read-only mapping a row; every value as it stands in the file.

    Raises
    ------
    ParameterError
        If there is no such table (code ``unknown_reference``).

    Examples
    --------
    >>> reference("wechat_scenes")[0]["entry_group"]
    'x_other'
    """
    folder = _folder()
    stem = name.removesuffix(".csv")
    known = sorted(path.stem for path in folder.glob("*.csv"))
    if stem not in known:
        msg = f"reference table is {name!r}; it must be one of {known}; name one."
        raise ParameterError(msg + suggest(stem, known), code="unknown_reference")
    text = (folder / f"{stem}.csv").read_text(encoding="utf-8-sig")
    return tuple(MappingProxyType(row) for row in csv.DictReader(StringIO(text)))


@cache
def scenes() -> Mapping[int, Mapping[str, str]]:
    """Return the known WeChat scenes, by number.

    Returns
    -------
    mapping of int to mapping of str to str
        ``name_zh``, ``name_en``, ``entry_group``, ``excluded_as`` and the rest.
    """
    return MappingProxyType({int(r["scene"]): r for r in reference("wechat_scenes")})


def entry_group(scene: int | None) -> str | None:
    """Return the entrance group of a WeChat scene.

    Parameters
    ----------
    scene : int or None
        The scene value; None where it was not recorded.

    Returns
    -------
    str or None
        The group; ``x_other`` for a scene not listed yet; None for None.

    Examples
    --------
    >>> entry_group(1007), entry_group(9999), entry_group(None)
    ('chat_share', 'x_other', None)
    """
    if scene is None:
        return None
    row = scenes().get(scene)
    return row["entry_group"] if row else "x_other"
