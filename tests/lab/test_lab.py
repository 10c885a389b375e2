import json
import os
import sys
from pathlib import Path

import pytest

from growth import lab
from growth.cli import main
from growth.errors import ParameterError, StoreError
from growth.readout import places

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def started(monkeypatch):
    """Return what `growth lab` would have become."""
    found = []
    monkeypatch.setattr(os, "execve", lambda *given: found.append(given))
    return found


def test_it_opens_the_checkout_on_the_first_guide(started, monkeypatch):
    monkeypatch.setenv("GROWTH_RUN_DIR", "/somewhere")
    assert main(["lab", "--no-browser", "--port", "8899", "--ServerApp.token=x"]) == 0
    ((program, command, env),) = started
    assert program == command[0] == sys.executable
    assert command[1:3] == ["-m", "jupyterlab"]
    assert f"--ServerApp.root_dir={ROOT / 'notebooks'}" in command
    assert "--LabApp.default_url=/lab/tree/guides/01_first_steps.ipynb" in command
    assert command[-3:] == ["--no-browser", "--port=8899", "--ServerApp.token=x"]
    assert "GROWTH_RUN_DIR" not in env
    assert env["GROWTH_WORKSPACE"] == os.getcwd()
    assert str(ROOT) in env["PYTHONPATH"].split(os.pathsep)


def test_a_folder_of_ones_own_is_opened_as_it_is(started, tmp_path):
    assert main(["lab", str(tmp_path)]) == 0
    ((_, command, _),) = started
    assert f"--ServerApp.root_dir={tmp_path}" in command
    assert command[-1] == "--LabApp.default_url=/lab"
    with pytest.raises(ParameterError, match="is no folder") as info:
        lab.workspace(tmp_path / "nowhere")
    assert info.value.code == "no_such_path"


def test_its_settings_keep_it_from_asking_the_network(monkeypatch):
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/mine")
    ours, *rest = lab.environment()["JUPYTER_CONFIG_PATH"].split(os.pathsep)
    assert rest == ["/mine"]
    config = json.loads((Path(ours) / "jupyter_lab_config.json").read_text())["LabApp"]
    assert config["news_url"] is None
    assert config["extension_manager"] == "readonly"
    assert config["check_for_updates_class"].endswith(".NeverCheckForUpdate")
    held = Path(ours) / "labconfig" / "default_setting_overrides.json"
    (told,) = [v for k, v in json.loads(held.read_text()).items() if "notif" in k]
    assert told == {"checkForUpdates": False, "fetchNews": "false"}


def test_without_jupyterlab_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(lab, "find_spec", lambda _: None)
    assert main(["lab"]) == 2
    assert "error[lab_missing] JupyterLab is not installed" in capsys.readouterr().err


def test_an_installed_package_gives_a_copy_and_keeps_what_is_there(
    tmp_path, monkeypatch
):
    held = tmp_path / "site" / "_data" / "notebooks"
    (held / "guides").mkdir(parents=True)
    (held / "abtest_readout.ipynb").write_text("ours")
    (held / "guides" / "01_first_steps.ipynb").write_text("first")
    monkeypatch.setattr(lab, "notebook", lambda _: held / "abtest_readout.ipynb")
    monkeypatch.chdir(tmp_path)
    copy = lab.workspace()
    assert copy == tmp_path / "growth-notebooks"
    assert (copy / "guides" / "01_first_steps.ipynb").read_text() == "first"
    (copy / "abtest_readout.ipynb").write_text("mine")
    assert (lab.workspace() / "abtest_readout.ipynb").read_text() == "mine"
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    (tmp_path / "other" / "growth-notebooks").write_text("a file in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        lab.workspace()


def test_relative_data_is_found_where_lab_was_started(tmp_path, monkeypatch):
    (tmp_path / "shop").mkdir()
    (tmp_path / "growth-notebooks" / "guides").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "growth-notebooks" / "guides")
    assert places.located("shop/sample") == "shop/sample"
    monkeypatch.setenv("GROWTH_WORKSPACE", str(tmp_path))
    assert places.located("shop/sample") == str(tmp_path / "shop" / "sample")
