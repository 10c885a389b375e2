"""How these members buy: generators fitted, back-tested, and one chosen."""

from __future__ import annotations

from datetime import date, timedelta
from math import log
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from growth.errors import DataError, ParameterError
from growth.result import Notice
from growth.stats import bgnbd, gamma_gamma
from growth.tiers.backtest import BackTest, Origin, choose, comparable
from growth.tiers.generators import (
    BgNbdGammaGamma,
    Generator,
    History,
    LastWindowRepeats,
)
from growth.tiers.histories import FEWEST_KNOWN, Days, bootstrap, history_of
from growth.tiers.intervals import FEWEST, Span, around, calibration
from growth.tiers.population import Habits, Past, Population, cap_of, habits_fault
from growth.tiers.programme import Programme, Qualify, Tier, Window
from growth.tiers.response import NO_RESPONSE
from growth.tiers.running import Run, run_totals
from growth.tiers.seasons import FLAT, Calendar, calendar_fault, months_of_year

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["fit_days", "model_of"]

EPOCH: Final = date(1970, 1, 1)
WEEK: Final = 7.0
GENERATORS: Final = ("bgnbd", "bootstrap", "repeat")
LEVELS: Final = (0.5, 0.8, 0.95)
NO_REPEATS: Final = "no_repeat_purchases"


def model_of(days: Days, as_of: int) -> tuple[BgNbdGammaGamma, list[str], float | None]:
    """Fit BG/NBD and Gamma-Gamma to purchase days.

    Parameters
    ----------
    days : Days
        Up to `as_of`, one or more a member.
    as_of : int
        The last day known.

    Returns
    -------
    BgNbdGammaGamma, list of str, float or None
        The generator, notice codes, and the correlation of frequency and spend.
    """
    known = history_of(days, as_of)
    weeks = [np.asarray(part, dtype=float) / WEEK for part in (known.t_x, known.t)]
    buying = bgnbd.fit(known.x, *weeks)
    spending = gamma_gamma.fit(known.orders, known.mean)
    r, alpha, a, b = buying.params
    p, q, v = spending.params
    values = (r, alpha * WEEK, a, b)
    return (
        BgNbdGammaGamma(
            buying=values, spending=(p, q, v), history=known,
            spread=_spread(buying, spending, known, weeks), fallback=buying.fallback,
        ),
        [*buying.notices, *spending.notices],
        spending.correlation,
    )  # fmt: skip


def _spread(
    buying: bgnbd.Fit,
    spending: gamma_gamma.Fit,
    known: History,
    weeks: list[Any],
) -> NDArray[np.float64]:
    """Return a root of the covariance of the seven logs, from both curvatures."""
    x, (t_x, t) = np.asarray(known.x, float), weeks
    free = 2 if buying.fallback else 4

    def buys(at: NDArray[np.float64]) -> float:
        params = np.exp(at) if free == 4 else [*np.exp(at), 0.0, 1.0]
        return bgnbd.loglik(list(params), x, t_x, t)

    def spends(at: NDArray[np.float64]) -> float:
        return gamma_gamma.loglik(list(np.exp(at)), known.orders, known.mean)

    out = np.zeros((7, 7))
    out[:free, :free] = _root(buys, np.log(buying.params[:free]))
    out[4:, 4:] = _root(spends, np.log(spending.params))
    return out


def _root(score: Any, at: NDArray[np.float64]) -> NDArray[np.float64]:  # noqa: ANN401
    """Return a root of the inverse of minus the curvature; zeros if it has none."""
    n, h = len(at), 1e-3
    curve = np.zeros((n, n))
    middle = score(at)
    steps = np.eye(n) * h
    one = [(score(at + s), score(at - s)) for s in steps]
    for i in range(n):
        curve[i, i] = -(one[i][0] - 2 * middle + one[i][1]) / h**2
        for j in range(i):
            both = score(at + steps[i] + steps[j])
            curve[i, j] = curve[j, i] = -(both - one[i][0] - one[j][0] + middle) / h**2
    values, vectors = np.linalg.eigh(curve)
    # a direction the data do not bend in is left where it is
    roots = np.where(values > 1.0, 1 / np.sqrt(np.maximum(values, 1.0)), 0.0)
    return np.asarray(vectors * roots)


def _tiers_by_spend(cuts: Sequence[int]) -> Programme:
    """Return a programme whose tiers are spend in the run, and nothing else."""
    steps = sorted({int(c) for c in cuts if c > 0})
    return Programme(
        tiers=tuple(Tier(min_spend_fen=fen) for fen in (0, *steps)),
        qualify=Qualify(window=Window(kind="lifetime", months=1), downgrade="never"),
        allow_more_than_four_tiers=True,
    )  # fmt: skip


class Made(NamedTuple):
    """Generators made of what is known at a day, and why others could not be.

    `refused` has an error a generator left out, `codes` notices of the fit, and
    `correlation` is that of frequency and spend.
    """

    generators: tuple[Generator, ...]
    refused: dict[str, DataError]
    codes: tuple[str, ...]
    correlation: float | None


def generators_at(days: Days, as_of: int, names: Sequence[str], window: int) -> Made:
    """Return the generators that can be made of what is known at a day.

    Parameters
    ----------
    days : Days
        Up to `as_of`.
    as_of : int
        The last day known.
    names : sequence of str
        Of `GENERATORS`.
    window : int
        Days of the bootstrap's and the baseline's window.

    Returns
    -------
    Made
        Left out are ``bgnbd`` while nobody bought twice, and ``bootstrap`` while too
        few members were known a window ago.
    """
    found: list[Generator] = []
    refused: dict[str, DataError] = {}
    codes: list[str] = []
    correlation = None
    if "bgnbd" in names:
        try:
            model, codes, correlation = model_of(days, as_of)
            found.append(model)
        except DataError as error:
            if error.code != NO_REPEATS:
                raise
            refused["bgnbd"] = error
    if "bootstrap" in names:
        if (made := bootstrap(days, as_of, window)) is not None:
            found.append(made)
        else:
            refused["bootstrap"] = _too_few_donors(days, as_of, window)
    if "repeat" in names:
        past = Past(days.at, days.day, days.fen)
        found.append(LastWindowRepeats(past=past, as_of=as_of, window=window))
    return Made(tuple(found), refused, tuple(codes), correlation)


def _too_few_donors(days: Days, as_of: int, window: int) -> DataError:
    _, known = days.until(as_of - window)
    msg = f"of {days.members} members {len(known)} were known {window} days ago;"
    msg = f"{msg} 'bootstrap' needs {FEWEST_KNOWN:.0%} of them; take a shorter"
    msg = f"{msg} window_days, a longer history, or another generator."
    return DataError(msg, code="too_few_donors")


def forecast(
    generator: Generator, members: int, as_of: int, window: int, cuts: Sequence[int],
    *, replications: int, seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """Return revenue in each replication, and the mean shares of tiers by spend."""
    programme = _tiers_by_spend(cuts)
    population = Population(
        members=members, as_of=EPOCH + timedelta(days=as_of), generator=generator.name,
        generators=(generator,), past=Past.none(members), cap=1.0,
        joined=np.full(members, as_of, np.int32),
    )  # fmt: skip
    times = 1 if generator.name == "repeat" else replications
    how = Run(as_of + 1, as_of + 1 + window, seed, NO_RESPONSE, 0.0)
    totals = run_totals(
        population, {"p": programme}, how, replications=range(times)
    )["p"]  # fmt: skip
    revenue = totals.of("gross_fen").sum(axis=(1, 2, 3)).astype(float)
    shares = totals.of("members")[:, 0, -1].mean(axis=0) / members
    return revenue, shares


def back_test(
    days: Days, *, as_of: int, names: Sequence[str], window: int, step: int, train: int,
    replications: int, seed: int, cuts: Sequence[int],
) -> tuple[BackTest, ...]:  # fmt: skip
    """Forecast known members' revenue from earlier origins, and see.

    Parameters
    ----------
    days : Days
        All purchase days.
    as_of : int
        The last day known: windows must close by it.
    names : sequence of str
        Generators.
    window, step, train : int
        Days forecast, days between origins, days before the first.
    replications, seed : int
        Of each forecast.
    cuts : sequence of int
        Fen of spend in the window at which a tier begins.

    Returns
    -------
    tuple of BackTest
        One a generator that could be made at some origin; where it could not, it has
        none of that day, so records may differ in length: see `choose`.
    """
    first = int(days.day.min()) + train
    found: dict[str, list[Origin]] = {}
    for at in range(first, as_of - window + 1, step):
        known, members = days.until(at)
        ahead = (days.day > at) & (days.day <= at + window)
        spent = np.bincount(
            days.who[ahead], weights=days.fen[ahead], minlength=days.members
        )[members]
        actual = float(spent.sum())
        if not actual:
            continue
        edges = [0, *(c for c in sorted(set(cuts)) if c > 0)]
        really = np.bincount(
            np.searchsorted(edges, spent, side="right") - 1, minlength=len(edges)
        ) / len(members)
        for one in generators_at(known, at, names, window).generators:
            revenue, shares = forecast(
                one, len(members), at, window, cuts, replications=replications,
                seed=seed,
            )  # fmt: skip
            middle = float(revenue.mean())
            if not middle:
                continue
            before = found.setdefault(one.name, [])
            closed = [
                log(o.forecast / o.actual)
                for o in before
                if (o.as_of - EPOCH).days + window <= at
            ]
            factor = calibration(closed)
            before.append(
                Origin(
                    EPOCH + timedelta(days=at), len(members), middle, actual,
                    around(revenue) if len(revenue) > 1 else Span(middle, middle),
                    Span(middle * factor.lo, middle * factor.hi) if factor else None,
                    len(closed),
                    float(np.abs(shares - really).sum() / 2),
                )
            )  # fmt: skip
    return tuple(
        BackTest(generator=name, origins=tuple(origins), window_days=window)
        for name, origins in found.items()
    )


def fit_days(  # noqa: PLR0913
    days: Days,
    past: Past,
    *,
    as_of: date,
    seed: int,
    window_days: int = 84,
    step_days: int = 28,
    train_days: int = 84,
    replications: int = 60,
    generators: Sequence[str] = GENERATORS,
    thresholds_fen: Sequence[int] | None = None,
    habits: Habits | None = None,
    calendar: Calendar = FLAT,
    cap: float | None = None,
    ids: Any = None,  # noqa: ANN401
    notices: Sequence[Notice] = (),
) -> Population:
    """Fit members whose orders are at hand as arrays; see `fit`.

    Parameters
    ----------
    days : Days
        Purchase days up to `as_of`, one or more a member.
    past : Past
        Every event of them, for opening tiers and points.
    as_of, seed, window_days, step_days, train_days, replications, generators
        As in `fit`.
    thresholds_fen, habits, calendar, cap
        As in `fit`.
    ids : array, optional
        Members' ids, sorted.
    notices : sequence of Notice
        What reading the orders had to say.

    Returns
    -------
    Population
        With its back-tests.

    Raises
    ------
    DataError
        Of no orders (``no_orders``); if none of the generators can be made: nobody
        bought twice (``no_repeat_purchases``), or too few members were known a window
        ago (``too_few_donors``).
    ParameterError
        If habits or calendar are none (``bad_habits``, ``bad_calendar``).
    """
    habits = Habits() if habits is None else habits
    if faults := [*habits_fault(habits), *calendar_fault(calendar)]:
        raise ParameterError.of("the fit", faults)
    last = (as_of - EPOCH).days
    if not days.day.size:
        msg = "there are no paid orders; a fit needs some; check as_of and the columns"
        raise DataError(f"{msg}.", code="no_orders")
    found = list(notices)
    made = generators_at(days, last, generators, window_days)
    if not made.generators:
        first = next(iter(made.refused.values()))
        raise first
    codes = [*made.codes, *(f"{name}_left_out" for name in made.refused)]
    found += [Notice(code, severity="warning") for code in codes]
    spent = days.fen[days.day > last - window_days]
    cuts = thresholds_fen or np.quantile(
        spent if spent.size else days.fen, LEVELS
    ).astype(int).tolist()  # fmt: skip
    tests = back_test(
        days, as_of=last, names=generators, window=window_days, step=step_days,
        train=train_days, replications=replications, seed=seed, cuts=cuts,
    )  # fmt: skip
    names = {one.name for one in made.generators}
    usable = comparable([test for test in tests if test.generator in names])
    most = max((len(test.origins) for test in usable), default=0)
    if most < FEWEST:
        args = (("origins", most), ("limit", FEWEST))
        found.append(Notice("too_few_origins", severity="warning", args=args))
    chosen = choose(usable) if usable else made.generators[0].name
    return Population(
        members=days.members, as_of=as_of, generator=chosen, generators=made.generators,
        past=past, joined=days.day[days.at[:-1]].astype(np.int32),
        habits=habits, calendar=calendar, cap=cap_of(cap, calendar),
        ids=ids, back_tests=tests, frequency_spend_correlation=made.correlation,
        seen_months=tuple(sorted(months_of_year(int(days.day.min()), last + 1))),
        notices=tuple(found),
    )  # fmt: skip
