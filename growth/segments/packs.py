"""Ready-made tags of a mini-program merchant, as TOML to be read, edited and kept."""

from __future__ import annotations

import re
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any, Final

from growth.errors import ParameterError, suggest
from growth.segments.validate import load_rules, rules_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from growth.segments.rules import Rules

__all__ = ["NAMES", "load", "rules", "tables"]

# provinces by their code of GB/T 2260
PROVINCES: Final = {
    "11": ("Beijing", "北京"), "12": ("Tianjin", "天津"), "13": ("Hebei", "河北"),
    "14": ("Shanxi", "山西"), "15": ("Inner Mongolia", "内蒙古"),
    "21": ("Liaoning", "辽宁"), "22": ("Jilin", "吉林"),
    "23": ("Heilongjiang", "黑龙江"),
    "31": ("Shanghai", "上海"), "32": ("Jiangsu", "江苏"), "33": ("Zhejiang", "浙江"),
    "34": ("Anhui", "安徽"), "35": ("Fujian", "福建"), "36": ("Jiangxi", "江西"),
    "37": ("Shandong", "山东"), "41": ("Henan", "河南"), "42": ("Hubei", "湖北"),
    "43": ("Hunan", "湖南"), "44": ("Guangdong", "广东"), "45": ("Guangxi", "广西"),
    "46": ("Hainan", "海南"), "50": ("Chongqing", "重庆"), "51": ("Sichuan", "四川"),
    "52": ("Guizhou", "贵州"), "53": ("Yunnan", "云南"), "54": ("Tibet", "西藏"),
    "61": ("Shaanxi", "陕西"), "62": ("Gansu", "甘肃"), "63": ("Qinghai", "青海"),
    "64": ("Ningxia", "宁夏"), "65": ("Xinjiang", "新疆"), "71": ("Taiwan", "台湾"),
    "81": ("Hong Kong", "香港"), "82": ("Macao", "澳门"),
}  # fmt: skip
REGIONS: Final = tuple(PROVINCES)
AGES: Final = ("18-24", "25-34", "35-44", "45+")
TZ: Final = "Asia/Shanghai"
# thresholds of each pack, with what they are if nothing is said
USUAL: Final[Mapping[str, Mapping[str, Any]]] = {
    "frequency": {"frequent_orders": 4, "active_days": 30, "long_days": 90},
    "order_value": {"days": 365, "bins": 5, "high_fen": None},
    "behaviour": {
        "cart_days": 3,
        "view_days": 7,
        "days": 30,
        "item_path": "pages/item/detail",
    },
    "persona": {
        "region_col": "region",
        "age_col": "age_band",
        "regions": REGIONS,
        "ages": AGES,
        "days": 365,
        "high_from": 9,
        "middle_from": 4,
    },
    "lifecycle": {"of": "events", "period": "month"},
    "rfm": {"cuts": "recompute"},
    "wake_up": {"p": 80, "alive": 0.5, "worth": 4},
    "reach": {"max_per_week": None},
}
NAMES: Final = tuple(USUAL)


def load(name: str, *, tz: str = TZ, **thresholds: Any) -> str:  # noqa: ANN401
    """Return one pack as TOML, ready for `growth.segments.load_rules`.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    tz : str, default "Asia/Shanghai"
        The zone whose midnights end a day.
    **thresholds
        What a pack is cut by. ``frequency``: `frequent_orders`, `active_days`,
        `long_days`. ``order_value``: `days`, `bins` (the top bin is high) or
        `high_fen`. ``behaviour``: `cart_days`, `view_days`, `days`, `item_path`.
        ``persona``: `region_col`, `age_col` (columns of ``members``), `regions`,
        `ages` (their values), `days`, `high_from`, `middle_from` (tenths of net
        order value). ``lifecycle``: `of`, `period`. ``rfm``: `cuts`. ``wake_up``:
        `p`, `alive`, `worth`. ``reach``: `max_per_week`.

    Returns
    -------
    str
        TOML.

    Raises
    ------
    ParameterError
        If there is no such pack (code ``unknown_pack``) or it has no such threshold
        (``unknown_threshold``).

    Examples
    --------
    >>> "ge = 6" in load("frequency", frequent_orders=6)
    True
    """
    if name not in USUAL:
        msg = f"pack is {name!r}; it must be one of {list(NAMES)}; name one."
        raise ParameterError(msg + suggest(name, NAMES), code="unknown_pack")
    usual = USUAL[name]
    for key in thresholds:
        if key not in usual:
            msg = f"{name} has no threshold {key!r}; it has {list(usual)}; name one."
            hint = suggest(key, usual)
            raise ParameterError(msg + hint, code="unknown_threshold")
    filled = {"tz": tz, **usual, **thresholds}
    match name:
        case "order_value":
            high, top = filled["high_fen"], filled["bins"]
            if high is None:
                filled["high"] = f'{{metric = "rank", eq = {top}}}'
            else:
                filled["high"] = f'{{metric = "per_order_fen", ge = {high}}}'
        case "persona":
            filled["region_values"] = _values("region", "r", filled["regions"])
            filled["age_values"] = _values("age", "a", filled["ages"])
        case "reach":
            cap = filled["max_per_week"]
            filled["cap"] = "" if cap is None else f", max_per_week = {cap}"
    path = files("growth.segments").joinpath("pack_files", f"{name}.toml")
    return Template(path.read_text("utf-8")).substitute(filled)


def rules(*names: str, tz: str = TZ, **thresholds: Any) -> Rules:  # noqa: ANN401
    """Return several packs as one set of rules.

    Parameters
    ----------
    *names : str
        Of `NAMES`; all but ``reach`` (which reads ``messages``) if omitted.
    tz : str, default "Asia/Shanghai"
        The zone of all their days.
    **thresholds
        As in `load`; each goes to the packs that have it.

    Returns
    -------
    Rules
        Checked.

    Raises
    ------
    ParameterError
        As `load`.

    Examples
    --------
    >>> rules("frequency", "rfm").names
    ('frequency', 'rfm')
    """
    asked = names or tuple(name for name in NAMES if name != "reach")
    known = {key for name in asked for key in USUAL.get(name, thresholds)}
    for key in thresholds:
        if key not in known:
            msg = f"none of {list(asked)} has a threshold {key!r}; they have"
            msg = f"{msg} {sorted(known)}; name one.{suggest(key, known)}"
            raise ParameterError(msg, code="unknown_threshold")
    parts = []
    for name in asked:
        own = {k: v for k, v in thresholds.items() if k in USUAL.get(name, {})}
        text = load(name, tz=tz, **own)
        columns = {"members": {}} if name != "persona" else _declared(own)
        parts.append(load_rules(text, columns=columns))
    extra = _declared(thresholds) if "persona" in asked else None
    return rules_of(*parts, columns=extra)


def tables(name: str) -> frozenset[str]:
    """Return the canonical tables that a pack reads.

    Parameters
    ----------
    name : str
        One of `NAMES`.

    Returns
    -------
    frozenset of str
        Without ``refunds``, which is read where there is one.

    Raises
    ------
    ParameterError
        If there is no such pack (code ``unknown_pack``).

    Examples
    --------
    >>> sorted(tables("behaviour"))
    ['events', 'orders']
    """
    named = (metric for tag in rules(name) for _, metric in tag.metrics)
    return frozenset(part.of for metric in named for part in metric.parts() if part.of)


def _declared(own: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the persona columns, which may be the merchant's own."""
    usual = USUAL["persona"]
    names = (own.get(key, usual[key]) for key in ("region_col", "age_col"))
    return {"members": dict.fromkeys(names, "text")}


def _values(tag: str, letter: str, words: Sequence[str]) -> str:
    """Return one value a word; anything else is unknown."""
    blocks = []
    for word in words:
        en, zh = PROVINCES.get(word, (word, word))
        plain = re.sub(r"[^a-z0-9]+", "_", word.lower().replace("+", "_up")).strip("_")
        blocks.append(
            f"[[tag.{tag}.value]]\n"
            f'name = "{letter}{plain}"\n'
            f'title = {{en = "{en}", zh = "{zh}"}}\n'
            f'when = {{metric = "{tag}", eq = "{word}"}}'
        )
    return "\n\n".join(blocks)
