"""Fixtures every test may use."""

import gc
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

from growth import engine
from growth.labels import LANG

ROOT = Path(__file__).resolve().parent.parent

# The same examples in every run, so that a red run is red again; look further with
# `pytest --hypothesis-profile=explore`.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=1000, deadline=None)
settings.load_profile("same")


def pytest_collection_modifyitems(items):
    """Let pass what PySpark 4.0 warns of under pandas 3 and this Arrow."""
    for item in items:
        if item.get_closest_marker("spark"):
            for kind in ("Deprecation", "Future", "User", "Resource"):
                item.add_marker(pytest.mark.filterwarnings(f"ignore::{kind}Warning"))


@pytest.fixture(autouse=True)
def _english():
    token = LANG.set("en")
    yield
    LANG.reset(token)


@pytest.fixture(scope="session")
def real_data():
    """Return a function from a file's name to its path; skip where it is absent."""
    folder = Path(os.environ.get("GROWTH_REAL_DATA") or ROOT.parent / "shared" / "data")

    def find(name):
        path = folder / name
        if not path.exists():
            pytest.skip(f"{name} is not here (set GROWTH_REAL_DATA to its folder)")
        return path

    return find


@pytest.fixture(scope="module")
def spark_session():
    """Return a Spark of two local cores, stopped behind the module's last test."""
    if find_spec("pyspark") is None:
        pytest.skip("PySpark is not installed (extra 'spark')")
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        pytest.skip("Spark needs Java, which is not here")
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master("local[2]")
        .appName("growth-tests")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    yield session
    session.stop()
    gc.collect()  # PySpark leaves sockets open; here their warnings are let pass


@pytest.fixture(scope="module")
def spark(spark_session):
    """Return the engine's connection to Spark."""
    return engine.connect(spark_session)
