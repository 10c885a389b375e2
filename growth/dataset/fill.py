"""Canonical columns from foreign ones: the specs of a mapping, applied to a chunk."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from growth.dataset.coded import Coded, constant, pair
from growth.dataset.personal import mask_value
from growth.dataset.pseudonyms import pseudonymiser
from growth.dataset.schema import arrow_type
from growth.dataset.transforms import (
    MONEY,
    TIMES,
    Noted,
    Unusable,
    coerce,
    make,
    plain_text,
    sha256_of,
)
from growth.dataset.validate import SHANGHAI
from growth.engine.days import zone
from growth.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa
    from numpy.typing import NDArray

    from growth.dataset.mapping import Filter, Spec, TableMapping
    from growth.dataset.readers import Chunk
    from growth.dataset.schema import Column

__all__ = ["Bad", "Filled", "Filler", "filtered"]


class Bad(NamedTuple):
    """Stands in place of a value that cannot be used."""

    reason: str


class Filled(NamedTuple):
    """One canonical column of a chunk.

    `values` are distinct (None is missing, `Bad` unusable), `codes` one index into
    it a row; `notes` holds per distinct value the remark on it, if any.
    """

    values: list[Any]
    codes: NDArray[np.int64]
    notes: list[str]
    kind: str

    def bad(self) -> dict[str, NDArray[np.bool_]]:
        """Return per reason which rows cannot be used."""
        reasons = {v.reason for v in self.values if isinstance(v, Bad)}
        return {
            reason: np.array([v == Bad(reason) for v in self.values])[self.codes]
            for reason in sorted(reasons)
        }

    def noted(self) -> dict[str, NDArray[np.bool_]]:
        """Return per remark which rows carry it."""
        codes = sorted({note for note in self.notes if note})
        return {
            code: np.array([note == code for note in self.notes])[self.codes]
            for code in codes
        }

    def arrow(self) -> pa.Array:
        """Return the column as Arrow; what cannot be used is NULL."""
        import pyarrow as pa

        values = [None if isinstance(v, Bad) else v for v in self.values]
        if self.kind == "any":
            distinct = pa.array(values)
        elif self.kind == "number":
            distinct = pa.array(values, pa.float64())
        elif self.kind == "instant":
            distinct = pa.array(values, pa.int64()).cast(arrow_type("instant"))
        else:
            distinct = pa.array(values, arrow_type(self.kind))  # type: ignore[arg-type]
        return distinct.take(pa.array(self.codes))

    def usable(self) -> Coded:
        """Return the column with what cannot be used as missing."""
        values = [None if isinstance(v, Bad) else v for v in self.values]
        return Coded(values, self.codes)


class Filler:
    """Fills one canonical column; made once a load.

    Parameters
    ----------
    column : Column or None
        The canonical column; None for a free one.
    name : str
        Its name.
    specs : tuple of Spec
        The ways to fill it; the first non-missing value wins.
    mapping : TableMapping
        Where the specs stand.
    """

    def __init__(
        self,
        column: Column | None,
        name: str,
        specs: tuple[Spec, ...],
        mapping: TableMapping,
    ) -> None:
        self.column = column
        self.name = name
        self.specs = specs
        self.kind = column.kind if column else _free_kind(name, specs, mapping)
        self._makers = [_maker(spec, mapping) for spec in specs]
        if self.kind == "date":
            self._makers = [
                _then_day(maker, mapping.tz or SHANGHAI)
                if maker is not None and spec.transform in TIMES
                else maker
                for spec, maker in zip(specs, self._makers, strict=True)
            ]

    def fill(self, chunk: Chunk, scope: Coded | None = None) -> Filled:
        """Return the column of a chunk.

        Parameters
        ----------
        chunk : Chunk
            Some rows.
        scope : Coded, optional
            The appid of each row, for openids.

        Returns
        -------
        Filled
            The values of the first spec that gives one.
        """
        values: list[Any] = [None]
        notes = [""]
        codes = np.zeros(chunk.rows, dtype=np.int64)
        for spec, maker in zip(self.specs, self._makers, strict=True):
            found = self._apply(chunk, spec, maker, scope)
            given = np.array([value is not None for value in found.values])
            here = codes == 0
            if spec.when is not None:
                here &= _holds(chunk, *spec.when)
            use = here & given[found.codes]
            codes[use] = found.codes[use] + len(values)
            values += found.values
            notes += found.notes
            if spec is self.specs[-1]:
                # a remark without a value (an unreadable scene) is still a remark
                noted = np.array([bool(note) for note in found.notes])
                rest = here & ~use & noted[found.codes]
                codes[rest] = found.codes[rest] + len(values) - len(found.values)
        return Filled(values, codes, notes, self.kind)

    def seen(self, chunk: Chunk, row: int, *, personal: bool) -> str:
        """Return what the source held for a row, masked where it may tell who."""
        for spec in self.specs:
            for path in spec.paths:
                value = chunk.column(path).at(row)
                if value is not None and value != "":
                    return mask_value(plain_text(value), personal=personal)
        return ""

    def _apply(
        self,
        chunk: Chunk,
        spec: Spec,
        maker: Callable[[Any], object] | None,
        scope: Coded | None,
    ) -> Filled:
        if not spec.paths:
            const = self._finish(spec, spec.const, textual=False)
            return Filled([const], constant(const, chunk.rows).codes, [""], self.kind)
        raw = [chunk.column(path) for path in spec.paths]
        several = len(raw) > 1 or spec.transform == "id:openid"
        if spec.transform == "id:openid":
            raw.append(scope or constant("-", chunk.rows))
        coded = pair(raw) if several else raw[0]
        values, notes = self._convert(spec, maker, coded.values, textual=chunk.textual)
        return Filled(values, coded.codes, notes, self.kind)

    def _convert(
        self,
        spec: Spec,
        maker: Callable[[Any], object] | None,
        raws: list[Any],
        *,
        textual: bool,
    ) -> tuple[list[Any], list[str]]:
        """Return the canonical value of each distinct raw value, and its remark."""
        finish, nulls = self._finish, spec.null_values
        empty = None
        if spec.empty is not None:
            empty = finish(spec, spec.empty, textual=False)
        direct = spec.values is None and spec.require is None
        if direct and maker is None and textual and self.kind == "text" and not nulls:
            return self._texts(raws, spec, empty), [""] * len(raws)
        ready = direct and self.kind == "instant" and spec.transform in TIMES
        values, notes = [], []
        with_scope = spec.transform == "id:openid"
        for raw in raws:
            head = raw[0] if with_scope else raw
            if head.__class__ is tuple:
                absent = all(_is_missing(part, nulls) for part in head)
            else:
                absent = _is_missing(head, nulls)
            value, note = empty, ""
            if not absent:
                try:
                    value = raw if maker is None else maker(raw)
                    if isinstance(value, Noted):
                        value, note = value
                    if not direct:
                        value, note = self._meaning(spec, value, note)
                    if value is not None and not ready:
                        value = finish(spec, value, textual=textual)
                except Unusable as error:
                    value = Bad(error.reason)
            values.append(value)
            notes.append(note)
        return values, notes

    def _texts(self, raws: list[Any], spec: Spec, empty: object) -> list[Any]:
        """Return text as it stands; what is no text is found by `coerce`."""
        return [
            (raw if raw.isascii() else self._finish(spec, raw, textual=True))
            if raw
            else empty
            for raw in raws
        ]

    def _meaning(self, spec: Spec, value: object, note: str) -> tuple[object, str]:
        """Apply ``values`` and ``require`` of a spec."""
        if value is not None and spec.values is not None:
            value, note = self._looked_up(spec.values, value, note)
        if value is not None and spec.require not in (None, plain_text(value)):
            raise Unusable(
                "wrong_currency" if self.name == "currency" else "inconsistent"
            )
        return value, note

    def _looked_up(
        self, values: Mapping[str, object], value: object, note: str
    ) -> tuple[object, str]:
        text = plain_text(value)
        if text in values:
            return values[text], note
        closed = () if self.column is None else self.column.closed
        if self.column is None or (closed and text not in closed):
            raise Unusable("unknown_enum")
        if self.kind == "text":
            value = text
        # the vocabulary of events is open, and near misses are told elsewhere
        return value, note if self.name == "event" else "value_unmapped"

    def _finish(self, spec: Spec, value: object, *, textual: bool) -> object:
        bare = self.kind == "instant" and spec.transform not in TIMES
        if bare and isinstance(value, int):
            return Bad("bad_time")  # a bare number does not say of what
        try:
            return coerce(self.kind, value, textual=textual)
        except Unusable as error:
            return Bad(error.reason)


def filtered(rule: Filter, chunk: Chunk) -> NDArray[np.bool_]:
    """Return which rows a record filter sets aside.

    Parameters
    ----------
    rule : Filter
        The filter.
    chunk : Chunk
        Some rows.

    Returns
    -------
    ndarray of bool
        Unknown matches nothing.
    """
    if not rule.paths:
        return np.full(chunk.rows, _matches(rule, {}) is rule.rejects_matches)
    columns = [
        chunk.column(path).map(_caster(rule.casts.get(path))) for path in rule.paths
    ]
    coded = pair(columns)
    verdicts = [
        _matches(rule, dict(zip(rule.paths, combo, strict=True)))
        is rule.rejects_matches
        for combo in coded.values
    ]
    return coded.take(verdicts)


def _matches(rule: Filter, record: dict[str, Any]) -> bool:
    try:
        return rule.where.matches(record) is True
    except ParameterError:  # of another kind than it is compared with: unknown
        return False


def _caster(kind: type | None) -> Callable[[Any], object]:
    """Return how a filter reads a value: the source may have nothing but text."""

    def number(value: Any) -> object:  # noqa: ANN401
        if isinstance(value, str):
            try:
                return float(value)
            except ValueError:
                return None
        return value

    def truth(value: Any) -> object:  # noqa: ANN401
        if isinstance(value, str):
            return {"true": True, "false": False}.get(value.lower())
        return value

    def text(value: Any) -> object:  # noqa: ANN401
        return None if value is None else plain_text(value)

    if kind is str:
        return text
    if kind is float:
        return number
    if kind is bool:
        return truth
    return lambda value: None if value == "" else value


def _holds(chunk: Chunk, path: str, wanted: str) -> NDArray[np.bool_]:
    column = chunk.column(path)
    held = [v is not None and plain_text(v) == wanted for v in column.values]
    return column.take(held)


def _is_missing(value: object, nulls: tuple[str, ...]) -> bool:
    return value is None or value == "" or (bool(nulls) and plain_text(value) in nulls)


def _maker(spec: Spec, mapping: TableMapping) -> Callable[[Any], object] | None:
    """Return what turns the raw value of a spec into its canonical one."""
    name = spec.transform
    if name == "sha256":
        return lambda raw: sha256_of(*(raw if isinstance(raw, tuple) else (raw,)))
    if name == "hash" or (name.startswith("id:") and name != "id:openid"):
        kind = "transaction" if name == "hash" else name.removeprefix("id:")
        hashed = pseudonymiser(kind)
        return lambda raw: hashed(plain_text(raw), "-")
    if name == "id:openid":
        openid = pseudonymiser("openid")
        return lambda raw: openid(plain_text(raw[0]), raw[1] or "-")
    if not name:
        return None
    return make(name, tz=mapping.tz, pattern=spec.pattern, query=mapping.query_allow)


def _then_day(maker: Callable[[Any], Any], tz: str) -> Callable[[Any], object]:
    """Return what makes the local date of an instant."""
    where = zone(tz)
    return lambda raw: datetime.fromtimestamp(maker(raw) // 1000, where).date()


def _free_kind(name: str, specs: tuple[Spec, ...], mapping: TableMapping) -> str:
    """Return the kind of a free column, from what its specs can give."""
    kinds = {_spec_kind(name, spec, mapping) for spec in specs}
    if len(kinds) == 1:
        return kinds.pop()
    return "number" if kinds <= {"number", "int64"} else "any"


def _spec_kind(name: str, spec: Spec, mapping: TableMapping) -> str:
    if spec.values:
        given = [*spec.values.values()]
    elif not spec.paths:
        given = [spec.const]
    else:
        kinds = dict.fromkeys(MONEY, "int64") | dict.fromkeys(TIMES, "instant")
        kinds |= {"number": "number", "s_to_ms": "int64", "scene": "int16"}
        is_text = bool(spec.transform) or mapping.format in ("csv", "wechat_bill")
        default = "text" if is_text else "any"
        if name.endswith("_fen"):
            return "int64"
        return kinds.get(spec.transform, default)
    if all(isinstance(value, bool) for value in given):
        return "bool"
    if all(isinstance(value, int | float) for value in given):
        return "number"
    return "text" if all(isinstance(value, str) for value in given) else "any"
