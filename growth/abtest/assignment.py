"""Who gets which arm? The same answer in a service, in SQL and next year."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final, Literal

from growth.errors import DataError, ParameterError, suggest
from growth.stats.hashing import bucket_of, bucket_ranges, growthbook_place, place

if TYPE_CHECKING:
    from collections.abc import Iterable

    from growth.abtest.experiment import Experiment
    from growth.engine import TableLike

__all__ = ["Scheme", "assign", "assign_many", "overlapping"]

Scheme = Literal["sha256", "growthbook"]
SCHEMES: Final = ("sha256", "growthbook")
LAYER_SALT: Final = ""  # of a unit's place in its layer; no experiment can have it


def assign(
    unit: str | int,
    experiment: Experiment,
    *,
    scheme: Scheme = "sha256",
    version: Literal[1, 2] = 2,
) -> str | None:
    """Return the arm a unit belongs to; it never changes and nothing is stored.

    Parameters
    ----------
    unit : str or int
        The id of what is randomised: a user, a device, a cluster. A number counts
        as its decimal digits.
    experiment : Experiment
        Its arms, weights, layer, salt, coverage and range. Dates are not looked at.
    scheme : {"sha256", "growthbook"}, default "sha256"
        How ids are hashed. ``growthbook`` gives what GrowthBook's SDKs give for a
        seed equal to the salt and a namespace named like the layer.
    version : {1, 2}, default 2
        GrowthBook's hash version.

    Returns
    -------
    str or None
        The arm, as declared; None if the unit takes no part.

    Raises
    ------
    DataError
        If the id is empty or neither text nor a number (code ``bad_unit``), or
        holds U+001F (``separator_in_id``); under ``growthbook``, if it is not
        ASCII (``non_ascii_id``).
    ParameterError
        If `scheme` (code ``unknown_scheme``) or `version` (``unknown_version``) is
        unknown.

    Notes
    -----
    A unit's place u is the first 13 hex digits of ``sha256(layer + U+001F + salt +
    U+001F + unit)`` over 2**52. Arm j owns ``[W, W + coverage w)`` with w its share
    of the weights and W that of the arms before it, so raising the coverage moves
    nobody. Whether the unit lies in the experiment's `range` is decided by another
    place, with an empty salt: the layer's own, the same for all its experiments,
    which is why disjoint ranges keep them apart and arms stay independent of it.

    Examples
    --------
    >>> from growth.abtest import Experiment, Metric
    >>> goal = Metric(name="paid", kind="proportion", role="goal")
    >>> arms = {"old": 1, "new": 1}
    >>> test = Experiment(id="首页按钮", control="old", arms=arms, metrics=(goal,))
    >>> assign("用户一", test)
    'old'
    """
    if scheme not in SCHEMES:
        _refuse_scheme(scheme)
    text = _text(unit)
    salt, layer = experiment.salt or experiment.id, experiment.layer
    low, high = experiment.range
    if low > 0 or high < 1:
        if scheme == "growthbook":
            inside = growthbook_place(text, seed=f"__{layer}", version=1)
        else:
            inside = place(text, salt=LAYER_SALT, layer=layer)
        if not low <= inside < high:
            return None
    if scheme == "growthbook":
        at = growthbook_place(text, seed=salt, version=version)
    else:
        at = place(text, salt=salt, layer=layer)
    arms = experiment.arms
    found = bucket_of(at, _ranges(tuple(arms.values()), experiment.coverage))
    return None if found is None else tuple(arms)[found]


def assign_many(
    units: TableLike,
    experiment: Experiment,
    *,
    unit_col: str | None = None,
    variant_col: str | None = None,
) -> Any:  # noqa: ANN401  (a lazy Ibis table)
    """Add every unit's arm to a table, computed by its engine.

    Parameters
    ----------
    units : ibis.Table, frame, Arrow data or path
        Any rows; ids are text or whole numbers, without U+001F.
    experiment : Experiment
        As in `assign`.
    unit_col : str, optional
        The column of ids; the experiment's if omitted.
    variant_col : str, optional
        The column to add; the experiment's if omitted.

    Returns
    -------
    ibis.Table
        The table, lazy, with one more column: what `assign` gives each row's unit,
        NULL if it takes no part or the id is NULL or empty.

    Raises
    ------
    ColumnNotFoundError
        If the table has no column of ids.
    ParameterError
        If it has the column to add already (code ``column_twice``).
    DataError
        If ids are neither text nor whole numbers (code ``column_type``).

    Notes
    -----
    Only the default scheme: SQL has no FNV hash. For GrowthBook's, call `assign`
    unit by unit.
    """
    from growth import engine

    table = engine.as_table(units)
    unit = unit_col or experiment.columns.unit
    variant = variant_col or experiment.columns.variant
    engine.need_columns(table, (unit,))
    if variant in table.columns:
        msg = f"the table has a column {variant!r} already; the arms need a new one;"
        raise ParameterError(f"{msg} pass another variant_col.", code="column_twice")
    ids = table[unit]
    if not (ids.type().is_string() or ids.type().is_integer()):
        msg = f"column {unit!r} is of type {ids.type()}; ids must be text or whole"
        raise DataError(f"{msg} numbers; convert it.", code="column_type")
    arms = experiment.arms
    ranges = _ranges(tuple(arms.values()), experiment.coverage)
    arm = engine.stable_label(
        ids,
        dict(zip(arms, ranges, strict=True)),
        layer=experiment.layer,
        salt=experiment.salt or experiment.id,
    )
    if experiment.range != (0, 1):
        inside = engine.stable_label(
            ids, {"in": experiment.range}, layer=experiment.layer, salt=LAYER_SALT
        )
        arm = inside.notnull().ifelse(arm, arm.nullif(arm))
    return table.mutate(**{variant: arm})


def overlapping(experiments: Iterable[Experiment]) -> tuple[tuple[str, str], ...]:
    """Return which experiments of one layer share units.

    Parameters
    ----------
    experiments : iterable of Experiment
        Those that run at the same time.

    Returns
    -------
    tuple of (str, str)
        Ids of each pair in one layer whose ranges overlap; empty if none do.
        Between layers units are shared by design, and independently.
    """
    return tuple(
        (one.id, two.id)
        for one, two in combinations(experiments, 2)
        if one.layer == two.layer
        and max(one.range[0], two.range[0]) < min(one.range[1], two.range[1])
    )


@lru_cache(maxsize=256)
def _ranges(
    weights: tuple[float, ...], coverage: float
) -> tuple[tuple[float, float], ...]:
    return bucket_ranges(weights, coverage=coverage)


def _text(unit: object) -> str:
    if isinstance(unit, str) and unit:
        return unit
    if isinstance(unit, int) and not isinstance(unit, bool):
        return str(unit)
    msg = f"unit is {unit!r}; it must be a text of one character or more, or a whole"
    raise DataError(f"{msg} number; leave units without an id out.", code="bad_unit")


def _refuse_scheme(scheme: object) -> None:
    msg = f"scheme is {scheme!r}; it must be one of {', '.join(SCHEMES)}; name one."
    raise ParameterError(f"{msg}{suggest(str(scheme), SCHEMES)}", code="unknown_scheme")
