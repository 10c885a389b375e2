"""The readouts there are, their parameters, and where their notebooks lie."""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from growth.errors import Fault, ParameterError, suggest
from growth.readout.params import (
    Between,
    Declaration,
    Help,
    Id,
    Path,
    Sample,
    declaration_of,
    readout,
)
from growth.readout.places import located, notebook_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from growth.dataset import Dataset
    from growth.segments import Rules
    from growth.tiers import Programme, Response

__all__ = [
    "AbtestParams",
    "DatasetParams",
    "HeatmapParams",
    "RetentionParams",
    "SegmentsParams",
    "TiersParams",
    "get",
    "names",
    "notebook",
]


# of a member programme: decimal text, never a number
DECIMALS: Final = ("earn_multiplier", "discount_rate", "per_yuan")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetParams:
    """What every readout of a dataset is asked; a readout's own class adds to it."""

    data: Annotated[str, Path(), Sample("data/sample"), Help("dataset to read")]
    mapping: Annotated[
        str | None, Path(), Help("how foreign columns are read; empty: they are ours")
    ] = None
    as_of: Annotated[date, Sample("2026-02-28"), Help("last day counted, inclusive")]
    lang: Annotated[Literal["en", "zh"], Help("language of the page")] = "en"

    def data_path(self) -> str:
        """Return `data` as `growth.open` takes it; see `located`."""
        return located(self.data)

    def mapping_path(self) -> FilePath | None:
        """Return the mapping's file, if one is given."""
        return FilePath(located(self.mapping)) if self.mapping else None

    def open(self) -> "Dataset":
        """Open the dataset as of the day asked for.

        Raises
        ------
        GrowthError
            As `growth.open`.
        """
        from growth import dataset

        return dataset.open(
            self.data_path(), mapping=self.mapping_path(), as_of=self.as_of
        )

    def inputs(self) -> "Iterator[tuple[str, str]]":
        """Yield what a run reads, by name: its fingerprint is taken of these."""
        yield "data", self.data_path()
        if mapping := self.mapping_path():
            yield "mapping", str(mapping)


@readout("abtest_readout", subject="experiment_id", deadline="10m")
@dataclass(frozen=True, slots=True, kw_only=True)
class AbtestParams:
    """The experiment readout: did the variant win, and can it be trusted.

    What is measured, how it is adjusted and when it is enough belongs to the
    experiment's own declaration, so it is no parameter here.
    """

    data: Annotated[
        str, Path(), Sample("data/sample"), Help("dataset or unit table to read")
    ]
    experiment: Annotated[
        str | None, Path(), Help("experiment file; empty: the dataset's own")
    ] = None
    experiment_id: Annotated[str, Id(), Sample("home_layout"), Help("which experiment")]
    as_of: Annotated[date, Sample("2026-02-28"), Help("last day counted, inclusive")]
    lang: Annotated[Literal["en", "zh"], Help("language of the page")] = "en"

    def data_path(self) -> str:
        """Return `data` as `growth.open` takes it; see `located`."""
        return located(self.data)

    def experiment_path(self) -> FilePath:
        """Return the experiment's file; by default the one beside the data.

        Raises
        ------
        ParameterError
            If no file is given and the id is no plain file name (code
            ``experiment_needed``), or there are experiments beside the data and
            this is none of them (``unknown_experiment``).
        """
        if self.experiment:
            return FilePath(located(self.experiment))
        if FilePath(self.experiment_id).name != self.experiment_id:
            msg = f"experiment_id is {self.experiment_id!r}, no plain file name, and no"
            msg = (
                f"{msg} experiment file is given; it must be the name of a file in the"
            )
            msg = f"{msg} dataset's experiments; give the file as `experiment`."
            raise ParameterError(msg, code="experiment_needed")
        folder = FilePath(located(self.data)) / "experiments"
        path = folder / f"{self.experiment_id}.toml"
        if folder.is_dir() and not path.is_file():
            there = sorted(item.stem for item in folder.glob("*.toml"))
            raise ParameterError.of("abtest_readout", [_unknown(self, there)])
        return path

    def inputs(self) -> "Iterator[tuple[str, str]]":
        """Yield what a run reads, by name: its fingerprint is taken of these."""
        yield "data", self.data_path()
        path = self.experiment_path()
        yield "experiment", str(path)
        mapping = _mapping(path)
        if mapping:
            yield "mapping", str(mapping)

    def check(self) -> None:
        """Refuse an experiment's file that is wrong, before a kernel is started.

        Raises
        ------
        ParameterError
            With every fault of the file, or if it declares another experiment
            (code ``conflict``).
        """
        from growth.abtest import load_experiment

        declared = load_experiment(self.experiment_path())
        if declared.id != self.experiment_id:
            hint = "Give the experiment of that id, or its file."
            want = f"{declared.id!r}, which the experiment's file declares"
            raise ParameterError.of(
                "abtest_readout",
                [
                    Fault(
                        "conflict",
                        "experiment_id",
                        repr(self.experiment_id),
                        want,
                        hint,
                    )
                ],
            )


def _unknown(params: AbtestParams, there: list[str]) -> Fault:
    """Return the fault of an experiment that is not among those there."""
    return Fault(
        "unknown_experiment",
        "experiment_id",
        repr(params.experiment_id),
        f"one of {', '.join(there) or 'none'}, which lie beside the data",
        suggest(params.experiment_id, there).strip()
        or "Name one of them, or give the experiment's file as `experiment`.",
    )


@readout("heatmap_readout", subject="page", deadline="10m")
@dataclass(frozen=True, slots=True, kw_only=True)
class HeatmapParams(DatasetParams):
    """The heatmap readout: where people tap on one page, and what to mend there.

    With an experiment it also says whether, and where, its arms tap differently.
    """

    page: Annotated[str, Id(), Sample("pages/home/index"), Help("which page")]
    days: Annotated[int, Between(1, 366), Help("days up to as_of")] = 28
    device_class: Annotated[
        Literal["phone", "tablet", "wide"], Help("devices on the map")
    ] = "phone"
    fixed_elements: Annotated[
        str | None, Help("elements that stay put while the page scrolls, with commas")
    ] = None
    experiment_id: Annotated[
        str | None, Id(), Help("compare this experiment's arms; empty: none")
    ] = None

    @property
    def start(self) -> date:
        """The first day counted."""
        return self.as_of - timedelta(days=self.days - 1)

    def scope(self) -> "dict[str, Any]":
        """Return what every verb of the room is told: page, period, devices."""
        return {
            "page": self.page,
            "start": self.start,
            "end": self.as_of + timedelta(days=1),
            "device_class": self.device_class,
        }

    def map_scope(self) -> "dict[str, Any]":
        """Return the same, and what stays put on the screen."""
        names = (self.fixed_elements or "").split(",")
        fixed = tuple(name.strip() for name in names if name.strip())
        return self.scope() | {"fixed_elements": fixed}


@readout("retention_readout", subject="name", deadline="10m")
@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionParams(DatasetParams):
    """The retention readout: who comes back and when, and where people fall off.

    Beside them what a buyer is worth, who went quiet, and the platform's own figures.
    """

    name: Annotated[str, Id(), Sample("new_users"), Help("what this readout is called")]
    start_event: Annotated[str | None, Help("event that begins; empty: any")] = None
    return_event: Annotated[
        str | None, Help("event that counts as coming back; empty: the first's")
    ] = None
    mode: Annotated[
        Literal["first_ever", "first_in_range", "every"], Help("which start counts")
    ] = "first_ever"
    period: Annotated[
        Literal["day", "week", "month"], Help("length of an interval")
    ] = "day"
    days: Annotated[
        int, Between(1, 730), Help("cohorts of so many days up to as_of")
    ] = 42
    horizon: Annotated[int, Between(4, 366), Help("intervals followed")] = 30
    by: Annotated[str | None, Help("column to break down by; empty: none")] = None
    industry: Annotated[
        Literal["fresh_food", "paid_knowledge", "apparel"] | None,
        Help("whose next-day retention is drawn beside; empty: none"),
    ] = None
    steps: Annotated[str, Help("the funnel's events in order, with commas")] = (
        "page_view,add_to_cart,order_pay"
    )
    window_days: Annotated[int, Between(1, 90), Help("days from first to last")] = 7

    def range(self) -> "dict[str, Any]":
        """Return what every verb is told: first day, end, last day known."""
        return {
            "start": self.as_of - timedelta(days=self.days - 1),
            "end": self.as_of + timedelta(days=1),
            "as_of": self.as_of,
        }

    def rule(self) -> "dict[str, Any]":
        """Return what `retention.measure` is told besides."""
        return {
            "start_event": self.start_event,
            "return_event": self.return_event,
            "mode": self.mode,
            "period": self.period,
            "horizon": self.horizon,
        }

    def funnel_rule(self) -> "dict[str, Any]":
        """Return what `funnel.measure` is told besides."""
        return {"steps": self._steps(), "window": timedelta(days=self.window_days)}

    def conflicts(self) -> "Iterator[Fault]":
        """Yield what is wrong with several parameters, or within one."""
        if len(self._steps()) < 2:
            hint = "Write page_view,add_to_cart,order_pay."
            yield Fault("steps", "steps", repr(self.steps), "2 or more events", hint)

    def _steps(self) -> list[str]:
        return [name.strip() for name in self.steps.split(",") if name.strip()]


@readout("segments_readout", subject="name", deadline="10m")
@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentsParams(DatasetParams):
    """The segments readout: who they are, who moved, whom a message may reach.

    Groups too small to share are hidden, with whatever would give them back.
    """

    name: Annotated[str, Id(), Sample("customers"), Help("what this readout is called")]
    rules: Annotated[
        str | None, Path(), Help("file of tags (TOML); empty: the packs")
    ] = None
    packs: Annotated[str, Help("ready-made tags, with commas")] = (
        "frequency,order_value,behaviour,persona,lifecycle,wake_up"
    )
    tag: Annotated[str, Help("the tag looked into")] = "frequency"
    value: Annotated[str, Help("the value whose users are looked into")] = "dormant"
    against: Annotated[
        str | None, Help("segments it may overlap, tag:value with commas")
    ] = "order_value:high_net_worth,behaviour:cart_abandoned,wake_up:call_now"
    features: Annotated[
        str | None, Help("tags and member columns to compare by; empty: all there are")
    ] = None
    back_days: Annotated[int, Between(1, 366), Help("moves of so many days")] = 28
    months: Annotated[int, Between(1, 24), Help("months of the lifecycle")] = 4
    max_per_week: Annotated[
        int | None, Between(1, 100), Help("own cap of messages to one; empty: none")
    ] = None
    min_size: Annotated[
        int, Between(20, 1_000_000), Help("smallest group that is shown")
    ] = 50
    min_cell: Annotated[
        int, Between(5, 1_000_000), Help("smallest cell of two tags that is shown")
    ] = 10

    @property
    def first(self) -> date:
        """The earlier of the two dates compared."""
        return self.as_of - timedelta(days=self.back_days)

    def pack_names(self) -> tuple[str, ...]:
        """Return the packs asked for, in order."""
        return tuple(_listed(self.packs))

    def overlapping(self) -> tuple[tuple[str, str], ...]:
        """Return tag and value of each segment it may overlap."""
        pairs = (item.partition(":") for item in _listed(self.against))
        return tuple((tag.strip(), value.strip()) for tag, _, value in pairs)

    def feature_names(self) -> tuple[str, ...]:
        """Return what is compared by; none is whatever there is."""
        return tuple(_listed(self.features))

    def inputs(self) -> "Iterator[tuple[str, str]]":
        """Yield what a run reads, by name: its fingerprint is taken of these."""
        yield from DatasetParams.inputs(self)
        if self.rules:
            yield "rules", located(self.rules)

    def declared(self, tables: "Collection[str] | None" = None) -> "Rules":
        """Return the tags: those of the file, or of the packs.

        Parameters
        ----------
        tables : collection of str, optional
            Tables there are: packs that need others are left out.

        Raises
        ------
        ParameterError
            As `growth.segments.load_rules` and `packs.rules`; if no pack is left
            (code ``no_tags``).
        """
        from growth.segments import load_rules, packs

        if self.rules:
            return load_rules(FilePath(located(self.rules)))
        names = self.pack_names()
        if tables is not None:
            names = tuple(n for n in names if packs.tables(n) <= set(tables))
        if not names:
            want = "packs whose tables the data has, or a file of tags"
            fault = Fault("no_tags", "packs", repr(self.packs), want, "")
            raise ParameterError.of("segments_readout", [fault])
        return packs.rules(*names)

    def conflicts(self) -> "Iterator[Fault]":
        """Yield what is wrong with several parameters, or within one."""
        for tag, value in self.overlapping():
            if not (tag and value):
                hint = "Write frequency:dormant,order_value:high_net_worth."
                seen = repr(self.against)
                yield Fault("against", "against", seen, "tag:value, with commas", hint)
                return

    def check(self) -> None:
        """Refuse tags that are wrong, or lack what is asked of them.

        Raises
        ------
        ParameterError
            With every fault of the file of tags, or if it has no such tag (code
            ``unknown_tag``) or value (``unknown_value``).
        """
        declared = self.declared()
        faults = []
        if self.tag not in declared.names:
            faults.append(_none_such("unknown_tag", "tag", self.tag, declared.names))
        elif self.value not in (values := declared[self.tag].names):
            faults.append(_none_such("unknown_value", "value", self.value, values))
        if faults:
            raise ParameterError.of("segments_readout", faults)


def _none_such(code: str, name: str, seen: str, there: "Collection[str]") -> Fault:
    want = f"one of {', '.join(there)}"
    return Fault(code, name, repr(seen), want, suggest(seen, there).strip())


@readout("tiers_readout", subject="name", deadline="20m")
@dataclass(frozen=True, slots=True, kw_only=True)
class TiersParams(DatasetParams):
    """The tiers readout: what another member programme would do.

    First what the present one makes of the actual orders, then both over the same
    simulated future. Margin and redemption are assumptions and have no default;
    members do not answer to tiers unless an uplift is stated.
    """

    name: Annotated[str, Id(), Sample("next"), Help("what this readout is called")]
    programme: Annotated[
        str | None, Path(), Help("programme in force; empty: the dataset's own")
    ] = None
    new_programme: Annotated[
        str | None, Path(), Help("changed programme; empty: see `changes`")
    ] = None
    changes: Annotated[
        str | None,
        Help("key paths and values, with commas; empty: the dataset's next programme"),
    ] = None
    margin_rate: Annotated[
        float, Between(0, 1), Sample(0.3), Help("margin before benefits, of list price")
    ]
    redemption: Annotated[
        float,
        Between(0, 1),
        Sample(0.1),
        Help("chance that who orders redeems all whole blocks"),
    ]
    months: Annotated[int, Between(1, 36), Help("months simulated")] = 12
    replications: Annotated[
        int, Between(2, 500), Help("times everything is drawn anew")
    ] = 20
    tests: Annotated[
        int, Between(2, 500), Help("draws of each past forecast that is tested")
    ] = 20
    uplift: Annotated[
        str | None,
        Help("log change of orders a tier, mean:sd, with commas; empty: none"),
    ] = None
    newcomers: Annotated[
        int, Between(0, 10**6), Help("people who join a month from now on; 0: none")
    ] = 0
    seed: Annotated[int, Between(0, 2**53 - 1), Help("what all is drawn from")] = 1

    def programmes(self) -> "dict[str, Programme]":
        """Return the present programme, ``now``, and the changed one, ``new``.

        Raises
        ------
        ParameterError
            If a file is missing (code ``programme_needed``) or wrong, or nothing is
            changed (``no_change``).
        """
        from growth.tiers import load_programme

        now = load_programme(self.programme_path())
        path = self.new_path()
        if path is None and not self.changes:
            hint = "Write tiers.1.min_spend_fen=40000, or name a file."
            want = "a change, as new_programme is empty too"
            fault = Fault("no_change", "changes", repr(self.changes), want, hint)
            raise ParameterError.of("tiers_readout", [fault])
        new = now if path is None else load_programme(path)
        return {"now": now, "new": new.change(self._changed())}

    def programme_path(self) -> FilePath:
        """Return the present programme's file; by default the one beside the data.

        Raises
        ------
        ParameterError
            If none is given and none is there (code ``programme_needed``).
        """
        path = self._beside(self.programme, "programme.toml")
        if path is None:
            hint = "Write the programme as TOML and name the file."
            want = f"a file, as there is no programme.toml in {self.data_path()}"
            seen = repr(self.programme)
            fault = Fault("programme_needed", "programme", seen, want, hint)
            raise ParameterError.of("tiers_readout", [fault])
        return path

    def new_path(self) -> "FilePath | None":
        """Return the changed programme's file, if it is one and not `changes` alone."""
        if self.changes and not self.new_programme:
            return None
        return self._beside(self.new_programme, "programme_next.toml")

    def response(self) -> "Response":
        """Return how members are assumed to answer to tiers.

        Raises
        ------
        ParameterError
            If `uplift` is no list of means and deviations (code ``bad_uplift``).
        """
        from growth.tiers import Response

        pairs = [text.split(":") for text in _listed(self.uplift)]
        try:
            beta = tuple((float(mean), float(sd)) for mean, sd in pairs)
        except ValueError:
            hint = "Write 0:0,0.05:0.02, the lowest tier first."
            want = "a mean and a deviation a tier"
            fault = Fault("bad_uplift", "uplift", repr(self.uplift), want, hint)
            raise ParameterError.of("tiers_readout", [fault]) from None
        return Response(beta=beta)

    def assumptions(self) -> "dict[str, Any]":
        """Return what `tiers.compare` is told."""
        return {
            "months": self.months,
            "replications": self.replications,
            "seed": self.seed,
            "margin_rate": self.margin_rate,
            "redemption": self.redemption,
            "response": self.response(),
        }

    def inputs(self) -> "Iterator[tuple[str, str]]":
        """Yield what a run reads, by name: its fingerprint is taken of these."""
        # not super(): a slotted dataclass is another class than the one written here
        yield from DatasetParams.inputs(self)
        yield "programme", str(self.programme_path())
        if path := self.new_path():
            yield "new_programme", str(path)

    def check(self) -> None:
        """Refuse programmes and an uplift that are wrong, before a kernel is started.

        Raises
        ------
        ParameterError
            As `programmes` and `response`.
        """
        self.programmes()
        self.response()

    def _beside(self, given: str | None, name: str) -> FilePath | None:
        if given:
            return FilePath(located(given))
        path = FilePath(self.data_path()) / name
        return path if path.is_file() else None

    def _changed(self) -> "dict[str, object]":
        """Return `changes` by key path, each value as TOML would read it."""
        found: dict[str, object] = {}
        for text in _listed(self.changes):
            path, sign, value = (part.strip() for part in text.partition("="))
            if not sign or not path or not value:
                hint = "Write tiers.1.min_spend_fen=40000."
                fault = Fault("bad_change", "changes", repr(text), "path=value", hint)
                raise ParameterError.of("tiers_readout", [fault])
            whole = value.isdigit() and not path.endswith(DECIMALS)
            found[path] = int(value) if whole else value.strip("\"'")
        return found


def _listed(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


@cache
def _catalog() -> dict[str, Declaration]:
    declared = (
        declaration_of(AbtestParams),
        declaration_of(HeatmapParams),
        declaration_of(RetentionParams),
        declaration_of(TiersParams),
        declaration_of(SegmentsParams),
    )
    return {item.name: item for item in declared}


def names() -> tuple[str, ...]:
    """Return the name of every readout, sorted."""
    return tuple(sorted(_catalog()))


def get(name: str) -> Declaration:
    """Return a readout's declaration.

    Parameters
    ----------
    name : str
        Its name.

    Returns
    -------
    Declaration
        Name, subject, deadline and parameters.

    Raises
    ------
    ParameterError
        If there is no such readout (code ``unknown_readout``).
    """
    if name in _catalog():
        return _catalog()[name]
    hint = suggest(name, names()).strip()
    want = f"one of {', '.join(names())}"
    fault = Fault("unknown_readout", "readout", repr(name), want, hint)
    raise ParameterError.of("readouts", [fault])


def notebook(name: str) -> FilePath:
    """Return where the notebook of one of our readouts lies.

    Parameters
    ----------
    name : str
        As `get`.

    Returns
    -------
    pathlib.Path
        As `places.notebook_file`.

    Raises
    ------
    ParameterError
        As both.
    """
    return notebook_file(get(name).name)


def _mapping(experiment: FilePath) -> FilePath | None:
    """Return the mapping file that an experiment file names, if it can be read."""
    import tomllib

    try:
        declared = tomllib.loads(experiment.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    name = declared.get("mapping")
    return experiment.parent / name if isinstance(name, str) and name else None
