"""What annoys, read from a log: rage, dead taps, taps into errors, quick backs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from growth.heatmap.geometry import (
    CLASSES,
    MOST_RPX,
    PAGE_RPX,
    bins,
    check_device,
)
from growth.heatmap.grid import CellUsers, Grid
from growth.heatmap.logs import (
    ERROR,
    FAILED,
    HIDE,
    SCROLL,
    TAP,
    VIEW,
    distinct_users,
    in_order,
    median,
    next_within,
    page_of,
    quick_backs,
)
from growth.heatmap.rows import Rows, device_codes
from growth.heatmap.signals import Frustration, Signal, SignalName, rate_of
from growth.heatmap.sums import ECHO_MS, POSITION, cleaned
from growth.heatmap.tables import (
    Ask,
    Scope,
    asked_pages,
    need_positions,
    no_taps,
    read_log,
    read_whole,
    taps_of,
)
from growth.result import Notice
from growth.stats.arguments import names_of, whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from numpy.typing import NDArray

    from growth.engine import TableLike

__all__ = ["frustration"]


def frustration(
    table: TableLike,
    *,
    taps: int = 3,
    radius_rpx: int = 60,
    gap_ms: int = 1_000,
    wait_ms: int = 2_500,
    back_ms: int = 5_000,
    repeatable: Sequence[str] = (),
    root_capture: bool = False,
    failed: Any = None,  # noqa: ANN401  (the engine's filter grammar)
    device_class: str = "phone",
    echo_ms: int = ECHO_MS,
    **scope: Unpack[Scope],
) -> Frustration:
    """Find rage taps, dead taps, taps into errors, and quick backs.

    Parameters
    ----------
    table : ibis.Table, frame, Arrow data or path
        Events, or taps alone (then only rage is looked for).
    taps : int, default 3
        Taps in a run of rage, 2 or more.
    radius_rpx, gap_ms : int, default 60, 1,000
        Each tap of a run is nearer than both to the one before.
    wait_ms : int, default 2,500
        How long an answer may take.
    back_ms : int, default 5,000
        How soon a return to the page before is a quick back.
    repeatable : sequence of str
        Elements made to be tapped again (steppers, "next"): left out of rage.
    root_capture : bool, default False
        Whether taps are recorded at the page's root. Handlers bound to elements
        never see dead taps: without it there is no answer on them.
    failed : filter, optional
        Which ``api_call`` events failed, as data; only ``error`` events count if
        omitted.
    device_class : {"phone", "tablet", "wide"}, default "phone"
        Devices that are read.
    echo_ms : int, default 100
        As in `aggregate`.
    **scope
        Pages, breakdowns, period, filter, arms, columns: `Scope`.

    Returns
    -------
    Frustration
        By element before any total. Dead taps are read from the log: an answer that
        logs nothing is not seen.

    Raises
    ------
    ColumnNotFoundError
        If a column is missing.
    ParameterError
        If a rule is out of range (code ``bad_rule``), ``unknown_device``.
    DataError
        As in `aggregate`.
    """
    ask, wanted = Ask.of(scope), check_device(device_class)
    rules = {
        "taps": (taps, 2), "radius_rpx": (radius_rpx, 1), "gap_ms": (gap_ms, 1),
        "wait_ms": (wait_ms, 1), "back_ms": (back_ms, 1),
    }  # fmt: skip
    taps, radius_rpx, gap_ms, wait_ms, back_ms = (
        whole(value, name, least=least, code="bad_rule", remedy="leave it out")
        for name, (value, least) in rules.items()
    )
    again = names_of(repeatable, "repeatable")
    from growth import engine

    source = engine.as_table(table)
    names = [
        *POSITION,
        "win_h_px",
        "page_h_px",
        "platform",
        "phase",
        "event_id",
        "element_id",
    ]
    if "event" in source.columns:
        kinds = None if root_capture else ("tap", "page_view", "app_hide", "error")
        need_positions(source)
        log = read_log(source, ask, kinds, names, "frustration", failed=failed)
    else:
        source = taps_of(source, ask)
        need_positions(source)
        log = read_whole(source, ask, names)
        log.columns["kind"] = np.full(len(log), TAP, np.int8)
    here = asked_pages(log, ask)
    all_taps = log.take((log["kind"] == TAP) & here)
    if not len(all_taps):
        raise no_taps(ask)
    status, _, order, excluded = cleaned(all_taps, wanted, echo_ms)
    echoes = int(((status == 3) | (status == 4)).sum())
    good = all_taps.take(order[(status == 0)[order] & ~excluded[order]])
    every_view = log.take(log["kind"] == VIEW)
    if len(every_view["win_w_px"]):
        every_view = every_view.take(device_codes(every_view) == CLASSES.index(wanted))
    asked = asked_pages(every_view, ask)
    views = every_view.take(asked)
    tally = _Tally(ask, wanted, log, good, views)
    tally.rage(good, again, taps, radius_rpx, gap_ms)
    notices, censored = [], None
    rest = log.take(in_order(log))
    if root_capture:
        censored = tally.dead(good, rest, wait_ms)
        notices.append(Notice("dead_is_a_log_proxy", "info"))
    else:
        notices.append(Notice("dead_needs_root_capture", "info"))
    tally.errors(good, rest, wait_ms)
    tally.backs(every_view, asked, back_ms)
    if not len(views):
        notices.append(Notice("no_page_views", "info"))
    return Frustration(
        signals=tuple(tally.signals),
        grids=tuple(tally.grids),
        taps=taps,
        radius_rpx=radius_rpx,
        gap_ms=gap_ms,
        wait_ms=wait_ms,
        censored=censored,
        echoes=echoes,
        notices=tuple(notices),
    )


class _Tally:
    """Signals by page and element."""

    def __init__(
        self, ask: Ask, wanted: str, log: Rows, taps: Rows, views: Rows
    ) -> None:
        self.ask, self.wanted, self.log = ask, wanted, log
        self.grids: list[Grid] = []
        self.views = np.bincount(views.group, minlength=len(log.groups))
        viewers = distinct_users(views) or distinct_users(taps)
        self.viewers = viewers
        self.signals: list[Signal] = []
        self.ids = log.texts.get("element_id", ())

    def rage(
        self, taps: Rows, repeatable: Sequence[str], least: int, radius: int, gap: int
    ) -> None:
        """Find runs of taps near each other."""
        from growth.heatmap import kernels

        if repeatable and len(taps["element_id"]):
            named = np.array([name in repeatable for name in self.ids] + [False])
            taps = taps.take(~named[taps["element_id"]])
        part = taps.user.astype(np.int64) * len(self.log.pages) + taps.page
        run = kernels.runs(
            part, taps.ts, taps["x_px"], taps["y_px"], taps["win_w_px"],
            gap * 1000, radius,
        )  # fmt: skip
        size = np.bincount(run) if len(run) else np.zeros(0, np.int64)
        first = np.flatnonzero(np.r_[True, run[1:] != run[:-1]][: len(run)])
        angry = size >= least
        self._add("rage", taps, first[angry], size[angry])
        self._map("rage", taps.take(angry[run]))

    def dead(self, taps: Rows, rest: Rows, wait_ms: int) -> int:
        """Find taps that nothing follows; return those too near the app's leaving."""
        kind = rest["kind"]
        answers = rest.take((kind != TAP) & (kind != SCROLL))
        at = next_within(taps.user, taps.ts, answers.user, answers.ts, wait_ms * 1000)
        any_later = next_within(taps.user, taps.ts, answers.user, answers.ts, 2**62)
        hidden = np.zeros(len(taps), bool)
        hidden[at >= 0] = answers["kind"][at[at >= 0]] == HIDE
        censored = hidden | (any_later < 0)
        lost = np.flatnonzero((at < 0) & ~censored)
        self._add("dead", taps, lost, np.ones(len(lost), np.int64))
        self._map("dead", taps.take(lost))
        return int(censored.sum())

    def errors(self, taps: Rows, rest: Rows, wait_ms: int) -> None:
        """Find taps that an error follows."""
        wrong = rest.take((rest["kind"] == ERROR) | (rest["kind"] == FAILED))
        at = next_within(taps.user, taps.ts, wrong.user, wrong.ts, wait_ms * 1000)
        found = np.flatnonzero(at >= 0)
        self._add("error", taps, found, np.ones(len(found), np.int64))

    def backs(self, views: Rows, asked: NDArray[np.bool_], back_ms: int) -> None:
        """Find returns to the page before; `views` are those of every page."""
        left = quick_backs(views, back_ms * 1000)
        left = left[asked[left]]
        self._add("quick_back", views, left, np.zeros(len(left), np.int64), parts=False)

    def _map(self, layer: SignalName, taps: Rows) -> None:
        """Add where on the pages it happened: a layer of its own."""
        x, y, w = (taps[name] for name in POSITION)
        here = (x >= 0) & (x <= w) & (y >= 0) & (y * PAGE_RPX < w * MOST_RPX)
        if len(taps["page_h_px"]):
            here &= ~(y > taps["page_h_px"] + 1)
        taps = taps.take(here)
        col, row = bins(*(taps[name] for name in POSITION))
        for g in np.unique(taps.group).tolist():
            mine = taps.group == g
            page, values = page_of(self.log, g)
            pairs = CellUsers.of(
                row[mine] * (PAGE_RPX // 10) + col[mine],
                taps.user[mine],
                page=page,
                layer=layer,
                device_class=self.wanted,
                by=tuple(zip(self.ask.columns, values, strict=True)),
            )
            self.grids.append(pairs.grid())

    def _add(
        self,
        signal: SignalName,
        rows: Rows,
        at: NDArray[np.int64],
        sizes: NDArray[np.int64],
        *,
        parts: bool = True,
    ) -> None:
        """Add what happened at some rows, by element and in total."""
        known = len(rows["element_id"]) > 0 and parts
        x = rows.rpx("x_px") if len(rows["x_px"]) else None
        y = rows.rpx("y_px") if len(rows["y_px"]) else None
        for g in range(len(self.log.groups)):
            here = rows.group[at] == g
            if page_of(self.log, g) not in self.viewers and not here.any():
                continue
            some: list[tuple[str | None, bool, NDArray[np.bool_]]] = []
            if known:
                codes = rows["element_id"][at[here]]
                for code in np.unique(codes).tolist():
                    name = self.ids[code] if code >= 0 else None
                    mine = here & (rows["element_id"][at] == code)
                    some.append((name, False, mine))
                some.sort(key=lambda item: -int(item[2].sum()))
            some.append((None, True, here))
            for name, total, mine in some:
                mid: tuple[float | None, float | None] = (None, None)
                if x is not None and y is not None and parts:
                    mid = (median(x[at[mine]]), median(y[at[mine]]))
                self._one(
                    signal, g, name, rows.user[at[mine]], sizes[mine], mid, total=total
                )

    def _one(
        self,
        signal: SignalName,
        g: int,
        name: str | None,
        user: NDArray[np.int32],
        sizes: NDArray[np.int64],
        mid: tuple[float | None, float | None],
        *,
        total: bool,
    ) -> None:
        key = page_of(self.log, g)
        views = int(self.views[g])
        people = len(np.unique(user))
        viewers = max(self.viewers.get(key, 0), people)
        rate, ends = rate_of(people, viewers)
        low, high = ends or (None, None)
        self.signals.append(
            Signal(
                page=key[0],
                signal=signal,
                element_id=name,
                total=total,
                events=len(user),
                taps=int(sizes.sum()),
                users=people,
                views=views,
                viewers=viewers,
                per_1000_views=1000 * len(user) / views if views else None,
                user_rate=rate,
                ci_low=low,
                ci_high=high,
                x_rpx=mid[0],
                y_rpx=mid[1],
                by=tuple(zip(self.ask.columns, key[1], strict=True)),
            )
        )
