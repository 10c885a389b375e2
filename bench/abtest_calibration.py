"""Operating characteristics of the A/B room, simulated, with Monte-Carlo error.

3 % of the units buy, amounts are heavy-tailed (lognormal, sigma 1.2), and nothing
differs between the arms unless a line says so. Every method must reject at its level
alpha: in both directions where each arm has 100 buyers or more (a quantile: 100 values
between the ranks its error is read from), else at most. Rows that cannot be computed
count neither way and stand beside; a Bayesian posterior promises no rate and is only
shown. A line fails where a rate
is off its bound by more than chance explains (exact binomial, 1 in 2,000 a side);
then the exit code is 1. Seeds are fixed: the same scale, the same numbers.
"""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # the processes are the threads

import numpy as np
from _common import arguments, machine
from scipy.special import bdtr, bdtrc, ndtri

from growth.stats import means, nulls, proportions
from growth.stats.always_valid import hybrid, planned_critical
from growth.stats.bayes import lift_posterior
from growth.stats.capping import cap_thresholds, winsorise
from growth.stats.clusters import cluster_mean
from growth.stats.contrast import Contrast
from growth.stats.counts import chi2_goodness_of_fit
from growth.stats.group_sequential import spending_boundaries
from growth.stats.moments import Moments
from growth.stats.multiplicity import adjust
from growth.stats.quantiles import clustered_quantile, unit_quantile
from growth.stats.srm import dirichlet_multinomial
from growth.stats.strata import post_stratify

ALPHA = 0.05
RATE = 0.03  # of units that buy
LOW_RATE = 0.005  # watched too: few buyers must not alarm either
SIGMA = 1.2  # of the logarithm of an amount
ENOUGH = 100  # buyers an arm: judged in both directions
SURE = 0.0005  # chance to fail a sound line, a side
SIMULATIONS = {400: 20_000, 2_000: 8_000, 10_000: 4_000, 100_000: 800}
PIECES = 8


class Line(NamedTuple):
    """What is counted: `about`, `at most`, `at least` a target, or only `shown`."""

    group: str
    method: str
    n: int
    bound: str
    target: float


def level(group, method, n, buyers, alpha=ALPHA):
    """Return the line of a test at a level, judged by the buyers an arm has."""
    bound = "about" if buyers >= ENOUGH else "at most"
    return Line(group, method, n, bound, alpha)


class Counts:
    """Trials, hits and rows not computable, by line."""

    def __init__(self):
        self.found = defaultdict(lambda: np.zeros(3, dtype=np.int64))

    def add(self, line, p, alpha=ALPHA):
        """Count a p-value; None is not computable."""
        self.found[line] += (p is not None, p is not None and p < alpha, p is None)

    def many(self, line, hits, known=None):
        """Count many trials at once."""
        known = np.ones(len(hits), dtype=bool) if known is None else known
        self.found[line] += (known.sum(), (hits & known).sum(), (~known).sum())


# -- one reading of one experiment: every method ---------------------------------------


def people(n, rng):
    """Draw one arm: who bought, what, what is known from before, visits and orders."""
    known = rng.random(n) < 0.3
    before = np.zeros(n)
    nature = rng.standard_normal(n)
    before[known] = np.exp(7 + SIGMA * nature[known])
    buys = rng.random(n) < np.where(known, RATE * 16 / 9, RATE * 2 / 3)
    count = int(buys.sum())
    amount = np.zeros(n)
    own = 0.5 * nature[buys] + 0.75**0.5 * rng.standard_normal(count)
    amount[buys] = np.exp(8 + SIGMA * own)
    visits = 1.0 + rng.poisson(2, n)
    orders = rng.binomial(visits.astype(int), 0.1).astype(float)
    return {
        "buys": buys.astype(float),
        "amount": amount,
        "before": before,
        "known": known,
        "visits": visits,
        "orders": orders,
        "ms": rng.lognormal(6, 0.8, n),
    }


def read_once(n, simulations, seed):
    """Analyse fresh experiments without an effect by every method of the room."""
    rng, found = np.random.default_rng(seed), Counts()
    buyers = n * RATE
    group = "one reading"
    spans = {f"quantile {share}": _span(n, share) for share in (0.5, 0.9)}
    for _ in range(simulations):
        arms = {"a": people(n, rng), "b": people(n, rng)}
        p = {}
        names = ("amount", "before", "orders", "visits")
        m = {
            arm: Moments.of(names, np.column_stack([one[c] for c in names]))
            for arm, one in arms.items()
        }
        p |= _shares(arms, n)
        p["welch"] = _p(means.mean(x.pick(["amount"])) for x in m.values())
        p["delta ratio"] = _p(means.ratio(x, "orders", "visits") for x in m.values())
        p["cuped"] = _p(means.cuped(m, "amount", ["before"]).arms.values())
        p["lin, moments"] = _p(means.lin(m, "amount", ["before"]).arms.values())
        p["lin, HC2"] = _p(_hc2(arms).values())
        p["capped at .99, welch"] = _p(_capped(arms))
        p["post-stratified"] = _p(_stratified(arms).arms.values())
        for share in (0.5, 0.9):
            both = [unit_quantile(one["ms"], share) for one in arms.values()]
            p[f"quantile {share}"] = _p(q.arm for q in both)
        welch = Contrast(*(means.mean(x.pick(["amount"])) for x in m.values()))
        flat = lift_posterior(welch, prior_sd=None)
        certain = None
        if flat is not None:
            certain = 2 * min(flat.chance_to_win, 1 - flat.chance_to_win)
        line = Line(group, "bayes, flat prior, sure", n, "shown", ALPHA)
        found.add(line, certain)
        for method, value in p.items():
            counted = {"delta ratio": n, **spans}.get(method, buyers)
            found.add(level(group, method, n, counted), value)
        goals = [p["wald"], p["welch"], p["delta ratio"]]
        held = adjust([1.0 if v is None else v for v in goals], "holm", ALPHA)
        line = Line(group, "holm over 3 goals, any", n, "at most", ALPHA)
        found.add(line, min(held.p_adj))
    return found.found


def _span(n, share):
    """Return how many values lie between the two ranks a quantile's error rests on."""
    return 2 * 1.96 * (n * share * (1 - share)) ** 0.5


def _p(estimates):
    return Contrast(*estimates).p_value


def _shares(arms, n):
    counts = [proportions.Share(int(one["buys"].sum()), n) for one in arms.values()]
    return {
        test: proportions.compare(*counts, test=test).p_value
        for test in proportions.TESTS
    }


def _hc2(arms):
    y, z = (
        np.concatenate([one[c] for one in arms.values()]) for c in ("amount", "before")
    )
    arm = np.repeat(np.arange(2), len(y) // 2)
    return means.lin_hc2(y, z, arm).arms


def _capped(arms):
    cap = cap_thresholds(
        np.concatenate([one["amount"] for one in arms.values()]), upper=0.99
    )
    return [
        means.mean(Moments.of(("m",), winsorise(one["amount"], cap)))
        for one in arms.values()
    ]


def _stratified(arms):
    return post_stratify(
        {
            known: {
                arm: Moments.of(("m",), one["amount"][one["known"] == known])
                for arm, one in arms.items()
            }
            for known in (False, True)
        },
        "m",
    )


# -- clusters, events, margins, splits -------------------------------------------------


def by_cluster(n, simulations, seed):
    """Randomise stores of 20 units or so, whose buying hangs together."""
    rng, found = np.random.default_rng(seed), Counts()
    stores = n // 20
    for _ in range(simulations):
        sizes = 1 + rng.poisson(19, (2, stores))
        rate = rng.beta(49 * RATE, 49 * (1 - RATE), (2, stores))  # ICC 0.02
        totals = rng.binomial(sizes, rate)
        arms = [cluster_mean(t, s) for t, s in zip(totals, sizes, strict=True)]
        found.add(level("clusters", f"{stores} stores an arm", n, n * RATE), _p(arms))
    return found.found


def events(n, simulations, seed):
    """Compare p90 over events, five or so to a unit, which hang together."""
    rng, found = np.random.default_rng(seed), Counts()
    for _ in range(simulations):
        arms = []
        for _ in range(2):
            count = rng.poisson(5, n)
            unit = np.repeat(np.arange(n), count)
            own = rng.standard_normal(n) * 0.6
            value = np.exp(6 + own[unit] + 0.6 * rng.standard_normal(len(unit)))
            arms.append(clustered_quantile(value, unit, 0.9).arm)
        line = level("events", "quantile 0.9 of events", n, _span(5 * n, 0.9))
        found.add(line, _p(arms))
    return found.found


def margins(n, simulations, seed):
    """Test a loss of exactly the margin, relative 10 %: errors are one-sided."""
    rng, found = np.random.default_rng(seed), Counts()
    half = ALPHA / 2
    for _ in range(simulations):
        a, b = (int(rng.binomial(n, r)) for r in (RATE, 0.9 * RATE))
        shares = proportions.Share(a, n), proportions.Share(b, n)
        wald = proportions.wald(*shares).noninferiority(0.1, relative=True)
        score = proportions.score_noninferiority(*shares, 0.1, relative=True)
        welch = Contrast(
            *(means.mean(_amounts(rng, k, n)) for k in (a, b))
        ).noninferiority(0.1, relative=True)
        for method, p in (
            ("wald", wald and wald.p_value),
            ("score", score and score[1]),
            ("welch", welch and welch.p_value),
        ):
            # one side of a skewed mean takes ten times the buyers to settle
            counted = 0.9 * n * RATE / (10 if method == "welch" else 1)
            line = level("loss = margin", f"{method}, one-sided", n, counted, half)
            found.add(line, p, half)
    return found.found


def _amounts(rng, buyers, n):
    """Return moments of a mean in which so many of the units bought."""
    bought = np.exp(8 + SIGMA * rng.standard_normal(buyers))
    mean = bought.sum() / n
    spread = float(((bought - mean) ** 2).sum() + (n - buyers) * mean * mean)
    # as the engine gives it: extremes tell a constant from a rare value
    m = Moments.from_summary(("m",), n=n, mean=[mean], cov=[[spread / (n - 1)]])
    if not buyers:
        m.minimum[:] = m.maximum[:] = 0.0
    return m


def splits(n, simulations, seed):
    """Check sound splits: once, and by the sequential test at 100 looks."""
    rng, found = np.random.default_rng(seed), Counts()
    alpha = 0.01
    for _ in range(simulations):
        arrived = rng.multinomial(n * 2 // 100, [0.5, 0.5], size=100).cumsum(axis=0)
        once = chi2_goodness_of_fit(arrived[-1], [arrived[-1].sum() / 2] * 2)
        found.add(level("split", "chi-square, once", n, n, alpha), once.p_value, alpha)
    watched = min(simulations, 1 + 20_000 // 20)
    for _ in range(watched):
        arrived = rng.multinomial(n * 2 // 100, [0.5, 0.5], size=100).cumsum(axis=0)
        least = min(dirichlet_multinomial(row, [1, 1]).p_value for row in arrived)
        line = Line("split", "sequential, 100 looks", n, "at most", alpha)
        found.add(line, least, alpha)
    return found.found


# -- coverage of the lift --------------------------------------------------------------


def lifts(n, simulations, seed):
    """Count how often Fieller's interval holds the true lift."""
    rng, found = np.random.default_rng(seed), Counts()
    for lift in (0.0, 0.2, 0.5):
        line = Line("lift covered", f"share, {lift:+.0%}", n, "at least", 0.945)
        money = line._replace(method=f"revenue, {lift:+.0%}")
        for _ in range(simulations):
            a, b = (int(rng.binomial(n, r)) for r in (RATE, RATE * (1 + lift)))
            pair = proportions.wald(proportions.Share(a, n), proportions.Share(b, n))
            _cover(found, line, pair, lift)
            pair = Contrast(*(means.mean(_amounts(rng, k, n)) for k in (a, b)))
            _cover(found, money, pair, lift)
    return found.found


def _cover(found, line, pair, lift):
    ends = pair.lift_interval(ALPHA)
    known = ends is not None
    inside = known and ends[0] <= lift <= ends[1]
    found.found[line] += (known, inside, not known)


# -- many looks ------------------------------------------------------------------------


def paths(n, looks, simulations, rng, rate=RATE):
    """Return z of a share and of revenue at each look, (simulations, looks)."""
    step = np.diff(np.concatenate(([0], np.rint(np.asarray(looks) * n)))).astype(int)
    units = np.cumsum(step).astype(float)
    new = rng.binomial(step[:, None], rate, size=(simulations, len(step), 2))
    bought = np.exp(8 + SIGMA * rng.standard_normal(int(new.sum())))
    ends = np.concatenate(([0], np.cumsum(new.ravel())))
    running = np.concatenate(([0.0], np.cumsum(bought)))
    squares = np.concatenate(([0.0], np.cumsum(bought * bought)))
    first, second = (
        np.diff(total[ends]).reshape(new.shape).cumsum(axis=1)
        for total in (running, squares)
    )
    count = new.cumsum(axis=1)
    share = [nulls.shares(units, count[..., arm]) for arm in (0, 1)]
    arms = []
    for arm in (0, 1):
        mean = first[..., arm] / units
        spread = second[..., arm] - mean * first[..., arm]
        variance = spread / (units - 1) / units
        df = np.broadcast_to(units - 1, mean.shape)
        arms.append(nulls.Estimates(df + 1, mean, variance, df))
    share = [
        nulls.Estimates(e.n, e.value, e.variance, np.full(count.shape[:2], np.inf))
        for e in share
    ]
    return {"share": _z(*share), "revenue": _z(*arms)}


def _z(control, treatment):
    """Return the normal deviate of the same p-value; 0 where there is none."""
    found = nulls.welch(control, treatment)
    z = -ndtri(np.maximum(found.p_value, 1e-300) / 2)
    return np.nan_to_num(z)


def looking(n, simulations, seed):
    """Look again and again, by each sequential plan."""
    rng, found = np.random.default_rng(seed), Counts()
    for looks, families in ((5, ("obf", "pocock", "power")), (28, ("obf",))):
        at = [(k + 1) / looks for k in range(looks)]
        z = paths(n, at, simulations, rng)
        for family in families:
            upper = np.array(spending_boundaries(at, family=family).upper)
            for metric, path in z.items():
                method = f"{family}, {looks} looks, {metric}"
                line = level("group sequential", method, n, n * RATE / looks)
                found.many(line, (path > upper).any(axis=1))
    start = max(100 / n, 0.01)  # always-valid from 100 units an arm
    at = np.arange(start, 1.0001, 0.005)
    z = paths(n, at, simulations, rng)
    watch = np.array([planned_critical(t) for t in at])
    plan = hybrid(alpha=ALPHA)
    monitor = np.array([plan.monitor_critical(t) for t in at])
    monitor[-1] = plan.final_critical
    z["share of 0.5%"] = paths(n, at, simulations, rng, LOW_RATE)["share"]
    for metric, path in z.items():
        for name, critical in (("always-valid", watch), ("hybrid", monitor)):
            line = Line(name, f"{len(at)} looks, {metric}", n, "at most", ALPHA)
            found.many(line, (path > critical).any(axis=1))
    return found.found


STUDIES = (
    (read_once, (400, 2_000, 10_000, 100_000), 1.0),
    (by_cluster, (400, 2_000, 10_000, 100_000), 1.0),
    (events, (400, 2_000, 10_000), 0.25),
    (margins, (400, 2_000, 10_000, 100_000), 1.0),
    (splits, (10_000,), 1.0),
    (lifts, (400, 5_000), 1.0),
    (looking, (400, 2_000, 20_000, 100_000), 1.0),
)


def tasks(scale):
    """Return what to run: study, units an arm, simulations, seed."""
    listed = []
    for number, (study, sizes, share) in enumerate(STUDIES):
        for n in sizes:
            known = max(size for size in SIMULATIONS if size <= n)
            count = round(SIMULATIONS[known] * share * scale)
            if study in (looking, margins):  # sums of buyers: cheap
                count = round(max(count, SIMULATIONS[2_000] * scale))
            pieces = min(PIECES, max(count // 20, 1))
            each = max(count // pieces, 10)
            listed += [(study, n, each, [number, n, piece]) for piece in range(pieces)]
    # the longest first, so that no core waits for another at the end
    return sorted(listed, key=lambda task: -task[1] * task[2])


def run(task):
    """Run one piece in a process of its own."""
    study, n, simulations, seed = task
    return dict(study(n, simulations, seed))


def fails(line, trials, hits):
    """Return whether a rate is off its bound beyond chance."""
    if not trials:
        return False
    few = float(bdtr(hits, trials, line.target)) < SURE
    many = hits > 0 and float(bdtrc(hits - 1, trials, line.target)) < SURE
    off = {"about": few or many, "at most": many, "at least": few, "shown": False}
    return off[line.bound]


def report(totals):
    """Print a line each and return how many failed."""
    head = (
        "what",
        "method",
        "n an arm",
        "trials",
        "blank",
        "rate",
        "MC error",
        "bound",
    )
    rows, failed = [head], 0
    for line, (trials, hits, blank) in totals.items():
        bad = fails(line, int(trials), int(hits))
        failed += bad
        rate = hits / trials if trials else float("nan")
        error = (line.target * (1 - line.target) / max(trials, 1)) ** 0.5
        rows.append(
            (
                line.group,
                line.method,
                f"{line.n:,}",
                f"{trials:,}",
                f"{blank / (trials + blank):.1%}",
                f"{rate:.2%}",
                f"{error:.2%}",
                f"{line.bound} {line.target:.1%}" + "  FAILS" * bad,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(w) if i in (0, 1, 7) else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        print("  " + "  ".join(cells).rstrip())
    return failed


def main():
    """Run all studies on all cores and judge every line."""
    options = arguments(__doc__)
    chosen = [
        task
        for task in tasks(options.scale)
        if not options.only or task[0].__name__ in options.only
    ]
    started = time.perf_counter()
    totals = defaultdict(lambda: np.zeros(3, dtype=np.int64))
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        for found in pool.map(run, chosen):
            for line, counts in found.items():
                totals[line] += counts
    order = {line: i for i, line in enumerate(dict.fromkeys(sorted(totals)))}
    print(f"\nOperating characteristics, scale {options.scale:g}; {machine()}")
    failed = report(dict(sorted(totals.items(), key=lambda item: order[item[0]])))
    spent = time.perf_counter() - started
    print(f"\n  {len(totals)} lines, {failed} failed, {spent:.0f} s")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
