"""Do the intervals hold what was planted? A thousand small worlds of known truth.

Each seed makes newcomers who come back on a known curve, and people who walk through a
funnel at known rates; both rooms measure them as they would anything. Counted is how
often a 95 % interval holds the planted value: over all cells of all triangles, over
the points of all curves, and over all steps of all funnels, from the start and from
the step before. A share between 93 and 97 % is what is promised::

    python bench/coverage.py --scale 0.01   # 10 seeds, in seconds
"""

from __future__ import annotations

import time
from datetime import date, timedelta

from _common import arguments, machine

SEEDS = 1000
START = date(2026, 3, 1)
COHORTS, HORIZON = 7, 7  # days
NEWCOMERS, WALKERS = 2_000, 400
LOW, HIGH = 0.93, 0.97


def cells(seed):
    """Return whether each interval of a cell, and of a point, holds the truth."""
    from growth import engine, retention, synth

    made = synth.retention(
        seed=seed, users=NEWCOMERS, days=COHORTS + HORIZON, start=START
    )
    found = retention.measure(
        engine.as_table(made.data),
        start_event=made.truth["start_event"],
        return_event=made.truth["return_event"],
        start=START,
        end=START + timedelta(days=COHORTS),
        as_of=START + timedelta(days=COHORTS + HORIZON - 1),
        horizon=HORIZON,
    )
    planted = made.truth["curve"]
    return {
        "cells": [x.low <= planted[x.k] <= x.high for x in found.cells if _known(x)],
        "curve": [x.low <= planted[x.k] <= x.high for x in found.curve() if _known(x)],
    }


def _known(point):
    return point.k > 0 and point.rate is not None


def steps(seed):
    """Return whether each step's intervals hold the planted rates."""
    from growth import engine, funnel, synth

    made = synth.funnel(seed=seed, users=WALKERS, days=10, start=START)
    found = funnel.measure(
        engine.as_table(made.data),
        steps=made.truth["steps"],
        start=START,
        end=START + timedelta(days=10),
        as_of=START + timedelta(days=30),
    )
    pairs = [
        (step, made.truth["rate_from_start"][i], made.truth["rate_from_previous"][i])
        for i, step in enumerate(found.totals)
        if i
    ]
    return {
        "steps": [step.low <= share <= step.high for step, share, _ in pairs],
        "from previous": [
            step.previous_low <= share <= step.previous_high for step, _, share in pairs
        ],
    }


def main():
    """Print how often the intervals held the planted values."""
    options = arguments(__doc__)
    seeds = max(1, round(SEEDS * options.scale))
    held, begin = {}, time.perf_counter()
    for seed in range(seeds):
        for name, found in {**cells(seed), **steps(seed)}.items():
            held.setdefault(name, []).extend(found)
    spent = time.perf_counter() - begin
    print(
        f"Coverage of 95 % intervals over {seeds:,} seeds; {machine()}, {spent:.0f} s"
    )
    for name, found in held.items():
        share = sum(found) / len(found)
        word = "holds" if LOW <= share <= HIGH else "MISSED"
        word = word if seeds >= SEEDS else ""  # a few seeds prove nothing
        goal = f"{LOW:.0%} to {HIGH:.0%}"
        print(f"  {name:15} {len(found):>7,} intervals  {share:7.2%}  {goal}  {word}")


if __name__ == "__main__":
    main()
