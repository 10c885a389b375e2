"""The sample merchant: every piece put together, written as a dataset."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from growth.errors import ParameterError
from growth.result import Cell, Result
from growth.synth import books, journey, messaging, official, shop, trials
from growth.synth.base import (
    DAY_MS,
    MISSING,
    SHANGHAI_MS,
    hex_ids,
    midnight_ms,
    month_of,
    need,
    stream,
)
from growth.synth.buying import BuyingModel, amounts
from growth.synth.declare import declarations
from growth.synth.events import (
    ASKED_MS,
    OPEN_RATE,
    opens,
    session_columns,
    write_events,
)
from growth.synth.messaging import BACK_RATE
from growth.synth.people import people, people_counts
from growth.synth.places import PAGE_RPX
from growth.synth.returning import power_curve
from growth.synth.truth import ABOUT, pages, personas, refunds
from growth.synth.walking import PURCHASE, WELCOME
from growth.synth.write import Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from growth.synth.base import Floats, Ints
    from growth.synth.books import Book
    from growth.synth.journey import Sessions, Trips
    from growth.synth.people import People

__all__ = ["SampleReport", "sample"]

SHARD_USERS = 20_000
HISTORY_MONTHS = 24
MIN_DAYS = 56


@dataclass(frozen=True, slots=True)
class TableSize:
    """A table of the sample: rows, files and bytes on disk."""

    table: str
    row_count: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleReport(Result):
    """What `sample` wrote; `as_of` is the last day of its log."""

    location: str
    seed: int
    users: int
    days: int
    as_of: date
    tables: tuple[TableSize, ...]
    truth: tuple[str, ...]
    experiments: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """Always ``synth.sample.written``: anything else raises."""
        return "synth.sample.written"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a table."""
        return [asdict(size) for size in self.tables]


@dataclass(slots=True)
class _Sums:
    """What adds up over shards."""

    expected: Floats = field(default_factory=lambda: np.zeros((2, 4)))
    numbers: dict[str, dict[str, int]] = field(default_factory=dict)
    persona: Floats | int = 0

    def add(self, name: str, counts: dict[str, int]) -> None:
        """Add counts under a name."""
        seen = self.numbers.setdefault(name, {})
        for key, value in counts.items():
            seen[key] = seen.get(key, 0) + int(value)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What every shard shares."""

    seed: int
    days: int
    start_ms: int
    end_ms: int
    end: date
    history: int
    curve: Floats
    model: BuyingModel


def sample(
    out: Path | str,
    *,
    seed: int = 20_260_301,
    users: int = 20_000,
    days: int = 60,
    end: date = date(2026, 3, 1),
    shard_users: int = SHARD_USERS,
    progress: Callable[[int, int], None] | None = None,
) -> SampleReport:
    """Write a sample merchant whose every planted value is known.

    Parameters
    ----------
    out : path
        Folder to make; an earlier sample there is replaced.
    seed : int, default 20260301
        Same seed, same bytes.
    users : int, default 20_000
        People the merchant ever saw, 100 or more.
    days : int, default 60
        Local days of the event log, 56 or more.
    end : datetime.date
        The day after the last one; the first of a month, because tiers are reviewed
        when a month ends.
    shard_users : int, default 20_000
        Users held in memory at a time; a day's events get one file a shard.
    progress : callable, optional
        Called with the days of events written so far and to be written in all.

    Returns
    -------
    SampleReport
        One row a table. Values are in ``truth.json``, declarations in
        ``experiments/``, ``programme.toml``, ``programme_next.toml``.

    Raises
    ------
    ParameterError
        If a number is out of range, or `end` is not the first of a month
        (code ``end_not_first_of_month``).
    StoreError
        If `out` holds something that is no sample (code ``out_in_use``).
    """
    need("users", users, 100)
    need("days", days, MIN_DAYS)
    need("shard_users", shard_users, 100, 2**22)
    if end.day != 1:
        msg = f"end is {end}; it must be the first of a month, for tiers are reviewed"
        msg = f"{msg} when a month ends; use {end.replace(day=1)}."
        raise ParameterError(msg, code="end_not_first_of_month")
    opened = date(end.year - HISTORY_MONTHS // 12, end.month, 1)
    begun = end - timedelta(days=days)
    plan = _Plan(
        seed=seed,
        days=days,
        start_ms=midnight_ms(begun),
        end_ms=midnight_ms(end),
        end=end,
        history=(begun - opened).days,
        curve=power_curve(days),
        model=BuyingModel(),
    )
    total = -(-users // shard_users) * days
    sums = _Sums()
    daily = official.Daily(days, -begun.weekday() % 7)
    with Folder(Path(out)) as folder:
        for shard, low in enumerate(range(0, users, shard_users)):
            size = min(shard_users, users - low)
            for day in _shard(folder, plan, shard, size, sums, daily):
                if progress is not None:
                    progress(shard * days + day + 1, total)
        whole = _whole(folder, plan, begun, daily)
        folder.close()
        for path, words in declarations(users, end).items():
            folder.text(path, words)
        truth = _truth(plan, users, sums) | whole
        truth["about"] = {name: ABOUT[name] for name in sorted(truth)}
        folder.json("truth.json", truth)
    return SampleReport(
        location=str(out),
        seed=seed,
        users=users,
        days=days,
        as_of=end - timedelta(days=1),
        tables=tuple(
            TableSize(name, rows, files, size)
            for name, (rows, size, files) in sorted(folder.counts.items())
        ),
        truth=tuple(sorted(truth)),
        experiments=tuple(trial.name for trial in trials.TRIALS),
    )


def _shard(
    folder: Folder,
    plan: _Plan,
    shard: int,
    users: int,
    sums: _Sums,
    daily: official.Daily,
) -> Iterator[int]:
    """Make one shard of users, write its part of every table; yield days written."""
    who = people(
        seed=plan.seed,
        shard=shard,
        users=users,
        days=plan.days,
        history=plan.history,
        model=plan.model,
    )
    dormant = np.flatnonzero(who.dormant)
    call = messaging.wake(_rng(plan, "wake", shard), dormant, plan.days)
    visit = journey.sessions(_rng(plan, "sessions", shard), who, plan.curve, call)
    tested = [trials.assign(trial, who, visit, plan.days) for trial in trials.TRIALS]
    home = tested[0]
    lift = np.where(home.inside & (home.arm[visit.user] == 1), trials.ITEM_LIFT, 0.0)
    trip = journey.trips(_rng(plan, "trips", shard), who, visit, lift, plan.model)
    sums.expected += trials.expected(home, who, visit, plan.days)
    shares = opens(_rng(plan, "shares", shard), visit, trip)
    sums.add("shares", shares.to_truth(visit, plan.days * DAY_MS))

    book, order_of = _book(plan, shard, who, visit, trip)
    rng = _rng(plan, "items", shard)
    bought = books.order_tables(rng, book, who, plan.end_ms)
    _by_month(folder, shard, "orders", bought["orders"], "create_ts")
    folder.append("order_items", bought["order_items"])
    folder.append("refunds", bought["refunds"])
    kept = books.ledger(
        _rng(plan, "points", shard),
        book,
        who,
        _earnings(plan, shard, who, visit, trip, book),
        (plan.start_ms, plan.end_ms),
        HISTORY_MONTHS,
        shard=shard,
    )
    sums.add("points", kept.sums)
    _by_month(folder, shard, "points_ledger", kept.rows, "ts")
    as_of = plan.end - timedelta(days=1)
    folder.append("members", books.member_table(who, plan.start_ms, kept, as_of))
    sums.persona = sums.persona + books.persona_counts(who)
    daily.add(who, visit, trip, shares)
    mail = _mail(plan, shard, who, visit, trip, call, sums)
    _by_month(folder, shard, "messages", mail, "ts")
    plays, greedy = shop.participation_rows(
        _rng(plan, "plays", shard), visit, who.user_id, plan.start_ms
    )
    folder.append("participations", plays)
    sums.add("rules", {"play_freq": greedy})
    sums.add("people", people_counts(who))
    folder.append(
        "assignments", trials.assignment_table(tested, who, visit, trip, plan.start_ms)
    )

    log = write_events(
        _rng(plan, "events", shard),
        who,
        visit,
        trip,
        tested,
        shares,
        (book.order_id, order_of),
    )
    session_id = hex_ids(_rng(plan, "session_id", shard), visit.n)
    columns = session_columns(who, visit, session_id, plan.days)
    begun = plan.end - timedelta(days=plan.days)
    for day, rows in log.days(visit.user, plan.start_ms, columns, PAGE_RPX):
        folder.part("events", f"ds={begun + timedelta(days=day)}", shard, rows)
        yield day


def _whole(
    folder: Folder, plan: _Plan, begun: date, daily: official.Daily
) -> dict[str, object]:
    """Write the tables that belong to no user; return what is true of them."""
    rows, differs = official.official_table(_rng(plan, "official", 0), daily, begun)
    folder.append("official_daily", rows)
    rows, spend = official.spend_table(_rng(plan, "spend", 0), daily, begun)
    folder.append("channel_spend", rows)
    for name, rows in shop.shop_tables(_rng(plan, "shop", 0), begun, plan.days).items():
        folder.append(name, rows)
    return {"official": differs, "channel_spend": spend}


def _mail(
    plan: _Plan,
    shard: int,
    who: People,
    visit: Sessions,
    trip: Trips,
    call: messaging.Wake,
    sums: _Sums,
) -> pa.Table:
    """Return the shard's messages: consent asked after paying, chats, the call."""
    asked = np.flatnonzero(trip.asked >= 0)
    user = visit.user[asked]
    ms = plan.start_ms + visit.start_ms[asked] + trip.step_ms[asked, 4] + ASKED_MS
    rng = _rng(plan, "messages", shard)
    yes = trip.asked[asked] == 1
    mail, counts = messaging.subscriptions(rng, user, ms, yes, plan.end_ms)
    talk, chats = messaging.chats(rng, who.n, plan.start_ms, plan.end_ms)
    sums.add("messages", counts | chats)
    back = np.bincount(call.pushed.astype(int), minlength=2)
    sums.add(
        "wake",
        {
            "targeted": len(call.targeted),
            "held_out": len(call.held),
            "targeted_back": int(back[1]),
            "held_out_back": int(back[0]),
        },
    )
    woken = messaging.wake_mail(call, plan.start_ms)
    return messaging.mail_table([*mail, *talk, *woken], who.user_id)


def _rng(plan: _Plan, piece: str, shard: int) -> np.random.Generator:
    return stream(plan.seed, piece, shard)


def _book(
    plan: _Plan, shard: int, who: People, visit: Sessions, trip: Trips
) -> tuple[Book, Ints]:
    """Return all orders, those before the log and the log's, and each session's."""
    rng = _rng(plan, "history", shard)
    before = len(who.order_user)
    past = amounts(rng, who.mean_fen[who.order_user], plan.model)
    rows = np.flatnonzero(trip.level >= 3)
    paid = trip.level[rows] >= 4
    at = visit.start_ms[rows] + plan.start_ms
    created = at + trip.step_ms[rows, 3]
    bought = at + trip.step_ms[rows, 4]
    past_ms = who.order_ms + plan.start_ms
    n = before + len(rows)
    order_of = np.full(visit.n, -1)
    order_of[rows] = np.arange(before, n)
    book = books.keep(
        _rng(plan, "refunds", shard),
        order_id=hex_ids(rng, n),
        user=np.r_[who.order_user, visit.user[rows]],
        create_ms=np.r_[past_ms - 15_000, created],
        pay_ms=np.r_[past_ms, np.where(paid, bought, MISSING)],
        paid_fen=np.r_[past, np.where(paid, trip.paid_fen[rows], 0)],
        online=np.r_[
            rng.random(before) >= books.OFFLINE_RATE, np.ones(len(rows), bool)
        ],
        product=np.r_[np.full(before, -1), trip.product[rows]],
        end_ms=plan.end_ms,
    )
    return book, order_of


def _earnings(
    plan: _Plan, shard: int, who: People, visit: Sessions, trip: Trips, book: Book
) -> tuple[books.Earning, ...]:
    """Return points for logins and reviews; before the log, from order days."""
    rng = _rng(plan, "earnings", shard)
    begun = visit.start_ms + plan.start_ms
    past = len(who.order_user)
    user, ms = book.user[:past], book.pay_ms[:past]
    day = (ms + SHANGHAI_MS) // DAY_MS
    _, first = np.unique(user * 100_000 + day, return_index=True)
    wrote = rng.random(past) < 0.12
    later = ms + rng.integers(3 * DAY_MS, 10 * DAY_MS, past)
    wrote &= later < plan.start_ms
    return (
        books.Earning(user[first], ms[first] - 20_000, books.LOGIN_POINTS, "login"),
        books.Earning(user[wrote], later[wrote], books.REVIEW_POINTS, "review"),
        books.Earning(
            visit.user[trip.login],
            begun[trip.login] + 400,
            books.LOGIN_POINTS,
            "login",
        ),
        books.Earning(
            visit.user[trip.review],
            (begun + trip.second_ms)[trip.review] + 1_500,
            books.REVIEW_POINTS,
            "review",
        ),
    )


def _by_month(folder: Folder, shard: int, name: str, rows: pa.Table, by: str) -> None:
    """Write a table as one file a month, sorted by that instant."""
    import pyarrow as pa

    ms = rows.column(by).cast(pa.int64()).to_numpy()
    order = np.argsort(ms, kind="stable")
    month = month_of(ms[order])
    plain = [
        column.cast(column.type.value_type)
        if pa.types.is_dictionary(column.type)
        else column
        for column in rows.columns
    ]
    rows = pa.table(plain, names=rows.column_names).take(pa.array(order))
    edges = np.flatnonzero(np.r_[True, month[1:] != month[:-1], True])
    for low, high in pairwise(edges.tolist()):
        label = f"{month[low] // 12:04d}-{month[low] % 12 + 1:02d}"
        folder.part(name, label, shard, rows.slice(low, high - low))


def _truth(plan: _Plan, users: int, sums: _Sums) -> dict[str, Any]:
    """Return every planted value by name."""
    made = sums.numbers
    return {
        "seed": plan.seed,
        "users": users,
        "start": (plan.end - timedelta(days=plan.days)).isoformat(),
        "end": plan.end.isoformat(),
        "as_of": (plan.end - timedelta(days=1)).isoformat(),
        "retention": {
            "start_event": "register",
            "return_event": ["app_launch", "app_show"],
            "curve": plan.curve.tolist(),
        },
        "funnels": {"purchase": PURCHASE.to_truth(), "welcome": WELCOME.to_truth()},
        "buying": {**asdict(plan.model), "mean_fen": plan.model.mean_fen},
        "experiments": trials.truth(sums.expected),
        "personas": personas(sums.persona),
        "people": made["people"],
        "pages": pages(),
        "shares": {**made["shares"], "open_rate": OPEN_RATE},
        "points": made["points"],
        "messages": made["messages"],
        "wake": {
            **made["wake"],
            "day": (plan.end - timedelta(days=messaging.WAKE_BEFORE_END)).isoformat(),
            "campaign_id": messaging.CAMPAIGNS[0],
            "back_rate": dict(zip(("held_out", "targeted"), BACK_RATE, strict=True)),
        },
        "refunds": refunds(),
        "rules": shop.TRUTH
        | made["rules"]
        | {
            "sub_grant": made["messages"]["sends_without_grant"],
            "cs_window": made["messages"]["replies_over_quota"],
            "stock_out_rate": shop.STOCK_OUT_RATE,
        },
    }
