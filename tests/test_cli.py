"""The command: words on the right stream, the right exit code, no traceback."""

import json
import subprocess
import sys
import time
from datetime import date

import pytest

from growth import cli, doctor, synth
from growth.cli import main
from growth.errors import DataError, StoreError
from growth.labels import table
from growth.readout import catalog, runner, store


def ended(status="succeeded", exit_code=0, path=None, reason=""):
    return runner.RunOutcome(
        status=status, exit_code=exit_code, path=path, reason=reason
    )


@pytest.fixture
def outcome(monkeypatch):
    """Make `runner.run` return what a test wants; keep what it was called with."""
    calls = []

    def give(result):
        def run(name, params, **options):
            calls.append((name, params, options))
            return result

        monkeypatch.setattr(runner, "run", run)
        return calls

    return give


NEEDED = ["-p", "data=d", "-p", "experiment_id=007", "-p", "as_of=2026-02-28"]


def test_no_arguments_show_the_help_and_are_a_usage_error(capsys):
    assert main([]) == 2
    assert "Commands:" in capsys.readouterr().err


def test_the_version_is_the_packages(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"growth, version {cli.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["readot"], "No such command 'readot'"),
        (["readout", "run"], "Missing argument 'NAME'"),
        (["doctor", "--jsn"], "No such option"),
        (["completion", "csh"], "'csh' is not one of"),
        (["sample", "--users", "many"], "'many' is not a valid integer"),
    ],
)
def test_a_wrong_call_is_told_in_one_line(arguments, words, capsys):
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error[usage] growth")
    assert words in told.err
    assert "Traceback" not in told.err


def test_readouts_are_listed_and_described(capsys):
    assert main(["readout", "list"]) == 0
    assert "abtest_readout" in capsys.readouterr().out
    assert main(["readout", "describe", "abtest_readout"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in catalog.get("abtest_readout").names)
    assert "(required)" in told
    assert "at most 10 minutes" in told
    command = "growth readout run abtest_readout -p data=data/sample"
    assert f"{command} -p experiment_id=home_layout -p as_of=2026-02-28" in told
    assert "en|zh" in told


def test_what_is_listed_can_be_read_by_programs(capsys):
    assert main(["readout", "list", "--json"]) == 0
    listed = {item["name"]: item for item in json.loads(capsys.readouterr().out)}
    assert tuple(listed) == catalog.names()
    assert main(["readout", "describe", "abtest_readout", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == listed["abtest_readout"]
    assert listed["abtest_readout"]["parameters"][0]["name"] == "data"


def test_an_unknown_readout_gets_a_suggestion(capsys):
    assert main(["readout", "describe", "abtest_readot"]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("error[unknown_readout]")
    assert "Did you mean 'abtest_readout'?" in told.err


def test_every_fault_of_a_call_is_told_and_nothing_runs(outcome, capsys):
    calls = outcome(ended())
    wrong = ["-p", "experimentid=x", "-p", "as_of=yesterday", "-p", "lang=fr"]
    assert main(["readout", "run", "abtest_readout", *wrong]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    codes = [line for line in told.err.splitlines() if line.startswith("error[")]
    assert [line.partition("]")[0][6:] for line in codes] == [
        "unknown_parameter",
        "bad_date",
        "not_a_choice",
        "missing_parameter",
        "missing_parameter",
    ]
    assert "Did you mean 'experiment_id'?" in told.err
    assert calls == []


def test_faults_are_data_where_data_is_asked_for(capsys):
    arguments = [*NEEDED, "-p", "as_off=2026-01-01", "--json"]
    assert main(["readout", "run", "abtest_readout", *arguments]) == 2
    told = capsys.readouterr()
    (fault,) = json.loads(told.err)
    assert set(fault) == {"code", "name", "seen", "expected", "hint"}
    assert fault["code"] == "unknown_parameter"
    assert told.out == ""


def test_hostile_text_stays_text(outcome, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    calls = outcome(ended(path=tmp_path))
    text = 'x"; import os; os.system("touch PWN"); y="'
    given = ["-p", "data=d", "-p", f"experiment_id={text}", "-p", "as_of=2026-02-28"]
    assert main(["readout", "run", "abtest_readout", *given]) == 0
    assert calls[0][1].experiment_id == text
    assert list(tmp_path.iterdir()) == []
    capsys.readouterr()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("succeeded", 0),
        ("failed", 3),
        ("timed_out", 4),
        ("kernel_died", 5),
        ("invalid_result", 6),
        ("refused", 7),
        ("store_error", 8),
        ("cancelled", 143),
    ],
)
def test_the_exit_code_is_the_runs_own(status, code, outcome, tmp_path, capsys):
    path = tmp_path if status not in {"refused", "store_error"} else None
    outcome(ended(status, code, path, "why" if code else ""))
    assert main(["readout", "run", "abtest_readout", *NEEDED]) == code
    told = capsys.readouterr()
    assert told.out == (f"{tmp_path}\n" if path else "")
    assert told.err == (f"{status}: why\n" if code else "")


def test_a_question_answered_before_is_told(outcome, tmp_path, capsys):
    outcome(ended("skipped", 0, tmp_path, "answered before"))
    assert main(["readout", "run", "abtest_readout", *NEEDED]) == 0
    assert capsys.readouterr() == (f"{tmp_path}\n", "skipped: answered before\n")


def test_a_run_shows_how_far_it_is(monkeypatch, tmp_path, capsys):
    def run(_name, _params, *, progress, **_options):
        for second in (1.0, 11.0, 12.0, 25.0):
            progress(runner.Progress(int(second // 5), 9, second, 600 - second))
        return ended(path=tmp_path)

    monkeypatch.setattr(runner, "run", run)
    assert main(["readout", "run", "abtest_readout", *NEEDED]) == 0
    head = "abtest_readout 007 2026-02-28"
    assert capsys.readouterr().err.splitlines() == [
        f"{head}: 2/9 cells  11s  left 589s",
        f"{head}: 5/9 cells  25s  left 575s",
    ]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["readout", "run", "abtest_readout", *NEEDED]) == 0
    assert f"{head}:" in (drawn := capsys.readouterr().err)
    assert "5/9 cells" in drawn


def test_further_forms_of_the_page_are_passed_on(outcome, tmp_path):
    calls = outcome(ended(path=tmp_path))
    options = ["--png", "--interactive", "-q"]
    assert main(["readout", "run", "abtest_readout", *NEEDED, *options]) == 0
    assert calls[0][2]["also"] == ("interactive", "png")


def test_showing_a_pdf_without_chromium_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *_args, **_more: None)
    assert main(["readout", "show", "abtest_readout", "home_layout", "--pdf"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error[chromium_missing] Chromium is not here;")
    assert "install it" in said


def test_quiet_says_the_folder_alone_and_asks_for_no_progress(
    outcome, tmp_path, capsys
):
    calls = outcome(ended(path=tmp_path))
    options = ["--quiet", "--force", "--wait", "5s", "--deadline", "2m", "--out", "o"]
    assert main(["readout", "run", "abtest_readout", *NEEDED, *options]) == 0
    assert capsys.readouterr() == (f"{tmp_path}\n", "")
    _, params, given = calls[0]
    assert params.experiment_id == "007"
    assert given == {
        "out": "o",
        "force": True,
        "wait": "5s",
        "deadline": "2m",
        "progress": None,
        "retries": 0,
        "on_finish": None,
        "also": (),
        "declaration": None,
        "notebook": None,
    }


def test_a_run_is_one_object_for_programs(outcome, tmp_path, capsys):
    outcome(ended("failed", 3, tmp_path, "cell_failed"))
    assert main(["readout", "run", "abtest_readout", *NEEDED, "--json"]) == 3
    told = capsys.readouterr()
    assert json.loads(told.out) == {
        "status": "failed",
        "exit_code": 3,
        "reason": "cell_failed",
        "path": str(tmp_path),
    }


def test_parameters_come_from_a_file_and_the_command_wins(outcome, tmp_path, capsys):
    calls = outcome(ended(path=tmp_path))
    file = tmp_path / "p.json"
    file.write_text(
        '{"data": "d", "experiment_id": "a", "as_of": "2026-02-01", "lang": "zh"}'
    )
    pairs = ["--params", str(file), "-p", "as_of=2026-02-28"]
    assert main(["readout", "run", "abtest_readout", *pairs]) == 0
    params = calls[0][1]
    assert (str(params.as_of), params.lang) == ("2026-02-28", "zh")
    capsys.readouterr()


@pytest.mark.parametrize("words", [["no-such-run"], ["abtest_readout", "nobody"]])
def test_showing_what_is_not_there_says_what_would_be(words, tmp_path, capsys):
    assert main(["readout", "show", *words, "--out", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error[unknown_run]")
    assert "growth readout index lists them" in told


def test_the_schema_is_json_schema(capsys):
    assert main(["readout", "schema"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["$schema"].endswith("2020-12/schema")


def test_the_notebooks_of_this_checkout_agree_with_their_declarations(capsys):
    assert main(["readout", "check"]) == 0, capsys.readouterr().out
    told = capsys.readouterr().out.splitlines()
    assert len(told) == len(catalog.names())
    assert main(["readout", "check", "abtest_readout", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_wrong_day_is_refused(capsys):
    assert main(["check", "x", "--as-of", "today"]) == 2
    assert capsys.readouterr().err.startswith("error[bad_date] --as-of is 'today'")


def test_a_wrong_table_exits_2_and_a_full_disk_8(monkeypatch, capsys):
    from growth import dataset

    def fail(error):
        def check(*_args, **_kwargs):
            raise error

        monkeypatch.setattr(dataset, "check", check)
        return main(["check", "x"])

    assert fail(DataError("no rows; 1 or more; check it.", code="no_rows")) == 2
    assert fail(StoreError("disk full; 1 GB free; make room.")) == 8
    told = capsys.readouterr().err.splitlines()
    assert [line.partition("]")[0] for line in told] == [
        "error[no_rows",
        "error[store",
    ]


def test_only_a_defect_of_ours_gives_a_traceback(monkeypatch):
    from growth import dataset

    def check(*_args, **_kwargs):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(dataset, "check", check)
    with pytest.raises(ZeroDivisionError, match="ours"):
        main(["check", "x"])


def test_the_doctor_tells_what_is_there_and_never_the_key(monkeypatch, capsys):
    secret = "s3cret" * 8
    monkeypatch.setenv("GROWTH_ID_KEY", secret)
    assert main(["doctor", "--json"]) == 0
    text = capsys.readouterr().out
    found = {item["name"]: item for item in json.loads(text)["findings"]}
    assert found["GROWTH_ID_KEY"]["seen"] == "set"
    assert "s3cret" not in text
    assert {"python", "duckdb", "chinese_font", "chromium", "java"} <= found.keys()
    assert all(item["advice"] for item in found.values() if item["state"] != "present")


def test_a_short_key_is_broken_and_the_doctor_says_so(monkeypatch, capsys):
    monkeypatch.setenv("GROWTH_ID_KEY", "short-one")
    assert main(["doctor"]) == 3
    told = capsys.readouterr().out
    assert told.splitlines()[0] == table("en")["doctor.machine.broken"]
    assert "too short" in told
    assert "short-one" not in told


def test_a_bare_machine_works_with_less(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("GROWTH_ID_KEY", raising=False)
    found = {item.name: item for item in doctor.examine().findings}
    absent = {"chinese_font", "chromium", "java", "GROWTH_ID_KEY"}
    assert {found[name].state for name in absent} == {"absent"}


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ('openjdk version "17.0.15" 2025-04-15', "present"),
        ('Picked up JAVA_TOOL_OPTIONS: -X\nopenjdk version "21" 2023-09-19', "present"),
        ('java version "1.8.0_202"', "absent"),
        ("", "absent"),
    ],
)
def test_java_must_be_new_enough(said, state, monkeypatch):
    monkeypatch.setattr(doctor, "_say", lambda *_: said)
    assert doctor._java().state == state


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_gets_a_script(shell, capsys):
    assert main(["completion", shell]) == 0
    assert "_GROWTH_COMPLETE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("growth rea", {"readout"}),
        ("growth readout run abt", {"abtest_readout"}),
        ("growth readout run abtest_readout -p la", {"lang=en", "lang=zh"}),
        ("growth readout run abtest_readout -p exp", {"experiment=", "experiment_id="}),
        ("growth readout run nonesuch -p ex", set()),
    ],
)
def test_names_are_completed(words, wanted):
    from click.shell_completion import BashComplete

    parts = words.split()
    complete = BashComplete(cli.root, {}, "growth", "_GROWTH_COMPLETE")
    found = complete.get_completions(parts[1:-1], parts[-1])
    assert {item.value for item in found} == wanted


def test_long_work_shows_itself_and_short_work_does_not(monkeypatch, capsys):
    monkeypatch.setattr(cli, "BEAT", 0.05)
    monkeypatch.setattr(cli, "PATIENCE", 0.05)
    with cli._busy("counting", quiet=False):
        time.sleep(0.3)  # stands for work
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "counting ..."
    assert len(told) > 1
    with cli._busy("counting", quiet=False):
        pass
    with cli._busy("counting", quiet=True):
        time.sleep(0.1)
    assert capsys.readouterr().err == ""


def test_without_click_the_command_says_how_to_get_it():
    code = (
        "import sys; sys.modules['click'] = None\n"
        "from growth.__main__ import main; sys.exit(main())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert run.stderr.startswith("error[extra_missing] the growth command needs click")
    assert run.stderr.count("\n") == 1


def test_another_missing_module_is_not_hidden(monkeypatch):
    from growth import __main__

    monkeypatch.delitem(sys.modules, "growth.cli")
    monkeypatch.setitem(sys.modules, "growth.errors", None)
    with pytest.raises(ModuleNotFoundError, match=r"growth\.errors"):
        __main__.main()


def test_every_command_is_in_the_help_with_a_whole_sentence(capsys):
    for words, group in (([], cli.root), (["readout"], cli.readout)):
        assert set(group.commands) <= set(cli.ORDER)
        assert main([*words, "--help"]) == 0
        _, _, listed = capsys.readouterr().out.partition("Commands:\n")
        shown = dict(line.split(None, 1) for line in listed.splitlines())
        assert shown.keys() == group.commands.keys()
        assert all(told.endswith(".") for told in shown.values())
        assert not any("..." in told for told in shown.values())


def test_layouts_are_built_then_found_up_to_date(tmp_path, capsys):
    synth.sample(tmp_path / "shop", users=100)
    events = str(tmp_path / "shop" / "events")
    asked = ["layouts", "refresh", events, "--kind", "paid=pay_success", "--json", "-q"]
    assert main(asked) == 0
    built = json.loads(capsys.readouterr().out)
    assert built["whole"]
    assert built["days"] > 0
    assert built["users"] == built["new_users"] > 0
    assert main(asked) == 0
    again = json.loads(capsys.readouterr().out)
    assert again == built | {"days": 0, "new_users": 0, "whole": False}
    assert main(["layouts", "refresh", str(tmp_path / "nowhere")]) == 2
    assert "error[layout_source]" in capsys.readouterr().err


def test_a_subject_that_is_misspelt_is_named_with_the_right_one(tmp_path, capsys):
    kept = store.Store(tmp_path)
    key = store.Key(
        readout="abtest_readout", subject="home_layout", as_of=date(2026, 2, 28)
    )
    run_id = "20260228T000000Z-000001"
    kept.open_staging(run_id, {})
    told = {"readout": key.readout, "subject": key.subject, "status": "failed"}
    kept.finish(key, run_id, told)
    asked = ["readout", "show", "abtest_readout", "home_layot", "--out", str(tmp_path)]
    assert main(asked) == 2
    assert "Did you mean 'home_layout'?" in capsys.readouterr().err


def test_a_batch_says_in_full_why_some_have_no_answer(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["readout", "run-all", "--as-of", "2026-02-28"]) == 2
    said = capsys.readouterr().err
    assert "readouts.toml is not there" in said
    assert "Errno" not in said
    config = '[[readout]]\nname = "abtest_readout"\nparams = { experiment = "x" }\n'
    (tmp_path / "readouts.toml").write_text(config)
    assert main(["readout", "run-all", "--as-of", "2026-02-28"]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("1/1 abtest_readout: refused")
    head, _, why = said.out.partition("abtest_readout: ")
    assert "reason" not in head
    assert "experiment_id is missing" in why
