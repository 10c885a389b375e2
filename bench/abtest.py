"""A/B analysis of 5 million units: ours, the floor, raw sums and the peers.

Six metrics (a share, three means, one of them adjusted by a pre-period covariate,
a rare amount, and a ratio) in three arms, read from one Parquet file. The floor is
the same stable statistics written by hand as DuckDB SQL; raw sums are the cheapest
statistics there are, which lose all digits when a mean is large.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

from _common import (
    CACHE,
    arguments,
    machine,
    peak_mib,
    peers,
    run_case,
    table,
    time_case,
)

UNITS = 5_000_000
PEERS = (
    "tea-tasting==1.14.0",
    "duckdb==1.5.6",
    "ibis-framework[duckdb]==12.0.0",
    "sqlglot==30.17.0",
)
MEANS = ("sessions", "pay_fen", "pre_fen", "minutes", "refund_fen", "taps", "views")
COLUMNS = ("paid", *MEANS)
PRODUCTS = (("pay_fen", "pre_fen"), ("taps", "views"))
SEGMENTS = 10
DAYS = 30

GENERATE = """
copy (
    with drawn as (
        select i, hash(i) as h, hash(i + 1000000007) as g, hash(i + 2000000011) as k
        from range({units}) t(i)
    ), people as (
        select i, (h % 3)::integer as arm,
               (h // 3) % 1000 / 1000.0 as u, g % 1000 / 1000.0 as v,
               k % 10 as segment, sqrt(-2 * ln((g % 99991 + 1) / 99992.0))
                   * cos(2 * pi() * (k % 99989) / 99989.0) as z
        from drawn
    )
    select
        md5(i::varchar) as unit_id,
        ['a', 'b', 'c'][arm + 1] as variant,
        'segment ' || segment as segment,
        (u < 0.1 + 0.002 * arm)::tinyint as paid,
        (1 + 20 * v * v)::integer as sessions,
        case when u < 0.3 then (5000 * exp(0.8 * z))::bigint else 0 end as pre_fen,
        case when u < 0.1 + 0.002 * arm
             then (6000 * exp(0.8 * z + 0.3 * v))::bigint else 0 end as pay_fen,
        30 * v + 5 * z as minutes,
        case when v < 0.004 then 9900 else 0 end as refund_fen,
        (40 * u * v)::integer as taps,
        (1 + 40 * u)::integer as views
    from people
) to '{path}' (format parquet)
"""

EXPERIMENT = {
    "schema": 1,
    "id": "bench",
    "unit": "user",
    "control": "a",
    "arms": {"a": 1, "b": 1, "c": 1},
    "se": "moments",
    "metric": [
        {"name": "paid", "kind": "proportion", "role": "goal", "good": "up"},
        {"name": "sessions", "kind": "mean", "role": "diagnostic"},
        {
            "name": "pay_fen",
            "kind": "mean",
            "role": "goal",
            "good": "up",
            "covariates": ["pre_fen"],
        },
        {"name": "minutes", "kind": "mean", "role": "diagnostic"},
        {"name": "refund_fen", "kind": "mean", "role": "diagnostic"},
        {
            "name": "tap_rate",
            "kind": "ratio",
            "role": "diagnostic",
            "numerator": {"column": "taps"},
            "denominator": {"column": "views"},
        },
    ],
}


def units(scale):
    """Return the Parquet file of this scale; it is made once."""
    count = max(1000, round(UNITS * scale))
    path = CACHE / f"units-{count}.parquet"
    if not path.exists():
        import duckdb

        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        duckdb.connect().execute(GENERATE.format(units=count, path=part))
        part.rename(path)
    return path


def _duckdb(scale, query):
    import duckdb

    path = units(scale)

    def work():
        with duckdb.connect() as connection:
            return connection.execute(query.format(path=path)).fetchall()

    return work


def _stable():
    listed = [
        f"count({c}), avg({c}), var_samp({c}), min({c}), max({c}), "
        f"count(*) filter ({c} <> 0)"
        for c in COLUMNS
    ]
    listed += [f"covar_samp({a}, {b})" for a, b in PRODUCTS]
    return "count(*), " + ", ".join(listed)


def floor(scale):
    """Count the stable statistics by hand-written SQL."""
    query = f"select variant, {_stable()} from '{{path}}' group by variant"
    return _duckdb(scale, query)


def floor_segments(scale):
    """Count them for each arm and each arm in each segment, by GROUPING SETS."""
    query = (
        f"select variant, segment, {_stable()} from '{{path}}' "
        "group by grouping sets ((variant), (variant, segment))"
    )
    return _duckdb(scale, query)


def floor_days(scale):
    """Count them for each arm, each arm in each segment, and each arm on each day."""
    query = (
        f"select variant, segment, day, {_stable()} "
        f"from (select *, (hash(unit_id) % 30)::integer as day from '{{path}}') "
        "group by grouping sets ((variant), (variant, segment), (variant, day))"
    )
    return _duckdb(scale, query)


def floor_filters(scale):
    """Count them with a query a segment and a query a day, as filters do."""
    import duckdb

    path = units(scale)
    rows = f"(select *, (hash(unit_id) % 30)::integer as day from '{path}')"
    tests = [f"segment = 'segment {i}'" for i in range(SEGMENTS)]
    tests = ["true", *tests, *(f"day = {day}" for day in range(DAYS))]

    def work():
        with duckdb.connect() as connection:
            return [
                connection.execute(
                    f"select variant, {_stable()} from {rows} where {test} "
                    "group by variant"
                ).fetchall()
                for test in tests
            ]

    return work


def sums(scale):
    """Sum values, squares and products: cheap, and wrong for a large mean."""
    listed = [f"count({c}), sum({c}), sum({c}::double * {c})" for c in COLUMNS]
    listed += [f"sum({a}::double * {b})" for a, b in PRODUCTS]
    query = f"select variant, {', '.join(listed)} from '{{path}}' group by variant"
    return _duckdb(scale, query)


def _ours(scale, by=None, *, unique=False, **changes):
    from growth import abtest

    path = str(units(scale))
    experiment = abtest.Experiment.from_dict(EXPERIMENT | changes)
    return lambda: abtest.analyze(path, experiment, by=by, unique=unique)


def ours(scale):
    """Run `analyze`: moments in one scan, then arithmetic."""
    return _ours(scale)


def ours_hc2(scale):
    """Run it with the heteroscedasticity-proof standard error, a second scan."""
    return _ours(scale, se="hc2")


def ours_segments(scale):
    """Run it with a breakdown by ten segments."""
    return _ours(scale, by=["segment"])


def ours_days(scale):
    """Read total, ten segments and thirty days in one scan."""
    from growth import engine
    from growth.engine.dialect import builtin

    table = engine.as_table(str(units(scale)))
    day = builtin("hash", "uint64")(table.unit_id) % DAYS
    rows = table.mutate(day=day.cast("int32"))
    values = [(name,) for name in ("paid", "sessions", "minutes", "refund_fen")]
    values += [("pay_fen", "pre_fen"), ("taps", "views")]
    by = [("variant",), ("variant", "segment"), ("variant", "day")]
    return lambda: engine.moments(rows, values=values, by=by)


def ours_p90(scale):
    """Compare the 90th percentile of minutes, with its standard error."""
    metric = {"name": "minutes", "kind": "quantile", "q": 0.9, "role": "goal"}
    return _ours(scale, metric=[metric | {"good": "up"}], unique=True)


def floor_p90(scale):
    """Read the 90th percentile by arm and nothing else."""
    query = "select variant, quantile_disc(minutes, 0.9) from '{path}' group by variant"
    return _duckdb(scale, query)


def tea_tasting(scale):
    """Run tea-tasting on the same file, through Ibis and DuckDB."""
    import ibis
    import tea_tasting as tt

    path = str(units(scale))
    experiment = tt.Experiment(
        paid=tt.Mean("paid", use_t=False),
        sessions=tt.Mean("sessions"),
        pay_fen=tt.Mean("pay_fen", covariate="pre_fen"),
        minutes=tt.Mean("minutes"),
        refund_fen=tt.Mean("refund_fen"),
        tap_rate=tt.RatioOfMeans("taps", "views"),
        split=tt.SampleRatio(),
    )

    def work():
        data = ibis.duckdb.connect().read_parquet(path)
        return experiment.analyze(data, control="a", all_variants=True)

    return work


def statsmodels(scale):
    """Read the file with pandas; Welch, a two-proportion z, OLS by statsmodels."""
    import numpy as np
    import pandas as pd
    from statsmodels.api import OLS
    from statsmodels.stats.proportion import proportions_ztest
    from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

    path = units(scale)

    def work():
        data = pd.read_parquet(path, columns=["variant", *COLUMNS])
        arms = dict(list(data.groupby("variant")))
        ratio = data["taps"].sum() / data["views"].sum()
        control, told = arms["a"], []
        for arm in ("b", "c"):
            seen = arms[arm]
            told.append(
                proportions_ztest(
                    [seen["paid"].sum(), control["paid"].sum()],
                    [len(seen), len(control)],
                )
            )
            for name in ("sessions", "minutes", "refund_fen"):
                pair = CompareMeans(DescrStatsW(seen[name]), DescrStatsW(control[name]))
                told.append(pair.ttest_ind(usevar="unequal"))
            linear = [rows["taps"] - ratio * rows["views"] for rows in (seen, control)]
            pair = CompareMeans(*map(DescrStatsW, linear))
            told.append(pair.ttest_ind(usevar="unequal"))
            both = pd.concat([control, seen])
            treated = (both["variant"] == arm).to_numpy(float)
            pre = both["pre_fen"].to_numpy(float)
            pre -= pre.mean()
            design = np.column_stack([np.ones(len(pre)), treated, pre, treated * pre])
            told.append(OLS(both["pay_fen"].to_numpy(float), design).fit().pvalues)
        return told

    return work


def arithmetic(_scale):
    """Analyse 10 metrics in 10 segments from moments alone."""
    import numpy as np

    from growth import abtest
    from growth.stats.moments import Moments

    names = [f"m{i}" for i in range(10)]
    random = np.random.default_rng(1)
    metrics = [{"name": n, "kind": "mean", "role": "goal", "good": "up"} for n in names]
    declared = {k: v for k, v in EXPERIMENT.items() if k != "se"}
    experiment = abtest.Experiment.from_dict(declared | {"metric": metrics})

    def cell(by, key):
        values = random.normal(10, 3, (50, len(names)))
        one = Moments.of(tuple(names), values)
        return abtest.ArmCell(by, key, 50, {(n,): one.pick((n,)) for n in names})

    cells = [cell(("variant",), (arm,)) for arm in "abc"]
    for segment in range(SEGMENTS):
        cells += [cell(("variant", "segment"), (arm, f"s{segment}")) for arm in "abc"]
    return lambda: abtest.analyze_from_moments(cells, experiment)


CASES = {
    "floor": floor,
    "raw sums": sums,
    "growth": ours,
    "growth, HC2": ours_hc2,
    "tea-tasting": tea_tasting,
    "statsmodels": statsmodels,
    "floor, segments": floor_segments,
    "growth, segments": ours_segments,
    "floor, days": floor_days,
    "filters, days": floor_filters,
    "growth, days": ours_days,
    "floor, p90": floor_p90,
    "growth, p90": ours_p90,
    "growth, arithmetic": arithmetic,
}
GOALS = {
    "growth": "1.3 x floor, 1.8 x raw sums, 300 MiB",
    "growth, HC2": "3 x floor",
    "growth, segments": "1.5 x floor",
    "growth, days": "1.5 x floor, a fifth of the filters",
    "growth, p90": "3 x floor",
    "growth, arithmetic": "0.005 s",
}
AGAINST = {
    "x floor": lambda case: "floor" + KINDS.get(case.rpartition(", ")[2], ""),
    "x raw sums": lambda _: "raw sums",
}
KINDS = {name: f", {name}" for name in ("segments", "days", "p90")}
IMPORTS = {
    "python": "pass",
    "numpy, scipy.special": "import numpy, scipy.special",
    "growth": "import growth",
    "growth.abtest": "from growth import abtest",
}


def import_times(repeat):
    """Return the seconds each import takes, less what Python itself takes."""
    spent = {name: [] for name in IMPORTS}
    for _ in range(max(5, repeat)):  # in turns, so that a slow moment hits all
        for name, code in IMPORTS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            spent[name].append(time.perf_counter() - start)
    found = {name: min(times) for name, times in spent.items()}
    return {name: time - found["python"] for name, time in found.items() if time}


def main():
    """Run every case in its own process and print the ratios."""
    options = arguments(__doc__)
    if options.case == "data":
        units(options.scale)
        print(json.dumps({"seconds": [0.0], "before": 0, "peak": peak_mib()}))
        return
    if options.case:
        time_case(CASES[options.case], options.scale, options.repeat)
        return
    for scale in (options.scale, min(options.scale, 0.0002)):
        run_case(__file__, "data", type(options)(scale=scale, repeat=1))
    chosen = options.only or list(CASES)
    measures = {}
    for case in chosen:
        python, why = sys.executable, ""
        if case == "tea-tasting":
            python, why = peers("abtest", PEERS)
        measures[case] = (
            run_case(__file__, case, options, python=python)
            if python
            else {"skipped": why}
        )
    count = max(1000, round(UNITS * options.scale))
    title = f"A/B analysis: {count:,} units, 6 metrics, 3 arms, Parquet; {machine()}"
    table(title, measures, against=AGAINST, goals=GOALS)
    if options.only:
        return
    times = import_times(options.repeat)
    base = times["numpy, scipy.special"]
    print("\nImport, less the start of Python")
    for name, seconds in times.items():
        if name != "python":
            print(f"  {name:22}{seconds:7.3f} s  {seconds / base:5.2f} x numpy, scipy")


if __name__ == "__main__":
    main()
