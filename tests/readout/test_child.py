import errno
import sys

import pytest

from growth.readout import child


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_disk_that_takes_no_more_is_not_our_defect(number):
    kind, message = child._crashed(OSError(number, "no more"))
    assert kind == "disk"
    assert "no more" in message


def test_any_other_error_is_told_with_its_traceback(capsys):
    kind, message = child._crashed(OSError(errno.ENOENT, "not there"))
    assert (kind, message) == ("other", "FileNotFoundError: [Errno 2] not there")
    assert "not there" in capsys.readouterr().err


def test_a_child_takes_our_package_and_no_lab_of_ours(monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "lab")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    env = child.environment()
    assert "JPY_SESSION_NAME" not in env
    assert env["PYTHONHASHSEED"] == "0"
    assert env["PYTHONPATH"].endswith("/elsewhere")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    assert child.environment()["PYTHONHASHSEED"] == "7"
    assert "papermill" not in child.__dict__
    assert sys.modules["growth.readout.child"] is child
