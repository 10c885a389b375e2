"""Member tiers and points: what is, what would have been, what would be.

Services ask for one member (`apply`, `standing`); a team replays its orders, fits how
members buy, and compares programmes::

    programme = tiers.load_programme("programme.toml")
    people = tiers.fit(data.orders, as_of=day, seed=1)
    change = programme.change({"tiers.1.min_spend_fen": 40_000})
    tiers.compare(people, {"now": programme, "new": change}, seed=1,
                  margin_rate=0.3, redemption=0.1)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from growth.tiers import generators, programme, response
    from growth.tiers.acquisition import (
        Arrivals,
        Tree,
        arrivals,
        grow,
        invitation_tree,
        waves_total,
    )
    from growth.tiers.backtest import BackTest, Origin
    from growth.tiers.comparison import Comparison, Difference, compare
    from growth.tiers.grouping import Groups, fill_probability, groups
    from growth.tiers.intervals import Span
    from growth.tiers.ledger import (
        Applied,
        Entry,
        Ledger,
        State,
        apply,
        open_state,
    )
    from growth.tiers.liability import (
        Deferral,
        Period,
        PointsPeriod,
        RollForward,
        deferred_revenue,
        roll_forward,
    )
    from growth.tiers.population import Habits, Population
    from growth.tiers.programme import Programme, load_programme
    from growth.tiers.replaying import Replayed
    from growth.tiers.response import NO_RESPONSE, Response
    from growth.tiers.searching import Candidate, Found, search
    from growth.tiers.seasons import Calendar, estimate_calendar
    from growth.tiers.simulation import Scenario, Simulation, simulate
    from growth.tiers.standings import (
        Claim,
        Standing,
        claw_back,
        points_for,
        standing,
    )
    from growth.tiers.tables import fit, replay

__all__ = [
    "NO_RESPONSE",
    "Applied",
    "Arrivals",
    "BackTest",
    "Calendar",
    "Candidate",
    "Claim",
    "Comparison",
    "Deferral",
    "Difference",
    "Entry",
    "Found",
    "Groups",
    "Habits",
    "Ledger",
    "Origin",
    "Period",
    "PointsPeriod",
    "Population",
    "Programme",
    "Replayed",
    "Response",
    "RollForward",
    "Scenario",
    "Simulation",
    "Span",
    "Standing",
    "State",
    "Tree",
    "apply",
    "arrivals",
    "claw_back",
    "compare",
    "deferred_revenue",
    "estimate_calendar",
    "fill_probability",
    "fit",
    "generators",
    "groups",
    "grow",
    "invitation_tree",
    "load_programme",
    "open_state",
    "points_for",
    "programme",
    "replay",
    "response",
    "roll_forward",
    "search",
    "simulate",
    "standing",
    "waves_total",
]

_MODULES = ("generators", "programme", "response")  # public as they are
_FILES = {
    "acquisition": (
        "Arrivals",
        "Tree",
        "arrivals",
        "grow",
        "invitation_tree",
        "waves_total",
    ),
    "backtest": ("BackTest", "Origin"),
    "comparison": ("Comparison", "Difference", "compare"),
    "grouping": ("Groups", "fill_probability", "groups"),
    "intervals": ("Span",),
    "ledger": (
        "Applied",
        "Entry",
        "Ledger",
        "State",
        "apply",
        "open_state",
    ),
    "liability": (
        "Deferral",
        "Period",
        "PointsPeriod",
        "RollForward",
        "deferred_revenue",
        "roll_forward",
    ),
    "population": ("Habits", "Population"),
    "programme": ("Programme", "load_programme"),
    "replaying": ("Replayed",),
    "response": ("NO_RESPONSE", "Response"),
    "searching": ("Candidate", "Found", "search"),
    "seasons": ("Calendar", "estimate_calendar"),
    "simulation": ("Scenario", "Simulation", "simulate"),
    "standings": ("Claim", "Standing", "claw_back", "points_for", "standing"),
    "tables": ("fit", "replay"),
}
_HOME = {name: file for file, names in _FILES.items() for name in names}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found  # a service asks for `tiers.apply` at every event
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
