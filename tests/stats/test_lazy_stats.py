"""A service imports the statistics: only NumPy and scipy.special come along."""

import pkgutil
import subprocess
import sys

import growth.stats

HEAVY = ("scipy.stats", "scipy.optimize", "statsmodels", "pandas", "ibis", "duckdb")


def test_importing_every_file_loads_nothing_heavy():
    names = [
        f"growth.stats.{m.name}" for m in pkgutil.iter_modules(growth.stats.__path__)
    ]
    assert len(names) > 15
    code = (
        f"import sys, importlib; [importlib.import_module(n) for n in {names}];"
        f"print([n for n in {HEAVY} if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
