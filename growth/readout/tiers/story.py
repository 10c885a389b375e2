"""What the tiers page says: the change in a line, what it rests on, its charts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from growth.charts import tiers as pictures
from growth.charts.figures import amount, count, difference, percent
from growth.labels import label
from growth.readout.blocks import (
    Block,
    Check,
    State,
    Tile,
    Tone,
    check_list,
    headline,
)
from growth.readout.tiers.asked import MONTH
from growth.readout.tiers.words import changed, ends, money
from growth.readout.trust import remarks, rows_check

if TYPE_CHECKING:
    import altair as alt

    from growth.dataset import Dataset
    from growth.labels import Lang
    from growth.readout.catalog import TiersParams
    from growth.readout.tiers.asked import Found
    from growth.tiers import Population, Replayed

__all__ = ["checks", "drawings", "summary"]

LEVEL: Final = 0.95
TONES: Final[dict[str, Tone]] = {"better": "g", "worse": "w"}


def summary(found: Found, params: TiersParams, *, lang: Lang | None = None) -> Block:
    """Say what the change brings, on what assumptions, and on which numbers.

    Parameters
    ----------
    found : Found
        What was found.
    params : TiersParams
        What was asked.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        A line, its reasons, and four differences with their intervals.
    """
    change = found.change
    word = change.verdict.rpartition(".")[2]
    margin = found.of("margin_fen")
    value = margin.difference
    said = label(
        f"tiers.headline.{word}",
        lang,
        value=difference(value, "fen") if word == "unclear" else money(abs(value)),
        months=count(params.months),
    )
    span = margin.headline
    if margin.calibrated is not None:
        record = label(
            "tiers.reason.calibrated",
            lang,
            ends=ends(span, "fen", lang),
            origins=count(change.origins),
        )
    else:
        record = label("tiers.reason.narrow", lang, ends=ends(span, "fen", lang))
    reasons = [record, _answer(params, lang), _assumed(params, lang)]
    question = label(
        "tiers.headline.question",
        lang,
        members=count(found.buyers),
        months=count(params.months),
        start=change.simulation.start.isoformat(),
    )
    tiles = [
        Tile.measured(
            label(f"tiers.metric.{name}", lang),
            changed(found.of(name).difference, unit),
            ends(found.of(name).headline, unit, lang),
            level=LEVEL,
            lang=lang,
        )
        for name, unit in (
            ("margin_fen", "fen"),
            ("benefit_cost_fen", "fen"),
            ("liability_fen", "fen"),
            ("members_above_first", "whole"),
        )
    ]
    return headline(
        params.name, question, said, reasons, tiles, tone=TONES.get(word, "a")
    )


def checks(opened: Dataset, found: Found, *, lang: Lang | None = None) -> Block:
    """List what the numbers rest on and what they leave out.

    Parameters
    ----------
    opened : Dataset
        Its account of the rows.
    found : Found
        What was found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        Warnings first.
    """
    listed = rows_check(opened.load_report, lang=lang)
    listed.append(_ledger(found.actual, lang))
    listed.append(Check("ok", label("tiers.check.identities", lang)))
    if found.buyers < found.everybody:
        words = label(
            "tiers.check.members",
            lang,
            members=count(found.buyers),
            people=count(found.everybody),
        )
        listed.append(Check("info", words))
    listed.append(_newcomers(found.people, lang))
    habits = found.people.habits
    listed.append(
        Check(
            "info",
            label(
                "tiers.check.habits",
                lang,
                refunds=percent(float(habits.refund_rate)),
                reviews=percent(float(habits.review_rate)),
                logins=amount(float(habits.logins_per_day), "count"),
            ),
        )
    )
    said = remarks(found.results().values(), lang=lang)
    return check_list(listed + said, lang=lang)


def drawings(
    found: Found, *, lang: Lang | None = None
) -> dict[str, alt.LayerChart | alt.FacetChart]:
    """Return the run's charts by the name of their files.

    Parameters
    ----------
    found : Found
        What was found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    dict of str to altair chart
        ``differences``, ``tiers``, ``flows``, ``liability``, ``deferral``, and
        ``forecasts`` where there are back-tests.
    """
    simulation = found.change.simulation
    charts: dict[str, alt.LayerChart | alt.FacetChart] = {
        "differences": pictures.difference_chart(found.change, lang=lang),
        "tiers": pictures.tier_chart(found.change, lang=lang),
        "flows": pictures.flow_chart(found.change, lang=lang),
        "liability": pictures.liability_chart(found.change, lang=lang),
        "deferral": pictures.deferral_chart(
            simulation.roll_forward(simulation.scenarios[-1].name), lang=lang
        ),
    }
    if found.people.back_tests:
        charts["forecasts"] = pictures.forecast_chart(found.people, lang=lang)
    return charts


def _answer(params: TiersParams, lang: Lang | None) -> str:
    """Say whether members are assumed to answer to tiers, and how."""
    if not params.uplift:
        return label("tiers.reason.no_response", lang)
    return label("tiers.reason.response", lang, uplift=params.uplift)


def _assumed(params: TiersParams, lang: Lang | None) -> str:
    return label(
        "tiers.reason.assumed",
        lang,
        margin=percent(params.margin_rate),
        redemption=percent(params.redemption),
    )


def _newcomers(people: Population, lang: Lang | None) -> Check:
    """Say who joins later, and how many did lately."""
    lately = count(people.newcomers_a_day() * MONTH)
    if not people.arrivals:
        return Check("info", label("tiers.check.newcomers", lang, lately=lately))
    more = count(people.arrivals)
    words = label("tiers.check.newcomers.drawn", lang, people=more, lately=lately)
    return Check("info", words)


def _ledger(actual: Replayed, lang: Lang | None) -> Check:
    word = actual.verdict.rpartition(".")[2]
    states: dict[str, State] = {"agrees": "ok", "differs": "warn"}
    more = label(
        f"tiers.check.ledger.{word}",
        lang,
        members=count(actual.members),
        differ=count(len(actual.disagreements)),
    )
    return Check(states.get(word, "info"), label(actual.verdict, lang), more)
