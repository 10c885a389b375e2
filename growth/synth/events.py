"""What the app logs while the sample's users move through their sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from growth.synth.base import DAY_MS, MISSING, Coded, hex_ids
from growth.synth.eventlog import EventLog
from growth.synth.people import CHANNELS
from growth.synth.places import GROUPS, PAGE_RPX, PAGES, PRODUCTS, SCENES
from growth.synth.tapping import (
    DEVICES,
    HOME,
    ITEM,
    NO_SCROLL_RATE,
    RAGE,
    SCROLL_RPX,
    Element,
    boxes,
    gather,
    land,
    rage_runs,
)
from growth.synth.trials import EXPOSED_MS, HOME_LAYOUT, TRIALS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from growth.synth.base import Bools, Ids, Ints
    from growth.synth.journey import Sessions, Trips
    from growth.synth.people import People
    from growth.synth.trials import Tested

__all__ = ["Shares", "opens", "write_events"]

ERROR_RATE: Final = 0.004  # of page views
COLD_START_RATE: Final = 0.30  # of cold launches that report their time
OPEN_MS: Final = 620.0
OPEN_SIGMA: Final = 0.45
SLOW_ANDROID: Final = 1.15
WATERFALL_SLOWER: Final = 0.01
BANNER_SHIFT: Final = -0.10  # of taps on the banner a home view, under waterfall
BLANK_TAPS: Final = 0.15  # a view
MAX_CARD: Final = 7
LIST_ROW_RPX: Final = 260.0
WATERFALL_ROW_RPX: Final = 460.0
SHARE_LIFE_MS: Final = 3 * DAY_MS
ASKED_MS: Final = 800  # from payment to the question
OPEN_RATE: Final = 0.15  # of later sessions by chat that come by a card
METRICS: Final = ("page_open_ms", "cold_start_ms", "accepted")
METHODS: Final = ("message",)
ELEMENTS: Final = tuple(e.name for e in (*HOME, *ITEM))
HOME_PAGE, ITEM_PAGE, CHECKOUT_PAGE, MEMBER_PAGE = range(4)


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """Share cards sent, and the sessions that opened one."""

    share_id: Ids
    session: Ints  # that sent it
    at_ms: Ints
    opened: Ints  # card that each session opened, -1 none

    def to_truth(self, visit: Sessions, end_ms: int) -> dict[str, int]:
        """Count what came of them; a card is mature after 7 days."""
        hit = np.flatnonzero(self.opened >= 0)
        mature = self.at_ms + 7 * DAY_MS <= end_ms
        seen = np.zeros(len(self.session), bool)
        seen[self.opened[hit]] = True
        return {
            "cards": len(self.session),
            "opens": len(hit),
            "cards_opened": int(seen.sum()),
            "mature_cards": int(mature.sum()),
            "mature_cards_opened": int((mature & seen).sum()),
            "new_users_brought": int(visit.opening[hit].sum()),
        }


def opens(rng: np.random.Generator, visit: Sessions, trip: Trips) -> Shares:
    """Draw who opens whose share card.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the draws come from.
    visit : Sessions
        Sessions; those that come by chat open a card of the last three days.
    trip : Trips
        What they do; who shares.

    Returns
    -------
    Shares
        Nobody opens his own card.
    """
    sent = np.flatnonzero(trip.shared)
    at = visit.start_ms[sent] + trip.second_ms[sent] + 1_200
    order = np.argsort(at, kind="stable")
    sent, at = sent[order], at[order]
    opened = np.full(visit.n, -1)
    chat = np.array([s.group == "chat_share" for s in SCENES])[visit.scene]
    came = np.flatnonzero(chat)
    low = np.searchsorted(at, visit.start_ms[came] - SHARE_LIFE_MS)
    high = np.searchsorted(at, visit.start_ms[came])
    card = low + (rng.random(len(came)) * (high - low)).astype(np.int64)
    there = high > low
    there &= visit.opening[came] | (rng.random(len(came)) < OPEN_RATE)
    came, card = came[there], card[there]
    other = visit.user[sent[card]] != visit.user[came]
    opened[came[other]] = card[other]
    return Shares(hex_ids(rng, len(sent)), sent, at, opened)


def write_events(
    rng: np.random.Generator,
    who: People,
    visit: Sessions,
    trip: Trips,
    tested: Sequence[Tested],
    shares: Shares,
    order_id: tuple[Ids, Ints],
) -> EventLog:
    """Log every event of the sessions.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the draws come from.
    who, visit, trip : People, Sessions, Trips
        Users, their sessions, what they do.
    tested : sequence of Tested
        The experiments.
    shares : Shares
        Cards sent and opened.
    order_id : tuple of two ndarrays
        Ids of the orders created, and the one of each session (-1: none).

    Returns
    -------
    EventLog
        Not yet in order.
    """
    words: dict[str, Sequence[str] | Ids] = {
        "page_path": PAGES,
        "referrer_path": PAGES,
        "element_id": ELEMENTS,
        "share_id": shares.share_id,
        "share_from": who.user_id,
        "share_method": METHODS,
        "group_id": who.group_id,
        "exp_id": tuple(trial.name for trial in TRIALS),
        "variant": tuple(arm for trial in TRIALS for arm in trial.arms),
        "metric": METRICS,
        "order_id": order_id[0],
        "product_id": PRODUCTS,
    }
    log = EventLog(words)
    scribe = _Scribe(rng, log, who, visit, trip)
    scribe.lifecycle()
    scribe.pages(_in_arm(tested, visit))
    scribe.purchase(order_id[1])
    scribe.sharing(shares)
    scribe.taps(_in_arm(tested, visit))
    for number, test in enumerate(tested):
        _expose(log, visit, trip, test, number)
    return log


def _in_arm(tested: Sequence[Tested], visit: Sessions) -> Bools:
    """Return which sessions show the waterfall."""
    home = next(test for test in tested if test.trial is HOME_LAYOUT)
    shown: Bools = home.inside & (home.arm[visit.user] == 1)
    return shown


def _expose(
    log: EventLog, visit: Sessions, trip: Trips, test: Tested, number: int
) -> None:
    rows = test.session
    at = visit.start_ms[rows] + trip.first_ms[rows] + EXPOSED_MS
    page = np.where(visit.home[rows], HOME_PAGE, ITEM_PAGE)
    arm = 2 * number + test.arm[visit.user[rows]]
    log.add("exp_exposure", rows, at, exp_id=number, variant=arm, page_path=page)


class _Scribe:
    """Adds the blocks of one shard to its log."""

    def __init__(
        self,
        rng: np.random.Generator,
        log: EventLog,
        who: People,
        visit: Sessions,
        trip: Trips,
    ) -> None:
        self.rng, self.log = rng, log
        self.who, self.visit, self.trip = who, visit, trip
        self.all = np.arange(visit.n)
        win = np.array([(d.win_w, d.win_h) for d in DEVICES], dtype=float)
        self.win_w, self.win_h = win[who.device[visit.user]].T

    def add(self, event: str, where: Bools, offset: Ints, **columns: Any) -> None:  # noqa: ANN401
        """Log `event` in the sessions where `where`; arrays are by session."""
        rows = np.flatnonzero(where)
        picked = {
            name: values[rows] if isinstance(values, np.ndarray) else values
            for name, values in columns.items()
        }
        self.log.add(event, rows, self.visit.start_ms[rows] + offset[rows], **picked)

    def lifecycle(self) -> None:
        """Log launches, the welcome steps, logins, reviews and hides."""
        visit, trip = self.visit, self.trip
        zero = np.zeros(visit.n, np.int64)
        every = np.ones(visit.n, bool)
        self.add("app_launch", visit.cold, zero)
        self.add("app_show", every, zero + 100)
        for number, name in enumerate(("register", "profile_done", "coupon_claimed")):
            self.add(name, trip.welcome >= number, trip.welcome_ms[:, number])
        self.add("login", trip.login, zero + 400)
        self.add("app_hide", every, trip.end_ms, dur_ms=trip.end_ms - 100)
        self.add("review", trip.review, trip.second_ms + 1_500, page_path=MEMBER_PAGE)
        android = np.array([d.platform == "android" for d in DEVICES])
        slow = 1.3 * android[self.who.device[visit.user]] + 1.0
        cold_ms = 900 * slow * np.exp(0.35 * self.rng.normal(size=visit.n))
        told = visit.cold & (self.rng.random(visit.n) < COLD_START_RATE)
        self.add(
            "perf", told, zero + 500, metric="cold_start_ms", value=cold_ms.round(1)
        )

    def pages(self, waterfall: Bools) -> None:
        """Log page views and leaves, open times, scrolls and errors."""
        visit, trip, rng = self.visit, self.trip, self.rng
        home, item = visit.home, trip.item
        onward = item | trip.member
        pays = trip.level >= 2
        checkout = trip.step_ms[:, 2]
        leaves = np.where(onward, trip.second_ms, trip.end_ms)
        self._page(HOME_PAGE, home, trip.first_ms, leaves)
        leaves = np.where(pays, checkout, trip.end_ms)
        extra = {"product_id": trip.product}
        self._page(ITEM_PAGE, item, trip.second_ms, leaves, from_home=home, **extra)
        self._page(
            MEMBER_PAGE, trip.member, trip.second_ms, trip.end_ms, from_home=home
        )
        self._page(CHECKOUT_PAGE, pays, checkout, trip.end_ms)
        android = np.array([d.platform == "android" for d in DEVICES])
        slow = np.where(android[self.who.device[visit.user]], SLOW_ANDROID, 1.0)
        slow *= np.where(waterfall, 1 + WATERFALL_SLOWER, 1.0)
        open_ms = OPEN_MS * slow * np.exp(OPEN_SIGMA * rng.normal(size=visit.n))
        self.add(
            "perf",
            home,
            trip.first_ms + 20,
            page_path=HOME_PAGE,
            metric="page_open_ms",
            value=open_ms.round(1),
        )

    def _page(
        self,
        page: int,
        where: Bools,
        view: Ints,
        leave: Ints,
        *,
        from_home: Bools | None = None,
        **extra: NDArray[Any],
    ) -> None:
        rng, n = self.rng, self.visit.n
        before: Any = -1
        if from_home is not None:
            before = np.where(from_home, HOME_PAGE, -1)
        elif page == CHECKOUT_PAGE:
            before = ITEM_PAGE
        stay = leave - view - 1
        self.add(
            "page_view", where, view, page_path=page, referrer_path=before, **extra
        )
        self.add("page_leave", where, leave - 1, page_path=page, dur_ms=stay)
        failed = where & (rng.random(n) < ERROR_RATE)
        self.add("error", failed, view + 50, page_path=page)
        if page not in (HOME_PAGE, ITEM_PAGE):
            return
        moved = where & (rng.random(n) >= NO_SCROLL_RATE)
        scale = self.win_w / 750
        room = np.maximum(PAGE_RPX[page] * scale - self.win_h, 0)
        depth = np.minimum(rng.exponential(SCROLL_RPX, n) * scale, room).round()
        at = view + (0.6 * stay).astype(np.int64)
        self.add("scroll", moved, at, page_path=page, scroll_y_px=depth)

    def purchase(self, order: Ints) -> None:
        """Log the walk from cart to payment, favourites, subscription prompts."""
        trip = self.trip
        item = {"product_id": trip.product}
        self.add(
            "favorite",
            trip.favorite,
            trip.second_ms + 1_000,
            page_path=ITEM_PAGE,
            **item,
        )
        steps = ("add_to_cart", "checkout", "order_create", "order_pay")
        for number, name in enumerate(steps, start=1):
            page = ITEM_PAGE if number == 1 else CHECKOUT_PAGE
            more: dict[str, Any] = {"value_fen": trip.paid_fen} if number > 2 else {}
            more |= {"order_id": order} if number > 2 else item
            at = trip.step_ms[:, number]
            self.add(name, trip.level >= number, at, page_path=page, **more)
        self.add(
            "subscribe_result",
            trip.asked >= 0,
            trip.step_ms[:, 4] + ASKED_MS,
            page_path=CHECKOUT_PAGE,
            metric="accepted",
            value=trip.asked.astype(float),
        )

    def sharing(self, shares: Shares) -> None:
        """Log cards sent and opened."""
        sender = self.visit.user[shares.session]
        self.log.add(
            "share_intent",
            shares.session,
            shares.at_ms,
            share_id=np.arange(len(sender)),
            share_method="message",
            group_id=self.who.group[sender],
            page_path=ITEM_PAGE,
            product_id=self.trip.product[shares.session],
        )
        came = np.flatnonzero(shares.opened >= 0)
        card = shares.opened[came]
        depth = 1 + (self.who.channel[sender] == CHANNELS.index("share"))
        self.log.add(
            "share_open",
            came,
            self.visit.start_ms[came] + 150,
            share_id=card,
            share_from=sender[card],
            share_depth=depth[card],
            group_id=self.who.group[sender[card]],
        )

    def taps(self, waterfall: Bools) -> None:
        """Log impressions and taps on home and item pages."""
        visit, trip = self.visit, self.trip
        rates = np.tile([e.tap_rate for e in HOME], (visit.n, 1))
        names = [e.name for e in HOME]
        rates[:, names.index("banner_main")] += np.where(waterfall, BANNER_SHIFT, 0.0)
        rates[:, names.index("card")] = trip.item  # the tap that leads to the item
        leaves = np.where(trip.item | trip.member, trip.second_ms, trip.end_ms)
        seen: tuple[int, ...] = (1, 2, 3)
        self._tap(
            HOME_PAGE, HOME, visit.home, rates, trip.first_ms, leaves, seen, waterfall
        )
        rates = np.tile([e.tap_rate for e in ITEM], (visit.n, 1))
        names = [e.name for e in ITEM]
        rates[:, names.index("btn_add_cart")] = trip.level >= 1
        pays = trip.level >= 2
        leaves = np.where(pays, trip.step_ms[:, 2], trip.end_ms)
        seen = (1, 2, 4, 5)
        self._tap(ITEM_PAGE, ITEM, trip.item, rates, trip.second_ms, leaves, seen)

    def _tap(
        self,
        page: int,
        elements: tuple[Element, ...],
        where: Bools,
        rates: NDArray[np.float64],
        view: Ints,
        leave: Ints,
        seen: tuple[int, ...],
        waterfall: Bools | None = None,
    ) -> None:
        rng, visit = self.rng, self.visit
        base = ELEMENTS.index(elements[0].name)
        rows = np.flatnonzero(where)
        begun = visit.start_ms + view
        for number in seen:
            at = begun[rows] + 200 + 40 * number
            self.log.add(
                "impression", rows, at, element_id=base + number, page_path=page
            )
        pick, on = np.nonzero(rng.random((len(rows), len(elements))) < rates[rows])
        session = rows[pick]
        room = np.maximum(leave[session] - view[session] - 900, 200)
        late = 600 + (rng.random(len(session)) * room).astype(np.int64)
        names = [e.name for e in elements]
        if "card" in names:
            late = np.where(on == names.index("card"), room + 850, late)
        else:
            carted = self.trip.step_ms[session, 1] - view[session] - 1
            late = np.where(on == names.index("btn_add_cart"), carted, late)
        angry = names.index(RAGE) if RAGE in names else -1
        hit = np.flatnonzero(on == angry)
        run, since = rage_runs(rng, len(hit))
        calm = np.flatnonzero(on != angry)
        order = np.concatenate([calm, hit[run]])
        late = late[order]
        late[len(calm) :] += since
        session, on = session[order], on[order]
        fixed = np.array([e.fixed for e in elements])[on]
        window = (self.win_w[session], self.win_h[session])
        box = boxes(elements)[on]
        index = np.full(len(on), MISSING)
        if waterfall is not None:
            card = np.flatnonzero(on == names.index("card"))
            box[card], index[card] = _cards(rng, waterfall[session[card]])
        spot = land(rng, box, fixed, *window, PAGE_RPX[page])
        spot = gather(spot, rng, np.concatenate([np.full(len(calm), -1), run]))
        self.log.add(
            "tap",
            session,
            begun[session] + late,
            page_path=page,
            element_id=base + on,
            element_index=index,
            x_px=spot.x,
            y_px=spot.y,
            client_y_px=spot.client_y,
            scroll_y_px=spot.scroll_y,
        )
        self._blank(page, rows, begun, leave - view)

    def _blank(self, page: int, rows: Ints, begun: Ints, stay: Ints) -> None:
        """Log taps on nothing, anywhere in the first window."""
        rng = self.rng
        session = np.repeat(rows, rng.poisson(BLANK_TAPS, len(rows)))
        n = len(session)
        x = (rng.random(n) * self.win_w[session]).astype(np.float32)
        y = (rng.random(n) * self.win_h[session]).astype(np.float32)
        at = begun[session] + 500 + (rng.random(n) * stay[session] * 0.8).astype(int)
        self.log.add(
            "tap",
            session,
            at,
            page_path=page,
            x_px=x,
            y_px=y,
            client_y_px=y,
            scroll_y_px=np.zeros(n, np.float32),
        )


def _cards(
    rng: np.random.Generator, waterfall: Bools
) -> tuple[NDArray[np.float64], Ints]:
    """Draw which card is tapped: one a row in the list, two in the waterfall."""
    n = len(waterfall)
    index = np.minimum(rng.geometric(0.4, n) - 1, MAX_CARD)
    low = HOME[3]
    row = np.where(waterfall, index // 2, index)
    box = np.empty((n, 4))
    box[:, 0] = low.left + np.where(waterfall, 360.0 * (index % 2), 0)
    box[:, 1] = low.top + row * np.where(waterfall, WATERFALL_ROW_RPX, LIST_ROW_RPX)
    box[:, 2] = np.where(waterfall, 330.0, low.width)
    box[:, 3] = np.where(waterfall, 440.0, low.height)
    return box, index


def session_columns(
    who: People, visit: Sessions, session_id: Ids, days: int
) -> dict[str, Any]:
    """Return the columns that every event takes from its session.

    Parameters
    ----------
    who, visit : People, Sessions
        Users and sessions.
    session_id : ndarray of bytes, shape (n,)
        Ids of the sessions.
    days : int
        Days of the log.

    Returns
    -------
    dict of str to array or Coded
        By canonical column.
    """
    user = visit.user
    device = who.device[user]
    release = np.where(visit.day < days // 2, 0, 1)
    platforms = tuple(dict.fromkeys(d.platform for d in DEVICES))
    kind = np.array([platforms.index(d.platform) for d in DEVICES])
    group = np.array([GROUPS.index(s.group) for s in SCENES])
    scene = np.array([s.scene for s in SCENES], dtype=np.int16)
    return {
        "user_id": Coded(user, who.user_id),
        "session_id": Coded(np.arange(visit.n), session_id),
        "device_id": Coded(user, who.device_id),
        "app_version": Coded(release, ("3.4.0", "3.5.1")),
        "platform": Coded(kind[device], platforms),
        "device_model": Coded(device, tuple(d.model for d in DEVICES)),
        "device_level": np.array([d.level for d in DEVICES], dtype=np.int8)[device],
        "scene": scene[visit.scene],
        "entry_group": Coded(group[visit.scene], GROUPS),
        "win_w_px": np.array([d.win_w for d in DEVICES], dtype=float)[device],
        "win_h_px": np.array([d.win_h for d in DEVICES], dtype=float)[device],
    }
