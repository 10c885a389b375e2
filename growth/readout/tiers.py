"""The tiers readout's own pieces: what is replayed and simulated, and how it is shown.

Nothing is computed here that a result lacks; each function returns results, a
`Block`, or charts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from growth.charts import tiers as pictures
from growth.charts.figures import (
    amount,
    count,
    coverage,
    difference,
    difference_interval,
    percent,
)
from growth.charts.intervals import Interval
from growth.labels import column, label, worded
from growth.readout.blocks import (
    Block,
    Check,
    Row,
    State,
    Tile,
    Tone,
    check_list,
    data_table,
    headline,
    interval_table,
)
from growth.readout.trust import remarks, rows_check

if TYPE_CHECKING:
    import altair as alt
    import ibis.expr.types as ir

    from growth.dataset import Dataset
    from growth.labels import Lang
    from growth.readout.catalog import TiersParams
    from growth.result import Result
    from growth.tiers import (
        Comparison,
        Difference,
        Habits,
        Population,
        Programme,
        Replayed,
        Span,
    )

__all__ = [
    "Found",
    "back_tests",
    "changes",
    "checks",
    "counts_table",
    "drawings",
    "look",
    "money_table",
    "owed_table",
    "standing_table",
    "summary",
]

LEVEL: Final = 0.95
RECENT: Final = 84  # days that logins are counted over
ACTS: Final = ("login", "review", "offline_visit")
#: Money that a page draws, and which direction is the better one.
MONEY: Final = {
    "margin_fen": "up",
    "net_fen": "up",
    "benefit_cost_fen": "down",
    "liability_fen": "down",
}
COUNTS: Final = ("members_above_first", "orders", "issued", "redeemed")
TONES: Final[dict[str, Tone]] = {"better": "g", "worse": "w"}
HELD: Final = ("active", "pending", "debt", "issued", "redeemed", "expired", "clawed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the readout found, in the order in which the document keeps it.

    Parameters
    ----------
    change : Comparison
        The changed programme against the present one.
    people : Population
        How members buy, and what earlier forecasts were worth.
    actual : Replayed
        The present programme over the actual orders.
    buyers, everybody : int
        People whose orders count, and people who ordered at all.
    """

    change: Comparison
    people: Population
    actual: Replayed
    buyers: int
    everybody: int

    def results(self) -> dict[str, Result]:
        """Return what the document keeps, by name."""
        return {"change": self.change, "people": self.people, "actual": self.actual}

    def programmes(self) -> tuple[Programme, Programme]:
        """Return the present programme and the changed one."""
        now, new = (one.programme for one in self.change.simulation.scenarios)
        return now, new

    def of(self, metric: str) -> Difference:
        """Return the difference of a metric."""
        return next(d for d in self.change.differences if d.metric == metric)


def look(opened: Dataset, params: TiersParams) -> Found:
    """Replay, fit and compare everything that the readout tells.

    Parameters
    ----------
    opened : Dataset
        With `orders`; `members`, `refunds` and `points_ledger` add to it.
    params : TiersParams
        What is asked.

    Returns
    -------
    Found
        Where `members` says who is enrolled, of their orders only.

    Raises
    ------
    GrowthError
        As `tiers.replay`, `tiers.fit` and `tiers.compare`.
    """
    from growth import tiers

    both = params.programmes()
    orders, ledger = opened.orders, _table(opened, "points_ledger")
    if (enrolled := _enrolled(opened)) is not None:
        orders = orders.semi_join(enrolled, "user_id")
    acts = _interactions(ledger)
    refunds = _table(opened, "refunds")
    if refunds is not None:
        refunds = refunds.semi_join(orders, "order_id")
    actual = tiers.replay(
        orders,
        both["now"],
        as_of=params.as_of,
        refunds=refunds,
        interactions=acts,
        ledger=ledger,
        on_bad="report",
    )
    people = tiers.fit(
        orders,
        as_of=params.as_of,
        seed=params.seed,
        replications=params.tests,
        habits=_habits(orders, acts, params, actual.members),
    )
    return Found(
        change=tiers.compare(people, both, **params.assumptions()),
        people=people,
        actual=actual,
        buyers=people.members,
        everybody=_people(opened.orders, params),
    )


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
        value=difference(value, "fen") if word == "unclear" else _money(abs(value)),
        months=count(params.months),
    )
    span = margin.headline
    if margin.calibrated is not None:
        record = label(
            "tiers.reason.calibrated",
            lang,
            ends=_ends(span, "fen", lang),
            origins=count(change.origins),
        )
    else:
        record = label("tiers.reason.narrow", lang, ends=_ends(span, "fen", lang))
    reasons = [record, _answer(params, lang), _assumed(params, lang)]
    question = label(
        "tiers.headline.question",
        lang,
        members=count(found.people.members),
        months=count(params.months),
        start=change.simulation.start.isoformat(),
    )
    tiles = [
        Tile.measured(
            label(f"tiers.metric.{name}", lang),
            _changed(found.of(name).difference, unit),
            _ends(found.of(name).headline, unit, lang),
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
    before, after = (_flat(one.to_dict()) for one in (now, new))
    rows = [
        {
            "rule": _rule(path, new if len(new.tiers) > len(now.tiers) else now, lang),
            "now": _said(path, before.get(path)),
            "new": _said(path, after.get(path)),
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
                before=(_money(one.baseline),),
                after=(_ends(one.mc, "fen", lang),),
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
            "difference": _whole(one.difference),
            "ends": _ends(one.headline, "whole", lang),
            "mc": _ends(one.mc, "whole", lang),
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
    simulation = found.change.simulation
    rows = []
    for one in simulation.scenarios:
        table = {name: values.sum(axis=(1, 3)).mean(axis=0) for name, values in
                 one.table().items()}  # fmt: skip
        used, died = table["redeemed"].sum(), table["expired"].sum()
        rows.append(
            {
                "scenario": worded(f"tiers.scenario.{one.name}", lang),
                "held": count(table["active"][-1] + table["pending"][-1]),
                "issued": count(table["issued"].sum()),
                "redeemed": count(used),
                "expired": count(died),
                "breakage": percent(died / (died + used)) if died + used else "–",
                "owed": _money(float(table["liability_fen"][-1])),
            }
        )
    heads = {
        "scenario": column("scenario", lang),
        "held": label("tiers.owed.held", lang),
        "issued": column("issued", lang),
        "redeemed": column("redeemed", lang),
        "expired": column("expired", lang),
        "breakage": label("tiers.owed.breakage", lang),
        "owed": label("tiers.metric.liability_fen", lang),
    }
    return data_table(heads, rows, caption=label("tiers.table.owed", lang))


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
        | {name: count(float(row[name] or 0)) for name in ("members", *HELD)}
        for row in found.actual.rows()
    ]
    heads = {name: column(name, lang) for name in ("tier", "members", *HELD)}
    heads["active"] = label("tiers.owed.held", lang)
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
    listed.append(Check("info", label("tiers.check.newcomers", lang)))
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
        ``differences``, ``tiers``, ``flows``, ``liability``, and ``forecasts`` where
        there are back-tests.
    """
    charts: dict[str, alt.LayerChart | alt.FacetChart] = {
        "differences": pictures.difference_chart(found.change, lang=lang),
        "tiers": pictures.tier_chart(found.change, lang=lang),
        "flows": pictures.flow_chart(found.change, lang=lang),
        "liability": pictures.liability_chart(found.change, lang=lang),
    }
    if found.people.back_tests:
        charts["forecasts"] = pictures.forecast_chart(found.people, lang=lang)
    return charts


def _table(opened: Dataset, name: str) -> ir.Table | None:
    return opened.table(name) if opened.has(name) else None


def _enrolled(opened: Dataset) -> ir.Table | None:
    """Return the ids of members with a tier; None where nobody says who they are."""
    members = _table(opened, "members")
    if members is None or "tier" not in members.columns:
        return None
    some = members.filter(members.tier.notnull())
    return some.select("user_id") if _rows(some) else None


def _interactions(ledger: ir.Table | None) -> ir.Table | None:
    """Return logins, reviews and visits as the ledger in use awarded them."""
    if ledger is None or "reason" not in ledger.columns:
        return None
    some = ledger.filter(ledger.kind == "earn", ledger.reason.isin(ACTS))
    return some.select("user_id", "ts", event=some.reason)


def _habits(
    orders: ir.Table, acts: ir.Table | None, params: TiersParams, members: int
) -> Habits:
    """Return what members did besides ordering, as shares of what they did."""
    from growth import engine
    from growth.tiers import Habits

    known = orders.filter(orders.pay_ts < engine.instant(params.as_of))
    sums = {"paid": known.paid_fen.sum(), "n": known.count()}
    if "refund_fen" in known.columns:
        sums["back"] = known.refund_fen.sum()
    (row,) = engine.aggregate(known, by=(), measures=sums).to_pylist()
    refunds = (row.get("back") or 0) / (row["paid"] or 1)
    if acts is None:
        return Habits(refund_rate=refunds)
    end = engine.instant(params.as_of)
    recent = acts.filter(acts.ts < end, acts.ts >= end - timedelta(days=RECENT))
    logins = _rows(recent.filter(recent.event == "login"))
    reviews = _rows(acts.filter(acts.ts < end, acts.event == "review"))
    return Habits(
        refund_rate=min(1.0, refunds),
        review_rate=min(1.0, reviews / max(1, row["n"])),
        logins_per_day=logins / RECENT / max(1, members),
    )


def _rows(table: ir.Table) -> int:
    from growth import engine

    found = engine.aggregate(table, by=(), measures={"n": table.count()})
    return int(found["n"][0].as_py())


def _people(orders: ir.Table, params: TiersParams) -> int:
    from growth import engine

    known = orders.filter(orders.pay_ts < engine.instant(params.as_of))
    n = engine.aggregate(known, by=(), measures={"n": known.user_id.nunique()})
    return int(n["n"][0].as_py())


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


def _flat(value: Any, path: str = "") -> dict[str, object]:  # noqa: ANN401
    """Return a declaration's values by key path."""
    parts = (
        value.items() if isinstance(value, dict)
        else enumerate(value) if isinstance(value, list) and path == "tiers"
        else None
    )  # fmt: skip
    if parts is None:
        return {path: value}
    found: dict[str, object] = {}
    for key, one in parts:
        found |= _flat(one, f"{path}.{key}" if path else str(key))
    return found


def _rule(path: str, programme: Programme, lang: Lang | None) -> str:
    """Name a rule: a tier's by the tier, any other by its key path."""
    head, *rest = path.split(".")
    if head != "tiers" or len(rest) != 2:
        return path
    words = worded(f"tiers.field.{rest[1]}", lang)
    return f"{programme.names[int(rest[0])]} · {words}"


def _said(path: str, value: object) -> str:
    if value is None:
        return "–"
    if path.endswith("_fen") and isinstance(value, int):
        return _money(value)
    if path.endswith("discount_rate"):
        return percent(float(str(value)))
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"×{value}" if path.endswith("earn_multiplier") else str(value)


def _money(fen: float) -> str:
    """Write an amount; whole yuan without their zeros."""
    return amount(fen, "fen").removesuffix(".00")


def _changed(value: float, unit: str) -> str:
    return _whole(value) if unit == "whole" else difference(value, unit)


def _whole(value: float) -> str:
    """Write a difference of things that are counted: whole, with its sign."""
    text = count(value)
    return f"+{text}" if value > 0 and text != "0" else "0" if text == "−0" else text


def _ends(span: Span | None, unit: str, lang: Lang | None) -> str:
    lo, hi = span or (None, None)
    if lo is None or hi is None or unit != "whole":
        return difference_interval(lo, hi, unit, lang=lang)
    return label("figure.interval", lang, lo=_whole(lo), hi=_whole(hi))
