"""The retention readout's own pieces: what is measured, and how it is shown.

Nothing is computed here that a result lacks; each function returns results, a
`Block`, or charts.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

from growth.charts import funnel as falls
from growth.charts import retention as pictures
from growth.charts.figures import (
    amount,
    clauses,
    count,
    coverage,
    interval,
    listed,
    percent,
)
from growth.charts.intervals import Interval
from growth.labels import column, label
from growth.readout.blocks import (
    Block,
    Check,
    Row,
    Tile,
    Tone,
    check_list,
    data_table,
    finding,
    headline,
    interval_table,
    tone_of,
)
from growth.readout.trust import remarks, rows_check

if TYPE_CHECKING:
    import altair as alt
    import ibis.expr.types as ir

    from growth.dataset import Dataset
    from growth.funnel import FunnelResult, Paths
    from growth.labels import Lang
    from growth.readout.catalog import RetentionParams
    from growth.result import Result
    from growth.retention import (
        Forecast,
        Lifecycle,
        Reconciliation,
        RetentionResult,
        RetentionTrend,
        Revenue,
    )

__all__ = [
    "Found",
    "checks",
    "curve_table",
    "drawings",
    "funnel_table",
    "groups_table",
    "look",
    "summary",
    "times_table",
    "worth_note",
]

OFFSETS: Final = (1, 2, 3, 4, 5, 6, 7, 10, 14, 21, 30)  # of the page's tables
LINES: Final = 5  # groups with a line of their own on the page; its table has more
TILES: Final = (1, 30, 7)  # the first two that are known
# what no person does: it says nothing of where somebody went instead
TECHNICAL: Final = ("api_call", "error", "exp_exposure", "impression", "perf", "scroll")
LEVEL: Final = 0.95
NEWEST: Final[dict[str, Tone]] = {"rising": "g", "falling": "w"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the readout found, in the order in which the document keeps it.

    Parameters
    ----------
    cohorts : RetentionResult
        Who comes back.
    funnel : FunnelResult
        How far people get.
    drift : RetentionTrend
        The first offset over the cohorts.
    groups : RetentionResult or None
        `cohorts` by the breakdown, where one was asked for.
    forecast : Forecast or None
        The curve drawn on; None where people may stay away and come again later.
    worth : Revenue or None
        What buyers paid, where there are orders.
    life : Lifecycle
        Who was active, week by week.
    paths : Paths
        What those did instead who stopped at the first step.
    official : Reconciliation or None
        The platform's own figures, where the data has them.
    """

    cohorts: RetentionResult
    funnel: FunnelResult
    drift: RetentionTrend
    groups: RetentionResult | None = None
    forecast: Forecast | None = None
    worth: Revenue | None = None
    life: Lifecycle
    paths: Paths
    official: Reconciliation | None = None

    def results(self) -> dict[str, Result]:
        """Return what the document keeps, by name; groups are in their chart's data."""
        named = {item.name: getattr(self, item.name) for item in fields(self)}
        del named["groups"]
        return {name: result for name, result in named.items() if result is not None}


def look(opened: Dataset, params: RetentionParams) -> Found:
    """Measure everything that the readout tells.

    Parameters
    ----------
    opened : Dataset
        With `events`; `orders`, `channel_spend` and `official_daily` add to it.
    params : RetentionParams
        What is asked.

    Returns
    -------
    Found
        Nothing of a table that is not there.
    """
    from growth import funnel, retention

    events, rule, range_ = opened.events, params.rule(), params.range()
    cohorts = retention.measure(events, **rule, **range_)
    groups = None
    if params.by:
        groups = retention.measure(events, by=params.by, **rule, **range_)
    worth = None
    if opened.has("orders"):
        spend = opened.channel_spend if opened.has("channel_spend") else None
        worth = retention.revenue(
            opened.orders,
            period=params.period,
            horizon=params.horizon,
            channel_spend=spend,
            **range_,
        )
    return Found(
        cohorts=cohorts,
        funnel=funnel.measure(events, **params.funnel_rule(), **range_),
        drift=retention.trend(cohorts, k=1),
        groups=groups,
        forecast=retention.forecast(
            cohorts, horizon=2 * params.horizon, model="power", seed=1
        ),
        worth=worth,
        life=retention.lifecycle(
            events, period="day" if params.days < 14 else "week", **range_
        ),
        paths=_paths(events, params),
        official=_official(opened, params),
    )


def summary(
    found: Found, params: RetentionParams, *, lang: Lang | None = None
) -> Block:
    """Say how many come back, whether that moves, and on which numbers.

    Parameters
    ----------
    found : Found
        What was measured.
    params : RetentionParams
        What was asked.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        A line, its reasons, and up to five numbers with their intervals.
    """
    cohorts = found.cohorts
    points = {p.k: p for p in cohorts.curve() if p.rate is not None}
    first = points.get(1)
    if first is None:
        said = label(cohorts.verdict, lang)
    else:
        said = label(
            f"retention.headline.{params.period}", lang, rate=percent(first.rate)
        )
    reasons = [label(found.drift.verdict, lang)]
    last = found.funnel.totals[-1] if found.funnel.entered else None
    if last is not None:
        reasons.append(
            label(
                "retention.headline.funnel",
                lang,
                rate=percent(last.rate_from_start),
                first=found.funnel.totals[0].name,
                last=last.name,
            )
        )
    if found.worth is not None and found.worth.cost_fen is not None:
        reasons.append(label(found.worth.verdict, lang))
    question = label(
        "retention.headline.question",
        lang,
        start=params.range()["start"].isoformat(),
        end=params.as_of.isoformat(),
    )
    tiles = [Tile(label("column.users", lang), count(cohorts.users))]
    for k in [k for k in TILES if k in points][:2]:
        name = label(f"retention.tile.{params.period}", lang, k=str(k))
        point = points[k]
        tiles.append(_tile(name, point.rate, point.low, point.high, lang))
    if last is not None:
        tiles.append(_tile(last.name, last.rate_from_start, last.low, last.high, lang))
    word = found.drift.verdict.rpartition(".")[2]
    tone = NEWEST.get(word, tone_of(cohorts.verdict))
    return headline(params.name, question, said, reasons, tiles, tone=tone)


def curve_table(found: Found, *, lang: Lang | None = None) -> Block:
    """Write the share that came back at the offsets people ask about.

    Parameters
    ----------
    found : Found
        What was measured.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        A row an offset, over the cohorts complete at it.
    """
    rows = [
        Row(
            Interval.share(str(p.k), p.rate, p.low, p.high),
            before=(count(p.retained), count(p.n_users), count(p.n_cohorts)),
        )
        for p in found.cohorts.curve()
        if p.k in OFFSETS and p.rate is not None
    ]
    if not rows:
        return Block.of("p", label(found.cohorts.verdict, lang), kind="note")
    return interval_table(
        rows,
        caption=label("retention.table.curve", lang, level=coverage(LEVEL)),
        first=label(f"chart.retention.x.{found.cohorts.spec.period}", lang),
        before=(
            column("retained", lang),
            column("users", lang),
            column("n_cohorts", lang),
        ),
        drawn=label("chart.retention.y", lang),
        lang=lang,
    )


def groups_table(found: Found, *, lang: Lang | None = None) -> Block:
    """Write the share back at the first offset by group, the largest groups first.

    Parameters
    ----------
    found : Found
        What was measured.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        Up to 12 rows, the last for all smaller groups; nothing without a breakdown,
        or before an interval is over.
    """
    if found.groups is None:
        return Block("")
    result = found.groups.gathered()
    first = result.spec.offsets[0]
    points = [p for p in result.curve(split=True) if p.k == first]
    sizes = dict(result.totals)
    points.sort(key=lambda p: (pictures.is_rest(p.by), -sizes[p.by]))
    rows = [
        Row(
            Interval.share(pictures.group_name(p.by, lang), p.rate, p.low, p.high),
            before=(count(sizes[p.by]),),
        )
        for p in points
        if p.rate is not None
    ]
    if not rows:
        return Block("")
    return interval_table(
        rows,
        caption=label(
            f"retention.table.groups.{result.spec.period}",
            lang,
            k=str(first),
            level=coverage(LEVEL),
        ),
        first=" · ".join(column(name, lang) for name in result.spec.by),
        before=(column("users", lang),),
        drawn=label("chart.retention.y", lang),
        lang=lang,
    )


def worth_note(found: Found, *, lang: Lang | None = None) -> Block:
    """Say what a buyer is worth by now, or why it is not known.

    Parameters
    ----------
    found : Found
        What was measured.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        A line, and one for what it cost to get them.
    """
    worth = found.worth
    if worth is None:
        return Block.of("p", label("retention.worth.no_orders", lang), kind="note")
    points = [p for p in worth.curve if not p.by and p.ltv_fen is not None]
    if not points:
        return Block.of("p", label(worth.verdict, lang), kind="note")
    last = points[-1]
    lines = [
        label(
            "retention.worth.ltv",
            lang,
            ltv=amount(last.ltv_fen, "fen"),
            lo=amount(last.low, "fen"),
            hi=amount(last.high, "fen"),
            k=str(last.k),
            users=count(last.n_users),
        )
    ]
    if worth.cost_fen is not None:
        cost = amount(worth.cost_fen, "fen")
        lines.append(label("chart.retention.ltv.cost", lang, cost=cost))
    return finding(label(worth.verdict, lang), lines)


def funnel_table(found: Found, *, lang: Lang | None = None) -> Block:
    """Write how many reached each step, from the start and from the step before.

    Parameters
    ----------
    found : Found
        What was measured.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        A row a step; where nobody entered, why.
    """
    result = found.funnel
    if not result.entered:
        return Block.of("p", label(result.verdict, lang), kind="note")
    rows = [
        Row(
            Interval.share(f"{s.step}. {s.name}", s.rate_from_start, s.low, s.high),
            before=(count(s.reached), count(s.dropped)),
            after=(percent(s.rate_from_previous) if s.step > 1 else "",),
            said=("100%", "") if s.step == 1 else None,
        )
        for s in result.totals
    ]
    return interval_table(
        rows,
        caption=label("retention.table.funnel", lang, level=coverage(LEVEL)),
        first=column("step", lang),
        before=(column("reached", lang), column("dropped", lang)),
        drawn=column("rate_from_start", lang),
        after=(column("rate_from_previous", lang),),
        lang=lang,
    )


def times_table(found: Found, *, lang: Lang | None = None) -> Block:
    """Write how long each step took.

    Parameters
    ----------
    found : Found
        What was measured.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        A row a pair of steps, folded away; nothing where nobody got on.
    """
    names = {s.step: s.name for s in found.funnel.totals}
    rows = [
        {
            "way": f"{names[t.from_step]} → {t.name}",
            "n": count(t.n),
            "p25": falls.span(t.p25_s, lang),
            "p50": falls.span(t.p50_s, lang),
            "p75": falls.span(t.p75_s, lang),
            "p95": falls.span(t.p95_s, lang),
        }
        for t in found.funnel.times
        if not t.by and t.n
    ]
    if not rows:
        return Block("")
    heads = {
        "way": column("step", lang),
        "n": column("users", lang),
        **{name: name for name in ("p25", "p50", "p75", "p95")},
    }
    words = label("retention.table.times", lang)
    return data_table(heads, rows, caption=words, fold=words)


def checks(opened: Dataset, found: Found, *, lang: Lang | None = None) -> Block:
    """List what the numbers rest on, and what the platform says to them.

    Parameters
    ----------
    opened : Dataset
        Its account of the rows.
    found : Found
        What was measured.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        Warnings first.
    """
    listed = rows_check(opened.load_report, lang=lang)
    listed.append(_complete(found.cohorts, lang))
    if found.official is not None:
        listed.append(_agreed(found.official, lang))
    said = remarks(found.results().values(), lang=lang)
    return check_list(listed + said, lang=lang)


def drawings(
    found: Found, params: RetentionParams, *, lang: Lang | None = None
) -> dict[str, alt.LayerChart]:
    """Return the run's charts by the name of their files.

    Parameters
    ----------
    found : Found
        What was measured.
    params : RetentionParams
        Its industry has a benchmark.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    dict of str to altair.LayerChart
        ``curve``, ``triangle``, ``trend``, ``lifecycle``, ``funnel``, ``time``,
        ``paths``; ``groups``, ``ltv`` and ``reconcile`` where there is such a result.
    """
    from growth.retention import benchmark

    line = benchmark(params.industry) if params.industry else None
    charts = {
        "curve": pictures.curve_chart(
            found.cohorts, forecast=found.forecast, benchmark=line, lang=lang
        ),
        "triangle": pictures.triangle_chart(found.cohorts, offsets=OFFSETS, lang=lang),
        "trend": pictures.trend_chart(found.drift, lang=lang),
    }
    if found.groups is not None:
        few = found.groups.gathered(LINES)
        charts["groups"] = pictures.curve_chart(few, lang=lang)
    if found.worth is not None:
        charts["ltv"] = pictures.ltv_chart(found.worth, lang=lang)
    charts |= {
        "lifecycle": pictures.lifecycle_chart(found.life, lang=lang),
        "funnel": falls.funnel_chart(found.funnel, lang=lang),
        "time": falls.time_chart(found.funnel, lang=lang),
        "paths": falls.paths_chart(found.paths, lang=lang),
    }
    if found.official is not None:
        charts["reconcile"] = pictures.reconcile_chart(found.official, lang=lang)
    return charts


def _paths(events: ir.Table, params: RetentionParams) -> Paths:
    """Return what people did instead, of all that a person does."""
    from growth import funnel
    from growth.engine import parse_where

    people = parse_where([{"not": {"col": "event", "in": [*TECHNICAL]}}])
    rule = params.funnel_rule() | params.range()
    return funnel.paths(events.filter(people.to_ibis(events)), after=1, **rule)


def _official(opened: Dataset, params: RetentionParams) -> Reconciliation | None:
    """Compare visits with the platform's daily figures, where the data has them."""
    from growth import retention

    if not opened.has("official_daily"):
        return None
    visits = retention.measure(
        opened.events,
        start_event=["app_launch", "app_show"],
        mode="first_ever",
        horizon=30,
        **params.range(),
    )
    return retention.reconcile(visits, opened.official_daily)


def _tile(
    name: str,
    rate: float | None,
    low: float | None,
    high: float | None,
    lang: Lang | None,
) -> Tile:
    ends = interval(low, high, signed=False, lang=lang)
    return Tile.measured(name, percent(rate), ends, level=LEVEL, lang=lang)


def _complete(cohorts: RetentionResult, lang: Lang | None) -> Check:
    over = sum(row[1] for row in cohorts.complete if len(row) > 1)
    words = label(
        "retention.check.complete",
        lang,
        over=count(over),
        cohorts=count(len(cohorts.cohorts)),
    )
    return Check("ok" if over else "warn", words)


def _agreed(official: Reconciliation, lang: Lang | None) -> Check:
    """Say whether the platform agrees, and if not what may be the cause."""
    ratios = listed(
        (
            label("retention.check.offset", lang, k=str(k), ratio=percent(ratio))
            for k, ratio in official.ratios
        ),
        lang=lang,
    )
    if ratios:
        ratios = label("retention.check.ratios", lang, ratios=ratios)
    why = [label(f"retention.reason.{name}", lang) for name in official.reasons[:3]]
    state = {"agrees": "ok", "differs": "warn"}.get(
        official.verdict.rpartition(".")[2], "info"
    )
    words = label(official.verdict, lang)
    more = clauses(filter(None, [ratios, *why]), lang=lang)
    return Check(state, words, more)  # type: ignore[arg-type]
