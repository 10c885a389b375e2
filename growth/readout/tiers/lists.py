"""The tables of the tiers page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from growth.charts.figures import count, coverage, percent
from growth.charts.intervals import Interval
from growth.labels import column, label, worded
from growth.readout.blocks import Block, Row, data_table, interval_table
from growth.readout.tiers.words import ends, exact, flat, money, rule, said, whole

if TYPE_CHECKING:
    from growth.labels import Lang
    from growth.readout.tiers.asked import Found

__all__ = [
    "back_tests",
    "changes",
    "counts_table",
    "deferral_table",
    "money_table",
    "owed_table",
    "standing_table",
]

LEVEL: Final = 0.95
#: Money that a page draws, and which direction is the better one.
MONEY: Final = {
    "margin_fen": "up",
    "net_fen": "up",
    "benefit_cost_fen": "down",
    "liability_fen": "down",
}
COUNTS: Final = ("members_above_first", "orders", "issued", "redeemed")
#: Of deferred revenue, as an account is read.
ROLLED: Final = (
    "opening", "deferred", "recognised", "re_estimate", "given_back", "closing",
)  # fmt: skip
FLOWS: Final = ("issued", "redeemed", "expired", "clawed")
HELD: Final = ("held", "pending", "debt", *FLOWS)


def changes(found: Found, *, lang: Lang | None = None) -> Block:
    """Write what differs between the two programmes.

    Parameters
    ----------
    found : Found
        What was found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        A row a rule that changes; a line if none does.
    """
    now, new = found.programmes()
    before, after = (flat(one.to_dict()) for one in (now, new))
    rows = [
        {
            "rule": rule(path, new if len(new.tiers) > len(now.tiers) else now, lang),
            "now": said(path, before.get(path)),
            "new": said(path, after.get(path)),
        }
        for path in dict.fromkeys([*before, *after])
        if before.get(path) != after.get(path)
    ]
    if not rows:
        return Block.of("p", label("tiers.changes.none", lang), kind="note")
    heads = {
        "rule": label("tiers.changes.rule", lang),
        "now": label("tiers.changes.now", lang),
        "new": label("tiers.changes.new", lang),
    }
    return data_table(heads, rows, caption=label("tiers.changes.caption", lang))


def money_table(found: Found, *, lang: Lang | None = None) -> Block:
    """Draw the differences in money, the interval of the model alone beside each.

    Parameters
    ----------
    found : Found
        What was found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        A row a metric; the drawn interval is the one to quote.
    """
    rows = []
    for name, good in MONEY.items():
        one = found.of(name)
        lo, hi = one.headline or (None, None)
        rows.append(
            Row(
                Interval(
                    label=label(f"tiers.metric.{name}", lang),
                    value=one.difference,
                    lo=lo,
                    hi=hi,
                    unit="fen",
                    good=good,  # type: ignore[arg-type]
                ),
                before=(money(one.baseline),),
                after=(ends(one.mc, "fen", lang),),
            )
        )
    return interval_table(
        rows,
        caption=label("tiers.table.money", lang, level=coverage(LEVEL)),
        first=column("metric", lang),
        before=(label("tiers.changes.now", lang),),
        drawn=label("chart.tiers.difference.x", lang),
        after=(label("tiers.table.mc", lang),),
        lang=lang,
    )


def counts_table(found: Found, *, lang: Lang | None = None) -> Block:
    """Write the differences in members, orders and points.

    Parameters
    ----------
    found : Found
        What was found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        A row a metric, with both intervals.
    """
    known = found.of("margin_fen").calibrated is not None
    kind = "calibrated" if known else "mc_param"
    heads = {
        "metric": column("metric", lang),
        "now": label("tiers.changes.now", lang),
        "difference": column("difference", lang),
        "ends": label(f"tiers.table.{kind}", lang),
        "mc": label("tiers.table.mc", lang),
    }
    rows = [
        {
            "metric": label(f"tiers.metric.{one.metric}", lang),
            "now": count(one.baseline),
            "difference": whole(one.difference),
            "ends": ends(one.headline, "whole", lang),
            "mc": ends(one.mc, "whole", lang),
        }
        for one in map(found.of, COUNTS)
    ]
    caption = label("tiers.table.counts", lang, level=coverage(LEVEL))
    return data_table(heads, rows, caption=caption)


def owed_table(found: Found, *, lang: Lang | None = None) -> Block:
    """Write what points owe at the end, under each programme.

    Parameters
    ----------
    found : Found
        What was found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        A row a programme: points that stand, what died, what they owe.
    """
    rows = []
    for one in found.change.simulation.scenarios:
        table = {name: values.sum(axis=(1, 3)).mean(axis=0) for name, values in
                 one.table().items()}  # fmt: skip
        rows.append(
            {
                "scenario": worded(f"tiers.scenario.{one.name}", lang),
                "held": count(table["active"][-1] + table["pending"][-1]),
                **{name: count(table[name].sum()) for name in FLOWS},
                "breakage": "–" if one.breakage is None else percent(one.breakage),
                "owed": money(float(table["liability_fen"][-1])),
            }
        )
    heads = {
        "scenario": column("scenario", lang),
        "held": label("tiers.points.held", lang),
        **{name: label(f"tiers.points.{name}", lang) for name in FLOWS},
        "breakage": label("tiers.owed.breakage", lang),
        "owed": label("tiers.owed.owed", lang),
    }
    return data_table(heads, rows, caption=label("tiers.table.owed", lang))


def deferral_table(found: Found, *, lang: Lang | None = None) -> Block:
    """Write revenue deferred for points, month by month, under the changed programme.

    Parameters
    ----------
    found : Found
        What was found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        A row a month: each opens where the one before closed, to the fen.
    """
    simulation = found.change.simulation
    last = simulation.scenarios[-1].name
    rows = [
        {"period": str(row["period"])}
        | {name: exact(int(row[name] or 0)) for name in ROLLED}
        for row in simulation.roll_forward(last).rows()
    ]
    heads = {"period": column("month", lang)}
    heads |= {name: column(name, lang) for name in ROLLED}
    words = label(
        "tiers.table.deferral", lang, scenario=worded(f"tiers.scenario.{last}", lang)
    )
    return data_table(heads, rows, caption=words)


def standing_table(found: Found, *, lang: Lang | None = None) -> Block:
    """Write who would have which tier by the actual orders, and what they hold.

    Parameters
    ----------
    found : Found
        What was found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        A row a tier.
    """
    rows = [
        {"tier": str(row["tier"])}
        | {
            "members": count(float(row["members"] or 0)),
            "held": count(float(row["active"] or 0)),
        }
        | {name: count(float(row[name] or 0)) for name in HELD[1:]}
        for row in found.actual.rows()
    ]
    heads = {name: column(name, lang) for name in ("tier", "members")}
    heads |= {name: label(f"tiers.points.{name}", lang) for name in HELD}
    caption = label("tiers.table.standing", lang, as_of=found.actual.as_of.isoformat())
    return data_table(heads, rows, caption=caption)


def back_tests(found: Found, *, lang: Lang | None = None) -> Block:
    """Write what each method's earlier forecasts were worth.

    Parameters
    ----------
    found : Found
        What was found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        A row a method, the chosen one marked; a line where the past is too short.
    """
    rows = []
    for test in found.people.back_tests:
        inside, of = test.mc_cover
        held, closed = test.calibrated_cover
        chosen = test.generator == found.people.generator
        wide = test.half_width
        rows.append(
            {
                "method": worded(f"tiers.generator.{test.generator}", lang)
                + (" ✓" if chosen else ""),
                "origins": count(len(test.origins)),
                "mape": percent(test.mape),
                "bias": percent(test.bias, signed=True),
                "calibrated": f"{held}/{closed}" if closed else "–",
                "wide": f"×{wide:.2f}" if wide else "–",
                "mc": f"{inside}/{of}",
            }
        )
    if not rows:
        return Block.of("p", label("tiers.population.given", lang), kind="note")
    heads = {
        "method": label("tiers.back.method", lang),
        "origins": column("origins", lang),
        "mape": label("tiers.back.mape", lang),
        "bias": label("tiers.back.bias", lang),
        "calibrated": label("tiers.back.calibrated", lang, level=coverage(LEVEL)),
        "wide": label("tiers.back.wide", lang),
        "mc": label("tiers.back.mc", lang),
    }
    days = count(found.people.back_tests[0].window_days)
    caption = label("tiers.table.back", lang, days=days)
    return data_table(heads, rows, caption=caption)
