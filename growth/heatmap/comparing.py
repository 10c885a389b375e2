"""Two arms on one page, read from a log: who tapped what, of those who viewed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from growth.errors import ParameterError, suggest
from growth.heatmap.difference import ROUNDS, Comparison, compare_from_pairs
from growth.heatmap.geometry import CLASSES, bins, check_cell, check_device
from growth.heatmap.logs import TAP, VIEW, each_pair
from growth.heatmap.rows import Rows, device_codes
from growth.heatmap.sums import ECHO_MS, POSITION
from growth.heatmap.tables import (
    Ask,
    Scope,
    arms_of,
    asked_pages,
    element_status,
    on_page,
    read_log,
)
from growth.result import Notice
from growth.stats.arguments import names_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from numpy.typing import NDArray

    from growth.engine import TableLike

__all__ = ["compare"]


def compare(
    table: TableLike,
    *,
    arms: tuple[str, str] | None = None,
    planned: Mapping[str, float] | None = None,
    kind: str = "elements",
    cell_rpx: int = 50,
    strata: Sequence[str] = ("platform",),
    randomised: bool = True,
    rounds: int = ROUNDS,
    seed: int = 0,
    alpha: float = 0.05,
    device_class: str = "phone",
    echo_ms: int = ECHO_MS,
    **scope: Unpack[Scope],
) -> Comparison:
    """Compare where users of two arms tap on one page.

    Parameters
    ----------
    table : ibis.Table, frame, Arrow data or path
        Events: taps and page views.
    arms : tuple of (str, str), optional
        The two arms, control first; may be left out where there are two.
    planned : mapping of str to float, optional
        Weight of each arm; equal if omitted.
    kind : {"elements", "cells"}, default "elements"
        What is compared. Where the variant moved elements, cells only say
        "position": elements lead.
    cell_rpx : int, default 50
        Side of the cells.
    strata : sequence of str, default ("platform",)
        Columns within whose values arms are permuted; those missing are passed
        over.
    randomised : bool, default True
        Whether chance made the arms; else there is a difference, never an effect.
    rounds : int, default 1,999
        Permutations.
    seed : int, default 0
        Of them.
    alpha : float, default 0.05
        Level of the overall test, and of false discoveries among items.
    device_class : {"phone", "tablet", "wide"}, default "phone"
        Devices that are read.
    echo_ms : int, default 100
        As in `aggregate`.
    **scope
        `assignments` (needed) and `exp_id`; page, period, filter, columns: `Scope`.

    Returns
    -------
    Comparison
        The unit is the user; each arm's users are those assigned who viewed the
        page. Users in two arms are in neither, and counted.

    Raises
    ------
    ColumnNotFoundError
        If a column is missing.
    ParameterError
        If arms, page or kind are not named or unknown (``unknown_arm``,
        ``unknown_page``, ``unknown_kind``), no arms are given
        (``assignments_needed``), or a breakdown is (``bad_by``).
    DataError
        If an arm has nobody on the page (code ``no_units``), or as in `aggregate`.
    """
    cols, wanted = check_cell(cell_rpx), check_device(device_class)
    cell_rpx = int(cell_rpx)
    if kind not in ("elements", "cells"):
        msg = f"kind is {kind!r}; it must be 'elements' or 'cells'; name one."
        raise ParameterError(msg, code="unknown_kind")
    ask = Ask.of(scope)
    if ask.columns:
        msg = f"by is {list(ask.columns)}; a comparison must be of one page as a whole;"
        msg = f"{msg} leave by out, or name each value's rows with where=."
        raise ParameterError(msg, code="bad_by")
    if ask.assignments is None:
        msg = "assignments is missing; it must say each user's arm; pass"
        msg = f"{msg} assignments=data.assignments."
        raise ParameterError(msg, code="assignments_needed")
    from growth import engine

    names = [*POSITION, "win_h_px", "page_h_px", "platform", "phase", "event_id"]
    needed = ("element_id",) if kind == "elements" else POSITION
    source = engine.as_table(table)
    layers = ask._replace(
        by=tuple(n for n in names_of(strata, "strata") if n in source.columns)
    )
    log = read_log(source, layers, ("tap", "page_view"), [*names, "element_id"],
               "the comparison", needed)  # fmt: skip
    log = log.take(asked_pages(log, ask))
    page = _only_page(log)
    if len(log["win_w_px"]):
        log = log.take(
            (device_codes(log) == CLASSES.index(wanted)) | ~(log["win_w_px"] > 0)
        )
    arm, known, crossed = arms_of(log.users, ask)
    pair = _two_arms(known, arms)
    code = np.full(len(log.users), -1, np.int8)
    for i, name in enumerate(pair):
        code[arm == known.index(name)] = i
    views = log.take(log["kind"] == VIEW)
    taps = log.take(log["kind"] == TAP)
    seen = np.zeros(len(log.users), bool)
    seen[views.user if len(views) else taps.user] = True
    keep = seen & (code >= 0)
    # a user's stratum is the smallest of those seen
    layer = np.full(len(log.users), np.iinfo(np.int32).max, np.int32)
    values = [g[1:] for g in log.groups]
    ranks = {v: i for i, v in enumerate(sorted(set(values), key=str))}
    number = np.array([ranks[v] for v in values], np.int32)
    np.minimum.at(layer, log.user, number[log.group])
    dense = np.cumsum(keep) - 1
    item, user, labels = _items(taps, log, kind, cols, cell_rpx, wanted, echo_ms)
    mine = keep[user]
    found, people, _ = each_pair(item[mine], dense[user[mine]])
    weights = planned or dict.fromkeys(pair, 1.0)
    notices = [] if len(views) else [Notice("no_page_views", "info")]
    result = compare_from_pairs(
        found.astype(np.int32),
        people.astype(np.int32),
        code[keep],
        names=labels,
        arms=pair,
        strata=layer[keep],
        rounds=rounds,
        seed=seed,
        planned=tuple(weights.get(name, 0.0) for name in pair),
        alpha=alpha,
        page=page,
        kind=kind,
        cell_rpx=cell_rpx if kind == "cells" else 0,
        randomised=randomised,
        crossovers=crossed,
    )
    return replace(result, notices=(*result.notices, *notices))


def _only_page(log: Rows) -> str:
    pages = [str(log.pages[i]) for i in np.unique(log.page).tolist()]
    if len(pages) != 1:
        msg = f"{len(pages)} pages are read ({pages[:6]}); a comparison must be of one;"
        raise ParameterError(f"{msg} name it with page=.", code="unknown_page")
    return pages[0]


def _two_arms(known: tuple[str, ...], arms: tuple[str, str] | None) -> tuple[str, str]:
    asked = arms or known
    strange = [name for name in asked if name not in known]
    if len(asked) != 2 or strange or asked[0] == asked[1]:
        hint = suggest(strange[0], known) if strange else ""
        msg = f"arms is {list(asked)}; it must name two of {list(known)}, control"
        msg = f"{msg} first; pass arms=({known[0]!r}, ...).{hint}"
        raise ParameterError(msg, code="unknown_arm")
    return asked[0], asked[1]


def _items(
    taps: Rows,
    log: Rows,
    kind: str,
    cols: int,
    cell_rpx: int,
    wanted: str,
    echo_ms: int,
) -> tuple[NDArray[np.int64], NDArray[np.int32], list[str]]:
    """Return item and user of each tap, and the items' names."""
    if kind == "elements":
        status = element_status(taps, wanted, echo_ms)
        kept = taps.take((status == 0) & (taps["element_id"] >= 0))
        return (
            kept["element_id"].astype(np.int64),
            kept.user,
            list(log.texts["element_id"]),
        )
    kept, _ = on_page(taps, wanted, echo_ms)
    col, row = bins(kept["x_px"], kept["y_px"], kept["win_w_px"], cell_rpx=cell_rpx)
    found, item = np.unique(row * cols + col, return_inverse=True)
    return item, kept.user, [f"{c % cols},{c // cols}" for c in found.tolist()]
