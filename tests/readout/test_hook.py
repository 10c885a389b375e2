import json
import shlex
import sys
import threading
from datetime import date

import pytest

from growth import cli
from growth.errors import DataError, Fault, ParameterError
from growth.readout import Store, batch, hook
from growth.readout.hook import call, refusals, told_of
from growth.readout.store import Key
from tests.readout.running import DAY, tiny_run


@pytest.fixture
def command(tmp_path):
    """Return a command that writes what it is told to a file."""
    script = (
        f"import sys; open({str(tmp_path / 'told')!r}, 'w').write(sys.stdin.read())"
    )
    return shlex.join([sys.executable, "-c", script])


def heard(tmp_path):
    return json.loads((tmp_path / "told").read_text("utf-8"))


def test_a_hook_gets_the_manifest_and_how_it_ended(tmp_path):
    (tmp_path / "manifest.json").write_text('{"run_id": "r", "seconds": 3}')
    told = told_of(
        {"run_id": "r"}, status="failed", exit_code=3, reason="why", path=tmp_path
    )
    assert told == {
        "run_id": "r", "seconds": 3, "status": "failed", "exit_code": 3,
        "reason": "why", "path": str(tmp_path),
    }  # fmt: skip
    bare = told_of({"run_id": ""}, status="refused", exit_code=7, reason="", path=None)
    assert bare["path"] == ""
    assert bare["run_id"] == ""


def test_what_is_wrong_with_a_hook_is_told_and_changes_nothing(monkeypatch):
    (said,) = call("no-such-program", {})
    assert "no-such-program" in said
    (said,) = call(f"{sys.executable} -c 'raise SystemExit(4)'", {})
    assert said.endswith("ended with 4")
    (said,) = call("a 'b", {})
    assert "No closing quotation" in said
    monkeypatch.setattr(hook, "PATIENCE", 0.2)
    (said,) = call(f"{sys.executable} -c 'import time; time.sleep(60)'", {})
    assert "timed out" in said


def test_a_refusal_is_told_and_raised_as_before(tmp_path, command):
    fault = Fault("bad_text", "who", "''", "printable", "Write it.")
    with (
        pytest.raises(ParameterError, match="printable") as info,
        refusals(command, "tiny_readout"),
    ):
        raise ParameterError.of("tiny_readout", [fault])
    assert info.value.code == "bad_text"
    told = heard(tmp_path)
    assert (told["status"], told["exit_code"]) == ("refused", 2)
    assert told["readout"] == "tiny_readout"
    assert told["faults"] == [fault._asdict()]
    with (
        pytest.raises(ParameterError, match="printable") as info,
        refusals("no-such-program", "tiny_readout"),
    ):
        raise ParameterError.of("tiny_readout", [fault])
    assert "no-such-program" in info.value.__notes__[0]


def test_a_table_that_is_wrong_is_a_refusal_too(tmp_path, command):
    with (
        pytest.raises(DataError, match="empty"),
        refusals(command, "tiny_readout"),
    ):
        raise DataError("the table is empty", code="empty_table")
    assert heard(tmp_path)["reason"] == "the table is empty"
    assert heard(tmp_path)["faults"] == []


def test_the_command_tells_of_a_parameter_it_refuses(tmp_path, command, capsys):
    run = ["readout", "run", "abtest_readout", "-p", "alpah=1"]
    assert cli.main([*run, "--on-finish", command]) == 2
    told = heard(tmp_path)
    assert told["readout"] == "abtest_readout"
    assert told["faults"][0]["code"] == "unknown_parameter"
    assert cli.main([*run, "--on-finish", "no-such-program"]) == 2
    assert "warning: the hook 'no-such-program' failed" in capsys.readouterr().err


@pytest.mark.parametrize("others", [0, 1], ids=["alone", "with another thread"])
def test_a_batch_tells_of_an_entry_it_refuses(tmp_path, command, others):
    import papermill  # noqa: F401  (what a server that forks has read)

    done = threading.Event()
    helpers = [threading.Thread(target=done.wait, daemon=True) for _ in range(others)]
    entry = batch.Entry(name="nobody_readout", params={"as_of": "2026-01-31"})
    job = {"out": str(tmp_path / "out"), "force": False, "wait": None}
    job |= {"as_of": "2026-01-31", "on_finish": command}
    job |= {name: getattr(entry, name) for name in batch._KEYS}
    for helper in helpers:
        helper.start()
    try:
        with pytest.raises(ParameterError, match="nobody_readout"):
            batch._perform(job, lambda _: None)
    finally:
        done.set()
        for helper in helpers:
            helper.join()
    assert heard(tmp_path)["faults"][0]["code"] == "unknown_readout"


def test_a_run_refused_for_another_that_runs_is_told_too(place, command):
    store = Store(place / "out")
    key = Key(readout="tiny_readout", subject="one", as_of=date.fromisoformat(DAY))
    with store.lock(key):
        outcome = tiny_run(place, on_finish=command)
    assert (outcome.status, outcome.remarks) == ("refused", ())
    told = heard(place)
    assert (told["status"], told["exit_code"]) == ("refused", 7)
    assert (told["subject"], told["as_of"], told["path"]) == ("one", DAY, "")
