"""One user's tags from that user's rows: pure Python, for services.

It means what `growth.segments.tables` means for all users; property tests hold the
two together. No engine is loaded.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from growth.engine.days import DAY_US, instant, offsets
from growth.errors import ColumnNotFoundError, DataError, ParameterError
from growth.result import Cell, Result
from growth.segments.context import need_context, score
from growth.segments.ops import MODELS, RFM_NAMES, TIMES, column_kind
from growth.segments.regions import compare

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from growth.engine.where import Where
    from growth.segments.context import Context
    from growth.segments.rules import Metric, Rules, Tag, When

    Rows = list[tuple[int, Mapping[str, Any]]]
    Find = Callable[[Rows, "Env"], Any]
    Test = Callable[[Mapping[str, Any]], bool | None]

__all__ = [
    "Env",
    "Explanation",
    "Rule",
    "day_number",
    "micros",
    "name_of_rfm",
    "periods",
    "rule",
    "started",
]

EPOCH = datetime(1970, 1, 1)
EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_DAY = date(1970, 1, 1)


class Periods(NamedTuple):
    """Instants in microseconds: starts of this period, of the one before, and so on."""

    this: int
    before: int
    earlier: int
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation(Result):
    """Why a user has a value: what was seen of each metric, and how values fared.

    Parameters
    ----------
    tag : str
        The tag.
    value : str or None
        The user's value; None outside the tag's population.
    as_of : date
        The last day counted.
    seen : tuple of (str, scalar)
        Metrics by name, None where unknown.
    tried : tuple of (str, bool or None)
        Values in order up to the one that matched: True, False, None (unknown).
    """

    tag: str
    value: str | None
    as_of: date
    seen: tuple[tuple[str, Any], ...]
    tried: tuple[tuple[str, bool | None], ...]

    @property
    def verdict(self) -> str:
        """`matched`, `by_default`, or `outside` the tag's population."""
        if self.value is None:
            return "segments.explain.outside"
        matched = any(found for _, found in self.tried)
        return f"segments.explain.{'matched' if matched else 'by_default'}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a metric, then one a value tried."""
        found: list[dict[str, Cell]] = [
            {"about": "metric", "name": name, "seen": _cell(value)}
            for name, value in self.seen
        ]
        return found + [
            {"about": "value", "name": name, "seen": matched}
            for name, matched in self.tried
        ]


def _cell(value: Any) -> Cell:  # noqa: ANN401
    return value.isoformat() if isinstance(value, date) else value


def micros(moment: Any) -> int:  # noqa: ANN401
    """Return microseconds since 1970 UTC of a datetime (naive is UTC) or a date."""
    if isinstance(moment, datetime):
        gap = moment - (EPOCH if moment.tzinfo is None else EPOCH_UTC)
        return (gap.days * 86_400 + gap.seconds) * 1_000_000 + gap.microseconds
    if isinstance(moment, date):
        return (moment - FIRST_DAY).days * DAY_US
    msg = f"a time is {moment!r}; it must be a datetime or a date; convert it first."
    raise ParameterError(msg, code="bad_time")


def day_number(us: int, tz: str) -> int:
    """Return the local date of an instant, as days since 1970-01-01."""
    starts, held = offsets(tz)
    offset = (
        held[-1] if not starts or us >= starts[-1] else held[bisect_right(starts, us)]
    )
    return (us + offset) // DAY_US


@lru_cache(maxsize=4096)
def started(day: date, back: int, tz: str) -> int:
    """Return the local midnight that begins the day `back` days before `day`."""
    return micros(instant(day - timedelta(days=back + 1), tz=tz))


@lru_cache(maxsize=512)
def periods(as_of: date, period: str, tz: str) -> Periods:
    """Return where the period of a day and the two before it begin.

    Parameters
    ----------
    as_of : date
        A local day.
    period : {"day", "week", "month"}
        Weeks begin on Monday.
    tz : str
        The zone of the days.

    Returns
    -------
    Periods
        `complete` where `as_of` is the last day of its period.
    """
    first = _first_day(as_of, period)
    before = _first_day(first - timedelta(days=1), period)
    earlier = _first_day(before - timedelta(days=1), period)
    following = as_of + timedelta(days=1)
    return Periods(
        started(first, 0, tz),
        started(before, 0, tz),
        started(earlier, 0, tz),
        _first_day(following, period) == following,
    )


def _first_day(day: date, period: str) -> date:
    if period == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period == "month" else day


class Env:
    """One `as_of` in one zone, and where windows begin in it."""

    __slots__ = ("as_of", "context", "day", "end", "population", "refunds", "tz")

    def __init__(self, as_of: date, tz: str, context: Context | None) -> None:
        self.as_of = as_of
        self.population = "seen"
        self.tz = tz
        self.context = context
        self.end = started(as_of, -1, tz)
        self.day = (as_of - FIRST_DAY).days
        self.refunds: dict[str, int] | None = None

    def start(self, last: int) -> int:
        """Return where the window of the `last` local days begins."""
        return started(self.as_of, last - 1, self.tz)

    def days_since(self, us: int) -> int:
        """Return local days from an instant to `as_of`."""
        return self.day - day_number(us, self.tz)


# rows that count


def _where(where: Where, table: str) -> Test:
    """Return a test of one row; what it lacks is a fault of the caller's."""
    if where.op == "not":
        inner = _where(where.parts[0], table)

        def negated(row: Mapping[str, Any]) -> bool | None:
            found = inner(row)
            return None if found is None else not found

        return negated
    if where.op in ("all", "any"):
        tests = [_where(part, table) for part in where.parts]
        decisive = where.op == "any"

        def joined(row: Mapping[str, Any]) -> bool | None:
            unknown = False
            for test in tests:
                found = test(row)
                if found is decisive:
                    return decisive
                unknown = unknown or found is None
            return None if unknown else not decisive

        return joined
    if column_kind(table, where.column) not in ("text", "int", "float", "bool"):
        return where.matches
    column, op, value = where.column, where.op, where.value

    def compared(row: Mapping[str, Any]) -> bool | None:
        if column not in row:
            raise ColumnNotFoundError(column, row)
        seen = row[column]
        if seen is not None and seen != seen:  # noqa: PLR0124  (NaN)
            seen = None
        return compare(op, seen, value)

    return compared


def _chosen(metric: Metric) -> Callable[[Rows, Env], Rows]:
    """Return what picks the rows that count, by window and filter."""
    last = metric.last
    test = _where(metric.where, metric.of) if metric.where is not None else None
    if test is None and last is None:
        return lambda rows, _: rows
    if test is None:
        days = last or 0

        def windowed(rows: Rows, env: Env) -> Rows:
            start = env.start(days)
            return [row for row in rows if row[0] >= start]

        return windowed

    def picked(rows: Rows, env: Env) -> Rows:
        start = env.start(last) if last is not None else None
        return [
            row
            for row in rows
            if (start is None or row[0] >= start) and test(row[1]) is True
        ]

    return picked


def _amount(metric: Metric) -> Callable[[Mapping[str, Any], Env], Any]:
    """Return what reads the column of a row, after refunds where asked."""
    column = metric.col

    def plain(row: Mapping[str, Any], _: Env) -> Any:  # noqa: ANN401
        if column not in row:
            raise ColumnNotFoundError(column, row)
        value = row[column]
        if isinstance(value, datetime) and value.tzinfo is None:
            return value.replace(tzinfo=UTC)
        return None if value is not None and value != value else value  # noqa: PLR0124

    if not metric.net:
        return plain

    def net(row: Mapping[str, Any], env: Env) -> Any:  # noqa: ANN401
        paid = plain(row, env)
        if paid is None:
            return None
        if env.refunds is not None:
            return paid - env.refunds.get(row["order_id"], 0)
        return paid - (row.get("refund_fen") or 0)

    return net


# one function an operation: rows of one table, up to `as_of`, in; a value out


def _count(metric: Metric) -> Find:
    chosen = _chosen(metric)
    return lambda rows, env: len(chosen(rows, env))


def _distinct_days(metric: Metric) -> Find:
    chosen = _chosen(metric)
    return lambda rows, env: len(
        {day_number(us, env.tz) for us, _ in chosen(rows, env)}
    )


def _values(metric: Metric) -> Callable[[Rows, Env], list[Any]]:
    chosen, amount = _chosen(metric), _amount(metric)

    def values(rows: Rows, env: Env) -> list[Any]:
        seen = [amount(row, env) for _, row in chosen(rows, env)]
        return [value for value in seen if value is not None]

    return values


def _distinct(metric: Metric) -> Find:
    values = _values(metric)
    return lambda rows, env: len(set(values(rows, env)))


def _sum(metric: Metric) -> Find:
    values = _values(metric)
    return lambda rows, env: sum(values(rows, env))


def _least(metric: Metric) -> Find:
    values = _values(metric)
    return lambda rows, env: min(values(rows, env), default=None)


def _greatest(metric: Metric) -> Find:
    values = _values(metric)
    return lambda rows, env: max(values(rows, env), default=None)


def _mean(metric: Metric) -> Find:
    values = _values(metric)

    def mean(rows: Rows, env: Env) -> int | None:
        seen = values(rows, env)
        return sum(seen) // len(seen) if seen else None

    return mean


def _recency(metric: Metric) -> Find:
    chosen = _chosen(metric)

    def recency(rows: Rows, env: Env) -> int | None:
        found = chosen(rows, env)
        return env.days_since(max(us for us, _ in found)) if found else None

    return recency


def _edge(metric: Metric) -> Find:
    from growth.segments.ops import IDS

    chosen, amount = _chosen(metric), _amount(metric)
    name = IDS.get(metric.of, "")
    pick = min if metric.op == "first" else max

    def edge(rows: Rows, env: Env) -> Any:  # noqa: ANN401
        keyed = []
        for us, row in chosen(rows, env):
            value = amount(row, env)
            known = value is not None
            key = row.get(name)
            key = "" if key is None else str(key)
            keyed.append((us, key, known, value if known else 0))
        best = pick(keyed, default=None)
        return best[3] if best is not None and best[2] else None

    return edge


def _steps(metric: Metric, rows: Rows) -> Rows:
    test = _where(metric.where, metric.of) if metric.where is not None else None
    return [
        row
        for row in rows
        if row[1]["event"] in metric.steps and (test is None or test(row[1]) is True)
    ]


def _without(metric: Metric) -> Find:
    """Look for an A with no B in (t, t + within]."""
    one, two = metric.steps
    within = (metric.within or 0) * DAY_US
    anchor, hold = metric.anchor or "last", metric.hold

    def without(rows: Rows, env: Env) -> bool:
        start = env.start(metric.last) if metric.last is not None else None
        steps = _steps(metric, rows)
        asked = [
            row
            for row in steps
            if row[1]["event"] == one and (start is None or row[0] >= start)
        ]
        if not asked:
            return False
        if anchor != "any":
            at = (max if anchor == "last" else min)(us for us, _ in asked)
            asked = [row for row in asked if row[0] == at]
        answers = [row for row in steps if row[1]["event"] == two]
        return any(
            env.end - us >= within
            and not any(
                us < then <= us + within and _held(row, answer, hold)
                for then, answer in answers
            )
            for us, row in asked
        )

    return without


def _held(a: Mapping[str, Any], b: Mapping[str, Any], hold: Sequence[str]) -> bool:
    return all(a.get(name) is not None and a[name] == b.get(name) for name in hold)


def _sequence(metric: Metric) -> Find:
    """Carry the latest start through the steps: each row fills one of them."""
    within = (metric.within or 0) * DAY_US
    steps, anchor = metric.steps, metric.anchor or "any"

    def sequence(rows: Rows, env: Env) -> bool:
        start = env.start(metric.last) if metric.last is not None else None
        found = _steps(metric, rows)
        found.sort(key=lambda row: (row[0], steps.index(row[1]["event"])))
        begins = [
            us
            for us, row in found
            if row["event"] == steps[0] and (start is None or us >= start)
        ]
        if not begins:
            return False
        only = None
        if anchor != "any":
            only = max(begins) if anchor == "last" else min(begins)
        reached: list[int | None] = [None] * len(steps)
        for us, row in found:
            for k in range(len(steps) - 1, -1, -1):
                if row["event"] != steps[k]:
                    continue
                if k == 0:
                    if (start is None or us >= start) and only in (None, us):
                        reached[0] = us
                    continue
                begun = reached[k - 1]
                if begun is not None and us - begun <= within:
                    held = reached[k]
                    reached[k] = begun if held is None else max(begun, held)
        return reached[-1] is not None

    return sequence


def _rfm(metric: Metric) -> Find:
    chosen, amount, bins = _chosen(metric), _amount(metric), metric.bins

    def rfm(rows: Rows, env: Env) -> Any:  # noqa: ANN401
        found = chosen(rows, env)
        if not found:
            return None
        cuts = _yard(metric, env)
        days = env.days_since(max(us for us, _ in found))
        seen = [amount(row, env) for _, row in found]
        money = sum(value for value in seen if value is not None)
        r = bins + 1 - score(days, cuts["r"])
        f, m = score(len(found), cuts["f"]), score(money, cuts["m"])
        match metric.part:
            case "r":
                return r
            case "f":
                return f
            case "m":
                return m
            case "fm":
                return (f + m + 1) // 2
            case "code":
                return f"{r}{f}{m}"
        return name_of_rfm(r, (f + m + 1) // 2)

    return rfm


def name_of_rfm(r: int, fm: int) -> str:
    """Return the segment of scores 1..5: recency, and the mean of the other two.

    Parameters
    ----------
    r, fm : int
        Scores, 5 the best; the mean is rounded halves up.

    Returns
    -------
    str
        One of `growth.segments.ops.RFM_NAMES`, the first that fits.

    Examples
    --------
    >>> name_of_rfm(5, 1), name_of_rfm(1, 5), name_of_rfm(1, 2)
    ('new', 'at_risk', 'lost')
    """
    fits = (
        r >= 4 and fm >= 4,
        r >= 3 and fm >= 4,
        r >= 4 and fm == 1,
        r >= 4,
        r <= 2 and fm >= 4,
        r == 3,
        r == 2,
        True,
    )
    return RFM_NAMES[fits.index(True)]


def _quantile(metric: Metric) -> Find:
    inner = FIND[metric.metric.op](metric.metric)  # type: ignore[union-attr,arg-type]

    def quantile(rows: Rows, env: Env) -> int | None:
        value = inner(rows, env)
        return None if value is None else score(value, _yard(metric, env)["cuts"])

    return quantile


def _yard(metric: Metric, env: Env) -> Mapping[str, Any]:
    if env.context is None:
        raise need_context(metric)
    return env.context.find(metric, env.tz, env.population)


def _lifecycle(metric: Metric) -> Find:
    chosen = _chosen(metric)

    def lifecycle(rows: Rows, env: Env) -> str | None:
        found = [us for us, _ in chosen(rows, env)]
        if not found:
            return None
        this, before, earlier, complete = periods(env.as_of, metric.period, env.tz)
        # a period that still runs has decided nothing for those silent in it
        if not complete and max(found) < this:
            this, before = before, earlier
        prior = any(before <= us < this for us in found)
        if max(found) >= this:
            if min(found) >= this:
                return "new"
            return "returning" if prior else "resurrecting"
        return "dormant" if prior else "asleep"

    return lifecycle


def _days(metric: Metric) -> Callable[[Rows, Env], list[int]]:
    chosen = _chosen(metric)
    return lambda rows, env: sorted(
        {day_number(us, env.tz) for us, _ in chosen(rows, env)}
    )


def _overdue(metric: Metric) -> Find:
    days, p = _days(metric), metric.p

    def overdue(rows: Rows, env: Env) -> bool | None:
        found = days(rows, env)
        if not found:
            return None
        if len(found) >= 3:
            gaps = sorted(b - a for a, b in pairwise(found))
            usual = gaps[-(-p * len(gaps) // 100) - 1]
        else:
            usual = _yard(metric, env)["gap"]
        return None if usual is None else env.day - found[-1] > usual

    return overdue


def _model(metric: Metric) -> Find:
    days, chosen, amount = _days(metric), _chosen(metric), _amount(metric)

    def model(rows: Rows, env: Env) -> Any:  # noqa: ANN401
        from growth.segments.models import answer

        found = days(rows, env)
        if not found:
            return None
        yard = _yard(metric, env)
        orders, money = 0, 0
        if metric.op == "clv_fen":
            seen = [amount(row, env) for _, row in chosen(rows, env)]
            above = [value for value in seen if value is not None and value > 0]
            orders, money = len(above), sum(above)
        first, latest = found[0], found[-1]
        told = answer(
            metric, yard, [len(found) - 1], [latest - first], [env.day - first],
            [orders], [money],
        )  # fmt: skip
        return told[0].item()

    return model


def _reach(metric: Metric) -> Find:
    def reach(rows: Rows, env: Env) -> str:
        from growth.segments.reach import reach_value

        return reach_value(rows, env.end, max_per_week=metric.max_per_week)

    return reach


FIND: dict[str, Callable[[Metric], Find]] = {
    "count": _count,
    "distinct_days": _distinct_days,
    "distinct": _distinct,
    "sum": _sum,
    "min": _least,
    "max": _greatest,
    "mean": _mean,
    "recency_days": _recency,
    "first": _edge,
    "last": _edge,
    "sequence": _sequence,
    "without": _without,
    "rfm": _rfm,
    "quantile": _quantile,
    "lifecycle": _lifecycle,
    "overdue": _overdue,
    "reach": _reach,
    **dict.fromkeys(MODELS, _model),
}


# conditions


def _condition(when: When, at: Mapping[Any, int]) -> Callable[[list[Any]], bool | None]:
    """Return a test over the values of a tag's subjects, held in one list."""
    if when.op == "not":
        inner = _condition(when.parts[0], at)

        def negated(seen: list[Any]) -> bool | None:
            found = inner(seen)
            return None if found is None else not found

        return negated
    if when.op in ("all", "any"):
        tests = [_condition(part, at) for part in when.parts]
        decisive = when.op == "any"

        def joined(seen: list[Any]) -> bool | None:
            unknown = False
            for test in tests:
                found = test(seen)
                if found is decisive:
                    return decisive
                unknown = unknown or found is None
            return None if unknown else not decisive

        return joined
    place, op, value = at[when.tag or when.metric], when.op, when.value

    def compared(seen: list[Any]) -> bool | None:
        return compare(op, seen[place], value)

    return compared


class _Step(NamedTuple):
    """One tag, ready to be answered."""

    tag: Tag
    finds: list[tuple[int, str, Find]]
    tags: list[tuple[int, str]]
    values: list[tuple[str, Callable[[list[Any]], bool | None]]]
    slots: int
    names: dict[str, int]


class Rule:
    """A tag ready to be answered for one user at a time.

    Made by `growth.segments.rule`. It holds no data and may be shared by threads.

    Parameters
    ----------
    rules : Rules
        Rules that hold the tag.
    name : str
        The tag.
    context : Context, optional
        Yardsticks; without them a tag that needs some raises.
    """

    __slots__ = ("_steps", "_tables", "context", "name")

    def __init__(self, rules: Rules, name: str, context: Context | None = None) -> None:
        self.name = name
        self.context = context
        self._steps = [_step(tag) for tag in rules.closure(name)]
        needed = {table for step in self._steps for _, table, _ in step.finds}
        for step in self._steps:
            needed |= set(PEOPLE[step.tag.population])
        self._tables = sorted(needed)

    def value_for(
        self,
        record: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
        *,
        as_of: date,
        metrics: Mapping[str, Any] | None = None,
        context: Context | None = None,
    ) -> str | None:
        """Return the user's value.

        Parameters
        ----------
        record : mapping of str to sequence of mapping
            The user's rows by canonical table: ``{"orders": [...], "events": [...]}``,
            columns by canonical names, times as datetimes (naive is UTC). Rows after
            `as_of` do not count; the order does not matter. ``refunds`` rows date
            refunds.
        as_of : date
            The last local day counted.
        metrics : mapping of str to value, optional
            Ready values by the tag's own metric names, used instead of rows.
        context : Context, optional
            Yardsticks instead of the rule's own.

        Returns
        -------
        str or None
            None where the user is not of the tag's population.

        Raises
        ------
        ContextRequiredError
            If a metric needs yardsticks that are not there: never a guess.
        ColumnNotFoundError
            If a row lacks a column that is read.
        ParameterError
            If `as_of` is no date (code ``bad_as_of``), or a time no datetime
            (``bad_time``).
        DataError
            If two values match and the tag is ``disjoint`` (code ``overlap_found``).
        """
        found, _, _ = self._run(record, as_of, metrics, context)
        return found[self.name]

    def explain(
        self,
        record: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
        *,
        as_of: date,
        metrics: Mapping[str, Any] | None = None,
        context: Context | None = None,
    ) -> Explanation:
        """Return the user's value with what was seen, and why others failed.

        Parameters
        ----------
        record, as_of, metrics, context
            As in `value_for`.

        Returns
        -------
        Explanation
            One row a metric and a value tried.

        Raises
        ------
        ContextRequiredError, ColumnNotFoundError, ParameterError
            As `value_for`.
        """
        values, step, seen = self._run(record, as_of, metrics, context)
        tried: list[tuple[str, bool | None]] = []
        if values[self.name] is not None:
            for name, test in step.values:
                tried.append((name, test(seen)))
                if tried[-1][1]:
                    break
        told = [(name, seen[place]) for name, place in step.names.items()]
        return Explanation(
            tag=self.name,
            value=values[self.name],
            as_of=as_of,
            seen=tuple(told),
            tried=tuple(tried),
        )

    def _run(
        self,
        record: Mapping[str, Sequence[Mapping[str, Any]]] | None,
        as_of: date,
        metrics: Mapping[str, Any] | None,
        context: Context | None,
    ) -> tuple[dict[str, str | None], _Step, list[Any]]:
        if not isinstance(as_of, date) or isinstance(as_of, datetime):
            msg = f"as_of is {as_of!r}; it must be a date, the last day counted; pass"
            raise ParameterError(f"{msg} one.", code="bad_as_of")
        context = context or self.context
        record = record or {}
        found: dict[str, str | None] = {}
        seen: list[Any] = []
        step = self._steps[-1]
        env: Env | None = None
        rows: dict[str, Any] = {}
        for step in self._steps:
            if env is None or step.tag.tz != env.tz:
                env = Env(as_of, step.tag.tz, context)
                rows = {t: _timed(record.get(t, ()), t, env) for t in self._tables}
                env.refunds = _refunds(record.get("refunds"), env.end)
            env.population = step.tag.population
            ready = metrics if step.tag.name == self.name else None
            if ready is None and not any(rows[t] for t in PEOPLE[step.tag.population]):
                found[step.tag.name] = None
                seen = [None] * step.slots
                continue
            seen = [None] * step.slots
            if ready is None:
                for place, table, find in step.finds:
                    seen[place] = find(rows[table], env)
            else:
                _take(step, ready, seen)
            for place, name in step.tags:
                seen[place] = found[name]
            matches = (name for name, test in step.values if test(seen))
            found[step.tag.name] = next(matches, step.tag.default)
            if step.tag.disjoint and next(matches, None) is not None:
                raise overlap_found(step.tag.name, "the record")
        return found, step, seen


def overlap_found(tag: str, who: str) -> DataError:
    """Return the error for values that match together though none may."""
    msg = f"tag {tag}: two values match {who}; it says disjoint, so one at most may; "
    msg = f"{msg}narrow the values, or leave disjoint out: the first match then wins."
    return DataError(msg, code="overlap_found")


PEOPLE = {
    "seen": ("events", "orders"),
    "buyers": ("orders",),
    "members": ("members",),
}


def _timed(rows: Sequence[Mapping[str, Any]], table: str, env: Env) -> Rows:
    """Return rows up to `as_of` with their instants; those without a time are not."""
    column, end = TIMES[table], env.end
    if column.endswith("_ds"):  # a date stands for the local midnight it begins with
        dated = ((started(row[column], 0, env.tz), row) for row in rows if row[column])
        return [row for row in dated if row[0] < end]
    timed = [(micros(row[column]), row) for row in rows if row[column] is not None]
    return [row for row in timed if row[0] < end]


def _refunds(
    rows: Sequence[Mapping[str, Any]] | None, end: int
) -> dict[str, int] | None:
    if rows is None:
        return None
    found: dict[str, int] = {}
    for row in rows:
        parts = (key, at, off) = row["order_id"], row["ts"], row["amount_fen"]
        if any(part is None or part != part for part in parts):  # noqa: PLR0124
            continue  # of no order, of no time, of no amount (NaN, NaT)
        if micros(at) < end:
            found[key] = found.get(key, 0) + off
    return found


def _take(step: _Step, ready: Mapping[str, Any], seen: list[Any]) -> None:
    for name, place in step.names.items():
        if name not in ready:
            raise ColumnNotFoundError(name, ready, unlocks=f"the tag {step.tag.name}")
        seen[place] = ready[name]


def _step(tag: Tag) -> _Step:
    used = list(dict.fromkeys(tag.used()))
    refers = tag.refers()
    at: dict[Any, int] = {subject: i for i, subject in enumerate([*used, *refers])}
    named = {metric: name for name, metric in tag.metrics}
    return _Step(
        tag,
        [(at[m], m.of, FIND[m.op](m)) for m in used],
        [(at[name], name) for name in refers],
        [(v.name, _condition(v.when, at)) for v in tag.values],  # type: ignore[arg-type]
        len(at),
        {named[m]: at[m] for m in used},
    )


def rule(rules: Rules, name: str, *, context: Context | None = None) -> Rule:
    """Return one tag, ready to be answered for one user at a time.

    Parameters
    ----------
    rules : Rules
        Rules that hold the tag and those it refers to.
    name : str
        The tag.
    context : Context, optional
        Frozen yardsticks, from `growth.segments.freeze`; needed by ``rfm``,
        ``quantile``, ``overdue`` and the models.

    Returns
    -------
    Rule
        With `value_for` and `explain`.

    Raises
    ------
    ParameterError
        If there is no such tag (code ``unknown_tag``).

    Examples
    --------
    >>> from datetime import date, datetime
    >>> from growth.segments import Tag, Value, count, rules_of
    >>> often = Value("often", count("orders", last=30) >= 2)
    >>> buying = rule(rules_of(Tag("buying", [often], default="rarely")), "buying")
    >>> row = {"pay_ts": datetime(2026, 3, 1, 4), "paid_fen": 1900}
    >>> buying.value_for({"orders": [row, row]}, as_of=date(2026, 3, 1))
    'often'
    """
    return Rule(rules, name, context)
