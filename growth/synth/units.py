"""Units in arms, and unit tables whose effects are known."""

from __future__ import annotations

from datetime import date
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from growth.errors import ParameterError
from growth.synth.base import Coded, Piece, hex_ids, need, stream, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from growth.synth.base import Ids

__all__ = ["arm_of", "bucket", "experiment"]

PLATFORMS = ("android", "ios", "ohos")
PLATFORM_SHARES = (0.55, 0.38, 0.07)


def bucket(ids: Ids, *, layer: str, salt: str) -> NDArray[np.float64]:
    """Return each unit's place in [0, 1): the hash that assignment uses.

    Parameters
    ----------
    ids : ndarray of bytes, shape (n,)
        Pseudonyms.
    layer, salt : str
        What makes two experiments independent of each other.

    Returns
    -------
    ndarray of float64, shape (n,)
        The first 13 hex digits of ``sha256(layer, U+001F, salt, U+001F, unit)``
        over 2**52.
    """
    head = f"{layer}\x1f{salt}\x1f".encode()
    digits = (int(sha256(head + unit).hexdigest()[:13], 16) for unit in ids.tolist())
    return np.fromiter(digits, dtype=np.float64, count=len(ids)) / 2**52


def arm_of(
    place: NDArray[np.float64], weights: Mapping[str, float]
) -> NDArray[np.int8]:
    """Return the number of the arm that owns each place in [0, 1).

    Raises
    ------
    ParameterError
        If a weight is negative or none is positive (code ``bad_weights``).
    """
    share = np.asarray(list(weights.values()), dtype=float)
    if not len(share) or (share < 0).any() or not share.sum() > 0:
        msg = f"arms is {dict(weights)}; weights must be >= 0, one above 0; correct it."
        raise ParameterError(msg, code="bad_weights")
    edges = np.cumsum(share / share.sum())[:-1]
    return np.searchsorted(edges, place, side="right").astype(np.int8)


def experiment(
    *,
    seed: int,
    units: int = 10_000,
    arms: Mapping[str, float] | None = None,
    lift: Mapping[str, float] | None = None,
    pay_rate: float = 0.12,
    mean_fen: float = 12_000.0,
    correlation: float = 0.6,
    days: int = 28,
    start: date = date(2026, 2, 1),
    null_rate: float = 0.0,
    lost: Mapping[str, float] | None = None,
) -> Piece:
    """Make a unit table whose effects are known exactly.

    Parameters
    ----------
    seed : int
        0 or more.
    units : int, default 10_000
        Units before any is lost.
    arms : mapping of str to float, optional
        Weight per arm, the control first; control and treatment 1 : 1 if omitted.
    lift : mapping of str to float, optional
        Relative effect per arm on every metric, above -1; 0 if absent.
    pay_rate : float, default 0.12
        Share of control units that pay, in (0, 0.5].
    mean_fen : float, default 12_000
        Mean amount of a paying unit, in fen.
    correlation : float, default 0.6
        Of `score` with its covariate `pre_score`, in (-1, 1).
    days : int, default 28
        Days over which units are first exposed; more on the first days.
    start : datetime.date
        First of them.
    null_rate : float, default 0
        Share of units whose `score` is NULL, whatever the arm, in [0, 1).
    lost : mapping of str to float, optional
        Share of an arm's units that never reach the table: a broken split.

    Returns
    -------
    Piece
        `data`: ``unit_id, variant, exposure_ds, platform``, metrics ``paid`` (0/1),
        ``paid_fen``, ``score``, ``sessions``, ``orders`` (a ratio with sessions) and
        covariates ``pre_score``, ``pre_paid_fen``. `truth`: per arm the mean of each
        metric, the effect against the first arm, and the relative effect.

    Raises
    ------
    ParameterError
        If a number is out of range, or an arm is unknown (code ``unknown_arm``).

    Notes
    -----
    A unit pays with probability ``pay_rate * (1 + lift) * w``, where w has mean 1 and
    variance 1/3 over units; w also scales its pre-period spend. Scores are
    ``100 (1 + lift) + 20 e``, e and the covariate standard normal with the given
    correlation, so an adjusted variance is ``1 - correlation**2`` of the plain one.
    """
    arms = arms or {"control": 1, "treatment": 1}
    lift, lost = dict(lift or {}), dict(lost or {})
    if stray := sorted((lift.keys() | lost.keys()) - arms.keys()):
        msg = f"lift or lost names {stray}; arms are {list(arms)}; name one of those."
        raise ParameterError(msg, code="unknown_arm")
    need("units", units, 1)
    need("days", days, 1)
    need("pay_rate", pay_rate, 0, 0.5)
    need("correlation", correlation, -1, 1)
    need("null_rate", null_rate, 0, 1)
    up = np.array([lift.get(arm, 0.0) for arm in arms])
    need("lift", float(up.min()), -1, 1)
    rng = stream(seed, "experiment")
    ids = hex_ids(rng, units)
    arm = arm_of(bucket(ids, layer="synth", salt=str(seed)), arms)
    boost = 1 + up[arm]
    weight = 2 * rng.random(units)  # uniform on [0, 2): mean 1, variance 1/3
    chance = np.minimum(pay_rate * weight * boost, 1)
    paid = rng.random(units) < chance
    amount = rng.gamma(3.0, mean_fen / 3.0, units).round().astype(np.int64)
    before = rng.poisson(pay_rate * weight) * rng.gamma(3.0, mean_fen / 3.0, units)
    noise = rng.normal(size=(2, units))
    score = correlation * noise[0] + np.sqrt(1 - correlation**2) * noise[1]
    score = 100 * boost + 20 * score
    sessions = 1 + rng.poisson(3.0, units)
    kept = rng.random(units) >= np.array([lost.get(a, 0.0) for a in arms])[arm]
    unknown = rng.random(units) < null_rate
    age = np.minimum(rng.exponential(days / 4, units).astype(np.int64), days - 1)
    columns = {
        "unit_id": ids,
        "variant": arm,
        "exposure_ds": (start - date(1970, 1, 1)).days + age,
        "platform": rng.choice(len(PLATFORMS), units, p=PLATFORM_SHARES),
        "paid": paid.astype(np.int64),
        "paid_fen": np.where(paid, amount, 0),
        "score": np.where(unknown, np.nan, score),
        "sessions": sessions,
        "orders": rng.binomial(sessions, np.minimum(0.05 * boost, 1)),
        "pre_score": 50 + 10 * noise[0],
        "pre_paid_fen": before.round().astype(np.int64),
    }
    rows = {name: values[kept] for name, values in columns.items()}
    words = {"variant": tuple(arms), "platform": PLATFORMS}
    data = table({n: Coded(v, words[n]) if n in words else v for n, v in rows.items()})
    means = {
        "paid": pay_rate * (1 + up),
        "paid_fen": pay_rate * mean_fen * (1 + up),
        "score": 100 * (1 + up),
        "orders_per_session": 0.05 * (1 + up),
    }
    truth = {
        "arms": {name: float(w) for name, w in arms.items()},
        "means": {
            m: dict(zip(arms, v.tolist(), strict=True)) for m, v in means.items()
        },
        "effect": {
            m: dict(zip(arms, (v - v[0]).tolist(), strict=True))
            for m, v in means.items()
        },
        "lift": {
            m: float((1 + u) / (1 + up[0]) - 1) for m, u in zip(arms, up, strict=True)
        },
        "correlation": correlation,
        "null_rate": null_rate,
        "lost": lost,
        "layer": "synth",
        "salt": str(seed),
    }
    return Piece(data, truth, {})
