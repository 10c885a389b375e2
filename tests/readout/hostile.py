"""A readout that takes every hostile text at once, and says what it was given."""

from dataclasses import make_dataclass
from datetime import date
from pathlib import Path
from typing import Annotated

from growth.readout import Between, Help, Id, Sample, params, readout
from tests.readout.example import write_notebook

# accepted, and never anything but text
TEXTS = (
    "007", "1e5", "true", "null", "None", "1:30", "a=b=c", "实验🚀", '"""\\', "'''",
    'x"; import os; os.system("touch PWN"); y="', "x'; __import__('os').system('id')",
    "{v.__class__}", "{{}}", "$(id)", "$(touch PWN)", "`touch PWN`", "%s", "%(a)s",
    "\\u0041",
    "../../etc", ".", "CON", "-p", "--help", "#", "<script>alert(1)</script>",
    "@file", "~", "*", "!touch PWN", "a\\nb", "e\u0301", "ﬁ", "x" * 128,
)  # fmt: skip

HostileParams = readout("hostile_readout", subject="t0")(
    make_dataclass(
        "HostileParams",
        [
            *(
                (f"t{n}", Annotated[str, Id(), Sample("text"), Help("a text")])
                for n in range(len(TEXTS))
            ),
            ("as_of", Annotated[date, Sample("2026-01-31"), Help("last day")]),
            ("share", Annotated[float, Between(0, 1), Help("a share")], 0.5),
            ("whole", Annotated[int, Help("a number")], 7),
            ("flag", Annotated[bool, Help("yes or no")], False),
            ("day", Annotated[date | None, Help("a day")], None),
            ("place", Annotated[str | None, params.Path(), Help("a path")], None),
        ],
        frozen=True,
        slots=True,
        kw_only=True,
        namespace={"__module__": __name__},
    )
)

GIVEN = {f"t{n}": text for n, text in enumerate(TEXTS)} | {
    "as_of": "2026-01-31", "share": 0.1, "whole": -9007199254740991, "flag": True,
    "day": "1970-01-01", "place": None,
}  # fmt: skip

READ = """from growth.readout import Readout, publish
from growth.readout.params import declaration_of
from tests.readout.hostile import HostileParams
from tests.readout.example import Answer
p = HostileParams.from_notebook(globals())"""
TELL = """import json
print(json.dumps({"told": declaration_of(p).plain(p)}))"""
PUBLISH = "publish(Readout.from_results(p, decision=Answer(value=0.5)))"


def write_hostile(folder):
    """Write the notebook of `HostileParams` to a folder."""
    path = Path(folder) / "hostile_readout.ipynb"
    return write_notebook(path, HostileParams, [READ, TELL, PUBLISH])
