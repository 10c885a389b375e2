import signal
import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated

import ipywidgets as widgets
import pytest

from growth.errors import DataError, ParameterError
from growth.panels import form
from growth.panels import panel as panel_module
from growth.readout import AbtestParams, Between, Help
from growth.readout.params import checked, fields_of
from tests.readout import example
from tests.readout.example import ExampleParams


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Small:
    """A form's parameters that are no readout's."""

    share: Annotated[float, Between(0, 1), Help("a share")] = 0.5
    limit: Annotated[float | None, Between(0, 9), Help("may be left out")] = None
    count: Annotated[int, Help("any number")] = 7


@pytest.fixture
def heard():
    return []


@pytest.fixture
def small(heard):
    return form(Small, heard.append)


def test_each_type_has_its_control():
    made = form(ExampleParams)
    kinds = {name: type(control) for name, control in made.controls.items()}
    assert kinds == {
        "experiment_id": widgets.Text,
        "as_of": widgets.DatePicker,
        "start": widgets.DatePicker,
        "metric": widgets.Dropdown,
        "alpha": widgets.FloatSlider,
        "min_units": widgets.IntText,
        "cuped": widgets.Checkbox,
    }
    slider = made.controls["alpha"]
    assert 0 < slider.min < slider.max < 1  # the ends are not in the range
    assert made.params == ExampleParams(experiment_id="007", as_of=date(2026, 1, 31))
    assert "two-sided level" in slider.tooltip


def test_moving_a_slider_gives_checked_parameters(small, heard):
    small.controls["share"].value = 0.75
    assert [item.share for item in heard] == [0.75]
    small.controls["share"].value = 99  # a slider stays in its range
    assert heard[-1].share == 1
    assert small.params == heard[-1]


def test_a_number_that_may_be_left_out_is_written(small, heard):
    small.controls["limit"].value = "2.5"
    assert heard[-1].limit == 2.5
    small.controls["limit"].value = ""
    assert heard[-1].limit is None


def test_a_bad_value_is_told_and_nothing_is_called(small, heard):
    small.controls["limit"].value = "<b>"
    assert heard == []
    assert small.params is None
    assert small.command == small.entry == ""
    assert [fault.code for fault in small.faults] == ["wrong_type"]
    assert "&lt;b&gt;" not in small.status.view.value  # what it must be is told
    assert "a number" in small.status.view.value
    small.controls["limit"].value = "3"
    assert heard[-1].limit == 3
    assert small.status.view.value == ""


def test_what_the_call_refuses_is_shown_and_the_form_lives_on(heard):
    def call(params):
        heard.append(params)
        msg = "the table <x> is empty; it must not be; load it."
        raise DataError(msg, code="no_units")

    made = form(Small, call)
    made.controls["share"].value = 0.1
    assert "the table &lt;x&gt; is empty" in made.status.view.value
    made.controls["share"].value = 0.2
    assert len(heard) == 2


def test_a_long_call_shows_its_progress_and_can_be_interrupted(monkeypatch, heard):
    monkeypatch.setattr(panel_module, "PATIENCE", 0.01)
    monkeypatch.setattr(panel_module, "BEAT", 0.01)
    said = []

    def call(params):
        for _ in range(200):
            signal.sigtimedwait([], 0.01)
            said.append(made.status.view.value)
            if len(said) > 2 and "Working" in said[-1]:
                raise KeyboardInterrupt  # as Interrupt in JupyterLab does
        heard.append(params)

    made = form(Small, call)
    made.controls["share"].value = 0.3
    assert any("Working: 0 s" in line for line in said)
    assert "Stopped" in made.status.view.value
    assert heard == []
    made.controls["share"].value = 0.4  # and it goes on after that
    assert "Stopped" in made.status.view.value


def test_it_writes_the_command_and_the_entry_of_a_readout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = form(ExampleParams, values={"experiment_id": "it's", "alpha": 0.1})
    notebook = Path(example.__file__).with_name("example_readout.ipynb")
    assert made.command == (
        "growth readout run example_readout "
        "--declaration tests.readout.example:ExampleParams "
        f"--notebook {notebook} -p 'experiment_id=it'\"'\"'s' "
        "-p as_of=2026-01-31 -p alpha=0.1"
    )
    (entry,) = tomllib.loads(made.entry)["readout"]
    assert entry == {
        "name": "example_readout",
        "declaration": "tests.readout.example:ExampleParams",
        "notebook": str(notebook),
        "params": {"experiment_id": "it's", "alpha": 0.1},
    }
    show, keep = made.view.children[-1].children[0].children
    show.click()
    assert "growth readout run" in made.view.children[-1].children[1].value
    keep.click()
    keep.click()
    assert "holds it already" in made.status.view.value
    held = tomllib.loads((tmp_path / "readouts.toml").read_text("utf-8"))
    assert held["readout"] == [entry]


def test_one_of_ours_needs_no_declaration_and_one_of_a_cell_cannot_be_handed_on(
    monkeypatch,
):
    given = {"data": "d", "experiment_id": "x"}
    made = form(AbtestParams, values=given)
    assert made.command == (
        "growth readout run abtest_readout -p data=d -p experiment_id=x "
        "-p as_of=2026-02-28"
    )
    assert "declaration" not in made.entry
    monkeypatch.setattr(ExampleParams, "__module__", "__main__")
    made = form(ExampleParams)
    show, _ = made.view.children[-1].children[0].children
    show.click()
    assert "declared in a notebook" in made.status.view.value
    assert made.view.children[-1].children[1].value == ""
    with pytest.raises(ParameterError, match="in a module") as info:
        made.command  # noqa: B018  (a property that refuses)
    assert info.value.code == "declared_in_notebook"


def test_only_some_fields_may_be_shown():
    made = form(
        ExampleParams,
        only=["alpha"],
        values={"cuped": True, "as_of": date(2026, 2, 1), "experiment_id": "x"},
    )
    assert list(made.controls) == ["alpha"]
    assert made.params.cuped is True
    with pytest.raises(ParameterError, match="only names"):
        form(ExampleParams, only=["alpah"])


def test_a_class_that_declares_nothing_is_refused():
    with pytest.raises(ParameterError, match="no readout's parameters"):
        form(dict)
    with pytest.raises(ParameterError, match="frozen dataclass"):
        checked(dict)
    assert [item.name for item in fields_of(Small)] == ["share", "limit", "count"]
    with pytest.raises(ParameterError, match="share is 7"):
        Small(share=7)
