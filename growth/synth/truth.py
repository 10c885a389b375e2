"""What the sample's truth file says, key by key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from growth.synth import books, events, people
from growth.synth.tapping import DEAD, DEVICES, HOME, HOT, ITEM, RAGE, page_truth
from growth.synth.trials import HOME_LAYOUT

if TYPE_CHECKING:
    from growth.synth.base import Floats

__all__ = ["ABOUT", "pages", "personas", "refunds"]

ABOUT: Final = {
    "about": "What each key means.",
    "as_of": "Last local day of the log.",
    "buying": "BG/NBD (days) and Gamma-Gamma (fen) of buyers' orders before the log; "
    "amounts also in it.",
    "channel_spend": "By paid channel: price of a click, users per click, totals.",
    "end": "The day after the log's last.",
    "experiments": "By experiment: salt and layer of the hash that assigns, and the "
    "effect. home_layout: expected means an arm of mature units, given the sessions "
    "that took place; what is measured differs by chance only. broken_split: the arm, "
    "platform and share of units that never reached the log.",
    "funnels": "Rates and median times from step to step. purchase: within a session, "
    "from the view of an item page; welcome: once a new user, from register.",
    "messages": "Rows by kind, grants unused, sends without a grant, replies beyond "
    "the quota.",
    "official": "Why official_daily differs from the events: sessions by scene 1154, "
    "counted a day; and the day that was pulled twice.",
    "pages": "By page and element: tap rate a view, box in rpx; the hot, dead and rage "
    "elements; what home_layout changes; devices and their folds in rpx; scroll depth "
    "of the scroll events (share without any, mean rpx of the rest).",
    "people": "Users by kind, dormant, enrolled, share-groups.",
    "personas": "Planted shares of region, gender, channel, spend level, and of age "
    "given the level; counts by level and age.",
    "points": "Totals of the ledger: issued + debt = redeemed + expired + clawed + "
    "active.",
    "refunds": "Share of paid orders refunded (within 10 days), in full, in parts.",
    "retention": "Share of users back k days after register.",
    "rules": "Breaches planted, by rule.",
    "seed": "Of this sample.",
    "shares": "Cards sent, opened, mature (7 days before the end), users brought.",
    "start": "First local day of the log.",
    "users": "People in the sample.",
    "wake": "A text message to half of the dormant users: how many, and how many came "
    "back within 7 days, with the planted rates.",
}


def personas(counts: Floats | int) -> dict[str, object]:
    """Return what was planted about who the users are.

    Parameters
    ----------
    counts : ndarray of float, shape (levels, ages)
        Users by spend level and age band.

    Returns
    -------
    dict of str to object
        Shares by name.
    """
    table = np.asarray(counts)
    return {
        "region": dict(zip(people.REGIONS, people.REGION_SHARES, strict=True)),
        "gender": dict(zip(people.GENDERS, people.GENDER_SHARES, strict=True)),
        "channel": dict(zip(people.CHANNELS, people.CHANNEL_SHARES, strict=True)),
        "spend_level": dict(zip(people.LEVELS, people.LEVEL_SHARES, strict=True)),
        "age_given_level": {
            level: dict(zip(people.AGES, shares, strict=True))
            for level, shares in zip(people.LEVELS, people.AGE_BY_LEVEL, strict=True)
        },
        "level_by_age_users": {
            level: {age: int(n) for age, n in zip(people.AGES, row, strict=True)}
            for level, row in zip(people.LEVELS, table, strict=True)
        },
        "enrolled_rate": dict(zip(people.KINDS, people.ENROLLED_RATE, strict=True)),
    }


def pages() -> dict[str, object]:
    """Return what was planted on the two pages that log taps."""
    control, treatment = HOME_LAYOUT.arms
    banner = next(e for e in HOME if e.name == "banner_main")
    return {
        "pages/item/detail": {
            **page_truth(ITEM),
            "hot": HOT,
            "dead": DEAD,
            "rage": RAGE,
        },
        "pages/home/index": {
            **page_truth(HOME),
            "shift": {
                "banner_main": {
                    control: banner.tap_rate,
                    treatment: banner.tap_rate + events.BANNER_SHIFT,
                },
            },
        },
        "blank_taps_per_view": events.BLANK_TAPS,
        "page_open_ms": {
            "median": events.OPEN_MS,
            "sigma_log": events.OPEN_SIGMA,
            "android": events.SLOW_ANDROID,
            treatment: 1 + events.WATERFALL_SLOWER,
        },
        "error_rate_per_view": events.ERROR_RATE,
        "devices": {
            d.model: {"share": d.share, "fold_rpx": d.win_h * 750 / d.win_w}
            for d in DEVICES
        },
    }


def refunds() -> dict[str, float]:
    """Return what was planted about refunds."""
    return {
        "rate": books.REFUND_RATE,
        "full_rate": books.FULL_REFUND_RATE,
        "split_rate": books.SPLIT_REFUND_RATE,
    }
