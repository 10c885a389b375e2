"""Raw ids into pseudonyms: keyed hashes, the key only ever in the environment."""

from __future__ import annotations

import hmac
import os
from typing import TYPE_CHECKING, Final

from growth.errors import ParameterError, SecretMissingError, suggest

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KINDS", "key_fingerprint", "pseudonym", "pseudonymiser"]

KINDS: Final = ("openid", "unionid", "login", "device", "group", "transaction")
_VARIABLE = "GROWTH_ID_KEY"
_MIN_KEY_BYTES = 32
_HEX = 32


def pseudonym(raw: str, *, kind: str, scope: str = "-") -> str:
    """Return the pseudonym of a raw id.

    Parameters
    ----------
    raw : str
        The id as its source gives it, one character or more.
    kind : {"openid", "unionid", "login", "device", "group", "transaction"}
        What the id is; the same text of another kind is another person.
    scope : str, default "-"
        Where the id holds: the appid for an openid, ``-`` for the others.

    Returns
    -------
    str
        32 hexadecimal characters. Still personal information: it can be linked.

    Raises
    ------
    SecretMissingError
        If the environment's ``GROWTH_ID_KEY`` is missing or under 32 bytes.
    ParameterError
        If the kind is unknown (code ``unknown_id_kind``), the id is empty or the
        scope holds a ``|`` (code ``bad_id``).

    Notes
    -----
    First 32 hexadecimal characters of HMAC-SHA256(key, ``kind|scope|raw``), UTF-8.
    """
    if not isinstance(raw, str) or not raw:
        msg = f"raw is of length {len(str(raw))} and type {type(raw).__name__}; it must"
        raise ParameterError(
            f"{msg} be text of 1 or more; leave it out.", code="bad_id"
        )
    return pseudonymiser(kind)(raw, scope)


def pseudonymiser(kind: str) -> Callable[[str, str], str]:
    """Return a function from (raw id, scope) to pseudonym; the key is read once.

    Parameters
    ----------
    kind : str
        As in `pseudonym`.

    Returns
    -------
    callable
        Holds the key; it shows nothing of it.

    Raises
    ------
    SecretMissingError, ParameterError
        As in `pseudonym`.
    """
    if kind not in KINDS:
        msg = f"kind is {kind!r}; it must be one of {list(KINDS)}; choose one."
        raise ParameterError(msg + suggest(kind, KINDS), code="unknown_id_kind")
    key = _key()
    head = f"{kind}|"

    def make(raw: str, scope: str) -> str:
        if "|" in scope or not scope:
            msg = f"scope is {scope!r}; it must be an appid or '-'; correct it."
            raise ParameterError(msg, code="bad_id")
        message = f"{head}{scope}|{raw}".encode()
        return hmac.digest(key, message, "sha256").hex()[:_HEX]

    return make


def key_fingerprint() -> str:
    """Return 16 characters that change with the key and do not tell it.

    Returns
    -------
    str
        Empty where no usable key is set; what was loaded under another key then
        is not taken for the same.
    """
    try:
        key = _key()
    except SecretMissingError:
        return ""
    return hmac.digest(key, b"growth cache", "sha256").hex()[:16]


def _key() -> bytes:
    key = os.environ.get(_VARIABLE, "").encode("utf-8", "surrogateescape")
    if len(key) < _MIN_KEY_BYTES:
        seen = f"of {len(key)} bytes" if key else "not set"
        msg = (
            f"the environment variable {_VARIABLE} is {seen}; it must hold a secret of "
            f"{_MIN_KEY_BYTES} bytes or more; make one with `openssl rand -hex 32`, "
            "keep it where secrets are kept, and export it."
        )
        raise SecretMissingError(msg)
    return key
