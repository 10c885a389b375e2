"""WeChat's own daily figures: what our events say, plus what we cannot see."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from growth.synth.base import (
    DAY_MS,
    SHANGHAI_MS,
    Coded,
    table,
)
from growth.synth.people import CHANNELS
from growth.synth.places import SCENES, SINGLE_PAGE_KEY

if TYPE_CHECKING:
    import pyarrow as pa

    from growth.synth.base import Floats, Ints
    from growth.synth.events import Shares
    from growth.synth.journey import Sessions, Trips
    from growth.synth.people import People

__all__ = ["Daily", "official_table", "spend_table"]

SINGLE_PAGE_RATE: Final = 0.04  # of sessions: opened in Moments, scene 1154, no login
RETAIN_DAYS: Final = (0, 1, 2, 3, 4, 5, 6, 7, 14, 30)
REPULLED_DAY: Final = 9
APP_ID: Final = "wx0000000000sample"
KEYS: Final = tuple(dict.fromkeys([*(s.key for s in SCENES), SINGLE_PAGE_KEY]))
PAID_CHANNELS: Final = ("moments_ads", "oa_advertorial", "kol")
CLICK_FEN: Final = (120, 60, 230)
USERS_PER_CLICK: Final = (0.08, 0.15, 0.10)
VIEWS_PER_CLICK: Final = 40


@dataclass(slots=True)
class Daily:
    """Sums by day over all shards; users of shards are disjoint, so they add."""

    days: int
    monday: int  # the log's first Monday; weeks start there
    sums: dict[str, Floats] = field(default_factory=dict)

    @property
    def weeks(self) -> range:
        """First days of the whole weeks in the log."""
        return range(self.monday, self.days - 6, 7)

    def _add(self, name: str, values: Floats) -> None:
        self.sums[name] = self.sums.get(name, 0) + values

    def add(self, who: People, visit: Sessions, trip: Trips, shares: Shares) -> None:
        """Add one shard's sessions.

        Parameters
        ----------
        who, visit, trip, shares : People, Sessions, Trips, Shares
            The shard.
        """
        days, day = self.days, visit.day
        pages = 1 + (visit.home & trip.item) + trip.member + (trip.level >= 2)
        for name, weight in (
            ("sessions", None),
            ("views", pages),
            ("stay_ms", trip.end_ms - 100),
            ("new", visit.opening),
        ):
            self._add(name, np.bincount(day, weight, days).astype(float))
        there = np.zeros((who.n, days), dtype=np.float32)
        there[visit.user, day] = 1
        opening = np.flatnonzero(visit.opening)
        joined = np.full(who.n, -1)
        joined[visit.user[opening]] = day[opening]
        fresh = there * (joined[:, None] == np.arange(days))
        self._add("both", (there.T @ there).astype(float))
        self._add("new_both", (fresh.T @ there).astype(float))
        weeks = [there[:, d : d + 7].any(axis=1).sum() for d in self.weeks]
        self._add("week", np.array(weeks, dtype=float))
        key = np.array([KEYS.index(s.key) for s in SCENES])[visit.scene]
        source = np.bincount(key * days + day, minlength=len(KEYS) * days)
        self._add("source", source.reshape(len(KEYS), days).astype(float))
        sent = visit.day[shares.session]
        self._add("share_pv", np.bincount(sent, minlength=days).astype(float))
        pair = np.unique(visit.user[shares.session] * days + sent)
        self._add("share_uv", np.bincount(pair % days, minlength=days).astype(float))
        channel = who.channel[visit.user[opening]]
        flat = np.bincount(
            channel * days + day[opening], minlength=len(CHANNELS) * days
        )
        self._add("channel", flat.reshape(len(CHANNELS), days).astype(float))
        old = float((who.first_ms < 0).sum())
        self._add("before", np.array([old]))


Rows = list[
    tuple[str, str, int, str, int, float]
]  # api, period, day, metric, key, value


def official_table(
    rng: np.random.Generator, daily: Daily, begun: date
) -> tuple[pa.Table, dict[str, object]]:
    """Return `official_daily`, and why it differs from the events.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the draws come from.
    daily : Daily
        Sums over all shards.
    begun : datetime.date
        First day of the log.

    Returns
    -------
    table : pyarrow.Table
        Datacube's figures, long; one day was pulled twice, first too early.
    truth : dict of str to object
        ``extra_sessions`` a day and their cause: visits by scene 1154, which has no
        login, are in the official counts and can be in no event of ours.
    """
    sums, days = daily.sums, daily.days
    extra = rng.poisson(SINGLE_PAGE_RATE * sums["sessions"])
    total = sums["before"][0] + np.cumsum(sums["new"])
    sessions = sums["sessions"] + extra
    views = sums["views"] + extra
    users = np.diag(sums["both"]) + extra
    scalar = {
        ("getDailySummary", "visit_total"): total,
        ("getDailySummary", "share_pv"): sums["share_pv"],
        ("getDailySummary", "share_uv"): sums["share_uv"],
        ("getDailyVisitTrend", "session_cnt"): sessions,
        ("getDailyVisitTrend", "visit_pv"): views,
        ("getDailyVisitTrend", "visit_uv"): users,
        ("getDailyVisitTrend", "visit_uv_new"): sums["new"],
        ("getDailyVisitTrend", "stay_time_uv"): _share(sums["stay_ms"] / 1000, users),
        ("getDailyVisitTrend", "stay_time_session"): _share(
            sums["stay_ms"] / 1000, sessions
        ),
        ("getDailyVisitTrend", "visit_depth"): _share(views, sessions),
    }
    rows: Rows = [
        (api, "day", day, metric, -1, float(value))
        for (api, metric), values in scalar.items()
        for day, value in enumerate(values)
    ]
    for metric, cell in (("visit_uv_new", "new_both"), ("visit_uv", "both")):
        rows += [
            ("getDailyRetain", "day", day, metric, k, float(sums[cell][day, day + k]))
            for day in range(days)
            for k in RETAIN_DAYS
            if day + k < days
        ]
    source = sums["source"].copy()
    source[KEYS.index(SINGLE_PAGE_KEY)] += extra
    rows += [
        ("getVisitDistribution", "day", day, "access_source_session_cnt", key, value)
        for number, key in enumerate(KEYS)
        for day, value in enumerate(source[number].tolist())
        if value
    ]
    for number, day in enumerate(daily.weeks):
        week = slice(day, day + 7)
        for metric, value in (
            ("visit_uv", sums["week"][number] + extra[week].sum()),
            ("visit_uv_new", sums["new"][week].sum()),
        ):
            rows.append(("getWeeklyVisitTrend", "week", day, metric, -1, float(value)))
    truth = {
        "cause": "single_page_scene_1154",
        "differs": ["session_cnt", "visit_pv", "visit_uv", "access_source_session_cnt"],
        "key": SINGLE_PAGE_KEY,
        "extra_sessions": extra.tolist(),
        "extra_rate": SINGLE_PAGE_RATE,
        "repulled_ds": (begun + timedelta(days=REPULLED_DAY)).isoformat(),
    }
    return _long(rows, begun), truth


def _share(part: Floats, whole: Floats) -> Floats:
    share: Floats = np.round(part / np.maximum(whole, 1), 4)
    return share


def _long(rows: Rows, begun: date) -> pa.Table:
    early = [
        (api, period, day, metric, key, float(int(value * 0.6)))
        for api, period, day, metric, key, value in rows
        if api == "getDailyVisitTrend" and day == REPULLED_DAY
    ]
    both = [*early, *rows]
    api, period, day, metric, key, value = zip(*both, strict=True)
    names = [tuple(dict.fromkeys(column)) for column in (api, period, metric)]
    ds = np.array(day) + (begun - date(1970, 1, 1)).days
    length = np.where(np.array(period) == "week", 7, 1)
    pulled = (ds + length) * DAY_MS - SHANGHAI_MS + 11 * 3_600_000
    pulled[: len(early)] -= 3 * 3_600_000
    keys = tuple(str(k) for k in sorted(set(key) - {-1}))
    return table(
        {
            "app_id": Coded(np.zeros(len(both), int), (APP_ID,)),
            "api": Coded(np.array([names[0].index(a) for a in api]), names[0]),
            "period": Coded(np.array([names[1].index(p) for p in period]), names[1]),
            "ds": ds,
            "metric": Coded(np.array([names[2].index(m) for m in metric]), names[2]),
            "key": Coded(
                np.array([keys.index(str(k)) if k >= 0 else -1 for k in key]), keys
            ),
            "value": np.array(value),
            "pulled_ts": pulled,
        }
    )


def spend_table(
    rng: np.random.Generator, daily: Daily, begun: date
) -> tuple[pa.Table, dict[str, object]]:
    """Return `channel_spend` of the paid channels, and what a new user cost.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the draws come from.
    daily : Daily
        Sums over all shards: new users by channel.
    begun : datetime.date
        First day of the log.

    Returns
    -------
    table : pyarrow.Table
        One row a day and channel; every click costs the same.
    truth : dict of str to object
        By channel the price of a click, the planted share of clicks that become
        users, and totals.
    """
    rows: list[Ints] = []
    truth: dict[str, object] = {}
    for number, name in enumerate(PAID_CHANNELS):
        new = daily.sums["channel"][CHANNELS.index(name)].astype(np.int64)
        rate = USERS_PER_CLICK[number]
        missed = np.where(
            new > 0,
            rng.negative_binomial(np.maximum(new, 1), rate),
            rng.poisson(3, len(new)),
        )
        clicks = new + missed
        spend = clicks * CLICK_FEN[number]
        views = clicks * VIEWS_PER_CLICK + rng.poisson(clicks + 1)
        day = np.arange(len(new)) + (begun - date(1970, 1, 1)).days
        rows.append(
            np.stack([day, np.full(len(new), number), spend, views, clicks], axis=1)
        )
        truth[name] = {
            "click_fen": CLICK_FEN[number],
            "users_per_click": rate,
            "spend_fen": int(spend.sum()),
            "new_users": int(new.sum()),
        }
    whole = np.concatenate(rows)
    whole = whole[np.lexsort((whole[:, 1], whole[:, 0]))]
    campaigns = tuple(f"launch_{name}" for name in PAID_CHANNELS)
    return table(
        {
            "ds": whole[:, 0],
            "channel": Coded(whole[:, 1], PAID_CHANNELS),
            "campaign_id": Coded(whole[:, 1], campaigns),
            "spend_fen": whole[:, 2],
            "impressions": whole[:, 3],
            "clicks": whole[:, 4],
        }
    ), truth
