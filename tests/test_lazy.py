"""Services import this package: naming a room must not pull in what it never uses."""

import pkgutil
import subprocess
import sys

import pytest

import growth

ENGINES = {"duckdb", "ibis", "numba", "pandas", "polars", "pyarrow", "pyspark"}
STATISTICS = {"scipy.stats", "statsmodels", "sklearn"}
NOTEBOOKS = {"altair", "ipywidgets", "IPython", "nbclient", "nbconvert", "papermill"}
HEAVY = ENGINES | STATISTICS | NOTEBOOKS


def loaded_by(code):
    """Return the names of the modules that `code` loads in a fresh process."""
    script = f"import sys\n{code}\nprint(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(run.stdout.split())


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        ("import growth", HEAVY | {"numpy", "scipy", "growth.abtest", "growth.engine"}),
        ("from growth import abtest", HEAVY | {"numpy", "scipy"}),
        ("from growth.abtest import *", HEAVY),
        ("from growth import tiers", HEAVY | {"numpy", "scipy"}),
        ("from growth.tiers import *", HEAVY),
        ("from growth.tiers import apply, load_programme, open_state", HEAVY),
        ("from growth import stats", HEAVY),
        ("import growth.errors, growth.labels, growth.result", HEAVY | {"numpy"}),
        ("from growth.readout import params, catalog, store", HEAVY | {"vl_convert"}),
        ("import growth.cli", HEAVY | {"numpy", "scipy"}),
        ("import growth.readout", HEAVY | {"numpy", "scipy"}),
    ],
)
def test_an_import_loads_only_what_it_needs(code, unwanted):
    assert sorted(loaded_by(code) & unwanted) == []


def test_a_room_is_loaded_when_it_is_first_named():
    code = "import growth\nassert 'growth.abtest' not in sys.modules\ngrowth.abtest"
    assert "growth.abtest" in loaded_by(code)


def test_no_public_name_of_a_room_is_hidden_by_a_file_of_that_name():
    from growth import abtest

    files = {info.name for info in pkgutil.iter_modules(abtest.__path__)}
    assert sorted(files & {*abtest.__all__}) == []
    assert {*abtest.__all__} == {*abtest._HOME}


def test_the_core_answers_without_any_extra():
    blocked = sorted(ENGINES - {"pandas"} | NOTEBOOKS | {"click", "tqdm", "psutil"})
    code = f"""
sys.modules.update(dict.fromkeys({blocked!r}))  # None: importing it fails
from growth import abtest
check = abtest.check_split_from_counts({{"A": 5000, "B": 5000}})
assert check.verdict == "abtest.split.ok"
check.to_html("zh")
"""
    assert "growth.abtest" in loaded_by(code)


def test_an_unknown_room_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'growth' has no attribute 'abtests'"):
        _ = growth.abtests


def test_every_public_name_is_listed_and_resolves():
    assert set(growth.__all__) <= set(dir(growth))
    assert all(getattr(growth, name) is not None for name in growth.__all__)
