"""Which thresholds and multipliers are best, given a stated response."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice, permutations, product
from math import prod, sqrt
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from scipy.special import stdtrit

from growth.errors import Fault, ParameterError, suggest
from growth.result import Cell, Notice, Result
from growth.tiers.comparison import record_of
from growth.tiers.intervals import FEWEST, Span
from growth.tiers.programme import Programme, need_programme
from growth.tiers.simulation import (
    METRICS,
    read_metric,
    simulate_scenarios,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    from numpy.typing import NDArray

    from growth.tiers.population import Population
    from growth.tiers.response import Response

__all__ = ["Candidate", "Found", "search"]

MOST: Final = 500  # candidates: more would not be read
LEVEL: Final = 0.95
#: Faults that values have together, each of them right: such combinations are left out.
TOGETHER: Final = frozenset(
    {
        "calendar_window_not_a_divisor", "discount_decreasing", "multiplier_decreasing",
        "pending_outlives_validity", "review_not_of_window",
        "thresholds_not_increasing", "tier_asks_nothing",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One programme tried; `value` is margin less the change in liability, fen.

    `behind` is the mean paired distance to the best, `se` its standard error; `span`
    is its interval, as wide as so many candidates ask for (95 % shared among all); both
    None of one replication. `separable` says whether it lies above zero: chance alone
    would not show such a distance, and one replication cannot tell.
    """

    changes: tuple[tuple[str, object], ...]
    programme: Programme
    value: float
    behind: float
    se: float | None
    span: Span | None
    separable: bool
    allowed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Result):
    """Every candidate, best first; `best` are those that cannot be told apart.

    `refused` counts combinations that are no programme (thresholds that fall). Of
    equal programmes the first is listed, the present one before all.
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
        60_000]}``. Combinations of right values that are no programme together
        (thresholds that fall) are left out and counted; equal ones are tried once.
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
        the meanest programme always wins. With no or too many combinations, none that
        is a programme, or paths that hold one another (``bad_grid``); a path that leads
        nowhere (``unknown_field``); a value that is wrong by itself (its own code, as
        `Programme.change`); a constraint that is no function, or reads what is no
        metric (``bad_constraint``, ``unknown_metric``). Else as `simulate`.

    Notes
    -----
    The value is ``margin - (closing - opening)`` liability. Points held at the start
    are valued as under the present programme, so that all candidates open alike and
    what a dearer point adds to them is a cost of the change.

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
    if constraint is not None and not callable(constraint):
        msg = f"constraint is {constraint!r}; it must be a function of mean metrics;"
        msg = f"{msg} write lambda means: means['share_above_first'] < 0.3."
        raise ParameterError(msg, code="bad_constraint")
    tried, refused = _tried(programme, grid)
    simulation = simulate_scenarios(
        population, {name: one.programme for name, one in tried.items()}, start=start,
        months=months, replications=replications, seed=seed, response=response,
        margin_rate=margin_rate, redemption=redemption, generator=generator,
        threads=threads, connection=connection, split=False,
    )  # fmt: skip
    opening = simulation.scenarios[0].opening_liability()
    values: dict[str, NDArray[np.float64]] = {}
    allowed: dict[str, bool] = {}
    for one in simulation.scenarios:
        table = one.table()
        owed = read_metric(table, "liability_fen") - opening
        values[one.name] = read_metric(table, "margin_fen") - owed
        allowed[one.name] = constraint is None or bool(constraint(_means(table)))
    notices = list(simulation.notices)
    if record_of(population, simulation.generator) is None:
        notices.append(
            Notice("not_calibrated", severity="warning", args=(("limit", FEWEST),))
        )
    return Found(
        candidates=_ranked(tried, values, allowed),
        replications=simulation.replications, seed=simulation.seed, refused=refused,
        notices=tuple(notices),
    )  # fmt: skip


class _Tried(NamedTuple):
    programme: Programme
    changes: tuple[tuple[str, object], ...]


def _combinations(grid: object) -> list[dict[str, object]]:
    """Return every combination of a grid's values, by key path."""
    good = isinstance(grid, Mapping) and all(
        isinstance(path, str) and isinstance(values, Iterable)
        and not isinstance(values, str | bytes)
        for path, values in grid.items()
    )  # fmt: skip
    if not good:
        msg = f"grid is {grid!r}; it must map key paths to lists of values; write"
        msg = f"{msg} {{'tiers.1.min_spend_fen': [40_000, 60_000]}}."
        raise ParameterError(msg, code="bad_grid")
    assert isinstance(grid, Mapping)
    ways = {path: path.replace("[", ".").replace("]", "") + "." for path in grid}
    for one, other in permutations(grid, 2):
        if ways[one].startswith(ways[other]):
            msg = f"grid names {other!r} and {one!r}; each must change something of its"
            msg = f"{msg} own; leave one of the two out."
            raise ParameterError(msg, code="bad_grid")
    # no more than can be tried are read: what is listed may be endless
    lists = [
        [value.item() if isinstance(value, np.generic) else value
         for value in islice(values, MOST + 1)]
        for values in grid.values()
    ]  # fmt: skip
    count = prod(map(len, lists)) if lists else 0
    if not 0 < count <= MOST:
        seen = f"more than {MOST}" if count else "0"
        msg = f"grid has {seen} combinations; it must have 1 to {MOST}; name paths and"
        raise ParameterError(f"{msg} values, or fewer.", code="bad_grid")
    return [dict(zip(grid, values, strict=True)) for values in product(*lists)]


def _tried(programme: Programme, grid: object) -> tuple[dict[str, _Tried], int]:
    """Return the present programme and each other of a grid; count what is none."""
    tried = {"0": _Tried(programme, ())}
    known = {programme.compiled}
    combinations = _combinations(grid)
    faults: list[Fault] = []
    refused = 0
    for change in combinations:
        try:
            made = programme.change(change)
        except ParameterError as error:
            if not error.faults or any(f.code not in TOGETHER for f in error.faults):
                raise
            faults += error.faults
            refused += 1
            continue
        if made.compiled not in known:
            known.add(made.compiled)
            tried[str(len(tried))] = _Tried(made, tuple(change.items()))
    if refused == len(combinations):
        msg = f"grid has {refused} combinations and none is a programme: {faults[0]} At"
        msg = f"{msg} least one must be; change the values, or name more paths."
        raise ParameterError(msg, code="bad_grid")
    return tried, refused


def _ranked(
    tried: Mapping[str, _Tried],
    values: Mapping[str, NDArray[np.float64]],
    allowed: Mapping[str, bool],
) -> tuple[Candidate, ...]:
    """Return every candidate, best first, with its paired distance to the best."""
    fit = [name for name in values if allowed[name]] or list(values)
    top = max(fit, key=lambda name: float(values[name].mean()))
    runs = len(values[top])
    limit = float(stdtrit(max(1, runs - 1), 1 - (1 - LEVEL) / 2 / max(1, len(fit) - 1)))
    found = []
    for name, value in values.items():
        pairs = values[top] - value
        behind = float(pairs.mean())
        se = float(pairs.std(ddof=1)) / sqrt(runs) if runs > 1 else None
        span = None if se is None else Span(behind - limit * se, behind + limit * se)
        found.append(
            Candidate(
                changes=tried[name].changes, programme=tried[name].programme,
                value=float(value.mean()), behind=behind, se=se, span=span,
                separable=span is not None and span.lo > 0, allowed=allowed[name],
            )
        )  # fmt: skip
    return tuple(sorted(found, key=lambda c: (not c.allowed, -c.value)))


class _Means(dict[str, float]):
    """A candidate's mean metrics; a name that is none of them is refused."""

    def __missing__(self, name: object) -> float:
        """Say which names there are."""
        msg = f"constraint reads {name!r}; it must be one of {list(self)}; correct it."
        msg = f"{msg}{suggest(str(name), self)}"
        raise ParameterError(msg, code="unknown_metric")


def _means(table: Mapping[str, Any]) -> _Means:
    means = _Means({name: float(read_metric(table, name).mean()) for name in METRICS})
    people = float(np.mean(table["members"][:, :, -1].sum(axis=(1, 2))))
    means["share_above_first"] = means["members_above_first"] / max(1.0, people)
    return means
