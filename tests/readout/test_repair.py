import json

import nbformat
import pytest

from growth.readout.repair import Redactor, read, repair


def code(source, *, count=None, start=None, outputs=(), status="completed"):
    state = {"status": status, "exception": None, "start_time": start}
    return {
        "cell_type": "code",
        "execution_count": count,
        "id": f"c-{len(source)}",
        "metadata": {"papermill": state | {"duration": 0.5, "end_time": None}},
        "outputs": list(outputs),
        "source": source,
    }


ERROR = {
    "output_type": "error",
    "ename": "KeyError",
    "evalue": "'a'",
    "traceback": ["line 1", "line 2"],
}


def write(path, *cells):
    notebook = {"cells": list(cells), "metadata": {"papermill": {}}, "nbformat": 4}
    path.write_text(json.dumps(notebook | {"nbformat_minor": 5}))
    return path


@pytest.fixture
def paths(tmp_path):
    return tmp_path / "executed.ipynb", tmp_path / "tiny.ipynb"


def test_a_notebook_is_read_as_it_is_not_as_it_claims(paths):
    ran = code("a", count=1, start="t")
    error = code("bb", count=2, start="t", outputs=[ERROR])
    never = code("ccc")
    empty = code("")
    told = read(write(paths[0], ran, error, never, empty))
    assert told.whole
    assert told.unrun == 1
    assert told.error == "KeyError: 'a'"
    assert told.traceback == "line 1\nline 2"
    assert [cell["cell"] for cell in told.cells] == [1, 2, 3]
    assert not read(paths[1]).whole


def test_cells_are_given_the_state_they_were_in(paths):
    executed, source = paths
    marker = {
        "cell_type": "markdown",
        "id": "m",
        "metadata": {"tags": ["papermill-error-cell-tag"]},
        "source": "An Exception",
    }
    write(
        executed,
        marker,
        code("a", count=1, start="t"),
        code("bb", count=2, start="t"),
        code("ccc"),
    )
    repair(executed, source=source, status="timed_out", words="Timed out", log="")
    notebook = json.loads(executed.read_text())
    nbformat.validate(notebook)
    banner, *cells = notebook["cells"]
    assert banner["source"] == "**Timed out**"
    assert banner["metadata"]["tags"] == ["run-status"]
    states = [cell["metadata"]["papermill"] for cell in cells]
    assert [state["status"] for state in states] == [
        "completed",
        "timed_out",
        "not_run",
    ]
    assert [state["exception"] for state in states] == [False, True, None]
    assert states[2]["duration"] is None
    assert notebook["metadata"]["papermill"]["exception"] is True
    assert notebook["metadata"]["papermill"]["input_path"] == "tiny.ipynb"
    again = executed.read_text()
    repair(executed, source=source, status="timed_out", words="Timed out", log="")
    assert executed.read_text() == again


def test_a_success_gets_no_banner(paths):
    executed, source = paths
    write(executed, code("a", count=1, start="t"))
    repair(executed, source=source, status="succeeded", words="Succeeded", log="")
    notebook = json.loads(executed.read_text())
    assert len(notebook["cells"]) == 1
    assert notebook["metadata"]["papermill"]["exception"] is None


@pytest.mark.parametrize("torn", ['{"cells": [', "[]", '{"cells": 3}', None])
def test_a_torn_notebook_is_made_again_from_its_source_and_log(paths, torn):
    executed, source = paths
    write(source, code("a"), code("bb"))
    if torn is not None:
        executed.write_text(torn)
    log = "last words ```"
    repair(executed, source=source, status="kernel_died", words="Died", log=log)
    notebook = json.loads(executed.read_text())
    nbformat.validate(notebook)
    assert "last words '''" in notebook["cells"][0]["source"]
    assert [cell["status"] for cell in read(executed).cells] == ["not_run", "not_run"]


def test_secrets_are_taken_out_of_every_file(tmp_path):
    secret = 'p"ä'
    redact = Redactor((secret,))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "log.txt").write_text(f"it is {secret}.")
    (tmp_path / "b.json").write_text(json.dumps({"a": secret}))
    (tmp_path / "c.json").write_text(json.dumps({"a": secret}, ensure_ascii=False))
    redact.folder(tmp_path)
    assert (tmp_path / "a" / "log.txt").read_text() == "it is ***."
    assert json.loads((tmp_path / "b.json").read_text()) == {"a": "***"}
    assert json.loads((tmp_path / "c.json").read_text()) == {"a": "***"}
    assert Redactor(()).text(secret) == secret
