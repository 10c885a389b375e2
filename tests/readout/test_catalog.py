from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pandas as pd
import pytest

from growth.errors import ParameterError
from growth.readout import (
    AbtestParams,
    Between,
    DatasetParams,
    Help,
    Id,
    Sample,
    catalog,
    readout,
)
from growth.readout.params import declaration_of
from growth.readout.trust import rows_read

GIVEN = {"data": "d", "experiment_id": "layout", "as_of": "2026-01-31"}
EXPERIMENT = """
schema = 1
id = "layout"
unit = "user"
control = "A"
arms = { A = 1, B = 1 }
mapping = "units.mapping.toml"
[[metric]]
name = "pay_rate"
kind = "proportion"
role = "goal"
good = "up"
unit = "share"
"""


def test_the_experiment_readouts_parameters_are_as_promised():
    declared = catalog.get("abtest_readout")
    assert declared.names == ("data", "experiment", "experiment_id", "as_of", "lang")
    assert [f.name for f in declared.fields if f.required] == [
        "data",
        "experiment_id",
        "as_of",
    ]
    assert "abtest_readout" in catalog.names()


@pytest.mark.parametrize("name", ["abtest", "../x", "", "ABTEST_READOUT"])
def test_an_unknown_readout_is_refused(name):
    with pytest.raises(ParameterError, match="abtest_readout") as info:
        catalog.get(name)
    assert info.value.code == "unknown_readout"
    if name == "abtest":
        assert "Did you mean" in info.value.faults[0].hint


def test_an_experiment_is_the_datasets_own_unless_given():
    own = AbtestParams(**GIVEN)
    assert own.experiment_path() == Path("d/experiments/layout.toml")
    given = AbtestParams(**GIVEN, experiment="e/other.toml")
    assert given.experiment_path() == Path("e/other.toml")
    for hostile in ("../../etc", ".", "a/b"):
        params = AbtestParams(**GIVEN | {"experiment_id": hostile})
        with pytest.raises(ParameterError, match="no plain file name") as info:
            params.experiment_path()
        assert info.value.code == "experiment_needed"


def test_a_run_reads_the_data_the_experiment_and_its_mapping(tmp_path):
    (tmp_path / "experiments").mkdir()
    file = tmp_path / "experiments" / "layout.toml"
    file.write_text(EXPERIMENT)
    params = AbtestParams(**GIVEN | {"data": str(tmp_path)})
    assert dict(params.inputs()) == {
        "data": str(tmp_path),
        "experiment": str(file),
        "mapping": str(tmp_path / "experiments" / "units.mapping.toml"),
    }


@pytest.mark.parametrize(
    ("there", "seen"),
    [
        (["home_layout", "aa_check"], "Did you mean 'home_layout'?"),
        (["aa_check"], "one of aa_check, which lie beside the data"),
        ([], "one of none"),
    ],
)
def test_an_experiment_that_misses_its_name_is_told_the_names(tmp_path, there, seen):
    (tmp_path / "experiments").mkdir()
    for name in there:
        (tmp_path / "experiments" / f"{name}.toml").write_text("")
    given = GIVEN | {"data": str(tmp_path), "experiment_id": "home_layuot"}
    with pytest.raises(ParameterError, match="home_layuot") as info:
        dict(AbtestParams(**given).inputs())
    (fault,) = info.value.faults
    assert (fault.code, fault.name) == ("unknown_experiment", "experiment_id")
    assert seen in f"{fault.expected} {fault.hint}"


def test_a_wrong_experiment_is_refused_before_a_run(tmp_path):
    file = tmp_path / "layout.toml"
    file.write_text(EXPERIMENT)
    given = GIVEN | {"experiment": str(file)}
    AbtestParams(**given).check()
    with pytest.raises(ParameterError, match="declares") as info:
        AbtestParams(**given | {"experiment_id": "other"}).check()
    assert info.value.code == "conflict"
    file.write_text(EXPERIMENT.replace('role = "goal"', 'role = "gaol"'))
    with pytest.raises(ParameterError, match="gaol"):
        AbtestParams(**given).check()


@readout("orders_readout", subject="channel")
@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersParams(DatasetParams):
    """A readout of a dataset, as a room declares it."""

    channel: Annotated[str, Id(), Sample("all"), Help("which channel")]
    days: Annotated[int, Between(1, 400), Help("days to look back")] = 28


def test_a_readout_of_a_dataset_is_asked_what_every_one_is():
    declared = declaration_of(OrdersParams)
    assert declared.names == ("data", "mapping", "as_of", "lang", "channel", "days")
    with pytest.raises(ParameterError, match="days is 0") as info:
        OrdersParams(data="d", as_of="2026-01-31", channel="all", days=0)
    assert info.value.code == "out_of_range"
    with pytest.raises(ParameterError, match="no parameter of orders_readout"):
        declared.from_command_line(["data=d", "chanel=x", "as_of=2026-01-31"])


def test_it_opens_its_dataset_as_of_its_day_and_names_what_it_reads(tmp_path):
    frame = pd.DataFrame(
        {
            "user_id": ["a", "b"],
            "ts": pd.to_datetime(["2026-01-30", "2026-01-31"], utc=True),
            "event": ["open", "open"],
        }
    )
    frame.to_csv(tmp_path / "events.csv", index=False)
    given = {"as_of": "2026-01-31", "channel": "all"}
    params = OrdersParams(data=str(tmp_path), **given)
    assert dict(params.inputs()) == {"data": str(tmp_path)}
    opened = params.open()
    assert opened.has("events")
    assert rows_read(opened) == {}
    mapped = OrdersParams(data="d", mapping="m.toml", **given)
    assert dict(mapped.inputs()) == {"data": "d", "mapping": "m.toml"}
    assert mapped.mapping_path() == Path("m.toml")
