"""Readouts of one's own: a declaration somewhere, a notebook beside it."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from growth.errors import ParameterError
from growth.readout import catalog
from growth.readout.params import declaration_of

if TYPE_CHECKING:
    from growth.readout.params import Declaration

__all__ = ["address", "declared", "notebook_of"]


def declared(name: str, declaration: str = "") -> Declaration:
    """Return a readout's declaration, of ours or of one's own.

    Parameters
    ----------
    name : str
        The readout's name.
    declaration : str, optional
        Of one's own: ``package.module:Class``, found on the path or in the current
        folder.

    Returns
    -------
    Declaration
        Name, subject, deadline and parameters.

    Raises
    ------
    ParameterError
        If there is no such readout (code ``unknown_readout``).
    """
    if not declaration:
        return catalog.get(name)
    module, _, inner = declaration.partition(":")
    here = os.getcwd()
    if here not in sys.path:  # last, so that it shadows nothing
        sys.path.append(here)
    try:
        return declaration_of(getattr(importlib.import_module(module), inner))
    except (ImportError, AttributeError, ValueError) as error:
        msg = f"{declaration!r} cannot be imported ({error}); it must be like"
        msg = f"{msg} package.module:Class; correct it or set PYTHONPATH."
        raise ParameterError(msg, code="unknown_readout") from error


def address(params: object) -> tuple[str, str]:
    """Return where a readout's declaration and notebook are, as `run` takes them.

    Parameters
    ----------
    params : object
        An instance of a readout's parameters.

    Returns
    -------
    declaration, notebook : str
        ``package.module:Class``, and ``<name>.ipynb`` beside that module; both
        empty for a readout of ours.

    Raises
    ------
    ParameterError
        If the class was declared in a notebook or a console, where no other process
        finds it (code ``declared_in_notebook``).
    """
    made = declaration_of(params)
    if made.name in catalog.names() and catalog.get(made.name).cls is made.cls:
        return "", ""
    module = made.cls.__module__
    if module == "__main__":
        msg = f"{made.cls.__name__} is declared in a notebook, where another process"
        msg = f"{msg} does not find it; it must be in a module; write it to a file"
        msg = f"{msg} beside the notebook and import it."
        raise ParameterError(msg, code="declared_in_notebook")
    notebook, here = notebook_of(made), Path.cwd()
    if notebook.is_relative_to(here):
        notebook = notebook.relative_to(here)
    return f"{module}:{made.cls.__qualname__}", str(notebook)


def notebook_of(declaration: Declaration) -> Path:
    """Return where the notebook of a readout of one's own is looked for.

    Parameters
    ----------
    declaration : Declaration
        Its declaration.

    Returns
    -------
    pathlib.Path
        ``<name>.ipynb`` beside the module that declares it.
    """
    module = sys.modules.get(declaration.cls.__module__)
    file = getattr(module, "__file__", None) or ""
    return (
        Path(file).with_name(f"{declaration.name}.ipynb")
        if file
        else Path(f"{declaration.name}.ipynb")
    )
