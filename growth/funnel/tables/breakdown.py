"""Values of a breakdown: which there are, and the number of each row's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from growth.errors import ParameterError
from growth.funnel.tables.asking import touches

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from growth.funnel.plan import CodeTable
    from growth.funnel.steps import FunnelSpec

__all__ = ["as_texts", "bearing", "combinations", "valued"]

Table: TypeAlias = Any  # an Ibis table

MOST_VALUES: Final = 1_000_000
CASES: Final = 16  # values told apart in an expression; more are joined


def as_texts(rows: Iterable[Sequence[Any]]) -> list[tuple[str | None, ...]]:
    """Return what columns say together, as it is shown."""
    return [
        tuple(None if value is None else str(value) for value in row) for row in rows
    ]


def bearing(spec: FunnelSpec, table: CodeTable) -> Collection[int]:
    """Return the codes of the events whose value is taken: those of a step."""
    if spec.order == "any":  # a chain may take its steps in whatever order
        return [i for i, code in enumerate(table.codes) if code.steps]
    number = int(spec.attribution.removeprefix("step_"))
    step = spec.steps.index(spec.required[number - 1])
    return [i for i, code in enumerate(table.codes) if code.steps >> step & 1]


def combinations(
    coded: Table, spec: FunnelSpec, table: CodeTable
) -> tuple[list[tuple[str | None, ...]], Any]:
    """Return the values that occur, in order, and the same as a table to join."""
    import pyarrow as pa

    from growth import engine

    rows = coded
    if not touches(spec):
        rows = coded.filter(coded.growth_code.isin(bearing(spec, table)))
    distinct = rows.select(*spec.by).distinct().limit(MOST_VALUES + 1)
    found = engine.fetch(distinct, "reading the breakdown")
    if len(found) > MOST_VALUES:
        msg = f"by={list(spec.by)} has over {MOST_VALUES:,} values; it must have fewer;"
        raise ParameterError(f"{msg} group them first.", code="too_many_values")
    lists = [found[name].to_pylist() for name in spec.by]
    texts = as_texts(zip(*lists, strict=True))
    order = sorted(
        range(len(texts)), key=lambda i: [(v is None, v or "") for v in texts[i]]
    )
    found = found.take(pa.array(order, pa.int64()))
    found = found.rename_columns([f"growth_is_{i}" for i in range(len(spec.by))])
    numbers = pa.array(range(1, len(order) + 1), pa.int64())
    return [texts[i] for i in order], found.append_column("growth_value", numbers)


def valued(
    rows: Table,
    lookup: Any,  # noqa: ANN401
    combos: Sequence[tuple[str | None, ...]],
    spec: FunnelSpec,
) -> Table:
    """Add the number of each row's values: 1, 2, ...; 0 where they are none."""
    import ibis

    from growth import engine

    kept = [name for name in rows.columns if not name.startswith("growth_by_")]
    whole = ibis.literal(0, "int64")
    if len(spec.by) == 1 and len(combos) <= CASES:
        pairs = [
            (value, ibis.literal(i, "int64"))
            for i, value in enumerate(lookup["growth_is_0"].to_pylist(), 1)
        ]
        column = rows["growth_by_0"]
        value = whole
        if some := [pair for pair in pairs if pair[0] is not None]:
            value = column.cases(*some, else_=whole)
        for _, number in (pair for pair in pairs if pair[0] is None):
            value = column.isnull().ifelse(number, value)
        return rows.select(*kept, growth_value=value)
    backend = engine.backend_of(rows)
    spark = backend if backend.name == "pyspark" else None
    values = engine.as_table(lookup, connection=spark)
    same = [
        rows[f"growth_by_{i}"].identical_to(values[f"growth_is_{i}"])
        for i in range(len(spec.by))
    ]
    joined = rows.left_join(values, same)
    return joined.select(*kept, growth_value=joined.growth_value.fill_null(0))
