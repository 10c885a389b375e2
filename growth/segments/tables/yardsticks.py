"""Cut points and scores: what is taken from all users, and one user's place in it."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

from growth.engine import fetch
from growth.segments.context import need_context, yardstick
from growth.segments.tables.expressions import integer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import ibis.expr.types as ir

    from growth.segments.context import Context
    from growth.segments.rules import Metric, Tag

    Make = Callable[[ir.Table], ir.Value]
    People = Callable[[ir.Table, Tag], ir.BooleanValue]

__all__ = ["Yardsticks", "cut_table"]


class Yardsticks:
    """Numbers that are scored, and the cut points they are scored by.

    Parameters
    ----------
    context : Context or None
        Frozen yardsticks; others are taken from the data.
    freezing : bool
        Whether yardsticks are being taken, so that none need be there.
    """

    def __init__(self, context: Context | None, *, freezing: bool) -> None:
        self.context, self.freezing = context, freezing
        self.raws: dict[tuple[str, str], Make] = {}
        self.scores: dict[tuple[str, str, int], int] = {}
        self.names: dict[str, str] = {}
        self.of_users: dict[str, tuple[Metric, Tag, tuple[str, ...]]] = {}
        self.of_gaps: dict[str, tuple[Metric, ir.Table]] = {}

    @property
    def asked(self) -> bool:
        """Whether anything is taken from the data."""
        return bool(self.of_users or self.of_gaps)

    def given(self, key: str, metric: Metric) -> Mapping[str, Any] | None:
        """Return the yardstick of the context; a frozen one must be there."""
        if self.context is not None and key in self.context.yards:
            return self.context.yards[key]
        if metric.cuts == "frozen" and not self.freezing:
            raise need_context(metric)
        return None

    def measure(self, metric: Metric, one: Tag, raw: Mapping[str, Make]) -> None:
        """Note the numbers that are scored."""
        key = yardstick(metric, one.tz, one.population)
        for part, make in raw.items():
            self.raws[key, part] = make
            self._score_column(key, part, metric.bins)
        if self.given(key, metric) is None:
            self.of_users[key] = (metric, one, tuple(raw))

    def gap(self, key: str, metric: Metric, gaps: ir.Table) -> str:
        """Note that the shop's usual gap is taken; return its column."""
        self.of_gaps[key] = (metric, gaps)
        return self._cut_column(key, "gap", 0)

    def _raw_column(self, key: str, part: str) -> str:
        return f"growth_raw_{list(self.raws).index((key, part))}"

    def _cut_column(self, key: str, part: str, k: int) -> str:
        name = f"{key}:{part}:{k}"
        return self.names.setdefault(name, f"growth_cut_{len(self.names)}")

    def _score_column(self, key: str, part: str, bins: int) -> str:
        # a column of its own, or it is written out at each use
        names = self.scores.setdefault((key, part, bins), len(self.scores))
        return f"growth_score_{names}"

    def score(self, t: ir.Table, key: str, part: str, bins: int) -> ir.Value:
        """Return 1 plus the number of cut points below the value."""
        return t[self._score_column(key, part, bins)]

    def with_raws(self, table: ir.Table) -> ir.Table:
        """Add the numbers that are scored."""
        raws = {self._raw_column(*key): make(table) for key, make in self.raws.items()}
        return table.mutate(raws) if raws else table

    def with_scores(self, table: ir.Table) -> ir.Table:
        """Add the scores, by cut points that are in the table."""
        found = {self._score_column(*asked): self._scored(table, *asked)
                 for asked in self.scores}  # fmt: skip
        return table.mutate(found) if found else table

    def _scored(self, t: ir.Table, key: str, part: str, bins: int) -> ir.Value:
        value = t[self._raw_column(key, part)]
        if self.context is not None and key in self.context.yards:
            cuts = [integer(cut) for cut in self.context.yards[key][part]]
        else:
            cuts = [t[self._cut_column(key, part, k)] for k in range(bins - 1)]
        above = ((cut < value).cast("int64") for cut in cuts)
        return reduce(lambda a, b: a + b, above, value - value + 1)

    def cuts(self, base: ir.Table, people: People) -> ir.Table | None:
        """Return one row with every cut point, each a member of the data."""
        found: list[ir.Table] = []
        for key, (metric, one, parts) in self.of_users.items():
            members = base.filter(people(base, one))
            for part in parts:
                asks = [(self._cut_column(key, part, k), k + 1, metric.bins)
                        for k in range(metric.bins - 1)]  # fmt: skip
                found.append(cut_table(members, self._raw_column(key, part), asks))
        for key, (metric, gaps) in self.of_gaps.items():
            asks = [(self._cut_column(key, "gap", 0), metric.p, 100)]
            found.append(cut_table(gaps, "growth_gap", asks))
        return reduce(lambda a, b: a.cross_join(b), found) if found else None

    def numbers(self, base: ir.Table, people: People) -> dict[str, dict[str, Any]]:
        """Return cut points and gaps as numbers."""
        cuts = self.cuts(base, people)
        row = {} if cuts is None else fetch(cuts, "taking yardsticks").to_pylist()[0]
        found: dict[str, dict[str, Any]] = {}
        for key, (metric, _, parts) in self.of_users.items():
            told = {
                part: [
                    row[self._cut_column(key, part, k)] for k in range(metric.bins - 1)
                ]
                for part in parts
            }
            found[key] = {p: [] if None in v else v for p, v in told.items()}
        for key in self.of_gaps:
            found[key] = {"gap": row[self._cut_column(key, "gap", 0)]}
        return found


def cut_table(
    table: ir.Table, column: str, asks: Sequence[tuple[str, int, int]]
) -> ir.Table:
    """Return one row: for (name, k, b) the smallest value with share >= k / b."""
    import ibis

    known = table.filter(table[column].notnull())
    counts = known.group_by(growth_value=known[column]).agg(growth_users=known.count())
    running = ibis.window(order_by=counts.growth_value, rows=(None, 0))
    counts = counts.mutate(
        growth_up=counts.growth_users.sum().over(running).cast("int64"),
        growth_all=counts.growth_users.sum().over(ibis.window()).cast("int64"),
    )
    return counts.agg(
        **{
            name: counts.growth_value.min(
                where=counts.growth_up * b >= k * counts.growth_all
            )
            for name, k, b in asks
        }
    )
