"""The programme designer: move a threshold or a multiplier, see what it changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ipywidgets as widgets

from growth import charts, tiers
from growth.errors import Fault, ParameterError
from growth.labels import label
from growth.panels.reader import Reader
from growth.readout.catalog import TiersParams
from growth.tiers.designing import Against

if TYPE_CHECKING:
    from collections.abc import Iterable

    from growth.labels import Lang
    from growth.tiers import Comparison, Population, Programme, Response

__all__ = ["designer"]

DRAWS: Final = 3  # enough to see, quick enough to move
MEMBERS: Final = 100_000
STEPS: Final = 20  # of a threshold's slider, from nothing to what it is now
WIDEST: Final = 3  # times a threshold's present value
MOST: Final = 5.0  # a multiplier
_STYLE: Final = {"description_width": "170px"}
_WIDE: Final = {"width": "420px"}


def designer(
    people: Population,
    programme: Programme | Path | str,
    *,
    margin_rate: float,
    redemption: float,
    months: int = 12,
    replications: int = DRAWS,
    members: int = MEMBERS,
    seed: int = 1,
    response: Response = tiers.NO_RESPONSE,
    data: str = "data/sample",
    lang: Lang | None = None,
) -> Reader:
    """Design a programme against the present one, on the same members and chances.

    Parameters
    ----------
    people : Population
        From `tiers.fit`: the members that every change is tried on.
    programme : Programme, path or str
        The present one, or its file. A readout takes a file: of a programme given
        as it is, the panel hands none over, and says so.
    margin_rate, redemption, months, seed, response
        As in `tiers.compare`.
    replications : int, default 3
        Few, to be quick; the readout draws more.
    members : int, default 100_000
        Where there are more, changes are tried on so many of them, drawn at random;
        the answer is theirs, and says so. So many answer in a second or two.
    data : str
        Where the members' orders are: what the readout that asks the same reads.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Reader
        `controls` (``spend_1``, ``multiplier_1``, ... by the tier's place),
        `result` (as `tiers.compare`), `charts` (differences and tiers); below, the
        readout that asks the same, or why there is none: it takes a programme's file,
        and of a response `beta` alone.

    Raises
    ------
    ParameterError
        As `tiers.load_programme` and `tiers.compare`; if `people` are no Population
        (``bad_population``), or `programme` is none of the three (``bad_programme``).

    Notes
    -----
    Draws are keyed by member and day, so a moved slider changes what it changes and
    nothing else: the paired difference has its interval after a few draws. It is the
    answer of these members; interrupting the kernel leaves what was shown.
    """
    if faults := [*_population_fault(people), *_programme_fault(programme)]:
        raise ParameterError.of("the designer", faults)
    file = None if isinstance(programme, tiers.Programme) else str(programme)
    present = tiers.load_programme(programme) if file else programme
    assert isinstance(present, tiers.Programme)
    people = people.sample(members, seed=seed)
    controls = _controls(present, lang)
    assumed: dict[str, Any] = {
        "margin_rate": margin_rate,
        "redemption": redemption,
        "months": months,
    }

    runs: list[Against] = []  # of the present programme: made when first asked for

    def measure(asked: dict[str, Any]) -> Comparison:
        changed = present.change(_changes(present, asked))
        if not runs:
            runs.append(
                Against(
                    people,
                    present,
                    replications=replications,
                    seed=seed,
                    response=response,
                    **assumed,
                )
            )
        return runs[0].compare(changed)

    def draw(result: Comparison) -> list[Any]:
        return [
            charts.tiers.difference_chart(result, lang=lang),
            charts.tiers.tier_chart(result, lang=lang),
        ]

    def params(asked: dict[str, Any]) -> TiersParams | str:
        if file is None or any(response.gamma):
            reason = "no_file" if file is None else "no_gamma"
            return label(f"panel.tiers.{reason}", lang)
        # equal programmes are a change too: else another file would be taken
        moved = _changes(present, asked) or {"tiers.0.min_spend_fen": 0}
        return TiersParams(
            data=data,
            name="designed",
            as_of=people.as_of,
            lang=lang or "en",
            programme=file,
            changes=",".join(f"{path}={value}" for path, value in moved.items()),
            uplift=",".join(f"{mean}:{sd}" for mean, sd in response.beta) or None,
            seed=seed,
            **assumed,
        )

    return Reader(controls, measure, draw, params, lang)


def _population_fault(people: object) -> Iterable[Fault]:
    if not isinstance(people, tiers.Population):
        hint = "Take it from tiers.fit."
        seen = f"a {type(people).__name__}"
        yield Fault("bad_population", "people", seen, "a Population", hint)


def _programme_fault(programme: object) -> Iterable[Fault]:
    if not isinstance(programme, tiers.Programme | Path | str):
        words = "a Programme, or the path of its file"
        yield Fault("bad_programme", "programme", f"{programme!r:.60}", words)


def _controls(present: Programme, lang: Lang | None) -> dict[str, Any]:
    """Return a threshold's and a multiplier's slider for each tier above the first."""
    found: dict[str, Any] = {}
    for i, (tier, name) in enumerate(zip(present.tiers, present.names, strict=True)):
        if i and tier.min_spend_fen is not None:
            yuan = round(tier.min_spend_fen / 100)
            step = max(1, round(yuan / STEPS))
            found[f"spend_{i}"] = widgets.IntSlider(
                value=yuan,
                min=yuan % step or step,  # so that the present value is a step
                max=max(yuan * WIDEST, step),
                step=step,
                continuous_update=False,
                description=label("panel.tiers.spend", lang, tier=name),
                style=_STYLE,
                layout=_WIDE,
            )
        found[f"multiplier_{i}"] = widgets.FloatSlider(
            value=float(tier.earn_multiplier),
            min=0.0,
            max=max(MOST, float(tier.earn_multiplier)),
            step=0.1,
            readout_format=".1f",
            continuous_update=False,
            description=label("panel.tiers.multiplier", lang, tier=name),
            style=_STYLE,
            layout=_WIDE,
        )
    return found


def _changes(present: Programme, asked: dict[str, Any]) -> dict[str, object]:
    """Return what the controls change, by key path; what was not moved is left out."""
    found: dict[str, object] = {}
    for name, value in asked.items():
        kind, _, place = name.partition("_")
        tier = present.tiers[int(place)]
        if kind == "spend" and value != round((tier.min_spend_fen or 0) / 100):
            found[f"tiers.{place}.min_spend_fen"] = value * 100
        if kind == "multiplier" and abs(value - float(tier.earn_multiplier)) > 1e-9:
            found[f"tiers.{place}.earn_multiplier"] = f"{value:.4g}"
    return found
