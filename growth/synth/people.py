"""Who the sample's users are: kinds, personas, devices, how they come and buy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from growth.synth.base import DAY_MS, hex_ids, stream
from growth.synth.buying import BuyingModel, purchases, rates, scales
from growth.synth.tapping import DEVICES
from growth.synth.walking import PURCHASE

if TYPE_CHECKING:
    from growth.synth.base import Bools, Floats, Ids, Ints

__all__ = ["People", "people", "people_counts"]

NEW, BUYER, BROWSER = 0, 1, 2
KINDS: Final = ("new", "buyer", "browser")
KIND_SHARES: Final = (0.30, 0.45, 0.25)
REGIONS: Final = ("44", "33", "31", "51", "32")  # GB/T 2260 province codes
REGION_SHARES: Final = (0.30, 0.22, 0.18, 0.16, 0.14)
AGES: Final = ("18-24", "25-34", "35-44", "45+")
LEVELS: Final = ("high", "middle", "low")
LEVEL_SHARES: Final = (0.20, 0.50, 0.30)  # by the user's own mean amount
AGE_BY_LEVEL: Final = (
    (0.10, 0.35, 0.35, 0.20),
    (0.25, 0.40, 0.23, 0.12),
    (0.45, 0.35, 0.13, 0.07),
)
GENDERS: Final = ("f", "m")
GENDER_SHARES: Final = (0.58, 0.32)  # the rest is unknown
CHANNELS: Final = ("organic", "share", "moments_ads", "oa_advertorial", "kol")
CHANNEL_SHARES: Final = (0.40, 0.24, 0.16, 0.12, 0.08)
ENROLLED_RATE: Final = (0.35, 0.75, 0.35)  # by kind
ITEM_RATE: Final = (0.42, 0.58, 0.30)  # by kind: P(item page | home session)
SESSIONS_A_DAY: Final = 1.2
BROWSER_VISITS: Final = (0.8, 9.0)  # Beta
BROWSER_ASLEEP_RATE: Final = 0.25
MAX_VISIT_RATE: Final = 0.75
MIN_VISIT_RATE: Final = 0.015
GROUP_SIZE: Final = 25


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """One entry a user in every array, sorted by `user_id`.

    Days and instants are relative to the first midnight of the event log; `first_ms`
    is when the user first came (negative before the log).
    """

    user_id: Ids
    device_id: Ids
    kind: Ints
    first_ms: Ints
    region: Ints
    age: Ints
    gender: Ints
    device: Ints
    channel: Ints
    enrolled: Bools
    mean_fen: Floats
    visit_rate: Floats
    dormant: Bools
    level: Ints
    group: Ints
    group_id: Ids
    order_user: Ints
    order_ms: Ints

    @property
    def n(self) -> int:
        """Users."""
        return len(self.user_id)


def people(
    *, seed: int, shard: int, users: int, days: int, history: int, model: BuyingModel
) -> People:
    """Draw the users of one shard, and the orders they placed before the log.

    Parameters
    ----------
    seed, shard : int
        0 or more.
    users : int
        Users in the shard.
    days : int
        Days of the event log.
    history : int
        Days before it over which buyers joined.
    model : BuyingModel
        How buyers buy.

    Returns
    -------
    People
        `dormant` users have left for good, or never come while the log runs.
    """
    rng = stream(seed, "people", shard)
    user_id = np.sort(hex_ids(rng, users))
    kind = rng.choice(3, users, p=KIND_SHARES)
    ago = rng.integers(DAY_MS, history * DAY_MS, users)
    ahead = rng.integers(0, days, users) * DAY_MS
    first_ms = np.where(kind == NEW, ahead, -ago)
    mean_fen = scales(rng, users, model)
    cuts = np.quantile(mean_fen, np.cumsum(LEVEL_SHARES[::-1])[:-1])
    level = 2 - np.searchsorted(cuts, mean_fen)
    by_level = np.cumsum(AGE_BY_LEVEL, axis=1)[:, :-1]
    age = (rng.random((users, 1)) > by_level[level]).sum(axis=1)
    gender = np.searchsorted(np.cumsum(GENDER_SHARES), rng.random(users), side="right")
    device = rng.choice(len(DEVICES), users, p=[d.share for d in DEVICES])
    channel = rng.choice(len(CHANNELS), users, p=CHANNEL_SHARES)
    enrolled = rng.random(users) < np.asarray(ENROLLED_RATE)[kind]
    groups = max(users // GROUP_SIZE, 1)
    group = rng.integers(0, groups, users)

    buyers = np.flatnonzero(kind == BUYER)
    rate, leave = rates(rng, len(buyers), model)
    span = -first_ms[buyers] / DAY_MS
    who, day, alive = purchases(rng, rate, leave, span)
    bought = first_ms[buyers[who]] // DAY_MS * DAY_MS
    bought += ((first_ms[buyers[who]] % DAY_MS) / DAY_MS + day).astype(int) * DAY_MS
    order_ms = np.minimum(bought, -DAY_MS) + _hour(rng, len(who))
    first_ms = first_ms // DAY_MS * DAY_MS + _hour(rng, users)
    first_ms[buyers] = np.iinfo(np.int64).max
    np.minimum.at(first_ms, buyers[who], order_ms - 60_000)

    visit_rate = np.zeros(users)
    pays = ITEM_RATE[BUYER] * np.prod(PURCHASE.rates) * SESSIONS_A_DAY
    visits = np.clip(rate / pays, MIN_VISIT_RATE, MAX_VISIT_RATE)
    visit_rate[buyers] = np.where(alive, visits, 0)
    browsers = np.flatnonzero(kind == BROWSER)
    asleep = rng.random(len(browsers)) < BROWSER_ASLEEP_RATE
    seen = rng.beta(*BROWSER_VISITS, len(browsers))
    visit_rate[browsers] = np.where(asleep, 0, np.maximum(seen, MIN_VISIT_RATE))
    return People(
        user_id=user_id,
        device_id=hex_ids(rng, users),
        kind=kind,
        first_ms=first_ms,
        region=rng.choice(len(REGIONS), users, p=REGION_SHARES),
        age=age,
        gender=np.where(gender < len(GENDERS), gender, -1),
        device=device,
        channel=channel,
        enrolled=enrolled,
        mean_fen=mean_fen,
        visit_rate=visit_rate,
        dormant=(kind != NEW) & (visit_rate == 0),
        level=level,
        group=group,
        group_id=hex_ids(rng, groups),
        order_user=buyers[who],
        order_ms=order_ms,
    )


def _hour(rng: np.random.Generator, n: int) -> Ints:
    """Return milliseconds of the day, from 07:00 to 20:00, most of them midday."""
    return (7 * 3_600_000 + rng.beta(2, 2, n) * 13 * 3_600_000).astype(np.int64)


def people_counts(who: People) -> dict[str, int]:
    """Count users by kind, the dormant and the enrolled."""
    kinds = {name: int((who.kind == j).sum()) for j, name in enumerate(KINDS)}
    return kinds | {
        "dormant": int(who.dormant.sum()),
        "dormant_buyers": int((who.dormant & (who.kind == BUYER)).sum()),
        "enrolled": int(who.enrolled.sum()),
        "share_groups": len(who.group_id),
    }
