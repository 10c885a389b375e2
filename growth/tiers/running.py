"""Members in chunks, chunks in threads, sums that neither can change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from growth.engine.spreading import spread
from growth.tiers import keyed, rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from growth.tiers.generators import Generator
    from growth.tiers.population import Population
    from growth.tiers.programme import Programme
    from growth.tiers.response import Response

__all__ = [
    "FIELDS",
    "Run",
    "Totals",
    "broken",
    "room_of",
    "run_one",
    "run_totals",
    "workspace",
]

CHUNK: Final = 1 << 15
#: What is added up by channel, month and tier; the kernels' columns, in order.
FIELDS: Final = (
    "members", "joined", "moved_in", "moved_out", "orders", "gross_fen",
    "discount_fen", "refund_fen", "list_back_fen", "discount_back_fen", "issued",
    "redeemed", "expired", "clawed", "uncollected", "capped", "cash_deducted_fen",
    "active", "pending", "debt", "window_errors", "points_errors",
)  # fmt: skip
AT: Final = {name: i for i, name in enumerate(FIELDS)}


class Run(NamedTuple):
    """How to run: days, chances, engine. Nothing here depends on the programme."""

    start: int
    end: int
    seed: int
    response: Response
    redemption: float
    engine: str = "event"
    fixed: bool = True  # parameters and response at their means
    check_lots: bool = False
    chunk: int = CHUNK
    threads: int | None = None
    connection: Any = None  # Spark's, to run in its tasks


class Totals(NamedTuple):
    """Sums of one programme: (replications, channels, months, tiers, fields)."""

    sums: NDArray[np.int64]
    opening: NDArray[np.int64]  # members at the start: (channels, tiers)
    points: NDArray[np.int64]  # that these hold, active and pending: the same shape

    def of(self, field: str) -> NDArray[np.int64]:
        """Return one field: (replications, channels, months, tiers)."""
        return np.asarray(self.sums[..., AT[field]])


def run_totals(
    population: Population,
    programmes: Mapping[str, Programme],
    how: Run,
    *,
    replications: range,
    generator: Generator | None = None,
    opening: Programme | None = None,
) -> dict[str, Totals]:
    """Run programmes over the same chances.

    Parameters
    ----------
    population : Population
        Who.
    programmes : mapping of str to Programme
        The scenarios; a member's draws are the same in all.
    how : Run
        Days, chances, engine.
    replications : range
        Their numbers: part of every draw's key.
    generator : Generator, optional
        What draws orders; the population's own if omitted.
    opening : Programme, optional
        Under which the points held at the start were issued; the scenario's own if
        omitted.

    Returns
    -------
    dict of str to Totals
        In the order of `programmes`.
    """
    chosen = generator or population.pick()
    months = rules.month_of(how.end - 1) - rules.month_of(how.start) + 1
    spans = [
        (a, min(a + how.chunk, population.members))
        for a in range(0, population.members, how.chunk)
    ]
    found = {
        name: Totals(
            np.zeros(
                (len(replications), len(population.channels), months,
                 len(one.tiers), len(FIELDS)), np.int64,
            ),
            *np.zeros((2, len(population.channels), len(one.tiers)), np.int64),
        )
        for name, one in programmes.items()
    }  # fmt: skip

    here = how._replace(connection=None)  # work may travel; a connection cannot

    def work(task: tuple[int, int, int]) -> list[tuple[Any, Any]]:
        replication, first, last = task
        drawn = chosen.draw(
            first, last, start=here.start, end=here.end, seed=here.seed,
            replication=replication, fixed=here.fixed,
        )  # fmt: skip
        return [
            run_one(population, one, here, replication, (first, last), drawn, opening)
            for one in programmes.values()
        ]

    tasks = [(r, a, b) for r in replications for a, b in spans]
    answers = spread(work, tasks, connection=how.connection, threads=how.threads)
    for task, parts in zip(tasks, answers, strict=True):
        for name, (sums, at_start) in zip(programmes, parts, strict=True):
            total = found[name]
            total.sums[task[0] - replications.start] += sums
            if task[0] == replications.start:
                total.opening[...] += at_start[..., 0]
                total.points[...] += at_start[..., 1]
    return found


def run_one(
    population: Population,
    programme: Programme,
    how: Run,
    replication: int,
    span: tuple[int, int],
    drawn: Any,  # noqa: ANN401
    opening: Programme | None = None,
    *,
    written: Any = None,  # noqa: ANN401
    ends: Any = None,  # noqa: ANN401
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Run some members through one programme once.

    Parameters
    ----------
    population : Population
        Who.
    programme : Programme
        The rules.
    how : Run
        Days, chances, engine.
    replication : int
        Part of every draw's key.
    span : tuple of int
        Members, half-open.
    drawn : Drawn
        What their generator drew.
    opening : Programme, optional
        Under which the points held at the start were issued.
    written, ends : array, optional
        Filled with the events, and the members' last scalars.

    Returns
    -------
    tuple of ndarray
        Sums (channels, months, tiers, fields); members at the start, and their points
        (channels, tiers, 2).
    """
    from growth.tiers import kernels

    first, last = span
    compiled = np.array(programme.compiled, dtype=np.int64)
    before = np.array((opening or programme).compiled, dtype=np.int64)
    past, past_at = population.past.events(first, last)
    habits, tiers = population.habits, len(programme.tiers)
    months = rules.month_of(how.end - 1) - rules.month_of(how.start) + 1
    numbers = np.array(
        [
            how.redemption, habits.refund_days, population.cap,
            *how.response.at(tiers, how.seed, None if how.fixed else replication),
        ],
        dtype=np.float64,
    )  # fmt: skip
    ints = np.array(
        [
            how.engine == "daily", keyed.signed(how.seed), replication, first,
            how.start, how.end, drawn.draws, drawn.recorded, 1, how.check_lots,
            opening is not None and opening != programme, written is not None,
        ],
        dtype=np.int64,
    )  # fmt: skip
    channels = len(population.channels)
    sums = np.zeros((channels * months * tiers, len(FIELDS)), np.int64)
    at_start = np.zeros((channels, tiers, 2), np.int64)
    room = past.shape[0] + drawn.tape.shape[0]

    def each(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, np.ndarray):
            return np.ascontiguousarray(value[first:last], dtype=np.float32)
        return np.array([value], np.float32)

    codes = population.channel
    channel = np.zeros(1, np.int16) if codes is None else codes[first:last]
    work = workspace(
        programme.qualify.window.months,
        (opening or programme).qualify.window.months,
        room_of(past_at, drawn.tape_at, how.end - how.start),
    )
    _, wrong = kernels.run(
        compiled, before, work, ints, numbers, drawn.rate, drawn.dropout, drawn.scale,
        each(habits.logins_per_day), each(habits.review_rate), each(habits.refund_rate),
        np.ascontiguousarray(population.joined[first:last]),
        np.ascontiguousarray(channel),
        np.array(drawn.amounts),
        population.calendar.multiples(how.start, how.end),
        past, past_at, drawn.tape, drawn.tape_at, sums, at_start,
        np.zeros((0, rules.SCALARS), np.int64) if ends is None else ends,
        np.zeros(room, np.int8),
        np.zeros((0, 5), np.int64) if written is None else written,
    )  # fmt: skip
    assert not wrong, f"{wrong} lots are not the sum of their uses"
    return sums.reshape(channels, months, tiers, len(FIELDS)), at_start


def workspace(months: int, months0: int, room: int) -> tuple[NDArray[np.int64], ...]:
    """Return the arrays a run or replay works in.

    Parameters
    ----------
    months, months0 : int
        Months of the window of the programme, and of the one before it.
    room : int
        The most lots, and orders, that a member can come to.

    Returns
    -------
    tuple of ndarray
        Scalars, lots, orders, months; the same under the programme before; list
        prices; days and orders of refunds to come; scalars of who has no past.
    """
    state = (rules.SCALARS, room * rules.LOT, room * rules.ORDER)
    sizes = (*state, 2 * months, *state, 2 * months0, room, room, room, rules.SCALARS)
    return tuple(np.zeros(size, np.int64) for size in sizes)


def room_of(at: NDArray[np.int64], tape_at: NDArray[np.int64], days: int) -> int:
    """Return the most lots, and orders, that a member can come to.

    Parameters
    ----------
    at, tape_at : ndarray of int
        Where each member's events begin.
    days : int
        Days on which something may be drawn: logins are, where orders are taped too.

    Returns
    -------
    int
        Three a day and an event: a day's login, order and review each make a lot at
        most, a taped order's one and its review's.
    """
    events = np.diff(at) + np.diff(tape_at)
    return int(events.max(initial=0)) * 3 + 3 * days + 8


def broken(totals: Totals) -> list[str]:
    """Return the accounting identities that a run's sums break: none, ever.

    Parameters
    ----------
    totals : Totals
        Of one programme.

    Returns
    -------
    list of str
        Their names.
    """
    wrong = []
    if totals.of("points_errors").any():
        wrong.append("issued + debt = redeemed + expired + clawed + active + pending")
    if totals.of("window_errors").any():
        wrong.append("window spend = sum of its months")
    stock = totals.of("members")
    before = np.concatenate(
        [np.broadcast_to(totals.opening[None, :, None, :], stock[:, :, :1].shape),
         stock[:, :, :-1]], axis=2,
    )  # fmt: skip
    moved = totals.of("joined") + totals.of("moved_in") - totals.of("moved_out")
    if (stock != before + moved).any():
        wrong.append("next month = this month + joined + moves in - moves out")
    held = totals.of("active") + totals.of("pending") - totals.of("debt")
    flow = (
        totals.of("issued") - totals.of("redeemed") - totals.of("expired")
        - totals.of("clawed")
    )  # fmt: skip
    change = held.sum(axis=3)[:, :, 1:] - held.sum(axis=3)[:, :, :-1]
    if (change != flow.sum(axis=3)[:, :, 1:]).any():
        wrong.append("points held = those before + the month's flows")
    if (totals.of("moved_in").sum(axis=3) != totals.of("moved_out").sum(axis=3)).any():
        wrong.append("who leaves a tier enters another")
    return wrong
