"""What changed between two runs: which numbers moved, by how much, and why."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import hypot
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from growth.errors import DataError
from growth.readout.model import read_document
from growth.readout.store import INPUTS, MANIFEST
from growth.result import Cell, Notice, Result, show

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

__all__ = ["Change", "Diff", "Moved", "diff"]

Cause = Literal["data", "parameters", "code", "versions"]

CAUSES: Final[tuple[Cause, ...]] = ("data", "parameters", "code", "versions")
FILES: Final = 5  # named of a table that changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One estimate in two runs.

    Parameters
    ----------
    key : str
        Its name.
    by : tuple of (str, str)
        What it is about.
    before, after : float or None
        Its values; None where it is missing or could not be computed.
    z : float or None
        The move in standard errors of the difference, as if the two samples had
        nobody in common; None without standard errors.
    kind : {"same", "moved", "added", "gone"}
        What happened to it.
    """

    key: str
    by: tuple[tuple[str, str], ...]
    before: float | None
    after: float | None
    z: float | None
    kind: Literal["same", "moved", "added", "gone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing the runs do not have in common.

    Parameters
    ----------
    cause : {"data", "parameters", "code", "versions"}
        Of what kind.
    name : str
        Which table, parameter, package.
    before, after : str
        What it was, what it is; empty where it is not there.
    rows : int or None
        Rows more (or less) of a table, where both are known.
    files : tuple of str
        Its first files that came, went or changed, as ``+name``, ``-name``,
        ``~name``.
    """

    cause: Cause
    name: str
    before: str = ""
    after: str = ""
    rows: int | None = None
    files: tuple[str, ...] = ()

    def words(self) -> str:
        """Return the change in short: ``events (+1,204 rows, ~ds=2026-01-31)``."""
        if self.cause == "data":
            inside = [] if self.rows is None else [f"{self.rows:+,} rows"]
            inside += list(self.files)
            return f"{self.name} ({', '.join(inside)})" if inside else self.name
        if self.before or self.after:
            return f"{self.name} {self.before or '–'} -> {self.after or '–'}"
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff(Result):
    """Two runs side by side.

    Parameters
    ----------
    before, after : str
        Their ids.
    answers : tuple of (str, str)
        The verdict of each, a label key.
    rough : bool
        Whether both are about the same subject: their samples overlap, so the
        moves in standard errors are too small.
    moves : tuple of Moved
        Every estimate of either.
    changes : tuple of Change
        What else differs: the possible causes.
    unknown : tuple of str
        Inputs without a fingerprint: they may have changed unseen.
    """

    before: str
    after: str
    answers: tuple[str, str]
    rough: bool
    moves: tuple[Moved, ...]
    changes: tuple[Change, ...]
    unknown: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """Return whether anything moved, and whether it is known why."""
        if all(move.kind == "same" for move in self.moves):
            return "readout.diff.same"
        if self.changes:
            return "readout.diff.moved"
        return "readout.diff.unknown" if self.unknown else "readout.diff.unexplained"

    @property
    def causes(self) -> tuple[str, ...]:
        """The kinds of causes, or ``nondeterministic`` if numbers moved without one."""
        if self.verdict == "readout.diff.unexplained":
            return ("nondeterministic",)
        found = {change.cause for change in self.changes}
        return tuple(cause for cause in CAUSES if cause in found)

    @property
    def largest(self) -> float:
        """The largest move in standard errors, 0 if none can be told."""
        return max(
            (abs(move.z) for move in self.moves if move.z is not None), default=0
        )

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row an estimate that is not the same in both."""
        return [
            {
                "estimate": move.key,
                "about": about(move.by),
                "before": move.before,
                "after": move.after,
                "z": move.z,
                "change": move.kind,
            }
            for move in self.moves
            if move.kind != "same"
        ]

    def lines(self) -> Iterator[str]:
        """Yield what to print: a line an estimate that moved, then why."""
        first, last = (answer.rpartition(".")[2] for answer in self.answers)
        for move in self.moves:
            if move.kind == "same":
                continue
            ends = f"{show(move.before)} -> {show(move.after)}"
            sign = "~" if self.rough else ""
            size = move.kind if move.z is None else f"{sign}{move.z:+.1f} se"
            name = " ".join(filter(None, (move.key, about(move.by))))
            yield f"{name}  {ends}  {size}  {first} -> {last}"
        told = [
            f"{cause} {', '.join(c.words() for c in self.changes if c.cause == cause)}"
            for cause in CAUSES
            if cause in self.causes
        ]
        same = ", ".join(cause for cause in CAUSES if cause not in self.causes)
        if self.causes == ("nondeterministic",):
            yield f"why: nondeterministic; same {same}"
        elif told:
            yield f"why: {'; '.join(told)}" + (f"; same {same}" if same else "")
        elif not self.unknown:
            yield f"same {same}"


def diff(before: str | os.PathLike[str], after: str | os.PathLike[str]) -> Diff:
    r"""Compare two runs that succeeded.

    Parameters
    ----------
    before, after : path
        Their folders.

    Returns
    -------
    Diff
        Estimates joined on key and what they are about; causes as far as the
        manifests tell them.

    Raises
    ------
    DataError
        If either has no valid document (codes of `load`) or no manifest (code
        ``manifest_missing``).

    Notes
    -----
    :math:`z = (b - a) / \sqrt{se_a^2 + se_b^2}`, which holds for independent
    samples. Two runs about the same subject share people: the difference then
    varies less than that, so `z` is too small and `rough` says so.
    """
    one, two = Path(before), Path(after)
    was, is_ = read_document(one), read_document(two)
    told, tells = _manifest(one), _manifest(two)
    about_same = [was[k] == is_[k] for k in ("readout", "subject")]
    unknown = tuple(
        sorted({d["name"] for m in (told, tells) for d in m["data"] if not d["sha256"]})
    )
    changes = (
        *_data(told, tells, _files(one), _files(two)),
        *_named("parameters", told["params"], tells["params"]),
        *_code(told, tells),
        *_named("versions", told["versions"], tells["versions"]),
    )
    notices = [Notice("unknown_inputs", args=(("names", ", ".join(unknown)),))] * bool(
        unknown
    )
    if not all(about_same):
        notices.append(Notice("other_subject"))
    return Diff(
        before=str(told["run_id"]),
        after=str(tells["run_id"]),
        answers=(was["decision"]["verdict"], is_["decision"]["verdict"]),
        rough=all(about_same),
        moves=tuple(_moves(was, is_)),
        changes=changes,
        unknown=unknown,
        notices=tuple(notices),
    )


def about(by: tuple[tuple[str, str], ...]) -> str:
    """Return what an estimate is about as ``arm=B platform=ios``."""
    return " ".join(f"{name}={value}" for name, value in by)


def _moves(was: Mapping[str, Any], is_: Mapping[str, Any]) -> Iterator[Moved]:
    def keyed(document: Mapping[str, Any]) -> dict[Any, Mapping[str, Any]]:
        return {
            (item["key"], tuple(item["by"].items())): item
            for item in document["estimates"]
        }

    old, new = keyed(was), keyed(is_)
    for name in dict.fromkeys((*old, *new)):
        a, b = old.get(name), new.get(name)
        before: float | None = a["value"] if a else None
        after: float | None = b["value"] if b else None
        z: float | None = None
        kind: Literal["same", "moved", "added", "gone"]
        if a is None:
            kind = "added"
        elif b is None:
            kind = "gone"
        else:
            kind = "same" if before == after else "moved"
            if before is not None and after is not None:
                spread = hypot(a["se"] or 0.0, b["se"] or 0.0)
                z = (after - before) / spread if a["se"] and b["se"] else None
        key, by = name
        yield Moved(key=key, by=by, before=before, after=after, z=z, kind=kind)


def _data(
    was: Mapping[str, Any],
    is_: Mapping[str, Any],
    had: Mapping[str, Any],
    has: Mapping[str, Any],
) -> Iterator[Change]:
    old = {item["name"]: item for item in was["data"]}
    new = {item["name"]: item for item in is_["data"]}
    for name in dict.fromkeys((*old, *new)):
        a, b = old.get(name, {}), new.get(name, {})
        if a.get("sha256") == b.get("sha256") and bool(a) == bool(b):
            continue
        rows = (a.get("rows"), b.get("rows"))
        yield Change(
            cause="data",
            name=name,
            before=(a.get("sha256") or "")[:12],
            after=(b.get("sha256") or "")[:12],
            rows=None if None in rows else rows[1] - rows[0],
            files=tuple(_changed(had.get(name, ()), has.get(name, ()))),
        )


def _changed(
    had: tuple[Mapping[str, Any], ...], has: tuple[Mapping[str, Any], ...]
) -> list[str]:
    old = {item["file"]: item["sha256"] for item in had}
    new = {item["file"]: item["sha256"] for item in has}
    found = [f"-{name}" for name in old if name not in new]
    found += [f"+{name}" for name in new if name not in old]
    found += [f"~{name}" for name in new if name in old and old[name] != new[name]]
    more = len(found) - FILES
    return [*found[:FILES], f"and {more} more"] if more > 0 else found


def _code(was: Mapping[str, Any], is_: Mapping[str, Any]) -> Iterator[Change]:
    """Yield what differs in the code; the digest says whether anything does."""
    same_notebook = was["notebook"]["sha256"] == is_["notebook"]["sha256"]
    if was.get("code") == is_.get("code") and same_notebook:
        return
    told = False
    if not same_notebook:
        told = True
        shas = (was["notebook"]["sha256"][:12], is_["notebook"]["sha256"][:12])
        name = is_["notebook"]["name"]
        yield Change(cause="code", name=name, before=shas[0], after=shas[1])
    for name in ("package", "git"):
        if was[name] != is_[name]:
            told = True
            short = (str(was[name])[:12], str(is_[name])[:12])
            yield Change(cause="code", name=name, before=short[0], after=short[1])
    if not told:
        yield Change(cause="code", name="growth, changed locally")


def _named(
    cause: Cause, was: Mapping[str, Any], is_: Mapping[str, Any]
) -> Iterator[Change]:
    for name in dict.fromkeys((*was, *is_)):
        if was.get(name) != is_.get(name):
            before, after = was.get(name), is_.get(name)
            yield Change(
                cause=cause,
                name=name,
                before="" if before is None else str(before),
                after="" if after is None else str(after),
            )


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        held: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        msg = f"{folder} holds no readable {MANIFEST}; it must be a run's folder;"
        msg = f"{msg} growth readout index lists those there are."
        raise DataError(msg, code="manifest_missing") from error
    return held


def _files(folder: Path) -> dict[str, Any]:
    try:
        held: dict[str, Any] = json.loads((folder / INPUTS).read_bytes())
    except (OSError, ValueError):
        return {}
    return held
