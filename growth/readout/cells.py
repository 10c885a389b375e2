"""A readout's notebook against its declaration: cell 1, and the house's rules."""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from typing import TYPE_CHECKING, Any, Final

from growth.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from growth.readout.fields import Field

__all__ = ["assigned", "check", "fix", "injected", "render"]

INJECTED: Final = "# Parameters"  # how papermill begins the cell it puts in
_SIMPLE: Final = ("str", "int", "float", "bool")
_SHELL: Final = re.compile(r"^\s*[%!].*$", re.MULTILINE)


def assigned(namespace: Mapping[str, object], names: Sequence[str]) -> tuple[str, ...]:
    """Return the names that a notebook's parameter cells set.

    Parameters
    ----------
    namespace : mapping of str to object
        A notebook's ``globals()``: its ``In`` holds the cells run so far.
    names : sequence of str
        The declared names; they tell the ``parameters`` cell by sight.

    Returns
    -------
    tuple of str
        Names set in the ``parameters`` cell and in papermill's cell after it.
    """
    declared: list[str] = []
    for source in _inputs(namespace):  # the last one: a cell may be corrected and rerun
        if not source.startswith(INJECTED):
            declared = _targets(source, names) or declared
    return tuple(dict.fromkeys([*declared, *injected(namespace)]))


def injected(namespace: Mapping[str, object]) -> tuple[str, ...]:
    """Return the names that papermill's injected cell sets; perhaps none."""
    cells = [text for text in _inputs(namespace) if text.startswith(INJECTED)]
    return tuple(_targets(cells[-1], ())) if cells else ()


def _inputs(namespace: Mapping[str, object]) -> list[str]:
    cells = namespace.get("In", ())
    if not isinstance(cells, list):
        return []
    return [text for text in cells if isinstance(text, str)]


def _targets(source: str, names: Sequence[str]) -> list[str]:
    """Return what a parameter cell assigns; nothing if it is another cell."""
    try:
        body = ast.parse(_SHELL.sub("", source)).body
    except SyntaxError:
        return []
    if source.startswith(INJECTED):
        plain = [n for n in body if isinstance(n, ast.Assign)]
        targets = [t for node in plain for t in node.targets]
        return [t.id for t in targets if isinstance(t, ast.Name)]
    lines = [n for n in body if isinstance(n, ast.AnnAssign)]
    found = [n.target.id for n in lines if isinstance(n.target, ast.Name)]
    only = len(lines) == len(body) and len(found) == len(lines)
    return found if only and set(found) & set(names) else []


def render(fields: Sequence[Field], held: Mapping[str, object]) -> str:
    """Return the source of the ``parameters`` cell for `fields`."""
    return "\n".join(
        f"{f.name}: {f.python} = {_literal(_shown(f, held))}  # {f.help}"
        for f in fields
    )


def _shown(field: Field, held: Mapping[str, object]) -> object:
    if not field.required:
        return field.default
    if field.sample is not None:
        return field.sample
    if field.name in held and not isinstance(
        field.parse(held[field.name], "notebook"), Fault
    ):
        return held[field.name]
    return {
        "str": "sample", "choice": (*field.choices, "")[0], "date": "2026-01-31",
        "int": 1, "float": 1.0, "bool": False,
    }[field.kind]  # fmt: skip


def _literal(value: object) -> str:
    if value is None:
        return '""'
    if isinstance(value, bool | int | float):
        return repr(value)
    return json.dumps(str(value), ensure_ascii=False)


def check(
    fields: Sequence[Field], path: Path, *, rules: bool = True
) -> tuple[Fault, ...]:
    """Return every fault of the notebook at `path`.

    Parameters
    ----------
    fields : sequence of Field
        The declared parameters.
    path : Path
        The notebook.
    rules : bool, default True
        Whether the house's rules count too (no output stored, no ``def``, one
        ``publish``), or only that cell and declaration agree.

    Returns
    -------
    tuple of Fault
        Code ``bad_declaration`` each.
    """
    try:
        notebook = json.loads(path.read_text("utf-8"))
        code = [c for c in notebook["cells"] if c["cell_type"] == "code"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return (_bad(path.name, repr(str(error)), "a readable notebook"),)
    faults: list[Fault] = []
    tagged = [cell for cell in code if "parameters" in _tags(cell)]
    if len(tagged) == 1 and code[0] is tagged[0]:
        faults.extend(_against(fields, _source(tagged[0])))
    else:
        seen = f"{len(tagged)} cells tagged parameters"
        faults.append(_bad(path.name, seen, "one, the first code cell"))
    if not rules:
        return tuple(faults)
    published = 0
    for number, cell in enumerate(code, 1):
        where = f"cell {number}"
        if cell.get("outputs") or cell.get("execution_count") is not None:
            faults.append(_bad(where, "stored with its output", "stripped of it"))
        try:
            tree = ast.parse(_SHELL.sub("", _source(cell)))
        except SyntaxError as error:
            faults.append(_bad(where, repr(str(error)), "Python"))
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                want = "free of def and class; put them into the package"
                faults.append(_bad(where, f"defining {node.name}", want))
            elif isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                published += name == "publish"
    if published != 1:
        faults.append(_bad(path.name, f"{published} calls of publish", "one call"))
    return tuple(faults)


def fix(fields: Sequence[Field], path: Path) -> None:
    """Rewrite the ``parameters`` cell of the notebook at `path`; strip outputs."""
    notebook = json.loads(path.read_text("utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        cell["outputs"], cell["execution_count"] = [], None
        if "parameters" in _tags(cell):
            cell["source"] = render(fields, _held(cell)).splitlines(keepends=True)
    text = json.dumps(notebook, ensure_ascii=False, indent=1)
    path.write_text(f"{text}\n", "utf-8")


def _against(fields: Sequence[Field], source: str) -> Iterator[Fault]:
    faults: list[Fault] = []
    try:
        lines = list(_lines(source, faults))
    except (SyntaxError, tokenize.TokenError) as error:
        yield _bad("the parameters cell", repr(str(error)), "Python")
        return
    yield from faults
    names, want = [name for name, *_ in lines], [field.name for field in fields]
    if names != want:
        yield _bad("the parameters cell", f"of {names}", f"of {want}, in this order")
        return
    for field, (name, python, value, told) in zip(fields, lines, strict=True):
        if python != field.python:
            yield _bad(name, f"annotated {python}", f"annotated {field.python}")
        parsed = field.parse(value, "notebook")
        if isinstance(parsed, Fault) and parsed.code != "missing_secret":
            yield _bad(name, parsed.seen, parsed.expected)
        elif not field.required and parsed != field.default and not field.env:
            yield _bad(name, repr(value), f"the default {field.default!r}")
        if told != field.help:
            yield _bad(name, f"explained as {told!r}", f"explained as {field.help!r}")


def _lines(source: str, faults: list[Fault]) -> Iterator[tuple[str, str, Any, str]]:
    """Yield name, annotation, value and help of each line of a parameters cell."""
    comments = {
        token.start[0]: token.string.lstrip("# ").rstrip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    for node in ast.parse(source).body:
        name = getattr(getattr(node, "target", None), "id", None)
        if not isinstance(node, ast.AnnAssign) or name is None or node.value is None:
            faults.append(_bad(f"line {node.lineno}", "something else", "name: type ="))
            continue
        python = ast.unparse(node.annotation)
        if python not in _SIMPLE:
            faults.append(_bad(name, f"annotated {python}", f"one of {_SIMPLE}"))
        try:
            value = ast.literal_eval(node.value)
        except ValueError:
            seen = f"set to {ast.unparse(node.value)}"
            faults.append(_bad(name, seen, "set to a plain value"))
            value = None
        if isinstance(value, str) and re.search(r"[#=\n]", value):
            want = "free of # and =, which papermill cuts a default at"
            faults.append(_bad(name, repr(value), want))
        yield name, python, value, comments.get(node.end_lineno or node.lineno, "")


def _held(cell: Mapping[str, Any]) -> dict[str, object]:
    try:
        lines = list(_lines(_source(cell), []))
    except (SyntaxError, tokenize.TokenError):
        return {}
    return {name: value for name, _, value, _ in lines if value is not None}


def _tags(cell: Mapping[str, Any]) -> Sequence[str]:
    return tuple(cell.get("metadata", {}).get("tags", ()))


def _source(cell: Mapping[str, Any]) -> str:
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def _bad(name: str, seen: str, expected: str) -> Fault:
    hint = "Run `growth readout check --fix`, or correct it by hand."
    return Fault("bad_declaration", name, seen, expected, hint)
