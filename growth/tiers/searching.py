"""Which thresholds and multipliers are best, given a stated response."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from math import sqrt
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.special import stdtrit

from growth.errors import ParameterError
from growth.result import Cell, Notice, Result
from growth.tiers.comparison import record_of
from growth.tiers.intervals import FEWEST, Span
from growth.tiers.programme import Programme  # noqa: TC001  (a result's types can be read)
from growth.tiers.simulation import need_programme, read_metric, simulate_scenarios

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    from growth.tiers.population import Population
    from growth.tiers.response import Response

__all__ = ["Candidate", "Found", "search"]

MOST: Final = 500  # candidates: more would not be read
LEVEL: Final = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One programme tried; `value` is margin less the change in liability, fen.

    `behind` is the mean paired distance to the best, `se` its standard error; `span`
    is its interval, as wide as so many candidates ask for (95 % shared among all), None
    of one replication; `separable` says whether it lies above zero: chance alone would
    not show such a distance.
    """

    changes: tuple[tuple[str, object], ...]
    programme: Programme
    value: float
    behind: float
    se: float
    span: Span | None
    separable: bool
    allowed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Result):
    """Every candidate, best first; `best` are those that cannot be told apart.

    `refused` counts combinations that are no programme (thresholds that fall).
    """

    candidates: tuple[Candidate, ...]
    replications: int
    seed: int
    refused: int = 0

    @property
    def best(self) -> tuple[Candidate, ...]:
        """Allowed candidates that are not separable from the best one."""
        return tuple(c for c in self.candidates if c.allowed and not c.separable)

    @property
    def verdict(self) -> str:
        """`tiers.search.`: `one` best, `several` not separable, or `none` allowed."""
        count = len(self.best)
        word = "none" if not count else "one" if count == 1 else "several"
        return f"tiers.search.{word}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a candidate, with what it changes."""
        found: list[dict[str, Cell]] = []
        paths = dict.fromkeys(
            path for one in self.candidates for path, _ in one.changes
        )
        for one in self.candidates:
            row: dict[str, Cell] = dict.fromkeys(paths)  # None: as it is now
            row |= {path: str(value) for path, value in one.changes}
            lo, hi = one.span or (None, None)
            row |= {"value_fen": one.value, "behind_fen": one.behind, "se": one.se,
                    "lo": lo, "hi": hi, "separable": one.separable,
                    "allowed": one.allowed}  # fmt: skip
            found.append(row)
        return found

    def to_dict(self) -> dict[str, object]:
        """Return the table; programmes only of the best."""
        from growth.result import plain

        return {
            "verdict": self.verdict,
            "replications": self.replications,
            "seed": self.seed,
            "refused": self.refused,
            "candidates": self.rows(),
            "best": [one.programme.to_dict() for one in self.best],
            "notices": [plain(notice) for notice in self.notices],
        }


def search(  # noqa: PLR0913
    population: Population,
    programme: Programme,
    *,
    grid: Mapping[str, Sequence[object]],
    response: Response | None = None,
    margin_rate: float,
    redemption: float,
    seed: int,
    start: date | None = None,
    months: int = 12,
    replications: int = 20,
    constraint: Callable[[Mapping[str, float]], bool] | None = None,
    generator: str = "auto",
    threads: int | None = None,
    connection: Any = None,  # noqa: ANN401
) -> Found:
    """Find the programmes of a grid that bring most margin, net of what points owe.

    Parameters
    ----------
    population : Population
        Who.
    programme : Programme
        The present one: it issued the points held, and is a candidate itself.
    grid : mapping of key path to values
        What to try, every combination: ``{"tiers.1.min_spend_fen": [40_000,
        60_000]}``. Combinations that are no programme are left out, counted.
    response : Response
        The uplift prior, from an experiment; `NO_RESPONSE` on purpose.
    margin_rate, redemption, seed, start, months, replications
        As in `simulate`.
    generator, threads, connection
        As in `simulate`.
    constraint : callable, optional
        Of a candidate's mean metrics (by the names of `METRICS`, and
        ``share_above_first``); false leaves it out of the best.

    Returns
    -------
    Found
        Best first; every candidate not separable from the best is among `best`.

    Raises
    ------
    ParameterError
        Without a response (``response_prior_required``): if members do not answer,
        the meanest programme always wins. With no or too many combinations
        (``bad_grid``), or a path that leads nowhere (``unknown_field``).

    Notes
    -----
    Candidates share every draw. One is separable if its paired distance to the best
    passes the two-sided 95 % point of Student's t, shared among all (Bonferroni).
    """
    if response is None:
        msg = (
            "response is not given; a search must be told how members answer to tiers,"
        )
        msg = (
            f"{msg} or the meanest programme wins; pass a Response from an experiment,"
        )
        msg = f"{msg} or NO_RESPONSE on purpose."
        raise ParameterError(msg, code="response_prior_required")
    need_programme(programme)
    listed = isinstance(grid, Mapping) and all(
        isinstance(values, Iterable) and not isinstance(values, str)
        for values in grid.values()
    )
    if not listed:
        msg = f"grid is {grid!r}; it must map key paths to lists of values; write"
        msg = f"{msg} {{'tiers.1.min_spend_fen': [40_000, 60_000]}}."
        raise ParameterError(msg, code="bad_grid")
    combinations = list(product(*grid.values())) if grid else []
    if not combinations or len(combinations) > MOST:
        msg = f"grid has {len(combinations)} combinations; it must have 1 to {MOST};"
        raise ParameterError(f"{msg} name paths and values, or fewer.", code="bad_grid")
    scenarios: dict[str, Programme] = {"0": programme}
    changes: dict[str, tuple[tuple[str, object], ...]] = {"0": ()}
    refused = 0
    for values in combinations:
        change = dict(zip(grid, values, strict=True))
        try:
            made = programme.change(change)
        except ParameterError as error:
            if error.code == "unknown_field":
                raise
            refused += 1
            continue
        name = str(len(scenarios))
        scenarios[name], changes[name] = made, tuple(change.items())
    simulation = simulate_scenarios(
        population, scenarios, start=start, months=months, replications=replications,
        seed=seed, response=response, margin_rate=margin_rate, redemption=redemption,
        generator=generator, threads=threads, connection=connection, split=False,
    )  # fmt: skip
    runs = simulation.replications
    values_of: dict[str, Any] = {}
    allowed: dict[str, bool] = {}
    for one in simulation.scenarios:
        table = one.table()
        owed = read_metric(table, "liability_fen")
        values_of[one.name] = read_metric(table, "margin_fen") - owed
        allowed[one.name] = constraint is None or bool(constraint(_means(table)))
    fit = [name for name in values_of if allowed[name]] or list(values_of)
    top = max(fit, key=lambda name: float(values_of[name].mean()))
    limit = float(stdtrit(max(1, runs - 1), 1 - (1 - LEVEL) / 2 / max(1, len(fit) - 1)))
    found = []
    for name, values in values_of.items():
        pairs = values_of[top] - values
        se = float(pairs.std(ddof=1)) / sqrt(len(pairs)) if len(pairs) > 1 else 0.0
        behind = float(pairs.mean())
        half = limit * se
        span = Span(behind - half, behind + half) if len(pairs) > 1 else None
        found.append(
            Candidate(
                changes=changes[name], programme=scenarios[name],
                value=float(values.mean()), behind=behind, se=se, span=span,
                separable=span.lo > 0 if span else behind > 0,
                allowed=allowed[name],
            )
        )  # fmt: skip
    notices = list(simulation.notices)
    if record_of(population, simulation.generator) is None:
        notices.append(
            Notice("not_calibrated", severity="warning", args=(("limit", FEWEST),))
        )
    return Found(
        candidates=tuple(sorted(found, key=lambda c: (not c.allowed, -c.value))),
        replications=runs, seed=simulation.seed, refused=refused,
        notices=tuple(notices),
    )  # fmt: skip


def _means(table: Mapping[str, Any]) -> dict[str, float]:
    from growth.tiers.simulation import METRICS

    means = {name: float(read_metric(table, name).mean()) for name in METRICS}
    people = float(np.mean(table["members"][:, :, -1].sum(axis=(1, 2))))
    means["share_above_first"] = means["members_above_first"] / max(1.0, people)
    return means
