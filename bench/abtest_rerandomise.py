"""500 A/A re-randomisations of one's own units: ours, the floor, and analyses.

Three metrics (a share, a heavy-tailed mean, a ratio) of a million units and of ten
thousand. The floor draws the 0/1 assignments from counter-based bits and multiplies
them with the ready features, in the best NumPy we can write: bits looked up byte by
byte, single precision, blocks that fit the cache. Ours reads the Parquet file, makes
the features, tests every metric and judges the rates. The alternative is to shuffle
the arms and analyse, 500 times. The linear algebra has one thread in every case:
on a busy machine its threads wait for each other, and the ratios say nothing.
"""

from __future__ import annotations

import os
from functools import partial

from _common import CACHE, arguments, machine, peers, run_case, table, time_case

UNITS = {"1M": 1_000_000, "10k": 10_000}
REPEATS = 500
SOME = 5  # analyses timed; what 500 take is 100 times that
PEERS = (
    "tea-tasting==1.14.0",
    "duckdb==1.5.6",
    "ibis-framework[duckdb]==12.0.0",
    "sqlglot==30.17.0",
)
EXPERIMENT = {
    "schema": 1,
    "id": "bench",
    "unit": "user",
    "control": "a",
    "arms": {"a": 1, "b": 1},
    "metric": [
        {"name": "paid", "kind": "proportion", "role": "goal", "good": "up"},
        {"name": "pay_fen", "kind": "mean", "role": "diagnostic"},
        {
            "name": "tap_rate",
            "kind": "ratio",
            "role": "diagnostic",
            "numerator": {"column": "taps"},
            "denominator": {"column": "views"},
        },
    ],
}


def units(scale, size):
    """Return the Parquet file of this size; it is made once."""
    count = max(1000, round(UNITS[size] * scale))
    path = CACHE / f"rerandomise-{count}.parquet"
    if not path.exists():
        import numpy as np
        import pyarrow as pa
        import pyarrow.parquet as pq

        rng = np.random.default_rng(1)
        paid = rng.random(count) < 0.03
        views = 1 + rng.poisson(8, count)
        columns = {
            "unit_id": [f"user-{i:012d}" for i in range(count)],
            "variant": np.array(["a", "b"])[rng.integers(0, 2, count)],
            "paid": paid.astype(np.int8),
            "pay_fen": np.where(paid, rng.lognormal(8.5, 1.2, count), 0).astype("i8"),
            "taps": rng.binomial(views, 0.2),
            "views": views,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        pq.write_table(pa.table(columns), part)
        part.rename(path)
    return path


def _columns(path):
    import numpy as np
    import pyarrow.parquet as pq

    rows = pq.read_table(path, columns=["paid", "pay_fen", "taps", "views"])
    return [rows.column(i).to_numpy().astype(np.float64) for i in range(4)]


def floor(scale, size):
    """Draw the assignments and multiply; the features are ready."""
    import numpy as np

    paid, pay, taps, views = _columns(units(scale, size))
    pay, taps, views = (x - x.mean() for x in (pay, taps, views))
    ones = np.ones(len(paid))
    parts = [ones, paid, pay, pay * pay]
    parts += [taps, views, taps * taps, taps * views, views * views]
    features = np.asfortranarray(np.column_stack(parts).astype(np.float32))
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype("f4")
    width = 2048

    def work():
        random = np.random.Philox(1)
        sums = np.zeros((REPEATS, features.shape[1]))
        drawn = np.empty((REPEATS * width // 8, 8), dtype=np.float32)
        for start in range(0, len(features), width):
            block = features[start : start + width]
            raw = random.random_raw(REPEATS * width // 64).view(np.uint8)
            np.take(bits, raw, axis=0, out=drawn, mode="clip")
            sums += drawn.reshape(REPEATS, width)[:, : len(block)] @ block
        return sums

    return work


def ours(scale, size):
    """Calibrate from the Parquet file."""
    from growth import abtest

    path = str(units(scale, size))
    experiment = abtest.Experiment.from_dict(EXPERIMENT)
    return lambda: abtest.calibrate(
        path, experiment, seed=1, replications=REPEATS, unique=True
    )


def from_columns(scale, size):
    """Calibrate from arrays in memory."""
    from growth import abtest

    names = ("paid", "pay_fen", "taps", "views")
    columns = dict(zip(names, _columns(units(scale, size)), strict=True))
    experiment = abtest.Experiment.from_dict(EXPERIMENT)
    return lambda: abtest.calibrate_from_columns(
        columns, experiment, seed=1, replications=REPEATS
    )


def analyses(scale, size):
    """Shuffle the arms in memory and analyse, a few times."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from growth import abtest

    rows = pq.read_table(units(scale, size))
    experiment = abtest.Experiment.from_dict(EXPERIMENT)
    arms = np.array(["a", "b"])

    def work():
        rng = np.random.default_rng(1)
        for _ in range(SOME):
            drawn = pa.array(arms[rng.integers(0, 2, len(rows))])
            shuffled = rows.set_column(1, "variant", drawn)
            abtest.analyze(shuffled, experiment, by=[], unique=True)

    return work


def tea_tasting(scale, size):
    """Let tea-tasting simulate A/A tests, a few times."""
    import pyarrow.parquet as pq
    import tea_tasting as tt

    rows = pq.read_table(units(scale, size))
    experiment = tt.Experiment(
        paid=tt.Mean("paid", use_t=False),
        pay_fen=tt.Mean("pay_fen"),
        tap_rate=tt.RatioOfMeans("taps", "views"),
    )
    return lambda: experiment.simulate(rows, SOME, seed=1)


KINDS = {
    "floor": floor,
    "growth": ours,
    "growth, arrays": from_columns,
    "analyses": analyses,
    "tea-tasting": tea_tasting,
}
CASES = {
    f"{kind}, {size}": partial(make, size=size)
    for size in UNITS
    for kind, make in KINDS.items()
}


def _size(case):
    return case.rpartition(", ")[2]


GOALS = {f"growth, {size}": "1.5 x floor, 20 x faster than analyses" for size in UNITS}
AGAINST = {
    "x floor": lambda case: f"floor, {_size(case)}",
    "x analyses": lambda case: f"analyses, {_size(case)}",
}


def main():
    """Run every case in its own process and print the ratios."""
    options = arguments(__doc__)
    if options.case:
        time_case(CASES[options.case], options.scale, options.repeat)
        return
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    measures = {}
    for case in options.only or CASES:
        python, why = None, ""
        if case.startswith("tea-tasting"):
            python, why = peers("abtest", PEERS)
            if not python:
                measures[case] = {"skipped": why}
                continue
        how = {"python": python} if python else {}
        found = run_case(__file__, case, options, **how)
        if "best" in found and case.startswith(("analyses", "tea-tasting")):
            found["best"] *= REPEATS / SOME
        measures[case] = found
    count = max(1000, round(UNITS["1M"] * options.scale))
    title = f"{REPEATS} re-randomisations of {count:,} units (and a hundredth of them)"
    title += f", 3 metrics, Parquet; {machine()}"
    table(title, measures, against=AGAINST, goals=GOALS)


if __name__ == "__main__":
    main()
