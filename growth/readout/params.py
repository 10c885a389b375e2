"""A readout's parameters: declared once, parsed strictly by their declared type.

::

    @readout("abtest_readout", subject="experiment_id", deadline="10m")
    @dataclass(frozen=True, slots=True, kw_only=True)
    class AbtestParams:
        experiment_id: Annotated[str, Id(), Help("which experiment")]
        as_of: Annotated[date, Help("last day, inclusive")]
        alpha: Annotated[float, Between(0, 1, open=True), Help("level")] = 0.05

Values come from a command line, a JSON file, Python or a notebook's cells. All
faults are found at once, and no instance exists that was not checked.
"""

from __future__ import annotations

import json
import re
import typing
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from datetime import date
from functools import wraps
from pathlib import Path as FilePath
from types import MappingProxyType, NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, get_args, get_origin

from growth.errors import Fault, ParameterError, suggest
from growth.readout import cells
from growth.readout.fields import (
    MAX_INT,
    Between,
    EnvName,
    Field,
    Help,
    Id,
    Kind,
    Path,
    Sample,
    Source,
    Value,
    plain_value,
    seen_as,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "Between",
    "Declaration",
    "EnvName",
    "Field",
    "Help",
    "Id",
    "Path",
    "Sample",
    "Value",
    "checked",
    "declaration_of",
    "fields_of",
    "readout",
    "seconds",
]

T = TypeVar("T")

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(s|m|h|d)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A readout: its name, what it is about, its deadline and its parameters.

    Parameters
    ----------
    name : str
        What it is run by; its notebook is ``<name>.ipynb``.
    subject : str
        The parameter that says what a run is about.
    deadline : float
        Seconds a whole run may take.
    cls : type
        The parameters' dataclass.
    fields : tuple of Field
        Its parameters in order.
    transient : tuple of str
        Names of errors that may pass by themselves: a run that fails with one
        is tried again, if retries are asked for.
    """

    name: str
    subject: str
    deadline: float
    cls: type
    fields: tuple[Field, ...]
    transient: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every parameter's name, in order."""
        return tuple(item.name for item in self.fields)

    def check(self, values: Mapping[str, object], source: Source) -> dict[str, Value]:
        """Return every parameter's value, defaults filled in.

        Parameters
        ----------
        values : mapping of str to object
            What was given, by name.
        source : {"text", "json", "python", "notebook"}
            Where it came from: it decides how strictly types are read.

        Returns
        -------
        dict of str to value
            In the declared order.

        Raises
        ------
        ParameterError
            With every fault found; `code` is the first one's.
        """
        return self._finish(dict.fromkeys(values, source), values, [])

    def _finish(
        self,
        sources: Mapping[str, Source],
        values: Mapping[str, object],
        faults: list[Fault],
    ) -> dict[str, Value]:
        known = {item.name: item for item in self.fields}
        parsed: dict[str, Value] = {}
        for name, value in values.items():
            if name not in known:
                faults.append(self.unknown(name))
                continue
            result = known[name].parse(value, sources[name])
            if isinstance(result, Fault):
                faults.append(result)
            else:
                parsed[name] = result
        failed = {fault.name for fault in faults}
        for item in self.fields:
            if item.name in parsed or item.name in failed:
                continue
            if item.required:
                faults.append(Fault(
                    "missing_parameter", item.name, "missing", item.expected,
                    f"Give it ({item.help}).",
                ))  # fmt: skip
            elif item.env:
                again = item.parse(item.default, "python")
                faults.extend([again] if isinstance(again, Fault) else [])
        if faults:
            raise ParameterError.of(self.name, faults)
        return {f.name: parsed.get(f.name, f.default) for f in self.fields}

    def unknown(self, name: object) -> Fault:
        """Return the fault of a name that is not declared."""
        word = name if isinstance(name, str) else ""
        code = "unknown_parameter" if _NAME.fullmatch(word) else "bad_name"
        hint = suggest(word, self.names).strip() if word else ""
        seen = f"no parameter of {self.name}"
        want = f"one of {', '.join(self.names)}"
        return Fault(code, word or "(empty)", seen, want, hint or "Drop or correct it.")

    def from_command_line(
        self, pairs: Sequence[str] = (), *, file: str | FilePath | None = None
    ) -> Any:  # noqa: ANN401  (an instance of `cls`)
        """Return the parameters that ``-p name=value`` and ``--params FILE`` give.

        Parameters
        ----------
        pairs : sequence of str
            ``name=value`` each, as text; they win over the file.
        file : path, optional
            A JSON object.

        Returns
        -------
        object
            An instance of the declared dataclass.

        Raises
        ------
        ParameterError
            With every fault found.
        """
        faults: list[Fault] = []
        values: dict[str, object] = {}
        sources: dict[str, Source] = {}
        for pair in pairs:
            name, sign, text = pair.partition("=")
            if not sign:
                want = "name=value"
                faults.append(
                    Fault("usage", pair, seen_as(pair), want, "Add the value.")
                )
            elif name in values:
                faults.append(_twice(name, text))
            else:
                values[name], sources[name] = text, "text"
        for name, value in _json_pairs(file, faults) if file is not None else ():
            if sources.get(name) == "json":
                faults.append(_twice(name, value))
            elif name not in sources:
                values[name], sources[name] = value, "json"
        return self._make(self._finish(sources, values, faults))

    def from_python(self, values: Mapping[str, object]) -> Any:  # noqa: ANN401
        """Return the parameters that a mapping of Python values gives.

        Raises
        ------
        ParameterError
            With every fault found.
        """
        return self._make(self.check(values, "python"))

    def from_notebook(self, namespace: Mapping[str, object]) -> Any:  # noqa: ANN401
        """Return the parameters that a notebook's cells hold.

        Parameters
        ----------
        namespace : mapping of str to object
            The notebook's ``globals()``.

        Returns
        -------
        object
            An instance of the declared dataclass.

        Raises
        ------
        ParameterError
            With every fault found; also for a name in papermill's injected cell
            or in the ``parameters`` cell that is not declared.
        """
        found = cells.assigned(namespace, self.names)
        values = {name: namespace[name] for name in self.names if name in namespace}
        stray = [name for name in found if name not in self.names]
        values |= {name: namespace.get(name) for name in stray}
        return self._make(self.check(values, "notebook"))

    def _make(self, values: Mapping[str, Value]) -> Any:  # noqa: ANN401
        return self.cls(**values)

    def plain(self, params: object) -> dict[str, str | int | float | bool | None]:
        """Return an instance's values as JSON holds them, in the declared order."""
        return {name: plain_value(getattr(params, name)) for name in self.names}

    def describe(self) -> dict[str, object]:
        """Return the whole declaration as plain values."""
        return {
            "name": self.name,
            "subject": self.subject,
            "deadline_s": self.deadline,
            "help": " ".join((self.cls.__doc__ or "").split("\n\n")[0].split()),
            "parameters": [item.describe() for item in self.fields],
        }

    def cell_source(self, held: Mapping[str, object] = MappingProxyType({})) -> str:
        """Return the source of the notebook's ``parameters`` cell.

        Parameters
        ----------
        held : mapping of str to object, optional
            Values to show for required parameters that declare no `Sample`.

        Returns
        -------
        str
            One line a parameter: ``alpha: float = 0.05  # two-sided level``.
        """
        return cells.render(self.fields, held)

    def check_notebook(
        self, path: str | FilePath, *, rules: bool = True
    ) -> tuple[Fault, ...]:
        """Return what in a notebook disagrees with this declaration or the rules.

        Parameters
        ----------
        path : path
            The notebook.
        rules : bool, default True
            Whether the house's rules count too: no output stored, no ``def``, one
            ``publish``.

        Returns
        -------
        tuple of Fault
            Code ``bad_declaration`` each; empty if all is well.
        """
        return cells.check(self.fields, FilePath(path), rules=rules)

    def fix_notebook(self, path: str | FilePath) -> tuple[Fault, ...]:
        """Rewrite the ``parameters`` cell, strip outputs; return what is left."""
        cells.fix(self.fields, FilePath(path))
        return self.check_notebook(path)


def readout(
    name: str,
    *,
    subject: str,
    deadline: str | float = "10m",
    transient: Sequence[type[BaseException] | str] = (),
) -> Callable[[type[T]], type[T]]:
    """Declare a frozen dataclass as the parameters of a readout.

    Parameters
    ----------
    name : str
        What the readout is run by: lower case, digits and ``_``.
    subject : str
        The text parameter that says what a run is about.
    deadline : str or float, default "10m"
        How long a whole run may take: ``90s``, ``10m``, ``2h`` or seconds.
    transient : sequence of exception or str, optional
        Errors (or their names) that may pass by themselves, as of a network: with
        retries, a run that fails with one is tried again.

    Returns
    -------
    callable
        Decorates the dataclass. Its instances are checked whenever they are
        made, and it gains ``from_notebook(globals())``.

    Raises
    ------
    ParameterError
        If the declaration cannot be held (code ``bad_declaration``); all of its
        faults at once.
    """

    def declare(cls: type[T]) -> type[T]:
        faults: list[Fault] = []
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            faults.append(_bad(name, name, "a name of lower case, digits and _"))
        if not is_dataclass(cls) or not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            faults.append(_bad(name, cls.__name__, "a frozen dataclass"))
            raise ParameterError.of(name, faults)
        found = tuple(_fields(cls, faults))
        kinds = {item.name: item.kind for item in found}
        if kinds.get(subject) != "str":
            faults.append(_bad(subject, "the subject", "a parameter of type str"))
        if kinds.get("as_of") != "date":
            faults.append(_bad("as_of", "missing", "a parameter of type date"))
        if faults:
            raise ParameterError.of(name, faults)
        declaration = Declaration(
            name=name, subject=subject, deadline=seconds(deadline), cls=cls,
            fields=found,
            transient=tuple(
                each if isinstance(each, str) else each.__name__ for each in transient
            ),
        )  # fmt: skip
        return _attach(cls, declaration)

    return declare


def checked(cls: type[T]) -> type[T]:
    """Declare a frozen dataclass as parameters that are no readout's: a form's.

    Parameters
    ----------
    cls : type
        Its fields are declared as those of a readout.

    Returns
    -------
    type
        The same class; its instances are checked whenever they are made.

    Raises
    ------
    ParameterError
        If the declaration cannot be held (code ``bad_declaration``).
    """
    faults: list[Fault] = []
    if not is_dataclass(cls) or not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        faults.append(_bad(cls.__name__, "its class", "a frozen dataclass"))
    found = () if faults else tuple(_fields(cls, faults))
    if faults:
        raise ParameterError.of(cls.__name__, faults)
    declaration = Declaration(
        name=cls.__name__, subject="", deadline=0.0, cls=cls, fields=found
    )
    return _attach(cls, declaration, "__declared__")


def fields_of(cls: type) -> tuple[Field, ...]:
    """Return the parameters a class declares, in order.

    Parameters
    ----------
    cls : type
        Decorated with `readout` or `checked`.

    Returns
    -------
    tuple of Field
        Name, type, range, default and help of each.

    Raises
    ------
    ParameterError
        If it declares none (code ``bad_declaration``).
    """
    declared = getattr(cls, "__declared__", None)
    if isinstance(declared, Declaration):
        return declared.fields
    return declaration_of(cls).fields


def declaration_of(params: object) -> Declaration:
    """Return the declaration of a parameters class or of its instance.

    Raises
    ------
    ParameterError
        If it was not declared with `readout` (code ``bad_declaration``).
    """
    cls = params if isinstance(params, type) else type(params)
    declared = getattr(cls, "__readout__", None)
    if not isinstance(declared, Declaration):
        msg = f"{cls.__name__} is no readout's parameters; it must be a dataclass"
        msg = f"{msg} decorated with @readout; declare it."
        raise ParameterError(msg, code="bad_declaration")
    return declared


def seconds(duration: str | float) -> float:
    """Return a duration in seconds.

    Parameters
    ----------
    duration : str or float
        ``90``, ``90s``, ``10m``, ``2h`` or ``30d``; above 0.

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    ParameterError
        If it is none of these (code ``bad_duration``).

    Examples
    --------
    >>> seconds("10m")
    600.0
    """
    found = _DURATION.fullmatch(str(duration).strip())
    unit = {"m": 60, "h": 3600, "d": 86400}.get(found[2], 1) if found else 1
    value = float(found[1]) * unit if found else 0.0
    if value > 0:
        return value
    msg = f"the duration is {duration!r}; it must be like 90s, 10m or 2h and above 0;"
    raise ParameterError(f"{msg} write it so.", code="bad_duration")


def _attach(
    cls: type[T], declaration: Declaration, mark: str = "__readout__"
) -> type[T]:
    original: Callable[..., None] = cls.__init__

    @wraps(original)
    def sound(self: T, **given: object) -> None:
        original(self, **declaration.check(given, "python"))
        rule = getattr(self, "conflicts", None)
        if rule and (faults := tuple(rule())):
            raise ParameterError.of(declaration.name, faults)

    made: Any = cls
    made.__init__ = sound
    setattr(made, mark, declaration)
    made.from_notebook = declaration.from_notebook
    return cls


def _fields(cls: type, faults: list[Fault]) -> typing.Iterator[Field]:
    hints = typing.get_type_hints(cls, include_extras=True)
    for item in fields(cls):
        if item.default_factory is not MISSING or not item.kw_only:
            faults.append(_bad(item.name, "its default", "a keyword-only plain value"))
            continue
        declared = _field(item.name, hints[item.name], item.default, faults)
        if declared:
            yield declared


def _field(
    name: str, hint: object, default: object, faults: list[Fault]
) -> Field | None:
    marks = {type(mark): mark for mark in getattr(hint, "__metadata__", ())}
    bare: object = getattr(hint, "__origin__", hint) if marks else hint
    optional = False
    if get_origin(bare) in {UnionType, typing.Union}:
        rest = [arg for arg in get_args(bare) if arg is not NoneType]
        optional = len(rest) < len(get_args(bare))
        bare = rest[0] if len(rest) == 1 else bare
    choices = get_args(bare) if get_origin(bare) is Literal else ()
    kind = "choice" if choices else _KINDS.get(bare)
    told = marks.get(Help)
    if kind is None or not all(isinstance(choice, str) for choice in choices):
        want = "str, int, float, bool, date, a Literal of texts, or one of these | None"
        faults.append(_bad(name, f"of type {bare}", want))
        return None
    if not isinstance(told, Help) or not told.text.isprintable() or not told.text:
        faults.append(_bad(name, "without a help", "marked with Help('one line')"))
        return None
    sample = marks.get(Sample)
    between = marks.get(Between)
    field = Field(
        name=name,
        kind=kind,
        help=told.text,
        optional=optional,
        required=default is MISSING,
        choices=choices,
        between=between if isinstance(between, Between) else None,
        path=Path in marks,
        env=EnvName in marks,
    )
    wanted = sample.value if isinstance(sample, Sample) else None
    own = None if default is MISSING else _own(field, default, faults)
    shown = None if wanted is None else _own(field, wanted, faults)
    return replace(field, default=own, sample=shown)


_KINDS: Final[dict[object, Kind]] = {
    str: "str", int: "int", float: "float", bool: "bool", date: "date"
}  # fmt: skip


def _own(field: Field, value: object, faults: list[Fault]) -> Value:
    """Return a declared default or sample, checked like anybody's value."""
    if value is None:
        if not field.optional:
            faults.append(_bad(field.name, "None by default", "declared `| None`"))
        return None
    if isinstance(value, str) and re.search(r"[#=\n]", value):
        want = "free of # and =, which other tools cut a default at"
        faults.append(_bad(field.name, seen_as(value), want))
        return None
    if field.env:
        return str(value)
    parsed = field.parse(value, "python")
    if isinstance(parsed, Fault):
        faults.append(_bad(field.name, parsed.seen, parsed.expected))
        return None
    return parsed


def _bad(name: str, seen: str, expected: str) -> Fault:
    return Fault("bad_declaration", name, seen, expected, "Correct the declaration.")


def _twice(name: str, value: object) -> Fault:
    seen = f"given again as {seen_as(value)}"
    return Fault("duplicate_parameter", name, seen, "given once", "Drop one of them.")


def _json_pairs(
    file: str | FilePath, faults: list[Fault]
) -> Sequence[tuple[str, object]]:
    """Return a JSON object's pairs, repeated names and all."""

    def whole(digits: str) -> int:
        return int(digits) if len(digits) < 20 else MAX_INT + 1

    name = str(file)
    try:
        text = FilePath(file).read_bytes().decode("utf-8")
        value = json.loads(text, object_pairs_hook=_Pairs, parse_int=whole)
    except (OSError, ValueError, RecursionError) as error:
        hint = "Give the path of a JSON object of parameters."
        want = "a readable JSON file in UTF-8"
        faults.append(Fault("usage", name, seen_as(str(error)), want, hint))
        return ()
    if not isinstance(value, _Pairs):
        want = "a JSON object of parameters"
        hint = 'Write {"name": value, ...}.'
        faults.append(Fault("usage", name, f"a {type(value).__name__}", want, hint))
        return ()
    return tuple(value)


class _Pairs(list[tuple[str, object]]):
    """A JSON object as it stands in the file."""
