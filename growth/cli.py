"""The `growth` command: thin words around functions of the package.

Results go to stdout, everything else to stderr. A fault is told in one line,
without a traceback; a traceback means a defect of ours, and exit code 1.
"""

from __future__ import annotations

import json
import shlex
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from growth import __version__
from growth.errors import GrowthError, ParameterError, StoreError, suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from growth.labels import Lang
    from growth.readout.batch import Batch, BatchProgress
    from growth.readout.runner import Progress, RunOutcome
    from growth.result import Cell, Result

__all__ = ["main"]

USAGE: Final = 2  # a parameter, a name or a table is wrong: correct and repeat
FAILED: Final = 3  # it ran, and what it found is a failure
PAGE: Final = "readout.html"
STORE: Final = 8  # a result could not be kept
MOVED: Final = 9  # an estimate moved further than asked for
INTERRUPTED: Final = 130
PATIENCE: Final = 2.0  # seconds before work shows that it goes on
BEAT: Final = 10.0  # seconds between lines where there is no terminal
ORDER: Final = (  # of help: as somebody new would need them
    "list", "describe", "run", "show", "run-all", "index", "diff", "gc",
    "sample", "check", "schema", "readout", "lab", "layouts", "doctor", "completion",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows the command's name; the process's own if omitted.

    Returns
    -------
    int
        The exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = root.main(given, prog_name="growth", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE
    except click.UsageError as error:
        _tell(ParameterError(_usage(error), code="usage"), as_json="--json" in given)
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _usage(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx else "growth"
    return f"{path}: {error.format_message()} {path} --help lists what it takes."


class Told(click.Command):
    """A command whose faults are told without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        """Run it; turn an error of the package into words and an exit code."""
        try:
            return super().invoke(ctx)
        except GrowthError as error:
            _tell(error, as_json=bool(ctx.params.get("as_json")))
            ctx.exit(STORE if isinstance(error, StoreError) else USAGE)


class Group(click.Group):
    """A group whose commands are `Told`, in the order they are needed."""

    command_class = Told
    group_class = type

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of its commands for the help."""
        return [name for name in ORDER if name in self.commands]


def _tell(error: GrowthError, *, as_json: bool) -> None:
    """Write an error to stderr, every fault of it."""
    faults = getattr(error, "faults", ())
    if as_json:
        told = [fault._asdict() for fault in faults] or [
            {"code": error.code, "message": str(error)}
        ]
        click.echo(_dump(told), err=True)
        return
    for fault in faults:
        hint = f" {fault.hint}" if fault.hint else ""
        click.echo(f"error[{fault.code}] {fault.name} is {fault.seen}.{hint}", err=True)
        click.echo(f"  it must be {fault.expected}", err=True)
    if not faults:
        click.echo(f"error[{error.code}] {error}", err=True)
    for note in getattr(error, "__notes__", ()):
        click.echo(f"warning: {note}", err=True)


def _dump(value: object) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, indent=2)


def _grid(rows: Sequence[Mapping[str, Cell]]) -> str:
    """Return rows as columns of text, numbers to the right."""
    from growth.result import show

    lines = []
    for name in rows[0] if rows else ():
        cells = [row[name] for row in rows]
        right = all(cell is None or isinstance(cell, int | float) for cell in cells)
        column = [name, *map(show, cells)]
        width = max(map(_width, column))
        pads = [" " * (width - _width(cell)) for cell in column]
        pairs = zip(column, pads, strict=True)
        lines.append([pad + cell if right else cell + pad for cell, pad in pairs])
    return "\n".join("  ".join(line).rstrip() for line in zip(*lines, strict=True))


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes: a Chinese sign two."""
    from unicodedata import east_asian_width

    return sum(2 if east_asian_width(sign) in "WF" else 1 for sign in text)


def _report(result: Result, *, as_json: bool) -> None:
    """Write a result to stdout, its verdict first."""
    from growth.labels import label

    if as_json:
        click.echo(_dump(result.to_dict()))
        return
    click.echo(label(result.verdict))
    if rows := result.rows():
        click.echo(_grid(rows))
    for notice in result.notices:
        click.echo(f"{notice.severity}: {notice.words()}")


@contextmanager
def _busy(words: str, *, quiet: bool) -> Iterator[None]:
    """Show on stderr, from the third second on, that work goes on."""
    done = threading.Event()

    def show() -> None:
        from tqdm import tqdm

        if done.wait(PATIENCE):
            return
        if not sys.stderr.isatty():
            click.echo(f"{words} ...", err=True)
            spent = PATIENCE
            while not done.wait(BEAT):
                spent += BEAT
                click.echo(f"{words} ... {spent:.0f}s", err=True)
            return
        layout = "{desc} {elapsed} {bar:20}"
        with tqdm(total=0, desc=words, bar_format=layout, leave=False) as bar:
            while not done.wait(0.5):
                bar.refresh()

    shower = threading.Thread(target=show, daemon=True)
    if not quiet:
        shower.start()
    try:
        yield
    finally:
        done.set()
        if not quiet:
            shower.join()


@contextmanager
def _following(
    words: str, *, quiet: bool
) -> Iterator[Callable[[Progress], None] | None]:
    """Show on stderr how far a run is: a bar, or a line now and then."""
    if quiet:
        yield None
        return
    if not sys.stderr.isatty():
        told = 0.0

        def tell(now: Progress) -> None:
            nonlocal told
            if now.elapsed - told >= BEAT:
                told = now.elapsed
                cells = f"{now.done}/{now.total} cells"
                line = f"{words}: {cells}  {now.elapsed:.0f}s  left {now.left:.0f}s"
                click.echo(line, err=True)

        yield tell
        return

    from tqdm import tqdm

    layout = "{desc}: {bar:20} {n_fmt}/{total_fmt} cells  {elapsed}{postfix}"
    with tqdm(total=0, desc=words, bar_format=layout, leave=True) as bar:

        def draw(now: Progress) -> None:
            bar.total, bar.n = now.total, now.done
            bar.set_postfix_str(f"left {now.left:.0f}s", refresh=False)
            bar.refresh()

        yield draw


as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
_FORMS = {
    "interactive": "readout.interactive.html: charts that answer to the pointer.",
    "pdf": "readout.pdf, drawn by Chromium.",
    "png": "readout.png, drawn by Chromium.",
}


def _forms(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that leave further forms of the page."""
    for kind, words in reversed(_FORMS.items()):
        command = click.option(f"--{kind}", is_flag=True, help=f"Also {words}")(command)
    return command


def _wanted(given: Mapping[str, bool]) -> tuple[Any, ...]:
    """Return which further forms were asked for."""
    return tuple(kind for kind in _FORMS if given[kind])


quiet = click.option("--quiet", "-q", is_flag=True, help="No progress, no remarks.")


def _names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete a readout's name."""
    from growth.readout import catalog

    return [name for name in catalog.names() if name.startswith(incomplete)]


def _pairs(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a parameter, or its choices, of the readout named before."""
    from growth.readout import catalog

    # an option without its value, as here, leaves the arguments unread
    readout = ctx.params.get("name") or next(iter(ctx.args), "")
    if readout not in catalog.names():
        return []
    words = [
        f"{field.name}={choice}"
        for field in catalog.get(readout).fields
        for choice in field.choices or ("",)
    ]
    return [word for word in words if word.startswith(incomplete)]


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="growth")
def root() -> None:
    """Growth experiments: data in, a readout one can trust out.

    \b
    To begin:
      growth sample data/sample
      growth readout list
      growth readout run abtest_readout -p data=data/sample \\
        -p experiment_id=home_layout -p as_of=2026-02-28
      growth lab
    """  # noqa: D301  (click's mark keeps the lines)


@root.command()
@as_json
@click.pass_context
def doctor(ctx: click.Context, *, as_json: bool) -> None:
    """Tell what this machine has, and what each lack costs.

    Versions, fonts, Chromium, Java and the key of pseudonyms.
    """
    from growth.doctor import examine

    found = examine()
    _report(found, as_json=as_json)
    ctx.exit(FAILED if found.verdict == "doctor.machine.broken" else 0)


@root.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[FOLDER]")
@click.option("--no-browser", is_flag=True, help="Only start it; print its address.")
@click.option("--port", type=int, help="Where it listens; else the next free one.")
def lab(arguments: tuple[str, ...], *, no_browser: bool, port: int | None) -> None:
    """Open JupyterLab on the notebooks, or on FOLDER.

    It asks the network for nothing. Other options are JupyterLab's own: growth lab
    notebooks --ServerApp.token=...
    """
    import os

    from growth import lab as room

    folders = [word for word in arguments[:1] if not word.startswith("-")]
    more = arguments[len(folders) :]
    place = room.workspace(*folders)
    command = room.command(place, browser=not no_browser, port=port, more=more)
    os.execve(command[0], command, room.environment())


@root.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that completes names in SHELL.

    Try: eval "$(growth completion bash)"
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(root, {}, "growth", "_GROWTH_COMPLETE").source())


@root.command()
@click.argument("out", default="data/sample")
@click.option("--users", default=20_000, show_default=True, help="People in it.")
@click.option("--days", default=60, show_default=True, help="Days of events.")
@click.option("--seed", default=20_260_301, show_default=True, help="Same, same data.")
@quiet
@as_json
def sample(
    out: str, *, users: int, days: int, seed: int, quiet: bool, as_json: bool
) -> None:
    """Write a sample merchant, with known truth, to OUT.

    OUT is a folder, data/sample if omitted.
    """
    from growth import synth

    with _busy(f"writing the sample to {out}", quiet=quiet):
        report = synth.sample(out, users=users, days=days, seed=seed)
    _report(report, as_json=as_json)


@root.command()
@click.argument("data")
@click.option("--mapping", help="TOML file that says how foreign columns are read.")
@click.option("--as-of", help="Last day counted, YYYY-MM-DD.")
@quiet
@as_json
@click.pass_context
def check(
    ctx: click.Context,
    data: str,
    *,
    mapping: str | None,
    as_of: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Validate the tables at DATA, and count what is wrong.

    DATA is a folder, a file, a DuckDB file or a URL.
    """
    from growth import dataset

    day = _day(as_of)
    with _busy(f"checking {data}", quiet=quiet):
        report = dataset.check(data, mapping=mapping, as_of=day)
    _report(report, as_json=as_json)
    for table, code, message in report.faults:
        click.echo(f"error[{code}] {table}: {message}", err=True)
    ctx.exit(USAGE if report.refused else 0)


@root.group(cls=Group)
def layouts() -> None:
    """Keep what makes reading a long log fast."""


@layouts.command()
@click.argument("data")
@click.option("--kind", "kinds", multiple=True, help="Bits for NAME=EVENT; repeat it.")
@click.option("--tz", default="Asia/Shanghai", show_default=True, help="Zone of days.")
@click.option("--log/--no-log", default=True, help="Keep a log sorted by user too.")
@click.option("--memory-limit", help="Of the engine, such as 2GB.")
@quiet
@as_json
def refresh(
    data: str,
    *,
    kinds: tuple[str, ...],
    tz: str,
    log: bool,
    memory_limit: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Build the layouts of the events at DATA.

    DATA is the folder of events. Layouts that stand there are brought up to date: only
    days of new or changed files are built anew. Retention and funnels use them, while
    they agree with the log, for the same answers.
    """
    from growth.engine import layouts as kept

    asked: dict[str, object] = {"active": ()}
    for kind in kinds:
        name, _, event = kind.partition("=")
        asked[name] = {"col": "event", "eq": event or name}
    with _busy(f"refreshing layouts of {data}", quiet=quiet):
        done = kept.refresh(
            data,
            kinds=asked if kinds else None,
            tz=tz,
            log=log,
            memory_limit=memory_limit,
        )
    facts = done._asdict()
    click.echo(_dump(facts) if as_json else _grid([facts]))


def _day(text: str | None) -> date | None:
    from datetime import date

    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        msg = f"--as-of is {text!r}; it must be a date; write it like 2026-01-31."
        raise ParameterError(msg, code="bad_date") from error


@root.group(cls=Group)
def readout() -> None:
    """List, run and read readouts.

    A readout is a notebook one can leave alone: one question, one subject, one day.
    """


@readout.command("list")
@as_json
def list_(*, as_json: bool) -> None:
    """List the readouts there are."""
    from growth.readout import catalog

    told: list[dict[str, Any]] = [
        catalog.get(name).describe() for name in catalog.names()
    ]
    if as_json:
        click.echo(_dump(told))
        return
    rows = [{"readout": item["name"], "answers": item["help"]} for item in told]
    click.echo(_grid(rows))


@readout.command()
@click.argument("name", shell_complete=_names)
@as_json
def describe(name: str, *, as_json: bool) -> None:
    """Tell the parameters of the readout NAME."""
    from growth.readout import catalog

    declared = catalog.get(name)
    told: dict[str, Any] = declared.describe()
    if as_json:
        click.echo(_dump(told))
        return
    click.echo(f"{told['name']}: {told['help']}")
    limit = told["deadline_s"] / 60
    click.echo(f"about one {told['subject']}; at most {limit:g} minutes\n")
    rows = [
        {
            "parameter": item["name"],
            "type": "|".join(item.get("choices", (item["type"],))),
            "default": "(required)"
            if item["required"]
            else item["default"] or "(empty)",
            "help": item["help"],
        }
        for item in told["parameters"]
    ]
    click.echo(_grid(rows))
    needed = [item for item in declared.fields if item.required]
    if all(item.sample is not None for item in needed):
        click.echo("\non the sample merchant (growth sample):")
        pairs = [shlex.quote(f"{item.name}={item.sample}") for item in needed]
        click.echo(f"  growth readout run {name} -p {' -p '.join(pairs)}")


@readout.command("check")
@click.argument("names", nargs=-1, shell_complete=_names)
@click.option("--fix", is_flag=True, help="Rewrite the parameters cell; strip outputs.")
@as_json
@click.pass_context
def check_(
    ctx: click.Context, names: tuple[str, ...], *, fix: bool, as_json: bool
) -> None:
    """Compare notebooks with their declarations.

    Those of NAMES, else all.
    """
    from growth.readout import catalog

    found: list[dict[str, str]] = []
    for name in names or catalog.names():
        declared, path = catalog.get(name), catalog.notebook(name)
        faults = (declared.fix_notebook if fix else declared.check_notebook)(path)
        found += [{"readout": name, **fault._asdict()} for fault in faults]
        if not as_json:
            click.echo(f"{path}: {len(faults)} fault(s)")
            for fault in faults:
                click.echo(f"  {fault}")
    if as_json:
        click.echo(_dump(found))
    ctx.exit(FAILED if found else 0)


@readout.command()
def schema() -> None:
    """Print the JSON Schema of a run's readout.json."""
    from growth.readout import checking

    click.echo(_dump(dict(checking.schema())))


@readout.command()
@click.argument("name", shell_complete=_names)
@click.option(
    "-p",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    shell_complete=_pairs,
    help="A parameter; may stand many times.",
)
@click.option("--params", "file", help="JSON object of parameters; -p wins.")
@click.option("--out", help="Where runs are kept; else GROWTH_READOUTS, else readouts.")
@click.option("--force", is_flag=True, help="Run even if this was answered already.")
@click.option("--wait", help="How long to wait for another run of this: 60s, 5m.")
@click.option("--deadline", help="How long the run may take, if not its own limit.")
@click.option("--retries", default=0, help="Tries more after what may pass by itself.")
@click.option("--on-finish", help="A command that gets the manifest on stdin.")
@click.option("--declaration", default="", help="Of your own: package.module:Class.")
@click.option("--notebook", help="Its notebook, if not beside the module.")
@_forms
@quiet
@as_json
@click.pass_context
def run(
    ctx: click.Context,
    /,
    name: str,
    *,
    pairs: tuple[str, ...],
    file: str | None,
    out: str | None,
    force: bool,
    wait: str | None,
    deadline: str | None,
    retries: int,
    on_finish: str | None,
    declaration: str,
    notebook: str | None,
    quiet: bool,
    as_json: bool,
    **forms: bool,
) -> None:
    """Run the readout NAME, and print its folder.

    The folder goes to stdout; progress, answer and the page's path to stderr. Exit 0
    means that a whole, valid readout lies there. What was answered already is not
    run again.

    \b
    growth readout run abtest_readout -p data=data/sample \\
      -p experiment_id=home_layout -p as_of=2026-02-28
    """  # noqa: D301  (click's mark keeps the lines)
    from growth.readout import hook, own, runner

    with hook.refusals(on_finish, name):
        declared = own.declared(name, declaration)
        params = declared.from_command_line(pairs, file=file)
    subject = getattr(params, declared.subject)
    with _following(f"{name} {subject} {params.as_of}", quiet=quiet) as progress:
        outcome = runner.run(
            name,
            params,
            out=out,
            force=force,
            wait=wait,
            deadline=deadline,
            progress=progress,
            also=_wanted(forms),
            retries=retries,
            on_finish=on_finish,
            declaration=declared if declaration else None,
            notebook=notebook,
        )
    for remark in outcome.remarks:
        click.echo(f"warning: {remark}", err=True)
    path = outcome.path
    if as_json:
        told = {
            "status": outcome.status,
            "exit_code": outcome.exit_code,
            "reason": outcome.reason,
            "path": str(path) if path else None,
        }
        click.echo(_dump(told))
    else:
        if not quiet:
            _answer(outcome)
        if path:
            click.echo(_near(path))
    ctx.exit(outcome.exit_code)


@readout.command("run-all")
@click.option("--as-of", required=True, help="Last day counted, YYYY-MM-DD.")
@click.option("--config", default="readouts.toml", show_default=True, help="What runs.")
@click.option("--jobs", default=1, show_default=True, help="How many run at a time.")
@click.option("--out", help="Where runs are kept; else GROWTH_READOUTS, else readouts.")
@click.option("--force", is_flag=True, help="Run even if this was answered already.")
@click.option("--wait", help="How long to wait for another run of the same: 60s, 5m.")
@click.option("--retries", type=int, help="Tries more, instead of what the file says.")
@click.option("--on-finish", help="A command that gets each manifest on stdin.")
@quiet
@as_json
@click.pass_context
def run_all(
    ctx: click.Context,
    *,
    as_of: str,
    config: str,
    jobs: int,
    out: str | None,
    force: bool,
    wait: str | None,
    retries: int | None,
    on_finish: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Run every readout that is due on a day.

    What is due stands in a file, by default readouts.toml here. The exit code is the
    weightiest that occurred; 0 means that every readout is there.

    \b
    [params]
    data = "data/sample"
    [[readout]]
    name = "abtest_readout"
    params = { experiment_id = "home_layout" }
    every = "weekly"
    """  # noqa: D301  (click's mark keeps the lines)
    from growth.readout import batch

    day = _day(as_of)
    assert day is not None
    with _counting(quiet=quiet) as progress:
        found = batch.run_all(
            config,
            day,
            jobs=jobs,
            out=out,
            force=force,
            wait=wait,
            retries=retries,
            on_finish=on_finish,
            progress=progress,
        )
    if as_json:
        _report(found, as_json=True)
    elif not quiet or found.exit_code:
        _summary(found)
    ctx.exit(found.exit_code)


def _summary(found: Batch) -> None:
    """Write a batch to stdout: a line a run, and why some have no answer."""
    from growth.labels import label

    click.echo(label(found.verdict))
    rows = found.rows()
    if rows:
        click.echo(_grid([{k: row[k] for k in row if k != "reason"} for row in rows]))
    for run in found.runs:
        if run.exit_code:
            name = f"{run.readout} {run.subject}".rstrip()
            click.echo(f"{name}: {run.reason or run.status}")
    for notice in found.notices:
        click.echo(f"{notice.severity}: {notice.words()}")


@contextmanager
def _counting(*, quiet: bool) -> Iterator[Callable[[BatchProgress], None] | None]:
    """Show on stderr how many runs of a batch are over: a bar, or a line each."""
    if quiet:
        yield None
        return

    def told(now: BatchProgress) -> str:
        ended = now.ended
        assert ended is not None
        head = f"{now.done}/{now.total} {ended.readout} {ended.subject}".rstrip()
        return f"{head}: {ended.status} {ended.seconds:.1f}s"

    if not sys.stderr.isatty():

        def tell(now: BatchProgress) -> None:
            if now.ended:
                click.echo(told(now), err=True)

        yield tell
        return

    from tqdm import tqdm

    layout = "{n_fmt}/{total_fmt} {bar:20} {elapsed}{postfix}"
    with tqdm(total=0, bar_format=layout, leave=False) as bar:

        def draw(now: BatchProgress) -> None:
            if now.ended:
                tqdm.write(told(now), file=sys.stderr)
            bar.total, bar.n = now.total, now.done
            bar.set_postfix_str(", ".join(now.running), refresh=False)
            bar.refresh()

        yield draw


@readout.command()
@click.argument("place", shell_complete=_names)
@click.argument("subject", required=False)
@click.option("--out", help="Where runs are kept; else GROWTH_READOUTS, else readouts.")
@_forms
@as_json
def show(
    place: str, subject: str | None, *, out: str | None, as_json: bool, **forms: bool
) -> None:
    """Show what a run found.

    PLACE is its folder or id (the end will do), or a readout's name: then SUBJECT
    says whose newest good run.
    """
    from growth.readout import extras, model

    wanted = _wanted(forms)
    extras.require(wanted)
    folder = _run_folder(place, subject, out)
    made = extras.make(folder, wanted)
    if as_json:
        click.echo(_dump(model.read_document(folder)))
        return
    document = model.load(folder)
    click.echo(f"{document.readout} {document.subject} {document.as_of}")
    click.echo(f"decision: {_words(document.decision.verdict)}")
    rows = [
        {
            "estimate": item.key,
            "about": " ".join(f"{name}={value}" for name, value in item.by),
            "value": item.value,
            "low": item.lo,
            "high": item.hi,
            "p_value": item.p_value,
            "n": item.n,
        }
        for item in document.estimates
    ]
    click.echo(_grid(rows))
    for notice in document.notices:
        click.echo(f"{notice.severity}: {_words(f'notice.{notice.code}', notice.args)}")
    for path in (folder / PAGE, *made):
        click.echo(f"page: {_near(path)}")


@readout.command()
@click.argument("before")
@click.argument("after")
@click.option("--fail-above", type=float, help="Exit 9 if one moved by more se.")
@click.option("--out", help="Where runs are kept; else GROWTH_READOUTS, else readouts.")
@as_json
@click.pass_context
def diff(
    ctx: click.Context,
    before: str,
    after: str,
    *,
    fail_above: float | None,
    out: str | None,
    as_json: bool,
) -> None:
    """Tell what moved between two runs, and why.

    BEFORE and AFTER are folders or ids of runs (the end of an id will do).
    """
    from growth.readout.diff import diff as compare

    first, second = (_run_folder(place, None, out) for place in (before, after))
    found = compare(first, second)
    if as_json:
        click.echo(_dump(found.to_dict()))
    else:
        for line in found.lines():
            click.echo(line)
        for notice in found.notices:
            click.echo(f"{notice.severity}: {notice.words()}", err=True)
    ctx.exit(MOVED if fail_above is not None and found.largest > fail_above else 0)


@readout.command()
@click.option("--keep", default="30d", show_default=True, help="Younger runs stay.")
@click.option("--keep-last", default=10, show_default=True, help="So many a subject.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--out", help="Where runs are kept; else GROWTH_READOUTS, else readouts.")
@as_json
def gc(
    *, keep: str, keep_last: int, dry_run: bool, out: str | None, as_json: bool
) -> None:
    """Remove old runs, never the latest.

    Runs whose runner was killed are filed as lost, and processes they left are ended.
    """
    from growth.readout.sweep import gc as sweep

    _report(
        sweep(out, keep=keep, keep_last=keep_last, dry_run=dry_run), as_json=as_json
    )


@readout.command()
@click.option("--lang", type=click.Choice(["en", "zh"]), help="The page's language.")
@click.option("--out", help="Where runs are kept; else GROWTH_READOUTS, else readouts.")
def index(*, lang: Lang | None, out: str | None) -> None:
    """Write the history on one page, and print its path.

    That is index.html, and index.json with every run.
    """
    from growth.readout.history import index as write

    click.echo(_near(write(out, lang=lang)))


def _run_folder(place: str, subject: str | None, out: str | None) -> Path:
    from pathlib import Path

    from growth.readout import catalog, store

    kept = store.Store(store.root(out))
    if subject is not None:
        latest = kept.latest(catalog.get(place).name, subject)
        found = Path(latest["folder"]) if latest else None
    else:
        found = Path(place) if Path(place).is_dir() else kept.find(place)
    if found is not None:
        return found
    what, hint = place, ""
    if subject is not None:
        what = f"{place} {subject}"
        there = {str(told["subject"]) for _, told in kept.runs(place)}
        hint = suggest(subject, sorted(there))
    msg = f"{what} names no run in {_near(kept.root)}; it must be a run's folder or"
    msg = f"{msg} id, or a readout and a subject; growth readout index lists them"
    raise ParameterError(f"{msg}.{hint}", code="unknown_run")


def _answer(outcome: RunOutcome) -> None:
    """Tell people on stderr what came out and where to read it."""
    from growth.readout import model

    folder = outcome.path
    if outcome.reason:
        click.echo(f"{outcome.status}: {outcome.reason}", err=True)
    for fault in outcome.faults:
        click.echo(f"  {fault}", err=True)
    if folder and (folder / model.FILE).is_file() and outcome.exit_code == 0:
        verdict = model.load(folder).decision.verdict
        click.echo(f"decision: {_words(verdict)}", err=True)
    if folder and (folder / PAGE).is_file():
        click.echo(f"page: {_near(folder / PAGE)}", err=True)


def _words(key: str, args: Sequence[tuple[str, Any]] = ()) -> str:
    """Return a label's words; a key of another version is shown as it is."""
    from growth.labels import has, label
    from growth.result import filled

    return label(key, **filled(args)) if has(key) else key


def _near(path: Path) -> str:
    """Return a path from here if it lies below, else whole."""
    from pathlib import Path

    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
