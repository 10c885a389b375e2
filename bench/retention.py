"""Daily retention, 90 cohorts by 90 days: ours, the floor in SQL, and the peers.

50 million events of 2 million users from Parquet, read included; each user is in the
cohort of the first day seen. The floor is the best pure SQL we know: bitmaps of days
by `bit_or` into an array by dense user, then patterns of 9 bits counted by cohort.
Every case gives the same triangle, which is checked. What counts is CPU seconds as a
share of the floor's, from one run::

    python bench/retention.py --scale 0.02 --repeat 3
    python bench/retention.py --only floor ours
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from statistics import median

import _events
from _common import ROOT, arguments, machine, peak_mib
from _events import DAYS, events

FIRST = 20_454  # 2026-01-01, days since 1970
DAY = f"((epoch_us(ts) + 28800000000) // 86400000000 - {FIRST})::INTEGER"
GOALS = {"ours": "0.8", "user_bits": "0.1"}
WARM = 0.001
CHUNK, WORD = 9, 63  # bits of a pattern, days of a word

BITS = f"""
create or replace temp table bits as
select user_idx,
       bit_or(case when d < {WORD} then 1::bigint << d else 0 end) as w0,
       bit_or(case when d >= {WORD} then 1::bigint << (d - {WORD}) else 0 end) as w1
from (select user_idx, {DAY} as d from read_parquet('{{path}}'))
group by user_idx
"""
COHORTS = f"""
create or replace temp table cohorts as
select case when w0 > 0 then bit_count((w0 & -w0) - 1)
            else {WORD} + bit_count((w1 & -w1) - 1) end as cohort, w0, w1
from bits
"""


def triangle_sql():
    """Return the counts of patterns by cohort, expanded to days."""
    parts = []
    for chunk in range(DAYS // CHUNK):
        word, at = divmod(chunk * CHUNK, WORD)
        parts.append(
            f"select cohort, {chunk * CHUNK} as base, (w{word} >> {at}) & 511 as"
            f" pattern, count(*) as n from cohorts group by cohort, pattern"
        )
    return f"""
    with patterns as ({" union all ".join(parts)})
    select cohort, base + b.i - cohort as k, sum(n) as users
    from patterns, range({CHUNK}) b(i)
    where pattern & (1 << b.i::integer) > 0
    group by cohort, k
    """


def _square(rows):
    import numpy as np

    found = np.zeros((DAYS, DAYS), np.int64)
    for cohort, k, users in rows:
        found[cohort, k] = users
    return found


def floor(path):
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("set threads = 2; set perfect_ht_threshold = 22")
        connection.execute("set preserve_insertion_order = false")
        connection.execute(BITS.format(path=path))
        connection.execute(COHORTS)
        return _square(connection.execute(triangle_sql()).fetchall())


def hashed(path):
    """Return the same without the array: users by hash, days not dense."""
    import duckdb

    sql = f"""
    with days as (
        select distinct user_idx, {DAY} as d from read_parquet('{path}')
    ), starts as (select user_idx, min(d) as c from days group by user_idx)
    select c, d - c, count(*) from days join starts using (user_idx) group by all
    """
    with duckdb.connect() as connection:
        connection.execute("set threads = 2")
        return _square(connection.execute(sql).fetchall())


def _measured(result):
    import numpy as np

    size, kept, _ = result.counts()
    return np.column_stack([size, kept])


def _asked():
    return {
        "start": date(2026, 1, 1),
        "end": date(2026, 4, 1),
        "as_of": date(2026, 3, 31),
        "horizon": DAYS - 1,
    }


def ours(path):
    from growth import engine, retention

    table = engine.as_table(path)
    return _measured(retention.measure(table, user_col="user_idx", **_asked()))


def ours_text(path):
    """Return the same by user ids of 28 characters."""
    from growth import engine, retention

    return _measured(retention.measure(engine.as_table(path), **_asked()))


def user_bits(path):
    """Return the same from the maintained layout, which is built before the clock."""
    from growth import retention

    folder = Path(path).parent
    return _measured(retention.measure(folder, **_asked()))


def polars(path):
    import polars as pl

    days = (
        pl.scan_parquet(path)
        .select(
            "user_idx",
            d=((pl.col("ts").dt.epoch("ms") + 28_800_000) // 86_400_000 - FIRST).cast(
                pl.Int32
            ),
        )
        .unique()
    )
    first = pl.col("d").min().over("user_idx")
    found = (
        days.with_columns(c=first)
        .group_by("c", k=pl.col("d") - pl.col("c"))
        .len()
        .collect(engine="streaming")
    )
    return _square(found.iter_rows())


def pandas(path):
    from glob import glob

    import numpy as np
    import pandas as pd
    import pyarrow.dataset as ds

    rows = ds.dataset(sorted(glob(path))).to_table(columns=["user_idx", "ts"])
    ms = rows["ts"].cast("int64").to_numpy()
    frame = pd.DataFrame(
        {
            "u": rows["user_idx"].to_numpy(),
            "d": ((ms + 28_800_000) // 86_400_000 - FIRST).astype(np.int32),
        }
    ).drop_duplicates()
    frame["c"] = frame.groupby("u")["d"].transform("min")
    counted = frame.groupby(["c", frame["d"] - frame["c"]]).size()
    return _square((c, k, n) for (c, k), n in counted.items())


CASES = {
    "floor": floor,
    "distinct": hashed,
    "ours": ours,
    "ours_text": ours_text,
    "user_bits": user_bits,
    "polars": polars,
    "pandas": pandas,
}


def spent():
    """Return the CPU seconds of this process so far."""
    times = os.times()
    return times.user + times.system


def run(case, scale):
    """Print one case's CPU seconds, peak and checksum, as JSON."""
    work = CASES[case]
    work(events(WARM))
    path = events(scale)
    before = spent()
    found = work(path)
    seconds = spent() - before
    weights = found * (1 + _order(found.shape))
    print(
        json.dumps(
            {
                "cpu": seconds,
                "peak": peak_mib(),
                "users": int(found[:, 0].sum()),
                "check": int(weights.sum()),
            }
        )
    )


def _order(shape):
    import numpy as np

    return np.arange(shape[0] * shape[1]).reshape(shape) % 1009


def fresh(case, scale):
    """Run a case in a process of its own; return what it printed or its last words."""
    command = [sys.executable, __file__, "--case", case, "--scale", str(scale)]
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": "2"},
        )
        said.seek(0)
        words = said.read().strip().splitlines()
    if done.returncode:
        return {"skipped": words[-1] if words else f"exit {done.returncode}"}
    return json.loads(done.stdout.splitlines()[-1])


def main():
    options = arguments(__doc__)
    if options.case:
        run(options.case, options.scale)
        return
    for path in (events(WARM), events(options.scale)):
        if "user_bits" in (options.only or CASES):
            from growth.engine import layouts

            layouts.refresh(Path(path).parent, log=False)
    runs = {
        case: [fresh(case, options.scale) for _ in range(options.repeat)]
        for case in options.only or CASES
    }
    print(f"{machine()}; {_events.users(options.scale):,} users")
    checks = set()
    floor_cpu = None
    for case, found in runs.items():
        if "skipped" in found[0]:
            print(f"  {case:10} skipped: {found[0]['skipped']}")
            continue
        cpu = median(x["cpu"] for x in found)
        floor_cpu = cpu if case == "floor" else floor_cpu
        checks.add((found[0]["users"], found[0]["check"]))
        ratio = f"{cpu / floor_cpu:.2f}" if floor_cpu else "-"
        goal = f"goal <= {GOALS[case]}" if case in GOALS else ""
        peak = max(x["peak"] for x in found)
        print(f"  {case:10} {cpu:7.2f} CPU s  {peak:6.0f} MiB  {ratio:>5}  {goal}")
    print(f"  one triangle: {'yes' if len(checks) == 1 else f'NO: {checks}'}")


if __name__ == "__main__":
    main()
