"""Every error this package raises on purpose, in one tree.

* GrowthError
  + ParameterError          the call is wrong: fix the arguments
    - SecretMissingError    a key that must come from the environment is not there
    - MappingError          a mapping file names something that cannot be
  + DataError               the data is wrong: fix the table
    - ColumnNotFoundError   a column is missing; says what it would unlock
    - LoadRefusedError      too many bad rows; only the rejects were written
    - PayloadError          a foreign payload is not what it claims to be
  + SourceError             a remote source did not answer as it should
    - AuthError, DeniedError, QuotaError, BusyError, NotReadyError
  + RefusedError            the platform's rules or people's privacy forbid it
  + StoreError              a result could not be kept

A message has three parts: what is wrong, with the value seen; what would be
right; what to do next. `code` is stable, snake_case, and what a service should
match on: messages may be reworded, codes are not.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

__all__ = [
    "AuthError",
    "BusyError",
    "ColumnNotFoundError",
    "DataError",
    "DeniedError",
    "Fault",
    "GrowthError",
    "LoadRefusedError",
    "MappingError",
    "NotReadyError",
    "ParameterError",
    "PayloadError",
    "QuotaError",
    "RefusedError",
    "SecretMissingError",
    "SourceError",
    "StoreError",
    "suggest",
]


def suggest(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest known word, else ``""``.

    Parameters
    ----------
    word : str
        What the caller wrote, whatever it is.
    known : iterable of str
        What could have been meant.

    Returns
    -------
    str
        A sentence with a leading space, ready to end a message.
    """
    names = [str(name) for name in known]
    word = str(word)
    close = get_close_matches(word, names, n=1)
    if not close:
        lowered = {name.lower(): name for name in names}
        close = [lowered[n] for n in get_close_matches(word.lower(), lowered, n=1)]
    return f" Did you mean {close[0]!r}?" if close else ""


class GrowthError(Exception):
    """Base of every error raised on purpose; `code` names the case, snake_case."""

    code: str = "growth"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code or self.code

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by attributes, so that an error survives a process boundary."""
        return (_rebuild, (type(self), self.args, self.__dict__.copy()))


def _rebuild(
    kind: type[GrowthError], args: tuple[object, ...], state: dict[str, object]
) -> GrowthError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class Fault(NamedTuple):
    """One thing wrong in a declaration that is checked as a whole.

    `code` is stable; `name` says where (a parameter, or a key path in a file);
    `seen` is the value found, `expected` what would be right, `hint` what to do.
    """

    code: str
    name: str
    seen: str
    expected: str
    hint: str = ""

    def __str__(self) -> str:
        """Write the fault as one three-part sentence."""
        tail = f" {self.hint}" if self.hint else ""
        return f"{self.name} is {self.seen}; it must be {self.expected}.{tail}"


class ParameterError(GrowthError, ValueError):
    """An argument has a value the function cannot use.

    A declaration (a readout's parameters, an experiment file, rules) is checked
    as a whole: `faults` then holds every fault, and `code` is the first one's.
    """

    code = "parameter"
    faults: tuple[Fault, ...] = ()

    @classmethod
    def of(cls, what: str, faults: Iterable[Fault]) -> Self:
        """Return one error for all `faults` found in `what`; there is at least one."""
        found = tuple(faults)
        lines = "".join(f"\n  {fault}" for fault in found)
        error = cls(f"{what}: {len(found)} fault(s){lines}", code=found[0].code)
        error.faults = found
        return error


class SecretMissingError(ParameterError):
    """A secret that must come from the environment is missing or too short."""

    code = "secret_missing"


class MappingError(ParameterError):
    """A mapping file names something that cannot be."""

    code = "mapping"


class DataError(GrowthError, ValueError):
    """The table read cannot answer the question asked."""

    code = "data"


class ColumnNotFoundError(DataError):
    """A column named by the caller is not in the table.

    Parameters
    ----------
    column : str
        The name that was looked for.
    available : iterable of str
        The names the table has.
    unlocks : str, optional
        What the column would make possible, ending the message.
    """

    code = "column_not_found"

    def __init__(
        self, column: str, available: Iterable[str], *, unlocks: str = ""
    ) -> None:
        names = sorted(available)
        hint = suggest(column, names)
        why = f" It would unlock {unlocks}." if unlocks else ""
        super().__init__(
            f"column {column!r} not found; the table has {names}; "
            f"name one of these or add it.{hint}{why}"
        )
        self.column = column
        self.available = tuple(names)


class LoadRefusedError(DataError):
    """Too many rows were bad: nothing but the rejects was written."""

    code = "load_refused"
    report: object = None  # the counts, where a load refused its rows


class PayloadError(DataError):
    """A foreign payload is not what it claims to be."""

    code = "payload"


class SourceError(GrowthError):
    """A remote source did not answer as it should."""

    code = "source"


class AuthError(SourceError):
    """The source does not know these credentials."""

    code = "source_auth"


class DeniedError(SourceError):
    """The credentials are good, but this is not allowed to them."""

    code = "source_denied"


class QuotaError(SourceError):
    """The source's quota for this path is used up."""

    code = "source_quota"


class BusyError(SourceError):
    """The source is overloaded; trying later may help."""

    code = "source_busy"


class NotReadyError(SourceError):
    """The source has not computed that day yet."""

    code = "source_not_ready"


class RefusedError(GrowthError):
    """The platform's rules, or people's privacy, forbid what was asked."""

    code = "refused"


class StoreError(GrowthError):
    """A result could not be kept: disk full, no permission, a torn file."""

    code = "store"
