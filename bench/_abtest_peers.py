"""What gbstats and tea-tasting answer on random unit tables, frozen for the tests.

The peers never enter our environment: this file makes one for them, draws the tables
there, asks both, and writes inputs and answers to `tests/golden/peers_abtest.json`.
Only what both sides mean by the same words is asked: Welch, the delta method for
ratios, CUPED with the coefficient of all units, shares by unpooled and pooled errors,
splits, step-down Bonferroni and Benjamini-Hochberg, power by the non-central t, the
normal mixture at any look, the posterior of the lift. Not asked, because the methods
differ: intervals of the lift (delta and logarithmic there, Fieller here), shares as
means with Student's t, quantiles, continuity corrections.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from _common import ROOT, peers

GOLDEN = ROOT / "tests" / "golden" / "peers_abtest.json"
PACKAGES = ("gbstats==0.8.0", "tea-tasting==1.14.0", "pyarrow==19.0.1")
NAMED = ("gbstats", "tea-tasting", "numpy", "scipy")
TABLES = 10
PRIOR = (0.02, 0.2)  # of the lift: mean and standard deviation
PLANNED = 500  # units, over both arms


def drawn(seed):
    """Draw one unit table: uneven arms, refunds, many zeros, a covariate."""
    import numpy as np

    rng = np.random.default_rng(seed)
    n = int(rng.integers(80, 160))
    treated = (np.arange(n) < n * rng.uniform(0.35, 0.65)).astype(int)
    pre = rng.lognormal(1, 0.8, n)
    lift = rng.choice([0.0, 0.4, 1.5])
    money = 0.6 * pre + rng.gamma(2, 3, n) + lift * treated
    money[rng.random(n) < 0.3] = 0
    money[rng.random(n) < 0.05] *= -0.5  # refunds
    views = 1 + rng.poisson(6, n)
    return {
        "variant": ["AB"[t] for t in treated.tolist()],
        "money": money.round(3).tolist(),
        "pre": pre.round(3).tolist(),
        "paid": (rng.random(n) < 0.3 + 0.08 * treated).astype(int).tolist(),
        "taps": rng.binomial(views, 0.2 + 0.02 * treated).tolist(),
        "views": views.tolist(),
    }


def tea_tasting_says(columns):
    """Ask tea-tasting."""
    import pyarrow as pa
    import tea_tasting as tt

    metrics = {
        "welch": tt.Mean("money"),
        "cuped": tt.Mean("money", "pre"),
        "delta": tt.RatioOfMeans("taps", "views"),
        "wald": tt.Proportion("paid", method="norm", correction=False, equal_var=False),
        "pooled": tt.Proportion("paid", method="norm", correction=False),
        "split": tt.SampleRatio(method="norm", correction=False),
    }
    with_equal = tt.Experiment(metrics)
    found = with_equal.analyze(pa.table(columns), control="A")
    names = [name for name in metrics if name != "split"]
    told = {
        name: {
            key: float(getattr(found[name], key))
            for key in (
                "control",
                "treatment",
                "effect_size",
                "effect_size_ci_lower",
                "effect_size_ci_upper",
                "rel_effect_size",
                "pvalue",
            )
        }
        for name in names
    }
    told["split"] = {"pvalue": float(found["split"].pvalue)}
    goals = ("welch", "delta", "wald")
    several = {"one": type(found)({name: found[name] for name in goals})}
    holm = tt.adjust_fwer(
        several, method="bonferroni", arbitrary_dependence=True
    ).to_dicts()
    bh = tt.adjust_fdr(several).to_dicts()
    for method, rows in (("holm", holm), ("bh", bh)):
        told[method] = {row["metric"]: float(row["pvalue_adj"]) for row in rows}
    power = tt.Mean("money", rel_effect_size=0.25, ratio=1.0)
    (solved,) = power.solve_power(pa.table(columns), "power")
    told["power"] = {"power": float(solved.power), "effect": float(solved.effect_size)}
    return told


def gbstats_says(columns):
    """Ask gbstats."""
    import numpy as np
    from gbstats.bayesian.tests import (
        EffectBayesianABTest,
        EffectBayesianConfig,
        GaussianPrior,
    )
    from gbstats.frequentist.tests import (
        FrequentistConfig,
        SequentialConfig,
        SequentialTwoSidedTTest,
        TwoSidedTTest,
    )
    from gbstats.models import statistics as gb
    from gbstats.utils import check_srm

    arm = np.array(columns["variant"])
    data = {k: np.array(v, float) for k, v in columns.items() if k != "variant"}

    def sums(name, one):
        x = data[name][arm == one]
        return gb.SampleMeanStatistic(
            n=len(x), sum=float(x.sum()), sum_squares=float((x * x).sum())
        )

    def product(a, b, one):
        return float((data[a] * data[b])[arm == one].sum())

    def both(name):
        if name == "welch":
            return [sums("money", one) for one in "AB"]
        if name == "delta":
            return [
                gb.RatioStatistic(
                    n=int((arm == one).sum()),
                    m_statistic=sums("taps", one),
                    d_statistic=sums("views", one),
                    m_d_sum_of_products=product("taps", "views", one),
                )
                for one in "AB"
            ]
        return [
            gb.RegressionAdjustedStatistic(
                n=int((arm == one).sum()),
                post_statistic=sums("money", one),
                pre_statistic=sums("pre", one),
                post_pre_sum_of_products=product("money", "pre", one),
                theta=0.0,
            )
            for one in "AB"
        ]

    told = {}
    absolute = FrequentistConfig(difference_type="absolute")
    watched = SequentialConfig(
        difference_type="absolute", sequential_tuning_parameter=PLANNED
    )
    prior = GaussianPrior(PRIOR[0], PRIOR[1] ** 2, proper=True)
    for name in ("welch", "delta", "cuped"):
        test = TwoSidedTTest(*both(name), absolute)
        told[name] = _frequentist(test.compute_result())
        test = SequentialTwoSidedTTest(*both(name), watched)
        told[f"{name}, sequential"] = _frequentist(test.compute_result())
    for name in ("welch", "delta"):
        believed = EffectBayesianABTest(
            *both(name), EffectBayesianConfig(prior_effect=prior)
        ).compute_result()
        told[f"{name}, posterior"] = {
            "chance_to_win": float(believed.chance_to_win),
            "mean": float(believed.expected),
            "sd": float(believed.uplift.stddev),
            "interval": [float(end) for end in believed.ci],
            "loss_keep": float(believed.risk[0]),
            "loss_ship": float(believed.risk[1]),
        }
    counts = [int((arm == one).sum()) for one in "AB"]
    told["split of 2"] = {"pvalue": float(check_srm(counts, [1, 1]))}
    counts = [int(data["taps"][arm == one].sum()) for one in "AB"] + [
        int(data["paid"].sum() + 60)
    ]
    told["split of 3"] = {
        "units": counts,
        "weights": [2, 3, 1],
        "pvalue": float(check_srm(counts, [2, 3, 1])),
    }
    return told


def _frequentist(found):
    return {
        "estimate": float(found.expected),
        "se": float(found.uplift.stddev),
        "interval": [float(end) for end in found.ci],
        "pvalue": float(found.p_value),
    }


def ask(path):
    """Draw, ask and write; runs in the peers' own environment."""
    cases = []
    for seed in range(TABLES):
        columns = drawn(seed)
        answers = {
            "tea-tasting": tea_tasting_says(columns),
            "gbstats": gbstats_says(columns),
        }
        cases.append({"id": f"table-{seed}", "columns": columns, "answers": answers})
    document = {
        "about": "Answers of other tools on random unit tables; made by "
        "bench/_abtest_peers.py, which says what was asked.",
        "versions": {name: version(name) for name in NAMED},
        "prior": PRIOR,
        "planned_units": PLANNED,
        "cases": cases,
    }
    Path(path).write_text(json.dumps(document, allow_nan=False) + "\n", "utf-8")


def main():
    """Make the peers' environment and have it write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ask", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        ask(options.ask)
        return
    python, why = peers("abtest-answers", PACKAGES)
    if python is None:
        sys.exit(why)
    subprocess.run([python, __file__, "--ask", str(GOLDEN)], check=True)
    print(f"{GOLDEN.relative_to(ROOT)}: {GOLDEN.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
