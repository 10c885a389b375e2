"""Heatmaps at size: 50 million events, 12.5 million taps, 50 pages, Parquet read.

Each case runs in a process of its own; CPU seconds of all threads count, two
threads. The floor is hand-written DuckDB SQL that bins in integers; it takes label
echoes out by a window over each user's taps, as any SQL must. Results are compared
before anything is printed.

    python bench/heatmap.py --scale 0.02
"""

from __future__ import annotations

import json
import os
import sys
import time

import numpy as np
from _common import arguments, machine, peak_mib, peers, run_case, table
from _events import PAGES, events

PEERS = ["boost-histogram", "fast-histogram", "datashader", "numpy", "duckdb"]
TAPS = 12_500_000
PAIRS = 5_000_000
SEEDS = 200
ROUNDS = 20  # of 1,999: the ratio to one bincount each is the same
THREADS = 2

BINS = """
    SELECT page_path, (floor(y_px * 16)::BIGINT * 750) // q AS row,
           least((floor(x_px * 16)::BIGINT * 750) // q, 74) AS col{extra}
    FROM (SELECT *, floor(win_w_px * 16)::BIGINT * 10 AS q FROM taps)
"""
RAW = "SELECT {columns} FROM read_parquet('{path}') WHERE event = 'tap'"
ECHO = """
    SELECT * FROM (
        SELECT *, lag(x_px) OVER w = x_px AND lag(y_px) OVER w = y_px
                  AND ts - lag(ts) OVER w < INTERVAL 100 MILLISECOND AS echo
        FROM ({raw})
        WINDOW w AS (PARTITION BY user_idx, page_path ORDER BY ts, x_px, y_px)
    ) WHERE echo IS NOT TRUE
"""
COLUMNS = "user_idx, page_path, ts, x_px, y_px, win_w_px"


def cpu():
    """Return the CPU seconds of this process, all threads."""
    return time.process_time()


def duck(scale, *, echoes, extra="", distinct=False):
    """Return the work of hand-written SQL."""
    import duckdb

    con = duckdb.connect()
    con.execute(f"SET threads = {THREADS}")
    con.execute("SET preserve_insertion_order = false")
    raw = RAW.format(columns=COLUMNS, path=events(scale))
    taps = ECHO.format(raw=raw) if echoes else raw
    users = ", count(DISTINCT user_idx) AS users" if distinct else ""
    sql = (
        f"WITH taps AS ({taps}) SELECT page_path, row, col, count(*) AS n{users} "
        f"FROM ({BINS.format(extra=extra)}) GROUP BY ALL"
    )
    return lambda: con.execute(sql).to_arrow_table()


def floor(scale):
    """Bin and take echoes out, in SQL."""
    return duck(scale, echoes=True)


def floor_without_echoes(scale):
    """Bin only, in SQL."""
    return duck(scale, echoes=False)


def floor_users(scale):
    """Bin, take echoes out and count distinct users, in SQL."""
    return duck(scale, echoes=True, extra=", user_idx", distinct=True)


def source(scale):
    """Return the events as a table of two threads."""
    from growth import engine

    return engine.read_files(
        engine.connect(events(scale), threads=THREADS), events(scale)
    )


def ours(scale):
    """Map every page."""
    from growth import heatmap

    table_ = source(scale)
    return lambda: heatmap.aggregate(table_, user_col="user_idx")


def ours_users(scale):
    """Map every page, distinct users per cell too."""
    from growth import heatmap

    table_ = source(scale).filter(lambda t: t.event == "tap")
    return lambda: heatmap.aggregate(table_, user_col="user_idx", users=True)


def ours_eightfold(scale):
    """Map eight times the taps, on 200 pages, of eight times the users."""
    from growth import heatmap

    one = source(scale)
    one = one.filter(one.event == "tap")
    names = ["user_idx", "ts", "x_px", "y_px", "win_w_px", "win_h_px", "page_h_px"]
    whole = None
    for k in range(8):
        part = one.select(
            *names[1:],
            user_idx=(one.user_idx + k * 2_000_000).cast("int32"),
            page_path=one.page_path.concat(str(k % 4)),
        )
        whole = part if whole is None else whole.union(part)
    return lambda: heatmap.aggregate(whole, user_col="user_idx")


def polars_bins(scale):
    """Bin only, in polars."""
    import polars as pl

    w = (pl.col("win_w_px") * 16).floor().cast(pl.Int64) * 10
    row = (pl.col("y_px") * 16).floor().cast(pl.Int64) * 750 // w
    col = ((pl.col("x_px") * 16).floor().cast(pl.Int64) * 750 // w).clip(0, 74)
    plan = (
        pl.scan_parquet(events(scale))
        .filter(pl.col("event") == "tap")
        .group_by("page_path", row.alias("row"), col.alias("col"))
        .len()
    )
    return plan.collect


# -- arrays in memory ------------------------------------------------------------------


def arrays(scale):
    """Return page, x, y, width of taps, in px and in rpx; 200 rows of 10 rpx."""
    n = max(1000, round(TAPS * scale))
    rng = np.random.default_rng(1)
    w = rng.choice([360, 375, 390, 393, 412, 414, 430], n).astype(np.float32)
    x = (rng.random(n, np.float32) * w * np.float32(0.999)).astype(np.float32)
    y = (rng.random(n, np.float32) * 1999 * w / 750).astype(np.float32)
    return rng.integers(0, PAGES, n).astype(np.int32), x, y, w


def our_kernel(scale):
    """Bin arrays of all pages: integer cells and counts."""
    from growth.heatmap import kernels

    page, x, y, w = arrays(scale)
    base = np.arange(PAGES) * 75 * 200
    none, side = np.empty(0, np.float32), np.zeros(4, np.int64)

    def work():
        status = np.zeros(len(x), np.int8)
        cell = kernels.place(x, y, w, none, none, 10, 2000, status, side)
        taps = np.zeros(PAGES * 75 * 200, np.int32)
        kernels.count_cells(cell, page, base, taps)
        return taps

    return work


def bincount(scale):
    """Bin ready rpx by NumPy, in floats."""
    page, x, y, w = arrays(scale)
    x, y = x * 750 / w, y * 750 / w

    def work():
        cell = page * (75 * 200) + (y / 10).astype(np.int32) * 75
        return np.bincount(cell + (x / 10).astype(np.int32), minlength=PAGES * 15_000)

    return work


def boost(scale):
    """Bin ready rpx by boost-histogram."""
    import boost_histogram as bh

    page, x, y, w = arrays(scale)
    x, y = x * 750 / w, y * 750 / w

    def work():
        axes = (
            bh.axis.Integer(0, PAGES, underflow=False, overflow=False),
            bh.axis.Regular(75, 0, 750, underflow=False, overflow=False),
            bh.axis.Regular(200, 0, 2000, underflow=False, overflow=False),
        )
        return bh.Histogram(*axes, storage=bh.storage.Int64()).fill(page, x, y)

    return work


def fast(scale):
    """Bin ready rpx by fast-histogram, which knows at most two axes at a time."""
    from fast_histogram import histogram2d

    page, x, y, w = arrays(scale)
    x, y = x * 750 / w, y * 750 / w + page * 2000.0
    ends = [[0, 2000 * PAGES], [0, 750]]
    return lambda: histogram2d(y, x, [200 * PAGES, 75], ends)


def one_page(scale):
    """Return x, y, width of a fiftieth of the taps: those of one page."""
    page, x, y, w = arrays(scale)
    here = page == 0
    return x[here], y[here], w[here]


def our_page(scale):
    """Bin arrays of one page."""
    from growth.heatmap import kernels

    x, y, w = one_page(scale)
    none, side = np.empty(0, np.float32), np.zeros(4, np.int64)
    group, base = np.zeros(len(x), np.int32), np.zeros(1, np.int64)

    def work():
        status = np.zeros(len(x), np.int8)
        cell = kernels.place(x, y, w, none, none, 10, 2000, status, side)
        taps = np.zeros(75 * 200, np.int32)
        kernels.count_cells(cell, group, base, taps)
        return taps

    return work


def datashader_page(scale):
    """Bin ready rpx of one page by datashader."""
    import datashader
    import pandas as pd

    x, y, w = one_page(scale)
    frame = pd.DataFrame({"x": x * 750 / w, "y": y * 750 / w})
    canvas = datashader.Canvas(75, 200, x_range=(0, 750), y_range=(0, 2000))
    return lambda: canvas.points(frame, "x", "y", datashader.count())


def pairs(scale):
    """Return cell, user, arm of pairs sorted by cell."""
    n = max(2000, round(PAIRS * scale))
    rng = np.random.default_rng(2)
    cell = np.sort(rng.integers(0, 1000, n)).astype(np.int32)
    user = rng.integers(0, max(100, n // 12), n).astype(np.int32)
    return cell, user, (rng.random(int(user.max()) + 1) < 0.5).astype(np.int8)


def permutation(scale):
    """Permute the arms of users, 20 rounds."""
    from growth.heatmap import kernels

    cell, user, arm = pairs(scale)
    ends, weight = np.array([len(arm)]), np.ones(1000)
    return lambda: kernels.permute(cell, user, arm, ends, weight, 0.5, ROUNDS, 1)


def one_bincount(scale):
    """Count the pairs' cells, 20 times."""
    cell, _, _ = pairs(scale)
    return lambda: [np.bincount(cell, minlength=1000) for _ in range(ROUNDS)]


def smoothing(_scale):
    """Smooth 50 grids of 200 rows."""
    from growth.heatmap import Grid

    rng = np.random.default_rng(3)
    grids = [Grid.of(rng.poisson(3, (200, 75))) for _ in range(50)]
    return lambda: [grid.smoothed(20) for grid in grids]


CASES = {
    "growth": ours,
    "growth, users": ours_users,
    "growth, 8 x taps": ours_eightfold,
    "floor: SQL": floor,
    "SQL, no echo removal": floor_without_echoes,
    "floor: SQL, users": floor_users,
    "polars, no echo removal": polars_bins,
    "kernel": our_kernel,
    "bincount, floats": bincount,
    "boost-histogram": boost,
    "fast-histogram": fast,
    "kernel, one page": our_page,
    "datashader, one page": datashader_page,
    "permutation": permutation,
    "bincount of pairs": one_bincount,
    "smoothing 50 grids": smoothing,
}
GOALS = {
    "growth": "<= 1.0 x floor, 1 GiB",
    "growth, users": "<= 2.5 x floor, 1.2 x SQL's",
    "growth, 8 x taps": "<= 8 x 1.15 x growth, 1 GiB",
    "kernel": "<= boost-, fast-histogram",
    "kernel, one page": "<= 1.3 x datashader",
    "permutation": "<= 4 x bincount",
}
AGAINST = {
    "x floor": lambda case: {
        "growth, users": "floor: SQL",
        "permutation": "bincount of pairs",
        "kernel, one page": "datashader, one page",
        "datashader, one page": "kernel, one page",
        "boost-histogram": "kernel",
        "fast-histogram": "kernel",
        "bincount, floats": "kernel",
    }.get(case, "floor: SQL"),
    "x its like": lambda case: {
        "growth, users": "floor: SQL, users",
        "growth, 8 x taps": "growth",
    }.get(case, ""),
}


def same_counts(scale):
    """Compare our map with the floor's, cell by cell."""
    found = ours(scale)()
    cells = {}
    for grid in found.grids:
        row, col = np.nonzero(grid.taps)
        for r, c, n in zip(
            row.tolist(), col.tolist(), grid.taps[row, col].tolist(), strict=True
        ):
            cells[grid.page, r, c] = n
    theirs = floor(scale)().to_pylist()
    wanted = {(t["page_path"], t["row"], t["col"]): t["n"] for t in theirs}
    assert sum(wanted.values()) >= sum(cells.values())
    off = {k for k in wanted if wanted[k] != cells.get(k, 0)}
    print(
        f"  {len(cells):,} cells, {sum(cells.values()):,} taps; "
        f"{len(off):,} cells differ from SQL; {found.counted}"
    )


def flagged(scale):
    """Print how often arms that differ in nothing are said to differ."""
    import pyarrow as pa

    from growth import heatmap, synth

    seeds = max(20, round(SEEDS * min(1, 10 * scale)))
    moved = false = 0
    for seed in range(seeds):
        events = synth.taps(seed=seed, users=300).data
        ids = sorted(set(events["user_id"].to_pylist()))
        arms = np.random.default_rng(seed).permutation(len(ids)) % 2
        table_ = pa.table({"unit_id": ids, "variant": np.array(["A", "B"])[arms]})
        found = heatmap.compare(events, assignments=table_, rounds=199, seed=seed)
        moved += found.verdict.endswith("moved")
        false += bool(found.found)
    bound = 0.05 + 2 * (0.05 * 0.95 / seeds) ** 0.5
    print(
        f"  sound A/A, {seeds} seeds of 300 users: overall test flags"
        f" {moved / seeds:.1%}, an element {false / seeds:.1%} (at most {bound:.1%})"
    )


def time_cpu(make, scale, repeat):
    """Print the CPU seconds of `repeat` calls, the peak before and after, as JSON."""
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")
    make(min(scale, 0.001))()
    work = make(scale)
    before, spent = peak_mib(), []
    for _ in range(repeat):
        start = cpu()
        work()
        spent.append(cpu() - start)
    print(json.dumps({"seconds": spent, "before": before, "peak": peak_mib()}))


def main():
    """Run every case in its own process and print the ratios."""
    options = arguments(__doc__)
    if options.case:
        time_cpu(CASES[options.case], options.scale, options.repeat)
        return
    events(options.scale)
    events(min(options.scale, 0.001))
    if not options.only:
        same_counts(min(options.scale, 0.02))
        flagged(options.scale)
    measures = {}
    for case in options.only or CASES:
        python, why = sys.executable, ""
        if case.startswith(("boost-", "fast-", "datashader")):
            python, why = peers("heatmap", PEERS)
        measures[case] = (
            run_case(__file__, case, options, python=python)
            if python
            else {"skipped": why}
        )
    taps = round(TAPS * options.scale)
    title = f"Heatmaps: {taps:,} taps of 4 times the events, CPU seconds; {machine()}"
    table(title, measures, against=AGAINST, goals=GOALS)


if __name__ == "__main__":
    main()
