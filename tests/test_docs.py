"""What the documents show is run: code, commands, files, links."""

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest

import growth
from growth import abtest
from growth.dataset.mapping import load_mapping
from growth.readout import catalog

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "README.zh.md", "CONTRIBUTING.md")),
        *ROOT.glob("docs/**/*.md"),
    ]
)
READMES = ("README.md", "README.zh.md")
GUIDES = (
    "docs/guide/abtest.md",
    "docs/guide/data.md",
    "docs/guide/heatmap.md",
    "docs/guide/readouts.md",
    "docs/guide/retention.md",
    "docs/guide/funnel.md",
    "docs/guide/segments.md",
    "docs/guide/tiers.md",
    "docs/guide/services.md",
)
ELSEWHERE = ("airflow", "cookie_cats", "uci_online")  # not there, or tested below
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    lang: str
    text: str

    def __str__(self):
        return f"{self.page}:{self.line}"


def blocks(*pages, langs):
    found = []
    for page in pages:
        text = (ROOT / page).read_text("utf-8")
        for match in FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            if match[1] in langs:
                found.append(Block(page, line, match[1], match[2]))
    return found


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """Return a folder like a checkout: a small sample, notebooks, a unit table."""
    folder = tmp_path_factory.mktemp("docs")
    growth.synth.sample(folder / "data" / "sample", users=2_000)
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    with (folder / "checkout.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "variant", "paid", "refund_fen"])
        for i in range(4_000):
            arm = ("old", "new")[i % 2]
            writer.writerow([f"u{i}", arm, int(i % 9 < 2), 900 * (i % 70 == 0)])
    orders = "订单号,openid,支付时间,实付金额,收货人,电话\n"
    orders += "1001,oAbc-1,2026-02-27 10:00:00,12.50,-,-\n"
    (folder / "orders.csv").write_text(orders, "utf-8")
    named = {"README.md": "checkout.toml", "docs/guide/data.md": "orders.toml"}
    named["docs/guide/readouts.md"] = "readouts.toml"
    for block in blocks(*named, langs={"toml"}):
        (folder / named[block.page]).write_text(block.text, "utf-8")
    return folder


@pytest.fixture
def here(workshop, monkeypatch):
    monkeypatch.chdir(workshop)
    return workshop


def run(command, folder):
    """Run one documented command in `folder`; return what it says and its code."""
    word, *rest = shlex.split(command)
    python = {
        "growth": [sys.executable, "-m", "growth"],
        "papermill": [sys.executable, "-m", "papermill"],
    }
    return subprocess.run(
        [*python[word], *rest],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GROWTH_ID_KEY": "k" * 32, "PYTHONPATH": str(ROOT)},
    )


def commands(*pages):
    """Return every command shown, once, in the order of the pages."""
    shown = {}
    for block in blocks(*pages, langs={"sh"}):
        for line in filter(str.strip, block.text.splitlines()):
            shown.setdefault(line, f"{block.page}: {line[:60]}")
    return [pytest.param(line, id=name) for line, name in shown.items()]


@pytest.mark.parametrize("command", commands(*READMES, *GUIDES))
def test_a_documented_command_works(command, here):
    if command.startswith("make "):
        if not shutil.which("make"):
            pytest.skip("make is not installed, so its targets cannot be listed")
        dry = ["make", "--dry-run", "--directory", str(ROOT), *command.split()[1:]]
        assert subprocess.run(dry, capture_output=True, check=False).returncode == 0
        return
    done = run(command, here)
    assert done.returncode == 0, done.stderr
    if "readout run " in command:
        assert (here / done.stdout.strip() / "readout.html").is_file()


@pytest.mark.parametrize("page", READMES)
def test_the_code_of_a_readme_runs_from_top_to_bottom(page, here):
    made = run(
        "growth readout run abtest_readout -p data=data/sample "
        "-p experiment_id=home_layout -p as_of=2026-02-28 --quiet",
        here,
    )
    assert made.returncode == 0, made.stderr
    names = {}
    for block in blocks(page, langs={"python"}):
        if "airflow" not in block.text:
            exec(compile(block.text, str(block), "exec"), names)
    assert names["decision"].verdict.startswith("abtest.")
    assert names["check"].verdict == "abtest.split.ok"
    assert names["check"].p_value == pytest.approx(0.0114, abs=5e-5)  # as it says there
    if page == "README.md":
        assert names["found"].decision.verdict == names["decision"].verdict


@pytest.mark.usefixtures("here")
def test_the_code_of_the_guides_runs():
    names = {}
    for block in blocks("README.md", "docs/guide/abtest.md", langs={"python"})[:1]:
        exec(compile(block.text, str(block), "exec"), names)
    for block in blocks(*GUIDES, langs={"python"}):
        if not any(word in block.text for word in ELSEWHERE):
            exec(compile(block.text, str(block), "exec"), names)
    assert names["analysis"].rows()
    assert names["built_up"].as_it_stood
    assert names["own"].verdict == "abtest.calibrate.ok"
    assert names["newcomers"].verdict == "retention.measure.measured"
    assert names["paid"].curve[-1].ltv_fen > 0
    assert len(names["shares"]) == 2
    assert names["told"]["code"] == "bad_count"
    assert names["careful"].groups
    assert names["versus"].verdict == "funnel.compare.better"
    told = words_of("docs/guide/funnel.md")
    for step, truth in zip(
        names["result"].steps, names["made"].truth["rate_from_start"], strict=True
    ):
        first = (
            "100%" if step.step == 1 else f"{step.rate_from_start:.1%} ({ends(step)})"
        )
        planted = "100%" if step.step == 1 else f"{truth:.1%}"
        assert f"| {step.name} | {step.reached:,} | {first} | {planted} |" in told
    seconds = names["result"].whole_way.p50_s
    late = names["impatient"].steps[-1].reached
    assert (
        f"takes {seconds:.0f} s in the median; a window of one minute finds {late} of"
        in told
    )


def words_of(page):
    return " ".join((ROOT / page).read_text("utf-8").split())


def ends(found):
    return f"{found.low * 100:.1f} to {found.high * 100:.1f}"


@pytest.mark.real_data
def test_the_worked_example_says_what_the_data_say(tmp_path, monkeypatch, real_data):
    guide = "docs/guide/abtest.md"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cookie_cats.csv").symlink_to(real_data("cookie_cats.csv"))
    (declared,) = [b for b in blocks(guide, langs={"toml"}) if "cookie_cats" in b.text]
    (tmp_path / "cookie_cats.toml").write_text(declared.text, "utf-8")
    names = {"abtest": abtest}
    (code,) = [b for b in blocks(guide, langs={"python"}) if "cookie_cats" in b.text]
    exec(compile(code.text, str(code), "exec"), names)
    told = (ROOT / guide).read_text("utf-8")
    told = told.partition("## A worked example")[2].partition("## What it")[0]
    day_1, day_7, rounds = names["day_1"], names["day_7"], names["rounds"]
    plain = names["found"].twins[0]
    rates = {(o.metric, o.capped): o for o in names["own_cats"].found}
    seven = rates["retention_7", None]
    low, high = day_7.ci_low * 100, day_7.ci_high * 100
    adj_low, adj_high = day_7.ci_adj_low * 100, day_7.ci_adj_high * 100
    cap = names["found"].caps[0].high
    alarms = f"({seven.rate_low:.1%} to {seven.rate_high:.1%})"
    split = names["split"]
    shown = [
        f"{split.arms[0].units:,} players against {split.arms[1].units:,}",
        f"p {split.p_value:.4f}. No alarm",
        f"{day_1.mean_control:.2%} of players came back, {day_1.mean_treatment:.2%}",
        f"p {day_1.p_value:.3f}, not clear",
        f"{day_7.mean_control:.2%} against {day_7.mean_treatment:.2%}",
        f"{day_7.estimate * 100:.2f} points ({low:.2f} to {high:.2f}),",
        f"p {day_7.p_value:.4f}, and {day_7.p_adj:.4f} after Holm",
        f"{adj_low:.2f} to {adj_high:.2f}.",
        f"{rounds.mean_control:.2f} against {rounds.mean_treatment:.2f} capped",
        f"at {cap:,.0f} rounds, p {rounds.p_value:.2f}",
        f"{plain.estimate:.2f} with p {plain.p_value:.2f}",
        f"{seven.rate:.1%} false alarms {alarms}",
        f"capped rounds {rates['rounds', True].rate:.1%}",
        f"mean only {rates['rounds', False].rate:.1%}",
        f"`{names['choice'].reasons[0].code}`",
    ]
    told = " ".join(told.split()).replace("−", "-")
    assert [line for line in shown if line not in told] == []
    assert names["choice"].outcome == "keep"


@pytest.mark.real_data
def test_the_wholesalers_buyers_are_as_the_guide_says(tmp_path, monkeypatch, real_data):
    guide = "docs/guide/retention.md"
    monkeypatch.chdir(tmp_path)
    invoices = real_data("uci_online_retail_invoices.parquet")
    (tmp_path / "uci_online_retail.parquet").symlink_to(invoices)
    (mapping,) = blocks(guide, langs={"toml"})
    (tmp_path / "uci_orders.toml").write_text(mapping.text, "utf-8")
    kept = (ROOT / "tests/dataset/mappings/uci_orders.toml").read_text("utf-8")
    assert tomllib.loads(mapping.text) == tomllib.loads(kept)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (code,) = [b for b in blocks(guide, langs={"python"}) if "uci_online" in b.text]
    names = {"growth": growth, "retention": growth.retention, "date": date}
    exec(compile(code.text, str(code), "exec"), names)
    curve, worth = names["curve"], names["worth"].curve
    first = {c.cohort: c for c in names["buyers"].cells if c.k == 1}
    december, january = first["2010-12-01"], first["2011-01-01"]
    (held,) = [c for c in names["cohorts"].contrasts if c.arm == january.cohort]
    october = first["2011-10-01"]
    lower = [-100 * x for x in (held.difference, held.high, held.low)]
    pounds = [worth[6].low / 100, worth[6].high / 100]
    shown = [
        f"{december.size} first buyers, of whom {december.retained} bought again",
        f"in January: {december.rate:.1%} ({ends(december)})",
        f"from {curve[1].rate:.1%} after one month to {curve[11].rate:.1%} after",
        f"come back at {january.rate:.1%}, October's at {october.rate:.1%}",
        f"{lower[0]:.1f} points lower ({lower[1]:.1f} to {lower[2]:.1f})",
        f"£{worth[0].ltv_fen / 100:,.0f} in the first month",
        f"£{worth[6].ltv_fen / 100:,.0f} by month 6",
        f"({pounds[0]:,.0f} to {pounds[1]:,.0f})",
    ]
    assert [line for line in shown if line not in words_of(guide)] == []
    codes = {n.code for n in (*names["buyers"].notices, *names["cohorts"].notices)}
    assert {"history_short", "not_randomised"} <= codes


def test_the_worked_example_of_a_programme_says_what_comes_out():
    guide = "docs/guide/tiers.md"
    names = {"tiers": growth.tiers, "date": date}
    (code,) = [b for b in blocks(guide, langs={"python"}) if "cdnow" in b.text]
    exec(compile(code.text, str(code), "exec"), names)
    by = names["by_name"]
    margin, above = by["margin_fen"], by["members_above_first"]
    cost, owed = by["benefit_cost_fen"], by["liability_fen"]
    pays = (cost.difference + owed.difference) / (0.3 * by["net_fen"].baseline)
    shown = [
        f"revenue is {by['net_fen'].baseline / 100:,.0f} under both",
        f"{above.baseline:.0f} stand above the first tier after a year; ",
        f"{above.difference:.0f} more would ({above.mc.lo:.0f} to {above.mc.hi:.0f})",
        f"{-margin.difference / 100:.0f} less, of {margin.baseline / 100:,.0f} ",
        f"({-margin.mc.hi / 100:.0f} to {-margin.mc.lo / 100:.0f} less",
        f"{cost.difference / 100:.0f} on top of {cost.baseline / 100:.0f}",
        f"owe {owed.baseline / 100:,.0f} at the end, and {owed.difference / 100:.0f} ",
        f"{pays:.1%} more revenue covers both",
    ]
    told = " ".join((ROOT / guide).read_text("utf-8").split())
    assert [line for line in shown if line not in told] == []
    assert by["net_fen"].difference == 0
    assert by["margin_fen"].calibrated is None


def test_every_experiment_file_shown_can_be_read():
    shown = blocks(*READMES, "docs/guide/abtest.md", langs={"toml"})
    assert len(shown) == 4
    for block in shown:
        declared = abtest.Experiment.from_dict(tomllib.loads(block.text))
        assert declared.id in {"checkout", "home_layout", "cookie_cats"}


def test_every_mapping_shown_can_be_read(here):
    assert load_mapping(here / "orders.toml").table.name == "orders"


def test_the_cron_line_runs(here):
    (block,) = blocks("README.md", langs={"cron"})
    schedule, _, command = block.text.strip().partition(" && .venv/bin/")
    assert re.fullmatch(r"(\S+ ){5}cd \S+", schedule)
    assert not re.search(r"(?<!\\)%", command)  # cron ends a line at a bare %
    day = command.replace(r"$(date -d yesterday +\%F)", "2026-02-28")
    assert run(day, here).returncode == 0


@pytest.fixture
def airflow(monkeypatch):
    """Return what is given to Airflow's operators, by class; Airflow need not be."""
    given = {}

    def made(name):
        return lambda **kwargs: given.setdefault(name, kwargs)

    places = {"BashOperator": "standard.operators.bash"}
    places["PapermillOperator"] = "papermill.operators.papermill"
    for name, place in places.items():
        parts = f"airflow.providers.{place}".split(".")
        for end in range(1, len(parts) + 1):
            module = ".".join(parts[:end])
            if module not in sys.modules:
                monkeypatch.setitem(sys.modules, module, ModuleType(module))
        monkeypatch.setattr(
            sys.modules[".".join(parts)], name, made(name), raising=False
        )
    return given


def shown_to_airflow(page):
    (block,) = [b for b in blocks(page, langs={"python"}) if "airflow" in b.text]
    exec(compile(block.text, str(block), "exec"), {})


def test_the_airflow_operator_is_given_a_command_that_runs(here, airflow):
    shown_to_airflow("README.md")
    given = airflow["BashOperator"]
    assert given["skip_on_exit_code"] == 7
    assert run(given["bash_command"].replace("{{ ds }}", "2026-02-28"), here).stdout


def test_what_schedulers_are_shown_is_what_they_read(airflow):
    page = "docs/guide/readouts.md"
    shown_to_airflow(page)
    wanted = airflow["BashOperator"]["bash_command"].replace("{{ ds }}", "2026-02-28")
    (cron,) = blocks(page, langs={"cron"})
    schedule, _, command = cron.text.strip().partition(" && .venv/bin/")
    assert re.fullmatch(r"(\S+ ){5}cd \S+", schedule)
    day = r'"$(date -d yesterday +\%F)"'
    assert command.replace(day, "2026-02-28") == wanted
    unit = ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str
    (systemd,) = blocks(page, langs={"ini"})
    unit.read_string(systemd.text)
    shell, option, line = shlex.split(unit["Service"]["ExecStart"])
    assert (shell, option) == ("/bin/sh", "-c")
    day = '"$(date -d yesterday +%%F)"'
    assert line.replace(day, "2026-02-28") == f"exec .venv/bin/{wanted}"
    assert unit["Service"]["KillMode"] == "mixed"
    notebook = airflow["PapermillOperator"]
    assert (ROOT / notebook["input_nb"]).is_file()
    given = {**notebook["parameters"], "as_of": "2026-02-28"}
    assert catalog.get("abtest_readout").from_python(given).experiment_id
    (batch,) = [b for b in blocks(page, langs={"toml"}) if "[[readout]]" in b.text]
    assert len(tomllib.loads(batch.text)["readout"]) == 2


def test_both_readmes_show_the_same_commands():
    shown = [
        [line.replace(" -p lang=zh", "") for b in found for line in b.text.splitlines()]
        for found in (blocks(page, langs={"sh"}) for page in READMES)
    ]
    assert set(shown[1]) <= set(shown[0])
    assert len(shown[1]) >= 4


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    text = FENCE.sub("", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("https://", "#")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve()
        assert found.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.+)$", found.read_text("utf-8"), re.MULTILINE)
            assert anchor in {head.lower().replace(" ", "-") for head in heads}


def test_every_decision_is_listed():
    listed = (ROOT / "docs/adr/README.md").read_text("utf-8")
    written = {path.name for path in (ROOT / "docs/adr").glob("[0-9]*.md")}
    assert set(re.findall(r"\((\d{4}-[a-z0-9-]+\.md)\)", listed)) == written


@pytest.mark.parametrize("index", ["docs/guide/README.md", "README.md", "README.zh.md"])
def test_every_guide_is_listed_once(index):
    folder = (ROOT / index).parent
    words = (ROOT / index).read_text("utf-8")
    for page in sorted((ROOT / "docs" / "guide").glob("*.md")):
        if page.name != "README.md":
            link = page.relative_to(folder).as_posix()
            links = len(re.findall(rf"\]\({re.escape(link)}\)", words))
            assert links == 1 if folder.name == "guide" else links, link


def test_the_screenshot_is_small_enough_to_load():
    picture = ROOT / "docs/images/readout.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 200_000
