"""Panels of the A/B room: plan an experiment, read one by metric, segment and plan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import ipywidgets as widgets

from growth import abtest, charts
from growth.abtest.past import read_past
from growth.abtest.planner import plan_from_numbers, plan_from_past
from growth.abtest.sizing import Baseline
from growth.errors import ParameterError
from growth.labels import column, label
from growth.panels.form import Form, form
from growth.panels.panel import Panel, Status
from growth.panels.reader import carded, choice, drawn, handed
from growth.readout import abtest as room
from growth.readout.params import Between, Help, checked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date, datetime

    import altair as alt

    from growth.abtest.sizing import SizePlan
    from growth.labels import Lang

__all__ = ["Explorer", "PlanParams", "Planner", "explorer", "planner"]

PLANS: Final = {
    "fixed": abtest.Fixed,
    "group_sequential": abtest.GroupSequential,
    "always_valid": abtest.AlwaysValid,
    "hybrid": abtest.Hybrid,
}


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class PlanParams:
    """What one has to say to plan an experiment from numbers."""

    kind: Annotated[
        Literal["proportion", "mean"], Help("a share of units, or a mean per unit")
    ] = "proportion"
    mean: Annotated[float, Help("what the metric is today")] = 0.05
    sd: Annotated[
        float | None, Help("standard deviation of a unit; shares do without")
    ] = None
    mde: Annotated[
        float, Between(0.01, 0.51), Help("smallest relative change worth finding")
    ] = 0.1
    power: Annotated[float, Between(0.5, 0.99), Help("chance to find it")] = 0.8
    alpha: Annotated[float, Between(0.005, 0.205), Help("two-sided level")] = 0.05


class Planner(Panel):
    """A form, and under it the power that its plan has.

    Parameters
    ----------
    solve : callable
        From `PlanParams` to a plan.
    values : mapping
        What the form begins with.
    only : sequence of str
        The fields it shows; all if empty.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.
    """

    def __init__(
        self,
        solve: Callable[[PlanParams], SizePlan],
        values: Mapping[str, object],
        only: Sequence[str],
        lang: Lang | None,
    ) -> None:
        self._solve = solve
        self._lang: Lang | None = lang
        self.result: SizePlan | None = None
        self.chart: alt.LayerChart | None = None
        self.picture, self.card = widgets.HTML(), widgets.HTML()
        self.form: Form = form(
            PlanParams, self._show, values=values, only=only, lang=lang
        )
        self.controls = self.form.controls
        super().__init__(widgets.VBox([self.form.view, self.picture, self.card]))
        self.form.refresh()

    def _show(self, params: PlanParams) -> None:
        found = self._solve(params)
        self.chart = charts.abtest.power_chart(found, lang=self._lang)
        self.result = found
        self.picture.value = drawn(self.chart)
        self.card.value = carded(found, self._lang)


def planner(
    history: Any = None,  # noqa: ANN401  (a dataset, or any table of units)
    experiment: abtest.Experiment | None = None,
    *,
    as_of: date | None = None,
    units_by_day: Sequence[float] | None = None,
    lang: Lang | None = None,
) -> Planner:
    """Plan an experiment by sliders: units, weeks, power.

    Parameters
    ----------
    history : Dataset, UnitTable or table, optional
        What happened before; without it the form also asks for today's numbers.
    experiment : Experiment, optional
        The declaration; `history` needs it. Its goals get the change slid to.
    as_of : date, optional
        Last day of the history; a dataset needs it.
    units_by_day : sequence of float, optional
        Different units seen up to the end of each day, day 1 first.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Planner
        `controls` by name, `result` (as `abtest.plan`), `chart`.

    Raises
    ------
    ParameterError
        If one of `history` and `experiment` is missing (code ``usage``).
    """
    if (history is None) != (experiment is None):
        msg = "planner got one of history and experiment; it needs both, or neither;"
        raise ParameterError(f"{msg} give the other one too.", code="usage")
    if experiment is None:
        return Planner(lambda p: _from_numbers(p, units_by_day), {}, (), lang)
    declared = experiment

    past = read_past(history, declared, as_of=as_of)  # once; sliders only rework it

    def solve(params: PlanParams) -> SizePlan:
        return plan_from_past(
            past,
            _aimed(declared, params),
            power=params.power,
            units_by_day=units_by_day,
        )

    goals = [m.mde for m in declared.metrics if m.role == "goal" and m.mde]
    values = {"mde": goals[0] if goals else 0.1, "alpha": declared.alpha}
    return Planner(solve, values, ("mde", "power", "alpha"), lang)


class Explorer(Panel):
    """One experiment: the decision, and its effects as asked for.

    Parameters
    ----------
    units : UnitTable or table
        One row a unit.
    experiment : Experiment
        The declaration.
    as_of : date or aware datetime, optional
        The last day counted.
    params : object, optional
        The readout's parameters that would ask the same.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.
    """

    def __init__(
        self,
        units: Any,  # noqa: ANN401
        experiment: abtest.Experiment,
        as_of: date | datetime | None,
        params: object,
        lang: Lang | None,
    ) -> None:
        self._units, self._declared, self._as_of = units, experiment, as_of
        self._lang: Lang | None = lang
        self._found: dict[tuple[object, ...], tuple[Any, ...]] = {}
        self.analysis: abtest.Analysis | None = None
        self.decision: abtest.Decision | None = None
        self.chart: alt.LayerChart | None = None
        self.status = Status(lang)
        self.controls: dict[str, Any] = {
            "metric": choice(
                "panel.metric",
                [(m.words(lang), m.name) for m in experiment.metrics],
                lang,
            ),
            "segment": choice(
                "panel.segment",
                [
                    (label("panel.everybody", lang), None),
                    *((column(name, lang), name) for name in _by(experiment)),
                ],
                lang,
            ),
            "plan": choice(
                "panel.plan",
                [
                    (label("panel.declared", lang), None),
                    *((label(f"abtest.plan.{kind}", lang), kind) for kind in PLANS),
                ],
                lang,
            ),
            "units": widgets.IntText(
                value=experiment.plan.units or 0,
                description=label("panel.units_planned", lang),
                style={"description_width": "110px"},
                layout={"width": "220px"},
            ),
        }
        self.summary, self.picture, self.table = (widgets.HTML() for _ in range(3))
        for control in self.controls.values():
            control.observe(self._changed, names="value")
        self.params = params
        row = widgets.HBox([*self.controls.values()])
        row.layout.flex_flow = "row wrap"
        parts = [row, self.status.view, self.summary, self.picture, self.table]
        if params is not None:
            parts.append(widgets.HTML(handed(params, lang)))
        super().__init__(widgets.VBox(parts))
        self._changed()

    def _changed(self, _event: object = None) -> None:
        found = self.status.run(self._read)
        if found is None:
            return
        split, analysis, decision = found
        self.analysis, self.decision = analysis, decision
        metric, lang = self.controls["metric"].value, self._lang
        segment = self.controls["segment"].value
        if segment is None:
            self.chart = charts.abtest.forest_chart(analysis, lang=lang)
            table = room.effects_table(analysis, lang=lang)
        else:
            self.chart = charts.abtest.segments_chart(analysis, metric, lang=lang)
            table = room.segments_table(analysis, metric, lang=lang)
        head = room.summary(decision, analysis, split, lang=lang)
        self.summary.value = head._repr_html_()
        self.picture.value = drawn(self.chart)
        self.table.value = table._repr_html_()

    def _read(self) -> tuple[Any, ...]:
        segment, kind = (self.controls[name].value for name in ("segment", "plan"))
        planned = self.controls["units"].value or None
        key = (segment, kind, planned)
        if key not in self._found:
            exp = self._declared
            if kind is not None:
                exp = replace(exp, plan=PLANS[kind](units=planned))
            by = () if segment is None else (segment,)
            split = abtest.check_split(self._units, experiment=exp)
            analysis = abtest.analyze(self._units, exp, by=by, as_of=self._as_of)
            self._found[key] = split, analysis, abtest.decide(analysis, split)
        return self._found[key]


def explorer(
    data: Any,  # noqa: ANN401  (a dataset, or any table of units)
    experiment: abtest.Experiment,
    *,
    as_of: date | datetime | None = None,
    params: object = None,
    lang: Lang | None = None,
) -> Explorer:
    """Read an experiment by metric, segment and plan.

    Parameters
    ----------
    data : Dataset, UnitTable or table
        A dataset, whose units are built once; or one row a unit.
    experiment : Experiment
        The declaration.
    as_of : date or aware datetime, optional
        The last day counted; a dataset needs it.
    params : object, optional
        The parameters of the readout that asks the same: adds "run this as a
        readout".
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Explorer
        `controls` (metric, segment, plan, units), `analysis`, `decision`, `chart`.

    Raises
    ------
    GrowthError
        As in `abtest.unit_table`, where `data` is a dataset.
    """
    from growth.dataset import Dataset

    units = data
    if isinstance(data, Dataset):
        if as_of is None:
            msg = "as_of is missing; a dataset needs the last day counted; give it."
            raise ParameterError(msg, code="bad_as_of")
        units = abtest.unit_table(data, experiment, as_of=as_of).cache()
    return Explorer(units, experiment, as_of, params, lang)


def _from_numbers(params: PlanParams, units_by_day: Sequence[float] | None) -> SizePlan:
    goal = Baseline(
        name="goal", kind=params.kind, mean=params.mean, sd=params.sd, mde=params.mde
    )
    return plan_from_numbers(
        [goal], alpha=params.alpha, power=params.power, units_by_day=units_by_day
    )


def _aimed(experiment: abtest.Experiment, params: PlanParams) -> abtest.Experiment:
    """Return the declaration with the change its goals are to find."""
    metrics = tuple(
        replace(metric, mde=params.mde) if metric.role == "goal" else metric
        for metric in experiment.metrics
    )
    return replace(experiment, metrics=metrics, alpha=params.alpha)


def _by(experiment: abtest.Experiment) -> list[str]:
    names: dict[str, None] = {}
    for item in experiment.by:
        names.update(dict.fromkeys([item] if isinstance(item, str) else item))
    return list(names)
