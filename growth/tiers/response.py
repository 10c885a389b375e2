"""How members might answer to a programme: stated, never estimated in secret."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import TYPE_CHECKING, Final

import numpy as np

from growth.errors import Fault, ParameterError
from growth.tiers.checks import between, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["NO_RESPONSE", "Prior", "Response"]

Prior = tuple[float, float]  # mean and standard deviation
FARTHEST: Final = 2.0  # deviations from its mean that a draw may lie
LARGEST: Final = 100.0  # a change of so many logs is none that anybody measured
SEED_OFFSET: Final = 0x5EED  # keeps these draws apart from a member's


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An uplift prior: ``rate * exp(beta_tier) * (1 + gamma * max(0, 1 - d / delta))``.

    Parameters
    ----------
    beta : sequence of (mean, sd)
        Log change of the order rate in each tier, from an experiment; tiers past the
        last one given take its value. Empty: none.
    gamma : (mean, sd), default (0, 0)
        Most that nearness of the next tier adds to the rate; draws under 0 count 0.
    delta : float, default 0.3
        Share of the way to the next tier within which nearness counts, in (0, 1].

    Raises
    ------
    ParameterError
        If a number is unusable (``bad_response``).

    Notes
    -----
    Redrawn once a replication, and the same in all scenarios of it. A draw is normal
    and held within two deviations of its mean (one in 22 lies outside), so that
    `widest` is the most it reaches and a population's `cap` cuts nothing off.
    """

    beta: Sequence[Prior] = ()
    gamma: Prior = (0.0, 0.0)
    delta: float = 0.3

    def __post_init__(self) -> None:
        """Refuse what is no prior."""
        faults = [*_beta_faults(self.beta), *_pair_fault("gamma", self.gamma)]
        if not between(self.delta, 0, 1) or not self.delta:
            words = "a number, above 0 and at most 1"
            faults.append(Fault("bad_response", "delta", repr(self.delta), words))
        if faults:
            raise ParameterError.of("the response", faults)

    @property
    def off(self) -> bool:
        """Whether nothing a programme does changes what members do."""
        return not any(any(b) for b in self.beta) and not any(self.gamma)

    @property
    def certain(self) -> bool:
        """Whether every draw is the same."""
        return not any(sd for _, sd in self.beta) and not self.gamma[1]

    @property
    def widest(self) -> float:
        """The most it multiplies the rate by: all draws two deviations up."""
        beta = exp(max([0.0, *(mean + FARTHEST * sd for mean, sd in self.beta)]))
        return beta * (1 + max(0.0, self.gamma[0] + FARTHEST * self.gamma[1]))

    def at(self, tiers: int, seed: int, replication: int | None) -> list[float]:
        """Return gamma, delta and each tier's multiple in a replication.

        Parameters
        ----------
        tiers : int
            Tiers of the programme.
        seed : int
            The simulation's.
        replication : int or None
            None: the means.

        Returns
        -------
        list of float
            Two numbers, then one a tier.
        """
        means = [self.gamma, *self.beta]
        if replication is None or self.certain:
            drawn = [mean for mean, _ in means]
        else:
            rng = np.random.default_rng([SEED_OFFSET, seed, replication])
            normal = rng.standard_normal(len(means)).clip(-FARTHEST, FARTHEST)
            drawn = [m + sd * z for (m, sd), z in zip(means, normal, strict=True)]
        gamma, *beta = drawn
        filled = (beta or [0.0]) + [(beta or [0.0])[-1]] * tiers
        return [max(0.0, gamma), self.delta, *(exp(b) for b in filled[:tiers])]


def _beta_faults(beta: object) -> Iterable[Fault]:
    if not listed(beta):
        hint = "Write ((0.1, 0.02), (0.2, 0.05)), one pair a tier."
        words = "a sequence of (mean, sd), one a tier"
        yield Fault("bad_response", "beta", repr(beta), words, hint)
        return
    for i, pair in enumerate(beta):
        yield from _pair_fault(f"beta[{i}]", pair)


def _pair_fault(name: str, pair: object) -> Iterable[Fault]:
    if listed(pair) and len(pair) == 2:
        mean, sd = pair
        if between(mean, -LARGEST, LARGEST) and between(sd, 0, LARGEST):
            return
    words = f"(mean, sd), within {LARGEST:g}, the sd 0 or more"
    hint = "Take both from an experiment; an sd of 0 is a change known for certain."
    yield Fault("bad_response", name, repr(pair), words, hint)


#: Programmes change points and tiers, not what members do. Say so on purpose.
NO_RESPONSE: Final = Response()
