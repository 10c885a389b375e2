"""Imports without what others bring along and no run asks for.

nbformat brings jsonschema, and that a checker of international addresses, which
compiles a grammar when it is imported: more than all the rest of a run's imports
together, for a format that no notebook's schema names. papermill brings Arrow and
NumPy for files in Hadoop.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["spared"]

_GRAMMAR: Final = "rfc3987_syntax"


@contextmanager
def spared(*absent: str) -> Iterator[None]:
    """Let what is imported inside put off the grammar of addresses.

    A checker that got hold of it inside compiles it when it is first asked, and
    answers the same; whoever imports the grammar afterwards gets it at once.

    Parameters
    ----------
    *absent : str
        Modules that are not to be found inside, unless they are loaded already: for
        a process that imports one thing at a time, and whose libraries can do
        without.
    """
    held: dict[str, ModuleType | None] = dict.fromkeys(absent)
    if _GRAMMAR not in sys.modules and find_spec(_GRAMMAR):
        held[_GRAMMAR] = _later(_GRAMMAR)
    ours = {name: held[name] for name in held.keys() - sys.modules.keys()}
    for name, module in ours.items():
        sys.modules[name] = module  # type: ignore[assignment]
    try:
        yield
    finally:
        for name, module in ours.items():
            if sys.modules.get(name, ours) is module:
                del sys.modules[name]


def _later(name: str) -> ModuleType:
    """Return a module that stands for another until something of it is called."""
    stand_in = ModuleType(name)

    def is_valid_syntax(*asked: str) -> Any:  # noqa: ANN401
        return whole("is_valid_syntax")(*asked)

    def whole(wanted: str) -> Any:  # noqa: ANN401
        if wanted.startswith("__"):  # the import itself looks for these
            raise AttributeError(wanted)
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
        return getattr(import_module(name), wanted)

    vars(stand_in).update(is_valid_syntax=is_valid_syntax, __getattr__=whole)
    return stand_in
