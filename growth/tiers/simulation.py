"""What tiers, revenue, margin, benefit cost and points liability would be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from growth.errors import Fault, ParameterError, suggest
from growth.result import Cell, Estimate, Notice, Result
from growth.tiers import keyed, rules
from growth.tiers.backtest import choose
from growth.tiers.checks import (
    counts,
    day_of,
    seeded,
    share_fault,
    start_fault,
)
from growth.tiers.liability import (
    RollForward,
    breakage_rate,
    fair_liability,
    rolled_run,
    whole_parts,
)
from growth.tiers.population import Population
from growth.tiers.programme import Programme, need_programme
from growth.tiers.response import NO_RESPONSE, Response
from growth.tiers.running import Run, Totals, broken, run_totals
from growth.tiers.seasons import months_of_year

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from growth.tiers.generators import Generator

__all__ = ["METRICS", "Scenario", "Simulation", "read_metric", "simulate"]

EPOCH: Final = date(1970, 1, 1)
ENGINES: Final = ("event", "daily")
#: Totals over the whole run that are compared and reported with intervals; the first
#: is what a readout leads with.
METRICS: Final = (
    "margin_fen", "net_fen", "benefit_cost_fen", "liability_fen", "gross_fen", "orders",
    "issued", "redeemed", "members_above_first",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One programme's sums: arrays (replications, channels, months, tiers)."""

    name: str
    programme: Programme
    totals: Totals
    fixed: Totals | None
    margin_rate: float

    def table(self, totals: Totals | None = None) -> dict[str, NDArray[np.int64]]:
        """Return every column of the long table, before it is made long."""
        t = totals or self.totals
        p = self.programme.points.redeem
        names = (
            "members", "joined", "moved_in", "moved_out", "orders", "gross_fen",
            "discount_fen", "refund_fen",
        )  # fmt: skip
        found = {name: t.of(name) for name in names}
        # what a refund takes back in cash, for points that are gone, is not refunded
        deducted = t.of("cash_deducted_fen")
        found["refund_fen"] = found["refund_fen"] - deducted
        found["net_fen"] = (
            found["gross_fen"] - found["discount_fen"] - found["refund_fen"]
        )
        perks = np.array([tier.perk_fen_per_month for tier in self.programme.tiers])
        kept = found["discount_fen"] - t.of("discount_back_fen")
        # the rounding of a part is the next tier's, so that who stands where changes
        # no sum
        paid = np.cumsum(t.of("redeemed"), axis=-1) * p.value_fen // p.block
        cost = kept + np.diff(paid, axis=-1, prepend=0) + found["members"] * perks
        listed = found["gross_fen"] - t.of("list_back_fen")
        found["margin_fen"] = whole_parts(listed, self.margin_rate) + deducted - cost
        found["benefit_cost_fen"] = cost
        for name in (
            "issued", "redeemed", "expired", "clawed", "uncollected", "capped",
            "active", "pending", "debt",
        ):  # fmt: skip
            found[name] = t.of(name)
        found["liability_fen"] = fair_liability(
            found["active"] + found["pending"],
            value_fen=p.value_fen,
            block=p.block,
            breakage=breakage_rate(t),
        )
        return found

    def opening_liability(self) -> NDArray[np.float64]:
        """Return what the points held at the start owe, in each replication, fen.

        They are valued as those at the end: at this programme's price of a point,
        less the share of points that dies unused in this run.
        """
        redeem = self.programme.points.redeem
        points = np.broadcast_to(
            self.totals.points,
            (len(self.totals.sums), *self.totals.points.shape),
        )
        owed = fair_liability(
            points, value_fen=redeem.value_fen, block=redeem.block,
            breakage=breakage_rate(self.totals),
        )  # fmt: skip
        return np.asarray(owed.sum(axis=(1, 2)), dtype=float)

    @property
    def breakage(self) -> float | None:
        """The share that died of points that died or were used; None where none did."""
        died, used = (int(self.totals.of(n).sum()) for n in ("expired", "redeemed"))
        return died / (died + used) if died + used else None

    def metric(self, name: str, totals: Totals | None = None) -> NDArray[np.float64]:
        """Return a metric of `METRICS` in each replication."""
        return read_metric(self.table(totals), name)


def read_metric(
    table: Mapping[str, NDArray[np.int64]], name: str
) -> NDArray[np.float64]:
    """Return one number a replication from a scenario's table.

    Parameters
    ----------
    table : mapping
        From `Scenario.table`.
    name : str
        One of `METRICS`: flows are summed, stocks are those at the end.

    Returns
    -------
    ndarray of float
        One a replication.
    """
    if name == "members_above_first":
        return np.asarray(table["members"][:, :, -1, 1:].sum(axis=(1, 2)), dtype=float)
    if name == "liability_fen":
        return np.asarray(table[name][:, :, -1].sum(axis=(1, 2)), dtype=float)
    return np.asarray(table[name].sum(axis=(1, 2, 3)), dtype=float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation(Result):
    """A programme run over a population; `rows` is the long table.

    `margin_rate` and `redemption` are the assumptions made; `start` is the first day,
    `months` calendar months long; `seed` and `replications` repeat it to the bit.
    """

    scenarios: tuple[Scenario, ...]
    start: date
    months: int
    replications: int
    seed: int
    members: int
    generator: str
    engine: str
    margin_rate: float
    redemption: float
    channels: tuple[str, ...] = ("all",)
    by_channel: bool = False

    @property
    def verdict(self) -> str:
        """`tiers.simulation.` and `off` without a behavioural response, else `on`."""
        codes = {notice.code for notice in self.notices}
        return f"tiers.simulation.{'off' if 'no_behavioural_effect' in codes else 'on'}"

    @property
    def month_ends(self) -> tuple[str, ...]:
        """The calendar months, as ``2026-01``."""
        first = rules.month_of((self.start - EPOCH).days)
        count = self.scenarios[0].totals.sums.shape[2]
        return tuple(
            f"{(first + k) // 12:04d}-{(first + k) % 12 + 1:02d}" for k in range(count)
        )

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a scenario, replication, month and tier (and channel)."""
        found: list[dict[str, Cell]] = []
        for one in self.scenarios:
            table = one.table()
            for at in np.ndindex(table["members"].shape):
                if not self.by_channel and at[1]:
                    continue
                replication, channel, month, tier = at
                row: dict[str, Cell] = {
                    "scenario": one.name,
                    "replication": replication,
                    "month": self.month_ends[month],
                    "tier": one.programme.names[tier],
                }
                if self.by_channel:
                    row["channel"] = self.channels[channel]
                for name, values in table.items():
                    cell = values[at] if self.by_channel else values[
                        replication, :, month, tier
                    ].sum()  # fmt: skip
                    row[name] = int(cell)
                found.append(row)
        return found

    def scenario(self, name: str | None = None) -> Scenario:
        """Return a scenario by its name.

        Parameters
        ----------
        name : str, optional
            The first if omitted.

        Returns
        -------
        Scenario
            One programme's sums.

        Raises
        ------
        ParameterError
            If there is none of that name (``unknown_scenario``).
        """
        named = {one.name: one for one in self.scenarios}
        if name is None:
            return self.scenarios[0]
        if name not in named:
            msg = f"scenario is {name!r}; it must be one of {list(named)}; correct it."
            raise ParameterError(
                f"{msg}{suggest(name, named)}", code="unknown_scenario"
            )
        return named[name]

    def roll_forward(self, scenario: str | None = None) -> RollForward:
        """Return points and the revenue deferred for them, from month to month.

        Parameters
        ----------
        scenario : str, optional
            The scenario; the first if omitted.

        Returns
        -------
        RollForward
            The mean of the replications, in whole points and fen: each month opens
            where the one before closed, and no rounding is lost.

        Raises
        ------
        ParameterError
            As `scenario`.

        Notes
        -----
        IFRS 15: see `tiers.roll_forward`. Points held at the start open at the value
        of what is expected to be used of them.
        """
        one = self.scenario(scenario)
        redeem = one.programme.points.redeem
        return rolled_run(
            one.totals, months=self.month_ends, value_fen=redeem.value_fen,
            block=redeem.block,
        )  # fmt: skip

    def monthly(self, name: str, scenario: str | None = None) -> list[dict[str, Cell]]:
        """Return a column's mean over replications, by month and tier.

        Parameters
        ----------
        name : str
            A column of the long table.
        scenario : str, optional
            The scenario; the first if omitted.

        Returns
        -------
        list of dict
            ``month``, ``tier``, ``value``, in order.

        Raises
        ------
        ParameterError
            As `scenario`; if there is no such column (``unknown_column``).
        """
        one = self.scenario(scenario)
        table = one.table()
        if name not in table:
            msg = f"the long table has no {name!r}; it must be one of {list(table)};"
            msg = f"{msg} correct it.{suggest(name, table)}"
            raise ParameterError(msg, code="unknown_column")
        mean = table[name].sum(axis=1).mean(axis=0)
        return [
            {"month": month, "tier": tier, "value": float(mean[i, j])}
            for i, month in enumerate(self.month_ends)
            for j, tier in enumerate(one.programme.names)
        ]

    def summary(self) -> list[dict[str, Cell]]:
        """Return one row a scenario and metric, with the spread over replications.

        ``lo`` and ``hi`` are None of one replication: it has no spread.
        """
        found: list[dict[str, Cell]] = []
        for one in self.scenarios:
            table = one.table()
            for name in METRICS:
                values = read_metric(table, name)
                low, high = (
                    np.quantile(values, (0.025, 0.975)).tolist()
                    if len(values) > 1
                    else (None, None)
                )
                found.append(
                    {"scenario": one.name, "metric": name, "mean": float(values.mean()),
                     "lo": low, "hi": high}
                )  # fmt: skip
        return found

    def estimates(self) -> tuple[Estimate, ...]:
        """Return each metric's mean a scenario, with the 95 % of its replications."""

        def number(cell: Cell) -> float | None:
            return None if cell is None else float(cell)

        return tuple(
            Estimate(
                key=f"tiers.{row['metric']}", by=(("scenario", str(row["scenario"])),),
                value=number(row["mean"]), lo=number(row["lo"]), hi=number(row["hi"]),
                level=0.95, n=self.members,
                unit="fen" if str(row["metric"]).endswith("_fen") else "count",
                method="simulation",
            )
            for row in self.summary()
        )  # fmt: skip

    def to_dict(self) -> dict[str, object]:
        """Return assumptions, the summary and the monthly means: not every row."""
        from growth.result import plain

        head = (
            "months", "replications", "seed", "members", "generator", "engine",
            "margin_rate", "redemption", "by_channel",
        )  # fmt: skip
        return {
            "verdict": self.verdict,
            "start": self.start.isoformat(),
            **{name: getattr(self, name) for name in head},
            "channels": list(self.channels),
            "programmes": {one.name: one.programme.to_dict() for one in self.scenarios},
            "summary": self.summary(),
            "notices": [plain(notice) for notice in self.notices],
        }


def simulate(  # noqa: PLR0913
    population: Population,
    programme: Programme,
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
    by_channel: bool = False,
    threads: int | None = None,
    chunk: int | None = None,
    connection: Any = None,  # noqa: ANN401
) -> Simulation:
    """Run a programme over a population, month by month.

    Parameters
    ----------
    population : Population
        Who, from `fit` or `Population.from_priors`.
    programme : Programme
        The rules.
    start : date, optional
        The first day; the one after the population's `as_of` if omitted, and it
        cannot be another where members have a past.
    months : int, default 12
        How long, 1 to 60.
    replications : int, default 20
        Times everything is drawn anew, 1 or more.
    seed : int
        With the replication, member, day and stream it keys every draw.
    response : Response, default NO_RESPONSE
        How members answer to tiers; off: orders are the same under any programme.
    margin_rate : float
        Share of the list price kept that is margin before benefits, 0..1. No
        default: it is an assumption, and is printed.
    redemption : float
        Chance, on a day with an order, that a member redeems all whole blocks held,
        0..1. No default, for the same reason.
    generator : str, default "auto"
        One of the population's, or the one it chose. Only one that draws from rates
        (``bgnbd``) answers to a response or a calendar: with a response, ``"auto"`` is
        the best of those, and notice ``generator_of_rates`` says so where another was
        chosen.
    engine : {"event", "daily"}, default "event"
        The daily engine is the reference, and slow.
    by_channel : bool, default False
        One row a channel in the long table.
    threads, chunk : int, optional
        Threads, and members a part; neither changes a bit of the result.
    connection : ibis.BaseBackend, optional
        A Spark connection (`engine.connect`): parts run in its tasks, with the same
        result; each worker is sent the whole population once.

    Returns
    -------
    Simulation
        One scenario, named ``programme``.

    Raises
    ------
    ParameterError
        Each argument out of range, all at once. If a response is stated and the
        generator, or all that there are, repeat orders that were made
        (``response_needs_rates``).

    Notes
    -----
    The accounting identities are checked after every run. Where parameters or the
    response are uncertain they are drawn once a replication; a second run at their
    means gives the interval of chance alone.
    """
    return simulate_scenarios(
        population, {"programme": programme}, start=start, months=months,
        replications=replications, seed=seed, response=response,
        margin_rate=margin_rate, redemption=redemption, generator=generator,
        engine=engine, by_channel=by_channel, threads=threads, chunk=chunk,
        connection=connection,
    )  # fmt: skip


def simulate_scenarios(  # noqa: PLR0913
    population: Population,
    programmes: Mapping[str, Programme],
    *,
    start: date | None,
    months: int,
    replications: int,
    seed: int,
    response: Response,
    margin_rate: float,
    redemption: float,
    generator: str = "auto",
    engine: str = "event",
    by_channel: bool = False,
    threads: int | None = None,
    chunk: int | None = None,
    connection: Any = None,  # noqa: ANN401
    split: bool = True,
    known: Mapping[str, Scenario] = MappingProxyType({}),
) -> Simulation:
    """Run several programmes over the same chances; see `simulate` and `compare`.

    Parameters
    ----------
    population, start, months, replications, seed, response, margin_rate, redemption
        As in `simulate`.
    programmes : mapping of str to Programme
        The first issued the points held at the start.
    generator, engine, by_channel, threads, chunk, connection
        As in `simulate`.
    split : bool
        Whether to run once more at fixed parameters where they are uncertain.
    known : mapping of str to Scenario, optional
        Scenarios run before on the very same people, chances and assumptions.

    Returns
    -------
    Simulation
        One scenario a programme.
    """
    for one in programmes.values():
        need_programme(one)
    if not isinstance(population, Population):
        msg = f"population is {population!r}; it must be a Population; make it with fit"
        raise ParameterError(f"{msg} or Population.from_priors.", code="bad_population")
    if start is not None and (faults := list(start_fault(start))):
        raise ParameterError.of("the simulation", faults)
    begin = population.start if start is None else day_of(start)
    months, replications, seed, threads, chunk = _check(
        population, begin, response, months, replications, seed, margin_rate,
        redemption, engine, threads, chunk, connection,
    )  # fmt: skip
    chosen, remarks = _generator(population, generator, response)
    end = rules.add_months(begin, months)
    uncertain = chosen.uncertain or not response.certain
    how = Run(
        begin, end, seed & keyed.MASK, response, redemption, engine=engine,
        fixed=not uncertain, threads=threads, connection=connection,
    )  # fmt: skip
    how = how if chunk is None else how._replace(chunk=chunk)
    opening = next(iter(programmes.values()))
    several = len(programmes) > 1

    asked = {name: one for name, one in programmes.items() if name not in known}

    def go(run: Run) -> dict[str, Totals]:
        return run_totals(
            population, asked, run, replications=range(replications),
            generator=chosen, opening=opening if several else None,
        )  # fmt: skip

    drawn = go(how)
    fixed = go(how._replace(fixed=True)) if uncertain and split else {}
    for name, totals in [*drawn.items(), *fixed.items()]:
        wrong = broken(totals)
        assert not wrong, f"{name}: {wrong}"
    return Simulation(
        scenarios=tuple(
            known[name] if name in known else Scenario(
                name=name, programme=one, totals=drawn[name], fixed=fixed.get(name),
                margin_rate=margin_rate,
            )
            for name, one in programmes.items()
        ),
        start=EPOCH + timedelta(days=begin), months=months, replications=replications,
        seed=seed, members=population.members, generator=chosen.name, engine=engine,
        margin_rate=margin_rate, redemption=redemption, channels=population.channels,
        by_channel=by_channel,
        notices=(
            *population.notices, *remarks,
            *_notices(population, begin, end, response, chosen, replications),
        ),
    )  # fmt: skip


def _of_rates(generator: Generator) -> bool:
    """Tell whether orders are drawn from rates; others are made already.

    Only a rate can be multiplied: by a response, or a calendar.
    """
    one = generator.draw(0, 1, start=0, end=1, seed=0, replication=0, fixed=True)
    return bool(one.draws)


def _generator(
    population: Population, name: str, response: Response
) -> tuple[Generator, list[Notice]]:
    """Return what draws orders, and what is to say of it.

    Parameters
    ----------
    population : Population
        Who, with what generators were worth.
    name : str
        As in `simulate`.
    response : Response
        As in `simulate`.

    Returns
    -------
    Generator, list of Notice
        The one named; with a response one that can answer.

    Raises
    ------
    ParameterError
        As `Population.pick`; if a response is stated and there is no generator of
        rates, or another is named (``response_needs_rates``).
    """
    chosen = population.pick(name)
    if response.off or _of_rates(chosen):
        return chosen, []
    others = [one for one in population.generators if _of_rates(one)]
    if name != "auto" or not others:
        msg = f"a response is stated and generator is {name!r}"
        msg = f"{msg} ({chosen.name!r})" if name == "auto" else msg
        msg = f"{msg}, whose orders are made already and cannot answer; it must draw"
        todo = "fit with generators=['bgnbd']"
        todo = f"pass generator={others[0].name!r}" if others else todo
        msg = f"{msg} from rates; {todo}, or NO_RESPONSE."
        raise ParameterError(msg, code="response_needs_rates")
    known = {one.name: one for one in others}
    tests = [test for test in population.back_tests if test.generator in known]
    used = known[choose(tests)] if tests else others[0]
    args = (("best", chosen.name), ("used", used.name))
    return used, [Notice("generator_of_rates", severity="warning", args=args)]


def _notices(
    population: Population, start: int, end: int, response: Response,
    generator: Generator, replications: int,
) -> list[Notice]:  # fmt: skip
    found = []
    if response.off:
        found.append(Notice("no_behavioural_effect"))
    if replications == 1:
        found.append(Notice("one_replication", severity="info"))
    flat = population.calendar.flat
    if not flat and not _of_rates(generator):
        flat, args = True, (("generator", generator.name),)
        found.append(Notice("calendar_not_used", severity="warning", args=args))
    if population.seen_months is not None and flat:
        ahead = months_of_year(start, end) - set(population.seen_months)
        if ahead:
            words = ", ".join(map(str, sorted(ahead)))
            found.append(
                Notice(
                    "season_not_covered", severity="warning", args=(("months", words),)
                )
            )
    return found


def _check(
    population: Population, begin: int, response: Response, months: int,
    replications: int, seed: int, margin_rate: float, redemption: float, engine: str,
    threads: int | None, chunk: int | None, connection: object,
) -> tuple[int, int, int, int | None, int | None]:  # fmt: skip
    """Return the whole numbers among the arguments, all of which are right."""
    faults: list[Fault] = []

    def need(name: str, seen: Any, *, good: bool, expected: str, hint: str) -> None:  # noqa: ANN401
        if not good:
            faults.append(Fault(f"bad_{name}", name, repr(seen), expected, hint))

    (months,) = counts(faults, 60, months=months)
    (replications,) = counts(faults, replications=replications)
    seed = seeded(faults, seed)
    faults += share_fault("margin_rate", margin_rate, "Write 30 % as 0.3.")
    faults += share_fault("redemption", redemption, "Write 10 % as 0.1.")
    need("engine", engine, good=engine in ENGINES, expected=f"one of {ENGINES}",
         hint=suggest(str(engine), ENGINES).strip())  # fmt: skip
    answers = isinstance(response, Response)
    need("response", response, good=answers, expected="a Response, or NO_RESPONSE",
         hint="State what an experiment found.")  # fmt: skip
    if not faults:
        season = population.calendar.multiples(begin, rules.add_months(begin, months))
        reach = response.widest * float(season.max())
        need("cap", population.cap, good=reach <= population.cap * (1 + 1e-9),
             expected=f"{reach:.4g} or more: response and calendar reach so far",
             hint="Fit the population with that cap=.")  # fmt: skip
    need("connection", connection,
         good=connection is None or isinstance(getattr(connection, "name", None), str),
         expected="a Spark connection, or left out",
         hint="Open one with engine.connect.")  # fmt: skip
    if threads is not None:
        (threads,) = counts(faults, threads=threads)
    if chunk is not None:
        (chunk,) = counts(faults, chunk=chunk)
    past = len(population.past.day) > 0
    good = begin == population.start if past else begin >= int(population.joined.min())
    need("start", (EPOCH + timedelta(days=begin)).isoformat(), good=good,
         expected=f"the day after {population.as_of}",
         hint="Fit the population as of the day before.")  # fmt: skip
    if faults:
        raise ParameterError.of("the simulation", faults)
    return months, replications, seed, threads, chunk
