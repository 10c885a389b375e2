"""What changes if the programme changes: differences on the same chances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

from growth.errors import ParameterError
from growth.labels import label, worded
from growth.result import Cell, Estimate, Notice, Result, table_html
from growth.tiers.intervals import (
    FEWEST,
    Factor,
    Span,
    around,
    calibration,
    scaled_span,
)
from growth.tiers.response import NO_RESPONSE, Response
from growth.tiers.simulation import METRICS, Simulation, read_metric, simulate_scenarios

if TYPE_CHECKING:
    from datetime import date

    from growth.labels import Lang
    from growth.tiers.population import Population
    from growth.tiers.programme import Programme

__all__ = ["Comparison", "Difference", "compare", "record_of"]

HEADLINE = "margin_fen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A scenario less the first, for one metric; intervals are of 95 %.

    `mc` is chance alone given the parameters, and too narrow; `mc_param` adds what is
    not known of parameters and response; `calibrated` adds the method's own record
    and is the one to quote. `se` is of the mean of the pairs.
    """

    scenario: str
    metric: str
    baseline: float
    difference: float
    se: float | None
    mc: Span | None
    mc_param: Span | None
    calibrated: Span | None

    @property
    def headline(self) -> Span | None:
        """The calibrated interval; with the parameters', where there is no record."""
        return self.calibrated or self.mc_param


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Result):
    """Programmes compared, paired by replication.

    `differences` are against the first scenario; `simulation` holds every scenario.
    """

    differences: tuple[Difference, ...]
    simulation: Simulation
    baseline: str
    origins: int

    @property
    def verdict(self) -> str:
        """`tiers.comparison.`: of the first challenger's margin.

        `same` (no pair differs), `better`, `worse`, or `unclear`.
        """
        first = next(d for d in self.differences if d.metric == HEADLINE)
        span = first.headline
        if not first.difference and not first.se:
            word = "same"
        elif span is not None and span.lo > 0:
            word = "better"
        elif span is not None and span.hi < 0:
            word = "worse"
        else:
            word = "unclear"
        return f"tiers.comparison.{word}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a scenario and metric."""
        found: list[dict[str, Cell]] = []
        for one in self.differences:
            row: dict[str, Cell] = {
                "scenario": one.scenario, "metric": one.metric,
                "baseline": one.baseline, "difference": one.difference, "se": one.se,
            }  # fmt: skip
            for name in ("calibrated", "mc_param", "mc"):
                span: Span | None = getattr(one, name)
                row[f"{name}_lo"] = span.lo if span else None
                row[f"{name}_hi"] = span.hi if span else None
            found.append(row)
        return found

    def _table(self, lang: Lang | None) -> str:
        rows = [
            row | {"metric": _named(str(row["metric"]), lang)} for row in self.rows()
        ]
        return table_html(rows, worded("tiers.comparison", lang), lang)

    def estimates(self) -> tuple[Estimate, ...]:
        """Return each difference with its headline interval."""
        return tuple(
            Estimate(
                key=f"tiers.{one.metric}.difference", by=(("scenario", one.scenario),),
                value=one.difference, se=one.se,
                lo=one.headline.lo if one.headline else None,
                hi=one.headline.hi if one.headline else None,
                level=0.95, n=self.simulation.members,
                unit="fen" if one.metric.endswith("_fen") else "count",
                method="calibrated" if one.calibrated else "mc_param",
            )
            for one in self.differences
        )  # fmt: skip

    def to_dict(self) -> dict[str, object]:
        """Return the differences and what they were simulated with."""
        from growth.result import plain

        return {
            "verdict": self.verdict,
            "baseline": self.baseline,
            "origins": self.origins,
            "differences": self.rows(),
            "simulation": self.simulation.to_dict(),
            "notices": [plain(notice) for notice in self.notices],
        }


def _named(metric: str, lang: Lang | None) -> str:
    """Name a metric with its unit."""
    words = worded(f"tiers.metric.{metric}", lang)
    fen = metric.endswith("_fen")
    return label("tiers.metric.in_fen", lang, metric=words) if fen else words


def record_of(population: Population, generator: str) -> Factor | None:
    """Return what the population's back-tests teach of a generator's forecasts.

    Parameters
    ----------
    population : Population
        From `fit`.
    generator : str
        A generator's name.

    Returns
    -------
    Factor or None
        None under three closed origins.
    """
    tests = [test for test in population.back_tests if test.generator == generator]
    return calibration(tests[0].log_errors) if tests else None


def compare(  # noqa: PLR0913
    population: Population,
    programmes: Mapping[str, Programme],
    *,
    start: date | None = None,
    months: int = 12,
    replications: int = 20,
    seed: int,
    response: Response = NO_RESPONSE,
    margin_rate: float,
    redemption: float,
    generator: str = "auto",
    engine: str = "event",
    threads: int | None = None,
    chunk: int | None = None,
    connection: Any = None,  # noqa: ANN401
) -> Comparison:
    """Say what changes if the programme changes.

    Parameters
    ----------
    population : Population
        Who.
    programmes : mapping of str to Programme
        Two or more; the others are compared with the first, which also issued the
        points that members hold at the start. Each judges the whole past.
    start, months, replications, seed, response, margin_rate, redemption
        As in `simulate`.
    generator, engine, threads, chunk, connection
        As in `simulate`.

    Returns
    -------
    Comparison
        Differences of totals over the run (of stocks: at its end).

    Raises
    ------
    ParameterError
        If there are fewer than two programmes (``too_few_programmes``), or as
        `simulate`.

    Notes
    -----
    Pairs share every draw, so equal programmes differ by exactly 0 and chance common
    to both drops out.
    """
    if not isinstance(programmes, Mapping) or len(programmes) < 2:
        seen = list(programmes) if isinstance(programmes, Mapping) else programmes
        msg = f"programmes is {seen!r}; it must map two names or more; name the"
        raise ParameterError(
            f"{msg} present one and a change.", code="too_few_programmes"
        )
    simulation = simulate_scenarios(
        population, programmes, start=start, months=months, replications=replications,
        seed=seed, response=response, margin_rate=margin_rate, redemption=redemption,
        generator=generator, engine=engine, threads=threads, chunk=chunk,
        connection=connection,
    )  # fmt: skip
    return differences_of(simulation, record_of(population, simulation.generator))


def differences_of(simulation: Simulation, factor: Factor | None) -> Comparison:
    """Return a simulation's scenarios against its first.

    Parameters
    ----------
    simulation : Simulation
        Of two scenarios or more.
    factor : Factor or None
        The generator's record.

    Returns
    -------
    Comparison
        One difference a scenario and metric.
    """
    tables = {one.name: one.table() for one in simulation.scenarios}
    fixed = {
        one.name: tables[one.name] if one.fixed is None else one.table(one.fixed)
        for one in simulation.scenarios
    }
    base, *others = simulation.scenarios
    found = []
    for one in others:
        for metric in METRICS:
            before = read_metric(tables[base.name], metric)
            pairs = read_metric(tables[one.name], metric) - before
            chance = read_metric(fixed[one.name], metric)
            chance = chance - read_metric(fixed[base.name], metric)
            span = around(pairs)
            n = len(pairs)
            found.append(
                Difference(
                    scenario=one.name, metric=metric, baseline=float(before.mean()),
                    difference=float(pairs.mean()),
                    se=float(pairs.std(ddof=1)) / sqrt(n) if n > 1 else None,
                    mc=around(chance), mc_param=span,
                    calibrated=scaled_span(span, factor),
                )
            )  # fmt: skip
    notices = list(simulation.notices)
    if factor is None:
        notices.append(
            Notice("not_calibrated", severity="warning", args=(("limit", FEWEST),))
        )
    return Comparison(
        differences=tuple(found), simulation=simulation, baseline=base.name,
        origins=factor.origins if factor else 0, notices=tuple(notices),
    )  # fmt: skip
