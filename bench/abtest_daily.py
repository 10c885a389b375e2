"""A look every morning for 28 days against one look at the end, for every plan.

The sample's own experiment (20,000 users) is read as the scheduler reads it: each
morning the data is opened afresh as of the day before, and the plan is asked whether
to stop. The numbers of each morning must be those that the last morning works out for
that day; the first morning that says stop must be the day the last one names, and the
day on which plain statistics first leave the boundary that the textbook gives.
Below a tenth of the users one morning a week is read. The exit code is 1 where
anything differs.
"""

from __future__ import annotations

import sys
import time
from dataclasses import fields, replace
from datetime import timedelta

from _common import CACHE, arguments, machine

from growth import abtest, synth
from growth.readout.abtest import open_units
from growth.stats.always_valid import kappa, sequence_critical
from growth.stats.contrast import critical_value
from growth.stats.group_sequential import spending_boundaries

USERS = 20_000
UNITS = 6_000  # planned, over both arms
DAY = timedelta(days=1)
CLOSE = 1e-9  # relative: two ways to the same sums
PLANS = {
    "group-sequential, 28 looks": abtest.GroupSequential(units=UNITS),
    "group-sequential, Pocock": abtest.GroupSequential(units=UNITS, spending="pocock"),
    "always-valid": abtest.AlwaysValid(units=UNITS),
    "hybrid": abtest.Hybrid(units=UNITS),
}


def merchant(scale):
    """Return the folder of the sample; it is made once."""
    count = max(500, round(USERS * scale))
    folder = CACHE / f"merchant-{count}"
    if not (folder / "truth.json").exists():
        synth.sample(folder, seed=1, users=count)
    return folder


def morning(folder, experiment, day):
    """Read the experiment as of a day, from the files on."""
    opened = open_units(str(folder), experiment, as_of=day)
    return abtest.analyze(opened.evidence, experiment, as_of=day)


def apart(one, two):
    """Return the largest relative difference of two effects' numbers."""
    worst = 0.0
    for item in fields(one):
        a, b = getattr(one, item.name), getattr(two, item.name)
        if isinstance(a, float) and isinstance(b, float):
            worst = max(worst, abs(a - b) / max(abs(a), abs(b), 1e-300))
        elif a != b:
            return float("inf")
    return worst


def boundary(plan, shares, level, alpha, *, final):
    """Return the critical value at the last of some looks, from the formulas."""
    t = shares[-1]
    if isinstance(plan, abtest.GroupSequential):
        families = {"obrien_fleming": "obf", "pocock": "pocock"}
        family = families[plan.spending]
        found = spending_boundaries(shares, family=family, alpha=level, last=final)
        return found.upper[-1]
    if isinstance(plan, abtest.Hybrid):
        if final:
            return critical_value(0.8 * level)
        return sequence_critical(kappa(0.2 * alpha) * t, alpha=0.2 * level)
    return sequence_critical(kappa(alpha) * t, alpha=level)


def by_hand(plan, experiment, plain, ready):
    """Return the first day on which a goal's own statistic leaves the boundary."""
    goals = [m.name for m in experiment.metrics if m.role == "goal"]
    level = experiment.alpha / len(goals)  # Holm's first step
    shares = []
    for day, found in plain.items():
        share = ready[day] / plan.units
        if not share or (shares and share <= shares[-1]):
            continue
        final = plan.ends and share >= 1
        shares.append(share)
        z = [abs(e.statistic or 0) for e in found.totals() if e.metric in goals]
        if max(z) > boundary(plan, shares, level, experiment.alpha, final=final):
            return day, "crossed"
        if final:
            return day, "horizon"
    return None, None


def follow(name, plan, folder, days, plain):
    """Follow one plan on some mornings; print what was found, return whether well.

    `plain` holds the plain analysis of every day, `days` the mornings to look.
    """
    declared = abtest.load_experiment(folder / "experiments" / "home_layout.toml")
    experiment = replace(declared, plan=plan)
    started = time.perf_counter()
    seen = {day: morning(folder, experiment, day) for day in days}
    spent = time.perf_counter() - started
    whole = seen[days[-1]]
    last = {(p.effect.metric, p.effect.arm, p.day): p for p in whole.looks.points}
    worst, said = 0.0, None
    for day, found in seen.items():
        looks = found.looks
        if looks is None:
            continue
        if said is None and looks.stopped_on is not None:
            said = day
        for point in looks.points:
            key = point.effect.metric, point.effect.arm, point.day
            worst = max(worst, apart(point.effect, last[key].effect))
    ready = {day: found.mature_units for day, found in plain.items()}
    hand = by_hand(plan, experiment, plain, ready)
    stop = whole.looks.stopped_on, whole.looks.stop
    expected = next((day for day in days if stop[0] and day >= stop[0]), None)
    well = worst < CLOSE and said == expected and hand == stop
    words = f"{stop[1]} on {stop[0]}" if stop[0] else "goes on"
    print(
        f"  {name:28} {len(whole.looks.days):3} looks, largest difference {worst:.1e}; "
        f"{words}; first said {said}, by hand {hand[0]}; "
        f"{spent / len(days):.1f} s a morning{'' if well else '  DIFFERS'}"
    )
    return well


def main():
    """Follow every plan."""
    options = arguments(__doc__)
    folder = merchant(options.scale)
    declared = abtest.load_experiment(folder / "experiments" / "home_layout.toml")
    days = [
        declared.start + k * DAY for k in range((declared.end - declared.start).days)
    ]
    fixed = replace(declared, plan=abtest.Fixed(units=UNITS))
    plain = {day: morning(folder, fixed, day) for day in days}
    count = plain[days[-1]].units
    print(f"\nA look every morning, {len(days)} days, {count:,} units; {machine()}")
    chosen = {k: v for k, v in PLANS.items() if not options.only or k in options.only}
    looked = days if options.scale >= 0.1 else days[6::7]
    well = [follow(name, plan, folder, looked, plain) for name, plan in chosen.items()]
    sys.exit(0 if all(well) else 1)


if __name__ == "__main__":
    main()
