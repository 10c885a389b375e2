"""A 4-step funnel with a window of 7 days over 50 million events, in CPU seconds.

Ours on the events (files as they lie, or through DuckDB) and on the log kept by user,
the floor (the best pure SQL we know for DuckDB: packed keys, sorted, and running maxima
over windows without PARTITION, which stream), plain windows by user, and what Polars,
pandas and retentioneering take. All count users who reached at least each step, and
must agree.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from _common import arguments, machine, peak_mib, peers, run_case, table
from _events import DAYS, FUNNEL, START, events

WINDOW_MS = 7 * 86_400_000
STEPS = len(FUNNEL)
# a chain of step k: the latest chain that reached k - 1 by then, if it is in time
TIME_BITS, CODE_BITS = 33, 2
START_MS = int(START.timestamp() * 1000)


def cpu():
    """Return the CPU seconds this process has taken, its threads' too."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def ours(scale, *, kept=False, files=True, **rules):
    """Count by `growth.funnel.measure`; `files`: as a table that is nothing else."""
    from datetime import timedelta

    from growth import engine, funnel

    path = events(scale)
    end = START + timedelta(days=DAYS)
    asked = {"steps": list(FUNNEL), "start": START, "end": end} | rules

    def work():
        log = str(own_folder(scale))
        if not kept:
            connection = engine.connect(threads=2)
            log = engine.as_table(path, connection=connection)
            if not files:  # what is more than files is read by the engine
                log = log.mutate(more=log.scene)
        result = funnel.measure(
            log,
            as_of=end + timedelta(days=400),
            user_col="user_id" if kept else "user_idx",
            **asked,
        )
        return [step.reached for step in result.totals]

    return work


def ours_kept(scale):
    """Count from the log kept by user, which stands ready."""
    refreshed(scale)
    return ours(scale, kept=True)


def refreshed(scale):
    """Build the log by user, or find that it is up to date."""
    from growth.engine import layouts

    layouts.refresh(own_folder(scale), log=True)


def own_folder(scale):
    """Return the events under a name of ours, so that no other bench's layouts are."""
    folder = Path(events(scale)).parent
    link = folder.with_name("funnel_events")
    if not link.exists():
        link.symlink_to(folder, target_is_directory=True)
    return link


def ours_engine(scale):
    """Count what DuckDB hands on."""
    return ours(scale, files=False)


def ours_ten(scale):
    """Count ten steps in 30 days."""
    return ours(scale, steps=(list(FUNNEL) * 3)[:10], window="30d")


def ours_gaps(scale):
    """Count with gaps, an exclusion and a strict reading of ties."""
    from growth import funnel

    steps = [
        FUNNEL[0],
        *(funnel.Step(n, min_gap="1s", max_gap="3d") for n in FUNNEL[1:]),
    ]
    rules = {"exclude": [funnel.Exclusion("share", after=1, before=2)]}
    return ours(scale, steps=steps, ties="strict", **rules)


def ours_by(scale):
    """Count by the entry's scene."""
    return ours(scale, by=["scene"])


def duckdb_work(scale, query):
    """Return a query's answer as the funnel's counts."""
    import duckdb

    path = events(scale)

    def work():
        with duckdb.connect(config={"threads": 2}) as connection:
            rows = connection.execute(query.format(path=path)).fetchone()
        return [int(n or 0) for n in rows]

    return work


CODES = " ".join(f"when '{name}' then {i}" for i, name in enumerate(FUNNEL))
COUNTS = ", ".join(f"count(*) filter (level >= {k + 1})" for k in range(STEPS))
PACKED = f"""
    select (user_idx::bigint << {TIME_BITS + CODE_BITS})
         | ((epoch_ms(ts) - {START_MS}) << {CODE_BITS})
         | case event {CODES} end as k
    from read_parquet('{{path}}')
    where event in {FUNNEL}
"""
ROWS_SO_FAR = "rows between unbounded preceding and current row"
# times lie in the low bits: keys of the same user differ by less than a user
USER = TIME_BITS + CODE_BITS


def streaming(level):
    """Return the query that adds the start of the newest chain of `level`.

    The running maximum holds user and start packed, so that a new user, being
    larger, starts afresh.
    """
    last = f"s{level - 1}"
    reached = (
        f"case when c = {level - 1} and {last} >> {TIME_BITS} = u and "
        f"t - ({last} & {(1 << TIME_BITS) - 1}) <= {WINDOW_MS} then {last} end"
    )
    return f"max({reached}) over ({ROWS_SO_FAR}) as s{level}"


def floor(scale):
    """Count by packed keys and windows that stream."""
    inner = f"""
        select u, c, t, max(case when c = 0 then (u << {TIME_BITS}) | t end)
            over ({ROWS_SO_FAR}) as s1
        from (select k >> {USER} as u, k & 3 as c,
                     (k >> {CODE_BITS}) & {(1 << TIME_BITS) - 1} as t
              from (select k from ({PACKED}) order by k))
    """
    for level in range(2, STEPS + 1):
        inner = f"select *, {streaming(level)} from ({inner})"
    levels = " ".join(
        f"when s{k} >> {TIME_BITS} = u then {k}" for k in range(STEPS, 0, -1)
    )
    query = f"""
        select {COUNTS} from (
            select u, max(case {levels} else 0 end) as level
            from ({inner}) group by u)
    """
    return duckdb_work(scale, query)


def partitioned(scale):
    """Count by windows over each user."""
    inner = f"""
        select user_idx as u, case event {CODES} end as c, epoch_ms(ts) as t
        from read_parquet('{{path}}') where event in {FUNNEL}
    """
    over = f"over (partition by u order by t, c {ROWS_SO_FAR})"
    inner = f"select *, max(case when c = 0 then t end) {over} as s1 from ({inner})"
    for k in range(2, STEPS + 1):
        reached = (
            f"case when c = {k - 1} and t - s{k - 1} <= {WINDOW_MS} then s{k - 1} end"
        )
        inner = f"select *, max({reached}) {over} as s{k} from ({inner})"
    levels = " ".join(f"when s{k} is not null then {k}" for k in range(STEPS, 0, -1))
    query = f"""
        select {COUNTS} from (
            select u, max(case {levels} else 0 end) as level
            from ({inner}) group by u)
    """
    return duckdb_work(scale, query)


def polars_packed(scale):
    """Count with Polars, by packed keys and running maxima."""
    import polars as pl

    path = events(scale)

    def work():
        code = (
            pl.col("event")
            .cast(pl.String)
            .replace_strict(
                {name: i for i, name in enumerate(FUNNEL)}, return_dtype=pl.Int64
            )
        )
        when = pl.col("ts").dt.epoch("ms") - START_MS
        key = (
            pl.col("user_idx").cast(pl.Int64) * 2 ** (TIME_BITS + CODE_BITS)
            + when * 2**CODE_BITS
            + code
        )
        rows = (
            pl.scan_parquet(path)
            .filter(pl.col("event").cast(pl.String).is_in(FUNNEL))
            .select(k=key)
            .sort("k")
            .select(
                u=pl.col("k") // 2 ** (TIME_BITS + CODE_BITS),
                t=pl.col("k") // 2**CODE_BITS % 2**TIME_BITS,
                c=pl.col("k") % 2**CODE_BITS,
            )
        )
        packed = pl.col("u") * 2**TIME_BITS
        begun = pl.when(pl.col("c") == 0).then(packed + pl.col("t"))
        rows = rows.with_columns(s1=begun.cum_max().forward_fill())
        for k in range(2, STEPS + 1):
            last = pl.col(f"s{k - 1}")
            same = last // 2**TIME_BITS == pl.col("u")
            late = pl.col("t") - last % 2**TIME_BITS <= WINDOW_MS
            reached = pl.when((pl.col("c") == k - 1) & same & late).then(last)
            rows = rows.with_columns(reached.cum_max().forward_fill().alias(f"s{k}"))
        levels = [
            pl.when(pl.col(f"s{k}") // 2**TIME_BITS == pl.col("u")).then(k).otherwise(0)
            for k in range(1, STEPS + 1)
        ]
        users = rows.group_by("u").agg(level=pl.max_horizontal(levels).max())
        found = users.select(
            *((pl.col("level") >= k).sum().alias(str(k)) for k in range(1, STEPS + 1))
        ).collect(engine="streaming")
        return list(found.row(0))

    return work


def pandas_sorted(scale):
    """Count with pandas, by sorted rows and running maxima within users."""
    import pandas as pd
    import pyarrow.dataset as ds

    path = events(scale)

    def work():
        import glob

        files = sorted(glob.glob(path))
        chosen = ds.field("event").isin(list(FUNNEL))
        log = ds.dataset(files).to_table(
            columns=["user_idx", "ts", "event"], filter=chosen
        )
        rows = log.to_pandas()
        names = rows["event"].astype("string").map({n: i for i, n in enumerate(FUNNEL)})
        rows = pd.DataFrame(
            {
                "u": rows["user_idx"].astype("int64"),
                "t": rows["ts"].astype("int64") - START_MS,
                "c": names.astype("int64"),
            }
        ).sort_values(["u", "t", "c"])
        start = rows["t"].where(rows["c"] == 0).groupby(rows["u"]).cummax()
        start = start.groupby(rows["u"]).ffill()
        level = (start.notna()).astype("int64")
        for k in range(2, STEPS + 1):
            reached = start.where(
                (rows["c"] == k - 1) & (rows["t"] - start <= WINDOW_MS)
            )
            start = reached.groupby(rows["u"]).cummax().groupby(rows["u"]).ffill()
            level = level.where(start.isna(), k)
        top = level.groupby(rows["u"]).max()
        return [int((top >= k).sum()) for k in range(1, STEPS + 1)]

    return work


def retentioneering(scale):
    """Count with retentioneering, which knows no window."""
    import os

    os.environ["RETENTIONEERING_NO_TRACK"] = "1"  # else it reports its own use
    import duckdb
    from retentioneering.eventstream import Eventstream

    path = events(scale)

    def work():
        query = f"select user_idx as user_id, event, ts as timestamp from '{path}'"
        log = duckdb.connect().execute(f"{query} where event in {FUNNEL}").df()
        stream = Eventstream(log)
        found = stream.funnel_data(steps=list(FUNNEL))
        return [step["unique_paths"] for step in found["steps"]]

    return work


CASES = {
    "floor": floor,
    "growth": ours,
    "growth, user_log": ours_kept,
    "growth, through DuckDB": ours_engine,
    "growth, by scene": ours_by,
    "growth, gaps, exclusion": ours_gaps,
    "growth, 10 steps": ours_ten,
    "windows by user": partitioned,
    "polars": polars_packed,
    "pandas": pandas_sorted,
    "retentioneering": retentioneering,
}
PEERS = ("retentioneering", "duckdb==1.5.6")
GOALS = {
    "growth": "0.4 x floor (aim 0.3), 1024 MiB",
    "growth, user_log": "0.1 x floor",
    "growth, by scene": "no scan more",
    "growth, gaps, exclusion": "kernel at most double",
    "growth, 10 steps": "works",
}


def time_cpu(make, scale, repeat):
    """Print the CPU seconds of `repeat` calls, the peak and the counts, as JSON."""
    make(min(scale, 0.001))()
    work = make(scale)
    before, spent, walls, found = peak_mib(), [], [], None
    for _ in range(repeat):
        start, wall = cpu(), time.perf_counter()
        found = work()
        spent.append(cpu() - start)
        walls.append(time.perf_counter() - wall)
    print(
        json.dumps(
            {
                "seconds": spent,
                "before": before,
                "peak": peak_mib(),
                "wall": min(walls),
                "found": found,
            }
        )
    )


def main():
    """Run every case in its own process and print the ratios."""
    options = arguments(__doc__)
    if options.case == "data":
        refreshed(options.scale)
        print(json.dumps({"seconds": [0.0], "before": 0, "peak": peak_mib()}))
        return
    if options.case:
        time_cpu(CASES[options.case], options.scale, options.repeat)
        return
    for scale in (options.scale, min(options.scale, 0.001)):
        run_case(__file__, "data", type(options)(scale=scale, repeat=1))
    measures = {}
    for case in options.only or list(CASES):
        python, why, chosen = sys.executable, "", options
        if case == "retentioneering":  # once: it takes minutes
            chosen = type(options)(scale=options.scale, repeat=1)
            python, why = peers("funnel", PEERS)
        measures[case] = (
            run_case(__file__, case, chosen, python=python)
            if python
            else {"skipped": why}
        )
    title = f"Funnel: {50 * options.scale:g} million events, {STEPS} steps, CPU seconds"
    table(
        f"{title}; {machine()}",
        measures,
        against={"x floor": lambda _: "floor"},
        goals=GOALS,
    )
    print("\nUsers who reached each step")
    for case, found in measures.items():
        if "found" in found:
            print(f"  {case:26}{found['found']}  wall {found['wall']:.2f} s")


if __name__ == "__main__":
    main()
