"""The present programme, run once; changes are then held against those runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from growth.tiers.comparison import differences_of, record_of
from growth.tiers.response import NO_RESPONSE, Response
from growth.tiers.simulation import simulate_scenarios

if TYPE_CHECKING:
    from growth.tiers.comparison import Comparison
    from growth.tiers.population import Population
    from growth.tiers.programme import Programme

__all__ = ["Against"]


class Against:
    """A programme that many others are compared with, on the same people and chances.

    Every draw is keyed, so runs made before are those that would be made again: a
    comparison takes half the time, and is equal to that of `compare` to the bit.

    Parameters
    ----------
    population : Population
        Who.
    programme : Programme
        The present one, ``now``.
    months, replications, seed, response, margin_rate, redemption
        As in `compare`.
    generator : str, default "auto"
        As in `compare`.

    Raises
    ------
    ParameterError
        As `compare`.
    """

    def __init__(
        self,
        population: Population,
        programme: Programme,
        *,
        months: int = 12,
        replications: int = 20,
        seed: int,
        response: Response = NO_RESPONSE,
        margin_rate: float,
        redemption: float,
        generator: str = "auto",
    ) -> None:
        self._people, self._now = population, programme
        self._asked: dict[str, Any] = {
            "start": None, "months": months, "replications": replications,
            "seed": seed, "response": response, "margin_rate": margin_rate,
            "redemption": redemption, "generator": generator,
        }  # fmt: skip
        run = simulate_scenarios(population, {"now": programme}, **self._asked)
        self._known = {"now": run.scenarios[0]}

    def compare(self, programme: Programme) -> Comparison:
        """Say what changes under another programme, ``new``.

        Parameters
        ----------
        programme : Programme
            The changed one.

        Returns
        -------
        Comparison
            What `compare` would return.
        """
        simulation = simulate_scenarios(
            self._people,
            {"now": self._now, "new": programme},
            known=self._known,
            **self._asked,
        )
        return differences_of(simulation, record_of(self._people, simulation.generator))
