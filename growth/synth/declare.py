"""The declarations that come with the sample: experiments and member programme."""

from __future__ import annotations

from datetime import timedelta
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Final

from growth.synth.trials import DAYS, TRIALS

if TYPE_CHECKING:
    from datetime import date

__all__ = ["declarations"]

PLANNED_RATE: Final = 0.30  # units planned, as a share of the sample's users


def declarations(users: int, end: date) -> dict[str, str]:
    """Return the text of every declaration, by its path in the sample.

    Parameters
    ----------
    users : int
        Users of the sample; the plan's size follows.
    end : datetime.date
        The day after the log's last.

    Returns
    -------
    dict of str to str
        ``experiments/<id>.toml``, ``programme.toml``, and a change to it that is
        proposed, ``programme_next.toml``.
    """
    folder = files("growth.synth").joinpath("declarations")

    def text(name: str) -> str:
        return folder.joinpath(f"{name}.toml").read_text("utf-8")

    written = {f"{name}.toml": text(name) for name in ("programme", "programme_next")}
    for trial in TRIALS:
        last = end - timedelta(days=trial.ends_before)
        written[f"experiments/{trial.name}.toml"] = Template(
            text(trial.name)
        ).substitute(
            start=last - timedelta(days=DAYS),
            end=last,
            units=int(users * PLANNED_RATE),
        )
    return written
