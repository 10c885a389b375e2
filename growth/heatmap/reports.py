"""Verbs on a log of events: each reads it once or twice, and hands arrays on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from growth.errors import DataError, ParameterError
from growth.heatmap.areas import Zones, zones_from_pairs
from growth.heatmap.core import (
    TARGET,
    FirstScreen,
    Folds,
    first_screen_from_counts,
)
from growth.heatmap.geometry import (
    CLASSES,
    check_device,
    core_area,
    hit,
)
from growth.heatmap.logs import (
    SHOWN,
    TAP,
    VIEW,
    by_user,
    depths,
    distinct_users,
    each_pair,
    in_core,
    median,
    page_of,
    page_views,
    screen_y,
    slices,
)
from growth.heatmap.ranking import (
    BLANK,
    ElementRank,
    Elements,
    pull_intervals,
    ranked,
)
from growth.heatmap.reach import ScrollReach, scroll_from_depths
from growth.heatmap.rows import Rows, device_codes
from growth.heatmap.sums import ECHO_MS, POSITION
from growth.heatmap.tables import (
    Ask,
    Scope,
    aggregate,
    asked_pages,
    element_status,
    need,
    need_positions,
    no_taps,
    on_page,
    read_log,
    read_whole,
    taps_of,
    views_of,
)
from growth.result import Notice
from growth.stats.arguments import names_of

if TYPE_CHECKING:
    from typing import Unpack

    from numpy.typing import NDArray

    from growth.engine import TableLike
    from growth.heatmap.geometry import Box, CoreArea

__all__ = ["elements", "first_screen", "scroll", "suggest_fixed", "zones"]

FIXED_USERS: Final = 30
STILL: Final = 0.1  # spread on the screen over that on the page

# -- first screen --------------------------------------------------------------------


def first_screen(
    table: TableLike,
    *,
    core: Sequence[Mapping[str, Any] | str] | CoreArea | None = None,
    target: float = TARGET,
    alpha: float = 0.05,
    device_class: str = "phone",
    fixed_elements: Sequence[str] = (),
    echo_ms: int = ECHO_MS,
    **scope: Unpack[Scope],
) -> FirstScreen:
    """Say what share of the taps above the fold lands in the core of the screen.

    Parameters
    ----------
    table : ibis.Table, frame, Arrow data or path
        Events with `x_px`, `y_px`, `win_w_px`, `win_h_px`.
    core : sequence of mapping or str, optional
        Rectangles or element ids: `core_area`. x 75-675 rpx, y 15-75 % of the
        window's height if omitted, with a notice.
    target : float, default 0.60
        The share that is wanted: a guide's number, without a source.
    alpha : float, default 0.05
        Two-sided level of the intervals.
    device_class : {"phone", "tablet", "wide"}, default "phone"
        Devices that are read.
    fixed_elements : sequence of str
        Elements that keep their place on the screen: above the fold by
        `client_y_px`.
    echo_ms : int, default 100
        As in `aggregate`.
    **scope
        Pages, breakdowns, period, filter, arms, columns: `Scope`.

    Returns
    -------
    FirstScreen
        A tap is above the fold where its y is less than the height of its own
        window; folds are a distribution, one value a page view.

    Raises
    ------
    ColumnNotFoundError
        If a column is missing.
    ParameterError
        ``bad_core_area``, ``bad_target``, ``unknown_device``.
    DataError
        As in `aggregate`.
    """
    area, wanted, ask = core_area(core), check_device(device_class), Ask.of(scope)
    named = names_of(fixed_elements, "fixed_elements")
    source = taps_of(table, ask)
    need_positions(source)
    need(source, ("win_h_px",), "the fold and the first screen")
    names = [*POSITION, "win_h_px", "page_h_px", "platform", "phase", "event_id"]
    if named or area.elements:
        need(source, ("element_id",), "core areas and fixed layers by element")
        names += ["element_id", "client_y_px"]
    if named:
        need(source, ("client_y_px",), "the fixed layer")
    taps, counted = on_page(read_whole(source, ask, names), wanted, echo_ms)
    if not sum(counted.values()):
        raise no_taps(ask)
    views = views_of(table, ask, wanted)
    ids = taps.texts.get("element_id", ())
    fixed = np.zeros(len(taps), bool)
    if named:
        fixed = np.array([name in named for name in ids] + [False])[taps["element_id"]]
    y = screen_y(taps, fixed)
    above = y < taps["win_h_px"]
    inside = above & in_core(taps, y, area, ids)
    notices = [Notice("target_is_a_guides", "info", (("target", target),))]
    if core is None:
        notices.append(Notice("core_area_default", "info"))
    folds, viewers = _folds_of(views), distinct_users(views)
    if not viewers:
        notices.append(Notice("no_page_views", "info"))
        folds, viewers = _folds_of(taps), distinct_users(taps)
    pages = []
    group, user, n = each_pair(taps.group, taps.user)
    tally = [each_pair(taps.group[m], taps.user[m]) for m in (above, inside)]
    key = group << 32 | user
    a, b = (_spread(key, part[0] << 32 | part[1], part[2]) for part in tally)
    for g, here in slices(group, len(taps.groups)):
        name = page_of(taps, g)
        pages.append(
            first_screen_from_counts(
                b[here].tolist(),
                a[here].tolist(),
                target=target,
                alpha=alpha,
                page=name[0],
                by=tuple(zip(ask.columns, name[1], strict=True)),
                taps=int(n[here].sum()),
                viewers=viewers.get(name),
                folds=folds.get(name),
            )
        )
    return FirstScreen(
        target=target, alpha=alpha, pages=tuple(pages), notices=tuple(notices)
    )


def _spread(
    keys: NDArray[np.int64], some: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return counts by `keys`, 0 where `some` has none."""
    found = np.zeros(len(keys), np.int64)
    found[np.searchsorted(keys, some)] = counts
    return found


def _folds_of(rows: Rows | None) -> dict[Any, Folds]:
    found: dict[Any, Folds] = {}
    if rows is None or not len(rows["win_h_px"]):
        return found
    fold = rows.rpx("win_h_px")
    order = np.argsort(rows.group, kind="stable")
    for g, here in slices(rows.group[order], len(rows.groups)):
        found[page_of(rows, g)] = Folds.of(fold[order[here]])
    return found


def suggest_fixed(
    table: TableLike,
    *,
    device_class: str = "phone",
    least_users: int = FIXED_USERS,
    **scope: Unpack[Scope],
) -> tuple[str, ...]:
    """Name elements that seem to keep their place on the screen as the page scrolls.

    Parameters
    ----------
    table : ibis.Table, frame, Arrow data or path
        Events with `element_id`, `client_y_px`, `scroll_y_px` and positions.
    device_class : {"phone", "tablet", "wide"}, default "phone"
        Devices that are read.
    least_users : int, default 30
        Users who tapped the element on a scrolled page, at least.
    **scope
        Pages, period, filter, columns: `Scope`.

    Returns
    -------
    tuple of str
        In order of their names: what to look at, then to pass as `fixed_elements`.

    Raises
    ------
    ColumnNotFoundError, ParameterError, DataError
        As in `aggregate`.

    Notes
    -----
    Of taps on a scrolled page: the standard deviation of the distance from the
    window's top, or from its bottom, is under a tenth of that of `y`; all in rpx.
    """
    ask, wanted = Ask.of(scope), check_device(device_class)
    source = taps_of(table, ask)
    need_positions(source)
    need(source, ("element_id", "client_y_px", "scroll_y_px"), "the fixed layer")
    names = [*POSITION, "win_h_px", "page_h_px", "platform", "phase", "event_id"]
    names += ["element_id", "client_y_px", "scroll_y_px"]
    taps, counted = on_page(read_whole(source, ask, names), wanted, ECHO_MS)
    if not sum(counted.values()):
        raise no_taps(ask)
    taps = taps.take((taps["scroll_y_px"] > 0) & (taps["element_id"] >= 0))
    y, top = taps.rpx("y_px"), taps.rpx("client_y_px")
    ends = [top]
    if len(taps["win_h_px"]):
        ends.append(taps.rpx("win_h_px") - top)
    found = []
    for code in np.unique(taps["element_id"]).tolist():
        mine = (taps["element_id"] == code) & np.isfinite(top)
        if len(np.unique(taps.user[mine])) >= max(least_users, 1):
            still = min(
                float(np.nanstd(end[mine]))
                for end in ends
                if np.isfinite(end[mine]).any()  # the top is, wherever it counts
            )
            if still < STILL * float(np.std(y[mine])):
                found.append(taps.texts["element_id"][code])
    return tuple(sorted(found))


# -- scroll --------------------------------------------------------------------------


def scroll(
    table: TableLike,
    *,
    unit: str = "view",
    device_class: str = "phone",
    **scope: Unpack[Scope],
) -> ScrollReach:
    """Say what share of page views reaches how deep.

    Parameters
    ----------
    table : ibis.Table, frame, Arrow data or path
        Events with `event`, `scroll_y_px`, `win_w_px`, `win_h_px`; of events
        page_view, scroll, tap, page_leave, app_hide.
    unit : {"view", "user"}, default "view"
        What counts once, at its deepest.
    device_class : {"phone", "tablet", "wide"}, default "phone"
        Devices that are read.
    **scope
        Pages, breakdowns, period, filter, arms, columns: `Scope`.

    Returns
    -------
    ScrollReach
        Depth is the largest of ``scroll_y_px + win_h_px`` in rpx (on a page_leave
        `scroll_max_px` too); an event without a scroll position counts as at the
        top.

    Raises
    ------
    ColumnNotFoundError
        If a column is missing.
    ParameterError
        ``unknown_unit``, ``unknown_device``.
    DataError
        If there is no page view (code ``no_views``), or as in `aggregate`.
    """
    ask, wanted = Ask.of(scope), check_device(device_class)
    if unit not in ("view", "user"):
        msg = f"unit is {unit!r}; it must be 'view' or 'user'; name one."
        raise ParameterError(msg, code="unknown_unit")
    names = ["scroll_y_px", "scroll_max_px", "win_w_px", "win_h_px", "page_h_px"]
    log = read_log(
        table, ask, ("page_view", "scroll", "tap", "page_leave", "app_hide"),
        [*names, "platform"], "the scroll map", ("scroll_y_px", "win_w_px", "win_h_px"),
    )  # fmt: skip
    views = page_views(log)
    if not len(views.first):
        msg = "there is no page_view; the scroll map must know where views begin; log"
        raise DataError(f"{msg} page_view in onShow of each page.", code="no_views")
    depth = depths(log, views)
    mine = (device_codes(log) == CLASSES.index(wanted))[views.first]
    mine &= asked_pages(log, ask)[views.first]
    views = views._replace(first=np.where(mine, views.first, -1))
    group = log.group[views.first]
    fold, height = log.rpx("win_h_px"), None
    if log.has("page_h_px"):
        height = np.full(len(depth), np.nan)  # of a view: the most it came to
        np.fmax.at(height, views.view, log.rpx("page_h_px")[views.rows])
    pages = []
    if unit == "user":
        kept = views.first >= 0
        lead = views._replace(first=views.first[kept])
        unit_group, unit_depth = by_user(log, lead, depth[kept])
    else:
        unit_group, unit_depth = np.where(mine, group, -1), depth
    for g in range(len(log.groups)):
        here = unit_group == g
        if not here.any():
            continue
        of_page = mine & (group == g)
        lead = views.first[of_page]
        folds = Folds.of(fold[lead])
        name, values = page_of(log, g)
        ends = tuple(folds.quantile(p) for p in (0.1, 0.5, 0.9))
        pages.append(
            scroll_from_depths(
                unit_depth[here],
                page=name,
                by=tuple(zip(ask.columns, values, strict=True)),
                folds=None if None in ends else ends,  # type: ignore[arg-type]
                page_rpx=None if height is None else median(height[of_page]),
            )
        )
    lost = sum(p.without_depth for p in pages)
    args = (("views", lost),)
    notices = (Notice("views_without_height", args=args),) if lost else ()
    return ScrollReach(unit=unit, pages=tuple(pages), notices=notices)


# -- elements ------------------------------------------------------------------------


def elements(
    table: TableLike,
    *,
    boxes: Sequence[Box] | Mapping[str, Sequence[Box]] | None = None,
    device_class: str = "phone",
    alpha: float = 0.05,
    echo_ms: int = ECHO_MS,
    seed: int = 0,
    **scope: Unpack[Scope],
) -> Elements:
    """Rank elements by what they earn: taps, who saw them, who tapped them.

    Parameters
    ----------
    table : ibis.Table, frame, Arrow data or path
        Events: taps with `element_id` (or, with `boxes`, positions), impressions
        and page views.
    boxes : sequence of Box, or mapping of str to it, optional
        Where elements lie, of one page or by page: coordinates become elements;
        the smallest box wins, edges belong to it, in none is ``blank``.
    device_class : {"phone", "tablet", "wide"}, default "phone"
        Devices that are read; where no width is recorded, all.
    alpha : float, default 0.05
        Level of the intervals.
    echo_ms : int, default 100
        As in `aggregate`.
    seed : int, default 0
        Of the bootstrap.
    **scope
        Pages, breakdowns, period, filter, arms, columns: `Scope`.

    Returns
    -------
    Elements
        Who saw an element are users with its impression, or a tap on it; where a
        page logs no impressions, its viewers, with a notice.

    Raises
    ------
    ColumnNotFoundError
        If a column is missing.
    ParameterError
        If boxes are of several pages though one is read (code ``bad_boxes``).
    DataError
        As in `aggregate`.
    """
    ask, wanted = Ask.of(scope), check_device(device_class)
    names = ["win_w_px", "win_h_px", "page_h_px", "platform", "phase", "event_id"]
    names += ["x_px", "y_px", "element_id"]
    needed = ("element_id",) if boxes is None else POSITION
    log = read_log(
        table, ask, ("tap", "impression", "page_view"), names, "elements", needed
    )
    log = log.take(asked_pages(log, ask))
    taps = log.take(log["kind"] == TAP)
    if not len(taps):
        raise no_taps(ask)
    known = len(log["win_w_px"]) > 0
    if not len(taps["element_id"]):
        taps.columns["element_id"] = np.full(len(taps), -1, np.int32)
    status = element_status(taps, wanted, echo_ms)
    taps = taps.take(status == 0)
    rest = log.take(log["kind"] != TAP)
    if known:
        codes = device_codes(rest)
        rest = rest.take((codes == CLASSES.index(wanted)) | (codes < 0))
    shown, views = rest.take(rest["kind"] == SHOWN), rest.take(rest["kind"] == VIEW)
    names_of = log.texts.get("element_id", ())
    notices = []
    if boxes is not None:
        names_of = _boxed(taps, shown, boxes, names_of)
    sizes = _sizes(boxes)
    viewers = distinct_users(views)
    if not viewers:
        notices.append(Notice("no_page_views", "info"))
        viewers = distinct_users(taps)
    if not len(shown):
        notices.append(Notice("no_impressions"))
    items = []
    for g in range(len(log.groups)):
        mine, seen = taps.take(taps.group == g), shown.take(shown.group == g)
        if not len(mine) and not len(seen):
            continue
        key = page_of(log, g)
        items += _ranking(
            mine, seen, names_of, key[0], viewers.get(key, 0),
            sizes.get(key[0], sizes.get("", {})), alpha, seed,
            tuple(zip(ask.columns, key[1], strict=True)),
        )  # fmt: skip
    items.sort(key=lambda i: (i.page, str(i.by), -(i.ctr_low or 0), i.element_id))
    return Elements(alpha=alpha, items=tuple(items), notices=tuple(notices))


def _sizes(
    boxes: Sequence[Box] | Mapping[str, Sequence[Box]] | None,
) -> dict[str, dict[str, tuple[float, float]]]:
    if boxes is None:
        return {}
    pages = boxes if isinstance(boxes, Mapping) else {"": boxes}
    return {
        page: {b.element_id: (b.width, b.height) for b in some}
        for page, some in pages.items()
    }


def _boxed(
    taps: Rows,
    shown: Rows,
    boxes: Sequence[Box] | Mapping[str, Sequence[Box]],
    known: tuple[str, ...],
) -> tuple[str, ...]:
    """Name taps by the box they lie in; return all elements' names."""
    if not isinstance(boxes, Mapping):
        pages = sorted(set(taps.page.tolist()))
        if len(pages) > 1:
            msg = f"boxes are of one page, but {len(pages)} pages are read; boxes must"
            msg = f"{msg} say their page; pass page=, or boxes={{page: [...]}}."
            raise ParameterError(msg, code="bad_boxes")
        boxes = {taps.pages[p]: boxes for p in pages}
    every = [b.element_id for some in boxes.values() for b in some]
    names = tuple(dict.fromkeys((*known, *every, BLANK)))
    number = {name: i for i, name in enumerate(names)}
    x, y = taps.rpx("x_px"), taps.rpx("y_px")
    found = np.full(len(taps), number[BLANK], np.int32)
    for page, some in boxes.items():
        if page not in taps.pages:
            continue
        here = np.flatnonzero(taps.page == taps.pages.index(page))
        codes = np.array([number[b.element_id] for b in some] + [number[BLANK]])
        found[here] = codes[hit(x[here], y[here], some)]
    taps.columns["element_id"] = found
    if not len(shown["element_id"]):
        shown.columns["element_id"] = np.full(len(shown), -1, np.int32)
    return names


def _ranking(
    taps: Rows,
    shown: Rows,
    names: tuple[str, ...],
    page: str,
    viewers: int,
    sizes: Mapping[str, tuple[float, float]],
    alpha: float,
    seed: int,
    by: Any,  # noqa: ANN401
) -> list[ElementRank]:
    total = len(taps)
    ids = taps["element_id"]
    used = np.unique(
        np.r_[ids[ids >= 0], shown["element_id"][shown["element_id"] >= 0]]
    )
    place = {int(code): i for i, code in enumerate(used)}
    numbers = np.full(len(names) + 1, -1, np.int32)
    numbers[used] = np.arange(len(used), dtype=np.int32)
    tapped = each_pair(numbers[ids[ids >= 0]], taps.user[ids >= 0])
    seen_ids = shown["element_id"]
    seen = each_pair(numbers[seen_ids[seen_ids >= 0]], shown.user[seen_ids >= 0])
    recorded = len(seen[0]) > 0
    pulls: list[Any] = [(None, None)] * len(used)
    if recorded:
        pulls = pull_intervals(
            _pairs32(tapped), _pairs32(seen), len(used), seed=seed, alpha=alpha
        )
    saw = np.bincount(
        np.unique(np.r_[tapped[0] << 32 | tapped[1], seen[0] << 32 | seen[1]]) >> 32,
        minlength=len(used),
    )
    users = np.bincount(tapped[0], minlength=len(used))
    impressions = np.bincount(seen[0], seen[2], minlength=len(used))
    known = all(len(taps[name]) for name in POSITION)
    x, y = (taps.rpx("x_px"), taps.rpx("y_px")) if known else (None, None)
    above = taps["y_px"] < taps["win_h_px"] if known and len(taps["win_h_px"]) else None
    order = np.argsort(numbers[ids], kind="stable")
    where = dict(slices(numbers[ids][order], len(used)))
    found = []
    for code, i in place.items():
        mine = order[where[i]] if i in where else order[:0]
        spot: tuple[Any, Any, Any] = (None, None, None)
        if x is not None and y is not None and len(mine):
            high = None if above is None else float(above[mine].mean())
            spot = (median(x[mine]), median(y[mine]), high)
        # where this element is never logged as shown, all who viewed might have seen it
        logged = recorded and impressions[i] > 0
        found.append(
            ranked(
                page,
                names[code],
                taps=len(mine),
                users=int(users[i]),
                saw=int(saw[i]) if logged else max(viewers, int(users[i])),
                page_taps=total,
                impressions=int(impressions[i]) if logged else None,
                pull=pulls[i] if logged else (None, None),
                place=spot,
                size=sizes.get(names[code]),
                alpha=alpha,
                by=by,
            )
        )
    return found


def _pairs32(pairs: Any) -> Any:  # noqa: ANN401
    return pairs[0].astype(np.int32), pairs[1].astype(np.int32), pairs[2]


# -- zones ---------------------------------------------------------------------------


def zones(
    table: TableLike,
    *,
    sigma_rpx: float = 20.0,
    mass: float = 0.5,
    boxes: Sequence[Box] = (),
    seed: int = 0,
    cell_rpx: int = 10,
    device_class: str = "phone",
    fixed_elements: Sequence[str] = (),
    **scope: Unpack[Scope],
) -> Zones:
    """Find where attention lies on one page, and how F-shaped its first screen is.

    Parameters
    ----------
    table : ibis.Table, frame, Arrow data or path
        As in `aggregate`.
    sigma_rpx : float, default 20
        Of the smoothing.
    mass : float, default 0.5
        Share of taps the zones hold.
    boxes : sequence of Box
        Elements, to name the nearest of each zone.
    seed : int, default 0
        Of the bootstrap.
    cell_rpx, device_class, fixed_elements
        As in `aggregate`; the fixed layer is no part of a page's zones.
    **scope
        Page (may be left out where there is one), period, filter, columns: `Scope`.

    Returns
    -------
    Zones
        Without an F index where window heights are not recorded.

    Raises
    ------
    ColumnNotFoundError, ParameterError, DataError
        As in `aggregate` and `zones_from_pairs`.
    """
    ask = Ask.of(scope)
    found = aggregate(
        table,
        cell_rpx=cell_rpx,
        device_class=device_class,
        pairs=True,
        fixed_elements=fixed_elements,
        **scope,
    )
    mine = [c for c in found.cells if c.layer == "taps"]
    if len(mine) != 1:
        pages = [c.page for c in mine]
        msg = f"{len(mine)} maps fit ({pages[:6]}); zones must be of one page and no"
        raise ParameterError(f"{msg} breakdown; name it: page=.", code="unknown_page")
    folds = _folds_of(views_of(table, ask, device_class))
    mine_folds = [some for (page, _), some in folds.items() if page == mine[0].page]
    fold = mine_folds[0].quantile(0.5) if len(mine_folds) == 1 else None
    result = zones_from_pairs(
        mine[0], sigma_rpx=sigma_rpx, mass=mass, boxes=boxes, fold_rpx=fold, seed=seed
    )
    if fold is None:
        result = replace(result, notices=(*result.notices, Notice("no_fold", "info")))
    return result
