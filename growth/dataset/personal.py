"""What looks personal: names of columns, and values that look like raw ids."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["looks_like_id", "looks_personal", "mask_value"]

SEEN_CHARS: Final = 80

# whole words of a name, once it is cut at case changes and punctuation
_WORDS = re.compile(
    "phones?|mobile|tel|telephone|e?mail|addr|address(es)?|ip|ipv4|ipv6|idcard|passport"
    "|nickname|avatar|surname|realname|fullname|birthday|birthdate|receiver|recipient"
    "|consignee|contact|openid|unionid|ssid|latitude|longitude|identity|idfa|imei|oaid"
)
# whole names
_NAMES = re.compile("((user|real|full|nick|first|last)_)?name|id_card|user_unique_id")
_CHINESE = (
    *("手机", "电话", "姓名", "收货", "收件", "联系人", "地址", "身份证", "邮箱"),
    *("昵称", "头像", "生日", "微信号", "真实名", "护照", "银行卡"),
)
_CUT = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9\u4e00-\u9fff]+")
_OPENID = re.compile(r"o[\w-]{27}", re.ASCII)
_MOBILE = re.compile(r"(?:\+?86)?1[3-9]\d{9}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}")


def looks_personal(name: str) -> bool:
    """Return whether a column of this name is likely to tell who somebody is.

    Parameters
    ----------
    name : str
        A column's name, or the dotted path of a value; its last part counts.

    Returns
    -------
    bool
        Errs on the side of True.

    Examples
    --------
    >>> [looks_personal(n) for n in ("手机号", "clientIp", "page_name", "门店")]
    [True, True, False, False]
    """
    last = name.rpartition(".")[2]
    words = _CUT.sub(" ", last).lower().split()
    return (
        any(part in last for part in _CHINESE)
        or _NAMES.fullmatch("_".join(words)) is not None
        or any(_WORDS.fullmatch(word) for word in words)
    )


def looks_like_id(value: str) -> bool:
    """Return whether a value looks like an openid or a mobile number.

    Parameters
    ----------
    value : str
        Any text.

    Returns
    -------
    bool
        True for 28 characters that begin with ``o``, or a mainland mobile number.
    """
    return bool(_OPENID.fullmatch(value) or _MOBILE.fullmatch(value))


def mask_value(value: object, *, personal: bool = False) -> str:
    """Return how a rejected value is shown.

    Parameters
    ----------
    value : object
        The value seen; None is shown as nothing.
    personal : bool, default False
        Whether its column holds ids or personal data.

    Returns
    -------
    str
        At most 80 characters; only the length where it may tell who somebody is.
    """
    if value is None:
        return ""
    text = str(value)
    if text and (personal or looks_like_id(text) or _EMAIL.search(text)):
        return f"masked, {len(text)} characters"
    # bytes that are no text are shown as escapes
    return text[:SEEN_CHARS].encode("utf-8", "backslashreplace").decode()[:SEEN_CHARS]
