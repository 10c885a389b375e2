"""What a mini program sends: the reference payload, and its check on arrival."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from growth.errors import ParameterError, PayloadError, suggest
from growth.result import Cell, Notice, Result

if TYPE_CHECKING:
    import pyarrow as pa

    from growth.dataset import Column

__all__ = ["FIELDS", "RECORDED", "Payload", "Rejected", "read_payload"]

VERSION: Final = 1
MOST_ROWS: Final = 1_000
MOST_TEXT: Final = 128
AHEAD: Final = timedelta(hours=1)  # clocks of phones run fast
NEEDED: Final = ("event", "ts", "page_path")
FIELDS: Final = (
    *NEEDED, "event_id", "session_id", "platform", "app_version", "element_id",
    "element_index", "x_px", "y_px", "client_y_px", "scroll_y_px", "scroll_max_px",
    "win_w_px", "win_h_px", "page_h_px", "phase", "dur_ms",
)  # fmt: skip
RECORDED: Final = (
    "tap", "scroll", "impression", "page_view", "page_leave", "app_hide", "error",
)  # fmt: skip
FIRST_MS: Final = 694_224_000_000  # 1992: before that, a time is no epoch
LAST_MS: Final = 4_102_444_800_000  # 2100


class Rejected(NamedTuple):
    """A row that was turned away.

    Parameters
    ----------
    row : int
        Its place in the payload, from 0.
    code : str
        ``not_a_row``, ``missing``, ``unknown_event``, ``wrong_type``, ``too_long``,
        ``out_of_range``, ``epoch_expected``, ``in_the_future``, ``no_window``,
        ``half_a_position``, ``nothing_tapped``, or ``off_page``.
    column : str
        The field at fault.
    seen : str
        The number, or of a text its length: texts may be personal.
    """

    row: int
    code: str
    column: str
    seen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload(Result):
    """Rows of a payload: those taken in, as events, and those turned away.

    Parameters
    ----------
    rows_in : int
        Rows that arrived: those of `events` and of `rejected`.
    events : tuple of mapping
        Canonical columns; `ts` an aware datetime. Missing fields are left out.
    rejected : tuple of Rejected
        In their order, one fault a row.
    """

    rows_in: int
    events: tuple[Mapping[str, Any], ...]
    rejected: tuple[Rejected, ...]

    @property
    def verdict(self) -> str:
        """Whether all rows, some or none were taken in."""
        if not self.rejected:
            return "heatmap.payload.ok"
        return "heatmap.payload.some" if self.events else "heatmap.payload.none"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a row turned away."""
        return [
            {"row": r.row, "code": r.code, "column": r.column, "seen": r.seen}
            for r in self.rejected
        ]

    def to_arrow(self) -> pa.Table:
        """Return the events as a table of canonical columns and types.

        Returns
        -------
        pyarrow.Table
            `user_id` and every field of the payload, NULL where it was not sent:
            what `aggregate` and the other verbs read, and a dataset stores.
        """
        import pyarrow as pa

        from growth.dataset.schema import SCHEMA, arrow_type

        known = SCHEMA["events"].by_name
        names = ["user_id", *FIELDS]
        schema = pa.schema([(name, arrow_type(known[name].kind)) for name in names])
        return pa.Table.from_pylist([dict(e) for e in self.events], schema)


def read_payload(
    payload: str | bytes | Mapping[str, Any] | Sequence[Any],
    *,
    user_id: str,
    received: datetime | None = None,
) -> Payload:
    """Check what a mini program sent, and read it as events.

    Parameters
    ----------
    payload : str, bytes, mapping or sequence
        ``{"schema_version": 1, "rows": [...]}``, as JSON or read already; or the
        rows alone. At most 1,000 rows; their fields are those of `FIELDS`.
    user_id : str
        Whose rows they are, as a pseudonym (`dataset.pseudonym`): the server knows,
        the client is not asked.
    received : datetime, optional
        When it arrived, aware; rows over an hour later are turned away. Not checked
        if omitted.

    Returns
    -------
    Payload
        Every row is taken in or turned away. A path loses its leading slash,
        ``.html`` and query; fields we do not know are left out, and told.

    Raises
    ------
    PayloadError
        If it is no payload at all: no JSON, another version, no rows, too many
        (codes ``bad_json``, ``bad_version``, ``no_rows``, ``too_many_rows``).
    ParameterError
        If `user_id` is empty (``bad_user``) or `received` has no zone
        (``naive_instant``).

    Examples
    --------
    >>> tap = {"event": "tap", "ts": 1773104400000, "page_path": "/pages/home/index"}
    >>> tap |= {"x_px": 187.5, "y_px": 900, "win_w_px": 375}
    >>> found = read_payload({"schema_version": 1, "rows": [tap]}, user_id="u1")
    >>> found.events[0]["page_path"], found.verdict
    ('pages/home/index', 'heatmap.payload.ok')
    """
    if not isinstance(user_id, str) or not user_id:
        msg = f"user_id is {user_id!r}; it must be a pseudonym; take it from the"
        raise ParameterError(f"{msg} server's own login.", code="bad_user")
    if received is not None and received.tzinfo is None:
        msg = f"received is {received}, without a zone; it must have one; pass"
        raise ParameterError(f"{msg} datetime.now(UTC).", code="naive_instant")
    rows = _rows_of(payload)
    latest = None if received is None else received + AHEAD
    events: list[Mapping[str, Any]] = []
    rejected: list[Rejected] = []
    unknown: set[str] = set()
    for i, row in enumerate(rows):
        if not isinstance(row, Mapping):
            rejected.append(Rejected(i, "not_a_row", "", type(row).__name__))
            continue
        unknown |= {str(name) for name in row} - set(FIELDS)
        # the platform's export writes what was not sent as an empty text
        sent = {name: row[name] for name in FIELDS if row.get(name) not in (None, "")}
        fault = _fault(sent, latest)
        if fault is not None:
            rejected.append(Rejected(i, *fault))
            continue
        events.append({"user_id": user_id, **_canonical(sent)})
    return Payload(
        rows_in=len(rows),
        events=tuple(events),
        rejected=tuple(rejected),
        notices=_notices(rejected, unknown),
    )


def _rows_of(payload: Any) -> list[Any]:  # noqa: ANN401
    if isinstance(payload, (str, bytes)):
        try:
            payload = json.loads(payload)
        except ValueError as error:
            msg = f"the payload is no JSON ({error}); it must be an object with rows;"
            msg = f"{msg} send JSON.stringify of it."
            raise PayloadError(msg, code="bad_json") from error
    if isinstance(payload, Mapping):
        if payload.get("schema_version") != VERSION:
            seen = payload.get("schema_version")
            msg = f"schema_version is {seen!r}; it must be {VERSION}; send it, or"
            raise PayloadError(f"{msg} update the package.", code="bad_version")
        payload = payload.get("rows")
    if not isinstance(payload, Sequence) or not payload:
        msg = "the payload has no rows; it must have one or more; do not send an empty"
        raise PayloadError(f"{msg} batch.", code="no_rows")
    if len(payload) > MOST_ROWS:
        msg = f"the payload has {len(payload):,} rows; it must have at most"
        msg = f"{msg} {MOST_ROWS:,}; send it in parts."
        raise PayloadError(msg, code="too_many_rows")
    return list(payload)


Found = tuple[str, str, str]  # code, column, what was seen


def _fault(sent: Mapping[str, Any], latest: datetime | None) -> Found | None:
    """Return what is wrong with a row, the first thing only."""
    from growth.dataset.schema import SCHEMA

    known = SCHEMA["events"].by_name
    for name in NEEDED:
        if name not in sent:
            return "missing", name, ""
    for name, value in sent.items():
        if (code := _misfit(known[name], value)) is not None:
            return code, name, _seen(value)
    if sent["event"] not in RECORDED:
        hint = suggest(sent["event"], RECORDED).strip()
        return "unknown_event", "event", hint or _seen(sent["event"])
    if sent["ts"] < FIRST_MS:
        return "epoch_expected", "ts", _seen(sent["ts"])
    if sent["ts"] >= LAST_MS:
        return "out_of_range", "ts", _seen(sent["ts"])
    if latest is not None and sent["ts"] > latest.timestamp() * 1000:
        return "in_the_future", "ts", _seen(sent["ts"])
    return _misplaced(sent)


def _misfit(column: Column, value: object) -> str | None:
    """Return what is wrong with one value, by the canonical column's own rules."""
    if column.kind == "text":
        if not isinstance(value, str):
            return "wrong_type"
        if len(value) > MOST_TEXT:
            return "too_long"
        return "out_of_range" if column.closed and value not in column.closed else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "wrong_type"
    whole = column.kind.startswith("int") or column.kind == "instant"
    if not isfinite(value) or (whole and value != int(value)):
        return "wrong_type"
    too_low = column.low is not None and value < column.low
    not_above = column.above is not None and value <= column.above
    too_large = abs(value) > (2**31 - 1 if column.kind == "int32" else 1e15)
    return "out_of_range" if too_low or not_above or too_large else None


def _misplaced(sent: Mapping[str, Any]) -> Found | None:
    """Return what is wrong with where a tap fell."""
    x, y, w = (sent.get(name) for name in ("x_px", "y_px", "win_w_px"))
    if (x is None) != (y is None):
        return "half_a_position", "x_px" if x is None else "y_px", ""
    if x is None or y is None:
        if sent["event"] == "tap" and "element_id" not in sent:
            return "nothing_tapped", "element_id", ""
        return None
    if w is None:
        return "no_window", "win_w_px", ""
    if not 0 <= x <= w:
        return "off_page", "x_px", _seen(x)
    if y < 0 or ("page_h_px" in sent and y > sent["page_h_px"] + 1):
        return "off_page", "y_px", _seen(y)
    return None


def _seen(value: object) -> str:
    if isinstance(value, str):
        return f"text of {len(value)}"
    return repr(value)[:40] if isinstance(value, (int, float)) else type(value).__name__


def _canonical(sent: Mapping[str, Any]) -> dict[str, Any]:
    path = sent["page_path"].partition("?")[0].removesuffix(".html").strip("/")
    when = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(sent["ts"]))
    whole = {n: int(sent[n]) for n in ("element_index", "dur_ms") if n in sent}
    return {**sent, **whole, "ts": when, "page_path": path}


def _notices(rejected: list[Rejected], unknown: set[str]) -> tuple[Notice, ...]:
    found = []
    if unknown:
        names = ", ".join(sorted(name[:40] for name in unknown)[:6])
        found.append(Notice("fields_left_out", "info", (("fields", names),)))
    off = sum(r.code == "off_page" for r in rejected)
    if off:
        found.append(Notice("rows_off_page", "info", (("rows", off),)))
    if len(rejected) > off:
        found.append(Notice("rows_rejected", args=(("rows", len(rejected) - off),)))
    return tuple(found)
