"""What the merchant does: campaigns, prizes, stock, incidents; breaches planted."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from growth.synth.base import DAY_MS, MISSING, Coded, hex_ids, midnight_ms, table
from growth.synth.places import PRODUCTS

if TYPE_CHECKING:
    import pyarrow as pa

    from growth.synth.base import Ids
    from growth.synth.journey import Sessions

__all__ = ["participation_rows", "shop_tables"]


class Campaign(NamedTuple):
    """A campaign; days are counted from the log's first."""

    name: str
    kind: str
    created: int
    start: int
    end: int
    holiday: str | None
    trigger: str | None
    reward_fen: int
    text: str


_SPRING = "spring_festival"
CAMPAIGNS: Final = (
    Campaign("invite", "invite", -20, 0, 60, None, "register", 500, "邀请好友得券"),
    Campaign("flash_sale", "seckill", 2, 12, 15, _SPRING, None, 0, "年货秒杀"),
    Campaign("raffle", "lottery", -10, 5, 10, None, "share", 200, "分享即可抽奖"),
    Campaign("member_day", "member_day", -40, 31, 32, None, None, 0, "会员日"),
)
PLAY: Final = 1  # the campaign whose plays are logged
PLAY_RATE: Final = 0.20  # of sessions while it runs
MAX_PLAYS: Final = 3  # a user, campaign and day
GREEDY_RATE: Final = 0.01  # of players who play once too often
STOCK_OUT_RATE: Final = 0.03
INCIDENTS: Final = (
    # kind, day, minutes to answer, minutes to resolve (None: never)
    ("complaint", 4, 12, 90),
    ("complaint", 11, 25, 240),
    ("complaint", 19, 55, 300),
    ("complaint", 33, 8, None),
    ("outage", 21, 3, 42),
    ("outage", 40, 5, 95),
    ("pr", 50, 120, 1_200),
)
PRIZES: Final = (
    # campaign, prize, physical, value, logistics
    ("raffle", "mug", True, 3_900, 400),
    ("raffle", "tea_set", True, 5_000, 900),
    ("raffle", "coupon", False, 500, None),
)
TRUTH: Final = {
    "holiday_lead": 1,
    "share_reward": 1,
    "prize_freight": 1,
    "complaint": 1,
    "recovery": 1,
    "pr": 0,
}


def participation_rows(
    rng: np.random.Generator, visit: Sessions, ids: Ids, start_ms: int
) -> tuple[pa.Table, int]:
    """Return `participations` of one shard, and how many break the play limit.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the draws come from.
    visit : Sessions
        Sessions; some of those during the flash sale play once.
    ids : ndarray of bytes
        Pseudonyms of the users.
    start_ms : int
        Epoch ms of the log's first midnight.

    Returns
    -------
    table : pyarrow.Table
        By user, then instant.
    breaches : int
        Users and days with more than three plays.
    """
    sale = CAMPAIGNS[PLAY]
    on = (visit.day >= sale.start) & (visit.day < sale.end) & visit.lead
    row = np.flatnonzero(on & (rng.random(visit.n) < PLAY_RATE))
    greedy = rng.random(len(row)) < GREEDY_RATE
    plays = np.where(greedy, MAX_PLAYS + 1, rng.integers(1, MAX_PLAYS + 1, len(row)))
    row = np.repeat(row, plays)
    turn = np.arange(len(row)) - np.repeat(np.cumsum(plays) - plays, plays)
    rows = table(
        {
            "campaign_id": Coded(np.zeros(len(row), int), (sale.name,)),
            "user_id": Coded(visit.user[row], ids),
            "ts": start_ms + visit.start_ms[row] + 1_500 + 700 * turn,
            "role": Coded(np.zeros(len(row), int), ("join",)),
        }
    )
    return rows, int(greedy.sum())


def shop_tables(
    rng: np.random.Generator, begun: date, days: int
) -> dict[str, pa.Table]:
    """Return the small tables that belong to no user.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the draws come from.
    begun : datetime.date
        First day of the log.
    days : int
        Days of the log.

    Returns
    -------
    dict of str to pyarrow.Table
        `campaigns`, `prizes`, `incidents`, `stock_daily`.
    """
    start_ms = midnight_ms(begun)

    def at(day: float) -> int:
        return start_ms + int(day * DAY_MS)

    def words(values: list[str | None]) -> Coded:
        known = tuple(dict.fromkeys(v for v in values if v is not None))
        codes = [known.index(v) if v is not None else -1 for v in values]
        return Coded(np.array(codes), known)

    campaigns = table(
        {
            "campaign_id": words([c.name for c in CAMPAIGNS]),
            "kind": words([c.kind for c in CAMPAIGNS]),
            "start_ts": np.array([at(c.start) for c in CAMPAIGNS]),
            "end_ts": np.array([at(c.end) for c in CAMPAIGNS]),
            "created_ts": np.array([at(c.created) for c in CAMPAIGNS]),
            "holiday": words([c.holiday for c in CAMPAIGNS]),
            "reward_trigger": words([c.trigger for c in CAMPAIGNS]),
            "reward_fen": np.array([c.reward_fen for c in CAMPAIGNS]),
            "text": words([c.text for c in CAMPAIGNS]),
        }
    )
    prizes = table(
        {
            "campaign_id": words([p[0] for p in PRIZES]),
            "prize_id": words([p[1] for p in PRIZES]),
            "physical": np.array([p[2] for p in PRIZES]),
            "value_fen": np.array([p[3] for p in PRIZES]),
            "logistics_fen": np.array(
                [MISSING if p[4] is None else p[4] for p in PRIZES], dtype=np.int64
            ),
        }
    )
    opened = np.array([at(i[1] + 0.45) for i in INCIDENTS])
    incidents = table(
        {
            "incident_id": hex_ids(rng, len(INCIDENTS)),
            "kind": words([i[0] for i in INCIDENTS]),
            "opened_ts": opened,
            "responded_ts": opened + np.array([i[2] for i in INCIDENTS]) * 60_000,
            "resolved_ts": np.array(
                [
                    MISSING if i[3] is None else int(o) + i[3] * 60_000
                    for i, o in zip(INCIDENTS, opened, strict=True)
                ],
                dtype=np.int64,
            ),
        }
    )
    first = (begun - date(1970, 1, 1)).days
    n = days * len(PRODUCTS)
    stock = table(
        {
            "ds": np.repeat(first + np.arange(days), len(PRODUCTS)),
            "sku_id": Coded(np.tile(np.arange(len(PRODUCTS)), days), PRODUCTS),
            "out_of_stock": rng.random(n) < STOCK_OUT_RATE,
        }
    )
    return {
        "campaigns": campaigns,
        "prizes": prizes,
        "incidents": incidents,
        "stock_daily": stock,
    }
