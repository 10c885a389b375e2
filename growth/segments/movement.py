"""Who moved from value to value between two dates, who joined, who left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date  # noqa: TC003  (read by tests of the contract)
from math import log, log10
from typing import TYPE_CHECKING

from growth.errors import ParameterError
from growth.result import Cell, Estimate, Notice, Result
from growth.segments.hiding import hide_table, limit_of
from growth.segments.ops import ABSENT
from growth.stats.arguments import names_of
from growth.stats.proportions import Share, wilson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ABSENT", "Move", "Movement", "movement_from_counts"]


@dataclass(frozen=True, slots=True)
class Move:
    """Users who went from one value to another.

    Parameters
    ----------
    before, after : str
        Values at the two dates; ``absent``: not of the population.
    users : int or None
        None where hidden.
    share, share_low, share_high : float or None
        Share of those with `before`, with Wilson's interval.
    """

    before: str
    after: str
    users: int | None
    share: float | None
    share_low: float | None
    share_high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement(Result):
    """Moves between the values of one tag from one date to another.

    Parameters
    ----------
    tag : str
        The tag.
    first_as_of, second_as_of : date or None
        The two dates.
    users : int
        Users of the population at either date.
    joined, left : int or None
        Users of the population at the second date only, and at the first only; None
        where hidden.
    unchanged_rate : float or None
        Share of those there at both dates whose value is the same.
    kappa : float or None
        Cohen's kappa over them: agreement beyond chance, 1 is all unchanged.
    psi : float or None
        Population stability index of the two distributions; above 0.25 is much.
        Where a move is hidden these three are rounded, so that they do not give it
        back.
    before_users, after_users : tuple of (str, int or None)
        Users by value at either date; None where hidden.
    moves : tuple of Move
        Rows by value at the first date, ``absent`` last.
    rule_changed : bool
        Whether the rule is another one at the second date; moves are by the old one.
    rule_moved : int or None
        Users whose value at the second date differs between the old rule and the
        new one; None where the rule is the same, and where hidden.
    hidden : int
        Moves hidden.
    """

    tag: str
    first_as_of: date | None
    second_as_of: date | None
    users: int
    joined: int | None
    left: int | None
    unchanged_rate: float | None
    kappa: float | None
    psi: float | None
    before_users: tuple[tuple[str, int | None], ...]
    after_users: tuple[tuple[str, int | None], ...]
    moves: tuple[Move, ...]
    rule_changed: bool = False
    rule_moved: int | None = None
    hidden: int = 0

    @property
    def verdict(self) -> str:
        """`rule_changed`, else `much` (PSI 0.25 or more), `some` (0.1), `little`."""
        if self.rule_changed:
            return "segments.movement.rule_changed"
        psi = self.psi or 0.0
        word = "much" if psi >= 0.25 else "some" if psi >= 0.1 else "little"
        return f"segments.movement.{word}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a move."""
        return [
            {
                "before": move.before,
                "after": move.after,
                "users": move.users,
                "share": move.share,
                "share_low": move.share_low,
                "share_high": move.share_high,
            }
            for move in self.moves
        ]

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the measures of stability; who did not move is counted."""
        told = (
            ("unchanged_rate", "share", "count"),
            ("kappa", "", ""),
            ("psi", "", ""),
        )
        return tuple(
            Estimate(
                key=f"{self.tag}.{name}",
                value=getattr(self, name),
                n=self.users,
                unit=unit,
                method=method,
            )
            for name, unit, method in told
        )


def movement_from_counts(
    counts: Mapping[tuple[str | None, str | None], int],
    *,
    tag: str,
    values: Sequence[str] = (),
    first: date | None = None,
    second: date | None = None,
    k: int | None = None,
    min_size: int | None = None,
    also_hide: tuple[Sequence[str], Sequence[str]] | None = None,
    rule_moved: int | None = None,
) -> Movement:
    """Return moves between two dates from counts.

    Parameters
    ----------
    counts : mapping of (str or None, str or None) to int
        Users by (value at the first date, value at the second); None: not of the
        population.
    tag : str
        The tag.
    values : sequence of str, optional
        Every value, in order; those counted if omitted.
    first, second : datetime.date, optional
        The dates.
    k, min_size : int, optional
        Hide smaller moves and totals, and what would give them back; for what is
        shared, take 10 and 50.
    also_hide : (sequence of str, sequence of str), optional
        Values whose totals are hidden where sizes of the two dates stand beside:
        the other totals are then known, and moves are hidden accordingly.
    rule_moved : int, optional
        Users whose second value differs under the old rule, where the rule has
        changed; hidden where they, or those it leaves alone, are fewer than
        `min_size`.

    Returns
    -------
    Movement
        Rows sum to the first date, columns to the second.

    Raises
    ------
    ParameterError
        If a limit is below 1 (code ``bad_limit``), or a value is called ``absent``
        (``reserved_value``).

    Notes
    -----
    PSI is the sum of ``(q - p) ln(q / p)`` over the values, p and q their shares at
    the two dates, half a user added to an empty one.

    Examples
    --------
    >>> found = movement_from_counts({("a", "b"): 3, ("a", "a"): 9}, tag="t")
    >>> found.unchanged_rate, found.moves[1].share
    (0.75, 0.25)
    """
    if ABSENT in names_of(values, "values") or any(ABSENT in pair for pair in counts):
        msg = f"{tag} has the value {ABSENT!r}; that word means not of the population,"
        msg = f"{msg} None in counts; call the value something else."
        raise ParameterError(msg, code="reserved_value")
    told = {
        (ABSENT if a is None else a, ABSENT if b is None else b): int(n)
        for (a, b), n in counts.items()
        if (a, b) != (None, None)
    }
    seen = (value for pair in told for value in pair if value != ABSENT)
    names = (*dict.fromkeys([*names_of(values, "values"), *sorted(seen)]), ABSENT)
    grid = [[told.get((a, b), 0) for b in names] for a in names]
    limits = {"k": limit_of(k, "k"), "min_size": limit_of(min_size, "min_size")}
    settled = [
        [name in names_of(side, "also_hide") for name in names[:-1]]
        for side in also_hide or ()
    ]
    away, away_rows, away_columns = hide_table(
        grid,
        **limits,
        rows=[*settled[0], None] if settled else (),
        columns=[*settled[1], None] if settled else (),
    )
    hidden = sum(map(sum, away))
    before_users = _shown([sum(line) for line in grid], away_rows)
    after_users = _shown([sum(line) for line in zip(*grid, strict=True)], away_columns)
    moves = []
    for i, before in enumerate(names):
        total = sum(grid[i])
        for j, after in enumerate(names):
            n = grid[i][j]
            if before == after == ABSENT or (not n and ABSENT in (before, after)):
                continue
            if away[i][j]:
                moves.append(Move(before, after, None, None, None, None))
                continue
            ends = wilson(Share(n, total)) if before != ABSENT else None
            share = n / total if total and before != ABSENT else None
            low, high = ends if ends is not None else (None, None)
            moves.append(Move(before, after, n, share, low, high))
    stayed = [line[:-1] for line in grid[:-1]]
    said = [_unchanged(stayed), _kappa(stayed), _psi(grid)]
    if hidden:
        said = [_coarse(one, sum(map(sum, grid)), limits["k"]) for one in said]
    second_users = sum(sum(line[:-1]) for line in grid)
    notices: tuple[Notice, ...] = ()
    moved_by_rule = _large(rule_moved, second_users, limits["min_size"])
    if moved_by_rule is not None:
        args = (("tag", tag), ("users", moved_by_rule))
        notices = (Notice("segments_rule_changed", "warning", args),)
    elif rule_moved is not None:
        args = (("tag", tag), ("least", limits["min_size"]))
        notices = (Notice("segments_rule_changed_few", "warning", args),)
    return Movement(
        tag=tag,
        first_as_of=first,
        second_as_of=second,
        users=sum(map(sum, grid)),
        joined=before_users[-1],
        left=after_users[-1],
        unchanged_rate=said[0],
        kappa=said[1],
        psi=said[2],
        before_users=tuple(zip(names[:-1], before_users, strict=False)),
        after_users=tuple(zip(names[:-1], after_users, strict=False)),
        moves=tuple(moves),
        rule_changed=rule_moved is not None,
        rule_moved=moved_by_rule,
        hidden=hidden,
        notices=notices,
    )


def _large(users: int | None, of: int, least: int) -> int | None:
    """Return a part of a population; None where it or what it leaves is small."""
    if users is None or 0 < users < least or 0 < of - users < least:
        return None
    return users


def _shown(users: Sequence[int], away: Sequence[bool]) -> list[int | None]:
    return [None if hide else n for n, hide in zip(users, away, strict=True)]


def _coarse(value: float | None, users: int, limit: int) -> float | None:
    """Round a share of users so that `limit` of them more or less are not seen."""
    if value is None:
        return None
    return round(value, min(3, max(0, int(log10(max(users, 1) / limit / 2)))))


def _unchanged(grid: Sequence[Sequence[int]]) -> float | None:
    total = sum(map(sum, grid))
    return sum(grid[i][i] for i in range(len(grid))) / total if total else None


def _kappa(grid: Sequence[Sequence[int]]) -> float | None:
    total = sum(map(sum, grid))
    agreed = _unchanged(grid)
    if agreed is None:
        return None
    chance = sum(
        sum(grid[i]) * sum(line[i] for line in grid) for i in range(len(grid))
    ) / (total * total)
    return (agreed - chance) / (1 - chance) if chance < 1 else None


def _psi(grid: Sequence[Sequence[int]]) -> float | None:
    rows = [sum(line) for line in grid[:-1]]
    columns = [sum(line[j] for line in grid) for j in range(len(grid) - 1)]
    if not sum(rows) or not sum(columns):
        return None
    found = 0.0
    for before, after in zip(rows, columns, strict=True):
        if before == after == 0:
            continue
        p = max(before, 0.5) / sum(rows)
        q = max(after, 0.5) / sum(columns)
        found += (q - p) * log(q / p)
    return found
