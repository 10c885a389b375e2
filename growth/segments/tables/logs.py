"""What is held of a log, a file a day: so that tomorrow only tomorrow is read.

Of each user and local day the *partials* are kept: what the questions of any window
add up from. Where partials do not do (different values, rows in order of time) the
few rows and columns that do are kept as they are. Windows, thresholds and names of
tags are no part of it, so changing them reads nothing again.

::

    <folder>/<table>-<hash of what is held>/
      manifest.json     rows of each day in the source, and when it was read last
      sums-<day>.parquet, rows-<day>.parquet     days since 1970
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from functools import cached_property, reduce
from hashlib import sha256
from operator import or_
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from growth.engine import (
    as_table,
    backend_of,
    connect,
    fetch,
    local_day,
    read_files,
)
from growth.engine.connections import escape_glob
from growth.engine.dialect import aggregate_builtin
from growth.result import Notice
from growth.segments.evaluate import FIRST_DAY, day_number, started
from growth.segments.ops import TIMES
from growth.segments.tables.asks import Ask, value_of
from growth.segments.tables.expressions import before, integer, since
from growth.segments.tables.tallies import added, beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import ibis.expr.types as ir

    from growth.segments.rules import Metric
    from growth.segments.tables.sources import Sources

__all__ = ["Log", "Logs"]

# tables whose rows are added and never changed; orders, members and the ledger of
# messages change, and are read whole
APPENDED: Final = ("events", "participations", "points_ledger")
COUNTED: Final = ("rows", "within", "days")
IN_ORDER: Final = ("sequence", "without")
MANIFEST: Final = "manifest.json"
CHUNK: Final = 4_000_000  # rows read at once where many days are


@dataclass
class Logs:
    """Where partials are held, and for how long a day may still get rows.

    Parameters
    ----------
    folder : Path
        Of all logs; made when something is held.
    lateness : int
        Days: a day is read again until so many have gone by.
    """

    folder: Path
    lateness: int
    notices: list[Notice] = field(default_factory=list)

    def hold(self, sources: Sources, name: str, asks: Iterable[Ask]) -> Log | None:
        """Bring what is held of a table up to `as_of`.

        Parameters
        ----------
        sources : Sources
            The rows.
        name : str
            The table.
        asks : iterable of Ask
            What is asked of it.

        Returns
        -------
        Log or None
            None where it is read whole: it is no log, its tags differ in their
            zone, or one asks for gaps.
        """
        used = [metric for metric, _, _ in sources.pairs if metric.of == name]
        if (
            name not in APPENDED
            or len(sources.ends) > 1
            or any(metric.op == "overdue" for metric in used)
        ):
            return None
        log = Log(self, sources, name, list(asks), used)
        log.refresh()
        return log


class _Day(NamedTuple):
    """Rows of a day in the source when it was last read, and the `as_of` then."""

    rows: int
    read: int


class Log:
    """What is held of one table. Made by `Logs.hold`.

    Parameters
    ----------
    logs : Logs
        Where.
    sources : Sources
        The rows.
    name : str
        The table.
    asks : list of Ask
        What partials are to answer.
    used : list of Metric
        What may need rows.
    """

    def __init__(
        self,
        logs: Logs,
        sources: Sources,
        name: str,
        asks: list[Ask],
        used: list[Metric],
    ) -> None:
        self.logs, self.sources, self.name = logs, sources, name
        (self.tz,) = sources.ends
        asks = [Ask("rows"), *asks]
        whole = {repr(_partial(ask)): _partial(ask) for ask in asks if _adds(ask)}
        self.partials = {f"p{i}": whole[told] for i, told in enumerate(sorted(whole))}
        self.columns = {repr(ask): column for column, ask in self.partials.items()}
        self.filters = _kept(asks, used)
        told = {
            "user": sources.user,
            "tz": self.tz,
            "partials": list(self.columns),
            "rows": sorted(map(repr, self.filters)),
            "of": sources.rows(name).columns if self.filters else [],
        }
        mark = sha256(json.dumps(told).encode()).hexdigest()[:16]
        self.folder = logs.folder / f"{name}-{mark}"

    # upkeep

    def refresh(self) -> None:
        """Read the days that are new or may have got rows since; note late ones."""
        day, end = self.sources.day, self.sources.day + 1
        nulls, held = self._manifest()
        due = {d for d in range(min(held, default=day), end) if self._is_due(d, held)}
        if not held:
            counts = self._counts(None)
            nulls = counts.pop(None, 0)
            due = {*range(min([*counts, day]), end)}
            late: dict[int, int] = {}
        else:
            first = min(due, default=end)
            counts = self._counts(first)
            settled = self._all_rows() - sum(counts.values())
            if settled != nulls + sum(h.rows for d, h in held.items() if d < first):
                counts = self._counts(None)
                nulls = counts.pop(None, 0)
                first = min({*counts, *held})
            late = {
                d: abs(counts.get(d, 0) - (held[d].rows if d in held else 0))
                for d in range(first, end)
                if d not in due
            }
            late = {d: n for d, n in late.items() if n}
        for days in _runs(sorted({*due, *late}), counts):
            self._read(days)
        if late:
            told = (
                ("table", self.name),
                ("n", sum(late.values())),
                ("days", len(late)),
                ("lateness", self.logs.lateness),
            )
            self.logs.notices.append(Notice("segments_late_rows", args=told))
        read = {d: _Day(counts.get(d, 0), day) for d in {*due, *late}}
        if read:
            self._write_manifest(nulls, held | read)
        if not held:  # what other rules held is out of use
            for other in self.logs.folder.glob(f"{self.name}-*"):
                if other != self.folder:
                    shutil.rmtree(other, ignore_errors=True)

    def _is_due(self, day: int, held: Mapping[int, _Day]) -> bool:
        if day not in held:
            return True
        return held[day].read < min(self.sources.day, day + self.logs.lateness)

    def _manifest(self) -> tuple[int, dict[int, _Day]]:
        try:
            found = json.loads((self.folder / MANIFEST).read_text("utf-8"))
            return found["nulls"], {int(d): _Day(*v) for d, v in found["days"].items()}
        except (OSError, ValueError, KeyError, TypeError):
            return 0, {}  # derived: what cannot be read is made anew

    def _write_manifest(self, nulls: int, days: Mapping[int, _Day]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        told = {"nulls": nulls, "days": {str(d): days[d] for d in sorted(days)}}
        aside = self.folder / f".{MANIFEST}"
        aside.write_text(json.dumps(told), "utf-8")
        aside.replace(self.folder / MANIFEST)

    def _all_rows(self) -> int:
        rows = self.sources.table(self.name)
        found = fetch(rows.aggregate(n=rows.count()), "counting rows")
        return int(found["n"][0].as_py())

    def _counts(self, first: int | None) -> dict[Any, int]:
        """Count the source's rows by local day, from a day on."""
        rows = self.sources.table(self.name)
        time = rows[TIMES[self.name]]
        if first is not None:
            rows = rows.filter(since(time, self._midnight(first)))
        day = local_day(rows[TIMES[self.name]], self.tz)
        counted = rows.group_by(day=day).agg(n=rows.count())
        found = fetch(counted, "counting rows by day")
        return dict(zip(*(found[c].to_pylist() for c in ("day", "n")), strict=True))

    def _midnight(self, day: int) -> int:
        return started(FIRST_DAY, -day, self.tz)

    def _read(self, days: range) -> None:
        """Read some days of the source and write what is held of each."""
        rows = self.sources.rows(self.name)
        time = rows[TIMES[self.name]]
        rows = rows.filter(
            since(time, self._midnight(days.start)),
            before(time, self._midnight(days.stop)),
        )
        rows = rows.mutate(growth_on=local_day(rows[TIMES[self.name]], self.tz))
        sums = rows.group_by(self.sources.user, "growth_on").agg(
            **{
                column: value_of(
                    ask, rows, self.name,
                    None if ask.where is None else ask.where.to_ibis(rows),
                )
                for column, ask in self.partials.items()
            }
        )  # fmt: skip
        self._write("sums", days, fetch(sums, "summing days"))
        if self.filters:
            tests = [make(rows) for make in self.filters.values()]
            some = all(test is not None for test in tests)
            kept = rows.filter(reduce(or_, tests)) if some else rows
            self._write("rows", days, fetch(kept, "keeping rows"))

    def _write(self, what: str, days: range, found: Any) -> None:  # noqa: ANN401
        import numpy as np
        import pyarrow.parquet as pq

        self.folder.mkdir(parents=True, exist_ok=True)
        found = found.sort_by("growth_on")
        at = found["growth_on"].to_numpy()
        for day in days:
            path = self.folder / f"{what}-{day}.parquet"
            first, stop = np.searchsorted(at, [day, day + 1])
            if (
                first == stop and day != days[-1]
            ):  # one file says what columns there are
                path.unlink(missing_ok=True)
                continue
            aside = path.with_name(f".{path.name}-{os.getpid()}")
            pq.write_table(found.slice(first, stop - first), aside, compression="zstd")
            aside.replace(path)

    # answers

    @cached_property
    def _connection(self) -> Any:  # noqa: ANN401
        return connect()  # the data's own may be locked to another folder

    def _held(self, what: str) -> ir.Table:
        folder = escape_glob(str(self.folder.resolve()))
        table = read_files(self._connection, f"{folder}/{what}-*.parquet")
        return table.filter(table.growth_on <= self.sources.day)

    def rows(self) -> ir.Table:
        """Return the rows that were kept, up to `as_of`."""
        return self._held("rows").drop("growth_on")

    def fetched(self, table: ir.Table) -> ir.Table:
        """Return a table of what is held as rows in hand, joinable with the rest."""
        backend = backend_of(self.sources.rows(self.name))
        found = fetch(table, f"adding up days of {self.name}")
        return as_table(found, connection=backend)

    def answers(self, asks: Mapping[str, Ask]) -> ir.Table:
        """Return a row a user with the answers of questions."""
        user, sums = self.sources.user, self._held("sums")
        counted = added(self.sources, sums, asks, self._column, self.tz)
        done = set() if counted is None else counted[1]
        told = {
            c: self._added(sums, ask)
            for c, ask in asks.items()
            if _adds(ask) and c not in done
        }
        found = beside(counted, sums, user, told)
        rest = {c: ask for c, ask in asks.items() if not _adds(ask)}
        if rest:
            rows = self.rows()
            values = {c: self._different(rows, ask) for c, ask in rest.items()}
            more = rows.group_by(growth_left=rows[user]).agg(**values)
            found = found.left_join(more, found[user] == more.growth_left)
            zeros = {c: found[c].fill_null(0) for c in rest}
            found = found.mutate(zeros).drop("growth_left")
        if counted is not None and found is counted[0]:
            rows = self.sources.rows(self.name)
            if backend_of(rows).name == "duckdb":
                return found  # in hand already
        return self.fetched(found)

    def _column(self, ask: Ask) -> str:
        """Return the partials that a question adds up."""
        return self.columns[repr(_partial(ask))]

    def _different(self, rows: ir.Table, ask: Ask) -> ir.Value:
        tests = [] if ask.where is None else [ask.where.to_ibis(rows)]
        if ask.last is not None:
            start = self.sources.start(ask.last, self.tz)
            tests.append(since(rows[TIMES[self.name]], start))
        kept = reduce(lambda a, b: a & b, tests) if tests else None
        return value_of(ask, rows, self.name, kept)

    def _added(self, sums: ir.Table, ask: Ask) -> ir.Value:
        """Return an answer as an aggregate over the partials of its days."""
        value = sums[self._column(ask)]
        days = None
        if ask.last is not None:
            days = sums.growth_on > integer(self.sources.day - ask.last)
        if ask.what == "within":
            first, end = (day_number(us, self.tz) for us in ask.span)
            inside = (sums.growth_on >= integer(first)) & (
                sums.growth_on < integer(end)
            )
            days = inside if days is None else days & inside
        match ask.what:
            case "days":
                some = value > 0
                return sums.count(where=some if days is None else some & days)
            case "latest" | "max":
                return value.max(where=days)
            case "earliest" | "min":
                return value.min(where=days)
            case "first" | "last":
                kind = str(value.type())
                pick = aggregate_builtin("min" if ask.what == "first" else "max", kind)
                return (pick(value) if days is None else pick(value, where=days))[
                    "value"
                ]
        total = aggregate_builtin("sum", "decimal(38, 0)")
        told = total(value) if days is None else total(value, where=days)
        told = told.cast("int64")
        return told if ask.what.startswith("sum") else told.fill_null(0)


def _adds(ask: Ask) -> bool:
    return ask.what != "distinct"


def _partial(ask: Ask) -> Ask:
    """Return what of a question is kept a day: its window is none of it."""
    if ask.what in COUNTED:
        return Ask("rows", ask.where)
    what = f"{ask.what}_row" if ask.what in ("first", "last") else ask.what
    return Ask(what, ask.where, col=ask.col)


def _kept(
    asks: Sequence[Ask], used: Sequence[Metric]
) -> dict[str, Callable[[ir.Table], Any]]:
    """Return which rows are kept: for values that differ, and for order in time."""
    found: dict[str, Callable[[ir.Table], Any]] = {}

    def test(where: Any, steps: Sequence[str] = ()) -> Callable[[ir.Table], Any]:  # noqa: ANN401
        def make(rows: ir.Table) -> Any:  # noqa: ANN401
            told = rows.event.isin(list(dict.fromkeys(steps))) if steps else None
            if where is None:
                return told
            return where.to_ibis(rows) if told is None else told & where.to_ibis(rows)

        return make

    for ask in asks:
        if not _adds(ask):
            found[f"{ask.where!r}"] = test(ask.where)
    for metric in used:
        if metric.op in IN_ORDER:
            found[f"{metric.where!r} {metric.steps}"] = test(metric.where, metric.steps)
    return found


def _runs(days: Sequence[int], counts: Mapping[int, int]) -> Iterator[range]:
    """Split days into runs without gaps, of so many rows as are read at once."""
    start, rows = None, 0
    for i, day in enumerate(days):
        start = day if start is None else start
        rows += counts.get(day, 0)
        last = i + 1 == len(days) or days[i + 1] != day + 1
        if last or rows + counts.get(day + 1, 0) > CHUNK:
            yield range(start, day + 1)
            start, rows = None, 0
