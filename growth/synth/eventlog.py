"""The event log: blocks of equal events, put in order as Arrow tables a day."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from growth.synth.base import DAY_MS, MISSING, Coded, table
from growth.synth.tapping import DESIGN_RPX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from growth.synth.base import Ids, Ints

__all__ = ["EventLog"]

EVENTS: Final = (
    "app_launch",
    "app_show",
    "register",
    "profile_done",
    "coupon_claimed",
    "login",
    "share_open",
    "page_view",
    "exp_exposure",
    "perf",
    "impression",
    "scroll",
    "tap",
    "favorite",
    "add_to_cart",
    "share_intent",
    "checkout",
    "order_create",
    "order_pay",
    "subscribe_result",
    "review",
    "error",
    "page_leave",
    "app_hide",
)
_FLOATS: Final = ("x_px", "y_px", "client_y_px", "scroll_y_px", "value")
_INTS: Final = ("dur_ms", "value_fen", "share_depth", "element_index")
_CODES: Final = (
    "page_path",
    "referrer_path",
    "element_id",
    "share_id",
    "share_from",
    "share_method",
    "group_id",
    "exp_id",
    "variant",
    "metric",
    "order_id",
    "product_id",
)
_SMALL: Final = ("page_path", "referrer_path", "share_method", "exp_id", "metric")


class EventLog:
    """Collects blocks of events; `days` then gives them in order, a table a day.

    Parameters
    ----------
    words : mapping of str to sequence
        Words of each text column, which blocks name by position.
    """

    def __init__(self, words: Mapping[str, Sequence[str] | Ids]) -> None:
        self._words = words
        self._blocks: list[tuple[int, Ints, Ints, dict[str, Any]]] = []

    def add(self, event: str, session: Ints, at_ms: Ints, **columns: Any) -> None:  # noqa: ANN401
        """Add one event a row.

        Parameters
        ----------
        event : str
            Its name.
        session : ndarray of int, shape (n,)
            Position of the session it belongs to.
        at_ms : ndarray of int, shape (n,)
            Instant, in ms since the log's first midnight.
        **columns : array_like or scalar
            Other columns; text as positions in the column's words, or a word.
        """
        if not len(session):
            return
        for name, values in columns.items():
            if isinstance(values, str):
                columns[name] = list(self._words[name]).index(values)
        self._blocks.append((EVENTS.index(event), session, at_ms, columns))

    def __len__(self) -> int:
        """Return the number of events."""
        return sum(len(session) for _, session, _, _ in self._blocks)

    def days(
        self,
        user: Ints,
        start_ms: int,
        by_session: Mapping[str, NDArray[Any] | Coded],
        page_rpx: Sequence[float],
    ) -> Iterator[tuple[int, pa.Table]]:
        """Give the events of each day, sorted by user, then instant.

        Parameters
        ----------
        user : ndarray of int, shape (sessions,)
            User of each session.
        start_ms : int
            Epoch milliseconds of the log's first midnight.
        by_session : mapping of str to array or Coded
            Columns that every event takes from its session; ``*_px`` only where
            the event is on a page.
        page_rpx : sequence of float
            Height of each page in rpx, in the order of the words of `page_path`.

        Yields
        ------
        tuple of int and pyarrow.Table
            Day since the log's first, and its events.
        """
        session = np.concatenate([s for _, s, _, _ in self._blocks]).astype(np.int32)
        at = np.concatenate([t for _, _, t, _ in self._blocks])
        sizes = [len(s) for _, s, _, _ in self._blocks]
        event = np.repeat([e for e, _, _, _ in self._blocks], sizes).astype(np.int8)
        day = at // DAY_MS
        key = (day << 50) | (user[session] << 27) | (at % DAY_MS)
        order = np.lexsort((event, key))
        del key
        columns = {name: self._gather(name, sizes)[order] for name in self._used()}
        session, at, event, day = session[order], at[order], event[order], day[order]
        edges = np.flatnonzero(np.r_[True, day[1:] != day[:-1], True])
        for low, high in pairwise(edges.tolist()):
            part = slice(low, high)
            rows = session[part]
            at_page = columns["page_path"][part]
            page = at_page >= 0
            given: dict[str, Any] = {
                name: _pick(by_session[name], rows, page, name) for name in by_session
            }
            height = np.asarray(page_rpx)[at_page] / DESIGN_RPX
            given["page_h_px"] = height * given["win_w_px"]
            own = {
                name: Coded(values[part], self._words[name])
                if name in self._words
                else values[part]
                for name, values in columns.items()
            }
            yield (
                int(day[low]),
                table(
                    {"user_id": given.pop("user_id"), "ts": at[part] + start_ms}
                    | {"event": Coded(event[part], EVENTS)}
                    | given
                    | own
                ),
            )

    def _used(self) -> list[str]:
        named = {name for _, _, _, columns in self._blocks for name in columns}
        return [name for name in (*_CODES, *_INTS, *_FLOATS) if name in named]

    def _gather(self, name: str, sizes: list[int]) -> NDArray[Any]:
        kind: type[np.generic]
        empty: float
        if name in _FLOATS:
            kind, empty = (np.float64 if name == "value" else np.float32), np.nan
        elif name in _INTS:
            kind, empty = np.int64, MISSING
        else:
            kind, empty = (np.int8 if name in _SMALL else np.int32), -1
        whole = np.full(sum(sizes), empty, dtype=kind)
        low = 0
        for (_, _, _, columns), size in zip(self._blocks, sizes, strict=True):
            if name in columns:
                whole[low : low + size] = columns[name]
            low += size
        return whole


def _pick(
    values: NDArray[Any] | Coded, rows: NDArray[Any], page: NDArray[np.bool_], name: str
) -> NDArray[Any] | Coded:
    if isinstance(values, Coded):
        return Coded(values.codes[rows], values.words)
    if name.endswith("_px"):
        return np.where(page, values[rows], np.nan)
    picked: NDArray[Any] = values[rows]
    return picked
