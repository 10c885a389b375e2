"""A readout's parameters as somebody hands them on: a command, or a file's entry."""

from __future__ import annotations

import json
import shlex
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from growth.errors import ParameterError, StoreError
from growth.readout.own import address
from growth.readout.params import declaration_of
from growth.readout.store import write_file

if TYPE_CHECKING:
    import os

__all__ = ["add_entry", "command", "entry"]


def command(params: object) -> str:
    """Return the command that runs a readout with these parameters.

    Parameters
    ----------
    params : object
        An instance of a readout's parameters.

    Returns
    -------
    str
        ``growth readout run NAME -p name=value ...``, quoted for a shell;
        parameters that are as declared are left out. A readout of one's own is
        named with its declaration and notebook.

    Raises
    ------
    ParameterError
        If no other process can find its declaration (code
        ``declared_in_notebook``).
    """
    declared = declaration_of(params)
    words = ["growth", "readout", "run", declared.name]
    declaration, notebook = address(params)
    if declaration:
        words += ["--declaration", declaration, "--notebook", notebook]
    for name, value in _said(params).items():
        text = str(value).lower() if isinstance(value, bool) else value
        words += ["-p", f"{name}={'' if text is None else text}"]
    return shlex.join(words)


def entry(params: object) -> str:
    """Return these parameters as an entry of ``readouts.toml``.

    Parameters
    ----------
    params : object
        An instance of a readout's parameters.

    Returns
    -------
    str
        One ``[[readout]]`` table; the day is left to who runs it.

    Raises
    ------
    ParameterError
        As `command`.
    """
    declared = declaration_of(params)
    held = ", ".join(
        f"{name} = {_toml(value)}"
        for name, value in _said(params).items()
        if name != "as_of" and value is not None
    )
    declaration, notebook = address(params)
    own = ""
    if declaration:
        own = f"declaration = {_toml(declaration)}\nnotebook = {_toml(notebook)}\n"
    return f'[[readout]]\nname = "{declared.name}"\n{own}params = {{ {held} }}\n'


def add_entry(params: object, path: str | os.PathLike[str] = "readouts.toml") -> bool:
    """Add these parameters to a configuration, unless they stand there already.

    Parameters
    ----------
    params : object
        An instance of a readout's parameters.
    path : path, default "readouts.toml"
        The file; made if there is none. What is in it stays as it is.

    Returns
    -------
    bool
        Whether something was added.

    Raises
    ------
    ParameterError
        If the file is no TOML (code ``bad_config``).
    StoreError
        If it cannot be written.
    """
    file = Path(path)
    ours = entry(params)
    (made,) = tomllib.loads(ours)["readout"]
    try:
        held = file.read_text("utf-8") if file.exists() else ""
        there = tomllib.loads(held).get("readout", [])
        if any(all(item.get(k) == v for k, v in made.items()) for item in there):
            return False
        gap = "" if not held else "\n" if held.endswith("\n") else "\n\n"
        write_file(file, f"{held}{gap}{ours}" if held else f"schema = 1\n\n{ours}")
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, AttributeError) as error:
        msg = f"{file} cannot be read: {error}; it must be a TOML file with [[readout]]"
        msg = f"{msg} tables; correct it, or name another."
        raise ParameterError(msg, code="bad_config") from error
    except OSError as error:
        msg = f"{file} cannot be written ({error.strerror or error}); it must be, to"
        raise StoreError(f"{msg} keep the entry; name another file.") from error
    return True


def _said(params: object) -> dict[str, str | int | float | bool | None]:
    """Return what differs from the declaration, in its order."""
    declared = declaration_of(params)
    plain = declared.plain(params)
    return {
        item.name: plain[item.name]
        for item in declared.fields
        if item.required or getattr(params, item.name) != item.default
    }


def _toml(value: str | float | bool) -> str:  # noqa: FBT001
    if isinstance(value, float):
        return repr(value)
    # what JSON escapes TOML escapes alike, but for this one
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
