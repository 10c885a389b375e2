"""Whether plain values are a readout's document: by the published schema, and sense.

The part of JSON Schema (2020-12) that `schema/readout-1.json` uses is read here, so
that what is published and what is accepted cannot part.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from math import inf, isfinite
from types import MappingProxyType
from typing import Any, Final

from growth.errors import Fault
from growth.readout.fields import MAX_INT

__all__ = ["faults_in", "schema"]

# columns that would carry a person into a document others read
_PERSONAL: Final = frozenset({
    "anonymous_id", "device_id", "email", "member_id", "mobile", "nickname",
    "openid", "phone", "unionid", "unit_id", "user_id",
})  # fmt: skip
_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)
}  # fmt: skip


@cache
def schema() -> Mapping[str, Any]:
    """Return the JSON Schema (2020-12) of the document."""
    text = files("growth.readout").joinpath("schema/readout-1.json").read_text("utf-8")
    return MappingProxyType(json.loads(text))


def faults_in(document: object) -> tuple[Fault, ...]:
    """Return every fault of a document's plain values, named by its path.

    Parameters
    ----------
    document : object
        What JSON gave, or is to hold.

    Returns
    -------
    tuple of Fault
        Code ``bad_document`` each; empty if it may be written and read.
    """
    faults = [*_unplain(document, "$")]
    if not faults:
        faults += _against(document, schema(), "$")
    if not faults and isinstance(document, Mapping):
        faults += _sense(document)
    return tuple(faults)


def _unplain(value: object, path: str) -> list[Fault]:
    """Find what JSON cannot hold, or would hold as something else."""
    kind = type(value)  # exactly: NumPy's float64 is a float, and is refused
    if kind in {str, bool, type(None)}:
        return []
    if kind is dict and isinstance(value, dict):
        odd = [
            _bad(f"{path}.{k!r}", "a key", "text") for k in value if type(k) is not str
        ]
        return odd + [f for k, v in value.items() for f in _unplain(v, f"{path}.{k}")]
    if kind is list and isinstance(value, list):
        return [f for i, v in enumerate(value) for f in _unplain(v, f"{path}[{i}]")]
    if kind is int and isinstance(value, int):
        if abs(value) > MAX_INT:
            return [_bad(path, str(value), f"a whole number up to {MAX_INT}")]
        return []
    if kind is float and isinstance(value, float):
        if not isfinite(value):
            return [_bad(path, str(value), "finite, or null with a notice")]
        return []
    return [_bad(path, f"a {kind.__module__}.{kind.__name__}", "a plain value")]


_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,), "array": (list,), "string": (str,), "boolean": (bool,),
    "null": (type(None),), "integer": (int,), "number": (int, float),
}  # fmt: skip


def _against(value: object, rule: Mapping[str, Any], path: str) -> list[Fault]:
    """Check plain values against the part of JSON Schema that our schema uses."""
    if ref := rule.get("$ref"):
        return _against(value, schema()["$defs"][ref.rpartition("/")[2]], path)
    wanted = rule.get("type", [])
    names = [wanted] if isinstance(wanted, str) else wanted
    if names and not any(type(value) in _TYPES[name] for name in names):
        return [_bad(path, f"a {type(value).__name__}", " or ".join(names))]
    if "enum" in rule and value not in rule["enum"]:
        return [_bad(path, repr(value), f"one of {rule['enum']}")]
    match value:
        case str():
            return _text_faults(value, rule, path)
        case int() | float() if not isinstance(value, bool):
            return _number_faults(value, rule, path)
        case list():
            item = rule.get("items", {})
            inner = (_against(v, item, f"{path}[{i}]") for i, v in enumerate(value))
            return [fault for faults in inner for fault in faults]
        case dict():
            return _object_faults(value, rule, path)
    return []


def _text_faults(text: str, rule: Mapping[str, Any], path: str) -> list[Fault]:
    low, high = rule.get("minLength", 0), rule.get("maxLength", len(text))
    if not low <= len(text) <= high:
        seen = f"{len(text)} characters long"
        return [_bad(path, seen, f"of {low} to {max(low, high)} characters")]
    if "pattern" in rule and not re.search(rule["pattern"], text):
        return [_bad(path, repr(text[:80]), f"like {rule['pattern']}")]
    return []


def _number_faults(value: float, rule: Mapping[str, Any], path: str) -> list[Fault]:
    holds = {
        "minimum": value >= rule.get("minimum", value),
        "maximum": value <= rule.get("maximum", value),
        "exclusiveMinimum": value > rule.get("exclusiveMinimum", -inf),
        "exclusiveMaximum": value < rule.get("exclusiveMaximum", inf),
    }
    broken = [name for name, held in holds.items() if not held]
    return [_bad(path, str(value), f"within {n} {rule[n]}") for n in broken]


def _object_faults(
    value: Mapping[str, object], rule: Mapping[str, Any], path: str
) -> list[Fault]:
    faults = [
        _bad(f"{path}.{name}", "missing", "there")
        for name in rule.get("required", ())
        if name not in value
    ]
    known, other = rule.get("properties", {}), rule.get("additionalProperties")
    for name, inner in value.items():
        if part := known.get(name, other):
            faults += _against(inner, part, f"{path}.{name}")
    return faults


def _sense(document: Mapping[str, Any]) -> list[Fault]:
    """Find what a schema cannot say: order of ends, shape of rows, twins, people."""
    faults: list[Fault] = []
    try:
        date.fromisoformat(document["as_of"])
    except ValueError:
        faults.append(_bad("$.as_of", document["as_of"], "a date"))
    for i, item in enumerate(document["estimates"]):
        ends = [v for v in (item["lo"], item["value"], item["hi"]) if v is not None]
        if ends != sorted(ends):
            faults.append(_bad(f"$.estimates[{i}]", str(ends), "lo <= value <= hi"))
    for i, table in enumerate(document["tables"]):
        faults += _table_faults(table, f"$.tables[{i}]")
    names = {
        "estimates": [
            (e["key"], *sorted(e["by"].items())) for e in document["estimates"]
        ],
        "tables": [table["key"] for table in document["tables"]],
        "charts": [chart["key"] for chart in document["charts"]],
    }
    for what, keys in names.items():
        twins = sorted(str(key) for key, times in Counter(keys).items() if times > 1)
        if twins:
            faults.append(_bad(f"$.{what}", f"twice {', '.join(twins)}", "told apart"))
    return faults


def _table_faults(table: Mapping[str, Any], path: str) -> list[Fault]:
    columns = table["columns"]
    faults: list[Fault] = []
    for column in columns:
        if column["key"].lower() in _PERSONAL:
            want = "without a column that names people; count them instead"
            faults.append(_bad(f"{path}.columns", column["key"], want))
    for i, row in enumerate(table["rows"]):
        if len(row) != len(columns):
            seen = f"{len(row)} cells long"
            faults.append(_bad(f"{path}.rows[{i}]", seen, f"{len(columns)} cells long"))
            continue
        for j, (value, column) in enumerate(zip(row, columns, strict=True)):
            if value is not None and type(value) not in _KINDS[column["type"]]:
                faults.append(
                    _bad(f"{path}.rows[{i}][{j}]", repr(value), column["type"])
                )
    return faults


def _bad(path: str, seen: str, expected: str) -> Fault:
    return Fault("bad_document", path, seen, expected, "Correct what was published.")
