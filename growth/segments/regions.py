"""Which values of a tag can never be reached: exact for one metric or tag.

The line of a metric is cut into atoms at every threshold its tag compares it with
(points, and the open gaps between), a text into the words named and any other word.
On an atom every comparison of that metric is settled, so conditions are tried on
atoms instead of being solved.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from growth.segments.ops import Kind
    from growth.segments.rules import Tag, When

__all__ = ["Clash", "Subject", "compare", "overlaps", "unreachable"]

Subject = "Metric | str"
Truth = bool | None
ANY: frozenset[Truth] = frozenset((True, False, None))
OTHER = "\x00other"


class Clash(NamedTuple):
    """A value and an earlier one that match together, with an example."""

    value: str
    earlier: str
    example: object


def compare(op: str, seen: Any, value: Any) -> Truth:  # noqa: ANN401, PLR0911
    """Compare a known or unknown value; an unknown one makes it unknown.

    Parameters
    ----------
    op : str
        ``eq ne lt le gt ge in between is known``.
    seen : object
        The value seen, None where unknown.
    value : object
        What it is compared with.

    Returns
    -------
    bool or None
        None is unknown.
    """
    if op == "known":
        return (seen is not None) is value
    if seen is None:
        return None
    match op:
        case "ge":
            return bool(seen >= value)
        case "gt":
            return bool(seen > value)
        case "le":
            return bool(seen <= value)
        case "lt":
            return bool(seen < value)
        case "eq":
            return bool(seen == value)
        case "ne":
            return bool(seen != value)
        case "in":
            return seen in value
        case "between":
            return bool(value[0] <= seen <= value[1])
    return seen is value


def _subject(leaf: When) -> Any:  # noqa: ANN401
    return leaf.tag or leaf.metric


def _values(leaf: When) -> tuple[Any, ...]:
    return leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)


def _numbers(constants: Iterable[Any], kind: Kind) -> list[Any]:
    """Return every threshold and one number of every gap that holds one."""
    at = sorted(set(constants))
    if not at:
        return [kind.low if kind.low is not None else 0]
    whole = kind.name == "int"
    atoms = [at[0] - 1]
    for left, right in zip(at, [*at[1:], None], strict=True):
        atoms.append(left)
        if right is None:
            atoms.append(left + 1)
        elif whole:
            middle = int(left // 1) + 1
            atoms += [middle] if middle < right else []
        else:
            atoms.append((left + right) / 2)
    inside = [
        atom
        for atom in atoms
        if (kind.low is None or atom >= kind.low)
        and (kind.high is None or atom <= kind.high)
        and (not whole or atom == int(atom))
    ]
    # a range that begins or ends within a gap
    edges = [edge for edge in (kind.low, kind.high) if edge is not None]
    return [*inside, *edges]


def _moments(constants: Iterable[Any]) -> list[Any]:
    at = sorted(set(constants))
    step = timedelta(days=1) if not isinstance(at[0], datetime) else timedelta(0, 1)
    near = [moment + sign * step for moment in at for sign in (-1, 0, 1)]
    return sorted(set(near))


def _atoms(leaves: list[When], kind: Kind) -> list[Any]:
    constants = [
        value
        for leaf in leaves
        if leaf.op not in ("is", "known")
        for value in _values(leaf)
    ]
    match kind.family:
        case "bool":
            atoms: list[Any] = [True, False]
        case "number":
            atoms = _numbers(constants, kind)
        case "text":
            atoms = list(kind.values) or [*dict.fromkeys(constants), OTHER]
        case _:
            typed = [v for v in constants if isinstance(v, date)]
            atoms = _moments(typed) if typed and len(typed) == len(constants) else []
    return [*atoms, None] if kind.unknown else atoms


def _possible(when: When, subject: Any, atom: Any) -> frozenset[Truth]:  # noqa: ANN401
    """Return what a condition can be, where one subject is known and others not."""
    match when.op:
        case "not":
            inner = _possible(when.parts[0], subject, atom)
            return frozenset(None if t is None else not t for t in inner)
        case "all" | "any":
            found: frozenset[Truth] = frozenset((when.op == "all",))
            for part in when.parts:
                nxt = _possible(part, subject, atom)
                found = frozenset(_join(when.op, a, b) for a in found for b in nxt)
            return found
    if _subject(when) != subject:
        return ANY
    return frozenset((compare(when.op, atom, when.value),))


def _join(op: str, a: Truth, b: Truth) -> Truth:
    decisive = op == "any"
    if decisive in (a, b):
        return decisive
    return None if None in (a, b) else not decisive


def _by_subject(tag: Tag) -> dict[Any, list[When]]:
    found: dict[Any, list[When]] = {}
    for value in tag.values:
        for leaf in value.when.leaves():  # type: ignore[union-attr]
            found.setdefault(_subject(leaf), []).append(leaf)
    return found


Kinds = "Mapping[Any, Kind] | Callable[[Any], Kind]"


def unreachable(tag: Tag, kind: Callable[[Any], Kind]) -> list[tuple[int, bool]]:
    """Return the values nobody can have.

    Parameters
    ----------
    tag : Tag
        Its conditions in order.
    kind : callable
        From a metric, or the name of a tag, to its kind.

    Returns
    -------
    list of (int, bool)
        Position of the value, and whether its own condition can never hold (else
        earlier values take everybody). No value is named that can be reached.
    """
    grounds = [(s, _atoms(leaves, kind(s))) for s, leaves in _by_subject(tag).items()]
    found = []
    for i, value in enumerate(tag.values):
        when: When = value.when  # type: ignore[assignment]
        always = [v.when for v in tag.values[:i] if _always(v.when)]  # type: ignore[arg-type]
        if always:
            found.append((i, False))
            continue
        for subject, atoms in grounds:
            own = [a for a in atoms if True in _possible(when, subject, a)]
            if atoms and not own:
                found.append((i, True))
                break
            if own and all(_taken(tag, i, subject, atom) for atom in own):
                found.append((i, False))
                break
    return found


def _always(when: When) -> bool:
    return when.op == "all" and not when.parts


def _taken(tag: Tag, before: int, subject: Any, atom: Any) -> bool:  # noqa: ANN401
    sure = frozenset((True,))
    return any(
        _possible(v.when, subject, atom) == sure  # type: ignore[arg-type]
        for v in tag.values[:before]
    )


def overlaps(tag: Tag, kind: Callable[[Any], Kind]) -> list[Clash]:
    """Return pairs of values that surely match one user, with an example each.

    Parameters
    ----------
    tag, kind
        As in `unreachable`.

    Returns
    -------
    list of Clash
        One an earlier-later pair over one metric or tag; the first example.
    """
    sure = frozenset((True,))
    found: dict[tuple[str, str], Clash] = {}
    for subject, leaves in _by_subject(tag).items():
        for atom in _atoms(leaves, kind(subject)):
            hits = [
                v.name
                for v in tag.values
                if _possible(v.when, subject, atom) == sure  # type: ignore[arg-type]
            ]
            for j, later in enumerate(hits):
                for earlier in hits[:j]:
                    found.setdefault((later, earlier), Clash(later, earlier, atom))
    return list(found.values())
