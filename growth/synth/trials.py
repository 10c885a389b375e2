"""The sample's three experiments: who is in which arm from when, and what is true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from growth.synth.base import DAY_MS, Coded, table
from growth.synth.journey import item_chance
from growth.synth.tapping import DEVICES
from growth.synth.units import arm_of, bucket
from growth.synth.walking import PURCHASE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from growth.synth.base import Bools, Floats, Ints
    from growth.synth.journey import Sessions, Trips
    from growth.synth.people import People

__all__ = [
    "TRIALS",
    "Tested",
    "Trial",
    "assign",
    "assignment_table",
    "expected",
    "truth",
]

LAYER: Final = "sample"
DAYS: Final = 28
WINDOW_DAYS: Final = 7
ITEM_LIFT: Final = 0.30  # of the chance to go from home to an item, under waterfall
EXPOSED_MS: Final = 5  # from page view to exposure
LOST_RATE: Final = 0.35  # of android users of the broken split's second arm


@dataclass(frozen=True, slots=True)
class Trial:
    """An experiment of the sample.

    `ends_before` counts days before the log's end; `home_only` experiments begin with
    a view of the home page on a mobile device, others with any session.
    """

    name: str
    arms: tuple[str, str]
    ends_before: int
    home_only: bool


HOME_LAYOUT: Final = Trial("home_layout", ("list", "waterfall"), 0, home_only=True)
AA_CHECK: Final = Trial("aa_check", ("a", "b"), 0, home_only=False)
BROKEN_SPLIT: Final = Trial("broken_split", ("old", "new"), DAYS, home_only=False)
TRIALS: Final = (HOME_LAYOUT, AA_CHECK, BROKEN_SPLIT)


@dataclass(frozen=True, slots=True, eq=False)
class Tested:
    """One experiment's exposures: the session of each unit's first one."""

    trial: Trial
    arm: Ints  # of each user, exposed or not
    session: Ints  # of first exposure, one a unit
    inside: Bools  # of each session: unit's arm is in force


def assign(trial: Trial, who: People, visit: Sessions, days: int) -> Tested:
    """Return who meets which arm of one experiment, and when first.

    Parameters
    ----------
    trial : Trial
        The experiment.
    who : People
        The users; arms follow from the hash of their ids.
    visit : Sessions
        Their sessions.
    days : int
        Days of the log.

    Returns
    -------
    Tested
        The broken split lacks a share of its second arm's android users.
    """
    place = bucket(who.user_id, layer=LAYER, salt=trial.name)
    arm = arm_of(place, dict.fromkeys(trial.arms, 1.0)).astype(np.int64)
    end = days - trial.ends_before
    inside = (visit.day >= end - DAYS) & (visit.day < end)
    if trial.home_only:
        phone = np.array([d.platform != "windows" for d in DEVICES])[who.device]
        inside &= visit.home & phone[visit.user]
    if trial is BROKEN_SPLIT:
        android = np.array([d.platform == "android" for d in DEVICES])[who.device]
        luck = bucket(who.user_id, layer=LAYER, salt="lost")
        gone = android & (arm == 1) & (luck < LOST_RATE)
        inside &= ~gone[visit.user]
    met = np.flatnonzero(inside)
    _, first = np.unique(visit.user[met], return_index=True)
    return Tested(trial=trial, arm=arm, session=met[first], inside=inside)


def expected(tested: Tested, who: People, visit: Sessions, days: int) -> Floats:
    """Sum, over mature units, what each arm's metrics are expected to be.

    Parameters
    ----------
    tested : Tested
        Exposures of the experiment on the home page.
    who : People
        The users.
    visit : Sessions
        Their sessions, which do not depend on the arm.
    days : int
        Days of the log.

    Returns
    -------
    ndarray of float, shape (2, 4)
        Per arm: units, and expected units that pay, fen they pay, units that add
        to the cart, in the 7 days from exposure. Given the sessions that took place.

    Notes
    -----
    A session pays with probability ``P(item) * prod(rates)``; a unit pays unless
    none of its sessions does: ``1 - prod(1 - p)``.
    """
    limit = WINDOW_DAYS * DAY_MS
    since = np.full(who.n, np.iinfo(np.int64).max)
    exposed = visit.start_ms[tested.session]
    mature = exposed + limit <= days * DAY_MS
    since[visit.user[tested.session[mature]]] = exposed[mature]
    from_then = visit.start_ms - since[visit.user]
    counted = np.flatnonzero((from_then >= 0) & (from_then < limit))
    user = visit.user[counted]
    sums = np.zeros((2, 4))
    for number, lift in enumerate((0.0, ITEM_LIFT)):
        own = np.where(tested.inside[counted], lift, 0.0)
        item = np.where(visit.home[counted], item_chance(who, user, own), 1.0)
        pays: Floats = item * float(np.prod(PURCHASE.rates))
        sums[number] = (
            mature.sum(),
            _some(pays, user, who.n),
            (pays * who.mean_fen[user]).sum(),
            _some(item * PURCHASE.rates[0], user, who.n),
        )
    return sums


def _some(chance: Floats, user: Ints, users: int) -> float:
    """Return the expected number of users with one success or more."""
    none = np.bincount(user, np.log1p(-chance), users)
    return float((-np.expm1(none)).sum())


def assignment_table(
    tested: Sequence[Tested], who: People, visit: Sessions, trip: Trips, start_ms: int
) -> pa.Table:
    """Return `assignments`: one row per unit and experiment, at first exposure.

    Parameters
    ----------
    tested : sequence of Tested
        The experiments.
    who, visit, trip : People, Sessions, Trips
        Users, sessions, what they do.
    start_ms : int
        Epoch ms of the log's first midnight.

    Returns
    -------
    pyarrow.Table
        By experiment, then unit; at the instants of the ``exp_exposure`` events.
    """
    rows = np.concatenate([test.session for test in tested])
    number = np.repeat(np.arange(len(tested)), [len(t.session) for t in tested])
    user = visit.user[rows]
    arm = np.concatenate([t.arm[visit.user[t.session]] for t in tested])
    names = tuple(trial.name for trial in TRIALS)
    return table(
        {
            "unit_id": Coded(user, who.user_id),
            "exp_id": Coded(number, names),
            "variant": Coded(
                2 * number + arm, tuple(a for t in TRIALS for a in t.arms)
            ),
            "ts": start_ms + visit.start_ms[rows] + trip.first_ms[rows] + EXPOSED_MS,
            "unit_type": Coded(np.zeros(len(rows), int), ("user",)),
            "layer": Coded(number, tuple(f"{LAYER}:{name}" for name in names)),
            "conflict": np.zeros(len(rows), bool),
        }
    )


def truth(sums: Floats) -> dict[str, object]:
    """Return the planted values of the three experiments.

    Parameters
    ----------
    sums : ndarray of float, shape (2, 4)
        What `expected` gave, added over shards.

    Returns
    -------
    dict of str to object
        By experiment.
    """
    units = max(sums[0, 0], 1.0)
    names = ("pay_rate", "revenue", "cart_rate")
    means = {
        name: dict(
            zip(HOME_LAYOUT.arms, (sums[:, 1 + j] / units).tolist(), strict=True)
        )
        for j, name in enumerate(names)
    }
    control, treatment = HOME_LAYOUT.arms
    return {
        "home_layout": {
            "salt": "home_layout",
            "layer": LAYER,
            "window_days": WINDOW_DAYS,
            "item_lift": ITEM_LIFT,
            "mature_units": int(sums[0, 0]),
            "expected": means,
            "effect": {n: m[treatment] - m[control] for n, m in means.items()},
            "lift": {
                n: m[treatment] / m[control] - 1 if m[control] else None
                for n, m in means.items()
            },
        },
        "aa_check": {
            "salt": "aa_check",
            "layer": LAYER,
            "lift": dict.fromkeys(names[:2], 0.0),
        },
        "broken_split": {
            "salt": "broken_split",
            "layer": LAYER,
            "lost_arm": "new",
            "lost_platform": "android",
            "lost_rate": LOST_RATE,
        },
    }
