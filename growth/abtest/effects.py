"""One effect: what an arm did to a metric, its numbers, and the families it is in."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from growth.abtest.cells import By  # noqa: TC001  (a result's types can be read at run time)
from growth.result import Cell, Estimate
from growth.stats.bayes import Posterior, lift_posterior
from growth.stats.contrast import ArmEstimate, Contrast
from growth.stats.multiplicity import adjust

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from growth.abtest.experiment import Experiment, Metric
    from growth.abtest.plans import Look
    from growth.stats.multiplicity import Method

__all__ = ["PRIOR", "Draft", "Effect", "adjusted", "draft_of", "estimates_of", "row_of"]

Draft = dict[str, Any]

FAMILIES: Final[Mapping[str, Method]] = {
    "goal": "holm",
    "guardrail": "none",
    "diagnostic": "bh",
    "segment": "bh",
    "twin": "bh",
}
_ENDS: Final = ("ci_low", "ci_high", "lift_low", "lift_high")
_ADJUSTED_ENDS: Final = ("ci_adj_low", "ci_adj_high", "lift_adj_low", "lift_adj_high")
PRIOR: Final = (0.0, 0.3)  # of the lift: mean and standard deviation


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One metric, one treatment arm against control, in total or in one segment.

    Parameters
    ----------
    metric, role, arm, control : str
        What is compared.
    by : tuple of (str, str or None)
        The segment as column-value pairs; empty for the total.
    good : {"up", "down"}
        Which way is an improvement.
    unit : str
        How values are written: ``share``, ``fen``, ``count``, ``ms``.
    n_control, n_treatment : int
        Units with a value.
    mean_control, mean_treatment : float or None
        Means, shares or ratios; adjusted for covariates where `method` says so.
    se_control, se_treatment : float or None
        Their standard errors.
    df_treatment : float
        Degrees of freedom of `se_treatment`; None if infinite or unknown.
    estimate, se, ci_low, ci_high : float or None
        Treatment minus control, in the metric's unit.
    lift, lift_low, lift_high : float or None
        The same relative to the size of the control.
    p_value : float or None
        Two-sided.
    p_adj, ci_adj_low, ci_adj_high, lift_adj_low, lift_adj_high : float or None
        Adjusted for multiplicity: the interval leaves out 0 exactly when
        `p_adj` is at most alpha.
    level : float or None
        Coverage of the adjusted interval, in (0, 1).
    method : str
        ``welch``, ``wald``, ``pooled``, ``delta``, ``lin_hc2``, ``lin_moments``,
        ``cuped``, ``post_stratified``, ``quantile``, ``clusters`` and so on.
    margin : float, optional
        Largest loss one can bear, as declared.
    margin_kind : {"relative", "absolute"}
        The scale of `margin`.
    p_noninferior : float, optional
        One-sided, of "worse by the margin or more"; held against half the level.
    capped : bool, optional
        Whether values beyond the thresholds counted as the thresholds; None where
        the metric has no cap.
    cap_low, cap_high : float, optional
        The thresholds (a ratio's are those of its numerator).
    twin : bool
        Whether it only stands beside the row that decides.
    plan : {"fixed", "group_sequential", "always_valid", "hybrid"}
        What the intervals and p-values are valid under.
    nominal : float, optional
        The level at which the plan reads an ordinary interval at this look: alpha
        itself under a fixed plan; None where nothing can be concluded yet.
    statistic : float, optional
        Estimate over its standard error (t or z).
    critical : float, optional
        Under a sequential plan, what `statistic` is held against at this look, at
        the level of the adjusted interval; None where nothing can be concluded yet.
    """

    metric: str
    role: str
    by: By = ()
    arm: str
    control: str
    good: str
    unit: str
    n_control: int
    n_treatment: int
    mean_control: float | None
    mean_treatment: float | None
    se_control: float | None
    se_treatment: float | None
    df_treatment: float | None
    estimate: float | None
    se: float | None
    ci_low: float | None
    ci_high: float | None
    lift: float | None
    lift_low: float | None
    lift_high: float | None
    p_value: float | None
    p_adj: float | None = None
    level: float | None = None
    ci_adj_low: float | None = None
    ci_adj_high: float | None = None
    lift_adj_low: float | None = None
    lift_adj_high: float | None = None
    method: str
    margin: float | None = None
    margin_kind: str = "relative"
    p_noninferior: float | None = None
    capped: bool | None = None
    cap_low: float | None = None
    cap_high: float | None = None
    twin: bool = False
    plan: str = "fixed"
    nominal: float | None = None
    statistic: float | None = None
    critical: float | None = None

    @property
    def noninferior(self) -> bool | None:
        """Whether the adjusted interval clears the margin; None if unknown."""
        ends = self._against_margin()
        return None if ends is None else ends[0] > -ends[2]

    @property
    def equivalent(self) -> bool | None:
        """Whether the adjusted interval lies within the margin on both sides."""
        ends = self._against_margin()
        return None if ends is None else ends[0] > -ends[2] and ends[1] < ends[2]

    def _against_margin(self) -> tuple[float, float, float] | None:
        """Return the interval, turned so that up is good, and the margin."""
        low, high = self.lift_adj_low, self.lift_adj_high
        if self.margin_kind == "absolute":
            low, high = self.ci_adj_low, self.ci_adj_high
        if self.margin is None or low is None or high is None:
            return None
        ends = (low, high) if self.good == "up" else (-high, -low)
        return (*ends, self.margin)

    def posterior(
        self, prior: tuple[float, float] | None = PRIOR, *, alpha: float = 0.05
    ) -> Posterior | None:
        """Return what the lift is believed to be after the data.

        Parameters
        ----------
        prior : tuple of (float, float), or None
            Mean and standard deviation of the lift beforehand, as shares; None is
            flat.
        alpha : float, default 0.05
            The interval holds 1 - alpha, in (0, 1).

        Returns
        -------
        Posterior or None
            Winning is meant in the metric's good direction; `mean` and `interval`
            are of the lift as it is shown. None where the control is within 5
            standard errors of 0 (notice ``lift_unstable``).

        Raises
        ------
        ParameterError
            If the prior's standard deviation is not positive (``bad_scale``).
        """
        control, treatment = (
            ArmEstimate(n, value, None if se is None else se * se)
            for n, value, se in (
                (self.n_control, self.mean_control, self.se_control),
                (self.n_treatment, self.mean_treatment, self.se_treatment),
            )
        )
        mean, sd = prior or (0.0, None)
        pair = Contrast(control, treatment)
        found = lift_posterior(pair, prior_mean=mean, prior_sd=sd, alpha=alpha)
        if found is None or self.good == "up":
            return found
        return found._replace(
            chance_to_win=1 - found.chance_to_win,
            expected_loss_ship=found.expected_loss_keep,
            expected_loss_keep=found.expected_loss_ship,
        )

    @property
    def better(self) -> bool:
        """Whether the adjusted interval is wholly on the good side of 0."""
        low, high = self.ci_adj_low, self.ci_adj_high
        if low is None or high is None:
            return False
        return low > 0 if self.good == "up" else high < 0

    @property
    def harmful(self) -> bool:
        """Whether the adjusted interval lies wholly beyond the margin."""
        ends = self._against_margin()
        return ends is not None and ends[1] < -ends[2]

    @property
    def worse(self) -> bool:
        """Whether the adjusted interval is wholly on the bad side of 0."""
        low, high = self.ci_adj_low, self.ci_adj_high
        if low is None or high is None:
            return False
        return high < 0 if self.good == "up" else low > 0


def draft_of(
    metric: Metric,
    experiment: Experiment,
    by: By,
    arm: str,
    contrast: Contrast,
    method: str,
    look: Look,
) -> Draft:
    """Return an effect's fields, those of the adjustment still missing."""
    control, treatment = contrast.control, contrast.treatment
    low, high, lift_low, lift_high = _ends(contrast, experiment.alpha, look)
    df = treatment.df
    return {
        "metric": metric.name,
        "role": metric.role,
        "by": by,
        "arm": arm,
        "control": experiment.control,
        "good": metric.good,
        "unit": metric.written_as,
        "n_control": control.n,
        "n_treatment": treatment.n,
        "mean_control": control.value,
        "mean_treatment": treatment.value,
        "se_control": _root(control.variance),
        "se_treatment": _root(treatment.variance),
        "df_treatment": df if isfinite(df) and df > 0 else None,
        "estimate": contrast.estimate,
        "se": contrast.se,
        "ci_low": low,
        "ci_high": high,
        "lift": contrast.lift,
        "lift_low": lift_low,
        "lift_high": lift_high,
        "p_value": look.p_value(contrast),
        "method": method,
        "plan": look.plan.kind,
        "nominal": look.nominal(),
        "statistic": look.statistic(contrast),
    }


def _ends(
    contrast: Contrast, alpha: float, look: Look
) -> tuple[float | None, float | None, float | None, float | None]:
    """Return the ends of the interval, then those of the lift."""
    nominal = look.nominal(alpha)
    if nominal is None:
        return None, None, None, None
    read = look.read(contrast)
    low, high = read.interval(nominal) or (None, None)
    lift_low, lift_high = read.lift_interval(nominal) or (None, None)
    return low, high, lift_low, lift_high


def _root(variance: float | None) -> float | None:
    return None if variance is None else variance**0.5


def adjusted(
    found: Sequence[tuple[Draft, Contrast, Look]],
    experiment: Experiment,
    past: Mapping[tuple[str, str], Mapping[float, float | None]],
) -> tuple[Effect, ...]:
    """Adjust each family; what cannot be computed keeps its place as p = 1."""
    alpha = experiment.alpha
    families: dict[str, list[int]] = defaultdict(list)
    for i, (draft, *_) in enumerate(found):
        family = "segment" if draft["by"] else draft["role"]
        families["twin" if draft["twin"] else family].append(i)
    for family, places in families.items():
        drafts = [found[i][0] for i in places]
        apart = family == "goal" and experiment.scope == "metric"
        adjustment = adjust(
            [1.0 if d["p_value"] is None else d["p_value"] for d in drafts],
            FAMILIES[family],
            alpha,
            families=[d["metric"] if apart else None for d in drafts],
        )
        for i, draft, p_adj, level in zip(
            places, drafts, adjustment.p_adj, adjustment.level_alpha, strict=True
        ):
            if draft["p_value"] is None or level is None:
                continue
            _, contrast, look = found[i]
            draft["p_adj"], draft["level"] = p_adj, 1 - level
            ends = (
                tuple(draft[name] for name in _ENDS)
                if level == alpha
                else _ends(contrast, level, look)
            )
            draft.update(zip(_ADJUSTED_ENDS, ends, strict=True))
            if look.plan.sequential:
                draft["critical"] = look.critical(level)
                if not draft["by"] and not draft["twin"]:
                    z = past.get((draft["metric"], draft["arm"]), {})
                    _stop(draft, contrast, look.with_past(z), level)
    return tuple(Effect(**draft) for draft, *_ in found)


def _stop(draft: Draft, contrast: Contrast, look: Look, level: float) -> None:
    """Where the plan stops here, take the p-values of the stage-wise ordering."""
    stop = look.p_at_stop(contrast)
    if stop is not None:
        draft["p_value"] = stop
    stop = look.p_at_stop(contrast, level)
    if stop is not None:
        draft["p_adj"] = max(draft["p_value"], min(1.0, stop * look.alpha / level))


_COLUMNS: Final = (
    "arm",
    "control",
    "n_control",
    "n_treatment",
    "mean_control",
    "mean_treatment",
    "estimate",
    "se",
    "ci_low",
    "ci_high",
    "lift",
    "lift_low",
    "lift_high",
    "p_value",
    "p_adj",
    "ci_adj_low",
    "ci_adj_high",
    "lift_adj_low",
    "lift_adj_high",
    "method",
    "margin",
    "margin_kind",
    "noninferior",
    "p_noninferior",
    "equivalent",
    "capped",
    "cap_low",
    "cap_high",
)
_BELIEFS: Final = (
    ("chance_to_win", "chance_to_win"),
    ("expected_loss_ship", "expected_loss_ship"),
    ("expected_loss_keep", "expected_loss_keep"),
    ("posterior_mean", "mean"),
    ("posterior_sd", "sd"),
)


def row_of(
    effect: Effect, names: Sequence[str], prior: tuple[float, float] | None
) -> dict[str, Cell]:
    """Write one effect as a row; a segment of NULL is the text NULL, no total."""
    where = {name: "NULL" if value is None else value for name, value in effect.by}
    belief = effect.posterior(prior)
    return {
        "metric": effect.metric,
        "role": effect.role,
        **{name: where.get(name) for name in names},
        **{name: getattr(effect, name) for name in _COLUMNS},
        **{name: getattr(belief, key, None) for name, key in _BELIEFS},
    }


def estimates_of(effects: Sequence[Effect], level: float) -> list[Estimate]:
    """Return one metric's means by arm, differences and lifts, for the document."""
    if not effects:
        return []
    first = effects[0]
    sides = [(first.control, first.mean_control, first.se_control, first.n_control)]
    sides += [(e.arm, e.mean_treatment, e.se_treatment, e.n_treatment) for e in effects]
    found = [
        Estimate(
            key=f"{first.metric}.mean",
            by=(("arm", arm),),
            value=value,
            se=se,
            n=n,
            unit=first.unit,
            method=first.method,
        )
        for arm, value, se, n in sides
    ]
    for e in effects:
        shared = {
            "by": (("arm", e.arm),),
            "level": level,
            "p_value": e.p_value,
            "n": e.n_control + e.n_treatment,
            "method": e.method,
        }
        found.append(
            Estimate(
                key=f"{e.metric}.difference",
                value=e.estimate,
                se=e.se,
                lo=e.ci_low,
                hi=e.ci_high,
                unit=e.unit,
                **shared,  # type: ignore[arg-type]
            )
        )
        found.append(
            Estimate(
                key=f"{e.metric}.lift",
                value=e.lift,
                lo=e.lift_low,
                hi=e.lift_high,
                unit="ratio",
                **shared,  # type: ignore[arg-type]
            )
        )
    return found
