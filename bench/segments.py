"""Tags of 2 million users from 50 million events: ours against hand-written DuckDB.

RFM's floor is cut points and scores in one statement over order rows; that of one
tag and of fifty is their conditional aggregates written by hand. What is held of the
days before is kept between runs. Twenty segments are either the values of four tags
(625 masks: each user has one value of a tag) or, "overlapping", one value each of
twenty tags that know nothing of each other (a fifth of users each: some 175,000 masks);
the floor is the same group-by of a mask, to Python numbers. Times are CPU seconds of
all threads. Fits are of BG/NBD and Gamma-Gamma on customers in memory.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from datetime import date, timedelta
from itertools import product
from pathlib import Path

from _common import arguments, machine, peak_mib, run_case, table
from _events import events, orders

AS_OF = date(2026, 3, 31)
TABLE = "create temp table found as "
VALUES = ("frequent", "active", "cooling", "dormant", "never")
GONE = "drop table if exists found"
END = "timestamptz '2026-03-31 16:00:00+00'"
MIDNIGHT = "timestamptz '2026-{:02}-{:02} 16:00:00+00'"


def _engine():
    from growth import engine

    return engine.connect(threads=2)


def _ours(scale, rules, name="events"):
    """Return work that writes every user's tags into a table of the engine."""
    from growth.engine import read_files
    from growth.segments import tag

    connection = _engine()
    files = {"events": events, "orders": orders}[name](scale)

    def work():
        connection.con.execute(GONE)  # else two results are in memory
        data = {name: read_files(connection, files)}
        found = tag(data, rules, as_of=AS_OF, user_col="user_idx")
        connection.create_table("found", found, temp=True)

    return work


def _by_hand(sql):
    connection = _engine()

    def work():
        connection.con.execute(GONE)
        connection.con.execute(TABLE + sql)

    return work


RFM_FLOOR = """
with per as (
    select user_idx, date_diff('day', max(pay_ts)::date, date '2026-03-31') as days,
           count(*) as n, sum(paid_fen)::bigint as fen
    from read_parquet('{orders}') where pay_ts < {end} group by user_idx
), cuts as (
    select quantile_disc(days, [0.2, 0.4, 0.6, 0.8]) as r,
           quantile_disc(n, [0.2, 0.4, 0.6, 0.8]) as f,
           quantile_disc(fen, [0.2, 0.4, 0.6, 0.8]) as m from per
)
select user_idx,
    5 - (days > r[1])::int - (days > r[2])::int - (days > r[3])::int
      - (days > r[4])::int as r,
    1 + (n > f[1])::int + (n > f[2])::int + (n > f[3])::int + (n > f[4])::int as f,
    1 + (fen > m[1])::int + (fen > m[2])::int + (fen > m[3])::int
      + (fen > m[4])::int as m
from per, cuts
"""  # scores only: ours names the segment too


def rfm(scale):
    from growth.segments import Tag, Value, rules_of
    from growth.segments import rfm as scores

    names = [
        *("champions", "loyal", "new", "promising", "at_risk", "need_attention"),
        *("hibernating", "lost"),
    ]
    values = [Value(name, scores().equals(name)) for name in names]
    rules = rules_of(Tag("rfm", values, default="no_order", population="buyers"))
    return _ours(scale, rules, "orders")


def rfm_floor(scale):
    return _by_hand(RFM_FLOOR.format(orders=orders(scale), end=END))


def _one_metric(k):
    """Return one of fifty metrics, and the same as SQL."""
    from growth.segments import count, recency_days

    names = ("view_item", "add_to_cart", "begin_checkout", "pay", "share")
    name, days = names[k % 5], (7, 14, 30, 60, 90)[k // 5 % 5]
    where = [{"col": "event", "eq": name}]
    if k >= 25:
        sql = f"max(ts) filter (where event = '{name}')"
        return recency_days("events", where=where), f"{sql} as m{k}", days
    back = (AS_OF.toordinal() - days) - date(2026, 1, 1).toordinal()
    start = f"timestamptz '2025-12-31 16:00:00+00' + interval {back + 1} day"
    sql = f"count(*) filter (where event = '{name}' and ts >= {start})"
    return count("events", where=where, last=days), f"{sql} as m{k}", 1 + k % 4


def _tags(n):
    from growth.segments import Tag, Value, rules_of

    made = []
    for k in range(n):
        metric, _, limit = _one_metric(k)
        when = metric >= limit if k < 25 else metric < limit
        made.append(Tag(f"t{k}", [Value("yes", when)], default="no"))
    return rules_of(*made)


def _floor_of(scale, n):
    measures, tests = [], []
    for k in range(n):
        _, sql, limit = _one_metric(k)
        measures.append(sql)
        test = f"m{k} >= {limit}"
        if k >= 25:
            test = f"date_diff('day', m{k}::date, date '2026-03-31') < {limit}"
        tests.append(f"case when {test} then 'yes' else 'no' end as t{k}")
    return _by_hand(
        f"with per as (select user_idx, {', '.join(measures)} "
        f"from read_parquet('{events(scale)}') where ts < {END} group by user_idx) "
        f"select user_idx, {', '.join(tests)} from per"
    )


def one_tag(scale):
    return _ours(scale, _tags(1))


def fifty_tags(scale):
    return _ours(scale, _tags(50))


def one_floor(scale):
    return _floor_of(scale, 1)


def fifty_floor(scale):
    return _floor_of(scale, 50)


def _held(scale, rules, name, as_of):
    """Return the data and what is held of it up to a day, held over from runs."""
    from _common import CACHE

    from growth.engine import read_files
    from growth.segments.tables.logs import Logs
    from growth.segments.tables.plan import Plan

    connection = _engine()
    data = {"events": read_files(connection, events(scale))}
    logs = Logs(CACHE / f"segments-{name}-{scale:g}", 3)

    def plan(day):
        return Plan(data, rules, day, None, "user_idx", logs=logs)

    (log,) = plan(as_of).held.values()
    return connection, plan, log


def daily_increment(scale):
    """Bring what is held from the day before up to the day: its partials."""
    _, plan, log = _held(scale, _tags(50), "tags", AS_OF - timedelta(days=1))
    manifest = log.folder / "manifest.json"
    known = json.loads(manifest.read_text())
    first = (AS_OF - date(1970, 1, 1)).days
    # a run before may have held the day: it is new again
    days = {d: v for d, v in known["days"].items() if int(d) < first}
    days = {d: [rows, min(read, first - 1)] for d, (rows, read) in days.items()}
    before = json.dumps({**known, "days": days})

    def work():
        manifest.write_text(before)
        assert plan(AS_OF).held

    return work


def increment_floor(scale):
    """Sum the same four days by hand, into Parquet."""
    names = ("view_item", "add_to_cart", "begin_checkout", "pay", "share")
    measures = ["count(*)"]
    for name in names:
        test = f"filter (where event = '{name}')"
        measures += [f"count(*) {test}", f"max(ts) {test}"]
    told = ", ".join(f"{sql} as p{i}" for i, sql in enumerate(measures))
    day = "epoch_us(ts) + 28800000000"
    start = "timestamptz '2026-03-27 16:00:00+00'"
    query = (
        f"select user_idx, ({day}) // 86400000000 as d, {told} "
        f"from read_parquet('{events(scale)}') where ts >= {start} and ts < {END} "
        "group by all order by d"
    )
    place = Path(tempfile.mkdtemp()) / "days.parquet"
    connection = _engine()

    def work():
        connection.con.execute(f"copy ({query}) to '{place}' (compression zstd)")

    return work


def _from_days(scale, rules, name):
    connection, plan, _ = _held(scale, rules, name, AS_OF)

    def work():
        connection.con.execute(GONE)
        found = plan(AS_OF).tagged().select("user_idx", *rules.names)
        connection.create_table("found", found, temp=True)

    return work


def fifty_from_days(scale):
    return _from_days(scale, _tags(50), "tags")


def lifecycle_from_days(scale):
    from growth.segments import packs

    return _from_days(scale, packs.rules("lifecycle"), "lifecycle")


def distinct_scan(scale):
    day = "(epoch_us(ts) + 28800000000) // 86400000000"
    rows = f"read_parquet('{events(scale)}') where ts < {END}"
    return _by_hand(f"select distinct user_idx, {day} as d from {rows}")


def _tagged(scale, tags=4):
    """Return an engine with two days' tags of as many users, made up."""
    connection = _engine()
    n = max(round(2_000_000 * scale), 50)
    told = ", ".join(
        f"({list(VALUES)})[(1 + hash(i * 31 + {k}) % 5)::int] as t{k}"
        for k in range(tags)
    )
    for name, shift in (("before", 0), ("after", n // 20)):
        connection.con.execute(
            f"create temp table {name} as select (i + {shift})::int as user_idx, "
            f"{told.replace('hash(i', f'hash((i + {shift})')} from range({n}) r(i)"
        )
    return connection


def movement(scale):
    from growth import segments

    connection = _tagged(scale)
    before, after = connection.table("before"), connection.table("after")

    def work():
        segments.movement(before, after, "t1", user_col="user_idx")

    return work


def movement_floor(scale):
    connection = _tagged(scale)

    def work():
        connection.con.execute(
            "select b.t1, a.t1, count(*) from before b full join after a "
            "on a.user_idx = b.user_idx group by all"
        ).fetchall()

    return work


VALUES_OF_FOUR = [(f"t{k}", value) for k, value in product(range(4), VALUES)]
ONE_OF_TWENTY = [(f"t{k}", "active") for k in range(20)]


def _overlap(scale, pairs, **limits):
    from growth import segments

    table = _tagged(scale, len({tag for tag, _ in pairs})).table("before")
    asked = {f"{value} {tag}": segments.tag_in(tag, value) for tag, value in pairs}

    def work():
        segments.overlap(table, asked, **limits)

    return work


def _overlap_floor(scale, pairs):
    connection = _tagged(scale, len({tag for tag, _ in pairs}))
    mask = " | ".join(
        f"(case when {tag} = '{value}' then {1 << i} else 0 end)"
        for i, (tag, value) in enumerate(pairs)
    )

    def work():
        connection.con.execute(
            f"select {mask} as m, count(*) from before group by m"
        ).fetchall()

    return work


def overlap(scale):
    return _overlap(scale, VALUES_OF_FOUR)


def overlap_floor(scale):
    return _overlap_floor(scale, VALUES_OF_FOUR)


def overlapping(scale):
    return _overlap(scale, ONE_OF_TWENTY)


def overlapping_shared(scale):
    return _overlap(scale, ONE_OF_TWENTY, k=10, min_size=50)


def overlapping_floor(scale):
    return _overlap_floor(scale, ONE_OF_TWENTY)


def _customers(n):
    import numpy as np

    rng = np.random.default_rng(7)
    age = rng.integers(30, 400, n)
    rate = rng.gamma(0.6, 1 / 42, n)  # a day
    leaves = np.minimum(rng.exponential(1 / np.maximum(rng.beta(0.5, 2.5, n), 1e-3))
                        / np.maximum(rate, 1e-6), age)  # fmt: skip
    x = rng.poisson(rate * leaves)
    # the last of x uniform purchases
    t_x = np.where(x > 0, leaves * rng.random(n) ** (1 / np.maximum(x, 1)), 0)
    t_x = np.rint(t_x).astype(np.int64)
    orders_ = x.astype(np.int64) + 1
    money = (rng.gamma(4.0, 3000.0, n) * orders_).astype(np.int64)
    return x, t_x, age, orders_, money


def _fit(n):
    import numpy as np

    from growth.segments.models import fitted

    x, t_x, age, orders_, money = _customers(n)

    def work():
        fitted(x, t_x, age, np.ones(n), orders=orders_, money=money)

    return work


def fit_quarter(scale):
    return _fit(round(250_000 * scale))


def fit_million(scale):
    return _fit(round(1_000_000 * scale))


def evaluator(scale):
    """Judge one user 20,000 times: ten rows, two tags."""
    from datetime import UTC, datetime, timedelta

    from growth.segments import packs, rule

    del scale
    one = rule(packs.rules("behaviour", "frequency"), "behaviour")
    now = datetime(2026, 3, 31, tzinfo=UTC)
    rows = [
        {"ts": now - timedelta(days=k), "event": "page_view", "page_path": "pages/a"}
        for k in range(7)
    ]
    bought = [{"pay_ts": now - timedelta(days=k)} for k in (3, 40, 80)]
    record = {"events": rows, "orders": bought}

    def work():
        for _ in range(20_000):
            one.value_for(record, as_of=AS_OF)

    return work


CASES = {
    "rfm": rfm,
    "rfm floor": rfm_floor,
    "one tag": one_tag,
    "one tag floor": one_floor,
    "50 tags": fifty_tags,
    "50 tags floor": fifty_floor,
    "50 tags, days held": fifty_from_days,
    "daily increment": daily_increment,
    "daily increment floor": increment_floor,
    "lifecycle, days held": lifecycle_from_days,
    "distinct scan": distinct_scan,
    "movement": movement,
    "movement floor": movement_floor,
    "20 segments": overlap,
    "20 segments floor": overlap_floor,
    "20 segments, overlapping": overlapping,
    "20 segments, overlapping, shared": overlapping_shared,
    "20 segments, overlapping floor": overlapping_floor,
    "fit 250k": fit_quarter,
    "fit 1M": fit_million,
    "evaluator": evaluator,
}
GOALS = {
    "rfm": "<= 1.2 x floor",
    "one tag": "<= 1.3 x floor",
    "50 tags": "<= 3 x one tag",
    "50 tags, days held": "<= 2 x one tag",
    "daily increment": "<= 1.5 x floor",
    "lifecycle, days held": "<= 0.5 x distinct scan",
    "movement": "<= 1.2 x floor",
    "20 segments": "<= 1.2 x floor",
    "20 segments, overlapping": "<= 1.2 x floor",
    "20 segments, overlapping, shared": "no goal: k=10, min_size=50",
    "fit 1M": "<= 4 x fit 250k",
    "evaluator": "<= 1.0 s: 50 us each",
}


def spent():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def time_case(make, scale, repeat):
    """Print CPU seconds of `repeat` calls as JSON."""
    work = make(scale)
    before, times = peak_mib(), []
    for _ in range(repeat):
        start = spent()
        work()
        times.append(spent() - start)
    print(json.dumps({"seconds": times, "before": before, "peak": peak_mib()}))


def main():
    options = arguments(__doc__.splitlines()[0])
    if options.case:
        time_case(CASES[options.case], options.scale, options.repeat)
        return
    print(machine())
    measures = {
        name: run_case(__file__, name, options) for name in options.only or CASES
    }

    def floor(name):
        other = {
            "fit 1M": "fit 250k",
            "lifecycle, days held": "distinct scan",
            "20 segments, overlapping, shared": "20 segments, overlapping floor",
        }
        return other.get(name, f"{name} floor")

    def one(name):
        return "one tag" if name.startswith("50 tags") else ""

    table("CPU seconds", measures, against={"x floor": floor, "x one tag": one},
          goals=GOALS)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
