"""Several arms read as one: a declaration of fewer arms, moments merged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from growth.abtest.cells import ArmCell, pooled
from growth.errors import ParameterError, suggest
from growth.stats.counts import chi2_independence

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from growth.abtest.experiment import Experiment

__all__ = ["mixed", "pool_cells", "pool_experiment", "within_days"]

MIXED_ALPHA: Final = 0.001  # asked once a pooling; a false alarm costs little


def pool_experiment(
    experiment: Experiment, pool: Mapping[str, Sequence[str]]
) -> Experiment:
    """Return the declaration with several arms taken as one.

    Parameters
    ----------
    experiment : Experiment
        The original, on whose arms the split is checked.
    pool : mapping of str to sequence of str
        The pooled arms by the name they get.

    Returns
    -------
    Experiment
        A pooled arm stands where the first of its arms stood, with their weight.

    Raises
    ------
    ParameterError
        If an arm is unknown, closed, or pooled twice, a control is pooled with a
        treatment, or a name is taken (code ``bad_pool``).
    """
    seen: dict[str, str] = {}
    named = isinstance(pool, Mapping) and bool(pool)
    if not named or any(isinstance(arms, str) or not arms for arms in pool.values()):
        msg = f"pool is {pool!r}; it must name lists of arms; write it as"
        raise ParameterError(f"{msg} {{'both': ['b', 'c']}}.", code="bad_pool")
    for name, arms in pool.items():
        for arm in arms:
            what = None
            if not experiment.arms.get(arm):
                what = f"holds {arm!r}, which is no open arm"
                what += suggest(str(arm), experiment.arms)
            elif arm in seen:
                what = f"holds {arm!r} twice"
            elif arm == experiment.control and len(arms) > 1:
                what = f"puts the control {arm!r} together with others"
            if what:
                msg = f"pool[{name!r}] {what}; each arm may be in one pool, with arms"
                msg += f" of its kind; the open arms are {_opened(experiment)}."
                raise ParameterError(msg, code="bad_pool")
            seen[arm] = name
    weights: dict[str, float] = {}
    for arm, weight in experiment.arms.items():
        name = seen.get(arm, arm)
        if arm not in seen and arm in pool:
            msg = f"pool names {arm!r}, which is an arm of its own; a pool needs a name"
            raise ParameterError(f"{msg} no arm has; choose one.", code="bad_pool")
        weights[name] = weights.get(name, 0) + weight
    control = seen.get(experiment.control, experiment.control)
    return replace(experiment, arms=weights, control=control)


def _opened(experiment: Experiment) -> list[str]:
    return [arm for arm, weight in experiment.arms.items() if weight]


def pool_cells(
    cells: Iterable[ArmCell], pool: Mapping[str, Sequence[str]]
) -> list[ArmCell]:
    """Return cells of the pooled arms, moments merged.

    Parameters
    ----------
    cells : iterable of ArmCell
        Units by original arm, or by arm and segment.
    pool : mapping of str to sequence of str
        As in `pool_experiment`.

    Returns
    -------
    list of ArmCell
        As if the arms had been one in the table.
    """
    names = {arm: name for name, arms in pool.items() for arm in arms}
    groups: dict[tuple[object, ...], list[ArmCell]] = defaultdict(list)
    for cell in cells:
        arm = names.get(str(cell.key[0]), cell.key[0])
        groups[cell.by, arm, *cell.key[1:]].append(cell)
    return [
        ArmCell(parts[0].by, key[1:], sum(p.rows for p in parts), pooled(parts))
        for key, parts in groups.items()
    ]


def mixed(counts: Iterable[tuple[object, str, int]]) -> bool:
    """Return whether the arms' shares changed over the days.

    Parameters
    ----------
    counts : iterable of (day, arm, units)
        Units of the open arms by day of first exposure.

    Returns
    -------
    bool
        By the chi-square test of independence, at 0.001.
    """
    days: dict[object, dict[str, int]] = defaultdict(dict)
    for day, arm, units in counts:
        days[day][arm] = units
    arms = list(dict.fromkeys(arm for row in days.values() for arm in row))
    table = [[row.get(arm, 0) for arm in arms] for row in days.values()]
    test = chi2_independence(table)
    return test is not None and test.p_value < MIXED_ALPHA


def within_days(experiment: Experiment) -> Experiment:
    """Return the declaration with every metric stratified by day of exposure.

    Parameters
    ----------
    experiment : Experiment
        One whose arms' shares changed over the days: pooled over days, an effect
        of the day would pass for one of the arm.

    Returns
    -------
    Experiment
        Without covariates; quantiles stay as they are.
    """
    metrics = tuple(
        m
        if m.kind == "quantile"
        else replace(m, covariates=(), test="wald", stratify=experiment.columns.day)
        for m in experiment.metrics
    )
    return replace(experiment, metrics=metrics, stratify=None)
