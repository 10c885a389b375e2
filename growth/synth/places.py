"""Where sessions start: scenes, entry groups, first pages; what is on sale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from growth.synth.people import CHANNELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from growth.synth.base import Bools, Ints

__all__ = ["SCENES", "draw_scene"]


class Scene(NamedTuple):
    """A scene of data/reference/wechat_scenes.csv, and datacube's key for it."""

    scene: int
    group: str
    key: int


SCENES: Final = (
    Scene(1005, "search", 2),
    Scene(1053, "search", 2),
    Scene(1035, "official_account", 13),
    Scene(1058, "official_account", 18),
    Scene(1089, "recent_pulldown", 29),
    Scene(1001, "recent_pulldown", 1),
    Scene(1007, "chat_share", 3),
    Scene(1008, "chat_share", 3),
    Scene(1011, "scan_code", 4),
    Scene(1047, "scan_code", 4),
    Scene(1014, "message_push", 11),
    Scene(1045, "ads", 33),
    Scene(1067, "ads", 33),
    Scene(1037, "mini_program_jump", 22),
    Scene(1023, "favorite_float_desktop", 7),
    Scene(1131, "favorite_float_desktop", 43),
    Scene(1034, "payment_wallet", 15),
    Scene(1177, "channels", 10),
    Scene(1026, "nearby_offline", 9),
)
SINGLE_PAGE_KEY: Final = 46  # Moments, scene 1154: no login, so no event of ours
GROUPS: Final = tuple(dict.fromkeys(scene.group for scene in SCENES))
# P(entry group) of a first session by channel, and of any later session.
FIRST_ENTRY: Final = {
    "organic": {
        "search": 0.50,
        "scan_code": 0.25,
        "nearby_offline": 0.10,
        "mini_program_jump": 0.15,
    },
    "share": {"chat_share": 1.0},
    "moments_ads": {"ads": 1.0},
    "oa_advertorial": {"official_account": 1.0},
    "kol": {"channels": 1.0},
}
LATER_ENTRY: Final = {
    "recent_pulldown": 0.36,
    "search": 0.16,
    "official_account": 0.12,
    "chat_share": 0.08,
    "message_push": 0.08,
    "favorite_float_desktop": 0.10,
    "scan_code": 0.06,
    "payment_wallet": 0.04,
}
# P(the session opens on an item page, not on home).
DIRECT_RATE: Final = {"chat_share": 0.50, "scan_code": 0.40, "message_push": 0.30}
PAGES: Final = (
    "pages/home/index",
    "pages/item/detail",
    "pages/checkout/index",
    "pages/member/index",
)
PAGE_RPX: Final = (3_200.0, 2_400.0, 1_500.0, 1_800.0)
CATEGORIES: Final = ("水果", "乳品", "零食", "茶饮")
PRODUCTS: Final = tuple(f"p{number:03d}" for number in range(1, 41))


def _chances(shares: dict[str, float]) -> NDArray[np.float64]:
    """Return P(scene) from P(entry group): scenes of a group share alike."""
    size = {g: sum(s.group == g for s in SCENES) for g in GROUPS}
    return np.array([shares.get(s.group, 0.0) / size[s.group] for s in SCENES])


def draw_scene(rng: np.random.Generator, first: Bools, channel: Ints) -> Ints:
    """Draw the scene of each session.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the draws come from.
    first : ndarray of bool, shape (n,)
        Whether it is a new user's first session.
    channel : ndarray of int, shape (n,)
        The user's channel.

    Returns
    -------
    ndarray of int, shape (n,)
        Positions in `SCENES`.
    """
    rows = [_chances(LATER_ENTRY), *(_chances(FIRST_ENTRY[name]) for name in CHANNELS)]
    edges = np.cumsum(rows, axis=1)[:, :-1]
    row = np.where(first, channel + 1, 0)
    drawn: Ints = (rng.random((len(row), 1)) >= edges[row]).sum(axis=1)
    return drawn
