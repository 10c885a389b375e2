"""The error tree: codes, suggestions, many faults at once, over process borders."""

import inspect
import multiprocessing
import pickle
import re

import pytest

from growth import errors
from growth.errors import (
    ColumnNotFoundError,
    DataError,
    Fault,
    GrowthError,
    MappingError,
    ParameterError,
    StoreError,
    suggest,
)

TREE = [
    item
    for name in errors.__all__
    if inspect.isclass(item := getattr(errors, name)) and issubclass(item, Exception)
]


@pytest.mark.parametrize("error", TREE, ids=lambda e: e.__name__)
def test_every_error_has_one_root_a_code_and_words(error):
    assert issubclass(error, GrowthError)
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code)
    assert inspect.getdoc(error)


def test_codes_of_classes_differ():
    codes = [error.code for error in TREE]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("error", [ParameterError, DataError, MappingError])
def test_wrong_calls_and_wrong_tables_are_value_errors_too(error):
    assert issubclass(error, ValueError)


def test_trouble_outside_is_no_value_error():
    assert not issubclass(StoreError, ValueError)


@pytest.mark.parametrize("error", [GrowthError, ParameterError, DataError, StoreError])
def test_a_code_given_at_raise_does_not_write_to_the_class(error):
    usual = error.code
    assert error("m", code="no_units").code == "no_units"
    assert error("m").code == usual


def make(error):
    return ColumnNotFoundError("a", ["b"]) if error is ColumnNotFoundError else None


@pytest.mark.parametrize("error", TREE, ids=lambda e: e.__name__)
def test_an_error_survives_pickling(error):
    before = make(error) or error("what; right; do", code="a_code")
    after = pickle.loads(pickle.dumps(before))
    assert type(after) is type(before)
    assert str(after) == str(before)
    assert vars(after) == vars(before)


def fail():
    raise ParameterError.of("x.toml", [Fault("bad_name", "arms", "1", "text")])


def test_an_error_crosses_a_process_border():
    with (
        multiprocessing.get_context("spawn").Pool(1) as pool,
        pytest.raises(ParameterError, match=r"x\.toml: 1 fault") as info,
    ):
        pool.apply(fail)
    assert info.value.code == "bad_name"
    assert info.value.faults == (Fault("bad_name", "arms", "1", "text"),)


def test_many_faults_are_told_at_once_and_the_first_one_names_the_error():
    faults = [
        Fault("unknown_key", "metrc", "a table", "a known key", "Write 'metric'."),
        Fault("out_of_range", "alpha", "5", "in (0, 1)"),
    ]
    error = ParameterError.of("exp.toml", iter(faults))
    assert str(error).splitlines() == [
        "exp.toml: 2 fault(s)",
        "  metrc is a table; it must be a known key. Write 'metric'.",
        "  alpha is 5; it must be in (0, 1).",
    ]
    assert error.code == "unknown_key"
    assert error.faults == tuple(faults)
    assert ParameterError("alone").faults == ()


def test_the_subclass_makes_the_subclass():
    error = MappingError.of("m.toml", [Fault("unknown_key", "a", "1", "absent")])
    assert type(error) is MappingError


def test_a_missing_column_says_what_was_meant_and_what_it_would_unlock():
    error = ColumnNotFoundError("varient", ["variant", "ts"], unlocks="the split check")
    assert str(error) == (
        "column 'varient' not found; the table has ['ts', 'variant']; name one of "
        "these or add it. Did you mean 'variant'? It would unlock the split check."
    )
    assert (error.code, error.column) == ("column_not_found", "varient")
    assert error.available == ("ts", "variant")


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("alpah", ["alpha", "data"], "alpha"),
        ("Alpha", ["alpha"], "alpha"),
        ("ALPHA", ["alpha", "as_of"], "alpha"),
        ("as-of", ["as_of"], "as_of"),
        ("zzz", ["alpha"], None),
        ("alpha", [], None),
    ],
)
def test_a_misspelling_gets_a_suggestion(word, known, meant):
    assert suggest(word, iter(known)) == (f" Did you mean {meant!r}?" if meant else "")
