"""Models over distinct histories of buyers: fitted once, answered once a history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from growth.engine import as_table, backend_of, fetch
from growth.segments.context import yardstick

if TYPE_CHECKING:
    from collections.abc import Mapping

    import ibis.expr.types as ir

    from growth.result import Notice
    from growth.segments.rules import Metric, Tag
    from growth.segments.tables.yardsticks import Make, People, Yardsticks

__all__ = ["Models"]


class Models:
    """What is asked of BG/NBD and Gamma-Gamma.

    Parameters
    ----------
    yards : Yardsticks
        Frozen parameters, where there are.
    """

    def __init__(self, yards: Yardsticks) -> None:
        self.yards = yards
        self.asked: list[tuple[Metric, Tag, Mapping[str, Make], str]] = []
        self.notices: list[Notice] = []

    def ask(self, metric: Metric, one: Tag, inputs: Mapping[str, Make]) -> str:
        """Return the column that answers a metric; `inputs` make its histories."""
        column = f"growth_model_{len(self.asked)}"
        self.asked.append((metric, one, inputs, column))
        return column

    def numbers(self, base: ir.Table, people: People) -> dict[str, dict[str, Any]]:
        """Return the parameters of each model."""
        found: dict[str, dict[str, Any]] = {}
        for metric, one, inputs, _ in self.asked:
            key = yardstick(metric, one.tz, one.population)
            if key not in found:
                members = base.filter(people(base, one))
                found[key] = self._fit(_histories(members, inputs, metric))
        return found

    def _fit(self, histories: Mapping[str, Any]) -> dict[str, Any]:
        from growth.segments.models import fitted

        yard, notices = fitted(
            histories["x"],
            histories["t_x"],
            histories["t"],
            histories["weight"],
            orders=histories.get("orders"),
            money=histories.get("money"),
        )
        self.notices += notices
        return yard

    def joined(self, table: ir.Table, base: ir.Table, people: People) -> ir.Table:
        """Add what models say of each history, worked out once a history."""
        import numpy as np
        import pyarrow as pa

        from growth.segments.models import answer

        for metric, one, inputs, column in self.asked:
            given = self.yards.given(yardstick(metric, one.tz, one.population), metric)
            members = base.filter(people(base, one))
            histories = _histories(members, inputs, metric)
            zero = np.zeros(1, dtype=np.int64)
            told = answer(
                metric,
                self._fit(histories) if given is None else given,
                histories["x"],
                histories["t_x"],
                histories["t"],
                histories.get("orders", zero),
                histories.get("money", zero),
            )
            names = {name: f"growth_h_{name}" for name in inputs}
            rows = {names[name]: histories[name] for name in inputs} | {column: told}
            answers = as_table(pa.table(rows), connection=backend_of(table))
            same = [make(table) == answers[names[n]] for n, make in inputs.items()]
            table = table.left_join(answers, same).drop(*names.values())
        return table


def _histories(
    members: ir.Table, inputs: Mapping[str, Make], metric: Metric
) -> dict[str, Any]:
    """Return distinct histories of buyers, counted: what a fit needs."""
    rows = members.select(**{name: make(members) for name, make in inputs.items()})
    rows = rows.filter(rows.x >= 0)
    counted = rows.group_by(list(inputs)).agg(weight=rows.count())
    found = fetch(counted, f"reading purchases for {metric.op}")
    found = found.sort_by([(name, "ascending") for name in inputs])
    return {
        name: found.column(name).to_numpy().astype("int64")
        for name in found.column_names
    }
