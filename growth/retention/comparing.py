"""Arms or cohorts against each other: which kept more users."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from growth.errors import DataError, Fault, ParameterError, suggest
from growth.result import Cell, Estimate, Notice, Result
from growth.retention.spec import one_of
from growth.stats.counts import chi2_goodness_of_fit
from growth.stats.multiplicity import adjust as adjusted
from growth.stats.proportions import Share, low_counts, newcombe, pooled_z

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from growth.retention.triangle import RetentionResult

    Ints = NDArray[np.int64]
    _Arm = tuple[Ints, Ints, NDArray[np.bool_]]

__all__ = ["RetentionComparison", "RetentionContrast", "compare"]

ALPHA: Final = 0.05
SPLIT_ALPHA: Final = 0.01
MOST_BY_HOLM: Final = 20  # contrasts; more are adjusted by their false-discovery rate
COHORT: Final = "cohort"
Adjust = Literal["holm", "bh", "none"]


@dataclass(frozen=True, slots=True)
class RetentionContrast:
    """One arm against the baseline at one offset.

    Parameters
    ----------
    k : int
        The offset.
    arm : str
        Its name; NULL is ``"NULL"``.
    n, retained, rate
        Users in its cohorts complete at k, those who came back, and their share.
    n_baseline, retained_baseline, rate_baseline
        The same of the baseline.
    difference : float or None
        ``rate - rate_baseline``, a share.
    low, high : float or None
        Its 95 % interval by Newcombe.
    lift : float or None
        The difference as a share of the baseline's rate.
    p_value, p_adj : float or None
        Of the pooled two-sided z test, and adjusted over all contrasts.
    """

    k: int
    arm: str
    n: int
    retained: int
    rate: float | None
    n_baseline: int
    retained_baseline: int
    rate_baseline: float | None
    difference: float | None
    low: float | None
    high: float | None
    lift: float | None
    p_value: float | None
    p_adj: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionComparison(Result):
    """Arms, or cohorts, compared at some offsets.

    Parameters
    ----------
    by : str
        What tells the arms apart: a breakdown column, or ``cohort``.
    baseline : str
        The arm compared with.
    contrasts : tuple of RetentionContrast
        By offset, then by arm.
    units : tuple of (str, int)
        Users by arm, over all cohorts.
    adjust : str
        How p-values are adjusted: ``holm``, ``bh`` or ``none``.
    split_p_value : float, optional
        Of the planned split of users, where it was given.
    split_alpha : float
        Below it the split is a mismatch, and then the verdict.
    """

    by: str
    baseline: str
    contrasts: tuple[RetentionContrast, ...]
    units: tuple[tuple[str, int], ...]
    adjust: str
    split_p_value: float | None = None
    split_alpha: float = SPLIT_ALPHA

    @property
    def verdict(self) -> str:
        """`retention.compare.`: `split_mismatch`, `too_young`, `differs` or `alike`."""
        known = [c.p_adj for c in self.contrasts if c.p_adj is not None]
        if self.split_p_value is not None and self.split_p_value < self.split_alpha:
            word = "split_mismatch"
        elif not known:
            word = "too_young"
        else:
            word = "differs" if min(known) < ALPHA else "alike"
        return f"retention.compare.{word}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a contrast."""
        return [asdict(contrast) for contrast in self.contrasts]

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the differences."""
        return tuple(
            Estimate(
                key="retention.difference",
                by=(("arm", c.arm), ("k", str(c.k))),
                value=c.difference,
                lo=c.low,
                hi=c.high,
                level=1 - ALPHA,
                p_value=c.p_value,
                n=c.n + c.n_baseline,
                unit="share",
                method="newcombe",
            )
            for c in self.contrasts
        )


def compare(
    result: RetentionResult,
    *,
    by: str,
    baseline: str,
    at: Sequence[int] = (1, 7, 30),
    adjust: Adjust = "holm",
    expected_shares: Mapping[str, float] | None = None,
    split_alpha: float = SPLIT_ALPHA,
) -> RetentionComparison:
    """Compare arms or cohorts of one measurement.

    Parameters
    ----------
    result : RetentionResult
        With a ``first_*`` mode, so that a user is in one cohort.
    by : str
        A breakdown column of `result`, or ``"cohort"`` for its cohorts. Other
        breakdown columns are summed over.
    baseline : str
        The arm, or the cohort (its first day), compared with.
    at : sequence of int, default (1, 7, 30)
        Offsets. Those beyond the horizon, or complete for no cohort of both arms,
        are left out with a notice.
    adjust : {"holm", "bh", "none"}
        Adjustment over all offsets and arms; with more than 20 of them ``holm``
        becomes ``bh``, with a notice.
    expected_shares : mapping of str to float, optional
        Planned weight of each arm, in any scale; those of `result` if omitted, but
        of cohorts. Users in another proportion are a sample-ratio mismatch, which
        is the verdict.
    split_alpha : float, default 0.01
        Level of that test, in (0, 1).

    Returns
    -------
    RetentionComparison
        One contrast an offset and arm, over the cohorts complete at the offset.

    Raises
    ------
    ParameterError
        If the mode is ``every`` (code ``mode``), `by` is no breakdown
        (``unknown_by``), the baseline is no arm (``unknown_arm``), an arm is not
        planned (``unplanned_arm``), an offset is below 1 or `split_alpha` not in
        (0, 1) (``range``), `expected_shares` is no mapping (``expected_shares``), or
        `adjust` is unknown (``unknown_adjust``).
    DataError
        If there is no user in a planned arm (``no_units``), or the column holds NULL
        and the text "NULL" (``arms_alike``).

    Notes
    -----
    Difference: Newcombe's hybrid of Wilson intervals. Test: two-sided z with the
    pooled variance.
    """
    faults: list[Fault] = []
    one_of("adjust", adjust, Adjust, faults)
    offsets = _offsets(at, faults)
    if not (isinstance(split_alpha, (int, float)) and 0 < split_alpha < 1):
        faults.append(Fault("range", "split_alpha", repr(split_alpha), "in (0, 1)"))
    if expected_shares is not None and not isinstance(expected_shares, Mapping):
        shown = repr(expected_shares)
        hint = "Write {'A': 1, 'B': 1}."
        faults.append(
            Fault("expected_shares", "expected_shares", shown, "a mapping", hint)
        )
    if faults:
        raise ParameterError.of("the comparison", faults)
    if result.spec.mode == "every":
        msg = "mode is 'every': a user is in several cohorts, so arms are not apart; it"
        msg += " must be one of the first modes; measure with mode='first_in_range'."
        raise ParameterError(msg, code="mode")
    arms = _arms(result, by)
    if baseline not in arms:
        msg = (
            f"baseline is {baseline!r}; it must be one of {list(arms)[:20]}; name one."
        )
        raise ParameterError(msg + suggest(str(baseline), arms), code="unknown_arm")
    columns = {k: c for c, k in enumerate(result.spec.offsets)}
    found: list[RetentionContrast] = []
    skipped = [k for k in offsets if k not in columns]
    for k in (k for k in offsets if k in columns):
        pairs = [
            _contrast(arms[baseline], arm, name, k, columns[k])
            for name, arm in arms.items()
            if name != baseline
        ]
        whole = [pair for pair in pairs if pair.n and pair.n_baseline]
        found += whole
        if not whole:
            skipped.append(k)
    method = "bh" if adjust == "holm" and len(found) > MOST_BY_HOLM else adjust
    p_adj = adjusted([c.p_value for c in found], method).p_adj if found else ()
    contrasts = tuple(replace(c, p_adj=p) for c, p in zip(found, p_adj, strict=True))
    units = tuple((name, int(arm[0].sum())) for name, arm in arms.items())
    own = None if by == COHORT else result.spec.expected_shares  # of arms, not days
    planned = dict(expected_shares or own or {})
    notices = _notices(contrasts, skipped, by=by, switched=method != adjust)
    return RetentionComparison(
        by=by,
        baseline=baseline,
        contrasts=contrasts,
        units=units,
        adjust=method,
        split_p_value=_split(dict(units), planned) if planned else None,
        split_alpha=split_alpha,
        notices=tuple(notices),
    )


def _offsets(at: object, faults: list[Fault]) -> list[int]:
    """Return the offsets asked for, each once; note what is wrong with them."""
    if isinstance(at, str) or not isinstance(at, Iterable):
        faults.append(Fault("range", "at", repr(at), "a list of offsets, as [1, 7]"))
        return []
    found = list(dict.fromkeys(at))
    for k in found:
        whole = hasattr(k, "__index__") and not isinstance(k, bool)
        if not whole or k < 1:
            hint = "Offset 0 is the cohort itself."
            faults.append(Fault("range", "at", repr(k), "1 or more, whole", hint))
            break
    return found


def _arms(result: RetentionResult, by: str) -> dict[str, _Arm]:
    """Return sizes, users back and completeness by arm, in their order."""
    if by == COHORT:
        size, kept, complete = result.counts()
        return {
            name: (size[i : i + 1], kept[i : i + 1], complete[i : i + 1])
            for i, name in enumerate(result.cohorts)
        }
    if by not in result.spec.by:
        known = [*result.spec.by, COHORT]
        msg = f"by is {by!r}; the result has {known}; name one, or measure again with"
        msg += f" by={by!r}.{suggest(by, known)}"
        raise ParameterError(msg, code="unknown_by")
    at = result.spec.by.index(by)
    arms: dict[str, _Arm] = {}
    values: dict[str, str | None] = {}
    for g, group in enumerate(result.groups):
        name = "NULL" if group[at] is None else str(group[at])
        if values.setdefault(name, group[at]) != group[at]:
            msg = f"column {by!r} holds both NULL and the text {name!r}; arms must have"
            msg += " names of their own; rename the text, or fill the NULLs."
            raise DataError(msg, code="arms_alike")
        size, kept, complete = result.counts(g)
        if name in arms:
            size, kept = size + arms[name][0], kept + arms[name][1]
        arms[name] = (size, kept, complete)
    return arms


def _contrast(
    base: _Arm, arm: _Arm, name: str, k: int, column: int
) -> RetentionContrast:
    shares = []
    for size, kept, complete in (base, arm):
        used = complete[:, column]
        shares.append(Share(int(kept[used, column].sum()), int(size[used].sum())))
    control, treatment = shares
    tested = newcombe(control, treatment)
    low, high = tested.interval(ALPHA) or (None, None)
    p = pooled_z(control, treatment).p_value if control.n and treatment.n else None
    return RetentionContrast(
        k=k,
        arm=name,
        n=treatment.n,
        retained=int(treatment.successes),
        rate=treatment.rate,
        n_baseline=control.n,
        retained_baseline=int(control.successes),
        rate_baseline=control.rate,
        difference=tested.estimate,
        low=low,
        high=high,
        lift=tested.lift,
        p_value=p,
        p_adj=None,
    )


def _split(units: Mapping[str, int], planned: Mapping[str, float]) -> float:
    """Return the p-value of the planned split."""
    if stray := sorted(name for name, n in units.items() if n and name not in planned):
        msg = f"arm {stray[0]!r} is not planned; expected_shares has {list(planned)};"
        msg += f" add it or filter it out.{suggest(stray[0], planned)}"
        raise ParameterError(msg, code="unplanned_arm")
    seen = [units.get(name, 0) for name in planned]
    total, whole = sum(seen), sum(planned.values())
    if not total:
        msg = f"no user is in {list(planned)}; a split needs some; check the range."
        raise DataError(msg, code="no_units")
    expected = [total * weight / whole for weight in planned.values()]
    return chi2_goodness_of_fit(seen, expected).p_value


def _notices(
    contrasts: Sequence[RetentionContrast],
    skipped: Sequence[int],
    *,
    by: str,
    switched: bool,
) -> list[Notice]:
    found = [Notice("not_randomised")] if by == COHORT else []
    if switched:
        args: tuple[tuple[str, Cell], ...] = (("contrasts", len(contrasts)),)
        found.append(Notice("adjusted_by_bh", "info", args))
    if skipped:
        args = (("offsets", ", ".join(map(str, sorted(skipped)))),)
        found.append(Notice("offsets_left_out", "info", args))
    few = [
        c
        for c in contrasts
        if low_counts(Share(c.retained, c.n), Share(c.retained_baseline, c.n_baseline))
    ]
    if few:
        found.append(Notice("few_events"))
    return found
