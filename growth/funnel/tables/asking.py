"""What is asked: arguments to a `FunnelSpec`, and the columns it is asked of."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypedDict

from growth.errors import ParameterError
from growth.funnel.steps import (
    Attribution,
    Count,
    Entry,
    Exclusion,
    ExclusionRule,
    FunnelSpec,
    Immature,
    Order,
    Reentry,
    Repeats,
    StepLike,
    Ties,
    parse_steps,
)
from growth.stats.arguments import names_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["DAY", "Columns", "Rules", "declared", "midnights", "touches", "with_rules"]

DAY: Final = timedelta(days=1)


class Rules(TypedDict, total=False):
    """What `trend` and `paths` take as `measure` does."""

    lag: str | timedelta
    window: str | timedelta | None
    order: Order
    entry: Entry
    count: Count
    ties: Ties
    repeats: Repeats
    reentry: Reentry
    hold: str | Sequence[str] | None
    exclude: Sequence[Exclusion]
    exclusion: ExclusionRule
    by: str | Sequence[str]
    attribution: Attribution
    tz: str
    cut_midnight: bool
    user_col: str
    ts_col: str
    event_col: str
    session_col: str


class Columns(NamedTuple):
    """Where in the table what is."""

    user: str = "user_id"
    ts: str = "ts"
    event: str = "event"
    session: str = "session_id"


def declared(
    steps: Sequence[StepLike],
    start: date | datetime,
    end: date | datetime,
    as_of: date | datetime | None,
    *,
    lag: str | timedelta = "0h",
    window: str | timedelta | None = "7d",
    hold: str | Sequence[str] | None = None,
    exclude: Sequence[Exclusion] = (),
    by: str | Sequence[str] = (),
    tz: str = "Asia/Shanghai",
    **choices: Any,  # noqa: ANN401
) -> FunnelSpec:
    """Return what is asked, checked."""
    from growth.engine.spans import duration, last_known, moment

    given: Any = exclude
    if isinstance(given, str | Exclusion) or not isinstance(given, Iterable):
        given = (given,)
    barred = tuple(given)
    for item in barred:
        if not isinstance(item, Exclusion):
            msg = f"exclude holds {item!r}; it must hold Exclusions; pass"
            raise ParameterError(
                f"{msg} [Exclusion('app_hide')] with your event.", code="exclude"
            )
    return FunnelSpec(
        steps=parse_steps(steps),
        start=moment(start, "start", tz=tz),
        end=moment(end, "end", tz=tz),
        as_of=last_known(as_of, tz=tz),
        lag=duration(lag, "lag"),
        window=None if window is None else duration(window, "window"),
        hold=names_of(hold, "hold"),
        exclude=barred,
        by=names_of(by, "by"),
        tz=tz,
        **choices,
    )


def with_rules(
    steps: Sequence[StepLike],
    start: date | datetime,
    end: date | datetime,
    as_of: date | datetime | None,
    rules: Mapping[str, Any],
    *,
    immature: Immature = "keep",
) -> tuple[FunnelSpec, Columns]:
    """Return what `trend` or `paths` is asked, and of which columns."""
    if "immature" in rules:
        msg = f"immature is {rules['immature']!r}; it must be left out: trend keeps and"
        msg = f"{msg} marks young entries, paths drops them; leave it out."
        raise ParameterError(msg, code="unknown_immature")
    ours = {name: value for name, value in rules.items() if not name.endswith("_col")}
    columns = {
        name.removesuffix("_col"): value
        for name, value in rules.items()
        if name.endswith("_col")
    }
    spec = declared(steps, start, end, as_of, immature=immature, **ours)
    return spec, Columns(**columns)


def midnights(spec: FunnelSpec) -> list[datetime]:
    """Return the edges of local days from start to end."""
    from zoneinfo import ZoneInfo

    zone = ZoneInfo(spec.tz)
    edges, day = [spec.start], spec.start.astimezone(zone).date()
    while True:
        day += DAY
        midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
        if midnight >= spec.end:
            return [*edges, spec.end]
        edges.append(midnight.astimezone(spec.start.tzinfo))


def touches(spec: FunnelSpec) -> bool:
    """Whether a breakdown takes any event's value, not that of a step."""
    return bool(spec.by) and spec.attribution in ("first", "last")
