"""One list of dependencies, and nothing of the machine it was written on."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import growth

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCK = ROOT / "requirements.lock"
SPARK = ROOT / "requirements-spark.lock"
PIN = re.compile(r"^([a-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def normal(requirement):
    """Return the project a requirement names, as the lock writes it."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement).group()
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(*extras):
    """Return what the core and `extras` name, extras of extras too."""
    optional = PROJECT["project"]["optional-dependencies"]
    found, queue = set(), [*PROJECT["project"]["dependencies"]]
    for extra in extras:
        queue += optional[extra]
    while queue:
        item = queue.pop()
        if own := re.fullmatch(r"growth\[([a-z]+)\]", item):
            queue += optional[own.group(1)]
        else:
            found.add(normal(item))
    return found


def pins(path):
    found = {}
    for name, version in PIN.findall(path.read_text("utf-8")):
        found.setdefault(name, set()).add(version)
    return found


def tracked():
    """Return the files git would hand to somebody else; skip outside a checkout."""
    run = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if run.returncode:
        pytest.skip("not a git checkout, so nothing says which files are the project's")
    return [ROOT / name for name in run.stdout.split("\0") if name]


@pytest.mark.parametrize(
    ("lock", "extras"), [(LOCK, ("dev",)), (SPARK, ("spark",))], ids=["all", "spark"]
)
def test_a_lock_pins_everything_that_is_declared(lock, extras):
    assert sorted(needed(*extras) - pins(lock).keys()) == []


def test_the_lock_pins_the_build_back_end():
    build = {normal(item) for item in PROJECT["build-system"]["requires"]}
    assert build | {"editables"} <= pins(LOCK).keys()  # editables: for `-e`


def test_the_locks_agree_where_they_overlap():
    main, spark = pins(LOCK), pins(SPARK)
    assert {n: v for n, v in spark.items() if n in main and v != main[n]} == {}
    assert {"pyspark", "py4j"} <= spark.keys() - main.keys()


@pytest.mark.parametrize("lock", [LOCK, SPARK], ids=lambda p: p.name)
def test_every_pin_has_a_hash(lock):
    blocks = re.split(r"\n(?=\S)", lock.read_text("utf-8"))
    bare = [b.split()[0] for b in blocks if PIN.match(b) and "--hash=sha256:" not in b]
    assert bare == []
    assert sum(bool(PIN.match(block)) for block in blocks) > 20


@pytest.mark.parametrize("lock", [LOCK, SPARK], ids=lambda p: p.name)
def test_a_lock_names_no_index_no_file_and_no_option(lock):
    text = lock.read_text("utf-8")
    assert re.findall(r"https?:|file:|^-\S+|^ *--(?!hash)\S+", text, re.MULTILINE) == []


def test_conda_installs_the_package_and_lists_nothing_again():
    text = (ROOT / "environment.yml").read_text("utf-8")
    listed = re.findall(r"^ +- (.+)$", text, re.MULTILINE)
    assert listed == ["conda-forge", "python=3.11", "pip", "pip:", "-e .[notebooks]"]
    assert "notebooks" in PROJECT["project"]["optional-dependencies"]


def test_core_needs_no_notebook_and_no_engine():
    names = needed()
    assert names == {"numpy", "pandas", "scipy", "statsmodels"}


def test_dev_is_everything_but_spark():
    extras = set(PROJECT["project"]["optional-dependencies"]) - {"spark"}
    assert needed(*extras) == needed("dev")


def test_the_wheel_holds_what_an_installed_package_looks_for():
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["only-include"] == ["growth", "notebooks", "data/reference"]
    assert wheel["sources"] == {
        "data/reference": "growth/_data/reference",
        "notebooks": "growth/_data/notebooks",
    }
    assert (ROOT / "data/reference/wechat_scenes.csv").is_file()
    assert (ROOT / "notebooks/abtest_readout.ipynb").is_file()
    assert (ROOT / "growth/py.typed").is_file()


def test_the_changelog_knows_this_version():
    assert f"## [{growth.__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_no_file_knows_this_machine():
    home = re.compile(
        r"(?<![\w.])/(?:" + "|".join(["ho" + "me", "ro" + "ot"]) + r")/\w"
    )
    told = []
    for path in tracked():
        if path.suffix in {".png", ".parquet", ".lock"} or not path.is_file():
            continue
        text = path.read_text("utf-8")
        told += [f"{path.relative_to(ROOT)}: {hit}" for hit in home.findall(text)]
    assert told == []


def test_no_notebook_keeps_its_output():
    import json

    for path in tracked():
        if path.suffix == ".ipynb":
            cells = json.loads(path.read_text("utf-8"))["cells"]
            code = [cell for cell in cells if cell["cell_type"] == "code"]
            assert [c for c in code if c["outputs"] or c["execution_count"]] == [], path
