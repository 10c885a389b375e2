"""What draws a member's orders: one interface, four ways.

A generator hands the engines either rates to draw from or a tape of list prices, for
any run of members and any replication, keyed like every other draw.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, Protocol

import numpy as np

from growth.errors import ParameterError
from growth.tiers import keyed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from growth.tiers.population import Past

    Floats = NDArray[np.float64]
    Whole = NDArray[np.int64]

__all__ = [
    "BgNbdGammaGamma",
    "CellBootstrap",
    "Drawn",
    "Generator",
    "LastWindowRepeats",
    "Replay",
]

RECENCY: Final = (7, 14, 28, 56, 84, 112, 168, 252)  # days
MOST_FREQUENT: Final = 10  # purchase days and more, as one
QUARTILES: Final = (0.25, 0.5, 0.75)
FEWEST_DONORS: Final = 20
KNOTS: Final = np.arange(-40 * 32, 40 * 32 + 1) / 32
NOTHING: Final = np.zeros(1, np.float32)


class Drawn(NamedTuple):
    """What an engine needs of some members: rates, or a tape of list prices."""

    rate: Any
    dropout: Any
    scale: Any
    amounts: Any
    tape: Any
    tape_at: Any
    draws: bool
    recorded: bool = False


class Generator(Protocol):
    """What every generator can do."""

    @property
    def name(self) -> str:
        """A stable word: ``bgnbd``, ``bootstrap``, ``repeat``, ``replay``."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes it holds a population."""
        ...

    @property
    def uncertain(self) -> bool:
        """Whether its parameters are drawn anew in each replication."""
        ...

    def describe(self) -> dict[str, object]:
        """Return its parameters, in plain values."""
        ...

    def draw(
        self, first: int, last: int, *, start: int, end: int, seed: int,
        replication: int, fixed: bool,
    ) -> Drawn:  # fmt: skip
        """Return what members ``first .. last - 1`` do on days ``start .. end - 1``."""
        ...

    def newcomers(self, count: int) -> Generator:
        """Return the generator with so many newcomers behind its members."""
        ...

    def take(self, members: NDArray[np.int64]) -> Generator:
        """Return the generator of some members, by their numbers in rising order."""
        ...


@lru_cache(maxsize=64)
def amounts_of(shape: float) -> Floats:
    """Return Gamma(shape, 1) at the engines' even logits.

    Parameters
    ----------
    shape : float
        Above 0.

    Returns
    -------
    ndarray of float
        Read-only.
    """
    from scipy.special import gammainccinv, gammaincinv

    half = 1 / (1 + np.exp(np.abs(KNOTS)))
    low = gammaincinv(shape, half)
    found = np.where(KNOTS <= 0, low, gammainccinv(shape, half))
    found.flags.writeable = False
    return np.asarray(found)


class History(NamedTuple):
    """What BG/NBD and Gamma-Gamma know of each member, in days and fen."""

    x: NDArray[np.int32]
    t_x: NDArray[np.float32]
    t: NDArray[np.float32]
    orders: NDArray[np.int32]
    mean: NDArray[np.float32]

    def take(self, members: NDArray[np.int64]) -> History:
        """Return what is known of some members, by their numbers."""
        return History(
            self.x[members], self.t_x[members], self.t[members], self.orders[members],
            self.mean[members],
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class BgNbdGammaGamma:
    """Rates and spend a member, from the posterior of what that member did.

    `buying` is r, alpha, a, b in days, `spending` p, q, v in fen. `spread` holds the
    covariance of the seven logs (zeros where one is fixed): parameters are drawn from
    it once a replication. From priors, rates are drawn once and kept.
    """

    buying: tuple[float, float, float, float]
    spending: tuple[float, float, float]
    history: History | None = None
    kept: tuple[Any, Any, Any] | None = None
    spread: Floats | None = field(default=None, repr=False)
    fallback: bool = False
    newcomer_count: int = 0
    name: str = "bgnbd"

    @classmethod
    def from_priors(
        cls, members: int, *, buying: tuple[float, ...], spending: tuple[float, ...],
        seed: int,
    ) -> BgNbdGammaGamma:  # fmt: skip
        """Return members drawn once from the priors.

        Parameters
        ----------
        members : int
            How many.
        buying, spending : tuple of float
            Parameters, in days and fen.
        seed : int
            Of the draws.

        Returns
        -------
        BgNbdGammaGamma
            With rates kept.
        """
        made = cls(buying=buying, spending=spending, newcomer_count=members)  # type: ignore[arg-type]
        drawn = made.draw(
            0, members, start=0, end=0, seed=seed, replication=0, fixed=True
        )
        return cls(
            buying=buying, spending=spending, newcomer_count=members,  # type: ignore[arg-type]
            kept=(drawn.rate, drawn.dropout, drawn.scale),
        )  # fmt: skip

    @property
    def uncertain(self) -> bool:
        """Whether parameters have a spread."""
        return self.spread is not None and bool(np.any(self.spread))

    @property
    def nbytes(self) -> int:
        """Bytes it holds."""
        parts = [*(self.history or ()), *(self.kept or ())]
        return sum(part.nbytes for part in parts)

    def describe(self) -> dict[str, object]:
        """Return the parameters."""
        return {
            "name": self.name,
            "buying": list(self.buying),
            "spending": list(self.spending),
            "fallback": self.fallback,
        }

    def newcomers(self, count: int) -> BgNbdGammaGamma:
        """Return it with newcomers from the priors behind its members."""
        kept = self.kept
        if kept is not None:
            more = BgNbdGammaGamma.from_priors(
                count, buying=self.buying, spending=self.spending, seed=len(kept[0])
            ).kept
            assert more is not None
            rate, dropout, scale = (
                np.concatenate(pair) for pair in zip(kept, more, strict=True)
            )
            kept = (rate, dropout, scale)
        return BgNbdGammaGamma(
            buying=self.buying, spending=self.spending, history=self.history, kept=kept,
            spread=self.spread, fallback=self.fallback,
            newcomer_count=self.newcomer_count + count,
        )  # fmt: skip

    def take(self, members: NDArray[np.int64]) -> BgNbdGammaGamma:
        """Return it for some members only."""
        history, kept = self.history, self.kept
        past = 0 if history is None else len(history.x)
        known = members[members < past]
        return replace(
            self,
            history=None if history is None else history.take(known),
            kept=None if kept is None else tuple(part[members] for part in kept),
            newcomer_count=len(members) - len(known),
        )

    def parameters(
        self, seed: int, replication: int
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the parameters of one replication, drawn from their spread."""
        if not self.uncertain:
            return self.buying, self.spending
        assert self.spread is not None
        rng = np.random.default_rng([keyed.PARAMETERS, seed, replication])
        values = np.array([*self.buying, *self.spending])
        step = self.spread @ rng.standard_normal(len(values))
        moved = np.where(values > 0, values * np.exp(np.clip(step, -2, 2)), values)
        moved[5] = max(moved[5], 1.01)
        return tuple(moved[:4].tolist()), tuple(moved[4:].tolist())

    def draw(
        self, first: int, last: int, *, start: int, end: int, seed: int,
        replication: int, fixed: bool,
    ) -> Drawn:  # fmt: skip
        """Return rates: those kept, or drawn from each member's posterior."""
        del start, end
        from growth.tiers import kernels

        buying, spending = (
            (self.buying, self.spending)
            if fixed
            else self.parameters(seed, replication)
        )
        amounts = amounts_of(spending[0])
        none = np.zeros((0, 4), np.int64)
        at = np.zeros(last - first + 1, np.int64)
        if self.kept is not None:
            rate, dropout, scale = (part[first:last] for part in self.kept)
            return Drawn(rate, dropout, scale, amounts, none, at, draws=True)
        size = last - first
        seen = History(
            np.zeros(size, np.int32), np.zeros(size, np.float32),
            np.full(size, -1, np.float32), np.zeros(size, np.int32),
            np.zeros(size, np.float32),
        )  # fmt: skip
        if self.history is not None:
            known = max(0, min(last, len(self.history.x)) - first)
            for part, source in zip(seen, self.history, strict=True):
                part[:known] = source[first : first + known]
        out = [np.zeros(size, np.float32) for _ in range(3)]
        kernels.posterior(
            keyed.signed(seed), replication, first, np.array(buying, float),
            np.array(spending, float),
            *seen, *out,
        )  # fmt: skip
        rate, dropout, scale = out
        return Drawn(rate, dropout, scale, amounts, none, at, draws=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The orders that happened, as they were paid."""

    future: Past
    name: str = "replay"
    uncertain: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes it holds."""
        return self.future.nbytes

    def describe(self) -> dict[str, object]:
        """Return its name."""
        return {"name": self.name, "orders": len(self.future.day)}

    def newcomers(self, count: int) -> Replay:
        """Refuse: what happened knows no newcomers."""
        _no_priors(self.name, count)

    def take(self, members: NDArray[np.int64]) -> Replay:
        """Return it for some members only."""
        return replace(self, future=self.future.take(members))

    def draw(
        self, first: int, last: int, *, start: int, end: int, seed: int,
        replication: int, fixed: bool,
    ) -> Drawn:  # fmt: skip
        """Return the tape."""
        del start, end, seed, replication, fixed
        rows, at = self.future.events(first, last)
        return Drawn(
            NOTHING, NOTHING, NOTHING, KNOTS, rows, at, draws=False, recorded=True
        )


def _no_priors(name: str, count: int) -> NoReturn:
    msg = f"generator {name!r} cannot draw {count} newcomers; it must be 'bgnbd', which"
    msg = f"{msg} has priors; fit it and pass generator='bgnbd'."
    raise ParameterError(msg, code="no_priors")


@dataclass(frozen=True, slots=True, kw_only=True)
class LastWindowRepeats:
    """Every member does again what they did in the last window: the baseline."""

    past: Past
    as_of: int
    window: int = 84
    name: str = "repeat"
    uncertain: bool = False

    @property
    def nbytes(self) -> int:
        """Nothing of its own: it reads the past."""
        return 0

    def describe(self) -> dict[str, object]:
        """Return its window."""
        return {"name": self.name, "window_days": self.window}

    def newcomers(self, count: int) -> LastWindowRepeats:
        """Refuse: it has no priors."""
        _no_priors(self.name, count)

    def take(self, members: NDArray[np.int64]) -> LastWindowRepeats:
        """Return it for some members only."""
        return replace(self, past=self.past.take(members))

    def draw(
        self, first: int, last: int, *, start: int, end: int, seed: int,
        replication: int, fixed: bool,
    ) -> Drawn:  # fmt: skip
        """Return the last window, over and over."""
        del seed, replication, fixed
        rows, at = self.past.events(first, last)
        inside = (rows[:, 1] == 1) & (rows[:, 0] > self.as_of - self.window)
        who = np.repeat(np.arange(last - first), np.diff(at))[inside]
        day, fen = rows[inside, 0], rows[inside, 2]
        turns = range(1, -(-(end - start) // self.window) + 1)
        return as_tape(
            np.concatenate([who for _ in turns]),
            np.concatenate([day + k * self.window for k in turns]),
            np.concatenate([fen for _ in turns]),
            last - first, start, end,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Donors:
    """Past members and what they did in the window that followed."""

    cell: NDArray[np.int64]  # sorted; four levels of detail one after another
    who: NDArray[np.int64]
    at: NDArray[np.int64]  # where each donor's orders begin
    day: NDArray[np.int32]  # 0 .. window - 1
    fen: NDArray[np.int64]
    edges: Floats  # quartiles of mean spend
    nearest: Whole  # of each recency bin: the bin of donors nearest to it


@dataclass(frozen=True, slots=True, kw_only=True)
class CellBootstrap:
    """A member takes the whole next window of a past member in the same cell."""

    donors: Donors
    recency: NDArray[np.int32]
    frequency: NDArray[np.int32]
    mean: NDArray[np.float64]
    window: int = 84
    name: str = "bootstrap"
    uncertain: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes it holds."""
        return self.recency.nbytes + self.frequency.nbytes + self.mean.nbytes

    def describe(self) -> dict[str, object]:
        """Return its size."""
        return {
            "name": self.name,
            "window_days": self.window,
            "donors": len(self.donors.at) - 1,
        }

    def newcomers(self, count: int) -> CellBootstrap:
        """Refuse: it has no priors."""
        _no_priors(self.name, count)

    def take(self, members: NDArray[np.int64]) -> CellBootstrap:
        """Return it for some members only; all donors stay."""
        return replace(
            self, recency=self.recency[members], frequency=self.frequency[members],
            mean=self.mean[members],
        )  # fmt: skip

    def draw(
        self, first: int, last: int, *, start: int, end: int, seed: int,
        replication: int, fixed: bool,
    ) -> Drawn:  # fmt: skip
        """Return the windows of donors, one after another."""
        del fixed
        donors, size = self.donors, last - first
        recency = self.recency[first:last].astype(np.int64)
        frequency = self.frequency[first:last].astype(np.int64)
        mean = self.mean[first:last].copy()
        keys = keyed.key(seed, replication, np.arange(first, last))
        parts: list[tuple[Any, Any, Any]] = []
        for turn, begin in enumerate(range(start, end, self.window)):
            u = keyed.uniform(keyed.draw(keys, turn, keyed.DONOR))
            donor = _donor(donors, recency, frequency, mean, u)
            count = np.where(donor >= 0, donors.at[donor + 1] - donors.at[donor], 0)
            who = np.repeat(np.arange(size), count)
            place = np.arange(len(who)) - np.repeat(np.cumsum(count) - count, count)
            rows = donors.at[donor[who]] + place
            day, fen = donors.day[rows].astype(np.int64), donors.fen[rows]
            parts.append((who, day + begin, fen))
            recency, frequency, mean = _move_on(
                who, day, fen, recency, frequency, mean, self.window
            )
        who, day, fen = (np.concatenate(c) for c in zip(*parts, strict=True))
        return as_tape(who, day, fen, size, start, end)


def _move_on(
    who: Whole,
    day: Whole,
    fen: Whole,
    recency: Whole,
    frequency: Whole,
    mean: Floats,
    window: int,
) -> tuple[Any, Any, Any]:
    """Return recency, frequency and mean spend at the end of a window."""
    size = len(recency)
    last = np.full(size, -1, np.int64)
    np.maximum.at(last, who, day)
    new = np.ones(len(who), dtype=bool)
    new[1:] = (who[1:] != who[:-1]) | (day[1:] != day[:-1])
    days = np.bincount(who[new], minlength=size)
    spent = np.bincount(who, weights=fen, minlength=size)
    total = mean * frequency + spent
    frequency = frequency + days
    mean = np.where(frequency > 0, total / np.maximum(1, frequency), mean)
    return np.where(last >= 0, window - 1 - last, recency + window), frequency, mean


def nearest_bins(filled: Any) -> Whole:  # noqa: ANN401
    """Return the filled bin of recency nearest to each; the older of two as near.

    Parameters
    ----------
    filled : array of int
        Bins that donors are in, 0 to 8.

    Returns
    -------
    ndarray of int, (9,)
        One a bin: itself where it is filled.
    """
    bins, seen = np.arange(len(RECENCY) + 1), np.unique(filled)[::-1]
    if not len(seen):
        return np.zeros_like(bins)
    far = np.abs(bins[:, None] - seen[None, :])
    return np.asarray(seen[far.argmin(axis=1)], np.int64)


def cells(recency: Any, frequency: Any, mean: Any, edges: Any, nearest: Any) -> Any:  # noqa: ANN401
    """Return each member's cell at four levels of detail, finest first.

    Parameters
    ----------
    recency, frequency, mean : array
        Days since the last order, purchase days, mean spend a purchase day.
    edges : array
        Quartiles of the donors' mean spend.
    nearest : array of int
        The bin to use of each bin of recency, from `nearest_bins`.

    Returns
    -------
    ndarray of int, (4, members)
        Numbers that differ between levels.
    """
    r = nearest[np.searchsorted(RECENCY, recency, side="left")]
    f = np.minimum(frequency, MOST_FREQUENT)
    m = np.searchsorted(edges, mean, side="right")
    two = np.where(f > 1, 2, 1)
    return np.stack(
        [
            ((r * 16 + f) * 8 + m),
            ((r * 16 + f) * 8) + 10_000,
            ((r * 16 + two) * 8) + 20_000,
            (r * 128) + 30_000,
        ]
    )


def _donor(donors: Donors, recency: Any, frequency: Any, mean: Any, u: Any) -> Any:  # noqa: ANN401
    """Return each member's donor, by the finest cell with enough of them."""
    levels = cells(recency, frequency, mean, donors.edges, donors.nearest)
    found = np.full(len(u), -1, np.int64)
    for level, cell in enumerate(levels):
        low = np.searchsorted(donors.cell, cell, side="left")
        count = np.searchsorted(donors.cell, cell, side="right") - low
        least = 1 if level == len(levels) - 1 else FEWEST_DONORS
        take = (found < 0) & (count >= least)
        place = low + np.minimum((u * count).astype(np.int64), np.maximum(0, count - 1))
        found[take] = donors.who[place[take]]
    return found


def as_tape(who: Any, day: Any, fen: Any, size: int, start: int, end: int) -> Drawn:  # noqa: ANN401
    """Return orders as a tape, member after member, day after day.

    Parameters
    ----------
    who, day, fen : array of int
        One order each; the day since 1970-01-01, the list price.
    size : int
        Members.
    start, end : int
        Days kept, half-open.

    Returns
    -------
    Drawn
        Without rates.
    """
    inside = (day >= start) & (day < end) & (fen > 0)
    who, day, fen = who[inside], day[inside], fen[inside]
    order = np.lexsort((day, who))
    rows = np.full((len(order), 4), -1, np.int64)
    rows[:, 0], rows[:, 1], rows[:, 2] = day[order], 1, fen[order]
    at = np.zeros(size + 1, np.int64)
    np.cumsum(np.bincount(who, minlength=size), out=at[1:])
    return Drawn(NOTHING, NOTHING, NOTHING, KNOTS, rows, at, draws=False)
