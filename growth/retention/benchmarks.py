"""What others are said to reach: a line to look at, never a verdict."""

from __future__ import annotations

from typing import NamedTuple

from growth.dataset import reference
from growth.errors import ParameterError, suggest

__all__ = ["Benchmark", "benchmark"]


class Benchmark(NamedTuple):
    """An industry's next-day retention.

    Parameters
    ----------
    industry : str
        Its key.
    name_en, name_zh : str
        Its names.
    k : int
        The offset it is of: 1.
    rate : float
        Share of new users back the next day, in [0, 1].
    evidence : str
        How well it is founded: ``unsourced``.
    source : str
        Where it was read.
    """

    industry: str
    name_en: str
    name_zh: str
    k: int
    rate: float
    evidence: str
    source: str


def benchmark(industry: str) -> Benchmark:
    """Return the next-day retention said to be usual in an industry.

    Parameters
    ----------
    industry : str
        ``fresh_food``, ``paid_knowledge``, ``apparel``.

    Returns
    -------
    Benchmark
        From ``data/reference/industry_benchmarks.csv``; no verdict rests on it.

    Raises
    ------
    ParameterError
        If there is no such industry (code ``unknown_industry``).

    Examples
    --------
    >>> benchmark("apparel").rate, benchmark("apparel").evidence
    (0.18, 'unsourced')
    """
    rows = {row["industry"]: row for row in reference("industry_benchmarks")}
    if industry not in rows:
        msg = f"industry is {industry!r}; it must be one of {list(rows)}; name one."
        raise ParameterError(msg + suggest(industry, rows), code="unknown_industry")
    row = rows[industry]
    return Benchmark(
        industry=industry,
        name_en=row["name_en"],
        name_zh=row["name_zh"],
        k=1,
        rate=float(row["next_day_retention_rate"]),
        evidence=row["evidence"],
        source=row["source"],
    )
