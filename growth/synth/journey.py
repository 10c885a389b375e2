"""Sessions of the sample's users, and what happens inside each one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from growth.synth.base import DAY_MS
from growth.synth.buying import amounts
from growth.synth.people import BUYER, ITEM_RATE, NEW
from growth.synth.places import DIRECT_RATE, PRODUCTS, SCENES, draw_scene
from growth.synth.returning import return_days
from growth.synth.walking import PURCHASE, WELCOME, walk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from growth.synth.base import Bools, Floats, Ints
    from growth.synth.buying import BuyingModel
    from growth.synth.messaging import Wake
    from growth.synth.people import People

__all__ = ["Sessions", "Trips", "sessions", "trips"]

SECOND_SESSION_RATE: Final = 0.2
COLD_RATE: Final = 0.5  # of second sessions; a day's first is always cold
MEMBER_PAGE_RATE: Final = 0.30  # of sessions that never see an item
REVIEW_RATE: Final = 0.05  # of sessions of those who bought before
LOGIN_RATE: Final = 0.70  # of an enrolled member's days
SHARE_RATE: Final = 0.06  # of item views
FAVORITE_RATE: Final = 0.05
SUBSCRIBE_ASK_RATE: Final = 0.80  # of paid orders
SUBSCRIBE_YES_RATE: Final = 0.60
LONGEST_DWELL_MS: Final = 300_000


@dataclass(frozen=True, slots=True, eq=False)
class Sessions:
    """One entry a session, by user, then time; `start_ms` counts from the log's."""

    user: Ints
    day: Ints
    start_ms: Ints
    scene: Ints
    opening: Bools  # the first of a new user
    cold: Bools  # the app was not in memory
    lead: Bools  # the first of its day
    home: Bools  # opens on home

    @property
    def n(self) -> int:
        """Sessions."""
        return len(self.user)


@dataclass(frozen=True, slots=True, eq=False)
class Trips:
    """What each session does; times are ms since its start, also where unused."""

    item: Bools
    member: Bools
    level: Ints  # steps of the purchase walk reached beyond the item page
    step_ms: NDArray[np.int64]  # (n, 5): when each step of that walk happens
    welcome: Ints
    welcome_ms: NDArray[np.int64]
    first_ms: Ints  # the first page's view
    second_ms: Ints  # item or member page's view
    end_ms: Ints
    product: Ints
    shared: Bools
    favorite: Bools
    login: Bools
    review: Bools
    asked: Ints  # subscribe: 1 yes, 0 no, -1 not asked
    paid_fen: Ints  # amount of the order created, if any


def sessions(
    rng: np.random.Generator,
    who: People,
    curve: Floats,
    call: Wake,
) -> Sessions:
    """Draw the sessions of a shard's users.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the draws come from.
    who : People
        The users.
    curve : ndarray of float, shape (days,)
        Share of new users back on day k.
    call : Wake
        Dormant users who come back, some of them by a message.

    Returns
    -------
    Sessions
        At most two a day, an hour or more apart, none over midnight.
    """
    days = len(curve)
    there = rng.random((who.n, days)) < who.visit_rate[:, None]
    new = np.flatnonzero(who.kind == NEW)
    there[new] = return_days(rng, who.first_ms[new] // DAY_MS, curve)
    there[call.back, call.back_day] = True
    pushed = np.zeros_like(there)
    pushed[call.back[call.pushed], call.back_day[call.pushed]] = True
    user, day = np.nonzero(there)
    twice = rng.random(len(user)) < SECOND_SESSION_RATE
    hour = (7 + rng.beta(2, 2, len(user)) * 13) * 3_600_000
    opening = (who.kind[user] == NEW) & (who.first_ms[user] // DAY_MS == day)
    hour[opening] = who.first_ms[user[opening]] % DAY_MS
    later = hour[twice] + (1.5 + 1.5 * rng.random(int(twice.sum()))) * 3_600_000
    both = (np.r_[user, user[twice]], np.r_[day, day[twice]])
    start = both[1] * DAY_MS + np.r_[hour, later].astype(np.int64)
    order = np.lexsort((start, both[0]))
    user, day, start = both[0][order], both[1][order], start[order]
    lead = (order < len(twice)).astype(bool)
    opening = np.r_[opening, np.zeros(len(later), bool)][order]
    scene = draw_scene(rng, opening, who.channel[user])
    push = next(j for j, s in enumerate(SCENES) if s.group == "message_push")
    scene = np.where(pushed[user, day] & lead, push, scene)
    direct = np.array([DIRECT_RATE.get(s.group, 0.0) for s in SCENES])[scene]
    return Sessions(
        user=user,
        day=day,
        start_ms=start,
        scene=scene,
        opening=opening,
        cold=lead | (rng.random(len(user)) < COLD_RATE),
        lead=lead,
        home=rng.random(len(user)) >= direct,
    )


def item_chance(who: People, user: Ints, lift: Floats) -> Floats:
    """Return P(item page | session that opens on home), with a relative `lift`."""
    chance: Floats = np.minimum(np.asarray(ITEM_RATE)[who.kind[user]] * (1 + lift), 1)
    return chance


def trips(
    rng: np.random.Generator,
    who: People,
    visit: Sessions,
    lift: Floats,
    model: BuyingModel,
) -> Trips:
    """Draw what each session does.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the draws come from.
    who : People
        The users.
    visit : Sessions
        Their sessions.
    lift : ndarray of float, shape (n,)
        Relative change of the chance to go from home to an item.
    model : BuyingModel
        For the amounts of orders.

    Returns
    -------
    Trips
        Shorter than 30 minutes each.
    """
    n = visit.n
    chance = item_chance(who, visit.user, lift)
    item = ~visit.home | (rng.random(n) < chance)
    level, offset = walk(rng, n, PURCHASE)
    level = np.where(item, level, 0)
    member = visit.home & ~item & (rng.random(n) < MEMBER_PAGE_RATE)
    bought = who.kind[visit.user] == BUYER
    review = member & bought & (rng.random(n) < REVIEW_RATE / MEMBER_PAGE_RATE)
    first_ms = rng.integers(600, 1_000, n)
    dwell = np.clip(12_000 * np.exp(0.7 * rng.normal(size=(2, n))), 2_500, None)
    dwell = np.minimum(dwell, LONGEST_DWELL_MS).astype(np.int64)
    second_ms = np.where(visit.home, first_ms + dwell[0], first_ms)
    step_ms = second_ms[:, None] + offset
    last = np.where(item, step_ms[np.arange(n), level], second_ms)
    stay = np.where(item | member, dwell[1], 0)
    end_ms = np.maximum(last + 2_500, second_ms + stay)
    welcome, since = walk(rng, n, WELCOME)
    welcome = np.where(visit.opening, welcome, -1)
    welcome_ms = 250 + since
    said = welcome_ms[np.arange(n), np.maximum(welcome, 0)]
    end_ms = np.maximum(end_ms, np.where(visit.opening, said + 500, 0))
    paid = level == len(PURCHASE.rates)
    asked = np.where(rng.random(n) < SUBSCRIBE_YES_RATE, 1, 0)
    asked = np.where(paid & (rng.random(n) < SUBSCRIBE_ASK_RATE), asked, -1)
    popular = 1 / np.arange(1, len(PRODUCTS) + 1) ** 0.8
    return Trips(
        item=item,
        member=member,
        level=level,
        step_ms=step_ms,
        welcome=welcome,
        welcome_ms=welcome_ms,
        first_ms=first_ms,
        second_ms=second_ms,
        end_ms=end_ms + 400,
        product=rng.choice(len(PRODUCTS), n, p=popular / popular.sum()),
        shared=item & (rng.random(n) < SHARE_RATE),
        favorite=item & (rng.random(n) < FAVORITE_RATE),
        login=visit.lead & who.enrolled[visit.user] & (rng.random(n) < LOGIN_RATE),
        review=review,
        asked=asked,
        paid_fen=amounts(rng, who.mean_fen[visit.user], model),
    )
