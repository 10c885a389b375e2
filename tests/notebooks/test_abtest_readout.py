"""The experiment readout, run for real: by the runner, and by plain papermill."""

import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from pyarrow import compute as pc
from pyarrow import parquet

from growth import readout
from growth.readout import load
from growth.readout.catalog import notebook
from growth.readout.diff import diff

HERE = Path(__file__).parent
NOTEBOOK = notebook("abtest_readout")


def estimates(document, **by):
    return {item["key"]: item for item in document["estimates"] if item["by"] == by}


def test_the_runner_leaves_document_manifest_and_page_that_agree(sample, run):
    made = run(sample)
    document, manifest = made.document, made.manifest
    assert load(made.path).run_id == document["run_id"] == manifest["run_id"]
    assert document["subject"] == "home_layout"
    assert document["as_of"] == "2026-03-01"
    assert manifest["status"] == "succeeded"
    for name, sha in manifest["artifacts"].items():
        assert hashlib.sha256((made.path / name).read_bytes()).hexdigest() == sha
    keys = [chart["key"] for chart in document["charts"]]
    assert keys == ["forest", "split", "trend", "ages", "calibration", "segments"]
    for chart in document["charts"]:
        assert chart["alt"]
        assert "<script" not in (made.path / chart["svg"]).read_text("utf-8")
    tables = {table["key"] for table in document["tables"]}
    assert {"analysis", "split", "trend", "ages", "own"} <= tables
    trend = next(t for t in document["tables"] if t["key"] == "trend")
    assert len(json.dumps(trend, indent=2)) < 25_000
    text = json.dumps(document)
    assert "NaN" not in text
    assert "user_id" not in text


def test_what_was_planted_is_found(sample, run):
    document = run(sample).document
    truth = json.loads((sample / "truth.json").read_text("utf-8"))
    lift = estimates(document, arm="waterfall")["revenue.lift"]
    assert lift["lo"] < lift["value"] < lift["hi"]
    assert document["decision"]["verdict"].startswith("abtest.decision.")
    assert document["decision"]["rule"] == "fixed"
    read = {item["name"] for item in document["provenance"]["data"]}
    assert {"assignments", "events", "orders"} <= read
    assert not {"truth.json", "programme.toml"} & read
    assert "home_layout" in json.dumps(truth)
    shares = [e["value"] for e in document["estimates"] if e["key"] == "split.share"]
    assert sum(shares) == pytest.approx(1)


@pytest.mark.parametrize(
    ("lang", "here", "not_here"),
    [("en", "What changed", "哪些指标变了"), ("zh", "哪些指标变了", "What changed")],
)
def test_the_page_is_small_safe_and_in_one_language(sample, run, lang, here, not_here):
    page = run(sample, lang=lang).page
    assert len(page.encode()) < 60_000
    assert here in page
    assert not_here not in page
    assert "<script" not in page
    assert "Content-Security-Policy" in page
    assert "<math" in page
    for part in ('class="decision', 'class="tiles"', 'class="draws"', 'class="checks"'):
        assert part in page
    assert page.count('role="img"') > 2
    assert "bad_latex" not in page
    assert "removed" not in page
    assert "JupyterLab" not in page  # no widget was left in it


def test_a_ready_table_through_its_mapping_gives_the_published_figures(run, real_data):
    made = run(
        real_data("cookie_cats.csv"),
        "cookie_cats",
        experiment=str(HERE / "experiments" / "cookie_cats.toml"),
    )
    control = estimates(made.document, arm="gate_30")
    found = estimates(made.document, arm="gate_40")
    assert control["retention_1.mean"]["value"] == pytest.approx(0.4482, abs=5e-5)
    assert found["retention_1.mean"]["value"] == pytest.approx(0.4423, abs=5e-5)
    assert control["retention_7.mean"]["value"] == pytest.approx(0.1902, abs=5e-5)
    assert found["retention_7.mean"]["value"] == pytest.approx(0.1820, abs=5e-5)
    assert found["retention_1.difference"]["p_value"] == pytest.approx(0.0744, abs=5e-5)
    seven = found["retention_7.difference"]
    assert seven["p_value"] == pytest.approx(0.0016, abs=5e-5)
    assert seven["value"] == pytest.approx(-0.0082, abs=5e-5)
    assert (seven["lo"], seven["hi"]) == pytest.approx((-0.0133, -0.0031), abs=5e-5)
    split = estimates(made.document)["split.p_value"]
    assert split["p_value"] == pytest.approx(0.0086, abs=5e-5)
    assert made.document["decision"]["verdict"] == "abtest.decision.invalid"
    assert "Do not read these results" in made.page
    assert "Split not as planned" in made.page


def test_rows_that_contradict_themselves_are_set_apart_and_told(run, real_data):
    made = run(
        real_data("udacity_ab_data.csv.zip"),
        "udacity",
        experiment=str(HERE / "experiments" / "udacity.toml"),
    )
    control = estimates(made.document, arm="control")
    found = estimates(made.document, arm="treatment")
    assert control["converted.mean"]["value"] == pytest.approx(0.120386, abs=5e-7)
    assert found["converted.mean"]["value"] == pytest.approx(0.118808, abs=5e-7)
    assert found["converted.difference"]["p_value"] == pytest.approx(0.190, abs=5e-4)
    assert "contradict themselves 3,893 · repeated 1" in made.page
    assert "290,584 of 294,478 rows used" in made.page
    (load,) = [t for t in made.document["tables"] if t["key"] == "load"]
    told = {row[1]: row[2] for row in load["rows"]}
    assert told == {"accepted": 290_584, "inconsistent": 3893, "duplicate_key": 1}
    away = parquet.read_table(made.path / "rejects.parquet").column("reason")
    assert Counter(away.to_pylist()) == {"inconsistent": 3893, "duplicate_key": 1}
    assert "rejects.parquet" in made.manifest["artifacts"]


def test_plain_papermill_runs_the_same_notebook(under_papermill, tmp_path):
    made = under_papermill("abtest_readout", experiment_id="broken_split", lang="zh")
    assert "image/svg+xml" in made.kinds
    assert 'class="decision' in made.html
    assert "下单率" in made.html
    assert not list(tmp_path.glob("*.json"))


def test_plain_papermill_refuses_an_unknown_parameter(sample, tmp_path):
    import papermill
    from papermill.exceptions import PapermillExecutionError

    with pytest.raises(PapermillExecutionError, match="as_off"):
        papermill.execute_notebook(
            NOTEBOOK,
            tmp_path / "out.ipynb",
            parameters={"data": str(sample), "as_off": "2026-03-01"},
            progress_bar=False,
            cwd=str(tmp_path),
        )


def test_a_day_of_orders_more_is_named_as_the_cause_of_what_moved(sample, tmp_path):
    here = tmp_path / "merchant"
    shutil.copytree(sample, here)
    (file,) = (here / "orders" / "2026-02").glob("*.parquet")
    whole = parquet.read_table(file)
    days = pc.strftime(whole["create_ts"], "%Y-%m-%d")
    kept = whole.filter(pc.not_equal(days, "2026-02-20"))
    more = len(whole) - len(kept)
    assert 0 < more < 500

    def answered():
        given = {"data": str(here), "experiment_id": "home_layout"}
        given |= {"as_of": "2026-03-01"}
        outcome = readout.run("abtest_readout", given, out=tmp_path / "out")
        assert outcome.status == "succeeded", outcome.reason
        return outcome.path

    parquet.write_table(kept, file)
    before = answered()
    parquet.write_table(whole, file)
    told = diff(before, answered())
    assert told.verdict == "readout.diff.moved"
    assert "data" in told.causes
    # the package may have been edited meanwhile, and nothing else
    assert set(told.causes) <= {"data", "code"}
    (change,) = [change for change in told.changes if change.cause == "data"]
    assert (change.name, change.rows) == ("orders", more)
    (moved,) = [m for m in told.moves if m.key == "revenue.difference"]
    assert moved.kind == "moved"
    assert abs(moved.z) > 0
    said = "\n".join(told.lines())
    assert f"data orders (+{more} rows, ~orders/2026-02/{file.name})" in said
    assert "revenue.difference arm=waterfall" in said
