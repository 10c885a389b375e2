"""A readout of every type, declared as a user would; and a tiny one to run."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

from growth.errors import Fault
from growth.readout import Between, EnvName, Help, Id, Path, Sample, readout


@readout("example_readout", subject="experiment_id", deadline="10m")
@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleParams:
    """One parameter of each type."""

    experiment_id: Annotated[str, Id(), Sample("007"), Help("which experiment")]
    as_of: Annotated[date, Sample("2026-01-31"), Help("last day, inclusive")]
    start: Annotated[date | None, Help("first day")] = None
    metric: Annotated[Literal["gmv", "conversion"], Help("primary metric")] = "gmv"
    alpha: Annotated[float, Between(0, 1, open=True), Help("two-sided level")] = 0.05
    min_units: Annotated[int, Between(1, 1_000_000), Help("refuse below")] = 100
    cuped: Annotated[bool, Help("adjust by pre-period")] = False

    def conflicts(self):
        if self.start and self.start > self.as_of:
            yield Fault("conflict", "start", f"{self.start}", "no later than as_of")


@readout("tiny_readout", subject="who", deadline="60s")
@dataclass(frozen=True, slots=True, kw_only=True)
class TinyParams:
    """Just enough to run."""

    who: Annotated[str, Id(), Sample("one"), Help("whom it is about")]
    as_of: Annotated[date, Sample("2026-01-31"), Help("last day")]
    what: Annotated[str, Help("what the second cell does")] = "succeed"
    data: Annotated[str | None, Path(), Help("a file to read")] = None
    secret: Annotated[str | None, EnvName(), Help("a variable with a secret")] = None
