"""Promises the whole package keeps, found by walking it, not by listing."""

import ast
import builtins
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import typing
from dataclasses import fields, is_dataclass
from functools import cache

import pytest

import growth
from growth.labels import has, table
from growth.result import Cell, Result

MODULES = [
    importlib.import_module(info.name)
    for info in pkgutil.walk_packages(growth.__path__, "growth.")
]
RESULTS = sorted(
    {
        item
        for module in MODULES
        for _, item in inspect.getmembers(module, inspect.isclass)
        if issubclass(item, Result) and item is not Result
    },
    key=lambda item: item.__qualname__,
)
# what a user names: the rooms' own lists, not those of the files inside them
PUBLIC = sorted(
    {
        (f"{module.__name__}.{name}", item)
        for module in MODULES
        if hasattr(module, "__path__") or module.__name__.count(".") == 1
        for name in getattr(module, "__all__", ())
        if inspect.isfunction(item := getattr(module, name))
    },
    key=lambda pair: pair[0],
)
SNAKE = re.compile(r"[a-z]+[0-9]*(_[a-z0-9]+)*")

each_module = pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
each_result = pytest.mark.parametrize("result", RESULTS, ids=lambda r: r.__name__)


@cache
def tree(module):
    return ast.parse(inspect.getsource(module))


def calls(module, *names):
    """Yield each call of one of `names`, written bare or as an attribute."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=name) | ast.Attribute(attr=name) if name in names:
                    yield name, node


def literal(node):
    return node.value if isinstance(node, ast.Constant) else None


def argument(call, position, name):
    """Return one argument's node, by position or by name; None if it is not given."""
    if len(call.args) > position:
        return call.args[position]
    return next((k.value for k in call.keywords if k.arg == name), None)


def at(module, node):
    return f"{module.__name__}:{node.lineno}"


@each_result
def test_a_result_is_a_frozen_slotted_keyword_only_record(result):
    assert is_dataclass(result)
    assert result.__dataclass_params__.frozen
    assert "__slots__" in vars(result)
    assert all(item.kw_only for item in fields(result))
    assert "notices" in {item.name for item in fields(result)}


@each_result
def test_a_result_is_documented_in_its_own_words(result):
    doc = inspect.getdoc(result)
    assert doc
    assert not doc.startswith(f"{result.__name__}(")  # what dataclass would write


@each_result
def test_every_figure_a_result_shows_has_a_name_in_both_languages(result):
    hints = typing.get_type_hints(result)
    scalars = set(typing.get_args(Cell))
    shown = [
        item.name
        for item in fields(result)
        if {hints[item.name], *typing.get_args(hints[item.name])} & scalars
        and typing.get_origin(hints[item.name]) not in {tuple, dict}
    ]
    assert [name for name in shown if not has(f"column.{name}")] == []


@each_result
def test_every_verdict_has_words_and_so_has_its_question(result):
    source = inspect.getsource(result.verdict.fget)
    for node in ast.walk(ast.parse(inspect.cleandoc(source))):
        match node:
            case ast.Constant(value=str(key)) if re.fullmatch(
                r"[a-z_]+(\.[a-z_]+)+", key
            ):
                assert has(key), key
                assert has(key.rpartition(".")[0]), key
            case ast.JoinedStr(values=[ast.Constant(value=start), *_]):
                question = start.rpartition(".")[0]
                assert has(question), start
                assert sum(k.startswith(start) for k in table("en")) >= 2, start


@each_module
def test_every_error_carries_a_code(module):
    for name, call in calls(module, "ParameterError", "DataError"):
        code = argument(call, 99, "code")
        assert code is not None, f"{at(module, call)}: {name} without a code"
        if (word := literal(code)) is not None:
            assert SNAKE.fullmatch(word), at(module, call)


@each_module
def test_callers_meet_only_errors_of_the_tree(module):
    # what Python's own protocols ask for, and what means a defect of ours
    python = {"AssertionError", "AttributeError", "KeyError", "NotImplementedError"}
    if module.__name__ == "growth.result":
        python |= {"ValueError", "TypeError"}  # NaN in a result is a defect, told so
    for function in ast.walk(tree(module)):
        if not isinstance(function, ast.FunctionDef) or function.name.startswith("_"):
            continue  # what a private helper raises, its caller here may catch
        for node in ast.walk(function):
            match node:
                case ast.Raise(exc=ast.Call(func=ast.Name(id=name))):
                    own = not hasattr(builtins, name) or name in python
                    assert own, f"{at(module, node)}: {name}"


@each_module
def test_every_fault_has_a_code(module):
    for _, call in calls(module, "Fault"):
        if (word := literal(argument(call, 0, "code"))) is not None:
            assert SNAKE.fullmatch(word), at(module, call)


@each_module
def test_every_notice_has_words(module):
    for _, call in calls(module, "Notice"):
        if (code := literal(argument(call, 0, "code"))) is not None:
            assert has(f"notice.{code}"), at(module, call)


@each_module
def test_every_label_named_in_the_code_exists(module):
    for _, call in calls(module, "label"):
        key = argument(call, 0, "key")
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            assert has(key.value), f"{at(module, call)}: {key.value}"


@each_module
def test_public_names_exist_and_are_documented(module):
    assert inspect.getdoc(module), module.__name__
    for name in getattr(module, "__all__", ()):
        item = getattr(module, name)
        if inspect.isroutine(item) or inspect.isclass(item):
            assert inspect.getdoc(item), f"{module.__name__}.{name}"


@pytest.mark.parametrize(("name", "function"), PUBLIC, ids=[name for name, _ in PUBLIC])
def test_every_parameter_of_a_public_function_is_explained(name, function):
    doc = inspect.getdoc(function) or ""
    given = [
        name
        for name in inspect.signature(function).parameters
        if name not in {"self", "cls"}
    ]
    missing = [name for name in given if not re.search(rf"\b{name}\b", doc)]
    assert missing == [], f"{name} does not explain {missing}"


WATCHED = r"""
import os, sys, threading, warnings
seen = []
QUIET = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.putenv", "os.chdir",
         "socket.connect", "socket.bind", "subprocess.Popen", "os.fork", "os.system"}

def watch(event, args):
    if args and "__pycache__" in str(args[0]):
        return  # where Python, and Numba beside it, keep what they compile
    if event in QUIET:
        seen.append((event, str(args[:1])))
    elif event == "open":
        mode = args[1]
        if isinstance(mode, str) and set(mode) & set("wax+"):
            seen.append((event, str(args[0])))

modules = sys.argv[1:]
{external}
before = (dict(os.environ), os.getcwd(), list(warnings.filters))
sys.addaudithook(watch)
for name in modules:
    __import__(name)
after = (dict(os.environ), os.getcwd(), list(warnings.filters))
print(seen, before == after, threading.active_count())
"""


def test_importing_a_module_writes_nothing_and_starts_nothing():
    imported = sorted(
        {
            name
            for name in sys.modules
            if name in {"numpy", "scipy.special", "click", "tqdm", "altair", "ibis"}
        }
    )
    script = WATCHED.replace("{external}", "\n".join(f"import {n}" for n in imported))
    run = subprocess.run(
        [sys.executable, "-B", "-c", script, *(m.__name__ for m in MODULES)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "[] True 1\n"
    assert run.stderr == ""


def test_the_walk_finds_what_it_walks_for():
    assert len(MODULES) > 8
    assert len(PUBLIC) > 5
