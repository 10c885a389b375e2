"""One line for each list that leaves, each share, each replacement; never an id."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from growth.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["append_audit", "need_purpose", "read_audit"]

FILE = "audit.jsonl"


def need_purpose(purpose: object) -> str:
    """Return the purpose, which must be said.

    Parameters
    ----------
    purpose : str
        What a list is for.

    Returns
    -------
    str
        The same.

    Raises
    ------
    ParameterError
        If it is empty (code ``purpose_missing``).
    """
    if not isinstance(purpose, str) or not purpose.strip():
        msg = f"purpose is {purpose!r}; it must say what this is for: it goes to the"
        raise ParameterError(f"{msg} audit; write it.", code="purpose_missing")
    return purpose


def append_audit(
    root: str | os.PathLike[str],
    *,
    verb: str,
    purpose: str,
    rows: int,
    columns: Sequence[str],
    rule_hashes: Mapping[str, str],
    hidden: int = 0,
    run: str = "",
    **more: Any,  # noqa: ANN401
) -> Path:
    """Append one line to the audit.

    Parameters
    ----------
    root : path
        Folder of the audit.
    verb : str
        ``export``, ``share`` or ``replace``.
    purpose : str
        What it is for.
    rows, hidden : int
        Rows that left, and numbers hidden.
    columns : sequence of str
        Columns that left.
    rule_hashes : mapping of str to str
        By tag.
    run : str, default ""
        Which run did it.
    **more
        Further plain values: recipient, expiry.

    Returns
    -------
    Path
        The file. One write of one line, so that lines of two processes never mix.

    Raises
    ------
    ParameterError
        If there is no purpose (code ``purpose_missing``).
    """
    line = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "run": run,
        "verb": verb,
        "purpose": need_purpose(purpose),
        "rows": rows,
        "hidden": hidden,
        "columns": list(columns),
        "rule_hashes": dict(rule_hashes),
        **more,
    }
    path = Path(root) / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)
    return path


def read_audit(root: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the lines of an audit, oldest first.

    Parameters
    ----------
    root : path
        Folder of the audit.

    Returns
    -------
    list of dict
        Empty where nothing left yet.
    """
    path = Path(root) / FILE
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
