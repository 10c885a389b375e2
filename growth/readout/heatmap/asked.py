"""What the readout asks of one page, and what it concludes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from growth.charts.figures import count, p_value, percent
from growth.labels import label
from growth.readout.model import Decision, Reason

if TYPE_CHECKING:
    from growth.dataset import Dataset
    from growth.heatmap import (
        Comparison,
        Elements,
        FirstScreen,
        Frustration,
        Heatmap,
    )
    from growth.readout.catalog import HeatmapParams
    from growth.result import Result

__all__ = ["by_arm", "compared", "decided_on", "results_of"]

LEAST_USERS: Final = 30
RAGE_RATE: Final = 0.01  # of viewers: from here on a rage spot is told at the top


def by_arm(opened: Dataset, params: HeatmapParams) -> Heatmap | None:
    """Map the page by arm of the experiment; None where none is named.

    Parameters
    ----------
    opened : Dataset
        With `events` and `assignments`.
    params : HeatmapParams
        What is asked.

    Returns
    -------
    Heatmap or None
        One grid an arm.
    """
    from growth import heatmap

    if not params.experiment_id:
        return None
    return heatmap.aggregate(
        opened.events,
        users=True,
        pairs=True,
        by="variant",
        assignments=opened.assignments,
        exp_id=params.experiment_id,
        **params.map_scope(),
    )


def compared(
    opened: Dataset, params: HeatmapParams, kind: str = "elements"
) -> Comparison | None:
    """Compare the experiment's arms on the page; None where none is named.

    Parameters
    ----------
    opened : Dataset
        With `events` and `assignments`.
    params : HeatmapParams
        What is asked.
    kind : {"elements", "cells"}
        What is compared.

    Returns
    -------
    Comparison or None
        As `heatmap.compare`.
    """
    from growth import heatmap

    if not params.experiment_id:
        return None
    return heatmap.compare(
        opened.events,
        assignments=opened.assignments,
        exp_id=params.experiment_id,
        kind=kind,
        **params.scope(),
    )


def decided_on(
    taps: Heatmap,
    first: FirstScreen,
    ranks: Elements,
    anger: Frustration,
    moved: Comparison | None,
) -> Decision:
    """Say whether the page wants attention, and why.

    Parameters
    ----------
    taps, first, ranks, anger : results
        Of one page.
    moved : Comparison, optional
        Of two arms.

    Returns
    -------
    Decision
        ``warn`` where something is to be mended, ``good`` where nothing is, ``few``
        where too few users tapped, ``broken`` where the arms' split is.
    """
    reasons: list[Reason] = []
    if moved is not None:
        word = moved.verdict.rpartition(".")[2]
        told = (("items", count(len(moved.found))), ("p", p_value(moved.p_value)))
        reasons.append(Reason(f"arms_{word}", told))
    core = first.pages[0] if first.pages else None
    if core is None or core.share.users < LEAST_USERS:
        return Decision(verdict="heatmap.page.few", reasons=tuple(reasons))
    dead = tuple(
        Reason("dead_element", (("element", i.element_id), ("ctr", percent(i.ctr))))
        for i in ranks.dead
    )
    rage = tuple(
        Reason(
            "rage_spot",
            (
                ("element", s.element_id or label("chart.heatmap.blank")),
                ("users", count(s.users)),
                ("rate", percent(s.user_rate)),
            ),
        )
        for s in anger.of("rage")
        if (s.user_rate or 0) >= RAGE_RATE
    )
    args = (("rate", percent(core.share.rate)), ("target", percent(first.target)))
    aim = Reason(f"core_{core.verdict}", args)
    wrong = bool(
        dead or rage or core.verdict == "below" or taps.verdict.endswith("page")
    )
    broken = moved is not None and moved.verdict.endswith("mismatch")
    word = "broken" if broken else "warn" if wrong else "good"
    return Decision(
        verdict=f"heatmap.page.{word}", reasons=(*reasons, *dead, *rage, aim)
    )


def results_of(**found: Result | None) -> dict[str, Result]:
    """Return the results that there are, by name.

    Parameters
    ----------
    **found : Result or None
        Results by name.

    Returns
    -------
    dict of str to Result
        Those that are not None, in their order.
    """
    return {name: result for name, result in found.items() if result is not None}
